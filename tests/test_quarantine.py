"""Rows that rules set aside: marked, limited, counted, listed, exported, and put back through the gate."""

from __future__ import annotations

import csv
import json
import resource
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from dataproducts.cli.quarantine import _one_line
from dataproducts.cli.show import row_line
from dataproducts.errors import ConflictError, DeclarationError, RefusedError, UnknownNameError, UsageError
from dataproducts.load import load_project
from dataproducts.product import Column, OnFailure, Operator, Rule, RuleKind, Table, Threshold
from dataproducts.quarantine import export, find_table, list_aside, sample_aside
from dataproducts.refresh import begin, refresh_table, release
from dataproducts.release import FileRef, Version
from dataproducts.replay import replay
from dataproducts.rules.masking import mask, mask_error, without_values
from dataproducts.rules.quarantine import ASIDE_COLUMNS, exceeded, limited, split
from dataproducts.verdict import RuleResult
from dataproducts.warehouse import Warehouse
from tests.pages import run
from tests.shop import CLOCK, build, edit, environment, make_shop, product, served, write_customers, write_orders

if TYPE_CHECKING:
    from pathlib import Path

    from dataproducts.quarantine import Aside
    from dataproducts.replay import Replayed

ORDERS, REVENUE = "shop/orders", "shop/revenue"
CUSTOMERS = "assets/shop/orders/contracts/customers.odcs.yaml"
CONTRACT = "assets/shop/orders/contracts/orders.odcs.yaml"
ASIDE = "customProperties: [{property: onFailure, value: quarantine}]"
GOOD = "1,a@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n"
NOBODY = "SELECT email FROM published.customers WHERE customer_id = {}"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a shop, not built yet, whose customers 5 and 6 have no proper address."""
    root = make_shop(tmp_path / "shop")
    write_customers(root, GOOD + "5,nonsense\n6,nobody\n")
    return root


def aside(root: Path, table: str = "customers", **changes: Any) -> tuple[Aside, ...]:
    """Return what lies in quarantine of one table of the orders."""
    found = product(root, ORDERS).table(table)
    with Warehouse.open(environment(root)) as warehouse:
        return list_aside(warehouse, ORDERS, [found], **changes)


def put_back(root: Path, table: str = "customers", **changes: Any) -> Replayed:
    """Replay one table of the orders."""
    found = product(root, ORDERS)
    with Warehouse.open(environment(root)) as warehouse:
        return replay(warehouse, found, found.table(table), **changes)


def write_out(root: Path, file: Path, *, unmasked: bool = False, table: str = "customers") -> int:
    """Export what lies in quarantine of one table of the orders."""
    found = aside(root, table)
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        return export(warehouse, con, found, file, unmasked=unmasked)


def limit(root: Path, value: str) -> None:
    """Let the address of customers set aside no more than `value`."""
    more = f"{{property: onFailure, value: quarantine}}, {{property: maxQuarantined, value: {value}}}"
    edit(root / CUSTOMERS, "{property: onFailure, value: quarantine}", more)


# Marks


def test_a_quarantined_row_says_where_it_comes_from(shop: Path) -> None:
    """Rules, refresh, run and time stand beside the row; the refresh leads to the release."""
    outcome = build(shop, ORDERS)
    (one,) = aside(shop)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        paths = [str(warehouse.store.path(file)) for file in one.version.quarantine_files]
        query = (
            "SELECT customer_id, _rules, _refresh, _run, _quarantined_at IS NOT NULL FROM read_parquet(?) ORDER BY 1"
        )
        rows = con.execute(query, [paths]).fetchall()
    mine = (outcome.release.refresh_id, outcome.release.run_id, True)
    assert [(5, ["email.pattern"], *mine), (6, ["email.pattern"], *mine)] == rows
    assert (1, 2, 6, {"email.pattern": 2}) == (one.release, one.rows, one.staged, dict(one.version.quarantined))


def test_a_carried_partition_keeps_the_release_that_wrote_it(shop: Path) -> None:
    """Rows of a day that a later release carries over are listed under the release that set them aside."""
    edit(shop / CONTRACT, "{minimum: 0}", f"{{minimum: 0}}\n        {ASIDE}")
    write_orders(shop, bad={3: "3,3,2024-01-01,-1", 38: "38,2,2024-01-10,-2"})
    build(shop, ORDERS, clock=CLOCK.replace(day=10))
    build(shop, ORDERS)
    assert [("2024-01-01", 1), ("2024-01-10", 2)] == [
        (one.version.partition, one.release) for one in aside(shop, "orders")
    ]
    assert [("2024-01-01", 1)] == [(one.version.partition, one.release) for one in aside(shop, "orders", release=1)]


def test_a_column_that_bears_a_name_of_ours_is_refused(shop: Path) -> None:
    """A table with quarantine has no column called like one that its quarantined rows get."""
    edit(shop / CUSTOMERS, "name: email\n", "name: _Rules\n")
    (fault,) = load_project(shop).faults
    assert "'_Rules' has the name of one that quarantined rows get" in str(fault)


def test_rows_that_do_not_add_up_are_refused(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A split that loses a row, for whatever reason, publishes nothing."""
    import dataproducts.write as writing

    whole = writing.split

    def losing(*args: Any, **kwargs: Any) -> Any:
        found = whole(*args, **kwargs)
        return replace(found, kept_sql=f"SELECT * FROM ({found.kept_sql}) LIMIT 3")

    monkeypatch.setattr(writing, "split", losing)
    with pytest.raises(RefusedError, match=r"6 rows were staged, and 3 \+ 2 were to be published and quarantined"):
        build(shop, ORDERS)


