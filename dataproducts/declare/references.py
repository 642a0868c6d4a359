"""Names in a product's files resolved to what they name, within the product and across the project.

It must not know the standards' schemas or run anything. What cannot be resolved because another file could not be
read is let be: that file has a fault of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts.declare.schedules import check_schedule
from dataproducts.errors import DeclarationError, Fault, UsageError, suggest
from dataproducts.product import DataProduct, InputPort, Layer, Rule, RuleKind, Table, TableRef, version_numbers
from dataproducts.rules.confine import table_names
from dataproducts.rules.reads import queries_of
from dataproducts.trial import bind_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dataproducts.declare.catalogue import Catalogue
    from dataproducts.declare.positions import Document


def resolve(
    product: DataProduct,
    descriptor: Document,
    contracts: Mapping[str, Document],
    catalogue: Catalogue | None,
    *,
    unread: frozenset[str] = frozenset(),
) -> tuple[DataProduct, list[Fault]]:
    """Return `product` with its ports, foreign keys and queries resolved, and every fault of its references.

    Without a `catalogue` there is no project, and input ports stay unresolved. `unread` are tables that are known to
    exist and whose contract could not be read.
    """
    scope = _Scope(product, descriptor, contracts, catalogue, unread)
    inputs = tuple(scope.resolve_input(at, port) for at, port in enumerate(product.inputs))
    scope.product = replace(product, inputs=inputs)
    scope.judge_outputs()
    scope.judge_layer()
    tables = tuple(scope.resolve_table(table) for table in product.tables)
    scope.product = replace(scope.product, tables=tables)
    scope.judge_cycles()
    scope.faults += check_schedule(scope.product, descriptor)
    return scope.product, scope.faults


def check_project(products: Sequence[DataProduct], catalogue: Catalogue) -> list[Fault]:
    """Return what is wrong between `products` and the rest of the project: repeated ids and addresses, and cycles."""
    faults = []
    for product in products:
        folder = product.mark.path.rpartition("/")[0]
        others = [path for path in catalogue.addresses.get(product.address, ()) if path != folder]
        if others:
            what = f"the address {product.address!r} is also that of {', '.join(others)}"
            faults.append(Fault(product.mark.path, product.mark.line, what, "Rename one of them."))
        for table in product.tables:
            claims = [path for path in catalogue.claims.get(table.contract_id, ()) if path != table.mark.path]
            if claims:
                what = f"the contract id {table.contract_id!r} is also that of {', '.join(claims)}"
                fix = f"Write an id of its own, such as {product.domain}.{product.name}.{table.name}."
                faults.append(Fault(table.mark.path, _id_line(table), what, fix))
        for port in product.inputs:
            if port.source and (path := _way(port.source.product, product.address, catalogue.read_by)):
                what = f"products read each other in a circle: {' -> '.join([product.address, *path])}"
                fix = "Drop one of the input ports, or move the shared table to a product of its own."
                faults.append(Fault(port.mark.path, port.mark.line, what, fix))
    return faults


def _id_line(table: Table) -> int:
    lines = table.contract_text.splitlines()
    return next((at for at, line in enumerate(lines, start=1) if line.startswith("id:")), 1)


@dataclass(slots=True)
class _Scope:
    """One product and all that its files may name."""

    product: DataProduct
    descriptor: Document
    contracts: Mapping[str, Document]
    catalogue: Catalogue | None
    unread: frozenset[str]
    faults: list[Fault] = field(default_factory=list)

    def resolve_input(self, at: int, port: InputPort) -> InputPort:
        place = ("inputPorts", at)
        if port.name in {table.name for table in self.product.tables}:
            what = f"input port {port.name!r} bears the name of a table of the product"
            self.refuse_product((*place, "name"), what, "Rename the port: transforms could not tell the two apart.")
        if self.catalogue is None or not port.contract_id:
            return port
        offer = self.catalogue.offers.get(port.contract_id)
        if offer is None:
            what = f"input port {port.name!r} reads contract {port.contract_id!r}, which nobody declares"
            fix = suggest(port.contract_id, sorted(self.catalogue.offers)).strip()
            self.refuse_product((*place, "contractId"), what, fix)
            return port
        if offer.table.product == self.product.address:
            what = f"input port {port.name!r} reads a table of the product itself"
            self.refuse_product(
                (*place, "contractId"), what, f"Read {offer.table.table!r} by its name, without a port."
            )
        elif not offer.published:
            what = f"input port {port.name!r} reads {offer.table}, which its product does not publish"
            fix = f"Ask its owner for an output port with `contractId: {port.contract_id}`."
            self.refuse_product((*place, "contractId"), what, fix)
        if offer.version and port.version:
            self.judge_version(at, port, offer.version)
        return replace(port, source=offer.table)

    def judge_version(self, at: int, port: InputPort, offered: str) -> None:
        relied, found = version_numbers(port.version), version_numbers(offered)
        if relied[0] != found[0] or relied > found:
            what = f"input port {port.name!r} relies on version {port.version} of {port.contract_id!r}"
            fix = f"Write `version: {offered}` once the product is fit for it."
            self.refuse_product(("inputPorts", at, "version"), f"{what}, which is offered as {offered}", fix)

    def judge_outputs(self) -> None:
        own = {table.contract_id: table for table in self.product.tables}
        for at, port in enumerate(self.product.outputs):
            place = ("outputPorts", at, "contractId")
            if port.contract_id and port.contract_id not in own and not self.unread:
                what = f"output port {port.name!r} offers contract {port.contract_id!r}, which is not of this product"
                self.refuse_product(place, what, suggest(port.contract_id, sorted(own)).strip())
            table = own.get(port.contract_id)
            if (
                table
                and table.contract_version
                and port.version
                and version_numbers(port.version)[0] != version_numbers(table.contract_version)[0]
            ):
                what = (
                    f"output port {port.name!r} is of version {port.version}, its contract of {table.contract_version}"
                )
                fix = f"Write `version: {table.contract_version}`."
                self.refuse_product(("outputPorts", at, "version"), what, fix)

    def judge_layer(self) -> None:
        product = self.product
        if product.layer is Layer.SOURCE_ALIGNED and product.inputs:
            what = "a source-aligned product reads its source alone, and this one has input ports"
            self.refuse_product(("inputPorts",), what, "Write `type: aggregate`, or drop the input ports.")
        for table in product.tables:
            if product.layer is not Layer.SOURCE_ALIGNED and table.servers:
                what = f"table {table.name!r} of a product of layer {product.layer} reads a source itself"
                fix = "Read it through an input port on a source-aligned product."
                self.refuse_table(table, ("servers",), what, fix)

    def resolve_table(self, table: Table) -> Table:
        self.judge_transform(table)
        rules = []
        for rule in table.rules:
            if rule.kind is RuleKind.FOREIGN_KEY:
                rules.append(self.resolve_key(rule))
                continue
            for query in queries_of(rule, table):
                self.judge_query(rule, query)
            rules.append(rule)
        names: dict[str, int] = {}
        unique = []
        for rule in rules:  # a resolved foreign key has a new name, which may be taken
            names[rule.name] = names.get(rule.name, 0) + 1
            unique.append(rule if names[rule.name] == 1 else replace(rule, name=f"{rule.name}.{names[rule.name]}"))
        return replace(table, rules=tuple(unique))

    def judge_transform(self, table: Table) -> None:
        if table.transform is None:
            return
        # sqlglot takes 0.1 s to import, and a contract that stands alone has no transform.
        from dataproducts.transforms.dependencies import faults as transform_faults  # noqa: PLC0415
        from dataproducts.transforms.dependencies import read_lines  # noqa: PLC0415
        from dataproducts.transforms.lineage import lineage_faults  # noqa: PLC0415
        from dataproducts.transforms.minimal import check_minimal  # noqa: PLC0415

        self.faults.extend(transform_faults(table.transform, table.name, partitioned=table.partitioning is not None))
        try:
            lines = read_lines(table.transform, table.name)
        except DeclarationError:
            return  # already among the faults
        self.faults.extend(lineage_faults(table, {}))
        readable = self.readable(table)
        path = table.transform.mark.path
        strangers = {name: line for name, line in lines.items() if name not in readable}
        for name, line in strangers.items():
            what = f"the transform of {table.name!r} reads {name!r}, which is no table of the product, input port"
            fix = f"Declare it under `inputPorts`.{suggest(name, sorted(readable))}"
            self.faults.append(Fault(path, line, f"{what} or server of its contract", fix))
        if strangers or self.product.layer is not Layer.SOURCE_ALIGNED:
            return
        self.faults.extend(check_minimal(table))
        for at, server in enumerate(table.servers):
            if server.name not in lines:
                what = f"the transform of {table.name!r} does not read server {server.name!r}"
                self.refuse_table(table, ("servers", at), what, "Read it, or delete the server.")
        if not table.servers:
            what = f"table {table.name!r} of a source-aligned product declares no source"
            self.refuse_table(table, ("servers",), what, "Add the source under `servers`.")

    def readable(self, table: Table) -> set[str]:
        siblings = {sibling.name for sibling in self.product.tables} | self.unread
        ports = {port.name for port in self.product.inputs}
        return (siblings - {table.name}) | ports | {server.name for server in table.servers}

    def judge_query(self, rule: Rule, query: str) -> None:
        try:
            names = table_names(query)
        except UsageError as error:
            fix = "Write one SELECT that reads tables by their bare names and gives one number."
            self.refuse_rule(rule, f"the query of rule {rule.name!r} cannot be used: {error}", fix)
            return
        columns = self.columns_by_relation()
        known = {name.lower(): name for name in columns} | {name.lower(): name for name in self.unread}
        strangers = [name for name in names if name.lower() not in known]
        for name in strangers:
            what = f"the query of rule {rule.name!r} reads {name!r}, which is no table or input port of the product"
            self.refuse_rule(rule, what, suggest(name, sorted(columns)).strip())
        relations = {name: columns.get(known[name.lower()]) for name in names if name not in strangers}
        typed = {name: kinds for name, kinds in relations.items() if kinds}
        if len(typed) == len(names) and (problem := bind_problem(query, typed)):
            self.refuse_rule(rule, f"the query of rule {rule.name!r} cannot run: {problem}", "Correct the query.")

    def columns_by_relation(self) -> dict[str, Mapping[str, str] | None]:
        found: dict[str, Mapping[str, str] | None] = {
            table.name: {column.name: column.sql_type for column in table.columns} for table in self.product.tables
        }
        for port in self.product.inputs:
            offer = self.catalogue.offers.get(port.contract_id) if self.catalogue else None
            found[port.name] = offer.columns if offer else None
        return found

    def resolve_key(self, rule: Rule) -> Rule:
        """Return a foreign key whose target is found among siblings (by name or contract id) and input ports."""
        written: tuple[str, ...] = rule.params["written"]
        targets = self.targets()
        heads = sorted((name for name in targets if written[0].startswith(f"{name}.")), key=len)
        if not heads:
            head = written[0].rpartition(".")[0]
            if head.split(".")[0] not in self.unread:
                what = f"the relationship of {', '.join(rule.columns)} points to {head!r}, which is no table"
                fix = f"Name a table of the product or an input port.{suggest(head, sorted(targets))}"
                self.refuse_rule(rule, f"{what} that the product knows", fix)
            return rule
        head = heads[-1]
        ref, columns = targets[head]
        to_columns = tuple(name.removeprefix(f"{head}.") for name in written)
        for name in to_columns:
            if columns is not None and name.split(".")[0] not in columns:
                what = f"the relationship of {', '.join(rule.columns)} points to {head}.{name}, which does not exist"
                self.refuse_rule(rule, what, suggest(name, sorted(columns)).strip())
        params = {"to": ref, "to_columns": to_columns}
        name = f"{rule.name.partition('.references.')[0]}.references.{ref.table}"
        return replace(rule, name=name, params=MappingProxyType(params))

    def targets(self) -> dict[str, tuple[TableRef, Mapping[str, str] | None]]:
        columns = self.columns_by_relation()
        found: dict[str, tuple[TableRef, Mapping[str, str] | None]] = {}
        for table in self.product.tables:
            target = (TableRef(self.product.address, table.name), columns[table.name])
            found |= {table.name: target, table.contract_id: target}
        for port in self.product.inputs:
            ref = port.source or TableRef("", port.name)
            found |= {port.name: (ref, columns[port.name]), port.contract_id: (ref, columns[port.name])}
        return {name: target for name, target in found.items() if name}

    def judge_cycles(self) -> None:
        reads = {table.name: set(self.sibling_reads(table)) for table in self.product.tables}
        for table in self.product.tables:
            ways = (_way(name, table.name, lambda at: sorted(reads.get(at, ()))) for name in sorted(reads[table.name]))
            if path := min(filter(None, ways), key=len, default=None):
                what = f"tables read each other in a circle: {' -> '.join([table.name, *path])}"
                mark = table.transform.mark if table.transform else table.mark
                self.faults.append(Fault(mark.path, mark.line, what, "Move the shared part to a table of its own."))

    def sibling_reads(self, table: Table) -> Iterator[str]:
        siblings = {sibling.name for sibling in self.product.tables} - {server.name for server in table.servers}
        if table.transform is None:
            return
        from dataproducts.transforms.dependencies import read_lines  # noqa: PLC0415 - as in judge_transform

        try:
            yield from (name for name in read_lines(table.transform, table.name) if name in siblings)
        except DeclarationError:
            return

    def refuse_product(self, place: Sequence[str | int], what: str, fix: str) -> None:
        self.faults.append(self.descriptor.fault(place, what, fix))

    def refuse_table(self, table: Table, place: Sequence[str | int], what: str, fix: str) -> None:
        document = self.contracts.get(table.name)
        mark = document.mark(*place) if document else table.mark
        self.faults.append(Fault(mark.path, mark.line, what, fix))

    def refuse_rule(self, rule: Rule, what: str, fix: str) -> None:
        self.faults.append(Fault(rule.mark.path, rule.mark.line, what, fix))


def _way(start: str, goal: str, reads: Callable[[str], Iterable[str]]) -> list[str]:
    """Return the shortest way from `start` to `goal`, each name reading the next; empty if there is none."""
    ways, seen = [[start]], {start}
    while ways:
        path = ways.pop(0)
        if path[-1] == goal:
            return path
        fresh = [name for name in dict.fromkeys(reads(path[-1])) if name not in seen]
        seen.update(fresh)
        ways += [[*path, name] for name in fresh]
    return []
