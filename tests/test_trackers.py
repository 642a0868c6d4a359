"""Issue trackers: one ticket an incident, whatever fails in between, against real HTTP servers."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from dataproducts.directory import Directory
from dataproducts.errors import RefusedError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.incidents import record
from dataproducts.load import load_project
from dataproducts.operations import Operations
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity
from dataproducts.trackers import GitHub, GitLab, Ticket, TrackerError, Webhook, sync
from dataproducts.warehouse import Warehouse
from dataproducts.watch import watch
from tests.postgres import database
from tests.releasing import sqlite
from tests.shop import build, environment, make_shop, write_orders

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEYS = Subject("shop/orders", FindingKind.CHECK, "primary_key", "orders")
TOKEN = "s3cret"  # noqa: S105 - of a server that lives for a test


class Receiver(BaseHTTPRequestHandler):
    """A server that answers as GitHub, as GitLab and as a webhook's receiver do, as far as tickets need it."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        """Answer one request, unless the server was told to fail."""
        size = int(self.headers.get("Content-Length") or 0)
        data = json.loads(self.rfile.read(size)) if size else {}
        place = urlsplit(self.path)
        self.server.asked.append((self.command, place.path, data))
        plan = self.server.plan.pop(0) if self.server.plan else ""
        if plan == "cut":
            self.close_connection = True
            return
        if plan == "refuse" or (self.server.locked and self.command in {"PATCH", "PUT"}):
            self.say(503, {"message": "try later"})
            return
        if plan.startswith("http"):
            self.send_response(302)
            self.send_header("Location", plan)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        code, facts = self.reply(place.path, parse_qs(place.query), data)
        if plan == "deaf":  # it did what was asked, and nobody hears of it
            self.close_connection = True
            return
        self.say(code, facts)

    do_GET = do_POST = do_PATCH = do_PUT = answer  # noqa: N815 - as the base class calls them

    def reply(self, path, asked, data):
        """Do what is asked."""
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match parts if not self.server.hidden else []:
            case ["repos", "shop", "data", "issues", *rest]:
                allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
                return self.github(rest, asked, data) if allowed else (401, {"message": "Bad credentials"})
            case ["projects", "shop/data", "issues", *rest]:
                allowed = self.headers.get("PRIVATE-TOKEN") == TOKEN
                return self.gitlab(rest, asked, data) if allowed else (401, {"message": "401 Unauthorized"})
            case ["hook"]:
                return 200, "ok"
        return 404, {"message": "Not Found"}

    def github(self, rest, asked, data):
        """Answer as `/repos/OWNER/NAME/issues` does."""
        issues = self.server.issues
        if rest and int(rest[0]) in self.server.deleted:
            return 410, {"message": "This issue was deleted"}
        match self.command, rest:
            case "POST", []:
                number = len(issues) + 1
                address = f"https://github.example/shop/data/issues/{number}"
                issues.append({"number": number, "html_url": address, "state": "open", "comments": [], **data})
                return 201, issues[-1]
            case "GET", []:
                page, size = int(asked["page"][0]), int(asked["per_page"][0])
                return 200, self.left()[::-1][(page - 1) * size : page * size]
            case "PATCH", [number]:
                issues[int(number) - 1].update(data)
                return 200, issues[int(number) - 1]
            case "POST", [number, "comments"]:
                issues[int(number) - 1]["comments"].append(data["body"])
                return 201, {"id": 1}
        return 404, {"message": "Not Found"}

    def gitlab(self, rest, asked, data):
        """Answer as `/projects/ID/issues` does."""
        issues = self.server.issues
        if rest and int(rest[0]) in self.server.deleted:
            return 404, {"message": "404 Not found"}
        match self.command, rest:
            case "POST", []:
                number = len(issues) + 1
                address = f"https://gitlab.example/shop/data/-/issues/{number}"
                issues.append({"id": 90 + number, "iid": number, "web_url": address, "state": "opened", **data})
                issues[-1]["comments"] = []
                return 201, issues[-1]
            case "GET", []:
                return 200, [one for one in self.left() if asked["search"][0] in one["description"]]
            case "PUT", [number]:
                issues[int(number) - 1]["state"] = {"close": "closed", "reopen": "opened"}[data["state_event"]]
                return 200, issues[int(number) - 1]
            case "POST", [number, "notes"]:
                issues[int(number) - 1]["comments"].append(data["body"])
                return 201, {"id": 1}
        return 404, {"message": "404 Not found"}

    def left(self):
        """Return the issues that nobody has deleted."""
        return [one for number, one in enumerate(self.server.issues, 1) if number not in self.server.deleted]

    def say(self, code, facts):
        """Send an answer: JSON, or text as it stands."""
        text = facts.encode() if isinstance(facts, str) else json.dumps(facts).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Keep quiet."""


@contextmanager
def serving():
    """Yield a running server, with the issues that it has, what it was asked, and the failures it is told of."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.issues, server.asked, server.plan, server.deleted = [], [], [], set()
    server.locked = server.hidden = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch):
    """Yield a running server, and let the tokens be known."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    monkeypatch.setenv("GITLAB_TOKEN", TOKEN)
    with serving() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def operations(request, tmp_path):
    """Yield an empty operations database."""
    with Operations.open(sqlite(tmp_path) if request.param == "sqlite" else database()) as opened:
        yield opened


@pytest.fixture
def local(tmp_path):
    """Yield an empty operations database in SQLite."""
    with Operations.open(sqlite(tmp_path)) as opened:
        yield opened


def at(minutes):
    """Return a moment after noon."""
    return NOON + timedelta(minutes=minutes)


def wrong(operations, minutes=0, subject=KEYS, severity=Severity.ERROR):
    """Record that `subject` is wrong."""
    told = Finding(subject, "orders: keys repeat", severity, at(minutes), at(minutes), {"message": f"at {minutes}"})
    with operations.writing() as con:
        record(con, [told], [], products={}, now=at(minutes))


def right(operations, minutes, subject=KEYS):
    """Record that `subject` is right again."""
    with operations.writing() as con:
        record(con, [], [Recovery(subject, at(minutes))], products={}, now=at(minutes))


def held(operations, name):
    """Return what is kept of the ticket."""
    with operations.reading() as con:
        return kept.find(con, KEYS).tickets.get(name)


def steps(operations, tracker, minutes=0):
    """Bring the tickets up to date and return what was done."""
    return [step for _, _, step in sync(operations, [tracker], now=at(minutes)).done]


def tracker_of(kind, server):
    """Return a tracker on the server."""
    address = f"http://127.0.0.1:{server.server_port}"
    if kind == "github":
        return GitHub("shop/data", api=address)
    return GitLab("shop/data", api=address) if kind == "gitlab" else Webhook(f"{address}/hook")


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_one_ticket_an_incident(operations, server, kind):
    """A ticket is made once, closed with the incident, and opened again with a comment when that is reopened."""
    tracker = tracker_of(kind, server)
    wrong(operations)
    assert ["create"] == steps(operations, tracker)
    assert [] == steps(operations, tracker)
    (issue,) = server.issues
    assert "[error] orders: keys repeat" == issue["title"]
    text = issue["body" if kind == "github" else "description"]
    assert "at 0\n" in text
    assert "dataproducts-incident: " in text
    known = held(operations, kind)
    assert ("1", "open", 1) == (known["number"], known["state"], known["episode"])
    assert known["address"].endswith("/issues/1")
    right(operations, 5)
    assert ["close"] == steps(operations, tracker)
    assert "closed" == issue["state"]
    wrong(operations, 9)
    assert ["reopen"] == steps(operations, tracker)
    assert ("open" if kind == "github" else "opened") == issue["state"]
    assert ["Resolved at 2026-01-01 12:05 UTC", "Found wrong again at 2026-01-01 12:09 UTC"] == [
        comment.partition(":00")[0].rpartition(":" if "Resolved" in comment else " (")[0]
        for comment in issue["comments"]
    ]
    assert [] == steps(operations, tracker)


def test_a_webhook_is_told_by_key(local, server):
    """A receiver that answers with plain text is told each step once, under a key of its own."""
    tracker = tracker_of("webhook", server)
    wrong(local)
    steps(local, tracker)
    right(local, 1)
    steps(local, tracker)
    wrong(local, 2)
    steps(local, tracker)
    assert [] == steps(local, tracker)
    told = [data for _, _, data in server.asked]
    name = KEYS.fingerprint[:16]
    assert [f"{name}/1/opened", f"{name}/1/resolved", f"{name}/2/reopened"] == [data["key"] for data in told]
    assert {("shop/orders", "orders", "check", "error")} == {
        (data["product"], data["table"], data["kind"], data["severity"]) for data in told
    }


@pytest.mark.parametrize("kind", ["github", "gitlab"])
@pytest.mark.parametrize("failure", ["refuse", "cut", "deaf"])
def test_what_fails_is_tried_again(operations, server, kind, failure):
    """A server that refuses, hangs up, or does its work unheard, costs neither the incident nor a second ticket."""
    tracker = tracker_of(kind, server)
    wrong(operations)
    server.plan = [failure]
    synced = sync(operations, [tracker], now=NOON)
    assert ((), 1) == (synced.done, len(synced.failed))
    assert held(operations, kind)["error"]
    assert ["create"] == steps(operations, tracker)
    assert 1 == len(server.issues)
    assert ("", "open") == (held(operations, kind)["error"], held(operations, kind)["state"])
    right(operations, 3)
    server.plan = [failure]
    assert [] == steps(operations, tracker)
    assert ["close"] == steps(operations, tracker)
    assert "closed" == server.issues[0]["state"]


def test_a_server_that_is_down(local):
    """Nobody listens: the incident stays, the error is kept; a ticket that was begun is made even if all is well."""
    with serving() as gone:
        address = f"http://127.0.0.1:{gone.server_port}"
    tracker = Webhook(f"{address}/hook")
    wrong(local)
    assert [] == steps(local, tracker)
    assert "refused" in held(local, "webhook")["error"]
    right(local, 1)
    with serving() as server:
        back = Webhook(f"http://127.0.0.1:{server.server_port}/hook")
        assert [["create"], ["close"], []] == [steps(local, back) for _ in range(3)]


def test_one_tracker_does_not_wait_for_another(local, server):
    """A tracker that fails keeps no other from being told."""
    bad, good = Webhook("ftp://tracker.example/x", name="bad"), tracker_of("github", server)
    wrong(local)
    synced = sync(local, [bad, good], now=NOON)
    assert [("github", "create")] == [(name, step) for name, _, step in synced.done]
    assert ["bad"] == [name for name, *_ in synced.failed]


def test_tokens(local, server, monkeypatch):
    """A token that is absent or wrong is an error that names the variable, or repeats the answer, never the token."""
    wrong(local)
    monkeypatch.setenv("GITHUB_TOKEN", "wr0ng")
    steps(local, tracker_of("github", server))
    assert "401" in held(local, "github")["error"]
    assert "wr0ng" not in json.dumps(held(local, "github"))
    monkeypatch.delenv("GITHUB_TOKEN")
    steps(local, tracker_of("github", server))
    assert "GITHUB_TOKEN" in held(local, "github")["error"]


def test_a_token_that_no_header_can_hold(local, server, monkeypatch):
    """Blanks around a token are no part of it; one of two lines, or of letters that no header has, is told unquoted."""
    wrong(local)
    for token in (f"{TOKEN}\nX-Other: 1", "s3cret€"):
        monkeypatch.setenv("GITHUB_TOKEN", token)
        assert [] == steps(local, tracker_of("github", server))
        assert "its token" in held(local, "github")["error"]
        assert "s3cret" not in json.dumps(held(local, "github"))
    monkeypatch.setenv("GITHUB_TOKEN", f" {TOKEN}\n")
    assert ["create"] == steps(local, tracker_of("github", server))


def test_a_token_goes_nowhere_else(local, server):
    """Where a tracker sends us elsewhere, nobody there is asked: the token is not for them."""
    wrong(local)
    with serving() as other:
        server.plan = [f"http://127.0.0.1:{other.server_port}/repos/shop/data/issues"]
        assert [] == steps(local, tracker_of("github", server))
        assert [] == other.asked
    assert ": 302" in held(local, "github")["error"]


def test_a_tracker_that_is_down_is_asked_once_a_look(local, server):
    """The rest waits for the next look; what failed comes last there, so that it keeps nothing else from being done."""
    for name in "abc":
        wrong(local, subject=Subject("a/b", FindingKind.CHECK, name, "t"))
    tracker = tracker_of("github", server)
    server.plan = ["refuse", "refuse"]
    failed = [sync(local, [tracker], now=at(minute)).failed for minute in (0, 1)]
    assert [1, 1, 2] == [*map(len, failed), len(server.asked)]
    assert failed[0][0][1] != failed[1][0][1]
    done = [incident for _, incident, _ in sync(local, [tracker], now=at(2)).done]
    assert [failed[0][0][1], failed[1][0][1]] == done[1:]
    assert 3 == len(server.issues)


class Slow:
    """A tracker of the project's own that takes its time, and sees how long its lease is."""

    name, severities = "slow", frozenset(Severity)

    def __init__(self, operations, seconds):
        self.operations, self.seconds, self.leases = operations, seconds, []

    def find(self, _incident):
        """Return none."""

    def create(self, incident):
        """Make a ticket, slowly."""
        with self.operations.reading() as con:
            lease = kept.get(con, incident.id).tickets["slow"]["leased_until"]
        self.leases.append(datetime.fromisoformat(lease))
        time.sleep(self.seconds)
        return Ticket(incident.id, "")


