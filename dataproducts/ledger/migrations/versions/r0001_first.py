"""The first schema: refreshes, versions, results, releases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, primary_key=key)


def _hash(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=False, primary_key=key)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _number(name: str = "number", *, key: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, primary_key=key, autoincrement=False)


def _of_release(name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["product", "number"], ["release.product", "release.number"], name=name)


def upgrade() -> None:
    """Make every table."""
    _make_refreshes()
    _make_versions()
    _make_verdicts()
    _make_releases()
    _make_sources()


def _make_refreshes() -> None:
    op.create_table(
        "refresh",
        _text("refresh_id", key=True),
        _text("product", key=True),
        sa.Column("base", sa.Integer()),
        sa.Column("pins", sa.JSON(), nullable=False),
        _text("run_id"),
        _moment("started_at"),
    )
    op.create_table(
        "attempt",
        _text("refresh_id", key=True),
        _text("product", key=True),
        _text("table_name", key=True),
        _text("partition_key", key=True),
        _text("state"),
        _text("message"),
    )


def _make_versions() -> None:
    op.create_table(
        "version",
        _text("id", key=True),
        _text("product"),
        _text("table_name"),
        _text("partition_key"),
        _text("state"),
        sa.Column("row_count", _BIG, nullable=False),
        sa.Column("columns", sa.JSON(), nullable=False),
        _hash("contract_hash"),
        _text("code_version"),
        _text("refresh_id"),
        _text("run_id"),
        _moment("created_at"),
        _moment("valid_thru", nullable=True),
        sa.Column("quarantined", sa.JSON(), nullable=False),
    )
    op.create_index("version_by_refresh", "version", ["refresh_id", "product"])
    op.create_index("version_by_state", "version", ["state", "product"])
    op.create_table(
        "version_file",
        _text("version_id", key=True),
        _number("position"),
        sa.Column("quarantine", sa.Boolean(), nullable=False),
        _text("path"),
        sa.Column("bytes", _BIG, nullable=False),
        _hash("sha256"),
        sa.Column("row_count", _BIG, nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name="file_of_version"),
    )
    op.create_index("version_file_by_path", "version_file", ["path"])


def _make_verdicts() -> None:
    op.create_table(
        "result",
        sa.Column("id", _BIG, primary_key=True, autoincrement=True),
        _text("result_key"),
        _text("product"),
        _text("table_name"),
        sa.Column("partition_key", sa.Text()),
        _text("rule"),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("blocking", sa.Boolean(), nullable=False),
        _text("refresh_id"),
        _text("run_id"),
        _moment("judged_at"),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.UniqueConstraint("result_key", "refresh_id", name="one_result_a_refresh"),
    )
    op.create_index("result_by_rule", "result", ["product", "table_name", "rule", "id"])
    op.create_table(
        "contract",
        _hash("hash", key=True),
        _text("product", key=True),
        _text("table_name", key=True),
        _text("contract_id"),
        _text("contract_version"),
        _text("text"),
    )
    op.create_index("contract_by_id", "contract", ["contract_id"])


def _make_releases() -> None:
    op.create_table(
        "release",
        _text("product", key=True),
        _number(),
        _text("draft_key"),
        _text("kind"),
        sa.Column("base", sa.Integer()),
        _text("refresh_id"),
        _text("run_id"),
        _moment("published_at"),
        _text("git_sha"),
        _text("note"),
        sa.Column("retained", sa.Boolean(), nullable=False),
        sa.UniqueConstraint("draft_key", name="one_release_a_draft"),
    )
    op.create_table(
        "release_item",
        _text("product", key=True),
        _number(),
        _text("table_name", key=True),
        _text("partition_key", key=True),
        _text("version_id"),
        _of_release("item_of_release"),
        sa.ForeignKeyConstraint(["version_id"], ["version.id"], name="version_of_item"),
    )
    op.create_index("release_item_by_version", "release_item", ["version_id"])
    op.create_table(
        "release_contract",
        _text("product", key=True),
        _number(),
        _text("table_name", key=True),
        _hash("hash"),
        _of_release("contract_of_release"),
    )
    op.create_table(
        "release_input",
        _text("product", key=True),
        _number(),
        _text("upstream", key=True),
        _number("upstream_number", key=False),
        _of_release("input_of_release"),
    )
    op.create_index("release_input_by_upstream", "release_input", ["upstream", "upstream_number"])
    op.create_table("head", _text("product", key=True), _number(key=False), _of_release("release_of_head"))


def _make_sources() -> None:
    op.create_table(
        "consumed_candidate",
        _text("refresh_id", key=True),
        _text("product", key=True),
        _text("table_name", key=True),
        _text("source", key=True),
        _text("path", key=True),
        sa.Column("bytes", _BIG, nullable=False),
        _hash("sha256"),
    )
    op.create_table(
        "consumed",
        _text("product", key=True),
        _number(),
        _text("table_name", key=True),
        _text("source", key=True),
        _text("path", key=True),
        sa.Column("bytes", _BIG, nullable=False),
        _hash("sha256"),
        _of_release("consumed_by_release"),
    )
    op.create_table(
        "cursor",
        _text("product", key=True),
        _number(),
        _text("source", key=True),
        _text("value"),
        _of_release("cursor_of_release"),
    )


def downgrade() -> None:
    """Refuse: a ledger is never taken back, since that would lose what it recorded."""
    raise NotImplementedError("a ledger is not downgraded")
