"""The lifecycle: which steps there are, what each lacks, what it changes, and that nothing is done by halves."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select

from dataproducts import refresh as refreshing
from dataproducts.alerts import queue_announcement
from dataproducts.cli.lifecycle import queued
from dataproducts.compile import compile_domain
from dataproducts.compile.describe import release_key
from dataproducts.compile.jobs import RANGE_END, RANGE_START
from dataproducts.directory import Channel, Directory
from dataproducts.errors import ConflictError, DeclarationError, Fault, RefusedError
from dataproducts.lifecycle.edit import edited
from dataproducts.lifecycle.reviews import dues, reminders, review
from dataproducts.lifecycle.states import MOVES, Step, counts, find_move, reading_operations, standing_of
from dataproducts.load import load_project
from dataproducts.operations import Operations, schema
from dataproducts.operations.transitions import history, record
from dataproducts.plan import plan_product
from dataproducts.product import Severity, Status
from dataproducts.refresh import begin, refresh_table, release, serve
from dataproducts.standing import Standing
from dataproducts.warehouse import Warehouse
from tests import sample_project as sample
from tests.living import FOLDER, NOW, ORDERS, SUNSET, VALUE, built, go, lacking, look, make_live, text_of
from tests.pages import run
from tests.postgres import database
from tests.shop import build, edit, environment, product, served

ROOT = Path(__file__).parents[1]
ORDERS_YAML = f"{FOLDER}/product.yaml"
WAY = {"reason": "Replaced by one feed.", "successor": "shop/order_value@v2", "sunset": SUNSET}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """Return the URL of an operations database that does not exist yet."""
    return f"sqlite:///{tmp_path / 'operations.sqlite'}" if request.param == "sqlite" else database()


def recorded(url):
    """Return the steps of the orders that a database holds: kind, from, to, by, why."""
    with Operations.open(url) as operations, operations.reading() as con:
        return [(t.kind, t.from_status, t.to_status, t.actor, t.reason) for t in history(con, ORDERS)]


def gone(root):
    """Mark the one consumer of the orders as gone."""
    edit(root / FOLDER / "product.yaml", "needs: Sums of orders.}", "needs: Sums of orders., gone: 2026-05-01}")


# Steps


@pytest.mark.parametrize(("at", "step"), [(at, step) for at in Status for step in Step])
def test_every_pair_of_state_and_step_is_decided(at, step):
    """A step that the table has leads where it says; any other is refused and names those that there are."""
    standing = Standing("a/b", at, declared=at, recorded=at)
    if (at, step) in MOVES:
        assert find_move(step, standing).after is MOVES[at, step]
        return
    if at in {after for (_, other), after in MOVES.items() if other is step}:
        assert find_move(step, standing).is_recorded
        return
    with pytest.raises(RefusedError, match="cannot be"):
        find_move(step, standing)


def test_retired_is_final():
    """From retired there is no step, and the refusal says what to do instead."""
    assert [step for (before, step) in MOVES if before is Status.RETIRED] == []
    with pytest.raises(RefusedError, match=r"That is final: give a new major version its own address\.$"):
        find_move(Step.REINSTATE, Standing("a/b", Status.RETIRED, Status.RETIRED, Status.RETIRED))


@pytest.mark.parametrize(
    ("declared", "recorded_", "production", "status"),
    [
        ("draft", None, True, "draft"),
        ("active", None, False, "active"),
        ("active", None, True, "draft"),
        ("active", "draft", True, "draft"),
        ("active", "draft", False, "active"),
        ("active", "active", True, "active"),
        ("active", "deprecated", False, "deprecated"),
        ("deprecated", "active", True, "deprecated"),
        ("deprecated", None, True, "draft"),
        ("deprecated", "draft", True, "draft"),
        ("deprecated", None, False, "deprecated"),
        (None, "deprecated", True, "deprecated"),
        ("draft", "active", True, "draft"),
        ("retired", "active", True, "retired"),
        ("active", "retired", False, "retired"),
        (None, "retired", True, "retired"),
        (None, None, False, "draft"),
    ],
)
def test_the_more_careful_witness_counts(declared, recorded_, production, status):
    """Of file and record the more careful counts, and in production nothing is active that was not promoted there."""
    given = [Status(word) if word else None for word in (declared, recorded_)]
    assert Status(status) is counts(*given, production=production)


# The file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("status: draft  # since May\nname: o\n", "status: retired  # since May\nname: o\n"),
        ("# top\nstatus: 'draft'\n", "# top\nstatus: 'retired'\n"),
        ('name: ü 👩‍👩‍👧\r\nstatus: "draft"\r\n', "name: ü 👩‍👩‍👧\r\nstatus: retired\r\n"),
        ("{name: o, status: draft}\n", "{name: o, status: retired}\n"),
        ("\ufeffstatus: draft\n", "\ufeffstatus: retired\n"),
        ("name: o\n# end\n", "name: o\nstatus: retired\n# end\n"),
    ],
)
def test_one_value_is_replaced_and_all_else_kept(before, after):
    """Comments, quotes, line ends, a byte order mark and odd characters stay as they were."""
    assert after == edited(before, "p.yaml", values={"status": "retired"}, custom={})


@pytest.mark.parametrize(
    "before",
    [
        "status: active\nname: o  # last\n",
        "status: active\ncustomProperties:\n  # why\n  - property: tier\n    value: gold  # x\n\n# tail\nname: o\n",
        "status: active\ncustomProperties:\n- {property: tier, value: gold}\n",
        "status: active\ncustomProperties: [{property: tier, value: gold}]\n",
        "{status: active, customProperties: [{property: tier, value: gold}]}\n",
        "status: active\r\nname: |\r\n  a\r\n  b\r\n",
        "status: active\ncustomProperties:\n  - property: valueMeasure\n    value: |\n      a\n      b\nname: o\n",
    ],
)
def test_custom_properties_come_and_go(before):
    """Added in the style of those beside them, and taken out again, they leave the file as it was."""
    there = edited(before, "p.yaml", values={}, custom={"successor": "a/b@v2", "sunsetDate": "2026-06-30"})
    assert "2026-06-30" in there
    assert all(line in there for line in before.rstrip("}]\r\n").split("\n"))
    back = edited(there, "p.yaml", values={}, custom={"successor": None, "sunsetDate": None})
    assert before.rstrip("\r\n") == back.rstrip("\r\n")


@pytest.mark.parametrize(
    "text",
    ["a: &s draft\nstatus: *s\nb: *s\n", "status: draft\nstatus: x\n", "- a\n", "status: [\n", "", "status: \x07\n"],
)
def test_a_file_that_cannot_be_edited_alone_is_refused(text):
    """Anchors, double keys and what is no mapping or no YAML are left to a person, with the place."""
    with pytest.raises(DeclarationError, match=r"^p\.yaml:\d+: "):
        edited(text, "p.yaml", values={"status": "retired"}, custom={})


def test_a_kill_leaves_the_old_file_whole_and_nothing_recorded(tmp_path):
    """A process that is killed as it is about to replace the file has changed nothing, and the step can be repeated."""
    root = built(make_live(tmp_path))
    before = text_of(root)
    code = f"""
        import os, pathlib, signal
        from tests.living import go
        pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        go(pathlib.Path({str(root)!r}), "promote")
    """
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, check=False, env=dict(os.environ))
    assert -signal.SIGKILL == killed.returncode
    assert before == text_of(root)
    assert [] == recorded(environment(root).operations)
    go(root, "promote")
    assert product(root, ORDERS).status is Status.ACTIVE


def test_a_file_ahead_of_the_record_is_completed(tmp_path):
    """A change of `status` that was reviewed first, or a kill after the file was replaced: the step records it."""
    root = built(make_live(tmp_path))
    edit(root / FOLDER / "product.yaml", "status: draft", "status: active")
    taken = go(root, "promote", reason="reviewed in git")
    assert taken.planned.edit is None
    assert [("promote", "draft", "active", "ada", "reviewed in git")] == recorded(environment(root).operations)
    with pytest.raises(RefusedError, match="is active already"):
        look(root, "promote")


def test_two_people_at_once(tmp_path):
    """What was looked at must still be there: a file or a record that moved meanwhile is a conflict."""
    root = built(make_live(tmp_path))
    first = look(root, "promote")
    wired = environment(root)
    with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
        from dataproducts.lifecycle.announce import tell_nobody
        from dataproducts.lifecycle.steps import take

        edit(root / FOLDER / "product.yaml", "purpose: Orders and", "purpose: All orders and")
        with pytest.raises(ConflictError, match="the file changed meanwhile"):
            take(first, operations, warehouse=warehouse, tell=tell_nobody)
        assert [] == recorded(wired.operations)
        go(root, "promote")
        with pytest.raises(ConflictError, match="somebody else made a step"):
            take(first, operations, warehouse=warehouse, tell=tell_nobody)


# Guards


def test_a_complete_product_is_promoted(tmp_path, url):
    """Proposed, then draft, then active: the file's comment stays, each step is recorded with who, when and why."""
    root = built(make_live(tmp_path, status="proposed"))
    go(root, "promote", operations_url=url)
    go(root, "promote", reason="asked for by pricing", operations_url=url)
    assert "status: active  # as reviewed\n" in text_of(root)
    assert [("proposed", "draft", ""), ("draft", "active", "asked for by pricing")] == [
        (before, after, why) for _, before, after, _, why in recorded(url)
    ]
    standing = standing_of(environment(root, operations_url=url), product(root, ORDERS))
    assert (Status.ACTIVE, NOW, "ada", "") == (standing.status, standing.since, standing.actor, standing.drift)


