"""Counting what rules reject, in as few passes as possible; it must not know what a rule means or whether it passed.

All measures of one call are aggregates of one statement that reads every file once. A measure that the engine
refuses (a pattern that is no regular expression, a column that is not there) is singled out by halving, so that every
other one still gets its number. A `Proof` may answer measures more cheaply before the statement is made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.rules.masking import mask
from dataproducts.rules.predicates import JUDGED, judged
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from dataproducts.product import Rule, Table

PARTITION = "_partition"
"""Column that tells the partitions apart inside one statement."""

SAMPLED_ROWS = 5
"""How many rejected rows a result shows."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One number wanted for `rule`: an aggregate over the judged rows."""

    rule: Rule
    sql: str


@dataclass(frozen=True, slots=True)
class Counted:
    """What one relation gave: its rows, and by rule name the values, the errors and how the value was found."""

    total: int = 0
    values: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, duckdb.Error] = field(default_factory=dict)
    methods: Mapping[str, str] = field(default_factory=dict)


Proof = Callable[[duckdb.DuckDBPyConnection, str, Sequence[Measure]], Mapping[str, tuple[Any, str]]]
"""Answers those of the measures over one relation that it can answer exactly: rule name -> (value, method)."""


def rejected(predicate: str) -> str:
    """Return an aggregate for the number of rows for which `predicate` is TRUE."""
    return f"count(*) FILTER (WHERE {predicate})"


def scan(
    con: duckdb.DuckDBPyConnection,
    relations: Mapping[str | None, str],
    measures: Sequence[Measure],
    *,
    proofs: Sequence[Proof] = (),
) -> dict[str | None, Counted]:
    """Count every measure over every relation, all in one pass where no measure is refused.

    `relations` maps partitions to SQL usable after FROM; an unpartitioned table is `{None: relation}`.
    Measures see the rows under the alias `JUDGED`, and the partition as the column `PARTITION`.

    Raises:
        duckdb.Error: the rows cannot be read at all.
    """
    if not relations:
        return {}
    proved = {part: _prove(con, relation, measures, proofs) for part, relation in relations.items()}
    open_measures = [m for m in measures if any(m.rule.name not in answers for answers in proved.values())]
    errors: dict[str, duckdb.Error] = {}
    rows = _aggregate(con, _source(relations), open_measures, errors)
    return {part: _counted(part, rows, open_measures, proved[part], errors) for part in relations}


def _prove(
    con: duckdb.DuckDBPyConnection, relation: str, measures: Sequence[Measure], proofs: Sequence[Proof]
) -> dict[str, tuple[Any, str]]:
    answers: dict[str, tuple[Any, str]] = {}
    for proof in proofs:
        answers |= proof(con, relation, [m for m in measures if m.rule.name not in answers])
    return answers


def _counted(
    part: str | None,
    rows: Mapping[str | None, Mapping[str, Any]],
    measures: Sequence[Measure],
    proved: Mapping[str, tuple[Any, str]],
    errors: Mapping[str, duckdb.Error],
) -> Counted:
    found = rows.get(part, {})
    values = {name: found[name] for name in (m.rule.name for m in measures) if name in found}
    values |= {name: value for name, (value, _) in proved.items()}
    methods = {name: method for name, (_, method) in proved.items()}
    wrong = {name: error for name, error in errors.items() if name not in proved}
    return Counted(found.get("", 0), values, wrong, methods)


def _source(relations: Mapping[str | None, str]) -> str:
    parts = [f"SELECT {literal(part)}::VARCHAR AS {quote(PARTITION)}, * FROM {sql}" for part, sql in relations.items()]
    return "(" + " UNION ALL BY NAME ".join(parts) + ")"


def _aggregate(
    con: duckdb.DuckDBPyConnection, source: str, measures: Sequence[Measure], errors: dict[str, duckdb.Error]
) -> dict[str | None, dict[str, Any]]:
    """Values by partition and rule name, rows under the name ''; a partition without rows is absent."""
    partition = qualified(JUDGED, PARTITION)
    aggregates = "".join(f", {measure.sql}" for measure in measures)
    try:
        found = con.execute(
            f"SELECT {partition}, count(*){aggregates} FROM {judged(source)} GROUP BY {partition}"
        ).fetchall()
    except duckdb.Error as error:
        if not measures:
            raise
        return _halved(con, source, measures, errors, error)
    names = ["", *(measure.rule.name for measure in measures)]
    return {part: dict(zip(names, values, strict=True)) for part, *values in found}


def _halved(
    con: duckdb.DuckDBPyConnection,
    source: str,
    measures: Sequence[Measure],
    errors: dict[str, duckdb.Error],
    error: duckdb.Error,
) -> dict[str | None, dict[str, Any]]:
    if len(measures) == 1:
        errors[measures[0].rule.name] = error
        return _aggregate(con, source, (), errors)
    middle = len(measures) // 2
    rows = _aggregate(con, source, measures[:middle], errors)
    for part, values in _aggregate(con, source, measures[middle:], errors).items():
        rows.setdefault(part, {}).update(values)
    return rows


def sample(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rule: Rule,
    failing: Mapping[str | None, tuple[str, str]],
) -> dict[str | None, tuple[Mapping[str, Any], ...]]:
    """Return at most 5 rejected rows of `rule` for each partition, classified columns masked, in one statement.

    `failing` maps a partition to its relation and the predicate that is TRUE for a rejected row. A row shows the
    table's key, then the rule's columns; without a key, all columns. Values are as JSON has them; dates are text.
    Rows that cannot be shown (a value that has no JSON form) are left out: the count stands without them.
    """
    shown = ", ".join(f"{literal(name)}: {qualified(JUDGED, name)}" for name in _shown(table, rule))
    parts = [
        f"(SELECT {literal(part)}::VARCHAR, to_json({{{shown}}})::VARCHAR FROM {judged(relation)} "
        f"WHERE {predicate} LIMIT {SAMPLED_ROWS})"
        for part, (relation, predicate) in failing.items()
    ]
    rows: dict[str | None, list[Mapping[str, Any]]] = {part: [] for part in failing}
    try:
        for part, text in con.execute(" UNION ALL ".join(parts)).fetchall():
            rows[part].append(mask(json.loads(text, parse_constant=str), table))
    except duckdb.Error:
        return dict.fromkeys(failing, ())
    return {part: tuple(found) for part, found in rows.items()}


def _shown(table: Table, rule: Rule) -> list[str]:
    names = [column.name for column in table.columns]
    if not table.primary_key:
        return names
    read = {name.split(".", maxsplit=1)[0] if name not in names else name for name in rule.columns}
    if table.partitioning:
        read.add(table.partitioning.column)
    return [*table.primary_key, *(name for name in names if name in read - set(table.primary_key))]
