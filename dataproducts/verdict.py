"""What a gate found: one result a rule; it must not know how rules are counted or where verdicts are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dataproducts.product import Rule


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The outcome of one rule on one table, or on one partition of it.

    `observed` is what was compared with the threshold, in the rule's unit; `failed_rows` the rows rejected,
    where the rule rejects rows; `total_rows` the rows judged. `error` tells why a rule could not be judged: then
    `passed` is False, whatever the rule. `sample` holds at most 5 rejected rows, classified columns masked.
    """

    rule: Rule
    passed: bool
    total_rows: int
    observed: float | None = None
    failed_rows: int | None = None
    partition: str | None = None
    sample: tuple[Mapping[str, Any], ...] = ()
    message: str = ""
    error: str = ""
    method: str = "scan"

    @property
    def reason(self) -> str:
        """Why the rule could not be judged, else what it found."""
        return self.error or self.message

    @property
    def is_blocking(self) -> bool:
        """Whether this result forbids publication."""
        return not self.passed and self.rule.blocking


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass: how it found its answers, for which rules, how many rows it read and how many seconds it took."""

    method: str
    rules: tuple[str, ...]
    rows: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All results for one staged table; `quarantined` counts rows split off before it was judged, by rule name.

    `passes` tells what judging it cost. Of a file, `quarantined_rows` counts those rows once, and
    `quarantined_sample` holds at most 5 of them by rule, classified columns masked.
    """

    table: str
    rows: int
    results: tuple[RuleResult, ...]
    quarantined: Mapping[str, int]
    passes: tuple[Pass, ...] = ()
    quarantined_rows: int = 0
    quarantined_sample: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether nothing forbids publication."""
        return not any(result.is_blocking for result in self.results)

    @property
    def blocking(self) -> tuple[RuleResult, ...]:
        """The results that forbid publication."""
        return tuple(result for result in self.results if result.is_blocking)
