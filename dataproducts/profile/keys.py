"""Which columns tell every row from every other: candidate keys, proved, and rows that repeat; it must not know names.

A column is a key if it is never NULL and never repeats. Pairs are looked for among the other columns: those whose
distinct values could tell the rows apart at all, the likeliest first, first on some rows (a repeat there settles it),
then on all.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from dataproducts.profile.column import kind_of
from dataproducts.rules.predicates import Family
from dataproducts.sql import quote, quote_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from dataproducts.profile.model import ColumnProfile, TableProfile

_FIRST_ROWS = 20_000
_MOST_TRIED, _MOST_PROVED, _MOST_PAIRS = 120, 12, 5
_NOT_KEYS = (Family.FLOAT, Family.BOOLEAN, Family.OTHER)


def candidate_keys(con: duckdb.DuckDBPyConnection, relation: str, table: TableProfile) -> tuple[tuple[str, ...], ...]:
    """Return the keys of `relation`: every single column that is one, then up to 5 pairs of columns that are none.

    Each was proved on all rows. No table without a row has a key.
    """
    if not table.rows:
        return ()
    full = [column for column in table.columns if not column.nulls and _may_be_key(column)]
    singles = [column for column in full if _is_unique(con, relation, column)]
    return (
        *((column.name,) for column in singles),
        *_pairs(con, relation, [c for c in full if c not in singles], table),
    )


def repeated(con: duckdb.DuckDBPyConnection, relation: str, table: TableProfile) -> TableProfile:
    """Return `table` with the number of rows that repeat another row: entirely, and apart from its only key."""
    singles = [key[0] for key in table.keys if len(key) == 1]
    names = [column.name for column in table.columns]
    if not singles:
        return replace(table, repeated_rows=_repeats(con, relation, names) if names else 0)
    table = replace(table, repeated_rows=0)
    rest = [name for name in names if name not in singles]
    if not rest or len(rest) < 2:  # noqa: PLR2004 - one column that repeats is no finding
        return table
    without = _repeats(con, relation, rest)
    return replace(table, repeated_apart_from=", ".join(singles), repeated_without_key=without)


def _repeats(con: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> int:
    columns = quote_all(names)
    row = con.execute(
        f"SELECT coalesce(sum(n - 1), 0)::BIGINT FROM (SELECT count(*) AS n FROM {relation} GROUP BY {columns})"
    ).fetchone()
    return int(row[0]) if row else 0


def _may_be_key(column: ColumnProfile) -> bool:
    return kind_of(column.sql_type) not in _NOT_KEYS


def _is_unique(con: duckdb.DuckDBPyConnection, relation: str, column: ColumnProfile) -> bool:
    if "distinct" not in column.approximate:
        # Text that reads as numbers may be one number in two spellings: keys are compared as they are stored.
        return column.distinct == column.rows or (
            column.sql_type != column.type and _holds(con, relation, (column.name,))
        )
    return (column.distinct or 0) >= 0.9 * column.rows and _holds(con, relation, (column.name,))


def _pairs(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[ColumnProfile], table: TableProfile
) -> list[tuple[str, ...]]:
    def reach(pair: tuple[ColumnProfile, ColumnProfile]) -> int:
        return (pair[0].distinct or 0) * (pair[1].distinct or 0)

    able = [pair for pair in itertools.combinations(columns, 2) if reach(pair) >= table.rows]
    able.sort(key=reach, reverse=True)
    names = [(left.name, right.name) for left, right in able[:_MOST_TRIED]]
    found: list[tuple[str, ...]] = []
    for pair in _not_disproved(con, relation, names)[:_MOST_PROVED]:
        if len(found) < _MOST_PAIRS and _holds(con, relation, pair):
            found.append(pair)
    return found


def _not_disproved(
    con: duckdb.DuckDBPyConnection, relation: str, pairs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Those pairs that do not repeat among the first rows."""
    if not pairs:
        return []
    tests = ", ".join(f"count(DISTINCT ({quote(left)}, {quote(right)})) = count(*)" for left, right in pairs)
    row = con.execute(f"SELECT {tests} FROM (SELECT * FROM {relation} LIMIT {_FIRST_ROWS})").fetchone() or ()
    return [pair for pair, holds in zip(pairs, row, strict=True) if holds]


def _holds(con: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> bool:
    columns = quote_all(names)
    found = con.execute(f"SELECT 1 FROM {relation} GROUP BY {columns} HAVING count(*) > 1 LIMIT 1").fetchall()
    return not found
