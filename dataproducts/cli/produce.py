"""Commands that make releases: plan and build; it must not decide what is fit to publish."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.check import result_json
from dataproducts.cli.project import open_project, use_dagster_home
from dataproducts.cli.reports import REPORTS, build_results, parse_reports, write
from dataproducts.cli.show import AS_JSON, console, escape, grid, mark, outcome_stands, print_json
from dataproducts.cli.verdicts import print_samples, rule_grid
from dataproducts.errors import DeclarationError, RefusedError, SourceError, UsageError
from dataproducts.product import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dataproducts.cli.project import Project
    from dataproducts.compile.build import Built, Instance
    from dataproducts.plan import ProductPlan
    from dataproducts.product import DataProduct
    from dataproducts.refresh import TableOutcome
    from dataproducts.reports.results import Results
    from dataproducts.warehouse import Warehouse


_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class _Days(click.ParamType[tuple[date, date]]):
    """`2024-01-31`, or `2024-01-01:2024-01-31` with both ends included."""

    name = "day[:day]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[date, date]:
        """Return the first and the last day of `value`."""
        first, _, last = str(value).partition(":")
        try:
            days = date.fromisoformat(first), date.fromisoformat(last or first)
        except ValueError:
            self.fail(f"{value!r} is no day: write 2024-01-31, or 2024-01-01:2024-01-31", param, ctx)
        if days[0] > days[1]:
            self.fail(f"{value!r} ends before it begins", param, ctx)
        return days


_DAYS = click.option("--partition", "days", type=_Days(), help="Refresh the partitions of these days in any case.")


def _require_partitions(chosen: Sequence[DataProduct], named: Sequence[str], days: tuple[date, date] | None) -> None:
    """Refuse days for a product that was named and has no partitions, or for products of which none has any.

    Raises: UsageError.
    """
    bare = [product.address for product in chosen if not any(table.partitioning for table in product.tables)]
    if days and (len(bare) == len(chosen) or set(bare) & set(named)):
        listed = ", ".join(address for address in bare if address in named or len(bare) == len(chosen))
        what = f"--partition: no table of {listed} is cut into partitions (custom property `partition`)"
        raise UsageError(f"{what}. Leave it out; --force refreshes whole tables")


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a build was asked for."""

    force: bool
    days: tuple[date, date] | None
    quiet: bool
    instance: Callable[[], Instance]
    named: tuple[str, ...] = ()
    fix: str = ""


