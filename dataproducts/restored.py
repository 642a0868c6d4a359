"""What is right again without a refresh: sources as they were when the release was made; it must not refresh them.

A refresh is refused for what a file holds. When the file is put back as it had been, the release is what a refresh
would give, so that none is made and no verdict comes that could close the incident.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import DataProductError
from dataproducts.finding import FindingKind, Recovery
from dataproducts.findings import ORIGIN
from dataproducts.plan import plan_product

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct
    from dataproducts.release import Release
    from dataproducts.warehouse import Warehouse

_FAILED = {FindingKind.SOURCE, FindingKind.PIPELINE}


def restored(
    warehouse: Warehouse, products: Mapping[str, DataProduct], already: Iterable[Incident], *, now: datetime
) -> tuple[Recovery, ...]:
    """Return which of the open incidents `already` are over, because their product's release is what sources give.

    These are about refreshes that failed, with nothing left to refresh, and about rules that refused what was read,
    where that was something else than what the release was made from. Raises: StoreError, if the ledger cannot be read.
    """
    waiting: dict[str, list[Incident]] = {}
    for incident in already:
        if incident.product in products and _is_of_unpublished(incident):
            waiting.setdefault(incident.product, []).append(incident)
    return tuple(
        recovery
        for address, incidents in waiting.items()
        for recovery in _over(warehouse, products[address], incidents, now)
    )


def _is_of_unpublished(incident: Incident) -> bool:
    """Whether the incident is about rows that nobody could read: a failure of what is published stays one."""
    if incident.kind is FindingKind.CHECK:
        return bool(incident.detail.get("blocking")) and not incident.detail.get("published")
    return incident.detail.get("origin") == ORIGIN


def _over(
    warehouse: Warehouse, product: DataProduct, incidents: Iterable[Incident], now: datetime
) -> Iterator[Recovery]:
    head = warehouse.ledger.head(product.address)
    if head is None:
        return
    gone = [one for one in incidents if one.kind in _FAILED or _read_other(warehouse, one, head)]
    try:
        # A plan lists the sources, which is dear: it is made only where something may be over.
        plan = plan_product(warehouse, product) if gone else None
    except DataProductError:
        return  # what cannot be planned is not right
    if plan is not None and not plan.is_needed and not plan.closed:
        told = {"release": head.number, "reason": "the sources are those of the release again"}
        yield from (Recovery(one.about, now, told) for one in gone)


def _read_other(warehouse: Warehouse, incident: Incident, head: Release) -> bool:
    """Whether the refresh that the incident is of read something that the release was not made from."""
    ledger = warehouse.ledger
    refresh = ledger.find_refresh(str(incident.detail.get("refresh_id", "")), incident.product)
    made = ledger.find_refresh(head.refresh_id, incident.product)
    if refresh is None or made is None:
        return False
    held = {(one.source, one.path, one.sha256) for one in ledger.consumed(incident.product)}
    read = {(one.source, one.path, one.sha256) for one in ledger.consumed_candidates(refresh)}
    return dict(refresh.pins) != dict(made.pins) or not read <= held
