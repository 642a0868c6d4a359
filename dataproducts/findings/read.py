"""A look at the ledger: what it recorded of products since the last one; it must not know incidents' lives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dataproducts.findings.look import PATIENCE, Mark, Notes, StateOfRun, unknown
from dataproducts.findings.refreshes import Refreshes
from dataproducts.findings.rules import Rules
from dataproducts.findings.undeclared import Undeclared
from dataproducts.ledger import news
from dataproducts.ledger.rows import head_number
from dataproducts.operations import bookmark, move_bookmark
from dataproducts.operations.incidents import open_about

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from sqlalchemy import Connection

    from dataproducts.finding import Finding, Recovery
    from dataproducts.ledger import Ledger
    from dataproducts.product import DataProduct


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the ledger brought to light, in the order in which the ledger has it."""

    findings: tuple[Finding, ...]
    recoveries: tuple[Recovery, ...]


def read_findings(
    ledger: Ledger,
    con: Connection,
    products: Mapping[str, DataProduct],
    *,
    now: datetime,
    run_state: StateOfRun = unknown,
    patience: timedelta = PATIENCE,
) -> Found:
    """Return what the ledger recorded about `products` since the last look, and move the bookmarks of `con`.

    Whoever records what is returned does so in the same transaction of the operations database: either both are
    committed, or the next look finds the same again. A first look at a product tells how things stand, not how they
    came to be so; so does a look at a ledger that was taken back to an earlier state.
    Raises: StoreError, if either database cannot be read.
    """
    found = Notes([], [], dict(open_about(con, products)))
    with ledger.reading() as there:
        last = news.last_result(there)
        marks = {address: _mark(there, bookmark(con, _name(address)), address, last) for address in products}
        starts = [mark.result for mark in marks.values() if mark is not None]
        rows = news.judged_after(there, min(starts)) if starts and min(starts) < last else []
        for address, product in products.items():
            mark, look = marks[address], (there, product, now, found, run_state, patience)
            rules = Rules(*look)
            if mark is None:
                rules.standing()
            else:
                rules.judged([row for row in rows if row.product == address and row.id > mark.result], mark.result)
            Undeclared(*look).note()
            after = replace(Refreshes(*look).read(mark), result=last)
            if after != mark:
                move_bookmark(con, _name(address), after.text, now=now)
    return Found(tuple(found.findings), tuple(found.recoveries))


def _mark(there: Connection, text: str, address: str, last: int) -> Mark | None:
    """Return how far the product was read; None if it never was, or beyond what the ledger holds by now."""
    mark = Mark.of(text)
    if mark is None or mark.result > last or mark.release > (head_number(there, address) or 0):
        return None
    return mark


def _name(address: str) -> str:
    return f"findings {address}"
