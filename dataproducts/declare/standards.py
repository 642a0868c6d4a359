"""Files judged by the JSON Schema of their standard, and of ours; it must not know what the clauses are used for.

The schema is chosen by `kind` and `apiVersion`. ODCS v3.0.0 is judged by the schema of v3.0.1, which names it among
its versions. A contract of any 3.0 also conforms if the schema of v3.1.0 accepts it, as that schema says and as the
standard's own examples need. ODPS v0.9.0, a draft, is not accepted.
"""

from __future__ import annotations

import json
from datetime import date, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from dataproducts.declare.telling import name_kind, show, tell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.errors import Fault

CONTRACT = "DataContract"
PRODUCT = "DataProduct"
SCHEMAS: Mapping[str, Mapping[str, str]] = {
    CONTRACT: {
        "v3.0.0": "odcs-3.0.1.json",
        "v3.0.1": "odcs-3.0.1.json",
        "v3.0.2": "odcs-3.0.2.json",
        "v3.1.0": "odcs-3.1.0.json",
        "v3.2.0": "odcs-3.2.0.json",
    },
    PRODUCT: {"v1.0.0": "odps-1.0.0.json", "v1.1.0": "odps-1.1.0.json"},
}
_WIDENED = dict.fromkeys(("v3.0.0", "v3.0.1", "v3.0.2"), "odcs-3.1.0.json")
DESIGN = "design.schema.json"
SLO = "slo.schema.json"
TESTS = "tests.schema.json"
CUSTOM = "custom.schema.json"


def judge(document: Document, kind: str = "") -> tuple[Fault, ...]:
    """Return every fault of an ODCS or ODPS file by the standard alone; none if it conforms.

    `kind` is what the file has to be (`DataContract` or `DataProduct`); empty accepts either.
    """
    data = document.data
    if not isinstance(data, dict):
        return (
            document.fault((), f"the file holds {name_kind(data)} instead of a mapping", "Write `key: value` lines."),
        )
    found = data.get("kind")
    wanted = [kind] if kind else list(SCHEMAS)
    if found not in wanted:
        what = f"`kind` is {show(found)}" if "kind" in data else "the key `kind` is missing"
        return (document.fault(("kind",), what, f"Write `kind: {' or '.join(wanted)}`."),)
    versions = SCHEMAS[found]
    version = data.get("apiVersion")
    if not isinstance(version, str) or version not in versions:
        what = f"`apiVersion` is {show(version)}" if "apiVersion" in data else "the key `apiVersion` is missing"
        return (document.fault(("apiVersion",), what, f"Write one of: {', '.join(versions)}."),)
    faults = judge_by(document, versions[version])
    return () if faults and version in _WIDENED and not judge_by(document, _WIDENED[version]) else faults


def judge_by(document: Document, schema: str) -> tuple[Fault, ...]:
    """Return every fault of `document` by the JSON Schema file `schema` of this package."""
    return _faults(document, document.data, (), schema)


def judge_value(document: Document, value: Any, place: Place, definition: str) -> tuple[Fault, ...]:
    """Return the faults of one `value` at `place` by a definition of `custom.schema.json`, such as `product.tier`."""
    where, _, name = definition.partition(".")
    return _faults(document, value, place, CUSTOM, f"{where}/properties/{name}")


@cache
def read_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema that this package keeps under `name`."""
    text = resources.files("dataproducts").joinpath("schemas", name).read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def _faults(document: Document, data: Any, place: Place, file: str, pointer: str = "") -> tuple[Fault, ...]:
    whole, parts = _detach(data, place) if file.startswith("odcs-") else (data, [])
    faults: set[Fault] = set()
    for part, where, definition in [(whole, place, pointer), *parts]:
        try:
            errors = list(_validator(file, definition).iter_errors(part))
        except RecursionError:
            faults.add(document.fault(where, "values are nested too deep to be judged", "Flatten the declaration."))
        else:
            faults.update(tell(document, errors, where, read_schema(file)))
    return tuple(sorted(faults))


@cache
def _validator(file: str, pointer: str) -> Any:
    # 0.15 s to import, and needed only where files are judged.
    from jsonschema import Draft201909Validator, FormatChecker  # noqa: PLC0415

    schema = _mended(read_schema(file))
    if pointer:
        schema = {"$ref": f"#/$defs/{pointer}", "$defs": schema["$defs"]}
    checker = FormatChecker(formats=())
    checker.checks("date", raises=ValueError)(_is_date)
    checker.checks("date-time", raises=ValueError)(_is_datetime)
    return Draft201909Validator(schema, format_checker=checker)


def _mended(schema: dict[str, Any]) -> dict[str, Any]:
    """Return an ODCS schema in which a column without `logicalType` is of no logical type at all.

    As published, `if: {properties: {logicalType: {const: map}}}` also holds where the key is absent, so that every
    column with a physical type alone would need a `map` and `dimensions`, which the text of the standard denies.
    """
    column = schema.get("$defs", {}).get("SchemaBaseProperty", {})
    branches = [dict(branch) for branch in column.get("allOf", ())]
    for branch in branches:
        if "if" in branch and "logicalType" in json.dumps(branch["if"]):
            branch["if"] = {"allOf": [branch["if"], {"required": ["logicalType"]}]}
    if not branches:
        return schema
    return schema | {"$defs": schema["$defs"] | {"SchemaBaseProperty": column | {"allOf": branches}}}


def _is_date(value: Any) -> bool:
    return not isinstance(value, str) or bool(date.fromisoformat(value))


def _is_datetime(value: Any) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value))


def _detach(data: Any, place: Place) -> tuple[Any, list[tuple[Any, Place, str]]]:
    """Cut the columns of a contract out of it, each to be judged alone.

    `unevaluatedProperties` makes jsonschema judge a column once more for every column around it, 3^depth times in
    all; cut apart, the time is linear. A column that is not a mapping stays, to be refused where it stands.
    """
    if not isinstance(data, dict) or not isinstance(data.get("schema"), list):
        return data, []
    parts: list[tuple[Any, Place, str]] = []
    waiting: list[tuple[dict[str, Any], Place, str]] = []
    objects = []
    for at, table in enumerate(data["schema"]):
        objects.append(_hollow(table, (*place, "schema", at), waiting) if isinstance(table, dict) else table)
    while waiting:
        column, where, definition = waiting.pop()
        parts.append((_hollow(column, where, waiting), where, definition))
    return data | {"schema": objects}, parts


def _hollow(value: dict[str, Any], place: Place, waiting: list[tuple[dict[str, Any], Place, str]]) -> dict[str, Any]:
    hollow = dict(value)
    if isinstance(children := value.get("properties"), list):
        for at, child in enumerate(children):
            if isinstance(child, dict):
                waiting.append((child, (*place, "properties", at), "SchemaProperty"))
        hollow["properties"] = [child for child in children if not isinstance(child, dict)]
    if isinstance(value.get("items"), dict):
        waiting.append((value["items"], (*place, "items"), "SchemaItemProperty"))
        hollow["items"] = {}
    if isinstance(value.get("map"), dict):
        sides = {k: v for k, v in value["map"].items() if k in ("key", "value") and isinstance(v, dict)}
        waiting.extend((v, (*place, "map", k), "SchemaItemProperty") for k, v in sides.items())
        hollow["map"] = value["map"] | {side: {} for side in sides}
    return hollow
