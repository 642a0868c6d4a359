"""The outbox: notices that wait, were sent or were given up; it must not know how one is worded or sent.

A notice is put in with the transaction that gives rise to it, under an idempotency key, and sent afterwards, outside of
any. Whoever sends leases it first, so that two do not both send it; who is killed between sending and noting it leaves
a lease that runs out, and the notice is sent again under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from dataproducts.operations import schema as s
from dataproducts.operations.incidents import RESOLVED, IncidentEvent, add_event

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from sqlalchemy import Connection, Row, Select

WAITING, JOINED, SENT, CANCELLED, DROPPED = "waiting", "joined", "sent", "cancelled", "dropped"
STATES = (WAITING, JOINED, SENT, CANCELLED, DROPPED)
QUIET, MUTED = "quiet", "muted"
ASSIGNED, ESCALATED, RECOVERED = "assigned", "escalated", "recovered"
ACTOR = "alerts"
"""Who is named in the timeline of an incident for what was sent."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_CHUNK = 500  # of values in one IN: below the parameter limits of both databases
_LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be said to one recipient through one channel, known by its idempotency `key`.

    `facts` is the same for programs. `digest` is the one it waits for, or the key of the one it went with. `held`
    says why it is not due (`quiet` or `muted`); it stays empty for one that merely failed. `due_at` of one that was
    given up is when that was. `id` counts up; 0 is not put in yet.
    """

    key: str
    product: str
    kind: str
    severity: str
    recipient: str
    channel: str
    subject: str
    body: str
    created_at: datetime
    due_at: datetime
    incident_id: str = ""
    episode: int = 0
    facts: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    digest: str = ""
    state: str = WAITING
    held: str = ""
    sent_at: datetime | None = None
    attempts: int = 0
    last_error: str = ""
    failing_since: datetime | None = None
    lease: str = ""
    leased_until: datetime | None = None
    id: int = 0


def put(con: Connection, notices: Iterable[Notice]) -> tuple[Notice, ...]:
    """Add the notices whose key is new, and return those; what was said, or will be, is not said again."""
    wanted = {notice.key: notice for notice in notices}
    for key in _known(con, wanted):
        del wanted[key]
    if wanted:
        con.execute(s.notice.insert(), [_row(notice) for notice in wanted.values()])
    return tuple(wanted.values())


def waiting(con: Connection) -> tuple[Notice, ...]:
    """Return every notice that waits, in the order they were put in."""
    return _found(con, select(s.notice).where(s.notice.c.state == WAITING).order_by(s.notice.c.id))


def listed(
    con: Connection,
    *,
    states: Collection[str] = (),
    kinds: Collection[str] = (),
    incident_id: str = "",
    limit: int | None = None,
) -> tuple[Notice, ...]:
    """Return notices in one of `states` and of one of `kinds` (any, if none is named), newest first."""
    query = select(s.notice).order_by(s.notice.c.id.desc()).limit(limit)
    if states:
        query = query.where(s.notice.c.state.in_(list(states)))
    if kinds:
        query = query.where(s.notice.c.kind.in_(list(kinds)))
    if incident_id:
        query = query.where(s.notice.c.incident_id == incident_id)
    return _found(con, query)


def told(con: Connection, incident_id: str, episode: int) -> tuple[Notice, ...]:
    """Return what was said of an episode of an incident, or is still going to be said."""
    t = s.notice.c
    of = (t.incident_id == incident_id) & (t.episode == episode) & t.state.in_((WAITING, JOINED, SENT))
    return _found(con, select(s.notice).where(of).order_by(t.id))


def unclosed(con: Connection) -> tuple[str, ...]:
    """Return the ids of resolved incidents that somebody was told of, or is going to be, and not that they are."""
    i, t, r = s.incident.c, s.notice.c, s.notice.alias().c
    said = (t.incident_id == i.id) & (t.episode == i.episode) & t.state.in_((WAITING, JOINED, SENT))
    closed = select(r.id).where((r.incident_id == i.id) & (r.episode == i.episode) & (r.kind == RECOVERED)).exists()
    query = select(i.id).where((i.state == RESOLVED) & ~closed & select(t.id).where(said).exists()).order_by(i.id)
    return tuple(con.execute(query).scalars())


def lease(con: Connection, notices: Sequence[Notice], token: str, until: datetime) -> None:
    """Note that whoever holds `token` sends these, until then."""
    _change(con, [notice.id for notice in notices], lease=token, leased_until=until)


def release(con: Connection, notices: Sequence[Notice], token: str) -> None:
    """Give back what was leased with `token` and not tried."""
    t = s.notice.c
    for notice in notices:
        mine = (t.id == notice.id) & (t.lease == token) & (t.state == WAITING)
        con.execute(s.notice.update().where(mine).values(lease="", leased_until=None))


def mark_sent(con: Connection, notice: Notice, *, now: datetime) -> None:
    """Note that `notice` was sent, with all that went with it, in the timelines of their incidents too.

    It counts whoever holds the lease by now: what was sent was sent.
    """
    t = s.notice.c
    members = _found(con, select(s.notice).where((t.digest == notice.key) & (t.state == JOINED)).order_by(t.id))
    done = {"state": SENT, "sent_at": now, "lease": "", "leased_until": None, "last_error": ""}
    _change(con, [notice.id, *(member.id for member in members)], **done)
    con.execute(s.notice.update().where(t.id == notice.id).values(attempts=t.attempts + 1))
    for one in (notice, *members):
        if one.incident_id:
            _note(con, one, "notified", now, digest=notice.key if one.key != notice.key else "")
            i = s.incident.c
            first = (i.id == one.incident_id) & (i.episode == one.episode) & i.notified_at.is_(None)
            con.execute(s.incident.update().where(first).values(notified_at=now))


def mark_failed(con: Connection, notice: Notice, token: str, error: str, *, now: datetime, due_at: datetime) -> bool:
    """Note that `notice` could not be sent, and when to try again; False if somebody else holds it by now."""
    t = s.notice.c
    mine = (t.id == notice.id) & (t.lease == token) & (t.state == WAITING)
    values = {
        "attempts": t.attempts + 1,
        "last_error": error[:_LONGEST_ERROR],
        "failing_since": func.coalesce(t.failing_since, now),
        "due_at": due_at,
        "held": "",
        "lease": "",
        "leased_until": None,
    }
    return con.execute(s.notice.update().where(mine).values(**values)).rowcount > 0


def put_off(con: Connection, notice: Notice, due_at: datetime, held: str) -> None:
    """Hold `notice` until `due_at`, because of `held`."""
    _change(con, [notice.id], due_at=due_at, held=held)


def cancel(con: Connection, notices: Sequence[Notice]) -> None:
    """Take back what nobody needs to be told any more."""
    _change(con, [notice.id for notice in notices], state=CANCELLED, lease="", leased_until=None)


def drop(con: Connection, notice: Notice, *, now: datetime) -> None:
    """Give `notice` up, with what waits to go with it, and note that in the timelines of their incidents."""
    t = s.notice.c
    (last,) = _found(con, select(s.notice).where(t.id == notice.id))
    members = _found(con, select(s.notice).where((t.digest == notice.key) & (t.state == JOINED)).order_by(t.id))
    done = {"state": DROPPED, "due_at": now, "lease": "", "leased_until": None}
    _change(con, [notice.id, *(member.id for member in members)], **done)
    for one in (last, *members):
        if one.incident_id:
            _note(con, one, "not_notified", now, error=last.last_error, attempts=last.attempts)


def join(con: Connection, members: Sequence[Notice], digest: Notice) -> None:
    """Put `digest` in, which is sent in place of `members`."""
    put(con, [digest])
    _change(con, [member.id for member in members], state=JOINED, digest=digest.key)


def retry(con: Connection, keys: Sequence[str], *, now: datetime) -> tuple[Notice, ...]:
    """Make due at once what waits after a failure or was given up, and return it; without `keys`, all of that.

    A key may be shortened to where it is the only one. What is held, or waits for a digest, is due too if it is named.
    """
    t = s.notice.c
    if keys:
        # Compared as text: a % or _ that somebody typed must stand for itself.
        found = [
            one for one in _found(con, select(s.notice).where(t.state.in_((WAITING, DROPPED)))) if _named(one, keys)
        ]
    else:
        found = list(
            _found(con, select(s.notice).where(t.state.in_((WAITING, DROPPED)) & t.failing_since.is_not(None)))
        )
    again = {"state": WAITING, "due_at": now, "held": "", "digest": "", "lease": "", "leased_until": None}
    _change(con, [notice.id for notice in found], **again, failing_since=None)
    dropped = [notice.key for notice in found if notice.state == DROPPED and notice.kind == "digest"]
    for start in range(0, len(dropped), _CHUNK):
        gone_with = t.digest.in_(dropped[start : start + _CHUNK]) & (t.state == DROPPED)
        con.execute(s.notice.update().where(gone_with).values(state=JOINED))
    return tuple(replace(notice, state=WAITING, due_at=now) for notice in found)


def counts(con: Connection) -> dict[str, int]:
    """Return how many notices are in each state."""
    rows = con.execute(select(s.notice.c.state, func.count()).group_by(s.notice.c.state))
    found = {str(state): int(number) for state, number in rows}
    return {state: found.get(state, 0) for state in STATES}


def overdue(con: Connection, *, now: datetime, allowed: timedelta) -> tuple[Notice, ...]:
    """Return what should have been sent longer than `allowed` ago, tried or not."""
    return tuple(one for one in waiting(con) if now - (one.failing_since or one.due_at) > allowed)


def lost(con: Connection, *, since: datetime) -> tuple[Notice, ...]:
    """Return what was given up since then through channels that have taken nothing from then on.

    A digest stands for all that went with it.
    """
    t, other = s.notice.c, s.notice.alias().c
    same = (other.recipient == t.recipient) & (other.channel == t.channel)
    taken = select(other.id).where(same & (other.sent_at > t.due_at)).exists()
    joined = select(other.id).where(other.key == t.digest).exists()
    given_up = (t.state == DROPPED) & (t.due_at >= since)
    return _found(con, select(s.notice).where(given_up & ~taken & ~joined).order_by(t.id))


def forget(con: Connection, *, before: datetime, dry_run: bool = False) -> int:
    """Remove what came to its end before that; return how many notices go, or would.

    What was said of an incident goes together, once that is resolved and all of it has ended: what is left must not
    look as if something had never been said. Timelines keep what was said.
    """
    i, one, other = s.incident.c, s.notice.alias().c, s.notice.alias().c
    is_old = one.state.in_((SENT, CANCELLED, DROPPED)) & (func.coalesce(one.sent_at, one.due_at) < before)
    is_left = other.state.in_((WAITING, JOINED)) | (func.coalesce(other.sent_at, other.due_at) >= before)
    beside = (one.incident_id != "") & (other.incident_id == one.incident_id)
    lives = select(i.id).where((i.id == one.incident_id) & (i.state != RESOLVED)).exists()
    ended = select(one.id).where(is_old & ~lives & ~select(other.id).where(beside & is_left).exists())
    ids = list(con.execute(ended).scalars())
    for start in range(0, 0 if dry_run else len(ids), _CHUNK):
        con.execute(s.notice.delete().where(s.notice.c.id.in_(ids[start : start + _CHUNK])))
    return len(ids)


def note_untold(con: Connection, incident_id: str, *, now: datetime, why: str) -> None:
    """Note in the timeline of an incident that nobody could be told of it."""
    add_event(con, IncidentEvent(incident_id, now, "not_notified", ACTOR, {"error": why}))


def _named(notice: Notice, keys: Sequence[str]) -> bool:
    return any(notice.key.startswith(key) for key in keys if key)


def _note(con: Connection, notice: Notice, kind: str, now: datetime, **detail: Any) -> None:
    said = {"kind": notice.kind, "recipient": notice.recipient, "channel": notice.channel, "key": notice.key}
    kept = {name: value for name, value in detail.items() if value}
    add_event(con, IncidentEvent(notice.incident_id, now, kind, ACTOR, said | kept))


def _known(con: Connection, keys: Iterable[str]) -> set[str]:
    wanted, found = list(keys), set[str]()
    for start in range(0, len(wanted), _CHUNK):
        query = select(s.notice.c.key).where(s.notice.c.key.in_(wanted[start : start + _CHUNK]))
        found.update(con.execute(query).scalars())
    return found


def _change(con: Connection, ids: Sequence[int], **values: Any) -> None:
    for start in range(0, len(ids), _CHUNK):
        con.execute(s.notice.update().where(s.notice.c.id.in_(ids[start : start + _CHUNK])).values(**values))


def _row(notice: Notice) -> dict[str, Any]:
    row = {f.name: getattr(notice, f.name) for f in fields(notice) if f.name != "id"}
    return row | {"facts": dict(notice.facts)}


def _found(con: Connection, query: Select[Any]) -> tuple[Notice, ...]:
    return tuple(_notice(row) for row in con.execute(query))


def _notice(row: Row[Any]) -> Notice:
    values = {f.name: getattr(row, f.name) for f in fields(Notice)}
    return Notice(**values | {"facts": MappingProxyType(dict(row.facts))})
