"""How two values of one clause compare: does the second promise more, less, or something else?

Each order takes both values, None for one that is absent, and returns what it finds as steps. It must not know which
clause the values are of, or what a step is worth.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dataproducts.changes.measures import begins, day, duration, ends, limit, sla, threshold, window
from dataproducts.changes.steps import LESS, MORE, NOTICE, OTHER, SAME, Step, canonical, presence, ranked, size, step
from dataproducts.changes.widths import holds
from dataproducts.product import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def compare(order: str, before: Any, after: Any) -> tuple[Step, ...]:
    """Return how `after` differs from `before` in an order of this module; nothing, if they are equal."""
    if canonical(before) == canonical(after):
        return ()
    return ORDERS[order](before, after)


def _words(before: Any, after: Any) -> tuple[Step, ...]:
    return step(before, after, SAME)


def _nothing(_before: Any, _after: Any) -> tuple[Step, ...]:
    return ()


def _any(before: Any, after: Any) -> tuple[Step, ...]:
    return step(before, after, OTHER)


def _swap(before: Any, after: Any) -> tuple[Step, ...]:
    """One word instead of another; to begin or to cease to say it changes nothing."""
    return step(before, after, SAME if before is None or after is None else OTHER)


def _truth(before: Any, after: Any) -> tuple[Step, ...]:
    """What is true is promised; absent is false."""
    if bool(before) == bool(after):
        return ()
    return step(before, after, MORE if after else LESS)


def _notice(before: Any, after: Any) -> tuple[Step, ...]:
    """A flag that announces an end; taking it back promises more."""
    if bool(before) == bool(after):
        return step(before, after, SAME)
    return step(before, after, NOTICE if after else MORE)


def _floor(before: Any, after: Any) -> tuple[Step, ...]:
    """A higher least value promises more; none is the lowest of all."""
    return ranked(before, after, size(-math.inf))


def _ceiling(before: Any, after: Any) -> tuple[Step, ...]:
    """A lower greatest value promises more; none is the highest of all."""
    return ranked(before, after, size(math.inf), rising=False)


def _larger(before: Any, after: Any) -> tuple[Step, ...]:
    """A number of which more is more; without one, nothing is promised."""
    return presence(before, after) if before is None or after is None else _floor(before, after)


def _bound(before: Any, after: Any, *, low: bool) -> tuple[Step, ...]:
    """Bounds are pairs of a value and whether it is excluded itself; text and numbers do not compare."""
    if before is None or after is None:
        return presence(before, after)
    (left, left_open), (right, right_open) = before, after
    kinds = {isinstance(left, str), isinstance(right, str)}
    if len(kinds) > 1:
        return step(before, after, OTHER)
    if left == right:
        return step(before, after, MORE if right_open and not left_open else LESS)
    return step(before, after, MORE if (right > left) is low else LESS)


def _lower(before: Any, after: Any) -> tuple[Step, ...]:
    return _bound(before, after, low=True)


def _upper(before: Any, after: Any) -> tuple[Step, ...]:
    return _bound(before, after, low=False)


def _sets(before: Any, after: Any, *, fewer: str) -> tuple[Step, ...]:
    """Name what came and what went; `fewer` is the sign of what went."""
    old, new = ({canonical(value): value for value in _listed(side)} for side in (before, after))
    gone = [value for key, value in old.items() if key not in new]
    come = [value for key, value in new.items() if key not in old]
    more = LESS if fewer == MORE else MORE
    return (*(step([], come, more) if come else ()), *(step(gone, [], fewer) if gone else ()))


def _allowed(before: Any, after: Any) -> tuple[Step, ...]:
    """A list of the values that may come: fewer promise more; without a list, any may come."""
    if before is None or after is None:
        return presence(before, after)
    return _sets(before, after, fewer=MORE)


def _members(before: Any, after: Any) -> tuple[Step, ...]:
    """A list of what is offered or asked of a value: more of it promises more."""
    return _sets(before, after, fewer=LESS)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _multiple(before: Any, after: Any) -> tuple[Step, ...]:
    """A multiple of the old step keeps the old promise."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in (before, after))
    if before is None or after is None or not numbers:
        return presence(before, after)
    for large, small, sign in ((after, before, MORE), (before, after, LESS)):
        ratio = large / small
        if abs(ratio - round(ratio)) < 1e-9 * ratio:
            return step(before, after, sign)
    return step(before, after, OTHER)


