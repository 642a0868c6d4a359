"""Figures for Prometheus: scraped over HTTP as Prometheus does, from the databases of a shop that was built."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from dataproducts.errors import RefusedError, StoreError, UsageError
from dataproducts.finding import Finding, FindingKind, Subject
from dataproducts.incidents import record
from dataproducts.metrics import served, text, write_textfile
from dataproducts.operations import Operations, move_bookmark, transitions
from dataproducts.operations import schema as s
from dataproducts.operations.transitions import Transition
from dataproducts.product import Severity
from tests.pages import ROOT, blocks
from tests.pages import run as command
from tests.postgres import database
from tests.shop import build, environment, make_shop, product, write_orders

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from dataproducts.environment import Environment

ORDERS = "shop/orders"
NOW = datetime(2024, 1, 11, 6, 30, tzinfo=UTC)
PREFIX = "dataproducts_"


def figures(said: str) -> dict[tuple[str, ...], float]:
    """Return what Prometheus reads in `said`: name without the prefix and the labels' values, sorted -> value."""
    return {
        (sample.name.removeprefix(PREFIX), *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(said)
        for sample in family.samples
    }


def scrape(port: int) -> dict[tuple[str, ...], float]:
    """Return what Prometheus would read from `port`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return figures(answer.read().decode())


def make(root: Path, **changes: str) -> Environment:
    """Return the wiring of a shop whose orders were released once and refused once, with what operations know."""
    make_shop(root)
    build(root, ORDERS, **changes)
    write_orders(root, bad={38: "38,3,2024-01-10,-1"})
    with pytest.raises(RefusedError):
        build(root, ORDERS, **changes)
    wired = environment(root, **changes)
    with Operations.open(wired.operations) as operations, operations.writing() as con:
        subject = Subject(ORDERS, FindingKind.CHECK, "amount.range", "orders")
        found = Finding(subject, "amount.range failed", Severity.ERROR, NOW, NOW)
        record(con, [found], [], products={ORDERS: product(root, ORDERS)}, now=NOW)
        move_bookmark(con, "watch", "", now=NOW)
        fill(con)
    return wired


def fill(con: object) -> None:
    """Record measurements, costs and a score, older and newer, in the transaction `con`."""
    older = NOW.replace(hour=5)
    measured = {"product": ORDERS, "objective": "fresh", "good": 9, "total": 10, "target": 0.8, "detail": {}}
    cost = {"product": ORDERS, "outcome": "released", "wall_s": 1.5, "cpu_s": 2.5, "rows": 44, "bytes": 1000}
    rows = {
        s.measurement: [
            measured | {"at": older, "days": 28.0, "attainment": 0.5, "budget_left": -1.5},
            measured | {"at": NOW, "days": 28.0, "attainment": 0.9, "budget_left": 0.5},
            measured | {"at": NOW, "days": 7.0, "attainment": None, "budget_left": None},
        ],
        s.refresh_cost: [cost | {"refresh_id": name, "at": NOW, "detail": {}} for name in ("made up a", "made up b")],
        s.health: [
            {"product": ORDERS, "at": at, "score": score, "detail": {}} for at, score in ((older, 50.0), (NOW, 80.0))
        ],
    }
    for table, values in rows.items():
        con.execute(table.delete())
        con.execute(insert(table), values)


@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_scrape_tells_what_the_databases_know(tmp_path: Path, where: str) -> None:
    """Releases, refreshes, rows, ages, incidents, budgets, costs and heartbeat come with a scrape over HTTP."""
    url = database() if where == "postgresql" else ""
    wired = make(tmp_path, ledger_url=url, operations_url=url)
    with served(wired, port=0) as port:
        found = scrape(port)
    expected = {
        ("database_up", "ledger"): 1,
        ("database_up", "operations"): 1,
        ("releases_total", ORDERS, "refresh"): 1,
        ("release_number", ORDERS): 1,
        ("rows", ORDERS, "orders"): 40,
        ("rows", ORDERS, "customers"): 4,
        ("valid_thru_timestamp_seconds", ORDERS, "orders"): datetime(2024, 1, 10, tzinfo=UTC).timestamp(),
        ("refreshes_total", ORDERS, "released"): 1,
        ("refreshes_total", ORDERS, "refused"): 1,
        ("rules_failing", ORDERS, "true"): 1,
        ("incidents_open", ORDERS, "error", "open"): 1,
        ("objective_attainment_ratio", ORDERS, "fresh", "28"): 0.9,
        ("error_budget_left_ratio", ORDERS, "fresh", "28"): 0.5,
        ("refresh_seconds_total", ORDERS, "released"): 3,
        ("refresh_cpu_seconds_total", ORDERS, "released"): 5,
        ("refresh_rows_total", ORDERS, "released"): 88,
        ("refresh_bytes_total", ORDERS, "released"): 2000,
        ("objectives_measured_timestamp_seconds", ORDERS): NOW.timestamp(),
        ("health_score", ORDERS): 80,
        ("health_score_timestamp_seconds", ORDERS): NOW.timestamp(),
        ("watcher_timestamp_seconds",): NOW.timestamp(),
    }
    assert expected == {(name, *labels): found.get((name, *sorted(labels))) for name, *labels in expected}
    assert ("objective_attainment_ratio", "7", "fresh", ORDERS) not in found
    assert ("valid_thru_timestamp_seconds", "customers", ORDERS) not in found
    files = (tmp_path / ".dataproducts/data/shop/orders/customers").rglob("*.parquet")
    size = min(files, key=lambda path: path.stat().st_mtime_ns).stat().st_size  # the refused refresh has left another
    assert size == found["bytes", "customers", ORDERS]
    assert abs(found["release_timestamp_seconds", ORDERS] - datetime.now(UTC).timestamp()) < 600


def keep_measured(con: Connection, name: str, at: datetime, **changes: object) -> None:
    """Record a measurement of an objective called `name` at that moment."""
    row = {"product": ORDERS, "objective": name, "at": at, "days": 28.0, "good": 9, "total": 10, "target": 0.8}
    con.execute(insert(s.measurement), row | {"attainment": 0.9, "budget_left": 0.5, "detail": {}} | changes)


def measured(wired: Environment) -> set[str]:
    """Return the objectives and the products with a score that a scrape shows."""
    found = figures(text(wired))
    shown = {name for kind, *labels in found if kind == "objective_attainment_ratio" for name in labels}
    return shown - {"28"} | {
        f"score of {label}" for kind, *labels in found if kind == "health_score" for label in labels
    }


def test_what_is_measured_no_more_is_shown_no_more(tmp_path: Path) -> None:
    """An objective that was dropped leaves the figures an hour later; one whose figures did not change stays."""
    wired = environment(make_shop(tmp_path))
    with Operations.open(wired.operations) as operations:
        with operations.writing() as con:
            keep_measured(con, "dropped", NOW)
            keep_measured(con, "same", NOW + timedelta(minutes=1))
            keep_measured(con, "other window", NOW + timedelta(minutes=1), days=90.0)
            keep_measured(con, "of others", NOW - timedelta(days=9), product="shop/revenue")
            con.execute(insert(s.health), {"product": ORDERS, "at": NOW, "score": 80.0, "detail": {}})
        before = {ORDERS, "shop/revenue", "90", "dropped", "same", "other window", "of others", f"score of {ORDERS}"}
        assert before == measured(wired)
        with operations.writing() as con:
            # Figures that do not change are kept once an hour: what was kept less than that before is measured still.
            keep_measured(con, "changed", NOW + timedelta(minutes=60))
        assert before - {"dropped", f"score of {ORDERS}"} | {"changed"} == measured(wired)
    assert (NOW + timedelta(minutes=60)).timestamp() == figures(text(wired))[
        "objectives_measured_timestamp_seconds", ORDERS
    ]


def test_a_retired_product_shows_no_objectives(tmp_path: Path) -> None:
    """From its recorded retirement on, nothing is measured of it; a review that followed changes nothing."""
    wired = environment(make_shop(tmp_path))
    with Operations.open(wired.operations) as operations, operations.writing() as con:
        keep_measured(con, "fresh", NOW)
        keep_measured(con, "fresh", NOW, product="shop/revenue")
        for name in (ORDERS, "shop/revenue"):
            con.execute(insert(s.health), {"product": name, "at": NOW, "score": 80.0, "detail": {}})
        for kind, status in (("deprecate", "deprecated"), ("retire", "retired"), ("review", "retired")):
            transitions.record(con, Transition(ORDERS, "1.0.0", kind, "", status, NOW, "ana"))
    assert {"shop/revenue", "fresh", "score of shop/revenue"} == measured(wired)
    assert [("objectives_measured_timestamp_seconds", "shop/revenue")] == [
        name for name in figures(text(wired)) if name[0].startswith("objectives_measured")
    ]


def test_each_scrape_reads_anew(tmp_path: Path) -> None:
    """A release between two scrapes is in the second; a database that is lost is told, and the rest stays."""
    make_shop(tmp_path)
    build(tmp_path, ORDERS)
    wired = environment(tmp_path)
    with served(wired, port=0) as port:
        assert 1 == scrape(port)["release_number", ORDERS]
        write_orders(tmp_path, bad={38: "38,3,2024-01-10,100"})
        build(tmp_path, ORDERS)
        assert 2 == scrape(port)["release_number", ORDERS]
        (tmp_path / ".dataproducts/ledger.sqlite").write_bytes(b"this is no database, and long enough to be read")
        found = scrape(port)
    assert 0 == found["database_up", "ledger"]
    assert ("release_number", ORDERS) not in found


def test_nothing_was_built_yet(tmp_path: Path) -> None:
    """Figures can be asked for before there is a database, and none is made by asking."""
    make_shop(tmp_path)
    found = figures(text(environment(tmp_path)))
    assert {("database_up", "ledger"): 0, ("database_up", "operations"): 0} == found
    assert not (tmp_path / ".dataproducts").exists()


def test_a_textfile_is_whole_or_not_there(tmp_path: Path) -> None:
    """The file is replaced; one that cannot be written is refused, and nothing is left beside it."""
    wired = make(tmp_path)
    path = tmp_path / "shop.prom"
    path.write_text("old", encoding="utf-8")
    write_textfile(wired, path)
    assert 1 == figures(path.read_text(encoding="utf-8"))["release_number", ORDERS]
    assert [path] == list(tmp_path.glob("shop.prom*"))
    with pytest.raises(StoreError, match="cannot be written: No such file or directory"):
        write_textfile(wired, tmp_path / "absent/shop.prom")


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """A port that somebody listens on is refused by name."""
    wired = environment(make_shop(tmp_path))
    with served(wired, port=0) as port, pytest.raises(UsageError, match=f"127.0.0.1:{port}"), served(wired, port=port):
        pass


def test_the_command_prints_serves_and_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dataproducts metrics` prints, writes a file, refuses what excludes each other, serves until stopped."""
    make_shop(tmp_path)
    build(tmp_path, ORDERS)
    assert 1 == figures(command(tmp_path, "metrics", monkeypatch=monkeypatch).out)["release_number", ORDERS]
    assert 0 == command(tmp_path, "metrics", "--textfile", "m.prom", monkeypatch=monkeypatch).code
    assert PREFIX in (tmp_path / "m.prom").read_text(encoding="utf-8")
    both = command(tmp_path, "metrics", "--textfile", "m.prom", "--serve", "0", monkeypatch=monkeypatch)
    assert (2, True) == (both.code, "exclude each other" in both.err)
    alone = command(tmp_path, "metrics", "--address", "0.0.0.0", monkeypatch=monkeypatch)  # noqa: S104 - refused
    assert (2, True) == (alone.code, "add --serve" in alone.err)
    program = [sys.executable, "-c", "from dataproducts.cli import run; run()", "-C", str(tmp_path)]
    with subprocess.Popen(
        [*program, "metrics", "--serve", "0"],
        cwd=ROOT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            assert started.stdout is not None
            port = int(started.stdout.readline().rpartition(":")[2].removesuffix("/metrics\n"))
            assert 1 == scrape(port)["release_number", ORDERS]
            started.send_signal(signal.SIGTERM)
            assert 0 == started.wait(timeout=20)
        finally:
            started.kill()


def test_every_figure_is_documented(tmp_path: Path) -> None:
    """Each figure has a row in production.md, and the rules of its example name figures that there are."""
    said = text(make(tmp_path))
    known = {
        sample.name.removeprefix(PREFIX)
        for family in text_string_to_metric_families(said)
        for sample in family.samples
        if not sample.name.endswith("_created")
    } | {"refreshes_open", "notice_failing_since_timestamp_seconds", "notices"}
    page = ROOT / "docs/production.md"
    rows = page.read_text(encoding="utf-8").partition("## Figures for Prometheus")[2]
    assert set() == {name for name in known if f"`{name}`" not in rows}
    (rules,) = (yaml.safe_load(block.text) for block in blocks(page) if block.file.endswith(".rules.yaml"))
    for rule in rules["groups"][0]["rules"]:
        assert any(f"{PREFIX}{name}" in rule["expr"] for name in known), rule["alert"]


def test_the_clock_of_prometheus_gives_ages(tmp_path: Path) -> None:
    """What tells a moment is a moment: seconds since 1970, no age that would stop growing with the exporter."""
    found = figures(text(make(tmp_path)))
    moments = {name: value for name, value in found.items() if name[0].endswith("_timestamp_seconds")}
    assert len(moments) >= 3
    assert all(1_600_000_000 < value <= time.time() + 1 for value in moments.values())
