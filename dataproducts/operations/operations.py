"""The operations database, opened: what each of its parts reads and writes is in a module of its own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from sqlalchemy import select

from dataproducts import database
from dataproducts.database import connect, make_ready, reading, writing
from dataproducts.operations import schema as s

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy import Connection, Engine


def migrate(url: str, *, create: bool = True) -> tuple[str, str]:
    """Bring the operations database at `url` to the newest schema; return the revisions before (or '') and after.

    Raises:
        StoreError: it is newer than this library, unreachable, or absent and `create` is false.
    """
    return database.migrate(url, s.BRANCH, create=create)


class Operations:
    """Incidents, notices, transitions, measurements and probes of one environment, in SQLite or PostgreSQL.

    Functions of the modules beside take the connection that `reading` or `writing` opens, so that what belongs
    together is committed together. Both may raise StoreError or ConflictError.
    """

    def __init__(self, engine: Engine) -> None:
        """Use `engine`, whose schema is up to date; callers use `Operations.open`."""
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Return the database at `url` (`sqlite:///PATH` or `postgresql://…`), made if it is not there.

        Raises:
            StoreError: older or newer than this version, unreachable, or absent and `create` is false.
            UsageError: the URL is of another database.
        """
        engine = connect(url, s.BRANCH, create=create)
        try:
            make_ready(engine, create=create)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        """Return the database, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees one state."""
        with reading(self._engine) as con:
            yield con

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Open the one write transaction: all of the block is committed, or nothing."""
        with writing(self._engine) as con:
            yield con


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
