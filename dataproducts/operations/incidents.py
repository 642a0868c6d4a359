"""Incidents and their timelines as the operations database keeps them; it must not decide what becomes of one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.finding import FindingKind, Subject
from dataproducts.operations import schema as s
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection, Row

OPEN, ACKNOWLEDGED, RESOLVED = "open", "acknowledged", "resolved"
STATES = (OPEN, ACKNOWLEDGED, RESOLVED)
ID_LENGTH = 16
"""Digits of the fingerprint that an incident is called by."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_CHUNK = 500  # of values in one IN: below the parameter limits of both databases


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that is wrong with a product, however often it is seen.

    Times are those of the current `episode`: when it went wrong as far as is known (`failed_at`), was found
    (`opened_at`), was first told to somebody (`notified_at`), and was found right (`resolved_at`). `seen` counts the
    sightings of the episode. `detail` holds what a reader needs, nothing of it classified; `tickets` what each issue
    tracker knows of it.
    """

    id: str
    fingerprint: str
    product: str
    table: str
    kind: FindingKind
    subject: str
    severity: Severity
    state: str
    title: str
    owner: str
    assignee: str
    failed_at: datetime
    opened_at: datetime
    notified_at: datetime | None = None
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    muted_until: datetime | None = None
    seen_at: datetime | None = None
    episode: int = 1
    seen: int = 1
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    tickets: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def about(self) -> Subject:
        """What it is about."""
        return Subject(self.product, self.kind, self.subject, self.table)

    @property
    def is_open(self) -> bool:
        """Whether it is not resolved; an acknowledged one is open."""
        return self.state != RESOLVED

    @property
    def responsible(self) -> str:
        """Who is to act: whom it was assigned to, else the product's owner; empty if nobody is named."""
        return self.assignee or self.owner

    @property
    def time_to_detect(self) -> timedelta:
        """How long it was wrong before it was found."""
        return self.opened_at - self.failed_at

    @property
    def time_to_notify(self) -> timedelta | None:
        """How long it was known before somebody was told; None while nobody was."""
        return self.notified_at - self.opened_at if self.notified_at else None

    @property
    def time_to_repair(self) -> timedelta | None:
        """How long it was wrong; None while it is."""
        return self.resolved_at - self.failed_at if self.resolved_at else None

    def is_muted(self, now: datetime) -> bool:
        """Return whether nobody is to be told of it at `now`."""
        return self.muted_until is not None and now < self.muted_until


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """What happened to an incident: when, by whom; never changed."""

    incident_id: str
    at: datetime
    kind: str
    actor: str
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


def find(con: Connection, subject: Subject) -> Incident | None:
    """Return the incident about `subject`, open or not, if there ever was one."""
    return by_fingerprint(con, (subject.fingerprint,)).get(subject.fingerprint)


def by_fingerprint(con: Connection, fingerprints: Iterable[str]) -> dict[str, Incident]:
    """Return the incidents with these fingerprints, by fingerprint."""
    wanted, found = list(dict.fromkeys(fingerprints)), dict[str, Incident]()
    for start in range(0, len(wanted), _CHUNK):
        query = select(s.incident).where(s.incident.c.fingerprint.in_(wanted[start : start + _CHUNK]))
        found.update((row.fingerprint, _incident(row)) for row in con.execute(query))
    return found


def get(con: Connection, incident_id: str) -> Incident:
    """Return the incident whose id begins with `incident_id`.

    Raises:
        UnknownNameError: there is none.
        UsageError: there are several.
    """
    t = s.incident.c
    start = incident_id.strip().lower()
    # Compared as text: a % or _ that somebody typed must stand for itself.
    query = select(s.incident).where(func.substr(t.id, 1, len(start)) == start).order_by(t.id).limit(3)
    rows = con.execute(query).all() if start else []
    if not rows:
        recent = con.execute(select(t.id).order_by(t.opened_at.desc()).limit(100)).scalars()
        raise UnknownNameError("incident", incident_id, recent)
    if len(rows) > 1:
        raise UsageError(f"several incidents begin with {incident_id!r}, such as {rows[0].id} and {rows[1].id}.")
    return _incident(rows[0])


