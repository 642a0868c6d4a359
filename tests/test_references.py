"""What files name in each other: ports, tables, columns, and who may read whom."""

import pytest

from dataproducts.load import load_project
from dataproducts.product import TableRef
from tests.sample_project import FILES, ORDERS, VALUE, edited, write_project

LOOP = """\
apiVersion: v3.2.0
kind: DataContract
id: shop.order_value.{name}
version: 1.0.0
schema:
  - {{name: {name}, properties: [{{name: a, logicalType: integer}}]}}
"""


def faults_of(root, changes):
    """Return the faults of the sample with changes, as `path:line: what`."""
    return [f"{f.path.split('/')[-1]}:{f.line}: {f.what}" for f in load_project(write_project(root, changes)).faults]


def test_keys_are_resolved(tmp_path):
    """A foreign key names its target by address, through a sibling or through an input port."""
    value, orders = load_project(write_project(tmp_path)).products
    keys = {rule.name: rule.params for rule in (*value.tables[0].rules, *orders.table("orders").rules)}

    assert keys["customer_id.references.customers"] == {
        "to": TableRef("shop/orders", "customers"),
        "to_columns": ("customer_id",),
    }
    assert [rule.params["to"] for rule in value.tables[0].rules if "references" in rule.name] == [
        TableRef("shop/orders", "customers")
    ]


def test_key_by_contract_id(tmp_path):
    """A relationship may name its target by the id of the contract."""
    name = VALUE + "contracts/order_value.odcs.yaml"
    changes = edited(name, "to: buyers.customer_id", "to: shop.orders.customers.customer_id")

    assert faults_of(tmp_path, changes) == []


def test_layers_bind(tmp_path):
    """A source-aligned product has no input ports, transforms minimally, and nobody else reads sources."""
    ports = "inputPorts:\n  - {name: x, version: 1.0.0, contractId: shop.order_value.order_value}\noutputPorts:"
    joined = "FROM till_orders JOIN customers USING (customer_id)"
    changes = edited(ORDERS + "product.yaml", "outputPorts:", ports)
    changes |= edited(ORDERS + "transforms/orders.sql", "FROM till_orders", joined)
    said = faults_of(tmp_path, changes)

    assert any("product.yaml:17: a source-aligned product reads its source alone" in line for line in said)
    assert any("products read each other in a circle: shop/order_value@v2 -> shop/orders" in line for line in said)
    assert any("orders.sql" in line and "join" in line for line in said)


def test_unpublished_tables_cannot_be_read(tmp_path):
    """A table without an output port is internal to its product."""
    port = FILES[ORDERS + "product.yaml"].split("  - name: customers\n")[1].split("customProperties")[0]
    changes = edited(ORDERS + "product.yaml", "  - name: customers\n" + port, "")

    assert faults_of(tmp_path, changes) == [
        "product.yaml:15: input port 'buyers' reads shop/orders.customers, which its product does not publish"
    ]


@pytest.mark.parametrize(
    ("version", "good"), [("1.0.0", True), ("1.2.0", True), ("1.2.1", False), ("2.0.0", False), ("0.9.0", False)]
)
def test_versions_of_contracts(tmp_path, version, good):
    """A port relies on a version of the same major that is not newer than what is offered (1.2.0)."""
    changes = edited(VALUE + "product.yaml", "version: 1.1.0", f"version: {version}")

    assert (faults_of(tmp_path, changes) == []) is good


def test_circles_of_tables(tmp_path):
    """Tables of a product that read each other in a circle are refused."""
    changes = {
        VALUE + "contracts/one.odcs.yaml": LOOP.format(name="one"),
        VALUE + "contracts/two.odcs.yaml": LOOP.format(name="two"),
        VALUE + "transforms/one.sql": "SELECT a FROM two",
        VALUE + "transforms/two.sql": "SELECT a FROM one",
    }

    assert faults_of(tmp_path, changes) == [
        "one.sql:1: tables read each other in a circle: one -> two -> one",
        "two.sql:1: tables read each other in a circle: two -> one -> two",
    ]


def test_ids_and_addresses_are_unique(tmp_path):
    """Two contracts with one id are told of each other, in both files."""
    changes = edited(
        VALUE + "contracts/order_value.odcs.yaml", "id: shop.order_value.order_value", "id: shop.orders.orders"
    )
    said = faults_of(tmp_path, changes)

    assert any("order_value.odcs.yaml:3: the contract id 'shop.orders.orders' is also that of" in line for line in said)
    assert any("orders.odcs.yaml:3: the contract id 'shop.orders.orders' is also that of" in line for line in said)


@pytest.mark.parametrize(
    ("cron", "good"),
    [("0 4 * * *", True), ("0 */6 * * *", True), ("0 4 * * 1", False), ("0 4 * * 1-5", False), ("0 4 30 2 *", False)],
)
def test_schedule_is_held_to_the_freshness_promise(tmp_path, cron, good):
    """A latency of 24 hours needs a refresh every 24 hours: not on weekdays alone, not weekly, not never."""
    changes = edited(ORDERS + "product.yaml", "0 4 * * *", cron)

    assert (faults_of(tmp_path, changes) == []) is good


def test_schedule_is_held_to_the_frequency(tmp_path):
    """A frequency of six hours under a daily cron is refused, and so is a time zone that nobody knows."""
    frequency = "slaProperties:\n  - {property: frequency, value: 6, unit: h}\n"
    changes = edited(ORDERS + "contracts/orders.odcs.yaml", "slaProperties:\n", frequency)
    said = faults_of(tmp_path / "a", changes)

    assert len(said) == 1
    assert "leaves 24 hours between two runs, and frequency of 'orders' allows 6 hours" in said[0]
    assert "time zone" in faults_of(tmp_path / "b", edited(ORDERS + "product.yaml", "Europe/Berlin", "Europe/Brlin"))[0]


def test_python_transforms_are_read_too(tmp_path):
    """The parameters of a Python transform are its inputs, and have to be declared like those of SQL."""
    changes = {
        VALUE + "transforms/order_value.sql": None,
        VALUE + "transforms/order_value.py": "def order_value(purchases, byers):\n    return purchases\n",
    }

    (said,) = faults_of(tmp_path, changes)
    assert said.startswith("order_value.py:1: the transform of 'order_value' reads 'byers'")
