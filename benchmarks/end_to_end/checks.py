"""The forty checks as data, with the one SQL meaning that each has in every tool; it must not know the tools."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.sql import literal, quote, quote_all

if TYPE_CHECKING:
    from collections.abc import Mapping

FACT, VALUE, PAIRS = TABLES = ("purchase_fact", "household_value", "category_pairs")
"""The three tables that are published, in the order in which they are made."""

MOST_TOGETHER = 20_000
"""No pair of categories may share more baskets: the check that only the last table can fail."""

DEPARTMENTS = (
    "AUTOMOTIVE",
    "CNTRL/STORE SUP",
    "COSMETICS",
    "COUPON",
    "DELI",
    "DRUG GM",
    "ELECT &PLUMBING",
    "FLORAL",
    "FROZEN GROCERY",
    "FUEL",
    "GARDEN CENTER",
    "GM MERCH EXP",
    "GROCERY",
    "MEAT",
    "MEAT-PCKGD",
    "MISCELLANEOUS",
    "NUTRITION",
    "PASTRY",
    "PHOTO & VIDEO",
    "POSTAL CENTER",
    "PROD-WHS SALES",
    "PRODUCE",
    "RESTAURANT",
    "SALAD BAR",
    "SEAFOOD",
    "SEAFOOD-PCKGD",
    "SPIRITS",
    "TOYS",
    "TRAVEL & LEISURE",
)
AGES = ("19-24", "25-34", "35-44", "45-54", "55-64", "65+", "unknown")
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of one table.

    `kind` is not_null, unique, between (`low`, `high`, both allowed), one_of (`values`), references (`table`,
    `column`) or row_count (`least`). NULL passes every kind but not_null.
    """

    table: str
    kind: str
    columns: tuple[str, ...] = ()
    args: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def column(self) -> str:
        """The one column of a check that has one."""
        return self.columns[0]


def _not_null(table: str, *columns: str) -> tuple[Check, ...]:
    return tuple(Check(table, "not_null", (column,)) for column in columns)


def _between(table: str, column: str, low: float, high: float) -> Check:
    return Check(table, "between", (column,), {"low": low, "high": high})


CHECKS = (
    *_not_null(FACT, "basket_id", "product_id", "household_id", "store_id", "purchased_at", "purchase_date"),
    *_not_null(FACT, "quantity", "sales_value", "department"),
    Check(FACT, "unique", ("basket_id", "product_id")),
    _between(FACT, "store_id", 1, 99_999),
    _between(FACT, "quantity", 0, 100_000),
    _between(FACT, "sales_value", 0, 10_000),
    _between(FACT, "discount", 0, 1_000),
    Check(FACT, "one_of", ("brand",), {"values": ("National", "Private")}),
    Check(FACT, "one_of", ("department",), {"values": DEPARTMENTS}),
    Check(FACT, "references", ("product_id",), {"table": "products", "column": "product_id"}),
    Check(FACT, "row_count", (), {"least": 100}),
    *_not_null(VALUE, "household_id", "as_of", "baskets", "total_spending", "average_basket", "age_band"),
    Check(VALUE, "unique", ("household_id",)),
    _between(VALUE, "baskets", 1, 5_000),
    _between(VALUE, "total_spending", 0, 100_000),
    Check(VALUE, "one_of", ("age_band",), {"values": AGES}),
    Check(VALUE, "references", ("household_id",), {"table": FACT, "column": "household_id"}),
    Check(VALUE, "row_count", (), {"least": 1}),
    *_not_null(PAIRS, "category_a", "category_b", "baskets_together", "lift", "as_of"),
    Check(PAIRS, "unique", ("category_a", "category_b")),
    _between(PAIRS, "baskets_together", 1, MOST_TOGETHER),
    _between(PAIRS, "lift", 0, 200_000),
    Check(PAIRS, "references", ("category_a",), {"table": FACT, "column": "product_category"}),
    Check(PAIRS, "row_count", (), {"least": 1}),
)
"""Eighteen of the fact, twelve of the value, ten of the pairs."""


def of_table(table: str) -> tuple[Check, ...]:
    """Return the checks of `table`, in order."""
    return tuple(check for check in CHECKS if check.table == table)


def aggregate(check: Check) -> str:
    """Return an aggregate over the check's table that counts what it rejects; 0 is good. Not for `references`."""
    names = quote_all(check.columns)
    match check.kind:
        case "not_null":
            return f"count(*) - count({names})"
        case "unique":
            # A concatenated key would be a guess; a row of all columns is exact, and NULL in it is no duplicate.
            whole = " AND ".join(f"{quote(column)} IS NOT NULL" for column in check.columns)
            return f"count(*) FILTER ({whole}) - count(DISTINCT row({names})) FILTER ({whole})"
        case "between":
            low, high = literal(check.args["low"]), literal(check.args["high"])
            return f"count(*) FILTER ({names} NOT BETWEEN {low} AND {high})"
        case "one_of":
            listed = ", ".join(map(literal, check.args["values"]))
            return f"count(*) FILTER ({names} NOT IN ({listed}))"
        case "row_count":
            return f"greatest({check.args['least']} - count(*), 0)"
    raise ValueError(f"{check.kind} is no aggregate over one table")


def orphans(check: Check) -> str:
    """Return a SELECT that counts the rows whose key is not in the other table."""
    name, other = quote(check.column), quote(check.args["column"])
    return (
        f"SELECT count(*) FROM {quote(check.table)} AS here WHERE here.{name} IS NOT NULL AND NOT EXISTS "
        f"(FROM {quote(check.args['table'])} AS there WHERE there.{other} = here.{name})"
    )
