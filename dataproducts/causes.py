"""Which findings follow from another one: a stale report has no fault of its own while its source is refused.

It must not know how findings are made, or what becomes of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dataproducts.finding import FindingKind
from dataproducts.impact import impact
from dataproducts.objective import Spent
from dataproducts.product import RuleKind, TableRef

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from dataproducts.finding import Finding, Subject
    from dataproducts.product import DataProduct, Rule

_LATE = frozenset({FindingKind.STALE, FindingKind.MISSING})
SPENT = frozenset({FindingKind.BURN_RATE, FindingKind.BUDGET})
BAD_UNTIL = "bad_until"
"""The name in `detail` of when something was bad last, of findings about budgets."""

_FAULTS = frozenset({FindingKind.SOURCE, FindingKind.REFUSED, FindingKind.CHECK, FindingKind.PIPELINE})
# Bad is dated by refreshes: a little before what is wrong was found, and after it was right again upstream.
_SLACK = timedelta(hours=1)
_TIMELY = frozenset({RuleKind.FRESHNESS, RuleKind.DEADLINE})


@dataclass(frozen=True, slots=True)
class Consequence:
    """A finding that follows from `cause`, which is or becomes an incident: it opens none of its own."""

    finding: Finding
    cause: Subject


@dataclass(frozen=True, slots=True)
class Episode:
    """A time that something was wrong, and is over."""

    subject: Subject
    failed_at: datetime
    resolved_at: datetime


def fold(
    findings: Sequence[Finding],
    open_subjects: Iterable[Subject],
    products: Mapping[str, DataProduct],
    *,
    past: Iterable[Episode] = (),
) -> tuple[tuple[Finding, ...], tuple[Consequence, ...]]:
    """Part `findings` into those that stand for themselves and those that follow from something else.

    - Lateness follows from what keeps a table from being published, and from lateness further upstream, wherever the
      late table is made from the broken one.
    - That a rule on freshness failed is a sign of lateness, and follows from whatever explains that.
    - A budget that burns follows from lateness, from what forbids publication, and from a rule that it counts: from
      what is wrong now, and from the episode of `past` in which fell what was bad last. Windows look back for weeks,
      and would tell of each fault a second time when it is over. What is late now follows from nothing that is over.

    A spent budget that changes what runs, by a freeze or a demotion, is a fact of its own and follows from nothing.
    Nothing else follows from anything: a rule that fails has failed, and one that only warns makes nothing late.
    `open_subjects` are those of open incidents; what is one of them goes on being an incident, whatever else is found.
    What is about a table that `products` do not have explains nothing.
    """
    known = frozenset(open_subjects)
    episodes = list(past)
    every = known.union((one.subject for one in findings), (one.subject for one in episodes))
    causes = _Causes.among(every, products)
    own: list[Finding] = []
    following: list[Consequence] = []
    for one in findings:
        bad = bad_last(one) if one.subject.kind in SPENT else None
        over = {e.subject for e in episodes if bad and e.failed_at - _SLACK <= bad <= e.resolved_at + _SLACK}
        first = None if one.subject in known else causes.first_of(one, {*known, *over, *(f.subject for f in findings)})
        if first is None:
            own.append(one)
        else:
            following.append(Consequence(one, first))
    return tuple(own), tuple(following)


def bad_last(spent: Finding) -> datetime:
    """Return when something was bad last of what a budget counts: an alarm's own start may lie in a fault before."""
    told = spent.detail.get(BAD_UNTIL)
    return datetime.fromisoformat(told) if told else spent.failed_at


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
        declared = frozenset(TableRef(address, table.name) for address, p in products.items() for table in p.tables)
        rules = {subject: _rule(subject, products) for subject in subjects if subject.kind is FindingKind.CHECK}
        timely = frozenset(subject for subject, rule in rules.items() if rule and rule.kind in _TIMELY)
        warnings = frozenset(one for one, rule in rules.items() if rule is None or not rule.blocking) - timely
        return cls(
            products=products,
            faults=frozenset(one for one in subjects - timely - warnings if one.kind in _FAULTS),
            warnings=warnings,
            late=frozenset(subject for subject in subjects if subject.kind in _LATE),
            timely=timely,
            reach={one: declared & frozenset(impact(products, one.product, one.table).tables) for one in subjects},
        )

    def first_of(self, finding: Finding, wrong: AbstractSet[Subject]) -> Subject | None:
        """Return what of `wrong` explains `finding`, the furthest upstream of several; None if nothing does."""
        subject = finding.subject
        if subject.kind in SPENT:
            acts = finding.detail.get("on_spent", Spent.WARN) != Spent.WARN
            told = self.faults | self.late | {one for one in self.warnings if self._counts(subject, one)}
            wanted = frozenset() if acts else told
        elif subject in self.timely or subject.kind in _LATE:
            wanted = self.faults | {one for one in self.late | self.timely if self._explains(one, subject)}
        else:
            return None
        found = [one for one in wanted & wrong if one != subject and self._touches(one, subject)]
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
