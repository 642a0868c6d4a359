"""Dagster's event log in SQLite, which opens each file once; it must not know what is logged.

Dagster 1.13 opens a file anew for every statement, five times an event, and waits for the disk each time, which was a
third of a small run. The files are Dagster's own: either storage reads what the other wrote.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.sql import get_alembic_config
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection
    from sqlalchemy.engine import Engine

_PATIENT = {"timeout": 120}  # seconds to wait for another writer, such as the daemon
_STAMPED = """CREATE TABLE alembic_version (
\tversion_num VARCHAR(32) NOT NULL, \n\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)"""
_MOST_OPEN = 16  # a webserver sees thousands of runs, each with a file of its own


class EventLog(SqliteEventLogStorage):
    """Event log for `event_log_storage` in `dagster.yaml`: in `base_dir`, or where Dagster's own would be.

    A power cut may lose the last events of local runs, and damages nothing; releases are in the ledger, which always
    waits for the disk.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `config` in `dagster.yaml` may hold."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> EventLog:
        """Return the storage that `dagster.yaml` asks for."""
        home = Path(os.environ.get("DAGSTER_HOME", ""))
        return cls(config_value.get("base_dir") or str(home / "history" / "runs"), inst_data)

    def _initdb(self, engine: Engine, for_index_shard: bool = False) -> None:  # noqa: FBT001, FBT002 - Dagster's signature
        """Make the tables of a new file, as Dagster does; a run's file is stamped as the newest without a migration.

        Dagster asks all of its migrations which of them is the newest, twice for each file: a twentieth of a small run.
        """
        if not for_index_shard and not Path(str(engine.url.database)).exists():
            # Somebody who reads a run that has just begun may make its file too: Dagster's own way copes with that.
            with suppress(DatabaseError):
                _make(engine)
                return
        super()._initdb(engine, for_index_shard)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if shard not in self._engines:
            with super()._connect(shard):  # makes the file, where there is none, and takes the lock itself
                pass
        with self._db_lock, self._engine(shard).connect() as con, con.begin():
            yield con

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(self.conn_string_for_shard(shard), connect_args=_PATIENT)
            event.listen(engine, "connect", _do_not_wait)
        self._engines[shard] = engine  # the one used last is the last
        while len(self._engines) > _MOST_OPEN:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def has_table(self, table_name: str) -> bool:
        """Return whether the log has this table; asked of the file until it has."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def wipe(self) -> None:
        """Delete every file, none of which may be open."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Close every file."""
        self._close()
        super().dispose()

    def _close(self) -> None:
        with self._db_lock:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


def _make(engine: Engine) -> None:
    with engine.connect() as con:
        con.exec_driver_sql("PRAGMA journal_mode = WAL")
    with engine.begin() as con:
        SqlEventLogStorageMetadata.create_all(con)
        con.exec_driver_sql(_STAMPED)
        con.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (_newest(),))


@cache
def _newest() -> str:
    """Return the newest revision of Dagster's event log."""
    found = ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__)).get_current_head()
    return str(found)


def _do_not_wait(connection: Any, _record: Any) -> None:
    """Leave it to SQLite's checkpoints to wait for the disk: a write-ahead log stays whole without."""
    connection.execute("PRAGMA synchronous = NORMAL")
