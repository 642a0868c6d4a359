"""A Dagster Component, so that a product folder drops into a `dg` project; it must not add semantics of its own."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from dataproducts.compile.domain import compile_products
from dataproducts.environment import Environment
from dataproducts.load import load_product


class DataProductComponent(dg.Component, dg.Model, dg.Resolvable):
    """The product in `folder`, relative to the component's own folder; data and ledger go to `store`."""

    folder: str = "."
    store: str = ".dataproducts"

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the product. Raises: DeclarationError, with every fault of its files."""
        root = Path(context.project_root)
        product = load_product(Path(context.path) / self.folder, root=root)
        return compile_products([product], environment=Environment("dg", root, root / self.store))
