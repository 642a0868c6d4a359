"""The assets of one product: a source, a table, a release each; it must not judge or publish by itself."""

# Dagster compares the annotations of an asset's body with types, so they must not be strings here.
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from dataproducts.compile.describe import (
    RELEASE,
    check_spec,
    code_reference,
    group_name,
    input_key,
    owners,
    product_metadata,
    release_key,
    source_key,
    table_key,
    table_metadata,
    tags,
)
from dataproducts.compile.input_schemas import input_schemas
from dataproducts.compile.jobs import job_name, partitions_definition
from dataproducts.compile.runs import fix_reason, is_last_of_backfill, refresh_id, run_kind
from dataproducts.compile.runtime import Runtime
from dataproducts.compile.show import (
    ACROSS_TABLES,
    across_tables,
    later,
    release_metadata,
    table_checks,
    table_materialization,
    unjudged,
)
from dataproducts.declare.catalogue import Offer
from dataproducts.errors import DataProductError, RefusedError, SourceError, StoreError
from dataproducts.inputs import rule_inputs, transform_inputs
from dataproducts.product import TIME_SLAS, DataProduct, Table
from dataproducts.refresh import RefusedReleaseError, begin, refresh_table, release
from dataproducts.revision import revision
from dataproducts.transforms.dependencies import code_version

# What may be gone a moment later: Dagster's retry policies, where one is set, may try these again.
_TRANSIENT = (SourceError, StoreError)
_SLACK = 1.25  # of a frequency
_SHORTEST_S = 60  # Dagster takes no window below


def product_assets(
    product: DataProduct, runtime: Runtime, offers: Mapping[str, Offer]
) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """Return every asset of `product`: its sources (external), its tables, and last its release.

    `offers` are the contracts of the project by id, for the lineage of columns that come from other products.
    """
    sources = {server.name: server for table in product.tables for server in table.servers}
    return [
        *(
            dg.AssetSpec(
                source_key(product.address, server.name),
                description=f"Source {server.name!r} ({server.type}), read by {product.address}",
                owners=owners(product),
                kinds={"file"},
                tags={**tags(product), "layer": "source"},
                group_name=group_name(product.address),
                metadata={
                    **product_metadata(product),
                    "dagster/code_references": code_reference(server.mark, runtime.environment.root),
                },
            )
            for server in sources.values()
        ),
        *(_table_asset(product, table, runtime, offers) for table in product.tables),
        _release_asset(product, runtime),
    ]


def _table_asset(
    product: DataProduct, table: Table, runtime: Runtime, offers: Mapping[str, Offer]
) -> dg.AssetsDefinition:
    """One table: written, split, judged; a candidate until the release."""
    root = runtime.environment.root

    @dg.asset(
        key=table_key(product.address, table.name),
        deps=_deps(product, table),
        description=table.description or None,
        owners=owners(product),
        kinds={"duckdb", table.transform.kind if table.transform else "sql"},
        tags=tags(product),
        group_name=group_name(product.address),
        pool=job_name(product.address),
        metadata=table_metadata(product, table, root=root, schemas=input_schemas(product, table, offers)),
        code_version=f"{code_version(table.transform)}.{table.contract_hash[:16]}",
        check_specs=[check_spec(product, table, rule) for rule in table.rules],
        partitions_def=partitions_definition(table.partitioning) if table.partitioning else None,
        backfill_policy=dg.BackfillPolicy.single_run() if table.partitioning else None,
        # A refused table must not count as materialised, not even as an implicit Nothing.
        output_required=False,
    )
    def table_asset(context: dg.AssetExecutionContext, duckdb: DuckDBResource) -> Iterator[Any]:
        key = table_key(product.address, table.name)
        days = [date.fromisoformat(part) for part in context.partition_keys] if table.partitioning else []
        try:
            warehouse = runtime.warehouse()
            refresh = begin(warehouse, product, refresh_id=refresh_id(context), run_id=context.run.run_id)
            with duckdb.get_connection() as con, warehouse.limits(con):
                outcome = refresh_table(warehouse, product, table, refresh=refresh, con=con, partitions=days)
        # Process edge: whatever was raised, every declared rule gets a failed result, so that a check that
        # never came to run is seen as failed (Dagster itself would let it pass in silence).
        except Exception as error:
            yield from unjudged(table.rules, key, error)
            raise _failure(product, table.name, error, runtime) from error
        runtime.observe(outcome)
        yield from table_checks(outcome, key)
        if not outcome.verdict.passed:
            names = ", ".join(sorted({result.rule.name for result in outcome.verdict.blocking}))
            raise dg.Failure(
                f"{product.address}.{table.name} is refused: {names}.{_stays(product, runtime)}",
                allow_retries=False,
            )
        yield table_materialization(outcome, key, warehouse)

    return table_asset


