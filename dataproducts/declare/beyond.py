"""Rules beyond the standard, `engine: dataproducts` under `quality`; it must not know how they are judged.

They stand in the standard's own place for rules of tools: `type: custom`, with one kind of rule in `implementation`
and the operator beside it, for a custom rule of the standard has none. Expressions are bound to the declared columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import listing, mapping, number, text
from dataproducts.declare.standards import judge_value
from dataproducts.declare.thresholds import UNITS, read_threshold
from dataproducts.errors import DataProductError, UsageError, suggest
from dataproducts.product import Dimension, Operator, RuleKind, Threshold
from dataproducts.rules.conditions import expression_problem, read_expression
from dataproducts.rules.confine import table_names
from dataproducts.rules.custom.engines import known_engine
from dataproducts.rules.drift import FEWEST, FEWEST_TO_LEARN, RELEASES
from dataproducts.rules.measures import COMPARING_KINDS
from dataproducts.rules.predicates import JUDGED, Family, family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.telling import Place
    from dataproducts.product import Column
    from dataproducts.rules.conditions import Expression

ENGINE = "dataproducts"
"""The engine of rules of our own."""

KINDS = {
    "condition": RuleKind.CONDITION,
    "functionalDependency": RuleKind.FUNCTIONAL_DEPENDENCY,
    "reconciliation": RuleKind.RECONCILIATION,
    "drift": RuleKind.DRIFT,
    "anomaly": RuleKind.ANOMALY,
}
"""Kinds of rules by the key of `implementation` that declares them."""

_OF_NUMBERS = ("mean", "stddev", "quantile")
_CHANGES = ("percent", "value")
_DIMENSIONS = {"rows": Dimension.VOLUME, "nulls": Dimension.COMPLETENESS}
_DEVIATIONS = 3

Read = tuple[tuple[str, ...], dict[str, Any], Threshold]


def is_ours(entry: Mapping[str, Any]) -> bool:
    """Return whether a rule is of our own engine, however its name is spelt."""
    return text(entry, "type") == "custom" and _bare(text(entry, "engine")) == ENGINE


def _bare(name: str) -> str:
    return known_engine(name).replace("-", "").replace("_", "").replace(" ", "").lower()


def kind_of_ours(found: Gathering, entry: Mapping[str, Any], place: Place) -> tuple[RuleKind, str] | None:
    """Return the kind of a rule of our engine and the key that declares it; None, with a fault, if it is not clear."""
    given, where = entry.get("implementation"), (*place, "implementation")
    faults = judge_value(found.document, given, where, "rule.implementation")
    found.faults.extend(faults)
    for operator in Operator:
        if operator.value in entry:
            what = f"`{operator}` stands beside `implementation`, where the standard has no operator"
            found.refuse((*place, operator.value), what, "Move it into `implementation`.")
            return None
    if faults or not isinstance(given, dict):
        return None
    key = next(key for key in KINDS if key in given)
    return KINDS[key], key


def read_beyond(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind, path: str) -> Read | None:
    """Return the columns, parameters and threshold of a rule of our engine; None, with faults, if it cannot be used.

    `path` is the column under which it stands, empty for a rule of the table.
    """
    given = {"unit": text(entry, "unit"), **mapping(entry, "implementation")}
    where: Place = (*place, "implementation")
    key = next(name for name, known in KINDS.items() if known is kind)
    body, inside = mapping(given, key), (*where, key)
    before = len(found.faults)
    if kind in COMPARING_KINDS:
        read = _comparing(found, given, body, where, kind, path)
    elif kind is RuleKind.RECONCILIATION:
        _judge_queries(found, body, inside)
        threshold = read_threshold(found, given, where, units=("value", "percent"))
        read = ((path,) if path else (), dict(body), threshold)
    elif kind is RuleKind.FUNCTIONAL_DEPENDENCY:
        read = (*_dependency(found, body, inside, path), read_threshold(found, given, where, units=UNITS))
    else:
        read = (*_condition(found, body, inside), read_threshold(found, given, where, units=UNITS))
    return None if len(found.faults) > before else read


def dimension_of(kind: RuleKind, params: Mapping[str, Any]) -> Dimension | None:
    """Return the dimension of a rule that compares versions, by its metric; None for other kinds."""
    return _DIMENSIONS.get(str(params.get("metric")), Dimension.VALIDITY) if kind in COMPARING_KINDS else None


def _top(found: Gathering) -> dict[str, Column]:
    """The table's own columns, without those inside others."""
    return {path: column for path, column in found.columns.items() if column.name == path}


def _condition(found: Gathering, body: Mapping[str, Any], place: Place) -> tuple[tuple[str, ...], dict[str, Any]]:
    types = {name: column.sql_type for name, column in _top(found).items()}
    read: dict[str, Expression] = {}
    for key in ("when", "then"):
        if key not in body:
            continue
        try:
            read[key] = read_expression(body[key], tuple(types), alias=JUDGED)
            problem = expression_problem(read[key], types, alias=JUDGED)
        except DataProductError as error:
            problem = str(error)
        if problem:
            what = f"`{key}` cannot be used: {problem.rstrip('.')}"
            found.refuse((*place, key), what, "Write what is TRUE or FALSE of one row, over the table's columns.")
    columns = tuple(dict.fromkeys(name for expression in read.values() for name in expression.columns))
    if "then" in read and not columns:
        found.refuse((*place, "then"), "the condition reads no column", "Write what is to hold of a row.")
    params: dict[str, Any] = {key: body[key] for key in ("when", "then") if key in body}
    if "when" not in body and "then" in read and read["then"].pair:
        params["pair"] = read["then"].pair
    return columns, params


