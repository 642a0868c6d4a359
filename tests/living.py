"""A product that lacks nothing to go live, and one that reads it, for the tests of the lifecycle."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from dataproducts.lifecycle.announce import tell_nobody
from dataproducts.lifecycle.guards import Wish
from dataproducts.lifecycle.states import Step
from dataproducts.lifecycle.steps import plan_step, take
from dataproducts.load import load_project
from dataproducts.operations import Operations
from dataproducts.warehouse import Warehouse
from tests import sample_project as sample
from tests.shop import build, environment

if TYPE_CHECKING:
    from pathlib import Path

    from dataproducts.lifecycle.announce import Tell
    from dataproducts.lifecycle.steps import Planned, Taken

ORDERS, VALUE = "shop/orders", "shop/order_value@v2"
FOLDER = "assets/shop/orders"
NOW = datetime(2026, 1, 10, 9, 30, tzinfo=UTC)
SUNSET = date(2026, 6, 30)


def make_live(root: Path, *, status: str = "draft", reader: bool = True) -> Path:
    """Write the project: `shop/orders` of that status, complete, with ten days of data, and perhaps its reader."""
    product = sample.FILES[sample.ORDERS + "product.yaml"].replace("status: active", f"status: {status}  # as reviewed")
    orders = sample.FILES[sample.ORDERS + "contracts/orders.odcs.yaml"].replace(
        "value: 24, unit: h", "value: 48, unit: h"
    )
    changes: dict[str, str | None] = {
        sample.ORDERS + "product.yaml": product,
        sample.ORDERS + "contracts/orders.odcs.yaml": orders.replace("        physicalType: DECIMAL(18,2)\n", ""),
    }
    if not reader:
        changes |= dict.fromkeys(name for name in sample.FILES if name.startswith(sample.VALUE))
    sample.write_project(root, changes)
    (root / "data").mkdir()
    rows = "\n".join(f"{day};{day % 3 + 1};{day * 2.5};2024-01-{day:02}" for day in range(1, 11))
    (root / "data/orders.csv").write_text(f"order_id;customer_id;amount;ordered_on\n{rows}\n", encoding="utf-8")
    (root / "data/customers.csv").write_text("customer_id,email\n1,a@x.org\n2,\n3,c@x.org\n", encoding="utf-8")
    return root


def built(root: Path, *addresses: str) -> Path:
    """Release the products, the orders if none is named."""
    for address in addresses or (ORDERS,):
        build(root, address)
    return root


def look(root: Path, step: Step | str, address: str = ORDERS, **wish: Any) -> Planned:
    """Plan a step by Ada at `NOW`; `wish` may say otherwise. `policies`, `operations` and `production` are settings."""
    policies, settings = wish.pop("policies", ()), _settings(wish)
    with Warehouse.open(environment(root, **settings)) as warehouse:
        products = load_project(root).products
        asked = Wish(**{"actor": "ada", "now": NOW} | wish)
        return plan_step(Step(step), address, warehouse=warehouse, products=products, wish=asked, policies=policies)


def go(root: Path, step: Step | str, address: str = ORDERS, *, tell: Tell = tell_nobody, **wish: Any) -> Taken:
    """Take a step as `look` plans it."""
    settings = _settings(dict(wish))
    planned = look(root, step, address, **wish)
    wired = environment(root, **settings)
    with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
        return take(planned, operations, warehouse=warehouse, tell=tell)


def lacking(planned: Planned) -> list[tuple[str, str]]:
    """Return guard and text of everything that a step lacks."""
    return [(lack.guard, str(lack)) for lack in planned.lacks]


def text_of(root: Path, folder: str = FOLDER) -> str:
    """Return what product.yaml says."""
    return (root / folder / "product.yaml").read_text(encoding="utf-8")


def _settings(wish: dict[str, Any]) -> dict[str, Any]:
    return {key: wish.pop(key) for key in ("operations_url", "production") if key in wish}
