"""Columns as every branch of the schema writes them; it must not know any table."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Text

from dataproducts.database.branch import UtcDateTime

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits; SQLite numbers rows by themselves in a column of type INTEGER alone."""


def text(name: str, **options: Any) -> Column[Any]:
    """Return a column of text that is always there; `options` go to SQLAlchemy's Column."""
    return Column(name, Text(), nullable=False, **options)


def moment(name: str) -> Column[Any]:
    """Return a column for a moment that is always known."""
    return Column(name, UtcDateTime(), nullable=False)


def maybe(name: str) -> Column[Any]:
    """Return a column for a moment that may not be known."""
    return Column(name, UtcDateTime())
