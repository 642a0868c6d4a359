"""The floor: what the work costs in one hand-written DuckDB script, with its checks, and nothing around it.

Usage: `python floor.py STATEMENTS FILE one|none`: JSON of statements, the DuckDB file, and whether all is done in one
transaction. Exit code 1 if a check fails: the transaction is then rolled back, where there is one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb


def main(statements: Path, file: str, transaction: str) -> int:
    """Make each table and count what its checks reject; stop at the first table that fails."""
    with duckdb.connect(file) as con:
        if transaction == "one":
            con.execute("BEGIN")
        for step in json.loads(statements.read_text(encoding="utf-8")):
            for statement in step["make"]:
                con.execute(statement)
            rejected = [count for sql in step["checks"] for count in con.execute(sql).fetchall()[0]]
            if any(rejected):
                print(f"{step['table']}: rows rejected by each check: {rejected}")
                if transaction == "one":
                    con.execute("ROLLBACK")
                return 1
            print(f"{step['table']}: {len(rejected)} checks hold")
        if transaction == "one":
            con.execute("COMMIT")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