def listed(
    con: Connection,
    *,
    product: str = "",
    states: Collection[str] = (),
    severities: Collection[str] = (),
    owner: str = "",
    since: datetime | None = None,
) -> tuple[Incident, ...]:
    """Return the incidents that satisfy all that is asked, worst first, then newest.

    `owner` finds what is assigned to that person too. `since` finds what was opened, seen or resolved from then on.
    """
    t = s.incident.c
    query = select(s.incident).order_by(t.opened_at.desc(), t.id)
    if product:
        query = query.where(t.product == product)
    if states:
        query = query.where(t.state.in_(list(states)))
    if severities:
        query = query.where(t.severity.in_([str(severity) for severity in severities]))
    if owner:
        query = query.where((t.owner == owner) | (t.assignee == owner))
    if since is not None:
        query = query.where((t.opened_at >= since) | (t.seen_at >= since) | (t.resolved_at >= since))
    found = (_incident(row) for row in con.execute(query))
    return tuple(sorted(found, key=lambda one: list(Severity).index(one.severity)))


def open_about(con: Connection, products: Iterable[str]) -> dict[str, Incident]:
    """Return what is open about `products`, by fingerprint."""
    t, wanted = s.incident.c, frozenset(products)
    rows = con.execute(select(s.incident).where(t.state != RESOLVED))
    return {row.fingerprint: _incident(row) for row in rows if row.product in wanted}


def open_in(con: Connection, domain: str) -> frozenset[str]:
    """Return the products of `domain` about which something is open, whether anybody declares them or not."""
    t = s.incident.c
    addresses = con.execute(select(t.product).where(t.state != RESOLVED).distinct()).scalars()
    return frozenset(address for address in addresses if address.startswith(f"{domain}/"))


def assigned(con: Connection) -> tuple[tuple[Incident, IncidentEvent], ...]:
    """Return what is open and was given to somebody, each with the event that did so last."""
    t, e = s.incident.c, s.incident_event.c
    last = select(func.max(e.id)).where(e.kind == "assigned").group_by(e.incident_id)
    query = select(s.incident, e.at, e.actor).where(e.incident_id == t.id, e.id.in_(last))
    rows = con.execute(query.where(t.state != RESOLVED, t.assignee != "").order_by(t.id))
    return tuple((_incident(row), IncidentEvent(row.id, row.at, "assigned", row.actor)) for row in rows)


def settled(
    con: Connection, products: Iterable[str], since: datetime
) -> tuple[tuple[Subject, datetime, datetime], ...]:
    """Return the episodes that were resolved since a moment: what was wrong, from when, until when."""
    i, e, wanted = s.incident.c, s.incident_event.c, frozenset(products)
    about = (i.product, i.kind, i.subject, i.table_name)
    query = select(*about, e.at, e.detail).where(e.incident_id == i.id, e.kind == "resolved", e.at >= since)
    return tuple(
        (
            Subject(row.product, FindingKind(row.kind), row.subject, row.table_name),
            row.at - timedelta(seconds=row.detail.get("repair_s") or 0),
            row.at,
        )
        for row in con.execute(query)
        if row.product in wanted
    )


def insert(con: Connection, incident: Incident) -> None:
    """Add `incident`. Raises: ConflictError at the commit, if there is one about the same."""
    con.execute(s.incident.insert().values(**_row(incident)))


def update(con: Connection, incident: Incident) -> None:
    """Replace what is kept of `incident`, which is there."""
    row = _row(incident)
    con.execute(s.incident.update().where(s.incident.c.id == row.pop("id")).values(**row))


def add_event(con: Connection, event: IncidentEvent) -> None:
    """Add `event` to the timeline of its incident."""
    row = {"incident_id": event.incident_id, "at": event.at, "kind": event.kind, "actor": event.actor}
    con.execute(s.incident_event.insert().values(**row, detail=dict(event.detail)))


def events(con: Connection, incident_id: str) -> tuple[IncidentEvent, ...]:
    """Return the timeline of an incident, oldest first."""
    t = s.incident_event.c
    rows = con.execute(select(s.incident_event).where(t.incident_id == incident_id).order_by(t.id))
    return tuple(IncidentEvent(r.incident_id, r.at, r.kind, r.actor, MappingProxyType(dict(r.detail))) for r in rows)


_RENAMED = {"table": "table_name"}


def _row(incident: Incident) -> dict[str, Any]:
    row = {_RENAMED.get(f.name, f.name): getattr(incident, f.name) for f in fields(incident)}
    texts = {"kind": str(incident.kind), "severity": str(incident.severity)}
    return row | texts | {"detail": dict(incident.detail), "tickets": dict(incident.tickets)}


def _incident(row: Row[Any]) -> Incident:
    values = {f.name: getattr(row, _RENAMED.get(f.name, f.name)) for f in fields(Incident)}
    values["kind"], values["severity"] = FindingKind(row.kind), Severity(row.severity)
    values["detail"], values["tickets"] = MappingProxyType(dict(row.detail)), MappingProxyType(dict(row.tickets))
    return Incident(**values)
