"""Options of the test run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add how long the fault test attacks, and a way to write golden files."""
    parser.addoption("--fault-seconds", default="25", help="for how long the fault test attacks (default: 25)")
    parser.addoption("--alert-rounds", default="1", help="rounds of five waves of alerts and kills (default: 1)")
    parser.addoption("--golden", action="store_true", help="write golden files anew")


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let each project import its own `resources` and `checks`, not those of another test, and leave none behind."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {name: sys.modules.pop(name) for name in ("resources", "checks") if name in sys.modules}
    yield
    for name in ("resources", "checks"):
        sys.modules.pop(name, None)
    sys.modules.update(before)
