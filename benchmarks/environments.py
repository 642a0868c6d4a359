"""An environment of its own for each peer, made once from its pinned requirements; it must not touch the project's."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PEERS = Path(__file__).resolve().parent / "peers"
KEPT = ROOT / "build" / "bench"  # data and environments: large, made again at will, not in the repository


class PeerError(Exception):
    """A peer that cannot be installed; the message is the last line that the installer said."""


def python_of(peer: str) -> Path:
    """Return the interpreter of the peer's environment, which is made if it is absent or its requirements changed.

    Raises: PeerError.
    """
    wanted = (PEERS / f"{peer}.txt").read_text(encoding="utf-8")
    folder = KEPT / "venvs" / peer
    python, done = folder / "bin" / "python", folder / "requirements.txt"
    if done.is_file() and done.read_text(encoding="utf-8") == wanted:
        return python
    _say([sys.executable, "-m", "venv", "--clear", str(folder)])
    _say([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(PEERS / f"{peer}.txt")])
    done.write_text(wanted, encoding="utf-8")
    return python


def compile_own() -> None:
    """Compile our own modules, as an installer does with those of every peer.

    They are run where they lie, and PYTHONDONTWRITEBYTECODE would have each process compile them anew.
    """
    for package in ("dataproducts", "benchmarks"):
        compileall.compile_dir(ROOT / package, quiet=2)


def versions(python: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """Return the installed versions of those of `packages` that are installed."""
    code = (
        "import importlib.metadata as m, json, sys; "
        "print(json.dumps({d.name.lower(): d.version for d in m.distributions() if d.name}))"
    )
    listed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    installed: dict[str, str] = json.loads(listed.stdout)
    return {name: installed[name] for name in packages if name in installed}


def _say(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise PeerError(lines[-1] if lines else f"exit code {done.returncode}")
