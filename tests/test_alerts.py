"""Alerts: who is told of what became of incidents, when, and what the notice says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from dataproducts import incidents
from dataproducts.alerts import Announcement, queue_announcement
from dataproducts.alerts.message import SUBJECT_LENGTH, clean
from dataproducts.alerts.routing import unreachable
from dataproducts.directory import Channel, Digest, Directory, Person, QuietHours, Route, Step, Team
from dataproducts.finding import FindingKind
from dataproducts.operations import outbox
from dataproducts.operations.incidents import events
from dataproducts.product import Severity
from tests.alerting import ADA, BEN, NOON, ORDERS, PRICING, crowd, owned, scene
from tests.postgres import database

WARNING, ERROR = Severity.WARNING, Severity.ERROR


def told(notices):
    """Return who is told what, without how it is worded."""
    return [(one.kind, one.recipient, one.channel) for one in notices]


def test_the_owner_is_told_once_and_of_the_recovery(tmp_path):
    """An incident is told when it opens and when it closes; seen again in between it says nothing."""
    here = scene(tmp_path, crowd())
    assert [("opened", ADA, "hook")] == told(here.wrong())
    here.later(hours=1)
    assert () == here.wrong()
    here.later(hours=1)
    assert [("recovered", ADA, "hook")] == told(here.right())
    here.later(hours=1)
    assert [("reopened", ADA, "hook")] == told(here.wrong())
    assert 3 == len({one.key for one in here.notices()})
    assert 3 == here.deliver().sent
    assert 0 == here.deliver().sent


def test_recording_again_says_nothing_twice(tmp_path):
    """What is put in a second time under the same key is ignored, whatever became of the first."""
    here = scene(tmp_path, crowd())
    (notice,) = here.wrong()
    with here.operations.writing() as con:
        assert () == outbox.put(con, [notice])
    here.deliver()
    with here.operations.writing() as con:
        assert () == outbox.put(con, [notice])
    assert ["sent"] == [one.state for one in here.notices()]


def test_who_is_told(tmp_path):
    """The owner, else the team, else the operator; a channel takes its severities alone; routes add others."""
    loud, quiet = Channel("phone", "none:", (ERROR,)), Channel("room", "none:")
    ada, op = Person(ADA, (loud,)), Person("op", (quiet,))
    here = scene(tmp_path, Directory((ada, op), (Team("Tills", (ADA,), (quiet,)),), operator="op"))
    assert [("opened", ADA, "phone")] == told(here.wrong("a"))
    assert [("opened", "Tills", "room")] == told(here.wrong("b", severity=WARNING))
    here.directory = Directory((ada, op), operator="op")
    assert [("opened", "op", "room")] == told(here.wrong("c", severity=WARNING))
    routes = (Route("op", "shop/*", ("check",), (ERROR,)), Route("op", "stock/*"))
    here.directory = Directory((ada, op), routes=routes)
    assert [("opened", ADA, "phone"), ("opened", "op", "room")] == told(here.wrong("d"))


def test_an_assignee_whom_nobody_knows_is_told_by_the_owner(tmp_path):
    """Where an incident was given to somebody out of the directory's reach, its owner is told of what becomes of it."""
    here = scene(tmp_path, owned("none:"))
    here.wrong()
    here.by_hand(incidents.assign, "nobody-knows")
    here.later(hours=1)
    here.right()
    here.later(hours=1)
    assert [("reopened", ADA, "hook")] == told(here.wrong())


def test_what_nobody_can_be_told_is_noted(tmp_path):
    """With a directory that reaches nobody for an incident, its timeline says so."""
    here = scene(tmp_path, Directory((Person("zoe", (Channel("c", "none:"),)),)))
    assert () == here.wrong()
    with here.operations.reading() as con:
        (incident,) = incidents.kept.listed(con)
        assert ["opened", "not_notified"] == [event.kind for event in events(con, incident.id)]
    assert 2 == sum("neither its owner" in line for line in unreachable(here.directory, here.products.values()))
    here.directory = Directory()
    assert () == here.wrong("another")


