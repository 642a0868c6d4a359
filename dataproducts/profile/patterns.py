"""Text generalised to its shape, as SQL: letters, digits and marks; it must not run SQL or know columns.

`A` is an upper-case letter, `a` any other letter, `9` a digit; every other character stands for itself. In the
shorter spelling a run is one sign with a plus: `Graduation` is `Aaaaaaaaaa`, or `Aa+`.
"""

from __future__ import annotations

import itertools

LONGEST = 60
"""How many characters of a value its shape shows."""

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
EXACT_SHAPES = 12
"""Up to so many shapes, and hardly more than if runs were shown, each character is shown; beyond, runs are."""


def shape(text: str) -> str:
    """Return SQL for the shape of the SQL expression `text`, a sign for each of its first 60 characters."""
    cut = f"left({text}, {LONGEST})"
    plain = f"translate({cut}, '{_UPPER}{_UPPER.lower()}0123456789', '{'A' * 26}{'a' * 26}{'9' * 10}')"
    upper = f"regexp_replace({cut}, '\\p{{Lu}}', 'A', 'g')"
    other = f"regexp_replace(regexp_replace({upper}, '[^\\P{{L}}A]', 'a', 'g'), '\\p{{N}}', '9', 'g')"
    # Regular expressions over Unicode take five times as long as a table of letters, so only where there are others.
    return f"CASE WHEN length({text}) = strlen({text}) THEN {plain} ELSE {other} END"


def run_shape(shaped: str) -> str:
    """Return SQL for a shape in which each run of one sign, at least two long, is that sign and a plus."""
    found = shaped
    for sign in "Aa9":
        found = f"regexp_replace({found}, '{sign}{{2,}}', '{sign}+', 'g')"
    return found


def guarded_shape(shaped: str) -> str:
    """Return SQL for a shape that shows of other characters only the marks of addresses and numbers."""
    return f"regexp_replace({run_shape(shaped)}, '[^Aa9+@.:/() _-]', '?', 'g')"


def expression(shaped: str) -> str:
    """Return a regular expression (RE2) for the values of an exact shape; empty if it holds what cannot be printed."""
    if not shaped or not shaped.isprintable():
        return ""
    parts = []
    for sign, run in itertools.groupby(shaped):
        count = len(list(run))
        part = _CLASSES.get(sign) or (f"\\{sign}" if sign in _SPECIAL else sign)
        parts.append(part if count == 1 else f"{part}{{{count}}}")
    return f"^{''.join(parts)}$"


_CLASSES = {"A": r"\p{Lu}", "a": r"\p{L}", "9": r"\p{N}"}
_SPECIAL = frozenset("\\.+*?()|[]{}^$")
