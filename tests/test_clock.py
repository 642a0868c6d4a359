"""A history that is replayed under a simulated clock: what its ledger is dated with, and what a spent budget does."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dataproducts.cli.main import main
from dataproducts.errors import RefusedError
from dataproducts.objective import Indicator, IndicatorKind, Objective, Spent
from dataproducts.operations import Operations
from dataproducts.product import Tier
from dataproducts.refresh import refresh_product
from dataproducts.releases import rollback, verify
from dataproducts.retention import gc
from dataproducts.slo.actions import shown_tier
from dataproducts.slo.evaluate import evaluate
from dataproducts.warehouse import Warehouse
from tests import shop
from tests.shop import environment, make_shop, write_orders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataproducts.product import DataProduct
    from dataproducts.release import Release

ORDERS = "shop/orders"


def day(number: int, hour: float = 6) -> datetime:
    """Return a moment of January 2024."""
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number - 1, hours=hour)


@dataclass
class Replay:
    """A shop whose history is replayed."""

    root: Path
    warehouse: Warehouse
    product: DataProduct

    def load(self, at: datetime, *numbers: int, fix: str = "", bad: dict[int, str] | None = None) -> Release:
        """Load the orders of days at that moment, and release them."""
        write_orders(self.root, bad=bad)
        wanted = {"orders": [date(2024, 1, number) for number in numbers]}
        return refresh_product(self.warehouse.at(at), self.product, partitions=wanted, fix=fix).release


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """Return a shop with an empty ledger that is dated by the clock."""
    root = make_shop(tmp_path)
    with Warehouse.open(environment(root, replay=True)) as warehouse:
        yield Replay(root, warehouse, shop.product(root, ORDERS))


def test_every_moment_of_a_replay_is_simulated(replay: Replay) -> None:
    """Refreshes, versions, results and releases bear the moment at which the clock stood, and releases say so."""
    for number in (2, 3):
        replay.load(day(number), number - 1)
    ledger = replay.warehouse.ledger
    for number, release in ((3, ledger.head(ORDERS)), (2, ledger.release(ORDERS, 1))):
        assert release is not None
        refresh = ledger.find_refresh(release.refresh_id, ORDERS)
        assert refresh is not None
        made = [v for vs in ledger.composition(release).values() for v in vs if v.refresh_id == refresh.id]
        moments = {refresh.started_at, release.published_at, *(version.created_at for version in made)}
        moments |= {result.judged_at for result in ledger.verdict(release)}
        assert {day(number)} == moments
    assert "replayed: dated by a simulated clock at 2024-01-03 06:00 UTC" == ledger.notes(ORDERS)[2]


def test_without_replay_a_clock_dates_nothing(tmp_path: Path) -> None:
    """A fixed clock alone says how old data is; what happened is dated by the real time, and noted as ever."""
    root = make_shop(tmp_path)
    before = datetime.now(UTC)
    released = shop.build(root, ORDERS).release
    assert before <= released.published_at <= datetime.now(UTC)
    with Warehouse.open(environment(root)) as warehouse:
        assert {} == warehouse.ledger.notes(ORDERS)
        assert (shop.CLOCK, False) == (warehouse.frozen_clock, warehouse.is_replay)
    with Warehouse.open(environment(root, clock=None, replay=True)) as warehouse:
        assert (None, False) == (warehouse.frozen_clock, warehouse.is_replay)


def test_a_clock_that_stands_still_keeps_data_fresh(tmp_path: Path) -> None:
    """Orders are 30 h old by the fixed clock of the project, for as long as it stands there."""
    root = make_shop(tmp_path)
    shop.build(root, ORDERS)
    limits = (29, 31)
    objectives = [
        Objective(f"h{h}", Indicator(IndicatorKind.FRESHNESS, {"table": "orders", "at_most_s": h * 3600.0}), 0.9)
        for h in limits
    ]
    product = replace(shop.product(root, ORDERS), objectives=tuple(objectives))
    with Warehouse.open(environment(root)) as warehouse:
        now = warehouse.recorded_at() + timedelta(days=3)
        found = evaluate(product, warehouse.ledger, None, now=now, clock=warehouse.frozen_clock)
    assert [0.0, 1.0] == [round(one.attainment or 0, 3) for one in found]


def test_a_replay_moves_on(replay: Replay) -> None:
    """What comes later in the ledger happened later: the clock must be past the head, and days ahead do not exist."""
    replay.load(day(3), 1, 2)
    with pytest.raises(RefusedError, match=r"clock of this replay stands at 2024-01-03 06:00:00 UTC, and release 1"):
        replay.load(day(3), 2)
    with pytest.raises(RefusedError, match="has no partition 2024-01-04"):
        replay.load(day(4), 4)
    assert 2 == replay.load(day(4), 3).number


def test_a_rollback_is_dated_too(replay: Replay) -> None:
    """Going back is a release of the moment at which the clock stood."""
    replay.load(day(2), 1)
    replay.load(day(3), 2)
    there = replay.warehouse
    released = rollback(there.ledger, there.store, ORDERS, 1, run_id="ana", reason="wrong", now=day(3, 12))
    refresh = there.ledger.find_refresh(released.refresh_id, ORDERS)
    assert refresh is not None
    assert (day(3, 12), day(3, 12)) == (released.published_at, refresh.started_at)


def test_collection_goes_by_the_clock_of_the_ledger(replay: Replay) -> None:
    """Of twelve releases the last ten are kept, and all that were live within the week of the replay."""
    for number in range(12):
        replay.load(day(11, number), 9)
    there = replay.warehouse
    running = there.ledger.open_refresh("running", ORDERS, run_id="running", now=day(11, 12))
    later = datetime.now(UTC) + timedelta(days=2)  # by the disk all files are old enough
    kept = gc(there.ledger, there.store, now=day(11, 13), disk_now=later)
    assert (0, 0) == (kept.releases, kept.stray_files)
    gone = gc(there.ledger, there.store, now=day(19), disk_now=later)
    assert 2 == gone.releases
    assert () == verify(there.ledger, there.store)
    assert 12 == running.base


def test_strays_go_by_the_clock_of_the_disk(replay: Replay) -> None:
    """A file of nobody is removed a day after it was written, wherever the simulated clock stands."""
    replay.load(day(2), 1)
    there = replay.warehouse
    (file,) = there.store.path(
        next(iter(there.ledger.composition(there.ledger.release(ORDERS, 1))["orders"])).files[0]
    ).parent.glob("*.parquet")
    stray = file.with_name("stray.parquet")
    stray.write_bytes(file.read_bytes())
    now = datetime.now(UTC)
    assert 0 == gc(there.ledger, there.store, now=day(5), disk_now=now).stray_files
    os.utime(stray, (now.timestamp() - 90_000,) * 2)
    assert 1 == gc(there.ledger, there.store, now=day(5), disk_now=now).stray_files


FROZEN = Objective(
    "orders.success", Indicator(IndicatorKind.REFRESH_SUCCESS), 0.95, on_spent=Spent.FREEZE, origin="slo.yaml"
)
BAD = {13: "14,2,2024-01-04,-1"}


def spend(replay: Replay, *objectives: Objective) -> None:
    """Load two days well and refuse the third, with these objectives."""
    replay.product = replace(replay.product, objectives=objectives)
    replay.load(day(2), 1)
    replay.load(day(3), 2)
    with pytest.raises(RefusedError, match=r"amount\.range"):
        replay.load(day(5), 3, 4, bad=BAD)


def test_a_spent_budget_freezes_all_but_fixes(replay: Replay) -> None:
    """One refused load of three spends 5 %: no release passes, but one that says what it repairs; its note keeps it."""
    spend(replay, FROZEN)
    with pytest.raises(RefusedError) as refused:
        replay.load(day(6), 3)
    assert (
        "shop/orders is frozen: the error budget of objective 'orders.success' is spent (66.67 % good of 95 % promised "
        "over 28 days). Only fixes are released until the budget recovers. Repair what the objective counts, or say "
        "what this release repairs: `dataproducts build shop/orders --fix REASON`"
    ) == str(refused.value)
    assert 2 == getattr(replay.warehouse.ledger.head(ORDERS), "number", None)
    assert 3 == replay.load(day(7), 3, 4, fix="the till sends no negative amounts any more").number
    note = replay.warehouse.ledger.notes(ORDERS)[3]
    assert note.startswith("fix: the till sends no negative amounts any more; replayed: ")


def test_a_freeze_does_not_spend_the_budget_further(replay: Replay) -> None:
    """Refreshes that a spent budget refused count against none: two of three refreshes were good, and stay so."""
    spend(replay, FROZEN)
    for number in (6, 7, 8):
        with pytest.raises(RefusedError, match="is frozen"):
            replay.load(day(number), 3)
    with Operations.open(replay.warehouse.environment.operations) as operations, operations.reading() as con:
        (found,) = evaluate(replay.product, replay.warehouse.ledger, con, now=day(11))
    assert (2, 3) == (found.own.good, found.own.total)


def test_a_first_release_is_never_frozen(replay: Replay) -> None:
    """Never loaded spends the budget of freshness, and what repairs that is any first release, of old days too."""
    fresh = Indicator(IndicatorKind.FRESHNESS, {"table": "orders", "at_most_s": 55 * 3600.0})
    replay.product = replace(replay.product, objectives=(replace(FROZEN, indicator=fresh),))
    assert 1 == replay.load(day(9), 1).number


def test_a_blank_reason_is_none(replay: Replay) -> None:
    """A fix has to say what it repairs."""
    spend(replay, FROZEN)
    with pytest.raises(RefusedError, match="is frozen"):
        replay.load(day(6), 3, fix="  ")


def test_warn_freezes_nothing(replay: Replay) -> None:
    """A spent budget that is declared to warn lets every release pass."""
    spend(replay, replace(FROZEN, on_spent=Spent.WARN))
    assert 3 == replay.load(day(6), 3, 4).number


def test_a_release_after_which_the_rules_hold_is_a_fix(replay: Replay) -> None:
    """The budget of validity is spent by the refused day; the day as it should be passes without a word."""
    rules = Indicator(IndicatorKind.VALIDITY, {"table": "orders", "rules": ("amount.range",)})
    spend(replay, replace(FROZEN, indicator=rules))
    assert 3 == replay.load(day(6), 3, 4).number


def test_a_release_that_makes_data_fresh_is_a_fix(replay: Replay) -> None:
    """Orders were stale for a day: loading an old day is refused, loading up to yesterday is not."""
    fresh = Indicator(IndicatorKind.FRESHNESS, {"table": "orders", "at_most_s": 55 * 3600.0})
    spend(replay, replace(FROZEN, indicator=fresh))
    with pytest.raises(RefusedError, match="is frozen"):
        replay.load(day(7), 2)
    assert 3 == replay.load(day(7, 7), 3, 4, 5, 6).number


def test_a_spent_budget_demotes_by_one_tier(replay: Replay) -> None:
    """Gold is shown as silver while a budget that demotes is spent, and stays what it is declared."""
    spend(replay, replace(FROZEN, on_spent=Spent.DEMOTE))
    product = replace(replay.product, tier=Tier.GOLD)
    found = evaluate(product, replay.warehouse.ledger, None, now=day(6))
    assert [Tier.SILVER, Tier.GOLD] == [shown_tier(product, found), shown_tier(product, ())]
    assert shown_tier(replace(product, tier=None), found) is None


def test_build_takes_the_reason_of_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`build --fix` reaches the release through Dagster's run, and its note says why."""
    root = make_shop(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(root), "build", ORDERS, "--fix", "first load, by hand"])
    assert 0 == ended.value.code
    with Warehouse.open(environment(root)) as warehouse:
        assert {1: "fix: first load, by hand"} == warehouse.ledger.notes(ORDERS)
