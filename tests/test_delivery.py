"""Delivery to a real SMTP server and a real HTTP receiver: what fails, hangs, dies half-way or is done twice."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dataproducts import incidents
from dataproducts.alerts import Delivered, watchdog
from dataproducts.alerts.send import SendError, check, discreet, send
from dataproducts.directory import Channel, Directory, Person, Team
from dataproducts.errors import UsageError
from dataproducts.operations import Operations, outbox
from dataproducts.operations import incidents as kept
from dataproducts.operations.incidents import events
from dataproducts.retention import forget_notices
from tests.alerting import ADA, BEN, NOON, PRICING, owned, scene
from tests.pages import run
from tests.postgres import database
from tests.receivers import free_port, mail, web
from tests.shop import make_shop

ROOT = Path(__file__).parents[1]


def test_a_mail_says_it_and_bears_its_key(tmp_path):
    """A notice comes as plain text to the right person, its key in a header and in the last line."""
    port = free_port()
    address = Channel("mail", f"mailto://127.0.0.1:{port}?from=dp@shop.example&to={{address}}")
    here = scene(tmp_path, Directory(mail=address))
    (notice,) = here.wrong(title="Größe fehlt in 3 Zeilen")
    with mail(port) as box:
        assert 1 == here.deliver().sent
    ((recipients, message),) = box.taken
    assert [ADA] == recipients
    assert "[error] shop/orders.orders: Größe fehlt in 3 Zeilen" == message["subject"]
    assert notice.key == message["x-idempotency-key"]
    text = message.get_body(("plain",)).get_content()
    assert "Product:    shop/orders, table orders" in text
    assert text.rstrip().endswith(f"Idempotency-Key: {notice.key}")


def test_a_webhook_gets_facts_and_the_key(tmp_path):
    """A receiver of JSON gets the facts as fields, and the key as a field and a header."""
    with web() as hook:
        here = scene(tmp_path, owned(hook.url()))
        (notice,) = here.wrong()
        assert 1 == here.deliver().sent
    (posted,) = hook.seen
    assert notice.key == posted["idempotency_key"] == posted["headers"]["X-Idempotency-Key"]
    facts = {"event": "opened", "product": "shop/orders", "table": "orders", "severity": "error", "type": "failure"}
    assert facts == {name: posted[name] for name in facts}
    assert notice.subject == posted["title"]


def test_a_receiver_that_is_down_gets_it_later(tmp_path):
    """What could not be sent waits longer each time, and comes in order, opened before resolved, under its own key."""
    port = free_port()
    here = scene(tmp_path, owned(f"json://127.0.0.1:{port}/hook"))
    here.wrong()
    done = here.deliver()
    assert (0, 1, 0) == (done.sent, done.failed, done.left)
    (notice,) = here.notices()
    assert here.now + timedelta(seconds=30) == notice.due_at
    assert "connection error" in notice.last_error.lower()
    here.later(seconds=10)
    here.right()
    with web(port) as early:  # what opened is not due yet: the recovery must not overtake it
        assert 0 == here.deliver().sent
        assert [] == early.seen
    for minutes in (1, 2, 4, 8, 15, 15):
        here.later(minutes=minutes)
        assert 1 == here.deliver().failed
    assert 7 == here.notices()[0].attempts
    with web(port) as hook:
        here.later(minutes=15)
        assert 2 == here.deliver().sent
    assert ["opened", "recovered"] == [one["event"] for one in hook.seen]
    assert [one.key for one in here.notices()] == hook.keys()


def test_a_receiver_that_refuses_is_tried_again(tmp_path):
    """500 from a receiver and 451 from a mail server are failures that say so; success comes with the same key."""
    port = free_port()
    with web() as hook, mail(port) as box:
        ada = Person(
            ADA, (Channel("hook", hook.url()), Channel("mail", f"mailto://127.0.0.1:{port}?from=d@x.example&to={ADA}"))
        )
        here = scene(tmp_path, Directory((ada,)))
        here.wrong()
        hook.status, box.refusal = 500, "451 try again later"
        assert 2 == here.deliver().failed
        assert all(one.last_error for one in here.notices())
        hook.status, box.refusal = 200, ""
        here.later(minutes=1)
        assert 2 == here.deliver().sent
        assert 2 == len(hook.seen)
        assert 1 == len(set(hook.keys()))
        assert 1 == len(box.taken)


def test_a_receiver_that_hangs_holds_up_no_other(tmp_path):
    """A delivery ends in time though one receiver never answers; the others are served meanwhile."""
    with web() as slow, web() as quick:
        slow.pause = 60
        people = (Person(ADA, (Channel("slow", slow.url()),)), Person(BEN, (Channel("quick", quick.url()),)))
        here = scene(tmp_path, Directory((*people, Person(PRICING, (Channel("c", "none:"),)))))
        here.directory = Directory(here.directory.people, (Team("Tills", (ADA, BEN)),), operator=BEN)
        for product in list(here.products):  # whoever answers is told as a team: both members
            here.products[product] = _without_owner(here.products[product])
        here.wrong()
        begun = time.monotonic()
        done = here.deliver(patience=timedelta(seconds=1))
        assert time.monotonic() - begun < 5
        assert (1, 1) == (done.sent, done.left)
        assert 1 == len(quick.seen)
        assert ["waiting", "sent"] == [one.state for one in here.notices()]


def _without_owner(product):
    from dataclasses import replace

    return replace(product, members=())


CRASHING = """
import sys
from datetime import datetime
from dataproducts.alerts import deliver
from dataproducts.alerts.send import send
from dataproducts.operations import Operations
from tests.alerting import owned
import time

