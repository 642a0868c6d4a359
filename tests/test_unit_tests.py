"""Unit tests of transforms, run by the library and by pytest."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import date
from pathlib import Path

import pytest

from dataproducts.errors import DeclarationError
from dataproducts.product import (
    Column,
    DataProduct,
    InputPort,
    Layer,
    Mark,
    Partitioning,
    Server,
    Status,
    Table,
    Transform,
)
from dataproducts.transforms.unit_tests import WIDTH, Case, collect, known_schemas, read_cases, run_case

SPENDING = """
SELECT p.household, round(sum(p.amount * 1.1), 2)::DECIMAL(18, 2) AS spent, count(*) AS lines, sum(p.share) AS share
FROM purchases p LEFT JOIN customers c ON c.household = p.household
GROUP BY ALL
ORDER BY household
"""
PURCHASES = (
    Column("household", "integer", "BIGINT"),
    Column("bought", "date", "DATE"),
    Column("amount", "number", "DECIMAL(9,2)"),
    Column("share", "number", "DOUBLE"),
)


def made(name: str, text: str, columns: dict[str, str], **more) -> Table:
    """A table with a SQL transform."""
    declared = tuple(Column(n, "string", kind, primary_key=int(n == "household")) for n, kind in columns.items())
    transform = Transform("sql", Path(f"{name}.sql"), text, Mark(f"transforms/{name}.sql", 1))
    return Table(name, f"retail.shop.{name}", "1.0.0", declared, (), transform=transform, **more)


PRODUCT = DataProduct(
    "retail",
    "shop",
    "1.0.0",
    Layer.AGGREGATE,
    Status.DRAFT,
    Path("shop"),
    (
        made(
            "spending",
            SPENDING,
            {"household": "BIGINT", "spent": "DECIMAL(18,2)", "lines": "BIGINT", "share": "DOUBLE"},
        ),
        made(
            "daily",
            "SELECT household FROM purchases WHERE bought >= $partition_start AND bought < $partition_end",
            {"household": "BIGINT"},
            partitioning=Partitioning("bought", "day", date(2017, 1, 1)),
        ),
        made(
            "cleaned",
            "SELECT CAST(Id AS BIGINT) AS id, day FROM raw",
            {"id": "BIGINT", "day": "DATE"},
            servers=(Server("raw", "local", {"columns": {"day": "DATE"}}),),
        ),
        made("customers", "SELECT 1 AS household", {"household": "BIGINT"}),
    ),
    inputs=(InputPort("purchases", "retail.purchases.lines", "1.0.0"),),
    mark=Mark("assets/retail/shop/product.yaml", 1),
)
UPSTREAM = DataProduct(
    "retail",
    "purchases",
    "1.0.0",
    Layer.SOURCE_ALIGNED,
    Status.DRAFT,
    Path("purchases"),
    (Table("lines", "retail.purchases.lines", "1.0.0", PURCHASES, ()),),
)
SCHEMAS = known_schemas(PRODUCT, [UPSTREAM])


def run(table: str, given: dict, expect: list, **more):
    """The outcome of one case."""
    rows = {name: tuple(listed) for name, listed in given.items()}
    return run_case(Case(table, "a case", rows, tuple(expect), **more), PRODUCT, schemas=SCHEMAS)


LINES = [
    {"household": 1, "amount": 1.50, "share": 0.1},
    {"household": 1, "amount": 0.25, "share": 0.2},
    {"household": 2},
]


def test_rows_are_compared_without_order_on_the_columns_named():
    """Decimals are exact, floats near, a relation left out is empty, and a column left out is NULL."""
    outcome = run(
        "spending",
        {"purchases": LINES},
        [{"household": 2, "lines": 1, "spent": None}, {"household": 1, "lines": 2, "spent": 1.93, "share": 0.3}],
    )
    assert (outcome.passed, outcome.diff) == (True, "")


def test_a_difference_is_told_by_key_and_column():
    """Rows with the same key show the columns that differ, others stand whole."""
    outcome = run("spending", {"purchases": LINES}, [{"household": 1, "lines": 3}, {"household": 9, "lines": 1}])
    assert not outcome.passed
    assert outcome.diff.splitlines() == [
        "2 rows expected, 2 made (- expected, + made)",
        "- household=1  lines=3",
        "+ household=1  lines=2",
        "- household=9  lines=1",
        "+ household=2  lines=1",
    ]


def test_a_row_too_many_counts():
    """Rows are a multiset: the same row twice is not the same as once."""
    assert not run("daily", {"purchases": []}, [{"household": 1}], partition=date(2017, 1, 1)).passed
    twice = {"purchases": [{"household": 1, "bought": "2017-01-01"}] * 2}
    assert not run("daily", twice, [{"household": 1}], partition=date(2017, 1, 1)).passed
    assert run("daily", twice, [{"household": 1}] * 2, partition=date(2017, 1, 1)).passed


def test_order_counts_where_the_case_says_so():
    """An ordered case compares row by row."""
    rows = [{"household": 1}, {"household": 2}]
    assert run("spending", {"purchases": LINES}, rows, ordered=True).passed
    outcome = run("spending", {"purchases": LINES}, rows[::-1], ordered=True)
    assert not outcome.passed
    assert "in this order" in outcome.diff


def test_differences_stay_readable():
    """However many and long the rows, a difference is at most 22 lines of 80 characters."""
    rows = [{"Id": str(number), "day": "2017-01-01"} for number in range(100)]
    outcome = run("cleaned", {"raw": rows}, [])
    lines = outcome.diff.splitlines()
    assert len(lines) == 22
    assert max(map(len, lines)) <= WIDTH
    assert lines[-1] == "... and 80 more lines"


@pytest.mark.parametrize(
    ("table", "given", "expect", "more", "message"),
    [
        ("spendings", {}, [], {}, "Did you mean 'spending'"),
        ("spending", {"purchase": []}, [], {}, "given 'purchase' is not read by 'spending'. Did you mean 'purchases'"),
        ("spending", {"purchases": [{"amout": 1}]}, [], {}, "Did you mean 'amount'"),
        ("spending", {"purchases": [{"amount": 1.555}]}, [], {}, "given 'purchases', row 1: column 'amount': a value"),
        ("spending", {"purchases": [{"bought": "2017-13-01"}]}, [], {}, "row 1: column 'bought'"),
        ("spending", {}, [{"lime": 1}], {}, "expect names 'lime', no column of 'spending'"),
        ("spending", {}, [{"lines": 1}], {"columns": ("lime",)}, "expect names 'lime'"),
        ("spending", {}, [{"lines": "x"}], {}, "expect, row 1: column 'lines'"),
        ("spending", {}, [], {"partition": date(2017, 1, 1)}, "declares none"),
        ("daily", {}, [], {}, "partition_start is used, but no partition"),
        ("cleaned", {"raw": [{"day": "2017-01-01"}]}, [], {}, "Binder Error"),
    ],
)
def test_a_case_that_cannot_run_has_failed(table, given, expect, more, message):
    """What is wrong with a case, or with its transform, is its outcome and raises nothing."""
    outcome = run(table, given, expect, **more)
    assert not outcome.passed
    assert message in outcome.diff


def test_unknown_columns_need_a_row():
    """A relation whose contract nobody has is typed by the look of its rows, and cannot be left out."""
    text = "SELECT a + 1 AS household FROM elsewhere WHERE ok AND word <> 'x' AND rate > 0.1"
    product = DataProduct(
        "retail", "shop", "1.0.0", Layer.AGGREGATE, Status.DRAFT, Path(), (made("t", text, {"household": "BIGINT"}),)
    )
    rows = ({"a": 1, "ok": True, "word": "y", "rate": 1}, {"a": 2, "ok": None, "word": None, "rate": 0.5})
    assert run_case(Case("t", "c", {"elsewhere": rows}, ({"household": 2},)), product).passed
    assert "are unknown" in run_case(Case("t", "c", {}, ()), product).diff


FILE = """
- table: spending
  name: sums by household
  given:
    purchases:
      - {household: 1, bought: 2017-01-01, amount: 1.50}
  expect:
    - {household: 1, lines: 1}

