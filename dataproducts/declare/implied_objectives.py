"""The objectives that contracts imply, so that a plain contract has SLOs; it must not know `slo.yaml`.

Settled here, and told in docs/slo.md: the share that is promised hangs on the tier, every window is the last 28 days,
and a spent budget warns. An SLA says a limit and never a share, but for `availability`, which is one.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.implied_rules import length_of, slug
from dataproducts.objective import MEANINGS, Category, Indicator, IndicatorKind, Objective
from dataproducts.product import Dimension, RuleKind, Severity, Tier
from dataproducts.rules.custom.engines import is_foreign
from dataproducts.rules.masking import holds_classified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dataproducts.objective import Unsubscription
    from dataproducts.product import DataProduct, Mark, Rule, Sla, Table

TARGETS: Mapping[Category, Mapping[Tier, float]] = MappingProxyType(
    {
        # One, two and three bad nights in four weeks of a daily load: 1/28 is 0.036.
        Category.QUALITY: {Tier.GOLD: 0.96, Tier.SILVER: 0.92, Tier.BRONZE: 0.88},
        Category.ARCHITECTURE: {Tier.GOLD: 0.96, Tier.SILVER: 0.92, Tier.BRONZE: 0.88},
        Category.GOVERNANCE: {Tier.GOLD: 1, Tier.SILVER: 0.95, Tier.BRONZE: 0.9},
    }
)
"""Which share default objectives promise; a product without a tier promises what bronze does."""

DIMENSIONS = (Dimension.COMPLETENESS, Dimension.UNIQUENESS, Dimension.VALIDITY)
"""Dimensions of quality that become an objective of each published table."""

GOVERNED = (
    IndicatorKind.OWNED,
    IndicatorKind.DESCRIBED,
    IndicatorKind.CLASSIFIED,
    IndicatorKind.LINEAGE_COMPLETE,
    IndicatorKind.PERSONAL_DATA_MASKED,
)
"""Indicators of governance that become an objective of each product; masking where there is something to mask."""

SLAS: Mapping[str, IndicatorKind] = MappingProxyType(
    {
        "latency": IndicatorKind.FRESHNESS,
        "freshness": IndicatorKind.FRESHNESS,
        "frequency": IndicatorKind.FREQUENCY,
        "timeOfAvailability": IndicatorKind.TIME_OF_AVAILABILITY,
        "availability": IndicatorKind.PORT_AVAILABILITY,
        "retention": IndicatorKind.RETENTION_KEPT,
        "timeToDetect": IndicatorKind.TIME_TO_DETECT,
        "timeToNotify": IndicatorKind.TIME_TO_NOTIFY,
        "timeToRepair": IndicatorKind.TIME_TO_REPAIR,
    }
)
"""SLAs that become an objective, and what is measured."""

UNPROBED: Mapping[IndicatorKind, str] = MappingProxyType(
    {
        IndicatorKind.PORT_LATENCY: "nothing probes ports yet: it is unmeasured",
        IndicatorKind.PORT_AVAILABILITY: "nothing probes ports yet: it is unmeasured",
        IndicatorKind.PERSONAL_DATA_MASKED: "nothing probes yet what is masked: it is unmeasured",
    }
)
"""Indicators that count probes which nothing here makes: whoever promises them has promised what nobody keeps."""

_NO_BUDGET = frozenset({IndicatorKind.RETENTION_KEPT})
_LIMITED = frozenset(kind for kind, meaning in MEANINGS.items() if "at_most_s" in meaning.needed)
_WHOLE = 100  # percent


def imply_objectives(product: DataProduct) -> tuple[Objective, ...]:
    """Return the objectives that the product has without any `slo.yaml`, by name.

    Those of its SLAs (`<table>.latency`; the strictest `frequency` of all tables, which are released together), those
    of the dimensions that rules of published tables speak of (`<table>.validity`), `refresh_success`, and those of
    governance. Never raises: an SLA that cannot be measured as it is written implies none.
    """
    found: dict[str, Objective] = {}
    for objective in _every(product):
        name, count = objective.name, 2
        while name in found:
            name, count = f"{objective.name}_{count}", count + 1
        found[name] = replace(objective, name=name)
    return tuple(found.values())


def spare(product: DataProduct, objective: Objective, ignored: Sequence[Unsubscription]) -> Objective | None:
    """Return an implied objective without the rules whose failures open no incident; None if that leaves none.

    Whoever declares, with a reason, that nobody has to be told of a rule does not promise that it holds. An objective
    that `slo.yaml` names counts whatever it says.
    """
    kind, table = objective.indicator.kind, objective.indicator.table
    if objective.origin != f"rules of {table}":
        return objective
    rules = [r for r in product.table(table).rules if r.dimension == kind.value and is_judged(r)]
    told = [r.name for r in rules if not any(i.covers(kind="check", name=r.name, table=table) for i in ignored)]
    if len(told) == len(rules):
        return objective
    params = {**objective.indicator.params, "rules": tuple(told)}
    return replace(objective, indicator=Indicator(kind, MappingProxyType(params))) if told else None


def is_judged(rule: Rule) -> bool:
    """Return whether a verdict tells if `rule` held: nobody judges a text, or a rule of somebody else's engine."""
    return rule.kind is not RuleKind.TEXT and not (rule.kind is RuleKind.CUSTOM and is_foreign(rule))


def drivers(rules: Iterable[Rule]) -> str:
    """Return the regulations and reasons behind `rules`, each once."""
    return ", ".join(dict.fromkeys(rule.driver for rule in rules if rule.driver))