def test_consumers_hear_of_broken_promises_alone(tmp_path):
    """A late table is told to who reads it, and its recovery; a refused check is not, for they keep the last good."""
    here = scene(tmp_path, crowd())
    assert [("opened", ADA, "hook")] == told(here.wrong())
    late = here.wrong("latency", kind=FindingKind.STALE, sample=[{"amount": 7}])
    assert [("opened", ADA, "hook"), ("opened", PRICING, "hook")] == told(late)
    assert "Sums of orders" in late[1].body
    assert "dataproducts incidents" in late[0].body
    assert "dataproducts" not in late[1].body
    assert "Sample" not in late[1].body
    here.later(minutes=1)
    assert [ADA, PRICING] == [one.recipient for one in here.right("latency", FindingKind.STALE)]
    other = here.wrong("latency", kind=FindingKind.STALE, table="customers")
    assert [("opened", ADA, "hook")] == told(other)
    here.options = {"observed": lambda product: [{"contact": BEN}] if product == ORDERS else ()}
    assert [ADA, PRICING, BEN] == [one.recipient for one in here.wrong("freshness", kind=FindingKind.STALE)]


def test_a_worse_incident_is_told_again(tmp_path):
    """A severity that grows is told once, to the channels that take it."""
    here = scene(tmp_path, crowd())
    here.wrong(severity=WARNING)
    here.later(minutes=1)
    (notice,) = here.wrong(severity=ERROR)
    assert ("worsened", "error") == (notice.kind, notice.severity)
    assert notice.subject.startswith("[now error] shop/orders.orders: ")


def test_escalation_goes_up_until_somebody_acknowledges(tmp_path):
    """After 30 minutes the team is told, after 2 hours the next; an acknowledgement stops it."""
    steps = (Step(timedelta(hours=2), BEN), Step(timedelta(minutes=30), "Tills"))
    base = crowd()
    here = scene(tmp_path, Directory(base.people, base.teams, escalation=steps))
    here.wrong()
    assert 1 == here.deliver().sent
    here.later(minutes=29)
    assert 0 == here.deliver().sent
    here.later(minutes=1)
    assert 1 == here.deliver().sent
    assert ("escalated", "Tills", "room") == told(one for one in here.notices() if one.state == "sent")[-1]
    here.by_hand(incidents.acknowledge)
    here.later(hours=2)
    done = here.deliver()
    assert (0, 1) == (done.sent, done.cancelled)
    recovered = here.right()
    assert {ADA, "Tills"} == {one.recipient for one in recovered}


def test_who_is_given_an_incident_is_told(tmp_path):
    """Once for each time it is given, not whoever took it themselves; and of the recovery."""
    here = scene(tmp_path, crowd())
    here.wrong()

    def give(to: str, by: str) -> list[tuple[str, str, str]]:
        here.later(minutes=1)
        with here.operations.writing() as con:
            (incident,) = incidents.kept.listed(con)
            incidents.assign(con, incident.id, to, by=by, now=here.now)
        return told(here.wrong())

    assert [("assigned", BEN, "hook")] == give(BEN, by=ADA)
    assert [] == told(here.wrong())
    assert [] == give(ADA, by=ADA)
    assert [("assigned", BEN, "hook")] == give(BEN, by=ADA)
    assert [] == give("nobody@known.example", by=ADA)
    here.later(minutes=1)
    assert {ADA, BEN} == {one.recipient for one in here.right()}
    (mine, *_) = [one for one in here.notices() if one.kind == "assigned"]
    assert mine.subject.startswith("[yours, error] shop/orders.orders: ")
    assert "Yours to look after" in mine.body


def test_a_recovery_takes_the_escalation_back(tmp_path):
    """Who was not told yet is not told of what is right by now, nor of its recovery."""
    base = crowd()
    here = scene(tmp_path, Directory(base.people, base.teams, escalation=(Step(timedelta(minutes=30), BEN),)))
    here.wrong()
    here.later(minutes=10)
    assert [ADA] == [one.recipient for one in here.right()]
    here.later(hours=1)
    assert 2 == here.deliver().sent
    assert ["sent", "cancelled", "sent"] == [one.state for one in here.notices()]


def test_a_muted_incident_is_silent(tmp_path):
    """What is muted is told after the mute, if it is still wrong by then; ending the mute tells it at once."""
    here = scene(tmp_path, crowd())
    here.wrong()
    here.by_hand(incidents.mute, NOON + timedelta(hours=3))
    here.deliver()
    assert [("waiting", "muted")] == [(one.state, one.held) for one in here.notices()]
    here.later(hours=1)
    assert () == here.right()
    assert ["cancelled"] == [one.state for one in here.notices()]
    here.later(minutes=1)
    here.wrong()
    here.later(hours=1)
    assert 0 == here.deliver().sent
    here.by_hand(incidents.mute, here.now)
    assert 1 == here.deliver().sent


