"""Which rules of a contract a data-frame check can say, and with which constants; it must not import a frame library.

Constants are read as the gate reads them: text as written, numbers as exact decimals (of FLOAT and DOUBLE columns as
binary fractions), dates and times by DuckDB, in UTC. What cannot be said is listed with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import UsageError
from dataproducts.product import Operator, RuleKind
from dataproducts.rules.masking import holds_classified
from dataproducts.rules.predicates import DUPLICATE_KINDS, Family, family, holds, range_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dataproducts.product import Column, Rule, Table


@dataclass(frozen=True, slots=True)
class Expressed:
    """One rule as arguments of `RuleCheck`: `rejects` is the name of a function of `checks`, empty for `row_count`."""

    rule: Rule
    rejects: str
    columns: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def threshold(self) -> tuple[str, tuple[float, ...], str] | None:
        """What the number of rejected rows must satisfy; None where no row may be rejected, so that rows are told."""
        threshold = self.rule.threshold
        no_row = threshold.operator in {Operator.MUST_BE, Operator.MUST_BE_LESS_OR_EQUAL_TO}
        if no_row and not any(threshold.values) and self.rejects:
            return None
        # A number of rows is compared as it is: the gate looks at no unit of `rowCount` either.
        return str(threshold.operator), threshold.values, threshold.unit if self.rejects else "rows"

    @property
    def is_of_table(self) -> bool:
        """Whether the check needs the whole frame: it speaks of several columns, or of none."""
        return len(self.columns) != 1


class _UnsaidError(Exception):
    """Why a rule cannot be said."""


def express(table: Table) -> tuple[tuple[Expressed, ...], tuple[Mapping[str, str], ...]]:
    """Return the rules of `table` that checks can say, and the others as {rule, kind, why}.

    The rule `schema` is in neither: names and dtypes of the schema itself are that rule.
    """
    said: list[Expressed] = []
    unsaid: list[Mapping[str, str]] = []
    for rule in table.rules:
        if rule.kind is RuleKind.SCHEMA:
            continue
        try:
            said.append(_express(rule, table))
        except _UnsaidError as why:
            unsaid.append({"rule": rule.name, "kind": str(rule.kind), "why": str(why)})
    return tuple(said), tuple(unsaid)


def _express(rule: Rule, table: Table) -> Expressed:
    try:
        holds(rule.threshold, 0)
    except UsageError as error:
        raise _UnsaidError(str(error)) from error
    if rule.kind is RuleKind.ROW_COUNT:
        return Expressed(rule, "", ())
    if rule.kind not in {*_SAYINGS, *DUPLICATE_KINDS, RuleKind.REQUIRED, RuleKind.NULL_VALUES}:
        raise _UnsaidError(_WHY.get(rule.kind, "no check of a single frame says it"))
    columns = _columns(rule, table)
    hidden = tuple(column.name for column in columns if holds_classified((column,)))
    names = tuple(column.name for column in columns)
    if rule.kind in DUPLICATE_KINDS:
        for column in columns:
            _need(_is_plain(column) or column.sql_type == "BLOB", f"equality of {column.sql_type} is not pandas's")
        return Expressed(rule, "repeated", names, hidden)
    if rule.kind in {RuleKind.REQUIRED, RuleKind.NULL_VALUES}:
        return Expressed(rule, "is_null", names, hidden)
    _need(len(columns) == 1, "it judges several columns by one list or pattern")
    rejects, params = _SAYINGS[rule.kind](rule, columns[0])
    return Expressed(rule, rejects, names, hidden, MappingProxyType(params))


_WHY = {
    RuleKind.FOREIGN_KEY: "it reads another table",
    RuleKind.SQL: "it is SQL",
    RuleKind.CUSTOM: "it is code of the project",
    RuleKind.FRESHNESS: "it needs a clock",
    RuleKind.PARTITION_BOUNDS: "it speaks of partitions, which a frame does not have",
    RuleKind.TEXT: "it is prose, which nobody can judge",
}


def _columns(rule: Rule, table: Table) -> list[Column]:
    known = {column.name: column for column in columns_of(table)}
    _need(bool(rule.columns), "it names no column")
    for name in rule.columns:
        _need(name in known, f"{name} lies inside a nested column, or is no column")
    return [known[name] for name in rule.columns]


def _need(is_so: bool, why: str) -> None:  # noqa: FBT001 - an assertion that tells
    if not is_so:
        raise _UnsaidError(why)


def _is_plain(column: Column) -> bool:
    """Whether Arrow holds the type as DuckDB does, value by value; a time with a zone loses the zone on the way."""
    kind = column.sql_type.upper()
    zoned_time = kind.startswith(("TIMETZ", "TIME WITH"))
    return kind == "UUID" or (family(kind) is not Family.OTHER and not zoned_time)


def _has_text(column: Column) -> bool:
    """Whether the column is text, or something of which DuckDB and Arrow make the same text."""
    kind = column.sql_type.upper()
    whole = family(kind) is Family.EXACT and not kind.startswith(("DECIMAL", "NUMERIC"))
    return kind == "UUID" or whole or family(kind) in {Family.TEXT, Family.BOOLEAN}


def _range(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    given = range_bounds(rule)
    names = {
        "minimum": "minimum",
        "exclusiveMinimum": "exclusive_minimum",
        "maximum": "maximum",
        "exclusiveMaximum": "exclusive_maximum",
    }
    bounds = {
        names[key]: _constant(value, column) for key, value in given.items() if key in names and value is not None
    }
    _need(bool(bounds), "it gives no bound")
    for bound in bounds.values():
        _need(bound is not None and bound == bound, f"a bound is no {column.sql_type}")  # noqa: PLR0124 - NaN differs
    return "outside_range", bounds


def _length(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    _need(_has_text(column) or column.sql_type.endswith("]"), f"the text of a {column.sql_type} is DuckDB's own")
    sizes = {"minimum": rule.params.get("minLength"), "maximum": rule.params.get("maxLength")}
    given = {key: int(value) for key, value in sizes.items() if value is not None}
    _need(bool(given), "it gives no length")
    return "outside_length", given


def _pattern(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    pattern = rule.params.get("pattern")
    _need(_has_text(column), f"the text of a {column.sql_type} is DuckDB's own")
    _need(isinstance(pattern, str) and "\0" not in pattern, "it gives no pattern")
    return "unmatched", {"pattern": pattern}


def _list(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    return "unlisted", {"listed": _listed(rule.params.get("values"), column)}


def _missing(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    values = rule.params.get("missingValues")
    null = {"null": True} if isinstance(values, list | tuple) and None in values else {}
    return "missing", {"listed": _listed(values, column), **null}


def _invalid(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    values, said = rule.params.get("validValues"), {}
    if values is not None:
        said["listed"] = _listed(values, column)
    if rule.params.get("pattern") is not None or not said:
        said.update(_pattern(rule, column)[1])
    return "invalid", said


def _multiple(rule: Rule, column: Column) -> tuple[str, dict[str, Any]]:
    try:
        step = Decimal(str(rule.params.get("multipleOf")))
    except InvalidOperation:
        step = Decimal(0)
    _need(step.is_finite() and step > 0, "multipleOf is not above 0")
    kind = family(column.sql_type)
    _need(kind in {Family.EXACT, Family.FLOAT}, f"{column.sql_type} is no number")
    huge = column.sql_type.upper().endswith("HUGEINT") and step != step.to_integral_value()
    _need(not huge, "DuckDB divides a HUGEINT by a fraction in binary fractions")
    return "no_multiple", {"step": step}


_SAYINGS: dict[RuleKind, Callable[[Rule, Column], tuple[str, dict[str, Any]]]] = {
    RuleKind.RANGE: _range,
    RuleKind.LENGTH: _length,
    RuleKind.PATTERN: _pattern,
    RuleKind.ENUM: _list,
    RuleKind.MISSING_VALUES: _missing,
    RuleKind.INVALID_VALUES: _invalid,
    RuleKind.MULTIPLE_OF: _multiple,
}


def _listed(values: Sequence[Any] | None, column: Column) -> tuple[Any, ...]:
    if not isinstance(values, list | tuple):
        raise _UnsaidError("it gives no list of values")
    _need(_is_plain(column), f"equality of {column.sql_type} is DuckDB's own")
    found = (_constant(value, column) for value in values if value is not None)
    return tuple(value for value in found if value is not None)


def _constant(value: Any, column: Column) -> Any:
    """`value`, as YAML gave it, as a value of the column's family; None where no row can equal it."""
    kind = family(column.sql_type)
    if kind is Family.TEXT:
        text = _text(value)
        _need("\0" not in text, "a value holds NUL, which SQL cannot carry")
        return text
    if kind is Family.BOOLEAN:
        word = str(value).lower() if isinstance(value, bool | str) else ""
        return word == "true" if word in {"true", "false"} else None
    if kind in {Family.EXACT, Family.FLOAT}:
        return _number(value, column)
    _need(_is_plain(column), f"the order of {column.sql_type} is DuckDB's own")
    _need(not isinstance(value, list | dict), f"a value is no {column.sql_type}")
    return _read(_text(value), column.sql_type)


