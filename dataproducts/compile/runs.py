"""Which refresh a Dagster run belongs to; the only place that reads Dagster's run tags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster._core.storage.tags import BACKFILL_ID_TAG, PARENT_RUN_ID_TAG, RESUME_RETRY_TAG

if TYPE_CHECKING:
    import dagster as dg

FIX_TAG = "dataproducts/fix"
"""The run tag that says what a release repairs: a spent budget does not hold it back."""


HOST_TAG = "dataproducts/host"
"""The tag of a run that no code server started: the host on which its process is."""


def refresh_id(context: dg.AssetExecutionContext) -> str:
    """Return the id of the refresh that this run works on.

    All runs of a backfill are one refresh. A run that resumes a failed one goes on with its refresh; "re-execute
    all" starts a new one, as every other run does. A resumed run names its root, which may be a refresh of
    before such a restart, so the parents are walked one by one.
    """
    return refresh_of(context.instance, context.run)


def refresh_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Return the id of the refresh that `run` works on, as `refresh_id` does within it."""
    while True:
        backfill = run.tags.get(BACKFILL_ID_TAG)
        if backfill:
            return backfill
        parent = run.tags.get(PARENT_RUN_ID_TAG)
        if run.tags.get(RESUME_RETRY_TAG, "").lower() != "true" or not parent:
            return run.run_id
        found = instance.get_run_by_id(parent)
        if found is None:
            return run.run_id
        run = found


def fix_reason(context: dg.AssetExecutionContext) -> str:
    """Return what the run's release repairs, as the tag `dataproducts/fix` says; empty if it does not."""
    return str(context.run.tags.get(FIX_TAG, ""))


def run_kind(context: dg.AssetExecutionContext) -> str:
    """Return `backfill` for a run of a backfill, else `refresh`."""
    return "backfill" if BACKFILL_ID_TAG in context.run.tags else "refresh"


def is_last_of_backfill(context: dg.AssetExecutionContext) -> bool:
    """Whether this run may release: always, but for a job backfill with partitions that have not succeeded yet.

    An asset backfill orders its runs itself and asks for the release once, after all partitions; a job backfill
    runs the whole job, release included, once a partition.
    """
    backfill_id = context.run.tags.get(BACKFILL_ID_TAG)
    backfill = context.instance.get_backfill(backfill_id) if backfill_id else None
    if backfill is None or backfill.is_asset_backfill or not backfill.partition_names:
        return True
    wanted = set(backfill.partition_names)
    mine = {key for key in [context.run.tags.get("dagster/partition")] if key}
    return wanted <= (_succeeded(context, backfill.backfill_id) | mine)


def _succeeded(context: dg.AssetExecutionContext, backfill_id: str) -> set[str]:
    """Partitions of the backfill whose run has ended well."""
    from dagster import DagsterRunStatus, RunsFilter  # noqa: PLC0415 - only backfills need it

    done = RunsFilter(statuses=[DagsterRunStatus.SUCCESS], tags={BACKFILL_ID_TAG: backfill_id})
    return {run.tags["dagster/partition"] for run in context.instance.get_runs(done) if "dagster/partition" in run.tags}
