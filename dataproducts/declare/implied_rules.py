"""The rules that a contract implies for one table: by types, keys, options, SLAs and relationships.

It must not know how rules are judged. Columns of a primary key are required. `minItems` and `maxItems` are lengths of
the list. Freshness is a warning and does not block, unless its SLA says `blocking: true`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dataproducts.declare.bounds import check_bounds
from dataproducts.declare.fields import custom, entries, flag, listing, mapping, number, text
from dataproducts.declare.options import implied_conditions
from dataproducts.errors import Fault, suggest
from dataproducts.product import (
    Column,
    Dimension,
    Mark,
    OnFailure,
    Operator,
    Partitioning,
    Rule,
    RuleKind,
    Severity,
    Sla,
    TableRef,
    Threshold,
)
from dataproducts.sql import quote
from dataproducts.trial import pattern_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place

DIMENSIONS = {
    RuleKind.SCHEMA: Dimension.SCHEMA,
    RuleKind.REQUIRED: Dimension.COMPLETENESS,
    RuleKind.NULL_VALUES: Dimension.COMPLETENESS,
    RuleKind.MISSING_VALUES: Dimension.COMPLETENESS,
    RuleKind.UNIQUE: Dimension.UNIQUENESS,
    RuleKind.DUPLICATE_VALUES: Dimension.UNIQUENESS,
    RuleKind.FOREIGN_KEY: Dimension.CONSISTENCY,
    RuleKind.PARTITION_BOUNDS: Dimension.CONSISTENCY,
    RuleKind.ROW_COUNT: Dimension.VOLUME,
    RuleKind.FRESHNESS: Dimension.FRESHNESS,
    RuleKind.RETENTION: Dimension.FRESHNESS,
    RuleKind.DEADLINE: Dimension.FRESHNESS,
    RuleKind.CONDITION: Dimension.CONSISTENCY,
    RuleKind.FUNCTIONAL_DEPENDENCY: Dimension.CONSISTENCY,
    RuleKind.RECONCILIATION: Dimension.ACCURACY,
    RuleKind.SQL: Dimension.ACCURACY,
    RuleKind.CUSTOM: Dimension.ACCURACY,
    RuleKind.TEXT: Dimension.ACCURACY,
}
"""The dimension of a rule that names none; every other kind speaks of validity."""

SEVERITIES = {
    **dict.fromkeys(("", "error", "critical", "major", "high"), Severity.ERROR),
    **dict.fromkeys(("warning", "warn", "medium", "minor"), Severity.WARNING),
    **dict.fromkeys(("info", "low"), Severity.INFO),
}
_SIZES = (  # the options that bound a length, and which end of it
    *(("minLength", "minLength"), ("maxLength", "maxLength"), ("minItems", "minLength"), ("maxItems", "maxLength")),
    *(("dimensions", "minLength"), ("dimensions", "maxLength")),
)
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_FORMATS = {
    "email": r"^[^@\s]+@[^@\s]+\.[^@\s]+$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.\-]*:\S+$",
    "hostname": r"^[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9\-]*[A-Za-z0-9])?)*$",
    "ipv4": r"^((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}$",
    "ipv6": (
        r"^(([0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}|([0-9A-Fa-f]{1,4}:){1,7}:|([0-9A-Fa-f]{1,4}:){1,6}(:[0-9A-Fa-f]{1,4})"
        r"|([0-9A-Fa-f]{1,4}:){1,5}(:[0-9A-Fa-f]{1,4}){1,2}|([0-9A-Fa-f]{1,4}:){1,4}(:[0-9A-Fa-f]{1,4}){1,3}"
        r"|([0-9A-Fa-f]{1,4}:){1,3}(:[0-9A-Fa-f]{1,4}){1,4}|([0-9A-Fa-f]{1,4}:){1,2}(:[0-9A-Fa-f]{1,4}){1,5}"
        r"|[0-9A-Fa-f]{1,4}:(:[0-9A-Fa-f]{1,4}){1,6}|:((:[0-9A-Fa-f]{1,4}){1,7}|:))$"
    ),
    "byte": r"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$",
}
FRESHNESS_SLAS = ("latency", "freshness")
_LIMIT = re.compile(r"(\d+(?:\.\d+)?)\s*(%|percent|rows?)")


@dataclass(slots=True)
class Gathering:
    """The rules of one table as they are found.

    `columns` holds every column by its path, nested ones and the items of lists too (`of_items`); `policies` what each
    says of its own rules. `lost` are those of the `faults` for which a rule is not among the rules.
    """

    document: Document
    table: str
    place: Place
    columns: Mapping[str, Column]
    policies: Mapping[str, Mapping[str, Any]]
    gold: bool = False
    of_items: frozenset[str] = frozenset()
    rules: list[Rule] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    lost: list[Fault] = field(default_factory=list)

    def add(self, rule: Rule) -> None:
        """Keep `rule`, under a name that no other rule of the table has."""
        taken = {known.name for known in self.rules}
        name, count = rule.name, 2
        while name in taken:
            name, count = f"{rule.name}.{count}", count + 1
        self.rules.append(replace(rule, name=name))

    def refuse(self, place: Place, what: str, fix: str) -> None:
        """Keep a fault."""
        self.faults.append(self.document.fault(place, what, fix))


def imply_rules(found: Gathering, keys: Sequence[str], partitioning: Partitioning | None) -> None:
    """Add the rules that types, keys and options imply: `schema`, `<column>.required`, `primary_key` and so on."""
    mark = found.document.mark(*found.place)
    found.add(Rule("schema", RuleKind.SCHEMA, dimension=Dimension.SCHEMA, criticality="high", mark=mark))
    if partitioning:
        at = found.document.mark(*found.place, "customProperties")
        params = {"unit": partitioning.unit}
        columns = (partitioning.column,)
        found.add(implied("partition_bounds", RuleKind.PARTITION_BOUNDS, columns, at, params=params))
    if keys:
        policy = found.policies[keys[0]] if len(keys) == 1 else {}
        at = found.columns[keys[0]].mark
        criticality = {"criticality": "high"} if found.gold else {}
        found.add(implied("primary_key", RuleKind.UNIQUE, tuple(keys), at, **{**criticality, **policy}))


def imply_column_rules(found: Gathering, path: str, data: Mapping[str, Any], place: Place) -> None:
    """Add the rules that one property implies, with the policy that its custom properties state."""
    column = found.columns[path]
    policy = found.policies[path]
    if column.primary_key and column.required is False:
        what = f"column {path!r} belongs to the primary key and is declared `required: false`"
        found.refuse((*place, "required"), what, "Write `required: true`, or take it out of the key.")
    for name, kind, params, key in _implications(found, column, path, data, place):
        extra: dict[str, Any] = {"criticality": "high"} if found.gold and kind is RuleKind.REQUIRED else {}
        if kind is RuleKind.CONDITION:  # of one value, not of several beside each other
            extra["dimension"] = Dimension.VALIDITY
        mark = found.document.mark(*place, *key)
        found.add(implied(f"{slug(path)}.{name}", kind, (path,), mark, params=params, **{**extra, **policy}))


def _expression(found: Gathering, path: str) -> str:
    """The column at `path` as SQL over the columns of its table; a field of a STRUCT after a dot."""
    sql, rest, columns = "", path, tuple(c for name, c in found.columns.items() if c.name == name)
    while rest:
        fitting = (c for c in columns if rest == c.name or rest.startswith(f"{c.name}."))
        step = max(fitting, key=lambda c: len(c.name))
        sql = f"{sql}.{quote(step.name)}" if sql else quote(step.name)
        rest, columns = rest[len(step.name) + 1 :], step.properties
    return sql


def _implications(
    found: Gathering, column: Column, path: str, data: Mapping[str, Any], place: Place
) -> Iterator[tuple[str, RuleKind, dict[str, Any], tuple[str, ...]]]:
    options = mapping(data, "logicalTypeOptions")
    if column.required or (column.primary_key and column.required is None):
        yield "required", RuleKind.REQUIRED, {}, ("required",)
    if column.unique and path not in found.of_items:
        yield "unique", RuleKind.UNIQUE, {}, ("unique",)
    if bounds := {key: options[key] for key in _BOUNDS if options.get(key) is not None}:
        check_bounds(found, column, path, bounds, place)
        yield "range", RuleKind.RANGE, bounds, ("logicalTypeOptions",)
    if sizes := {to: options[key] for key, to in _SIZES if options.get(key) is not None}:
        yield "length", RuleKind.LENGTH, sizes, ("logicalTypeOptions",)
    if pattern := text(options, "pattern"):
        check_pattern(found, pattern, (*place, "logicalTypeOptions", "pattern"))
        yield "pattern", RuleKind.PATTERN, {"pattern": pattern}, ("logicalTypeOptions", "pattern")
    if column.logical_type == "string" and (form := _FORMATS.get(text(options, "format"))):
        yield "format", RuleKind.PATTERN, {"pattern": form}, ("logicalTypeOptions", "format")
    if number(options, "multipleOf") is not None:
        step = {"multipleOf": options["multipleOf"]}
        yield "multiple_of", RuleKind.MULTIPLE_OF, step, ("logicalTypeOptions", "multipleOf")
    if column.enum:
        yield "enum", RuleKind.ENUM, {"values": column.enum}, ("enum",)
    sql = _expression(found, path) if path not in found.of_items else ""
    for name, params, key in implied_conditions(column, sql, options) if sql else ():
        yield name, RuleKind.CONDITION, params, ("logicalTypeOptions", *([key] if key else []))


def implied(name: str, kind: RuleKind, columns: tuple[str, ...], mark: Mark, **rest: Any) -> Rule:
    """Return a rule of the dimension that rules of its kind speak of; `rest` are other fields of it."""
    dimension = DIMENSIONS.get(kind, Dimension.VALIDITY)
    return Rule(name, kind, columns, **{"dimension": dimension, "mark": mark, **rest})


def policy_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a property says of the rules that it implies: `on_failure`, `keep` and `criticality`."""
    ours = custom(data)
    policy: dict[str, Any] = {}
    if ours.get("onFailure") in tuple(OnFailure):
        policy["on_failure"] = OnFailure(ours["onFailure"])
    if ours.get("keep") in ("first", "none"):
        policy["keep"] = ours["keep"]
    if ours.get("criticality") in ("high", "medium", "low"):
        policy["criticality"] = ours["criticality"]
    elif flag(data, "criticalDataElement"):
        policy["criticality"] = "high"
    limit = limit_of(ours.get("maxQuarantined"))
    if limit and policy.get("on_failure") is OnFailure.QUARANTINE:
        policy["quarantine_limit"] = limit
    return policy