def test_everything_missing_is_listed_at_once(tmp_path):
    """Declarations with file and line, the release, the service level: one refusal tells all of it."""
    root = make_live(tmp_path)
    path = root / FOLDER / "contracts/orders.odcs.yaml"
    edit(path, "slaProperties:\n  - {property: latency, value: 48, unit: h, element: orders.ordered_on}\n", "")
    edit(path, "        description: Sum of the order in euro.\n", "")
    edit(root / FOLDER / "product.yaml", "  - property: tier\n    value: silver\n", "")
    starts = [
        ("declaration", f"{FOLDER}/contracts/orders.odcs.yaml:38: the description is missing:"),
        ("declaration", f"{FOLDER}/product.yaml:28: an active product needs `tier`."),
        ("slo", f"{FOLDER}/product.yaml:4: {ORDERS} promises no service level."),
        ("gates", f"{ORDERS} has no release, so no gate has passed. Run `dataproducts build {ORDERS}`."),
    ]
    found = lacking(look(root, "promote"))
    assert starts == [(guard, text[: len(start)]) for (guard, text), (_, start) in zip(found, starts, strict=True)]
    with pytest.raises(RefusedError, match="promises no service level"):
        go(root, "promote")
    assert Status.DRAFT is product(root, ORDERS).status


def test_the_projects_policies_guard_too(tmp_path):
    """A policy that binds active products alone is asked before the file says that it is one."""

    def no_silver(judged):
        if judged.status is Status.ACTIVE:
            yield Fault(judged.mark.path, judged.mark.line, "silver is not enough", "Write gold.")

    root = built(make_live(tmp_path))
    ((guard, text),) = lacking(look(root, "promote", policies=(no_silver,)))
    assert ("declaration", f"{FOLDER}/product.yaml:4: silver is not enough. Write gold.") == (guard, text)


def test_gates_are_those_of_the_release_and_of_the_contract_of_today(tmp_path):
    """A release under another contract does not count, and a rule that nobody judged is named with its line."""
    root = built(make_live(tmp_path))
    assert [] == lacking(look(root, "promote"))
    edit(root / FOLDER / "contracts/orders.odcs.yaml", "maximum: 10000", "maximum: 9000")
    ((guard, text),) = lacking(look(root, "promote"))
    assert guard == "gates"
    assert f"{FOLDER}/contracts/orders.odcs.yaml" in text
    assert "judged by another contract than that of today" in text
    built(root)
    assert [] == lacking(look(root, "promote"))


def test_gold_leaves_no_warning(tmp_path):
    """What a silver product may be promoted with, a rule that warns, a gold one may not."""
    root = make_live(tmp_path)
    path = root / FOLDER / "contracts/customers.odcs.yaml"
    quality = "    quality:\n      - {name: few, metric: rowCount, mustBeGreaterThan: 99, severity: warning}\n"
    path.write_text(path.read_text(encoding="utf-8") + quality, encoding="utf-8")
    built(root)
    assert [] == lacking(look(root, "promote"))
    edit(root / FOLDER / "product.yaml", "value: silver", "value: gold")
    texts = [text for guard, text in lacking(look(root, "promote")) if guard == "gates"]
    assert ["has warned on the current release, and tier gold asks that none does" in text for text in texts] == [True]


