"""Policies for missing and outlying values: declared, applied before the split, and counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproducts.errors import DeclarationError, RefusedError
from dataproducts.load import load_project
from dataproducts.product import Column, Severity, Table, Treatment
from dataproducts.rules.treatments import treat
from dataproducts.warehouse import Warehouse
from tests.shop import add_product, add_table, build, environment, make_shop, product, served

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    Column("id", "integer", "BIGINT", primary_key=1),
    Column("n", "integer", "BIGINT"),
    Column("f", "number", "DOUBLE"),
    Column("d", "number", "DECIMAL(9,2)"),
    Column('odd "na.me', "string", "VARCHAR"),
    Column("day", "date", "DATE"),
    Column("at", "timestamp", "TIMESTAMP WITH TIME ZONE"),
)
ROWS = """
    (1, 10, 1.5, 1.10, 'a', DATE '2024-01-01', TIMESTAMPTZ '2024-01-01 00:00:00+00'),
    (2, NULL, 'nan', NULL, '', NULL, NULL),
    (3, 20, NULL, 2.20, 'ü', DATE '2024-01-03', TIMESTAMPTZ '2024-01-03 00:00:00+00'),
    (4, 20, 2.5, 2.20, NULL, DATE '2024-01-02', NULL),
    (5, 999, 'inf', 99.99, 'ü', DATE '2999-01-01', TIMESTAMPTZ '2024-01-05 00:00:00+00')
