"""What stands out in a profile, in words; it must not measure anything, and says values only of columns that show them.

Notes are observations for a reader to judge, not verdicts: whether a rare value is wrong, nobody can tell from counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dataproducts.profile.model import ColumnProfile, Count, TableProfile

_FEW_VALUES = 30
_RARE = 0.005
_ENDS = 5
_FEW = 0.01
_MANY_NULLS = 0.2


def column_notes(column: ColumnProfile, *, is_key: bool) -> tuple[str, ...]:
    """Return what stands out in one column, most telling first."""
    if not column.rows:
        return ()
    return tuple(note for find in _FINDERS for note in find(column, is_key))


def table_notes(table: TableProfile) -> tuple[str, ...]:
    """Return what stands out in a table as a whole."""
    found = []
    if not table.rows:
        found.append("there is no row")
    if table.repeated_rows:
        found.append(f"{_rows(table.repeated_rows)} repeat another row entirely")
    if table.repeated_without_key:
        found.append(f"{_rows(table.repeated_without_key)} repeat another row apart from {table.repeated_apart_from}")
    if table.rows and not any(len(key) == 1 for key in table.keys):
        found.append("no single column is a key" if table.keys else "no column, and no pair of columns tried, is a key")
    return tuple(found)


def _empty(column: ColumnProfile, _is_key: bool) -> Iterator[str]:  # noqa: FBT001 - as all finders
    if not column.values:
        yield "every value is null"
    elif column.nulls >= _MANY_NULLS * column.rows:
        yield f"{column.nulls / column.rows:.0%} of the values are null"


def _constant(column: ColumnProfile, _is_key: bool) -> Iterator[str]:  # noqa: FBT001
    if column.distinct == 1 and column.values > 1:
        yield "every value is the same" + ("" if column.masked else f": {_cut(column.top[0].value)}")


def _readings(column: ColumnProfile, _is_key: bool) -> Iterator[str]:  # noqa: FBT001
    whole = [fit for fit in column.fits if fit.rows == column.values]
    doubtful = [fit.format for fit in whole if fit.format]
    if len(doubtful) > 1:
        yield f"dates that fit {' and '.join(doubtful)}: declare which"
        return
    for fit in column.fits[:1]:
        what = f"{fit.reads_as} ({fit.format})" if fit.format else fit.reads_as
        rest = column.values - fit.rows
        yield f"text, but {'every value reads' if not rest else f'{fit.rows:,} values read'} as {what}" + (
            f", {rest:,} not" if rest else ""
        )


def _text(column: ColumnProfile, _is_key: bool) -> Iterator[str]:  # noqa: FBT001
    text = column.text
    if text is None:
        return
    if text.blanks:
        yield f"{_rows(text.blanks)} blank"
    if text.padded:
        yield f"{_rows(text.padded)} with blanks around the value"
    if text.placeholders:
        yield f"may mean missing: {_listed(text.placeholders)}"
    if text.variants:
        values = "1 value differs" if text.variants == 1 else f"{text.variants:,} values differ"
        yield f"{values} from another by case or blanks alone"


def _rare(column: ColumnProfile, _is_key: bool) -> Iterator[str]:  # noqa: FBT001
    """Few distinct values, some of which hardly occur: misspellings, jokes and tests live there."""
    every = column.distinct is not None and column.distinct <= min(_FEW_VALUES, column.values // 20)
    if not every or column.reads_as not in ("string", "boolean") or column.masked:
        return
    rare = [count for count in column.rare if count.rows <= max(1, _RARE * column.values)]
    if rare:
        yield f"rare: {_listed(rare)}"


def _zero_key(column: ColumnProfile, is_key: bool) -> Iterator[str]:  # noqa: FBT001
    """Zero in a key that does not count up from it often stands for nobody."""
    counts_up = column.minimum == 0 and column.maximum == column.rows - 1
    if is_key and column.reads_as == "integer" and not counts_up and any(c.value == 0 for c in column.lowest):
        yield "the key holds 0, which may stand for unknown"


def _far(column: ColumnProfile, is_key: bool) -> Iterator[str]:  # noqa: FBT001
    """A few values three interquartile ranges beyond the quartiles; many of them are the shape of the column."""
    out = column.outliers
    if column.not_finite:
        yield f"{_rows(column.not_finite)} NaN or infinite"
    if out is None or is_key:
        return
    beyond = (out.high_fence - out.low_fence) * 3 / 8  # the fences are four ranges apart, and 1.5 are wanted more
    low = [c for c in column.lowest if float(c.value) < out.low_fence - beyond]
    high = [c for c in column.highest if float(c.value) > out.high_fence + beyond]
    for side, counts, rows in (("low", low, out.below), ("high", high, out.above)):
        if counts and rows <= max(_ENDS, _FEW * column.values):
            yield f"far {side}: {_listed(counts)}"


def _signs(column: ColumnProfile, is_key: bool) -> Iterator[str]:  # noqa: FBT001
    """Numbers that are hardly ever zero or negative, but sometimes are."""
    smallest = column.lowest[0] if column.lowest else None
    if is_key or smallest is None or not column.quantiles or not isinstance(column.quantiles[0], int | float):
        return
    if column.quantiles[0] > 0 and smallest.value < 0:
        yield f"nearly all values are positive, the smallest is {_cut(smallest.value)}"
    elif column.quantiles[0] > 0 and smallest.value == 0 and smallest.rows <= _FEW * column.values:
        yield f"nearly all values are positive, {_rows(smallest.rows)} 0"


_FINDERS = (_empty, _constant, _readings, _text, _rare, _zero_key, _far, _signs)


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _listed(counts: Sequence[Count]) -> str:
    return ", ".join(f"{_cut(count.value)} ({count.rows:,})" for count in counts)


def _cut(value: Any) -> str:
    return short(value, 40)


def short(value: Any, longest: int) -> str:
    """Return a value on one line of at most `longest` characters."""
    text = printable(f"{value:g}" if isinstance(value, float) else f"{value}")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def printable(text: str) -> str:
    """Return `text` on one line: line ends, tabs and what else cannot be printed as escapes."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
