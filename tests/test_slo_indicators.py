"""Objectives measured on a ledger that real refreshes wrote under a simulated clock, against figures found by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dataproducts.errors import RefusedError
from dataproducts.finding import Finding, FindingKind, Recovery
from dataproducts.ledger.timeline import first_judged
from dataproducts.objective import Indicator, IndicatorKind, Objective, Window
from dataproducts.operations import Operations, measurements, schema, transitions
from dataproducts.product import Partitioning, Schedule, Status
from dataproducts.refresh import refresh_product
from dataproducts.releases import rollback
from dataproducts.retention import gc
from dataproducts.slo.budget import Tally
from dataproducts.slo.evaluate import Attained, evaluate
from dataproducts.slo.evaluate import measurements as rows_of
from dataproducts.slo.findings import findings, missing
from dataproducts.slo.freshness import _gap_after
from dataproducts.slo.indicators import counted_rules
from dataproducts.slo.slots import last_slot, patience, slots
from dataproducts.warehouse import Warehouse
from tests import shop
from tests.postgres import database
from tests.shop import environment, make_shop, write_orders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataproducts.product import DataProduct

ORDERS = "shop/orders"
AT_MOST_H = 55  # a day's orders are dated at its midnight, so that they are 30 h old at the next load, 54 h before it
BAD = {17: "18,2,2024-01-05,-1"}  # an order of the fifth that is negative


def january(day: int, hour: float = 6) -> datetime:
    """Return a moment of January 2024; 6 is when the schedule asks for a load."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day - 1, hours=hour)


def objective(kind: str, target: float = 0.95, **params: object) -> Objective:
    """Return an objective over 28 days, called as what it measures."""
    return Objective(kind, Indicator(IndicatorKind(kind), params), target)


FRESH = objective("freshness", table="orders", at_most_s=AT_MOST_H * 3600.0)
VALID = objective("validity", table="orders", rules=("amount.range",))
SUCCESS = objective("refresh_success", 0.9)


@dataclass
class Story:
    """A shop whose orders are loaded day by day under a simulated clock."""

    root: Path
    warehouse: Warehouse
    operations: Operations
    product: DataProduct

    def load(self, at: datetime, *days: int, bad: dict[int, str] | None = None) -> bool:
        """Load the orders of `days` at that moment; return whether that was released."""
        write_orders(self.root, bad=bad)
        wanted = [date(2024, 1, day) for day in days]
        try:
            refresh_product(self.warehouse.at(at), self.product, partitions={"orders": wanted})
        except RefusedError:
            return False
        return True

    def daily(self, first: int, last: int) -> None:
        """Load the day before, at six, from the day `first` of January to the day `last`."""
        for day in range(first, last + 1):
            assert self.load(january(day), day - 1)

    def attained(self, *objectives: Objective, at: datetime, production: bool = False) -> tuple[Attained, ...]:
        """Measure `objectives` at that moment."""
        product = replace(self.product, objectives=objectives)
        with self.operations.reading() as con:
            return evaluate(product, self.warehouse.ledger, con, now=at, production=production)

    def one(self, wanted: Objective, at: datetime, *, production: bool = False) -> Attained:
        """Measure one objective at that moment."""
        (found,) = self.attained(wanted, at=at, production=production)
        return found

    def missing(self, at: datetime, *, production: bool = False) -> Finding | Recovery | None:
        """Ask whether a load is missing at that moment."""
        with self.operations.reading() as con:
            return missing(self.product, self.warehouse.ledger, con, now=at, production=production)

    def step(self, kind: str, status: str, at: datetime, **detail: object) -> None:
        """Record a step of the product's lifecycle, or a review of it, made by Ana."""
        made = transitions.Transition(ORDERS, "1.0.0", kind, "", status, at, "ana", detail=detail)
        with self.operations.writing() as con:
            transitions.record(con, made)

    def starts(self, day: int) -> None:
        """Let the partitions of orders begin on that day of January, and never end; those before are left over."""
        tables = [
            replace(table, partitioning=replace(parts, start=date(2024, 1, day), end=None)) if parts else table
            for table in self.product.tables
            for parts in (table.partitioning,)
        ]
        self.product = replace(self.product, tables=tuple(tables))


