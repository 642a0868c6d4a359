"""The whole contract as one SELECT, every rule an aggregate with a FILTER: what one writes first."""

from __future__ import annotations

import sys

import duckdb

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.said import say


def rejects() -> dict[str, str]:
    """Return for every rule that a row alone can break the condition of the rows that it rejects."""
    statuses = ", ".join(f"'{status}'" for status in STATUSES)
    return {
        **{f"{column}.required": f"{column} IS NULL" for column in REQUIRED},
        **{f"{column}.range": f"NOT ({column} BETWEEN {low} AND {high})" for column, (low, high) in RANGES.items()},
        "status.enum": f"status NOT IN ({statuses})",
        **{f"{column}.pattern": f"NOT regexp_matches({column}, '{pattern}')" for column, pattern in PATTERNS.items()},
        "ordered_before_loaded": "order_ts > loaded_at",
    }


def aggregates() -> dict[str, str]:
    """Return for every rule the aggregate that counts what it rejects; of the whole table 1 if it is broken."""
    return {
        **{rule: f"count(*) FILTER (WHERE {test})" for rule, test in rejects().items()},
        "order_id.unique": "count(order_id) - count(DISTINCT order_id)",
        "row_count": f"CAST(count(*) < {LEAST_ROWS} AS INTEGER)",
        "loaded_at.freshness": (
            f"CAST(coalesce(max(loaded_at) < TIMESTAMP '{NOW}' - INTERVAL {FRESH_HOURS} HOUR, true) AS INTEGER)"
        ),
    }


def main(path: str) -> None:
    """Judge the file at `path`."""
    rules = aggregates()
    with duckdb.connect() as con:
        row = con.execute(f"SELECT {', '.join(rules.values())} FROM read_parquet('{path}')").fetchall()[0]
    say(dict(zip(rules, row, strict=True)))


if __name__ == "__main__":
    main(sys.argv[1])
