"""What became of a product over time, as the ledger recorded it; it must not judge any of it, or write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from dataproducts.ledger import schema as s
from dataproducts.ledger.rows import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Row


@dataclass(frozen=True, slots=True)
class Attempted:
    """One refresh of a product: when it began, and the release it became, if it did.

    `refused` tells that an attempt at it, or at one of its tables, was refused or failed. `rows` counts those that a
    release wrote, without what was carried over.
    """

    refresh_id: str
    started_at: datetime
    kind: str = ""
    published_at: datetime | None = None
    refused: bool = False
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule as one refresh judged it: `failures` counts its results that failed, at most one a partition."""

    refresh_id: str
    table: str
    rule: str
    failures: int
    judged_at: datetime


@dataclass(frozen=True, slots=True)
class Reach:
    """How far one table went in one release: the newest of its `valid_thru`, and how many versions it had."""

    number: int
    published_at: datetime
    newest: datetime | None
    versions: int


def first(con: Connection, product: str) -> tuple[datetime, datetime | None] | None:
    """Return when the first refresh of `product` began, and when it was released if it was; None if there was none."""
    f, r = s.refresh.c, s.release.c
    same = (f.product == r.product) & (f.refresh_id == r.refresh_id)
    query = select(f.started_at, r.published_at).join_from(s.refresh, s.release, same, isouter=True)
    row = con.execute(query.where(f.product == product).order_by(f.started_at, r.published_at).limit(1)).first()
    return None if row is None else (row.started_at, row.published_at)


def attempted(con: Connection, product: str, since: datetime) -> tuple[Attempted, ...]:
    """Return the refreshes of `product` that began, or were released, from `since` on; oldest first."""
    f, r = s.refresh.c, s.release.c
    same = (f.product == r.product) & (f.refresh_id == r.refresh_id)
    columns = (f.refresh_id, f.started_at, r.kind, r.published_at)
    wanted = select(*columns).join_from(s.refresh, s.release, same, isouter=True).where(f.product == product)
    rows = con.execute(wanted.where((f.started_at >= since) | (r.published_at >= since))).all()
    ids = [row.refresh_id for row in rows]
    refused, written = _refused(con, product, ids), _written(con, product, ids)
    found = (
        Attempted(
            refresh_id=row.refresh_id,
            started_at=row.started_at,
            kind=row.kind or "",
            published_at=row.published_at,
            refused=row.refresh_id in refused,
            rows=written.get(row.refresh_id, 0),
        )
        for row in rows
    )
    return tuple(sorted(found, key=lambda one: (one.started_at, one.refresh_id)))


def _refused(con: Connection, product: str, ids: Iterable[str]) -> set[str]:
    t = s.attempt.c
    query = select(t.refresh_id).where(t.product == product, t.state != "started")
    return {found for chunk in chunks(ids) for found in con.execute(query.where(t.refresh_id.in_(chunk))).scalars()}


def _written(con: Connection, product: str, ids: Iterable[str]) -> dict[str, int]:
    t = s.version.c
    live = t.state.not_in(("candidate", "superseded"))
    query = select(t.refresh_id, func.sum(t.row_count)).where(t.product == product, live).group_by(t.refresh_id)
    found = (row for chunk in chunks(ids) for row in con.execute(query.where(t.refresh_id.in_(chunk))))
    return {refresh: int(rows) for refresh, rows in found}


def judged(con: Connection, product: str, since: datetime) -> tuple[Judged, ...]:
    """Return what refreshes of `product` judged from `since` on, one entry a refresh, table and rule."""
    t = s.result.c
    failures = func.sum(case((t.passed, 0), else_=1))
    keys = (t.refresh_id, t.table_name, t.rule)
    query = select(*keys, failures.label("failures"), func.max(t.judged_at).label("at"))
    rows = con.execute(query.where(t.product == product, t.judged_at >= since).group_by(*keys).order_by(*keys))
    return tuple(Judged(row.refresh_id, row.table_name, row.rule, int(row.failures), row.at) for row in rows)


def first_judged(con: Connection, product: str) -> dict[tuple[str, str], datetime]:
    """Return when each rule of `product` was judged for the first time: (table, rule) -> moment."""
    t = s.result.c
    keys = (t.table_name, t.rule)
    rows = con.execute(select(*keys, func.min(t.judged_at).label("at")).where(t.product == product).group_by(*keys))
    return {(row.table_name, row.rule): row.at for row in rows}


def published(con: Connection, product: str, since: datetime) -> tuple[tuple[int, datetime], ...]:
    """Return number and moment of the releases of `product` from `since` on, and of the last one before; in order."""
    t = s.release.c
    rows: list[Row[Any]] = list(
        con.execute(select(t.number, t.published_at).where(t.product == product).order_by(t.number))
    )
    before = [at for at, row in enumerate(rows) if row.published_at <= since]
    return tuple((row.number, row.published_at) for row in rows[before[-1] if before else 0 :])


def reaches(con: Connection, product: str, table: str, since: datetime) -> tuple[Reach, ...]:
    """Return how far `table` went in each of the releases that `published` returns; 0 versions where it was absent."""
    releases = published(con, product, since)
    if not releases:
        return ()
    i, v = s.release_item.c, s.version.c
    query = (
        select(i.number, func.max(v.valid_thru).label("newest"), func.count().label("versions"))
        .join_from(s.release_item, s.version, i.version_id == v.id)
        .where(i.product == product, i.table_name == table, i.number >= releases[0][0])
        .group_by(i.number)
    )
    found = {row.number: (row.newest, row.versions) for row in con.execute(query)}
    return tuple(Reach(number, at, *found.get(number, (None, 0))) for number, at in releases)


def partitions(con: Connection, product: str, number: int, table: str) -> frozenset[str]:
    """Return the keys of the partitions that `table` had in release `number`."""
    t = s.release_item.c
    query = select(t.partition_key).where(t.product == product, t.number == number, t.table_name == table)
    return frozenset(con.execute(query).scalars())


def greatest(
    con: Connection, product: str, table: str, column: str, since: datetime
) -> dict[int, tuple[tuple[str | None, ...], bool]]:
    """Return the greatest values of `column` that the versions of `table` held, as text, by number of release.

    With them comes whether the ledger knows those of all versions: it forgets them when their files go.
    """
    releases = published(con, product, since)
    if not releases:
        return {}
    i, f = s.release_item.c, s.version_file.c
    held: dict[int, list[str]] = {}
    of_table = (i.product == product, i.table_name == table, i.number >= releases[0][0])
    for number, version in con.execute(select(i.number, i.version_id).where(*of_table)):
        held.setdefault(number, []).append(version)
    ends: dict[str, list[str | None]] = {}
    forgotten: set[str] = set()
    for chunk in chunks({version for versions in held.values() for version in versions}):
        query = select(f.version_id, f.columns).where(f.version_id.in_(chunk), ~f.quarantine)
        for version, columns in con.execute(query):
            if columns is None:
                forgotten.add(version)
            ends.setdefault(version, []).append((columns or {}).get(column, (0, None, None))[2])
    return {
        number: (
            tuple(end for version in versions for end in ends.get(version, ())),
            not forgotten.intersection(versions),
        )
        for number, versions in held.items()
    }
