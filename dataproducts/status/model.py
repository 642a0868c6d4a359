"""How one product is doing at one moment, as plain facts; it must not know where they come from or how they look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median
from typing import TYPE_CHECKING, Any

from dataproducts.finding import FindingKind
from dataproducts.objective import IndicatorKind
from dataproducts.operations.costs import RELEASED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dataproducts.operations.costs import RefreshCost
    from dataproducts.operations.health import Scored
    from dataproducts.operations.incidents import Incident
    from dataproducts.operations.transitions import Transition
    from dataproducts.product import DataProduct, Tier
    from dataproducts.releases import ReleaseRow
    from dataproducts.slo.evaluate import Attained
    from dataproducts.standing import Standing
    from dataproducts.status.health import Health

SPANS = (7, 28, 90)
"""Days over which trust is told."""

ACCURACY = frozenset({"completeness", "uniqueness", "validity", "accuracy", "consistency"})
AVAILABILITY = frozenset({"freshness", "frequency", "time_of_availability", "refresh_success", "port_availability"})
"""Kinds of indicators that the scorecard of an owner counts as accuracy and as availability."""

_COMPARED = timedelta(days=28)
# Of what was wrong before, or of what people have to do: readers get what was promised.
_LASTING = frozenset({FindingKind.BUDGET, FindingKind.BURN_RATE, FindingKind.REVIEW, FindingKind.WATCHDOG})


class State(StrEnum):
    """How a product is doing, in one word for its readers."""

    GOOD = "good"
    DEGRADED = "degraded"  # something is wrong that is no error, or an error budget is spent or burns
    FAILING = "failing"  # an open error, a load that did not run, or data older than promised
    UNRELEASED = "unreleased"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class TableNow:
    """A table of the current release: rows, bytes of its files, until when it is complete, and how old that is."""

    name: str
    published: bool  # offered by an output port
    rows: int
    bytes: int
    valid_thru: datetime | None
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The rules that one refresh judged, and how many of them failed."""

    at: datetime
    rules: int
    failed: int


@dataclass(frozen=True, slots=True)
class Budget:
    """What was left of an objective's error budget, as it was measured; 1 is all of it, None where nothing counted."""

    objective: str
    history: tuple[tuple[datetime, float | None], ...]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A product, or a source, that this one reads or that reads it: `through` which ports or servers."""

    name: str
    through: tuple[str, ...]
    is_product: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that is told of `product` as it was at `at`.

    `clock` is the simulated moment by which ages count, None where time is real; `is_replay` tells that records are
    dated by it. `incidents` are those that are open, and those of the last 90 days; `opened` when one was opened or
    reopened in that time. `releases` come newest first, `transitions`, `costs`, `judged` and `scores` oldest first.
    """

    product: DataProduct
    at: datetime
    clock: datetime | None
    is_replay: bool
    environment: str
    standing: Standing
    health: Health
    attained: tuple[Attained, ...]
    shown_tier: Tier | None
    late_load: str
    tables: tuple[TableNow, ...]
    releases: tuple[ReleaseRow, ...]
    transitions: tuple[Transition, ...]
    incidents: tuple[Incident, ...]
    opened: tuple[datetime, ...]
    costs: tuple[RefreshCost, ...]
    scores: tuple[Scored, ...]
    judged: tuple[Judgement, ...]
    budgets: tuple[Budget, ...]
    upstream: tuple[Neighbour, ...]
    downstream: tuple[Neighbour, ...]
    reviewed: Transition | None = None

    @property
    def open_incidents(self) -> tuple[Incident, ...]:
        """The incidents that are not resolved, worst first."""
        return tuple(one for one in self.incidents if one.is_open)

    @property
    def reasons(self) -> tuple[tuple[State, str], ...]:
        """What keeps the product from being good, worst first."""
        if self.standing.is_retired:
            return ((State.RETIRED, self.standing.warning),)
        if not self.releases:
            return ((State.UNRELEASED, "it has no release yet"),)
        grave = [one for one in self.open_incidents if one.severity == "error" and one.kind not in _LASTING]
        failing = [self.own(one.title) for one in grave]
        failing += [self.late_load] if self.late_load else []
        stale = dict.fromkeys(breach for one in self.attained if _is_age(one) for breach in one.breaches)
        failing += [f"{breach.table}: {breach.message}" for breach in stale]
        lesser = [one for one in self.open_incidents if one.severity != "info" and one not in grave]
        degraded = [self.own(one.title) for one in lesser]
        told = {one.subject for one in self.open_incidents}
        broken = [one for one in self.attained if _is_broken(one) and one.objective.name not in told]
        degraded += [f"objective {one.objective.name} is {one.state}" for one in broken]
        return (*((State.FAILING, text) for text in failing), *((State.DEGRADED, text) for text in degraded))

    def own(self, title: str) -> str:
        """Return the title of an incident without the product's address, where all that is told is about it."""
        return title.removeprefix(self.product.address).lstrip(":. ") or title

    @property
    def state(self) -> State:
        """How it is doing, in one word: the worst of `reasons`."""
        return next((state for state, _ in self.reasons), State.GOOD)

    @property
    def age(self) -> timedelta | None:
        """How old the data is: the age of the oldest table that is offered and tells; None where none does."""
        return max((t.age for t in self.tables if t.published and t.age is not None), default=None)

    @property
    def least_budget(self) -> Attained | None:
        """The objective with the least error budget left; None where none is measured."""
        measured = [one for one in self.attained if one.budget_left is not None]
        return min(measured, key=lambda one: (one.budget_left or 0.0, one.objective.name), default=None)

    def kept(self, days: int) -> tuple[int, int]:
        """Return how many objectives attained their targets over the last `days`, and how many were measured."""
        pairs = [(one.over[days].attainment, one.objective.target) for one in self.attained if days in one.over]
        told = [(share, target) for share, target in pairs if share is not None]
        return sum(share >= target for share, target in told), len(told)

    def incidents_within(self, days: int) -> int:
        """Return how often an incident was opened or reopened in the last `days`."""
        return sum(self.at - timedelta(days=days) < moment <= self.at for moment in self.opened)

    @property
    def days_since_breach(self) -> float | None:
        """Days since something was wrong last: 0 while it is, None where nothing is known to have been.

        What counts is a bad event of an objective in its window, and an incident of the last 90 days; not one about a
        budget, which stays spent long after all is well.
        """
        acute = [one for one in self.incidents if one.kind not in _LASTING]
        if any(one.is_open for one in acute) or any(one.breaches for one in self.attained):
            return 0.0
        ends = [one.last_bad for one in self.attained if one.last_bad]
        ends += [one.resolved_at for one in acute if one.resolved_at]
        return max((self.at - max(ends)) / timedelta(days=1), 0.0) if ends else None

    @property
    def scorecard(self) -> dict[str, float | None]:
        """Three measures for an owner, 0 to 1 each: accuracy and availability over 28 days, usability now.

        Usability is the share of offered tables and columns that are described.
        """
        offered = [table for table in self.product.tables if table.name in self.product.published]
        texts = [text for t in offered for text in (t.description, *(column.description for column in t.columns))]
        return {
            "accuracy": self._mean(ACCURACY),
            "availability": self._mean(AVAILABILITY),
            "usability": sum(bool(text.strip()) for text in texts) / len(texts) if texts else None,
        }

    def _mean(self, kinds: Iterable[str]) -> float | None:
        shares = [
            share
            for one in self.attained
            if one.objective.indicator.kind in kinds and (share := one.over[28].attainment) is not None
        ]
        return sum(shares) / len(shares) if shares else None

    @property
    def cost(self) -> CostNow:
        """What its refreshes cost."""
        return CostNow.of(self.costs, self.at)


