"""Commands about who is told: notices, watchdog; it must not decide what is said."""

from __future__ import annotations

import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project, use_dagster_home
from dataproducts.cli.show import AS_JSON, console, escape, grid, print_json
from dataproducts.errors import DataProductError, StoreError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.alerts.watchdog import Beat, Stopped
    from dataproducts.cli.project import Project
    from dataproducts.operations import Operations
    from dataproducts.operations.outbox import Notice

_STATES = ("waiting", "joined", "sent", "cancelled", "dropped")


@click.group(invoke_without_command=True, short_help="List what was said to whom, or waits to be.")
@click.option("--state", "states", type=click.Choice(_STATES), multiple=True, help="Only these. May be repeated.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at the most.")
@AS_JSON
@click.pass_context
def notices(context: click.Context, states: tuple[str, ...], limit: int, *, as_json: bool) -> None:
    """List notices, newest first: waiting, sent or given up, and why; then whom the directory cannot reach."""
    if context.invoked_subcommand:
        return
    from dataproducts.alerts.routing import unreachable  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.operations import outbox  # noqa: PLC0415 - as above

    project = _project(context.obj)
    with _operations(project) as operations, operations.reading() as con:
        found, counts = outbox.listed(con, states=states, limit=limit), outbox.counts(con)
    lost = unreachable(project.environment.directory, project.sound()) if project.environment.directory else ()
    if as_json:
        print_json({"counts": counts, "notices": [_facts(one) for one in found], "unreachable": list(lost)})
        return
    rows = [
        (one.key[:8], _state(one), f"{_when(one):%m-%d %H:%M}", one.recipient, one.channel, one.subject)
        for one in found
    ]
    shown = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    title = f"notices: {shown or 'none'}"
    listed = grid(("key", "state", "UTC", "to", "by", "subject"), rows, title=title, whole=(0, 1, 2, 3, 4))
    console().print(listed if rows else title, crop=False)
    for one in found:
        if one.last_error:
            console().print(f"[yellow]{one.key[:8]}[/] {escape(one.last_error)}", soft_wrap=True)
    if not project.environment.directory:
        console().print("nobody is told: the environment has no directory (see docs/alerts.md)")
    for sentence in lost:
        console().print(f"[yellow]unreachable[/] {escape(sentence)}", soft_wrap=True)


@notices.command()
@click.argument("keys", nargs=-1)
@click.pass_obj
def retry(obj: tuple[Path, str | None], keys: tuple[str, ...]) -> None:
    """Send at once what could not be sent or was given up: all of it, or the notices whose keys begin so."""
    from dataproducts.alerts import deliver  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.operations import outbox  # noqa: PLC0415 - as above

    project = _project(obj)
    clock = project.environment.clock if project.environment.replay else None
    now = clock or datetime.now(UTC)
    with _operations(project) as operations:
        with operations.writing() as con:
            again = outbox.retry(con, keys, now=now)
        if keys and not again:
            raise UsageError(f"no notice that waits or was given up has a key that begins with {' or '.join(keys)}.")
        done = deliver(operations, project.environment.directory, now=now, keys=[one.key for one in again])
    console().print(f"sent {done.sent}, failed {done.failed}, left {done.left}")
    if done.failed:
        console().print("see `dataproducts notices --state waiting` for why")
    sys.exit(1 if done.failed else 0)


@notices.command()
@click.argument("recipient")
@click.pass_obj
def test(obj: tuple[Path, str | None], recipient: str) -> None:
    """Send a test message to a person, a team or an e-mail address, through each of their channels."""
    from dataproducts.alerts.deliver import TEST  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.alerts.send import check, send  # noqa: PLC0415 - as above
    from dataproducts.operations.outbox import Notice  # noqa: PLC0415 - as above

    environment = _project(obj).environment
    people = environment.directory.recipients(recipient)
    if not people:
        raise UnknownNameError("recipient", recipient, environment.directory.names())
    now, bad = datetime.now(UTC), False
    for person, channel in ((one, channel) for one in people for channel in one.channels):
        notice = Notice(
            key=secrets.token_hex(32),
            product="",
            kind=TEST,
            severity="info",
            recipient=person.name,
            channel=channel.name,
            subject=f"[test] notices of {environment.name} reach you",
            body=f"Somebody tried whether notices reach {person.name} by {channel.name}. There is nothing to do.",
            created_at=now,
            due_at=now,
        )
        try:
            check(channel)
            send(channel, notice)
            console().print(f"[green]sent[/] {escape(person.name)} by {escape(channel.name)}")
        except DataProductError as error:
            bad = True
            console().print(
                f"[red]failed[/] {escape(person.name)} by {escape(channel.name)}: {escape(str(error))}", soft_wrap=True
            )
    sys.exit(1 if bad else 0)


