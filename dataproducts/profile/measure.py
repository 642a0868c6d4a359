"""The figures of every column of a relation, in as few passes as they need; it must not know files or contracts.

One statement counts all columns at once (two more where there is text, which tell what it reads as). Then one statement
a column groups its values, from which everything else follows: distinct and unique values, the most frequent, patterns,
outliers, bins. Above `exact_rows` rows a column with many distinct values is not grouped: its distinct count, its
quantiles and its top values are estimates, and the profile names them. Rows, nulls, bounds, means and bins stay exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError
from dataproducts.profile.cells import distribution, scrubbed, text_figures
from dataproducts.profile.column import Column, is_text
from dataproducts.profile.infer import read_text
from dataproducts.profile.keys import candidate_keys, repeated
from dataproducts.profile.model import QUANTILES, ColumnProfile, TableProfile
from dataproducts.profile.notes import column_notes, table_notes
from dataproducts.profile.personal import looks_personal
from dataproducts.rules.predicates import Family
from dataproducts.sql import literal, quote
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import duckdb

EXACT_ROWS = 5_000_000
"""Up to so many rows, every figure is exact."""

_FEW_DISTINCT = 100_000
_QUANTILE_VALUES = 1 << 25  # 256 MB of doubles at the most are held at a time
_AT_ONCE = 200  # columns in one statement


@dataclass(frozen=True, slots=True)
class Masks:
    """Which columns show no value: `hidden` (with the reason) never do, `shown` do, others unless they look personal.

    With `known` (the columns that a contract names), a column outside it is hidden: nobody has classified it.
    """

    hidden: Mapping[str, str] = field(default_factory=dict)
    shown: frozenset[str] = frozenset()
    known: frozenset[str] | None = None

    def why(self, column: ColumnProfile) -> str:
        """Return why the values of `column` are not shown; empty if they are."""
        if column.name in self.hidden:
            return self.hidden[column.name]
        if column.name in self.shown:
            return ""
        if self.known is not None and column.name not in self.known:
            return "not in the contract"
        return f"looks like: {column.personal}" if column.personal else ""


_ANY = Masks()


def profile_relation(
    con: duckdb.DuckDBPyConnection,
    relation: str,
    *,
    name: str = "",
    columns: Collection[str] | None = None,
    masks: Masks = _ANY,
    exact_rows: int = EXACT_ROWS,
) -> TableProfile:
    """Return the profile of `relation` (SQL that can follow FROM), of `columns` or of all.

    Text whose values all read as numbers, dates or booleans is measured as those. The caller's session should count
    time in UTC. Memory: one column's distinct values, and 256 MB of numbers for quantiles, at a time.

    Raises:
        UnknownNameError: `columns` names one that the relation lacks.
        duckdb.Error: the relation cannot be read.
    """
    types = columns_of(con, relation)
    wanted = list(types) if columns is None else [found for found in types if found in columns]
    for missing in set(columns or ()) - set(types):
        raise UnknownNameError("column", missing, types)
    rows = _rows(con, relation)
    texts = [found for found in wanted if is_text(types[found])]
    readings = read_text(con, relation, texts) if texts else {}
    measured = [Column(found, types[found], readings.get(found)) for found in wanted]
    profiles = []
    for start in range(0, len(measured), _AT_ONCE):
        profiles += _measure(con, relation, measured[start : start + _AT_ONCE], rows=rows, exact_rows=exact_rows)
    return _finish(con, relation, TableProfile(name, rows, tuple(profiles)), masks=masks, exact_rows=exact_rows)


def _finish(
    con: duckdb.DuckDBPyConnection, relation: str, table: TableProfile, *, masks: Masks, exact_rows: int
) -> TableProfile:
    """Add keys and repeated rows, hide what must be hidden, and only then put into words what stands out."""
    keys = candidate_keys(con, relation, table)
    table = replace(table, keys=keys)
    if table.rows <= exact_rows:
        table = repeated(con, relation, table)
    shown = []
    for column in table.columns:
        told = replace(column, personal=looks_personal(column))
        if (column.name,) in keys and "distinct" in column.approximate:
            proved = tuple(name for name in column.approximate if name != "distinct")
            told = replace(told, distinct=column.rows, unique=column.rows, approximate=proved)
        why = masks.why(told)
        told = told.hidden(why) if why else told
        shown.append(replace(told, notes=column_notes(told, is_key=(column.name,) in keys)))
    table = replace(table, columns=tuple(shown))
    return replace(table, notes=table_notes(table))


def _rows(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0


def _measure(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], *, rows: int, exact_rows: int
) -> list[ColumnProfile]:
    bounds = _bounds(con, relation, columns, estimate=rows > exact_rows)
    grouped = {c.name for c in columns if rows <= exact_rows or bounds[c.name]["estimate"] <= _FEW_DISTINCT}
    quantiles = _quantiles(con, relation, [c for c in columns if c.is_ordered], rows=rows, exact_rows=exact_rows)
    profiles = []
    for column in columns:
        known = bounds[column.name]
        found = ColumnProfile(
            column.name,
            column.type,
            column.reads_as,
            column.sql_type,
            rows,
            rows - known["count"],
            column.format,
            column.fits,
            minimum=scrubbed(known.get("min")),
            maximum=scrubbed(known.get("max")),
            mean=_finite(known.get("mean")),
            stddev=_finite(known.get("stddev")),
            quantiles=quantiles.get(column.name, ()),
            not_finite=known.get("not_finite", 0),
            approximate=("quantiles",) if column.is_ordered and rows > exact_rows else (),
        )
        if column.name not in grouped:
            found = replace(found, distinct=min(known["estimate"], found.values))
            found = replace(found, approximate=("distinct", "top", *found.approximate))
        if found.values:
            found = distribution(con, relation, column, found, grouped=column.name in grouped)
            if column.reads_as == "string" and is_text(column.type):
                found = text_figures(con, relation, column, found, grouped=column.name in grouped)
        else:
            found = replace(found, distinct=0, unique=0)
        profiles.append(found)
    return profiles


def _bounds(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], *, estimate: bool
) -> dict[str, dict[str, Any]]:
    """Counts, bounds, means and deviations of all columns, in one statement."""
    wanted: list[tuple[str, str, str]] = []
    for column in columns:
        sql = column.sql
        wanted.append((column.name, "count", f"count({quote(column.name)})"))
        if estimate:
            wanted.append((column.name, "estimate", f"approx_count_distinct({sql})"))
        if column.kind is Family.OTHER:
            continue
        finite = f" FILTER (WHERE isfinite({sql}))" if column.can_be_infinite else ""
        as_text = column.kind not in (Family.EXACT, Family.FLOAT)
        for what in ("min", "max"):
            bound = f"{what}({sql}){finite}"
            wanted.append((column.name, what, f"left(CAST({bound} AS VARCHAR), 200)" if as_text else bound))
        if column.is_number:
            wanted.append((column.name, "mean", f"avg(CAST({sql} AS DOUBLE)){finite}"))
            wanted.append((column.name, "stddev", f"stddev_samp(CAST({sql} AS DOUBLE)){finite}"))
        if column.can_be_infinite:
            wanted.append((column.name, "not_finite", f"count(*) FILTER (WHERE NOT isfinite({sql}))"))
    row = con.execute(f"SELECT {', '.join(sql for *_, sql in wanted)} FROM {relation}").fetchone() or ()
    found: dict[str, dict[str, Any]] = {column.name: {"estimate": 0} for column in columns}
    for (name, what, _), value in zip(wanted, row, strict=True):
        found[name][what] = value
    return found


def _quantiles(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column], *, rows: int, exact_rows: int
) -> dict[str, tuple[Any, ...]]:
    """Quantiles of numbers (interpolated) and of times (the nearest that occurs), so many columns as memory allows."""
    found: dict[str, tuple[Any, ...]] = {}
    shares = f"CAST([{', '.join(map(str, QUANTILES))}] AS FLOAT[])" if rows > exact_rows else literal(list(QUANTILES))
    chunk = max(1, _QUANTILE_VALUES // max(rows, 1)) if rows <= exact_rows else max(1, len(columns))
    for start in range(0, len(columns), chunk):
        part = columns[start : start + chunk]
        row = con.execute(f"SELECT {', '.join(_quantile(c, shares, rows > exact_rows) for c in part)} FROM {relation}")
        for column, values in zip(part, row.fetchone() or (), strict=True):
            found[column.name] = tuple(values or ())
    return found


def _quantile(column: Column, shares: str, estimate: bool) -> str:  # noqa: FBT001 - of one caller
    finite = f" FILTER (WHERE isfinite({column.sql}))" if column.can_be_infinite else ""
    if column.is_number:
        function = "approx_quantile" if estimate else "quantile_cont"
        return f"{function}(CAST({column.sql} AS DOUBLE), {shares}){finite}"
    function = "approx_quantile" if estimate else "quantile_disc"
    return f"CAST({function}({column.sql}, {shares}){finite} AS VARCHAR[])"


def _finite(value: float | None) -> float | None:
    """Means and deviations of numbers near the end of DOUBLE overflow: then there are none."""
    return value if value is not None and math.isfinite(value) else None


def histogram_rows(
    con: duckdb.DuckDBPyConnection, relation: str, edges: Mapping[str, Sequence[float]]
) -> dict[str, tuple[int, ...]]:
    """Return how many rows fall below, between and above given `edges`, by column: to compare with another profile.

    Shape: one statement; for n edges n + 1 counts, the first of values below the first edge, the last of values at or
    above the last. NULL, NaN and infinite values are not counted. Units: seconds since 1970 for dates and times.
    """
    types = columns_of(con, relation)
    wanted = []
    for name, cuts in edges.items():
        if name not in types:
            raise UnknownNameError("column", name, types)
        column = Column(name, types[name], None)
        x = f"CASE WHEN isfinite({column.number}) THEN {column.number} END"
        low = [f"count(*) FILTER (WHERE {x} < {literal(float(cut))})" for cut in cuts]
        wanted.append(f"[count({x}), {', '.join(low)}]")
    if not wanted:
        return {}
    row = con.execute(f"SELECT {', '.join(wanted)} FROM {relation}").fetchone() or ()
    return {name: _between(counts) for name, counts in zip(edges, row, strict=True)}


def _between(counts: Sequence[int]) -> tuple[int, ...]:
    total, *below = counts
    return tuple(upper - lower for lower, upper in zip([0, *below], [*below, total], strict=True))
