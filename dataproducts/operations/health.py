"""Data-health scores of products as they were found; it must not know how one is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from dataproducts.database import as_utc
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection, Row

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_RARELY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Scored:
    """The score of `product`, 0 to 100, at a moment; `detail` holds what it was made of."""

    product: str
    at: datetime
    score: float
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def record(con: Connection, scored: Scored) -> bool:
    """Keep a score in the caller's transaction, and return whether it says something new.

    One that is made of the same as the last is kept if that is an hour old; nothing is kept for a moment before it.
    """
    before = latest(con, scored.product)
    if before is not None and (scored.at <= before.at or (_same(before, scored) and scored.at - before.at < _RARELY)):
        return False
    row = {"product": scored.product, "at": as_utc(scored.at), "score": scored.score, "detail": dict(scored.detail)}
    con.execute(insert(s.health), row)
    return True


def latest(con: Connection, product: str) -> Scored | None:
    """Return the last score of `product`; None if there is none."""
    t = s.health.c
    row = con.execute(select(s.health).where(t.product == product).order_by(t.at.desc()).limit(1)).first()
    return None if row is None else _scored(row)


def history(con: Connection, product: str, *, since: datetime, until: datetime) -> tuple[Scored, ...]:
    """Return the scores of `product` from `since` to `until`, oldest first."""
    t = s.health.c
    mine = (t.product == product, t.at >= as_utc(since), t.at <= as_utc(until))
    return tuple(map(_scored, con.execute(select(s.health).where(*mine).order_by(t.at))))


def _same(one: Scored, other: Scored) -> bool:
    return one.score == other.score and dict(one.detail) == dict(other.detail)


def _scored(row: Row[Any]) -> Scored:
    return Scored(row.product, row.at, float(row.score), MappingProxyType(dict(row.detail)))