def test_a_recovery_by_hand_is_told(tmp_path):
    """An incident that somebody resolves is told as resolved, like one that was found right."""
    here = scene(tmp_path, crowd())
    here.wrong()
    here.by_hand(incidents.resolve, "known and harmless", what="resolved")
    assert [("opened", ADA, "hook"), ("recovered", ADA, "hook")] == told(here.notices())


def test_a_recovery_by_hand_that_nobody_queued_is_told_at_the_next_look(tmp_path):
    """Whatever way an incident was resolved, the next call tells whoever was told, once."""
    here = scene(tmp_path, crowd())
    here.wrong("a")
    here.by_hand(incidents.resolve, "known and harmless")
    here.later(minutes=1)
    assert [("recovered", ADA, "hook"), ("opened", ADA, "hook")] == told(here.wrong("b"))[::-1]
    assert () == here.wrong("b")


def test_quiet_hours_hold_warnings_until_morning(tmp_path):
    """A warning of the night comes in the morning with its recovery; an error comes at once."""
    night = QuietHours(time(22), time(7), "Europe/Berlin")
    here = scene(tmp_path, Directory((Person(ADA, (Channel("hook", "none:"),), night),)))
    here.now = datetime(2026, 3, 28, 22, tzinfo=UTC)  # 23:00, and the clocks are put on this night
    here.wrong("a", severity=WARNING)
    here.wrong("b")
    assert 1 == here.deliver().sent
    here.later(hours=2)
    here.right("a")
    here.now = datetime(2026, 3, 29, 4, 59, tzinfo=UTC)
    assert 0 == here.deliver().sent
    here.later(minutes=1)
    assert 2 == here.deliver().sent


def test_a_failed_warning_is_not_sent_at_night(tmp_path):
    """What could not be sent by day and comes due at night waits for the morning."""
    night = QuietHours(time(22), time(7))
    here = scene(tmp_path, Directory((Person(ADA, (Channel("hook", "nope://x"),), night),)))
    here.now = datetime(2026, 1, 5, 21, 59, 50, tzinfo=UTC)
    here.wrong(severity=WARNING)
    assert 1 == here.deliver().failed
    here.later(minutes=5)
    assert 0 == here.deliver().failed
    assert ("quiet", datetime(2026, 1, 6, 7, tzinfo=UTC)) == (here.notices()[0].held, here.notices()[0].due_at)


def test_a_digest_is_one_message_with_many(tmp_path):
    """Warnings go together at the hour of the digest, an error at once; each incident's timeline knows when."""
    file = tmp_path / "told.jsonl"
    ada = Person(ADA, (Channel("file", f"file:{file}"),), digest=Digest((time(16),)))
    here = scene(tmp_path, Directory((ada,)))
    for name in ("a", "b", "c"):
        here.wrong(name, severity=WARNING)
    here.wrong("now")
    assert 1 == here.deliver().sent
    here.later(hours=1)
    here.right("b")
    here.later(hours=3)
    assert 1 == here.deliver().sent
    _, digest = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert "[digest] 4 notices on shop/orders" == digest["subject"]
    assert 4 == len(digest["keys"])
    for name in ("a", "b", "c"):
        assert f"{name} fails for 3 rows" in digest["body"]
    assert "[resolved] shop/orders.orders: b fails" in digest["body"]
    assert {"sent"} == {one.state for one in here.notices()}
    with here.operations.reading() as con:
        first = incidents.kept.listed(con, severities=["warning"])[0]
        assert here.now == first.notified_at
    here.wrong("d", severity=WARNING)
    here.later(days=1)
    here.deliver()
    last = json.loads(file.read_text(encoding="utf-8").splitlines()[-1])
    assert last["subject"].startswith("[warning] ")  # one alone goes as it is