@pytest.fixture
def story(tmp_path: Path) -> Iterator[Story]:
    """Return a shop that was never loaded."""
    yield from tell(tmp_path)


def tell(folder: Path, url: str = "") -> Iterator[Story]:
    """Yield a shop below `folder`, with both databases at `url` or in SQLite."""
    root = make_shop(folder)
    product = replace(shop.product(root, ORDERS), status=Status.ACTIVE, schedule=Schedule("0 6 * * *"))
    wiring = environment(root, replay=True, ledger_url=url, operations_url=url)
    with Warehouse.open(wiring) as warehouse, Operations.open(wiring.operations) as operations:
        yield Story(root, warehouse, operations, product)


def test_loads_that_come_every_day_keep_all_promises(story: Story) -> None:
    """From the second to the tenth, every hour is fresh, every refresh is released, every verdict holds."""
    story.daily(2, 10)
    fresh, valid, success = story.attained(FRESH, VALID, SUCCESS, at=january(10, 18))
    # From the first refresh on the second at six: 8 days and 12 hours.
    assert [Tally(204, 204), Tally(9, 9), Tally(9, 9)] == [fresh.own, valid.own, success.own]
    assert [(1.0, 1.0, "kept")] * 3 == [(one.attainment, one.budget_left, one.state) for one in (fresh, valid, success)]
    assert {7: Tally(168, 168), 28: Tally(204, 204), 90: Tally(204, 204)} == dict(fresh.over)
    assert {7: Tally(7, 7), 28: Tally(9, 9), 90: Tally(9, 9)} == dict(success.over)


def test_a_refused_refresh_does_not_turn_anything_green(story: Story) -> None:
    """The load of the sixth is refused: orders go stale an hour after it and stay so until the seventh at six."""
    story.daily(2, 5)
    assert not story.load(january(6), 5, bad=BAD)
    fresh, valid, success = story.attained(FRESH, VALID, SUCCESS, at=january(6, 12))
    # The newest order is of the fourth at midnight; 55 h later it is the sixth at seven.
    assert [(january(6, 7), "orders")] == [(breach.since, breach.table) for breach in fresh.breaches]
    assert "its newest row, of 2024-01-04 00:00 UTC, is 60.0 h old, 55 h are promised" == fresh.breaches[0].message
    assert Tally(4 * 24 + 6 - 5, 4 * 24 + 6) == fresh.own
    assert [Tally(4, 5), Tally(4, 5)] == [valid.own, success.own]
    assert story.load(january(7), 5, 6)
    fresh, valid, success = story.attained(FRESH, VALID, SUCCESS, at=january(7, 12))
    assert [(), Tally(5 * 24 + 6 - 23, 5 * 24 + 6)] == [fresh.breaches, fresh.own]
    assert [Tally(5, 6), Tally(5, 6)] == [valid.own, success.own]
    # One bad event of the 28 that the whole window will have spends 1/28 of 0.05 or of 0.1.
    assert [pytest.approx(1 - (1 / 28) / 0.05), pytest.approx(1 - (1 / 28) / 0.1)] == [
        valid.budget_left,
        success.budget_left,
    ]


def test_a_backfill_of_an_old_partition_does_not_turn_it_green(story: Story) -> None:
    """Orders that went stale stay stale when an old day is loaded again, until a newer day comes."""
    story.daily(2, 5)
    assert story.load(january(7, 9), 2)
    fresh = story.one(FRESH, january(7, 12))
    assert [january(6, 7)] == [breach.since for breach in fresh.breaches]
    assert Tally(97, 97 + 29) == fresh.own
    assert story.load(january(7, 13), 5, 6)
    assert () == story.one(FRESH, january(7, 14)).breaches


def test_a_gap_is_not_hidden_by_newer_days(story: Story) -> None:
    """Days after a partition were loaded, and it was not: the table is stale from when that one was owed."""
    story.daily(2, 4)
    assert story.load(january(6), 5)
    # The fourth was over on the fifth at midnight; 55 h later it is the seventh at seven.
    assert () == story.one(FRESH, january(7, 6.5)).breaches
    assert story.load(january(7, 6.75), 6)
    fresh = story.one(FRESH, january(7, 10))
    assert [january(7, 7)] == [breach.since for breach in fresh.breaches]
    assert "its partition that ends with 2024-01-04 was never released" == fresh.breaches[0].message
    assert story.load(january(7, 11), 4)
    fresh = story.one(FRESH, january(7, 12))
    assert () == fresh.breaches
    # On the fifth nobody loaded, but orders of the third are 55 h old on the fifth at seven: 23 h until the sixth at
    # six, and the 4 h that the gap was owed.
    assert Tally(5 * 24 + 6 - 27, 5 * 24 + 6) == fresh.own


