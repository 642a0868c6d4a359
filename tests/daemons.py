"""Real `dagster-daemon` processes over a small project, which tests start, kill and start again; on loopback alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from dataproducts.operations import Operations
from dataproducts.operations import schema as s
from tests.living import make_live
from tests.postgres import database
from tests.shop import edit, make_shop

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[1]
SCHEDULE = '  - {property: schedule, value: {cron: "* * * * *", timezone: UTC}}\n'

# Dagster's SQLite as this project uses it, in a folder by name: tests read it without DAGSTER_HOME.
SQLITE = """\
event_log_storage:
  {{module: dataproducts.compile.event_log, class: EventLog, config: {{base_dir: {0}/history/runs}}}}
run_storage: {{module: dataproducts.compile.event_log, class: RunLog, config: {{base_dir: {0}/history}}}}
schedule_storage: {{module: dataproducts.compile.event_log, class: Ticks, config: {{base_dir: {0}/schedules}}}}
"""

# What takes minutes in life takes seconds here: how often one looks, and how long a notice waits to be sent again.
DEFINITIONS = """
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dataproducts import Environment
from dataproducts.compile import compile_domain, sensor
from dataproducts.directory import Channel, Directory, Person

delivery = sys.modules["dataproducts.alerts.deliver"]
delivery._FIRST_PAUSE = delivery._LONGEST_PAUSE = timedelta(seconds=1)
delivery._MARGIN = timedelta(seconds=1)
sensor.INTERVAL_S, sensor._PATIENCE = 1, timedelta(seconds=4)

root = Path(__file__).parents[2]
defs = compile_domain(
    Path(__file__).parent,
    environment=Environment(
        name="test",
        root=root,
        store=root / ".dataproducts",
        clock=datetime(2024, 1, 11, 6, tzinfo=UTC),
        ledger_url={ledger!r},
        operations_url={operations!r},
        directory=Directory((Person("ana@example.com", (Channel("hook", {hook!r}),)),), operator="ana@example.com"),
    ),
)
"""


@dataclass
class Daemon:
    """A project with its own Dagster home, and the daemon over it, which may be dead."""

    root: Path
    operations: str
    home: Path
    process: subprocess.Popen[bytes] | None = None
    kills: int = 0

    def start(self) -> None:
        """Start the daemon, and return once its sensor has looked."""
        before = self.beat()
        environment = os.environ | {
            "DAGSTER_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        }
        command = [
            str(Path(sys.executable).with_name("dagster-daemon")),
            "run",
            "-w",
            str(self.root / "workspace.yaml"),
        ]
        with (self.root / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.until(lambda: self.beat() != before, "the sensor to look", 90)

    def kill(self) -> None:
        """Kill the daemon, its code server and every run that it launched, at once."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        self.kills += 1

    def stop(self) -> None:
        """Kill what still runs."""
        if self.process is not None:
            self.kill()

    def beat(self) -> Any:
        """Return when the sensor looked last; None if it never did."""
        if self.operations.startswith("sqlite") and not Path(self.operations.removeprefix("sqlite:///")).exists():
            return None
        with Operations.open(self.operations) as operations, operations.reading() as con:
            row = con.execute(s.bookmark.select().where(s.bookmark.c.name == "watch shop")).first()
            return row.at if row else None

    def until(self, is_so: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Return once `is_so`. Raises: AssertionError, after `seconds`, with the end of the daemon's log."""
        end = time.monotonic() + seconds
        while not is_so():
            log = self.root / "daemon.log"
            told = log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.exists() else ""
            assert time.monotonic() < end, f"waited {seconds} s for {what}\n{told}"
            time.sleep(0.1)

    def instance(self) -> dg.DagsterInstance:
        """Open the instance that the daemon works on."""
        return dg.DagsterInstance.from_config(str(self.home))


def project(root: Path, hook: str, *, storage: str = "", records: str = "", scheduled: bool = False) -> Daemon:
    """Write a shop with its code location and a Dagster home; `storage` and `records` are URLs of PostgreSQL.

    With `scheduled`, there are two active products instead, which are refreshed every minute: one well, one in vain.
    """
    if scheduled:
        _make_scheduled(root)
    else:
        make_shop(root)
    home = dagster_home(root / "home", storage)
    definitions = DEFINITIONS.format(hook=hook, ledger=records, operations=records)
    (root / "assets/shop/definitions.py").write_text(definitions, encoding="utf-8")
    (root / "workspace.yaml").write_text(
        "load_from:\n  - python_file: {relative_path: assets/shop/definitions.py, working_directory: .}\n",
        encoding="utf-8",
    )
    return Daemon(root, records or f"sqlite:///{root}/.dataproducts/operations.sqlite", home)


def _make_scheduled(root: Path) -> None:
    make_live(root, status="active")
    edit(root / "assets/shop/orders/product.yaml", 'cron: "0 4 * * *"', 'cron: "* * * * *"')
    value = root / "assets/shop/order_value"
    edit(value / "product.yaml", "customProperties:\n", f"customProperties:\n{SCHEDULE}")
    edit(value / "product.yaml", "status: draft", "status: deprecated")  # which is scheduled, and asks for less
    edit(value / "transforms/order_value.sql", "sum(amount) AS spent", "error('broken') AS spent")


def dagster_home(home: Path, storage: str = "") -> Path:
    """Make a home for Dagster, on SQLite or on the PostgreSQL that `storage` is the URL of, and return it."""
    home.mkdir(parents=True)
    text = f"storage: {{postgres: {{postgres_url: '{storage}'}}}}\n" if storage else SQLITE.format(home)
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{text}", encoding="utf-8")
    return home


def dagster_database() -> str:
    """Return the URL of a new database in PostgreSQL, as Dagster's storage wants it; skips where there is none."""
    pytest.importorskip("dagster_postgres")
    return database().replace("postgresql:", "postgresql+psycopg2:")
