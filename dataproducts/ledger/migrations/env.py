"""Runs migrations on the connection that `ledger.migrate` opened; it must not open one of its own."""

from __future__ import annotations

from alembic import context

from dataproducts.ledger.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
# The caller's transaction encloses all of it.
context.run_migrations()
