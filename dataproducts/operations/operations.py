"""The operations database, opened: what each of its parts reads and writes is in a module of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from dataproducts import database
from dataproducts.database import Opened
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection


def migrate(url: str, *, create: bool = True) -> tuple[str, str]:
    """Bring the operations database at `url` to the newest schema; return the revisions before (or '') and after.

    Raises:
        StoreError: it is newer than this library, unreachable, or absent and `create` is false.
    """
    return database.migrate(url, s.BRANCH, create=create)


class Operations(Opened):
    """Incidents, notices, transitions, measurements and probes of one environment, in SQLite or PostgreSQL.

    Functions of the modules beside take the connection that `reading` or `writing` opens, so that what belongs
    together is committed together. Both may raise StoreError or ConflictError.
    """

    branch = s.BRANCH


def bookmark(con: Connection, name: str) -> str:
    """Return how far `name` has read; empty if it never has."""
    found = con.execute(select(s.bookmark.c.value).where(s.bookmark.c.name == name)).scalar_one_or_none()
    return found or ""


def move_bookmark(con: Connection, name: str, value: str, *, now: datetime) -> None:
    """Note that `name` has read up to `value`, in the transaction that holds what it made of that."""
    t = s.bookmark
    changed = con.execute(t.update().where(t.c.name == name).values(value=value, at=now))
    if not changed.rowcount:
        con.execute(t.insert().values(name=name, value=value, at=now))
