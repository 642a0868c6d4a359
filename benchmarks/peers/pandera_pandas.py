"""pandera on pandas: the file is read into a frame with types that know NULL, and validated lazily."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
import pandera.pandas as pa

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, OPTIONAL, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.pandera_counts import counts
from benchmarks.peers.said import say


def main(path: str) -> None:
    """Judge the file at `path`."""
    # numpy's own integers have no NULL: a column with one would become DOUBLE. These types are no slower.
    frame = pd.read_parquet(path, dtype_backend="numpy_nullable")
    columns = {name: _column(name) for name in (*REQUIRED, *OPTIONAL)}
    schema = pa.DataFrameSchema(columns, checks=_table_checks(), strict=True)
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        # A check on the table lists a failed row once for each of its columns.
        rows = cases.assign(column=cases["column"].where(cases["schema_context"] == "Column"))
        found = rows.groupby(["column", "check"], dropna=False)["index"].nunique(dropna=False)
        say(counts((column, check, int(number)) for (column, check), number in found.items()))
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
    unique = name == "order_id"
    return pa.Column(
        None, checks, nullable=name in OPTIONAL, unique=unique, report_duplicates="exclude_first" if unique else "all"
    )


def _table_checks() -> list[Any]:
    return [
        pa.Check(lambda frame: ~(frame["order_ts"] > frame["loaded_at"]), name="ordered_before_loaded"),
        pa.Check(lambda frame: len(frame) >= LEAST_ROWS, name="row_count"),
        pa.Check(
            lambda frame: pd.Timestamp(NOW) - frame["loaded_at"].max() <= pd.Timedelta(hours=FRESH_HOURS),
            name="loaded_at.freshness",
        ),
    ]


main(sys.argv[1])
