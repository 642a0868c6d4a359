"""Rules of `type: custom`: what an object of the project, or a suite of great-expectations, says of a table.

It must not import a rule engine itself. `engine: python` names a function that takes a `duckdb.DuckDBPyRelation` and
returns the number of rows it rejects, or whether all is well (True or False). `engine: pandera` names a
DataFrameModel or DataFrameSchema for pandas. `engine: greatExpectations` holds expectations, or names a suite of them.
Names are the text of `implementation`, resolved in the mapping that the project hands in.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError, UnknownNameError, UsageError
from dataproducts.rules.custom.engines import ENGINES, declared_only, engine_of, is_foreign, object_of
from dataproducts.rules.custom.found import Found
from dataproducts.rules.custom.great_expectations import run_great_expectations
from dataproducts.rules.custom.pandera import run_pandera
from dataproducts.rules.custom.places import raised_at
from dataproducts.rules.custom.python import run_python
from dataproducts.rules.masking import mask_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dataproducts.product import Rule, Table

__all__ = ["Found", "declared_only", "is_foreign", "object_of", "run_custom"]


def run_custom(
    con: duckdb.DuckDBPyConnection, table: Table, rule: Rule, relation: str, *, named: Mapping[str, Callable[..., Any]]
) -> Found:
    """Return what the engine of `rule` finds in `relation`.

    Raises:
        UnknownNameError: nobody gave an object of that name, or the engine is none of those above.
        UsageError: the engine is not installed or not run here, or the object raised or gave no answer.
    """
    engine = engine_of(rule)
    if is_foreign(rule):
        raise UsageError(declared_only(rule))
    if engine not in ENGINES:
        raise UnknownNameError("engine for custom rules", engine, ENGINES)
    # DuckDB 2.0 makes no relation while the result of an `execute` is not fetched to its end, as `fetchone` leaves it.
    con.execute("SELECT 1").fetchall()
    name = object_of(rule)
    try:
        # What an object prints must not stand among the facts of a command.
        with redirect_stdout(sys.stderr):
            made = _object(engine, name, rule, named)
            if engine == "python":
                return run_python(con, relation, rule, made)
            rows = con.sql(f"SELECT * FROM {relation}")
            if engine == "pandera":
                return run_pandera(rows, table, rule, made)
            return run_great_expectations(rows, table, rule, named)
    # An object of the project's may raise anything, or try to exit, and no rule beside it may go without a result for
    # that. Its message may quote values of the data: of errors that are not ours the type is enough here.
    except (Exception, SystemExit) as error:
        at = raised_at(error)
        is_known = isinstance(error, DataProductError | duckdb.Error)
        if is_known and not at:
            raise
        where = f" at {at}" if at else ""
        why = f": {mask_error(error, table)}" if is_known else ""
        shown = repr(name) if name else "suite"
        raise UsageError(f"{rule.mark}: {engine} rule {shown} raised {type(error).__name__}{where}{why}") from error


def _object(engine: str, name: str, rule: Rule, named: Mapping[str, Any]) -> Any:
    """The object that `rule` names; None where its suite stands in the contract."""
    if name in named:
        return named[name]
    if engine == "greatExpectations" and not name:
        return None
    if named:
        raise UnknownNameError(f"{engine} rule", name, named)
    raise UsageError(
        f"{rule.mark}: {engine} rule {name!r} is in no project that is open here. Name it in `CUSTOM` of checks/, "
        "and run the command inside that project, or with -C and its folder"
    )
