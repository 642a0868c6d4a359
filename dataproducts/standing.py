"""How a product stands in its lifecycle, and what its readers are told of it; it must not know where that is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.product import Status

if TYPE_CHECKING:
    from datetime import date, datetime

NO_SUCCESSOR = "none"
"""What is written in place of a successor's address where nothing takes over."""

PARTICULARS = ("access", "docs")
"""What a review may look at in particular, beside the product: who may read it, and what is written about it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The lifecycle status of a product: what its file says, what was recorded, and what counts.

    `declared` is None where no file declares the product, `recorded` where no step of it was ever recorded. `since`,
    `actor` and `reason` are those of the last step; `successor` and `sunset` come from it, or else from the file.
    `drift` says what to do where file and record differ; empty where they do not.
    """

    product: str
    status: Status
    declared: Status | None = None
    recorded: Status | None = None
    since: datetime | None = None
    actor: str = ""
    reason: str = ""
    successor: str = ""
    sunset: date | None = None
    drift: str = ""

    @property
    def is_retired(self) -> bool:
        """Whether nothing of the product may be made any more."""
        return self.status is Status.RETIRED

    @property
    def is_closed(self) -> bool:
        """Whether its outputs answer no more: a retirement that was recorded, not one that a file alone speaks of."""
        return self.recorded is Status.RETIRED

    @property
    def is_scheduled(self) -> bool:
        """Whether its schedule is to run."""
        return self.status in {Status.ACTIVE, Status.DEPRECATED}

    @property
    def warning(self) -> str:
        """What everybody who reads the product is told; empty unless it is deprecated or retired."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        if self.status is Status.RETIRED:
            when = f" since {self.since:%Y-%m-%d}" if self.since and self.is_closed else ""
            return f"{self.product} is retired{when}{why}. {self._instead()}"
        if self.status is Status.DEPRECATED:
            end = f" It ends on {self.sunset}." if self.sunset else ""
            return f"{self.product} is deprecated{why}.{end} {self._instead()}"
        return ""

    def _instead(self) -> str:
        if self.successor in {"", NO_SUCCESSOR}:
            return "Nothing takes its place"
        return f"Read {self.successor} instead"
