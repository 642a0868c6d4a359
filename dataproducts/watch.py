"""One look at everything that may be wrong, and telling whom it concerns; it must not know Dagster, or how it is told.

What was read, what became of it and what is to be said are committed together: whoever is killed at any point leaves
either nothing or all of it, and the next look goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts import alerts, trackers
from dataproducts.alerts.deliver import PATIENCE, Delivered
from dataproducts.alerts.send import send as send_one
from dataproducts.alerts.watchdog import beat
from dataproducts.causes import SPENT, Episode, bad_last, fold
from dataproducts.errors import DataProductError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import REASON, RELEASE, RunState, read_findings
from dataproducts.incidents import Links, is_unsubscribed, note_consequences, record, unsettled
from dataproducts.lifecycle.reviews import dues, reminders
from dataproducts.lifecycle.states import standings
from dataproducts.operations import bookmark, measurements, move_bookmark
from dataproducts.operations.incidents import open_about, settled
from dataproducts.product import Severity
from dataproducts.restored import restored
from dataproducts.slo import evaluate, findings
from dataproducts.status.health import record_health

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection

    from dataproducts.alerts.deliver import Send
    from dataproducts.directory import Directory
    from dataproducts.findings import StateOfRun
    from dataproducts.incidents import Change
    from dataproducts.operations import Operations
    from dataproducts.operations.outbox import Notice
    from dataproducts.product import DataProduct
    from dataproducts.release import Refresh
    from dataproducts.slo.evaluate import Attained
    from dataproducts.standing import Standing
    from dataproducts.warehouse import Warehouse

EVERY = timedelta(minutes=5)
"""How often objectives are measured, however often one looks."""

OBJECTIVES = "objectives"
"""The name of what is wrong where the objectives of a product cannot be measured."""

_LATE = (FindingKind.STALE, FindingKind.MISSING)
_NONE: Mapping[str, DataProduct] = MappingProxyType({})


def _nobody_knows(_refresh: Refresh) -> RunState:
    return RunState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Told:
    """What another witness than the ledger saw, between two places of its `bookmark`: Dagster, for instance.

    It is believed if the bookmark is still at `since`, and then moved to `until`; else another watcher was faster.
    """

    bookmark: str
    since: str
    until: str
    findings: tuple[Finding, ...] = ()
    recoveries: tuple[Recovery, ...] = ()


@dataclass(frozen=True, slots=True)
class Watcher:
    """Who looks, and how: `name` is that of its heartbeat, and empty for one that has none, as in a replay.

    `known` are all products that may read those that are watched, and `gone` the addresses of those that no file
    declares any more. `every` is how often objectives are measured, and `patience` how long one delivery may take.
    `run_state` tells what became of the run of a refresh.
    """

    name: str = ""
    known: Mapping[str, DataProduct] = field(default_factory=lambda: _NONE)
    gone: frozenset[str] = frozenset()
    run_state: StateOfRun = _nobody_knows
    every: timedelta = EVERY
    patience: timedelta = PATIENCE
    send: Send = send_one


@dataclass(frozen=True, slots=True)
class Watched:
    """What one look came to: findings, what became of incidents, notices put in, and what was delivered."""

    findings: int
    recoveries: int
    changes: tuple[Change, ...]
    notices: tuple[Notice, ...]
    measured: tuple[str, ...]
    delivered: Delivered

    def __str__(self) -> str:
        """Render as one line: what there was, and nothing of what there was not."""
        counts = {what: sum(change.what == what for change in self.changes) for what in _TOLD}
        parts = [f"{number} {what}" for what, number in counts.items() if number]
        sent = {"sent": self.delivered.sent, "failed": self.delivered.failed, "given up": self.delivered.dropped}
        parts += [
            f"{number} {'notice' if number == 1 else 'notices'} {what}" for what, number in sent.items() if number
        ]
        return ", ".join(parts) or "nothing new"


_TOLD = ("opened", "reopened", "worsened", "resolved")


def watch(
    warehouse: Warehouse,
    operations: Operations,
    products: Mapping[str, DataProduct],
    *,
    directory: Directory,
    now: datetime,
    runs: Sequence[Told] = (),
    by: Watcher | None = None,
) -> Watched:
    """Look once at `products`, record what is wrong or right again, queue what is to be said of it and deliver.

    What is retired, or gone, is looked at no more, and what was open about it is closed. `runs` is what Dagster told.
    Looking again without anything new changes nothing but the heartbeat. Who looks at the same products meanwhile
    waits, and finds nothing new.
    Raises: StoreError, if the ledger or the operations database cannot be used; nothing is lost by it.
    """
    by = by or Watcher()
    known = {**by.known, **products}
    how = standings(warehouse.environment, products.values())
    retired = {address for address in products if how[address].is_retired}
    products = {address: product for address, product in products.items() if address not in retired}
    measured = [
        found
        for product in products.values()
        if (found := _measure(warehouse, operations, product, by, now, is_scheduled=how[product.address].is_scheduled))
    ]
    with operations.writing() as con:
        back = restored(warehouse, con, products, open_about(con, products).values(), now=now)
        seen = read_findings(warehouse.ledger, con, products, now=now, run_state=by.run_state)
        due, done = _reviews(con, warehouse, products, how, now)
        told = [one for one in (*runs, *(found.told for found in measured)) if bookmark(con, one.bookmark) == one.since]
        wrong = unsettled(con, [*seen.findings, *due, *(finding for one in told for finding in one.findings)])
        right = [*back, *seen.recoveries, *done, *(recovery for one in told for recovery in one.recoveries)]
        already = [one.about for one in open_about(con, {*known, *by.gone}).values()]
        right += [Recovery(one, now, {"reason": "retired"}) for one in already if one.product in retired]
        right += [Recovery(one, now, {"reason": REASON}) for one in already if one.product in by.gone]
        past = _past(con, wrong, known)
        own, following = fold(_unsaid(wrong, already, products), already, known, past=past)
        changes = record(con, own, right, products=known, now=now, links=Links(run=directory.run_url))
        note_consequences(con, following, now=now)
        notices = alerts.queue(con, changes, directory=directory, products=known, now=now)
        believed = [found for found in measured if found.told in told]
        _keep(con, warehouse, products, believed, now)
        for one in told:
            move_bookmark(con, one.bookmark, one.until, now=now)
        if by.name and not warehouse.is_replay:
            beat(con, now=now)
            move_bookmark(con, f"watch {by.name}", "", now=now)
    delivered = alerts.deliver(operations, directory, now=now, send=by.send, patience=by.patience)
    trackers.sync(operations, warehouse.environment.trackers, now=now)
    return Watched(
        findings=len(wrong),
        recoveries=len(right),
        changes=changes,
        notices=notices,
        measured=tuple(found.product for found in believed),
        delivered=delivered,
    )


def _reviews(
    con: Connection,
    warehouse: Warehouse,
    products: Mapping[str, DataProduct],
    how: Mapping[str, Standing],
    now: datetime,
) -> tuple[tuple[Finding, ...], tuple[Recovery, ...]]:
    """Which products are to be reviewed, or shall be gone by now: in production alone, where somebody answers."""
    if not warehouse.environment.is_production:
        return (), ()
    return reminders(dues(con, products.values(), how, now=now), now=now, products=products.values())


def _unsaid(wrong: Iterable[Finding], already: Iterable[Subject], products: Mapping[str, DataProduct]) -> list[Finding]:
    """Return `wrong` without what opens no incident: what a product does not want to be told of, and repetitions.

    A finding with `detail.unless` only repeats, from further away, that a product's data is late.
    """
    wanted = [one for one in wrong if not _is_ignored(one, products)]
    about = [*already, *(finding.subject for finding in wanted if not finding.detail.get("unless"))]
    late = {subject.product for subject in about if subject.kind in _LATE and subject.name != RELEASE}
    return [one for one in wanted if not one.detail.get("unless") or one.subject.product not in late]


def _past(con: Connection, wrong: Sequence[Finding], known: Mapping[str, DataProduct]) -> list[Episode]:
    """What was wrong, and is over, since the first moment that a budget still counts as its last bad one."""
    spent = [bad_last(one) for one in wrong if one.subject.kind in SPENT]
    return [Episode(*one) for one in settled(con, known, min(spent))] if spent else []


def _is_ignored(finding: Finding, products: Mapping[str, DataProduct]) -> bool:
    product = products.get(finding.subject.product)
    return product is not None and is_unsubscribed(product, finding.subject)


@dataclass(frozen=True, slots=True)
class _Measured:
    """The objectives of one product at one moment, and what they say is wrong."""

    product: str
    attained: tuple[Attained, ...]
    told: Told


def _keep(
    con: Connection,
    warehouse: Warehouse,
    products: Mapping[str, DataProduct],
    measured: Iterable[_Measured],
    now: datetime,
) -> None:
    """Keep what was measured, and the health that follows from it."""
    for found in measured:
        measurements.record(con, evaluate.measurements(found.attained))
        if found.attained:
            product, production = products[found.product], warehouse.environment.is_production
            record_health(con, product, found.attained, production=production, now=now)


def _measure(
    warehouse: Warehouse,
    operations: Operations,
    product: DataProduct,
    by: Watcher,
    now: datetime,
    *,
    is_scheduled: bool,
) -> _Measured | None:
    """Measure what `product` promises, if that was not done lately; None if it was."""
    name = f"{OBJECTIVES} {product.address}"
    subject = Subject(product.address, FindingKind.WATCHDOG, OBJECTIVES)
    # Outside of the write transaction, which others wait for; what is said of it counts only if nobody was faster.
    with operations.reading() as con:
        since = bookmark(con, name)
        if since and now - datetime.fromisoformat(since) < by.every:
            return None
        try:
            attained, wrong, right = _evaluated(warehouse, con, product, now)
            right += findings.undeclared(product, attained, con, now=now, is_scheduled=is_scheduled)
        # A fault in the measuring of one product must not silence what is known of all others.
        except Exception as error:  # noqa: BLE001 - process edge: indicators read whatever was recorded
            said = str(error) if isinstance(error, DataProductError) else type(error).__name__
            title = f"{product.address}: its objectives cannot be measured"
            failure = Finding(subject, title, Severity.ERROR, now, now, {"message": said})
            return _Measured(product.address, (), Told(name, since, now.isoformat(), (failure,)))
    right = (*right, Recovery(subject, now))
    return _Measured(product.address, attained, Told(name, since, now.isoformat(), wrong, right))


def _evaluated(
    warehouse: Warehouse, con: Connection, product: DataProduct, now: datetime
) -> tuple[tuple[Attained, ...], tuple[Finding, ...], tuple[Recovery, ...]]:
    clock, production = warehouse.frozen_clock, warehouse.environment.is_production
    attained = evaluate.evaluate(product, warehouse.ledger, con, now=now, clock=clock, production=production)
    wrong, right = findings.findings(attained)
    load = findings.missing(product, warehouse.ledger, con, now=now, clock=clock, production=production)
    wrong += (load,) if isinstance(load, Finding) else ()
    right += (load,) if isinstance(load, Recovery) else ()
    return attained, wrong, right
