"""Who judges the file, by which command, and how what they say is held against what is right."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environments import python_of, versions
from benchmarks.orders import BROKEN_BY_ROWS, EVERY_ROW, EVERY_ROW_AND_NULL, NOW, RULES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Run

UNIQUE = "order_id.unique"
OURS = "dataproducts"
BEST = "hand-written-best"

# They report home; a benchmark has nothing to report.
_QUIET = {"GX_ANALYTICS_ENABLED": "false", "SODA_CORE_TELEMETRY_ENABLED": "false", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to judge the file: a module of `benchmarks.peers` in an environment, or ours."""

    key: str
    shown: str
    module: str = ""
    environment: str = ""  # a file of `benchmarks/peers`; empty is the project's own environment
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ("duckdb",)
    duplicates: str = UNIQUE  # what the number that it gives for the unique key counts
    remark: str = ""

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's product, and neither ours nor written by hand."""
        return bool(self.environment)

    def python(self) -> Path:
        """Return its interpreter. Raises: PeerError."""
        return python_of(self.environment) if self.environment else Path(sys.executable)

    def versions(self) -> dict[str, str]:
        """Return the versions of what it consists of."""
        return versions(self.python(), self.packages)

    def command(self, file: Path, contract: Path) -> list[str]:
        """Return the command that judges `file`. Raises: PeerError."""
        if self.key == OURS:
            program = Path(sys.executable).with_name("dataproducts")
            return [str(program), "check", str(file), "--contract", str(contract), "--now", NOW, "--json"]
        return [str(self.python()), "-m", f"benchmarks.peers.{self.module}", str(file), *self.arguments]


CONTENDERS = (
    Contender(OURS, "**dataproducts**", packages=("dataproducts", "duckdb")),
    Contender(
        BEST,
        "best hand-written DuckDB queries",
        "hand_written_best",
        remark="fitted to this file: statistics, a bit string of the dense key, distinct values",
    ),
    Contender("hand-written-naive", "one hand-written DuckDB SELECT", "hand_written_naive"),
    Contender(
        "soda-view",
        "Soda, on a view",
        "soda_duckdb",
        "soda",
        ("view",),
        packages=("soda-core", "duckdb"),
        remark="a DuckDB view of the file, made for it",
    ),
    Contender(
        "soda-table",
        "Soda, on the file",
        "soda_duckdb",
        "soda",
        ("table",),
        packages=("soda-core", "duckdb"),
        remark="copies the file into a table in memory first",
    ),
    Contender(
        "pandera-polars",
        "pandera, polars",
        "pandera_polars",
        "pandera-polars",
        packages=("pandera", "polars"),
        duplicates=EVERY_ROW_AND_NULL,
        remark="counts every row of a repeated key, and NULLs as a repeated key",
    ),
    Contender(
        "pandera-pandas",
        "pandera, pandas",
        "pandera_pandas",
        "pandera-pandas",
        packages=("pandera", "pandas", "pyarrow"),
    ),
    Contender(
        "pandera-ibis",
        "pandera, ibis on DuckDB",
        "pandera_ibis",
        "pandera-ibis",
        packages=("pandera", "ibis-framework", "duckdb"),
        remark="a column's `unique` is not judged, in silence: the table's is; NULLs and duplicates are not counted",
    ),
    Contender(
        "datacontract-cli",
        "datacontract-cli",
        "datacontract_cli",
        "datacontract-cli",
        packages=("datacontract-cli", "duckdb", "ibis-framework"),
        remark="Parquet types are not judged; freshness as a query, for it knows the real time alone",
    ),
    Contender(
        "great-expectations",
        "great-expectations, pandas",
        "great_expectations_pandas",
        "great-expectations",
        packages=("great-expectations", "great_expectations", "pandas", "pyarrow"),
        duplicates=EVERY_ROW,
        remark="counts every row of a repeated key",
    ),
)


def environment() -> dict[str, str]:
    """Return the environment variables of every run."""
    return {**os.environ, **_QUIET}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a contender said, held against what is right."""

    passed: bool
    wrong: tuple[str, ...]  # rules on which it is not right
    uncounted: tuple[str, ...]  # rules that reject rows and of which it says no number
    unjudged: tuple[str, ...]  # rules of which it says nothing


def said(contender: Contender, run: Run) -> dict[str, int | bool]:
    """Return the rows that each rule rejects by the contender's word. Raises: ValueError, if it said nothing."""
    if contender.key == OURS:
        return _said_by_ours(run)
    last = run.output.strip().rpartition("\n")[2]
    if run.failure or not last.startswith("{"):
        raise ValueError(run.failure or "no verdict in what it printed")
    counts: dict[str, int | bool] = json.loads(last)
    return counts


def _said_by_ours(run: Run) -> dict[str, int | bool]:
    # Refused is exit code 1, and so is a file with faults: then there is no verdict.
    if run.killed or not run.output.startswith("{"):
        raise ValueError(run.failure or "no verdict in what it printed")
    results: list[dict[str, Any]] = json.loads(run.output)["tables"]["orders"]
    counts: dict[str, int | bool] = {}
    for result in results:
        number = result["failed_rows"] if result["failed_rows"] is not None else result["observed"]
        is_counted = result["rule"] in BROKEN_BY_ROWS and number is not None and not result["error"]
        counts[result["rule"]] = int(number) if is_counted else not result["passed"]
    return {rule: counts[rule] for rule in RULES if rule in counts}


def hold(contender: Contender, counts: Mapping[str, int | bool], truth: Mapping[str, int]) -> Finding:
    """Hold what was said against what is right; a rule of which no number is told need only have failed or not."""
    wrong, uncounted = [], []
    for rule, value in counts.items():
        right = truth[contender.duplicates] if rule == UNIQUE else truth[rule]
        if isinstance(value, bool) or rule not in BROKEN_BY_ROWS:
            if bool(value) != bool(right):
                wrong.append(f"{rule}: {'fails' if value else 'passes'}, right is {right}")
            elif right and rule in BROKEN_BY_ROWS:
                uncounted.append(rule)
        elif value != right:
            wrong.append(f"{rule}: {value}, right is {right}")
    unjudged = tuple(rule for rule in RULES if rule not in counts)
    return Finding(not any(counts.values()), tuple(wrong), tuple(uncounted), unjudged)
