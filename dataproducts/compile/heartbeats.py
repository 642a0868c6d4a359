"""When Dagster's daemon was last alive; it must not judge that."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg


def heartbeats() -> dict[str, datetime | None]:
    """Return, for each part of the daemon that this instance needs, when it was last alive; None if it never was."""
    with dg.DagsterInstance.get() as instance:
        found = instance.get_daemon_statuses()
    return {
        f"Dagster daemon ({name.lower()})": datetime.fromtimestamp(status.last_heartbeat.timestamp, UTC)
        if status.last_heartbeat
        else None
        for name, status in sorted(found.items())
        if status.required
    }
