"""Every contract of a project and who reads it, read leniently; it must not judge any file.

One domain needs to know what the others offer without failing for their faults: a file that cannot be read is known
here by its place alone.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  a NamedTuple's types are read at run time
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from dataproducts.declare.contract import CONTRACT_END
from dataproducts.declare.fields import entries, text
from dataproducts.declare.positions import read_yaml
from dataproducts.declare.sql_types import column_type
from dataproducts.declare.standards import read_schema
from dataproducts.errors import DeclarationError
from dataproducts.product import TableRef, version_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Offer(NamedTuple):
    """What one contract describes: `table`, at `version`.

    `columns` gives the type of each column; it is None if the contract could not be read, and then `version` is
    empty. `published` tells whether an output port offers it. `path` is the contract's file, relative to the project.
    """

    table: TableRef
    version: str
    published: bool = True
    columns: Mapping[str, str] | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The offers of a project by contract id, ids that several contracts claim, and which contracts products read."""

    offers: Mapping[str, Offer]
    claims: Mapping[str, tuple[str, ...]]
    reads: Mapping[str, tuple[str, ...]]
    addresses: Mapping[str, tuple[str, ...]]

    def read_by(self, product: str) -> list[str]:
        """Return the products that the one at address `product` reads."""
        return [self.offers[c].table.product for c in self.reads.get(product, ()) if c in self.offers]


def read_catalogue(root: Path, *, also: Path | None = None) -> Catalogue:
    """Return what the products of the project at `root` offer and read; `also` is one more product's folder."""
    offers: dict[str, Offer] = {}
    claims: dict[str, list[str]] = {}
    reads: dict[str, tuple[str, ...]] = {}
    addresses: dict[str, list[str]] = {}
    folders = sorted(root.glob("assets/*/*/"))
    for folder in [*folders, *([also] if also and also not in folders else [])]:
        if not (folder / "product.yaml").exists():
            continue
        product = _read(folder / "product.yaml")
        address = _address(product, folder)
        path = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.as_posix()
        addresses.setdefault(address, []).append(path)
        reads[address] = tuple(text(entry, "contractId") for entry, _ in entries(product, "inputPorts"))
        for contract, offer in _offers(folder, path, address, product):
            offers.setdefault(contract, offer)
            claims.setdefault(contract, []).append(offer.path)
    return Catalogue(
        MappingProxyType(offers),
        MappingProxyType({key: tuple(paths) for key, paths in claims.items()}),
        MappingProxyType(reads),
        MappingProxyType({key: tuple(paths) for key, paths in addresses.items()}),
    )


def _offers(folder: Path, path: str, address: str, product: dict[str, Any] | None) -> Iterator[tuple[str, Offer]]:
    files = {file: _read(file) for file in sorted((folder / "contracts").glob(f"*{CONTRACT_END}"))}
    ports = _ports(product, {text(data, "id") for data in files.values()})
    for file, data in files.items():
        stem = file.name.removesuffix(CONTRACT_END)
        where = f"{path}/contracts/{file.name}"
        contract = text(data, "id")
        if not contract:
            # By convention: <domain>.<product>.<table>. What it offers cannot be told, so nothing is held against it.
            yield f"{folder.parent.name}.{folder.name}.{stem}", Offer(TableRef(address, stem), "", path=where)
            continue
        columns = {
            text(column, "name"): column_type(column) or "VARCHAR"
            for table, place in entries(data, "schema")
            for column, _ in entries(table, "properties", place)
        }
        published = ports is None or contract in ports
        yield contract, Offer(TableRef(address, stem), text(data, "version"), published, columns or None, where)


def _ports(product: dict[str, Any] | None, contracts: set[str]) -> set[str] | None:
    """Return the contracts that a product's ports offer; None if its file is too broken to tell."""
    if product is None or product.keys() - read_schema("odps-1.1.0.json")["properties"].keys():
        return None
    ports = {text(entry, "contractId") for entry, _ in entries(product, "outputPorts")}
    return ports if ports <= contracts else None


def _address(product: dict[str, Any] | None, folder: Path) -> str:
    name, domain = text(product, "name") or folder.name, text(product, "domain") or folder.parent.name
    major = version_numbers(text(product, "version"))[0]
    return f"{domain}/{name}" + (f"@v{major}" if major > 1 else "")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        data = read_yaml(file, file.name).data
    except DeclarationError:
        return None
    return data if isinstance(data, dict) else None
