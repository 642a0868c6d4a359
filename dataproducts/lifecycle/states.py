"""The states of a product and the steps between them, and which state counts; it must not guard or take a step.

Two witnesses: the file declares a status, which is reviewed with git, and the operations database records the steps
that were made in its environment. The more careful of the two counts.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import custom, day
from dataproducts.errors import RefusedError
from dataproducts.product import Status
from dataproducts.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from sqlalchemy import Connection

    from dataproducts.environment import Environment
    from dataproducts.operations.transitions import Transition
    from dataproducts.product import DataProduct, Mark


class Step(StrEnum):
    """What can be done to the status of a product."""

    PROMOTE = "promote"
    DEPRECATE = "deprecate"
    RETIRE = "retire"
    REINSTATE = "reinstate"


MOVES: Mapping[tuple[Status, Step], Status] = MappingProxyType(
    {
        (Status.PROPOSED, Step.PROMOTE): Status.DRAFT,
        (Status.DRAFT, Step.PROMOTE): Status.ACTIVE,
        (Status.ACTIVE, Step.DEPRECATE): Status.DEPRECATED,
        (Status.DEPRECATED, Step.REINSTATE): Status.ACTIVE,
        (Status.DEPRECATED, Step.RETIRE): Status.RETIRED,
        # Nobody was promised anything yet: it is withdrawn.
        (Status.PROPOSED, Step.RETIRE): Status.RETIRED,
        (Status.DRAFT, Step.RETIRE): Status.RETIRED,
    }
)
"""Every step that there is. `retired` has none: its address never answers again; a new major version has its own."""

_PROMOTED = frozenset({Status.ACTIVE, Status.DEPRECATED})


@dataclass(frozen=True, slots=True)
class Move:
    """A step from one status to another; `is_recorded` if it was before, and only its traces are to be completed."""

    step: Step
    before: Status
    after: Status
    is_recorded: bool = False


def find_move(step: Step, standing: Standing) -> Move:
    """Return where `step` leads from `standing`.

    A file that says already what the step leads to is no obstacle: somebody had its change reviewed first, or the
    process died between the two. That holds for a file that counts: in production, what was never promoted there is a
    draft, whatever its file says. Raises: RefusedError, if the status has no such step, naming those that it has.
    """
    at = standing.recorded or standing.status
    sources = [before for (before, other), after in MOVES.items() if other is step and after is at]
    if standing.recorded is None and (at, step) not in MOVES and sources and step is not Step.REINSTATE:
        at = sources[-1] if step is Step.PROMOTE else sources[0]
    if (at, step) in MOVES:
        return Move(step, at, MOVES[at, step])
    repeated = [before for (before, other), after in MOVES.items() if other is step and after is standing.recorded]
    if repeated:
        before = standing.declared if standing.declared in repeated else repeated[0]
        return Move(step, before, at, is_recorded=True)
    known = [f"{other}" for (before, other) in MOVES if before is at]
    fix = (
        f"From {at} one can {' or '.join(known)} it"
        if known
        else "That is final: give a new major version its own address"
    )
    raise RefusedError(f"{standing.product} is {at}, so it cannot be {_done(step)}. {fix}.")


def _done(step: Step) -> str:
    return step + ("d" if step.endswith("e") else "ed")


def counts(declared: Status | None, recorded: Status | None, *, production: bool) -> Status:
    """Return the status that counts: the more careful of the file's and the record's.

    In production nothing is active that was not promoted there, nor deprecated, since both are scheduled; elsewhere a
    file is enough.
    """
    if Status.RETIRED in (declared, recorded):
        return Status.RETIRED
    if recorded is Status.DEPRECATED:
        return Status.DEPRECATED
    unasked = production and declared in _PROMOTED and recorded not in _PROMOTED
    return recorded or Status.DRAFT if declared is None or unasked else declared


def standing_of(environment: Environment, product: DataProduct | str) -> Standing:
    """Return how `product`, or the product at that address, stands in `environment`.

    Raises: StoreError, if the operations database cannot be read.
    """
    address = product if isinstance(product, str) else product.address
    declared = None if isinstance(product, str) else product
    return stand(address, declared, _last_of(environment, address), production=environment.is_production)


def standings(environment: Environment, products: Iterable[DataProduct]) -> dict[str, Standing]:
    """Return how each of `products` stands, and each product of which a step was recorded, by address."""
    steps = _every_last(environment)
    known = {product.address: product for product in products}
    return {
        address: stand(address, known.get(address), steps.get(address), production=environment.is_production)
        for address in (*known, *(other for other in steps if other not in known))
    }


def _last_of(environment: Environment, address: str) -> Transition | None:
    with reading_operations(environment) as con:
        if con is None:
            return None
        from dataproducts.operations.transitions import last_step  # noqa: PLC0415 - loads SQLAlchemy

        return last_step(con, address)


def _every_last(environment: Environment) -> dict[str, Transition]:
    with reading_operations(environment) as con:
        if con is None:
            return {}
        from dataproducts.operations.transitions import last_steps  # noqa: PLC0415 - loads SQLAlchemy

        return last_steps(con)


def stand(address: str, product: DataProduct | None, last: Transition | None, *, production: bool) -> Standing:
    """Return how a product stands, from what its file declares and from the `last` step that was recorded."""
    declared, recorded = (product.status if product else None), (Status(last.to_status) if last else None)
    said: Mapping[str, Any] = last.detail if last else {}
    ours = custom(dict(product.raw)) if product else {}
    written = ours.get("successor")
    return Standing(
        product=address,
        status=counts(declared, recorded, production=production),
        declared=declared,
        recorded=recorded,
        since=last.at if last else None,
        actor=last.actor if last else "",
        reason=last.reason if last else "",
        successor=str(said.get("successor") or (written if isinstance(written, str) else "")),
        sunset=day(said.get("sunset")) or (product.sunset if product else None),
        drift=_drift(product, recorded, production=production) if product else "",
    )


def status_mark(product: DataProduct) -> Mark:
    """Return where the product's file says its status; the file itself, if it cannot be read."""
    from dataproducts.declare.positions import read_yaml  # noqa: PLC0415 - for messages alone
    from dataproducts.errors import DeclarationError  # noqa: PLC0415 - as above

    try:
        return read_yaml(product.folder / "product.yaml", product.mark.path).mark("status")
    except DeclarationError:
        return product.mark


