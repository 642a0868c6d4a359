"""One command as a whole process: its time, its CPU seconds, its peak memory; it must not know what the command does.

Only the standard library is imported: the kernel counts a child's peak memory from the size of its parent.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOOK_S = 0.2  # how often the watch looks at the memory of what runs
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run may take before it is killed."""

    seconds: float = 900
    memory_bytes: int = 20 * 2**30


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: figures of the whole process, and what it printed."""

    wall_s: float
    cpu_s: float  # user and system, with children that it waited for
    peak_mb: float  # of the largest single process, in millions of bytes
    code: int
    output: str
    errors: str
    killed: str = ""  # why, if it was

    @property
    def failure(self) -> str:
        """Why the run gave no result, or nothing: the last line of what it said."""
        if self.killed:
            return self.killed
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return "" if self.code == 0 else (lines[-1] if lines else f"exit code {self.code}")


def run(command: Sequence[str], *, folder: Path, env: Mapping[str, str], limits: Limits) -> Run:
    """Run `command` in `folder` and return what it took; it is killed at the limits, with all that it started.

    Source: wait4(2). `ru_maxrss` is the largest of the process and the children that it waited for, not their sum.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=dict(env), stdout=output, stderr=errors, start_new_session=True
        )
        watch = _Watch(process.pid, limits)
        watch.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.done.set()
        watch.join()
        output.seek(0)
        errors.seek(0)
        return Run(
            wall_s=wall,
            cpu_s=usage.ru_utime + usage.ru_stime,
            peak_mb=usage.ru_maxrss * 1024 / 1e6,
            code=process.returncode,
            output=output.read().decode(errors="replace"),
            errors=errors.read().decode(errors="replace"),
            killed=watch.killed,
        )


class _Watch(threading.Thread):
    """Looks at one process group until it is done, and kills it at the limits."""

    def __init__(self, group: int, limits: Limits) -> None:
        super().__init__(daemon=True)
        self.group, self.limits = group, limits
        self.done = threading.Event()
        self.killed = ""

    def run(self) -> None:
        ends = time.monotonic() + self.limits.seconds
        while not self.done.wait(_LOOK_S):
            memory = memory_of_session(self.group)
            if memory > self.limits.memory_bytes:
                self.killed = f"killed at {self.limits.memory_bytes / 2**30:.3g} GiB"
            elif time.monotonic() > ends:
                self.killed = f"killed after {self.limits.seconds:.0f} s"
            if self.killed:
                os.killpg(self.group, signal.SIGKILL)
                return


def memory_of_session(session: int) -> int:
    """Return the resident bytes of all processes of a session, 0 where the system has no /proc."""
    total = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name of the program stands in brackets and may hold anything.
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended since
        if int(fields[3]) == session:
            total += int(fields[21]) * _PAGE
    return total
