"""Judging again what is published, and recording it: time breaks promises while nobody loads anything.

It must not change a release, or let one pass: what an audit finds is kept under keys that no publication asks for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dataproducts.errors import few
from dataproducts.judging import judge_needed, needed, result_detail
from dataproducts.partitions import after, due
from dataproducts.product import RuleKind
from dataproducts.release import AUDIT, Refresh, StoredResult
from dataproducts.rules.footers import GUARD
from dataproducts.rules.predicates import CLOCK_KINDS
from dataproducts.scene import compose
from dataproducts.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from dataproducts.product import DataProduct, Partitioning, Rule, Table
    from dataproducts.release import Version
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found of release `release`, by table; 0 where nothing was released, and nothing is judged."""

    release: int
    verdicts: dict[str, Verdict]


def audited_rules(product: DataProduct, *, every: bool = False) -> dict[str, tuple[Rule, ...]]:
    """Return the rules that an audit judges, by table: those that time alone can break, or every one."""
    rules = {t.name: tuple(r for r in t.rules if every or r.kind in CLOCK_KINDS) for t in product.tables}
    return {name: found for name, found in rules.items() if found}


def audit(warehouse: Warehouse, product: DataProduct, *, run_id: str, every: bool = False) -> Audited:
    """Judge the published tables of `product` by the clock of now, on all their rows, and record what is found.

    Of a table with partitions, a rule on freshness fails too if a partition is not published that was over longer ago
    than the rule allows: newer rows do not make up for it, and neither does an old partition that is loaded again.
    With `every`, all rules are judged and not only those that time alone can break.
    Raises: StoreError; RefusedError, if an upstream release does not offer what a port relies on.
    """
    head = warehouse.ledger.head(product.address)
    wanted = audited_rules(product, every=every)
    if head is None or not wanted:
        return Audited(head.number if head else 0, {})
    asof = Refresh(f"{AUDIT}-{run_id}", product.address, head.number, head.inputs, run_id, head.published_at)
    scene = compose(warehouse, product, asof, as_published=True)
    verdicts: dict[str, Verdict] = {}
    with warehouse.connect() as con:
        con.execute("SET disabled_optimizers = ?", [GUARD])
        for table in (table for table in product.tables if table.name in wanted):
            versions = scene.table(table.name)
            asked = [need for need in needed(scene, table, custom=warehouse.custom) if need.rule in wanted[table.name]]
            found = judge_needed(warehouse, con, scene, table, asked, believe=False)
            results = tuple(_with_gaps(result, table, versions, warehouse.now()) for result in found.results)
            rows = sum(version.rows for version in versions)
            verdicts[table.name] = Verdict(table.name, rows, results, {}, found.passes)
    at = warehouse.recorded_at()
    warehouse.ledger.record_results(
        [_stored(asof, name, result, at) for name, verdict in verdicts.items() for result in verdict.results]
    )
    return Audited(head.number, verdicts)


def _with_gaps(result: RuleResult, table: Table, versions: tuple[Version, ...], now: datetime) -> RuleResult:
    """Return `result`, failed if it is on freshness and a partition is missing that should have been published."""
    if result.rule.kind is not RuleKind.FRESHNESS or table.partitioning is None or not result.passed:
        return result
    allowed = timedelta(seconds=float(result.rule.params["max_age_s"]))
    missing = _missing(table.partitioning, {version.partition for version in versions}, now - allowed)
    if not missing:
        return result
    what = "partition that is over was" if len(missing) == 1 else "partitions that are over were"
    said = f"{len(missing)} {what} never published: {few(missing)}"
    return replace(result, passed=False, message=said)


def _missing(partitioning: Partitioning, held: set[str | None], by: datetime) -> list[str]:
    """Return the partitions that were over `by` then, and are not held."""
    every = due(partitioning, by)
    over = (day for day in every if datetime.combine(after(partitioning, day), datetime.min.time(), UTC) <= by)
    return [day.isoformat() for day in over if day.isoformat() not in held]


def _stored(asof: Refresh, table: str, result: RuleResult, at: datetime) -> StoredResult:
    rule = result.rule
    told = "\n".join((asof.id, asof.product, table, rule.name, result.partition or ""))
    return StoredResult(
        key=f"{AUDIT} {hashlib.sha256(told.encode()).hexdigest()}",
        product=asof.product,
        table=table,
        partition=result.partition,
        rule=rule.name,
        passed=result.passed,
        blocking=rule.blocking,
        refresh_id=asof.id,
        run_id=asof.run_id,
        judged_at=at,
        # What is wrong here can be read: those who read it are told.
        detail=result_detail(result) | {"published": True, "release": asof.base},
    )
