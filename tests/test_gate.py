"""The gate judges every rule, fails closed, and splits rows so that what is kept satisfies the rules."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dataproducts.errors import UnknownNameError
from dataproducts.product import Column, OnFailure, Operator, Partitioning, Rule, RuleKind, Table, TableRef, Threshold
from dataproducts.rules.quarantine import split
from dataproducts.rules.reads import rule_reads
from tests import scenario
from tests.judged import judge
from tests.scenario import CUSTOMERS, ORDER_COUNT, foreign_key, orders

NOW = datetime(2024, 3, 1, tzinfo=UTC)
QUARANTINE = OnFailure.QUARANTINE


@pytest.fixture
def con():
    """A connection with the awkward data set."""
    with duckdb.connect() as con:
        scenario.create(con)
        yield con


def lookup(ref):
    """Give the one other table that there is."""
    if ref == CUSTOMERS:
        return "customers"
    raise UnknownNameError("table", str(ref), ["customers"])


def rule(name, kind, columns=("amount",), *, threshold=None, params=None, **changes):
    """Build a rule in one line."""
    return Rule(name, RuleKind(kind), tuple(columns), params or {}, threshold or Threshold(), **changes)


def verdicts(con, *rules, relation="orders", **options):
    """Judge the rules on the orders; results by rule name."""
    results = judge(con, orders(*rules), relation, lookup=lookup, now=NOW, **options)
    return {result.rule.name: result for result in results}


def judged_one(con, one, **options):
    """Judge one rule on the orders."""
    return verdicts(con, one, **options)[one.name]


EVERY_KIND = (
    rule("schema", "schema", []),
    rule("required", "required", ["id"]),
    rule("range", "range", params={"minimum": 0}),
    rule("length", "length", ["status"], params={"maxLength": 4}),
    rule("pattern", "pattern", ["status"], params={"pattern": "^open$"}),
    rule("enum", "enum", ["status"], params={"values": ["open"]}),
    rule("multiple", "multiple_of", ["price"], params={"multipleOf": 0.1}),
    rule("bounds", "partition_bounds", ["ordered_on"]),
    rule("nulls", "null_values", ["email"]),
    rule("missing", "missing_values", ["email"], params={"missingValues": [None, ""]}),
    rule("invalid", "invalid_values", ["status"], params={"validValues": ["open"]}),
    rule("unique", "unique", ["id"]),
    rule("duplicates", "duplicate_values", ["id", "amount"]),
    foreign_key(),
    rule("count", "row_count", []),
    rule("sql", "sql", [], params={"query": "SELECT count(*) FROM orders"}),
    rule("fresh", "freshness", ["ordered_on"], params={"max_age_s": 86400}),
    rule("python", "custom", [], params={"engine": "python", "implementation": "few"}),
    rule("prose", "text", []),
    rule("condition", "condition", ["amount"], params={"then": "amount >= 0"}),
    rule(
        "dependency",
        "functional_dependency",
        ["customer_id", "email"],
        params={"determinant": ["customer_id"], "dependent": ["email"]},
    ),
    rule(
        "totals",
        "reconciliation",
        [],
        params={"query": "SELECT 2 * count(*) FROM orders", "control": "SELECT count(*) + count(status) FROM orders"},
    ),
    rule("drift", "drift", [], params={"metric": "rows"}),
    rule("anomaly", "anomaly", ["amount"], params={"metric": "mean"}),
    rule("retention", "retention", ["ordered_on"], params={"max_age_s": 60 * 86400}),
    rule("deadline", "deadline", ["ordered_on"], params={"by": "09:00"}),
)


def few(relation):
    """Count rows as a project's own function would."""
    return relation.filter("amount > 5").shape[0]


def test_every_kind_of_rule_gives_a_result(con):
    """No kind of rule goes without a result, in the order in which the rules stand."""
    assert {r.kind for r in EVERY_KIND} == set(RuleKind)
    table = orders(*EVERY_KIND, partitioning=Partitioning("ordered_on", "day", date(2024, 1, 1)))
    results = judge(con, table, "orders", lookup=lookup, now=NOW, custom={"few": few})
    assert [r.rule.name for r in results] == [r.name for r in EVERY_KIND]
    assert [r.rule.name for r in results if r.error] == []
    observed = {r.rule.name: r.observed for r in results}
    assert observed == {
        "schema": 0,
        "required": 1,
        "range": 2,
        "length": 1 + 1,
        "pattern": 5,
        "enum": 5,
        "multiple": 2,
        "bounds": 2,
        "nulls": 1,
        "missing": 2,
        "invalid": 5,
        "unique": 2,
        "duplicates": 1,
        "customer_id.references.customers": 1,
        "count": ORDER_COUNT,
        "sql": ORDER_COUNT,
        "fresh": 86400.0,
        "python": 5,
        "prose": None,
        "condition": 1,
        "dependency": 1,
        "totals": 1,
        "drift": None,
        "anomaly": None,
        "retention": 1,
        "deadline": -1,
    }


