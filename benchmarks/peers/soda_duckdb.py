"""Soda on DuckDB: the Parquet file, verified against a Soda contract through its Python API."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import duckdb
from soda_core.contracts.api import verify_contract_locally
from soda_duckdb.common.data_sources.duckdb_data_source import DuckDBDataSourceImpl

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, OPTIONAL, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.said import say

_METRICS = {"missing": "missing_count", "invalid": "invalid_count", "duplicate": "duplicate_count"}


def main(path: str, way: str) -> None:
    """Judge the file at `path`: in the table that Soda makes of Parquet (`table`), or on a view of it (`view`)."""
    with tempfile.TemporaryDirectory() as folder:
        contract = Path(folder, "orders.yml")
        contract.write_text(_contract(), encoding="utf-8")
        session = verify_contract_locally(
            **(_copied(path, folder) if way == "table" else _viewed(path)),
            contract_file_path=str(contract),
            variables={"AS_OF": f"{NOW}+00:00"},
        )
    results = session.contract_verification_results[0].check_results
    say({result.check.name: _rejected(result) for result in results if result.check.type != "schema"})


def _copied(path: str, folder: str) -> dict[str, Any]:
    """Return Soda's own way: a data source on the file, which it copies into a table named after it."""
    Path(folder, "orders.parquet").symlink_to(path)
    source = Path(folder, "source.yml")
    connection = f"{{database: '{folder}/orders.parquet', schema: main}}"
    source.write_text(f"{{type: duckdb, name: bench, connection: {connection}}}\n", encoding="utf-8")
    return {"data_source_file_path": str(source)}


def _viewed(path: str) -> dict[str, Any]:
    """Return a data source on a connection with a view of the file, which spares Soda the copy."""
    con = duckdb.connect()
    con.execute(f"CREATE VIEW orders AS SELECT * FROM read_parquet('{path}')")
    return {"data_sources": [DuckDBDataSourceImpl.from_existing_cursor(con, name="bench")]}


def _rejected(result: Any) -> int | bool:
    if not (result.is_passed or result.is_failed):
        raise SystemExit(f"{result.check.name}: {result.outcome}")
    metric = _METRICS.get(result.check.type, "failed_rows_count")
    return (result.diagnostic_metric_values or {}).get(metric, result.is_failed)


def _contract() -> str:
    lines = [
        "dataset: bench/main/orders",
        "variables: {AS_OF: {default: ''}}",
        "checks:",
        "  - schema: {}",
        f"  - row_count: {{name: row_count, threshold: {{must_be_greater_than_or_equal: {LEAST_ROWS}}}}}",
        "  - failed_rows: {name: ordered_before_loaded, expression: order_ts > loaded_at}",
        "  - freshness:",
        "      name: loaded_at.freshness",
        "      column: loaded_at",
        "      now_variable: AS_OF",
        f"      threshold: {{unit: hour, must_be_less_than_or_equal: {FRESH_HOURS}}}",
        "columns:",
    ]
    for column, kind in {**REQUIRED, **OPTIONAL}.items():
        lines += [f"  - name: {column}", f"    data_type: {kind.lower()}"]
        checks = _column_checks(column)
        lines += ["    checks:", *(f"      - {check}" for check in checks)] if checks else []
    return "\n".join(lines) + "\n"


def _column_checks(column: str) -> list[str]:
    checks = []
    if column in REQUIRED:
        checks.append(f"missing: {{name: {column}.required}}")
    if column == "order_id":
        checks.append("duplicate: {name: order_id.unique}")
    if column in RANGES:
        low, high = RANGES[column]
        checks.append(f"invalid: {{name: {column}.range, valid_min: {low}, valid_max: {high}}}")
    if column in PATTERNS:
        valid = f"{{name: {column}, regex: '{PATTERNS[column]}'}}"
        checks.append(f"invalid: {{name: {column}.pattern, valid_format: {valid}}}")
    if column == "status":
        checks.append(f"invalid: {{name: status.enum, valid_values: [{', '.join(STATUSES)}]}}")
    return checks


main(*sys.argv[1:3])
