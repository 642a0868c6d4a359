"""Where our own build spends its time, first run and next run; it must not run any peer."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from benchmarks.end_to_end.data import GOOD
from benchmarks.end_to_end.measure import Command, run
from benchmarks.end_to_end.peers.ours import Build
from benchmarks.end_to_end.tool import HERE

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.end_to_end.data import Sources

_DETAILS = 40
_PACKAGES = 15
_IMPORT_LINE = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \| *([\w.]+)")


def profile(work: Path, python: Path, sources: Sources) -> dict[str, Any]:
    """Return the seconds of a first and a next run by kind of work, and what imports cost by package.

    Units: seconds of wall time. `start_and_exit` is what the process takes around the code that is watched.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tool = Build()
    tool.prepare(work)
    sources.start(work)
    found: dict[str, Any] = {"first": _watched(tool, work, python)}
    sources.arrive(work, GOOD)
    found["next"] = _watched(tool, work, python)
    found["imports"] = _imports(tool, work, python)
    return found


def _watched(tool: Build, work: Path, python: Path) -> dict[str, Any]:
    told = work / "profile.json"
    env = tool.first(work, python).env
    ran = run(Command([str(python), str(HERE / "ours_under_watch.py"), str(told), "build"], work, env))
    facts = json.loads(told.read_text(encoding="utf-8"))
    kinds = {**facts["kinds"], "start and exit": ran.wall_s - facts["watched_s"]}
    details = Counter(facts["details"]).most_common(_DETAILS)
    return {
        "code": ran.code,
        "wall_s": round(ran.wall_s, 3),
        "cpu_s": round(ran.cpu_s, 3),
        "kinds": {name: round(s, 3) for name, s in sorted(kinds.items(), key=lambda item: -item[1])},
        "details": {name: round(s, 3) for name, s in details},
    }


def _imports(tool: Build, work: Path, python: Path) -> dict[str, float]:
    """Return the seconds that each package's own modules take to import, by `-X importtime`, largest first."""
    force = Command(
        [str(python), "-X", "importtime", "-c", "from dataproducts.cli import main; main(['build', '--force'])"],
        work,
        tool.first(work, python).env,
    )
    # All of it: the lines of the imports stand at the beginning, the output of the build behind them.
    ran = run(force, keep=10_000_000)
    own: Counter[str] = Counter()
    for line in ran.output.splitlines():
        if match := _IMPORT_LINE.match(line):
            own[match[3].split(".")[0]] += int(match[1])
    return {name: round(us / 1e6, 3) for name, us in own.most_common(_PACKAGES)}
