"""Figures of one version of a table that later ones are compared with; it must not know versions or compare.

What a rule of the table names is always measured: rows and NULLs are known from writing, the rest costs one pass for
all means, deviations and quantiles, and one for each column whose categories are counted. Of a small table all columns
are measured, so that a rule declared later finds its history. Values that are not finite are left out of figures of
numbers.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from dataproducts.errors import UnknownNameError
from dataproducts.product import RuleKind
from dataproducts.rules.masking import holds_classified
from dataproducts.rules.predicates import Family, column_at, family, judged
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dataproducts.product import Column, Rule, Table
    from dataproducts.release import FileRef

_Key = TypeVar("_Key")

COMPARING_KINDS = frozenset({RuleKind.DRIFT, RuleKind.ANOMALY})
"""Kinds that compare a version with earlier ones."""

SHOWN_CATEGORIES = 50
"""How many values of a column are counted one by one; the others count together."""

PERCENTILES = 101

KEPT_VALUES = 1_000_000
"""Rows times columns up to which a version is measured unasked: 0.15 seconds of CPU time at the most."""

KEPT_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SHARES = tuple(f"{share:g}" for share in KEPT_QUANTILES)
_NUMBERS = (Family.EXACT, Family.FLOAT)


def measure(
    con: duckdb.DuckDBPyConnection, table: Table, relation: str, *, files: Iterable[FileRef] | None = None
) -> dict[str, Any]:
    """Return what the rules of `table` compare, measured on `relation` (SQL usable after FROM), as JSON has it.

    `{"rows": n, "columns": {name: {"nulls": n, "mean": x, "stddev": x, "quantiles": {"0.5": x}, "percentiles": [101
    numbers], "categories": {value: n}, "others": n}}}`. Of `files` that hold these rows, rows and NULLs are known.
    Categories of a classified column are hashed. A figure that cannot be computed is absent.
    """
    known = tuple(files) if files is not None else None
    rows = _number(con, f"SELECT count(*) FROM {relation}") if known is None else sum(file.rows for file in known)
    columns: dict[str, dict[str, Any]] = {name: {"nulls": count} for name, count in _nulls(known or ()).items()}
    for name, metrics in _wanted(table).items():
        figures = columns.setdefault(name, {})
        try:
            column, sql = column_at(table, name)
            if "nulls" not in figures:
                figures["nulls"] = rows - _number(con, f"SELECT count({sql}) FROM {judged(relation)}")
            figures |= _figures(con, relation, column, sql, metrics)
            if "categories" in metrics:
                figures |= _categories(con, table, relation, name)
        except (duckdb.Error, UnknownNameError):
            continue  # the rows lack the column: the rule `schema` tells it
    return {"rows": rows, "columns": columns}


def keep(con: duckdb.DuckDBPyConnection, table: Table, relation: str, *, rows: int) -> dict[str, Any]:
    """Return figures of every column of `relation`, for the kept profile; nothing, if that would cost too much.

    `{name: {"distinct": n, "mean": x, "stddev": x, "quantiles": {"0.05": x, ...}}}`, all of them exact; of numbers
    alone what is more than a count, and none of a classified column. What rules have measured anyway is left out, as is
    what cannot be computed. A table with partitions is left out as a whole: figures of days make none of a release.
    """
    if table.partitioning or rows * len(table.columns) > KEPT_VALUES:
        return {}
    asked, aggregates = _wanted(table), {}
    for column in table.columns:
        sql = column_at(table, column.name)[1]
        aggregates[column.name, "distinct"] = f"count(DISTINCT {sql})"
        if family(column.sql_type) not in _NUMBERS or is_hidden(table, column.name):
            continue
        for metric in ("mean", "stddev", "quantiles"):
            if metric not in asked.get(column.name, ()):
                aggregates[column.name, metric] = _aggregate(metric, column, sql)
    found: dict[str, Any] = {}
    for (name, metric), value in _asked(con, relation, aggregates).items():
        figures = found.setdefault(name, {})
        figures[metric] = dict(zip(_SHARES, value, strict=True)) if metric == "quantiles" else value
    return found


def figures_of(profile: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return every figure of the column `name` in a version's profile, measured for a rule or kept without one."""
    kept, asked = (profile.get(part, {}).get(name, {}) for part in ("kept", "columns"))
    quantiles = {**kept.get("quantiles", {}), **asked.get("quantiles", {})}
    return {**kept, **asked, **({"quantiles": quantiles} if quantiles else {})}


def _wanted(table: Table) -> dict[str, set[str]]:
    """The metrics that rules name, by column; a quantile by its share."""
    found: dict[str, set[str]] = {}
    for rule in table.rules:
        if rule.kind in COMPARING_KINDS and rule.columns:
            found.setdefault(rule.columns[0], set()).add(metric_key(rule))
    return found


