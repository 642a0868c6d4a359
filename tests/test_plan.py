"""What a build would do: nothing that changed is left out, and nothing is refreshed without need."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pytest

from dataproducts.errors import ConflictError, RefusedError
from dataproducts.plan import plan_product
from dataproducts.refresh import begin, refresh_product, refresh_table, release
from dataproducts.warehouse import Warehouse
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

    from dataproducts.plan import TablePlan

ORDERS, REVENUE, DAILY = "shop/orders", "shop/revenue", "shop/daily"
DAY = "[{property: partition, value: {column: day, unit: day, start: '2024-01-01', end: '2024-01-11'}}]"
WEEK = "[{property: partition, value: {column: week, unit: week, start: '2024-01-01', end: '2024-01-29'}}]"
NUMBER, DATE = "logicalType: number", "logicalType: date"
DAILY_SQL = (
    "SELECT ordered_on AS day, sum(amount) AS amount FROM orders "
    "WHERE ordered_on >= $partition_start AND ordered_on < $partition_end GROUP BY 1"
)


def action(root: Path, address: str, table: str) -> TablePlan:
    """Return what is planned for one table."""
    return next(found for found in plan(root, address).tables if found.table == table)


def actions(root: Path, address: str) -> dict[str, str]:
    """Return table -> planned action."""
    return {found.table: found.action for found in plan(root, address).tables}


def in_files(root: Path) -> None:
    """Let orders come as one file for each day, in a folder."""
    rows = (root / "data/orders.csv").read_text(encoding="utf-8").splitlines()
    folder = root / "data/orders"
    folder.mkdir()
    for row in rows[1:]:
        path = folder / f"{row.split(',')[2]}.csv"
        old = path.read_text(encoding="utf-8") if path.exists() else rows[0] + "\n"
        path.write_text(f"{old}{row}\n", encoding="utf-8")
    edit(root / "assets/shop/orders/contracts/orders.odcs.yaml", "data/orders.csv", "data/orders")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a shop whose orders were released once."""
    root = make_shop(tmp_path)
    build(root, ORDERS)
    return root


def with_daily(root: Path) -> Path:
    """Add a product that sums up the orders of each day, partitioned like them, and release it."""
    add_product(root, "daily", inputs=["shop.orders.orders"], port="daily")
    add_table(root, DAILY, "daily", {"day": DATE, "amount": NUMBER}, DAILY_SQL, custom=DAY)
    build(root, DAILY)
    return root


def test_a_changed_contract_is_released_once_and_then_at_rest(shop: Path) -> None:
    """A rule that changed alone gives a build something to release, and the next plan carries everything over."""
    edit(shop / "assets/shop/orders/contracts/orders.odcs.yaml", "minimum: 0", "minimum: 1")
    planned = action(shop, ORDERS, "orders")
    assert ("refresh", (date(2024, 1, 10),)) == (planned.action, planned.partitions)
    assert 2 == build(shop, ORDERS).release.number
    assert {"orders": "carry", "customers": "carry"} == actions(shop, ORDERS)


def test_comments_and_layout_change_nothing(shop: Path) -> None:
    """A contract that says the same in other lines is the same contract."""
    path = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, "status: draft", "# a word\n\n'status':   'draft'")
    assert {"orders": "carry", "customers": "carry"} == actions(shop, ORDERS)


def test_a_changed_type_rebuilds_all_partitions(shop: Path) -> None:
    """Files of two types cannot be one table, so every partition is made anew."""
    folder = shop / "assets/shop/orders"
    edit(folder / "contracts/orders.odcs.yaml", "logicalType: number", "logicalType: integer")
    edit(folder / "transforms/orders.sql", "ordered_on, amount", "ordered_on, CAST(amount AS BIGINT) AS amount")
    assert 10 == len(action(shop, ORDERS, "orders").partitions)
    build(shop, ORDERS)
    assert [("BIGINT", 40)] == served(shop, ORDERS, "SELECT any_value(typeof(amount)), count(*) FROM published.orders")


