"""Rules that `slaProperties` imply beyond freshness: retention, times of day, ends; it must not judge them.

Settled here: `retention` says that no row may be older than its length of time. `timeOfAvailability` says by which time
of each day rows of the day before are there. `endOfSupport` and `endOfLife` hold until the moment that they name, a
day's first. All of them warn and do not block, unless the SLA says `blocking: true`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import custom, flag, text
from dataproducts.declare.implied_rules import SEVERITIES, implied, read_length, slug
from dataproducts.errors import suggest
from dataproducts.product import RuleKind, Severity, Sla

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.telling import Place
    from dataproducts.product import Rule

ENDS = {"endOfSupport": "end_of_support", "endOfLife": "end_of_life"}
"""SLAs that name the moment when a promise ends, with the names of their rules."""

MEASURED = ("retention", "timeOfAvailability")
"""SLAs that are measured on a column, and say nothing that could be measured without one."""


FREQUENCY = "frequency"
"""The SLA that no rule judges, since releases and the schedule are held to it: only its length of time is read."""


def read_promise(found: Gathering, sla: Sla, data: Mapping[str, Any], place: Place) -> None:
    """Add the rule that an SLA implies, if it implies one; `sla.element` is empty where it names no column."""
    rule: Rule | None = None
    if sla.name in ENDS:
        rule = _end(found, sla, place)
    elif sla.name == FREQUENCY:
        read_length(found, sla, place)
    elif sla.name in MEASURED and sla.element:
        column = _column(found, sla, place)
        rule = (_retention if sla.name == "retention" else _time_of_day)(found, sla, place, column) if column else None
    if rule is not None:
        found.add(_with_severity(rule, data))


def _with_severity(rule: Rule, data: Mapping[str, Any]) -> Rule:
    ours = custom(data)
    blocking = flag(ours, "blocking") is True
    severity = SEVERITIES.get(str(ours.get("severity", "error" if blocking else "warning")), Severity.WARNING)
    criticality = ours["criticality"] if ours.get("criticality") in ("high", "medium", "low") else rule.criticality
    return replace(rule, severity=severity, blocking=blocking and severity is Severity.ERROR, criticality=criticality)


def _column(found: Gathering, sla: Sla, place: Place) -> str:
    name = sla.element.removeprefix(f"{found.table}.")
    if name not in found.columns or name in found.of_items:
        what = f"{sla.name} is to be measured on {sla.element!r}, which is no column of {found.table!r}"
        found.refuse((*place, "element"), what, suggest(name, list(found.columns)).strip())
        return ""
    if not found.columns[name].sql_type.startswith(("DATE", "TIMESTAMP")):
        what = f"{sla.name} is measured on {name!r}, which is {found.columns[name].sql_type}"
        found.refuse((*place, "element"), what, "Name a date or timestamp column.")
        return ""
    return name


def _retention(found: Gathering, sla: Sla, place: Place, column: str) -> Rule | None:
    length = read_length(found, sla, place)
    if length is None:
        return None
    mark = found.document.mark(*place)
    return implied(f"{slug(column)}.retention", RuleKind.RETENTION, (column,), mark, params={"max_age_s": length})


def _time_of_day(found: Gathering, sla: Sla, place: Place, column: str) -> Rule | None:
    try:
        time.fromisoformat(str(sla.value) if isinstance(sla.value, str) else "")
    except ValueError:
        what = f"{sla.name} is {sla.value!r}, which is no time of day"
        found.refuse((*place, "value"), what, "Write it in quotes, with an offset from UTC: '09:00-08:00'.")
        return None
    mark = found.document.mark(*place)
    name = f"{slug(column)}.available_by"
    return implied(name, RuleKind.DEADLINE, (column,), mark, params={"by": sla.value, "property": sla.name})


def _end(found: Gathering, sla: Sla, place: Place) -> Rule | None:
    try:
        end = datetime.fromisoformat(str(sla.value))
        until = end if end.tzinfo else end.replace(tzinfo=UTC)
        until.astimezone(UTC)
    except (OverflowError, ValueError) as error:
        known = "date" if isinstance(error, ValueError) else "moment that UTC has"  # of years 1 to 9999
        what = f"{sla.name} is {sla.value!r}, which is no {known}"
        found.refuse((*place, "value"), what, "Write it like 2032-05-12 or 2032-05-12T09:30:10-08:00.")
        return None
    mark = found.document.mark(*place)
    params = {"until": until.isoformat(), "property": sla.name}
    return implied(ENDS[sla.name], RuleKind.DEADLINE, (), mark, params=params)


def is_promise(data: Mapping[str, Any]) -> bool:
    """Return whether an SLA is one that this module reads."""
    return text(data, "property") in (*ENDS, *MEASURED, FREQUENCY)
