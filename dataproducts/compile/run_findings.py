"""What one run of Dagster's says that the ledger does not; it must not know which runs are looked at, or when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dagster as dg

from dataproducts import errors
from dataproducts.compile.audit import audit_job_name
from dataproducts.compile.describe import RELEASE, product_path
from dataproducts.compile.jobs import job_name
from dataproducts.compile.runs import refresh_of
from dataproducts.compile.show import ACROSS_TABLES
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import REASON, pipeline_subject
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from dataproducts.ledger import Ledger
    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct

AUDIT = "audit"
"""The name of what is wrong where the audit of a product cannot be run."""

ORIGIN = "dagster"
"""`detail.origin` of what Dagster alone knows: a later run closes it, or that its check is there no more."""

_READ = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.STEP_SKIPPED,
    dg.DagsterEventType.RUN_FAILURE,
    dg.DagsterEventType.RUN_START,
}
_SEVERITIES = {dg.AssetCheckSeverity.ERROR: Severity.ERROR, dg.AssetCheckSeverity.WARN: Severity.WARNING}
# What these say is worded by the library, without any value of a row; other errors may quote one.
_OURS = frozenset(name for name in vars(errors) if name.endswith("Error"))


@dataclass(slots=True)
class _Log:
    """What the event log of a run holds: what was planned by which step, what was found, which steps failed."""

    steps: dict[str, list[dg.AssetKey | dg.AssetCheckKey]] = field(default_factory=dict)
    evaluated: dict[dg.AssetCheckKey, Any] = field(default_factory=dict)
    failed: dict[str, Any] = field(default_factory=dict)
    skipped: set[str] = field(default_factory=set)
    reason: str = ""
    has_started: bool = False

    @property
    def planned(self) -> list[dg.AssetKey | dg.AssetCheckKey]:
        return [key for keys in self.steps.values() for key in keys]

    def was_due(self, step: str, *, is_success: bool) -> bool:
        """Whether `step` had to give its results: steps behind one that failed, or that were skipped, had not."""
        of_checks = all(isinstance(key, dg.AssetCheckKey) for key in self.steps[step])
        return step not in self.skipped and (is_success or (step in self.failed and of_checks))

    @property
    def failed_by_checks(self) -> bool:
        """Whether nothing failed but steps that make checks alone: of these is told one by one."""
        steps = [self.steps.get(step, ()) for step in self.failed]
        return bool(steps) and all(keys and all(isinstance(k, dg.AssetCheckKey) for k in keys) for keys in steps)


@dataclass(frozen=True, slots=True)
class Offered:
    """The asset checks of a code location."""

    location: str
    checks: AbstractSet[dg.AssetCheckKey]


class RunFindings:
    """Reads runs of the jobs, assets and checks of `products`, and nothing of any other code location."""

    def __init__(self, instance: dg.DagsterInstance, products: Mapping[str, DataProduct], ledger: Ledger) -> None:
        """Read `instance`; the `ledger` says which runs it knows of itself."""
        self._instance, self._products, self._ledger = instance, products, ledger
        self._audits = {audit_job_name(address): address for address in products}
        self._jobs = {job_name(address): address for address in products}
        self._paths = {tuple(product_path(address)): address for address in products}

    def products_of(self, run: dg.DagsterRun) -> tuple[str, ...]:
        """Return the products that `run` is of: by its job, else by the assets that it was asked for."""
        named = self._jobs.get(run.job_name) or self._audits.get(run.job_name)
        if named:
            return (named,)
        keys = [*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())]
        return self._of_keys(keys)

    def of(self, run_id: str, at: datetime) -> Iterator[Finding | Recovery]:
        """Yield what the run that ended `at` says; nothing, if it is gone or of somebody else."""
        run = self._instance.get_run_by_id(run_id)
        if run is None:
            return
        named = self.products_of(run)
        if not named and (run.asset_selection or run.asset_check_selection):
            return
        log = self._log(run_id)
        planned = (key.asset_key if isinstance(key, dg.AssetCheckKey) else key for key in log.planned)
        for address in named or self._of_keys(planned):
            yield from self._checks(address, run, log, at)
            if run.job_name in self._audits:
                yield from self._audit(address, run, log, at)
            elif not (run.is_success or log.failed_by_checks or self._is_recorded(address, run)):
                yield self._crashed(address, run, log, at)

    def _of_keys(self, keys: Any) -> tuple[str, ...]:
        found = (self._paths.get(tuple(key.path[:2])) for key in keys)
        return tuple(dict.fromkeys(address for address in found if address))

    def _log(self, run_id: str) -> _Log:
        log = _Log()
        for record in self._instance.get_records_for_run(run_id, of_type=_READ).records:
            event: Any = record.event_log_entry.dagster_event
            if event is None:
                continue
            match event.event_type:
                case dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                    log.steps.setdefault(event.step_key or "", []).append(event.event_specific_data.asset_key)
                case dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED:
                    data = event.event_specific_data
                    key = dg.AssetCheckKey(data.asset_key, data.check_name)
                    log.steps.setdefault(event.step_key or "", []).append(key)
                case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                    found = event.event_specific_data
                    log.evaluated[found.asset_check_key] = found
                case dg.DagsterEventType.STEP_FAILURE:
                    log.failed[event.step_key or ""] = event.event_specific_data
                case dg.DagsterEventType.STEP_SKIPPED:
                    log.skipped.add(event.step_key or "")
                case dg.DagsterEventType.RUN_START:
                    log.has_started = True
                case _:
                    log.reason = event.message or ""
        return log

    # Checks

    def unoffered(self, incidents: Iterable[Incident], offered: Offered, now: datetime) -> Iterator[Recovery]:
        """Yield the checks of `incidents` that the code location had when they failed, and has no more.

        Where Dagster does not say by which code location a check was run, another one may still have it.
        """
        for one in incidents:
            if one.kind is not FindingKind.CHECK or one.detail.get("origin") != ORIGIN:
                continue
            path = [*product_path(one.product), *(one.table.split("/") if one.table else [RELEASE])]
            run = self._instance.get_run_by_id(str(one.detail.get("run_id", "")))
            origin = run.remote_job_origin if run else None
            is_ours = origin is not None and origin.location_name == offered.location
            if is_ours and dg.AssetCheckKey(dg.AssetKey(path), one.subject) not in offered.checks:
                yield Recovery(one.about, now, {"reason": REASON})

    def _checks(self, address: str, run: dg.DagsterRun, log: _Log, at: datetime) -> Iterator[Finding | Recovery]:
        """Yield the checks that were planned and never came, and those that failed; of rules the ledger tells."""
        product = self._products[address]
        rules = {(table.name, rule.name) for table in product.tables for rule in table.rules}
        path = product_path(address)
        for step, keys in log.steps.items():
            for key in keys:
                if not isinstance(key, dg.AssetCheckKey) or list(key.asset_key.path[:2]) != path:
                    continue
                table = "" if key.asset_key.path[2:] == [RELEASE] else "/".join(key.asset_key.path[2:])
                if (table, key.name) in rules or key.name == ACROSS_TABLES:
                    continue
                about = Subject(address, FindingKind.CHECK, key.name, table)
                if key in log.evaluated:
                    yield self._found(about, run, log.evaluated[key], at)
                elif log.was_due(step, is_success=run.is_success):
                    title = f"{_where(about)}: check {key.name} gave no result"
                    message = "the check was to run and gave no result: it raised, or said nothing"
                    yield Finding(about, title, Severity.ERROR, self._began(run, at), at, _detail(run, message))

    @staticmethod
    def _found(about: Subject, run: dg.DagsterRun, evaluation: Any, at: datetime) -> Finding | Recovery:
        if evaluation.passed:
            return Recovery(about, at, _by(run))
        message = "the check failed; its run shows what it found"
        severity = _SEVERITIES[evaluation.severity]
        return Finding(about, f"{_where(about)}: check {about.name} failed", severity, at, at, _detail(run, message))

    # Runs

    def _audit(self, address: str, run: dg.DagsterRun, log: _Log, at: datetime) -> Iterator[Finding | Recovery]:
        subject = Subject(address, FindingKind.PIPELINE, AUDIT)
        if run.is_success:
            yield Recovery(subject, at, _by(run))
            return
        began = self._began(run, at)
        message, severity = _reason(run, log)
        yield Finding(subject, f"{address}: its audit did not end well", severity, began, at, _detail(run, message))

    def _crashed(self, address: str, run: dg.DagsterRun, log: _Log, at: datetime) -> Finding:
        message, severity = _reason(run, log)
        what = "was cancelled" if _is_cancelled(run) else "failed" if log.has_started else "never started"
        detail = _detail(run, message) | {"origin": "refresh"}  # the next release closes it
        began = self._began(run, at)
        return Finding(pipeline_subject(address), f"{address}: a run {what}", severity, began, at, detail)

    def _began(self, run: dg.DagsterRun, at: datetime) -> datetime:
        record = self._instance.get_run_record_by_id(run.run_id)
        return min(record.create_timestamp, at) if record else at

    def _is_recorded(self, address: str, run: dg.DagsterRun) -> bool:
        """Whether the ledger knows of a refresh by this run: then it says what became of it."""
        return self._ledger.find_refresh(refresh_of(self._instance, run), address) is not None


def _reason(run: dg.DagsterRun, log: _Log) -> tuple[str, Severity]:
    """Return why a run came to nothing, without any value of a row, and how bad that is."""
    if _is_cancelled(run):
        return "the run was cancelled before it began a refresh", Severity.WARNING
    for step, data in log.failed.items():
        return f"step {step} failed: {_error(data)}", Severity.ERROR
    return log.reason or "the run ended before any step did", Severity.ERROR


def _error(data: Any) -> str:
    error, names = data.error, list[str]()
    while error is not None:
        names.append(str(error.cls_name))
        error = error.cause
    failure = data.user_failure_data
    if failure is not None and failure.description and any(name in _OURS for name in names):
        return str(failure.description)
    return names[-1] if names else "without a reason"


def _is_cancelled(run: dg.DagsterRun) -> bool:
    return run.status is dg.DagsterRunStatus.CANCELED


def _where(about: Subject) -> str:
    return f"{about.product}.{about.table}" if about.table else about.product


def _detail(run: dg.DagsterRun, message: str) -> dict[str, Any]:
    return {"message": message, "run_id": run.run_id, "sighting": f"run {run.run_id}", "origin": ORIGIN}


def _by(run: dg.DagsterRun) -> dict[str, Any]:
    return {"run_id": run.run_id, "reason": "a later run was good"}
