"""What a change is, how bad it is and who meets it; it must not know files, git or how a grade is found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from dataproducts.product import NOWHERE, Mark

if TYPE_CHECKING:
    from datetime import date

    from dataproducts.errors import Fault


class Grade(StrEnum):
    """What a change is to a reader: less is promised, more is promised or offered, or nobody can see it."""

    BREAKING = "breaking"
    ADDITIVE = "additive"
    NEUTRAL = "neutral"


class Bump(IntEnum):
    """How far a version moves; in this order."""

    BACK = -1
    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    @property
    def word(self) -> str:
        """The word of semantic versioning."""
        return {-1: "a step back", 0: "the same"}.get(self.value, self.name.lower())


@dataclass(frozen=True, slots=True)
class Clause:
    """One thing that one file declares, under an address that stays the same while its place in the file moves.

    `address` is `schema[orders].properties[amount].required`; `path` the same without names, as the grading table
    has it. `within` holds the addresses of what it is part of. An `is_item` clause stands for a whole entry of a
    list, and its `value` for what it is in short. A `hidden` value is of a classified column and is never shown.
    `near` tells what an entry is like beside its name, to recognise one that was renamed.
    """

    address: str
    path: str
    value: Any
    mark: Mark
    within: tuple[str, ...] = ()
    is_item: bool = False
    table: str = ""
    column: str = ""
    hidden: bool = False
    near: Any = None


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who relies on what changed: `kind` is `table`, `metric`, `rule` or `consumer`.

    `columns` are those of the reader that are made of what changed; none, if its rows as a whole are.
    """

    kind: str
    product: str
    name: str
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Render as `table shop/revenue.revenue (total)`."""
        columns = f" ({', '.join(self.columns)})" if self.columns else ""
        joint = "." if self.kind in ("table", "rule") else ": "
        return f"{self.kind} {self.product}{joint}{self.name}{columns}"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one clause; `mark` is where it is now, or where it was if it is gone.

    `before` and `after` are short texts, `***` for what a classified column hides. `changes_meaning` says that what
    readers find may mean something else although no promise changed. `note` is a guess that helps to read it.
    """

    address: str
    path: str
    kind: str
    grade: Grade
    before: str
    after: str
    mark: Mark
    why: str
    changes_meaning: bool = False
    note: str = ""
    table: str = ""
    column: str = ""
    readers: tuple[Reader, ...] = ()


@dataclass(frozen=True, slots=True)
class Graded:
    """What changed under one version number: `of` is `product` or `contract`, `name` its address or contract id.

    `asked` is the version that the changes ask for, at least; empty if nothing changed. `product` is the address that
    readers know it by. Changes stand worst first.
    """

    of: str
    name: str
    product: str
    before: str
    after: str
    changes: tuple[Change, ...]
    grade: Grade
    asked: str
    path: str
    is_promised: bool = True
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Report:
    """All that changed between `base` and `head`: refused if there is a fault; warnings refuse nothing.

    `readers` are all who meet a breaking change or one of meaning, without repeats.
    """

    base: str
    head: str
    as_of: date
    graded: tuple[Graded, ...]
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    readers: tuple[Reader, ...]

    @property
    def grade(self) -> Grade:
        """The worst grade of all; neutral if nothing changed."""
        return worst(graded.grade for graded in self.graded)

    @property
    def is_refused(self) -> bool:
        """Whether the change may not go in as it is."""
        return bool(self.faults)


def worst(grades: Any) -> Grade:
    """Return the worst of `grades`; neutral if there are none."""
    found = set(grades)
    return next((grade for grade in Grade if grade in found), Grade.NEUTRAL)
