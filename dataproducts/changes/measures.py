"""How lengths, days, thresholds and SLAs compare; it must not know which clause they are of.

As in `orders`, of which these are some: both values in, None for one that is absent, and steps out.
"""

from __future__ import annotations

import math
import re
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from dataproducts.changes.steps import LESS, MORE, NOTICE, OTHER, SAME, Step, canonical, presence, ranked, size, step
from dataproducts.declare.implied_rules import limit_of
from dataproducts.declare.slo import read_window
from dataproducts.product import Operator, Sla

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.objective import Window


def day(before: Any, after: Any) -> tuple[Step, ...]:
    """The last day of something: naming one is notice, moving it is a promise kept longer or less long."""
    if before is None:
        return step(before, after, NOTICE)
    return step(before, after, MORE) if after is None else ranked(before, after, _moment)


def begins(before: Any, after: Any) -> tuple[Step, ...]:
    """The first day of something: later is less; none is the beginning."""
    return ranked(before, after, lambda value: "" if value is None else _moment(value), rising=False)


def ends(before: Any, after: Any) -> tuple[Step, ...]:
    """The day on which partitions end; none is never."""
    return ranked(before, after, lambda value: "9999" if value is None else _moment(value))


def _moment(value: Any) -> str | None:
    """A date or time as text that sorts; None for what is neither."""
    try:
        found = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return (found.replace(tzinfo=None) - (found.utcoffset() or found - found)).isoformat()


def limit(before: Any, after: Any) -> tuple[Step, ...]:
    """How much may be missing, as `5 %` or `20 rows`: less is more promised; without a limit, all may."""
    limits = [limit_of(side) for side in (before, after)]
    if before is None or after is None:
        return presence(before, after)
    if limits[0] is None or limits[1] is None or limits[0].unit != limits[1].unit:
        return step(before, after, OTHER)
    return ranked(limits[0].values[0], limits[1].values[0], size(math.inf), rising=False, shown=(before, after))


_LENGTH = re.compile(r"\s*([0-9.]+)\s*([a-z]+)\s*")


def duration(before: Any, after: Any) -> tuple[Step, ...]:
    """The greatest length of time, `26h`, or the greatest ratio; less is more promised."""
    if before is None or after is None:
        return presence(before, after)
    old, new = _length(before), _length(after)
    if old is None or new is None or old[0] != new[0]:
        return step(before, after, OTHER)
    return ranked(old[1], new[1], size(math.inf), rising=False, shown=(before, after))


def _length(value: Any) -> tuple[str, float] | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "ratio", value
    found = _LENGTH.fullmatch(str(value).lower())
    try:
        seconds = Sla("", float(found[1]), found[2]).seconds if found else None
    except ValueError:
        return None
    return None if seconds is None else ("seconds", seconds)


def window(before: Any, after: Any) -> tuple[Step, ...]:
    """Over how long a share counts; without a word, the last 28 days.

    What holds over each week holds over each four, but not the other way round. Lengths that are not made of each
    other do not compare.
    """
    old, new = (read_window("" if side is None else str(side)) for side in (before, after))
    if old is None or new is None:
        return step(before, after, OTHER)
    if old == new:
        return step(before, after, SAME)
    return step(before, after, LESS if _is_made_of(new, old) else MORE if _is_made_of(old, new) else OTHER)


def _is_made_of(longer: Window, shorter: Window) -> bool:
    if not longer.period:
        return not shorter.period and longer.days % shorter.days == 0
    return shorter.days == 1 or (longer.period, shorter.period) == ("quarter", "month")


Span = tuple[float, bool, float, bool]


def _spans(threshold: Mapping[str, Any]) -> list[Span] | None:
    """Return the numbers that a threshold lets through, as spans of (from, excluded, to, excluded)."""
    operator, values = threshold["operator"], threshold["values"]
    try:
        numbers = [float(value) for value in values]
        low, high = numbers[0], numbers[-1]
    except (TypeError, ValueError, IndexError):
        return None
    return {
        Operator.MUST_BE: [(low, False, low, False)],
        Operator.MUST_NOT_BE: [(-math.inf, True, low, True), (low, True, math.inf, True)],
        Operator.MUST_BE_GREATER_THAN: [(low, True, math.inf, True)],
        Operator.MUST_BE_GREATER_OR_EQUAL_TO: [(low, False, math.inf, True)],
        Operator.MUST_BE_LESS_THAN: [(-math.inf, True, low, True)],
        Operator.MUST_BE_LESS_OR_EQUAL_TO: [(-math.inf, True, low, False)],
        Operator.MUST_BE_BETWEEN: [(low, False, high, False)],
        Operator.MUST_NOT_BE_BETWEEN: [(-math.inf, True, low, True), (high, True, math.inf, True)],
    }[operator]


def _lies_in(inner: Span, outer: Span) -> bool:
    starts = inner[0] > outer[0] or (inner[0] == outer[0] and inner[1] >= outer[1])
    ends = inner[2] < outer[2] or (inner[2] == outer[2] and inner[3] >= outer[3])
    return starts and ends


def threshold(before: Any, after: Any) -> tuple[Step, ...]:
    """Letting fewer numbers through promises more."""
    if before is None or after is None:
        return presence(before, after)
    old, new = _spans(before), _spans(after)
    if old is None or new is None or before["unit"] != after["unit"]:
        return step(before, after, OTHER)
    tighter = all(any(_lies_in(span, outer) for outer in old) for span in new)
    looser = all(any(_lies_in(span, outer) for outer in new) for span in old)
    sign = SAME if tighter and looser else MORE if tighter else LESS if looser else OTHER
    return step(before, after, sign)


_SHORTER = {"latency", "freshness", "frequency", "timeToDetect", "timeToNotify", "timeToRepair", "errorRate"}


_SHORTER |= {"ly", "fy", "td", "tn", "tr", "er", "timeOfAvailability", "generalAvailability", "ga"}


_LONGER = {"availability", "throughput", "retention", "av", "th", "re"}


def sla(before: Any, after: Any) -> tuple[Step, ...]:
    """Sooner, more often, longer or more available is more; what nobody can order is something else."""
    if before is None or after is None:
        return presence(before, after)
    name = before["property"]
    kinds, ranks = zip(*(_sla_rank(side) for side in (before, after)), strict=True)
    known = name in _SHORTER or name in _LONGER
    if canonical(before["valueExt"]) != canonical(after["valueExt"]) or kinds[0] != kinds[1] or not kinds[0]:
        return step(before, after, OTHER)
    if ranks[0] == ranks[1]:
        return step(before, after, SAME)
    return step(before, after, OTHER if not known else MORE if (ranks[1] > ranks[0]) is (name in _LONGER) else LESS)


def _sla_rank(side: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the kind and the size of an SLA's value; an empty kind if it has none that sorts."""
    value, unit = side["value"], str(side["unit"] or "")
    if isinstance(value, str) and value.strip().endswith("%"):
        value, unit = value.strip()[:-1].strip(), unit or "percent"
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is not None and not math.isnan(number):
        seconds = Sla("", number, unit).seconds
        percent = "percent" if unit.lower() in ("%", "percent") else unit.lower()
        return ("seconds", seconds) if seconds is not None else (f"in {percent}", number)
    try:
        clock = time.fromisoformat(str(value))
    except ValueError:
        moment = _moment(value)
        return ("moment", moment) if moment else ("", None)
    offset = clock.utcoffset()
    return "clock", clock.hour * 3600 + clock.minute * 60 + clock.second - (offset.total_seconds() if offset else 0)
