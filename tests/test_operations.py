"""The operations database: its schema, its revisions, and that a transaction is all or nothing, on both databases."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from dataproducts.database import connect, reading, writing
from dataproducts.errors import ConflictError, StoreError
from dataproducts.ledger import Ledger
from dataproducts.operations import Operations, bookmark, migrate, move_bookmark
from dataproducts.operations.schema import BRANCH
from tests.ledgers import migrate_to, schema_of
from tests.postgres import database
from tests.releasing import sqlite

FROZEN = Path(__file__).parent / "golden/operations"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of a database that does not exist yet."""
    return sqlite(tmp_path) if request.param == "sqlite" else database()


def test_the_migrations_make_the_schema(url):
    """The newest revision leaves the very tables that the library works with, and is known to it."""
    assert migrate(url) == ("", BRANCH.newest)
    assert migrate(url) == (BRANCH.newest, BRANCH.newest)
    engine = connect(url, BRANCH)
    with reading(engine) as con:
        context = MigrationContext.configure(con, opts={"version_table": BRANCH.version_table})
        assert compare_metadata(context, BRANCH.metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(BRANCH.scripts))
    scripts = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert list(BRANCH.revisions) == scripts[::-1]


@pytest.mark.parametrize("revision", BRANCH.revisions)
def test_a_migration_that_was_released_stays(revision, tmp_path):
    """The migrations up to a revision make the very schema that was kept when it was new, which is never kept again."""
    path = tmp_path / "made.sqlite"
    engine = connect(f"sqlite:///{path}", BRANCH)
    with writing(engine) as con:
        migrate_to(con, revision, BRANCH)
    engine.dispose()
    with closing(sqlite3.connect(path)) as made:
        found = "\n".join(sorted(schema_of(made))) + "\n"
    kept = FROZEN / f"{revision}.sql"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(found, encoding="utf-8")
        pytest.fail(f"{kept.name} was kept for the first time: commit it")
    assert found == kept.read_text(encoding="utf-8")


def test_a_bookmark_moves_with_its_transaction(url):
    """A block that raises leaves the bookmark where it was: what it made is gone, so it is to be read again."""
    with Operations.open(url) as operations:
        with operations.reading() as con:
            assert bookmark(con, "results") == ""
        with operations.writing() as con:
            move_bookmark(con, "results", "7", now=NOON)
        with pytest.raises(ConflictError):
            _move_and_fail(operations)
        with operations.reading() as con:
            assert bookmark(con, "results") == "7"


def test_an_absent_database_is_told(tmp_path):
    """Without leave to create, what is not there is an error that says what to do."""
    with pytest.raises(StoreError, match="there is no operations database"):
        Operations.open(sqlite(tmp_path), create=False)


def test_a_database_can_hold_the_ledger_too(url):
    """Both branches in one database keep their own revisions and do not stand in each other's way."""
    with Ledger.open(url) as ledger, Operations.open(url) as operations:
        with operations.writing() as con:
            move_bookmark(con, "results", "1", now=NOON)
        assert ledger.products() == ()
    assert migrate(url) == (BRANCH.newest, BRANCH.newest)


def _move_and_fail(operations: Operations) -> None:
    with operations.writing() as con:
        move_bookmark(con, "results", "9", now=NOON)
        con.execute(BRANCH.metadata.tables["bookmark"].insert().values(name="results", value="", at=NOON))
