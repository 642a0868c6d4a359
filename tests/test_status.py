"""How products are doing: the score by hand, what a refresh costs, and what the command and its pages show."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dataproducts.cli.main import main
from dataproducts.cli.project import open_project
from dataproducts.directory import Directory
from dataproducts.errors import DataProductError
from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.incidents import record
from dataproducts.load import load_project
from dataproducts.meter import metered
from dataproducts.operations import Operations, costs, health
from dataproducts.product import Severity, Status
from dataproducts.refresh import refresh_product
from dataproducts.slo.evaluate import evaluate
from dataproducts.slo.facts import Facts
from dataproducts.standing import Standing
from dataproducts.status.charts import bars_svg, budget_svg, times_svg
from dataproducts.status.gather import read_status
from dataproducts.status.health import POINTS, WEIGHTS, read_health, record_health, weighted
from dataproducts.status.model import CostNow, State
from dataproducts.status.page import index_page, product_page
from dataproducts.status.plotted import main_objectives, plotted
from dataproducts.status.tell import as_json, bytes_text, percent, score_text, span_text
from dataproducts.warehouse import Warehouse
from dataproducts.watch import watch
from tests.shop import CLOCK, build, environment, make_shop

SCHEMA = json.loads((Path(__file__).parents[1] / "docs/json/status.schema.json").read_text(encoding="utf-8"))
ORDERS = "shop/orders"
SLO = """\
objectives:
  - {name: orders.latency, indicator: freshness, table: orders, column: ordered_on, at_most: 31h, target: 0.9}
  - {name: refresh_success, indicator: refresh_success, target: 0.9}
"""
RESOURCES = """\
from datetime import UTC, datetime
from pathlib import Path
from dataproducts import Environment
def for_environment(name=None):
    root = Path(__file__).parents[1]
    return Environment("test", root, root / ".dataproducts", clock=datetime(2024, 1, 11, 6, tzinfo=UTC))
"""
VOID = {"meta", "br", "wbr", "link", "img", "input", "hr"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a project whose orders were released once."""
    root = make_shop(tmp_path)
    (root / "assets/shop/orders/slo.yaml").write_text(SLO, encoding="utf-8")
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES, encoding="utf-8")
    build(root, ORDERS)
    return root


def now() -> datetime:
    """Return a moment after everything that a test has done so far."""
    return datetime.now(UTC) + timedelta(seconds=1)


def look(root: Path, address: str = ORDERS, **changes: Any) -> Any:
    """Return the status of a product, with fields of the product replaced by `changes`."""
    wired = environment(root)
    known = {product.address: product for product in load_project(root).products}
    known[address] = replace(known[address], **changes)
    with (
        Warehouse.open(wired) as warehouse,
        Operations.open(wired.operations) as operations,
        operations.reading() as con,
    ):
        return read_status(warehouse, con, known[address], known=known, now=now())


def wrong(name: str, severity: Severity, *, at: datetime) -> Finding:
    """Return something that is wrong with the orders."""
    return Finding(Subject(ORDERS, FindingKind.CHECK, name, "orders"), f"{name} failed", severity, at, at, {})


def open_incidents(root: Path, *found: Finding | Recovery, at: datetime) -> None:
    """Record findings and recoveries."""
    wrongs = [one for one in found if isinstance(one, Finding)]
    rights = [one for one in found if isinstance(one, Recovery)]
    products = {product.address: product for product in load_project(root).products}
    with Operations.open(environment(root).operations) as operations, operations.writing() as con:
        record(con, wrongs, rights, products=products, now=at)


def by_hand(told: dict[str, Any]) -> float:
    """Compute a score again from its JSON alone, as docs/status.md says it is made."""
    values: dict[str, float] = {}
    for one in told["components"]:
        parts = one["parts"]
        if one["name"] in {"quality", "architecture", "governance"} and parts:
            shares = [100 * min(1, part["attainment"] / part["target"]) for part in parts]
            values[one["name"]] = sum(shares) / len(shares)
        elif one["name"] == "incidents":
            values["incidents"] = max(0, 100 - sum(part["open"] * part["points"] for part in parts))
        elif one["name"] == "freshness" and parts:
            values["freshness"] = 100 * sum(part["fresh"] for part in parts) / len(parts)
        elif one["name"] == "lifecycle":
            values["lifecycle"] = 100 * sum(part["holds"] for part in parts) / 4
    weights = {one["name"]: one["weight"] for one in told["components"] if one["name"] in values}
    return float(sum(weights[name] * values[name] for name in values) / sum(weights.values()))


