"""Whether a source-aligned table stays a minimal transformation of its source; it must not know what layers exist.

Allowed: one SELECT over one source that renames, types and cleans each row by itself, such as CAST, TRIM, NULLIF,
COALESCE with a constant, REPLACE, CASE, and parsing of dates. A WHERE may keep
the rows of the partition (`$partition_start`, `$partition_end`) or drop rows in which a column IS NULL, which a source
without keys needs. Common table expressions may take these steps one after the other.

Refused, for it belongs to an aggregate or consumer-aligned product, or to a rule: a second relation, a join, a
subquery, UNION and its like, GROUP BY and aggregates, windows and QUALIFY (declare a duplicate rule with
`onFailure: quarantine` and `keep: first`), DISTINCT, PIVOT, UNNEST, LIMIT, and any other WHERE (a rule with
`onFailure: quarantine` sets rows aside and counts them). A Python transform, for sources in forms that SQL cannot
clean, may read its one source and nothing else.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlglot import exp

from dataproducts.errors import DeclarationError, Fault
from dataproducts.transforms.dependencies import BOUNDS, reading
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.product import Table

_DOWNSTREAM = "Move it to an aggregate or consumer-aligned product."
_RULE = "Declare a rule with `onFailure: quarantine` instead, so that the rows are counted."
_KEEP = "Declare a duplicate rule with `onFailure: quarantine` and `keep: first` instead."

_REFUSED: tuple[tuple[type[exp.Expr], str, str], ...] = (
    (exp.Join, "a join", _DOWNSTREAM),
    (exp.SetOperation, "a set operation", "Declare a folder of files as the one source, or a table for each source."),
    (exp.Group, "GROUP BY", _DOWNSTREAM),
    (exp.Having, "HAVING", _DOWNSTREAM),
    (exp.AggFunc, "an aggregate", _DOWNSTREAM),
    (exp.Qualify, "QUALIFY", _KEEP),
    (exp.Window, "a window function", _KEEP),
    (exp.Distinct, "DISTINCT", _KEEP),
    (exp.Pivot, "PIVOT or UNPIVOT", _DOWNSTREAM),
    (exp.Lateral, "a lateral join", _DOWNSTREAM),
    (exp.Unnest, "UNNEST", _DOWNSTREAM),
    (exp.Explode, "UNNEST", _DOWNSTREAM),
    (exp.Limit, "LIMIT", "Read the whole source."),
    (exp.Offset, "OFFSET", "Read the whole source."),
    (exp.TableSample, "a sample", "Read the whole source."),
)


def check_minimal(table: Table) -> tuple[Fault, ...]:
    """Return what makes `table` more than a minimal transformation of its source, by line; it never raises.

    A pass-through is minimal. Faults of the text itself are those of `dependencies.faults`, not repeated here.
    """
    if table.transform is None:
        return ()
    try:
        read = reading(table.transform, table.name)
    except DeclarationError:
        return ()
    path = table.transform.mark.path or str(table.transform.path)
    found = list(_source_faults(table, read.lines, path))
    if read.tree is not None:
        found.extend(_sql_faults(read.tree, path))
    return tuple(sorted(set(found)))


def _source_faults(table: Table, lines: Mapping[str, int], path: str) -> Iterator[Fault]:
    servers = {server.name for server in table.servers}
    fix = "A source-aligned table reads one server of its own contract."
    for name, line in lines.items():
        if name not in servers:
            yield Fault(
                path, line, f"source-aligned table {table.name!r} reads {name!r}, no server of its contract", fix
            )
    if len(lines) != 1:
        listed = ", ".join(sorted(lines)) or "nothing"
        yield Fault(path, max(lines.values(), default=1), f"source-aligned table {table.name!r} reads {listed}", fix)


def _sql_faults(tree: exp.Query, path: str) -> Iterator[Fault]:
    for node in tree.walk():
        for kind, word, fix in _REFUSED:
            if isinstance(node, kind):
                yield Fault(path, _line(node), f"{word} in a source-aligned table", fix)
                break
        if isinstance(node, exp.Anonymous) and node.name.lower() in _aggregates():
            yield Fault(path, _line(node), "an aggregate in a source-aligned table", _DOWNSTREAM)
        if isinstance(node, exp.Query) and not isinstance(node, exp.SetOperation) and _is_in_expression(node):
            yield Fault(path, _line(node), "a subquery in a source-aligned table", _DOWNSTREAM)
        if isinstance(node, exp.Where) and not all(_is_plain_filter(part) for part in _conjuncts(node.this)):
            yield Fault(path, _line(node), "a filter in a source-aligned table", _RULE)


@cache
def _aggregates() -> frozenset[str]:
    """The names of DuckDB's aggregates, for those that sqlglot does not know as such."""
    with database().cursor() as con:
        rows = con.execute("SELECT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'").fetchall()
    return frozenset(name for (name,) in rows)


def _is_in_expression(node: exp.Query) -> bool:
    """Say whether a query stands where a value is expected, rather than after FROM, in a WITH or alone."""
    at = node.parent
    while isinstance(at, exp.Subquery):
        at = at.parent
    return isinstance(node, exp.Select) and at is not None and not isinstance(at, exp.From | exp.CTE | exp.SetOperation)


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _is_plain_filter(condition: exp.Expr) -> bool:
    """Say whether a condition compares with a bound of the partition, or is `column IS NOT NULL`."""
    if isinstance(condition, exp.Not) and isinstance(condition.this, exp.Is):
        return isinstance(condition.this.this, exp.Column) and isinstance(condition.this.expression, exp.Null)
    is_comparison = isinstance(condition, exp.GT | exp.GTE | exp.LT | exp.LTE | exp.Between)
    return is_comparison and any(
        str(part.this) in BOUNDS for part in condition.find_all(exp.Placeholder, exp.Parameter)
    )


def _line(node: exp.Expr) -> int:
    """The line of `node`, by the first part of it, or else of what holds it, that carries one."""
    at: exp.Expr | None = node
    while at is not None:
        for part in at.walk():
            if part.meta.get("line"):
                return int(part.meta["line"])
        at = at.parent
    return 1
