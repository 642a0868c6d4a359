"""Figures of the ledger as it stands, for whoever plots them over time; it must not know who does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from dataproducts.ledger import schema as s

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

RELEASED, REFUSED, UNREAD, FAILED, OPEN = "released", "refused", "unread", "failed", "open"
ENDED = (RELEASED, REFUSED, UNREAD, FAILED)
"""How a refresh can have ended: published, refused by a rule, without its source, or by another failure."""


@dataclass(frozen=True, slots=True)
class Current:
    """The current release of a product."""

    product: str
    number: int
    published_at: datetime


@dataclass(frozen=True, slots=True)
class CurrentTable:
    """One table of a current release: rows, bytes of its files, and until when it is complete, where it tells."""

    product: str
    table: str
    rows: int
    bytes: int
    valid_thru: datetime | None


def releases(con: Connection) -> dict[tuple[str, str], int]:
    """Return how many releases there ever were: (product, kind) -> releases."""
    t = s.release.c
    rows = con.execute(select(t.product, t.kind, func.count().label("n")).group_by(t.product, t.kind))
    return {(row.product, row.kind): int(row.n) for row in rows}


def current(con: Connection) -> tuple[Current, ...]:
    """Return the current release of every product."""
    h, r = s.head.c, s.release.c
    same = (h.product == r.product) & (h.number == r.number)
    query = select(h.product, h.number, r.published_at).join_from(s.head, s.release, same).order_by(h.product)
    return tuple(Current(row.product, row.number, row.published_at) for row in con.execute(query))


def current_tables(con: Connection) -> tuple[CurrentTable, ...]:
    """Return every table of every current release."""
    h, i, v, f = s.head.c, s.release_item.c, s.version.c, s.version_file.c
    summed = select(f.version_id, func.sum(f.bytes).label("bytes")).where(~f.quarantine)
    sizes = summed.group_by(f.version_id).subquery()
    items = s.head.join(s.release_item, (h.product == i.product) & (h.number == i.number))
    joined = items.join(s.version, i.version_id == v.id).outerjoin(sizes, v.id == sizes.c.version_id)
    figures = (
        func.sum(v.row_count).label("rows"),
        func.sum(func.coalesce(sizes.c.bytes, 0)).label("bytes"),
        func.max(v.valid_thru).label("valid_thru"),
    )
    query = select(h.product, i.table_name, *figures).select_from(joined).group_by(h.product, i.table_name)
    rows = con.execute(query.order_by(h.product, i.table_name))
    return tuple(
        CurrentTable(row.product, row.table_name, int(row.rows), int(row.bytes), row.valid_thru) for row in rows
    )


def refreshes(con: Connection) -> dict[tuple[str, str], int]:
    """Return how refreshes ended: (product, one of `ENDED`, or `open` for one that has not) -> refreshes."""
    f, a, r = s.refresh.c, s.attempt.c, s.release.c
    ended: dict[tuple[str, str], str] = {}
    for row in con.execute(select(a.product, a.refresh_id, a.state).distinct()):
        key, state = (row.product, row.refresh_id), row.state if row.state in ENDED else OPEN
        ended[key] = min(ended.get(key, OPEN), state, key=(*ENDED, OPEN).index)
    ended |= {(row.product, row.refresh_id): RELEASED for row in con.execute(select(r.product, r.refresh_id))}
    found: dict[tuple[str, str], int] = {}
    for product, refresh_id in con.execute(select(f.product, f.refresh_id)):
        how = (product, ended.get((product, refresh_id), OPEN))
        found[how] = found.get(how, 0) + 1
    return found


def failing(con: Connection) -> dict[tuple[str, bool], int]:
    """Return how many rules failed when they were judged last, in any partition: (product, blocking) -> rules."""
    t = s.result.c
    newest = select(func.max(t.id)).group_by(t.product, t.table_name, t.rule, t.partition_key)
    query = select(t.product, t.table_name, t.rule, t.blocking).where(t.id.in_(newest), ~t.passed).distinct()
    found: dict[tuple[str, bool], int] = {}
    for row in con.execute(query):
        key = (row.product, bool(row.blocking))
        found[key] = found.get(key, 0) + 1
    return found
