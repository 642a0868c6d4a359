"""Rules as pandera checks over Arrow columns, with the gate's verdicts; it must not know contracts or DuckDB.

`source` copies what a schema needs out of this file, so nothing here imports the library. Every function that rejects
takes Arrow arrays and returns a truth value for each row, TRUE where the row is rejected. NULL and NaN are two things:
NULL passes all but `is_null` and `missing`, NaN is a value outside every range.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pandera.api.checks import Check

HIDDEN = "***"
"""What is shown instead of a value of a classified column."""

DIGITS = 200
"""Digits that arithmetic on decimals keeps: more than any two 38-digit numbers need."""


class RuleCheck(Check):
    """A rule of a contract: rejects rows, or fails as a whole where a threshold other than no rows is not met.

    `rejects` tells which rows of the Arrow arrays `columns` (of the checked column, if empty) break the rule with
    `params`; without it every row counts. `threshold` is (operator, values, unit). Values of `hidden` columns are
    never shown among the failure cases.
    """

    def __init__(
        self,
        name: str,
        rejects: Any = None,
        *,
        columns: tuple[str, ...] = (),
        threshold: tuple[str, tuple[float, ...], str] | None = None,
        warns: bool = False,
        hidden: tuple[str, ...] = (),
        **params: Any,
    ) -> None:
        """Keep what the rule asks; pandera's `ignore_na` would take NaN for NULL, so it is off."""
        super().__init__(self.judge, name=name, ignore_na=False, raise_warning=warns, statistics=params)
        self.rejects, self.columns, self.threshold, self.hidden, self.params = (
            rejects,
            columns,
            threshold,
            hidden,
            params,
        )

    @classmethod
    def get_backend(cls, check_obj: Any) -> Any:
        """Return pandera's own backend, which is registered for `Check` alone."""
        return Check.get_backend(check_obj)

    def judge(self, data: Any) -> Any:
        """Return a truth value for each row of a pandas or polars frame, or one for all where there is a threshold."""
        rows, arrays = arrow_columns(data, self.columns)
        rejected = np.ones(rows, bool) if self.rejects is None else self.rejects(*arrays, **self.params)
        if self.threshold is not None:
            operator, values, unit = self.threshold
            failed = int(rejected.sum())
            seen = failed if unit != "percent" else 100 * failed / rows if rows else 0.0
            return bool(meets(operator, values, seen))
        return passed_rows(data, ~rejected)

    def __call__(self, check_obj: Any, column: str | None = None) -> Any:
        """Judge, and show of the failing rows the rule's own columns alone, classified ones hidden."""
        result = super().__call__(check_obj, column)
        if result.failure_cases is None:
            # pandera 0.35 for polars cannot list a truth value beside failing rows, but it can list an empty text.
            is_refused = hasattr(check_obj, "collect") and not result.check_passed.collect().item()
            return result._replace(check_passed=type(check_obj)({"passed": [""]})) if is_refused else result
        return result._replace(failure_cases=shown(result.failure_cases, self.columns, self.hidden))


def arrow_columns(data: Any, columns: tuple[str, ...]) -> tuple[int, list[Any]]:
    """Return the number of rows and the named columns of what pandera hands to a check, as Arrow arrays."""
    if hasattr(data, "lazyframe"):  # polars
        frame = data.lazyframe.collect()
        found = [frame[name].to_arrow() for name in columns or ((data.key,) if data.key != "*" else ())]
        return frame.height, found
    series = [data[name] for name in columns] if columns else [data] if data.ndim == 1 else []
    return len(data), [one_array(pa.array(each)) for each in series]


