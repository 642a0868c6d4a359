"""What steps print is kept for Dagster and shown at once, without further processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import dagster as dg
import pytest

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """\
telemetry: {enabled: false}
compute_logs: {module: dataproducts.compile.step_output, class: StepOutput}
"""
RUN = """\
import os, subprocess, sys
from pathlib import Path
import dagster as dg

@dg.asset
def talks():
    assert Path(f"/proc/self/task/{os.getpid()}/children").read_text() == ""
    print("in Python: ä")
    sys.stdout.flush()
    assert sys.stdin.readline() == "seen\\n"
    subprocess.run(["echo", "from a process"], check=True)
    sys.stderr.write("no end of line")

quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
with dg.DagsterInstance.get() as instance:
    run = dg.materialize([talks], instance=instance, run_config=quiet, raise_on_error=False)
print(run.run_id, run.success)
"""


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    """Return a home of Dagster with these settings."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONUTF8", "1")
    (tmp_path / "dagster.yaml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def talking(**pipes: int) -> subprocess.Popen[str]:
    """Start a run whose step prints and waits until somebody has seen it."""
    return subprocess.Popen([sys.executable, "-c", RUN], stdin=subprocess.PIPE, text=True, encoding="utf-8", **pipes)


def kept(run_id: str) -> tuple[str, str]:
    """Return what Dagster's UI shows of the run's streams."""
    with dg.DagsterInstance.get() as instance:
        (key,) = [
            log.dagster_event.logs_captured_data.file_key
            for log in instance.all_logs(run_id)
            if log.is_dagster_event and log.dagster_event.event_type_value == "LOGS_CAPTURED"
        ]
        logs = instance.compute_log_manager
        found = logs.get_log_data([run_id, "compute_logs", key])
        assert logs.is_capture_complete([run_id, "compute_logs", key])
    return (found.stdout or b"").decode(), (found.stderr or b"").decode()


def test_what_a_step_prints_is_shown_while_it_runs_and_kept(home):
    """The step goes on only when its first line was seen; what a process of its own prints is there as well."""
    process = talking(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == "in Python: ä\n"
    said, errors = process.communicate("seen\n", timeout=60)
    first, last = said.splitlines()
    run_id, success = last.split()
    assert (first, success, errors) == ("from a process", "True", "no end of line")
    assert kept(run_id) == ("in Python: ä\nfrom a process\n", "no end of line")
    assert {path.suffix for path in (home / "storage").rglob(f"{run_id}/**/*") if path.is_file()} == {
        ".out",
        ".err",
        ".complete",
    }


def test_nobody_looks_at_what_is_printed(home):
    """The reader of both streams is gone: the step goes on, and what it printed is kept."""
    reading, writing = os.pipe()
    process = talking(stdout=writing, stderr=writing)
    os.close(writing)
    os.close(reading)
    process.communicate("seen\n", timeout=60)
    (told,) = (home / "storage").rglob("*.out")
    assert told.read_text(encoding="utf-8") == "in Python: ä\nfrom a process\n"


def test_files_lie_where_the_settings_say(home, tmp_path):
    """With `base_dir` there, without it where Dagster's own would be."""
    with dg.DagsterInstance.get() as instance:
        own = instance.compute_log_manager.get_captured_local_path(["run", "key"], "out")
    settings = SETTINGS.replace("StepOutput}", f"StepOutput, config: {{base_dir: {tmp_path / 'other'}}}}}")
    (home / "dagster.yaml").write_text(settings, encoding="utf-8")
    with dg.DagsterInstance.get() as instance:
        other = instance.compute_log_manager.get_captured_local_path(["run", "key"], "out")
    assert (own, other) == (str(home / "storage" / "run" / "key.out"), str(home / "other" / "run" / "key.out"))


def test_a_stream_that_is_no_file(home, monkeypatch):
    """A notebook's or a test's stream has no descriptor: the run succeeds, and nothing is redirected."""

    class Stream:
        """A stream that only writes."""

        def __init__(self) -> None:
            self.said = ""

        def write(self, text: str) -> int:
            self.said += text
            return len(text)

        def flush(self) -> None:
            pass

    stream = Stream()
    monkeypatch.setattr(sys, "stdout", stream)

    @dg.asset
    def talks() -> None:
        print("aloud")

    with dg.DagsterInstance.get() as instance:
        assert dg.materialize([talks], instance=instance).success
    assert stream.said == "aloud\n"
