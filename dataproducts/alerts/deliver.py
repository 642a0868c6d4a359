"""Delivery of what is due in the outbox: leased, sent outside of any transaction, marked; it must not route anything.

At least once: whoever is killed between sending and marking leaves a lease that runs out, after which the notice is
sent again under the same key. Channels are served side by side, so that one that hangs holds up no other.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import select

from dataproducts.alerts.message import digest_text
from dataproducts.alerts.queue import key_of
from dataproducts.alerts.send import send as send_one
from dataproducts.alerts.send import through
from dataproducts.errors import DataProductError
from dataproducts.operations import outbox
from dataproducts.operations import schema as s
from dataproducts.operations.outbox import ESCALATED, MUTED, QUIET, RECOVERED, Notice
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.directory import Channel, Directory
    from dataproducts.operations import Operations

    Send = Callable[[Channel, Notice], None]

PATIENCE = timedelta(seconds=60)
"""For how long one delivery goes on, whatever hangs."""

KEPT = timedelta(days=7)
"""For how long a notice fails before it is given up after one more attempt, which the incident's timeline says."""

TEST = "test"
"""The kind of a notice that somebody asked for, to see whether it arrives; quiet hours do not hold it."""

_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(seconds=30), timedelta(minutes=15)
_MARGIN = timedelta(seconds=60)  # a lease outlasts the delivery by this much
_WIDTH = 32  # channels served at a time


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one delivery did: how many notices were sent, failed, given up, taken back, or left for the next one."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    cancelled: int = 0
    left: int = 0


def deliver(
    operations: Operations,
    directory: Directory,
    *,
    now: datetime,
    send: Send = send_one,
    patience: timedelta = PATIENCE,
    keys: Iterable[str] | None = None,
) -> Delivered:
    """Send what is due at `now`, or of that only what has one of `keys`, and mark it sent.

    Takes `patience` at the longest, by the real clock. After a failure a channel is left alone until the next delivery;
    the notice that failed waits 30 s, then twice as long each time, up to 15 minutes.

    Raises:
        StoreError: the operations database cannot be used.
    """
    token = secrets.token_hex(8)
    with operations.writing() as con:
        cancelled = _settle(con, directory, now)
        _gather_digests(con, now)
        due = _due(con, now, None if keys is None else frozenset(keys))
        outbox.lease(con, due, token, now + patience + _MARGIN)
    round_ = _Round(operations, directory, token, now, send, time.monotonic() + patience.total_seconds())
    round_.run(due)
    return Delivered(
        sent=round_.sent,
        failed=round_.failed,
        dropped=round_.dropped,
        cancelled=cancelled,
        left=len(due) - round_.sent - round_.failed - round_.dropped,
    )


def _settle(con: Connection, directory: Directory, now: datetime) -> int:
    """Take back and put off what is to be; return how many notices were taken back."""
    waits = [one for one in outbox.waiting(con) if not _is_leased(one, now)]
    states = _incidents(con, {one.incident_id for one in waits if one.incident_id})
    cancelled = 0
    for one in waits:
        incident = states.get(one.incident_id)
        muted = incident.muted_until if incident and incident.is_muted(now) else None
        if one.due_at > now and not (one.held == MUTED and not muted):
            continue
        if incident and incident.makes_idle(one):
            outbox.cancel(con, [one])
            cancelled += 1
        elif muted:
            outbox.put_off(con, one, muted, MUTED)
        elif loud := _quiet_until(one, directory, now):
            outbox.put_off(con, one, loud, QUIET)
        elif one.due_at > now:  # somebody ended the mute
            outbox.put_off(con, one, now, "")
    return cancelled


def _due(con: Connection, now: datetime, keys: frozenset[str] | None) -> tuple[Notice, ...]:
    """Return what is to be sent now, in the order it was put in."""
    due: list[Notice] = []
    blocked: set[tuple[str, str, str]] = set()
    for one in outbox.waiting(con):
        way = (one.incident_id, one.recipient, one.channel)
        later = one.due_at > now
        if _is_leased(one, now) or (later and one.failing_since):
            blocked.add(way)  # what became of an incident must not overtake that it was opened
        elif not later and (keys is None or one.key in keys) and not (one.incident_id and way in blocked):
            due.append(one)
    return tuple(due)


def _is_leased(notice: Notice, now: datetime) -> bool:
    return notice.leased_until is not None and notice.leased_until > now


@dataclass(frozen=True, slots=True)
class _State:
    """What a waiting notice has to know of its incident."""

    episode: int
    state: str
    acknowledged: bool
    muted_until: datetime | None

    def is_muted(self, now: datetime) -> bool:
        """Whether nobody is to be told of it at `now`."""
        return self.muted_until is not None and self.muted_until > now

    def makes_idle(self, notice: Notice) -> bool:
        """Whether nobody needs to hear `notice` any more."""
        over = self.state == "resolved" or self.episode != notice.episode
        if notice.kind == ESCALATED:
            return over or self.acknowledged
        # Said to nobody while it was muted, and right by now: silence was asked for.
        return over and notice.held == MUTED and notice.kind != RECOVERED


