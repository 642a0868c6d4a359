"""Publishing: what forbids a release, what repeats it, and what races, kills and full disks leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dataproducts.errors import ConflictError, RefusedError, StoreError
from dataproducts.ledger import ledger as ledger_module
from dataproducts.publish import publish
from dataproducts.release import Consumed
from dataproducts.releases import verify
from tests.postgres import database
from tests.releasing import ORDERS, shop, sqlite

_ROOT = Path(__file__).parent.parent


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of a ledger that does not exist yet."""
    return sqlite(tmp_path) if request.param == "sqlite" else database()


@pytest.fixture
def place(tmp_path):
    """Return an empty shop on SQLite."""
    with shop(tmp_path) as opened:
        yield opened


def refuse(place, draft, match, error=RefusedError):
    """Check that `draft` is refused with a message, and that the head stays where it was."""
    before = place.ledger.head(draft.refresh.product)
    with pytest.raises(error, match=match):
        publish(place.ledger, place.store, draft)
    assert place.ledger.head(draft.refresh.product) == before


def candidate(place, refresh, **options):
    """Write and record one candidate."""
    made = place.version(refresh, **options)
    place.ledger.record_candidates(refresh, [made])
    return made


def test_a_release_is_what_was_drafted(tmp_path, url):
    """A release holds the draft's items, contracts and pins, and is the head from then on."""
    with shop(tmp_path, url) as place:
        refresh = place.refresh()
        made = candidate(place, refresh)
        draft = place.draft(refresh, made, required=place.judge(refresh, "k"), kind="backfill", git_sha="abc")
        release = publish(place.ledger, place.store, draft)
        assert (release.number, release.base, release.kind, release.git_sha) == (1, None, "backfill", "abc")
        assert (dict(release.items), dict(release.contracts)) == (draft.items, draft.contracts)
        assert release == place.ledger.head(ORDERS) == place.ledger.release(ORDERS, 1)
        assert place.ledger.composition(release) == {"orders": (made,)}
        assert [entry.key for entry in place.ledger.verdict(release)] == ["k"]
        assert place.ledger.candidates(refresh) == {}


def test_the_same_draft_is_the_same_release(tmp_path, url):
    """Publishing a draft again, even after other releases, returns the first one and changes nothing."""
    with shop(tmp_path, url) as place:
        refresh = place.refresh()
        draft = place.draft(refresh, candidate(place, refresh))
        first = publish(place.ledger, place.store, draft)
        second = place.release()
        assert publish(place.ledger, place.store, draft) == first
        assert place.ledger.head(ORDERS) == second


def test_partitions_are_carried_over(place):
    """A release takes one partition anew and the others from its base."""
    days = ("2026-01-01", "2026-01-02", "2026-01-03")
    first = place.refresh()
    made = [place.version(first, partition=day) for day in days]
    place.ledger.record_candidates(first, made)
    publish(place.ledger, place.store, place.draft(first, *made))
    second = place.refresh()
    again = candidate(place, second, partition=days[1])
    release = publish(place.ledger, place.store, place.draft(second, made[2], again, made[0]))
    assert release.items["orders"] == (made[0].id, again.id, made[2].id)


def test_two_refreshes_conflict(place):
    """The refresh that publishes second is told which release came in between."""
    first, second = place.refresh(), place.refresh()
    drafts = [place.draft(refresh, candidate(place, refresh)) for refresh in (first, second)]
    publish(place.ledger, place.store, drafts[0])
    refuse(place, drafts[1], "release 1 was published while refresh .* worked from nothing", ConflictError)


def test_a_missing_result_is_a_failure(place):
    """A required rule without a result forbids the release, as one that failed does, by name."""
    refresh = place.refresh()
    made = candidate(place, refresh)
    good, bad = place.judge(refresh, "good"), place.judge(refresh, "bad", passed=False, rule="id.required")
    refuse(place, place.draft(refresh, made, required=good | bad), "orders id.required failed")
    refuse(place, place.draft(refresh, made, required=good | {"missing"}), "1 blocking rules have no result")
    place.judge(refresh, "bad")
    assert publish(place.ledger, place.store, place.draft(refresh, made, required=good | bad)).number == 1


def test_results_of_others_do_not_count(place):
    """A passed result of another product does not satisfy a required rule."""
    other = place.refresh("shop/other")
    keys = place.judge(other, "k")
    refresh = place.refresh()
    refuse(place, place.draft(refresh, candidate(place, refresh), required=keys), "orders.rule failed")


def test_open_attempts_forbid(place):
    """A table whose last attempt was begun or refused keeps the whole refresh from being published."""
    refresh = place.refresh()
    made = candidate(place, refresh)
    draft = place.draft(refresh, made)
    place.ledger.mark_started(refresh, "other")
    refuse(place, draft, "other was begun and not finished")
    place.ledger.record_refusal(refresh, "other", "2026-01-05", "id.required failed")
    refuse(place, draft, r"other 2026-01-05 was refused \(id.required failed\)")


