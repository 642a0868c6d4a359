"""Run a transform and give its result the columns its contract declares; it must not know rules, files or releases.

The analysis of a transform's text is in `dependencies`.
"""

from __future__ import annotations

import re
import traceback
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import SourceError, TransformError, first_line, suggest
from dataproducts.rules.masking import MASK, holds_classified, without_values
from dataproducts.sql import literal, quote
from dataproducts.transforms.casts import MARK, keeps_value, project
from dataproducts.transforms.dependencies import (
    BOUNDS,
    body,
    code_version,
    inline_bounds,
    place,
    reading,
)
from dataproducts.trial import columns_of, declared_types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from dataproducts.product import Column, Table, Transform

__all__ = ["MisfitError", "code_version", "select_sql", "stage", "translated"]

_ODD_FILE = re.compile(
    r'Failed to read file "(?P<file>[^"]+)": schema mismatch in glob: '
    r'column "(?P<column>.+)" was read from the original file "(?P<first>[^"]+)", but could not be found'
)
_RESULTS = {"pandas": "DataFrame", "polars": "DataFrame", "pyarrow": "Table"}


class MisfitError(SourceError):
    """A source that is passed through and holds, in `column`, a value that the contract's type cannot."""

    def __init__(self, message: str, column: Column) -> None:
        """Keep the column of the contract."""
        super().__init__(message)
        self.column = column


def stage(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    inputs: Mapping[str, str],
    *,
    partition: tuple[date, date] | None = None,
    staged: str,
    materialise: bool = False,
) -> str:
    """Return SQL that can follow FROM and gives the rows of `table`: the columns of its contract, in order and typed.

    SQL and pass-through give a SELECT in brackets, which runs where it is used: an error of DuckDB there belongs to
    the transform, see `translated`. Python transforms run at once into the temporary table `staged`, and so does SQL
    if `materialise`: ask for that when the rows are read more than once, for two runs of a SELECT may differ. The
    caller drops `staged`; nothing else is left in `con`.

    `inputs` gives for each relation name SQL that can follow FROM. `partition` are the bounds, half-open.
    Raises: TransformError, if the transform fails or its columns are not those of the contract.
    """
    selected = select_sql(con, table, inputs, partition=partition)
    if selected is None:
        return _stage_python(con, table, inputs, partition, staged)
    if not materialise:
        return f"({selected})"
    try:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(staged)} AS {selected}")
    except duckdb.Error as error:
        raise translated(error, table) from None
    return quote(staged)


def select_sql(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    inputs: Mapping[str, str],
    *,
    partition: tuple[date, date] | None = None,
) -> str | None:
    """Return one SELECT that needs nothing but itself and gives the rows of `table`; None for a Python transform.

    The inputs become common table expressions around the text, which stays as its author wrote it. Between the types
    of the SELECT and those of the contract only casts are added that keep a value or fail; for any other the author
    writes the CAST, so that no rounding happens unseen. A pass-through (`transform` is None) has no place for a cast,
    so there every cast is added and checked value by value, and a partitioned table keeps the partition's rows.
    Raises: TransformError.
    """
    if table.transform is None:
        return _pass_through(con, table, inputs, partition)
    if table.transform.kind != "sql":
        return None
    read = reading(table.transform, table.name)
    _require_inputs(table, read.lines, inputs)
    text = inline_bounds(body(table.transform.text), _bounds(table, read.parameters, partition))
    listed = ", ".join(f"{quote(name)} AS NOT MATERIALIZED (SELECT * FROM {inputs[name]})" for name in read.lines)
    head = f"WITH {listed} SELECT " if listed else "SELECT "
    try:
        types = columns_of(con, f"({head}* FROM (\n{text}\n) AS made)")
        targets = declared_types(con, table.columns)
    except duckdb.Error as error:
        above = f"{head}* FROM (".count("\n") + 1
        raise TransformError(f"{place(table, _line_in(error, above))}: {first_line(error)}") from error
    _require_columns(table, types)
    _require_types(table, types, targets)
    return f"{head}{project(types, targets)} FROM (\n{text}\n) AS made"


