"""What was found on a file or a product, in one shape for every report, and that shape as JSON; it must not judge."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataproducts.product import RuleKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from dataproducts.product import Column
    from dataproducts.verdict import RuleResult

STATES = ("passed", "failed", "warned", "error", "skipped")
"""What became of a rule: `warned` failed and does not block, `error` was not judged, `skipped` is declared-only."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule found on one table, or on one partition of it; as `verdict.RuleResult`, without the model.

    `columns` are those that the rule speaks of; `judged_at` tells when, if that is not when the report was made.
    """

    rule: str
    kind: str
    dimension: str
    severity: str
    blocking: bool
    passed: bool
    total_rows: int
    partition: str | None = None
    observed: float | None = None
    failed_rows: int | None = None
    threshold: str = ""
    message: str = ""
    error: str = ""
    method: str = ""
    criticality: str = "medium"
    sample: tuple[Mapping[str, Any], ...] = ()
    columns: tuple[str, ...] = ()
    description: str = ""
    declared_at: str = ""
    judged_at: datetime | None = None

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.error:
            return "error"
        if self.kind == RuleKind.TEXT or self.method == "declared-only":
            return "skipped"
        if self.passed:
            return "passed"
        return "failed" if self.blocking else "warned"

    @property
    def refuses(self) -> bool:
        """Whether it forbids publication."""
        return self.blocking and not self.passed

    @property
    def reason(self) -> str:
        """Why the rule could not be judged, else what it found."""
        return self.error or self.message


@dataclass(frozen=True, slots=True)
class JudgedTable:
    """One table with what its rules found; `namespace` and `dataset` are its names in OpenLineage.

    `columns` lists (name, type) as they were found or, where nobody looked, declared; `rows` is None if not known.
    Beside these rows are those that were set aside: how many, how many by what set them aside (a rule, or a policy of
    a column), and examples, where the rows are at hand.
    """

    name: str
    outcomes: tuple[Outcome, ...]
    namespace: str
    dataset: str
    columns: tuple[tuple[str, str], ...] = ()
    rows: int | None = None
    alias: str = ""  # the table by its product's address, if it is one of a product's
    quarantined_rows: int = 0
    quarantined: Mapping[str, int] = field(default_factory=dict)
    quarantined_sample: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    @property
    def rules(self) -> dict[str, tuple[Outcome, ...]]:
        """The outcomes by rule: one, or one a partition."""
        found: dict[str, tuple[Outcome, ...]] = {}
        for outcome in self.outcomes:
            found[outcome.rule] = (*found.get(outcome.rule, ()), outcome)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """How many rules there are in each of `STATES`."""
        found = Counter(worst(parts).state for parts in self.rules.values())
        return {state: found[state] for state in STATES}


@dataclass(frozen=True, slots=True)
class Results:
    """Everything that was found on `subject`: a file's path or a product's address.

    `state` is `good` or `refused` for what was checked; of a build `released`, `up to date`, `refused`,
    `skipped` or `retired`.
    `reason` says why nothing could be released, where rules alone do not say it; `warning` what readers are told of the
    lifecycle of the product.
    """

    subject: str
    state: str
    judged_at: datetime
    tables: tuple[JudgedTable, ...] = ()
    release: int | None = None
    run: str = ""
    reason: str = ""
    warning: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing forbids publication."""
        return self.state not in {"refused", "skipped"}


def worst(parts: Sequence[Outcome]) -> Outcome:
    """Return the outcome that tells most of a rule that was judged in several partitions: an error, then a failure."""
    order = ("error", "failed", "warned", "skipped", "passed")
    return min(parts, key=lambda part: order.index(part.state))


def rejected_rows(parts: Iterable[Outcome]) -> int | None:
    """Return the rows that a rule rejects in all its partitions; None if it does not count rows."""
    counted = [part.failed_rows for part in parts if part.failed_rows is not None]
    return sum(counted) if counted else None


def outcome_of(result: RuleResult) -> Outcome:
    """Return what the gate found for a rule, as reports tell it."""
    rule = result.rule
    return Outcome(
        rule=rule.name,
        kind=str(rule.kind),
        dimension=str(rule.dimension),
        severity=str(rule.severity),
        blocking=rule.blocking,
        passed=result.passed,
        total_rows=result.total_rows,
        partition=result.partition,
        observed=result.observed,
        failed_rows=result.failed_rows,
        threshold=str(rule.threshold),
        message=result.message,
        error=result.error,
        method=result.method,
        criticality=rule.criticality,
        sample=result.sample,
        columns=rule.columns,
        description=rule.description,
        declared_at=str(rule.mark) if rule.mark.path else "",
    )


def declared_columns(columns: Iterable[Column]) -> tuple[tuple[str, str], ...]:
    """Return the columns of a contract with their types."""
    return tuple((column.name, column.sql_type) for column in columns)


def as_json(results: Iterable[Results]) -> dict[str, Any]:
    """Return `results` as JSON values, as `docs/json/results.schema.json` describes them."""
    every = [_results_json(one) for one in results]
    return {"passed": all(one["passed"] for one in every), "results": every}


def _results_json(one: Results) -> dict[str, Any]:
    return {
        "subject": one.subject,
        "state": one.state,
        "passed": one.passed,
        "release": one.release,
        "run": one.run,
        "judged_at": one.judged_at.isoformat(),
        "reason": one.reason,
        "warning": one.warning,
        "tables": [_table_json(table) for table in one.tables],
    }


def _table_json(table: JudgedTable) -> dict[str, Any]:
    return {
        "table": table.name,
        "dataset": {"namespace": table.namespace, "name": table.dataset},
        "rows": table.rows,
        "quarantined_rows": table.quarantined_rows,
        "quarantined": dict(table.quarantined),
        "quarantined_sample": {
            name: [finite(dict(row)) for row in rows] for name, rows in table.quarantined_sample.items()
        },
        "columns": [{"name": name, "type": kind} for name, kind in table.columns],
        "counts": table.counts,
        "rules": [_outcome_json(outcome) for outcome in table.outcomes],
    }


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "rule": outcome.rule,
        "state": outcome.state,
        "kind": outcome.kind,
        "dimension": outcome.dimension,
        "severity": outcome.severity,
        "criticality": outcome.criticality,
        "blocking": outcome.blocking,
        "passed": outcome.passed,
        "partition": outcome.partition,
        "columns": list(outcome.columns),
        "observed": finite(outcome.observed),
        "failed_rows": outcome.failed_rows,
        "total_rows": outcome.total_rows,
        "threshold": outcome.threshold,
        "message": outcome.message,
        "error": outcome.error,
        "method": outcome.method,
        "sample": [{name: finite(value) for name, value in row.items()} for row in outcome.sample],
        "description": outcome.description,
        "declared_at": outcome.declared_at,
        "judged_at": outcome.judged_at.isoformat() if outcome.judged_at else None,
    }


def finite(value: Any) -> Any:
    """Return `value` with NaN and infinity, which JSON lacks, as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {name: finite(inner) for name, inner in value.items()}
    return [finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def grade(outcome: Outcome) -> str:
    """Return how much a failure weighs, in OpenLineage's words: `error` blocks, `warn` does not, `info` tells."""
    if outcome.blocking:
        return "error"
    return "info" if outcome.severity == Severity.INFO else "warn"
