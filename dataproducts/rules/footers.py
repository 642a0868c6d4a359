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
    from collections.abc import Sequence
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
    groups = con.execute(
        f"SELECT path_in_schema, num_values, stats_null_count, stats_min_value, stats_max_value "
        f"FROM parquet_metadata({listed}) WHERE path_in_schema IN (SELECT unnest({literal(list(flat))}::VARCHAR[]))"
    ).fetchall()
    total = sum(int(rows) for _, rows in writers)
    ordered = _ORDERED | ({Family.FLOAT} if all(_TELLS_NAN.match(writer) for writer, _ in writers) else set())
    columns: dict[str, ColumnFacts] = {}
    for name, kind in flat.items():
        own = [group[1:] for group in groups if group[0] == name]
        found = _column_facts(con, own, kind if family(kind) in ordered else "", total)
        if found is not None:
            columns[name] = found
    return Facts(total, types, (columns,), (total,))


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
    con: duckdb.DuckDBPyConnection, groups: Sequence[tuple[int, int | None, str, str]], kind: str, total: int
) -> ColumnFacts | None:
    """The facts of one column from those of its row groups; None if they are absent or cannot be true.

    Without a `kind`, which the ends are to be read as, nothing is known of them.
    """
    if sum(values for values, *_ in groups) != total or any(nulls is None for _, nulls, *_ in groups):
        return None
    if any(not 0 <= (nulls or 0) <= values for values, nulls, *_ in groups):
        return None
    nulls = sum(nulls or 0 for _, nulls, *_ in groups)
    filled = [(low, high) for values, nulls, low, high in groups if nulls != values]
    if not kind or not filled or any(end is None for pair in filled for end in pair):
        return ColumnFacts(nulls)
    pairs = ", ".join(f"({literal(low)}, {literal(high)})" for low, high in dict.fromkeys(filled))
    low, high = (f"TRY_CAST({end} AS {kind})" for end in ("low", "high"))
    row = con.execute(
        f"SELECT min({low})::VARCHAR, max({high})::VARCHAR, count({low}) = count(*) AND count({high}) = count(*) "
        f"AND bool_and({low} <= {high}) FROM (VALUES {pairs}) AS ends(low, high)"
    ).fetchone()
    return ColumnFacts(nulls, *row[:2]) if row and row[2] else ColumnFacts(nulls)
