"""One file is judged by one contract, without a project."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from dataproducts.check import check_file
from dataproducts.errors import DeclarationError, SourceError, UnknownNameError, UsageError
from dataproducts.load import load_contract
from dataproducts.read import read_rows
from tests.pages import ROOT, run

NOW = datetime(2024, 2, 1, tzinfo=UTC)
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: shop.sales.orders
version: 1.0.0
status: draft
schema:
  - name: orders
    properties:
      - {name: id, logicalType: integer, physicalType: BIGINT, primaryKey: true, primaryKeyPosition: 1}
      - {name: amount, logicalType: number, physicalType: "DECIMAL(10,2)", logicalTypeOptions: {minimum: 0}}
      - {name: ordered_on, logicalType: date, required: true}
      - {name: email, logicalType: string, classification: personal, logicalTypeOptions: {pattern: "@"}}
"""
ROWS = "id,amount,ordered_on,email\n1,1.10,2024-01-31,a@x.org\n2,0,2024-01-30,\n"
PARQUET = "1::BIGINT AS id, 1::DECIMAL(10,2) AS amount, DATE '2024-01-31' AS ordered_on, '@' AS email"
ASIDE = "customProperties: [{property: onFailure, value: quarantine}]"


@pytest.fixture
def contract(tmp_path):
    """The contract, on disk."""
    path = tmp_path / "orders.odcs.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    return path


