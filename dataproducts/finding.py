"""What was found to be wrong, or right again, with a product; it must not know who is told, or how."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dataproducts.product import Severity

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class FindingKind(StrEnum):
    """What can be wrong with a product."""

    REFUSED = "refused"  # a refresh was refused for another reason than a rule
    CHECK = "check"  # a rule failed, of any severity
    STALE = "stale"  # the data is older than promised
    MISSING = "missing"  # a load or a check that should have run did not
    PIPELINE = "pipeline"  # a run crashed, was killed or never started
    BURN_RATE = "burn_rate"  # an error budget is being spent too fast
    BUDGET = "budget"  # an error budget is spent
    SOURCE = "source"  # a source is broken, absent or not what its contract says
    ACCESS = "access"  # an access rule is not enforced; nothing looks for it yet
    REVIEW = "review"  # a review of the product, or its retirement, is overdue
    WATCHDOG = "watchdog"  # what watches cannot measure what was promised


@dataclass(frozen=True, slots=True)
class Subject:
    """What a finding is about: the same subject, found wrong again, is the same incident.

    `name` is the rule, the objective, the source or the job; `table` is empty where it is the product's.
    """

    product: str
    kind: FindingKind
    name: str
    table: str = ""

    @property
    def fingerprint(self) -> str:
        """64 hexadecimal digits that stand for the subject."""
        told = f"{self.product}\x1f{self.kind}\x1f{self.table}\x1f{self.name}"
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Finding:
    """One sighting of something wrong.

    `failed_at` is when it went wrong, as far as is known; `seen_at` when it was found. `detail` holds what a reader
    needs, none of it classified: `message`, `partition`, `number`, `threshold`, `run_id`, `refresh_id`, `sample` …
    """

    subject: Subject
    title: str
    severity: Severity
    failed_at: datetime
    seen_at: datetime
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class Recovery:
    """A subject that was found right at `at`: it closes what is open about it."""

    subject: Subject
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