def test_a_required_column_that_old_files_lack_rebuilds_all_partitions(tmp_path: Path) -> None:
    """A pass-through shows no change of code, and a projection would give NULL where the contract forbids it."""
    root = pass_through(make_shop(tmp_path))
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    build(root, ORDERS)
    column = "      - {name: total, physicalName: amount, logicalType: number, required: true}\n"
    path.write_text(path.read_text(encoding="utf-8") + column, encoding="utf-8")
    assert 10 == len(action(root, ORDERS, "orders").partitions)
    build(root, ORDERS)
    assert [(40,)] == served(root, ORDERS, "SELECT count(total) FROM published.orders")


def pass_through(root: Path) -> Path:
    """Let orders be copied from their source without a transform."""
    (root / "assets/shop/orders/transforms/orders.sql").unlink()
    return root


def test_a_nullable_column_keeps_the_old_partitions(tmp_path: Path) -> None:
    """Old files are read through a projection; one partition with the new column is enough to publish it."""
    root = pass_through(make_shop(tmp_path))
    text = (root / "data/orders.csv").read_text(encoding="utf-8").splitlines()
    (root / "data/orders.csv").write_text("\n".join([text[0] + ",note", *(f"{row},hi" for row in text[1:])]), "utf-8")
    build(root, ORDERS)
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    path.write_text(path.read_text(encoding="utf-8") + "      - {name: note, logicalType: string}\n", encoding="utf-8")
    assert (date(2024, 1, 10),) == action(root, ORDERS, "orders").partitions
    build(root, ORDERS)
    assert [(40, 4)] == served(root, ORDERS, "SELECT count(*), count(note) FROM published.orders")
    assert {"orders": "carry", "customers": "carry"} == actions(root, ORDERS)


