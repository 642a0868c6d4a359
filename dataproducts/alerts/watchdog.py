"""Whether what watches is alive itself: the watcher, Dagster's daemon, the delivery of notices.

It runs from outside of all of these, by cron for instance, and by the real time: a stopped clock must not hide a
stopped process. It must not know Dagster, whose heartbeats are handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import select

from dataproducts.alerts.deliver import KEPT, deliver
from dataproducts.alerts.message import SUBJECT_LENGTH, clean, moment, span
from dataproducts.alerts.queue import key_of
from dataproducts.alerts.routing import operators
from dataproducts.alerts.send import send as send_one
from dataproducts.errors import DataProductError
from dataproducts.operations import move_bookmark, outbox
from dataproducts.operations import schema as s
from dataproducts.operations.outbox import Notice
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.alerts.deliver import Send
    from dataproducts.directory import Directory
    from dataproducts.operations import Operations

WATCHER = "watch"
"""The bookmark that the watcher moves at every tick, whatever it found."""

DELIVERY = "delivery of notices"
DATABASE = "operations database"
DAEMON = "Dagster daemon"
STOPPED, RUNNING = "stopped", "running"

_WATCHER = "watcher"
_FORGOTTEN = timedelta(days=30)
_ADVICE = {
    _WATCHER: "Start what watches: `dataproducts watch`, or Dagster's daemon with the sensor turned on.",
    DELIVERY: "See `dataproducts notices`; mend the channel, then `dataproducts notices retry`.",
    DATABASE: "See the message; until it is mended nothing is recorded and nobody else is told.",
}
_DAEMON_ADVICE = (
    "Start Dagster's daemon, `dagster-daemon run`, and the storage that its dagster.yaml names. "
    "Until then no schedule and no sensor runs."
)


@dataclass(frozen=True, slots=True)
class Beat:
    """When something was last alive; None if it never was."""

    name: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """Something that ought to be alive and is not: since when, as far as is known, and what is known of it."""

    name: str
    since: datetime | None
    message: str


def beat(con: Connection, *, now: datetime) -> None:
    """Note that the watcher is alive; `now` is the real time."""
    move_bookmark(con, WATCHER, "", now=now)


def watchers(con: Connection, *, now: datetime) -> tuple[Beat, ...]:
    """Return when each watcher was last alive; one alone, that never was, if there are none.

    Those with a name (`watch NAME`, one a code location) are told apart. One that was not alive for 30 days is taken as
    removed, as long as another is there.
    """
    rows = con.execute(select(s.bookmark.c.name, s.bookmark.c.at).order_by(s.bookmark.c.name)).all()
    every = {name: at for name, at in rows if name == WATCHER or name.startswith(f"{WATCHER} ")}
    recent = {name: at for name, at in every.items() if now - at < _FORGOTTEN}
    found = recent or every
    named = {name: at for name, at in found.items() if name != WATCHER}
    beats = [Beat(name.replace(WATCHER, _WATCHER, 1), at) for name, at in (named or found).items()]
    return tuple(beats) or (Beat(_WATCHER, None),)


def stopped(beats: Iterable[Beat], *, now: datetime, allowed: timedelta) -> tuple[Stopped, ...]:
    """Return what was not alive within `allowed`, or never."""
    found = []
    for one in beats:
        if one.at is None:
            found.append(Stopped(one.name, None, "it was never alive"))
        elif now - one.at > allowed:
            told = f"last alive {moment(one.at)}, {span(now - one.at)} ago; allowed are {span(allowed)}"
            found.append(Stopped(one.name, one.at, told))
    return tuple(found)


def stuck(con: Connection, *, now: datetime, allowed: timedelta) -> tuple[Stopped, ...]:
    """Return the delivery of notices, if some are overdue: nobody delivers, or a channel does not take them.

    What was given up counts for as long as it had failed before, until its channel takes another.
    """
    found = (*outbox.overdue(con, now=now, allowed=allowed), *outbox.lost(con, since=now - KEPT))
    late = [one for one in found if one.kind not in {STOPPED, RUNNING}]
    if not late:
        return ()
    since = min(one.failing_since or one.due_at for one in late)
    error = next((one.last_error for one in late if one.last_error), "nobody tried to send them")
    gone = sum(one.state == outbox.DROPPED for one in late)
    count = f"{len(late)} notice{'s' if len(late) > 1 else ''} overdue{f', {gone} of them given up,' if gone else ''}"
    return (Stopped(DELIVERY, since, f"{count} since {moment(since)}: {error}"),)


def tell(
    operations: Operations,
    directory: Directory,
    found: Sequence[Stopped],
    *,
    checked: Iterable[str],
    now: datetime,
    send: Send = send_one,
) -> tuple[Notice, ...]:
    """Tell the operator what has stopped, once and then once a day, and once that it runs again; return what is new.

    `checked` are the names of all that was looked at: what is not in `found` runs. `now` is the real time.

    Raises:
        StoreError: the database cannot be used: use `cry`.
    """
    down = {one.name for one in found}
    with operations.writing() as con:
        notices = [notice for one in found for notice in _alarms(one, directory, now)]
        for name in sorted({*checked} - down):
            notices += _all_clear(con, name, now)
        new = outbox.put(con, notices)
        # Also what could not be sent before: who else delivers may be what has stopped.
        wait = outbox.listed(con, states=(outbox.WAITING,), kinds=(STOPPED, RUNNING))
    if wait:
        deliver(operations, directory, now=now, send=send, keys=[notice.key for notice in wait])
    return new


def cry(directory: Directory, found: Sequence[Stopped], *, now: datetime, send: Send = send_one) -> tuple[str, ...]:
    """Tell the operator without the outbox, which cannot be used, and return what could not be sent."""
    failed = []
    for notice in (notice for one in found for notice in _alarms(one, directory, now)):
        channels = [t.channel for t in operators(directory) if (t.recipient.name, t.channel.name) == _way(notice)]
        try:
            send(channels[0], notice)
        except DataProductError as error:
            failed.append(f"{notice.recipient} by {notice.channel}: {error}")
    return tuple(failed)


def _alarms(one: Stopped, directory: Directory, now: datetime) -> list[Notice]:
    told = [
        f"The {one.name} has stopped: what goes wrong from now on may not be noticed.",
        "",
        f"Since:      {moment(one.since) if one.since else 'always'}",
        f"What:       {clean(one.message)}",
        f"Do:         {_advice(one.name)}",
    ]
    return [
        Notice(
            # Once a day: a watchdog that barked once and was overheard must bark again.
            key=key_of("watchdog", one.name, one.since, f"{now:%Y-%m-%d}", target.recipient.name, target.channel.name),
            product="",
            kind=STOPPED,
            severity=str(Severity.ERROR),
            recipient=target.recipient.name,
            channel=target.channel.name,
            subject=clean(f"[error] {one.name} has stopped", SUBJECT_LENGTH),
            body="\n".join(told),
            facts={"event": STOPPED, "about": one.name, "since": one.since.isoformat() if one.since else ""},
            created_at=now,
            due_at=now,
        )
        for target in operators(directory)
    ]


def _all_clear(con: Connection, name: str, now: datetime) -> list[Notice]:
    """Tell whoever was told that `name` had stopped, if that is the last they heard of it."""
    last: dict[tuple[str, str], Notice] = {}
    for notice in outbox.listed(con, kinds=(STOPPED, RUNNING)):
        if notice.facts.get("about") == name:
            last.setdefault(_way(notice), notice)
    title = f"[resolved] {name} runs again"
    return [
        replace(
            notice,
            key=key_of(RUNNING, notice.key),
            kind=RUNNING,
            subject=clean(title, SUBJECT_LENGTH),
            body=f"The {name} runs again.",
            facts={"event": RUNNING, "about": name},
            state=outbox.WAITING,
            created_at=now,
            due_at=now,
            sent_at=None,
            attempts=0,
            last_error="",
            failing_since=None,
        )
        for notice in last.values()
        if notice.kind == STOPPED and notice.state in {outbox.SENT, outbox.WAITING}
    ]


def _advice(name: str) -> str:
    return next((advice for start, advice in _ADVICE.items() if name.startswith(start)), _DAEMON_ADVICE)


def _way(notice: Notice) -> tuple[str, str]:
    return notice.recipient, notice.channel
