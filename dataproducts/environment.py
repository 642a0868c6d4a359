"""Where one environment keeps its data and finds its sources; it must not read environment variables."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Environment:
    """Wiring that a project's `resources/` hands to the library.

    `root` is the project's folder, against which relative paths of sources count. `store` holds data, quarantine and
    serving files. `ledger_url` is a SQLAlchemy URL; empty means SQLite inside the store. `sources` overrides settings
    of contract `servers` by server name. `operations_url` is that of the database of incidents, notices and
    lifecycle; empty means that of the ledger, or beside it where that is SQLite. `production` tells whether people
    rely on it: None goes by the name, `prod` or `production`. `clock` fixes "now" for historic data and is shown
    wherever it is used; None is the real time. With `replay`, records are dated by the clock too, so that a history
    that is replayed leaves the ledger that it would have left then; whoever replays moves the clock on
    (`Warehouse.at`). `memory_limit` is DuckDB's, such as `2GB`. `directory` is who is told of what; an empty one
    tells nobody. `trackers` are those of `dataproducts.trackers` in which each incident has a ticket.
    """

    name: str
    root: Path
    store: Path
    ledger_url: str = ""
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: _EMPTY)
    clock: datetime | None = None
    threads: int = 0  # 0 = DuckDB's own choice
    memory_limit: str = ""
    operations_url: str = ""
    directory: Directory = field(default_factory=Directory)
    production: bool | None = None
    replay: bool = False
    trackers: tuple[Any, ...] = ()

    @property
    def is_production(self) -> bool:
        """Whether drafts stay unscheduled here, and products active only once they were promoted here."""
        return self.name in {"prod", "production"} if self.production is None else self.production

    @property
    def ledger(self) -> str:
        """The ledger's URL, with the default filled in."""
        return self.ledger_url or f"sqlite:///{self.store / 'ledger.sqlite'}"

    @property
    def operations(self) -> str:
        """The URL of the operations database, with the default filled in."""
        if not self.operations_url and self.ledger_url and not self.ledger_url.startswith("sqlite"):
            return self.ledger_url
        return self.operations_url or f"sqlite:///{self.store / 'operations.sqlite'}"
