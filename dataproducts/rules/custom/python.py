"""Rules of `engine: python`: a function of the project's; it must not know what the function does."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import UsageError
from dataproducts.rules.custom.found import Found
from dataproducts.rules.custom.places import defined_at
from dataproducts.sql import literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.product import Rule


def run_python(con: duckdb.DuckDBPyConnection, relation: str, rule: Rule, check: Any) -> Found:
    """Return what `check` says of the rows: how many it rejects, or whether all is well. Raises: UsageError."""
    with _unchanged(con, rule):
        said = check(con.sql(f"SELECT * FROM {relation}"))
    if hasattr(said, "item") and getattr(said, "shape", None) == ():
        said = said.item()  # a number of numpy's
    if isinstance(said, bool):
        return Found(0 if said else 1)
    if isinstance(said, int) and said >= 0:
        return Found(said)
    shown, at = str(said) if isinstance(said, int) else type(said).__name__, defined_at(check)
    where = f" at {at}" if at else ""
    raise UsageError(f"{rule.mark}: the function{where} returned {shown}, not a number of rows or a bool")


@contextmanager
def _unchanged(con: duckdb.DuckDBPyConnection, rule: Rule) -> Iterator[None]:
    """Undo what is done in this context to tables, views and settings of `con`: every other rule is judged on them.

    Raises: UsageError, if a setting was changed or what was done is there to stay.
    """
    before = _settings(con)
    con.execute("BEGIN")
    try:
        yield
    finally:
        try:
            con.execute("ROLLBACK")
        except duckdb.TransactionException as error:
            raise UsageError(f"{rule.mark}: the function ended the transaction that it is called in") from error
        changed = {name: value for name, value in before.items() - _settings(con).items()}  # noqa: C416 - a dict of the pairs
        for name, value in changed.items():
            con.execute(f"SET {name} = {literal(value)}")
    if changed:
        raise UsageError(f"{rule.mark}: the function changed the setting {', '.join(sorted(changed))}")


def _settings(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(con.execute("SELECT name, value FROM duckdb_settings()").fetchall())
