"""What Dagster knows of runs and the ledger does not: runs that never began a refresh, and checks that never came.

It must not record anything: whoever does so moves the bookmark with it, in one transaction of the operations database,
so that neither a crash nor a second watcher loses a run or counts it twice.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.execution.backfill import BulkActionStatus
from dagster._core.storage.tags import ROOT_RUN_ID_TAG

from dataproducts.compile.describe import release_key
from dataproducts.compile.run_findings import RunFindings
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import RELEASE, pipeline_subject
from dataproducts.product import Severity
from dataproducts.watch import Told

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.ledger import Ledger
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
    """How far Dagster's event log was read: all up to the ids `ends`, by type, and beyond them the ids `seen`."""

    ends: Mapping[str, int] = field(default_factory=dict)
    seen: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str) -> _Place:
        data = json.loads(text) if text else {}
        return cls(data.get("ends", {}), tuple(data.get("seen", ())))

    def __str__(self) -> str:
        return json.dumps({"ends": dict(self.ends), "seen": list(self.seen)}, sort_keys=True)


def sight(
    instance: dg.DagsterInstance,
    products: Mapping[str, DataProduct],
    *,
    ledger: Ledger,
    bookmark: str,
    since: str,
    now: datetime,
) -> Told:
    """Return what the runs of `products` that ended after the place `since` say, and how others stand.

    `bookmark` is the name of the place. A first look goes a day back. Works on every storage of Dagster's.
    """
    reader = RunFindings(instance, products, ledger)
    ends, after = _read(instance, _Place.of(since), now)
    found = [*_freshness(instance, products, now), *_waiting(instance, reader, now)]
    for end in ends:
        found += reader.of(end.run_id, datetime.fromtimestamp(end.event_log_entry.timestamp, UTC))
    wrong = tuple(one for one in found if isinstance(one, Finding))
    return Told(bookmark, since, str(after), wrong, tuple(one for one in found if isinstance(one, Recovery)))


def _read(instance: dg.DagsterInstance, place: _Place, now: datetime) -> tuple[list[Any], _Place]:
    """Return the ends of runs that were not read yet, in their order, and the place after them.

    PostgreSQL gives out ids before it commits: what has just come in may still be joined by something with a smaller
    id, so the place stays before it, and remembers what was read beyond.
    """
    new, seen, ends = list[Any](), list[int](), dict[str, int](place.ends)
    settled = (now - _UNSETTLED).timestamp()
    for kind in _ENDS:
        records = list(_pages(instance, kind, place.ends.get(kind.value), now))
        new += (record for record in records if record.storage_id not in place.seen)
        old = [record.storage_id for record in records if record.event_log_entry.timestamp <= settled]
        if old:
            ends[kind.value] = max(old)
        seen += (record.storage_id for record in records if record.storage_id > ends.get(kind.value, 0))
    new.sort(key=lambda record: record.storage_id)
    return new, _Place(ends, tuple(seen))


def _pages(instance: dg.DagsterInstance, kind: Any, done: int | None, now: datetime) -> Iterator[Any]:
    """Yield the ends of one kind after the id `done`, or those of the last day where nothing was read before."""
    start = (now - _FIRST).timestamp() if done is None else None
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


def is_alive(instance: dg.DagsterInstance, refresh: Refresh, now: datetime) -> bool | None:
    """Return whether the run of `refresh` goes on; None where Dagster cannot tell.

    A run that ended well and released nothing (one table, made by hand) killed nothing: it counts as going on.
    """
    backfill = instance.get_backfill(refresh.id)
    if backfill is not None:
        is_over = backfill.status.value.startswith(("COMPLETED", "FAILED", "CANCELED"))
        return not is_over or backfill.status is BulkActionStatus.COMPLETED_SUCCESS
    if not refresh.run_id:
        return None
    resumed = instance.get_runs(dg.RunsFilter(tags={ROOT_RUN_ID_TAG: refresh.run_id}))
    runs = [run for run in (instance.get_run_by_id(refresh.run_id), *resumed) if run is not None]
    if not runs:
        return None
    going = [run for run in runs if run.status not in _ENDED]
    if not going:
        return any(run.is_success for run in runs)
    # A process that is killed says nothing: only where runs are monitored does Dagster find out.
    young = now - refresh.started_at < _LONGEST
    return True if young or instance.run_monitoring_enabled else None