def check(tmp_path, contract, text, name="orders.csv", **options):
    """Judge this text as a file; results by rule name."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    verdict = check_file(path, contract, now=NOW, **options)
    return verdict, {result.rule.name: result for result in verdict.results}


def write_parquet(path, selected):
    """Write one row of these columns as Parquet."""
    with duckdb.connect() as con:
        con.sql(f"SELECT {selected}").write_parquet(str(path))


def test_good_rows_pass(tmp_path, contract):
    """A file that keeps its contract has a verdict that passed, with a result for every rule."""
    verdict, found = check(tmp_path, contract, ROWS)
    assert [r.message for r in verdict.results if not r.passed] == []
    assert (verdict.passed, verdict.table, verdict.rows) == (True, "orders", 2)
    assert {"schema", "primary_key", "amount.range", "email.pattern"} <= found.keys()


def test_each_broken_rule_is_told(tmp_path, contract):
    """Counts and masked samples of what is wrong."""
    rows = "id,amount,ordered_on,email\n1,-1,2024-01-31,secret\n1,0,,\n"
    verdict, found = check(tmp_path, contract, rows)
    wrong = {name for name, result in found.items() if not result.passed}
    assert wrong == {"primary_key", "amount.range", "ordered_on.required", "email.pattern"}
    assert "secret" not in str(verdict)
    assert found["email.pattern"].sample == ({"id": 1, "email": "***"},)


def test_values_that_do_not_fit_their_type_fail_the_schema_rule(tmp_path, contract):
    """A wrong type is a finding, not a crash; no value is shown, and fractions are not rounded away."""
    rows = "id,amount,ordered_on,email\n1.5,1.234,31/01/2024,a@x.org\n2,much,2024-01-31,a@x.org\n"
    verdict, found = check(tmp_path, contract, rows)
    assert not verdict.passed
    assert found["schema"].message.replace(str(tmp_path), "") == (
        "1 value of id is no BIGINT (/orders.csv:2: found '9.9', expected a whole number such as 42); "
        "2 values of amount are no DECIMAL(10,2) (/orders.csv:2: found '9.999', 'aaaa', expected a number such as 12.5 "
        "that fits DECIMAL(10,2)); "
        "1 value of ordered_on is no DATE (/orders.csv:2: found '99/99/9999', expected a date such as 2024-01-31 in "
        "ISO 8601)"
    )


def test_a_classified_column_shows_no_shape(tmp_path, contract):
    """Where the value is and what was expected is told, not how long a secret is."""
    text = contract.read_text(encoding="utf-8")
    contract.write_text(
        text.replace("name: ordered_on,", "name: ordered_on, classification: personal,"), encoding="utf-8"
    )
    rows = "id,amount,ordered_on,email\n1,1,31/01/2024,a@x.org\n"
    _, found = check(tmp_path, contract, rows)
    assert found["schema"].message.endswith("orders.csv:2: expected a date such as 2024-01-31 in ISO 8601)")


def test_missing_and_extra_columns_are_told(tmp_path, contract):
    """Rules on a missing column fail closed."""
    verdict, found = check(tmp_path, contract, "id,ordered_on,email,more\n1,2024-01-31,a@x.org,x\n")
    assert found["schema"].message == "column amount is missing; column more is not in the contract"
    assert found["amount.range"].error == "not judged: column amount is missing"
    assert (found["amount.range"].passed, found["id.required"].passed, verdict.passed) == (False, True, False)


def test_a_column_in_another_case_is_another_column(tmp_path, contract):
    """As in a build, names count letter by letter; what may be meant is told, and the rules are not judged."""
    verdict, found = check(tmp_path, contract, ROWS.replace("email", "Email").replace("amount", "amuont"))
    assert found["schema"].message == (
        "column amount is missing; column email is missing; column amuont is not in the contract; "
        "column Email is not in the contract; is amuont meant for amount? Rename it, or declare "
        "`physicalName: amuont`; is Email meant for email? Rename it, or declare `physicalName: Email`"
    )
    assert found["email.pattern"].error == "not judged: column email is missing"
    assert not verdict.passed


def test_a_physical_name_tells_which_column_is_read(tmp_path, contract):
    """A file has the physical name or the column's own; another column of that name is not in the contract."""
    named = CONTRACT.replace("{name: email,", "{name: email, physicalName: E-Mail,")
    contract.write_text(named, encoding="utf-8")
    assert check(tmp_path, contract, ROWS)[0].passed
    verdict, found = check(tmp_path, contract, ROWS.replace("email", "E-Mail").replace("a@x", "ax"))
    assert (found["email.pattern"].failed_rows, found["schema"].passed) == (1, True)
    both = "id,amount,ordered_on,email,E-Mail\n1,1,2024-01-31,none,a@x.org\n"
    verdict, found = check(tmp_path, contract, both)
    assert [result.message for result in verdict.results if not result.passed] == [
        "column email is not in the contract"
    ]
    swapped = named.replace("name: amount,", "name: amount, physicalName: ordered_on,").replace(
        "name: ordered_on,", "name: ordered_on, physicalName: amount,"
    )
    contract.write_text(swapped, encoding="utf-8")
    assert check(tmp_path, contract, "id,ordered_on,amount,email\n1,1.10,2024-01-31,\n")[0].passed


def test_physical_names_of_parquet(tmp_path, contract):
    """Parquet keeps its types under the contract's names."""
    contract.write_text(CONTRACT.replace("{name: email,", "{name: email, physicalName: E-Mail,"), encoding="utf-8")
    path = tmp_path / "it's [one]*.parquet"
    write_parquet(path, PARQUET.replace("email", '"E-Mail"'))
    assert [r.reason for r in check_file(path, contract, now=NOW).results if not r.passed] == []


def test_parquet_is_handed_on_as_it_is(tmp_path, contract):
    """Nothing stands between the gate and the file: statistics and projections of the scan stay possible."""
    path = tmp_path / "orders.parquet"
    write_parquet(path, PARQUET)
    (table,) = load_contract(contract)
    with duckdb.connect() as con:
        assert read_rows(con, path, table).relation == f"read_parquet(['{path}'], hive_partitioning = FALSE)"
        assert con.execute("SELECT count(*) FROM duckdb_tables()").fetchall() == [(0,)]


