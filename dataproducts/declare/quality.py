"""The rules that a contract declares under `quality`; it must not know how they are judged.

What ODCS leaves open is settled here. `mustBeBetween` includes both ends. A rule without an operator must count 0
rows. `severity` is error, warning or info (critical, major and high mean error; minor, medium and warn mean warning;
low means info), error if absent. An error blocks unless it says `blocking: false`; warning and info never block. A
text rule cannot be judged, so it never blocks. The arguments of ODCS 3.0, which stand beside the rule, count as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import custom, custom_place, entries, flag, listing, mapping, text
from dataproducts.declare.implied_rules import DIMENSIONS, SEVERITIES, check_pattern, slug
from dataproducts.errors import suggest
from dataproducts.product import Dimension, OnFailure, Operator, Rule, RuleKind, Severity, Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.telling import Place

_STANDARD_DIMENSIONS = {
    "conformity": Dimension.VALIDITY,
    "coverage": Dimension.COMPLETENESS,
    "timeliness": Dimension.FRESHNESS,
}
_METRICS = {
    "nullValues": RuleKind.NULL_VALUES,
    "missingValues": RuleKind.MISSING_VALUES,
    "invalidValues": RuleKind.INVALID_VALUES,
    "duplicateValues": RuleKind.DUPLICATE_VALUES,
    "rowCount": RuleKind.ROW_COUNT,
}
_OLD_METRICS = {  # names that ODCS 3.0 used under `rule`
    "nullCheck": RuleKind.NULL_VALUES,
    "validValues": RuleKind.INVALID_VALUES,
    "duplicateCount": RuleKind.DUPLICATE_VALUES,
    "countCheck": RuleKind.ROW_COUNT,
}
_WHOLE = {RuleKind.SCHEMA, RuleKind.ROW_COUNT, RuleKind.SQL, RuleKind.FRESHNESS, RuleKind.CUSTOM, RuleKind.TEXT}


def read_quality(found: Gathering, data: Mapping[str, Any], place: Place, path: str = "") -> None:
    """Add the rules that `quality` declares, of the table or of the column at `path`."""
    for entry, where in entries(data, "quality", place):
        rule = _read_rule(found, entry, where, path)
        if rule is not None:
            found.add(rule)


def _read_rule(found: Gathering, entry: dict[str, Any], place: Place, path: str) -> Rule | None:
    known = _kind_of(found, entry, place)
    if known is None:
        return None
    kind, metric = known
    columns = _columns_of(found, entry, place, kind, path)
    params = _params_of(found, entry, place, kind)
    if columns is None or params is None:
        return None
    ours = custom(entry)
    severity = _severity(found, entry, place)
    blocking = _blocking(found, entry, place, kind, severity)
    on_failure = OnFailure(ours["onFailure"]) if ours.get("onFailure") in tuple(OnFailure) else OnFailure.REFUSE
    if on_failure is OnFailure.QUARANTINE and kind in _WHOLE:
        where = custom_place(entry, "onFailure", place)
        found.refuse(where, f"a {metric} rule points at no rows that could be quarantined", "Write `refuse`.")
    title = text(entry, "name")
    default = f"{slug(path)}.{metric}" if path else metric
    return Rule(
        name=slug(title) or default,
        kind=kind,
        columns=columns,
        params=params,
        threshold=_threshold(found, entry, place, kind),
        dimension=_dimension(entry, kind),
        severity=severity,
        criticality=ours["criticality"] if ours.get("criticality") in ("high", "medium", "low") else "medium",
        blocking=blocking,
        on_failure=on_failure,
        keep="none" if ours.get("keep") == "none" else "first",
        description=text(entry, "description") or title,
        mark=found.document.mark(*place),
    )


def _kind_of(found: Gathering, entry: Mapping[str, Any], place: Place) -> tuple[RuleKind, str] | None:
    written = text(entry, "type") or "library"
    if written in ("text", "sql", "custom"):
        return RuleKind(written), written
    metric = text(entry, "metric") or text(entry, "rule")
    kind = _METRICS.get(metric) or _OLD_METRICS.get(metric)
    if kind is None:
        key = "metric" if "metric" in entry else "rule"
        what = f"nothing is known of the metric {metric!r}"
        found.refuse((*place, key), what, suggest(metric, list(_METRICS)).strip())
        return None
    return kind, metric


def _columns_of(
    found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind, path: str
) -> tuple[str, ...] | None:
    if kind is RuleKind.ROW_COUNT and path:
        found.refuse(place, "rowCount counts rows of the table, not of a column", "Move it to the table's `quality`.")
        return None
    if path:
        return (path,)
    named = listing(mapping(entry, "arguments"), "properties")
    if kind in (RuleKind.ROW_COUNT, RuleKind.SQL, RuleKind.CUSTOM, RuleKind.TEXT):
        return ()
    where: Place = (*place, "arguments", "properties")
    if not named:
        fix = "Name columns under `arguments: {properties: […]}`, or move it to a column."
        found.refuse(place, "the rule does not say which columns it judges", fix)
        return None
    for at, name in enumerate(named):
        if name not in found.columns:
            what = f"column {name!r} is not in table {found.table!r}"
            found.refuse((*where, at), what, suggest(str(name), list(found.columns)).strip())
            return None
    return tuple(named)


def _params_of(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind) -> dict[str, Any] | None:
    given = {**entry, **mapping(entry, "arguments")}  # ODCS 3.0 has the arguments beside the rule
    wanted = {
        RuleKind.MISSING_VALUES: ("missingValues",),
        RuleKind.INVALID_VALUES: ("validValues", "pattern"),
        RuleKind.SQL: ("query",),
        RuleKind.CUSTOM: ("engine", "implementation"),
    }.get(kind, ())
    params = {key: given[key] for key in wanted if given.get(key) is not None}
    if wanted and not params:
        what = f"the rule lacks {' or '.join(wanted)}"
        found.refuse(place, what, f"Add `arguments: {{{wanted[0]}: …}}`.")
        return None
    for key in ("missingValues", "validValues"):
        if key in params and not isinstance(params[key], list):
            found.refuse((*place, "arguments", key), f"`{key}` is no list", "Write the values as a list.")
            return None
    if isinstance(params.get("pattern"), str):
        check_pattern(found, params["pattern"], (*place, "arguments", "pattern"))
    return params


def _threshold(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind) -> Threshold:
    unit = text(entry, "unit") or "rows"
    if unit not in ("rows", "percent"):
        found.refuse((*place, "unit"), f"the unit {unit!r} is not known", "Write `rows` or `percent`.")
    if kind is RuleKind.ROW_COUNT and unit == "percent":
        found.refuse((*place, "unit"), "rowCount is a number of rows", "Write `unit: rows`, or leave it out.")
    for operator in Operator:
        if operator.value not in entry:
            continue
        value = entry[operator.value]
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
            what = f"`{operator}` is {value!r}"
            found.refuse((*place, operator.value), what, "Compare with a number: let the query count or sum.")
            break
        if len(values) == 2 and values[0] > values[1]:  # noqa: PLR2004  the two ends
            found.refuse((*place, operator.value), f"nothing lies between {value[0]} and {value[1]}", "Swap the two.")
        return Threshold(operator, tuple(values), unit)
    if kind is RuleKind.ROW_COUNT and not any(operator.value in entry for operator in Operator):
        found.refuse(place, "rowCount says nothing that the count must be", "Add `mustBeGreaterThan: 0`.")
    return Threshold(unit=unit)


def _severity(found: Gathering, entry: Mapping[str, Any], place: Place) -> Severity:
    written = text(entry, "severity")
    severity = SEVERITIES.get(written.lower())
    if severity is None:
        fix = suggest(written, [s.value for s in Severity]).strip()
        found.refuse((*place, "severity"), f"the severity {written!r} is not known", fix)
    return severity or Severity.ERROR


def _blocking(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind, severity: Severity) -> bool:
    declared = flag(custom(entry), "blocking")
    if declared and (severity is not Severity.ERROR or kind is RuleKind.TEXT):
        why = "a text rule cannot be judged" if kind is RuleKind.TEXT else f"its severity is {severity}"
        where = custom_place(entry, "blocking", place)
        found.refuse(where, f"the rule is to block, but {why}", "Write `severity: error`, or drop `blocking`.")
    if severity is not Severity.ERROR or kind is RuleKind.TEXT:
        return False
    return True if declared is None else declared


def _dimension(entry: Mapping[str, Any], kind: RuleKind) -> Dimension:
    ours, written = custom(entry).get("dimension"), text(entry, "dimension")
    for word in (ours, written):
        if word in tuple(Dimension):
            return Dimension(word)
    return _STANDARD_DIMENSIONS.get(written) or DIMENSIONS.get(kind, Dimension.VALIDITY)
