"""The partitions that a table has by a point in time; it must not know what is in them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataproducts.product import DataProduct, Partitioning, Table

_DAYS = {"day": 1, "week": 7}


def due(partitioning: Partitioning, now: datetime) -> tuple[date, ...]:
    """Return the first day of every partition that is complete by `now`, oldest first.

    A partition is complete when its last day is over, in UTC. `end` of the partitioning is the first day that has
    no partition any more. Weeks start on the Monday on or after `start`.
    """
    step = length(partitioning)
    first = partitioning.start
    if partitioning.unit == "week":
        first += timedelta(days=-first.weekday() % 7)
    today = now.astimezone(UTC).date() if now.tzinfo else now.date()
    limit = min(today, partitioning.end) if partitioning.end else today
    count = max((limit - first) // step, 0)
    return tuple(first + index * step for index in range(count))


def after(partitioning: Partitioning, day: date) -> date:
    """Return the first day that no longer belongs to the partition which starts on `day`."""
    return day + length(partitioning)


def length(partitioning: Partitioning) -> timedelta:
    """Return how long each partition is."""
    return timedelta(days=_DAYS[partitioning.unit])


def partitioned_tables(product: DataProduct) -> tuple[Table, ...]:
    """Return the tables of `product` that are cut in time."""
    return tuple(table for table in product.tables if table.partitioning)
