"""The serving file: views of the head and its history, replaced as a whole, readable by others."""

from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest

from dataproducts.errors import StoreError, UnknownNameError
from dataproducts.publish import publish
from dataproducts.releases import rollback
from dataproducts.serving import render, served_release
from tests.releasing import ORDERS, shop

_ROOT = Path(__file__).parent.parent


@pytest.fixture
def place(tmp_path):
    """Return a shop with two releases of `shop/orders`, of 3 and of 4 rows, in a folder that tries quoting."""
    with shop(tmp_path / "it's [1]") as opened:
        opened.release(3)
        opened.release(4)
        yield opened


def ask(path, sql):
    """Return the rows of a query on the serving file, opened as a reader would."""
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


def test_the_head_and_its_history_are_views(place):
    """`published` shows the head, `history` each kept release, and nothing but views is in the file."""
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    assert path == place.store.serve_path(ORDERS)
    assert path.name == "shop.orders.duckdb"
    assert ask(path, "SELECT count(*), sum(amount) FROM published.orders") == [(4, 9.0)]
    assert ask(path, "SELECT count(*) FROM history.orders_r1") == [(3,)]
    assert ask(path, "SELECT count(*) FROM history.orders_r2") == [(4,)]
    assert ask(path, "SELECT count(*) FROM duckdb_tables()") == [(0,)]
    assert path.stat().st_size < 2_000_000


def test_only_published_tables_are_there(place):
    """Tables without an output port have no view, neither in the head nor in the history."""
    path = render(place.ledger, place.store, ORDERS, frozenset())
    assert ask(path, "SELECT view_name FROM duckdb_views() WHERE schema_name IN ('published', 'history')") == []


def test_meta_tells_about_releases(place):
    """`meta` lists releases, their versions, the head's results, contracts and inputs, without samples."""
    refresh = place.refresh()
    made = place.version(refresh, n=5)
    place.ledger.record_candidates(refresh, [made])
    publish(place.ledger, place.store, place.draft(refresh, made, required=place.judge(refresh, "k")))
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    assert ask(path, "SELECT release, kind, is_head FROM meta.release") == [
        (3, "refresh", True), (2, "refresh", False), (1, "refresh", False)
    ]  # fmt: skip
    assert ask(path, "SELECT release, version, rows FROM meta.item LIMIT 1") == [(3, made.id, 5)]
    assert ask(path, "SELECT table_name, rule, passed, observed FROM meta.result") == [
        ("orders", "orders.rule", True, 1.0)
    ]
    assert ask(path, "SELECT contract, version FROM meta.contract") == [("shop.orders.orders", "1.0.0")]
    assert ask(path, "SELECT * FROM meta.input") == []


def test_the_file_is_the_operators(place):
    """Only the owner may read the file, and its folder; no temporary file stays beside it."""
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sorted(entry.name for entry in path.parent.iterdir()) == [".shop.orders.duckdb.lock", path.name]


def test_open_readers_keep_their_release(place):
    """A reader that has the file open stays on its release; one that connects later sees the new one."""
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    script = f"""
        import sys, duckdb
        con = duckdb.connect({str(path)!r}, read_only=True)
        for line in sys.stdin:
            print(con.execute("SELECT count(*) FROM published.orders").fetchone()[0], flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        for expected in ("4\n", "4\n"):
            reader.stdin.write("count\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == expected
            place.release(9)
            render(place.ledger, place.store, ORDERS, {"orders"})
        reader.stdin.close()
    assert ask(path, "SELECT count(*) FROM published.orders") == [(9,)]


def test_rendering_repairs(place):
    """A serving file that is missing, damaged or behind is made whole by rendering it again."""
    assert served_release(place.store, ORDERS) is None
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    assert served_release(place.store, ORDERS) == 2
    place.release()
    assert served_release(place.store, ORDERS) == 2
    path.write_bytes(b"damaged" * 1000)
    with pytest.raises(StoreError, match="Render it again"):
        served_release(place.store, ORDERS)
    render(place.ledger, place.store, ORDERS, {"orders"})
    assert served_release(place.store, ORDERS) == 3


def test_a_rollback_is_served(place):
    """After a rollback the views show the old rows again, and `meta` the reason."""
    rollback(place.ledger, place.store, ORDERS, 1, run_id="r", reason="it's wrong")
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    assert ask(path, "SELECT count(*) FROM published.orders") == [(3,)]
    assert ask(path, "SELECT kind, note FROM meta.release WHERE is_head") == [("rollback", "it's wrong")]


def test_partitions_with_added_columns_are_served(place):
    """A table whose newer partitions have a column more is one view, with NULL in the older rows."""
    refresh = place.refresh("shop/days")
    old = place.version(refresh, "days", 2, partition="2026-01-01")
    schema = (*old.schema, ("note", "VARCHAR"))
    sql = "SELECT 9 AS id, 1.0::DOUBLE AS amount, 'new' AS note"
    new = place.version(refresh, "days", partition="2026-01-02", sql=sql, schema=schema)
    place.ledger.record_candidates(refresh, [old, new])
    publish(place.ledger, place.store, place.draft(refresh, old, new))
    path = render(place.ledger, place.store, "shop/days", {"days"})
    assert ask(path, "SELECT note FROM published.days ORDER BY id") == [(None,), (None,), ("new",)]


def test_without_release_there_is_nothing_to_serve(place):
    """A product that has no release is named, with those that have one."""
    with pytest.raises(UnknownNameError, match="Did you mean 'shop/orders'"):
        render(place.ledger, place.store, "shop/order", {"orders"})


def test_a_missing_file_keeps_the_old_views(place):
    """When a file of the head is gone, rendering fails with a StoreError and leaves what was served."""
    path = render(place.ledger, place.store, ORDERS, {"orders"})
    before = path.read_bytes()
    (held,) = place.ledger.composition(place.ledger.head(ORDERS))["orders"]
    place.store.path(held.files[0]).unlink()
    with pytest.raises(StoreError, match="cannot be written"):
        render(place.ledger, place.store, ORDERS, {"orders"})
    assert before == path.read_bytes()
    assert [entry for entry in path.parent.iterdir() if ".tmp" in entry.name] == []