def test_text_is_parsed_once(tmp_path, contract):
    """Rows of CSV are a table of the connection when they are judged, with the contract's columns and no more."""
    path = tmp_path / "orders.csv"
    path.write_text(ROWS.replace("1.10", "much"), encoding="utf-8")
    (table,) = load_contract(contract)
    with duckdb.connect() as con:
        rows = read_rows(con, path, table)
        path.unlink()
        assert (rows.misfits, rows.misfit_rows) == ({"amount": 1}, 1)
        found = con.execute(f"SELECT * FROM {rows.relation} ORDER BY id").fetchall()
    assert found == [(1, None, date(2024, 1, 31), "a@x.org"), (2, Decimal("0.00"), date(2024, 1, 30), None)]


def test_misfits_are_counted_in_wide_tables(tmp_path):
    """The bits that count them go beyond one integer."""
    count = 70
    columns = "\n".join(f"      - {{name: c{at}, logicalType: integer}}" for at in range(count))
    contract = tmp_path / "wide.odcs.yaml"
    contract.write_text(f"{CONTRACT[: CONTRACT.index('    properties')]}    properties:\n{columns}\n", encoding="utf-8")
    head = ",".join(f"c{at}" for at in range(count))
    rows = "\n".join(",".join("x" if at in (bad, 69) else "1" for at in range(count)) for bad in (0, 30, 31, 32))
    _, found = check(tmp_path, contract, f"{head}\n{rows}\n", "wide.csv")
    assert re.sub(r" \(.*?\)", "", found["schema"].message) == (
        "1 value of c0 is no BIGINT; 1 value of c30 is no BIGINT; 1 value of c31 is no BIGINT; "
        "1 value of c32 is no BIGINT; 4 values of c69 are no BIGINT"
    )
    assert found["schema"].failed_rows == 4


def servers(*entries):
    """The contract with servers, each a name, a path and a date format."""
    told = "".join(
        f"  - {{server: {name}, type: local, path: {path}, format: csv, "
        f"customProperties: [{{property: dateFormat, value: '{form}'}}]}}\n"
        for name, path, form in entries
    )
    return CONTRACT.replace("schema:\n", f"servers:\n{told}schema:\n")


def test_the_server_that_names_the_file_says_how_dates_are_written(tmp_path, contract):
    """By its path, or by what all servers agree on; where they disagree, nothing is guessed."""
    european, american = ROWS.replace("2024-01-31", "31/01/2024").replace("2024-01-30", "30/01/2024"), "%m/%d/%Y"
    contract.write_text(servers(("eu", "in/eu_*.csv", "dd/MM/yyyy"), ("us", "in/us.csv", american)), encoding="utf-8")
    assert check(tmp_path, contract, european, "eu_1.csv")[0].passed
    assert "2 values of ordered_on are no DATE" in check(tmp_path, contract, european, "us.csv")[1]["schema"].message
    with pytest.raises(UsageError, match=r"servers eu, us of the contract say different things.*'other\.csv'"):
        check(tmp_path, contract, european, "other.csv")
    contract.write_text(servers(("a", "a.csv", "dd/MM/yyyy"), ("b", "b.csv", "dd/MM/yyyy")), encoding="utf-8")
    assert check(tmp_path, contract, european, "other.csv")[0].passed


def test_the_format_of_a_column_wins_over_the_server(tmp_path, contract):
    """The nearer declaration counts."""
    near = servers(("a", "a.csv", "%m/%d/%Y")).replace(
        "logicalType: date, required: true",
        "logicalType: date, required: true, logicalTypeOptions: {format: dd.MM.yyyy}",
    )
    contract.write_text(near, encoding="utf-8")
    rows = ROWS.replace("2024-01-31", "31.01.2024").replace("2024-01-30", "30.01.2024")
    assert check(tmp_path, contract, rows)[0].passed


