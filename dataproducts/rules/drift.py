"""Whether a version differs too much from those before it; it must not measure or know where versions are kept.

Settled once: a change is that from the median of the earlier versions, in percent of it or as it is; a share (of NULLs,
of categories) changes by percentage points. Population stability is measured on ten bins that hold a tenth of the
earlier rows each. Bounds that learn lie `deviations` times the median absolute deviation (times 1.4826, which makes it
a standard deviation of a normal distribution) around the median, and that deviation is at least 1 % of the median, so
that a history without any change does not alarm at the first. With too few earlier versions the rule holds.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UsageError
from dataproducts.product import RuleKind
from dataproducts.rules.finding import Finding
from dataproducts.rules.measures import figures_of, is_hidden, measure
from dataproducts.rules.predicates import holds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.product import Rule
    from dataproducts.rules.finding import Asked, Past

METHOD = "profiles"
"""How a result was found that figures of versions gave, without reading rows."""

RELEASES, FEWEST, FEWEST_TO_LEARN = 7, 3, 5
"""With how many earlier versions a rule compares unless it says so, and how few are too few."""

_NORMAL = 1.4826
_LEAST_SPREAD = 0.01
_LEAST_POINTS = 0.1
_BINS = 10
_LEAST_SHARE = 1e-4
_TOLD = 3


def compare(asked: Asked, rule: Rule) -> Finding:
    """Return what `rule` finds in the new versions of a table, each beside those before it.

    Of several new partitions every one must hold; what is observed is that of the first which does not, or else of
    the last. Raises: UsageError, if a figure of the rule could not be measured.
    """
    few = int(rule.params.get("minimum", FEWEST_TO_LEARN if rule.kind is RuleKind.ANOMALY else FEWEST))
    if not asked.pasts:
        return Finding(True, None, f"no history yet (0 of {few})", METHOD)  # noqa: FBT003
    found = [_compare_one(asked, rule, past, few) for past in asked.pasts]
    failed = [finding for finding in found if not finding.passed]
    if not failed:
        return found[-1]
    more = [f"and so in {len(failed) - _TOLD} more partitions"] if len(failed) > _TOLD else []
    said = "; ".join([*(finding.message for finding in failed[:_TOLD]), *more])
    return Finding(False, failed[0].observed, said, METHOD)  # noqa: FBT003


def _compare_one(asked: Asked, rule: Rule, past: Past, few: int) -> Finding:
    known = [(label, figure) for label, profile in past.former if (figure := _figure(rule, profile)) is not None]
    known = known[: int(rule.params.get("releases", RELEASES))]
    where = f"{past.label}: " if past.label else ""
    if len(known) < few:
        return Finding(True, None, f"{where}no history yet ({len(known)} of {few})", METHOD)  # noqa: FBT003
    now = _figure(rule, past.profile)
    if now is None:  # written before the rule was declared
        now = _figure(rule, measure(asked.con, asked.table, past.sql))
    if now is None:
        what = f"{_metric(rule)} has no value now"
        raise UsageError(f"{where}{what}: there is no finite number, or no row, to measure it on")
    figures = [figure for _, figure in known]
    against = f"{len(known)} earlier version{'s' if len(known) > 1 else ''}, {known[-1][0]}"
    against += f" to {known[0][0]}" if len(known) > 1 else ""
    told = _Told(where, against, hidden=bool(rule.columns) and is_hidden(asked.table, rule.columns[0]))
    if rule.kind is RuleKind.ANOMALY:
        return _learned(rule, now, figures, told)
    if rule.params["metric"] == "psi":
        return _stability(rule, now, figures, told)
    return (
        _shift(rule, now, figures, told) if rule.params["metric"] == "categories" else _change(rule, now, figures, told)
    )


class _Told:
    """How a finding is told: where it was found, what it was compared with, and whether values may be shown."""

    __slots__ = ("against", "hidden", "where")

    def __init__(self, where: str, against: str, *, hidden: bool) -> None:
        self.where = where
        self.against = against
        self.hidden = hidden

    def number(self, value: float, rule: Rule) -> str:
        """A figure as it may be shown: those of a classified column are values of it, but counts and shares."""
        return "***" if self.hidden and rule.params["metric"] not in ("rows", "nulls") else _short(value)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"  # noqa: PLR2004


def _metric(rule: Rule) -> str:
    metric = str(rule.params["metric"])
    if metric == "rows":
        return "number of rows"
    name = {"nulls": "share of NULLs", "quantile": f"{float(rule.params.get('quantile', 0.5)):g} quantile"}
    return f"{name.get(metric, metric)} of {rule.columns[0]}"


def _figure(rule: Rule, profile: Mapping[str, Any]) -> Any:
    """The rule's figure in a profile: a number, percentiles, or shares by category; None if it is not there."""
    metric, rows = rule.params["metric"], profile.get("rows")
    if metric == "rows":
        return rows
    of_column = figures_of(profile, rule.columns[0])
    if metric == "nulls":
        nulls = of_column.get("nulls")
        return None if nulls is None or rows is None else (100 * nulls / rows if rows else 0.0)
    if metric == "quantile":
        return of_column.get("quantiles", {}).get(f"{float(rule.params.get('quantile', 0.5)):g}")
    if metric == "psi" and rule.params.get("numeric"):
        return of_column.get("percentiles")
    if metric in ("categories", "psi"):
        counted = of_column.get("categories")
        return (counted, of_column.get("others", 0)) if counted else None
    return of_column.get(metric)


