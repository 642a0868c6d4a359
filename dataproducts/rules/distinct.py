"""Counting what a rule on one text column rejects from its distinct values; it must not decide what a rule means.

A regular expression, or a list of values, costs more than grouping where values repeat: each value is tried once and
counts as often as it occurs, so that the number is exact whatever the sample said that led here.
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
_MOST_SHARE = 0.2
# Of more values than these, trying each once is no longer cheaper. A hash table beyond the processor's caches costs
# more than a regular expression; comparing with a list costs less than grouping where text is not in a dictionary.
_MOST_FOR_PATTERN = 1_000_000
_MOST_FOR_LIST = 10_000
_LISTS = {RuleKind.ENUM, RuleKind.INVALID_VALUES, RuleKind.MISSING_VALUES}


def by_values(
    con: duckdb.DuckDBPyConnection, relation: str, rules: Sequence[Rule], table: Table, rows: int
) -> dict[str, list[Rule]]:
    """Return by text column those of `rules` that are cheaper to try once a value; `rows` is how many there are.

    Raises: duckdb.Error, if the relation cannot be read.
    """
    texts = {column.name for column in table.columns if family(column.sql_type) is Family.TEXT}
    columns: dict[str, list[Rule]] = {}
    for rule in rules:
        if len(rule.columns) == 1 and rule.columns[0] in texts and _most(rule):
            columns.setdefault(rule.columns[0], []).append(rule)
    if rows < _FEWEST_ROWS or not columns:
        return {}
    counts = ", ".join(f"count({quote(name)}), count(DISTINCT {quote(name)})" for name in columns)
    shown = ", ".join(quote(name) for name in columns)
    row = con.execute(f"SELECT {counts} FROM (SELECT {shown} FROM {relation} LIMIT {_SAMPLED})").fetchone() or ()
    found: dict[str, list[Rule]] = {}
    for name, drawn, distinct in zip(columns, row[::2], row[1::2], strict=True):
        values = _estimate(int(drawn), int(distinct))
        cheaper = [rule for rule in columns[name] if values <= min(_most(rule), _MOST_SHARE * rows)]
        if cheaper:
            found[name] = cheaper
    return found


def _most(rule: Rule) -> int:
    """Of how many distinct values trying each once is still cheaper than a scan; 0 if it never is."""
    if rule.kind is RuleKind.PATTERN or (rule.kind is RuleKind.INVALID_VALUES and "pattern" in rule.params):
        return _MOST_FOR_PATTERN
    return _MOST_FOR_LIST if rule.kind in _LISTS else 0


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