@pytest.mark.parametrize("one", EVERY_KIND, ids=lambda r: r.name)
def test_no_rows_are_judged_without_an_error(con, one):
    """An empty table satisfies rules on rows; but nothing in it is fresh."""
    table = orders(one, partitioning=Partitioning("ordered_on", "day", date(2024, 1, 1)))
    (result,) = judge(con, table, "no_orders", lookup=lookup, now=NOW, custom={"few": few})
    assert (result.error, result.passed) == ("", one.name not in {"fresh", "deadline"})


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (rule("x", "pattern", ["status"], params={"pattern": "("}), "InvalidInputException"),
        (rule("x", "pattern", ["status"], params={"pattern": "(?=a)"}), "InvalidInputException"),
        (rule("x", "range", ["amuont"], params={"minimum": 0}), "amuont"),
        (rule("x", "range", params={}), "no bound"),
        (rule("x", "unique", ["nowhere"]), "nowhere"),
        (foreign_key(), "customers"),
        (rule("x", "freshness", ["status"], params={"max_age_s": 1}), "isfinite"),
        (rule("x", "freshness", ["ordered_on"]), "max_age_s"),
        (rule("x", "custom", [], params={"engine": "ours", "implementation": "y"}), "ours"),
        (rule("x", "custom", [], params={"engine": "python", "implementation": "y"}), "'y'"),
        (rule("x", "required", ["id"], threshold=Threshold(Operator.MUST_BE_BETWEEN, (1,))), "2 values"),
        (rule("x", "partition_bounds", ["ordered_on"]), "no partitions"),
        (rule("x", "sql", [], params={"query": "SELECT 1; SELECT 2"}), "2 statements"),
        (rule("x", "sql", [], params={"query": "SELECT NULL"}), "NULL"),
        (rule("x", "sql", [], params={"query": "SELECT 1, 2"}), "one value"),
        (rule("x", "sql", [], params={"query": "SELECT id FROM orders"}), "one value"),
        (rule("x", "sql", [], params={"query": "SELECT 'a@x.org'"}), "no number"),
    ],
    ids=lambda value: value.name + str(value.params) if isinstance(value, Rule) else value,
)
def test_a_rule_that_cannot_be_judged_fails_alone(con, broken, why):
    """The offender fails with its reason; the rules beside it get their results (fail closed, one by one)."""
    good = [rule(f"good{at}", "required", ["status"]) for at in range(5)]

    def nowhere(ref):
        raise UnknownNameError("table", str(ref), [])

    table = orders(*good[:2], broken, *good[2:])
    results = judge(con, table, "orders", lookup=nowhere, now=NOW)
    found = {r.rule.name: r for r in results}
    offender = found.pop(broken.name)
    assert (offender.passed, offender.is_blocking) == (False, True)
    assert why.lower() in offender.error.lower()
    assert [r.observed for r in found.values()] == [1] * len(good)


def test_rows_that_cannot_be_read_fail_every_rule(con):
    """If there is nothing to read, no rule passes, not even a count of rows."""
    found = verdicts(con, *EVERY_KIND, relation="nowhere", custom={"few": few})
    assert {name for name, result in found.items() if result.passed} == set()


def test_a_failed_rule_says_in_plain_words_what_it_found(con):
    """The message names rows, columns and the threshold."""
    found = judged_one(con, rule("r", "range", params={"minimum": 0}))
    assert found.message == "2 of 9 rows: amount below 0 (mustBe 0 rows)"


def test_thresholds_compare_rows_or_percent(con):
    """One row of nine is 11.1 %."""
    few_rows = Threshold(Operator.MUST_BE_LESS_THAN, (12,), "percent")
    fewer = Threshold(Operator.MUST_BE_LESS_THAN, (11,), "percent")
    found = verdicts(
        con,
        rule("few", "null_values", ["email"], threshold=few_rows),
        rule("fewer", "null_values", ["email"], threshold=fewer),
    )
    assert [found["few"].passed, found["fewer"].passed] == [True, False]
    assert found["few"].observed == pytest.approx(100 / 9)


