"""A step of the lifecycle: what it lacks and changes, and taking it, all or nothing; it must not print.

The record, the announcements and the file belong together: the file is replaced inside the transaction that holds the
others, just before it is committed. A process that dies between the two leaves a file that is ahead of the record; the
same step, asked for again, completes it.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import ConflictError, RefusedError, StoreError
from dataproducts.lifecycle.announce import announcement
from dataproducts.lifecycle.edit import edited, read_text, replace_file
from dataproducts.lifecycle.guards import Lack, Scene, lacks, name_of, readers_of
from dataproducts.lifecycle.states import Step, find_move, standing_of, standings, status_mark
from dataproducts.load import load_project
from dataproducts.operations.transitions import Transition, last_step, record
from dataproducts.policy import Policy, apply
from dataproducts.product import Status
from dataproducts.serving import render
from dataproducts.standing import NO_SUCCESSOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from dataproducts.alerts.announce import Announcement
    from dataproducts.errors import Fault
    from dataproducts.lifecycle.announce import Tell
    from dataproducts.lifecycle.guards import Wish
    from dataproducts.lifecycle.states import Move
    from dataproducts.operations import Operations
    from dataproducts.product import DataProduct
    from dataproducts.standing import Standing
    from dataproducts.warehouse import Warehouse


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that a step changes: `of` is file, record, schedule, port, downstream or consumer."""

    of: str
    what: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A file as it is and as it shall be."""

    path: Path
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Planned:
    """A step that was looked at: what it lacks, and what it would change; `standing` is that of before it."""

    move: Move
    standing: Standing
    product: DataProduct | None
    lacks: tuple[Lack, ...]
    effects: tuple[Effect, ...]
    transition: Transition
    edit: Edit | None = None
    announcement: Announcement | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken: how many notices it queued, and why the serving file is stale, if it is."""

    planned: Planned
    told: int = 0
    serving_error: str = ""


def plan_step(
    step: Step,
    address: str,
    *,
    warehouse: Warehouse,
    products: Sequence[DataProduct],
    wish: Wish,
    policies: Sequence[Policy] = (),
) -> Planned:
    """Return what `step` of the product at `address` lacks and would change; nothing is changed.

    `products` are all of the project; one that is not among them is known to the ledger alone. `policies` judge what
    the file would declare.
    Raises: RefusedError, if its status has no such step; DeclarationError, if its file cannot be edited; StoreError.
    """
    product = next((p for p in products if p.address == address), None)
    every = standings(warehouse.environment, products)
    standing = every.get(address) or standing_of(warehouse.environment, product or address)
    move = find_move(step, standing)
    settled = move.is_recorded and standing.declared in (move.after, None)
    if settled and step is not Step.RETIRE:
        raise RefusedError(f"{address} is {move.after} already.")
    edit = _edit(product, move, standing, wish)
    shown, faults = _declared_after(warehouse, product, edit, policies)
    scene = Scene(warehouse, tuple(products), every, faults)
    missing = () if settled else (*_strays(standing, move, product), *lacks(move, scene, address, shown, wish))
    if move.is_recorded:  # only the file is behind: it was guarded then, and must be valid now
        missing = tuple(lack for lack in missing if lack.guard == "declaration")
    transition = _transition(move, standing, shown, wish, release=_head_number(warehouse, address))
    readers = [reader for reader, _ in readers_of(address, products) if scene.is_live(reader.address)]
    after = _stands_after(standing, move, transition, wish)
    told = None if move.is_recorded else announcement(move, after, transition)
    effects = tuple(_effects(move, product, edit, after=after, readers=readers, told=told is not None))
    return Planned(move, standing, product, missing, effects, transition, edit, told)