def test_quarantine_is_told_and_the_rest_is_judged(tmp_path, contract):
    """As in a build: the rows go, duplicates among the rest too, and what is left satisfies the rules."""
    kept = CONTRACT.replace("{minimum: 0}", f"{{minimum: 0}}, {ASIDE}")
    kept = kept.replace("primaryKeyPosition: 1", f"primaryKeyPosition: 1, {ASIDE}")
    contract.write_text(kept, encoding="utf-8")
    rows = f"{ROWS}2,5,2024-01-30,\n3,-1,2024-01-30,\n,1,2024-01-30,\n"
    verdict, _ = check(tmp_path, contract, rows)
    assert (verdict.passed, verdict.rows) == (True, 2)
    assert verdict.quarantined == {"amount.range": 1, "id.required": 1, "primary_key": 1}
    good = check(tmp_path, contract, ROWS)[0]
    assert (good.passed, good.rows, good.quarantined) == (True, 2, {})
    lacking = check(tmp_path, contract, rows.replace("amount", "much"))[0]
    assert (lacking.passed, lacking.quarantined) == (False, {"id.required": 1, "primary_key": 1})


@pytest.mark.parametrize(("limit", "passed"), [("50 %", True), ("1 rows", True), ("20 %", False), ("0 rows", False)])
def test_too_much_quarantine_is_a_refusal(tmp_path, contract, limit, passed):
    """The limit that refuses a build refuses the file: here one of three rows would go."""
    limited = ASIDE.replace("}]", f"}}, {{property: maxQuarantined, value: {limit}}}]")
    contract.write_text(CONTRACT.replace("{minimum: 0}", f"{{minimum: 0}}, {limited}"), encoding="utf-8")
    verdict, found = check(tmp_path, contract, f"{ROWS}3,-1,2024-01-30,\n")
    assert (verdict.passed, verdict.quarantined, found["amount.range"].passed) == (passed, {"amount.range": 1}, passed)


def test_values_are_treated_before_they_are_judged(tmp_path, contract):
    """What a policy puts in is what a build would judge; a column that the file lacks is not treated."""
    imputed = "customProperties: [{property: missing, value: {policy: impute, value: none@x.org}}]"
    contract.write_text(
        CONTRACT.replace('{pattern: "@"}', f'{{pattern: "@"}}, required: true, {imputed}'), encoding="utf-8"
    )
    verdict, _ = check(tmp_path, contract, ROWS)
    assert [r.reason for r in verdict.results if not r.passed] == []
    lacking = check(tmp_path, contract, ROWS.replace("email", "mail"))[0]
    assert {r.error for r in lacking.results if r.error} == {"not judged: column email is missing"}


def test_the_command_tells_what_would_be_quarantined(tmp_path, contract, monkeypatch):
    """In words and as JSON."""
    contract.write_text(CONTRACT.replace("{minimum: 0}", f"{{minimum: 0}}, {ASIDE}"), encoding="utf-8")
    (tmp_path / "orders.csv").write_text(f"{ROWS}3,-1,2024-01-30,\n", encoding="utf-8")
    command = ("check", "orders.csv", "--contract", contract.name)
    said = run(tmp_path, *command, monkeypatch=monkeypatch)
    assert (said.code, "amount.range: 1 row would be quarantined, the others were judged" in said.out) == (0, True)
    assert "  amount.range: quarantined rows, for instance\n    id=3, amount=-1.0\n" in said.out
    facts = json.loads(run(tmp_path, *command, "--json", monkeypatch=monkeypatch).out)
    assert (facts["passed"], facts["quarantined"]) == (True, {"orders": {"amount.range": 1}})
    assert facts["quarantined_sample"] == {"orders": {"amount.range": [{"id": 3, "amount": -1.0}]}}
    schema = json.loads((ROOT / "docs/json/check.schema.json").read_text(encoding="utf-8"))
    assert "quarantined_sample" in schema["properties"]


