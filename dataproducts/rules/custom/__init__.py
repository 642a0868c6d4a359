"""Rules of `type: custom`: what an object of the project, or a suite of great-expectations, says of a table.

It must not import a rule engine itself. `engine: python` names a function that takes a `duckdb.DuckDBPyRelation` and
returns the number of rows it rejects, or whether all is well (True or False). `engine: pandera` names a
DataFrameModel or DataFrameSchema for pandas. `engine: greatExpectations` holds expectations, or names a suite of them.
Names are the text of `implementation`, resolved in the mapping that the project hands in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import DataProductError, UnknownNameError, UsageError
from dataproducts.rules.custom.engines import ENGINES, declared_only, engine_of, is_foreign
from dataproducts.rules.custom.found import Found
from dataproducts.rules.custom.great_expectations import run_great_expectations
from dataproducts.rules.custom.pandera import run_pandera
from dataproducts.rules.custom.python import run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dataproducts.product import Rule, Table

__all__ = ["Found", "declared_only", "is_foreign", "run_custom"]


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
    rows = con.sql(f"SELECT * FROM {relation}")
    given = rule.params.get("implementation", "")
    if engine != "greatExpectations":
        given = str(given).strip()
        if given not in named:
            raise UnknownNameError(f"{engine} rule", given, named)
    try:
        if engine == "greatExpectations":
            return run_great_expectations(rows, table, rule, named)
        return (run_python if engine == "python" else run_pandera)(rows, table, rule, named[given])
    except (DataProductError, duckdb.Error, MemoryError):
        raise
    except Exception as error:
        # An object of the project's may raise anything, and no rule beside it may go without a result for that. Its
        # message may quote values of the data: the type is enough here.
        shown = repr(given) if isinstance(given, str) else "suite"
        raise UsageError(f"{rule.mark}: {engine} rule {shown} raised {type(error).__name__}") from error
