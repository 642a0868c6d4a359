"""Incidents: one a subject, counted, reopened, resolved and told by hand, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.findings import read_findings
from dataproducts.impact import impact
from dataproducts.incidents import (
    Links,
    acknowledge,
    assign,
    mark_notified,
    mute,
    note,
    record,
    resolve,
)
from dataproducts.load import load_project
from dataproducts.objective import Trust, Unsubscription
from dataproducts.operations import Operations
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity, TableRef
from dataproducts.warehouse import Warehouse
from tests.pages import ROOT, run, terms
from tests.postgres import database
from tests.releasing import sqlite
from tests.shop import edit, environment, make_shop

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ORDERS = "shop/orders"
UNIQUE = Subject(ORDERS, FindingKind.CHECK, "primary_key", "orders")
STALE = Subject(ORDERS, FindingKind.STALE, "orders.freshness", "orders")


def at(minutes: float) -> datetime:
    """Return a moment after noon."""
    return NOON + timedelta(minutes=minutes)


def finding(subject: Subject = UNIQUE, minutes: float = 0, severity: Severity = Severity.ERROR, **detail) -> Finding:
    """Return a sighting of `subject`, which went wrong a minute before it was seen."""
    return Finding(subject, f"{subject.name} failed", severity, at(minutes - 1), at(minutes), detail)


@pytest.fixture(params=["sqlite", "postgresql"])
def operations(request, tmp_path):
    """Yield an empty operations database."""
    with Operations.open(sqlite(tmp_path) if request.param == "sqlite" else database()) as opened:
        yield opened


@pytest.fixture(scope="module")
def products(tmp_path_factory):
    """Return the products of the shop by address."""
    return loaded(make_shop(tmp_path_factory.mktemp("shop")))


def loaded(root):
    """Return the products of the project at `root` by address."""
    project = load_project(root)
    assert project.faults == ()
    return {product.address: product for product in project.products}


def tell(operations, *told, products=None, now=None, links=None):
    """Record findings and recoveries in one transaction; return what became of which, as (what, episode, seen)."""
    findings = [one for one in told if isinstance(one, Finding)]
    recoveries = [one for one in told if isinstance(one, Recovery)]
    now = now or max(one.at if isinstance(one, Recovery) else one.seen_at for one in told)
    with operations.writing() as con:
        changes = record(con, findings, recoveries, products=products or {}, now=now, links=links)
    return [(change.what, change.incident.episode, change.incident.seen) for change in changes]


def the(operations, subject=UNIQUE):
    """Return the incident about `subject`."""
    with operations.reading() as con:
        return kept.find(con, subject)


def timeline(operations, subject=UNIQUE):
    """Return the kinds of events of the incident about `subject`."""
    with operations.reading() as con:
        return [event.kind for event in kept.events(con, kept.find(con, subject).id)]


def test_one_incident_a_subject(operations):
    """A second sighting counts and opens nothing; a recovery resolves; what is found again is reopened."""
    assert [("opened", 1, 1)] == tell(operations, finding(minutes=0, sighting="a"))
    assert [("seen", 1, 2)] == tell(operations, finding(minutes=5, sighting="b"))
    assert [("resolved", 1, 2)] == tell(operations, Recovery(UNIQUE, at(9)))
    assert [("reopened", 2, 1)] == tell(operations, finding(minutes=20, sighting="c"))
    assert [("opened", 1, 1)] == tell(operations, finding(STALE, 20))
    found = the(operations)
    assert ("open", None, at(20), at(19)) == (found.state, found.resolved_at, found.opened_at, found.failed_at)
    assert ["opened", "seen", "resolved", "reopened"] == timeline(operations)


def test_telling_twice_changes_nothing(operations):
    """What was recorded and is told again, out of order too, neither counts nor reopens."""
    told = [finding(minutes=0, sighting="a"), finding(minutes=5, sighting="b"), finding(STALE, 5)]
    tell(operations, *told)
    before = the(operations), the(operations, STALE)
    assert [] == tell(operations, *reversed(told))
    assert before == (the(operations), the(operations, STALE))
    tell(operations, Recovery(UNIQUE, at(6)), Recovery(STALE, at(6)))
    assert [] == tell(operations, *told, Recovery(UNIQUE, at(6)))
    assert "resolved" == the(operations).state == the(operations, STALE).state


def test_times_of_an_episode(operations):
    """Time to detect, to notify and to repair come from the moments of the current episode."""
    tell(operations, finding(minutes=0))
    with operations.writing() as con:
        mark_notified(con, the(operations).id, to="ana", at=at(3))
        mark_notified(con, the(operations).id, to="bo", at=at(4))
    tell(operations, Recovery(UNIQUE, at(30)))
    found = the(operations)
    minutes = [span.total_seconds() / 60 for span in (found.time_to_detect, found.time_to_notify, found.time_to_repair)]
    assert [1, 3, 31] == minutes
    with operations.reading() as con:
        last = kept.events(con, found.id)[-1]
    assert (60, 180, 1860) == tuple(last.detail[name] for name in ("detect_s", "notify_s", "repair_s"))
    tell(operations, finding(minutes=60))
    assert (None, None) == (the(operations).time_to_notify, the(operations).time_to_repair)


def test_severity_grows_within_an_episode(operations):
    """A worse sighting makes the incident worse, a milder one does not; the next episode has its own."""
    tell(operations, finding(minutes=0, severity=Severity.INFO))
    assert [("worsened", 1, 2)] == tell(operations, finding(minutes=1, severity=Severity.ERROR))
    assert [("seen", 1, 3)] == tell(operations, finding(minutes=2, severity=Severity.WARNING))
    assert Severity.ERROR is the(operations).severity
    tell(operations, Recovery(UNIQUE, at(3)), finding(minutes=4, severity=Severity.WARNING))
    assert Severity.WARNING is the(operations).severity
    assert ["opened", "worsened", "resolved", "reopened"] == timeline(operations)


def test_order_within_a_moment(operations):
    """With one clock reading for all, the ledger's order decides; without any order, what may be wrong is wrong."""
    good, bad = Recovery(UNIQUE, NOON, {"order": 2}), finding(sighting="3", order=3)
    tell(operations, finding(sighting="1", order=1), good, bad)
    assert "open" == the(operations).state
    tell(operations, Recovery(UNIQUE, NOON, {"order": 4}))
    assert "resolved" == the(operations).state
    tell(operations, Recovery(STALE, NOON), finding(STALE))
    assert "open" == the(operations, STALE).state


