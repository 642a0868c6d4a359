"""Rules beyond the standard: conditions, dependencies, control totals, and versions beside those before them."""

from __future__ import annotations

import json
import textwrap
from datetime import UTC, date, datetime
from itertools import product as combinations
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.errors import RefusedError, UsageError
from dataproducts.gate import Subject
from dataproducts.gate import judge as judge_subject
from dataproducts.product import Column, OnFailure, Rule, RuleKind, Table
from dataproducts.recheck import recheck
from dataproducts.refresh import refresh_product
from dataproducts.release import ColumnFacts
from dataproducts.releases import rollback
from dataproducts.rules.conditions import read_expression
from dataproducts.rules.drift import compare
from dataproducts.rules.facts import PROVED, Facts, Rows
from dataproducts.rules.finding import Asked, Past
from dataproducts.rules.measures import measure
from dataproducts.rules.quarantine import split
from dataproducts.sql import quote
from dataproducts.warehouse import Warehouse
from tests.judged import judge
from tests.shop import add_table, build, edit, environment, make_shop, product, write_orders

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 3, 1, tzinfo=UTC)
COLUMNS = (
    Column("id", "integer", "BIGINT", primary_key=1),
    Column("begun", "date", "DATE"),
    Column("ended", "date", "DATE"),
    Column("status", "string", "VARCHAR"),
    Column("zip", "string", "VARCHAR"),
    Column("city", "string", "VARCHAR"),
    Column("amount", "number", "DOUBLE"),
    Column("Größe x", "integer", "INTEGER"),
    Column("address", "object", "STRUCT(city VARCHAR)", properties=(Column("city", "string", "VARCHAR"),)),
    Column("tags", "array", "VARCHAR[]"),
)
ROWS = """
    (1, DATE '2024-01-01', DATE '2024-01-02', 'open', '50667', 'Köln', 1.5, 1, {'city': 'Köln'}, ['a']),
    (2, DATE '2024-01-03', DATE '2024-01-02', 'done', '50667', 'Koeln', 2.5, 2, {'city': NULL}, []),
    (3, DATE '2024-01-01', NULL, 'done', '50667', 'Köln', 'nan', NULL, NULL, NULL),
    (4, NULL, DATE '2024-01-02', NULL, '10115', NULL, 'inf', 3, {'city': ''}, ['a', 'a']),
    (5, DATE '2024-01-02', DATE '2024-01-02', 'done', NULL, 'Bonn', -2.5, 4, {'city': 'Bonn'}, [NULL])
"""


def table(*rules: Rule, **changes: Any) -> Table:
    """Return the contract of the jobs, with these rules."""
    return Table("jobs", "shop.jobs", "1.0.0", COLUMNS, rules, **changes)


@pytest.fixture
def con():
    """A connection with the jobs."""
    with duckdb.connect() as con:
        listed = ", ".join(f"{quote(column.name)} {column.sql_type}" for column in COLUMNS)
        con.execute(f"CREATE TABLE jobs ({listed})")
        con.execute(f"INSERT INTO jobs VALUES {ROWS}")
        con.execute("CREATE TABLE ledger AS SELECT 100.10::DECIMAL(9, 2) AS total")
        yield con


def condition(then: str, when: str | None = None, **changes: Any) -> Rule:
    """Return a rule on rows."""
    params = {"then": then} | ({"when": when} if when else {})
    return Rule("c", RuleKind.CONDITION, ("id",), params, **changes)


def judged(con: duckdb.DuckDBPyConnection, rule: Rule, relation: str = "jobs", **beside: Any) -> Any:
    """Judge one rule on the jobs."""
    (result,) = judge(con, table(rule), relation, lookup=str, now=NOW, **beside)
    return result


# Conditions


@pytest.mark.parametrize(
    ("then", "when", "rejected"),
    [
        ("begun <= ended", None, [2]),
        ("BEGUN <= Ended -- a comment", None, [2]),
        ("ended IS NOT NULL", "status = 'done'", [3]),
        ("ended IS NOT NULL", "status = 'done' -- or not?", [3]),
        ("ended IS NOT NULL", "status = 'none'", []),
        ('"Größe x" < 3', None, [4, 5]),
        ("address.city <> ''", None, [4]),
        ("address.city = city", None, []),
        ("len(list_filter(tags, lambda tag: tag = city)) = 0", None, []),
        ("amount > 0 OR status = 'open'", None, [5]),
        ("'ü' <> city AND city LIKE 'K%'", "zip IS NOT NULL", []),
        ("CASE status WHEN 'done' THEN amount < 2 ELSE TRUE END", None, [2, 3]),
    ],
)
def test_a_condition_rejects_where_then_is_false(con, then, when, rejected):
    """Rows of which `when` is TRUE and `then` FALSE; what is NULL passes."""
    result = judged(con, condition(then, when))
    assert (result.error, result.failed_rows, [row["id"] for row in result.sample]) == ("", len(rejected), rejected)


