"""A deployment as docs/production.md describes it, below a folder instead of `/`: its project, and its units.

Nothing of it is installed: the units are read as systemd would, and their commands are started and ended here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psutil
import psycopg
import pytest

from dataproducts.ledger import Ledger
from dataproducts.store import Store
from tests import sample_project as sample
from tests.pages import ROOT, blocks
from tests.postgres import database, programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PRODUCTION = ROOT / "resources/production"
PAGE = ROOT / "docs/production.md"
HOLD = "hold"
"""A file of the project: as long as it is there, the transform of the orders waits."""
HELD = "held"
"""A file that the transform makes when it waits."""

_PRODUCT = sample.FILES[sample.ORDERS + "product.yaml"]
_CUSTOMERS = _PRODUCT[_PRODUCT.index("  - name: customers\n") : _PRODUCT.index("customProperties:")]
FILES = {
    sample.ORDERS + "product.yaml": _PRODUCT.replace(_CUSTOMERS, "").replace(
        '{cron: "0 4 * * *", timezone: Europe/Berlin}', '{cron: "* * * * *"}'
    ),
    sample.ORDERS + "design.yaml": sample.FILES[sample.ORDERS + "design.yaml"],
    sample.ORDERS + "contracts/orders.odcs.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: shop.orders.orders
version: 1.0.0
status: active
domain: shop
servers: [{server: till, type: local, path: data/orders.csv, format: csv}]
slaProperties: [{property: frequency, value: 1, unit: d}]
schema:
  - name: orders
    description: One row for each order.
    properties:
      - name: order_id
        businessName: Order
        description: Number of the order.
        logicalType: integer
        required: true
        primaryKey: true
        examples: [1]
      - name: amount
        businessName: Amount
        description: Sum of the order in euro.
        logicalType: number
        required: true
        examples: [9.95]
""",
    sample.ORDERS + "transforms/orders.py": f"""\
import time
from pathlib import Path

import pandas as pd


def orders(till: pd.DataFrame) -> pd.DataFrame:
    while Path("{HOLD}").exists():
        Path("{HELD}").touch()
        time.sleep(0.1)
    return till
""",
    "assets/growth/revenue/product.yaml": """\
apiVersion: v1.1.0
kind: DataProduct
id: growth.revenue
name: revenue
version: 1.0.0
status: draft
domain: growth
type: consumerAligned
description: {purpose: Revenue of the shop.}
team: {name: Growth, members: [{username: ana@shop.example, role: owner}]}
inputPorts: [{name: orders, version: 1.0.0, contractId: shop.orders.orders}]
outputPorts: [{name: revenue, version: 1.0.0, contractId: growth.revenue.revenue}]
""",
    "assets/growth/revenue/contracts/revenue.odcs.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: growth.revenue.revenue
version: 1.0.0
status: draft
schema: [{name: revenue, properties: [{name: revenue, logicalType: number, required: true}]}]
""",
    "assets/growth/revenue/transforms/revenue.sql": "SELECT sum(amount) AS revenue FROM orders\n",
    "data/orders.csv": "order_id,amount\n1,9.50\n2,12.00\n",
    "checks/__init__.py": "POLICIES = ()\nCUSTOM = {}\n",
}


def until(what: str, holds: Callable[[], Any], *, seconds: float = 90, said: Callable[[], str] = str) -> Any:
    """Return what `holds` gives as soon as that is true; fails after `seconds`, with what `said` has to say."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(OSError, KeyError):  # what is asked may not answer yet
            if found := holds():
                return found
        time.sleep(0.2)
    raise AssertionError(f"{what}: not within {seconds} s\n{said()}")


PROGRAMS = ("bash", "curl", "flock", "tar")
"""What the guide types in, and a machine may lack."""


@dataclass(frozen=True)
class Unit:
    """One service as its file has it: its commands, and whether it is started again."""

    commands: tuple[tuple[str, ...], ...]
    after: tuple[tuple[str, ...], ...]
    environment: Mapping[str, str]
    folder: str
    is_oneshot: bool
    runtime: str


