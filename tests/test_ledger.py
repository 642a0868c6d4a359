"""The ledger: pins, candidates, verdicts and migrations, on SQLite and on PostgreSQL."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dataproducts.database import connect, reading, writing
from dataproducts.errors import ConflictError, RefusedError, StoreError, UnknownNameError, UsageError
from dataproducts.ledger import Attempt, Ledger, migrate
from dataproducts.ledger import schema as ledger_schema
from dataproducts.publish import publish
from dataproducts.release import Consumed
from tests.postgres import database
from tests.releasing import ORDERS, result, shop, sqlite


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of a ledger that does not exist yet."""
    return sqlite(tmp_path) if request.param == "sqlite" else database()


@pytest.fixture
def place(tmp_path, url):
    """Return an empty shop on the ledger at `url`."""
    with shop(tmp_path, url) as opened:
        yield opened


def test_the_migrations_make_the_schema(url):
    """The newest revision leaves the very tables that the library works with, and is known to it."""
    assert migrate(url) == ("", ledger_schema.BRANCH.revisions[-1])
    assert migrate(url) == (ledger_schema.BRANCH.revisions[-1],) * 2
    engine = connect(url, ledger_schema.BRANCH)
    with reading(engine) as con:
        context = MigrationContext.configure(con, opts={"version_table": ledger_schema.BRANCH.version_table})
        assert compare_metadata(context, ledger_schema.metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(ledger_schema.__file__).replace("schema.py", "migrations"))
    scripts = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert list(ledger_schema.BRANCH.revisions) == scripts[::-1]


def test_a_newer_ledger_is_refused(url):
    """A ledger that a newer library made is neither opened nor migrated."""
    Ledger.open(url).close()
    _set_revision(url, "9999")
    for use in (Ledger.open, migrate):
        with pytest.raises(StoreError, match="newer dataproducts made"):
            use(url)


def test_an_older_ledger_asks_to_be_migrated(url, monkeypatch):
    """A ledger of an earlier revision is refused with the command that brings it up to date."""
    Ledger.open(url).close()
    newer = dataclasses.replace(ledger_schema.BRANCH, revisions=(*ledger_schema.BRANCH.revisions, "9001"))
    monkeypatch.setattr(ledger_schema, "BRANCH", newer)
    monkeypatch.setattr(Ledger, "branch", newer)
    with pytest.raises(StoreError, match="run `dataproducts migrate`"):
        Ledger.open(url)


def test_absent_and_foreign_ledgers_are_refused(tmp_path):
    """Without leave to create, an absent ledger is an error; other databases and no URL are too."""
    with pytest.raises(StoreError, match="there is no ledger"):
        Ledger.open(sqlite(tmp_path), create=False)
    assert not (tmp_path / "store").exists()
    for bad in ("mysql://host/db", "no url", "sqlite://"):
        with pytest.raises(UsageError):
            Ledger.open(bad)
    (tmp_path / "text.sqlite").write_text("this is no database, but long enough to be read as one" * 20)
    with pytest.raises(StoreError, match="not a database"):
        Ledger.open(f"sqlite:///{tmp_path / 'text.sqlite'}")


