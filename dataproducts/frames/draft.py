"""pandera schemas as ODCS contracts: text that its author reads, corrects and keeps; it must not judge or write files.

Nothing is dropped in silence: what a contract cannot say becomes a rule of prose, a rule that runs the model itself,
or a comment beside the column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import yaml

from dataproducts.errors import UsageError
from dataproducts.frames.findings import CODE, Finding, finding_of
from dataproducts.frames.frame_types import ColumnType, type_of
from dataproducts.rules.masking import CLASSIFIED
from dataproducts.sql import literal

_OPERATORS = {"minimum": "<", "exclusiveMinimum": "<=", "maximum": ">", "exclusiveMaximum": ">="}


@dataclass(slots=True)
class _Draft:
    """One column, or the table, as it is written: its keys, and what is told beside them."""

    said: dict[str, Any] = field(default_factory=dict)
    quality: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    code: list[Finding] = field(default_factory=list)


def contract_from_pandera(
    model_or_schema: Any, *, contract_id: str, version: str = "0.1.0", name: str | None = None
) -> str:
    """Return an ODCS 3.1 contract, as YAML text, for a pandera DataFrameModel or DataFrameSchema of pandas or polars.

    The table is called `name`, else as the schema, else as the model. Named checks that are code become one rule
    `custom` with `engine: pandera`, which needs the model under its name in `checks.CUSTOM`; unnamed ones become
    rules of prose.

    Raises: UsageError, if it is neither a model nor a schema, or has no columns.
    """
    schema = model_or_schema.to_schema() if hasattr(model_or_schema, "to_schema") else model_or_schema
    if not isinstance(getattr(schema, "columns", None), Mapping) or not schema.columns:
        raise UsageError(f"{model_or_schema!r} is no pandera DataFrameModel or DataFrameSchema with columns")
    own_name = getattr(model_or_schema, "__name__", None) or schema.name
    table_name = str(name or schema.name or own_name or "table")
    whole = _table(schema, model_or_schema)
    columns = [_column(key, column) for key, column in schema.columns.items() if not _is_regex(column)]
    code = [finding for draft in (whole, *columns) for finding in draft.code]
    whole.quality += _code_rules(code, str(own_name or table_name))
    _keys(whole, schema, {draft.said["name"]: draft for draft in columns})
    return "\n".join(_lines(whole, columns, table_name, (contract_id, version))) + "\n"


def _is_regex(column: Any) -> bool:
    return bool(getattr(column, "regex", False))


def _table(schema: Any, model: Any) -> _Draft:
    whole = _Draft()
    config = getattr(model, "__config__", None)
    metadata = dict(schema.metadata or getattr(config, "metadata", None) or {})
    ours = metadata.pop("dataproducts", {})
    for key, value in (("businessName", schema.title), ("description", schema.description)):
        if value:
            whole.said[key] = str(value)
    _tell_metadata(whole, metadata)
    left_out = ours.get("not_expressed", ()) if isinstance(ours, Mapping) else ()
    whole.notes += [f"not in the schema: rule {each['rule']} ({each['kind']}): {each['why']}" for each in left_out]
    whole.notes += _structure_notes(schema)
    for check in schema.checks or ():
        _place(whole, finding_of(check), ColumnType("VARCHAR"), of_table=True)
    return whole


def _structure_notes(schema: Any) -> Iterator[str]:
    if schema.strict is not True:
        yield "the schema lets other columns pass (strict is not True); a contract does not"
    if getattr(schema, "ordered", False):
        yield "the schema fixes the order of the columns; a contract does not"
    if getattr(schema, "coerce", False):
        yield "the schema coerces types; the gate takes types as they are"
    if getattr(schema, "index", None) is not None:
        yield "the schema judges the index of the frame, which a table does not have: make it a column"
    if getattr(schema, "parsers", None):
        yield "the schema has parsers, which change rows before they are judged: they belong into the transform"
    if getattr(schema, "drop_invalid_rows", False):
        yield "the schema drops invalid rows: the custom property onFailure: quarantine keeps them aside"
    for key, column in schema.columns.items():
        if _is_regex(column):
            yield f"columns like {key!r} are declared by a pattern of their names: declare each by its name"


def _column(key: Any, column: Any) -> _Draft:
    name = str(key)
    kind = type_of(column.dtype)
    metadata = dict(column.metadata or {})
    ours = metadata.pop("dataproducts", {})
    ours = ours if isinstance(ours, Mapping) else {}
    if ours.get("type"):
        kind = ColumnType(str(ours["type"]))
    draft = _Draft({"name": name, **kind.properties})
    words = {"classification": ours.get("classification"), "businessName": column.title}
    words["description"] = column.description
    draft.said |= {key: str(value) for key, value in words.items() if value}
    draft.said |= {} if column.nullable else {"required": True}
    draft.said |= {"unique": True} if column.unique else {}
    _tell_metadata(draft, metadata)
    draft.notes += [kind.note] if kind.note else []
    draft.notes += _column_notes(column, draft)
    draft.notes += [] if isinstance(key, str) else [f"the schema calls this column {key!r}, which is no text"]
    if kind.values is not None:
        _place(draft, Finding("valid", {"values": list(kind.values)}), kind)
    for check in column.checks or ():
        _place(draft, finding_of(check), kind)
    return draft


def _column_notes(column: Any, draft: _Draft) -> Iterator[str]:
    if column.unique and column.nullable:
        yield "pandera takes two NULLs for a repeated value; a contract does not"
    if getattr(column, "required", True) is False:
        yield "the schema lets this column be absent; a contract does not"
    if getattr(column, "default", None) is not None:
        yield f"the schema fills in {_told(column.default, draft)}; the transform has to"
    if getattr(column, "parsers", None):
        yield "the schema parses this column before it judges it: that belongs into the transform"


def _told(value: Any, draft: _Draft) -> str:
    return "a value" if draft.said.get("classification", "").lower() in CLASSIFIED else repr(value)


def _tell_metadata(draft: _Draft, metadata: Mapping[str, Any]) -> None:
    """Keep what the schema's author noted under a name that can be none of ours."""
    if metadata:
        value = {str(key): _plain(value) for key, value in metadata.items()}
        draft.said["customProperties"] = [{"property": "panderaMetadata", "value": value}]


