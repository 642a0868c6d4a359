"""One refresh without an orchestrator: write, audit, publish, and every way in which that is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from dataproducts import refresh as refreshing
from dataproducts.errors import ConflictError, RefusedError, SourceError, TransformError
from dataproducts.load import load_project
from dataproducts.partitions import due
from dataproducts.plan import plan_product
from dataproducts.refresh import RefusedReleaseError, begin, refresh_product, refresh_table, release
from dataproducts.warehouse import Warehouse
from tests.pages import run
from tests.shop import (
    CLOCK,
    add_product,
    add_table,
    build,
    edit,
    environment,
    make_shop,
    plan,
    product,
    served,
    write_customers,
    write_orders,
)

if TYPE_CHECKING:
    from pathlib import Path

    from dataproducts.gate import Judgement

ORDERS, REVENUE = "shop/orders", "shop/revenue"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a shop whose products were released once."""
    root = make_shop(tmp_path)
    build(root, ORDERS)
    build(root, REVENUE)
    return root


def test_first_build_releases_both_products(shop: Path) -> None:
    """Every order is visible, partition by partition, and downstream agrees to the cent."""
    assert [(40, 2050.0)] == served(shop, ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    assert [(4, 2050.0)] == served(shop, REVENUE, "SELECT count(*), sum(revenue) FROM published.revenue")
    head = Warehouse.open(environment(shop)).ledger.head(ORDERS)
    assert head is not None
    assert (1, 10, 1) == (head.number, len(head.items["orders"]), len(head.items["customers"]))


def test_nothing_to_do_is_planned_as_such(shop: Path) -> None:
    """A plan on unchanged sources, transforms and contracts carries everything over."""
    planned = plan_product(Warehouse.open(environment(shop)), product(shop, ORDERS))
    assert {"carry"} == {table.action for table in planned.tables}


def test_a_new_day_writes_one_partition(tmp_path: Path) -> None:
    """A day's load replaces a day's files and carries the others over."""
    root = make_shop(tmp_path, days=9)
    nine = environment(root, clock=CLOCK - timedelta(days=1))
    warehouse = Warehouse.open(nine)
    found = product(root, ORDERS)
    refresh_product(warehouse, found, partitions=plan_product(warehouse, found).partitions)
    write_orders(root, days=10)
    warehouse = Warehouse.open(environment(root))
    before = warehouse.ledger.head(ORDERS)
    refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, 10)]})
    after = warehouse.ledger.head(ORDERS)
    assert before is not None
    assert after is not None
    assert 9 == len(set(before.items["orders"]) & set(after.items["orders"]))
    assert [(40,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("38,3,2024-01-10,-1", "amount.range"),
        ("38,3,2024-01-10,", "amount.required"),
        ("37,3,2024-01-10,5", "primary_key"),
        ("38,99,2024-01-10,5", "customer_id.references.customers"),
    ],
)
def test_a_failed_blocking_rule_leaves_the_last_release(shop: Path, row: str, rule: str) -> None:
    """Bad rows of one day are refused, recorded under the rule's name, and nobody sees them."""
    write_orders(shop, bad={38: row})
    with pytest.raises(RefusedError, match=rule.replace(".", r"\.")):
        build(shop, ORDERS)
    assert [(40, 2050.0)] == served(shop, ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    warehouse = Warehouse.open(environment(shop))
    assert 1 == warehouse.ledger.head(ORDERS).number  # type: ignore[union-attr]
    assert any(not result.passed for result in warehouse.ledger.history(ORDERS, "orders", rule))


def test_quarantined_rows_are_set_aside_and_counted(shop: Path) -> None:
    """A customer without a proper address goes to quarantine; the published table satisfies the rule."""
    write_customers(shop, "1,a@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n5,nonsense\n")
    outcome = build(shop, ORDERS)
    warehouse = Warehouse.open(environment(shop))
    (version,) = warehouse.ledger.composition(outcome.release)["customers"]
    assert (4, 1, {"email.pattern": 1}) == (version.rows, version.quarantine_files[0].rows, dict(version.quarantined))
    assert [(4,)] == served(shop, ORDERS, "SELECT count(*) FROM published.customers")


def test_a_carried_over_table_is_judged_again(shop: Path) -> None:
    """Customers alone are refreshed and one with orders is gone: the release names the rule that this breaks."""
    write_customers(shop, "1,a@x.org\n2,b@x.org\n3,c@x.org\n")
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    refresh = begin(warehouse, found, refresh_id="customers-only")
    with warehouse.connect() as con:
        outcome = refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        assert outcome.verdict.passed
        with pytest.raises(RefusedReleaseError, match=r"orders\.customer_id\.references\.customers"):
            release(warehouse, found, refresh=refresh, con=con)
    assert 1 == warehouse.ledger.head(ORDERS).number  # type: ignore[union-attr]


def test_a_missing_result_is_a_failure(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that forgets a rule publishes nothing."""
    from dataproducts import judging

    whole = judging.judge

    def forgetful(*args: object, **kwargs: object) -> Judgement:
        found = whole(*args, **kwargs)  # type: ignore[arg-type]
        return replace(found, results=tuple(r for r in found.results if r.rule.name != "amount.range"))

    monkeypatch.setattr(judging, "judge", forgetful)
    write_orders(shop, bad={38: "38,3,2024-01-10,7"})
    with pytest.raises(RefusedError, match=r"amount\.range"):
        build(shop, ORDERS)
    assert 1 == Warehouse.open(environment(shop)).ledger.head(ORDERS).number  # type: ignore[union-attr]


def test_a_transform_that_raises_publishes_nothing(shop: Path) -> None:
    """An error in the SQL names the file, and the last release stays."""
    path = shop / "assets/shop/orders/transforms/customers.sql"
    path.write_text("SELECT customer_id, error('boom') AS email FROM crm\n", encoding="utf-8")
    with pytest.raises(TransformError, match=r"customers\.sql"):
        build(shop, ORDERS)
    assert [(4,)] == served(shop, ORDERS, "SELECT count(*) FROM published.customers")


@pytest.mark.parametrize("wrong", ["Hello-7", "7.5"])
def test_a_wrong_value_of_a_source_is_told_with_its_line(shop: Path, wrong: str) -> None:
    """What was delivered is at fault, not a transform that is not there: the file, the line and no value are named."""
    (shop / "assets/shop/orders/transforms/customers.sql").unlink()
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    write_customers(shop)
    path = shop / "data/customers.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[2] = f"{wrong},{lines[2].partition(',')[2]}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    refresh = begin(warehouse, found, refresh_id="wrong")
    with warehouse.connect() as con, pytest.raises(SourceError) as told:
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
    said = str(told.value)
    assert "server 'crm': 1 value of column 'customer_id' is no BIGINT, at " in said
    assert "data/customers.csv:3. " in said
    assert wrong not in said
    assert ["unread"] == [attempt.state for attempt in warehouse.ledger.open_attempts(refresh)]


def test_only_a_release_that_is_there_stays_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who builds a wrong value for the first time is told of no release that would stay; later on, of that one."""
    root = make_shop(tmp_path)
    good = (root / "data/customers.csv").read_text(encoding="utf-8")
    (root / "assets/shop/orders/transforms/customers.sql").unlink()
    for is_there in (False, True):
        path = root / "data/customers.csv"
        path.write_text(f"{good}Hello-7,a@example.com\n", encoding="utf-8")
        ran = run(root, "build", ORDERS, monkeypatch=monkeypatch)
        assert (1, True, is_there) == (ran.code, "is no BIGINT, at" in ran.out, "The last release" in ran.out)
        path.write_text(good, encoding="utf-8")
        assert 0 == run(root, "build", ORDERS, monkeypatch=monkeypatch).code


def test_rows_of_another_day_are_refused(shop: Path) -> None:
    """A transform that ignores the bounds puts rows into the wrong partition: the gate sees it."""
    path = shop / "assets/shop/orders/transforms/orders.sql"
    edit(path, "ordered_on < $partition_end", "ordered_on <= $partition_end")
    with pytest.raises(RefusedError, match="partition_bounds"):
        build(shop, ORDERS)


def test_a_contract_that_changes_meanwhile_is_a_conflict(shop: Path) -> None:
    """A rule tightened between audit and publication: nothing is published under the old text."""
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    refresh = begin(warehouse, found, refresh_id="tightened")
    with warehouse.connect() as con:
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        edit(shop / "assets/shop/orders/contracts/orders.odcs.yaml", "minimum: 0", "minimum: 1000")
        with pytest.raises(ConflictError, match="changed while the refresh ran"):
            release(warehouse, found, refresh=refresh, con=con)
    assert 1 == warehouse.ledger.head(ORDERS).number  # type: ignore[union-attr]


def test_a_tightened_contract_judges_what_is_carried_over(shop: Path) -> None:
    """After a rule is tightened, the next release has to prove it for the old partitions too."""
    edit(shop / "assets/shop/orders/contracts/orders.odcs.yaml", "minimum: 0", "minimum: 1000")
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    planned = plan_product(warehouse, found)
    assert "the contract changed" in next(found.reason for found in planned.tables if found.table == "orders")
    refresh = begin(warehouse, found, refresh_id="after")
    with warehouse.connect() as con:
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        with pytest.raises(RefusedReleaseError, match=r"orders\.amount\.range"):
            release(warehouse, found, refresh=refresh, con=con)


def test_the_slower_of_two_refreshes_gets_a_conflict(shop: Path) -> None:
    """Both start from the same head; the second to publish would undo the first, so it is refused."""
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    first, second = (begin(warehouse, found, refresh_id=name) for name in ("first", "second"))
    with warehouse.connect() as con:
        for refresh in (first, second):
            refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        release(warehouse, found, refresh=first, con=con)
        with pytest.raises(ConflictError):
            release(warehouse, found, refresh=second, con=con)
    assert 2 == warehouse.ledger.head(ORDERS).number  # type: ignore[union-attr]


def test_upstream_releases_in_the_middle(shop: Path) -> None:
    """A refresh goes on with the upstream release that it pinned, and says which."""
    warehouse, found = Warehouse.open(environment(shop)), product(shop, REVENUE)
    refresh = begin(warehouse, found, refresh_id="pinned")
    write_orders(shop, bad={38: "38,3,2024-01-10,1000"})
    build(shop, ORDERS)
    with warehouse.connect() as con:
        outcome = refresh_table(warehouse, found, found.table("revenue"), refresh=refresh, con=con)
        assert outcome.verdict.passed
        released = release(warehouse, found, refresh=refresh, con=con).release
    assert {ORDERS: 1} == dict(released.inputs)
    assert [(2050.0,)] == served(shop, REVENUE, "SELECT sum(revenue) FROM published.revenue")


def test_a_product_without_upstream_release_says_so(tmp_path: Path) -> None:
    """A consumer cannot begin before what it reads was released once."""
    root = make_shop(tmp_path)
    warehouse = Warehouse.open(environment(root))
    with pytest.raises(RefusedError, match="shop/orders"):
        begin(warehouse, product(root, REVENUE), refresh_id="early")


def test_a_release_without_candidates_is_refused(shop: Path) -> None:
    """Releasing nothing is never the old release again in green."""
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    refresh = begin(warehouse, found, refresh_id="empty")
    with warehouse.connect() as con, pytest.raises(RefusedError, match="candidate"):
        release(warehouse, found, refresh=refresh, con=con)


def test_an_error_while_publishing_leaves_the_head(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault between the verdict and the commit publishes nothing, and the same refresh can be released again."""
    warehouse, found = Warehouse.open(environment(shop)), product(shop, ORDERS)
    refresh = begin(warehouse, found, refresh_id="faulty")

    def broken(*_args: object, **_options: object) -> None:
        raise OSError("disk on fire")

    with warehouse.connect() as con:
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        with monkeypatch.context() as patch:
            patch.setattr(refreshing, "publish", broken)
            with pytest.raises(OSError, match="disk on fire"):
                release(warehouse, found, refresh=refresh, con=con)
        assert 1 == warehouse.ledger.head(ORDERS).number  # type: ignore[union-attr]
        assert 2 == release(warehouse, found, refresh=refresh, con=con).release.number


def test_serving_file_is_repairable(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A serving file that cannot be replaced does not undo the release: it is reported and made anew later."""

    def broken(*_args: object, **_options: object) -> None:
        raise OSError("no space")

    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    with monkeypatch.context() as patch:
        patch.setattr(refreshing, "render", broken)
        outcome = build(shop, ORDERS)
    assert (2, "no space") == (outcome.release.number, outcome.serving_error)
    warehouse = Warehouse.open(environment(shop))
    assert refreshing.serve(warehouse, product(shop, ORDERS)) == ""
    assert [("z@x.org",)] == served(shop, ORDERS, "SELECT email FROM published.customers WHERE customer_id = 1")


def test_due_partitions_end_with_yesterday() -> None:
    """A partition is due once its last day is over; `end` is the first day without one."""
    from dataproducts.product import Partitioning

    days = due(Partitioning("d", "day", date(2024, 1, 1), date(2024, 1, 5)), CLOCK)
    assert (date(2024, 1, 1), date(2024, 1, 4), 4) == (days[0], days[-1], len(days))
    weeks = due(Partitioning("d", "week", date(2024, 1, 2)), CLOCK + timedelta(days=5))
    assert (date(2024, 1, 8),) == weeks


# Partitions


def day_counts(root: Path, address: str = ORDERS, table: str = "orders") -> dict[str | None, tuple[int, int]]:
    """Return partition -> rows published and rows quarantined of one released table."""
    with Warehouse.open(environment(root)) as warehouse:
        head = warehouse.ledger.head(address)
        assert head is not None
        versions = warehouse.ledger.composition(head)[table]
    return {v.partition: (v.rows, sum(file.rows for file in v.quarantine_files)) for v in versions}


def by_range(root: Path) -> None:
    """Let orders be made by one call for many days, and bad amounts and repeated keys be quarantined."""
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, 'end: "2024-01-11"}', 'end: "2024-01-11", batch: range}')
    edit(path, "{minimum: 0}", "{minimum: 0}\n        customProperties: [{property: onFailure, value: quarantine}]")


def test_quarantine_of_a_range_is_that_of_its_days(tmp_path: Path) -> None:
    """What one call rejects is kept with the day it belongs to: rows in are rows published and quarantined."""
    root = make_shop(tmp_path)
    by_range(root)
    write_orders(root, bad={9: "9,1,2024-01-03,-1", 10: "10,2,2024-01-03,-1", 37: "37,1,2024-01-10,-1"})
    build(root, ORDERS)
    found = day_counts(root)
    assert [(2, 2), (3, 1)] == [found["2024-01-03"], found["2024-01-10"]]
    assert 40 == sum(rows + aside for rows, aside in found.values())
    with Warehouse.open(environment(root)) as warehouse:
        head = warehouse.ledger.head(ORDERS)
        assert head is not None
        versions = {v.partition: dict(v.quarantined) for v in warehouse.ledger.composition(head)["orders"]}
    assert [{"amount.range": 2}, {}] == [versions["2024-01-03"], versions["2024-01-04"]]


@pytest.mark.parametrize("policy", ["refuse", "quarantine"])
def test_rows_of_no_partition(shop: Path, policy: str) -> None:
    """A row without a date belongs to no day: it is refused, or quarantined where the contract says so."""
    add_product(shop, "dated", inputs=["shop.orders.orders"], port="dated")
    day = f"logicalType: date, required: true, customProperties: [{{property: onFailure, value: {policy}}}]"
    cut = "column: day, unit: day, start: '2024-01-01', end: '2024-01-11', batch: range"
    sql = (
        "SELECT CASE WHEN order_id <> 38 THEN ordered_on END AS day, amount FROM orders "
        "WHERE ordered_on >= $partition_start AND ordered_on < $partition_end"
    )
    columns = {"day": day, "amount": "logicalType: number"}
    add_table(shop, "shop/dated", "dated", columns, sql, custom=f"[{{property: partition, value: {{{cut}}}}}]")
    if policy == "refuse":
        with pytest.raises(TransformError, match="1 rows of 'dated' lie outside"):
            build(shop, "shop/dated")
        return
    build(shop, "shop/dated")
    found = day_counts(shop, "shop/dated", "dated")
    assert (39, 1) == tuple(map(sum, zip(*found.values(), strict=True)))


def test_a_day_without_rows(tmp_path: Path) -> None:
    """A complete day on which nothing happened is a partition with no rows, not one that lacks."""
    root = make_shop(tmp_path)
    write_orders(root, bad={order: f"{order},1,2024-01-01,1" for order in range(9, 13)})
    build(root, ORDERS)
    assert (0, 0) == day_counts(root)["2024-01-03"]
    assert [(40,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")


@pytest.mark.parametrize("batch", ["each", "range"])
def test_days_with_a_zone_are_days_in_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: str) -> None:
    """A moment belongs to its day in UTC, wherever the machine stands and whichever way the day is written."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    root = make_shop(tmp_path)
    build(root, ORDERS)
    add_product(root, "clicks", inputs=["shop.orders.orders"], port="clicks")
    cut = f"column: moment, unit: day, start: '2024-01-01', end: '2024-01-03', batch: {batch}"
    custom = f"[{{property: partition, value: {{{cut}}}}}]"
    zoned = "logicalType: timestamp, logicalTypeOptions: {timezone: true}"
    sql = (
        "SELECT * FROM (VALUES (TIMESTAMPTZ '2024-01-01 00:00:00+00'), (TIMESTAMPTZ '2024-01-01 23:59:59+00'), "
        "(TIMESTAMPTZ '2024-01-03 01:00:00+13')) AS t(moment), (SELECT 1 FROM orders LIMIT 1) "
    )
    sql = f"SELECT moment FROM ({sql}) WHERE moment >= $partition_start AND moment < $partition_end"
    add_table(root, "shop/clicks", "clicks", {"moment": zoned}, sql, custom=custom)
    head = build(root, "shop/clicks").release
    with Warehouse.open(environment(root)) as warehouse:
        assert [2, 1] == [version.rows for version in warehouse.ledger.composition(head)["clicks"]]


def test_partitions_that_a_table_does_not_have(shop: Path) -> None:
    """A day that is not over, or before the first, is refused before anything is written."""
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="odd")
        for day in (date(2023, 12, 31), date(2024, 1, 11)):
            with pytest.raises(RefusedError, match="has no partition"):
                refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con, partitions=[day])
        with pytest.raises(RefusedError, match="at least one partition"):
            refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con)
        with pytest.raises(RefusedError, match="has no partitions"):
            refresh_table(
                warehouse, found, found.table("customers"), refresh=refresh, con=con, partitions=[date(2024, 1, 1)]
            )
        twice = [date(2024, 1, 1)] * 2
        outcome = refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con, partitions=twice)
        assert (4, 40) == (outcome.rows, outcome.total_rows)


def test_one_partition_of_another_type_is_refused(shop: Path) -> None:
    """A day written with other columns than the days beside it is released with all of them or not at all."""
    folder = shop / "assets/shop/orders"
    edit(folder / "contracts/orders.odcs.yaml", "logicalType: number", "logicalType: integer")
    edit(folder / "transforms/orders.sql", "ordered_on, amount", "ordered_on, CAST(amount AS BIGINT) AS amount")
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="one")
        days = [date(2024, 1, 10)]
        refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con, partitions=days)
        with pytest.raises(RefusedError, match=r"rebuild all partitions \(9 are missing\)"):
            release(warehouse, found, refresh=refresh, con=con)


def test_columns_in_another_order(shop: Path) -> None:
    """The order of columns is the contract's of today; files in the order of yesterday stay as they are."""
    path = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    line = "      - {name: ordered_on, logicalType: date, required: true}\n"
    edit(path, line, "")
    edit(path, "    properties:\n", f"    properties:\n{line}")
    assert 1 == len(build(shop, ORDERS).release.items["orders"]) - 9
    assert [(date(2024, 1, 1), 1)] == served(
        shop, ORDERS, "SELECT #1, #2 FROM published.orders ORDER BY order_id LIMIT 1"
    )


# Other ways to be refused, and to recover


def test_a_refused_day_is_repaired_in_the_same_refresh(shop: Path) -> None:
    """The mark that a refusal leaves goes with the next attempt at that day; until then nothing is released."""
    write_orders(shop, bad={38: "38,3,2024-01-10,-1"})
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="repair")
        table, days = found.table("orders"), [date(2024, 1, 9), date(2024, 1, 10)]
        assert not refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=days).verdict.passed
        assert ["2024-01-10"] == [attempt.partition for attempt in warehouse.ledger.open_attempts(refresh)]
        with pytest.raises(RefusedError, match=r"orders\.amount\.range"):
            release(warehouse, found, refresh=refresh, con=con)
        write_orders(shop)
        assert refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=days[1:]).verdict.passed
        assert 2 == release(warehouse, found, refresh=refresh, con=con).release.number