def test_a_condition_says_what_did_not_hold(con):
    """The message repeats the condition as it was declared, and the threshold."""
    result = judged(con, condition("ended IS NOT NULL", "status = 'done'"))
    assert result.message == "1 of 5 rows: id breaks ended IS NOT NULL where status = 'done' (mustBe 0 rows)"


def test_a_condition_quarantines(con):
    """What is set aside is what the condition rejects, and the rest satisfies it."""
    one = condition("begun <= ended", on_failure=OnFailure.QUARANTINE)
    dealt = split(con, table(one), "jobs", lookup=str)
    assert con.execute(f"SELECT id, _rules FROM ({dealt.quarantined_sql})").fetchall() == [(2, ["c"])]
    assert judged(con, one, f"({dealt.kept_sql})").passed


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("a IN (SELECT 1)", "a query in it"),
        ("sum(a) > 1", "aggregate"),
        ("row_number() OVER () > 1", "window"),
        ("now() > d", "does not depend on the row alone"),
        ("current_date > d", "does not depend on the row alone"),
        ("age(d) > INTERVAL 1 DAY", "does not depend on the row alone"),
        ("random() > 1", "does not depend on the row alone"),
        ("getvariable('x') = 1", "looks outside"),
        ("read_text('x') = a", "looks outside"),
        ("nowhere > 1", "'nowhere'"),
        ("jobs.a > 1", "names a table"),
        ("rowid > 1", "'rowid'"),
        ("a) OR (b > 1", "not one expression"),
        ("a > 1; DROP TABLE jobs", "not one SELECT"),
        ("a > 1 FROM jobs", "not one SELECT"),
        ("a > 1, b > 2", "more than one expression"),
        ("a = $1", "parameter"),
        ("#1 > 1", "`#`"),
        ("COLUMNS(*) > 1", "`*`"),
        ("a", "INTEGER"),
        ("d > 'x'", "x"),
        ("TRUE", "reads no column"),
        ("len(list_filter([a], lambda b: b > 1)) > 0", "called like a column"),
        ("", "not one"),
    ],
)
def test_a_condition_that_is_more_than_a_row_is_refused(written, why):
    """Whatever depends on other rows, on the time or on what lies outside is a fault where it stands."""
    faults = read(f"{{condition: {{then: {json.dumps(written)}}}}}")[1]
    assert [fault.line for fault in faults] == [9]
    assert why in faults[0].what


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("order < 3", 'column order is called like a word of SQL: write "order"'),
        (
            "Group = 'order' AND ü > End -- select",
            'write "group"; column End is called like a word of SQL: write "End"',
        ),
        ('"order" > 1 AND select > 1', 'column select is called like a word of SQL: write "select"'),
        ("ü >", "syntax error"),
    ],
)
def test_a_column_called_like_a_word_of_sql_is_to_be_quoted(written, said):
    """What the parser cannot read for the name of a column is told with the quotes that it needs."""
    known = ("order", "group", "select", "End", "ü")
    with pytest.raises(UsageError) as error:
        read_expression(written, known, alias="t")
    assert said in str(error.value)
    assert ("order", "End") == read_expression('"order" < CASE WHEN TRUE THEN "End" END', known, alias="t").columns


def read(implementation: str, **beside: str) -> Any:
    """Return the table and the faults of a contract with one rule of ours."""
    more = "".join(f", {key}: {value}" for key, value in beside.items())
    text = f"""
        apiVersion: v3.1.0
        kind: DataContract
        id: a.b
        version: 1.0.0
        status: draft
        schema:
          - name: t
            quality:
              - {{type: custom, engine: dataproducts, implementation: {implementation}{more}}}
            properties:
              - {{name: a, logicalType: integer, logicalTypeOptions: {{format: i32}}}}
              - {{name: b, logicalType: integer}}
              - {{name: d, logicalType: date}}
              - {{name: s, logicalType: string}}
              - {{name: l, logicalType: array, items: {{logicalType: string}}}}
        """
    tables, faults = read_tables(parse_yaml(textwrap.dedent(text).strip(), "t.odcs.yaml"))
    return tables[0], faults


def test_a_comparison_of_two_columns_is_kept_for_the_proof():
    """`a <= b` alone is such a comparison; with more around it, or other columns in it, it is none."""
    known = ("a", "b")
    pairs = [read_expression(text, known, alias="x").pair for text in ("A <= b", "a<b AND b<3", "a = b", "a > 1")]
    assert pairs == [("a", "<=", "b"), None, None, None]
    found = next(rule for rule in read("{condition: {then: a >= b}}")[0].rules if rule.kind is RuleKind.CONDITION)
    assert found.params == {"then": "a >= b", "pair": ("a", ">=", "b")}