def test_samples_show_the_key_and_the_column_with_classified_values_masked(con):
    """A sample leads to the rows and tells nothing personal."""
    found = judged_one(con, rule("r", "pattern", ["email"], params={"pattern": "^a"}))
    assert found.sample == ({"id": 2, "email": "***"}, {"id": 3, "email": "***"}, {"id": 4, "email": "***"},
                            {"id": 5, "email": "***"})  # fmt: skip


def test_samples_mask_inside_structs_and_stay_json(con):
    """Nested values are masked by their own classification, and NaN and dates have a JSON form."""
    keyless = Table("orders", "", "", tuple(c if c.name != "id" else Column("id", "integer", "BIGINT")
                                            for c in scenario.ORDER_COLUMNS), ())  # fmt: skip
    (found,) = judge(con, keyless, "orders", lookup=lookup, now=NOW,
                     rules=[rule("r", "enum", ["id"], params={"values": [1, 3, 4, 5, 8]})])  # fmt: skip
    assert found.sample == (
        {
            "id": 2,
            "amount": "NaN",
            "price": 0.05,
            "status": "OPEN",
            "email": "***",
            "customer_id": 1,
            "ordered_on": "2024-01-02",
            "paid": False,
            "address": {"city": "", "street": "***"},
            "tags": ["a", "b"],
        },
    )
    json.dumps(found.sample, allow_nan=False)


def test_a_sample_holds_at_most_five_rows(con):
    """A rule that rejects everything shows five rows."""
    con.execute("INSERT INTO orders SELECT * FROM orders")
    assert len(judged_one(con, rule("r", "enum", ["paid"], params={"values": []})).sample) == 5


def test_rules_that_fail_together_show_the_rows_that_each_shows_alone(con):
    """One look at the first rejected rows serves all rules; one whose rows come late, or few, misses none of them."""
    con.execute("CREATE TABLE many AS SELECT i AS id, i::DOUBLE AS amount, 'x' AS status, "
                "CASE WHEN i % 7 > 0 THEN 'a@b' END AS email, "
                "IF(i IN (900, 990), NULL, DATE '2024-01-01') AS ordered_on "
                "FROM range(1000) AS numbers(i)")  # fmt: skip
    rules = (
        rule("all", "enum", ["status"], params={"values": []}),
        rule("some", "required", ["email"]),
        rule("late", "range", params={"maximum": 980}),
        rule("last", "range", params={"maximum": 998}),
        rule("few", "required", ["ordered_on"]),
        rule("none", "required", ["id"]),
        rule("let", "required", ["email"], threshold=Threshold(Operator.MUST_BE_LESS_THAN, (500,))),
        rule("key", "unique", ["id"]),
    )
    together = verdicts(con, *rules, relation="many")
    # The key is shown as the table has it, so that each rule alone is judged on the same table.
    alone = {one.name: judge(con, orders(*rules), "many", lookup=lookup, now=NOW, rules=[one])[0] for one in rules}
    assert {name: found.sample for name, found in alone.items()} == {n: f.sample for n, f in together.items()}
    assert {"all": 5, "some": 5, "late": 5, "last": 1, "few": 2, "none": 0, "let": 0, "key": 0} == {
        name: len(found.sample) for name, found in together.items()
    }
    assert together["few"].sample == ({"id": 900, "ordered_on": None}, {"id": 990, "ordered_on": None})


def test_repeated_keys_are_shown_where_a_share_of_the_keys_holds_none_of_them(con):
    """The share that is looked at first may miss every repeated key; then all keys are looked at."""
    for repeated in (16, 17, 100, 400):
        con.execute(f"CREATE OR REPLACE TABLE many AS SELECT i AS id FROM range(1000) AS numbers(i) "
                    f"UNION ALL SELECT 7 FROM range({repeated})")  # fmt: skip
        found = verdicts(con, rule("key", "unique", ["id"]), relation="many")["key"]
        assert (found.failed_rows, [row["id"] for row in found.sample]) == (repeated, [7] * 5)


def test_errors_do_not_tell_values_of_a_classified_table(con):
    """What the engine quotes in its message could be a person's address."""
    query = "SELECT max(CAST(email AS INTEGER)) FROM orders"
    found = judged_one(con, rule("r", "sql", [], params={"query": query}))
    assert found.error
    assert "@" not in found.error


def test_duplicates_are_the_rows_beyond_the_first_and_null_is_no_key(con):
    """Two ids twice are two surplus rows, and a sample shows all rows of a repeated key."""
    con.execute("INSERT INTO orders SELECT * FROM orders WHERE id IS NULL")
    found = judged_one(con, rule("r", "unique", ["id"]))
    assert (found.failed_rows, len(found.sample)) == (2, 4)


