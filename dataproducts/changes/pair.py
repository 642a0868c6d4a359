"""The clauses of two states of one file, paired and graded: passes two and three; it must not know files beside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dataproducts.changes.grading import row_of
from dataproducts.changes.model import Change, Clause, Grade
from dataproducts.changes.orders import compare
from dataproducts.changes.steps import SAME, Step
from dataproducts.rules.masking import MASK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dataproducts.product import Mark

    Clauses = Mapping[str, Clause]

_LONGEST = 60
_RENAMED = {"contract.schema[].properties[]", "product.outputPorts[]"}
_OPEN = {"item", "type", "truth", "key", "classification", "sequence", "threshold", "enforcement", "failure", "status"}
"""Orders whose values say nothing of any row, so that they are shown of classified columns too."""


def changes(before: Clauses, after: Clauses) -> tuple[Change, ...]:
    """Return what changed from one state of a file to the other, worst first, then by line.

    What is part of an entry that came or went is not told beside it. An entry that went while one like it came, alike
    in type and in description or position (of a port: in its contract), is told as renamed.
    """
    after, notes = _unrenamed(before, after)
    places = {address: clause.mark for address, clause in after.items() if clause.is_item}
    found = [
        replace(change, note=notes.get(clause.address, "") if change.kind.endswith("_renamed") else "")
        for old, new, clause in _pairs(before, after)
        for change in _grade(old, new)
    ]
    found = [_placed(change, before, after, places) for change in found]
    return tuple(sorted(found, key=lambda c: (list(Grade).index(c.grade), c.mark.path, c.mark.line, c.address)))


def _placed(change: Change, before: Clauses, after: Clauses, places: Mapping[str, Mark]) -> Change:
    """Point what went from an entry at the entry as it is now, for the old line is in a file of long ago."""
    old = before.get(change.address)
    if change.address in after or old is None or old.is_item or not old.within:
        return change
    return replace(change, mark=places.get(old.within[-1], change.mark))


def _pairs(before: Clauses, after: Clauses) -> Iterator[tuple[Clause | None, Clause | None, Clause]]:
    """Yield both sides of each address, and the one that is there; of entries that came or went, the entry alone."""
    gone = {address for address, clause in before.items() if clause.is_item and address not in after}
    come = {address for address, clause in after.items() if clause.is_item and address not in before}
    for address, old in before.items():
        if not gone.intersection(old.within):
            yield old, after.get(address), old
    for address, new in after.items():
        if address not in before and not come.intersection(new.within):
            yield None, new, new


def _grade(old: Clause | None, new: Clause | None) -> Iterator[Change]:
    """Yield the steps from one clause to the other, as the table grades them."""
    clause = new or old
    if clause is None:
        return
    row = row_of(clause.path)
    if clause.is_item and old and new:
        return
    hidden = bool((old and old.hidden) or (new and new.hidden)) and row.order not in _OPEN
    for step in compare(row.order, old.value if old else None, new.value if new else None):
        change = change_of(clause, _told(step, row.steps), hidden=hidden)
        # Who reads it knows it by its old name.
        yield replace(change, table=old.table, column=old.column) if old else change


def _told(step: Step, steps: Mapping[str, Any]) -> Step:
    """Return a step that the table tells: one that it does not is told as its row's only other."""
    return step if step.sign in steps else Step(next(sign for sign in ("~", SAME, *steps) if sign in steps), *step[1:])


def change_of(clause: Clause, step: Step, *, hidden: bool = False, mark: Mark | None = None) -> Change:
    """Return one step of a clause as a change, graded by the table; a `hidden` one shows no value."""
    row = row_of(clause.path)
    graded = row.steps[step.sign]
    before, after = (show(row.order, value) for value in (step.before, step.after))
    if hidden:
        before, after = (MASK if text else "" for text in (before, after))
    return Change(
        clause.address,
        clause.path,
        graded.kind,
        graded.grade,
        before,
        after,
        mark or clause.mark,
        graded.why,
        graded.changes_meaning,
        table=clause.table,
        column=clause.column,
    )


def _unrenamed(before: Clauses, after: Clauses) -> tuple[Clauses, dict[str, str]]:
    """Return the new clauses with renamed entries under their old addresses, and what each was recognised by."""
    gone = [c for a, c in before.items() if c.is_item and a not in after and c.near is not None]
    come = [c for a, c in after.items() if c.is_item and a not in before and c.near is not None]
    moved: dict[str, str] = {}
    notes: dict[str, str] = {}
    for new in come:
        for old in gone:
            alike = _alike(old, new) if old.address not in moved.values() else ""
            if alike:
                moved[new.address] = old.address
                notes[f"{old.address}.name"] = alike
                break
    return ({_back(c.address, moved): _moved(c, moved) for c in after.values()} if moved else after), notes


def _alike(old: Clause, new: Clause) -> str:
    """Return what makes two entries of one list look like one under two names; empty if they do not."""
    if old.path != new.path or old.within != new.within:
        return ""
    if old.path not in _RENAMED:
        return "it says the same" if old.near == new.near else ""
    if not isinstance(old.near, tuple):
        # A port that keeps its name has a new major version: that is another port, however like the old one.
        is_same_name = old.address.rpartition("@")[0] == new.address.rpartition("@")[0]
        return "it offers the same contract" if old.near == new.near and old.near and not is_same_name else ""
    (kind, words, at), (new_kind, new_words, new_at) = old.near, new.near
    if kind != new_kind:
        return ""
    if words and words == new_words:
        return "its type and description are the same"
    return "its type and position are the same" if at == new_at and not (words and new_words) else ""


def _back(address: str, moved: Mapping[str, str]) -> str:
    for new, old in moved.items():
        if address == new or address.startswith(f"{new}."):
            return old + address[len(new) :]
    return address


def _moved(clause: Clause, moved: Mapping[str, str]) -> Clause:
    within = tuple(_back(address, moved) for address in clause.within)
    return replace(clause, address=_back(clause.address, moved), within=within)


def show(order: str, value: Any) -> str:
    """Return a value in a short line; nothing for one that is absent."""
    match order, value:
        case _, None | []:
            text = ""
        case "threshold", {"operator": operator, "values": values, "unit": unit}:
            text = f"{operator} {' and '.join(_word(v) for v in values)} {unit}"
        case "sla", {"value": inner, "unit": unit, "valueExt": more}:
            text = " ".join(_word(part) for part in (inner, more, unit) if part is not None)
        case (("lower" | "upper"), (bound, is_excluded)):
            sign = {"lower": "> " if is_excluded else "≥ ", "upper": "< " if is_excluded else "≤ "}[order]
            text = f"{sign}{_word(bound)}"
        case "type", (name, written):
            text = name or written
        case _:
            text = _word(value)
    line = "".join(char if char.isprintable() else " " for char in text)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list) and not any(isinstance(item, dict | list) for item in value):
        return ", ".join(_word(item) for item in value)
    if isinstance(value, dict | list):
        return "…"  # servers may hold a password, and what a rule asks may hold values of rows
    return f"{value:g}" if isinstance(value, float) else str(value)


def unseen(found: Iterable[Change], why: str) -> tuple[Change, ...]:
    """Return changes that nobody can see, whatever they are, and `why`."""
    return tuple(replace(change, grade=Grade.NEUTRAL, why=why, changes_meaning=False) for change in found)