# Limits


def test_more_than_a_share_is_refused_and_can_be_looked_at(shop: Path) -> None:
    """Two of six rows are more than 20 %: nothing is visible, and the rows are there."""
    write_customers(shop)
    limit(shop, "20 %")
    build(shop, ORDERS)
    write_customers(shop, GOOD + "5,nonsense\n6,nobody\n")
    said = r"email\.pattern would set aside 2 of 6 rows \(33.3 %\), and may at most 20 %"
    with pytest.raises(RefusedError, match=said):
        build(shop, ORDERS)
    assert [(4,)] == served(shop, ORDERS, "SELECT count(*) FROM published.customers")
    (one,) = aside(shop)
    assert (None, 2) == (one.release, one.rows)


@pytest.mark.parametrize(
    ("value", "passes"), [("34 %", True), ("2 rows", True), ("1 row", False), ("0 percent", False)]
)
def test_a_limit_is_a_share_or_a_number(shop: Path, value: str, *, passes: bool) -> None:
    """What the limit says is still allowed."""
    limit(shop, value)
    if passes:
        assert 1 == build(shop, ORDERS).release.number
    else:
        with pytest.raises(RefusedError, match="would set aside 2 of 6 rows"):
            build(shop, ORDERS)


def test_a_limit_of_the_table_counts_each_row_once(shop: Path) -> None:
    """Rows that several rules reject are lost once."""
    lines = "    customProperties: [{property: maxQuarantined, value: 1 row}]\n    properties:\n"
    edit(shop / CUSTOMERS, "    properties:\n", lines)
    with pytest.raises(
        RefusedError, match=r"customers would lose 2 of 6 rows \(33.3 %\) to quarantine, and may at most 1"
    ):
        build(shop, ORDERS)


def test_a_limit_holds_at_the_release_too(shop: Path) -> None:
    """A process that died between writing and judging leaves nothing that could be released."""
    limit(shop, "1 row")
    found = product(shop, ORDERS)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id="r")
        loose = replace(
            found.table("customers"),
            rules=tuple(replace(rule, quarantine_limit=None) for rule in found.table("customers").rules),
        )
        assert refresh_table(warehouse, found, loose, refresh=refresh, con=con).verdict.passed
        days = [CLOCK.date().replace(day=1)]
        refresh_table(warehouse, found, found.table("orders"), refresh=refresh, con=con, partitions=days)
        with pytest.raises(RefusedError, match=r"email\.pattern would set aside 2"):
            release(warehouse, found, refresh=refresh, con=con)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("value: quarantine}]", "value: refuse}, {property: maxQuarantined, value: 5}]", "maxQuarantined"),
        (
            "    properties:\n",
            "    customProperties: [{property: maxQuarantin, value: 5 %}]\n    properties:\n",
            "mean",
        ),
    ],
)
def test_a_limit_without_sense_is_a_fault(shop: Path, old: str, new: str, said: str) -> None:
    """A bare number says neither rows nor share, and a misspelt name is told."""
    edit(shop / CUSTOMERS, old, new)
    with pytest.raises(DeclarationError, match=said):
        raise DeclarationError(load_project(shop).faults)


