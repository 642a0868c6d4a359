"""The command `lifecycle`, and the warnings that other commands give of it; it must not decide what may be done."""

from __future__ import annotations

import getpass
import sys
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, escape, grid, print_json
from dataproducts.errors import RefusedError, UnknownNameError, UsageError
from dataproducts.product import Status
from dataproducts.standing import PARTICULARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.alerts.announce import Announcement
    from dataproducts.cli.project import Project
    from dataproducts.lifecycle.guards import Lack, Wish
    from dataproducts.lifecycle.reviews import Due
    from dataproducts.lifecycle.steps import Effect, Planned
    from dataproducts.operations.transitions import Transition
    from dataproducts.product import DataProduct
    from dataproducts.standing import Standing
    from dataproducts.warehouse import Warehouse

SHOW, REVIEW = "show", "review"
_ACTIONS = (SHOW, "promote", "deprecate", "retire", "reinstate", REVIEW)
_DAY = click.DateTime(["%Y-%m-%d"])


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says."""

    reason: str
    successor: str
    sunset: datetime | None
    following: datetime | None
    of: tuple[str, ...]
    by: str
    force: bool
    dry_run: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Desk:
    """The project, its warehouse, and the moment that counts."""

    project: Project
    warehouse: Warehouse
    now: datetime

    @property
    def products(self) -> tuple[DataProduct, ...]:
        return self.project.products


@click.command("lifecycle", short_help="Show or change the lifecycle status of a product; tell what is due.")
@click.argument("product", required=False)
@click.argument("action", type=click.Choice(_ACTIONS), default=SHOW, required=False)
@click.option("--reason", default="", help="Why; of a review, what was found.")
@click.option("--successor", default="", help="Deprecate: the product that takes over, or `none`.")
@click.option("--sunset", type=_DAY, help="Deprecate: the last day, such as 2027-01-31.")
@click.option("--next", "following", type=_DAY, help="Review: when the next one is due. Default: by the tier.")
@click.option(
    "--of",
    type=click.Choice(PARTICULARS),
    multiple=True,
    help="Review: what was looked at in particular; may be repeated. Default: the product alone.",
)
@click.option("--by", default="", help="Who decides. Default: the user of this process.")
@click.option("--force", is_flag=True, help="Retire before the sunset; needs a reason.")
@click.option("--due", is_flag=True, help="List what is due: reviews, retirements, files to be corrected.")
@click.option("--dry-run", is_flag=True, help="Tell what the step lacks and would change; change nothing.")
@AS_JSON
@click.pass_obj
def lifecycle(obj: tuple[Path, str | None], /, product: str | None, action: str, *, due: bool, **options: Any) -> None:
    """Show how a product stands, or take the next step: promote, deprecate, retire, reinstate; or review it.

    A step edits `status` in product.yaml, records who made it and why, and tells consumers. One that lacks something
    is refused with all that it lacks.
    """
    asked = _Asked(**options)
    if due == (product is not None):
        raise UsageError("name a product, or ask for all with --due")
    _require_use(asked, action)
    project = open_project(obj[0], environment=obj[1])
    warehouse = project.warehouse(create=True)
    desk = _Desk(project, warehouse, warehouse.recorded_at())
    if product is None:
        _list_due(desk, as_json=asked.as_json)
    elif action == SHOW:
        _show(desk, product, as_json=asked.as_json)
    elif action == REVIEW:
        _review(desk, product, asked)
    else:
        _step(desk, product, action, asked)


def _require_use(asked: _Asked, action: str) -> None:
    """Refuse an option that the action does not read. Raises: UsageError."""
    if asked.of and action != REVIEW:
        raise UsageError("--of says what a review looked at: `dataproducts lifecycle PRODUCT review --of access`")
    given = {
        "--successor": (asked.successor, ("deprecate",)),
        "--sunset": (asked.sunset, ("deprecate",)),
        "--next": (asked.following, (REVIEW,)),
        "--force": (asked.force, ("retire",)),
        "--reason": (asked.reason, _ACTIONS[1:]),
        "--by": (asked.by, _ACTIONS[1:]),
        "--dry-run": (asked.dry_run, _ACTIONS[1:]),
    }
    for option, (value, actions) in given.items():
        if value and action not in actions:
            raise UsageError(f"{option} is for {', '.join(actions)}; `{action}` does not read it: leave it out")


def _step(desk: _Desk, address: str, action: str, asked: _Asked) -> None:
    from dataproducts.lifecycle.states import Step  # noqa: PLC0415 - these load the ledger: not for a command of files
    from dataproducts.lifecycle.steps import plan_step, take  # noqa: PLC0415 - as above
    from dataproducts.operations import Operations  # noqa: PLC0415 - as above

    _require_known(desk, address)
    wish = _wish(desk, asked)
    planned = plan_step(
        Step(action),
        address,
        warehouse=desk.warehouse,
        products=desk.products,
        wish=wish,
        policies=desk.project.policies,
    )
    facts = _step_json(planned, address, action, asked)
    if not planned.lacks and not asked.dry_run:
        with Operations.open(desk.project.environment.operations) as operations:
            taken = take(planned, operations, warehouse=desk.warehouse, tell=_teller(desk))
        facts |= {"done": True, "told": taken.told, "serving_error": taken.serving_error}
    if asked.as_json:
        print_json(facts)
    else:
        _print_step(planned, facts)
    sys.exit(1 if planned.lacks or _is_open(facts) else 0)


def _is_open(facts: Mapping[str, Any]) -> bool:
    """Whether the product was retired and its port still answers, because its serving file could not be rendered."""
    return facts["after"] == Status.RETIRED and bool(facts["serving_error"])


def _wish(desk: _Desk, asked: _Asked) -> Wish:
    from dataproducts.lifecycle.guards import Wish  # noqa: PLC0415 - as in _step

    return Wish(
        actor=asked.by or getpass.getuser(),
        now=desk.now,
        reason=asked.reason.strip(),
        successor=asked.successor.strip(),
        sunset=asked.sunset.date() if asked.sunset else None,
        forced=asked.force,
    )


def _require_known(desk: _Desk, address: str) -> None:
    """Refuse an address that neither a file nor the ledger knows, and a product whose domain has faults.

    Raises: UnknownNameError, DeclarationError.
    """
    declared = [product.address for product in desk.products]
    if address in declared:
        desk.project.product(address)
        return
    known = desk.warehouse.ledger.products()
    if address not in known:
        raise UnknownNameError("data product", address, {*declared, *known})


def _teller(desk: _Desk) -> Any:
    """Queue announcements for the environment's directory."""
    from dataproducts.alerts import queue_announcement  # noqa: PLC0415 - as in _step

    def tell(con: Connection, announcement: Announcement) -> int:
        products = {product.address: product for product in desk.products}
        directory = desk.project.environment.directory
        return len(queue_announcement(con, announcement, directory=directory, products=products, now=desk.now))

    return tell


