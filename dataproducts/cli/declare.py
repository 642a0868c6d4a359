"""Commands about what files declare: validate, test; it must not open a ledger or load dagster.

What was recorded of the lifecycle is asked for where there is such a record, to tell of files that say something else.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project, upstream_first
from dataproducts.cli.show import AS_JSON, console, escape, mark, print_json
from dataproducts.errors import DeclarationError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.cli.project import Project
    from dataproducts.declare.clauses import ClauseLine
    from dataproducts.product import DataProduct


@click.command(short_help="Judge what files declare; list what becomes of each clause.")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="Judge waivers as they will stand on that day.")
@click.option("--clauses", is_flag=True, help="List every clause, not only those that are declared and no more.")
@AS_JSON
@click.pass_obj
def validate(
    obj: tuple[Path, str | None], path: Path | None, as_of: datetime | None, *, clauses: bool, as_json: bool
) -> None:
    """Judge declarations: a project, a product's folder, or a lone ODCS or ODPS file.

    Prints every fault as path:line, and what becomes of each clause: enforced, monitored or declared-only.
    """
    target = path or obj[0]
    if target.is_file():
        _validate_file(target, as_json=as_json)
        return
    if not target.exists():
        raise UsageError(f"{target} does not exist")
    project = open_project(target, environment=obj[1])
    products = _within(project, target.resolve())
    faults = [fault for fault in project.faults if _lies_in(project, fault.path, target.resolve())]
    day = as_of.date() if as_of else datetime.now(UTC).date()
    from dataproducts.declare.clauses import faults as clause_faults  # noqa: PLC0415 - reads the schemas: only here
    from dataproducts.declare.clauses import report  # noqa: PLC0415 - as above

    if not products and not faults:
        raise UsageError(f"{target} holds no data product: name a project, a product's folder, or an ODCS or ODPS file")
    lines = {product.address: report(product, as_of=day) for product in products}
    drifts = _drifts(project, products)
    if as_of:
        faults = sorted({*faults, *(f for product in products for f in clause_faults(product, as_of=day))})
    if as_json:
        print_json(
            {
                "faults": [{"path": f.path, "line": f.line, "what": f.what, "fix": f.fix} for f in faults],
                "products": [_clauses_json(product, lines[product.address]) for product in products],
                "warnings": drifts,
            }
        )
    else:
        for product in products:
            faulty = any(_lies_in(project, fault.path, product.folder) for fault in faults)
            _print_clauses(product, lines[product.address], everything=clauses, faulty=faulty)
        click.echo("".join(f"dataproducts: warning: {drift}\n" for drift in drifts), err=True, nl=False)
        if not faults:
            console().print(f"[green]✓[/] {len(products)} product(s) are valid")
    if faults:
        if as_json:
            sys.exit(1)
        raise DeclarationError(faults)


def _validate_file(path: Path, *, as_json: bool) -> None:
    from dataproducts.load import conformance  # noqa: PLC0415 - a lone file needs nothing else

    faults = conformance(path)
    if as_json:
        print_json(
            {
                "faults": [{"path": f.path, "line": f.line, "what": f.what, "fix": f.fix} for f in faults],
                "products": [],
            }
        )
        sys.exit(1 if faults else 0)
    if faults:
        raise DeclarationError(faults)
    console().print(f"[green]✓[/] {path} conforms to its standard")


def _drifts(project: Project, products: Sequence[DataProduct]) -> list[str]:
    """What to do about files that say another lifecycle status than was recorded."""
    from dataproducts.lifecycle.states import standings  # noqa: PLC0415 - as in validate

    return [standing.drift for standing in standings(project.environment, products).values() if standing.drift]


def _within(project: Project, target: Path) -> list[DataProduct]:
    return [p for p in upstream_first(project.products) if target in (p.folder, *p.folder.parents)]


def _lies_in(project: Project, path: str, target: Path) -> bool:
    place = (project.root / path).resolve()
    return target == place or target in place.parents


def _clauses_json(product: DataProduct, lines: Sequence[ClauseLine]) -> dict[str, Any]:
    from dataproducts.declare.clauses import share_enforced  # noqa: PLC0415 - see validate

    return {
        "product": product.address,
        "status": str(product.status),
        "share_enforced": round(share_enforced(lines), 4),
        "clauses": [
            {"path": line.path, "line": line.line, "clause": line.clause, "state": line.state, "waived": line.waived}
            for line in lines
        ],
    }


def _print_clauses(product: DataProduct, lines: Sequence[ClauseLine], *, everything: bool, faulty: bool) -> None:
    from dataproducts.declare.clauses import share_enforced  # noqa: PLC0415 - see validate

    promises = [line for line in lines if not line.informative]
    states = ("enforced", "monitored", "declared-only")
    told = ", ".join(f"{sum(line.state == state for line in promises)} {state}" for state in states)
    out = console()
    of_what = "what can be read of its promises" if faulty else "its promises"
    out.print(f"[bold]{product.address}[/] ({product.status}): {share_enforced(lines):.0%} of {of_what} enforced")
    out.print(f"  {told}, {len(lines) - len(promises)} clauses that promise nothing")
    shown = [line for line in lines if everything or (line.state == "declared-only" and not line.informative)]
    for line in shown:
        waived = " (waived)" if line.waived else ""
        named = f" {line.name}" if line.name else ""
        told, place = f"  {line.state:13} {line.clause}{named}{waived}", f"{line.path}:{line.line}"
        between = "  " if len(told) + 2 + len(place) <= out.width else "\n    "
        out.print(f"{escape(told)}{between}[dim]{escape(place)}[/]", soft_wrap=True)


@click.command("test", short_help="Run the unit tests of transforms.")
@click.argument("products", nargs=-1)
@AS_JSON
@click.pass_obj
def run_tests(obj: tuple[Path, str | None], products: tuple[str, ...], *, as_json: bool) -> None:
    """Run the unit tests of transforms: given these rows, expect those."""
    from dataproducts.transforms.unit_tests import collect, known_schemas, run_case  # noqa: PLC0415 - reads SQL: only here

    project = open_project(obj[0], environment=obj[1])
    chosen = project.chosen(products)
    outcomes = [
        (product, run_case(case, product, schemas=known_schemas(product, project.products)))
        for product in chosen
        for case in collect(product)
    ]
    failed = [outcome for _, outcome in outcomes if not outcome.passed]
    if as_json:
        print_json(
            [
                {
                    "product": product.address,
                    "table": outcome.case.table,
                    "test": outcome.case.name,
                    "passed": outcome.passed,
                    "diff": outcome.diff,
                    "declared_at": str(outcome.case.mark),
                }
                for product, outcome in outcomes
            ]
        )
    else:
        out = console()
        for product, outcome in outcomes:
            out.print(mark("passed" if outcome.passed else "failed"), f"{product.address}: {outcome.case.name}")
            if not outcome.passed:
                out.print(f"  {outcome.case.mark}\n{outcome.diff}", markup=False)
        out.print(f"{len(outcomes) - len(failed)} of {len(outcomes)} tests passed")
    if project.faults and not products:
        raise DeclarationError(project.faults)
    sys.exit(1 if failed else 0)


COMMANDS = (validate, run_tests)