@dataclass
class Deployment:
    """Everything of one host, below `root`: the page's paths, ports and domains are replaced by the test's."""

    root: Path
    port: int = 0
    metrics_port: int = 0
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    commands: Path = Path()

    @classmethod
    def make(cls, root: Path) -> Deployment:
        """Write the project and an empty database server; nothing is started yet."""
        server = database().partition("host=")[2]
        _forget(server)
        made = cls(root, free_port(), free_port())
        made.commands = programs()
        made.replaced = {
            "/usr/bin/flock": shutil.which("flock") or "flock",
            "/var/run/postgresql": server,
            "/var/": f"{root}/var/",
            "/etc/": f"{root}/etc/",
            "/srv/": f"{root}/srv/",
            "/run/dataproducts": f"{root}/run/dataproducts",
            "127.0.0.1:3000": f"127.0.0.1:{made.port}",
            "--port 3000": f"--port {made.port}",
            "127.0.0.1:9469": f"127.0.0.1:{made.metrics_port}",
            "--serve 9469": f"--serve {made.metrics_port}",
            "retail/customers": "shop/orders",
            "retail": "shop",
            "marketing": "growth",
        }
        for folder in ("etc/dataproducts", "etc/systemd/system", "var/lib/dataproducts", "var/backups/dataproducts"):
            (root / folder).mkdir(parents=True)
        made._write_project()
        return made

    @property
    def project(self) -> Path:
        """The project's folder."""
        return self.root / "srv/dataproducts"

    def _write_project(self) -> None:
        for name, content in FILES.items():
            path = self.project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        for domain in ("shop", "growth"):
            shutil.copy(ROOT / "assets/retail/definitions.py", self.project / f"assets/{domain}/definitions.py")
        (self.project / "resources").mkdir()
        for path in (ROOT / "resources").glob("*.py"):
            shutil.copy(path, self.project / "resources")
        (self.project / ".venv").symlink_to(sys.prefix, target_is_directory=True)
        for path in PRODUCTION.rglob("*.*"):
            if path.is_file():
                copy = self.project / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(self.here(path.read_text(encoding="utf-8")), encoding="utf-8")

    def here(self, said: str) -> str:
        """Return what the page or a file says, with what the test has in place of it."""
        for there, ours in self.replaced.items():
            said = said.replace(there, ours)
        return said

    # What the page says to type

    def follow(self, heading: str) -> str:
        """Type in what the page says below `heading`, and return what was printed; any command that fails, fails."""
        text = PAGE.read_text(encoding="utf-8")
        start = text.index(f"## {heading}\n")
        first = text.count("\n", 0, start)
        ends = text.find("\n## ", start + 1)
        last = text.count("\n", 0, ends if ends >= 0 else len(text))
        told = [block for block in blocks(PAGE) if first < block.line <= last and block.info == "console production"]
        assert told, heading
        return "".join(self.type_in(line) for block in told for line in _lines(block.text))

    def type_in(self, line: str) -> str:
        """Run one command line as the page would have it, and return what it printed."""
        line = self.here(line)
        if line.startswith("systemctl "):
            return self._systemctl(*shlex.split(line)[1:])
        ran = self.shell(line)
        assert ran.returncode == 0, f"{line}\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def shell(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line in the shell that the page has opened."""
        opened = next(block.text for block in blocks(PAGE) if block.info == "console shell")
        said = "\n".join(self.here(command) for command in _lines(opened))
        guarded = f"if [ -e {self.root}/etc/dataproducts/production.env ]; then\n{said}\nfi"
        script = f"cd {self.project}\n{guarded}\n{line}"
        command = ["bash", "-euo", "pipefail", "-c", script]
        return subprocess.run(command, env=self._clean(), capture_output=True, text=True, timeout=120, check=False)

    def _clean(self) -> dict[str, str]:
        """Return the environment of a login: nothing of the test's own, but where the server and its programs are."""
        return {
            "PATH": f"{self.commands}:{os.environ['PATH']}",
            "HOME": str(self.root),
            "LANG": "C.UTF-8",
            "PGHOST": self.replaced["/var/run/postgresql"],
            "PGUSER": "dataproducts",
            "COLUMNS": "80",
        }

    # What systemd does

    def _systemctl(self, verb: str, *names: str) -> str:
        match verb:
            case "daemon-reload":
                pass
            case "start" | "enable":
                for name in names:
                    if not name.startswith("--"):
                        self.start(name)
            case "stop":
                for name in names:
                    self.stop(name)
            case _:
                raise AssertionError(f"nobody taught the test systemctl {verb}")
        return ""

    def start(self, name: str) -> None:
        """Start a service, or what a target wants; timers are left to whoever starts their service."""
        if name.endswith(".target"):
            text = (self.root / "etc/systemd/system" / name).read_text(encoding="utf-8")
            for wanted in re.findall(r"^Wants=(.*)$", text, re.MULTILINE):
                for one in wanted.split():
                    self.start(one)
        elif name.endswith(".service"):
            self._start_service(name)
        else:
            assert (self.root / "etc/systemd/system" / name.replace(".timer", ".service")).exists(), name

    def _start_service(self, name: str) -> None:
        unit = self._unit(name)
        if unit.runtime:
            folder = self.root / "run" / unit.runtime
            folder.mkdir(parents=True, exist_ok=True)
        with self.log(name).open("ab") as log:
            for command in unit.commands:
                environment = self._clean() | unit.environment
                started = subprocess.Popen(
                    command, cwd=unit.folder, env=environment, stdout=log, stderr=log, start_new_session=True
                )
                if unit.is_oneshot:
                    assert started.wait(timeout=120) == 0, self.said(name)
                else:
                    self.running[name] = started
            for command in unit.after:
                subprocess.run(command, stdout=log, stderr=log, timeout=120, check=True)

    def _unit(self, name: str) -> Unit:
        stem, at, rest = name.partition("@")
        text = (self.root / "etc/systemd/system" / (f"{stem}@.service" if at else name)).read_text(encoding="utf-8")
        instance = rest.removesuffix(".service")
        told: dict[str, list[str]] = {}
        for line in text.replace("%i", instance).splitlines():
            if "=" in line and not line.startswith(("#", "[")):
                key, _, value = line.partition("=")
                told.setdefault(key, []).append(value)
        said: dict[str, str] = {}
        for path in told.get("EnvironmentFile", []):
            lines = Path(path).read_text(encoding="utf-8").splitlines()
            pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
            said |= {key: shlex.split(value)[0] for key, _, value in pairs}
        return Unit(
            commands=tuple(tuple(shlex.split(command)) for command in told["ExecStart"]),
            after=tuple(tuple(shlex.split(command)) for command in told.get("ExecStartPost", ())),
            environment=said,
            folder=told["WorkingDirectory"][0],
            is_oneshot=told.get("Type") == ["oneshot"],
            runtime=told.get("RuntimeDirectory", [""])[0],
        )

    def stop(self, name: str) -> None:
        """Stop a service or everything: politely, and after half a minute for good."""
        names = list(self.running) if name.endswith(".target") else [name]
        for one in names:
            self.running[one].send_signal(signal.SIGTERM)
        for one in names:
            with suppress(subprocess.TimeoutExpired):
                self.running[one].wait(timeout=30)
        self.kill(*names)

    def kill(self, *names: str) -> None:
        """End services, all if none is named, with every process that they started, at once and without a word."""
        names = names or tuple(self.running)
        doomed = [self.running.pop(name) for name in names]
        family: list[psutil.Process] = []
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                family += psutil.Process(process.pid).children(recursive=True)
        for process in doomed:
            process.kill()
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        for process in doomed:
            process.wait()
        psutil.wait_procs(family, timeout=10)
        for name in names:
            if "@" in name:
                shutil.rmtree(self.root / "run" / self._unit(name).runtime, ignore_errors=True)

    def log(self, name: str) -> Path:
        """Return where a service's output goes."""
        return self.root / f"{name}.log"

    def said(self, *names: str) -> str:
        """Return the last lines that services, all if none is named, have printed."""
        paths = [self.log(name) for name in names] or sorted(self.root.glob("*.log"))
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(encoding="utf-8").splitlines()[-15:]) for path in paths
        )

    # What Dagster's webserver tells

    def ask(self, query: str) -> Any:
        """Return the answer of the webserver to a GraphQL query."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            data=json.dumps({"query": query}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)["data"]

    def runs(self) -> list[dict[str, Any]]:
        """Return runs, newest first: `runId`, `status`, `jobName`, `tags`."""
        told = self.ask("{runsOrError{... on Runs{results{runId status jobName tags{key value}}}}}")
        found = told["runsOrError"]["results"]
        return [run | {"tags": {tag["key"]: tag["value"] for tag in run["tags"]}} for run in found]

    def run(self, run_id: str) -> dict[str, Any]:
        """Return one run, as `runs` does."""
        return next(run for run in self.runs() if run["runId"] == run_id)

    def launch(self, domain: str, job: str) -> str:
        """Start a run as the user interface does, and return its id; empty if the domain is not loaded yet."""
        where = f'repositoryLocationName:"{domain}",repositoryName:"__repository__",jobName:"{job}"'
        told = self.ask(
            f'mutation{{launchRun(executionParams:{{selector:{{{where}}},mode:"default"}})'
            "{... on LaunchRunSuccess{run{runId}}}}"
        )
        return str(told["launchRun"].get("run", {}).get("runId", ""))

    # What the ledger and its readers tell

    def head(self, product: str) -> int:
        """Return the number of the current release."""
        with self._ledger() as ledger:
            found = ledger.head(product)
        assert found is not None
        return found.number

    def refreshes(self, product: str) -> set[str]:
        """Return the ids of the refreshes that became releases."""
        with self._ledger() as ledger:
            return {release.refresh_id for release in ledger.releases(product)}

    def age(self, interval: str) -> None:
        """Let everything that the ledger has recorded be older by a PostgreSQL `interval`."""
        server = self.replaced["/var/run/postgresql"]
        with psycopg.connect(host=server, user="dataproducts", dbname="dataproducts") as con:
            for table, column in (("refresh", "started_at"), ("version", "created_at"), ("release", "published_at")):
                con.execute(f"UPDATE {table} SET {column} = {column} - interval '{interval}'")

    def _ledger(self) -> Ledger:
        return Ledger.open(f"postgresql://dataproducts@/dataproducts?host={self.replaced['/var/run/postgresql']}")

    def served(self, product: str, sql: str) -> list[tuple[Any, ...]]:
        """Return what a reader of the serving file sees."""
        path = Store(self.root / "var/lib/dataproducts/store").serve_path(product)
        with duckdb.connect(str(path), read_only=True) as con:
            return con.execute(sql).fetchall()


def _forget(server: str) -> None:
    """Make the role of the guide, and drop what another test has left."""
    with psycopg.connect(host=server, user="tester", dbname="postgres", autocommit=True) as con:
        for name in ("dataproducts", "dagster", "operations"):
            con.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        con.execute("DROP ROLE IF EXISTS dataproducts")
        con.execute("CREATE ROLE dataproducts LOGIN CREATEDB")


def free_port() -> int:
    """Return a port of the loopback device that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _lines(text: str) -> list[str]:
    """Return the commands of a block, joined where one ends in a backslash."""
    joined = text.replace("\\\n", " ")
    return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


@contextmanager
def on_a_host() -> Iterator[Deployment]:
    """Give a host with the project on it, and nothing else yet; its paths are short enough for sockets."""
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        pytest.skip(f"the guide needs {', '.join(absent)}, which this machine lacks")
    root = Path(tempfile.mkdtemp(prefix="dp-", dir="/tmp"))
    made = Deployment.make(root)
    try:
        yield made
    finally:
        made.kill()
        shutil.rmtree(root, ignore_errors=True)