def test_a_limit_fails_a_rule_that_would_not_block() -> None:
    """The share turns quarantine into refusal, whatever the severity of the rule is."""
    at_most = Threshold(Operator.MUST_BE_LESS_OR_EQUAL_TO, (10,), "percent")
    rule = Rule("a.range", RuleKind.RANGE, ("a",), {"minimum": 0}, blocking=False, on_failure=OnFailure.QUARANTINE,
                quarantine_limit=at_most)  # fmt: skip
    table = Table("t", "", "", (Column("a", "integer", "BIGINT"),), (rule,))
    some, none = version(9, 1, {"a.range": 1}), version(0, 0, {})
    assert {} == exceeded(table, some) | exceeded(table, none)
    (failed,) = limited(table, [version(8, 2, {"a.range": 2})], [RuleResult(rule, passed=True, total_rows=8)])
    assert (False, True, "a.range would set aside 2 of 10 rows (20 %), and may at most 10 %") == (
        failed.passed, failed.is_blocking, failed.message)  # fmt: skip


def version(rows: int, aside_rows: int, counts: dict[str, int]) -> Version:
    """Return a version that published so many rows and set so many aside."""
    file = FileRef("quarantine/x.parquet", 1, "0", aside_rows)
    return Version(
        "v", "p", "t", None, (), rows, (), "", "", "r", "r", CLOCK, quarantine_files=(file,), quarantined=counts
    )


# Listing and exporting


def test_samples_are_masked(shop: Path) -> None:
    """Rows are shown without the value of a column classified as personal."""
    build(shop, ORDERS)
    (one,) = aside(shop)
    with Warehouse.open(environment(shop)) as warehouse, warehouse.connect() as con:
        shown = sample_aside(warehouse, con, one, limit=1)
    assert ({"_rules": ["email.pattern"], "customer_id": 5, "email": "***"},) == shown


@pytest.mark.parametrize("ending", ["csv", "parquet", "json", "jsonl"])
@pytest.mark.parametrize("unmasked", [False, True])
def test_rows_are_exported_masked_unless_asked(shop: Path, ending: str, *, unmasked: bool) -> None:
    """The file is whole, its owner's alone, and shows personal values only on demand."""
    build(shop, ORDERS)
    file = shop / f"rows.{ending}"
    assert 2 == write_out(shop, file, unmasked=unmasked)
    assert ("nonsense" in str(contents(file)), 0o600) == (unmasked, file.stat().st_mode & 0o777)
    assert [] == [path.name for path in shop.iterdir() if path.name.startswith(".rows")]


def contents(file: Path) -> list[tuple[Any, ...]]:
    """Return the rows of a file, whatever its format."""
    with duckdb.connect() as con:
        return con.execute(f"SELECT * EXCLUDE (_quarantined_at) FROM '{file}'").fetchall()


def test_an_export_never_replaces_a_file(shop: Path) -> None:
    """What is there may hold corrections; a strange format and a folder that is not there are told."""
    build(shop, ORDERS)
    (shop / "rows.csv").write_text("mine", encoding="utf-8")
    for file, said in (("rows.csv", "exists"), ("rows.xlsx", "format"), ("no/rows.csv", "no folder")):
        with pytest.raises(UsageError, match=said):
            write_out(shop, shop / file)
    assert "mine" == (shop / "rows.csv").read_text(encoding="utf-8")


