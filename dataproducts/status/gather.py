"""Reads how products are doing from the ledger and the operations database; it must not write, or know how it looks."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from dataproducts.database import as_utc
from dataproducts.errors import UnknownNameError
from dataproducts.finding import Finding
from dataproducts.ledger import figures, timeline
from dataproducts.lifecycle.states import stand
from dataproducts.objective import IndicatorKind
from dataproducts.operations import costs, health, measurements
from dataproducts.operations import schema as s
from dataproducts.operations.incidents import listed
from dataproducts.operations.transitions import REVIEW, history
from dataproducts.releases import list_releases
from dataproducts.slo.actions import shown_tier
from dataproducts.slo.evaluate import evaluate
from dataproducts.slo.facts import Facts
from dataproducts.slo.findings import missing
from dataproducts.slo.freshness import newest_at, watched
from dataproducts.status.health import read_health
from dataproducts.status.model import SPANS, Budget, Judgement, Neighbour, Status, TableNow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct
    from dataproducts.releases import ReleaseRow
    from dataproducts.slo.evaluate import Attained
    from dataproducts.warehouse import Warehouse

_SPAN = timedelta(days=SPANS[-1])
_RELEASES = 100
_OPENINGS = ("opened", "reopened")  # among the events of an incident


def read_status(
    warehouse: Warehouse,
    operations: Connection | None,
    product: DataProduct,
    *,
    known: Mapping[str, DataProduct],
    now: datetime,
    budgets: bool = False,
) -> Status:
    """Return how `product` is doing at `now`; `known` are all products, among which its readers are found.

    `operations` is None where nothing was ever recorded beside the ledger. Histories reach back 90 days; those of
    error budgets, which are long, are read with `budgets` alone.
    Raises: StoreError, if the ledger or the operations database cannot be read.
    """
    clock, since = warehouse.frozen_clock, now - _SPAN
    production = warehouse.environment.is_production
    attained = evaluate(product, warehouse.ledger, operations, now=now, clock=clock, production=production)
    late = missing(product, warehouse.ledger, operations, now=now, clock=clock, production=production)
    every = history(operations, product.address) if operations is not None else ()
    steps = tuple(step for step in every if step.at <= now)
    last = next((step for step in reversed(steps) if step.kind != REVIEW), None)
    return Status(
        product=product,
        at=now,
        clock=warehouse.now() if warehouse.environment.clock is not None else None,
        is_replay=warehouse.is_replay,
        environment=warehouse.environment.name,
        standing=stand(product.address, product, last, production=production),
        health=read_health(operations, product, attained, production=production, now=now),
        attained=attained,
        shown_tier=shown_tier(product, attained),
        late_load=str(late.detail["message"]) if isinstance(late, Finding) else "",
        tables=table_ages(warehouse, operations, product, now),
        releases=tuple(one for one in _releases(warehouse, product.address) if one.published_at <= now),
        transitions=steps,
        incidents=_incidents(operations, product.address, since),
        opened=_opened(operations, product.address, since, now),
        costs=costs.history(operations, product.address, since=since, until=now) if operations is not None else (),
        scores=health.history(operations, product.address, since=since, until=now) if operations is not None else (),
        judged=_judged(warehouse, product.address, since),
        budgets=tuple(_budgets(operations, attained, since)) if budgets else (),
        upstream=_upstream(product),
        downstream=_downstream(product, known.values()),
        reviewed=next((step for step in reversed(steps) if step.kind == REVIEW), None),
    )


def _incidents(con: Connection | None, address: str, since: datetime) -> tuple[Incident, ...]:
    if con is None:
        return ()
    return tuple(
        one
        for one in listed(con, product=address)
        if one.is_open or one.opened_at >= since or (one.resolved_at is not None and one.resolved_at >= since)
    )


def _opened(con: Connection | None, address: str, since: datetime, now: datetime) -> tuple[datetime, ...]:
    """When an incident of the product was opened or reopened."""
    if con is None:
        return ()
    e = s.incident_event.c
    mine = select(s.incident.c.id).where(s.incident.c.product == address)
    within = (e.incident_id.in_(mine), e.kind.in_(_OPENINGS), e.at >= as_utc(since), e.at <= as_utc(now))
    return tuple(con.execute(select(e.at).where(*within).order_by(e.at)).scalars())


def table_ages(
    warehouse: Warehouse, operations: Connection | None, product: DataProduct, now: datetime
) -> tuple[TableNow, ...]:
    """Return the tables of the current release, with their ages.

    An age counts by the column that a freshness objective names, if one does, else by valid thru. It counts to a
    simulated clock that stands still, where there is one, else to `now`.
    """
    clock = warehouse.frozen_clock
    indicators = [o.indicator for o in product.objectives if o.indicator.kind is IndicatorKind.FRESHNESS]
    newest: dict[str, datetime | None] = {}
    with warehouse.ledger.reading() as con:
        found = [table for table in figures.current_tables(con) if table.product == product.address]
        facts = Facts(product, con, operations, now=now, since=now - _SPAN, clock=clock)
        for indicator in indicators:
            newest |= {table.name: newest_at(facts, table, indicator) for table in watched(product, indicator)}
    reached = {one.table: newest.get(one.table) or one.valid_thru for one in found}
    return tuple(
        TableNow(
            name=one.table,
            published=one.table in product.published,
            rows=one.rows,
            bytes=one.bytes,
            valid_thru=until,
            age=(clock or now) - until if until else None,
        )
        for one in found
        for until in (reached[one.table],)
    )


def _releases(warehouse: Warehouse, address: str) -> tuple[ReleaseRow, ...]:
    try:
        return list_releases(warehouse.ledger, address, limit=_RELEASES)
    except UnknownNameError:
        return ()


def _judged(warehouse: Warehouse, address: str, since: datetime) -> tuple[Judgement, ...]:
    """What each refresh judged, one entry for each that judged anything."""
    with warehouse.ledger.reading() as con:
        found = timeline.judged(con, address, since)
    moments: dict[str, datetime] = {}
    for one in found:
        moments[one.refresh_id] = max(one.judged_at, moments.get(one.refresh_id, one.judged_at))
    rules = Counter(one.refresh_id for one in found)
    failed = Counter(one.refresh_id for one in found if one.failures)
    ordered = sorted(moments.items(), key=lambda pair: (pair[1], pair[0]))
    return tuple(Judgement(at, rules[refresh], failed[refresh]) for refresh, at in ordered)


def _budgets(con: Connection | None, attained: Iterable[Attained], since: datetime) -> Iterator[Budget]:
    if con is None:
        return
    for one in attained:
        window = one.objective.window
        days = 0.0 if window.period else float(window.days)
        found = measurements.history(con, one.product, one.objective.name, days=days, since=since)
        yield Budget(one.objective.name, tuple((m.at, m.budget_left) for m in found if m.at <= one.at))


def _upstream(product: DataProduct) -> tuple[Neighbour, ...]:
    ports: dict[str, list[str]] = {}
    for port in product.inputs:
        ports.setdefault(port.source.product if port.source else port.contract_id, []).append(port.name)
    sources = {server.name: server for table in product.tables for server in table.servers}
    return (
        *(Neighbour(name, (server.type,), is_product=False) for name, server in sorted(sources.items())),
        *(Neighbour(name, tuple(found)) for name, found in sorted(ports.items())),
    )


def _downstream(product: DataProduct, known: Iterable[DataProduct]) -> tuple[Neighbour, ...]:
    found = []
    for other in known:
        read = tuple(
            port.source.table for port in other.inputs if port.source and port.source.product == product.address
        )
        if read:
            found.append(Neighbour(other.address, tuple(dict.fromkeys(read))))
    return tuple(sorted(found, key=lambda one: one.name))
