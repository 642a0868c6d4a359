"""Which findings stand for themselves and which follow from another, on a small chain of products."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dataproducts.causes import Episode, bad_last, fold
from dataproducts.finding import Finding, FindingKind, Subject
from dataproducts.load import load_project
from dataproducts.objective import Indicator, IndicatorKind, Objective
from dataproducts.product import Rule, RuleKind, Severity
from dataproducts.slo.budget import Alarm, Burn, Tally
from dataproducts.slo.evaluate import Attained
from dataproducts.slo.findings import findings
from tests.shop import make_shop

ORDERS, REVENUE = "shop/orders", "shop/revenue"
NOON = datetime(2024, 1, 11, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Return the products of the shop by address: revenue is made from orders."""
    found = load_project(make_shop(tmp_path_factory.mktemp("shop")))
    assert found.faults == ()
    by_address = {product.address: product for product in found.products}
    orders, revenue = by_address[ORDERS], by_address[REVENUE]
    checked = (
        Rule("orders.unique", RuleKind.UNIQUE, ("id",)),
        Rule("orders.warned", RuleKind.RANGE, ("id",), blocking=False),
    )
    validity = Objective("orders.validity", Indicator(IndicatorKind.VALIDITY, {"table": "orders"}), 0.9)
    tables = tuple(replace(t, rules=(*t.rules, *checked)) if t.name == "orders" else t for t in orders.tables)
    orders = replace(orders, tables=tables, objectives=(validity,))
    rule = Rule("day.freshness", RuleKind.FRESHNESS, ("day",), {"max_age_s": 60})
    tables = tuple(replace(t, rules=(*t.rules, rule)) if t.name == "revenue" else t for t in revenue.tables)
    return {ORDERS: orders, REVENUE: replace(revenue, tables=tables)}


def subject(product: str, kind: str, name: str = "x", table: str = "") -> Subject:
    """Return a subject of `kind`."""
    return Subject(product, FindingKind(kind), name, table)


def finding(about: Subject) -> Finding:
    """Return a sighting of `about`."""
    return Finding(about, "wrong", Severity.ERROR, NOON, NOON)


def told(found, *open_subjects, products):
    """Return the subjects that stand for themselves, and the causes of the others by subject."""
    own, following = fold([finding(one) for one in found], open_subjects, products)
    return [one.subject for one in own], {one.finding.subject: one.cause for one in following}


def test_lateness_follows_from_what_is_broken_upstream(products):
    """A refused table makes itself and what rests on it late, and spends budgets: one thing is wrong."""
    broken = subject(ORDERS, "check", "orders.unique", "orders")
    late, later = subject(ORDERS, "stale", table="orders"), subject(REVENUE, "stale", table="revenue")
    burning = subject(REVENUE, "burn_rate", "freshness")
    expected = ([broken], dict.fromkeys((late, later, burning), broken))
    assert told([later, late, burning, broken], products=products) == expected
    assert told([later, late, burning], broken, products=products) == ([], expected[1])


def test_lateness_follows_from_lateness_upstream_and_not_the_other_way(products):
    """With nothing broken, the table furthest upstream is what is late."""
    late, later = subject(ORDERS, "stale", table="orders"), subject(REVENUE, "stale", table="revenue")
    assert told([later, late], products=products) == ([late], {later: late})
    assert told([later], products=products) == ([later], {})


def test_a_load_that_did_not_run_explains_stale_tables(products):
    """That nothing ran is the cause; that its tables are old follows."""
    missing, late = subject(ORDERS, "missing", "schedule"), subject(ORDERS, "stale", table="orders")
    assert told([late, missing], products=products) == ([missing], {late: missing})


def test_a_rule_on_freshness_tells_of_lateness(products):
    """That it failed is no second thing wrong beside the stale table, upstream or its own."""
    failed = subject(REVENUE, "check", "day.freshness", "revenue")
    late, later = subject(ORDERS, "stale", table="orders"), subject(REVENUE, "stale", table="revenue")
    assert told([failed], products=products) == ([failed], {})
    assert told([failed, later], products=products) == ([later], {failed: later})
    assert told([failed, later, late], products=products) == ([late], {failed: late, later: late})


def test_a_rule_that_warns_makes_nothing_late(products):
    """What forbids nothing explains no lateness; it explains the budget that counts it, and no other."""
    warned = subject(ORDERS, "check", "orders.warned", "orders")
    late = subject(ORDERS, "stale", table="orders")
    counting, other = subject(ORDERS, "burn_rate", "orders.validity"), subject(ORDERS, "budget", "refresh_success")
    found = told([late], warned, products=products), told([counting, other], warned, products=products)
    assert found == (([late], {}), ([other], {counting: warned}))