def test_several_processes_may_make_it(tmp_path):
    """Four processes that open a fresh ledger at once all succeed."""
    script = "import sys; from dataproducts.ledger import Ledger; Ledger.open(sys.argv[1]).close()"
    running = [subprocess.Popen([sys.executable, "-c", script, sqlite(tmp_path)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0] * 4


def test_sqlite_is_durable(tmp_path):
    """A ledger in SQLite keeps its rollback journal and full synchronisation, and checks references."""
    with shop(tmp_path) as place, reading(place.ledger._engine) as con:
        found = [
            con.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["delete", 2, 1]


def test_a_refresh_is_opened_once(place):
    """The first caller's base and pins stay, whatever is published before the second one comes."""
    refresh = place.refresh(refresh_id="same")
    place.release()
    assert refresh.base is None
    assert place.refresh(refresh_id="same") == refresh == place.ledger.find_refresh("same", ORDERS)
    assert place.ledger.find_refresh("other", ORDERS) is None
    assert place.refresh().base == 1


def test_pins_are_transitive(place):
    """A refresh pins the heads of what it reads, and what those were made from."""
    place.release(product="shop/raw")
    place.release(product="shop/clean", upstream=("shop/raw",))
    refresh = place.refresh("shop/report", ("shop/clean",))
    assert dict(refresh.pins) == {"shop/clean": 1, "shop/raw": 1}
    assert dict(place.release(product="shop/report", upstream=("shop/clean",)).inputs) == dict(refresh.pins)


def test_a_mixture_is_refused(place):
    """Reading two releases of one product names both and fails, unless it is allowed."""
    place.release(product="shop/raw")
    place.release(product="shop/clean", upstream=("shop/raw",))
    place.release(product="shop/raw")
    with pytest.raises(ConflictError, match=r"release 1 \(what shop/clean release 1 .* release 2 \(its published"):
        place.refresh("shop/report", ("shop/clean", "shop/raw"))
    mixed = place.ledger.open_refresh(
        "m", "shop/report", run_id="r", upstream=("shop/clean", "shop/raw"), allow_mixture=True
    )
    assert dict(mixed.pins) == {"shop/clean": 1, "shop/raw": 2}


def test_an_upstream_without_release_is_named(place):
    """A product that reads another cannot begin before that one has a release."""
    with pytest.raises(RefusedError, match="Build shop/raw first"):
        place.refresh(upstream=("shop/raw",))


def test_candidates_are_superseded(place):
    """The latest candidate of a table and partition is the live one, and of this refresh alone."""
    refresh, other = place.refresh(), place.refresh()
    first = [place.version(refresh, partition=day) for day in ("2026-01-01", "2026-01-02")]
    again = place.version(refresh, partition="2026-01-02")
    place.ledger.record_candidates(refresh, first)
    place.ledger.record_candidates(refresh, [again])
    expected = {"orders": {"2026-01-01": first[0], "2026-01-02": again}}
    assert expected == place.ledger.candidates(refresh)
    assert place.ledger.candidates(other) == {}
    assert place.ledger.versions([again.id, "unknown"]) == {again.id: again}
    with pytest.raises(UsageError, match="do not belong"):
        place.ledger.record_candidates(other, [place.version(refresh)])
    with pytest.raises(ConflictError):
        place.ledger.record_candidates(refresh, [again])


def test_attempts_end_with_candidates(place):
    """What was begun or refused stays noted until candidates of the same table and partition come."""
    refresh, days = place.refresh(), ("2026-01-01", "2026-01-02")
    place.ledger.mark_started(refresh, "orders", days)
    place.ledger.record_candidates(refresh, [place.version(refresh, partition=days[0])])
    place.ledger.record_refusal(refresh, "orders", None, "unique failed")
    expected = (Attempt("orders", None, "refused", "unique failed"), Attempt("orders", days[1], "started", ""))
    assert expected == place.ledger.open_attempts(refresh)
    place.ledger.record_candidates(refresh, [place.version(refresh, partition=days[1])])
    assert place.ledger.open_attempts(refresh) == ()


def test_the_last_result_of_a_key_counts(place):
    """A key's result is the one recorded last; earlier refreshes stay in the history."""
    first, second = place.refresh(), place.refresh()
    place.judge(first, "k", "l")
    place.judge(second, "k", passed=False)
    place.judge(second, "k", passed=False)
    found = place.ledger.results(["k", "l", "m"])
    assert {"k": False, "l": True} == {key: entry.passed for key, entry in found.items()}
    history = place.ledger.history(ORDERS, "orders", "orders.rule")
    assert [entry.refresh_id for entry in history] == [second.id, first.id, first.id]
    assert len(place.ledger.history(ORDERS, "orders", "orders.rule", limit=1)) == 1
    assert dict(found["k"].detail) == {"observed": 1.0, "failed_rows": 1}


def test_bulk_is_quick(place):
    """A year of partitions with thousands of results is recorded and read back in seconds."""
    refresh, at = place.refresh(), datetime.now(UTC)
    one = place.version(refresh)
    versions = [replace(one, id=f"v{n}", partition=f"p{n:04}") for n in range(800)]
    keys = [f"key{n}" for n in range(6000)]
    place.ledger.record_candidates(refresh, versions)
    place.ledger.record_results([result(refresh, key, passed=True, at=at) for key in keys])
    place.ledger.record_results([result(refresh, key, passed=True, at=at) for key in keys])
    assert len(place.ledger.results(keys)) == 6000
    assert [v.id for v in place.ledger.candidates(refresh)["orders"].values()] == [v.id for v in versions]
    assert (datetime.now(UTC) - at).total_seconds() < 20


def test_moments_are_kept_in_utc(place):
    """A moment comes back as the same instant in UTC, whatever zone it was given in; without one it is UTC."""
    refresh = place.refresh()
    tokyo = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))
    made = replace(place.version(refresh, created_at=tokyo), valid_thru=datetime(2026, 1, 1))  # noqa: DTZ001
    place.ledger.record_candidates(refresh, [made])
    found = place.ledger.versions([made.id])[made.id]
    midnight = datetime(2026, 1, 1, tzinfo=UTC)
    assert (found.created_at, found.valid_thru) == (midnight, midnight)
    assert found.created_at.tzinfo is UTC


def test_contracts_are_found_by_id(place):
    """A contract id leads to the contract that the head pins, by major where several live side by side."""
    place.release()
    refresh = place.refresh("shop/orders@v2")
    made = place.version(refresh)
    digest = place.contract("shop/orders@v2", "orders", "second", version="2.0.0")
    made = replace(made, contract_hash=digest)
    place.ledger.record_candidates(refresh, [made])
    release = publish(place.ledger, place.store, place.draft(refresh, made))
    newest, first = (place.ledger.find_contract("shop.orders.orders", major=major) for major in (None, 1))
    assert (newest.product, newest.version, newest.text) == ("shop/orders@v2", "2.0.0", "second")
    assert (first.product, first.release, first.table) == (ORDERS, 1, "orders")
    assert place.ledger.find_contract("shop.orders.orders", major=3) is None
    assert place.ledger.find_contract("nobody.knows") is None
    assert place.ledger.contracts(release) == {"orders": newest}
    assert place.ledger.products() == (ORDERS, "shop/orders@v2")


def test_consumed_candidates_replace_or_add(place):
    """A whole table's consumed files replace those of its last attempt; a partition's are added."""
    refresh = place.refresh()
    files = [Consumed("orders", "csv", f"{name}.csv", 1, name * 64) for name in "abc"]
    place.ledger.record_candidates(refresh, [place.version(refresh)], files[:1])
    place.ledger.record_candidates(refresh, [place.version(refresh)], files[1:2])
    assert place.ledger.consumed_candidates(refresh) == (files[1],)
    place.ledger.record_candidates(refresh, [place.version(refresh, partition="2026-01-01")], [files[2], files[2]])
    assert place.ledger.consumed_candidates(refresh) == (files[1], files[2])


def test_an_unknown_release_is_named(place):
    """Asking for a release that was never published tells which were."""
    assert place.ledger.head(ORDERS) is None
    assert place.ledger.releases(ORDERS) == ()
    place.release()
    with pytest.raises(UnknownNameError, match="Known: 1"):
        place.ledger.release(ORDERS, 7)
    with pytest.raises(UnknownNameError, match="Known: 1"):
        place.ledger.open_rollback("r", ORDERS, to=7, run_id="r")


def test_readers_see_one_state(tmp_path):
    """A reader's transaction on PostgreSQL is not disturbed by what is committed meanwhile; SQLite makes them wait."""
    count = sa.select(sa.func.count()).select_from(ledger_schema.release)
    with shop(tmp_path, database()) as place, reading(place.ledger._engine) as con:
        before = con.execute(count).scalar()
        place.release()
        assert con.execute(count).scalar() == before == 0


def _set_revision(url, revision):
    engine = connect(url, ledger_schema.BRANCH)
    with writing(engine) as con:
        con.execute(sa.text(f"UPDATE {ledger_schema.BRANCH.version_table} SET version_num = '{revision}'"))
    engine.dispose()
