"""What a product promises to attain, as `slo.yaml` and contracts declare it; it must not know how it is measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.product import NOWHERE, Mark, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Category(StrEnum):
    """The three kinds of promise."""

    QUALITY = "quality"
    ARCHITECTURE = "architecture"
    GOVERNANCE = "governance"


class Spent(StrEnum):
    """What happens when an error budget is spent."""

    WARN = "warn"
    FREEZE = "freeze"  # releases that are not fixes are refused
    DEMOTE = "demote"  # the product counts as one tier lower


class IndicatorKind(StrEnum):
    """What is measured; `MEANINGS` says what an event is, and which events are good."""

    COMPLETENESS = "completeness"
    UNIQUENESS = "uniqueness"
    VALIDITY = "validity"
    ACCURACY = "accuracy"
    CONSISTENCY = "consistency"
    FRESHNESS = "freshness"
    FREQUENCY = "frequency"
    TIME_OF_AVAILABILITY = "time_of_availability"
    REFRESH_SUCCESS = "refresh_success"
    REFRESH_DURATION = "refresh_duration"
    REFRESH_GROWTH = "refresh_growth"
    PORT_LATENCY = "port_latency"
    PORT_AVAILABILITY = "port_availability"
    TIME_TO_DETECT = "time_to_detect"
    TIME_TO_NOTIFY = "time_to_notify"
    TIME_TO_REPAIR = "time_to_repair"
    OWNED = "owned"
    DESCRIBED = "described"
    CLASSIFIED = "classified"
    ACCESS_REVIEWED = "access_reviewed"
    DOCS_REVIEWED = "docs_reviewed"
    PERSONAL_DATA_MASKED = "personal_data_masked"
    LINEAGE_COMPLETE = "lineage_complete"
    RETENTION_KEPT = "retention_kept"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an indicator counts: `event` is one of the total, `good` says which of them count as good.

    `params` may be given, `needed` must be. `unit` is that of the figure shown beside the share of good events.
    """

    category: Category
    event: str
    good: str
    unit: str = "share"
    params: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()


_RULES = ("table", "rules", "columns")
_VERDICT = "a rule of this dimension that a refresh judged, or should have judged"


def _seconds(category: Category, event: str, good: str, *params: str) -> Meaning:
    return Meaning(category, event, good, "seconds", ("at_most_s", *params), ("at_most_s",))