def test_a_consumer_or_a_reason(tmp_path):
    """Where everybody is marked gone and nothing reads it, going live takes a reason."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    assert [("consumers", True)] == [(guard, "--reason" in text) for guard, text in lacking(look(root, "promote"))]
    assert [] == lacking(look(root, "promote", reason="The audit asks for it from May on."))


@pytest.mark.parametrize(
    ("wish", "guards"),
    [
        ({}, ["reason", "successor", "sunset"]),
        (WAY | {"successor": ORDERS}, ["successor"]),
        (WAY | {"successor": "shop/order_valeu@v2"}, ["successor"]),
        (WAY | {"successor": "none"}, []),
        (WAY | {"sunset": NOW.date()}, ["sunset"]),
        (WAY | {"sunset": NOW.date() + timedelta(days=1)}, []),
        (WAY, []),
    ],
)
def test_deprecation_says_why_what_instead_and_until_when(tmp_path, wish, guards):
    """Reason, successor and a day that is yet to come are asked for, all at once."""
    root = make_live(tmp_path, status="active")
    assert guards == [guard for guard, _ in lacking(look(root, "deprecate", **wish))]


def test_a_misspelt_successor_is_guessed(tmp_path):
    """A successor that the project does not have is refused with the nearest that it has."""
    root = make_live(tmp_path, status="active")
    ((_, text),) = lacking(look(root, "deprecate", **WAY | {"successor": "shop/order_valeu@v2"}))
    assert "is no product of this project. Did you mean 'shop/order_value@v2'?" in text


def test_a_successor_in_a_project_of_one_product_is_told_the_way_out(tmp_path):
    """Nothing is guessed where no other product is there to take over; what can be written is said."""
    root = make_live(tmp_path, status="active", reader=False)
    ((_, text),) = lacking(look(root, "deprecate", **WAY | {"successor": "shop/sales"}))
    assert text == (
        "the successor 'shop/sales' is no product of this project. No other product of it could take over: declare one "
        "first, or give `--successor none`."
    )


@pytest.mark.parametrize(
    ("successor", "closed"),
    [
        ("", "closes: every query gets an error that says why"),
        ("none", "closes: every query gets an error that says why"),
        ("shop/sales", "closes: every query gets an error that says why, and to read shop/sales instead"),
    ],
)
def test_a_retirement_tells_of_the_successor_that_there_is(tmp_path, successor, closed):
    """What is said of the ports is what their readers will be told."""
    root = make_live(tmp_path, reader=False)
    planned = look(root, "retire", reason="Merged.", successor=successor)
    assert {effect.what.partition(" ")[2] for effect in planned.effects if effect.of == "port"} == {closed}


def test_reinstating_takes_a_reason_and_the_guards_of_going_live(tmp_path):
    """Back to active: sunset and successor leave the file, consumers hear of it, and all that active asks counts."""
    root = built(make_live(tmp_path, status="active"))
    before = text_of(root)
    go(root, "deprecate", **WAY)
    assert ["reason"] == [guard for guard, _ in lacking(look(root, "reinstate"))]
    heard = []
    go(root, "reinstate", reason="The new feed is late.", tell=lambda _con, said: heard.append(said) or 1)
    assert before == text_of(root)
    assert [("reinstated", "shop/orders is active again")] == [(said.kind, said.title) for said in heard]


def test_retirement_lists_everybody_who_is_left(tmp_path):
    """Declared consumers and input ports with their lines, live releases that were made from it, and the sunset."""
    root = built(make_live(tmp_path, status="active"), ORDERS, VALUE)
    go(root, "deprecate", **WAY | {"successor": "none"})
    found = lacking(look(root, "retire"))
    assert ["reason", "sunset", "consumers", "downstream", "downstream"] == [guard for guard, _ in found]
    assert f"{FOLDER}/product.yaml:35: Analyst of Pricing still uses shop/orders" in found[2][1]
    assert f"assets/shop/order_value/product.yaml:14: {VALUE} reads {ORDERS}" in found[3][1]


def test_a_pinned_release_keeps_it_alive(tmp_path):
    """A reader whose file no longer names it, but whose current release was made from it, still counts."""
    root = built(make_live(tmp_path, status="active"), ORDERS, VALUE)
    go(root, "deprecate", **WAY | {"successor": "none"})
    gone(root)
    folder = root / "assets/shop/order_value"
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()
    later = NOW + timedelta(days=300)
    ((guard, text),) = lacking(look(root, "retire", reason="Moved.", now=later))
    assert guard == "pins"
    assert f"Retire {VALUE} first: no file declares it any more" in text
    go(root, "retire", VALUE, reason="Its folder was deleted long ago.", now=later)
    assert [] == lacking(look(root, "retire", reason="Moved.", now=later))


def test_the_sunset_can_be_forced_but_not_the_consumers(tmp_path):
    """Before its last day a product is retired by force and with a reason; whoever still reads it is not overridden."""
    root = built(make_live(tmp_path, status="active", reader=False))
    go(root, "deprecate", **WAY | {"successor": "none"})
    early = NOW + timedelta(days=1)
    assert ["sunset", "consumers"] == [g for g, _ in lacking(look(root, "retire", reason="Law.", now=early))]
    assert ["consumers"] == [g for g, _ in lacking(look(root, "retire", reason="Law.", now=early, forced=True))]
    gone(root)
    taken = go(root, "retire", reason="Law.", now=early, forced=True)
    assert taken.planned.transition.detail["forced"] is True


@pytest.mark.parametrize("declared", ["active", "deprecated"])
def test_in_production_a_deprecation_follows_a_promotion(tmp_path, declared):
    """A file alone makes nothing deprecated there: no step leads past what `active` asks, and nothing is scheduled."""
    root = make_live(tmp_path, status=declared, reader=False)
    standing = standing_of(environment(root, production=True), product(root, ORDERS))
    assert (Status.DRAFT, False, "") == (standing.status, standing.is_scheduled, standing.warning)
    assert "no promotion is recorded, so it is not scheduled" in standing.drift
    with pytest.raises(RefusedError, match="is draft, so it cannot be deprecated"):
        look(root, "deprecate", production=True, **WAY | {"successor": "none"})
    assert [] == lacking(look(root, "deprecate", **WAY | {"successor": "none"}))


def test_a_file_that_retires_early_does_not_forget_the_sunset(tmp_path):
    """Edited from deprecated to retired with its last day still to come, a product is not retired without force."""
    root = make_live(tmp_path, status="retired", reader=False)
    gone(root)
    edit(root / ORDERS_YAML, "  - property: tier", "  - {property: sunsetDate, value: 2099-01-31}\n  - property: tier")
    for production in (False, True):
        planned = look(root, "retire", reason="It moved.", production=production)
        assert Status.DEPRECATED is planned.move.before
        ((guard, text),) = lacking(planned)
        assert ("sunset", True) == (guard, f"{ORDERS} was promised until 2099-01-31" in text)
        assert [] == lacking(look(root, "retire", reason="It moved.", forced=True, production=production))


def test_a_draft_is_withdrawn(tmp_path):
    """What nobody was promised is retired at once, with a reason, whatever characters that has."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    go(root, "retire", reason='It\'s "gone"; 100 % {nobody}\nwants \\ it 👩‍👩‍👧')
    assert Status.RETIRED is product(root, ORDERS).status
    with pytest.raises(duckdb.InvalidInputException, match=r"It's \"gone\"; 100 % {nobody}\nwants \\ it 👩‍👩‍👧"):
        served(root, ORDERS, "FROM published.orders")


# What the state changes


