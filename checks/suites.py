"""Suites of great-expectations for what contracts cannot say: how values are spread; they must not repeat contracts.

Expectations are mappings, so that nobody who does not judge one has to import great-expectations.
"""

from __future__ import annotations

from typing import Any


def households_as_known() -> list[dict[str, Any]]:
    """Return what the households have been like since the loyalty programme began."""
    return [
        _expect(
            "column_distinct_values_to_contain_set",
            column="age_band",
            value_set=["19-24", "25-34", "35-44", "45-54", "55-64", "65+"],
        ),
        _expect("column_most_common_value_to_be_in_set", column="age_band", value_set=["35-44", "45-54"]),
        _expect("column_unique_value_count_to_be_between", column="income_band", min_value=10),
        _expect("column_values_to_not_be_null", column="marital_status", mostly=0.75),
        _expect("column_proportion_of_unique_values_to_be_between", column="household_id", min_value=1.0),
    ]


def _expect(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": kwargs}
