"""Markdown pages as tests see them: their headings, their rows, and their blocks, which can be followed step by step.

A block right after a line that ends with a file's name in backticks and a colon is that file. A block marked
`console run` is typed line by line, joined where one ends in a backslash, and its output compared; one marked
`python run` is executed in the same folder.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataproducts.cli import main

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:yaml|sql|py|csv|toml))`:\s*\Z")
_VARYING = (
    (r"(?m)\b\d+\.\d{3}$", "<seconds>"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<run>"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +", "<time> "),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(?![:\d]) *", "<time> "),
    (r"\b[0-9a-f]{8}\b", "<run>"),
    (r"\d+ enforced, \d+ monitored, \d+ declared-only, \d+ clauses", "<clauses>"),
)


@dataclass(frozen=True)
class Block:
    """One fenced block: its info string, its text, the file that it is (if it is one) and the line it starts in."""

    info: str
    text: str
    file: str
    line: int


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


def pages() -> list[Path]:
    """Return every Markdown page that is read on its own."""
    names = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
    return [*(ROOT / name for name in names), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        file = _FILE.search(before)
        found.append(Block(match[1], match[2], file[1] if file else "", before.count("\n") + 1))
    return found


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def terms(page: Path) -> set[str]:
    """Return what a page has a heading or a row for: code in headings and in the first cells of tables."""
    found: set[str] = set()
    for line in prose(page).splitlines():
        if line.startswith("#"):
            found.update(re.findall(r"`([^`]+)`", line))
        elif line.startswith("| "):
            found.update(re.findall(r"`([^`]+)`", line.split(" | ")[0]))
    return found


def follow(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Do what `page` says in the empty `folder`, and return how many steps ran."""
    steps = 0
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.info == "python run":
            monkeypatch.chdir(folder)
            exec(compile(block.text, where, "exec"), {})  # noqa: S102 - the page's own example
        elif block.info == "console run":
            _type_in(block, folder, where, monkeypatch)
        else:
            continue
        steps += 1
    return steps


def _type_in(block: Block, folder: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if commands and commands[-1][0].endswith("\\"):
            commands[-1] = (f"{commands[-1][0][:-1]}{line}", [])
        elif line.startswith("$ "):
            commands.append((line[2:], []))
        else:
            commands[-1][1].append(line)
    for command, expected in commands:
        typed, _, note = command.partition("  # exit code ")
        ran = _shell(typed, folder, monkeypatch)
        said = ran.out + ran.err
        assert int(note or 0) == ran.code, f"{where}: {typed}\n{said}"
        if expected:
            assert re.fullmatch(_pattern("\n".join(expected)), f"{_settled(said)}\n"), (
                f"{where}: {typed}\n{_settled(said)}"
            )


def _shell(typed: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run one line: `dataproducts …`, or `echo … >> file`, `mkdir -p …` and `cp`, which need no shell here."""
    words = shlex.split(typed)
    if words[0] == "dataproducts":
        return run(folder, *words[1:], monkeypatch=monkeypatch)
    if words[0] == "echo" and ">>" in words:
        at = words.index(">>")
        with (folder / words[at + 1]).open("a", encoding="utf-8") as file:
            file.write(" ".join(words[1:at]) + "\n")
        return Ran(0, "", "")
    raise AssertionError(f"nobody taught the test to run {typed!r}")


def run(folder: Path, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """Run the command line in `folder`, in this process, on a terminal of 80 columns that is none."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DAGSTER_HOME", str(folder / ".dagster"))
    for name in ("checks", "resources"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    paths = list(sys.path)
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(list(arguments), prog_name="dataproducts")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.path[:] = paths
        monkeypatch.delitem(sys.modules, "checks", raising=False)
        monkeypatch.delitem(sys.modules, "resources", raising=False)
        os.chdir(folder)
    return Ran(code, out.getvalue(), err.getvalue())


def _settled(text: str) -> str:
    """Return what a command said, without what differs from run to run, blank lines and blanks at line ends."""
    for pattern, name in _VARYING:
        text = re.sub(pattern, name, text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def _pattern(expected: str) -> str:
    """Return a pattern for what a page shows; a line of `...` stands for any lines."""
    parts = [r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in _settled(expected).splitlines()]
    return "".join(parts)