def limit_of(written: Any) -> Threshold | None:
    """Return how much may be set aside, written as `5 %` or `20 rows`; None for what is neither."""
    found = _LIMIT.fullmatch(written.strip()) if isinstance(written, str) else None
    if found is None:
        return None
    unit = "rows" if found[2].startswith("row") else "percent"
    return Threshold(Operator.MUST_BE_LESS_OR_EQUAL_TO, (float(found[1]),), unit)


def check_pattern(found: Gathering, pattern: str, place: Place) -> None:
    """Refuse a regular expression that DuckDB cannot use."""
    if problem := pattern_problem(pattern):
        fix = "Write it in RE2's syntax, without look-around and back references."
        found.refuse(place, f"the pattern {pattern!r} cannot be used: {problem}", fix)


def read_freshness(found: Gathering, sla: Sla, data: Mapping[str, Any], place: Place) -> None:
    """Add `<column>.freshness` for a latency SLA; without `element`, there is nothing that it could be measured on."""
    length = read_length(found, sla, place)
    if length is None:
        return
    column = sla.element.removeprefix(f"{found.table}.")
    if column not in found.columns:
        what = f"{sla.name} is to be measured on {sla.element!r}, which is no column of {found.table!r}"
        found.refuse((*place, "element"), what, suggest(column, list(found.columns)).strip())
        return
    if not found.columns[column].sql_type.startswith(("DATE", "TIMESTAMP")):
        what = f"{sla.name} is measured on {column!r}, which is {found.columns[column].sql_type}"
        found.refuse((*place, "element"), what, "Name a date or timestamp column.")
    ours = custom(data)
    blocking = flag(ours, "blocking") is True
    severity = SEVERITIES.get(str(ours.get("severity", "error" if blocking else "warning")), Severity.WARNING)
    extra = {"criticality": ours["criticality"]} if ours.get("criticality") in ("high", "medium", "low") else {}
    mark = found.document.mark(*place)
    rule = implied(f"{slug(column)}.freshness", RuleKind.FRESHNESS, (column,), mark, **extra)
    age = {"max_age_s": length}
    found.add(replace(rule, params=age, severity=severity, blocking=blocking and severity is Severity.ERROR))


