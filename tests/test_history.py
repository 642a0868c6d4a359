"""What the last release settled is not read again, and the verdict is the same as if it were."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dataproducts.errors import RefusedError
from dataproducts.judging import judge_needed, needed
from dataproducts.load import load_project
from dataproducts.product import RuleKind
from dataproducts.refresh import begin, refresh_table, release
from dataproducts.scene import compose
from dataproducts.warehouse import Warehouse
from tests.shop import edit, environment, make_shop, product, write_customers

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from dataproducts.product import DataProduct

ORDERS = "shop/orders"
CONTRACT = "assets/shop/orders/contracts/orders.odcs.yaml"
CONTRACT_OF_RULES = """
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.orders
version: 1.0.0
status: draft
servers:
  - {server: till, type: local, path: data/orders.csv, format: csv}
slaProperties:
  - {property: latency, value: 30, unit: h, element: orders.ordered_on}
schema:
  - name: orders
    customProperties:
      - {property: partition, value: {column: ordered_on, unit: day, start: "2024-01-01", end: "2024-01-11"}}
    relationships: [{from: orders.customer_id, to: customers.customer_id}]
    quality:
      - {metric: rowCount, mustBeGreaterThan: 0}
      - {name: ids, metric: duplicateValues, arguments: {properties: [order_id]}, mustBe: 0, severity: warning}
      - {name: pairs, metric: duplicateValues, arguments: {properties: [customer_id, ordered_on]}, mustBe: 0,
         severity: warning}
      - {name: amounts, metric: duplicateValues, arguments: {properties: [amount]}, mustBeLessThan: 9,
         severity: warning}
      - {metric: nullValues, arguments: {properties: [amount]}, mustBe: 0, severity: warning}
    properties:
      - {name: order_id, logicalType: integer, required: true}
      - {name: customer_id, logicalType: integer, required: true}
      - {name: ordered_on, logicalType: date, required: true}
      - {name: amount, logicalType: number}