def test_a_composite_foreign_key_passes_where_any_part_is_null(con):
    """NULL points nowhere, so it is no orphan."""
    con.execute("CREATE TABLE pairs AS SELECT 1 AS a, true AS b")
    ref = TableRef("shop/sales", "pairs")
    pair = rule("r", "foreign_key", ["customer_id", "paid"], params={"to": ref, "to_columns": ("a", "b")})
    (found,) = judge(con, orders(pair), "orders", lookup={ref: "pairs"}.__getitem__, now=NOW)
    naive = "customer_id IS NOT NULL AND paid IS NOT NULL AND NOT (customer_id = 1 AND paid)"
    assert (found.failed_rows,) == con.execute(f"SELECT count(*) FROM orders WHERE {naive}").fetchone()


@pytest.mark.parametrize(
    ("now", "passed"),
    [(datetime(2024, 3, 1, tzinfo=UTC), True), (datetime(2024, 3, 1, 1), False)],  # noqa: DTZ001
)
def test_freshness_is_the_age_of_the_newest_moment(con, now, passed):
    """A date counts from its midnight, in UTC; so does a clock without a zone."""
    fresh = rule("r", "freshness", ["ordered_on"], params={"max_age_s": 86400})
    (found,) = judge(con, orders(fresh), "orders", lookup=lookup, now=now)
    assert found.passed is passed
    assert found.message.startswith("newest ordered_on is 1")


def test_the_schema_rule_names_each_difference_and_ignores_order(con):
    """Missing, extra and mistyped columns are told; order and spelling of types are not differences."""
    con.execute("CREATE VIEW other AS SELECT 1 AS extra, * EXCLUDE (amount) REPLACE (id::INTEGER AS id) FROM orders")
    found = judged_one(con, rule("schema", "schema", []), relation="other")
    assert found.message == (
        "column amount is missing; column extra is not in the contract; column id is INTEGER, not BIGINT"
    )
    con.execute("CREATE VIEW turned AS SELECT tags, * EXCLUDE (tags) FROM orders")
    assert judged_one(con, rule("schema", "schema", []), relation="turned").passed


def test_text_rules_pass_and_say_that_nothing_checks_them(con):
    """A rule in prose is declared only."""
    found = judged_one(con, rule("r", "text", []))
    assert (found.passed, found.method, found.is_blocking) == (True, "declared-only", False)


QUERIES_THAT_LOOK_OUTSIDE = (
    "SELECT count(*) FROM read_csv('/etc/passwd')",
    "SELECT count(*) FROM '/etc/passwd'",
    'SELECT count(*) FROM "data.parquet"',
    "SELECT count(*) FROM read_text('/etc/passwd')",
    "SELECT count(*) FROM glob('/*')",
    "SELECT count(*) FROM duckdb_settings()",
    "SELECT count(*) FROM query('SELECT 1')",
    "SELECT count(*) FROM query_table('orders')",
    "SELECT length(getenv('HOME'))",
    "SELECT current_setting('threads')",
    "SELECT count(*) FROM secrets",
    "SELECT count(*) FROM main.orders",
    "SELECT count(*) FROM information_schema.tables",
    'WITH "/etc/passwd" AS (SELECT * FROM "/etc/passwd") SELECT count(*) FROM "/etc/passwd"',
    "SELECT (WITH secrets AS (SELECT 1) SELECT count(*) FROM secrets) FROM secrets",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT count(*) FROM a",
    "SELECT count(*) FROM orders WHERE EXISTS (SELECT 1 FROM read_blob('/etc/passwd'))",
    "SELECT count(*) FROM orders JOIN LATERAL (SELECT * FROM read_csv('x')) AS x ON true",
    "WITH gone AS (DELETE FROM orders RETURNING *) SELECT count(*) FROM gone",
    "FROM (DESCRIBE orders)",
    "SHOW TABLES",
    "PRAGMA version",
    "ATTACH 'x.duckdb'",
    "COPY orders TO 'x.csv'",
    "INSERT INTO orders SELECT * FROM orders",
    "DROP TABLE orders",
    "SELECT 1) UNION ALL (SELECT 2",
    "SELECT 1; DROP TABLE orders",
    "",
)


