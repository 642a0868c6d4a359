"""What a whole process took: wall time, CPU seconds and peak memory; it must not know what the process did."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import resource
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_LAST = 20_000  # characters of output that are kept
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class Command:
    """A process to start: its words, the folder it starts in, and what is added to the environment."""

    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a process ended: seconds, CPU seconds of it and all that it waited for, peak megabytes, code, output."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    code: int
    output: str

    @property
    def last_line(self) -> str:
        """The last line that says something."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        return lines[-1] if lines else f"no output, exit code {self.code}"


def run(command: Command, *, kill_after_s: float | None = None, keep: int = _LAST) -> Ran:
    """Run `command` to its end, or kill its whole process group (`kill -9`) after `kill_after_s`.

    The last `keep` characters of its output are returned.

    Units: seconds; megabytes of 2**20 bytes; the peak is that of the largest single process, as wait4 gives it.
    """
    # A file and not a pipe: a full pipe would stop the process, and reading it would cost this one time.
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv,
            cwd=command.cwd,
            env={**os.environ, **command.env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        status, usage = _end(process, kill_after_s)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode(errors="replace")[-keep:]
    return Ran(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, process.returncode, text)


def _end(process: subprocess.Popen[bytes], kill_after_s: float | None) -> tuple[int, resource.struct_rusage]:
    """Wait for the end of `process`, or bring it about; nothing of its group outlives an interrupt of this one."""
    try:
        if kill_after_s is not None:
            # Seen and not reaped, so that what it took can still be asked for.
            deadline = time.perf_counter() + kill_after_s
            while not os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if time.perf_counter() >= deadline:
                    os.killpg(process.pid, signal.SIGKILL)
                    break
                time.sleep(_POLL_S)
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return status, usage
