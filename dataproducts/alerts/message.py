"""How notices are worded, for people and for programs; it must not know who gets one, or how.

A message is understood in twenty seconds: what is wrong, since when, who is affected, what to do. Samples are masked by
the contract of today; nothing else of a product's data is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dataproducts.alerts.routing import CONSUMER
from dataproducts.errors import few
from dataproducts.finding import FindingKind
from dataproducts.incidents import shown_sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from dataproducts.operations.incidents import Incident
    from dataproducts.operations.outbox import Notice
    from dataproducts.product import DataProduct

SUBJECT_LENGTH = 78
"""What a line of a mail's header should not exceed (RFC 5322, 2.1.1)."""

_LINE, _SHOWN = 300, 5
_PREFIX = {
    "opened": "{severity}",
    "reopened": "{severity}, again",
    "worsened": "now {severity}",
    "assigned": "yours, {severity}",
    "escalated": "{severity}, nobody acknowledged",
    "recovered": "resolved",
}
_FIRST_COMMAND = {
    FindingKind.CHECK: "dataproducts check {product}",
    FindingKind.REFUSED: "dataproducts plan {product}",
    FindingKind.STALE: "dataproducts plan {product}",
    FindingKind.MISSING: "dataproducts build {product}",
    FindingKind.PIPELINE: "dataproducts build {product}",
    FindingKind.SOURCE: "dataproducts plan {product}",
    FindingKind.BURN_RATE: "dataproducts slo {product}",
    FindingKind.BUDGET: "dataproducts slo {product}",
    FindingKind.REVIEW: "dataproducts lifecycle {product}",
}


@dataclass(frozen=True, slots=True)
class Text:
    """What a notice says: a subject of one line, a body of lines, and facts for programs."""

    subject: str
    body: str
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """What surrounds an incident: its product, a run's page, and when what is said is said."""

    product: DataProduct | None
    run_url: str
    now: datetime


def incident_text(what: str, incident: Incident, setting: Setting, *, escalates: str = "") -> Text:
    """Return what those who answer for a product are told of an incident: `what` is the kind of notice."""
    detail = incident.detail
    lines = [
        _headline(what, incident),
        "",
        *_row("Product", _place(incident)),
        *_row("Since", _since(incident, setting.now)),
        *_row("What", detail.get("message")),
        *_row("Readers", _published(incident)),
        *_row("Affects", _affected(incident)),
    ]
    if what != "recovered":
        lines += _row("Sample", _sample(shown_sample(detail.get("sample"), setting.product, incident.table)))
        lines += _rows("Do", _steps(incident))
        lines += _row("Next", escalates)
    lines += [
        *_row("Runbook", detail.get("runbook")),
        *_row("Run", _run(detail, setting.run_url)),
        *_row("Owner", _owner(incident, setting.product)),
        *_row("Incident", f"{incident.id}, sighting {incident.seen} of episode {incident.episode}"),
    ]
    return Text(_subject(what, incident), "\n".join(lines), _facts(what, incident))


def reader_text(what: str, incident: Incident, setting: Setting, use: Mapping[str, Any]) -> Text:
    """Return what a consumer is told of an incident: no sample and no command of its owner's."""
    told = "It holds what was promised again." if what == "recovered" else "Until you hear of it again, allow for that."
    lines = [
        _headline(what, incident),
        "",
        *_row("Product", _place(incident)),
        *_row("Since", _since(incident, setting.now)),
        *_row("You read", _use(use)),
        *_row("Meaning", told),
        *_row("Ask", _owner(incident, setting.product)),
        *_row("Incident", incident.id),
    ]
    return Text(_subject(what, incident), "\n".join(lines), _facts(what, incident) | {"audience": CONSUMER})


def digest_text(members: Sequence[Notice], *, now: datetime) -> tuple[str, str]:
    """Return subject and body of one message in place of `members`: their subjects first, then each in full."""
    product = {one.product for one in members}
    about = product.pop() if len(product) == 1 else f"{len(product)} products"
    parts = [f"- {one.subject}" for one in members]
    for one in members:
        parts += ["", "-" * 60, one.subject, "", one.body, f"Key:        {one.key}"]
    head = f"{len(members)} notices until {moment(now)}:"
    return clean(f"[digest] {len(members)} notices on {about}", SUBJECT_LENGTH), "\n".join([head, "", *parts])


def announcement_text(title: str, lines: Iterable[tuple[str, str]], use: Mapping[str, Any]) -> tuple[str, str]:
    """Return subject and body of what a consumer is told of a product's lifecycle or a change of it."""
    rows = [row for heading, value in lines for row in _row(heading, value)]
    return clean(title, SUBJECT_LENGTH), "\n".join([clean(title), "", *rows, *_row("You read", _use(use))])


