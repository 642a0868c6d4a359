"""Which results a refresh needs, when they are judged again, and what they are judged on."""

from __future__ import annotations

import importlib
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from dataproducts.errors import RefusedError, UnknownNameError
from dataproducts.partitions import due
from dataproducts.plan import plan_product
from dataproducts.product import RuleKind
from dataproducts.recheck import recheck
from dataproducts.refresh import RefusedReleaseError, begin, refresh_product, refresh_table, release
from dataproducts.warehouse import Warehouse
from tests.shop import (
    CLOCK,
    add_product,
    add_table,
    build,
    edit,
    environment,
    make_shop,
    product,
    write_customers,
    write_orders,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataproducts.gate import Judgement
    from dataproducts.product import DataProduct

ORDERS, REVENUE = "shop/orders", "shop/revenue"
ORDERS_CONTRACT = "assets/shop/orders/contracts/orders.odcs.yaml"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a shop whose orders were released once."""
    root = make_shop(tmp_path)
    build(root, ORDERS)
    return root


def aging(root: Path, *, blocking: bool) -> DataProduct:
    """Return the product of orders that must be at most 30 hours old."""
    path = root / ORDERS_CONTRACT
    if "slaProperties" not in path.read_text(encoding="utf-8"):
        sla = "slaProperties:\n  - {property: latency, value: 30, unit: h, element: orders.ordered_on}\n"
        edit(path, "schema:\n", f"{sla}schema:\n")
    found = product(root, ORDERS)
    tables = []
    for table in found.tables:
        rules = (replace(r, blocking=blocking) if r.kind is RuleKind.FRESHNESS else r for r in table.rules)
        tables.append(replace(table, rules=tuple(rules)))
    return replace(found, tables=tuple(tables))


def test_a_day_is_judged_alone(shop: Path) -> None:
    """Rules on rows are judged for the partition that moved; the others keep their results."""
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        found = product(shop, ORDERS)
        refresh = begin(warehouse, found, refresh_id="day 3")
        table = found.table("orders")
        outcome = refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=[date(2024, 1, 3)])
        judged = {result.partition for result in outcome.verdict.results if result.rule.name == "amount.range"}
        assert {"2024-01-03"} == judged
        assert {} == dict(release(warehouse, found, refresh=refresh, con=con).judged)


def test_a_known_failure_is_told_each_time(shop: Path) -> None:
    """A carried-over day that breaks a tightened rule refuses every attempt, not only the one that found it."""
    edit(shop / ORDERS_CONTRACT, "minimum: 0", "minimum: 10")
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        for attempt in ("first", "second"):
            refresh = begin(warehouse, found, refresh_id=attempt)
            table = found.table("orders")
            outcome = refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=[date(2024, 1, 10)])
            assert ["2024-01-01"] == [result.partition for result in outcome.verdict.blocking]


def test_a_failed_attempt_to_judge_can_be_repeated(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A release that the gate could not judge (memory, disk) is judged again, and then published."""
    from dataproducts import judging

    found = product(shop, ORDERS)
    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    whole = judging.judge

    def failing(*args: object, **kwargs: object) -> Judgement:
        found = whole(*args, **kwargs)  # type: ignore[arg-type]
        return replace(found, results=tuple(replace(r, passed=False, error="no memory") for r in found.results))

    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="again")
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        with monkeypatch.context() as patch:
            patch.setattr(judging, "judge", failing)
            with pytest.raises(RefusedReleaseError, match="no memory"):
                release(warehouse, found, refresh=refresh, con=con)
        assert 2 == release(warehouse, found, refresh=refresh, con=con).release.number


