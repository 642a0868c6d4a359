"""Run a product's job in this process, as the command line does; it must not print."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataproducts.compile.domain import compile_products
from dataproducts.compile.jobs import job_name, planned_keys, range_tags
from dataproducts.compile.runs import FIX_TAG, HOST_TAG
from dataproducts.errors import RefusedError
from dataproducts.refresh import ReleaseOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dataproducts.environment import Environment
    from dataproducts.plan import ProductPlan
    from dataproducts.product import DataProduct
    from dataproducts.refresh import TableOutcome

_SILENT = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
# DuckDB takes the signal for itself while a query runs, and between queries Dagster may: either way a step fails.
_INTERRUPTED = ("Query interrupted", dg.DagsterExecutionInterruptedError.__name__)

Instance = dg.DagsterInstance


def open_instance() -> Instance:
    """Return the instance of DAGSTER_HOME, which closes as a context."""
    return Instance.get()


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
    instance: Instance,
    on_table: Callable[[TableOutcome], None] = lambda _outcome: None,
    fix: str = "",
) -> Built:
    """Run what `plan` says of `product` as one Dagster run of its job, recorded in `instance`.

    A refused or failed step is told in `failures`, not raised. Partitions that are not next to each other are
    covered by one range. `fix` is what the release repairs, if it does.
    Raises: RefusedError, if the plan has nothing to do; KeyboardInterrupt, on SIGINT.
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
    try:
        result = definitions.resolve_job_def(job_name(product.address)).execute_in_process(
            instance=instance,
            asset_selection=planned_keys(product, plan),
            tags=range_tags(plan) | {HOST_TAG: socket.gethostname()} | ({FIX_TAG: fix} if fix else {}),
            run_config=_SILENT,
            raise_on_error=False,
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None
    built.run_id = result.run_id
    built.failures = [_told(step) for step in result.all_events if step.is_step_failure]
    if any(word in failure for failure in built.failures for word in _INTERRUPTED):
        raise KeyboardInterrupt
    return built


def _told(step: dg.DagsterEvent) -> str:
    """What a failed step said, without Dagster's own wrapping."""
    data = step.step_failure_data
    failure = data.user_failure_data
    if failure is not None and failure.description:
        return failure.description
    return data.error.message.strip() if data.error else f"step {step.step_key} failed"
