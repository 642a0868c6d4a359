"""A job and a schedule for each product; it must not know what the job's assets do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from dataproducts.compile.describe import group_name, release_key, table_key, tags
from dataproducts.errors import RefusedError, SourceError
from dataproducts.lifecycle.states import standing_of
from dataproducts.partitions import partitioned_tables
from dataproducts.plan import plan_product
from dataproducts.product import Status
from dataproducts.refresh import note_unbuilt
from dataproducts.restored import note_current

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dataproducts.compile.runtime import Runtime
    from dataproducts.environment import Environment
    from dataproducts.plan import ProductPlan
    from dataproducts.product import DataProduct, Partitioning

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def job_name(address: str) -> str:
    """Return the job of the product at `address`: `retail__purchases`."""
    return group_name(address).replace("/", "__")


def partitions_definition(partitioning: Partitioning) -> dg.TimeWindowPartitionsDefinition:
    """Return Dagster's partitions for a table: days, or weeks that start on Monday, in UTC."""
    end = partitioning.end.isoformat() if partitioning.end else None
    if partitioning.unit == "week":
        return dg.WeeklyPartitionsDefinition(
            start_date=partitioning.start.isoformat(), end_date=end, day_offset=1, timezone="UTC"
        )
    return dg.DailyPartitionsDefinition(start_date=partitioning.start.isoformat(), end_date=end, timezone="UTC")


def product_job(product: DataProduct) -> dg.UnresolvedAssetJobDefinition:
    """Return the job that refreshes every table of `product` and releases them together."""
    return dg.define_asset_job(
        job_name(product.address),
        selection=dg.AssetSelection.assets(
            *(table_key(product.address, table.name) for table in product.tables), release_key(product.address)
        ),
        description=f"Refresh and release {product.address}: {product.purpose}",
        tags=tags(product),
    )


def product_schedule(product: DataProduct, runtime: Runtime) -> Iterable[dg.ScheduleDefinition]:
    """Yield the schedule that the product declares, running from the start where the product is active or deprecated.

    One that is retired has none. A tick asks again how the product stands: in production, only what was promoted there
    is scheduled, and a retirement stops the ticks of a code location that has not been loaded again.
    A tick of a product with partitions runs what a build would: every partition that is over and not released, and
    what has to be made anew beside it. A tick with nothing to do says so.
    """
    if product.schedule is None or product.status is Status.RETIRED:
        return

    def requests(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if reason := not_scheduled(runtime.environment, product):
            return dg.SkipReason(reason)
        if not partitioned_tables(product):
            return dg.RunRequest(run_key=None)
        try:
            planned = plan_product(runtime.warehouse(), product)
        except SourceError as error:
            note_unbuilt(runtime.warehouse(), product, error)  # a skipped tick alone tells nobody
            return dg.SkipReason(str(error))
        except RefusedError as error:
            return dg.SkipReason(str(error))
        if not planned.is_needed:
            note_current(runtime.warehouse(), product.address)
            return dg.SkipReason(f"{product.address} is up to date: every partition that is over is released")
        return dg.RunRequest(
            run_key=None,
            asset_selection=planned_keys(product, planned),
            tags=range_tags(planned),
        )

    runs = product.status in {Status.ACTIVE, Status.DEPRECATED}
    yield dg.ScheduleDefinition(
        name=f"{job_name(product.address)}__schedule",
        cron_schedule=product.schedule.cron,
        execution_timezone=product.schedule.timezone,
        job_name=job_name(product.address),
        execution_fn=requests,
        default_status=dg.DefaultScheduleStatus.RUNNING if runs else dg.DefaultScheduleStatus.STOPPED,
        description=f"{product.schedule.cron} {product.schedule.timezone}, declared at {product.schedule.mark}",
        tags=tags(product),
    )


def not_scheduled(environment: Environment, product: DataProduct) -> str:
    """Return why the schedule of `product` does not run in `environment`; empty if it does."""
    standing = standing_of(environment, product)
    if standing.is_retired:
        return standing.warning
    if environment.is_production and not standing.is_scheduled:
        return standing.drift or f"{product.address} is {standing.status}: only active products are scheduled here"
    return ""


def planned_keys(product: DataProduct, planned: ProductPlan) -> list[dg.AssetKey]:
    """Return the assets that a run of `planned` materializes: the tables to refresh, and the release."""
    chosen = [table.table for table in planned.tables if table.action == "refresh"]
    return [*(table_key(product.address, name) for name in chosen), release_key(product.address)]


def range_tags(planned: ProductPlan) -> dict[str, str]:
    """Return the run tags that name the partitions to refresh, from the first to the last; empty without any."""
    days = [day for found in planned.partitions.values() for day in found]
    return {RANGE_START: min(days).isoformat(), RANGE_END: max(days).isoformat()} if days else {}
