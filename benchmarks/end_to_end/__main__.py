"""The command: every tool, interleaved rounds, then what readers see; `python -m benchmarks.end_to_end --help`."""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.end_to_end import report
from benchmarks.end_to_end.data import GOOD, HISTORY, Sources, make_sources
from benchmarks.end_to_end.measure import Ran, run
from benchmarks.end_to_end.peers import TOOLS
from benchmarks.end_to_end.profiling import profile
from benchmarks.end_to_end.scenarios import play
from benchmarks.end_to_end.tool import Tool, UnavailableError, python_of
from benchmarks.environments import compile_own
from dataproducts.sql import literal

BUILD = report.ROOT / "build" / "bench"


def main(arguments: list[str]) -> int:
    """Run what `arguments` ask for, write the results and print the tables."""
    asked = _parse(arguments)
    compile_own()
    root = BUILD / "e2e"
    sources = make_sources(root / f"sources-{asked.households}", households=asked.households)
    tools = [tool for tool in TOOLS if not asked.only or tool.name in asked.only]
    results: dict[str, Any] = {
        "machine": report.machine(),
        "rounds": asked.rounds,
        "rows": _rows(sources),
        "tools": {tool.name: {"title": tool.title} for tool in tools},
    }
    pythons = _pythons(tools, results)
    ready = [tool for tool in tools if tool.name in pythons]
    _time(ready, pythons, sources, root=root, rounds=asked.rounds, results=results)
    if not asked.no_readers:
        for tool in ready:
            _watch(tool, pythons[tool.name], sources, root=root, results=results)
            report.save(results, root / "last.json")
    if asked.profile:
        results["profile"] = profile(root / "profile", Path(sys.executable), sources)
    if not (asked.only or asked.households):
        report.save(results, report.RESULTS)
    report.save(results, root / "last.json")
    if asked.write_docs:
        report.write_docs(results)
    for name, table in report.tables(results).items():
        print(f"\n{name}\n{table}")
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="first and next runs of each tool; medians are kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], choices=[tool.name for tool in TOOLS])
    parser.add_argument("--households", type=int, default=0, help="keep the first so many households (0: all)")
    parser.add_argument("--no-readers", action="store_true", help="time alone, without bad batches and readers")
    parser.add_argument("--profile", action="store_true", help="tell where our own time goes")
    parser.add_argument("--write-docs", action="store_true", help="write the tables into the docs page")
    return parser.parse_args(arguments)


def _rows(sources: Sources) -> int:
    with duckdb.connect() as con:
        path = literal(str(sources.batches[HISTORY]))
        rows: int = con.execute(f"SELECT count(*) FROM {path}").fetchall()[0][0]
    return rows


def _pythons(tools: list[Tool], results: dict[str, Any]) -> dict[str, Path]:
    found = {}
    for tool in tools:
        try:
            found[tool.name] = python_of(tool, BUILD / "venvs")
        except UnavailableError as error:
            results["tools"][tool.name]["unavailable"] = str(error)
            _say(f"{tool.name} cannot run: {error}")
    return found


def _new(tool: Tool, sources: Sources, root: Path) -> Path:
    work = root / "work" / tool.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    tool.prepare(work)
    sources.start(work)
    return work


def _time(
    tools: list[Tool],
    pythons: dict[str, Path],
    sources: Sources,
    *,
    root: Path,
    rounds: int,
    results: dict[str, Any],
) -> None:
    """Time a first and a next run of each tool, round by round: a busy minute then hits all of them alike."""
    runs: dict[tuple[str, str], list[Ran]] = {}
    for number in range(rounds):
        for tool in tools:
            work = _new(tool, sources, root)
            python = pythons[tool.name]
            first = run(tool.first(work, python))
            sources.arrive(work, GOOD)
            then = run(tool.next(work, python, 1))
            runs.setdefault((tool.name, "first"), []).append(first)
            runs.setdefault((tool.name, "next"), []).append(then)
            _say(f"round {number + 1}: {tool.name}: first {first.wall_s:.1f} s, next {then.wall_s:.1f} s")
            for ran in (first, then):
                if ran.code:
                    results["tools"][tool.name]["unavailable"] = ran.last_line
                    _say(f"{tool.name} failed:\n{ran.output}")
    for (name, phase), found in runs.items():
        results["tools"][name][phase] = _median(found)


def _median(found: list[Ran]) -> dict[str, Any]:
    return {
        "wall_s": round(statistics.median(ran.wall_s for ran in found), 3),
        "cpu_s": round(statistics.median(ran.cpu_s for ran in found), 3),
        "peak_mb": round(statistics.median(ran.peak_mb for ran in found), 1),
        "code": max(ran.code for ran in found),
        "walls_s": [round(ran.wall_s, 3) for ran in found],
    }


def _watch(tool: Tool, python: Path, sources: Sources, *, root: Path, results: dict[str, Any]) -> None:
    if results["tools"][tool.name].get("unavailable"):
        return
    work = _new(tool, sources, root)
    if run(tool.first(work, python)).code:
        return
    seen = []
    for found in play(tool, work, python, sources):
        seen.append(found.to_json())
        _say(f"{tool.name}: {found.scenario}: exit {found.code}, then {found.after}")
    results["tools"][tool.name]["scenarios"] = seen
    for left in work.parent.glob(f"{work.name}*"):
        shutil.rmtree(left)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
