"""Episodes of incidents, those that were reopened since included; it must not know which took too long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from dataproducts.slo.facts import Facts


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that something was wrong: since when, when it was found, told and repaired, as far as it was."""

    failed_at: datetime
    opened_at: datetime
    notified_at: datetime | None = None
    resolved_at: datetime | None = None


def episodes(facts: Facts, table: str = "") -> tuple[Episode, ...]:
    """Return every episode of the product's incidents that was opened by now; of one table, if it is named."""
    incidents, lines = facts.incidents()
    found: list[Episode] = []
    for incident in incidents:
        if table and incident.table_name not in {"", table}:
            continue
        past = _past(lines.get(incident.id, ()))
        if past and past[-1].opened_at == incident.opened_at:
            # The incident itself knows when its last episode went wrong.
            past[-1] = replace(past[-1], failed_at=incident.failed_at)
        found += past
    return tuple(sorted((one for one in found if one.opened_at <= facts.now), key=lambda one: one.opened_at))


def _past(lines: Sequence[Row[Any]]) -> list[Episode]:
    """Return the episodes that a timeline tells of."""
    found: list[Episode] = []
    for line in lines:
        if line.kind in {"opened", "reopened"}:
            found.append(Episode(line.at, line.at))
        elif not found:
            continue
        elif line.kind == "notified" and found[-1].notified_at is None:
            found[-1] = replace(found[-1], notified_at=line.at)
        elif line.kind == "resolved":
            late = timedelta(seconds=line.detail.get("detect_s") or 0)
            found[-1] = replace(found[-1], failed_at=found[-1].opened_at - late, resolved_at=line.at)
    return found