def test_a_look_has_little_time_for_tickets(local, server):
    """A slow tracker takes its share of the time that a look has, and no other's; what it left is done by the next."""
    for name in "abcd":
        wrong(local, subject=Subject("a/b", FindingKind.CHECK, name, "t"))
    slow, quick = Slow(local, 0.3), tracker_of("github", server)
    done = [name for name, *_ in sync(local, [slow, quick], now=NOON, patience=timedelta(seconds=1)).done]
    assert {"slow": 2, "github": 4} == Counter(done)
    assert timedelta(minutes=5, seconds=0.3) <= slow.leases[1] - NOON
    assert ["create", "create"] == steps(local, slow)


def test_a_tracker_that_breaks(local, server):
    """Whatever a tracker of the project's own raises is kept by its kind alone, and stops nobody else."""

    class Broken(Slow):
        name = "broken"

        def create(self, _incident):
            raise KeyError(TOKEN)

    wrong(local)
    synced = sync(local, [Broken(local, 0), tracker_of("github", server)], now=NOON)
    assert [("broken", "KeyError")] == [(name, why) for name, _, why in synced.failed]
    assert ["github"] == [name for name, *_ in synced.done]


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_comment_follows_what_it_tells_of(local, server, kind):
    """While a ticket cannot be closed, nobody comments that it was; then there is one comment."""
    tracker = tracker_of(kind, server)
    wrong(local)
    steps(local, tracker)
    right(local, 1)
    server.locked = True
    assert [[], []] == [steps(local, tracker, minute) for minute in (2, 3)]
    assert [] == server.issues[0]["comments"]
    server.locked = False
    assert ["close"] == steps(local, tracker, 4)
    assert 1 == len(server.issues[0]["comments"])


