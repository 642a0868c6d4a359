"""Our own project, as the folder `ours/` has it: by the command line, and as jobs in Dagster."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.end_to_end.measure import Command
from benchmarks.end_to_end.tool import OURS, Shown

if TYPE_CHECKING:
    from pathlib import Path

_JOBS = """\
import os, sys, runpy, warnings
import dagster as dg

defs = runpy.run_path("assets/shop/definitions.py")["defs"]
quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
with dg.DagsterInstance.get() as instance:
    for job in ("shop__tills", "shop__baskets"):
        ran = defs.resolve_job_def(job).execute_in_process(instance=instance, run_config=quiet, raise_on_error=False)
        if not ran.success:
            sys.exit(1)
"""
# What the command line writes to a home that has no settings, and what the reference project has in `resources/`.
_SETTINGS = """\
telemetry:
  enabled: false
event_log_storage:
  module: dataproducts.compile.event_log
  class: EventLog
run_storage:
  module: dataproducts.compile.event_log
  class: RunLog
schedule_storage:
  module: dataproducts.compile.event_log
  class: Ticks
compute_logs:
  module: dataproducts.compile.step_output
  class: StepOutput
"""


def copy_project(work: Path) -> None:
    """Copy the project of `ours/` into `work`."""
    shutil.copytree(OURS, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _environment(work: Path) -> dict[str, str]:
    return {"DAGSTER_HOME": str(work / ".dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes", "COLUMNS": "120"}


@dataclass(frozen=True, slots=True)
class Build:
    """`dataproducts build`."""

    name: str = "ours"
    title: str = "ours, `dataproducts build`"
    peer: str = ""

    def prepare(self, work: Path) -> None:
        """Copy the project."""
        copy_project(work)

    def first(self, work: Path, python: Path) -> Command:
        """Build both products."""
        return Command([str(python.parent / "dataproducts"), "build"], work, _environment(work))

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Build again: the changed source file is noticed by itself."""
        del day
        return self.first(work, python)

    def shown(self, work: Path) -> Shown:
        """The serving file of the product with the three tables."""
        return Shown(work / ".dataproducts" / "serve" / "shop.baskets.duckdb", "published")


@dataclass(frozen=True, slots=True)
class Job:
    """The jobs that our products become in Dagster, one after the other in one process."""

    name: str = "ours-dagster"
    title: str = "ours, the jobs in Dagster"
    peer: str = ""

    def prepare(self, work: Path) -> None:
        """Copy the project, and write the few lines that run its jobs."""
        copy_project(work)
        (work / ".dagster").mkdir()
        (work / ".dagster" / "dagster.yaml").write_text(_SETTINGS, encoding="utf-8")
        (work / "run_jobs.py").write_text(_JOBS, encoding="utf-8")

    def first(self, work: Path, python: Path) -> Command:
        """Run both jobs."""
        return Command([str(python), "run_jobs.py"], work, _environment(work))

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Run both jobs again."""
        del day
        return self.first(work, python)

    def shown(self, work: Path) -> Shown:
        """The serving file of the product with the three tables."""
        return Build().shown(work)
