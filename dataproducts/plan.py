"""What a build would do and why: which tables and partitions are refreshed, which carried over; it changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataproducts.errors import few
from dataproducts.history import history_read
from dataproducts.inputs import siblings_first, transform_inputs
from dataproducts.judging import unjudged_code
from dataproducts.partitions import due, length
from dataproducts.ports import closed_by, upstream_table, warnings_of
from dataproducts.scene import former_contracts, misfit, outdated, overlapping, versions_of
from dataproducts.sources.files import list_files
from dataproducts.transforms.dependencies import code_version

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import date

    from dataproducts.inputs import Input
    from dataproducts.product import DataProduct, InputPort, Table, TableRef
    from dataproducts.release import Consumed, Release, Version
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What happens to one table: `refresh` (with the partitions, where it has any), `judge` again, or `carry` over."""

    table: str
    action: str
    reason: str
    partitions: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True)
class ProductPlan:
    """What happens to one product; `notes` name the tables whose cost does not follow new data, and why.

    `warnings` tell of the lifecycle, of the product and of what it reads. `closed` says why it is not built at all.
    """

    product: str
    tables: tuple[TablePlan, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    closed: str = ""

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to refresh or to judge again."""
        return any(table.action != "carry" for table in self.tables)

    @property
    def partitions(self) -> dict[str, tuple[date, ...]]:
        """What to refresh of each partitioned table."""
        return {table.table: table.partitions for table in self.tables if table.partitions}


def plan_product(
    warehouse: Warehouse,
    product: DataProduct,
    *,
    force: bool = False,
    days: tuple[date, date] | None = None,
    moving: Collection[str] = (),
) -> ProductPlan:
    """Return what a build of `product` would do now, compared with its last release.

    `force` refreshes everything; `days`, first and last, refreshes the partitions that start within them in any
    case; `moving` are products that will have a new release by then.
    Raises: RefusedError, if an upstream contract was never released; SourceError, if a source is not there.
    """
    if closed := closed_by(warehouse, product):
        tables = tuple(TablePlan(table.name, "carry", "the product is not built any more") for table in product.tables)
        return ProductPlan(product.address, tables, warnings=(closed,), closed=closed)
    ledger = warehouse.ledger
    head = ledger.head(product.address)
    planner = _Planner(
        warehouse,
        product,
        head,
        warehouse.composition(head) if head else {},
        former_contracts(ledger, product, head) if head else {},
        ledger.consumed(product.address) if head else (),
        frozenset(moving),
        days,
    )
    plans: dict[str, TablePlan] = {}
    for table in siblings_first(product):
        plans[table.name] = planner.plan(table, plans, force=force)
    if not any(plan.action == "refresh" for plan in plans.values()):
        plans |= planner.least(plans)
    cut = [table for table in product.tables if table.partitioning]
    notes = tuple(note for table in cut for note in (*planner.costs(table), *planner.untold(table, plans)))
    listed = tuple(plans[table.name] for table in product.tables)
    return ProductPlan(product.address, listed, notes, warnings_of(warehouse, product))


@dataclass(slots=True)
class _Planner:
    """One product beside its last release, and what was looked up so far."""

    warehouse: Warehouse
    product: DataProduct
    head: Release | None
    held: Mapping[str, tuple[Version, ...]]
    former: Mapping[str, Table | None]
    consumed: tuple[Consumed, ...]
    moving: frozenset[str]
    days: tuple[date, date] | None
    upstream: dict[TableRef, tuple[Sequence[Version], Sequence[Version]]] = field(default_factory=dict)
    heads: dict[str, Release | None] = field(default_factory=dict)
    files: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)

    def plan(self, table: Table, plans: Mapping[str, TablePlan], *, force: bool) -> TablePlan:
        versions = self.held.get(table.name, ())
        every = due(table.partitioning, self.warehouse.now()) if table.partitioning else ()
        whole = "asked for" if force else next(self._whole(table, versions, plans), "")
        if whole:
            return _refresh(table, whole, every)
        if table.partitioning:
            have = {version.partition for version in versions}
            lacking = {day.isoformat() for day in every} - have
            changed = self._changed(table, [day.isoformat() for day in every], plans) - lacking
            asked = {day.isoformat() for day in every if self.days and self.days[0] <= day <= self.days[1]}
            wanted = tuple(day for day in every if day.isoformat() in lacking | changed | asked)
            if wanted:
                return _refresh(table, _why(len(lacking), len(changed), len(asked - lacking - changed)), wanted)
            if _lacks_column(table, versions):
                return _refresh(table, "the contract has a new column, which old files need not have", every[-1:])
        if table.name in self.former:
            return TablePlan(table.name, "judge", "the contract changed, the data it describes did not")
        other = unjudged_code(self.warehouse, self.product, table, versions)
        if other:
            were, run = ("was", "it runs") if len(other) == 1 else ("were", "they run")
            return TablePlan(table.name, "judge", f"{few(other)} {were} not judged by the code that {run} now")
        return TablePlan(table.name, "carry", "nothing that it depends on changed")

    def least(self, plans: Mapping[str, TablePlan]) -> dict[str, TablePlan]:
        """Refresh the least that makes a release, where there is nothing to refresh but something to publish.

        A release has at least one candidate. One is due when a contract changed, when a table is no longer declared,
        and when an upstream product has a new release, even with the same rows: a product that stayed on an old
        release of something that its consumers read as well would make them refuse the mixture.
        """
        if self.head is None:
            return {}
        reason, names = self._unpublished(plans)
        if not reason:
            return {}
        tables = [table for table in self.product.tables if table.name in names] or list(self.product.tables)
        # A partition costs less than a table.
        table = min(tables, key=lambda table: not table.partitioning)
        every = due(table.partitioning, self.warehouse.now()) if table.partitioning else ()
        return {table.name: _refresh(table, reason, every[-1:])}

    def _unpublished(self, plans: Mapping[str, TablePlan]) -> tuple[str, set[str]]:
        """What a new release would tell although no row is to be made, and the tables that are nearest to it."""
        judged = {name: plan.reason for name, plan in plans.items() if plan.action == "judge"}
        if judged:
            why = next(iter(judged.values()))
            return f"{why}: a release needs one new version, so this is refreshed", set(judged)
        gone = sorted(set(self.head.items) - plans.keys()) if self.head else ()
        if gone:
            return f"{', '.join(gone)} is no longer declared: a release without it needs one new version", set()
        for port in self.product.inputs:
            address = upstream_table(self.warehouse, port).product
            current = self._head(address)
            if address in self.moving:
                return f"{address} will have a new release", self._readers(port)
            if current and self.head and self.head.inputs.get(address) != current.number:
                return f"{address} has release {current.number}, with the same rows", self._readers(port)
        return "", set()

    def _readers(self, port: InputPort) -> set[str]:
        return {t.name for t in self.product.tables if any(r.port == port for r in transform_inputs(self.product, t))}

    def costs(self, table: Table) -> Iterator[str]:
        """Yield what makes a new partition of `table` cost more than its own rows."""
        read: dict[str, list[str]] = {}
        for rule in table.rules:
            what = history_read(rule, self.held.get(table.name, ()))
            if what:
                read.setdefault(what, []).append(rule.name)
        for what, names in read.items():
            yield f"{table.name}: {', '.join(names)} {what if len(names) == 1 else f'each {what}'}"
        for found in transform_inputs(self.product, table):
            if found.server:
                yield f"{table.name}: source {found.name} is read whole, whatever the partition"
            elif not self._is_cut(found):
                yield f"{table.name}: {found.name} has no partitions, so a change of it refreshes every partition"

    def _is_cut(self, read: Input) -> bool:
        if read.port is None:
            return self.product.table(read.sibling or "").partitioning is not None
        return None not in {version.partition for version in self._sides(upstream_table(self.warehouse, read.port))[1]}

    def untold(self, table: Table, plans: Mapping[str, TablePlan]) -> Iterator[str]:
        """Yield what the sources of a partitioned table hold that no partition of the plan stands for."""
        if table.partitioning is None or table.name not in self.held:  # at first, everything is read
            return
        whole = len(plans[table.name].partitions) >= len(due(table.partitioning, self.warehouse.now()))
        for read in transform_inputs(self.product, table):
            before, now = self._sources(table, read)
            new, gone = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
            if new and not whole:
                yield (
                    f"{table.name}: source {read.name} has files that were not read yet ({few(new)}): rows in them for "
                    "partitions that are carried over are seen by `build --force` only"
                )
            if gone and not whole:
                yield f"{table.name}: source {read.name} lacks files that were read ({few(gone)}): what they gave stays"

    def _whole(self, table: Table, versions: tuple[Version, ...], plans: Mapping[str, TablePlan]) -> Iterator[str]:
        """Yield why all of `table` has to be made anew, the plainest reason first."""
        if not versions:
            yield "never released"
            return
        if not all(self.warehouse.store.exists(file) for version in versions for file in version.files):
            yield "files of it are missing"
        code = code_version(table.transform)
        if any(version.code_version != code for version in versions):
            yield "the transform changed"
        yield from self._described_otherwise(table, versions)
        for read in transform_inputs(self.product, table):
            if read.sibling and plans[read.sibling].action == "refresh":
                if not (table.partitioning and self.product.table(read.sibling).partitioning):
                    yield f"{read.sibling} is refreshed"
            elif read.server:
                yield from self._source_changed(table, read)
            elif read.port:
                yield from self._upstream_changed(table, read)

    def _described_otherwise(self, table: Table, versions: tuple[Version, ...]) -> Iterator[str]:
        """What the contract says now and did not say when `versions` were released, where that makes other rows."""
        former = self.former.get(table.name, table)
        if why := misfit(table, versions, former):
            yield why
        if former and _reads_otherwise(table, former):
            yield "the contract reads its source in another way"
        if table.partitioning is None and _lacks_column(table, versions):
            yield "the contract has a new column"

    def _sources(self, table: Table, read: Input) -> tuple[dict[str, str], dict[str, str]]:
        """Hashes of the files of a source by path: those that the release rests on, and those that are there."""
        if read.server is None:
            return {}, {}
        key = table.name, read.name
        if key not in self.files:
            environment = self.warehouse.environment
            overrides = environment.sources.get(read.server.name, {})
            found = list_files(read.server, root=environment.root, overrides=overrides)
            self.files[key] = {file.path: file.sha256 for file in found}
        before = {f.path: f.sha256 for f in self.consumed if (f.table, f.source) == key}
        return before, self.files[key]

    def _source_changed(self, table: Table, read: Input) -> Iterator[str]:
        """A file that was read before and is different now; for a table without partitions, any difference."""
        before, now = self._sources(table, read)
        if any(now.get(path, sha256) != sha256 for path, sha256 in before.items()):
            yield f"source {read.name} changed"
        if not table.partitioning and now.keys() != before.keys():
            yield f"source {read.name} has other files"

    def _upstream_changed(self, table: Table, read: Input) -> Iterator[str]:
        """Other content upstream than this table was made from; where both have partitions, they are compared alone."""
        if read.port is None:
            return
        ref = upstream_table(self.warehouse, read.port)
        before, now = self._sides(ref)
        if table.partitioning and None not in {version.partition for version in (*before, *now)}:
            return
        if ref.product in self.moving:
            yield f"{ref.product} will have a new release"
        if outdated(None, [None], before, now):
            current = self._head(ref.product)
            yield f"{ref.product} has release {current.number if current else 'no longer'}"

    def _head(self, product: str) -> Release | None:
        if product not in self.heads:
            self.heads[product] = self.warehouse.ledger.head(product)
        return self.heads[product]

    def _sides(self, ref: TableRef) -> tuple[Sequence[Version], Sequence[Version]]:
        """An upstream table as the head of this product read it, and as it is now; the same if no release came."""
        if ref not in self.upstream:
            current = self._head(ref.product)
            pinned = self.head.inputs.get(ref.product) if self.head else None
            now = versions_of(self.warehouse, current, ref.table)
            if current and pinned == current.number:
                self.upstream[ref] = now, now
            else:
                old = self.warehouse.ledger.release(ref.product, pinned) if pinned else None
                self.upstream[ref] = versions_of(self.warehouse, old, ref.table), now
        return self.upstream[ref]

    def _changed(self, table: Table, every: Sequence[str], plans: Mapping[str, TablePlan]) -> set[str | None]:
        """Partitions that share a day with a partition of a sibling or upstream table with other content now."""
        changed: set[str | None] = set()
        for read in transform_inputs(self.product, table):
            sibling = self.product.table(read.sibling).partitioning if read.sibling else None
            if read.sibling and sibling:
                moved = {day.isoformat() for day in plans[read.sibling].partitions}
                changed |= overlapping(table.partitioning, every, moved, length(sibling).days)
            elif read.port:
                before, now = self._sides(upstream_table(self.warehouse, read.port))
                changed |= outdated(table.partitioning, every, before, now)
        return changed


def _refresh(table: Table, reason: str, days: tuple[date, ...]) -> TablePlan:
    if table.partitioning and not days:
        return TablePlan(table.name, "carry", "no partition is complete yet")
    return TablePlan(table.name, "refresh", reason, days)


def _lacks_column(table: Table, versions: Sequence[Version]) -> bool:
    """Whether the newest of `versions`, which says what readers see, lacks a column of the contract."""
    newest = max(versions, key=lambda version: version.created_at)
    return not {column.name for column in table.columns} <= {name for name, _ in newest.schema}


def _reads_otherwise(table: Table, former: Table) -> bool:
    """Whether the same files give `table` other rows now than by the contract `former`."""
    now, then = ([(s.name, s.type, dict(s.settings)) for s in contract.servers] for contract in (table, former))
    if now != then or table.transform is not None:
        return now != then
    copied = {column.name: column.physical_name for column in former.columns}
    return any(copied.get(column.name, column.physical_name) != column.physical_name for column in table.columns)


def _why(lacking: int, changed: int, asked: int) -> str:
    parts = [
        f"{count} {word}" for count, word in ((lacking, "new"), (changed, "changed"), (asked, "asked for")) if count
    ]
    return " and ".join(parts) + " partitions"
