"""Plain Dagster: assets as data frames, the DuckDB IO manager, pandera as their type, blocking asset checks."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.end_to_end.checks import CHECKS, TABLES
from benchmarks.end_to_end.measure import Command
from benchmarks.end_to_end.tool import HERE, INPUTS, Shown, files, select

if TYPE_CHECKING:
    from pathlib import Path

_RUN = """\
import sys
import dagster as dg
from definitions import defs

with dg.DagsterInstance.get() as instance:
    ran = defs.resolve_job_def("shop").execute_in_process(instance=instance, raise_on_error=False)
sys.exit(not ran.success)
"""


@dataclass(frozen=True, slots=True)
class PlainDagster:
    """One job of three assets; `executor` is `in_process` or `multiprocess` (Dagster's default)."""

    name: str
    title: str
    executor: str
    peer: str = "dagster"

    def prepare(self, work: Path) -> None:
        """Write the definitions' facts beside the code that reads them."""
        shutil.copyfile(HERE / "plain_definitions.py", work / "definitions.py")
        facts = {
            "database": str(work / "warehouse.duckdb"),
            "inputs": {name: files(work, name) for name in INPUTS},
            "tables": {table: select(table) for table in TABLES},
            "checks": [{"table": c.table, "kind": c.kind, "columns": c.columns, "args": dict(c.args)} for c in CHECKS],
        }
        (work / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        (work / "run.py").write_text(_RUN, encoding="utf-8")
        (work / ".dagster").mkdir()
        (work / ".dagster" / "dagster.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")

    def first(self, work: Path, python: Path) -> Command:
        """Execute the job."""
        in_process = [str(python), "run.py"]
        job = [str(python.parent / "dagster"), "job", "execute", "-f", "definitions.py", "-j", "shop"]
        env = {"DAGSTER_HOME": str(work / ".dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
        return Command(in_process if self.executor == "in_process" else job, work, env)

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Execute it again."""
        del day
        return self.first(work, python)

    def shown(self, work: Path) -> Shown:
        """The database behind the IO manager."""
        return Shown(work / "warehouse.duckdb", "public")
