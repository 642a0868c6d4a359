"""Figures of the operations database as it stands, for whoever plots them over time; it must not know who does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from dataproducts.operations import schema as s
from dataproducts.operations.incidents import RESOLVED
from dataproducts.operations.outbox import WAITING

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest measurement of an objective over one window; absent figures are None."""

    product: str
    objective: str
    days: float
    attainment: float | None
    budget_left: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What refreshes of a product that ended in one way cost, all together."""

    product: str
    outcome: str
    refreshes: int
    wall_s: float
    cpu_s: float
    rows: int
    bytes: int


def open_incidents(con: Connection) -> dict[tuple[str, str, str], int]:
    """Return the incidents that are not resolved: (product, severity, state) -> incidents."""
    t = s.incident.c
    keys = (t.product, t.severity, t.state)
    rows = con.execute(select(*keys, func.count().label("n")).where(t.state != RESOLVED).group_by(*keys))
    return {(row.product, row.severity, row.state): int(row.n) for row in rows}


def notices(con: Connection) -> dict[str, int]:
    """Return how many notices are in each state."""
    t = s.notice.c
    return {row.state: int(row.n) for row in con.execute(select(t.state, func.count().label("n")).group_by(t.state))}


def oldest_failing(con: Connection) -> datetime | None:
    """Return since when the notice that has failed longest could not be sent; None if none fails."""
    t = s.notice.c
    found: datetime | None = con.execute(select(func.min(t.failing_since)).where(t.state == WAITING)).scalar()
    return found


def measured(con: Connection) -> tuple[Measured, ...]:
    """Return the newest measurement of every objective and window."""
    t = s.measurement.c
    newest = select(t.product, t.objective, t.days, func.max(t.at).label("at")).group_by(t.product, t.objective, t.days)
    n = newest.subquery()
    same = (t.product == n.c.product) & (t.objective == n.c.objective) & (t.days == n.c.days) & (t.at == n.c.at)
    query = select(s.measurement).join_from(s.measurement, n, same).order_by(t.product, t.objective, t.days)
    return tuple(
        Measured(row.product, row.objective, row.days, row.attainment, row.budget_left) for row in con.execute(query)
    )


def costs(con: Connection) -> tuple[Cost, ...]:
    """Return what all refreshes cost, a product and outcome."""
    t = s.refresh_cost.c
    sums = [func.sum(column).label(column.name) for column in (t.wall_s, t.cpu_s, t.rows, t.bytes)]
    query = select(t.product, t.outcome, func.count().label("n"), *sums).group_by(t.product, t.outcome)
    return tuple(
        Cost(row.product, row.outcome, int(row.n), float(row.wall_s), float(row.cpu_s), int(row.rows), int(row.bytes))
        for row in con.execute(query.order_by(t.product, t.outcome))
    )


def health(con: Connection) -> dict[str, float]:
    """Return the newest data-health score of every product that has one."""
    t = s.health.c
    newest = select(t.product, func.max(t.at).label("at")).group_by(t.product).subquery()
    same = (t.product == newest.c.product) & (t.at == newest.c.at)
    rows = con.execute(select(t.product, t.score).join_from(s.health, newest, same))
    return {row.product: float(row.score) for row in rows}


def alive(con: Connection) -> dict[str, datetime]:
    """Return when each of what watches was last alive, by the name of its bookmark."""
    t = s.bookmark.c
    return {row.name: row.at for row in con.execute(select(t.name, t.at).order_by(t.name))}
