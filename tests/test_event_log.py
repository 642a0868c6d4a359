"""Dagster's storage with open files is Dagster's storage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._check import CheckError

from dataproducts.compile import event_log

OURS = """\
event_log_storage: {module: dataproducts.compile.event_log, class: EventLog}
run_storage: {module: dataproducts.compile.event_log, class: RunLog}
schedule_storage: {module: dataproducts.compile.event_log, class: Ticks}
"""
ELSEWHERE = "event_log_storage: {{module: dataproducts.compile.event_log, class: EventLog, config: {{base_dir: {}}}}}\n"


@dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="table")])
def table():
    """Make something, with a check."""
    yield dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True, check_name="good")])


def instance(home: Path, settings: str = "") -> dg.DagsterInstance:
    """Return the instance of `home`, with these lines of settings."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(f"telemetry: {{enabled: false}}\n{settings}", encoding="utf-8")
    return dg.DagsterInstance.from_config(str(home))


def kinds(found: dg.DagsterInstance, run_id: str) -> list[str]:
    """Return the kinds of events of a run, in order."""
    return [log.dagster_event_type.value for log in found.all_logs(run_id) if log.is_dagster_event]


def opened(folder: Path) -> set[str]:
    """Return the databases below `folder` that this process has open."""
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.exists()]
    return {Path(link).name for link in links if link.startswith(f"{folder}/") and link.endswith(".db")}


@pytest.fixture(autouse=True)
def _home(monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))


def test_either_storage_reads_what_the_other_wrote(tmp_path):
    """One home, once with Dagster's storage and once with ours: the same events, checks and materializations."""
    home = tmp_path / "home"
    runs = {}
    for settings in (OURS, "", OURS):
        with instance(home, settings) as ours:
            run = dg.materialize([table], instance=ours)
            runs[run.run_id] = kinds(ours, run.run_id)
    assert len(set(map(tuple, runs.values()))) == 1
    for settings in (OURS, ""):
        with instance(home, settings) as ours:
            assert {run_id: kinds(ours, run_id) for run_id in runs} == runs
            assert {run.run_id for run in ours.get_runs() if run.is_success} == set(runs)
            assert len(ours.fetch_materializations(dg.AssetKey("table"), limit=10).records) == len(runs)
            key = dg.AssetCheckKey(dg.AssetKey("table"), "good")
            assert len(ours.event_log_storage.get_asset_check_execution_history(key, limit=10)) == len(runs)


def shape(path: Path) -> tuple[list[tuple[str, ...]], list[tuple[str]], str]:
    """Return the tables and indexes of a file, its revision, and how it is written."""
    with closing(sqlite3.connect(path)) as con:
        tables = con.execute("SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        revision = con.execute("SELECT version_num FROM alembic_version").fetchall()
        return tables, revision, con.execute("PRAGMA journal_mode").fetchone()[0]


def test_a_run_has_the_file_that_dagster_would_make(tmp_path):
    """Made without a migration, a run's file has the tables, indexes and revision of one that Dagster migrated."""
    made = {}
    for settings in (OURS, ""):
        with instance(tmp_path / "home", settings) as ours:
            made[settings] = dg.materialize([table], instance=ours).run_id
    folder = tmp_path / "home" / "history" / "runs"
    assert shape(folder / f"{made[OURS]}.db") == shape(folder / f"{made['']}.db")


def test_a_file_that_somebody_else_makes_meanwhile(tmp_path, monkeypatch):
    """Between the look whether there is a file and making it, another process makes it: both log."""
    made = event_log._make

    def late(engine):
        made(engine)
        made(engine)

    monkeypatch.setattr(event_log, "_make", late)
    with instance(tmp_path / "home", OURS) as ours:
        run = dg.materialize([table], instance=ours)
        assert "ASSET_MATERIALIZATION" in kinds(ours, run.run_id)


@pytest.mark.parametrize("path", ["history/runs.db", "schedules/schedules.db"])
@pytest.mark.parametrize("damage", ["", "DELETE FROM alembic_version", "DROP TABLE alembic_version"])
def test_a_file_that_is_not_made_to_the_end_is_made(tmp_path, path, damage):
    """An empty file, or one whose revision was never noted, is brought to the end by Dagster's own way."""
    file = tmp_path / "home" / path
    with instance(tmp_path / "home", OURS):
        tables = shape(file)[0]
    if damage:
        with closing(sqlite3.connect(file)) as con, con:
            con.execute(damage)
    else:
        file.unlink()
        file.touch()
    with instance(tmp_path / "home", OURS) as ours:
        assert dg.materialize([table], instance=ours).success
        assert ours.all_instigator_state() == []
    again, revision, _ = shape(file)
    assert ({name for _, name, _ in again}, len(revision)) == ({name for _, name, _ in tables}, 1)


def test_events_of_a_batch_are_stored_as_they_are_one_by_one(tmp_path, monkeypatch):
    """What a run plans is stored as one transaction: the same log, in the run's file and in the index."""
    told = []
    for size in ("0", "100"):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", size)
        monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / size))
        with instance(tmp_path / size, OURS) as ours:
            run = dg.materialize([table], instance=ours)
            key = dg.AssetCheckKey(dg.AssetKey("table"), "good")
            seen = ours.event_log_storage.get_asset_check_execution_history(key, limit=10)
        with closing(sqlite3.connect(tmp_path / size / "history" / "runs" / "index.db")) as con:
            kept = con.execute("SELECT dagster_event_type FROM event_logs ORDER BY id").fetchall()
        with instance(tmp_path / size, OURS) as ours:
            told.append((kinds(ours, run.run_id), [check.status for check in seen], kept))
    assert told[0] == told[1]


