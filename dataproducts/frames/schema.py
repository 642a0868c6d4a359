"""Contracts as pandera schemas whose verdicts are the gate's; it must not read contracts from files.

Columns have Arrow types, because a NumPy column of floats cannot tell NULL from NaN: NaN is outside every range, NULL
is not. `read_frame` makes such a frame of DuckDB rows; `frame.convert_dtypes(dtype_backend="pyarrow")`, or
`schema.coerce = True`, of an ordinary one, in which NaN then is NULL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError
from dataproducts.frames.express import Expressed, arrow_types, columns_of, express

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    import pandas as pd
    from pandera.errors import SchemaErrors

    from dataproducts.product import Column, Table

BACKENDS = ("pandas", "polars")
"""The libraries whose frames a schema can be made for."""


def pandera_schema(table: Table, *, backend: str = "pandas") -> Any:
    """Return the pandera schema of `table`, for frames of pandas or polars.

    The frame must have exactly the columns of the contract, in any order, with their Arrow types (with polars, the
    types that polars makes of those). Each rule that single frames can be held to is a check of the rule's name; a
    rule that does not block only warns. `schema.metadata["dataproducts"]["not_expressed"]` lists the others, as
    {rule, kind, why}. Values of classified columns are not shown among failure cases.

    Raises:
        UnknownNameError: there is no such backend.
        UsageError: a column has a type that no frame holds.
    """
    library, as_dtype = _library(backend)
    expressed, unsaid = express(table)
    types = arrow_types(table)
    checks = [(rule, _check(rule)) for rule in expressed]
    return library.DataFrameSchema(
        {
            column.name: library.Column(
                as_dtype(types[column.name]),
                [check for rule, check in checks if rule.columns == (column.name,)],
                nullable=True,  # the rule `required` is a check of its own, under its name
                title=column.term or None,
                description=column.description or None,
                metadata={"dataproducts": column_facts(column)},
            )
            for column in columns_of(table)
        },
        checks=[check for rule, check in checks if rule.is_of_table],
        strict=True,
        name=table.name,
        description=table.description or None,
        metadata={"dataproducts": table_facts(table, unsaid)},
    )


def column_facts(column: Column) -> dict[str, str]:
    """Return what a frame's type does not say of a column: its type in DuckDB, and its classification."""
    return {"type": column.sql_type, **({"classification": column.classification} if column.classification else {})}


def table_facts(table: Table, unsaid: Any) -> dict[str, Any]:
    """Return where a schema comes from, and which rules of the contract it leaves out."""
    return {
        "contract": table.contract_id,
        "version": table.contract_version,
        "not_expressed": [dict(rule) for rule in unsaid],
    }


def read_frame(rows: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    """Return rows of DuckDB as a pandas frame of Arrow columns, without loss; times with a zone are in UTC."""
    import pandas as pd  # noqa: PLC0415 - takes a second to import
    import pyarrow as pa  # noqa: PLC0415 - as above

    found = rows.to_arrow_table()
    zoned = [field.name for field in found.schema if pa.types.is_timestamp(field.type) and field.type.tz]
    for name in zoned:
        at = found.schema.get_field_index(name)
        kind = pa.timestamp(found.schema.field(at).type.unit, tz="UTC")
        found = found.set_column(at, pa.field(name, kind), found.column(at).cast(kind))
    frame: pd.DataFrame = found.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def rejected_rows(error: SchemaErrors) -> dict[str, tuple[Any, ...]]:
    """Return the index of each row that a rule rejects, by the rule's name, and nothing of the rows themselves.

    A rule with a threshold names no rows: its tuple is empty. Faults of names and dtypes stand under `schema`.
    """
    found: dict[str, dict[Any, None]] = {}
    for fault in error.schema_errors:
        check = getattr(fault.check, "name", None)
        rows = found.setdefault(check if check is not None else "schema", {})
        output = getattr(fault, "check_output", None)
        if check is not None and output is not None and getattr(fault.check, "threshold", None) is None:
            rows.update(dict.fromkeys(_failing(output)))
    return {name: tuple(rows) for name, rows in found.items()}


def _failing(output: Any) -> list[Any]:
    if hasattr(output, "index"):  # a Series of pandas
        return list(output.index[~output.to_numpy(dtype=bool)])
    if hasattr(output, "to_series"):  # a frame of polars
        return [at for at, passed in enumerate(output.to_series()) if passed is False]
    return []


def _check(rule: Expressed) -> Any:
    from dataproducts.frames import checks  # noqa: PLC0415 - imports pandera, for seconds

    return checks.RuleCheck(
        rule.rule.name,
        getattr(checks, rule.rejects) if rule.rejects else None,
        columns=rule.columns if rule.is_of_table else (),
        threshold=rule.threshold,
        warns=not rule.rule.blocking,
        hidden=rule.hidden,
        **rule.params,
    )


def _library(backend: str) -> tuple[Any, Callable[[Any], Any]]:
    if backend not in BACKENDS:
        raise UnknownNameError("backend for frames", backend, BACKENDS)
    import pyarrow as pa  # noqa: PLC0415 - takes a second to import

    if backend == "polars":
        import pandera.polars  # noqa: PLC0415 - takes seconds, and polars is an extra
        import polars as pl  # noqa: PLC0415 - as above

        return pandera.polars, lambda kind: pl.Series(pa.array([], kind)).dtype
    import pandas as pd  # noqa: PLC0415 - takes a second to import
    import pandera.pandas  # noqa: PLC0415 - takes seconds

    return pandera.pandas, pd.ArrowDtype
