"""What becomes of a clause where that hangs on its value or on where it stands; it must not enforce anything itself.

The rules that a table got tell it: a clause that none of them came from is enforced by none.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts.declare.clause_table import DECLARED, ENFORCED, MONITORED, Clause, lookup
from dataproducts.declare.implied_objectives import UNPROBED
from dataproducts.declare.implied_rules import length_of
from dataproducts.declare.promises import FREQUENCY
from dataproducts.product import TIME_SLAS, RuleKind
from dataproducts.rules.custom.engines import declared_only, is_foreign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import Mark, Rule, Sla, Table

_NOTHING: Mapping[Mark, str] = MappingProxyType({})
_PROMISED = frozenset({RuleKind.FRESHNESS, RuleKind.RETENTION, RuleKind.DEADLINE})
_UTC = frozenset({"utc", "etc/utc", "z", "gmt", "etc/gmt"})
# Keys of a column that name a rule; below `map`, and for some below `items`, there is none.
_OF_VALUES = re.compile(r"\.(required|unique|enum|quality\[\]|relationships\[\]|logicalTypeOptions\.\w+)$")
_NOT_OF_ITEMS = re.compile(
    r"\.(unique|relationships\[\]|logicalTypeOptions\.(uniqueItems|required|minProperties|maxProperties|normalized))$"
)
_OF_TYPES = re.compile(r"\.logicalTypeOptions\.(timezone|elementType|defaultTimezone|format)$")


def settle(
    clause: str, document: Document, where: Place, table: Table | None, measured: Mapping[Mark, str] = _NOTHING
) -> Clause | None:
    """Return what becomes of a clause at `where`, of `table` if of any; None where the table of clauses says it.

    `measured` has the objectives in force that SLAs imply, by where the SLA stands.
    """
    if clause == "slo.objectives[]":
        return _settle_objective(document, where)
    if table is None:
        return None
    inside = _settle_inside(clause, where)
    if inside is not None:
        return inside
    if clause.endswith("slaProperties[]"):
        return _settle_sla(document, where, table, measured)
    for end, settled in _BY_END.items():
        if clause.endswith(end):
            return settled(document, where, table)
    return None


def _settle_objective(document: Document, where: Place) -> Clause | None:
    """What an objective of `slo.yaml` is, whose indicator counts what nothing here probes."""
    entry = _value(document, where)
    kind = entry.get("indicator") if isinstance(entry, dict) else None
    return next((Clause(DECLARED, "promise", why) for known, why in UNPROBED.items() if known == kind), None)


def _settle_inside(clause: str, where: Place) -> Clause | None:
    """What no rule looks at, because it lies in a map or in a list."""
    if "map" in where and _OF_VALUES.search(clause) and not _OF_TYPES.search(clause):
        return Clause(DECLARED, "promise", "no rule looks into a map")
    if "items" in where and _NOT_OF_ITEMS.search(clause):
        return Clause(DECLARED, "promise", "no rule asks it of the items of a list")
    return None


def _settle_zone(document: Document, where: Place, _table: Table) -> Clause | None:
    is_utc = str(_value(document, where)).lower() in _UTC
    return Clause(ENFORCED, "promise", "times without a zone count as UTC") if is_utc else None


def _value(document: Document, where: Place) -> object:
    value = document.data
    for step in where:
        value = value[step]
    return value


def _settle_format(document: Document, where: Place, table: Table) -> Clause | None:
    mark = document.mark(*where)
    judged = any(rule.mark == mark and rule.name.endswith(".format") for rule in table.rules)
    if judged or re.fullmatch(r"[iuf]\d+", str(_value(document, where))):
        return Clause(ENFORCED, "promise", "the rule `<column>.format`, or the column's type")
    column = document.data
    for step in where[:-2]:
        column = column[step]
    kept_as_text = re.match(r"(?i)(var)?char|text|string", str(column.get("physicalType", "")))
    if column.get("logicalType") in ("date", "time", "timestamp") and not kept_as_text:
        return Clause(DECLARED, "text", "how others write it: the column holds dates and times, not their spelling")
    return None


def _settle_rule(document: Document, where: Place, table: Table) -> Clause | None:
    rule = _rule_at(document, where, table)
    if rule is None:
        return None
    if rule.kind is RuleKind.TEXT:
        return Clause(DECLARED, "promise", "a text cannot be judged")
    if rule.kind is RuleKind.CUSTOM and is_foreign(rule):
        return Clause(DECLARED, "promise", declared_only(rule))
    if not rule.blocking:
        return Clause(MONITORED, "promise", f"the rule {rule.name}, which does not block")
    return Clause(ENFORCED, "promise", f"the rule {rule.name}")


def _rule_at(document: Document, where: Place, table: Table) -> Rule | None:
    mark = document.mark(*where)
    return next((rule for rule in table.rules if rule.mark == mark), None)


def _settle_sla(document: Document, where: Place, table: Table, measured: Mapping[Mark, str]) -> Clause | None:
    mark = document.mark(*where)
    sla = next((sla for sla in table.slas if sla.mark == mark), None)
    known = lookup(f"contract.slaProperties[{sla.name}]") if sla else None
    if sla is None or known is None:
        return None
    if known.state == DECLARED:
        return known
    if known.state == MONITORED:
        name = measured.get(mark)
        unmeasured = "as it is written, or since its objective is dropped, nothing measures it"
        return Clause(MONITORED if name else DECLARED, "promise", f"the objective {name}" if name else unmeasured)
    return _settle_ruled(sla, known, table)


def _settle_ruled(sla: Sla, known: Clause, table: Table) -> Clause | None:
    """What becomes of an SLA that implies a rule."""
    rule = next((rule for rule in table.rules if rule.kind in _PROMISED and rule.mark == sla.mark), None)
    if rule is None:
        if sla.name == FREQUENCY and length_of(sla) is not None:
            return known
        return None if sla.name in TIME_SLAS else Clause(DECLARED, "promise", "without an element nothing measures it")
    return known if rule.blocking else Clause(MONITORED, "promise", f"the rule {rule.name}, which does not block")


_BY_END = {
    "quality[]": _settle_rule,
    "logicalTypeOptions.format": _settle_format,
    "logicalTypeOptions.defaultTimezone": _settle_zone,
}