@pytest.mark.parametrize("kind", ["github", "gitlab"])
def test_a_ticket_that_somebody_deleted(local, server, kind):
    """It is not asked for again and again; when its incident is reopened, another one is made."""
    tracker = tracker_of(kind, server)
    wrong(local)
    steps(local, tracker)
    server.deleted.add(1)
    right(local, 1)
    assert [["close"], []] == [steps(local, tracker, minute) for minute in (1, 2)]
    assert "gone" == held(local, kind)["state"]
    wrong(local, 3)
    assert ["create"] == steps(local, tracker, 3)
    right(local, 4)
    assert ["close"] == steps(local, tracker, 4)
    server.deleted.add(2)
    wrong(local, 5)
    assert [["reopen"], []] == [steps(local, tracker, minute) for minute in (5, 6)]
    assert ("3", "open", "") == tuple(held(local, kind)[name] for name in ("number", "state", "error"))


def test_tickets_that_nobody_may_see_are_not_gone(local, server):
    """A server that knows nothing of the whole project any more may know it again: its tickets are closed then."""
    tracker = tracker_of("gitlab", server)
    wrong(local)
    steps(local, tracker)
    right(local, 1)
    server.hidden = True
    assert [] == steps(local, tracker, 2)
    assert ("open", True) == (held(local, "gitlab")["state"], "404" in held(local, "gitlab")["error"])
    server.hidden = False
    assert ["close"] == steps(local, tracker, 3)


