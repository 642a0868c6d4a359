"""When a schedule asks for a refresh; it must not know whether one came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dataproducts.slo.events import Slot

if TYPE_CHECKING:
    from dataproducts.product import Schedule

_PATIENCE = timedelta(hours=1)


def slots(schedule: Schedule, start: datetime, now: datetime) -> tuple[Slot, ...]:
    """Return the slots of `schedule` from the first moment after `start` on; the last one is still open at `now`."""
    from croniter import croniter  # noqa: PLC0415 - 0.05 s to import, for products with a schedule

    zone = ZoneInfo(schedule.timezone)
    times = croniter(schedule.cron, start.astimezone(zone))
    due: dict[datetime, datetime] = {}
    while True:
        moment: datetime = times.get_next(datetime)
        # A wall clock that is put back shows the same time twice, and the schedule means it once.
        due.setdefault(moment.replace(tzinfo=None, fold=0), moment.astimezone(UTC))
        if moment > now:
            break
    return tuple(Slot(begun, ended) for begun, ended in pairwise(due.values()))


def last_slot(schedule: Schedule, now: datetime) -> tuple[Slot, ...]:
    """Return the slot that ended last and the one that is open at `now`."""
    from croniter import croniter  # noqa: PLC0415 - as above

    times = croniter(schedule.cron, now.astimezone(ZoneInfo(schedule.timezone)) + timedelta(seconds=1))
    times.get_prev(datetime)
    before: datetime = times.get_prev(datetime)
    return slots(schedule, before - timedelta(seconds=1), now)[-2:]


def patience(slot: Slot) -> timedelta:
    """Return how long a refresh may keep the schedule waiting before it counts as missing: an hour at the most."""
    return min(_PATIENCE, (slot.end - slot.start) / 4)
