"""A small project on disk that tests build, break and rebuild: two products of a shop, one upstream of the other."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.environment import Environment
from dataproducts.load import load_project
from dataproducts.plan import plan_product
from dataproducts.refresh import refresh_product
from dataproducts.store import Store
from dataproducts.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dataproducts.plan import ProductPlan
    from dataproducts.product import DataProduct
    from dataproducts.refresh import ReleaseOutcome

CLOCK = datetime(2024, 1, 11, 6, 0, tzinfo=UTC)

ORDERS_PRODUCT = """
apiVersion: v1.1.0
kind: DataProduct
id: shop-orders
name: orders
version: 1.0.0
status: draft
domain: shop
type: sourceAligned
description:
  purpose: Every order of the shop, one row each, as the till wrote it.
team:
  name: till
  members:
    - {username: ana@example.com, role: owner}
outputPorts:
  - {name: orders, version: 1.0.0, type: table, contractId: shop.orders.orders}
  - {name: customers, version: 1.0.0, type: table, contractId: shop.orders.customers}
"""

ORDERS = """
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.orders
version: 1.0.0
status: draft
servers:
  - {server: till, type: local, path: data/orders.csv, format: csv}
schema:
  - name: orders
    customProperties:
      - {property: partition, value: {column: ordered_on, unit: day, start: "2024-01-01", end: "2024-01-11"}}
      - {property: validThru, value: ordered_on}
    properties:
      - {name: order_id, logicalType: integer, required: true, unique: true, primaryKey: true}
      - name: customer_id
        logicalType: integer
        required: true
        relationships: [{to: customers.customer_id}]
      - {name: ordered_on, logicalType: date, required: true}
      - name: amount
        logicalType: number
        required: true
        logicalTypeOptions: {minimum: 0}
"""

CUSTOMERS = """
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.customers
version: 1.0.0
status: draft
servers:
  - {server: crm, type: local, path: data/customers.csv, format: csv}
schema:
  - name: customers
    properties:
      - {name: customer_id, logicalType: integer, required: true, unique: true, primaryKey: true}
      - name: email
        logicalType: string
        classification: personal
        logicalTypeOptions: {pattern: "@"}
        customProperties: [{property: onFailure, value: quarantine}]
"""

ORDERS_SQL = """
SELECT order_id, customer_id, ordered_on, amount
FROM till
WHERE ordered_on >= $partition_start AND ordered_on < $partition_end
"""

CUSTOMERS_SQL = "SELECT customer_id, trim(email) AS email FROM crm\n"

REVENUE_PRODUCT = """
apiVersion: v1.1.0
kind: DataProduct
id: shop-revenue
name: revenue
version: 1.0.0
status: draft
domain: {domain}
type: consumerAligned
description:
  purpose: Revenue per customer, for the people who plan campaigns.
team:
  name: growth
  members:
    - {{username: bo@example.com, role: owner}}
inputPorts:
  - {{name: orders, version: 1.0.0, contractId: shop.orders.orders}}
outputPorts:
  - {{name: revenue, version: 1.0.0, type: table, contractId: shop.revenue.revenue}}
"""

REVENUE = """
apiVersion: v3.1.0
kind: DataContract
id: shop.revenue.revenue
version: 1.0.0
status: draft
schema:
  - name: revenue
    quality:
      - {name: same total, type: sql, dimension: accuracy,
         query: "SELECT abs((SELECT sum(revenue) FROM revenue) - (SELECT sum(amount) FROM orders))",
         mustBeLessThan: 0.01}
    properties:
      - {name: customer_id, logicalType: integer, required: true, unique: true, primaryKey: true}
      - {name: revenue, logicalType: number, required: true}
