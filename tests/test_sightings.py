"""What Dagster alone knows of runs becomes incidents, on each of its storages: each once, and none is missed."""

from __future__ import annotations

import json
from collections.abc import Iterator  # noqa: TC003 - Dagster reads the annotations
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from dataproducts.compile import compile_domain, sightings
from dataproducts.compile.audit import audit_job_name
from dataproducts.compile.describe import release_key, table_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START, job_name
from dataproducts.compile.run_findings import Offered
from dataproducts.compile.runtime import Runtime
from dataproducts.compile.sensor import look
from dataproducts.directory import Channel, Directory, Person
from dataproducts.finding import Finding, FindingKind, Subject
from dataproducts.findings import RunState
from dataproducts.incidents import record
from dataproducts.operations import Operations, bookmark, move_bookmark, outbox
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity
from tests.daemons import dagster_database, dagster_home
from tests.shop import environment, make_shop, product, write_orders

if TYPE_CHECKING:
    from pathlib import Path

ORDERS, REVENUE = "shop/orders", "shop/revenue"
DAYS = {RANGE_START: "2024-01-01", RANGE_END: "2024-01-10"}
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ANA = Directory((Person("ana@example.com", (Channel("desk", "none:"),)),))
FACTS = ("budget", "burn_rate")  # of objectives, which are none of Dagster's


@dg.asset_check(asset=table_key(ORDERS, "customers"), name="looked_at")
def looked_at() -> dg.AssetCheckResult:
    """Fail as a warning, in a run that is successful."""
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN)


@dg.asset_check(asset=table_key(ORDERS, "customers"), name="raises")
def raises() -> dg.AssetCheckResult:
    """Give no result."""
    raise ValueError("secret@example.com")


@dg.multi_asset_check(specs=[dg.AssetCheckSpec("says_nothing", asset=table_key(ORDERS, "customers"))], can_subset=True)
def says_nothing() -> Iterator[dg.AssetCheckResult]:
    """Let a planned check pass in silence, as Dagster does."""
    yield from ()


OWN = [looked_at, raises, says_nothing]


@dg.asset(key=["elsewhere", "thing"])
def foreign() -> None:
    """Fail in a run that is of no product."""
    raise ValueError


@dataclass
class Place:
    """A shop as one code location, with checks of its own, and one instance of Dagster."""

    root: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions
    environment: Any

    def tick(self) -> str:
        """Let the sensor look once, and return what it says."""
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(instance=self.instance, repository_def=repository)
        return str(repository.get_sensor_def("shop__watch").evaluate_tick(context).skip_message)

    def run(self, job: str, *, tags: dict[str, str] | None = None, **options: Any) -> dg.ExecuteInProcessResult:
        """Run a job to its end, whatever it is."""
        found = self.definitions.resolve_job_def(job)
        return found.execute_in_process(
            instance=self.instance, tags=tags, raise_on_error=False, run_config=QUIET, **options
        )

    def checks(self, *names: str) -> dg.ExecuteInProcessResult:
        """Run checks of customers alone."""
        keys = [dg.AssetCheckKey(table_key(ORDERS, "customers"), name) for name in names]
        job = dg.define_asset_job("by_hand", selection=dg.AssetSelection.checks(*keys))
        every = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job], asset_checks=OWN))
        return every.resolve_job_def("by_hand").execute_in_process(
            instance=self.instance, raise_on_error=False, run_config=QUIET
        )

    def asked_for(self, job: str, status: dg.DagsterRunStatus, **more: Any) -> dg.DagsterRun:
        """Note a run that was asked for, and never executed."""
        return self.instance.create_run_for_job(self.definitions.resolve_job_def(job), status=status, **more)

    def incidents(self, *states: str) -> list[tuple[str, str, str, str, str]]:
        """Return product, table, kind, subject and severity of the incidents in these states, objectives apart."""
        with Operations.open(self.environment.operations) as operations, operations.reading() as con:
            found = kept.listed(con, states=states or (kept.OPEN,))
            return sorted(
                (one.product, one.table, str(one.kind), one.subject, str(one.severity))
                for one in found
                if one.kind not in FACTS
            )

    def notices(self) -> list[outbox.Notice]:
        """Return what was said, oldest first, objectives apart."""
        with Operations.open(self.environment.operations) as operations, operations.reading() as con:
            return [one for one in outbox.listed(con) if one.facts["finding"] not in FACTS][::-1]