@pytest.mark.parametrize("query", QUERIES_THAT_LOOK_OUTSIDE)
def test_a_sql_rule_reads_only_the_tables_that_it_is_given(con, query):
    """Files, settings, other statements and tables nobody gave are refused before anything runs."""
    con.execute("CREATE TABLE secrets AS SELECT 1")
    con.execute("CREATE TABLE b AS SELECT 1")
    found = judged_one(con, rule("r", "sql", [], params={"query": query}))
    assert (found.passed, bool(found.error)) == (False, True)
    assert con.execute("SELECT count(*) FROM orders").fetchone() == (ORDER_COUNT,)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT count(*) FROM ${object} WHERE ${property} IS NULL", 1),
        ("select count(*) from {object} where {property} is null;", 1),
        ("WITH a AS (SELECT * FROM orders), b AS (SELECT * FROM a) SELECT count(*) FROM b -- a comment", 9),
        ("SELECT count(*) > 3 FROM Orders", 1),
        ("SELECT avg(id) FROM clients", 2),
        ("SELECT count(*) FROM orders, range(2), unnest([1, 2])", 36),
        ("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 5) SELECT sum(x) FROM n", 15),
        ("SELECT count(*) FROM (FROM orders) JOIN clients ON customer_id = clients.id", 7),
        ("SELECT 1 UNION SELECT 1", 1),
        ("SELECT sum(price) FROM orders WHERE price < 50", 2.65),
    ],
)
def test_a_sql_rule_compares_one_value(con, query, expected):
    """Own CTEs, other tables by the names given, booleans and placeholders of the standard all work."""
    found = judged_one(con, rule("r", "sql", ["id"], params={"query": query}), names={"clients": "customers"})
    assert (found.error, found.observed) == ("", pytest.approx(expected))


def test_rules_tell_which_tables_they_read():
    """Foreign keys give addresses, queries give names; the table itself does not count."""
    query = "WITH c AS (SELECT 1) SELECT count(*) FROM orders, clients, c"
    assert rule_reads(foreign_key(), orders()) == (CUSTOMERS,)
    assert rule_reads(rule("r", "sql", [], params={"query": query}), orders()) == ("clients",)
    assert rule_reads(rule("r", "sql", [], params={"query": "DROP TABLE x"}), orders()) == ()
    assert rule_reads(rule("r", "required"), orders()) == ()


@pytest.mark.parametrize(("said", "observed"), [(True, 0), (False, 1), (3, 3), (None, None), ("x", None), (-1, None)])
def test_a_python_rule_says_how_many_rows_it_rejects(con, said, observed):
    """A number of rows or a truth value; anything else is an error."""
    python = rule("r", "custom", [], params={"engine": "python", "implementation": "mine"})
    found = judged_one(con, python, custom={"mine": lambda _: said})
    assert (found.observed, found.passed) == (observed, observed == 0)


def test_a_python_rule_that_raises_fails_closed_and_tells_no_value(con):
    """What a project's code says in its exception could be a value of the data."""

    def mine(_relation):
        raise ValueError("a@x.org is wrong")

    python = rule("r", "custom", [], params={"engine": "python", "implementation": "mine"})
    found = judged_one(con, python, custom={"mine": mine})
    assert (found.passed, "ValueError" in found.error, "@" in found.error) == (False, True, False)


@pytest.mark.filterwarnings("ignore")
def test_a_pandera_model_is_a_rule(con):
    """Rows that the named model rejects are counted once each, and sampled with classified columns masked."""
    import pandera.pandas as pa

    model = pa.DataFrameSchema(
        {"price": pa.Column(float, [pa.Check.ge(0), pa.Check.le(100)], nullable=True, coerce=True)}
    )
    pandera = rule("r", "custom", [], params={"engine": "pandera", "implementation": "Orders"})
    found = judged_one(con, pandera, custom={"Orders": model})
    assert (found.error, found.observed, [row["email"] for row in found.sample]) == ("", 2, ["***", "***"])


def test_row_rules_are_judged_partition_by_partition(con):
    """Each partition has its own result; other kinds have one, over all."""
    table = orders(
        rule("bounds", "partition_bounds", ["ordered_on"]),
        rule("required", "required", ["status"]),
        rule("unique", "unique", ["id"]),
        rule("count", "row_count", []),
        partitioning=Partitioning("ordered_on", "day", date(2024, 1, 1)),
    )
    partitions = {
        "2024-01-01": "(SELECT * FROM orders WHERE ordered_on = DATE '2024-01-01')",
        "2024-01-02": "(SELECT * FROM orders WHERE ordered_on IN (DATE '2024-01-02', DATE '2024-01-08'))",
        "2024-01-03": "no_orders",
    }
    results = judge(con, table, "orders", lookup=lookup, now=NOW, partitions=partitions)
    found = [(r.rule.name, r.partition, r.failed_rows, r.total_rows, r.passed) for r in results]
    assert found == [
        ("bounds", "2024-01-01", 0, 4, True),
        ("bounds", "2024-01-02", 1, 2, False),
        ("bounds", "2024-01-03", 0, 0, True),
        ("required", "2024-01-01", 1, 4, False),
        ("required", "2024-01-02", 0, 2, True),
        ("required", "2024-01-03", 0, 0, True),
        ("unique", None, 2, 9, False),
        ("count", None, None, 9, False),
    ]
    assert results[1].sample == ({"id": 3, "ordered_on": "2024-01-08"},)