def test_never_loaded_is_a_breach(story: Story) -> None:
    """Without any release all of the window is bad, and what no event tells is not measured."""
    fresh, valid = story.attained(FRESH, VALID, at=january(2, 12))
    assert (Tally(0, 28 * 24), 0.0, "spent") == (fresh.own, fresh.attainment, fresh.state)
    assert ["it was never loaded"] == [breach.message for breach in fresh.breaches]
    assert (None, None, "unmeasured") == (valid.attainment, valid.budget_left, valid.state)
    assert not story.load(january(3), 1, bad={1: "2,1,2024-01-01,-1"})
    fresh, success = story.attained(FRESH, SUCCESS, at=january(3, 16))
    # Since the first refresh it is known since when it was owed: ten hours.
    assert [Tally(0, 10), Tally(0, 1)] == [fresh.own, success.own]
    assert [january(3)] == [breach.since for breach in fresh.breaches]


def test_a_rollback_makes_data_older(story: Story) -> None:
    """Going back to the release of the third shows orders of the second, which are stale at once."""
    story.daily(2, 5)
    ledger, store = story.warehouse.ledger, story.warehouse.store
    rollback(ledger, store, ORDERS, 2, run_id="ana", now=january(5, 12))
    fresh, success = story.attained(FRESH, SUCCESS, at=january(5, 13))
    assert [january(5, 12)] == [breach.since for breach in fresh.breaches]
    assert Tally(3 * 24 + 6, 3 * 24 + 7) == fresh.own
    assert Tally(4, 4) == success.own  # a rollback is no refresh


def test_freshness_by_another_column_is_the_same(story: Story) -> None:
    """What the files' own facts tell of a column agrees with what the ledger keeps of `validThru`."""
    story.daily(2, 4)
    assert not story.load(january(5), 4, bad={13: "14,2,2024-01-04,-1"})
    facts = replace(story.product, tables=tuple(replace(table, valid_thru="") for table in story.product.tables))
    wanted = objective("freshness", table="orders", at_most_s=AT_MOST_H * 3600.0, column="ordered_on")
    ours = story.one(FRESH, january(6, 3)).own
    story.product = facts
    assert (Tally(73, 93), ours) == (ours, story.one(wanted, january(6, 3)).own)


def test_a_load_that_did_not_run_counts_against_every_budget(story: Story) -> None:
    """Nobody loaded on the sixth: at the end of its slot that is a bad event of success and of every rule."""
    story.daily(2, 5)
    before = story.attained(VALID, SUCCESS, at=january(7, 5.9))
    assert [Tally(4, 4), Tally(4, 4)] == [one.own for one in before]
    story.load(january(7), 5, 6)
    after = story.attained(VALID, SUCCESS, at=january(7, 7))
    assert [Tally(5, 6), Tally(5, 6)] == [one.own for one in after]


def test_a_missing_load_is_told_an_hour_late_and_taken_back(story: Story) -> None:
    """Before seven it is too early to tell, then it is missing since six, and the next refresh takes it back."""
    story.daily(2, 5)
    assert story.missing(january(6, 6.5)) is None
    found = story.missing(january(6, 7))
    assert isinstance(found, Finding)
    assert (FindingKind.MISSING, "schedule", january(6)) == (found.subject.kind, found.subject.name, found.failed_at)
    found = story.missing(january(7, 8))
    assert isinstance(found, Finding)
    assert (january(6), 2) == (found.failed_at, found.detail["missed"])
    assert not story.load(january(7, 9), 5, 6, bad=BAD)
    assert isinstance(story.missing(january(7, 10)), Recovery)  # it ran, if not well


