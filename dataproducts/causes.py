"""Which findings follow from another one: a stale report has no fault of its own while its source is refused.

It must not know how findings are made, or what becomes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.finding import FindingKind
from dataproducts.impact import impact
from dataproducts.product import RuleKind, TableRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from dataproducts.finding import Finding, Subject
    from dataproducts.product import DataProduct

_LATE = frozenset({FindingKind.STALE, FindingKind.MISSING})
_SPENT = frozenset({FindingKind.BURN_RATE, FindingKind.BUDGET})
_FAULTS = frozenset({FindingKind.SOURCE, FindingKind.REFUSED, FindingKind.CHECK, FindingKind.PIPELINE})
_TIMELY = frozenset({RuleKind.FRESHNESS, RuleKind.DEADLINE})


@dataclass(frozen=True, slots=True)
class Consequence:
    """A finding that follows from `cause`, which is or becomes an incident: it opens none of its own."""

    finding: Finding
    cause: Subject


def fold(
    findings: Sequence[Finding], open_subjects: Iterable[Subject], products: Mapping[str, DataProduct]
) -> tuple[tuple[Finding, ...], tuple[Consequence, ...]]:
    """Part `findings` into those that stand for themselves and those that follow from something else.

    - Lateness follows from what is broken, and from lateness further upstream, wherever the late table is made from
      the broken one.
    - That a rule on freshness failed is a sign of lateness, and follows from whatever explains that.
    - A budget that burns follows from anything that is wrong with what it measures.

    Nothing else follows from anything: a rule that fails has failed. `open_subjects` are those of open incidents; what
    is one of them goes on being an incident, whatever else is found.
    """
    known = frozenset(open_subjects)
    causes = _Causes.among(known.union(one.subject for one in findings), products)
    own: list[Finding] = []
    following: list[Consequence] = []
    for one in findings:
        first = None if one.subject in known else causes.first_of(one.subject)
        if first is None:
            own.append(one)
        else:
            following.append(Consequence(one, first))
    return tuple(own), tuple(following)


@dataclass(frozen=True, slots=True)
class _Causes:
    """All that is wrong at a time: what may explain something else, and how far each thing reaches."""

    faults: frozenset[Subject]
    late: frozenset[Subject]
    timely: frozenset[Subject]  # rules on freshness
    reach: Mapping[Subject, frozenset[TableRef]]  # the tables made from what a subject is about, itself among them

    @classmethod
    def among(cls, subjects: frozenset[Subject], products: Mapping[str, DataProduct]) -> _Causes:
        """Return what there is to be said of `subjects`."""
        timely = frozenset(subject for subject in subjects if _is_timely(subject, products))
        return cls(
            faults=frozenset(subject for subject in subjects - timely if subject.kind in _FAULTS),
            late=frozenset(subject for subject in subjects if subject.kind in _LATE),
            timely=timely,
            reach={one: frozenset(impact(products, one.product, one.table).tables) for one in subjects},
        )

    def first_of(self, subject: Subject) -> Subject | None:
        """Return what explains `subject`, the furthest upstream of several; None if nothing does."""
        if subject.kind in _SPENT:
            wanted = self.faults | self.late
        elif subject in self.timely or subject.kind in _LATE:
            wanted = self.faults | {one for one in self.late | self.timely if self._explains(one, subject)}
        else:
            return None
        found = [one for one in wanted if one != subject and self._touches(one, subject)]
        # What is furthest upstream reaches furthest.
        return max(found, key=lambda one: (len(self.reach[one]), one in self.faults, one.table, one.name), default=None)

    def _explains(self, cause: Subject, subject: Subject) -> bool:
        """Whether one kind of lateness explains another, where they touch."""
        if cause not in self.timely and subject in self.timely:
            return True
        if cause.kind is FindingKind.MISSING and subject.kind is FindingKind.STALE:
            return True
        # Of two that rest on each other, neither explains the other.
        return (cause in self.timely) <= (subject in self.timely) and not self._touches(subject, cause)

    def _touches(self, cause: Subject, subject: Subject) -> bool:
        reach = self.reach[cause]
        if subject.table:
            return TableRef(subject.product, subject.table) in reach
        return any(ref.product == subject.product for ref in reach)


def _is_timely(subject: Subject, products: Mapping[str, DataProduct]) -> bool:
    product = products.get(subject.product)
    if product is None or subject.kind is not FindingKind.CHECK:
        return False
    rules = (rule for table in product.tables if table.name == subject.table for rule in table.rules)
    return any(rule.name == subject.name and rule.kind in _TIMELY for rule in rules)