@contextmanager
def place(root: Path, storage: str = "sqlite", **changes: Any) -> Iterator[Place]:
    """Open a shop with a Dagster home beside it, whose storage is SQLite or PostgreSQL."""
    home = dagster_home(root / "home", dagster_database() if storage == "postgres" else "")
    make_shop(root)
    wiring = environment(root, directory=ANA, **changes)
    mine = compile_domain(root / "assets/shop", environment=wiring)
    others = dg.Definitions(assets=[foreign])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield Place(root, instance, dg.Definitions.merge(mine, others), wiring)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    """A shop on SQLite."""
    with place(tmp_path) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A shop on each storage."""
    with place(tmp_path, request.param) as found:
        yield found


def test_checks_of_ones_own(either: Place) -> None:
    """A WARN in a successful run, a check that raised, one that said nothing: one incident each, without any value."""
    customers = ("shop/orders", "customers")
    either.tick()
    assert either.checks("looked_at").success
    assert not either.checks("raises").success
    assert either.checks("says_nothing").success
    either.tick()
    assert [
        (*customers, "check", "looked_at", "warning"),
        (*customers, "check", "raises", "error"),
        (*customers, "check", "says_nothing", "error"),
    ] == either.incidents()
    assert ["opened"] * 3 == [one.kind for one in either.notices()]
    assert not any("secret" in one.body for one in either.notices())
    assert "nothing new" == either.tick()


def test_a_run_that_never_started(either: Place) -> None:
    """A run that waits, one whose launch failed and one that was cancelled before it began are one incident."""
    either.tick()
    either.asked_for(job_name(ORDERS), dg.DagsterRunStatus.NOT_STARTED)
    launched = either.asked_for(job_name(ORDERS), dg.DagsterRunStatus.NOT_STARTED)
    either.instance.report_run_failed(launched, "the launcher is out of memory")
    either.tick()
    pipeline = (ORDERS, "", "pipeline", "refresh", "error")
    assert [pipeline] == either.incidents()
    (notice,) = either.notices()
    assert "a run never started" in notice.subject
    assert "out of memory" in notice.body
    cancelled = either.asked_for(job_name(ORDERS), dg.DagsterRunStatus.NOT_STARTED)
    either.instance.report_run_canceled(cancelled)
    either.tick()
    assert ([pipeline], 1) == (either.incidents(), len(either.notices()))
    assert either.run(job_name(ORDERS), tags=DAYS).success
    either.tick()
    assert ([], [pipeline]) == (either.incidents(), either.incidents(kept.RESOLVED))
    assert ["opened", "recovered"] == [one.kind for one in either.notices()]


def test_a_run_that_waits_for_too_long(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run in the queue is told once it has waited for long enough, once however often one looks."""
    here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.NOT_STARTED)
    here.tick()
    assert [] == here.incidents()
    monkeypatch.setattr(sightings, "LATE", timedelta(0))
    for _ in range(3):
        here.tick()
    assert [(ORDERS, "", "pipeline", "refresh", "error")] == here.incidents()
    assert ["shop/orders: a run does not start"] == [one.subject.partition("] ")[2] for one in here.notices()]