@dataclass(frozen=True, slots=True)
class CostNow:
    """What refreshes of a product cost: the last one, the medians of 28 days, and how those have grown.

    Medians are over the `released` ones of the `refreshes` of 28 days. `growth` compares the median seconds with those
    of the 28 days before: 0.1 is a tenth more; None where either is unknown.
    """

    last: RefreshCost | None = None
    refreshes: int = 0
    released: int = 0
    wall_s: float | None = None
    cpu_s: float | None = None
    rows: float | None = None
    bytes: float | None = None
    growth: float | None = None

    @classmethod
    def of(cls, costs: Sequence[RefreshCost], at: datetime) -> CostNow:
        """Return it for `costs`, oldest first, as they were known at a moment."""
        recent = [one for one in costs if at - _COMPARED < one.at <= at and one.outcome == RELEASED]
        before = [one for one in costs if at - 2 * _COMPARED < one.at <= at - _COMPARED and one.outcome == RELEASED]
        now, then = _median(one.wall_s for one in recent), _median(one.wall_s for one in before)
        return cls(
            last=costs[-1] if costs else None,
            refreshes=sum(at - _COMPARED < one.at <= at for one in costs),
            released=len(recent),
            wall_s=now,
            cpu_s=_median(one.cpu_s for one in recent),
            rows=_median(one.rows for one in recent),
            bytes=_median(one.bytes for one in recent),
            growth=now / then - 1 if now is not None and then else None,
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "last": cost_json(self.last) if self.last else None,
            "refreshes_28d": self.refreshes,
            "median_28d": {"wall_s": self.wall_s, "cpu_s": self.cpu_s, "rows": self.rows, "bytes": self.bytes},
            "growth": self.growth,
        }


def cost_json(cost: RefreshCost) -> dict[str, Any]:
    """Return what one refresh cost as JSON values."""
    return {
        "refresh": cost.refresh_id,
        "at": cost.at.isoformat(),
        "outcome": cost.outcome,
        "wall_s": cost.wall_s,
        "cpu_s": cost.cpu_s,
        "rows": cost.rows,
        "bytes": cost.bytes,
        "tables": {name: dict(found) for name, found in _tables(cost.detail).items()},
    }


def _tables(detail: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    found = detail.get("tables", {})
    return found if isinstance(found, Mapping) else {}


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(median(found)) if found else None


def _is_age(one: Attained) -> bool:
    return one.objective.indicator.kind is IndicatorKind.FRESHNESS


def _is_broken(one: Attained) -> bool:
    return one.state in {"spent", "burning"}
