"""Alerts: who is told of incidents and announcements, worded, queued and delivered; it must not open an incident."""

from __future__ import annotations

from dataproducts.alerts.announce import Announcement, queue_announcement
from dataproducts.alerts.deliver import Delivered, deliver
from dataproducts.alerts.queue import queue

__all__ = ["Announcement", "Delivered", "deliver", "queue", "queue_announcement"]
