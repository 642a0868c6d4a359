"""Which versions a release would hold: candidates beside what is carried over; it must not judge or write them.

What may be carried over: versions that the contract as it is now can still describe, made from what is read now.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.errors import DeclarationError, RefusedError, few
from dataproducts.inputs import transform_inputs
from dataproducts.partitions import due, length
from dataproducts.ports import check_promise, upstream_table
from dataproducts.product import RuleKind, TableRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from dataproducts.inputs import Input
    from dataproducts.ledger import Ledger, ReleasedContract
    from dataproducts.product import DataProduct, Partitioning, Table
    from dataproducts.release import Refresh, Release, Version
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Scene:
    """The versions that stand beside each other: those of the product's tables and of the upstream tables it pins.

    `names` maps the names under which SQL rules and transforms read a table to its address. `gaps` tells, for a
    table, which of its partitions can neither be carried over nor were made anew: with any, nothing is released.
    """

    product: DataProduct
    refresh: Refresh
    base: Release | None
    versions: Mapping[TableRef, tuple[Version, ...]]
    names: Mapping[str, TableRef]
    gaps: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, ref: TableRef) -> tuple[Version, ...]:
        """Return the versions of `ref`. Raises: RefusedError, if it has none yet."""
        if not self.versions.get(ref):
            raise RefusedError(f"{ref} has no version yet: refresh it first, or together with {self.product.address}")
        return self.versions[ref]

    def table(self, name: str) -> tuple[Version, ...]:
        """Return the versions of the product's own table `name`. Raises: RefusedError, if it has none yet."""
        return self.of(TableRef(self.product.address, name))

    def carried(self, name: str) -> tuple[Version, ...]:
        """Return the versions of the product's own table `name` that are taken over from the base."""
        found = self.versions.get(TableRef(self.product.address, name), ())
        return tuple(version for version in found if version.refresh_id != self.refresh.id)

    def made(self, name: str) -> tuple[Version, ...]:
        """Return the candidates of this refresh for the product's own table `name`."""
        found = self.versions.get(TableRef(self.product.address, name), ())
        return tuple(version for version in found if version.refresh_id == self.refresh.id)

    def with_candidates(self, name: str, made: Sequence[Version]) -> Scene:
        """Return the scene in which `made` stand in the place of what table `name` had for their partitions."""
        ref = TableRef(self.product.address, name)
        parts = {version.partition: version for version in (*self.versions.get(ref, ()), *made)}
        return replace(self, versions={**self.versions, ref: _in_order(parts)})


def compose(warehouse: Warehouse, product: DataProduct, refresh: Refresh, *, as_published: bool = False) -> Scene:
    """Return what a release of `refresh` would hold now: candidates over what the base has.

    With `as_published`, everything of the base counts as it is, whether or not it could be carried over.
    Raises: RefusedError, if an upstream release does not offer what a port relies on.
    """
    ledger = warehouse.ledger
    base = ledger.release(product.address, refresh.base) if refresh.base else None
    held = warehouse.composition(base) if base else {}
    former = former_contracts(ledger, product, base) if base and not as_published else {}
    candidates = ledger.candidates(refresh)
    versions: dict[TableRef, tuple[Version, ...]] = {}
    names: dict[str, TableRef] = {}
    gaps: dict[str, str] = {}
    for table in product.tables:
        old, made = held.get(table.name, ()), candidates.get(table.name, {})
        why = "" if as_published else misfit(table, old, former.get(table.name, table))
        if why:
            lost = _to_rebuild(warehouse, table, old, former.get(table.name, table)) - made.keys()
            gaps |= {table.name: _gap(product, table, why, lost)} if lost else {}
            old = ()
        parts = {version.partition: version for version in old} | made
        ref = TableRef(product.address, table.name)
        versions[ref] = _in_order(parts)
        names[table.name] = ref
    for port in product.inputs:
        ref = upstream_table(warehouse, port)
        pinned = ledger.release(ref.product, refresh.pins[ref.product])
        check_promise(warehouse, port, ref, pinned)
        versions[ref] = warehouse.composition(pinned).get(ref.table, ())
        names[port.name] = ref
    return Scene(product, refresh, base, versions, names, gaps)


def _in_order(parts: Mapping[str | None, Version]) -> tuple[Version, ...]:
    return tuple(parts[key] for key in sorted(parts, key=lambda part: part or ""))


# What a contract can still describe


def former_contracts(ledger: Ledger, product: DataProduct, base: Release) -> dict[str, Table | None]:
    """Return, for each table whose contract is not the one that `base` pins, what that one said.

    None stands for one that cannot be read any more.
    """
    changed = {t.name for t in product.tables if base.contracts.get(t.name, t.contract_hash) != t.contract_hash}
    pinned = ledger.contracts(base) if changed else {}
    return {name: _read(pinned[name]) for name in changed if name in pinned}


