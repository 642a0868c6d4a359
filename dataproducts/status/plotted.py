"""The figures of a release that are worth a plot over time; it must not know who draws it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from dataproducts.operations import Operations, costs
from dataproducts.slo.evaluate import evaluate
from dataproducts.status.gather import table_ages
from dataproducts.status.health import read_health

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataproducts.objective import Objective
    from dataproducts.product import DataProduct
    from dataproducts.release import Release
    from dataproducts.warehouse import Warehouse

_MOST = 12  # objectives: beyond that a list of plots is no overview
_WRITTEN = "slo.yaml"


def main_objectives(objectives: Sequence[Objective]) -> tuple[Objective, ...]:
    """Return the objectives that are plotted: those that `slo.yaml` names, or else all; at most 12, in their order."""
    named = [one for one in objectives if one.origin == _WRITTEN]
    return tuple(named or objectives)[:_MOST]


def plotted(warehouse: Warehouse, product: DataProduct, release: Release) -> dict[str, float]:
    """Return figures of `release`, which was published a moment ago, by names that stay the same.

    `health_score` (0 to 100), `attainment/<objective>` and `budget_left/<objective>` (shares), `data_age_h` (hours),
    `refresh_seconds` and `refresh_cpu_seconds`, `rows` and `bytes`. What cannot be told is absent.
    Raises: StoreError, if the ledger or the operations database cannot be read.
    """
    now = warehouse.recorded_at()
    versions = [v for held in warehouse.composition(release).values() for v in held]
    found: dict[str, float | None] = {
        "rows": sum(version.rows for version in versions),
        "bytes": sum(file.bytes for version in versions for file in version.files),
    }
    with Operations.open(warehouse.environment.operations) as operations, operations.reading() as con:
        clock, production = warehouse.frozen_clock, warehouse.environment.is_production
        attained = evaluate(product, warehouse.ledger, con, now=now, clock=clock, production=production)
        found["health_score"] = read_health(con, product, attained, production=production, now=now).score
        cost = costs.find(con, release.refresh_id, product.address)
        tables = table_ages(warehouse, con, product, now)
    main = {one.name for one in main_objectives(product.objectives)}
    for one in attained:
        if one.objective.name in main:
            found[f"attainment/{one.objective.name}"] = one.attainment
            found[f"budget_left/{one.objective.name}"] = one.budget_left
    ages = [table.age for table in tables if table.published and table.age is not None]
    found["data_age_h"] = max(ages) / timedelta(hours=1) if ages else None
    found["refresh_seconds"] = cost.wall_s if cost else None
    found["refresh_cpu_seconds"] = cost.cpu_s if cost else None
    return {name: figure for name, figure in found.items() if figure is not None}
