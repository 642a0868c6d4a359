"""Notices of what became of incidents, put into the outbox; it must not send any."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dataproducts.alerts import routing
from dataproducts.alerts.message import Setting, Text, incident_text, moment, reader_text
from dataproducts.operations import incidents, outbox
from dataproducts.operations.outbox import ASSIGNED, ESCALATED, MUTED, RECOVERED, Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.alerts.routing import Observed, Target
    from dataproducts.directory import Directory, Recipient
    from dataproducts.incidents import Change
    from dataproducts.operations.incidents import Incident, IncidentEvent
    from dataproducts.product import DataProduct

_ALARMS = ("opened", "reopened", "worsened")


def queue(
    con: Connection,
    changes: Iterable[Change],
    *,
    directory: Directory,
    products: Mapping[str, DataProduct],
    now: datetime,
    observed: Observed = routing.nobody,
) -> tuple[Notice, ...]:
    """Put in what is to be said of `changes`, in the transaction that recorded them, and return what is new of it.

    Who is responsible is told first, else the team, else the operator; consumers of a broken promise are told too, and
    of the recovery whoever was told. A sighting of what is known already says nothing. What nobody can be told is noted
    in the incident's timeline. What people did since the last call is told as well: to whom an incident was given, and
    that one was resolved. An empty directory tells nobody.
    """
    if not directory:
        return ()

    def scene(incident: Incident) -> _Scene:
        return _Scene(con, incident, directory, products.get(incident.product), now, observed)

    put: list[Notice] = []
    for change in changes:
        if change.what in _ALARMS:
            put += outbox.put(con, scene(change.incident).alarm(change.what))
        elif change.what == "resolved":
            put += outbox.put(con, scene(change.incident).recovery())
    for incident, event in incidents.assigned(con):
        put += outbox.put(con, scene(incident).assignment(event))
    for incident_id in outbox.unclosed(con):
        put += outbox.put(con, scene(incidents.get(con, incident_id)).recovery())
    return tuple(put)


def key_of(*parts: object) -> str:
    """Return the idempotency key of what these parts name: the same for the same, always."""
    return hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Scene:
    """One incident, and all that decides who hears of it."""

    con: Connection
    incident: Incident
    directory: Directory
    product: DataProduct | None
    now: datetime
    observed: Observed

    @property
    def setting(self) -> Setting:
        return Setting(self.product, self.directory.run_url, self.now)

    def alarm(self, what: str) -> Iterator[Notice]:
        """What to say of an incident that was opened or reopened, or grew worse."""
        incident, product = self.incident, self.product
        owners = routing.owners(incident, self.directory, product)
        if not owners:
            why = f"no channel of the directory takes {incident.severity} for {incident.responsible or 'its owner'!r}"
            outbox.note_untold(self.con, incident.id, now=self.now, why=why)
        step = str(incident.severity) if what == "worsened" else ""
        later = list(self.escalations())
        first = next((f"{one.recipient} is told at {moment(one.due_at)}" for one in later), "")
        text = incident_text(what, incident, self.setting, escalates=first and f"unless acknowledged, {first}")
        for target in owners:
            yield self.notice(what, target, text, step=step)
        told = {(target.recipient.name, target.channel.name) for target in owners}
        for target in self.readers():
            if (target.recipient.name, target.channel.name) not in told:
                yield self.notice(what, target, reader_text(what, incident, self.setting, target.use), step=step)
        yield from later

    def assignment(self, event: IncidentEvent) -> Iterator[Notice]:
        """Tell whom the incident was given to, unless they took it themselves."""
        to = self.incident.assignee
        if event.actor != to:
            text = incident_text(ASSIGNED, self.incident, self.setting)
            for target in routing.reached(self.directory, to, self.incident.severity):
                yield self.notice(ASSIGNED, target, text, step=event.at.isoformat())

    def readers(self) -> tuple[Target, ...]:
        """Whose promise is broken."""
        if self.product is None or not routing.is_breach(self.incident):
            return ()
        return routing.readers(self.product, self.directory, table=self.incident.table, observed=self.observed)

    def escalations(self) -> Iterator[Notice]:
        """Who is told if nobody acknowledges; deliverers take these back as soon as somebody does."""
        if self.incident.acknowledged_at is not None:
            return
        team = self.product.team if self.product else ""
        text = incident_text(ESCALATED, self.incident, self.setting)
        for at, step in enumerate(self.directory.steps(team), start=1):
            if self.incident.severity in step.severities:
                for target in routing.reached(self.directory, step.to, self.incident.severity):
                    yield self.notice(ESCALATED, target, text, step=str(at), at=self.now + step.after)

    def recovery(self) -> Iterator[Notice]:
        """Tell whoever was told, or waits to be; and take back what nobody has to hear any more."""
        incident = self.incident
        told = outbox.told(self.con, incident.id, incident.episode)
        spared = [one for one in told if one.state == outbox.WAITING and _is_spared(one)]
        outbox.cancel(self.con, spared)
        reached = {(one.recipient, one.channel): one for one in told if one not in spared}
        for (name, channel), said in reached.items():
            if said.facts.get("audience") == routing.CONSUMER:
                text = reader_text(RECOVERED, incident, self.setting, {})
            else:
                text = incident_text(RECOVERED, incident, self.setting)
            recipient = self.directory.recipient(name)
            notice = self.written(RECOVERED, name, channel, text)
            if said.state == outbox.WAITING and said.digest:
                yield _held(notice, said.due_at, said.held, said.digest)
            else:
                yield self.timed(notice, recipient, self.now)

    def notice(self, kind: str, target: Target, text: Text, *, step: str = "", at: datetime | None = None) -> Notice:
        """What one recipient is told through one channel, due when that recipient wants to hear it."""
        written = self.written(kind, target.recipient.name, target.channel.name, text, step=step)
        return self.timed(written, target.recipient, at or self.now)

    def written(self, kind: str, recipient: str, channel: str, text: Text, *, step: str = "") -> Notice:
        incident = self.incident
        return Notice(
            key=key_of(incident.id, incident.episode, kind, recipient, channel, step),
            incident_id=incident.id,
            episode=incident.episode,
            product=incident.product,
            kind=kind,
            severity=str(incident.severity),
            recipient=recipient,
            channel=channel,
            subject=text.subject,
            body=text.body,
            facts=text.facts,
            created_at=self.now,
            due_at=self.now,
        )

    def timed(self, notice: Notice, recipient: Recipient | None, at: datetime) -> Notice:
        due, held, digest = recipient.due(at, self.incident.severity) if recipient else (at, "", "")
        muted = self.incident.muted_until
        if muted and self.incident.is_muted(self.now):
            due, held = max(due, muted), MUTED
        return _held(notice, due, held, digest)


def _is_spared(notice: Notice) -> bool:
    return not notice.lease and (notice.held == MUTED or (notice.kind == ESCALATED and not notice.attempts))


def _held(notice: Notice, due: datetime, held: str, digest: str) -> Notice:
    return replace(notice, due_at=due, held=held, digest=digest)
