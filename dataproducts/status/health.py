"""One data-health score for a product, with everything it is made of; it must not know how it is shown.

A score is a weighted mean of components, each 0 to 100. What cannot be told leaves the mean, and is said: nothing
counts as good because nobody looked.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.lifecycle.reviews import dues
from dataproducts.lifecycle.states import stand
from dataproducts.objective import Category, IndicatorKind
from dataproducts.operations import health as kept
from dataproducts.operations.incidents import ACKNOWLEDGED, OPEN, listed
from dataproducts.operations.transitions import last_step
from dataproducts.product import Severity, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct
    from dataproducts.slo.evaluate import Attained
    from dataproducts.standing import Standing

INCIDENTS, FRESHNESS, LIFECYCLE = "incidents", "freshness", "lifecycle"

WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        Category.QUALITY.value: 30,
        Category.ARCHITECTURE.value: 15,
        Category.GOVERNANCE.value: 15,
        INCIDENTS: 20,
        FRESHNESS: 15,
        LIFECYCLE: 5,
    }
)
"""The usual weight of each component, where `slo.yaml` says nothing."""

POINTS: Mapping[Severity, float] = MappingProxyType({Severity.ERROR: 40, Severity.WARNING: 15, Severity.INFO: 3})
"""What an open incident takes from the component of incidents, by its severity."""

BEST = 100.0


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a score: its `weight`, its `value` from 0 to 100, and what that was computed from.

    `value` is None where there is nothing to tell it from: the component leaves the sum, and `why` says so. `parts`
    are JSON objects with everything that a hand computation needs.
    """

    name: str
    weight: float
    value: float | None
    why: str
    parts: tuple[Mapping[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        parts: list[dict[str, Any]] = [dict(part) for part in self.parts]
        return {"name": self.name, "weight": self.weight, "value": self.value, "why": self.why, "parts": parts}


@dataclass(frozen=True, slots=True)
class Health:
    """The score of `product` at a moment: None where no component that has a weight could be told."""

    product: str
    at: datetime
    components: tuple[Component, ...]

    @property
    def score(self) -> float | None:
        """The mean of the components that could be told, by their weights; 0 to 100."""
        return weighted((one.weight, one.value) for one in self.components)

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of components that have a weight and could not be told."""
        return tuple(one.name for one in self.components if one.value is None and one.weight)

    def as_json(self) -> dict[str, Any]:
        """Return the score and its components as JSON values."""
        return {
            "score": self.score,
            "at": self.at.isoformat(),
            "components": [one.as_json() for one in self.components],
            "missing": list(self.missing),
        }


def weighted(parts: Iterable[tuple[float, float | None]]) -> float | None:
    """Return the mean of (weight, value) pairs without those that have no value; None if nothing is left."""
    told = [(weight, value) for weight, value in parts if value is not None and weight > 0]
    if not told:
        return None
    total, values = sum(weight for weight, _ in told), [value for _, value in told]
    mean = sum(weight / total * value for weight, value in told)
    # Rounding must not carry a mean beyond what it is the mean of.
    return min(max(mean, min(values)), max(values))


def assess(
    product: DataProduct,
    attained: Sequence[Attained],
    *,
    incidents: Sequence[Incident],
    standing: Standing,
    overdue: Sequence[str],
    at: datetime,
) -> Health:
    """Return the health of `product` from what its objectives attained, its incidents and how it stands.

    `incidents` that are resolved do not count. `overdue` are reviews and retirements, in words.
    """
    weights = product.trust.health if product.trust and product.trust.health else WEIGHTS
    found = [_category(category, attained) for category in Category]
    found += [_incidents(incidents), _freshness(attained), _lifecycle(product, standing, overdue)]
    components = (
        Component(name, float(weights.get(name, 0)), value, why, tuple(parts)) for name, value, why, parts in found
    )
    return Health(product.address, at, tuple(components))


def read_health(
    con: Connection | None,
    product: DataProduct,
    attained: Sequence[Attained],
    *,
    production: bool,
    now: datetime,
) -> Health:
    """Return the health of `product`, with incidents and lifecycle as `con`, the operations database, has them."""
    incidents = listed(con, product=product.address, states=(OPEN, ACKNOWLEDGED)) if con is not None else ()
    last = last_step(con, product.address) if con is not None else None
    standing = stand(product.address, product, last, production=production)
    late = tuple(due.message for due in dues(con, [product], {product.address: standing}, now=now) if due.overdue)
    return assess(product, attained, incidents=incidents, standing=standing, overdue=late, at=now)


def record_health(
    con: Connection, product: DataProduct, attained: Sequence[Attained], *, production: bool, now: datetime
) -> Health:
    """Compute the health of `product` and keep its score in the caller's transaction, if it says something new.

    A score that nothing could be told for is not kept. Call it after the incidents of the moment were recorded.
    """
    found = read_health(con, product, attained, production=production, now=now)
    if found.score is not None:
        kept.record(con, kept.Scored(product.address, now, found.score, _brief(found)))
    return found


def _brief(health: Health) -> dict[str, Any]:
    """What is kept of a score: the weight and value of each component, from which it can be computed again."""
    return {"components": {one.name: {"weight": one.weight, "value": one.value} for one in health.components}}


_Found = tuple[str, "float | None", str, "list[dict[str, Any]]"]


def _category(category: Category, attained: Sequence[Attained]) -> _Found:
    """The mean over the objectives of a category of how much of each target was attained."""
    mine = [one for one in attained if one.objective.category is category]
    parts: list[dict[str, Any]] = [
        {
            "objective": one.objective.name,
            "attainment": one.attainment,
            "target": one.objective.target,
            "value": BEST * min(one.attainment / one.objective.target, 1.0),
        }
        for one in mine
        if one.attainment is not None
    ]
    if not parts:
        return category.value, None, "no objective" if not mine else "nothing was measured yet", []
    met = sum(part["value"] >= BEST for part in parts)
    why = f"{met} of {len(parts)} targets attained"
    unmeasured = len(mine) - len(parts)
    why += f", {unmeasured} not measured yet" if unmeasured else ""
    return category.value, sum(part["value"] for part in parts) / len(parts), why, parts


def _incidents(incidents: Sequence[Incident]) -> _Found:
    counts = Counter(one.severity for one in incidents if one.is_open)
    parts: list[dict[str, Any]] = [
        {"severity": str(severity), "open": counts[severity], "points": points} for severity, points in POINTS.items()
    ]
    value = max(BEST - sum(points * counts[severity] for severity, points in POINTS.items()), 0.0)
    said = ", ".join(f"{counts[severity]} {severity}" for severity in POINTS if counts[severity])
    return INCIDENTS, value, f"open: {said}" if said else "none open", parts


def _freshness(attained: Sequence[Attained]) -> _Found:
    """The share of the tables with a promised age that are as young as promised now."""
    promised = [one for one in attained if one.objective.indicator.kind is IndicatorKind.FRESHNESS]
    late = {breach.table: breach.message for one in promised for breach in one.breaches}
    tables = sorted({table for one in promised for table in one.watched})
    parts: list[dict[str, Any]] = [
        {"table": table, "fresh": table not in late, "message": late.get(table, "")} for table in tables
    ]
    if not parts:
        return FRESHNESS, None, "no table with a promised age", []
    fresh = sum(bool(part["fresh"]) for part in parts)
    return FRESHNESS, BEST * fresh / len(parts), f"{fresh} of {len(parts)} tables as fresh as promised", parts


def _lifecycle(product: DataProduct, standing: Standing, overdue: Sequence[str]) -> _Found:
    """The share of four claims that hold: somebody answers for it, and it is where its readers believe it to be."""
    named = product.owner.username if product.owner else ""
    claims = (
        ("owned", bool(named), named or "no owner is named"),
        ("active", standing.status is Status.ACTIVE, standing.warning or f"it is {standing.status}"),
        ("agreed", not standing.drift, standing.drift or "file and record agree"),
        ("reviewed", not overdue, "; ".join(overdue) or "nothing is overdue"),
    )
    parts: list[dict[str, Any]] = [
        {"claim": claim, "holds": holds, "message": message} for claim, holds, message in claims
    ]
    held = sum(holds for _, holds, _ in claims)
    lacking = ", ".join(_LACKS[claim] for claim, holds, _ in claims if not holds)
    return LIFECYCLE, BEST * held / len(claims), lacking or "owned, active, reviewed", parts


_LACKS = {
    "owned": "nobody answers for it",
    "active": "not active",
    "agreed": "file and record disagree",
    "reviewed": "a review or retirement is overdue",
}
