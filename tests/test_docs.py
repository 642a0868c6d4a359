"""The documentation is whole and true: everything public has a place in it, links resolve, and what runs was run."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click
import pytest
from jsonschema import Draft202012Validator

from dataproducts import errors
from dataproducts.cli import main
from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.declare.standards import read_schema
from dataproducts.finding import FindingKind
from dataproducts.objective import IndicatorKind, Spent
from dataproducts.product import Dimension, Layer, Operator, RuleKind, Severity, Status, Tier
from tests.pages import ROOT, blocks, follow, pages, prose, terms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
RUNNABLE = [
    "alerts",
    "changes",
    "contracts",
    "dagster",
    "data-sets",
    "incidents",
    "lifecycle",
    "pandera",
    "performance",
    "product",
    "profile",
    "quarantine",
    "results",
    "rules",
    "slo",
    "sources",
    "status",
    "storage",
    "testing",
    "tutorial",
]
READS_SHARED_DATA = {"data-sets"}  # real files, which lie beside the project only where they were given


def commands(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its full name."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


def subclasses(kind: type) -> set[str]:
    """Return the names of all errors of the module below `kind`, itself included."""
    found = {kind.__name__} if kind.__module__ == errors.__name__ else set()
    return found.union(*(subclasses(below) for below in kind.__subclasses__()))


@pytest.mark.parametrize("name", RUNNABLE)
def test_page_can_be_followed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the page says to write and type in does what the page says it does."""
    folder = tmp_path / "project"
    folder.mkdir()
    if name in READS_SHARED_DATA:
        if not (ROOT.parent / "shared/data").is_dir():
            pytest.skip("the page reads ../shared/data, which is not beside this project")
        (tmp_path / "shared").symlink_to(ROOT.parent / "shared", target_is_directory=True)
    assert follow(DOCS / f"{name}.md", folder, monkeypatch) > 1


def test_no_runnable_block_is_left_out() -> None:
    """Every page with a runnable block is among those that are followed, or is the README."""
    found = {page.stem for page in pages() if any(block.info.endswith(" run") for block in blocks(page))}
    assert {*RUNNABLE, "README"} == found


def test_every_command_and_option_is_documented() -> None:
    """Each command has a heading of its own, each option and argument a row below it."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## `dataproducts ?([^`]*)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    known = {"": main, **dict(commands(main))}
    assert known.keys() - {"releases list"} == sections.keys() - {"releases list"}
    for name, command in known.items():
        if name == "releases":
            continue
        for parameter in command.params:
            spelt = parameter.opts[-1] if isinstance(parameter, click.Option) else parameter.name.upper()
            row = rf"^\| `[^|]*{re.escape(spelt)}[ `,]"
            assert re.search(row, sections[name or ""], re.MULTILINE), f"{name or 'dataproducts'}: {spelt}"


def test_every_json_output_has_a_schema_that_the_docs_link() -> None:
    """Every command with --json has a schema file, valid as such, and cli.md links each of them."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    wanted = {
        name.removesuffix(" list").replace(" ", "-")
        for name, command in commands(main)
        if any("--json" in parameter.opts for parameter in command.params)
    }
    assert wanted == {path.name.removesuffix(".schema.json") for path in (DOCS / "json").iterdir()}
    for name in wanted:
        schema = json.loads((DOCS / f"json/{name}.schema.json").read_text(encoding="utf-8"))
        Draft202012Validator.check_schema(schema)
        assert f"(json/{name}.schema.json)" in text


def test_every_key_of_ours_is_documented() -> None:
    """Each custom property, at each place, and each key inside it has a row."""
    places = read_schema("custom.schema.json")["$defs"]
    product, contracts = terms(DOCS / "product.md"), terms(DOCS / "contracts.md") | terms(DOCS / "sources.md")
    contracts |= terms(DOCS / "rules.md") | {"implementation"}
    for place, schema in places.items():
        for name, inner in schema["properties"].items():
            found = product if place == "product" else contracts
            assert name in found, f"{place}: {name}"
            below = inner.get("then") or inner.get("items") or inner
            assert not (below.get("properties", {}).keys() - found), f"{place}: {name}"


