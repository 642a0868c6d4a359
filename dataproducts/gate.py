"""The gate: every rule of a contract judged on staged rows, fail closed; it must not know who staged or publishes them.

Rules that reject single rows, NULL counts and freshness are counted together, by the cheapest exact proof of each; a
key, a foreign key or a query adds a pass over its own columns. A rule that cannot be judged fails, with the reason;
the others get their results all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError, UsageError
from dataproducts.product import RuleKind
from dataproducts.rules.count import THE_DAY, count
from dataproducts.rules.custom import declared_only, is_foreign, run_custom
from dataproducts.rules.dependency import broken_dependency, conflicting_row
from dataproducts.rules.facts import PROVED, Rows, proved_none
from dataproducts.rules.finding import Asked
from dataproducts.rules.masking import mask_error
from dataproducts.rules.passes import Passes
from dataproducts.rules.predicates import (
    COUNTED_KINDS,
    ROW_KINDS,
    failing_row,
    holds,
    in_unit,
    judged,
    newest,
    orphan_row,
    orphans,
    repeated_row,
)
from dataproducts.rules.scan import SAMPLED_ROWS, SCAN, Counted, Measure, rejected, sample, sample_together
from dataproducts.rules.unique import count_surplus, overlapping
from dataproducts.rules.whole import FINDERS, outlived
from dataproducts.rules.wording import duration, rows_found
from dataproducts.sql import literal
from dataproducts.trial import columns_of, declared_types
from dataproducts.verdict import Pass, RuleResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from dataproducts.product import Rule, Table, TableRef
    from dataproducts.rules.count import Joined
    from dataproducts.rules.finding import Past

# What asking the engine, or another part, can raise; anything else is a defect and must not pass for a result.
_UNJUDGED = (duckdb.Error, DataProductError, LookupError, ArithmeticError, TypeError, ValueError)
_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class History:
    """What the last release settled: the rows that are new since, those kept, and the rules that kept rows satisfy.

    `clean` names rules on the whole table that rejected no row of the last release, and reject none of the kept rows
    now: what they reject has a part in the new rows.
    """

    fresh: Rows
    kept: Rows
    clean: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What rules are judged on, and what they may read beside it.

    `rows` are those of the whole table, `partitions` those of each that row rules are judged on; absent, the table is
    judged as one. `joined` gives several partitions at once. `lookup` gives the rows of the table that a foreign key
    points to, `names` the SQL of those that queries read, `custom` the objects that custom rules name. `pasts` are the
    new versions, each with those that drift rules compare it with; without any, there is no history. Ages count from
    `now`.
    """

    rows: Rows
    now: datetime
    lookup: Callable[[TableRef], Rows]
    partitions: Mapping[str, Rows] | None = None
    joined: Joined | None = None
    names: Mapping[str, str] = field(default_factory=lambda: _NONE)
    custom: Mapping[str, Callable[..., Any]] = field(default_factory=lambda: _NONE)
    history: History | None = None
    pasts: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of every rule, and the passes that were made for them."""

    results: tuple[RuleResult, ...]
    passes: tuple[Pass, ...]


@dataclass(slots=True)
class _Bench:
    """What judging one table needs at every step, and the results so far."""

    con: duckdb.DuckDBPyConnection
    table: Table
    subject: Subject
    total: int = 0
    read: int = 0  # rows that the rule at hand looks at
    unreadable: duckdb.Error | None = None
    passes: Passes = field(default_factory=Passes)
    results: dict[str, list[RuleResult]] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        return self.subject.rows.sql

    def add(self, rule: Rule, result: RuleResult) -> None:
        self.results.setdefault(rule.name, []).append(result)

    def fail(self, rule: Rule, error: BaseException, *, partition: str | None = None, total: int | None = None) -> None:
        rows = self.total if total is None else total
        why = mask_error(error, self.table)
        said = f"could not be judged: {why}"
        self.add(rule, RuleResult(rule, False, rows, partition=partition, message=said, error=why))  # noqa: FBT003


def judge(
    con: duckdb.DuckDBPyConnection, table: Table, subject: Subject, *, rules: Sequence[Rule] | None = None
) -> Judgement:
    """Judge `rules` (all of the table's, unless given) on `subject`; every rule given comes back with a result.

    With partitions, rules on rows come back once for each of them, the others once for the whole table.
    """
    chosen = tuple(table.rules if rules is None else rules)
    bench = _Bench(con, table, subject)
    by_partition = [rule for rule in chosen if subject.partitions is not None and rule.kind in ROW_KINDS]
    whole = [rule for rule in chosen if rule not in by_partition]
    _judge_counted(bench, [rule for rule in whole if rule.kind in _SCANNED], {None: subject.rows})
    if by_partition:
        parts: dict[str | None, Rows] = {day: rows for day, rows in (subject.partitions or {}).items()}  # noqa: C416 - widens the key's type
        _judge_counted(bench, by_partition, parts)
    for rule in whole:
        if rule.kind not in _SCANNED:
            _judge_alone(bench, rule)
    for rule in chosen:
        if rule.name not in bench.results:
            bench.fail(rule, UsageError("there is no partition to judge it on"))
    results = tuple(result for rule in chosen for result in bench.results[rule.name] if result.rule is rule)
    return Judgement(results, tuple(bench.passes.made))


def _judge_alone(bench: _Bench, rule: Rule) -> None:
    if bench.unreadable:
        bench.fail(rule, bench.unreadable)
        return
    try:
        bench.read = 0 if rule.kind in _UNREAD else bench.total
        with bench.passes.timed(str(rule.kind)) as timing:
            _JUDGES[rule.kind](bench, rule)
            timing.method = bench.results[rule.name][-1].method
            timing.answered([rule.name], rows=bench.read)
    except _UNJUDGED as error:
        bench.fail(rule, error)


_SCANNED = COUNTED_KINDS | {RuleKind.FRESHNESS}
_UNREAD = frozenset({RuleKind.SCHEMA, RuleKind.TEXT, RuleKind.ROW_COUNT, RuleKind.DRIFT, RuleKind.ANOMALY})


@dataclass(frozen=True, slots=True)
class _Rejects:
    """What one rule rejects in one relation; `predicate` is TRUE for such a row, and empty if rows are not known."""

    failed: int
    total: int
    relation: str
    predicate: str = ""
    method: str = SCAN
    sample: tuple[Mapping[str, Any], ...] = ()
    near: str = ""  # the same for some of these rows, which are found sooner


_REPEATED_IN_PART = 8


def _judge_counted(bench: _Bench, rules: Sequence[Rule], parts: Mapping[str | None, Rows]) -> None:
    """Judge all of `rules` together on `parts`, and keep the row count of an unpartitioned one."""
    measures, wrong = _measures(bench.table, rules, partitioned=None not in parts)
    try:
        found = count(bench.con, bench.table, parts, measures, bench.passes, joined=bench.subject.joined)
    except duckdb.Error as error:
        found = {part: Counted(errors=dict.fromkeys((r.name for r in rules), error)) for part in parts}
        bench.unreadable = error
    if None in found:
        bench.total = found[None].total
    predicates = {measure.rule.name: measure.predicate for measure in measures}
    rejected_by: list[tuple[Rule, dict[str | None, _Rejects]]] = []
    for rule in rules:
        rejects: dict[str | None, _Rejects] = {}
        for part, counted in found.items():
            fault = wrong.get(rule.name) or counted.errors.get(rule.name)
            if fault:
                bench.fail(rule, fault, partition=part, total=counted.total)
            elif rule.kind is RuleKind.FRESHNESS:
                _freshness(bench, rule, counted)
            else:
                failed, method = int(counted.values.get(rule.name) or 0), counted.methods.get(rule.name, SCAN)
                predicate = predicates[rule.name].replace(THE_DAY, f"DATE {literal(part)}")
                rejects[part] = _Rejects(failed, counted.total, parts[part].sql, predicate, method)
        rejected_by.append((rule, rejects))
    _sample_together(bench, rejected_by)
    for rule, rejects in rejected_by:
        _add_rejects(bench, rule, rejects)


def _measures(table: Table, rules: Iterable[Rule], *, partitioned: bool) -> tuple[list[Measure], dict[str, Exception]]:
    """What to measure, and by name why a rule cannot be measured."""
    measures: list[Measure] = []
    wrong: dict[str, Exception] = {}
    for rule in rules:
        try:
            if rule.kind is RuleKind.FRESHNESS:
                measures.append(Measure(rule, newest(rule, table)))
            else:
                predicate = failing_row(rule, table, partition=THE_DAY if partitioned else None)
                measures.append(Measure(rule, rejected(predicate), predicate))
        except _UNJUDGED as error:
            wrong[rule.name] = error
    return measures, wrong


def _sample_together(bench: _Bench, rejected_by: Sequence[tuple[Rule, dict[str | None, _Rejects]]]) -> None:
    """Find rows to show for all rules that fail on a part of the table at once; a rule alone is left to itself."""
    failing: dict[str | None, list[tuple[Rule, dict[str | None, _Rejects]]]] = {}
    for rule, rejects in rejected_by:
        for part, found in rejects.items():
            if found.failed and not _passes(rule, found) and not _LISTED.search(found.predicate):
                failing.setdefault(part, []).append((rule, rejects))
    if len(failing) > _MOST_PARTS:
        return
    for part, several in failing.items():
        if len(several) > 1:
            wanted = [(rule, rejects[part].predicate, rejects[part].failed) for rule, rejects in several]
            samples = sample_together(bench.con, bench.table, several[0][1][part].relation, wanted)
            for (_, rejects), rows in zip(several, samples, strict=True):
                rejects[part] = replace(rejects[part], sample=rows)


def _passes(rule: Rule, found: _Rejects) -> bool:
    try:
        return holds(rule.threshold, in_unit(rule.threshold, found.failed, found.total))
    except UsageError:
        return True


# A list of values is planned as a join, after which rows come in another order each time: such a rule is left alone.
_LISTED = re.compile(r"\bIN\s*\(", re.IGNORECASE)
_MOST_PARTS = 4  # of more, one statement a rule finds the rows of all parts sooner


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
        part: found
        for part, found in rejects.items()
        if found.predicate and found.failed and not passed[part] and not found.sample
    }
    samples = _samples(
        bench, rule, {part: (found.relation, found.near) for part, found in failing.items() if found.near}
    )
    rest = {part: (found.relation, found.predicate) for part, found in failing.items() if not samples.get(part)}
    most = max((found.failed for found in failing.values()), default=0) if rule.kind in COUNTED_KINDS else SAMPLED_ROWS
    samples |= _samples(bench, rule, rest, most=min(most, SAMPLED_ROWS))
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


def _samples(
    bench: _Bench, rule: Rule, failing: Mapping[str | None, tuple[str, str]], *, most: int = SAMPLED_ROWS
) -> dict[str | None, tuple[Mapping[str, Any], ...]]:
    return sample(bench.con, bench.table, rule, failing, most=most) if failing else {}


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
    now = bench.subject.now if bench.subject.now.tzinfo else bench.subject.now.replace(tzinfo=UTC)
    age_s = now.timestamp() - float(moment)
    said = f"newest {column} is {duration(age_s)} old (at most {duration(allowed_s)})"
    method = counted.methods.get(rule.name, SCAN)
    bench.add(rule, RuleResult(rule, age_s <= allowed_s, counted.total, observed=age_s, message=said, method=method))


def _duplicates(bench: _Bench, rule: Rule) -> None:
    rows = _with_near_history(bench, rule) or bench.subject.rows
    bench.read = rows.facts.rows if rows.facts else bench.total
    failed, method = count_surplus(bench.con, rule, bench.table, rows)
    if rows is not bench.subject.rows:
        method += " of what may meet new rows"
    predicate = repeated_row(rule, bench.table, bench.relation)
    # Five rows to show are not worth a hash table of every key: a share of the keys is looked at first, in which some
    # of those that repeat are to be expected.
    parts = failed // _REPEATED_IN_PART
    near = repeated_row(rule, bench.table, bench.relation, parts=parts) if parts > 1 else ""
    _add_rejects(bench, rule, {None: _Rejects(failed, bench.total, bench.relation, predicate, method, near=near)})


def _with_near_history(bench: _Bench, rule: Rule) -> Rows | None:
    """The new rows and the carried files that may share a key with them, where the others are known to be clean."""
    history = bench.subject.history
    if history is None or rule.name not in history.clean:
        return None
    fresh, kept = history.fresh, history.kept
    if not (fresh.facts and kept.facts and kept.some):
        return None
    near = overlapping(bench.con, (fresh.facts, rule.columns), (kept.facts, rule.columns))
    if not near:
        return fresh
    sql = f"(SELECT * FROM {fresh.sql} UNION ALL BY NAME SELECT * FROM {kept.some(near)})"
    return Rows(sql, fresh.facts.with_files(kept.facts, near))


def _foreign_key(bench: _Bench, rule: Rule) -> None:
    target, history = bench.subject.lookup(rule.params["to"]), bench.subject.history
    predicate = orphan_row(rule, bench.table, target.sql)
    rows, method = bench.subject.rows, SCAN
    if history and rule.name in history.clean:
        rows, method = history.fresh, "scan of new rows"
        bench.read = rows.facts.rows if rows.facts else bench.total
    sql = orphans(rule, bench.table, rows.sql, _near(bench, rule, rows, target))
    _add_rejects(bench, rule, {None: _Rejects(_one(bench, sql), bench.total, bench.relation, predicate, method)})


def _near(bench: _Bench, rule: Rule, rows: Rows, target: Rows) -> str:
    """The target's files that may hold a key of `rows`, as SQL; all of them where too little is known."""
    to_columns = rule.params.get("to_columns") or ()
    if not (rows.facts and target.facts and target.some) or len(to_columns) != len(rule.columns):
        return target.sql
    try:
        near = overlapping(bench.con, (rows.facts, rule.columns), (target.facts, to_columns))
    except duckdb.Error:  # keys of different types: the join knows how to compare them
        return target.sql
    return target.some(near)


def _found(bench: _Bench, rule: Rule) -> None:
    """One number of the whole table, which rejects no single rows."""
    subject = bench.subject
    asked = Asked(bench.con, bench.table, subject.rows, subject.now, bench.total, subject.names, subject.pasts)
    found = FINDERS[rule.kind](asked, rule)
    bench.read = bench.read if found.method == SCAN else 0
    observed, said = found.observed, found.message
    result = RuleResult(rule, found.passed, bench.total, observed=observed, message=said, method=found.method)
    bench.add(rule, result)


def _dependency(bench: _Bench, rule: Rule) -> None:
    rows, method = bench.subject.rows, SCAN
    determinant = replace(rule, columns=tuple(rule.params.get("determinant") or ()))
    if near := _with_near_history(bench, determinant):
        rows, method = near, "scan of what may meet new rows"
        bench.read = rows.facts.rows if rows.facts else bench.total
    failed = _one(bench, broken_dependency(rule, bench.table, rows.sql))
    predicate = conflicting_row(rule, bench.table, bench.relation)
    _add_rejects(bench, rule, {None: _Rejects(failed, bench.total, bench.relation, predicate, method)})


def _retention(bench: _Bench, rule: Rule) -> None:
    predicate, method, failed = outlived(rule, bench.table, bench.subject.now), PROVED, 0
    facts = bench.subject.rows.facts
    if facts is None or not proved_none(bench.con, rule.columns[0], predicate, facts):
        failed, method = _one(bench, f"SELECT {rejected(predicate)} FROM {judged(bench.relation)}"), SCAN
    bench.read = bench.total if method == SCAN else 0
    _add_rejects(bench, rule, {None: _Rejects(failed, bench.total, bench.relation, predicate, method)})


def _one(bench: _Bench, query: str) -> Any:
    rows = bench.con.execute(query).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise UsageError("the query must give one row with one value")
    return rows[0][0]


def _custom(bench: _Bench, rule: Rule) -> None:
    if is_foreign(rule):
        said = declared_only(rule)
        bench.add(rule, RuleResult(rule, True, bench.total, message=said, method="declared-only"))  # noqa: FBT003
        return
    found = run_custom(bench.con, bench.table, rule, bench.relation, named=bench.subject.custom)
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


_JUDGES: dict[RuleKind, Callable[[_Bench, Rule], None]] = {
    RuleKind.UNIQUE: _duplicates,
    RuleKind.DUPLICATE_VALUES: _duplicates,
    RuleKind.FOREIGN_KEY: _foreign_key,
    RuleKind.FUNCTIONAL_DEPENDENCY: _dependency,
    RuleKind.RETENTION: _retention,
    **dict.fromkeys(FINDERS, _found),
    RuleKind.CUSTOM: _custom,
    RuleKind.SCHEMA: _schema,
}
