"""What is known of rows without reading them, and the rules that this proves; it must not read rows.

A fact is a proof only if nobody can doubt it: of files that this library wrote, and of foreign Parquet files by a
writer whose statistics are sound, for types whose order every writer has alike (integers, decimals, dates, times).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import duckdb

from dataproducts.product import RuleKind
from dataproducts.release import ColumnFacts
from dataproducts.rules.predicates import JUDGED, PARTITION, Family, family, newest
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dataproducts.product import Rule, Table
    from dataproducts.release import Version

PROVED = "statistics"
"""How a result was found that facts proved."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a relation: its rows, the types of its columns, and the facts of each of its files."""

    rows: int
    types: Mapping[str, str] = field(default_factory=dict)
    files: tuple[Mapping[str, ColumnFacts], ...] = ()
    file_rows: tuple[int, ...] = ()

    def nulls(self, column: str) -> int | None:
        """Return how many values of `column` are NULL; None if nobody knows."""
        found = [columns[column].nulls for columns in self.files if column in columns]
        return sum(found) if found and len(found) == len(self.files) else None

    def ends(self, column: str) -> tuple[str, ...] | None:
        """Return the least and the greatest value of `column` in each file, as text; None if one is not known."""
        found: list[str] = []
        if column not in self.types or not self.files:
            return None
        for columns, rows in zip(self.files, self.file_rows, strict=True):
            facts = columns.get(column)
            if facts is None:
                return None
            if facts.minimum is not None and facts.maximum is not None:
                found += [facts.minimum, facts.maximum]
            elif facts.nulls != rows:
                return None
        return tuple(dict.fromkeys(found))

    def renamed(self, origins: Mapping[str, str]) -> Facts:
        """Return the same facts of columns that are called otherwise; `origins` gives the former name of each."""
        types = {name: self.types[origin] for name, origin in origins.items() if origin in self.types}
        files = tuple(
            {name: columns[origin] for name, origin in origins.items() if origin in columns} for columns in self.files
        )
        return Facts(self.rows, types, files, self.file_rows)

    def with_files(self, other: Facts, places: Sequence[int]) -> Facts:
        """Return the facts of these files together with some of `other`; a column of two types is left out."""
        types = {name: kind for name, kind in self.types.items() if other.types.get(name, kind) == kind}
        rows = tuple(other.file_rows[at] for at in places)
        files = tuple(other.files[at] for at in places)
        return Facts(self.rows + sum(rows), types, self.files + files, self.file_rows + rows)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows that a rule reads: SQL for use after FROM, and what is known of them.

    `some` gives SQL for the rows of some of the files alone, by their places in `facts`.
    """

    sql: str
    facts: Facts | None = None
    some: Callable[[Sequence[int]], str] | None = None


def facts_of(versions: Sequence[Version]) -> Facts | None:
    """Return what is known of `versions` together; None if one of their files has no facts.

    A column that a version lacks is NULL in all its rows. Of a column that changed its type nothing is known.
    """
    kinds: dict[str, set[str]] = {}
    for schema in dict.fromkeys(version.schema for version in versions):
        for name, kind in schema:
            kinds.setdefault(name, set()).add(kind)
    types = {name: found.pop() for name, found in kinds.items() if len(found) == 1}
    files: list[Mapping[str, ColumnFacts]] = []
    rows: list[int] = []
    for version in versions:
        lacking = types.keys() - {name for name, _ in version.schema}
        for file in version.files:
            if not file.columns:
                return None
            absent = dict.fromkeys(lacking, ColumnFacts(file.rows))
            files.append({**file.columns, **absent} if absent else file.columns)
            rows.append(file.rows)
    return Facts(sum(rows), types, tuple(files), tuple(rows))


def proved_rejects(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    predicates: Mapping[str, str],
    rules: Iterable[Rule],
    parts: Mapping[str | None, Facts],
) -> dict[str | None, dict[str, int]]:
    """Return by part how many rows each rule rejects, for those rules of which facts alone can tell.

    `predicates` holds SQL that is TRUE for a row that the rule rejects. What a range rejects neither at the least nor
    at the greatest value, it rejects nowhere between. A comparison of two columns that holds of the greatest value of
    the lesser and the least of the greater in each file holds of every row.
    """
    found: dict[str | None, dict[str, int]] = {part: {} for part in parts}
    tests: dict[str, tuple[str, list[str | None]]] = {}
    for rule in rules:
        if rule.kind in _OF_NULLS:
            nulls = {part: facts.nulls(_subject(rule, table)) for part, facts in parts.items()}
            for part, number in nulls.items():
                found[part] |= {rule.name: number} if number is not None else {}
        else:
            witnesses = {part: _witnesses(rule, table, facts) for part, facts in parts.items()}
            known = {part: each for part, each in witnesses.items() if each is not None}
            if known:
                tests[rule.name] = (_test(rule.name, known, predicates[rule.name]), list(known))
    broken = _broken(con, {name: sql for name, (sql, _) in tests.items()})
    for name, (_, known_parts) in tests.items():
        if broken.get(name) is not None:
            for part in known_parts:
                found[part] |= {name: 0} if (part or "") not in broken[name] else {}
    return found


_OF_NULLS = (RuleKind.REQUIRED, RuleKind.NULL_VALUES)
_NUMBERS = {Family.EXACT, Family.FLOAT}
_CONVEX = (RuleKind.RANGE, RuleKind.PARTITION_BOUNDS)


@dataclass(frozen=True, slots=True)
class _Witnesses:
    """Rows that a rule would reject if it rejected any: names and types of their columns, and values as text."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]