- table: daily
  name: one day
  partition: 2017-01-01
  ordered: true
  columns: [household]
  given: {purchases: []}
  expect: []
"""


def test_cases_are_read_with_their_lines(tmp_path):
    """Every case of every file comes with the line on which it starts."""
    product = DataProduct(
        "retail", "shop", "1.0.0", Layer.AGGREGATE, Status.DRAFT, tmp_path, PRODUCT.tables, mark=PRODUCT.mark
    )
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.yaml").write_text(FILE)
    (tmp_path / "tests" / "b.yaml").write_text(textwrap.dedent(FILE.split("\n\n")[1])[2:].replace("\n  ", "\n"))
    first, second, third = collect(product)
    assert [str(case.mark) for case in (first, second, third)] == [
        "assets/retail/shop/tests/a.yaml:2",
        "assets/retail/shop/tests/a.yaml:10",
        "assets/retail/shop/tests/b.yaml:1",
    ]
    assert (second.partition, second.ordered, second.columns) == (date(2017, 1, 1), True, ("household",))
    assert run_case(first, product, schemas=SCHEMAS).passed
    assert third.name == second.name


def test_faults_of_all_files_come_at_once(tmp_path):
    """A table that is not there and a key that is misspelt are told together, by file and line."""
    product = DataProduct("retail", "shop", "1.0.0", Layer.AGGREGATE, Status.DRAFT, tmp_path, PRODUCT.tables)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.yaml").write_text(FILE.replace("table: daily", "table: dayly"))
    (tmp_path / "tests" / "b.yaml").write_text("table: daily\nname: x\ngiven: {}\nexpected: []\n")
    with pytest.raises(DeclarationError) as refused:
        collect(product)
    told = str(refused.value)
    assert "tests/a.yaml:10: there is no table 'dayly'. Did you mean 'daily'" in told
    assert "tests/b.yaml:" in told
    with pytest.raises(DeclarationError):
        read_cases(tmp_path / "tests" / "none.yaml")


PRODUCT_YAML = """
apiVersion: v1.0.0
kind: DataProduct
id: shop
name: shop
domain: retail
version: 1.0.0
status: draft
description: {purpose: Shows that unit tests run.}
team: {name: Shop, members: [{username: ann@example.org, role: owner}]}
customProperties: [{property: layer, value: aggregate}]
"""
CONTRACT_YAML = """
apiVersion: v3.1.0
kind: DataContract
id: retail.shop.spending
version: 1.0.0
status: draft
schema:
  - name: spending
    properties:
      - {name: household, logicalType: integer, required: false}
      - {name: lines, logicalType: integer, required: false}
