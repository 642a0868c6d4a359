"""The sensor of one code location, which watches its products; it must not judge, record or send by itself.

Dagster keeps a sensor's cursor apart from what the sensor did: a tick that dies in between loses an alert or repeats
one. Here the place up to which Dagster was read is kept in the operations database, with the incidents made of it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg

from dataproducts.compile.run_findings import Offered
from dataproducts.compile.sightings import run_state, sight
from dataproducts.load import load_project
from dataproducts.operations import Operations, bookmark
from dataproducts.operations.incidents import open_about, open_in
from dataproducts.watch import Told, Watched, Watcher, watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dataproducts.compile.runtime import Runtime
    from dataproducts.product import DataProduct

INTERVAL_S = 30
"""How often the daemon lets the sensor look, at the most."""

_PATIENCE = timedelta(seconds=20)  # of one delivery: the daemon gives a tick 60 s in all


def watch_sensor(products: Sequence[DataProduct], runtime: Runtime, *, name: str) -> dg.SensorDefinition:
    """Return the sensor that looks at `products` every 30 s, running from the start; `name` is the code location's.

    It asks for no run. A tick says what it came to; one that cannot use its databases fails, and the next one goes on
    from where the last good one was.
    """
    state = _State(runtime, {product.address: product for product in products})

    @dg.sensor(
        name=f"{name}__watch",
        minimum_interval_seconds=INTERVAL_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds what is wrong with these products, keeps incidents of it, and tells whom it concerns",
        tags={"domain": name},
    )
    def looks(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        known, offered = state.known(), _offered(context)
        return dg.SkipReason(
            str(look(context.instance, state.products, runtime, name=name, known=known, offered=offered))
        )

    return looks


def look(
    instance: dg.DagsterInstance,
    products: Mapping[str, DataProduct],
    runtime: Runtime,
    *,
    name: str,
    known: Mapping[str, DataProduct] | None = None,
    offered: Offered | None = None,
) -> Watched:
    """Look once at `products` and at what Dagster's `instance` knows of their runs; `name` is that of who looks.

    `offered` are the checks of the code location that looks, if it is one.
    Raises: StoreError, if the ledger or the operations database cannot be used.
    """
    warehouse = runtime.warehouse()
    environment = runtime.environment
    now = warehouse.recorded_at()
    place = f"dagster {name}"
    with Operations.open(environment.operations) as operations:
        with operations.reading() as con:
            since = bookmark(con, place)
            already = tuple(open_about(con, products).values()) if offered else ()
            declared = {*(known or ()), *products}
            gone = _gone(environment.root, name, open_in(con, name) - declared)
        seen: Told = sight(
            instance,
            products,
            ledger=warehouse.ledger,
            bookmark=place,
            since=since,
            now=now,
            already=already,
            offered=offered,
        )
        state = partial(run_state, instance, now=now)
        by = Watcher(name, known or {}, gone=gone, run_state=state, patience=_PATIENCE)
        return watch(warehouse, operations, products, directory=environment.directory, now=now, runs=(seen,), by=by)


def _offered(context: dg.SensorEvaluationContext) -> Offered | None:
    """Return the checks of the code location that evaluates the sensor; None outside of any."""
    origin, repository = context.code_location_origin, context.repository_def
    if origin is None or repository is None:
        return None
    return Offered(origin.location_name, repository.asset_graph.asset_check_keys)


def _gone(root: Path, domain: str, missed: frozenset[str]) -> frozenset[str]:
    """Return those products of `domain` that no file declares any more, of those that who looks does not know.

    The files are read anew, for who looks may have read them long ago; with a fault in them nobody can tell.
    """
    if not missed or not (root / "assets" / domain).is_dir():
        return frozenset()
    project = load_project(root, domain=domain)
    return frozenset() if project.faults else missed - {product.address for product in project.products}


@dataclass(slots=True)
class _State:
    """The products of the code location, and those of the whole project, read when a tick first asks for them."""

    runtime: Runtime
    products: Mapping[str, DataProduct]
    _known: Mapping[str, DataProduct] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self) -> Mapping[str, DataProduct]:
        """Return every product of the project: who reads ours may live in another domain, whose faults are its own."""
        with self._lock:
            if self._known is None:
                root = self.runtime.environment.root
                # A project of `dg` keeps its products elsewhere, and each component knows its own alone.
                everyone = load_project(root).products if (root / "assets").is_dir() else ()
                self._known = {**self.products, **{product.address: product for product in everyone}}
            return self._known