def _release_asset(product: DataProduct, runtime: Runtime) -> dg.AssetsDefinition:
    """Publish what the run made, with everything else carried over."""

    @dg.asset(
        key=release_key(product.address),
        deps=[table_key(product.address, table.name) for table in product.tables],
        description=f"The published release of {product.address}: all its tables, visible together or not at all.",
        owners=owners(product),
        kinds={"duckdb", RELEASE},
        tags=tags(product),
        group_name=group_name(product.address),
        pool=job_name(product.address),
        metadata={
            **product_metadata(product),
            "dagster/code_references": code_reference(product.mark, runtime.environment.root),
        },
        check_specs=[
            dg.AssetCheckSpec(
                ACROSS_TABLES,
                asset=release_key(product.address),
                description="Rules that have to be judged again because a table beside them moved",
                blocking=True,
                metadata={"dimension": "consistency", "severity": "error"},
            )
        ],
        freshness_policy=_freshness(product),
        output_required=False,
    )
    def release_asset(context: dg.AssetExecutionContext, duckdb: DuckDBResource) -> Iterator[Any]:
        key = release_key(product.address)
        if not is_last_of_backfill(context):
            context.log.info("Not released yet: a backfill releases once, when its last partition is in.")
            # Without a result of its check the step, and with it the run, would count as failed.
            yield later(key)
            return
        try:
            warehouse = runtime.warehouse()
            refresh = begin(warehouse, product, refresh_id=refresh_id(context), run_id=context.run.run_id)
            with duckdb.get_connection() as con, warehouse.limits(con):
                git_sha = revision(runtime.environment.root)
                kind, fix = run_kind(context), fix_reason(context)
                outcome = release(warehouse, product, refresh=refresh, con=con, kind=kind, git_sha=git_sha, fix=fix)
        # Process edge: as for a table, the check is recorded as failed before the step fails.
        except Exception as error:
            judged = error.judged if isinstance(error, RefusedReleaseError) else {}
            yield across_tables(judged, key, error=error)
            raise _failure(product, RELEASE, error, runtime) from error
        runtime.observe(outcome)
        yield across_tables(outcome.judged, key)
        if outcome.serving_error:
            context.log.error("Released, but its serving file is stale: %s", outcome.serving_error)
        yield dg.MaterializeResult(
            asset_key=key,
            data_version=dg.DataVersion(str(outcome.release.number)),
            metadata=release_metadata(outcome, warehouse, product),
        )

    return release_asset


def _deps(product: DataProduct, table: Table) -> list[dg.AssetKey]:
    """Siblings and sources that the table reads, and the releases of the products that its ports name."""
    keys: dict[dg.AssetKey, None] = {}
    for read in (*transform_inputs(product, table), *rule_inputs(product, table)):
        if read.port is None:
            keys[input_key(product, read)] = None
        elif read.port.source is not None:
            keys[release_key(read.port.source.product)] = None
    return list(keys)


def _freshness(product: DataProduct) -> dg.FreshnessPolicy | None:
    """When Dagster calls a release late: at the strictest latency, or a quarter after the strictest frequency.

    Rows cannot be younger than their release; and of two daily releases the second may take a minute longer.
    """
    slas = [sla for table in product.tables for sla in table.slas if sla.seconds and sla.name in TIME_SLAS]
    limits = [(sla.seconds or 0) * (_SLACK if sla.name == "frequency" else 1) for sla in slas]
    fails, warns = min(limits, default=0), min((sla.seconds or 0 for sla in slas), default=0)
    if fails < _SHORTEST_S:
        return None
    warns = warns if _SHORTEST_S <= warns < fails else 0
    return dg.FreshnessPolicy.time_window(
        fail_window=timedelta(seconds=fails), warn_window=timedelta(seconds=warns) if warns else None
    )


def _stays(product: DataProduct, runtime: Runtime) -> str:
    """What readers have meanwhile; empty where there is no release yet, or where the ledger is what failed."""
    try:
        head = runtime.warehouse().ledger.head(product.address)
    except DataProductError:
        return ""
    return " The last release stays live." if head else ""


def _failure(product: DataProduct, part: str, error: Exception, runtime: Runtime) -> dg.Failure:
    """The step's failure; only what may be gone a moment later may be retried."""
    refused = isinstance(error, RefusedError)
    what = str(error) if isinstance(error, DataProductError) else f"{type(error).__name__}: {error}"
    return dg.Failure(
        f"{product.address}.{part} {'is refused' if refused else 'failed'}: {what.rstrip('.')}."
        f"{_stays(product, runtime)}",
        allow_retries=isinstance(error, _TRANSIENT),
    )