NUMBERS = st.one_of(st.none(), st.integers(-2, 2))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=3), min_size=1, max_size=3),
    st.sampled_from(["<", "<=", ">", ">="]),
)
def test_a_proof_of_a_comparison_is_what_the_scan_says(files, operator):
    """Facts of files prove that no row breaks it, or prove nothing: the count is that of the scan in any case."""
    columns = (Column("a", "integer", "INTEGER"), Column("b", "integer", "BIGINT"))
    params = {"then": f"a {operator} b", "pair": ("a", operator, "b")}
    rule = Rule("c", RuleKind.CONDITION, ("a", "b"), params)
    rows = [pair for file in files for pair in file]
    known = Facts(
        len(rows),
        {"a": "INTEGER", "b": "BIGINT"},
        tuple({"a": facts([a for a, _ in file]), "b": facts([b for _, b in file])} for file in files),
        tuple(len(file) for file in files),
    )
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (a INTEGER, b BIGINT)")
        if rows:
            con.executemany("INSERT INTO t VALUES (?, ?)", rows)
        both = [
            judge_subject(
                con, Table("t", "", "", columns, (rule,)), Subject(rows=source, now=NOW, lookup=Rows)
            ).results[0]
            for source in (Rows("t"), Rows("t", known))
        ]
    assert both[0].failed_rows == both[1].failed_rows
    worst = all(a is None or b is None or holds(operator, a, b) for file in files for a, b in crossed(file))
    assert (both[1].method == PROVED) is worst


def crossed(file):
    """Every value of one side beside every one of the other, unless one side is NULL throughout."""
    left, right = [a for a, _ in file if a is not None], [b for _, b in file if b is not None]
    return combinations(left, right)


def holds(operator, a, b):
    """Compare as SQL does."""
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]


def facts(values):
    """Return what a writer knows of a column of whole numbers."""
    there = [value for value in values if value is not None]
    ends = (str(min(there)), str(max(there))) if there else (None, None)
    return ColumnFacts(len(values) - len(there), *ends)


def test_no_proof_where_a_comparison_casts(con):
    """Of two types one is cast to the other, and nobody has shown here that this keeps the order."""
    columns = (Column("a", "date", "DATE"), Column("b", "timestamp", "TIMESTAMP"))
    rule = Rule("c", RuleKind.CONDITION, ("a", "b"), {"then": "a <= b", "pair": ("a", "<=", "b")})
    con.execute("CREATE TABLE t AS SELECT DATE '2024-01-01' AS a, TIMESTAMP '2024-01-02' AS b")
    ends = {"a": ColumnFacts(0, "2024-01-01", "2024-01-01"), "b": ColumnFacts(0, *["2024-01-02 00:00:00"] * 2)}
    rows = Rows("t", Facts(1, {"a": "DATE", "b": "TIMESTAMP"}, (ends,), (1,)))
    given = Subject(rows=rows, now=NOW, lookup=Rows)
    (result,) = judge_subject(con, Table("t", "", "", columns, (rule,)), given).results
    assert (result.failed_rows, result.method) == (0, "scan")


# Functional dependencies


def dependency(determinant: tuple[str, ...], dependent: tuple[str, ...], **changes: Any) -> Rule:
    """Return the rule that some columns determine others."""
    params = {"determinant": determinant, "dependent": dependent}
    return Rule("fd", RuleKind.FUNCTIONAL_DEPENDENCY, (*determinant, *dependent), params, **changes)


def test_a_dependency_counts_the_fewest_rows_to_remove(con):
    """Of three rows of one zip, the one with the rarer city; rows with a NULL are left out. All three are shown."""
    result = judged(con, dependency(("zip",), ("city",)))
    assert (result.failed_rows, [row["id"] for row in result.sample]) == (1, [1, 2, 3])
    assert result.message == "1 of 5 rows: zip has several city (mustBe 0 rows)"


SMALL = st.one_of(st.none(), st.sampled_from(["", "x", "ü"]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(SMALL, SMALL, SMALL), max_size=6))
def test_a_dependency_is_the_smallest_repair(rows):
    """No fewer rows can be taken out so that the dependency holds, by trying every choice of rows."""
    names = ("a", "b", "c")
    columns = tuple(Column(name, "string", "VARCHAR") for name in names)
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (a VARCHAR, b VARCHAR, c VARCHAR)")
        if rows:
            con.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
        for keys, values in ((("a",), ("b",)), (("a", "b"), ("c",)), (("a",), ("b", "c"))):
            one = Table("t", "", "", columns, (dependency(keys, values),))
            (result,) = judge(con, one, "t", lookup=str, now=NOW)
            assert result.failed_rows == smallest_repair(rows, *(tuple(map(names.index, s)) for s in (keys, values)))


def smallest_repair(rows, keys, values):
    """Return how many rows must go, by brute force."""
    there = [row for row in rows if all(row[at] is not None for at in (*keys, *values))]
    best = len(there)
    for chosen in combinations([True, False], repeat=len(there)):
        kept = [row for row, stays in zip(there, chosen, strict=True) if stays]
        known: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        if all(
            known.setdefault(tuple(r[k] for k in keys), tuple(r[v] for v in values)) == tuple(r[v] for v in values)
            for r in kept
        ):
            best = min(best, len(there) - len(kept))
    return best


