"""What is right: the rows that each rule rejects, by one query a rule, which contenders are held against."""

from __future__ import annotations

import sys

import duckdb

from benchmarks.orders import EVERY_ROW, EVERY_ROW_AND_NULL
from benchmarks.peers.hand_written_naive import aggregates
from benchmarks.peers.said import say


def main(path: str) -> None:
    """Print the counts for the file at `path`, and duplicates counted in the two other ways that are in use."""
    repeated = "(SELECT order_id, count(*) AS times FROM {} GROUP BY ALL HAVING times > 1 {})"
    file = f"read_parquet('{path}')"
    with duckdb.connect() as con:

        def value(sql: str) -> int:
            return int(con.execute(sql).fetchall()[0][0])

        counts = {rule: value(f"SELECT {aggregate} FROM {file}") for rule, aggregate in aggregates().items()}
        keys = {
            EVERY_ROW: repeated.format(file, "AND order_id IS NOT NULL"),
            EVERY_ROW_AND_NULL: repeated.format(file, ""),
        }
        counts |= {name: value(f"SELECT coalesce(sum(times), 0) FROM {source}") for name, source in keys.items()}
    say(counts)


if __name__ == "__main__":
    main(sys.argv[1])
