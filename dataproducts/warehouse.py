"""One environment's ledger and store, opened, and the connections that compute on them; it must not know rules."""

from __future__ import annotations

import shutil
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import duckdb

from dataproducts.errors import StoreError
from dataproducts.ledger import Ledger
from dataproducts.sql import quote
from dataproducts.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dataproducts.environment import Environment
    from dataproducts.release import Release, Version

_KEPT = 8  # compositions of releases
_NO_CUSTOM: Mapping[str, Callable[..., Any]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The opened ledger and store of one environment, and the named `custom` rules of the project."""

    environment: Environment
    ledger: Ledger
    store: Store
    custom: Mapping[str, Callable[..., Any]] = field(default_factory=lambda: _NO_CUSTOM)
    # A release never changes, so that what it is made of need not be asked for twice.
    _compositions: dict[tuple[str, int], dict[str, tuple[Version, ...]]] = field(default_factory=dict, repr=False)
    # What refreshes that go on have cost so far, by id and product: `meter` keeps it when they end.
    accounts: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(
        cls,
        environment: Environment,
        *,
        custom: Mapping[str, Callable[..., Any]] = _NO_CUSTOM,
        create: bool = True,
    ) -> Warehouse:
        """Open (and, with `create`, make) the ledger and store of `environment`.

        Raises: StoreError, if the ledger is of another version, or absent without `create`.
        """
        if create:
            try:
                environment.store.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreError(
                    f"{environment.store}: the store cannot be made ({error.strerror}). Allow this user to write "
                    "there, or name another folder in resources/"
                ) from error
        return cls(environment, Ledger.open(environment.ledger, create=create), Store(environment.store), custom)

    def close(self) -> None:
        """Give back the ledger's connections."""
        self.ledger.close()

    def __enter__(self) -> Self:
        """Return the warehouse, to be closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the warehouse."""
        self.close()

    def composition(self, release: Release) -> dict[str, tuple[Version, ...]]:
        """Return the versions that `release` is made of, by table; the last ones asked for are kept at hand."""
        key = release.product, release.number
        found = self._compositions.get(key)
        if found is None:
            if len(self._compositions) >= _KEPT:
                self._compositions.clear()
            found = self._compositions[key] = self.ledger.composition(release)
        return found

    def now(self) -> datetime:
        """Return the environment's clock: fixed for historic data, else the real time, in UTC."""
        clock = self.environment.clock or datetime.now(UTC)
        return clock.astimezone(UTC) if clock.tzinfo else clock.replace(tzinfo=UTC)

    def recorded_at(self) -> datetime:
        """Return the moment that records are dated with: the real time, or the clock's where a history is replayed."""
        return self.now() if self.is_replay else datetime.now(UTC)

    @property
    def is_replay(self) -> bool:
        """Whether records are dated by a simulated clock."""
        return self.environment.replay and self.environment.clock is not None

    @property
    def frozen_clock(self) -> datetime | None:
        """The simulated clock where records are dated by the real time: it stands still; None where time passes."""
        return self.now() if self.environment.clock is not None and not self.environment.replay else None

    def clock_note(self) -> str:
        """Return what a release of a replay notes, so that a simulated moment is seen to be one; else nothing."""
        return f"replayed: dated by a simulated clock at {self.now():%Y-%m-%d %H:%M} UTC" if self.is_replay else ""

    def at(self, moment: datetime) -> Warehouse:
        """Return the same warehouse with its clock at `moment`; it shares the connections, so close one of them."""
        return replace(self, environment=replace(self.environment, clock=moment))

    @contextmanager
    def limits(self, con: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
        """Apply the environment's limits to `con` and give it scratch space that is removed afterwards.

        Times are UTC, whatever the host's zone.
        """
        scratch = self.store.scratch(uuid.uuid4().hex)
        settings: dict[str, str | int] = {"TimeZone": "UTC", "temp_directory": str(scratch)}
        # Files of the store never change, so that no footer need be read twice.
        settings["parquet_metadata_cache"] = "true"
        if self.environment.threads:
            settings["threads"] = self.environment.threads
        if self.environment.memory_limit:
            settings["memory_limit"] = self.environment.memory_limit
        try:
            for name, value in settings.items():
                con.execute(f"SET {name} = ?", [value])
            yield con
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield an in-memory compute connection with the environment's limits, closed afterwards."""
        with duckdb.connect(":memory:") as con, self.limits(con):
            yield con


def drop_temporary(con: duckdb.DuckDBPyConnection) -> None:
    """Drop every temporary table of `con`, so that what one table needed does not fill the memory of the next."""
    for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall():
        con.execute(f"DROP TABLE {quote(name)}")