def test_severities_and_history(local, server):
    """Only what is severe enough gets a ticket; what ended before a tracker was there gets none."""
    warned, old = Subject("a/b", FindingKind.CHECK, "r", "t"), Subject("a/b", FindingKind.STALE, "s")
    wrong(local, subject=old)
    right(local, 1, old)
    wrong(local, 2, warned, Severity.WARNING)
    tracker = GitHub("shop/data", api=f"http://127.0.0.1:{server.server_port}", severities={Severity.ERROR})
    assert [] == steps(local, tracker)
    wrong(local, 3, warned, Severity.ERROR)
    assert ["create"] == steps(local, tracker)


def test_what_happened_between_two_ticks(local, server):
    """An incident that was resolved, reopened and resolved unseen leaves a closed ticket that tells of it."""
    tracker = tracker_of("github", server)
    wrong(local)
    steps(local, tracker)
    right(local, 1)
    steps(local, tracker)
    wrong(local, 2)
    right(local, 3)
    assert [["reopen"], ["close"], []] == [steps(local, tracker) for _ in range(3)]
    assert "closed" == server.issues[0]["state"]
    assert 3 == len(server.issues[0]["comments"])


def test_a_ticket_is_found_among_many(local, server):
    """After a kill between making a ticket and noting it, the ticket is found, on a later page too."""
    tracker = tracker_of("github", server)
    wrong(local)
    server.plan = ["deaf"]
    steps(local, tracker)
    server.issues += [{"number": n, "html_url": "x", "body": None, "state": "open"} for n in range(2, 130)]
    assert ["create"] == steps(local, tracker)
    assert (129, "1") == (len(server.issues), held(local, "github")["number"])


