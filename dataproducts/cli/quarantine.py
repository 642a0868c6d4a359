"""Commands about rows that were set aside: list, export, replay; it must not decide which rows pass."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, grid, print_json, row_line, text
from dataproducts.errors import UsageError
from dataproducts.rules.quarantine import RULES_COLUMN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.text import Text

    from dataproducts.cli.project import Project
    from dataproducts.product import DataProduct, Table
    from dataproducts.quarantine import Aside
    from dataproducts.warehouse import Warehouse

_RELEASE = click.option("--release", "number", type=int, help="That release, not the current one.")


class _ListByDefault(click.Group):
    """`quarantine` and `quarantine PRODUCT` list."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `list` before what is not the name of a subcommand."""
        if not args or (args[0] not in self.commands and args[0] not in {"-h", "--help"}):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=_ListByDefault, short_help="Show, export or put back rows that rules set aside.")
def quarantine() -> None:
    """Show, export or put back the rows that rules set aside: `quarantine PRODUCT.TABLE`."""


@quarantine.command("list")
@click.argument("target", required=False)
@_RELEASE
@click.option("--sample", type=click.IntRange(min=0), default=3, show_default=True, help="Rows to show of each table.")
@AS_JSON
@click.pass_obj
def list_(obj: tuple[Path, str | None], target: str | None, number: int | None, sample: int, *, as_json: bool) -> None:
    """List what was set aside, by table, partition and rule, with masked examples."""
    from dataproducts.quarantine import list_aside, sample_aside  # noqa: PLC0415 - loads the ledger

    if number is not None and target is None:
        raise UsageError("--release needs a product: releases are numbered product by product")
    project, chosen = _opened(obj, target)
    warehouse = project.warehouse()
    found = [one for p, tables in chosen.items() for one in list_aside(warehouse, p, tables, release=number)]
    left: dict[str, int] = {}
    examples: dict[str, tuple[Mapping[str, Any], ...]] = {}
    with warehouse.connect() as con:
        for one in found:
            name = _name(one)
            examples[one.version.id] = sample_aside(warehouse, con, one, limit=left.get(name, sample))
            left[name] = left.get(name, sample) - len(examples[one.version.id])
    if as_json:
        print_json([_json(one, examples[one.version.id]) for one in found])
    else:
        _print(found, examples)


