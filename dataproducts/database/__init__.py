"""Relational state on SQLite or PostgreSQL: connections, transactions and migrations of a branch of the schema."""

from __future__ import annotations

from dataproducts.database.branch import Branch, UtcDateTime, as_utc
from dataproducts.database.connect import connect, name_of, reading, writing
from dataproducts.database.migrate import migrate
from dataproducts.database.opened import Opened

__all__ = ["Branch", "Opened", "UtcDateTime", "as_utc", "connect", "migrate", "name_of", "reading", "writing"]
