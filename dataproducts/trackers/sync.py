"""Keeping tickets in step with incidents; it must not know how a tracker is asked.

What a tracker has not been told is seen from what is kept in `Incident.tickets`, so that whatever fails is done at a
later look.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dataproducts.errors import DataProductError
from dataproducts.operations import incidents as kept
from dataproducts.trackers.ticket import Ticket, TicketGoneError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.operations import Operations
    from dataproducts.operations.incidents import Incident
    from dataproducts.trackers.ticket import Tracker

PATIENCE = timedelta(seconds=15)
"""For how long steps are begun in one look, over all trackers."""

_LEASE = timedelta(minutes=5)  # longer than any step takes, so that nobody else takes the same one
_OPEN, _CLOSED, _BEGUN, _GONE = "open", "closed", "begun", "gone"
_CREATE, _REOPEN, _CLOSE = "create", "reopen", "close"


@dataclass(frozen=True, slots=True)
class Synced:
    """What one look did to tickets: `done` are (tracker, incident, step), `failed` (tracker, incident, why)."""

    done: tuple[tuple[str, str, str], ...]
    failed: tuple[tuple[str, str, str], ...]


def sync(
    operations: Operations, trackers: Sequence[Tracker], *, now: datetime, patience: timedelta = PATIENCE
) -> Synced:
    """Bring the tickets of every tracker in step with the incidents; what fails is noted, and tried at a later look.

    A tracker is told outside of any transaction. That a step is about to be taken is noted first, so that of several
    watchers one takes it; after a kill in between, a later look finds the ticket before it makes another. What was
    resolved before a tracker was told of it gets no ticket, unless an attempt was begun.

    After its first failure a tracker is left alone until the next look, where what failed comes last. Trackers share
    `patience`, by the real clock: when its share is over, a tracker begins no further step, but each takes one.

    Raises:
        StoreError: the operations database cannot be used.
    """
    begun = time.monotonic()
    done: list[tuple[str, str, str]] = []
    failed: list[tuple[str, str, str]] = []
    with operations.reading() as con:
        every = kept.listed(con) if trackers else ()
    for at, tracker in enumerate(trackers):
        left = begun + patience.total_seconds() - time.monotonic()
        until = time.monotonic() + left / (len(trackers) - at)
        for seen in _in_turn(every, tracker):
            # A lease counts from when it is taken, however long ago the look began.
            claim = _claim(operations, tracker, seen, now + timedelta(seconds=time.monotonic() - begun))
            if claim is None:
                continue
            incident, step = claim
            if why := _take(operations, tracker, incident, step, now=now):
                failed.append((tracker.name, incident.id, why))
            else:
                done.append((tracker.name, incident.id, step))
            if why or time.monotonic() > until:
                break
    return Synced(tuple(done), tuple(failed))


def _in_turn(incidents: Sequence[Incident], tracker: Tracker) -> list[Incident]:
    """Return those whose tickets are to be changed, worst first; what failed comes last, the longest ago of it first.

    So one ticket that is refused for ever keeps no other from being changed.
    """
    due = [one for one in incidents if _step(one, tracker)]
    return sorted(due, key=lambda one: str((one.tickets.get(tracker.name) or {}).get("failed_at") or ""))


def _claim(operations: Operations, tracker: Tracker, seen: Incident, now: datetime) -> tuple[Incident, str] | None:
    """Return the incident as it stands and the step to take, if nobody else is taking it; note that we are."""
    with operations.writing() as con:
        fresh = kept.get(con, seen.id)
        step = _step(fresh, tracker)
        held = dict(fresh.tickets.get(tracker.name) or {})
        leased = str(held.get("leased_until") or "")
        if not step or (leased and now < datetime.fromisoformat(leased)):
            return None
        told = {"leased_until": (now + _LEASE).isoformat()} | ({"state": _BEGUN} if step == _CREATE else {})
        kept.update(con, replace(fresh, tickets=dict(fresh.tickets) | {tracker.name: held | told}))
        return fresh, step


def _step(incident: Incident, tracker: Tracker) -> str:
    """Return what has to be done to the ticket of `incident`: create, reopen, close, or nothing."""
    held = incident.tickets.get(tracker.name) or {}
    state, episode = held.get("state", ""), held.get("episode", 0)
    if not state or (state == _GONE and episode < incident.episode):
        return _CREATE if incident.is_open and incident.severity in tracker.severities else ""
    if state == _BEGUN:
        return _CREATE
    if state != _GONE and (episode < incident.episode or (incident.is_open and state == _CLOSED)):
        return _REOPEN
    return _CLOSE if state == _OPEN and not incident.is_open else ""


def _take(operations: Operations, tracker: Tracker, incident: Incident, step: str, *, now: datetime) -> str:
    """Take a step and keep what came of it; return why it failed, or nothing."""
    try:
        ticket, state = _done(tracker, incident, step)
    # Process edge: a tracker may be the project's own, and the text of what it raises may hold its token.
    except Exception as error:  # noqa: BLE001 - as above
        said = str(error) if isinstance(error, DataProductError) else type(error).__name__
        _note(operations, incident, tracker, {"error": said, "failed_at": now.isoformat(), "leased_until": ""})
        return said
    told = {"state": state, "episode": incident.episode, "error": "", "failed_at": "", "leased_until": ""}
    _note(operations, incident, tracker, told | {"number": ticket.number, "address": ticket.address})
    return ""


def _done(tracker: Tracker, incident: Incident, step: str) -> tuple[Ticket, str]:
    """Let the tracker take a step; return the ticket and its state."""
    held = incident.tickets.get(tracker.name) or {}
    if step == _CREATE:
        found = tracker.find(incident) if held.get("state") == _BEGUN else None
        return found or tracker.create(incident), _OPEN
    ticket = Ticket(str(held.get("number", "")), str(held.get("address", "")))
    act, state = (tracker.reopen, _OPEN) if step == _REOPEN else (tracker.close, _CLOSED)
    try:
        act(incident, ticket)
    except TicketGoneError:
        # Whoever may see no ticket at all is told the same; but then looking for it fails as well.
        found = tracker.find(incident)
        if found is None:
            return (tracker.create(incident), _OPEN) if step == _REOPEN else (ticket, _GONE)
        act(incident, found)
        ticket = found
    return ticket, state


def _note(operations: Operations, incident: Incident, tracker: Tracker, told: Mapping[str, Any]) -> None:
    """Keep what is known of a ticket; the incident itself may have changed meanwhile."""
    with operations.writing() as con:
        fresh = kept.get(con, incident.id)
        held = dict(fresh.tickets.get(tracker.name) or {}) | dict(told)
        kept.update(con, replace(fresh, tickets=dict(fresh.tickets) | {tracker.name: held}))