def test_an_export_that_fails_half_way_leaves_no_file(shop: Path) -> None:
    """A disk that is full after some bytes is told; neither the file nor a part of it stays."""
    rows = "".join(f"{at},nobody {at}\n" for at in range(5, 3000))
    write_customers(shop, GOOD + rows)
    build(shop, ORDERS)
    there = sorted(shop.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(UsageError, match=r"rows\.csv: the file cannot be written"):
            write_out(shop, shop / "rows.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert there == sorted(shop.iterdir())


def test_an_unknown_table_is_suggested(shop: Path) -> None:
    """A misspelt table is told with the nearest."""
    tables = {ORDERS: product(shop, ORDERS).tables}
    assert "customers" == find_table("shop/orders.customers", tables)[1][0].name
    with pytest.raises(UnknownNameError, match=r"Did you mean 'shop/orders\.customers'"):
        find_table("shop/orders.custmers", tables)


# Putting back


def test_rows_pass_after_the_contract_was_loosened(shop: Path) -> None:
    """The new release has them, made anew are the tables that read them, and the next build changes nothing."""
    build(shop, ORDERS)
    edit(shop / CUSTOMERS, 'pattern: "@"', 'pattern: "@|nonsense"')
    done = put_back(shop)
    assert (2, 1, {"email.pattern": 1}) == (done.rows, done.put_back, dict(done.quarantined))
    assert done.released is not None
    assert (2, "replay") == (done.released.release.number, done.released.release.kind)
    assert [("nonsense",)] == served(shop, ORDERS, NOBODY.format(5))
    assert [(2, 1, 6)] == [(one.release, one.rows, one.staged) for one in aside(shop)]
    with Warehouse.open(environment(shop)) as warehouse:
        from dataproducts.plan import plan_product

        assert not plan_product(warehouse, product(shop, ORDERS)).is_needed


def test_nothing_is_released_while_no_row_passes(shop: Path) -> None:
    """The same contract rejects the same rows: no release, no file, no candidate."""
    build(shop, ORDERS)
    before = files(shop)
    done = put_back(shop)
    assert (2, 0, {"email.pattern": 2}, None) == (done.rows, done.put_back, dict(done.quarantined), done.released)
    assert before == files(shop)


def files(root: Path) -> set[str]:
    """Return the files of the store that hold rows."""
    store = root / ".dataproducts"
    return {str(path) for top in ("data", "quarantine") for path in (store / top).rglob("*.parquet")}


def test_an_empty_quarantine_is_told(shop: Path) -> None:
    """There is nothing to put back where nothing was set aside."""
    write_customers(shop)
    build(shop, ORDERS)
    with pytest.raises(RefusedError, match="no row in quarantine in release 1"):
        put_back(shop)


def corrected(root: Path, file: Path, **values: str) -> None:
    """Set columns of the first row of an exported CSV file."""
    with file.open(encoding="utf-8", newline="") as read:
        lines = list(csv.DictReader(read))
    lines[0] |= values
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, lines[0])
        writer.writeheader()
        writer.writerows(lines)


def test_corrected_rows_are_put_back(shop: Path) -> None:
    """A value that was mended in the file passes; the row beside it stays in quarantine, and none is lost."""
    build(shop, ORDERS)
    write_out(shop, shop / "rows.csv")
    corrected(shop, shop / "rows.csv", email="e@x.org")
    done = put_back(shop, rows=shop / "rows.csv")
    assert (1, {"email.pattern": 1}) == (done.put_back, dict(done.quarantined))
    assert [("e@x.org",)] == served(shop, ORDERS, NOBODY.format(5))
    (one,) = aside(shop)
    assert (1, 6) == (one.rows, one.staged)


def test_a_masked_value_counts_as_not_corrected(shop: Path) -> None:
    """Whoever corrects another column need not see the personal one: it comes back as it was."""
    edit(shop / CUSTOMERS, "primaryKey: true}", f"primaryKey: true, logicalTypeOptions: {{maximum: 5}}, {ASIDE}}}")
    write_customers(shop, GOOD + "99,zoë@x.org\n")
    build(shop, ORDERS)
    write_out(shop, shop / "rows.csv")
    corrected(shop, shop / "rows.csv", customer_id="5")
    assert 1 == put_back(shop, rows=shop / "rows.csv").put_back
    assert [("zoë@x.org",)] == served(shop, ORDERS, NOBODY.format(5))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("_row", "row"), "it lacks the columns _row"),
        (lambda text: text + text.splitlines()[1] + "\n", "1 rows have the _row of another"),
        (lambda text: text.replace("-0-0", "-0-7"), "1 of 2 rows are not in quarantine now"),
        (lambda text: text.replace("5,", "five,", 1), "1 values of customer_id are no BIGINT"),
        (lambda text: text.replace("email,", "email,age,", 1), "the rows cannot be read"),
        (lambda _: "", "does not name the columns"),
    ],
)
def test_a_file_that_is_no_correction_is_refused(shop: Path, change: Any, said: str) -> None:
    """New rows, lost columns and values of another type change nothing."""
    build(shop, ORDERS)
    file = shop / "rows.csv"
    write_out(shop, file)
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(UsageError, match=said):
        put_back(shop, rows=file)
    with pytest.raises(UsageError, match="there is no such file"):
        put_back(shop, rows=shop / "none.csv")
    assert [(4,)] == served(shop, ORDERS, "SELECT count(*) FROM published.customers")


