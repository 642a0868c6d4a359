"""The shop, end to end, with its ledger in PostgreSQL: build, release, race, go back, collect, verify, command line."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dataproducts.errors import ConflictError, RefusedError
from dataproducts.refresh import refresh_product, serve
from dataproducts.releases import list_releases, rollback, verify
from dataproducts.retention import gc
from dataproducts.warehouse import Warehouse
from tests.postgres import database
from tests.shop import build, edit, environment, make_shop, plan, product, served, write_orders

if TYPE_CHECKING:
    from collections.abc import Sequence

ORDERS, REVENUE = "shop/orders", "shop/revenue"
ROOT = Path(__file__).parents[1]
TOTAL = "SELECT count(*), sum(amount) FROM published.orders"
# Another process, with nothing of this one: it builds the orders of the project in its first argument.
ELSEWHERE = """
import sys
from pathlib import Path
from tests.shop import build
print(build(Path(sys.argv[1]), "shop/orders", ledger_url=sys.argv[2]).release.number)
"""
RESOURCES = """
from pathlib import Path
from dataproducts import Environment
def for_environment(name=None):
    root = Path(__file__).parents[1]
    return Environment("test", root, root / ".dataproducts", ledger_url={url!r})
"""


@pytest.fixture
def url() -> str:
    """Return the URL of an empty database."""
    return database().replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture
def shop(tmp_path: Path, url: str) -> Path:
    """Return a shop whose products were released once, with the ledger at `url`."""
    root = make_shop(tmp_path)
    build(root, ORDERS, ledger_url=url)
    build(root, REVENUE, ledger_url=url)
    return root


def test_the_shop_is_released_and_planned(shop: Path, url: str) -> None:
    """Both products are visible, pinned to each other, and nothing is left to do; no SQLite file appears."""
    assert [(40, 2050.0)] == served(shop, ORDERS, TOTAL)
    assert [(4, 2050.0)] == served(shop, REVENUE, "SELECT count(*), sum(revenue) FROM published.revenue")
    assert not plan(shop, ORDERS, ledger_url=url).is_needed
    assert not plan(shop, REVENUE, ledger_url=url).is_needed
    with Warehouse.open(environment(shop, ledger_url=url)) as warehouse:
        head = warehouse.ledger.head(REVENUE)
        assert head is not None
        assert {ORDERS: 1} == dict(head.inputs)
        assert verify(warehouse.ledger, warehouse.store) == ()
    assert not list((shop / ".dataproducts").glob("*.sqlite*"))


def test_bad_rows_are_refused(shop: Path, url: str) -> None:
    """A bad day is refused with its rule recorded, and the last release stays."""
    write_orders(shop, bad={38: "38,3,2024-01-10,-1"})
    with pytest.raises(RefusedError, match=r"amount\.range"):
        build(shop, ORDERS, ledger_url=url)
    assert [(40, 2050.0)] == served(shop, ORDERS, TOTAL)
    with Warehouse.open(environment(shop, ledger_url=url)) as warehouse:
        (latest, *_) = warehouse.ledger.history(ORDERS, "orders", "amount.range")
        assert (latest.passed, latest.partition) == (False, "2024-01-10")


def test_of_two_processes_one_is_first(shop: Path, url: str) -> None:
    """Another process that releases while a refresh is under way makes that one a conflict, which changes nothing."""
    write_orders(shop, bad={38: "38,3,2024-01-10,100"})
    said: list[str] = []

    def meanwhile(_outcome: object) -> None:
        if not said:
            command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, str(shop), url]
            said.append(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip())

    with Warehouse.open(environment(shop, ledger_url=url)) as warehouse:
        days = plan(shop, ORDERS, ledger_url=url).partitions
        with pytest.raises(ConflictError, match="release 2 was published while"):
            refresh_product(warehouse, product(shop, ORDERS), partitions=days, on_table=meanwhile)
        assert ["2"] == said
        assert [2, 1] == [release.number for release in warehouse.ledger.releases(ORDERS)]
    assert [(40, 2055.0)] == served(shop, ORDERS, TOTAL)


def test_racing_processes_publish_in_line(shop: Path, url: str) -> None:
    """Processes that build at once are released one after the other or refused as conflicts; none is lost or mixed."""
    # Their sources differ from the release's by what each of them changes.
    edit(shop / "assets/shop/orders/transforms/customers.sql", "trim(email)", "lower(trim(email))")
    command = [sys.executable, "-W", "ignore", "-c", ELSEWHERE, str(shop), url]
    pipe = subprocess.PIPE
    running = [subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=120), process.returncode) for process in running]
    released = sorted(int(out) for (out, _), code in ended if code == 0)
    assert released
    assert list(range(2, 2 + len(released))) == released
    for (_, said), code in ended:
        assert code == 0 or "ConflictError" in said or "nothing new to publish" in said
    with Warehouse.open(environment(shop, ledger_url=url)) as warehouse:
        assert verify(warehouse.ledger, warehouse.store) == ()


def test_rollback_and_collection(shop: Path, url: str) -> None:
    """An earlier release is published again as a new one; collection keeps what is read and pinned, and no more."""
    for amount in (100, 200, 300):
        write_orders(shop, bad={38: f"38,3,2024-01-10,{amount}"})
        build(shop, ORDERS, ledger_url=url)
    with Warehouse.open(environment(shop, ledger_url=url)) as warehouse:
        ledger, store = warehouse.ledger, warehouse.store
        back = rollback(ledger, store, ORDERS, 2, run_id="operator", reason="wrong price")
        assert "" == serve(warehouse, product(shop, ORDERS))
        assert (5, 4, "rollback") == (back.number, back.base, back.kind)
        assert [(40, 2055.0)] == served(shop, ORDERS, TOTAL)
        later = datetime.now(UTC) + timedelta(days=30)
        done = gc(ledger, store, now=later, keep_releases=1)
        # Release 1 is what shop/revenue was made from, and 2 has the files of 5: those of 3 and 4 go.
        assert {1, 5} == ledger.retained(ORDERS)
        assert 2 * (10 + 1) == done.files
        assert verify(ledger, store) == ()
        rows = list_releases(ledger, ORDERS)
        assert "wrong price" == rows[0].note
    assert [(40, 2055.0)] == served(shop, ORDERS, TOTAL)


def test_the_command_line_uses_it(shop: Path, url: str) -> None:
    """`releases`, `verify`, `gc` and `migrate` work on the server; a file that was lost is named, with exit code 1."""
    (shop / "resources").mkdir()
    (shop / "resources/__init__.py").write_text(RESOURCES.format(url=url), encoding="utf-8")
    assert [1] == [row["release"] for row in told(shop, "releases", ORDERS)]
    assert [] == told(shop, "verify")
    assert 0 == told(shop, "gc")["files"]
    assert ["ledger", "operations"] == sorted(told(shop, "migrate"))
    lost = next((shop / ".dataproducts/data/shop/orders/customers").rglob("*.parquet"))
    lost.unlink()
    (finding,) = told(shop, "verify", code=1)
    assert ("missing", ORDERS, "customers", [1]) == tuple(finding[k] for k in ("kind", "product", "table", "releases"))
    assert lost.name == Path(finding["path"]).name


def told(root: Path, *arguments: str, code: int = 0) -> Any:
    """Return what a command prints as JSON, and assert how it ends."""
    program = "from dataproducts.cli import main; main()"
    command: Sequence[str] = [sys.executable, "-c", program, "-C", str(root), *arguments, "--json"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert code == done.returncode, done.stderr
    return json.loads(done.stdout)
