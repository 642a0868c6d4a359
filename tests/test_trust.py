"""Ten days of retail with seven faults: one incident each, told once to the owner, and figures as computed by hand."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dataproducts.ledger import Ledger
from dataproducts.operations import Operations
from dataproducts.product import Dimension
from dataproducts.slo.evaluate import evaluate
from tests.trust import FAULTS, PURCHASES, Replay, local, outcomes, replay

DAYS = 10
FRESH_FOR = timedelta(hours=26)


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Replay:
    """Return ten replayed days."""
    return replay(tmp_path_factory.mktemp("trust"), days=DAYS)


@pytest.fixture(scope="module")
def attained(done):
    """Return what the library says was attained of each objective of the purchases, by name."""
    store = done.folder / "store"
    with (
        Ledger.open(f"sqlite:///{store / 'ledger.sqlite'}", create=False) as ledger,
        Operations.open(f"sqlite:///{store / 'operations.sqlite'}", create=False) as operations,
        operations.reading() as con,
    ):
        found = evaluate(done.products[PURCHASES], ledger, con, now=done.end)
    return {one.objective.name: one for one in found}


def test_each_fault_opens_one_incident_and_closes_with_a_notice(done):
    """Every fault is found, told to the owner once under one key, and told to be over; nothing else is opened."""
    found = outcomes(done)
    assert [one.fault for one in found] == list(FAULTS)
    assert [(one.fault.name, one.others) for one in found] == [(fault.name, ()) for fault in FAULTS]
    assert [(one.received, one.keys) for one in found] == [(2, 2)] * len(FAULTS)
    for one in found:
        assert one.failed_at <= one.opened_at <= min(one.told_at, one.resolved_at)
        assert max(one.told_at, one.resolved_at) <= one.closed_at


def test_a_receiver_that_is_down_loses_nothing(done):
    """What could not be delivered is delivered when the receiver is back, under the key that it had."""
    (deaf,) = (one for one in outcomes(done) if one.fault.is_deaf)
    back = local(deaf.day + timedelta(days=1), datetime.min.time().replace(hour=20))
    assert done.receiver.refused > 0
    assert deaf.told_at == back
    assert (deaf.received, deaf.keys) == (2, 2)


def nights(done: Replay):
    """Return the refreshes of the purchases, in order."""
    return [night for night in done.nights if night.product == PURCHASES]


def test_refresh_success_as_counted_by_hand(done, attained):
    """One event a refresh of the calendar month; the share of those that were released is what was attained."""
    one = attained["refresh_success"]
    month = [night for night in nights(done) if (night.at.year, night.at.month) == (done.end.year, done.end.month)]
    good = sum(night.is_released for night in month)
    assert (one.own.good, one.own.total) == (good, len(month))
    assert one.attainment == pytest.approx(good / len(month), abs=1e-12)


def stale_hours(done: Replay, start: datetime, end: datetime) -> tuple[float, float]:
    """Return for how many hours the purchases were older than promised between two moments, and of how many."""
    steps = [(night.at, night.newest + FRESH_FOR) for night in nights(done) if night.is_released and night.newest]
    start = max(start, steps[0][0])
    stale = timedelta(0)
    for (at, until), (then, _) in pairwise([*steps, (end, end)]):
        lower, upper = max(at, until, start), min(then, end)
        stale += max(upper - lower, timedelta(0))
    return stale / timedelta(hours=1), (end - start) / timedelta(hours=1)


def test_freshness_as_computed_by_hand(done, attained):
    """Hours in which the newest line was older than 26 hours, from the lines that the replay knows it delivered."""
    one = attained["purchase_lines.latency"]
    bad, total = stale_hours(done, done.end - timedelta(days=28), done.end)
    assert bad > 0
    assert one.own.total == pytest.approx(total, abs=1e-9)
    assert one.own.bad == pytest.approx(bad, abs=1e-9)
    for burn in one.burns:
        for share, window in ((burn.long, burn.alarm.long), (burn.short, burn.alarm.short)):
            bad, total = stale_hours(done, done.end - window, done.end)
            assert share == pytest.approx(bad / total / 0.01, abs=1e-9)


def test_uniqueness_as_counted_by_hand(done, attained):
    """Each refresh counts each rule on uniqueness; unread files count all as broken, a repeated file the key alone."""
    rules = [
        rule
        for rule in done.products[PURCHASES].table("purchase_lines").rules
        if rule.dimension is Dimension.UNIQUENESS
    ]
    one = attained["purchase_lines.uniqueness"]
    total = len(nights(done)) * len(rules)
    assert (one.own.total, one.own.bad) == (total, 1 + len(rules))
