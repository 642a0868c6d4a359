"""What measured objectives, and a schedule nobody followed, say is wrong or right again; it must not tell anyone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dataproducts.causes import BAD_UNTIL, SPENT
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import REASON, RELEASE
from dataproducts.operations import measurements
from dataproducts.operations.incidents import open_about
from dataproducts.product import Severity
from dataproducts.slo.evaluate import UNMEASURED
from dataproducts.slo.facts import Facts
from dataproducts.slo.slots import patience

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.ledger import Ledger
    from dataproducts.product import DataProduct
    from dataproducts.slo.evaluate import Attained

SCHEDULE = "schedule"
"""The name of what is missing where no refresh began that the schedule asked for."""

_PERCENT = 100
_PROMISED = {FindingKind.STALE, *SPENT}
_LATELY = 2 * measurements.RARELY  # a measurement that says nothing new is not always kept


def findings(attained: Iterable[Attained]) -> tuple[tuple[Finding, ...], tuple[Recovery, ...]]:
    """Return what is wrong by `attained`, measured at one moment, and what is right.

    Spent budgets (BUDGET), alarms (BURN_RATE) and stale tables (STALE) under the name of their objective; what cannot
    be told, for nothing was counted, is neither wrong nor right.
    """
    wrong: list[Finding] = []
    right: list[Recovery] = []
    for one in attained:
        for found in (*_budget(one), *_burn_rate(one), *_stale(one)):
            if isinstance(found, Finding):
                wrong.append(found)
            else:
                right.append(found)
    return tuple(wrong), tuple(right)


def missing(
    product: DataProduct,
    ledger: Ledger,
    operations: Connection | None,
    *,
    now: datetime,
    clock: datetime | None = None,
    production: bool = False,
) -> Finding | Recovery | None:
    """Return whether the refresh that the schedule asked for last is missing (MISSING, named `schedule`), or came.

    Where there was nothing to load, nothing is missing. None where the product has no schedule that runs, or while it
    is too early to tell. `clock` and `production` as in `evaluate`.
    """
    since = now - timedelta(days=90)
    with ledger.reading() as con:
        facts = Facts(product, con, operations, now=now, since=since, clock=clock, production=production)
        slots = facts.slots
        came = [facts.began_in(slot) or facts.is_idle(slot) for slot in slots]
    if not slots:
        return None
    subject = Subject(product.address, FindingKind.MISSING, SCHEDULE)
    if came[-1]:
        return Recovery(subject, now)
    if now < slots[-1].start + patience(slots[-1]):
        return None
    # It has been missing since the first slot of those without a break that nobody filled.
    first = len(slots) - came[::-1].index(True) if True in came else 0
    due = slots[first].start
    count = len(slots) - first
    message = f"no refresh began that the schedule asked for at {slots[-1].start:%Y-%m-%d %H:%M} UTC"
    message += f", nor at the {count - 1} moments before" if count > 1 else ""
    title = f"{product.address}: a load did not run"
    severity = Severity.ERROR
    return Finding(subject, title, severity, due, now, {"message": message, "due": due.isoformat(), "missed": count})


def undeclared(
    product: DataProduct, attained: Iterable[Attained], operations: Connection, *, now: datetime, is_scheduled: bool
) -> tuple[Recovery, ...]:
    """Return what is open about promises that `product` does not make any more, of which `attained` are all.

    An objective that was measured lately is one of newer files, which somebody else has read. `is_scheduled` says
    whether the status of the product lets its schedule run.
    """
    tables = {one.objective.name: one.watched for one in attained}
    told = []
    for incident in open_about(operations, [product.address]).values():
        about = incident.about
        if about.kind is FindingKind.MISSING and about.name == SCHEDULE and not (product.schedule and is_scheduled):
            told.append(Recovery(about, now, {"reason": "nothing is due any more"}))
        if about.kind not in _PROMISED or (about.kind is FindingKind.STALE and about.name == RELEASE):
            continue  # whether a release is late is Dagster's to tell
        if about.name in tables:
            is_gone = about.kind is FindingKind.STALE and about.table not in tables[about.name]
        else:
            is_gone = about.name not in _measured_lately(operations, product.address, now)
        if is_gone:
            told.append(Recovery(about, now, {"reason": REASON}))
    return tuple(told)


def _measured_lately(operations: Connection, address: str, now: datetime) -> set[str]:
    return {one.objective for one in measurements.latest(operations, address) if now - one.at < _LATELY}


def _budget(one: Attained) -> list[Finding | Recovery]:
    if one.state == UNMEASURED:
        return []
    subject = Subject(one.product, FindingKind.BUDGET, one.objective.name)
    if not one.is_spent:
        return [Recovery(subject, one.at)]
    message = (
        f"{_percent(one.attainment)} of {_percent(one.objective.target)} was attained over {one.objective.window}: "
        f"{_percent(one.budget_left)} of the error budget is left. It acts as declared: {one.objective.on_spent}"
    )
    title = f"{one.product}: the error budget of {one.objective.name} is spent"
    told = {"on_spent": str(one.objective.on_spent)} | _bad_until(one.last_bad)
    return [_finding(one, subject, title, message, one.last_bad, **told)]


def _burn_rate(one: Attained) -> list[Finding | Recovery]:
    if one.burns and one.is_burning is None:
        return []
    subject = Subject(one.product, FindingKind.BURN_RATE, one.objective.name)
    if not one.is_burning:
        return [Recovery(subject, one.at)]
    if one.is_spent:  # there is nothing left to burn, which is told already
        return []
    burn = next(burn for burn in one.burns if burn.rings)
    message = (
        f"the error budget burns {burn.long:.1f} times as fast as it may over {_hours(burn.alarm.long)} and "
        f"{burn.short:.1f} times over {_hours(burn.alarm.short)}; the {burn.alarm.name} alarm rings at "
        f"{burn.alarm.threshold:.1f}. {_percent(one.budget_left)} of the budget is left"
    )
    title = f"{one.product}: the error budget of {one.objective.name} burns too fast"
    told = {"alarm": burn.alarm.name} | _bad_until(one.last_bad)
    return [_finding(one, subject, title, message, one.burning_since, **told)]


def _bad_until(moment: datetime | None) -> dict[str, str]:
    return {BAD_UNTIL: moment.isoformat()} if moment else {}


def _stale(one: Attained) -> list[Finding | Recovery]:
    broken = {breach.table: breach for breach in one.breaches}
    found: list[Finding | Recovery] = []
    for table in one.watched:
        subject = Subject(one.product, FindingKind.STALE, one.objective.name, table)
        breach = broken.get(table)
        if breach is None:
            found.append(Recovery(subject, one.at))
            continue
        title = f"{one.product}.{table} is stale"
        found.append(_finding(one, subject, title, breach.message, breach.since))
    return found


def _finding(
    one: Attained, subject: Subject, title: str, message: str, failed_at: datetime | None, **detail: Any
) -> Finding:
    told = {"message": message, "objective": one.objective.name, **detail}
    told |= {"driver": one.objective.driver} if one.objective.driver else {}
    return Finding(subject, title, one.objective.severity, failed_at or one.at, one.at, told)


def _percent(share: float | None) -> str:
    return "nothing" if share is None else f"{share * _PERCENT:.4g} %"


def _hours(span: timedelta) -> str:
    return f"{span / timedelta(hours=1):g} h"
