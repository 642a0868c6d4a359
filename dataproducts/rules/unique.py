"""Counting repeated keys by the cheapest exact proof; it must not know which rows they are.

A key of whole numbers or days from a dense range needs one bit a value. A key that only ever grows needs one
comparison a row. Any other key is counted in a hash table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from dataproducts.rules.predicates import JUDGED, Family, family, judged, surplus
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.product import Rule, Table
    from dataproducts.rules.facts import Facts, Rows

DENSE = "dense range"
GROWING = "growing key"
HASHED = "hash table"

_MOST_BITS = 1_000_000_000  # DuckDB's limit for one bitstring; 125 MB a thread
_BITS_A_ROW = 64  # a hash table keeps more than that for each key
_FEWEST_ROWS = 200_000
_PROBED = 20_000
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "DATE")


def count_surplus(con: duckdb.DuckDBPyConnection, rule: Rule, table: Table, rows: Rows) -> tuple[int, str]:
    """Return the number of `rows` beyond the first of each key, and how it was found.

    A key with a NULL is no duplicate. Raises: duckdb.Error.
    """
    relation, facts = rows.sql, rows.facts
    if facts is not None and all(name in facts.types for name in rule.columns):
        found = _dense(con, rule, relation, facts)
        if found is not None:
            return found, DENSE
        if facts.rows >= _FEWEST_ROWS and _grows(con, rule, relation, facts):
            return 0, GROWING
    return _number(con, surplus(rule, table, relation)), HASHED


@dataclass(frozen=True, slots=True)
class _Axis:
    """One column of the key, as whole numbers from 0 to `size` - 1."""

    sql: str
    size: int


def _dense(con: duckdb.DuckDBPyConnection, rule: Rule, relation: str, facts: Facts) -> int | None:
    """The surplus, by one bit for each possible key; None if the keys are not dense enough, or the facts are wrong."""
    axes = [_axis(con, name, facts) for name in rule.columns]
    bits, place = 1, "0"
    for axis in axes:
        if axis is None:
            return None
        bits *= axis.size
        place = f"({place} * {axis.size} + {axis.sql})" if place != "0" else axis.sql
    if bits > min(_MOST_BITS, _BITS_A_ROW * max(facts.rows, 1024)):
        return None
    query = (
        f"SELECT count({place}) - coalesce(bit_count(bitstring_agg({place}, 0::BIGINT, {bits - 1}::BIGINT)), 0) "
        f"FROM {judged(relation)}"
    )
    try:
        return _number(con, query)
    except duckdb.OutOfRangeException:
        return None


def _axis(con: duckdb.DuckDBPyConnection, name: str, facts: Facts) -> _Axis | None:
    kind, ends = facts.types[name], facts.ends(name)
    if kind not in _WHOLE or not ends:
        return None
    listed = f"(SELECT unnest(CAST({literal(list(ends))} AS {kind}[])) AS found)"
    try:
        low, high = con.execute(
            f"SELECT min({_whole('found', kind)}), max({_whole('found', kind)}) FROM {listed}"
        ).fetchall()[0]
    except duckdb.Error:  # an infinite day is no number
        return None
    return _Axis(f"({_whole(qualified(JUDGED, name), kind)} - {low})", int(high) - int(low) + 1)


def _whole(sql: str, kind: str) -> str:
    return f"({sql} - DATE '1970-01-01')" if kind == "DATE" else f"{sql}::BIGINT"


def _grows(con: duckdb.DuckDBPyConnection, rule: Rule, relation: str, facts: Facts) -> bool:
    """Whether the key of each row lies above that of the row before; looked at closely only if the first rows do."""
    if len(rule.columns) != 1 or facts.nulls(rule.columns[0]) != 0:
        return False
    name = rule.columns[0]
    if family(facts.types[name]) not in {Family.EXACT, Family.TEMPORAL, Family.TEXT}:
        return False
    first = f"(SELECT * FROM {relation} LIMIT {_PROBED})"
    return _is_growing(con, name, first) and _is_growing(con, name, relation)


def _is_growing(con: duckdb.DuckDBPyConnection, name: str, relation: str) -> bool:
    # Rows are compared in whatever order the engine delivers them: if each lies above the one before, no two are
    # equal. There must be one first row alone, else threads compared among their own.
    pairs = f"SELECT {quote(name)} AS key, lag({quote(name)}) OVER () AS former FROM {relation}"
    row = con.execute(
        f"SELECT count(*) FILTER (WHERE former IS NULL) = 1 AND bool_and(key > former) FROM ({pairs})"
    ).fetchone()
    return bool(row and row[0])


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0


def overlapping(
    con: duckdb.DuckDBPyConnection, ours: tuple[Facts, Sequence[str]], theirs: tuple[Facts, Sequence[str]]
) -> list[int]:
    """Return the places of those files of `theirs` that may hold a key of `ours`, judged by least and greatest values.

    Each side names the columns of its key, in the same order. A file of which too little is known may hold it.
    Raises: duckdb.Error.
    """
    columns = ours[1]
    boxes = [_boxes(*side) for side in (ours, theirs)]
    if not all(boxes):
        return []
    names = ["place", *(f"{end}{n}" for n in range(len(columns)) for end in ("low", "high"))]
    listed = [", ".join(f"({', '.join(box)})" for box in side) for side in boxes]
    meet = " AND ".join(
        f"coalesce(theirs.low{n} <= ours.high{n} AND ours.low{n} <= theirs.high{n}, TRUE)" for n in range(len(columns))
    )
    query = (
        f"SELECT DISTINCT theirs.place FROM (VALUES {listed[1]}) AS theirs({', '.join(names)}) "
        f"JOIN (VALUES {listed[0]}) AS ours({', '.join(names)}) ON {meet} ORDER BY 1"
    )
    return [at for (at,) in con.execute(query).fetchall()]


def _boxes(facts: Facts, columns: Sequence[str]) -> list[list[str]]:
    """For each file that holds a key at all: its place, then the ends of each column as SQL, NULL where unknown."""
    found = []
    for at, (known, rows) in enumerate(zip(facts.files, facts.file_rows, strict=True)):
        box = [str(at)]
        for name in columns:
            of_column, kind = known.get(name), facts.types.get(name)
            if rows == 0 or (of_column is not None and of_column.nulls == rows):
                break  # every key has a NULL, and so no equal
            ends = (of_column.minimum, of_column.maximum) if of_column and kind else (None, None)
            box += [f"CAST({literal(end)} AS {kind})" if end is not None else "NULL" for end in ends]
        else:
            found.append(box)
    return found
