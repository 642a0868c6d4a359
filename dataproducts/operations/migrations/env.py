"""Runs migrations on the connection that `database.migrate` opened; it must not open one of its own."""

from __future__ import annotations

from alembic import context

from dataproducts.operations.schema import BRANCH

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=BRANCH.metadata,
    version_table=BRANCH.version_table,
    render_as_batch=True,
)
# The caller's transaction encloses all of it.
context.run_migrations()
