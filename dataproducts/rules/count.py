"""Counting what rules reject by the cheapest exact proof; it must not know whether that is too many.

What facts prove costs nothing. What a regular expression or a list rejects is tried once a value where values repeat.
One scan answers the rest. Whatever is not proved is counted: nothing is estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import StoreError
from dataproducts.product import RuleKind
from dataproducts.rules.distinct import DISTINCT, by_values, count_values
from dataproducts.rules.facts import PROVED, proved_newest, proved_rejects
from dataproducts.rules.predicates import JUDGED, PARTITION
from dataproducts.rules.scan import SCAN, Counted, scan, together
from dataproducts.sql import qualified

if TYPE_CHECKING:
    from dataproducts.product import Table
    from dataproducts.rules.facts import Rows
    from dataproducts.rules.passes import Passes
    from dataproducts.rules.scan import Measure

THE_DAY = f"CAST({qualified(JUDGED, PARTITION)} AS DATE)"
"""The first day of a row's partition, for predicates that judge several partitions in one statement."""


Joined = Callable[[Sequence[str]], str]
"""Gives SQL for the rows of several partitions, with the partition of each row in the column `PARTITION`."""

_Parts = dict[str | None, Counted]


def count(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    parts: Mapping[str | None, Rows],
    measures: Sequence[Measure],
    passes: Passes,
    *,
    joined: Joined | None = None,
) -> dict[str | None, Counted]:
    """Return what `measures` give on each of `parts`; an unpartitioned table is the one part None.

    `joined` gives SQL for several parts at once. A measure that cannot be made has its error in the result, and does
    not hinder the others. Raises: duckdb.Error, if the rows cannot be read at all.
    """
    with passes.timed(PROVED) as proving:
        found = _proved(con, table, parts, measures)
        answered = {name for counted in found.values() for name in counted.values}
        proving.answered([m.rule.name for m in measures if m.rule.name in answered])
    open_parts = {
        part: rows for part, rows in parts.items() if rows.facts is None or len(found[part].values) < len(measures)
    }
    if not open_parts:
        return found
    rest = [m for m in measures if any(m.rule.name not in found[part].values for part in open_parts)]
    several = joined([part for part in open_parts if part]) if joined and len(open_parts) > 1 else ""
    by_values = _by_values(con, table, open_parts, rest, passes, several)
    rest = [m for m in rest if not any(m.rule.name in counted.values for counted in by_values.values())]
    known = all(rows.facts for rows in open_parts.values())
    scanned = _scanned(con, open_parts, rest, passes, several) if rest or not known else {}
    # Fail closed: of a part that the statement did not find as it is known to be, nothing is known.
    for part, rows in open_parts.items():
        if rows.facts and part in scanned and scanned[part].total != rows.facts.rows:
            said = StoreError(f"{scanned[part].total} rows were read where {rows.facts.rows} are known to be")
            scanned[part] = Counted(rows.facts.rows, errors={measure.rule.name: said for measure in rest})
    return {part: _joined(found[part], by_values.get(part), scanned.get(part)) for part in parts}


def _proved(
    con: duckdb.DuckDBPyConnection, table: Table, parts: Mapping[str | None, Rows], measures: Sequence[Measure]
) -> _Parts:
    """What facts alone tell of each part."""
    known = {part: rows.facts for part, rows in parts.items() if rows.facts is not None}
    predicates = {measure.rule.name: measure.predicate for measure in measures if measure.predicate}
    rules = [measure.rule for measure in measures if measure.predicate]
    rejects = proved_rejects(con, table, predicates, rules, known)
    found: _Parts = dict.fromkeys(parts, Counted())
    for part, facts in known.items():
        values: dict[str, float | None] = {**rejects[part]}
        for rule in (m.rule for m in measures if m.rule.kind is RuleKind.FRESHNESS):
            is_known, moment = proved_newest(con, table, rule, facts)
            values |= {rule.name: moment} if is_known else {}
        found[part] = Counted(facts.rows, values, methods=dict.fromkeys(values, PROVED))
    return found


def _by_values(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    parts: Mapping[str | None, Rows],
    measures: Sequence[Measure],
    passes: Passes,
    several: str,
) -> _Parts:
    """What the distinct values of text columns tell, where that is cheaper than a scan."""
    rules = [measure.rule for measure in measures if measure.predicate]
    total = sum(rows.facts.rows for rows in parts.values() if rows.facts)
    relations = {part: rows.sql for part, rows in parts.items()}
    predicates = {measure.rule.name: measure.predicate for measure in measures}
    values: dict[str | None, dict[str, int]] = {part: {} for part in parts}
    try:
        chosen = by_values(con, together(relations, several)[0], rules, table, total)
    except duckdb.Error:
        return {}
    for column, cheaper in chosen.items():
        names = [rule.name for rule in cheaper]
        try:
            with passes.timed(f"{DISTINCT} of {column}", rows=total) as grouping:
                found = count_values(con, relations, column, {name: predicates[name] for name in names}, several)
                grouping.answered(names)
        except duckdb.Error:
            continue  # the scan says which rule is at fault
        for part, counts in values.items():
            counts.update(found.get(part, dict.fromkeys(names, 0)))
    return {part: Counted(0, counts, methods=dict.fromkeys(counts, DISTINCT)) for part, counts in values.items()}


def _scanned(
    con: duckdb.DuckDBPyConnection,
    parts: Mapping[str | None, Rows],
    measures: Sequence[Measure],
    passes: Passes,
    several: str,
) -> _Parts:
    with passes.timed(SCAN) as scanning:
        found = scan(con, {part: rows.sql for part, rows in parts.items()}, measures, several)
        scanning.answered([m.rule.name for m in measures], rows=sum(counted.total for counted in found.values()))
    return found


def _joined(proved: Counted, by_values: Counted | None, scanned: Counted | None) -> Counted:
    """One answer from three, the cheapest proof of each measure first."""
    values, methods, total = dict(proved.values), dict(proved.methods), proved.total
    errors: dict[str, Exception] = {}
    for more in (by_values, scanned):
        if more is None:
            continue
        total = max(total, more.total)
        errors |= {name: error for name, error in more.errors.items() if name not in values}
        methods = {**more.methods, **methods}
        values = {**more.values, **values}
    return Counted(total, values, errors, methods)
