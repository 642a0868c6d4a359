"""What is due in the lifecycle of products: reviews, sunsets, files that say something else; it must not tell anybody.

A product that people rely on is looked at by a person every so often: is it used, is it right, does its owner still
answer for it? How often follows from its tier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts.declare.fields import custom, day
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.lifecycle.states import today
from dataproducts.operations.transitions import REVIEW, REVIEWED, Transition, last_reviews, record
from dataproducts.product import Severity, Status, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from dataproducts.product import DataProduct
    from dataproducts.standing import Standing

INTERVALS: Mapping[Tier | None, timedelta] = MappingProxyType(
    {
        Tier.GOLD: timedelta(days=90),
        Tier.SILVER: timedelta(days=180),
        Tier.BRONZE: timedelta(days=365),
        None: timedelta(days=365),
    }
)
"""How long after a review the next one is due, by tier, unless the review says otherwise."""

SUNSET = "sunset"
_REVIEWED = {Status.ACTIVE, Status.DEPRECATED}


@dataclass(frozen=True, slots=True)
class Due:
    """Something that somebody has to do by the end of a day: `of` is review or sunset.

    `last` is when it was reviewed last; None if never. A sunset is due when the product should be gone.
    """

    product: str
    of: str
    on: date
    overdue: bool
    last: date | None = None
    by: str = ""
    owner: str = ""

    @property
    def message(self) -> str:
        """What is due, in one line."""
        when = f"{'was' if self.overdue else 'is'} due on {self.on}"
        if self.of == SUNSET:
            return f"the retirement of {self.product} {when}: `dataproducts lifecycle {self.product} retire`"
        last = f"reviewed last on {self.last}{f' by {self.by}' if self.by else ''}" if self.last else "never reviewed"
        return f"a review of {self.product} {when} ({last}): `dataproducts lifecycle {self.product} review`"


def review(
    con: Connection,
    product: DataProduct,
    standing: Standing,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    following: date | None = None,
    of: Iterable[str] = (),
) -> Transition:
    """Record that `actor` reviewed `product`, with what was found as `reason`, and return it; the status stays.

    The next review is due on `following`, by default after the interval of the tier. `of` are those of
    `standing.PARTICULARS` that were looked at; a review of the product alone counts as none of them.
    """
    due = following or today(now) + INTERVALS[product.tier]
    made = Transition(
        product=product.address,
        version=product.version,
        kind=REVIEW,
        from_status=str(standing.status),
        to_status=str(standing.status),
        at=now,
        actor=actor,
        reason=reason,
        detail={"next_review": due.isoformat(), REVIEWED: sorted(set(of))},
    )
    record(con, made)
    return made


def dues(
    con: Connection | None, products: Iterable[DataProduct], standings: Mapping[str, Standing], *, now: datetime
) -> tuple[Due, ...]:
    """Return what is due of `products`, most urgent first; `con` may be None where nothing was ever recorded.

    Reviews of active and deprecated products count from the last one, else from the file's `reviewedOn`, else from the
    promotion; where none of these is known, the review is due now.
    """
    known = last_reviews(con) if con is not None else {}
    found = [due for p in products for due in _due(p, standings[p.address], known.get(p.address), now)]
    return tuple(sorted(found, key=lambda due: (due.on, due.product, due.of)))


def reminders(
    found: Sequence[Due], *, now: datetime, products: Iterable[DataProduct] = ()
) -> tuple[tuple[Finding, ...], tuple[Recovery, ...]]:
    """Return what is overdue as findings, for whatever opens incidents, and what is not (any more) as recoveries."""
    findings, recoveries = [], []
    late = {(due.product, due.of): due for due in found if due.overdue}
    addresses = {due.product for due in found} | {product.address for product in products}
    for address in sorted(addresses):
        for of in (REVIEW, SUNSET):
            subject, due = Subject(address, FindingKind.REVIEW, of), late.get((address, of))
            if due is None:
                recoveries.append(Recovery(subject, now))
                continue
            failed = datetime.combine(due.on + timedelta(days=1), time(), UTC)
            detail = {"message": due.message, "due": due.on.isoformat()}
            title = f"{'Review' if of == REVIEW else 'Retirement'} of {address} is overdue"
            findings.append(Finding(subject, title, Severity.WARNING, min(failed, now), now, detail))
    return tuple(findings), tuple(recoveries)


def _due(product: DataProduct, standing: Standing, last: Transition | None, now: datetime) -> Iterator[Due]:
    if standing.status not in _REVIEWED:
        return
    owner = product.owner.username if product.owner else ""
    if standing.status is Status.DEPRECATED and standing.sunset:
        late = standing.sunset < today(now)
        yield Due(product.address, SUNSET, standing.sunset, late, owner=owner)
    written = day(custom(dict(product.raw)).get("reviewedOn"))
    if written and written > today(now):  # of what is yet to come nobody knows anything: a fault, or a clock set back
        written = None
    interval, at, by = INTERVALS[product.tier], written, ""
    on = None
    if last is not None and (written is None or last.at.date() >= written):
        at, by, on = last.at.date(), last.actor, day(last.detail.get("next_review"))
    start = at or (standing.since.date() if standing.since else None)
    on = on or (start + interval if start else today(now))
    yield Due(product.address, REVIEW, on, on < today(now) or start is None, at, by, owner)