def test_no_candidate_says_so(place):
    """A refresh that built nothing is refused rather than publishing the old release in green."""
    release = place.release()
    (old,) = place.ledger.composition(release)["orders"]
    refresh = place.refresh()
    refuse(place, place.draft(refresh, old), "has no candidate")
    refuse(place, place.draft(refresh), "each table with its contract")


def test_only_own_and_carried_versions(place):
    """Versions of another refresh, product or table, or of nobody, are refused, and so are two for one place."""
    refresh, other = place.refresh(), place.refresh()
    mine, theirs = candidate(place, refresh), candidate(place, other)
    refuse(place, place.draft(refresh, theirs), "neither candidates of refresh")
    foreign = candidate(place, place.refresh("shop/x"))
    refuse(place, place.draft(refresh, foreign), "versions of another table")
    refuse(place, place.draft(refresh, replace(mine, id="nobody")), "no such version: nobody")
    refuse(place, place.draft(refresh, mine, theirs), "more than one version for the whole table")
    empty = replace(place.draft(refresh, mine), items={"orders": (mine.id,), "more": ()})
    refuse(place, empty, "these lack one: more")
    refuse(place, replace(empty, contracts={"orders": "", "more": ""}), "none given")
    part = candidate(place, refresh, partition="2026-01-01")
    refuse(place, place.draft(refresh, mine, part), "more than one version")


def test_superseded_versions_conflict(place):
    """A candidate that a later attempt replaced cannot be published."""
    refresh = place.refresh()
    old = candidate(place, refresh)
    candidate(place, refresh)
    refuse(place, place.draft(refresh, old), "superseded", ConflictError)


def test_a_tightened_contract_conflicts(place):
    """A candidate built under another contract than the draft pins is not published, nor under an unknown one."""
    refresh = place.refresh()
    made = candidate(place, refresh)
    tightened = place.contract(ORDERS, "orders", "tightened")
    draft = place.draft(refresh, made)
    refuse(place, replace(draft, contracts={"orders": tightened}), "contract changed", ConflictError)
    refuse(place, replace(draft, contracts={"orders": "f" * 64}), "does not hold the contracts of orders")


def test_a_forged_refresh_is_refused(place):
    """A draft whose refresh claims another base than the ledger recorded is refused."""
    place.release()
    refresh = place.refresh()
    draft = place.draft(refresh, candidate(place, refresh))
    refuse(place, replace(draft, refresh=replace(refresh, base=None)), "not in the ledger as it is given")


@pytest.mark.parametrize("damage", ["missing", "size", "content"])
def test_files_must_be_the_judged_ones(place, damage):
    """A file that vanished, shrank or changed since it was judged is not published."""
    refresh = place.refresh()
    made = candidate(place, refresh)
    path = place.store.path(made.files[0])
    if damage == "missing":
        path.unlink()
    elif damage == "size":
        os.truncate(path, 10)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    refuse(place, place.draft(refresh, made), "Build the table again", StoreError)


def test_what_was_consumed_is_committed_with_the_release(place):
    """Consumed files and cursors appear with the release, are carried with carried tables, and go back with neither."""
    a, b = (Consumed("orders", "csv", f"{name}.csv", 1, name * 64) for name in "ab")
    part = Consumed("days", "csv", "d1.csv", 1, "d" * 64)
    refresh = place.refresh()
    versions = [place.version(refresh), place.version(refresh, "days", partition="2026-01-01")]
    place.ledger.record_candidates(refresh, versions, (a, part))
    assert place.ledger.consumed(ORDERS) == ()
    draft = place.draft(refresh, *versions, consumed=place.ledger.consumed_candidates(refresh), cursors={"db": "1"})
    publish(place.ledger, place.store, draft)
    assert place.ledger.consumed(ORDERS) == (part, a)
    assert place.ledger.cursors(ORDERS) == {"db": "1"}

    refresh = place.refresh()
    whole = candidate(place, refresh)
    publish(place.ledger, place.store, place.draft(refresh, whole, versions[1], consumed=(b,), cursors={"kafka": "9"}))
    assert place.ledger.consumed(ORDERS) == (part, b)
    assert place.ledger.cursors(ORDERS) == {"db": "1", "kafka": "9"}

    refresh = place.refresh()
    second = replace(part, path="d2.csv")
    day = candidate(place, refresh, table="days", partition="2026-01-02")
    publish(place.ledger, place.store, place.draft(refresh, whole, versions[1], day, consumed=(second,)))
    assert place.ledger.consumed(ORDERS) == (part, second, b)
    assert place.ledger.consumed(ORDERS, 1) == (part, a)

    refresh = place.refresh()
    publish(place.ledger, place.store, place.draft(refresh, candidate(place, refresh)))
    assert place.ledger.consumed(ORDERS) == ()