def test_a_partition_gets_back_its_rows(shop: Path) -> None:
    """One day is written anew and those beside it are carried over; a corrected date moves a row to its day."""
    edit(shop / CONTRACT, "{minimum: 0}", f"{{minimum: 0}}\n        {ASIDE}")
    write_customers(shop)
    write_orders(shop, bad={3: "3,3,2024-01-01,-1", 38: "38,2,2024-01-10,-2"})
    build(shop, ORDERS)
    write_out(shop, shop / "rows.csv", table="orders")
    corrected(shop, shop / "rows.csv", amount="7.5", ordered_on="2024-01-02")
    done = put_back(shop, "orders", rows=shop / "rows.csv")
    assert (2, 1, {"amount.range": 1}) == (done.rows, done.put_back, dict(done.quarantined))
    query = "SELECT ordered_on::VARCHAR, count(*) FROM published.orders GROUP BY 1 ORDER BY 1"
    assert [3, 5, 4, 4, 4, 4, 4, 4, 4, 3] == [count for _, count in served(shop, ORDERS, query)]
    with Warehouse.open(environment(shop)) as warehouse:
        head = warehouse.ledger.head(ORDERS)
        assert head is not None
        mine = [v.partition for v in warehouse.ledger.composition(head)["orders"] if v.refresh_id == head.refresh_id]
    assert ["2024-01-01", "2024-01-02", "2024-01-10"] == mine


def test_a_replay_that_breaks_another_rule_is_refused(shop: Path) -> None:
    """What is put back is judged as every refresh is: the release that stands, stays."""
    build(shop, ORDERS)
    write_out(shop, shop / "rows.csv")
    corrected(shop, shop / "rows.csv", email="e@x.org", customer_id="1")
    with pytest.raises(RefusedError, match=r"customer_id\.unique"):
        put_back(shop, rows=shop / "rows.csv")
    assert [(4,)] == served(shop, ORDERS, "SELECT count(*) FROM published.customers")
    assert "replay" not in {one.kind for one in releases(shop)}


def releases(root: Path) -> Any:
    """Return the releases of the orders."""
    with Warehouse.open(environment(root)) as warehouse:
        return warehouse.ledger.releases(ORDERS)