def test_clocks_that_disagree_lose_nothing(operations):
    """A named sighting that came after the recovery reopens, though its host's clock is behind."""
    tell(operations, finding(minutes=0, sighting="a"), Recovery(UNIQUE, at(5)))
    assert [("reopened", 2, 1)] == tell(operations, finding(minutes=4, sighting="b"))
    assert at(5) >= the(operations).opened_at >= at(4)


def test_by_hand(operations):
    """Each manual action is an event with its actor; what is resolved by hand and still wrong is reopened."""
    tell(operations, finding(sighting="a"))
    found = the(operations)
    with operations.writing() as con:
        acknowledge(con, found.id[:4], by="ana", now=at(1))
        assign(con, found.id, "bo", by="ana", now=at(2), note="on duty")
        note(con, found.id, "the till sends keys twice", by="bo", now=at(3))
        mute(con, found.id, at(60), by="bo", now=at(4))
        resolve(con, found.id, "till repaired", by="bo", now=at(5))
    after = the(operations)
    assert ("resolved", at(1), "bo", at(5)) == (
        after.state,
        after.acknowledged_at,
        after.responsible,
        after.resolved_at,
    )
    assert (True, False) == (after.is_muted(at(59)), after.is_muted(at(60)))
    with operations.reading() as con:
        told = [(event.kind, event.actor) for event in kept.events(con, found.id)]
    expected = [("acknowledged", "ana"), ("assigned", "ana"), ("note", "bo"), ("muted", "bo"), ("resolved", "bo")]
    assert [("opened", "watch"), *expected] == told
    assert [] == tell(operations, finding(minutes=4, sighting="before it was resolved"), now=at(6))
    assert [("reopened", 2, 1)] == tell(operations, finding(minutes=7, sighting="c"))
    again = the(operations)
    assert ("open", None, "bo", True) == (again.state, again.acknowledged_at, again.assignee, again.is_muted(at(8)))


