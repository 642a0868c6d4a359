"""Error budgets as plain arithmetic: attainment, what is left, how fast it burns; it must not know what is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import timedelta

_DIGITS = 12  # targets are written in decimals, so that 1 - 0.99 is to be 0.01

# Shares of the whole budget that an alarm lets go in its long window: 14.4 times the even pace for a day of 28, and
# 6 times for three days of 28.
_FAST, _SLOW = 14.4 / 28, 6 * 3 / 28


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of `total` events, or how much of `total` time, were `good`.

    `expected` is what the total will be when the whole window is over, as far as one can tell; 0 where it is over.
    """

    good: float = 0.0
    total: float = 0.0
    expected: float = field(default=0.0, compare=False)

    def __add__(self, other: Tally) -> Tally:
        """Return both together."""
        return Tally(self.good + other.good, self.total + other.total, self.expected + other.expected)

    @property
    def bad(self) -> float:
        """What was not good."""
        return self.total - self.good

    @property
    def attainment(self) -> float | None:
        """The good share, 0 to 1; None where nothing was to be counted, which is not 100 %."""
        return self.good / self.total if self.total > 0 else None


def allowed(tally: Tally, target: float) -> float:
    """Return how much may be bad over the whole window, of which only a part may have been counted yet.

    A product on its second day has the budget of its four weeks: one bad night of two has not spent it.
    """
    return max(tally.total, tally.expected) * round(1 - target, _DIGITS)


def budget_left(tally: Tally, target: float) -> float | None:
    """Return the share of the error budget that is left: 1 is all of it, 0 none, below 0 is overspent.

    Once the window is full it is 1 - (1 - attainment) / (1 - target). With a target of 1 there is no budget to begin
    with: 1 while nothing is bad, 0 from the first bad event on. None where nothing was to be counted.
    """
    if tally.total <= 0:
        return None
    if target >= 1:
        return 1.0 if tally.bad <= 0 else 0.0
    return round(1 - tally.bad / allowed(tally, target), _DIGITS)


def burn_rate(tally: Tally, target: float) -> float | None:
    """Return the bad share in units of the share that may be bad: 1 spends the budget by the end of its window.

    Infinite where nothing may be bad and something is. None where nothing was to be counted.
    """
    if tally.total <= 0:
        return None
    if target >= 1:
        return math.inf if tally.bad > 0 else 0.0
    return round(tally.bad / tally.total / round(1 - target, _DIGITS), _DIGITS)


@dataclass(frozen=True, slots=True)
class Alarm:
    """Two windows in which a budget burns at `threshold` or faster: `long` gives weight, `short` the present."""

    name: str
    long: timedelta
    short: timedelta
    threshold: float


def alarms(window: timedelta, interval: timedelta = timedelta(0)) -> tuple[Alarm, ...]:
    """Return the alarms on a budget over `window` whose events lie `interval` apart (0 for what is timed).

    Windows grow with the budget's and until they can hold events, 2 in the long one of the fast alarm and 3 in that of
    the slow one; thresholds fall as much as windows grow, so that an alarm stands for the same share of the budget.
    None where so few events leave no room for an alarm before the budget itself is spent.
    """
    day = window / 28
    fast, slow = max(day, 2 * interval), max(3 * day, 3 * interval)
    if slow > window / 2:
        return ()
    return (
        Alarm("fast", fast, max(day / 4, interval), _FAST * (window / fast)),
        Alarm("slow", slow, max(day, interval), _SLOW * (window / slow)),
    )


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast a budget burns over the windows of one alarm."""

    alarm: Alarm
    long: float | None
    short: float | None

    @property
    def rings(self) -> bool | None:
        """Whether both windows burn too fast; None where nothing was counted that could tell."""
        if self.long is None:
            return None
        if self.long < self.alarm.threshold:
            return False
        return None if self.short is None else self.short >= self.alarm.threshold