def _key(before: Any, after: Any) -> tuple[Step, ...]:
    """Rows that differ in fewer columns differ in more: a part of the old key promises more."""
    old, new = set(before or ()), set(after or ())
    if not old or not new:
        return step(before, after, MORE if new else LESS)
    if old == new:
        return step(before, after, SAME)
    return step(before, after, MORE if new < old else LESS if old < new else OTHER)


def _type(before: Any, after: Any) -> tuple[Step, ...]:
    """Types are pairs of what SQL calls them and how they are written; a type that holds fewer values promises more."""
    (old, written), (new, rewritten) = before or ("", ""), after or ("", "")
    if old == new:
        return step(written, rewritten, SAME)
    sign = LESS if holds(new, old) else MORE if holds(old, new) else OTHER
    return step(old or written, new or rewritten, sign)


_SECRECY = {"public": 0, "internal": 1, "": 1, "confidential": 2, "personal": 2, "restricted": 3}


def _classification(before: Any, after: Any) -> tuple[Step, ...]:
    """A stricter class shuts readers out; two of one strictness are handled otherwise. None counts as internal."""
    old, new = (str(value or "").strip().lower() for value in (before, after))
    ranks = _SECRECY.get(old), _SECRECY.get(new)
    if old == new or (ranks == (1, 1)):
        return step(before, after, SAME)
    if ranks[0] is None or ranks[1] is None or ranks[0] == ranks[1]:
        return step(before, after, OTHER)
    return step(before, after, LESS if ranks[1] > ranks[0] else MORE)


_STANDING: Mapping[str, int] = {
    Status.RETIRED: 0,
    Status.PROPOSED: 1,
    Status.DRAFT: 2,
    Status.ACTIVE: 4,
    Status.DEPRECATED: 3,
}


def _status(before: Any, after: Any) -> tuple[Step, ...]:
    """A step towards active promises more; deprecation is notice of an end, not the end."""
    if (before, after) == (Status.ACTIVE, Status.DEPRECATED):
        return step(before, after, NOTICE)
    return ranked(before, after, lambda value: 2 if value is None else _STANDING.get(str(value)))


_TIERS = {None: 0, "bronze": 1, "silver": 2, "gold": 3}


_ENFORCED = {"not judged": 0, "info": 1, "warning": 2, "error": 3, "error, blocking": 4}


_ACCESS = {"": 0, "read": 1, "select": 1, "readwrite": 2, "read/write": 2, "write": 2, "admin": 3}


def _tier(before: Any, after: Any) -> tuple[Step, ...]:
    return ranked(before, after, lambda value: _TIERS.get(value) if isinstance(value, str | None) else None)


def _enforcement(before: Any, after: Any) -> tuple[Step, ...]:
    return ranked(before, after, lambda value: _ENFORCED.get(str(value)))


def _access(before: Any, after: Any) -> tuple[Step, ...]:
    return ranked(before, after, lambda value: _ACCESS.get(str(value or "").lower()))


def _failure(before: Any, after: Any) -> tuple[Step, ...]:
    """Rows that are set aside are missing where a refusal would have kept the last good release."""
    return ranked(before, after, lambda value: {"quarantine": 0}.get(str(value), 1))


def _price(before: Any, after: Any) -> tuple[Step, ...]:
    return ranked(before, after, size(0), rising=False)


def _sequence(before: Any, after: Any) -> tuple[Step, ...]:
    """The order of what both sides have."""
    both = set(before or ()) & set(after or ())
    old, new = ([name for name in side if name in both] for side in (before or (), after or ()))
    return () if old == new else step(old, new, SAME)


ORDERS: Mapping[str, Callable[[Any, Any], tuple[Step, ...]]] = {
    "item": presence,
    "promise": presence,
    "words": _words,
    "ignored": _nothing,
    "any": _any,
    "swap": _swap,
    "truth": _truth,
    "notice": _notice,
    "floor": _floor,
    "ceiling": _ceiling,
    "larger": _larger,
    "lower": _lower,
    "upper": _upper,
    "allowed": _allowed,
    "members": _members,
    "multiple": _multiple,
    "key": _key,
    "type": _type,
    "classification": _classification,
    "status": _status,
    "tier": _tier,
    "enforcement": _enforcement,
    "access": _access,
    "failure": _failure,
    "price": _price,
    "day": day,
    "begins": begins,
    "sequence": _sequence,
    "limit": limit,
    "duration": duration,
    "ends": ends,
    "threshold": threshold,
    "window": window,
    "sla": sla,
}