def test_manual_actions_that_make_no_sense(operations):
    """An unknown or ambiguous id, a resolved incident, a reason or a note without text are refused."""
    tell(operations, finding(), finding(STALE))
    with operations.writing() as con:
        resolve(con, the(operations).id, "repaired", by="ana", now=at(1))
    wrong = [
        (UnknownNameError, lambda con: kept.get(con, "%")),
        (UnknownNameError, lambda con: kept.get(con, "")),
        (UnknownNameError, lambda con: note(con, "zz", "x", by="ana", now=NOON)),
        (UsageError, lambda con: acknowledge(con, the(operations).id, by="ana", now=NOON)),
        (UsageError, lambda con: resolve(con, the(operations, STALE).id, " ", by="ana", now=NOON)),
        (UsageError, lambda con: note(con, the(operations).id, "", by="ana", now=NOON)),
    ]
    for kind, act in wrong:
        with pytest.raises(kind), operations.writing() as con:
            act(con)
    same = [Subject(ORDERS, FindingKind.CHECK, f"rule{n}", "orders") for n in range(17)]
    tell(operations, *(finding(subject) for subject in same))
    shared = next(c for c in "0123456789abcdef" if sum(s.fingerprint.startswith(c) for s in same) > 1)
    with pytest.raises(UsageError, match="several incidents begin with"), operations.reading() as con:
        kept.get(con, shared)


def test_who_and_what_is_concerned(operations, products):
    """Owner, tables, downstream products and links come from the declarations; an unknown product has none of them."""
    links = Links(run="http://dagster.example/runs/{run_id}", runbook="http://wiki.example/{domain}/{kind}")
    unknown = Subject("shop/gone", FindingKind.CHECK, "r", "t")
    tell(operations, finding(run_id="7"), finding(unknown), products=products, links=links)
    found, gone = the(operations), the(operations, unknown)
    assert ("ana@example.com", "") == (found.owner, gone.owner)
    assert ["shop/orders.orders", "shop/revenue.revenue"] == found.detail["tables"]
    assert (["shop/revenue"], []) == (found.detail["downstream"], gone.detail["downstream"])
    assert "http://dagster.example/runs/7" == found.detail["run_link"]
    assert "http://wiki.example/shop/check" == found.detail["runbook"]
    trusted = replace(products[ORDERS], trust=Trust(runbooks={"orders.primary_key": "http://wiki.example/keys"}))
    tell(operations, Recovery(UNIQUE, at(1)))
    tell(operations, finding(minutes=2), products={ORDERS: trusted}, links=links)
    assert "http://wiki.example/keys" == the(operations).detail["runbook"]


def test_impact_goes_table_by_table(tmp_path):
    """A table that nobody downstream reads concerns nobody downstream; consumers and metrics follow their columns."""
    root = make_shop(tmp_path)
    edit(
        root / "assets/shop/revenue/product.yaml",
        "outputPorts:",
        "customProperties:\n"
        "  - {property: consumers, value: [{persona: Planner, contact: plan@example.com, port: revenue}]}\n"
        "outputPorts:",
    )
    products = loaded(root)
    metrics = [
        {"name": "revenue", "columns": ["orders.amount"]},
        {"name": "reach", "columns": ["revenue.customer_id"]},
        {"name": "staff", "columns": ["customers.customer_id"]},
    ]
    products["shop/revenue"] = replace(products["shop/revenue"], design={"metrics": metrics[:2]})
    products[ORDERS] = replace(products[ORDERS], design={"metrics": metrics[2:]})
    orders = impact(products, ORDERS, "orders")
    assert (TableRef(ORDERS, "orders"), TableRef("shop/revenue", "revenue")) == orders.tables
    assert ("shop/revenue: reach", "shop/revenue: revenue") == orders.metrics
    assert [("shop/revenue", "Planner")] == [(entry["product"], entry["persona"]) for entry in orders.consumers]
    customers = impact(products, ORDERS, "customers")
    assert ((), (), ("shop/orders: staff",)) == (customers.products, customers.consumers, customers.metrics)
    assert ("shop/revenue",) == impact(products, ORDERS).products