def one_array(values: Any) -> Any:
    """Return a chunked array as one array, so that its dictionary is one as well."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def passed_rows(data: Any, passed: Any) -> Any:
    """Return the truth values in the form in which pandera takes them for `data`."""
    if hasattr(data, "lazyframe"):
        import polars as pl  # noqa: PLC0415 - only where the frame is one of polars

        return pl.LazyFrame({"passed": passed})
    import pandas as pd  # noqa: PLC0415 - only where the frame is one of pandas

    return pd.Series(passed, index=data.index)


def shown(cases: Any, columns: tuple[str, ...], hidden: tuple[str, ...]) -> Any:
    """Return failure cases without other columns than the rule's, and without values of hidden ones."""
    if hasattr(cases, "collect"):
        import polars as pl  # noqa: PLC0415 - only where the frame is one of polars

        names = columns or tuple(name for name in cases.collect_schema().names() if name != "check_output")
        if len(names) == 1 and not hidden:
            return cases.select(names)
        texts = {name: pl.col(name).cast(pl.String, strict=False) for name in names}
        return cases.with_columns(**texts).with_columns(pl.lit(HIDDEN).alias(name) for name in hidden).select(names)
    import pandas as pd  # noqa: PLC0415 - only where the frame is one of pandas

    if cases.ndim == 1:
        kept = cases.astype(object)
        return kept.map(lambda _: HIDDEN).astype(object) if cases.name in hidden else kept
    # Already in pandera's form, which it does not make where labels of the index repeat.
    index = [str(label) if isinstance(label, tuple) else label for label in cases.index] * len(columns)
    values = [HIDDEN if name in hidden else value for name in columns for value in cases[name]]
    told = [name for name in columns for _ in range(len(cases))]
    return pd.DataFrame({"column": told, "index": index, "failure_case": pd.Series(values, dtype=object)})


def meets(operator: str, values: tuple[float, ...], seen: float) -> bool:
    """Return whether a number satisfies one of the eight operators; between includes both ends."""
    low, high = values[0], values[-1]
    return {
        "mustBe": seen == low,
        "mustNotBe": seen != low,
        "mustBeGreaterThan": seen > low,
        "mustBeGreaterOrEqualTo": seen >= low,
        "mustBeLessThan": seen < low,
        "mustBeLessOrEqualTo": seen <= low,
        "mustBeBetween": low <= seen <= high,
        "mustNotBeBetween": not low <= seen <= high,
    }[operator]


def truth(mask: Any) -> Any:
    """Return an Arrow mask as NumPy truth values, NULL as FALSE."""
    return pc.fill_null(mask, False).to_numpy(zero_copy_only=False).astype(bool)  # noqa: FBT003 - Arrow's signature


def is_null(*columns: Any) -> Any:
    """Reject rows with a NULL in one of the columns; NaN is none."""
    return np.logical_or.reduce([truth(values.is_null()) for values in columns])


def outside_range(
    values: Any,
    *,
    minimum: Any = None,
    exclusive_minimum: Any = None,
    maximum: Any = None,
    exclusive_maximum: Any = None,
) -> Any:
    """Reject values beyond a bound, and NaN."""
    rejected = np.zeros(len(values), bool)
    # A bound between two values that the type can hold is moved to the one that leaves the comparison as it is.
    for bound, compare, rounding in (
        (minimum, pc.less, ROUND_CEILING),
        (exclusive_minimum, pc.less_equal, ROUND_FLOOR),
        (maximum, pc.greater, ROUND_FLOOR),
        (exclusive_maximum, pc.greater_equal, ROUND_CEILING),
    ):
        if bound is not None:
            rejected |= beyond(values, bound, compare, rounding)
    return rejected | truth(pc.is_nan(values)) if pa.types.is_floating(values.type) else rejected


def beyond(values: Any, bound: Any, compare: Any, rounding: str) -> Any:
    """Compare every value with a bound, exactly, whatever the type of the column can hold."""
    if pa.types.is_boolean(values.type):
        return truth(compare(values.cast(pa.uint8()), int(bound)))
    if not is_exact(values.type):
        return truth(compare(values, pa.scalar(bound, values.type)))
    number = held(Decimal(bound), values.type, rounding)
    if number is not None:
        return truth(compare(values, number))
    is_beyond = compare(pa.scalar(0), pa.scalar(1 if bound > 0 else -1)).as_py()  # the bound lies past every value
    return truth(values.is_valid()) & is_beyond


def is_exact(kind: Any) -> bool:
    """Return whether a type holds integers or decimals."""
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def held(number: Decimal, kind: Any, rounding: str) -> Any:
    """Return a number as a scalar of an exact type, rounded to its digits; None where it lies outside the type."""
    if not number.is_finite():
        return None
    with localcontext() as context:
        context.prec = DIGITS
        try:
            scale = kind.scale if pa.types.is_decimal(kind) else 0
            rounded = number.quantize(Decimal(1).scaleb(-scale), rounding=rounding)
            return pa.scalar(rounded if pa.types.is_decimal(kind) else int(rounded), kind)
        except (ArithmeticError, pa.ArrowInvalid):
            return None