def test_the_message_says_what_to_know(tmp_path):
    """What, since when, where, whom it affects, a masked sample, what to do, the run and the key of incident."""
    directory = owned("none:", run_url="http://dagster.example/runs/{run_id}")
    here = scene(tmp_path, directory)
    sample = [{"order_id": 7, "amount": None}]
    (notice,) = here.wrong(
        message="3 of 900 rows have no amount; 0 are allowed", sample=sample, run_id="r1", published=False
    )
    lines = notice.body.splitlines()
    assert "[error] shop/orders.orders: amount.required fails for 3 rows" == notice.subject
    for line in (
        "Product:    shop/orders, table orders",
        "Since:      2026-01-05 11:00 UTC (1 hour), found 2026-01-05 12:00 UTC",
        "What:       3 of 900 rows have no amount; 0 are allowed",
        "Readers:    keep the last good release; nothing of this was published",
        "Affects:    shop/order_value@v2; read by Analyst; metrics shop/orders: turnover",
        "Sample:     order_id=7, amount=None",
        "Do:         dataproducts check shop/orders",
        f"            dataproducts incidents ack {notice.incident_id}",
        "Run:        http://dagster.example/runs/r1",
        "Owner:      Ada <ada@shop.example>, team Tills",
    ):
        assert line in lines, notice.body
    assert len(lines) < 20


def test_a_sample_is_masked_by_the_contract_of_today(tmp_path):
    """What was recorded before its column was classified, or its table removed, is not told; no recovery tells any."""
    here = scene(tmp_path, owned("none:"))
    product = here.products[ORDERS]
    orders = product.table("orders")
    columns = tuple(replace(c, classification="personal") if c.name == "amount" else c for c in orders.columns)
    (first,) = here.wrong(sample=[{"order_id": 7, "amount": 81.5}])
    assert "Sample:     order_id=7, amount=81.5" in first.body.splitlines()
    for tables, expected in (((replace(orders, columns=columns),), ["order_id=7, amount=***"]), ((), [])):
        here.products[ORDERS] = replace(product, tables=tables)
        here.later(minutes=1)
        here.by_hand(incidents.assign, ADA)
        here.later(minutes=1)
        (given,) = [one for one in here.wrong(f"other {len(tables)}") if one.kind == "assigned"]
        assert expected == samples(given)
    here.products[ORDERS] = product
    here.later(minutes=1)
    assert [[]] == [samples(one) for one in here.right()]


def samples(notice):
    """Return what a notice shows of rows."""
    lines = notice.body.splitlines()
    return [line.removeprefix("Sample:").strip() for line in lines if line.startswith("Sample:")]


def test_subjects_are_one_short_line(tmp_path):
    """A title with line breaks, control characters and no end becomes one line of 78 characters at the most."""
    here = scene(tmp_path, owned("none:"))
    (notice,) = here.wrong(title="rows\r\nBcc: everybody@example.com \x1b[31m" + "ä" * 200)
    assert len(notice.subject) <= SUBJECT_LENGTH
    assert notice.subject.isprintable()
    assert "a b" == clean("a\n\t b")


def test_consumers_hear_of_announcements_once(tmp_path):
    """A deprecation goes to declared consumers and to the owners of products that read it, once a reference."""
    here = scene(tmp_path, crowd())
    lines = (("Reason", "Replaced."), ("Successor", "shop/orders@v2"), ("Sunset", "2026-12-31"))
    news = Announcement("deprecated", ORDERS, "1.0.0", "shop/orders is deprecated until 2026-12-31", lines)
    for expected in ([PRICING, ADA], []):
        with here.operations.writing() as con:
            put = queue_announcement(con, news, directory=here.directory, products=here.products, now=here.now)
        assert expected == [one.recipient for one in put]
    assert 2 == here.deliver().sent
    first = here.notices()[0]
    assert "Successor:  shop/orders@v2" in first.body
    assert "You read:   orders; Sums of orders; as Analyst" in first.body


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_what_is_sent_is_noted(tmp_path, kind):
    """Delivery leaves the time it was first told in the incident, and a line in its timeline, on both databases."""
    url = database() if kind == "postgresql" else f"sqlite:///{tmp_path}/o.sqlite"
    here = scene(tmp_path, crowd(), url)
    (notice,) = here.wrong()
    here.later(minutes=2)
    assert 1 == here.deliver().sent
    with here.operations.reading() as con:
        incident = incidents.kept.get(con, notice.incident_id)
        *_, last = events(con, notice.incident_id)
    assert timedelta(minutes=2) == incident.time_to_notify
    assert ("notified", ADA, notice.key) == (last.kind, last.detail["recipient"], last.detail["key"])
    here.operations.close()