def test_score_is_computed_again_from_its_json(shop: Path) -> None:
    """The parts hold every number that the score needs: with and without open incidents it comes out the same."""
    told = as_json(look(shop))["health"]
    assert pytest.approx(by_hand(told)) == told["score"]
    moment = now()
    found = [wrong("a", Severity.ERROR, at=moment), wrong("b", Severity.WARNING, at=moment)]
    open_incidents(shop, *found, wrong("c", Severity.INFO, at=moment), at=moment)
    after = as_json(look(shop))["health"]
    assert pytest.approx(by_hand(after)) == after["score"]
    (incidents,) = (one for one in after["components"] if one["name"] == "incidents")
    assert (100 - 40 - 15 - 3, "open: 1 error, 1 warning, 1 info") == (incidents["value"], incidents["why"])
    assert pytest.approx(told["score"] - 20 * 0.58 / sum(WEIGHTS.values()) * 100) == after["score"]


SHARES = st.lists(
    st.tuples(st.floats(0, 1000), st.none() | st.floats(0, 100)),
    max_size=8,
)


@given(SHARES)
@example([(5e-324, 1.5)])  # the least weight that there is
def test_a_mean_stays_within_its_parts(parts: list[tuple[float, float | None]]) -> None:
    """A score lies between the least and the greatest of the components that count, so between 0 and 100."""
    found = weighted(parts)
    told = [value for weight, value in parts if value is not None and weight > 0]
    if found is None:
        assert not told
    else:
        assert 0 <= found <= 100
        assert min(told) - 1e-9 <= found <= max(told) + 1e-9


@given(SHARES, st.integers(0, 7), st.floats(0, 100))
def test_a_better_component_never_makes_a_worse_score(
    parts: list[tuple[float, float | None]], at: int, more: float
) -> None:
    """The score is monotone in each component that can be told."""
    if at < len(parts) and (value := parts[at][1]) is not None:
        better = [*parts[:at], (parts[at][0], min(value + more, 100.0)), *parts[at + 1 :]]
        before, after = weighted(parts), weighted(better)
        assert (before is None) == (after is None)
        assert before is None or after is None or after >= before - 1e-9


@given(st.lists(st.sampled_from(list(Severity)), max_size=12))
def test_points_of_incidents_are_ordered(severities: list[Severity]) -> None:
    """An error takes more than a warning and that more than news, and each takes something."""
    assert POINTS[Severity.ERROR] > POINTS[Severity.WARNING] > POINTS[Severity.INFO] > 0
    assert sum(POINTS[one] for one in severities) >= len(severities)


def test_what_cannot_be_told_leaves_the_mean(shop: Path) -> None:
    """Without an objective of freshness its weight is in neither sum, and it is named; it never counts as 100."""
    objectives = tuple(one for one in look(shop).product.objectives if one.indicator.kind.value != "freshness")
    found = look(shop, objectives=objectives).health
    assert ("freshness",) == found.missing
    rest = [(one.weight, one.value) for one in found.components if one.name != "freshness"]
    assert weighted(rest) == found.score
    assert weighted([(3, None), (0, 50.0)]) is None


def test_weights_of_the_file_count_and_others_weigh_nothing(shop: Path) -> None:
    """`health.weights` replaces the usual weights as a whole."""
    path = shop / "assets/shop/orders/slo.yaml"
    path.write_text(f"{SLO}health:\n  weights: {{incidents: 1, lifecycle: 3}}\n", encoding="utf-8")
    found = look(shop).health
    weights = {one.name: one.weight for one in found.components if one.weight}
    assert {"incidents": 1, "lifecycle": 3} == weights
    (lifecycle,) = (one.value for one in found.components if one.name == "lifecycle")
    assert pytest.approx((100 + 3 * (lifecycle or 0)) / 4) == found.score


