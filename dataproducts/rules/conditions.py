"""Expressions over the columns of one row: what they may hold, and which columns they read; it must not judge rows.

An expression is harmless if it depends on the row alone: no query, no aggregate, no window, nothing of the clock, of
chance or of the session. The judgement is made on the syntax tree of DuckDB's own parser.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.rules.confine import table_names
from dataproducts.sql import quote
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMPARISONS = {
    "COMPARE_LESSTHAN": "<",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
"""Comparisons that a proof from least and greatest values understands, by DuckDB's name."""

_REFUSED = {
    "SUBQUERY": "a query in it reads more than one row: write a rule of type sql",
    "WINDOW": "a window function reads other rows: write a rule of type sql",
    "STAR": "`*` names no column: name the columns",
    "PARAMETER": "a parameter has no value: write the value",
    "POSITIONAL_REFERENCE": "`#` names no column: name the column",
    "DEFAULT": "DEFAULT has no value here: write the value",
}
_CLOCK = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_SESSION = re.compile(r"^(current_|session_user$|user$|pg_|has_|inet_)")
_START = len("SELECT ")
_TRIED = "_tried"


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression over one row.

    `sql` has every column qualified by an alias. `columns` are those that it reads, as the contract spells them and
    without repeats. `pair` is (left, operator, right) where it compares two columns and does nothing else.
    """

    sql: str
    columns: tuple[str, ...]
    pair: tuple[str, str, str] | None = None


def read_expression(written: str, known: tuple[str, ...], *, alias: str) -> Expression:
    """Return what `written` says of a row with the columns `known`, which it reads under `alias`.

    Raises:
        UsageError: it is no expression, or depends on more than the row.
        UnknownNameError: it names a column that is not there.
    """
    return _read(written, known, alias)


@lru_cache(maxsize=1024)
def _read(written: str, known: tuple[str, ...], alias: str) -> Expression:
    try:
        table_names(f"SELECT ({written}\n)")  # refuses what looks outside the rows
        bare = _tree(f"SELECT {written}\n")
    except UsageError as error:
        if named := _keywords(written, known):
            said = "; ".join(f"column {name} is called like a word of SQL: write {quote(name)}" for name in named)
            raise UsageError(said) from error
        raise
    if bare["from_table"]["type"] != "EMPTY" or len(bare["select_list"]) != 1 or bare["select_list"][0].get("alias"):
        raise UsageError("this is more than one expression: write one that is TRUE or FALSE")
    (top,) = bare["select_list"]
    spelt = {name.lower(): name for name in known}
    parameters = {name for names in _lambdas(top) for name in names}
    for name in parameters & spelt.keys():
        raise UsageError(f"the parameter {name!r} is called like a column: call it something else")
    places: dict[int, str] = {}
    for node in _walk(top):
        _refuse(node)
        if node.get("class") == "COLUMN_REF" and node["column_names"][0].lower() not in parameters:
            places[node["query_location"] - _START] = _column(node["column_names"], spelt, known)
    return Expression(
        _qualified(written, places, alias), tuple(dict.fromkeys(places[at] for at in sorted(places))), _pair(top, spelt)
    )


def _keywords(written: str, known: tuple[str, ...]) -> list[str]:
    """The columns that `written` names without quotes although SQL reserves their names."""
    reserved = {name.lower(): name for name in known if name.lower() in _reserved()}
    starts = (start for start, kind in duckdb.tokenize(written) if kind == duckdb.token_type.keyword)
    words = (re.match(r"\w*", written.encode()[start:].decode(errors="replace").lower()) for start in starts)
    return list(dict.fromkeys(reserved[word[0]] for word in words if word and word[0] in reserved))


@cache
def _reserved() -> frozenset[str]:
    """Words that name a column in quotes alone."""
    rows = database().cursor().execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'")
    return frozenset(str(name) for (name,) in rows.fetchall())


def _tree(query: str) -> dict[str, Any]:
    row = database().cursor().execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchone()
    found = json.loads(row[0]) if row else {}
    if found.get("error", True) or len(found["statements"]) != 1:
        raise UsageError(f"this is not one expression: {found.get('error_message', 'it cannot be read')}")
    node: dict[str, Any] = found["statements"][0]["node"]
    if node.get("type") != "SELECT_NODE" or any(
        node.get(key) for key in ("where_clause", "group_expressions", "having", "qualify", "sample", "modifiers")
    ):
        raise UsageError("this is more than one expression: write one that is TRUE or FALSE")
    return node


def _walk(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, list):
        for item in tree:
            yield from _walk(item)
    elif isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _walk(value)


def _lambdas(top: dict[str, Any]) -> Iterator[set[str]]:
    """Names of the parameters of each lambda: they are no columns."""
    for node in _walk(top):
        if node.get("class") == "LAMBDA":
            found = (inner["column_names"][0] for inner in _walk(node.get("lhs")) if inner.get("class") == "COLUMN_REF")
            yield {name.lower() for name in found}


def _refuse(node: Mapping[str, Any]) -> None:
    if node.get("class") in _REFUSED:
        raise UsageError(_REFUSED[node["class"]])
    name = str(node.get("function_name") or "").lower()
    if not name:
        return
    if node.get("schema") or node.get("catalog"):
        raise UsageError(f"write {name}({node.get('schema') or node.get('catalog')}), not the other way round")
    arguments = node.get("arguments") or node.get("children") or ()
    if name in _moody() or _SESSION.match(name) or (name == "age" and len(arguments) == 1):
        raise UsageError(f"function {name!r} does not depend on the row alone: a version is judged once, and for good")


@cache
def _moody() -> frozenset[str]:
    """Names of the functions that give another value at another time."""
    rows = (
        database()
        .cursor()
        .execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'")
    )
    return frozenset(str(name).lower() for (name,) in rows.fetchall())


def _column(names: list[str], spelt: Mapping[str, str], known: tuple[str, ...]) -> str:
    if names[0].lower() in spelt:
        return spelt[names[0].lower()]
    if names[0].lower() in _CLOCK:
        raise UsageError(f"{names[0]} does not depend on the row alone: a version is judged once, and for good")
    if len(names) > 1 and names[1].lower() in spelt:
        raise UsageError(f"{'.'.join(names)} names a table: name the column alone, {quote(names[1])}")
    raise UnknownNameError("column", names[0], known)


def _qualified(written: str, places: Mapping[int, str], alias: str) -> str:
    """The expression with the alias before each column; places are in bytes, as the parser counts."""
    text, prefix = written.encode(), f"{quote(alias)}.".encode()
    for at in sorted(places, reverse=True):
        text = text[:at] + prefix + text[at:]
    return text.decode()


def _pair(top: Mapping[str, Any], spelt: Mapping[str, str]) -> tuple[str, str, str] | None:
    sides = [top.get("left") or {}, top.get("right") or {}]
    if top.get("type") not in COMPARISONS or any(side.get("class") != "COLUMN_REF" for side in sides):
        return None
    names = [side["column_names"] for side in sides]
    if any(len(name) != 1 for name in names):
        return None
    return spelt[names[0][0].lower()], COMPARISONS[top["type"]], spelt[names[1][0].lower()]


def expression_problem(expression: Expression, types: Mapping[str, str], *, alias: str) -> str:
    """Return why DuckDB cannot tell whether `expression` holds for a row of these columns; empty if it can.

    `types` gives the SQL type of each column. It is tried on one row of NULLs, so that text which is to be a date is
    told at once.
    """
    typed = ", ".join(f"CAST(NULL AS {kind}) AS {quote(name)}" for name, kind in types.items())
    source = f"{quote(_TRIED)} AS {quote(alias)}"
    try:
        with database().cursor() as con:  # temporary tables are the cursor's own
            con.execute(f"CREATE TEMP TABLE {quote(_TRIED)} AS SELECT {typed}")
            con.execute(f"SELECT 1 FROM {source} WHERE ({expression.sql}\n)").fetchall()
            found = con.execute(f"DESCRIBE SELECT ({expression.sql}\n) FROM {source}").fetchall()
    except duckdb.Error as error:
        return " ".join(str(error).split("\n\nLINE")[0].split())
    kind = found[0][1]
    return "" if kind in ("BOOLEAN", '"NULL"') else f"it gives {kind}, which is neither TRUE nor FALSE"
