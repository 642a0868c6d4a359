"""Commands about what is wrong: list incidents, show one, and what a person does about it; it must not find any."""

from __future__ import annotations

import getpass
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, grid, print_indented, print_json, row_line, text
from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from dataproducts.cli.project import Project
    from dataproducts.environment import Environment
    from dataproducts.operations import Operations
    from dataproducts.operations.incidents import Incident, IncidentEvent

_BY = click.option("--by", default="", help="Who does it. Default: the user of this process.")
_NOTE = click.option("--note", default="", help="Why, for the timeline.")
_STATES = ("open", "acknowledged", "resolved")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_STYLES = {"error": "red", "warning": "yellow", "info": ""}
_SHORT = 8  # digits of an id that a list shows
_DIGITS, _LONGEST = 9, timedelta(days=365 * 100)


class _ListByDefault(click.Group):
    """`incidents` and `incidents PRODUCT` list."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before what is not the name of a subcommand."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _moment(_context: click.Context, _parameter: click.Parameter, value: str | None) -> datetime | timedelta | None:
    """Return a moment in ISO 8601, in UTC without a zone; or a span, such as `30m`, `4h`, `2d` or `1w`."""
    if value is None:
        return None
    if span := re.fullmatch(r"(\d+)([mhdw])", value.strip()):
        if len(span[1]) > _DIGITS or (found := timedelta(**{_UNITS[span[2]]: int(span[1])})) > _LONGEST:
            raise click.BadParameter(f"{value!r} is longer than {_LONGEST.days // 365} years: name a moment")
        return found
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError as error:
        wanted = "a moment, such as 2027-01-31 or 2027-01-31T08:00, or a span, such as 4h"
        raise click.BadParameter(f"{value!r} is not {wanted}") from error
    except OverflowError as error:
        raise click.BadParameter(f"{value!r} is beyond the years 1 to 9999 in UTC") from error


@click.group(cls=_ListByDefault, short_help="List, show and settle what is wrong with products.")
def incidents() -> None:
    """List, show and settle what is wrong with products: `incidents`, `incidents show ID`."""


@incidents.command("list")
@click.argument("product", required=False, default="")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these. May be repeated.")
@click.option(
    "--severity",
    "severities",
    type=click.Choice([str(word) for word in Severity]),
    multiple=True,
    help="Only these, as above.",
)
@click.option("--owner", default="", help="Only those of this person, by ownership or assignment.")
@click.option("--since", callback=_moment, help="Only what was opened, seen or resolved since: 7d, or 2027-01-31.")
@click.option("--all", "every", is_flag=True, help="Resolved ones as well.")
@AS_JSON
@click.pass_obj
def list_(obj: tuple[Path, str | None], /, *, as_json: bool, **asked: Any) -> None:
    """List incidents, worst first; resolved ones only where they are asked for."""
    from dataproducts.operations import incidents as kept  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    project = open_project(obj[0], environment=obj[1])
    now = _now(project.environment)
    states = asked["states"] or (() if asked["every"] else _STATES[:2])
    since = asked["since"]
    with _operations(project.environment) as operations, operations.reading() as con:
        if asked["product"] and not kept.listed(con, product=asked["product"]):  # a removed one may have left some
            project.product(asked["product"])
        found = kept.listed(
            con,
            product=asked["product"],
            states=states,
            severities=asked["severities"],
            owner=asked["owner"],
            since=now - since if isinstance(since, timedelta) else since,
        )
    if as_json:
        print_json([_facts(one, project) for one in found])
        return
    if not found:
        console().print(
            "[green]✓[/] nothing is wrong that matches" if any(asked.values()) else "[green]✓[/] no incident"
        )
        return
    rows = [
        (
            one.id[:_SHORT],
            text(str(one.severity), _STYLES[one.severity]),
            _state(one, now),
            _when(one.opened_at),
            _what(one),
        )
        for one in found
    ]
    headings = ("incident", "severity", "state", "opened (UTC)", "what")
    console().print(grid(headings, rows, whole=(0, 1)), crop=False)


@incidents.command()
@click.argument("incident_id", metavar="ID")
@AS_JSON
@click.pass_obj
def show(obj: tuple[Path, str | None], incident_id: str, *, as_json: bool) -> None:
    """Show one incident: what is known of it, whom it concerns, its times and its timeline."""
    from dataproducts.operations import incidents as kept  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    project = open_project(obj[0], environment=obj[1])
    with _operations(project.environment) as operations, operations.reading() as con:
        found = kept.get(con, incident_id)
        timeline = kept.events(con, found.id)
    if as_json:
        print_json(_facts(found, project) | {"timeline": [_event(event) for event in timeline]})
        return
    _print_incident(found, timeline, project)


@incidents.command()
@click.argument("incident_id", metavar="ID")
@_NOTE
@_BY
@click.pass_obj
def ack(obj: tuple[Path, str | None], incident_id: str, note: str, by: str) -> None:
    """Say that somebody looks after an incident: it is not escalated any more."""
    from dataproducts.incidents import acknowledge  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    _act(obj, lambda con, now: acknowledge(con, incident_id, by=_actor(by), now=now, note=note))


@incidents.command()
@click.argument("incident_id", metavar="ID")
@click.argument("to")
@_NOTE
@_BY
@click.pass_obj
def assign(obj: tuple[Path, str | None], incident_id: str, to: str, note: str, by: str) -> None:
    """Name who shall look after an incident; an empty name, '', gives it back to the owner."""
    from dataproducts import incidents as lives  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    directory = open_project(obj[0], environment=obj[1]).environment.directory
    if to.strip() and directory and not directory.recipients(to.strip()):
        raise UnknownNameError("person or team", to, directory.names())
    _act(obj, lambda con, now: lives.assign(con, incident_id, to, by=_actor(by), now=now, note=note))


@incidents.command()
@click.argument("incident_id", metavar="ID")
@click.argument("until", callback=_moment)
@_NOTE
@_BY
@click.pass_obj
def mute(obj: tuple[Path, str | None], incident_id: str, until: datetime | timedelta, note: str, by: str) -> None:
    """Let nobody be told of an incident until then; it is recorded all the same. `0m`, or a past moment, ends it."""
    from dataproducts import incidents as lives  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    def act(con: Connection, now: datetime) -> Incident:
        moment = now + until if isinstance(until, timedelta) else until
        return lives.mute(con, incident_id, moment, by=_actor(by), now=now, note=note)

    _act(obj, act, ended="; people are told of it again")


@incidents.command()
@click.argument("incident_id", metavar="ID")
@click.option("--reason", required=True, help="Why it counts as settled, for the timeline.")
@_BY
@click.pass_obj
def resolve(obj: tuple[Path, str | None], incident_id: str, reason: str, by: str) -> None:
    """Close an incident by hand; what is still wrong reopens it at its next sighting."""
    from dataproducts import incidents as lives  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    _act(obj, lambda con, now: lives.resolve(con, incident_id, reason, by=_actor(by), now=now))


@incidents.command()
@click.argument("incident_id", metavar="ID")
@click.argument("text", metavar="TEXT")
@_BY
@click.pass_obj
def note(obj: tuple[Path, str | None], incident_id: str, text: str, by: str) -> None:
    """Add a remark to the timeline of an incident."""
    from dataproducts import incidents as lives  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    _act(obj, lambda con, now: lives.note(con, incident_id, text, by=_actor(by), now=now))


def _act(obj: tuple[Path, str | None], act: Callable[[Connection, datetime], Incident], *, ended: str = "") -> None:
    """Do what a person decided, in a transaction of its own, and tell how the incident stands.

    `ended` is said of one that is not muted.
    """
    environment = _environment(obj)
    now = _now(environment)
    with _operations(environment) as operations, operations.writing() as con:
        after = act(con, now)
    told = f" ({after.responsible})" if after.responsible else ""
    more = "" if after.is_muted(now) else ended
    console().print(text(f"{after.id[:_SHORT]} {_state(after, now)}{told}: {_what(after)}{more}"), soft_wrap=True)


def _environment(obj: tuple[Path, str | None]) -> Environment:
    return open_project(obj[0], environment=obj[1]).environment


def _operations(environment: Environment) -> Operations:
    from dataproducts.operations import Operations  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    return Operations.open(environment.operations, create=False)


def _now(environment: Environment) -> datetime:
    """Return the moment that events are dated with: that of the clock where a history is replayed."""
    clock = environment.clock if environment.replay else None
    if clock is None:
        return datetime.now(UTC)
    return clock.astimezone(UTC) if clock.tzinfo else clock.replace(tzinfo=UTC)


def _actor(by: str) -> str:
    if by.strip():
        return by.strip()
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user may have no name
        raise UsageError("this process has no user name: say who you are with --by") from error


# What is shown


def _state(incident: Incident, now: datetime) -> str:
    if incident.is_open and incident.is_muted(now) and incident.muted_until:
        return f"{incident.state}, muted to {_when(incident.muted_until)}"
    return incident.state


def _what(incident: Incident) -> str:
    often = f" ({incident.seen} times)" if incident.seen > 1 else ""
    return f"{incident.title}{often}"


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _span(span: timedelta | None) -> str:
    if span is None:
        return ""
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number) or "0 s"


def _print_incident(incident: Incident, timeline: Sequence[IncidentEvent], project: Project) -> None:
    out, detail = console(), incident.detail
    out.print(text(incident.title, "bold"), soft_wrap=True)
    if detail.get("message"):
        print_indented(out, str(detail["message"]))
    out.print(grid(("", ""), list(_lines(incident, _now(project.environment))), plain=True))
    for row in _sample(incident, project):
        out.print(text(f"  {row_line(row)}"), soft_wrap=True)
    rows = [(_when(event.at), event.kind, event.actor, _remark(event)) for event in timeline]
    out.print(grid(("when (UTC)", "event", "by", ""), rows, whole=(0, 1, 2)), crop=False)


def _lines(incident: Incident, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield what is known of an incident, by name; what is not known has no line."""
    detail = incident.detail
    consumers = (f"{entry.get('persona', '')} of {entry['product']}" for entry in detail.get("consumers", ()))
    more = int(detail.get("partition_count") or 0) - len(detail.get("partitions", ()))
    facts: Mapping[str, str] = {
        "incident": incident.id,
        "state": f"{incident.severity}, {_state(incident, now)}, episode {incident.episode}, seen {incident.seen}x",
        "about": f"{incident.kind} {incident.subject}",
        "owner": incident.owner,
        "assigned": incident.assignee,
        "partitions": ", ".join(detail.get("partitions", ())) + (f" and {more} more" if more > 0 else ""),
        "release": f"#{detail['release']} is what readers have" if detail.get("release") else "",
        "went wrong": f"{_when(incident.failed_at)} UTC",
        "found after": _span(incident.time_to_detect),
        "told after": _span(incident.time_to_notify),
        "right after": _span(incident.time_to_repair),
        "tables": ", ".join(detail.get("tables", ())),
        "downstream": ", ".join(detail.get("downstream", ())),
        "consumers": ", ".join(consumers),
        "metrics": ", ".join(detail.get("metrics", ())),
        "runbook": str(detail.get("runbook") or ""),
        "run": str(detail.get("run_link") or detail.get("run_id") or ""),
        **{f"ticket {name}": _ticket(held) for name, held in incident.tickets.items()},
    }
    yield from ((f"  {name}", value) for name, value in facts.items() if value)