@click.command(short_help="Show what a build would do, and why.")
@click.argument("products", nargs=-1)
@click.option("--force", is_flag=True, help="Plan for everything, changed or not.")
@_DAYS
@AS_JSON
@click.pass_obj
def plan(
    obj: tuple[Path, str | None],
    products: tuple[str, ...],
    days: tuple[date, date] | None,
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Show what a build would refresh, judge again and carry over, and why; nothing is changed."""
    from dataproducts.plan import plan_product  # noqa: PLC0415 - loads the ledger

    project = open_project(obj[0], environment=obj[1])
    warehouse = project.warehouse(create=True)
    moving: set[str] = set()
    plans = []
    chosen = project.chosen(products)
    _require_partitions(chosen, products, days)
    for product in chosen:
        planned = plan_product(warehouse, product, force=force, days=days, moving=moving)
        if planned.is_needed:
            moving.add(product.address)
        plans.append(planned)
    if as_json:
        print_json([_plan_json(planned) for planned in plans])
    else:
        rows = [
            (f"{p.product}.{t.table}", t.action, f"{len(t.partitions):,}" if t.partitions else "", t.reason)
            for p in plans
            for t in p.tables
        ]
        if rows:
            console().print(grid(("table", "action", "partitions", "why"), rows, right=(2,)))
        for warning in dict.fromkeys(warning for planned in plans for warning in planned.warnings):
            console().print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)
        for note in (note for planned in plans for note in planned.notes):
            console().print(f"[dim]note:[/] {note}")
    if project.faults and not products:
        raise DeclarationError(project.faults)


def _plan_json(planned: ProductPlan) -> dict[str, Any]:
    return {
        "product": planned.product,
        "needed": planned.is_needed,
        "tables": [
            {
                "table": table.table,
                "action": table.action,
                "reason": table.reason,
                "partitions": [day.isoformat() for day in table.partitions],
            }
            for table in planned.tables
        ],
        "notes": list(planned.notes),
        "warnings": list(planned.warnings),
        "closed": planned.closed,
    }


@click.command(short_help="Refresh what changed, judge it, release all or nothing.")
@click.argument("products", nargs=-1)
@click.option("--force", is_flag=True, help="Refresh everything, changed or not.")
@_DAYS
@click.option("--fix", metavar="REASON", default="", help="What these releases repair: a spent budget lets them pass.")
@REPORTS
@AS_JSON
@click.pass_obj
def build(
    obj: tuple[Path, str | None],
    products: tuple[str, ...],
    days: tuple[date, date] | None,
    fix: str,
    reports: tuple[str, ...],
    *,
    force: bool,
    as_json: bool,
) -> None:
    """Refresh what changed, judge every rule, and release each product all or nothing.

    Each product is one Dagster run, seen in the UI. A refused product keeps its last release, and what reads it
    is not built. A domain with faults is left out; the others are built.
    """
    wanted = parse_reports(reports)
    project = open_project(obj[0], environment=obj[1])
    use_dagster_home(project.root)
    chosen = project.chosen(products)
    _require_partitions(chosen, products, days)
    warehouse = project.warehouse(create=True)
    report: list[dict[str, Any]] | None = [] if as_json else None
    refused: dict[str, str] = {}
    found: list[Results] = []
    try:
        with ExitStack() as opened:
            wish = _Wish(force, days, as_json, cache(lambda: opened.enter_context(_instance())), products, fix)
            for product in chosen:
                facts = _build_one(project, warehouse, product, refused, wish=wish)
                if report is not None:
                    report.append(facts)
                if wanted:
                    found.append(build_results(warehouse, product, facts))
    except KeyboardInterrupt:
        click.echo(
            "\ndataproducts: interrupted. The product under way was not released; what was before it stays.", err=True
        )
        sys.exit(_INTERRUPTED)
    if report is not None:
        print_json(report)
    elif not refused:
        _print_where(project, warehouse)
    with outcome_stands(lambda: bool(refused or (project.faults and not products))):
        write(wanted, found)
    if project.faults and not products:
        raise DeclarationError(project.faults)
    sys.exit(1 if refused else 0)


def _build_one(
    project: Project,
    warehouse: Warehouse,
    product: DataProduct,
    refused: dict[str, str],
    *,
    wish: _Wish,
) -> dict[str, Any]:
    """Build one product and print what became of it; note in `refused` why it was not released."""
    quiet = wish.quiet
    out = console()
    blocked = sorted({p.source.product for p in product.inputs if p.source and p.source.product in refused})
    facts: dict[str, Any] = {"product": product.address, "state": "skipped", "release": None, "run": "", "tables": {}}
    if blocked:
        refused[product.address] = facts["reason"] = f"it reads {', '.join(blocked)}, which was not released"
        if not quiet:
            out.print(f"\n[bold]{product.address}[/] [yellow]not built[/]: {facts['reason']}")
        return facts
    try:
        planned = _plan(warehouse, product, wish)
    except (RefusedError, SourceError) as error:
        # One product's missing source does not keep the others from being built.
        refused[product.address] = facts["reason"] = str(error)
        facts["state"] = "refused"
        if not quiet:
            out.print(f"\n[bold]{product.address}[/] [red]not built[/]: {error}")
        return facts
    facts["warnings"] = list(planned.warnings)
    if planned.closed:
        return _not_built(product, planned.closed, facts, refused, wish=wish)
    _warn(planned, quiet=quiet)
    if not planned.is_needed:
        from dataproducts.restored import note_current  # noqa: PLC0415 - as above

        note_current(warehouse, product.address)
        facts["state"] = "up to date"
        if not quiet:
            out.print(f"\n[bold]{product.address}[/] is up to date")
        return facts
    built = _run(project, product, planned, wish)
    facts["run"] = built.run_id
    facts["tables"] = {o.table.name: _table_json(o) for o in built.tables}
    if built.release is not None:
        facts |= {"state": "released", "release": built.release.release.number}
    else:
        refused[product.address] = facts["reason"] = "; ".join(built.failures) or "the run ended without a release"
        facts["state"] = "refused"
    if not quiet:
        _print_built(product, built)
    return facts


def _warn(planned: ProductPlan, *, quiet: bool) -> None:
    for warning in () if quiet else planned.warnings:
        console().print(f"[yellow]warning:[/] {escape(warning)}", soft_wrap=True)


def _not_built(
    product: DataProduct, closed: str, facts: dict[str, Any], refused: dict[str, str], *, wish: _Wish
) -> dict[str, Any]:
    """Tell why a product is not built any more: no failure of a build of all, unless it still says that it lives."""
    facts |= {"state": "retired", "reason": closed}
    if product.address in wish.named or product.status is not Status.RETIRED:
        refused[product.address] = closed
        facts["state"] = "refused"
    if not wish.quiet:
        console().print(f"\n[bold]{product.address}[/] [red]not built[/]: {escape(closed)}", soft_wrap=True)
    return facts


def _plan(warehouse: Warehouse, product: DataProduct, wish: _Wish) -> ProductPlan:
    """Return what is to be done; that a source cannot be read is kept for whoever watches."""
    from dataproducts.plan import plan_product  # noqa: PLC0415 - loads the ledger
    from dataproducts.refresh import note_unbuilt  # noqa: PLC0415 - as above

    try:
        return plan_product(warehouse, product, force=wish.force, days=wish.days)
    except SourceError as error:
        note_unbuilt(warehouse, product, error)
        raise


def _instance() -> Instance:
    from dataproducts.compile.build import open_instance  # noqa: PLC0415 - loads dagster, which takes half a second

    return open_instance()


def _run(project: Project, product: DataProduct, planned: ProductPlan, wish: _Wish) -> Built:
    """Run the product's job, with progress on a terminal."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415 - only a build has one

    from dataproducts.compile.build import build_product  # noqa: PLC0415 - loads dagster, which takes 2 s

    total = sum(table.action == "refresh" for table in planned.tables) + 1
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}/{task.total}"))
    terminal = console(err=True)
    with Progress(
        *columns,
        TimeElapsedColumn(),
        console=terminal,
        transient=True,
        disable=wish.quiet or not terminal.is_terminal,
    ) as progress:
        task = progress.add_task(product.address, total=total)
        return build_product(
            product,
            planned,
            environment=project.environment,
            custom=project.custom,
            instance=wish.instance(),
            fix=wish.fix,
            on_table=lambda _outcome: progress.advance(task),
        )


