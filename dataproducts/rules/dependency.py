"""What a functional dependency means, as SQL: rows that agree on the determinant agree on the dependent columns.

Rows with a NULL in any of these columns are left out, as keys with a NULL are. It must not run SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import UsageError
from dataproducts.rules.predicates import column_at, judged, key_present

if TYPE_CHECKING:
    from dataproducts.product import Rule, Table


def broken_dependency(rule: Rule, table: Table, relation: str) -> str:
    """Return a query for the fewest rows without which each determinant has one dependent value; NULLs left out.

    In each group of rows with the same determinant, those stay that have the most frequent dependent value (g3).
    """
    keys, values = ", ".join(_determinant(rule, table)), ", ".join(_dependent(rule, table))
    counted = (
        f"SELECT count(*) AS _rows, {_named(rule, table)} FROM {judged(relation)} WHERE {key_present(rule, table)} "
        f"GROUP BY {keys}, {values}"
    )
    listed = ", ".join(f"_key{at}" for at in range(len(_determinant(rule, table))))
    groups = f"SELECT sum(_rows) - max(_rows) AS _surplus FROM ({counted}) GROUP BY {listed}"
    return f"SELECT coalesce(sum(_surplus), 0)::BIGINT FROM ({groups})"


def conflicting_row(rule: Rule, table: Table, relation: str) -> str:
    """Return SQL that is TRUE for every row of `relation` whose determinant has several dependent values."""
    keys, values = _determinant(rule, table), _dependent(rule, table)
    packed = f"({', '.join(keys)})" if len(keys) > 1 else keys[0]
    value = f"row({', '.join(values)})" if len(values) > 1 else values[0]
    return (
        f"{key_present(rule, table)} AND {packed} IN (SELECT {packed} FROM {judged(relation)} "
        f"WHERE {key_present(rule, table)} GROUP BY {', '.join(keys)} HAVING count(DISTINCT {value}) > 1)"
    )


def _named(rule: Rule, table: Table) -> str:
    return ", ".join(f"{key} AS _key{at}" for at, key in enumerate(_determinant(rule, table)))


def _determinant(rule: Rule, table: Table) -> list[str]:
    return _sides(rule, table, "determinant")


def _dependent(rule: Rule, table: Table) -> list[str]:
    return _sides(rule, table, "dependent")


def _sides(rule: Rule, table: Table, side: str) -> list[str]:
    names = rule.params.get(side)
    if not isinstance(names, list | tuple) or not names:
        raise UsageError(f"{rule.mark}: rule {rule.name!r} names no {side}")
    return [column_at(table, str(name))[1] for name in names]