# Control totals


@pytest.mark.parametrize(
    ("query", "unit", "observed", "passed"),
    [
        ("SELECT 100.10", "value", 0, True),
        ("SELECT 100.20", "value", 0.1, False),
        ("SELECT 90.09", "percent", pytest.approx(10), False),
        ("SELECT count(*) FROM jobs", "value", pytest.approx(95.1), False),
    ],
)
def test_a_total_is_held_against_its_control(con, query, unit, observed, passed):
    """What is compared is the distance between the two, exactly where both are decimals."""
    _, faults = read(f"{{reconciliation: {{query: {query}, control: SELECT total FROM ledger}}, unit: {unit}}}")
    assert faults == ()
    found, _ = read(f"{{reconciliation: {{query: {query}, control: SELECT total FROM ledger}}, unit: {unit}}}")
    rule = next(rule for rule in found.rules if rule.kind is RuleKind.RECONCILIATION)
    result = judged(con, rule, names={"ledger": "ledger"})
    assert (result.error, result.observed, result.passed) == ("", observed, passed)
    assert "the control total 100.10" in result.message


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT sum(amount) FROM nowhere", "nowhere"),
        ("SELECT NULL", "NULL"),
        ("SELECT 'a'", "no number"),
        ("SELECT 1, 2", "one value"),
        ("DROP TABLE jobs", "not one SELECT"),
    ],
)
def test_a_total_that_is_none_fails_closed(con, query, why):
    """A query that gives no number, or looks elsewhere, is no agreement."""
    rule = Rule("r", RuleKind.RECONCILIATION, (), {"query": query, "control": "SELECT 1"})
    result = judged(con, rule)
    assert (result.passed, why in result.error) == (False, True)


# Versions beside those before them


RULES = {
    "volume": "{drift: {metric: rows}, mustBeBetween: [-30, 30]}",
    "nulls": "{drift: {metric: nulls, column: city}, mustBeLessThan: 5}",
    "mean": "{drift: {metric: mean, column: amount}, mustBeBetween: [-20, 20]}",
    "median": "{drift: {metric: quantile, column: amount, quantile: 0.5}, unit: value, mustBeBetween: [-30, 30]}",
    "categories": "{drift: {metric: categories, column: city}, mustBeLessThan: 15}",
    "stability": "{drift: {metric: psi, column: amount}, mustBeLessThan: 0.25}",
    "city stability": "{drift: {metric: psi, column: city}, mustBeLessThan: 0.25}",
    "odd rows": "{anomaly: {metric: rows, deviations: 5}}",
    "odd nulls": "{anomaly: {metric: nulls, column: city, deviations: 5}}",
    "odd mean": "{anomaly: {metric: mean, column: amount, deviations: 5}}",
}
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: shop.sales
version: 1.0.0
status: draft
schema:
  - name: sales
    quality:
{rules}
    properties:
      - {{name: city, logicalType: string}}
      - {{name: amount, logicalType: number}}
"""


def sales(**rules: str) -> Table:
    """Return a contract with rules that compare versions; all of them unless told."""
    lines = [
        f"      - {{name: {name}, type: custom, engine: dataproducts, implementation: {rule}}}"
        for name, rule in (rules or RULES).items()
    ]
    tables, faults = read_tables(parse_yaml(CONTRACT.format(rules="\n".join(lines)).lstrip(), "sales.odcs.yaml"))
    assert faults == ()
    return tables[0]


def day(*, rows: int = 400, shift: float = 0, city: str = "", nulls: int = 4, seed: int = 0) -> str:
    """Return a day's rows as SQL: amounts from 0 to 100, four cities, one NULL in a hundred."""
    name = f"CASE WHEN n % 400 < {nulls} THEN NULL WHEN n % 4 = 0 AND '{city}' <> '' THEN '{city}' ELSE "
    name += "'city ' || (n % 4)::VARCHAR END"
    return f"(SELECT {name} AS city, ((n * 37 + {seed}) % 101)::DOUBLE + {shift} AS amount FROM range({rows}) AS r(n))"


def fired(con: duckdb.DuckDBPyConnection, contract: Table, now: str, history: list[str]) -> dict[str, str]:
    """Return what each rule says that fires on `now` after `history` (newest last)."""
    former = tuple((str(at), measure(con, contract, sql)) for at, sql in enumerate(history))[::-1]
    past = Past("", measure(con, contract, now), former, now)
    results = judge(con, contract, now, lookup=str, now=NOW, pasts=(past,))
    assert [result.error for result in results if result.error] == []
    return {result.rule.name: result.message for result in results if not result.passed}


