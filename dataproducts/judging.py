"""Which results a set of table versions needs, and getting those that are not there yet; it must not publish.

A result is known by everything that it read: the rule, the contract's hash, every table version, and the code of the
project that a custom rule runs. A version that is carried over keeps its results for as long as none of those changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.gate import Judgement, Subject, judge
from dataproducts.history import columns_together, joined_rows, rows_of, settled
from dataproducts.past import pasts
from dataproducts.product import RuleKind, TableRef
from dataproducts.release import StoredResult
from dataproducts.rules.custom import object_of
from dataproducts.rules.predicates import CLOCK_KINDS, ROW_KINDS
from dataproducts.rules.quarantine import limited
from dataproducts.rules.reads import rule_reads
from dataproducts.transforms.code import code_of
from dataproducts.verdict import RuleResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    import duckdb

    from dataproducts.product import DataProduct, Rule, Table
    from dataproducts.release import Version
    from dataproducts.scene import Scene
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Needed:
    """One result that must exist: `rule` on `table`, or on one partition of it, under `key`."""

    key: str
    table: Table
    rule: Rule
    partition: str | None


def needed(
    scene: Scene, table: Table, *, settled: bool = True, custom: Mapping[str, Callable[..., Any]] | None = None
) -> tuple[Needed, ...]:
    """Return every result that `table` needs in this scene: row rules once a version, the others once.

    `custom` holds the objects that custom rules name: a result counts for the code that they run now.

    Rules on rows hold partition by partition, so that a day's load needs a day's results. Without `settled`, those are
    left out that the base was published with, under the same contract; a release asks for them all the same.
    """
    own = TableRef(scene.product.address, table.name)
    versions = scene.of(own)
    is_same = scene.base is not None and scene.base.contracts.get(table.name) == table.contract_hash
    by_row = scene.made(table.name) if is_same and not settled else versions
    found: list[Needed] = []
    for rule in table.rules:
        if table.partitioning and rule.kind in ROW_KINDS:
            found += [Needed(_key(rule, table, {own: (v,)}), table, rule, v.partition) for v in by_row]
            continue
        reads = {own: versions} | {ref: scene.of(ref) for ref in _refs(scene, rule, table)}
        # Age grows while nothing is written: what forbids publication by it is asked again by each refresh.
        ages = rule.kind in CLOCK_KINDS and rule.blocking
        moment = scene.refresh.id if ages else ""
        key = _key(rule, table, reads, moment, code=_code(rule, custom or {}))
        found.append(Needed(key, table, rule, None))
    return tuple(found)


def judge_missing(
    warehouse: Warehouse,
    con: duckdb.DuckDBPyConnection,
    scene: Scene,
    *,
    tables: Iterable[Table],
    settled: bool = True,
) -> dict[str, tuple[RuleResult, ...]]:
    """Judge and record what `tables` need and the ledger does not hold; return what was judged, by table name.

    `settled` says whether to look for the results that the base was published with, too, as `needed` does.
    What failed and forbids publication is judged again: it may have been the disk that failed, and the verdict has to
    show it. Every result lands in the ledger, failed ones too, before this returns.
    """
    fresh: dict[str, tuple[RuleResult, ...]] = {}
    for table in tables:
        wanted = needed(scene, table, settled=settled, custom=warehouse.custom)
        known = warehouse.ledger.passed(need.key for need in wanted)
        missing = [need for need in wanted if need.key not in known or (need.rule.blocking and not known[need.key])]
        if not missing:
            continue
        results = judge_needed(warehouse, con, scene, table, missing).results
        keys = {(need.rule.name, need.partition): need.key for need in missing}
        at = warehouse.recorded_at()
        warehouse.ledger.record_results(
            [_stored(result, keys[result.rule.name, result.partition], scene, table, at) for result in results]
        )
        fresh[table.name] = results
    return fresh


def judge_needed(
    warehouse: Warehouse,
    con: duckdb.DuckDBPyConnection,
    scene: Scene,
    table: Table,
    missing: Sequence[Needed],
    *,
    believe: bool = True,
) -> Judgement:
    """Judge the `missing` results of one table in this scene, recording nothing.

    Without `believe`, what the ledger knows of files and of the last release counts for nothing, and all is read.
    """
    rules = tuple({need.rule.name: need.rule for need in missing}.values())
    subject = _subject(warehouse, scene, table, missing, believe=believe)
    judgement = judge(con, table, subject, rules=rules)
    found = {(result.rule.name, result.partition): result for result in judgement.results}
    # Fail closed: a rule without a result has failed, under its own name.
    results = tuple(
        found.get((need.rule.name, need.partition))
        or RuleResult(need.rule, passed=False, total_rows=0, partition=need.partition, error="the gate gave no result")
        for need in missing
    )
    return Judgement(limited(table, scene.table(table.name), results), judgement.passes)


def _subject(warehouse: Warehouse, scene: Scene, table: Table, missing: Sequence[Needed], *, believe: bool) -> Subject:
    """What the `missing` results of `table` are judged on."""
    versions = scene.table(table.name)
    schema = columns_together(versions)
    rules = tuple({need.rule.name: need.rule for need in missing}.values())
    parts = {need.partition for need in missing if need.partition}
    partitions = None
    if table.partitioning:
        partitions = {
            v.partition: rows_of(warehouse, [v], schema, believe=believe)
            for v in versions
            if v.partition and v.partition in parts
        }

    def key(rule: Rule, reads: Mapping[TableRef, Sequence[Version]]) -> str:
        return _key(rule, table, reads)

    return Subject(
        rows=rows_of(warehouse, versions, schema, believe=believe),
        now=warehouse.now(),
        lookup=lambda ref: rows_of(warehouse, scene.of(ref), columns_together(scene.of(ref)), believe=believe),
        partitions=partitions,
        joined=joined_rows(warehouse, versions, schema),
        names=_relations(warehouse, scene, table, rules),
        custom=warehouse.custom,
        history=settled(warehouse, scene, table, rules, key=key) if believe else None,
        pasts=pasts(warehouse, scene, table, rules),
    )


def _relations(warehouse: Warehouse, scene: Scene, table: Table, rules: Iterable[Rule]) -> dict[str, str]:
    """The tables that SQL rules read by name, as SQL."""
    names = {name for rule in rules for name in rule_reads(rule, table) if isinstance(name, str)}
    return {
        name: warehouse.store.version_relation(scene.versions[ref])
        for name, ref in scene.names.items()
        if name in names and scene.versions.get(ref)
    }


def _refs(scene: Scene, rule: Rule, table: Table) -> tuple[TableRef, ...]:
    """The other tables that `rule` reads, by address; a name that nothing has lets the rule fail in the gate."""
    own = TableRef(scene.product.address, table.name)
    reads = (read if isinstance(read, TableRef) else scene.names.get(read) for read in rule_reads(rule, table))
    return tuple(ref for ref in reads if ref is not None and ref != own)


def _key(
    rule: Rule, table: Table, reads: Mapping[TableRef, Sequence[Version]], moment: str = "", *, code: str = ""
) -> str:
    # Rules, tables and versions have names without blanks and line ends, so that no two subjects read alike.
    subject = (f"{ref} {' '.join(sorted(v.id for v in versions))}" for ref, versions in reads.items())
    text = "\n".join((rule.name, table.contract_hash, moment, *sorted(subject), *([code] if code else [])))
    return hashlib.sha256(text.encode()).hexdigest()


def _code(rule: Rule, custom: Mapping[str, Callable[..., Any]]) -> str:
    """The digest of what `rule` runs of the project; empty if that is nothing."""
    name = object_of(rule) if rule.kind is RuleKind.CUSTOM else ""
    return code_of(name, custom[name]) if name in custom else ""


def unjudged_code(
    warehouse: Warehouse, product: DataProduct, table: Table, versions: Sequence[Version]
) -> tuple[str, ...]:
    """Return the names of the custom rules of `table` that nobody judged on `versions` by the code they run now."""
    reads = {TableRef(product.address, table.name): versions}
    codes = ((rule, _code(rule, warehouse.custom)) for rule in table.rules)
    keys = {rule.name: _key(rule, table, reads, code=code) for rule, code in codes if code}
    known = warehouse.ledger.passed(keys.values())
    return tuple(name for name, key in keys.items() if key not in known)


def _stored(result: RuleResult, key: str, scene: Scene, table: Table, at: datetime) -> StoredResult:
    rule = result.rule
    return StoredResult(
        key=key,
        product=scene.product.address,
        table=table.name,
        partition=result.partition,
        rule=rule.name,
        passed=result.passed,
        blocking=rule.blocking,
        refresh_id=scene.refresh.id,
        run_id=scene.refresh.run_id,
        judged_at=at,
        detail=result_detail(result),
    )


def result_detail(result: RuleResult) -> dict[str, object]:
    """Return what a result found as plain JSON values; units: rows, or the rule's own for `observed`."""
    rule = result.rule
    return {
        "kind": str(rule.kind),
        "dimension": str(rule.dimension),
        "severity": str(rule.severity),
        "criticality": rule.criticality,
        "threshold": str(rule.threshold),
        "observed": result.observed,
        "failed_rows": result.failed_rows,
        "total_rows": result.total_rows,
        "message": result.message,
        "error": result.error,
        "method": result.method,
        "sample": [{name: _plain(value) for name, value in row.items()} for row in result.sample],
    }


def _plain(value: object) -> object:
    """A sampled value as JSON has it; what JSON lacks becomes text."""
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def blocking_keys(scene: Scene, tables: Collection[Table], custom: Mapping[str, Callable[..., Any]]) -> frozenset[str]:
    """Return the keys of the results without which `tables` may not be published."""
    wanted = (need for table in tables for need in needed(scene, table, custom=custom))
    return frozenset(need.key for need in wanted if need.rule.blocking)
