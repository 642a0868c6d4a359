"""Who relies on a table or a column: tables made of it, metrics, rules, declared consumers; it must not know changes.

Lineage tells which columns are made of which. What only filters, joins or sorts by a column is not in it, yet fails
without it: a transform that mentions the column is a reader too, and then of rows as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataproducts.changes.model import Reader
from dataproducts.declare.fields import entries, text, texts
from dataproducts.errors import DataProductError
from dataproducts.load import load_product, load_project
from dataproducts.product import TableRef

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from dataproducts.product import DataProduct, Rule, Table

    Place = tuple[str, str]  # address of a product, name of a table
    Columns = frozenset[str] | None  # None: its rows as a whole


@dataclass(frozen=True, slots=True)
class _Edge:
    """One table that reads another: which of its columns are made of which, and what its text mentions."""

    product: DataProduct
    table: Table
    made: Mapping[str, frozenset[str]]
    mentioned: frozenset[str] | None  # in small letters; None if it cannot be told, so that all are

    def reach(self, columns: Columns) -> tuple[bool, Columns]:
        """Return whether the table relies on `columns` of what it reads, and which of its own are made of them."""
        if columns is None:
            return True, None
        made = frozenset(name for name, sources in self.made.items() if sources & columns)
        if made:
            return True, made
        return self.mentioned is None or any(name.lower() in self.mentioned for name in columns), None


@dataclass(slots=True)
class Reliance:
    """The products of one state, and who of them reads what."""

    products: tuple[DataProduct, ...]
    edges: dict[Place, list[_Edge]] = field(default_factory=dict)
    known: dict[tuple[str, str, str], tuple[Reader, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, root: Path, *, is_project: bool) -> Reliance:
        """Read the products at `root`, a project or a product's folder; what cannot be read relies on nothing."""
        try:
            products = load_project(root).products if is_project else (load_product(root, root=root),)
        except DataProductError:
            products = ()
        found = cls(products)
        for product in products:
            for table in product.tables:
                found.link(product, table)
        return found

    def link(self, product: DataProduct, table: Table) -> None:
        """Remember what one table is made of."""
        from dataproducts.transforms.dependencies import reading  # noqa: PLC0415 - 0.1 s: only where something breaks
        from dataproducts.transforms.lineage import column_lineage  # noqa: PLC0415 - as above

        if table.transform is None:
            return
        try:
            read = reading(table.transform, table.name)
            lineage = column_lineage(table, self.schemas(product))
        except DataProductError:
            return
        for relation in read.lines:
            place = resolve(product, relation)
            if place is None:
                continue
            made = {
                name: frozenset(column for source, column in sources if source == relation)
                for name, sources in lineage.items()
            }
            self.edges.setdefault(place, []).append(_Edge(product, table, made, _mentioned(read.tree)))

    def schemas(self, product: DataProduct) -> dict[str, dict[str, str]]:
        """Return the columns and types of each relation that the product's transforms read."""
        tables = {(other.address, table.name): table for other in self.products for table in other.tables}
        names = [*(table.name for table in product.tables), *(port.name for port in product.inputs)]
        places = {name: resolve(product, name) for name in names}
        return {
            name: {column.name: column.sql_type for column in tables[place].columns}
            for name, place in places.items()
            if place in tables
        }

    def readers(self, product: str, table: str, column: str = "") -> tuple[Reader, ...]:
        """Return who relies on the column, or without one on the table: tables first, then metrics, rules, consumers.

        Readers of readers count. Nobody relies on a product that is not known.
        """
        key = (product, table, column)
        if key not in self.known:
            start: Columns = frozenset({column.partition(".")[0]}) if column else None
            reached = self.reach((product, table), start)
            tables = [
                Reader("table", *place, tuple(sorted(columns or ())))
                for place, columns in reached.items()
                if place != (product, table)
            ]
            found = [*tables, *self.metrics(reached), *self.rules(reached), *self.consumers(reached)]
            self.known[key] = tuple(dict.fromkeys(found))
        return self.known[key]

    def reach(self, start: Place, columns: Columns) -> dict[Place, Columns]:
        """Return every table that is made of `columns` of the table at `start`, with the columns that are."""
        reached: dict[Place, Columns] = {start: columns}
        waiting = [start]
        while waiting:
            place = waiting.pop()
            for edge in self.edges.get(place, ()):
                relies, made = edge.reach(reached[place])
                at = (edge.product.address, edge.table.name)
                before = reached.get(at, frozenset())
                after = None if made is None or before is None else before | made
                if relies and (at not in reached or after != before):
                    reached[at] = after
                    waiting.append(at)
        return reached

    def metrics(self, reached: Mapping[Place, Columns]) -> Iterator[Reader]:
        """Yield the metrics of design.yaml that are computed of what was reached."""
        for product in self.products:
            for metric, _ in entries(dict(product.design), "metrics"):
                for name in texts(metric, "columns"):
                    table, _, column = name.partition(".")
                    place = (product.address, table)
                    columns = reached.get(place, frozenset())
                    if columns is None or column in columns:
                        yield Reader("metric", product.address, text(metric, "name"))

    def rules(self, reached: Mapping[Place, Columns]) -> Iterator[Reader]:
        """Yield the rules of other tables that look up what was reached."""
        for product in self.products:
            for table in product.tables:
                for rule in table.rules:
                    for place, columns in _looked_up(product, table, rule):
                        wanted = reached.get(place, frozenset())
                        if place != (product.address, table.name) and _touches(wanted, columns):
                            yield Reader("rule", product.address, f"{table.name}.{rule.name}")

    def consumers(self, reached: Mapping[Place, Columns]) -> Iterator[Reader]:
        """Yield the declared consumers of the ports that offer what was reached."""
        for product in self.products:
            tables = {table.contract_id: table.name for table in product.tables}
            offered = {port.name: tables.get(port.contract_id, "") for port in product.outputs}
            for consumer in map(dict, product.consumers):
                place = (product.address, offered.get(text(consumer, "port"), ""))
                if place in reached:
                    team = text(consumer, "team")
                    who = text(consumer, "persona") + (f" of {team}" if team else "")
                    contact = text(consumer, "contact")
                    yield Reader("consumer", product.address, f"{who}, {contact}" if contact else who)


