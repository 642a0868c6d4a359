"""Results as OpenLineage events: one run of the gate a product or file; it must not send them anywhere.

Each judged table is an input of the run, with the facets `dataQualityAssertions` (one assertion a rule) and
`dataQualityMetrics` (rows, and NULLs where a rule counted them), `schema` and, of a product's table, `symlinks`.
A run is two events, START and COMPLETE, or FAIL where the gate refuses. Format: one event a line.
"""

from __future__ import annotations

import json
from datetime import UTC
from importlib import metadata
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from dataproducts.product import RuleKind
from dataproducts.reports.results import JudgedTable, Outcome, Results, grade, rejected_rows, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

_SPEC = "https://openlineage.io/spec"
_EVENT = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSIONS = {
    "DataQualityAssertionsDatasetFacet": "1-1-0",
    "DataQualityMetricsInputDatasetFacet": "1-0-3",
    "SchemaDatasetFacet": "1-2-0",
    "SymlinksDatasetFacet": "1-0-1",
    "ProcessingEngineRunFacet": "1-1-1",
    "ErrorMessageRunFacet": "1-0-1",
    "JobTypeJobFacet": "2-0-4",
}
_NAMESPACE = "dataproducts"
_RUNS = UUID("6f1c2f0e-6a2b-5f0c-9d53-0a4a5b7f3c11")  # so that a run has one id, however often it is reported
_ASSERTIONS = {  # words that the specification suggests
    RuleKind.REQUIRED: "not_null",
    RuleKind.NULL_VALUES: "not_null",
    RuleKind.DUPLICATE_VALUES: "unique",
    RuleKind.SQL: "custom_sql",
}
_COUNT_NULLS = {RuleKind.REQUIRED, RuleKind.NULL_VALUES}


def as_openlineage(results: Iterable[Results]) -> str:
    """Return the events of `results` as JSON, one a line."""
    return "".join(f"{json.dumps(event, ensure_ascii=False)}\n" for one in results for event in events(one))


def events(one: Results) -> Iterator[dict[str, Any]]:
    """Yield the START event of the gate's run, and the one with which it ends."""
    yield _event(one, "START")
    yield _event(one, "COMPLETE" if one.passed else "FAIL", [_dataset(table) for table in one.tables])


def producer() -> str:
    """Return the URI that names this library and its version, as every facet carries it."""
    return f"urn:dataproducts:{metadata.version('dataproducts')}"


def _event(one: Results, kind: str, inputs: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    run = uuid5(_RUNS, f"{one.subject} {one.run} {one.release} {_time(one.judged_at)}")
    facets = {
        "processing_engine": _facet(
            "ProcessingEngineRunFacet", name="dataproducts", version=metadata.version("dataproducts")
        )
    }
    if kind == "FAIL":
        why = one.reason or "; ".join(_refusals(one))
        facets["errorMessage"] = _facet("ErrorMessageRunFacet", message=why, programmingLanguage="SQL")
    kinds = _facet("JobTypeJobFacet", processingType="BATCH", integration="DATAPRODUCTS", jobType="GATE")
    return {
        "eventType": kind,
        "eventTime": _time(one.judged_at),
        "producer": producer(),
        "schemaURL": _EVENT,
        "run": {"runId": str(run), "facets": facets},
        "job": {"namespace": _NAMESPACE, "name": f"{one.subject}.gate", "facets": {"jobType": kinds}},
        "inputs": list(inputs),
        "outputs": [],
    }


def _refusals(one: Results) -> Iterator[str]:
    for table in one.tables:
        for outcome in table.outcomes:
            if outcome.refuses:
                yield f"{table.name}.{outcome.rule}: {outcome.reason}"


def _dataset(table: JudgedTable) -> dict[str, Any]:
    fields = [{"name": name, "type": kind} for name, kind in table.columns]
    facets = {"schema": _facet("SchemaDatasetFacet", fields=fields)} if fields else {}
    if table.alias:
        # Lineage tools join datasets by where their bytes lie; people look for the product.
        same = {"namespace": _NAMESPACE, "name": table.alias, "type": "TABLE"}
        facets["symlinks"] = _facet("SymlinksDatasetFacet", identifiers=[same])
    told = [_assertion(parts, table) for parts in table.rules.values() if worst(parts).state != "skipped"]
    judged = {"dataQualityAssertions": _facet("DataQualityAssertionsDatasetFacet", assertions=told)}
    if table.rows is not None:
        judged["dataQualityMetrics"] = _facet(
            "DataQualityMetricsInputDatasetFacet", rowCount=table.rows, columnMetrics=_nulls(table)
        )
    return {"namespace": table.namespace, "name": table.dataset, "facets": facets, "inputFacets": judged}


def _assertion(parts: Sequence[Outcome], table: JudgedTable) -> dict[str, Any]:
    told = worst(parts)
    kinds: dict[str, str] = {str(kind): word for kind, word in _ASSERTIONS.items()}
    rejected = rejected_rows(parts)
    observed = sum(part.observed or 0 for part in parts) if told.threshold.endswith("rows") else told.observed
    found = {
        "assertion": kinds.get(told.kind, told.kind),
        "success": told.passed,
        "column": told.columns[0] if len(told.columns) == 1 else None,
        "severity": grade(told),
        "name": told.rule,
        "description": told.description or None,
        "expected": told.threshold or None,
        "actual": None if told.observed is None else f"{observed:g}",
        "params": {
            "dimension": told.dimension,
            "columns": list(told.columns),
            "failedRows": rejected,
            "judgedRows": sum(part.total_rows for part in parts),
            "quarantinedRows": table.quarantined.get(told.rule, 0),
            "error": told.error,
        },
    }
    return {name: value for name, value in found.items() if value is not None}


def _nulls(table: JudgedTable) -> dict[str, dict[str, int]]:
    """NULLs by column, where a rule counted them in every row of the table."""
    found = {}
    for parts in table.rules.values():
        counted = parts[0].kind in _COUNT_NULLS and len(parts[0].columns) == 1
        if counted and not any(part.error for part in parts) and sum(p.total_rows for p in parts) == table.rows:
            found[parts[0].columns[0]] = {"nullCount": rejected_rows(parts) or 0}
    return found


def _facet(kind: str, /, **values: Any) -> dict[str, Any]:
    url = f"{_SPEC}/facets/{_VERSIONS[kind]}/{kind}.json#/$defs/{kind}"
    return {"_producer": producer(), "_schemaURL": url, **values}


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
