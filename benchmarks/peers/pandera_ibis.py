"""pandera on ibis: DuckDB reads the file where it lies, and the table is validated lazily."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import ibis
import pandera.ibis as pa

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, OPTIONAL, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.pandera_counts import counts
from benchmarks.peers.said import say

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(path: str) -> None:
    """Judge the file at `path`."""
    columns = {name: _column(name) for name in (*REQUIRED, *OPTIONAL)}
    # `unique` of a column does nothing on ibis, without a word; that of the table is judged.
    schema = pa.DataFrameSchema(columns, checks=_table_checks(), strict=True, unique=["order_id"])
    try:
        schema.validate(ibis.duckdb.connect().read_parquet(path), lazy=True)
    except pa.errors.SchemaErrors as errors:
        say(counts(_found(errors.failure_cases)))
    else:
        say(counts(()))


def _found(cases: Any) -> Iterator[tuple[str | None, str, int | bool]]:
    """Yield column, check and rows; NULLs and repeated keys come as one entry each, which tells no number."""
    for (column, check), number in cases.groupby(["column", "check"], dropna=False).size().items():
        untold = check in {"not_nullable", "multiple_fields_uniqueness"}
        yield column, check, True if untold else int(number)


def _column(name: str) -> Any:
    checks = []
    if name in RANGES:
        checks.append(pa.Check.in_range(*RANGES[name], error=f"{name}.range"))
    if name in PATTERNS:
        checks.append(pa.Check.str_matches(PATTERNS[name], error=f"{name}.pattern"))
    if name == "status":
        checks.append(pa.Check.isin(STATUSES, error="status.enum"))
    return pa.Column(None, checks, nullable=name in OPTIONAL)


def _table_checks() -> list[Any]:
    oldest = datetime.fromisoformat(NOW) - timedelta(hours=FRESH_HOURS)
    return [
        pa.Check(lambda data: data.table.order_ts <= data.table.loaded_at, name="ordered_before_loaded"),
        pa.Check(lambda data: data.table.count() >= LEAST_ROWS, name="row_count"),
        pa.Check(lambda data: data.table.loaded_at.max() >= oldest, name="loaded_at.freshness"),
    ]


main(sys.argv[1])