# --- Rules -------------------------------------------------------------------------------------------------------


def _place(draft: _Draft, finding: Finding, kind: ColumnType, *, of_table: bool = False) -> None:
    """Say a finding in the column's own keys, or as a rule where those are taken or cannot say it."""
    if finding.kind == "code":
        draft.code.append(finding)
        draft.notes += [f"check {finding.name}: {finding.why}"] if finding.why != CODE else []
        return
    column = str(draft.said.get("name", ""))
    implied = {"null": "required", "duplicate": "unique", "pattern": "format"}.get(finding.kind)
    may_imply = not finding.warns and finding.threshold is None and not of_table
    if may_imply and implied in {"required", "unique"} and finding.name == f"{column}.{implied}":
        draft.said[str(implied)] = True
    elif may_imply and _is_implied(finding, column) and _as_option(draft, finding, kind):
        return
    else:
        draft.quality.append(_rule(finding, column, kind))


def _is_implied(finding: Finding, column: str) -> bool:
    """Whether no name would get lost; that of a rule which a contract implies comes back by itself."""
    endings = {"range": "range", "length": "length", "pattern": "pattern", "multiple": "multiple_of"}
    return finding.kind in endings and finding.name in {"", f"{column}.{endings[finding.kind]}"}


def _as_option(draft: _Draft, finding: Finding, kind: ColumnType) -> bool:
    said = finding.said if finding.kind != "multiple" else {"multipleOf": finding.said["step"]}
    is_list = kind.sql.endswith("]")
    spelt = {_ITEMS.get(key, key) if is_list else key: _plain(value) for key, value in said.items()}
    options = draft.said.setdefault("logicalTypeOptions", {})
    is_free = not any(key in options for key in spelt)
    if is_free:
        options.update(spelt)
    elif not options:
        del draft.said["logicalTypeOptions"]
    return is_free


_ITEMS = {"minLength": "minItems", "maxLength": "maxItems"}


def _rule(finding: Finding, column: str, kind: ColumnType) -> dict[str, Any]:
    """One entry of `quality`."""
    said = finding.said
    rule: dict[str, Any] = {"name": finding.name} if finding.name else {}
    match finding.kind:
        case "null":
            rule["metric"] = "nullValues"
        case "duplicate":
            rule["metric"] = "duplicateValues"
        case "rows":
            rule["metric"] = "rowCount"
        case "missing":
            rule |= {"metric": "missingValues", "arguments": {"missingValues": _plain(said["values"])}}
        case "valid" | "pattern":
            arguments = {"validValues": _plain(said["values"])} if "values" in said else {}
            arguments |= {"pattern": said["pattern"]} if "pattern" in said else {}
            rule |= {"metric": "invalidValues", "arguments": arguments}
        case _:
            rule |= {"type": "sql", "dimension": "conformity", "query": _query(finding, kind)}
            rule.setdefault("name", f"{column} {finding.kind}")
    if "columns" in said:
        rule["arguments"] = {"properties": list(said["columns"])}
    rule |= _operator(finding)
    return rule | ({"severity": "warning"} if finding.warns else {})


