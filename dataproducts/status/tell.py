"""Statuses as JSON values, and figures as people read them; it must not compute a fact."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dataproducts.status.model import SPANS, cost_json

if TYPE_CHECKING:
    from datetime import datetime

    from dataproducts.operations.incidents import Incident
    from dataproducts.operations.transitions import Transition
    from dataproducts.standing import Standing
    from dataproducts.status.model import Neighbour, Status, TableNow

_KILO = 1000.0
_TEN = 10
_PERCENT = 100
_DAY, _HOUR, _MINUTE = 86400, 3600, 60


def as_json(status: Status) -> dict[str, Any]:
    """Return everything that is told of a product as JSON values, as docs/json/status.schema.json says."""
    product, least = status.product, status.least_budget
    return {
        "product": product.address,
        "version": product.version,
        "environment": status.environment,
        "at": status.at.isoformat(),
        "simulated_clock": _time(status.clock),
        "replayed": status.is_replay,
        "state": str(status.state),
        "reasons": [{"state": str(state), "message": message} for state, message in status.reasons],
        "lifecycle": _standing(status.standing),
        "owner": product.owner.username if product.owner else "",
        "team": product.team,
        "tier": str(product.tier) if product.tier else None,
        "shown_tier": str(status.shown_tier) if status.shown_tier else None,
        "purpose": product.purpose,
        "health": status.health.as_json() | {"history": [{"at": _time(o.at), "score": o.score} for o in status.scores]},
        "trust": {
            "objectives": {
                str(days): dict(zip(("kept", "measured"), status.kept(days), strict=True)) for days in SPANS
            },
            "incidents": {str(days): status.incidents_within(days) for days in SPANS},
            "days_since_breach": status.days_since_breach,
        },
        "scorecard": status.scorecard,
        "freshness": {"age_s": _seconds(status.age), "tables": [_table(table) for table in status.tables]},
        "budget": {"objective": least.objective.name, "left": least.budget_left} if least else None,
        "objectives": [one.as_json() for one in status.attained],
        "incidents": {"open": len(status.open_incidents), "listed": [_incident(one) for one in status.incidents]},
        "releases": [release.as_json() for release in status.releases],
        "transitions": [_transition(step) for step in status.transitions],
        "cost": status.cost.as_json() | {"history": [cost_json(one) for one in status.costs]},
        "judged": [{"at": _time(one.at), "rules": one.rules, "failed": one.failed} for one in status.judged],
        "upstream": [_neighbour(one) for one in status.upstream],
        "downstream": [_neighbour(one) for one in status.downstream],
        "consumers": [dict(consumer) for consumer in product.consumers],
    }


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "status": str(standing.status),
        "declared": str(standing.declared) if standing.declared else None,
        "recorded": str(standing.recorded) if standing.recorded else None,
        "successor": standing.successor,
        "sunset": standing.sunset.isoformat() if standing.sunset else None,
        "warning": standing.warning,
        "drift": standing.drift,
    }


def _table(table: TableNow) -> dict[str, Any]:
    return {
        "table": table.name,
        "published": table.published,
        "rows": table.rows,
        "bytes": table.bytes,
        "valid_thru": _time(table.valid_thru),
        "age_s": _seconds(table.age),
    }


def _incident(one: Incident) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": str(one.kind),
        "severity": str(one.severity),
        "state": one.state,
        "table": one.table,
        "title": one.title,
        "responsible": one.responsible,
        "opened_at": _time(one.opened_at),
        "resolved_at": _time(one.resolved_at),
        "time_to_detect_s": _seconds(one.time_to_detect),
        "time_to_repair_s": _seconds(one.time_to_repair),
        "episode": one.episode,
    }


def _transition(step: Transition) -> dict[str, Any]:
    return {
        "kind": step.kind,
        "from": step.from_status,
        "to": step.to_status,
        "at": _time(step.at),
        "actor": step.actor,
        "reason": step.reason,
    }


def _neighbour(one: Neighbour) -> dict[str, Any]:
    return {"name": one.name, "through": list(one.through), "is_product": one.is_product}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _seconds(span: timedelta | None) -> float | None:
    return span.total_seconds() if span is not None else None


def percent(share: float | None, *, digits: int = 1) -> str:
    """Return a share as `99.9 %`, never rounded up; `-` for none."""
    if share is None:
        return "-"
    scale = 10**digits
    return f"{math.floor(round(share * _PERCENT * scale, 6)) / scale:.{digits}f}".removesuffix(".0") + " %"


def score_text(score: float | None) -> str:
    """Return a score with one decimal, never rounded up to 100; `-` for none."""
    return "-" if score is None else f"{math.floor(round(score * 10, 6)) / 10:g}"


def span_text(span: timedelta | float | None, *, units: int = 2) -> str:
    """Return a span of time, or seconds, in its one or two greatest units: `3 d 4 h`, `12 s`; `-` for none."""
    if span is None:
        return "-"
    seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
    sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
    if seconds < _MINUTE:
        return f"{sign}{seconds:.3g} s" if seconds < _TEN else f"{sign}{seconds:.0f} s"
    for unit, name, below, smaller in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s")):
        if seconds >= unit:
            whole, rest = divmod(int(seconds), unit)
            return f"{sign}{whole} {name}" + (f" {rest // below} {smaller}" if units > 1 and rest // below else "")
    return ""


def bytes_text(count: float | None) -> str:
    """Return bytes with the unit that fits: `1.2 MB`; `-` for none."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < _KILO:
            return f"{count:.0f} {unit}" if unit == "B" or count >= _TEN * _TEN else f"{count:.1f} {unit}"
        count /= _KILO
    return f"{count:.1f} TB"


def growth_text(growth: float | None) -> str:
    """Return a growth as `+12 %`; `-` for none."""
    return "-" if growth is None else f"{growth * _PERCENT:+.0f} %"
