"""What a spent error budget does to releases and to the tier shown; it must not know how budgets are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from dataproducts.errors import RefusedError
from dataproducts.judging import needed
from dataproducts.objective import IndicatorKind, Spent
from dataproducts.operations.schema import probe
from dataproducts.product import Tier
from dataproducts.slo.evaluate import measure
from dataproducts.slo.facts import FREEZE_PROBE
from dataproducts.slo.freshness import is_fresh, times_of, watched
from dataproducts.slo.indicators import counted_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataproducts.objective import Objective
    from dataproducts.product import DataProduct
    from dataproducts.scene import Scene
    from dataproducts.slo.evaluate import Attained
    from dataproducts.warehouse import Warehouse

_LOWER = {Tier.GOLD: Tier.SILVER, Tier.SILVER: Tier.BRONZE, Tier.BRONZE: Tier.BRONZE}
_PERCENT = 100


def refuse_frozen(warehouse: Warehouse, product: DataProduct, scene: Scene, *, fix: str = "") -> None:
    """Refuse a release that is no fix while a spent budget freezes `product`; `scene` is what would be released.

    A fix says so (`fix` is why), or is one: with it the rules that the objective counts hold, or its tables are as
    fresh as promised. Only objectives that declare `freeze` are measured. A first release is never frozen, for what
    it would repair is that there is none; and a refresh that is refused here counts against no budget.
    Raises: RefusedError, which names the budgets that are spent.
    """
    frozen = [objective for objective in product.objectives if objective.on_spent is Spent.FREEZE]
    if not frozen or fix.strip() or scene.base is None:
        return
    from dataproducts.operations import Operations  # noqa: PLC0415 - for products with such an objective alone

    now, clock, production = warehouse.recorded_at(), warehouse.frozen_clock, warehouse.environment.is_production
    with Operations.open(warehouse.environment.operations) as operations:
        with operations.reading() as con:
            measured = measure(product, warehouse.ledger, con, frozen, now=now, clock=clock, production=production)
        spent = [one for one in measured if one.is_spent and not _is_fix(warehouse, scene, one.objective)]
        if spent:
            with operations.writing() as con:
                row = {"product": product.address, "subject": scene.refresh.id, "kind": FREEZE_PROBE, "at": now}
                con.execute(insert(probe), row | {"ok": False, "detail": {"objectives": [_name(one) for one in spent]}})
    if spent:
        raise RefusedError(
            f"{product.address} is frozen: {'; '.join(map(_told, spent))}. Only fixes are released until the budget "
            "recovers. Repair what the objective counts, or say what this release repairs: "
            f"`dataproducts build {product.address} --fix REASON`"
        )


def _is_fix(warehouse: Warehouse, scene: Scene, objective: Objective) -> bool:
    """Whether what `objective` measures would be good right after the release of `scene`."""
    indicator, product = objective.indicator, scene.product
    if indicator.kind is IndicatorKind.FRESHNESS:
        tables = [table for table in watched(product, indicator) if times_of(table, indicator)]
        now = warehouse.now()
        return all(is_fresh(table, indicator, scene.table(table.name), now=now) for table in tables)
    wanted = {(table.name, rule.name) for table, rule in counted_rules(product, indicator)}
    if not wanted:
        return False
    names = {table for table, _ in wanted}
    needs = [
        need
        for table in product.tables
        if table.name in names
        for need in needed(scene, table, custom=warehouse.custom)
        if (table.name, need.rule.name) in wanted
    ]
    known = warehouse.ledger.passed(need.key for need in needs)
    return bool(needs) and all(known.get(need.key) for need in needs)


def _name(one: Attained) -> str:
    return one.objective.name


def _told(one: Attained) -> str:
    share = (one.attainment or 0) * _PERCENT
    return (
        f"the error budget of objective {one.objective.name!r} is spent ({share:.4g} % good of "
        f"{one.objective.target * _PERCENT:.4g} % promised over {one.objective.window})"
    )


def shown_tier(product: DataProduct, attained: Iterable[Attained]) -> Tier | None:
    """Return the tier that `product` is shown with: one lower while a spent budget demotes it; None if it has none."""
    demoted = any(one.is_spent and one.objective.on_spent is Spent.DEMOTE for one in attained)
    return _LOWER[product.tier] if product.tier and demoted else product.tier
