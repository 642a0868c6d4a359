"""The objectives in force of two states, as clauses beside those of slo.yaml; it must not grade them.

A default has no entry in any file. It gets one here where the other state declares one of its name, or where other
rules count in it than before. What else becomes of a default is told of the clause that it comes from: its SLA, its
rules, the tier, the port.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataproducts.changes.model import Clause
from dataproducts.changes.steps import canonical
from dataproducts.declare.contract import read_tables
from dataproducts.declare.descriptor import read_product
from dataproducts.declare.implied_objectives import is_judged
from dataproducts.declare.slo import FILE, read_objectives
from dataproducts.objective import MEANINGS
from dataproducts.product import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dataproducts.changes.states import Files
    from dataproducts.objective import Objective, Trust
    from dataproducts.product import DataProduct, Mark, Rule

    Clauses = dict[str, Clause]

_PATH = "slo.objectives[]"
_OF_RULES = ("rules", "columns")
_SELECTION = ("indicator", "table", *_OF_RULES)
_UNITS = (("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True, slots=True)
class _Side:
    """One state: its objectives in force, those that slo.yaml declares, and slo.yaml as clauses, which grow."""

    product: DataProduct
    trust: Trust
    in_force: Mapping[str, Objective]
    declared: frozenset[str]
    clauses: Clauses

    def objective(self, name: str) -> Objective | None:
        """Return the objective in force; None if slo.yaml declares one of that name which cannot be measured."""
        found = self.in_force.get(name)
        return found if found and (found.origin == FILE) is (name in self.declared) else None

    def default(self, name: str) -> Objective | None:
        """Return the default of that name, if it is in force."""
        return None if name in self.declared else self.objective(name)

    def selection(self, name: str) -> str:
        """Return what the entry of that name says of which rules count."""
        found = (self.clauses.get(f"objectives[{name}].{key}") for key in _SELECTION)
        return canonical([clause.value if clause else None for clause in found])

    def keys(self, name: str) -> set[str]:
        """Return which keys the entry of that name has."""
        address = f"objectives[{name}]"
        return {clause.path.rpartition(".")[2] for clause in self.clauses.values() if address in clause.within}

    def counts(self, objective: Objective | None, table: str, rule: Rule) -> bool:
        """Return whether a rule of `table` counts in an objective."""
        if objective is None or rule.dimension.value != objective.indicator.kind.value:
            return False
        indicator = objective.indicator
        columns = indicator.params.get("columns")
        return (
            (table == indicator.table if indicator.table else table in self.product.published)
            and (not indicator.rules or rule.name in indicator.rules)
            and (not columns or bool(set(columns) & set(rule.columns)))
        )

    def put(self, objective: Objective, key: str, value: Any, mark: Mark) -> None:
        """Add one clause of an objective: its entry where `key` is empty, else what stands below it."""
        entry = f"objectives[{objective.name}]"
        address, path = (f"{entry}.{key}", f"{_PATH}.{key}") if key else (entry, _PATH)
        within = (entry,) if key else ()
        self.clauses[address] = Clause(address, path, value, mark, within, not key, objective.indicator.table)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A rule that both states have and judge, as it was and as it is; `table` is the one that it is of."""

    table: str
    before: Rule
    after: Rule


