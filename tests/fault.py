"""Those who attack promise 2, a process each: writers, readers, an operator, a vandal, and a wrong publisher.

`python -m tests.fault` is the nursery: it loads the library once, starts whom it is told to on its standard input, and
ends them, so that a writer can be killed and replaced within milliseconds.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import textwrap
import time
import traceback
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import sqlalchemy as sa

from dataproducts.database import writing
from dataproducts.environment import Environment
from dataproducts.errors import ConflictError, DataProductError, RefusedError
from dataproducts.ledger import schema
from dataproducts.load import load_product
from dataproducts.refresh import refresh_product, serve
from dataproducts.releases import rollback, verify
from dataproducts.retention import gc
from dataproducts.warehouse import Warehouse

ROWS = 60_000
PRODUCT = "lab/pair"
FILES = {
    "product.yaml": """
        apiVersion: v1.1.0
        kind: DataProduct
        id: lab-pair
        name: pair
        version: 1.0.0
        status: draft
        domain: lab
        type: sourceAligned
        description: {purpose: Two tables that must always show the same batch.}
        team: {name: lab, members: [{username: lab@example.com, role: owner}]}
        outputPorts:
          - {name: left, version: 1.0.0, contractId: lab.pair.lefts}
          - {name: right, version: 1.0.0, contractId: lab.pair.rights}
    """,
    "contracts/lefts.odcs.yaml": """
        apiVersion: v3.1.0
        kind: DataContract
        id: lab.pair.lefts
        version: 1.0.0
        status: draft
        servers: [{server: left_in, type: local, path: left.parquet, format: parquet}]
        schema:
          - name: lefts
            properties:
              - {name: id, logicalType: integer, required: true, unique: true, primaryKey: true}
              - {name: batch, logicalType: integer, required: true}
              - {name: value, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
    """,
    "contracts/rights.odcs.yaml": """
        apiVersion: v3.1.0
        kind: DataContract
        id: lab.pair.rights
        version: 1.0.0
        status: draft
        servers: [{server: right_in, type: local, path: right.parquet, format: parquet}]
        schema:
          - name: rights
            properties:
              - {name: id, logicalType: integer, required: true, relationships: [{to: lefts.id}]}
              - {name: batch, logicalType: integer, required: true}
              - {name: value, logicalType: integer, required: true, logicalTypeOptions: {minimum: 0}}
    """,
    "transforms/lefts.sql": "SELECT id, batch, value FROM left_in",
    "transforms/rights.sql": "SELECT id, batch, value FROM right_in",
}


def make_project(root: Path) -> Path:
    """Write the project under `root` and return its product's folder."""
    folder = root / "assets/lab/pair"
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Arena:
    """Where an attack takes place: the project, the store on a small disk, and logs that are not on it.

    With `limited`, there is no small disk: writers limit the size of their own files now and then.
    """

    root: Path
    store: Path
    limited: bool = False

    def warehouse(self, **changes: object) -> Warehouse:
        """Open ledger and store with one thread."""
        settings = {"name": "fault", "root": self.root, "store": self.store, "threads": 1} | changes
        return Warehouse.open(Environment(**settings))  # type: ignore[arg-type]

    def note(self, log: str, **facts: object) -> None:
        """Append one line to a log, whole or not at all: others write to it too and may be killed."""
        path = self.root / f"{log}.log"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(handle, (json.dumps(facts) + "\n").encode())
        finally:
            os.close(handle)

    def notes(self, log: str) -> list[dict[str, object]]:
        """Return the lines of a log."""
        path = self.root / f"{log}.log"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def write_sources(folder: Path, batch: int, fault: str) -> dict[str, dict[str, str]]:
    """Write both sources of `batch` with one `fault`, or none if it is empty; return where they lie, by server."""
    folder.mkdir(parents=True, exist_ok=True)
    odd = "i % 997 = 5"
    found = {}
    for side in ("left", "right"):
        broken = fault.removeprefix(f"{side} ")
        number = {"orphan": f"i + {ROWS}", "twice": "i - 1", "null": "NULL"}.get(broken, "i")
        value = "-1" if broken == "negative" else "1"
        rows = ROWS // 2 if broken == "half" else ROWS
        path = folder / f"{side}.parquet"
        duckdb.execute(
            f"COPY (SELECT CASE WHEN {odd} THEN {number} ELSE i END AS id, {batch}::BIGINT AS batch, "
            f"CASE WHEN {odd} THEN {value} ELSE 1 END::BIGINT AS value FROM range({rows}) t(i)) TO '{path}'"
        )
        found[f"{side}_in"] = {"path": str(path)}
    return found


FAULTS = ("left negative", "left twice", "left null", "right negative", "right orphan", "right null")


def write(arena: Arena, rng: random.Random) -> None:
    """Refresh the product over and over: a third of the batches is bad, some refreshes have hardly any memory."""
    product = load_product(arena.root / "assets/lab/pair", root=arena.root)
    inputs = arena.root / f"in-{os.getpid()}"
    duckdb.execute("SET threads = 1")
    while _alive():
        batch = time.time_ns()
        fault = rng.choice(FAULTS) if rng.random() < 1 / 3 else ""
        sources = write_sources(inputs, batch, fault)
        memory = rng.choice(("1MB", "3MB", "5MB")) if rng.random() < 0.15 else ""
        arena.note("batches", batch=batch, fault=fault)
        if arena.limited:
            size = rng.randrange(20_000, 400_000) if rng.random() < 0.3 else resource.RLIM_INFINITY
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            with arena.warehouse(sources=sources, memory_limit=memory) as warehouse:
                refresh_product(warehouse, product, refresh_id=str(batch))
            outcome, message = "released", ""
        except DataProductError as error:
            outcome, message = _outcome(error), f"{type(error).__name__}: {error}"
        if arena.limited:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        arena.note("writes", outcome=outcome, batch=batch, fault=fault, message=message[:500])
        time.sleep(0.1 if outcome == "disk full" else 0)


def _outcome(error: DataProductError) -> str:
    text = str(error).lower()
    if isinstance(error, ConflictError):
        return "conflict"
    if any(sign in text for sign in ("no space left", "is full", "disk i/o error", "file too large", "too big")):
        return "disk full"
    if "out of memory" in text or "memory limit" in text or "allocate" in text:
        return "out of memory"
    return "refused" if isinstance(error, RefusedError) else f"failed with {type(error).__name__}"


def read(arena: Arena, _rng: random.Random) -> None:
    """Look at the published release by the ledger and by the serving file, and write down whatever is wrong."""
    ways = {"ledger": _read_ledger, "serving file": _read_serving}
    seen, reads, told = dict.fromkeys(ways, 0), 0, time.monotonic()
    con = duckdb.connect(config={"threads": 1})
    while _alive():
        problems: list[str] = []
        for way, look in ways.items():
            try:
                number, wrong = look(arena, con)
            except (DataProductError, duckdb.Error, OSError, AssertionError) as error:
                number, wrong = seen[way], [f"reader error: {type(error).__name__}: {error}"]
            if number < seen[way]:
                wrong.append(f"head went back: {seen[way]} to {number}")
            seen[way] = number
            problems += [f"{way}: {problem}" for problem in wrong]
            reads += bool(number)
        if problems or time.monotonic() - told > 0.5:
            told = time.monotonic()
            arena.note("reads", reads=reads, problems=problems)
            reads = 0


def _read_ledger(arena: Arena, con: duckdb.DuckDBPyConnection) -> tuple[int, list[str]]:
    with arena.warehouse() as warehouse:
        head = warehouse.ledger.head(PRODUCT)
        if head is None:
            return 0, []
        held = warehouse.ledger.composition(head)
        relations = [warehouse.store.version_relation(held[table]) for table in ("lefts", "rights")]
    batches = {version.refresh_id for versions in held.values() for version in versions}
    return head.number, look(con, *relations, batches=batches)


def _read_serving(arena: Arena, _con: duckdb.DuckDBPyConnection) -> tuple[int, list[str]]:
    path = arena.store / "serve/lab.pair.duckdb"
    if not path.exists():
        return 0, []
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as con:
        row = con.execute("SELECT release FROM meta.release WHERE is_head").fetchone()
        assert row is not None, "the serving file has no head"
        return row[0], look(con, "published.lefts", "published.rights")


def look(con: duckdb.DuckDBPyConnection, lefts: str, rights: str, *, batches: set[str] | None = None) -> list[str]:
    """Return what no reader may ever see: bad rows, half a table, two batches beside each other, or a wrong one."""
    facts = "[count(*), count(DISTINCT id), min(id), max(id), min(value), min(batch), max(batch)]"
    row = con.execute(f"SELECT (SELECT {facts} FROM {lefts}), (SELECT {facts} FROM {rights})").fetchone()
    assert row is not None
    wrong = []
    for side, (count, distinct, low, high, value, *_) in zip(("lefts", "rights"), row, strict=True):
        if count != ROWS:
            wrong.append(f"half a table: {side} has {count} rows")
        elif (distinct, low, high, value) != (ROWS, 0, ROWS - 1, 1):
            wrong.append(f"bad rows: {side} has {distinct} ids from {low} to {high} and values from {value}")
    seen = {str(batch) for found in row for batch in found[5:]}
    if len(seen) > 1 or (batches is not None and seen != batches):
        wrong.append(f"two batches: the files hold {sorted(seen)}, the release {sorted(batches or ())}")
    return wrong


def operate(arena: Arena, rng: random.Random) -> None:
    """Collect garbage, verify and go back to an earlier release, as an operator would who is in a hurry."""
    product = load_product(arena.root / "assets/lab/pair", root=arena.root)
    while _alive():
        time.sleep(rng.uniform(0.2, 1.0))
        done: dict[str, object] = {"problems": []}
        try:
            with arena.warehouse() as warehouse:
                _tidy(warehouse, done)
                kept = sorted(warehouse.ledger.retained(PRODUCT))[:-1]
                if kept and rng.random() < 0.2:
                    rollback(warehouse.ledger, warehouse.store, PRODUCT, rng.choice(kept), run_id="operator")
                    serve(warehouse, product)
                    done["rollbacks"] = 1
        except DataProductError as error:
            done["error"] = f"{type(error).__name__}: {error}"[:500]
        arena.note("operations", **done)


def _tidy(warehouse: Warehouse, done: dict[str, object]) -> None:
    """Collect what refreshes of more than eight seconds ago left, and verify what remains."""
    ledger, store = warehouse.ledger, warehouse.store
    attempts = timedelta(seconds=8)
    found = gc(ledger, store, now=datetime.now(UTC), keep_releases=3, keep_days=0, attempts=attempts)
    done["files"] = found.files + found.stray_files
    if ledger.products():
        # The file of a writer that was killed after its release is behind, and what it left is a stray.
        wrong = [f"verify: {f}" for f in verify(ledger, store) if f.kind not in {"serve", "stray"}]
        done["problems"] = wrong


def vandalise(arena: Arena, rng: random.Random) -> None:
    """Fill the disk now and then, for a moment: to the last byte, or so that a refresh gets stuck half-way."""
    junk = arena.store.parent / "junk"
    while _alive():
        time.sleep(rng.uniform(0.5, 2.0))
        try:
            with junk.open("wb", buffering=0) as out:
                while True:
                    out.write(b"\0" * 1_000_000)
        except OSError:
            spared = rng.choice((0, rng.randrange(700_000)))
            os.truncate(junk, max(junk.stat().st_size - spared, 0))
            arena.note("fillings", spared=spared)
            time.sleep(rng.uniform(0.1, 0.8))
        junk.unlink(missing_ok=True)


def publish_wrongly(arena: Arena, rng: random.Random) -> None:
    """Do what the library never does: write over published files, table by table, unchecked, and move heads back."""
    warehouse = arena.warehouse()
    product = load_product(arena.root / "assets/lab/pair", root=arena.root)
    for _ in range(2):
        batch = time.time_ns()
        sources = write_sources(arena.root / "in-wrong", batch, "")
        refresh_product(arena.warehouse(sources=sources), product, refresh_id=str(batch))
    head = warehouse.ledger.head(PRODUCT)
    assert head is not None
    held = warehouse.ledger.composition(head)
    while _alive():
        write_sources(arena.root / "in-wrong", time.time_ns(), rng.choice(("left half", *FAULTS)))
        for table, source in (("lefts", "left"), ("rights", "right")):
            content = (arena.root / f"in-wrong/{source}.parquet").read_bytes()
            with warehouse.store.path(held[table][0].files[0]).open("wb") as out:
                out.write(content[: len(content) // 2])
                out.flush()
                time.sleep(0.05)
                out.write(content[len(content) // 2 :])
            time.sleep(0.1)
        with writing(warehouse.ledger._engine) as con:
            number = schema.head.c.number
            con.execute(sa.update(schema.head).values(number=sa.case((number == 1, 2), else_=1)))


ROLES = {f.__name__: f for f in (write, read, operate, vandalise, publish_wrongly)}


def _alive() -> bool:
    """Whether the nursery still is: nobody goes on after it."""
    return os.getppid() != 1


def nurse(arena: Arena) -> None:
    """Start and end processes as lines on the standard input say: `start ROLE SEED`, `end PID`."""
    born: set[int] = set()
    for line in sys.stdin:
        verb, *given = line.split()
        if verb == "start":
            pid = os.fork()
            if pid == 0:
                _live(arena, *given)
            os.setpgid(pid, pid)
            born.add(pid)
            print(pid, flush=True)
        else:
            print(_end(int(given[0])), flush=True)
            born.discard(int(given[0]))
    for pid in born:
        _end(pid)


def _live(arena: Arena, role: str, seed: str) -> None:
    """Play a role until killed; whatever else ends it is written down."""
    os.setpgid(0, 0)
    try:
        ROLES[role](arena, random.Random(int(seed)))
    except BaseException:  # noqa: BLE001 - the edge of a process: nobody else could tell what ended it
        arena.note("crashes", role=role, message=traceback.format_exc())
    os._exit(1)


def _end(pid: int) -> str:
    """Kill a process group; tell whether it lived."""
    ended, _ = os.waitpid(pid, os.WNOHANG)
    if ended:
        return "dead"
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "killed"


if __name__ == "__main__":
    nurse(Arena(Path(sys.argv[1]), Path(sys.argv[2]), limited=sys.argv[3] == "limited"))
