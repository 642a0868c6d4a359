"""A branch of the schema, opened in one database; it must not know what its tables hold."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Self

from dataproducts.database.connect import connect, reading, writing
from dataproducts.database.migrate import make_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

    from dataproducts.database.branch import Branch


class Opened:
    """One branch in SQLite or PostgreSQL, for as long as it is open; subclasses name the branch."""

    branch: ClassVar[Branch]

    def __init__(self, engine: Engine) -> None:
        """Use `engine`, whose schema is up to date; callers use `open`."""
        self._engine = engine

    @classmethod
    def open(cls, url: str, *, create: bool = True) -> Self:
        """Return what lies at `url` (`sqlite:///PATH` or `postgresql://…`), made if it is not there.

        Raises:
            StoreError: older or newer than this version, unreachable, or absent and `create` is false.
            UsageError: the URL is of another database.
        """
        engine = connect(url, cls.branch, create=create)
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
        """Return the same, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
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
