"""The arithmetic of error budgets, against counts made by hand and one by one."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproducts.slo.budget import Burn, Tally, alarms, budget_left, burn_rate
from dataproducts.slo.events import Event, Recorded, Span

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAYS = st.lists(st.sampled_from(["good", "bad", "none"]), min_size=1, max_size=120)
TARGETS = st.integers(500, 999).map(lambda thousandths: thousandths / 1000)


def days_of(found: list[str]) -> Recorded:
    """Return one event a day at noon, of those days that had one."""
    return Recorded(
        tuple(Event(START + n * DAY + 12 * HOUR, good=what == "good") for n, what in enumerate(found) if what != "none")
    )


@given(DAYS, TARGETS, st.sampled_from([7, 28, 90]))
def test_counts_are_those_of_counting_day_by_day(found, target, days):
    """Attainment, budget and burn rate over a window are those of a loop over its days, in exact fractions."""
    now = START + len(found) * DAY
    good = bad = 0
    for back in range(1, days + 1):
        what = found[-back] if back <= len(found) else "none"
        good, bad = good + (what == "good"), bad + (what == "bad")
    tally = days_of(found).tally(now - days * DAY, now)
    assert (good, good + bad) == (tally.good, tally.total)
    if not good + bad:
        assert (None, None, None) == (tally.attainment, budget_left(tally, target), burn_rate(tally, target))
        return
    share = Fraction(bad, good + bad) / (1 - Fraction(str(target)))
    assert tally.attainment == pytest.approx(float(Fraction(good, good + bad)))
    assert budget_left(tally, target) == pytest.approx(float(1 - share), abs=1e-9)
    assert burn_rate(tally, target) == pytest.approx(float(share), abs=1e-9)


@given(DAYS, st.integers(0, 90 * 24))
def test_time_counts_as_minute_by_minute(found, hours):
    """Spans that begin and end anywhere count by their hours within the window, as a count of half hours finds them."""
    spans = [
        Span(START + n * DAY, START + (n + 1) * DAY, good=what == "good")
        for n, what in enumerate(found)
        if what != "none"
    ]
    end = START + timedelta(hours=hours) + HOUR / 2
    begin = end - 7 * DAY
    good = total = 0
    for half in range(7 * 48):
        moment = begin + half * HOUR / 2
        day = (moment - START) // DAY
        what = found[day] if 0 <= day < len(found) else "none"
        good, total = good + (what == "good"), total + (what != "none")
    tally = Recorded(spans=tuple(spans)).tally(begin, end)
    assert (good / 2, total / 2) == (pytest.approx(tally.good), pytest.approx(tally.total))


def test_nothing_to_count_is_neither_good_nor_bad():
    """Without an event there is no attainment, no budget and no burn rate: not 100 %, and not 0 %."""
    tally = Recorded().tally(START, START + 90 * DAY)
    assert (None, None, None) == (tally.attainment, budget_left(tally, 0.99), burn_rate(tally, 0.99))
    assert (None, None) == (budget_left(Tally(), 1), burn_rate(Tally(), 1))


def test_a_target_of_one_leaves_no_budget():
    """All of it is left while nothing is bad, none from the first bad event on, however many follow."""
    assert (1.0, 0.0) == (budget_left(Tally(5, 5), 1), burn_rate(Tally(5, 5), 1))
    assert (0.0, math.inf) == (budget_left(Tally(4, 5), 1), burn_rate(Tally(4, 5), 1))
    assert budget_left(Tally(0, 5), 1) == 0.0


def test_what_is_attained_exactly_leaves_nothing():
    """At the target itself nothing is left to spend, whatever binary fractions make of 1 - target."""
    assert [0.0] * 5 == [budget_left(Tally(target, 1000), target / 1000) for target in (990, 999, 950, 900, 980)]


def test_a_window_longer_than_history_counts_what_there_is():
    """Ninety days back over ten recorded days are those ten days; a gap between them is not counted."""
    found = days_of(["good"] * 4 + ["none"] * 3 + ["bad"] * 1 + ["good"] * 2)
    now = START + 10 * DAY
    assert Tally(6, 7) == found.tally(now - 90 * DAY, now)
    assert Tally(2, 3) == found.tally(now - 3 * DAY, now)


def test_a_window_is_open_at_its_start():
    """What happened at the very end counts, at the very start it belongs to the window before."""
    found = Recorded((Event(START, good=False), Event(START + DAY, good=True)))
    assert Tally(1, 1) == found.tally(START, START + DAY)
    assert Tally(0, 1) == found.tally(START - DAY, START)


def test_alarms_grow_with_the_time_between_events():
    """What is timed rings over a day and six hours; daily events need two days, at half the threshold."""
    fast, slow = alarms(28 * DAY)
    assert (DAY, 6 * HOUR, 14.4) == (fast.long, fast.short, pytest.approx(fast.threshold))
    assert (3 * DAY, DAY, 6.0) == (slow.long, slow.short, pytest.approx(slow.threshold))
    fast, slow = alarms(28 * DAY, DAY)
    assert (2 * DAY, DAY, 7.2) == (fast.long, fast.short, pytest.approx(fast.threshold))
    assert (3 * DAY, DAY, 6.0) == (slow.long, slow.short, pytest.approx(slow.threshold))
    assert alarms(28 * DAY, 7 * DAY) == ()


@given(st.integers(7, 365), st.integers(0, 14 * 24))
def test_an_alarm_stands_for_one_share_of_the_budget(days, hours):
    """However windows grow, a long window at the threshold spends 51 % (fast) or 64 % (slow) of the budget."""
    window = timedelta(days=days)
    shares = [alarm.threshold * (alarm.long / window) for alarm in alarms(window, timedelta(hours=hours))]
    assert [pytest.approx(14.4 / 28), pytest.approx(18 / 28)][: len(shares)] == shares
    assert all(alarm.short <= alarm.long <= window / 2 for alarm in alarms(window, timedelta(hours=hours)))


def test_an_alarm_needs_both_windows():
    """It rings while both burn; not once the present is good; an empty present tells neither."""
    alarm = alarms(28 * DAY)[0]
    assert [True, False, None, False, None] == [
        Burn(alarm, 20, 20).rings,
        Burn(alarm, 20, 1).rings,
        Burn(alarm, 20, None).rings,
        Burn(alarm, 1, 20).rings,
        Burn(alarm, None, None).rings,
    ]


def test_the_interval_is_the_usual_one():
    """Several rules of one refresh are one moment; a weekend does not make weekdays rare; time has no interval."""
    moments = [START + day * DAY for day in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)]
    found = Recorded(tuple(Event(moment, good=True) for moment in moments for _ in range(3)))
    assert found.interval(START - DAY, START + 20 * DAY) == DAY
    assert Recorded((Event(START, good=True),)).interval(START - DAY, START) == DAY
    assert Recorded(spans=(Span(START, START + DAY, good=True),)).interval(START, START + DAY) == timedelta(0)


def test_the_worked_example_of_the_page_is_right():
    """Every figure of the table in docs/slo-budgets.md follows from its good and bad days."""
    page = (Path(__file__).parents[1] / "docs/slo-budgets.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d+) d \| (\d+) \| (\d+) \| ([\d.]+) % \| (-?[\d.]+) % \| ([\d.]+) \|$", page, re.MULTILINE
    )
    target = 0.95
    assert len(rows) == 3
    for _, good, bad, attained, left, burn in rows:
        tally = Tally(int(good), int(good) + int(bad))
        assert tally.attainment is not None
        told = (tally.attainment * 100, budget_left(tally, target) * 100, burn_rate(tally, target))  # type: ignore[operator]
        assert (float(attained), float(left), float(burn)) == tuple(pytest.approx(value, abs=0.005) for value in told)
