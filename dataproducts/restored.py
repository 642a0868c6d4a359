"""What is right again without a refresh: sources as they were when the release was made; it must not plan or refresh.

A refresh is refused for what a file holds. When the file is put back as it had been, the release is what a refresh
would give, so that none is made and no verdict comes that could close the incident. Whoever plans and finds nothing to
do notes that here, and a watch closes what it ends: planning reads every source, which a watch must not.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from dataproducts.errors import StoreError
from dataproducts.finding import FindingKind, Recovery
from dataproducts.findings import ORIGIN
from dataproducts.operations import Operations, bookmark, move_bookmark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sqlalchemy import Connection

    from dataproducts.operations.incidents import Incident
    from dataproducts.release import Refresh, Release
    from dataproducts.warehouse import Warehouse

_FAILED = {FindingKind.SOURCE, FindingKind.PIPELINE}


def note_current(warehouse: Warehouse, product: str) -> None:
    """Note that there is nothing to refresh of `product` now; nothing, where nobody has ever watched."""
    with (
        suppress(StoreError),  # a note for who watches, and no reason for a build to fail
        Operations.open(warehouse.environment.operations, create=False) as operations,
        operations.writing() as con,
    ):
        now = warehouse.recorded_at()
        move_bookmark(con, _name(product), now.isoformat(), now=now)


def restored(
    warehouse: Warehouse, con: Connection, products: Collection[str], already: Iterable[Incident], *, now: datetime
) -> tuple[Recovery, ...]:
    """Return which of the open incidents `already` are over, for since then nothing was to be refreshed.

    These are about refreshes that failed, and about rules that refused what was read, where that was something else
    than what the release was made from. `con` is of the operations database.
    Raises: StoreError, if the ledger cannot be read.
    """
    found = []
    for incident in already:
        if incident.product not in products or not _is_of_unpublished(incident):
            continue
        at = bookmark(con, _name(incident.product))
        wrong = warehouse.ledger.find_refresh(str(incident.detail.get("refresh_id", "")), incident.product)
        head = warehouse.ledger.head(incident.product)
        # By the records of those who refresh and plan: a watch sees what went wrong later than it did.
        if not at or wrong is None or head is None or datetime.fromisoformat(at) < wrong.started_at:
            continue
        if incident.kind in _FAILED or _read_other(warehouse, wrong, head):
            told = {"release": head.number, "reason": "the sources are those of the release again"}
            found.append(Recovery(incident.about, now, told))
    return tuple(found)


def _name(product: str) -> str:
    return f"current {product}"


def _is_of_unpublished(incident: Incident) -> bool:
    """Whether the incident is about rows that nobody could read: a failure of what is published stays one."""
    if incident.kind is FindingKind.CHECK:
        return bool(incident.detail.get("blocking")) and not incident.detail.get("published")
    return incident.detail.get("origin") == ORIGIN


def _read_other(warehouse: Warehouse, refresh: Refresh, head: Release) -> bool:
    """Whether `refresh` read, or was made and judged by, something that the release was not made from."""
    ledger = warehouse.ledger
    made = ledger.find_refresh(head.refresh_id, refresh.product)
    held = {(one.source, one.path, one.sha256) for one in ledger.consumed(refresh.product)}
    read = {(one.source, one.path, one.sha256) for one in ledger.consumed_candidates(refresh)}
    if made is None:
        return False
    if dict(refresh.pins) != dict(made.pins) or not read <= held:
        return True
    codes = {v.code_version for versions in warehouse.composition(head).values() for v in versions}
    tried = [version for parts in ledger.candidates(refresh).values() for version in parts.values()]
    return any(v.contract_hash != head.contracts.get(v.table) or v.code_version not in codes for v in tried)