def _ticket(held: Mapping[str, Any]) -> str:
    where = str(held.get("address") or held.get("number") or "")
    return "; ".join(part for part in (where, str(held.get("state") or ""), str(held.get("error") or "")) if part)


def _remark(event: IncidentEvent) -> str:
    """Return what an event says beside its kind."""
    detail = event.detail
    told = [f"{detail['recipient']} by {detail['channel']}"] if detail.get("recipient") else []
    told += [str(detail[name]) for name in ("text", "reason", "note", "message", "error") if detail.get(name)]
    if detail.get("name") and detail.get("kind"):  # what follows from it
        told.append(f"{detail['kind']}: {detail['name']} of {detail['product']}")
    told += [f"to {name}" for name in [detail.get("to")] if name]
    told += [
        f"until {str(moment)[:16].replace('T', ' ')}"
        for moment in [detail.get("until")]
        if moment and event.kind == "muted"
    ]
    return "; ".join(told)


def _sample(incident: Incident, project: Project) -> list[dict[str, Any]]:
    """Return the rejected rows that are kept, as the contract of today lets them be shown."""
    from dataproducts.incidents import shown_sample  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    declared = next((one for one in project.products if one.address == incident.product), None)
    return shown_sample(incident.detail.get("sample"), declared, incident.table)


