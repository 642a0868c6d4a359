"""Rules of `engine: python`: a function of the project's; it must not know what the function does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.errors import UsageError
from dataproducts.rules.custom.found import Found

if TYPE_CHECKING:
    import duckdb

    from dataproducts.product import Rule, Table


def run_python(rows: duckdb.DuckDBPyRelation, _table: Table, rule: Rule, check: Any) -> Found:
    """Return what `check(rows)` says: how many rows it rejects, or whether all is well. Raises: UsageError."""
    said = check(rows)
    if hasattr(said, "item") and getattr(said, "shape", None) == ():
        said = said.item()  # a number of numpy's
    if isinstance(said, bool):
        return Found(0 if said else 1)
    if isinstance(said, int) and said >= 0:
        return Found(said)
    shown = str(said) if isinstance(said, int) else type(said).__name__
    raise UsageError(f"{rule.mark}: the function returned {shown}, not a number of rows or a bool")
