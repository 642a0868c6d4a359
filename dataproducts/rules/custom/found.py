"""What a custom rule found, and frames and samples that every engine shares; it must not know an engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from dataproducts.rules.masking import mask
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import duckdb
    import pandas as pd

    from dataproducts.product import Table

SAMPLED_ROWS = 5

INTEGERS = {
    "TINYINT": "Int8",
    "SMALLINT": "Int16",
    "INTEGER": "Int32",
    "BIGINT": "Int64",
    "UTINYINT": "UInt8",
    "USMALLINT": "UInt16",
    "UINTEGER": "UInt32",
    "UBIGINT": "UInt64",
}
"""Integer types of DuckDB, and those of pandas that hold the same numbers and NULL."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a custom rule found: rows rejected, masked examples of them, and which of its checks rejected any."""

    failed: int
    sample: tuple[Mapping[str, Any], ...] = ()
    by: tuple[str, ...] = ()


def frame_of(rows: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """Return `rows` as pandas, indexed from 0; integers with NULLs keep their digits as `Int64` and the like.

    As DuckDB converts them otherwise: DECIMAL and HUGEINT are float64, DATE is datetime64, nested values are objects.
    """
    import pandas as pd  # noqa: PLC0415 - takes a second to import

    kinds = {name: str(kind) for name, kind in zip(rows.columns, rows.types, strict=True)}
    whole = [name for name, kind in kinds.items() if kind in INTEGERS]
    # DuckDB makes float64 of integers with NULLs, which changes keys above 2^53: values and NULLs come apart instead.
    mark = "_is_null"
    while any(name.startswith(mark) for name in kinds):
        mark += "_"
    shown = [f"coalesce({quote(n)}, 0) AS {quote(n)}" if n in whole else quote(n) for n in kinds]
    shown += [f"{quote(name)} IS NULL AS {quote(f'{mark}{at}')}" for at, name in enumerate(whole)]
    frame: pd.DataFrame = rows.project(", ".join(shown)).df()
    text = pd.Series(["text"]).dtype  # DuckDB makes objects of text where there is none, which no model of text takes
    for name, kind in kinds.items():
        values: Any = frame[name]  # pandas' stubs know dtypes by literal names alone
        if kind == "VARCHAR" and values.dtype != text:
            frame[name] = values.astype(text)
    for at, name in enumerate(whole):
        absent, values = frame.pop(f"{mark}{at}"), frame[name]
        if absent.any():
            frame[name] = values.astype(INTEGERS[kinds[name]]).mask(absent)
    return frame


def sample_of(frame: pd.DataFrame, index: Iterable[Any], table: Table) -> tuple[Mapping[str, Any], ...]:
    """Return up to 5 of the rows of `frame` at `index`, as JSON values with classified columns masked."""
    days = {column.name for column in table.columns if column.sql_type == "DATE"}
    found = []
    for at in islice(index, SAMPLED_ROWS):
        row = {name: plain(frame[name].iloc[at]) for name in frame.columns}  # indexed from 0: label is position
        for name in days & row.keys():
            row[name] = row[name] and str(row[name])[:10]  # pandas has no days, only midnights
        found.append(mask(row, table))
    return tuple(found)


def plain(value: Any) -> Any:
    """Return a value of a frame as JSON has it; what JSON lacks becomes text, what is missing None."""
    kind = type(value).__name__
    if value is None or kind in {"NAType", "NaTType"}:
        return None
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) or kind == "ndarray":
        return [plain(inner) for inner in value]
    if hasattr(value, "item") and not isinstance(value, date | time | timedelta):
        value = value.item()
    if isinstance(value, float):
        # A frame holds NaN both for NULL and for NaN.
        return None if math.isnan(value) else value if math.isfinite(value) else str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value if isinstance(value, bool | int | str) else str(value)
