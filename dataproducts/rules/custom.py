"""Rules of `type: custom`: what a named object of the project says of a table; it must not import a rule engine itself.

`engine: python` names a function that takes a `duckdb.DuckDBPyRelation` and returns the number of rows it rejects, or
whether all is well (True or False). `engine: pandera` names a DataFrameModel or DataFrameSchema for pandas.
Names are the text of `implementation`, resolved in the mapping that the project hands in.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.rules.masking import mask
from dataproducts.rules.scan import SAMPLED_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import duckdb

    from dataproducts.product import Rule, Table


@dataclass(frozen=True, slots=True)
class Found:
    """What a custom rule found: rows rejected, and masked examples of them."""

    failed: int
    sample: tuple[Mapping[str, Any], ...] = ()


def run_custom(
    con: duckdb.DuckDBPyConnection, table: Table, rule: Rule, relation: str, *, named: Mapping[str, Callable[..., Any]]
) -> Found:
    """Return what the object that `rule` names finds in `relation`.

    Raises:
        UnknownNameError: nobody gave an object of that name, or the engine is none of those above.
        UsageError: the object raised, or returned neither a number nor a truth value.
    """
    engine = str(rule.params.get("engine", ""))
    run = _ENGINES.get(engine)
    if run is None:
        raise UnknownNameError("engine for custom rules", engine, _ENGINES)
    name = str(rule.params.get("implementation", "")).strip()
    if name not in named:
        raise UnknownNameError(f"{engine} rule", name, named)
    try:
        return run(con.sql(f"SELECT * FROM {relation}"), table, rule, named[name])
    except _RAISED as error:
        # The project's code may say anything in its message, values of the data too: its type is enough here.
        raise UsageError(f"{rule.mark}: {engine} rule {name!r} raised {type(error).__name__}") from error


# What a project's function raises when it is wrong or meets data it did not expect. An interrupt, or a process out of
# memory, is no result of a rule.
_RAISED = (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)


def _run_python(rows: duckdb.DuckDBPyRelation, _table: Table, rule: Rule, check: Callable[..., Any]) -> Found:
    said = check(rows)
    if isinstance(said, bool):
        return Found(0 if said else 1)
    if isinstance(said, int) and said >= 0:
        return Found(said)
    raise UsageError(f"{rule.mark}: the function returned {type(said).__name__}, not a number of rows or a bool")


def _run_pandera(rows: duckdb.DuckDBPyRelation, table: Table, _rule: Rule, schema: Any) -> Found:
    from pandera.errors import SchemaErrors  # noqa: PLC0415 - two seconds to import, and few contracts need it

    frame = rows.df()
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases
        index = [at for at in cases["index"].dropna().unique() if at in frame.index]
        shown = json.loads(frame.loc[index[:SAMPLED_ROWS]].to_json(orient="records", date_format="iso"))
        # A fault of the whole column (a missing one, a wrong type) has no row: count it as one.
        columnwide = int(cases["index"].isna().sum())
        return Found(len(index) + columnwide, tuple(mask(row, table) for row in shown))
    return Found(0)


_ENGINES = {"python": _run_python, "pandera": _run_pandera}
