"""Whether a run still has a process: of its own host it is looked for, elsewhere its code server is asked."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from dataproducts.compile.launcher import Launcher, is_local, is_running
from dataproducts.compile.runs import HOST_TAG
from tests.deployment import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """
telemetry: {enabled: false}
run_launcher: {module: dataproducts.compile.launcher, class: Launcher}
run_monitoring: {enabled: true}
"""
LOCAL = {"host": "localhost", "socket": "/run/dataproducts/shop/code.sock"}


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def empty() -> None:
    """Do nothing."""
    nothing()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Return an instance that monitors runs with the launcher."""
    (tmp_path / "dagster.yaml").write_text(SETTINGS, encoding="utf-8")
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(tmp_path))) as opened:
        yield opened


def begun(
    instance: dg.DagsterInstance, server: dict[str, object] | None, pid: int | None = None, *, host: str = ""
) -> dg.DagsterRun:
    """Return a run that is started in process `pid`: by a code server at `server`, or by a command on `host`."""
    tags = {GRPC_INFO_TAG: json.dumps(server)} if server else {HOST_TAG: host}
    run = instance.create_run_for_job(empty, tags=tags, status=dg.DagsterRunStatus.STARTED)
    if pid is not None:
        said = f"Started process for run (pid: {pid})."
        instance.report_engine_event(said, run, EngineEventData.in_process(pid))
    return run


def health(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[WorkerStatus, str]:
    """Return what the launcher of `instance` says of `run`."""
    launcher = instance.run_launcher
    assert isinstance(launcher, Launcher)
    assert launcher.supports_check_run_worker_health
    found = launcher.check_run_worker_health(run)
    return found.status, found.msg or ""


def ended() -> int:
    """Return the id of a process that is gone."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_process_that_is_there(instance: dg.DagsterInstance) -> None:
    """A run whose process lives is running, and one whose process is gone has failed."""
    assert (WorkerStatus.RUNNING, "") == health(instance, begun(instance, LOCAL, os.getpid()))
    gone = ended()
    assert (WorkerStatus.FAILED, f"its process {gone} is gone") == health(instance, begun(instance, LOCAL, gone))


def test_a_run_that_was_resumed(instance: dg.DagsterInstance) -> None:
    """The process that was reported last is the one that counts."""
    run = begun(instance, LOCAL, ended())
    instance.report_engine_event("Started process for run (pid: …).", run, EngineEventData.in_process(os.getpid()))
    assert WorkerStatus.RUNNING is health(instance, run)[0]


def test_no_code_server_launched_it(instance: dg.DagsterInstance) -> None:
    """Of a command on this host the process is looked for; one elsewhere, or of which nothing is known, is let be."""
    here = socket.gethostname()
    assert WorkerStatus.RUNNING is health(instance, begun(instance, None, os.getpid(), host=here))[0]
    assert WorkerStatus.FAILED is health(instance, begun(instance, None, ended(), host=here))[0]
    assert WorkerStatus.RUNNING is health(instance, begun(instance, None, ended(), host="elsewhere"))[0]
    assert WorkerStatus.RUNNING is health(instance, begun(instance, None, host=here))[0]


def test_a_code_server_that_does_not_answer(instance: dg.DagsterInstance) -> None:
    """Without an answer nothing is known, so the run is left alone; its own time limit still ends it."""
    found = health(instance, begun(instance, {"host": "localhost", "port": free_port()}))
    assert (WorkerStatus.RUNNING, "its code server does not answer") == found


def test_a_process_of_the_same_number() -> None:
    """A process that began after the report is another one with its number, and a zombie is no process."""
    now = time.time()
    assert is_running(os.getpid(), now)
    assert not is_running(os.getpid(), now - 86_400 * 365)
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    assert not is_running(zombie.pid, now)
    zombie.wait()


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({"socket": "/run/x.sock", "host": "localhost"}, True),
        ({"host": "127.0.0.1", "port": 4001}, True),
        ({"port": 4001}, True),
        ({"host": "code.example.com", "port": 4001}, False),
    ],
)
def test_where_a_code_server_is(server: dict[str, object], expected: bool) -> None:  # noqa: FBT001 - a parameter
    """A socket and a loopback address are of this host, any other name is not."""
    assert expected is is_local(server)


def test_a_pool_a_product() -> None:
    """Every asset of a product is in the pool of its job, so that runs of one product wait for each other."""
    import resources
    from dataproducts.compile import compile_domain
    from tests.pages import ROOT

    defs = compile_domain(ROOT / "assets/marketing", environment=resources.for_environment("dev"))
    graph = defs.resolve_asset_graph()
    pools = {
        (key.path[0], key.path[1], pool) for key in graph.executable_asset_keys for pool in graph.get(key).pools or ()
    }
    assert pools == {(domain, name, f"{domain}__{name}") for domain, name, _ in pools}
    assert {key.path[1] for key in graph.executable_asset_keys} == {name for _, name, _ in pools}