def test_a_batch_that_cannot_be_stored_leaves_nothing(tmp_path):
    """One event that cannot be written takes back those before it, in the run's file and in the index."""
    with instance(tmp_path / "home", OURS) as ours:
        run = dg.materialize([table], instance=ours)
        before = kinds(ours, run.run_id)
        made = [
            log for log in ours.all_logs(run.run_id) if log.step_key and "MATERIALIZATION" in log.dagster_event_type
        ]
        assert len(made) == 2
        with pytest.raises(CheckError):
            ours.event_log_storage.store_event_batch([*made, None])
        assert kinds(ours, run.run_id) == before
        assert len(ours.fetch_materializations(dg.AssetKey("table"), limit=10).records) == 1


def test_files_lie_where_the_settings_say(tmp_path):
    """With `base_dir` there; without it where Dagster's own storage would have put them."""
    for settings, folder in ((ELSEWHERE.format(tmp_path / "logs"), tmp_path / "logs"), (OURS, tmp_path / "home")):
        with instance(tmp_path / "home", settings) as ours:
            run = dg.materialize([table], instance=ours)
        assert [path.name for path in folder.rglob(f"{run.run_id}.db")] == [f"{run.run_id}.db"]
    assert (tmp_path / "home" / "history" / "runs" / f"{run.run_id}.db").is_file()


def test_few_files_stay_open_and_none_after_the_end(tmp_path, monkeypatch):
    """A webserver reads thousands of runs: those used last are open, with the index, and none once it has ended."""
    monkeypatch.setattr(event_log, "_MOST_OPEN", 3)
    home = tmp_path / "home"
    with instance(home, OURS) as ours:
        runs = [dg.materialize([table], instance=ours).run_id for _ in range(5)]
        told = [kinds(ours, run_id) for run_id in runs]
        assert len(opened(home / "history" / "runs")) == 3
        assert len(set(map(tuple, told))) == 1
    assert opened(home) == set()


def test_a_log_that_was_wiped_begins_anew(tmp_path):
    """`dagster run wipe` while files are open: what was logged is gone, what comes after is logged."""
    with instance(tmp_path / "home", OURS) as ours:
        first = dg.materialize([table], instance=ours).run_id
        ours.wipe()
        assert [path.name for path in (tmp_path / "home").rglob(f"{first}.db*")] == []
        second = dg.materialize([table], instance=ours).run_id
        assert kinds(ours, first) == []
        assert "ASSET_MATERIALIZATION" in kinds(ours, second)


def test_two_processes_log_at_once(tmp_path):
    """What another process logs meanwhile is seen, and neither loses an event."""
    home = tmp_path / "home"
    with instance(home, OURS) as ours:
        code = (
            "import dagster as dg\nfrom tests.test_event_log import table\n"
            "with dg.DagsterInstance.get() as instance:\n"
            "    print(*[dg.materialize([table], instance=instance).run_id for _ in range(5)])\n"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        mine = [dg.materialize([table], instance=ours).run_id for _ in range(5)]
        said, errors = other.communicate(timeout=120)
        assert other.returncode == 0, errors
        found = {run_id: tuple(kinds(ours, run_id)) for run_id in (*mine, *said.split())}
        assert (len(found), len(set(found.values()))) == (10, 1)
        assert len(ours.fetch_materializations(dg.AssetKey("table"), limit=20).records) == 10
