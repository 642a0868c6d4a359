"""A project whose incidents are told: findings go in, notices come out; for the tests of alerts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dataproducts.alerts import deliver, queue
from dataproducts.directory import Channel, Directory, Person, Route, Team
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.incidents import Change, record
from dataproducts.load import load_project
from dataproducts.operations import Operations, outbox
from dataproducts.product import Severity
from tests.sample_project import write_project

if TYPE_CHECKING:
    from pathlib import Path

    from dataproducts.alerts import Delivered
    from dataproducts.operations.incidents import Incident
    from dataproducts.operations.outbox import Notice

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ORDERS = "shop/orders"
ADA, BEN, PRICING = "ada@shop.example", "ben@shop.example", "pricing@shop.example"


def owned(url: str, **more: Any) -> Directory:
    """Return a directory in which the owner of the sample's products is reached at `url`."""
    return Directory((Person(ADA, (Channel("hook", url),)),), **more)


def crowd(**urls: str) -> Directory:
    """Return a directory of Ada, Ben, their team Tills, and an operator who is told of everything by a route."""
    people = tuple(Person(name, (Channel("hook", urls.get(short, "none:")),)) for name, short in _SHORT.items())
    team = Team("Tills", (ADA, BEN), (Channel("room", urls.get("tills", "none:")),))
    return Directory(people, (team,), (Route(PRICING, "no/such"),))


_SHORT = {ADA: "ada", BEN: "ben", PRICING: "pricing"}


@dataclass
class Scene:
    """The sample project, its operations database and its directory at a moment that the test moves on."""

    operations: Operations
    directory: Directory
    products: dict[str, Any]
    now: datetime = NOON
    options: dict[str, Any] = field(default_factory=dict)

    def wrong(self, name: str = "amount.required", **what: Any) -> tuple[Notice, ...]:
        """Find something wrong with the table of orders, and queue what is to be said of it."""
        kind = what.pop("kind", FindingKind.CHECK)
        severity = what.pop("severity", Severity.ERROR)
        title = what.pop("title", f"{name} fails for 3 rows")
        subject = Subject(ORDERS, kind, name, what.pop("table", "orders"))
        return self._record([Finding(subject, title, severity, self.now - timedelta(hours=1), self.now, what)], [])

    def right(self, name: str = "amount.required", kind: FindingKind = FindingKind.CHECK) -> tuple[Notice, ...]:
        """Find the same right again."""
        return self._record([], [Recovery(Subject(ORDERS, kind, name, "orders"), self.now)])

    def _record(self, findings: list[Finding], recoveries: list[Recovery]) -> tuple[Notice, ...]:
        with self.operations.writing() as con:
            changes = record(con, findings, recoveries, products=self.products, now=self.now)
            return queue(con, changes, directory=self.directory, products=self.products, now=self.now, **self.options)

    def by_hand(self, act: Any, *arguments: Any, what: str = "") -> Incident:
        """Do something by hand to the one incident there is, and queue the change if `what` names one."""
        with self.operations.writing() as con:
            (notice, *_) = outbox.listed(con)
            incident = act(con, notice.incident_id, *arguments, by="ben", now=self.now)
            if what:
                changes = [Change(incident, what)]
                queue(con, changes, directory=self.directory, products=self.products, now=self.now)
            return incident

    def later(self, **span: float) -> None:
        """Move on in time."""
        self.now += timedelta(**span)

    def deliver(self, **options: Any) -> Delivered:
        """Deliver what is due."""
        return deliver(self.operations, self.directory, now=self.now, **options)

    def notices(self) -> list[Notice]:
        """Return every notice, oldest first."""
        with self.operations.reading() as con:
            return [*outbox.listed(con)][::-1]


def scene(folder: Path, directory: Directory, url: str = "") -> Scene:
    """Return the sample project in `folder`, with an operations database of its own unless `url` names one."""
    loaded = load_project(write_project(folder / "project"))
    assert not loaded.faults
    operations = Operations.open(url or f"sqlite:///{folder}/operations.sqlite")
    return Scene(operations, directory, {product.address: product for product in loaded.products})