def test_what_the_ledger_tells_dagster_does_not_tell_again(here: Place) -> None:
    """A refused release is one incident, by the rule that refused it, although its run failed too."""
    here.tick()
    write_orders(here.root, bad={3: "3,3,2024-01-01,-7"})
    assert not here.run(job_name(ORDERS), tags=DAYS).success
    here.tick()
    assert [(ORDERS, "orders", "check", "amount.range", "error")] == here.incidents()
    write_orders(here.root)
    assert here.run(job_name(ORDERS), tags=DAYS).success
    here.tick()
    assert [] == here.incidents()
    assert ["opened", "recovered"] == [one.kind for one in here.notices()]


def test_a_release_that_waits_for_the_rest_of_a_backfill(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that leaves the release to a later one gives no result of its check, and nothing is wrong with that."""
    here.tick()
    with monkeypatch.context() as patched:
        patched.setattr("dataproducts.compile.assets.is_last_of_backfill", lambda _context: False)
        assert here.run(job_name(ORDERS), tags=DAYS).success
    here.tick()
    assert [] == here.incidents()


def test_a_run_that_could_not_begin(here: Place) -> None:
    """Where the upstream has no release no refresh begins, and the run says why; a run of no product is not told."""
    here.tick()
    assert not here.run(job_name(REVENUE)).success
    assert not here.run("__ASSET_JOB", asset_selection=[dg.AssetKey(["elsewhere", "thing"])]).success
    here.tick()
    assert [(REVENUE, "", "pipeline", "refresh", "error")] == here.incidents()


def test_a_table_made_by_hand_is_no_killed_refresh(here: Place) -> None:
    """One table alone leaves a candidate and no release: its run ended well, and nothing is wrong."""
    assert here.run(job_name(ORDERS), asset_selection=[table_key(ORDERS, "customers")]).success
    here.tick()
    here.tick()
    assert [] == here.incidents()


def test_an_audit_that_cannot_be_run(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An audit that fails is an incident of its own, which the next audit closes and no release does."""
    assert here.run(job_name(ORDERS), tags=DAYS).success
    here.tick()

    def broken(*_: Any, **__: Any) -> None:
        raise KeyError("secret@example.com")

    with monkeypatch.context() as patched:
        patched.setattr("dataproducts.compile.audit.audit", broken)
        assert not here.run(audit_job_name(ORDERS)).success
    here.tick()
    assert [(ORDERS, "", "pipeline", "audit", "error")] == here.incidents()
    assert "secret" not in here.notices()[-1].body
    assert here.run(audit_job_name(ORDERS)).success
    here.tick()
    assert [] == here.incidents()


def test_a_release_that_dagster_calls_late(either: Place) -> None:
    """Dagster's word counts once the watch had the time to say so itself, and not where it did; a release ends it."""
    either.tick()
    becomes(either, FreshnessState.FAIL, minutes=1)
    either.tick()
    assert [] == either.incidents()
    becomes(either, FreshnessState.FAIL, minutes=60)
    either.tick()
    either.tick()
    assert [(ORDERS, "", "stale", "release", "warning")] == either.incidents()
    assert ["opened"] == [one.kind for one in either.notices()]
    becomes(either, FreshnessState.PASS, minutes=0)
    either.tick()
    assert [] == either.incidents()
    with Operations.open(either.environment.operations) as operations, operations.writing() as con:
        subject, now = Subject(ORDERS, FindingKind.MISSING, "schedule"), datetime.now(UTC)
        record(con, [Finding(subject, "no load", Severity.ERROR, now, now)], [], products={}, now=now)
    becomes(either, FreshnessState.FAIL, minutes=60)
    either.tick()
    assert [(ORDERS, "", "missing", "schedule", "error")] == either.incidents()


def becomes(here: Place, new: FreshnessState, *, minutes: int) -> None:
    """Let Dagster find the release of orders in a state, as its freshness daemon does, so many minutes ago."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    change = FreshnessStateChange(
        key=release_key(ORDERS),
        previous_state=FreshnessState.UNKNOWN,
        new_state=new,
        state_change_timestamp=at.timestamp(),
    )
    here.instance._report_runless_asset_event(change)


def test_the_place_stays_before_what_may_be_joined(either: Place) -> None:
    """What has come in lately is remembered by id, and the place moves past it once nothing can come before it."""
    either.tick()
    either.checks("looked_at")
    first = reading(either)
    assert first["seen"]
    assert not first["ends"]
    assert first == reading(either)
    later = sightings._read(
        either.instance, sightings._Place.of(json.dumps(first)), datetime.now(UTC) + timedelta(hours=1)
    )
    assert ([], ()) == (later[0], later[1].seen)
    assert max(later[1].ends.values()) == max(first["seen"])


def reading(here: Place) -> dict[str, Any]:
    """Let the sensor look once, and return the place that it keeps."""
    here.tick()
    with Operations.open(here.environment.operations) as operations, operations.reading() as con:
        return json.loads(bookmark(con, "dagster shop"))


def test_a_check_that_its_code_location_has_no_more(here: Place) -> None:
    """A check of one's own that was removed is closed by its own code location, and by no other."""
    here.tick()
    where = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mine"), "__repository__")
    run = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.FAILURE, remote_job_origin=RemoteJobOrigin(where, "j"))
    unknown = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.FAILURE)
    now = datetime.now(UTC)
    found = [
        Finding(Subject(ORDERS, FindingKind.CHECK, name, table), "no", Severity.ERROR, now, now, detail)
        for name, table, of in (("a", "customers", run), ("b", "", run), ("c", "customers", unknown))
        for detail in ({"origin": "dagster", "run_id": of.run_id, "sighting": f"run {of.run_id}"},)
    ]
    with Operations.open(here.environment.operations) as operations, operations.writing() as con:
        record(con, found, [], products={}, now=now)
    kept_check = dg.AssetCheckKey(table_key(ORDERS, "customers"), "a")
    own = here.definitions.get_repository_def().asset_graph.asset_check_keys

    def looks(location: str, *checks: dg.AssetCheckKey) -> list[str]:
        offered = Offered(location, {*own, *checks})
        runtime, products = Runtime(here.environment, {}), {ORDERS: product(here.root, ORDERS)}
        look(here.instance, products, runtime, name="shop", offered=offered)
        return [name for _, _, kind, name, _ in here.incidents() if kind == "check"]

    assert ["b", "a", "c"] == looks("another")
    assert ["a", "c"] == looks("mine", kept_check)
    assert ["c"] == looks("mine")