def _witnesses(rule: Rule, table: Table, facts: Facts) -> _Witnesses | None:
    if rule.kind is RuleKind.CONDITION:
        return _of_pair(rule, facts)
    name = _subject(rule, table)
    ends, nulls = facts.ends(name), facts.nulls(name)
    if rule.kind not in _CONVEX or ends is None or (rule.kind is RuleKind.PARTITION_BOUNDS and nulls):
        return None
    return _Witnesses(((name, facts.types[name]),), tuple((end,) for end in ends))


def _subject(rule: Rule, table: Table) -> str:
    """The one column that a rule judges; empty if it judges several."""
    if rule.kind is RuleKind.PARTITION_BOUNDS and table.partitioning:
        return table.partitioning.column
    return rule.columns[0] if len(rule.columns) == 1 else ""


def _of_pair(rule: Rule, facts: Facts) -> _Witnesses | None:
    """The worst row that each file may hold for a comparison of two columns; None if that cannot be told."""
    pair = rule.params.get("pair")
    if not pair or pair[0] == pair[2] or not facts.files:
        return None
    left, operator, right = pair
    kinds = [facts.types.get(name) for name in (left, right)]
    # A comparison of two types may cast one of them, and the order of text is not that of the numbers it spells.
    if None in kinds or (kinds[0] != kinds[1] and {family(kind or "") for kind in kinds} - _NUMBERS):
        return None
    rows: list[tuple[str, str]] = []
    for columns, count in zip(facts.files, facts.file_rows, strict=True):
        sides = [columns.get(name) for name in (left, right)]
        if any(side is not None and side.nulls == count for side in sides):
            continue  # NULL passes
        is_ascending = operator in ("<", "<=")
        lesser, greater = sides if is_ascending else reversed(sides)
        if lesser is None or greater is None or lesser.maximum is None or greater.minimum is None:
            return None
        rows.append((lesser.maximum, greater.minimum) if is_ascending else (greater.minimum, lesser.maximum))
    return _Witnesses(tuple((name, facts.types[name]) for name in (left, right)), tuple(dict.fromkeys(rows)))


def _test(name: str, parts: Mapping[str | None, _Witnesses], predicate: str) -> str:
    """A query for the parts with a witness that `predicate` is TRUE for."""
    columns = next(iter(parts.values())).columns
    rows = [(part, row) for part, each in parts.items() for row in each.rows if each.columns == columns]
    strangers = [part for part, each in parts.items() if each.columns != columns]
    lists = [
        f"unnest(CAST({literal([row[at] for _, row in rows])} AS {kind}[])) AS {quote(column)}"
        for at, (column, kind) in enumerate(columns)
    ]
    lists.append(f"unnest({literal([part or '' for part, _ in rows])}::VARCHAR[]) AS {quote(PARTITION)}")
    judged_rows = f"(SELECT {', '.join(lists)}) AS {quote(JUDGED)}"
    query = f"SELECT DISTINCT {literal(name)}, {quote(PARTITION)} FROM {judged_rows} WHERE {predicate}"
    # A part whose columns are of other types than those of the first is left to be counted.
    odd = f" UNION ALL SELECT {literal(name)}, unnest({literal([part or '' for part in strangers])}::VARCHAR[])"
    return query + (odd if strangers else "")


def _broken(con: duckdb.DuckDBPyConnection, tests: Mapping[str, str]) -> dict[str, set[str]]:
    """By rule, the parts that are not proved; a test that cannot be made is absent."""
    if not tests:
        return {}
    try:
        rows = con.execute(" UNION ALL ".join(tests.values())).fetchall()
    except duckdb.Error:
        half, items = len(tests) // 2, list(tests.items())
        return _broken(con, dict(items[:half])) | _broken(con, dict(items[half:])) if half else {}
    found: dict[str, set[str]] = {name: set() for name in tests}
    for name, part in rows:
        found[name].add(part)
    return found


def proved_none(con: duckdb.DuckDBPyConnection, column: str, predicate: str, facts: Facts) -> bool:
    """Return whether `facts` alone tell that `predicate`, which bounds `column` on one side, is TRUE for no row."""
    ends = facts.ends(column)
    if ends is None:
        return False
    witnesses = _Witnesses(((column, facts.types[column]),), tuple((end,) for end in ends))
    return _broken(con, {column: _test(column, {None: witnesses}, predicate)}) == {column: set()}


def proved_newest(con: duckdb.DuckDBPyConnection, table: Table, rule: Rule, facts: Facts) -> tuple[bool, float | None]:
    """Return whether `facts` know the newest moment of the rule's column, and it, in seconds since 1970."""
    name = _subject(rule, table)
    ends = facts.ends(name)
    if not ends:
        return False, None
    listed = f"unnest(CAST({literal(list(ends))} AS {facts.types[name]}[])) AS {quote(name)}"
    source = f"(SELECT {listed}) AS {quote(JUDGED)}"
    row = con.execute(f"SELECT bool_and(isfinite({quote(name)})), {newest(rule, table)} FROM {source}").fetchone()
    return (True, row[1]) if row and row[0] else (False, None)