@click.command(short_help="Tell whether what watches is alive; for cron.")
@click.option(
    "--allow", type=click.FloatRange(min=0), default=10, show_default=True, help="Minutes that it may be silent."
)
@click.option("--daemon", is_flag=True, help="Look at Dagster's daemon too.")
@click.option("--quiet", is_flag=True, help="Tell nobody; the exit code says it.")
@AS_JSON
@click.pass_obj
def watchdog(obj: tuple[Path, str | None], allow: float, *, daemon: bool, quiet: bool, as_json: bool) -> None:
    """Tell the operator if the watcher, Dagster's daemon or the delivery of notices has stopped.

    Run it from cron, outside of what it watches. Exit codes: 0 all alive, 1 something has stopped, 2 could not look.
    """
    from dataproducts.alerts import watchdog as dog  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.alerts.routing import operators  # noqa: PLC0415 - as above

    project, now, allowed = _project(obj), datetime.now(UTC), timedelta(minutes=allow)
    directory = project.environment.directory
    beats, unseen = _daemons(project) if daemon else ([], ())
    try:
        with _operations(project) as operations:
            with operations.reading() as con:
                beats = [*dog.watchers(con, now=now), *beats]
                late = dog.stopped(beats, now=now, allowed=allowed)
                found = (*unseen, *late, *dog.stuck(con, now=now, allowed=allowed))
            if not quiet:
                names = [*(one.name for one in beats), dog.DELIVERY, *([dog.DAEMON] if daemon else [])]
                dog.tell(operations, directory, found, checked=names, now=now)
    except StoreError as error:
        late = dog.stopped(beats, now=now, allowed=allowed)
        found = (dog.Stopped(dog.DATABASE, None, str(error)), *unseen, *late)
        unsent = () if quiet else dog.cry(directory, found, now=now)
        raise StoreError("\n".join([str(error), *unsent])) from error
    _show(beats, found, as_json=as_json)
    if found and not (quiet or operators(directory)):
        click.echo("dataproducts: nobody was told: the directory names no operator that takes errors.", err=True)
    sys.exit(1 if found else 0)


def _show(beats: Sequence[Beat], found: Sequence[Stopped], *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "alive": not found,
                "beats": [{"name": one.name, "at": one.at} for one in beats],
                "stopped": [{"name": one.name, "since": one.since, "message": one.message} for one in found],
            }
        )
        return
    down = {one.name for one in found}
    for beat in beats:
        if beat.name not in down and beat.at:
            console().print(f"[green]alive[/] {escape(beat.name)}, last at {beat.at:%Y-%m-%d %H:%M:%S} UTC")
    for one in found:
        console().print(f"[red]stopped[/] {escape(one.name)}: {escape(one.message)}", soft_wrap=True)


def _daemons(project: Project) -> tuple[list[Beat], tuple[Stopped, ...]]:
    """Return when each part of Dagster's daemon was last alive; or, where its storage does not tell, that it does not.

    The operator has to hear of that as well: no schedule runs without its storage.
    """
    from dataproducts.alerts.watchdog import DAEMON, Beat, Stopped  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    try:
        from dataproducts.compile.heartbeats import heartbeats  # noqa: PLC0415 - Dagster takes 2 s

        use_dagster_home(project.root)
        return [Beat(name, at) for name, at in heartbeats().items()], ()
    # Process edge: storages of Dagster raise what their drivers do, and the text may hold the database's address.
    except Exception as error:  # noqa: BLE001 - as above
        said = str(error) if isinstance(error, DataProductError) else type(error).__name__
        return [], (Stopped(DAEMON, None, f"it cannot be asked: {said}"),)


def _project(obj: tuple[Path, str | None]) -> Project:
    return open_project(obj[0], environment=obj[1])


def _operations(project: Project) -> Operations:
    from dataproducts.operations import Operations  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    return Operations.open(project.environment.operations, create=False)


def _state(notice: Notice) -> str:
    if notice.state != "waiting":
        return notice.state
    failed = f"failed {notice.attempts}x" if notice.failing_since else ""
    return failed or notice.held or ("digest" if notice.digest else notice.state)


def _when(notice: Notice) -> datetime:
    return notice.sent_at or notice.due_at


def _facts(notice: Notice) -> dict[str, Any]:
    names = (
        "key", "incident_id", "episode", "product", "kind", "severity", "recipient", "channel", "subject", "body",
        "state", "held", "digest", "created_at", "due_at", "sent_at", "attempts", "last_error",
    )  # fmt: skip
    return {name: getattr(notice, name) for name in names}


COMMANDS: Sequence[click.Command] = (notices, watchdog)
"""Commands of this module, for the command line to add."""
