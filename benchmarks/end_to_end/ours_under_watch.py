"""Run `dataproducts build` in this process and sample its stack: where its time goes, by kind of work.

Usage: `python ours_under_watch.py RESULT.json build`, in the project's folder. A second thread looks at the main
thread's stack every two milliseconds, also while DuckDB computes, and books the time since the last look to the
innermost frame that it knows. Nothing is wrapped, so that the build runs as it does without it, a few percent slower.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

_STARTED = time.perf_counter()
_EVERY_S = 0.002

# The first that fits the file of a frame, innermost frame first.
KINDS = (
    ("/dataproducts/ledger/", "ledger"),
    ("/dataproducts/rules/", "judge"),
    ("/dataproducts/judging", "judge"),
    ("/dataproducts/gate", "judge"),
    ("/dataproducts/recheck", "judge"),
    ("/dataproducts/verdict", "judge"),
    ("/dataproducts/serving", "serve"),
    ("/dataproducts/publish", "publish"),
    ("/dataproducts/release.", "publish"),
    ("/dataproducts/write", "write"),
    ("/dataproducts/store", "write"),
    ("/dataproducts/sources/", "write"),
    ("/dataproducts/transforms/stage", "write"),
    ("/dataproducts/transforms/frames", "write"),
    ("/dataproducts/consume", "write"),
    ("/dataproducts/declare/", "load/validate"),
    ("/dataproducts/load", "load/validate"),
    ("/dataproducts/policy", "load/validate"),
    ("/dataproducts/transforms/", "load/validate"),
    ("/dataproducts/trial", "load/validate"),
    ("/dataproducts/plan", "plan"),
    ("/dataproducts/compile/", "dagster"),
    ("/dagster", "dagster"),
    ("/dataproducts/cli/", "command line"),
    ("/dataproducts/", "rest of ours"),
)


def kind_of(frame: FrameType | None) -> tuple[str, str]:
    """Return the kind of work that `frame` stands in, and the detail: a package for imports, else a function."""
    innermost: tuple[str, str] | None = None
    imported = ""
    while frame is not None:
        name, code = frame.f_code.co_filename, frame.f_code
        if name.startswith("<frozen importlib") and code.co_name == "_find_and_load":
            # The outermost import that is under way is the one that somebody asked for.
            imported = str(frame.f_locals.get("name", ""))
        elif innermost is None and (found := _kind(name)):
            innermost = (found, f"{_short(name)}:{code.co_qualname}")
        frame = frame.f_back
    if imported:
        return "import", imported
    return innermost or ("other", "")


def _kind(file: str) -> str:
    return next((kind for part, kind in KINDS if part in file), "")


def _short(file: str) -> str:
    parts = Path(file).parts
    start = max((at for at, part in enumerate(parts) if part in {"dataproducts", "dagster"}), default=len(parts) - 1)
    return "/".join(parts[start:])


def _sample(thread: int, kinds: dict[str, float], details: dict[str, float], ended: threading.Event) -> None:
    last = time.perf_counter()
    while not ended.wait(_EVERY_S):
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
        kind, detail = kind_of(frame)
        now = time.perf_counter()
        kinds[kind] += now - last
        details[f"{kind}|{detail}"] += now - last
        last = now


def main(result: Path, words: list[str]) -> None:
    """Run the command line with `words`, and write the seconds by kind and detail to `result`."""
    sys.setswitchinterval(0.001)  # else the import machinery keeps the other thread waiting
    kinds: dict[str, float] = defaultdict(float)
    details: dict[str, float] = defaultdict(float)
    ended = threading.Event()
    watcher = threading.Thread(target=_sample, args=(threading.get_ident(), kinds, details, ended), daemon=True)
    watcher.start()
    code: object = 0
    try:
        from dataproducts.cli import main as command  # noqa: PLC0415 - its import is part of what is watched

        command(words, prog_name="dataproducts")
    except SystemExit as end:
        code = end.code
    finally:
        ended.set()
        watcher.join()
        facts = {"code": code, "watched_s": time.perf_counter() - _STARTED, "kinds": kinds, "details": details}
        result.write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    sys.path.pop(0)  # this folder's modules are none of the build's
    main(Path(sys.argv[1]), sys.argv[2:])
