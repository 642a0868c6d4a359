"""What a product has to declare before its status may be `active`; it must not know clauses or policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import custom, custom_entries, custom_place, entries, text
from dataproducts.declare.prose import complain
from dataproducts.errors import Fault, suggest
from dataproducts.product import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.product import Column, DataProduct, Table

_PROPERTIES = {
    "tier": "Add the custom property `tier` with gold, silver or bronze.",
    "audience": "Add the custom property `audience`, a list of who the product is for.",
    "consumers": "Add the custom property `consumers`, a list of `{persona, team, contact, port, needs}`.",
    "valueMeasure": "Add the custom property `valueMeasure`: how its value is told, `{name, description, source}`.",
}
_ROLES = {"technicalOwner": "technical owner", "steward": "steward"}


def check_active(
    product: DataProduct, descriptor: Document, contracts: Mapping[str, Document], design: Document | None
) -> list[Fault]:
    """Return what `product` lacks to be active; nothing if it is of another status.

    Needed: tier, audience, consumers by name, a value measure, technical owner and steward, an output port, a
    `design.yaml`, and for every column of a published table description, type, explicit nullability, term and example.
    """
    faults = list(_judge_consumers(product, descriptor))
    if product.status is not Status.ACTIVE:
        return faults
    faults += _judge_properties(product, descriptor)
    for role, words in _ROLES.items():
        if not any(member.role == role for member in product.members):
            fix = f"Add a member `{{username: name@example.com, role: {role}}}` under `team`."
            faults.append(descriptor.fault(("team", "members"), f"an active product needs a {words}", fix))
    if not product.outputs:
        fix = "Add `outputPorts`, one for each table that others may read."
        faults.append(
            descriptor.fault(("outputPorts",), "an active product offers something, and this one nothing", fix)
        )
    for at, port in enumerate(product.outputs):
        if said := complain(port.description, words=2):
            what = f"the description of output port {port.name!r} {said}"
            faults.append(descriptor.fault(("outputPorts", at, "description"), what, "Write what one row stands for."))
    if design is None:
        path = product.mark.path.removesuffix("product.yaml") + "design.yaml"
        what = "an active product explains its design, and this file is missing"
        faults.append(Fault(path, 0, what, "Add it, with need, pain_points, decisions, stakeholders and user_stories."))
    for table in product.tables:
        if table.name in product.published and table.name in contracts:
            faults += _judge_table(table, contracts[table.name])
    return faults


def _judge_properties(product: DataProduct, descriptor: Document) -> Iterator[Fault]:
    ours = custom(descriptor.data)
    for name, fix in _PROPERTIES.items():
        if name not in ours or ours[name] in ([], "", None):
            yield descriptor.fault(("customProperties",), f"an active product needs `{name}`", fix)
    for at, group in enumerate(product.audience):
        if said := complain(group):
            place = (*custom_place(descriptor.data, "audience", ()), at)
            yield descriptor.fault(place, f"the audience {said}", "Name a group of people.")
    measure = ours.get("valueMeasure")
    said_of = text(measure, "description") if isinstance(measure, dict) else product.value_measure
    if measure and (said := complain(said_of, words=3)):
        place = custom_place(descriptor.data, "valueMeasure", ())
        place = (*place, "description") if isinstance(measure, dict) else place
        yield descriptor.fault(place, f"the value measure {said}", "Write in a sentence how the value is told.")
    for entry, place in custom_entries(descriptor.data, "consumers"):
        for key in ("persona", "needs"):
            if said := complain(text(entry, key)):
                what = f"`{key}` of a consumer {said}"
                yield descriptor.fault((*place, key), what, "Write who uses the product, and what for.")


def _judge_consumers(product: DataProduct, descriptor: Document) -> Iterator[Fault]:
    ports = sorted({port.name for port in product.outputs})
    for entry, place in custom_entries(descriptor.data, "consumers"):
        port = text(entry, "port")
        if port and port not in ports:
            what = f"a consumer uses the port {port!r}, which is no output port"
            yield descriptor.fault((*place, "port"), what, suggest(port, ports).strip())


def _judge_table(table: Table, document: Document) -> Iterator[Fault]:
    if said := complain(table.description, words=2):
        what = f"the description of published table {table.name!r} {said}"
        yield document.fault(("schema", 0, "description"), what, "Write what one row stands for.")
    place = {text(entry, "name"): where for entry, where in entries(_object(document), "properties", ("schema", 0))}
    for column in table.columns:
        for key, problem, fix in _gaps(column):
            if problem:
                where = (*place.get(column.name, ("schema", 0)), key)
                yield document.fault(where, f"{problem} of published column {table.name}.{column.name}", fix)


def _object(document: Document) -> dict[str, Any]:
    return next((entry for entry, _ in entries(document.data, "schema")), {})


def _gaps(column: Column) -> Iterator[tuple[str, str, str]]:
    """Yield for each thing that a published column needs its key, what is wrong with it (empty: nothing), the fix."""
    said = complain(column.description, words=2)
    yield "description", f"the description {said}:" if said else "", "Write what a value means, with its unit."
    untyped = "" if column.logical_type or column.physical_type else "there is no type"
    yield "logicalType", untyped, "Add `logicalType`."
    yield "required", "there is no nullability" if column.required is None else "", "Add `required: true` or `false`."
    yield "businessName", "" if column.term else "there is no term", "Add `businessName`, the glossary's term."
    yield "examples", "" if column.examples else "there is no example", "Add `examples: […]`."
