"""Every proof gives what the naive query gives, whoever wrote the file and whatever its statistics say."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from dataproducts.gate import Subject, judge
from dataproducts.product import Column, Rule, RuleKind, Table
from dataproducts.rules import footers
from dataproducts.rules.facts import Facts, Rows
from dataproducts.rules.footers import parquet_facts
from tests.differential import NOW, compare, run


def test_the_plan_agrees_with_the_naive_form():
    """A slice of the random files and rules: no difference, and every proof had its turn."""
    methods, wrong = run(2500, 100)
    assert wrong == []
    answered = {re.sub(r" \(.*", "", method) for method in methods}
    assert answered == {"scan", "statistics", "hash table", "distinct values", "dense range", "growing key"}


def test_statistics_that_nobody_vouches_for_would_be_found_out(tmp_path, monkeypatch):
    """The comparison can fail: with faith in every writer, a file with false statistics gives other counts."""
    monkeypatch.setattr(footers, "_SOUND", re.compile(""))
    assert compare(147, tmp_path)[1] != []


def big(con, sql, *rules, facts_known=True):
    """Judge `rules` on the Parquet file that `sql` makes; results by rule name."""
    path = Path(con.execute("SELECT current_setting('temp_directory')").fetchall()[0][0]) / "big.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"COPY ({sql}) TO '{path}' (FORMAT parquet)")
    columns = tuple(
        Column(name, "string", kind) for name, kind, *_ in con.execute(f"DESCRIBE FROM '{path}'").fetchall()
    )
    known = parquet_facts(con, [path]) if facts_known else Facts(300_000)
    subject = Subject(rows=Rows(f"read_parquet('{path}')", known), now=NOW, lookup=lambda _ref: Rows(""))
    judged = judge(con, Table("big", "big", "1.0.0", columns, rules), subject)
    return {result.rule.name: (result.method, result.failed_rows) for result in judged.results}, judged.passes


@pytest.fixture
def con(tmp_path):
    """A connection that spills to a folder of its own."""
    with duckdb.connect(config={"temp_directory": str(tmp_path)}) as con:
        yield con


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT i AS k FROM range(300000) r(i)", ("dense range", 0)),
        ("SELECT i // 2 AS k FROM range(300000) r(i)", ("dense range", 150_000)),
        ("SELECT i * 1000000007 AS k FROM range(300000) r(i)", ("growing key", 0)),
        ("SELECT printf('%09d', i) AS k FROM range(300000) r(i)", ("growing key", 0)),
        ("SELECT CASE WHEN i = 299999 THEN '000000007' ELSE printf('%09d', i) END AS k FROM range(300000) r(i)",
         ("hash table", 1)),
        ("SELECT CASE WHEN i % 9 > 0 THEN i * 1000000007 END AS k FROM range(300000) r(i)", ("hash table", 0)),
        ("SELECT md5(i::VARCHAR) AS k FROM range(300000) r(i)", ("hash table", 0)),
    ],
)  # fmt: skip
def test_a_key_gets_the_cheapest_exact_proof(con, sql, expected):
    """Dense numbers by bits, growing keys by comparing neighbours, the rest in a hash table; NULL is no duplicate."""
    found, _ = big(con, sql, Rule("key", RuleKind.UNIQUE, ("k",)))
    assert {"key": expected} == found


def test_a_pattern_is_tried_once_a_value_where_values_repeat(con):
    """Bad values count as often as they occur; a column whose values hardly repeat is scanned."""
    sql = "SELECT printf('C%03d', i % 500) AS code, md5(i::VARCHAR) AS id FROM range(300000) r(i)"
    rules = [Rule(name, RuleKind.PATTERN, (name,), {"pattern": "^C[0-4]|^[0-9a-f]{32}$"}) for name in ("code", "id")]
    found, passes = big(con, sql, *rules)
    assert {"code": ("distinct values", 0), "id": ("scan", 0)} == found
    assert [("distinct values of code", ("code",)), ("scan", ("id",))] == [(p.method, p.rules) for p in passes]
    rules[0] = Rule("code", RuleKind.PATTERN, ("code",), {"pattern": "^C[1-4]"})
    assert ("distinct values", 60_000) == big(con, sql, *rules)[0]["code"]


def test_a_growing_key_is_growing_for_every_thread(con):
    """However many threads read, one repeated key far from its twin is found."""
    con.execute("SET threads = 8")
    twin = "SELECT CASE WHEN i = 1999999 THEN 3000000021 ELSE i * 1000000007 END AS k FROM range(2000000) r(i)"
    assert ("hash table", 1) == big(con, twin, Rule("key", RuleKind.UNIQUE, ("k",)))[0]["key"]


@pytest.mark.parametrize("repeated", ["i // 2", "CASE WHEN i < 300 THEN 7 ELSE i END"])
def test_repeated_keys_are_shown_however_few_they_are(con, repeated):
    """Whether many keys repeat or one does often, five of the rows are shown, each with a repeated key."""
    con.execute(f"CREATE TABLE held AS SELECT {repeated} AS k FROM range(2000) r(i)")
    columns = (Column("k", "integer", "BIGINT"),)
    table = Table("held", "held", "1.0.0", columns, (Rule("key", RuleKind.UNIQUE, ("k",)),))
    subject = Subject(rows=Rows("held", Facts(2000)), now=NOW, lookup=lambda _ref: Rows(""))
    (found,) = judge(con, table, subject).results
    twice = {k for (k,) in con.execute("SELECT k FROM held GROUP BY k HAVING count(*) > 1").fetchall()}
    assert (5, True) == (len(found.sample), all(row["k"] in twice for row in found.sample))
