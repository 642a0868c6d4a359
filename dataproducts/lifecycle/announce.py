"""What those who read a product are told of a step of its lifecycle; it must not know who they are, or the channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from dataproducts.alerts.announce import Announcement
from dataproducts.product import Status
from dataproducts.standing import NO_SUCCESSOR

if TYPE_CHECKING:
    from dataproducts.lifecycle.states import Move
    from dataproducts.operations.transitions import Transition
    from dataproducts.standing import Standing

Tell = Callable[[Connection, Announcement], int]
"""Queues an announcement in the caller's transaction and returns how many notices that made."""


def announcement(move: Move, after: Standing, transition: Transition) -> Announcement | None:
    """Return what is told of `move`, after which the product stands as `after`; None if nobody waits for it."""
    kinds = {Status.DEPRECATED: "deprecated", Status.RETIRED: "retired"}
    kind = "reinstated" if move.before is Status.DEPRECATED and move.after is Status.ACTIVE else kinds.get(move.after)
    if kind is None:
        return None
    end = {"deprecated": "Ends on", "retired": "Ended on"}.get(kind, "")
    day = after.sunset if kind == "deprecated" else transition.at.date()
    successor = "nothing takes its place" if after.successor in {"", NO_SUCCESSOR} else after.successor
    lines = [("Reason", transition.reason), ("Decided by", transition.actor)]
    if end:
        lines += [(end, f"{day}"), ("Successor", successor)]
    return Announcement(
        kind=kind,
        product=after.product,
        reference=transition.at.isoformat(),
        title=f"{after.product} is {'active again' if kind == 'reinstated' else kind}",
        lines=tuple(lines),
    )


def tell_nobody(_con: Connection, _announcement: Announcement) -> int:
    """Tell nobody: for an environment without a directory of teams and channels."""
    return 0
