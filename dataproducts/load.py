"""Files of a project as typed products, with every fault of every file; it must not know how products are run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.active import check_active
from dataproducts.declare.catalogue import Catalogue, read_catalogue
from dataproducts.declare.clauses import faults as clause_faults
from dataproducts.declare.contract import CONTRACT_END, read_tables
from dataproducts.declare.descriptor import read_product
from dataproducts.declare.design import check_design
from dataproducts.declare.fields import custom, entries, text
from dataproducts.declare.positions import Document, parse_yaml, read_yaml
from dataproducts.declare.references import check_project, resolve
from dataproducts.declare.slo import FILE as SLO_FILE
from dataproducts.declare.slo import read_objectives
from dataproducts.declare.standards import CONTRACT, DESIGN, PRODUCT, SLO, TESTS, judge, judge_by
from dataproducts.errors import DeclarationError, Fault, UsageError, suggest
from dataproducts.product import DataProduct, Mark, Table, Transform

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date
    from pathlib import Path

RELEASE = "release"
"""The name that no table may have: it is that of the product's release among the assets."""

_TRANSFORM_KINDS = {".sql": "sql", ".py": "python"}


@dataclass(frozen=True, slots=True)
class Project:
    """What a project declares: its products that could be read, and all that is wrong with its files.

    A product is to be used only if none of `faults` lies in its folder.
    """

    root: Path
    products: tuple[DataProduct, ...]
    faults: tuple[Fault, ...]


def load_project(
    root: Path,
    *,
    domain: str | None = None,
    as_of: date | None = None,
    texts: Mapping[Path, str] = MappingProxyType({}),
) -> Project:
    """Return the products under `assets/<domain>/<product>/` of `root`, with every fault of every file.

    Of one `domain`, if given: what is wrong in others is not told, and does not matter here. `as_of` is the day on
    which waivers must not have expired; today if absent. `texts` are what files shall be taken to hold, whatever they
    do: to judge a change before it is written. Never raises for what files hold.

    Raises: UsageError, if there is no such project or domain.
    """
    assets = root / "assets"
    if not assets.is_dir():
        raise UsageError(f"{root} is no project: it has no folder `assets`")
    domains = sorted(d.name for d in _folders(assets))
    if domain is not None and domain not in domains:
        raise UsageError(f"there is no domain {domain!r}.{suggest(domain, domains)}")
    catalogue = read_catalogue(root)
    bundles = [
        _read_bundle(folder, root, texts)
        for name in ([domain] if domain else domains)
        for folder in _folders(assets / name)
        if _is_product(folder)
    ]
    products, faults = _finish(bundles, catalogue, as_of)
    return Project(root, products, faults)


def load_product(folder: Path, *, root: Path | None = None, as_of: date | None = None) -> DataProduct:
    """Return the product that lies in `folder`, resolved against the project at `root`.

    Without `root`, the project is found from the folder's place (`<root>/assets/<domain>/<product>`). Input ports
    whose contract the project does not hold are faults, unless there is no project at all.
    Raises: DeclarationError, with every fault of the product's files.
    """
    folder = folder.absolute()
    found = folder.parents[2] if len(folder.parents) > 2 and folder.parents[1].name == "assets" else None  # noqa: PLR2004
    root = root.absolute() if root is not None else found
    catalogue = read_catalogue(root, also=folder) if root is not None else None
    bundle = _read_bundle(folder, root if root is not None else folder)
    products, faults = _finish([bundle], catalogue, as_of)
    if faults or not products:
        raise DeclarationError(faults)
    return products[0]


def load_contract(path: Path) -> tuple[Table, ...]:
    """Return the tables of an ODCS file that stands alone, judged by its standard.

    Raises: DeclarationError, with every fault of the file.
    """
    document = read_yaml(path, str(path))
    faults = judge(document, CONTRACT)
    tables, more = read_tables(document, strict=False)
    if faults or more:
        raise DeclarationError([*faults, *(() if faults else more)])
    return tables


def conformance(path: Path) -> tuple[Fault, ...]:
    """Return what is wrong with an ODCS or ODPS file by its standard alone; `kind` tells which of the two it is."""
    try:
        return judge(read_yaml(path, str(path)))
    except DeclarationError as error:
        return error.faults


