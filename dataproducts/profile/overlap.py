"""How columns of different tables could be joined, counted exactly; it must not know what the columns mean.

Every pair of columns of comparable types is a candidate. Small sketches (the smallest hashes of each column's distinct
values, which are the same sample in both columns) tell which pairs may share values; the likeliest are then counted
on all rows. So a listed overlap is exact, and one that is not listed was estimated to be small.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.profile.column import kind_of
from dataproducts.profile.infer import value_sql
from dataproducts.profile.model import Overlap
from dataproducts.rules.predicates import Family
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from dataproducts.profile.model import ColumnProfile, TableProfile

_SKETCH = 512
_LEAST, _MOST, _MOST_COUNTED, _FEW_VALUES = 0.1, 0.5, 40, 10


@dataclass(frozen=True, slots=True)
class _Side:
    """One column of one table, with the sketch of its values."""

    table: TableProfile
    column: ColumnProfile
    relation: str
    value: str
    sketch: frozenset[int]
    reach: float  # hashes up to here are all in the sketch

    @property
    def is_key(self) -> bool:
        return (self.column.name,) in self.table.keys


def overlaps(con: duckdb.DuckDBPyConnection, tables: Sequence[tuple[TableProfile, str]]) -> tuple[Overlap, ...]:
    """Return the columns of two `tables` (profile and relation) that share at least a tenth of either's values.

    Columns with few values are compared only where names match, floats, booleans and nested columns never. The best
    come first; up to 40 pairs are counted.
    """
    sides = [list(_sides(con, table, relation)) for table, relation in tables]
    pairs = [
        (left, right)
        for lefts, rights in itertools.combinations(sides, 2)
        for left, right in itertools.product(lefts, rights)
        if _worth(left, right)
    ]
    pairs.sort(key=lambda pair: _promise(*pair), reverse=True)
    counted = [_count(con, left, right) for left, right in pairs[:_MOST_COUNTED]]
    found = [(pair, overlap) for pair, overlap in zip(pairs, counted, strict=False) if _is_telling(overlap)]
    return tuple(overlap for _, overlap in sorted(found, key=lambda item: _rank(*item)))


def _sides(con: duckdb.DuckDBPyConnection, table: TableProfile, relation: str) -> Iterator[_Side]:
    for column in table.columns:
        kind = kind_of(column.sql_type)
        if kind in (Family.FLOAT, Family.BOOLEAN, Family.OTHER) or not column.values:
            continue
        value = value_sql(column.name, column.type, column.sql_type, column.format)
        # Equal values must hash alike whatever the width of their type.
        alike = {Family.EXACT: f"CAST({value} AS DOUBLE)", Family.TEMPORAL: f"CAST({value} AS TIMESTAMP)"}
        hashed = f"SELECT DISTINCT hash({alike.get(kind, value)}) AS h FROM {relation} WHERE ({value}) IS NOT NULL"
        row = con.execute(f"SELECT min(h, {_SKETCH}) FROM ({hashed})").fetchone()
        sketch = list(row[0] or ()) if row else []
        reach = max(sketch) if len(sketch) == _SKETCH else float("inf")
        yield _Side(table, column, relation, value, frozenset(sketch), reach)


def _worth(left: _Side, right: _Side) -> bool:
    if kind_of(left.column.sql_type) is not kind_of(right.column.sql_type) or max(_shares(left, right)) < _LEAST:
        return False
    enough = min(left.column.distinct or 0, right.column.distinct or 0) >= _FEW_VALUES
    likely = enough and min(_shares(left, right)) > _MOST
    keyed = (left.is_key or right.is_key) and (enough or kind_of(left.column.sql_type) is Family.TEXT)
    return _named_alike(left, right) > 0 or keyed or likely


def _shares(left: _Side, right: _Side) -> tuple[float, float]:
    """Estimated shares of the left values in the right ones, and the reverse: of hashes that both sketches hold."""
    reach = min(left.reach, right.reach)
    lefts, rights = ({h for h in side.sketch if h <= reach} for side in (left, right))
    common = len(lefts & rights)
    return common / len(lefts) if lefts else 0.0, common / len(rights) if rights else 0.0


def _named_alike(left: _Side, right: _Side) -> int:
    """2 for a column that names the other table's key (`user_id` and `users.id`), 1 for equal names, else 0."""
    if _points_at(left, right) or _points_at(right, left):
        return 2
    equal = _plain(left.column.name) == _plain(right.column.name)
    return 1 if equal and _plain(left.column.name) != "id" else 0


def _points_at(source: _Side, target: _Side) -> bool:
    name, table = _plain(source.column.name), _plain(target.table.name)
    stem = re.sub(r"(id|key|code|no|nr)$", "", name)
    return len(stem) > 2 and target.is_key and stem.rstrip("s") in table  # noqa: PLR2004 - `a_id` names nothing


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _promise(left: _Side, right: _Side) -> tuple[int, float]:
    return _named_alike(left, right), max(_shares(left, right))


def _count(con: duckdb.DuckDBPyConnection, left: _Side, right: _Side) -> Overlap:
    groups = (
        f"SELECT {side.value} AS v, count(*) AS n FROM {side.relation} WHERE ({side.value}) IS NOT NULL GROUP BY 1"
        for side in (left, right)
    )
    first, second = (quote(f"_{name} values") for name in ("left", "right"))
    row = con.execute(
        f"WITH {first} AS MATERIALIZED ({next(groups)}), {second} AS MATERIALIZED ({next(groups)}) SELECT "
        f"(SELECT [count(*), max(n)] FROM {first}), (SELECT [count(*), max(n)] FROM {second}), "
        f"(SELECT count(*) FROM {first} AS l JOIN {second} AS r ON l.v = r.v)"
    ).fetchone()
    (lefts, most_left), (rights, most_right), common = row or ((0, 0), (0, 0), 0)
    sides = ("1" if most_left == 1 else "n", "1" if most_right == 1 else "n" if most_left == 1 else "m")
    return Overlap(
        (left.table.name, left.column.name),
        (right.table.name, right.column.name),
        common,
        common / lefts if lefts else 0.0,
        common / rights if rights else 0.0,
        ":".join(sides),
        _chance(left, right),
    )


def _chance(left: _Side, right: _Side) -> str:
    """Two columns that count up from about the same number overlap whatever they stand for."""
    both = (left, right)
    dense = all(
        side.column.reads_as == "integer"
        and isinstance(side.column.minimum, int)
        and side.column.maximum - side.column.minimum < 2 * (side.column.distinct or 0)
        for side in both
    )
    return "may be chance" if dense and not _named_alike(left, right) else ""


def _is_telling(overlap: Overlap) -> bool:
    return max(overlap.left_share, overlap.right_share) >= _LEAST


def _rank(pair: tuple[_Side, _Side], overlap: Overlap) -> tuple[bool, int, float, tuple[str, str], tuple[str, str]]:
    best = max(overlap.left_share, overlap.right_share)
    return bool(overlap.note), -_named_alike(*pair), -best, overlap.left, overlap.right
