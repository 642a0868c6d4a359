"""What the ledger recorded since somebody looked last: results, refreshes and releases; it must not judge them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, or_, select

from dataproducts.ledger import schema as s
from dataproducts.ledger.rows import Attempt, chunks, refresh_of, result_of
from dataproducts.release import ROLLBACK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from dataproducts.release import Refresh, StoredResult

OVERLAP = timedelta(minutes=10)
"""How far back refreshes are read again: one that began earlier may have been committed later."""


@dataclass(frozen=True, slots=True)
class Judged:
    """That a rule was judged, without what was found; `id` grows with every result recorded."""

    id: int
    product: str
    table: str
    partition: str | None
    rule: str
    passed: bool
    refresh_id: str
    judged_at: datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """A refresh, and why it was not released, if it was not.

    `failed` are the tables on which a blocking rule failed when it was judged last.
    """

    refresh: Refresh
    is_released: bool
    attempts: tuple[Attempt, ...] = ()
    failed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Published:
    """A release that a refresh made, with the tables that it made anew."""

    number: int
    refresh: Refresh
    published_at: datetime
    tables: frozenset[str]


def last_result(con: Connection) -> int:
    """Return the id of the result recorded last; 0 without any."""
    return con.execute(select(func.max(s.result.c.id))).scalar() or 0


def judged_after(con: Connection, result_id: int) -> list[Judged]:
    """Return the results recorded after `result_id`, in the order of their recording."""
    t = s.result.c
    return [_judged(row) for row in con.execute(_light().where(t.id > result_id).order_by(t.id))]


def standing(
    con: Connection, product: str, *, table: str = "", rule: str = "", until: int | None = None
) -> list[Judged]:
    """Return the newest result of every rule and partition of `product`, of those up to the id `until`.

    `table` and `rule` narrow it to one rule.
    """
    t = s.result.c
    where = [t.product == product]
    where += [t.table_name == table] if table else []
    where += [t.rule == rule] if rule else []
    where += [t.id <= until] if until is not None else []
    newest = select(func.max(t.id)).where(*where).group_by(t.table_name, t.rule, t.partition_key)
    return [_judged(row) for row in con.execute(_light().where(t.id.in_(newest)).order_by(t.id))]


def results(con: Connection, ids: Iterable[int]) -> dict[int, StoredResult]:
    """Return results whole, by id."""
    found: dict[int, StoredResult] = {}
    for chunk in chunks(ids):
        rows = con.execute(select(s.result).where(s.result.c.id.in_(chunk)))
        found.update((row.id, result_of(row)) for row in rows)
    return found


def begun_since(con: Connection, product: str, moment: datetime | None, ids: Collection[str] = ()) -> list[Begun]:
    """Return the refreshes of `product` that began from `moment` on, and those of `ids`, oldest first.

    Without a moment, the newest one alone.
    """
    t = s.refresh.c
    query = select(t.refresh_id).where(t.product == product).order_by(t.started_at.desc(), t.refresh_id.desc())
    query = query.where(or_(t.started_at >= moment, t.refresh_id.in_(list(ids)))) if moment else query.limit(1)
    return [_begun(con, product, refresh_id) for refresh_id in reversed(con.execute(query).scalars().all())]


def published_after(con: Connection, product: str, number: int) -> list[Published]:
    """Return the releases of `product` after `number` that a refresh made, oldest first; rollbacks show nothing new."""
    t = s.release.c
    query = select(t.number, t.refresh_id, t.published_at).where(t.product == product, t.number > number)
    found = []
    for row in con.execute(query.where(t.kind != ROLLBACK).order_by(t.number)).all():
        refresh = refresh_of(con, row.refresh_id, product)
        if refresh is not None:
            made = _tables(con, product, row.refresh_id)
            found.append(Published(row.number, refresh, row.published_at, made))
    return found


def contracts(con: Connection, product: str) -> frozenset[tuple[str, str]]:
    """Return table and hash of every contract by which a table of `product` was ever made, or was to be."""
    t = s.contract.c
    return frozenset(
        (row.table_name, row.hash) for row in con.execute(select(t.table_name, t.hash).where(t.product == product))
    )


def tables_of(con: Connection, product: str, number: int) -> frozenset[str]:
    """Return the tables that the release `number` of `product` has."""
    t = s.release_contract.c
    return frozenset(con.execute(select(t.table_name).where(t.product == product, t.number == number)).scalars())


def _begun(con: Connection, product: str, refresh_id: str) -> Begun:
    refresh = refresh_of(con, refresh_id, product)
    assert refresh is not None  # noqa: S101 - the same transaction has found it
    a, r = s.attempt.c, s.release.c
    became = select(r.number).where(r.product == product, r.refresh_id == refresh_id)
    if con.execute(became).first() is not None:
        return Begun(refresh, is_released=True)
    mine = select(s.attempt).where(a.refresh_id == refresh_id, a.product == product)
    rows = con.execute(mine.order_by(a.table_name, a.partition_key)).all()
    attempts = tuple(Attempt(row.table_name, row.partition_key or None, row.state, row.message) for row in rows)
    return Begun(refresh, is_released=False, attempts=attempts, failed=_failed(con, product, refresh_id))


def _tables(con: Connection, product: str, refresh_id: str) -> frozenset[str]:
    t = s.version.c
    query = select(t.table_name).where(t.refresh_id == refresh_id, t.product == product).distinct()
    return frozenset(con.execute(query).scalars())


def _failed(con: Connection, product: str, refresh_id: str) -> frozenset[str]:
    t = s.result.c
    mine = (t.refresh_id == refresh_id, t.product == product)
    if con.execute(select(t.id).where(*mine, t.blocking, ~t.passed).limit(1)).first() is None:
        return frozenset()  # most often, and much quicker than to read a year of partitions
    query = select(t.table_name, t.rule, t.partition_key, t.passed, t.blocking)
    rows = con.execute(query.where(*mine).order_by(t.id))
    bad = {(row.table_name, row.rule, row.partition_key): row.blocking and not row.passed for row in rows}
    return frozenset(table for (table, *_), is_bad in bad.items() if is_bad)


def _light() -> Any:
    t = s.result.c
    return select(t.id, t.product, t.table_name, t.partition_key, t.rule, t.passed, t.refresh_id, t.judged_at)


def _judged(row: Row[Any]) -> Judged:
    return Judged(
        id=row.id,
        product=row.product,
        table=row.table_name,
        partition=row.partition_key or None,
        rule=row.rule,
        passed=row.passed,
        refresh_id=row.refresh_id,
        judged_at=row.judged_at,
    )
