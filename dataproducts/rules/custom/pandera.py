"""Rules of `engine: pandera`: a model or schema of the project's for pandas; it must not know what it checks.

Rows are counted once, however many checks reject them. A fault of a whole column or table counts as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.errors import UsageError
from dataproducts.rules.custom.found import Found, frame_of, sample_of

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from dataproducts.product import Rule, Table


def run_pandera(rows: duckdb.DuckDBPyRelation, table: Table, rule: Rule, schema: Any) -> Found:
    """Return what `schema` rejects in `rows`. Raises: UsageError, where pandera is told not to look at the data."""
    from pandera.config import ValidationDepth, get_config_context  # noqa: PLC0415 - two seconds, and few need it
    from pandera.errors import SchemaError, SchemaErrors  # noqa: PLC0415 - as above

    config = get_config_context()
    # What the environment turned off would pass everything, and nobody would see.
    if not config.validation_enabled or config.validation_depth not in {None, ValidationDepth.SCHEMA_AND_DATA}:
        raise UsageError(f"{rule.mark}: pandera is told not to validate: unset PANDERA_VALIDATION_ENABLED and _DEPTH")
    frame = frame_of(rows)
    try:
        kept = schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        errors = list(error.schema_errors)
    except SchemaError as error:
        errors = [error]
    else:
        # A schema may drop invalid rows instead of refusing them: they are rejected all the same.
        failed = frame.index.difference(kept.index)
        return Found(len(failed), sample_of(frame, failed, table))
    failed, whole = _rejected(frame, errors)
    return Found(len(failed) + whole, sample_of(frame, failed, table), tuple(dict.fromkeys(map(_name, errors))))


def _name(error: Any) -> str:
    """What a check is called, with its column; constants of the schema may stand in it, values of the data not."""
    check = getattr(error.check, "name", None) or error.check or error.reason_code
    column = getattr(error.schema, "name", None) if hasattr(error.schema, "dtype") else None
    return f"{column}: {check}" if column else str(check)


def _rejected(frame: pd.DataFrame, errors: Any) -> tuple[pd.Index[Any], int]:
    """Return the rows that fail, and how many faults there are beside them that no row can be named for."""
    failed, whole = frame.index[:0], 0
    for error in errors:
        rows = _rows_of(frame, error)
        if len(rows):
            failed = failed.union(rows)
        else:
            whole += 1
    return failed, whole


def _rows_of(frame: pd.DataFrame, error: Any) -> pd.Index[Any]:
    # `check_output` knows every row; `failure_cases` may be cut to the `n_failure_cases` of a check.
    output = error.check_output
    is_series = getattr(output, "ndim", 0) == 1 and str(output.dtype) in {"bool", "boolean"}
    if is_series and output.index.difference(frame.index).empty:
        rows: pd.Index[Any] = output.index[~output.fillna(value=False).astype(bool)]
        if len(rows):
            return rows
    cases = error.failure_cases
    if getattr(cases, "columns", None) is None or "index" not in cases.columns:
        return frame.index[:0]
    return frame.index.intersection(cases["index"].dropna().unique())
