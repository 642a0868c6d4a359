"""What an objective of `slo.yaml` measures, held against the clauses that it refers to; it must not measure it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import listing, text
from dataproducts.declare.implied_objectives import event_time, imply_objectives, is_judged
from dataproducts.errors import Fault, suggest
from dataproducts.objective import MEANINGS, Indicator, IndicatorKind
from dataproducts.product import RuleKind, Sla

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import DataProduct, Rule, Table

KEYS = ("table", "rules", "columns", "column", "port", "at_most", "by")
"""Keys of an objective that say what is measured."""

_OF_LIMIT = ("at_most_s", "at_most_days", "at_most_ratio")
_DAY_S = 86400


@dataclass(slots=True)
class Reading:
    """One `slo.yaml` being read for `product`, and what is wrong with it.

    `unread` are tables of the product whose contract could not be read: what is said of them is let be.
    """

    product: DataProduct
    document: Document
    unread: frozenset[str]
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, place: Place, what: str, fix: str) -> None:
        """Keep a fault at `place`."""
        self.faults.append(self.document.fault(place, what, fix))

    def knows_table(self, name: str, place: Place) -> bool:
        """Return whether `name` is a table of the product that could be read; refuse it if it is none at all."""
        known = sorted(table.name for table in self.product.tables)
        if name not in known and name not in self.unread:
            self.refuse(place, f"table {name!r} is not of this product", suggest(name, known).strip())
        return name in known


def read_indicator(reading: Reading, kind: IndicatorKind, entry: Mapping[str, Any], place: Place) -> Indicator | None:
    """Return the indicator of an objective; None, with its faults told, if it cannot be measured.

    A limit, a column or a time of day that the contract says already need not be repeated, and a limit may not be
    wider than what the contract promises.
    """
    one = _One(reading, kind, entry, place)
    params = one.read()
    return None if params is None else Indicator(kind, MappingProxyType(params))


@dataclass(slots=True)
class _One:
    """Reads the indicator of one objective."""

    reading: Reading
    kind: IndicatorKind
    entry: Mapping[str, Any]
    place: Place

    def refuse(self, key: str, what: str, fix: str) -> None:
        self.reading.refuse((*self.place, key) if key else self.place, what, fix)

    def read(self) -> dict[str, Any] | None:
        """Return the parameters; None if one of them is wrong."""
        before = len(self.reading.faults)
        taken = self.keys()
        for key in KEYS:
            if key in self.entry and key not in taken:
                fix = f"Delete it. {self.kind} takes {', '.join(taken)}." if taken else "Delete it."
                self.refuse(key, f"`{key}` says nothing to the indicator {self.kind}", fix)
        name = text(self.entry, "table")
        if name and "table" in taken and not self.reading.knows_table(name, (*self.place, "table")):
            return None
        params: dict[str, Any] = {"table": name} if name else {}
        for step in (self.read_port, self.read_rules, self.read_column, self.read_limit, self.read_time):
            params |= step(params)
        return params if len(self.reading.faults) == before else None

    def keys(self) -> tuple[str, ...]:
        """Return the keys of the file that the kind takes."""
        names = dict.fromkeys("at_most" if name in _OF_LIMIT else name for name in MEANINGS[self.kind].params)
        return tuple(name for name in KEYS if name in names)

    def tables(self, params: Mapping[str, Any]) -> list[Table]:
        """Return the tables measured: the one that is named, or the published ones."""
        product = self.reading.product
        if "table" in params:
            return [product.table(params["table"])]
        return [table for table in product.tables if table.name in product.published]

    def read_port(self, _params: Mapping[str, Any]) -> dict[str, Any]:
        name, known = text(self.entry, "port"), sorted({port.name for port in self.reading.product.outputs})
        if "port" not in self.keys() or not name:
            return {}
        if name not in known:
            self.refuse("port", f"{name!r} is no output port", suggest(name, known).strip())
        return {"port": name}

    def read_rules(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Judge rules and columns: some rule has to be left that is judged and speaks of what is measured."""
        if "rules" not in self.keys():
            return {}
        tables = self.tables(params)
        fitting = [rule for table in tables for rule in table.rules if is_judged(rule) and self.fits(rule)]
        found: dict[str, Any] = {}
        before = len(self.reading.faults)
        if columns := self.read_columns(tables):
            found["columns"] = columns
            fitting = [rule for rule in fitting if set(rule.columns) & set(columns)]
        if rules := self.read_names(tables):
            found["rules"] = rules
            fitting = [rule for rule in fitting if rule.name in rules]
        if not fitting and len(self.reading.faults) == before and not self.reading.unread:
            where = f"table {params['table']!r}" if "table" in params else "the published tables"
            subject = "on retention" if self.kind is IndicatorKind.RETENTION_KEPT else f"of dimension {self.kind}"
            asked = " that is judged and asked for here" if found else " that is judged"
            what = f"nothing can be measured: {where} has no rule {subject}{asked}"
            self.refuse("indicator", what.replace("tables has", "tables have"), "Add one to the contract.")
        return found

    def fits(self, rule: Rule) -> bool:
        if self.kind is IndicatorKind.RETENTION_KEPT:
            return rule.kind is RuleKind.RETENTION
        return rule.dimension.value == self.kind.value

    def read_columns(self, tables: Iterable[Table]) -> tuple[str, ...]:
        known = sorted({column.name for table in tables for column in table.columns})
        named = [str(name) for name in listing(self.entry, "columns")] if "columns" in self.keys() else []
        for at, name in enumerate(named):
            if name not in known and not self.reading.unread:
                what = f"column {name!r} is in no table that is measured"
                self.reading.refuse((*self.place, "columns", at), what, suggest(name, known).strip())
        return tuple(named)

    def read_names(self, tables: Iterable[Table]) -> tuple[str, ...]:
        by_name: dict[str, list[Rule]] = {}
        for rule in (rule for table in tables for rule in table.rules):
            by_name.setdefault(rule.name, []).append(rule)
        named = [str(name) for name in listing(self.entry, "rules")]
        for at, name in enumerate(named):
            place: Place = (*self.place, "rules", at)
            rules = by_name.get(name, [])
            if not rules and not self.reading.unread:
                what = f"{name!r} is no rule of what is measured"
                self.reading.refuse(place, what, suggest(name, sorted(by_name)).strip())
            elif rules and not any(self.fits(rule) for rule in rules):
                what = f"the rule {name!r} is of dimension {rules[0].dimension}, and {self.kind} is measured"
                self.reading.refuse(place, what, "Name another, or give the rule a `dimension` in its contract.")
            elif rules and not any(is_judged(rule) for rule in rules):
                what = f"nothing here judges the rule {name!r}, so that no verdict tells of it"
                self.reading.refuse(place, what, "Name another.")
        return tuple(named)

    def read_column(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return on which column of which table event time is read: the one named, `validThru`, or that of the SLA."""
        if "column" not in self.keys():
            return {}
        tables, name = self.tables(params), text(self.entry, "column")
        if len(tables) != 1:
            fix = f"Add `table:` with one of {', '.join(t.name for t in self.reading.product.tables)}."
            self.refuse("", f"the objective does not say of which table its {self.kind} is measured", fix)
            return {}
        (table,) = tables
        default = str(self.implied(table.name).get("column", table.valid_thru))
        if not name and not default:
            what = f"the objective does not say on which column of {table.name!r} it is measured"
            self.refuse("", what, "Add `column:` with the event time.")
            return {}
        columns = {column.name: column for column in table.columns}
        if name and name not in columns:
            what = f"column {name!r} is not in table {table.name!r}"
            self.refuse("column", what, suggest(name, list(columns)).strip())
        elif name and not columns[name].sql_type.startswith(("DATE", "TIMESTAMP")):
            what = f"{self.kind} is measured on {name!r}, which is {columns[name].sql_type}"
            self.refuse("column", what, "Name a date or timestamp column.")
        found = event_time(table, name or default)
        is_age = self.kind is IndicatorKind.FRESHNESS
        return {"table": table.name} | (found if is_age else {"column": found["column"]})

    def implied(self, table: str) -> Mapping[str, Any]:
        """Return the parameters that an SLA of the contract gives the same indicator."""
        for objective in imply_objectives(self.reading.product):
            if objective.indicator.kind is self.kind and objective.indicator.table in ("", table):
                return objective.indicator.params
        return {}

    def read_limit(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if "at_most" not in self.keys():
            return {}
        key = next(name for name in MEANINGS[self.kind].params if name in _OF_LIMIT)
        promised = self.implied(str(params.get("table", ""))).get(key)
        written = self.entry.get("at_most")
        if written is None:
            if promised is None:
                what = f"the objective does not say what {self.kind} may be at most"
                self.refuse("", what, f"Add `at_most: {'1.5' if key == 'at_most_ratio' else '26h'}`.")
            return {key: promised}
        limit = _ratio(written) if key == "at_most_ratio" else _length(written)
        if limit is None:
            kind = "ratio above 0, such as 1.5" if key == "at_most_ratio" else "length of time, such as 26h or 180d"
            self.refuse("at_most", f"`at_most` is {written!r}", f"Write a {kind}.")
            return {}
        same = params.get("column") == self.implied(str(params.get("table", ""))).get("column")
        if promised is not None and same and limit > promised:
            what = f"the objective allows {limit:g} seconds, and the contract promises {promised:g}"
            self.refuse("at_most", what, "Write less, or promise less in the contract.")
        return {key: limit / _DAY_S if key == "at_most_days" else limit}

    def read_time(self, params: Mapping[str, Any]) -> dict[str, Any]:
        if "by" not in self.keys():
            return {}
        written = text(self.entry, "by") or str(self.implied(str(params.get("table", ""))).get("by", ""))
        if not written:
            self.refuse("", "the objective does not say by which time of day", "Add `by: '09:00-05:00'`.")
            return {}
        try:
            time.fromisoformat(written)
        except ValueError:
            self.refuse("by", f"`by` is {written!r}, which is no time of day", "Write it like '09:00-05:00'.")
        return {"by": written}


def _length(written: object) -> float | None:
    """Return a length of time such as `26h` in seconds; None if it is none, or not above zero."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*([A-Za-z]+)\s*", written) if isinstance(written, str) else None
    seconds = Sla("", float(match[1]), match[2]).seconds if match else None
    return seconds or None


def _ratio(written: object) -> float | None:
    """Return a ratio above zero; None if it is none."""
    if isinstance(written, bool) or not isinstance(written, int | float):
        return None
    return float(written) if 0 < written < 1e6 else None  # noqa: PLR2004  more is no limit
