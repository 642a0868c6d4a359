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
    from dataproducts.product import DataProduct, Rule

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

    - Lateness follows from what keeps a table from being published, and from lateness further upstream, wherever the
      late table is made from the broken one.
    - That a rule on freshness failed is a sign of lateness, and follows from whatever explains that.
    - A budget that burns follows from lateness, from what forbids publication, and from a rule that it counts.

    Nothing else follows from anything: a rule that fails has failed, and one that only warns makes nothing late.
    `open_subjects` are those of open incidents; what is one of them goes on being an incident, whatever else is found.
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

    products: Mapping[str, DataProduct]
    faults: frozenset[Subject]  # what forbids publication
    warnings: frozenset[Subject]  # rules that failed and forbid nothing
    late: frozenset[Subject]
    timely: frozenset[Subject]  # rules on freshness
    reach: Mapping[Subject, frozenset[TableRef]]  # the tables made from what a subject is about, itself among them

    @classmethod
    def among(cls, subjects: frozenset[Subject], products: Mapping[str, DataProduct]) -> _Causes:
        """Return what there is to be said of `subjects`."""
        rules = {subject: _rule(subject, products) for subject in subjects if subject.kind is FindingKind.CHECK}
        timely = frozenset(subject for subject, rule in rules.items() if rule and rule.kind in _TIMELY)
        warnings = frozenset(one for one, rule in rules.items() if rule is None or not rule.blocking) - timely
        return cls(
            products=products,
            faults=frozenset(one for one in subjects - timely - warnings if one.kind in _FAULTS),
            warnings=warnings,
            late=frozenset(subject for subject in subjects if subject.kind in _LATE),
            timely=timely,
            reach={one: frozenset(impact(products, one.product, one.table).tables) for one in subjects},
        )

    def first_of(self, subject: Subject) -> Subject | None:
        """Return what explains `subject`, the furthest upstream of several; None if nothing does."""
        if subject.kind in _SPENT:
            wanted = self.faults | self.late | {one for one in self.warnings if self._counts(subject, one)}
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

    def _counts(self, budget: Subject, check: Subject) -> bool:
        """Whether the objective whose budget burns counts the rule that failed."""
        product, rule = self.products.get(budget.product), _rule(check, self.products)
        if product is None or rule is None or check.product != budget.product:
            return False
        for objective in product.objectives:
            one = objective.indicator
            if objective.name == budget.name and one.table in {"", check.table}:
                return rule.name in one.rules if one.rules else one.kind.value == rule.dimension
        return False

    def _touches(self, cause: Subject, subject: Subject) -> bool:
        reach = self.reach[cause]
        if subject.table:
            return TableRef(subject.product, subject.table) in reach
        return any(ref.product == subject.product for ref in reach)


def _rule(subject: Subject, products: Mapping[str, DataProduct]) -> Rule | None:
    """The rule that a failed check is about; None if the product has it no more."""
    product = products.get(subject.product)
    tables = product.tables if product else ()
    rules = (rule for table in tables if table.name == subject.table for rule in table.rules)
    return next((rule for rule in rules if rule.name == subject.name), None)
