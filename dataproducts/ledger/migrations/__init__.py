"""Alembic's environment for the ledger's schema."""
