"""A small project without a fault: a source-aligned product of two tables, and one that reads it."""

from pathlib import Path

ORDERS = "assets/shop/orders/"
VALUE = "assets/shop/order_value/"

FILES = {
    ORDERS + "product.yaml": """\
apiVersion: v1.1.0
kind: DataProduct
id: shop.orders
name: orders
version: 1.0.0
status: active
domain: shop
type: sourceAligned
description:
  purpose: Orders and customers as the till recorded them.
team:
  name: Tills
  members:
    - {username: ada@shop.example, role: owner, name: Ada}
    - {username: ben@shop.example, role: technicalOwner}
    - {username: cyd@shop.example, role: steward}
outputPorts:
  - name: orders
    version: 1.0.0
    description: One row for each order.
    type: table
    contractId: shop.orders.orders
  - name: customers
    version: 1.0.0
    description: One row for each customer.
    type: table
    contractId: shop.orders.customers
customProperties:
  - property: tier
    value: silver
  - property: audience
    value: [analysts]
  - property: consumers
    value:
      - {persona: Analyst, team: Pricing, contact: pricing@shop.example, port: orders, needs: Sums of orders.}
  - property: valueMeasure
    value: Share of reports that use this product instead of till exports.
  - property: schedule
    value: {cron: "0 4 * * *", timezone: Europe/Berlin}
""",
    ORDERS + "design.yaml": """\
need: Know what was ordered without asking the tills.
pain_points:
  - Each report reads its own till export.
decisions:
  - {name: Prices, decision: Which prices change, owner: Head of pricing}
stakeholders:
  - {name: Analyst, insight: What sells at which price}
user_stories:
  - as: analyst
    want: one row for each order
    so_that: sums agree
    outputs: [orders]
    metrics: [turnover]
metrics:
  - {name: turnover, formula: sum of amount, unit: euro, grain: order, columns: [orders.amount]}
""",
    ORDERS + "contracts/orders.odcs.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.orders
version: 1.0.0
status: active
domain: shop
servers:
  - server: till_orders
    type: local
    path: data/orders.csv
    format: csv
    customProperties:
      - {property: delimiter, value: ";"}
schema:
  - name: orders
    logicalType: object
    description: One row for each order.
    customProperties:
      - property: partition
        value: {column: ordered_on, unit: day, start: 2024-01-01}
      - {property: validThru, value: ordered_on}
    relationships:
      - {from: [orders.customer_id], to: [customers.customer_id]}
    properties:
      - name: order_id
        businessName: Order
        description: Number of the order.
        logicalType: integer
        required: true
        primaryKey: true
        examples: [1]
      - name: customer_id
        businessName: Customer
        description: Number of the customer who ordered.
        logicalType: integer
        required: true
        examples: [7]
      - name: amount
        businessName: Amount
        description: Sum of the order in euro.
        logicalType: number
        physicalType: DECIMAL(18,2)
        required: true
        logicalTypeOptions: {minimum: 0, maximum: 10000}
        examples: [9.95]
        quality:
          - metric: nullValues
            mustBeLessThan: 5
            unit: percent
            severity: warning
      - name: ordered_on
        businessName: Day of order
        description: Local day on which the order was placed.
        logicalType: date
        required: true
        examples: ["2024-01-31"]
    quality:
      - metric: rowCount
        mustBeGreaterThan: 0
      - name: turnover is plausible
        type: sql
        query: SELECT sum(amount) FROM orders JOIN customers USING (customer_id)
        mustBeGreaterThan: 0
slaProperties:
  - {property: latency, value: 24, unit: h, element: orders.ordered_on}
""",
    ORDERS + "contracts/customers.odcs.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.customers
version: 1.2.0
status: active
domain: shop
servers:
  - {server: till_customers, type: local, path: data/customers.csv, format: csv}
schema:
  - name: customers
    description: One row for each customer.
    properties:
      - name: customer_id
        businessName: Customer
        description: Number of the customer.
        logicalType: integer
        required: true
        primaryKey: true
        examples: [7]
      - name: email
        businessName: E-mail address
        description: Address that the customer gave.
        logicalType: string
        required: false
        classification: personal
        examples: [ada@example.com]
""",
    ORDERS + "transforms/orders.sql": """\
SELECT order_id, customer_id, amount, ordered_on
FROM till_orders
WHERE ordered_on >= $partition_start AND ordered_on < $partition_end
""",
    ORDERS + "tests/orders.yaml": """\
table: orders
name: keeps the day's orders
given:
  till_orders:
    - {order_id: 1, customer_id: 7, amount: 9.95, ordered_on: 2024-01-31}
partition: 2024-01-31
expect:
  - {order_id: 1, customer_id: 7, amount: 9.95, ordered_on: 2024-01-31}
""",
    VALUE + "product.yaml": """\
apiVersion: v1.0.0
kind: DataProduct
id: shop.order_value
name: order_value
version: 2.1.0
status: draft
domain: shop
description:
  purpose: What each customer has spent so far.
team:
  members:
    - {username: ada@shop.example, role: owner}
inputPorts:
  - {name: purchases, version: 1.0.0, contractId: shop.orders.orders}
  - {name: buyers, version: 1.1.0, contractId: shop.orders.customers}
outputPorts:
  - {name: order_value, version: 1.0.0, contractId: shop.order_value.order_value}
customProperties:
  - {property: layer, value: consumerAligned}
""",
    VALUE + "contracts/order_value.odcs.yaml": """\
apiVersion: v3.2.0
kind: DataContract
id: shop.order_value.order_value
version: 1.0.0
schema:
  - name: order_value
    properties:
      - name: customer_id
        logicalType: integer
        primaryKey: true
        relationships:
          - to: buyers.customer_id
      - name: band
        logicalType: string
        enum:
          - value: small
          - value: large
        customProperties:
          - {property: onFailure, value: quarantine}
      - name: spent
        logicalType: number
    quality:
      - type: text
        description: Spending is plausible.
""",
    VALUE + "transforms/order_value.sql": """\
SELECT customer_id, CASE WHEN sum(amount) > 100 THEN 'large' ELSE 'small' END AS band, sum(amount) AS spent
FROM purchases JOIN buyers USING (customer_id)
GROUP BY customer_id
""",
}


def write_project(root: Path, changes: dict[str, str | None] | None = None) -> Path:
    """Write the sample below `root`, with the given files changed, added or (None) left out."""
    for name, content in {**FILES, **(changes or {})}.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content, encoding="utf-8")
    return root


def edited(name: str, old: str, new: str) -> dict[str, str | None]:
    """Return the sample's file `name` with one piece of text replaced."""
    assert FILES[name].count(old) == 1, (name, old, FILES[name].count(old))
    return {name: FILES[name].replace(old, new)}
