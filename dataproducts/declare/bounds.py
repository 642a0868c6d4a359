"""Bounds that a contract declares, held against the column's type; it must not judge values."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.rules.predicates import Family, family
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.telling import Place
    from dataproducts.product import Column

_EXAMPLES = {"DATE": "2024-01-31", "TIME": "09:30:00"}
_PAIRS = (
    ("minimum", "maximum", False),
    ("minimum", "exclusiveMaximum", True),
    ("exclusiveMinimum", "maximum", True),
    ("exclusiveMinimum", "exclusiveMaximum", True),
)


def check_bounds(found: Gathering, column: Column, path: str, bounds: Mapping[str, Any], place: Place) -> None:
    """Refuse a bound that the column's type cannot hold, and a range that holds nothing."""
    options: Place = (*place, "logicalTypeOptions")
    for key, value in bounds.items():
        if isinstance(value, bool):
            base = key.replace("exclusiveM", "m")
            if value and base not in bounds:
                found.refuse((*options, key), f"`{key}: true` of {path!r} excludes no bound", f"Add `{base}: …`.")
        elif family(column.sql_type) is Family.TEMPORAL and not _fits(str(value), column.sql_type):
            kind = column.logical_type or column.sql_type
            what = f"column {path!r} is a {kind}, and its {key} {value!r} is none"
            found.refuse(
                (*options, key), what, f"Write it like {_EXAMPLES.get(column.sql_type, '2024-01-31T09:30:00')}."
            )
    for low_key, high_key, is_open in _PAIRS:
        low, high = bounds.get(low_key), bounds.get(high_key)
        if low is None or high is None or isinstance(low, bool) or isinstance(high, bool):
            continue
        if isinstance(low, str) is isinstance(high, str) and (low > high or (is_open and low == high)):
            what = f"no value of {path!r} lies between {low_key} {low} and {high_key} {high}"
            found.refuse((*options, low_key), what, "Swap the two." if low > high else "Widen the range.")


@lru_cache(maxsize=1024)
def _fits(value: str, sql_type: str) -> bool:
    try:
        with database().cursor() as con:
            row = con.execute(f"SELECT TRY_CAST(?::VARCHAR AS {sql_type}) IS NOT NULL", [value]).fetchone()
    except duckdb.Error:
        return False
    return bool(row and row[0])
