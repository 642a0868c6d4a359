"""Schedules that catch up, and a product folder that drops into a `dg` project."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from dataproducts.compile import compile_domain
from dataproducts.compile.describe import release_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START
from tests.receivers import Web
from tests.shop import edit, environment, make_shop, write_orders
from tests.test_refresh import ORDERS, build

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


SETTINGS = """
from pathlib import Path
from dataproducts.directory import Channel, Directory, Person
from dataproducts.environment import Environment

ROOT = Path({root!r})
CUSTOM = {{}}


def environment():
    ana = Person("ana@example.com", (Channel("desk", {url!r}),))
    return Environment("dg", ROOT, ROOT / ".dataproducts", directory=Directory((ana,)))
"""


@pytest.fixture
def web() -> Iterator[Web]:
    """Return a receiver of notices that listens while the test lasts."""
    receiver = Web()
    yield receiver
    receiver.close()


def as_component(folder: Path, attributes: str = "") -> Path:
    """Write a project of `dg` that has the orders of the shop as a component, and return its root."""
    shop = make_shop(folder / "shop")
    root = folder / "project"
    place = root / "till_project/defs/orders"
    place.parent.mkdir(parents=True)
    (shop / "assets/shop/orders").rename(place)
    (shop / "data").rename(root / "data")
    for package in (root / "till_project", place.parent):
        (package / "__init__.py").touch()
    (root / "pyproject.toml").write_text(
        '[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "till_project"\n', encoding="utf-8"
    )
    for module in [name for name in sys.modules if name.partition(".")[0] == "till_project"]:
        del sys.modules[module]  # of another test's folder
    (place / "defs.yaml").write_text(f"type: dataproducts.compile.DataProductComponent\n{attributes}", encoding="utf-8")
    return root


def test_a_product_folder_is_a_component(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `defs.yaml` beside the product's files is all that a `dg` project needs."""
    root = as_component(tmp_path)
    monkeypatch.syspath_prepend(str(root))
    defs = dg.load_from_defs_folder(path_within_project=root)
    assert release_key(ORDERS) in defs.resolve_asset_graph().get_all_asset_keys()
    with dg.DagsterInstance.ephemeral() as instance:
        days = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
        result = defs.resolve_job_def("shop__orders").execute_in_process(instance=instance, tags=days)
    assert result.success
    assert (root / ".dataproducts/serve/shop.orders.duckdb").exists()
    assert [sensor.name for sensor in defs.get_repository_def().sensor_defs] == ["shop__orders__watch"]


def test_a_component_is_wired_by_the_project_and_watches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, web: Web
) -> None:
    """`environment` names who is told and where things lie: what the component's sensor finds reaches the owner."""
    root = as_component(
        tmp_path,
        "attributes: {environment: 'till_project.settings:environment', custom: 'till_project.settings:CUSTOM'}\n",
    )
    (root / "till_project/settings.py").write_text(SETTINGS.format(root=str(root), url=web.url()), encoding="utf-8")
    monkeypatch.syspath_prepend(str(root))
    defs = dg.load_from_defs_folder(path_within_project=root)
    write_orders(root, bad={3: "3,3,2024-01-01,-7"})
    with dg.DagsterInstance.ephemeral() as instance:
        days = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
        job = defs.resolve_job_def("shop__orders")
        assert not job.execute_in_process(instance=instance, tags=days, raise_on_error=False).success
        (sensor,) = defs.get_repository_def().sensor_defs
        context = dg.build_sensor_context(instance=instance, definitions=defs)
        said = sensor.evaluate_tick(context).skip_message
    assert said is not None
    assert "sent" in said, said
    assert any("amount.range" in one["title"] for one in web.seen), web.seen


@pytest.mark.parametrize("name", ["till_project.settings:nothing", "nowhere:environment", "till project"])
def test_a_name_that_leads_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The error names the key and says how a name is written."""
    root = as_component(tmp_path, f"attributes: {{environment: '{name}'}}\n")
    (root / "till_project/settings.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(root))
    with pytest.raises(Exception, match="error") as caught:
        dg.load_from_defs_folder(path_within_project=root)
    assert "Write package.module:name" in str(caught.value.__cause__)
