"""Which SQL type holds every value of which other; it must not know contracts.

Types compare within a family: whole numbers, decimals, binary fractions, text of a greatest length, and times with
more or fewer digits. Across families a value changes its kind, so that neither is the wider one: what a reader does
with a BIGINT, such as dividing it, means something else for a DOUBLE, although the numbers fit.
"""

from __future__ import annotations

import math
import re

_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
_BINARY = {"FLOAT": 24, "DOUBLE": 53}
_STAMPS = {"TIMESTAMP_S": 0, "TIMESTAMP_MS": 3, "TIMESTAMP": 6, "TIMESTAMP_NS": 9}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_TEXT = re.compile(r"VARCHAR(?:\((\d+)\))?")


def holds(wide: str, narrow: str) -> bool:
    """Say whether every value of the type `narrow` is one of the type `wide`, and of its kind."""
    if wide == narrow:
        return True
    outer, inner = _extent(wide), _extent(narrow)
    if outer is None or inner is None or outer[0] != inner[0]:
        return False
    return all(o >= i for o, i in zip(outer[1:], inner[1:], strict=True))


def _extent(name: str) -> tuple[str, *tuple[float, ...]] | None:  # noqa: PLR0911 - one return for each family
    """Return the family of a type and how far it reaches in each direction; None if it has no family."""
    if name.endswith("[]"):
        inner = _extent(name.removesuffix("[]"))
        return inner and (f"list of {inner[0]}", *inner[1:])
    if name in _INTEGERS:
        return "integer", 2.0 ** (_INTEGERS[name] - 1), 2.0 ** (_INTEGERS[name] - 1) - 1
    if name.startswith("U") and name[1:] in _INTEGERS:
        return "integer", 0, 2.0 ** _INTEGERS[name[1:]] - 1
    if name in _BINARY:
        return "binary", _BINARY[name]
    if name in _STAMPS:
        return "stamp", _STAMPS[name]
    if match := _DECIMAL.fullmatch(name):
        return "decimal", int(match[1]) - int(match[2]), int(match[2])
    if match := _TEXT.fullmatch(name):
        return "text", int(match[1]) if match[1] else math.inf
    return None
