"""What each kind of rule means, as SQL over one table; it must not run SQL or know where rows lie.

Settled once, for every rule kind:

- NULL fails `required` and `partition_bounds`, is counted by `null_values`, and by `missing_values` only where the
  list holds null; everything else lets it pass.
- `missing_values` compares exactly: a blank string is missing only if the list holds that very string.
- `pattern` is a search, as in JSON Schema: anchor it with `^` and `$` to mean the whole value. The syntax is RE2's:
  no look-around and no back references (such a rule cannot be judged, and fails).
- NaN lies outside every range and is a multiple of nothing. Infinity lies in a range that has no bound on its side.
- Length counts code points of text and items of lists.
- A value listed for an enum, or as missing, that the column's type cannot hold matches no row.
- `mustBeBetween` includes both ends, `mustNotBeBetween` excludes both; percent of no rows is 0.
- A column inside a STRUCT is named by its path, `address.city`; the items of a list by `items`, `lines.items.sku`. A
  rule on items rejects the row in which it rejects any of them; a list that is NULL or empty has none.
- A condition rejects the row for which `when` is TRUE (or absent) and `then` is FALSE; NULL passes.
"""

from __future__ import annotations

import math
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.product import Operator, RuleKind
from dataproducts.rules.conditions import read_expression
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dataproducts.product import Column, Partitioning, Rule, Table, Threshold

ROW_KINDS = frozenset(
    {
        RuleKind.REQUIRED,
        RuleKind.RANGE,
        RuleKind.LENGTH,
        RuleKind.PATTERN,
        RuleKind.ENUM,
        RuleKind.MULTIPLE_OF,
        RuleKind.MISSING_VALUES,
        RuleKind.INVALID_VALUES,
        RuleKind.PARTITION_BOUNDS,
        RuleKind.CONDITION,
    }
)
"""Kinds that reject single rows and hold partition by partition."""

COUNTED_KINDS = ROW_KINDS | {RuleKind.NULL_VALUES}
"""Kinds with a predicate on one row, so that one scan counts them all."""

CLOCK_KINDS = frozenset({RuleKind.FRESHNESS, RuleKind.RETENTION, RuleKind.DEADLINE})
"""Kinds whose answer changes while no row does."""

DUPLICATE_KINDS = frozenset({RuleKind.UNIQUE, RuleKind.DUPLICATE_VALUES})
"""Kinds that count rows beyond the first of each key."""

JUDGED = "_judged"
"""Alias of the judged rows in every statement of the gate: `... FROM (SELECT * FROM relation) AS "_judged"`."""

PARTITION = "_partition"
"""Column that tells the partitions apart where one statement judges several."""

TARGET = "_target"
"""Alias of the rows that a foreign key points to."""


class Family(Enum):
    """Kinds of SQL types that compare alike."""

    TEXT = "text"
    EXACT = "exact"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TEMPORAL = "temporal"
    OTHER = "other"


_FAMILIES = {
    **dict.fromkeys(("VARCHAR", "TEXT", "STRING", "CHAR", "BPCHAR"), Family.TEXT),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "INT", "BIGINT", "HUGEINT", "LONG", "SHORT"), Family.EXACT),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), Family.EXACT),
    **dict.fromkeys(("INT1", "INT2", "INT4", "INT8", "DECIMAL", "NUMERIC"), Family.EXACT),
    **dict.fromkeys(("FLOAT", "REAL", "DOUBLE", "FLOAT4", "FLOAT8"), Family.FLOAT),
    **dict.fromkeys(("BOOLEAN", "BOOL", "LOGICAL"), Family.BOOLEAN),
    **dict.fromkeys(("DATE", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "DATETIME", "TIMETZ"), Family.TEMPORAL),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_US"), Family.TEMPORAL),
}


def family(sql_type: str) -> Family:
    """Return the family of a DuckDB type name, whatever its case and parameters; lists and structs are `OTHER`."""
    if sql_type.rstrip().endswith("]"):
        return Family.OTHER
    words = sql_type.upper().split("(")[0].split()
    return _FAMILIES.get(words[0], Family.OTHER) if words else Family.OTHER