LOST = [(ORDERS, "", "pipeline", "refresh", "error")]


def test_a_history_that_began_anew(here: Place) -> None:
    """Where Dagster's database is another one, what fails in it is told, though its ids are small again."""
    here.tick()
    place = reading(here) | {"ends": {str(kind.value): 250_000 for kind in sightings._ENDS}, "storage": "another"}
    forget(here, place)
    fails(here)
    here.tick()
    assert LOST == here.incidents()
    assert max(reading(here)["seen"]) < 250_000
    assert "nothing new" == here.tick()


def test_a_history_taken_back_to_an_earlier_state(either: Place) -> None:
    """A place beyond the end of the log is that of a log that was lost: one day of it is read again."""
    either.tick()
    forget(either, reading(either) | {"ends": {str(kind.value): 250_000 for kind in sightings._ENDS}})
    fails(either)
    either.tick()
    assert LOST == either.incidents()
    assert "nothing new" == either.tick()


def forget(here: Place, place: dict[str, Any]) -> None:
    """Let the sensor have read up to another place."""
    with Operations.open(here.environment.operations) as operations, operations.writing() as con:
        move_bookmark(con, "dagster shop", json.dumps(place), now=datetime.now(UTC))


def fails(here: Place) -> None:
    """Let a run fail before it begins a refresh."""
    run = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.STARTED)
    here.instance.report_run_failed(run, "boom")


