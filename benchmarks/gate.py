"""The gate's benchmark: one contract over one file through every contender, in turn, as whole processes.

`python -m benchmarks.gate` measures; `--write-docs` puts the last figures into `docs/benchmarks.md`. Each contender is
run next to ours, first before it and then after it, so that what the machine does meanwhile falls on both.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS, OURS, Contender, Finding, environment, hold, said
from benchmarks.environments import KEPT, ROOT, PeerError, compile_own
from benchmarks.measure import Limits, Run, run
from benchmarks.orders import NOW, contract
from benchmarks.report import targets, write_docs

RESULTS = Path(__file__).resolve().parent / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_LARGE = 100_000_000
_SHAPE = 2  # of a table's file name: raise it when `orders.rows_sql` changes


@dataclass(slots=True)
class Row:
    """What came of one contender so far: its runs, those of ours beside them, and why there are no more."""

    contender: Contender
    versions: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    paired: list[Run] = field(default_factory=list)
    finding: Finding | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Course:
    """One file, what is right about it, and how it is judged."""

    file: Path
    contract: Path
    truth: dict[str, int]
    limits: Limits

    def judge(self, row: Row) -> Run | None:
        """Run the contender of `row` once and hold its word against what is right; None if it gave none."""
        contender = row.contender
        try:
            command = contender.command(self.file, self.contract)
            _read_through(self.file)
            done = run(command, folder=ROOT, env=environment(), limits=self.limits)
            finding = hold(contender, said(contender, done), self.truth)
        except (PeerError, ValueError, OSError) as error:
            row.failure = _without_paths(str(error))
            return None
        if row.finding is None or finding.wrong:
            row.finding = finding
        return done


def main(arguments: list[str] | None = None) -> int:
    """Measure what the arguments ask for and write the figures; 1 if anything of ours is not right."""
    options = _options().parse_args(arguments)
    if options.write_docs:
        print(f"written to {PAGE.relative_to(ROOT)}: {', '.join(write_docs(PAGE, options.out)) or 'nothing'}")
        return 0
    compile_own()
    chosen = [one for one in CONTENDERS if one.key == OURS or not options.only or one.key in options.only]
    right = True
    for name in options.rows:
        rows = rows_of(name)
        large = rows >= _LARGE
        rounds = options.rounds_at_100m if large else options.rounds
        limits = Limits(options.timeout, int(options.memory_gib * 2**30))
        result: dict[str, Any] = {"rows": rows, "now": NOW, "machine": _machine(), "variants": {}}
        for variant in options.variants:
            course = _course(rows, variant, limits)
            measured = _measure(course, chosen, rounds=rounds, warm_up=options.warm_up and not large)
            result["variants"][variant] = {
                "file_mb": course.file.stat().st_size / 1e6,
                "truth": course.truth,
                "contenders": [_as_json(row) for row in measured],
            }
            ours = measured[0]
            right = right and bool(ours.runs) and ours.finding is not None and not ours.finding.wrong
            print(f"{name} {variant}: {ours.failure or targets(result, variant)}")
            for row in measured:
                if row.failure or (row.finding and row.finding.wrong):
                    print(f"  {row.contender.key}: {row.failure or row.finding}")
        options.out.mkdir(parents=True, exist_ok=True)
        target = options.out / f"gate-{name}.json"
        if target.exists():  # one variant at a time is enough for an afternoon
            result["variants"] = json.loads(target.read_text(encoding="utf-8"))["variants"] | result["variants"]
        target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if right else 1


def _options() -> argparse.ArgumentParser:
    known = [one.key for one in CONTENDERS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gate", description=__doc__)
    parser.add_argument("--rows", nargs="+", default=["10m"], help="sizes: 1m 10m 100m (default: 10m)")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of each contender with ours (default: 7)")
    parser.add_argument("--rounds-at-100m", type=int, default=1, help="pairs from 100 million rows on (default: 1)")
    parser.add_argument("--no-warm-up", dest="warm_up", action="store_false", help="count the first run of each too")
    parser.add_argument("--variants", nargs="+", default=["clean", "dirty"], choices=["clean", "dirty"])
    parser.add_argument("--only", nargs="+", default=[], choices=known, metavar="KEY", help=f"of {', '.join(known)}")
    parser.add_argument("--timeout", type=float, default=900, help="seconds after which a run is killed (default: 900)")
    parser.add_argument("--memory-gib", type=float, default=20, help="memory at which it is killed (default: 20)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the figures (default: benchmarks/results)")
    parser.add_argument("--write-docs", action="store_true", help="measure nothing, write the docs' tables")
    return parser


def rows_of(name: str) -> int:
    """Return the number of rows that a size names: `10m`. Raises: SystemExit, if it is no power of ten from 10k on."""
    match = re.fullmatch(r"(10{0,8})([km]?)", name.lower())
    rows = int(match[1]) * _UNITS[match[2]] if match else 0
    if rows < 10_000:  # noqa: PLR2004 - below it the contract's rule on the number of rows fails
        raise SystemExit(f"--rows {name}: give a power of ten from 10k on, such as 1m")
    return rows


def _course(rows: int, variant: str, limits: Limits) -> Course:
    """Make the file and the contract, unless they are there, and find out what is right."""
    file = KEPT / "data" / f"orders-{rows}-{variant}-{_SHAPE}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    declared = file.parent / "orders.odcs.yaml"
    declared.write_text(contract(), encoding="utf-8")
    python = [sys.executable, "-m"]
    if not file.is_file():
        subprocess.run([*python, "benchmarks.orders", str(file), str(rows), variant], cwd=ROOT, check=True)
    told = subprocess.run(
        [*python, "benchmarks.truth", str(file)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return Course(file, declared, json.loads(told.stdout), limits)


def _measure(course: Course, chosen: list[Contender], *, rounds: int, warm_up: bool) -> list[Row]:
    """Run every contender `rounds` times beside ours, in an order that rotates; one that fails is left out after."""
    ours, *others = rows = [_row(one) for one in chosen]
    if warm_up:
        for row in rows:
            if not row.failure:
                course.judge(row)
    for number in range(rounds):
        turn = number % max(len(others), 1)
        for row in (*others[turn:], *others[:turn]):
            if not row.failure and not ours.failure:
                _pair(course, ours, row, ours_first=number % 2 == 0)
        print(f"  {course.file.stem}: round {number + 1} of {rounds}", file=sys.stderr)
    if not others:
        ours.runs += [done for done in (course.judge(ours) for _ in range(rounds)) if done]
    return rows


def _pair(course: Course, ours: Row, row: Row, *, ours_first: bool) -> None:
    done: dict[bool, Run | None] = {}
    for is_ours in (ours_first, not ours_first):
        done[is_ours] = course.judge(ours if is_ours else row)
    own, other = done[True], done[False]
    if own:
        ours.runs.append(own)
    if own and other:
        row.runs.append(other)
        row.paired.append(own)


def _row(contender: Contender) -> Row:
    try:
        return Row(contender, contender.versions())
    except (PeerError, subprocess.SubprocessError, OSError) as error:
        return Row(contender, failure=_without_paths(str(error)))


def _read_through(file: Path) -> None:
    """Have the file in memory, as a contender that was killed may have driven it out."""
    with file.open("rb", buffering=0) as opened:
        while opened.read(2**23):
            pass


def _as_json(row: Row) -> dict[str, Any]:
    figures = [
        [{"wall_s": round(r.wall_s, 4), "cpu_s": round(r.cpu_s, 4), "peak_mb": round(r.peak_mb, 1)} for r in runs]
        for runs in (row.runs, row.paired)
    ]
    one = row.contender
    return {
        "key": one.key,
        "shown": one.shown,
        "is_peer": one.is_peer,
        "remark": one.remark,
        "versions": row.versions,
        "runs": figures[0],
        "paired": figures[1],
        "finding": asdict(row.finding) if row.finding else None,
        "failure": row.failure,
    }


def _without_paths(message: str) -> str:
    """Return an error's text without the folders of this machine, which are nobody's business."""
    return re.sub(r"/[^\s:'\"]*/", "", message)[:300]


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    sys.exit(main())