def test_no_classified_value_is_kept(operations, products):
    """A sample is masked by the contract of today, and dropped where no contract is known; odd values become text."""
    rows = [{"customer_id": 1, "email": "ana@x.org", "who": "?"}] * 9
    customers = Subject(ORDERS, FindingKind.CHECK, "email.pattern", "customers")
    tell(operations, finding(customers, sample=rows, number=float("nan"), at=NOON), products=products)
    tell(operations, finding(Subject("x/y", FindingKind.CHECK, "r", "t"), sample=rows), products=products)
    found = the(operations, customers)
    assert [{"customer_id": 1, "email": "***", "who": "***"}] * 5 == list(found.detail["sample"])
    assert ("nan", NOON.isoformat()) == (found.detail["number"], found.detail["at"])
    assert [] == the(operations, Subject("x/y", FindingKind.CHECK, "r", "t")).detail["sample"]


def test_text_that_no_database_holds(operations):
    """Zero bytes, line ends and half characters in titles and messages do not keep an incident from being recorded."""
    odd = replace(finding(message="a\x00b\ud800c"), title="a\x00b\n\ud800c ✓")
    tell(operations, odd)
    assert "a b c ✓" == the(operations).title
    assert "a\ufffdb?c" == the(operations).detail["message"]


def test_unsubscribed(operations, products):
    """What a product unsubscribed from, by kind, rule or table, opens nothing; everything else does."""
    entries = (Unsubscription("tested elsewhere", name="primary_key"), Unsubscription("historic", kind="stale"))
    quiet = {ORDERS: replace(products[ORDERS], trust=Trust(unsubscribed=entries))}
    other = Subject(ORDERS, FindingKind.CHECK, "amount.range", "orders")
    assert [("opened", 1, 1)] == tell(operations, finding(), finding(STALE), finding(other), products=quiet)
    assert None is the(operations) is the(operations, STALE)