"""


DAYS = ("2024-01-03", "2024-01-02", "2999-01-01")


def missing(column: str, policy: str = "impute", **params: Any) -> Treatment:
    """Return a policy for missing values."""
    return Treatment(f"{column}.missing", column, "missing", policy, params)


def outliers(column: str, policy: str = "cap", **params: Any) -> Treatment:
    """Return a policy for outlying values."""
    return Treatment(f"{column}.outliers", column, "outliers", policy, params)


def treated(*treatments: Treatment, rows: str = ROWS) -> tuple[list[tuple[Any, ...]], dict[str, int]]:
    """Return the rows after these policies, by id, and what was counted."""
    table = Table("t", "", "", COLUMNS, (), treatments=treatments)
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        listed = ", ".join('"{}" {}'.format(c.name.replace('"', '""'), c.sql_type) for c in COLUMNS)
        con.execute(f"CREATE TABLE t ({listed})")
        if rows:
            con.execute(f"INSERT INTO t VALUES {rows}")
        found = treat(con, table, "t")
        query = found.sql or "SELECT * FROM t"
        assert [c.name for c in COLUMNS] == [row[0] for row in con.execute(f"DESCRIBE {query}").fetchall()]
        types = [row[1] for row in con.execute(f"DESCRIBE {query}").fetchall()]
        assert [c.sql_type for c in COLUMNS] == types
        return con.execute(f"SELECT * FROM ({query}) ORDER BY id").fetchall(), dict(found.counts)


def column(rows: list[tuple[Any, ...]], at: int) -> list[str]:
    """Return one column as text."""
    return [str(row[at]) for row in rows]


@pytest.mark.parametrize(
    ("treatment", "at", "expected", "count"),
    [
        (missing("n", value=0), 1, ["10", "0", "20", "20", "999"], 1),
        (missing("n", by="median"), 1, ["10", "20", "20", "20", "999"], 1),
        (missing("n", by="mean"), 1, ["10", "262", "20", "20", "999"], 1),
        (missing("n", by="mode"), 1, ["10", "20", "20", "20", "999"], 1),
        (missing("n", by="previous", orderBy="id"), 1, ["10", "10", "20", "20", "999"], 1),
        (missing("n", by="previous", orderBy="day"), 1, ["10", "999", "20", "20", "999"], 1),
        (missing("n", by="mode", values=[20]), 1, ["10", "10", "10", "10", "999"], 3),
        (missing("f", by="median"), 2, ["1.5", "nan", "2.5", "2.5", "inf"], 1),
        (missing("f", by="median", values=["nan"]), 2, ["1.5", "2.5", "2.5", "2.5", "inf"], 2),
        (missing("d", by="mean"), 3, ["1.10", "26.37", "2.20", "2.20", "99.99"], 1),
        (missing('odd "na.me', value="?", values=[""]), 4, ["a", "?", "ü", "?", "ü"], 2),
        (missing('odd "na.me', by="mode"), 4, ["a", "", "ü", "ü", "ü"], 1),
        (missing("day", by="median"), 5, ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-02", "2999-01-01"], 1),
        (missing("day", value="2024-02-29"), 5, ["2024-01-01", "2024-02-29", *DAYS], 1),
        (missing("n", "allow"), 1, ["10", "None", "20", "20", "999"], 1),
        (outliers("n", minimum=15, maximum=100), 1, ["15", "None", "20", "20", "100"], 2),
        (outliers("f", maximum=2), 2, ["1.5", "nan", "None", "2.0", "2.0"], 2),
        (outliers("d", maximum=2.25), 3, ["1.10", "None", "2.20", "2.20", "2.25"], 1),
        (outliers("day", maximum="2024-12-31"), 5, ["2024-01-01", "None", "2024-01-03", "2024-01-02", "2024-12-31"], 1),
        (outliers("n", method="iqr"), 1, ["10", "None", "20", "20", "635"], 1),
        (outliers("n", method="iqr", factor=0.5), 1, ["10", "None", "20", "20", "388"], 1),
        (outliers("d", method="iqr"), 3, ["1.10", "None", "2.20", "2.20", "63.73"], 1),
        (outliers("n", method="percentiles", lower=30, upper=70), 1, ["20", "None", "20", "20", "20"], 2),
        (outliers("n", "allow", method="percentiles", upper=50), 1, ["10", "None", "20", "20", "999"], 1),
    ],
)  # fmt: skip
def test_a_policy_changes_what_it_says(treatment: Treatment, at: int, expected: list[str], count: int) -> None:
    """Missing and outlying values become what the policy says, types and order of columns stay, rows are counted."""
    rows, counts = treated(treatment)
    assert expected == column(rows, at)
    assert {treatment.name: count} == counts
    others = [other for other in range(len(COLUMNS)) if other != at]
    assert [column(treated()[0], other) for other in others] == [column(rows, other) for other in others]


def test_times_with_a_zone_survive() -> None:
    """A moment found in the rows is the same moment when it is put in."""
    rows, _ = treated(missing("at", by="median"))
    assert "2024-01-03 00:00:00+00:00" == str(rows[1][6])


def test_nothing_happens_to_no_rows() -> None:
    """A table without rows, and one with nothing but NULL, have no statistics: nothing is put in."""
    policies = (
        missing("n", by="mean"),
        missing("f", by="mode"),
        outliers("d", method="iqr"),
        missing("day", by="median"),
    )
    assert ([], dict.fromkeys((one.name for one in policies), 0)) == treated(*policies, rows="")
    rows, counts = treated(*policies, rows="(1, NULL, NULL, NULL, NULL, NULL, NULL)")
    assert ((1, *[None] * 6), 1, 0) == (rows[0], counts["n.missing"], counts["d.outliers"])


def test_a_previous_value_is_taken_after_its_cap() -> None:
    """What stands in for a missing value is never outlying itself."""
    rows, counts = treated(missing("n", by="previous", orderBy="day"), outliers("n", maximum=100))
    assert (["10", "100", "20", "20", "100"], {"n.missing": 1, "n.outliers": 1}) == (column(rows, 1), counts)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(-50, 50)), max_size=12), st.sampled_from(["median", "mode", "previous"])
)
def test_what_is_put_in_occurs_and_nothing_else_changes(values: list[int | None], by: str) -> None:
    """For any column, present values stay, and each gap gets a value of the column or stays, the same each time."""
    rows = ", ".join(f"({at}, {'NULL' if v is None else v}, 0, 0, '', NULL, NULL)" for at, v in enumerate(values))
    policy = missing("n", by=by, **({"orderBy": "id"} if by == "previous" else {}))
    first, counts = treated(policy, rows=rows)
    assert (first, {"n.missing": values.count(None)}) == (treated(policy, rows=rows)[0], counts)
    for before, (_, after, *_) in zip(values, first, strict=True):
        assert after == before if before is not None else after is None or after in values


# Declared

CAPPED = "{property: outliers, value: {policy: cap, maximum: 50}}"
NUMBER = "logicalType: number"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Return a shop that was never built, with a product for tables with policies."""
    root = make_shop(tmp_path)
    add_product(root, "treated", inputs=["shop.orders.orders"], port="t")
    return root


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a built shop with a product for tables with policies."""
    root = make_shop(tmp_path)
    build(root, "shop/orders")
    add_product(root, "treated", inputs=["shop.orders.orders"], port="t")
    return root


def declare(root: Path, text: str, *, sql: str = "", kind: str = "logicalType: number", **more: str) -> None:
    """Write a table of ids and values `x`, whose custom properties are `text`."""
    columns = {"id": "logicalType: integer, primaryKey: true", "x": f"{kind}, customProperties: [{text}]"}
    given = sql or "SELECT order_id AS id, CASE WHEN order_id > 4 THEN amount END AS x FROM orders"
    add_table(root, "shop/treated", "t", columns, given, **more)


def kept(root: Path, address: str = "shop/treated") -> Any:
    """Return the one version of the released table."""
    with Warehouse.open(environment(root)) as warehouse:
        head = warehouse.ledger.head(address)
        assert head is not None
        return warehouse.ledger.composition(head)["t"][0]


def test_effects_are_kept_with_the_version(shop: Path) -> None:
    """What was imputed and capped is published, and how many rows that were is known of the release."""
    declare(shop, f"{{property: missing, value: {{policy: impute, value: -1}}}}, {CAPPED}")
    build(shop, "shop/treated")
    assert [(40, 4, 21, 50.0)] == served(
        shop,
        "shop/treated",
        "SELECT count(*), count(*) FILTER (x = -1), count(*) FILTER (x = 50), max(x) FROM published.t",
    )
    assert {"x.missing": 4, "x.outliers": 20} == dict(kept(shop).treated)


def test_reject_refuses(shop: Path) -> None:
    """A missing value is a failed rule under the policy's name."""
    declare(shop, "{property: missing, value: reject}")
    with pytest.raises(RefusedError, match=r"x\.missing: 4 of 40 rows"):
        build(shop, "shop/treated")


