"""One look at all that may be wrong: idempotent, whole or not at all, whoever dies or looks at the same time."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dataproducts import watch as module
from dataproducts.alerts import watchdog
from dataproducts.cli import main
from dataproducts.directory import Channel, Directory, Person
from dataproducts.errors import DataProductError, StoreError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.operations import Operations, bookmark, measurements, outbox, transitions
from dataproducts.operations import incidents as kept
from dataproducts.operations.transitions import Transition
from dataproducts.product import Severity, Status
from dataproducts.refresh import RefusedError, refresh_product
from dataproducts.warehouse import Warehouse
from dataproducts.watch import Told, Watcher, watch
from tests.postgres import database
from tests.shop import build, environment, make_shop, product, write_orders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dataproducts.watch import Watched

ORDERS = "shop/orders"
NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
ANA = Directory((Person("ana@example.com", (Channel("desk", "none:"),)),))


class Place:
    """A shop whose orders are refused, and who looks at it."""

    def __init__(self, root: Path, **changes: Any) -> None:
        """Build the shop once well, and once so that a rule refuses it."""
        make_shop(root)
        self.root, self.changes, self.sent = root, changes, list[outbox.Notice]()
        build(root, ORDERS, **changes)
        self.warehouse = Warehouse.open(environment(root, **changes))
        self.operations = Operations.open(self.warehouse.environment.operations)
        self.products = {ORDERS: product(root, ORDERS)}

    def close(self) -> None:
        """Close both databases."""
        self.warehouse.close()
        self.operations.close()

    def break_it(self) -> None:
        """Let a rule refuse the next refresh."""
        write_orders(self.root, bad={3: "3,3,2024-01-01,-7"})
        with pytest.raises(RefusedError):
            build(self.root, ORDERS, **self.changes)

    def look(self, *, minutes: float = 0, runs: tuple[Told, ...] = (), **watcher: Any) -> Watched:
        """Look once, so many minutes after the first look, and keep what was sent."""
        by = Watcher(name="shop", send=lambda _channel, notice: self.sent.append(notice), **watcher)
        now = NOW + timedelta(minutes=minutes)
        return watch(self.warehouse, self.operations, self.products, directory=ANA, now=now, runs=runs, by=by)

    def subjects(self, *states: str) -> set[str]:
        """Return what the incidents in these states are about."""
        with self.operations.reading() as con:
            return {one.subject for one in kept.listed(con, states=states or (kept.OPEN,))}

    def told(self) -> list[tuple[str, str]]:
        """Return what was sent: kind and subject, objectives apart."""
        return [(one.kind, one.facts["about"]) for one in self.sent if one.facts["finding"] != "budget"]


@pytest.fixture(params=["sqlite", "postgres", "one postgres"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A shop whose records lie in SQLite, in PostgreSQL, or both in one database of it."""
    changes = {}
    if request.param != "sqlite":
        ledger = database()
        other = database() if request.param == "postgres" else ledger
        changes = {"ledger_url": ledger, "operations_url": other}
    place = Place(tmp_path, **changes)
    yield place
    place.close()


def test_a_look_tells_once_and_again_when_it_is_right(here: Place) -> None:
    """What was refused is one incident and one notice, however often one looks; the next release closes it."""
    here.look()
    here.break_it()
    seen = here.look(minutes=1)
    assert {"opened": 1} == {change.what: 1 for change in seen.changes}
    assert "1 opened, 1 notice sent" == str(seen)
    for minutes in (2, 3):
        again = here.look(minutes=minutes)
        assert ((), ()) == (again.changes, again.notices)
    assert "nothing new" == str(again)
    write_orders(here.root, bad={3: "3,3,2024-01-01,7.25"})
    build(here.root, ORDERS, **here.changes)
    here.look(minutes=4)
    assert [("opened", "amount.range"), ("recovered", "amount.range")] == here.told()
    assert "amount.range" in here.subjects(kept.RESOLVED)


