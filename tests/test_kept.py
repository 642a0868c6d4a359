"""The profile of each release is kept: exact, free where files tell it, without a classified value, gone with them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import sqlalchemy as sa
from jsonschema import Draft202012Validator

from dataproducts.database import reading, writing
from dataproducts.ledger import schema as ledger_schema
from dataproducts.product import Column, Partitioning, Table
from dataproducts.profile.kept import kept_table
from dataproducts.profile.measure import Masks
from dataproducts.recheck import recheck
from dataproducts.refresh import refresh_product
from dataproducts.releases import rollback
from dataproducts.retention import gc
from dataproducts.rules.measures import KEPT_VALUES, keep
from dataproducts.warehouse import Warehouse
from tests.pages import ROOT, run
from tests.postgres import database
from tests.shop import add_product, add_table, build, edit, environment, make_shop, product, write_orders

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {
    "id": "logicalType: integer",
    "price": "logicalType: number, physicalType: 'DECIMAL(12,2)'",
    "share": "logicalType: number",
    "seen": "logicalType: timestamp",
    "day": "logicalType: date",
    "note": "logicalType: string",
    "gone": "logicalType: integer",
    "salary": "logicalType: integer, classification: confidential",
    "birth_date": "logicalType: date",
}
SELECT = """
SELECT id::BIGINT AS id, price::DECIMAL(12,2) AS price, share::DOUBLE AS share, seen::TIMESTAMP AS seen,
  day::DATE AS day, note::VARCHAR AS note, NULL::BIGINT AS gone, salary::BIGINT AS salary, birth::DATE AS birth_date
