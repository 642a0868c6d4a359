"""The policies that a contract declares for missing and outlying values; it must not know what they do to rows.

A policy that rejects, sets aside or allows values by fixed bounds is a rule like any other, so that each refresh keeps
what it found; one that replaces values, or finds its bounds in the rows, acts before rows are split and judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.declare.fields import custom, custom_place, listing, text
from dataproducts.declare.implied_rules import limit_of, slug
from dataproducts.errors import Fault, suggest
from dataproducts.product import (
    Column,
    Dimension,
    OnFailure,
    Operator,
    Rule,
    RuleKind,
    Severity,
    Threshold,
    Treatment,
)
from dataproducts.rules.predicates import PARTITION, Family, family
from dataproducts.rules.quarantine import ASIDE_COLUMNS, ROW_COLUMN
from dataproducts.sql import literal
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import Partitioning, Table

_NUMBERS = frozenset({Family.EXACT, Family.FLOAT})
_ORDERED = _NUMBERS | {Family.TEMPORAL}
_ANY_NUMBER = Threshold(Operator.MUST_BE_GREATER_OR_EQUAL_TO, (0,))


def read_treatments(
    found: Gathering, path: str, data: Mapping[str, Any], place: Place, *, partitioning: Partitioning | None
) -> Iterator[Treatment]:
    """Yield the policies of the column at `path`, and add the rules that they imply; faults are kept in `found`."""
    ours = custom(data)
    limit = limit_of(ours.get("maxQuarantined"))
    for of, judge in (("missing", _judge_missing), ("outliers", _judge_outliers)):
        written = ours.get(of)
        params = dict(written) if isinstance(written, dict) else {"policy": written}
        policy = text(params, "policy")
        if not policy:
            continue
        where = custom_place(data, of, place)
        column = found.columns[path]
        sound = judge(found, column, params, where)
        if policy in {"impute", "cap"}:
            sound = _judge_changed(found, path, policy, where, partitioning) and sound
        if policy == "allow" and of == "missing" and (column.required or column.primary_key):
            found.refuse(where, f"{path!r} is required, and may be missing", "Write another policy, or drop one.")
        if not sound:
            continue
        kept = {key: value for key, value in params.items() if key != "policy"}
        mark = found.document.mark(*where)
        treatment = Treatment(f"{slug(path)}.{of}", path, of, policy, kept, mark, limit)
        if policy in {"reject", "quarantine", "allow"} and not treatment.is_statistical:
            found.add(_rule(treatment, found.policies[path]))
        yield treatment


def judge_quarantine(document: Document, table: Table, entry: Mapping[str, Any], place: Place) -> Iterator[Fault]:
    """Yield a limit where nothing is set aside, and columns that bear the name of one that quarantine adds."""
    aside = any(rule.on_failure is OnFailure.QUARANTINE for rule in table.rules) or any(
        one.policy == "quarantine" for one in table.treatments
    )
    if table.quarantine_limit and not aside:
        what = f"maxQuarantined limits what no rule of {table.name!r} does"
        where = custom_place(entry, "maxQuarantined", place)
        yield document.fault(where, what, "Give a rule `onFailure: quarantine`, or delete it.")
    ours = {ROW_COLUMN, *(name for name, _ in ASIDE_COLUMNS)} if aside else set()
    for column in table.columns:
        if column.name.lower() in ours | {PARTITION}:
            when = "quarantined rows get" if column.name.lower() in ours else "rows get while they are judged"
            what = f"column {column.name!r} has the name of one that {when}"
            yield Fault(column.mark.path, column.mark.line, what, "Rename it.")


def _rule(treatment: Treatment, policy: Mapping[str, Any]) -> Rule:
    is_missing = treatment.of == "missing"
    bounds = {key: value for key, value in treatment.params.items() if key in {"minimum", "maximum"}}
    values = [None, *listing(treatment.params, "values")]
    allowed = treatment.policy == "allow"
    return Rule(
        treatment.name,
        RuleKind.MISSING_VALUES if is_missing else RuleKind.RANGE,
        (treatment.column,),
        {"missingValues": values} if is_missing else bounds,
        threshold=_ANY_NUMBER if allowed else Threshold(),
        dimension=Dimension.COMPLETENESS if is_missing else Dimension.VALIDITY,
        severity=Severity.INFO if allowed else Severity.ERROR,
        criticality=policy.get("criticality", "medium"),
        blocking=not allowed,
        on_failure=OnFailure.QUARANTINE if treatment.policy == "quarantine" else OnFailure.REFUSE,
        mark=treatment.mark,
        quarantine_limit=treatment.quarantine_limit if treatment.policy == "quarantine" else None,
    )


def _judge_missing(found: Gathering, column: Column, params: Mapping[str, Any], place: Place) -> bool:
    """Whether a policy for missing values can be carried out."""
    given = [key for key in ("value", "by") if params.get(key) is not None]
    if text(params, "policy") != "impute":
        odd = [*given, *(["orderBy"] if "orderBy" in params else [])]
        if odd:
            found.refuse((*place, odd[0]), f"`{odd[0]}` belongs to the policy impute", "Delete it.")
        return not odd
    if len(given) != 1:
        found.refuse(place, "impute needs what to put in: a `value`, or `by` what it is found", "Write one of them.")
        return False
    by, order = text(params, "by"), text(params, "orderBy")
    if (by == "previous") != bool(order):
        found.refuse(place, "`by: previous` and `orderBy` need each other", "Name the column that rows are ordered by.")
        return False
    if order and order not in found.columns:
        fix = suggest(order, list(found.columns)).strip()
        found.refuse((*place, "orderBy"), f"column {order!r} is not in table {found.table!r}", fix)
        return False
    if by == "mean" and family(column.sql_type) not in _NUMBERS:
        what = f"column {column.name!r} is {column.sql_type}, which has no mean"
        found.refuse((*place, "by"), what, "Write mode, median or previous.")
        return False
    return by != "" or _judge_value(found, column, params["value"], (*place, "value"))


def _judge_outliers(found: Gathering, column: Column, params: Mapping[str, Any], place: Place) -> bool:
    """Whether a policy for outlying values can be carried out."""
    fixed = [key for key in ("minimum", "maximum") if params.get(key) is not None]
    method = text(params, "method")
    spare = [key for key in ("factor", "lower", "upper") if key in params and key not in _KEYS.get(method, ())]
    problem = ""
    if bool(fixed) == bool(method):
        problem = "outliers need bounds: `minimum` and `maximum`, or a `method` that finds them"
    elif spare:
        problem = f"`{spare[0]}` does not belong to the method {method!r}" if method else f"`{spare[0]}` needs a method"
    elif method and text(params, "policy") == "reject":
        problem = "bounds that are found in the rows move with them, so that they cannot reject a table"
    elif method == "percentiles" and not 0 <= params.get("lower", 0) < params.get("upper", 100) <= 100:  # noqa: PLR2004
        problem = "`lower` and `upper` are percentiles: from 0 to 100, the lower first"
    elif family(column.sql_type) not in (_NUMBERS if method == "iqr" else _ORDERED):
        problem = f"column {column.name!r} is {column.sql_type}, which has no such bounds"
    if problem:
        found.refuse(place, problem, "Write `minimum` and `maximum`, or quarantine, cap or allow by a method.")
        return False
    if (
        len(fixed) > 1
        and isinstance(params["minimum"], type(params["maximum"]))
        and params["minimum"] > params["maximum"]
    ):
        found.refuse(
            (*place, "minimum"), f"nothing lies between {params['minimum']} and {params['maximum']}", "Swap them."
        )
        return False
    return all(_judge_value(found, column, params[key], (*place, key)) for key in fixed)


_KEYS = {"iqr": ("factor",), "percentiles": ("lower", "upper")}


def _judge_changed(found: Gathering, path: str, policy: str, place: Place, partitioning: Partitioning | None) -> bool:
    """Whether values of the column may be replaced: a made-up key, or time of a partition, would be a lie."""
    column = found.columns[path]
    why = ""
    if path != column.name:
        why = "lies inside another column"
    elif column.primary_key or column.unique:
        why = "identifies rows"
    elif partitioning and partitioning.column == path:
        why = "says to which partition a row belongs"
    if why:
        found.refuse(place, f"{path!r} {why}, so that {policy} cannot replace its values", "Reject or quarantine them.")
    return not why


def _judge_value(found: Gathering, column: Column, value: Any, place: Place) -> bool:
    """Whether a value of the contract is one of the column's type, with nothing rounded away."""
    if not _fits(value, column.sql_type):
        found.refuse(
            place, f"{value!r} is no {column.sql_type}, as {column.name!r} is", "Write a value that it can hold."
        )
        return False
    return True


def _fits(value: Any, kind: str) -> bool:
    try:
        written = literal(value)
        exact = family(kind) is Family.EXACT and isinstance(value, int | float)
        same = f" AND CAST(TRY_CAST({written} AS {kind}) AS DOUBLE) = CAST({written} AS DOUBLE)" if exact else ""
        with database().cursor() as con:
            rows = con.execute(f"SELECT (TRY_CAST({written} AS {kind}) IS NOT NULL{same})").fetchall()
    except (duckdb.Error, TypeError):
        return False
    return bool(rows[0][0])
