"""What stands in the way of a step, all of it at once; it must not take the step.

| step | what is asked |
|---|---|
| to draft | `declaration` |
| to active | `declaration`, `owner`, `columns`, `slo`, `gates`, `consumers`; to reinstate, `reason` |
| to deprecated | `reason`, `successor`, `sunset` |
| to retired | `reason`, `consumers`, `downstream`, `pins`, and `sunset` unless forced |
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import custom_entries
from dataproducts.declare.positions import read_yaml
from dataproducts.errors import DeclarationError, suggest
from dataproducts.lifecycle.states import Step, today
from dataproducts.product import NOWHERE, Mark, Status, Tier
from dataproducts.reports.recorded import recorded
from dataproducts.reports.results import worst
from dataproducts.standing import NO_SUCCESSOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date, datetime

    from dataproducts.errors import Fault
    from dataproducts.lifecycle.states import Move
    from dataproducts.product import DataProduct, Table
    from dataproducts.reports.results import Outcome, Results
    from dataproducts.standing import Standing
    from dataproducts.warehouse import Warehouse

GATES: Mapping[Tier | None, tuple[str, ...]] = MappingProxyType(
    {
        None: ("failed",),
        Tier.BRONZE: ("failed",),
        Tier.SILVER: ("failed", "error"),
        Tier.GOLD: ("failed", "error", "warned"),
    }
)
"""What no rule may have done on the release that a tier is promoted with: failed (a rule that blocks), not been judged
(`error`), warned (failed without blocking)."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that a step lacks: which `guard` misses it, `what`, the `fix`, and where, if a file is at fault."""

    guard: str
    what: str
    fix: str
    mark: Mark = NOWHERE

    def __str__(self) -> str:
        """Render as `path:line: what. fix`, or without a place."""
        place = (f"{self.mark}: " if self.mark.line else f"{self.mark.path}: ") if self.mark.path else ""
        return f"{place}{self.what.rstrip('.')}. {self.fix}".rstrip()


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for with a step: by whom, why, and, to deprecate, who takes over and when it ends."""

    actor: str
    now: datetime
    reason: str = ""
    successor: str = ""
    sunset: date | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """What guards look at: the project's products and how each of them stands, beside the ledger and the store.

    `faults` are those of the declaration of the product as the step would leave it.
    """

    warehouse: Warehouse
    products: tuple[DataProduct, ...]
    standings: Mapping[str, Standing]
    faults: tuple[Fault, ...] = ()

    def is_live(self, address: str) -> bool:
        """Whether the product at `address` is not retired."""
        standing = self.standings.get(address)
        return standing is None or not standing.is_retired


def lacks(move: Move, scene: Scene, address: str, product: DataProduct | None, wish: Wish) -> tuple[Lack, ...]:
    """Return everything that `move` lacks; nothing, if it may be made.

    `product` is the declaration as the step would leave it, None for one that only the ledger knows.
    """
    if move.after is Status.RETIRED:
        return tuple(_to_retired(scene, address, product, wish, before=move.before))
    found = [Lack("declaration", f.what, f.fix, Mark(f.path, f.line)) for f in scene.faults]
    if product is None:
        return tuple(found)
    if move.step is Step.REINSTATE and not wish.reason:
        found.append(_no_reason("active again"))
    if move.after is Status.ACTIVE:
        found += _to_active(scene, product, wish)
    if move.after is Status.DEPRECATED:
        found += _to_deprecated(scene, product, wish)
    return tuple(found)


def readers_of(address: str, products: Sequence[DataProduct]) -> tuple[tuple[DataProduct, Mark], ...]:
    """Return the products that name a table of the one at `address` in an input port, with the place of the port."""
    return tuple(
        (product, port.mark)
        for product in products
        for port in product.inputs
        if port.source is not None and port.source.product == address
    )


def _to_active(scene: Scene, product: DataProduct, wish: Wish) -> Iterator[Lack]:
    at = product.mark
    if product.owner is None:
        fix = "Add a member `{username: name@example.com, role: owner}` under `team`."
        yield Lack("owner", f"{product.address} has no accountable owner", fix, at)
    yield from _undescribed(product, {(fault.path, fault.line) for fault in scene.faults})
    # What follows from its rules alone is measured of every product, and was promised by nobody.
    if not any(one.origin == "slo.yaml" or one.origin.startswith("contract.") for one in product.objectives):
        fix = "Add an objective to slo.yaml, or an SLA such as frequency to a contract."
        yield Lack("slo", f"{product.address} promises no service level", fix, at)
    yield from _gates(scene, product)
    readers = [reader for reader, _ in readers_of(product.address, scene.products) if scene.is_live(reader.address)]
    if not product.consumers and not readers and not wish.reason:
        fix = "Name one under the custom property `consumers`, or say with --reason why it goes live without any."
        yield Lack("consumers", f"nobody is known to use {product.address}", fix, at)


def _undescribed(product: DataProduct, told: set[tuple[str, int]]) -> Iterator[Lack]:
    """Published columns without a description that the declaration's own faults have not told of."""
    for table in product.tables:
        if table.name not in product.published:
            continue
        for column in table.columns:
            if not column.description and not any(path == column.mark.path for path, _ in told):
                what = f"column {table.name}.{column.name} has no description"
                yield Lack("columns", what, "Write what a value means, with its unit.", column.mark)


