"""datacontract-cli on a Parquet file: the same contract, tested through its Python API, which spares it its CLI."""

from __future__ import annotations

import sys
from collections import Counter

from datacontract.data_contract import DataContract

from benchmarks.orders import FRESH_HOURS, NOW, PAIR_SQL, contract
from benchmarks.peers.said import say

_KINDS = {
    "field_required": "required",
    "field_unique": "unique",
    "field_minimum": "range",
    "field_maximum": "range",
    "field_invalid_values": "enum",
    "field_regex": "pattern",
}
_FRESH = f"<= {FRESH_HOURS * 3600}"


def main(path: str) -> None:
    """Judge the file at `path`."""
    # Its freshness counts from the real time alone, so a query stands in for it; it calls tables by name.
    age = f"SELECT date_diff(''second'', max(loaded_at), TIMESTAMP ''{NOW}'') FROM orders"
    fresh = f"{{type: sql, query: '{age}', mustBeLessOrEqualTo: {FRESH_HOURS * 3600}}}"
    text = contract(PAIR_SQL.replace("${object}", "orders"), freshness=fresh, server=path)
    counts = Counter[str]()
    for check in DataContract(data_contract_str=text).test().checks:
        value = (check.diagnostics or {}).get("value")
        failed = str(check.result) == "ResultEnum.failed"
        if check.type in _KINDS:
            counts[f"{check.field}.{_KINDS[check.type]}"] += value
        elif check.type == "row_count":
            counts["row_count"] += failed
        elif check.type == "model_quality_sql":
            is_age = check.diagnostics["threshold"] == _FRESH
            counts["loaded_at.freshness" if is_age else "ordered_before_loaded"] += failed if is_age else value
        elif failed:
            raise SystemExit(f"{check.name}: {check.reason}")
    say(counts)


main(sys.argv[1])
