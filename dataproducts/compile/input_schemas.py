"""Columns and types of what a table reads, where a contract declares them; it must not open any data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.inputs import transform_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.catalogue import Offer
    from dataproducts.product import DataProduct, Table


def input_schemas(product: DataProduct, table: Table, offers: Mapping[str, Offer]) -> dict[str, Mapping[str, str]]:
    """Return relation -> column -> SQL type for the siblings and ports that the transform of `table` reads.

    `offers` are the contracts of the project by id. A source has no contract of its own, so it is absent: lineage
    then knows its columns by name only.
    """
    found: dict[str, Mapping[str, str]] = {}
    for read in transform_inputs(product, table):
        if read.sibling:
            found[read.name] = {column.name: column.sql_type for column in product.table(read.sibling).columns}
        elif read.port and read.port.contract_id in offers:
            columns = offers[read.port.contract_id].columns
            if columns is not None:
                found[read.name] = columns
    return found
