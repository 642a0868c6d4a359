"""Issue trackers: one ticket an incident, kept in step with it; it must not decide what an incident is.

A ticket is made, commented on when its incident is reopened, and closed when that is resolved. What a tracker has not
been told is seen from what is kept in `Incident.tickets`, so that whatever fails is done at the next tick.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, Protocol
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from dataproducts.errors import DataProductError
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from dataproducts.operations import Operations
    from dataproducts.operations.incidents import Incident

_TIMEOUT_S = 20
_LEASE = timedelta(minutes=5)  # longer than any step takes, so that nobody else takes the same one
_PAGE = 100
_TOLD = 300  # characters of an answer that an error repeats
_OPEN, _CLOSED, _BEGUN = "open", "closed", "begun"
_ALL = frozenset(Severity)


class TrackerError(DataProductError, OSError):
    """A tracker that cannot be reached, or refuses; its ticket is tried again at the next tick."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as its tracker knows it: the number to change it by, and the address to read it at."""

    number: str
    address: str


class Tracker(Protocol):
    """Where tickets are kept. Every method may raise TrackerError."""

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


@dataclass(frozen=True, slots=True)
class GitHub:
    """Issues of a repository `owner/name` on GitHub, or on an enterprise's server at `api`.

    `token_variable` names the environment variable with a token that may write issues.
    """

    repository: str
    token_variable: str = "GITHUB_TOKEN"  # noqa: S105 - the variable's name
    api: str = "https://api.github.com"
    labels: tuple[str, ...] = ("data-incident",)
    severities: Collection[Severity] = _ALL
    name: str = "github"

    def find(self, incident: Incident) -> Ticket | None:
        """Return the issue whose text names `incident`, among those with our labels, newest first."""
        for page in range(1, 11):
            asked = {"state": "all", "labels": ",".join(self.labels), "per_page": _PAGE, "page": page}
            issues = _entries(self._ask("GET", f"?{urlencode(asked)}"))
            for issue in issues:
                if _mark(incident) in str(issue.get("body") or ""):
                    return _ticket(issue, "number", "html_url")
            if len(issues) < _PAGE:
                break
        return None

    def create(self, incident: Incident) -> Ticket:
        """Open an issue."""
        asked = {"title": title(incident), "body": body(incident), "labels": list(self.labels)}
        return _ticket(self._ask("POST", "", asked), "number", "html_url")

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Open the issue again, and say why."""
        self._ask("PATCH", f"/{ticket.number}", {"state": "open"})
        self._ask("POST", f"/{ticket.number}/comments", {"body": reopened(incident)})

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Close the issue as completed, and say why."""
        self._ask("POST", f"/{ticket.number}/comments", {"body": resolved(incident)})
        self._ask("PATCH", f"/{ticket.number}", {"state": "closed", "state_reason": "completed"})

    def _ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        headers = {
            "Authorization": f"Bearer {_secret(self.token_variable)}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        return _ask(method, f"{self.api.rstrip('/')}/repos/{self.repository}/issues{path}", headers, data)


@dataclass(frozen=True, slots=True)
class GitLab:
    """Issues of a project (its number, or `group/name`) on GitLab; `token_variable` as for GitHub."""

    project: str
    token_variable: str = "GITLAB_TOKEN"  # noqa: S105 - the variable's name
    api: str = "https://gitlab.com/api/v4"
    labels: tuple[str, ...] = ("data-incident",)
    severities: Collection[Severity] = _ALL
    name: str = "gitlab"

    def find(self, incident: Incident) -> Ticket | None:
        """Return the issue whose text names `incident`."""
        asked = {"search": incident.id, "in": "description", "scope": "all", "per_page": _PAGE}
        found = _entries(self._ask("GET", f"?{urlencode(asked)}"))
        mine = (issue for issue in found if _mark(incident) in str(issue.get("description") or ""))
        issue = next(mine, None)
        return _ticket(issue, "iid", "web_url") if issue else None

    def create(self, incident: Incident) -> Ticket:
        """Open an issue."""
        asked = {"title": title(incident), "description": body(incident), "labels": ",".join(self.labels)}
        return _ticket(self._ask("POST", "", asked), "iid", "web_url")

    def reopen(self, incident: Incident, ticket: Ticket) -> None:
        """Open the issue again, and say why."""
        self._ask("PUT", f"/{ticket.number}", {"state_event": "reopen"})
        self._ask("POST", f"/{ticket.number}/notes", {"body": reopened(incident)})

    def close(self, incident: Incident, ticket: Ticket) -> None:
        """Close the issue, and say why."""
        self._ask("POST", f"/{ticket.number}/notes", {"body": resolved(incident)})
        self._ask("PUT", f"/{ticket.number}", {"state_event": "close"})

    def _ask(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        place = f"{self.api.rstrip('/')}/projects/{quote(self.project, safe='')}/issues{path}"
        return _ask(method, place, {"PRIVATE-TOKEN": _secret(self.token_variable)}, data)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Any tracker behind an address that takes `{"event", "key", "incident", …}` as JSON, by POST.

    `key` says which event of which episode it is: one that comes twice is the same. An answer with `number` or `url`
    is kept, and sent along with what follows. `token_variable`, if named, is sent as a bearer token.
    """

    url: str
    token_variable: str = ""
    severities: Collection[Severity] = _ALL
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
        secret = _secret(self.token_variable) if self.token_variable else ""
        answer = _ask("POST", self.url, {"Authorization": f"Bearer {secret}"} if secret else {}, told)
        facts = answer if isinstance(answer, dict) else {}
        return Ticket(str(facts.get("number") or incident.id), str(facts.get("url") or ""))


@dataclass(frozen=True, slots=True)
class Synced:
    """What one tick did to tickets: `done` are (tracker, incident, step), `failed` (tracker, incident, why)."""

    done: tuple[tuple[str, str, str], ...]
    failed: tuple[tuple[str, str, str], ...]


def sync(operations: Operations, trackers: Sequence[Tracker], *, now: datetime) -> Synced:
    """Bring the tickets of every tracker in step with the incidents; what fails is noted, and tried at the next tick.

    A tracker is told outside of any transaction. That a step is about to be taken is noted first, so that of several
    watchers one takes it; after a kill in between, a later tick looks for the ticket before it makes another. What was
    resolved before a tracker was told of it gets no ticket, unless an attempt was begun.
    """
    done: list[tuple[str, str, str]] = []
    failed: list[tuple[str, str, str]] = []
    with operations.reading() as con:
        every = kept.listed(con) if trackers else ()
    for tracker in trackers:
        for seen in every:
            claim = _claim(operations, tracker, seen, now) if _step(seen, tracker) else None
            if claim is None:
                continue
            incident, step = claim
            try:
                _take(operations, tracker, incident, step)
                done.append((tracker.name, incident.id, step))
            except TrackerError as error:
                failed.append((tracker.name, incident.id, str(error)))
                told = {"error": str(error), "failed_at": now.isoformat(), "leased_until": ""}
                _note(operations, incident, tracker, told)
    return Synced(tuple(done), tuple(failed))


def _claim(operations: Operations, tracker: Tracker, seen: Incident, now: datetime) -> tuple[Incident, str] | None:
    """Return the incident as it stands and the step to take, if nobody else is taking it; note that we are."""
    with operations.writing() as con:
        fresh = kept.get(con, seen.id)
        step = _step(fresh, tracker)
        held = dict(fresh.tickets.get(tracker.name) or {})
        leased = str(held.get("leased_until") or "")
        if not step or (leased and now < datetime.fromisoformat(leased)):
            return None
        told = {"leased_until": (now + _LEASE).isoformat()} | ({"state": _BEGUN} if step == "create" else {})
        kept.update(con, replace(fresh, tickets=dict(fresh.tickets) | {tracker.name: held | told}))
        return fresh, step


def _step(incident: Incident, tracker: Tracker) -> str:
    """Return what has to be done to the ticket of `incident`: create, reopen, close, or nothing."""
    held = incident.tickets.get(tracker.name) or {}
    state, episode = held.get("state", ""), held.get("episode", 0)
    if not state:
        return "create" if incident.is_open and incident.severity in tracker.severities else ""
    if state == _BEGUN:
        return "create"
    if episode < incident.episode or (incident.is_open and state == _CLOSED):
        return "reopen"
    return "close" if state == _OPEN and not incident.is_open else ""


def _take(operations: Operations, tracker: Tracker, incident: Incident, step: str) -> None:
    held = dict(incident.tickets.get(tracker.name) or {})
    if step == "create":
        ticket = (tracker.find(incident) if held.get("state") == _BEGUN else None) or tracker.create(incident)
    else:
        ticket = Ticket(str(held.get("number", "")), str(held.get("address", "")))
        (tracker.reopen if step == "reopen" else tracker.close)(incident, ticket)
    state = _CLOSED if step == "close" else _OPEN
    told = {"state": state, "episode": incident.episode, "error": "", "leased_until": ""}
    _note(operations, incident, tracker, told | {"number": ticket.number, "address": ticket.address})


def _note(operations: Operations, incident: Incident, tracker: Tracker, told: Mapping[str, Any]) -> None:
    """Keep what is known of a ticket; the incident itself may have changed meanwhile."""
    with operations.writing() as con:
        fresh = kept.get(con, incident.id)
        held = dict(fresh.tickets.get(tracker.name) or {}) | dict(told)
        kept.update(con, replace(fresh, tickets=dict(fresh.tickets) | {tracker.name: held}))


# What a ticket says


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
    return "\n".join([*([message, ""] if message else []), *lines, "", _mark(incident)])


def reopened(incident: Incident) -> str:
    """Return the comment on a ticket whose incident was reopened."""
    message = str(incident.detail.get("message") or incident.title)
    return f"Found wrong again at {incident.opened_at:%Y-%m-%d %H:%M} UTC (episode {incident.episode}): {message}"


def resolved(incident: Incident) -> str:
    """Return the comment on a ticket whose incident was resolved."""
    at = incident.resolved_at
    how = "by hand" if incident.detail.get("by_hand") else "found good"
    return f"Resolved{f' at {at:%Y-%m-%d %H:%M} UTC' if at else ''}: {how}."


def _mark(incident: Incident) -> str:
    """Return what a ticket is known by as that of `incident`, whoever edits the rest of it."""
    return f"dataproducts-incident: {incident.id}"


# HTTP


def _secret(variable: str) -> str:
    """Return the value of an environment variable. Raises: TrackerError, if it is not set."""
    value = os.environ.get(variable, "")
    if not value:
        raise TrackerError(f"the environment variable {variable}, which holds the tracker's token, is not set.")
    return value


def _ask(method: str, url: str, headers: Mapping[str, str], data: Mapping[str, Any] | None) -> Any:
    """Return the JSON that a server answers; None where it answers nothing, or something else.

    Raises:
        TrackerError: it cannot be reached, or refuses.
    """
    place = f"{method} {url.partition('?')[0]}"
    if urlsplit(url).scheme not in {"http", "https"}:
        raise TrackerError(f"{place}: the address of a tracker begins with http:// or https://.")
    text = json.dumps(data).encode() if data is not None else None
    every = {"Content-Type": "application/json", "User-Agent": "dataproducts", **headers}
    asked = Request(url, data=text, headers=every, method=method)  # noqa: S310 - the scheme was looked at
    try:
        with urlopen(asked, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - as above
            said = answer.read()
    except HTTPError as error:
        why = b""
        with suppress(OSError, HTTPException):
            why = error.read()
        raise TrackerError(f"{place}: {error.code} {why[:_TOLD].decode(errors='replace')}".rstrip()) from error
    except (OSError, HTTPException) as error:
        raise TrackerError(f"{place}: {getattr(error, 'reason', error) or type(error).__name__}") from error
    try:
        return json.loads(said)
    except ValueError:
        return None


def _entries(facts: Any) -> list[dict[str, Any]]:
    return [entry for entry in facts if isinstance(entry, dict)] if isinstance(facts, list) else []


def _ticket(facts: Any, number: str, address: str) -> Ticket:
    if not isinstance(facts, dict) or facts.get(number) in {None, ""}:
        raise TrackerError(f"the answer of the tracker has no {number!r}: {str(facts)[:_TOLD]}")
    return Ticket(str(facts[number]), str(facts.get(address) or ""))
