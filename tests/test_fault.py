"""Promise 2 under attack: two writers, kill -9, a full disk, no memory, bad data, collection, and readers all along."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from dataproducts.errors import RefusedError
from dataproducts.load import load_product
from dataproducts.refresh import refresh_product
from dataproducts.releases import verify
from dataproducts.retention import gc
from tests.fault import FAULTS, PRODUCT, Arena, look, make_project, write_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.ledger import Ledger
    from dataproducts.release import Release

ROOT = Path(__file__).parents[1]


@contextmanager
def arena(folder: Path) -> Iterator[Arena]:
    """Make the project and 48 MB of memory as a disk for its store; without leave to mount, limit files instead."""
    make_project(folder)
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(disk)]
    mounted = bool(shutil.which("mount")) and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield Arena(folder, disk / "store", limited=not mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


class Crowd:
    """The processes of one attack, ended with it."""

    def __init__(self, place: Arena, seed: int) -> None:
        self.rng = random.Random(seed)
        command = [sys.executable, "-W", "ignore", "-m", "tests.fault", str(place.root), str(place.store)]
        command.append("limited" if place.limited else "mounted")
        pipe = subprocess.PIPE
        self.nursery = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True, start_new_session=True)

    def __enter__(self) -> Self:
        """Return the crowd."""
        return self

    def __exit__(self, *_: object) -> None:
        """End everybody who still lives."""
        self.nursery.communicate(timeout=60)

    def start(self, role: str) -> int:
        """Start one process and return its id, which is that of its group."""
        return int(self._ask(f"start {role} {self.rng.randrange(10**6)}"))

    def kill(self, pid: int) -> None:
        """End a process group without warning. Raises: AssertionError, if it had ended by itself."""
        assert self._ask(f"end {pid}") == "killed", "it ended by itself"

    def _ask(self, line: str) -> str:
        assert self.nursery.stdin
        assert self.nursery.stdout
        self.nursery.stdin.write(f"{line}\n")
        self.nursery.stdin.flush()
        return self.nursery.stdout.readline().strip()


def attack(place: Arena, seed: int, seconds: float) -> int:
    """Let everybody run for `seconds`, killing a writer or the operator at any moment; return the kills."""
    kills, end = 0, time.monotonic() + seconds
    try:
        with Crowd(place, seed) as crowd:
            readers = [crowd.start("read"), crowd.start("read")]
            if not place.limited:
                crowd.start("vandalise")
            prey = {crowd.start(role): role for role in ("write", "write", "operate")}
            while time.monotonic() < end:
                time.sleep(min(crowd.rng.expovariate(1 / 0.7), 3))
                victim, *_ = crowd.rng.choices(list(prey), [1 if role == "operate" else 4 for role in prey.values()])
                crowd.kill(victim)
                role = prey.pop(victim)
                prey[crowd.start(role)] = role
                kills += 1
            for pid in readers:
                crowd.kill(pid)
    finally:
        (place.store.parent / "junk").unlink(missing_ok=True)
    return kills


@pytest.mark.fault
def test_nobody_ever_sees_a_bad_or_mixed_release(
    tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is killed, filled or raced, every read shows one whole good batch, and heads never go back."""
    seconds, kills, rounds = float(request.config.getoption("--fault-seconds")), 0, 0
    with arena(tmp_path) as place:
        place.warehouse().close()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 1:
            kills += attack(place, seed=time.time_ns(), seconds=min(30, left))
            heal(place)
            rounds += 1
        figures, problems = counted(place, seconds, kills)
        with capsys.disabled():
            print(f"\n{figures}", *problems[:20], sep="\n")
        assert place.notes("crashes") == []
        assert problems == []
        sound(place)
    # Not much is asked of a slow machine: each round ends with a refresh that is refused and one that is released.
    outcomes = Counter(str(line["outcome"]) for line in place.notes("writes"))
    assert outcomes["released"] >= rounds
    assert outcomes["refused"] >= rounds
    assert kills > seconds / 8
    assert sum(int(str(line["reads"])) for line in place.notes("reads")) > seconds


@pytest.mark.fault
def test_the_readers_notice_a_wrong_publisher(tmp_path: Path) -> None:
    """The same readers report each sort of violation of a publisher that writes in place and does not check."""
    wanted = ("bad rows", "half a table", "two batches", "head went back", "reader error")
    with arena(tmp_path) as place, Crowd(place, seed=1) as crowd:
        crowd.start("publish_wrongly")
        crowd.start("read")
        missing, end = set(wanted), time.monotonic() + 30
        while missing and time.monotonic() < end:
            time.sleep(0.3)
            said = [str(problem) for line in place.notes("reads") for problem in line["problems"]]  # type: ignore[attr-defined]
            missing = {sort for sort in wanted if not any(sort in problem for problem in said)}
    assert place.notes("crashes") == []
    assert missing == set()


