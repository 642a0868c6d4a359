"""What watches the watchers, and the commands about notices, on real projects, databases and receivers."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from jsonschema import Draft202012Validator

from dataproducts.alerts import watchdog
from dataproducts.compile.heartbeats import heartbeats
from dataproducts.operations import Operations, bookmark, move_bookmark
from tests.alerting import BEN, NOON, owned, scene
from tests.pages import ROOT, run
from tests.receivers import free_port, web
from tests.sample_project import write_project

ALLOWED = timedelta(minutes=10)

RESOURCES = """\
from pathlib import Path
from dataproducts.directory import Channel, Directory, Person
from dataproducts.environment import Environment

def for_environment(name=None):
    root = Path(__file__).parents[1]
    people = (
        Person("ada@shop.example", (Channel("hook", "{ada}"),)),
        Person("op", (Channel("log", f"file:{{root}}/told.jsonl"), Channel("none", "none:"))),
    )
    return Environment("dev", root, root / ".dataproducts", directory=Directory(people, operator="op"))
"""


@pytest.fixture
def project(tmp_path):
    """Return a project whose owner is reached by a webhook that nobody serves, its operator by a file."""
    return make(tmp_path, f"json://127.0.0.1:{free_port()}/t0ken")


def make(folder, ada):
    """Return the sample project with a directory, and an operations database that has nothing in it."""
    root = write_project(folder / "project")
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES.format(ada=ada), encoding="utf-8")
    Operations.open(address(root)).close()
    return root


def address(root):
    """Return the URL of the project's operations database."""
    return f"sqlite:///{root}/.dataproducts/operations.sqlite"


def told(root):
    """Return what the operator's file has."""
    file = root / "told.jsonl"
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def test_what_was_not_alive_in_time_has_stopped(tmp_path):
    """A heartbeat within what is allowed is alive; an older one, or none ever, is not."""
    here = scene(tmp_path, owned("none:"))
    with here.operations.writing() as con:
        (never,) = watchdog.watchers(con, now=NOON)
        watchdog.beat(con, now=NOON)
        (alive,) = watchdog.watchers(con, now=NOON)
    assert ("watcher", None) == (never.name, never.at)
    assert () == watchdog.stopped([alive], now=NOON + ALLOWED, allowed=ALLOWED)
    (found,) = watchdog.stopped([alive], now=NOON + ALLOWED * 3, allowed=ALLOWED)
    assert "last alive 2026-01-05 12:00 UTC, 30 minutes ago; allowed are 10 minutes" == found.message
    assert "it was never alive" == watchdog.stopped([never], now=NOON, allowed=ALLOWED)[0].message


def test_each_code_location_has_a_watcher_of_its_own(tmp_path):
    """One that stops is seen beside one that runs; one that is gone for a month is taken as removed."""
    here = scene(tmp_path, owned("none:"))
    with here.operations.writing() as con:
        watchdog.beat(con, now=NOON)
        for name, days in (("retail", 0), ("marketing", 2), ("removed", 31)):
            move_bookmark(con, f"watch {name}", "", now=NOON - timedelta(days=days))
        beats = watchdog.watchers(con, now=NOON)
    assert ["watcher marketing", "watcher retail"] == [one.name for one in beats]
    assert ["watcher marketing"] == [one.name for one in watchdog.stopped(beats, now=NOON, allowed=ALLOWED)]


def test_the_operator_is_told_once_a_day_and_of_the_end(tmp_path):
    """A watchdog that runs each minute barks once, again the next day, and says when all is well."""
    with web() as hook:
        here = scene(tmp_path, owned(hook.url(), operator="ada@shop.example"))
        down = (watchdog.Stopped("watcher", NOON, "last alive long ago"),)

        def look(found):
            return watchdog.tell(here.operations, here.directory, found, checked=["watcher"], now=here.now)

        for minutes, found, expected in (
            (0, (), 0),
            (1, down, 1),
            (1, down, 0),
            (24 * 60, down, 1),
            (1, (), 1),
            (1, (), 0),
            (1, down, 0),  # the same stop, on the same day
        ):
            here.later(minutes=minutes)
            assert expected == len(look(found)), (minutes, found)
        assert ["stopped", "stopped", "running"] == [one["event"] for one in hook.seen]
        assert "[error] watcher has stopped" == hook.seen[0]["title"]
        assert "dataproducts watch" in hook.seen[0]["message"]


