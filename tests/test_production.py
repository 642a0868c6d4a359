"""The production guide, typed in: a host's processes, killed in the middle of a run; its data, lost and restored."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.deployment import HELD, HOLD, PRODUCTION, Deployment, on_a_host, until
from tests.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS = "shop/orders"
SOURCE = "data/orders.csv"
RESUMED = "dagster/is_resume_retry"


@pytest.fixture
def host() -> Iterator[Deployment]:
    """Return a host with the project on it, and nothing else yet."""
    with on_a_host() as made:
        yield made


def test_the_guide_survives_kills_and_a_restore(host: Deployment) -> None:
    """What was killed in the middle of a scheduled run goes on by itself; what was lost is restored whole."""
    host.follow("Install")
    settings = host.root / "var/lib/dataproducts/dagster/dagster.yaml"
    hurried = settings.read_text(encoding="utf-8").replace("poll_interval_seconds: 30", "poll_interval_seconds: 2")
    settings.write_text(hurried, encoding="utf-8")
    host.follow("First start")
    lost = kill_in_the_middle(host)
    goes_on(host, lost)
    until("all that watches is alive", lambda: host.shell("dataproducts watchdog --daemon").returncode == 0)
    before = host.head(ORDERS)
    assert "dataproducts.dump" in host.follow("Back up")
    lose_and_restore(host, before)


def kill_in_the_middle(host: Deployment) -> str:
    """Kill everything while a scheduled run is in its transform, start it again, and return the run's id."""
    (host.project / HOLD).touch()
    until("a scheduled run", (host.project / HELD).exists, said=host.said)
    before = host.head(ORDERS)
    (run,) = [run for run in host.runs() if run["status"] == "STARTED"]
    assert "shop__orders__schedule" == run["tags"]["dagster/schedule_name"]
    pools = host.ask("{instance{concurrencyLimits{concurrencyKey slotCount}}}")["instance"]["concurrencyLimits"]
    assert [{"concurrencyKey": "shop__orders", "slotCount": 1}] == pools
    host.kill()
    (host.project / HOLD).unlink()
    assert before == host.head(ORDERS)
    assert "every file is what was released" in host.type_in("dataproducts verify")
    host.start("dataproducts.target")
    return str(run["runId"])


def goes_on(host: Deployment, lost: str) -> None:
    """The run that died is marked as failed and resumed, which releases it; the next tick releases too."""
    until("the dead run is marked", lambda: host.run(lost)["status"] == "FAILURE", said=host.said)
    until("its refresh is released", lambda: lost in host.refreshes(ORDERS), said=host.said)
    (again,) = [run for run in host.runs() if run["tags"].get("dagster/parent_run_id") == lost]
    assert "true" == again["tags"][RESUMED]
    # The pool of the product has one place: had the dead run kept it, no other would ever be started.
    known = {run["runId"] for run in host.runs()}
    later = until(
        "the next tick is released",
        lambda: [r for r in host.runs() if r["runId"] not in known and r["runId"] in host.refreshes(ORDERS)],
        said=host.said,
    )
    assert "shop__orders__schedule" == later[0]["tags"]["dagster/schedule_name"]


def lose_and_restore(host: Deployment, before: int) -> None:
    """Lose store and databases, restore what was backed up with release `before` or later, and release again."""
    host.stop("dataproducts.target")
    shutil.rmtree(host.root / "var/lib/dataproducts/store")
    assert "every file is what was released" in host.follow("Restore")
    assert before <= host.head(ORDERS)
    assert [(2, 21.5)] == host.served(ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    with (host.project / SOURCE).open("a", encoding="utf-8") as source:
        source.write("3,8.50\n")
    run = until("a run can be started", lambda: host.launch("shop", "shop__orders"))
    until("it is released", lambda: run in host.refreshes(ORDERS), said=host.said)
    until("it is served", lambda: host.run(run)["status"] == "SUCCESS", said=host.said)
    assert [(3, 30.0)] == host.served(ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    assert "every file is what was released" in host.type_in("dataproducts verify")


def test_a_full_disk_is_freed_by_the_timer(host: Deployment) -> None:
    """A full disk refuses the refresh and keeps the release; what the hourly unit does lets the next one pass."""
    disk = host.root / "var/lib/dataproducts"
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    try:
        host.follow("Install")
        for line in ("createdb dataproducts", "createdb dagster", "dataproducts migrate", "dataproducts build shop"):
            host.type_in(line)
        host.age("3 days")
        fill(disk / "store/data/shop/orders/orders/left/left.parquet")
        with (host.project / SOURCE).open("a", encoding="utf-8") as source:
            source.write("3,8.50\n")
        refused = host.shell("dataproducts build shop")
        assert (1, 1) == (refused.returncode, host.head(ORDERS)), refused.stdout + refused.stderr
        assert [(2,)] == host.served(ORDERS, "SELECT count(*) FROM published.orders")
        host.type_in("systemctl start dataproducts-gc.service")
        host.type_in("dataproducts build shop")
        assert [(3,)] == host.served(ORDERS, "SELECT count(*) FROM published.orders")
    finally:
        subprocess.run(["umount", "-l", str(disk)], capture_output=True, check=False)


def fill(path: Path) -> None:
    """Fill the disk to its last byte with a file that nobody knows, as a killed process leaves one, two days ago."""
    path.parent.mkdir(parents=True)
    with suppress(OSError), path.open("wb", buffering=0) as left:
        while left.write(b"\0" * 4096):
            pass
    long_ago = time.time() - 2 * 86_400
    os.utime(path, (long_ago, long_ago))


def test_every_domain_has_its_code_server() -> None:
    """The domains of assets/ are those of the workspace, of the target, and of the workspace of development."""
    domains = {path.parent.name for path in (ROOT / "assets").glob("*/definitions.py")}
    servers = yaml.safe_load((PRODUCTION / "workspace.yaml").read_text(encoding="utf-8"))["load_from"]
    named = {one["grpc_server"]["location_name"]: one["grpc_server"]["socket"] for one in servers}
    assert {domain: f"/run/dataproducts/{domain}/code.sock" for domain in domains} == named
    target = (PRODUCTION / "systemd/dataproducts.target").read_text(encoding="utf-8")
    assert all(f"dataproducts-code@{domain}.service" in target for domain in domains)


def test_the_units_are_sound(tmp_path: Path) -> None:
    """The analyser of systemd finds nothing wrong with any unit, once the programs that they name are there."""
    analyse = shutil.which("systemd-analyze")
    if not analyse:
        pytest.skip("systemd-analyze is not installed")
    for path in sorted((PRODUCTION / "systemd").iterdir()):
        text = path.read_text(encoding="utf-8").replace("/srv/dataproducts/.venv", sys.prefix)
        name = path.name.replace("@.", "@retail.")
        (tmp_path / path.name).write_text(text.replace("/srv/dataproducts", str(ROOT)), encoding="utf-8")
        if name != path.name:
            (tmp_path / name).write_text((tmp_path / path.name).read_text(encoding="utf-8"), encoding="utf-8")
    units = sorted(str(path) for path in tmp_path.iterdir() if "@." not in path.name)
    ran = subprocess.run([analyse, "verify", "--man=no", *units], capture_output=True, text=True, check=False)
    assert (0, "") == (ran.returncode, _ours(ran.stderr, tmp_path))


def _ours(said: str, folder: Path) -> str:
    """Return the lines that are about the units of `folder`, not about others of this host."""
    return "\n".join(line for line in said.splitlines() if str(folder) in line or "dataproducts" in line)
