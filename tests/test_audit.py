"""Audits: what is published is held against the clock, recorded, and lets nothing be released by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from dataproducts.audit import audit, audited_rules
from dataproducts.compile import compile_domain
from dataproducts.compile.audit import audit_job_name
from dataproducts.compile.describe import release_key, table_key
from dataproducts.findings import read_findings
from dataproducts.objective import Indicator, IndicatorKind, Objective
from dataproducts.operations import Operations
from dataproducts.plan import plan_product
from dataproducts.refresh import refresh_product
from dataproducts.release import AUDIT
from dataproducts.slo.evaluate import measure
from dataproducts.warehouse import Warehouse
from tests.living import make_live
from tests.shop import build, edit, environment, product

if TYPE_CHECKING:
    from pathlib import Path

    from dataproducts.audit import Audited

ORDERS = "shop/orders"
FRESH = "ordered_on.freshness"
MORNING = datetime(2024, 1, 11, 6, tzinfo=UTC)
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def audited(root: Path, now: datetime, **options: Any) -> Audited:
    """Audit the orders at a moment of the clock."""
    with Warehouse.open(environment(root, clock=now)) as warehouse:
        run = f"{now:%Y%m%dT%H%M}"
        return audit(warehouse, product(root, ORDERS), run_id=run, **options)


def passed(found: Audited) -> bool:
    """Return whether the orders were found fresh."""
    (result,) = [one for one in found.verdicts["orders"].results if one.rule.name == FRESH]
    return result.passed


def test_time_alone_breaks_a_promise(tmp_path: Path) -> None:
    """Two days after a good release nobody has loaded anything: the audit says so, and the ledger has it."""
    build(make_live(tmp_path), ORDERS)
    assert passed(audited(tmp_path, MORNING))
    late = audited(tmp_path, MORNING + timedelta(days=2))
    assert (1, False) == (late.release, passed(late))
    with Warehouse.open(environment(tmp_path)) as warehouse:
        newest, *older = warehouse.ledger.history(ORDERS, "orders", FRESH)
        assert (False, [True, True]) == (newest.passed, [one.passed for one in older])
        assert (True, 1) == (newest.detail["published"], newest.detail["release"])
        assert newest.refresh_id.startswith(f"{AUDIT}-")
        with Operations.open(warehouse.environment.operations) as operations, operations.writing() as con:
            found = read_findings(warehouse.ledger, con, {ORDERS: product(tmp_path, ORDERS)}, now=datetime.now(UTC))
    assert [(FRESH, True)] == [(one.subject.name, one.detail["published"]) for one in found.findings]


def test_a_gap_is_not_fresh(tmp_path: Path) -> None:
    """A partition that was never published fails the audit, whatever newer ones or old ones loaded again there are."""
    root = make_live(tmp_path)
    with Warehouse.open(environment(root)) as warehouse:
        days = [date(2024, 1, day) for day in range(1, 11) if day != 5]
        refresh_product(warehouse, product(root, ORDERS), partitions={"orders": days})
        refresh_product(warehouse, product(root, ORDERS), partitions={"orders": [date(2024, 1, 2)]})
    found = audited(root, MORNING)
    assert not passed(found)
    (result,) = [one for one in found.verdicts["orders"].results if one.rule.name == FRESH]
    assert "1 partition that is over was never published: 2024-01-05" == result.message
    build(root, ORDERS)
    assert passed(audited(root, MORNING + timedelta(minutes=1)))


def test_an_audit_lets_nothing_pass(tmp_path: Path) -> None:
    """What an audit recorded is asked for by no publication, and changes no plan; the same run records once."""
    build(make_live(tmp_path), ORDERS)
    audited(tmp_path, MORNING, every=True)
    audited(tmp_path, MORNING, every=True)
    with Warehouse.open(environment(tmp_path)) as warehouse:
        assert not plan_product(warehouse, product(tmp_path, ORDERS)).is_needed
        history = warehouse.ledger.history(ORDERS, "orders", FRESH)
        assert 1 == sum(one.refresh_id.startswith(AUDIT) for one in history)
        assert warehouse.ledger.passed([one.key for one in history if one.refresh_id.startswith(AUDIT)])
        rules = {rule.name for rule in product(tmp_path, ORDERS).table("orders").rules}
        assert rules == {one.rule.name for one in audited(tmp_path, MORNING, every=True).verdicts["orders"].results}


def test_an_audit_counts_for_objectives(tmp_path: Path) -> None:
    """On a day without a load the audit is what happened: an event for each rule that it judged."""
    build(make_live(tmp_path), ORDERS)
    found = product(tmp_path, ORDERS)
    objective = Objective("fresh", Indicator(IndicatorKind.VALIDITY, {"table": "orders", "rules": (FRESH,)}), 0.9)

    def counted() -> tuple[float, float]:
        with Warehouse.open(environment(tmp_path)) as warehouse:
            (attained,) = measure(found, warehouse.ledger, None, [objective], now=datetime.now(UTC))
            return attained.own.good, attained.own.total

    assert (1, 1) == counted()
    audited(tmp_path, MORNING)
    audited(tmp_path, MORNING + timedelta(days=2))
    assert (2, 3) == counted()


def test_nothing_to_audit(tmp_path: Path) -> None:
    """Before the first release there is nothing to judge; a product that time cannot break has no rule for it."""
    make_live(tmp_path)
    assert (0, {}) == (audited(tmp_path, MORNING).release, audited(tmp_path, MORNING).verdicts)
    assert ["orders"] == list(audited_rules(product(tmp_path, ORDERS)))
    assert {} == audited_rules(product(tmp_path, "shop/order_value@v2"))


def test_a_file_that_is_gone_cannot_be_judged(tmp_path: Path) -> None:
    """An audit reads rows: what the ledger remembers of a file that is gone does not make it fresh."""
    build(make_live(tmp_path), ORDERS)
    for path in (tmp_path / ".dataproducts").rglob("*.parquet"):
        path.unlink()
    assert not passed(audited(tmp_path, MORNING))


def test_the_job(tmp_path: Path) -> None:
    """The job is successful whatever it finds, and shows it at the release; every rule is judged if one asks for it."""
    build(make_live(tmp_path), ORDERS)
    wiring = environment(tmp_path, clock=MORNING + timedelta(days=2))
    definitions = compile_domain(tmp_path / "assets/shop", environment=wiring)
    job = definitions.resolve_job_def(audit_job_name(ORDERS))
    op = {"ops": {f"{audit_job_name(ORDERS)}_op": {"config": {"every_rule": True}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance, run_config=QUIET).success
        assert job.execute_in_process(instance=instance, run_config=QUIET | op).success
        seen = instance.fetch_observations(release_key(ORDERS), limit=5).records
        shown = [record.asset_observation.metadata for record in seen]
    every = sum(len(table.rules) for table in product(tmp_path, ORDERS).tables)
    assert shown[0]["rules_judged"].value > every > shown[1]["rules_judged"].value == 1
    assert "orders.ordered_on.freshness" == shown[-1]["failed"].value
    assert 78 == pytest.approx(shown[-1][f"age_h/orders.{FRESH}"].value)


@pytest.mark.parametrize(("name", "latency"), [("prod", "48"), ("prod", "24"), ("test", "24")])
def test_when_it_is_audited(tmp_path: Path, name: str, latency: str) -> None:
    """In production what is active is audited, hourly where a day and a half or less is promised; else on demand."""
    make_live(tmp_path, status="active")
    if latency != "48":
        path = tmp_path / "assets/shop/orders/contracts/orders.odcs.yaml"
        edit(path, "value: 48, unit: h", f"value: {latency}, unit: h")
    wiring = replace(environment(tmp_path), name=name)
    definitions = compile_domain(tmp_path / "assets/shop", environment=wiring)
    schedule = definitions.resolve_schedule_def(f"{audit_job_name(ORDERS)}__schedule")
    runs = schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert (name == "prod") == runs
    assert ("6" in schedule.cron_schedule.split()[1]) == (latency == "48")
    context = dg.build_schedule_context(scheduled_execution_time=MORNING)
    tick = schedule.evaluate_tick(context)
    asked = len(tick.run_requests or ())
    # In production nothing is scheduled that was not promoted there.
    assert (0 if name == "prod" else 1) == asked


def test_the_release_alone_has_a_freshness_policy(tmp_path: Path) -> None:
    """Pipeline freshness is Dagster's, from the same SLA, and on the release: rows cannot be younger than it."""
    make_live(tmp_path)
    definitions = compile_domain(tmp_path / "assets/shop", environment=environment(tmp_path))
    specs = {spec.key: spec for spec in definitions.resolve_all_asset_specs()}
    assert timedelta(hours=48) == specs[release_key(ORDERS)].freshness_policy.fail_window.to_timedelta()
    assert specs[table_key(ORDERS, "orders")].freshness_policy is None
    assert 1 == sum(spec.freshness_policy is not None for spec in specs.values())
