"""Relational state on SQLite or PostgreSQL: connections, transactions and migrations of a branch of the schema."""

from __future__ import annotations

from dataproducts.database.branch import Branch, UtcDateTime, as_utc
from dataproducts.database.connect import connect, name_of, reading, writing
from dataproducts.database.migrate import make_ready, migrate

__all__ = ["Branch", "UtcDateTime", "as_utc", "connect", "make_ready", "migrate", "name_of", "reading", "writing"]
