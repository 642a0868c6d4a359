"""Splitting staged rows into those kept and those quarantined; it must not judge what is kept or write files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import DataProductError
from dataproducts.product import OnFailure, RuleKind, TableRef
from dataproducts.rules.predicates import (
    COUNTED_KINDS,
    DUPLICATE_KINDS,
    JUDGED,
    failing_row,
    judged,
    key_present,
    orphan_row,
)
from dataproducts.rules.scan import Measure, rejected, scan
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from dataproducts.product import Rule, Table

Lookup = Callable[[TableRef], str]
"""Gives SQL, usable after FROM, for a table by its address."""

RULES_COLUMN = "_rules"
"""Column that a quarantined row carries: the names of the rules that rejected it (VARCHAR[])."""

_KINDS = COUNTED_KINDS | DUPLICATE_KINDS | {RuleKind.FOREIGN_KEY}
"""Kinds whose rejected rows can be told apart, and so quarantined."""


@dataclass(frozen=True, slots=True)
class Split:
    """Two queries that deal out the staged rows, each row to exactly one of them.

    `quarantined_sql` is None when no row is rejected. `counts` holds the rows that each quarantining rule rejects; a
    row that two rules reject counts for both, and once in `quarantined`.
    """

    kept_sql: str
    quarantined_sql: str | None
    counts: Mapping[str, int]
    quarantined: int = 0


def split(
    con: duckdb.DuckDBPyConnection, table: Table, staged: str, *, lookup: Lookup, partition: str | None = None
) -> Split:
    """Split the relation `staged` of `con` by the rules of `table` with `onFailure: quarantine`.

    Rows that a row rule or a foreign key rejects go first; duplicates are judged among the rest, rule by rule, so
    that what is kept satisfies every one of these rules. `keep: first` keeps the first row of each key in the order
    of all columns, as the contract lists them (NULL last): equal rows are interchangeable, so the outcome does not
    depend on how rows are stored. `keep: none` rejects every row of a repeated key. A rule's threshold does not
    count here. A rule that cannot be judged splits off nothing: the gate refuses the table for it.

    `staged` must give the same rows each time it is read. `partition` is the ISO date of the partition it holds.

    Raises:
        duckdb.Error: `staged` cannot be read.
    """
    rules = [r for r in table.rules if r.on_failure is OnFailure.QUARANTINE and r.kind in _KINDS]
    predicates = _row_predicates(table, [r for r in rules if r.kind not in DUPLICATE_KINDS], lookup, partition)
    counts = _count(con, quote(staged), predicates)
    firing = [(rule, sql) for rule, sql in predicates if counts.get(rule.name)]
    kept, parts = f"SELECT * FROM {quote(staged)}", []
    if firing:
        bad = " OR ".join(f"({sql})" for _, sql in firing)
        kept = f"SELECT * FROM {judged(quote(staged))} WHERE ({bad}) IS NOT TRUE"
        parts.append(f"SELECT *, {_names(firing)} FROM {judged(quote(staged))} WHERE {bad}")
    for rule in (r for r in rules if r.kind in DUPLICATE_KINDS):
        try:
            marked = _marked(table, rule, kept)
            found = _number(con, f"SELECT count(*) FROM ({marked}) WHERE {quote(_SURPLUS)}")
        except (duckdb.Error, DataProductError):
            continue
        counts[rule.name] = found
        if found:
            without = f"SELECT * EXCLUDE ({quote(_SURPLUS)})"
            kept = f"{without} FROM ({marked}) WHERE NOT {quote(_SURPLUS)}"
            parts.append(
                f"{without}, [{literal(rule.name)}]::VARCHAR[] AS {quote(RULES_COLUMN)} FROM ({marked}) "
                f"WHERE {quote(_SURPLUS)}"
            )
    if not parts:
        return Split(kept, None, counts)
    quarantined = " UNION ALL ".join(parts)
    return Split(kept, quarantined, counts, _number(con, f"SELECT count(*) FROM ({quarantined})"))


_SURPLUS = "_surplus"
_Test = tuple["Rule", str]  # a rule, and SQL that is TRUE for a row it rejects


def _row_predicates(table: Table, rules: list[Rule], lookup: Lookup, partition: str | None) -> list[_Test]:
    day = f"DATE {literal(partition)}" if partition else None
    predicates: list[_Test] = []
    for rule in rules:
        try:
            if rule.kind is RuleKind.FOREIGN_KEY:
                predicates.append((rule, orphan_row(rule, table, lookup(rule.params["to"]))))
            else:
                predicates.append((rule, failing_row(rule, table, partition=day)))
        except (DataProductError, LookupError):
            continue
    return predicates


def _count(con: duckdb.DuckDBPyConnection, source: str, predicates: list[_Test]) -> dict[str, int]:
    """Rows that each rule rejects; a rule that cannot be judged is absent."""
    if not predicates:
        return {}
    simple = [Measure(r, rejected(sql)) for r, sql in predicates if r.kind is not RuleKind.FOREIGN_KEY]
    counted = scan(con, {None: source}, simple)[None]
    counts = {m.rule.name: int(counted.values.get(m.rule.name, 0)) for m in simple if m.rule.name not in counted.errors}
    for rule, sql in predicates:
        if rule.kind is RuleKind.FOREIGN_KEY:
            try:
                counts[rule.name] = _number(con, f"SELECT count(*) FROM {judged(source)} WHERE {sql}")
            except duckdb.Error:
                continue
    return counts


def _names(predicates: list[_Test]) -> str:
    cases = ", ".join(f"CASE WHEN {sql} THEN {literal(rule.name)} END" for rule, sql in predicates)
    return f"list_filter([{cases}]::VARCHAR[], lambda name: name IS NOT NULL) AS {quote(RULES_COLUMN)}"


def _marked(table: Table, rule: Rule, kept: str) -> str:
    """Query for the rows of `kept` with a flag for those that the duplicate rule rejects."""
    present = key_present(rule, table)
    keys = ", ".join(qualified(JUDGED, name) for name in rule.columns)
    order = ", ".join(f"{qualified(JUDGED, column.name)} NULLS LAST" for column in table.columns)
    surplus = "count(*) OVER same > 1" if rule.keep == "none" else f"row_number() OVER (same ORDER BY {order}) > 1"
    return (
        f"SELECT *, ({present}) AND {surplus} AS {quote(_SURPLUS)} FROM {judged(f'({kept})')} "
        f"WINDOW same AS (PARTITION BY {keys})"
    )


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0
