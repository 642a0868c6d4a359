"""What the ledger recorded becomes findings and recoveries: each once, none lost, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproducts.errors import DataProductError, RefusedError, SourceError, TransformError
from dataproducts.finding import FindingKind, Subject
from dataproducts.findings import PATIENCE, RunState, pipeline_subject, read_findings, severity_of
from dataproducts.incidents import record, resolve
from dataproducts.ledger import Attempt, news
from dataproducts.load import load_project
from dataproducts.operations import Operations, bookmark
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity, Tier
from dataproducts.refresh import begin, note_unbuilt, refresh_table, release
from dataproducts.releases import rollback
from dataproducts.warehouse import Warehouse
from tests.postgres import database
from tests.releasing import result, shop, sqlite
from tests.shop import build, edit, environment, make_shop, write_customers, write_orders

ORDERS = "shop/orders"
NOW = datetime(2100, 1, 1, tzinfo=UTC)
REVENUE_SQL = "assets/shop/revenue/transforms/revenue.sql"


class Place:
    """A project with its databases, and the few steps that tests take on them."""

    def __init__(self, root, **urls):
        """Build nothing yet; `urls` are those of other databases than SQLite's."""
        self.root, self.urls = root, urls
        self.operations = Operations.open(environment(root, **urls).operations)

    @property
    def products(self):
        """Return the products as they are declared now."""
        return {product.address: product for product in load_project(self.root).products}

    def warehouse(self):
        """Open the warehouse."""
        return Warehouse.open(environment(self.root, **self.urls))

    def build(self, address=ORDERS, **options):
        """Build a product; return why that failed, if it did."""
        try:
            build(self.root, address, **self.urls, **options)
        except DataProductError as error:
            return str(error)
        return ""

    def watch(self, now=NOW, products=None, **options):
        """Read what is new and record it, by `products` or as they are now; return what became of which subject."""
        products = products or self.products
        with self.warehouse() as warehouse, self.operations.writing() as con:
            found = read_findings(warehouse.ledger, con, products, now=now, **options)
            changes = record(con, found.findings, found.recoveries, products=products, now=now)
        return [(change.what, change.incident.kind.value, change.incident.subject) for change in changes]

    def the(self, kind, name, table=""):
        """Return one incident of the product orders."""
        with self.operations.reading() as con:
            return kept.find(con, Subject(ORDERS, FindingKind(kind), name, table))


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Yield a shop that was watched before anything was built in it."""
    urls = {} if request.param == "sqlite" else {"ledger_url": database(), "operations_url": database()}
    found = Place(make_shop(tmp_path), **urls)
    assert [] == found.watch()
    yield found
    found.operations.close()


@pytest.fixture
def small(tmp_path):
    """Yield such a shop on SQLite alone."""
    found = Place(make_shop(tmp_path))
    assert [] == found.watch()
    yield found
    found.operations.close()


def test_a_failed_rule_is_one_incident_until_it_is_good(place):
    """A rule that fails in two partitions opens one incident that names them; it ends when both are good."""
    place.build()
    assert [] == place.watch()
    write_orders(place.root, bad={1: "1,1,2024-01-01,-1", 5: "5,1,2024-01-02,-2"})
    assert "amount.range" in place.build()
    assert [("opened", "check", "amount.range")] == place.watch()
    found = place.the("check", "amount.range", "orders")
    assert ["2024-01-01", "2024-01-02"] == found.detail["partitions"]
    assert (2, 1, "error") == (found.detail["failed_rows"], found.detail["release"], found.severity)
    assert "ana@example.com" == found.owner
    assert found.failed_at <= found.opened_at < NOW
    assert [] == place.watch()
    write_orders(place.root, bad={5: "5,1,2024-01-02,-3"})
    place.build()
    assert [("seen", "check", "amount.range")] == place.watch()
    assert ["2024-01-02"] == place.the("check", "amount.range", "orders").detail["partitions"]
    write_orders(place.root, bad={5: "5,1,2024-01-02,3"})
    assert "" == place.build()
    assert [("resolved", "check", "amount.range")] == place.watch()
    assert 1 == place.the("check", "amount.range", "orders").episode


def test_wrong_and_right_between_two_looks(place):
    """What was wrong and right again before anybody looked is opened and resolved, not passed over."""
    place.build()
    write_orders(place.root, bad={1: "1,1,2024-01-01,-1"})
    place.build()
    write_orders(place.root, bad={1: "1,1,2024-01-01,1"})
    place.build()
    assert [("opened", "check", "amount.range"), ("resolved", "check", "amount.range")] == place.watch()


def test_every_severity_opens(small):
    """A warning in a release that succeeded opens an incident of severity warning."""
    edit(
        small.root / "assets/shop/orders/contracts/orders.odcs.yaml",
        "        logicalTypeOptions: {minimum: 0}",
        "        quality: [{metric: nullValues, mustBe: 0, severity: warning}]",
    )
    edit(small.root / "assets/shop/orders/contracts/orders.odcs.yaml", "number\n        required: true", "number")
    write_orders(small.root, bad={3: "3,1,2024-01-01,"})
    assert "" == small.build()
    assert [("opened", "check", "amount.nullValues")] == small.watch()
    found = small.the("check", "amount.nullValues", "orders")
    assert ("warning", False) == (found.severity, found.detail["blocking"])


def test_a_classified_value_never_reaches_an_incident(small):
    """The sample of a rule on a personal column is masked in the incident and in its timeline."""
    path = small.root / "assets/shop/orders/contracts/customers.odcs.yaml"
    edit(path, "        customProperties: [{property: onFailure, value: quarantine}]\n", "")
    write_customers(small.root, "1,a@x.org\n2,secret.x.org\n3,c@x.org\n4,d@x.org\n")
    small.build()
    assert [("opened", "check", "email.pattern")] == small.watch()
    found = small.the("check", "email.pattern", "customers")
    assert [{"customer_id": 2, "email": "***"}] == [dict(row) for row in found.detail["sample"]]
    with small.operations.reading() as con:
        told = [json.dumps(dict(event.detail)) for event in kept.events(con, found.id)]
    assert "secret" not in json.dumps(dict(found.detail)) + "".join(told)


def test_a_source_that_is_gone(place):
    """A missing file opens one incident about the source, not one a try; a release closes it."""
    (place.root / "data/customers.csv").rename(place.root / "data/late.csv")
    found = place.products[ORDERS]
    for _ in range(2):
        with place.warehouse() as warehouse, warehouse.connect() as con:
            refresh = begin(warehouse, found, refresh_id="")
            with pytest.raises(SourceError):
                refresh_table(warehouse, found, found.table("customers"), refresh=refresh, con=con)
        place.watch()
    incident = place.the("source", "crm", "customers")
    assert ("open", 1, True) == (incident.state, incident.episode, "customers.csv" in incident.detail["message"])
    (place.root / "data/late.csv").rename(place.root / "data/customers.csv")
    assert "" == place.build()
    assert [("resolved", "source", "crm")] == place.watch()


def test_a_refresh_that_could_not_begin(small):
    """What fails before anything is begun is noted, and told as a source that cannot be read."""
    with small.warehouse() as warehouse:
        note_unbuilt(warehouse, small.products[ORDERS], SourceError("till: no file"))
    assert [("opened", "source", "sources")] == small.watch()
    assert [] == small.watch()
    small.build()
    assert [("resolved", "source", "sources")] == small.watch()


def test_a_transform_that_fails(small):
    """A transform that raises opens an incident about the pipeline of its table, by the text of its error."""
    small.build()
    path = small.root / "assets/shop/orders/transforms/customers.sql"
    path.write_text("SELECT 1 / (customer_id = 1)::VARCHAR AS customer_id, email FROM crm\n", encoding="utf-8")
    small.build()
    assert [("opened", "pipeline", "refresh")] == small.watch()
    assert "customers" == small.the("pipeline", "refresh", "customers").table
    path.write_text("SELECT customer_id, email FROM crm\n", encoding="utf-8")
    assert "" == small.build()
    assert [("resolved", "pipeline", "refresh")] == small.watch()


def test_a_release_that_is_refused(small):
    """A release without candidates is refused for no rule: one incident, closed by the next release."""
    small.build()
    product = small.products[ORDERS]
    with small.warehouse() as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, product, refresh_id="")
        with pytest.raises(RefusedError):
            release(warehouse, product, refresh=refresh, con=con)
        assert () == warehouse.ledger.open_attempts(refresh)
    assert [("opened", "refused", "release")] == small.watch()
    write_orders(small.root, bad={1: "1,1,2024-01-01,1"})
    small.build()
    assert [("resolved", "refused", "release")] == small.watch()


def test_a_refused_release_may_be_tried_again(small):
    """That a release failed once does not forbid it: the same refresh is released when what was wrong is right."""
    product = small.products[ORDERS]
    contract = product.folder / "contracts/customers.odcs.yaml"
    text = contract.read_text(encoding="utf-8")
    with small.warehouse() as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, product, refresh_id="again")
        days = [datetime(2024, 1, day, tzinfo=UTC).date() for day in range(1, 11)]
        refresh_table(warehouse, product, product.table("customers"), refresh=refresh, con=con)
        refresh_table(warehouse, product, product.table("orders"), refresh=refresh, con=con, partitions=days)
        contract.write_text(text.replace("1.0.0", "1.0.1"), encoding="utf-8")
        with pytest.raises(DataProductError, match="contract changed"):
            release(warehouse, product, refresh=refresh, con=con)
        assert [("opened", "refused", "release")] == small.watch()
        contract.write_text(text, encoding="utf-8")
        assert 1 == release(warehouse, product, refresh=refresh, con=con).release.number
    assert [("resolved", "refused", "release")] == small.watch()


def test_a_refresh_that_was_killed(place):
    """A refresh that came to no end is told when its run is known to be dead, when another began, or after a while."""
    with place.warehouse() as warehouse:
        start = datetime.now(UTC)
        warehouse.ledger.open_refresh("one", ORDERS, run_id="one")
        refresh = warehouse.ledger.find_refresh("one", ORDERS)
        warehouse.ledger.mark_started(refresh, "orders", ["2024-01-01"])
    soon, later = start + timedelta(minutes=5), start + PATIENCE + timedelta(minutes=1)
    assert [] == place.watch(soon)
    assert [] == place.watch(later, run_state=lambda _: RunState.GOING)
    assert [("opened", "pipeline", "refresh")] == place.watch(soon, run_state=lambda _: RunState.DEAD)
    assert [] == place.watch(later)
    assert "orders" in place.the("pipeline", "refresh").detail["message"]
    assert "" == place.build()
    assert [("resolved", "pipeline", "refresh")] == place.watch()
    with place.warehouse() as warehouse:
        warehouse.ledger.open_refresh("two", ORDERS, run_id="two", now=start + timedelta(days=1))
        assert [] == place.watch(start + timedelta(days=1, minutes=1))
        warehouse.ledger.open_refresh("three", ORDERS, run_id="three", now=start + timedelta(days=1, hours=1))
    assert [("reopened", "pipeline", "refresh")] == place.watch(start + timedelta(days=1, hours=1))


def test_a_refresh_goes_on_under_its_id(small):
    """A refresh that was killed, resumed and released between two looks leaves nothing open."""
    product = small.products[ORDERS]
    with small.warehouse() as warehouse:
        refresh = begin(warehouse, product, refresh_id="resumed")
        warehouse.ledger.mark_started(refresh, "customers")
        assert [("opened", "pipeline", "refresh")] == small.watch(run_state=lambda _: RunState.DEAD)
        assert "" == small.build(refresh_id="resumed")
    assert [("resolved", "pipeline", "refresh")] == small.watch()


def test_only_the_last_attempt_of_a_refresh_counts(place):
    """A rule that failed, and passed when the same refresh was tried again, opens nothing; the other way round does."""
    with place.warehouse() as warehouse:
        ledger = warehouse.ledger
        refresh = ledger.open_refresh("r", ORDERS, run_id="r")
        judge = partial(result, refresh, at=datetime.now(UTC), rule="primary_key")
        ledger.record_results([judge("k1", passed=False)])
        ledger.record_results([judge("k2", passed=True)])
        assert [] == place.watch(datetime.now(UTC))
        ledger.record_results([judge("k2", passed=False)])
        assert [("opened", "check", "primary_key")] == place.watch(datetime.now(UTC))
        ledger.record_results([judge("k2", passed=True)])
        assert [("resolved", "check", "primary_key")] == place.watch(datetime.now(UTC))
        ledger.record_results([judge("k2", passed=False)])
        assert [("reopened", "check", "primary_key")] == place.watch(datetime.now(UTC))


def test_replaced_results_get_new_ids(tmp_path):
    """A result that replaces the newest one is news to who reads by growing ids, in SQLite too."""
    with shop(tmp_path) as place:
        refresh = place.refresh()
        place.judge(refresh, "a", "b")
        with place.ledger.reading() as con:
            before = news.last_result(con)
        place.judge(refresh, "a", "b", passed=False)
        with place.ledger.reading() as con:
            assert [False, False] == [row.passed for row in news.judged_after(con, before)]
        assert 2 == len(place.ledger.history(ORDERS, "orders", "orders.rule"))


def test_a_look_that_is_not_committed_is_repeated(place):
    """A tick that dies before its commit leaves no bookmark and no incident; the next one finds the same."""
    place.build()
    write_orders(place.root, bad={1: "1,1,2024-01-01,-1"})
    place.build()

    class DiedError(Exception):
        pass

    def die():
        with place.warehouse() as warehouse, place.operations.writing() as con:
            found = read_findings(warehouse.ledger, con, place.products, now=NOW)
            assert 1 == len(record(con, found.findings, found.recoveries, products=place.products, now=NOW))
            raise DiedError

    for _ in range(2):
        with pytest.raises(DiedError):
            die()
    assert [("opened", "check", "amount.range")] == place.watch()
    assert [] == place.watch()


def test_a_first_look_tells_how_things_stand(small):
    """A ledger with a past opens what is wrong now, not what was; afterwards everything counts."""
    fresh = Operations.open(sqlite(small.root / "other"))
    small.build()
    for amount in (-1, 1, -2):
        write_orders(small.root, bad={1: f"1,1,2024-01-01,{amount}", 2: f"2,9,2024-01-01,{max(amount, 0)}"})
        small.build()
    old, small.operations = small.operations, fresh
    old.close()
    found = small.watch()
    assert {"opened"} == {what for what, *_ in found}
    assert ("opened", "check", "amount.range") in found
    assert [] == small.watch()


def test_a_rule_that_is_not_declared_any_more(small):
    """An incident about a rule that the contract lost is resolved, since nobody will judge the rule again."""
    small.build()
    write_orders(small.root, bad={1: "1,1,2024-01-01,-1"})
    small.build()
    assert [("opened", "check", "amount.range")] == small.watch()
    path = small.root / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, "        logicalTypeOptions: {minimum: 0}\n", "")
    assert [("resolved", "check", "amount.range")] == small.watch()
    with small.operations.reading() as con:
        last = kept.events(con, small.the("check", "amount.range", "orders").id)[-1]
    assert "not declared any more" == last.detail["reason"]


CONTRACTS = "assets/shop/orders/contracts"


def test_a_watcher_with_older_files_closes_nothing_too_early(small):
    """A rule that only newer files declare stays wrong for one who has not read them, until they are gone again."""
    small.build()
    small.watch()
    before, path = small.products, small.root / CONTRACTS / "orders.odcs.yaml"
    bound, more = "{minimum: 0}", "{minimum: 0}\n        quality: [{metric: duplicateValues, mustBe: 0}]"
    edit(path, bound, more)
    write_orders(small.root, bad={1: "1,1,2024-01-01,7", 2: "2,2,2024-01-01,7"})
    assert "amount.duplicateValues" in small.build()
    assert [("opened", "check", "amount.duplicateValues")] == small.watch(products=before)
    assert [] == small.watch(products=before)
    edit(path, more, bound)
    write_orders(small.root, bad={1: "1,1,2024-01-01,1"})
    assert "" == small.build()
    assert [("resolved", "check", "amount.duplicateValues")] == small.watch(products=before)


def test_a_table_that_is_not_declared_any_more(small):
    """What was wrong with a table that the product lost is closed: no release will ever repair it."""
    small.build()
    small.watch()
    (small.root / "data/customers.csv").rename(small.root / "data/late.csv")
    unread(small, "customers")
    assert [("opened", "source", "crm")] == small.watch()
    for file in ("contracts/customers.odcs.yaml", "transforms/customers.sql"):
        (small.root / "assets/shop/orders" / file).unlink()
    edit(small.root / CONTRACTS / "orders.odcs.yaml", "        relationships: [{to: customers.customer_id}]\n", "")
    port = "  - {name: customers, version: 1.0.0, type: table, contractId: shop.orders.customers}\n"
    edit(small.root / "assets/shop/orders/product.yaml", port, "")
    assert [("resolved", "source", "crm")] == small.watch()
    with small.operations.reading() as con:
        last = kept.events(con, small.the("source", "crm", "customers").id)[-1]
    assert "not declared any more" == last.detail["reason"]
    assert [] == small.watch()


def test_a_table_that_only_newer_files_declare(small):
    """A watcher that does not know it keeps what is wrong with it, until a release is made without it."""
    small.build()
    small.watch()
    before, folder = small.products, small.root / "assets/shop/orders"
    contract = (folder / "contracts/customers.odcs.yaml").read_text(encoding="utf-8")
    added = {
        "contracts/refunds.odcs.yaml": contract.replace("customers", "refunds").replace("crm", "desk"),
        "transforms/refunds.sql": "SELECT customer_id, email FROM desk",
    }
    for name, text in added.items():
        (folder / name).write_text(text, encoding="utf-8")
    unread(small, "refunds")
    (wrong,) = small.watch(products=before)
    assert ("opened", "source") == wrong[:2]
    assert [] == small.watch(products=before)
    for name in added:
        (folder / name).unlink()
    write_orders(small.root, bad={1: "1,1,2024-01-01,1"})
    assert "" == small.build()
    assert [("resolved", *wrong[1:])] == small.watch(products=before)


def unread(place, table):
    """Let the refresh of one table fail for its source."""
    found = place.products[ORDERS]
    with place.warehouse() as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="")
        with pytest.raises(SourceError):
            refresh_table(warehouse, found, found.table(table), refresh=refresh, con=con)


def test_a_ledger_taken_back_to_an_earlier_state(small):
    """After a restore its ids come again: what is wrong then is told, under the ids of what was told before."""
    small.build()
    ledger, copy = small.root / ".dataproducts/ledger.sqlite", small.root / "copy"
    small.watch()
    shutil.copy(ledger, copy)
    bad = {1: "1,1,2024-01-01,-1"}
    write_orders(small.root, bad=bad)
    small.build()
    assert [("opened", "check", "amount.range")] == small.watch()
    write_orders(small.root, bad={1: "1,1,2024-01-01,1"})
    for _ in range(2):
        small.build()
    assert [("resolved", "check", "amount.range")] == small.watch()
    shutil.copy(copy, ledger)
    write_orders(small.root, bad=bad)
    small.build()
    assert [("reopened", "check", "amount.range")] == small.watch()
    assert [] == small.watch()


def test_a_host_whose_clock_is_ahead_hides_nothing(small):
    """A refresh dated in the future is no reason to pass over those that other hosts begin meanwhile."""
    now = datetime.now(UTC)
    with small.warehouse() as warehouse:
        warehouse.ledger.open_refresh("ahead", ORDERS, run_id="ahead", now=now + timedelta(hours=1))
        assert [] == small.watch(now, run_state=lambda _: RunState.GOING)
        refresh = warehouse.ledger.open_refresh("behind", ORDERS, run_id="behind", now=now)
        warehouse.ledger.record_failure(refresh, "", [None], TransformError("no"))
    assert [("opened", "pipeline", "refresh")] == small.watch(now, run_state=lambda _: RunState.GOING)


def test_refreshes_that_made_a_table_alone_are_not_waited_for(small):
    """A run that ended well and released nothing is done with, while one that goes on is not."""
    start = datetime.now(UTC)
    with small.warehouse() as warehouse:
        for number in range(3):
            warehouse.ledger.open_refresh(
                f"r{number}", ORDERS, run_id=f"r{number}", now=start + timedelta(hours=number)
            )
    states = {"r0": RunState.DONE, "r1": RunState.GOING, "r2": RunState.DONE}
    later = start + timedelta(hours=9)
    assert [] == small.watch(later, run_state=lambda refresh: states[refresh.id])
    with small.operations.reading() as con:
        waiting = json.loads(bookmark(con, f"findings {ORDERS}"))["open"]
    # The newest may be tried again under its id.
    assert {"r1", "r2"} == set(waiting)
    states["r1"] = RunState.DEAD
    assert [("opened", "pipeline", "refresh")] == small.watch(later, run_state=lambda refresh: states[refresh.id])


def test_a_rollback_shows_nothing_new(small):
    """A rollback does not resolve: what is wrong with the source is wrong still."""
    small.build()
    write_orders(small.root, bad={1: "1,1,2024-01-01,1"})
    small.build()
    with small.warehouse() as warehouse:
        refresh = begin(warehouse, small.products[ORDERS], refresh_id="x")
        warehouse.ledger.record_failure(refresh, "", [None], TransformError("no"))
        assert [("opened", "pipeline", "refresh")] == small.watch()
        rollback(warehouse.ledger, warehouse.store, ORDERS, 1, run_id="back")
    assert [] == small.watch()


def test_by_hand_and_seen_again(small):
    """What is resolved by hand stays so while nothing new comes, and is reopened by the next failing refresh."""
    small.build()
    write_orders(small.root, bad={1: "1,1,2024-01-01,-1"})
    small.build()
    small.watch(datetime.now(UTC))
    with small.operations.writing() as con:
        resolve(con, small.the("check", "amount.range", "orders").id, "surely", by="ana", now=datetime.now(UTC))
    assert [] == small.watch(datetime.now(UTC))
    small.build()
    assert [("reopened", "check", "amount.range")] == small.watch(datetime.now(UTC))


def test_a_product_that_cannot_be_loaded_loses_nothing(small):
    """What happens to a product while its files have faults is found when they have none again."""
    small.build()
    small.watch()
    write_orders(small.root, bad={1: "1,1,2024-01-01,-1"})
    small.build()
    with small.warehouse() as warehouse, small.operations.writing() as con:
        others = {address: product for address, product in small.products.items() if address != ORDERS}
        assert () == read_findings(warehouse.ledger, con, others, now=NOW).findings
    assert [("opened", "check", "amount.range")] == small.watch()


def test_attempts_say_how_they_failed(small):
    """A source, a refusal and any other failure are told apart in the ledger."""
    with small.warehouse() as warehouse:
        refresh = warehouse.ledger.open_refresh("r", ORDERS, run_id="r")
        for table, error in (("a", SourceError("s")), ("b", RefusedError("r")), ("c", TransformError("t"))):
            warehouse.ledger.record_failure(refresh, table, [None], error)
        expected = [Attempt(*told) for told in (("a", None, "unread", "s"), ("b", None, "refused", "r"))]
        assert [*expected, Attempt("c", None, "failed", "t")] == list(warehouse.ledger.open_attempts(refresh))


@pytest.mark.parametrize(
    ("tier", "told", "expected"),
    [
        (None, {"severity": "info", "blocking": True}, Severity.ERROR),
        (Tier.GOLD, {"severity": "warning", "criticality": "high"}, Severity.ERROR),
        (Tier.SILVER, {"severity": "warning", "criticality": "high"}, Severity.WARNING),
        (Tier.GOLD, {"severity": "error", "criticality": "low"}, Severity.ERROR),
        (Tier.BRONZE, {"severity": "error", "criticality": "low"}, Severity.WARNING),
        (None, {"severity": "info", "criticality": "low"}, Severity.INFO),
        (Tier.GOLD, {"severity": "error", "criticality": "high"}, Severity.ERROR),
    ],
)
def test_severity(small, tier, told, expected):
    """How bad a failed rule is follows from its severity, its criticality and the product's tier."""
    product = replace(small.products[ORDERS], tier=tier)
    assert expected is severity_of(product, **told)


