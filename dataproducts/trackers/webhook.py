"""Tickets behind an address of the project's own; it must not know when one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.product import Severity
from dataproducts.trackers.ask import ask, secret
from dataproducts.trackers.ticket import Ticket, body, reopened, resolved, title

if TYPE_CHECKING:
    from collections.abc import Collection

    from dataproducts.operations.incidents import Incident


@dataclass(frozen=True, slots=True)
class Webhook:
    """Any tracker behind an address that takes `{"event", "key", "incident", …}` as JSON, by POST.

    `key` says which event of which episode it is: one that comes twice is the same. An answer with `number` or `url`
    is kept, and sent along with what follows. `token_variable`, if named, is sent as a bearer token.
    """

    url: str
    token_variable: str = ""
    severities: Collection[Severity] = frozenset(Severity)
    name: str = "webhook"

    def find(self, incident: Incident) -> Ticket | None:  # noqa: ARG002 - as of the protocol
        """Return None: the receiver knows by the key what it has."""
        return None

    def create(self, incident: Incident) -> Ticket:
        """Tell that an incident was opened."""
        return self._tell("opened", incident, None, body(incident))

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Tell that it was reopened."""
        self._tell("reopened", incident, ticket, reopened(incident))

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Tell that it was resolved."""
        self._tell("resolved", incident, ticket, resolved(incident))

    def _tell(self, event: str, incident: Incident, ticket: Ticket | None, text: str) -> Ticket:
        told = {
            "event": event,
            "key": f"{incident.id}/{incident.episode}/{event}",
            "incident": incident.id,
            "ticket": ticket.number if ticket else "",
            "product": incident.product,
            "table": incident.table,
            "kind": str(incident.kind),
            "severity": str(incident.severity),
            "owner": incident.responsible,
            "title": title(incident),
            "text": text,
        }
        headers = {"Authorization": f"Bearer {secret(self.token_variable)}"} if self.token_variable else {}
        answer = ask("POST", self.url, headers, told)
        facts = answer if isinstance(answer, dict) else {}
        return Ticket(str(facts.get("number") or incident.id), str(facts.get("url") or ""))
