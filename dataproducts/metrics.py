"""Figures of an environment for Prometheus, read from its two databases when it asks; it must not compute any anew.

Moments are given, not ages: `time() - dataproducts_release_timestamp_seconds` is an age in a rule of Prometheus, and
goes on growing when this here has stopped.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.errors import DataProductError, StoreError, UsageError
from dataproducts.ledger import Ledger
from dataproducts.ledger import figures as ledger_figures
from dataproducts.operations import Operations
from dataproducts.operations import figures as operations_figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from pathlib import Path

    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric
    from sqlalchemy import Connection

    from dataproducts.environment import Environment

_LOG = logging.getLogger(__name__)
_Sample = tuple[tuple[str, ...], float]
_WATCHER = "watch"  # the bookmark that the watcher moves at every look


def registry(environment: Environment) -> CollectorRegistry:
    """Return a registry whose figures are read anew from `environment` each time they are asked for.

    A database that cannot be read leaves its figures out, and `dataproducts_database_up` 0.
    Raises: UsageError, if prometheus_client is not installed.
    """
    try:
        from prometheus_client import CollectorRegistry  # noqa: PLC0415 - of the extra `metrics`
    except ImportError as error:
        raise UsageError("prometheus_client is not installed: pip install 'dataproducts[metrics]'") from error
    made = CollectorRegistry()
    made.register(_Figures(environment))
    return made


def write_textfile(environment: Environment, path: Path) -> None:
    """Write all figures to the file at `path`, whole or not at all, for the node exporter's textfile collector.

    Raises: StoreError, if it cannot be written.
    """
    from prometheus_client import write_to_textfile  # noqa: PLC0415 - of the extra `metrics`

    held = registry(environment)
    try:
        write_to_textfile(str(path), held)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there."
        ) from error


def text(environment: Environment) -> str:
    """Return all figures in the format that Prometheus reads."""
    held = registry(environment)
    from prometheus_client import generate_latest  # noqa: PLC0415 - of the extra `metrics`

    return generate_latest(held).decode()


@contextlib.contextmanager
def served(environment: Environment, *, port: int, address: str = "127.0.0.1") -> Iterator[int]:
    """Answer Prometheus on `port` of `address` within the block, in a thread; give the port, which 0 leaves open.

    Raises: UsageError, if nothing can listen there.
    """
    held = registry(environment)
    from prometheus_client import start_http_server  # noqa: PLC0415 - of the extra `metrics`

    try:
        server, thread = start_http_server(port, address, held)
    except (OSError, OverflowError) as error:
        raise UsageError(f"nothing can listen on {address}:{port}: {error}. Name another port.") from error
    try:
        yield int(server.server_port)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, slots=True, eq=False)  # registries keep it by identity
class _Figures:
    """What a registry asks for figures, in whichever thread."""

    environment: Environment

    def collect(self) -> Iterable[Metric]:
        """Return every figure."""
        up: list[_Sample] = []
        found: list[Metric] = []
        for name, read in (("ledger", self._ledger), ("operations", self._operations)):
            try:
                found += read()
            except DataProductError as error:  # whoever plots the figures sees that they are gone, and since when
                _LOG.warning("%s", error)
                up.append(((name,), 0))
            else:
                up.append(((name,), 1))
        return [_gauge("database_up", "Whether the database could be read: 1 or 0.", ("database",), up), *found]

    def describe(self) -> Iterable[Metric]:
        """Return nothing: asking the databases before they are there would help nobody."""
        return ()

    def _ledger(self) -> list[Metric]:
        with Ledger.open(self.environment.ledger, create=False) as ledger, ledger.reading() as con:
            return list(_of_ledger(con))

    def _operations(self) -> list[Metric]:
        with Operations.open(self.environment.operations, create=False) as operations, operations.reading() as con:
            return list(_of_operations(con))


def _of_ledger(con: Connection) -> Iterator[Metric]:
    f = ledger_figures
    yield _counter("releases", "Releases that there ever were.", ("product", "kind"), f.releases(con).items())
    heads, tables = f.current(con), f.current_tables(con)
    one, each = ("product",), ("product", "table")
    yield _gauge("release_number", "The current release.", one, [((h.product,), h.number) for h in heads])
    published = [((h.product,), h.published_at.timestamp()) for h in heads]
    yield _gauge("release_timestamp_seconds", "When the current release was published.", one, published)
    yield _gauge("rows", "Rows of the current release.", each, [((t.product, t.table), t.rows) for t in tables])
    yield _gauge(
        "bytes", "Bytes of the current release's files.", each, [((t.product, t.table), t.bytes) for t in tables]
    )
    thru = [((t.product, t.table), t.valid_thru.timestamp()) for t in tables if t.valid_thru]
    yield _gauge("valid_thru_timestamp_seconds", "Until when the rows are complete, by event time.", each, thru)
    ended, under_way = {}, {}
    for (product, outcome), number in f.refreshes(con).items():
        if outcome == f.OPEN:
            under_way[(product,)] = number
        else:
            ended[(product, outcome)] = number
    yield _counter("refreshes", "Refreshes that ended, by how.", ("product", "outcome"), ended.items())
    what = "Refreshes without an end: under way, given up or killed."
    yield _gauge("refreshes_open", what, one, under_way.items())
    failing = {(product, str(blocking).lower()): number for (product, blocking), number in f.failing(con).items()}
    what = "Rules that failed when they were judged last."
    yield _gauge("rules_failing", what, ("product", "blocking"), failing.items())


def _of_operations(con: Connection) -> Iterator[Metric]:
    f = operations_figures
    keys = ("product", "severity", "state")
    yield _gauge("incidents_open", "Incidents that are not resolved.", keys, f.open_incidents(con).items())
    states = {(state,): number for state, number in f.notices(con).items()}
    yield _gauge("notices", "Notices, by state: waiting, sent, dropped …", ("state",), states.items())
    since = f.oldest_failing(con)
    what = "Since when the notice that failed first could not be sent."
    yield _gauge("notice_failing_since_timestamp_seconds", what, (), [((), since.timestamp())] if since else [])
    measured, keys = f.measured(con), ("product", "objective", "days")
    attained = _known((m.product, m.objective, m.days, m.attainment) for m in measured)
    yield _gauge("objective_attainment_ratio", "Share of good events, measured last.", keys, attained)
    left = _known((m.product, m.objective, m.days, m.budget_left) for m in measured)
    yield _gauge("error_budget_left_ratio", "1 is all of the budget, below 0 is overspent.", keys, left)
    last = _moments({(product,): at for product, at in f.last_measured(con).items()})
    yield _gauge("objectives_measured_timestamp_seconds", "When objectives were measured last.", ("product",), last)
    yield from _costs(con)
    found = f.health(con)
    scores = {(product,): score for product, (score, _) in found.items()}
    yield _gauge("health_score", "The data-health score, computed last.", ("product",), scores.items())
    computed = _moments({(product,): at for product, (_, at) in found.items()})
    yield _gauge("health_score_timestamp_seconds", "When the data-health score was computed.", ("product",), computed)
    looked = _moments({(): f.alive(con).get(_WATCHER)})
    yield _gauge("watcher_timestamp_seconds", "When the watcher looked last.", (), looked)


def _costs(con: Connection) -> Iterator[Metric]:
    costs, keys = operations_figures.costs(con), ("product", "outcome")
    told = (
        ("refresh_seconds", "Seconds that refreshes took, all together.", lambda c: c.wall_s),
        ("refresh_cpu_seconds", "Seconds of processors that refreshes took.", lambda c: c.cpu_s),
        ("refresh_rows", "Rows that refreshes wrote.", lambda c: c.rows),
        ("refresh_bytes", "Bytes that refreshes wrote.", lambda c: c.bytes),
    )
    figures: tuple[tuple[str, str, Callable[[operations_figures.Cost], float]], ...] = told
    for name, what, figure in figures:
        yield _counter(name, what, keys, [((cost.product, cost.outcome), figure(cost)) for cost in costs])


def _known(rows: Iterable[tuple[str, str, float, float | None]]) -> list[_Sample]:
    """Samples of an objective's windows, without those that nothing was counted for; 0 days is the calendar's."""
    return [((product, name, f"{days:g}"), value) for product, name, days, value in rows if value is not None]


def _moments(found: dict[tuple[str, ...], datetime | None]) -> list[_Sample]:
    return [(labels, at.timestamp()) for labels, at in found.items() if at is not None]


def _gauge(name: str, what: str, labels: tuple[str, ...], samples: Iterable[tuple[Any, float]]) -> Metric:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - of the extra `metrics`

    return _filled(GaugeMetricFamily(f"dataproducts_{name}", what, labels=labels), samples)


def _counter(name: str, what: str, labels: tuple[str, ...], samples: Iterable[tuple[Any, float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily  # noqa: PLC0415 - of the extra `metrics`

    return _filled(CounterMetricFamily(f"dataproducts_{name}", what, labels=labels), samples)


def _filled(family: Any, samples: Iterable[tuple[Any, float]]) -> Metric:
    for labels, value in sorted(samples):
        family.add_metric(list(labels), value)
    filled: Metric = family
    return filled
