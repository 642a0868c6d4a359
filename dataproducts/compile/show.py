"""Verdicts and releases as Dagster events: check results and metadata; it must not decide anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dagster as dg

from dataproducts.lifecycle.states import standing_of
from dataproducts.product import Severity
from dataproducts.status.plotted import plotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.product import DataProduct, Rule
    from dataproducts.refresh import ReleaseOutcome, TableOutcome
    from dataproducts.release import Release
    from dataproducts.verdict import RuleResult
    from dataproducts.warehouse import Warehouse

ACROSS_TABLES = "rules_across_tables"


def table_checks(outcome: TableOutcome, key: dg.AssetKey) -> Iterator[dg.AssetCheckResult]:
    """Yield one check result a rule; a rule that got no result has failed."""
    by_rule: dict[str, list[RuleResult]] = {rule.name: [] for rule in outcome.table.rules}
    for result in outcome.verdict.results:
        by_rule[result.rule.name].append(result)
    for rule in outcome.table.rules:
        results = by_rule[rule.name]
        failed = [result for result in results if not result.passed]
        first = next(iter(failed or results), None)
        metadata: dict[str, Any] = {
            "dimension": str(rule.dimension),
            "threshold": str(rule.threshold),
            # What was judged is a candidate at most: the release says what is published.
            **({"state": "candidate"} if outcome.verdict.passed else {"state": "refused", "published": False}),
            "version": ", ".join(version.id for version in outcome.versions[:3]),
        }
        if first is not None:
            metadata |= _facts(first, results)
        yield dg.AssetCheckResult(
            check_name=rule.name,
            asset_key=key,
            passed=bool(results) and not failed,
            severity=_severity(rule),
            description=first.reason if first else "the rule was not judged",
            metadata=metadata,
        )


def unjudged(rules: Sequence[Rule], key: dg.AssetKey, error: Exception) -> Iterator[dg.AssetCheckResult]:
    """Yield a failed result for every rule of a table that raised before its gate had spoken."""
    for rule in rules:
        yield dg.AssetCheckResult(
            check_name=rule.name,
            asset_key=key,
            passed=False,
            severity=_severity(rule),
            description=f"not judged: {type(error).__name__}",
            metadata={"dimension": str(rule.dimension), "state": "refused", "published": False},
        )


def across_tables(
    judged: Mapping[str, Sequence[RuleResult]], key: dg.AssetKey, *, error: Exception | None = None
) -> dg.AssetCheckResult:
    """Return the release's own check: rules judged again because something beside their table moved.

    An `error` fails it, whatever was judged.
    """
    failed = [f"{table}.{r.rule.name}: {r.reason}" for table, rs in judged.items() for r in rs if r.is_blocking]
    return dg.AssetCheckResult(
        check_name=ACROSS_TABLES,
        asset_key=key,
        passed=error is None and not failed,
        description="; ".join(failed) or (str(error) if error else "nothing that moved breaks a rule"),
        metadata={"judged_again": sum(len(results) for results in judged.values()), "published": error is None},
    )


def later(key: dg.AssetKey) -> dg.AssetCheckResult:
    """Return the release's own check for a run that leaves the release to the last one of its backfill."""
    return dg.AssetCheckResult(
        check_name=ACROSS_TABLES,
        asset_key=key,
        passed=True,
        description="judged with the release, when the backfill's last partition is in",
        metadata={"judged_again": 0, "published": False},
    )


def table_materialization(outcome: TableOutcome, key: dg.AssetKey, warehouse: Warehouse) -> dg.MaterializeResult[Any]:
    """Return the materialization of a candidate: its rows, bytes, place, and until when it is complete."""
    versions = outcome.versions
    files = [file for version in versions for file in version.files]
    metadata: dict[str, Any] = {
        "state": "candidate",
        "dagster/row_count": outcome.total_rows,
        "rows_written": outcome.rows,
        "bytes_written": sum(file.bytes for file in files),
        "refresh": versions[0].refresh_id,
        "versions": len(versions),
        "path": dg.MetadataValue.path(str(warehouse.store.path(files[0]))),
        "quarantined_rows": outcome.quarantined_rows,
        "treated": outcome.treated,
    }
    until = max((version.valid_thru for version in versions if version.valid_thru), default=None)
    if until:
        metadata["valid_thru"] = dg.MetadataValue.timestamp(until)
    if warehouse.environment.clock:
        metadata["simulated_clock"] = dg.MetadataValue.timestamp(warehouse.environment.clock)
    return dg.MaterializeResult(asset_key=key, metadata=metadata)


def release_metadata(outcome: ReleaseOutcome, warehouse: Warehouse, product: DataProduct) -> dict[str, Any]:
    """Return what a reader of the release asks: its number, tables, rows, upstream releases and where to open it."""
    release = outcome.release
    held = warehouse.ledger.composition(release)
    lines = [
        f"| {name} | {sum(v.rows for v in versions):,} | {len(versions)} |" for name, versions in sorted(held.items())
    ]
    metadata: dict[str, Any] = {
        "state": "published",
        "release": release.number,
        "kind": release.kind,
        "tables": dg.MetadataValue.md("\n".join(["| table | rows | versions |", "|---|---|---|", *lines])),
        "upstream": dg.MetadataValue.json(dict(release.inputs)),
        "serving_file": dg.MetadataValue.path(str(warehouse.store.serve_path(product.address))),
        "refresh": release.refresh_id,
        "revision": release.git_sha or "unknown",
    }
    standing = standing_of(warehouse.environment, product)
    metadata["lifecycle"] = str(standing.status)
    if standing.warning:
        metadata["lifecycle_warning"] = standing.warning
    metadata |= _plotted(warehouse, product, release)
    if outcome.serving_error:
        metadata["serving_file_is_stale"] = outcome.serving_error
    if warehouse.environment.clock:
        metadata["simulated_clock"] = dg.MetadataValue.timestamp(warehouse.environment.clock)
    return metadata


def _plotted(warehouse: Warehouse, product: DataProduct, release: Release) -> dict[str, float]:
    """Figures that Dagster plots over time; none where they cannot be read, for the release is published by then."""
    try:
        return plotted(warehouse, product, release)
    # Process edge: indicators read whatever was recorded, and nothing about a plot may fail a step that has published.
    except Exception:  # noqa: BLE001
        return {}


def _severity(rule: Rule) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.ERROR if rule.severity is Severity.ERROR else dg.AssetCheckSeverity.WARN


def _facts(first: RuleResult, results: Sequence[RuleResult]) -> dict[str, Any]:
    """Counts over all partitions, and the sample of the first that failed."""
    rejected = [result.failed_rows for result in results if result.failed_rows is not None]
    facts: dict[str, Any] = {"rows": sum(result.total_rows for result in results), "method": first.method}
    if rejected:
        facts["failed_rows"] = sum(rejected)
    if first.observed is not None:
        facts["observed"] = first.observed
    if first.partition:
        facts["partitions"] = len(results)
        facts["failed_partitions"] = ", ".join(str(r.partition) for r in results if not r.passed)[:500]
    if first.sample:
        facts["sample"] = dg.MetadataValue.json([{k: str(v) for k, v in row.items()} for row in first.sample])
    return facts
