"""What was recorded of one product up to a moment, read once for all of its objectives; it must not judge it.

Nothing that was recorded after that moment is seen, so that a past day can be looked at as it was seen then.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import select

from dataproducts.ledger import timeline
from dataproducts.lifecycle.states import counts
from dataproducts.operations import schema as o
from dataproducts.operations.costs import REPLAYED
from dataproducts.operations.transitions import REVIEW, history
from dataproducts.partitions import due, partitioned_tables
from dataproducts.product import Status
from dataproducts.release import ROLLBACK
from dataproducts.slo.events import Ended, Slot
from dataproducts.slo.slots import last_slot, slots
from dataproducts.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Connection, Row

    from dataproducts.ledger.timeline import Attempted, Judged, Reach
    from dataproducts.operations.transitions import Transition
    from dataproducts.product import DataProduct

ABANDONED = timedelta(hours=24)
"""How long a refresh may take before it counts as dead: what it wrote expires then, and can be published no more."""

FREEZE_PROBE = "freeze"
"""The kind of probe that names, as its subject, a refresh which was not released for a spent budget alone."""

_BASELINE = timedelta(days=60)  # before the window, for what is compared with earlier refreshes


class Facts:
    """The records of `product` between `since` and `now`, each kind read when it is first asked for."""

    def __init__(
        self,
        product: DataProduct,
        ledger: Connection,
        operations: Connection | None,
        *,
        now: datetime,
        since: datetime,
        clock: datetime | None = None,
        production: bool = False,
    ) -> None:
        """Read through the two connections; `operations` is None where there is no such database.

        `clock` is a simulated one that stands still while records are dated by the real time: ages count by it. In
        `production` nothing is active that was not promoted.
        """
        self.product, self.now, self.since, self.clock = product, now, since, clock
        self._production = production
        self.ledger, self._operations = ledger, operations
        self._reaches: dict[str, tuple[Reach, ...]] = {}
        self._partitions: dict[tuple[str, int], frozenset[str]] = {}

    @cached_property
    def origin(self) -> datetime | None:
        """When the product began to owe anything: its first refresh, or its first step; None if there was neither.

        A first refresh that was released is the beginning when it is done: before that nothing could be there.
        """
        moments = [step.at for step in self.steps[:1]]
        if refresh := timeline.first(self.ledger, self.product.address):
            begun, published = refresh
            moments.append(published if published is not None and published <= self.now else begun)
        return min((moment for moment in moments if moment <= self.now), default=None)

    @cached_property
    def steps(self) -> tuple[Transition, ...]:
        """What was recorded of the product's lifecycle, reviews too, oldest first."""
        if self._operations is None:
            return ()
        return tuple(step for step in history(self._operations, self.product.address) if step.at <= self.now)

    @cached_property
    def attempted(self) -> tuple[Attempted, ...]:
        """Every refresh but rollbacks, oldest first, with some from before `since`."""
        found = timeline.attempted(self.ledger, self.product.address, self.since - _BASELINE)
        return tuple(
            one
            for one in found
            if one.started_at <= self.now and one.kind != ROLLBACK and not one.refresh_id.startswith(f"{ROLLBACK}-")
        )

    @cached_property
    def judged(self) -> Mapping[str, tuple[Judged, ...]]:
        """What each refresh judged, by its id."""
        found: dict[str, tuple[Judged, ...]] = {}
        for one in timeline.judged(self.ledger, self.product.address, self.since - ABANDONED):
            if one.judged_at <= self.now:
                found[one.refresh_id] = (*found.get(one.refresh_id, ()), one)
        return found

    @cached_property
    def first_judged(self) -> Mapping[tuple[str, str], datetime]:
        """When each rule was judged for the first time: (table, rule) -> moment."""
        return timeline.first_judged(self.ledger, self.product.address)

    @cached_property
    def published(self) -> tuple[tuple[int, datetime], ...]:
        """Number and moment of each release from `since` on, and of the last one before, in order."""
        found = timeline.published(self.ledger, self.product.address, self.since)
        return tuple((number, at) for number, at in found if at <= self.now)

    def reaches(self, table: str) -> tuple[Reach, ...]:
        """Return how far `table` went in each of the releases that `published` has."""
        if table not in self._reaches:
            found = timeline.reaches(self.ledger, self.product.address, table, self.since)
            self._reaches[table] = tuple(one for one in found if one.published_at <= self.now)
        return self._reaches[table]

    @cached_property
    def costs(self) -> Mapping[str, Row[Any]]:
        """What each refresh cost, by its id."""
        t = o.refresh_cost.c
        rows = self._rows(select(o.refresh_cost).where(t.product == self.product.address, t.at <= self.now))
        return {row.refresh_id: row for row in rows}

    def probes(self, kind: str) -> list[Row[Any]]:
        """Return the answers to probes of `kind` from `since` on, oldest first."""
        t = o.probe.c
        mine = (t.product == self.product.address, t.kind == kind, t.at >= self.since, t.at <= self.now)
        return self._rows(select(o.probe).where(*mine).order_by(t.at, t.id))

    def last_probes(self, kind: str) -> dict[str, bool]:
        """Return how the last probe of `kind` of each subject ended, however long ago."""
        t = o.probe.c
        mine = (t.product == self.product.address, t.kind == kind, t.at <= self.now)
        return {row.subject: row.ok for row in self._rows(select(t.subject, t.ok).where(*mine).order_by(t.at, t.id))}

    @cached_property
    def ended(self) -> tuple[Ended, ...]:
        """Every refresh that is over by now, in the order in which they ended, but those that a freeze refused.

        They would keep the budget spent that froze them.
        """
        frozen = self.last_probes(FREEZE_PROBE)
        found = (self._end(one) for one in self.attempted)
        over = (one for one in found if one.at <= self.now and (one.is_released or one.refresh_id not in frozen))
        return tuple(sorted(over, key=lambda one: one.at))

    def _end(self, one: Attempted) -> Ended:
        """When a refresh was over; one that was not released is over when that is known, not when it stopped."""
        cost = self.costs.get(one.refresh_id)
        if one.published_at is not None and one.published_at <= self.now:
            took = (one.published_at - one.started_at).total_seconds()
            # Where a history is replayed the clock stands still meanwhile, and says nothing.
            measured = None if cost is None or cost.detail.get(REPLAYED) else cost.wall_s
            seconds = measured or took or None
            return Ended(one.refresh_id, one.published_at, is_released=True, seconds=seconds, rows=one.rows)
        if cost is not None:
            return Ended(one.refresh_id, cost.at, is_released=False)
        if one.refused:
            last = max((judged.judged_at for judged in self.judged.get(one.refresh_id, ())), default=one.started_at)
            return Ended(one.refresh_id, last, is_released=False)
        # Once another release took the place of its base, nothing of it can be published any more.
        overtaken = (at for _, at in self.published if at > one.started_at)
        return Ended(one.refresh_id, min((*overtaken, one.started_at + ABANDONED)), is_released=False)

    @cached_property
    def _is_scheduled(self) -> bool:
        """Whether the schedule runs by now: the more careful of the file, which is that of today, and the record."""
        recorded = Status(self._moves[-1].to_status) if self._moves else None
        status = counts(self.product.status, recorded, production=self._production)
        return Standing(self.product.address, status).is_scheduled

    @cached_property
    def _moves(self) -> tuple[Transition, ...]:
        return tuple(step for step in self.steps if step.kind != REVIEW)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Each slot of the schedule since the product owed anything; the last one is still open."""
        schedule = self.product.schedule
        if schedule is None or not self._is_scheduled:
            return ()
        promoted = next((step.at for step in self._moves if step.to_status == Status.ACTIVE), None)
        begun = promoted or self.origin
        if begun is None:
            # Nobody knows since when it has been owed: what was due last is what is missing.
            return last_slot(schedule, self.now)
        return slots(schedule, max(begun, self.since), self.now)

    def began_in(self, slot: Slot) -> bool:
        """Return whether a refresh began in `slot`."""
        return bisect_left(self._starts, slot.start) < bisect_left(self._starts, slot.end)

    @cached_property
    def _starts(self) -> list[datetime]:
        return sorted(one.started_at for one in self.attempted)

    @cached_property
    def missed(self) -> tuple[Slot, ...]:
        """The slots that are over, in which no refresh began although there was something to do."""
        over = (slot for slot in self.slots if slot.end <= self.now)
        return tuple(slot for slot in over if not self.began_in(slot) and not self.is_idle(slot))

    def is_idle(self, slot: Slot) -> bool:
        """Return whether `slot` asked for nothing: every partition that was over by then was released before.

        The schedule of a product with partitions runs what lacks, as a build does; that of others always runs.
        """
        tables = partitioned_tables(self.product)
        at = min(slot.start, self.clock) if self.clock else slot.start
        return bool(tables) and all(
            {day.isoformat() for day in due(table.partitioning, at)} <= self._held(table.name, slot.start)
            for table in tables
            if table.partitioning
        )

    def _held(self, table: str, at: datetime) -> frozenset[str]:
        """The partitions of `table` that were live at a moment, those included that are not asked for any more."""
        reaches = self.reaches(table)
        number = bisect_right(reaches, at, key=lambda reach: reach.published_at)
        return self.partitions(table, reaches[number - 1]) if number else frozenset()

    def partitions(self, table: str, reach: Reach) -> frozenset[str]:
        """Return the partitions that `table` had in one of its `reaches`, by the first day of each."""
        key = (table, reach.number)
        if key not in self._partitions:
            found = timeline.partitions(self.ledger, self.product.address, reach.number, table)
            self._partitions[key] = found
        return self._partitions[key]

    def incidents(self) -> tuple[list[Row[Any]], dict[str, list[Row[Any]]]]:
        """Return the incidents of the product, and the timeline of each by its id."""
        t, e = o.incident.c, o.incident_event.c
        rows = self._rows(select(o.incident).where(t.product == self.product.address).order_by(t.opened_at, t.id))
        mine = select(t.id).where(t.product == self.product.address)
        lines: dict[str, list[Row[Any]]] = {}
        for row in self._rows(select(o.incident_event).where(e.incident_id.in_(mine), e.at <= self.now).order_by(e.id)):
            lines.setdefault(row.incident_id, []).append(row)
        return rows, lines

    def _rows(self, query: Any) -> list[Row[Any]]:
        return [] if self._operations is None else list(self._operations.execute(query))