def test_history_keeps_what_is_new_and_once_an_hour(shop: Path) -> None:
    """A score is kept when it changes, or an hour after the last; nothing is kept twice or out of order."""
    (product,) = (one for one in load_project(shop).products if one.address == ORDERS)
    wired, start = environment(shop), now()
    with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
        attained = evaluate(product, warehouse.ledger, None, now=start, clock=CLOCK)

        def keep(minutes: int) -> None:
            with operations.writing() as con:
                record_health(con, product, attained, production=False, now=start + timedelta(minutes=minutes))

        for minutes in (0, 5, 59, 60, 61, 30):
            keep(minutes)
        moment = start + timedelta(minutes=65)
        open_incidents(shop, wrong("a", Severity.ERROR, at=moment), at=moment)
        keep(66)
        with operations.reading() as con:
            kept = health.history(con, ORDERS, since=start, until=start + timedelta(days=1))
            assert kept[-1] == health.latest(con, ORDERS)
            expected = read_health(con, product, attained, production=False, now=moment).score
    assert [0, 60, 66] == [(one.at - start) // timedelta(minutes=1) for one in kept]
    assert kept[0].score == kept[1].score > kept[2].score == expected
    parts = kept[2].detail["components"].values()
    assert pytest.approx(weighted((part["weight"], part["value"]) for part in parts)) == kept[2].score


def recorded_costs(root: Path) -> tuple[costs.RefreshCost, ...]:
    """Return what is recorded of the refreshes of the orders."""
    with Operations.open(environment(root).operations) as operations, operations.reading() as con:
        return costs.history(con, ORDERS, since=now() - timedelta(days=1), until=now())


def test_a_refresh_that_is_released_leaves_its_cost(shop: Path) -> None:
    """Seconds, seconds of processors, rows and bytes are those of its tables, and the release beside them."""
    (cost,) = recorded_costs(shop)
    wired = environment(shop)
    with Warehouse.open(wired) as warehouse:
        head = warehouse.ledger.head(ORDERS)
        assert head is not None
        versions = [v for held in warehouse.ledger.composition(head).values() for v in held]
    assert (costs.RELEASED, head.refresh_id) == (cost.outcome, cost.refresh_id)
    assert sum(version.rows for version in versions) == cost.rows
    assert sum(file.bytes for version in versions for file in version.files) == cost.bytes
    assert 0 < sum(found["wall_s"] for found in cost.detail["tables"].values()) < cost.wall_s
    assert {"orders", "customers"} == set(cost.detail["tables"])
    assert cost.cpu_s > 0


def test_a_refused_refresh_leaves_its_cost_too(shop: Path) -> None:
    """What was refused by a rule ends as refused, and what broke as failed; both count as ended for objectives."""
    data = shop / "data/orders.csv"
    lines = data.read_text(encoding="utf-8").splitlines()
    data.write_text("\n".join([*lines, lines[-1]]) + "\n", encoding="utf-8")
    with pytest.raises(DataProductError):
        build(shop, ORDERS)
    data.unlink()
    with pytest.raises((DataProductError, duckdb.Error)):
        build(shop, ORDERS)
    outcomes = [one.outcome for one in recorded_costs(shop)]
    assert costs.RELEASED == outcomes[0]
    assert {costs.REFUSED, costs.FAILED} >= set(outcomes[1:])
    assert len(outcomes) > 1
    (product,) = (one for one in load_project(shop).products if one.address == ORDERS)
    wired = environment(shop)
    with (
        Warehouse.open(wired) as warehouse,
        Operations.open(wired.operations) as operations,
        warehouse.ledger.reading() as ledger,
        operations.reading() as con,
    ):
        facts = Facts(product, ledger, con, now=now(), since=now() - timedelta(days=90))
        released = [one.is_released for one in facts.ended]
    assert [True, *[False] * (len(outcomes) - 1)] == released


def test_a_refresh_does_not_fail_for_its_cost(tmp_path: Path) -> None:
    """Where the operations database is no database at all, what a refresh did stands, and only its cost is lost."""
    root = make_shop(tmp_path)
    path = Path(environment(root).operations.removeprefix("sqlite:///"))
    build(root, ORDERS)
    path.write_text("this is no database", encoding="utf-8")
    wired = environment(root)
    with Warehouse.open(wired) as warehouse:
        refresh = warehouse.ledger.open_refresh("r-1", ORDERS, run_id="", upstream=(), now=now())
        with metered(warehouse, refresh) as spent:
            spent.outcome = costs.RELEASED
    assert "this is no database" == path.read_text(encoding="utf-8")


def test_an_attempt_that_goes_on_adds_to_the_first(tmp_path: Path) -> None:
    """A resumed refresh costs what both attempts did; what was released stays so."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    one = costs.RefreshCost("r", ORDERS, at, costs.FAILED, 1.5, 1, 10, 100, {"tables": {"orders": {"rows": 10}}})
    again = replace(one, outcome=costs.RELEASED, at=at + timedelta(hours=1), wall_s=0.5)
    with Operations.open(f"sqlite:///{tmp_path}/operations.sqlite") as operations, operations.writing() as con:
        for cost in (one, again, replace(one, at=at + timedelta(hours=2), rows=0, bytes=0)):
            costs.add(con, cost)
        found = costs.find(con, "r", ORDERS)
        assert costs.find(con, "r", "shop/other") is None
    assert found is not None
    assert (costs.RELEASED, 3.5, 20, 200) == (found.outcome, found.wall_s, found.rows, found.bytes)
    assert {"orders": {"rows": 30}} == found.detail["tables"]


def test_medians_and_growth_by_hand() -> None:
    """Medians are of 28 days and of releases alone; growth compares them with the 28 days before."""
    at = datetime(2026, 3, 1, tzinfo=UTC)
    made = [(50, 2.0), (40, 4.0), (30, 6.0), (20, 5.0), (10, 9.0), (1, 6.0)]
    found = [
        costs.RefreshCost(str(ago), ORDERS, at - timedelta(days=ago), costs.RELEASED, s, s / 2, 10, 100)
        for ago, s in made
    ]
    refused = costs.RefreshCost("x", ORDERS, at, costs.REFUSED, 99, 9, 0, 0)
    now_ = CostNow.of([*found, refused], at)
    assert (6.0, 3.0, 4, 0.5) == (now_.wall_s, now_.cpu_s, now_.refreshes, now_.growth)
    assert refused == now_.last
    assert CostNow() == CostNow.of([], at)


def test_state_is_the_worst_of_its_reasons(shop: Path) -> None:
    """Degraded by a warning, failing by an error, as good as before once both are resolved."""
    before = look(shop).state
    moment = now()
    open_incidents(shop, wrong("a", Severity.WARNING, at=moment), at=moment)
    assert State.DEGRADED == look(shop).state
    open_incidents(shop, wrong("b", Severity.ERROR, at=moment), at=moment)
    found = look(shop)
    assert (State.FAILING, (State.FAILING, "b failed")) == (found.state, found.reasons[0])
    assert (2, 0.0) == (found.incidents_within(7), found.days_since_breach)
    later = now()
    gone = [Recovery(Subject(ORDERS, FindingKind.CHECK, name, "orders"), later) for name in ("a", "b")]
    open_incidents(shop, *gone, at=later)
    assert (before, 0) == (look(shop).state, len(look(shop).open_incidents))
    assert State.UNRELEASED == look(shop, "shop/revenue").state


class _Reader(HTMLParser):
    """Reads a page strictly: every element is closed in order; keeps what could load something."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.path: list[str] = []
        self.loads: list[str] = []
        self.names: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.loads += [str(value) for name, value in attrs if name in {"src", "srcset", "data", "action", "xlink:href"}]
        self.loads += [name for name, _ in attrs if name.startswith("on")]
        self.loads += [
            str(v) for n, v in attrs if n == "href" and (tag != "a" or not re.match(r"#|[\w.-]+$|https?:", str(v)))
        ]
        if tag not in VOID:
            self.path.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.path.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if self.path[-1:] != ["style"]:
            self.text.append(data)


def read_page(page: str) -> _Reader:
    """Parse a page and assert that it stands alone: nothing runs, nothing loads, every element is closed."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert [] == reader.path
    assert [] == reader.loads
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(reader.names)
    assert "url(" not in page
    assert "@import" not in page
    return reader


def test_page_stands_alone_and_is_the_handbook(shop: Path) -> None:
    """One page holds purpose, contract, objectives, releases and cost, and needs nothing beside it."""
    found = look(shop)
    text = " ".join(read_page(product_page(found)).text)
    wanted = ("Every order of the shop", "order_id", "primary_key", "orders.latency", "ana@example.com", "#1")
    assert [] == [word for word in wanted if word not in text]
    assert "The clock is simulated" in text
    names = {ORDERS: "orders.html", "shop/revenue": "revenue.html"}
    page = product_page(found, names)
    read_page(page)
    assert 'href="revenue.html"' in page
    assert 'href="orders.html"' in index_page([found], names)
    read_page(index_page([found, look(shop, "shop/revenue")], names))


HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=y>"


def test_page_escapes_whatever_people_write(shop: Path) -> None:
    """Names, descriptions, reasons and links of people are text: nothing of them becomes an element or a link."""
    found = look(shop)
    product = found.product
    tables = tuple(
        replace(
            table,
            description=HOSTILE,
            columns=tuple(replace(c, description=HOSTILE, classification=HOSTILE) for c in table.columns),
            rules=tuple(replace(rule, name=HOSTILE, description=HOSTILE) for rule in table.rules),
        )
        for table in product.tables
    )
    entry = {
        "name": HOSTILE,
        "as": HOSTILE,
        "want": HOSTILE,
        "so_that": HOSTILE,
        "formula": HOSTILE,
        "decision": HOSTILE,
    }
    design = {
        "need": HOSTILE,
        "user_stories": [entry],
        "metrics": [entry],
        "decisions": [entry],
        "pain_points": [HOSTILE],
    }
    moment = now()
    bad = replace(
        wrong(HOSTILE, Severity.ERROR, at=moment), detail={"message": HOSTILE, "runbook": "javascript:alert(1)"}
    )
    open_incidents(shop, bad, at=moment)
    hostile = replace(
        look(shop),
        product=replace(
            product,
            name=HOSTILE,
            purpose=HOSTILE,
            description={"purpose": HOSTILE, "usage": HOSTILE},
            team=HOSTILE,
            tags=(HOSTILE,),
            members=tuple(replace(m, username=HOSTILE, name=HOSTILE) for m in product.members),
            consumers=({"persona": HOSTILE, "needs": HOSTILE},),
            audience=(HOSTILE,),
            design=design,
            tables=tables,
            outputs=tuple(replace(port, description=HOSTILE) for port in product.outputs),
        ),
    )
    page = product_page(hostile)
    read_page(page)
    assert "<script" not in page
    assert "javascript:" not in page
    assert page.count("&lt;script&gt;") > 20


def test_no_value_of_a_classified_column_is_told(shop: Path) -> None:
    """What customers are called is neither on the page nor in the JSON, whatever becomes of it."""
    found = look(shop)
    told = product_page(found) + json.dumps(as_json(found))
    values = duckdb.execute("SELECT email FROM read_csv(?)", [str(shop / "data/customers.csv")]).fetchall()
    emails = [value for (value,) in values if value]
    assert emails
    assert [] == [email for email in emails if email in told]


def run(root: Path, *words: str) -> int:
    """Run a command on the project at `root` and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["-C", str(root), *words])
    return int(ended.value.code or 0)


