"""The table, the contract and the bad rows of the gate's benchmark; it must not know who judges them.

Only the standard library is imported at the top: the harness, whose memory its children start from, reads this module.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

NOW = "2024-03-31T12:00:00"
"""When freshness is judged; the newest row was loaded half a day before."""

STATUSES = ("placed", "paid", "packed", "shipped", "delivered", "returned")
CURRENCY_PATTERN = "^[A-Z]{3}$"
EMAIL_PATTERN = r"^[a-z0-9._]+@[a-z0-9-]+[.]example$"
LEAST_ROWS = 10_000
FRESH_HOURS = 48

REQUIRED = {
    "order_id": "BIGINT",
    "customer_id": "BIGINT",
    "product_id": "INTEGER",
    "quantity": "INTEGER",
    "unit_price": "DOUBLE",
    "discount": "DOUBLE",
    "status": "VARCHAR",
    "currency": "VARCHAR",
    "email": "VARCHAR",
    "order_ts": "TIMESTAMP",
    "loaded_at": "TIMESTAMP",
}
OPTIONAL = {"note": "VARCHAR"}
RANGES = {"quantity": (1, 100), "unit_price": (0.01, 1000), "discount": (0, 0.9)}
PATTERNS = {"email": EMAIL_PATTERN, "currency": CURRENCY_PATTERN}

RULES = (
    *(f"{column}.required" for column in REQUIRED),
    "order_id.unique",
    *(f"{column}.range" for column in RANGES),
    "status.enum",
    *(f"{column}.pattern" for column in PATTERNS),
    "ordered_before_loaded",
    "row_count",
    "loaded_at.freshness",
)
"""Every rule by the name that all contenders report it under."""

BROKEN_BY_ROWS = RULES[:-2]

EVERY_ROW = "order_id.unique, every row of a repeated key"
EVERY_ROW_AND_NULL = "order_id.unique, every row of a repeated key, NULL being one"
"""What the number of some contenders means; of the others it is the rows beyond the first of each key."""

_LOGICAL = {
    "BIGINT": "integer",
    "INTEGER": "integer",
    "DOUBLE": "number",
    "VARCHAR": "string",
    "TIMESTAMP": "timestamp",
}

# The one place that says how the pair of columns is declared to ours.
PAIR_SQL = "{type: sql, query: 'SELECT count(*) FROM ${object} WHERE order_ts > loaded_at', mustBe: 0}"
PAIR_OURS = "{type: custom, engine: dataproducts, implementation: {condition: {then: order_ts <= loaded_at}}}"

_BAD_PER_THOUSAND = {"clean": 0, "dirty": 1}
_PERMUTE = 7_368_787  # prime, so that multiplying by it modulo a power of ten meets every order id once


def contract(pair: str = PAIR_OURS, *, freshness: str = "", server: str = "") -> str:
    """Return the contract as ODCS; `pair` declares the rule on two columns, as one YAML mapping.

    `freshness` is a rule that stands in for the SLA property, for peers that know no time but the real one.
    `server` is the path of the file, for peers that take it from the contract.
    """
    lines = ["apiVersion: v3.1.0", "kind: DataContract", "id: bench.orders", "version: 1.0.0", "status: active"]
    if server:
        lines.append(f"servers: [{{server: bench, type: local, format: parquet, path: {server!r}}}]")
    lines += [
        "schema:",
        "  - name: orders",
        "    quality:",
        f"      - {{name: row_count, metric: rowCount, mustBeGreaterOrEqualTo: {LEAST_ROWS}}}",
        f"      - {{name: ordered_before_loaded, {pair.removeprefix('{')}",
    ]
    lines += [f"      - {freshness}"] if freshness else []
    lines.append("    properties:")
    for column, physical in {**REQUIRED, **OPTIONAL}.items():
        lines += _property(column, physical)
    if not freshness:
        lines.append("slaProperties:")
        lines.append(f"  - {{property: latency, value: {FRESH_HOURS}, unit: h, element: orders.loaded_at}}")
    return "\n".join(lines) + "\n"


def _property(column: str, physical: str) -> list[str]:
    lines = [
        f"      - name: {column}",
        f"        logicalType: {_LOGICAL[physical]}",
        f"        physicalType: {physical}",
    ]
    if column in REQUIRED:
        lines.append("        required: true")
    if column == "order_id":
        lines.append("        unique: true")
    if column in RANGES:
        low, high = RANGES[column]
        lines.append(f"        logicalTypeOptions: {{minimum: {low}, maximum: {high}}}")
    if column in PATTERNS:
        lines.append(f"        logicalTypeOptions: {{pattern: '{PATTERNS[column]}'}}")
    if column == "status":
        values = ", ".join(STATUSES)
        lines.append("        quality:")
        lines.append(
            "          - {name: status.enum, metric: invalidValues, mustBe: 0, "
            f"arguments: {{validValues: [{values}]}}}}"
        )
    return lines


def rows_sql(rows: int, variant: str) -> str:
    """Return a SELECT of the table with `rows` rows, a power of ten; in the dirty variant every thousandth is bad.

    Each bad row breaks one rule, and all rules that rows can break get their share of them.
    """
    bad = {rule: f"bad = {place}" for place, rule in enumerate(BROKEN_BY_ROWS)}
    made = {
        "order_id": f"CASE WHEN {bad['order_id.unique']} THEN next_id ELSE order_id END",
        "quantity": f"CASE WHEN {bad['quantity.range']} THEN 0 ELSE quantity END",
        "unit_price": f"CASE WHEN {bad['unit_price.range']} THEN -unit_price ELSE unit_price END",
        "discount": f"CASE WHEN {bad['discount.range']} THEN discount + 1 ELSE discount END",
        "status": f"CASE WHEN {bad['status.enum']} THEN 'unknown' ELSE status END",
        "currency": f"CASE WHEN {bad['currency.pattern']} THEN lower(currency) ELSE currency END",
        "email": f"CASE WHEN {bad['email.pattern']} THEN replace(email, '@', '.') ELSE email END",
        "order_ts": f"CASE WHEN {bad['ordered_before_loaded']} THEN loaded_at + INTERVAL 1 HOUR ELSE order_ts END",
    }
    shown = ", ".join(
        f"CASE WHEN {bad[f'{name}.required']} THEN NULL ELSE {made.get(name, name)} END::{kind} AS {name}"
        for name, kind in REQUIRED.items()
    )
    statuses = ", ".join(f"'{status}'" for status in STATUSES)
    per_mille = _BAD_PER_THOUSAND[variant]
    return f"""
        SELECT {shown}, note FROM (
            SELECT
                i * {_PERMUTE} % {rows} + 1 AS order_id,
                (i + 1) * {_PERMUTE} % {rows} + 1 AS next_id,
                h % 200000 + 1 AS customer_id,
                (h >> 8) % 50000 + 1 AS product_id,
                (h >> 16) % 100 + 1 AS quantity,
                ((h >> 24) % 100000 + 1) / 100 AS unit_price,
                (h >> 32) % 10 / 10 AS discount,
                [{statuses}][(h >> 40) % {len(STATUSES)} + 1] AS status,
                ['EUR', 'USD', 'GBP', 'CHF', 'SEK', 'PLN', 'JPY'][(h >> 44) % 7 + 1] AS currency,
                'customer.' || customer_id || '@mail' || customer_id % 20 || '.example' AS email,
                TIMESTAMP '2024-03-01' + to_seconds((h >> 20) % 2592000) AS order_ts,
                TIMESTAMP '2024-03-31' + to_seconds(3600 * i // {rows}) AS loaded_at,
                CASE WHEN (h >> 50) % 10 = 0 THEN 'gift' END AS note,
                CASE WHEN hash(i + {rows}) % 1000 < {per_mille} THEN hash(i + 2 * {rows}) % {len(BROKEN_BY_ROWS)} END
                    AS bad
            FROM (SELECT i, (hash(i) >> 1)::BIGINT AS h FROM range({rows}) AS numbers(i)) AS hashed
        ) AS made"""


def write(path: Path, rows: int, variant: str) -> None:
    """Write the table as one zstd Parquet file, whole or not at all."""
    import duckdb  # noqa: PLC0415 - the harness never loads it; this runs in a process of its own

    started = path.with_suffix(".part")
    with duckdb.connect() as con:
        con.execute(f"COPY ({rows_sql(rows, variant)}) TO '{started}' (FORMAT parquet, COMPRESSION zstd)")
    os.replace(started, path)  # noqa: PTH105 - as a write that is whole or absent is known


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
