"""Contracts as pandera schemas, and pandas frames that fit them; it must not know DuckDB or the gate.

pandas and pandera take seconds to import, so they are imported where they are used.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from dataproducts.errors import TransformError
from dataproducts.product import RuleKind, Severity, Threshold
from dataproducts.rules.custom.found import INTEGERS
from dataproducts.transforms.dependencies import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pandas as pd
    import pyarrow as pa
    from pandera.errors import SchemaError, SchemaErrors
    from pandera.pandas import Check, DataFrameSchema

    from dataproducts.product import Column, Rule, Table

    Series: TypeAlias = Any  # a pandas Series; its stubs know dtypes by literal names alone

_DTYPES = {
    **INTEGERS,
    "VARCHAR": "string",
    "BOOLEAN": "boolean",
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "TIMESTAMP": "datetime64[us]",
    "TIMESTAMP WITH TIME ZONE": "datetime64[us, UTC]",
}
_TEXTUAL = {"VARCHAR": {"string", "empty"}, "BOOLEAN": {"boolean", "empty"}}
_SPELLINGS = {"TEXT": "VARCHAR", "STRING": "VARCHAR", "INT": "INTEGER", "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE"}
_BY_NULLS = "not_nullable"
_BY_COLUMN = "field_uniqueness"
_BY_COLUMNS = "multiple_fields_uniqueness"


def pandera_schema(table: Table, *, rules: bool = True) -> DataFrameSchema:
    """Return the pandera schema of `table`: exactly its columns, their dtypes, and the rules that judge single rows.

    Dtypes: nullable integers (Int64), string, boolean, float64, datetime64[us]; dates and decimals are objects of
    Python's own types (a decimal column may also hold floats). A rule with a threshold other than no rows at all is
    left to the gate, as are SQL, references and freshness. A rule whose severity is no error only warns.
    Without `rules` the schema looks at names and dtypes alone.
    """
    from pandera.pandas import Check, DataFrameSchema  # noqa: PLC0415 - takes seconds to import
    from pandera.pandas import Column as FrameColumn  # noqa: PLC0415 - as above

    judged = [rule for rule in table.rules if rules and rule.threshold == Threshold()]
    by_column: dict[str, list[Check]] = {column.name: [] for column in table.columns}
    for rule in judged:
        if rule.columns and rule.columns[0] in by_column and (test := _row_test(rule, table.column(rule.columns[0]))):
            warns = rule.severity is not Severity.ERROR
            by_column[rule.columns[0]].append(Check(test, name=rule.name, ignore_na=True, raise_warning=warns))
    return DataFrameSchema(
        {
            column.name: FrameColumn(
                _DTYPES.get(_spelled(column)),
                [*_kind_checks(column), *by_column[column.name]],
                nullable=not _has(judged, RuleKind.REQUIRED, column.name),
                unique=_has(judged, RuleKind.UNIQUE, column.name),
                report_duplicates="exclude_first",
            )
            for column in table.columns
        },
        strict=True,
        unique=list(table.primary_key) if rules and len(table.primary_key) > 1 else None,
        report_duplicates="exclude_first",  # as the gate counts: the rows beyond the first of each key
        name=table.name,
    )


def validate(frame: pd.DataFrame, table: Table, *, rules: bool = False) -> pd.DataFrame:
    """Return `frame`, conformed, if it fits the contract of `table`.

    What a transform returns is held to names and dtypes only: its rows are the gate's to judge, which can tolerate
    some and quarantine others, and keeps the result of each rule.
    Raises: TransformError, with the number of rows by rule and no values.
    """
    from pandera.errors import SchemaErrors  # noqa: PLC0415 - takes seconds to import

    conformed = conform(frame, table)
    try:
        pandera_schema(table, rules=rules).validate(conformed, lazy=True)
    except SchemaErrors as error:
        # pandera's own message lists the values, which may be classified.
        told = ", ".join(f"{name} ({count})" for name, count in rule_counts(error, table).items())
        raise TransformError(f"{place(table)}: {_dtype_faults(conformed, table)}The frame fails {told}.") from None
    return conformed


def conform(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Return `frame` with each column in the dtype of the contract, where that changes no value.

    Whole floats become integers (a missing value is what made them floats), text of dtype object becomes string,
    datetimes get microseconds, and midnights become dates. A column that cannot be conformed stays as it is.
    """
    made = frame.copy(deep=False)
    for column in table.columns:
        if column.name in made.columns:
            made[column.name] = _conformed(made[column.name], _spelled(column))
    return made.reset_index(drop=True)


