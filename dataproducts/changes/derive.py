"""Clauses that several keys make together: a type, a bound, a threshold; it must not compare them.

What is made of keys takes their place, so that two ways to write one promise are the same promise: a column of the
primary key is required whether or not it says so, `minimum: 1` with `exclusiveMinimum: true` is a bound like any other.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from dataproducts.declare.fields import custom, entries, flag, listing, mapping, text
from dataproducts.declare.implied_rules import SEVERITIES
from dataproducts.declare.sql_types import column_type
from dataproducts.product import Column, Operator, Severity, version_numbers
from dataproducts.rules.masking import holds_classified

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.declare.telling import Place

_COLUMN = "contract.schema[].properties[]"
FED: Mapping[str, tuple[str, ...]] = {
    f"{_COLUMN}.type": (
        "logicalType",
        "physicalType",
        "logicalTypeOptions.timezone",
        "logicalTypeOptions.elementType",
    ),
    f"{_COLUMN}.required": ("required",),
    f"{_COLUMN}.lower": ("logicalTypeOptions.minimum", "logicalTypeOptions.exclusiveMinimum"),
    f"{_COLUMN}.upper": ("logicalTypeOptions.maximum", "logicalTypeOptions.exclusiveMaximum"),
    "contract.schema[].primaryKey": ("properties[].primaryKey", "properties[].primaryKeyPosition"),
    "contract.schema[].quality[].threshold": (*(str(operator) for operator in Operator), "unit"),
    "contract.schema[].quality[].enforcement": ("severity", "customProperties[blocking]"),
    "contract.schema[].quality[].asks": ("type", "metric", "rule", "arguments", "query", "engine", "implementation"),
    "contract.slaProperties[].value": ("property", "value", "valueExt", "unit", "element"),
    "contract.slaProperties[].enforcement": ("customProperties[severity]", "customProperties[blocking]"),
    "slo.objectives[].counts": ("indicator", "table", "rules", "columns", "defaults", "incidents.ignore"),
}
"""What each made clause is made of, for readers of the grading table; of a column's rules as of a table's."""

ENDS = {"endOfSupport", "endOfLife", "es", "el"}
"""SLAs that announce an end."""

_RULE_WORDS = {"name", "id", "description", "businessImpact", "method", "schedule", "scheduler", "dimension", "tags"}
_RULE_WORDS |= {"authoritativeDefinitions", "customProperties"}
_FAMILIES = {"integer", "number"}


class Made(NamedTuple):
    """A clause made of several keys: its name below the entry, its value, and where the first of its keys stands."""

    name: str
    value: Any
    place: Place


def make(path: str, data: dict[str, Any]) -> tuple[list[Made], dict[str, Any]]:
    """Return the clauses that keys of an entry at `path` make together, and the entry without these keys."""
    if path == "contract.schema[]":
        return list(_table(data)), data
    if path == _COLUMN:
        return _column(data)
    if path.endswith(".quality[]"):
        return _rule(data)
    if path == "contract.slaProperties[]":
        return _sla(data)
    return [], data


def identity(key: str, data: Mapping[str, Any], default_element: str = "") -> str:
    """Return what an entry of the list `key` is called; empty if nothing names it."""
    if key == "outputPorts":
        return f"{text(data, 'name')}@{version_numbers(text(data, 'version'))[0]}"
    if key == "relationships":
        ends = (data.get(side) for side in ("from", "to"))
        return "->".join(",".join(map(str, listing({"x": end}, "x") or [end or ""])) for end in ends)
    if key == "slaProperties":
        element = text(data, "element") or default_element
        return text(data, "property") + (f" of {element}" if element else "")
    if key == "quality":
        columns = ",".join(str(name) for name in listing(mapping(data, "arguments"), "properties"))
        return text(data, "name") or text(data, "id") or _asked(data) + (f"({columns})" if columns else "")
    names = ("name", "property", "role", "username", "channel", "server", "id", "group", "table", "classification")
    return next((str(data[name]) for name in names if isinstance(data.get(name), str | int)), "")


def summary(path: str, data: Mapping[str, Any]) -> str:
    """Return what an entry is in a word or two, without any value of a row."""
    if path == _COLUMN:
        return text(data, "physicalType") or text(data, "logicalType")
    if path.endswith(".quality[]"):
        return _asked(data)
    if path == "contract.slaProperties[]":
        return f"{data.get('value', '')} {text(data, 'unit')}".strip()
    if path in ("product.outputPorts[]", "product.inputPorts[]"):
        return text(data, "version")
    return next(
        (str(data[k]) for k in ("target", "access", "type", "role") if isinstance(data.get(k), str | float)), ""
    )


def is_classified(data: Any) -> bool:
    """Return whether a column, or one inside it, is of a class whose values are never shown."""
    if not isinstance(data, dict):
        return False
    own = Column(text(data, "name"), "", "", classification=text(data, "classification"))
    sides = mapping(data, "map")
    inside: list[Any] = [column for column, _ in entries(data, "properties")]
    inside += [data.get("items"), sides.get("key"), sides.get("value")]
    return holds_classified((own,)) or any(is_classified(column) for column in inside)


def _table(data: dict[str, Any]) -> Iterator[Made]:
    keyed = []
    for at, (column, place) in enumerate(entries(data, "properties")):
        if flag(column, "primaryKey"):
            position = column.get("primaryKeyPosition")
            rank = position if isinstance(position, int) and position > 0 else at + 1
            keyed.append((rank, text(column, "name"), place))
    if keyed:
        yield Made("primaryKey", [name for _, name, _ in sorted(keyed)], (*keyed[0][2], "primaryKey"))
    names = [text(column, "name") for column, _ in entries(data, "properties")]
    yield Made("order", names, ("properties",))


def _column(data: dict[str, Any]) -> tuple[list[Made], dict[str, Any]]:
    options = dict(mapping(data, "logicalTypeOptions"))
    made = [Made("type", _type(data), ("physicalType" if "physicalType" in data else "logicalType",))]
    if "required" in data or "primaryKey" in data:
        is_required = bool(flag(data, "required") or flag(data, "primaryKey"))
        made.append(Made("required", is_required, ("required" if "required" in data else "primaryKey",)))
    for name, inclusive, exclusive in (
        ("lower", "minimum", "exclusiveMinimum"),
        ("upper", "maximum", "exclusiveMaximum"),
    ):
        bound = _bound(options.pop(inclusive, None), options.pop(exclusive, None), low=name == "lower")
        if bound:
            key = inclusive if inclusive in mapping(data, "logicalTypeOptions") else exclusive
            made.append(Made(name, bound, ("logicalTypeOptions", key)))
    for key in ("timezone", "elementType", *(["format"] if text(data, "logicalType") in _FAMILIES else [])):
        options.pop(key, None)
    if isinstance(data.get("enum"), list):  # labels of the values are words
        values = [entry.get("value") if isinstance(entry, dict) else entry for entry in data["enum"]]
        made.append(Made("enum", values, ("enum",)))
    taken = {"logicalType", "physicalType", "required", "primaryKey", "primaryKeyPosition", "enum"}
    rest = {key: value for key, value in data.items() if key not in taken}
    return made, {**rest, "logicalTypeOptions": options} if "logicalTypeOptions" in rest else rest


def _type(data: dict[str, Any]) -> tuple[str, str]:
    """Return the type as SQL calls it, and as it is written; of nested columns the head alone, for they are clauses."""
    physical, logical = text(data, "physicalType"), text(data, "logicalType")
    written = " / ".join(part for part in (logical, physical) if part)
    if not physical and logical in ("object", "array") and (data.get("properties") or data.get("items")):
        return logical, written
    known = column_type(data) or (physical or logical).upper()
    length = re.fullmatch(r"[\w ]+\(\s*(\d+)\s*\)", physical)
    return (f"VARCHAR({length[1]})" if known == "VARCHAR" and length else known), written


def _bound(inclusive: Any, exclusive: Any, *, low: bool) -> tuple[Any, bool] | None:
    """Return the bound that two keys declare, the tighter one; ODCS 3.0 writes `true` for the exclusive one."""
    if isinstance(exclusive, bool) or exclusive is None:
        return (inclusive, exclusive is True) if _is_bound(inclusive) else None
    if not _is_bound(inclusive):
        return (exclusive, True) if _is_bound(exclusive) else None
    if isinstance(inclusive, str) is not isinstance(exclusive, str):
        return (exclusive, True)
    is_tighter = exclusive >= inclusive if low else exclusive <= inclusive
    return (exclusive, True) if is_tighter else (inclusive, False)


def _is_bound(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _asked(data: Mapping[str, Any]) -> str:
    return text(data, "metric") or text(data, "rule") or text(data, "type") or "rule"


def _rule(data: dict[str, Any]) -> tuple[list[Made], dict[str, Any]]:
    operator = next((o for o in Operator if o.value in data), None)
    is_text = text(data, "type") == "text"
    made = [Made("enforcement", _enforced(data, custom(data), is_text=is_text), ("severity",))]
    values = data.get(operator.value) if operator else 0
    listed = values if isinstance(values, list) else [values]
    threshold = {"operator": operator or Operator.MUST_BE, "values": listed, "unit": text(data, "unit") or "rows"}
    if not is_text:
        made.append(Made("threshold", threshold, (operator.value,) if operator else ()))
    compared = {*(o.value for o in Operator), "unit", "severity"}
    asks = {key: value for key, value in data.items() if key not in compared | _RULE_WORDS}
    if isinstance(asks.get("query"), str):
        asks["query"] = _tokens(asks["query"])
    key = next((key for key in ("query", "metric", "rule", "implementation") if key in data), "type")
    made.append(Made("asks", asks, (key,)))
    rest = {key: value for key, value in data.items() if key in _RULE_WORDS}
    return made, _without(rest, "blocking")


def _enforced(data: Mapping[str, Any], ours: Mapping[str, Any], *, is_text: bool = False) -> str:
    if is_text:
        return "not judged"
    severity = SEVERITIES.get(text(data, "severity").lower(), Severity.ERROR)
    blocks = severity is Severity.ERROR and flag(ours, "blocking") is not False
    return "error, blocking" if blocks else str(severity)


def _sla(data: dict[str, Any]) -> tuple[list[Made], dict[str, Any]]:
    name = text(data, "property")
    value = {"property": name, **{key: data.get(key) for key in ("value", "valueExt", "unit")}}
    ours = custom(data)
    blocks = flag(ours, "blocking") is True
    severity = SEVERITIES.get(text(ours, "severity") or ("error" if blocks else "warning"), Severity.WARNING)
    enforced = "error, blocking" if blocks and severity is Severity.ERROR else str(severity)
    made = [Made("value", value, ("value",)), Made("enforcement", enforced, ("customProperties",))]
    taken = {"property", "value", "valueExt", "unit", "element"}
    rest = {key: inner for key, inner in data.items() if key not in taken}
    return made, _without(rest, "blocking", "severity")


def _without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return `data` without some custom properties; those that stay keep their places."""
    found = data.get("customProperties")
    if not isinstance(found, list):
        return data
    kept = [None if isinstance(entry, dict) and entry.get("property") in names else entry for entry in found]
    return {**data, "customProperties": kept}


def _tokens(query: str) -> str:
    """Return a query without its layout and comments."""
    import sqlglot  # noqa: PLC0415 - 0.1 s, for the few contracts with queries
    from sqlglot.errors import SqlglotError  # noqa: PLC0415 - as above

    try:
        # Kinds of tokens keep 'a' and "a" apart; words of SQL are the same in any case.
        return " ".join(f"{t.token_type.name}:{t.text}" for t in sqlglot.tokenize(query, read="duckdb"))
    except SqlglotError:
        return " ".join(query.split())