def _number(value: Any, column: Column) -> Decimal | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if family(column.sql_type) is Family.EXACT:
        return None if number.is_nan() else number
    small = column.sql_type.upper() in {"FLOAT", "REAL", "FLOAT4"}
    _need(not small or not number.is_finite() or abs(number) < _FLOAT_MAX, f"{value} is no {column.sql_type}")
    return float(number)


_FLOAT_MAX = Decimal("3.4028234e38")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def _read(text: str, sql_type: str) -> Any:
    """What DuckDB reads in `text`; None if it is none of `sql_type`."""
    with _database().cursor() as con:
        con.execute("SET TimeZone = 'UTC'")
        found = con.execute(f"SELECT TRY_CAST(? AS {sql_type})", [text]).fetchone()
        if found is None or found[0] is None:
            return None
        value = found[0] if sql_type.upper() != "UUID" else str(found[0])
        if isinstance(value, datetime) and value.tzinfo:
            value = value.astimezone(UTC)
        # Infinite dates, nanoseconds and 24:00 are beyond what Python's types hold.
        same = con.execute(f"SELECT CAST(? AS {sql_type}) = CAST(? AS {sql_type})", [value, text]).fetchone()
        _need(same is not None and same[0] is True, f"{text} is beyond what Python's types can hold")
        return value


@cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(config={"threads": 1})


def columns_of(table: Table) -> tuple[Column, ...]:
    """Return the columns of `table`; of a name that a contract which stands alone repeats, the first."""
    found: dict[str, Column] = {}
    for column in table.columns:
        found.setdefault(column.name, column)
    return tuple(found.values())


def arrow_types(table: Table) -> dict[str, Any]:
    """Return the Arrow type of each column, as DuckDB hands it over; times with a zone are in UTC.

    Raises: UsageError, for a type that DuckDB does not know or cannot hand over.
    """
    found = {}
    with _database().cursor() as con:
        con.execute("SET TimeZone = 'UTC'")
        for column in columns_of(table):
            try:
                empty = con.sql(f"SELECT CAST(NULL AS {column.sql_type}) AS x LIMIT 0").to_arrow_table()
            except duckdb.Error as error:
                raise UsageError(f"{column.mark}: column {column.name!r}: no frame holds {column.sql_type}") from error
            found[column.name] = empty.schema.field("x").type
    return found