def metric_key(rule: Rule) -> str:
    """Return under which name the rule's figure is measured: `mean`, `quantile 0.5`, `percentiles`, `categories`."""
    metric = str(rule.params.get("metric"))
    if metric == "quantile":
        return f"quantile {float(rule.params.get('quantile', 0.5)):g}"
    if metric == "psi":
        return "percentiles" if rule.params.get("numeric") else "categories"
    return metric


def _nulls(files: tuple[FileRef, ...]) -> dict[str, int]:
    names = {name for file in files for name in file.columns}
    return {
        name: sum(file.columns[name].nulls for file in files)
        for name in sorted(names)
        if all(name in file.columns for file in files)
    }


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(con.execute(query).fetchall()[0][0])


def _figures(
    con: duckdb.DuckDBPyConnection, relation: str, column: Column, sql: str, metrics: set[str]
) -> dict[str, Any]:
    """The figures of the numbers of one column; each that fails alone is left out."""
    aggregates = {metric: wanted for metric in sorted(metrics) if (wanted := _aggregate(metric, column, sql))}
    found: dict[str, Any] = {}
    for metric, value in _asked(con, relation, aggregates).items():
        if metric.startswith("quantile "):
            found.setdefault("quantiles", {})[metric.removeprefix("quantile ")] = value
        else:
            found[metric] = value
    return found


def _aggregate(metric: str, column: Column, sql: str) -> str:
    """SQL for a figure of the finite numbers of a column; empty for a metric that is none."""
    if family(column.sql_type) not in _NUMBERS:
        return ""
    number = f"CAST({sql} AS DOUBLE)"
    finite = f"FILTER (WHERE isfinite({number}))"
    if metric.startswith("quantile "):
        share = literal(float(metric.removeprefix("quantile ")))
        return f"quantile_disc({number}, {share}) {finite}"
    if metric == "percentiles":
        shares = literal([at / (PERCENTILES - 1) for at in range(PERCENTILES)])
        return f"quantile_disc({number}, {shares}) {finite}"
    if metric == "quantiles":
        return f"quantile_disc({number}, {literal(list(KEPT_QUANTILES))}) {finite}"
    return {"mean": f"avg({number}) {finite}", "stddev": f"stddev_pop({number}) {finite}"}.get(metric, "")


def _asked(con: duckdb.DuckDBPyConnection, relation: str, aggregates: Mapping[_Key, str]) -> dict[_Key, Any]:
    if not aggregates:
        return {}
    try:
        row = con.execute(f"SELECT {', '.join(aggregates.values())} FROM {judged(relation)}").fetchone()
    except duckdb.Error:  # such as a deviation beyond what a DOUBLE holds
        if len(aggregates) == 1:
            return {}
        parts = ({metric: sql} for metric, sql in aggregates.items())
        return {metric: value for part in parts for metric, value in _asked(con, relation, part).items()}
    # Sums may overflow although no value does, and JSON has no infinity.
    return {metric: value for metric, value in zip(aggregates, row or (), strict=True) if _is_finite(value)}


def _is_finite(value: float | list[float] | None) -> bool:
    return isinstance(value, list) or (value is not None and math.isfinite(value))


def _categories(con: duckdb.DuckDBPyConnection, table: Table, relation: str, name: str) -> dict[str, Any]:
    sql = column_at(table, name)[1]
    counted = (
        f"SELECT CAST({sql} AS VARCHAR) AS {quote('value')}, count(*) AS {quote('copies')} FROM {judged(relation)} "
        f"WHERE {sql} IS NOT NULL GROUP BY 1"
    )
    query = (
        f"SELECT {quote('value')}, {quote('copies')}, sum({quote('copies')}) OVER () FROM ({counted}) "
        f"ORDER BY 2 DESC, 1 LIMIT {SHOWN_CATEGORIES}"
    )
    rows = con.execute(query).fetchall()
    hidden = is_hidden(table, name)
    shown = {_hashed(table, name, value) if hidden else _text(value): int(count) for value, count, _ in rows}
    total = int(rows[0][2]) if rows else 0
    return {"categories": shown, "others": total - sum(shown.values())}


def _text(value: object) -> str:
    return str(value).replace("\0", "\\0")  # which databases refuse in JSON


def is_hidden(table: Table, name: str) -> bool:
    """Return whether values of the column that `name` is, or lies in, may not be shown."""
    tops = [column for column in table.columns if name == column.name or name.startswith(f"{column.name}.")]
    return holds_classified(tops)


def _hashed(table: Table, name: str, value: object) -> str:
    return hashlib.sha256(f"{table.contract_id}\0{name}\0{value}".encode()).hexdigest()[:16]
