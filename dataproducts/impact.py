"""Who is concerned when a product, or one table of it, is wrong; it must not know what is wrong or who is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.errors import DataProductError
from dataproducts.inputs import transform_inputs
from dataproducts.product import TableRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dataproducts.product import DataProduct, Table


@dataclass(frozen=True, slots=True)
class Impact:
    """What rests on a table: tables made from it, products with such tables, their declared consumers, and metrics.

    `tables` begin with what is wrong itself; `products` are those downstream alone, in address order. A consumer is as
    the product declares it, with `product` beside; a metric is `<product>: <name>`.
    """

    tables: tuple[TableRef, ...]
    products: tuple[str, ...]
    consumers: tuple[Mapping[str, Any], ...]
    metrics: tuple[str, ...]


def impact(products: Mapping[str, DataProduct], address: str, table: str = "") -> Impact:
    """Return what rests on `table` of the product at `address`, or on all its tables if none is named.

    A table that reads an affected one is affected, within a product and through input ports. What the transform of a
    table reads is taken from its text; where that cannot be told, the table counts as affected.
    """
    own = products.get(address)
    names = (table,) if table else tuple(t.name for t in own.tables) if own else ()
    found = dict.fromkeys(TableRef(address, name) for name in names)
    while True:
        more = [ref for product in products.values() for ref in _reached(product, found) if ref not in found]
        if not more:
            break
        found.update(dict.fromkeys(more))
    touched = {ref.product: products[ref.product] for ref in found if ref.product in products}
    return Impact(
        tables=tuple(found),
        products=tuple(sorted(touched.keys() - {address})),
        consumers=tuple(entry for product in touched.values() for entry in _consumers(product, found)),
        metrics=tuple(sorted(f"{p.address}: {name}" for p in touched.values() for name in _metrics(p, found))),
    )


def _reached(product: DataProduct, affected: Mapping[TableRef, None]) -> Iterator[TableRef]:
    """Yield the tables of `product` that read one of `affected`."""
    for table in product.tables:
        if any(ref in affected for ref in _read_by(product, table)):
            yield TableRef(product.address, table.name)


def _read_by(product: DataProduct, table: Table) -> Iterable[TableRef]:
    """Return the tables that `table` is made from; all that it might be, if its transform does not tell."""
    own = {t.name: TableRef(product.address, t.name) for t in product.tables}
    try:
        reads = transform_inputs(product, table)
    except DataProductError:
        return [ref for name, ref in own.items() if name != table.name] + [p.source for p in product.inputs if p.source]
    siblings = [own[read.sibling] for read in reads if read.sibling]
    return siblings + [read.port.source for read in reads if read.port and read.port.source]


def _consumers(product: DataProduct, affected: Mapping[TableRef, None]) -> Iterator[Mapping[str, Any]]:
    """Yield the consumers of the product's ports that offer an affected table, and those who name no port."""
    tables = {table.contract_id: table.name for table in product.tables}
    ports = {port.name: TableRef(product.address, tables.get(port.contract_id, "")) for port in product.outputs}
    for entry in product.consumers:
        port = entry.get("port")
        if not entry.get("gone") and (port not in ports or ports[port] in affected):
            yield {"product": product.address, **entry}


def _metrics(product: DataProduct, affected: Mapping[TableRef, None]) -> Iterator[str]:
    """Yield the metrics that are computed from an affected table, and those that do not tell from what."""
    sources = {port.name: port.source for port in product.inputs if port.source}
    known = sources | {table.name: TableRef(product.address, table.name) for table in product.tables}
    for metric in product.design.get("metrics", ()):
        columns = metric.get("columns", ())
        reads = [known.get(str(column).partition(".")[0]) for column in columns]
        if not columns or any(ref is None or ref in affected for ref in reads):
            yield str(metric.get("name", ""))