def test_no_partition_at_all_is_no_reason_to_pass(con):
    """A row rule without a single partition to judge fails rather than vanish."""
    found = judged_one(con, rule("r", "required", ["id"]), partitions={})
    assert (found.passed, bool(found.error)) == (False, True)


def test_all_counted_rules_are_one_statement(con, monkeypatch):
    """One pass, whatever the number of rules."""
    seen = []

    class Watched:
        def execute(self, query, *args):
            seen.append(query)
            return con.execute(query, *args)

    fine = [rule(f"r{at}", "range", params={"maximum": math.inf, "minimum": -at}, threshold=Threshold(
        Operator.MUST_BE_LESS_THAN, (99,))) for at in range(20)]  # fmt: skip
    judge(Watched(), orders(*fine), "orders", lookup=lookup, now=NOW)
    assert len(seen) == 1


# --- splitting ---------------------------------------------------------------------------------------------------


def rows_of(con, sql):
    """Run a query of a split, rows in order."""
    return con.execute(f"SELECT * FROM ({sql}) ORDER BY ALL").fetchall() if sql else []


def test_without_quarantine_every_row_is_kept(con):
    """Rules that refuse split nothing off."""
    found = split(con, orders(*EVERY_KIND), "orders", lookup=lookup)
    assert (found.quarantined_sql, found.counts, len(rows_of(con, found.kept_sql))) == (None, {}, ORDER_COUNT)


def test_quarantined_rows_carry_the_names_of_the_rules(con):
    """Row rules and foreign keys first, duplicates among the rest; every row goes to exactly one side."""
    table = orders(
        rule("id.required", "required", ["id"], on_failure=QUARANTINE),
        rule("price.range", "range", ["price"], params={"minimum": 0}, on_failure=QUARANTINE),
        foreign_key(on_failure=QUARANTINE),
        rule("primary_key", "unique", ["id"], on_failure=QUARANTINE),
    )
    found = split(con, table, "orders", lookup=lookup)
    assert found.counts == {
        "id.required": 1,
        "price.range": 1,
        "customer_id.references.customers": 1,
        "primary_key": 2,
    }
    quarantined = con.execute(f"SELECT id, _rules FROM ({found.quarantined_sql}) ORDER BY ALL").fetchall()
    assert quarantined == [
        (4, ["price.range", "customer_id.references.customers"]),
        (5, ["primary_key"]),
        (8, ["primary_key"]),
        (None, ["id.required"]),
    ]
    assert (len(rows_of(con, found.kept_sql)), found.quarantined) == (5, 4)
    con.execute(f"CREATE TABLE kept AS {found.kept_sql}")
    assert all(r.passed for r in judge(con, table, "kept", lookup=lookup, now=NOW))


def test_the_first_of_a_repeated_key_does_not_depend_on_how_rows_lie(con):
    """`keep: first` goes by the order of all columns."""
    table = orders(rule("key", "unique", ["id"], on_failure=QUARANTINE))
    kept = rows_of(con, split(con, table, "orders", lookup=lookup).kept_sql)
    con.execute("CREATE TABLE turned AS SELECT * FROM orders ORDER BY id DESC, amount DESC")
    turned = split(con, table, "turned", lookup=lookup)
    assert str(rows_of(con, turned.kept_sql)) == str(kept)
    assert [row[1] for row in kept if row[0] == 5] == [-0.0]


def test_keep_none_rejects_every_row_of_a_repeated_key(con):
    """Where no row is better than another, none is kept."""
    found = split(con, orders(rule("key", "unique", ["id"], keep="none", on_failure=QUARANTINE)), "orders",
                  lookup=lookup)  # fmt: skip
    assert found.counts == {"key": 4}
    assert [row[0] for row in rows_of(con, found.kept_sql)] == [1, 2, 3, 4, None]


def test_a_row_rejected_by_a_rule_does_not_cost_its_duplicate(con):
    """Duplicates are judged after bad rows have gone: the good one of a pair stays."""
    table = orders(
        rule("amount", "enum", params={"values": [0.3]}, columns=["amount"], on_failure=QUARANTINE),
        rule("key", "unique", ["id"], keep="none", on_failure=QUARANTINE),
    )
    kept = rows_of(con, split(con, table, "orders", lookup=lookup).kept_sql)
    assert [row[0] for row in kept] == [5, None]