def from_arrow(table: pa.Table) -> pd.DataFrame:
    """Return an Arrow table as pandas without loss: dates and decimals are Python's, integers with NULLs are Int64."""
    import pandas as pd  # noqa: PLC0415 - takes a second to import
    import pyarrow as pa  # noqa: PLC0415 - as above

    frame: pd.DataFrame = table.to_pandas()
    for field, column in zip(table.schema, table.columns, strict=True):
        if pa.types.is_integer(field.type) and column.null_count:
            kind = pd.Series([], dtype=field.type.to_pandas_dtype()).dtype.name
            frame[field.name] = column.to_pandas(
                types_mapper={field.type: pd.api.types.pandas_dtype(_nullable(kind))}.get
            )
    return frame


def rule_counts(error: SchemaErrors, table: Table | None = None) -> dict[str, int]:
    """Return the number of failing rows by name of rule, and nothing of the rows themselves.

    Faults of names and dtypes are counted under `schema`, one a column.
    """
    counts: Counter[str] = Counter()
    for fault in error.schema_errors:
        name = _rule_name(fault, table)
        cases = fault.failure_cases
        has_rows = name != "schema" and cases is not None and not isinstance(cases, str)
        counts[name] += cases["index"].nunique() if has_rows else 1
    return dict(sorted(counts.items()))


def _rule_name(fault: SchemaError, table: Table | None) -> str:
    check = fault.check
    name = check if isinstance(check, str) else getattr(check, "name", "") or ""
    column = getattr(fault.schema, "name", "") or ""
    kinds = {_BY_NULLS: (RuleKind.REQUIRED, "required"), _BY_COLUMN: (RuleKind.UNIQUE, "unique")}
    if name in kinds:
        kind, word = kinds[name]
        known = [rule.name for rule in table.rules if rule.kind is kind and rule.columns == (column,)] if table else []
        return known[0] if known else f"{column}.{word}"
    if name == _BY_COLUMNS:
        return "primary_key"
    is_structure = not name or name.startswith(("dtype", "column_in", "coerce", "kind:"))
    return "schema" if is_structure else name


def _has(rules: list[Rule], kind: RuleKind, column: str) -> bool:
    """Say whether one of `rules` is of `kind`, for `column` alone, and an error."""
    return any(r.kind is kind and r.columns == (column,) and r.severity is Severity.ERROR for r in rules)


def _spelled(column: Column) -> str:
    kind = column.sql_type.upper()
    return _SPELLINGS.get(kind, kind)


def _nullable(kind: str) -> str:
    return kind.replace("uint", "UInt").replace("int", "Int") if kind[0] in "iu" else kind


# --- Dtypes ------------------------------------------------------------------------------------------------------


def _kind_checks(column: Column) -> Iterator[Check]:
    """What a dtype cannot say: a column of objects holds dates, or decimals."""
    import pandas as pd  # noqa: PLC0415 - takes a second to import
    from pandera.pandas import Check  # noqa: PLC0415 - takes seconds to import

    kind = _spelled(column)
    allowed = {"DATE": {"date", "empty"}}.get(kind)
    if kind.startswith("DECIMAL"):
        allowed = {"decimal", "integer", "floating", "empty"}
    if allowed:
        yield Check(lambda s: pd.api.types.infer_dtype(s, skipna=True) in allowed, name=f"kind:{kind}", ignore_na=True)


def _dtype_faults(frame: pd.DataFrame, table: Table) -> str:
    """One clause for each column whose dtype is not the contract's."""
    wrong = [
        f"{column.name!r} is {frame[column.name].dtype}, declared {column.sql_type} ({wanted})"
        for column in table.columns
        if (wanted := _DTYPES.get(_spelled(column))) and column.name in frame and frame[column.name].dtype != wanted
    ]
    return f"{'; '.join(wrong)}. Convert it in the function. " if wrong else ""


