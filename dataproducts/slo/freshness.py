"""How old the newest released rows were at each moment; it must not know what is promised beyond the age.

What counts is event time. A release that does not bring newer rows leaves the age as it is: the backfill of an old
partition, a rollback, a refresh that was refused. A partition that is due and was never released counts as well, for
newer ones may have been loaded past the gap.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dataproducts.ledger import timeline
from dataproducts.partitions import after, due, length
from dataproducts.slo.events import Breach, Recorded, Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from dataproducts.ledger.timeline import Reach
    from dataproducts.objective import Indicator
    from dataproducts.product import DataProduct, Partitioning, Table
    from dataproducts.release import Version
    from dataproducts.slo.facts import Facts

_NEVER = "it was never loaded"


class Step(NamedTuple):
    """One release, the newest event time that a table had in it, and whether that is known.

    What the files held is forgotten when they are collected: then nobody can say whether the table was fresh.
    """

    reach: Reach
    newest: datetime | None
    is_known: bool = True


def watched(product: DataProduct, indicator: Indicator) -> tuple[Table, ...]:
    """Return the tables that `indicator` is about: the one it names, or all that the product publishes."""
    name = indicator.table
    return tuple(t for t in product.tables if t.name == name or (not name and t.name in product.published))


def freshness(facts: Facts, indicator: Indicator) -> Recorded:
    """Return the spans in which the newest event time of each table was as young as promised, and those in which not.

    Time counts from when the product began to owe anything; before it was loaded nothing was fresh. Tables without an
    event time are not counted.
    """
    spans: list[Span] = []
    breaches: list[Breach] = []
    tables = [table for table in watched(facts.product, indicator) if times_of(table, indicator)]
    for table in tables:
        found = list(_spans(facts, table, indicator))
        spans += found
        if found and not found[-1].good and found[-1].end >= facts.now:
            # Where nobody knows since when something was owed, it is told from now on.
            since = _since(found) if facts.origin else facts.now
            breaches.append(_breach(facts, table, indicator, since))
        elif not found and held_at(steps_of(facts, table, indicator), facts.now) is False:
            # It owes from this very moment on, and has nothing.
            breaches.append(Breach(facts.now, _NEVER, table.name))
    return Recorded(spans=tuple(spans), breaches=tuple(breaches), watched=tuple(table.name for table in tables))


def times_of(table: Table, indicator: Indicator) -> str:
    """Return the column whose greatest value says how far `table` goes; empty if it has none."""
    column = str(indicator.params.get("column", "")) or table.valid_thru
    return column if any(found.name == column for found in table.columns) else ""


def newest_at(facts: Facts, table: Table, indicator: Indicator) -> datetime | None:
    """Return the newest event time of `table` in the release that is live now; None too where it is forgotten."""
    live = _live(steps_of(facts, table, indicator), facts.now)
    return live.newest if live and live.is_known else None


def held_at(steps: Sequence[Step], at: datetime, wanted: datetime | None = None) -> bool | None:
    """Return whether the release that was live at a moment held an event time, of `wanted` or later if that is given.

    None where it was live and what it held is forgotten.
    """
    live = _live(steps, at)
    if live is not None and not live.is_known:
        return None
    return live is not None and live.newest is not None and (wanted is None or live.newest >= wanted)


def _live(steps: Sequence[Step], at: datetime) -> Step | None:
    number = bisect_right(steps, at, key=lambda step: step.reach.published_at)
    return steps[number - 1] if number else None


def steps_of(facts: Facts, table: Table, indicator: Indicator) -> tuple[Step, ...]:
    """Return each release with the newest event time that `table` had in it, in order."""
    reaches = facts.reaches(table.name)
    column = times_of(table, indicator)
    if column == table.valid_thru:
        return tuple(Step(reach, reach.newest) for reach in reaches)
    ends = timeline.greatest(facts.ledger, facts.product.address, table.name, column, facts.since)
    found = []
    for reach in reaches:
        values, is_known = ends.get(reach.number, ((), True))
        moments = (moment for value in values if value and (moment := _moment(value)))
        found.append(Step(reach, max(moments, default=None), is_known))
    return tuple(found)


def _moment(text: str) -> datetime | None:
    """The moment that DuckDB wrote; None where it is none that Python knows, such as infinity."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _spans(facts: Facts, table: Table, indicator: Indicator) -> Iterator[Span]:
    """Yield what was fresh and what was not, in order, from when the product began to owe anything until now."""
    limit = timedelta(seconds=indicator.at_most_s or 0)
    start = max(facts.origin or facts.since, facts.since)
    steps = steps_of(facts, table, indicator)
    joined = next((at for at, (reach, _, _) in enumerate(steps) if reach.versions), 0)
    if joined:  # releases were made before there was such a table
        steps = steps[joined:]
        start = max(start, steps[0][0].published_at)
    first = steps[0][0].published_at if steps else facts.now
    if start < first:
        yield Span(start, min(first, facts.now), good=False)
    ends = [*(reach.published_at for reach, _, _ in steps[1:]), facts.now][: len(steps)]
    for (reach, newest, is_known), end in zip(steps, ends, strict=True):
        begun = max(reach.published_at, start)
        if end <= begun or not is_known:
            continue
        fresh_until = begun
        if newest is not None:
            gap = _first_gap(facts, table, reach)
            stale_at = (min(newest, gap) if gap is not None else newest) + limit
            if facts.clock is not None:  # it stands still: all moments are like that one
                stale_at = end if stale_at > facts.clock else begun
            fresh_until = min(max(stale_at, begun), end)
        if fresh_until > begun:
            yield Span(begun, fresh_until, good=True)
        if fresh_until < end:
            yield Span(fresh_until, end, good=False)