def test_lists(operations, products):
    """Incidents are found by product, state, severity, owner or assignee, and time; the worst come first."""
    warned = Subject(ORDERS, FindingKind.CHECK, "amount.range", "orders")
    tell(operations, finding(warned, 5, Severity.WARNING), finding(minutes=0), products=products)
    tell(operations, finding(Subject("a/b", FindingKind.STALE, "s"), 90))
    with operations.writing() as con:
        assign(con, the(operations, warned).id, "bo", by="ana", now=at(6))
        resolve(con, the(operations).id, "done", by="ana", now=at(7))

    def found(**asked):
        with operations.reading() as con:
            return [incident.subject for incident in kept.listed(con, **asked)]

    assert ["s", "primary_key", "amount.range"] == found()
    assert ["primary_key", "amount.range"] == found(product=ORDERS)
    assert ["s", "amount.range"] == found(states=("open", "acknowledged"))
    assert ["amount.range"] == found(severities=(Severity.WARNING,))
    assert ["amount.range"] == found(owner="bo")
    assert ["primary_key", "amount.range"] == found(owner="ana@example.com")
    assert ["s"] == found(since=at(60))
    assert [] == found(product="' OR 1=1 --")


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["wrong", "again", "right", "resolve", "mute"]),
        st.sampled_from(["r1", "r2"]),
        st.sampled_from(list(Severity)),
    ),
    max_size=25,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Yield one database for many examples, each of which has a product of its own."""
    with Operations.open(sqlite(tmp_path_factory.mktemp("model"))) as opened:
        yield opened, count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MOVES)
def test_any_history_follows_the_model(shared, moves):
    """Whatever is found, told again, repaired or resolved by hand, the incident is what the model says."""
    operations, number = shared
    subjects = {name: Subject(f"p/{next(number)}", FindingKind.CHECK, name, "t") for name in ("r1", "r2")}
    model, ranks = {}, list(Severity)
    for minute, (move, name, severity) in enumerate(moves):
        subject = subjects[name]
        state, episode, seen, worst, last = model.get(name, ("", 0, 0, None, None))
        if move == "wrong":
            told = finding(subject, minute, severity, sighting=f"{minute}")
            tell(operations, told)
            is_open = state == "open"
            worst = min(worst, severity, key=ranks.index) if is_open else severity
            model[name] = ("open", episode + (not is_open), seen + 1 if is_open else 1, worst, told)
        elif move == "again" and last is not None:
            tell(operations, last)
        elif move == "right":
            tell(operations, Recovery(subject, at(minute)))
            model[name] = ("resolved" if state else "", episode, seen, worst, last)
        elif move in {"resolve", "mute"} and state == "open":
            with operations.writing() as con:
                if move == "mute":
                    mute(con, subject.fingerprint[:16], at(minute + 3), by="x", now=at(minute))
                else:
                    resolve(con, subject.fingerprint[:16], "x", by="x", now=at(minute))
                    model[name] = ("resolved", episode, seen, worst, last)
        for known, (state, episode, seen, worst, _) in model.items():
            found = the(operations, subjects[known])
            expected = (state, episode, seen, worst) if state else None
            assert expected == (found and (found.state, found.episode, found.seen, found.severity))


class Typed:
    """A project on whose command line a test types."""

    def __init__(self, root, monkeypatch):
        """Use the project at `root`, which has an empty operations database."""
        self.root, self.monkeypatch = root, monkeypatch
        self.operations = Operations.open(f"sqlite:///{root / '.dataproducts/operations.sqlite'}")

    def __call__(self, *arguments, code=0):
        """Run `dataproducts incidents …`, which ends with `code`; return what it said."""
        ran = run(self.root, "incidents", *arguments, monkeypatch=self.monkeypatch)
        assert code == ran.code, ran.out + ran.err
        return ran.err if code else ran.out


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Yield the command line of a shop with three incidents."""
    root = make_shop(tmp_path)
    (root / ".dataproducts").mkdir()
    found = Typed(root, monkeypatch)
    long = replace(finding(STALE, 3, Severity.WARNING), title="orders: " + "the data is [older] than promised " * 4)
    tell(found.operations, finding(message="2 rows", sighting="a", run_id="r1"), long, products=loaded(root))
    tell(found.operations, finding(Subject("a/b", FindingKind.CHECK, "r", "t"), 4), Recovery(UNIQUE, at(5)))
    tell(found.operations, finding(minutes=6, sighting="b", partitions=["2024-01-01"]), products=loaded(root))
    yield found
    found.operations.close()


def schema_of(name):
    """Return the validator of a JSON output."""
    return Draft202012Validator(json.loads((ROOT / f"docs/json/{name}.schema.json").read_text(encoding="utf-8")))


def test_the_list_fits_a_terminal(typed):
    """The list has one block a line of 80 columns at most, worst first, and holds what was asked for."""
    shown = typed()
    assert max(map(len, shown.splitlines())) <= 80
    assert ["error", "error", "warning"] == re.findall(r"^[0-9a-f]{8} +(\w+)", shown, re.MULTILINE)
    assert "[older]" in shown
    assert 1 == len(re.findall(r"^[0-9a-f]{8} ", typed("shop/orders", "--severity", "warning"), re.MULTILINE))
    assert "nothing is wrong that matches" in typed("--state", "resolved")
    assert "nothing is wrong that matches" in typed("--since", "1h")
    assert 3 == len(json.loads(typed("--since", "2026-01-01", "--json")))


