"""Splitting staged rows into those kept and those quarantined; it must not judge what is kept or write files.

A limit of how much may be set aside is no part of the split, so that the rows are there to be looked at when it is
exceeded: `limited` holds what was written to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import DataProductError
from dataproducts.product import OnFailure, RuleKind, TableRef
from dataproducts.rules.predicates import (
    COUNTED_KINDS,
    DUPLICATE_KINDS,
    JUDGED,
    failing_row,
    holds,
    in_unit,
    judged,
    key_columns,
    key_present,
    orphan_row,
)
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dataproducts.product import Column, Rule, Table, Threshold
    from dataproducts.release import Version
    from dataproducts.verdict import RuleResult

Lookup = Callable[[TableRef], str]
"""Gives SQL, usable after FROM, for a table by its address."""

RULES_COLUMN = "_rules"
"""Column that a quarantined row carries: the names of the rules that rejected it (VARCHAR[])."""

REFRESH_COLUMN, RUN_COLUMN, TIME_COLUMN = "_refresh", "_run", "_quarantined_at"
"""Columns that it carries from when it is written: the refresh and the run (VARCHAR), and the time (TIMESTAMPTZ)."""

ASIDE_COLUMNS = (
    (RULES_COLUMN, "VARCHAR[]"),
    (REFRESH_COLUMN, "VARCHAR"),
    (RUN_COLUMN, "VARCHAR"),
    (TIME_COLUMN, "TIMESTAMP WITH TIME ZONE"),
)
"""What a quarantined row has beside the columns of its table. Files of earlier versions have the first alone."""

ROW_COLUMN = "_row"
"""Column of exported rows that says which row of which file each of them is."""

_FLOATING = re.compile(r"\b(DOUBLE|FLOAT|REAL)\b", re.IGNORECASE)

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
    con: duckdb.DuckDBPyConnection,
    table: Table,
    staged: str,
    *,
    lookup: Lookup,
    partition: str | None = None,
    bounds: Sequence[Rule] = (),
) -> Split:
    """Split the rows of `staged`, SQL that can follow FROM, by the rules of `table` with `onFailure: quarantine`.

    Rows that a row rule or a foreign key rejects go first; duplicates are judged among the rest, rule by rule, so
    that what is kept satisfies every one of these rules. `keep: first` keeps the first row of each key in the order
    of all columns, as the contract lists them (NULL last): equal rows are interchangeable, so the outcome does not
    depend on how rows are stored. `keep: none` rejects every row of a repeated key. A rule's threshold does not
    count here. A rule that cannot be judged splits off nothing: the gate refuses the table for it.

    `staged` must give the same rows each time it is read. `partition` is the ISO date of the partition it holds.
    `bounds` are rules that `treatments` made of what it found in these rows.

    Raises:
        duckdb.Error: `staged` cannot be read.
    """
    rules = [r for r in (*table.rules, *bounds) if r.on_failure is OnFailure.QUARANTINE and r.kind in _KINDS]
    surplus = _free_name(table)
    predicates = _row_predicates(table, [r for r in rules if r.kind not in DUPLICATE_KINDS], lookup, partition)
    counts = _count(con, staged, predicates)
    firing = [(rule, sql) for rule, sql in predicates if counts.get(rule.name)]
    kept, parts = f"SELECT * FROM {staged}", []
    if firing:
        bad = " OR ".join(f"({sql})" for _, sql in firing)
        kept = f"SELECT * FROM {judged(staged)} WHERE ({bad}) IS NOT TRUE"
        parts.append(f"SELECT *, {_names(firing)} FROM {judged(staged)} WHERE {bad}")
    for rule in (r for r in rules if r.kind in DUPLICATE_KINDS):
        try:
            marked = _marked(table, rule, kept, surplus)
            found = _number(con, f"SELECT count(*) FROM ({marked}) WHERE {surplus}")
        except (duckdb.Error, DataProductError):
            continue
        counts[rule.name] = found
        if found:
            without = f"SELECT * EXCLUDE ({surplus})"
            kept = f"{without} FROM ({marked}) WHERE NOT {surplus}"
            parts.append(
                f"{without}, [{literal(rule.name)}]::VARCHAR[] AS {quote(RULES_COLUMN)} FROM ({marked}) WHERE {surplus}"
            )
    if not parts:
        return Split(kept, None, counts)
    quarantined = " UNION ALL ".join(parts)
    return Split(kept, quarantined, counts, _number(con, f"SELECT count(*) FROM ({quarantined})"))


def _free_name(table: Table) -> str:
    """A column for the mark of repeated rows, quoted, that no column of the table is called."""
    return quote("_" * (1 + max((len(column.name) for column in table.columns), default=0)))


_Test = tuple["Rule", str]  # a rule, and SQL that is TRUE for a row it rejects


def _row_predicates(table: Table, rules: list[Rule], lookup: Lookup, partition: str | None) -> list[_Test]:
    day = f"DATE {literal(partition)}" if partition else None
    predicates: list[_Test] = []
    for rule in rules:
        try:
            if isinstance(rule.params.get("predicate"), str):
                predicates.append((rule, rule.params["predicate"]))
            elif rule.kind is RuleKind.FOREIGN_KEY:
                predicates.append((rule, orphan_row(rule, table, lookup(rule.params["to"]))))
            else:
                predicates.append((rule, failing_row(rule, table, partition=day)))
        except (DataProductError, LookupError):
            continue
    return predicates


def _count(con: duckdb.DuckDBPyConnection, source: str, predicates: list[_Test]) -> dict[str, int]:
    """Rows that each rule rejects, in one pass; a rule that cannot be judged is absent, and costs a pass for each."""
    if not predicates:
        return {}
    counted = ", ".join(f"count(*) FILTER (WHERE {sql})" for _, sql in predicates)
    try:
        numbers = con.execute(f"SELECT {counted} FROM {judged(source)}").fetchall()[0]
    except duckdb.Error:
        if len(predicates) > 1:
            return {name: number for test in predicates for name, number in _count(con, source, [test]).items()}
        con.execute(f"SELECT count(*) FROM {judged(source)}")  # the rows, or the rule?
        return {}
    return {rule.name: int(number) for (rule, _), number in zip(predicates, numbers, strict=True)}


def _names(predicates: list[_Test]) -> str:
    cases = ", ".join(f"CASE WHEN {sql} THEN {literal(rule.name)} END" for rule, sql in predicates)
    return f"list_filter([{cases}]::VARCHAR[], lambda name: name IS NOT NULL) AS {quote(RULES_COLUMN)}"


def _marked(table: Table, rule: Rule, kept: str, surplus: str) -> str:
    """Query for the rows of `kept` with a flag for those that the duplicate rule rejects."""
    present = key_present(rule, table)
    keys = ", ".join(_ordered(column, sql) for column, sql in key_columns(rule, table))
    order = ", ".join(f"{_ordered(one, qualified(JUDGED, one.name))} NULLS LAST" for one in table.columns)
    beyond = "count(*) OVER same > 1" if rule.keep == "none" else f"row_number() OVER (same ORDER BY {order}) > 1"
    return (
        f"SELECT *, ({present}) AND {beyond} AS {surplus} FROM {judged(f'({kept})')} "
        f"WINDOW same AS (PARTITION BY {keys})"
    )


def _ordered(column: Column, sql: str) -> str:
    """SQL to order or group by, such that the rows come out as they went in.

    DuckDB 1.5 reads a column that it sorts by back from the sort key, where a negative zero has lost its sign.
    """
    return f"CASE WHEN {sql} IS NOT NULL THEN {sql} END" if _FLOATING.search(column.sql_type) else sql


def _number(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchone()
    return int(row[0]) if row else 0


# --- How much may be set aside -----------------------------------------------------------------------------------


_TOLD = 3  # partitions that a message names


def limited(table: Table, versions: Iterable[Version], results: Iterable[RuleResult]) -> tuple[RuleResult, ...]:
    """Return `results` of `table`, with those of rules that set aside more of a version than they may as failed.

    Such a result blocks, whatever its rule says. `versions` are those that the results speak of: a rule judged by
    partition is held to the version of its own, any other to all of them. A table's own limit fails each rule that
    set rows aside. The limit of a policy whose bounds were found in the rows, and which is no rule, fails `schema`.
    """
    over = {version.partition: exceeded(table, version) for version in versions}
    found = []
    for result in results:
        parts = [result.partition] if result.partition in over else over
        said = [over[part][result.rule.name] for part in parts if result.rule.name in over[part]]
        found.append(_refused(result, said) if said else result)
    return tuple(found)


def _refused(result: RuleResult, said: Sequence[str]) -> RuleResult:
    rule = replace(result.rule, blocking=True)
    more = [f"and so in {len(said) - _TOLD} more partitions"] if len(said) > _TOLD else []
    reasons = [*said[:_TOLD], *more, *([] if result.passed else [result.reason])]
    return replace(result, rule=rule, passed=False, message="; ".join(reasons), error=result.error)


def exceeded(table: Table, version: Version) -> dict[str, str]:
    """Return what is to be said where more of `version` was set aside than may be, by the rule that this fails."""
    aside = sum(file.rows for file in version.quarantine_files)
    total = version.rows + aside
    names = {rule.name for rule in table.rules}
    fallback = next((rule.name for rule in table.rules if rule.kind is RuleKind.SCHEMA), "")
    limits = [(rule.name, rule.quarantine_limit) for rule in table.rules]
    limits += [(one.name, one.quarantine_limit) for one in table.treatments if one.name not in names]
    said: dict[str, list[str]] = {}
    for name, limit in limits:
        rows = version.quarantined.get(name, 0)
        if limit and not holds(limit, in_unit(limit, rows, total)):
            text = f"{name} would set aside {_of(rows, total, version)}, and may {_at_most(limit)}"
            said.setdefault(name if name in names else fallback, []).append(text)
    limit = table.quarantine_limit
    if limit and not holds(limit, in_unit(limit, aside, total)):
        text = f"{table.name} would lose {_of(aside, total, version)} to quarantine, and may {_at_most(limit)}"
        for name, rows in version.quarantined.items():
            if rows:
                said.setdefault(name if name in names else fallback, []).append(text)
    return {name: "; ".join(texts) for name, texts in said.items()}


def _of(rows: int, total: int, version: Version) -> str:
    share = f"{100 * rows / total:.3g} %" if total else "0 %"
    where = f" of {version.partition}" if version.partition else ""
    return f"{rows} of {total} rows{where} ({share})"


def _at_most(limit: Threshold) -> str:
    unit = "%" if limit.unit == "percent" else limit.unit
    return f"at most {limit.values[0]:g} {unit}"