def translated(error: duckdb.Error, table: Table) -> TransformError | SourceError:
    """Return `error`, met while running the SELECT of `table`, as the error of its transform, or of its source.

    Values of the data are blanked, for a column may be classified; raise it `from None` for the same reason.
    """
    message = first_line(error)
    if odd := _ODD_FILE.search(message):
        name, first = Path(odd["file"]).name, Path(odd["first"]).name
        return SourceError(
            f"{place(table)}: file {name} lacks the column {odd['column']!r} that {first} has. Have it delivered again "
            "with the columns of the others, or declare a contract for the new ones"
        )
    if MARK in message:
        lost = message.split(MARK, maxsplit=1)[1]
        names = [column for column in table.columns if lost.startswith(f"column {column.name!r}: ")]
        if table.transform is None and names:
            return MisfitError(f"{place(table)}: {lost}", names[0])
        return TransformError(f"{place(table)}: {lost}")
    if isinstance(error, duckdb.DataError | duckdb.IntegrityError | duckdb.InvalidInputException):
        message = without_values(message).replace(MASK, "(value withheld)")
        if isinstance(error, duckdb.InvalidInputException) and holds_classified(table.columns):
            message = f"{type(error).__name__}, whose text may quote data (withheld)"
    return TransformError(f"{place(table)}: {message}")


def _pass_through(
    con: duckdb.DuckDBPyConnection, table: Table, inputs: Mapping[str, str], partition: tuple[date, date] | None
) -> str:
    if len(table.servers) != 1:
        found = ", ".join(server.name for server in table.servers) or "none"
        raise TransformError(
            f"{place(table)}: a table without a transform passes its one server through, and here are {found}. "
            f"Write transforms/{table.name}.sql or declare one server."
        )
    server = table.servers[0].name
    _require_inputs(table, {server: 1}, inputs)
    physical = {column.name: column.physical_name or column.name for column in table.columns}
    try:
        types = columns_of(con, inputs[server])
        targets = declared_types(con, table.columns)
    except duckdb.Error as error:
        raise translated(error, table) from None
    for name, source in physical.items():
        if source not in types:
            raise TransformError(
                f"{place(table)}: server {server!r} has no column {source!r} for {name!r}."
                f"{suggest(source, tuple(types))} Set the property's `physicalName`."
            )
    selected = f"SELECT {project(types, targets, physical)} FROM {inputs[server]}"
    if table.partitioning is None or partition is None:
        return selected
    column = quote(table.partitioning.column)
    lower, upper = (literal(bound) for bound in partition)
    return f"SELECT * FROM ({selected}) AS made WHERE {column} >= {lower} AND {column} < {upper}"


def _bounds(table: Table, used: Mapping[str, int], partition: tuple[date, date] | None) -> dict[str, str]:
    if used and partition is None:
        name = next(iter(used))
        raise TransformError(f"{place(table, used[name])}: {name} is used, but no partition was given.")
    return {name: literal(value) for name, value in zip(BOUNDS, partition or (), strict=False)}


def _require_inputs(table: Table, needed: Mapping[str, int], inputs: Mapping[str, str]) -> None:
    for name, line in needed.items():
        if name not in inputs:
            known = suggest(name, tuple(sorted(inputs)))
            raise TransformError(f"{place(table, line)}: relation {name!r} is not among the inputs.{known}")


def _require_columns(table: Table, made: Mapping[str, str]) -> None:
    """Refuse a result whose column names are not those of the contract; their order is free."""
    declared = tuple(column.name for column in table.columns)
    missing = [name for name in declared if name not in made]
    extra = [name for name in made if name not in declared]
    if missing:
        listed = ", ".join(repr(name) for name in missing)
        raise TransformError(f"{place(table)}: the result lacks {listed}.{suggest(missing[0], extra or tuple(made))}")
    if extra:
        listed = ", ".join(repr(name) for name in extra)
        raise TransformError(
            f"{place(table)}: the contract does not declare {listed}.{suggest(extra[0], declared)} "
            "Declare it in the contract or leave it out."
        )


def _require_types(table: Table, types: Mapping[str, str], targets: Mapping[str, str]) -> None:
    differing = [name for name, target in targets.items() if not keeps_value(types[name], target)]
    if differing:
        listed = "; ".join(f"{name!r} is {types[name]}, declared {targets[name]}" for name in differing)
        first = differing[0]
        raise TransformError(
            f"{place(table)}: {listed}. Write the cast into the SELECT, such as "
            f"CAST({first} AS {targets[first]}), with round() or strptime() where it would change a value."
        )


# --- Python ------------------------------------------------------------------------------------------------------