"""
CASES_YAML = """
- table: spending
  name: counts lines
  given: {purchases: [{household: 1}, {household: 1}]}
  expect: [{household: 1, lines: 2}]
- table: spending
  name: expects too much
  given: {purchases: [{household: 1}]}
  expect: [{household: 1, lines: 2}]
"""


def test_pytest_runs_the_cases_of_a_product(tmp_path):
    """`pytest assets` collects cases by name, shows a difference without a traceback, and leaves other YAML alone."""
    folder = tmp_path / "assets" / "retail" / "shop"
    for name, text in {
        "product.yaml": PRODUCT_YAML,
        "contracts/spending.odcs.yaml": CONTRACT_YAML,
        "contracts/purchases.odcs.yaml": CONTRACT_YAML.replace("spending", "purchases"),
        "transforms/purchases.sql": "SELECT 1 AS household, 1 AS lines",
        "transforms/spending.sql": "SELECT household, count(*) AS lines FROM purchases GROUP BY ALL",
        "tests/lines.yaml": CASES_YAML,
        "other/tests/lines.yaml": "neither: [a, test",
        "other.yaml": "neither: [a, test",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", "assets"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "assets/retail/shop/tests/lines.yaml::counts lines PASSED" in done.stdout
    assert "assets/retail/shop/tests/lines.yaml::expects too much FAILED" in done.stdout
    assert "- household=1  lines=2\n+ household=1  lines=1" in done.stdout
    assert "assets/retail/shop/tests/lines.yaml:6: spending: expects too much" in done.stdout
    assert "Traceback" not in done.stdout
    assert "collected 2 items" in done.stdout


def test_pytest_tells_a_file_that_cannot_be_read(tmp_path):
    """A file of cases that is wrong fails its collection with the line."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "product.yaml").write_text(PRODUCT_YAML)
    (tmp_path / "tests" / "lines.yaml").write_text("table: spending\nname: [a\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "tests/lines.yaml:" in done.stdout
    assert "Traceback" not in done.stdout
