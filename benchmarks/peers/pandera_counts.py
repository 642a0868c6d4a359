"""From pandera's table of failure cases to the benchmark's rules, the same for its three back ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.orders import RULES

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNNAMED = {"not_nullable": "required", "field_uniqueness": "unique"}  # the other checks bear the rule's name


def counts(found: Iterable[tuple[str | None, str, int | bool]]) -> dict[str, int | bool]:
    """Return rejected rows by rule from triples of column, check and number of rows; all other rules found none.

    Raises: KeyError, for a check that belongs to no rule: then the contender judged something else.
    """
    told: dict[str, int | bool] = dict.fromkeys(RULES, 0)
    for column, check, rows in found:
        if check == "multiple_fields_uniqueness":
            told["order_id.unique"] = rows
        else:
            rule = f"{column}.{_UNNAMED[check]}" if check in _UNNAMED else check.strip("<>").removeprefix("Check ")
            told[rule] = rows if told[rule] == 0 else told[rule] + rows
    return told