def test_rows_that_would_go_are_shown_masked(tmp_path, contract):
    """Of a rule, of a repeated key and of a policy: five at most, with the key, the rule's columns and no secret."""
    kept = CONTRACT.replace('{pattern: "@"}', f'{{pattern: "@"}}, {ASIDE}')
    kept = kept.replace("primaryKeyPosition: 1", f"primaryKeyPosition: 1, {ASIDE}")
    policy = "customProperties: [{property: outliers, value: {policy: quarantine, minimum: 0, maximum: 9}}]"
    kept = kept.replace("logicalTypeOptions: {minimum: 0}", policy)
    contract.write_text(kept, encoding="utf-8")
    rows = f"{ROWS}1,1,2024-01-30,\n9,10,2024-01-30,\n" + "".join(f"{n},1,2024-01-30,bad\n" for n in range(10, 20))
    verdict, _ = check(tmp_path, contract, rows)
    assert (verdict.passed, verdict.rows, verdict.quarantined_rows) == (True, 2, 12)
    assert verdict.quarantined == {"email.pattern": 10, "primary_key": 1, "amount.outliers": 1}
    shown = verdict.quarantined_sample
    assert shown["primary_key"] == ({"id": 1},)
    assert shown["amount.outliers"] == ({"id": 9, "amount": 10.0},)
    assert (len(shown["email.pattern"]), {row["email"] for row in shown["email.pattern"]}) == (5, {"***"})