def _step_json(planned: Planned, address: str, action: str, asked: _Asked) -> dict[str, Any]:
    return {
        "product": address,
        "action": action,
        "done": False,
        "dry_run": asked.dry_run,
        "before": str(planned.move.before),
        "after": str(planned.move.after),
        "lacks": [_lack_json(lack) for lack in planned.lacks],
        "effects": [{"of": effect.of, "what": effect.what} for effect in planned.effects],
        "told": 0,
        "serving_error": "",
    }


def _lack_json(lack: Lack) -> dict[str, Any]:
    place = {"path": lack.mark.path, "line": lack.mark.line}
    return {"guard": lack.guard, "what": lack.what, "fix": lack.fix, **place}


def _print_step(planned: Planned, facts: dict[str, Any]) -> None:
    address, move = facts["product"], planned.move
    if planned.lacks and not facts["dry_run"]:
        for lack in planned.lacks:
            click.echo(str(lack), err=True)
        count = len(planned.lacks)
        click.echo(
            f"\n{address} stays {move.before}: {count} {'thing is' if count == 1 else 'things are'} missing.", err=True
        )
        return
    out = console()
    word = "becomes" if facts["done"] else "would become"
    out.print(f"[bold]{address}[/] {word} {move.after}, after {move.before}")
    out.print(_effect_grid(planned.effects))
    for lack in planned.lacks:
        out.print(f"[red]lacks {lack.guard}:[/] {escape(str(lack))}", soft_wrap=True)
    if facts["done"] and planned.announcement is not None:
        out.print(f"{queued(facts['told'])} queued")
    if _is_open(facts):
        again = f"`dataproducts lifecycle {address} retire` or `dataproducts verify {address} --repair`"
        said = f"{address} is retired, and its port is still open: {facts['serving_error'].rstrip('.')}"
        click.echo(f"{said}. Correct that, then run {again}", err=True)
    elif facts["serving_error"]:
        out.print(f"[yellow]its serving file is stale[/]: {escape(facts['serving_error'])}", soft_wrap=True)


