"""The gate's benchmark on a small table: contenders agree, what they say is held against the truth."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import gate, publish_cost
from benchmarks.contenders import CONTENDERS, Contender, hold
from benchmarks.environments import PEERS
from benchmarks.measure import Limits, run
from benchmarks.orders import BROKEN_BY_ROWS, EVERY_ROW, RULES, contract
from benchmarks.report import section, spread, table, targets, write_docs
from dataproducts.load import conformance
from tests.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

OURS, BEST, NAIVE = CONTENDERS[:3]
LOCAL = [BEST.key, NAIVE.key]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what one round at ten thousand rows gave, of ours and of what is written by hand."""
    folder = tmp_path_factory.mktemp("figures")
    code = "import sys; from benchmarks import environments as e, gate; from pathlib import Path; "
    code += "gate.KEPT = Path(sys.argv[1]); sys.exit(gate.main(sys.argv[2:]))"
    asked = ["--rows", "10k", "--rounds", "1", "--no-warm-up", "--out", str(folder), "--only", *LOCAL]
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder / "kept"), *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads((folder / "gate-10k.json").read_text(encoding="utf-8"))


def found(figures: dict[str, Any], variant: str) -> dict[str, Any]:
    """Return the rows of one variant by key."""
    return {row["key"]: row for row in figures["variants"][variant]["contenders"]}


def test_all_pass_clean_rows_and_refuse_bad_ones_with_the_same_counts(figures: dict[str, Any]) -> None:
    """Ours and both hand-written ways tell every rule right on the clean and on the dirty table."""
    for variant, passes in (("clean", True), ("dirty", False)):
        for row in found(figures, variant).values():
            right = {"passed": passes, "wrong": [], "uncounted": [], "unjudged": []}
            assert (row["key"], "", right) == (row["key"], row["failure"], row["finding"])


def test_bad_rows_break_many_rules(figures: dict[str, Any]) -> None:
    """One row in a thousand is bad, and several rules are broken by them; the clean table breaks none."""
    clean, dirty = (figures["variants"][variant]["truth"] for variant in ("clean", "dirty"))
    assert {0} == set(clean.values())
    counted = {rule: dirty[rule] for rule in BROKEN_BY_ROWS if dirty[rule]}
    assert 5 <= sum(counted.values()) <= 20
    assert len(counted) >= 4


def test_figures_are_of_whole_processes(figures: dict[str, Any]) -> None:
    """Each run has a wall time, CPU seconds and a peak memory, and one of ours made next to it."""
    for row in found(figures, "clean").values():
        assert row["key"] == OURS.key or len(row["paired"]) == len(row["runs"]) == 1
        for figure in row["runs"]:
            assert 0 < figure["cpu_s"] < 60
            assert 0 < figure["wall_s"] < 60
            assert 20 < figure["peak_mb"] < 2000


def test_machine_has_no_name(figures: dict[str, Any]) -> None:
    """What is kept of the machine says how large it is, not which, and no file's place."""
    assert {"cores", "memory_gib", "system", "python", "load_before"} == figures["machine"].keys()
    text = json.dumps(figures)
    assert os.uname().nodename not in text
    assert str(ROOT) not in text


def test_table_has_a_row_for_everyone_and_the_failed_last(figures: dict[str, Any]) -> None:
    """A contender that gave nothing keeps its row, with its last line."""
    rows = figures["variants"]["clean"]["contenders"]
    absent = {**rows[1], "shown": "absent", "runs": [], "paired": [], "finding": None, "failure": "no | wheel"}
    changed = {**figures, "variants": {"clean": {**figures["variants"]["clean"], "contenders": [*rows, absent]}}}
    lines = [line.strip("| ").split(" | ") for line in table(changed, "clean").splitlines()]
    assert {9} == {len(line) for line in table_cells(table(changed, "clean"))}
    assert 2 + 4 == len(lines)
    assert lines[-1][0].startswith("absent")
    assert "`no / wheel`" in lines[-1][-1]
    assert "best hand-written queries" in targets(figures, "clean")


def table_cells(text: str) -> list[list[str]]:
    """Return the cells of every line of a Markdown table."""
    return [line[1:-1].split("|") for line in text.splitlines()]


def test_docs_are_written_between_their_marks_and_nowhere_else(figures: dict[str, Any], tmp_path: Path) -> None:
    """Only the section whose figures exist changes, and writing twice changes nothing more."""
    page = tmp_path / "page.md"
    kept = "# T\n\n<!-- gate 1m: x -->\nNot yet.\n<!-- end of gate -->\n\n"
    page.write_text(f"{kept}<!-- gate 10k: x -->\nNot yet.\n<!-- end of gate -->\nend\n", encoding="utf-8")
    (tmp_path / "gate-10k.json").write_text(json.dumps(figures), encoding="utf-8")
    assert ["10k"] == write_docs(page, tmp_path)
    once = page.read_text(encoding="utf-8")
    assert once == f"{kept}<!-- gate 10k: x -->\n\n{section(figures)}\n\n<!-- end of gate -->\nend\n"
    write_docs(page, tmp_path)
    assert once == page.read_text(encoding="utf-8")