def _json(one: Aside, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    version = one.version
    return {
        "product": version.product,
        "table": version.table,
        "partition": version.partition,
        "release": one.release,
        "refresh": version.refresh_id,
        "run": version.run_id,
        "quarantined_at": version.created_at.isoformat(),
        "staged_rows": one.staged,
        "quarantined_rows": one.rows,
        "rules": dict(version.quarantined),
        "sample": [dict(row) for row in rows],
    }


def _print(found: Sequence[Aside], examples: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    out = console()
    if not found:
        out.print("nothing is in quarantine")
        return
    rows = [
        (_name(one), f"#{one.release}" if one.release else "refused", one.version.partition or "", rule, f"{count:,}",
         f"{one.staged:,}")
        for one in found
        for rule, count in sorted(one.version.quarantined.items())
    ]  # fmt: skip
    out.print(grid(("table", "release", "partition", "rule", "rows", "of"), rows, right=(4, 5)))
    for one in found:
        for row in examples[one.version.id]:
            shown = row_line({name: value for name, value in row.items() if name != RULES_COLUMN})
            out.print(_one_line(f"  {one.version.table}: {shown}", f"  ({', '.join(row[RULES_COLUMN])})", out.width))


def _one_line(row: str, rules: str, width: int) -> Text:
    """Both in one line: the row is cut where they are too long, then the rules."""
    line, end = text(row), text(rules)
    line.truncate(max(width - end.cell_len, width // 2), overflow="ellipsis")
    line.append_text(end)
    line.truncate(width, overflow="ellipsis")
    return line


@quarantine.command()
@click.argument("target")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_RELEASE
@click.option("--unmasked", is_flag=True, help="Write values of classified columns, too.")
@click.pass_obj
def export(obj: tuple[Path, str | None], target: str, file: Path, number: int | None, *, unmasked: bool) -> None:
    """Write the rows of one table to a CSV, Parquet or JSON file, as TARGET is now or was in a release."""
    from dataproducts.quarantine import export as write  # noqa: PLC0415 - loads the ledger
    from dataproducts.quarantine import list_aside  # noqa: PLC0415 - as above

    warehouse, product, table = _one_table(obj, target)
    found = list_aside(warehouse, product.address, [table], release=number)
    if number is None and any(one.release for one in found):
        found = tuple(one for one in found if one.release)  # those of refused attempts are for `list`
    if not found:
        raise UsageError(f"{target} has no row in quarantine")
    with warehouse.connect() as con:
        rows = write(warehouse, con, found, file, unmasked=unmasked)
    out = console()
    out.print(f"wrote {rows:,} {'row' if rows == 1 else 'rows'} to {file}", markup=False, soft_wrap=True)
    if unmasked:
        out.print("[yellow]it holds values of classified columns[/]: delete it when it is done with")


@quarantine.command()
@click.argument("target")
@click.option("--rows", "file", type=click.Path(path_type=Path, dir_okay=False), help="Corrected rows, as exported.")
@AS_JSON
@click.pass_obj
def replay(obj: tuple[Path, str | None], target: str, file: Path | None, *, as_json: bool) -> None:
    """Judge the rows that were set aside by the contract of today, and release the table with those that pass."""
    from dataproducts.replay import replay as put_back  # noqa: PLC0415 - loads the ledger

    warehouse, product, table = _one_table(obj, target)
    address = product.address
    done = put_back(warehouse, product, table, rows=file, run_id=f"replay by {getpass.getuser()}")
    released = done.released.release.number if done.released else None
    stale = done.released.serving_error if done.released else ""
    if as_json:
        facts: dict[str, Any] = {"product": address, "table": table.name, "release": released, "rows": done.rows}
        facts |= {"put_back": done.put_back, "quarantined": dict(done.quarantined), "serving_error": stale}
        print_json(facts)
    else:
        out = console()
        still = ", ".join(f"{rule} {count:,}" for rule, count in sorted(done.quarantined.items()))
        out.print(f"{done.put_back:,} of {done.rows:,} rows pass now" + (f"; still rejected: {still}" if still else ""))
        if released:
            out.print(f"[green]released[/] {address} #{released}")
        else:
            out.print("[yellow]nothing was changed[/]: correct the rows, the contract, or the source")
        if stale:
            out.print(f"[yellow]its serving file is stale[/]: {stale}")
    sys.exit(0 if released else 1)


def _name(one: Aside) -> str:
    return f"{one.version.product}.{one.version.table}"


def _opened(obj: tuple[Path, str | None], target: str | None) -> tuple[Project, Mapping[str, Sequence[Table]]]:
    """The project, and the tables that `target` names, by product: all of them, if it names none."""
    from dataproducts.quarantine import find_table  # noqa: PLC0415 - loads the ledger

    project = open_project(obj[0], environment=obj[1])
    every = {product.address: product.tables for product in project.products}
    if target is None:
        return project, {product.address: product.tables for product in project.sound()}
    address, tables = find_table(target, every)
    return project, {project.product(address).address: tables}


def _one_table(obj: tuple[Path, str | None], target: str) -> tuple[Warehouse, DataProduct, Table]:
    project, chosen = _opened(obj, target)
    ((product, tables),) = chosen.items()
    if len(tables) != 1:
        names = ", ".join(f"{product}.{table.name}" for table in tables)
        raise UsageError(f"{target} has {len(tables)} tables. Name one: {names}")
    return project.warehouse(), project.product(product), tables[0]


COMMANDS: Sequence[click.Command] = (quarantine,)