def _change(rule: Rule, now: float, figures: Sequence[float], told: _Told) -> Finding:
    """The change from the median of the earlier figures."""
    middle, points = median(figures), rule.params["metric"] == "nulls"
    relative = rule.threshold.unit == "percent" and not points
    seen, then = (told.number(value, rule) for value in (now, middle))
    unit = " %" if points else ""
    said = f"{told.where}{_metric(rule)} is {seen}{unit}, and was {then}{unit} in the median of {told.against}"
    if relative and middle == 0 and now != 0:
        said += f": no percentage of 0 tells the change ({rule.threshold}); compare by `unit: value`"
        return Finding(False, None, said, METHOD)  # noqa: FBT003
    change = now - middle
    if relative:
        change = 100 * change / abs(middle) if middle else 0.0
    shown = f"{change:+.3g} {'percentage points' if points else '%'}" if relative or points else _signed(change, told)
    return Finding(holds(rule.threshold, change), change, f"{said}: {shown} ({rule.threshold})", METHOD)


def _signed(change: float, told: _Told) -> str:
    return "***" if told.hidden else f"{change:+.4g}"


def _learned(rule: Rule, now: float, figures: Sequence[float], told: _Told) -> Finding:
    """How many deviations the figure lies from the median of the earlier ones."""
    middle = median(figures)
    deviation = _NORMAL * median(abs(figure - middle) for figure in figures)
    least = _LEAST_POINTS if rule.params["metric"] == "nulls" else _LEAST_SPREAD * abs(middle)
    spread = max(deviation, least)
    away = abs(now - middle) / spread if spread else 0.0 if now == middle else math.inf
    reach = rule.threshold.values[0] * spread
    seen, low, high = (told.number(value, rule) for value in (now, middle - reach, middle + reach))
    unit = " %" if rule.params["metric"] == "nulls" else ""
    far = f"{away:.3g} deviations from their median" if spread else "and no earlier one differed from another"
    said = (
        f"{told.where}{_metric(rule)} is {seen}{unit}; learned bounds {low} to {high}{unit} from {told.against}: {far} "
        f"(at most {rule.threshold.values[0]:g})"
    )
    return Finding(holds(rule.threshold, away), away if math.isfinite(away) else None, said, METHOD)


_Categories = tuple["Mapping[str, int]", int]
_OTHERS = ""


def _shares(now: _Categories, figures: Sequence[_Categories]) -> tuple[dict[str, float], dict[str, float]]:
    """The share of each category now, and its mean share in the earlier versions.

    A category that one version did not count by itself counts among the others everywhere.
    """
    every = [now, *figures]
    names = {name for counted, _ in every for name in counted}
    told = {name for name in names if all(name in counted or not others for counted, others in every)}
    vectors = []
    for counted, others in every:
        total = sum(counted.values()) + others
        vector = {f"={name}": counted.get(name, 0) / total for name in told}
        vector[_OTHERS] = max(0.0, 1 - sum(vector.values()))
        vectors.append(vector)
    return vectors[0], {name: fmean(vector[name] for vector in vectors[1:]) for name in vectors[0]}


def _shift(rule: Rule, now: _Categories, figures: Sequence[_Categories], told: _Told) -> Finding:
    """Half the sum of all changes of shares, in percentage points: that share of rows has moved."""
    current, former = _shares(now, figures)
    moved = 50 * sum(abs(current[name] - former[name]) for name in current)
    said = f"{told.where}{moved:.3g} % of the rows have another {rule.columns[0]} than in {told.against}"
    most = max(current, key=lambda name: abs(current[name] - former[name]))
    change = 100 * (current[most] - former[most])
    if change and not told.hidden:
        name = repr(most.removeprefix("=")) if most != _OTHERS else "any other value"
        said += f"; most of all {name} ({change:+.3g} percentage points)"
    return Finding(holds(rule.threshold, moved), moved, f"{said} ({rule.threshold})", METHOD)


def _stability(rule: Rule, now: Any, figures: Sequence[Any], told: _Told) -> Finding:
    """The population stability index: the sum of (share - former share) times the logarithm of their ratio."""
    if rule.params.get("numeric"):
        current, former = _binned(now, figures)
    else:
        categories, earlier = _shares(now, figures)
        current, former = list(categories.values()), [earlier[name] for name in categories]
    pairs = [(max(a, _LEAST_SHARE), max(b, _LEAST_SHARE)) for a, b in zip(current, former, strict=True)]
    index = sum((a - b) * math.log(a / b) for a, b in pairs)
    said = f"{told.where}population stability index of {rule.columns[0]} is {index:.3g} against {told.against}"
    return Finding(holds(rule.threshold, index), index, f"{said} ({rule.threshold})", METHOD)


def _binned(now: Sequence[float], figures: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    """Shares in bins that hold a tenth of the earlier rows each, now and in the mean of the earlier versions."""
    pooled = sorted(value for figure in figures for value in figure)
    edges = sorted({pooled[at * (len(pooled) - 1) // _BINS] for at in range(1, _BINS)})

    def shares(points: Sequence[float]) -> list[float]:
        reached = [0.0, *(_share_up_to(edge, points) for edge in edges), 1.0]
        return [high - low for low, high in pairwise(reached)]

    earlier = [shares(figure) for figure in figures]
    return shares(now), [fmean(column) for column in zip(*earlier, strict=True)]


def _share_up_to(edge: float, points: Sequence[float]) -> float:
    """The share of rows with a value up to `edge`, by percentiles from the least value to the greatest."""
    at = bisect_right(points, edge) - 1
    if at < 0:
        return 0.0
    if at >= len(points) - 1:
        return 1.0
    width = points[at + 1] - points[at]
    return (at + (edge - points[at]) / width) / (len(points) - 1)