def take(planned: Planned, operations: Operations, *, warehouse: Warehouse, tell: Tell) -> Taken:
    """Take a step that lacks nothing: record it, tell who has to know, edit the file, and show it at the ports.

    Raises:
        RefusedError: it lacks something.
        ConflictError: the file or the record changed since it was looked at; nothing was changed.
        StoreError: one of the two cannot be written; nothing was changed.
    """
    address, move = planned.standing.product, planned.move
    if planned.lacks:
        raise RefusedError("\n".join(str(lack) for lack in planned.lacks))
    told = 0
    with _no_release(warehouse, move), operations.writing() as con:
        last = last_step(con, address)
        if (last.to_status if last else None) != planned.standing.recorded:
            raise ConflictError(f"{address}: somebody else made a step meanwhile. Look again, then decide")
        if not move.is_recorded:
            record(con, planned.transition)
            told = tell(con, planned.announcement) if planned.announcement else 0
        if planned.edit is not None:
            if read_text(planned.edit.path) != planned.edit.before:
                raise ConflictError(f"{planned.edit.path}: the file changed meanwhile. Look again, then decide")
            replace_file(planned.edit.path, planned.edit.after)
    return Taken(planned, told, show_at_ports(warehouse, address, planned.product))


def _no_release(warehouse: Warehouse, move: Move) -> AbstractContextManager[object]:
    """Keep releases from being committed while a retirement is: each comes before it, or is refused."""
    where = warehouse.environment
    is_one_file = where.ledger == where.operations and where.ledger.startswith("sqlite")  # has one writer anyway
    return nullcontext() if move.after is not Status.RETIRED or is_one_file else warehouse.ledger.writing()


def show_at_ports(warehouse: Warehouse, address: str, product: DataProduct | None) -> str:
    """Render the serving file of a product as it stands now, and return why that failed; empty if it did not.

    A product without a release has none. The step is recorded by then: `dataproducts verify --repair` repeats this.
    """
    head = warehouse.ledger.head(address)
    if head is None:
        return ""
    published = product.published if product else frozenset(head.items)
    try:
        render(
            warehouse.ledger,
            warehouse.store,
            address,
            published,
            standing=lambda: standing_of(warehouse.environment, product or address),
        )
    except (StoreError, OSError, duckdb.Error) as error:
        return str(error)
    return ""


def _edit(product: DataProduct | None, move: Move, standing: Standing, wish: Wish) -> Edit | None:
    """What becomes of product.yaml; None if it says what it shall, or is not there."""
    if product is None:
        return None
    path = product.folder / "product.yaml"
    before = read_text(path)
    custom: dict[str, str | None] = {}
    if move.after is Status.DEPRECATED:
        sunset, successor = (standing.sunset, standing.successor) if move.is_recorded else (wish.sunset, wish.successor)
        given = {"sunsetDate": sunset.isoformat() if sunset else "", "successor": successor}
        custom = {name: value for name, value in given.items() if value}
    elif move.step is Step.REINSTATE:
        custom = {"sunsetDate": None, "successor": None}
    values = {} if product.status is move.after else {"status": str(move.after)}
    after = edited(before, product.mark.path, values=values, custom=custom)
    return None if after == before else Edit(path, before, after)


def _declared_after(
    warehouse: Warehouse, product: DataProduct | None, edit: Edit | None, policies: Sequence[Policy]
) -> tuple[DataProduct | None, tuple[Fault, ...]]:
    """The product as its file would declare it, with every fault of its folder, as the standards and policies judge."""
    if product is None:
        return None, ()
    folder = product.mark.path.rpartition("/")[0]
    if not folder.startswith("assets/"):  # a component of a dg project: its one product was judged when it was loaded
        return replace(product), ()
    texts = {edit.path: edit.after} if edit else {}
    loaded = load_project(warehouse.environment.root, domain=product.folder.parent.name, texts=texts)
    shown = next((p for p in loaded.products if p.address == product.address), product)
    faults = [fault for fault in loaded.faults if fault.path.startswith(f"{folder}/")]
    return shown, tuple(sorted({*faults, *apply(policies, [shown])}))


