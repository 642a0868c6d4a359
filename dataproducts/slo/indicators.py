"""What counts as a good event of each indicator, from what was recorded; it must not know targets or budgets."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from statistics import median
from typing import TYPE_CHECKING

from dataproducts.declare.implied_objectives import is_judged
from dataproducts.objective import IndicatorKind
from dataproducts.product import RuleKind
from dataproducts.release import AUDIT
from dataproducts.slo.episodes import episodes
from dataproducts.slo.events import Event, Recorded
from dataproducts.slo.freshness import freshness, held_at, steps_of, times_of, watched
from dataproducts.slo.governance import GOVERNANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dataproducts.objective import Indicator
    from dataproducts.product import DataProduct, Rule, Table
    from dataproducts.slo.facts import Facts

_DAY = timedelta(days=1)
_COMPARED = 20  # refreshes before one, whose median its growth is compared with
_QUALITY = ("completeness", "uniqueness", "validity", "accuracy", "consistency")


def recorded(facts: Facts, indicator: Indicator) -> Recorded:
    """Return what `facts` hold of `indicator`; nothing at all where nothing was recorded that it counts."""
    return _INDICATORS[indicator.kind](facts, indicator)


def counted_rules(product: DataProduct, indicator: Indicator) -> tuple[tuple[Table, Rule], ...]:
    """Return the rules that a quality indicator counts, with their tables: none that nobody judges here."""
    columns = frozenset(indicator.params.get("columns", ()))
    keeps = indicator.kind is IndicatorKind.RETENTION_KEPT

    def counts(rule: Rule) -> bool:
        if not is_judged(rule) or (indicator.rules and rule.name not in indicator.rules):
            return False
        if columns and not columns.intersection(rule.columns):
            return False
        if keeps:
            return rule.kind is RuleKind.RETENTION
        return bool(indicator.rules) or rule.dimension == indicator.kind.value

    tables = watched(product, indicator)
    return tuple((table, rule) for table in tables for rule in table.rules if counts(rule))


def _quality(facts: Facts, indicator: Indicator) -> Recorded:
    """One event for each rule that a refresh judged, or that nobody judged because it did not come that far.

    A slot of the schedule without a refresh is an event for each rule too, at its end; and so is an audit of what is
    published, for each rule that it judged.
    """
    events: list[Event] = []
    wanted = [(table.name, rule.name) for table, rule in counted_rules(facts.product, indicator)]
    audits = (found for refresh_id, found in facts.judged.items() if refresh_id.startswith(f"{AUDIT}-"))
    audited = (one for found in audits for one in found if (one.table, one.rule) in wanted)
    events += [Event(one.judged_at, good=one.failures == 0) for one in audited]
    for ended in facts.ended:
        judged = {(one.table, one.rule): one.failures for one in facts.judged.get(ended.refresh_id, ())}
        for key in wanted:
            if key in judged:
                events.append(Event(ended.at, good=judged[key] == 0))
            elif not ended.is_released and _was_known(facts, key, ended.at):
                events.append(Event(ended.at, good=False))
    missed = ((slot, key) for slot in facts.missed for key in wanted if _was_known(facts, key, slot.end))
    events += [Event(slot.end, good=False) for slot, _ in missed]
    return Recorded(tuple(events))


def _was_known(facts: Facts, key: tuple[str, str], at: datetime) -> bool:
    """Whether the rule was there by then: one that was written later did not fail to run.

    One that was never judged is newer than the last release, for that was published with a result for every rule.
    """
    first = facts.first_judged.get(key)
    return first <= at if first is not None else not facts.published or at > facts.published[-1][1]


def _success(facts: Facts, _indicator: Indicator) -> Recorded:
    ended = [Event(one.at, good=one.is_released) for one in facts.ended]
    return Recorded((*ended, *(Event(slot.end, good=False) for slot in facts.missed)))


def _duration(facts: Facts, indicator: Indicator) -> Recorded:
    limit = indicator.at_most_s or 0
    took = ((one.at, one.seconds) for one in facts.ended if one.is_released)
    return Recorded(tuple(Event(at, good=seconds <= limit) for at, seconds in took if seconds is not None))


def _growth(facts: Facts, indicator: Indicator) -> Recorded:
    limit = float(indicator.params["at_most_ratio"])
    paces: list[float] = []
    events: list[Event] = []
    for one in facts.ended:
        if not one.is_released or one.seconds is None or not one.rows:
            continue
        pace = one.seconds / one.rows
        if paces:
            events.append(Event(one.at, good=pace <= limit * median(paces[-_COMPARED:])))
        paces.append(pace)
    return Recorded(tuple(events))


def _frequency(facts: Facts, indicator: Indicator) -> Recorded:
    """One event for each whole span since the product owed anything: was a release published in it?"""
    length = timedelta(seconds=indicator.at_most_s or 0)
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    begun = max(facts.origin or facts.since, facts.since)
    span = -((epoch - begun) // length)  # the first that begins at `begun` or later
    last = (facts.now - epoch) // length
    hit = {(at - epoch) // length for _, at in facts.published}
    return Recorded(
        tuple(Event(epoch + (number + 1) * length, good=number in hit) for number in range(span, last)),
    )


def _available(facts: Facts, indicator: Indicator) -> Recorded:
    """One event a day, at the time that was promised: did every table hold rows of the day before?

    A day is left out whose release is forgotten, unless another table tells that it was bad.
    """
    if facts.clock is not None:  # by a clock that stands still, no day passes
        return Recorded()
    by = time.fromisoformat(str(indicator.params["by"]))
    zone = by.tzinfo or UTC
    tables = [table for table in watched(facts.product, indicator) if times_of(table, indicator)]
    steps = [steps_of(facts, table, indicator) for table in tables]
    begun = max(facts.origin or facts.since, facts.since).astimezone(zone)
    events = []
    for number in range((facts.now.astimezone(zone).date() - begun.date()).days + 1):
        day = begun.date() + number * _DAY
        deadline = datetime.combine(day, by.replace(tzinfo=zone))
        if not tables or not begun < deadline <= facts.now:
            continue
        wanted = datetime.combine(day - _DAY, time(0, tzinfo=zone))
        held = [held_at(found, deadline, wanted) for found in steps]
        if False in held or None not in held:  # what nobody knows any more is neither good nor bad
            events.append(Event(deadline.astimezone(UTC), good=all(held)))
    return Recorded(tuple(events), watched=tuple(table.name for table in tables))


def _probed(facts: Facts, indicator: Indicator) -> Recorded:
    """One event a probe; without a limit it is good if it was answered."""
    port, limit = str(indicator.params.get("port", "")), indicator.at_most_s
    rows = (row for row in facts.probes("port") if port in {"", row.subject})
    return Recorded(
        tuple(
            Event(row.at, good=row.ok and (limit is None or (row.value is not None and row.value <= limit)))
            for row in rows
        )
    )


def _reaction(facts: Facts, indicator: Indicator) -> Recorded:
    """One event an episode of an incident; what is still awaited is bad once it is overdue, and not counted before."""
    limit = timedelta(seconds=indicator.at_most_s or 0)
    events = []
    for one in episodes(facts, indicator.table):
        if indicator.kind is IndicatorKind.TIME_TO_DETECT:
            events.append(Event(one.opened_at, good=one.opened_at - one.failed_at <= limit))
            continue
        done = one.notified_at if indicator.kind is IndicatorKind.TIME_TO_NOTIFY else one.resolved_at
        overdue = one.opened_at + limit
        if done is not None and done <= overdue:
            events.append(Event(done, good=True))
        elif overdue <= facts.now:
            events.append(Event(overdue, good=False))
    return Recorded(tuple(events))


def _all() -> Iterator[tuple[IndicatorKind, Callable[[Facts, Indicator], Recorded]]]:
    yield from ((IndicatorKind(name), _quality) for name in (*_QUALITY, "retention_kept"))
    yield from GOVERNANCE.items()
    yield IndicatorKind.FRESHNESS, freshness
    yield IndicatorKind.FREQUENCY, _frequency
    yield IndicatorKind.TIME_OF_AVAILABILITY, _available
    yield IndicatorKind.REFRESH_SUCCESS, _success
    yield IndicatorKind.REFRESH_DURATION, _duration
    yield IndicatorKind.REFRESH_GROWTH, _growth
    yield from ((kind, _probed) for kind in (IndicatorKind.PORT_LATENCY, IndicatorKind.PORT_AVAILABILITY))
    reactions = (IndicatorKind.TIME_TO_DETECT, IndicatorKind.TIME_TO_NOTIFY, IndicatorKind.TIME_TO_REPAIR)
    yield from ((kind, _reaction) for kind in reactions)


_INDICATORS: Mapping[IndicatorKind, Callable[[Facts, Indicator], Recorded]] = dict(_all())
