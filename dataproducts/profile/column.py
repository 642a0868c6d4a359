"""A column to measure: its stored type, how text of it is read, and what can be computed of it; it must not run SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.rules.predicates import Family, family
from dataproducts.sql import quote

if TYPE_CHECKING:
    from dataproducts.profile.infer import Reading
    from dataproducts.profile.model import Fit

_NUMERIC = (Family.EXACT, Family.FLOAT)


def kind_of(sql_type: str) -> Family:
    """Return the family of a type; times of day and types of no family are `OTHER`: nothing is computed on them."""
    found = family(sql_type)
    of_day = found is Family.TEMPORAL and sql_type.upper().startswith("TIME") and "STAMP" not in sql_type.upper()
    return Family.OTHER if of_day else found


def is_text(sql_type: str) -> bool:
    """Return whether columns of a type hold text."""
    return kind_of(sql_type) is Family.TEXT


@dataclass(frozen=True, slots=True)
class Column:
    """A column to measure: its stored type, and for text how it is read."""

    name: str
    type: str
    reading: Reading | None

    @property
    def sql(self) -> str:
        """SQL for the value that is measured."""
        return self.reading.sql if self.reading else quote(self.name)

    @property
    def sql_type(self) -> str:
        """DuckDB type of the value that is measured."""
        return self.reading.sql_type if self.reading else self.type

    @property
    def reads_as(self) -> str:
        """Logical type (ODCS) of the value that is measured."""
        return self.reading.reads_as if self.reading else logical_type(self.type)

    @property
    def format(self) -> str:
        """Format of dates, empty for those of ISO 8601."""
        return self.reading.format if self.reading else ""

    @property
    def fits(self) -> tuple[Fit, ...]:
        """Other ways to read it."""
        return self.reading.fits if self.reading else ()

    @property
    def kind(self) -> Family:
        """Family of the value that is measured."""
        return kind_of(self.sql_type)

    @property
    def is_number(self) -> bool:
        """Whether means and quantiles are numbers."""
        return self.kind in _NUMERIC

    @property
    def is_ordered(self) -> bool:
        """Whether there are quantiles and bins."""
        return self.kind in (*_NUMERIC, Family.TEMPORAL)

    @property
    def can_be_infinite(self) -> bool:
        """Whether the type has values that no figure can be computed of: NaN and infinity."""
        return self.kind in (Family.FLOAT, Family.TEMPORAL)

    @property
    def number(self) -> str:
        """SQL for the value as a DOUBLE; seconds since 1970 for times."""
        return as_number(self.sql, self.kind)


def as_number(sql: str, kind: Family) -> str:
    """Return SQL for a number or a time as DOUBLE."""
    return f"CAST(epoch({sql}) AS DOUBLE)" if kind is Family.TEMPORAL else f"CAST({sql} AS DOUBLE)"


def logical_type(sql_type: str) -> str:  # noqa: PLR0911 - one return for each logical type
    """Return the ODCS logical type of a stored type."""
    upper = sql_type.upper()
    if upper.endswith("]"):
        return "array"
    if upper.startswith(("STRUCT", "MAP", "JSON", "UNION", "VARIANT")):
        return "object"
    match family(sql_type):
        case Family.EXACT:
            return "number" if upper.startswith(("DECIMAL", "NUMERIC")) else "integer"
        case Family.FLOAT:
            return "number"
        case Family.BOOLEAN:
            return "boolean"
        case Family.TEMPORAL:
            return "date" if upper == "DATE" else "time" if kind_of(sql_type) is Family.OTHER else "timestamp"
        case _:
            return "string"
