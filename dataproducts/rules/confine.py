"""Whether a query only reads, and only what it is given; it must not run the query or know why it is asked.

The judgement is made on the syntax tree of DuckDB's own parser, for a second parser could see another query than the
engine does. What is not known to be harmless is refused.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset({"BASE_TABLE", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION", "PIVOT"})
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
# Functions that look outside the rows: files, settings, variables, secrets, other queries, sequences.
_FORBIDDEN = re.compile(
    r"^(read_|scan_|sniff_|parquet_|iceberg_|delta_|sqlite_|postgres_|mysql_|duckdb_|pragma_|st_read|write_|http|"
    r"query$|query_table$|glob$|getenv$|getvariable$|current_setting$|which_secret$|nextval$|currval$|setseed$|"
    r"add_parquet_key$|force_checkpoint$|checkpoint$|current_query$|txid_current$|in_search_path$)"
)


@lru_cache(maxsize=4096)  # each refresh asks again of every query, and the answer follows from the text
def table_names(query: str) -> tuple[str, ...]:
    """Return the names of the tables that `query` reads, sorted; names that its own WITH makes do not count.

    Raises: UsageError, if `query` is anything but one SELECT that stays within tables given by bare names.
    """
    row = database().cursor().execute("SELECT json_serialize_sql($1::VARCHAR)", [query]).fetchone()
    tree = json.loads(row[0]) if row else {}
    if tree.get("error", True):
        why = tree.get("error_message", "it cannot be read")
        hint = ". A column that is called like a word of SQL stands in double quotes" if "syntax error" in why else ""
        raise UsageError(f"this is not one SELECT: {why}{hint}")
    if len(tree["statements"]) != 1:
        raise UsageError(f"these are {len(tree['statements'])} statements: give one SELECT")
    return tuple(sorted(set(_tables(tree["statements"][0], frozenset()))))


def confined(query: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Return the names of the tables that `query` reads, as `table_names`, all of them among `allowed`.

    Raises:
        UsageError: `query` is not one confined SELECT.
        UnknownNameError: it reads a table that is not allowed.
    """
    known = {name.lower(): name for name in allowed}
    names = table_names(query)
    for name in names:
        if name.lower() not in known:
            raise UnknownNameError("table", name, allowed)
    return tuple(known[name.lower()] for name in names)


def _tables(tree: Any, made: frozenset[str]) -> Iterator[str]:
    """Names of tables below `tree` that are not `made` by a WITH whose scope it lies in."""
    if isinstance(tree, list):
        for item in tree:
            yield from _tables(item, made)
        return
    if not isinstance(tree, dict):
        return
    kind = tree.get("type")
    _refuse(tree, kind)
    if kind == "BASE_TABLE" and "class" not in tree:
        yield from _base_table(tree, made)
    inner = made
    if kind == "RECURSIVE_CTE_NODE":
        inner |= {str(tree.get("cte_name", "")).lower()}
    for entry in (tree.get("cte_map") or {}).get("map", ()) if isinstance(tree.get("cte_map"), dict) else ():
        # A WITH sees those before it; only a RECURSIVE_CTE_NODE sees itself.
        yield from _tables(entry["value"], inner)
        inner |= {str(entry["key"]).lower()}
    for key, value in tree.items():
        if key != "cte_map":
            yield from _tables(value, inner)


def _base_table(tree: dict[str, Any], made: frozenset[str]) -> Iterator[str]:
    if tree.get("schema_name") or tree.get("catalog_name"):
        raise UsageError(f"table {tree['table_name']!r} is given with a schema: tables are named by their bare names")
    if tree.get("at_clause"):
        raise UsageError(f"table {tree['table_name']!r} is read AT a version: read it as it is")
    if str(tree["table_name"]).lower() not in made:
        yield str(tree["table_name"])


def _refuse(tree: dict[str, Any], kind: Any) -> None:
    if isinstance(kind, str) and kind.endswith("_NODE") and kind not in _NODES:
        raise UsageError(f"{kind.removesuffix('_NODE').replace('_', ' ')} is more than reading: give one SELECT")
    if "class" not in tree and {"type", "alias", "sample"} <= tree.keys():
        if kind not in _SOURCES:
            raise UsageError(f"{kind} cannot be read from: read tables by their bare names")
        if kind == "TABLE_FUNCTION":
            name = str(tree["function"].get("function_name", "")).lower()
            if name not in _TABLE_FUNCTIONS:
                raise UsageError(f"table function {name!r} may not be used: read tables by their bare names")
    name = str(tree.get("function_name") or "").lower()
    if name and _FORBIDDEN.match(name):
        raise UsageError(f"function {name!r} looks outside the tables: it may not be used")