def resolve(product: DataProduct, relation: str) -> tuple[str, str] | None:
    """Return the product and table that transforms of `product` call `relation`; None for a source."""
    if any(table.name == relation for table in product.tables):
        return product.address, relation
    port = next((port for port in product.inputs if port.name == relation), None)
    return (port.source.product, port.source.table) if port and port.source else None


def _mentioned(tree: object) -> frozenset[str] | None:
    """Return the columns that a SELECT names; None where a star, or Python, leaves that open."""
    from sqlglot import exp  # noqa: PLC0415 - as in link

    if not isinstance(tree, exp.Query):
        return None
    using = [str(name.name) for join in tree.find_all(exp.Join) for name in join.args.get("using") or ()]
    named = [str(column.name) for column in tree.find_all(exp.Column)]
    # A star alone mentions nothing: what goes through it is in the lineage, and what does not is not missed.
    return frozenset(name.lower() for name in [*using, *named])


def _looked_up(product: DataProduct, table: Table, rule: Rule) -> Iterator[tuple[Place, Sequence[str] | str]]:
    """Yield each table that a rule looks into, with the columns it names or the text of its query."""
    from dataproducts.rules.reads import queries_of, rule_reads  # noqa: PLC0415 - as in link

    for read in rule_reads(rule, table):
        if isinstance(read, TableRef):
            yield (read.product, read.table), tuple(rule.params.get("to_columns", ()))
        elif place := resolve(product, read):
            yield place, " ".join(queries_of(rule, table))


def _touches(wanted: Columns, columns: Sequence[str] | str) -> bool:
    if wanted is None:
        return True
    if isinstance(columns, str):
        return any(re.search(rf"\b{re.escape(name)}\b", columns, re.IGNORECASE) for name in wanted)
    return any(name in wanted for name in columns)
