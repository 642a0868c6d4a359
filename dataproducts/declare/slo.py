"""Objectives of a product: those that its contracts imply and those of its `slo.yaml`; it must not measure any."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import entries, mapping, number, text
from dataproducts.declare.implied_objectives import imply_objectives, spare
from dataproducts.declare.indicators import Reading, read_indicator
from dataproducts.declare.prose import complain
from dataproducts.errors import Fault, suggest
from dataproducts.finding import FindingKind
from dataproducts.objective import (
    MEANINGS,
    Dropped,
    IndicatorKind,
    Objective,
    Spent,
    Trust,
    Unsubscription,
    Window,
)
from dataproducts.product import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import DataProduct

FILE = "slo.yaml"
MOST = 1000  # a weight of the health score

WORDS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "missing": frozenset({"schedule"}),
        "stale": frozenset({"release"}),
        "source": frozenset({"sources"}),
        "refused": frozenset({"refresh", "release"}),
        "pipeline": frozenset({"refresh", "audit"}),
        "watchdog": frozenset({"objectives"}),
        "review": frozenset({"review", "sunset"}),
    }
)
"""What findings are called, by their kind, that are about nothing which a file declares."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """What a product promises, and what is wrong with how it says so.

    `objectives` are those in force: of the defaults the ones that nobody replaced or dropped, then those of the file.
    """

    objectives: tuple[Objective, ...]
    trust: Trust
    faults: tuple[Fault, ...] = ()


def read_objectives(
    product: DataProduct, document: Document | None, *, unread: frozenset[str] = frozenset()
) -> Objectives:
    """Return the objectives of `product`, whose `slo.yaml` is `document`, if it has one.

    An objective with the name of a default replaces it. `unread` are tables whose contract could not be read: what is
    said of them is let be. What cannot be used is left out, with its fault.
    """
    defaults = {objective.name: objective for objective in imply_objectives(product)}
    if document is None or not isinstance(document.data, dict):
        return Objectives(tuple(defaults.values()), Trust())
    reader = _Reader(product, document, unread)
    own = {objective.name: objective for objective in reader.read() if reader.may_replace(defaults, objective)}
    dropped = tuple(reader.drop(set(defaults), set(own)))
    gone = {entry.name for entry in dropped}
    kept = [objective for name, objective in defaults.items() if name not in own and name not in gone]
    ignored = tuple(reader.unsubscribe([*(objective.name for objective in kept), *own]))
    spared = (spare(product, objective, ignored) for objective in kept)
    every = (*(objective for objective in spared if objective), *own.values())
    trust = Trust(
        unsubscribed=ignored,
        dropped=dropped,
        runbooks=MappingProxyType(dict(reader.runbooks())),
        health=MappingProxyType(reader.weights()),
    )
    return Objectives(every, trust, tuple(reader.faults))


class _Reader(Reading):
    """Reads one `slo.yaml`."""

    def read(self) -> Iterator[Objective]:
        seen: dict[str, int] = {}
        for entry, place in entries(self.document.data, "objectives"):
            name = text(entry, "name")
            if name in seen:
                what = f"two objectives are called {name!r}, the first in line {seen[name]}"
                self.refuse((*place, "name"), what, "Rename one of the two.")
                continue
            seen[name] = self.document.line(*place)
            objective = self.read_objective(name, entry, place)
            if name and objective is not None:
                yield objective

    def read_objective(self, name: str, entry: dict[str, Any], place: Place) -> Objective | None:
        word = text(entry, "indicator")
        kind = IndicatorKind(word) if word in tuple(IndicatorKind) else None
        target, window = number(entry, "target"), read_window(text(entry, "window"))
        self.judge_texts(name, entry, place)
        if target is not None and not 0 < target <= 1:
            self.refuse((*place, "target"), f"the target of {name!r} is no share", "Write a number up to 1: 0.99.")
            return None
        if kind is None or target is None or window is None:
            return None  # the schema has told
        indicator = read_indicator(self, kind, entry, place)
        if indicator is None:
            return None
        spent, severity = text(entry, "on_spent"), text(entry, "severity")
        return Objective(
            name=name,
            indicator=indicator,
            target=target,
            window=window,
            category=MEANINGS[kind].category,
            on_spent=Spent(spent) if spent in tuple(Spent) else Spent.WARN,
            severity=Severity(severity) if severity in tuple(Severity) else Severity.WARNING,
            driver=text(entry, "driver"),
            description=text(entry, "description"),
            origin=FILE,
            runbook=text(entry, "runbook"),
            mark=self.document.mark(*place),
        )

    def may_replace(self, defaults: Mapping[str, Objective], objective: Objective) -> bool:
        """Refuse an objective that takes the name of a default and measures something else."""
        default = defaults.get(objective.name)
        before, now = (default or objective).indicator, objective.indicator
        if (before.kind, before.table) == (now.kind, now.table):
            return True
        subject = f"{before.kind} of {before.table}" if before.table else str(before.kind)
        what = f"the objective {objective.name!r} replaces the default of that name, which measures {subject}"
        self.faults.append(Fault(objective.mark.path, objective.mark.line, what, "Measure the same, or rename it."))
        return False

    def judge_texts(self, name: str, entry: dict[str, Any], place: Place) -> None:
        for key in ("driver", "description"):
            if isinstance(entry.get(key), str) and (said := complain(text(entry, key))):
                self.refuse((*place, key), f"`{key}` of objective {name!r} {said}", "Write it, or delete the key.")

    def drop(self, defaults: set[str], own: set[str]) -> Iterator[Dropped]:
        for entry, place in entries(mapping(self.document.data, "defaults"), "drop", ("defaults",)):
            name = text(entry, "name")
            self.judge_reason(entry, place, f"the objective {name!r} is dropped, and its reason")
            if name in own:
                what = f"the objective {name!r} is dropped, and declared above"
                self.refuse((*place, "name"), what, "Delete one of the two: what is declared replaces the default.")
            elif name and name not in defaults and not self.may_be_unread(name):
                what = f"{name!r} is dropped, and no default objective is called so"
                self.refuse((*place, "name"), what, suggest(name, sorted(defaults)).strip())
            elif name:
                yield Dropped(name, text(entry, "reason"), self.document.mark(*place))

    def may_be_unread(self, name: str) -> bool:
        return any(name.startswith(f"{table}.") for table in self.unread)

    def judge_reason(self, entry: dict[str, Any], place: Place, subject: str) -> None:
        if isinstance(entry.get("reason"), str) and (said := complain(text(entry, "reason"), words=2)):
            self.refuse((*place, "reason"), f"{subject} {said}", "Write why, for whoever asks a year from now.")

    def unsubscribe(self, objectives: list[str]) -> Iterator[Unsubscription]:
        for entry, place in entries(mapping(self.document.data, "incidents"), "ignore", ("incidents",)):
            kind, name, table = (text(entry, key) for key in ("kind", "name", "table"))
            self.judge_reason(entry, place, "findings open no incident, and the reason")
            if table and not self.knows_table(table, (*place, "table")):
                continue
            known = self.subjects(kind, table, objectives)
            if name and name not in known and not self.unread and kind != "access":
                subject = f"subject of {kind}" if kind else "rule, objective or source"
                what = f"{name!r} is to open no incident, and is no {subject} of {table or 'the product'}"
                self.refuse((*place, "name"), what, suggest(name, known).strip())
            elif kind in tuple(FindingKind) or (name and not kind):
                yield Unsubscription(text(entry, "reason"), kind, name, table, self.document.mark(*place))

    def subjects(self, kind: str, table: str, objectives: list[str]) -> list[str]:
        """Return what findings of a kind may be about."""
        tables = [each for each in self.product.tables if table in ("", each.name)]
        rules = {rule.name for each in tables for rule in each.rules}
        # What cannot be read are the sources of a table, all of them: the finding bears all of their names.
        sources = {", ".join(server.name for server in each.servers) for each in tables if each.servers}
        promised = set(objectives)
        by_kind = {
            "check": rules,
            "missing": rules | WORDS["missing"],
            "stale": rules | promised | WORDS["stale"],
            "source": sources | WORDS["source"],
            "burn_rate": promised,
            "budget": promised,
        }
        return sorted(by_kind.get(kind) or WORDS.get(kind) or rules | sources | promised)

    def runbooks(self) -> Iterator[tuple[str, str]]:
        seen: set[str] = set()
        for entry, place in entries(self.document.data, "runbooks"):
            table, rule = text(entry, "table"), text(entry, "rule")
            if not table or not rule or not self.knows_table(table, (*place, "table")):
                continue
            known = sorted(rule.name for rule in self.product.table(table).rules)
            if rule not in known:
                what = f"there is a runbook for {rule!r}, which is no rule of {table!r}"
                self.refuse((*place, "rule"), what, suggest(rule, known).strip())
            elif f"{table}.{rule}" in seen:
                what = f"the rule {rule!r} of {table!r} has two runbooks"
                self.refuse((*place, "rule"), what, "Delete one of the two.")
            else:
                yield f"{table}.{rule}", text(entry, "url")
            seen.add(f"{table}.{rule}")

    def weights(self) -> dict[str, float]:
        place = ("health", "weights")
        given = mapping(mapping(self.document.data, "health"), "weights")
        found = {key: weight for key in given if (weight := number(given, key)) is not None}
        if found and not all(0 <= weight <= MOST for weight in found.values()):
            self.refuse(place, "a weight of the health score is no number from 0 to 1000", "Write a smaller number.")
            return {}
        if found and not any(found.values()):
            self.refuse(place, "every weight of the health score is 0", "Give one of them a weight.")
            return {}
        return found


def read_window(written: str) -> Window | None:
    """Return a window as `slo.yaml` writes it, such as `28d` or `month`; the last 28 days if it is empty."""
    if not written:
        return Window()
    if written in ("month", "quarter"):
        return Window(0, written)
    match = re.fullmatch(r"([1-9][0-9]{0,3})\s*(d|days?|w|weeks?)", written)
    if match is None:
        return None
    return Window(int(match[1]) * (7 if match[2].startswith("w") else 1))