def test_an_alarm_that_could_not_be_sent_is_sent_by_the_next_look(tmp_path):
    """The watchdog delivers its own: whoever delivers otherwise may be what has stopped."""
    port = free_port()
    here = scene(tmp_path, owned(f"json://127.0.0.1:{port}/hook", operator="ada@shop.example"))
    down = (watchdog.Stopped("watcher", None, "it was never alive"),)
    here.wrong()
    assert 1 == len(watchdog.tell(here.operations, here.directory, down, checked=["watcher"], now=here.now))
    here.later(minutes=5)
    with web(port) as hook:
        assert () == watchdog.tell(here.operations, here.directory, down, checked=["watcher"], now=here.now)
        assert ["stopped"] == [one["event"] for one in hook.seen]


def test_notices_that_nobody_delivers_are_a_stop(tmp_path):
    """Overdue notices are told, tried or not; what is held or young is none."""
    here = scene(tmp_path, owned(f"json://127.0.0.1:{free_port()}/x"))
    here.wrong()
    with here.operations.reading() as con:
        assert () == watchdog.stuck(con, now=NOON + ALLOWED, allowed=ALLOWED)
        (found,) = watchdog.stuck(con, now=NOON + ALLOWED * 2, allowed=ALLOWED)
    assert "1 notice overdue since 2026-01-05 12:00 UTC: nobody tried to send them" == found.message
    here.deliver()
    with here.operations.reading() as con:
        (found,) = watchdog.stuck(con, now=NOON + ALLOWED * 2, allowed=ALLOWED)
    assert "Connection error" in found.message


def test_watchdog_command(project, monkeypatch):
    """It exits with 1 and tells the operator while the watcher is silent, with 0 when it is alive again."""
    silent = run(project, "watchdog", monkeypatch=monkeypatch)
    assert (1, "stopped watcher: it was never alive\n") == (silent.code, silent.out)
    assert ["[error] watcher has stopped"] == [one["subject"] for one in told(project)]
    assert 1 == run(project, "watchdog", "--quiet", monkeypatch=monkeypatch).code
    with Operations.open(address(project)) as operations, operations.writing() as con:
        watchdog.beat(con, now=datetime.now(UTC))
    alive = run(project, "watchdog", "--json", monkeypatch=monkeypatch)
    assert (0, True) == (alive.code, json.loads(alive.out)["alive"])
    validate("watchdog", alive.out)
    assert "[resolved] watcher runs again" == told(project)[-1]["subject"]


def test_watchdog_without_a_database_tells_the_operator_all_the_same(project, monkeypatch):
    """Where the operations database is damaged, it says so through the operator's channels and exits with 2."""
    (project / ".dataproducts/operations.sqlite").write_bytes(b"not a database at all, but some text" * 100)
    ran = run(project, "watchdog", monkeypatch=monkeypatch)
    assert 2 == ran.code
    assert "operations database" in ran.err
    assert "[error] operations database has stopped" == told(project)[0]["subject"]


def test_watchdog_tells_the_operator_where_no_database_answers(project, monkeypatch):
    """Whether Dagster's storage is down alone or with the operations database, the operator is told of each."""
    with Operations.open(address(project)) as operations, operations.writing() as con:
        watchdog.beat(con, now=datetime.now(UTC))
    storage = f"postgresql+psycopg2://dagster:s3cret@127.0.0.1:{free_port()}/none"
    settings = f"telemetry: {{enabled: false}}\nstorage: {{postgres: {{postgres_url: '{storage}'}}}}\n"
    (project / "resources/dagster.yaml").write_text(settings, encoding="utf-8")
    ran = run(project, "watchdog", "--daemon", monkeypatch=monkeypatch)
    assert (1, 2) == (ran.code, len(ran.out.splitlines()))
    assert "stopped Dagster daemon: it cannot be asked: " in ran.out
    assert ["[error] Dagster daemon has stopped"] == [one["subject"] for one in told(project)]
    (project / ".dataproducts/operations.sqlite").write_bytes(b"not a database at all, but some text" * 100)
    both = run(project, "watchdog", "--daemon", monkeypatch=monkeypatch)
    assert 2 == both.code
    said = [one["subject"] for one in told(project)[1:]]
    assert ["[error] operations database has stopped", "[error] Dagster daemon has stopped"] == said
    assert "s3cret" not in ran.out + ran.err + both.out + both.err + (project / "told.jsonl").read_text("utf-8")