def queued(count: int) -> str:
    """Return how many notices there are, up to the verb."""
    return f"{count} {'notice is' if count == 1 else 'notices are'}"


def _effect_grid(effects: Iterable[Effect]) -> Any:
    return grid(("", ""), [(effect.of, effect.what) for effect in effects], plain=True)


def _review(desk: _Desk, address: str, asked: _Asked) -> None:
    from dataproducts.lifecycle.reviews import review  # noqa: PLC0415 - as in _step
    from dataproducts.lifecycle.states import standing_of, today  # noqa: PLC0415 - as above
    from dataproducts.operations import Operations  # noqa: PLC0415 - as above

    product = desk.project.product(address)
    standing = standing_of(desk.project.environment, product)
    if standing.is_retired:
        raise RefusedError(f"{standing.warning}. There is nothing to review")
    following = asked.following.date() if asked.following else None
    if following and following <= today(desk.now):
        raise UsageError(f"--next {following} is not after today, {today(desk.now)}")
    actor = asked.by or getpass.getuser()
    facts: dict[str, Any] = {"product": address, "action": REVIEW, "done": not asked.dry_run, "dry_run": asked.dry_run}
    reason = asked.reason.strip()
    with Operations.open(desk.project.environment.operations) as operations, operations.writing() as con:
        made = review(
            con, product, standing, actor=actor, now=desk.now, reason=reason, following=following, of=asked.of
        )
        if asked.dry_run:
            con.rollback()
    facts |= {"by": actor, "reason": made.reason, **made.detail}
    if asked.as_json:
        print_json(facts)
    else:
        word = "would be reviewed" if asked.dry_run else "is reviewed"
        of = f", its {' and '.join(facts['reviewed'])} in particular" if facts["reviewed"] else ""
        console().print(
            f"[bold]{address}[/] {word} by {escape(actor)}{of}; the next review is due on {facts['next_review']}",
            soft_wrap=True,
        )


def _show(desk: _Desk, address: str, *, as_json: bool) -> None:
    from dataproducts.lifecycle.states import MOVES, standing_of  # noqa: PLC0415 - as in _step
    from dataproducts.operations.transitions import history  # noqa: PLC0415 - as above

    product = next((p for p in desk.products if p.address == address), None)
    standing = standing_of(desk.project.environment, product or address)
    with _recorded(desk) as con:
        made = history(con, address) if con is not None else ()
    if product is None and not made:
        _require_known(desk, address)
    found = [due for due in _dues(desk) if due.product == address]
    releases = desk.warehouse.ledger.releases(address, limit=None)
    steps = [str(step) for (before, step) in MOVES if before is (standing.recorded or standing.status)]
    if as_json:
        facts = {"product": address, "action": SHOW, **_standing_json(standing), "steps": steps}
        facts |= {"releases": len(releases), "last_release": releases[0].published_at if releases else None}
        facts |= {"history": [_transition_json(one) for one in made], "due": [_due_json(due) for due in found]}
        print_json(facts)
        return
    _print_standing(standing, steps)
    if releases:
        console().print(
            f"{len(releases)} releases, the last #{releases[0].number} on {releases[0].published_at:%Y-%m-%d}"
        )
    for due in found:
        console().print(f"{'[red]overdue:[/] ' if due.overdue else ''}{escape(due.message)}", soft_wrap=True)
    if made:
        rows = [(f"{t.at:%Y-%m-%d %H:%M}", t.kind, _way(t), t.actor, t.reason) for t in made]
        console().print(grid(("when (UTC)", "step", "status", "by", "why"), rows))