def test_a_schedule_with_nothing_to_load_misses_nothing(story: Story) -> None:
    """After the last partition there is nothing to load: slots without a refresh are no bad events."""
    story.daily(2, 11)
    assert Tally(10, 10) == story.one(SUCCESS, january(20)).own
    assert isinstance(story.missing(january(20)), Recovery)


def test_a_draft_owes_no_load(story: Story) -> None:
    """What is not active is not scheduled, so that nothing of it is missing."""
    story.daily(2, 3)
    story.product = replace(story.product, status=Status.DRAFT)
    assert (None, Tally(2, 2)) == (story.missing(january(6)), story.one(SUCCESS, january(6)).own)


def test_what_nobody_promoted_in_production_owes_no_load_there(story: Story) -> None:
    """A file that says active is not scheduled in production until the promotion is recorded, and elsewhere it is."""
    story.daily(2, 3)
    assert (None, Tally(2, 2)) == (
        story.missing(january(6, 8), production=True),
        story.one(SUCCESS, january(6), production=True).own,
    )
    assert isinstance(story.missing(january(6, 8)), Finding)
    story.step("promote", "active", january(3, 12))
    assert isinstance(story.missing(january(6, 8), production=True), Finding)
    # Promoted on the third: the loads of the fourth and the fifth did not come.
    assert Tally(2, 4) == story.one(SUCCESS, january(6), production=True).own


@pytest.mark.parametrize("production", [True, False])
def test_what_was_retired_on_record_owes_no_load(story: Story, *, production: bool) -> None:
    """Its file may say active still: the record counts. A moment before the retirement is seen as it was seen then."""
    story.daily(2, 3)
    story.step("promote", "active", january(2, 12))
    story.step("deprecate", "deprecated", january(3, 12))
    assert isinstance(story.missing(january(5, 8), production=production), Finding)
    story.step("retire", "retired", january(5, 12))
    story.step("review", "retired", january(5, 13))
    assert (None, Tally(2, 2)) == (
        story.missing(january(9), production=production),
        story.one(SUCCESS, january(9), production=production).own,
    )
    assert isinstance(story.missing(january(5, 8), production=production), Finding)


def test_partitions_left_over_hide_no_missing_load(story: Story) -> None:
    """Partitions from before the start, of which more are held than are due, are none of those that are due."""
    story.daily(2, 5)
    story.starts(4)
    assert isinstance(story.missing(january(5, 8)), Recovery)  # the fourth was loaded
    found = story.missing(january(6, 8))
    assert isinstance(found, Finding)  # the fifth was not, and four others are held
    assert january(6) == found.failed_at
    assert Tally(4, 5) == story.one(SUCCESS, january(7, 6.5)).own


def test_partitions_left_over_hide_no_gap(story: Story) -> None:
    """The fifth was never loaded, the sixth and seventh were: as many partitions as are due, and not all of those."""
    story.daily(2, 5)
    story.starts(3)
    assert story.load(january(8), 6, 7)
    fresh = story.one(FRESH, january(8, 12))
    # The fifth was over on the sixth at midnight; 55 h later it is the eighth at seven.
    assert [january(8, 7)] == [breach.since for breach in fresh.breaches]
    assert "its partition that ends with 2024-01-05 was never released" == fresh.breaches[0].message


def test_a_refresh_that_died_is_bad_once_that_is_known(story: Story) -> None:
    """One that began and was neither released nor refused counts after a day, or when it was overtaken."""
    story.daily(2, 3)
    story.warehouse.ledger.open_refresh("dead", ORDERS, run_id="dead", now=january(4))
    assert Tally(2, 2) == story.one(SUCCESS, january(4, 12)).own
    story.load(january(4, 13), 3)
    assert Tally(3, 4) == story.one(SUCCESS, january(4, 14)).own
    story.warehouse.ledger.open_refresh("later", ORDERS, run_id="later", now=january(4, 20))
    assert [Tally(3, 4), Tally(3, 5)] == [
        story.one(SUCCESS, january(5, 19)).own,
        story.one(SUCCESS, january(5, 21)).own,
    ]


def test_the_past_is_seen_as_it_was_seen_then(story: Story) -> None:
    """Measured at a moment that is over, an objective shows what it showed then, whatever came later."""
    story.daily(2, 4)
    then = story.attained(FRESH, VALID, SUCCESS, at=january(4, 12))
    story.daily(5, 7)
    assert [one.own for one in then] == [one.own for one in story.attained(FRESH, VALID, SUCCESS, at=january(4, 12))]


