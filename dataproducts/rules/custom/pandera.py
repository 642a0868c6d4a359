"""Rules of `engine: pandera`: a model or schema of the project's for pandas; it must not know what it checks.

Rows are counted once, however many checks reject them. A fault of a whole column or table counts as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.errors import UsageError
from dataproducts.rules.custom.found import Found, frame_of, sample_of
from dataproducts.rules.custom.places import traced_at

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from dataproducts.product import Rule, Table

COPIES_ON_WRITE = 3  # the first major version of pandas that does


def run_pandera(rows: duckdb.DuckDBPyRelation, table: Table, rule: Rule, schema: Any) -> Found:
    """Return what `schema` rejects in `rows`.

    Raises: UsageError, where pandera is told not to look at the data, a check raised, or validating gave no frame.
    """
    import pandas as pd  # noqa: PLC0415 - a second
    from pandera.config import ValidationDepth, get_config_context  # noqa: PLC0415 - two seconds, and few need it
    from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors  # noqa: PLC0415 - as above

    config = get_config_context()
    # What the environment turned off would pass everything, and nobody would see.
    if not config.validation_enabled or config.validation_depth not in {None, ValidationDepth.SCHEMA_AND_DATA}:
        raise UsageError(f"{rule.mark}: pandera is told not to validate: unset PANDERA_VALIDATION_ENABLED and _DEPTH")
    frame = frame_of(rows)
    try:
        # A validation of the project's own may write into what it is given, which examples of rows are taken from. From
        # 3.0 on pandas copies what is written to.
        kept = schema.validate(frame.copy(deep=int(pd.__version__.split(".")[0]) < COPIES_ON_WRITE), lazy=True)
    except SchemaErrors as error:
        errors = list(error.schema_errors)
    except SchemaError as error:
        errors = [error]
    else:
        # A schema may drop invalid rows instead of refusing them: they are rejected all the same.
        if not isinstance(kept, pd.DataFrame):
            raise UsageError(f"{rule.mark}: validating returned {type(kept).__name__}, not a frame")
        failed = frame.index.difference(kept.index)
        return Found(len(failed), sample_of(frame, failed, table))
    for fault in errors:
        if fault.reason_code is SchemaErrorReason.CHECK_ERROR:
            # It judged nothing, and must not count as one fault that a threshold lets pass.
            at = traced_at(str(fault))
            raise UsageError(f"{rule.mark}: check {_name(fault)} raised an exception{f' at {at}' if at else ''}")
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
