"""The five checks of the tutorial (complete, typed, fresh, unique, valid) on rows with one defect each."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from dataproducts.load import load_product
from dataproducts.rules.quarantine import split
from dataproducts.sources.files import open_source
from dataproducts.sql import literal, quote
from dataproducts.transforms.stage import stage
from tests.judged import judge

ROOT = Path(__file__).resolve().parents[1]
TUTORIAL = ROOT / "../shared/data/marketing/marketing_data.csv"
ROWS = 20
NEWEST = datetime(2017, 12, 31, 12, tzinfo=UTC)
NOW = NEWEST + timedelta(hours=20)

TABLES = {
    "customer_info": ("marketing/crm", "customer_id"),
    "purchase": ("marketing/crm", "customer_id"),
    "customers": ("retail/customers", "household_id"),
    "purchase_lines": ("retail/purchases", "basket_id"),
}
CHECKS = {
    "customer_info": ("schema", "customer_id.required", "customer_id.unique", "primary_key"),
    "purchase": ("schema", "customer_id.required", "purchase_date.freshness", "mntwines_invalid_count"),
    "customers": ("schema", "household_id.required", "household_id.unique", "age_band.enum"),
    "purchase_lines": ("schema", "household_id.required", "primary_key", "purchased_at.freshness", "sales_value.range"),
}
# What is done to one row of good rows (or to the type of a column), and the checks that must tell.
DEFECTS = [
    ("customer_info", {"customer_id": "CASE WHEN rowid > 0 THEN customer_id END"}, {"customer_id.required"}),
    (
        "customer_info",
        {"customer_id": "CASE WHEN rowid = 1 THEN 1 ELSE customer_id END"},
        {"customer_id.unique", "primary_key"},
    ),
    ("customer_info", {"birth_year": "CAST(birth_year AS VARCHAR)"}, {"schema"}),
    ("purchase", {"customer_id": "CASE WHEN rowid > 0 THEN customer_id END"}, {"customer_id.required"}),
    ("purchase", {"purchase_date": "purchase_date - 30"}, {"purchase_date.freshness"}),
    ("purchase", {"mntwines": "CASE WHEN rowid = 0 THEN -1 ELSE mntwines END"}, {"mntwines_invalid_count"}),
    ("purchase", {"recency": "CAST(recency AS DOUBLE)"}, {"schema"}),
    ("customers", {"household_id": "CASE WHEN rowid > 0 THEN household_id END"}, {"household_id.required"}),
    ("customers", {"household_id": "CASE WHEN rowid = 1 THEN 1 ELSE household_id END"}, {"household_id.unique"}),
    ("customers", {"household_id": "CAST(household_id AS VARCHAR)"}, {"schema"}),
    ("customers", {"age_band": "CASE WHEN rowid = 0 THEN '17' ELSE age_band END"}, {"age_band.enum"}),
    ("purchase_lines", {"household_id": "CASE WHEN rowid > 0 THEN household_id END"}, {"household_id.required"}),
    (
        "purchase_lines",
        {"basket_id": "CASE WHEN rowid = 1 THEN 1 ELSE basket_id END"},
        {"primary_key"},
    ),
    ("purchase_lines", {"sales_value": "CAST(sales_value AS DOUBLE)"}, {"schema"}),
    ("purchase_lines", {"purchased_at": "purchased_at - INTERVAL 1 DAY"}, {"purchased_at.freshness"}),
    (
        "purchase_lines",
        {"sales_value": "CAST(CASE WHEN rowid = 0 THEN -0.01 ELSE sales_value END AS DECIMAL(12, 2))"},
        {"sales_value.range"},
    ),
]


def table_of(name):
    """Return the declared table `name`."""
    address, _ = TABLES[name]
    return load_product(ROOT / "assets" / address, root=ROOT).table(name)


def good_rows(con, table, key):
    """Make a table of rows that meet the contract: its own examples, a key of its own a row, and fresh times."""
    listed = []
    for column in table.columns:
        if column.name == key:
            value = "n"
        elif column.sql_type.startswith(("DATE", "TIMESTAMP")):
            value = literal(NEWEST.strftime("%Y-%m-%d %H:%M:%S"))
        else:
            value = literal(column.examples[0])
        listed.append(f"CAST({value} AS {column.sql_type}) AS {quote(column.name)}")
    con.execute(f"CREATE TABLE good AS SELECT {', '.join(listed)} FROM range(1, {ROWS + 1}) AS numbers(n)")


def failing(con, table, relation, names, now=NOW):
    """Return the names of the rules, of `names`, that fail on `relation`."""
    rules = [rule for rule in table.rules if rule.name in names]
    assert {rule.name for rule in rules} == set(names)
    results = judge(con, table, relation, lookup=lambda ref: quote(ref.table), now=now, rules=rules)
    assert {result.rule.name for result in results} == set(names)
    return {result.rule.name for result in results if not result.passed}


@pytest.mark.parametrize("name", TABLES)
def test_good_rows_pass(name):
    """Rows without a defect pass the five checks."""
    table = table_of(name)
    with duckdb.connect() as con:
        good_rows(con, table, TABLES[name][1])
        assert failing(con, table, "good", CHECKS[name]) == set()


@pytest.mark.parametrize(("name", "defect", "told"), DEFECTS)
def test_one_defect_fails_its_check_and_no_other(name, defect, told):
    """Rows with one defect fail the check that speaks of it, and none of the others."""
    table = table_of(name)
    with duckdb.connect() as con:
        good_rows(con, table, TABLES[name][1])
        changed = ", ".join(f"{expression} AS {quote(column)}" for column, expression in defect.items())
        con.execute(f"CREATE TABLE bad AS SELECT * REPLACE ({changed}) FROM good")
        assert failing(con, table, "bad", CHECKS[name]) == told


def test_customer_zero_is_set_aside():
    """A row with customer 0 goes to quarantine with the rule's name, and the other rows stay."""
    table = table_of("customer_info")
    with duckdb.connect() as con:
        good_rows(con, table, "customer_id")
        con.execute("UPDATE good SET customer_id = 0 WHERE customer_id = 1")
        parts = split(con, table, "good", lookup=lambda ref: quote(ref.table))
        assert parts.counts["real_customer"] == 1
        assert len(con.execute(parts.kept_sql).fetchall()) == ROWS - 1