def _strays(standing: Standing, move: Move, product: DataProduct | None) -> Iterator[Lack]:
    """A file that says neither what is recorded nor what the step leads to."""
    if product is not None and not move.is_recorded and standing.declared not in (move.before, move.after):
        what = f"the file says {standing.declared}, and {standing.recorded or 'nothing'} is recorded"
        yield Lack("declaration", what, f"Write `status: {move.before}` first.", status_mark(product))


def _head_number(warehouse: Warehouse, address: str) -> int | None:
    head = warehouse.ledger.head(address)
    return head.number if head else None


def _transition(
    move: Move, standing: Standing, product: DataProduct | None, wish: Wish, *, release: int | None
) -> Transition:
    detail: dict[str, object] = {"release": release}
    if move.after is Status.DEPRECATED:
        detail |= {"successor": wish.successor, "sunset": wish.sunset.isoformat() if wish.sunset else None}
    if move.after is Status.RETIRED:
        detail |= {
            "successor": wish.successor or standing.successor,
            "sunset": standing.sunset.isoformat() if standing.sunset else None,
            "forced": wish.forced,
        }
    return Transition(
        product=standing.product,
        version=product.version if product else "",
        kind=str(move.step),
        from_status=str(move.before),
        to_status=str(move.after),
        at=wish.now,
        actor=wish.actor,
        reason=wish.reason,
        detail=detail,
    )


def _stands_after(standing: Standing, move: Move, transition: Transition, wish: Wish) -> Standing:
    return replace(
        standing,
        status=move.after,
        declared=move.after,
        recorded=move.after,
        since=transition.at,
        actor=wish.actor,
        reason=wish.reason,
        successor=str(transition.detail.get("successor") or standing.successor),
        sunset=wish.sunset or standing.sunset,
        drift="",
    )


def _effects(
    move: Move,
    product: DataProduct | None,
    edit: Edit | None,
    *,
    after: Standing,
    readers: Sequence[DataProduct],
    told: bool,
) -> Iterator[Effect]:
    if edit is not None and product is not None:
        yield Effect("file", f"{status_mark(product)}: status {product.status} becomes {move.after}")
    if not move.is_recorded:
        yield Effect("record", f"{move.step} from {move.before} to {move.after}")
    if product is not None and product.schedule is not None:
        yield Effect("schedule", f"{product.schedule.cron} {product.schedule.timezone} {_SCHEDULES[move.after]}")
    named = after.successor not in {"", NO_SUCCESSOR} and move.after is Status.RETIRED
    instead = f", and to read {after.successor} instead" if named else ""
    for port in product.outputs if product else ():
        if move.after in _PORTS:
            yield Effect("port", f"{port.name} {_PORTS[move.after]}{instead}")
    for reader in readers:
        if move.after in _PORTS:
            yield Effect("downstream", f"{reader.address} {_READERS[move.after]}")
    for entry in product.consumers if product and told else ():
        contact = f" ({entry['contact']})" if entry.get("contact") else ""
        yield Effect("consumer", f"{name_of(entry)}{contact} is told")
    for reader in readers if told else ():
        yield Effect(
            "consumer", f"{reader.owner.username if reader.owner else 'the owner'} of {reader.address} is told"
        )


_SCHEDULES = {
    Status.PROPOSED: "does not run",
    Status.DRAFT: "does not run in production",
    Status.ACTIVE: "runs",
    Status.DEPRECATED: "goes on until the product is retired",
    Status.RETIRED: "stops, and builds are refused",
}
_PORTS = {
    Status.ACTIVE: "answers without a warning",
    Status.DEPRECATED: "answers with a warning",
    Status.RETIRED: "closes: every query gets an error that says why",
}
_READERS = {
    Status.ACTIVE: "reads it as before",
    Status.DEPRECATED: "is warned when it is planned or built",
    Status.RETIRED: "can no longer be built",
}