def test_json_is_as_its_schema_says(typed):
    """Both outputs for programs are valid, for what is open, muted, resolved and ticketed."""
    typed("mute", UNIQUE.fingerprint[:8], "2d", "--by", "ana")
    typed("resolve", STALE.fingerprint[:8], "--reason", "old", "--by", "ana")
    with typed.operations.writing() as con:
        kept.update(con, replace(kept.find(con, UNIQUE), tickets={"github": {"state": "open", "number": "1"}}))
    every = json.loads(typed("--all", "--json"))
    assert set(FindingKind) == set(schema_of("incidents").schema["items"]["properties"]["kind"]["enum"])
    schema_of("incidents").validate(every)
    assert {"open": 2, "resolved": 1} == {
        state: sum(one["state"] == state for one in every) for state in ("open", "resolved")
    }
    one = json.loads(typed("show", UNIQUE.fingerprint[:8], "--json"))
    schema_of("incidents-show").validate(one)
    assert ["opened", "resolved", "reopened", "muted"] == [event["kind"] for event in one["timeline"]]
    assert "ana" == one["timeline"][-1]["by"]
    assert "sightings" not in one["detail"]


def test_show_and_act(typed):
    """What is typed is told back, and stands in the timeline with who did it."""
    key = UNIQUE.fingerprint[:6]
    assert "acknowledged (ana@example.com)" in typed("ack", key, "--by", "ana")
    assert "(bo)" in typed("assign", key, "bo", "--note", "on duty")
    assert "(ana@example.com)" in typed("assign", key, "")
    assert "muted to 2999-01-01 00:00" in typed("mute", key, "2999-01-01")
    assert "muted" not in typed("mute", key, "0m")
    typed("note", key, "see [this]")
    shown = typed("show", key)
    assert max(map(len, shown.splitlines())) <= 80
    for said in ("see [this]", "to bo", "until 2999-01-01 00:00", "episode 2", "found after  1 min", "shop/revenue"):
        assert said in shown
    assert "resolved" in typed("resolve", key, "--reason", "repaired")


def test_whom_the_directory_knows(typed):
    """An incident is given to whom the directory reaches; another name is refused, with the nearest one."""
    (typed.root / "resources").mkdir()
    (typed.root / "resources/__init__.py").write_text(
        "from pathlib import Path\n"
        "from dataproducts.directory import Channel, Directory, Person, Team\n"
        "from dataproducts.environment import Environment\n"
        "def for_environment(name=None):\n"
        "    root, none = Path(__file__).parents[1], (Channel('none', 'none:'),)\n"
        "    mail = Channel('mail', 'none:{address}')\n"
        "    directory = Directory((Person('ana', none),), (Team('Till', ('ana',)),), mail=mail)\n"
        "    return Environment('dev', root, root / '.dataproducts', directory=directory)\n",
        encoding="utf-8",
    )
    key = UNIQUE.fingerprint[:8]
    for name in ("ana", "Till", "zoe@example.com"):
        assert f"({name})" in typed("assign", key, name)
    assert "there is no person or team 'anna'. Did you mean 'ana'?" in typed("assign", key, "anna", code=1)
    assert "zoe@example.com" == the(typed.operations).assignee
    assert "(ana@example.com)" in typed("assign", key, "")


def test_a_product_that_nobody_knows(typed):
    """A misspelt product is no product without incidents; one that was removed is still listed by what it left."""
    said = typed("shop/ordres", code=1)
    assert "there is no data product 'shop/ordres'. Did you mean 'shop/orders'?" in said
    assert 1 == len(json.loads(typed("a/b", "--json")))
    assert "nothing is wrong that matches" in typed("a/b", "--state", "resolved")


def test_a_sample_is_shown_by_the_contract_of_today(typed):
    """A column that was classified after an incident is masked in what is kept of it, wherever it is shown."""
    rows = [{"order_id": 1, "amount": 81.5}]
    tell(typed.operations, finding(minutes=9, sighting="c", sample=rows), products=loaded(typed.root))
    key = UNIQUE.fingerprint[:8]
    assert "81.5" in typed("show", key)
    contract = typed.root / "assets/shop/orders/contracts/orders.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    assert "- name: amount\n" in text
    contract.write_text(text.replace("- name: amount\n", "- name: amount\n        classification: personal\n"), "utf-8")
    for shown in (typed("show", key), typed("show", key, "--json"), typed("shop/orders", "--json")):
        assert ("81.5" in shown, "***" in shown) == (False, True)
    contract.unlink()
    assert "***" not in typed("show", key)


