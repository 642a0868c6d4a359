"""From the figures of the gate's benchmark to the tables of the docs; it must not run anything."""

from __future__ import annotations

import json
import re
from statistics import median
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HEAD = ("who", "wall s", "CPU s", "peak MB", "wall to ours", "CPU to ours", "memory to ours", "verdict", "remarks")
_VARIANTS = {"clean": "clean", "dirty": "0.1 % bad rows"}
_MARKED = re.compile(r"(<!-- gate (\w+): [^\n]*-->\n)(.*?)(<!-- end of gate -->)", re.DOTALL)


def ratios(of: Sequence[Mapping[str, float]], to: Sequence[Mapping[str, float]], figure: str) -> list[float]:
    """Return the ratios of one figure, pair by pair: runs at the same place were made one after the other."""
    return [one[figure] / other[figure] for one, other in zip(of, to, strict=True)]


def spread(values: Sequence[float]) -> str:
    """Return the median of `values`, and the least and the greatest of them where there are several."""
    shown = f"{median(values):.2f}"
    return shown if len(values) == 1 else f"{shown} ({min(values):.2f} to {max(values):.2f})"


def table(result: Mapping[str, Any], variant: str) -> str:
    """Return one variant's figures as a Markdown table, the contenders in the order of their wall time."""
    rows = result["variants"][variant]["contenders"]
    done = sorted((row for row in rows if row["runs"]), key=lambda row: median(run["wall_s"] for run in row["runs"]))
    failed = [row for row in rows if not row["runs"]]
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    lines += [_line(_cells(row)) for row in (*done, *failed)]
    return "\n".join(lines)


def _cells(row: Mapping[str, Any]) -> list[str]:
    who = f"{row['shown']} {_versions(row['versions'])}".strip()
    remarks = "; ".join(part for part in (row["remark"], row["failure"] and f"`{row['failure']}`") if part)
    if not row["runs"]:
        return [who, *["-"] * 6, "none", remarks]
    figures = [
        f"{median(run[figure] for run in row['runs']):{form}}"
        for figure, form in (("wall_s", ".2f"), ("cpu_s", ".2f"), ("peak_mb", ".0f"))
    ]
    compared = [
        spread(ratios(row["runs"], row["paired"], figure)) if row["paired"] else "1"
        for figure in ("wall_s", "cpu_s", "peak_mb")
    ]
    return [who, *figures, *compared, _verdict(row), remarks]


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(versions.values())


def _verdict(row: Mapping[str, Any]) -> str:
    found = row["finding"]
    told = "passes" if found["passed"] else "refuses"
    if found["wrong"]:
        return f"{told}; **wrong**: {'; '.join(found['wrong'])}"
    parts = [f"{told}, right"]
    if found["uncounted"]:
        parts.append(f"no number for {len(found['uncounted'])} rules")
    if found["unjudged"]:
        parts.append(f"not judged: {', '.join(found['unjudged'])}")
    return "; ".join(parts)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


_WIDTH = 118  # of a line of text in the docs


def targets(result: Mapping[str, Any], variant: str) -> str:
    """Return how ours stands to the fastest peer and to the best that is written by hand, as one sentence."""
    rows = [row for row in result["variants"][variant]["contenders"] if row["runs"] and row["paired"]]
    parts = []
    peers = [row for row in rows if row["is_peer"]]
    if peers:
        fastest = min(peers, key=lambda row: median(run["wall_s"] for run in row["runs"]))
        wall, memory = (ratios(fastest["paired"], fastest["runs"], figure) for figure in ("wall_s", "peak_mb"))
        parts.append(
            f"ours takes {spread(wall)} of the time and {spread(memory)} of the memory of the fastest peer "
            f"({fastest['shown']})"
        )
    for row in rows:
        if row["key"] == "hand-written-best":
            wall = ratios(row["paired"], row["runs"], "wall_s")
            parts.append(f"{spread(wall)} times the time of the best hand-written queries")
    return f"{' and '.join(parts)}." if parts else ""


def section(result: Mapping[str, Any]) -> str:
    """Return everything that the docs show of one size."""
    machine = result["machine"]
    measured = [variant["contenders"] for variant in result["variants"].values()]
    rounds = max((len(row["runs"]) for rows in measured for row in rows if row["paired"]), default=0)
    size = f"{result['rows']:,}".replace(",", " ")
    told = f"{size} rows, {machine['cores']} cores, {machine['memory_gib']} GiB, {machine['system']}, "
    parts = [f"{told}Python {machine['python']}, {rounds} pairs of each contender with ours."]
    for variant, shown in _VARIANTS.items():
        if variant in result["variants"]:
            megabytes = result["variants"][variant]["file_mb"]
            sentence = targets(result, variant)
            parts.append(fill(f"{shown.capitalize()}, {megabytes:.0f} MB: {sentence}".rstrip(": "), _WIDTH))
            parts.append(table(result, variant))
    return "\n\n".join(parts)


def write_docs(page: Path, results: Path) -> list[str]:
    """Put the figures of each size between its marks in `page` and return the sizes that were written."""
    written: list[str] = []

    def filled(match: re.Match[str]) -> str:
        file = results / f"gate-{match[2]}.json"
        if not file.is_file():
            return match[0]
        written.append(match[2])
        result = json.loads(file.read_text(encoding="utf-8"))
        return f"{match[1]}\n{section(result)}\n\n{match[4]}"

    text = page.read_text(encoding="utf-8")
    page.write_text(_MARKED.sub(filled, text), encoding="utf-8")
    return written