def test_a_quarantining_rule_that_cannot_be_judged_splits_nothing_off(con):
    """The gate refuses the table for it; the other rules still do their part."""
    broken = rule("broken", "pattern", ["status"], params={"pattern": "("}, on_failure=QUARANTINE)
    table = orders(broken, rule("id.required", "required", ["id"], on_failure=QUARANTINE))
    found = split(con, table, "orders", lookup=lookup)
    assert found.counts == {"id.required": 1}
    assert not judged_one(con, broken).passed


# --- random tables ------------------------------------------------------------------------------------------------

TEXTS = st.one_of(st.none(), st.sampled_from(["", " ", "a", "ab", "A", "N/A", "ä", "日本", "👩‍👩‍👧", "a\nb", "'", '"']),
                  st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4))  # fmt: skip
FLOATS = st.one_of(st.none(), st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0, 1.5, 10.0]),
                   st.floats(-20, 20))  # fmt: skip
DECIMALS = st.one_of(st.none(), st.decimals(-9, 9, places=2))
INTEGERS = st.one_of(st.none(), st.integers(-3, 3))
DAYS = st.one_of(st.none(), st.dates(date(2023, 12, 30), date(2024, 1, 3)))
ROWS = st.lists(st.tuples(INTEGERS, FLOATS, DECIMALS, TEXTS, DAYS), max_size=12)
RANDOM_COLUMNS = (
    Column("k", "integer", "INTEGER"),
    Column("f", "number", "DOUBLE"),
    Column("d", "number", "DECIMAL(10,2)"),
    Column("t", "string", "VARCHAR"),
    Column("day", "date", "DATE"),
)
_K, _F, _D, _T, _DAY = range(5)


def surplus(*columns):
    """Count rows beyond the first of each key as Python sees it."""

    def count(rows):
        keys = [tuple("nan" if row[c] != row[c] else row[c] for c in columns) for row in rows]
        whole = [key for key in keys if None not in key]
        return len(whole) - len(set(whole))

    return count


def each(test):
    """Count the rows that pass a test."""
    return lambda rows: sum(bool(test(row)) for row in rows)


# A rule, and how Python counts what it rejects.
RANDOM_RULES = (
    (rule("k.required", "required", ["k"]), each(lambda r: r[_K] is None)),
    (rule("t.nulls", "null_values", ["t"]), each(lambda r: r[_T] is None)),
    (
        rule("f.range", "range", ["f"], params={"minimum": 0, "exclusiveMaximum": 10}),
        each(lambda r: r[_F] is not None and not 0 <= r[_F] < 10),
    ),
    (
        rule("d.range", "range", ["d"], params={"minimum": -1.5, "maximum": 1.5}),
        each(lambda r: r[_D] is not None and not Decimal("-1.5") <= r[_D] <= Decimal("1.5")),
    ),
    (
        rule("day.range", "range", ["day"], params={"minimum": "2024-01-01"}),
        each(lambda r: r[_DAY] is not None and r[_DAY] < date(2024, 1, 1)),
    ),
    (rule("t.length", "length", ["t"], params={"minLength": 1, "maxLength": 2}),
     each(lambda r: r[_T] is not None and not 1 <= len(r[_T]) <= 2)),
    (rule("t.pattern", "pattern", ["t"], params={"pattern": "^[a-z]"}),
     each(lambda r: r[_T] is not None and not re.search(r"\A[a-z]", r[_T]))),
    (rule("t.enum", "enum", ["t"], params={"values": ["a", "", "日本"]}),
     each(lambda r: r[_T] is not None and r[_T] not in {"a", "", "日本"})),
    (rule("k.enum", "enum", ["k"], params={"values": [1, "2", "x"]}),
     each(lambda r: r[_K] is not None and r[_K] not in {1, 2})),
    (rule("d.multiple", "multiple_of", ["d"], params={"multipleOf": 0.05}),
     each(lambda r: r[_D] is not None and r[_D] % Decimal("0.05") != 0)),
    (rule("t.missing", "missing_values", ["t"], params={"missingValues": [None, "", " ", "N/A"]}),
     each(lambda r: r[_T] in {None, "", " ", "N/A"})),
    (rule("t.invalid", "invalid_values", ["t"], params={"validValues": ["a", "A"], "pattern": "a"}),
     each(lambda r: r[_T] is not None and r[_T] != "a")),
    (rule("k.unique", "unique", ["k"]), surplus(_K)),
    (rule("f.unique", "unique", ["f"]), surplus(_F)),
    (rule("kt.duplicates", "duplicate_values", ["k", "t"]), surplus(_K, _T)),
    (rule("k.reference", "foreign_key", ["k"], params={"to": CUSTOMERS, "to_columns": ("id",)}),
     each(lambda r: r[_K] is not None and r[_K] not in {1, 2, 3})),
)  # fmt: skip
COUNTERS = [counter for _, counter in RANDOM_RULES]


