"""Counting what rules reject, in as few passes as possible; it must not know what a rule means or whether it passed.

All measures of one call are aggregates of one statement that reads every file once. A measure that the engine
refuses (a pattern that is no regular expression, a column that is not there) is singled out by halving, so that every
other one still gets its number. A `Proof` may answer measures more cheaply before the statement is made.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.product import RuleKind
from dataproducts.rules.masking import mask
from dataproducts.rules.predicates import JUDGED, PARTITION, judged
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.product import Rule, Table

SCAN = "scan"
"""How a result was found that one look at every row gave."""

SAMPLED_ROWS = 5
"""How many rejected rows a result shows."""

_DRAWN = 2 * SAMPLED_ROWS  # rejected rows drawn for each of several rules, of which some reject more rows than others


@dataclass(frozen=True, slots=True)
class Measure:
    """One number wanted for `rule`: an aggregate over the judged rows.

    `predicate` is TRUE for a row that the rule rejects, where the number is that of such rows.
    """

    rule: Rule
    sql: str
    predicate: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What one relation gave: its rows, and by rule name the values, the errors and how the value was found."""

    total: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, Exception] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


def rejected(predicate: str) -> str:
    """Return an aggregate for the number of rows for which `predicate` is TRUE."""
    return f"count(*) FILTER (WHERE {predicate})"


def scan(
    con: duckdb.DuckDBPyConnection,
    relations: Mapping[str | None, str],
    measures: Sequence[Measure],
    several: str = "",
) -> dict[str | None, Counted]:
    """Count every measure over every relation, all in one pass where no measure is refused.

    `relations` maps partitions to SQL usable after FROM; an unpartitioned table is `{None: relation}`.
    `several` is SQL for all of them at once, if there is a better way than their union. Measures see the rows under
    the alias `JUDGED`, and the partition as the column `PARTITION`.

    Raises:
        duckdb.Error: the rows cannot be read at all.
    """
    if not relations:
        return {}
    errors: dict[str, Exception] = {}
    rows = _aggregate(con, relations, measures, errors, several)
    found: dict[str | None, Counted] = {}
    for part in relations:
        values = dict(rows.get(part, {}))
        total = values.pop("", 0)
        found[part] = Counted(total, values, errors, dict.fromkeys(values, SCAN))
    return found


def together(relations: Mapping[str | None, str], several: str = "") -> tuple[str, str]:
    """Return all of `relations` as one, and what goes before a list of columns to tell the partitions apart.

    The partition of a row is in the column `PARTITION`. A single relation stays as it is: to group costs time, and so
    it gets its column without, and the list nothing.
    """
    if len(relations) == 1:
        ((part, sql),) = relations.items()
        return (sql if part is None else f"(SELECT {_marked(part)}, * FROM {sql})"), ""
    if several:
        return several, f"{quote(PARTITION)}, "
    parts = [f"SELECT {_marked(part)}, * FROM {sql}" for part, sql in relations.items()]
    return "(" + " UNION ALL BY NAME ".join(parts) + ")", f"{quote(PARTITION)}, "


def _marked(part: str | None) -> str:
    return f"{literal(part)}::VARCHAR AS {quote(PARTITION)}"


def _aggregate(
    con: duckdb.DuckDBPyConnection,
    relations: Mapping[str | None, str],
    measures: Sequence[Measure],
    errors: dict[str, Exception],
    several: str,
) -> dict[str | None, dict[str, Any]]:
    """Values by partition and rule name, rows under the name ''; of several, a partition without rows is absent."""
    source, group = together(relations, several)
    query = f"SELECT {group}count(*){''.join(f', {measure.sql}' for measure in measures)} FROM {judged(source)}"
    try:
        found = con.execute(f"{query} GROUP BY {group.rstrip(', ')}" if group else query).fetchall()
    except duckdb.Error as error:
        if not measures:
            raise
        return _halved(con, relations, measures, errors, several, error)
    names = ["", *(measure.rule.name for measure in measures)]
    if not group:
        return {part: dict(zip(names, found[0], strict=True)) for part in relations}
    return {part: dict(zip(names, values, strict=True)) for part, *values in found}