def column_at(table: Table, path: str) -> tuple[Column, str]:
    """Return the column that `path` names, and its SQL; nested ones by dots: `address.city`.

    Raises: UnknownNameError.
    """
    columns, sql, rest = table.columns, "", path
    while True:
        found = _longest(columns, rest)
        if found is None:
            raise UnknownNameError(f"column of table {table.name!r}", path, (c.name for c in table.columns))
        sql = f"struct_extract({sql}, {literal(found.name)})" if sql else qualified(JUDGED, found.name)
        if rest == found.name:
            return found, sql
        columns, rest = found.properties, rest[len(found.name) + 1 :]


def _longest(columns: Iterable[Column], path: str) -> Column | None:
    """The column that `path` is, or leads into; of several, the one with the longest name."""
    fitting = (c for c in columns if path == c.name or path.startswith(f"{c.name}."))
    return max(fitting, key=lambda c: len(c.name), default=None)


def is_of_items(table: Table, path: str) -> bool:
    """Return whether `path` names the items of a list, or what lies in them, rather than a column."""
    columns, rest = table.columns, path
    while (found := _longest(columns, rest)) is not None and rest != found.name:
        if found.items is not None:
            return True
        columns, rest = found.properties, rest[len(found.name) + 1 :]
    return False


def _rejecting(rule: Rule, table: Table, path: str) -> str:
    """SQL that is TRUE where the rule rejects the value at `path`, or any of the items that it leads to."""
    if not is_of_items(table, path):
        return _PREDICATES[rule.kind](rule, *column_at(table, path))
    found = _longest(table.columns, path)
    if found is None:
        raise UnknownNameError(f"column of table {table.name!r}", path, (c.name for c in table.columns))
    return _inside(rule, found, qualified(JUDGED, found.name), path[len(found.name) + 1 :], 0)


def _inside(rule: Rule, column: Column, sql: str, rest: str, depth: int) -> str:
    """SQL that is TRUE where the rule rejects what lies at `rest` below `column`, whose value is `sql`."""
    if not rest:
        return _PREDICATES[rule.kind](rule, column, sql)
    if column.items is not None and (rest == _ITEMS or rest.startswith(f"{_ITEMS}.")):
        each = quote(f"_item{depth}")
        test = _inside(rule, column.items, each, rest[len(_ITEMS) + 1 :], depth + 1)
        # A list may be kept as JSON, or as text that is JSON.
        items = sql if column.sql_type.endswith("]") else f"CAST({sql}::JSON AS {column.items.sql_type}[])"
        return f"len(list_filter({items}, lambda {each}: {test})) > 0"
    field = _longest(column.properties, rest)
    if field is None:
        raise UnknownNameError(f"field of {column.name!r}", rest, (c.name for c in column.properties))
    below = f"struct_extract({sql}, {literal(field.name)})"
    return _inside(rule, field, below, rest[len(field.name) + 1 :], depth)


_ITEMS = "items"


def failing_row(rule: Rule, table: Table, *, partition: str | None = None) -> str:
    """Return SQL that is TRUE for a row, under the alias `JUDGED`, that `rule` rejects (FALSE or NULL otherwise).

    `partition` is SQL for the first day of the row's partition; `partition_bounds` alone reads it, and without it
    holds rows against the first and last partition that the contract names.

    Raises:
        UsageError: the rule is not of a kind that judges single rows, or its parameters make no sense.
        UnknownNameError: the rule names a column that the table lacks.
    """
    if rule.kind is RuleKind.PARTITION_BOUNDS:
        return _outside_partition(rule, table, partition)
    if rule.kind is RuleKind.CONDITION:
        return _against_condition(rule, table)
    if rule.kind not in _PREDICATES:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} of kind {rule.kind} does not judge single rows")
    if not rule.columns:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} names no column")
    return _any(_rejecting(rule, table, name) for name in rule.columns)


def _any(predicates: Iterable[str]) -> str:
    return " OR ".join(f"({predicate})" for predicate in predicates)


def _null(_rule: Rule, _column: Column, sql: str) -> str:
    return f"{sql} IS NULL"


def range_bounds(rule: Rule) -> dict[str, Any]:
    """Return the params of a range rule, each bound as one of its own.

    ODCS 3.0 has exclusive bounds as flags on the inclusive ones, 3.1 as bounds of their own.
    """
    params = dict(rule.params)
    for inclusive, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        flag = params.get(exclusive)
        if isinstance(flag, bool):
            del params[exclusive]
            if flag and inclusive in params:
                params[exclusive] = params.pop(inclusive)
    return params


