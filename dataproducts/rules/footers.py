"""What the footers of foreign Parquet files tell, and whether to believe them; it must not read rows or judge.

Statistics of the writers below are sound for whole numbers, decimals, dates and timestamps. Those of binary fractions
leave out NaN, which lies above every number: DuckDB skips row groups by them, and loses such rows from every `WHERE`.
DuckDB alone writes no least and greatest value of a row group with a NaN (or an infinity).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dataproducts.release import ColumnFacts
from dataproducts.rules.facts import Facts
from dataproducts.rules.predicates import Family, family
from dataproducts.sql import file_patterns, literal
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import duckdb

GUARD = "statistics_propagation,filter_pushdown,row_group_pruner,join_filter_pushdown"
"""Optimizers of DuckDB that believe a file's statistics: to be disabled where these deserve no trust."""

_DUCKDB = "DuckDB version v"
# Older ones compared unsigned and signed values alike (PARQUET-686) or wrote what is not there (PARQUET-251, 1222).
_SOUND = re.compile(
    rf"^({_DUCKDB}|parquet-cpp-arrow version ([6-9]|\d\d)|parquet-mr version 1\.1[1-9]|parquet-rs version |Polars)"
)
# Tried with 1.5 and 2.0 by the tests; what wrote 1.4 is the same.
_TELLS_NAN = re.compile(rf"^{_DUCKDB}(1\.[4-9]|[2-9]|\d\d)")
_ORDERED = {Family.EXACT, Family.TEMPORAL}
_FRACTIONS = {"FLOAT", "DOUBLE", "FLOAT16"}


def guard(con: duckdb.DuckDBPyConnection, paths: Sequence[Path], *, always: bool = False) -> None:
    """Let `con` believe no statistics any more, if those of `paths` deserve no trust, or `always`.

    Raises: duckdb.Error, if a file cannot be read.
    """
    listed = file_patterns(paths)
    writers = [
        row[0] or "" for row in con.execute(f"SELECT created_by FROM parquet_file_metadata({listed})").fetchall()
    ]
    is_doubtful = always or not all(_SOUND.match(writer) for writer in writers)
    if not is_doubtful and not all(writer.startswith(_DUCKDB) for writer in writers):
        kinds = con.execute(f"SELECT DISTINCT duckdb_type FROM parquet_schema({listed})").fetchall()
        is_doubtful = any(kind in _FRACTIONS for (kind,) in kinds)
    if is_doubtful:
        con.execute("SET disabled_optimizers = ?", [GUARD])


def parquet_facts(con: duckdb.DuckDBPyConnection, paths: Sequence[Path]) -> Facts | None:
    """Return what the footers of foreign Parquet files tell; None if one of the writers deserves no trust.

    Files that differ in a column's name or type tell nothing: the engine casts what their footers show as text.
    Raises: duckdb.Error, if a file cannot be read.
    """
    listed = file_patterns(paths)
    writers = con.execute(f"SELECT created_by, num_rows FROM parquet_file_metadata({listed})").fetchall()
    types = columns_of(con, f"read_parquet({listed}, hive_partitioning = FALSE)")
    if not all(_SOUND.match(written or "") for written, _ in writers) or not _are_alike(con, listed, list(types)):
        return None
    flat = {name: kind for name, kind in types.items() if family(kind) is not Family.OTHER and ", " not in name}
    total = sum(int(rows) for _, rows in writers)
    ordered = _ORDERED | ({Family.FLOAT} if all(_TELLS_NAN.match(writer) for writer, _ in writers) else set())
    kinds = {name: kind if family(kind) in ordered else "" for name, kind in flat.items()}
    return Facts(total, types, (_column_facts(con, listed, kinds, total),), (total,))


def _are_alike(con: duckdb.DuckDBPyConnection, listed: str, names: list[str]) -> bool:
    """Whether all files have the very same columns, called as the engine calls them."""
    files: dict[str, list[tuple[object, ...]]] = {}
    shape = "file_name, name, num_children, duckdb_type, converted_type, logical_type"
    for file, *column in con.execute(f"SELECT {shape} FROM parquet_schema({listed})").fetchall():
        files.setdefault(file, []).append(tuple(column))
    first = next(iter(files.values()), [])
    return all(columns == first for columns in files.values()) and _top(first) == names


def _top(columns: Sequence[tuple[object, ...]]) -> list[object]:
    """Names of the columns that lie in no other; a schema lists each before those inside it."""
    found: list[object] = []
    inside = 0  # how many entries still belong to the column at hand
    for name, children, *_ in columns[1:]:
        if inside == 0:
            found.append(name)
            inside = 1
        inside += (int(str(children)) if children else 0) - 1
    return found


def _column_facts(
    con: duckdb.DuckDBPyConnection, listed: str, kinds: Mapping[str, str], total: int
) -> dict[str, ColumnFacts]:
    """The facts of each column from those of its row groups, where they are there and can be true.

    `kinds` says what to read the ends of each column as; of one without a kind, nothing is known of them.
    """
    ordered = sorted({kind for kind in kinds.values() if kind})
    ends = [_ends(kind, [name for name in kinds if kinds[name] == kind]) for kind in ordered]
    groups = (
        "SELECT path_in_schema AS name, num_values AS rows, stats_null_count AS nulls, stats_min_value AS low, "
        f"stats_max_value AS high FROM parquet_metadata({listed}) "
        f"WHERE path_in_schema IN (SELECT unnest({literal(list(kinds))}::VARCHAR[]))"
    )
    counts = "name, sum(rows), sum(nulls), bool_and(coalesce(nulls BETWEEN 0 AND rows, FALSE))"
    rows = con.execute(f"SELECT {', '.join([counts, *ends])} FROM ({groups}) GROUP BY name").fetchall()
    found = {} if total else dict.fromkeys(kinds, ColumnFacts(0))
    for name, values, nulls, is_plausible, *told in rows:
        if values == total and is_plausible:
            known = told[ordered.index(kinds[name])] if kinds[name] else None
            found[name] = ColumnFacts(int(nulls), *(known or ()))
    return found


def _ends(kind: str, names: Sequence[str]) -> str:
    """The least and the greatest end, as text, of the groups that hold a value; NULL if one is absent or untrue."""
    # Of columns of another type nothing is cast: it would fail, and each failure takes a microsecond to word.
    theirs = f"name IN ({', '.join(map(literal, names))})"
    low, high = (f"TRY_CAST(CASE WHEN {theirs} THEN {end} END AS {kind})" for end in ("low", "high"))
    filled = "FILTER (WHERE nulls <> rows)"
    return (
        f"CASE WHEN bool_and(coalesce({low} <= {high}, FALSE)) {filled} "
        f"THEN [min({low}) {filled}::VARCHAR, max({high}) {filled}::VARCHAR] END"
    )