def moment(at: datetime) -> str:
    """Return `at` for people."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def clean(value: object, length: int = _LINE) -> str:
    """Return `value` as one line of at most `length` characters, none of which breaks a header or a terminal."""
    line = "".join(char if char.isprintable() else " " for char in " ".join(str(value).split()))
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def span(length: timedelta) -> str:
    """Return a length of time for people, in its largest unit: `3 hours`."""
    seconds = max(int(length.total_seconds()), 0)
    for name, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "less than a minute"


def _subject(what: str, incident: Incident) -> str:
    prefix = _PREFIX.get(what, what).format(severity=incident.severity)
    place = "" if incident.product in incident.title else f"{_address(incident)}: "
    return clean(f"[{prefix}] {place}{incident.title}", SUBJECT_LENGTH)


def _headline(what: str, incident: Incident) -> str:
    title = clean(incident.title)
    match what:
        case "recovered":
            return f"Resolved: {title}"
        case "reopened":
            return f"Again: {title}"
        case "worsened":
            return f"Now of severity {incident.severity}: {title}"
        case "assigned":
            return f"Yours to look after: {title}"
        case "escalated":
            return f"Nobody has acknowledged this: {title}"
        case _:
            return title


def _address(incident: Incident) -> str:
    return f"{incident.product}.{incident.table}" if incident.table else incident.product


def _place(incident: Incident) -> str:
    return f"{incident.product}, table {incident.table}" if incident.table else incident.product


def _since(incident: Incident, now: datetime) -> str:
    if incident.resolved_at:
        lasted = span(incident.resolved_at - incident.failed_at)
        return f"{moment(incident.failed_at)}, resolved {moment(incident.resolved_at)} after {lasted}"
    late = incident.time_to_detect >= timedelta(minutes=1)
    found = f", found {moment(incident.opened_at)}" if late else ""
    return f"{moment(incident.failed_at)} ({span(now - incident.failed_at)}){found}"


def _published(incident: Incident) -> str:
    match incident.detail.get("published"):
        case False:
            return "keep the last good release; nothing of this was published"
        case True:
            return "see it: the release that has it is published"
        case _:
            return ""


def _affected(incident: Incident) -> str:
    below = [str(address) for address in incident.detail.get("downstream") or ()]
    uses = [use for use in incident.detail.get("consumers") or () if isinstance(use, Mapping)]
    people = {str(use.get("persona") or use.get("team") or use.get("contact") or "") for use in uses} - {""}
    metrics = [str(name) for name in incident.detail.get("metrics") or ()]
    parts = [
        *([few(below, show=_SHOWN)] if below else []),
        *([f"read by {few(people, show=_SHOWN)}"] if people else []),
        *([f"metrics {few(metrics, show=_SHOWN)}"] if metrics else []),
    ]
    return "; ".join(parts)


def _sample(rows: Sequence[Mapping[str, Any]]) -> str:
    return clean(" | ".join(", ".join(f"{k}={v}" for k, v in row.items()) for row in rows[:_SHOWN]))


def _steps(incident: Incident) -> list[str]:
    first = _FIRST_COMMAND.get(incident.kind)
    return [
        *([first.format(product=incident.product)] if first else []),
        f"dataproducts incidents ack {incident.id}",
    ]


def _run(detail: Mapping[str, Any], run_url: str) -> str:
    if detail.get("run_link"):
        return str(detail["run_link"])
    run = str(detail.get("run_id") or "")
    return run_url.replace("{run_id}", run) if run and run_url else run


def _owner(incident: Incident, product: DataProduct | None) -> str:
    person = incident.responsible
    known = next((m.name for m in product.members if m.username == person and m.name), "") if product else ""
    team = product.team if product else ""
    return ", ".join(part for part in (f"{known} <{person}>" if known else person, team and f"team {team}") if part)


def _use(use: Mapping[str, Any]) -> str:
    port, needs = str(use.get("port") or ""), str(use.get("needs") or "").rstrip(".")
    who = str(use.get("persona") or use.get("team") or "")
    return "; ".join(part for part in (port, needs, f"as {who}" if who else "") if part)


def _row(heading: str, value: object) -> list[str]:
    return [f"{heading + ':':<12}{clean(value)}"] if value else []


def _rows(heading: str, values: Sequence[str]) -> list[str]:
    return [f"{heading + ':' if not at else '':<12}{clean(value)}" for at, value in enumerate(values)]


def _facts(what: str, incident: Incident) -> dict[str, Any]:
    return {
        "event": what,
        "incident": incident.id,
        "episode": incident.episode,
        "product": incident.product,
        "table": incident.table,
        "finding": str(incident.kind),
        "about": clean(incident.subject),
        "severity": str(incident.severity),
        "state": incident.state,
        "owner": incident.responsible,
        "failed_at": incident.failed_at.isoformat(),
        "opened_at": incident.opened_at.isoformat(),
    }
