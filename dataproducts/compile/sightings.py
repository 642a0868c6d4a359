"""What Dagster knows of runs and the ledger does not: runs that never began a refresh, and checks that never came.

It must not record anything: whoever does so moves the bookmark with it, in one transaction of the operations database,
so that neither a crash nor a second watcher loses a run or counts it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.runs import SqlRunStorage
from dagster._core.storage.tags import ROOT_RUN_ID_TAG

from dataproducts.compile.describe import release_key
from dataproducts.compile.run_findings import Offered, RunFindings
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import RELEASE, RunState, pipeline_subject
from dataproducts.product import Severity
from dataproducts.watch import Told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dataproducts.ledger import Ledger
    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct
    from dataproducts.release import Refresh

_ENDS = (dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED)
_WAITS = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING]
_ENDED = frozenset({dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED})

PAGE = 200
_PAGES = 20  # what is beyond them is read at the next look

LATE = timedelta(minutes=15)
"""How long a run may wait before it counts as one that never started."""

_OLDEST = timedelta(days=7)  # what has waited for longer was told long ago
_FIRST = timedelta(days=1)  # how far back a first look goes
_UNSETTLED = timedelta(minutes=2)  # an event may be committed this long after one with a greater id
_LONGEST = timedelta(hours=2)  # how long a run that nobody monitors is believed to be alive
_GRACE = timedelta(minutes=15)  # the time that the watch has to say by itself that data is stale


@dataclass(frozen=True, slots=True)
class _Place:
    """How far Dagster's event log was read: all up to the ids `ends`, by type, and beyond them the ids `seen`.

    Of a type without an end, nothing was read from before the moment `first`. `storage` is which log it was.
    """

    ends: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[int, ...] = ()
    first: str = ""
    storage: str = ""

    @classmethod
    def of(cls, text: str) -> _Place:
        data = json.loads(text) if text else {}
        names = {name: data.get(name, "") for name in ("first", "storage")}
        return cls(data.get("ends", {}), tuple(data.get("seen", ())), **names)

    def __str__(self) -> str:
        told = {"ends": dict(self.ends), "seen": list(self.seen), "first": self.first, "storage": self.storage}
        return json.dumps(told, sort_keys=True)


def sight(
    instance: dg.DagsterInstance,
    products: Mapping[str, DataProduct],
    *,
    ledger: Ledger,
    bookmark: str,
    since: str,
    now: datetime,
    already: Iterable[Incident] = (),
    offered: Offered | None = None,
) -> Told:
    """Return what the runs of `products` that ended after the place `since` say, and how others stand.

    Of the open incidents `already`, those end whose check is not among those `offered`, where these are known.
    `bookmark` is the name of the place. A first look goes a day back, and so does one at a log that began anew or was
    taken back to an earlier state. Works on every storage of Dagster's.
    """
    reader = RunFindings(instance, products, ledger)
    ends, after = _read(instance, _Place.of(since), now)
    found = [*_freshness(instance, products, now), *_waiting(instance, reader, now)]
    for end in ends:
        found += reader.of(end.run_id, datetime.fromtimestamp(end.event_log_entry.timestamp, UTC))
    if offered is not None:
        found += reader.unoffered(already, offered, now)
    wrong = tuple(one for one in found if isinstance(one, Finding))
    return Told(bookmark, since, str(after), wrong, tuple(one for one in found if isinstance(one, Recovery)))


def _read(instance: dg.DagsterInstance, place: _Place, now: datetime) -> tuple[list[Any], _Place]:
    """Return the ends of runs that were not read yet, in their order, and the place after them.

    PostgreSQL gives out ids before it commits: what has just come in may still be joined by something with a smaller
    id, so the place stays before it, and remembers what was read beyond.
    """
    fresh = _Place(first=(now - _FIRST).isoformat(), storage=_storage(instance))
    if place.storage not in {"", fresh.storage}:
        place = fresh
    place = replace(place, first=place.first or fresh.first, storage=fresh.storage)
    pages = _pages(instance, place)
    if not any(pages.values()) and _is_ahead(instance, place):
        place, pages = fresh, _pages(instance, fresh)
    new, seen, ends = list[Any](), list[int](), dict[str, int](place.ends)
    settled = (now - _UNSETTLED).timestamp()
    for kind, records in pages.items():
        new += (record for record in records if record.storage_id not in place.seen)
        old = [record.storage_id for record in records if record.event_log_entry.timestamp <= settled]
        if old:
            ends[kind.value] = max(old)
        seen += (record.storage_id for record in records if record.storage_id > ends.get(kind.value, 0))
    new.sort(key=lambda record: record.storage_id)
    return new, replace(place, ends=ends, seen=tuple(seen))


def _storage(instance: dg.DagsterInstance) -> str:
    """Return what Dagster calls its database: another one counts its events anew."""
    runs = instance.run_storage
    return runs.get_run_storage_id() if isinstance(runs, SqlRunStorage) else ""


def _is_ahead(instance: dg.DagsterInstance, place: _Place) -> bool:
    """Whether the log ends before `place`: it was taken back to an earlier state."""
    for kind in _ENDS:
        if kind.value in place.ends:
            newest = instance.fetch_run_status_changes(kind, limit=1).records
            if not newest or newest[0].storage_id < place.ends[kind.value]:
                return True
    return False


def _pages(instance: dg.DagsterInstance, place: _Place) -> dict[Any, list[Any]]:
    """Return the ends of runs after `place`, by kind."""
    return {kind: list(_after(instance, kind, place.ends.get(kind.value), place.first)) for kind in _ENDS}


def _after(instance: dg.DagsterInstance, kind: Any, done: int | None, first: str) -> Iterator[Any]:
    """Yield the ends of one kind after the id `done`, or since the moment `first` where none was read before."""
    start = datetime.fromisoformat(first).timestamp() if done is None else None
    asked = dg.RunStatusChangeRecordsFilter(kind, after_storage_id=done, after_timestamp=start)
    cursor = None
    for _ in range(_PAGES):
        page = instance.fetch_run_status_changes(asked, limit=PAGE, cursor=cursor, ascending=True)
        yield from page.records
        cursor = page.cursor
        if not page.has_more:
            return


def _waiting(instance: dg.DagsterInstance, reader: RunFindings, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each product that has a run which waits for too long; the first is told of."""
    asked = dg.RunsFilter(statuses=_WAITS, created_before=now - LATE, created_after=now - _OLDEST)
    for record in instance.get_run_records(asked, limit=PAGE, ascending=True):
        run = record.dagster_run
        for address in reader.products_of(run):
            begun = record.create_timestamp.replace(tzinfo=UTC)
            told = f"run {run.run_id[:8]} was asked for at {begun:%Y-%m-%d %H:%M} UTC and has not started"
            detail = {"message": told, "run_id": run.run_id, "sighting": f"{run.run_id} waits", "origin": "refresh"}
            title = f"{address}: a run does not start"
            yield Finding(pipeline_subject(address), title, Severity.ERROR, begun, now, detail)


