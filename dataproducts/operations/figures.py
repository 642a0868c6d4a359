"""Figures of the operations database as it stands, for whoever plots them over time; it must not know who does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from dataproducts.operations import schema as s
from dataproducts.operations.incidents import RESOLVED
from dataproducts.operations.measurements import RARELY
from dataproducts.operations.outbox import WAITING
from dataproducts.operations.transitions import last_steps
from dataproducts.product import Status

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.operations.transitions import Transition


@dataclass(frozen=True, slots=True)
class Measured:
    """The newest measurement of an objective over one window, and when it was made; absent figures are None."""

    product: str
    objective: str
    at: datetime
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
    """Return the newest measurement of every objective and window that is measured still.

    What is measured no more, since it was dropped or renamed, is left out, and so are products that were retired on
    record. A measurement that says nothing new is kept once an hour only: what was measured last together is what was
    kept less than that before the product's newest measurement.
    """
    t = s.measurement.c
    newest = select(t.product, t.objective, t.days, func.max(t.at).label("at")).group_by(t.product, t.objective, t.days)
    n = newest.subquery()
    same = (t.product == n.c.product) & (t.objective == n.c.objective) & (t.days == n.c.days) & (t.at == n.c.at)
    query = select(s.measurement).join_from(s.measurement, n, same).order_by(t.product, t.objective, t.days)
    found = [
        Measured(row.product, row.objective, row.at, row.days, row.attainment, row.budget_left)
        for row in con.execute(query)
    ]
    last = last_measured(con)
    return tuple(one for one in found if one.product in last and last[one.product] - one.at < RARELY)


def last_measured(con: Connection) -> dict[str, datetime]:
    """Return when each product's objectives were measured last, as far as that was kept; none that was retired."""
    t = s.measurement.c
    rows = con.execute(select(t.product, func.max(t.at).label("at")).group_by(t.product))
    steps = last_steps(con)
    return {row.product: row.at for row in rows if not _is_retired(steps.get(row.product))}


def _is_retired(last: Transition | None) -> bool:
    return last is not None and last.to_status == Status.RETIRED


def costs(con: Connection) -> tuple[Cost, ...]:
    """Return what all refreshes cost, a product and outcome."""
    t = s.refresh_cost.c
    sums = [func.sum(column).label(column.name) for column in (t.wall_s, t.cpu_s, t.rows, t.bytes)]
    query = select(t.product, t.outcome, func.count().label("n"), *sums).group_by(t.product, t.outcome)
    return tuple(
        Cost(row.product, row.outcome, int(row.n), float(row.wall_s), float(row.cpu_s), int(row.rows), int(row.bytes))
        for row in con.execute(query.order_by(t.product, t.outcome))
    )


def health(con: Connection) -> dict[str, tuple[float, datetime]]:
    """Return the newest data-health score of every product, and when it was made; as `measured`, if it still is."""
    t = s.health.c
    newest = select(t.product, func.max(t.at).label("at")).group_by(t.product).subquery()
    same = (t.product == newest.c.product) & (t.at == newest.c.at)
    rows = con.execute(select(t.product, t.at, t.score).join_from(s.health, newest, same))
    last = last_measured(con)
    return {
        row.product: (float(row.score), row.at)
        for row in rows
        if row.product in last and last[row.product] - row.at < RARELY
    }


def alive(con: Connection) -> dict[str, datetime]:
    """Return when each of what watches was last alive, by the name of its bookmark."""
    t = s.bookmark.c
    return {row.name: row.at for row in con.execute(select(t.name, t.at).order_by(t.name))}
