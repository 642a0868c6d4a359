"""What a refresh costs, measured while it works and kept when it ends; it must not know what a refresh does."""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataproducts.errors import DataProductError, RefusedError
from dataproducts.operations import Operations, costs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dataproducts.release import Refresh, Version
    from dataproducts.warehouse import Warehouse

RELEASE = ""
"""The name under which the seconds of a release itself are counted, among those of tables."""


@dataclass(slots=True)
class Spending:
    """What one part of a refresh has done so far: the part says so itself, for nobody else knows."""

    outcome: str = ""  # how the whole refresh ended with this part; empty where it goes on
    rows: int = 0
    bytes: int = 0

    def wrote(self, versions: Iterable[Version]) -> None:
        """Count rows and bytes of files of tables that were written; those set aside are not counted."""
        for version in versions:
            self.rows += version.rows
            self.bytes += sum(file.bytes for file in version.files)


@dataclass(slots=True)
class Account:
    """What the parts of one refresh cost in this process, and was not kept yet."""

    outcome: str = ""
    tables: dict[str, Counter[str]] = field(default_factory=dict)


@contextmanager
def metered(warehouse: Warehouse, refresh: Refresh, table: str = RELEASE) -> Iterator[Spending]:
    """Measure one part of `refresh`: a table, or the release; what raises ends the refresh.

    Costs gather in memory and are kept when the refresh ends, in one short transaction. Keeping them never fails a
    refresh: where the operations database cannot be used, what it cost is not known. The parts of a refresh that other
    processes work on, as those of a backfill may, are kept by those that end it. Those of a replay
    are marked (`costs.REPLAYED`), and `slo/facts.py` leaves their seconds out: they are not those of the day replayed.
    """
    spending, begun, worked = Spending(), time.perf_counter(), _worked()
    try:
        yield spending
    except BaseException as error:
        spending.outcome = costs.REFUSED if isinstance(error, RefusedError) else costs.FAILED
        raise
    finally:
        account = warehouse.accounts.setdefault((refresh.id, refresh.product), Account())
        figures = {"rows": spending.rows, "bytes": spending.bytes}
        seconds = {"wall_s": time.perf_counter() - begun, "cpu_s": _worked() - worked}
        account.tables.setdefault(table, Counter()).update(figures | seconds)
        # What is still written after a refusal belongs to a refresh that has ended.
        account.outcome = spending.outcome or account.outcome
        if account.outcome:
            _keep(warehouse, refresh, account)


def _worked() -> float:
    """Seconds of all processors that this process and its children that ended have used."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _keep(warehouse: Warehouse, refresh: Refresh, account: Account) -> None:
    tables, account.tables = account.tables, {}
    total = sum(tables.values(), Counter[str]())
    detail: dict[str, Any] = {
        "tables": {name: dict(found) for name, found in tables.items() if name != RELEASE},
        # The seconds of today say nothing of the day that is replayed: objectives leave them out.
        **({costs.REPLAYED: True} if warehouse.is_replay else {}),
    }
    cost = costs.RefreshCost(
        refresh_id=refresh.id,
        product=refresh.product,
        at=warehouse.recorded_at(),
        outcome=account.outcome,
        wall_s=float(total["wall_s"]),
        cpu_s=float(total["cpu_s"]),
        rows=total["rows"],
        bytes=total["bytes"],
        detail=detail,
    )
    if account.outcome == costs.RELEASED:
        warehouse.accounts.pop((refresh.id, refresh.product), None)
    try:
        with Operations.open(warehouse.environment.operations) as operations, operations.writing() as con:
            costs.add(con, cost)
    except DataProductError:
        return  # as `metered` says: what was released is released