def test_watchdog_sees_a_daemon_that_never_ran(project, monkeypatch):
    """With --daemon, each part of Dagster's daemon that was never alive has stopped."""
    with Operations.open(address(project)) as operations, operations.writing() as con:
        watchdog.beat(con, now=datetime.now(UTC))
    assert 0 == run(project, "watchdog", monkeypatch=monkeypatch).code
    ran = run(project, "watchdog", "--daemon", "--quiet", monkeypatch=monkeypatch)
    assert 1 == ran.code
    assert "stopped Dagster daemon (scheduler): it was never alive" in ran.out


def test_heartbeats_of_a_daemon(tmp_path, monkeypatch):
    """A heartbeat that the daemon wrote is found, as a moment in UTC."""
    from dagster._daemon.types import DaemonHeartbeat

    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with dg.DagsterInstance.get() as instance:
        instance.add_daemon_heartbeat(DaemonHeartbeat(NOON.timestamp(), "SENSOR", "someone", []))
    found = heartbeats()
    assert NOON == found["Dagster daemon (sensor)"]
    assert None is found["Dagster daemon (scheduler)"]


def test_notices_command(tmp_path, project, monkeypatch):
    """It lists what waits and why, whom nobody can reach, and sends again what failed, never showing an address."""
    here = scene(tmp_path / "x", owned(f"json://127.0.0.1:{free_port()}/t0ken"), address(project))
    here.now = datetime.now(UTC)
    (notice,) = here.wrong()
    here.deliver()
    listed = run(project, "notices", monkeypatch=monkeypatch)
    assert 0 == listed.code
    for part in (notice.key[:8], "failed 1x", "Connection error", "unreachable shop/orders: its consumer Analyst"):
        assert part in " ".join(listed.out.split())
    row = next(line for line in listed.out.splitlines() if line.startswith(notice.key[:8]))
    for name in (notice.recipient, notice.channel):  # no name is broken
        assert f" {name} " in row
    assert [] == [word for word in notice.subject.split() if word not in listed.out.split()]
    facts = run(project, "notices", "--state", "waiting", "--json", monkeypatch=monkeypatch)
    validate("notices", facts.out)
    assert [notice.key] == [one["key"] for one in json.loads(facts.out)["notices"]]
    again = run(project, "notices", "retry", monkeypatch=monkeypatch)
    assert (1, "sent 0, failed 1, left 0") == (again.code, again.out.splitlines()[0])
    unknown = run(project, "notices", "retry", "zzz", monkeypatch=monkeypatch)
    assert (2, "no notice that waits") == (unknown.code, unknown.err[14:34])
    for ran in (listed, facts, again):
        assert "t0ken" not in ran.out + ran.err


def test_notices_retry_sends_one_by_name(tmp_path, monkeypatch):
    """A notice that is named by the beginning of its key is sent at once, with that key."""
    with web() as hook:
        project = make(tmp_path, hook.url())
        here = scene(tmp_path / "x", owned(f"json://127.0.0.1:{free_port()}/x"), address(project))
        here.now = datetime.now(UTC)
        (notice,), _ = here.wrong("a"), here.wrong("b")
        here.deliver()
        ran = run(project, "notices", "retry", notice.key[:10], monkeypatch=monkeypatch)
        assert (0, "sent 1, failed 0, left 0\n") == (ran.code, ran.out)
        assert [notice.key] == hook.keys()


def test_notices_test_command(project, monkeypatch):
    """It sends through each channel of a recipient, and tells which did not take it; a wrong name is suggested."""
    sent = run(project, "notices", "test", "op", monkeypatch=monkeypatch)
    assert (0, "sent op by log\nsent op by none\n") == (sent.code, sent.out)
    assert "[test] notices of dev reach you" == told(project)[0]["subject"]
    failed = run(project, "notices", "test", "ada@shop.example", monkeypatch=monkeypatch)
    assert (1, "failed ada@shop.example by hook: ") == (failed.code, failed.out[:33])
    assert "t0ken" not in failed.out
    wrong = run(project, "notices", "test", "adda@shop.example", monkeypatch=monkeypatch)
    assert (1, True) == (wrong.code, "Did you mean 'ada@shop.example'?" in wrong.err)
    assert BEN not in wrong.err


def test_a_heartbeat_is_no_bookmark_of_what_was_read(tmp_path):
    """Being alive moves no place in what the watcher reads."""
    here = scene(tmp_path, owned("none:"))
    with here.operations.writing() as con:
        watchdog.beat(con, now=NOON)
        assert "" == bookmark(con, "watch")


def validate(name, out):
    """Hold the JSON output of a command against its schema."""
    schema = json.loads((ROOT / f"docs/json/{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(json.loads(out))
