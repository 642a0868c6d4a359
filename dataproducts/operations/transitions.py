"""Steps of the lifecycle of products, and reviews of them, as they were made; it must not know which are allowed."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, insert, select

from dataproducts.database import as_utc
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

_EMPTY: Mapping[str, Any] = MappingProxyType({})

REVIEW = "review"
"""The kind of an entry that leaves the status as it is."""

REVIEWED = "reviewed"
"""The key of a review's `detail` that lists what was looked at in particular."""


@dataclass(frozen=True, slots=True)
class Transition:
    """A step of `product` from one status to another, or a review, by `actor` for `reason`; never changed afterwards.

    `detail` holds what else was settled: `successor`, `sunset`, `forced`, `release`, `next_review`, `reviewed` …
    Days are text.
    """

    product: str
    version: str
    kind: str  # promote, deprecate, retire, reinstate or review
    from_status: str
    to_status: str
    at: datetime
    actor: str
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def record(con: Connection, transition: Transition) -> None:
    """Add `transition` to the history of its product, in the caller's transaction."""
    t = transition
    con.execute(
        insert(s.transition),
        {
            "product": t.product,
            "version": t.version,
            "kind": t.kind,
            "from_status": t.from_status,
            "to_status": t.to_status,
            "at": as_utc(t.at),
            "actor": t.actor,
            "reason": t.reason,
            "detail": dict(t.detail),
        },
    )


def history(con: Connection, product: str) -> tuple[Transition, ...]:
    """Return everything that was recorded of `product`, oldest first."""
    t = s.transition.c
    found = con.execute(select(s.transition).where(t.product == product).order_by(t.id))
    return tuple(map(_transition, found))


def last_step(con: Connection, product: str) -> Transition | None:
    """Return the last step of `product`, reviews aside; None if it never made one."""
    t = s.transition.c
    wanted = select(s.transition).where(t.product == product, t.kind != REVIEW).order_by(t.id.desc()).limit(1)
    row = con.execute(wanted).first()
    return None if row is None else _transition(row)


def last_steps(con: Connection) -> dict[str, Transition]:
    """Return the last step of every product that made one, reviews aside, by address."""
    return _last(con, s.transition.c.kind != REVIEW)


def last_reviews(con: Connection) -> dict[str, Transition]:
    """Return the last review of every product that was reviewed, by address."""
    return _last(con, s.transition.c.kind == REVIEW)


def _last(con: Connection, which: Any) -> dict[str, Transition]:
    t = s.transition.c
    newest = select(func.max(t.id)).where(which).group_by(t.product)
    found = con.execute(select(s.transition).where(t.id.in_(newest)).order_by(t.product))
    return {row.product: _transition(row) for row in found}


def _transition(row: Row[Any]) -> Transition:
    return Transition(
        product=row.product,
        version=row.version,
        kind=row.kind,
        from_status=row.from_status,
        to_status=row.to_status,
        at=row.at,
        actor=row.actor,
        reason=row.reason,
        detail=MappingProxyType(dict(row.detail)),
    )
