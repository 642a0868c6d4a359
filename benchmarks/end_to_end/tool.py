"""What the benchmark asks of every tool, and what they share: SQL, folders, environments of their own."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import sqlglot
from sqlglot import exp

from benchmarks.end_to_end.checks import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.end_to_end.measure import Command

HERE = Path(__file__).parent
OURS = HERE / "ours"
INPUTS = ("transactions", "products", "demographics")


class UnavailableError(Exception):
    """A peer cannot be installed or started; the message is its last line."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a consumer reads: a DuckDB file and the schema of the three tables in it."""

    file: Path
    schema: str


class Tool(Protocol):
    """One way to make the three tables and check them."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def title(self) -> str:
        """What it is called in the tables."""

    @property
    def peer(self) -> str:
        """Its requirements in `peers/` and its environment; empty for this project's own Python."""

    def prepare(self, work: Path) -> None:
        """Write the project below the empty folder `work`; its sources will lie in `work/data`."""

    def first(self, work: Path, python: Path) -> Command:
        """Return the first run of a new project."""

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Return the run of the `day`-th day after the first, when a new file has arrived."""

    def shown(self, work: Path) -> Shown:
        """Return where its consumers read."""


def select(table: str) -> str:
    """Return the one SELECT that makes `table`: the very file of our own project."""
    path = OURS / "assets" / "shop" / "baskets" / "transforms" / f"{table}.sql"
    return path.read_text(encoding="utf-8").strip()


def renamed(sql: str, name: Callable[[str], str]) -> str:
    """Return `sql` with every table that it reads from outside replaced by `name(table)`."""
    known = {*TABLES, *INPUTS}
    tree = sqlglot.parse_one(sql, read="duckdb")
    for table in tree.find_all(exp.Table):
        if table.name in known:
            table.set("this", exp.to_identifier(name(table.name), quoted=False))
    return tree.sql("duckdb", pretty=True, identify=False)


def files(work: Path, name: str) -> str:
    """Return the path or glob of an input's files."""
    data = work / "data"
    return str(data / "transactions" / "*.parquet" if name == "transactions" else data / f"{name}.parquet")


def python_of(tool: Tool, environments: Path) -> Path:
    """Return the Python that runs `tool`, after installing what it needs in an environment of its own.

    Raises: UnavailableError, with the last line of pip, if that cannot be done.
    """
    if not tool.peer:
        return Path(sys.executable)
    folder, listed = environments / tool.peer, HERE / "peers" / f"{tool.peer}.txt"
    python, done = folder / "bin" / "python", folder / ".requirements"
    wanted = listed.read_text(encoding="utf-8")
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        for argv in (
            [sys.executable, "-m", "venv", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(listed)],
        ):
            ran = subprocess.run(argv, capture_output=True, text=True, check=False)
            if ran.returncode:
                lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
                raise UnavailableError(lines[-1] if lines else f"exit code {ran.returncode}")
        done.write_text(wanted, encoding="utf-8")
    return python
