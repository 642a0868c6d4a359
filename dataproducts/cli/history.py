"""Commands about what was released: releases, rollback, verify, gc, migrate; it must not make new data."""

from __future__ import annotations

import dataclasses
import getpass
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.lifecycle import warn_readers
from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, grid, print_json
from dataproducts.errors import StoreError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.cli.project import Project
    from dataproducts.standing import Standing
    from dataproducts.warehouse import Warehouse


class _ListByDefault(click.Group):
    """`releases PRODUCT` lists, `releases diff PRODUCT A B` compares."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before what is not the name of a subcommand."""
        if args and args[0] not in self.commands and args[0] not in {"-h", "--help"}:
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListByDefault, short_help="List the releases of a product, or compare two.")
def releases() -> None:
    """List the releases of a product, newest first: `releases PRODUCT`."""


@releases.command("list")
@click.argument("product")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many at the most.")
@AS_JSON
@click.pass_obj
def list_(obj: tuple[Path, str | None], product: str, limit: int, *, as_json: bool) -> None:
    """List the releases of a product, newest first."""
    from dataproducts.releases import list_releases  # noqa: PLC0415 - loads the ledger

    project = open_project(obj[0], environment=obj[1])
    warehouse = _known(project.warehouse(), product)
    warn_readers(project, product)
    rows = list_releases(warehouse.ledger, product, limit=limit)
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    shown = [
        (f"#{row.release}", row.kind, f"{row.published_at:%Y-%m-%d %H:%M:%S}", _tables(row.tables), row.run[:8])
        for row in rows
    ]
    console().print(grid(("release", "kind", "published (UTC)", "rows", "run"), shown, title=product))


def _tables(tables: Any) -> str:
    return ", ".join(f"{name} {table.rows:,}" for name, table in tables.items())


@releases.command()
@click.argument("product")
@click.argument("old", type=int)
@click.argument("new", type=int)
@AS_JSON
@click.pass_obj
def diff(obj: tuple[Path, str | None], product: str, old: int, new: int, *, as_json: bool) -> None:
    """Compare two releases of a product: rows, partitions, columns and contracts."""
    from dataproducts.releases import diff as compare  # noqa: PLC0415 - loads the ledger

    warehouse = _warehouse(obj, product)
    changes = compare(warehouse.ledger, product, old, new)
    if as_json:
        print_json([dataclasses.asdict(change) for change in changes])
        return
    rows = [
        (c.table, f"{c.rows_before:,}", f"{c.rows_after:,}", len(c.added), len(c.removed), c.carried) for c in changes
    ]
    headings = ("table", "rows before", "after", "versions added", "removed", "carried")
    console().print(grid(headings, rows, right=(1, 2, 3, 4, 5), title=f"{product}: #{old} to #{new}"))


@click.command(short_help="Make an old release current again, as a new one.")
@click.argument("product")
@click.option("--to", "number", type=int, required=True, help="The release whose tables become current again.")
@click.option("--reason", default="", help="Why, for the record.")
@AS_JSON
@click.pass_obj
def rollback(obj: tuple[Path, str | None], product: str, number: int, reason: str, *, as_json: bool) -> None:
    """Publish a new release that holds what an old one held; no data is moved."""
    from dataproducts.refresh import serve  # noqa: PLC0415 - loads the ledger
    from dataproducts.releases import rollback as roll  # noqa: PLC0415 - as above

    project = open_project(obj[0], environment=obj[1])
    warehouse = _known(project.warehouse(), product)
    warn_readers(project, product, reads=True)
    run = f"rollback by {getpass.getuser()}"
    reason = "; ".join(part for part in (reason or f"back to release {number}", warehouse.clock_note()) if part)
    now = warehouse.recorded_at()
    released = roll(warehouse.ledger, warehouse.store, product, number, run_id=run, reason=reason, now=now)
    stale = serve(warehouse, project.product(product))
    if as_json:
        print_json({"product": product, "release": released.number, "to": number, "serving_error": stale})
        return
    console().print(f"[green]released[/] {product} #{released.number}, which holds what #{number} held")
    if stale:
        console().print(f"[yellow]its serving file is stale[/]: {stale}")


