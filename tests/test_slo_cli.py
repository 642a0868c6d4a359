"""`dataproducts slo`, as a user runs it on a project that was built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dataproducts.cli.main import main
from tests.shop import make_shop

SCHEMA = Path(__file__).parents[1] / "docs/json/slo.schema.json"
SLO = """\
objectives:
  - {name: orders.latency, indicator: freshness, table: orders, column: ordered_on, at_most: 31h, target: 0.9}
  - {name: refresh_success, indicator: refresh_success, target: 1}
"""
RESOURCES = """\
from datetime import UTC, datetime
from pathlib import Path
from dataproducts import Environment
def for_environment(name=None):
    root = Path(__file__).parents[1]
    return Environment("test", root, root / ".dataproducts", clock=datetime(2024, 1, 11, 6, tzinfo=UTC))
"""


def run(root: Path, *words: str) -> int:
    """Run a command on the project at `root` and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(root), *words])
    return int(ended.value.code or 0)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a project whose orders were released once."""
    root = make_shop(tmp_path)
    (root / "assets/shop/orders/slo.yaml").write_text(SLO, encoding="utf-8")
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert 0 == run(root, "build", "shop/orders")
    capsys.readouterr()
    return root


def test_the_table_fits_a_terminal(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each objective has a row, each figure its column, no line is wider than 80, and the clock is told."""
    assert 0 == run(built, "slo", "shop/orders")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert ["objective", "target", "7", "d", "28", "d", "90", "d", "left", "burn", "state"] == lines[1].split()
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert ["90", "100", "100", "100", "100", "0.0", "kept"] == rows["orders.latency"]
    assert ["100", "100", "100", "100", "100", "0.0", "kept"] == rows["refresh_success"]
    assert "The clock is simulated: 2024-01-11 06:00 UTC" in " ".join(lines)


def test_json_is_as_documented(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is printed as JSON is in the schema, for products that were released and for one that never was."""
    assert 0 == run(built, "slo", "--json")
    told = json.loads(capsys.readouterr().out)
    assert ["shop/orders", "shop/revenue"] == [one["product"] for one in told]
    assert [] == list(Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).iter_errors(told))
    by_name = {one["objective"]: one for one in told[0]["objectives"]}
    assert (1, 1, "events") == tuple(by_name["refresh_success"][key] for key in ("good", "total", "unit"))


def test_check_fails_on_a_spent_budget_alone(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody described or classified the columns of the shop: that is spent, and fails only where it is asked for."""
    assert 0 == run(built, "slo", "shop/orders")
    assert 1 == run(built, "slo", "shop/orders", "--check")
    assert "spent" in capsys.readouterr().out
