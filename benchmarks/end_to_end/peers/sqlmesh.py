"""SQLMesh: models with audits; a first `plan`, then a `run` a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.end_to_end.checks import TABLES, Check, of_table
from benchmarks.end_to_end.measure import Command
from benchmarks.end_to_end.tool import INPUTS, Shown, files, renamed, select
from dataproducts.sql import literal

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
gateways:
  local:
    connection:
      type: duckdb
      database: {file}
default_gateway: local
model_defaults: {{dialect: duckdb, start: 2017-12-01, cron: '@daily'}}
disable_anonymized_analytics: true
"""

# `run` makes what a day that has passed since makes due. The clock is moved by the package with which SQLMesh's own
# tests move it, and which it requires; nothing else is different from typing `sqlmesh` at noon of that day.
_AT = """\
import sys
from datetime import datetime, timezone

import time_machine
from sqlmesh.cli.main import cli

with time_machine.travel(datetime.fromisoformat(sys.argv.pop(1)).replace(tzinfo=timezone.utc), tick=True):
    cli()
"""

_ORPHANS = """\
AUDIT (name orphans);
SELECT here.* FROM @this_model AS here
WHERE here.@column IS NOT NULL AND NOT EXISTS (SELECT 1 FROM @there AS other WHERE other.@key = here.@column)
"""
_ROWS = """\
AUDIT (name enough_rows);
SELECT * FROM (SELECT count(*) AS rows_found FROM @this_model) AS counted WHERE rows_found < @least
"""


@dataclass(frozen=True, slots=True)
class SqlMesh:
    """`sqlmesh plan --auto-apply`, then `sqlmesh run`."""

    name: str = "sqlmesh"
    title: str = "SQLMesh, first `plan`, then `run`"
    peer: str = "sqlmesh"

    def prepare(self, work: Path) -> None:
        """Write the configuration, a model a table with its audits, and the audits that SQLMesh lacks."""
        for folder in ("models", "audits"):
            (work / folder).mkdir()
        (work / "config.yaml").write_text(_CONFIG.format(file=work / "warehouse.duckdb"), encoding="utf-8")
        (work / "at.py").write_text(_AT, encoding="utf-8")
        (work / "audits" / "orphans.sql").write_text(_ORPHANS, encoding="utf-8")
        (work / "audits" / "enough_rows.sql").write_text(_ROWS, encoding="utf-8")
        for name in INPUTS:
            sql = f"SELECT * FROM read_parquet({literal(files(work, name))})"
            (work / "models" / f"{name}.sql").write_text(
                f"MODEL (name shop.{name}, kind VIEW);\n{sql}\n", encoding="utf-8"
            )
        for table in TABLES:
            audits = ",\n  ".join(_audits(table))
            head = f"MODEL (\n  name shop.{table},\n  kind FULL,\n  audits (\n  {audits}\n  )\n);\n"
            body = renamed(select(table), lambda name: f"shop.{name}")
            (work / "models" / f"{table}.sql").write_text(f"{head}\n{body}\n", encoding="utf-8")

    def first(self, work: Path, python: Path) -> Command:
        """Plan and apply the whole project in production."""
        return _command(work, python, 0, "plan", "--auto-apply", "--no-prompts")

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Run what became due with the day."""
        return _command(work, python, day, "run")

    def shown(self, work: Path) -> Shown:
        """The views of production."""
        return Shown(work / "warehouse.duckdb", "shop")


def _command(work: Path, python: Path, day: int, *words: str) -> Command:
    argv = [str(python), "at.py", f"2026-01-{1 + day:02}T12:00:00", *words]
    return Command(argv, work, {"SQLMESH__DISABLE_ANONYMIZED_ANALYTICS": "1"})


def _audits(table: str) -> list[str]:
    found = [_audit(check) for check in of_table(table) if check.kind != "not_null"]
    required = [check.column for check in of_table(table) if check.kind == "not_null"]
    # One audit a check, as in every other tool.
    return [*(f"not_null(columns := ({column},))" for column in required), *found]


def _audit(check: Check) -> str:
    match check.kind:
        case "unique" if len(check.columns) == 1:
            return f"unique_values(columns := ({check.column},))"
        case "unique":
            return f"unique_combination_of_columns(columns := ({', '.join(check.columns)}))"
        case "between":
            return (
                f"accepted_range(column := {check.column}, min_v := {check.args['low']}, max_v := {check.args['high']})"
            )
        case "one_of":
            listed = ", ".join(map(literal, check.args["values"]))
            return f"accepted_values(column := {check.column}, is_in := ({listed}))"
        case "references":
            return (
                f"orphans(column := {check.column}, there := shop.{check.args['table']}, key := {check.args['column']})"
            )
    return f"enough_rows(least := {check.args['least']})"
