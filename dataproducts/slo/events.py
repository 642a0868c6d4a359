"""Good and bad events over time, and how many of them fall into a window; it must not know where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from dataproducts.slo.budget import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

HOUR = timedelta(hours=1)
_FEW = 3  # events from which the time between them is told


@dataclass(frozen=True, slots=True)
class Event:
    """Something that counted once, at a moment, and was good or not."""

    at: datetime
    good: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which all was good, or not; `end` is no longer part of it."""

    start: datetime
    end: datetime
    good: bool


@dataclass(frozen=True, slots=True)
class Breach:
    """What is not good at the moment: of which table, since when, in words."""

    since: datetime
    message: str
    table: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known of one indicator: events, or spans of time, or what stands declared now; never a mixture.

    `standing` holds at every moment alike, for declarations have no history here. `breaches` tells what is wrong now,
    `watched` the tables that could be.
    """

    events: tuple[Event, ...] = ()
    spans: tuple[Span, ...] = ()
    standing: Tally | None = None
    breaches: tuple[Breach, ...] = ()
    watched: tuple[str, ...] = ()

    def tally(self, start: datetime, end: datetime) -> Tally:
        """Count what falls after `start` and up to `end`; spans count by the hours of them that do."""
        if self.standing is not None:
            return self.standing
        within = [event for event in self.events if start < event.at <= end]
        counted = Tally(sum(event.good for event in within), len(within))
        hours = [(span.good, max(min(span.end, end) - max(span.start, start), timedelta(0))) for span in self.spans]
        good, total = (sum((took for is_good, took in hours if is_good or every), timedelta(0)) for every in (0, 1))
        return counted + Tally(good / HOUR, total / HOUR)

    def interval(self, start: datetime, end: datetime) -> timedelta:
        """Return how far events usually lie apart: the median between `start` and `end`; a day where few are known.

        What is timed has no interval: 0.
        """
        if self.spans or self.standing is not None:
            return timedelta(0)
        moments = sorted({event.at for event in self.events if start < event.at <= end})
        if len(moments) < _FEW:
            return timedelta(days=1)
        return timedelta(seconds=median((later - earlier).total_seconds() for earlier, later in pairwise(moments)))

    def bad(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Yield since when and until when something was bad after `start` and up to `end`; an event takes no time."""
        yield from ((event.at, event.at) for event in self.events if not event.good and start < event.at <= end)
        spans = (span for span in self.spans if not span.good and span.end > start and span.start < end)
        yield from ((max(span.start, start), min(span.end, end)) for span in spans)


@dataclass(frozen=True, slots=True)
class Slot:
    """The time from one moment of a schedule to the next, in which a refresh should begin."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Ended:
    """A refresh that is over at `at`: released, or not."""

    refresh_id: str
    at: datetime
    is_released: bool
    seconds: float | None = None
    rows: int = 0