def test_from_deprecation_to_the_tombstone(tmp_path, url):
    """A consumer's way through a retirement: told, warned at every port, still served, then sent on, never in the dark.

    On a real store and ledger: deprecate, notify, warn, refuse while it is used, retire, tombstone.
    """
    root = built(make_live(tmp_path, status="active"), ORDERS, VALUE)
    wiring = {"operations_url": url}
    directory = Directory(mail=Channel("mail", "json://localhost/{address}"))

    def tell(con, said):
        products = {p.address: p for p in load_project(root).products}
        return len(queue_announcement(con, said, directory=directory, products=products, now=NOW))

    # Deprecated: recorded, written, announced in the same transaction.
    taken = go(root, "deprecate", tell=tell, **wiring, **WAY | {"successor": "none"})
    assert taken.told > 0
    with Operations.open(url) as operations, operations.reading() as con:
        waiting = [(row.kind, row.recipient, row.state) for row in con.execute(select(schema.notice)).all()]
    assert {("deprecated", "pricing@shop.example", "waiting"), ("deprecated", "ada@shop.example", "waiting")} == set(
        waiting
    )
    assert 'sunsetDate\n    value: "2026-06-30"' in text_of(root)

    # Warned: every port that there is, and whoever plans or builds it or what reads it. It is still refreshed.
    warning = "shop/orders is deprecated: Replaced by one feed. It ends on 2026-06-30. Nothing takes its place"
    told = "SELECT status, sunset, warning FROM meta.lifecycle"
    assert [("deprecated", SUNSET, warning)] == served(root, ORDERS, told)
    comments = "SELECT DISTINCT comment FROM duckdb_views() WHERE schema_name IN ('published', 'history')"
    assert [(warning,)] == served(root, ORDERS, comments)
    with Warehouse.open(environment(root, **wiring)) as warehouse:
        assert (warning,) == plan_product(warehouse, product(root, ORDERS)).warnings
        assert (f"it reads {warning}",) == plan_product(warehouse, product(root, VALUE)).warnings
    edit(root / "data/customers.csv", "3,c@x.org", "3,d@x.org")
    assert 2 == build(root, ORDERS, **wiring).release.number
    assert [(10,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")
    assert [("deprecated", SUNSET, warning)] == served(root, ORDERS, told)

    # Refused while it is used, with everybody who is left; nothing is changed by the refusal.
    later = {"now": NOW + timedelta(days=200), "reason": "Its last reader moved."}
    left = [guard for guard, _ in lacking(look(root, "retire", **wiring, **later))]
    assert ["consumers", "downstream", "downstream"] == left
    with pytest.raises(RefusedError, match="still uses"):
        go(root, "retire", **wiring, **later)
    assert Status.DEPRECATED is product(root, ORDERS).status

    # Everybody moved: the consumer is marked gone, the reader is withdrawn.
    gone(root)
    go(root, "retire", VALUE, **wiring, **later | {"reason": "Prices have it now."})
    go(root, "retire", tell=tell, **wiring, **later)

    # Closed: the answer names what happened, whatever is asked, and tools still see the columns.
    closed = "shop/orders is retired since 2026-07-29: Its last reader moved. Nothing takes its place"
    for sql in (
        "FROM published.orders",
        "SELECT count(*) FROM published.customers",
        "SELECT 1 FROM published.orders WHERE amount > 9",
    ):
        with pytest.raises(duckdb.InvalidInputException, match=closed):
            served(root, ORDERS, sql)
    assert [("order_id",), ("customer_id",), ("amount",), ("ordered_on",)] == [
        row[:1] for row in served(root, ORDERS, "DESCRIBE published.orders")
    ]
    assert [] == served(root, ORDERS, "SELECT view_name FROM duckdb_views() WHERE schema_name = 'history'")
    with pytest.raises(RefusedError, match=closed):
        build(root, ORDERS, **wiring)
    with Warehouse.open(environment(root, **wiring)) as warehouse:
        planned = plan_product(warehouse, product(root, ORDERS))
        assert (closed, False) == (planned.closed, planned.is_needed)
        assert "" == serve(warehouse, product(root, ORDERS))  # a repair leaves it closed

    # The tombstone: releases, contracts, results and reasons stay, even when the folder is deleted one day.
    assert [(2, True), (1, False)] == served(root, ORDERS, "SELECT release, is_head FROM meta.release")
    assert [("shop.orders.customers",), ("shop.orders.orders",)] == served(
        root, ORDERS, "SELECT contract FROM meta.contract ORDER BY 1"
    )
    assert recorded(url) == [
        ("deprecate", "active", "deprecated", "ada", "Replaced by one feed."),
        ("retire", "deprecated", "retired", "ada", "Its last reader moved."),
    ]
    shutil.rmtree(root / FOLDER)
    standing = standing_of(environment(root, **wiring), ORDERS)
    assert (Status.RETIRED, closed, None) == (standing.status, standing.warning, standing.declared)


def test_what_reads_a_retired_product_is_sent_on(tmp_path):
    """A product that comes to name a retired one in an input port is neither planned nor built, but sent on."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    go(root, "retire", reason="Merged.", successor="shop/sales")
    sample.write_project(root, {ORDERS_YAML: text_of(root)})
    with Warehouse.open(environment(root)) as warehouse:
        closed = plan_product(warehouse, product(root, VALUE)).closed
    assert closed == (
        "assets/shop/order_value/product.yaml:14: input port 'purchases' reads what is no more: "
        "shop/orders is retired since 2026-01-10: Merged. Read shop/sales instead"
    )
    with pytest.raises(RefusedError, match="Read shop/sales instead"):
        build(root, VALUE)


def test_a_file_that_is_behind_the_record_is_brought_up(tmp_path):
    """Where a step is recorded and the file does not say so (a merge took it back), the same step edits the file."""
    root = built(make_live(tmp_path, status="active", reader=False))
    before = text_of(root)
    go(root, "deprecate", **WAY | {"successor": "none"})
    after = text_of(root)
    (root / ORDERS_YAML).write_text(before, encoding="utf-8")
    standing = standing_of(environment(root), product(root, ORDERS))
    assert Status.DEPRECATED is standing.status
    assert "Run `dataproducts lifecycle shop/orders reinstate`, or write `status: deprecated`" in standing.drift
    go(root, "deprecate")
    assert after == text_of(root)
    assert ["deprecate"] == [kind for kind, *_ in recorded(environment(root).operations)]


def test_a_tombstone_needs_no_folder(tmp_path, monkeypatch):
    """Deleted from the project, a retired product keeps its history, and a repair of serving files keeps it closed."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    go(root, "retire", reason="Merged.")
    shutil.rmtree(root / FOLDER)
    (root / ".dataproducts/serve/shop.orders.duckdb").unlink()
    assert 0 == cli(root, "verify", "--repair", monkeypatch=monkeypatch).code
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "FROM published.orders")
    shown = json.loads(cli(root, "lifecycle", ORDERS, "--json", monkeypatch=monkeypatch).out)
    assert ("retired", None, 1, ["retire"]) == (
        shown["status"], shown["declared"], shown["releases"], [made["kind"] for made in shown["history"]]
    )  # fmt: skip


def test_a_retirement_that_could_not_be_shown_is_shown_again(tmp_path):
    """Where the serving file could not be closed, the step says so, and closes it when it is asked for again."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    folder = root / ".dataproducts/serve"
    kept = (folder / "shop.orders.duckdb").read_bytes()
    go(root, "retire", reason="Merged.")
    (folder / "shop.orders.duckdb").write_bytes(kept)  # as a kill between record and serving file leaves it
    assert [(10,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")
    assert "" == go(root, "retire").serving_error
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "SELECT count(*) FROM published.orders")
    assert ["retire"] == [kind for kind, *_ in recorded(environment(root).operations)]


def test_a_port_that_could_not_be_closed_is_told_found_and_closed(tmp_path, monkeypatch):
    """`retire` ends with 1 where the port still answers, `verify` finds it, and a repair closes it."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    lock = root / ".dataproducts/serve/.shop.orders.duckdb.lock"
    lock.unlink()
    lock.mkdir()  # nobody can render
    ran = cli(root, "lifecycle", ORDERS, "retire", "--reason", "Merged.", monkeypatch=monkeypatch)
    assert (1, ["retire"]) == (ran.code, [kind for kind, *_ in recorded(environment(root).operations)])
    assert f"{ORDERS} is retired, and its port is still open" in ran.err
    lock.rmdir()
    assert [(10,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")
    found = cli(root, "verify", "--json", monkeypatch=monkeypatch)
    assert (1, ["serve"]) == (found.code, [finding["kind"] for finding in json.loads(found.out)])
    assert "its lifecycle status is retired: render it again" in json.loads(found.out)[0]["message"]
    assert 0 == cli(root, "verify", "--repair", monkeypatch=monkeypatch).code
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "SELECT count(*) FROM published.orders")


def test_an_open_port_is_found_though_the_file_said_retired_before(tmp_path, monkeypatch):
    """Rendered while only the file spoke of retirement, a port is open: it is told apart by the step that it shows."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    edit(root / ORDERS_YAML, "status: draft", "status: retired")
    assert 0 == cli(root, "verify", "--repair", monkeypatch=monkeypatch).code
    path = root / ".dataproducts/serve/shop.orders.duckdb"
    kept = path.read_bytes()
    go(root, "retire", reason="Merged.", forced=True)
    path.write_bytes(kept)
    assert 1 == cli(root, "verify", monkeypatch=monkeypatch).code


# At the same time


def test_a_retirement_while_a_build_runs_wins(tmp_path):
    """Retired after its refresh began: nothing is published, and the port stays closed."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    found = product(root, ORDERS)
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="slow")
        refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        go(root, "retire", reason="Merged.")
        with pytest.raises(RefusedError, match="shop/orders is retired since 2026-01-10: Merged"):
            release(warehouse, found, refresh=refresh, con=con)
        assert 1 == warehouse.ledger.head(ORDERS).number
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "FROM published.orders")


