"""pandera on polars: the file is read into a frame and validated lazily."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

import pandera.polars as pa
import polars as pl

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, OPTIONAL, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.pandera_counts import counts
from benchmarks.peers.said import say


def main(path: str) -> None:
    """Judge the file at `path`."""
    columns = {name: _column(name) for name in (*REQUIRED, *OPTIONAL)}
    schema = pa.DataFrameSchema(columns, checks=_table_checks(), strict=True)
    try:
        # A frame, because of a LazyFrame pandera judges the types and no row.
        schema.validate(pl.read_parquet(path), lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = errors.failure_cases.group_by("column", "check").len()
        say(counts(found.iter_rows()))
    else:
        say(counts(()))


def _column(name: str) -> Any:
    checks = []
    if name in RANGES:
        checks.append(pa.Check.in_range(*RANGES[name], error=f"{name}.range"))
    if name in PATTERNS:
        checks.append(pa.Check.str_matches(PATTERNS[name], error=f"{name}.pattern"))
    if name == "status":
        checks.append(pa.Check.isin(STATUSES, error="status.enum"))
    return pa.Column(None, checks, nullable=name in OPTIONAL, unique=name == "order_id")


def _table_checks() -> list[Any]:
    oldest = datetime.fromisoformat(NOW) - timedelta(hours=FRESH_HOURS)
    return [
        pa.Check(
            lambda data: data.lazyframe.select(pl.col("order_ts") <= pl.col("loaded_at")), name="ordered_before_loaded"
        ),
        pa.Check(lambda data: data.lazyframe.select(pl.len() >= LEAST_ROWS), name="row_count"),
        pa.Check(lambda data: data.lazyframe.select(pl.col("loaded_at").max() >= oldest), name="loaded_at.freshness"),
    ]


main(sys.argv[1])
