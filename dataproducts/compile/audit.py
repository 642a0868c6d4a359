"""A job and a schedule that audit what a product has published; it must not judge by itself."""

# Dagster compares the annotations of an op's body with types, so they must not be strings here.
import zlib
from collections.abc import Iterable
from datetime import timedelta

import dagster as dg

from dataproducts.audit import Audited, audit, audited_rules
from dataproducts.compile.describe import release_key, tags
from dataproducts.compile.jobs import job_name, not_scheduled
from dataproducts.compile.runtime import Runtime
from dataproducts.product import DataProduct, RuleKind, Status

_DAY = timedelta(days=1)


class AuditSettings(dg.Config):
    """What a run of an audit may be told: `every_rule` judges all rules, not only those that time alone can break."""

    every_rule: bool = False


def audit_job_name(address: str) -> str:
    """Return the name of the job that audits the product at `address`: `retail__purchases__audit`."""
    return f"{job_name(address)}__audit"


def audit_job(product: DataProduct, runtime: Runtime) -> dg.JobDefinition:
    """Return the job that judges the published tables of `product` again and records the verdicts in the ledger.

    A broken promise is no failure of the run: what it found is in the ledger, and among the events of the release.
    """

    @dg.op(name=f"{audit_job_name(product.address)}_op", description=f"Judge what {product.address} has published")
    def judge_published(context: dg.OpExecutionContext, config: AuditSettings) -> None:
        found = audit(runtime.warehouse(), product, run_id=context.run_id, every=config.every_rule)
        context.log_event(_observation(product, found))
        for name, verdict in found.verdicts.items():
            for result in (result for result in verdict.results if not result.passed):
                context.log.warning("%s.%s: %s: %s", product.address, name, result.rule.name, result.reason)

    @dg.job(
        name=audit_job_name(product.address),
        description=f"Judge the published tables of {product.address} again, by the clock of then",
        tags=tags(product),
        executor_def=dg.in_process_executor,
    )
    def published() -> None:
        judge_published()

    return published


def audit_schedule(product: DataProduct, runtime: Runtime) -> Iterable[dg.ScheduleDefinition]:
    """Yield when `product` is audited, if time alone can break what it promises.

    Every hour where an age of a day and a half or less is promised, else once a day. It runs from the start in
    production, for what is active or deprecated; a tick asks again how the product stands.
    """
    if not audited_rules(product) or product.status is Status.RETIRED:
        return

    def requests(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        if reason := not_scheduled(runtime.environment, product):
            return dg.SkipReason(reason)
        return dg.RunRequest(run_key=None)

    runs = runtime.environment.is_production and product.status in {Status.ACTIVE, Status.DEPRECATED}
    yield dg.ScheduleDefinition(
        name=f"{audit_job_name(product.address)}__schedule",
        cron_schedule=_cron(product),
        execution_timezone="UTC",
        job_name=audit_job_name(product.address),
        execution_fn=requests,
        default_status=dg.DefaultScheduleStatus.RUNNING if runs else dg.DefaultScheduleStatus.STOPPED,
        description=f"What {product.address} has published, held against its promises by the clock",
        tags=tags(product),
    )


def _cron(product: DataProduct) -> str:
    """When to audit: not all products at one minute, and one product always at the same."""
    ages = [
        float(rule.params["max_age_s"])
        for rules in audited_rules(product).values()
        for rule in rules
        if rule.kind is RuleKind.FRESHNESS
    ]
    minute = zlib.crc32(product.address.encode()) % 60
    is_short = ages and min(ages) <= (_DAY * 1.5).total_seconds()
    return f"{minute} * * * *" if is_short else f"{minute} 6 * * *"


def _observation(product: DataProduct, found: Audited) -> dg.AssetObservation:
    """What an audit found, as an event of the release, whose figures Dagster plots."""
    results = [result for verdict in found.verdicts.values() for result in verdict.results]
    ages = {
        f"age_h/{name}.{result.rule.name}": result.observed / 3600
        for name, verdict in found.verdicts.items()
        for result in verdict.results
        if result.rule.kind is RuleKind.FRESHNESS and result.observed is not None
    }
    failed = [
        f"{name}.{result.rule.name}"
        for name, verdict in found.verdicts.items()
        for result in verdict.results
        if not result.passed
    ]
    return dg.AssetObservation(
        asset_key=release_key(product.address),
        metadata={
            "audited_release": found.release,
            "rules_judged": len(results),
            "rules_failed": len(failed),
            "failed": ", ".join(failed) or "none",
            **ages,
        },
    )
