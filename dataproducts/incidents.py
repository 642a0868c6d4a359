"""What becomes of findings: incidents opened, counted, reopened and resolved; it must not know who is told of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dataproducts.errors import UsageError
from dataproducts.finding import Recovery
from dataproducts.impact import impact
from dataproducts.operations import incidents as kept
from dataproducts.operations.incidents import ACKNOWLEDGED, OPEN, RESOLVED, Incident, IncidentEvent
from dataproducts.product import Severity
from dataproducts.rules.masking import mask

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.causes import Consequence
    from dataproducts.finding import Finding, Subject
    from dataproducts.product import DataProduct

OPENED, SEEN, REOPENED, RESOLVED_CHANGE, WORSENED = "opened", "seen", "reopened", "resolved", "worsened"

CONSEQUENCE = "consequence"
"""The kind of event for what was found to follow from an incident."""

WATCH = "watch"
"""The actor of what no person did."""

_SIGHTINGS = 20  # the last ones are remembered, so that one that is told again is known as such
_SAMPLE = 5


@dataclass(frozen=True, slots=True)
class Change:
    """What became of an incident: `what` is opened, seen, reopened, worsened or resolved."""

    incident: Incident
    what: str


@dataclass(frozen=True, slots=True)
class Links:
    """Templates of links; empty ones give none.

    `run` has `{run_id}` for the run; `runbook` has `{product}`, `{domain}`, `{table}`, `{kind}` and `{name}`, and
    serves where the product names no runbook of its own.
    """

    run: str = ""
    runbook: str = ""


def record(
    con: Connection,
    findings: Iterable[Finding],
    recoveries: Iterable[Recovery],
    *,
    products: Mapping[str, DataProduct],
    now: datetime,
    links: Links | None = None,
) -> tuple[Change, ...]:
    """Bring the incidents up to date with what was found, in the transaction of `con`; return what became of which.

    There is one incident a subject. What is found again is counted, what was resolved is reopened, and a severity may
    grow within an episode. Findings and recoveries are taken by time, those of one moment by `detail["order"]`. A
    sighting that is told again is not counted again: that with the same `detail["sighting"]`, or without such a name
    one no newer than the last. What a product unsubscribed from opens nothing.
    """
    writer = _Writer(con, products, now, links or Links())
    # Of one moment, the finding comes last: what may be wrong counts as wrong.
    told: list[Finding | Recovery] = [*recoveries, *findings]
    told.sort(key=lambda one: (_moment(one), one.detail.get("order", 0)))
    found = kept.by_fingerprint(con, (one.subject.fingerprint for one in told))
    changes: list[Change] = []
    for one in told:
        key = one.subject.fingerprint
        made = writer.recover(found.get(key), one) if isinstance(one, Recovery) else writer.sight(found.get(key), one)
        if made is not None:
            found[key] = made.incident
            changes += [made] if made.what else []
    return tuple(changes)


def unsettled(con: Connection, findings: Iterable[Finding]) -> list[Finding]:
    """Return those of `findings` that `record` does not pass over: of what was settled, nothing follows any more."""
    told = list(findings)
    found = kept.by_fingerprint(con, (one.subject.fingerprint for one in told))
    before = [found.get(one.subject.fingerprint) for one in told]
    return [
        one for one, last in zip(told, before, strict=True) if last is None or last.is_open or not _is_past(last, one)
    ]


def _moment(one: Finding | Recovery) -> datetime:
    return one.at if isinstance(one, Recovery) else one.seen_at


@dataclass(frozen=True, slots=True)
class _Writer:
    """What taking down one finding needs."""

    con: Connection
    products: Mapping[str, DataProduct]
    now: datetime
    links: Links

    def sight(self, before: Incident | None, finding: Finding) -> Change | None:
        """Take down one sighting; None if it changes nothing."""
        product = self.products.get(finding.subject.product)
        if product is not None and is_unsubscribed(product, finding.subject):
            return None
        if before is None:
            return self._open(None, finding, OPENED)
        if before.is_open:
            return self._again(before, finding)
        return None if _is_past(before, finding) else self._open(before, finding, REOPENED)

    def _open(self, before: Incident | None, finding: Finding, what: str) -> Change:
        subject = finding.subject
        product = self.products.get(subject.product)
        settled = before.resolved_at if before and before.resolved_at else finding.seen_at
        opened_at = max(min(finding.seen_at, self.now), min(settled, self.now))
        fresh = Incident(
            id=before.id if before else subject.fingerprint[: kept.ID_LENGTH],
            fingerprint=subject.fingerprint,
            product=subject.product,
            table=subject.table,
            kind=subject.kind,
            subject=subject.name,
            severity=finding.severity,
            state=OPEN,
            title=_line(finding.title),
            owner=owner_of(product),
            assignee=before.assignee if before else "",
            failed_at=min(finding.failed_at, opened_at),
            opened_at=opened_at,
            muted_until=before.muted_until if before else None,
            seen_at=opened_at,
            episode=before.episode + 1 if before else 1,
            detail=self._detail(finding, before) | self._context(subject, product),
            tickets=before.tickets if before else MappingProxyType({}),
        )
        (kept.update if before else kept.insert)(self.con, fresh)
        self._note(fresh, what, opened_at, {"severity": fresh.severity, "episode": fresh.episode} | _told(finding))
        return Change(fresh, what)

    def _again(self, before: Incident, finding: Finding) -> Change:
        """Count a sighting more, unless it is one that was counted; what is known of it is brought up to date."""
        repeat = _is_repeat(before, finding)
        worse = _rank(finding.severity) < _rank(before.severity)
        seen_at = min(finding.seen_at, self.now)
        context = {key: value for key, value in before.detail.items() if key in _CONTEXT}
        after = replace(
            before,
            title=_line(finding.title),
            severity=finding.severity if worse else before.severity,
            seen=before.seen + (not repeat),
            seen_at=before.seen_at if repeat else max(seen_at, before.seen_at or seen_at),
            owner=owner_of(self.products.get(before.product)) or before.owner,
            detail=self._detail(finding, before) | context,
        )
        kept.update(self.con, after)
        if worse:
            severities = {"severity": after.severity, "before": before.severity}
            self._note(after, WORSENED, seen_at, severities | _told(finding))
        elif not repeat and finding.detail.get("sighting"):
            self._note(after, SEEN, seen_at, _told(finding))
        return Change(after, WORSENED if worse else "" if repeat else SEEN)

    def recover(self, before: Incident | None, recovery: Recovery) -> Change | None:
        """Resolve what is open about the subject of `recovery`, unless it was seen wrong since."""
        if before is None or not before.is_open or recovery.at < (before.seen_at or before.opened_at):
            return None
        at = max(min(recovery.at, self.now), before.opened_at)
        after = _resolved(before, at)
        kept.update(self.con, after)
        self._note(after, RESOLVED_CHANGE, at, _spans(after) | _plain(dict(recovery.detail)))
        return Change(after, RESOLVED_CHANGE)

    def _detail(self, finding: Finding, before: Incident | None) -> dict[str, Any]:
        """Return what is to be kept of `finding`: no value that is classified."""
        subject = finding.subject
        detail: dict[str, Any] = _plain(
            {key: value for key, value in finding.detail.items() if key not in {"order", "sample"}}
        )
        sample = shown_sample(finding.detail.get("sample", ()), self.products.get(subject.product), subject.table)
        run = str(finding.detail.get("run_id") or "")
        if run and self.links.run:
            detail["run_link"] = _filled(self.links.run, run_id=run)
        sighting = finding.detail.get("sighting")
        earlier = list(before.detail.get("sightings", ())) if before else []
        fresh = [str(sighting)] if sighting and str(sighting) not in earlier else []
        return detail | {"sample": sample, "sightings": [*earlier, *fresh][-_SIGHTINGS:]}

    def _context(self, subject: Subject, product: DataProduct | None) -> dict[str, Any]:
        """Return who and what is concerned, as the products declare it now."""
        concerned = impact(self.products, subject.product, subject.table)
        return {
            "tables": [str(ref) for ref in concerned.tables],
            "downstream": list(concerned.products),
            "consumers": _plain([dict(entry) for entry in concerned.consumers]),
            "metrics": list(concerned.metrics),
            "runbook": _runbook(subject, product) or _filled(self.links.runbook, **_names(subject)),
        }

    def _note(self, incident: Incident, kind: str, at: datetime, detail: Mapping[str, Any]) -> None:
        kept.add_event(self.con, IncidentEvent(incident.id, at, kind, WATCH, _plain(dict(detail))))


_CONTEXT = {"tables", "downstream", "consumers", "metrics", "runbook"}


def note_consequences(con: Connection, following: Iterable[Consequence], *, now: datetime) -> None:
    """Note in the timeline of each incident what follows from it, or from its last episode, once an episode."""
    told = list(following)
    open_now = kept.by_fingerprint(con, (one.cause.fingerprint for one in told))
    for one in told:
        incident = open_now.get(one.cause.fingerprint)
        if incident is None:
            continue
        subject = one.finding.subject
        detail = {"product": subject.product, "table": subject.table, "kind": str(subject.kind), "name": subject.name}
        noted = (event for event in kept.events(con, incident.id) if event.kind == CONSEQUENCE)
        if not any(dict(event.detail) == detail and event.at >= incident.opened_at for event in noted):
            kept.add_event(con, IncidentEvent(incident.id, now, CONSEQUENCE, WATCH, detail))


def owner_of(product: DataProduct | None) -> str:
    """Return who answers for `product`; empty if nobody is named."""
    return product.owner.username if product and product.owner else ""


def shown_sample(sample: Any, product: DataProduct | None, table: str) -> list[dict[str, Any]]:
    """Return rows as they may be shown by the contract of today; none of a table that nobody declares.

    What is kept was masked by the contract of its day: whoever shows it masks it again.
    """
    declared = next((one for one in product.tables if one.name == table), None) if product else None
    if declared is None or not isinstance(sample, list | tuple):
        return []
    rows = [_plain(dict(row)) for row in sample[:_SAMPLE] if isinstance(row, Mapping)]
    return [mask(row, declared) for row in rows]


def is_unsubscribed(product: DataProduct, subject: Subject) -> bool:
    """Return whether `product` declares in `slo.yaml` that findings about `subject` open no incident."""
    told = {"kind": str(subject.kind), "name": subject.name, "table": subject.table}
    return product.trust is not None and any(entry.covers(**told) for entry in product.trust.unsubscribed)


def acknowledge(con: Connection, incident_id: str, *, by: str, now: datetime, note: str = "") -> Incident:
    """Note that `by` looks after an incident: it is not escalated any more.

    Raises:
        UnknownNameError: there is no such incident.
        UsageError: it is resolved, or several begin with that id.
    """
    before = _open_one(con, incident_id, "acknowledge")
    after = replace(before, state=ACKNOWLEDGED, acknowledged_at=before.acknowledged_at or now)
    return _by_hand(con, after, "acknowledged", by=by, now=now, note=note)


def assign(con: Connection, incident_id: str, to: str, *, by: str, now: datetime, note: str = "") -> Incident:
    """Note that `to` shall look after an incident; empty gives it back to the owner. Raises: as `acknowledge`."""
    before = _open_one(con, incident_id, "assign")
    return _by_hand(con, replace(before, assignee=_line(to)), "assigned", by=by, now=now, note=note, to=_line(to))


def mute(con: Connection, incident_id: str, until: datetime, *, by: str, now: datetime, note: str = "") -> Incident:
    """Let nobody be told of an incident before `until`; it is recorded all the same. A past moment ends a mute.

    Raises: as `kept.get`: UnknownNameError, UsageError; UsageError, for a past moment where nothing is muted.
    """
    before = kept.get(con, incident_id)
    if until <= now and not before.is_muted(now):
        raise UsageError(f"{until:%Y-%m-%d %H:%M} UTC is past, which ends a mute, and {before.id} is not muted.")
    kind = "muted" if until > now else "unmuted"
    return _by_hand(con, replace(before, muted_until=until), kind, by=by, now=now, note=note, until=until)


def resolve(con: Connection, incident_id: str, reason: str, *, by: str, now: datetime) -> Incident:
    """Close an incident by hand; what is still wrong reopens it at its next sighting. Raises: as `acknowledge`."""
    if not reason.strip():
        raise UsageError("an incident is resolved by hand for a reason, which its timeline keeps: say why.")
    before = _open_one(con, incident_id, "resolve")
    after = _resolved(before, max(now, before.opened_at))
    after = replace(after, detail=dict(after.detail) | {"by_hand": True})
    told = {"reason": reason, "by_hand": True} | _spans(after)
    return _by_hand(con, after, RESOLVED_CHANGE, by=by, now=now, **told)


def note(con: Connection, incident_id: str, text: str, *, by: str, now: datetime) -> Incident:
    """Add a remark to the timeline of an incident, open or not. Raises: UnknownNameError; UsageError."""
    if not text.strip():
        raise UsageError("a note without text says nothing.")
    return _by_hand(con, kept.get(con, incident_id), "note", by=by, now=now, text=text)


def mark_notified(con: Connection, incident_id: str, *, to: str, at: datetime) -> Incident:
    """Note that `to` was told of an incident at `at`; the first time in an episode is its time to notify."""
    before = kept.get(con, incident_id)
    after = replace(before, notified_at=before.notified_at or at)
    return _by_hand(con, after, "notified", by=WATCH, now=at, to=to)


def _open_one(con: Connection, incident_id: str, verb: str) -> Incident:
    found = kept.get(con, incident_id)
    if not found.is_open:
        raise UsageError(f"incident {found.id} is resolved: there is nothing to {verb} until it is seen again.")
    return found


def _by_hand(con: Connection, after: Incident, kind: str, *, by: str, now: datetime, **detail: Any) -> Incident:
    kept.update(con, after)
    told = {key: value for key, value in detail.items() if value not in ("", None)}
    kept.add_event(con, IncidentEvent(after.id, now, kind, _line(by), _plain(told)))
    return after


def _resolved(before: Incident, at: datetime) -> Incident:
    return replace(before, state=RESOLVED, resolved_at=at)


def _is_past(incident: Incident, finding: Finding) -> bool:
    """Return whether `finding` tells nothing that was not settled when `incident` was resolved.

    A sighting with a name of its own came after what resolved it, whatever the clocks of several hosts say; but a
    person knows nothing of orders, and has settled what was seen until then.
    """
    if _is_repeat(incident, finding):
        return True
    named = bool(finding.detail.get("sighting")) and not incident.detail.get("by_hand")
    return not named and incident.resolved_at is not None and finding.seen_at < incident.resolved_at


def _is_repeat(incident: Incident, finding: Finding) -> bool:
    """Return whether `finding` is a sighting that was counted before."""
    sighting = finding.detail.get("sighting")
    if sighting:
        return str(sighting) in incident.detail.get("sightings", ())
    return incident.seen_at is not None and finding.seen_at <= incident.seen_at


def _spans(incident: Incident) -> dict[str, Any]:
    """Return the times of the episode that ended, in seconds, for the timeline: the next one overwrites them."""
    notify, repair = incident.time_to_notify, incident.time_to_repair
    return {
        "episode": incident.episode,
        "detect_s": incident.time_to_detect.total_seconds(),
        "notify_s": notify.total_seconds() if notify is not None else None,
        "repair_s": repair.total_seconds() if repair is not None else None,
    }


def _told(finding: Finding) -> dict[str, Any]:
    """Return what of a sighting belongs in the timeline."""
    wanted = ("message", "partitions", "refresh_id", "run_id")
    return {key: finding.detail[key] for key in wanted if finding.detail.get(key)}


def _rank(severity: Severity) -> int:
    return list(Severity).index(severity)


def _runbook(subject: Subject, product: DataProduct | None) -> str:
    """Return the nearest runbook that the product declares: of the rule, the objective, the table, the product."""
    if product is None:
        return ""
    declared = product.trust.runbook(subject.name, subject.table) if product.trust else ""
    objectives = (objective.runbook for objective in product.objectives if objective.name == subject.name)
    tables = (_definition(table.raw) for table in product.tables if table.name == subject.table)
    return declared or next(filter(None, (*objectives, *tables, _definition(product.raw))), "")


def _definition(raw: Mapping[str, Any]) -> str:
    """Return the link of type `runbook` among the authoritative definitions of a contract or a product."""
    description = raw.get("description")
    places = (raw, description if isinstance(description, Mapping) else {})
    links = [link for place in places for link in place.get("authoritativeDefinitions") or ()]
    told = (str(link.get("url", "")) for link in links if isinstance(link, Mapping) and link.get("type") == "runbook")
    return next(told, "")


def _filled(template: str, **names: str) -> str:
    """Return `template` with `{name}` replaced; any other brace is a part of the address."""
    for name, value in names.items():
        template = template.replace(f"{{{name}}}", quote(value, safe="/"))
    return template


def _names(subject: Subject) -> dict[str, str]:
    """Return what the template of a runbook may name."""
    told = {"product": subject.product, "domain": subject.product.partition("/")[0], "table": subject.table}
    return told | {"kind": str(subject.kind), "name": subject.name}


def _line(text: str) -> str:
    """Return `text` in one line that every database can hold."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _plain(value: Any) -> Any:
    """Return `value` as JSON values alone; what JSON lacks becomes text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or type(value) in {bool, int, float}:
        return value
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")
