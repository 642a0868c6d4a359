"""A pytest plugin that runs the unit tests of transforms; it must not import more than pytest before it finds one.

`pytest assets` collects each case of `<product>/tests/*.yaml`, where `<product>/product.yaml` exists, as an item
`assets/retail/customers/tests/cleaning.yaml::case name`. Other YAML files are left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator
    from pathlib import Path

    from dataproducts.product import Column, DataProduct
    from dataproducts.transforms.unit_tests import Case

    Loaded = tuple[DataProduct, dict[str, tuple[Column, ...]]]

_PROJECTS = pytest.StashKey[dict[str, Any]]()
_LOADED = pytest.StashKey[dict[str, Any]]()


class CaseFailedError(Exception):
    """What a failing case differs in; pytest shows its text instead of a traceback."""


class CaseFile(pytest.File):
    """One `tests/*.yaml` of a product."""

    def collect(self) -> Iterator[CaseItem]:
        """Yield an item for each case. Raises: pytest.Collector.CollectError, with the faults of the files."""
        from dataproducts.errors import DataProductError  # noqa: PLC0415 - only a session with such a file pays for it
        from dataproducts.transforms.unit_tests import read_cases  # noqa: PLC0415 - as above

        shown = self.nodeid.partition("::")[0]
        try:
            cases = read_cases(self.path, shown=shown)
            product, schemas = self._product()
        except DataProductError as error:
            raise self.CollectError(str(error)) from error
        for case in cases:
            yield CaseItem.from_parent(self, name=case.name, case=case, product=product, schemas=schemas)

    def _product(self) -> Loaded:
        """The product that the file belongs to, and the columns it can read; loaded once a session."""
        loaded = self.session.stash.setdefault(_LOADED, {})
        folder = self.path.parent.parent
        if str(folder) not in loaded:
            loaded[str(folder)] = _load(folder, self.session.stash.setdefault(_PROJECTS, {}))
        found: Loaded = loaded[str(folder)]
        return found


class CaseItem(pytest.Item):
    """One case; it passes if its transform makes the rows that the case expects."""

    def __init__(
        self, *, case: Case, product: DataProduct, schemas: dict[str, tuple[Column, ...]], **kwargs: Any
    ) -> None:
        """Keep the case and what it needs to run."""
        super().__init__(**kwargs)
        self.case, self.product, self.schemas = case, product, schemas

    def runtest(self) -> None:
        """Run the case. Raises: CaseFailedError, with the difference."""
        from dataproducts.transforms.unit_tests import run_case  # noqa: PLC0415 - only a session with such a file pays for it

        outcome = run_case(self.case, self.product, schemas=self.schemas)
        if not outcome.passed:
            raise CaseFailedError(outcome.diff)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the difference alone for a case that failed, else what pytest shows."""
        if isinstance(excinfo.value, CaseFailedError):
            return f"{self.case.mark}: {self.case.table}: {self.name}\n{excinfo.value}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Return file, line (from 0) and name, for pytest's report."""
        return self.path, max(self.case.mark.line - 1, 0), f"{self.case.table}: {self.name}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CaseFile | None:
    """Collect `file_path` if it is a unit test of a product, and nothing else."""
    if file_path.suffix != ".yaml" or file_path.parent.name != "tests":
        return None
    if not (file_path.parent.parent / "product.yaml").is_file():
        return None
    made: CaseFile = CaseFile.from_parent(parent, path=file_path)
    return made


def _load(folder: Path, projects: dict[str, Any]) -> Loaded:
    """The product in `folder`, with the products beside it where it lies in a project: `assets/<domain>/<product>`.

    `projects` keeps each project of the session. Raises: DeclarationError, if the product has faults.
    """
    from dataproducts.load import load_product, load_project  # noqa: PLC0415 - only a session with such a file pays
    from dataproducts.transforms.unit_tests import known_schemas  # noqa: PLC0415 - as above

    assets = folder.parent.parent
    if assets.name != "assets":
        product = load_product(folder)
        return product, known_schemas(product)
    root = assets.parent
    if str(root) not in projects:
        projects[str(root)] = load_project(root)
    products = projects[str(root)].products
    found = [product for product in products if product.folder.resolve() == folder.resolve()]
    product = found[0] if found else load_product(folder, root=root)
    return product, known_schemas(product, products)
