"""ODCS contracts as typed tables with rules; it must not know products, files beside it, or data.

Of a contract that breaks the standard, what can be read is read, so that one fault does not hide the others.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import (
    custom,
    custom_place,
    day,
    entries,
    flag,
    judge_custom,
    listing,
    mapping,
    number,
    text,
    texts,
)
from dataproducts.declare.implied_rules import (
    FRESHNESS_SLAS,
    Gathering,
    imply_column_rules,
    imply_rules,
    limit_of,
    policy_of,
    read_freshness,
    read_relationships,
)
from dataproducts.declare.promises import is_promise, read_promise
from dataproducts.declare.quality import read_quality
from dataproducts.declare.sql_types import column_type, nearest_type, physical_type, storable_type
from dataproducts.declare.treatments import judge_quarantine, read_treatments
from dataproducts.errors import Fault, suggest
from dataproducts.product import Column, Partitioning, Rule, Server, Sla, Status, Table, Treatment
from dataproducts.rules.masking import CLASSIFIED
from dataproducts.sources.files import SERVER_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place

CONTRACT_END = ".odcs.yaml"
"""How the names of contract files end, after the table's."""

_SERVER_KEYS = {"server", "type", "id", "description", "environment", "roles", "customProperties"}
_NESTED = ("array", "map", "object", "vector")
_TEMPORAL = ("DATE", "TIMESTAMP")
_YEARS = (1000, 9998)  # Dagster writes earlier years in fewer digits, and partitions of the last would end after it
_VERSION = re.compile(r"v?(0|[1-9]\d*)((\.(0|[1-9]\d*)){0,2}|(\.(0|[1-9]\d*)){2}-[0-9A-Za-z.\-]+)")


def read_tables(
    document: Document, *, strict: bool = True, gold: bool = False
) -> tuple[tuple[Table, ...], tuple[Fault, ...]]:
    """Return the tables that an ODCS file declares, and what is wrong with it beyond its standard.

    `strict` holds it to what products need: types that are DuckDB's, servers that can be read, SLAs that can be
    measured. Without it, for a contract that stands alone, those pass. `gold` makes the rules of keys critical.
    """
    data = document.data
    faults: list[Fault] = []
    tables = []
    if strict:
        faults += _judge_identity(document)
    names = [text(entry, "name") for entry, _ in entries(data, "schema")]
    for entry, place in entries(data, "schema"):
        reader = _TableReader(document, entry, place, alone=len(names) == 1, strict=strict)
        tables.append(reader.read(gold=gold))
        faults += reader.faults
    faults += _judge_elements(document, names) if strict else []
    return tuple(tables), tuple(faults)


def is_version(version: str) -> bool:
    """Return whether `version` is one to three numbers, such as `1.2.0`; after three, a hyphen and more may follow."""
    return _VERSION.fullmatch(version) is not None


def _read_servers(document: Document, *, strict: bool) -> tuple[tuple[Server, ...], tuple[Fault, ...]]:
    """Return the servers of a contract, their custom properties among the settings, and what is wrong with them."""
    faults: list[Fault] = []
    servers: list[Server] = []
    for entry, place in entries(document.data, "servers"):
        name, kind = text(entry, "server"), text(entry, "type")
        settings = {k: v for k, v in entry.items() if k not in _SERVER_KEYS} | custom(entry)
        if text(entry, "environment"):
            settings["environment"] = text(entry, "environment")
        servers.append(Server(name, kind, MappingProxyType(settings), document.mark(*place)))
        faults.extend(judge_custom(document, entry, place, "server"))
        if strict and kind and kind not in SERVER_TYPES:
            what = f"server {name!r} is of type {kind!r}, which cannot be read"
            faults.append(document.fault((*place, "type"), what, f"Write one of: {', '.join(SERVER_TYPES)}."))
        if strict and [s.name for s in servers].count(name) > 1:
            what = f"two servers are called {name!r}"
            faults.append(document.fault((*place, "server"), what, "Give each a name of its own."))
    return tuple(servers), tuple(faults)