HISTORY = [day(rows=390 + seed * 3, seed=seed) for seed in range(7)]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (day(), set()),
        (day(seed=50), set()),
        (day(nulls=120), {"nulls", "odd_nulls"}),
        (day(shift=50), {"mean", "median", "stability", "odd_mean"}),
        (day(city="new"), {"categories", "city_stability"}),
        (day(rows=100, nulls=1), {"volume", "odd_rows"}),
        (day(rows=1000), {"volume", "odd_rows"}),
    ],
    ids=["the same", "shuffled", "null burst", "mean shift", "category shift", "volume drop", "volume jump"],
)
def test_only_the_right_rules_fire(con, now, expected):
    """Of ten rules over one history, those that speak of what changed."""
    assert set(fired(con, sales(), now, HISTORY)) == expected


def test_a_finding_says_what_it_compared(con):
    """The figure, what it was before, of how many versions, by how much, and the threshold."""
    said = fired(con, sales(), day(rows=100, nulls=1), HISTORY)
    assert said == {
        "volume": "number of rows is 100, and was 399 in the median of 7 earlier versions, 0 to 6: -74.9 % "
        "(mustBeBetween -30 and 30 percent)",
        "odd_rows": "number of rows is 100; learned bounds 354.5 to 443.5 from 7 earlier versions, 0 to 6: "
        "33.6 deviations from their median (at most 5)",
    }


def test_a_constant_history_bears_small_changes(con):
    """Without any spread among earlier versions, a percent of the median counts as one deviation."""
    contract = sales(odd="{anomaly: {metric: rows}}")
    same = [day(rows=1000)] * 5
    assert [set(fired(con, contract, day(rows=rows), same)) for rows in (1000, 1030, 970, 1031)] == [
        set(),
        set(),
        set(),
        {"odd"},
    ]


def test_a_first_release_has_nothing_to_be_compared_with(con):
    """Rules that compare hold until there are enough versions, and say so; a file alone never has any."""
    contract = sales(drift="{drift: {metric: rows}, mustBe: 0}", odd="{anomaly: {metric: rows}}")
    past = Past("", measure(con, contract, day()), tuple(("x", {"rows": 1}) for _ in range(2)), day())
    results = judge(con, contract, day(), lookup=str, now=NOW, pasts=(past,), rules=contract.rules[-2:])
    assert [(r.passed, r.message) for r in results] == [
        (True, "no history yet (2 of 3)"),
        (True, "no history yet (2 of 5)"),
    ]
    results = judge(con, contract, day(), lookup=str, now=NOW, rules=contract.rules[-2:])
    assert [(r.passed, r.message) for r in results] == [
        (True, "no history yet (0 of 3)"),
        (True, "no history yet (0 of 5)"),
    ]


def test_figures_that_were_not_measured_are_measured_now(con):
    """A version that was written before its rule was declared is read; earlier ones of that kind are no history."""
    contract = sales(mean="{drift: {metric: mean, column: amount, minimum: 1}, mustBeBetween: [-1, 1]}")
    former = (("2", {"rows": 9}), ("1", measure(con, contract, day(shift=100))))
    past = Past("", {"rows": 400}, former, day())
    found = compare(Asked(con, contract, Rows(day()), NOW, pasts=(past,)), contract.rules[-1])
    assert (found.passed, found.message) == (
        False,
        (
            "mean of amount is 49.91, and was 149.9 in the median of 1 earlier version, 1: -66.7 % "
            "(mustBeBetween -1 and 1 percent)"
        ),
    )


@pytest.mark.parametrize(
    ("rule", "now", "before", "expected"),
    [
        ("{drift: {metric: rows}, mustBeBetween: [-9, 9]}", 0, 0, (True, 0)),
        ("{drift: {metric: rows}, mustBeBetween: [-9, 9]}", 5, 0, (False, None)),
        ("{drift: {metric: rows}, unit: value, mustBeBetween: [-9, 9]}", 5, 0, (True, 5)),
        ("{drift: {metric: rows}, mustBeBetween: [-9, 9]}", 0, 5, (False, -100)),
        ("{anomaly: {metric: rows}}", 0, 0, (True, 0)),
        ("{anomaly: {metric: rows}}", 1, 0, (False, None)),
    ],
)
def test_an_empty_history_is_no_division_by_zero(con, rule, now, before, expected):
    """From nothing to something there is no percentage: the rule fails and says so; nothing is infinite."""
    contract = sales(r=rule)
    past = Past("", {"rows": now}, tuple((str(at), {"rows": before}) for at in range(6)), "jobs")
    found = compare(Asked(con, contract, Rows("jobs"), NOW, pasts=(past,)), contract.rules[-1])
    assert (found.passed, found.observed) == expected


