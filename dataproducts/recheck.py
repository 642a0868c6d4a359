"""Judge what is published again, by the contract as it is today; it must not record or change anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import RefusedError
from dataproducts.judging import judge_needed, needed
from dataproducts.release import Refresh
from dataproducts.rules.footers import GUARD
from dataproducts.scene import compose
from dataproducts.verdict import Verdict

if TYPE_CHECKING:
    from dataproducts.product import DataProduct
    from dataproducts.warehouse import Warehouse


def recheck(warehouse: Warehouse, product: DataProduct) -> dict[str, Verdict]:
    """Return the verdict on each table of the current release of `product`, every rule judged on all its rows.

    Upstream tables are read as that release pinned them. Raises: RefusedError, if nothing was released yet.
    """
    head = warehouse.ledger.head(product.address)
    if head is None:
        raise RefusedError(f"{product.address} has no release yet: run `dataproducts build {product.address}`")
    asof = Refresh("recheck", product.address, head.number, head.inputs, head.run_id, head.published_at)
    scene = compose(warehouse, product, asof, as_published=True)
    verdicts: dict[str, Verdict] = {}
    with warehouse.connect() as con:
        con.execute("SET disabled_optimizers = ?", [GUARD])
        for table in product.tables:
            found = judge_needed(warehouse, con, scene, table, needed(scene, table), believe=False)
            rows = sum(version.rows for version in scene.table(table.name))
            verdicts[table.name] = Verdict(table.name, rows, found.results, {}, found.passes)
    return verdicts