FROM (VALUES {rows}) AS v(id, price, share, seen, day, note, salary, birth)
"""
ROWS = (
    "(1, 10.25, 0.5, '2024-01-01 10:00:00', '2024-01-01', 'Zürich', 987654321, '1971-03-04')",
    "(2, 99999999.75, -0.5, '2024-01-02 10:00:00', '0044-03-15 (BC)', '', 987654322, '1971-03-05')",
    "(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
)
NAN = "(3, -1, 'nan'::DOUBLE, '2023-12-31 23:59:59', '2024-01-01', 'x', 987654323, '1971-03-06')"
MART = "assets/shop/mart/contracts/facts.odcs.yaml"


def make_mart(root: Path, *rows: str) -> Path:
    """Write a product with one table of every kind of column, made of SQL alone, and return the project."""
    add_product(root, "mart", inputs=(), port="facts")
    path = root / "assets/shop/mart/product.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("inputPorts:\n\n", ""), encoding="utf-8")
    write_rows(root, *rows)
    return root


def write_rows(root: Path, *rows: str, **more: str) -> None:
    """Replace the rows of the table; without any, it has none. `more` are columns that it gets besides, as SQL."""
    select = SELECT.format(rows=", ".join(rows or ROWS[:1])) + ("" if rows else "WHERE FALSE")
    selected = f"SELECT *{''.join(f', {sql} AS {name}' for name, sql in more.items())} FROM ({select})"
    add_table(root, "shop/mart", "facts", COLUMNS | dict.fromkeys(more, "logicalType: string"), selected)


def history(root: Path, target: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> list[dict[str, Any]]:
    """Return the releases of a table as --json shows them, after holding the output against its schema."""
    told = run(root, "profile", target, "--history", "--json", *options, monkeypatch=monkeypatch)
    assert (0, "") == (told.code, told.err)
    found = json.loads(told.out)
    schema = json.loads((ROOT / "docs/json/profile.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(found)
    (table,) = found["history"]
    return table["releases"]


def column(release: dict[str, Any], name: str, *figures: str) -> Any:
    """Return these figures of one column; None if the release lacks it."""
    found = [one for one in release["columns"] if one["name"] == name]
    return tuple(found[0][figure] for figure in figures) if found else None


ENDS = ("nulls", "minimum", "maximum", "distinct", "mean")


def test_every_release_keeps_its_profile(tmp_path, monkeypatch):
    """Each kind of column, with NULLs, a NaN and no rows at all; no value of text or of a classified column."""
    make_mart(tmp_path, *ROWS)
    build(tmp_path, "shop/mart")
    write_rows(tmp_path, *ROWS, NAN)
    build(tmp_path, "shop/mart")
    write_rows(tmp_path)
    build(tmp_path, "shop/mart")
    first, second, third = history(tmp_path, "shop/mart.facts", monkeypatch)
    assert [3, 4, 0] == [release["rows"] for release in (first, second, third)]
    assert {
        "id": (1, 1, 2, 2, 1.5),
        "price": (1, 10.25, 99999999.75, 2, 50000005.0),
        "share": (1, -0.5, 0.5, 2, 0.0),
        "seen": (1, "2024-01-01 10:00:00", "2024-01-02 10:00:00", 2, None),
        "day": (1, "0044-03-15 (BC)", "2024-01-01", 2, None),
        "note": (1, None, None, 2, None),
        "gone": (3, None, None, 0, None),
        "salary": (1, None, None, 2, None),
        "birth_date": (1, None, None, 2, None),
    } == {name: column(first, name, *ENDS) for name in COLUMNS}
    assert (1, None, None, 3, 0.0) == column(second, "share", *ENDS)
    assert {"0.05": 1.0, "0.25": 1.0, "0.5": 2.0, "0.75": 3.0, "0.95": 3.0} == column(second, "id", "quantiles")[0]
    assert (0, None, None, 0, None) == column(third, "id", *ENDS)
    assert ("classified confidential", {}) == column(second, "salary", "masked", "quantiles")
    assert ("looks like: date of birth",) == column(second, "birth_date", "masked")
    (shown, *_) = history(tmp_path, "shop/mart.facts", monkeypatch, "--show", "birth_date")
    assert ("1971-03-04", "1971-03-05", "") == column(shown, "birth_date", "minimum", "maximum", "masked")


def test_a_partitioned_release_is_the_sum_of_its_partitions(tmp_path, monkeypatch):
    """Counts add up and ends are those of all files, whichever refresh wrote them; a rollback shows what it holds."""
    make_shop(tmp_path)
    build(tmp_path, "shop/orders")
    write_orders(tmp_path, bad={1: "1,1,2024-01-01,-0.0\n900,2,2024-01-01,5000"})
    with Warehouse.open(environment(tmp_path)) as warehouse:
        orders = product(tmp_path, "shop/orders")
        refresh_product(warehouse, orders, partitions={"orders": [date(2024, 1, 1)]})
        rollback(warehouse.ledger, warehouse.store, "shop/orders", 1, run_id="back", reason="wrong")
    found = history(tmp_path, "shop/orders.orders", monkeypatch)
    assert [(1, "refresh", 40), (2, "refresh", 41), (3, "rollback", 40)] == [
        (release["release"], release["kind"], release["rows"]) for release in found
    ]
    assert [10, 10, 10] == [release["partitions"] for release in found]
    ends = ("nulls", "minimum", "maximum", "distinct")
    assert [(0, 2.5, 100.0, None), (0, 0.0, 5000.0, None), (0, 2.5, 100.0, None)] == [
        column(release, "amount", *ends) for release in found
    ]
    assert [(0, "2024-01-01", "2024-01-10", None)] * 3 == [column(release, "ordered_on", *ends) for release in found]
    assert [3] == [one["release"] for one in history(tmp_path, "shop/orders.orders", monkeypatch, "--limit", "1")]


def test_columns_come_and_go(tmp_path, monkeypatch):
    """What a release lacks is said in text and absent in JSON; of a column that no contract names, no value shows."""
    make_mart(tmp_path, *ROWS)
    build(tmp_path, "shop/mart")
    write_rows(tmp_path, *ROWS, extra="'never shown'")
    build(tmp_path, "shop/mart")
    write_rows(tmp_path, *ROWS)
    path = tmp_path / "assets/shop/mart/transforms/facts.sql"
    path.write_text(f"SELECT * EXCLUDE (id) FROM ({path.read_text(encoding='utf-8')})", encoding="utf-8")
    edit(tmp_path / MART, "      - {name: id, logicalType: integer}\n", "")
    build(tmp_path, "shop/mart")
    found = history(tmp_path, "shop/mart.facts", monkeypatch)
    masked = "not in the contract"
    assert [(None, None, masked), (None, None, masked), None] == [
        column(release, "id", "minimum", "mean", "masked") for release in found
    ]
    assert [None, (0, 1), None] == [column(release, "extra", "nulls", "distinct") for release in found]
    told = run(tmp_path, "profile", "shop/mart.facts", "--history", "--html", "h.html", monkeypatch=monkeypatch)
    assert (0, "") == (told.code, told.err)
    assert "#3       no such column" in told.out
    assert 80 >= max(map(len, told.out.splitlines()))
    page = (tmp_path / "h.html").read_text(encoding="utf-8")
    assert (True, False) == ("<svg" in page, "<script" in page)
    assert [] == [secret for secret in ("98765", "1971", "Zürich") if secret in told.out + page]


def test_card_numbers_show_no_ends(tmp_path, monkeypatch):
    """A column that nobody classified and whose ends prove to be card numbers is hidden; other long numbers show."""
    columns = {"ref": "logicalType: number", "other": "logicalType: integer"}
    make_mart(tmp_path)
    rows = "(4111111111111111, 4111111111111112), (5555555555554444, 5555555555554445)"
    add_table(
        tmp_path,
        "shop/mart",
        "facts",
        columns,
        f"SELECT ref::DOUBLE AS ref, other FROM (VALUES {rows}) AS v(ref, other)",
    )
    build(tmp_path, "shop/mart")
    (release,) = history(tmp_path, "shop/mart.facts", monkeypatch)
    assert (None, None, None, "looks like: card number") == column(
        release, "ref", "minimum", "maximum", "mean", "masked"
    )
    assert (4111111111111112, 5555555555554445, "") == column(release, "other", "minimum", "maximum", "masked")


def everything(root: Path, **changes: object) -> str:
    """Return all that the ledger holds of files and versions, as text; `changes` are of the environment."""
    with Warehouse.open(environment(root, **changes)) as warehouse, reading(warehouse.ledger._engine) as con:
        tables = (ledger_schema.version, ledger_schema.version_file)
        return " ".join(str(tuple(row)) for table in tables for row in con.execute(sa.select(table)))


def test_no_classified_value_reaches_the_ledger(tmp_path):
    """Neither ends nor means nor quantiles, of published rows or of those set aside."""
    make_mart(tmp_path, *ROWS)
    edit(
        tmp_path / MART,
        "{name: price, logicalType: number, physicalType: 'DECIMAL(12,2)'}",
        "{name: price, logicalType: number, physicalType: 'DECIMAL(12,2)', logicalTypeOptions: {maximum: 100}, "
        "customProperties: [{property: onFailure, value: quarantine}]}",
    )
    released = build(tmp_path, "shop/mart").release
    with Warehouse.open(environment(tmp_path)) as warehouse:
        (version,) = warehouse.ledger.composition(released)["facts"]
    assert (2, 1) == (version.rows, version.quarantine_files[0].rows)
    assert "99999999.75" == version.quarantine_files[0].columns["price"].maximum
    kept = everything(tmp_path)
    assert ("99999999.75" in kept, "98765432" in kept) == (True, False)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_values_go_with_the_files(kind, tmp_path):
    """When a release's files are collected, its counts stay and its values are forgotten."""
    wiring = {"ledger_url": database()} if kind == "postgresql" else {}
    make_mart(tmp_path, *ROWS)
    build(tmp_path, "shop/mart", **wiring)
    for nth in range(10):
        write_rows(tmp_path, f"({nth}, 1, 1, NULL, '2024-05-05', 'x', 1, NULL)")
        build(tmp_path, "shop/mart", **wiring)
    assert "99999999.75" in everything(tmp_path, **wiring)
    with Warehouse.open(environment(tmp_path, **wiring)) as warehouse, duckdb.connect() as con:
        gc(warehouse.ledger, warehouse.store, now=datetime.now(UTC) + timedelta(days=30))
        found = kept_table(con, warehouse.ledger, ("shop/mart", "facts"), name="facts", masks=Masks(), limit=20)
    first, *_, last = found.to_json()["releases"]
    assert (1, False, 3) == (first["release"], first["retained"], first["rows"])
    assert (1, None, None, None, None) == column(first, "price", *ENDS)
    assert (0, 1.0, 1.0, 1, 1.0) == column(last, "price", *ENDS)
    kept = everything(tmp_path, **wiring)
    assert [] == [value for value in ("99999999.75", "50000005", "0044-03-15") if value in kept]


