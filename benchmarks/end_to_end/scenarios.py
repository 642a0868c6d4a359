"""What a consumer sees while a batch arrives, good or bad, and after a kill; it must not time anything."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.end_to_end.checks import MOST_TOGETHER
from benchmarks.end_to_end.data import ALSO_GOOD, BAD_EARLY, BAD_LATE, GOOD
from benchmarks.end_to_end.measure import run
from benchmarks.end_to_end.report import KILLED
from benchmarks.end_to_end.tool import HERE, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.end_to_end.data import Sources
    from benchmarks.end_to_end.measure import Command, Ran
    from benchmarks.end_to_end.tool import Shown

EVERY_S = 0.03
_TRIES = 5
_KILLED_AT = (0.4, 0.6, 0.8, 0.95)  # of the time that the same run took unharmed
_LOCKED = ("could not set lock", "conflicting lock")


@dataclass(frozen=True, slots=True)
class Seen:
    """One scenario of one tool.

    `code` is the exit code; `during` what the reader met while the run was under way, `after` what one look shows
    when it has ended. `lost_runs` were ended by DuckDB because the reader had the file open; they were repeated.
    """

    scenario: str
    code: int
    during: dict[str, Any]
    after: dict[str, Any]
    lost_runs: int = 0
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the facts for the results file."""
        return asdict(self)


def play(tool: Tool, work: Path, python: Path, sources: Sources) -> Iterator[Seen]:
    """Yield every scenario of `tool`, each from the same state in `work`: the first run's.

    A good day comes first, then from that good day each bad batch, and kills in the middle of another good day.
    """
    stage = _Stage(tool, work, python, sources)
    stage.keep("first")
    yield stage.deliver("a good day", GOOD, day=1)
    stage.restore("first")
    sources.arrive(work, GOOD)
    quiet = run(tool.next(work, python, 1))
    if quiet.code:
        return
    stage.keep("good")
    for name, batch in (("bad rows in the first table", BAD_EARLY), ("rows that only the last table shows", BAD_LATE)):
        yield stage.deliver(name, batch, day=2)
        stage.restore("good")
    for share in _KILLED_AT:
        yield stage.kill(share, quiet.wall_s)
        stage.restore("good")


def watch(command: Command, shown: Shown, python: Path) -> tuple[Ran, dict[str, Any]]:
    """Run `command` beside a reader of its own process, and return how it ended and what the reader met."""
    argv = [*_reader(python, shown), str(EVERY_S)]
    reader = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if reader.stdout is not None:
            reader.stdout.readline()
        ran = run(command)
    finally:
        told, _ = reader.communicate()
    return ran, json.loads(told)


def look(shown: Shown, python: Path) -> dict[str, Any]:
    """Return what one look at the published tables shows."""
    code = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import read; "
        "print(json.dumps(read.look(sys.argv[2], sys.argv[3], int(sys.argv[4]))))"
    )
    argv = [str(python), "-c", code, str(HERE), str(shown.file), shown.schema, str(MOST_TOGETHER)]
    found: dict[str, Any] = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    return found


def _reader(python: Path, shown: Shown) -> list[str]:
    return [str(python), str(HERE / "read.py"), str(shown.file), shown.schema, str(MOST_TOGETHER)]


@dataclass(frozen=True, slots=True)
class _Stage:
    """One tool's project, and the states that it is put back to."""

    tool: Tool
    work: Path
    python: Path
    sources: Sources

    def keep(self, state: str) -> None:
        shutil.rmtree(self._kept(state), ignore_errors=True)
        shutil.copytree(self.work, self._kept(state), symlinks=True)

    def restore(self, state: str) -> None:
        # To the same place: tools keep absolute paths of their files.
        shutil.rmtree(self.work)
        shutil.copytree(self._kept(state), self.work, symlinks=True)

    def _kept(self, state: str) -> Path:
        return self.work.with_name(f"{self.work.name}.{state}")

    def deliver(self, scenario: str, batch: str, *, day: int) -> Seen:
        """Let `batch` arrive and run the tool while somebody reads."""
        shown = self.tool.shown(self.work)
        self.keep("before")
        for lost in range(_TRIES):
            self.sources.arrive(self.work, batch)
            ran, during = watch(self.tool.next(self.work, self.python, day), shown, self.python)
            if not (ran.code and any(words in ran.output.lower() for words in _LOCKED)):
                return Seen(scenario, ran.code, during, look(shown, self.python), lost, _said(ran))
            self.restore("before")
        self.sources.arrive(self.work, batch)
        ran = run(self.tool.next(self.work, self.python, day))
        return Seen(scenario, ran.code, {}, look(shown, self.python), _TRIES, _said(ran))

    def kill(self, share: float, whole_s: float) -> Seen:
        """Kill the run of a good day, look, and see whether the next run mends it."""
        shown = self.tool.shown(self.work)
        self.sources.arrive(self.work, ALSO_GOOD)
        ran = run(self.tool.next(self.work, self.python, 2), kill_after_s=share * whole_s)
        after = look(shown, self.python)
        again = run(self.tool.next(self.work, self.python, 3))
        mended = look(shown, self.python)
        ends_well = not again.code and mended["state"] == "seen" and not (mended["bad"] or mended["mixed"])
        note = "" if ends_well else f"the next run ends with {again.code}: {again.last_line[:160]}"
        return Seen(f"{KILLED} at {share:.0%} of a good day's run", ran.code, {}, after, note=note)


def _said(ran: Ran) -> str:
    return ran.last_line[:200] if ran.code else ""
