"""Every objective of a product, measured at one moment; it must not write, or decide what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.objective import MEANINGS, Category
from dataproducts.operations.measurements import Measurement
from dataproducts.slo.budget import Burn, Tally, alarms, budget_left, burn_rate
from dataproducts.slo.facts import Facts
from dataproducts.slo.indicators import recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.ledger import Ledger
    from dataproducts.objective import Objective
    from dataproducts.product import DataProduct
    from dataproducts.slo.events import Breach

WINDOWS = (7, 28, 90)
"""Days over which every objective is shown, beside its own window."""

_MOMENT = timedelta(minutes=1)

KEPT, BURNING, SPENT, UNMEASURED = "kept", "burning", "spent", "unmeasured"
"""States of an objective, as `Attained.state` says."""


@dataclass(frozen=True, slots=True)
class Attained:
    """What became of one objective by the moment `at`.

    `over` holds the tallies of the last 7, 28 and 90 days, `own` that of the objective's window, on which its budget
    counts. Units of tallies: events, or hours for what is timed. `last_bad` is when something was bad last in `own`.
    `burning_since` is when what an alarm rings for began. `breaches` tells what is not good at the moment, `watched`
    which tables could be.
    """

    product: str
    objective: Objective
    at: datetime
    own: Tally
    over: Mapping[int, Tally]
    burns: tuple[Burn, ...] = ()
    breaches: tuple[Breach, ...] = ()
    watched: tuple[str, ...] = ()
    last_bad: datetime | None = None
    burning_since: datetime | None = None

    @property
    def attainment(self) -> float | None:
        """The good share over the objective's own window; None where nothing was to be counted."""
        return self.own.attainment

    @property
    def budget_left(self) -> float | None:
        """The share of the error budget that is left, as `budget.budget_left` says."""
        return budget_left(self.own, self.objective.target)

    @property
    def is_spent(self) -> bool:
        """Whether nothing of the error budget is left."""
        left = self.budget_left
        return left is not None and left <= 0

    @property
    def is_burning(self) -> bool | None:
        """Whether an alarm rings; None where none does and one cannot tell."""
        told = {burn.rings for burn in self.burns}
        return True if True in told else None if None in told else False

    @property
    def burn(self) -> float | None:
        """The burn rate over the long window of the fast alarm, or over the own window where there is no alarm."""
        return self.burns[0].long if self.burns else burn_rate(self.own, self.objective.target)

    @property
    def state(self) -> str:
        """`spent`, `burning`, `kept`, or `unmeasured` where nothing was to be counted."""
        if self.attainment is None:
            return UNMEASURED
        return SPENT if self.is_spent else BURNING if self.is_burning else KEPT

    def as_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; a burn rate that is infinite becomes None, and the state tells why."""
        target = self.objective.target
        return {
            "product": self.product,
            "objective": self.objective.name,
            "indicator": str(self.objective.indicator.kind),
            "category": str(self.objective.category),
            "target": target,
            "window": str(self.objective.window),
            "at": self.at.isoformat(),
            "unit": unit(self.objective),
            "good": self.own.good,
            "total": self.own.total,
            "attainment": self.attainment,
            "budget_left": self.budget_left,
            "state": self.state,
            "on_spent": str(self.objective.on_spent),
            "driver": self.objective.driver,
            "over": {str(days): _share(tally, target) for days, tally in self.over.items()},
            "burn": [_burn(burn) for burn in self.burns],
            "breaches": [
                {"table": one.table, "since": one.since.isoformat(), "message": one.message} for one in self.breaches
            ],
        }


def unit(objective: Objective) -> str:
    """Return what the totals of `objective` count: hours, declarations or events."""
    kind = objective.indicator.kind
    if kind.value in {"freshness", "access_reviewed", "docs_reviewed"}:
        return "hours"
    is_standing = MEANINGS[kind].category is Category.GOVERNANCE and kind.value != "retention_kept"
    return "declarations" if is_standing else "events"


def evaluate(
    product: DataProduct,
    ledger: Ledger,
    operations: Connection | None,
    *,
    now: datetime,
    clock: datetime | None = None,
    production: bool = False,
) -> tuple[Attained, ...]:
    """Return what became of each objective of `product` by `now`, in their order; nothing that came later is seen.

    `operations` is a connection to the operations database: probes, reviews, incidents and costs count as far as they
    are recorded there. `clock` is a simulated clock that records are not dated by (`Warehouse.frozen_clock`): the age
    of data counts by it, everything else by `now`. In `production` a schedule asks for nothing before a promotion is
    recorded (`Environment.is_production`). Raises: StoreError, if the ledger cannot be read.
    """
    return measure(product, ledger, operations, product.objectives, now=now, clock=clock, production=production)


def measure(
    product: DataProduct,
    ledger: Ledger,
    operations: Connection | None,
    objectives: Iterable[Objective],
    *,
    now: datetime,
    clock: datetime | None = None,
    production: bool = False,
) -> tuple[Attained, ...]:
    """Return what became of `objectives`, as `evaluate` does."""
    wanted = tuple(objectives)
    if not wanted:
        return ()
    starts = [objective.window.start(now) for objective in wanted]
    since = min(now - timedelta(days=WINDOWS[-1]), *starts)
    with ledger.reading() as con:
        facts = Facts(product, con, operations, now=now, since=since, clock=clock, production=production)
        return tuple(_attained(facts, objective) for objective in wanted)


def _attained(facts: Facts, objective: Objective) -> Attained:
    now, found = facts.now, recorded(facts, objective.indicator)
    start = objective.window.start(now)
    length = timedelta(days=objective.window.days) if not objective.window.period else objective.window.end(now) - start
    # What stands declared does not burn: it is the same now and a week ago.
    rung = () if found.standing is not None else alarms(length, found.interval(start, now))
    burns = tuple(
        Burn(
            alarm,
            burn_rate(found.tally(now - alarm.long, now), objective.target),
            burn_rate(found.tally(now - alarm.short, now), objective.target),
        )
        for alarm in rung
    )

    def whole(since: datetime, window: timedelta) -> Tally:
        """Return what was counted since a moment, and what is to be expected once the window is over."""
        counted, interval = found.tally(since, now), found.interval(since, now)
        if found.standing is not None:
            return counted
        # Where nobody knows since when anything was owed, all of the window has been counted.
        took = max(now - max(since, facts.origin or since), _MOMENT)
        # Events come at intervals: the first one stands for the whole of its own.
        took = (took // interval + 1) * interval if interval else took
        return replace(counted, expected=counted.total * max(window / took, 1))

    ringing = [burn.alarm for burn in burns if burn.rings]
    return Attained(
        product=facts.product.address,
        objective=objective,
        at=now,
        own=whole(start, length),
        over=MappingProxyType({d: whole(now - timedelta(days=d), timedelta(days=d)) for d in WINDOWS}),
        burns=burns,
        breaches=found.breaches,
        watched=found.watched,
        last_bad=max((until for _, until in found.bad(start, now)), default=None),
        burning_since=min((at for at, _ in found.bad(now - ringing[0].long, now)), default=None) if ringing else None,
    )


def measurements(attained: Iterable[Attained]) -> tuple[Measurement, ...]:
    """Return what `operations/measurements.py` keeps: a row for 7, 28 and 90 days each, and for the own window."""
    found = []
    for one in attained:
        objective = one.objective
        own = 0.0 if objective.window.period else float(objective.window.days)
        windows = {float(days): tally for days, tally in one.over.items()} | {own: one.own}
        for days, tally in windows.items():
            is_own = days == own
            detail: dict[str, Any] = {"unit": unit(objective), "window": str(objective.window)} if is_own else {}
            if is_own:
                detail |= {"state": one.state, "burn": [_burn(burn) for burn in one.burns]}
            found.append(
                Measurement(
                    product=one.product,
                    objective=objective.name,
                    at=one.at,
                    days=days,
                    good=tally.good,
                    total=tally.total,
                    target=objective.target,
                    attainment=tally.attainment,
                    budget_left=budget_left(tally, objective.target),
                    detail=detail,
                )
            )
    return tuple(found)


def _share(tally: Tally, target: float) -> dict[str, float | None]:
    left = budget_left(tally, target)
    return {"good": tally.good, "total": tally.total, "attainment": tally.attainment, "budget_left": left}


def _burn(burn: Burn) -> dict[str, Any]:
    return {
        "alarm": burn.alarm.name,
        "long_s": burn.alarm.long.total_seconds(),
        "short_s": burn.alarm.short.total_seconds(),
        "threshold": burn.alarm.threshold,
        "long": _finite(burn.long),
        "short": _finite(burn.short),
        "rings": burn.rings,
    }


def _finite(rate: float | None) -> float | None:
    return None if rate is None or math.isinf(rate) else rate