def test_a_window_does_not_tell_of_a_fault_again_when_it_is_over(products):
    """A budget that counts what was bad in a past episode follows from it, and from none of another day."""
    broken = subject(ORDERS, "check", "orders.unique", "orders")
    burning = finding(subject(ORDERS, "burn_rate", "orders.validity"))
    hour = timedelta(hours=1)
    same, earlier = Episode(broken, NOON - 5 * hour, NOON), Episode(broken, NOON - 9 * hour, NOON - 5 * hour)
    _, following = fold([burning], (), products, past=[same])
    own, _ = fold([burning], (), products, past=[earlier])
    assert ([burning], broken) == (list(own), following[0].cause)


def test_a_spent_budget_that_acts_is_told(products):
    """Whoever may not release, or counts as less, has to know it, whatever spent the budget."""
    broken = subject(ORDERS, "check", "orders.unique", "orders")
    frozen = replace(finding(subject(ORDERS, "budget", "orders.validity")), detail={"on_spent": "freeze"})
    own, following = fold([frozen], (broken,), products)
    assert ([frozen], ()) == (list(own), following)


def test_what_failed_follows_from_nothing(products):
    """A failed rule downstream stands for itself, whatever is broken upstream; so does a table beside it."""
    broken = subject(ORDERS, "check", "orders.unique", "orders")
    failed = subject(REVENUE, "check", "revenue.total", "revenue")
    aside = subject(ORDERS, "stale", table="customers")
    assert told([failed, broken, aside], products=products) == ([failed, broken, aside], {})


def test_an_open_incident_stays_one(products):
    """What is an incident already goes on being one, whatever else is found."""
    broken = subject(ORDERS, "source", "till", "orders")
    late = subject(ORDERS, "stale", table="orders")
    assert told([late, broken], late, products=products) == ([late, broken], {})


def test_what_is_late_now_does_not_follow_from_what_is_over(products):
    """A table that stays stale after its source was repaired is told of; the budget that the fault burnt is not."""
    source = subject(ORDERS, "source", "till", "orders")
    late, burning = subject(REVENUE, "stale", "fresh", "revenue"), subject(REVENUE, "burn_rate", "fresh")
    hour = timedelta(hours=1)
    found = [replace(finding(one), seen_at=NOON + 24 * hour) for one in (late, burning)]
    own, following = fold(found, (), products, past=[Episode(source, NOON - hour, NOON + hour)])
    assert ([one.subject for one in own], [one.cause for one in following]) == ([late], [source])


def test_a_second_burn_is_not_explained_by_the_first(products):
    """What counts is when something was bad last: an alarm's window reaches back into a fault that is over."""
    source = subject(ORDERS, "source", "till", "orders")
    burning, hour = finding(subject(ORDERS, "burn_rate", "orders.validity")), timedelta(hours=1)
    past = [Episode(source, NOON - hour, NOON + hour)]
    first, again = (replace(burning, detail={"bad_until": (NOON + n * hour).isoformat()}) for n in (1, 5))
    own, following = fold([first, again], (), products, past=past)
    assert ((again,), [source]) == (own, [one.cause for one in following])


def test_what_nobody_declares_explains_nothing(products):
    """An incident about a table that its product lost, or of a product that is gone, is the cause of nothing else."""
    gone = subject(ORDERS, "refused", "refresh", "no_such_table")
    ghost = subject("shop/ghost", "source", "till", "orders")
    missing, burning = subject(ORDERS, "missing", "schedule"), subject(ORDERS, "burn_rate", "b")
    assert told([missing], gone, ghost, products=products) == ([missing], {})
    assert told([burning], gone, ghost, products=products) == ([burning], {})


def test_an_alarm_says_when_something_was_bad_last(products):
    """It is dated by the start of what burns, and explained by what was wrong at the end of it."""
    (objective,) = products[ORDERS].objectives
    alarm = Alarm("fast", timedelta(hours=72), timedelta(hours=6), 14.4)
    hour = timedelta(hours=1)
    one = Attained(
        ORDERS,
        objective,
        NOON,
        Tally(99, 100),
        {},
        burns=(Burn(alarm, 20.0, 20.0),),
        last_bad=NOON,
        burning_since=NOON - 70 * hour,
    )
    (burning,), _ = findings([one])
    source = subject(ORDERS, "source", "till", "orders")
    first, second = (Episode(source, NOON - n * hour, NOON - (n - 2) * hour) for n in (71, 2))
    assert (NOON - 70 * hour, NOON) == (burning.failed_at, bad_last(burning))
    assert ((burning,), ()) == fold([burning], (), products, past=[first])
    assert [source] == [one.cause for one in fold([burning], (), products, past=[second])[1]]
