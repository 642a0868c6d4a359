"""great-expectations on pandas: the file is read into a frame, which one suite validates."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import Any

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from benchmarks.orders import FRESH_HOURS, LEAST_ROWS, NOW, OPTIONAL, PATTERNS, RANGES, REQUIRED, STATUSES
from benchmarks.peers.said import say


def main(path: str) -> None:
    """Judge the file at `path`."""
    context = gx.get_context(mode="ephemeral")
    source = context.data_sources.add_pandas("bench").add_dataframe_asset("orders")
    # pandas' own types: those that know NULL take great-expectations a quarter longer.
    batch = source.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": pd.read_parquet(path)})
    rules = _expectations()
    suite = gx.ExpectationSuite(name="orders")
    for expectation in (gxe.ExpectTableColumnsToMatchSet(column_set=[*REQUIRED, *OPTIONAL]), *rules.values()):
        suite.add_expectation(expectation)
    # The least that tells how many rows each rule rejects.
    found = batch.validate(suite, result_format="BASIC")
    keys = {_key(rule.configuration): name for name, rule in rules.items()}
    counts: dict[str, int | bool] = {}
    for result in found.results:
        name = keys.get(_key(result.expectation_config))
        if name is not None:
            counts[name] = result.result.get("unexpected_count", not result.success)
    say(counts)


def _key(configuration: Any) -> tuple[str, str | None]:
    return configuration.type, configuration.kwargs.get("column")


def _expectations() -> dict[str, Any]:
    oldest = datetime.fromisoformat(NOW) - timedelta(hours=FRESH_HOURS)
    return {
        **{f"{column}.required": gxe.ExpectColumnValuesToNotBeNull(column=column) for column in REQUIRED},
        "order_id.unique": gxe.ExpectColumnValuesToBeUnique(column="order_id"),
        **{
            f"{column}.range": gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
            for column, (low, high) in RANGES.items()
        },
        "status.enum": gxe.ExpectColumnValuesToBeInSet(column="status", value_set=list(STATUSES)),
        **{
            f"{column}.pattern": gxe.ExpectColumnValuesToMatchRegex(column=column, regex=pattern)
            for column, pattern in PATTERNS.items()
        },
        "ordered_before_loaded": gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="loaded_at", column_B="order_ts", or_equal=True, ignore_row_if="either_value_is_missing"
        ),
        "row_count": gxe.ExpectTableRowCountToBeBetween(min_value=LEAST_ROWS),
        "loaded_at.freshness": gxe.ExpectColumnMaxToBeBetween(column="loaded_at", min_value=oldest),
    }


main(sys.argv[1])
