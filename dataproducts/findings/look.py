"""What looking at one product needs, what it found so far, and how far it read; it must not know what to look for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from dataproducts.finding import Finding, Recovery, Subject
from dataproducts.ledger import news
from dataproducts.ledger.rows import head_number

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct, Table
    from dataproducts.release import Refresh

PATIENCE = timedelta(hours=2)
"""How long a refresh may go on before it counts as killed, where nobody can tell whether its run is alive."""


class RunState(StrEnum):
    """What became of the run of a refresh."""

    GOING = "going"
    DONE = "done"  # it ended well; if nothing was released, it was not asked to
    DEAD = "dead"
    UNKNOWN = "unknown"


StateOfRun = Callable[["Refresh"], RunState]
"""Tells what became of the run of a refresh."""


def unknown(_refresh: Refresh) -> RunState:
    """Return that nobody knows: there is no orchestrator to ask."""
    return RunState.UNKNOWN


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the ledger was read about one product.

    `began` is when the newest refresh seen began; `seen` are those that began about then, `open` those that may still
    come to a release or to nothing.
    """

    result: int
    release: int = 0
    began: str = ""
    seen: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Mark | None:
        """Return the mark that `text` holds; None if that is empty."""
        if not text:
            return None
        data = json.loads(text)
        return cls(data["result"], data["release"], data["began"], tuple(data["seen"]), tuple(data["open"]))

    @property
    def text(self) -> str:
        """It as text, for the bookmark."""
        names = ("result", "release", "began", "seen", "open")
        return json.dumps({name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class Notes:
    """What was found so far, and what is open by it: an incident, or a finding of this very look."""

    findings: list[Finding]
    recoveries: list[Recovery]
    open: dict[str, Incident | Finding]
    righted: dict[str, datetime] = field(default_factory=dict)

    # The ledger's order counts, not the clocks of several hosts: what came later is dated no earlier.

    def wrong(self, finding: Finding) -> None:
        """Note `finding`, unless it is a sighting that what is open was told of."""
        key = finding.subject.fingerprint
        before = self.open.get(key)
        if before is not None and finding.detail.get("sighting") in before.detail.get("sightings", ()):
            return  # a refresh that was told of, and may still be tried again
        told = replace(finding, seen_at=max(finding.seen_at, self.righted.get(key, finding.seen_at)))
        self.findings.append(told)
        self.open[key] = told

    def right(self, subject: Subject, at: datetime, detail: Mapping[str, Any]) -> None:
        """Note that `subject` is right again; nothing is noted of what is not open."""
        key = subject.fingerprint
        before = self.open.pop(key, None)
        if before is not None:
            self.righted[key] = max(at, before.seen_at or at)
            self.recoveries.append(Recovery(subject, self.righted[key], detail))


@dataclass(frozen=True, slots=True)
class Look:
    """What looking at one product needs."""

    con: Connection
    product: DataProduct
    now: datetime
    notes: Notes
    run_state: StateOfRun
    patience: timedelta

    def past(self, moment: datetime) -> datetime:
        """Return `moment`, or now where records are ahead of the clock."""
        return min(moment, self.now)

    def is_newer(self, tables: Iterable[Table]) -> bool:
        """Return whether nothing was built yet by the contract of one of `tables`: no files are newer than these."""
        known = news.contracts(self.con, self.product.address)
        return any((table.name, table.contract_hash) not in known for table in tables)

    def came(self, refresh_id: str, run_id: str) -> dict[str, Any]:
        """Return which refresh a finding is of, and what readers have meanwhile."""
        head = head_number(self.con, self.product.address)
        return {"refresh_id": refresh_id, "run_id": run_id, "release": head}
