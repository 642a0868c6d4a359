"""Who is told of what, through which channel and when; it must not know how a notice is sent, or of which incident.

A project's `resources/` hands a `Directory` out in its `Environment`. Addresses of channels may hold secrets: they are
in no message, log or database, which know a channel by its name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dataproducts.errors import UsageError, suggest
from dataproducts.finding import FindingKind
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERY = tuple(Severity)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_ADDRESS = "{address}"


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to reach somebody, for notices of some severities.

    `url` is an address of apprise (`mailtos://…`, `slack://…`, `json://…`), `file:PATH` for a file that gains a line
    of JSON with each notice, or `none:` for nowhere. It is shown nowhere, since it may hold a secret.
    """

    name: str
    url: str = field(repr=False)
    severities: tuple[Severity, ...] = _EVERY


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of each day, by the clock of a zone, in which only some severities are told; they may span midnight."""

    start: time
    end: time
    timezone: str = "UTC"
    passes: tuple[Severity, ...] = (Severity.ERROR,)

    def until(self, moment: datetime) -> datetime | None:
        """Return when the quiet that `moment` falls into ends, in UTC; None if it falls into none."""
        if not self._covers(moment):
            return None
        zone = ZoneInfo(self.timezone)
        day = moment.astimezone(zone).date()
        if self.start > self.end and moment.astimezone(zone).time() >= self.start:
            day += timedelta(days=1)
        last = min(_utc(day, self.end, zone, fold) for fold in (0, 1))
        # Where clocks are put on or back, the hour may not exist, or come twice.
        while last <= moment or self._covers(last):
            last += timedelta(minutes=1)
        return last

    def _covers(self, moment: datetime) -> bool:
        at = moment.astimezone(ZoneInfo(self.timezone)).time()
        return self.start <= at < self.end if self.start < self.end else at >= self.start or at < self.end


@dataclass(frozen=True, slots=True)
class Digest:
    """Notices of some severities, gathered into one message at fixed hours of each day."""

    at: tuple[time, ...]
    timezone: str = "UTC"
    severities: tuple[Severity, ...] = (Severity.WARNING, Severity.INFO)

    def after(self, moment: datetime) -> datetime:
        """Return the first hour of a digest after `moment`, in UTC."""
        zone = ZoneInfo(self.timezone)
        today = moment.astimezone(zone).date()
        slots = (_utc(today + timedelta(days=ahead), at, zone) for ahead in (0, 1, 2) for at in self.at)
        return min(slot for slot in slots if slot > moment)


@dataclass(frozen=True, slots=True)
class Step:
    """Who else is told of an incident that nobody has acknowledged `after` it was opened."""

    after: timedelta
    to: str
    severities: tuple[Severity, ...] = (Severity.ERROR,)


@dataclass(frozen=True, slots=True)
class Person:
    """A person, by the username of `team.members` in product.yaml."""

    name: str
    channels: tuple[Channel, ...] = ()
    quiet: QuietHours | None = None
    digest: Digest | None = None


@dataclass(frozen=True, slots=True)
class Team:
    """A team, by its name in product.yaml; one without channels is told through its members'.

    `escalation` is of the incidents of its products; empty means that of the directory.
    """

    name: str
    members: tuple[str, ...] = ()
    channels: tuple[Channel, ...] = ()
    quiet: QuietHours | None = None
    digest: Digest | None = None
    escalation: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Somebody who is told beside the owner: of what has one of the kinds and severities, of products that match."""

    to: str
    products: str = "*"  # as file names are matched: retail/*
    kinds: tuple[str, ...] = ()  # empty means every kind
    severities: tuple[Severity, ...] = _EVERY

    def matches(self, product: str, kind: str, severity: Severity) -> bool:
        """Whether what is wrong with `product` goes this way."""
        return (
            severity in self.severities
            and (not self.kinds or kind in self.kinds)
            and fnmatchcase(product, self.products)
        )


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who can be told: a name of the directory, or an e-mail address, with channels to use."""

    name: str
    channels: tuple[Channel, ...]
    quiet: QuietHours | None = None
    digest: Digest | None = None

    def taking(self, severity: Severity) -> tuple[Channel, ...]:
        """Return the channels that take notices of `severity`."""
        return tuple(channel for channel in self.channels if severity in channel.severities)

    def due(self, moment: datetime, severity: Severity) -> tuple[datetime, str, str]:
        """Return when a notice of `moment` is due, why it is held (`quiet` or nothing), and the digest it waits for."""
        digest = ""
        due, held = moment, ""
        if self.digest and severity in self.digest.severities:
            due = self.digest.after(moment)
            digest = due.isoformat()
        loud = self.quiet.until(due) if self.quiet and severity not in self.quiet.passes else None
        if loud:
            due, held = loud, "quiet"
        return due, held, digest


@dataclass(frozen=True, slots=True)
class Directory:
    """Everybody who can be told. An empty one tells nobody.

    `operator` is who is told of what stops the watching itself, and of what nobody else can be told. `mail` reaches
    an e-mail address that has no channels of its own, which stands for `{address}` in its URL. `escalation` is for
    products whose team has none. `run_url` is a run's page, with `{run_id}` for the run: Dagster's, for instance.

    Raises:
        UsageError: at construction, with all that is wrong.
    """

    people: tuple[Person, ...] = ()
    teams: tuple[Team, ...] = ()
    routes: tuple[Route, ...] = ()
    operator: str = ""
    mail: Channel | None = None
    escalation: tuple[Step, ...] = ()
    run_url: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        faults = list(_faults(self))
        if faults:
            raise UsageError("the directory of notices cannot be used:\n" + "\n".join(faults))

    def __bool__(self) -> bool:
        """Whether anybody can be told."""
        return bool(self.people or self.teams or self.mail)

    def listed(self, name: str) -> Person | Team | None:
        """Return the person or team called `name`."""
        return next((entry for entry in self._entries if entry.name == name), None)

    @property
    def _entries(self) -> tuple[Person | Team, ...]:
        return (*self.people, *self.teams)

    def team(self, name: str) -> Team | None:
        """Return the team called `name`."""
        return next((team for team in self.teams if team.name == name), None)

    def recipients(self, name: str) -> tuple[Recipient, ...]:
        """Return whom to tell when `name` is to be told: one, the members of a team without channels, or nobody."""
        entry = self.listed(name)
        if entry and entry.channels:
            return (Recipient(entry.name, entry.channels, entry.quiet, entry.digest),)
        if isinstance(entry, Team):
            return tuple(one for member in entry.members for one in self.recipients(member))
        if self.mail and "@" in name:
            address = replace(self.mail, url=self.mail.url.replace(_ADDRESS, quote(name, safe="")))
            person = entry or Person(name)
            return (Recipient(name, (address,), person.quiet, person.digest),)
        return ()

    def recipient(self, name: str) -> Recipient | None:
        """Return the one recipient that a notice names, if it is still there."""
        return next((one for one in self.recipients(name) if one.name == name), None)

    def steps(self, team: str) -> tuple[Step, ...]:
        """Return who is told next of an incident of a product of `team`, soonest first."""
        entry = self.team(team)
        steps = entry.escalation if entry and entry.escalation else self.escalation
        return tuple(sorted(steps, key=lambda step: step.after))

    def names(self) -> tuple[str, ...]:
        """Return the names of all people and teams, sorted."""
        return tuple(sorted(entry.name for entry in self._entries))


def _faults(directory: Directory) -> Iterator[str]:
    names = list(directory.names())
    yield from (f"- {name!r} is listed twice: give each person and team a name of its own." for name in _twice(names))
    for person in directory.people:
        yield from _person_faults(person, f"person {person.name!r}")
        if not person.channels and not (directory.mail and "@" in person.name):
            yield f"- person {person.name!r} has no channel: add one, or `mail` to the directory and an e-mail as name."
    for team in directory.teams:
        yield from _team_faults(directory, team)
    yield from _step_faults(directory, directory.escalation, "escalation")
    wanted = [("operator", directory.operator)] if directory.operator else []
    for what, name in (*wanted, *(("a route to", route.to) for route in directory.routes)):
        if _lost(directory, name):
            yield _unknown(directory, name, what)
    yield from _kind_faults(directory.routes)
    if directory.mail:
        yield from _channel_faults((directory.mail,), "mail")
        if _ADDRESS not in directory.mail.url:
            yield "- mail: its URL must hold {address}, where the recipient's address goes."


def _team_faults(directory: Directory, team: Team) -> Iterator[str]:
    yield from _person_faults(team, f"team {team.name!r}")
    for member in team.members:
        if directory.team(member):
            yield f"- team {team.name!r}: member {member!r} is a team: name its people."
        elif _lost(directory, member):
            yield _unknown(directory, member, f"team {team.name!r}: member")
    yield from _step_faults(directory, team.escalation, f"team {team.name!r}")
    if not team.channels and not team.members:
        yield f"- team {team.name!r} has neither a channel nor a member."


def _person_faults(entry: Person | Team, what: str) -> Iterator[str]:
    if not entry.name.strip():
        yield f"- {what} has no name."
    yield from _channel_faults(entry.channels, what)
    for zone in dict.fromkeys(zoned.timezone for zoned in (entry.quiet, entry.digest) if zoned):
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield f"- {what}: there is no time zone {zone!r}: write one such as 'Europe/Berlin'."
    if entry.quiet and entry.quiet.start == entry.quiet.end:
        yield f"- {what}: quiet hours end when they start: nothing would ever, or never, be quiet."
    if entry.digest and not entry.digest.at:
        yield f"- {what}: a digest needs an hour of the day."


def _channel_faults(channels: tuple[Channel, ...], what: str) -> Iterator[str]:
    yield from (f"- {what}: two channels are called {name!r}." for name in _twice([c.name for c in channels]))
    for channel in channels:
        # What is wrong with a URL is told without it: it may hold a secret.
        if not channel.url.strip():
            yield f"- {what}: channel {channel.name!r} has no URL: is its environment variable set?"
        elif not _SCHEME.match(channel.url):
            yield f"- {what}: the URL of channel {channel.name!r} must begin with a scheme such as mailtos:// or file:"
        if not channel.severities:
            yield f"- {what}: channel {channel.name!r} takes no severity: leave `severities` out for all."


def _step_faults(directory: Directory, steps: tuple[Step, ...], what: str) -> Iterator[str]:
    for step in steps:
        if _lost(directory, step.to):
            yield _unknown(directory, step.to, f"{what}: escalation to")
        if step.after <= timedelta(0):
            yield f"- {what}: escalation to {step.to!r} must come some time after: timedelta(minutes=30), say."


def _kind_faults(routes: tuple[Route, ...]) -> Iterator[str]:
    known = sorted(str(kind) for kind in FindingKind)
    for route in routes:
        for kind in route.kinds:
            if kind not in known:
                yield f"- a route to {route.to!r}: there is no kind {kind!r}.{suggest(kind, known, show=len(known))}"


def _lost(directory: Directory, name: str) -> bool:
    return directory.listed(name) is None and not (directory.mail and "@" in name)


def _unknown(directory: Directory, name: str, what: str) -> str:
    return f"- {what} {name!r} is neither a person nor a team.{suggest(name, directory.names())}"


def _twice(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _utc(day: date, at: time, zone: ZoneInfo, fold: int = 0) -> datetime:
    return datetime.combine(day, at.replace(tzinfo=None, fold=fold), tzinfo=zone).astimezone(UTC)
