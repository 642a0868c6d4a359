"""The rules that a contract declares under `quality`; it must not know how they are judged.

What ODCS leaves open is settled here, and in `thresholds`. A rule without an operator must count 0 rows. `severity` is
error, warning or info (critical, major and high mean error; minor, medium and warn mean warning; low means info), error
if absent. An error blocks unless it says `blocking: false`; warning and info never block. A text rule cannot be judged,
so it never blocks. The arguments of ODCS 3.0, which stand beside the rule, count as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.beyond import KINDS, dimension_of, is_ours, kind_of_ours, read_beyond
from dataproducts.declare.fields import custom, custom_place, entries, flag, listing, mapping, text
from dataproducts.declare.implied_rules import DIMENSIONS, SEVERITIES, check_pattern, limit_of, slug
from dataproducts.declare.thresholds import UNITS, read_threshold
from dataproducts.errors import suggest
from dataproducts.product import Dimension, OnFailure, Operator, Rule, RuleKind, Severity, Threshold
from dataproducts.rules.custom.engines import FOREIGN, fault_of, known_engine
from dataproducts.rules.predicates import COUNTED_KINDS

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
_OF_ITEMS = COUNTED_KINDS | {RuleKind.TEXT}
_WHOLE |= set(KINDS.values()) - {RuleKind.CONDITION}


def read_quality(found: Gathering, data: Mapping[str, Any], place: Place, path: str = "") -> None:
    """Add the rules that `quality` declares, of the table or of the column at `path`."""
    for entry, where in entries(data, "quality", place):
        told = len(found.faults)
        rule = _read_rule(found, entry, where, path)
        if rule is not None:
            found.add(rule)
        else:  # what no rule stands for is refused everywhere, for nobody would miss it
            found.lost += found.faults[told:]


def _read_rule(found: Gathering, entry: dict[str, Any], place: Place, path: str) -> Rule | None:
    known = _kind_of(found, entry, place)
    if known is None:
        return None
    kind, metric = known
    read = _parts_of(found, entry, place, kind, path)
    if read is None:
        return None
    columns, params, threshold = read
    ours = custom(entry)
    severity = _severity(found, entry, place)
    blocking = _blocking(found, entry, place, kind, severity)
    on_failure = OnFailure(ours["onFailure"]) if ours.get("onFailure") in tuple(OnFailure) else OnFailure.REFUSE
    if on_failure is OnFailure.QUARANTINE and kind in _WHOLE:
        where = custom_place(entry, "onFailure", place)
        found.refuse(where, f"a {metric} rule points at no rows that could be quarantined", "Write `refuse`.")
    limit = limit_of(ours.get("maxQuarantined"))
    if limit and on_failure is not OnFailure.QUARANTINE:
        where = custom_place(entry, "maxQuarantined", place)
        found.refuse(where, "maxQuarantined limits what the rule does not do", "Add `onFailure: quarantine`.")
    title = text(entry, "name")
    default = f"{slug(path)}.{metric}" if path else metric
    return Rule(
        name=slug(title) or default,
        kind=kind,
        columns=columns,
        params=params,
        threshold=threshold,
        dimension=_dimension(entry, kind, params),
        severity=severity,
        criticality=ours["criticality"] if ours.get("criticality") in ("high", "medium", "low") else "medium",
        blocking=blocking,
        on_failure=on_failure,
        keep="none" if ours.get("keep") == "none" else "first",
        description=text(entry, "description") or title,
        mark=found.document.mark(*place),
        quarantine_limit=limit,
        driver=text(ours, "driver"),
    )


def _parts_of(
    found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind, path: str
) -> tuple[tuple[str, ...], dict[str, Any], Threshold] | None:
    """The columns, the parameters and the threshold of a rule; None, with faults, if it cannot be judged."""
    if kind in KINDS.values():
        return read_beyond(found, entry, place, kind, path)
    columns = _columns_of(found, entry, place, kind, path)
    params = _params_of(found, entry, place, kind)
    if columns is None or params is None:
        return None
    return columns, params, _threshold(found, entry, place, kind)


def _kind_of(found: Gathering, entry: Mapping[str, Any], place: Place) -> tuple[RuleKind, str] | None:
    written = text(entry, "type") or "library"
    if is_ours(entry):
        return kind_of_ours(found, entry, place)
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
    if path and path in found.of_items and kind not in _OF_ITEMS:
        what = f"a rule of kind {kind} cannot look at the items of a list one by one"
        found.refuse(place, what, "Move it to the column that holds the list, or to the table.")
    elif path:
        return (path,)
    if path:
        return None
    named = listing(mapping(entry, "arguments"), "properties")
    if kind in (RuleKind.ROW_COUNT, RuleKind.SQL, RuleKind.CUSTOM, RuleKind.TEXT):
        return ()
    where: Place = (*place, "arguments", "properties")
    if not named:
        fix = "Name columns under `arguments: {properties: […]}`, or move it to a column."
        found.refuse(place, "the rule does not say which columns it judges", fix)
        return None
    good = [_judge_named(found, name, (*where, at), kind) for at, name in enumerate(named)]
    return tuple(named) if all(good) else None


def _judge_named(found: Gathering, name: Any, place: Place, kind: RuleKind) -> bool:
    if name not in found.columns:
        what = f"column {name!r} is not in table {found.table!r}"
        found.refuse(place, what, suggest(str(name), list(found.columns)).strip())
        return False
    if name in found.of_items and kind not in _OF_ITEMS:
        found.refuse(place, f"{name!r} names the items of a list, of which a row has many", "Name a column.")
        return False
    return True


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
    fault = fault_of(params) if kind is RuleKind.CUSTOM else None
    if fault:
        found.refuse((*place, fault[0]), fault[1], fault[2])
        return None
    if isinstance(params.get("pattern"), str):
        check_pattern(found, params["pattern"], (*place, "arguments", "pattern"))
    return params


def _threshold(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind) -> Threshold:
    is_count = kind is RuleKind.ROW_COUNT
    if is_count and text(entry, "unit") == "percent":
        found.refuse((*place, "unit"), "rowCount is a number of rows", "Write `unit: rows`, or leave it out.")
        entry = {**entry, "unit": "rows"}
    if is_count and not any(operator.value in entry for operator in Operator):
        found.refuse(place, "rowCount says nothing that the count must be", "Add `mustBeGreaterThan: 0`.")
    # The number of a query is compared as it is, whatever its unit is called.
    return read_threshold(found, entry, place, units=() if kind is RuleKind.SQL else UNITS)


def _severity(found: Gathering, entry: Mapping[str, Any], place: Place) -> Severity:
    written = text(entry, "severity")
    severity = SEVERITIES.get(written.lower())
    if severity is None:
        fix = suggest(written, [s.value for s in Severity]).strip()
        found.refuse((*place, "severity"), f"the severity {written!r} is not known", fix)
    return severity or Severity.ERROR


def _blocking(found: Gathering, entry: Mapping[str, Any], place: Place, kind: RuleKind, severity: Severity) -> bool:
    declared = flag(custom(entry), "blocking")
    is_unjudged = kind is RuleKind.TEXT or (kind is RuleKind.CUSTOM and known_engine(text(entry, "engine")) in FOREIGN)
    if declared and (severity is not Severity.ERROR or is_unjudged):
        why = f"a rule like this ({kind}) is not judged here" if is_unjudged else f"its severity is {severity}"
        where = custom_place(entry, "blocking", place)
        found.refuse(where, f"the rule is to block, but {why}", "Write `severity: error`, or drop `blocking`.")
    if severity is not Severity.ERROR or is_unjudged:
        return False
    return True if declared is None else declared


def _dimension(entry: Mapping[str, Any], kind: RuleKind, params: Mapping[str, Any]) -> Dimension:
    ours, written = custom(entry).get("dimension"), text(entry, "dimension")
    for word in (ours, written):
        if word in tuple(Dimension):
            return Dimension(word)
    implied = dimension_of(kind, params) or DIMENSIONS.get(kind, Dimension.VALIDITY)
    return _STANDARD_DIMENSIONS.get(written) or implied