def _incidents(con: Connection, ids: set[str]) -> dict[str, _State]:
    i = s.incident.c
    query = select(i.id, i.episode, i.state, i.acknowledged_at, i.muted_until)
    return {
        row.id: _State(row.episode, row.state, row.acknowledged_at is not None, row.muted_until)
        for row in con.execute(query)
        if row.id in ids
    }


def _quiet_until(notice: Notice, directory: Directory, now: datetime) -> datetime | None:
    """Return when the quiet hours end that a due notice fell into by waiting; None if it may be sent."""
    recipient = directory.recipient(notice.recipient)
    if recipient is None or recipient.quiet is None or notice.kind == TEST:
        return None
    return None if Severity(notice.severity) in recipient.quiet.passes else recipient.quiet.until(now)


def _gather_digests(con: Connection, now: datetime) -> None:
    """Put one digest in for each recipient, channel and hour, in place of what waited for it."""
    waits = [one for one in outbox.waiting(con) if one.digest and one.due_at <= now]
    waits = [one for one in waits if not _is_leased(one, now) and not one.attempts]
    waits.sort(key=lambda one: (one.recipient, one.channel, one.digest, one.id))
    for (recipient, channel, slot), group in groupby(waits, key=lambda one: (one.recipient, one.channel, one.digest)):
        members = list(group)
        if len(members) < 2:  # noqa: PLR2004 - one alone goes as it is
            continue
        subject, body = digest_text(members, now=now)
        worst = min((Severity(one.severity) for one in members), key=list(Severity).index)
        products = sorted({one.product for one in members})
        digest = Notice(
            key=key_of("digest", recipient, channel, slot, *(one.key for one in members)),
            product=products[0] if len(products) == 1 else "",
            kind="digest",
            severity=str(worst),
            recipient=recipient,
            channel=channel,
            subject=subject,
            body=body,
            facts={"event": "digest", "products": products, "keys": [one.key for one in members]},
            created_at=now,
            due_at=now,
        )
        outbox.join(con, members, digest)


class _Round:
    """One delivery under way, shared by the threads that serve its channels."""

    def __init__(
        self, operations: Operations, directory: Directory, token: str, now: datetime, send: Send, deadline: float
    ) -> None:
        self._operations, self._directory, self._token, self._now = operations, directory, token, now
        self._send, self._deadline = send, deadline
        self._turn = threading.Lock()
        self._trouble: DataProductError | None = None
        self.sent = self.failed = self.dropped = 0

    def run(self, notices: Sequence[Notice]) -> None:
        """Send `notices`, channel by channel, until all are done or the deadline is over."""
        queues: dict[tuple[str, str], list[Notice]] = {}
        for notice in notices:
            queues.setdefault((notice.recipient, notice.channel), []).append(notice)
        places = threading.Semaphore(_WIDTH)
        # Daemons: a receiver that hangs for ever must not keep the process from ending.
        threads = [
            threading.Thread(target=self._serve, args=(queue, places), name="notices", daemon=True)
            for queue in queues.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(self._deadline - time.monotonic(), 0))
        if self._trouble:
            raise self._trouble

    def _serve(self, notices: list[Notice], places: threading.Semaphore) -> None:
        try:
            left = list(notices)
            if places.acquire(timeout=max(self._deadline - time.monotonic(), 0)):
                try:
                    while left and time.monotonic() < self._deadline and self._deliver(left.pop(0)):
                        pass
                finally:
                    places.release()
            if left:
                with self._operations.writing() as con:
                    outbox.release(con, left, self._token)
        except DataProductError as error:  # what was sent and cannot be marked is sent again when its lease is over
            self._trouble = error

    def _deliver(self, notice: Notice) -> bool:
        """Send one notice and mark how that went; return whether the channel took it."""
        try:
            self._send(through(self._directory, notice), notice)
        # Process edge: whatever a channel does must hold up no other. What others raise may hold the address.
        except Exception as error:  # noqa: BLE001 - as above
            said = str(error) if isinstance(error, DataProductError) else type(error).__name__
            due = self._now + min(_FIRST_PAUSE * 2 ** min(notice.attempts, 10), _LONGEST_PAUSE)
            # Only an attempt can show that it is still in vain: days in which nobody tried count for nothing.
            is_over = notice.failing_since is not None and self._now - notice.failing_since > KEPT
            with self._operations.writing() as con:
                is_ours = outbox.mark_failed(con, notice, self._token, said, now=self._now, due_at=due)
                if is_over and is_ours:
                    outbox.drop(con, notice, now=self._now)
            with self._turn:
                self.dropped += is_over
                self.failed += not is_over
            return False
        with self._operations.writing() as con:
            outbox.mark_sent(con, notice, now=self._now)
        with self._turn:
            self.sent += 1
        return True