def test_frequency_asks_for_a_release_in_every_span(story: Story) -> None:
    """Days of UTC since the first refresh: the fourth of six had no release, the seventh is not over."""
    story.daily(2, 3)
    story.daily(5, 7)
    found = story.one(objective("frequency", 0.9, at_most_s=86400.0), january(7, 12))
    assert Tally(3, 4) == found.own  # the third, the fifth and the sixth; the second had begun before the first refresh


def test_time_of_availability_asks_every_morning(story: Story) -> None:
    """At seven the rows of the day before are there, but on the sixth, when the load came at eight."""
    story.daily(2, 5)
    story.load(january(6, 8), 5)
    story.daily(7, 7)
    wanted = objective("time_of_availability", 0.9, table="orders", by="07:00")
    assert Tally(5, 6) == story.one(wanted, january(7, 12)).own
    # 07:00 in a zone an hour ahead is six in UTC, when a load of that very moment is there.
    early = objective("time_of_availability", 0.9, table="orders", by="07:00+01:00")
    assert Tally(4, 5) == story.one(early, january(7, 12)).own


def test_a_morning_whose_release_is_forgotten_is_not_counted(story: Story) -> None:
    """What gc collected tells of no newest row: the days on which it was live are neither good nor bad."""
    story.product = replace(
        story.product, tables=tuple(replace(table, valid_thru="") for table in story.product.tables)
    )
    wanted = objective("time_of_availability", 0.9, table="orders", column="ordered_on", by="07:00")
    assert story.load(january(2), 1)
    assert story.load(january(3), 1, 2, bad={1: "1,1,2024-01-01,99"})  # of the first release nothing is left in use
    assert story.load(january(4, 8), 3, bad={1: "1,1,2024-01-01,99"})
    before = story.one(wanted, january(4, 12))
    assert Tally(2, 3) == before.own  # on the fourth the load came an hour late
    moments = {"now": january(40), "disk_now": datetime.now(UTC)}
    gc(story.warehouse.ledger, story.warehouse.store, keep_releases=1, keep_days=0, **moments)
    after = story.one(wanted, january(4, 12))
    assert Tally(1, 2) == after.own


def test_duration_and_growth_come_from_what_refreshes_cost(story: Story) -> None:
    """Seconds are those that were measured; a load of as many rows that takes thrice as long has grown."""
    story.daily(2, 5)
    seconds = dict(zip((2, 3, 4, 5), (10.0, 12.0, 11.0, 33.0), strict=True))
    with story.operations.writing() as con, story.warehouse.ledger.reading() as ledger:
        from dataproducts.ledger.timeline import attempted

        for one in attempted(ledger, ORDERS, january(1)):
            row = {"refresh_id": one.refresh_id, "product": ORDERS, "at": one.started_at, "outcome": "released"}
            row |= {"wall_s": seconds[one.started_at.day], "cpu_s": 1.0, "rows": 1, "bytes": 1, "detail": {}}
            # In the place of what the replay of this story cost, which counts for no objective.
            con.execute(schema.refresh_cost.delete().where(schema.refresh_cost.c.refresh_id == one.refresh_id))
            con.execute(schema.refresh_cost.insert(), row)
    duration = story.one(objective("refresh_duration", at_most_s=12.0), january(6))
    growth = story.one(objective("refresh_growth", at_most_ratio=2), january(6))
    # Eight rows the first time (customers come along), each day: 10, 12, 11 and 33 s for 8 rows; median before: 11.
    assert [Tally(3, 4), Tally(2, 3)] == [duration.own, growth.own]


def test_durations_that_a_replay_cannot_know_are_not_counted(story: Story) -> None:
    """The clock of a replay stands still during a refresh: no second passed is no measurement."""
    story.daily(2, 4)
    assert story.one(objective("refresh_duration", at_most_s=12.0), january(6)).attainment is None


