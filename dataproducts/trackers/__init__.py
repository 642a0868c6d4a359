"""Issue trackers: one ticket an incident, kept in step with it; it must not decide what an incident is."""

from __future__ import annotations

from dataproducts.trackers.github import GitHub
from dataproducts.trackers.gitlab import GitLab
from dataproducts.trackers.sync import Synced, sync
from dataproducts.trackers.ticket import Ticket, TicketGoneError, Tracker, TrackerError
from dataproducts.trackers.webhook import Webhook

__all__ = [
    "GitHub",
    "GitLab",
    "Synced",
    "Ticket",
    "TicketGoneError",
    "Tracker",
    "TrackerError",
    "Webhook",
    "sync",
]