@pytest.mark.parametrize("blank", ["", "  "])
def test_blank_identifier_of_a_file_is_missing(tmp_path, blank):
    """A blank customer in the file is no text that passes for an identifier: the completeness check tells."""
    table = table_of("customer_info")
    export = tmp_path / "crm.csv"
    lines = [[blank if number == 0 else number, 1970, "PhD", "Single", "$1,730.00 ", 0, 1, "6/16/2014", "SP"]
             for number in range(ROWS)]  # fmt: skip
    header = ["id", "YearBirth", "Education", "MaritalStatus", "Income", "Kidhome", "Teenhome", "DtCustomer", "Country"]
    with export.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([[*header, "Recency"], *([*line, 3] for line in lines)])
    with duckdb.connect() as con:
        source = open_source(con, table.servers[0], root=ROOT, overrides={"path": str(export)})
        made = stage(con, table, {"crm": source.relation}, staged="made", materialise=True)
        assert failing(con, table, made, CHECKS["customer_info"]) == {"customer_id.required"}


@pytest.mark.skipif(not TUTORIAL.is_file(), reason="the tutorial's file is not beside the project: ../shared/data")
def test_the_tutorials_own_tables_pass_their_checks():
    """On the tutorial's file, with customer 0 set aside, all five checks hold on the day of the export."""
    kept = {}
    with duckdb.connect() as con:
        for name in ("customer_info", "purchase"):
            table = table_of(name)
            source = open_source(con, table.servers[0], root=ROOT)
            stage(con, table, {"crm": source.relation}, staged=name, materialise=True)
            parts = split(con, table, quote(name), lookup=lambda ref: quote(ref.table))
            con.execute(f"CREATE TABLE {quote(f'kept_{name}')} AS {parts.kept_sql}")
            kept[name] = con.execute(f"SELECT count(*) FROM kept_{name}").fetchall()[0][0], parts.quarantined
            on_the_day = datetime(2014, 10, 5, tzinfo=UTC)
            assert failing(con, table, f"kept_{name}", CHECKS[name], on_the_day) == set()
        assert kept == {"customer_info": (2_239, 1), "purchase": (2_239, 1)}
        years_later = failing(con, table_of("purchase"), "kept_purchase", CHECKS["purchase"], NOW)
        assert years_later == {"purchase_date.freshness"}
