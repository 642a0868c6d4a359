"""`status`: how products are doing, in a terminal, as JSON or as pages; it must not compute or record anything."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, escape, grid, print_json, text
from dataproducts.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from dataproducts.cli.project import Project
    from dataproducts.status.model import Status

_STYLES = {"good": "green", "degraded": "yellow", "failing": "red", "unreleased": "dim", "retired": "dim"}
_HEADINGS = ("product", "score", "state", "age", "open", "budget", "release", "owner")
_SHOWN = 5
_SPANS = (7, 28, 90)  # days


@click.command(short_help="Show how products are doing: health, objectives, incidents, cost.")
@click.argument("products", nargs=-1)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write a page: one product into a file that ends in .html, several into a folder, with an index.",
)
@AS_JSON
@click.pass_obj
def status(obj: tuple[Path, str | None], products: tuple[str, ...], *, page: Path | None, as_json: bool) -> None:
    """Show how products are doing: an overview of several, everything about one.

    Everything is computed from what was recorded; nothing is changed. Exit codes: 0 shown, however they are doing.
    """
    from dataproducts.status.tell import as_json as told  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    project = open_project(obj[0], environment=obj[1])
    found = read(project, products, budgets=page is not None)
    if page is not None:
        for path in _write(found, page):
            click.echo(f"wrote {path}", err=as_json)
    if as_json:
        print_json([told(one) for one in found])
    elif page is None and len(found) == 1 and products:
        _print_one(found[0])
    elif page is None:
        _print_all(found)
    if project.faults and not products:
        raise DeclarationError(project.faults)


def read(project: Project, addresses: Sequence[str], *, budgets: bool) -> tuple[Status, ...]:
    """Return how the products at `addresses`, or all, are doing now; for a page with the history of their budgets."""
    from dataproducts.lifecycle.states import reading_operations  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.status.gather import read_status  # noqa: PLC0415 - as above

    known = {product.address: product for product in project.products}
    with ExitStack() as stack:
        warehouse = stack.enter_context(project.warehouse(create=True))
        con = stack.enter_context(reading_operations(project.environment))
        now = warehouse.recorded_at()
        chosen = project.chosen(addresses)
        return tuple(read_status(warehouse, con, one, known=known, now=now, budgets=budgets) for one in chosen)


def _write(found: Sequence[Status], path: Path) -> list[Path]:
    """Write the pages, and return where they are."""
    from dataproducts.status.page import index_page, product_page  # noqa: PLC0415 - for pages alone

    if path.suffix == ".html":
        if len(found) != 1:
            raise UsageError(f"{path}: {len(found)} products need a folder: name one without .html, or one product")
        return [_save(path, product_page(found[0]))]
    names = {one.product.address: f"{one.product.address.replace('/', '.')}.html" for one in found}
    written = [_save(path / names[one.product.address], product_page(one, names)) for one in found]
    return [_save(path / "index.html", index_page(found, names)), *written]


def _save(path: Path, content: str) -> Path:
    """Write a file, beside its place first: who reads it meanwhile sees the old one or the new one."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(content, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{path}: the page cannot be written ({error.strerror}). Name another place") from error
    return path


def _print_all(found: Sequence[Status]) -> None:
    _print_clock(found)
    for one in found:
        if one.standing.warning:
            console().print(text(one.standing.warning, "yellow"))
    rows = [_row(one) for one in found]
    console().print(grid(_HEADINGS, rows, right=(1, 3, 4, 5), whole=range(len(_HEADINGS))), crop=False)


def _row(one: Status) -> tuple[str | Text, ...]:
    from dataproducts.status.tell import percent, score_text, span_text  # noqa: PLC0415 - loads SQLAlchemy

    least, owner = one.least_budget, one.product.owner
    return (
        one.product.address,
        score_text(one.health.score),
        text(str(one.state), _STYLES[one.state]),
        span_text(one.age, units=1),
        str(len(one.open_incidents)),
        percent(least.budget_left if least else None, digits=0).replace(" ", ""),
        f"{one.releases[0].published_at:%m-%d}" if one.releases else "-",
        owner.username.partition("@")[0] if owner else "-",
    )