def with_defaults(
    old: Files, new: Files, before: Mapping[str, Clause], after: Mapping[str, Clause]
) -> tuple[Mapping[str, Clause], Mapping[str, Clause]]:
    """Return both states of slo.yaml, given as clauses, with the defaults that have to be compared.

    What is dropped while it was, or is, declared goes: that is told of the objective. A product that cannot be read
    has no defaults. Never raises for what files hold.
    """
    before, after = _told_once(before, after), _told_once(after, before)
    if _texts(old) == _texts(new):
        return before, after
    sides = _read(old, before), _read(new, after)
    if sides[0] is None or sides[1] is None:
        return before, after
    comparison = _Comparison(sides[0], sides[1], tuple(_kept(sides[0].product, sides[1].product)))
    for name in dict.fromkeys((*sides[0].in_force, *sides[1].in_force)):
        comparison.take(name)
    return sides[0].clauses, sides[1].clauses


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Two sides and the rules that both have."""

    old: _Side
    new: _Side
    kept: tuple[_Kept, ...]

    def take(self, name: str) -> None:
        """Add the clauses of one objective."""
        old, new = self.old.default(name), self.new.default(name)
        for default, side, other in ((old, self.old, self.new), (new, self.new, self.old)):
            if default and name in other.declared:
                keys = other.keys(name) | {"indicator", "target"}
                side.put(default, "", f"{default.target:g}", default.mark)
                for key, value in _written(default):
                    if key in keys:
                        side.put(default, key, value, default.mark)
                self.count(name)
        if name in self.old.declared and name in self.new.declared:
            if self.old.selection(name) == self.new.selection(name):
                self.count(name)
        elif {name} - self.old.declared - self.new.declared:
            self.count_defaults(name)

    def count(self, name: str) -> None:
        """Say which rules count in an objective of both sides, where that changed; the keys that choose them go.

        What cannot be measured counts nothing, and is compared as it is written.
        """
        old, new = self.old.objective(name), self.new.objective(name)
        if old is None or new is None or old.indicator.kind is not new.indicator.kind or not _is_of_rules(old):
            return
        for side in (self.old, self.new):
            for key in _OF_RULES:
                side.clauses.pop(f"objectives[{name}].{key}", None)
        if changed := self.changed(old, new):
            mark = self.cause(changed[0], old, new)
            was = {rule.before.name for rule in self.kept if self.old.counts(old, rule.table, rule.before)}
            now = {rule.before.name for rule in self.kept if self.new.counts(new, rule.table, rule.after)}
            self.old.put(old, "counts", sorted(was), mark)
            self.new.put(new, "counts", sorted(now), mark)

    def count_defaults(self, name: str) -> None:
        """Compare a default of both sides, or one that came or went although nobody dropped or restored it."""
        old, new = self.old.default(name), self.new.default(name)
        known = old or new
        dropped = {entry.name for side in (self.old, self.new) for entry in side.trust.dropped}
        if known is None or not _is_of_rules(known) or name in dropped:
            return
        changed = self.changed(old, new)
        if not changed or any(known.indicator.table not in side.product.published for side in (self.old, self.new)):
            return  # that a table is offered no more is told of its port
        mark = self.cause(changed[0], known, known)
        for side, default in ((self.old, old), (self.new, new)):
            if default:
                side.put(default, "", f"{default.target:g}", mark)
        self.count(name)

    def changed(self, old: Objective | None, new: Objective | None) -> list[_Kept]:
        """Return the rules that counted and count no more, or count now and did not."""
        return [
            rule
            for rule in self.kept
            if self.old.counts(old, rule.table, rule.before) is not self.new.counts(new, rule.table, rule.after)
        ]

    def cause(self, rule: _Kept, old: Objective, new: Objective) -> Mark:
        """Return where it is said that a rule counts no more, or counts now.

        That nobody is told of its failures is then not told beside it.
        """
        if rule.before.dimension is not rule.after.dimension:
            return rule.after.mark
        if FILE in (old.origin, new.origin):
            return new.mark
        for side in (self.old, self.new):
            side.clauses.pop("incidents", None)
        ignored = self.new.trust.unsubscribed
        found = (one.mark for one in ignored if one.covers(kind="check", name=rule.after.name, table=rule.table))
        return next(found, rule.after.mark)


def _told_once(clauses: Mapping[str, Clause], other: Mapping[str, Clause]) -> Mapping[str, Clause]:
    """Return clauses without the dropped defaults that the other state declares."""
    told = {f"defaults.drop[{name}]" for name in _declared(other)}
    return {address: clause for address, clause in clauses.items() if not told & {address, *clause.within}}


def _declared(clauses: Mapping[str, Clause]) -> frozenset[str]:
    entries = (address for address, clause in clauses.items() if clause.is_item and clause.path == _PATH)
    return frozenset(address.removeprefix("objectives[").removesuffix("]") for address in entries)


def _texts(files: Files) -> list[tuple[str, str]]:
    documents = {"product": files.documents.get("product"), "slo": files.documents.get("slo"), **files.contracts}
    return [(name, document.text) for name, document in documents.items() if document]


def _read(files: Files, clauses: Mapping[str, Clause]) -> _Side | None:
    """Return one state as far as objectives go; None if its product cannot be read."""
    document = files.documents.get("product")
    product = read_product(document, Path(files.folder))[0] if document else None
    if product is None:
        return None
    is_gold = product.tier is Tier.GOLD
    read = ((stem, table) for stem, d in files.contracts.items() for table in read_tables(d, gold=is_gold)[0])
    product = replace(product, tables=tuple(table for stem, table in read if table.name == stem))
    promised = read_objectives(product, files.documents.get("slo"))
    in_force = {objective.name: objective for objective in promised.objectives}
    return _Side(product, promised.trust, in_force, _declared(clauses), dict(clauses))


def _written(objective: Objective) -> Iterator[tuple[str, Any]]:
    """Yield a default as slo.yaml would write it."""
    params = objective.indicator.params
    yield "name", objective.name
    yield "indicator", objective.indicator.kind.value
    yield "target", objective.target
    yield "window", f"{objective.window.days:g}d"
    yield from ((key, params[key]) for key in ("table", "column", "port", "by") if key in params)
    if objective.indicator.at_most_s is not None:
        seconds = objective.indicator.at_most_s
        unit, size = next((unit for unit in _UNITS if seconds % unit[1] == 0), _UNITS[-1])
        yield "at_most", f"{seconds / size:.10g}{unit}"


def _is_of_rules(objective: Objective) -> bool:
    return "columns" in MEANINGS[objective.indicator.kind].params


def _kept(old: DataProduct, new: DataProduct) -> Iterator[_Kept]:
    """Yield the rules that both states have and judge: by name and content, by content alone, then by name."""
    after = {table.name: [rule for rule in table.rules if is_judged(rule)] for table in new.tables}
    for table in old.tables:
        here, there = [rule for rule in table.rules if is_judged(rule)], after.get(table.name, [])
        keys: tuple[Callable[[Rule], str], ...] = (lambda rule: rule.name + _content(rule), _content, lambda r: r.name)
        for key in keys:
            for rule in [*here]:
                same = next((other for other in there if key(other) == key(rule)), None)
                if same is not None:
                    here.remove(rule)
                    there.remove(same)
                    yield _Kept(table.name, rule, same)


def _content(rule: Rule) -> str:
    """Return what a rule asks, whatever it is called, filed under or followed by."""
    return canonical([rule.kind, rule.columns, dict(rule.params), repr(rule.threshold)])
