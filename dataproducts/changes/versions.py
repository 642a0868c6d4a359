"""Which version changes ask for, and whether the one that is declared will do; it must not know what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.changes.model import Bump, Grade, Graded
from dataproducts.errors import Fault
from dataproducts.product import version_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASKED = {Grade.BREAKING: Bump.MAJOR, Grade.ADDITIVE: Bump.MINOR, Grade.NEUTRAL: Bump.PATCH}


def bump(before: str, after: str) -> Bump:
    """Return the highest number that moved; a prerelease that becomes a release is a patch."""
    old, new = version_numbers(before), version_numbers(after)
    if new < old:
        return Bump.BACK
    for at, step in enumerate((Bump.MAJOR, Bump.MINOR, Bump.PATCH)):
        if new[at] > old[at]:
            return step
    return Bump.NONE if before == after else Bump.PATCH


def asked(before: str, grade: Grade) -> Bump:
    """Return how far a version must move at the least.

    Below 1.0.0 nothing is stable yet, and each number stands for the one before it, as semantic versioning and its
    users have it: what breaks asks for a minor, all else for a patch.
    """
    step = _ASKED[grade]
    return Bump(max(step - 1, Bump.PATCH)) if version_numbers(before)[0] == 0 else step


def least(before: str, grade: Grade) -> str:
    """Return the least version that a change of `grade` may bear."""
    major, minor, patch = version_numbers(before)
    match asked(before, grade):
        case Bump.MAJOR:
            return f"{major + 1}.0.0"
        case Bump.MINOR:
            return f"{major}.{minor + 1}.0"
        case _:
            return f"{major}.{minor}.{patch + 1}"


def shortfall(one: Graded, *, is_product: bool = True, because: Sequence[str] = ()) -> Fault | None:
    """Return what is wrong with the version of what changed; None if it moved as far as is asked.

    `because` are the contracts inside a product that ask for it; without a product, a contract stands alone.
    """
    moved = bump(one.before, one.after)
    if moved is Bump.BACK:
        what = f"the version of {one.of} {one.name} went back from {one.before} to {one.after}"
        return Fault(one.mark.path, one.mark.line, what, f"Write `version: {one.asked or one.before}`.")
    is_release_of = moved is Bump.PATCH and version_numbers(one.before) == version_numbers(one.after)
    if not one.asked or is_release_of or version_numbers(one.after) >= version_numbers(one.asked):
        return None
    if not is_refused(one):
        if one.grade is not Grade.BREAKING:
            return None
        what = f"{one.of} {one.name} breaks what it said, and its version is {one.after}"
        fix = "Nobody reads it, draft or retired as it is, so nothing is refused; once active, it takes a new major."
        return Fault(one.mark.path, one.mark.line, what, fix)
    stands = f"stayed at {one.after}" if moved is Bump.NONE else f"went from {one.before} to {one.after}"
    count = sum(change.grade is one.grade for change in one.changes)
    told = [f"{count} {one.grade} {'change' if count == 1 else 'changes'}"] if count else []
    told += [f"{one.grade} changes of {', '.join(because)}"] if because else []
    what = f"{one.of} {one.name} has {' and '.join(told)}, and its version {stands}"
    return Fault(one.mark.path, one.mark.line, what, _fix(one, is_product=is_product))


def is_refused(one: Graded) -> bool:
    """Return whether a version that moved too little is a fault: not of a draft that nobody reads."""
    return one.is_promised or bump(one.before, one.after) is Bump.BACK


def _fix(one: Graded, *, is_product: bool) -> str:
    if one.grade is not Grade.BREAKING:
        return f"Write `version: {one.asked}`."
    major = version_numbers(one.before)[0]
    if major == 0:
        return f"Write `version: {one.asked}`, or take the change back."
    beside = f"beside version {major}, which keeps its own output port until its sunset"
    if not is_product:
        return f"Write `version: {one.asked}`, and offer it {beside}; or take the change back."
    return f"Take the change back, or declare it as `version: {one.asked}` {beside}."
