"""The gate: every rule of a contract judged on staged rows, fail closed; it must not know who staged or publishes them.

Row rules, NULL counts and freshness are counted in one pass; each uniqueness rule and each foreign key adds a pass over
its own columns. A rule that cannot be judged fails, with the reason; the others get their results all the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError, UsageError
from dataproducts.product import RuleKind
from dataproducts.rules.confine import confined
from dataproducts.rules.custom import run_custom
from dataproducts.rules.masking import mask_error
from dataproducts.rules.predicates import (
    COUNTED_KINDS,
    JUDGED,
    ROW_KINDS,
    failing_row,
    holds,
    in_unit,
    newest,
    orphan_row,
    orphans,
    repeated_row,
    surplus,
)
from dataproducts.rules.reads import query_of
from dataproducts.rules.scan import PARTITION, Counted, Measure, Proof, rejected, sample, scan
from dataproducts.rules.wording import duration, rows_found
from dataproducts.sql import literal, qualified, quote
from dataproducts.trial import columns_of, declared_types
from dataproducts.verdict import RuleResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from dataproducts.product import Rule, Table
    from dataproducts.rules.quarantine import Lookup

# What asking the engine, or another part, can raise; anything else is a defect and must not pass for a result.
_UNJUDGED = (duckdb.Error, DataProductError, LookupError, ArithmeticError, TypeError, ValueError)


@dataclass(slots=True)
class _Bench:
    """What judging one table needs at every step, and the results so far."""

    con: duckdb.DuckDBPyConnection
    table: Table
    relation: str
    lookup: Lookup
    now: datetime
    names: Mapping[str, str]
    custom: Mapping[str, Callable[..., Any]]
    total: int = 0
    unreadable: duckdb.Error | None = None
    results: dict[str, list[RuleResult]] = field(default_factory=dict)

    def add(self, rule: Rule, result: RuleResult) -> None:
        self.results.setdefault(rule.name, []).append(result)

    def fail(self, rule: Rule, error: BaseException, *, partition: str | None = None, total: int | None = None) -> None:
        rows = self.total if total is None else total
        why = mask_error(error, self.table)
        said = f"could not be judged: {why}"
        self.add(rule, RuleResult(rule, False, rows, partition=partition, message=said, error=why))  # noqa: FBT003


def judge(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    relation: str,
    *,
    lookup: Lookup,
    now: datetime,
    partitions: Mapping[str, str] | None = None,
    rules: Sequence[Rule] | None = None,
    names: Mapping[str, str] | None = None,
    custom: Mapping[str, Callable[..., Any]] | None = None,
    proofs: Sequence[Proof] = (),
) -> tuple[RuleResult, ...]:
    """Judge `rules` (all of the table's, unless given) on `relation`; every rule given comes back with a result.

    `relation` is SQL usable after FROM, over everything the table will consist of. With `partitions` (ISO date ->
    SQL over that partition's rows), row kinds are judged and reported partition by partition; other kinds once.
    `lookup` gives the tables that foreign keys point to, `names` those that SQL rules may read by bare name (the
    table itself is always among them), `custom` the objects that custom rules name. `now` without a zone is UTC.
    `proofs` may answer measures ahead of the scan; results say so in `method`.
    """
    chosen = tuple(table.rules if rules is None else rules)
    bench = _Bench(con, table, relation, lookup, now, {**(names or {}), table.name: relation}, custom or {})
    by_partition = [rule for rule in chosen if partitions is not None and rule.kind in ROW_KINDS]
    whole = [rule for rule in chosen if rule not in by_partition]
    _judge_counted(bench, [rule for rule in whole if rule.kind in _SCANNED], {None: relation}, proofs)
    if by_partition:
        parts: dict[str | None, str] = {day: sql for day, sql in (partitions or {}).items()}  # noqa: C416 - widens the key's type
        _judge_counted(bench, by_partition, parts, proofs)
    for rule in whole:
        if rule.kind not in _SCANNED:
            _judge_alone(bench, rule)
    for rule in chosen:
        if rule.name not in bench.results:
            bench.fail(rule, UsageError("there is no partition to judge it on"))
    return tuple(result for rule in chosen for result in bench.results[rule.name] if result.rule is rule)


def _judge_alone(bench: _Bench, rule: Rule) -> None:
    if bench.unreadable:
        bench.fail(rule, bench.unreadable)
        return
    try:
        _JUDGES[rule.kind](bench, rule)
    except _UNJUDGED as error:
        bench.fail(rule, error)


_SCANNED = COUNTED_KINDS | {RuleKind.FRESHNESS}


@dataclass(frozen=True, slots=True)
class _Rejects:
    """What one rule rejects in one relation; `predicate` is TRUE for such a row, and empty if rows are not known."""

    failed: int
    total: int
    relation: str
    predicate: str = ""
    method: str = "scan"
    sample: tuple[Mapping[str, Any], ...] = ()


def _judge_counted(
    bench: _Bench, rules: Sequence[Rule], relations: Mapping[str | None, str], proofs: Sequence[Proof]
) -> None:
    """Judge all of `rules` in one pass over `relations`, and keep the row count of an unpartitioned one."""
    predicates, measures, wrong = _measures(bench.table, rules, partitioned=None not in relations)
    try:
        found = scan(bench.con, relations, measures, proofs=proofs)
    except duckdb.Error as error:
        found = {part: Counted(errors=dict.fromkeys((r.name for r in rules), error)) for part in relations}
        bench.unreadable = error
    if None in found:
        bench.total = found[None].total
    for rule in rules:
        rejects: dict[str | None, _Rejects] = {}
        for part, counted in found.items():
            fault = wrong.get(rule.name) or counted.errors.get(rule.name)
            if fault:
                bench.fail(rule, fault, partition=part, total=counted.total)
            elif rule.kind is RuleKind.FRESHNESS:
                _freshness(bench, rule, counted)
            else:
                failed, method = int(counted.values.get(rule.name) or 0), counted.methods.get(rule.name, "scan")
                predicate = predicates[rule.name].replace(_THE_DAY, f"DATE {literal(part)}")
                rejects[part] = _Rejects(failed, counted.total, relations[part], predicate, method)
        _add_rejects(bench, rule, rejects)


_THE_DAY = f"CAST({qualified(JUDGED, PARTITION)} AS DATE)"


def _measures(
    table: Table, rules: Iterable[Rule], *, partitioned: bool
) -> tuple[dict[str, str], list[Measure], dict[str, Exception]]:
    """Predicates by rule name, what to measure, and why a rule cannot be measured."""
    predicates: dict[str, str] = {}
    measures: list[Measure] = []
    wrong: dict[str, Exception] = {}
    for rule in rules:
        try:
            if rule.kind is RuleKind.FRESHNESS:
                measures.append(Measure(rule, newest(rule, table)))
            else:
                predicates[rule.name] = failing_row(rule, table, partition=_THE_DAY if partitioned else None)
                measures.append(Measure(rule, rejected(predicates[rule.name])))
        except _UNJUDGED as error:
            wrong[rule.name] = error
    return predicates, measures, wrong


def _add_rejects(bench: _Bench, rule: Rule, rejects: Mapping[str | None, _Rejects]) -> None:
    """Compare what was rejected with the threshold, and show some rows where it fails."""
    observed = {part: in_unit(rule.threshold, found.failed, found.total) for part, found in rejects.items()}
    try:
        passed = {part: holds(rule.threshold, number) for part, number in observed.items()}
    except UsageError as error:
        for part, found in rejects.items():
            bench.fail(rule, error, partition=part, total=found.total)
        return
    failing = {
        part: (found.relation, found.predicate)
        for part, found in rejects.items()
        if found.predicate and found.failed and not passed[part]
    }
    samples = sample(bench.con, bench.table, rule, failing) if failing else {}
    for part, found in rejects.items():
        bench.add(
            rule,
            RuleResult(
                rule,
                passed[part],
                found.total,
                observed=observed[part],
                failed_rows=found.failed,
                partition=part,
                sample=samples.get(part, found.sample),
                message=rows_found(rule, found.failed, found.total),
                method=found.method,
            ),
        )


def _freshness(bench: _Bench, rule: Rule, counted: Counted) -> None:
    """Age of the newest moment; a table without one is not fresh, a moment still to come is."""
    try:
        allowed_s = float(rule.params["max_age_s"])
    except (KeyError, TypeError, ValueError):
        bench.fail(rule, UsageError("it gives no max_age_s"), total=counted.total)
        return
    moment, column = counted.values.get(rule.name), ", ".join(rule.columns)
    if moment is None:
        said = f"no row has a {column}: a table that holds nothing is not fresh"
        bench.add(rule, RuleResult(rule, False, counted.total, message=said))  # noqa: FBT003
        return
    now = bench.now if bench.now.tzinfo else bench.now.replace(tzinfo=UTC)
    age_s = now.timestamp() - float(moment)
    said = f"newest {column} is {duration(age_s)} old (at most {duration(allowed_s)})"
    method = counted.methods.get(rule.name, "scan")
    bench.add(rule, RuleResult(rule, age_s <= allowed_s, counted.total, observed=age_s, message=said, method=method))


def _duplicates(bench: _Bench, rule: Rule) -> None:
    failed = int(_one(bench, surplus(rule, bench.table, bench.relation)))
    predicate = repeated_row(rule, bench.table, bench.relation)
    _add_rejects(bench, rule, {None: _Rejects(failed, bench.total, bench.relation, predicate)})


def _foreign_key(bench: _Bench, rule: Rule) -> None:
    target = bench.lookup(rule.params["to"])
    predicate = orphan_row(rule, bench.table, target)
    failed = int(_one(bench, orphans(rule, bench.table, bench.relation, target)))
    _add_rejects(bench, rule, {None: _Rejects(failed, bench.total, bench.relation, predicate)})


def _row_count(bench: _Bench, rule: Rule) -> None:
    said = f"{bench.total} rows ({rule.threshold})"
    passed = holds(rule.threshold, bench.total)
    bench.add(rule, RuleResult(rule, passed, bench.total, observed=bench.total, message=said))


def _sql(bench: _Bench, rule: Rule) -> None:
    query = query_of(rule, bench.table)
    read = confined(query, bench.names)
    given = ", ".join(f"{quote(name)} AS NOT MATERIALIZED (SELECT * FROM {bench.names[name]})" for name in read)
    value = _one(bench, f"{f'WITH {given} ' if given else ''}SELECT * FROM ({query}\n)")
    if value is None:
        raise UsageError("the query gave NULL, which satisfies nothing")
    observed = float(value)
    said = f"the query gave {observed:g} ({str(rule.threshold).removesuffix(rule.threshold.unit).strip()})"
    passed = holds(rule.threshold, observed)
    bench.add(rule, RuleResult(rule, passed, bench.total, observed=observed, message=said))


def _one(bench: _Bench, query: str) -> Any:
    rows = bench.con.execute(query).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise UsageError("the query must give one row with one value")
    return rows[0][0]


def _custom(bench: _Bench, rule: Rule) -> None:
    found = run_custom(bench.con, bench.table, rule, bench.relation, named=bench.custom)
    rejects = _Rejects(found.failed, bench.total, bench.relation, sample=found.sample)
    _add_rejects(bench, rule, {None: rejects})


def _schema(bench: _Bench, rule: Rule) -> None:
    """Names and types, in any order; the types as the engine spells them, so that TEXT is VARCHAR."""
    actual = columns_of(bench.con, bench.relation)
    declared = declared_types(bench.con, bench.table.columns)
    faults = [f"column {name} is missing" for name in declared if name not in actual]
    faults += [f"column {name} is not in the contract" for name in actual if name not in declared]
    faults += [
        f"column {name} is {actual[name]}, not {kind}"
        for name, kind in declared.items()
        if name in actual and actual[name] != kind
    ]
    said = "; ".join(faults) or f"{len(declared)} columns as declared"
    result = RuleResult(rule, not faults, bench.total, observed=len(faults), message=said, method="schema")
    bench.add(rule, result)


def _text(bench: _Bench, rule: Rule) -> None:
    """Nobody can judge prose: the result says so, and blocks nothing."""
    said = "declared only: this rule is text and nothing checks it"
    bench.add(rule, RuleResult(rule, True, bench.total, message=said, method="declared-only"))  # noqa: FBT003


_JUDGES: dict[RuleKind, Callable[[_Bench, Rule], None]] = {
    RuleKind.UNIQUE: _duplicates,
    RuleKind.DUPLICATE_VALUES: _duplicates,
    RuleKind.FOREIGN_KEY: _foreign_key,
    RuleKind.ROW_COUNT: _row_count,
    RuleKind.SQL: _sql,
    RuleKind.CUSTOM: _custom,
    RuleKind.SCHEMA: _schema,
    RuleKind.TEXT: _text,
}
