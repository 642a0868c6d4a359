"""Judge what is published again, by the contract as it is today; it must not record or change anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import RefusedError
from dataproducts.judging import needed, results_of
from dataproducts.release import Refresh
from dataproducts.scene import compose

if TYPE_CHECKING:
    from dataproducts.product import DataProduct
    from dataproducts.verdict import RuleResult
    from dataproducts.warehouse import Warehouse


def recheck(warehouse: Warehouse, product: DataProduct) -> dict[str, tuple[RuleResult, ...]]:
    """Return every rule's result on the current release of `product`, by table.

    Upstream tables are read as that release pinned them. Raises: RefusedError, if nothing was released yet.
    """
    head = warehouse.ledger.head(product.address)
    if head is None:
        raise RefusedError(f"{product.address} has no release yet: run `dataproducts build {product.address}`")
    asof = Refresh("recheck", product.address, head.number, head.inputs, head.run_id, head.published_at)
    scene = compose(warehouse, product, asof, as_published=True)
    with warehouse.connect() as con:
        return {table.name: results_of(warehouse, con, scene, table, needed(scene, table)) for table in product.tables}
