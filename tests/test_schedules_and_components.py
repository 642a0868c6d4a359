"""Schedules that catch up, and a product folder that drops into a `dg` project."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from dataproducts.compile import compile_domain
from dataproducts.compile.describe import release_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START
from tests.shop import edit, environment, make_shop
from tests.test_refresh import ORDERS, build

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SCHEDULE = '  - {property: schedule, value: {cron: "0 5 * * *", timezone: Europe/Paris}}\n'


def scheduled(root: Path, **changes: object) -> dg.ScheduleDefinition:
    """Return the schedule of the orders product as its domain compiles it."""
    defs = compile_domain(root / "assets/shop", environment=environment(root, **changes))
    return defs.resolve_schedule_def("shop__orders__schedule")


def with_schedule(root: Path) -> Path:
    """Write the shop with a daily schedule on its orders."""
    make_shop(root)
    edit(root / "assets/shop/orders/product.yaml", "outputPorts:\n", f"customProperties:\n{SCHEDULE}outputPorts:\n")
    return root


def test_a_schedule_covers_what_is_missing(tmp_path: Path) -> None:
    """Before the first release the run covers every complete partition; afterwards there is nothing to do."""
    root = with_schedule(tmp_path)
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 1, 5, tzinfo=UTC))
    tick = scheduled(root).evaluate_tick(context)
    (request,) = tick.run_requests or ()
    assert ("2024-01-01", "2024-01-10") == (request.tags[RANGE_START], request.tags[RANGE_END])
    build(root, ORDERS)
    tick = scheduled(root).evaluate_tick(context)
    assert [] == list(tick.run_requests or ())
    assert "every partition" in str(tick.skip_message)


def test_a_schedule_catches_up_after_downtime(tmp_path: Path) -> None:
    """Three days without a run are one run over three days."""
    root = with_schedule(tmp_path)
    from dataproducts.refresh import refresh_product
    from dataproducts.warehouse import Warehouse
    from tests.test_refresh import product

    warehouse = Warehouse.open(environment(root))
    first = [date(2024, 1, 1) + timedelta(days=index) for index in range(7)]
    refresh_product(warehouse, product(root, ORDERS), partitions={"orders": first})
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 1, 1, 5, tzinfo=UTC))
    (request,) = scheduled(root).evaluate_tick(context).run_requests or ()
    assert ("2024-01-08", "2024-01-10") == (request.tags[RANGE_START], request.tags[RANGE_END])


def test_a_draft_is_not_scheduled_by_itself(tmp_path: Path) -> None:
    """The schedule of a product that is not active starts stopped, with the declared cron and time zone."""
    schedule = scheduled(with_schedule(tmp_path))
    found = (schedule.cron_schedule, schedule.execution_timezone, schedule.default_status)
    assert ("0 5 * * *", "Europe/Paris", dg.DefaultScheduleStatus.STOPPED) == found


def test_a_product_folder_is_a_component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `defs.yaml` beside the product's files is all that a `dg` project needs."""
    shop = make_shop(tmp_path / "shop")
    root = tmp_path / "project"
    folder = root / "till_project/defs/orders"
    folder.parent.mkdir(parents=True)
    (shop / "assets/shop/orders").rename(folder)
    (shop / "data").rename(root / "data")
    for package in (root / "till_project", folder.parent):
        (package / "__init__.py").touch()
    (root / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "till_project"\n', encoding="utf-8"
    )
    (folder / "defs.yaml").write_text("type: dataproducts.compile.DataProductComponent\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(root))
    defs = dg.load_from_defs_folder(path_within_project=root)
    assert release_key(ORDERS) in defs.resolve_asset_graph().get_all_asset_keys()
    with dg.DagsterInstance.ephemeral() as instance:
        days = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
        result = defs.resolve_job_def("shop__orders").execute_in_process(instance=instance, tags=days)
    assert result.success
    assert (root / ".dataproducts/serve/shop.orders.duckdb").exists()