def test_a_release_that_came_meanwhile_wins(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay of what is no longer the head publishes nothing."""
    import dataproducts.replay as replaying

    build(shop, ORDERS)
    edit(shop / CUSTOMERS, 'pattern: "@"', 'pattern: "@|nonsense"')
    whole = replaying.release

    def late(*args: Any, **kwargs: Any) -> Any:
        write_customers(shop)
        build(shop, ORDERS)
        return whole(*args, **kwargs)

    monkeypatch.setattr(replaying, "release", late)
    with pytest.raises(ConflictError, match="was published while refresh"):
        put_back(shop)
    assert ["refresh", "refresh"] == [one.kind for one in releases(shop)]


def test_a_table_made_from_it_is_made_anew(tmp_path: Path) -> None:
    """A sibling that reads the table follows in the same release."""
    from tests.shop import add_product, add_table

    root = make_shop(tmp_path)
    build(root, ORDERS)
    add_product(root, "best", inputs=["shop.orders.orders"], port="top")
    amount = f"logicalType: number, logicalTypeOptions: {{maximum: 90}}, {ASIDE}"
    add_table(root, "shop/best", "base", {"order_id": "logicalType: integer", "amount": amount},
              "SELECT order_id, amount FROM orders")  # fmt: skip
    add_table(root, "shop/best", "top", {"amount": "logicalType: number"}, "SELECT max(amount) AS amount FROM base")
    build(root, "shop/best")
    assert [(90.0,)] == served(root, "shop/best", "SELECT amount FROM published.top")
    edit(root / "assets/shop/best/contracts/base.odcs.yaml", "maximum: 90", "maximum: 95")
    found = product(root, "shop/best")
    with Warehouse.open(environment(root)) as warehouse:
        done = replay(warehouse, found, found.table("base"))
    assert (4, 2) == (done.rows, done.put_back)
    assert [(95.0,)] == served(root, "shop/best", "SELECT amount FROM published.top")


AWKWARD = {
    "id": ("logicalType: integer, primaryKey: true", "9007199254740993"),
    "bad": (f"logicalType: integer, logicalTypeOptions: {{maximum: 5}}, {ASIDE}", "9"),
    "dec": ("physicalType: 'DECIMAL(18,4)'", "-99999999999999.9999"),
    "nan": ("logicalType: number", "'nan'::DOUBLE"),
    "empty": ("logicalType: string", "''"),
    "text": ("logicalType: string", "'a,\"b''\nNULL ü 👩‍👩‍👧'"),
    "zoned": (
        "logicalType: timestamp, logicalTypeOptions: {timezone: true}",
        "TIMESTAMPTZ '1969-12-31 23:59:59.01+05'",
    ),
    "list": ("physicalType: 'VARCHAR[]'", "['a,b', 'q\"''', NULL, '']"),
    "struct": ("physicalType: 'STRUCT(a VARCHAR, \"b c\" INTEGER)'", "{'a': 'x\"y', 'b c': 1}"),
    "'odd \"na.me'": ("logicalType: date", "DATE '0001-01-01'"),
    "bytes": ("physicalType: BLOB", "'\\xAA\\x00'::BLOB"),
    "none": ("logicalType: number", "NULL::DOUBLE"),
}


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_file_that_nobody_changed_puts_back_the_same_values(tmp_path: Path, ending: str) -> None:
    """From quarantine to a file and back, every type keeps its value, whatever is in it."""
    from dataproducts.sql import quote
    from tests.shop import add_product, add_table

    root = make_shop(tmp_path)
    build(root, ORDERS)
    add_product(root, "wide", inputs=["shop.orders.orders"], port="t")
    made = ", ".join(f"{sql} AS {quote(name.strip(chr(39)))}" for name, (_, sql) in AWKWARD.items())
    columns = {name: said for name, (said, _) in AWKWARD.items()}
    add_table(root, "shop/wide", "t", columns, f"SELECT {made} FROM orders WHERE order_id = 1")
    build(root, "shop/wide")
    tables = product(root, "shop/wide").tables
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        found = list_aside(warehouse, "shop/wide", tables)
        ours = ", ".join(name for name, _ in ASIDE_COLUMNS)
        file = warehouse.store.path(found[0].version.quarantine_files[0])
        before = con.execute(f"SELECT * EXCLUDE ({ours}) FROM '{file}'").fetchall()
        export(warehouse, con, found, root / f"rows.{ending}")
    edit(root / "assets/shop/wide/contracts/t.odcs.yaml", "maximum: 5", "maximum: 9")
    wide = product(root, "shop/wide")
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        assert 1 == replay(warehouse, wide, wide.table("t"), rows=root / f"rows.{ending}").put_back
        head = warehouse.ledger.head("shop/wide")
        assert head is not None
        rows = warehouse.store.version_relation(warehouse.ledger.composition(head)["t"])
        assert repr(before) == repr(con.execute(f"FROM {rows}").fetchall())


# Commands


def test_commands_list_export_and_replay(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the list to the release, on the command line; nothing personal is printed."""
    (shop / "resources").mkdir()
    (shop / "resources/__init__.py").write_text(
        "from datetime import UTC, datetime\nfrom pathlib import Path\nfrom dataproducts import Environment\n"
        "def for_environment(name=None):\n    root = Path(__file__).parents[1]\n"
        "    return Environment('t', root, root / '.dataproducts', clock=datetime(2024, 1, 11, 6, tzinfo=UTC))\n",
        encoding="utf-8",
    )
    build(shop, ORDERS)
    listed = run(shop, "quarantine", monkeypatch=monkeypatch)
    assert (0, "") == (listed.code, listed.err)
    assert "email.pattern" in listed.out
    assert "  customers: customer_id=5, email='***'  (email.pattern)" in listed.out
    assert "nonsense" not in listed.out
    facts = json.loads(run(shop, "quarantine", "list", ORDERS, "--json", monkeypatch=monkeypatch).out)
    assert [("customers", 1, 2, 6, "***")] == [
        (f["table"], f["release"], f["quarantined_rows"], f["staged_rows"], f["sample"][0]["email"]) for f in facts
    ]
    target = f"{ORDERS}.customers"
    wrote = run(shop, "quarantine", "export", target, "rows.csv", monkeypatch=monkeypatch)
    assert (0, "wrote 2 rows to rows.csv") == (wrote.code, wrote.out.strip())
    assert 1 == run(shop, "quarantine", "replay", target, monkeypatch=monkeypatch).code
    corrected(shop, shop / "rows.csv", email="e@x.org")
    done = run(shop, "quarantine", "replay", target, "--rows", "rows.csv", "--json", monkeypatch=monkeypatch)
    assert (0, 1, 2) == (done.code, json.loads(done.out)["put_back"], json.loads(done.out)["release"])
    odd = run(shop, "quarantine", "export", ORDERS, "more.csv", monkeypatch=monkeypatch)
    assert (2, "Traceback" in odd.err) == (odd.code, False)
    assert "has 2 tables" in odd.err


def test_examples_are_printed_as_sql_has_them_within_the_terminal() -> None:
    """NULL and true, not Python's None and True; a long row is cut, the names of the rules are not."""
    row = {"id": None, "paid": True, "name": "O'Neil\n", "tags": [None, {"a": 1.5}]}
    assert "id=NULL, paid=true, name='O''Neil\ufffd', tags=[NULL, {'a': 1.5}]" == row_line(row)
    assert "  t: a='x'  (r)" == _one_line("  t: a='x'", "  (r)", 80).plain
    assert f"{'x' * 74}…  (r)" == _one_line("x" * 100, "  (r)", 80).plain
    assert (80, True) == (cell_len(line := _one_line("大" * 100, "  (r)", 80).plain), line.endswith("…  (r)"))
    assert (80, "…") == (len(line := _one_line("x" * 100, f"  ({'r' * 100})", 80).plain), line[-1])


# Splitting


def test_a_key_inside_a_struct_and_odd_names_are_split() -> None:
    """Duplicates by a nested column, and columns with blanks, dots and quotes, are told apart as well."""
    columns = (
        Column("a", "object", "STRUCT(k INTEGER)", properties=(Column("k", "integer", "INTEGER"),)),
        Column('odd "na.me', "string", "VARCHAR"),
        Column("_surplus", "integer", "INTEGER"),
    )
    rules = (
        Rule("k", RuleKind.DUPLICATE_VALUES, ("a.k",), on_failure=OnFailure.QUARANTINE),
        Rule("n", RuleKind.REQUIRED, ('odd "na.me',), on_failure=OnFailure.QUARANTINE),
    )
    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE t AS SELECT * FROM (VALUES ({k: 1}, 'é', 1), ({k: 1}, 'b', 2), ({k: 2}, NULL, 3)) "
            'v(a, "odd ""na.me", _surplus)'
        )
        found = split(con, Table("t", "", "", columns, rules), "t", lookup=str)
        kept = con.execute(found.kept_sql).fetchall()
    assert ({"k": 1, "n": 1}, 2, [({"k": 1}, "b", 2)]) == (dict(found.counts), found.quarantined, kept)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([None, -1, 0, 1, 5]), st.sampled_from([None, "", "ü", "x"])), max_size=8))