def as_text(values: Any) -> Any:
    """Return text as it is, and integers and truth values as DuckDB spells them."""
    return values.cast(pa.string()) if is_exact(values.type) or pa.types.is_boolean(values.type) else values


def outside_length(values: Any, *, minimum: int | None = None, maximum: int | None = None) -> Any:
    """Reject text with too few or too many code points, and lists with too few or too many items."""
    kind = values.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    size = pc.list_value_length(values) if is_list else pc.utf8_length(as_text(values))
    rejected = np.zeros(len(values), bool)
    if minimum is not None:
        rejected |= truth(pc.less(size, minimum))
    if maximum is not None:
        rejected |= truth(pc.greater(size, maximum))
    return rejected


def unmatched(values: Any, *, pattern: str) -> Any:
    """Reject values in which the regular expression (RE2) is found nowhere."""
    return truth(pc.invert(pc.match_substring_regex(as_text(values), pattern)))


def is_listed(values: Any, listed: tuple[Any, ...]) -> Any:
    """Return which values equal one of the list; NaN equals NaN, and -0.0 equals 0.0."""
    kind = values.type
    if pa.types.is_boolean(kind):
        return is_listed(values.cast(pa.uint8()), tuple(int(value) for value in listed))
    if is_exact(kind):
        rounded = ((value, held(Decimal(value), kind, ROUND_FLOOR)) for value in listed)
        known = pa.array([one.as_py() for value, one in rounded if one is not None and one.as_py() == value], kind)
    else:
        known = plain(pa.array(listed, kind))
    return truth(pc.is_in(plain(values), value_set=known))


def plain(values: Any) -> Any:
    """Return the array with -0.0 as 0.0, which are one key and two bit patterns."""
    return pc.add(values, pa.scalar(0.0, values.type)) if pa.types.is_floating(values.type) else values


def unlisted(values: Any, *, listed: tuple[Any, ...]) -> Any:
    """Reject values that are not in the list."""
    return truth(values.is_valid()) & ~is_listed(values, listed)


def missing(values: Any, *, listed: tuple[Any, ...], null: bool = False) -> Any:
    """Reject values that are in the list, and NULL where the list holds it."""
    return is_listed(values, listed) | (truth(values.is_null()) & null)


def invalid(values: Any, *, listed: tuple[Any, ...] | None = None, pattern: str | None = None) -> Any:
    """Reject values that are not in the list, or that the pattern does not match."""
    rejected = np.zeros(len(values), bool) if listed is None else unlisted(values, listed=listed)
    return rejected if pattern is None else rejected | unmatched(values, pattern=pattern)


def no_multiple(values: Any, *, step: Decimal) -> Any:
    """Reject what is no multiple: exactly for integers and decimals, to within 1e-9 for binary fractions."""
    if is_exact(values.type):
        with localcontext() as context:
            context.prec = DIGITS
            wrong = [v for v in pc.unique(values).to_pylist() if v is not None and Decimal(v) % step != 0]
        return truth(pc.is_in(values, value_set=pa.array(wrong, values.type)))
    numbers = pc.fill_null(values.cast(pa.float64()), 0.0).to_numpy(zero_copy_only=False)
    with np.errstate(all="ignore"):
        ratio = numbers / float(step)
        near = np.abs(ratio - np.round(ratio)) <= 1e-9 * np.maximum(1, np.abs(ratio))
    return truth(values.is_valid()) & (~np.isfinite(numbers) | ~near)


def repeated(*columns: Any) -> Any:
    """Reject the rows beyond the first of each key, in the order of the frame; a key with a NULL is no duplicate."""
    present = np.logical_and.reduce([truth(values.is_valid()) for values in columns])
    codes = {str(at): pc.dictionary_encode(plain(values)).indices for at, values in enumerate(columns)}
    rows = pa.table({**codes, "row": np.arange(len(present))}).filter(pa.array(present))
    firsts = rows.group_by(list(codes)).aggregate([("row", "min")])["row_min"].to_numpy()
    present[firsts] = False
    return present
