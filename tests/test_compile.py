"""Products as Dagster runs them: what a refused refresh records, what it leaves alone, what a backfill releases."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

import dagster as dg
import duckdb
import pytest

from dataproducts.compile import compile_domain
from dataproducts.compile.build import build_product
from dataproducts.compile.describe import release_key, table_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START, job_name
from dataproducts.load import load_product
from dataproducts.plan import plan_product
from dataproducts.warehouse import Warehouse
from tests.shop import edit, environment, make_shop, write_customers, write_orders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from dataproducts.gate import Judgement

ORDERS, REVENUE = "shop/orders", "shop/revenue"
ALL_DAYS = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
RESUME = {"dagster/is_resume_retry": "true"}


class Shop:
    """A shop on disk, its definitions as loaded now, and one Dagster instance."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.root, self.instance = root, instance

    def definitions(self, domain: str = "shop") -> dg.Definitions:
        """Load the domain's definitions as its code location would."""
        return compile_domain(self.root / "assets" / domain, environment=environment(self.root))

    def run(
        self,
        address: str,
        *tables: str,
        tags: dict[str, str] | None = None,
        partition: str | None = None,
        defs: dg.Definitions | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Run the product's job, or the named tables of it (`release` is the release)."""
        keys = [table_key(address, table) for table in tables]
        defs = defs or self.definitions(address.split("/", maxsplit=1)[0])
        return defs.resolve_job_def(job_name(address)).execute_in_process(
            instance=self.instance,
            asset_selection=keys or None,
            tags=tags,
            partition_key=partition,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )

    def head(self, address: str) -> int:
        """Return the number of the product's head, 0 before its first release."""
        head = Warehouse.open(environment(self.root)).ledger.head(address)
        return head.number if head else 0

    def read(self, address: str, sql: str) -> list[tuple[object, ...]]:
        """Return what a reader of the serving file sees."""
        path = Warehouse.open(environment(self.root)).store.serve_path(address)
        with duckdb.connect(str(path), read_only=True) as con:
            return con.execute(sql).fetchall()

    def build(self) -> None:
        """Release both products once."""
        assert self.run(ORDERS, tags=ALL_DAYS).success
        assert self.run(REVENUE).success


def checks(result: dg.ExecuteInProcessResult, *, passed: bool) -> set[str]:
    """Return the names of the checks that passed, or that failed."""
    return {e.check_name for e in result.get_asset_check_evaluations() if e.passed is passed}


def materialized(result: dg.ExecuteInProcessResult) -> set[str]:
    """Return the last part of every asset key that the run materialized."""
    return {event.asset_key.path[-1] for event in result.get_asset_materialization_events() if event.asset_key}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Return a shop that was released once through Dagster."""
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "dagster")) as instance:
        shop = Shop(make_shop(tmp_path / "project"), instance)
        shop.build()
        yield shop


def unharmed(shop: Shop, result: dg.ExecuteInProcessResult, *, without: Sequence[str]) -> None:
    """Assert that a run failed, released nothing and did not run what comes after the refused table."""
    assert not result.success
    assert 1 == shop.head(ORDERS)
    assert [(40, 2050.0)] == shop.read(ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    assert not materialized(result) & set(without)


def test_a_run_of_the_job_releases(shop: Shop) -> None:
    """Both products are released, and each rule of each table has a passed check of its own."""
    assert (1, 1) == (shop.head(ORDERS), shop.head(REVENUE))
    result = shop.run(ORDERS, tags=ALL_DAYS)
    declared = {spec.name for asset in shop.definitions().assets or () for spec in getattr(asset, "check_specs", ())}  # type: ignore[union-attr]
    assert checks(result, passed=True) <= declared
    assert {"amount.range", "primary_key", "partition_bounds", "customer_id.references.customers"} <= checks(
        result, passed=True
    )
    assert set() == checks(result, passed=False)


def test_failing_blocking_rule(shop: Shop) -> None:
    """The check is recorded as failed, the table is not materialized, nothing downstream runs."""
    write_orders(shop.root, bad={38: "38,3,2024-01-10,-1"})
    result = shop.run(ORDERS, tags=ALL_DAYS)
    unharmed(shop, result, without=["orders", "release"])
    assert {"amount.range"} == checks(result, passed=False)
    evaluation = next(e for e in result.get_asset_check_evaluations() if e.check_name == "amount.range")
    assert "2024-01-10" == evaluation.metadata["failed_partitions"].value


def test_check_without_a_result(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that the gate forgot is shown as failed and nothing is released."""
    from dataproducts import judging

    whole = judging.judge

    def forgetful(*args: object, **kwargs: object) -> Judgement:
        found = whole(*args, **kwargs)  # type: ignore[arg-type]
        return replace(found, results=tuple(r for r in found.results if r.rule.name != "amount.range"))

    monkeypatch.setattr(judging, "judge", forgetful)
    result = shop.run(ORDERS, tags=ALL_DAYS)
    unharmed(shop, result, without=["release"])
    assert {"amount.range"} <= checks(result, passed=False)


def test_exception_in_the_transform(shop: Shop) -> None:
    """Every declared check of the table is recorded as failed, not left out."""
    path = shop.root / "assets/shop/orders/transforms/customers.sql"
    path.write_text("SELECT customer_id, error('boom') AS email FROM crm\n", encoding="utf-8")
    result = shop.run(ORDERS, tags=ALL_DAYS)
    unharmed(shop, result, without=["customers", "orders", "release"])
    assert {"schema", "primary_key", "customer_id.required"} <= checks(result, passed=False)


def test_exception_in_the_gate(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that dies is a refusal."""
    from dataproducts import judging

    def broken(*_args: object, **_kwargs: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(judging, "judge", broken)
    result = shop.run(ORDERS, tags=ALL_DAYS)
    unharmed(shop, result, without=["customers", "orders", "release"])
    assert "schema" in checks(result, passed=False)


def test_exception_in_publish(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables stay candidates; the release says that nothing was published."""
    from dataproducts import refresh

    def broken(*_args: object) -> None:
        raise OSError("disk on fire")

    monkeypatch.setattr(refresh, "publish", broken)
    result = shop.run(ORDERS, tags=ALL_DAYS)
    unharmed(shop, result, without=["release"])
    assert {"rules_across_tables"} == checks(result, passed=False)


def test_later_run_of_a_downstream_asset_alone(shop: Shop) -> None:
    """After a refusal, a run that selects only what is downstream reads the last good release."""
    write_orders(shop.root, bad={38: "38,3,2024-01-10,-100000"})
    assert not shop.run(ORDERS, tags=ALL_DAYS).success
    assert shop.run(REVENUE).success
    assert [(2050.0,)] == shop.read(REVENUE, "SELECT sum(revenue) FROM published.revenue")


def test_backfill_of_thirty_partitions_with_one_bad_one(tmp_path: Path) -> None:
    """Nothing of the backfill is released, and the check names the bad day; without it there is one release."""
    with dg.DagsterInstance.ephemeral() as instance:
        root = make_shop(tmp_path, days=30)
        edit(root / "assets/shop/orders/contracts/orders.odcs.yaml", 'end: "2024-01-11"', 'end: "2024-01-31"')
        shop = Shop(root, instance)
        days = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-30", "dagster/backfill": "bf-1"}
        write_orders(root, days=30, bad={50: "50,3,2024-01-13,-1"})
        result = shop.run(ORDERS, tags=days)
        assert not result.success
        assert 0 == shop.head(ORDERS)
        write_orders(root, days=30)
        assert shop.run(ORDERS, tags=days | {"dagster/backfill": "bf-2"}).success
        assert 1 == shop.head(ORDERS)
        assert [(120,)] == shop.read(ORDERS, "SELECT count(*) FROM published.orders")


def test_re_execute_all_is_a_new_refresh(shop: Shop) -> None:
    """Running everything again after a refusal starts from the head of now and releases."""
    write_orders(shop.root, bad={38: "38,3,2024-01-10,-1"})
    failed = shop.run(ORDERS, tags=ALL_DAYS)
    write_orders(shop.root)
    tags = ALL_DAYS | {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    assert shop.run(ORDERS, tags=tags).success
    assert 2 == shop.head(ORDERS)


def test_re_execute_from_failure_goes_on(shop: Shop) -> None:
    """The resumed run releases what its parent had made well, with what it makes anew."""
    write_customers(shop.root, "1,a@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n5,e@x.org\n")
    write_orders(shop.root, bad={38: "38,3,2024-01-10,-1"})
    failed = shop.run(ORDERS, tags=ALL_DAYS)
    assert {"customers"} == materialized(failed)
    write_orders(shop.root)
    tags = ALL_DAYS | RESUME | {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    assert shop.run(ORDERS, "orders", "release", tags=tags).success
    assert [(5,)] == shop.read(ORDERS, "SELECT count(*) FROM published.customers")


def test_release_alone_after_a_refusal_is_refused(shop: Shop) -> None:
    """Materializing only the release, in the run that resumes a refused one, finds the refusal."""
    write_orders(shop.root, bad={38: "38,3,2024-01-10,-1"})
    failed = shop.run(ORDERS, tags=ALL_DAYS)
    tags = RESUME | {"dagster/parent_run_id": failed.run_id, "dagster/root_run_id": failed.run_id}
    unharmed(shop, shop.run(ORDERS, "release", tags=tags), without=["release"])
    unharmed(shop, shop.run(ORDERS, "release"), without=["release"])


def test_one_table_without_the_release(shop: Shop) -> None:
    """A click on one table leaves a labelled candidate that nobody sees."""
    write_customers(shop.root, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    result = shop.run(ORDERS, "customers")
    assert result.success
    (event,) = result.get_asset_materialization_events()
    assert "candidate" == event.materialization.metadata["state"].value
    assert [("a@x.org",)] == shop.read(ORDERS, "SELECT email FROM published.customers WHERE customer_id = 1")


def test_one_table_with_the_release(shop: Shop) -> None:
    """One table and the release: it is published with every other table carried over."""
    write_customers(shop.root, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    assert shop.run(ORDERS, "customers", "release").success
    assert [("z@x.org", 40)] == shop.read(
        ORDERS, "SELECT email, (SELECT count(*) FROM published.orders) FROM published.customers WHERE customer_id = 1"
    )


def test_one_table_that_breaks_a_carried_over_foreign_key(shop: Shop) -> None:
    """The refreshed table is good by itself; the release is refused and names the broken rule."""
    write_customers(shop.root, "1,a@x.org\n2,b@x.org\n3,c@x.org\n")
    result = shop.run(ORDERS, "customers", "release")
    unharmed(shop, result, without=["release"])
    (evaluation,) = [e for e in result.get_asset_check_evaluations() if not e.passed]
    assert "orders.customer_id.references.customers" in str(evaluation.description)


def test_contract_tightened_while_a_refresh_runs(shop: Shop) -> None:
    """The process still has the old contract; nothing is released under it."""
    defs = shop.definitions()
    edit(shop.root / "assets/shop/orders/contracts/orders.odcs.yaml", "minimum: 0", "minimum: 1")
    result = shop.run(ORDERS, tags=ALL_DAYS, defs=defs)
    unharmed(shop, result, without=["release"])


def test_upstream_of_another_location_releases_in_the_middle(tmp_path: Path) -> None:
    """The consumer's run goes on with what it pinned, although its upstream domain releases meanwhile."""
    with dg.DagsterInstance.ephemeral() as instance:
        shop = Shop(make_shop(tmp_path, revenue_domain="growth"), instance)
        assert shop.run(ORDERS, tags=ALL_DAYS).success
        first = shop.run("growth/revenue", "revenue")
        assert first.success
        write_orders(shop.root, bad={38: "38,3,2024-01-10,1000"})
        assert shop.run(ORDERS, tags=ALL_DAYS).success
        tags = RESUME | {"dagster/parent_run_id": first.run_id, "dagster/root_run_id": first.run_id}
        assert shop.run("growth/revenue", "release", tags=tags).success
        head = Warehouse.open(environment(shop.root)).ledger.head("growth/revenue")
        assert head is not None
        assert {ORDERS: 1} == dict(head.inputs)
        assert [(2050.0,)] == shop.read("growth/revenue", "SELECT sum(revenue) FROM published.revenue")


def test_a_domain_with_a_fault_does_not_touch_the_other(tmp_path: Path) -> None:
    """A fault in one domain fails its definitions alone."""
    shop = Shop(make_shop(tmp_path, revenue_domain="growth"), dg.DagsterInstance.ephemeral())
    edit(shop.root / "assets/growth/revenue/product.yaml", "purpose: Revenue", "purpos: Revenue")
    assert shop.definitions("shop").resolve_asset_graph().get_all_asset_keys()
    with pytest.raises(ValueError, match=r"assets/growth/revenue/product\.yaml:\d+"):
        shop.definitions("growth")


def test_every_asset_is_answerable(shop: Shop) -> None:
    """Owner, lifecycle, tier, layer, domain, description and group stand on every asset, code links on all."""
    graph = shop.definitions().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.owners in (["ana@example.com", "team:till"], ["bo@example.com", "team:growth"])
        assert {"layer", "lifecycle", "tier", "domain"} <= set(node.tags)
        assert node.group_name in {"shop/orders", "shop/revenue"}
        assert "dagster/code_references" in node.metadata


def test_column_lineage_reaches_the_upstream_table(shop: Shop) -> None:
    """The lineage of a column names the column of the other product's table that it comes from."""
    node = shop.definitions().resolve_asset_graph().get(table_key(REVENUE, "revenue"))
    lineage = node.metadata["dagster/column_lineage"].deps_by_column
    assert [(table_key(ORDERS, "orders"), "amount")] == [(d.asset_key, d.column_name) for d in lineage["revenue"]]
    assert release_key(ORDERS) in node.parent_keys


def test_a_signal_between_two_queries_interrupts(shop: Shop) -> None:
    """SIGINT while Python works in a step, and DuckDB does not: interrupted as in a query, and nothing is released."""
    wiring = environment(shop.root)
    product = load_product(shop.root / "assets" / "shop" / "revenue")
    planned = plan_product(Warehouse.open(wiring), product, force=True)
    before = shop.head(REVENUE)
    with pytest.raises(KeyboardInterrupt):
        build_product(
            product,
            planned,
            environment=wiring,
            custom={},
            instance=shop.instance,
            on_table=lambda _outcome: os.kill(os.getpid(), signal.SIGINT),
        )
    assert before == shop.head(REVENUE)
