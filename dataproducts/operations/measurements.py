"""What objectives were measured to be, as a history; it must not know how they are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from dataproducts.database import as_utc
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

_EMPTY: Mapping[str, Any] = MappingProxyType({})

RARELY = timedelta(hours=1)
"""How often a measurement whose figures do not change is kept."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One objective of `product`, measured at `at` over the `days` before; 0 days stand for a calendar window.

    Units: `good` and `total` are events, hours for what is timed. `attainment` is 0 to 1, and None, as `budget_left`
    is, where nothing was to be counted. `detail` holds the unit, the state, and the burn rates.
    """

    product: str
    objective: str
    at: datetime
    days: float
    good: float
    total: float
    target: float
    attainment: float | None
    budget_left: float | None
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def record(con: Connection, measured: Iterable[Measurement]) -> int:
    """Keep what says something new, in the caller's transaction; return how many that were.

    A measurement whose figures are those of the last one is kept if that is an hour old: a watch that looks every
    minute leaves one row an hour. Nothing is kept twice for one moment.
    """
    fresh: list[dict[str, Any]] = []
    last: dict[str, dict[tuple[str, float], Measurement]] = {}
    for one in measured:
        known = last.setdefault(one.product, {}) or _by_window(con, one.product)
        last[one.product] = known
        before = known.get((one.objective, one.days))
        if before is not None and (one.at <= before.at or (_same(before, one) and one.at - before.at < RARELY)):
            continue
        known[one.objective, one.days] = one
        fresh.append(_row(one))
    if fresh:
        con.execute(insert(s.measurement), fresh)
    return len(fresh)


def latest(con: Connection, product: str) -> tuple[Measurement, ...]:
    """Return the last measurement of each objective and window of `product`, by objective and days."""
    found = _by_window(con, product)
    return tuple(found[key] for key in sorted(found))


def history(
    con: Connection, product: str, objective: str, *, days: float, since: datetime | None = None
) -> tuple[Measurement, ...]:
    """Return the measurements of one objective over one window, oldest first."""
    t = s.measurement.c
    query = select(s.measurement).where(t.product == product, t.objective == objective, t.days == days).order_by(t.at)
    return tuple(map(_measurement, con.execute(query if since is None else query.where(t.at >= since))))


def _by_window(con: Connection, product: str) -> dict[tuple[str, float], Measurement]:
    t = s.measurement.c
    newest = select(t.objective, t.days, func.max(t.at).label("at")).where(t.product == product)
    last = newest.group_by(t.objective, t.days).subquery().c
    same = (t.product == product) & (t.objective == last.objective) & (t.days == last.days) & (t.at == last.at)
    rows = con.execute(select(s.measurement).where(same))
    return {(row.objective, row.days): _measurement(row) for row in rows}


def _same(one: Measurement, other: Measurement) -> bool:
    return (one.good, one.total, one.target) == (other.good, other.total, other.target)


def _row(one: Measurement) -> dict[str, Any]:
    return {
        "product": one.product,
        "objective": one.objective,
        "at": as_utc(one.at),
        "days": one.days,
        "good": one.good,
        "total": one.total,
        "target": one.target,
        "attainment": one.attainment,
        "budget_left": one.budget_left,
        "detail": dict(one.detail),
    }


def _measurement(row: Row[Any]) -> Measurement:
    return Measurement(
        product=row.product,
        objective=row.objective,
        at=row.at,
        days=row.days,
        good=row.good,
        total=row.total,
        target=row.target,
        attainment=row.attainment,
        budget_left=row.budget_left,
        detail=MappingProxyType(dict(row.detail)),
    )
