"""The DuckDB type of a column that a contract declares; it must not know rules or data.

`physicalType` wins over `logicalType`. Types of other systems are read as their nearest DuckDB type; the length of a
text type is not a type of DuckDB's, so `VARCHAR(10)` is VARCHAR (`logicalTypeOptions.maxLength` is what is judged).
"""

from __future__ import annotations

import difflib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import entries, flag, mapping, text
from dataproducts.sql import quote
from dataproducts.trial import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_LOGICAL = {
    "string": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
    "time": "TIME",
    "number": "DOUBLE",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "object": "JSON",
    "array": "JSON",
}
_FORMATS = {
    "i8": "TINYINT", "i16": "SMALLINT", "i32": "INTEGER", "i64": "BIGINT", "i128": "HUGEINT",
    "u8": "UTINYINT", "u16": "USMALLINT", "u32": "UINTEGER", "u64": "UBIGINT", "u128": "UHUGEINT",
    "f32": "FLOAT", "f64": "DOUBLE",
}  # fmt: skip
_ELEMENTS = {
    "bfloat16": "FLOAT", "float16": "FLOAT", "float32": "FLOAT", "float64": "DOUBLE",
    "int8": "TINYINT", "uint8": "UTINYINT", "binary": "BOOLEAN",
}  # fmt: skip
_SPELLINGS = (  # of other systems; DuckDB knows the usual ones itself
    (r"(n?varchar2?|nchar|character varying|char varying)\s*(\(.*\))?", "VARCHAR"),
    (r"(long|bigserial|int64)", "BIGINT"),
    (r"(serial|int32)", "INTEGER"),
    (r"(float64|double precision|float\s*\(53\))", "DOUBLE"),
    (r"(float32|single)", "FLOAT"),
    (r"number", "DECIMAL(38,9)"),
    (r"number\s*(\(.*\))", r"DECIMAL\1"),
    (r"(timestamp_ntz|timestamp without time zone|datetime2?|smalldatetime)\s*(\(\d+\))?", "TIMESTAMP"),
    (r"(timestamp_l?tz|timestamp with (local )?time zone|datetimeoffset)\s*(\(\d+\))?", "TIMESTAMPTZ"),
    (r"timestamp\s*\(\d\)( without time zone)?", "TIMESTAMP"),
    (r"time\s*\(\d\)( without time zone)?", "TIME"),
    (r"(varbinary|binary|bytes|bytea)\s*(\(.*\))?", "BLOB"),
    (r"(clob|nclob|ntext|longtext|mediumtext)", "VARCHAR"),
)
_UNSTORED = {
    "HUGEINT": "DECIMAL(38,0)", "UHUGEINT": "DECIMAL(38,0)", "BIGNUM": "DECIMAL(38,0)", "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP", "BIT": "VARCHAR", "ENUM": "VARCHAR", "GEOMETRY": "BLOB", "UNION": "STRUCT(…)",
}  # fmt: skip
_PLAIN = {*_LOGICAL.values(), *_FORMATS.values()}
_NAMES = (
    "BIGINT", "BLOB", "BOOLEAN", "DATE", "DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "INTEGER", "INTERVAL", "JSON",
    "SMALLINT", "TEXT", "TIME", "TIMESTAMP", "TIMESTAMPTZ", "TINYINT", "UUID", "VARCHAR",
)  # fmt: skip


def physical_type(spelling: str) -> str | None:
    """Return a type of any usual system as DuckDB spells it; None if nobody knows it."""
    cleaned = " ".join(spelling.split())
    for pattern, name in _SPELLINGS:
        if match := re.fullmatch(pattern, cleaned, re.IGNORECASE):
            cleaned = match.expand(name)
            break
    return _canonical(cleaned) or _translated(cleaned)


def storable_type(sql_type: str) -> str:
    """Return what to declare instead of a type that Parquet files give back as another; empty if they keep it.

    A column of such a type could be written, and would never be of its type again when it is read.
    """
    unquoted = re.sub(r'"(?:[^"]|"")*"', "_", sql_type)
    # Names of fields stand before a blank; what is followed by none of these is no type.
    for match in re.finditer(r"\b(\w+)(?=[\[\],()]|$)", unquoted):
        if match[1].upper() in _UNSTORED:
            return _UNSTORED[match[1].upper()]
    return re.sub(r"\[\d+\]", "[]", sql_type) if re.search(r"\[\d+\]", unquoted) else ""


def nearest_type(spelling: str) -> str:
    """Return the DuckDB type that looks most like a misspelt one; empty if none does."""
    found = difflib.get_close_matches(spelling.upper().split("(")[0].strip(), _NAMES, n=1)
    return found[0] if found else ""


def column_type(column: Mapping[str, Any]) -> str | None:
    """Return the DuckDB type of an ODCS property; None if it declares none that is known.

    By logical type: string VARCHAR, integer BIGINT, number DOUBLE (or as `format` says: i8 to u128, f32, f64), date
    DATE, time TIME, timestamp TIMESTAMP (TIMESTAMP WITH TIME ZONE if `timezone` is true), boolean BOOLEAN, object
    STRUCT of its properties, array T[] of its items, map MAP, vector FLOAT[]. An object without properties
    and an array without items are JSON. Integers are 64 bits wide where the standard's schema notes 32 as default,
    because a sum of 32-bit integers has to fit.
    """
    physical, logical = text(column, "physicalType"), text(column, "logicalType")
    if physical and (known := physical_type(physical)):
        return known
    options = mapping(column, "logicalTypeOptions")
    if logical in ("object", "array", "map", "vector"):
        return _nested_type(column, logical, options)
    if logical == "timestamp" and flag(options, "timezone"):
        return "TIMESTAMP WITH TIME ZONE"
    if logical in ("integer", "number") and text(options, "format") in _FORMATS:
        return _FORMATS[text(options, "format")]
    return _LOGICAL.get(logical)


def _nested_type(column: Mapping[str, Any], logical: str, options: Mapping[str, Any]) -> str | None:
    if logical == "object" and column.get("properties"):
        return _struct(column)
    if logical == "array" and column.get("items"):
        inner = column_type(mapping(column, "items"))
        return f"{inner}[]" if inner else None
    if logical == "map":
        sides = [column_type(mapping(mapping(column, "map"), side)) for side in ("key", "value")]
        return f"MAP({sides[0]}, {sides[1]})" if all(sides) else None
    if logical == "vector":
        return f"{_ELEMENTS.get(text(options, 'elementType'), 'FLOAT')}[]"
    return _LOGICAL[logical]


def _struct(column: Mapping[str, Any]) -> str | None:
    fields = [(text(child, "name"), column_type(child)) for child, _ in entries(column, "properties")]
    if not fields or any(not name or not kind for name, kind in fields):
        return None
    return _canonical(f"STRUCT({', '.join(f'{quote(name)} {kind}' for name, kind in fields)})")


@lru_cache(maxsize=1024)
def _canonical(spelling: str) -> str | None:
    upper = spelling.upper()
    if upper in _PLAIN or re.fullmatch(r"DECIMAL\((1\d|[1-9]),[0-9]\)", upper):
        return upper  # without asking
    return type_name(spelling)


def _translated(spelling: str) -> str | None:
    if "<" not in spelling:  # ARRAY<INT>, STRUCT<a INT>, MAP<K, V> of Hive's descendants
        return None
    # 0.2 s to import, for few.
    from sqlglot import exp  # noqa: PLC0415
    from sqlglot.errors import SqlglotError  # noqa: PLC0415

    try:
        return _canonical(exp.DataType.build(spelling, dialect="spark").sql("duckdb"))
    except SqlglotError:
        return None