def read_length(found: Gathering, sla: Sla, place: Place) -> float | None:
    """Return the length of time that an SLA says, in seconds; None, with its fault told, where it says none."""
    length = length_of(sla)
    if length is None:
        what = f"{sla.name} is {sla.value} {sla.unit}".rstrip() + ", which is no length of time"
        fix = "Write a number above 0 and a unit: s, m, h, d, w, mo or y."
        found.refuse((*place, "unit" if sla.unit else "value"), what, fix)
    return length


def length_of(sla: Sla) -> float | None:
    """Return the length of time that an SLA says, in seconds; None where it is no finite one above zero."""
    seconds = sla.seconds
    return seconds if seconds is not None and seconds > 0 else None


def read_relationships(found: Gathering, data: Mapping[str, Any], place: Place, path: str = "") -> None:
    """Add a foreign key for each relationship of the table, or of the column at `path`.

    `params["written"]` keeps the references as they stand, for `references` to resolve within the product.
    """
    for entry, where in entries(data, "relationships", place):
        if text(entry, "type") not in ("", "foreignKey"):
            continue
        sources = [path] if path else [_local(found, name) for name in _references(entry, "from")]
        targets = [_short(found, name) for name in _references(entry, "to")]
        missing = [name for name in sources if name not in found.columns or name in found.of_items]
        for name in missing:
            what = f"column {name!r} is not in table {found.table!r}"
            found.refuse((*where, "from"), what, suggest(name, list(found.columns)).strip())
        if len(sources) != len(targets):
            what = f"the relationship pairs {len(sources)} columns with {len(targets)}"
            found.refuse((*where, "to"), what, "Name as many columns in `to` as in `from`.")
            continue
        if missing or not targets:
            continue
        tables = {name.rpartition(".")[0] for name in targets}
        if len(tables) > 1:
            fix = "Write one relationship for each table."
            found.refuse((*where, "to"), f"one relationship points to {len(tables)} tables", fix)
            continue
        _add_key(found, sources, targets, where, found.policies[path] if path else {})


