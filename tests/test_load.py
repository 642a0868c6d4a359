"""Folders of files as products, with every fault of every file and none of other domains."""

import subprocess
import sys

import pytest

from dataproducts.errors import DeclarationError, UsageError
from dataproducts.load import load_product, load_project
from dataproducts.product import Layer, Status, TableRef, Tier
from tests.sample_project import FILES, ORDERS, VALUE, edited, write_project

OTHER = "assets/office/desks/"
DESK = FILES[VALUE + "contracts/order_value.odcs.yaml"]


def test_sample_project_is_read_whole(tmp_path):
    """Descriptor, contracts, transforms, design and the other product's tables come together in one value."""
    project = load_project(write_project(tmp_path))
    value, orders = project.products

    assert (orders.address, orders.layer, orders.status, orders.tier) == (
        "shop/orders",
        Layer.SOURCE_ALIGNED,
        Status.ACTIVE,
        Tier.SILVER,
    )
    assert orders.owner.username == "ada@shop.example"
    assert orders.published == {"orders", "customers"}
    assert orders.value_measure.startswith("Share of reports")
    assert orders.schedule.cron == "0 4 * * *"
    assert orders.design["need"] == "Know what was ordered without asking the tills."
    assert orders.table("customers").transform is None
    assert orders.table("orders").transform.mark.path == ORDERS + "transforms/orders.sql"
    assert dict(orders.table("orders").servers[0].settings) == {
        "path": "data/orders.csv",
        "format": "csv",
        "delimiter": ";",
    }
    assert value.address == "shop/order_value@v2"
    assert [port.source for port in value.inputs] == [
        TableRef("shop/orders", "orders"),
        TableRef("shop/orders", "customers"),
    ]
    assert project.faults == ()


def test_all_faults_of_all_files_come_at_once(tmp_path):
    """Faults of several files are told together, and what can be read is read."""
    changes = edited(ORDERS + "product.yaml", "role: owner", "role: boss")
    changes |= edited(ORDERS + "contracts/customers.odcs.yaml", "logicalType: string", "logicalType: strnig")
    changes |= edited(ORDERS + "transforms/orders.sql", "till_orders", "tills")
    project = load_project(write_project(tmp_path, changes))

    assert {fault.path.removeprefix(ORDERS) for fault in project.faults} == {
        "product.yaml",
        "contracts/customers.odcs.yaml",
        "transforms/orders.sql",
    }
    assert "order_value" in {product.name for product in project.products}


@pytest.mark.parametrize(
    "broken",
    [
        edited(ORDERS + "product.yaml", "kind: DataProduct", "kind: [DataProduct"),
        edited(ORDERS + "contracts/orders.odcs.yaml", "domain: shop", "\tdomain: shop"),
        edited(ORDERS + "product.yaml", "contractId: shop.orders.customers", "contractId: shop.orders.clients"),
        edited(ORDERS + "product.yaml", "outputPorts:", "outputPort:"),
    ],
)
def test_faults_of_another_domain_do_not_leak(tmp_path, broken):
    """A domain that reads a broken one loads all the same."""
    moved = {name: None for name in FILES if name.startswith(VALUE)}
    moved |= {
        name.replace("shop", "office"): text.replace("domain: shop", "domain: office").replace(
            "shop.order_value", "o.v"
        )
        for name, text in FILES.items()
        if name.startswith(VALUE)
    }
    root = write_project(tmp_path, moved | broken)

    assert load_project(root).faults != ()
    office = load_project(root, domain="office")
    assert office.faults == (), [str(f) for f in office.faults]
    assert [product.address for product in office.products] == ["office/order_value@v2"]


def test_one_product(tmp_path):
    """A folder alone gives its product, resolved against the project that it lies in, or raises all its faults."""
    root = write_project(tmp_path)

    assert load_product(root / VALUE).inputs[0].source == TableRef("shop/orders", "orders")
    (root / VALUE / "contracts/order_value.odcs.yaml").unlink()
    with pytest.raises(DeclarationError) as caught:
        load_product(root / VALUE)
    assert {fault.path for fault in caught.value.faults} == {
        VALUE + "contracts",
        VALUE + "product.yaml",
        VALUE + "transforms/order_value.sql",
    }


@pytest.mark.parametrize(
    ("added", "path", "what"),
    [
        ({ORDERS + "contracts/notes.yaml": "a: 1"}, ORDERS + "contracts/notes.yaml", "is no contract"),
        ({ORDERS + "transforms/orders.txt": "x"}, ORDERS + "transforms/orders.txt", "is no transform"),
        ({ORDERS + "transforms/orders.py": "x"}, ORDERS + "transforms/orders.sql", "two transforms"),
        ({ORDERS + "transforms/sums.sql": "SELECT 1"}, ORDERS + "transforms/sums.sql", "nothing declares"),
        ({ORDERS + "product.yaml": None}, ORDERS + "product.yaml", "cannot be read"),
        ({ORDERS + "design.yaml": None}, ORDERS + "design.yaml", "explains its design"),
        (
            {ORDERS + "contracts/release.odcs.yaml": DESK.replace("name: order_value", "name: release")},
            ORDERS + "contracts/release.odcs.yaml",
            "no table may be called 'release'",
        ),
    ],
)
def test_files_in_the_wrong_place(tmp_path, added, path, what):
    """Files that mean nothing, that clash, or that are missing are told by their path."""
    faults = load_project(write_project(tmp_path, added)).faults

    assert [what in fault.what for fault in faults if fault.path == path].count(True) == 1, [str(f) for f in faults]


def test_names_must_fit_folders(tmp_path):
    """A product lies in the folder of its name and domain; a second major version may add it."""
    changes = edited(VALUE + "product.yaml", "name: order_value\nversion", "name: order_values\nversion")
    moved = {name.replace("order_value/", "order_value_v2/"): FILES[name] for name in FILES if name.startswith(VALUE)}
    gone = {name: None for name in FILES if name.startswith(VALUE)}

    assert "lies in the folder" in load_project(write_project(tmp_path / "a", changes)).faults[0].what
    assert load_project(write_project(tmp_path / "b", gone | moved)).faults == ()


def test_no_project(tmp_path):
    """A folder that is no project, and a domain that nobody declared, are mistakes of the caller."""
    with pytest.raises(UsageError, match="no folder `assets`"):
        load_project(tmp_path)
    with pytest.raises(UsageError, match="Did you mean 'shop'"):
        load_project(write_project(tmp_path), domain="shp")


def test_loading_is_light():
    """Loading imports neither dagster nor any data frame library nor the ledger's."""
    code = "import sys, dataproducts.load; print([m for m in ('dagster', 'pandas', 'pandera', 'sqlalchemy', "
    code += "'pyarrow', 'jsonschema', 'croniter') if m in sys.modules])"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
