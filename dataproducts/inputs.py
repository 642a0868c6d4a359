"""What each table of a product reads, resolved to siblings, ports and sources; it must not read any of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.errors import UnknownNameError
from dataproducts.product import TableRef
from dataproducts.rules.reads import rule_reads
from dataproducts.transforms.dependencies import dependencies

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataproducts.product import DataProduct, InputPort, Server, Table


@dataclass(frozen=True, slots=True)
class Input:
    """One relation that a table reads under `name`: a sibling table, an input port or a source (exactly one)."""

    name: str
    sibling: str | None = None
    port: InputPort | None = None
    server: Server | None = None


def transform_inputs(product: DataProduct, table: Table) -> tuple[Input, ...]:
    """Return what the transform of `table` reads, in the order it names them.

    A table without a transform passes its one source through. Raises: UnknownNameError, for a relation that is
    neither a sibling, an input port nor a server.
    """
    if table.transform is None:
        return tuple(Input(server.name, server=server) for server in table.servers[:1])
    return tuple(_resolve(product, table, name) for name in dependencies(table.transform, table.name))


def rule_inputs(product: DataProduct, table: Table) -> tuple[Input, ...]:
    """Return the other tables that the rules of `table` read, each once."""
    found: dict[str, Input] = {}
    for rule in table.rules:
        for read in rule_reads(rule, table):
            resolved = _of_ref(product, read) if isinstance(read, TableRef) else _resolve(product, table, read)
            if resolved.sibling != table.name:
                found[resolved.name] = resolved
    return tuple(found.values())


def siblings_first(product: DataProduct) -> tuple[Table, ...]:
    """Return the tables of `product`, each after the siblings that it reads.

    Raises: UnknownNameError, as `transform_inputs`. A cycle, which loading refuses, ends where it began.
    """
    ordered: dict[str, Table] = {}

    def visit(table: Table, path: tuple[str, ...]) -> None:
        if table.name in ordered or table.name in path:
            return
        for name in sorted(_sibling_names(product, table)):
            visit(product.table(name), (*path, table.name))
        ordered[table.name] = table

    for table in product.tables:
        visit(table, ())
    return tuple(ordered.values())


def _sibling_names(product: DataProduct, table: Table) -> frozenset[str]:
    """Return the names of the sibling tables that the transform or the rules of `table` read."""
    reads: Iterable[Input] = (*transform_inputs(product, table), *rule_inputs(product, table))
    return frozenset(read.sibling for read in reads if read.sibling)


def _resolve(product: DataProduct, table: Table, name: str) -> Input:
    siblings = {t.name for t in product.tables}
    ports = {port.name: port for port in product.inputs}
    servers = {server.name: server for server in table.servers}
    # A server may carry the name of its table (customers read from customers): a table never reads itself.
    if name in servers:
        return Input(name, server=servers[name])
    if name in siblings:
        return Input(name, sibling=name)
    if name in ports:
        return Input(name, port=ports[name])
    raise UnknownNameError("input", name, {*siblings - {table.name}, *ports, *servers})


def _of_ref(product: DataProduct, ref: TableRef) -> Input:
    if ref.product == product.address:
        return Input(ref.table, sibling=ref.table)
    for port in product.inputs:
        if port.source == ref:
            return Input(port.name, port=port)
    raise UnknownNameError("input port for table", str(ref), {port.name for port in product.inputs})
