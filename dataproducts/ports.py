"""What an input port stands for, and whether what is behind it may be relied on; it must not read any rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import RefusedError
from dataproducts.lifecycle.states import standings
from dataproducts.product import TableRef, version_numbers

if TYPE_CHECKING:
    from dataproducts.product import DataProduct, InputPort
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


def closed_by(warehouse: Warehouse, product: DataProduct) -> str:
    """Return why no refresh of `product` may begin: it is retired, or reads what is; empty if none of it is."""
    every = standings(warehouse.environment, [product])
    own = every[product.address]
    if own.is_retired:
        return own.warning
    for port in product.inputs:
        found = every.get(upstream_table(warehouse, port).product)
        if found and found.is_closed:
            return f"{port.mark}: input port {port.name!r} reads what is no more: {found.warning}"
    return ""


def warnings_of(warehouse: Warehouse, product: DataProduct) -> tuple[str, ...]:
    """Return what whoever plans or builds `product` is told: of its own lifecycle, and of what it reads."""
    every = standings(warehouse.environment, [product])
    own = every[product.address]
    read = (every.get(upstream_table(warehouse, port).product) for port in product.inputs)
    upstream = dict.fromkeys(f"it reads {found.warning}" for found in read if found and found.warning)
    return tuple(text for text in (own.warning, own.drift, *upstream) if text)


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
