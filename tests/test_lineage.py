"""Column lineage: which input columns a column is made of, read from the text."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from dataproducts.product import Column, Mark, Server, Table, Transform
from dataproducts.transforms.lineage import column_lineage, lineage_faults, untraced

SCHEMAS = {
    "orders": {"id": "BIGINT", "customer": "BIGINT", "amount": "DECIMAL(9,2)"},
    "customers": {"id": "BIGINT", "name": "VARCHAR"},
}
ALL = "customers.id customers.name orders.amount orders.customer orders.id"


def lineage(text: str, *columns: str, kind: str = "sql", schemas=None) -> dict[str, str]:
    """The lineage of these columns, each as `relation.column` words."""
    transform = Transform(kind, Path(f"t.{kind}"), text, Mark("t.sql", 1))
    declared = tuple(Column(name, "string", "VARCHAR") for name in columns)
    table = Table("t", "x", "1.0.0", declared, (), transform=transform, servers=(Server("raw", "local"),))
    found = column_lineage(table, SCHEMAS if schemas is None else schemas)
    return {name: " ".join(f"{relation}.{column}" for relation, column in sources) for name, sources in found.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT amount * 2 AS x FROM orders", {"x": "orders.amount"}),
        ("SELECT Amount AS x FROM Orders AS o", {"x": "Orders.Amount"}),
        (
            "SELECT o.id, c.name AS x FROM orders o JOIN customers c ON c.id = o.customer WHERE amount > 1",
            {"id": "orders.id", "x": "customers.name"},
        ),
        (
            "WITH s AS (SELECT customer, sum(amount) AS m FROM orders GROUP BY 1) SELECT c.*, m x FROM customers c, s",
            {"id": "customers.id", "name": "customers.name", "x": "orders.amount"},
        ),
        (
            "SELECT id, name AS x FROM customers UNION ALL SELECT customer, id FROM orders",
            {"id": "customers.id orders.customer", "x": "customers.name orders.id"},
        ),
        (
            "SELECT id, name AS x FROM customers UNION ALL BY NAME SELECT customer AS x, id FROM orders",
            {"id": "customers.id orders.id", "x": "customers.name orders.customer"},
        ),
        ("FROM orders SELECT * EXCLUDE (amount), amount AS x", {"customer": "orders.customer", "x": "orders.amount"}),
        ("SELECT amount AS a, a + 1 AS x FROM orders", {"a": "orders.amount", "x": "orders.amount"}),
        (
            "SELECT (SELECT max(amount) FROM orders WHERE customer = c.id) AS x FROM customers c",
            {"x": "customers.id orders.amount orders.customer"},
        ),
        (
            "SELECT row_number() OVER (PARTITION BY customer ORDER BY amount) AS x FROM orders",
            {"x": "orders.amount orders.customer"},
        ),
        ("SELECT count(*) AS n, 1 AS x FROM orders", {"n": "", "x": ""}),
        ("SELECT u.v AS x FROM orders, unnest([amount]) AS u(v)", {"x": "orders.amount"}),
        ("SELECT r.r AS x, id FROM range(3) AS r(r), orders", {"x": "", "id": "orders.id"}),
        ("SELECT list_transform([amount], lambda v: v + id) AS x FROM orders", {"x": "orders.amount orders.id"}),
        ("SELECT m AS x FROM customers c, LATERAL (SELECT max(amount) AS m FROM orders) AS l", {"x": "orders.amount"}),
        ("SELECT id FROM orders JOIN customers USING (id)", {"id": "customers.id orders.id"}),
    ],
)
def test_columns_are_followed_to_the_relations(text, expected):
    """A column is made of what stands in its SELECT, through every layer of the statement."""
    assert lineage(text, *expected) == expected


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("SELECT COLUMNS('i.*') FROM orders JOIN customers ON true", "id"),
        ("WITH RECURSIVE r AS (SELECT id FROM orders UNION SELECT r.id FROM r, customers) SELECT id FROM r", "id"),
        ("SELECT * FROM (PIVOT orders ON customer IN (1) USING sum(amount)), customers", "1"),
    ],
)
def test_what_the_text_does_not_tell_depends_on_every_column(text, column):
    """Where a column cannot be followed nothing is left out."""
    assert lineage(text, column) == {column: ALL}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT CAST(Id AS BIGINT) AS id, trim(b) || c AS x FROM raw", {"id": "raw.Id", "x": "raw.b raw.c"}),
        ("FROM raw", {"id": "raw.id", "x": "raw.x"}),
        ("WITH a AS (SELECT * FROM raw) SELECT *, y AS x FROM a", {"z": "raw.z", "x": "raw.y"}),
        ("SELECT z, name AS x FROM raw, customers", {"z": "raw.z", "x": "customers.name"}),
        ("SELECT a AS b, b AS x FROM raw", {"b": "raw.a raw.b", "x": "raw.a raw.b"}),
    ],
)
def test_a_source_is_known_by_the_names_that_the_text_uses(text, expected):
    """A relation without a contract still gives lineage, by the names that stand in the text."""
    assert lineage(text, *expected) == expected


def test_pass_through_is_one_to_one():
    """A table without a transform takes each column from the one of its source."""
    columns = (Column("id", "integer", "BIGINT", physical_name="Id"), Column("x", "string", "VARCHAR"))
    table = Table("t", "x", "1.0.0", columns, (), servers=(Server("raw", "local"),))
    assert column_lineage(table, {}) == {"id": (("raw", "Id"),), "x": (("raw", "x"),)}


def test_python_declares_its_lineage_or_depends_on_everything():
    """The module's LINEAGE is read, not run; a column that it leaves out depends on every input column."""
    text = 'LINEAGE = {"x": ["orders.amount"], "n": []}\nraise RuntimeError\ndef t(orders, customers): ...'
    assert lineage(text, "x", "n", "y", kind="python") == {"x": "orders.amount", "n": "", "y": ALL}
    assert lineage("def t(orders, customers): ...", "x", kind="python") == {"x": ALL}


