"""What is known of files and versions without reading them: facts of columns, policies that acted, profiles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what was written before has none of these facts and is read instead."""
    op.add_column("version", sa.Column("treated", sa.JSON()))
    op.add_column("version", sa.Column("profile", sa.JSON()))
    op.add_column("version_file", sa.Column("columns", sa.JSON()))