def _print_one(one: Status) -> None:
    out = console()
    _print_clock([one])
    if one.standing.warning:
        out.print(text(one.standing.warning, "yellow"))
    out.print(f"[bold]{escape(one.product.address)}[/] {escape(one.product.version)}, {one.standing.status}, ", end="")
    out.print(text(str(one.state), _STYLES[one.state]))
    for state, reason in one.reasons[:_SHOWN]:
        out.print(text(f"  {reason}", _STYLES[state]))
    if len(one.reasons) > _SHOWN:
        out.print(f"  and {len(one.reasons) - _SHOWN} more")
    out.print(grid(("", ""), [*_facts(one), *_costs(one)], plain=True))
    _print_health(one)
    _print_budgets(one)


def _facts(one: Status) -> list[tuple[str, str]]:
    """Who answers for a product, what is published, and what one can trust."""
    from dataproducts.status.tell import percent, span_text  # noqa: PLC0415 - loads SQLAlchemy

    owner, since = one.product.owner, one.days_since_breach
    release = f"#{one.releases[0].release}, {one.releases[0].published_at:%Y-%m-%d %H:%M}" if one.releases else "none"
    kept = {days: one.kept(days) for days in _SPANS}
    return [
        ("owner", f"{owner.username if owner else 'nobody'}, {one.product.team or 'no team'}"),
        ("last release", release),
        ("data age", span_text(one.age)),
        ("targets attained", ", ".join(f"{met} of {told} over {days} d" for days, (met, told) in kept.items())),
        ("incidents", f"{len(one.open_incidents)} open; opened: {', '.join(_opened(one))}"),
        ("without a breach", f"{since:.1f} d" if since is not None else "as far back as is known"),
        ("scorecard", ", ".join(f"{name} {percent(share)}" for name, share in one.scorecard.items())),
    ]


def _opened(one: Status) -> list[str]:
    return [f"{one.incidents_within(days)} in {days} d" for days in _SPANS]


def _costs(one: Status) -> list[tuple[str, str]]:
    from dataproducts.status.tell import bytes_text, growth_text, span_text  # noqa: PLC0415 - loads SQLAlchemy

    cost = one.cost
    if cost.last is None:
        return []
    last = cost.last
    took = f"{span_text(last.wall_s)}, {span_text(last.cpu_s)} of processors"
    return [
        ("last refresh", f"{last.outcome}, {took}, {last.rows:,} rows, {bytes_text(last.bytes)}"),
        ("median of 28 d", f"{span_text(cost.wall_s)}, {growth_text(cost.growth)} on the 28 d before"),
    ]


def _print_health(one: Status) -> None:
    from dataproducts.status.tell import score_text  # noqa: PLC0415 - loads SQLAlchemy

    title = f"health {score_text(one.health.score)} of 100"
    before = next((kept for kept in one.scores if kept.at >= one.at - timedelta(days=_SPANS[1])), None)
    title += f", {score_text(before.score)} on {before.at:%Y-%m-%d}" if before else ""
    rows = [(c.name, f"{c.weight:g}", score_text(c.value), c.why) for c in one.health.components]
    console().print()
    console().print(grid(("component", "weight", "value", "because"), rows, right=(1, 2), title=title))


def _print_budgets(one: Status) -> None:
    from dataproducts.status.tell import percent  # noqa: PLC0415 - loads SQLAlchemy

    least = sorted((a for a in one.attained if a.budget_left is not None), key=lambda a: a.budget_left or 0)[:_SHOWN]
    rows = [(a.objective.name, *map(percent, (a.objective.target, a.attainment, a.budget_left))) for a in least]
    if rows:
        console().print()
        title = "objectives with the least budget left"
        console().print(grid(("objective", "target", "attained", "left"), rows, right=(1, 2, 3), title=title))


def _print_clock(found: Sequence[Status]) -> None:
    clock = next((one for one in found if one.clock), None)
    if clock is not None:
        how = "and records are dated by it" if clock.is_replay else "and the age of data counts by it"
        console().print(f"[yellow]The clock is simulated:[/] {clock.clock:%Y-%m-%d %H:%M} UTC, {how}")


COMMANDS: Sequence[click.Command] = (status,)
