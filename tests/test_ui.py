"""`dagster dev` as people use it: a real web server and daemon, looked at in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dataproducts.warehouse import Warehouse
from tests.shop import edit, environment, make_shop

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN = Path(sys.executable).parent
DEFINITIONS = """
from datetime import UTC, datetime
from pathlib import Path

from dataproducts import Environment
from dataproducts.compile import compile_domain

root = Path(__file__).parents[2]
wiring = Environment("test", root, root / ".dataproducts", clock=datetime(2024, 1, 11, 6, tzinfo=UTC))
defs = compile_domain(Path(__file__).parent, environment=wiring)
"""
WORKSPACE = """
load_from:
  - python_file: {relative_path: assets/shop/definitions.py, location_name: shop, working_directory: .}
  - python_file: {relative_path: assets/growth/definitions.py, location_name: growth, working_directory: .}
"""
BACKFILL = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
STATUS = "query($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"


class Server:
    """A running `dagster dev` and how to ask it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Send a GraphQL query and return its data."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
        assert "errors" not in found, found["errors"]
        return dict(found["data"])


def make_project(root: Path) -> Path:
    """Write a project of two domains, of which the second has a fault."""
    make_shop(root, revenue_domain="growth")
    for domain in ("shop", "growth"):
        (root / "assets" / domain / "definitions.py").write_text(DEFINITIONS, encoding="utf-8")
    (root / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    edit(root / "assets/growth/revenue/product.yaml", "purpose: Revenue", "purpos: Revenue")
    return root


@contextmanager
def dagster_dev(root: Path, home: Path) -> Iterator[Server]:
    """Run `dagster dev` on a free port of loopback until the block ends."""
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n", encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (home / "dev.log").open("wb")
    process = subprocess.Popen(
        [BIN / "dagster", "dev", "--workspace", "workspace.yaml", "--host", "127.0.0.1", "--port", str(port)],
        cwd=root,
        env={**os.environ, "DAGSTER_HOME": str(home)},
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    server = Server(f"http://127.0.0.1:{port}")
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{server.url}/server_info", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (home / "dev.log").read_text()
                time.sleep(0.5)
        yield server
    finally:
        stop(process)
        log.close()


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and everything that it started."""
    children = subprocess.run(
        ["pgrep", "-s", str(process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        try:
            os.kill(int(child), signal.SIGKILL)
        except ProcessLookupError:
            continue


@contextmanager
def browser() -> Iterator[Any]:
    """Yield a page of headless Chromium."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    with playwright.sync_playwright() as engine:
        running = engine.chromium.launch(executable_path=chromium, args=arguments)
        yield running.new_page(viewport={"width": 1400, "height": 900})
        running.close()


@pytest.mark.browser
def test_the_ui_shows_a_good_domain_beside_a_broken_one(tmp_path: Path) -> None:
    """Release and checks of the good domain are there, the broken one says what is wrong, a backfill releases once."""
    root = make_project(tmp_path / "project")
    home = tmp_path / "dagster"
    with dagster_dev(root, home) as server:
        backfill(server, root)
        with browser() as page:
            page.goto(f"{server.url}/locations", wait_until="domcontentloaded")
            page.get_by_text("Loaded", exact=True).first.wait_for(timeout=60_000)
            page.get_by_text("Failed", exact=True).first.wait_for(timeout=60_000)
            page.goto(f"{server.url}/assets/shop/orders/orders?view=checks", wait_until="domcontentloaded")
            page.get_by_text("amount.range").first.wait_for(timeout=60_000)
            page.goto(f"{server.url}/assets/shop/orders/release?view=events", wait_until="domcontentloaded")
            page.get_by_text("published").first.wait_for(timeout=60_000)


def backfill(server: Server, root: Path) -> None:
    """Backfill ten days of every table through the daemon: one release, when all are in."""
    keys = [{"path": ["shop", "orders", name]} for name in ("customers", "orders", "release")]
    days = [f"2024-01-{day:02}" for day in range(1, 11)]
    params = {"assetSelection": keys, "partitionNames": days}
    launched = server.ask(BACKFILL, params=params)["launchPartitionBackfill"]
    assert "backfillId" in launched, launched
    status = ""
    for _ in range(240):
        status = server.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"]
        if status not in {"REQUESTED", "COMPLETING"}:
            break
        time.sleep(0.5)
    assert "COMPLETED_SUCCESS" == status
    releases = Warehouse.open(environment(root)).ledger.releases("shop/orders")
    assert [(1, "backfill", 10)] == [(r.number, r.kind, len(r.items["orders"])) for r in releases]