def test_several_watchers_make_one_ticket(operations, server):
    """Of watchers that look at once, one makes the ticket; the others leave it to that one."""
    for name in range(4):
        wrong(operations, subject=Subject("a/b", FindingKind.CHECK, f"r{name}", "t"))
    tracker, start = tracker_of("github", server), threading.Barrier(4)
    taken = []

    def look():
        start.wait()
        taken.extend(sync(operations, [tracker], now=NOON).done)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (4, 4) == (len(server.issues), len(taken))


def test_a_watcher_that_was_killed(local, server):
    """A step that a killed watcher had begun is taken up when its time is over, and not before."""
    tracker = tracker_of("github", server)
    wrong(local)
    with local.reading() as con:
        incident = kept.find(con, KEYS)
    tracker.create(incident)
    with local.writing() as con:
        begun = {"state": "begun", "leased_until": at(5).isoformat()}
        kept.update(con, replace(incident, tickets={"github": begun}))
    assert [] == steps(local, tracker, 4)
    assert ["create"] == steps(local, tracker, 6)
    assert 1 == len(server.issues)


def test_an_answer_without_a_number(local, server):
    """A server that is no tracker is told as such."""
    tracker = GitHub("other/place", api=f"http://127.0.0.1:{server.server_port}")
    wrong(local)
    with pytest.raises(TrackerError, match="404"), local.reading() as con:
        tracker.create(kept.find(con, KEYS))


def test_a_look_keeps_the_tickets(tmp_path, server):
    """Trackers that an environment names are told by the look that opens an incident, and by that which ends it."""
    root = make_shop(tmp_path)
    trackers = (tracker_of("github", server),)
    write_orders(root, bad={1: "1,1,2024-01-01,-1"})
    for good in (False, True):
        with contextlib.suppress(RefusedError):
            build(root, "shop/orders")
        wired = environment(root, trackers=trackers)
        found = {p.address: p for p in load_project(root).products if p.address == "shop/orders"}
        with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
            watch(warehouse, operations, found, directory=Directory(), now=datetime.now(UTC))
        mine = [issue for issue in server.issues if "amount.range" in issue["title"]]
        assert ["closed" if good else "open"] == [issue["state"] for issue in mine]
        write_orders(root)
