"""What each kind of rule means, executed beside the plain query that a person would write."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.product import Operator, Partitioning, Rule, RuleKind, Threshold
from dataproducts.rules.predicates import JUDGED, bucket, failing_row, family, holds, in_unit, judged
from dataproducts.rules.wording import describe, duration
from tests import scenario

GOLDEN = yaml.safe_load((Path(__file__).parent / "golden" / "rules.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def con():
    """A connection with the awkward data set."""
    with duckdb.connect() as con:
        scenario.create(con)
        yield con


def rule(kind, columns=("amount",), **params):
    """Build a rule in one line."""
    return Rule("r", RuleKind(kind), tuple(columns), params)


@pytest.mark.parametrize("pair", GOLDEN, ids=lambda pair: f"{pair['rule']['kind']}: {pair['naive']}")
def test_a_rule_rejects_what_the_naive_query_counts(con, pair):
    """The predicate of every row kind is TRUE for exactly the rows that the hand-written one picks."""
    given = pair["rule"]
    predicate = failing_row(rule(given["kind"], given["columns"], **given.get("params", {})), scenario.orders())
    expected = con.execute(f"SELECT rowid FROM orders WHERE {pair['naive']} ORDER BY ALL").fetchall()
    actual = con.execute(
        f'SELECT rowid FROM (SELECT rowid, * FROM orders) AS "{JUDGED}" WHERE {predicate} ORDER BY ALL'
    ).fetchall()
    assert expected == actual


@pytest.mark.parametrize("kind", sorted({pair["rule"]["kind"] for pair in GOLDEN}))
def test_a_rejected_row_can_be_told_in_words(kind):
    """Each kind of rule names its columns in plain words."""
    given = next(pair["rule"] for pair in GOLDEN if pair["rule"]["kind"] == kind)
    said = describe(rule(kind, given["columns"], **given.get("params", {})))
    assert said.startswith(", ".join(given["columns"]) + " ")


def test_words_name_the_bounds():
    """A range tells both of its ends."""
    assert describe(rule("range", minimum=0, maximum=10)) == "amount below 0 or above 10"


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("range", {}),
        ("range", {"minimum": "much"}),
        ("length", {}),
        ("pattern", {}),
        ("enum", {}),
        ("multiple_of", {"multipleOf": 0}),
        ("multiple_of", {"multipleOf": "x"}),
        ("missing_values", {}),
        ("invalid_values", {}),
        ("row_count", {}),
        ("partition_bounds", {}),
    ],
)
def test_parameters_without_sense_are_refused(kind, params):
    """A rule that says nothing is an error, never a rule that always holds."""
    with pytest.raises(UsageError):
        failing_row(rule(kind, **params), scenario.orders())


@pytest.mark.parametrize("path", ["amuont", "address.town", "tags.x", "amount.x"])
def test_an_unknown_column_is_named(path):
    """A misspelt column, nested or not, is refused."""
    with pytest.raises(UnknownNameError):
        failing_row(rule("required", [path]), scenario.orders())


def test_a_rule_without_columns_is_refused():
    """Nothing is judged on no column."""
    with pytest.raises(UsageError):
        failing_row(rule("required", []), scenario.orders())


@pytest.mark.parametrize(("unit", "expected"), [("day", 5), ("week", 4)])
def test_a_row_belongs_to_the_bucket_of_its_partition(con, unit, expected):
    """Rows of other days or weeks, and rows without a date, are outside; weeks start on Monday."""
    table = scenario.orders(partitioning=Partitioning("ordered_on", unit, date(2024, 1, 1)))
    predicate = failing_row(rule("partition_bounds"), table, partition="DATE '2024-01-01'")
    found = con.execute(f"SELECT count(*) FROM {judged('orders')} WHERE {predicate}").fetchone()
    naive = "ordered_on = DATE '2024-01-01'" if unit == "day" else "ordered_on BETWEEN '2024-01-01' AND '2024-01-07'"
    assert found == con.execute(f"SELECT count(*) FILTER (WHERE ({naive}) IS NOT TRUE) FROM orders").fetchone()
    assert found == (expected,)


def test_without_a_partition_rows_are_held_against_the_first_and_last(con):
    """A lone file is judged by where the table's partitions begin and end."""
    table = scenario.orders(partitioning=Partitioning("ordered_on", "day", date(2024, 1, 1), date(2024, 2, 1)))
    predicate = failing_row(rule("partition_bounds"), table)
    found = con.execute(f"SELECT count(*) FROM {judged('orders')} WHERE {predicate}").fetchone()
    assert found == (3,)  # NULL, 2023-12-31, 2024-02-29


def test_times_with_a_zone_are_dealt_out_in_utc(con):
    """The session's time zone does not move a row to another day."""
    day = bucket(Partitioning("x", "day", date(2024, 1, 1)), "TIMESTAMPTZ '2024-01-02 01:00:00+02'", "TIMESTAMPTZ")
    assert con.execute(f"SELECT {day}").fetchone() == (date(2024, 1, 1),)


@pytest.mark.parametrize(
    ("operator", "values", "true_for", "false_for"),
    [
        ("mustBe", (1,), [1], [0, 2]),
        ("mustNotBe", (1,), [0, 2], [1]),
        ("mustBeGreaterThan", (1,), [2], [1, 0]),
        ("mustBeGreaterOrEqualTo", (1,), [1, 2], [0]),
        ("mustBeLessThan", (1,), [0], [1, 2]),
        ("mustBeLessOrEqualTo", (1,), [0, 1], [2]),
        ("mustBeBetween", (1, 3), [1, 2, 3], [0, 4]),
        ("mustNotBeBetween", (1, 3), [0, 4], [1, 2, 3]),
    ],
)
def test_each_operator_means_what_it_says(operator, values, true_for, false_for):
    """All eight operators, at, below and above their values; NaN satisfies none of them."""
    threshold = Threshold(Operator(operator), values)
    assert [holds(threshold, number) for number in true_for] == [True] * len(true_for)
    assert [holds(threshold, number) for number in [*false_for, math.nan]] == [False] * (len(false_for) + 1)


def test_a_threshold_with_the_wrong_number_of_values_is_refused():
    """`mustBeBetween: [1]` is no threshold."""
    with pytest.raises(UsageError):
        holds(Threshold(Operator.MUST_BE_BETWEEN, (1,)), 1)


def test_percent_counts_against_the_rows_judged():
    """Percent of no rows is 0."""
    percent = Threshold(unit="percent")
    assert [in_unit(percent, 1, 8), in_unit(percent, 0, 0), in_unit(Threshold(), 3, 8)] == [12.5, 0.0, 3]


@pytest.mark.parametrize(
    ("sql_type", "expected"),
    [
        ("varchar(10)", "text"),
        ("DECIMAL(10,2)", "exact"),
        ("double", "float"),
        ("TIMESTAMP WITH TIME ZONE", "temporal"),
        ("INTEGER[]", "other"),
        ("STRUCT(a INTEGER)", "other"),
        ("", "other"),
    ],
)
def test_types_fall_into_families(sql_type, expected):
    """Types that compare alike are told by their first word."""
    assert family(sql_type).value == expected


def test_durations_are_told_in_their_largest_unit():
    """Ages are read by people."""
    assert [duration(s) for s in (5, 90, 7200, 129600)] == ["5 seconds", "1.5 minutes", "2 hours", "1.5 days"]
