"""Which code of the project an object runs: what may change a verdict changes the digest, a comment does not."""

from __future__ import annotations

import importlib
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from dataproducts.transforms.code import code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

FILES = {
    "checks/__init__.py": (
        "from functools import partial\n"
        "from checks.plain import known\nfrom checks.made import Lazy, closed\n"
        "from dataproducts.sql import quote\nimport os.path, json as j\n"
        "CUSTOM = {'known': known, 'lazy': Lazy('m'), 'closed': closed(3), 'part': partial(known, limit=2),\n"
        "          'suite': [{'type': 'expect_x'}], 'lambda': lambda rows: 0}\n"
    ),
    "checks/plain.py": "import shared.a.deep\ndef known(rows, limit=1):\n    return limit  # so many\n",
    "checks/made.py": (
        "class Lazy:\n    def __init__(self, name): self.name = name\n"
        "    def validate(self, frame):\n        from . import models\n        from .sub.more import k\n"
        "        return getattr(models, self.name)\n"
        "def closed(n):\n    return lambda rows: n\n"
    ),
    "checks/models.py": "from checks import made  # a circle\nm = 1\n",
    "checks/sub/__init__.py": "",
    "checks/sub/more.py": "from ..plain import known as k\n",
    "checks/alone.py": "x = 1\n",
    "checks/suites/größe.json": "{}",
    "shared/a/__init__.py": "",
    "shared/a/deep.py": "y = 1\n",
    "shared/table.csv": "a\n1\n",
}
ALL = ("known", "lazy", "closed", "part", "suite", "lambda")


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], dict[str, str]]]:
    """Write a project with rules of every form, and return what tells their digests as a new process would."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def forget() -> dict[str, ModuleType]:
        return {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] in {"checks", "shared"}}

    others = forget()

    def told() -> dict[str, str]:
        forget()
        importlib.invalidate_caches()
        custom = importlib.import_module("checks").CUSTOM
        return {name: code_of(name, made) for name, made in custom.items()}

    yield told
    forget()
    sys.modules |= others


@pytest.mark.parametrize(
    ("path", "old", "new", "moved"),
    [
        ("checks/plain.py", "# so many", "# how many", ()),
        ("checks/plain.py", "limit=1", "limit=2", ALL),
        ("checks/__init__.py", "limit=2", "limit=3", ("lazy", "closed", "part", "suite", "lambda")),
        ("checks/__init__.py", "expect_x", "expect_y", ("lazy", "closed", "part", "suite", "lambda")),
        ("checks/models.py", "m = 1", "m = 2", ("lazy", "closed", "part", "suite", "lambda")),
        ("checks/sub/more.py", "as k", "as kk", ("lazy", "closed", "part", "suite", "lambda")),
        ("checks/alone.py", "x = 1", "x = 2", ()),
        ("shared/a/deep.py", "y = 1", "y = 2", ALL),
        ("checks/suites/größe.json", "{}", "[]", ALL),
        ("checks/models.py", "m = 1", "m = = 2", ("lazy", "closed", "part", "suite", "lambda")),
    ],
)
def test_what_a_rule_runs_is_in_its_digest(digests, tmp_path, path, old, new, moved):
    """The module of a function and all that it imports count; of other objects, also where they were put together."""
    before = digests()
    file = tmp_path / path
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert set(moved) == {name for name, digest in digests().items() if digest != before[name]}


def test_equal_code_elsewhere_is_equal(digests, tmp_path, monkeypatch):
    """A checkout in another folder, and a second look, give the same digests; hidden files are no part of them."""
    before = digests()
    (tmp_path / "checks/.notes.json.swp").write_text("half", encoding="utf-8")
    assert before == digests()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moved").mkdir()
    for name in ("checks", "shared"):
        (tmp_path / name).rename(tmp_path / "moved" / name)
    monkeypatch.syspath_prepend(str(tmp_path / "moved"))
    assert before == digests()


def test_objects_without_a_file():
    """What was typed into a session is known by its bytecode, and a thing of Python's own is no fault."""
    made = {}
    for limit in (1, 2):
        exec(f"def f(rows): return {limit}", names := {"__name__": "session"})  # noqa: S102 - what a session does
        made[limit] = code_of("f", names["f"])
    assert made[1] != made[2]
    assert code_of("n", len) == code_of("n", ...) == code_of("n", partial(len))
