"""Days at the ends of the calendar, which files use for never and always: refused where nothing can be made of them."""

from __future__ import annotations

import pytest

from dataproducts.compile import compile_domain
from dataproducts.load import load_project
from tests.living import FOLDER, ORDERS, built, go, make_live
from tests.pages import run
from tests.shop import edit, environment

CONTRACT = f"{FOLDER}/contracts/orders.odcs.yaml"
PARTITION = "value: {column: ordered_on, unit: day, start: 2024-01-01}"
LATENCY = "  - {property: latency, value: 48, unit: h, element: orders.ordered_on}\n"
RESOURCES = """
from datetime import UTC, datetime
from pathlib import Path
from dataproducts import Environment
def for_environment(name=None):
    root = Path(__file__).parents[1]
    return Environment("prod", root, root / ".dataproducts", clock=datetime(2024, 1, 11, 6, tzinfo=UTC))
"""


def live(root, *, status="active"):
    """Return a project whose orders were promoted in production, and perhaps deprecated since."""
    built(make_live(root, status="active", reader=False))
    go(root, "promote", production=True)
    if status != "active":
        edit(root / FOLDER / "product.yaml", "status: active", f"status: {status}")
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES, encoding="utf-8")
    return root


def ours(root, name, value):
    """Add a custom property to the product's file."""
    path = root / FOLDER / "product.yaml"
    edit(path, "  - property: tier", f"  - {{property: {name}, value: {value}}}\n  - property: tier")


def commands(root, monkeypatch):
    """Run what looks at the product; what is raised comes through, refusals end with an exit code."""
    for arguments in (
        ["plan"],
        ["status"],
        ["slo"],
        ["lifecycle", "--due"],
        ["lifecycle", ORDERS],
        ["watch", "--once"],
    ):
        ran = run(root, *arguments, monkeypatch=monkeypatch)
        assert ran.code in (0, 1), (arguments, ran.err)
        assert "OverflowError" not in ran.out + ran.err, (arguments, ran.out, ran.err)
        assert "Traceback" not in ran.out + ran.err, (arguments, ran.err)


@pytest.mark.parametrize("status", ["active", "deprecated"])
@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
def test_days_of_the_product(tmp_path, monkeypatch, day, status):
    """The first and the last day that there are stop no command: of a review, a sunset, or a waiver."""
    root = live(tmp_path, status=status)
    edit(root / CONTRACT, "slaProperties:", "price: {priceAmount: 1, priceCurrency: EUR}\nslaProperties:")
    ours(root, "reviewedOn", day)
    ours(root, "sunsetDate", day)
    ours(root, "waivers", f"[{{clause: contract.price, reason: Nobody pays for it yet., expires: {day}}}]")
    commands(root, monkeypatch)


@pytest.mark.parametrize("unit", ["day", "week"])
@pytest.mark.parametrize(("day", "is_refused"), [("9999-12-31", True), ("0001-01-01", True), ("9998-12-31", False)])
def test_where_partitions_start(tmp_path, monkeypatch, unit, day, is_refused):
    """A start that stands for no day is refused with its place; one that is far off has no partition yet."""
    root = live(tmp_path)
    edit(root / CONTRACT, PARTITION, PARTITION.replace("2024-01-01", day).replace("day", unit))
    said = f"{CONTRACT}:20: the partitions start on {day}, which stands for no day. Write the first day that has rows"
    assert is_refused == any(str(fault).startswith(said) for fault in load_project(root).faults)
    commands(root, monkeypatch)


@pytest.mark.parametrize("unit", ["day", "week"])
def test_where_partitions_end(tmp_path, monkeypatch, unit):
    """Partitions may end on the last day that there is, which is never, for Dagster too."""
    root = live(tmp_path)
    edit(root / CONTRACT, PARTITION, PARTITION.replace("01-01}", "01-01, end: 9999-12-31}").replace("day", unit))
    assert () == load_project(root).faults
    commands(root, monkeypatch)
    graph = compile_domain(root / "assets/shop", environment=environment(root)).resolve_asset_graph()
    counts = [graph.get(key).partitions_def for key in graph.get_all_asset_keys()]
    assert [True] == [found.get_num_partitions() > 1 for found in counts if found]


@pytest.mark.parametrize(
    ("end", "is_refused"),
    [
        ("9999-12-31", False),
        ("0001-01-01", False),
        ("9999-12-31T23:30:00-08:00", True),
        ("0001-01-01T00:30:00+08:00", True),
    ],
)
def test_ends_of_promises(tmp_path, monkeypatch, end, is_refused):
    """An end that UTC has no moment for is refused with its place: its rule could never be judged."""
    root = live(tmp_path)
    names = {"endOfLife": 65, "endOfSupport": 66}
    slas = "".join(f"  - {{property: {name}, value: '{end}'}}\n" for name in names)
    edit(root / CONTRACT, LATENCY, LATENCY + slas)
    found = [str(fault) for fault in load_project(root).faults]
    said = [f"{CONTRACT}:{line}: {name} is '{end}', which is no moment that UTC has" for name, line in names.items()]
    assert [text for text in said if is_refused] == [fault[: len(said[at])] for at, fault in enumerate(found)]
    commands(root, monkeypatch)


@pytest.mark.parametrize("name", ["retention", "latency"])
@pytest.mark.parametrize(
    ("years", "is_refused"), [(100000, True), (f"1{'0' * 400}", True), (".inf", True), (1000, False)]
)
def test_lengths_of_time(tmp_path, monkeypatch, name, years, is_refused):
    """Nothing is kept or awaited for longer than there are years: no moment could be told that long ago."""
    root = live(tmp_path)
    edit(root / CONTRACT, LATENCY, LATENCY.replace("latency, value: 48, unit: h", f"{name}, value: {years}, unit: y"))
    said = f"{CONTRACT}:64: {name} is "
    assert is_refused == any(str(fault).startswith(said) for fault in load_project(root).faults)
    commands(root, monkeypatch)


def test_partitions_of_unit_tests(tmp_path, monkeypatch):
    """A unit test of a partition that would end after the calendar does fails, and says why."""
    root = live(tmp_path)
    edit(root / FOLDER / "tests/orders.yaml", "partition: 2024-01-31", "partition: 9999-12-31")
    ran = run(root, "test", monkeypatch=monkeypatch)
    assert "partition 9999-12-31 would end after the last day that there is" in " ".join(ran.out.split())
    assert 1 == ran.code