def test_what_goes_in_comes_out_once(rows: list[tuple[int | None, str | None]]) -> None:
    """Every row is kept or quarantined, for any table, and none is both."""
    rules = (
        Rule("n.range", RuleKind.RANGE, ("n",), {"minimum": 0}, on_failure=OnFailure.QUARANTINE),
        Rule("t.enum", RuleKind.ENUM, ("t",), {"values": ["x", "ü"]}, on_failure=OnFailure.QUARANTINE),
        Rule("n.unique", RuleKind.UNIQUE, ("n",), on_failure=OnFailure.QUARANTINE),
    )
    table = Table("t", "", "", (Column("n", "integer", "INTEGER"), Column("t", "string", "VARCHAR")), rules)
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (n INTEGER, t VARCHAR)")
        con.executemany("INSERT INTO t VALUES (?, ?)", rows) if rows else None
        found = split(con, table, "t", lookup=str)
        kept = con.execute(found.kept_sql).fetchall()
        gone = con.execute(found.quarantined_sql).fetchall() if found.quarantined_sql else []
    assert sorted(map(repr, rows)) == sorted(map(repr, [*kept, *(row[:2] for row in gone)]))


# What must not be shown


PERSONAL = Table(
    "t",
    "",
    "",
    (
        Column("id", "integer", "BIGINT"),
        Column("who", "string", "VARCHAR", classification="Personal Data (GDPR)"),
        Column("tax", "integer", "BIGINT", classification="PII"),
        Column(
            "free",
            "object",
            "STRUCT(a VARCHAR)",
            properties=(Column("a", "string", "VARCHAR", classification="secret"),),
        ),
        Column("tags", "array", "VARCHAR[]", items=Column("", "string", "VARCHAR", classification="restricted")),
    ),
    (),
)


