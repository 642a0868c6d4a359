"""Which casts keep a value, and SQL for those that may not; it must not know where the values come from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

MARK = "contract: "
"""Begins each message that these casts raise inside DuckDB, so that they can be told from DuckDB's own."""

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_SHORT = frozenset({"TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER"})
_STAMPS = frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"})
_NULL = '"NULL"'  # the type of a bare NULL in DuckDB 2; DuckDB 1 says INTEGER


def keeps_value(source: str, target: str) -> bool:
    """Say whether a cast between two DuckDB types keeps every value or fails, so that it never changes one silently."""
    if source == target:
        return True
    source_family, target_family = _family(source), _family(target)
    if source_family == "integer":
        if target == "DOUBLE":
            return source in _SHORT
        return target_family in {"integer", "decimal"}
    if source_family == target_family == "decimal":
        return _scale(target) >= _scale(source)
    if target_family == "stamp":
        return source == "DATE" or (source in {"TIMESTAMP_S", "TIMESTAMP_MS"} and target == "TIMESTAMP")
    return (source, target) == ("FLOAT", "DOUBLE") or (target == "VARCHAR" and source.startswith("ENUM"))


def checked(name: str, source: str, target: str, *, expression: str | None = None) -> str:
    """Return SQL that gives column `name` as `target`, or raises and names the column where a value would change.

    `expression` is what to cast, by default the column itself. NULL stays NULL. Text is parsed strictly: `1.5` is no
    integer, and a date with a time of day is no date.
    """
    value = expression or quote(name)
    if source == target:
        return value
    cast = f"TRY_CAST({value} AS {target})"
    if not _is_related(source, target):
        problem = f"a value of type {source} is not taken for {target}; cast it in the transform"
        return f"CASE WHEN {value} IS NOT NULL THEN CAST({_raise(name, problem)} AS {target}) END"
    lost = f"{cast} IS NULL"
    if _family(source) == "text":
        lost += _text_loss(value, cast, target)
    elif not keeps_value(source, target):
        lost += f" OR CAST({cast} AS {source}) IS DISTINCT FROM {value}"
    problem = f"a value would be lost or changed by the cast from {source} to {target}"
    if _family(source) == "text":
        problem += ". `dataproducts check FILE --contract CONTRACT` names the line: mend it, or cast in a transform"
    return f"CASE WHEN {value} IS NOT NULL AND ({lost}) THEN CAST({_raise(name, problem)} AS {target}) ELSE {cast} END"


def project(types: Mapping[str, str], targets: Mapping[str, str], names: Mapping[str, str] | None = None) -> str:
    """Return the SELECT list that gives each column of `targets` in their order, every cast checked.

    `types` are those of the relation read; `names` says which column there gives which target, where they differ.
    """
    listed = []
    for name, target in targets.items():
        read = (names or {}).get(name, name)
        listed.append(f"{checked(name, types[read], target, expression=quote(read))} AS {quote(name)}")
    return ", ".join(listed)


def _raise(name: str, problem: str) -> str:
    return f"error({literal(f'{MARK}column {name!r}: {problem}')})"


def _text_loss(value: str, cast: str, target: str) -> str:
    """What else, besides a cast that fails, shows that text does not say a value of `target`."""
    family = _family(target)
    if family == "integer":
        return f" OR NOT regexp_full_match(trim({value}), '[+-]?[0-9]+')"
    if family == "decimal":
        return f" OR TRY_CAST({value} AS DOUBLE) IS DISTINCT FROM CAST({cast} AS DOUBLE)"
    if target == "DATE":
        return f" OR TRY_CAST({value} AS TIMESTAMP) IS DISTINCT FROM CAST({cast} AS TIMESTAMP)"
    return ""


def _is_related(source: str, target: str) -> bool:
    """Say whether a cast can be judged value by value: numbers, points in time, nested values, and text to anything."""
    families = {_family(source), _family(target)}
    return (
        _family(source) == "text"
        or families <= {"integer", "decimal", "float"}
        or families <= {"date", "stamp"}
        or families == {"nested"}
        or keeps_value(source, target)
    )


def _family(kind: str) -> str:
    if kind == _NULL or kind in _INTEGERS or kind in _UNSIGNED:
        return "integer"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return "nested"
    if kind.startswith("DECIMAL"):
        return "decimal"
    if kind in _STAMPS:
        return "stamp"
    return {"FLOAT": "float", "DOUBLE": "float", "VARCHAR": "text", "DATE": "date"}.get(kind, kind)


def _scale(kind: str) -> int:
    found = re.fullmatch(r"DECIMAL\(\d+,\s*(\d+)\)", kind)
    return int(found[1]) if found else 0
