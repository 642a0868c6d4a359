"""Counting what a rule on one text column rejects from its distinct values; it must not decide what a rule means.

A regular expression costs more than grouping where values repeat: each value is tried once and counts as often as it
occurs, so that the number is exact whatever the sample said that led here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dataproducts.product import RuleKind
from dataproducts.rules.predicates import JUDGED, Family, family
from dataproducts.rules.scan import together
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from dataproducts.product import Rule, Table

DISTINCT = "distinct values"
"""How a result was found that the distinct values of its column gave."""

_FEWEST_ROWS = 200_000  # below, one scan is over before a sample is drawn
_SAMPLED = 20_000
_MOST_VALUES = 1_000_000  # a hash table beyond the processor's caches costs more than the expression
_MOST_SHARE = 0.2


def by_column(table: Table, rules: Sequence[Rule]) -> dict[str, list[Rule]]:
    """Return those of `rules` that try a regular expression on one text column, by that column."""
    texts = {column.name for column in table.columns if family(column.sql_type) is Family.TEXT}
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        if len(rule.columns) == 1 and rule.columns[0] in texts and _is_dear(rule):
            found.setdefault(rule.columns[0], []).append(rule)
    return found


def _is_dear(rule: Rule) -> bool:
    return rule.kind is RuleKind.PATTERN or (rule.kind is RuleKind.INVALID_VALUES and "pattern" in rule.params)


def repeating(con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str], rows: int) -> list[str]:
    """Return those of `columns` whose values repeat so often that trying each once is cheaper. Raises: duckdb.Error."""
    if rows < _FEWEST_ROWS or not columns:
        return []
    counts = ", ".join(f"count({quote(name)}), count(DISTINCT {quote(name)})" for name in columns)
    shown = ", ".join(quote(name) for name in columns)
    row = con.execute(f"SELECT {counts} FROM (SELECT {shown} FROM {relation} LIMIT {_SAMPLED})").fetchone() or ()
    pairs = zip(columns, row[::2], row[1::2], strict=True)
    most = min(_MOST_VALUES, _MOST_SHARE * rows)
    return [name for name, drawn, distinct in pairs if _estimate(int(drawn), int(distinct)) <= most]


def _estimate(drawn: int, distinct: int) -> float:
    """Of how many values `drawn` random ones hold `distinct`: the N of `distinct = N (1 - exp(-drawn / N))`."""
    if distinct >= drawn:
        return math.inf if drawn else 0.0
    low, high = float(distinct), float(drawn) * drawn
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if middle * -math.expm1(-drawn / middle) < distinct else (low, middle)
    return high


def count_values(
    con: duckdb.DuckDBPyConnection,
    parts: Mapping[str | None, str],
    column: str,
    measures: Mapping[str, str],
    several: str = "",
) -> dict[str | None, dict[str, Any]]:
    """Return by part and rule name how many rows the predicates of `measures` hold for, in one pass over `parts`.

    `several` is SQL for all parts at once, if there is any; a part without rows is absent then. Raises: duckdb.Error.
    """
    copies = quote("_copies")
    counts = ", ".join(f"coalesce(sum({copies}) FILTER (WHERE {sql}), 0)::BIGINT" for sql in measures.values())
    source, group = together(parts, several)
    values = f"SELECT {group}{quote(column)}, count(*) AS {copies} FROM {source} GROUP BY {group}{quote(column)}"
    query = f"SELECT {group}{counts} FROM ({values}) AS {quote(JUDGED)}"
    found = con.execute(f"{query} GROUP BY {group.rstrip(', ')}" if group else query).fetchall()
    if not group:
        return {part: dict(zip(measures, found[0], strict=True)) for part in parts}
    return {key: dict(zip(measures, numbers, strict=True)) for key, *numbers in found}
