"""One state of a project's declarations, read from a folder; it must not compare, and judges nothing.

A state may be an old one, of which rules of today did not hold: whatever can be read is read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dataproducts.declare.contract import CONTRACT_END
from dataproducts.declare.fields import custom, day, entries, text
from dataproducts.declare.positions import Document, read_yaml
from dataproducts.errors import DeclarationError, Fault, UsageError
from dataproducts.product import Mark, Transform, version_numbers

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

FILES = {"product": "product.yaml", "slo": "slo.yaml", "access": "access.yaml", "semantic": "semantic.yaml"}
FILES["design"] = "design.yaml"
"""The files beside contracts, by the name that paths of their clauses begin with."""

_KINDS = {".sql": "sql", ".py": "python"}


@dataclass(slots=True)
class Files:
    """The files of one product, or a lone contract: documents by kind, contracts and transforms by table.

    `unread` are the paths of files that are there and cannot be read.
    """

    folder: str
    documents: dict[str, Document] = field(default_factory=dict)
    contracts: dict[str, Document] = field(default_factory=dict)
    transforms: dict[str, Transform] = field(default_factory=dict)
    unread: dict[str, Fault] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        """The data of product.yaml; empty, if it is not there."""
        return plain(self.documents.get("product"))

    @property
    def is_product(self) -> bool:
        """Whether it is a product, and no lone contract."""
        return "product" in self.documents

    @property
    def name(self) -> tuple[str, str]:
        """Domain and name, which all major versions share."""
        parts = self.folder.split("/")
        return text(self.data, "domain") or parts[-2 if len(parts) > 1 else 0], text(self.data, "name") or parts[-1]

    @property
    def version(self) -> str:
        """The version of product.yaml."""
        return text(self.data, "version")

    @property
    def address(self) -> str:
        """The address, with `@v<major>` from the second major on; of a lone contract, its id."""
        if not self.is_product:
            return next((text(plain(d), "id") or stem for stem, d in self.contracts.items()), self.folder)
        major = version_numbers(self.version)[0]
        return "/".join(self.name) + (f"@v{major}" if major > 1 else "")

    @property
    def status(self) -> str:
        """The lifecycle status; of a lone contract, its own."""
        source = self.data if self.is_product else next((plain(d) for d in self.contracts.values()), {})
        return text(source, "status")

    def is_published(self, contract: Document) -> bool:
        """Whether an output port offers the contract, so that somebody can read its table."""
        offered = {text(port, "contractId") for port, _ in entries(self.data, "outputPorts")}
        return not self.is_product or text(plain(contract), "id") in offered

    def stem_of(self, contract_id: str) -> str:
        """Return the table whose contract has that id; empty if none has."""
        return next((stem for stem, d in self.contracts.items() if text(plain(d), "id") == contract_id), "")

    def end(self, stem: str = "") -> date | None:
        """Return the last day that readers were told of: of the product, or of one of its tables, if that is sooner."""
        days = [day(custom(self.data).get("sunsetDate"))]
        for sla, _ in entries(plain(self.contracts.get(stem)), "slaProperties"):
            if text(sla, "property") in ("endOfLife", "el"):
                days.append(day(str(sla.get("value"))[:10]))
        return min((found for found in days if found), default=None)


@dataclass(frozen=True, slots=True)
class State:
    """What a project, a product's folder or a lone contract declares; `label` is what people call it.

    `root` is the folder that paths are relative to; `is_project` tells whether it holds `assets/`.
    """

    label: str
    root: Path
    products: tuple[Files, ...]
    is_project: bool


def plain(document: Document | None) -> dict[str, Any]:
    """Return the mapping that a document holds; empty for none and for anything else."""
    return document.data if document and isinstance(document.data, dict) else {}


def read_state(place: Path, label: str = "") -> State:
    """Return what the project, the product's folder or the lone contract at `place` declares.

    A project is a folder that holds `assets/`. Raises: UsageError, if it is none of the three.
    """
    label = label or str(place)
    if place.is_file():
        return State(label, place.parent, (_read_lone(place),), is_project=False)
    if (place / "assets").is_dir():
        folders = sorted(f for f in place.glob("assets/*/*") if _is_product(f))
        return State(label, place, tuple(_read(folder, place) for folder in folders), is_project=True)
    if _is_product(place):
        return State(label, place, (_read(place, place),), is_project=False)
    if not place.exists():
        raise UsageError(f"{place} does not exist")
    raise UsageError(f"{place} declares nothing: it holds neither assets/ nor product.yaml nor contracts/")


def empty_state(label: str, root: Path) -> State:
    """Return the state of a project before there was one."""
    return State(label, root, (), is_project=True)


def _is_product(folder: Path) -> bool:
    return (
        folder.is_dir()
        and not folder.name.startswith((".", "__"))
        and any((folder / name).exists() for name in ("product.yaml", "contracts"))
    )


def _read_lone(file: Path) -> Files:
    files = Files(file.name)
    document = _document(files, file, file.name)
    if document:
        files.contracts["contract"] = document
    return files


def _read(folder: Path, root: Path) -> Files:
    relative = folder.relative_to(root).as_posix()
    files = Files(folder.name if relative == "." else relative)
    prefix = "" if relative == "." else f"{relative}/"
    for kind, name in FILES.items():
        if (folder / name).exists():
            document = _document(files, folder / name, f"{prefix}{name}")
            if document:
                files.documents[kind] = document
    for file in sorted((folder / "contracts").glob(f"*{CONTRACT_END}")):
        document = _document(files, file, f"{prefix}contracts/{file.name}")
        if document:
            files.contracts[file.name.removesuffix(CONTRACT_END)] = document
    for file in sorted((folder / "transforms").glob("*")):
        path = f"{prefix}transforms/{file.name}"
        if file.suffix in _KINDS and file.is_file() and not file.name.startswith((".", "__")):
            content = _text(files, file, path)
            if content is not None:
                files.transforms[file.stem] = Transform(_KINDS[file.suffix], file, content, Mark(path, 1))
    return files


def _document(files: Files, file: Path, path: str) -> Document | None:
    try:
        return read_yaml(file, path)
    except DeclarationError as error:
        files.unread[path] = error.faults[0]
        return None


def _text(files: Files, file: Path, path: str) -> str | None:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        files.unread[path] = Fault(path, 0, f"the file cannot be read: {error}", "Save it in the encoding UTF-8.")
        return None