def _halved(
    con: duckdb.DuckDBPyConnection,
    relations: Mapping[str | None, str],
    measures: Sequence[Measure],
    errors: dict[str, Exception],
    several: str,
    error: duckdb.Error,
) -> dict[str | None, dict[str, Any]]:
    if len(measures) == 1:
        errors[measures[0].rule.name] = error
        return _aggregate(con, relations, (), errors, several)
    middle = len(measures) // 2
    rows = _aggregate(con, relations, measures[:middle], errors, several)
    for part, values in _aggregate(con, relations, measures[middle:], errors, several).items():
        rows.setdefault(part, {}).update(values)
    return rows


def sample(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rule: Rule,
    failing: Mapping[str | None, tuple[str, str]],
    *,
    most: int = SAMPLED_ROWS,
) -> dict[str | None, tuple[Mapping[str, Any], ...]]:
    """Return at most `most` rejected rows of `rule` for each partition, classified columns masked, in one statement.

    `failing` maps a partition to its relation and the predicate that is TRUE for a rejected row. A row shows the
    table's key, or what else is unique in it, then the rule's columns; without either, all columns. Values are as JSON
    has them; dates are text. Rows that cannot be shown (a value that has no JSON form) are left out: the count stands.
    """
    shown = ", ".join(f"{literal(name)}: {qualified(JUDGED, name)}" for name in _shown(table, rule))
    parts = [
        f"(SELECT {literal(part)}::VARCHAR, to_json({{{shown}}})::VARCHAR FROM {judged(relation)} "
        f"WHERE {predicate} LIMIT {most})"
        for part, (relation, predicate) in failing.items()
    ]
    rows: dict[str | None, list[Mapping[str, Any]]] = {part: [] for part in failing}
    try:
        for part, text in con.execute(" UNION ALL ".join(parts)).fetchall():
            rows[part].append(mask(json.loads(text, parse_constant=str), table))
    except duckdb.Error:
        return dict.fromkeys(failing, ())
    return {part: tuple(found) for part, found in rows.items()}


def sample_together(
    con: duckdb.DuckDBPyConnection, table: Table, relation: str, failing: Sequence[tuple[Rule, str, int]]
) -> list[tuple[Mapping[str, Any], ...]]:
    """Return for each rule what `sample` gives, from one look at the first rows that any of them rejects.

    `failing` gives of each rule the predicate and the number of rows that it rejects. Where the rows looked at do not
    hold as many as are to be shown, or they cannot be shown together, the rule gets none.
    """
    shown = [_shown(table, rule) for rule, *_ in failing]
    columns = ", ".join(f"{literal(name)}: {qualified(JUDGED, name)}" for name in dict.fromkeys(chain(*shown)))
    tests = [f"({predicate})" for _, predicate, _ in failing]
    query = (
        f"SELECT to_json({{{columns}}})::VARCHAR, {', '.join(tests)} FROM {judged(relation)} "
        f"WHERE {' OR '.join(tests)} LIMIT {_DRAWN * len(failing)}"
    )
    try:
        drawn = con.execute(query).fetchall()
    except duckdb.Error:
        return [()] * len(failing)
    rows = [(json.loads(text, parse_constant=str), broken) for text, *broken in drawn]
    found: list[tuple[Mapping[str, Any], ...]] = []
    for at, (names, (_, _, number)) in enumerate(zip(shown, failing, strict=True)):
        theirs = [row for row, broken in rows if broken[at]][:SAMPLED_ROWS]
        is_enough = len(theirs) >= min(number, SAMPLED_ROWS)
        found.append(tuple(mask({name: row[name] for name in names}, table) for row in theirs) if is_enough else ())
    return found


def _shown(table: Table, rule: Rule) -> list[str]:
    names = [column.name for column in table.columns]
    unique = (rule.columns for rule in table.rules if rule.kind is RuleKind.UNIQUE and set(rule.columns) <= set(names))
    key = table.primary_key or next(unique, ())
    if not key:
        return names
    read = {name.split(".", maxsplit=1)[0] if name not in names else name for name in rule.columns}
    if table.partitioning:
        read.add(table.partitioning.column)
    return [*key, *(name for name in names if name in read - set(key))]
