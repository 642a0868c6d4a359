"""The same verdict by the cheapest exact queries that we know how to write by hand for this one contract.

It knows what only its author can know: that DuckDB wrote the file, so that its statistics hold, that order ids are
dense, and which text columns have few distinct values.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

import duckdb

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, RANGES, REQUIRED
from benchmarks.peers.hand_written_naive import rejects
from benchmarks.peers.said import say

_OF_VALUES = ("status.enum", "currency.pattern", "email.pattern")  # columns with few distinct values
_BOUNDS = (*RANGES, "order_id", "order_ts", "loaded_at")


def main(path: str) -> None:
    """Judge the file at `path`."""
    file = f"read_parquet('{path}')"
    with duckdb.connect() as con:
        counts, bounds = _statistics(con, path, file)
        key = f"bit_count(bitstring_agg(order_id, {bounds['order_id'][0]}, {bounds['order_id'][1]}))"
        scanned = [rule for rule, proved in _proofs(bounds).items() if not proved]
        tests = rejects()
        parts = [key, *(f"count(*) FILTER (WHERE {tests[rule]})" for rule in scanned)]
        distinct, *found = con.execute(f"SELECT {', '.join(parts)} FROM {file}").fetchall()[0]
        counts |= dict(zip(scanned, found, strict=True))
        counts["order_id.unique"] = counts["row_count"] - counts["order_id.required"] - distinct
        for rule in _OF_VALUES:
            counts[rule] = _by_distinct_values(con, file, rule.partition(".")[0], tests[rule])
    oldest = datetime.fromisoformat(NOW) - timedelta(hours=FRESH_HOURS)
    counts["loaded_at.freshness"] = int(bounds["loaded_at"][1] < oldest)
    counts["row_count"] = int(counts["row_count"] < LEAST_ROWS)
    say(counts)


def _statistics(con: duckdb.DuckDBPyConnection, path: str, file: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return rows and NULLs from the footer, and the least and greatest value of some columns, without a scan."""
    footer = f"SELECT path_in_schema, sum(stats_null_count), sum(num_values) FROM parquet_metadata('{path}') GROUP BY 1"
    counts: dict[str, Any] = dict.fromkeys((rule for rule in rejects() if not rule.endswith("required")), 0)
    for column, nulls, rows in con.execute(footer).fetchall():
        if column in REQUIRED:
            counts[f"{column}.required"] = int(nulls)
        counts["row_count"] = int(rows)
    ends = ", ".join(f"min({column}), max({column})" for column in _BOUNDS)
    row = con.execute(f"SELECT {ends} FROM {file}").fetchall()[0]
    return counts, {column: row[2 * place : 2 * place + 2] for place, column in enumerate(_BOUNDS)}


def _proofs(bounds: dict[str, Any]) -> dict[str, bool]:
    """Return for each rule that may need the scan whether the least and greatest values prove that no row breaks it."""
    ranges = {
        f"{column}.range": low <= bounds[column][0] and bounds[column][1] <= high
        for column, (low, high) in RANGES.items()
    }
    pair = bounds["order_ts"][1] <= bounds["loaded_at"][0]
    return {**ranges, "ordered_before_loaded": pair}


def _by_distinct_values(con: duckdb.DuckDBPyConnection, file: str, column: str, broken: str) -> int:
    values = f"SELECT {column}, count(*) AS times FROM {file} GROUP BY ALL"
    return int(con.execute(f"SELECT coalesce(sum(times), 0) FROM ({values}) WHERE {broken}").fetchall()[0][0])


if __name__ == "__main__":
    main(sys.argv[1])
