"""Dagster's run launcher, which also tells whether a run still has a process; it must not know what runs compute.

Dagster 1.13's own does not tell. A run whose code server was killed with it stays "started" for ever: it takes a place
in the queue and the pool of its product, and everything behind it waits. With `run_monitoring`, Dagster's daemon asks
this one, marks such a run as failed, and `run_retries` goes on with it.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from dataproducts.compile.runs import HOST_TAG

if TYPE_CHECKING:
    from collections.abc import Mapping

    import dagster as dg

# How Dagster begins the messages of events that name the process of a run: a code server's, and one of its own.
_STARTED = ("Started process for run", "Executing steps in process")
_UNKNOWN = "nobody knows its process"
_CLOCKS_DIFFER_S = 5.0  # what a start may seem to come after the event that reports it


class Launcher(DefaultRunLauncher):
    """Launcher for `run_launcher` in `dagster.yaml`: runs are started by code servers, and watched.

    Where the code server is on this host, or `dataproducts build` was, the run's process is looked for. Elsewhere its
    code server is asked; one that was told to reload while the run was under way no longer knows it: restart those
    instead, when they are idle.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether `run_monitoring` may ask: yes."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Return whether the process of `run` is there; one that cannot be asked about counts as there."""
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        here = is_local(server) if server else run.tags.get(HOST_TAG) == socket.gethostname()
        found = self._process(run) if here else None
        if found is None:
            return _asked(server, run.run_id) if server else CheckRunHealthResult(WorkerStatus.RUNNING, _UNKNOWN)
        pid, reported_at = found
        if is_running(pid, reported_at):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its process {pid} is gone")

    def _process(self, run: dg.DagsterRun) -> tuple[int, float] | None:
        """The process of `run` and when it was reported, in seconds since 1970; None if it never was."""
        records = self._instance.get_records_for_run(run.run_id, of_type=DagsterEventType.ENGINE_EVENT).records
        for record in reversed(records):
            event = record.event_log_entry.dagster_event
            if event is not None and (event.message or "").startswith(_STARTED):
                pid = event.engine_event_data.metadata.get("pid")
                if pid is not None:
                    return int(str(pid.value)), record.event_log_entry.timestamp
        return None


def is_local(server: Mapping[str, Any]) -> bool:
    """Return whether the code server at this `host` or `socket` is on this host."""
    host = str(server.get("host") or "localhost")
    return bool(server.get("socket")) or host in {"localhost", "127.0.0.1", "::1", socket.gethostname()}


def is_running(pid: int, reported_at: float) -> bool:
    """Return whether process `pid` is there and is the one that was there at `reported_at`, in seconds since 1970."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's: code servers may have users of their own
        pass
    try:
        said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        booted = Path("/proc/stat").read_text(encoding="utf-8").partition("btime ")[2].split()[0]
    except OSError:  # a system without them: that there is such a process has to do
        return True
    state, started = said[0], int(booted) + int(said[19]) / os.sysconf("SC_CLK_TCK")
    return state not in {"Z", "X"} and started <= reported_at + _CLOCKS_DIFFER_S


def _asked(server: Mapping[str, Any], run_id: str) -> CheckRunHealthResult:
    client = DagsterGrpcClient(
        host=str(server.get("host") or "localhost"),
        port=server.get("port"),
        socket=server.get("socket"),
        use_ssl=bool(server.get("use_ssl")),
    )
    try:
        said = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run_id))
    except DagsterUserCodeUnreachableError:
        return CheckRunHealthResult(WorkerStatus.RUNNING, "its code server does not answer")
    if deserialize_value(said, CanCancelExecutionResult).can_cancel:
        return CheckRunHealthResult(WorkerStatus.RUNNING)
    return CheckRunHealthResult(WorkerStatus.FAILED, "its code server does not run it")
