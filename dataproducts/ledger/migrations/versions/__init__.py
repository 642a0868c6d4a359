"""Revisions of the ledger's schema, one a module."""
