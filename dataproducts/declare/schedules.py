"""Whether a product refreshes as often as it promises; it must not know how schedules are run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dataproducts.declare.fields import custom_place
from dataproducts.declare.implied_rules import length_of
from dataproducts.errors import Fault
from dataproducts.product import TIME_SLAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.declare.positions import Document
    from dataproducts.product import DataProduct, Schedule, Sla

_START = datetime(2024, 1, 1, tzinfo=UTC)  # a leap year that begins on a Monday: every cron field comes round
_RUNS = 400


def check_schedule(product: DataProduct, descriptor: Document) -> list[Fault]:
    """Return what is wrong with the schedule: a cron that nobody can read, or one too rare for an SLA.

    A latency of 24 hours needs a refresh at least every 24 hours, and so does a frequency of one a day.
    """
    schedule = product.schedule
    if schedule is None:
        return []
    place = custom_place(descriptor.data, "schedule", ())
    try:
        ZoneInfo(schedule.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        what = f"the time zone {schedule.timezone!r} is not known"
        return [descriptor.fault((*place, "timezone"), what, "Write an IANA name, such as Europe/Berlin.")]
    interval = _longest_interval(schedule.cron)
    if interval is None:
        what = f"the cron {schedule.cron!r} is no schedule"
        fix = "Write five fields, minute, hour, day, month and weekday, such as `0 4 * * *`."
        return [descriptor.fault((*place, "cron"), what, fix)]
    return list(_too_rare(product, schedule, interval))


@lru_cache(maxsize=256)
def _longest_interval(cron: str) -> timedelta | None:
    """The longest time between two runs in a year of UTC; None if the cron is none, or never comes due."""
    # 0.05 s to import, for products with a schedule.
    from croniter import CroniterError, croniter  # noqa: PLC0415

    if len(cron.split()) != 5:  # noqa: PLR2004  Dagster has no seconds
        return None
    try:
        times: Any = croniter(cron, _START)
        runs: list[datetime] = [times.get_next(datetime) for _ in range(_RUNS)]
    except (CroniterError, ValueError, KeyError):
        return None
    return max(after - before for before, after in pairwise(runs))


def _too_rare(product: DataProduct, schedule: Schedule, interval: timedelta) -> Iterator[Fault]:
    told: set[tuple[str, int]] = set()
    for table in product.tables:
        for sla in table.slas:
            allowed = _allowed(sla)
            key = (sla.mark.path, sla.mark.line)
            if allowed is None or interval <= allowed or key in told:
                continue
            told.add(key)
            what = (
                f"the schedule {schedule.cron!r} leaves {_words(interval)} between two runs, "
                f"and {sla.name} of {table.name!r} allows {_words(allowed)} ({sla.mark})"
            )
            fix = "Run it more often, or promise less."
            yield Fault(schedule.mark.path, schedule.mark.line, what, fix)


def _allowed(sla: Sla) -> timedelta | None:
    seconds = length_of(sla) if sla.name in TIME_SLAS else None
    return timedelta(seconds=seconds) if seconds else None


def _words(span: timedelta) -> str:
    hours = span.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours > 48 else f"{hours:g} hours"  # noqa: PLR2004  two days
