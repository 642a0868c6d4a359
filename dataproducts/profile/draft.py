"""A first contract from profiles: types as they are, everything else as proposals; it must not write files.

What is enforced from the start is what every row has shown to hold of names and types, and the classification of
columns that look personal. Bounds, keys, lengths and lists of values were observed on some rows, on one day: they stand
as comments that start with `# proposal:`, and become promises when the author deletes those words, or accepts the
column.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dataproducts.profile.model import HIDDEN
from dataproducts.profile.notes import printable
from dataproducts.profile.patterns import LONGEST, expression

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from dataproducts.profile.model import ColumnProfile, Overlap, TableProfile

PROPOSAL = "# proposal: "
"""How a line begins that the author has not accepted."""

EVERY = "*"
"""Instead of columns: accept the proposals of all."""

_DEFAULT_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "time": "TIME",
}
_ZONED = "TIMESTAMP WITH TIME ZONE"
_WIDE = ("HUGEINT", "UBIGINT")
_FEW, _EACH, _LISTED = 10, 20, 80


@dataclass(frozen=True, slots=True)
class Drafted:
    """A table to draft: its profile, where it was read, and its format: csv, json, or parquet for stored types."""

    profile: TableProfile
    origin: str
    format: str
    settings: Mapping[str, Any] = field(default_factory=dict)


def draft_contract(tables: Sequence[Drafted], overlaps: Sequence[Overlap] = (), accept: Collection[str] = ()) -> str:
    """Return an ODCS 3.1 contract for `tables` as YAML, which `check` passes on the very data that was profiled.

    `accept` names columns whose proposals become promises; `*` is all of them. A key of several columns needs all.
    """
    first = tables[0]
    lines = [
        "# Drafted by `dataproducts profile`. Enforced: names, types and formats, which held for every row seen.",
        "# Observed, not promised: lines that begin with `# proposal:`. Delete those two words to accept one.",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: draft.{_slug(first.profile.name)}",
        "version: 0.1.0",
        "status: draft",
        *_servers(first),
        "schema:",
    ]
    for table in tables:
        lines += _TableDraft(table, overlaps, frozenset(accept)).lines()
    return "\n".join(lines) + "\n"


def _servers(table: Drafted) -> Iterator[str]:
    """How the file is written, where somebody had to say it: `check` reads it so too."""
    if not table.settings:
        return
    yield "servers:"
    yield f"  - server: {_slug(table.profile.name)}"
    yield "    type: local"
    yield f"    path: {_scalar(table.origin)}"
    yield f"    format: {table.format}"
    yield "    customProperties:"
    yield from (f"      - {{property: {key}, value: {_scalar(value)}}}" for key, value in table.settings.items())


class _TableDraft:
    """Writes one schema object."""

    def __init__(self, table: Drafted, overlaps: Sequence[Overlap], accept: frozenset[str]) -> None:
        self.table = table
        self.profile = table.profile
        self.accept = accept
        self.references = {
            source[1]: target
            for overlap in overlaps
            for source, target, share in (
                (overlap.left, overlap.right, overlap.left_share),
                (overlap.right, overlap.left, overlap.right_share),
            )
            if source[0] == self.profile.name and share == 1.0 and not overlap.note and self.is_target(overlap, target)
        }
        self.key = self.profile.keys[0] if self.profile.keys else ()

    def is_target(self, overlap: Overlap, target: tuple[str, str]) -> bool:
        left, right = overlap.cardinality.split(":")
        return (right if target == overlap.right else left) == "1"

    def accepts(self, *names: str) -> bool:
        return EVERY in self.accept or all(name in self.accept for name in names)

    def lines(self) -> Iterator[str]:
        profile = self.profile
        yield f"  - name: {_scalar(profile.name)}"
        yield f"    # read from {printable(self.table.origin)}: {profile.rows:,} rows"
        yield from (f"    # seen: {printable(note)}" for note in profile.notes)
        if profile.rows:
            mark = "" if EVERY in self.accept else PROPOSAL
            yield f"    {mark}quality: [{{name: not empty, metric: rowCount, mustBeGreaterThan: 0}}]"
        yield "    properties:"
        for column in profile.columns:
            yield from self.column_lines(column)

    def column_lines(self, column: ColumnProfile) -> Iterator[str]:
        mark = "" if self.accepts(column.name) else PROPOSAL
        indent = " " * 8
        yield f"      - name: {_scalar(column.name)}"
        yield from (f"{indent}# seen: {printable(note)}" for note in column.notes)
        logical, physical = declared_type(column, self.table.format)
        yield f"{indent}logicalType: {logical}"
        if physical:
            yield f"{indent}physicalType: {_scalar(physical)}"
        if column.personal:
            yield f"{indent}classification: personal  # looks like: {column.personal}"
        yield from (f"{indent}{line}" for line in self.key_lines(column))
        fixed, observed = self.options(column, logical)
        rows = f"observed on {column.values:,} values"
        if fixed:
            yield f"{indent}logicalTypeOptions:"
            yield from (f"{indent}  {name}: {_scalar(value)}" for name, value in fixed.items())
            yield from (f"{indent}  {mark}{name}: {_scalar(value)}  # {rows}" for name, value in observed.items())
        elif observed:
            listed = ", ".join(f"{name}: {_scalar(value)}" for name, value in observed.items())
            yield f"{indent}{mark}logicalTypeOptions: {{{listed}}}  # {rows}"
        values = self.listed_values(column, logical)
        if values:
            rule = f"{{metric: invalidValues, arguments: {{validValues: {_scalar(values)}}}, mustBe: 0}}"
            yield f"{indent}{mark}quality: [{rule}]  # {rows}"
        if target := self.references.get(column.name):
            to = _scalar(".".join(target))
            yield f"{indent}{mark}relationships: [{{type: foreignKey, to: {to}}}]  # every value was found there"

    def key_lines(self, column: ColumnProfile) -> Iterator[str]:
        mark = "" if self.accepts(column.name) else PROPOSAL
        if column.name in self.key:
            whole = "" if self.accepts(*self.key) else PROPOSAL
            told = f"  # with {', '.join(self.key)}" if len(self.key) > 1 else "  # never null, never repeated"
            yield f"{whole}primaryKey: true{printable(told)}"
            yield f"{whole}primaryKeyPosition: {self.key.index(column.name) + 1}"
            return
        if column.rows and not column.nulls:
            yield f"{mark}required: true  # no null in {column.rows:,} rows"
        if (column.name,) in self.profile.keys:
            yield f"{mark}unique: true  # no value repeats"

    def options(self, column: ColumnProfile, logical: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the type needs to be read, and what was observed."""
        fixed: dict[str, Any] = {}
        typed = self.table.format != "parquet" or column.type == column.sql_type
        if logical == "timestamp" and _ZONED in column.sql_type and typed:
            fixed["timezone"] = True
        if column.format and logical in ("date", "timestamp"):
            fixed["format"] = declared_format(column)
        if column.masked or not column.values:
            return fixed, {}
        if logical == "string" and column.text and column.text.length and column.type == "VARCHAR":
            length = column.text.length
            observed: dict[str, Any] = {"minLength": length.minimum, "maxLength": length.maximum}
            exact = column.text.pattern_count == 1 and "patterns" not in column.approximate
            if exact and length.minimum == length.maximum <= LONGEST:
                observed["pattern"] = expression(column.text.patterns[0].value)
            return fixed, {name: value for name, value in observed.items() if value != ""}
        if logical in ("integer", "number", "date", "timestamp") and typed and not column.not_finite:
            if (column.name,) in self.profile.keys:
                return fixed, {}  # the next row's key lies beyond
            bounds = {"minimum": column.minimum}
            if logical in ("integer", "number"):  # the latest day of today is not tomorrow's
                bounds["maximum"] = column.maximum
            return fixed, bounds if all(_is_bound(value, logical) for value in bounds.values()) else {}
        return fixed, {}

    def listed_values(self, column: ColumnProfile, logical: str) -> list[str]:
        """All values of a column that has few, each of them often; none where one is cut off or hidden."""
        if column.masked or logical != "string" or column.type != "VARCHAR" or column.approximate:
            return []
        if not column.distinct or column.distinct > min(_FEW, column.values // _EACH) or column.text is None:
            return []
        values = [str(count.value) for count in column.top]
        whole = column.text.length is not None and column.text.length.maximum < _LISTED
        return sorted(values) if whole and len(values) == column.distinct and HIDDEN not in values else []


def declared_type(column: ColumnProfile, file_format: str) -> tuple[str, str]:
    """Return the logical type to declare, and the physical type where the logical one does not tell it.

    Text files are read as declared, so text that all reads as numbers or dates may be declared so; a Parquet file keeps
    its types, and what reads as a date there is still text.
    """
    if file_format == "csv" or (file_format == "json" and column.type == "VARCHAR"):
        return column.reads_as, ""
    logical, kind = column.reads_as, column.type
    if column.type != column.sql_type:
        logical, kind = "string", column.type
    if file_format == "json":
        nested = kind.endswith("]") or kind.startswith("STRUCT")
        if nested or kind in _WIDE:
            return logical, kind
        return (logical, "") if kind == _ZONED or kind in _DEFAULT_TYPES.values() else ("string", "")
    told = kind == _DEFAULT_TYPES.get(logical) or (kind == _ZONED and logical == "timestamp")
    return logical, "" if told else kind


_TOKENS = {"%Y": "yyyy", "%y": "yy", "%m": "MM", "%d": "dd", "%H": "HH", "%M": "mm", "%S": "ss"}


def declared_format(column: ColumnProfile) -> str:
    """Return the format of a column's dates as ODCS writes it (`dd/MM/yyyy`), as strptime does where it has names."""
    if "%b" in column.format:
        return column.format
    return re.sub("%[a-zA-Z]", lambda found: _TOKENS[found[0]], column.format)


def _is_bound(value: Any, logical: str) -> bool:
    if logical in ("integer", "number"):
        return value is not None
    try:
        datetime.fromisoformat(str(value))
    except ValueError:  # years that calendars of other tools lack
        return False
    return True


_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _scalar(value: Any) -> str:  # noqa: PLR0911 - one return for each kind of value
    """Return a value as YAML on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if "." in text or "e" not in text else text.replace("e", ".0e")
        case list() | tuple():
            return f"[{', '.join(_scalar(item) for item in value)}]"
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        case str():
            quoted = json.dumps(value, ensure_ascii=False)
            return "".join(c if c.isprintable() else _escape(c) for c in quoted)
        case _:
            return str(value)


def _escape(sign: str) -> str:
    code = ord(sign)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - the last of four digits


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "table"
