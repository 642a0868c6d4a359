"""One look at all that may be wrong: idempotent, whole or not at all, whoever dies or looks at the same time."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from dataproducts import incidents as lives
from dataproducts import watch as module
from dataproducts.alerts import watchdog
from dataproducts.cli import main
from dataproducts.directory import Channel, Directory, Person
from dataproducts.errors import DataProductError, StoreError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.objective import Indicator, IndicatorKind, Objective
from dataproducts.operations import Operations, bookmark, measurements, outbox, transitions
from dataproducts.operations import incidents as kept
from dataproducts.operations.measurements import Measurement
from dataproducts.operations.transitions import Transition
from dataproducts.product import Schedule, Severity, Status
from dataproducts.refresh import RefusedError, begin, refresh_product, refresh_table
from dataproducts.restored import note_current
from dataproducts.warehouse import Warehouse
from dataproducts.watch import Told, Watcher, watch
from tests.postgres import database
from tests.shop import build, edit, environment, make_shop, product, write_orders

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


@pytest.mark.parametrize("how", ["refused", "absent", "unreadable", "contract"])
def test_a_file_put_back_as_it_was_ends_what_it_began(
    tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No refresh is made of it, and so no verdict: that the release is what the sources give closes the incident."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    place = Place(tmp_path)
    contract = tmp_path / "assets/shop/orders/contracts/orders.odcs.yaml"
    try:
        if how == "refused":
            place.break_it()
        elif how == "contract":
            edit(contract, "{minimum: 0}", "{minimum: 10}")
            with pytest.raises(RefusedError):
                build(place.root, ORDERS)
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
        if how == "contract":
            edit(contract, "{minimum: 10}", "{minimum: 0}")
        assert place.look(minutes=2).recoveries == 0
        done = CliRunner().invoke(main, ["-C", str(tmp_path), "build", ORDERS], catch_exceptions=False)
        assert "is up to date" in done.output
        place.look(minutes=4)
        assert wrong not in place.subjects(), place.subjects()
        assert wrong in place.subjects(kept.RESOLVED)
        place.look(minutes=5)
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
        note_current(place.warehouse, ORDERS)
        place.look(minutes=1)
        assert "amount.range" in place.subjects()
    finally:
        place.close()


def late(place: Place, minutes: float) -> set[str]:
    """Look when Dagster, or whoever, finds orders stale, not loaded and burning; return the kinds that are told of."""
    now = NOW + timedelta(minutes=minutes)
    about = (("stale", "fresh", "customers"), ("missing", "schedule", ""), ("burn_rate", "b", ""))
    found = tuple(
        Finding(Subject(ORDERS, FindingKind(kind), name, table), "late", Severity.ERROR, now, now, {"message": "late"})
        for kind, name, table in about
    )
    changes = place.look(minutes=minutes, runs=(Told(f"late {minutes}", "", "1", found),)).changes
    return {str(change.incident.kind) for change in changes if change.what == "opened"}


def settle(place: Place, kind: str, minutes: float) -> None:
    """Resolve by hand what is open of one kind."""
    with place.operations.writing() as con:
        for one in kept.listed(con, states=(kept.OPEN,)):
            if one.kind == kind:
                lives.resolve(con, one.id, "known", by="ana", now=NOW + timedelta(minutes=minutes))


def test_what_was_settled_by_hand_explains_nothing(tmp_path: Path) -> None:
    """A source that is broken for good, and known to be, does not hide what is late two days later."""
    place = Place(tmp_path)
    place.look()
    (tmp_path / "data/customers.csv").rename(tmp_path / "data/late.csv")
    orders = place.products[ORDERS]
    with place.warehouse.connect() as con:
        refresh = begin(place.warehouse, orders, refresh_id="")
        with pytest.raises(DataProductError):
            refresh_table(place.warehouse, orders, orders.table("customers"), refresh=refresh, con=con)
    place.look(minutes=1)
    assert "crm" in place.subjects()
    assert set() == late(place, 2)
    settle(place, "source", 3)
    assert "missing" in late(place, 3000)
    assert "crm" in place.subjects(kept.RESOLVED)
    place.close()


def test_a_run_that_still_waits_and_was_settled_explains_nothing(tmp_path: Path) -> None:
    """What Dagster tells at every look is no cause any more when a person has settled it."""
    place = Place(tmp_path)
    about, detail = Subject(ORDERS, FindingKind.PIPELINE, "refresh"), {"sighting": "r waits", "origin": "refresh"}

    def waits(minutes: float) -> Told:
        now = NOW + timedelta(minutes=minutes)
        return Told(f"w {minutes}", "", "1", (Finding(about, "waits", Severity.ERROR, NOW, now, detail),))

    place.look(runs=(waits(0),))
    settle(place, "pipeline", 3)
    missing = Subject(ORDERS, FindingKind.MISSING, "schedule")
    now = NOW + timedelta(minutes=3000)
    told = Told("m", "", "1", (Finding(missing, "no load", Severity.ERROR, now, now),))
    place.look(minutes=3000, runs=(waits(3000), told))
    assert "schedule" in place.subjects()
    assert "refresh" in place.subjects(kept.RESOLVED)
    place.close()


def opened(place: Place, *subjects: Subject) -> None:
    """Open an incident about each of `subjects`."""
    found = [Finding(one, "wrong", Severity.WARNING, NOW, NOW) for one in subjects]
    with place.operations.writing() as con:
        lives.record(con, found, (), products=place.products, now=NOW)


def resolved(place: Place) -> dict[str, str]:
    """Return why each incident was resolved, by its subject."""
    with place.operations.reading() as con:
        ended = {one.subject: kept.events(con, one.id) for one in kept.listed(con, states=(kept.RESOLVED,))}
    return {
        subject: str(event.detail.get("reason", ""))
        for subject, events in ended.items()
        for event in events
        if event.kind == kept.RESOLVED
    }


def test_a_promise_that_is_not_made_any_more(tmp_path: Path) -> None:
    """What was open of an objective that the product lost is closed, once nobody else measures it either."""
    place = Place(tmp_path)
    kinds = (FindingKind.BUDGET, FindingKind.BURN_RATE, FindingKind.STALE)
    gone = [Subject(ORDERS, kind, f"old_{kind}", "orders" * (kind is FindingKind.STALE)) for kind in kinds]
    other, dagsters = Subject(ORDERS, FindingKind.BUDGET, "elsewhere"), Subject(ORDERS, FindingKind.STALE, "release")
    with place.operations.writing() as con:
        at = NOW - timedelta(minutes=30)
        measurements.record(con, [Measurement(ORDERS, "elsewhere", at, 28, 1, 2, 0.9, 0.5, 0)])
    opened(place, *gone, other, dagsters)
    place.look()
    assert {one.name: "not declared any more" for one in gone} == resolved(place)
    assert {"elsewhere", "release"} <= place.subjects()
    place.look(minutes=600)
    assert "elsewhere" in resolved(place)
    place.close()


def test_a_table_that_no_promise_is_about_any_more(tmp_path: Path) -> None:
    """An objective that is about fewer tables closes what was stale of the others."""
    place = Place(tmp_path)
    orders = place.products[ORDERS]
    fresh = Objective("fresh", Indicator(IndicatorKind.FRESHNESS, {"table": "orders", "max_age_s": 1e12}), 0.9)
    place.products = {ORDERS: replace(orders, objectives=(*orders.objectives, fresh))}
    opened(place, Subject(ORDERS, FindingKind.STALE, "fresh", "customers"))
    place.look()
    assert "not declared any more" == resolved(place)["fresh"]
    place.close()


@pytest.mark.parametrize(
    ("status", "schedule", "is_over"),
    [
        (Status.DRAFT, Schedule("0 5 1 1 *"), True),
        (Status.ACTIVE, None, True),
        (Status.ACTIVE, Schedule("0 5 1 1 *"), False),
    ],
)
def test_a_load_that_is_not_due_any_more(
    tmp_path: Path, status: Status, schedule: Schedule | None, *, is_over: bool
) -> None:
    """A product that was demoted, or lost its schedule, misses no load; one that waits for the next one does."""
    place = Place(tmp_path)
    place.products = {ORDERS: replace(place.products[ORDERS], status=status, schedule=schedule)}
    opened(place, Subject(ORDERS, FindingKind.MISSING, "schedule"))
    place.look()
    expected = "nothing is due any more" if is_over else None
    assert expected == resolved(place).get("schedule")
    place.close()


def test_a_product_that_is_gone(tmp_path: Path) -> None:
    """What was open about it is closed by the one who knows that nobody declares it, and by nobody else."""
    place = Place(tmp_path)
    opened(place, Subject("shop/gone", FindingKind.CHECK, "a"), Subject("till/other", FindingKind.CHECK, "b"))
    place.look(minutes=1)
    assert {"a", "b"} <= place.subjects()
    place.look(minutes=2, gone=frozenset({"shop/gone"}))
    assert {"a": "not declared any more"} == resolved(place)
    assert "b" in place.subjects()
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


def test_whoever_looks_again_and_again_reads_the_files_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`watch --every` sees a rule that a contract gained while it ran, and goes on where files are being replaced."""
    make_shop(tmp_path)
    build(tmp_path, ORDERS)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    contract, aside = tmp_path / "assets/shop/orders/contracts/orders.odcs.yaml", tmp_path / "aside"

    def gains_a_rule() -> None:
        edit(contract, "{minimum: 0}", "{minimum: 0, maximum: 5}")
        with pytest.raises(RefusedError):
            build(tmp_path, ORDERS)
        (tmp_path / "assets").rename(aside)

    steps = iter([gains_a_rule, lambda: aside.rename(tmp_path / "assets"), lambda: None])

    def sleeps(_seconds: float) -> None:
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr("dataproducts.cli.watch.time.sleep", sleeps)
    seen = CliRunner().invoke(main, ["-C", str(tmp_path), "watch", "--every", "1"])
    assert "assets" in seen.stderr
    with Operations.open(environment(tmp_path).operations) as operations, operations.reading() as con:
        (found,) = [one for one in kept.listed(con) if one.kind is FindingKind.CHECK]
    assert ("amount.range", True) == (found.subject, found.is_open)
