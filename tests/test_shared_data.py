"""Real data sets that others made: contracts find what is known of them, and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from dataproducts.check import check_file
from dataproducts.load import load_contract
from dataproducts.read import read_rows
from tests.pages import ROOT, blocks

DATA = ROOT.parent / "shared" / "data"
CONTRACTS = Path(__file__).parent / "contracts"
NOW = datetime(2018, 4, 10, tzinfo=UTC)
PAGE = ROOT / "docs" / "data-sets.md"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data is not beside this project")


def found(path, contract, **options):
    """Judge a file; what each rule counted (rows, or the number that was compared) by rule, and which rules failed."""
    verdict = check_file(path, contract, now=NOW, **options)
    counts = {r.rule.name: r.observed if r.failed_rows is None else r.failed_rows for r in verdict.results}
    assert [r.error for r in verdict.results if r.error] == []
    return counts, {r.rule.name for r in verdict.results if not r.passed}, verdict


def documented(heading):
    """The counts in the last column that is a number, by the rule named in a row, of one section of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}")[1].split("\n## ")[0]
    rows = re.findall(r"\| `([\w.]+)` \| ([\d,]+) \|$", section, re.MULTILINE)
    return {rule: int(count.replace(",", "")) for rule, count in rows}


def test_the_clean_example_raises_no_alarm(tmp_path):
    """jaffle_shop keeps all rules of its contract, at least 25 of them, of every kind that reads other tables too."""
    contract = tmp_path / "jaffle.odcs.yaml"
    contract.write_text(next(b.text for b in blocks(PAGE) if b.file == contract.name), encoding="utf-8")
    files = {name: DATA / f"jaffle_shop/raw_{name}.csv" for name in ("customers", "orders", "payments")}
    rules, alarms = 0, []
    for name, path in files.items():
        others = {other: file for other, file in files.items() if other != name}
        counts, failed, verdict = found(path, contract, table=name, others=others)
        rules += len(counts)
        alarms += [*failed, *(r.rule.name for r in verdict.results if r.total_rows != verdict.rows)]
    assert (rules, alarms) == (39, [])


def test_each_rule_of_the_clean_example_can_fail(tmp_path):
    """The contract is no rubber stamp: a row that breaks everything is found by every rule that reads rows."""
    contract = tmp_path / "jaffle.odcs.yaml"
    contract.write_text(next(b.text for b in blocks(PAGE) if b.file == contract.name), encoding="utf-8")
    payments = tmp_path / "payments.csv"
    text = (DATA / "jaffle_shop/raw_payments.csv").read_text(encoding="utf-8").replace("\r\n", "\n")
    extra = "1,1,credit_card,1000\n-1,,cash,-150\n,999,,\n0.5,1,coupon,9900\n"
    payments.write_text(text + extra + "200,2,coupon,0\n" * 20, encoding="utf-8")
    _, failed, verdict = found(
        payments, contract, table="payments", others={"orders": DATA / "jaffle_shop/raw_orders.csv"}
    )
    assert {r.rule.name for r in verdict.results} - failed == {"not_empty"}


def test_a_contract_of_the_clean_twin_finds_every_dirty_column():
    """Each dirty column of beers is found, with the counts of the list of errors; no clean column is accused."""
    contract = CONTRACTS / "beers.odcs.yaml"
    assert found(DATA / "beers/clean.csv", contract)[1] == set()
    counts, failed, verdict = found(DATA / "beers/dirty.csv", contract)
    assert failed == {"schema", "ounces.required", "city.pattern", "state.required", "one_city_per_brewery"}
    message = next(r.message for r in verdict.results if r.rule.name == "schema")
    seen = {name: int(count) for count, name in re.findall(r"(\d+) values of (\w+) are no", message)}
    seen |= {"city": counts["city.pattern"], "state": counts["state.required"]}
    with duckdb.connect() as con:
        query = f"SELECT \"column\", count(*) FROM '{DATA / 'beers/errors.parquet'}' GROUP BY ALL"
        errors = dict(con.execute(query).fetchall())
    assert seen == errors == {"ounces": 2410, "ibu": 1005, "abv": 693, "city": 127, "state": 127}
    assert counts["one_city_per_brewery"] == 103


MARKETING = (
    "marketing_campaign.csv",
    "variants/comma_quoted_usdate.csv",
    "variants/semicolon_bom_crlf_isodate.csv",
    "variants/tab_trailing_spaces.csv",
)


@pytest.mark.parametrize("name", MARKETING)
def test_every_dialect_has_the_same_facts(name):
    """What is known of the customers comes out as counts of rules, whatever the file looks like."""
    counts, failed, _ = found(DATA / "marketing" / name, CONTRACTS / "marketing.odcs.yaml")
    facts = documented("marketing")
    assert facts == {
        "income_is_known": 24,
        "no_customer_zero": 1,
        "Year_Birth.range": 3,
        "Income.range": 1,
        "nobody_yolo": 2,
        "nobody_absurd": 2,
        "nobody_alone": 3,
        "spends_without_a_purchase": 6,
        "same_person_twice": 182,
    }
    assert {rule: counts[rule] for rule in facts} == facts
    assert failed == {*facts, "a_real_status"}


def test_dialects_read_to_equal_values():
    """EXCEPT ALL both ways leaves no row, and no value was lost on the way."""
    (table,) = load_contract(CONTRACTS / "marketing.odcs.yaml")
    with duckdb.connect() as con:
        first, *others = [read_rows(con, DATA / "marketing" / name, table) for name in MARKETING]
        assert con.execute(f"SELECT count(*), count(Dt_Customer) FROM {first.relation}").fetchall() == [(2240, 2240)]
        for other in others:
            assert (other.misfits, other.missing, other.ignored) == ({}, {}, ())
            for left, right in ((first, other), (other, first)):
                rows = con.execute(f"FROM {left.relation} EXCEPT ALL FROM {right.relation}").fetchall()
                assert rows == []


def test_documented_defects_are_found():
    """The defects of online_retail come out as counts of rules; what is not listed holds."""
    path = DATA / "online_retail/online_retail_dev.parquet"
    counts, failed, verdict = found(path, CONTRACTS / "online_retail.odcs.yaml")
    facts = documented("online_retail")
    assert {rule: counts[rule] for rule in facts} == facts
    assert (failed, verdict.rows, len(facts)) == (set(facts), 320705, 11)
    with duckdb.connect() as con:  # the same, asked of the rows one by one
        (asked,) = con.execute(
            "SELECT count(*) FILTER (CustomerID IS NULL), count(*) FILTER (Description IS NULL), "
            "count(*) FILTER (InvoiceNo LIKE 'C%'), count(*) FILTER (Quantity < 0), count(*) FILTER (UnitPrice = 0), "
            f"count(*) FILTER (UnitPrice < 0) FROM '{path}'"
        ).fetchall()
    names = ("CustomerID.required", "Description.required", "cancellations", "Quantity.range", "zero_prices")
    assert tuple(counts[name] for name in (*names, "UnitPrice.range")) == asked