def _operator(finding: Finding) -> dict[str, Any]:
    if finding.threshold is None:
        return {"mustBe": 0}
    operator, values, unit = finding.threshold
    number = list(values) if len(values) > 1 else values[0]
    return {operator: number, **({"unit": unit} if unit != "rows" else {})}


def _query(finding: Finding, kind: ColumnType) -> str:
    """A query for the number of rejected rows, of a demand that has no metric."""
    column = "${property}"
    if finding.kind == "length":
        size = f"length({column})"
        tests = [f"{size} {'<' if key.startswith('min') else '>'} {value}" for key, value in finding.said.items()]
    elif finding.kind == "multiple":
        tests = [f"{column} % {finding.said['step']} <> 0"]
    else:
        tests = [f"{column} {_OPERATORS[key]} {_sql(value, kind)}" for key, value in finding.said.items()]
        tests += [f"isnan({column})"] if kind.sql in {"DOUBLE", "FLOAT"} else []
    return f"SELECT count(*) FROM ${{object}} WHERE {' OR '.join(tests)}"


def _sql(value: Any, kind: ColumnType) -> str:
    plain = _plain(value)
    return f"CAST({literal(str(plain))} AS {kind.sql})" if isinstance(plain, str) else literal(plain)


def _code_rules(code: Iterable[Finding], model: str) -> Iterator[dict[str, Any]]:
    """Rules for what is code: the model itself judges named checks, and prose tells of the others."""
    named = [finding for finding in code if finding.name]
    if named:
        names = ", ".join(finding.name for finding in named)
        yield {
            "name": model,
            "type": "custom",
            "engine": "pandera",
            "implementation": model,
            "description": f"checks of the pandera model {model}: {names}",
            **({"severity": "warning"} if all(finding.warns for finding in named) else {}),
        }
    for finding in code:
        if not finding.name:
            yield {"type": "text", "description": f"A check of the pandera model {model} without a name: {finding.why}"}


def _keys(whole: _Draft, schema: Any, columns: Mapping[str, _Draft]) -> None:
    """Keys over several columns: `unique` of the schema, or the check `primary_key` of one of ours."""
    names = [str(name) for name in (schema.unique or ())]
    if names:
        whole.quality.append({"metric": "duplicateValues", "arguments": {"properties": names}, "mustBe": 0})
        if any("required" not in columns[name].said for name in names if name in columns):
            whole.notes.append("pandera takes keys with equal NULLs for repeated ones; a contract does not")
    for draft in (whole, *columns.values()):
        for rule in [rule for rule in draft.quality if rule.get("name") == "primary_key"]:
            of_key = rule.get("arguments", {}).get("properties") or [draft.said["name"]]
            draft.quality.remove(rule)
            for position, name in enumerate(of_key, start=1):
                columns[name].said |= {"primaryKey": True, "primaryKeyPosition": position}


# --- Text --------------------------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """A value as YAML holds it: dates and times as text, decimals as numbers, of NumPy's types Python's own."""
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case datetime() | date() | time():
            return value.isoformat()
        case Mapping():
            return {str(key): _plain(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(each) for each in value]
        case _:
            return str(value)


def _lines(whole: _Draft, columns: list[_Draft], name: str, identity: tuple[str, str]) -> Iterator[str]:
    contract_id, version = identity
    head = {"apiVersion": "v3.1.0", "kind": "DataContract", "id": contract_id, "version": version, "status": "draft"}
    yield from _yaml(head, 0)
    yield "schema:"
    yield from _notes(whole, 2)
    first, *rest = _yaml({"name": name, **whole.said}, 4)
    yield from (f"  - {first.lstrip()}", *rest)
    if whole.quality:
        yield from _yaml({"quality": whole.quality}, 4)
    yield "    properties:"
    for column in columns:
        yield from _notes(column, 6)
        said = {**column.said, **({"quality": column.quality} if column.quality else {})}
        first, *rest = _yaml(said, 8)
        yield from (f"      - {first.lstrip()}", *rest)


def _notes(draft: _Draft, indent: int) -> Iterator[str]:
    return (f"{' ' * indent}# {' '.join(note.split())}" for note in draft.notes)


def _yaml(data: Mapping[str, Any], indent: int) -> list[str]:
    """Each key on lines of its own, and what is short within one pair of brackets."""
    lines = []
    for key, value in data.items():
        flow = None if isinstance(value, dict | list) and value else False
        text = yaml.safe_dump({key: value}, sort_keys=False, allow_unicode=True, width=100, default_flow_style=flow)
        lines += [" " * indent + line for line in text.rstrip("\n").split("\n")]
    return lines