def _conformed(values: Series, kind: str) -> Series:
    """`values` in the dtype of `kind`, or as they are if that would change one of them."""
    import pandas as pd  # noqa: PLC0415 - takes a second to import

    types = pd.api.types
    wanted: Any = _DTYPES.get(kind)
    numeric = types.is_numeric_dtype(values.dtype) and not types.is_bool_dtype(values.dtype)
    made: Series = values
    if wanted and len(values) and values.isna().all():
        made = pd.Series([None] * len(values), index=values.index, dtype=wanted)
    elif kind in INTEGERS and numeric:
        made = _whole(values, wanted)
    elif kind == "DATE" and types.is_datetime64_dtype(values.dtype):
        made = _dates(values)
    elif kind in _TEXTUAL and types.infer_dtype(values, skipna=True) in _TEXTUAL[kind]:
        made = values.astype(wanted)
    elif kind in {"DOUBLE", "FLOAT"} and numeric:
        made = values.astype(wanted) if _survives(values, wanted) else values
    elif kind.startswith("TIMESTAMP") and types.is_datetime64_any_dtype(values.dtype):
        has_zone = isinstance(values.dtype, pd.DatetimeTZDtype)
        made = _microseconds(values, wanted) if wanted and has_zone == ("ZONE" in kind) else values
    return made


def _dates(values: Series) -> Series:
    """Midnights as dates; a column with another time of day stays as it is."""
    present = values.dropna()
    is_midnight = bool((present.dt.normalize() == present).all())
    return values.dt.date.astype(object).where(values.notna(), None) if is_midnight else values


def _whole(values: Series, dtype: str) -> Series:
    """Numbers as nullable integers, unless one has a fraction or does not fit."""
    try:
        return values.astype(dtype) if _survives(values, dtype) else values
    except (TypeError, ValueError, OverflowError):
        return values


def _survives(values: Series, dtype: str) -> bool:
    """Say whether every number is the same after a cast to `dtype` and back."""
    present = values.dropna()
    return bool((present.astype(dtype).astype(present.dtype) == present).all())


def _microseconds(values: Series, dtype: str) -> Series:
    cast = values.astype(dtype)
    return cast if bool((cast.dropna() == values.dropna()).all()) else values


# --- Rules -------------------------------------------------------------------------------------------------------


def _row_test(rule: Rule, column: Column) -> Callable[[Series], Any] | None:
    """A vectorised test of the rows that hold a value; None for a rule that is not one of single values."""
    params = rule.params
    tests: dict[RuleKind, Callable[[Series], Any]] = {
        RuleKind.RANGE: lambda s: _in_range(s, params, column),
        RuleKind.LENGTH: lambda s: _is_long(s, params),
        RuleKind.PATTERN: lambda s: s.str.contains(params["pattern"], regex=True),
        RuleKind.ENUM: lambda s: s.isin([_bound(value, column) for value in params["values"]]),
        RuleKind.MULTIPLE_OF: lambda s: s.map(lambda v: Decimal(str(v)) % Decimal(str(params["multipleOf"])) == 0),
    }
    return tests.get(rule.kind)


def _is_long(values: Series, params: Mapping[str, Any]) -> Any:
    low, high = params.get("minLength"), params.get("maxLength")
    length = values.str.len()
    return (length >= (low or 0)) & ((length <= high) if high is not None else True)


def _in_range(values: Series, params: Mapping[str, Any], column: Column) -> Any:
    """Compare with the bounds; `exclusiveMinimum` may be a bound of its own or say that `minimum` is excluded."""
    kept = values.notna()
    for name, is_low in (("minimum", True), ("maximum", False)):
        exclusive = params.get(f"exclusive{name.capitalize()}")
        if params.get(name) is not None:
            bound = _bound(params[name], column)
            beyond = values < bound if is_low else values > bound
            kept &= ~(beyond | ((values == bound) if exclusive is True else False))
        if exclusive is not None and not isinstance(exclusive, bool):
            bound = _bound(exclusive, column)
            kept &= values > bound if is_low else values < bound
    return kept


def _bound(value: Any, column: Column) -> Any:
    """A value of the contract's YAML as the type that the column's frame holds."""
    kind = _spelled(column)
    if kind.startswith("DECIMAL"):
        return Decimal(str(value))
    if kind == "DATE":
        return date.fromisoformat(str(value)[:10])
    if kind.startswith("TIMESTAMP"):
        import pandas as pd  # noqa: PLC0415 - takes a second to import

        stamp = datetime.combine(value, time()) if type(value) is date else value
        return pd.Timestamp(stamp, tz="UTC" if "ZONE" in kind and not pd.Timestamp(stamp).tzinfo else None)
    return value
