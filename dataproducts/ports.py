"""What an input port stands for, and whether a release keeps what the port relies on; it must not read any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import RefusedError
from dataproducts.product import TableRef, version_numbers

if TYPE_CHECKING:
    from dataproducts.product import InputPort
    from dataproducts.release import Release
    from dataproducts.warehouse import Warehouse


def upstream_table(warehouse: Warehouse, port: InputPort) -> TableRef:
    """Return the table behind an input port: the project's if it declares one, else what was released under its id.

    Raises: RefusedError, if no release offers the contract.
    """
    if port.source is not None:
        return port.source
    released = warehouse.ledger.find_contract(port.contract_id, major=version_numbers(port.version)[0])
    if released is None:
        raise RefusedError(f"{port.mark}: no release offers contract {port.contract_id!r}: build its product first")
    return TableRef(released.product, released.table)


def check_promise(warehouse: Warehouse, port: InputPort, ref: TableRef, pinned: Release) -> None:
    """Refuse an upstream release whose contract is not the version that the port relies on."""
    offered = warehouse.ledger.contracts(pinned).get(ref.table)
    if offered is None:
        raise RefusedError(f"{port.mark}: release {pinned.number} of {ref.product} has no table {ref.table!r}")
    wanted, given = version_numbers(port.version), version_numbers(offered.version)
    if given[0] != wanted[0] or given < wanted:
        raise RefusedError(
            f"{port.mark}: input port {port.name!r} relies on version {port.version} of contract {port.contract_id!r}, "
            f"but release {pinned.number} of {ref.product} offers {offered.version}"
        )