@pytest.mark.parametrize("committed", [True, False])
def test_an_error_at_the_commit_is_looked_into(place, monkeypatch, committed):
    """When the commit raises, the release is returned if it took place, and the error raised if not."""
    refresh = place.refresh()
    draft = place.draft(refresh, candidate(place, refresh))
    real = ledger_module.writing

    @contextmanager
    def failing(engine):
        with real(engine) as con:
            yield con
            if not committed:
                raise StoreError("the disk went away before the commit")
        raise StoreError("the disk went away after the commit")

    with monkeypatch.context() as patched:
        patched.setattr(ledger_module, "writing", failing)
        if committed:
            assert publish(place.ledger, place.store, draft).number == 1
        else:
            with pytest.raises(StoreError, match="before the commit"):
                publish(place.ledger, place.store, draft)
    assert publish(place.ledger, place.store, draft).number == 1
    assert len(place.ledger.releases(ORDERS)) == 1


# Run with: folder, ledger URL, mode. "once" opens a refresh, waits for a line on stdin, and publishes.
_PUBLISHER = """
    import sys
    from pathlib import Path
    from dataproducts.errors import ConflictError
    from dataproducts.publish import publish
    from tests.releasing import shop
    place = shop(Path(sys.argv[1]), sys.argv[2])
    while True:
        refresh = place.refresh()
        versions = [place.version(refresh, table, 50) for table in ("orders", "lines")]
        place.ledger.record_candidates(refresh, versions)
        draft = place.draft(refresh, *versions, required=place.judge(refresh, refresh.id))
        if sys.argv[3] == "once":
            print("ready", flush=True)
            sys.stdin.readline()
        try:
            print("published", publish(place.ledger, place.store, draft).number, flush=True)
        except ConflictError:
            print("conflict", flush=True)
        if sys.argv[3] == "once":
            place.ledger.close()
            sys.exit()
"""


def start(folder, url, mode):
    """Start a publisher in a process of its own."""
    command = [sys.executable, "-c", textwrap.dedent(_PUBLISHER), str(folder), url, mode]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_ROOT)


def test_of_several_processes_one_wins(tmp_path, url):
    """Of four processes that publish at once from the same base, one wins and the others get a conflict."""
    racing = [start(tmp_path, url, "once") for _ in range(4)]
    assert [process.stdout.readline() for process in racing] == ["ready\n"] * 4
    for process in racing:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.communicate(timeout=60)[0].strip() for process in racing)
    assert said == ["conflict", "conflict", "conflict", "published 1"]
    with shop(tmp_path, url) as place:
        assert [release.number for release in place.ledger.releases(ORDERS)] == [1]


def test_kills_leave_no_torn_state(tmp_path, url):
    """Publishers that are killed at any moment leave a line of whole releases, and never lose one they announced."""
    shop(tmp_path, url).ledger.close()
    announced = 0
    for pause in (0.4, 0.55, 0.7):
        racing = [start(tmp_path, url, "loop") for _ in range(2)]
        lines = [process.stdout.readline() for process in racing]  # however slow the machine, both have begun
        time.sleep(pause)
        for process in racing:
            process.send_signal(signal.SIGKILL)
            lines += process.stdout.readlines()
            process.stdout.close()
            process.stdin.close()
            process.wait(timeout=60)
        numbers = [int(line.split()[1]) for line in lines if line.startswith("published ") and line.endswith("\n")]
        announced = max(announced, *numbers, 0)
    with shop(tmp_path, url) as place:
        releases = place.ledger.releases(ORDERS, limit=None)
        assert announced > 0
        assert [release.number for release in releases] == list(range(len(releases), 0, -1))
        assert len(releases) >= announced
        assert all(set(release.items) == {"orders", "lines"} for release in releases)
        assert {finding.kind for finding in verify(place.ledger, place.store, ORDERS)} == {"serve"}
        assert place.release().number == len(releases) + 1


def test_a_full_disk_keeps_the_release(tmp_path):
    """A publisher that may not write further fails with a StoreError, and the last release stays readable."""
    with shop(tmp_path) as place:
        place.release()
    script = """
        import resource, sys
        from pathlib import Path
        from dataproducts.errors import StoreError
        from dataproducts.publish import publish
        from tests.releasing import shop
        place = shop(Path(sys.argv[1]))
        refresh = place.refresh()
        version = place.version(refresh)
        place.ledger.record_candidates(refresh, [version])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            publish(place.ledger, place.store, place.draft(refresh, version))
        except StoreError as error:
            print("refused:", error)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=_ROOT)
    assert done.stdout.startswith("refused: sqlite:///")
    with shop(tmp_path) as place:
        assert place.ledger.head(ORDERS).number == 1
        assert place.release().number == 2