def _facts(incident: Incident, project: Project) -> dict[str, Any]:
    """Return an incident as `docs/json/incidents.schema.json` describes it."""
    spans = {
        "time_to_detect_s": incident.time_to_detect,
        "time_to_notify_s": incident.time_to_notify,
        "time_to_repair_s": incident.time_to_repair,
    }
    names = ("id", "product", "table", "kind", "subject", "severity", "state", "title", "owner", "assignee")
    moments = (
        "failed_at",
        "opened_at",
        "notified_at",
        "acknowledged_at",
        "resolved_at",
        "muted_until",
        "seen_at",
    )
    detail = {name: value for name, value in incident.detail.items() if name != "sightings"}
    if "sample" in detail:
        detail["sample"] = _sample(incident, project)
    return {
        **{name: str(getattr(incident, name)) for name in names},
        **{name: _iso(getattr(incident, name)) for name in moments},
        "episode": incident.episode,
        "seen": incident.seen,
        **{name: span.total_seconds() if span is not None else None for name, span in spans.items()},
        "detail": detail,
        "tickets": dict(incident.tickets),
    }


def _event(event: IncidentEvent) -> dict[str, Any]:
    return {"at": _iso(event.at), "kind": event.kind, "by": event.actor, "detail": dict(event.detail)}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


COMMANDS: Sequence[click.Command] = (incidents,)