def _add_key(found: Gathering, sources: list[str], targets: list[str], place: Place, policy: Mapping[str, Any]) -> None:
    table = targets[0].rpartition(".")[0]
    params = {
        "to": TableRef("", table),
        "to_columns": tuple(name.rpartition(".")[2] for name in targets),
        "written": tuple(targets),
    }
    name = f"{slug('_'.join(sources))}.references.{slug(table)}"
    mark = found.document.mark(*place, "to")
    found.add(implied(name, RuleKind.FOREIGN_KEY, tuple(sources), mark, params=params, **policy))


def _references(entry: Mapping[str, Any], key: str) -> list[str]:
    value = entry.get(key)
    return [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, str)]


def _local(found: Gathering, written: str) -> str:
    return _short(found, written).removeprefix(f"{found.table}.")


def _short(found: Gathering, written: str) -> str:
    """Return `table.column` for a fully qualified reference (`/schema/<id>/properties/<id>`), or what is written.

    In a file of its own (`other.odcs.yaml#/schema/…`), ids are taken to be names, and the file that of a contract.
    """
    file, _, inside = written.rpartition("#")
    steps = inside.strip("/").split("/")
    if len(steps) < 4 or steps[0] != "schema" or steps[2::2] != ["properties"] * len(steps[2::2]):  # noqa: PLR2004
        return written
    if file:
        table = file.rsplit("/", 1)[-1].removesuffix(".yaml").removesuffix(".yml").removesuffix(".odcs")
        return ".".join([table, *steps[3::2]])
    names, level = [], listing(found.document.data, "schema")
    for step in steps[1::2]:
        match = next((d for d in level if isinstance(d, dict) and step in (d.get("id"), d.get("name"))), {})
        names.append(text(match, "name") or step)
        level = listing(match, "properties")
    return ".".join(names)


def slug(words: str) -> str:
    """Return `words` as part of a rule's name: letters, digits, `_` and `.`."""
    return re.sub(r"[^A-Za-z0-9_.]+", "_", words).strip("_.")
