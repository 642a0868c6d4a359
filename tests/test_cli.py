"""The command line ends as it says it does: exit codes, JSON that its schemas describe, one message for an error."""

from __future__ import annotations

import json
import re
import resource
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from tests.pages import ROOT, Ran, run
from tests.shop import edit, make_shop, write_customers, write_orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Command = Callable[..., Ran]

ORDERS, REVENUE = "shop/orders", "shop/revenue"
CONTRACT = "assets/shop/orders/contracts/orders.odcs.yaml"
CUSTOMERS = "assets/shop/orders/contracts/customers.odcs.yaml"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Return a project with two products that were never built."""
    return make_shop(tmp_path)


@pytest.fixture
def command(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return what runs a command in the project."""
    return lambda *arguments: run(shop, *arguments, monkeypatch=monkeypatch)


@pytest.fixture
def built(command: Command) -> Command:
    """Return what runs a command in the project, after its first build."""
    assert 0 == command("build").code
    return command


def fields(value: Any, schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """Yield the fields of an output that its schema does not describe."""
    if isinstance(value, list):
        for item in value:
            yield from fields(item, schema.get("items", {}), f"{path}[]")
    elif isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        for name, inner in value.items():
            described = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if not described:
                yield f"{path}.{name}"
            else:
                yield from fields(inner, described, f"{path}.{name}")


def facts(ran: Ran, name: str) -> Any:
    """Return the JSON that a command printed, after comparing it with its schema in the docs, field by field."""
    value = json.loads(ran.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    schema = json.loads((ROOT / f"docs/json/{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(value)
    assert [] == list(fields(value, schema)), "a field is not described"
    return value


def test_outputs_before_the_first_build(command: Command, shop: Path) -> None:
    """Commands about declarations print facts that their schemas describe, and leave no data."""
    said = facts(command("validate", "--json"), "validate")
    assert ([], [ORDERS, REVENUE]) == (said["faults"], [product["product"] for product in said["products"]])
    plans = facts(command("plan", "--json"), "plan")
    assert [("customers", 0), ("orders", 10)] == [(t["table"], len(t["partitions"])) for t in plans[0]["tables"]]
    assert {"refresh"} == {table["action"] for plan in plans for table in plan["tables"]}
    assert ["ledger", "operations"] == sorted(facts(command("migrate", "--json"), "migrate"))
    tests = shop / "assets/shop/revenue/tests/revenue.yaml"
    tests.parent.mkdir()
    tests.write_text(
        "{table: revenue, name: adds up, given: {orders: [{customer_id: 1, amount: 2}]},"
        " expect: [{customer_id: 1, revenue: 3}]}",
        encoding="utf-8",
    )
    ran = command("test", "--json")
    (outcome,) = facts(ran, "test")
    assert (1, False, "adds up") == (ran.code, outcome["passed"], outcome["test"])
    assert not (shop / ".dataproducts/data").exists()


def test_outputs_of_a_life_of_releases(command: Command, shop: Path) -> None:
    """Build, refuse, quarantine, compare, roll back, verify, collect: each prints what its schema describes."""
    built = facts(command("build", "--json"), "build")
    assert [("released", 1), ("released", 1)] == [(one["state"], one["release"]) for one in built]
    assert {"up to date"} == {one["state"] for one in facts(command("build", "--json"), "build")}

    write_customers(shop, "1,a@x.org\n2,nonsense\n3,c@x.org\n4,d@x.org\n5,other\n")
    ran = command("build", "--json")
    orders, revenue = facts(ran, "build")
    assert (1, "refused", "skipped") == (ran.code, orders["state"], revenue["state"])
    write_customers(shop, "1,a@x.org\n2,b@x.org\n3,c@x.org\n4,d@x.org\n5,other\n")
    orders, revenue = facts(command("build", "--json"), "build")
    assert {"email.pattern": 1} == orders["tables"]["customers"]["quarantined"]

    listed = facts(command("releases", ORDERS, "--json"), "releases")
    assert [2, 1] == [row["release"] for row in listed]
    assert {"release", "product", "run", "published_at", "tables"} <= listed[0].keys()
    assert {"customers": 4, "orders": 40} == {name: table["rows"] for name, table in listed[0]["tables"].items()}
    assert [2] == [
        r["release"] for r in facts(command("releases", "list", ORDERS, "--limit", "1", "--json"), "releases")
    ]
    assert 2 == len(facts(command("releases", "diff", ORDERS, "1", "2", "--json"), "releases-diff"))
    assert {1, 3} == set(facts(command("rollback", ORDERS, "--to", "1", "--json"), "rollback").values()) & {1, 3}
    assert facts(command("check", ORDERS, "--json"), "check")["passed"]
    assert [] == facts(command("verify", "--json"), "verify")
    assert 0 == facts(command("gc", "--dry-run", "--json"), "gc")["versions"]


def test_verify_finds_a_damaged_file(built: Command, shop: Path) -> None:
    """A file with other bytes than were judged is told, with the releases that hold it, and the exit code is 1."""
    file = next((shop / ".dataproducts/data/shop/orders/orders").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    ran = built("verify", ORDERS, "--json")
    (finding,) = facts(ran, "verify")
    assert (1, "sha256", [1]) == (ran.code, finding["kind"], finding["releases"])


def test_faults_are_listed_as_json_and_as_text(command: Command, shop: Path) -> None:
    """A broken file gives exit code 1: its faults as facts on standard output, or as lines on standard error."""
    edit(shop / "assets/shop/orders/product.yaml", "  purpose: Every", "  purpse: Every")
    ran = command("validate", "--json")
    assert 1 == ran.code
    assert {"assets/shop/orders/product.yaml"} == {fault["path"] for fault in facts(ran, "validate")["faults"]}
    ran = command("validate")
    assert 1 == ran.code
    assert "Did you mean 'purpose'?" in ran.err
    assert all(line.startswith("assets/shop/orders/product.yaml:") for line in ran.err.splitlines() if "purp" in line)


def test_a_file_is_checked_without_a_project(command: Command, shop: Path) -> None:
    """Good rows give 0, a rejected one 1, both as JSON too; what a build would quarantine is counted, not shown."""
    assert 0 == command("check", "data/customers.csv", "--contract", CUSTOMERS).code
    write_customers(shop, "1,a@x.org\n2,b@x.org\n2,c@x.org\n3,nonsense\n")
    ran = command("check", "data/customers.csv", "--contract", CUSTOMERS, "--json")
    said = facts(ran, "check")
    failed = next(result for result in said["tables"]["customers"] if not result["passed"])
    assert (1, "primary_key", [{"customer_id": 2}] * 2) == (ran.code, failed["rule"], failed["sample"])
    assert ({"customers": {"email.pattern": 1}}, False) == (said["quarantined"], "nonsense" in ran.out)


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (2, ["validate", "--nonsense"]),
        (2, ["validate", "nowhere"]),
        (2, ["-C", "nowhere", "build"]),
        (2, ["releases", ORDERS]),
        (2, ["verify"]),
        (2, ["rollback", ORDERS]),
        (2, ["gc", "--keep-days", "-1"]),
        (2, ["check", "data/orders.csv"]),
        (1, ["check", "nowhere.csv", "--contract", CONTRACT]),
        (1, ["check", "data/orders.csv", "--contract", "nowhere.yaml"]),
        (1, ["check", "data/orders.csv", "--contract", "data/orders.csv"]),
        (1, ["check", "data/orders.csv", "--contract", CONTRACT, "--table", "nothing"]),
        (1, ["check", CONTRACT, "--contract", CONTRACT]),
        (1, ["validate", "data/orders.csv"]),
        (1, ["build", "shop/orderz"]),
        (1, ["plan", "shop/orderz"]),
        (1, ["test", "shop/orderz"]),
    ],
)
def test_an_error_is_one_message(command: Command, code: int, arguments: list[str]) -> None:
    """What cannot be done ends with its code and says why on standard error, without a traceback or an output."""
    ran = command(*arguments)
    assert (code, "") == (ran.code, ran.out)
    assert ran.err.strip()
    assert "Traceback" not in ran.err


def test_a_file_for_a_table_that_no_rule_reads_is_refused(command: Command, shop: Path) -> None:
    """A misspelt `--with` is told with what it may mean; a query that cannot be read may mean any."""
    check = ("check", "data/orders.csv", "--contract", CONTRACT, "--with")
    ran = command(*check, "custmers=data/customers.csv")
    assert (2, "") == (ran.code, ran.out)
    assert "--with custmers: no rule of" in ran.err
    assert "Did you mean 'customers'?" in ran.err
    assert 0 == command(*check, "customers=data/customers.csv").code
    ran = command("check", "data/customers.csv", "--contract", CUSTOMERS, "--with", "orders=data/orders.csv")
    assert (2, True) == (ran.code, "They read no other table: leave --with out." in ran.err)
    ran = command(*check, "customers=data/customers.csv", "--with", "customers=data/orders.csv")
    assert (2, True) == (ran.code, "names a table twice" in ran.err)
    query = "    quality: [{name: q, type: sql, query: 'SELECT count(*) FROM Orders, Tills', mustBe: 0}]\n"
    edit(shop / CONTRACT, "    properties:\n", f"{query}    properties:\n")
    ran = command(*check, "tils=data/orders.csv")
    assert (2, True) == (ran.code, "Did you mean 'Tills'? Known: Tills, customers." in ran.err)
    edit(shop / CONTRACT, "SELECT count(*) FROM Orders, Tills", "SELECT count( FROM tills")
    ran = command(*check, "tills=data/orders.csv")
    assert (1, True) == (ran.code, "2 not judged" in ran.out)


def test_a_report_that_cannot_be_written_leaves_the_verdict(command: Command, shop: Path) -> None:
    """The verdict is printed first and decides the exit code, unless it is good; no half of the file stays."""
    (shop / "blocked").write_text("no folder", encoding="utf-8")
    wanted = ("--report", "junit=blocked/results.xml", "--report", "json=results.json")
    check = ("check", "data/customers.csv", "--contract", CUSTOMERS)
    ran = command(*check, *wanted)
    assert (2, "good", True) == (ran.code, ran.out.split()[-1], "results.xml: the report cannot be written" in ran.err)
    write_customers(shop, "1,a@x.org\n1,b@x.org\n")
    ran = command(*check, *wanted)
    assert (1, "refused", True) == (
        ran.code,
        ran.out.split()[-1],
        "results.xml: the report cannot be written" in ran.err,
    )
    there = sorted(shop.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # as if the disk were full after 100 bytes
    try:
        ran = command(*check, "--report", "json=results.json", "--json")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (1, False) == (ran.code, json.loads(ran.out)["passed"])
    assert ("results.json: the report cannot be written" in ran.err, there) == (True, sorted(shop.iterdir()))


def test_a_build_is_told_before_its_report(command: Command, shop: Path) -> None:
    """What was released is printed, though the report of it cannot be written."""
    (shop / "blocked").write_text("no folder", encoding="utf-8")
    ran = command("build", ORDERS, "--report", "json=blocked/results.json")
    assert (2, True) == (ran.code, f"released as {ORDERS} #1" in ran.out)
    assert "cannot be written" in ran.err
    write_customers(shop, "1,a@x.org\n1,b@x.org\n")
    ran = command("build", ORDERS, "--report", "json=blocked/results.json")
    assert (1, True) == (ran.code, "cannot be written" in ran.err)


def test_a_plan_of_nothing_has_no_heading(command: Command, shop: Path, tmp_path_factory: Any) -> None:
    """Faults stand alone where no table can be planned; a project without a product is told."""
    edit(shop / "assets/shop/orders/product.yaml", "  purpose: Every", "  purpse: Every")
    ran = command("plan")
    assert (1, "", True) == (ran.code, ran.out, "purpse" in ran.err)
    (empty := tmp_path_factory.mktemp("empty") / "assets").mkdir()
    for name in ("plan", "build"):
        ran = command("-C", str(empty.parent), name)
        assert (2, "", True) == (ran.code, ran.out, "assets holds no data product" in ran.err)


def test_names_of_releases_and_products_are_suggested(built: Command) -> None:
    """An unknown product or release is refused with what is known; the current one cannot be rolled back to."""
    assert "Did you mean 'shop/orders'?" in built("releases", "shop/orderz").err
    assert 1 == built("releases", "diff", ORDERS, "1", "7").code
    assert 1 == built("rollback", ORDERS, "--to", "7").code
    assert (2, "") == (built("rollback", ORDERS, "--to", "1").code, built("rollback", ORDERS, "--to", "1").out)


def test_a_ledger_that_is_none_could_not_run(built: Command, shop: Path) -> None:
    """A ledger of another version or one that is no database ends with 2, on reading and on building."""
    ledger = shop / ".dataproducts/ledger.sqlite"
    with sqlite3.connect(ledger) as con:
        con.execute("UPDATE ledger_revision SET version_num = '9999'")
    con.close()
    for arguments in (["releases", ORDERS], ["build"], ["migrate"]):
        ran = built(*arguments)
        assert (2, "") == (ran.code, ran.out)
        assert "newer" in ran.err
    ledger.write_bytes(b"no database at all" * 100)
    assert 2 == built("verify").code


def test_a_refused_product_leaves_the_others(command: Command, shop: Path) -> None:
    """What reads a refused product is not built, and says so; a rejected row is shown."""
    write_orders(shop, bad={7: "7,3,2024-01-02,-17.5"})
    ran = command("build")
    assert 1 == ran.code
    assert "order_id=7, ordered_on='2024-01-02', amount=-17.5" in ran.out
    assert "shop/revenue not built: it reads shop/orders, which was not released" in " ".join(ran.out.split())


def test_a_tightened_contract_is_judged_again_and_released(built: Command, shop: Path) -> None:
    """A rule that was added to a contract, and that the released rows satisfy, is released without a new load."""
    edit(shop / CONTRACT, "logicalTypeOptions: {minimum: 0}", "logicalTypeOptions: {minimum: 0, maximum: 1000}")
    (plan,) = facts(built("plan", ORDERS, "--json"), "plan")
    assert {"customers": "carry", "orders": "refresh"} == {t["table"]: t["action"] for t in plan["tables"]}
    (said,) = facts(built("build", ORDERS, "--json"), "build")
    assert ("released", 2) == (said["state"], said["release"]), said.get("reason")
    assert "up to date" == facts(built("build", ORDERS, "--json"), "build")[0]["state"]


@pytest.mark.parametrize("module", ["checks", "resources"])
def test_a_broken_module_of_the_project_is_one_message(command: Command, shop: Path, module: str) -> None:
    """Rules or wiring that cannot be imported end with a message that names the module."""
    (shop / f"{module}.py").write_text("import nothing_of_that_name\n", encoding="utf-8")
    ran = command("validate")
    assert ran.code
    assert module in ran.err


def test_the_installed_script_ends_without_a_traceback(shop: Path) -> None:
    """The same holds for the process that people start: code, message, nothing else; and it loads no dagster."""
    code = "import sys; from dataproducts.cli import main; sys.argv[0] = 'dataproducts'; main(sys.argv[1:])"
    ended = subprocess.run(
        [sys.executable, "-c", code, "-C", str(shop), "releases", ORDERS], capture_output=True, text=True, check=False
    )
    assert (2, "") == (ended.returncode, ended.stdout)
    assert ended.stderr.startswith("dataproducts: ")
    assert 1 == len(ended.stderr.strip().splitlines())


def test_a_clause_is_told_with_its_name(command: Command, shop: Path) -> None:
    """Two SLAs that nothing keeps are told apart by their names; a place that does not fit is a line of its own."""
    slas = "slaProperties:\n  - {property: errorRate, value: 1}\n  - {property: throughput, value: 2}\n"
    contract = shop / "assets/shop/orders/contracts/orders.odcs.yaml"
    contract.write_text(contract.read_text(encoding="utf-8") + slas, encoding="utf-8")
    lines = command("validate").out.splitlines()
    at = [nth for nth, line in enumerate(lines) if line.startswith("  declared-only contract.slaProperties[] ")]
    assert ["errorRate", "throughput"] == [lines[nth].split()[2] for nth in at]
    place = r"    assets/shop/orders/contracts/orders\.odcs\.yaml:\d+"
    assert all(re.fullmatch(place, lines[nth + 1]) for nth in at)


def test_days_of_what_has_none_are_refused(command: Command, shop: Path) -> None:
    """Partitions of a product without any are refused by plan and build, with the reason; a domain may mix."""
    for name in ("plan", "build"):
        for words in (["shop/revenue"], [ORDERS, "shop/revenue"]):
            ran = command(name, *words, "--partition", "2024-01-03")
            assert (2, True) == (ran.code, "--partition: no table of shop/revenue is cut" in ran.err), ran
            assert "" == ran.out
    assert 0 == command("plan", "shop", "--partition", "2024-01-03").code


def test_a_list_of_no_notices_has_no_heading(built: Command) -> None:
    """Where nothing was said to anybody, that is all that is told."""
    ran = built("notices")
    assert (0, "notices: none") == (ran.code, ran.out.splitlines()[0])
    assert "subject" not in ran.out
