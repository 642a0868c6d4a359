"""What a ticket is, what it says, and what a tracker does with it; it must not know any tracker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dataproducts.errors import DataProductError

if TYPE_CHECKING:
    from collections.abc import Collection

    from dataproducts.operations.incidents import Incident
    from dataproducts.product import Severity


class TrackerError(DataProductError, OSError):
    """A tracker that cannot be reached, or refuses; its ticket is tried again at the next look."""


class TicketGoneError(TrackerError):
    """A ticket that its tracker does not have, or does not show us."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as its tracker knows it: the number to change it by, and the address to read it at."""

    number: str
    address: str


class Tracker(Protocol):
    """Where tickets are kept. Every method may raise TrackerError; `reopen` and `close` TicketGoneError too.

    A step whose answer was lost is taken again, so `reopen` and `close` must bear being called twice. None should take
    longer than a minute: what a look has left is shared by all trackers.
    """

    @property
    def name(self) -> str:
        """What the project calls it: `tickets` of an incident has what is known under this name."""

    @property
    def severities(self) -> Collection[Severity]:
        """Which incidents have tickets."""

    def find(self, incident: Incident) -> Ticket | None:
        """Return the ticket of `incident`, if an earlier attempt has made one."""

    def create(self, incident: Incident) -> Ticket:
        """Make the ticket of `incident`."""

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Open the ticket again, with a comment that says why."""

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Close the ticket, with a comment that says what resolved it."""


def title(incident: Incident) -> str:
    """Return the title of a ticket."""
    return f"[{incident.severity}] {incident.title}"


def body(incident: Incident) -> str:
    """Return the text of a ticket, in Markdown: nothing of it is classified."""
    detail = incident.detail
    facts = {
        "product": incident.product,
        "table": incident.table,
        "what": f"{incident.kind}: {incident.subject}",
        "owner": incident.responsible,
        "went wrong": f"{incident.failed_at:%Y-%m-%d %H:%M} UTC",
        "found": f"{incident.opened_at:%Y-%m-%d %H:%M} UTC",
        "partitions": ", ".join(detail.get("partitions", ())),
        "downstream": ", ".join(detail.get("downstream", ())),
        "metrics": ", ".join(detail.get("metrics", ())),
        "runbook": detail.get("runbook", ""),
        "run": detail.get("run_link") or detail.get("run_id") or "",
    }
    lines = [f"- {name}: {value}" for name, value in facts.items() if value]
    message = str(detail.get("message") or "")
    return "\n".join([*([message, ""] if message else []), *lines, "", mark(incident)])


def reopened(incident: Incident) -> str:
    """Return the comment on a ticket whose incident was reopened."""
    message = str(incident.detail.get("message") or incident.title)
    return f"Found wrong again at {incident.opened_at:%Y-%m-%d %H:%M} UTC (episode {incident.episode}): {message}"


def resolved(incident: Incident) -> str:
    """Return the comment on a ticket whose incident was resolved."""
    at = incident.resolved_at
    how = "by hand" if incident.detail.get("by_hand") else "found good"
    return f"Resolved{f' at {at:%Y-%m-%d %H:%M} UTC' if at else ''}: {how}."


def mark(incident: Incident) -> str:
    """Return what a ticket is known by as that of `incident`, whoever edits the rest of it."""
    return f"dataproducts-incident: {incident.id}"