def _freshness(
    instance: dg.DagsterInstance, products: Mapping[str, DataProduct], now: datetime
) -> Iterator[Finding | Recovery]:
    """Yield which releases Dagster calls late or fresh; the watch says so first wherever it measures the same SLA."""
    keys = {release_key(address): address for address in products}
    for key, record in instance.get_freshness_state_records(list(keys)).items():
        subject = Subject(keys[key], FindingKind.STALE, RELEASE)
        at = record.updated_at
        if record.freshness_state is FreshnessState.FAIL and at + _GRACE <= now:
            told = f"Dagster calls its release late since {at:%Y-%m-%d %H:%M} UTC"
            detail = {"message": told, "sighting": f"late {at.isoformat()}", "unless": "stale"}
            yield Finding(subject, f"{keys[key]}: no release for too long", Severity.WARNING, at, now, detail)
        elif record.freshness_state in {FreshnessState.PASS, FreshnessState.WARN}:
            yield Recovery(subject, max(at, now))


def run_state(instance: dg.DagsterInstance, refresh: Refresh, now: datetime) -> RunState:
    """Return what became of the run of `refresh`, or of the backfill, as far as Dagster can tell."""
    backfill = instance.get_backfill(refresh.id)
    if backfill is not None:
        if not backfill.status.value.startswith(("COMPLETED", "FAILED", "CANCELED")):
            return RunState.GOING
        return RunState.DONE if backfill.status is BulkActionStatus.COMPLETED_SUCCESS else RunState.DEAD
    if not refresh.run_id:
        return RunState.UNKNOWN
    resumed = instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: refresh.run_id}))
    runs = [run for run in (instance.get_run_by_id(refresh.run_id), *resumed) if run is not None]
    if not runs:
        return RunState.UNKNOWN
    if all(run.status in _ENDED for run in runs):
        return RunState.DONE if any(run.is_success for run in runs) else RunState.DEAD
    # A process that is killed says nothing: only where runs are monitored does Dagster find out.
    young = now - refresh.started_at < _LONGEST
    return RunState.GOING if young or instance.run_monitoring_enabled else RunState.UNKNOWN
