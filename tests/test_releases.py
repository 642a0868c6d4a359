"""Releases listed, compared, taken back and verified."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from dataproducts.database import writing
from dataproducts.errors import RefusedError, UnknownNameError, UsageError
from dataproducts.ledger import schema as ledger_schema
from dataproducts.publish import publish
from dataproducts.release import Consumed
from dataproducts.releases import RowChanges, TableRow, diff, list_releases, rollback, verify
from dataproducts.retention import gc
from dataproducts.serving import render
from tests.releasing import ORDERS, SCHEMA, shop


@pytest.fixture
def place(tmp_path):
    """Return an empty shop."""
    with shop(tmp_path) as opened:
        yield opened


def days(place, refresh, *partitions, **options):
    """Write and record partitions of `days`, and return them."""
    made = [place.version(refresh, "days", partition=day, **options) for day in partitions]
    place.ledger.record_candidates(refresh, made)
    return made


def two_releases(place):
    """Publish `orders` and three partitions of `days`, then `orders` anew and one partition anew."""
    refresh = place.refresh()
    orders = place.version(refresh, n=3)
    place.ledger.record_candidates(refresh, [orders])
    parts = days(place, refresh, "2026-01-01", "2026-01-02", "2026-01-03")
    publish(place.ledger, place.store, place.draft(refresh, orders, *parts))
    refresh = place.refresh()
    sql = "SELECT i::INTEGER AS id, CASE WHEN i = 1 THEN 0.0::DOUBLE ELSE i * 1.5::DOUBLE END AS amount, 'x' AS note"
    schema = (*SCHEMA, ("note", "VARCHAR"))
    again = place.version(refresh, sql=f"{sql} FROM range(1, 6) r(i)", schema=schema, contract="second")
    place.ledger.record_candidates(refresh, [again])
    (part,) = days(place, refresh, "2026-01-02", n=7)
    publish(place.ledger, place.store, place.draft(refresh, again, parts[0], part, parts[2], git_sha="abc"))
    return orders, again


def test_releases_are_listed_newest_first(place):
    """Each release tells its run, moment, tables with rows, and whether its files are kept."""
    orders, again = two_releases(place)
    rows = list_releases(place.ledger, ORDERS)
    assert [(row.release, row.is_head, row.retained) for row in rows] == [(2, True, True), (1, False, True)]
    assert rows[1].tables["orders"] == TableRow(orders.id, 3)
    assert rows[0].tables["orders"] == TableRow(again.id, 5)
    assert (rows[0].tables["days"].rows, rows[0].tables["days"].partitions) == (13, 3)
    assert rows[0].tables["days"].version != rows[1].tables["days"].version
    assert [row.release for row in list_releases(place.ledger, ORDERS, limit=1)] == [2]
    listed = json.loads(json.dumps(rows[0].as_json()))
    expected = {"release", "product", "run", "published_at", "tables", "kind", "base", "inputs", "git_sha"}
    assert expected <= listed.keys()
    assert listed["tables"]["orders"]["version"] == again.id
    with pytest.raises(UnknownNameError):
        list_releases(place.ledger, "shop/unknown")


def test_a_diff_tells_what_moved(place):
    """A comparison lists versions, rows, columns, contracts and, by key, the rows that differ."""
    two_releases(place)
    keys = {"orders": ("id",), "days": ("id",)}
    found = {d.table: d for d in diff(place.ledger, ORDERS, 1, 2, con=place.con, store=place.store, keys=keys)}
    assert (found["days"].added, found["days"].removed) == (("2026-01-02",), ("2026-01-02",))
    assert (found["days"].carried, found["days"].rows_before, found["days"].rows_after) == (2, 9, 13)
    assert found["days"].row_changes == RowChanges(added=4, removed=0, changed=0)
    assert found["orders"].columns == ("note VARCHAR added",)
    assert found["orders"].contract_before != found["orders"].contract_after
    assert found["orders"].row_changes == RowChanges(added=3, removed=1, changed=1)


def test_equal_releases_do_not_differ(place):
    """A release compared with itself shows no change, and without a connection no rows are counted."""
    two_releases(place)
    assert [(d.added, d.removed, d.row_changes) for d in diff(place.ledger, ORDERS, 2, 2)] == [((), (), None)] * 2
    with pytest.raises(UnknownNameError):
        diff(place.ledger, ORDERS, 1, 3)


def test_a_table_may_come_and_go(place):
    """A table that only one of the releases has is all added, or all removed."""
    place.release(3)
    refresh = place.refresh()
    (old,) = place.ledger.composition(place.ledger.head(ORDERS))["orders"]
    more = place.version(refresh, "more", 2)
    place.ledger.record_candidates(refresh, [more])
    publish(place.ledger, place.store, place.draft(refresh, old, more))
    come = diff(place.ledger, ORDERS, 1, 2, con=place.con, store=place.store, keys={"more": ("id",)})[0]
    assert (come.table, come.added, come.removed, come.contract_before) == ("more", ("",), (), "")
    assert come.row_changes == RowChanges(added=2, removed=0, changed=0)
    gone = diff(place.ledger, ORDERS, 2, 1)[0]
    assert (gone.added, gone.removed, gone.rows_after) == ((), ("",), 0)


def test_a_rollback_is_a_new_release(place):
    """Going back publishes the old versions under a new number, with their sources, pins and reason."""
    place.release(product="shop/raw")
    file = Consumed("orders", "csv", "a.csv", 1, "a" * 64)
    first = place.release(3, upstream=("shop/raw",), consumed=(file,))
    place.release(product="shop/raw")
    place.release(4, upstream=("shop/raw",), consumed=(Consumed("orders", "csv", "b.csv", 1, "b" * 64),))
    back = rollback(place.ledger, place.store, ORDERS, 1, run_id="r", reason="4 was wrong")
    assert (back.number, back.base, back.kind, back.run_id) == (3, 2, "rollback", "r")
    assert (back.items, back.contracts, back.inputs) == (first.items, first.contracts, first.inputs)
    assert place.ledger.consumed(ORDERS) == (file,)
    assert place.ledger.notes(ORDERS) == {3: "4 was wrong"}
    forward = rollback(place.ledger, place.store, ORDERS, 2, run_id="r")
    assert (forward.number, place.ledger.notes(ORDERS)[4]) == (4, "back to release 2")


def test_not_every_release_can_be_gone_back_to(place):
    """The head, an unknown release and one whose files are gone are refused, each by its own reason."""
    place.release()
    place.release()
    with pytest.raises(UsageError, match="published one already"):
        rollback(place.ledger, place.store, ORDERS, 2, run_id="r")
    with pytest.raises(UnknownNameError):
        rollback(place.ledger, place.store, ORDERS, 9, run_id="r")
    with writing(place.ledger._engine) as con:
        con.execute(sa.update(ledger_schema.release).where(ledger_schema.release.c.number == 1).values(retained=False))
    with pytest.raises(RefusedError, match=r"no longer kept\. Kept are: 2"):
        rollback(place.ledger, place.store, ORDERS, 1, run_id="r")


def test_a_sound_store_has_no_findings(place):
    """With every file as it was judged and the views up to date, there is nothing to find."""
    two_releases(place)
    render(place.ledger, place.store, ORDERS, {"orders"})
    assert verify(place.ledger, place.store) == verify(place.ledger, place.store, ORDERS) == ()
    with pytest.raises(UnknownNameError):
        verify(place.ledger, place.store, "shop/unknown")


def test_every_damage_is_found(place):
    """A file that is missing, cut, or has one bit flipped is found, with the releases that hold it."""
    for n in (3, 4, 5):
        place.release(n)
    render(place.ledger, place.store, ORDERS, {"orders"})
    paths = [place.store.path(place.ledger.versions(r.items["orders"])[r.items["orders"][0]].files[0])
             for r in place.ledger.releases(ORDERS)]  # fmt: skip
    paths[0].unlink()
    os.truncate(paths[1], 20)
    content = bytearray(paths[2].read_bytes())
    content[40] ^= 1
    paths[2].write_bytes(content)
    found = verify(place.ledger, place.store, ORDERS)
    assert all(f.message.startswith(f"{f.path} of release {f.releases[0]}: ") for f in found)
    assert {(f.kind, f.releases, f.table) for f in found} == {
        ("missing", (3,), "orders"), ("size", (2,), "orders"), ("sha256", (1,), "orders")
    }  # fmt: skip


def test_strays_and_stale_views_are_found(place):
    """A file that nobody holds is found once no refresh can still claim it, and views that lag are too."""
    place.release()
    render(place.ledger, place.store, ORDERS, {"orders"})
    place.release()
    refresh = place.refresh()
    stray = place.version(refresh).files[0]
    kinds = [(f.kind, f.path) for f in verify(place.ledger, place.store)]
    assert kinds == [("serve", "")]
    old = time.time() - 25 * 3600
    os.utime(place.store.path(stray), (old, old))
    kinds = [(f.kind, f.path) for f in verify(place.ledger, place.store)]
    assert kinds == [("serve", ""), ("stray", stray.path)]


def test_a_moved_head_is_found(place):
    """A head that somebody moved by hand, and a gap in the line of releases, are found."""
    for _ in range(3):
        place.release()
    render(place.ledger, place.store, ORDERS, {"orders"})
    with writing(place.ledger._engine) as con:
        con.execute(sa.update(ledger_schema.head).values(number=2))
        con.execute(sa.update(ledger_schema.release).where(ledger_schema.release.c.number == 3).values(base=1))
    messages = [f.message for f in verify(place.ledger, place.store, ORDERS) if f.kind == "head"]
    assert messages == [
        f"{ORDERS}: the head is 2, the last release 3",
        f"{ORDERS}: release 3 is based on 1, out of line",
    ]


def test_verify_is_not_misled_by_what_happens_meanwhile(place):
    """Releases and collections that take place while files are read are no findings."""
    for n in (3, 4, 5):
        place.release(n)
    render(place.ledger, place.store, ORDERS, {"orders"})
    releases, sha256 = place.ledger.releases, place.store.sha256
    later = datetime.now(UTC) + timedelta(days=30)

    def publish_first(product, **options):
        place.ledger.releases = releases
        place.release(6)
        place.store.sha256 = collect_first
        return releases(product, **options)

    def collect_first(ref):
        place.store.sha256 = sha256
        assert gc(place.ledger, place.store, now=later, keep_releases=1).files == 2
        return sha256(ref)

    place.ledger.releases = publish_first
    assert [f.kind for f in verify(place.ledger, place.store, ORDERS)] == ["serve"]
    assert place.ledger.head(ORDERS).number == 4
