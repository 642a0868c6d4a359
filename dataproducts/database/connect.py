"""Connections and transactions of a branch, on SQLite and PostgreSQL; it must not know any table but the revision's.

Both databases are made to behave alike: one writer at a time, which sees everything committed before it, and readers
that see one state throughout their transaction.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import NullPool, create_engine, event, exc, inspect, text
from sqlalchemy.engine import make_url

from dataproducts.errors import ConflictError, DataProductError, StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import URL, Connection, Engine

    from dataproducts.database.branch import Branch

_WAIT_S = 60
_FREE = "Free disk space (`dataproducts gc` works on a full disk), then run it again."
_ALLOW = "Make the file and its folder readable and writable for this user."
_RESTORE = "Restore it from a copy; the files of the store are not affected."
# What to do about SQLite's result codes, by how they begin.
_REMEDIES = {
    "SQLITE_BUSY": f"Another process kept it locked for {_WAIT_S} s: run it again when that one is done.",
    "SQLITE_CANTOPEN": _ALLOW,
    "SQLITE_CORRUPT": _RESTORE,
    "SQLITE_FULL": _FREE,
    "SQLITE_IOERR": _FREE,
    "SQLITE_NOTADB": _RESTORE,
    "SQLITE_PERM": _ALLOW,
    "SQLITE_READONLY": _ALLOW,
}
_WRITES, _BRANCH = "dataproducts_writes", "dataproducts_branch"


def connect(address: str, branch: Branch, *, create: bool = True) -> Engine:
    """Return an engine for the tables of `branch` at `address`, a SQLAlchemy URL of SQLite or PostgreSQL.

    Raises:
        UsageError: another database, or no URL at all.
        StoreError: the file is not there and `create` is false.
    """
    try:
        url = make_url(address)
    except exc.ArgumentError as error:
        raise UsageError(
            f"the URL of the {branch.name}, {address!r}, cannot be read: {error}. Write sqlite:///PATH or postgresql://…"
        ) from error
    match url.get_backend_name():
        case "sqlite":
            return _sqlite(url, branch, create=create)
        case "postgresql" | "postgres":
            driver = url.set(drivername="postgresql+psycopg")
            engine = create_engine(driver, pool_pre_ping=True, execution_options={_BRANCH: branch})
            # Whoever forgets to close must not leave the server with open connections.
            weakref.finalize(engine, engine.pool.dispose)
            return engine
        case other:
            raise UsageError(f"the {branch.name} cannot lie in {other!r}: use sqlite or postgresql.")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the branch, whatever is committed meanwhile."""
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with _translated(engine), engine.connect() as plain:
        con = plain.execution_options(**options)
        with con.begin():
            yield con


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open the one write transaction; commit at the end, or take everything back if the block raises."""
    sqlite = engine.dialect.name == "sqlite"
    # With a stricter level, PostgreSQL would read from before the wait for the lock.
    options = {_WRITES: True} if sqlite else {"isolation_level": "READ COMMITTED"}
    with _translated(engine), engine.connect() as plain:
        con = plain.execution_options(**options)
        with con.begin():
            if not sqlite:
                con.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": branch_of(engine).lock})
            yield con


def branch_of(engine: Engine) -> Branch:
    """Return the branch that `engine` was connected for."""
    branch: Branch = engine.get_execution_options()[_BRANCH]
    return branch


def revision(con: Connection, branch: Branch) -> str:
    """Return the revision of the schema of `branch`; empty if it has none yet."""
    if not inspect(con).has_table(branch.version_table):
        return ""
    return str(con.execute(text(f"SELECT version_num FROM {branch.version_table}")).scalar_one_or_none() or "")


def name_of(engine: Engine) -> str:
    """Return the address of the database without a password, for messages."""
    return engine.url.render_as_string(hide_password=True)


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except exc.IntegrityError as error:
        raise ConflictError(f"{name_of(engine)}: somebody else wrote the same first: {error.orig}.") from error
    except exc.SQLAlchemyError as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        raise _unusable(engine, cause) from error
    except DataProductError:
        raise
    except ValueError as error:  # a value that cannot be decoded: in an error of SQLite's own, or in a row
        raise _unusable(engine, error, _RESTORE) from error


def _unusable(engine: Engine, cause: BaseException | None, remedy: str = "") -> StoreError:
    code = getattr(cause, "sqlite_errorname", "")
    if not remedy and engine.dialect.name == "sqlite":
        remedy = next((text for start, text in _REMEDIES.items() if code.startswith(start)), "")
    elif not remedy and isinstance(cause, engine.dialect.loaded_dbapi.OperationalError):
        remedy = "Check that the server runs and that the URL is right."
    message = f"{name_of(engine)}: the {branch_of(engine).name} cannot be read or written: {str(cause).rstrip()}."
    return StoreError(f"{message} {remedy}".rstrip())


def _sqlite(url: URL, branch: Branch, *, create: bool) -> Engine:
    if not url.database or url.database == ":memory:":
        raise UsageError(f"the {branch.name} must outlive its process: give sqlite:/// a path.")
    path = Path(url.database)
    if not create and not path.exists():
        raise StoreError(f"{path}: there is no {branch.name}. {branch.absent}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreError(f"{path}: the folder of the {branch.name} cannot be made: {error}. {_ALLOW}") from error
    # No pool: an idle connection would outlive the folder, and a forked process must not inherit one.
    engine = create_engine(
        url, poolclass=NullPool, connect_args={"timeout": _WAIT_S}, execution_options={_BRANCH: branch}
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(raw: Any, _record: Any) -> None:
    raw.isolation_level = None  # the driver would begin on its own, too late: _begin does it
    # In WAL mode readers fail on a full disk, since they need shared memory there; DELETE keeps them reading.
    for pragma in ("journal_mode = DELETE", "synchronous = FULL", "foreign_keys = ON"):
        raw.execute(f"PRAGMA {pragma}")


def _begin(con: Connection) -> None:
    # A writer that began as a reader could never be let in, however long it waited.
    con.exec_driver_sql("BEGIN IMMEDIATE" if con.get_execution_options().get(_WRITES) else "BEGIN")
