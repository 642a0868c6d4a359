"""`dataproducts changes` compares revisions of a real repository, tells who is affected, and refuses what breaks."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from tests.pages import ROOT, Ran, run
from tests.shop import make_shop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ORDERS = "assets/shop/orders/contracts/orders.odcs.yaml"
REVENUE = "assets/shop/revenue/product.yaml"
CONSUMERS = (
    "customProperties:\n  - {property: consumers, value: [{persona: Planner, contact: p@x.org, port: revenue}]}\n"
)
DESIGN = "metrics:\n  - {name: sales, formula: sum, unit: EUR, grain: customer, columns: [revenue.revenue]}\n"


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder`, as nobody in particular and without anybody's settings."""
    names = {f"GIT_{who}_{what}": "x@x.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_GLOBAL": os.devnull, **names}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything below `folder` and return the commit."""
    git(folder, "add", "--all", ".")
    git(folder, "commit", "--quiet", "--message", message)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the shop in its subfolder `däta [1] platform`, committed on the branch main."""
    root = make_shop(tmp_path / "repository/däta [1] platform", days=2)
    file = root / REVENUE
    file.write_text(file.read_text(encoding="utf-8") + CONSUMERS, encoding="utf-8")
    (root / "assets/shop/revenue/design.yaml").write_text(DESIGN, encoding="utf-8")
    for product in root.glob("assets/shop/*/product.yaml"):
        product.write_text(product.read_text(encoding="utf-8").replace("status: draft", "status: active"), "utf-8")
    git(root.parent, "init", "--quiet", "--initial-branch=main")
    # What is left out of archives is part of the project all the same.
    (root.parent / ".gitattributes").write_text("*.sql export-ignore\n*.yaml text eol=crlf\n", encoding="utf-8")
    commit(root.parent, "first")
    return root