@pytest.mark.parametrize("point", ["read_findings", "record", "beat", "alerts.queue", "alerts.deliver"])
def test_whoever_dies_leaves_nothing_or_all_of_it(tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a death anywhere in a look, the next one finds the same, and tells it once."""
    here = Place(tmp_path)
    here.look()
    here.break_it()
    target, _, name = f"dataproducts.watch.{point}".rpartition(".")
    owner: Any = module.alerts if target.endswith("alerts") else module
    real = getattr(owner, name)

    def dies(*args: Any, **options: Any) -> Any:
        if point != "alerts.deliver":
            real(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, dies)
        with pytest.raises(KeyboardInterrupt):
            here.look(minutes=1)
    committed = point == "alerts.deliver"
    assert committed == ("amount.range" in here.subjects())
    assert [] == here.told()
    here.look(minutes=2)
    here.look(minutes=3)
    assert [("opened", "amount.range")] == here.told()
    here.close()


def test_two_who_look_at_once_tell_it_once(here: Place) -> None:
    """Two watchers of the same products wait for each other, and the second one finds nothing new."""
    here.look()
    here.break_it()
    barrier, seen = threading.Barrier(2), list[Any]()

    def looks() -> None:
        barrier.wait()
        seen.append(here.look(minutes=1))

    threads = [threading.Thread(target=looks) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [1, 0] == sorted((len(one.changes) for one in seen), reverse=True)
    assert [("opened", "amount.range")] == here.told()


def test_what_another_witness_saw_counts_once(tmp_path: Path) -> None:
    """What Dagster told is believed if nobody was faster, and its place moves with the incident."""
    here = Place(tmp_path)
    here.look()
    subject = Subject(ORDERS, FindingKind.PIPELINE, "audit")
    finding = Finding(subject, "no audit", Severity.ERROR, NOW, NOW, {"sighting": "run 1"})
    told = Told("dagster shop", "", "7", (finding,))
    assert ["opened"] == [change.what for change in here.look(minutes=1, runs=(told,)).changes]
    with here.operations.reading() as con:
        assert "7" == bookmark(con, "dagster shop")
    late = replace(told, until="8", findings=(replace(finding, detail={"sighting": "run 2"}),))
    assert () == here.look(minutes=2, runs=(late,)).changes
    right = Told("dagster shop", "7", "9", (), (Recovery(subject, NOW + timedelta(minutes=3)),))
    assert ["resolved"] == [change.what for change in here.look(minutes=3, runs=(right,)).changes]
    here.close()


def test_objectives_are_measured_now_and_then(tmp_path: Path) -> None:
    """Every five minutes at the most, with a history of them."""
    here = Place(tmp_path)
    measured = [here.look(minutes=minutes).measured for minutes in (0, 1, 4, 5, 6)]
    assert [(ORDERS,), (), (), (ORDERS,), ()] == measured
    with here.operations.reading() as con:
        assert measurements.latest(con, ORDERS)
    here.close()


def test_a_fault_in_measuring_silences_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product that cannot be measured is told as such, without any value, and the refusal beside it as well."""
    here = Place(tmp_path)
    here.look()
    here.break_it()

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("secret@example.com")

    with monkeypatch.context() as patched:
        patched.setattr(module.evaluate, "evaluate", broken)
        here.look(minutes=10)
    assert {"amount.range", "objectives"} <= here.subjects()
    assert not any("secret" in one.body for one in here.sent)
    here.look(minutes=20)
    assert "objectives" in here.subjects(kept.RESOLVED)
    here.close()


@pytest.mark.parametrize("how", ["refused", "absent", "unreadable"])
def test_a_file_put_back_as_it_was_ends_what_it_began(tmp_path: Path, how: str) -> None:
    """No refresh is made of it, and so no verdict: that the release is what the sources give closes the incident."""
    place = Place(tmp_path)
    try:
        if how == "refused":
            place.break_it()
        elif how == "absent":
            (place.root / "data/orders.csv").unlink()
            with pytest.raises(DataProductError):
                refresh_product(place.warehouse, place.products[ORDERS], partitions={"orders": (date(2024, 1, 3),)})
        else:
            (place.root / "data/orders.csv").write_bytes(b"\xff\xfe not a table")
            with pytest.raises(DataProductError):
                build(place.root, ORDERS)
        place.look()
        (wrong,) = place.subjects() - {"refresh_success"}
        assert place.look(minutes=1).recoveries == 0
        write_orders(place.root)
        place.look(minutes=2)
        assert wrong not in place.subjects(), place.subjects()
        assert wrong in place.subjects(kept.RESOLVED)
        place.look(minutes=3)
        assert [kind for kind, _ in place.told()] == ["opened", "recovered"]
    finally:
        place.close()


def test_a_file_that_did_not_change_ends_nothing(tmp_path: Path) -> None:
    """A rule that refuses the very files of the release, read once more, stays broken: nobody repaired them."""
    place = Place(tmp_path)
    try:
        head = place.warehouse.ledger.head(ORDERS)
        assert head is not None
        detail = {"blocking": True, "published": False, "refresh_id": head.refresh_id}
        about = Subject(ORDERS, FindingKind.CHECK, "amount.range", "orders")
        told = Told("other", "", "1", (Finding(about, "refused", Severity.ERROR, NOW, NOW, detail),))
        place.look(runs=(told,))
        place.look(minutes=1)
        assert "amount.range" in place.subjects()
    finally:
        place.close()


def test_a_retired_product_is_left_alone(tmp_path: Path) -> None:
    """What was open about it is closed, and nothing is found wrong with it any more."""
    place = Place(tmp_path)
    place.break_it()
    place.look()
    before = place.subjects()
    with place.operations.writing() as con:
        step = Transition(ORDERS, "1.0.0", "retire", "deprecated", "retired", NOW, "ana", "nobody reads it")
        transitions.record(con, step)
    place.look(minutes=60 * 24 * 40)
    assert ({"amount.range"} <= before, place.subjects()) == (True, set())
    place.close()


def test_a_review_that_is_due_is_asked_for_in_production(tmp_path: Path) -> None:
    """An active product that nobody reviewed opens an incident in production, and none elsewhere."""
    place = Place(tmp_path)
    place.products = {ORDERS: replace(place.products[ORDERS], status=Status.ACTIVE)}
    place.look()
    elsewhere = place.subjects()
    with place.operations.writing() as con:
        transitions.record(con, Transition(ORDERS, "1.0.0", "promote", "draft", "active", NOW, "ana", "it is good"))
    place.warehouse = replace(place.warehouse, environment=replace(place.warehouse.environment, name="prod"))
    place.look(minutes=60 * 24 * 800)
    assert ("review" in elsewhere, "review" in place.subjects()) == (False, True)
    place.close()


def test_the_heartbeat(tmp_path: Path) -> None:
    """Each look moves the heartbeat of who looks; a replay has none, and neither has one that has no name."""
    here = Place(tmp_path)
    here.look()
    here.look(minutes=3)
    with here.operations.reading() as con:
        assert {NOW + timedelta(minutes=3)} == {one.at for one in watchdog.watchers(con, now=NOW)}
    replayed = replace(here.warehouse, environment=replace(here.warehouse.environment, replay=True))
    by = Watcher(name="shop", send=lambda *_: None)
    watch(replayed, here.operations, here.products, directory=ANA, now=NOW + timedelta(minutes=9), by=by)
    with here.operations.reading() as con:
        assert {NOW + timedelta(minutes=3)} == {one.at for one in watchdog.watchers(con, now=NOW)}
    here.close()


def test_a_database_that_is_gone(tmp_path: Path) -> None:
    """A look that cannot use its databases says so, and the next one loses nothing."""
    here = Place(tmp_path)
    here.look()
    here.break_it()
    file, aside = tmp_path / ".dataproducts/ledger.sqlite", tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    with pytest.raises(StoreError):
        here.look(minutes=1)
    file.rmdir()
    aside.rename(file)
    here.look(minutes=2)
    assert [("opened", "amount.range")] == here.told()
    here.close()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch --once` looks at every domain and tells what it came to; the second time there is nothing new."""
    make_shop(tmp_path)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    first = CliRunner().invoke(main, ["-C", str(tmp_path), "watch", "--once"], catch_exceptions=False)
    again = CliRunner().invoke(main, ["-C", str(tmp_path), "watch"], catch_exceptions=False)
    assert (0, 0) == (first.exit_code, again.exit_code)
    assert "opened" in first.output
    assert "shop nothing new\n" == again.output