@pytest.mark.parametrize("to", ["week", "none"])
def test_a_table_that_is_cut_otherwise_is_made_anew(tmp_path: Path, to: str) -> None:
    """Days are no weeks: the Monday of a daily table must not stand for a week, nor ten days for a whole table."""
    root = pass_through(make_shop(tmp_path, days=14))
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, 'end: "2024-01-11"', 'end: "2024-01-15"')
    clock = CLOCK + timedelta(days=10)
    build(root, ORDERS, clock=clock)
    if to == "week":
        edit(path, "unit: day", "unit: week")
    else:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "property: partition" not in line), encoding="utf-8")
    planned = next(found for found in plan(root, ORDERS, clock=clock).tables if found.table == "orders")
    assert ("refresh", 2 if to == "week" else 0) == (planned.action, len(planned.partitions))
    outcome = build(root, ORDERS, clock=clock)
    assert (2 if to == "week" else 1) == len(outcome.release.items["orders"])
    assert [(56,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")


def test_a_table_that_becomes_partitioned(shop: Path) -> None:
    """The version of the whole is not carried into a table of partitions."""
    path = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    text = path.read_text(encoding="utf-8")
    line = next(line for line in text.splitlines(keepends=True) if "property: partition" in line)
    whole = "SELECT order_id, customer_id, ordered_on, amount FROM till\n"
    sql = shop / "assets/shop/orders/transforms/orders.sql"
    cut = sql.read_text(encoding="utf-8")
    path.write_text(text.replace(line, ""), encoding="utf-8")
    sql.write_text(whole, encoding="utf-8")
    assert 1 == len(build(shop, ORDERS).release.items["orders"])
    path.write_text(text, encoding="utf-8")
    sql.write_text(cut, encoding="utf-8")
    assert 10 == len(build(shop, ORDERS).release.items["orders"])
    assert [(40,)] == served(shop, ORDERS, "SELECT count(*) FROM published.orders")


def test_a_source_that_is_read_otherwise(tmp_path: Path) -> None:
    """The same bytes under another setting of their server are other data."""
    root = make_shop(tmp_path)
    build(root, ORDERS)
    path = root / "assets/shop/orders/contracts/customers.odcs.yaml"
    edit(path, "format: csv}", "format: csv, customProperties: [{property: nullValues, value: [d@x.org]}]}")
    assert "refresh" == actions(root, ORDERS)["customers"]
    build(root, ORDERS)
    assert [(1,)] == served(root, ORDERS, "SELECT count(*) FROM published.customers WHERE email IS NULL")


def test_another_physical_name_is_other_data(tmp_path: Path) -> None:
    """A pass-through that copies another column under the same name is made anew."""
    root = pass_through(make_shop(tmp_path))
    build(root, ORDERS)
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, "name: amount\n", "name: amount\n        physicalName: order_id\n")
    assert 10 == len(action(root, ORDERS, "orders").partitions)


def test_equal_server_names_of_two_tables(shop: Path) -> None:
    """Servers are a contract's own: two that share a name do not make each other look changed."""
    folder = shop / "assets/shop/orders"
    edit(folder / "contracts/customers.odcs.yaml", "server: crm", "server: till")
    edit(folder / "transforms/customers.sql", "FROM crm", "FROM till")
    build(shop, ORDERS)
    assert {"orders": "carry", "customers": "carry"} == actions(shop, ORDERS)


def test_a_changed_file_of_a_folder(tmp_path: Path) -> None:
    """A file that was read and is different now concerns partitions that nobody can name: all are planned."""
    root = make_shop(tmp_path)
    in_files(root)
    build(root, ORDERS)
    path = root / "data/orders/2024-01-03.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("22.5", "23.5"), encoding="utf-8")
    assert 10 == len(action(root, ORDERS, "orders").partitions)


def test_a_new_day_with_a_new_file(tmp_path: Path) -> None:
    """A file that nobody read yet belongs to the day that lacks; the note says what that leaves open."""
    root = make_shop(tmp_path)
    in_files(root)
    late = root / "data/orders/2024-01-10.csv"
    text = late.read_text(encoding="utf-8")
    late.unlink()
    build(root, ORDERS, clock=CLOCK - timedelta(days=1))
    late.write_text(text, encoding="utf-8")
    assert (date(2024, 1, 10),) == action(root, ORDERS, "orders").partitions
    build(root, ORDERS)
    assert {"orders": "carry", "customers": "carry"} == actions(root, ORDERS)


def test_a_late_file_is_told(tmp_path: Path) -> None:
    """A new file that no new partition explains may hold late rows: the plan says so rather than nothing."""
    root = make_shop(tmp_path)
    in_files(root)
    build(root, ORDERS)
    (root / "data/orders/2024-01-03-late.csv").write_text(
        "order_id,customer_id,ordered_on,amount\n99,1,2024-01-03,5\n", encoding="utf-8"
    )
    planned = plan(root, ORDERS)
    assert not planned.is_needed
    assert any("2024-01-03-late.csv" in note for note in planned.notes)


def test_a_file_that_went_away(tmp_path: Path) -> None:
    """A landing folder that is emptied does not empty the partitions that were made from it."""
    root = make_shop(tmp_path)
    in_files(root)
    build(root, ORDERS)
    (root / "data/orders/2024-01-03.csv").unlink()
    planned = plan(root, ORDERS)
    assert not planned.is_needed
    assert any("2024-01-03.csv" in note for note in planned.notes)


def test_part_of_a_changed_file_is_not_all_of_it(shop: Path) -> None:
    """A load of one day from a file that changed does not make the other days up to date."""
    write_orders(shop, bad={1: "1,1,2024-01-01,1000"})
    with Warehouse.open(environment(shop)) as warehouse:
        refresh_product(warehouse, product(shop, ORDERS), partitions={"orders": [date(2024, 1, 10)]})
    assert 10 == len(action(shop, ORDERS, "orders").partitions)
    build(shop, ORDERS)
    assert {"orders": "carry", "customers": "carry"} == actions(shop, ORDERS)
    assert [(1000.0,)] == served(shop, ORDERS, "SELECT amount FROM published.orders WHERE order_id = 1")


def test_an_upstream_day_changes_one_day(shop: Path) -> None:
    """Partition by partition: only the days whose upstream content moved are refreshed."""
    with_daily(shop)
    write_orders(shop, bad={10: "10,2,2024-01-03,1000"})
    build(shop, ORDERS)
    assert (date(2024, 1, 3),) == action(shop, DAILY, "daily").partitions
    build(shop, DAILY)
    assert {"daily": "carry"} == actions(shop, DAILY)


def test_a_changed_day_refreshes_its_week(tmp_path: Path) -> None:
    """A weekly table over a daily one: the week that holds the day is refreshed."""
    root = make_shop(tmp_path, days=14)
    edit(root / "assets/shop/orders/contracts/orders.odcs.yaml", 'end: "2024-01-11"', 'end: "2024-01-15"')
    clock = CLOCK + timedelta(days=10)
    build(root, ORDERS, clock=clock)
    add_product(root, "weekly", inputs=["shop.orders.orders"], port="weekly")
    sql = DAILY_SQL.replace("ordered_on AS day", "date_trunc('week', ordered_on)::DATE AS week")
    custom = WEEK.replace("2024-01-29", "2024-01-15")
    add_table(root, "shop/weekly", "weekly", {"week": DATE, "amount": NUMBER}, sql, custom=custom)
    build(root, "shop/weekly", clock=clock)
    write_orders(root, days=14, bad={10: "10,2,2024-01-03,1000"})
    build(root, ORDERS, clock=clock)
    (planned,) = plan(root, "shop/weekly", clock=clock).tables
    assert (date(2024, 1, 1),) == planned.partitions
    build(root, "shop/weekly", clock=clock)
    assert [(2,)] == served(root, "shop/weekly", "SELECT count(*) FROM published.weekly")


def test_an_upstream_with_the_same_content(shop: Path) -> None:
    """A new release of the same rows moves the pin by the least that can be refreshed."""
    build(shop, REVENUE)
    add_table(shop, REVENUE, "total", {"total": NUMBER}, "SELECT sum(amount) AS total FROM orders")
    build(shop, REVENUE)
    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    build(shop, ORDERS)
    planned = plan(shop, REVENUE)
    assert ["carry", "refresh"] == sorted(table.action for table in planned.tables)
    assert any("same rows" in table.reason for table in planned.tables)


def test_a_port_that_only_rules_read(shop: Path) -> None:
    """A release of an upstream that no transform reads is followed too, or its consumers would see a mixture."""
    sql = "SELECT 1::BIGINT AS one"
    add_product(shop, "audit", inputs=["shop.orders.customers"], port="audit")
    add_table(shop, "shop/audit", "audit", {"one": "logicalType: integer"}, sql)
    path = shop / "assets/shop/audit/contracts/audit.odcs.yaml"
    rule = '    quality: [{name: few, type: sql, query: "SELECT count(*) FROM customers", mustBeLessThan: 9}]\n'
    edit(path, "    properties:\n", f"{rule}    properties:\n")
    build(shop, "shop/audit")
    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    build(shop, ORDERS)
    assert plan(shop, "shop/audit").is_needed
    assert {ORDERS: 2} == dict(build(shop, "shop/audit").release.inputs)


def test_a_table_that_is_no_longer_declared(shop: Path) -> None:
    """A removed table leaves the release with the next build, which is planned."""
    edit(
        shop / "assets/shop/orders/contracts/orders.odcs.yaml",
        "        relationships: [{to: customers.customer_id}]\n",
        "",
    )
    edit(
        shop / "assets/shop/orders/product.yaml",
        "  - {name: customers, version: 1.0.0, type: table, contractId: shop.orders.customers}\n",
        "",
    )
    build(shop, ORDERS)
    (shop / "assets/shop/orders/contracts/customers.odcs.yaml").unlink()
    (shop / "assets/shop/orders/transforms/customers.sql").unlink()
    assert plan(shop, ORDERS).is_needed
    assert {"orders"} == set(build(shop, ORDERS).release.items)
    assert not plan(shop, ORDERS).is_needed


def test_types_in_other_spellings_are_at_rest(tmp_path: Path) -> None:
    """A type is compared as the engine spells it: what was built once is not planned again."""
    root = make_shop(tmp_path)
    types = {
        "INT": "1", "DECIMAL(9,2)": "1.5", "TEXT": "'x'", "TIMESTAMPTZ": "TIMESTAMPTZ '2024-01-01 00:00:00+00'",
        "UUID": "uuid()", "BLOB": "'x'::BLOB", "TIME": "TIME '10:00'",
        "INTEGER[]": "[1]", "MAP(VARCHAR, INTEGER)": "MAP {'a': 1}", "JSON": "'{}'::JSON", "INTERVAL": "INTERVAL 1 DAY",
        "FLOAT": "1::FLOAT", "BOOLEAN": "true", "UBIGINT": "1::UBIGINT",
        "STRUCT(a INTEGER)": "{'a': 1}", "TIMETZ": "TIMETZ '10:00:00+00'",
    }  # fmt: skip
    columns = {f"c{at}": f"logicalType: string, physicalType: '{kind}'" for at, kind in enumerate(types)}
    sql = ", ".join(f"CAST({value} AS {kind}) AS c{at}" for at, (kind, value) in enumerate(types.items()))
    build(root, ORDERS)
    add_product(root, "types", inputs=["shop.orders.orders"])
    add_table(root, "shop/types", "types", columns, f"SELECT {sql} FROM orders LIMIT 1")
    build(root, "shop/types")
    assert {"types": "carry"} == actions(root, "shop/types")


def test_a_mixture_of_two_releases_heals(shop: Path) -> None:
    """A diamond: what reads both sides is refused until the slower side follows, which a plan does."""
    build(shop, REVENUE)
    add_product(shop, "both", inputs=["shop.orders.orders", "shop.revenue.revenue"], port="both")
    sql = "SELECT (SELECT sum(amount) FROM orders) - (SELECT sum(revenue) FROM revenue) AS gap"
    add_table(shop, "shop/both", "both", {"gap": NUMBER}, sql)
    build(shop, "shop/both")
    write_customers(shop, "1,z@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n")
    build(shop, ORDERS)
    with pytest.raises(ConflictError, match="mixture"):
        build(shop, "shop/both")
    build(shop, REVENUE)
    assert {ORDERS: 2, REVENUE: 2} == dict(build(shop, "shop/both").release.inputs)


def test_a_partial_refresh_does_not_hide_what_moved_upstream(shop: Path) -> None:
    """One day refreshed from a newer upstream release, with another day made from an older one, is refused."""
    with_daily(shop)
    write_orders(shop, bad={10: "10,2,2024-01-03,1000"})
    build(shop, ORDERS)
    found = product(shop, DAILY)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="day 10")
        refresh_table(warehouse, found, found.table("daily"), refresh=refresh, con=con, partitions=[date(2024, 1, 10)])
        with pytest.raises(RefusedError, match="2024-01-03"):
            release(warehouse, found, refresh=refresh, con=con)
    assert (date(2024, 1, 3),) == action(shop, DAILY, "daily").partitions