def test_page_has_every_size_option_and_table_it_should() -> None:
    """The page has marks for three sizes, a row for every option, and tables whose lines are equally long."""
    text = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert ["1m", "10m", "100m"] == re.findall(r"^<!-- gate (\w+):", text, re.MULTILINE)
    helped = subprocess.run(
        [sys.executable, "-m", "benchmarks.gate", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    options = set(re.findall(r"^  (--[\w-]+)", helped.stdout, re.MULTILINE))
    assert set() == {option for option in options if f"`{option}`" not in text}
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert 1 == len({len(cells) for cells in table_cells(block)}), block


def test_what_is_wrong_uncounted_or_unjudged_is_told() -> None:
    """A number is compared with the way that the contender counts; a bool need only be right."""
    truth = dict.fromkeys(RULES, 0) | {"order_id.unique": 3, EVERY_ROW: 6, "status.enum": 2, "quantity.range": 1}
    counts: dict[str, int | bool] = dict.fromkeys(RULES, 0) | {"status.enum": True, "quantity.range": 4}
    del counts["row_count"]
    one = Contender("x", "x", duplicates=EVERY_ROW)
    finding = hold(one, {**counts, "order_id.unique": 6, "loaded_at.freshness": True}, truth)
    assert ("quantity.range: 4, right is 1", "loaded_at.freshness: fails, right is 0") == finding.wrong
    assert (("status.enum",), ("row_count",), False) == (finding.uncounted, finding.unjudged, finding.passed)


def test_contract_conforms_to_the_standard(tmp_path: Path) -> None:
    """No fault is found in the contract, with its promise of freshness or with a query in its place."""
    file = tmp_path / "orders.odcs.yaml"
    for text in (contract(), contract(freshness="{type: sql, query: 'SELECT 1', mustBe: 1}", server="orders.parquet")):
        file.write_text(text, encoding="utf-8")
        assert () == conformance(file)


def test_peers_are_pinned() -> None:
    """Every requirement of every environment that a contender names is a version, and no file is left over."""
    wanted = {one.environment for one in CONTENDERS if one.environment}
    assert wanted == {file.stem for file in PEERS.glob("*.txt")}
    for file in PEERS.glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert re.fullmatch(r"[\w.-]+(\[\w+\])?==[\d.]+", line), f"{file.name}: {line}"


@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("import time; time.sleep(60)", Limits(seconds=0.4), "killed after 0 s"),
        ("x = b'1' * 300_000_000\nimport time; time.sleep(60)", Limits(60, 2**27), "killed at 0.125 GiB"),
        ("raise SystemExit('no such thing')", Limits(), "no such thing"),
        ("print(1)", Limits(), ""),
    ],
)
def test_run_is_killed_at_its_limits_and_says_why(code: str, limits: Limits, why: str) -> None:
    """Too long, too large, failed, good: each is told."""
    done = run([sys.executable, "-c", code], folder=ROOT, env=os.environ, limits=limits)
    assert why == done.failure
    assert done.wall_s < 30


def test_harness_stays_small() -> None:
    """The measuring process loads no library, for the kernel counts a child's peak from its parent's size."""
    code = "import sys, benchmarks.gate, benchmarks.publish_cost; print([m for m in sys.modules if m in sys.argv])"
    heavy = ["duckdb", "pandas", "numpy", "yaml", "dataproducts"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize("name", ["3m", "1k", "", "10x", "-1m"])
def test_size_that_is_no_power_of_ten_is_refused(name: str) -> None:
    """Order ids are a permutation of powers of ten alone, and the contract wants ten thousand rows."""
    with pytest.raises(SystemExit, match="power of ten"):
        gate.rows_of(name)


def test_sizes_and_spreads_read_as_people_write_them() -> None:
    """Ten million is 10m; one value has no spread."""
    assert [10_000, 1_000_000, 100_000_000] == [gate.rows_of(name) for name in ("10k", "1M", "100m")]
    assert ("0.25", "2.00 (1.00 to 4.00)") == (spread([0.25]), spread([1, 2, 4]))


def test_cost_of_publishing_is_compared_run_by_run() -> None:
    """The table of what judging and publishing add has a row for each way, with both ratios."""
    figure = {"wall_s": 2.0, "cpu_s": 3.0, "peak_mb": 100.0}
    runs = {way: [figure, {**figure, "cpu_s": 6.0}] for way in publish_cost.WAYS}
    runs[publish_cost.LIBRARY] = [{**figure, "cpu_s": 3.3}, {**figure, "cpu_s": 6.9}]
    lines = publish_cost.table(runs).splitlines()
    assert 2 + 4 == len(lines)
    assert "1.12 (1.10 to 1.15)" in lines[2]