def _outside_range(rule: Rule, column: Column, sql: str) -> str:
    params = range_bounds(rule)
    tests = [
        f"{sql} {operator} {_bound(rule, column, params[key])}"
        for key, operator in (
            ("minimum", "<"),
            ("exclusiveMinimum", "<="),
            ("maximum", ">"),
            ("exclusiveMaximum", ">="),
        )
        if params.get(key) is not None
    ]
    if not tests:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no bound")
    if family(column.sql_type) is Family.FLOAT:
        tests.append(f"isnan({sql})")
    return _any(tests)


def _outside_length(rule: Rule, column: Column, sql: str) -> str:
    low, high = (rule.params.get(key) for key in ("minLength", "maxLength"))
    size = f"length({sql if column.sql_type.endswith(']') else _as_text(column, sql)})"
    if column.logical_type == "array" and column.sql_type == "JSON":
        size = f"json_array_length({sql})"
    tests = [f"{size} {op} {int(at)}" for op, at in (("<", low), (">", high)) if at is not None]
    if not tests:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no length")
    return _any(tests)


def _unmatched(rule: Rule, column: Column, sql: str) -> str:
    pattern = rule.params.get("pattern")
    if not isinstance(pattern, str):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no pattern")
    return f"NOT regexp_matches({_as_text(column, sql)}, {literal(pattern)})"


def _outside_list(rule: Rule, column: Column, sql: str, *, key: str = "values") -> str:
    values = rule.params.get(key)
    if not isinstance(values, list | tuple):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no list of values")
    known = _matching(column, values)
    # Not NOT IN: a listed value that the type cannot hold is NULL there, and would let every row pass.
    return f"{sql} IS NOT NULL" + (f" AND ({sql} IN ({', '.join(known)})) IS NOT TRUE" if known else "")


def _missing(rule: Rule, column: Column, sql: str) -> str:
    values = rule.params.get("missingValues")
    if not isinstance(values, list | tuple):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no list of missing values")
    known = _matching(column, values)
    tests = [f"{sql} IS NULL"] if None in values else []
    tests += [f"{sql} IN ({', '.join(known)})"] if known else []
    return _any(tests) or "FALSE"


def _invalid(rule: Rule, column: Column, sql: str) -> str:
    tests = []
    if rule.params.get("validValues") is not None:
        tests.append(_outside_list(rule, column, sql, key="validValues"))
    if rule.params.get("pattern") is not None or not tests:
        tests.append(_unmatched(rule, column, sql))
    return _any(tests)


def _no_multiple(rule: Rule, column: Column, sql: str) -> str:
    try:
        step = Decimal(str(rule.params.get("multipleOf")))
    except InvalidOperation:
        step = Decimal(0)
    if not step.is_finite() or step <= 0:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} needs a multipleOf above 0")
    if family(column.sql_type) is not Family.FLOAT:
        return f"{sql} % {literal(step)} <> 0"
    # Binary fractions: 0.3 is a multiple of 0.1, to within what 53 bits can tell.
    ratio = f"({sql}::DOUBLE / {literal(float(step))})"
    return f"NOT isfinite({sql}) OR abs({ratio} - round({ratio})) > 1e-9 * greatest(1, abs({ratio}))"


_PREDICATES: dict[RuleKind, Callable[[Rule, Column, str], str]] = {
    RuleKind.REQUIRED: _null,
    RuleKind.NULL_VALUES: _null,
    RuleKind.RANGE: _outside_range,
    RuleKind.LENGTH: _outside_length,
    RuleKind.PATTERN: _unmatched,
    RuleKind.ENUM: _outside_list,
    RuleKind.MULTIPLE_OF: _no_multiple,
    RuleKind.MISSING_VALUES: _missing,
    RuleKind.INVALID_VALUES: _invalid,
}


def _as_text(column: Column, sql: str) -> str:
    return sql if family(column.sql_type) is Family.TEXT else f"CAST({sql} AS VARCHAR)"