def test_a_foreign_key_into_another_product_follows_it(shop: Path) -> None:
    """A result that read an upstream table counts for that release of it; the next release is asked again."""
    add_product(shop, "calls", inputs=["shop.orders.customers"], port="calls")
    key = "logicalType: integer, required: true, relationships: [{to: shop.orders.customers.customer_id}]"
    add_table(
        shop, "shop/calls", "calls", {"customer_id": key}, "SELECT 4::BIGINT AS customer_id FROM customers LIMIT 1"
    )
    path = shop / "assets/shop/calls/contracts/calls.odcs.yaml"
    rule = (
        '    quality: [{name: known, type: sql, mustBe: 0, query: "SELECT count(*) FROM calls '
        'WHERE customer_id NOT IN (SELECT customer_id FROM customers)"}]\n'
    )
    edit(path, ", relationships: [{to: shop.orders.customers.customer_id}]", "")
    edit(path, "    properties:\n", f"{rule}    properties:\n")
    build(shop, "shop/calls")
    write_customers(shop, "1,a@x.org\n2,b@x.org\n3,c@x.org\n")
    write_orders(shop, bad={order: f"{order},1,2024-01-{order // 4:02},1" for order in range(4, 44, 4)})
    build(shop, ORDERS)
    with pytest.raises(RefusedError, match="known"):
        build(shop, "shop/calls")