@pytest.mark.parametrize(
    ("text", "name", "rows"),
    [
        ("{property: missing, value: quarantine}", "x.missing", 4),
        ("{property: outliers, value: {policy: quarantine, maximum: 90}}", "x.outliers", 4),
        ("{property: outliers, value: {policy: quarantine, method: percentiles, upper: 90}}", "x.outliers", 3),
    ],
)
def test_quarantine_sets_aside(shop: Path, text: str, name: str, rows: int) -> None:
    """Rows go to quarantine under the policy's name, whether its bounds are declared or found."""
    declare(shop, text)
    build(shop, "shop/treated")
    version = kept(shop)
    assert ({name: rows}, {name: rows}, 40 - rows) == (dict(version.quarantined), dict(version.treated), version.rows)


def test_a_policy_without_a_rule_is_limited_too(shop: Path) -> None:
    """Bounds that are found in the rows set aside no more than they may."""
    found = "{property: outliers, value: {policy: quarantine, method: percentiles, upper: 90}}"
    declare(shop, f"{found}, {{property: maxQuarantined, value: 2 rows}}")
    with pytest.raises(RefusedError, match=r"x\.outliers would set aside 3 of 40 rows"):
        build(shop, "shop/treated")


def test_allow_counts_and_passes(shop: Path) -> None:
    """What is allowed on purpose passes, and each refresh keeps how much it was."""
    declare(shop, "{property: missing, value: allow}, {property: outliers, value: {policy: allow, maximum: 90}}")
    build(shop, "shop/treated")
    rules = {rule.name: rule for rule in product(shop, "shop/treated").table("t").rules}
    assert (Severity.INFO, False) == (rules["x.missing"].severity, rules["x.missing"].blocking)
    with Warehouse.open(environment(shop)) as warehouse:
        (found,) = warehouse.ledger.history("shop/treated", "t", "x.missing")
    assert (True, 4, 40) == (found.passed, found.detail["failed_rows"], found.detail["total_rows"])
    assert {"x.missing": 4, "x.outliers": 4} == dict(kept(shop).treated)


