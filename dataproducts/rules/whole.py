"""Rules that compare one number of a whole table: of a query, of two, of its age, of its history; it must not run them.

Which rows a rule rejects is not known here. What cannot be judged raises, and the gate makes a failed result of it.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from dataproducts.errors import UsageError
from dataproducts.product import RuleKind
from dataproducts.rules.confine import confined
from dataproducts.rules.drift import compare
from dataproducts.rules.facts import PROVED, proved_newest
from dataproducts.rules.finding import Finding
from dataproducts.rules.predicates import column_at, holds, judged, newest
from dataproducts.rules.reads import query_of
from dataproducts.rules.wording import duration
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Callable

    from dataproducts.product import Rule, Table
    from dataproducts.rules.finding import Asked


def _row_count(asked: Asked, rule: Rule) -> Finding:
    method = PROVED if asked.rows.facts else "scan"
    said = f"{asked.total} rows ({rule.threshold})"
    return Finding(holds(rule.threshold, asked.total), asked.total, said, method)


def _sql(asked: Asked, rule: Rule) -> Finding:
    observed = float(_number(asked, query_of(rule, asked.table)))
    said = f"the query gave {observed:g} ({_bare(rule)})"
    return Finding(holds(rule.threshold, observed), observed, said)


def _bare(rule: Rule) -> str:
    return str(rule.threshold).removesuffix(rule.threshold.unit).strip()


def _number(asked: Asked, query: str) -> float | int | Decimal:
    """The one number that a confined query gives."""
    names = {**asked.names, asked.table.name: asked.rows.sql}
    read = confined(query, names)
    given = ", ".join(f"{quote(name)} AS NOT MATERIALIZED (SELECT * FROM {names[name]})" for name in read)
    value = one_value(asked, f"{f'WITH {given} ' if given else ''}SELECT * FROM ({query}\n)")
    if value is None:
        raise UsageError("the query gave NULL, which satisfies nothing")
    if not isinstance(value, int | float | Decimal):
        raise UsageError(f"the query gave a {type(value).__name__}, which is no number: let it count or sum")
    return value


def one_value(asked: Asked, query: str) -> Any:
    """Return the one value of the one row that `query` gives. Raises: UsageError; duckdb.Error."""
    rows = asked.con.execute(query).fetchmany(2)
    if len(rows) != 1 or len(rows[0]) != 1:
        raise UsageError("the query must give one row with one value")
    return rows[0][0]


def _reconciliation(asked: Asked, rule: Rule) -> Finding:
    """Two totals that must agree: the table's, and one of a source that does not depend on it."""
    ours, control = (_number(asked, query_of(rule, asked.table, key=key)) for key in ("query", "control"))
    exact = not isinstance(ours, float) and not isinstance(control, float)
    difference = float(abs(Decimal(ours) - Decimal(control)) if exact else abs(float(ours) - float(control)))
    said = f"the total is {_exact(ours)}, the control total {_exact(control)}"
    if rule.threshold.unit == "percent":
        if control == 0 and difference:
            return Finding(False, None, f"{said}: no percentage of 0 tells the difference ({rule.threshold})")  # noqa: FBT003
        observed = 100 * difference / abs(float(control)) if control else 0.0
        return Finding(holds(rule.threshold, observed), observed, f"{said}: {observed:.3g} % off ({rule.threshold})")
    said = f"{said}: {_exact(difference)} off ({_bare(rule)})"
    return Finding(holds(rule.threshold, difference), difference, said)


def _exact(value: float | Decimal) -> str:
    if isinstance(value, int | Decimal):
        return f"{value:,}"
    return f"{value:,.0f}" if math.isfinite(value) and value == int(value) else f"{value:,.12g}"


def outlived(rule: Rule, table: Table, now: datetime) -> str:
    """Return SQL that is TRUE for a row that is older than its retention allows at `now`."""
    try:
        kept_s = float(rule.params["max_age_s"])
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{rule.mark}: rule {rule.name!r} gives no max_age_s") from None
    column, sql = column_at(table, rule.columns[0])
    oldest = _utc(now) - timedelta(seconds=kept_s)
    zoned = "ZONE" in column.sql_type.upper() or column.sql_type.upper().startswith("TIMESTAMPTZ")
    moment = literal(oldest if zoned else oldest.replace(tzinfo=None))
    # A day is past when it is over: of days, those before the day of the moment are too old.
    return f"{sql} < {literal(oldest.date()) if column.sql_type == 'DATE' else moment}"


def _deadline(asked: Asked, rule: Rule) -> Finding:
    return _until(asked, rule) if "until" in rule.params else _by_time_of_day(asked, rule)


def _until(asked: Asked, rule: Rule) -> Finding:
    """A day after which the promise has ended."""
    end, now = _utc(datetime.fromisoformat(str(rule.params["until"]))), _utc(asked.now)
    left_s = (end - now).total_seconds()
    when = f"{rule.params.get('property', 'end')} is {end:%Y-%m-%d %H:%M} UTC"
    said = f"{when}, {duration(abs(left_s))} {'from now' if left_s > 0 else 'ago'}"
    return Finding(left_s > 0, left_s, said, "clock")


def _by_time_of_day(asked: Asked, rule: Rule) -> Finding:
    """By that time of each day, rows of the day before must be there."""
    at = time.fromisoformat(str(rule.params["by"]))
    zone = at.tzinfo or UTC
    now = _utc(asked.now).astimezone(zone)
    due = now.date() if now.timetz() >= at.replace(tzinfo=zone) else now.date() - timedelta(days=1)
    expected = due - timedelta(days=1)
    known, moment = proved_newest(asked.con, asked.table, rule, asked.rows.facts) if asked.rows.facts else (False, None)
    method = PROVED if known else "scan"
    if not known:
        moment = one_value(asked, f"SELECT {newest(rule, asked.table)} FROM {judged(asked.rows.sql)}")
    name = rule.columns[0]
    if moment is None:
        return Finding(False, None, f"no row has a {name}: nothing of {expected} is there", method)  # noqa: FBT003
    column = column_at(asked.table, name)[0]
    zoned = "ZONE" in column.sql_type.upper() or column.sql_type.upper().startswith("TIMESTAMPTZ")
    reached = datetime.fromtimestamp(float(moment), zone if zoned else UTC).date()
    behind = (expected - reached).days
    said = f"newest {name} is of {reached}; by {rule.params['by']} of {due}, rows of {expected} must be there"
    return Finding(behind <= 0, float(behind), said, method)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(_asked: Asked, _rule: Rule) -> Finding:
    """Nobody can judge prose: the result says so, and blocks nothing."""
    said = "declared only: this rule is text and nothing checks it"
    return Finding(True, None, said, "declared-only")  # noqa: FBT003


FINDERS: dict[RuleKind, Callable[[Asked, Rule], Finding]] = {
    RuleKind.ROW_COUNT: _row_count,
    RuleKind.SQL: _sql,
    RuleKind.RECONCILIATION: _reconciliation,
    RuleKind.DEADLINE: _deadline,
    RuleKind.DRIFT: compare,
    RuleKind.ANOMALY: compare,
    RuleKind.TEXT: _text,
}
"""What finds each kind of rule on a whole table that rejects no single rows."""
