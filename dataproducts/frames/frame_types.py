"""Types of pandera schemas as ODCS types; it must not know checks.

Arrow speaks for all: a dtype of pandas, polars or pyarrow is an Arrow type first, and DuckDB tells its own name for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import duckdb

from dataproducts.declare.sql_types import column_type
from dataproducts.sql import quote

_LOGICAL = (
    (("VARCHAR", "UUID", "BLOB", "ENUM", "BIT"), "string"),
    (("TIMESTAMP", "DATETIME"), "timestamp"),
    (("TIME",), "time"),
    (("DATE",), "date"),
    (("DECIMAL", "FLOAT", "DOUBLE"), "number"),
    (("BOOLEAN",), "boolean"),
    (("STRUCT", "MAP", "UNION", "JSON"), "object"),
)
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


@dataclass(frozen=True, slots=True)
class ColumnType:
    """How a contract spells a column's type; `values` are the categories of one, `note` says what got lost."""

    sql: str
    values: tuple[Any, ...] | None = None
    note: str = ""

    @property
    def properties(self) -> dict[str, Any]:
        """`logicalType`, and `physicalType` where the logical type alone would be another one."""
        logical = _logical(self.sql)
        said: dict[str, Any] = {"logicalType": logical}
        return said if column_type(said) == self.sql else {**said, "physicalType": self.sql}


def _logical(sql: str) -> str:
    if sql.endswith("]"):
        return "array"
    if sql.startswith(_INTEGERS):
        return "integer"
    return next((logical for starts, logical in _LOGICAL if sql.startswith(starts)), "string")


def type_of(dtype: Any) -> ColumnType:
    """Return the type of a column whose pandera dtype is given; VARCHAR with a note where it says nothing."""
    from pandera import dtypes  # noqa: PLC0415 - takes seconds to import

    if dtype is None:
        return ColumnType("VARCHAR", note="the schema declares no dtype: text is assumed")
    native = getattr(dtype, "type", None)
    if isinstance(dtype, dtypes.Decimal):
        return ColumnType(f"DECIMAL({dtype.precision},{dtype.scale})")
    listed: list[Any] = [getattr(each, "categories", None) for each in (dtype, native)]
    if isinstance(dtype, dtypes.Category) or any(each is not None for each in listed):
        # A Categorical of polars has categories that nobody listed.
        values = next((tuple(each) for each in listed if hasattr(each, "__len__") and len(each)), None)
        return ColumnType("VARCHAR", values)
    if isinstance(dtype, dtypes.Date) and not isinstance(dtype, dtypes.Timestamp):
        return ColumnType("DATE")
    return _by_arrow(dtype, native) if not isinstance(dtype, dtypes.String) else ColumnType("VARCHAR")


def _by_arrow(dtype: Any, native: Any) -> ColumnType:
    try:
        sql = _sql(_arrow(native))
    except (TypeError, ValueError, NotImplementedError, AttributeError, duckdb.Error):
        sql = ""
    if sql in {"", '"NULL"', "NULL"} or sql.startswith("ENUM("):
        return ColumnType("VARCHAR", note=f"dtype {dtype} does not tell the type: text is assumed")
    if sql == "TIMESTAMP_NS":
        return ColumnType("TIMESTAMP", note=f"{dtype} becomes microseconds; to keep nanoseconds: TIMESTAMP_NS")
    zoned_ns = sql.startswith("TIMESTAMP WITH") and "ns" in str(dtype)
    return ColumnType(sql, note=f"{dtype} becomes microseconds" if zoned_ns else "")


def _arrow(native: Any) -> Any:
    """The Arrow type of a column of pandas or polars."""
    import pyarrow as pa  # noqa: PLC0415 - takes a second to import

    if type(native).__module__.startswith("polars") or getattr(native, "__module__", "").startswith("polars"):
        import polars as pl  # noqa: PLC0415 - only where the schema is one for polars

        return pl.Series([], dtype=native).to_arrow().type
    import pandas as pd  # noqa: PLC0415 - takes a second to import

    kind = pa.array(pd.Series([], dtype=native)).type
    if isinstance(kind, pa.BaseExtensionType):
        raise TypeError(f"Arrow has no type of its own for {native}")
    return kind


def _sql(kind: Any) -> str:
    """DuckDB's name of an Arrow type."""
    import pyarrow as pa  # noqa: PLC0415 - takes a second to import

    empty = pa.table({"x": pa.array([], kind)})
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("empty", empty)
        return str(
            con.execute(f"SELECT typeof({quote('x')}) FROM (VALUES (1)) LEFT JOIN empty ON TRUE").fetchall()[0][0]
        )