def test_a_retirement_of_what_a_build_reads_wins(tmp_path):
    """A product whose input was retired after its refresh began is not released."""
    root = built(make_live(tmp_path, status="active"), ORDERS, VALUE)
    go(root, "deprecate", **WAY | {"successor": "none"})
    retirement = look(root, "retire", reason="Moved.").transition
    reader, wired = product(root, VALUE), environment(root)
    with Warehouse.open(wired) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, reader, refresh_id="slow")
        refresh_table(warehouse, reader, reader.tables[0], refresh=refresh, con=con)
        with Operations.open(wired.operations) as operations, operations.writing() as writing:
            record(writing, retirement)  # past its guards: a reader that nobody knew of
        with pytest.raises(RefusedError, match="reads what is no more: shop/orders is retired"):
            release(warehouse, reader, refresh=refresh, con=con)
        assert 1 == warehouse.ledger.head(VALUE).number


def test_a_retirement_waits_for_a_release_that_is_being_committed(tmp_path, monkeypatch):
    """Between the last look at the standing and the commit of a release nobody can retire: it comes before or after."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    wired = environment(root)
    real, seen = refreshing.closed_by, []
    retired = threading.Thread(target=lambda: go(root, "retire", reason="Merged."))

    def closed_by(*arguments):
        closed = real(*arguments)
        if seen:  # the second look, just before the commit
            retired.start()
            retired.join(timeout=1)
        seen.append((closed, recorded(wired.operations)))
        return closed

    monkeypatch.setattr(refreshing, "closed_by", closed_by)
    edit(root / "data/customers.csv", "3,c@x.org", "3,d@x.org")
    assert 2 == build(root, ORDERS).release.number
    retired.join(timeout=60)
    assert [("", []), ("", [])] == seen
    assert ["retire"] == [kind for kind, *_ in recorded(wired.operations)]
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "FROM published.orders")


def test_ledger_and_operations_may_be_one_file(tmp_path):
    """Where both are one SQLite file, which has one writer, a retirement does not wait for itself."""
    root = built(make_live(tmp_path, reader=False))
    gone(root)
    url = environment(root).ledger
    assert "" == go(root, "retire", reason="Merged.", operations_url=url).serving_error
    assert [("retire", "draft", "retired", "ada", "Merged.")] == recorded(url)


def test_who_renders_last_shows_how_the_product_stands_then(tmp_path):
    """A refresh that waits for its turn to render while the product is retired does not open the port again."""
    root = built(make_live(tmp_path, status="active", reader=False))
    gone(root)
    go(root, "deprecate", **WAY | {"successor": "none"})
    wired, found = environment(root), product(root, ORDERS)
    folder, ended = root / ".dataproducts/serve", []
    with Warehouse.open(wired) as warehouse, (folder / ".shop.orders.duckdb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=lambda: ended.append(serve(warehouse, found)))
        waiting.start()
        waiting.join(timeout=1)
        planned = look(root, "retire", reason="Moved.", forced=True)
        with Operations.open(wired.operations) as operations, operations.writing() as con:
            record(con, planned.transition)
        fcntl.flock(lock, fcntl.LOCK_UN)
        waiting.join(timeout=60)
    assert [""] == ended
    with pytest.raises(duckdb.InvalidInputException, match="is retired"):
        served(root, ORDERS, "FROM published.orders")


def test_a_file_that_speaks_of_retirement_stops_refreshes_and_keeps_ports_open(tmp_path):
    """`status: retired` in a file alone is a wish: nothing is refreshed, readers keep the last release, plan tells."""
    root = built(make_live(tmp_path, status="active", reader=False))
    edit(root / FOLDER / "product.yaml", "status: active", "status: retired")
    with pytest.raises(RefusedError, match="shop/orders is retired"):
        build(root, ORDERS)
    assert [(10,)] == served(root, ORDERS, "SELECT count(*) FROM published.orders")
    assert "" == standing_of(environment(root), product(root, ORDERS)).drift
    drift = standing_of(environment(root, production=True), product(root, ORDERS)).drift
    assert drift == (
        f"{FOLDER}/product.yaml:6: shop/orders is declared retired, and nothing is recorded. "
        "Run `dataproducts lifecycle shop/orders retire`, or write `status: draft`"
    )


def test_a_schedule_runs_as_its_product_stands(tmp_path):
    """In production a tick runs for what was promoted there; a retired product has no schedule, and ticks no more."""
    root = built(make_live(tmp_path, status="active", reader=False))
    edit(root / "data/customers.csv", "3,c@x.org", "3,d@x.org")

    def tick(**settings):
        defs = compile_domain(root / "assets/shop", environment=environment(root, **settings))
        schedule = defs.resolve_schedule_def("shop__orders__schedule")
        context = dg.build_schedule_context(scheduled_execution_time=NOW)
        return schedule, lambda: schedule.evaluate_tick(context)

    schedule, ask = tick(production=True)
    assert dg.DefaultScheduleStatus.RUNNING is schedule.default_status
    assert "no promotion is recorded, so it is not scheduled. Run `dataproducts lifecycle" in str(ask().skip_message)
    assert tick()[1]().run_requests
    go(root, "promote", production=True)
    assert ask().run_requests
    go(root, "deprecate", production=True, **WAY | {"successor": "none"})
    schedule, ask = tick(production=True)
    assert dg.DefaultScheduleStatus.RUNNING is schedule.default_status
    assert ask().run_requests
    gone(root)
    go(root, "retire", production=True, reason="Moved.", forced=True)
    assert [] == list(ask().run_requests or ())
    assert "shop/orders is retired" in str(ask().skip_message)
    defs = compile_domain(root / "assets/shop", environment=environment(root, production=True))
    assert [] == list(defs.schedules or ())


def test_a_draft_is_not_scheduled_in_production(tmp_path):
    """Whoever starts the schedule of a draft by hand gets ticks that say why they run nothing."""
    root = built(make_live(tmp_path, reader=False))
    defs = compile_domain(root / "assets/shop", environment=environment(root, production=True))
    schedule = defs.resolve_schedule_def("shop__orders__schedule")
    assert dg.DefaultScheduleStatus.STOPPED is schedule.default_status
    said = schedule.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=NOW)).skip_message
    assert "shop/orders is draft: only active products are scheduled here" == said


def test_the_run_of_a_retired_product_is_refused(tmp_path):
    """A job that somebody starts in Dagster all the same fails with the answer, and so do the checks of its rules."""
    root = built(make_live(tmp_path, reader=False))
    defs = compile_domain(root / "assets/shop", environment=environment(root))
    gone(root)
    go(root, "retire", reason="Merged.", successor="shop/sales")
    with dg.DagsterInstance.ephemeral() as instance:
        job, days = defs.resolve_job_def("shop__orders"), {RANGE_START: "2024-01-09", RANGE_END: "2024-01-10"}
        result = job.execute_in_process(instance=instance, tags=days, raise_on_error=False)
    failed = {e.step_failure_data.user_failure_data.description for e in result.all_events if e.is_step_failure}
    assert all("is retired since 2026-01-10: Merged. Read shop/sales instead" in said for said in failed)
    assert len(failed) > 0


def test_a_deprecated_release_says_so_in_dagster(tmp_path):
    """The release asset carries the status and the warning with every release, and in its definition."""
    root = built(make_live(tmp_path, status="active", reader=False))
    go(root, "deprecate", **WAY | {"successor": "none"})
    edit(root / "data/customers.csv", "3,c@x.org", "3,d@x.org")
    defs = compile_domain(root / "assets/shop", environment=environment(root))
    spec = next(spec for spec in defs.resolve_all_asset_specs() if spec.key == release_key(ORDERS))
    assert "It ends on 2026-06-30" in spec.metadata["lifecycle_warning"]
    with dg.DagsterInstance.ephemeral() as instance:
        job, days = defs.resolve_job_def("shop__orders"), {RANGE_START: "2024-01-09", RANGE_END: "2024-01-10"}
        assert job.execute_in_process(instance=instance, tags=days).success
        event = instance.get_latest_materialization_event(release_key(ORDERS))
    metadata = event.asset_materialization.metadata
    assert "deprecated" == metadata["lifecycle"].value
    assert "shop/orders is deprecated: Replaced by one feed" in metadata["lifecycle_warning"].value


# Reviews


def test_reviews_are_recorded_and_come_due(tmp_path, url):
    """A review says who, when and what was found; the next is due by the tier, and an overdue one is a finding."""
    root = built(make_live(tmp_path, status="active", reader=False))
    shown = product(root, ORDERS)
    wired = environment(root, operations_url=url)
    assert ["never reviewed" in due.message and due.overdue for due in due_of(wired, shown, NOW)] == [True]
    with Operations.open(url) as operations, operations.writing() as con:
        review(con, shown, standing_of(wired, shown), actor="cyd", now=NOW, reason="Still read daily.")
    (due,) = due_of(wired, shown, NOW + timedelta(days=180))
    assert (date(2026, 7, 9), False, "cyd", NOW.date()) == (due.on, due.overdue, due.by, due.last)
    late = NOW + timedelta(days=181)
    (due,) = due_of(wired, shown, late)
    assert due.overdue
    findings, recoveries = reminders([due], now=late)
    assert [("review", "Review of shop/orders is overdue", Severity.WARNING)] == [
        (f.subject.name, f.title, f.severity) for f in findings
    ]
    assert ["sunset"] == [recovery.subject.name for recovery in recoveries]
    assert ["review", "sunset"] == [r.subject.name for r in reminders([], now=NOW, products=[shown])[1]]


def test_a_sunset_that_passed_is_due(tmp_path):
    """A product that should be gone and is not is overdue the day after, beside its review."""
    root = built(make_live(tmp_path, status="active", reader=False))
    go(root, "deprecate", **WAY | {"successor": "none"})
    wired, shown = environment(root), product(root, ORDERS)
    before, after = (due_of(wired, shown, NOW.replace(month=month, day=day)) for month, day in ((6, 30), (7, 1)))
    assert [("sunset", False), ("sunset", True)] == [(d.of, d.overdue) for d in (*before, *after) if d.of == "sunset"]


def test_a_file_may_tell_of_its_last_review(tmp_path):
    """`reviewedOn` counts until a review is recorded; drafts and retired products need none."""
    root = make_live(tmp_path, status="active", reader=False)
    reviewed(root, "2026-01-01")
    (due,) = due_of(environment(root), product(root, ORDERS), NOW)
    assert (date(2026, 1, 1), date(2026, 6, 30), False) == (due.last, due.on, due.overdue)
    edit(root / FOLDER / "product.yaml", "status: active", "status: draft")
    assert () == due_of(environment(root), product(root, ORDERS), NOW)


@pytest.mark.parametrize("written", ["9999-12-31", "2099-01-01", "tomorrow"])
def test_a_review_that_is_yet_to_come_is_refused(tmp_path, monkeypatch, written):
    """Nobody reviewed anything after today: `validate` says where it stands and what to write."""
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    written = tomorrow if written == "tomorrow" else written
    root = make_live(tmp_path, reader=False)
    reviewed(root, written)
    ran = cli(root, "validate", monkeypatch=monkeypatch)
    assert 1 == ran.code
    said = f"{ORDERS_YAML}:29: `reviewedOn` is {written}, and today is "
    assert said in " ".join((ran.out + ran.err).split())
    edit(root / ORDERS_YAML, f"value: {written}", f"value: {datetime.now(UTC).date()}")
    assert () == load_project(root).faults


@pytest.mark.parametrize("written", ["9999-12-31", "2099-01-01", "2026-08-01"])
def test_a_review_of_the_future_counts_for_nothing(tmp_path, written):
    """Where such a file is looked at all the same, or the clock of a replay is behind it, what was recorded counts."""
    root = built(make_live(tmp_path, status="active", reader=False))
    reviewed(root, written)
    wired, shown = environment(root), load_project(root).products[0]
    (due,) = due_of(wired, shown, NOW)
    assert (None, NOW.date(), True) == (due.last, due.on, due.overdue)
    with Operations.open(wired.operations) as operations, operations.writing() as con:
        review(con, shown, standing_of(wired, shown), actor="cyd", now=NOW)
    (due,) = due_of(wired, shown, NOW + timedelta(days=181))
    assert (NOW.date(), date(2026, 7, 9), True) == (due.last, due.on, due.overdue)


def reviewed(root, day):
    """Write in the file when the product was reviewed."""
    path = root / ORDERS_YAML
    edit(path, "  - property: tier", f"  - {{property: reviewedOn, value: {day}}}\n  - property: tier")


def due_of(wired, shown, now):
    """Return what is due of one product."""
    standing = {shown.address: standing_of(wired, shown)}
    with reading_operations(wired) as con:
        return dues(con, [shown], standing, now=now)


# The command


def cli(root, *arguments, monkeypatch):
    """Run the command line in the project, with the clock of its data."""
    (root / "resources").mkdir(exist_ok=True)
    (root / "resources/__init__.py").write_text(
        "from datetime import UTC, datetime\nfrom pathlib import Path\nfrom dataproducts import Environment\n"
        "def for_environment(name=None):\n"
        "    root = Path(__file__).parents[1]\n"
        "    clock = datetime(2024, 1, 11, 6, tzinfo=UTC)\n"
        "    return Environment(name or 't', root, root / '.dataproducts', clock=clock)\n",
        encoding="utf-8",
    )
    return run(root, *arguments, monkeypatch=monkeypatch)


def test_the_command_refuses_shows_and_takes(tmp_path, monkeypatch):
    """A refusal ends with 1 and lists all; a dry run changes nothing; what was taken is shown with who and why."""
    root = make_live(tmp_path)
    refused = cli(root, "lifecycle", ORDERS, "promote", monkeypatch=monkeypatch)
    assert (1, "") == (refused.code, refused.out)
    assert refused.err.splitlines() == [
        "shop/orders has no release, so no gate has passed. Run `dataproducts build shop/orders`.",
        "",
        "shop/orders stays draft: 1 thing is missing.",
    ]
    built(root)
    dry = cli(root, "lifecycle", ORDERS, "promote", "--dry-run", "--json", monkeypatch=monkeypatch)
    facts = json.loads(dry.out)
    assert (0, False, [], "active") == (dry.code, facts["done"], facts["lacks"], facts["after"])
    assert {"file", "record", "schedule", "port", "downstream"} == {effect["of"] for effect in facts["effects"]}
    assert Status.DRAFT is product(root, ORDERS).status
    done = cli(
        root, "lifecycle", ORDERS, "promote", "--by", "Ada", "--reason", "Pricing [x] asks.", monkeypatch=monkeypatch
    )
    assert (0, "") == (done.code, done.err)
    shown = cli(root, "lifecycle", ORDERS, monkeypatch=monkeypatch).out
    assert "shop/orders is active; next: deprecate" in shown
    assert "draft -> active  Ada" in shown
    assert "Pricing [x] asks." in shown
    reviewed = cli(root, "lifecycle", ORDERS, "review", "--by", "Cyd", "--next", "2099-01-31", monkeypatch=monkeypatch)
    assert "is reviewed by Cyd; the next review is due on 2099-01-31" in " ".join(reviewed.out.split())
    due = cli(root, "lifecycle", "--due", "--json", monkeypatch=monkeypatch)
    assert [("review", "2099-01-31", False)] == [(d["of"], d["on"], d["overdue"]) for d in json.loads(due.out)["due"]]


def test_a_review_says_of_what(tmp_path, monkeypatch):
    """What was looked at in particular is recorded and told; without it, the review is of the product alone."""
    root = built(make_live(tmp_path, status="active", reader=False))
    plain = cli(root, "lifecycle", ORDERS, "review", "--by", "Cyd", "--json", monkeypatch=monkeypatch)
    both = ["--of", "docs", "--of", "access", "--of", "docs"]
    told = cli(root, "lifecycle", ORDERS, "review", *both, "--json", monkeypatch=monkeypatch)
    said = cli(root, "lifecycle", ORDERS, "review", "--of", "access", "--by", "Cyd", monkeypatch=monkeypatch)
    assert [[], ["access", "docs"]] == [json.loads(ran.out)["reviewed"] for ran in (plain, told)]
    assert "shop/orders is reviewed by Cyd, its access in particular; the next" in " ".join(said.out.split())
    shown = json.loads(cli(root, "lifecycle", ORDERS, "--json", monkeypatch=monkeypatch).out)
    assert [[], ["access", "docs"], ["access"]] == [one["detail"]["reviewed"] for one in shown["history"]]
    wrong = cli(root, "lifecycle", ORDERS, "promote", "--of", "docs", monkeypatch=monkeypatch)
    assert (2, True) == (wrong.code, "--of says what a review looked at" in wrong.err)


def test_each_output_fits_its_schema(tmp_path, monkeypatch):
    """What show, a step, a review and --due print with --json is what the schema in docs/json says."""
    root = built(make_live(tmp_path, status="active"))
    schema_of = json.loads((ROOT / "docs/json/lifecycle.schema.json").read_text(encoding="utf-8"))
    way = ["--reason", "r", "--successor", "none", "--sunset", "2099-01-31"]
    for arguments in (
        [ORDERS],
        [ORDERS, "deprecate"],
        [ORDERS, "deprecate", *way],
        [ORDERS, "review"],
        [ORDERS, "show"],
        ["--due"],
    ):
        ran = cli(root, "lifecycle", *arguments, "--json", monkeypatch=monkeypatch)
        Draft202012Validator(schema_of).validate(json.loads(ran.out))


def test_readers_at_the_command_line_are_warned_and_sent_on(tmp_path, monkeypatch):
    """results, releases, check and profile warn of a deprecated product; of a retired one, rows are refused."""
    root = built(make_live(tmp_path, status="active", reader=False))
    go(root, "deprecate", **WAY | {"successor": "none"})
    reads = (["check", ORDERS], ["profile", f"{ORDERS}.orders"])
    tells = (["results", ORDERS], ["releases", ORDERS])
    for arguments in (*reads, *tells):
        ran = cli(root, *arguments, monkeypatch=monkeypatch)
        assert (0, True) == (ran.code, "warning: shop/orders is deprecated" in ran.err), arguments
    assert (
        "is deprecated"
        in json.loads(cli(root, "results", ORDERS, "--json", monkeypatch=monkeypatch).out)["results"][0]["warning"]
    )
    gone(root)
    go(root, "retire", reason="Moved.", forced=True)
    for arguments in (*reads, ["rollback", ORDERS, "--to", "1"], ["build", ORDERS]):
        ran = cli(root, *arguments, monkeypatch=monkeypatch)
        assert (1, True) == (ran.code, "shop/orders is retired since" in ran.out + ran.err), arguments
    for arguments in (*tells, ["build"], ["plan"], ["lifecycle", ORDERS], ["verify"], ["verify", "--repair"]):
        assert 0 == cli(root, *arguments, monkeypatch=monkeypatch).code, arguments
    assert "retired" == json.loads(cli(root, "build", "--json", monkeypatch=monkeypatch).out)[0]["state"]


def test_a_retired_product_is_shown_as_gone(tmp_path, monkeypatch):
    """Nobody is sent to open its data, and no objective of what owes nothing is spent or burning."""
    root = built(make_live(tmp_path, status="active"), ORDERS, VALUE)
    gone(root)
    told = cli(root, "slo", VALUE, monkeypatch=monkeypatch)
    assert "refresh_success" in told.out
    assert "serve/shop.order_value@v2.duckdb" in cli(root, "build", monkeypatch=monkeypatch).out
    go(root, "retire", VALUE, reason="Merged.")

    ran = cli(root, "build", monkeypatch=monkeypatch)
    assert (0, True, False) == (ran.code, "serve/shop.orders.duckdb" in ran.out, "serve/shop.order_value" in ran.out)
    go(root, "deprecate", **WAY | {"successor": "none"})
    go(root, "retire", reason="Merged.", forced=True)
    ran = cli(root, "build", monkeypatch=monkeypatch)
    assert (0, False) == (ran.code, "Open the data" in ran.out)
    ran = cli(root, "slo", "--check", VALUE, monkeypatch=monkeypatch)
    assert (0, "refresh_success" in ran.out) == (ran.code, False)
    assert " ".join(ran.out.split()).startswith(
        "shop/order_value@v2 is retired since 2026-01-10: Merged. Nothing takes its place. It owes nothing any more"
    )
    (facts,) = json.loads(cli(root, "slo", VALUE, "--json", monkeypatch=monkeypatch).out)
    assert (facts["objectives"], facts["missing"]) == ([], "")
    assert facts["retired"] == "shop/order_value@v2 is retired since 2026-01-10: Merged. Nothing takes its place"


def test_plan_and_validate_tell_of_files_that_say_something_else(tmp_path, monkeypatch):
    """In production an active product that nobody promoted there is told by plan, validate and --due."""
    root = built(make_live(tmp_path, status="active", reader=False))
    for arguments in (["validate"], ["plan"], ["lifecycle", "--due"]):
        ran = cli(root, "--env", "prod", *arguments, monkeypatch=monkeypatch)
        said = " ".join((ran.out + ran.err).split())
        assert "shop/orders is declared active, and no promotion is recorded" in said, arguments


def test_unknown_names_and_wrong_usage(tmp_path, monkeypatch):
    """A misspelt product is guessed, a step that the state lacks is explained, and nothing of both is asked for."""
    root = built(make_live(tmp_path))
    unknown = cli(root, "lifecycle", "shop/order", "retire", monkeypatch=monkeypatch)
    assert (1, True) == (unknown.code, "Did you mean 'shop/orders'?" in unknown.err)
    wrong = cli(root, "lifecycle", ORDERS, "deprecate", monkeypatch=monkeypatch)
    assert (1, True) == (wrong.code, "is draft, so it cannot be deprecated" in wrong.err)
    assert 2 == cli(root, "lifecycle", monkeypatch=monkeypatch).code
    assert 2 == cli(root, "lifecycle", ORDERS, "--due", monkeypatch=monkeypatch).code
    assert 2 == cli(root, "lifecycle", ORDERS, "burn", monkeypatch=monkeypatch).code


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("promote", "--sunset", "2099-01-31"), "--sunset"),
        (("promote", "--successor", "none"), "--successor"),
        (("promote", "--next", "2099-01-31"), "--next"),
        (("promote", "--force"), "--force"),
        (("review", "--force"), "--force"),
        (("retire", "--sunset", "2099-01-31"), "--sunset"),
        (("show", "--reason", "r"), "--reason"),
        (("show", "--dry-run"), "--dry-run"),
    ],
)
def test_an_option_that_does_nothing_is_refused(tmp_path, monkeypatch, words, option):
    """What an action does not read is refused with the actions that do, and nothing is changed."""
    root = built(make_live(tmp_path))
    ran = cli(root, "lifecycle", ORDERS, *words, monkeypatch=monkeypatch)
    assert (2, True) == (ran.code, f"{option} is for " in ran.err), ran
    assert words[0] in ran.err
    assert Status.DRAFT is product(root, ORDERS).status


def test_names_of_what_is_due_are_whole(tmp_path, monkeypatch):
    """A long address of an owner is told in one piece in 80 columns; one notice is queued, or several are."""
    who = "clara.jensen-larsson-of-the-tills@grocer.example"
    root = built(make_live(tmp_path, status="active", reader=False))
    text = (root / "assets/shop/orders/product.yaml").read_text(encoding="utf-8")
    assert "username: ada@shop.example" in text
    (root / "assets/shop/orders/product.yaml").write_text(text.replace("ada@shop.example", who), encoding="utf-8")
    assert who in cli(root, "lifecycle", "--due", monkeypatch=monkeypatch).out
    assert ["0 notices are", "1 notice is", "2 notices are"] == [queued(count) for count in (0, 1, 2)]