def test_what_costs_more_than_a_day_is_named(shop: Path) -> None:
    """A plan says which rules, sources and inputs of an incremental table have to be read as a whole."""
    add_product(shop, "daily", inputs=["shop.orders.orders", "shop.orders.customers"], port="daily")
    sql = DAILY_SQL.replace("FROM orders", "FROM orders JOIN customers USING (customer_id)")
    add_table(shop, DAILY, "daily", {"day": DATE, "amount": NUMBER}, sql, custom=DAY)
    assert ("daily: customers has no partitions, so a change of it refreshes every partition",) == plan(
        shop, DAILY
    ).notes
    notes = plan(shop, ORDERS).notes
    assert "orders: source till is read whole, whatever the partition" in notes
    assert not any("primary_key" in note for note in notes)
    amounts = "{name: amounts, metric: duplicateValues, arguments: {properties: [amount]}, mustBeLessThan: 9}"
    contract = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(contract, "    properties:", f"    quality: [{amounts}]\n    properties:")
    write_orders(shop, bad={40: "40,4,2024-01-10,2.5"})
    build(shop, ORDERS)
    assert "orders: amounts reads 9 of 9 older partitions, which may hold keys of a new one" in plan(shop, ORDERS).notes


def test_what_will_move_is_planned_downstream(shop: Path) -> None:
    """A plan of several products goes on where one of them will have a new release."""
    with_daily(shop)
    with Warehouse.open(environment(shop)) as warehouse:
        found = product(shop, DAILY)
        assert not plan_product(warehouse, found).is_needed
        assert plan_product(warehouse, found, moving={ORDERS}).is_needed


def test_days_that_are_asked_for_are_refreshed(shop):
    """A day can be refreshed again by name: for rows that arrived late in a file that nobody had seen."""
    with Warehouse.open(environment(shop)) as warehouse:
        planned = plan_product(warehouse, product(shop, ORDERS), days=(date(2024, 1, 3), date(2024, 1, 4)))
    (table,) = [table for table in planned.tables if table.table == "orders"]
    assert ("refresh", (date(2024, 1, 3), date(2024, 1, 4))) == (table.action, table.partitions)
    assert "2 asked for partitions" == table.reason
