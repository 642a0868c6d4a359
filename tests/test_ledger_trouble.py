"""A ledger in trouble: locked, read-only, in no folder, corrupt, on a full disk; each is told with what to do."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataproducts.errors import StoreError
from dataproducts.ledger import Ledger
from dataproducts.ledger.schema import BRANCH
from tests.postgres import database
from tests.releasing import ORDERS, shop, sqlite

ROOT = Path(__file__).parents[1]
HOLD = """
import sqlite3, sys, time
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(2)
"""
# Loads everything first, since a user without rights may not be let into this environment.
UNPRIVILEGED = """
import os, sys
from dataproducts.errors import StoreError
from dataproducts.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger:
    ledger.head("shop/orders")
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    with Ledger.open(sys.argv[2]) as ledger:
        ledger.open_refresh("r", "shop/orders", run_id="r")
except StoreError as error:
    print(error)
"""


def test_a_locked_ledger_only_delays(tmp_path):
    """Readers and writers wait for another process that holds the ledger for two seconds, and then succeed."""
    with shop(tmp_path) as place:
        release = place.release()
        for use in (lambda: place.ledger.head(ORDERS) == release, lambda: place.refresh().base == 1):
            command = [sys.executable, "-c", HOLD, str(tmp_path / "store/ledger.sqlite")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
                assert holder.stdout.readline() == "held\n"
                started = time.monotonic()
                assert use()
                assert 1.5 < time.monotonic() - started < 20
                assert holder.wait() == 0


@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o444, 0o777), (0o000, 0o777), (0o666, 0o555)])
def test_a_ledger_without_rights_says_what_to_allow(tmp_path, file_mode, folder_mode):
    """A file or folder that may not be written is a StoreError that asks for the right to."""
    url = sqlite(tmp_path)
    Ledger.open(url).close()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_mode & 0o777 == 0o700:
            folder.chmod(0o755)
    (tmp_path / "store/ledger.sqlite").chmod(file_mode)
    (tmp_path / "store").chmod(folder_mode)
    other = tmp_path / "other"
    said = _unprivileged(sqlite(other), url)
    (tmp_path / "store").chmod(0o755)
    assert "the ledger cannot be read or written" in said
    assert "Make the file and its folder readable and writable" in said


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """Below a file, or where nothing may be made, there can be no ledger; the message names the path."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match=r"file/store/ledger.sqlite: the folder of the ledger cannot be made.*Make"):
        Ledger.open(sqlite(tmp_path / "file"))
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match=r"folder: the ledger cannot be read or written.*Make the file"):
        Ledger.open(f"sqlite:///{tmp_path / 'folder'}")


@pytest.mark.parametrize("seed", range(24))
def test_a_corrupt_ledger_never_shows_a_traceback(tmp_path, seed):
    """Whatever bytes are lost or changed, using the ledger succeeds or is a StoreError, never anything else."""
    with shop(tmp_path) as place:
        place.release()
    path, rng = tmp_path / "store/ledger.sqlite", random.Random(seed)
    content = bytearray(path.read_bytes())
    if seed % 4 == 0:
        content = content[: rng.randrange(1, len(content))]
    else:
        for _ in range(40):
            content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)
    try:
        with Ledger.open(sqlite(tmp_path)) as ledger:
            for release in ledger.releases(ORDERS):
                ledger.composition(release)
            ledger.known_paths()
            ledger.open_refresh("r", ORDERS, run_id="r")
    except StoreError as error:
        assert "ledger" in str(error)  # noqa: PT017 - not every change is noticed


def test_a_corrupt_ledger_asks_for_a_copy(tmp_path):
    """A ledger whose pages are not SQLite's any more is to be restored."""
    Ledger.open(sqlite(tmp_path)).close()
    path = tmp_path / "store/ledger.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + os.urandom(40_000))
    with pytest.raises(StoreError, match="Restore it from a copy"), Ledger.open(sqlite(tmp_path)) as ledger:
        ledger.head(ORDERS)


def test_a_half_committed_ledger_is_rolled_back(tmp_path):
    """What a killed writer left in the rollback journal is taken back by the next one who opens the ledger."""
    with shop(tmp_path) as place:
        release = place.release()
    path = tmp_path / "store/ledger.sqlite"
    script = (
        "import os, sqlite3, sys\n"
        "con = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "con.execute('PRAGMA cache_size = 1')\n"
        "con.execute('PRAGMA cache_spill = 1')\n"
        "con.execute('BEGIN IMMEDIATE')\n"
        "con.execute('UPDATE head SET number = 99')\n"
        "con.executemany('INSERT INTO cursor VALUES (?, 1, ?, ?)', [('shop/orders', str(n), 'x' * 3000)"
        " for n in range(200)])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert path.with_name("ledger.sqlite-journal").exists()
    with Ledger.open(sqlite(tmp_path)) as ledger:
        assert ledger.head(ORDERS) == release
    with sqlite3.connect(path) as con:
        assert con.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    con.close()


def test_an_unreachable_server_is_told_without_its_password():
    """A PostgreSQL server that does not answer is a StoreError that hides the password."""
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="Check that the server runs") as caught:
        Ledger.open("postgresql://somebody:secret@localhost:1/nothing")
    assert "secret" not in str(caught.value)


def test_a_locked_server_only_delays(tmp_path):
    """Writers on PostgreSQL take turns: one that comes while another holds the lock waits for it."""
    url = database()
    psycopg = pytest.importorskip("psycopg")
    with shop(tmp_path, url) as place:
        place.release()
        hold = "SELECT pg_advisory_lock(%s); SELECT pg_sleep(2)"
        asked = hold % BRANCH.lock
        code = f"import psycopg, sys\ncon = psycopg.connect({url!r}, autocommit=True)\ncon.execute({asked!r})"
        with subprocess.Popen([sys.executable, "-c", code]) as holder:
            with psycopg.connect(url, autocommit=True) as con:
                while not con.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory'").fetchone():
                    time.sleep(0.02)
            started = time.monotonic()
            assert place.ledger.head(ORDERS).number == 1
            assert time.monotonic() - started < 1
            assert place.refresh().base == 1
            assert time.monotonic() - started > 1
            assert holder.wait() == 0


def _unprivileged(warm, url):
    """Use the ledger at `url` as somebody without special rights and return what was said."""
    command = [sys.executable, "-W", "ignore", "-c", UNPRIVILEGED, warm, url]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
