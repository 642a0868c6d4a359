"""What judging and publishing add to the build of retail: CPU seconds beside a plain COPY of the same SELECTs.

`python -m benchmarks.publish_cost` runs in turn, as whole processes: the library (write, judge, publish), a plain COPY
that cuts daily tables into a file a day, and one into a single file a table. All run the same transforms on the same
sources, no one starts an orchestrator. `--where` runs the library once and prints what its CPU seconds went to.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.environments import ROOT, compile_own
from benchmarks.measure import Limits, Run, run
from benchmarks.report import ratios, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    import duckdb

    from dataproducts.product import DataProduct, Table

LIBRARY, BARE, BY_DAY, ONE_FILE = "library", "library-without-custom", "plain-by-day", "plain-one-file"
WAYS = {
    LIBRARY: "write, judge, publish",
    BARE: "the same without rules of kind `custom`",
    BY_DAY: "COPY with PARTITION_BY, a file a day",
    ONE_FILE: "COPY into one file a table",
}
_LIMITS = Limits(seconds=600)
_COPIED = "FORMAT parquet, COMPRESSION zstd"  # as the store writes
# What the CPU seconds of the library are dealt out to: where a function is looked up, and what it stands for.
_STEPS = (
    ("dataproducts.load", "load_project", "load"),
    ("dataproducts.refresh", "begin", "ledger"),
    ("dataproducts.refresh", "compose", "ledger"),
    ("dataproducts.consume", "open_source", "open inputs"),
    ("dataproducts.refresh", "write_versions", "write: facts and versions"),
    ("dataproducts.write", "stage", "stage"),
    ("dataproducts.store:Store", "write", "write: COPY, hash, sync"),
    ("dataproducts.store", "_copy", "write: COPY"),
    ("dataproducts.refresh", "judge_missing", "judge"),
    ("dataproducts.refresh", "mixtures", "publish"),
    ("dataproducts.refresh", "publish", "publish"),
    ("dataproducts.refresh", "serve", "serve"),
    ("dataproducts.refresh", "refresh_product", "rest of the refresh: ledger"),
)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table, or do what one of the measured processes does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.publish_cost", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs of each (default: 7)")
    parser.add_argument("--where", action="store_true", help="print what the library's CPU seconds go to")
    parser.add_argument("--way", choices=WAYS, help="with --where: of this one of the library's two ways")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="file for the figures as JSON")
    options = parser.parse_args(arguments)
    if options.where:
        with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
            print(_where(Path(folder), bare=options.way == BARE))
    elif options.way:
        _build(options.way, options.folder)
    else:
        compile_own()
        runs = _measure(options.rounds)
        print(table(runs))
        if options.out:
            options.out.write_text(json.dumps(runs, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure(rounds: int) -> dict[str, list[dict[str, float]]]:
    """Run every way `rounds` times, in an order that rotates, after one run of each that does not count."""
    ways = list(WAYS)
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        turn = number % len(ways)
        for way in (*ways[turn:], *ways[:turn]):
            done = _run(way)
            if number:
                runs[way].append({"wall_s": done.wall_s, "cpu_s": done.cpu_s, "peak_mb": done.peak_mb})
        print(f"  round {number} of {rounds}", file=sys.stderr)
    return runs


def _run(way: str) -> Run:
    with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
        command = [sys.executable, "-m", "benchmarks.publish_cost", "--way", way, "--folder", folder]
        done = run(command, folder=ROOT, env=os.environ, limits=_LIMITS)
    if done.failure:
        raise SystemExit(f"{way}: {done.failure}")
    return done


def _scratch() -> Path:
    """Return a folder on the disk of the project: that of temporary files may lie in memory."""
    folder = ROOT / "build" / "bench" / "publish"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def table(runs: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return the medians and, run by run, the ratio of CPU seconds to both plain ways, as Markdown."""
    lines = [
        "| what | wall s | CPU s | peak MB | CPU to a file a day | CPU to one file a table |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for way, shown in WAYS.items():
        figures = [f"{median(one[key] for one in runs[way]):.2f}" for key in ("wall_s", "cpu_s", "peak_mb")]
        compared = [spread(ratios(runs[way], runs[plain], "cpu_s")) for plain in (BY_DAY, ONE_FILE)]
        lines.append(f"| {' | '.join((shown, *figures, *compared))} |")
    return "\n".join(lines)


# --- What is measured --------------------------------------------------------------------------------------------


def _build(way: str, folder: Path) -> None:
    if way in {LIBRARY, BARE}:
        _publish(folder, bare=way == BARE)
    else:
        _copy(folder, cut=way == BY_DAY)


def _products() -> tuple[list[DataProduct], Mapping[str, Callable[..., Any]]]:
    import checks  # noqa: PLC0415 - the measuring process stays small
    from dataproducts.load import load_project  # noqa: PLC0415 - as above

    products = {product.address: product for product in load_project(ROOT, domain="retail").products}
    ordered: list[DataProduct] = []
    while products:
        # A product is ready once none of those that are left makes what it reads.
        made = {t.contract_id for product in products.values() for t in product.tables}
        ready = next(p for p in products.values() if not made & {port.contract_id for port in p.inputs})
        ordered.append(products.pop(ready.address))
    return ordered, checks.CUSTOM


def _publish(folder: Path, *, bare: bool = False) -> None:
    """Build every product through the library: written, judged and published."""
    import resources  # noqa: PLC0415 - the measuring process stays small
    from dataproducts import refresh  # noqa: PLC0415 - as above
    from dataproducts.product import RuleKind  # noqa: PLC0415 - as above
    from dataproducts.warehouse import Warehouse  # noqa: PLC0415 - as above

    products, custom = _products()
    environment = dataclasses.replace(resources.for_environment("dev"), store=folder / "store", ledger_url="")
    with Warehouse.open(environment, custom=custom) as warehouse:
        for whole in products:
            product = whole
            if bare:
                tables = tuple(
                    dataclasses.replace(t, rules=tuple(r for r in t.rules if r.kind is not RuleKind.CUSTOM))
                    for t in whole.tables
                )
                product = dataclasses.replace(whole, tables=tables)
            days = {table.name: _days(table) for table in product.tables if table.partitioning}
            refresh.refresh_product(warehouse, product, partitions=days)


def _days(table: Table) -> tuple[date, ...]:
    import resources  # noqa: PLC0415 - the measuring process stays small
    from dataproducts.partitions import due  # noqa: PLC0415 - as above

    return due(table.partitioning, resources.CLOCK) if table.partitioning else ()


def _copy(folder: Path, *, cut: bool) -> None:
    """Write the rows of every table by COPY and nothing more; with `cut` into a file a day, as the library has it."""
    import duckdb  # noqa: PLC0415 - the measuring process stays small

    from dataproducts.inputs import siblings_first, transform_inputs  # noqa: PLC0415 - as above
    from dataproducts.sources.files import open_source  # noqa: PLC0415 - as above

    written: dict[str, str] = {}
    products, _ = _products()
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for product in products:
            for table in siblings_first(product):
                inputs: dict[str, str] = {}
                for read in transform_inputs(product, table):
                    if read.server:
                        inputs[read.name] = open_source(con, read.server, root=ROOT).relation
                    else:
                        wanted = read.port.contract_id if read.port else product.table(read.sibling or "").contract_id
                        inputs[read.name] = written[wanted]
                target = folder / product.name / table.name
                target.mkdir(parents=True)
                _write(con, table, inputs, target, cut=cut)
                written[table.contract_id] = f"read_parquet('{target}/**/*.parquet', hive_partitioning = false)"


def _write(con: duckdb.DuckDBPyConnection, table: Table, inputs: Mapping[str, str], target: Path, *, cut: bool) -> None:
    from dataproducts.partitions import after  # noqa: PLC0415 - the measuring process stays small
    from dataproducts.transforms.stage import stage  # noqa: PLC0415 - as above

    days, partitioning = _days(table), table.partitioning
    bounds = (days[0], after(partitioning, days[-1])) if partitioning else None
    rows = stage(con, table, inputs, partition=bounds, staged="staged", materialise=False)
    if partitioning and cut:
        dealt = f"SELECT *, CAST({partitioning.column} AS DATE) AS _day FROM {rows}"
        con.execute(f"COPY ({dealt}) TO '{target}/days' ({_COPIED}, PARTITION_BY (_day))")
    else:
        con.execute(f"COPY (SELECT * FROM {rows}) TO '{target}/all.parquet' ({_COPIED})")
    con.execute("DROP TABLE IF EXISTS staged")


# --- Where the time goes -----------------------------------------------------------------------------------------


def _where(folder: Path, *, bare: bool) -> str:
    """Return a table of what the library's CPU seconds and wall seconds go to, each step without those inside it."""
    began = time.process_time(), time.perf_counter()
    clock = _Clock()
    clock.stack.append("imports and the rest")
    absent = [name for name in map(clock.wrap, _STEPS) if name]
    clock.begin()
    _publish(folder, bare=bare)
    clock.charge()
    lines = ["| step | CPU s | wall s |", "| --- | --- | --- |"]
    for step, (cpu, wall) in sorted(clock.spent.items(), key=lambda item: -item[1][0]):
        lines.append(f"| {step} | {cpu:.2f} | {wall:.2f} |")
    lines.append(f"| all | {time.process_time() - began[0]:.2f} | {time.perf_counter() - began[1]:.2f} |")
    if absent:
        lines.append(f"\nnot found, so charged to what calls them: {', '.join(absent)}")
    shutil.rmtree(folder / "store", ignore_errors=True)
    return "\n".join(lines)


class _Clock:
    """CPU and wall seconds by step, each moment charged to the innermost step that runs."""

    def __init__(self) -> None:
        self.spent: dict[str, tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
        self.stack: list[str] = []
        self._last = (0.0, 0.0)

    def begin(self) -> None:
        self._last = time.process_time(), time.perf_counter()

    def charge(self) -> None:
        now = time.process_time(), time.perf_counter()
        cpu, wall = self.spent[self.stack[-1]]
        self.spent[self.stack[-1]] = cpu + now[0] - self._last[0], wall + now[1] - self._last[1]
        self._last = now

    def wrap(self, step: tuple[str, str, str]) -> str:
        """Have calls of one function charged to its step; return its name if there is no such function."""
        place, name, shown = step
        module, _, inside = place.partition(":")
        owner: Any = importlib.import_module(module)
        owner = getattr(owner, inside, None) if inside else owner
        function = getattr(owner, name, None)
        if function is None:
            return f"{place}.{name}"
        if _is_context(function):
            return ""  # its time is spent in the block, not in the call

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            self.charge()
            self.stack.append(shown)
            try:
                return function(*arguments, **named)
            finally:
                self.charge()
                self.stack.pop()

        setattr(owner, name, timed)
        return ""


def _is_context(function: Any) -> bool:
    return "contextlib" in function.__code__.co_filename


if __name__ == "__main__":
    sys.exit(main())
