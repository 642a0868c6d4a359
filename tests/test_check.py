"""One file is judged by one contract, without a project."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import duckdb
import pytest

from dataproducts.check import check_file
from dataproducts.errors import DeclarationError, SourceError, UnknownNameError

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
    assert found["schema"].message == (
        "1 values of id are no BIGINT; 2 values of amount are no DECIMAL(10,2); 1 values of ordered_on are no DATE"
    )


def test_missing_and_extra_columns_are_told(tmp_path, contract):
    """Rules on a missing column fail closed."""
    verdict, found = check(tmp_path, contract, "id,ordered_on,email,more\n1,2024-01-31,a@x.org,x\n")
    assert found["schema"].message == "column amount is missing; column more is not in the contract"
    assert found["amount.range"].error
    assert not verdict.passed


def test_json_and_parquet_are_judged_too(tmp_path, contract):
    """JSON is read by the declared types, Parquet by its own."""
    rows = '{"id": 1, "amount": 1.1, "ordered_on": "2024-01-31", "email": null}\n'
    assert check(tmp_path, contract, rows, "orders.jsonl")[0].passed
    wrong = '[{"id": "x", "amount": 1.1, "ordered_on": "2024-01-31", "email": null}]'
    assert "1 values of id are no BIGINT" in check(tmp_path, contract, wrong, "orders.json")[1]["schema"].message
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


def test_what_cannot_be_read_is_an_error(tmp_path, contract):
    """An absent file, an unknown format, broken content, a faulty contract, an unknown table."""
    with pytest.raises(SourceError, match="no such file"):
        check_file(tmp_path / "no.csv", contract, now=NOW)
    with pytest.raises(SourceError, match="nothing tells the format"):
        check(tmp_path, contract, "x", "orders.xyz")
    with pytest.raises(SourceError):
        check(tmp_path, contract, "no parquet", "orders.parquet")
    with pytest.raises(UnknownNameError):
        check(tmp_path, contract, ROWS, table="odrers")
    contract.write_text("kind: [", encoding="utf-8")
    with pytest.raises(DeclarationError):
        check(tmp_path, contract, ROWS)


def test_checking_a_file_loads_no_heavy_library():
    """Neither the orchestrator nor data frames are imported for it."""
    heavy = {"dagster", "pandas", "pandera", "pyarrow", "sqlalchemy", "great_expectations"}
    code = f"import sys, dataproducts.check; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
