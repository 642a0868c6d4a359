"""Ledgers of every earlier revision are brought up to date with all that they hold, on both databases."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from dataproducts.database import connect, reading, writing
from dataproducts.errors import StoreError
from dataproducts.ledger import Ledger, migrate, schema
from tests.ledgers import FROZEN, contents, migrate_to, missing, rows_of, schema_of, thaw
from tests.postgres import database
from tests.releasing import ORDERS, shop, sqlite

NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "9001", "{newest}"


def upgrade():
    with op.batch_alter_table("version") as table:
        table.add_column(sa.Column("colour", sa.Text(), nullable=False, server_default="grey"))
    op.execute("UPDATE version SET colour = 'green' WHERE state = 'released'")
    {then}
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of a ledger that does not exist yet."""
    return sqlite(tmp_path) if request.param == "sqlite" else database()


def add_revision(tmp_path, monkeypatch, then="pass"):
    """Let the library know one revision more than it has."""
    shutil.copytree(schema.BRANCH.scripts, tmp_path / "migrations")
    script = NEXT.format(newest=schema.BRANCH.revisions[-1], then=then)
    (tmp_path / "migrations/versions/r9001_next.py").write_text(script)
    revisions = (*schema.BRANCH.revisions, "9001")
    known = dataclasses.replace(schema.BRANCH, scripts=tmp_path / "migrations", revisions=revisions)
    monkeypatch.setattr(schema, "BRANCH", known)
    monkeypatch.setattr(Ledger, "branch", known)


def test_every_revision_is_frozen():
    """Each revision has a ledger frozen at it: `python -m tests.ledgers` makes that of a new one."""
    assert list(schema.BRANCH.revisions) == sorted(path.stem for path in FROZEN.glob("*.sql"))


@pytest.mark.parametrize("revision", schema.BRANCH.revisions)
def test_a_migration_that_was_released_stays(revision, tmp_path):
    """The migrations up to a revision still make the very schema that was frozen at it, with rows in each table."""
    thaw(revision, sqlite(tmp_path / "frozen"))
    engine = connect(sqlite(tmp_path / "made"), schema.BRANCH)
    with writing(engine) as con:
        migrate_to(con, revision)
    paths = [tmp_path / name / "store/ledger.sqlite" for name in ("frozen", "made")]
    with closing(sqlite3.connect(paths[0])) as frozen, closing(sqlite3.connect(paths[1])) as made:
        assert schema_of(frozen) == schema_of(made)
    assert [name for name, rows in rows_of(sqlite(tmp_path / "frozen")).items() if not rows] == []


@pytest.mark.parametrize("revision", schema.BRANCH.revisions)
def test_an_upgrade_keeps_everything(revision, url, tmp_path):
    """A ledger of any revision tells the same after the upgrade, has the newest schema, and takes a new release."""
    thaw(revision, url)
    if revision != schema.BRANCH.revisions[-1]:
        with pytest.raises(StoreError, match="run `dataproducts migrate`"):
            Ledger.open(url)
    assert migrate(url) == (revision, schema.BRANCH.revisions[-1])
    expected = json.loads((FROZEN / f"{revision}.json").read_text(encoding="utf-8"))
    assert missing(expected, contents(url)) == []
    engine = connect(url, schema.BRANCH)
    with reading(engine) as con:
        context = MigrationContext.configure(con, opts={"version_table": schema.BRANCH.version_table})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()
    with shop(tmp_path, url) as place:
        place.judge(place.refresh(), "k4")
        assert place.release().number == place.ledger.head(ORDERS).number == 4


def test_a_later_migration_finds_the_rows(url, tmp_path, monkeypatch):
    """A migration that adds a column and fills it changes nothing else, and runs once."""
    newest = schema.BRANCH.revisions[-1]
    thaw(newest, url)
    before = rows_of(url)
    add_revision(tmp_path, monkeypatch)
    with pytest.raises(StoreError, match=f"has schema {newest}, this version needs 9001"):
        Ledger.open(url)
    assert migrate(url) == (newest, "9001")
    assert migrate(url) == ("9001", "9001")
    after = rows_of(url)
    colours = [(row["state"], row.pop("colour")) for row in after["version"]]
    assert {("released", "green"), ("candidate", "grey")} == set(colours)
    before.pop(schema.BRANCH.version_table), after.pop(schema.BRANCH.version_table)
    assert before == after


def test_a_migration_that_fails_changes_nothing(url, tmp_path, monkeypatch):
    """A migration that fails half-way leaves schema, rows and revision as they were."""
    thaw(schema.BRANCH.revisions[-1], url)
    before = rows_of(url)
    add_revision(tmp_path, monkeypatch, then="op.execute('SELECT nonsense FROM nowhere')")
    with pytest.raises(StoreError, match="nowhere"):
        migrate(url)
    assert before == rows_of(url)


def test_a_fresh_ledger_runs_every_migration(url, tmp_path, monkeypatch):
    """A ledger that is made now has gone through all revisions."""
    add_revision(tmp_path, monkeypatch)
    Ledger.open(url).close()
    engine = connect(url, schema.BRANCH)
    with reading(engine) as con:
        assert con.execute(sa.text(f"SELECT version_num FROM {schema.BRANCH.version_table}")).scalar() == "9001"
    engine.dispose()