def test_terminal_fits_80_columns(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The overview has a line for each product, the detail says what the score is made of."""
    assert 0 == run(shop, "status")
    clock, *lines = capsys.readouterr().out.splitlines()
    assert clock.startswith("The clock is simulated")
    assert ["product", "score", "state", "age", "open", "budget", "release", "owner"] == lines[0].split()
    assert [ORDERS, "shop/revenue"] == [line.split()[0] for line in lines[1:3]]
    assert ["-", "bo"] == lines[2].split()[-2:]
    assert max(map(len, lines)) <= 80
    assert 0 == run(shop, "status", ORDERS)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert set(WEIGHTS) <= set(out.split())
    assert "The clock is simulated" in out


def test_json_is_as_documented(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is printed as JSON is in the schema, for a product that was released and one that never was."""
    assert 0 == run(shop, "status", "--json")
    told = json.loads(capsys.readouterr().out)
    assert [] == [error.message for error in Draft202012Validator(SCHEMA).iter_errors(told)]
    assert [ORDERS, "shop/revenue"] == [one["product"] for one in told]
    assert set(SCHEMA["items"]["properties"]) == set(told[0])
    assert ("unreleased", None) == (told[1]["state"], told[1]["cost"]["last"])


def test_pages_are_written_where_they_were_asked_for(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One product into a file, several into a folder with an index; several into one file are refused."""
    assert 0 == run(shop, "status", ORDERS, "--html", str(tmp_path / "one.html"))
    assert 0 == run(shop, "status", "--html", str(tmp_path / "pages"))
    written = sorted(path.name for path in (tmp_path / "pages").iterdir())
    assert ["index.html", "shop.orders.html", "shop.revenue.html"] == written
    for path in (tmp_path / "one.html", *(tmp_path / "pages").iterdir()):
        read_page(path.read_text(encoding="utf-8"))
    assert 2 == run(shop, "status", "--html", str(tmp_path / "two.html"))
    assert "2 products need a folder" in capsys.readouterr().err
    assert not (tmp_path / "two.html").exists()


def test_status_changes_nothing(shop: Path) -> None:
    """Looking records nothing: a product that was never watched has no history of scores."""
    before = recorded_costs(shop)
    assert 0 == run(shop, "status")
    assert (before, ()) == (recorded_costs(shop), look(shop).scores)
    assert open_project(shop).environment.store.is_dir()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (percent(0.9996), "99.9 %"),
        (percent(-1.5), "-150 %"),
        (percent(None), "-"),
        (score_text(99.99), "99.9"),
        (score_text(100), "100"),
        (span_text(timedelta(days=3, hours=4, minutes=5)), "3 d 4 h"),
        (span_text(0.0512), "0.0512 s"),
        (span_text(75), "1 min 15 s"),
        (span_text(timedelta(hours=-5)), "-5 h"),
        (span_text(90061, units=1), "1 d"),
        (bytes_text(999), "999 B"),
        (bytes_text(1_234_567), "1.2 MB"),
    ],
)
def test_figures_as_people_read_them(said: str, expected: str) -> None:
    """Shares are never rounded up, spans show their two greatest units, bytes the unit that fits."""
    assert expected == said


def test_a_past_day_is_told_as_it_was(shop: Path) -> None:
    """Before anything was recorded there is no release, no cost and no attainment to show."""
    wired = environment(shop)
    known = {product.address: product for product in load_project(shop).products}
    before = datetime.combine(date(2020, 1, 1), datetime.min.time(), UTC)
    with (
        Warehouse.open(wired) as warehouse,
        Operations.open(wired.operations) as operations,
        operations.reading() as con,
    ):
        found = read_status(warehouse, con, known[ORDERS], known=known, now=before)
    assert ((), (), State.UNRELEASED) == (found.releases, found.costs, found.state)


def test_a_look_of_the_watch_keeps_the_score(shop: Path) -> None:
    """Whoever watches leaves a score with what is open by then; a second look at the same moment leaves none."""
    wired = environment(shop)
    products = {product.address: product for product in load_project(shop).products}
    with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
        moment = now()
        for _ in range(2):
            watch(warehouse, operations, products, directory=Directory(), now=moment)
        with operations.reading() as con:
            kept = {address: health.history(con, address, since=moment, until=moment) for address in products}
            attained = evaluate(products[ORDERS], warehouse.ledger, con, now=moment, clock=warehouse.frozen_clock)
            found = read_health(con, products[ORDERS], attained, production=False, now=moment)
    assert {ORDERS: 1, "shop/revenue": 1} == {address: len(scores) for address, scores in kept.items()}
    assert found.score == kept[ORDERS][0].score


def test_release_carries_figures_that_dagster_plots(shop: Path) -> None:
    """Names stay the same, figures are numbers, and those of the release are its own."""
    wired = environment(shop)
    (product,) = (one for one in load_project(shop).products if one.address == ORDERS)
    with Warehouse.open(wired) as warehouse:
        head = warehouse.ledger.head(ORDERS)
        assert head is not None
        found = plotted(warehouse, product, head)
        rows = sum(v.rows for held in warehouse.ledger.composition(head).values() for v in held)
    named = {
        f"{what}/{name}" for what in ("attainment", "budget_left") for name in ("orders.latency", "refresh_success")
    }
    plain = {"health_score", "data_age_h", "refresh_seconds", "refresh_cpu_seconds", "rows", "bytes"}
    assert plain | named == set(found)
    assert all(isinstance(figure, (int, float)) for figure in found.values())
    assert (rows, 30.0) == (found["rows"], found["data_age_h"])
    assert ["orders.latency", "refresh_success"] == [one.name for one in main_objectives(product.objectives)]


def test_what_readers_must_know_stands_on_top(shop: Path) -> None:
    """A deprecation, a simulated clock and what is wrong come before everything else on a page."""
    standing = Standing(
        ORDERS, Status.DEPRECATED, reason="it is merged", successor="shop/sales", sunset=date(2026, 6, 30)
    )
    found = replace(look(shop), standing=standing)
    page = product_page(found)
    assert (
        0
        < page.index("The clock is simulated")
        < page.index("shop/orders is deprecated: it is merged")
        < page.index("<nav>")
    )
    assert "Read shop/sales instead" in page
    retired = replace(found, standing=replace(standing, status=Status.RETIRED, recorded=Status.RETIRED))
    assert (
        State.RETIRED,
        ((State.RETIRED, standing.product + " is retired: it is merged. Read shop/sales instead"),),
    ) == (
        retired.state,
        retired.reasons,
    )
    assert [] == list(Draft202012Validator(SCHEMA).iter_errors([as_json(retired)]))


def test_a_spent_budget_is_no_breach_of_today(shop: Path) -> None:
    """Data is as promised while a budget is still spent: degraded, not failing, and days since the breach go on."""
    moment = now()
    spent = Finding(
        Subject(ORDERS, FindingKind.BUDGET, "orders.latency"), "spent", Severity.ERROR, moment, moment, {"message": "x"}
    )
    before = look(shop)
    open_incidents(shop, spent, at=moment)
    after = look(shop)
    assert (State.DEGRADED, before.days_since_breach) == (after.state, after.days_since_breach)


def test_charts_draw_nothing_from_nothing() -> None:
    """One point is no line, no bar is no chart, one tower is cut off and says how high it is."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    assert times_svg({"a": [(at, 1.0)]}, say=str, label="a") == ""
    assert times_svg({"a": [(at, None), (at + timedelta(days=1), None)]}, say=str, label="a") == ""
    assert bars_svg([], say=str, label="a", names={}) == ""
    flat = times_svg({"a": [(at + timedelta(days=n), 0.0) for n in range(3)]}, say=str, label="<a>")
    assert "nan" not in flat
    assert "&lt;a&gt;" in flat
    broken = times_svg({"a": [(at + timedelta(days=n), None if n == 1 else n) for n in range(4)]}, say=str, label="a")
    assert 2 == broken.count("M")
    bars = [(at + timedelta(days=n), 500.0 if n == 2 else 1.0, "calm") for n in range(9)]
    assert "500.0</text>" in bars_svg(bars, say=str, label="a", names={})


def test_seconds_of_a_replay_count_for_no_objective(shop: Path) -> None:
    """What a replayed refresh cost is kept and marked; how long it took on its own day stays unknown."""
    moment = datetime(2030, 1, 12, 6, tzinfo=UTC)
    wired = replace(environment(shop), clock=moment, replay=True)
    (product,) = (one for one in load_project(shop, as_of=date(2024, 1, 11)).products if one.address == ORDERS)
    with Warehouse.open(wired) as warehouse, Operations.open(wired.operations) as operations:
        outcome = refresh_product(warehouse, product)
        with operations.reading() as con, warehouse.ledger.reading() as ledger:
            cost = costs.find(con, outcome.release.refresh_id, ORDERS)
            ended = Facts(product, ledger, con, now=moment, since=moment - timedelta(days=90)).ended
    assert cost is not None
    assert (True, moment) == (cost.detail[costs.REPLAYED], cost.at)
    assert cost.wall_s > 0
    assert [None] == [one.seconds for one in ended if one.refresh_id == outcome.release.refresh_id]


def test_dagster_keeps_the_figures_with_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A build through Dagster leaves numbers at the release asset, which its user interface plots, and its cost."""
    root = make_shop(tmp_path)
    (root / "assets/shop/orders/slo.yaml").write_text(SLO, encoding="utf-8")
    (root / "resources").mkdir()
    (root / "resources/__init__.py").write_text(RESOURCES, encoding="utf-8")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    assert 0 == run(root, "build", ORDERS)
    capsys.readouterr()
    with dg.DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["shop", "orders", "release"]))
    assert event is not None
    assert event.asset_materialization is not None
    figures = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    for name in ("health_score", "attainment/orders.latency", "budget_left/refresh_success", "refresh_seconds", "rows"):
        assert isinstance(figures[name], (int, float)), name
    (cost,) = recorded_costs(root)
    assert (cost.wall_s, cost.outcome, cost.rows) == (figures["refresh_seconds"], costs.RELEASED, figures["rows"])


def test_names_are_whole_in_the_overview(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name of an owner is never cut, however narrow the terminal."""
    file = shop / "assets/shop/orders/product.yaml"
    text = file.read_text(encoding="utf-8")
    assert "ana@example.com" in text
    file.write_text(text.replace("ana@example.com", "hana.sato-of-the-tills@example.com"), encoding="utf-8")
    assert 0 == run(shop, "status")
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith(ORDERS))
    assert "hana.sato-of-the-tills" == row.split()[-1]
    assert len(row.rstrip()) <= 80


def test_an_overspent_budget_is_not_drawn_as_a_whole_one() -> None:
    """What is left lies right of the middle and what is overspent left of it; the length is the share."""
    drawn = [re.findall(r'<rect class="good" x="([\d.]+)" width="([\d.]+)"', budget_svg(share, "b", "good"))
             for share in (1.0, 0.5, 0.0, -0.5, -9.0)]  # fmt: skip
    assert [("50.0", "50.0"), ("50.0", "25.0"), ("50.0", "0.0"), ("25.0", "25.0"), ("0.0", "50.0")] == [
        one for found in drawn for one in found
    ]


def test_labels_of_a_scale_lie_within_the_drawing() -> None:
    """A label that ends at the scale begins within the drawing, also one with many digits."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    bars = [(first + timedelta(days=day), 0.0797 + day, "calm") for day in range(3)]
    svg = bars_svg(bars, say=lambda v: f"{v:.3g} s", label="s", names={}) + bars_svg(
        bars[:1], say=lambda v: f"{v:.3g} s", label="s", names={}
    )
    ends = re.findall(r'<text x="([\d.]+)"[^>]*text-anchor="end"[^>]*>([^<]*)<', svg)
    assert "0.0797 s" in {text for _, text in ends}
    assert [] == [text for x, text in ends if float(x) < len(text) * 5.8]


def test_medians_tell_of_how_many(shop: Path) -> None:
    """The median is over released refreshes alone, and its row says of how many."""
    found = look(shop)
    refused = replace(found.costs[0], outcome="refused")
    page = product_page(replace(found, costs=(refused, refused, *found.costs)))
    assert "median of 1 released of 3 in 28 d" in " ".join(read_page(page).text)


def test_pages_fit_where_they_are_read(shop: Path) -> None:
    """An owner without a name may break after @ and dots; the table of the health scrolls within its card."""
    found = look(shop)
    owner = replace(found.product.members[0], username="clara.jensen@grocer.example", name="")
    product = replace(found.product, members=(owner, *found.product.members[1:]))
    page = index_page([replace(found, product=product)], {ORDERS: "o.html"})
    assert "clara.<wbr>jensen@<wbr>grocer.<wbr>example" in page
    assert page.count("minmax(0, 1fr)") >= 2