def test_every_key_of_our_own_files_is_documented() -> None:
    """Each key of design.yaml has a row in product.md, of slo.yaml one in slo.md, of a unit test one in testing.md."""

    def keys(schema: object) -> Iterator[str]:
        if isinstance(schema, dict):
            yield from schema.get("properties", {})
            for inner in schema.values():
                yield from keys(inner)

    assert set() == set(keys(read_schema("design.schema.json"))) - terms(DOCS / "product.md")
    assert set() == set(keys(read_schema("slo.schema.json"))) - terms(DOCS / "slo.md")
    assert set() == set(keys(read_schema("tests.schema.json"))) - terms(DOCS / "testing.md")


def test_every_word_of_the_model_is_documented() -> None:
    """Each kind of rule, dimension, severity and operator has a row, and so has each status, layer and tier."""
    contracts, product = terms(DOCS / "contracts.md"), terms(DOCS / "product.md")
    for words in (RuleKind, Dimension, Severity, Operator):
        assert {str(word) for word in words} <= contracts
    for words in (Status, Layer, Tier):
        assert {str(word) for word in words} <= product
    for words in (IndicatorKind, Spent, FindingKind):
        assert {str(word) for word in words} <= terms(DOCS / "slo.md")


def test_every_kind_of_rule_has_an_example_that_runs() -> None:
    """A contract of rules.md that a shown command judges, or a build releases, has a rule of it; a row names it."""
    page = DOCS / "rules.md"
    typed = " ".join(block.text for block in blocks(page) if block.info == "console run")
    shown = set()
    for block in blocks(page):
        if block.file.endswith(".odcs.yaml"):
            assert f"--contract {block.file}" in typed or block.file.startswith("assets/"), block.file
            tables, faults = read_tables(parse_yaml(block.text, block.file))
            assert faults == ()
            shown |= {str(rule.kind) for table in tables for rule in table.rules}
    assert {str(kind) for kind in RuleKind} == shown
    assert shown <= terms(page)
    keys = read_schema("custom.schema.json")["$defs"]["rule"]["properties"]["implementation"]["properties"]
    told = set(re.findall(r"`(\w+)`", prose(page)))
    assert {*keys, *(key for inner in keys.values() for key in inner.get("properties", ()))} <= told


def test_every_error_is_documented() -> None:
    """Each class of the tree of errors has a heading or a row."""
    assert subclasses(errors.DataProductError) <= terms(DOCS / "errors.md")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_page_reads_well(page: Path) -> None:
    """No banned word, no path of one machine, no line that runs away, and every relative link has a target."""
    text = page.read_text(encoding="utf-8")
    assert [] == re.findall(r"(?i)\b(?:simply|just|easy|easily|obviously)\b", text)
    assert [] == re.findall(r"(?<![\w.:/])/(?:home|root|work|tmp|Users|mnt|opt)/\S*", text)
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith(("|", "{", "["))]
    assert [] == long
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_decisions_are_short_and_numbered() -> None:
    """Each decision is one page of sixty lines at most, the numbers run from 1 without a gap, each says why."""
    records = sorted((DOCS / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 60, path.name
        assert {"**Context.**", "**Decision.**", "**Rejected.**"} <= set(re.findall(r"\*\*\w+\.\*\*", text)), path.name


def test_shown_output_fits_a_terminal() -> None:
    """No line of a shown session is wider than 80 columns."""
    shown = [(page, block) for page in pages() for block in blocks(page) if block.info.startswith("console")]
    wide = [f"{page.name}: {line}" for page, block in shown for line in block.text.splitlines() if len(line) > 80]
    assert [] == wide