@click.command(short_help="Compare every file with its recorded hash.")
@click.argument("product", required=False)
@click.option("--repair", is_flag=True, help="Render serving files anew first; data files cannot be repaired.")
@AS_JSON
@click.pass_obj
def verify(obj: tuple[Path, str | None], product: str | None, *, repair: bool, as_json: bool) -> None:
    """Compare every file of every retained release with its recorded size and hash."""
    from dataproducts.releases import verify as scrub  # noqa: PLC0415 - loads the ledger

    project = open_project(obj[0], environment=obj[1])
    warehouse = _known(project.warehouse(), product) if product else project.warehouse()
    if repair:
        for address in [product] if product else warehouse.ledger.products():
            stale = _render(project, warehouse, address)
            if stale:
                raise StoreError(stale)
    standing = partial(_standing, project)
    findings = scrub(warehouse.ledger, warehouse.store, product, standing=standing)
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            console().print(f"[red]{finding.kind}[/] {finding.message}", soft_wrap=True)
        if not findings:
            console().print("[green]✓[/] every file is what was released")
    sys.exit(1 if findings else 0)


def _render(project: Project, warehouse: Warehouse, address: str) -> str:
    """Render a serving file anew; that of a retired product whose folder is gone stays closed."""
    from dataproducts.lifecycle.steps import show_at_ports  # noqa: PLC0415 - loads the ledger
    from dataproducts.refresh import serve  # noqa: PLC0415 - as above

    declared = any(product.address == address for product in project.products)
    if not declared and _standing(project, address):
        return show_at_ports(warehouse, address, None)
    return serve(warehouse, project.product(address))


def _standing(project: Project, address: str) -> Standing | None:
    """How a product stands whose serving file can be rendered; one whose folder is gone cannot, unless it is closed."""
    from dataproducts.lifecycle.states import standing_of  # noqa: PLC0415 - loads the ledger

    declared = next((product for product in project.products if product.address == address), None)
    standing = standing_of(project.environment, declared or address)
    return standing if declared or standing.is_closed else None


@click.command(short_help="Remove what no retained release holds.")
@click.option("--keep-releases", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--keep-days", type=click.IntRange(min=0), default=7, show_default=True)
@click.option("--dry-run", is_flag=True, help="Tell what would go; remove nothing.")
@AS_JSON
@click.pass_obj
def gc(obj: tuple[Path, str | None], keep_releases: int, keep_days: int, *, dry_run: bool, as_json: bool) -> None:
    """Remove versions that no retained release holds, files that nobody knows, and notices of long ago."""
    from dataproducts.operations import Operations  # noqa: PLC0415 - loads SQLAlchemy
    from dataproducts.retention import forget_notices  # noqa: PLC0415 - loads the ledger
    from dataproducts.retention import gc as collect  # noqa: PLC0415 - as above

    warehouse = _warehouse(obj, None)
    done = collect(
        warehouse.ledger,
        warehouse.store,
        keep_releases=keep_releases,
        keep_days=keep_days,
        now=warehouse.recorded_at(),
        disk_now=datetime.now(UTC),
        dry_run=dry_run,
    )
    with Operations.open(warehouse.environment.operations) as operations:
        notices = forget_notices(operations, now=warehouse.recorded_at(), dry_run=dry_run)
    facts = dataclasses.asdict(done) | {"notices": notices, "dry_run": dry_run}
    if as_json:
        print_json(facts)
        return
    verb = "would remove" if dry_run else "removed"
    console().print(f"{verb} " + ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()))


@click.command(short_help="Bring the databases' schemas up to date.")
@AS_JSON
@click.pass_obj
def migrate(obj: tuple[Path, str | None], *, as_json: bool) -> None:
    """Bring the schemas of the ledger and of the operations database to what this library needs."""
    from dataproducts import ledger, operations  # noqa: PLC0415 - loads SQLAlchemy

    environment = open_project(obj[0], environment=obj[1]).environment
    environment.store.mkdir(parents=True, exist_ok=True)
    done = {
        "ledger": ledger.migrate(environment.ledger),
        "operations": operations.migrate(environment.operations),
    }
    if as_json:
        print_json({name: {"from": before, "to": after} for name, (before, after) in done.items()})
        return
    for name, (before, after) in done.items():
        console().print(f"{name}: {before or 'new'} -> {after}" if before != after else f"{name}: at {after}")


def _warehouse(obj: tuple[Path, str | None], product: str | None) -> Warehouse:
    warehouse = open_project(obj[0], environment=obj[1]).warehouse()
    return _known(warehouse, product) if product else warehouse


def _known(warehouse: Warehouse, product: str) -> Warehouse:
    """The warehouse itself. Raises: UnknownNameError, if `product` was never released in it."""
    known = warehouse.ledger.products()
    if product not in known:
        raise UnknownNameError("released product", product, known)
    return warehouse


COMMANDS: Sequence[click.Command] = (releases, rollback, verify, gc, migrate)
