"""Issues of GitLab as tickets; it must not know when one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from dataproducts.product import Severity
from dataproducts.trackers.ask import PAGE, ask, entries, secret, ticket_of
from dataproducts.trackers.ticket import body, mark, reopened, resolved, title

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dataproducts.operations.incidents import Incident
    from dataproducts.trackers.ticket import Ticket


@dataclass(frozen=True, slots=True)
class GitLab:
    """Issues of a project (its number, or `group/name`) on GitLab; `token_variable` as for GitHub."""

    project: str
    token_variable: str = "GITLAB_TOKEN"  # noqa: S105 - the variable's name
    api: str = "https://gitlab.com/api/v4"
    labels: tuple[str, ...] = ("data-incident",)
    severities: Collection[Severity] = frozenset(Severity)
    name: str = "gitlab"

    def find(self, incident: Incident) -> Ticket | None:
        """Return the issue whose text names `incident`."""
        asked = {"search": incident.id, "in": "description", "scope": "all", "per_page": PAGE}
        found = entries(self._ask("GET", f"?{urlencode(asked)}"))
        mine = (issue for issue in found if mark(incident) in str(issue.get("description") or ""))
        issue = next(mine, None)
        return ticket_of(issue, "iid", "web_url") if issue else None

    def create(self, incident: Incident) -> Ticket:
        """Open an issue."""
        asked = {"title": title(incident), "description": body(incident), "labels": ",".join(self.labels)}
        return ticket_of(self._ask("POST", "", asked), "iid", "web_url")

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Open the issue again, and say why."""
        self._ask("PUT", f"/{ticket.number}", {"state_event": "reopen"})
        self._ask("POST", f"/{ticket.number}/notes", {"body": reopened(incident)})

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Close the issue, and say why."""
        self._ask("PUT", f"/{ticket.number}", {"state_event": "close"})
        self._ask("POST", f"/{ticket.number}/notes", {"body": resolved(incident)})

    def _ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        place = f"{self.api.rstrip('/')}/projects/{quote(self.project, safe='')}/issues{path}"
        headers = {"PRIVATE-TOKEN": secret(self.token_variable)}
        return ask(method, place, headers, data, of_ticket=path.startswith("/"))
