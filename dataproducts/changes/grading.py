"""What each step of each clause is worth to a reader, looked up in the table; it must not compare values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from dataproducts.changes.grading_table import BLOCKS
from dataproducts.changes.model import Grade
from dataproducts.changes.orders import ORDERS
from dataproducts.declare.clause_table import expand

if TYPE_CHECKING:
    from collections.abc import Mapping

_ANYWHERE = "*."


@dataclass(frozen=True, slots=True)
class Mark:
    """What one step of a clause is: `kind` names it, `grade` is what it is worth, `why` is told to the reader."""

    sign: str
    kind: str
    grade: Grade
    why: str
    changes_meaning: bool


@dataclass(frozen=True, slots=True)
class Row:
    """The clauses at `paths`, how two values of them compare, and what each step is, by its sign."""

    order: str
    paths: tuple[str, ...]
    steps: Mapping[str, Mark]
    written: str


@cache
def rows() -> tuple[Row, ...]:
    """Return the grading table. Raises: ValueError, for a line that is none, an unknown order, a path named twice."""
    found: list[Row] = []
    for block in re.split(r"\n(?=\S)", BLOCKS.strip()):
        head, *lines = [line for line in block.splitlines() if line.strip()]
        order, _, written = head.partition(" ")
        steps = {step.sign: step for step in map(_read_step, lines)}
        if order not in ORDERS or (not steps and order != "ignored"):
            raise ValueError(block)
        found.append(Row(order, tuple(expand(written)), steps, written))
    return tuple(found)


@cache
def table() -> Mapping[str, Row]:
    """Return each row by each of its paths; of a path that stands in several, the first."""
    found: dict[str, Row] = {}
    for row in rows():
        for path in row.paths:
            found.setdefault(path, row)
    return found


def row_of(path: str) -> Row:
    """Return the row that grades the clause at `path`: its own, its entry's, its key's anywhere, or the last of all."""
    return _known(path) or table()["*"]


def order_of(path: str) -> str | None:
    """Return how values at `path` compare; None if no row speaks of it, so that one looks inside first."""
    row = _known(path)
    return row.order if row else None


def _known(path: str) -> Row | None:
    known = table()
    parent, _, key = path.rpartition(".")
    bare = re.sub(r"\[.*", "", key)
    for candidate in (path, f"{parent}.*", f"{_ANYWHERE}{key}"):
        if candidate in known and candidate != "*":
            return known[candidate]
    return known.get(f"{_ANYWHERE}{bare}") if bare == "customProperties" and key != bare else None


def _read_step(line: str) -> Mark:
    sign, _, rest = line.strip().partition(" ")
    kind, grade, why = (cell.strip() for cell in rest.split("|"))
    return Mark(sign, kind, Grade(grade.rstrip("*")), why, grade.endswith("*"))