MEANINGS: Mapping[IndicatorKind, Meaning] = MappingProxyType(
    {
        **{
            IndicatorKind(name): Meaning(Category.QUALITY, _VERDICT, "the rule held", params=_RULES)
            for name in ("completeness", "uniqueness", "validity", "accuracy", "consistency")
        },
        IndicatorKind.FRESHNESS: _seconds(
            Category.QUALITY,
            "an hour since the product began to owe anything",
            "the newest event time of the release was at most `at_most_s` old; never loaded is not good",
            "table",
            "column",
            "measured_on",
        ),
        IndicatorKind.FREQUENCY: _seconds(
            Category.ARCHITECTURE,
            "a span of `at_most_s`, counted from the start of 1970 in UTC",
            "a release was published in it",
        ),
        IndicatorKind.TIME_OF_AVAILABILITY: Meaning(
            Category.QUALITY,
            "a day",
            "the release that was live at the time of day `by` held rows of the day before",
            params=("table", "column", "by"),
            needed=("by",),
        ),
        IndicatorKind.REFRESH_SUCCESS: Meaning(
            Category.ARCHITECTURE, "a refresh that ended, or that the schedule asked for", "it was released"
        ),
        IndicatorKind.REFRESH_DURATION: _seconds(
            Category.ARCHITECTURE, "a refresh that was released", "it took `at_most_s` or less"
        ),
        IndicatorKind.REFRESH_GROWTH: Meaning(
            Category.ARCHITECTURE,
            "a refresh that was released, with earlier ones to compare with",
            "its seconds for each row were at most `at_most_ratio` times the median of the 20 before",
            "ratio",
            ("at_most_ratio",),
            ("at_most_ratio",),
        ),
        IndicatorKind.PORT_LATENCY: _seconds(
            Category.ARCHITECTURE, "a probe of an output port", "it was answered within `at_most_s`", "port"
        ),
        IndicatorKind.PORT_AVAILABILITY: Meaning(
            Category.ARCHITECTURE, "a probe of an output port", "it was answered", params=("port",)
        ),
        IndicatorKind.TIME_TO_DETECT: _seconds(
            Category.ARCHITECTURE, "an incident", "it was opened within `at_most_s` of going wrong", "table"
        ),
        IndicatorKind.TIME_TO_NOTIFY: _seconds(
            Category.ARCHITECTURE, "an incident", "somebody was told within `at_most_s` of its opening", "table"
        ),
        IndicatorKind.TIME_TO_REPAIR: _seconds(
            Category.ARCHITECTURE, "an incident", "it was resolved within `at_most_s` of its opening", "table"
        ),
        IndicatorKind.OWNED: Meaning(Category.GOVERNANCE, "a role of owner, technicalOwner, steward", "it is filled"),
        IndicatorKind.DESCRIBED: Meaning(
            Category.GOVERNANCE, "a table or column of an output port", "it is described", params=("table",)
        ),
        IndicatorKind.CLASSIFIED: Meaning(
            Category.GOVERNANCE, "a column of an output port", "it has a classification", params=("table",)
        ),
        IndicatorKind.ACCESS_REVIEWED: Meaning(
            Category.GOVERNANCE,
            "an hour since the product began to owe anything",
            "access was reviewed within the `at_most_days` before",
            params=("at_most_days",),
            needed=("at_most_days",),
        ),
        IndicatorKind.DOCS_REVIEWED: Meaning(
            Category.GOVERNANCE,
            "an hour since the product began to owe anything",
            "the product's documentation was reviewed within the `at_most_days` before",
            params=("at_most_days",),
            needed=("at_most_days",),
        ),
        IndicatorKind.PERSONAL_DATA_MASKED: Meaning(
            Category.GOVERNANCE, "a personal column of an output port", "its values are masked", params=("table",)
        ),
        IndicatorKind.LINEAGE_COMPLETE: Meaning(
            Category.GOVERNANCE, "a column of a table made by a transform", "the columns it comes from are known"
        ),
        IndicatorKind.RETENTION_KEPT: Meaning(
            Category.GOVERNANCE,
            "a retention rule that a refresh judged, or should have judged",
            "no row was older than it allows",
            params=("table", "rules"),
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Indicator:
    """What an objective measures: its kind, and the parameters that `MEANINGS` lists for the kind.

    `params`: `table` (absent: all published tables), `rules` and `columns` (tuples; absent: all of the dimension),
    `column` and `measured_on` (`event_time` or `valid_thru`), `by` (a time of day with an offset), `port`,
    `at_most_s` (seconds), `at_most_ratio`, `at_most_days`.
    """

    kind: IndicatorKind
    params: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def table(self) -> str:
        """The table measured; empty for all that the product publishes."""
        return str(self.params.get("table", ""))

    @property
    def rules(self) -> tuple[str, ...]:
        """Names of the rules that count; empty for all of the dimension."""
        return tuple(self.params.get("rules", ()))

    @property
    def at_most_s(self) -> float | None:
        """The limit in seconds, of the kinds that have one."""
        return self.params.get("at_most_s")


@dataclass(frozen=True, slots=True)
class Window:
    """Over which time attainment counts: the last `days`, or the current calendar `period` in UTC."""

    days: float = 28
    period: str = ""  # month or quarter; empty where the window rolls

    def start(self, now: datetime) -> datetime:
        """Return when the window that ends at `now` began."""
        if not self.period:
            return now - timedelta(days=self.days)
        here = now.astimezone(UTC)
        month = here.month if self.period == "month" else here.month - (here.month - 1) % 3
        return here.replace(month=month, day=1, hour=0, minute=0, second=0, microsecond=0)

    def end(self, now: datetime) -> datetime:
        """Return when the window ends: `now` where it rolls, else the first moment of the next period."""
        if not self.period:
            return now
        begun = self.start(now)
        months = begun.month - 1 + (1 if self.period == "month" else 3)
        return begun.replace(year=begun.year + months // 12, month=months % 12 + 1)

    def __str__(self) -> str:
        """Render as `28 days` or `calendar month`."""
        return f"calendar {self.period}" if self.period else f"{self.days:g} days"


@dataclass(frozen=True, slots=True)
class Objective:
    """One promise: which share of an indicator's events is to be good, over which window.

    `name` is unique in the product and made of letters, digits, `_` and `.`. `driver` is the regulation or the reason
    behind it. `origin` is `slo.yaml`, or the clause that it was derived from (`contract.slaProperties[latency]`).
    """

    name: str
    indicator: Indicator
    target: float  # 0 to 1
    window: Window = Window()
    category: Category = Category.QUALITY
    on_spent: Spent = Spent.WARN
    severity: Severity = Severity.WARNING
    driver: str = ""
    description: str = ""
    origin: str = "slo.yaml"
    runbook: str = ""
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Unsubscription:
    """What opens no incident: the findings of `kind`, or those of the rule, objective or source `name` alone.

    Either may be empty, and then leaves open which; `table` narrows it to one table.
    """

    reason: str
    kind: str = ""
    name: str = ""
    table: str = ""
    mark: Mark = NOWHERE

    def covers(self, *, kind: str, name: str, table: str = "") -> bool:
        """Return whether a finding with this subject opens no incident."""
        wanted = ((self.kind, kind), (self.name, name), (self.table, table))
        return all(not asked or asked == given for asked, given in wanted)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A default objective that the product does without, and why."""

    name: str
    reason: str
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Trust:
    """What `slo.yaml` says beside its objectives.

    `runbooks` holds links by `<table>.<rule>`; objectives carry their own. `health` holds the weights of the score by
    component; empty where the usual ones hold.
    """

    unsubscribed: tuple[Unsubscription, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    runbooks: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    health: Mapping[str, float] = field(default_factory=lambda: _EMPTY)

    def runbook(self, rule: str, table: str) -> str:
        """Return the link for a rule of a table; empty if there is none."""
        return self.runbooks.get(f"{table}.{rule}", "")