def test_governance_is_what_the_files_declare(story: Story) -> None:
    """One of three roles, no description, one classified of six columns; all lineage is told by the SQL."""
    kinds = ("owned", "described", "classified", "lineage_complete", "personal_data_masked")
    found = story.attained(*(objective(kind) for kind in kinds), at=january(2))
    assert [Tally(1, 3), Tally(0, 8), Tally(1, 6), Tally(6, 6), Tally(0, 0)] == [one.own for one in found]
    assert [(), ()] == [found[0].burns, found[1].burns]
    assert [Tally(1, 3)] * 3 == list(found[0].over.values())


def test_masking_counts_from_the_first_probe_on(story: Story) -> None:
    """The one personal column was probed twice: what the last probe said counts."""
    for at, ok, expected in ((january(2), True, Tally(1, 1)), (january(3), False, Tally(0, 1))):
        with story.operations.writing() as con:
            row = {"product": ORDERS, "subject": "customers.email", "kind": "mask", "at": at, "ok": ok, "detail": {}}
            con.execute(schema.probe.insert(), row)
        assert expected == story.one(objective("personal_data_masked"), january(4)).own


def test_ports_count_what_was_probed(story: Story) -> None:
    """Three probes of the port, one unanswered, one slow; without a probe there is nothing to count."""
    latency = objective("port_latency", at_most_s=0.5, port="orders")
    assert story.one(latency, january(4)).attainment is None
    with story.operations.writing() as con:
        for hour, ok, value in ((1, True, 0.2), (2, True, 0.9), (3, False, None)):
            row = {"product": ORDERS, "subject": "orders", "kind": "port", "at": january(3, hour), "ok": ok}
            con.execute(schema.probe.insert(), row | {"value": value, "detail": {}})
    found = story.attained(latency, objective("port_availability", port="orders"), at=january(4))
    assert [Tally(1, 3), Tally(2, 3)] == [one.own for one in found]


def test_a_review_holds_for_as_long_as_it_may(story: Story) -> None:
    """Reviewed on the third for two days, three days after the first refresh: two of six days are good."""
    story.daily(2, 2)
    story.step("review", "active", january(4), reviewed=["access", "docs"])
    story.step("review", "active", january(7), reviewed=["access"])
    docs, access = (objective(kind, at_most_days=2) for kind in ("docs_reviewed", "access_reviewed"))
    found = story.attained(docs, access, at=january(8))
    assert [Tally(48, 144), Tally(72, 144)] == [one.own for one in found]


def test_a_review_of_nothing_in_particular_reviews_neither_access_nor_docs(story: Story) -> None:
    """A review that does not say of what, as those of former versions do not, turns no objective green."""
    story.daily(2, 2)
    story.step("review", "active", january(4))
    story.step("review", "active", january(5), reviewed=[])
    docs, access = (objective(kind, at_most_days=2) for kind in ("docs_reviewed", "access_reviewed"))
    found = story.attained(docs, access, at=january(8))
    assert [Tally(0, 144)] * 2 == [one.own for one in found]


def test_what_nobody_judges_is_no_good_event(story: Story) -> None:
    """A rule of somebody else's engine is recorded as passed, and counts for no objective."""
    judged = story.product
    rule = "schema:\n  - name: orders\n    quality:\n      - {name: tills, type: custom, engine: soda, "
    rule += "dimension: conformity, implementation: 'rows > 0'}\n"
    shop.edit(story.root / "assets/shop/orders/contracts/orders.odcs.yaml", "schema:\n  - name: orders\n", rule)
    story.product = replace(shop.product(story.root, ORDERS), status=Status.ACTIVE, schedule=judged.schedule)
    story.daily(2, 3)
    with story.warehouse.ledger.reading() as con:
        assert ("orders", "tills") in first_judged(con, ORDERS)
    every, alone = (objective("validity", table="orders", **more) for more in ({}, {"rules": ("tills",)}))
    names = [rule.name for _, rule in counted_rules(story.product, every.indicator)]
    assert ("amount.range" in names, "tills" in names) == (True, False)
    assert [Tally(2 * len(names), 2 * len(names)), Tally(0, 0)] == [
        one.own for one in story.attained(every, alone, at=january(3, 12))
    ]


