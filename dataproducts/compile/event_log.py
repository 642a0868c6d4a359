"""Dagster's storage in SQLite, which opens each file once; it must not know what is logged.

Dagster 1.13 opens a file anew for every statement, five times an event, and waits for the disk each time, which was a
third of a small run; at every start it loads all of its migrations, once a storage, to see whether a file needs any.
The files are Dagster's own: either storage reads what the other wrote.
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import dagster as dg
from alembic.script import ScriptDirectory
from dagster._core.storage.event_log.schema import SqlEventLogStorageMetadata
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs import SqliteRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage
from dagster._core.storage.sql import get_alembic_config
from dagster._core.storage.sqlite import create_db_conn_string
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dagster._core.events.log import EventLogEntry
    from dagster._serdes import ConfigurableClassData
    from sqlalchemy import Connection
    from sqlalchemy.engine import Engine

_PATIENT = {"timeout": 120}  # seconds to wait for another writer, such as the daemon
_STAMPED = """CREATE TABLE alembic_version (
\tversion_num VARCHAR(32) NOT NULL, \n\tCONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)\n)"""
_REVISION = re.compile(r"""^(revision|down_revision)(?:: [^=]*)? = ["'](\w+)["']$""", re.MULTILINE)
_CONFIG = {"base_dir": dg.Field(dg.StringSource, is_required=False)}
_MOST_OPEN = 16  # a webserver sees thousands of runs, each with a file of its own


class EventLog(SqliteEventLogStorage):
    """Event log for `event_log_storage` in `dagster.yaml`: in `base_dir`, or where Dagster's own would be.

    A power cut may lose the last events of local runs, and damages nothing; releases are in the ledger, which always
    waits for the disk.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._open: dict[str, Connection] = {}  # of the transactions that are under way
        self._turn = threading.RLock()  # a transaction may be asked for again within itself
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `config` in `dagster.yaml` may hold."""
        return _CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> EventLog:
        """Return the storage that `dagster.yaml` asks for."""
        return cls(_folder(config_value, "history", "runs"), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Store one event: in the file of its run and in the index, one transaction each."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store the events of one run as one transaction in the file of the run, and one in the index."""
        with self.run_connection(events[0].run_id), self.index_connection():
            for event in events:
                super().store_event(event)

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
        with self._turn:
            if shard in self._open:
                yield self._open[shard]
                return
            if shard not in self._engines:
                with super()._connect(shard):  # makes the file, where there is none
                    pass
            with self._engine(shard).connect() as con, con.begin():
                self._open[shard] = con
                try:
                    yield con
                finally:
                    del self._open[shard]

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None) or _engine(self.conn_string_for_shard(shard))
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
        with self._turn:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()


class RunLog(SqliteRunStorage):
    """Runs, for `run_storage` in `dagster.yaml`: in `base_dir`, or where Dagster's own would be.

    A power cut may lose what runs became last, as with `EventLog`.
    """

    def __init__(self, conn_string: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engine = _engine(conn_string)
        super().__init__(conn_string, inst_data)

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `config` in `dagster.yaml` may hold."""
        return _CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage that `dagster.yaml` asks for."""
        folder = _folder(config_value, "history")
        if not _is_made(Path(folder, "runs.db"), "instance_info"):
            cls.from_local(folder).dispose()
        return cls(create_db_conn_string(folder, "runs"), inst_data)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a transaction."""
        with self._engine.connect() as con, con.begin():
            yield con

    def dispose(self) -> None:
        """Close the file."""
        self._engine.dispose()


class Ticks(SqliteScheduleStorage):
    """Schedules and their ticks, for `schedule_storage` in `dagster.yaml`: Dagster's own, without its migrations."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `config` in `dagster.yaml` may hold."""
        return _CONFIG

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """Return the storage that `dagster.yaml` asks for."""
        folder = _folder(config_value, "schedules")
        if not _is_made(Path(folder, "schedules.db"), "instigators"):
            cls.from_local(folder)
        return cls(create_db_conn_string(folder, "schedules"), inst_data)


def _folder(config_value: Any, *otherwise: str) -> str:
    return config_value.get("base_dir") or str(Path(os.environ.get("DAGSTER_HOME", ""), *otherwise))


def _is_made(path: Path, last: str) -> bool:
    """Whether Dagster has made this file to the end: it has the table `last`, and a revision."""
    if not path.exists():
        return False
    asked = "SELECT count(*) FROM alembic_version, sqlite_master WHERE type = 'table' AND name = ?"
    with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as con:
        return bool(con.execute(asked, (last,)).fetchone()[0])
    return False


def _engine(address: str) -> Engine:
    engine = create_engine(address, connect_args=_PATIENT, max_overflow=-1)  # as many as a webserver has threads
    event.listen(engine, "connect", _do_not_wait)
    return engine


def _make(engine: Engine) -> None:
    with engine.connect() as con:
        con.exec_driver_sql("PRAGMA journal_mode = WAL")
        con.exec_driver_sql("PRAGMA synchronous = NORMAL")
        # By name, or SQLite's driver commits each table by itself and waits for the disk each time.
        con.exec_driver_sql("BEGIN")
        SqlEventLogStorageMetadata.create_all(con)
        con.exec_driver_sql(_STAMPED)
        con.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (_newest(),))
        con.commit()


@cache
def _newest() -> str:
    """Return the newest revision of Dagster's event log: the one that no other follows.

    Read from the texts, where they are as plain as all have been: alembic runs each of them, which takes 0.05 s.
    """
    scripts = ScriptDirectory.from_config(get_alembic_config(sqlite_event_log.__file__))
    texts = [path.read_text(encoding="utf-8") for path in Path(scripts.versions).glob("*.py")]
    found = [dict(_REVISION.findall(text)) for text in texts]
    newest = {known.get("revision") for known in found} - {known.get("down_revision") for known in found}
    return str(newest.pop() if len(newest) == 1 and None not in newest else scripts.get_current_head())


def _do_not_wait(connection: Any, _record: Any) -> None:
    """Leave it to SQLite's checkpoints to wait for the disk: a write-ahead log stays whole without."""
    connection.execute("PRAGMA synchronous = NORMAL")