def test_every_kind_is_documented():
    """Each kind of finding has a row in the page about incidents."""
    assert {str(kind) for kind in FindingKind} <= terms(ROOT / "docs/incidents.md")


def test_what_is_typed_wrong(typed, tmp_path, monkeypatch):
    """Unknown ids, moments that are none and absent databases end with a message and a code, without a traceback."""
    assert "there is no incident 'zzz'" in typed("show", "zzz", code=1)
    assert "'soon' is not a moment" in typed("mute", UNIQUE.fingerprint, "soon", code=2)
    assert "say why" in typed("resolve", UNIQUE.fingerprint, "--reason", " ", code=2)
    fresh = make_shop(tmp_path / "fresh")
    ran = run(fresh, "incidents", monkeypatch=monkeypatch)
    assert (2, True) == (ran.code, "there is no operations database" in ran.err)


def test_a_build_without_its_source(tmp_path, monkeypatch):
    """A file that is not there when a build is planned is told, though no refresh ever began."""
    root = make_shop(tmp_path)
    (root / "data/customers.csv").unlink()
    assert 1 == run(root, "build", "shop/orders", monkeypatch=monkeypatch).code
    products = loaded(root)
    operations = Operations.open(environment(root).operations)
    with Warehouse.open(environment(root)) as warehouse, operations, operations.writing() as con:
        found = read_findings(warehouse.ledger, con, products, now=datetime.now(UTC))
    assert [FindingKind.SOURCE] == [one.subject.kind for one in found.findings]


def test_a_long_name_is_never_cut(typed):
    """A name that does not fit 80 columns is whole, in every list; a message is wrapped between words."""
    far = Subject("a-domain-with-a-name/a_product_with_a_name", FindingKind.STALE, "latency", "t")
    said = "the data is older than promised " * 5
    who = "clara.jensen-larsson@grocer.example"
    found = replace(finding(far, 3), title=f"{far.product} is stale", detail={"message": said})
    tell(typed.operations, found)
    typed("assign", far.fingerprint[:8], who, "--by", who)
    assert far.product in typed()
    shown = typed("show", far.fingerprint[:8])
    above, below = shown.split("  incident  ")
    assert " ".join(said.split()) in " ".join(above.split())
    assert max(map(len, above.splitlines())) <= 80
    assert 3 == below.count(who), "as the assignee, who assigned it, and to whom"


def test_a_mute_that_ends(typed):
    """A moment that is past ends a mute, and says so; where nothing was muted it is refused."""
    key = UNIQUE.fingerprint[:8]
    for past in ("0m", "2020-01-01"):
        assert "is not muted" in typed("mute", key, past, code=2)
    assert "muted to 2999-01-01" in typed("mute", key, "2999-01-01")
    assert "people are told of it again" in typed("mute", key, "2020-01-01")
    row = next(line for line in typed("show", key).splitlines() if " unmuted " in line)
    assert "until" not in row


def test_the_timeline_says_who_was_told(typed):
    """A notice that was sent is a row with its recipient and channel; one that was not says why."""
    key = the(typed.operations).id
    with typed.operations.writing() as con:
        told = {"kind": "opened", "recipient": "clara", "channel": "chat", "key": "k"}
        kept.add_event(con, kept.IncidentEvent(key, at(9), "notified", "alerts", told))
        kept.add_event(con, kept.IncidentEvent(key, at(9), "not_notified", "alerts", told | {"error": "refused"}))
    shown = typed("show", key)
    assert "clara by chat" in shown
    assert "clara by chat; refused" in shown


@pytest.mark.parametrize("since", ["999999d", "99999w", "9999-12-31T23:59-12:00", "0001-01-01T00:00+12:00"])
def test_a_span_that_no_calendar_holds(typed, since):
    """A span or moment beyond what dates can say is refused in one line, by both commands that take one."""
    for words in (("list", "--since", since), ("mute", UNIQUE.fingerprint[:8], since)):
        said = typed(*words, code=2)
        assert f"'{since}' is" in said, words
        assert "SQL" not in said