@dataclass(slots=True)
class _Bundle:
    """The files of one product as they were read; a file that could not be read is missing, with its fault told."""

    folder: Path
    root: Path
    path: str
    product: DataProduct | None = None
    descriptor: Document | None = None
    contracts: dict[str, Document] = field(default_factory=dict)
    design: Document | None = None
    slo: Document | None = None
    faults: list[Fault] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)  # tables whose contract could not be read
    texts: Mapping[Path, str] = field(default_factory=dict)

    def read(self, file: Path) -> Document | None:
        try:
            if file in self.texts:
                return parse_yaml(self.texts[file], _relative(file, self.root))
            return read_yaml(file, _relative(file, self.root))
        except DeclarationError as error:
            self.faults.extend(error.faults)
            return None

    def tell(self, standard: Iterable[Fault], more: Iterable[Fault] = ()) -> None:
        """Keep what the standard finds, and what we find besides, once a line."""
        first = list(standard)
        told = {(fault.path, fault.line) for fault in first}
        self.faults += [*first, *(fault for fault in more if (fault.path, fault.line) not in told)]


def _read_bundle(folder: Path, root: Path, texts: Mapping[Path, str] = MappingProxyType({})) -> _Bundle:
    bundle = _Bundle(folder, root, _relative(folder, root), texts=texts)
    if not folder.is_dir():
        bundle.faults.append(Fault(str(folder), 0, "there is no such folder", "Correct the path."))
        return bundle
    bundle.descriptor = bundle.read(folder / "product.yaml")
    if bundle.descriptor:
        product, faults = read_product(bundle.descriptor, folder)
        bundle.product = product
        bundle.tell(judge(bundle.descriptor, PRODUCT), faults)
    gold = bundle.descriptor is not None and custom(bundle.descriptor.data).get("tier") == "gold"
    tables = tuple(_read_contracts(bundle, gold=gold))
    design = folder / "design.yaml"
    bundle.design = bundle.read(design) if design.exists() else None
    if bundle.design:
        bundle.tell(judge_by(bundle.design, DESIGN))
    slo = folder / SLO_FILE
    bundle.slo = bundle.read(slo) if slo.exists() else None
    if bundle.slo:
        bundle.tell(judge_by(bundle.slo, SLO))
    _read_tests(bundle, {table.name for table in tables} | bundle.unread)
    if bundle.product:
        content = bundle.design.data if bundle.design and isinstance(bundle.design.data, dict) else {}
        bundle.product = replace(bundle.product, tables=tables, design=MappingProxyType(content))
    return bundle


def _read_contracts(bundle: _Bundle, *, gold: bool) -> Iterator[Table]:
    folder = bundle.folder / "contracts"
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    transforms = _read_transforms(bundle)
    for file in files:
        if file.name.startswith(".") or file.is_dir():
            continue
        if not file.name.endswith(CONTRACT_END):
            what = f"{file.name!r} is no contract"
            fix = f"Call it `<table>{CONTRACT_END}`, or delete it."
            bundle.faults.append(Fault(_relative(file, bundle.root), 0, what, fix))
            continue
        yield from _read_contract(bundle, file, transforms, gold=gold)
    if not files and bundle.product:
        fix = f"Add one a table: `contracts/<table>{CONTRACT_END}`."
        bundle.faults.append(Fault(f"{bundle.path}/contracts", 0, "the product has no contracts", fix))
    for name, transform in transforms.items():
        if name not in bundle.contracts and name not in bundle.unread:
            what = f"nothing declares the table {name!r} that this transform makes"
            names = [*bundle.contracts, *bundle.unread]
            fix = f"Add contracts/{name}{CONTRACT_END}.{suggest(name, names)}"
            bundle.faults.append(Fault(transform.mark.path, 1, what, fix))


def _read_contract(bundle: _Bundle, file: Path, transforms: Mapping[str, Transform], *, gold: bool) -> Iterator[Table]:
    stem = file.name.removesuffix(CONTRACT_END)
    document = bundle.read(file)
    if document is None:
        bundle.unread.add(stem)
        return
    bundle.contracts[stem] = document
    standard = judge(document, CONTRACT)
    tables, faults = read_tables(document, gold=gold)
    bundle.tell(standard, [*faults, *_judge_table(bundle, document, stem, tables)])
    for table in tables:
        if table.name == stem:
            transform = transforms.get(stem)
            bundle.faults.extend(_judge_transform(document, table, transform))
            yield replace(table, transform=transform)
            return
    bundle.unread.add(stem)


def _judge_table(bundle: _Bundle, document: Document, stem: str, tables: tuple[Table, ...]) -> Iterator[Fault]:
    if len(tables) != 1:
        fix = "Keep one schema object a contract, and one contract a table."
        yield document.fault(("schema",), f"the contract describes {len(tables)} tables", fix)
        return
    table = tables[0]
    if table.name != stem:
        what = f"table {table.name!r} does not bear the name of its file, {stem!r}"
        yield document.fault(("schema", 0, "name"), what, f"Write `name: {stem}`, or rename the file.")
    if table.name == RELEASE:
        yield document.fault(("schema", 0, "name"), f"no table may be called {RELEASE!r}", "Rename it.")
    if not table.columns:
        yield document.fault(("schema", 0), f"table {table.name!r} has no columns", "Add `properties`.")
    domain = text(document.data, "domain")
    if bundle.product and domain and domain != bundle.product.domain:
        what = f"the contract is of domain {domain!r}, and the product of {bundle.product.domain!r}"
        yield document.fault(("domain",), what, f"Write `domain: {bundle.product.domain}`.")