def edit(root: Path, path: str, before: str, after: str) -> None:
    """Replace one text in one file of the project."""
    file = root / path
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run the command line in a folder."""

    def ran(folder: Path, *arguments: str) -> Ran:
        return run(folder, "changes", *arguments, monkeypatch=monkeypatch)

    return ran


def facts(ran: Ran) -> dict[str, object]:
    """Return the JSON that a command printed, which follows its documented schema."""
    schema = json.loads((ROOT / "docs/json/changes.schema.json").read_text(encoding="utf-8"))
    found: dict[str, object] = json.loads(ran.out)
    Draft202012Validator(schema).validate(found)
    return found


def test_nothing_changed(repository: Path, shell: Callable[..., Ran]) -> None:
    """A clean working tree has no change against its own commit, whatever `.gitattributes` does to archives."""
    ran = shell(repository, "main")
    assert (0, "") == (ran.code, ran.err)
    assert "working tree: nothing changed" in " ".join(ran.out.split())


def test_working_tree_against_a_branch(repository: Path, shell: Callable[..., Ran]) -> None:
    """A breaking change that is not committed is refused, with its lines, and everybody who meets it is named."""
    edit(repository, ORDERS, "      - name: amount\n", "      - name: price\n")
    ran = shell(repository / "assets/shop", "main", "--json")
    found = facts(ran)
    assert (1, True, "breaking") == (ran.code, found["refused"], found["grade"])
    (contract, product) = found["graded"]
    (change,) = contract["changes"]
    assert ("column_renamed", "amount", "price") == (change["kind"], change["before"], change["after"])
    assert (ORDERS, 20) == (change["path"], change["line"])
    told = [(reader["kind"], reader["product"], reader["name"], reader["columns"]) for reader in change["affected"]]
    assert [
        ("table", "shop/revenue", "revenue", ["revenue"]),
        ("metric", "shop/revenue", "sales", []),
        ("rule", "shop/revenue", "revenue.same_total", []),
        ("consumer", "shop/revenue", "Planner, p@x.org", []),
    ] == told
    assert ["2.0.0", "2.0.0"] == [contract["version_asked"], product["version_asked"]]
    assert [ORDERS, "assets/shop/orders/product.yaml"] == [fault["path"] for fault in found["faults"]]


def test_a_column_that_only_joins_is_relied_on_too(repository: Path, shell: Callable[..., Ran]) -> None:
    """Of a column that a transform groups or filters by, the reading table relies on with all its rows."""
    edit(repository, "assets/shop/revenue/transforms/revenue.sql", "GROUP", "WHERE ordered_on > '2024-01-01' GROUP")
    commit(repository, "filter")
    edit(
        repository,
        ORDERS,
        "{name: ordered_on, logicalType: date, required: true}",
        "{name: ordered_on, logicalType: date}",
    )
    found = facts(shell(repository, "main", "--json"))
    change = next(c for one in found["graded"] for c in one["changes"] if c["kind"] == "required_removed")
    assert ("table", "revenue", []) == tuple(change["affected"][0][key] for key in ("kind", "name", "columns"))


def test_two_revisions(repository: Path, shell: Callable[..., Ran]) -> None:
    """Two commits are compared whatever the working tree holds; a branch, a tag and `HEAD~1` name commits as well."""
    edit(repository, ORDERS, "logicalTypeOptions: {minimum: 0}", "logicalTypeOptions: {minimum: 1}")
    second = commit(repository, "tighter")
    git(repository, "tag", "v2", second)
    edit(repository, ORDERS, "unique: true, ", "")
    ran = shell(repository, "HEAD~1", "v2", "--json")
    found = facts(ran)
    assert ["range_narrowed"] == [change["kind"] for one in found["graded"] for change in one["changes"]]
    assert f"v2 ({second[:10]})" == found["head"]
    assert ["range_narrowed", "unique_removed"] == sorted(
        change["kind"] for one in facts(shell(repository, "HEAD~1", "--json"))["graded"] for change in one["changes"]
    )


def test_a_project_that_was_not_there_yet(repository: Path, shell: Callable[..., Ran]) -> None:
    """Against a commit without the project, every product is new, and nothing is refused."""
    git(repository, "checkout", "--quiet", "--orphan", "empty")
    git(repository, "rm", "--quiet", "-r", "--cached", ".")
    git(repository, "commit", "--quiet", "--allow-empty", "--message", "empty")
    ran = shell(repository, "empty", "main")
    assert (0, 2) == (ran.code, ran.out.count("product_added"))


def test_ends_are_as_of_a_day(repository: Path, shell: Callable[..., Ran]) -> None:
    """A product may be deleted after its sunset: `--as-of` says which day it is."""
    edit(
        repository,
        REVENUE,
        "customProperties:\n",
        "customProperties:\n  - {property: sunsetDate, value: '2026-03-31'}\n",
    )
    commit(repository, "sunset")
    for file in sorted((repository / "assets/shop/revenue").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert (1, 0) == tuple(shell(repository, "main", "--as-of", day).code for day in ("2026-03-31", "2026-04-01"))


def test_the_table_fits_a_terminal(repository: Path, shell: Callable[..., Ran]) -> None:
    """At 80 columns no line of the table is cut or longer, and grade, kind, values, reason and place are in it."""
    edit(
        repository,
        ORDERS,
        "      - name: amount\n        logicalType: number",
        "      - name: amount\n        logicalType: string",
    )
    ran = shell(repository, "main")
    assert max(map(len, ran.out.splitlines())) <= 80
    said = " ".join(ran.out.split())
    for wanted in (
        "breaking type_changed orders.amount.type: DOUBLE → VARCHAR",
        "readers meet values of another kind",
        f"{ORDERS}:21",
        "table shop/revenue.revenue (revenue)",
        "contract shop.orders.orders 1.0.0, asks for 2.0.0",
    ):
        assert wanted in said
    assert "2 faults." in ran.err


def test_markdown_is_a_comment_that_nobody_can_take_over(repository: Path, shell: Callable[..., Ran]) -> None:
    """The comment has a row for each change; a name with markup in it neither breaks the table nor calls anybody."""
    edit(repository, ORDERS, "      - name: amount\n", "      - name: 'a|b <b> @all `x` [y](z)'\n")
    ran = shell(repository, "main", "--markdown")
    assert 1 == ran.code
    rows = [line for line in ran.out.splitlines() if line.startswith("| breaking")]
    assert [5] == [row.replace("\\|", "").count("|") for row in rows]
    assert not {"@all", "<b>", "[y]"} & set(ran.out.replace("`orders", "").split())
    assert "**Refused**" in ran.out
    assert "p&#64;x.org" in ran.out, "an address can be copied"


def test_no_version_and_no_id_gets_into_a_comment_as_markup(repository: Path, shell: Callable[..., Ran]) -> None:
    """A version with a picture and a call in it, and an id of two lines, stay text on the line where they are told."""
    name = r'"shop.orders.orders\n\n# Approved by @org/team"'
    edit(repository, ORDERS, "id: shop.orders.orders", f"id: {name}")
    edit(repository, "assets/shop/orders/product.yaml", "contractId: shop.orders.orders", f"contractId: {name}")
    commit(repository, "id")
    hostile = r'"2.0.0 @org/team\n\n# ![x](https://x.org/x.png) ~~x~~ _x_"'
    edit(repository, ORDERS, "version: 1.0.0", f"version: {hostile}")
    edit(repository, ORDERS, "unique: true, ", "")
    ran = shell(repository, "main", "--markdown")
    assert [] == [line for line in ran.out.splitlines() if line.startswith("# ")]
    assert not re.search(r"@org|!\[|\]\(|~~|_x_", re.sub(r"`[^`]*`", "", ran.out))
    shown = html.unescape(re.sub(r"`[^`]*`", "", ran.out))
    assert not re.search(r"(?<!\w)@\w", shown), "what the page shows calls nobody"
    heading = next(line for line in ran.out.splitlines() if line.startswith("#### contract"))
    assert heading.startswith(
        "#### contract `shop.orders.orders  # Approved by @org/team` 1.0.0 → 2.0.0 &#64;&#8203;org/team  &#35;"
    )


def test_folders_and_lone_contracts(repository: Path, shell: Callable[..., Ran], tmp_path: Path) -> None:
    """Two projects, two products' folders and two contracts compare without git."""
    other = make_shop(tmp_path / "other", days=2)
    edit(other, ORDERS, "{name: order_id, logicalType: integer, required: true, unique: true, primaryKey: true}",
         "{name: order_id, logicalType: integer, required: true, primaryKey: true}")  # fmt: skip
    same = make_shop(tmp_path / "same", days=2)
    for inside in ("", "assets/shop/orders", ORDERS):
        found = facts(shell(tmp_path, "--folders", str(same / inside), str(other / inside), "--json"))
        kinds = [change["kind"] for one in found["graded"] for change in one["changes"]]
        assert ["unique_removed"] == kinds, inside


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "has no revision 'nowhere'. Fetch it first"),
        (("--", "--output=x"), "'--output=x' is no revision"),
        (("main", "--json", "--markdown"), "choose one"),
        (("main", "--folders"), "name the second"),
        (("--folders", "a", "b"), "does not exist"),
        (("--folders", ".", "data"), "data declares nothing"),
    ],
)
def test_what_cannot_be_compared(
    repository: Path, shell: Callable[..., Ran], arguments: tuple[str, ...], said: str
) -> None:
    """Wrong usage ends with exit code 2, says what to do, and leaves nothing behind."""
    ran = shell(repository, *arguments)
    assert 2 == ran.code
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert "" == git(repository, "status", "--porcelain")


