"""What refreshes cost, as it was measured while they ran; it must not know how, or what is made of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from dataproducts.database import as_utc
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

RELEASED, REFUSED, FAILED = "released", "refused", "failed"
"""How a refresh ended, as `RefreshCost.outcome` says."""

REPLAYED = "replayed"
"""The key of `RefreshCost.detail` that is true where the seconds are those of a replay, not of the day replayed."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class RefreshCost:
    """What one refresh of `product` cost, and how it had ended by `at`.

    Units: `wall_s` are the seconds in which it worked, without what passed between its steps; `cpu_s` those of all
    processors; `rows` and `bytes` what it wrote to files of tables. `detail` holds `tables`: the same for each of them.
    """

    refresh_id: str
    product: str
    at: datetime
    outcome: str  # released, refused or failed
    wall_s: float
    cpu_s: float
    rows: int
    bytes: int
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def add(con: Connection, cost: RefreshCost) -> None:
    """Keep `cost` in the caller's transaction; on top of what an earlier attempt at the same refresh cost.

    The outcome is that of the last attempt, but what was released stays so.
    """
    t = s.refresh_cost
    same = (t.c.refresh_id == cost.refresh_id) & (t.c.product == cost.product)
    row = con.execute(select(t).where(same)).first()
    if row is None:
        con.execute(insert(t), {"refresh_id": cost.refresh_id, "product": cost.product} | _figures(cost))
        return
    before = _cost(row)
    tables = {name: dict(found) for name, found in before.detail.get("tables", {}).items()}
    for name, found in cost.detail.get("tables", {}).items():
        known = tables.setdefault(name, {})
        known.update({what: known.get(what, 0) + figure for what, figure in found.items()})
    both = RefreshCost(
        refresh_id=cost.refresh_id,
        product=cost.product,
        at=cost.at,
        outcome=RELEASED if RELEASED in (before.outcome, cost.outcome) else cost.outcome,
        wall_s=before.wall_s + cost.wall_s,
        cpu_s=before.cpu_s + cost.cpu_s,
        rows=before.rows + cost.rows,
        bytes=before.bytes + cost.bytes,
        detail={**cost.detail, "tables": tables},
    )
    con.execute(t.update().where(same).values(**_figures(both)))


def history(con: Connection, product: str, *, since: datetime, until: datetime) -> tuple[RefreshCost, ...]:
    """Return what the refreshes of `product` cost that ended from `since` to `until`, oldest first."""
    t = s.refresh_cost.c
    mine = (t.product == product, t.at >= as_utc(since), t.at <= as_utc(until))
    return tuple(map(_cost, con.execute(select(s.refresh_cost).where(*mine).order_by(t.at, t.refresh_id))))


def find(con: Connection, refresh_id: str, product: str) -> RefreshCost | None:
    """Return what one refresh cost; None if that was not recorded."""
    t = s.refresh_cost.c
    row = con.execute(select(s.refresh_cost).where(t.refresh_id == refresh_id, t.product == product)).first()
    return None if row is None else _cost(row)


def _figures(cost: RefreshCost) -> dict[str, Any]:
    return {
        "at": as_utc(cost.at),
        "outcome": cost.outcome,
        "wall_s": cost.wall_s,
        "cpu_s": cost.cpu_s,
        "rows": cost.rows,
        "bytes": cost.bytes,
        "detail": dict(cost.detail),
    }


def _cost(row: Row[Any]) -> RefreshCost:
    return RefreshCost(
        refresh_id=row.refresh_id,
        product=row.product,
        at=row.at,
        outcome=row.outcome,
        wall_s=float(row.wall_s),
        cpu_s=float(row.cpu_s),
        rows=int(row.rows),
        bytes=int(row.bytes),
        detail=MappingProxyType(dict(row.detail)),
    )