def _judge_identity(document: Document) -> list[Fault]:
    version, status = text(document.data, "version"), text(document.data, "status")
    faults = []
    if version and not is_version(version):
        fix = "Write three numbers, such as 1.0.0."
        faults.append(document.fault(("version",), f"the version {version!r} is no version", fix))
    known = [status.value for status in Status]
    if status and status not in known:
        what = f"the status {status!r} is not known"
        faults.append(document.fault(("status",), what, suggest(status, known).strip()))
    return faults


def _judge_elements(document: Document, names: list[str]) -> list[Fault]:
    """Refuse SLAs that name a table which the contract does not have; the table's own reader judges the column."""
    faults = []
    for entry, place in entries(document.data, "slaProperties"):
        element = text(entry, "element") or text(document.data, "slaDefaultElement")
        if not element and text(entry, "property") in FRESHNESS_SLAS:
            what = f"{text(entry, 'property')} does not say on which column it is measured"
            faults.append(document.fault(place, what, "Add `element: table.column`."))
        table = element.partition(".")[0]
        if "." in element and table not in names:
            what = f"the SLA speaks of table {table!r}, which the contract lacks"
            faults.append(document.fault((*place, "element"), what, suggest(table, names).strip()))
    return faults


class _TableReader:
    """Reads one schema object of one contract."""

    def __init__(self, document: Document, entry: dict[str, Any], place: Place, *, alone: bool, strict: bool) -> None:
        self.document = document
        self.entry = entry
        self.place = place
        self.alone = alone
        self.strict = strict
        self.name = text(entry, "name")
        self.faults: list[Fault] = []
        self.by_path: dict[str, Column] = {}
        self.sources: dict[str, tuple[dict[str, Any], Place]] = {}
        self.items: dict[str, tuple[dict[str, Any], Place]] = {}  # of lists, whose rules look at each
        self.treatments: list[Treatment] = []

    def refuse(self, place: Place, what: str, fix: str) -> None:
        self.faults.append(self.document.fault(place, what, fix))

    def read(self, *, gold: bool) -> Table:
        document, data = self.document, self.document.data
        columns = tuple(self.read_columns(self.entry, self.place))
        partitioning = self.read_partitioning()
        servers, server_faults = _read_servers(document, strict=self.strict)
        self.faults += [*server_faults, *judge_custom(document, self.entry, self.place, "object")]
        slas = tuple(self.read_slas())
        rules = self.gather(columns, partitioning, gold=gold)
        table = Table(
            name=self.name,
            contract_id=text(data, "id"),
            contract_version=text(data, "version"),
            columns=columns,
            rules=tuple(rules),
            description=text(self.entry, "description") or text(mapping(data, "description"), "purpose"),
            slas=slas,
            servers=servers,
            partitioning=partitioning,
            valid_thru=self.read_valid_thru(),
            contract_hash=document.digest,
            contract_text=document.text,
            status=text(data, "status"),
            raw=MappingProxyType(data),
            mark=document.mark(*self.place),
            treatments=tuple(self.treatments),
            quarantine_limit=limit_of(custom(self.entry).get("maxQuarantined")),
        )
        self.faults += judge_quarantine(document, table, self.entry, self.place) if self.strict else ()
        return table

    def read_columns(self, data: Mapping[str, Any], place: Place, prefix: str = "") -> Iterator[Column]:
        seen: dict[str, int] = {}
        for position, (entry, where) in enumerate(entries(data, "properties", place), start=1):
            name = text(entry, "name")
            if name.lower() in seen and self.strict:
                what = f"column {name!r} stands twice, first in line {seen[name.lower()]}"
                self.refuse((*where, "name"), what, "Delete or rename one of the two.")
                continue
            seen[name.lower()] = self.document.line(*where)
            yield self.read_column(entry, where, f"{prefix}{name}", position)

    def read_column(self, entry: dict[str, Any], place: Place, path: str, position: int) -> Column:
        document = self.document
        children = tuple(self.read_columns(entry, place, f"{path}."))
        items = mapping(entry, "items")
        key = number(entry, "primaryKeyPosition") or 0
        column = Column(
            name=text(entry, "name"),
            logical_type=text(entry, "logicalType"),
            sql_type=self.type_of(entry, place, path),
            physical_type=text(entry, "physicalType"),
            physical_name=text(entry, "physicalName"),
            description=text(entry, "description"),
            term=text(entry, "businessName") or _definition(entry),
            required=flag(entry, "required"),
            unique=bool(flag(entry, "unique")),
            primary_key=(int(key) if key > 0 else position) if flag(entry, "primaryKey") else 0,
            classification=_classification(entry),
            critical=bool(flag(entry, "criticalDataElement")),
            examples=tuple(listing(entry, "examples")),
            enum=tuple(value.get("value") for value, _ in entries(entry, "enum")),
            options=MappingProxyType(mapping(entry, "logicalTypeOptions")),
            properties=children,
            items=self.read_column(items, (*place, "items"), f"{path}.items", 1) if items else None,
            tags=texts(entry, "tags"),
            mark=document.mark(*place),
        )
        if "map" not in place:
            self.by_path[path] = column
            (self.items if "items" in place else self.sources)[path] = (entry, place)
        self.faults.extend(judge_custom(document, entry, place, "property"))
        return column

    def type_of(self, entry: dict[str, Any], place: Place, path: str) -> str:
        physical = text(entry, "physicalType")
        if physical and physical_type(physical) is None and self.strict:
            near = nearest_type(physical)
            fix = f"Did you mean {near!r}?" if near else "Write a type of DuckDB's, such as VARCHAR or DECIMAL(18,2)."
            self.refuse((*place, "physicalType"), f"column {path!r} has the unknown type {physical!r}", fix)
        found = column_type(entry)
        logical = text(entry, "logicalType")
        if found is None and not physical and (not logical or logical in _NESTED) and (self.strict or not logical):
            what = f"column {path!r} declares no type" + (" that is complete" if logical else "")
            self.refuse(place, what, "Add `logicalType`, or `physicalType` with a type of DuckDB's.")
        if self.strict and "." not in path and (instead := storable_type(found or "")):
            what = f"column {path!r} is {found}, which Parquet files do not give back"
            self.refuse((*place, "physicalType"), what, f"Write `physicalType: {instead}`.")
        return found or "VARCHAR"

    def read_partitioning(self) -> Partitioning | None:
        declared = custom(self.entry).get("partition")
        place = custom_place(self.entry, "partition", self.place)
        start = day(declared.get("start")) if isinstance(declared, dict) else None
        if not isinstance(declared, dict) or start is None:
            return None
        name = text(declared, "column")
        self.judge_temporal(name, (*place, "column"), "the table is partitioned by")
        if not _YEARS[0] <= start.year <= _YEARS[1]:
            what = f"the partitions start on {start}, which stands for no day"
            fix = f"Write the first day that has rows, in the years {_YEARS[0]} to {_YEARS[1]}."
            self.refuse((*place, "start"), what, fix)
            return None
        end = day(declared.get("end"))
        if end is not None and end <= start:
            self.refuse((*place, "end"), f"the partitions end on {end}, before they start", "Write a later day.")
        return Partitioning(name, text(declared, "unit"), start, end, text(declared, "batch") or "each")

    def read_valid_thru(self) -> str:
        name = text(custom(self.entry), "validThru")
        if name:
            self.judge_temporal(name, custom_place(self.entry, "validThru", self.place), "validThru is")
        return name

    def judge_temporal(self, name: str, place: Place, claim: str) -> None:
        column = self.by_path.get(name)
        if column is None or name in self.items:
            fix = suggest(name, list(self.by_path)).strip()
            self.refuse(place, f"{claim} {name!r}, which is no column of {self.name!r}", fix)
        elif not column.sql_type.startswith(_TEMPORAL):
            self.refuse(place, f"{claim} {name!r}, which is {column.sql_type}", "Name a date or timestamp column.")

    def read_slas(self) -> Iterator[Sla]:
        for entry, place in entries(self.document.data, "slaProperties"):
            element = text(entry, "element") or text(self.document.data, "slaDefaultElement")
            if not self.concerns(element):
                continue
            self.faults.extend(judge_custom(self.document, entry, place, "sla"))
            yield Sla(
                name=text(entry, "property"),
                value=entry.get("value"),
                unit=text(entry, "unit"),
                element=element,
                driver=text(entry, "driver"),
                schedule=text(entry, "schedule"),
                mark=self.document.mark(*place),
            )

    def concerns(self, element: str) -> bool:
        return not element or "." not in element or element.partition(".")[0] == self.name

    def gather(self, columns: tuple[Column, ...], partitioning: Partitioning | None, *, gold: bool) -> list[Rule]:
        policies = {path: policy_of(entry) for path, (entry, _) in {**self.sources, **self.items}.items()}
        inside = frozenset(self.items)
        found = Gathering(self.document, self.name, self.place, self.by_path, policies, gold, inside)
        keys = [name for _, name in sorted((c.primary_key, c.name) for c in columns if c.primary_key)]
        known = partitioning if partitioning and partitioning.column in self.by_path else None
        imply_rules(found, keys, known)
        for path, (entry, place) in self.sources.items():
            imply_column_rules(found, path, entry, place)
            self.treatments += read_treatments(found, path, entry, place, partitioning=partitioning)
            read_relationships(found, entry, place, path)
            read_quality(found, entry, place, path)
        for path, (entry, place) in self.items.items():
            imply_column_rules(found, path, entry, place)
            read_quality(found, entry, place, path)
        read_relationships(found, self.entry, self.place)
        read_quality(found, self.entry, self.place)
        for entry, place in entries(self.document.data, "slaProperties"):
            element = text(entry, "element") or text(self.document.data, "slaDefaultElement")
            if (
                text(entry, "property") in FRESHNESS_SLAS
                and element
                and self.concerns(element)
                and self.is_here(element)
            ):
                sla = Sla(text(entry, "property"), entry.get("value"), text(entry, "unit"), element)
                read_freshness(found, sla, entry, place)
            elif is_promise(entry) and self.concerns(element):
                named = element if element and self.is_here(element) else ""
                read_promise(
                    found, Sla(text(entry, "property"), entry.get("value"), text(entry, "unit"), named), entry, place
                )
        for entry, place in self.qualities():
            self.faults.extend(judge_custom(self.document, entry, place, "quality"))
        self.faults += found.faults if self.strict else found.lost
        return found.rules

    def is_here(self, element: str) -> bool:
        return self.concerns(element) and ("." in element or self.alone)

    def qualities(self) -> Iterator[tuple[dict[str, Any], Place]]:
        for data, place in [(self.entry, self.place), *self.sources.values(), *self.items.values()]:
            yield from entries(data, "quality", place)


def _classification(entry: Mapping[str, Any]) -> str:
    """Return the classification of a column; a map is as classified as its keys and values, which are no columns."""
    sides = [mapping(mapping(entry, "map"), side) for side in ("key", "value")]
    inner = [text(side, "classification") for side in sides]
    return next((name for name in inner if name.lower() in CLASSIFIED), text(entry, "classification"))


def _definition(entry: Mapping[str, Any]) -> str:
    for link, _ in entries(entry, "authoritativeDefinitions"):
        if text(link, "type") == "businessDefinition":
            return text(link, "url")
    return ""