@pytest.mark.parametrize(
    ("kind", "text", "unknown"),
    [
        ("sql", "SELECT id, amount AS x FROM orders", set()),
        ("sql", "SELECT 1 AS id, z AS x FROM raw", set()),
        ("sql", "SELECT COLUMNS('i.*'), amount AS x FROM orders JOIN raw ON true", {"id"}),
        ("sql", "WITH RECURSIVE r AS (SELECT id, 1 AS x FROM orders UNION FROM r) FROM r", {"id", "x"}),
        ("python", 'LINEAGE = {"x": []}\ndef t(orders): ...', {"id"}),
        ("python", "def t(orders): ...", {"id", "x"}),
    ],
)
def test_columns_of_unknown_origin_are_told(kind, text, unknown):
    """A constant has an origin that is known, to be none; what depends on everything for want of a text has not."""
    columns = (Column("id", "integer", "BIGINT"), Column("x", "string", "VARCHAR"))
    transform = Transform(kind, Path("t"), text, Mark("t", 1))
    table = Table("t", "x", "1.0.0", columns, (), transform=transform)
    assert untraced(table, {"orders": {"id": "BIGINT", "amount": "DOUBLE"}}) == unknown


@pytest.mark.parametrize(
    ("constant", "what"),
    [
        ('{"xx": ["orders.id"]}', "Did you mean 'x'"),
        ('{"x": ["order.id"]}', "'order' is no input. Did you mean 'orders'"),
        ('{"x": ["orders.amout"]}', "Did you mean 'amount'"),
        ("dict(x=[])", "not a literal"),
        ('["x"]', "not a literal"),
    ],
)
def test_faults_of_declared_lineage(constant, what):
    """LINEAGE names columns that exist, on both sides, and says so with its line."""
    transform = Transform("python", Path("t.py"), f"def t(orders): ...\nLINEAGE = {constant}", Mark("t.py", 1))
    table = Table("t", "x", "1.0.0", (Column("x", "string", "VARCHAR"),), (), transform=transform)
    (fault,) = lineage_faults(table, SCHEMAS)
    assert (fault.path, fault.line) == ("t.py", 2)
    assert what in fault.what


def test_a_long_statement_is_fast():
    """Forty layers of fifty columns take well under a second."""
    layers = ",\n".join(
        f"s{n} AS (SELECT id, amount + {n} AS amount, amount > {n} AS f{n} FROM {f's{n - 1}' if n else 'orders'})"
        for n in range(40)
    )
    columns = [f"c{n}" for n in range(50)]
    text = f"WITH {layers}\nSELECT {', '.join(f'sum(amount * {n}) AS c{n}' for n in range(50))} FROM s39"
    started = time.perf_counter()
    assert lineage(text, *columns) == dict.fromkeys(columns, "orders.amount")
    assert time.perf_counter() - started < 2