def test_what_an_older_library_wrote_is_unknown(tmp_path, monkeypatch):
    """A version without facts and figures has its rows, and nothing is made up for the rest."""
    make_mart(tmp_path, *ROWS)
    build(tmp_path, "shop/mart")
    with Warehouse.open(environment(tmp_path)) as warehouse, writing(warehouse.ledger._engine) as con:
        con.execute(sa.update(ledger_schema.version).values(profile=sa.null()))
        con.execute(sa.update(ledger_schema.version_file).values(columns=sa.null()))
    (release,) = history(tmp_path, "shop/mart.facts", monkeypatch)
    assert (3, (None, None, None, None, None)) == (release["rows"], column(release, "id", *ENDS))
    told = run(tmp_path, "profile", "shop/mart.facts", "--history", "--html", "h.html", monkeypatch=monkeypatch)
    assert (0, True) == (told.code, "#1       unknown" in told.out)


def test_a_rule_declared_later_finds_its_history(tmp_path):
    """Drift of a mean compares with releases that were made before anybody asked for it."""
    make_mart(tmp_path)
    for nth in range(3):
        write_rows(tmp_path, *ROWS, f"({nth}, 1, 1, NULL, NULL, 'x', 1, NULL)")
        build(tmp_path, "shop/mart")
    rule = (
        "    quality:\n      - {name: usual, type: custom, engine: dataproducts, severity: warning, implementation: "
        "{drift: {metric: quantile, column: price}, mustBeBetween: [-20, 20]}}\n    properties:\n"
    )
    write_rows(tmp_path, "(1, 50.5, 1, NULL, NULL, 'x', 1, NULL)")
    edit(tmp_path / MART, "    properties:\n", rule)
    build(tmp_path, "shop/mart")
    with Warehouse.open(environment(tmp_path)) as warehouse:
        results = recheck(warehouse, product(tmp_path, "shop/mart"))["facts"].results
    (said,) = [result.message for result in results if result.rule.name == "usual"]
    assert "0.5 quantile of price is 50.5, and was 10.25 in the median of 3 earlier versions" in said


