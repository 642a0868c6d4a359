"""Retention: what is kept, what is given back, and what an interrupted collection leaves."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
import sqlalchemy as sa

from dataproducts.database import writing
from dataproducts.errors import ConflictError, RefusedError, StoreError
from dataproducts.ledger import schema as ledger_schema
from dataproducts.publish import publish
from dataproducts.releases import rollback, verify
from dataproducts.retention import Collected, gc
from dataproducts.serving import render
from tests.postgres import database
from tests.releasing import ORDERS, shop, sqlite

LATER = datetime.now(UTC) + timedelta(days=30)
NOTHING = Collected(0, 0, 0, 0, 0, 0)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Return an empty shop on either database."""
    url = sqlite(tmp_path) if request.param == "sqlite" else database()
    with shop(tmp_path, url) as opened:
        yield opened


def parquet(place):
    """Return the number of data files in the store."""
    return sum(1 for path, _ in place.store.files() if path.endswith(".parquet"))


def test_ten_releases_and_seven_days_are_kept(place):
    """Within seven days nothing goes; after them the last ten releases stay, the others lose their files."""
    for n in range(12):
        place.release(n + 1)
    assert gc(place.ledger, place.store, now=datetime.now(UTC)) == NOTHING
    dry = gc(place.ledger, place.store, now=LATER, dry_run=True)
    assert (dry.releases, dry.versions, dry.files, parquet(place)) == (2, 2, 2, 12)
    assert gc(place.ledger, place.store, now=LATER) == dry
    assert parquet(place) == 10
    assert place.ledger.retained(ORDERS) == frozenset(range(3, 13))
    assert gc(place.ledger, place.store, now=LATER) == NOTHING
    assert [f.kind for f in verify(place.ledger, place.store)] == ["serve"]
    with pytest.raises(RefusedError, match="no longer kept"):
        rollback(place.ledger, place.store, ORDERS, 2, run_id="r")
    assert rollback(place.ledger, place.store, ORDERS, 3, run_id="r").number == 13


def test_what_was_live_lately_is_kept(place):
    """A release counts as live until its successor came, however long before it was published itself."""
    for n in range(3):
        place.release(n + 1)
    ages = {1: 40, 2: 30, 3: 3}
    with writing(place.ledger._engine) as con:
        t = ledger_schema.release
        for number, age in ages.items():
            at = datetime.now(UTC) - timedelta(days=age)
            con.execute(sa.update(t).where(t.c.number == number).values(published_at=at))
        con.execute(sa.update(ledger_schema.refresh).values(started_at=at))
    gc(place.ledger, place.store, now=datetime.now(UTC), keep_releases=1)
    assert place.ledger.retained(ORDERS) == {2, 3}


def test_carried_partitions_stay(place):
    """A version that a kept release carries over stays, however old the release that first held it."""
    refresh = place.refresh()
    parts = [place.version(refresh, partition=day) for day in ("2026-01-01", "2026-01-02")]
    place.ledger.record_candidates(refresh, parts)
    publish(place.ledger, place.store, place.draft(refresh, *parts))
    refresh = place.refresh()
    again = place.version(refresh, partition="2026-01-02")
    place.ledger.record_candidates(refresh, [again])
    publish(place.ledger, place.store, place.draft(refresh, parts[0], again))
    done = gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert (done.releases, done.versions) == (1, 1)
    assert all(place.store.exists(v.files[0]) for v in (parts[0], again))
    assert not place.store.exists(parts[1].files[0])


def test_pins_of_downstream_releases_are_kept(place):
    """A release that a kept release of another product was made from stays, and what that was made from too."""
    place.release(product="shop/raw")
    place.release(product="shop/clean", upstream=("shop/raw",))
    place.release(product="shop/report", upstream=("shop/clean",))
    for _ in range(3):
        place.release(product="shop/raw")
        place.release(product="shop/clean", upstream=("shop/raw",))
    gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert place.ledger.retained("shop/raw") == {1, 4}
    assert place.ledger.retained("shop/clean") == {1, 4}


def test_refreshes_under_way_keep_what_they_read(place):
    """The base and the pins of a refresh of the last day stay, though newer releases have come."""
    place.release(product="shop/raw")
    refresh = place.refresh("shop/report", ("shop/raw",))
    for _ in range(3):
        place.release(product="shop/raw")
    with writing(place.ledger._engine) as con:
        con.execute(sa.update(ledger_schema.release).values(published_at=datetime.now(UTC) - timedelta(days=20)))
        old = ledger_schema.refresh.c.refresh_id != refresh.id
        con.execute(sa.update(ledger_schema.refresh).where(old).values(started_at=LATER - timedelta(days=60)))
    gc(place.ledger, place.store, now=datetime.now(UTC), keep_releases=1)
    assert place.ledger.retained("shop/raw") == {1, 4}
    gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert place.ledger.retained("shop/raw") == {4}


def test_abandoned_candidates_expire(place):
    """Candidates of a refresh that never published go after a day, and cannot be published afterwards."""
    refresh = place.refresh()
    made = place.version(refresh)
    place.ledger.record_candidates(refresh, [made])
    assert gc(place.ledger, place.store, now=datetime.now(UTC)) == NOTHING
    done = gc(place.ledger, place.store, now=datetime.now(UTC) + timedelta(hours=25))
    assert (done.versions, done.files, done.bytes) == (1, 1, made.files[0].bytes)
    assert place.ledger.candidates(refresh) == {}
    with pytest.raises(ConflictError, match="expired"):
        publish(place.ledger, place.store, place.draft(refresh, made))