def misfit(table: Table, versions: Sequence[Version], former: Table | None) -> str:
    """Say why `versions`, released under the contract `former`, cannot be part of `table`; empty if they can.

    Old files are read through a projection, so a column that may be NULL can be added; nothing else can change.
    """
    if not versions:
        return ""
    if former is None:
        return "the contract that it was released under cannot be read any more"
    if _cut(former.partitioning) != _cut(table.partitioning):
        return f"it is partitioned {_cut(table.partitioning)}, and was {_cut(former.partitioning)}"
    declared = {(column.name, column.sql_type) for column in table.columns}
    needed = {c for r in table.rules if r.kind is RuleKind.REQUIRED and r.blocking for c in r.columns}
    known = {schema: dict(schema) for schema in {version.schema for version in versions}}
    gone = {pair for schema in known for pair in schema} - declared
    if gone:
        return f"the contract has other columns than its files: {few(f'{name} {kind}' for name, kind in gone)}"
    new = {column.name for column in table.columns if any(column.name not in schema for schema in known.values())}
    if new & needed:
        return f"its files lack the required columns {few(new & needed)}"
    return ""


def _cut(partitioning: Partitioning | None) -> str:
    return f"by {partitioning.unit} of {partitioning.column}" if partitioning else "not at all"


def _to_rebuild(
    warehouse: Warehouse, table: Table, versions: Sequence[Version], former: Table | None
) -> set[str | None]:
    """The partitions without which `table` would have less than it had."""
    if table.partitioning is None:
        return {None}
    if former and _cut(former.partitioning) == _cut(table.partitioning):
        return {version.partition for version in versions}
    return {day.isoformat() for day in due(table.partitioning, warehouse.now())}


def _gap(product: DataProduct, table: Table, why: str, lost: Collection[str | None]) -> str:
    what = f"rebuild all partitions ({len(lost)} are missing)" if table.partitioning else "rebuild it"
    return f"{product.address}.{table.name}: {why}: {what}, as `dataproducts build {product.address}` does"


def _read(released: ReleasedContract) -> Table | None:
    try:
        tables, _ = read_tables(parse_yaml(released.text, released.contract_id), strict=False)
    except DeclarationError:
        return None
    return tables[0] if tables else None


# What has moved since a version was made


def mixtures(warehouse: Warehouse, scene: Scene) -> tuple[str, ...]:
    """Return what `scene` carries over although the transform that made it would read other rows now.

    Such a release would hold rows made from two releases of one product, or from two versions of one table.
    """
    found: list[str] = []
    if scene.base is None:
        return ()
    for table in scene.product.tables:
        carried = scene.carried(table.name)
        for read in transform_inputs(scene.product, table) if carried else ():
            before, now = _sides(warehouse, scene, scene.base, read)
            behind = outdated(table.partitioning, [version.partition for version in carried], before, now)
            if behind:
                which = f"{len(behind)} partitions ({few(map(str, behind))}) were" if table.partitioning else "it was"
                found.append(
                    f"{scene.product.address}.{table.name}: {which} made from {read.name} as it was in release "
                    f"{scene.base.number}, and it has changed since: refresh that too"
                )
    return tuple(found)


def _sides(
    warehouse: Warehouse, scene: Scene, base: Release, read: Input
) -> tuple[Sequence[Version], Sequence[Version]]:
    """What `base` had, or was made from, under the name that `read` has, and what there is now."""
    ledger = warehouse.ledger
    if read.sibling:
        ref = TableRef(scene.product.address, read.sibling)
        now = scene.versions.get(ref, ())
        is_still = len(scene.carried(read.sibling)) == len(now)
        return (now, now) if is_still else (versions_of(warehouse, base, read.sibling), now)
    if read.port:
        ref = scene.names[read.port.name]
        now, pinned = scene.versions[ref], base.inputs.get(ref.product)
        if pinned == scene.refresh.pins[ref.product]:
            return now, now
        return versions_of(warehouse, ledger.release(ref.product, pinned) if pinned else None, ref.table), now
    return (), ()


def versions_of(warehouse: Warehouse, release: Release | None, table: str) -> tuple[Version, ...]:
    """Return the versions of one table in `release`; none, if there is no such release."""
    return warehouse.composition(release).get(table, ()) if release else ()


def outdated(
    partitioning: Partitioning | None,
    partitions: Iterable[str | None],
    before: Iterable[Version],
    now: Iterable[Version],
) -> set[str | None]:
    """Return those of a table's `partitions` that overlap a partition of an input whose content changed.

    All of them, if the table or the input is not partitioned. Content is compared by the files' hashes.
    """
    old, new = ({v.partition: tuple(file.sha256 for file in v.files) for v in side} for side in (before, now))
    changed = {part for part in old.keys() | new.keys() if old.get(part) != new.get(part)}
    if not changed:
        return set()
    return overlapping(partitioning, partitions, changed, width(old.keys() | new.keys()))


def overlapping(
    partitioning: Partitioning | None, partitions: Iterable[str | None], moved: Collection[str | None], days: int
) -> set[str | None]:
    """Return those of a table's `partitions` that share a day with one of `moved`, each of which has `days` days."""
    if partitioning is None or None in moved:
        return set(partitions)
    own = length(partitioning)
    touched: set[date] = set()
    for part in moved:
        first = date.fromisoformat(part or "")
        touched |= {first + timedelta(days=offset) for offset in range(1 - own.days, days)}
    return {part for part in partitions if part is None or date.fromisoformat(part) in touched}


def width(partitions: Collection[str | None]) -> int:
    """Return how many days a partition of a table has, judged by all that it has: 7 if each begins on a Monday."""
    days = [date.fromisoformat(part) for part in partitions if part]
    return 7 if days and not any(day.weekday() for day in days) else 1