def _every(product: DataProduct) -> Iterator[Objective]:
    for table in product.tables:
        for sla in table.slas:
            objective = _of_sla(product, table, sla)
            if objective is not None:
                yield objective
    yield from _frequency(product)
    published = [table for table in product.tables if table.name in product.published]
    for table in published:
        yield from _of_rules(product, table)
    yield _implied(product, IndicatorKind.REFRESH_SUCCESS, product.mark)
    personal = any(holds_classified(table.columns) for table in published)
    for kind in GOVERNED:
        if kind is not IndicatorKind.PERSONAL_DATA_MASKED or personal:
            yield _implied(product, kind, product.mark)


def _of_sla(product: DataProduct, table: Table, sla: Sla) -> Objective | None:
    kind = SLAS.get(sla.name)
    params = _params(product, table, sla, kind) if kind and kind is not IndicatorKind.FREQUENCY else None
    if kind is None or params is None:
        return None
    name = sla.name if kind is IndicatorKind.FRESHNESS else "retention" if sla.name == "retention" else kind.value
    name = "availability" if kind is IndicatorKind.PORT_AVAILABILITY else name
    objective = replace(_implied(product, kind, sla.mark, params), name=f"{_word(table)}.{name}", driver=sla.driver)
    objective = replace(objective, origin=f"contract.slaProperties[{sla.name}]")
    if kind is IndicatorKind.PORT_AVAILABILITY:
        return replace(objective, target=_share(sla) or 1)
    return replace(objective, target=1) if kind in _NO_BUDGET else objective


def _params(product: DataProduct, table: Table, sla: Sla, kind: IndicatorKind) -> dict[str, Any] | None:
    """Return what is measured of an SLA; None where it cannot be, as it is written."""
    params: dict[str, Any] = {"table": table.name}
    if kind in _LIMITED:
        limit = length_of(sla)
        if limit is None:
            return None
        params["at_most_s"] = limit
    rule = next((rule for rule in table.rules if rule.mark == sla.mark), None)
    match kind:
        case IndicatorKind.PORT_AVAILABILITY:
            ports = [port.name for port in product.outputs if port.contract_id == table.contract_id]
            return {"port": ports[0]} if ports and _share(sla) else None
        case IndicatorKind.FRESHNESS:
            column = _column(table, rule, RuleKind.FRESHNESS)
            return params | event_time(table, column) if column else None
        case IndicatorKind.TIME_OF_AVAILABILITY:
            column = _column(table, rule, RuleKind.DEADLINE)
            return params | {"column": column, "by": str(sla.value)} if column else None
        case IndicatorKind.RETENTION_KEPT:
            return params | {"rules": (rule.name,)} if rule and rule.kind is RuleKind.RETENTION else None
        case _:
            return params


def _column(table: Table, rule: Rule | None, kind: RuleKind) -> str:
    """Return the column on which a rule of `kind` is measured; empty without such a rule, or inside another column."""
    column = rule.columns[0] if rule and rule.kind is kind and rule.columns else ""
    return column if any(known.name == column for known in table.columns) else ""


def event_time(table: Table, column: str) -> dict[str, str]:
    """Return the parameters that say on which column freshness is measured."""
    return {"column": column, "measured_on": "valid_thru" if column == table.valid_thru else "event_time"}


def _share(sla: Sla) -> float | None:
    """Return an availability as a share of 1; None if it is none. Without a unit, what is no more than 1 is a ratio."""
    if not isinstance(sla.value, int | float) or isinstance(sla.value, bool) or not 0 < sla.value <= _WHOLE:
        return None
    is_share = sla.value <= 1 and sla.unit.lower() not in ("percent", "%")
    return float(sla.value) if is_share else round(sla.value / _WHOLE, 12)


def _frequency(product: DataProduct) -> Iterator[Objective]:
    """Yield the strictest frequency of all tables: they are released together."""
    slas = [sla for table in product.tables for sla in table.slas if sla.name == "frequency"]
    limits = [(limit, at) for at, sla in enumerate(slas) if (limit := length_of(sla)) is not None]
    if limits:
        limit, at = min(limits)
        objective = _implied(product, IndicatorKind.FREQUENCY, slas[at].mark, {"at_most_s": limit})
        yield replace(objective, driver=slas[at].driver, origin="contract.slaProperties[frequency]")


def _of_rules(product: DataProduct, table: Table) -> Iterator[Objective]:
    for dimension in DIMENSIONS:
        rules = [rule for rule in table.rules if rule.dimension is dimension and is_judged(rule)]
        if rules:
            objective = _implied(product, IndicatorKind(dimension.value), table.mark, {"table": table.name})
            name = f"{_word(table)}.{dimension}"
            yield replace(objective, name=name, origin=f"rules of {table.name}", driver=drivers(rules))


def _implied(
    product: DataProduct, kind: IndicatorKind, mark: Mark, params: Mapping[str, Any] | None = None
) -> Objective:
    category = MEANINGS[kind].category
    return Objective(
        name=kind.value,
        indicator=Indicator(kind, MappingProxyType(dict(params or {}))),
        target=TARGETS[category][product.tier or Tier.BRONZE],
        category=category,
        severity=Severity.INFO if category is Category.GOVERNANCE else Severity.WARNING,
        origin="product",
        mark=mark,
    )


def _word(table: Table) -> str:
    return slug(table.name) or "table"
