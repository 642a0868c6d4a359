"""A Dagster Component, so that a product folder drops into a `dg` project; it must not add semantics of its own."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import dagster as dg

from dataproducts.compile.domain import compile_products
from dataproducts.compile.jobs import job_name
from dataproducts.environment import Environment
from dataproducts.errors import UsageError
from dataproducts.load import load_product


class DataProductComponent(dg.Component, dg.Model, dg.Resolvable):
    """The product in `folder`, relative to the component's own folder; data and ledger go to `store`.

    `environment` names a function that returns an `Environment` instead, with its directory of people for instance,
    and `custom` a mapping of named rules: both as `package.module:name`.
    """

    folder: str = "."
    store: str = ".dataproducts"
    environment: str = ""
    custom: str = ""

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the definitions of the product, with its audit and a sensor that watches it.

        Raises: DeclarationError, with every fault of its files; UsageError, if a name leads to nothing.
        """
        root = Path(context.project_root)
        product = load_product(Path(context.path) / self.folder, root=root)
        environment = _named("environment", self.environment)() if self.environment else None
        return compile_products(
            [product],
            environment=environment or Environment("dg", root, root / self.store),
            custom=_named("custom", self.custom) if self.custom else None,
            watched_as=job_name(product.address),
        )


def _named(key: str, name: str) -> Any:
    try:
        return resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"defs.yaml: `{key}: {name}` leads to nothing: {error}. Write package.module:name, of a module that this "
            "project can import"
        ) from error