"""


def shop_of_rules(root: Path) -> Path:
    """Make the shop with keys of every sort, whose failures warn, so that a release may hold what breaks them."""
    shop = make_shop(root)
    (shop / CONTRACT).write_text(CONTRACT_OF_RULES.lstrip(), encoding="utf-8")
    return shop


def lenient(found: DataProduct) -> DataProduct:
    """Return the product with foreign keys that warn."""
    tables = []
    for table in found.tables:
        rules = (replace(r, blocking=False) if r.kind is RuleKind.FOREIGN_KEY else r for r in table.rules)
        tables.append(replace(table, rules=tuple(rules)))
    return replace(found, tables=tuple(tables))


class Till:
    """The source of orders, which changes day by day, for better and for worse."""

    def __init__(self, root: Path, draw: random.Random) -> None:
        """Start with four good orders a day."""
        self.root, self.draw = root, draw
        self.days = {day: [[day * 10 + n, n + 1, day * 10.0 + n] for n in range(4)] for day in range(10)}
        self.customers = {1, 2, 3, 4}
        self.write()

    def change(self) -> tuple[list[date], bool]:
        """Rewrite some days, and sometimes the customers; return the days, and whether customers changed."""
        moved = sorted(self.draw.sample(sorted(self.days), self.draw.choice((0, 1, 1, 2))))
        for day in moved:
            self.days[day] = [self._order(day) for _ in range(self.draw.choice((1, 4, 8)))]
        is_other = self.draw.random() < 0.4
        if is_other:
            self.customers = {1, 2, 3, 4} | ({self.draw.choice((5, 6))} if self.draw.random() < 0.5 else set())
            self.customers -= {self.draw.choice((1, 9, 9, 9))}
        self.write()
        return [date(2024, 1, 1 + day) for day in moved], is_other

    def _order(self, day: int) -> list[float]:
        near = self.draw.choice((0, 0, 0, 0, 1)) * self.draw.randrange(100)
        number = near or day * 10 + self.draw.randrange(10)
        return [number, self.draw.choice((1, 2, 3, 4, 4, 4, 4, 5)), self.draw.choice((1.5, day * 10.0, number))]

    def write(self) -> None:
        """Write both sources."""
        lines = [
            f"{number},{customer},{date(2024, 1, 1 + day)},{amount}"
            for day, orders in self.days.items()
            for number, customer, amount in orders
        ]
        (self.root / "data/orders.csv").write_text(
            "\n".join(("order_id,customer_id,ordered_on,amount", *lines)) + "\n", encoding="utf-8"
        )
        write_customers(self.root, "".join(f"{n},{n}@x.org\n" for n in sorted(self.customers)))


def facts_of(results: Any) -> list[tuple[object, ...]]:
    """Return what results say, without how it was found."""
    return sorted(
        (r.rule.name, r.partition or "", r.passed, r.failed_rows, r.observed and round(r.observed, 3), r.total_rows)
        for r in results
    )


@pytest.mark.parametrize("seed", range(4))
def test_history_changes_no_verdict(tmp_path: Path, seed: int) -> None:
    """Over random changes of days and of customers, believing what was settled gives what reading everything gives."""
    draw = random.Random(seed)
    root = shop_of_rules(tmp_path)
    till = Till(root, draw)
    found = lenient(product(root, ORDERS))
    days, customers = [date(2024, 1, 1 + day) for day in range(10)], True
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        settled = 0
        for step in range(7):
            refresh = begin(warehouse, found, refresh_id=f"step {step}")
            if customers:
                refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
            if days:
                refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con, partitions=days)
            if days or customers:
                scene = compose(warehouse, found, refresh)
                table = found.table("orders")
                believed, read = (
                    judge_needed(warehouse, con, scene, table, needed(scene, table), believe=believe).results
                    for believe in (True, False)
                )
                settled += sum("new rows" in result.method for result in believed)
                assert facts_of(read) == facts_of(believed)
                try:
                    release(warehouse, found, refresh=refresh, con=con)
                except RefusedError:
                    assert step
            days, customers = till.change()
        assert settled


class Watched:
    """A connection that counts the rows that come out of files, and the bytes that the process reads for it."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        """Watch `con`."""
        self._con, self.rows, self.bytes = con, 0, 0
        con.execute("PRAGMA enable_profiling = 'no_output'")

    def __getattr__(self, name: str) -> Any:
        """Do what the connection does."""
        return getattr(self._con, name)

    def execute(self, *query: Any) -> Any:
        """Run a query and count what it read."""
        before = _bytes_read()
        done = self._con.execute(*query)
        self.bytes += _bytes_read() - before
        told = self._con.get_profiling_information(format="json")
        self.rows += sum(_scanned(operator) for operator in json.loads(told).get("operator", ()) if operator)
        return done


def _scanned(operator: dict[str, Any]) -> int:
    own = (
        operator.get("intermediate_rows", 0)
        if "PARQUET" in str(operator.get("type", "")) + str(operator.get("extra_info", {}).get("Function", ""))
        else 0
    )
    return own + sum(_scanned(child) for child in operator.get("children", ()))


def _bytes_read() -> int:
    with open("/proc/self/io", encoding="ascii") as file:  # noqa: PTH123 - no file of a disk
        return int(file.readline().split(":")[1])


def test_day_365_is_judged_for_what_day_2_cost(tmp_path: Path) -> None:
    """Rows and bytes that judging reads do not grow with the history, keys and foreign keys included."""
    root = make_shop(tmp_path)
    edit(root / CONTRACT, 'start: "2024-01-01", end: "2024-01-11"', 'start: "2024-01-01", batch: range')
    quality = "    quality: [{metric: rowCount, mustBeGreaterThan: 0}]\n    properties:"
    edit(root / CONTRACT, "    properties:", quality)
    edit(root / CONTRACT, "        required: true\n        logicalTypeOptions: {minimum: 0}",
         "        required: true\n        logicalTypeOptions: {minimum: 0}\n"
         "        quality: [{metric: nullValues, mustBe: 0}]")  # fmt: skip
    sla = "slaProperties:\n  - {property: latency, value: 9000, unit: h, element: orders.ordered_on}\n"
    edit(root / CONTRACT, "schema:\n", f"{sla}schema:\n")
    lines = [
        f"{day * 500 + n},{n % 4 + 1},{date(2024, 1, 1) + timedelta(days=day)},{n}.5"
        for day in range(365)
        for n in range(500)
    ]
    (root / "data/orders.csv").write_text(
        "\n".join(("order_id,customer_id,ordered_on,amount", *lines)) + "\n", encoding="utf-8"
    )
    clock = datetime(2025, 1, 5, tzinfo=UTC)
    cost: dict[int, tuple[int, int]] = {}
    with Warehouse.open(environment(root, clock=clock)) as warehouse, warehouse.connect() as con:
        found = product(root, ORDERS)
        table = found.table("orders")
        every = [date(2024, 1, 1) + timedelta(days=day) for day in range(365)]
        for step, days in {1: every[:1], 2: every[1:2], 364: every[2:364], 365: every[364:]}.items():
            refresh = begin(warehouse, found, refresh_id=f"day {step}")
            if step == 1:
                refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
            refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=days)
            if step in (2, 365):
                scene = compose(warehouse, found, refresh)
                wanted = needed(scene, table, settled=False)
                with warehouse.connect() as watched_con:
                    watched = Watched(watched_con)
                    results = judge_needed(warehouse, watched, scene, table, wanted).results
                    cost[step] = (watched.rows, watched.bytes)
                assert all(result.passed for result in results)
            release(warehouse, found, refresh=refresh, con=con)
    assert cost[2][0] > 1000
    assert cost[365][0] <= 1.2 * cost[2][0]
    assert cost[365][1] <= 1.2 * cost[2][1]


def test_no_column_takes_the_place_of_the_partition(tmp_path: Path) -> None:
    """A column that would hide which partition a row is of is refused when the contract loads."""
    root = make_shop(tmp_path)
    edit(root / CONTRACT, "    properties:", "    properties:\n      - {name: _partition, logicalType: string}")
    (fault,) = load_project(root).faults
    assert "column '_partition' has the name of one that rows get while they are judged" in str(fault)
