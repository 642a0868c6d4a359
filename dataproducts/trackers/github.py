"""Issues of GitHub as tickets; it must not know when one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from dataproducts.product import Severity
from dataproducts.trackers.ask import PAGE, ask, entries, secret, ticket_of
from dataproducts.trackers.ticket import body, mark, reopened, resolved, title

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from dataproducts.operations.incidents import Incident
    from dataproducts.trackers.ticket import Ticket


@dataclass(frozen=True, slots=True)
class GitHub:
    """Issues of a repository `owner/name` on GitHub, or on an enterprise's server at `api`.

    `token_variable` names the environment variable with a token that may write issues.
    """

    repository: str
    token_variable: str = "GITHUB_TOKEN"  # noqa: S105 - the variable's name
    api: str = "https://api.github.com"
    labels: tuple[str, ...] = ("data-incident",)
    severities: Collection[Severity] = frozenset(Severity)
    name: str = "github"

    def find(self, incident: Incident) -> Ticket | None:
        """Return the issue whose text names `incident`, among those with our labels, newest first."""
        for page in range(1, 11):
            asked = {"state": "all", "labels": ",".join(self.labels), "per_page": PAGE, "page": page}
            issues = entries(self._ask("GET", f"?{urlencode(asked)}"))
            for issue in issues:
                if mark(incident) in str(issue.get("body") or ""):
                    return ticket_of(issue, "number", "html_url")
            if len(issues) < PAGE:
                break
        return None

    def create(self, incident: Incident) -> Ticket:
        """Open an issue."""
        asked = {"title": title(incident), "body": body(incident), "labels": list(self.labels)}
        return ticket_of(self._ask("POST", "", asked), "number", "html_url")

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Open the issue again, and say why."""
        self._ask("PATCH", f"/{ticket.number}", {"state": "open"})
        self._ask("POST", f"/{ticket.number}/comments", {"body": reopened(incident)})

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Close the issue as completed, and say why."""
        self._ask("PATCH", f"/{ticket.number}", {"state": "closed", "state_reason": "completed"})
        self._ask("POST", f"/{ticket.number}/comments", {"body": resolved(incident)})

    def _ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        headers = {
            "Authorization": f"Bearer {secret(self.token_variable)}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        place = f"{self.api.rstrip('/')}/repos/{self.repository}/issues{path}"
        return ask(method, place, headers, data, of_ticket=path.startswith("/"))