def _print_standing(standing: Standing, steps: Sequence[str]) -> None:
    out = console()
    follows = f"; next: {', '.join(steps)}" if steps else "; that is final"
    out.print(f"[bold]{standing.product}[/] is {standing.status}{follows}")
    if standing.warning:
        out.print(f"[yellow]warning:[/] {escape(standing.warning)}", soft_wrap=True)
    if standing.drift:
        out.print(f"[yellow]warning:[/] {escape(standing.drift)}", soft_wrap=True)


def _way(made: Transition) -> str:
    return made.to_status if made.from_status == made.to_status else f"{made.from_status} -> {made.to_status}"


def _standing_json(standing: Standing) -> dict[str, Any]:
    return {
        "status": str(standing.status),
        "declared": str(standing.declared) if standing.declared else None,
        "recorded": str(standing.recorded) if standing.recorded else None,
        "since": standing.since.isoformat() if standing.since else None,
        "by": standing.actor,
        "reason": standing.reason,
        "successor": standing.successor,
        "sunset": standing.sunset.isoformat() if standing.sunset else None,
        "warning": standing.warning,
        "drift": standing.drift,
    }


def _transition_json(made: Transition) -> dict[str, Any]:
    return {
        "at": made.at.isoformat(),
        "kind": made.kind,
        "from": made.from_status,
        "to": made.to_status,
        "by": made.actor,
        "reason": made.reason,
        "version": made.version,
        "detail": dict(made.detail),
    }


def _list_due(desk: _Desk, *, as_json: bool) -> None:
    """Print what is due, most urgent first; exit code 1 if anything is overdue or a file says something else."""
    from dataproducts.lifecycle.states import standings  # noqa: PLC0415 - as in _step

    found = _dues(desk)
    every = standings(desk.project.environment, desk.products)
    drifts = {address: standing.drift for address, standing in every.items() if standing.drift}
    late = any(due.overdue for due in found) or bool(drifts)
    if as_json:
        print_json({"due": [_due_json(due) for due in found], "drift": drifts})
        sys.exit(1 if late else 0)
    rows = [
        (due.product, due.of, "overdue" if due.overdue else "", f"{due.on}", f"{due.last or 'never'}", due.owner)
        for due in found
    ]
    listed = grid(("product", "due", "", "on", "last", "owner"), rows, whole=range(6))
    console().print(listed if rows else "nothing is due", crop=False)
    for drift in drifts.values():
        console().print(f"[yellow]warning:[/] {escape(drift)}", soft_wrap=True)
    sys.exit(1 if late else 0)


def _dues(desk: _Desk) -> tuple[Due, ...]:
    from dataproducts.lifecycle.reviews import dues  # noqa: PLC0415 - as in _step
    from dataproducts.lifecycle.states import standings  # noqa: PLC0415 - as above

    every = standings(desk.project.environment, desk.products)
    with _recorded(desk) as con:
        return dues(con, desk.products, every, now=desk.now)


def _recorded(desk: _Desk) -> Any:
    """What was recorded, opened for reading; None where there is no database yet, and none is made for the question."""
    from dataproducts.lifecycle.states import reading_operations  # noqa: PLC0415 - as in _step

    return reading_operations(desk.project.environment)


def _due_json(due: Due) -> dict[str, Any]:
    return {
        "product": due.product,
        "of": due.of,
        "on": due.on.isoformat(),
        "overdue": due.overdue,
        "last": due.last.isoformat() if due.last else None,
        "by": due.by,
        "owner": due.owner,
        "message": due.message,
    }


def warn_readers(project: Project, address: str, *, reads: bool = False) -> str:
    """Warn on standard error whoever looks at a product that is deprecated or retired, and return the warning.

    With `reads`, its rows are asked for. Raises: RefusedError, where they are and the product's outputs are closed.
    """
    from dataproducts.lifecycle.states import standing_of  # noqa: PLC0415 - as in _step

    declared = next((product for product in project.products if product.address == address), None)
    standing = standing_of(project.environment, declared or address)
    if reads and standing.is_closed:
        raise RefusedError(standing.warning)
    if standing.warning:
        click.echo(f"dataproducts: warning: {standing.warning}", err=True)
    return standing.warning


COMMANDS: Sequence[click.Command] = (lifecycle,)
