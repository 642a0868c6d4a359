"""What a schedule is owed hangs on how a product stands, and on the clock, wherever that is asked."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dataproducts.directory import Directory
from dataproducts.errors import RefusedError
from dataproducts.finding import Finding
from dataproducts.operations import Operations, measurements, transitions
from dataproducts.operations import incidents as kept
from dataproducts.operations.transitions import Transition
from dataproducts.slo.findings import missing
from dataproducts.status.gather import read_status
from dataproducts.warehouse import Warehouse
from dataproducts.watch import Watcher, watch
from tests.living import FOLDER, ORDERS, built, make_live
from tests.pages import run
from tests.shop import CLOCK, build, environment, product

if TYPE_CHECKING:
    from pathlib import Path

LATER = datetime(
    2024, 1, 14, 12, tzinfo=UTC
)  # three slots began since, two of them are over, and there are days to load
RESOURCES = """\
from datetime import UTC, datetime
from pathlib import Path
from dataproducts import Environment
def for_environment(name=None):
    root = Path(__file__).parents[1]
    clock = datetime(2024, 1, 14, 12, tzinfo=UTC)
    return Environment(name or "test", root, root / ".dataproducts", clock=clock, replay=True)
"""


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """A shop whose orders its file calls active, and which were loaded for the last time on the eleventh."""
    root = make_live(tmp_path, status="active", reader=False)
    build(root, ORDERS, replay=True)
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES, encoding="utf-8")
    return root


def step(root: Path, kind: str, status: str, at: datetime) -> None:
    """Record a step of the lifecycle of orders."""
    with Operations.open(environment(root).operations) as operations, operations.writing() as con:
        transitions.record(con, Transition(ORDERS, "1.0.0", kind, "", status, at, "ana"))


def told(
    root: Path, name: str, monkeypatch: pytest.MonkeyPatch, *, after: float = 0
) -> tuple[bool, bool, bool, list[float]]:
    """Whether slo, status and watch say in an environment that a load is late, and how many loads each counts."""
    (slo,) = json.loads(run(root, "--env", name, "slo", ORDERS, "--json", monkeypatch=monkeypatch).out)
    orders, wiring = product(root, ORDERS), environment(root, name=name, clock=LATER, replay=True)
    with Warehouse.open(wiring) as warehouse, Operations.open(wiring.operations) as operations:
        with operations.reading() as con:
            status = read_status(warehouse, con, orders, known={}, now=LATER)
        look(warehouse, operations, orders, now=LATER + timedelta(minutes=after))
        with operations.reading() as con:
            found = {one.subject for one in kept.listed(con, states=(kept.OPEN,))}
            measured = [one for one in measurements.latest(con, ORDERS) if one.days == 28]
    counted = [(one["objective"], one["total"]) for one in slo["objectives"]]
    counted += [(one.objective.name, one.own.total) for one in status.attained]
    counted += [(one.objective, one.total) for one in measured]
    loads = [total for objective, total in counted if objective == "refresh_success"]
    return bool(slo["missing"]), bool(status.late_load), "schedule" in found, loads


def look(warehouse: Warehouse, operations: Operations, orders: Any, *, now: datetime) -> None:
    """Watch orders once, and tell nobody."""
    by = Watcher(send=lambda *_: None, every=timedelta(0))
    watch(warehouse, operations, {ORDERS: orders}, directory=Directory(), now=now, by=by)


def test_nothing_is_late_in_production_that_nobody_promoted_there(late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schedule does not run there before it is promoted there, whoever asks: slo, status or the watch."""
    assert (False, False, False, [1, 1, 1]) == told(late, "prod", monkeypatch)
    step(late, "promote", "active", CLOCK)
    assert (True, True, True, [3, 3, 3]) == told(late, "prod", monkeypatch, after=1)


def test_elsewhere_the_file_is_enough(late: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of production a schedule runs without any promotion, and is followed or not."""
    assert (True, True, True, [3, 3, 3]) == told(late, "test", monkeypatch)


@pytest.mark.parametrize("name", ["prod", "test"])
def test_nothing_is_late_that_was_retired_on_record(late: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its file says active still: nobody changed it, or nobody deployed the change."""
    step(late, "promote", "active", CLOCK)
    step(late, "retire", "retired", CLOCK + timedelta(hours=1))
    # It owes nothing, so that `slo` lists no objective, and is not watched: `status` alone counts the one load it had.
    assert (False, False, False, [1]) == told(late, name, monkeypatch)


def test_the_watch_looks_by_the_clock_that_stands_still(tmp_path: Path) -> None:
    """Where the clock is simulated and records are not, no partition comes due: nothing is there to be loaded."""
    root = built(make_live(tmp_path, status="active", reader=False))
    orders = product(root, ORDERS)
    now = datetime.now(UTC) + timedelta(days=3)
    wiring = environment(root)
    with Warehouse.open(wiring) as warehouse, Operations.open(wiring.operations) as operations:
        look(warehouse, operations, orders, now=now)
        with operations.reading() as con:
            assert "schedule" not in {one.subject for one in kept.listed(con, states=(kept.OPEN,))}
        # As soon as it is a day later by that clock, there is.
        moved = replace(warehouse, environment=replace(wiring, clock=CLOCK + timedelta(days=1)))
        with operations.reading() as con:
            assert isinstance(missing(orders, moved.ledger, con, now=now, clock=moved.frozen_clock), Finding)
        look(moved, operations, orders, now=now)
        with operations.reading() as con:
            assert "schedule" in {one.subject for one in kept.listed(con, states=(kept.OPEN,))}


def test_a_schedule_that_does_not_run_spends_no_budget(late: Path) -> None:
    """Loads that nobody owed freeze no release; where they were owed, they do."""
    freeze = "objectives: [{name: refresh_success, indicator: refresh_success, target: 0.99, on_spent: freeze}]\n"
    (late / FOLDER / "slo.yaml").write_text(freeze, encoding="utf-8")
    with pytest.raises(RefusedError, match="is frozen: the error budget of objective 'refresh_success' is spent"):
        build(late, ORDERS, clock=LATER, replay=True)
    assert build(late, ORDERS, name="prod", clock=LATER, replay=True).release.number == 2
