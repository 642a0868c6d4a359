"""Samples of rows that may be shown; it must not know how rows are found.

A column classified confidential, personal or restricted shows `***` instead of every value but NULL; so does one
that the contract does not name, for nobody has classified it. A classified STRUCT or list is masked whole.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError
from dataproducts.release import ColumnFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dataproducts.product import Column, Table
    from dataproducts.release import FileRef

CLASSIFIED = ("confidential", "personal", "restricted")
"""Classifications whose values are never shown."""

MASK = "***"
"""What is shown instead of a classified value."""

# A contract of somebody else's may say `PII`, or `Personal Data (GDPR)`: what sounds like ours is masked as well.
_SOUNDS_CLASSIFIED = re.compile(r"confidential|personal|restricted|private|secret|sensitive|\b(pii|phi|spi)\b")

_LONGEST = 200


def _is_classified(column: Column) -> bool:
    """Return whether the values of `column` itself are masked."""
    return _SOUNDS_CLASSIFIED.search(column.classification.lower()) is not None


def holds_classified(columns: Iterable[Column]) -> bool:
    """Return whether any of `columns`, or of the columns inside them, is masked."""
    return any(
        _is_classified(c) or holds_classified(c.properties) or (c.items is not None and holds_classified((c.items,)))
        for c in columns
    )


def discreet(file: FileRef, table: Table) -> FileRef:
    """Return `file` without the least and the greatest value of classified columns: a ledger keeps no birth date."""
    hidden = {c.name for c in table.columns if _is_classified(c)} & file.columns.keys()
    kept = {name: ColumnFacts(facts.nulls) if name in hidden else facts for name, facts in file.columns.items()}
    return replace(file, columns=kept) if hidden else file


def mask(row: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """Return `row`, a mapping of JSON values, with classified values masked and long text cut to 200 characters."""
    return _mask_fields(row, table.columns)


def mask_error(error: BaseException, table: Table) -> str:
    """Return the first line of what `error` says, as far as it can be shown to anyone.

    Our own errors, and the engine's about names, syntax, files and memory, quote declarations at most. All others may
    quote data: of them the kind is told, and of those about values, where `table` has no classified column, the text
    without what it quotes and without numbers. A rule may have read other tables, whose columns nobody knows here.
    """
    first = (str(error).strip() or type(error).__name__).split("\n", maxsplit=1)[0]
    if isinstance(error, _OF_DECLARATIONS):
        return first
    if isinstance(error, duckdb.DataError) and not holds_classified(table.columns):
        return without_values(first)
    return f"{type(error).__name__}, whose text may quote data and is not shown"


def without_values(message: str) -> str:
    """Return an engine's message about values without what it quotes and without the numbers in it."""
    return re.sub(r"(?<![A-Za-z_0-9])[-+]?\d[\d.,:eE+-]*", MASK, re.sub(r"(['\"]).*\1", MASK, message))


_OF_DECLARATIONS = (
    DataProductError,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.ParserException,
    duckdb.IOException,
    duckdb.OutOfMemoryException,
    duckdb.NotImplementedException,
)


def _mask_fields(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    known = {column.name: column for column in columns}
    return {name: _mask_value(value, known.get(name)) for name, value in row.items()}


def _mask_value(value: Any, column: Column | None) -> Any:
    if value is None:
        return None
    if column is None or _is_classified(column):
        return MASK
    if isinstance(value, dict):
        # A struct, or a map, whose fields the contract does not name is as classified as the column itself.
        return _mask_fields(value, column.properties) if column.properties else value
    if isinstance(value, list):
        return [_mask_value(item, column.items) for item in value] if column.items else value
    return value[:_LONGEST] if isinstance(value, str) else value