def _dependency(
    found: Gathering, body: Mapping[str, Any], place: Place, path: str
) -> tuple[tuple[str, ...], dict[str, Any]]:
    sides: dict[str, tuple[str, ...]] = {}
    for key in ("determinant", "dependent"):
        names = tuple(map(str, listing(body, key))) or ((path,) if key == "dependent" and path else ())
        if not names:
            found.refuse(place, f"the dependency names no {key}", f"Add `{key}: […]`.")
        for at, name in enumerate(names):
            _judge_column(found, name, (*place, key, at))
        sides[key] = names
    both = set(sides["determinant"]) & set(sides["dependent"])
    if both:
        what = f"column {min(both)!r} is to depend on itself"
        found.refuse((*place, "dependent"), what, "Name it on one side alone.")
    return (*sides["determinant"], *sides["dependent"]), dict(sides)


def _judge_column(found: Gathering, name: str, place: Place) -> bool:
    if name in found.columns and name not in found.of_items:
        return True
    what = f"column {name!r} is not in table {found.table!r}"
    if name in found.columns:
        found.refuse(place, f"{name!r} names the items of a list, of which a row has many", "Name a column.")
    else:
        found.refuse(place, what, suggest(name, list(found.columns)).strip())
    return False


def _judge_queries(found: Gathering, body: Mapping[str, Any], place: Place) -> None:
    for key in ("query", "control"):
        try:
            table_names(str(body.get(key, "")).strip().rstrip(";").replace("${", "{").replace("{object}", found.table))
        except UsageError as error:
            fix = "Write one SELECT that reads tables by their bare names and gives one number."
            found.refuse((*place, key), f"`{key}` cannot be used: {error}", fix)


def _comparing(
    found: Gathering, given: Mapping[str, Any], body: Mapping[str, Any], place: Place, kind: RuleKind, path: str
) -> Read:
    key = "anomaly" if kind is RuleKind.ANOMALY else "drift"
    inside: Place = (*place, key)
    metric, column = text(body, "metric"), text(body, "column") or path
    params: dict[str, Any] = {
        name: body[name] for name in ("metric", "releases", "minimum", "quantile") if name in body
    }
    columns = _measured(found, metric, column, inside, params)
    most = number(body, "releases") or RELEASES
    few = number(body, "minimum") or min(most, FEWEST_TO_LEARN if kind is RuleKind.ANOMALY else FEWEST)
    params["minimum"] = int(few)
    if few > most:
        what = f"the rule compares with {most:g} versions and needs {few:g}"
        found.refuse((*inside, "minimum"), what, "Write a `minimum` of at most `releases`.")
    if "quantile" in body and metric != "quantile":
        found.refuse((*inside, "quantile"), f"the metric {metric} has no `quantile`", "Write `metric: quantile`.")
    if kind is RuleKind.DRIFT:
        units = _CHANGES if metric in ("rows", *_OF_NUMBERS) else ("value",) if metric == "psi" else ("percent",)
        needed = "the rule does not say how far the metric may move"
        return columns, params, read_threshold(found, given, place, units=units, needed=needed)
    if metric in ("categories", "psi"):
        what = f"{metric} is a distance between versions, of which no bounds can be learnt"
        found.refuse((*inside, "metric"), what, "Write a rule of kind `drift`.")
    operator = next((operator.value for operator in Operator if operator.value in given), "")
    if operator:
        found.refuse((*place, operator), "an anomaly's bounds are learnt", "Write `deviations`, or use `drift`.")
    widest = number(body, "deviations") or _DEVIATIONS
    return columns, params, Threshold(Operator.MUST_BE_LESS_OR_EQUAL_TO, (widest,), "deviations")


def _measured(found: Gathering, metric: str, column: str, place: Place, params: dict[str, Any]) -> tuple[str, ...]:
    """The column that is measured, if the metric has one and can measure it."""
    if metric == "rows":
        if column:
            found.refuse((*place, "column"), "rows are those of the table, not of a column", "Delete `column`.")
        return ()
    if not column:
        found.refuse(place, f"the rule does not say of which column the {metric} are", "Add `column: …`.")
        return ()
    if not _judge_column(found, column, (*place, "column")):
        return ()
    kind = family(found.columns[column].sql_type)
    is_number = kind in (Family.EXACT, Family.FLOAT)
    params["numeric"] = is_number
    fits = is_number if metric in _OF_NUMBERS else kind is not Family.OTHER or metric == "nulls"
    if not fits or (metric == "categories" and kind is Family.FLOAT):
        what = f"column {column!r} is {found.columns[column].sql_type}, which has no {metric}"
        found.refuse((*place, "column"), what, "Name another column, or another `metric`.")
    return (column,)
