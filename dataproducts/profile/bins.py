"""Where bins and fences lie, and the SQL that counts between them; it must not know how values are grouped."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dataproducts.profile.model import QUANTILES, Histogram
from dataproducts.rules.predicates import Family
from dataproducts.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.profile.column import Column
    from dataproducts.profile.model import ColumnProfile

_BINS = 20
_TINY = 1e-300


def fences(column: Column, found: ColumnProfile) -> tuple[float, float] | None:
    """Return where outliers begin: 1.5 interquartile ranges beyond the quartiles; nowhere if those are equal."""
    if not column.is_number or len(found.quantiles) != len(QUANTILES):
        return None
    _, low, _, high, _ = (float(value) for value in found.quantiles)
    reach = 1.5 * (high - low)
    return (low - reach, high + reach) if math.isfinite(reach) and reach > 0 else None


def layout(column: Column, found: ColumnProfile) -> tuple[float, float, int] | None:
    """Return first edge, width and number of the bins; None if there is no finite value to show."""
    bounds = _as_numbers(column, (found.minimum, *found.quantiles[1:4:2], found.maximum))
    if len(bounds) != 4 or not all(math.isfinite(bound) for bound in bounds):  # noqa: PLR2004 - min, quartiles, max
        return None
    low, first, third, high = bounds
    reach = 3 * (third - first)
    if reach > 0:
        low, high = max(low, first - reach), min(high, third + reach)
    if not math.isfinite(high - low):
        return None
    if column.reads_as in ("integer", "date"):
        # Whole steps, so that no bin has more of the values than its neighbour by its place alone.
        step = 86400 if column.reads_as == "date" else 1
        low, high = math.floor(low / step) * step, math.floor(high / step) * step
        width = max(1, math.ceil(((high - low) / step + 1) / _BINS)) * step
        return low, width, max(1, math.ceil((high - low + step) / width))
    if high - low < _TINY or (high - low) / _BINS + low == low:
        return low, 1.0, 1
    return low, (high - low) / _BINS, _BINS


def _as_numbers(column: Column, values: Sequence[Any]) -> list[float]:
    if column.is_number:
        return [float(value) for value in values if value is not None]
    if column.kind is not Family.TEMPORAL:
        return []
    moments = [seconds(value) for value in values]
    return [] if None in moments else [moment for moment in moments if moment is not None]


def seconds(value: Any) -> float | None:
    """Return the seconds since 1970 of a moment spelt as DuckDB does; None of what Python's calendar lacks."""
    try:
        moment = datetime.fromisoformat(str(value).replace(" ", "T", 1))
    except ValueError:  # before the year 1 or after 9999
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def bins_query(x: str, at: tuple[float, float, int], cells: str) -> str:
    """Return a query for the rows of each bin, -1 and the number of bins for what lies beyond, as one list."""
    low, width, count = at
    start, step = literal(float(low)), literal(float(width))
    last = literal(float(low + width * count))
    nth = f"least(CAST(floor(({x} - {start}) / {step}) AS BIGINT), {count - 1})"
    place = f"CASE WHEN {x} < {start} THEN -1 WHEN {x} > {last} THEN {count} ELSE {nth} END"
    placed = f"(SELECT {place} AS b, sum(n)::BIGINT AS n FROM {cells} WHERE isfinite({x}) GROUP BY 1)"
    return f"SELECT coalesce(list({{'b': b, 'n': n}}), []) FROM {placed}"


def histogram(at: tuple[float, float, int], cells: Sequence[Mapping[str, Any]]) -> Histogram:
    """Return what the query of the bins counted as a histogram."""
    low, width, count = at
    rows = {cell["b"]: cell["n"] for cell in cells}
    edges = tuple(low + width * step for step in range(count + 1))
    return Histogram(edges, tuple(rows.get(step, 0) for step in range(count)), rows.get(-1, 0), rows.get(count, 0))
