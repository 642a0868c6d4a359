"""Options of the test run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add how long the fault test attacks, and a way to write golden files."""
    parser.addoption("--fault-seconds", default="25", help="for how long the fault test attacks (default: 25)")
    parser.addoption("--alert-rounds", default="1", help="rounds of five waves of alerts and kills (default: 1)")
    parser.addoption("--golden", action="store_true", help="write golden files anew")