"""

REVENUE_SQL = "SELECT customer_id, sum(amount) AS revenue FROM orders GROUP BY customer_id\n"


def make_shop(root: Path, *, days: int = 10, revenue_domain: str = "shop") -> Path:
    """Write the project under `root` and return it: `days` days of 4 orders, 4 customers."""
    orders = root / "assets/shop/orders"
    revenue = root / f"assets/{revenue_domain}/revenue"
    files = {
        orders / "product.yaml": ORDERS_PRODUCT,
        orders / "contracts/orders.odcs.yaml": ORDERS,
        orders / "contracts/customers.odcs.yaml": CUSTOMERS,
        orders / "transforms/orders.sql": ORDERS_SQL,
        orders / "transforms/customers.sql": CUSTOMERS_SQL,
        revenue / "product.yaml": REVENUE_PRODUCT.format(domain=revenue_domain),
        revenue / "contracts/revenue.odcs.yaml": REVENUE,
        revenue / "transforms/revenue.sql": REVENUE_SQL,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    write_customers(root)
    write_orders(root, days=days)
    return root


def write_customers(root: Path, rows: str = "1,a@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n") -> None:
    """Replace the source of customers by `rows`."""
    (root / "data").mkdir(exist_ok=True)
    (root / "data/customers.csv").write_text("customer_id,email\n" + rows, encoding="utf-8")


def write_orders(root: Path, *, days: int = 10, bad: dict[int, str] | None = None) -> None:
    """Replace the source of orders; `bad` maps an order id to the row that stands in its place."""
    (root / "data").mkdir(exist_ok=True)
    lines = ["order_id,customer_id,ordered_on,amount"]
    for index in range(days * 4):
        order = index + 1
        row = f"{order},{index % 4 + 1},2024-01-{index // 4 + 1:02},{order * 2.5}"
        lines.append((bad or {}).get(order, row))
    (root / "data/orders.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def add_product(root: Path, name: str, *, inputs: Sequence[str], port: str = "") -> None:
    """Write the descriptor of `shop/<name>`, which reads the contracts `inputs` (`shop.orders.orders`).

    Each is read under the last part of its id; `port` is the table that the product publishes, if any.
    """
    reads = [f"  - {{name: {i.split('.')[-1]}, version: 1.0.0, contractId: {i}}}" for i in inputs]
    head = REVENUE_PRODUCT.format(domain="shop").strip().split("inputPorts:")[0].rstrip()
    text = head.replace("shop-revenue", f"shop-{name}").replace("name: revenue", f"name: {name}")
    text += "\ninputPorts:\n" + "\n".join(reads) + "\n"
    if port:
        text += f"outputPorts:\n  - {{name: {port}, version: 1.0.0, type: table, contractId: shop.{name}.{port}}}\n"
    path = root / f"assets/shop/{name}/product.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def add_table(
    root: Path, address: str, name: str, columns: Mapping[str, str], sql: str = "", *, custom: str = "", more: str = ""
) -> None:
    """Write table `name` of the product at `address`: columns with their flow-style YAML, and its transform.

    `custom` is the flow-style list of the table's custom properties; `more` are lines of the contract's top level.
    """
    domain, product = address.split("/")
    folder = root / "assets" / domain / product
    lines = ["apiVersion: v3.1.0", "kind: DataContract", f"id: {domain}.{product}.{name}", "version: 1.0.0"]
    lines += ["status: draft", more, "schema:", f"  - name: {name}"]
    lines += [f"    customProperties: {custom}"] if custom else []
    lines += ["    properties:", *(f"      - {{name: {column}, {said}}}" for column, said in columns.items())]
    files = {folder / f"contracts/{name}.odcs.yaml": "\n".join(lines) + "\n"}
    if sql:
        files[folder / f"transforms/{name}.sql"] = sql + "\n"
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def environment(root: Path, **changes: object) -> Environment:
    """Return the wiring of the project at `root`: data below it, clock on the morning after the last order."""
    settings = {"name": "test", "root": root, "store": root / ".dataproducts", "clock": CLOCK} | changes
    return Environment(**settings)  # type: ignore[arg-type]


def product(root: Path, address: str) -> DataProduct:
    """Load one product of the project at `root`, which has no fault."""
    project = load_project(root)
    assert project.faults == ()
    return next(found for found in project.products if found.address == address)


def plan(root: Path, address: str, **changes: object) -> ProductPlan:
    """Plan one product; `changes` are of the environment."""
    with Warehouse.open(environment(root, **changes)) as warehouse:
        return plan_product(warehouse, product(root, address))


def build(root: Path, address: str, *, refresh_id: str = "", **changes: object) -> ReleaseOutcome:
    """Refresh what changed of one product and release it; `changes` are of the environment."""
    with Warehouse.open(environment(root, **changes)) as warehouse:
        found = product(root, address)
        planned = plan_product(warehouse, found)
        return refresh_product(warehouse, found, refresh_id=refresh_id, partitions=planned.partitions)


def served(root: Path, address: str, sql: str) -> list[tuple[Any, ...]]:
    """Return what a reader of the serving file sees."""
    path = Store(environment(root).store).serve_path(address)
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


def edit(path: Path, old: str, new: str) -> None:
    """Replace `old`, which must be in the file at `path` once, by `new`."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {path}"
    path.write_text(text.replace(old, new), encoding="utf-8")