def test_an_interrupted_collection_is_finished(place):
    """Versions that were marked but not yet unlinked when the collector died are unlinked by the next one."""
    for n in range(3):
        place.release(n + 1)
    remove, place.store.remove = place.store.remove, lambda paths: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert parquet(place) == 3
    place.store.remove = remove
    done = gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert (done.releases, done.files, parquet(place)) == (0, 2, 1)


def test_leftovers_of_the_dead_go(place):
    """Files of no version, temporary files and scratch folders go after a day, not before."""
    render(place.ledger, place.store, place.release().product, {"orders"})
    stray = place.store.path(place.version(place.refresh()).files[0])
    temporary = place.store.serve_folder() / ".shop.orders.duckdb.abc.tmp"
    temporary.write_text("1234")
    scratch = place.store.scratch("run") / "spill"
    scratch.write_text("12345678")
    assert gc(place.ledger, place.store, now=datetime.now(UTC)) == NOTHING
    done = gc(place.ledger, place.store, now=datetime.now(UTC) + timedelta(hours=25))
    assert done.stray_files == 3
    assert done.stray_bytes > 12
    assert not any(path.exists() for path in (stray, stray.parent, temporary, scratch, scratch.parent))
    assert place.store.serve_path(ORDERS).exists()


def test_a_full_collection_leaves_no_empty_folders(place):
    """The folder of a batch goes with its last file."""
    for n in range(3):
        place.release(n + 1)
    gc(place.ledger, place.store, now=LATER, keep_releases=1)
    batches = place.store.root / "data" / "shop" / "orders" / "orders"
    assert len(list(batches.iterdir())) == 1


def test_a_shared_file_stays(place):
    """A file that a kept version holds too is not unlinked with the expired one."""
    refresh = place.refresh()
    made = place.version(refresh, created_at=LATER)
    older = replace(made, id="older", partition="2026-01-01", created_at=LATER - timedelta(days=3))
    place.ledger.record_candidates(refresh, [made, older])
    done = gc(place.ledger, place.store, now=LATER)
    assert (done.versions, done.files) == (1, 0)
    assert place.store.exists(made.files[0])


def test_the_release_that_is_shown_stays(place):
    """The files behind a serving file that is out of date stay, so that its readers do not fail."""
    place.release(1)
    render(place.ledger, place.store, ORDERS, {"orders"})
    for n in range(3):
        place.release(n + 2)
    gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert place.ledger.retained(ORDERS) == {1, 4}
    with duckdb.connect(str(place.store.serve_path(ORDERS)), read_only=True) as con:
        assert con.execute("SELECT count(*) FROM published.orders").fetchone() == (1,)
    render(place.ledger, place.store, ORDERS, {"orders"})
    gc(place.ledger, place.store, now=LATER, keep_releases=1)
    assert place.ledger.retained(ORDERS) == {4}


def test_a_file_that_is_recorded_too_late_cannot_be_published(place):
    """A refresh that takes longer than attempts may loses its file before it records it, and then says so."""
    refresh = place.refresh()
    made = place.version(refresh)
    assert gc(place.ledger, place.store, now=datetime.now(UTC), attempts=timedelta(0)).stray_files == 1
    place.ledger.record_candidates(refresh, [made])
    with pytest.raises(StoreError, match="is missing"):
        publish(place.ledger, place.store, place.draft(refresh, made))


def test_nobody_records_a_file_while_strays_go(place):
    """Between the look at what is recorded and the removal of the rest, a refresh cannot record the file it wrote."""
    refresh = place.refresh()
    made, recorded = place.version(refresh), []

    def record():
        place.ledger.record_candidates(refresh, [made])
        recorded.append(place.store.exists(made.files[0]))

    thread, remove = threading.Thread(target=record), place.store.remove

    def slowly(paths):
        place.store.remove = remove
        thread.start()
        time.sleep(0.3)
        assert recorded == []
        return remove(paths)

    place.store.remove = slowly
    assert gc(place.ledger, place.store, now=datetime.now(UTC), attempts=timedelta(0)).stray_files == 1
    thread.join()
    assert recorded == [False]


def test_a_lost_ledger_does_not_cost_the_data(tmp_path):
    """Files that are older than the ledger are not its garbage: collection refuses to touch them."""
    with shop(tmp_path) as place:
        made = place.ledger.versions(place.release().items["orders"])
        paths = [place.store.path(ref) for version in made.values() for ref in version.files]
    old = time.time() - 30 * 24 * 3600
    for path in paths:
        os.utime(path, (old, old))
    (tmp_path / "store/ledger.sqlite").unlink()
    with shop(tmp_path) as place:
        for begin in (lambda: None, place.release):
            begin()
            with pytest.raises(StoreError, match=r"older than the ledger.*restore the ledger"):
                gc(place.ledger, place.store, now=datetime.now(UTC))
    assert all(path.exists() for path in paths)


def test_a_full_disk_is_collected(tmp_path):
    """On a disk without a free byte, where nothing can be written, collection still gives space back, and twice."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        for _ in range(2):
            with shop(disk) as place:
                for _ in range(4):
                    place.release(200_000)
                _fill(disk)
                with pytest.raises(StoreError, match=r"full.*dataproducts gc"):
                    place.refresh()
                done = gc(place.ledger, place.store, now=LATER, keep_releases=1)
                assert done.files >= 3
                place.release(50_000)
                assert [f.kind for f in verify(place.ledger, place.store)] == ["serve"]
            (disk / "junk").unlink()
            assert (disk / "store/ballast").stat().st_size == 4 * 1024 * 1024
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def _fill(disk):
    """Leave no byte of a disk free."""
    with (disk / "junk").open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(b"\0" * 100_000)