def _first_gap(facts: Facts, table: Table, reach: Reach) -> datetime | None:
    """Return when the earliest partition that a release did not hold was over; None if there can be no further one."""
    parts = table.partitioning
    if parts is None:
        return None
    at = min(facts.clock, reach.published_at) if facts.clock else reach.published_at
    return _gap_after(parts, at, facts.partitions(table.name, reach))


def _gap_after(parts: Partitioning, at: datetime, held: Collection[str]) -> datetime | None:
    """The end of the first partition that is not `held`, those to come after `at` included."""
    every = due(parts, at)
    missing = next((day for day in every if day.isoformat() not in held), None)
    if missing is None:
        # The first of all begins where the calendar lets it: a week on the Monday on or after the start.
        later = datetime.combine(parts.start + 2 * length(parts), datetime.min.time(), tzinfo=UTC)
        missing = every[-1] + length(parts) if every else next(iter(due(parts, later)), None)
    if missing is None or (parts.end is not None and after(parts, missing) > parts.end):
        return None
    return datetime.combine(after(parts, missing), datetime.min.time(), tzinfo=UTC)


def is_fresh(table: Table, indicator: Indicator, versions: Sequence[Version], *, now: datetime) -> bool:
    """Return whether `table`, made of `versions`, is as young as promised at `now`; as `freshness` would say it."""
    column = times_of(table, indicator)
    if column == table.valid_thru:
        known = [version.valid_thru for version in versions if version.valid_thru]
    else:
        ends = (file.columns[column].maximum for v in versions for file in v.files if column in file.columns)
        known = [moment for end in ends if end and (moment := _moment(end))]
    parts = table.partitioning
    gap = _gap_after(parts, now, {version.partition or "" for version in versions}) if parts else None
    reached = [max(known, default=None), gap]
    return (
        bool(known) and min(moment for moment in reached if moment) + timedelta(seconds=indicator.at_most_s or 0) > now
    )


def _since(spans: list[Span]) -> datetime:
    """Return since when the last of `spans`, and those before it without a break, are not good."""
    start = spans[-1].start
    for earlier, later in reversed(list(pairwise(spans))):
        if earlier.good or later.start != start or earlier.end < start:
            break
        start = earlier.start
    return start


def _breach(facts: Facts, table: Table, indicator: Indicator, since: datetime) -> Breach:
    limit = timedelta(seconds=indicator.at_most_s or 0)
    reaches = facts.reaches(table.name)
    newest = newest_at(facts, table, indicator)
    if not reaches or newest is None:
        return Breach(since, "it holds no row with an event time" if reaches else _NEVER, table.name)
    gap = _first_gap(facts, table, reaches[-1])
    if gap is not None and gap < newest:
        last = gap - timedelta(days=1)
        return Breach(since, f"its partition that ends with {last:%Y-%m-%d} was never released", table.name)
    age = f"{(facts.now - newest) / timedelta(hours=1):.1f} h old, {limit / timedelta(hours=1):g} h are promised"
    return Breach(since, f"its newest row, of {newest:%Y-%m-%d %H:%M} UTC, is {age}", table.name)