def test_a_column_that_lost_its_values_fails(con):
    """There is no mean of no number: the rule cannot be judged, and so fails."""
    contract = sales(mean="{drift: {metric: mean, column: amount}, mustBeBetween: [-1, 1]}")
    now = "(SELECT 'x' AS city, NULL::DOUBLE AS amount)"
    past = Past(
        "", measure(con, contract, now), tuple((str(at), measure(con, contract, day())) for at in range(3)), now
    )
    (result,) = judge(con, contract, now, lookup=str, now=NOW, pasts=(past,), rules=contract.rules[-1:])
    assert (result.passed, result.error) == (
        False,
        "mean of amount has no value now: there is no finite number, or no row, to measure it on",
    )


def test_what_is_measured_is_what_rules_name(con):
    """Rows and NULLs for nothing; the rest for columns of rules alone, without NaN and infinity, as JSON has it."""
    rules = (
        Rule("a", RuleKind.DRIFT, ("amount",), {"metric": "mean"}),
        Rule("b", RuleKind.DRIFT, ("amount",), {"metric": "quantile", "quantile": 0.25}),
        Rule("c", RuleKind.DRIFT, ("amount",), {"metric": "stddev"}),
        Rule("d", RuleKind.ANOMALY, ("address.city",), {"metric": "nulls"}),
        Rule("e", RuleKind.DRIFT, ("city",), {"metric": "categories"}),
        Rule("f", RuleKind.DRIFT, ("lost",), {"metric": "mean"}),
    )
    columns = (*COLUMNS, Column("lost", "number", "DOUBLE"))
    found = measure(con, Table("jobs", "", "", columns, rules), "jobs")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["rows"] == 5
    assert found["columns"] == {
        "amount": {"nulls": 0, "mean": 0.5, "quantiles": {"0.25": -2.5}, "stddev": pytest.approx(2.160, abs=1e-3)},
        "address.city": {"nulls": 2},
        "city": {"nulls": 1, "categories": {"Köln": 2, "Bonn": 1, "Koeln": 1}, "others": 0},
        "lost": {},
    }
    assert measure(con, table(*rules[:5]), "(SELECT * FROM jobs LIMIT 0)")["columns"]["city"] == {
        "nulls": 0,
        "categories": {},
        "others": 0,
    }


def test_a_classified_column_is_compared_without_its_values(con):
    """Categories are kept as hashes, and no message shows a value or a figure of the column."""
    columns = tuple(Column(c.name, c.logical_type, c.sql_type, classification="personal") for c in COLUMNS)
    rules = (
        Rule("a", RuleKind.DRIFT, ("amount",), {"metric": "mean", "minimum": 1}),
        Rule("b", RuleKind.DRIFT, ("city",), {"metric": "categories", "minimum": 1}),
        Rule("c", RuleKind.ANOMALY, ("amount",), {"metric": "mean", "minimum": 1}),
    )
    contract = Table("jobs", "shop.jobs", "", columns, rules)
    profile = measure(con, contract, "jobs")
    assert "Köln" not in json.dumps(profile, ensure_ascii=False)
    other = measure(con, contract, "(SELECT * REPLACE (city || '!' AS city, 7.25 AS amount) FROM jobs)")
    pasts = (Past("", profile, (("1", other),), "jobs"),)
    for result in judge(con, contract, "jobs", lookup=str, now=NOW, pasts=pasts):
        assert not result.passed
        assert not any(word in result.message for word in ("Köln", "Bonn", "7.25", "0.5"))


def test_categories_beyond_the_counted_are_one(con):
    """With more values than are counted one by one, the rest is compared together, not as values that vanished."""
    contract = sales(r="{drift: {metric: categories, column: city, minimum: 1}, mustBeLessThan: 10}")
    many = "(SELECT 'c' || ((n + {0}) % 200) AS city, 1.0::DOUBLE AS amount FROM range({1}) AS r(n))"
    assert fired(con, contract, many.format(7, 4001), [many.format(3, 4099)]) == {}


