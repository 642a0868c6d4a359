"""One step from a value to another: what every order is made of; it must not know which orders there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

MORE, LESS, OTHER, SAME, NOTICE = "+", "-", "~", "=", "!"


RETIRED = "x"
"""A step that no order finds: what goes after its end was told in time."""


class Step(NamedTuple):
    """One step from `before` to `after`; `sign` says where it leads."""

    sign: str
    before: Any
    after: Any


def canonical(value: Any) -> str:
    """Return a text that equal values share: the order of keys does not count, 1 and 1.0 are equal, 1 and true not."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def step(before: Any, after: Any, sign: str) -> tuple[Step, ...]:
    """Return the one step."""
    return (Step(sign, before, after),)


def presence(before: Any, after: Any) -> tuple[Step, ...]:
    """More is offered with it than without; another value is another thing."""
    sign = MORE if before is None else LESS if after is None else OTHER
    return step(before, after, sign)


def ranked(
    before: Any,
    after: Any,
    rank: Callable[[Any], Any],
    *,
    rising: bool = True,
    shown: tuple[Any, Any] | None = None,
) -> tuple[Step, ...]:
    """Compare by a rank of one kind; `rising` if a higher rank promises more. `shown` stands in for what is ranked."""
    low, high = rank(before), rank(after)
    old, new = shown or (before, after)
    if low is None or high is None or isinstance(low, str) is not isinstance(high, str):
        return step(old, new, OTHER)
    if low == high:
        return step(old, new, SAME)
    return step(old, new, MORE if (low < high) is rising else LESS)


def size(absent: float) -> Callable[[Any], Any]:
    """Return a rank of numbers, in which none at all counts as `absent`; None for what is no number."""

    def rank(value: Any) -> Any:
        if value is None:
            return absent
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None

    return rank
