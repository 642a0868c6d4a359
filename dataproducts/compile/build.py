"""Run a product's job in this process, as the command line does; it must not print."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME, SqliteEventLogStorage
from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine

from dataproducts.compile.domain import compile_products
from dataproducts.compile.jobs import job_name, planned_keys, range_tags
from dataproducts.errors import RefusedError
from dataproducts.refresh import ReleaseOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sqlalchemy import Connection

    from dataproducts.environment import Environment
    from dataproducts.plan import ProductPlan
    from dataproducts.product import DataProduct
    from dataproducts.refresh import TableOutcome

_PATIENT = {"timeout": 120}  # seconds to wait for another writer, such as the daemon
_SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(slots=True)
class Built:
    """What a run did: its id, an outcome for each table it judged, the release if there is one, and what failed."""

    run_id: str = ""
    tables: list[TableOutcome] = field(default_factory=list)
    release: ReleaseOutcome | None = None
    failures: list[str] = field(default_factory=list)


def build_product(
    product: DataProduct,
    plan: ProductPlan,
    *,
    environment: Environment,
    custom: Mapping[str, Callable[..., Any]],
    on_table: Callable[[TableOutcome], None] = lambda _outcome: None,
) -> Built:
    """Run what `plan` says of `product` as one Dagster run of its job, recorded in the instance of DAGSTER_HOME.

    A refused or failed step is told in `failures`, not raised. Partitions that are not next to each other are
    covered by one range. Raises: RefusedError, if the plan has nothing to do; KeyboardInterrupt, on SIGINT.
    """
    built = Built()

    def observe(outcome: TableOutcome | ReleaseOutcome) -> None:
        if isinstance(outcome, ReleaseOutcome):
            built.release = outcome
        else:
            built.tables.append(outcome)
            on_table(outcome)

    if not plan.is_needed:
        raise RefusedError(f"{product.address} is up to date: there is nothing to build")
    definitions = compile_products([product], environment=environment, custom=custom, observe=observe)
    with _quick_history(), dg.DagsterInstance.get() as instance, _kept_open(instance):
        try:
            result = definitions.resolve_job_def(job_name(product.address)).execute_in_process(
                instance=instance,
                asset_selection=planned_keys(product, plan),
                tags=range_tags(plan),
                run_config=_SILENT,
                raise_on_error=False,
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
    built.run_id = result.run_id
    built.failures = [_told(step) for step in result.all_events if step.is_step_failure]
    # DuckDB takes the signal for itself while a query runs, and Dagster then sees a failed step.
    if any("Query interrupted" in failure for failure in built.failures):
        raise KeyboardInterrupt
    return built


@contextmanager
def _quick_history() -> Iterator[None]:
    """Let this process write Dagster's own SQLite files without waiting for the disk.

    Dagster 1.13 commits four times for each partition event, which is most of a first build with a year of days.
    What a power cut could damage is the history of local runs; releases are in the ledger, which always waits.
    """
    home = Path(os.environ["DAGSTER_HOME"]).resolve()
    # Dagster's own folders and no others: a ledger that somebody keeps below the same home must wait for the disk.
    own = tuple(f"{home / folder}{os.sep}" for folder in ("history", "schedules"))

    def relax(connection: Any, _record: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            path = connection.execute("PRAGMA database_list").fetchone()[2]
            if path and path.startswith(own):
                connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    try:
        yield
    finally:
        event.remove(Engine, "connect", relax)


@contextmanager
def _kept_open(instance: dg.DagsterInstance) -> Iterator[None]:
    """Let this process open each SQLite file of Dagster's event log once, and ask once which tables it has.

    Dagster 1.13 opens one anew for every statement, five times an event, which was a third of a small build.
    """
    storage = instance.event_log_storage
    if type(storage) is not SqliteEventLogStorage:
        yield
        return
    engines: dict[str, Engine] = {}

    @contextmanager
    def connected(shard: str) -> Iterator[Connection]:
        if shard not in engines:
            # Makes the file, where there is none, and takes the lock itself; the index was made with the instance.
            with opened(shard) if shard != INDEX_SHARD_NAME else nullcontext():
                engines[shard] = create_engine(storage.conn_string_for_shard(shard), connect_args=_PATIENT)
        with storage._db_lock, engines[shard].connect() as con, con.begin():  # noqa: SLF001 - Dagster's own way in
            yield con

    opened = storage._connect  # noqa: SLF001 - as above
    storage._connect = connected  # type: ignore[method-assign]  # noqa: SLF001 - as above
    storage.has_table = cache(storage.has_table)  # type: ignore[method-assign]
    try:
        yield
    finally:
        storage._connect = opened  # type: ignore[method-assign]  # noqa: SLF001 - as above
        del storage.has_table
        for engine in engines.values():
            engine.dispose()


def _told(step: dg.DagsterEvent) -> str:
    """What a failed step said, without Dagster's own wrapping."""
    data = step.step_failure_data
    failure = data.user_failure_data
    if failure is not None and failure.description:
        return failure.description
    return data.error.message.strip() if data.error else f"step {step.step_key} failed"