def test_the_subject_of_runs_is_shared():
    """Whoever sees a run fail names it as this module does, so that one fault is one incident."""
    assert Subject("a/b", FindingKind.PIPELINE, "refresh") == pipeline_subject("a/b")


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("judge"), st.sampled_from([None, "2024-01-01", "2024-01-02"]), st.booleans()),
        st.tuples(st.just("again"), st.sampled_from([None, "2024-01-01"]), st.booleans()),
        st.just(("refresh",)),
        st.just(("look",)),
    ),
    max_size=20,
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Yield databases for many examples, each of which has a product of its own, and a product to take it from."""
    root = make_shop(tmp_path_factory.mktemp("shared"))
    operations = Operations.open(environment(root).operations)
    with Warehouse.open(environment(root)) as warehouse, operations:
        product = next(p for p in load_project(root).products if p.address == ORDERS)
        yield warehouse.ledger, operations, product, count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_whenever_one_looks_the_incident_is_open_if_something_is_wrong(shared, steps):
    """For any order of results, retries and looks: open if and only if the newest result of a partition is bad."""
    ledger, operations, declared, numbers = shared
    product = replace(declared, domain=f"d{next(numbers)}")
    subject = Subject(product.address, FindingKind.CHECK, "primary_key", "orders")
    clock = iter(NOW + timedelta(seconds=n) for n in range(1000))
    newest, keys = {}, {}

    def look():
        now = next(clock)
        with operations.writing() as con:
            found = read_findings(ledger, con, {product.address: product}, now=now, run_state=lambda _: RunState.GOING)
            record(con, found.findings, found.recoveries, products={}, now=now)
            incident = kept.find(con, subject)
            assert (False in newest.values()) == (incident is not None and incident.is_open)

    look()
    refresh = None
    for at, (step, *told) in enumerate([("refresh",), *steps]):
        if step == "refresh":
            refresh = ledger.open_refresh(f"{product.domain}-{at}", product.address, run_id="", now=next(clock))
        elif step == "look":
            look()
        else:
            partition, passed = told
            # A retry in the same refresh gives a result of the same key, which replaces the one before.
            key = keys.get((refresh.id, partition)) if step == "again" else None
            key = keys[refresh.id, partition] = key or f"{product.domain} {at}"
            one = result(refresh, key, passed=passed, at=next(clock), rule="primary_key")
            ledger.record_results([replace(one, partition=partition)])
            newest[partition] = passed
    look()
    look()
