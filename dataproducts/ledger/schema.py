"""Tables of the ledger, as the newest migration leaves them; it must not know what is done with them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from dataproducts.database import Branch, UtcDateTime
from dataproducts.database.columns import BIG, moment, text

metadata = MetaData()

BRANCH = Branch(
    name="ledger",
    metadata=metadata,
    revisions=("0001", "0002"),
    scripts=Path(__file__).parent / "migrations",
    lock=0x64617461_70726F64,  # "dataprod"
    absent="Build a product first.",
)

# One attempt to make a release: what it started from.
refresh = Table(
    "refresh",
    metadata,
    text("refresh_id", primary_key=True),
    text("product", primary_key=True),
    Column("base", Integer()),
    Column("pins", JSON(), nullable=False),
    text("run_id"),
    moment("started_at"),
)

# How the last attempt at a table (partition '' is the table as a whole) ended, unless it ended well.
attempt = Table(
    "attempt",
    metadata,
    text("refresh_id", primary_key=True),
    text("product", primary_key=True),
    text("table_name", primary_key=True),
    text("partition_key", primary_key=True),
    text("state"),  # started, refused, unread or failed
    text("message"),
)

version = Table(
    "version",
    metadata,
    text("id", primary_key=True),
    text("product"),
    text("table_name"),
    text("partition_key"),
    text("state"),  # candidate, superseded, released, expired or removed
    Column("row_count", BIG, nullable=False),
    Column("columns", JSON(), nullable=False),
    Column("contract_hash", String(64), nullable=False),
    text("code_version"),
    text("refresh_id"),
    text("run_id"),
    moment("created_at"),
    Column("valid_thru", UtcDateTime()),
    Column("quarantined", JSON(), nullable=False),
    Column("treated", JSON()),
    Column("profile", JSON()),
    Index("version_by_refresh", "refresh_id", "product"),
    Index("version_by_state", "state", "product"),
)

version_file = Table(
    "version_file",
    metadata,
    text("version_id", primary_key=True),
    Column("position", Integer(), primary_key=True),
    Column("quarantine", Boolean(), nullable=False),
    text("path"),
    Column("bytes", BIG, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("row_count", BIG, nullable=False),
    Column("columns", JSON()),
    ForeignKeyConstraint(["version_id"], ["version.id"], name="file_of_version"),
    Index("version_file_by_path", "path"),
)

result = Table(
    "result",
    metadata,
    Column("id", BIG, primary_key=True, autoincrement=True),
    text("result_key"),
    text("product"),
    text("table_name"),
    Column("partition_key", Text()),
    text("rule"),
    Column("passed", Boolean(), nullable=False),
    Column("blocking", Boolean(), nullable=False),
    text("refresh_id"),
    text("run_id"),
    moment("judged_at"),
    Column("detail", JSON(), nullable=False),
    UniqueConstraint("result_key", "refresh_id", name="one_result_a_refresh"),
    Index("result_by_rule", "product", "table_name", "rule", "id"),
)

contract = Table(
    "contract",
    metadata,
    Column("hash", String(64), primary_key=True),
    text("product", primary_key=True),
    text("table_name", primary_key=True),
    text("contract_id"),
    text("contract_version"),
    text("text"),
    Index("contract_by_id", "contract_id"),
)

# The number follows the base's, so the primary key alone forbids two successors of one release.
release = Table(
    "release",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("draft_key"),
    text("kind"),
    Column("base", Integer()),
    text("refresh_id"),
    text("run_id"),
    moment("published_at"),
    text("git_sha"),
    text("note"),
    Column("retained", Boolean(), nullable=False),
    UniqueConstraint("draft_key", name="one_release_a_draft"),
)

release_item = Table(
    "release_item",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("table_name", primary_key=True),
    text("partition_key", primary_key=True),
    text("version_id"),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="item_of_release"),
    ForeignKeyConstraint(["version_id"], ["version.id"], name="version_of_item"),
    Index("release_item_by_version", "version_id"),
)

release_contract = Table(
    "release_contract",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("table_name", primary_key=True),
    Column("hash", String(64), nullable=False),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="contract_of_release"),
)

release_input = Table(
    "release_input",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("upstream", primary_key=True),
    Column("upstream_number", Integer(), nullable=False),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="input_of_release"),
    Index("release_input_by_upstream", "upstream", "upstream_number"),
)

head = Table(
    "head",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), nullable=False),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="release_of_head"),
)

# Files of sources that candidates were made from; they become `consumed` with the release, never before.
consumed_candidate = Table(
    "consumed_candidate",
    metadata,
    text("refresh_id", primary_key=True),
    text("product", primary_key=True),
    text("table_name", primary_key=True),
    text("source", primary_key=True),
    text("path", primary_key=True),
    Column("bytes", BIG, nullable=False),
    Column("sha256", String(64), nullable=False),
)

consumed = Table(
    "consumed",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("table_name", primary_key=True),
    text("source", primary_key=True),
    text("path", primary_key=True),
    Column("bytes", BIG, nullable=False),
    Column("sha256", String(64), nullable=False),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="consumed_by_release"),
)

cursor = Table(
    "cursor",
    metadata,
    text("product", primary_key=True),
    Column("number", Integer(), primary_key=True, autoincrement=False),
    text("source", primary_key=True),
    text("value"),
    ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name="cursor_of_release"),
)