@pytest.mark.parametrize(
    ("rows", "partitioning", "measured"),
    [
        (KEPT_VALUES, None, True),
        (KEPT_VALUES + 1, None, False),
        (1, Partitioning("v", "day", date(2024, 1, 1)), False),
    ],
)
def test_only_small_tables_are_measured_unasked(rows, partitioning, measured):
    """Beyond so many values, and for days of a partitioned table, nothing is measured that no rule asks for."""
    table = Table("t", "t", "1.0.0", (Column("v", "integer", "BIGINT"),), (), partitioning=partitioning)
    with duckdb.connect() as con:
        assert measured is bool(keep(con, table, "(SELECT 1 AS v)", rows=rows))


def test_what_cannot_be_computed_is_left_out():
    """A deviation beyond a DOUBLE costs the other figures nothing; types without an order are counted."""
    kinds = {"v": "DOUBLE", "tags": "VARCHAR[]", "at": "STRUCT(x INTEGER)", "lost": "BIGINT", 'q"t.x': "HUGEINT"}
    table = Table("t", "t", "1.0.0", tuple(Column(name, "number", kind) for name, kind in kinds.items()), ())
    rows = "(SELECT unnest([1.7e308, -1.7e308]) AS v, ['a'] AS tags, {'x': 1} AS at, 2::HUGEINT ** 1 AS \"q\"\"t.x\")"
    with duckdb.connect() as con:
        found = keep(con, table, rows, rows=2)
    assert {"v": 2, "tags": 1, "at": 1, 'q"t.x': 1} == {name: figures["distinct"] for name, figures in found.items()}
    assert ("stddev" in found["v"], found["v"]["quantiles"]["0.95"]) == (False, 1.7e308)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["data/orders.csv"], 2, "--history is of released tables"),
        (["shop/orders.orders@till"], 2, "shop/orders.orders@till is none"),
        (["shop/orders.orders", "--draft", "d.yaml"], 2, "--draft are for rows"),
        (["shop/orders.oders"], 1, "Did you mean 'orders'"),
        (["shop/orders.orders", "--mask", "amuont"], 1, "Did you mean 'amount'"),
        (["shop/orders.customers", "--show", "email"], 2, "cannot be shown"),
        (["shop/orders.orders", "--html", "no/such/h.html"], 2, "cannot be written"),
    ],
)
def test_what_has_no_history_is_told(arguments, code, said, tmp_path, monkeypatch):
    """Each mistake ends with its exit code and one message, and writes nothing."""
    make_shop(tmp_path)
    build(tmp_path, "shop/orders")
    told = run(tmp_path, "profile", *arguments, "--history", monkeypatch=monkeypatch)
    assert (code, "", True) == (told.code, told.out, said in " ".join(told.err.split())), told.err


def test_nothing_released_has_no_history(tmp_path, monkeypatch):
    """A product that was never built says so, before and after there is a ledger."""
    make_shop(tmp_path)
    for _ in range(2):
        told = run(tmp_path, "profile", "shop/revenue.revenue", "--history", monkeypatch=monkeypatch)
        assert ("", True) == (told.out, "dataproducts" in told.err), told.err
        build(tmp_path, "shop/orders")
    assert (1, True) == (told.code, "shop/revenue has not released revenue yet" in told.err)