@pytest.mark.parametrize("batch", ["each", "range"])
def test_statistics_are_those_of_one_partition(shop: Path, batch: str) -> None:
    """Whether a day is written alone or with others, its gaps get the median of that day."""
    cut = f"{{column: day, unit: day, start: '2024-01-01', end: '2024-01-04', batch: {batch}}}"
    columns = {
        "day": "logicalType: date",
        "x": "logicalType: number, customProperties: [{property: missing, value: {policy: impute, by: median}}]",
    }
    sql = (
        "SELECT ordered_on AS day, CASE WHEN order_id % 4 <> 0 THEN amount END AS x FROM orders "
        "WHERE ordered_on >= $partition_start AND ordered_on < $partition_end"
    )
    add_table(shop, "shop/treated", "t", columns, sql, custom=f"[{{property: partition, value: {cut}}}]")
    build(shop, "shop/treated")
    query = "SELECT day(day), list(x ORDER BY x) FROM published.t GROUP BY 1 ORDER BY 1"
    expected = [(1, [2.5, 5.0, 5.0, 7.5]), (2, [12.5, 15.0, 15.0, 17.5]), (3, [22.5, 25.0, 25.0, 27.5])]
    assert expected == served(shop, "shop/treated", query)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("missing: forget", NUMBER, "forget"),
        ("missing: impute", NUMBER, "impute"),
        ("missing: {policy: impute}", NUMBER, "needs what to put in"),
        ("missing: {policy: impute, value: 1, by: mean}", NUMBER, "needs what to"),
        ("missing: {policy: allow, value: 1}", NUMBER, "belongs to the policy impute"),
        ("missing: {policy: impute, by: previous}", NUMBER, "need each other"),
        ("missing: {policy: impute, by: previous, orderBy: idd}", NUMBER, "Did you mean"),
        ("missing: {policy: impute, by: mean}", "logicalType: string", "which has no mean"),
        ("missing: {policy: impute, value: x}", NUMBER, "'x' is no DOUBLE"),
        ("missing: {policy: impute, value: 1.5}", "logicalType: integer", "1.5 is no BIGINT"),
        ("missing: allow", f"{NUMBER}, required: true", "is required, and may be missing"),
        ("missing: {policy: impute, value: 1}", f"{NUMBER}, unique: true", "identifies rows"),
        ("outliers: {policy: cap}", NUMBER, "outliers need bounds"),
        ("outliers: {policy: cap, minimum: 1, method: iqr}", NUMBER, "need bounds"),
        ("outliers: {policy: cap, minimum: 1, factor: 2}", NUMBER, "needs a method"),
        ("outliers: {policy: cap, minimum: 2, maximum: 1}", NUMBER, "nothing lies"),
        ("outliers: {policy: reject, method: iqr}", NUMBER, "move with them"),
        ("outliers: {policy: cap, method: percentiles, lower: 9, upper: 1}", NUMBER, "the lower first"),
        ("outliers: {policy: cap, method: iqr}", "logicalType: date", "no such bounds"),
        ("outliers: {policy: cap, minimum: 1}", "logicalType: string", "no such bounds"),
        ("outliers: {policy: cap, minimum: much}", NUMBER, "'much' is no DOUBLE"),
    ],
)  # fmt: skip
def test_a_policy_without_sense_is_a_fault(bare: Path, text: str, kind: str, said: str) -> None:
    """Every policy that could not be carried out is told in its line, before anything is built."""
    of, _, value = text.partition(": ")
    declare(bare, f"{{property: {of}, value: {value}}}", kind=kind)
    faults = load_project(bare).faults
    assert faults
    with pytest.raises(DeclarationError, match=said):
        raise DeclarationError(faults)


def test_a_policy_is_a_clause_that_is_kept(bare: Path) -> None:
    """`validate` counts the policies among what is enforced."""
    from dataproducts.declare.clauses import report

    declare(bare, f"{{property: missing, value: {{policy: impute, value: 0}}}}, {CAPPED}")
    lines = [line for line in report(product(bare, "shop/treated")) if re.search("outliers|missing", line.clause)]
    assert (6, {"enforced"}) == (len(lines), {line.state for line in lines})