def _drift(product: DataProduct, recorded: Status | None, *, production: bool) -> str:
    """What to do about a file that says something else than was recorded; empty if there is nothing to do."""
    address, declared = product.address, product.status
    unrecorded = recorded is None and production and declared not in {Status.PROPOSED, Status.DRAFT}
    if declared is recorded or (recorded is None and not unrecorded):
        return ""
    said = f"{status_mark(product)}: {address} is declared {declared}"
    if recorded is Status.RETIRED:
        return f"{said} and was retired, which is final. Write `status: retired`"
    unasked = production and declared is Status.DEPRECATED and recorded is not Status.ACTIVE
    if unasked or (declared is Status.ACTIVE and recorded is not Status.DEPRECATED):
        counted = f"{recorded} is recorded" if recorded else "no promotion is recorded"
        how = "Write `status: active` and run" if unasked else "Run"
        return f"{said}, and {counted}, so it is not scheduled. {how} `dataproducts lifecycle {address} promote`"
    step = next((step for (before, step), after in MOVES.items() if after is declared and before is recorded), None)
    step = step or next((step for (_, step), after in MOVES.items() if after is declared and recorded is None), None)
    was = f"{recorded} is recorded" if recorded else "nothing is recorded"
    advice = f"Run `dataproducts lifecycle {address} {step}`, or write" if step else "Write"
    return f"{said}, and {was}. {advice} `status: {recorded or Status.DRAFT}`"


@contextmanager
def reading_operations(environment: Environment) -> Iterator[Connection | None]:
    """Open what was recorded for reading; None where there is no database yet, and none is made for the question.

    Raises: StoreError, if it cannot be read.
    """
    if _is_absent(environment.operations):
        yield None
        return
    from dataproducts.operations import Operations  # noqa: PLC0415 - SQLAlchemy takes 0.15 s

    with Operations.open(environment.operations) as operations, operations.reading() as con:
        yield con


def _is_absent(url: str) -> bool:
    path = url.removeprefix("sqlite:///")
    return path != url and not Path(path).exists()


def today(now: datetime) -> date:
    """Return the day of `now` in UTC, on which sunsets and reviews count."""
    return (now.astimezone(UTC) if now.tzinfo else now).date()
