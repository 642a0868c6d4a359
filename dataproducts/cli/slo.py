"""`slo`: what objectives attained and what is left of their budgets; it must not measure or record anything."""

from __future__ import annotations

import math
import sys
from pathlib import Path  # noqa: TC003 - click reads the annotations
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.project import open_project
from dataproducts.cli.show import AS_JSON, console, grid, print_json, text
from dataproducts.errors import DeclarationError
from dataproducts.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from dataproducts.product import DataProduct, Tier
    from dataproducts.slo.evaluate import Attained
    from dataproducts.warehouse import Warehouse

_STYLES = {"kept": "green", "burning": "yellow", "spent": "red", "unmeasured": "dim"}
_HEADINGS = ("objective", "target", "7 d", "28 d", "90 d", "left", "burn", "state")
_PERCENT = 100


@click.command(short_help="Show what objectives attained, and what is left of their budgets.")
@click.argument("products", nargs=-1)
@click.option("--check", is_flag=True, help="Exit 1 if the budget of any objective is spent.")
@AS_JSON
@click.pass_obj
def slo(obj: tuple[Path, str | None], products: tuple[str, ...], *, check: bool, as_json: bool) -> None:
    """Show the objectives of products: attained over 7, 28 and 90 days, budget left, how fast it burns.

    Budgets count over each objective's own window. Everything is computed from what was recorded; nothing is changed.
    """
    from dataproducts.lifecycle.states import standings  # noqa: PLC0415 - loads the ledger
    from dataproducts.operations import Operations  # noqa: PLC0415 - SQLAlchemy takes 0.15 s
    from dataproducts.slo.actions import shown_tier  # noqa: PLC0415 - as above
    from dataproducts.slo.evaluate import evaluate  # noqa: PLC0415 - as above
    from dataproducts.slo.findings import missing  # noqa: PLC0415 - as above

    project = open_project(obj[0], environment=obj[1])
    told: list[dict[str, Any]] = []
    is_spent = False
    with project.warehouse(create=True) as warehouse, Operations.open(project.environment.operations) as operations:
        now, clock, production = warehouse.recorded_at(), warehouse.frozen_clock, project.environment.is_production
        chosen = project.chosen(products)
        stands = standings(project.environment, chosen)
        for product in chosen:
            closed = stands[product.address].warning if stands[product.address].is_retired else ""
            if closed:  # it owes nothing: what its releases once attained is in its last measurements
                told.append(_as_json(product, (), product.tier, "", closed))
                if not as_json:
                    console().print(text(f"{closed}. It owes nothing any more"), soft_wrap=True)
                continue
            with operations.reading() as con:
                attained = evaluate(product, warehouse.ledger, con, now=now, clock=clock, production=production)
                late = missing(product, warehouse.ledger, con, now=now, clock=clock, production=production)
            is_spent = is_spent or any(one.is_spent for one in attained)
            message = str(late.detail["message"]) if isinstance(late, Finding) else ""
            told.append(_as_json(product, attained, shown_tier(product, attained), message))
            if not as_json:
                _print(product, attained, shown_tier(product, attained), message)
        if as_json:
            print_json(told)
        else:
            _print_clock(warehouse)
    if project.faults and not products:
        raise DeclarationError(project.faults)
    sys.exit(1 if check and is_spent else 0)


def _as_json(
    product: DataProduct, attained: Sequence[Attained], tier: Tier | None, late: str, closed: str = ""
) -> dict[str, Any]:
    return {
        "product": product.address,
        "tier": str(product.tier) if product.tier else None,
        "shown_tier": str(tier) if tier else None,
        "missing": late,
        "retired": closed,
        "objectives": [one.as_json() for one in attained],
    }


def _print(product: DataProduct, attained: Sequence[Attained], tier: Tier | None, late: str) -> None:
    out = console()
    title = f"{product.address}, shares in %"
    title += f" ({tier} until the budget recovers)" if tier is not product.tier else ""
    if attained:
        rows = [_row(one) for one in attained]
        out.print(grid(_HEADINGS, rows, right=(1, 2, 3, 4, 5, 6), title=title))
    else:
        out.print(f"{product.address} has no objectives")
    for one in attained:
        for breach in one.breaches:
            out.print(text(f"{one.objective.name}: {breach.message}", "yellow"))
    if late:
        out.print(text(late, "red"))


def _row(one: Attained) -> tuple[str | Text, ...]:
    return (
        one.objective.name,
        _percent(one.objective.target),
        *(_percent(tally.attainment) for tally in one.over.values()),
        _percent(one.budget_left),
        _rate(one.burn),
        text(one.state, _STYLES[one.state]),
    )


def _percent(share: float | None) -> str:
    """A share in percent, without the sign and never rounded up: 99.96 % is not 100 %."""
    if share is None:
        return "-"
    tenths = math.floor(round(share * _PERCENT * 10, 6))
    return f"{tenths / 10:g}"


def _rate(burn: float | None) -> str:
    return "-" if burn is None else "inf" if math.isinf(burn) else f"{burn:.1f}"


def _print_clock(warehouse: Warehouse) -> None:
    clock = warehouse.environment.clock
    if clock:
        how = "and records are dated by it" if warehouse.is_replay else "and the age of data counts by it"
        console().print(f"[yellow]The clock is simulated:[/] {warehouse.now():%Y-%m-%d %H:%M} UTC, {how}")


COMMANDS: Sequence[click.Command] = (slo,)
