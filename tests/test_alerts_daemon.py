"""Alerts under a real daemon that is killed again and again: none is lost, and a repeat is known by its key."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from dataproducts.compile import compile_domain
from dataproducts.compile.describe import table_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START, job_name
from dataproducts.ledger import Ledger
from tests.daemons import Daemon, dagster_database, project
from tests.postgres import database
from tests.receivers import Web, free_port
from tests.shop import environment, write_orders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ORDERS, REVENUE, VALUE = "shop/orders", "shop/revenue", "shop/order_value@v2"
CUSTOMERS = table_key(ORDERS, "customers")
DAYS = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
WIDTH = 10  # alerts a wave


class Receiver:
    """Where alerts go: one port, whose server may be down; what came is kept over all of its lives."""

    def __init__(self) -> None:
        """Be up."""
        self.port, self.seen = free_port(), list[dict[str, Any]]()
        self.web: Web | None = Web(self.port)

    @property
    def url(self) -> str:
        """Its address as apprise writes it."""
        return f"json://127.0.0.1:{self.port}/hook"

    def all(self) -> list[dict[str, Any]]:
        """Return what came so far."""
        return [*self.seen, *(self.web.seen if self.web else ())]

    def down(self) -> None:
        """Go away."""
        if self.web:
            self.seen += self.web.seen
            self.web.close()
            self.web = None

    def up(self) -> None:
        """Come back."""
        self.web = Web(self.port)

    def told(self) -> set[tuple[str, str]]:
        """Return what of which kind was told."""
        return {(one.get("finding", ""), one.get("about", "")) for one in self.all()}


def check_named(name: str, *, is_raised: bool) -> dg.AssetChecksDefinition:
    """Return a check of customers that warns, or raises."""

    @dg.asset_check(asset=CUSTOMERS, name=name)
    def check() -> dg.AssetCheckResult:
        if is_raised:
            raise ValueError(name)
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)

    return check


def wave(daemon: Daemon, number: int, *, is_raised: bool = False) -> set[tuple[str, str]]:
    """Run checks that all fail, in one run; return what has to be told of them."""
    names = [f"wave_{number}_{at}" for at in range(WIDTH)]
    checks = [check_named(name, is_raised=is_raised) for name in names]
    job = dg.define_asset_job("by_hand", selection=dg.AssetSelection.all_asset_checks())
    definitions = dg.Definitions(assets=[dg.AssetSpec(CUSTOMERS)], asset_checks=checks, jobs=[job])
    with daemon.instance() as instance:
        done = definitions.resolve_job_def("by_hand").execute_in_process(
            instance=instance, raise_on_error=False, run_config=QUIET
        )
        assert done.success != is_raised
    return {("check", name) for name in names}


def refused(daemon: Daemon, **wiring: Any) -> set[tuple[str, str]]:
    """Run a refresh that a rule refuses, and ask for a run that never starts."""
    write_orders(daemon.root, bad={3: "3,3,2024-01-01,-7"})
    made = compile_domain(daemon.root / "assets/shop", environment=environment(daemon.root, **wiring))
    job = made.resolve_job_def(job_name(ORDERS))
    with daemon.instance() as instance:
        assert not job.execute_in_process(instance=instance, tags=DAYS, raise_on_error=False, run_config=QUIET).success
        run = instance.create_run_for_job(made.resolve_job_def(job_name(REVENUE)))
        instance.report_run_failed(run, "its launcher is gone")
    return {("check", "amount.range"), ("pipeline", "refresh")}


@contextmanager
def alarmed(
    root: Path, *, is_postgres: bool = False, **options: Any
) -> Iterator[tuple[Daemon, Receiver, dict[str, Any]]]:
    """Run a daemon over a shop whose alerts go to a receiver; nothing of either is left afterwards."""
    receiver, wiring, urls = Receiver(), dict[str, Any](), dict[str, str]()
    if is_postgres:
        urls = {"storage": dagster_database(), "records": database()}
        wiring = {"ledger_url": urls["records"], "operations_url": urls["records"]}
    daemon = project(root, receiver.url, **urls, **options)
    try:
        daemon.start()
        yield daemon, receiver, wiring
    finally:
        daemon.stop()
        receiver.down()


@pytest.mark.parametrize("is_postgres", [False, True], ids=["sqlite", "postgres"])
def test_no_alert_is_lost(tmp_path: Path, *, is_postgres: bool, request: pytest.FixtureRequest) -> None:
    """Over 50 alerts and 5 kills of the daemon, one of them between send and mark: each came, repeats under one key."""
    rounds = int(request.config.getoption("--alert-rounds"))
    wanted: set[tuple[str, str]] = set()
    with alarmed(tmp_path, is_postgres=is_postgres) as (daemon, receiver, wiring):
        wanted |= refused(daemon, **wiring)
        for at in range(0, 5 * rounds, 5):
            wanted |= attacked(daemon, receiver, at)
        daemon.until(lambda: wanted <= receiver.told(), f"{wanted - receiver.told()}", 90)
        kills = daemon.kills
        keys = Counter((one["finding"], one["about"], one["idempotency_key"]) for one in receiver.all())
    assert 5 * rounds * WIDTH + 2 <= len(wanted)
    assert 5 * rounds == kills
    told = Counter((finding, about) for finding, about, _ in keys if (finding, about) in wanted)
    assert dict.fromkeys(wanted, 1) == dict(told)
    repeats = sum(keys.values()) - len(keys)
    print(f"{len(wanted)} alerts, {kills} kills, 0 lost, {repeats} repeated under their key")
    assert repeats >= rounds, "the kill between send and mark must have led to a repeat"


def attacked(daemon: Daemon, receiver: Receiver, at: int) -> set[tuple[str, str]]:
    """Send five waves of alerts and kill the daemon in each, every time at another point."""
    # Between send and mark: the receiver has the alert and has not answered when its sender dies.
    assert receiver.web is not None
    before, receiver.web.pause = len(receiver.all()), 30
    wanted = wave(daemon, at)
    daemon.until(lambda: len(receiver.all()) > before, "an alert that is under way")
    daemon.kill()
    receiver.web.pause = 0
    # While it is down: what happens meanwhile is found at the next start.
    wanted |= wave(daemon, at + 1, is_raised=True)
    daemon.start()
    # In the midst of a wave: some are marked, some are not.
    before = len(receiver.all())
    wanted |= wave(daemon, at + 2)
    daemon.until(lambda: len(receiver.all()) > before + 2, "a wave under way")
    daemon.kill()
    # With the receiver down: nothing can be sent, then the daemon dies, too.
    receiver.down()
    daemon.start()
    wanted |= wave(daemon, at + 3)
    beat = daemon.beat()
    daemon.until(lambda: daemon.beat() != beat, "a look without a receiver")
    daemon.kill()
    daemon.start()
    receiver.up()
    # As soon as the run has ended: before, in, or after the look that finds it.
    wanted |= wave(daemon, at + 4)
    daemon.kill()
    daemon.start()
    daemon.kill()
    daemon.start()
    return wanted


def test_schedules_run_unattended(tmp_path: Path) -> None:
    """Under the daemon alone, a schedule fires and a release is there; one whose refresh fails gives an alert."""
    with alarmed(tmp_path, scheduled=True) as (daemon, receiver, _wiring):

        def head() -> int:
            with Ledger.open(f"sqlite:///{tmp_path}/.dataproducts/ledger.sqlite") as ledger:
                found = ledger.head(ORDERS)
                return found.number if found else 0

        daemon.until(lambda: head() > 0, "a release that a schedule made", 150)
        daemon.until(lambda: ("pipeline", "refresh") in receiver.told(), "an alert of a schedule", 150)
        with daemon.instance() as instance:
            asked = {run.job_name: run.tags["dagster/schedule_name"] for run in instance.get_runs()}
        assert {job_name(name): f"{job_name(name)}__schedule" for name in (ORDERS, VALUE)} == asked