@pytest.mark.parametrize(
    ("implementation", "why"),
    [
        ("{drfit: {metric: rows}}", "Did you mean 'drift'"),
        ("{drift: {metrik: rows}, mustBe: 0}", "Did you mean 'metric'"),
        ("{drift: {metric: row}, mustBe: 0}", "Did you mean 'rows'"),
        ("{drift: {metric: rows}}", "how far the metric may move"),
        ("{drift: {metric: rows, column: a}, mustBe: 0}", "rows are those of the table"),
        ("{drift: {metric: mean}, mustBe: 0}", "of which column"),
        ("{drift: {metric: mean, column: s}, mustBe: 0}", "which has no mean"),
        ("{drift: {metric: mean, column: l.items}, mustBe: 0}", "items of a list"),
        ("{drift: {metric: nulls, column: aa}, mustBe: 0}", "Did you mean 'a'"),
        ("{drift: {metric: rows, releases: 2, minimum: 3}, mustBe: 0}", "compares with 2 versions and needs 3"),
        ("{drift: {metric: rows, quantile: 0.5}, mustBe: 0}", "no `quantile`"),
        ("{drift: {metric: nulls, column: a}, unit: rows, mustBe: 0}", "unit 'rows'"),
        ("{anomaly: {metric: psi, column: a}}", "no bounds can be learnt"),
        ("{anomaly: {metric: rows}, mustBe: 0}", "bounds are learnt"),
        ("{anomaly: {metric: rows, deviations: 0}}", "above 0"),
        ("{functionalDependency: {determinant: [a], dependent: [a]}}", "depend on itself"),
        ("{functionalDependency: {determinant: [a]}}", "names no dependent"),
        ("{functionalDependency: {determinant: [a], dependent: [z]}}", "'z' is not in table"),
        ("{reconciliation: {query: SELECT 1}}", "'control'"),
        ("{reconciliation: {query: SELECT 1, control: DELETE FROM t}}", "`control` cannot be used"),
        ("{condition: {then: a > 1}, drift: {metric: rows}}", "only one of"),
        ("{condition: {then: a > 1}, mustBe: 0, mustNotBe: 1}", "in two ways"),
        ("{condition: {then: a > 1}, mustBe: many}", "Compare with a number"),
        ("some text", "instead of a mapping"),
        ("{unit: rows}", "Add one of"),
    ],
)
def test_what_a_rule_does_not_know_is_a_fault_where_it_stands(implementation, why):
    """Misspelt keys, columns and metrics have their line and what was meant; nothing is left out in silence."""
    found, faults = read(implementation)
    assert {fault.line for fault in faults} == {9}
    assert why in " ".join(f"{fault.what} {fault.fix}" for fault in faults)
    assert [rule.kind for rule in found.rules] == [RuleKind.SCHEMA]


def test_operators_beside_an_implementation_are_refused():
    """ODCS 3.0 lets them stand there, and later ones do not."""
    _, faults = read("{drift: {metric: rows}}", mustBe="0")
    assert ["Move it into `implementation`."] == [fault.fix for fault in faults]


# Releases