def _gates(scene: Scene, product: DataProduct) -> Iterator[Lack]:
    """The gates of the tier, on the current release: it is there, judged by the contracts of today, and passed."""
    ledger = scene.warehouse.ledger
    address, build = product.address, f"Run `dataproducts build {product.address}`."
    head = ledger.head(address)
    if head is None:
        yield Lack("gates", f"{address} has no release, so no gate has passed", build)
        return
    results = recorded(ledger, scene.warehouse.store, address)
    for table in product.tables:
        if head.contracts.get(table.name) != table.contract_hash:
            why = "judged by another contract than that of today" if table.name in head.items else "not released"
            yield Lack("gates", f"table {table.name!r} of release {head.number} is {why}", build, table.mark)
            continue
        yield from _judged(table, results, product.tier, build)


def _judged(table: Table, results: Results, tier: Tier | None, build: str) -> Iterator[Lack]:
    found: dict[str, list[Outcome]] = {}
    for judged in results.tables:
        for outcome in judged.outcomes if judged.name == table.name else ():
            found.setdefault(outcome.rule, []).append(outcome)
    for rule in table.rules:
        parts = found.get(rule.name)
        if parts is None:
            if rule.blocking:
                what = f"rule {rule.name!r} of table {table.name!r} has no result on the current release"
                yield Lack("gates", what, build, rule.mark)
            continue
        state = worst(parts).state
        if state in GATES[tier] or (rule.blocking and not all(part.passed for part in parts)):
            asks = f", and tier {tier} asks that none does" if state == "warned" else ""
            what = f"rule {rule.name!r} of table {table.name!r} has {state} on the current release{asks}"
            yield Lack("gates", what, "Repair the data, and build again.", rule.mark)


def _to_deprecated(scene: Scene, product: DataProduct, wish: Wish) -> Iterator[Lack]:
    if not wish.reason:
        yield _no_reason("deprecated")
    yield from _successor(scene, product.address, wish)
    if wish.sunset is None:
        yield Lack("sunset", "there is no last day", "Give it with --sunset 2027-01-31.")
    elif wish.sunset <= today(wish.now):
        what = f"the sunset {wish.sunset} is not after today, {today(wish.now)}"
        yield Lack("sunset", what, "Give consumers time to move: name a later day with --sunset.")


def _successor(scene: Scene, address: str, wish: Wish) -> Iterator[Lack]:
    fix = f"Name the product that takes over with --successor DOMAIN/PRODUCT, or `--successor {NO_SUCCESSOR}`"
    known = [p.address for p in scene.products if p.address != address and scene.is_live(p.address)]
    if not wish.successor:
        yield Lack("successor", "nobody takes over", f"{fix} if nothing does.")
    elif wish.successor == address:
        yield Lack("successor", f"{address} cannot take over from itself", f"{fix} if nothing does.")
    elif wish.successor != NO_SUCCESSOR and wish.successor not in known:
        held = scene.standings.get(wish.successor)
        why = "is retired itself" if held and held.is_retired else "is no product of this project"
        alone = f"No other product of it could take over: declare one first, or give `--successor {NO_SUCCESSOR}`."
        hint = suggest(wish.successor, known).strip() if known else alone
        yield Lack("successor", f"the successor {wish.successor!r} {why}", hint)


def _to_retired(
    scene: Scene, address: str, product: DataProduct | None, wish: Wish, *, before: Status
) -> Iterator[Lack]:
    if not wish.reason:
        yield _no_reason("retired")
    standing = scene.standings.get(address)
    sunset = standing.sunset if standing else None
    said = (standing.declared, standing.recorded) if standing else ()
    deprecated = Status.DEPRECATED in (before, *said)  # a file may say `retired` by now
    if deprecated and not wish.forced and (sunset is None or today(wish.now) <= sunset):
        what = f"{address} was promised until {sunset}" if sunset else f"{address} has no sunset that could have passed"
        yield Lack("sunset", what, "Wait until the day after, or --force it with a --reason.")
    yield from _remaining(product) if product else ()
    named: set[str] = set()
    for reader, mark in readers_of(address, scene.products):
        if scene.is_live(reader.address):
            named.add(reader.address)
            what = f"{reader.address} reads {address}"
            yield Lack("downstream", what, "Let its owner read the successor, or retire it first.", mark)
    yield from _pins(scene, address, named)


def _remaining(product: DataProduct) -> Iterator[Lack]:
    """Declared consumers who are not marked gone, each where it is declared."""
    path = product.mark.path
    try:
        document = read_yaml(product.folder / "product.yaml", path)
        found = [
            (entry, document.mark(*place))
            for entry, place in custom_entries(document.data, "consumers")
            if not entry.get("gone")
        ]
    except DeclarationError:
        found = [(dict(entry), product.mark) for entry in product.consumers]
    for entry, mark in found:
        fix = "Ask them to move, then mark them gone: `gone: 2027-01-31`."
        yield Lack("consumers", f"{name_of(entry)} still uses {product.address}", fix, mark)


def name_of(consumer: Mapping[str, Any]) -> str:
    """Return a declared consumer as people call it: `Marketing analyst of Campaigns`."""
    return " of ".join(str(consumer[key]) for key in ("persona", "team") if consumer.get(key))


def _pins(scene: Scene, address: str, named: set[str]) -> Iterator[Lack]:
    """Live releases that were made from the product: of readers that moved on in their files but not in the ledger."""
    ledger = scene.warehouse.ledger
    for other in ledger.products():
        head = ledger.head(other) if other != address and other not in named and scene.is_live(other) else None
        if head is not None and address in head.inputs:
            what = (
                f"release {head.number} of {other}, which is current, was made from {address} #{head.inputs[address]}"
            )
            declared = any(product.address == other for product in scene.products)
            fix = f"Build {other} again." if declared else f"Retire {other} first: no file declares it any more."
            yield Lack("pins", what, fix)


def _no_reason(what: str) -> Lack:
    return Lack("reason", f"nobody says why it is {what}", "Say it with --reason.")
