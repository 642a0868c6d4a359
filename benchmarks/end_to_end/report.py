"""The results as JSON and as the tables of the docs page; it must not measure anything."""

from __future__ import annotations

import json
import os
import platform
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "end-to-end.json"
PAGE = ROOT / "docs" / "benchmarks-end-to-end.md"
_MIB = 2**20
KILLED = "kill -9"
_PATH = re.compile(r"(?<![\w.])/(?:[\w.+-]+/)+[\w.+-]*")


def machine() -> dict[str, Any]:
    """Return what one has to know of the machine, and nothing that names it."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": pages // _MIB,
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("dataproducts", "duckdb", "dagster")},
    }


def save(results: dict[str, Any], path: Path) -> None:
    """Write `results` to `path` as a whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".tmp")
    # Messages of tools name files of this machine.
    text = _PATH.sub("<path>", json.dumps(results, indent=1))
    beside.write_text(text + "\n", encoding="utf-8")
    beside.replace(path)


def write_docs(results: dict[str, Any]) -> None:
    """Put every table between its markers on the docs page; all else on the page stays."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables(json.loads(_PATH.sub("<path>", json.dumps(results)))).items():
        start = f"<!-- {name}: written by the command -->\n"
        before, mark, rest = text.partition(start)
        _, end, after = rest.partition("<!-- end -->")
        if not (mark and end):
            raise ValueError(f"{PAGE.name} lacks `{start.strip()}`, or `<!-- end -->` behind it")
        shown = table if table.startswith("|") else fill(table, 118)
        text = f"{before}{start}{shown}\n{end}{after}"
    PAGE.write_text(text, encoding="utf-8")


def tables(results: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the page by the name of their marker."""
    return {
        "times": _times(results),
        "readers": _readers(results),
        "where": _where(results.get("profile") or {}),
        "machine": _machine(results),
    }


def _grid(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell or ' ' for cell in line)} |" for line in lines)


def _times(results: dict[str, Any]) -> str:
    tools = results["tools"]
    ours = tools.get("ours", {}).get("next")
    rows = []
    for found in tools.values():
        if found.get("unavailable"):
            rows.append((found["title"], f"cannot run: {found['unavailable']}", "", ""))
            continue
        ratio = f"{found['next']['wall_s'] / ours['wall_s']:.2f}" if ours and found.get("next") else ""
        rows.append((found["title"], _cost(found.get("first")), _cost(found.get("next")), ratio))
    return _grid(("who", "first run: wall s / CPU s / MB", "next run", "next run, ours = 1"), rows)


def _cost(run: dict[str, Any] | None) -> str:
    if not run:
        return ""
    failed = f" (exit {run['code']})" if run["code"] else ""
    return f"{run['wall_s']:.1f} / {run['cpu_s']:.1f} / {run['peak_mb']:.0f}{failed}"


def _readers(results: dict[str, Any]) -> str:
    rows = []
    for found in results["tools"].values():
        if scenarios := found.get("scenarios"):
            watched = [seen for seen in scenarios if not seen["scenario"].startswith(KILLED)]
            killed = [seen for seen in scenarios if seen["scenario"].startswith(KILLED)]
            rows.append((found["title"], *map(_met, watched), _after_kills(killed)))
    head = ("who", "a good day", "bad rows in the first table", "rows that only the last table shows", "`kill -9`")
    return _grid(head, rows)


def _met(seen: dict[str, Any]) -> str:
    """What one scenario showed: the exit code, then a reader meanwhile, then a reader afterwards."""
    during = seen["during"]
    said = [
        f"**{words}** in {during[what]} of {during['seen']} looks"
        for what, words in (("bad", "bad rows"), ("mixed", "tables of two days"))
        if during.get(what)
    ]
    if during.get("absent"):
        said.append(f"**a table missing** in {during['absent']} looks")
    if during.get("locked"):
        said.append(f"locked out for {during['blind_s']:.1f} s")
    if seen["lost_runs"]:
        said.append(f"{seen['lost_runs']} run(s) failed because somebody read")
    meanwhile = "; ".join(said) or f"good in {during.get('seen', 0)} looks"
    return f"exit {seen['code']}; meanwhile {meanwhile}; afterwards {_after(seen['after'])}"


def _after(after: dict[str, Any]) -> str:
    if after["state"] != "seen":
        return f"**{after['state']}** ({after['why']})"
    said = [*(["bad rows"] if after["bad"] else []), *(["tables of two days"] if after["mixed"] else [])]
    return f"**{' and '.join(said)}**" if said else "good"


def _after_kills(killed: list[dict[str, Any]]) -> str:
    """The outcomes of all kills, with how often each came, and what the run after could not mend."""
    counts = Counter(_after(seen["after"]) for seen in killed)
    said = [f"{count} of {len(killed)} {outcome}" for outcome, count in counts.items()]
    return "; ".join([*said, *dict.fromkeys(seen["note"] for seen in killed if seen["note"])])


def _where(profile: dict[str, Any]) -> str:
    if not profile:
        return "Not profiled yet: run with `--profile`."
    kinds = list(dict.fromkeys([*profile["first"]["kinds"], *profile["next"]["kinds"]]))
    rows = [(kind, *(f"{profile[run]['kinds'].get(kind, 0):.2f}" for run in ("first", "next"))) for kind in kinds]
    rows.append(("**whole process**", *(f"**{profile[run]['wall_s']:.2f}**" for run in ("first", "next"))))
    return _grid(("kind of work", "first run, s", "next run, s"), rows)


def _machine(results: dict[str, Any]) -> str:
    facts = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    return (
        f"{facts['cores']} cores, {facts['memory_mb'] / 1024:.0f} GiB, Python {facts['python']}, {versions}; "
        f"medians of {results['rounds']} rounds; {results['rows']:,} purchase lines."
    )
