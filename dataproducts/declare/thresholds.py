"""What a declared rule compares its number with; it must not know what the number is.

What ODCS leaves open is settled here. `mustBeBetween` includes both ends. Without an operator the number must be 0. A
number may be written as text, and true and false are 1 and 0, for the standard lets `mustBe` be anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import text
from dataproducts.product import Operator, Threshold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.declare.implied_rules import Gathering
    from dataproducts.declare.telling import Place

UNITS = ("rows", "percent")
"""Units of a number of rows."""


def read_threshold(
    found: Gathering, data: Mapping[str, Any], place: Place, *, units: Sequence[str] = UNITS, needed: str = ""
) -> Threshold:
    """Return the threshold that `data` at `place` declares, its unit one of `units`, the first if it names none.

    Without `units` any does. `needed` says why there must be an operator; empty, if there need not.
    """
    unit = text(data, "unit") or (units or UNITS)[0]
    if units and unit not in units:
        fix = f"Write {' or '.join(f'`{name}`' for name in units)}."
        found.refuse((*place, "unit"), f"the unit {unit!r} does not fit the rule", fix)
        unit = units[0]
    given = [operator for operator in Operator if operator.value in data]
    if len(given) > 1:
        what = f"the rule compares in two ways, by `{given[0]}` and by `{given[1]}`"
        found.refuse((*place, given[1].value), what, "Write two rules, or `mustBeBetween`.")
    if not given:
        if needed:
            found.refuse(place, needed, "Add one of the operators, such as `mustBeLessThan: …`.")
        return Threshold(unit=unit)
    return _compared(found, given[0], data[given[0].value], (*place, given[0].value), unit)


def _compared(found: Gathering, operator: Operator, value: Any, place: Place, unit: str) -> Threshold:
    numbers = [_number(one) for one in (value if isinstance(value, list) else [value])]
    values = tuple(number for number in numbers if number is not None)
    wanted = 2 if operator in (Operator.MUST_BE_BETWEEN, Operator.MUST_NOT_BE_BETWEEN) else 1
    if len(values) < len(numbers):
        found.refuse(place, f"`{operator}` is {value!r}", "Compare with a number: let the query count or sum.")
        return Threshold(unit=unit)
    if len(values) != wanted:
        found.refuse(place, f"`{operator}` is {value!r}", f"Give {'two numbers' if wanted > 1 else 'one number'}.")
        return Threshold(unit=unit)
    if values[0] > values[-1]:
        found.refuse(place, f"nothing lies between {values[0]:g} and {values[-1]:g}", "Swap the two.")
    return Threshold(operator, values, unit)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None
