"""Notices of a product's lifecycle and of changes to it, for those who read it; it must not send any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.alerts import routing
from dataproducts.alerts.message import announcement_text
from dataproducts.alerts.queue import key_of
from dataproducts.operations import outbox
from dataproducts.operations.outbox import Notice
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from dataproducts.alerts.routing import Observed
    from dataproducts.directory import Directory
    from dataproducts.product import DataProduct


@dataclass(frozen=True, slots=True)
class Announcement:
    """What those who read a product have to know of it.

    `kind` is deprecated, retired, breaking or another word of the lifecycle; `reference` tells two of one kind apart
    (a version, the number of a transition): the same is announced once. `lines` are headings with what they say:
    `("Reason", "…")`, `("Successor", "…")`, `("Sunset", "2026-12-31")`. `table` narrows it to who reads that table.
    """

    kind: str
    product: str
    reference: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    table: str = ""
    severity: Severity = Severity.WARNING


def queue_announcement(
    con: Connection,
    announcement: Announcement,
    *,
    directory: Directory,
    products: Mapping[str, DataProduct],
    now: datetime,
    observed: Observed = routing.nobody,
) -> tuple[Notice, ...]:
    """Put in what declared consumers are to be told, and the owners of products that read it; return what is new.

    It goes to the channels that take its severity, or else errors, and waits for no digest: whoever reads has work to
    plan.
    """
    product = products.get(announcement.product)
    if product is None or not directory:
        return ()
    table, severity = announcement.table, announcement.severity
    told = {
        (target.recipient.name, target.channel.name): target
        for target in (
            *routing.readers(product, directory, table=table, severity=severity, observed=observed),
            *routing.owners_downstream(product.address, directory, products.values(), table=table, severity=severity),
        )
    }
    notices = []
    for (name, channel), target in told.items():
        subject, body = announcement_text(announcement.title, announcement.lines, target.use)
        quiet = target.recipient.quiet
        loud = quiet.until(now) if quiet and severity not in quiet.passes else None
        notices.append(
            Notice(
                key=key_of(product.address, announcement.kind, announcement.reference, name, channel),
                product=product.address,
                kind=announcement.kind,
                severity=str(severity),
                recipient=name,
                channel=channel,
                subject=subject,
                body=body,
                facts={
                    "event": announcement.kind,
                    "product": product.address,
                    "table": table,
                    "reference": announcement.reference,
                    **{heading.lower(): value for heading, value in announcement.lines},
                },
                created_at=now,
                due_at=loud or now,
                held=outbox.QUIET if loud else "",
            )
        )
    return outbox.put(con, notices)