def _stage_python(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    inputs: Mapping[str, str],
    partition: tuple[date, date] | None,
    staged: str,
) -> str:
    """Run the function and write what it returns, cast and checked, to the temporary table `staged`."""
    transform = table.transform
    assert transform is not None  # noqa: S101 - a pass-through never comes here
    read = reading(transform, table.name)
    _require_inputs(table, read.lines, inputs)
    _bounds(table, read.parameters, partition)
    arguments: dict[str, Any] = dict(zip(BOUNDS, partition or (), strict=False))
    arguments = {name: arguments[name] for name in read.parameters}
    for name, form in read.forms.items():
        arguments[name] = _given(con, inputs[name], form)
    result = _call(transform, table, arguments)
    given = f"{staged}_given"
    try:
        con.register(given, _registrable(result, table))
        types = columns_of(con, quote(given))
        _require_columns(table, types)
        selected = project(types, declared_types(con, table.columns))
        con.execute(f"CREATE OR REPLACE TEMP TABLE {quote(staged)} AS SELECT {selected} FROM {quote(given)}")
    except duckdb.Error as error:
        raise translated(error, table) from None
    finally:
        con.unregister(given)
    return quote(staged)


def _given(con: duckdb.DuckDBPyConnection, relation: str, form: str) -> Any:
    """An input in the form that the function's annotation asks for."""
    # A relation of DuckDB 2.0 cannot be read as long as a result, of one row even, was not fetched to its end.
    con.execute("SELECT 1").fetchall()
    rows = con.sql(f"SELECT * FROM {relation}")
    if form == "relation":
        return rows
    if form == "arrow":
        return rows.to_arrow_table()
    if form == "polars":
        return rows.pl()
    from dataproducts.transforms.frames import from_arrow  # noqa: PLC0415 - pandas is loaded only for a transform that asks for it

    return from_arrow(rows.to_arrow_table())


def _call(transform: Transform, table: Table, arguments: Mapping[str, Any]) -> Any:
    try:
        return _function(transform, table.name)(**arguments)
    except Exception as error:  # the code is the author's, which may raise anything at all
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(transform.path) and frame.lineno]
        where = place(table, lines[-1] if lines else 1)
        if holds_classified(table.columns):
            # The text of an exception often quotes what it failed on, and goes to logs that anyone may read.
            what = f"{type(error).__name__}, whose text is not shown because {table.name!r} has classified columns"
            raise TransformError(f"{where}: {what}. Run `dataproducts test` on rows that you made up") from None
        what = f"{type(error).__name__}: {error}" if not isinstance(error, duckdb.Error) else first_line(error)
        raise TransformError(f"{where}: {what}") from error


@lru_cache(maxsize=128)
def _function(transform: Transform, name: str) -> Callable[..., Any]:
    """The function of the text that was loaded and hashed, in a module of its own that `import` never sees."""
    module = ModuleType(f"transform_{name}")
    module.__file__ = str(transform.path)
    exec(compile(transform.text, str(transform.path), "exec"), module.__dict__)  # noqa: S102 - the product's own code
    function: Callable[..., Any] = getattr(module, name)
    return function


def _registrable(result: Any, table: Table) -> Any:
    """What a function returned, in a form that DuckDB reads; pandas and polars frames are validated on the way."""
    if isinstance(result, duckdb.DuckDBPyRelation):
        return result
    kind = type(result).__module__.partition(".")[0]
    if type(result).__name__ != _RESULTS.get(kind):
        raise TransformError(
            f"{place(table)}: the function returned {type(result).__name__}. Return a DuckDB relation, a pandas or "
            "polars DataFrame (collect a LazyFrame) or a pyarrow Table."
        )
    if kind == "pyarrow":
        return result
    from dataproducts.transforms.frames import from_arrow, validate  # noqa: PLC0415 - pandera takes seconds to import

    frame = from_arrow(result.to_arrow()) if kind == "polars" else result
    _require_columns(table, dict.fromkeys(map(str, frame.columns), ""))
    return validate(frame, table)


# --- Messages ----------------------------------------------------------------------------------------------------


def _line_in(error: duckdb.Error, above: int) -> int:
    """The author's line that DuckDB points to, given how many lines stand `above` the text."""
    found = re.search(r"^LINE (\d+):", str(error), flags=re.MULTILINE)
    return max(int(found[1]) - above, 1) if found else 1