def _bound(rule: Rule, column: Column, value: Any) -> str:
    bound = _comparable(value, column)
    if bound is None:
        raise UsageError(f"{rule.mark}: rule {rule.name!r}: {value!r} is no {column.sql_type}")
    return bound.replace("TRY_CAST(", "CAST(", 1) if bound.startswith("TRY_CAST(") else bound


def _matching(column: Column, values: Iterable[Any]) -> list[str]:
    found = (_comparable(value, column) for value in values if value is not None)
    return [sql for sql in found if sql is not None]


def _comparable(value: Any, column: Column) -> str | None:
    """Return `value`, as YAML gave it, as SQL that compares exactly with `column`; None where no row can equal it."""
    try:
        match family(column.sql_type):
            case Family.TEXT:
                return literal(_plain_text(value))
            case Family.BOOLEAN:
                word = str(value).lower() if isinstance(value, bool | str) else ""
                return word.upper() if word in {"true", "false"} else None
            case Family.EXACT | Family.FLOAT as kind:
                return _number(value, column, exact=kind is Family.EXACT)
            case _:
                text = literal(_plain_text(value)) if not isinstance(value, list | dict) else literal(value)
                return f"TRY_CAST({text} AS {column.sql_type})"
    except TypeError as error:
        raise UsageError(f"{column.mark}: column {column.name!r}: {error}") from error


def _number(value: Any, column: Column, *, exact: bool) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    if exact:
        return None if number.is_nan() else literal(number)
    return f"CAST({literal(float(number))} AS {column.sql_type})"


def _plain_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


def bucket(partitioning: Partitioning, sql: str, sql_type: str) -> str:
    """Return SQL for the first day of the partition that `sql` falls in; times with a zone count in UTC."""
    zoned = "ZONE" in sql_type.upper() or sql_type.upper().startswith("TIMESTAMPTZ")
    moment = f"({sql} AT TIME ZONE 'UTC')" if zoned else sql
    return f"CAST(date_trunc({literal(partitioning.unit)}, {moment}) AS DATE)"


def _outside_partition(rule: Rule, table: Table, partition: str | None) -> str:
    partitioning = table.partitioning
    if partitioning is None:
        raise UsageError(f"{rule.mark}: rule {rule.name!r}: table {table.name!r} has no partitions")
    column, sql = column_at(table, partitioning.column)
    first_day = bucket(partitioning, sql, column.sql_type)
    if partition is not None:
        return f"{first_day} IS DISTINCT FROM {partition}"
    tests = [f"{sql} IS NULL", f"{first_day} < {literal(partitioning.start)}"]
    tests += [f"{first_day} >= {literal(partitioning.end)}"] if partitioning.end else []
    return _any(tests)


def _against_condition(rule: Rule, table: Table) -> str:
    known = tuple(column.name for column in table.columns)
    when, then = (rule.params.get(key) for key in ("when", "then"))
    if not isinstance(then, str) or not (when is None or isinstance(when, str)):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no condition")
    # An expression may end in a comment: what follows it stands on a line of its own.
    tests = [f"({read_expression(when, known, alias=JUDGED).sql}\n)"] if when is not None else []
    return " AND ".join([*tests, f"NOT ({read_expression(then, known, alias=JUDGED).sql}\n)"])


def key_columns(rule: Rule, table: Table) -> list[tuple[Column, str]]:
    """Return the columns of the rule's key, each with SQL for it."""
    if not rule.columns:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} names no column")
    return [column_at(table, name) for name in rule.columns]


def _keys(rule: Rule, table: Table) -> list[str]:
    return [sql for _, sql in key_columns(rule, table)]


def key_present(rule: Rule, table: Table) -> str:
    """Return SQL that is TRUE for a row with no NULL among the columns of `rule`."""
    return " AND ".join(f"{key} IS NOT NULL" for key in _keys(rule, table))


def surplus(rule: Rule, table: Table, relation: str) -> str:
    """Return a query for the number of rows beyond the first of each key; a key with a NULL is no duplicate."""
    keys = _keys(rule, table)
    if len(keys) == 1:
        return f"SELECT count({keys[0]}) - count(DISTINCT {keys[0]}) FROM {judged(relation)}"
    return (
        f"SELECT coalesce(sum(copies - 1), 0)::BIGINT FROM (SELECT count(*) AS copies FROM {judged(relation)} "
        f"WHERE {key_present(rule, table)} GROUP BY {', '.join(keys)})"
    )