def test_incidents_count_by_their_episodes(story: Story) -> None:
    """Two episodes of one incident and an open one: repaired in two hours, in nine, and not yet after one."""
    from dataproducts.finding import Subject
    from dataproducts.incidents import record
    from dataproducts.product import Severity

    def found(name: str, failed: datetime, seen: datetime) -> Finding:
        return Finding(Subject(ORDERS, FindingKind.CHECK, name, "orders"), name, Severity.ERROR, failed, seen)

    with story.operations.writing() as con:
        first = found("amount.range", january(3, 1), january(3, 2))
        record(con, [first], [], products={}, now=january(3, 2))
        record(con, [], [Recovery(first.subject, january(3, 4))], products={}, now=january(3, 4))
        again = found("amount.range", january(5, 1), january(5, 7))
        record(con, [again], [], products={}, now=january(5, 7))
        record(con, [], [Recovery(again.subject, january(5, 16))], products={}, now=january(5, 16))
        record(con, [found("other", january(6, 1), january(6, 1))], [], products={}, now=january(6, 1))
    repair = story.one(objective("time_to_repair", at_most_s=4 * 3600.0), january(6, 2))
    detect = story.one(objective("time_to_detect", at_most_s=2 * 3600.0), january(6, 2))
    notify = story.one(objective("time_to_notify", at_most_s=3600.0), january(6, 1.5))
    # Repaired in 2 h, overdue after 4 h of 9, and open for an hour, which is too early to count.
    assert [Tally(1, 2), Tally(2, 3), Tally(0, 2)] == [repair.own, detect.own, notify.own]


def test_what_is_wrong_is_found_and_taken_back(story: Story) -> None:
    """A refused load brings a stale table and a budget that burns; the good load after it takes back the first."""
    story.daily(2, 5)
    assert not story.load(january(6), 5, bad=BAD)
    lax = replace(SUCCESS, name="lax", target=0.75)
    wrong, right = findings(story.attained(FRESH, VALID, SUCCESS, lax, at=january(6, 12)))
    assert {
        ("stale", "freshness", "orders", january(6, 7)),
        ("burn_rate", "validity", "", january(6)),
    } == {(one.subject.kind, one.subject.name, one.subject.table, one.failed_at) for one in wrong}
    # Over two days 1 of 2 loads is bad: 10 times what validity allows, 5 times what success does, of 7.2.
    kept = {(kind, name) for kind in ("budget", "burn_rate") for name in ("freshness", "lax", "refresh_success")}
    assert {*kept, ("budget", "validity")} == {(one.subject.kind, one.subject.name) for one in right}
    assert story.load(january(7), 5, 6)
    wrong, right = findings(story.attained(FRESH, at=january(7, 12)))
    assert {("stale", "freshness"), ("budget", "freshness")} == {(one.subject.kind, one.subject.name) for one in right}


def test_an_alarm_rings_before_the_budget_is_spent(story: Story) -> None:
    """One load in ten refused takes half of a fortnight's budget of 12 %: at that pace it will not last."""
    story.daily(2, 10)
    assert not story.load(january(11, 6), 10, bad={37: "38,2,2024-01-10,-1"})
    wanted = replace(SUCCESS, target=0.88, window=Window(14))
    found = story.one(wanted, january(11, 7))
    # Ten loads came in ten days, so that a fortnight will have 14: 1 of them is bad, 12 % may be.
    expected = 14
    # Over the last two days 1 of 2 is bad, over the last one 1 of 1.
    assert (pytest.approx(1 - 1 / expected / 0.12), "burning") == (found.budget_left, found.state)
    fast = found.burns[0]
    assert (pytest.approx(0.5 / 0.12), pytest.approx(1 / 0.12)) == (fast.long, fast.short)
    assert (timedelta(days=2), pytest.approx(14.4 / 28 * 14 / 2)) == (fast.alarm.long, fast.alarm.threshold)
    wrong, _ = findings([found])
    assert [("burn_rate", january(11))] == [(one.subject.kind, one.failed_at) for one in wrong]


