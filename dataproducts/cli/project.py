"""The project that a command works in: its products, rules and wiring; the only place that looks for its folders."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.environment import Environment
from dataproducts.errors import DeclarationError, StoreError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dataproducts.errors import Fault
    from dataproducts.policy import Policy
    from dataproducts.product import DataProduct
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with `assets/`, and what its `checks` and `resources` modules offer."""

    root: Path
    products: tuple[DataProduct, ...]
    faults: tuple[Fault, ...]
    environment: Environment
    policies: Sequence[Policy]
    custom: Mapping[str, Callable[..., Any]]

    def sound(self) -> tuple[DataProduct, ...]:
        """Return the products of the domains that have no fault, upstream products first."""
        return upstream_first([p for p in self.products if p.domain not in self.broken_domains()])

    def broken_domains(self) -> frozenset[str]:
        """Return the domains that have a fault: their products are not built, those of others are."""
        found = {Path(fault.path).parts[1:2] for fault in self.faults if Path(fault.path).parts[:1] == ("assets",)}
        return frozenset(parts[0] for parts in found if parts)

    def product(self, address: str) -> DataProduct:
        """Return the product at `address`.

        Raises: UnknownNameError, with the nearest address; DeclarationError, if its domain has faults.
        """
        for product in self.products:
            if product.address == address:
                if product.domain in self.broken_domains():
                    raise DeclarationError(f for f in self.faults if f.path.startswith(f"assets/{product.domain}/"))
                return product
        if self.faults:
            raise DeclarationError(self.faults)
        raise UnknownNameError("data product", address, [product.address for product in self.products])

    def chosen(self, addresses: Sequence[str]) -> tuple[DataProduct, ...]:
        """Return the products at `addresses`, or every sound one if none is named, upstream products first.

        The name of a domain stands for all its products. Raises: as `product`; UsageError, if there is none at all.
        """
        if not self.products and not self.faults:
            raise UsageError(f"{self.root}/assets holds no data product: add assets/<domain>/<product>/product.yaml")
        if not addresses:
            return self.sound()
        domains = {product.domain for product in self.products}
        named = [
            product.address
            for address in addresses
            for product in (self.products if address in domains else [self.product(address)])
            if address not in domains or product.domain == address
        ]
        return upstream_first([self.product(address) for address in named])

    def warehouse(self, *, create: bool = False) -> Warehouse:
        """Open the environment's warehouse. Raises: StoreError, if nothing was ever built there."""
        from dataproducts.warehouse import Warehouse  # noqa: PLC0415 - SQLAlchemy takes 0.15 s, and a file needs none

        warehouse = Warehouse.open(self.environment, custom=self.custom, create=create)
        if context := click.get_current_context(silent=True):
            context.call_on_close(warehouse.close)  # a server counts connections, and a command ends with its own
        return warehouse


def find_root(start: Path) -> Path:
    """Return the project that `start` lies in: the nearest folder upwards that holds `assets/`.

    Raises: UsageError, if there is none.
    """
    if not start.exists():
        raise UsageError(f"{start} does not exist")
    for folder in (start, *start.parents):
        if (folder / "assets").is_dir():
            return folder
    raise UsageError(
        f"{start} is not in a project: no folder above it holds assets/. Change into one or name it with -C"
    )


def open_project(start: Path, *, environment: str | None = None) -> Project:
    """Load the project around `start`, with every fault of its files and every policy that they violate.

    `checks/` and `resources/` are optional: without them there are no policies, and data goes to `.dataproducts`.
    """
    from dataproducts.load import load_project  # noqa: PLC0415 - reads SQL with sqlglot: not for a lone file
    from dataproducts.policy import apply  # noqa: PLC0415 - as above

    root = find_root(start.resolve())
    checks, resources = _module(root, "checks"), _module(root, "resources")
    if resources is not None:
        if not hasattr(resources, "for_environment"):
            raise UsageError("resources/__init__.py: add `def for_environment(name: str | None = None) -> Environment`")
        wiring: Environment = resources.for_environment(environment)
    else:
        wiring = Environment(environment or "dev", root, root / ".dataproducts")
    policies = tuple(getattr(checks, "POLICIES", ()))
    loaded = load_project(root)
    faults = (*loaded.faults, *apply(policies, loaded.products))
    return Project(root, loaded.products, faults, wiring, policies, dict(getattr(checks, "CUSTOM", {})))


_SETTINGS = """\
telemetry:
  enabled: false
event_log_storage:
  module: dataproducts.compile.event_log
  class: EventLog
run_storage:
  module: dataproducts.compile.event_log
  class: RunLog
schedule_storage:
  module: dataproducts.compile.event_log
  class: Ticks
compute_logs:
  module: dataproducts.compile.step_output
  class: StepOutput
"""


@dataclass(frozen=True, slots=True)
class NamedObjects(Mapping[str, Any]):
    """`checks.CUSTOM` of the project around `start`, none outside of any; imported when a rule asks for one."""

    start: Path

    def _held(self) -> Mapping[str, Any]:
        try:
            root = find_root(self.start.resolve())
        except UsageError:
            return {}
        held: Mapping[str, Any] = getattr(_module(root, "checks"), "CUSTOM", {})
        return held

    def __getitem__(self, name: str) -> Any:
        """Return the object called `name`. Raises: KeyError; UsageError, if `checks` cannot be imported."""
        return self._held()[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._held())

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._held())


def use_dagster_home(root: Path) -> None:
    """Point Dagster at the project's home, unless the caller's environment names another, and keep it quiet."""
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(root / ".dagster")))
    # What a run intends to make, an event a table, partition and rule, is written at once.
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{home}: Dagster's history cannot be kept there ({error.strerror}). Set DAGSTER_HOME"
        ) from error
    if not os.access(home, os.W_OK):
        raise StoreError(
            f"{home}: Dagster's history cannot be kept there (read-only). Set DAGSTER_HOME to another folder"
        )
    settings, wanted = home / "dagster.yaml", root / "resources" / "dagster.yaml"
    text = wanted.read_text(encoding="utf-8") if wanted.is_file() else _SETTINGS
    if not settings.exists() or (home == root / ".dagster" and settings.read_text(encoding="utf-8") != text):
        settings.write_text(text, encoding="utf-8")


def upstream_first(products: Sequence[DataProduct]) -> tuple[DataProduct, ...]:
    """Return `products` so that each comes after those it reads."""
    by_address = {product.address: product for product in products}
    ordered: dict[str, DataProduct] = {}

    def visit(product: DataProduct, path: tuple[str, ...]) -> None:
        if product.address in ordered or product.address in path:
            return
        for port in product.inputs:
            if port.source and port.source.product in by_address:
                visit(by_address[port.source.product], (*path, product.address))
        ordered[product.address] = product

    for product in products:
        visit(product, ())
    return tuple(ordered.values())


def _module(root: Path, name: str) -> Any:
    """The project's own `checks` or `resources`, None if it has none."""
    if not (root / name / "__init__.py").is_file() and not (root / f"{name}.py").is_file():
        return None
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        return importlib.import_module(name)
    # Process edge: this is the project's own code, which may raise anything, or leave; its author needs the place.
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(str(root))]
        where = (
            f"{Path(frames[-1].filename).relative_to(root)}:{frames[-1].lineno}" if frames else f"{name}/__init__.py"
        )
        raise UsageError(f"{where}: {name} cannot be imported: {type(error).__name__}: {error}") from error