def counted(place: Arena, seconds: float, kills: int) -> tuple[str, list[str]]:
    """Return the figures of an attack as text, and every problem that anybody saw."""
    reads, operations = place.notes("reads"), place.notes("operations")
    problems = [str(problem) for line in (*reads, *operations) for problem in line["problems"]]  # type: ignore[attr-defined]
    outcomes = Counter(str(line["outcome"]) for line in place.notes("writes"))
    batches = place.notes("batches")
    bad = sum(1 for line in batches if line["fault"])
    seen = sum(int(str(line["reads"])) for line in reads)
    files = sum(int(str(line.get("files", 0))) for line in operations)
    rollbacks = sum(1 for line in operations if "rollbacks" in line)
    with place.warehouse() as warehouse:
        releases = warehouse.ledger.releases(PRODUCT, limit=None)
    told = {str(line["batch"]) for line in place.notes("writes")}
    untold = sum(1 for release in releases if release.kind == "refresh" and release.refresh_id not in told)
    disk = "files limited in size, as no disk can be mounted here" if place.limited else "a disk of 48 MB"
    figures = (
        f"{seconds:.0f} s on {disk}, filled {len(place.notes('fillings'))} times: {kills} kills, {seen} reads, "
        f"{len(problems)} violations; {len(batches)} refreshes begun, {bad} with bad data, "
        f"{len(batches) - len(told)} killed under way, {len(releases)} releases, {untold} of them by a writer killed "
        f"before it could say so; {len(operations)} times verified, {rollbacks} rollbacks, {files} files collected; "
        f"refreshes ended: {dict(outcomes.most_common())}"
    )
    return figures, problems


def heal(place: Arena) -> None:
    """Assert that when the attack is over a bad batch is refused, and a good one published and read as written."""
    product = load_product(place.root / "assets/lab/pair", root=place.root)
    for fault in (FAULTS[0], ""):
        batch = time.time_ns()
        sources = write_sources(place.root / "in-heal", batch, fault)
        place.note("batches", batch=batch, fault=fault)
        with place.warehouse(sources=sources) as warehouse, warehouse.connect() as con:
            if fault:
                with pytest.raises(RefusedError, match="value below 0"):
                    refresh_product(warehouse, product, refresh_id=str(batch))
            else:
                outcome = refresh_product(warehouse, product, refresh_id=str(batch))
                assert "" == outcome.serving_error
                held = warehouse.ledger.composition(outcome.release)
                relations = [warehouse.store.version_relation(held[table]) for table in ("lefts", "rights")]
                assert [] == look(con, *relations, batches={str(batch)})
        place.note("writes", batch=batch, outcome="refused" if fault else "released")


def sound(place: Arena) -> None:
    """Assert that releases are linear, good and proved, and that collection leaves their files alone, and no other."""
    with place.warehouse() as warehouse:
        ledger, store = warehouse.ledger, warehouse.store
        releases = ledger.releases(PRODUCT, limit=None)
        assert [(n, n - 1 or None) for n in range(len(releases), 0, -1)] == [(r.number, r.base) for r in releases]
        faults = {str(line["batch"]): line["fault"] for line in place.notes("batches")}
        batches = [batch_of(ledger, release) for release in releases]
        assert [""] * len(batches) == [faults[batch] for batch in batches]
        proved(place, ledger, set(batches))
        assert () == verify(ledger, store, PRODUCT)
        later = datetime.now(UTC) + timedelta(days=1)
        gc(ledger, store, now=later, keep_releases=3, keep_days=0, attempts=timedelta(0))
        assert () == verify(ledger, store)
        kept = [ledger.composition(release) for release in releases if release.number in ledger.retained(PRODUCT)]
        assert 3 == len(kept)
        files = {ref.path for held in kept for versions in held.values() for v in versions for ref in v.files}
        assert files == {path for path, _ in store.files()}
        assert [] == list((store.root / "scratch").iterdir())


def batch_of(ledger: Ledger, release: Release) -> str:
    """Return the one batch that both tables of a release are of."""
    held = ledger.composition(release)
    assert {"lefts", "rights"} == held.keys()
    (batch,) = {version.refresh_id for versions in held.values() for version in versions}
    return batch


def proved(place: Arena, ledger: Ledger, batches: set[str]) -> None:
    """Assert that every blocking rule was judged on each of the published `batches`, and passed."""
    product = load_product(place.root / "assets/lab/pair", root=place.root)
    rules = [(table.name, rule.name) for table in product.tables for rule in table.rules if rule.blocking]
    assert len(rules) > 8
    for table, rule in rules:
        results = {
            entry.refresh_id: entry.passed for entry in reversed(ledger.history(PRODUCT, table, rule, limit=10**6))
        }
        assert batches == {batch for batch in batches if results.get(batch)}, f"{table}.{rule}"
