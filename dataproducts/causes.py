"""Which findings follow from another one: a stale report has no fault of its own while its source is refused.

It must not know how findings are made, or what becomes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.finding import FindingKind
from dataproducts.impact import impact
from dataproducts.product import TableRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dataproducts.finding import Finding, Subject
    from dataproducts.product import DataProduct

LATE = frozenset({FindingKind.STALE, FindingKind.MISSING})
SPENT = frozenset({FindingKind.BURN_RATE, FindingKind.BUDGET})
FAULTS = frozenset({FindingKind.SOURCE, FindingKind.REFUSED, FindingKind.CHECK, FindingKind.PIPELINE})


@dataclass(frozen=True, slots=True)
class Consequence:
    """A finding that follows from `cause`, which is or becomes an incident: it opens none of its own."""

    finding: Finding
    cause: Subject


def fold(
    findings: Sequence[Finding], open_subjects: Iterable[Subject], products: Mapping[str, DataProduct]
) -> tuple[tuple[Finding, ...], tuple[Consequence, ...]]:
    """Part `findings` into those that stand for themselves and those that follow from something else.

    Lateness follows from what is broken, and from lateness further upstream, wherever the late table is made from the
    broken one. A budget that burns follows from anything that is wrong with what it measures. Nothing else follows
    from anything: a rule that fails has failed. `open_subjects` are those of open incidents; one of them goes on
    being an incident, whatever else is found.
    """
    known = set(open_subjects)
    faults = {subject for subject in (*known, *(one.subject for one in findings)) if subject.kind in FAULTS}
    late = {subject for subject in (*known, *(one.subject for one in findings)) if subject.kind in LATE}
    reach = {subject: _reach(subject, products) for subject in faults | late}

    def explains(cause: Subject, finding: Finding) -> bool:
        subject = finding.subject
        if not _touches(reach[cause], subject):
            return False
        if cause.kind is FindingKind.MISSING and subject.kind is FindingKind.STALE:
            return True
        # Of two that rest on each other, neither explains the other.
        return not (cause.kind in LATE and subject.kind in LATE and _touches(reach[subject], cause))

    own: list[Finding] = []
    following: list[Consequence] = []
    for one in findings:
        causes = [] if one.subject in known else [c for c in _candidates(one.subject, faults, late) if explains(c, one)]
        if causes:
            # The first upstream: what rests on it are all the others.
            first = max(causes, key=lambda c: (len(reach[c]), c.kind in FAULTS, c.table, c.name))
            following.append(Consequence(one, first))
        else:
            own.append(one)
    return tuple(own), tuple(following)


def _candidates(subject: Subject, faults: set[Subject], late: set[Subject]) -> set[Subject]:
    if subject.kind in SPENT:
        return faults | late
    return (faults | late) - {subject} if subject.kind in LATE else set()


def _reach(subject: Subject, products: Mapping[str, DataProduct]) -> frozenset[TableRef]:
    """The tables that are made from what `subject` is about, itself among them."""
    return frozenset(impact(products, subject.product, subject.table).tables)


def _touches(reach: frozenset[TableRef], subject: Subject) -> bool:
    if subject.table:
        return TableRef(subject.product, subject.table) in reach
    return any(ref.product == subject.product for ref in reach)