SALES = "assets/shop/sales/contracts/sales.odcs.yaml"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a project with one table that is no partitioned one, whose volume is watched."""
    root = tmp_path
    text = (
        "apiVersion: v1.1.0\nkind: DataProduct\nid: shop-sales\nname: sales\nversion: 1.0.0\nstatus: draft\n"
        "domain: shop\ntype: sourceAligned\ndescription:\n  purpose: Every sale of the shop, as the till wrote it.\n"
        "team:\n  name: till\n"
        "  members:\n    - {username: ana@example.com, role: owner}\n"
        "outputPorts:\n  - {name: sales, version: 1.0.0, type: table, contractId: shop.sales.sales}\n"
    )
    path = root / "assets/shop/sales/product.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    server = "servers:\n  - {server: till, type: local, path: data/sales.csv, format: csv}"
    columns = {"city": "logicalType: string", "amount": "logicalType: number"}
    add_table(
        root, "shop/sales", "sales", columns, "SELECT city, CAST(amount AS DOUBLE) AS amount FROM till", more=server
    )
    rule = (
        "    quality:\n      - {name: volume, type: custom, engine: dataproducts, implementation: {drift: "
        "{metric: rows, releases: 3, minimum: 2}, mustBeBetween: [-20, 20]}}\n"
        "      - {name: mean, type: custom, engine: dataproducts, severity: warning, implementation: {drift: "
        "{metric: mean, column: amount, releases: 3, minimum: 2}, mustBeBetween: [-20, 20]}}\n    properties:\n"
    )
    edit(root / SALES, "    properties:\n", rule)
    return root


def sell(root: Path, rows: int, amount: int = 10) -> Any:
    """Replace the source by so many sales, and release them."""
    (root / "data").mkdir(exist_ok=True)
    lines = [f"c{at % 3},{amount + at % 2}" for at in range(rows)]
    (root / "data/sales.csv").write_text("city,amount\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return build(root, "shop/sales")


def said(root: Path, address: str, name: str) -> dict[str, str]:
    """Return what the rules that compare say of the current release."""
    with Warehouse.open(environment(root)) as warehouse:
        results = recheck(warehouse, product(root, address))[name].results
    return {result.rule.name: result.message for result in results if result.rule.kind is RuleKind.DRIFT}


def test_releases_are_compared_with_those_before(shop: Path) -> None:
    """A release with half the rows is refused, and one that is refused is no history of the next."""
    for rows in (100, 104, 96):
        sell(shop, rows)
    with pytest.raises(
        RefusedError, match=r"volume: number of rows is 48, and was 100 in the median of 3 earlier versions"
    ):
        sell(shop, 48)
    sell(shop, 98, amount=30)
    assert said(shop, "shop/sales", "sales") == {
        "volume": "number of rows is 98, and was 100 in the median of 3 earlier versions, release 1 to release 3: -2 % "
        "(mustBeBetween -20 and 20 percent)",
        "mean": "mean of amount is 30.5, and was 10.5 in the median of 3 earlier versions, release 1 to release 3: "
        "+190 % (mustBeBetween -20 and 20 percent)",
    }


def test_what_was_rolled_back_is_no_history(shop: Path) -> None:
    """After a rollback the releases that it undid do not count, and the one that it restored counts once."""
    for rows in (100, 102):
        sell(shop, rows)
    edit(shop / SALES, "[-20, 20]}}\n      - {name: mean", "[-90, 90]}}\n      - {name: mean")
    sell(shop, 40)
    edit(shop / SALES, "[-90, 90]}}\n      - {name: mean", "[-20, 20]}}\n      - {name: mean")
    with Warehouse.open(environment(shop)) as warehouse:
        rollback(warehouse.ledger, warehouse.store, "shop/sales", 2, run_id="back", reason="too few")
    sell(shop, 101)
    assert said(shop, "shop/sales", "sales")["volume"].startswith(
        "number of rows is 101, and was 101 in the median of 2 earlier versions, release 1 to release 2: +0 %"
    )


ORDERS = "assets/shop/orders/contracts/orders.odcs.yaml"


def days_watched(tmp_path: Path) -> Path:
    """Return the shop with ten days of four orders, whose days are compared, and a dependency on its rows."""
    root = make_shop(tmp_path)
    rules = (
        "    quality:\n      - {name: volume, type: custom, engine: dataproducts, implementation: {drift: "
        "{metric: rows, releases: 3}, mustBeBetween: [-30, 30]}}\n"
        "      - {name: till, type: custom, engine: dataproducts, implementation: {functionalDependency: "
        "{determinant: [order_id], dependent: [amount, customer_id]}}}\n    properties:\n"
    )
    edit(root / ORDERS, "    properties:\n", rules)
    return root


def test_a_day_is_compared_with_the_days_before(tmp_path: Path) -> None:
    """Of days made together each is held against those before it; the first have no history, and that is fine."""
    root = days_watched(tmp_path)
    lost = dict.fromkeys(range(17, 20), "")  # three of the four orders of 5 January
    write_orders(root, bad=lost)
    with pytest.raises(
        RefusedError, match=r"2024-01-05: number of rows is 1, and was 4 .* 2024-01-02 to 2024-01-04: -75 %"
    ):
        build(root, "shop/orders")
    write_orders(root)
    build(root, "shop/orders")
    assert said(root, "shop/orders", "orders")["volume"].startswith(
        "2024-01-10: number of rows is 4, and was 4 in the median of 3"
    )


def test_a_day_that_is_rebuilt_is_compared_with_those_before_it(tmp_path: Path) -> None:
    """Rebuilding a day in the middle judges that day: what came later is no part of its history, nor judged again."""
    root = days_watched(tmp_path)
    build(root, "shop/orders")
    write_orders(root, bad=dict.fromkeys(range(17, 20), ""))
    with Warehouse.open(environment(root)) as warehouse:
        found = product(root, "shop/orders")
        with pytest.raises(RefusedError, match=r"2024-01-05: number of rows is 1, .* 2024-01-02 to 2024-01-04"):
            refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, 5)]})
    write_orders(root, bad={17: "17,1,2024-01-05,99"})
    with Warehouse.open(environment(root)) as warehouse:
        refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, 5)]})
    assert said(root, "shop/orders", "orders")["volume"].startswith(
        "2024-01-05: number of rows is 4, and was 4 in the median of 3"
    )


def test_a_dependency_of_a_new_day_reads_what_may_meet_it(tmp_path: Path) -> None:
    """Days whose orders are others are not read again; an order that comes back with another amount is found."""
    root = days_watched(tmp_path)
    build(root, "shop/orders")
    found = product(root, "shop/orders")
    rule = next(rule for rule in found.table("orders").rules if rule.kind is RuleKind.FUNCTIONAL_DEPENDENCY)
    write_orders(root, bad={40: "40,4,2024-01-10,1000"})
    with Warehouse.open(environment(root)) as warehouse:
        outcome = refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, 10)]})
        stored = warehouse.ledger.history("shop/orders", "orders", rule.name)[0]
    assert (stored.passed, stored.detail["method"]) == (True, "scan of what may meet new rows")
    assert outcome.release.number == 2
    write_orders(root, bad={40: "3,3,2024-01-10,1000"})
    with (
        Warehouse.open(environment(root)) as warehouse,
        pytest.raises(RefusedError, match="order_id has several amount"),
    ):
        refresh_product(warehouse, found, partitions={"orders": [date(2024, 1, 10)]})


def test_every_version_keeps_its_figures(tmp_path: Path) -> None:
    """Rows and NULLs of each column are kept of every version, without a rule that asks for them."""
    root = make_shop(tmp_path)
    release = build(root, "shop/orders").release
    with Warehouse.open(environment(root)) as warehouse:
        profile = warehouse.ledger.composition(release)["orders"][0].profile
    assert profile == {
        "rows": 4,
        "columns": {name: {"nulls": 0} for name in ("amount", "customer_id", "order_id", "ordered_on")},
    }
