"""Samples of rows that may be shown; it must not know how rows are found.

A column classified confidential, personal or restricted shows `***` instead of every value but NULL; so does one
that the contract does not name, for nobody has classified it. A classified STRUCT or list is masked whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dataproducts.product import Column, Table

CLASSIFIED = ("confidential", "personal", "restricted")
"""Classifications whose values are never shown."""

_MASK = "***"
"""What is shown instead of a classified value."""

_LONGEST = 200


def _is_classified(column: Column) -> bool:
    """Return whether the values of `column` itself are masked."""
    return column.classification.strip().lower() in CLASSIFIED


def holds_classified(columns: Iterable[Column]) -> bool:
    """Return whether any of `columns`, or of the columns inside them, is masked."""
    return any(
        _is_classified(c) or holds_classified(c.properties) or (c.items is not None and holds_classified((c.items,)))
        for c in columns
    )


def mask(row: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return `row`, a mapping of JSON values, with classified values masked and long text cut to 200 characters."""
    return _mask_fields(row, table.columns)


def mask_error(error: BaseException, table: Table) -> str:
    """Return the first line of what `error` says; where `table` holds classified values, without what it quotes.

    Our own errors, and the engine's about names and syntax, quote declarations; all others may quote data.
    """
    first = (str(error).strip() or type(error).__name__).split("\n", maxsplit=1)[0]
    if isinstance(error, _OF_DECLARATIONS) or not holds_classified(table.columns):
        return first
    return re.sub(r"(['\"]).*\1", _MASK, first)


_OF_DECLARATIONS = (DataProductError, duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException)


def _mask_fields(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    known = {column.name: column for column in columns}
    return {name: _mask_value(value, known.get(name)) for name, value in row.items()}


def _mask_value(value: Any, column: Column | None) -> Any:
    if value is None:
        return None
    if column is None or _is_classified(column):
        return _MASK
    if isinstance(value, dict):
        # A struct, or a map, whose fields the contract does not name is as classified as the column itself.
        return _mask_fields(value, column.properties) if column.properties else value
    if isinstance(value, list):
        return [_mask_value(item, column.items) for item in value] if column.items else value
    return value[:_LONGEST] if isinstance(value, str) else value