def _judge_transform(document: Document, table: Table, transform: Transform | None) -> Iterator[Fault]:
    if transform is None and len(table.servers) != 1:
        how = (
            f"and its contract has {len(table.servers)} servers" if table.servers else "and no server to be copied from"
        )
        fix = f"Add transforms/{table.name}.sql, or declare the one server that it is copied from."
        yield document.fault(("schema", 0), f"nothing makes table {table.name!r}: it has no transform, {how}", fix)


def _read_transforms(bundle: _Bundle) -> dict[str, Transform]:
    folder = bundle.folder / "transforms"
    found: dict[str, Transform] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else []:
        if file.name.startswith((".", "__")) or file.is_dir():
            continue
        path = _relative(file, bundle.root)
        kind = _TRANSFORM_KINDS.get(file.suffix)
        if kind is None:
            fix = "Call it `<table>.sql` or `<table>.py`, or delete it."
            bundle.faults.append(Fault(path, 0, f"{file.name!r} is no transform", fix))
        elif file.stem in found:
            what = f"table {file.stem!r} has two transforms, {found[file.stem].path.name} and {file.name}"
            bundle.faults.append(Fault(path, 0, what, "Delete one of the two."))
        else:
            source = _read_text(bundle, file, path)
            found[file.stem] = Transform(kind, file, source, Mark(path, 1))
    return found


def _read_text(bundle: _Bundle, file: Path, path: str) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        bundle.faults.append(Fault(path, 0, "the file is not UTF-8", "Save it in the encoding UTF-8."))
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        bundle.faults.append(Fault(path, 0, what, "Correct its permissions."))
    return ""


def _read_tests(bundle: _Bundle, tables: set[str]) -> None:
    folder = bundle.folder / "tests"
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else []:
        document = bundle.read(file)
        if document is None:
            continue
        bundle.tell(judge_by(document, TESTS))
        whole: dict[str, Any] = {"tests": document.data if isinstance(document.data, list) else [document.data]}
        for case, place in entries(whole, "tests"):
            name = text(case, "table")
            if name and name not in tables:
                where = (place[1], "table") if isinstance(document.data, list) else ("table",)
                fix = suggest(name, sorted(tables)).strip()
                bundle.faults.append(document.fault(where, f"table {name!r} is not of this product", fix))


def _finish(
    bundles: list[_Bundle], catalogue: Catalogue | None, as_of: date | None
) -> tuple[tuple[DataProduct, ...], tuple[Fault, ...]]:
    """Resolve the products against each other and judge what concerns more than one file."""
    faults = [fault for bundle in bundles for fault in bundle.faults]
    products = []
    for bundle in bundles:
        if bundle.product is None or bundle.descriptor is None:
            continue
        product, found = resolve(
            bundle.product, bundle.descriptor, bundle.contracts, catalogue, unread=frozenset(bundle.unread)
        )
        promised = read_objectives(product, bundle.slo, unread=frozenset(bundle.unread))
        product = replace(product, objectives=promised.objectives, trust=promised.trust)
        told = {(fault.path, fault.line) for fault in bundle.faults}
        faults += [fault for fault in found if (fault.path, fault.line) not in told]
        faults += [fault for fault in promised.faults if not any(map(fault.speaks_of, bundle.faults))]
        # What a file lacks to be active may be there under a misspelt key: first things first.
        flawed = {fault.path for fault in bundle.faults}
        found = check_active(product, bundle.descriptor, bundle.contracts, bundle.design)
        found += clause_faults(product, as_of=as_of)
        if bundle.design and bundle.descriptor.path not in flawed:
            found += check_design(product, bundle.design, unread=frozenset(bundle.unread))
        faults += [fault for fault in found if fault.path not in flawed]
        products.append(product)
    if catalogue is not None:
        faults += check_project(products, catalogue)
    return tuple(sorted(products, key=lambda p: p.address)), tuple(sorted(set(faults)))


def _folders(folder: Path) -> list[Path]:
    return sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def _is_product(folder: Path) -> bool:
    return any(
        (folder / name).exists() for name in ("product.yaml", "contracts", "transforms", "design.yaml", SLO_FILE)
    )


def _relative(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()
