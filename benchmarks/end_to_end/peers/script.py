"""The floor: one DuckDB script, with or without a transaction around it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.end_to_end.checks import TABLES, aggregate, of_table, orphans
from benchmarks.end_to_end.measure import Command
from benchmarks.end_to_end.tool import HERE, INPUTS, Shown, files, select
from dataproducts.sql import literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Script:
    """A hand-written script; `transaction` is `one` around everything, or `none`."""

    name: str
    title: str
    transaction: str
    peer: str = ""

    def prepare(self, work: Path) -> None:
        """Write the statements; the sources are temporary views on their files."""
        views = [
            f"CREATE OR REPLACE TEMP VIEW {name} AS FROM read_parquet({literal(files(work, name))})" for name in INPUTS
        ]
        steps = []
        for table in TABLES:
            checks = of_table(table)
            counts = ", ".join(aggregate(check) for check in checks if check.kind != "references")
            steps.append(
                {
                    "table": table,
                    "make": [*views, f"CREATE OR REPLACE TABLE {table} AS {select(table)}"],
                    "checks": [
                        f"SELECT {counts} FROM {table}",
                        *(orphans(check) for check in checks if check.kind == "references"),
                    ],
                }
            )
            views = []
        (work / "statements.json").write_text(json.dumps(steps), encoding="utf-8")

    def first(self, work: Path, python: Path) -> Command:
        """Run the script; it makes everything anew each time."""
        argv = [str(python), str(HERE / "floor.py"), "statements.json", "warehouse.duckdb", self.transaction]
        return Command(argv, work, {})

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Run the same script again."""
        del day
        return self.first(work, python)

    def shown(self, work: Path) -> Shown:
        """The script's own database."""
        return Shown(work / "warehouse.duckdb", "main")
