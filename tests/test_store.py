"""The store: files that are whole, durable, never rewritten, and read through an explicit projection."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dataproducts.errors import StoreError, UsageError
from dataproducts.release import ColumnFacts, FileRef, Version
from dataproducts.store import Store, new_id

PLACE = {"product": "shop/orders@v2", "table": "orders", "batch": "b1"}
AB = (("a", "INTEGER"), ("b", "VARCHAR"))


@pytest.fixture
def con():
    """Return a connection of its own."""
    with duckdb.connect() as connection:
        yield connection


@pytest.fixture
def store(tmp_path):
    """Return a store whose path is full of characters that patterns and SQL care about."""
    return Store(tmp_path / "it's a [1]*? {store}")


def write_one(store, con, sql, *, name="all", **place):
    """Write one file and return its reference."""
    return store.write(con, {name: sql}, **PLACE | place)[name]


def files_of(store):
    """Return every file below the store, temporary ones included."""
    return sorted(
        str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file() and path.name != "ballast"
    )


def version(ref, schema, *, at=0, partition=None):
    """Return a version that holds one file."""
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
    parts = {"contract_hash": "", "code_version": "", "refresh_id": "", "run_id": "", "created_at": moment}
    return Version(new_id(), "shop/orders", "orders", partition, (ref,), ref.rows, schema, **parts)


def test_write_describes_the_file(store, con):
    """A reference holds the path, size, hash and row count of the very file, and nothing else is left."""
    ref = write_one(store, con, "SELECT i AS a FROM range(1000) r(i)")
    content = store.path(ref).read_bytes()
    expected = FileRef(
        "data/shop/orders@v2/orders/b1/all.parquet",
        len(content),
        hashlib.sha256(content).hexdigest(),
        1000,
        {"a": ColumnFacts(0, "0", "999")},
    )
    assert expected == ref
    assert [ref.path] == files_of(store)
    assert store.exists(ref)
    assert ref.sha256 == store.sha256(ref)


def test_a_name_is_written_once(store, con):
    """Writing under a name that is taken fails and leaves the first file as it was."""
    ref = write_one(store, con, "SELECT 1 AS a")
    with pytest.raises(StoreError, match="written once"):
        write_one(store, con, "SELECT 2 AS a")
    assert ref.sha256 == store.sha256(ref)
    assert [ref.path] == files_of(store)


def test_many_are_written_or_none(store, con):
    """One failing part takes the others of its batch back, and the SQL's own error reaches the caller."""
    parts = {"x": "SELECT 1 AS a", "y": "SELECT 'no number'::INTEGER AS a"}
    with pytest.raises(duckdb.ConversionException):
        store.write(con, parts, **PLACE)
    assert files_of(store) == []
    assert not (store.root / "data/shop/orders@v2/orders/b1").exists()


def test_quarantine_is_private(store, con):
    """Quarantined files lie in folders that only their owner may enter, and so does the store."""
    ref = write_one(store, con, "SELECT 1 AS a", quarantine=True)
    assert ref.path.startswith("quarantine/shop/")
    for folder in (store.root, store.root / "quarantine", store.path(ref).parent, store.serve_folder()):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a b", "a\0b"])
def test_names_cannot_leave_the_store(store, con, name):
    """A part of a path that is not plain is refused before anything is made."""
    with pytest.raises(UsageError):
        write_one(store, con, "SELECT 1 AS a", name=name)
    with pytest.raises(UsageError):
        write_one(store, con, "SELECT 1 AS a", product=f"shop/{name}")
    with pytest.raises(StoreError, match="inside"):
        store.path("../elsewhere")
    with pytest.raises(StoreError, match="inside"):
        store.path("/etc/passwd")


def test_relation_projects_and_casts(store, con):
    """A relation has exactly the columns asked for, in order and type, whatever the file holds besides."""
    ref = write_one(store, con, "SELECT 'x' AS extra, 'y' AS b, 7::BIGINT AS a")
    relation = store.relation([ref], AB)
    assert con.execute(f"FROM {relation}").fetchall() == [(7, "y")]
    assert con.execute(f"DESCRIBE FROM {relation}").fetchall()[0][:2] == ("a", "INTEGER")


def test_relation_fills_added_columns(store, con):
    """A file from before a column was added shows NULL there, beside newer files."""
    old = write_one(store, con, "SELECT 1 AS a", name="old")
    new = write_one(store, con, "SELECT 2 AS a, 'z' AS b", name="new")
    versions = [version(new, AB, at=1, partition="2026-01-02"), version(old, AB[:1], partition="2026-01-01")]
    assert con.execute(f"FROM {store.version_relation(versions)} ORDER BY a").fetchall() == [(1, None), (2, "z")]


def test_relation_without_files_is_typed(store, con):
    """No files give no rows but the same columns, so that SQL over it still binds."""
    described = con.execute(f"DESCRIBE FROM {store.relation([], AB)}").fetchall()
    assert [row[:2] for row in described] == list(AB)
    assert con.execute(f"SELECT count(*) FROM {store.relation([], AB)}").fetchone() == (0,)
    with pytest.raises(UsageError):
        store.version_relation([])
    with pytest.raises(UsageError):
        store.relation([], ())


def test_damage_is_seen(store, con):
    """A file that shrank does not exist for the store; one that vanished raises when it is hashed."""
    ref = write_one(store, con, "SELECT 1 AS a")
    os.truncate(store.path(ref), ref.bytes - 1)
    assert not store.exists(ref)
    assert ref.bytes - 1 == store.remove([ref.path])
    assert not store.path(ref).parent.exists()
    with pytest.raises(StoreError, match="cannot be read"):
        store.sha256(ref)


def test_a_full_disk_leaves_nothing(tmp_path):
    """When the system refuses to write more, the error is a StoreError and no part of a file stays."""
    script = """
        import resource, sys
        from pathlib import Path
        import duckdb
        from dataproducts.errors import StoreError
        from dataproducts.store import Store
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        store = Store(Path(sys.argv[1]))
        try:
            parts = {"small": "SELECT 1 AS a", "big": "SELECT random() AS a FROM range(1000000)"}
            store.write(duckdb.connect(), parts, product="shop/orders", table="orders", batch="b1")
        except StoreError as error:
            print("refused:", error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "store")],
        check=True, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("refused: ")
    assert "free disk" in done.stdout
    assert files_of(Store(tmp_path / "store")) == []


def test_ids_sort_by_time():
    """Later ids sort after earlier ones, and none comes twice."""
    first = new_id()
    time.sleep(0.005)
    assert first < new_id()
    assert len({new_id() for _ in range(1000)}) == 1000