def repeated_row(rule: Rule, table: Table, relation: str, *, parts: int = 1) -> str:
    """Return SQL that is TRUE for every row of `relation` whose key occurs more than once in it.

    With `parts`, only for one in so many of the keys, which takes that much less memory to find.
    """
    keys = ", ".join(_keys(rule, table))
    some = f" AND hash({keys}) < {2**64 // parts}" if parts > 1 else ""  # to compare is faster than to divide
    return (
        f"({keys}) IN (SELECT {f'({keys})' if len(rule.columns) > 1 else keys} FROM {judged(relation)} "
        f"WHERE {key_present(rule, table)}{some} GROUP BY {keys} HAVING count(*) > 1)"
    )


def orphan_row(rule: Rule, table: Table, target: str) -> str:
    """Return SQL that is TRUE for a row whose key, without a NULL, is not in the relation `target`."""
    found = f"SELECT 1 FROM (SELECT * FROM {target}) AS {quote(TARGET)} WHERE {_points_to(rule, table)}"
    return f"{key_present(rule, table)} AND NOT EXISTS ({found})"


def orphans(rule: Rule, table: Table, relation: str, target: str) -> str:
    """Return a query for the number of rows for which `orphan_row` is TRUE."""
    return (
        f"SELECT count(*) FROM {judged(relation)} ANTI JOIN (SELECT * FROM {target}) AS {quote(TARGET)} "
        f"ON {_points_to(rule, table)} WHERE {key_present(rule, table)}"
    )


def _points_to(rule: Rule, table: Table) -> str:
    to_columns = rule.params.get("to_columns") or ()
    if len(to_columns) != len(rule.columns):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} pairs {len(rule.columns)} columns with {len(to_columns)}")
    pairs = zip(_keys(rule, table), to_columns, strict=True)
    return " AND ".join(f"{qualified(TARGET, to)} = {key}" for key, to in pairs)


def newest(rule: Rule, table: Table) -> str:
    """Return an aggregate for the newest moment of the rule's column, in seconds since 1970 (UTC)."""
    if not rule.columns:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} names no column")
    _, sql = column_at(table, rule.columns[0])
    return f"epoch(max({sql}) FILTER (WHERE isfinite({sql})))"


def judged(relation: str) -> str:
    """Return `relation` under the alias that predicates name."""
    return f"(SELECT * FROM {relation}) AS {quote(JUDGED)}"


def in_unit(threshold: Threshold, rows: int, total: int) -> float:
    """Return `rows` in the threshold's unit: percent of `total` (0 of no rows), or as it is."""
    if threshold.unit != "percent":
        return rows
    return 100 * rows / total if total else 0.0


def holds(threshold: Threshold, observed: float) -> bool:
    """Return whether `observed` satisfies `threshold`; NaN satisfies nothing.

    Raises: UsageError, for a threshold with too few or too many values.
    """
    between = threshold.operator in {Operator.MUST_BE_BETWEEN, Operator.MUST_NOT_BE_BETWEEN}
    if len(threshold.values) != 1 + between:
        raise UsageError(f"{threshold.operator} takes {1 + between} values, not {len(threshold.values)}")
    low, high = threshold.values[0], threshold.values[-1]
    return not math.isnan(observed) and _HOLDS[threshold.operator](observed, low, high)


_HOLDS: dict[Operator, Callable[[float, float, float], bool]] = {
    Operator.MUST_BE: lambda seen, low, _: seen == low,
    Operator.MUST_NOT_BE: lambda seen, low, _: seen != low,
    Operator.MUST_BE_GREATER_THAN: lambda seen, low, _: seen > low,
    Operator.MUST_BE_GREATER_OR_EQUAL_TO: lambda seen, low, _: seen >= low,
    Operator.MUST_BE_LESS_THAN: lambda seen, low, _: seen < low,
    Operator.MUST_BE_LESS_OR_EQUAL_TO: lambda seen, low, _: seen <= low,
    Operator.MUST_BE_BETWEEN: lambda seen, low, high: low <= seen <= high,
    Operator.MUST_NOT_BE_BETWEEN: lambda seen, low, high: not low <= seen <= high,
}
