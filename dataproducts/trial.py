"""What DuckDB says of types, patterns, queries and relations without reading a row; it must not know their purpose."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import duckdb

from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.product import Column

_LENT: ContextVar[duckdb.DuckDBPyConnection | None] = ContextVar("_LENT", default=None)


def columns_of(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Return the type of each column of `relation` (SQL that can follow FROM) without running it."""
    return {row[0]: row[1] for row in con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}


def declared_types(con: duckdb.DuckDBPyConnection, columns: Sequence[Column]) -> dict[str, str]:
    """Return the type of each declared column as DuckDB spells it: `VARCHAR` where a contract says `text`."""
    if not columns:
        return {}
    types = {column.name: column.sql_type for column in columns}  # a contract that stands alone may repeat a name
    listed = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in types.items())
    return columns_of(con, f"(SELECT {listed})")


def type_name(spelling: str) -> str | None:
    """Return a type as DuckDB spells it; None if it knows none of that name."""
    try:
        with database().cursor() as con:
            return str(con.dtype(spelling))
    except duckdb.Error:
        return None


@lru_cache(maxsize=1024)
def pattern_problem(pattern: str) -> str:
    """Return why DuckDB cannot use a regular expression, in one line; empty if it can."""
    try:
        with database().cursor() as con:
            con.execute("SELECT regexp_matches('', ?)", [pattern]).fetchone()
    except duckdb.Error as error:
        return _first_line(error)
    return ""


def bind_problem(query: str, relations: Mapping[str, Mapping[str, str]]) -> str:
    """Return why DuckDB cannot run `query`, in one line; empty if it can.

    `relations` gives for each table that the query reads its columns and their types. Nothing is read: the tables
    are empty and the query is planned, not run.
    """
    return _bind_problem(query, tuple((name, tuple(columns.items())) for name, columns in relations.items()))


@lru_cache(maxsize=1024)
def _bind_problem(query: str, relations: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> str:
    with database().cursor() as con:  # temporary tables are the cursor's own
        try:
            for name, columns in relations:
                typed = ", ".join(f"{quote(column)} {kind}" for column, kind in columns)
                con.execute(f"CREATE TEMP TABLE {quote(name)} ({typed})")
        except duckdb.Error:
            return ""  # columns that no table can have are faults of their own
        try:
            con.execute(f"EXPLAIN {query}")
        except duckdb.Error as error:
            return _first_line(error)
    return ""


def _first_line(error: duckdb.Error) -> str:
    return " ".join(str(error).split("\n\nLINE")[0].split())


def database() -> duckdb.DuckDBPyConnection:
    """Return the connection that questions are put to, without data; take a cursor of it for each."""
    lent = _LENT.get()
    return _own_database() if lent is None else lent


@contextmanager
def ask(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Put the questions of the block to `con`, which holds no table yet: to open another takes 20 ms."""
    token = _LENT.set(con)
    try:
        yield
    finally:
        _LENT.reset(token)


@cache
def _own_database() -> duckdb.DuckDBPyConnection:
    # One for the process, of one thread and without data: to open one takes 20 ms, a cursor of it 0.4 ms.
    return duckdb.connect(config={"threads": 1})