def send_and_wait(channel, notice):
    send(channel, notice)
    time.sleep(60)  # between sent and marked

with Operations.open(sys.argv[1], create=False) as operations:
    deliver(operations, owned(sys.argv[2]), now=datetime.fromisoformat(sys.argv[3]), send=send_and_wait)
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_crash_between_send_and_mark_repeats_under_the_same_key(tmp_path, kind):
    """Killed after the receiver got it and before that was noted, it is sent again when the lease is over: same key."""
    url = database() if kind == "postgresql" else f"sqlite:///{tmp_path}/o.sqlite"
    with web() as hook:
        here = scene(tmp_path, owned(hook.url()), url)
        (notice,) = here.wrong()
        arguments = [sys.executable, "-c", CRASHING, url, hook.url(), here.now.isoformat()]
        process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        try:
            hook.wait_for(1)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        here.later(seconds=30)
        assert 0 == here.deliver().sent  # the lease of the dead still holds
        here.later(minutes=3)
        assert 1 == here.deliver().sent
        assert [notice.key, notice.key] == hook.keys()
        assert 0 == here.deliver().sent
        here.operations.close()


def test_two_deliverers_send_once(tmp_path):
    """Whoever comes first leases; the other finds nothing to do, though the first is still sending."""
    with web() as hook:
        hook.pause = 0.2
        here = scene(tmp_path, owned(hook.url()))
        for name in ("a", "b", "c", "d"):
            here.wrong(name)
        url = f"sqlite:///{tmp_path}/operations.sqlite"
        with ExitStack() as stack:
            others = [stack.enter_context(Operations.open(url)) for _ in range(3)]
            scenes = [scene_of(here, operations) for operations in others]
            results = []
            threads = [threading.Thread(target=lambda one=one: results.append(one.deliver())) for one in scenes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert 4 == sum(done.sent for done in results)
        assert 4 == len(hook.seen) == len(set(hook.keys()))


def scene_of(here, operations):
    """Return the same scene on connections of its own."""
    from dataclasses import replace

    return replace(here, operations=operations)


def test_what_cannot_be_sent_for_a_week_is_given_up_and_noted(tmp_path):
    """A notice is dropped after seven days of failures, its incident's timeline says so, and it can be sent by hand."""
    here = scene(tmp_path, owned(f"json://127.0.0.1:{free_port()}/hook"))
    (notice,) = here.wrong()
    assert 1 == here.deliver().failed
    here.later(days=6, hours=23)
    assert 1 == here.deliver().failed
    here.later(hours=2)
    assert 1 == here.deliver().dropped
    with here.operations.reading() as con:
        last = events(con, notice.incident_id)[-1]
    assert ("not_notified", 3) == (last.kind, last.detail["attempts"])
    assert "onnection" in last.detail["error"]
    with web() as hook:
        here.directory = owned(hook.url())
        with here.operations.writing() as con:
            assert [notice.key] == [one.key for one in outbox.retry(con, [notice.key[:6]], now=here.now)]
        assert 1 == here.deliver().sent
        assert [notice.key] == hook.keys()


@pytest.mark.parametrize("muted", [False, True])
def test_what_was_not_tried_is_not_given_up(tmp_path, muted):
    """Days in which nobody delivered, or the incident was muted, are no days of failures: it is tried after them."""
    port = free_port()
    here = scene(tmp_path, owned(f"json://127.0.0.1:{port}/hook"))
    (notice,) = here.wrong()
    assert 1 == here.deliver().failed
    if muted:
        here.by_hand(incidents.mute, here.now + timedelta(days=8))
        here.later(hours=1)
        assert Delivered() == here.deliver()
    here.later(days=8)
    with web(port) as hook:
        done = here.deliver()
        assert (1, 0, 0) == (done.sent, done.failed, done.dropped)
        assert [notice.key] == hook.keys()


def test_what_was_given_up_is_trouble_until_the_channel_works(tmp_path):
    """The watchdog counts it for a week, unless somebody sends it after all, or its channel has taken another since."""
    port = free_port()
    here = scene(tmp_path, owned(f"json://127.0.0.1:{port}/hook"))
    here.wrong()
    here.deliver()
    here.later(days=8)
    done = here.deliver()
    assert (0, 1, 0) == (done.failed, done.dropped, done.left)

    def stuck(days=0):
        with here.operations.reading() as con:
            late = watchdog.stuck(con, now=here.now + timedelta(days=days), allowed=timedelta(minutes=10))
        return [one.message for one in late]

    (said,) = stuck()
    assert said.startswith("1 notice overdue, 1 of them given up, since 2026-01-05 12:00 UTC: ")
    assert ([said], []) == (stuck(days=6), stuck(days=8))
    with web(port):
        here.later(minutes=1)
        here.wrong("another")
        assert 1 == here.deliver().sent
    assert [] == stuck()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_notices_are_forgotten_in_time(tmp_path, kind):
    """What was said of an incident goes 90 days after the last of it was, if it is over; nothing is said again."""
    here = scene(tmp_path, owned("none:"), "" if kind == "sqlite" else database())
    for name in ("over", "open", "waits"):
        here.wrong(name)
    here.deliver()
    here.later(hours=1)
    here.right("over")
    assert 1 == here.deliver().sent
    here.right("waits")
    (waits,) = [one for one in here.notices() if one.state == outbox.WAITING]
    with here.operations.writing() as con:
        outbox.put_off(con, waits, NOON + timedelta(days=200), outbox.QUIET)

    def left():
        return sorted(one.subject.split()[2] + " " + one.kind for one in here.notices())

    every = left()
    assert 0 == forget_notices(here.operations, now=NOON + timedelta(days=90))
    late = NOON + timedelta(days=91)
    assert 2 == forget_notices(here.operations, now=late, dry_run=True)
    assert every == left()
    assert [2, 0] == [forget_notices(here.operations, now=late) for _ in range(2)]
    assert ["open opened", "waits opened", "waits recovered"] == left()
    here.later(days=100)
    assert ["opened"] == [one.kind for one in here.wrong("another")]
    with here.operations.reading() as con:
        (over,) = [one for one in kept.listed(con) if one.subject == "over"]
        assert ["opened", "notified", "resolved", "notified"] == [event.kind for event in events(con, over.id)]


def test_gc_forgets_notices(tmp_path, monkeypatch):
    """The command that gives back space counts the notices that it removes, and removes none on trial."""
    root = make_shop(tmp_path / "shop")
    assert 0 == run(root, "build", "shop/orders", monkeypatch=monkeypatch).code
    here = scene(tmp_path, owned("none:"), f"sqlite:///{root}/.dataproducts/operations.sqlite")
    here.wrong()
    here.right()
    here.deliver()
    said = [run(root, "gc", *more, "--json", monkeypatch=monkeypatch) for more in (["--dry-run"], [], [])]
    assert [2, 2, 0] == [json.loads(one.out)["notices"] for one in said]
    schema = json.loads((ROOT / "docs/json/gc.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(json.loads(said[0].out))


def test_a_recipient_who_left_the_directory_is_a_failure(tmp_path):
    """A notice whose channel is gone is not lost without a word: it fails, and says why."""
    here = scene(tmp_path, owned("none:"))
    here.wrong()
    here.directory = Directory((Person(BEN, (Channel("hook", "none:"),)),))
    assert 1 == here.deliver().failed
    assert "has no channel 'hook' of 'ada@shop.example' any more" in here.notices()[0].last_error


def test_secrets_stay_in_the_directory(tmp_path, caplog, capfd):
    """Tokens, users and passwords of an address are in no database, log or output, whatever fails."""
    caplog.set_level(logging.DEBUG)
    with web() as hook:
        hook.status = 403
        secret = f"json://us3rname:passw0rd@127.0.0.1:{hook.port}/t0ken/p4th?-q=qu3ry&+X-Auth=he4der"
        here = scene(tmp_path, owned(secret))
        here.wrong()
        assert 1 == here.deliver().failed
        hook.status = 204
        here.later(minutes=1)
        assert 1 == here.deliver().sent
        assert hook.seen[0]["path"].startswith("/t0ken/p4th")
    kept = (tmp_path / "operations.sqlite").read_bytes().decode("latin-1")
    out = "".join([*capfd.readouterr(), caplog.text])
    for word in ("us3rname", "passw0rd", "t0ken", "p4th", "qu3ry", "he4der"):
        assert word not in kept
        assert word not in out


def test_a_channel_that_breaks_is_a_failure_like_any_other(tmp_path):
    """Whatever sending raises is noted by its kind alone, and the notices after it are not lost."""

    def broken(channel, notice):
        raise ValueError("t0ken")

    here = scene(tmp_path, owned("none:"))
    here.wrong("a")
    here.wrong("b")
    done = here.deliver(send=broken)
    assert (1, 1) == (done.failed, done.left)
    assert ["ValueError", ""] == [one.last_error for one in here.notices()]
    here.later(minutes=1)
    assert 2 == here.deliver().sent


def test_what_a_service_says_is_told_without_the_address():
    """Of an address only scheme, host and port of protocols of the web and of mail are left in an error."""
    url = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"
    said = discreet(f"cannot post to {url} as t1jj3t3l2 / TIiajkdnlazkcOXrIdevi7FQ\nnow", url)
    assert "cannot post to *** as *** / *** now" == said
    assert "the channel's URL cannot be read" == discreet("x", "json://[hunter2")
    assert "127.0.0.1:25 said no" == discreet("127.0.0.1:25 said no", "mailto://u:pw@127.0.0.1:25?to=x")


def test_a_channel_that_apprise_cannot_use_is_refused(tmp_path):
    """An address of no service is told without what it holds; a file that cannot be written likewise."""
    with pytest.raises(
        UsageError, match=r"channel 'chat': apprise cannot use its URL, which begins with nope:"
    ) as told:
        check(Channel("chat", "nope://hunter2"))
    assert "hunter2" not in str(told.value)
    here = scene(tmp_path, owned("nope://hunter2"))
    (notice,) = here.wrong()
    for url in ("nope://hunter2", f"file:{tmp_path}/project/assets", "slack://hunter2/x"):
        with pytest.raises(SendError) as failed:
            send(Channel("chat", url), notice)
        assert "hunter2" not in str(failed.value)


def test_a_file_gets_a_line_of_json_each(tmp_path):
    """The channel for development needs no server: each notice is one line, with its key."""
    here = scene(tmp_path, owned(f"file:{tmp_path}/deep/told.jsonl"))
    (first,) = here.wrong("a")
    (second,) = here.wrong("b")
    here.deliver()
    lines = (tmp_path / "deep/told.jsonl").read_text(encoding="utf-8").splitlines()
    assert [first.key, second.key] == [json.loads(line)["idempotency_key"] for line in lines]


def test_without_apprise_files_still_work(tmp_path):
    """Where apprise is not installed, a channel that needs it says what to install; a file needs nothing."""
    code = (
        "import sys; sys.modules['apprise'] = None\n"
        "from dataproducts.alerts.send import check\n"
        "from dataproducts.directory import Channel\n"
        "check(Channel('file', 'file:x')); check(Channel('chat', 'slack://hunter2'))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.stderr.rstrip().endswith("or use channels of file: or none: alone.")
    assert "pip install 'dataproducts[alerts]'" in ran.stderr
    assert "hunter2" not in ran.stderr.splitlines()[-1]


def test_services_that_take_no_headers_still_get_the_key():
    """Addresses of other services stay usable with all that is added to them."""
    import apprise

    for url in (
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "pagerduty://integrationkey@apikey/source/component",
        "workflows://host:443/workflow/signature",
    ):
        added = "+X-Idempotency-Key=abc&:idempotency_key=abc&cto=5&rto=10&overflow=split"
        assert apprise.Apprise.instantiate(f"{url}?{added}") is not None, url


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_fifty_notices_reach_everybody_through_kills(tmp_path, kind):
    """Fifty alerts, a receiver that goes away twice and five deliverers killed: none lost, repeats under their keys."""
    port = free_port()
    url = database() if kind == "postgresql" else f"sqlite:///{tmp_path}/o.sqlite"
    here = scene(tmp_path, owned(f"json://127.0.0.1:{port}/hook"), url)
    wanted = {here.wrong(f"rule_{number}")[0].key for number in range(50)}
    seen: list[str] = []
    for kill in range(5):
        with web(port) as hook:
            arguments = [sys.executable, "-c", KILLED, url, hook.url(), here.now.isoformat(), str(kill % 2)]
            process = subprocess.Popen(arguments, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
            hook.wait_for(3)
            process.send_signal(signal.SIGKILL)
            process.wait()
            seen += hook.keys()
        here.later(minutes=20)
        assert 0 == here.deliver().sent  # the receiver is away
        here.later(minutes=20)
    with web(port) as hook:
        for _ in range(3):
            here.deliver()
            here.later(minutes=20)
        seen += hook.keys()
    assert wanted == set(seen)
    assert {"sent"} == {one.state for one in here.notices()}
    with here.operations.reading() as con:
        assert 50 == len(incidents.kept.listed(con))
    here.operations.close()


KILLED = """
import sys, time
from datetime import datetime
from dataproducts.alerts import deliver
from dataproducts.alerts.send import send
from dataproducts.operations import Operations
from tests.alerting import owned

count = 0

def send_some(channel, notice):
    global count
    send(channel, notice)
    count += 1
    if count == 3:
        time.sleep(60)

with Operations.open(sys.argv[1], create=False) as operations:
    deliver(operations, owned(sys.argv[2]), now=datetime.fromisoformat(sys.argv[3]), send=send_some)
"""
