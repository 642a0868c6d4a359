"""What the README shows can be copied: its product loads, builds, refuses and fits a terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import yaml

from dataproducts.cli import main
from dataproducts.load import load_project
from tests.pages import ROOT, blocks, follow

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

README = ROOT / "README.md"


def test_product_of_the_readme_is_built_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files, typed in, give the release, the refusal and the rows that the page shows."""
    assert follow(README, tmp_path, monkeypatch) == 5
    (product,) = load_project(tmp_path).products
    assert "shop/orders" == product.address


def test_product_takes_fifteen_lines_of_yaml() -> None:
    """The descriptor and the contract are YAML and fifteen lines together."""
    texts = [block.text for block in blocks(README) if block.info == "yaml"]
    assert ["DataProduct", "DataContract"] == [yaml.safe_load(text)["kind"] for text in texts]
    assert sum(len(text.splitlines()) for text in texts) <= 15


def test_shown_output_fits_a_terminal_and_names_rules_that_exist() -> None:
    """No shown line is wider than 80 columns, and the excerpt of the demo is about rules of today."""
    shown = [block.text for block in blocks(README) if block.info in ("console run", "text")]
    assert [] == [line for text in shown for line in text.splitlines() if len(line) > 80]
    (excerpt,) = (block.text for block in blocks(README) if block.info == "text")
    address = excerpt.split()[0]
    product = next(found for found in load_project(ROOT, domain="retail").products if found.address == address)
    assert product.owner is not None
    assert f"{product.layer}, {product.status}, {product.owner.username}" in excerpt.splitlines()[0]
    rows = excerpt.splitlines()[2:-1]
    named = {name for row in rows for name in re.sub(r"^ {5}\S+", "", row).split()}
    assert {rule.name for rule in product.table("products").rules} == named


def test_make_targets_that_the_readme_names_exist() -> None:
    """Both commands are targets, and what they call is a command with these options."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "dev"):
        assert f"$ make {target}" in README.read_text(encoding="utf-8")
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE)
    (called,) = re.findall(r"\$\(BIN\)/dataproducts (\w+)(.*)", makefile)
    known = {option for parameter in main.commands[called[0]].params for option in parameter.opts}
    assert set(re.findall(r"(?<= )--[\w-]+", called[1])) <= known


def test_every_folder_of_the_map_is_there() -> None:
    """The map of folders names each folder of the project, and none that is not."""
    mapped = re.findall(r"^\| `(\w+)/` \|", README.read_text(encoding="utf-8"), re.MULTILINE)
    there = [path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "_"))]
    assert set(mapped) == set(there) - {"build", "dist"}