def _print_built(product: DataProduct, built: Built) -> None:
    out = console()
    owner = product.owner.username if product.owner else "nobody"
    out.print(f"\n[bold]{product.address}[/] [dim]{product.layer}, {product.status}, {owner}[/]")
    for outcome in built.tables:
        _print_table(outcome)
    if built.release is not None:
        out.print(f"  [green]released[/] as {product.address} #{built.release.release.number}, run {built.run_id}")
        if built.release.serving_error:
            out.print(f"  [yellow]its serving file is stale[/]: {built.release.serving_error}")
    for failure in built.failures:
        out.print(f"  [red]not released[/]: {failure}")


def _print_table(outcome: TableOutcome) -> None:
    """Print one table: every rule by dimension, and what the failed ones found."""
    out = console()
    verdict = outcome.verdict
    written = "" if outcome.rows == outcome.total_rows else f", {outcome.rows:,} written now"
    aside = f", {outcome.quarantined_rows:,} quarantined" if outcome.quarantined_rows else ""
    state = "passed" if verdict.passed else "failed"
    out.print(mark(state), f"[bold]{outcome.table.name}[/]: {outcome.total_rows:,} rows{written}{aside}")
    if acted := ", ".join(f"{name} {rows:,}" for name, rows in outcome.treated.items() if rows):
        out.print(f"    policies: {acted}")
    failed = {result.rule.name for result in verdict.results if not result.passed}
    by_dimension: dict[str, list[str]] = {}
    for rule in outcome.table.rules:
        if rule.name not in failed:
            by_dimension.setdefault(str(rule.dimension), []).append(rule.name)
    out.print(grid(("", "", ""), [("   ", name, " ".join(rules)) for name, rules in by_dimension.items()], plain=True))
    if failed:
        out.print(rule_grid("", [result for result in verdict.results if result.rule.name in failed]))
        print_samples(verdict.results)


def _table_json(outcome: TableOutcome) -> dict[str, Any]:
    return {
        "passed": outcome.verdict.passed,
        "rows_written": outcome.rows,
        "rows": outcome.total_rows,
        "quarantined_rows": outcome.quarantined_rows,
        "quarantined": dict(outcome.verdict.quarantined),
        "treated": outcome.treated,
        "rules": [result_json(result) for result in outcome.verdict.results],
    }


def _print_where(project: Project, warehouse: Warehouse) -> None:
    """Tell how to open what was built: nothing that is retired, whose queries all fail."""
    from dataproducts.lifecycle.states import standings  # noqa: PLC0415 - loads the ledger

    out = console()
    stand = standings(project.environment, project.sound())
    known = [product.address for product in project.sound() if not stand[product.address].is_closed]
    served = [address for address in known if warehouse.store.serve_path(address).exists()]
    if project.environment.clock:
        out.print(f"\n[yellow]The clock is simulated:[/] {project.environment.clock:%Y-%m-%d %H:%M} UTC")
    if not served:
        return
    if (project.root / "Makefile").is_file():
        out.print("\nOpen the user interface:  make dev   then http://localhost:3000")
    elif (project.root / "workspace.yaml").is_file():
        out.print("\nOpen the user interface:  dagster dev --workspace workspace.yaml")
    path = warehouse.store.serve_path(served[-1])
    shown = path.relative_to(project.root) if path.is_relative_to(project.root) else path
    out.print("Open the data:", soft_wrap=True)
    for line in _snippet(str(shown)):
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _snippet(path: str) -> Iterator[str]:
    yield "import duckdb"
    yield f"con = duckdb.connect({path!r}, read_only=True)"
    yield "con.sql('SHOW ALL TABLES').show()"


COMMANDS: Sequence[click.Command] = (plan, build)
