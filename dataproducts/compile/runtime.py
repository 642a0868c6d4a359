"""The warehouse of a code location, opened when a run first needs it; it must not know any product."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dataproducts.environment import Environment  # noqa: TC001 - dataclass field
from dataproducts.refresh import ReleaseOutcome, TableOutcome
from dataproducts.warehouse import Warehouse

Observer = Callable[[TableOutcome | ReleaseOutcome], None]


def ignore(_outcome: TableOutcome | ReleaseOutcome) -> None:
    """Observe nothing."""


@dataclass(slots=True)
class Runtime:
    """Opens one warehouse for all runs of a code location; several threads may ask at once."""

    environment: Environment
    custom: Mapping[str, Callable[..., Any]]
    observe: Observer = ignore
    _warehouse: Warehouse | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def warehouse(self) -> Warehouse:
        """Return the opened warehouse. Raises: StoreError, if its ledger is of another version."""
        with self._lock:
            if self._warehouse is None:
                self._warehouse = Warehouse.open(self.environment, custom=self.custom)
            return self._warehouse