def load(con, rows):
    """Put random rows into a table."""
    con.execute("CREATE OR REPLACE TABLE random (k INTEGER, f DOUBLE, d DECIMAL(10,2), t VARCHAR, day DATE)")
    if rows:
        con.executemany("INSERT INTO random VALUES (?, ?, ?, ?, ?)", rows)


@pytest.fixture(scope="module")
def shared():
    """One connection for all random tables."""
    with duckdb.connect() as con:
        scenario.create(con)
        yield con


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_one_scan_counts_what_python_counts(shared, rows):
    """On any table, each rule's count is what a plain loop finds."""
    load(shared, rows)
    rules = [one for one, _ in RANDOM_RULES]
    table = Table("random", "", "", RANDOM_COLUMNS, tuple(rules))
    results = judge(shared, table, "random", lookup=lookup, now=NOW)
    expected = {one.name: counter(rows) for one, counter in RANDOM_RULES}
    assert {r.rule.name: r.failed_rows for r in results} == expected
    assert [r.passed for r in results] == [not r.failed_rows for r in results]
    assert [len(r.sample) > 0 for r in results] == [bool(r.failed_rows) for r in results]


@settings(max_examples=40, deadline=None)
@example(rows=[(1, -0.0, None, "a", None)] * 2, chosen={12}, keep="first")  # k.unique: ordered by every column
@example(rows=[(1, -0.0, None, "a", None), (2, 0.0, None, "b", None)], chosen={13}, keep="none")  # f.unique
@given(ROWS, st.sets(st.integers(0, len(RANDOM_RULES) - 1)), st.sampled_from(["first", "none"]))
def test_a_split_loses_no_row_and_keeps_only_good_ones(shared, rows, chosen, keep):
    """Kept and quarantined make up what was staged, and the kept rows satisfy every quarantining rule."""
    load(shared, rows)
    rules = [
        Rule(one.name, one.kind, one.columns, one.params, on_failure=QUARANTINE, keep=keep)
        for at, (one, _) in enumerate(RANDOM_RULES)
        if at in chosen
    ]
    table = Table("random", "", "", RANDOM_COLUMNS, tuple(rules))
    found = split(shared, table, "random", lookup=lookup)
    shared.execute(f"CREATE OR REPLACE TABLE kept AS {found.kept_sql}")
    quarantined = shared.execute(f"SELECT * FROM ({found.quarantined_sql})").fetchall() if found.quarantined_sql else []
    everything = shared.execute("SELECT * FROM kept").fetchall() + [row[:-1] for row in quarantined]
    assert sorted(map(repr, everything)) == sorted(map(repr, shared.execute("SELECT * FROM random").fetchall()))
    assert found.quarantined == len(quarantined)
    assert all(row[-1] for row in quarantined)
    assert sum(found.counts.values()) == sum(len(row[-1]) for row in quarantined)
    assert all(r.passed for r in judge(shared, table, "kept", lookup=lookup, now=NOW))


@settings(max_examples=20, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_partitions_count_as_they_would_alone(shared, parts):
    """One pass over several partitions gives what each would give by itself."""
    rules = tuple(one for one, _ in RANDOM_RULES if one.kind.value not in {"unique", "duplicate_values", "foreign_key"})
    rules = tuple(one for one in rules if one.kind is not RuleKind.NULL_VALUES)
    table = Table("random", "", "", RANDOM_COLUMNS, rules)
    partitions, expected = {}, {}
    for at, rows in enumerate(parts):
        day = (date(2024, 1, 1) + timedelta(days=at)).isoformat()
        load(shared, rows)
        shared.execute(f"CREATE OR REPLACE TABLE part{at} AS SELECT * FROM random")
        partitions[day] = f"part{at}"
        alone = judge(shared, table, f"part{at}", lookup=lookup, now=NOW)
        expected |= {(r.rule.name, day): (r.failed_rows, r.total_rows, repr(r.sample)) for r in alone}
    results = judge(shared, table, "random", lookup=lookup, now=NOW, partitions=partitions)
    assert {(r.rule.name, r.partition): (r.failed_rows, r.total_rows, repr(r.sample)) for r in results} == expected