@pytest.mark.parametrize("blocking", [True, False])
def test_age_is_asked_by_every_refresh(tmp_path: Path, blocking: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A table that is carried over grows old: a blocking freshness rule holds for it at each release.

    One that only warns keeps its result: scheduled checks look at the age of what is published.
    """
    root = make_shop(tmp_path)
    found = aging(root, blocking=blocking)
    with Warehouse.open(environment(root)) as warehouse:
        refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, day) for day in range(1, 11)]})
    with Warehouse.open(environment(root, clock=CLOCK + timedelta(days=3))) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="later")
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        if blocking:
            with pytest.raises(RefusedReleaseError, match=r"orders\.ordered_on\.freshness"):
                release(warehouse, found, refresh=refresh, con=con)
        else:
            judged = release(warehouse, found, refresh=refresh, con=con).judged["orders"]
            assert ["customer_id.references.customers"] == [result.rule.name for result in judged]


def test_a_query_that_names_nothing_known(shop: Path) -> None:
    """Names count as they are written; another one is told, with the nearest, before anything is made."""
    path = shop / "assets/shop/revenue/contracts/revenue.odcs.yaml"
    edit(path, "(SELECT sum(amount) FROM orders)", "(SELECT sum(amount) FROM Orders)")
    with pytest.raises(UnknownNameError, match="Did you mean 'orders'"):
        build(shop, REVENUE)


def test_without_rules_the_schema_is_still_judged(tmp_path: Path) -> None:
    """A contract whose rules were all taken out is released; its columns are held to it all the same."""
    root = make_shop(tmp_path)
    build(root, ORDERS)
    add_product(root, "bare", inputs=["shop.orders.orders"])
    rule = "logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}"
    add_table(root, "shop/bare", "bare", {"n": rule}, "SELECT count(*) AS n FROM orders")
    build(root, "shop/bare")
    add_table(root, "shop/bare", "bare", {"n": "logicalType: integer"}, "SELECT count(*) AS n FROM orders")
    build(root, "shop/bare")
    with Warehouse.open(environment(root)) as warehouse:
        results = recheck(warehouse, product(root, "shop/bare"))["bare"].results
    assert [("schema", True)] == [(result.rule.name, result.passed) for result in results]


@pytest.mark.parametrize("folder", ["year=2024/a=b", "[x]*?"])
def test_any_folder_holds_a_store(tmp_path: Path, folder: str) -> None:
    """Folders that look like partitions or patterns add no column and match no other file."""
    root = make_shop(tmp_path)
    store = tmp_path / folder / "store"
    store.mkdir(parents=True)
    first = build(root, ORDERS, store=store).release
    with Warehouse.open(environment(root, store=store)) as warehouse:
        versions = warehouse.ledger.composition(first)["orders"]
    assert [(f"2024-01-{day:02}", day) for day in range(1, 11)] == [
        (version.partition, version.valid_thru.day if version.valid_thru else 0) for version in versions
    ]
    write_customers(root, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    assert 2 == build(root, ORDERS, store=store).release.number


def test_what_is_published_is_judged_by_the_contract_of_today(shop: Path) -> None:
    """Checking again shows that a type changed, for all that nothing could be carried over under it."""
    edit(shop / ORDERS_CONTRACT, "logicalType: number", "logicalType: integer")
    with Warehouse.open(environment(shop)) as warehouse:
        results = recheck(warehouse, product(shop, ORDERS))["orders"].results
    assert {"schema"} == {result.rule.name for result in results if not result.passed}


def test_an_upstream_day_more_is_judged_as_pinned(shop: Path) -> None:
    """A check of what is published reads the upstream release that it was made from."""
    build(shop, REVENUE)
    write_orders(shop, bad={38: "38,3,2024-01-10,1000"})
    build(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse:
        assert all(result.passed for result in recheck(warehouse, product(shop, REVENUE))["revenue"].results)


def test_a_failed_check_of_a_product_refresh_names_its_rule(shop: Path) -> None:
    """The error of a refresh without an orchestrator says which rule refused it and why."""
    write_orders(shop, bad={38: "38,3,2024-01-10,-1"})
    with Warehouse.open(environment(shop)) as warehouse, pytest.raises(RefusedError, match=r"amount\.range: 1 of"):
        refresh_product(warehouse, product(shop, ORDERS), partitions={"orders": [date(2024, 1, 10)]})


CHECKS = """
from checks_lib.limits import LIMIT

def none_is_dear(rows):
    # a word
    return len(rows.filter(f"amount > {LIMIT}").fetchall())

CUSTOM = {"none_is_dear": none_is_dear}
"""


def with_custom(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give orders a rule of the project's own, in a package that imports another of its modules."""
    folder = root / "checks_lib"
    folder.mkdir()
    (folder / "__init__.py").write_text("", encoding="utf-8")
    (folder / "rules.py").write_text(CHECKS, encoding="utf-8")
    (folder / "limits.py").write_text("LIMIT = 1000\n", encoding="utf-8")
    rule = "    quality: [{name: dear, type: custom, engine: python, implementation: none_is_dear}]\n"
    edit(root / ORDERS_CONTRACT, "    customProperties:\n", f"{rule}    customProperties:\n")
    monkeypatch.syspath_prepend(str(root))


@contextmanager
def opened(root: Path) -> Iterator[Warehouse]:
    """Open the warehouse as a new process would: with the code of `checks_lib` as it is on disk now."""
    for name in [name for name in sys.modules if name.startswith("checks_lib")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    shutil.rmtree(root / "checks_lib/__pycache__", ignore_errors=True)  # two edits in one second look alike
    custom = importlib.import_module("checks_lib.rules").CUSTOM
    with Warehouse.open(environment(root), custom=custom) as warehouse:
        yield warehouse


def test_other_code_of_a_custom_rule_is_judged_before_the_next_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is carried over is judged by the code of today, of which the plan tells; a comment is no code."""
    root = make_shop(tmp_path)
    with_custom(root, monkeypatch)
    found = product(root, ORDERS)
    everything = due(found.table("orders").partitioning, CLOCK)
    with opened(root) as warehouse:
        refresh_product(warehouse, found, partitions={"orders": everything})
        assert not plan_product(warehouse, found).is_needed
    edit(root / "checks_lib/rules.py", "# a word", "# another word")
    with opened(root) as warehouse:
        assert not plan_product(warehouse, found).is_needed
        judged = refresh_product(warehouse, found).judged
        assert "dear" not in {result.rule.name for results in judged.values() for result in results}
    edit(root / "checks_lib/limits.py", "1000", "99")
    with opened(root) as warehouse:
        planned = plan_product(warehouse, found)
        assert {"orders": "refresh", "customers": "carry"} == {table.table: table.action for table in planned.tables}
        reason = next(table.reason for table in planned.tables if table.action == "refresh")
        assert reason.startswith("dear was not judged by the code that it runs now: a release needs")
        assert {"orders": (everything[-1],)} == planned.partitions
        with pytest.raises(RefusedReleaseError, match=r"orders\.dear: 1 of 40 rows"):
            refresh_product(warehouse, found)
    edit(root / "checks_lib/limits.py", "99", "500")
    with opened(root) as warehouse:
        partitions = plan_product(warehouse, found).partitions
        assert 3 == refresh_product(warehouse, found, partitions=partitions).release.number
        assert not plan_product(warehouse, found).is_needed