def test_objects_of_the_project_judge_a_file_inside_it(tmp_path, contract, monkeypatch):
    """`checks.CUSTOM` is that of the project around the folder, and nothing of it is imported before a rule asks."""
    rule = "    quality: [{name: few, type: custom, engine: python, implementation: few}]\n"
    plain = contract.read_text(encoding="utf-8")
    contract.write_text(plain.replace("    properties:\n", f"{rule}    properties:\n"), encoding="utf-8")
    project = tmp_path / "project"
    (project / "checks").mkdir(parents=True)
    (project / "assets").mkdir()
    (project / "data").mkdir()
    (tmp_path / "orders.csv").write_text(ROWS, encoding="utf-8")
    checks = project / "checks/__init__.py"
    command = [sys.executable, "-c", "from dataproducts.cli import main; main()", "check", str(tmp_path / "orders.csv")]

    def told(folder, *more, judged=contract, text="CUSTOM = {'few': lambda rows: print('hm') or len(rows) - 1}\n"):
        checks.write_text(text, encoding="utf-8")
        full = [*command[:3], *more, *command[3:], "--contract", str(judged), "--json"]
        done = subprocess.run(full, cwd=folder, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        results = {result["rule"]: result for result in json.loads(done.stdout)["tables"]["orders"]}
        found = results.get("few", results["schema"])
        return found["passed"], found["failed_rows"], found["error"]

    assert (False, 1, "") == told(project / "data")
    assert (False, 1, "") == told(tmp_path, "-C", str(project))
    passed, _, why = told(tmp_path)
    assert (False, True) == (passed, "run the command inside that project, or with -C" in why)
    assert "checks/__init__.py:2: checks cannot be imported: NameError" in told(project, text="\nnope\n")[2]
    untouched = tmp_path / "plain.odcs.yaml"
    untouched.write_text(plain, encoding="utf-8")
    assert (True, None, "") == told(project, judged=untouched, text="raise SystemExit(3)\n")


def test_packed_files_folders_and_globs(tmp_path, contract):
    """What lies in several files is judged as one table: a key that repeats across them repeats."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv.gz").write_bytes(gzip.compress(ROWS.encode()))
    (tmp_path / "in/b.csv").write_text("amount;id;email;ordered_on\n1;2;;2024-01-30\n", encoding="utf-8")
    for target in ("in", "in/*.csv*"):
        verdict = check_file(tmp_path / target, contract, now=NOW)
        assert [(r.rule.name, r.failed_rows) for r in verdict.results if not r.passed] == [("primary_key", 1)], target
        assert verdict.rows == 3
    packed = tmp_path / "rows.json.gz"
    packed.write_bytes(gzip.compress(b'[{"id": 1, "amount": 1, "ordered_on": "2024-01-31", "email": null}]'))
    assert check_file(packed, contract, now=NOW).passed
    with pytest.raises(SourceError, match="no file matches"):
        check_file(tmp_path / "none*.csv", contract, now=NOW)


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("header.csv", b"id,amount,ordered_on,email\n", 0),
        ("header.csv", b"id,amount,ordered_on,email", 0),
        ("bom.csv", b"\xef\xbb\xbf" + ROWS.encode(), 2),
        ("utf16.csv", ROWS.encode("utf-16"), 2),
        ("crlf.csv", ROWS.replace("\n", "\r\n").encode(), 2),
        ("none.json", b"[]", 0),
        ("none.jsonl", b"", 0),
        ("a[1]*'.csv", ROWS.encode(), 2),
        ("a[1]*'.json", b'[{"id": 1, "amount": 1, "ordered_on": "2024-01-31", "email": null}]', 1),
    ],
)
def test_few_rows_and_marks_are_no_faults(tmp_path, contract, name, content, rows):
    """A table without rows is a table; a byte order mark is no part of a name; a file is called what it is called."""
    (tmp_path / name).write_bytes(content)
    verdict = check_file(tmp_path / name, contract, now=NOW)
    assert [r.reason for r in verdict.results if not r.passed] == []
    assert verdict.rows == rows


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.csv", b"", "no complete row, not even a header"),
        ("blank.csv", b"\n\n", "no complete row, not even a header"),
        ("numbers.csv", b"1,2,3,4\n", r"numbers\.csv:1: the first row may be a header or data"),
        ("twice.csv", b"id,amount,ordered_on,ID\n1,2,3,4\n", r"twice\.csv:1: .*names 'id', 'ID' repeat"),
        ("long.csv", f"{ROWS}\n3,1,2024-01-31,secret,x\n".encode(), r"long\.csv:5: .*has 5 fields and the first 4"),
        ("late.csv", (ROWS + ROWS[27:] * 9000 + "3,secret\n").encode(), r"late\.csv:18004: the row has 2 fields"),
        ("nul.csv", f"{ROWS}3,1,2024-01-31,sec\0ret\n".encode(), r"nul\.csv:4: a NUL byte"),
        ("utf16.csv", ROWS.encode("utf-16-le"), r"utf16\.csv:1: a NUL byte.*utf-16-le"),
        ("latin.csv", f"{ROWS}3,1,2024-01-31,Zoë\n".encode("latin-1"), r"latin\.csv:4: byte 0xeb is not UTF-8"),
        ("quote.csv", f'{ROWS}3,1,2024-01-31,"secret\n'.encode(), "after line 3, a quote is left open"),
        ("mixed.csv", ROWS.replace("\n", "\r\n", 1).encode(), "some lines end in CR LF and others in LF"),
        ("empty.json", b"", "the file is empty"),
        ("bom.json", b'\xef\xbb\xbf[{"id": 1}]', "starts with a byte order mark"),
        ("list.json", b'["secret"]', "no list of JSON objects"),
        ("cut.json", b'[{"id": 1}, {"id":', "Malformed JSON"),
        ("none.parquet", b"", "none.parquet"),
        ("no.parquet", b"secret", "no.parquet"),
    ],
)
def test_a_broken_file_is_an_error_with_the_line(tmp_path, contract, name, content, why):
    """Where a line is to blame it is told, as an editor counts it; no value of the data is."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=why) as error:
        check_file(tmp_path / name, contract, now=NOW)
    assert (str(tmp_path / name) in str(error.value), "secret" in str(error.value)) == (True, False)


def test_times_without_a_zone_are_utc(tmp_path, contract, monkeypatch):
    """Whatever the host's zone, and nothing is left in the folder where the command ran."""
    monkeypatch.setenv("TZ", "America/New_York")
    monkeypatch.chdir(tmp_path)
    zoned = "logicalType: timestamp, logicalTypeOptions: {timezone: true, minimum: '2024-01-31T00:00:00Z'}"
    contract.write_text(CONTRACT.replace("logicalType: date", zoned), encoding="utf-8")
    verdict, _ = check(tmp_path, contract, "id,amount,ordered_on,email\n1,1,2024-01-31 00:00:00,\n")
    assert [r.reason for r in verdict.results if not r.passed] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orders.csv", "orders.odcs.yaml"]


def test_json_and_parquet_are_judged_too(tmp_path, contract):
    """JSON is read by the declared types, Parquet by its own."""
    rows = '{"id": 1, "amount": 1.1, "ordered_on": "2024-01-31", "email": null}\n'
    assert check(tmp_path, contract, rows, "orders.jsonl")[0].passed
    wrong = '[{"id": "x", "amount": 1.1, "ordered_on": "2024-01-31", "email": null}]'
    assert "1 value of id is no BIGINT" in check(tmp_path, contract, wrong, "orders.json")[1]["schema"].message
    parquet = tmp_path / "orders.parquet"
    with duckdb.connect() as con:
        con.execute(
            "COPY (SELECT 1::INTEGER AS id, 1::DECIMAL(10,2) AS amount, DATE '2024-01-31' AS ordered_on, '@' AS email) "
            f"TO '{parquet}'"
        )
    verdict = check_file(parquet, contract, now=NOW)
    assert [r.message for r in verdict.results if not r.passed] == ["column id is INTEGER, not BIGINT"]


def test_a_foreign_key_needs_the_other_file(tmp_path, contract):
    """Without the file of the table it points to, the rule fails; with it, it is judged."""
    contract.write_text(
        CONTRACT.replace("primaryKeyPosition: 1}", "primaryKeyPosition: 1, relationships: [{to: customers.id}]}"),
        encoding="utf-8",
    )
    customers = tmp_path / "customers.csv"
    customers.write_text("id,name\n1,a\n", encoding="utf-8")
    name = "id.references.customers"
    without = check(tmp_path, contract, ROWS)[1][name]
    assert (without.passed, bool(without.error)) == (False, True)
    found = check(tmp_path, contract, ROWS, others={"customers": customers})[1][name]
    assert (found.error, found.failed_rows) == ("", 1)


def test_the_other_table_is_read_as_the_contract_declares_it(tmp_path, contract):
    """Its dates need no guess where the contract says what they are; a text key meets a text key."""
    first, second = CONTRACT.split("  - name: orders\n")
    relation = second.replace("primaryKeyPosition: 1}", "primaryKeyPosition: 1, relationships: [{to: customers.id}]}")
    customers = """  - name: customers
    properties:
      - {name: id, physicalName: number, logicalType: integer}
      - {name: since, logicalType: date, logicalTypeOptions: {format: dd/MM/yyyy}}
"""
    contract.write_text(f"{first}{customers}  - name: orders\n{relation}", encoding="utf-8")
    (tmp_path / "c.csv").write_text("number,since\n1,01/02/2024\n2,02/03/2024\n", encoding="utf-8")
    others = {"customers": tmp_path / "c.csv"}
    verdict, found = check(tmp_path, contract, ROWS, table="orders", others=others)
    assert [r.reason for r in verdict.results if not r.passed] == []
    assert found["id.references.customers"].failed_rows == 0


@pytest.mark.parametrize("name", ["a.b", 'q"uo"te', "it's", "Größe", "two words", "select", "a.b.c"])
def test_awkward_names_of_columns(tmp_path, contract, name):
    """A dot, a quote, a blank, a keyword: the column is found, and where it is not, its rules are not judged."""
    spelt = json.dumps(name)
    contract.write_text(CONTRACT.replace("{name: email,", f"{{name: {spelt}, required: true,"), encoding="utf-8")
    header = '"' + name.replace('"', '""') + '"'
    verdict, _ = check(tmp_path, contract, ROWS.replace("email", header).replace("30,\n", "30,b@x.org\n"))
    assert [r.reason for r in verdict.results if not r.passed] == []
    verdict, _ = check(tmp_path, contract, ROWS)
    unjudged = {r.error for r in verdict.results if r.error}
    assert unjudged == {f"not judged: column {name} is missing"}


def test_nested_columns_of_json(tmp_path, contract):
    """A column inside a missing one is not judged; a member that is of another kind is a misfit."""
    nested = """      - name: place
        logicalType: object
        properties: [{name: city, logicalType: string, required: true}]
      - {name: tags, logicalType: array, items: {logicalType: string}}
"""
    contract.write_text(f"{CONTRACT}{nested}", encoding="utf-8")
    row = {"id": 1, "amount": 1, "ordered_on": "2024-01-31", "email": None}
    good = {**row, "place": {"city": "Ulm"}, "tags": ["a"]}
    assert check(tmp_path, contract, json.dumps([good]), "a.json")[0].passed
    _, found = check(tmp_path, contract, json.dumps([good | {"tags": {"a": 1}, "place": [1]}]), "a.json")
    assert "1 value of place is no STRUCT" in found["schema"].message
    assert "1 value of tags is no VARCHAR[]" in found["schema"].message
    _, found = check(tmp_path, contract, json.dumps([good, good | {"place": "Ulm", "id": 2}]), "a.json")
    assert found["schema"].failed_rows == 1
    _, found = check(tmp_path, contract, json.dumps([row]), "a.json")
    assert found["place.city.required"].error == "not judged: column place is missing"


def test_what_cannot_be_read_is_an_error(tmp_path, contract):
    """An absent file, an unknown format, broken content, a faulty contract, an unknown table."""
    with pytest.raises(SourceError, match="no such file"):
        check_file(tmp_path / "no.csv", contract, now=NOW)
    for name in ("no/where.parquet", "no.xyz", "no/a"):
        with pytest.raises(SourceError, match="no such file"):
            check_file(tmp_path / name, contract, now=NOW)
    with pytest.raises(SourceError, match="no file matches"):
        check_file(tmp_path / "a**b.csv", contract, now=NOW)
    (tmp_path / "both").mkdir()
    (tmp_path / "both/a.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "both/a.json").write_text("[]", encoding="utf-8")
    with pytest.raises(SourceError, match="is a folder"):
        check_file(tmp_path / "both", contract, now=NOW)
    with pytest.raises(SourceError, match="nothing tells the format"):
        check(tmp_path, contract, "x", "orders.xyz")
    with pytest.raises(SourceError):
        check(tmp_path, contract, "no parquet", "orders.parquet")
    with pytest.raises(UnknownNameError):
        check(tmp_path, contract, ROWS, table="odrers")
    contract.write_text("kind: [", encoding="utf-8")
    with pytest.raises(DeclarationError):
        check(tmp_path, contract, ROWS)


HEAVY = (
    *("dagster", "pandas", "pandera", "polars", "pyarrow", "numpy", "great_expectations", "sqlalchemy", "alembic"),
    *("sqlglot", "pydantic", "asyncio", "rich.progress", "rich.markdown", "pygments", "dataproducts.ledger"),
    *("dataproducts.plan", "dataproducts.warehouse", "dataproducts.transforms.dependencies"),
)


def test_the_command_loads_nothing_that_a_file_does_not_need(tmp_path, contract):
    """From start to end of `dataproducts check`: no orchestrator, data frames, ledger or second SQL parser."""
    (tmp_path / "orders.csv").write_text(ROWS, encoding="utf-8")
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr))\n"
        "from dataproducts.cli import main\nmain(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "check", str(tmp_path / "orders.csv"), "--contract", str(contract)]
    done = subprocess.run([*command, "--now", "2024-02-01"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "[]"), done.stdout