def test_without_a_repository(tmp_path: Path, shell: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of any repository, and where git is not installed, the way out is named."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    ran = shell(make_shop(tmp_path / "alone", days=1), "main")
    assert (2, True) == (ran.code, "Compare two folders with --folders" in ran.err)
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = shell(tmp_path / "alone", "main")
    assert (2, True) == (ran.code, "git is not installed" in ran.err)


def test_links_and_other_files_of_a_revision_are_left_alone(repository: Path, shell: Callable[..., Ran]) -> None:
    """A link out of the repository is not followed, data is not copied, and a name in any letters is."""
    (repository / "assets/shop/orders/contracts/passwd.odcs.yaml").symlink_to("/etc/passwd")
    (repository / "assets/shop/Ünder wäter").mkdir()
    (repository / "assets/shop/Ünder wäter/product.yaml").write_text("name: [", encoding="utf-8")
    commit(repository, "strange")
    ran = shell(repository, "HEAD", "HEAD")
    assert "root:" not in ran.out + ran.err
    assert "Ünder wäter/product.yaml" in ran.err


def test_a_file_that_is_no_contract_is_not_compared(repository: Path, shell: Callable[..., Ran]) -> None:
    """A product.yaml, or anything else that is no contract, is refused with what it is and what to name instead."""
    (repository / "notes.yaml").write_text("- a note\n", encoding="utf-8")
    product = "assets/shop/orders/product.yaml"
    for pair in ((ORDERS, product), (product, ORDERS), (ORDERS, "notes.yaml")):
        ran = shell(repository, "--folders", *pair)
        other = next(name for name in pair if name != ORDERS)
        assert (2, True) == (ran.code, f"{other} is no contract" in ran.err), ran
        assert "Name a folder or a contract" in ran.err