def test_a_first_failure_after_a_weekend(here: Place) -> None:
    """A kind of end that never came before is read from the first look on, however long nobody looked since."""
    here.tick()
    before = sightings._Place.of(json.dumps(reading(here)))
    fails(here)
    found, after = sightings._read(here.instance, before, datetime.now(UTC) + timedelta(days=3))
    assert 1 == len(found)
    assert ([], after) == sightings._read(here.instance, after, datetime.now(UTC) + timedelta(days=6))


def test_tables_made_by_hand_are_not_waited_for(here: Place) -> None:
    """Runs that made one table and ended well leave nothing behind that is asked about at every look."""
    here.tick()
    for _ in range(3):
        assert here.run(job_name(ORDERS), asset_selection=[table_key(ORDERS, "customers")]).success
        here.tick()
    assert here.run(job_name(ORDERS), tags=DAYS).success
    here.tick()
    with Operations.open(here.environment.operations) as operations, operations.reading() as con:
        assert [] == json.loads(bookmark(con, f"findings {ORDERS}"))["open"]
    assert [] == here.incidents()


def test_a_product_whose_files_are_gone(here: Place) -> None:
    """What was open about it is closed by its own domain, once its files can be read and do not have it."""
    elsewhere, lost = ("till/other", "", "check", "b", "error"), ("shop/lost", "", "check", "a", "error")
    here.tick()
    now = datetime.now(UTC)
    found = [
        Finding(Subject(p, FindingKind(k), n, t), "no", Severity.ERROR, now, now) for p, t, k, n, _ in (elsewhere, lost)
    ]
    with Operations.open(here.environment.operations) as operations, operations.writing() as con:
        record(con, found, [], products={}, now=now)
    broken = here.root / "assets/shop/orders/contracts/orders.odcs.yaml"
    text = broken.read_text(encoding="utf-8")
    broken.write_text("schema: [", encoding="utf-8")
    here.tick()
    assert [lost, elsewhere] == here.incidents()
    broken.write_text(text, encoding="utf-8")
    here.tick()
    assert ([elsewhere], [lost]) == (here.incidents(), here.incidents(kept.RESOLVED))


def test_more_ends_than_a_page_holds(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends of runs that come at once are all read, page by page."""
    monkeypatch.setattr(sightings, "PAGE", 2)
    here.tick()
    for _ in range(7):
        run = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.NOT_STARTED)
        here.instance.report_run_failed(run, "no")
    here.tick()
    with Operations.open(here.environment.operations) as operations, operations.reading() as con:
        (incident,) = [one for one in kept.listed(con) if one.kind not in FACTS]
        assert 7 == incident.seen
    assert len(reading(here)["seen"]) == 7


def test_whether_the_run_of_a_refresh_goes_on(here: Place) -> None:
    """A run that failed is over, one that goes on is not; of one that is old, or lost, nobody knows."""
    from dataproducts.release import Refresh

    now = datetime.now(UTC)
    going = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.STARTED)
    failed = here.asked_for(job_name(ORDERS), dg.DagsterRunStatus.FAILURE)
    refresh = Refresh("r", ORDERS, None, {}, going.run_id, now)
    assert sightings.run_state(here.instance, refresh, now) is RunState.GOING
    assert sightings.run_state(here.instance, refresh, now + timedelta(hours=3)) is RunState.UNKNOWN
    assert sightings.run_state(here.instance, replace(refresh, run_id=failed.run_id), now) is RunState.DEAD
    assert sightings.run_state(here.instance, replace(refresh, run_id="gone"), now) is RunState.UNKNOWN
    again = here.asked_for(
        job_name(ORDERS),
        dg.DagsterRunStatus.STARTED,
        tags={"dagster/root_run_id": failed.run_id, "dagster/parent_run_id": failed.run_id},
    )
    assert again.root_run_id in {None, failed.run_id}
    assert sightings.run_state(here.instance, replace(refresh, run_id=failed.run_id), now) is RunState.GOING
