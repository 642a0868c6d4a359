"""A profile as typed figures, and as JSON; it must not know how they are measured or shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""The quantiles of every numeric or temporal column."""


@dataclass(frozen=True, slots=True)
class Count:
    """A value, or a pattern, and how many rows have it."""

    value: Any
    rows: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A way to read text that fits many values (or all, where a second one does too), by the count of those."""

    reads_as: str
    format: str
    rows: int


@dataclass(frozen=True, slots=True)
class Histogram:
    """Rows by bins of equal width: `edges` has one more entry than `rows`; each bin includes its lower edge.

    The last bin includes its upper edge too. `below` and `above` count values beyond the edges, which stand three
    interquartile ranges outside the quartiles at the most. Units: the column's own; seconds since 1970 for times.
    """

    edges: tuple[float, ...]
    rows: tuple[int, ...]
    below: int = 0
    above: int = 0


@dataclass(frozen=True, slots=True)
class Outliers:
    """Rows beyond 1.5 interquartile ranges from the quartiles; the fences are the column's own units."""

    low_fence: float
    high_fence: float
    below: int
    above: int


@dataclass(frozen=True, slots=True)
class Length:
    """Shortest and longest text, in characters (code points)."""

    minimum: int
    maximum: int


@dataclass(frozen=True, slots=True)
class TextFigures:
    """What only text has, in rows: blank values, values with blanks around them, and placeholders such as `N/A`.

    `variants` counts distinct values that differ from another one by case or blanks around them alone.
    `guarded` are patterns that a masked column may show: of marks, only those of addresses and numbers.
    """

    blanks: int = 0
    padded: int = 0
    placeholders: tuple[Count, ...] = ()
    variants: int = 0
    emails: int = 0
    phones: int = 0
    length: Length | None = None
    patterns: tuple[Count, ...] = ()
    pattern_count: int = 0
    guarded: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """Everything that was measured of one column; shares are of all rows, from 0 to 1.

    `type` is the column's DuckDB type, `reads_as` the logical type (ODCS) that every value proves, with the `format` of
    its dates. `unique` counts values that occur once. Figures named in `approximate` are estimates; None means not
    measured, or not defined. `masked` says why no value is shown; then nothing here is a value of the column.
    """

    name: str
    type: str
    reads_as: str
    sql_type: str
    rows: int
    nulls: int
    format: str = ""
    fits: tuple[Fit, ...] = ()
    distinct: int | None = None
    unique: int | None = None
    minimum: Any = None
    maximum: Any = None
    mean: float | None = None
    stddev: float | None = None
    quantiles: tuple[Any, ...] = ()
    not_finite: int = 0
    top: tuple[Count, ...] = ()
    rare: tuple[Count, ...] = ()
    lowest: tuple[Count, ...] = ()
    highest: tuple[Count, ...] = ()
    text: TextFigures | None = None
    outliers: Outliers | None = None
    histogram: Histogram | None = None
    personal: str = ""
    masked: str = ""
    approximate: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def values(self) -> int:
        """Rows with a value."""
        return self.rows - self.nulls

    def share(self, count: int | None) -> float | None:
        """Return `count` as a share of all rows, 0 of none; None for a count that was not made."""
        return None if count is None else count / self.rows if self.rows else 0.0

    def hidden(self, why: str) -> ColumnProfile:
        """Return the profile without anything that is, or lies between, values of the column."""
        text = self.text and dataclasses.replace(
            self.text,
            placeholders=tuple(Count(HIDDEN, c.rows) for c in self.text.placeholders),
            patterns=self.text.guarded,
            pattern_count=len(self.text.guarded),
        )
        return dataclasses.replace(
            self,
            minimum=None,
            maximum=None,
            mean=None,
            stddev=None,
            outliers=None,
            histogram=None,
            quantiles=(),
            top=(),
            rare=(),
            lowest=(),
            highest=(),
            text=text,
            masked=why,
        )


HIDDEN = "***"
"""What is shown instead of a value."""


@dataclass(frozen=True, slots=True)
class TableProfile:
    """One table: its columns, its candidate keys (smallest first) and rows that repeat another one entirely.

    `repeated_rows` is None where nobody counted; `repeated_apart_from` names a key without which rows repeat, and
    `repeated_without_key` counts those.
    """

    name: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    keys: tuple[tuple[str, ...], ...] = ()
    repeated_rows: int | None = None
    repeated_apart_from: str = ""
    repeated_without_key: int = 0
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> ColumnProfile:
        """Return the column called `name`. Raises: KeyError."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON values, as `docs/json/profile.schema.json` describes a table."""
        return {
            "name": self.name,
            "rows": self.rows,
            "keys": [list(key) for key in self.keys],
            "repeated_rows": self.repeated_rows,
            "repeated_apart_from": self.repeated_apart_from,
            "repeated_without_key": self.repeated_without_key,
            "notes": list(self.notes),
            "columns": [_column_json(column) for column in self.columns],
        }


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two columns of two tables could be joined, counted exactly; `left` and `right` are (table, column).

    `left_share` is the share of the distinct values of the left column that the right one has, and the reverse.
    `cardinality` is `1:1`, `1:n`, `n:1` or `n:m`, as rows of left and right would match.
    """

    left: tuple[str, str]
    right: tuple[str, str]
    common: int
    left_share: float
    right_share: float
    cardinality: str
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the overlap as JSON values."""
        found = dataclasses.asdict(self)
        sides = {side: dict(zip(("table", "column"), found[side], strict=True)) for side in ("left", "right")}
        return {**found, **sides}


def _column_json(column: ColumnProfile) -> dict[str, Any]:
    found = {field.name: getattr(column, field.name) for field in dataclasses.fields(column)}
    text = found.pop("text") or TextFigures()
    figures = {field.name: getattr(text, field.name) for field in dataclasses.fields(text) if field.name != "guarded"}
    shares = {f"{name}_share": column.share(found[name]) for name in ("nulls", "distinct", "unique")}
    quantiles = {f"{share:g}": value for share, value in zip(QUANTILES, column.quantiles, strict=False)}
    told: dict[str, Any] = plain({**found, **shares, **figures, "quantiles": quantiles})
    return told


def plain(value: Any) -> Any:  # noqa: PLR0911 - one return for each kind of value
    """Return `value` as JSON has it: decimals as numbers where nothing is lost, what is no number as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return float(value) if Decimal(repr(float(value))) == value else str(value)
        case Mapping():
            return {name: plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [plain(inner) for inner in value]
        case _:
            return str(value)