def test_a_refresh_that_resumes_after_another_release(shop: Path) -> None:
    """A refresh that died goes on from what it pinned, and is told that somebody was faster."""
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse:
        refresh = begin(warehouse, found, refresh_id="crashed")
        with warehouse.connect() as con:
            refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    build(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        again = begin(warehouse, found, refresh_id="crashed")
        assert refresh == again
        refresh_table(warehouse, found, found.table("customers"), refresh=again, con=con)
        with pytest.raises(ConflictError):
            release(warehouse, found, refresh=again, con=con)
    assert [("z@x.org",)] == served(shop, ORDERS, "SELECT email FROM published.customers WHERE customer_id = 1")


def test_a_second_attempt_takes_the_place_of_the_first(shop: Path) -> None:
    """Of two candidates for one table the later is released, once."""
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="twice")
        for email in ("first", "second"):
            write_customers(shop, f"1,{email}@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
            refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        published = release(warehouse, found, refresh=refresh, con=con).release
        assert published == release(warehouse, found, refresh=refresh, con=con).release
    assert [("second@x.org",)] == served(shop, ORDERS, "SELECT email FROM published.customers WHERE customer_id = 1")


def test_a_source_that_changes_while_it_is_read(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read of such a file nobody knows: the table is not taken, and the release is refused."""
    found = product(shop, ORDERS)
    whole = refreshing.write_versions

    def slow(*args: object, **kwargs: object) -> object:
        write_customers(shop, "1,meanwhile@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
        return whole(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(refreshing, "write_versions", slow)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="moving")
        with pytest.raises(SourceError, match=r"customers\.csv changed"):
            refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        with pytest.raises(RefusedError, match="candidate"):
            release(warehouse, found, refresh=refresh, con=con)


def test_a_sibling_made_from_what_was_there_before(shop: Path) -> None:
    """One of two tables refreshed alone, with the other made from its old rows, is refused."""
    add_table(shop, REVENUE, "best", {"revenue": "logicalType: number"}, "SELECT max(revenue) AS revenue FROM revenue")
    build(shop, REVENUE)
    write_orders(shop, bad={38: "38,3,2024-01-10,1000"})
    build(shop, ORDERS)
    found = product(shop, REVENUE)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="one of two")
        refresh_table(warehouse, found, found.table("revenue"), refresh=refresh, con=con)
        with pytest.raises(RefusedError, match=r"revenue\.best: it was made from revenue"):
            release(warehouse, found, refresh=refresh, con=con)


# Shapes of products


def test_two_majors_side_by_side(shop: Path) -> None:
    """A second major has releases, files and a serving file of its own; who reads the first goes on doing so."""
    import shutil

    folder = shop / "assets/shop/orders_v2"
    shutil.copytree(shop / "assets/shop/orders", folder)
    for path in folder.rglob("*.yaml"):
        text = (
            path.read_text(encoding="utf-8")
            .replace("shop.orders.", "shop.orders_v2.")
            .replace("shop-orders", "shop-o2")
        )
        path.write_text(text.replace("version: 1.0.0", "version: 2.0.0"), encoding="utf-8")
    second = "shop/orders@v2"
    assert 1 == build(shop, second).release.number
    write_orders(shop, bad={38: "38,3,2024-01-10,1000"})
    assert 2 == build(shop, second).release.number
    assert [(40, 2050.0)] == served(shop, ORDERS, "SELECT count(*), sum(amount) FROM published.orders")
    assert [(2955.0,)] == served(shop, second, "SELECT sum(amount) FROM published.orders")
    assert "carry" == next(t.action for t in plan(shop, REVENUE).tables)


def test_an_upstream_that_no_longer_offers_the_table(shop: Path) -> None:
    """A contract of another major, or a table that went, is no input: the consumer keeps its last release."""
    path = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    consumer = product(shop, REVENUE)
    edit(path, "version: 1.0.0", "version: 2.0.0")
    edit(shop / "assets/shop/orders/product.yaml", "{name: orders, version: 1.0.0", "{name: orders, version: 2.0.0")
    project = load_project(shop)
    upstream = next(found for found in project.products if found.address == ORDERS)
    with Warehouse.open(environment(shop)) as warehouse:
        refresh_product(warehouse, upstream, partitions={"orders": [date(2024, 1, 10)]})
        with pytest.raises(RefusedError, match=r"relies on version 1\.0\.0 .* offers 2\.0\.0"):
            refresh_product(warehouse, consumer)
    assert [(2050.0,)] == served(shop, REVENUE, "SELECT sum(revenue) FROM published.revenue")


def test_a_version_may_be_written_short(tmp_path: Path) -> None:
    """Version 1.0 of a contract is version 1.0.0."""
    root = make_shop(tmp_path)
    edit(root / "assets/shop/orders/contracts/orders.odcs.yaml", "version: 1.0.0", "version: '1.0'")
    edit(root / "assets/shop/orders/product.yaml", "{name: orders, version: 1.0.0", "{name: orders, version: '1.0'")
    build(root, ORDERS)
    assert 1 == build(root, REVENUE).release.number


def test_a_product_without_output_port(shop: Path) -> None:
    """Tables that nobody offers are built, judged and released, and shown to no reader."""
    add_product(shop, "inner", inputs=["shop.orders.orders"])
    add_table(shop, "shop/inner", "inner", {"n": "logicalType: integer"}, "SELECT count(*) AS n FROM orders")
    assert "" == build(shop, "shop/inner").serving_error
    tables = "SELECT count(*) FROM duckdb_views() WHERE schema_name = 'published'"
    assert [(0,)] == served(shop, "shop/inner", tables)


def test_a_source_with_no_rows(tmp_path: Path) -> None:
    """A file with a header alone gives tables with no rows, unless a rule asks for some."""
    root = make_shop(tmp_path)
    (root / "data/orders.csv").write_text("order_id,customer_id,ordered_on,amount\n", encoding="utf-8")
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    columns = "columns: {order_id: BIGINT, customer_id: BIGINT, ordered_on: DATE, amount: DOUBLE}"
    edit(path, "format: csv}", f"format: csv, customProperties: [{{property: columns, value: {columns[9:]}}}]}}")
    build(root, ORDERS)
    assert [(0,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")


@pytest.mark.parametrize("batch", ["each", "range"])
def test_python_makes_partitions(shop: Path, batch: str) -> None:
    """A Python function gets the bounds of its day or range, and what it returns is dealt out like SQL's rows."""
    add_product(shop, "taxed", inputs=["shop.orders.orders"], port="taxed")
    cut = f"column: day, unit: day, start: '2024-01-01', end: '2024-01-04', batch: {batch}"
    custom = f"[{{property: partition, value: {{{cut}}}}}]"
    add_table(shop, "shop/taxed", "taxed", {"day": "logicalType: date", "tax": "logicalType: number"}, custom=custom)
    path = shop / "assets/shop/taxed/transforms/taxed.py"
    path.parent.mkdir()
    path.write_text(
        "from datetime import date\n\nimport duckdb\n\n\n"
        "def taxed(orders: duckdb.DuckDBPyRelation, partition_start: date, partition_end: date):\n"
        "    chosen = orders.filter(f\"ordered_on >= '{partition_start}' AND ordered_on < '{partition_end}'\")\n"
        "    return chosen.project('ordered_on AS day, amount * 0.1 AS tax')\n",
        encoding="utf-8",
    )
    build(shop, "shop/taxed")
    assert [(3, 12, 19.5)] == served(
        shop, "shop/taxed", "SELECT count(DISTINCT day), count(*), round(sum(tax), 2) FROM published.taxed"
    )


def test_nothing_is_left_on_the_connection(tmp_path: Path) -> None:
    """What one table needed in memory (a source in another encoding) is gone when the next one is made."""
    root = make_shop(tmp_path)
    (root / "data/customers.csv").write_text("customer_id,email\n1,é@x.org\n2,b@x.org\n3,c@x\n4,d@x\n", "latin-1")
    path = root / "assets/shop/orders/contracts/customers.odcs.yaml"
    edit(path, "format: csv}", "format: csv, customProperties: [{property: encoding, value: latin-1}]}")
    found = product(root, ORDERS)
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="clean")
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        assert [] == con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
        assert [] == con.execute("SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal").fetchall()


def test_a_column_may_have_any_name(shop: Path) -> None:
    """Names that the engine gives to columns of its own (filename) are names like any other."""
    add_product(shop, "files", inputs=["shop.orders.orders"], port="files")
    columns = {"filename": "logicalType: string", "at": "logicalType: date", "_judged": "logicalType: string"}
    sql = "SELECT 'x' AS filename, max(ordered_on) AS at, 'y' AS _judged FROM orders"
    add_table(shop, "shop/files", "files", columns, sql, custom="[{property: validThru, value: at}]")
    head = build(shop, "shop/files").release
    with Warehouse.open(environment(shop)) as warehouse:
        (version,) = warehouse.ledger.composition(head)["files"]
    assert version.valid_thru == CLOCK.replace(day=10, hour=0)