def test_what_sounds_classified_is_masked() -> None:
    """Words of other organisations, nested values, items of lists, and columns that nobody declared are hidden."""
    row = {"id": 1, "who": "Ann", "tax": 0, "free": {"a": "x", "b": "y"}, "tags": ["z", None], "more": True}
    shown = {
        "id": 1,
        "who": "***",
        "tax": "***",
        "free": {"a": "***", "b": "***"},
        "tags": ["***", None],
        "more": "***",
    }
    assert shown == mask(row, PERSONAL)


LEAKS = [
    "SELECT CAST('ann@x.org' AS INTEGER)",
    "SELECT 1234567890 * 987654321::INTEGER",
    "SELECT 123456789::INTEGER * 98765432::INTEGER",
    "SELECT 5551234567::BIGINT::INTEGER",
    "SELECT error('ann@x.org')",
    "SELECT strptime('ann@x.org', '%Y')",
    "SELECT json_extract('{ann@x.org', '$.a')",
    "SELECT DATE 'ann@x.org'",
]


@pytest.mark.parametrize("query", LEAKS)
@pytest.mark.parametrize(
    "table", [PERSONAL, replace(PERSONAL, columns=PERSONAL.columns[:1])], ids=["classified", "open"]
)
def test_no_error_text_quotes_a_value(query: str, table: Table) -> None:
    """What DuckDB says of values is blanked, for a rule may have read a table whose columns nobody knows here."""
    with duckdb.connect() as con:
        try:
            con.execute(query).fetchall()
        except duckdb.Error as error:
            said = mask_error(error, table)
            for value in ("ann@x.org", "1234567890", "987654321", "98765432", "5551234567"):
                assert value not in said


def test_errors_about_declarations_are_told_whole() -> None:
    """A misspelt column is not hidden from whoever has to mend it."""
    with duckdb.connect() as con, pytest.raises(duckdb.BinderException) as raised:
        con.execute("SELECT amuont FROM (SELECT 1 AS amount)")
    assert "amuont" in mask_error(raised.value, PERSONAL)
    assert "from INT64 to *** of 'INT32'".replace("'INT32'", "***") == without_values("from INT64 to 99 of 'INT32'")


def test_a_map_is_as_classified_as_what_is_in_it(shop: Path) -> None:
    """Values of a map have no column of their own: the map is masked."""
    sides = "key: {logicalType: string}, value: {logicalType: string, classification: personal}"
    text = f"{{name: notes, physicalType: 'MAP(VARCHAR, VARCHAR)', logicalType: map, map: {{{sides}}}}}"
    edit(shop / CUSTOMERS, "      - name: email\n", f"      - {text}\n      - name: email\n")
    edit(shop / CUSTOMERS, "v3.1.0", "v3.2.0")
    (table,) = (t for p in load_project(shop).products for t in p.tables if t.name == "customers")
    assert {"notes": "***"} == mask({"notes": {"a": "b"}}, table)
