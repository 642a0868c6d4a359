"""What a column's policies do to staged rows: missing values imputed, outlying ones capped; it must not judge rules.

Settled once, for every policy:

- Missing is NULL, and what `values` lists. NULL, a listed value and NaN are never outlying, and count in no statistic.
- All statistics are of the rows as they were staged for one version: a table, or one partition of it.
- `median` is the lower of the two middle values, `mode` the smallest of those that are most frequent: both are values
  that occur. `mean` is cast to the column's type. `previous` is the last value before the row in the order of
  `orderBy`, rows that are equal there in the order of all columns; without one, the value stays missing.
- Quartiles (`iqr`) are interpolated; percentiles are values that occur.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataproducts.errors import UsageError
from dataproducts.product import OnFailure, Rule, RuleKind
from dataproducts.rules.predicates import JUDGED, Family, failing_row, family, judged
from dataproducts.sql import literal, qualified, quote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from dataproducts.product import Column, Table, Treatment

IQR_FACTOR = 1.5
"""How many times the distance between the quartiles a value may lie beyond them, unless the contract says."""


@dataclass(frozen=True, slots=True)
class Treated:
    """What the policies of a table come to on some rows.

    `sql` selects the rows with the values that policies put in; it is None where none was replaced. `counts` holds,
    by name of policy, the rows that it concerns, whatever it does to them: 0 too. `rules` stand for policies that set
    rows aside by bounds that were found in the rows.
    """

    sql: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """One policy on the rows at hand: SQL that is TRUE for a row it concerns, and its bounds as SQL, if it has any."""

    treatment: Treatment
    column: Column
    concerned: str
    low: str | None = None
    high: str | None = None


def treat(con: duckdb.DuckDBPyConnection, table: Table, staged: str, *, measured: str | None = None) -> Treated:
    """Return what the policies of `table` do to the rows of `staged`, SQL that can follow FROM.

    Statistics are those of `measured`, which is `staged` unless given: a relation with the same columns.

    Raises:
        UsageError: a policy does not fit its column.
        duckdb.Error: the rows cannot be read.
    """
    if not table.treatments:
        return Treated()
    found = [_resolve(con, table, treatment, measured or staged) for treatment in table.treatments]
    counts = _counts(con, staged, found)
    acting = [one for one in found if one.treatment.changes_values and counts[one.treatment.name]]
    rules = [
        _bounds_rule(one)
        for one in found
        if one.treatment.policy == "quarantine" and one.treatment.is_statistical and (one.low or one.high)
    ]
    if not acting:
        return Treated(None, counts, tuple(rules))
    names = dict.fromkeys(one.column.name for one in acting)
    replaced = ", ".join(
        f"{_replacement(con, table, measured or staged, [one for one in acting if one.column.name == name])}"
        f" AS {quote(name)}"
        for name in names
    )
    return Treated(f"SELECT * REPLACE ({replaced}) FROM {judged(staged)}", counts, tuple(rules))


def _resolve(con: duckdb.DuckDBPyConnection, table: Table, treatment: Treatment, measured: str) -> _Found:
    """Bounds that hang on the rows become constants here, so that every later reading of the rows agrees on them."""
    missing = _missing(table, treatment)
    if treatment.of == "missing":
        return _Found(treatment, _top(table, treatment.column), missing)
    if not treatment.is_statistical:
        rule = Rule(treatment.name, RuleKind.RANGE, (treatment.column,), _constants(treatment), mark=treatment.mark)
        outside = failing_row(rule, table)
        column = _top(table, treatment.column)
        if family(column.sql_type) is Family.FLOAT and treatment.policy == "cap":
            outside = f"({outside}) AND NOT isnan({qualified(JUDGED, column.name)})"
        bounds = (treatment.params.get(key) for key in ("minimum", "maximum"))
        low, high = (None if bound is None else f"CAST({literal(bound)} AS {column.sql_type})" for bound in bounds)
        return _Found(treatment, column, f"({outside}) AND NOT ({missing})", low, high)
    return _measured_bounds(con, table, treatment, measured)


def _top(table: Table, path: str) -> Column:
    """The column of the table that `path` names or lies in."""
    named = [c for c in table.columns if path == c.name or path.startswith(f"{c.name}.")]
    if not named:
        raise UsageError(f"{table.mark}: a policy names {path!r}, which is no column of {table.name!r}")
    return max(named, key=lambda column: len(column.name))


def _constants(treatment: Treatment) -> dict[str, object]:
    return {key: value for key, value in treatment.params.items() if key in {"minimum", "maximum"}}


def _missing(table: Table, treatment: Treatment) -> str:
    """SQL that is TRUE or FALSE, never NULL, for a row under `JUDGED` whose value is missing."""
    of_column = (t.params.get("values", ()) for t in table.treatments if t.column == treatment.column)
    values = [None, *(value for values in of_column for value in values)]
    rule = Rule(treatment.name, RuleKind.MISSING_VALUES, (treatment.column,), {"missingValues": values})
    return f"({failing_row(rule, table)}) IS TRUE"


def _measured_bounds(con: duckdb.DuckDBPyConnection, table: Table, treatment: Treatment, measured: str) -> _Found:
    column = _top(table, treatment.column)
    value, params = qualified(JUDGED, column.name), treatment.params
    present = _present(table, treatment, column)
    if params["method"] == "iqr":
        factor = float(params.get("factor", IQR_FACTOR))
        number = f"CAST({value} AS DOUBLE)"
        low, high = (f"quantile_cont({number}, {share}) FILTER (WHERE {present})" for share in (0.25, 0.75))
        spread = f"{factor} * ({high} - {low})"
        low, high, kind = f"{low} - {spread}", f"{high} + {spread}", "DOUBLE"
    else:
        shares = (float(params.get("lower", 0)) / 100, float(params.get("upper", 100)) / 100)
        low, high = (f"quantile_disc({value}, {share}) FILTER (WHERE {present})" for share in shares)
        number, kind = value, column.sql_type
    found = con.execute(f"SELECT CAST({low} AS VARCHAR), CAST({high} AS VARCHAR) FROM {judged(measured)}").fetchall()
    bounds = [None if text is None else f"CAST({literal(text)} AS {kind})" for text in found[0]]
    tests = [f"{number} {sign} {bound}" for sign, bound in zip("<>", bounds, strict=True) if bound is not None]
    return _Found(treatment, column, f"({' OR '.join(tests) or 'FALSE'}) AND {present}", *bounds)


def _present(table: Table, treatment: Treatment, column: Column) -> str:
    """SQL that is TRUE for a row whose value counts in statistics."""
    value = qualified(JUDGED, column.name)
    finite = f" AND NOT isnan({value})" if family(column.sql_type) is Family.FLOAT else ""
    return f"NOT ({_missing(table, treatment)}){finite}"


def _counts(con: duckdb.DuckDBPyConnection, staged: str, found: Sequence[_Found]) -> dict[str, int]:
    counted = ", ".join(f"count(*) FILTER (WHERE {one.concerned})" for one in found)
    numbers = con.execute(f"SELECT {counted} FROM {judged(staged)}").fetchall()[0]
    return {one.treatment.name: int(number) for one, number in zip(found, numbers, strict=True)}


def _replacement(con: duckdb.DuckDBPyConnection, table: Table, measured: str, found: Sequence[_Found]) -> str:
    """SQL for the value of one column after its policies; a row that none concerns keeps what it has."""
    value = qualified(JUDGED, found[0].column.name)
    caps: list[str] = []
    for one in found:
        number = f"CAST({value} AS DOUBLE)" if one.treatment.params.get("method") == "iqr" else value
        for sign, bound, inward in (("<", one.low, "ceil"), (">", one.high, "floor")):
            if bound is not None:
                caps.append(f"WHEN ({one.concerned}) AND {number} {sign} {bound} THEN {_capped(one, bound, inward)}")
    within = f"CASE {' '.join(caps)} ELSE {value} END" if caps else value
    gaps = [
        f"WHEN {one.concerned} THEN {_imputed(con, table, measured, one, within)}"
        for one in found
        if one.treatment.of == "missing"
    ]
    return f"CASE {' '.join(gaps)} ELSE {within} END" if gaps else within


def _capped(found: _Found, bound: str, inward: str) -> str:
    """The bound as a value of the column; rounded to the inside where its type is coarser."""
    kind = found.column.sql_type
    if found.treatment.params.get("method") != "iqr" or family(kind) is not Family.EXACT:
        return f"CAST({bound} AS {kind})"
    digits = kind.partition(",")[2].rstrip(") ")
    step = 10 ** int(digits or 0)
    return f"CAST({inward}({bound} * {step}) / {step} AS {kind})"


def _imputed(con: duckdb.DuckDBPyConnection, table: Table, measured: str, found: _Found, within: str) -> str:
    """SQL for what stands in for a missing value; `within` is the column's value after its cap."""
    params, column = found.treatment.params, found.column
    if "by" not in params:
        return f"CAST({literal(params.get('value'))} AS {column.sql_type})"
    value, present = qualified(JUDGED, column.name), _present(table, found.treatment, column)
    if params["by"] == "previous":
        keys = [qualified(JUDGED, name) for name in (params["orderBy"], *(c.name for c in table.columns))]
        order = ", ".join(f"{key} NULLS LAST" for key in keys)
        known = f"CASE WHEN {present} THEN {within} END"
        frame = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
        # What a list calls missing stays as it was where nothing precedes it.
        return f"coalesce(last_value({known} IGNORE NULLS) OVER (ORDER BY {order} {frame}), {value})"
    rows = f"FROM {judged(measured)} WHERE {present}"
    query = {
        # The order of the sum is fixed, so that the last digits do not hang on how threads share the rows.
        "mean": f"SELECT avg({value} ORDER BY {value}) {rows}",
        "median": f"SELECT quantile_disc({value}, 0.5) {rows}",
        "mode": f"SELECT {value} {rows} GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
    }[str(params["by"])]
    answer = con.execute(f"SELECT CAST(({query}) AS VARCHAR)").fetchall()[0][0]
    if answer is None:
        return value
    kind = "DOUBLE" if params["by"] == "mean" else column.sql_type
    return f"CAST(CAST({literal(answer)} AS {kind}) AS {column.sql_type})"


def _bounds_rule(found: _Found) -> Rule:
    """A rule for the split alone; `params` holds its predicate, for no gate could find the bounds again."""
    treatment = found.treatment
    return Rule(
        treatment.name,
        RuleKind.RANGE,
        (treatment.column,),
        {"predicate": found.concerned},
        on_failure=OnFailure.QUARANTINE,
        mark=treatment.mark,
        quarantine_limit=treatment.quarantine_limit,
    )
