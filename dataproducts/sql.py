"""Names and values as SQL text for DuckDB; it must not know what the SQL is for."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_PATTERN = re.compile(r"[\[*?]")


def quote(name: str) -> str:
    """Return `name` as a SQL identifier: `na"me` becomes `"na""me"`."""
    return '"' + name.replace('"', '""') + '"'


def qualified(alias: str, name: str) -> str:
    """Return `name` as a column of the relation called `alias`: `"l"."na""me"`."""
    return f"{quote(alias)}.{quote(name)}"


def quote_all(names: Iterable[str]) -> str:
    """Return `names` as a comma-separated list of SQL identifiers."""
    return ", ".join(quote(name) for name in names)


def literal(value: Any) -> str:  # noqa: PLR0911 - one return for each kind of value
    """Return `value` as a SQL literal of the type that it has in Python.

    Text keeps every character but NUL, which DuckDB's SQL cannot carry. Integers beyond 64 bits become HUGEINT or
    DOUBLE as DuckDB reads them; decimals keep their scale; a time-zone aware datetime becomes TIMESTAMPTZ.

    Raises:
        TypeError: `value` is of a kind that has no literal, or text that holds NUL.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case float():
            return _float(value)
        case Decimal():
            return f"{value:f}" if value.is_finite() else _float(float(value))
        case str():
            return _text(value)
        case bytes():
            return "'" + "".join(f"\\x{byte:02X}" for byte in value) + "'::BLOB"
        case list() | tuple():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{_text(str(key))}: {literal(item)}" for key, item in value.items()) + "}"
        case _:
            return _temporal(value)


def file_patterns(paths: Iterable[Path]) -> str:
    """Return `paths` as the SQL list that `read_parquet` and its like take, each matching that very file alone."""
    # DuckDB takes every path for a pattern; in brackets, its special characters stand for themselves.
    return literal([_PATTERN.sub(r"[\g<0>]", str(path)) for path in paths])


def _text(value: str) -> str:
    if "\0" in value:
        raise TypeError("text with a NUL character has no SQL literal")
    return "'" + value.replace("'", "''") + "'"


def _float(value: float) -> str:
    if math.isnan(value):
        return "'nan'::DOUBLE"
    if math.isinf(value):
        return f"'{'-' if value < 0 else ''}inf'::DOUBLE"
    return f"{value!r}::DOUBLE"


def _temporal(value: Any) -> str:
    match value:
        case datetime():
            kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
            return f"{kind} '{value.isoformat(sep=' ')}'"
        case date():
            return f"DATE '{value.isoformat()}'"
        case time():
            return f"TIME '{value.isoformat()}'"
        case timedelta():
            return f"to_microseconds({value // timedelta(microseconds=1)})"
        case _:
            raise TypeError(f"a {type(value).__name__} has no SQL literal: {value!r}")
