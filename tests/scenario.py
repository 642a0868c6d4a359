"""One awkward data set: orders with every kind of value that rules stumble over, and the customers they point to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.product import Column, Rule, RuleKind, Table, TableRef

if TYPE_CHECKING:
    import duckdb

CUSTOMERS = TableRef("shop/sales", "customers")

ORDER_COLUMNS = (
    Column("id", "integer", "BIGINT", primary_key=1),
    Column("amount", "number", "DOUBLE"),
    Column("price", "number", "DECIMAL(10,2)"),
    Column("status", "string", "VARCHAR"),
    Column("email", "string", "VARCHAR", classification="personal"),
    Column("customer_id", "integer", "INTEGER"),
    Column("ordered_on", "date", "DATE"),
    Column("paid", "boolean", "BOOLEAN"),
    Column(
        "address",
        "object",
        "STRUCT(city VARCHAR, street VARCHAR)",
        properties=(
            Column("city", "string", "VARCHAR"),
            Column("street", "string", "VARCHAR", classification="restricted"),
        ),
    ),
    Column("tags", "array", "VARCHAR[]"),
)

ORDER_ROWS = """
    (1, 10.0, 1.10, 'open', 'a@x.org', 1, DATE '2024-01-01', true, {'city': 'Köln', 'street': 'Weg 1'}, ['a']),
    (2, 'nan', 0.05, 'OPEN', '', 1, DATE '2024-01-02', false, {'city': '', 'street': 'Weg 2'}, ['a', 'b']),
    (3, 'inf', 99999999.99, ' ', ' ', 2, DATE '2024-01-08', NULL, NULL, []),
    (4, '-inf', -1.00, '', 'N/A', 9, NULL, true, {'city': NULL, 'street': 'Weg 4'}, NULL),
    (5, -0.0, 0.00, 'it''s "odd"', 'ü@x.org', NULL, DATE '2023-12-31', true, {'city': 'İzmir', 'street': NULL}, ['']),
    (5, 0.3, 0.30, NULL, NULL, 2, DATE '2024-01-01', false, {'city': 'Köln', 'street': 'Weg 1'}, ['a']),
    (NULL, NULL, NULL, '👩‍👩‍👧', 'a@x.org', 1, DATE '2024-02-29', NULL, NULL, NULL),
    (8, 10.0, 1.10, 'open', 'a@x.org', 1, DATE '2024-01-01', true, {'city': 'Köln', 'street': 'Weg 1'}, ['a']),
    (8, 10.0, 1.10, 'open', 'a@x.org', 1, DATE '2024-01-01', true, {'city': 'Köln', 'street': 'Weg 1'}, ['a'])
"""
ORDER_COUNT = 9


def orders(*rules: Rule, **changes: object) -> Table:
    """Return the contract of the orders, with these rules."""
    return Table("orders", "shop.sales.orders", "1.0.0", ORDER_COLUMNS, rules, **changes)  # type: ignore[arg-type]


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables `orders` and `customers`, and the empty `no_orders`, in `con`."""
    columns = ", ".join(f"{column.name} {column.sql_type}" for column in ORDER_COLUMNS)
    con.execute(f"CREATE TABLE orders ({columns})")
    con.execute(f"INSERT INTO orders VALUES {ORDER_ROWS}")
    con.execute("CREATE TABLE no_orders AS SELECT * FROM orders LIMIT 0")
    con.execute("CREATE TABLE customers AS SELECT * FROM (VALUES (1), (2), (3)) AS given(id)")


def foreign_key(**changes: object) -> Rule:
    """Return the rule that each order's customer exists."""
    params = {"to": CUSTOMERS, "to_columns": ("id",)}
    return Rule(
        "customer_id.references.customers",
        RuleKind.FOREIGN_KEY,
        ("customer_id",),
        params,
        **changes,  # type: ignore[arg-type]
    )
