"""ODPS descriptors as typed products; it must not know contracts or other products."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.contract import is_version
from dataproducts.declare.fields import custom, custom_place, day, entries, judge_custom, mapping, text, texts
from dataproducts.declare.prose import complain
from dataproducts.errors import Fault, suggest
from dataproducts.product import (
    DataProduct,
    InputPort,
    Layer,
    Member,
    OutputPort,
    Schedule,
    Status,
    Tier,
    version_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_OWNER_FIX = "Add a member `{username: name@example.com, role: owner}` under `team: {members: […]}`."


@dataclass(slots=True)
class _Reader:
    """Reads one descriptor, and keeps what is wrong with it."""

    document: Document
    folder: Path
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, place: Place, what: str, fix: str) -> None:
        self.faults.append(self.document.fault(place, what, fix))

    def need(self, key: str, fix: str) -> str:
        value = text(self.document.data, key)
        data = self.document.data
        if not value and (not isinstance(data, dict) or data.get(key) in (None, "")):
            self.refuse((key,), f"the product lacks `{key}`", fix)
        return value

    def choose(self, value: str, place: Place, what: str, options: Sequence[str]) -> bool:
        if value and value not in options:
            self.refuse(place, f"the {what} {value!r} is not known", suggest(value, options).strip())
        return value in options


def read_product(document: Document, folder: Path) -> tuple[DataProduct | None, tuple[Fault, ...]]:
    """Return the product that an ODPS file declares, without its tables, and what is wrong with it.

    Name, domain, version, lifecycle status, layer, purpose and an accountable owner are needed for anything to load;
    where one of them is missing, there is no product. `folder` is where the file lies: it bears the product's name
    (`name_v2` where two major versions live side by side) and lies in its domain's folder.
    """
    reader = _Reader(document, folder)
    data = document.data if isinstance(document.data, dict) else {}
    name = reader.need("name", f"Add `name: {folder.name}`.")
    domain = reader.need("domain", f"Add `domain: {folder.parent.name}`.")
    version = reader.need("version", "Add `version: 1.0.0`.")
    status = reader.need("status", f"Add `status:` with one of {', '.join(Status)}.")
    known = reader.choose(status, ("status",), "status", [status.value for status in Status])
    layer = _read_layer(reader, data)
    _judge_place(reader, name, domain, version)
    _judge_purpose(reader, data)
    members = _read_members(reader, data)
    reader.faults.extend(judge_custom(document, data, (), "product"))
    _judge_review(reader, data)
    inputs, outputs = _read_inputs(reader, data), _read_outputs(reader, data)
    if not (name and domain and is_version(version) and known and layer):
        return None, tuple(reader.faults)
    ours = custom(data)
    tier = ours.get("tier")
    product = DataProduct(
        domain=domain,
        name=name,
        version=version,
        layer=layer,
        status=Status(status),
        folder=folder,
        tables=(),
        purpose=text(mapping(data, "description"), "purpose"),
        description=MappingProxyType(mapping(data, "description")),
        tier=Tier(tier) if tier in tuple(Tier) else None,
        team=text(mapping(data, "team"), "name"),
        members=members,
        audience=texts(ours, "audience"),
        consumers=tuple(MappingProxyType(entry) for entry, _ in entries(ours, "consumers") if not entry.get("gone")),
        value_measure=_read_value(ours),
        inputs=inputs,
        outputs=outputs,
        schedule=_read_schedule(reader, data, ours),
        sunset=day(ours.get("sunsetDate")),
        tags=texts(data, "tags"),
        raw=MappingProxyType(data),
        mark=document.mark("name"),
    )
    return product, tuple(reader.faults)


def _read_layer(reader: _Reader, data: dict[str, Any]) -> Layer | None:
    """Return the layer: `type` from ODPS v1.1.0 on, the custom property `layer` before."""
    options = [layer.value for layer in Layer]
    if written := text(data, "type"):
        return Layer(written) if reader.choose(written, ("type",), "layer", options) else None
    ours = custom(data).get("layer")
    if ours in options:
        return Layer(ours)
    if ours is None:
        before = text(data, "apiVersion") == "v1.0.0"
        how = "the custom property `layer`" if before else "`type`"
        reader.refuse(("type",), "the product does not say its layer", f"Add {how} with one of {', '.join(options)}.")
    return None


def _judge_place(reader: _Reader, name: str, domain: str, version: str) -> None:
    if version and not is_version(version):
        reader.refuse(("version",), f"the version {version!r} is no version", "Write three numbers, such as 1.0.0.")
        return
    if name and reader.folder.name not in (name, f"{name}_v{version_numbers(version)[0]}"):
        what = f"product {name!r} lies in the folder {reader.folder.name!r}"
        reader.refuse(("name",), what, f"Write `name: {reader.folder.name}`, or rename the folder.")
    # Elsewhere than under assets/ (a component of a dg project) the folder above is not that of a domain.
    if domain and reader.folder.parent.parent.name == "assets" and reader.folder.parent.name != domain:
        what = f"domain {domain!r} is not that of the folder {reader.folder.parent.name!r}"
        reader.refuse(("domain",), what, f"Write `domain: {reader.folder.parent.name}`, or move the folder.")
    for key, value in (("name", name), ("domain", domain)):
        if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            what = f"the {key} {value!r} cannot be part of an address"
            reader.refuse((key,), what, "Use letters, digits and underscores.")


def _judge_purpose(reader: _Reader, data: dict[str, Any]) -> None:
    description = mapping(data, "description")
    place: Place = ("description", "purpose") if description else ("description",)
    if complaint := complain(text(description, "purpose"), words=3):
        what = f"the product's purpose (`description.purpose`) {complaint}"
        reader.refuse(place, what, "Write in a sentence what the product is for.")


def _judge_review(reader: _Reader, data: dict[str, Any]) -> None:
    reviewed, today = day(custom(data).get("reviewedOn")), datetime.now(UTC).date()
    if reviewed and reviewed > today:
        what = f"`reviewedOn` is {reviewed}, and today is {today} in UTC"
        fix = "Write the day of the last review, or delete it: until a review is known, one is due."
        reader.refuse(custom_place(data, "reviewedOn", ()), what, fix)


def _read_members(reader: _Reader, data: dict[str, Any]) -> tuple[Member, ...]:
    found = []
    for entry, place in entries(mapping(data, "team"), "members", ("team",)):
        member = Member(text(entry, "username"), text(entry, "role"), text(entry, "name"))
        found.append(member)
        if member.username and not _EMAIL.fullmatch(member.username):
            what = f"the username {member.username!r} is no e-mail address"
            reader.refuse((*place, "username"), what, "Write an address that reaches the person.")
    if not any(member.role == "owner" for member in found):
        reader.refuse(("team", "members"), "the product has no accountable owner", _OWNER_FIX)
    return tuple(found)


def _read_inputs(reader: _Reader, data: dict[str, Any]) -> tuple[InputPort, ...]:
    ports: list[InputPort] = []
    for entry, place in entries(data, "inputPorts"):
        mark = reader.document.mark(*place)
        port = InputPort(text(entry, "name"), text(entry, "contractId"), text(entry, "version"), mark=mark)
        if port.name in {known.name for known in ports}:
            reader.refuse((*place, "name"), f"two input ports are called {port.name!r}", "Rename one of the two.")
        if not port.contract_id:
            what = f"input port {port.name!r} does not say which contract it reads"
            reader.refuse(place, what, "Add `contractId`.")
        if not port.version:
            what = f"input port {port.name!r} does not say which version of the contract it relies on"
            reader.refuse(place, what, "Add `version`.")
        elif not is_version(port.version):
            fix = "Write three numbers, such as 1.0.0."
            reader.refuse((*place, "version"), f"the version {port.version!r} is no version", fix)
        ports.append(port)
    return tuple(ports)


def _read_outputs(reader: _Reader, data: dict[str, Any]) -> tuple[OutputPort, ...]:
    ports: list[OutputPort] = []
    for entry, place in entries(data, "outputPorts"):
        name, version = text(entry, "name"), text(entry, "version")
        mark = reader.document.mark(*place)
        if (name, version) in {(known.name, known.version) for known in ports}:
            reader.refuse((*place, "name"), f"two output ports are called {name!r}", "Rename one of the two.")
        if not text(entry, "contractId"):
            reader.refuse(place, f"output port {name!r} does not say which contract it offers", "Add `contractId`.")
        ports.append(OutputPort(name, version, text(entry, "contractId"), text(entry, "description"), mark))
    return tuple(ports)


def _read_value(ours: dict[str, Any]) -> str:
    value = ours.get("valueMeasure")
    if isinstance(value, dict):
        return ": ".join(part for part in (text(value, "name"), text(value, "description")) if part)
    return value.strip() if isinstance(value, str) else ""


def _read_schedule(reader: _Reader, data: dict[str, Any], ours: dict[str, Any]) -> Schedule | None:
    schedule = ours.get("schedule")
    if not text(schedule, "cron"):
        return None
    place = custom_place(data, "schedule", ())
    mark = reader.document.mark(*place, "cron")
    return Schedule(text(schedule, "cron"), text(schedule, "timezone") or "UTC", mark)