def test_measurements_are_kept_once(story: Story) -> None:
    """The same moment, or the same figures within the hour, leave no second row; an hour later they do."""
    story.daily(2, 3)
    wanted = replace(SUCCESS, window=Window(period="month"))
    with story.operations.writing() as con:
        for at, kept in ((january(3, 7), 4), (january(3, 7), 0), (january(3, 7.5), 0), (january(3, 8), 4)):
            assert kept == measurements.record(con, rows_of(story.attained(wanted, at=at)))
        rows = measurements.latest(con, ORDERS)
        assert [0.0, 7.0, 28.0, 90.0] == [row.days for row in rows]
        assert ("calendar month", "kept", 2.0) == (rows[0].detail["window"], rows[0].detail["state"], rows[0].total)
        history = measurements.history(con, ORDERS, "refresh_success", days=7, since=january(3, 7.5))
        assert [january(3, 8)] == [row.at for row in history]


def test_postgresql_says_the_same(tmp_path: Path) -> None:
    """With both databases in one PostgreSQL, the story of the refused load has the figures that it has in SQLite."""
    for story in tell(tmp_path, database()):
        story.daily(2, 5)
        assert not story.load(january(6), 5, bad=BAD)
        wanted = objective("freshness", table="orders", at_most_s=AT_MOST_H * 3600.0, column="ordered_on")
        facts = story.attained(FRESH, wanted, VALID, SUCCESS, at=january(6, 12))
        assert [Tally(97, 102), Tally(97, 102), Tally(4, 5), Tally(4, 5)] == [one.own for one in facts]
        with story.operations.writing() as con:
            assert 9 == measurements.record(con, rows_of(facts[1:]))
            assert 0 == measurements.record(con, rows_of(facts[1:]))
        assert isinstance(story.missing(january(7, 8)), Finding)


def test_slots_follow_the_wall_clock() -> None:
    """A night without two o'clock has its slot an hour later, one with two of them has one slot, and UTC moves."""
    new_york = Schedule("0 2 * * *", "America/New_York")
    spring = slots(new_york, datetime(2017, 3, 10, 12, tzinfo=UTC), datetime(2017, 3, 13, 12, tzinfo=UTC))
    assert [(11, 7), (12, 7), (13, 6)] == [(slot.start.day, slot.start.hour) for slot in spring]
    berlin = Schedule("0 2 * * *", "Europe/Berlin")
    autumn = slots(berlin, datetime(2017, 10, 27, 12, tzinfo=UTC), datetime(2017, 10, 30, 12, tzinfo=UTC))
    assert [(28, 0), (29, 0), (30, 1)] == [(slot.start.day, slot.start.hour) for slot in autumn]
    assert [timedelta(hours=25), timedelta(hours=1)] == [autumn[1].end - autumn[1].start, patience(autumn[1])]
    quarter = slots(Schedule("*/15 * * * *"), january(1, 0), january(1, 0.6))
    assert [(january(1, 0.25), january(1, 0.5)), (january(1, 0.5), january(1, 0.75))] == [
        (slot.start, slot.end) for slot in quarter
    ]
    assert timedelta(minutes=3.75) == patience(quarter[0])
    assert [january(2, 2), january(3, 2)] == [slot.start for slot in last_slot(Schedule("0 2 * * *"), january(3, 2))]


@pytest.mark.parametrize(
    ("unit", "start", "end", "at", "held", "expected"),
    [
        ("day", 3, None, 2, (), 4),  # nothing is due yet: the first day will be over on the fourth
        ("day", 1, None, 5, (1, 2, 3, 4), 6),  # all is held: the fifth will be over on the sixth
        ("day", 1, None, 5, (1, 3, 4), 3),  # the second lacks
        ("day", 4, None, 7, (1, 2, 3, 4, 5), 7),  # all are held but the sixth; three more are left over
        ("day", 1, 5, 9, (1, 2, 3, 4), None),  # there are no more
        ("week", 2, None, 4, (), 15),  # the second of January 2024 is a Tuesday: weeks begin on the eighth
        ("week", 1, 12, 9, (1,), None),  # a second week would not fit before the end
    ],
)
def test_the_first_gap_is_where_the_next_partition_ends(
    unit: str, start: int, end: int | None, at: int, held: tuple[int, ...], expected: int | None
) -> None:
    """The end of the earliest partition that is not held, due or not; none where there can be none."""
    parts = Partitioning("day", unit, january(start).date(), january(end).date() if end else None)
    keys = {january(day).date().isoformat() for day in held}
    found = _gap_after(parts, january(at), keys)
    assert (january(expected, 0) if expected else None) == found
