"""What data looks like is counted exactly, hides what is personal, and drafts contracts that the same data keeps."""

from __future__ import annotations

import json
import math
import os
import re
import resource
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dataproducts.check import check_file
from dataproducts.errors import DeclarationError, UnknownNameError
from dataproducts.load import conformance
from dataproducts.profile.draft import Drafted, draft_contract
from dataproducts.profile.files import open_file, table_name
from dataproducts.profile.html import page
from dataproducts.profile.measure import Masks, histogram_rows, profile_relation
from dataproducts.profile.model import Count, TableProfile
from dataproducts.profile.overlap import overlaps
from dataproducts.sources.files import format_of
from dataproducts.sql import quote
from tests.pages import ROOT, run
from tests.shop import build, make_shop

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHARED = ROOT.parent / "shared/data"
NOW = datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def con():
    """An empty database that counts time in UTC."""
    with duckdb.connect() as opened:
        opened.execute("SET TimeZone = 'UTC'")
        yield opened


def of_values(con: duckdb.DuckDBPyConnection, kind: str, *values: Any, **options: Any) -> TableProfile:
    """Profile one column `v` of SQL literals."""
    listed = ", ".join(f"(CAST({value} AS {kind}))" for value in values)
    where = listed or f"(CAST(NULL AS {kind}))"
    relation = f"(SELECT v FROM (VALUES {where}) AS t(v){'' if values else ' WHERE FALSE'})"
    return profile_relation(con, relation, **options)


def of_file(path: Path, **options: Any) -> TableProfile:
    """Profile one file."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        name = table_name(path)
        return profile_relation(con, open_file(con, path, name=name, settings={}), name=name, **options)


@pytest.mark.parametrize(
    ("values", "reads_as", "date_format"),
    [
        (["1", "-20", "+3"], "integer", ""),
        (["1", "2.5", "1e3", ".5"], "number", ""),
        (["true", "FALSE"], "boolean", ""),
        (["007", "012"], "string", ""),
        (["12345678901234567890", "1"], "string", ""),
        (["2024-01-31", "2024-2-3"], "date", ""),
        (["2024-01-31T10:00", "2024-01-31 10:00:01.5"], "timestamp", ""),
        (["2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02"], "timestamp", ""),
        (["31/01/2024", "01/02/2024"], "date", "%d/%m/%Y"),
        (["01/31/24", "2/1/24"], "date", "%m/%d/%y"),
        (["13.01.2024 10:05", "01.02.2024 23:59"], "timestamp", "%d.%m.%Y %H:%M"),
        (["2024/01/31", "2024/02/01"], "date", "%Y/%m/%d"),
        (["1 Jan 2024", "31 Dec 2023"], "date", "%d %b %Y"),
        (["2024-02-30", "2024-01-01"], "string", ""),
        (["nan", "inf"], "string", ""),
        (["1", "two"], "string", ""),
    ],
)
def test_text_reads_as_what_every_value_proves(con, values, reads_as, date_format):
    """The logical type of text is the narrowest that no value contradicts; names are no numbers."""
    column = of_values(con, "VARCHAR", *(f"'{value}'" for value in values)).column("v")
    assert (reads_as, date_format) == (column.reads_as, column.format)


def test_dates_in_doubt_stay_text(con):
    """Where both orders of day and month fit, the column stays text and says so."""
    column = of_values(con, "VARCHAR", "'01/02/2024'", "'03/04/2024'").column("v")
    assert ("string", ("%d/%m/%Y", "%m/%d/%Y")) == (column.reads_as, tuple(fit.format for fit in column.fits))
    assert ("dates that fit %d/%m/%Y and %m/%d/%Y: declare which",) == column.notes


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (["$84,835.00", "$1.50", "12"], "text, but every value reads as number with signs"),
        (["12.0 oz", "16 ounce", "8 oz."], "text, but every value reads as number with a unit"),
        (["12", "13", "N/A"], "text, but 2 values read as integer, 1 not"),
    ],
)
def test_text_that_is_nearly_a_number_is_told(con, values, note):
    """A column that needs cleaning says which."""
    assert note in of_values(con, "VARCHAR", *(f"'{value}'" for value in values)).column("v").notes


def test_figures_of_numbers(con):
    """Counts, moments, quantiles, outliers and bins of a small column, worked out by hand."""
    column = of_values(con, "INTEGER", 1, 2, 2, 3, 4, 100, "NULL").column("v")
    assert (7, 1, 5, 4) == (column.rows, column.nulls, column.distinct, column.unique)
    assert (1, 100, 112 / 6) == (column.minimum, column.maximum, column.mean)
    assert (1.25, 2.0, 2.5, 3.75, 76.0) == column.quantiles
    assert (0, 1) == (column.outliers.below, column.outliers.above)
    assert (5, 1) == (sum(column.histogram.rows), column.histogram.above)
    assert Count(2, 2) == column.top[0]


def test_nan_and_infinity_are_counted_apart(con):
    """No figure is computed of what is no number, and each such value is counted."""
    column = of_values(con, "DOUBLE", 1.0, 3.0, "'nan'", "'inf'", "'-inf'", "NULL").column("v")
    assert (3, 2.0, 1.0, 3.0) == (column.not_finite, column.mean, column.minimum, column.maximum)
    assert 5 == column.distinct
    assert 2 == sum(column.histogram.rows)
    json.dumps(of_values(con, "DOUBLE", "'nan'").to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("DOUBLE", ["1e308", "-1e308", "1.5e308"]),
        ("HUGEINT", ["170141183460469231731687303715884105727", "-1"]),
        ("UBIGINT", ["18446744073709551615", "0"]),
        ("DECIMAL(38,10)", ["1234567890123456789.0123456789", "-0.1"]),
        ("TIMESTAMP WITH TIME ZONE", ["'2024-01-01 00:00+02'", "'infinity'", "NULL"]),
        ("TIMESTAMP", ["'0044-03-15 (BC) 12:00'", "'9999-12-31 23:59:59'"]),
        ("DATE", ["'-infinity'", "'2024-01-01'"]),
        ("TIME", ["'23:59:59'", "'00:00'"]),
        ("INTERVAL", ["'1 day'", "'2 months'"]),
        ("BLOB", ["'\\x00\\xff'", "''"]),
        ("UUID", ["'00000000-0000-0000-0000-000000000001'"]),
        ("STRUCT(a INTEGER, b VARCHAR)", ["{'a': 1, 'b': NULL}", "NULL"]),
        ("INTEGER[]", ["[1, NULL]", "[]", "[]"]),
        ("MAP(VARCHAR, INTEGER)", ["map {'a': 1}", "map {'a': 1}"]),
        ("JSON", ["'{\"a\": 1}'", "'[]'"]),
        ("BIT", ["'0101'"]),
        ("VARCHAR", ["''", "' '", "'\U0001f600'", "'a' || chr(10) || 'b'", "'O''Neil \"x\"'"]),
        ("ENUM ('a', 'b')", ["'a'", "'b'", "NULL"]),
        ("INTEGER", ["NULL", "NULL"]),
        ("VARCHAR", ["NULL"]),
        ("VARCHAR", []),
        ("DOUBLE", []),
    ],
)
@pytest.mark.parametrize("exact_rows", [100, 0])
def test_every_type_can_be_profiled(con, kind, values, exact_rows):
    """No type, and no want of rows, stops a profile or its JSON, page and text, exact or estimated."""
    table = of_values(con, kind, *values, name="t", exact_rows=exact_rows)
    column = table.column("v")
    assert len(values) == column.rows
    assert len([value for value in values if value == "NULL"]) == column.nulls
    validator().validate(
        {"tables": [json.loads(json.dumps(table.to_json(), allow_nan=False))], "overlaps": [], "history": []}
    )
    assert "<h2" in page([table])


def validator() -> Draft202012Validator:
    """The documented schema of the JSON output."""
    return Draft202012Validator(json.loads((ROOT / "docs/json/profile.schema.json").read_text(encoding="utf-8")))


def test_figures_of_text(con):
    """Blanks, padding, placeholders, variants, lengths and patterns of text."""
    column = of_values(con, "VARCHAR", "''", "'  '", "' a'", "'A'", "'a'", "'N/A'", "'Äé-9'", "NULL").column("v")
    text = column.text
    assert (2, 1, 3) == (text.blanks, text.padded, text.variants)
    assert (Count("N/A", 1),) == text.placeholders
    assert (0, 4) == (text.length.minimum, text.length.maximum)
    assert {"", "  ", " a", "A", "a", "A/A", "Aa-9"} == {count.value for count in text.patterns}


def test_patterns_shorten_where_there_are_many(con):
    """Words of many lengths are one pattern; codes of one layout show each character."""
    words = of_values(con, "VARCHAR", *(f"'{'X' + 'y' * at}'" for at in range(2, 30))).column("v")
    assert (Count("Aa+", 28),) == words.text.patterns
    codes = of_values(con, "VARCHAR", "'A9-1234'", "'B8-0000'").column("v")
    assert (Count("A9-9999", 2),) == codes.text.patterns


def test_names_of_any_kind(con):
    """Columns may be called anything: quotes, dots, blanks, keywords, other scripts."""
    names = ['a "b"', "x.y", "select", "größe 名", "v", "n", "_profiled cells"]
    con.execute(f"CREATE TABLE odd AS SELECT {', '.join(f'range AS {quote(name)}' for name in names)} FROM range(3)")
    table = profile_relation(con, "odd")
    assert names == [column.name for column in table.columns]
    assert {3} == {column.distinct for column in table.columns}


def test_unknown_column_is_told(con):
    """A misspelt column is an error that suggests the right one."""
    with pytest.raises(UnknownNameError, match="Did you mean 'range'"):
        profile_relation(con, "range(3)", columns=["rnage"])


def test_estimates_say_so(con):
    """Above the limit, figures of columns with many values are estimates by name; others stay exact."""
    con.execute("CREATE TABLE wide AS SELECT range AS id, 'x' || range AS t, range % 7 AS few FROM range(150000)")
    table = profile_relation(con, "wide", exact_rows=1000)
    assert ("top", "quantiles") == table.column("id").approximate  # the key was proved, so its count is known
    assert 150_000 == table.column("id").distinct
    assert ("quantiles",) == table.column("few").approximate
    assert (7, 0) == (table.column("few").distinct, table.column("few").unique)
    assert (("id",), ("t",)) == table.keys
    text = table.column("t").text
    assert math.isclose(150_000, sum(count.rows for count in text.patterns), rel_tol=0.05)


def test_keys_are_proved(con):
    """Single keys, pairs where no part is a key, none with nulls, floats or repeats."""
    con.execute("CREATE TABLE lines (o INTEGER, n INTEGER, f DOUBLE, g INTEGER, k VARCHAR)")
    con.execute("INSERT INTO lines SELECT range // 3, range % 3, range, nullif(range, 5), 'k' || range FROM range(30)")
    assert (("k",), ("o", "n")) == profile_relation(con, "lines").keys
    con.execute("INSERT INTO lines SELECT * FROM lines LIMIT 2")
    table = profile_relation(con, "lines")
    assert ((), 2) == (table.keys, table.repeated_rows)


def test_rows_that_repeat_apart_from_a_key(con):
    """Surrogate keys hide that the same thing was recorded twice."""
    con.execute("CREATE TABLE t AS SELECT range AS id, range // 2 AS a, range // 2 AS b FROM range(10)")
    table = profile_relation(con, "t")
    assert (0, "id", 5) == (table.repeated_rows, table.repeated_apart_from, table.repeated_without_key)


def test_overlaps_are_exact(con):
    """Shares on either side and how rows match, over types of different width."""
    con.execute("CREATE TABLE users AS SELECT (range * 37)::BIGINT AS id FROM range(100)")
    con.execute("CREATE TABLE orders AS SELECT (range % 80 * 37 + 370)::INTEGER AS user_id, range AS x FROM range(200)")
    found = overlaps(con, [(profile_relation(con, name, name=name), name) for name in ("users", "orders")])
    best = found[0]
    assert (("users", "id"), ("orders", "user_id")) == (best.left, best.right)
    assert (80, 0.8, 1.0, "1:n", "") == (best.common, best.left_share, best.right_share, best.cardinality, best.note)


def test_histogram_rows_add_up(con):
    """Counting into another table's edges loses no value: below, between and above."""
    con.execute("CREATE TABLE t AS SELECT range::DOUBLE AS a, DATE '1970-01-01' + range::INTEGER AS d FROM range(10)")
    found = histogram_rows(con, "t", {"a": [2, 5, 9], "d": [86400.0]})
    assert {"a": (2, 3, 4, 1), "d": (1, 9)} == found


SECRETS = ("ana@shop.example", "+49 170 1234567", "Anneliese", "1961-04-12")
PEOPLE = "id,email,mobile,first_name,birth_date,comment\n" + "".join(
    f"{at},{mail},{phone},{name},{born},{said}\n"
    for at, (mail, phone, name, born, said) in enumerate(
        [
            (SECRETS[0], SECRETS[1], SECRETS[2], SECRETS[3], f"write to {SECRETS[0]}"),
            ("bo@shop.example", "+49 170 7654321", "Bo", "1999-01-01", "none"),
        ]
    )
)


def test_what_looks_personal_is_never_shown(tmp_path, monkeypatch):
    """Neither text, JSON, page nor draft shows an address, a number, a name or a date of birth."""
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    said = run(tmp_path, "profile", "people.csv", "--html", "p.html", "--draft", "d.yaml", monkeypatch=monkeypatch)
    told = run(tmp_path, "profile", "people.csv", "--json", monkeypatch=monkeypatch)
    assert (0, 0) == (said.code, told.code), said.err + told.err
    everywhere = said.out + told.out + (tmp_path / "p.html").read_text() + (tmp_path / "d.yaml").read_text()
    assert [] == [secret for secret in SECRETS if secret in everywhere]
    masked = {column["name"]: column["masked"] for column in json.loads(told.out)["tables"][0]["columns"]}
    assert {"email", "mobile", "first_name", "birth_date"} == {name for name, why in masked.items() if why}
    assert 4 == (tmp_path / "d.yaml").read_text().count("classification: personal")


CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: people
version: 1.0.0
status: draft
schema:
  - name: people
    properties:
      - {name: id, logicalType: integer}
      - {name: email, logicalType: string, classification: public}
      - {name: mobile, logicalType: string}
      - {name: first_name, logicalType: string, classification: Restricted}
      - {name: birth_date, logicalType: date}
"""


def test_a_contract_decides_what_is_shown(tmp_path, monkeypatch):
    """Classified columns stay hidden whatever is asked for, public ones show, columns of no contract are hidden."""
    (tmp_path / "people.csv").write_text(PEOPLE, encoding="utf-8")
    (tmp_path / "c.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    told = run(tmp_path, "profile", "people.csv", "--contract", "c.odcs.yaml", "--json", monkeypatch=monkeypatch)
    masked = {column["name"]: column["masked"] for column in json.loads(told.out)["tables"][0]["columns"]}
    assert {
        "id": "",
        "email": "",
        "mobile": "looks like: telephone number",
        "first_name": "classified Restricted",
        "birth_date": "looks like: date of birth",
        "comment": "not in the contract",
    } == masked
    options = ("--contract", "c.odcs.yaml", "--show", "first_name")
    refused = run(tmp_path, "profile", "people.csv", *options, monkeypatch=monkeypatch)
    assert (2, True) == (refused.code, "by its contract, and cannot be shown" in refused.err)
    shown = run(tmp_path, "profile", "people.csv", "--show", "first_name", "--mask", "id", monkeypatch=monkeypatch)
    assert "Anneliese" in shown.out
    assert "id: values hidden, asked for" in shown.out


def test_hidden_patterns_keep_few_marks(con):
    """A hidden column shows no sign that is not a letter, a digit or a mark of addresses."""
    masks = Masks(hidden={"v": "classified"})
    column = of_values(con, "VARCHAR", "'☂☂'", "'a#b@c.de'", masks=masks).column("v")
    assert {"??", "a?a@a.a+"} == {count.value for count in column.text.patterns}


CARDS = ("4111111111111111", "5555555555554444", "378282246310005", "6011000990139424")  # numbers for tests of tills
IBANS = ("DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947")


def in_fours(text: str, between: str = " ") -> str:
    """Write a number as people do."""
    return between.join(re.findall(".{1,4}", text))


@pytest.mark.parametrize(
    ("values", "kind", "what"),
    [
        (CARDS, "VARCHAR", "card number"),
        (CARDS, "BIGINT", "card number"),
        (CARDS, "DECIMAL(20,2)", "card number"),
        (CARDS, "DOUBLE", "card number"),
        ([*CARDS, None], "HUGEINT", "card number"),
        ([f" {in_fours(card)}" for card in CARDS], "VARCHAR", "card number"),
        ([in_fours(card, "-") for card in CARDS], "VARCHAR", "card number"),
        ([*CARDS * 10, "unknown"], "VARCHAR", "card number"),
        ([*CARDS, "unknown"], "VARCHAR", ""),
        ([f"{int(card) + 1}" for card in CARDS], "BIGINT", ""),
        ([f"{4_000_000_000_000 + at}" for at in range(200)], "BIGINT", ""),
        (["4111111111111111.5"], "VARCHAR", ""),
        (["-4111111111111111"], "BIGINT", ""),
        (["٤١١١١١١١١١١١١١١١"], "VARCHAR", ""),
        (IBANS, "VARCHAR", "IBAN"),
        ([in_fours(iban.lower()) for iban in IBANS], "VARCHAR", "IBAN"),
        ([iban[:-1] + "1" for iban in IBANS], "VARCHAR", ""),
        (["AB12 words of some length"], "VARCHAR", ""),
        ([None], "VARCHAR", ""),
        ([], "BIGINT", ""),
    ],
)
def test_check_digits_tell_card_numbers_and_ibans(con, values, kind, what):
    """What is the number of a card or an account is proved, whatever its column is called, and no value shows."""
    listed = ["NULL" if value is None else f"'{value}'" for value in values]
    column = of_values(con, kind, *listed).column("v")
    assert (what, f"looks like: {what}" if what else "") == (column.personal, column.masked)
    told = json.dumps(TableProfile("t", 0, (column,)).to_json(), default=str) if what else ""
    assert [] == [value for value in values if value and re.sub(r"[ -]", "", value) in re.sub(r"[ -]", "", told)]


def test_a_number_of_a_card_or_an_account_in_free_text_is_hidden(con):
    """A remark that holds one shows as hidden, wherever it stands in it; other long numbers show."""
    told = [f"paid by {in_fours(IBANS[0])} on Monday", f"card {CARDS[0]}.", f"({IBANS[1]})"]
    plain = ["order 4111111111111112 of Monday", "AB12 words of some length"]
    for at, text in enumerate([*told, *plain]):
        shown = of_values(con, "VARCHAR", f"'{text}'", "'a'", "'b'").column("v")
        assert (at < len(told)) == (text not in [count.value for count in shown.top]), text


def test_a_draft_classifies_what_check_digits_prove(tmp_path, monkeypatch):
    """The contract that is drafted holds the classification, and neither text, page nor draft a number."""
    rows = "".join(f"{at},{card},{iban}\n" for at, (card, iban) in enumerate(zip(CARDS, IBANS, strict=True)))
    (tmp_path / "till.csv").write_text(f"id,paid_with,account\n{rows}")
    said = run(tmp_path, "profile", "till.csv", "--html", "p.html", "--draft", "d.yaml", monkeypatch=monkeypatch)
    assert (0, "") == (said.code, said.err)
    draft = (tmp_path / "d.yaml").read_text()
    assert ["card number", "IBAN"] == re.findall("classification: personal  # looks like: (.*)", draft)
    everywhere = said.out + draft + (tmp_path / "p.html").read_text()
    assert [] == [secret for secret in (*CARDS, *IBANS) if secret in everywhere]


def judged(path: Path, table: TableProfile, accept: tuple[str, ...]) -> list[str]:
    """Draft a contract of a profile, and return what its standard and the file itself say against it."""
    draft = path.parent / "draft.odcs.yaml"
    draft.write_text(draft_contract([Drafted(table, path.name, format_of(path.name))], accept=accept), encoding="utf-8")
    if faults := conformance(draft):
        return [str(fault) for fault in faults]
    try:
        verdict = check_file(path, draft, now=NOW)
    except DeclarationError as error:
        return [str(error)]
    return [f"{r.rule.name}: {r.message} {r.error}" for r in verdict.results if not r.passed]


KINDS = [
    st.integers().map(str),
    st.integers(-5, 5).map(str),
    st.floats(allow_nan=True).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str),
    st.dates().map(str),
    st.dates().map(lambda day: day.strftime("%d/%m/%Y").zfill(10)),
    st.dates().map(lambda day: f"{day.month}/{day.day}/{day.year % 100:02}"),
    st.datetimes().map(str),
    st.datetimes(timezones=st.just(UTC)).map(str),
    st.booleans().map(str),
    st.sampled_from(
        ["", " ", "007", "N/A", "a@b.example", "+49 170 1234567", "null", "yes", "\u2028", "ǅ", "$1,000.00"]
    ),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n"), max_size=70),
]
NAMES = ["id", "e mail", 'q"uote', "größe.名"]


@st.composite
def tables(draw):
    """A few rows under awkward names, each column mostly of one kind."""
    rows = draw(st.integers(0, 6))
    columns = []
    for _ in NAMES:
        kind = draw(st.sampled_from(KINDS))
        columns.append(draw(st.lists(st.one_of(kind, kind, kind, *KINDS[:2]), min_size=rows, max_size=rows)))
    return [list(row) for row in zip(*columns, strict=True)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=tables())
@example(rows=[])
@example(rows=[["1", "2024-01-31", "ǅ", "1e-7"], ["2", "2024-02-01", "ǆ", "1e22"]])
def test_a_draft_passes_on_the_csv_it_was_drafted_from(rows, tmp_path):
    """Types alone, or every proposal accepted: the draft is valid, and the very file keeps it."""
    path = tmp_path / "some table.csv"
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in [NAMES, *rows]]
    path.write_text("".join(f"{','.join(row)}\n" for row in quoted), encoding="utf-8")
    table = of_file(path)
    assert [[], []] == [judged(path, table, accept) for accept in ((), ("*",))]


@pytest.mark.parametrize("suffix", ["parquet", "json"])
def test_a_draft_passes_on_typed_files(suffix, tmp_path, con):
    """Columns of every kind of type, as Parquet keeps them and JSON spells them."""
    path = tmp_path / f"typed.{suffix}"
    con.execute(
        "CREATE TABLE typed AS SELECT range::TINYINT AS tiny, range * 100000000000 AS big, range::HUGEINT AS huge, "
        "range::UBIGINT AS unsigned, range / 3 AS ratio, (range * 1.1)::DECIMAL(9,3) AS price, range % 2 = 0 AS even, "
        "DATE '2024-01-30' + range::INTEGER AS day, TIMESTAMP '2024-01-01 10:00:00.5' + to_hours(range) AS moment, "
        "TIMESTAMPTZ '2024-01-01 10:00:00+00' + to_hours(range) AS zoned, TIME '10:00' AS clock, "
        "uuid_blob AS id, {'a': range, 'b c': ['x', NULL]} AS nested, [range, NULL] AS listed, "
        "'2024-01-0' || (range + 1) AS written, '00' || range AS code, NULL::INTEGER AS empty, 'A-' || range AS label "
        "FROM range(5), (SELECT UUID '00000000-0000-0000-0000-00000000000a' AS uuid_blob)"
    )
    con.execute(f"COPY typed TO '{path}'")
    table = of_file(path)
    assert 18 == len(table.columns)
    assert [[], []] == [judged(path, table, accept) for accept in ((), ("*",))]


def test_a_draft_proposes_and_does_not_promise(tmp_path, monkeypatch):
    """Bounds, keys, lists of values and references are comments until somebody accepts them."""
    (tmp_path / "users.csv").write_text("id,plan\n" + "".join(f"{7 * at},{'ab'[at % 2]}\n" for at in range(50)))
    (tmp_path / "orders.csv").write_text("no,user_id\n" + "".join(f"{at},{7 * (at % 9)}\n" for at in range(90)))
    told = run(tmp_path, "profile", "users.csv", "orders.csv", "--draft", "-", monkeypatch=monkeypatch)
    assert (0, "") == (told.code, told.err)
    for proposal in (
        "primaryKey: true",
        "required: true",
        "logicalTypeOptions: {minimum: 0, maximum: 56}",
        "quality: [{metric: invalidValues, arguments: {validValues: [a, b]}, mustBe: 0}]",
        "relationships: [{type: foreignKey, to: users.id}]",
    ):
        assert f"# proposal: {proposal}" in told.out, told.out
    arguments = ("--draft", "d.odcs.yaml", "--accept", "user_id")
    assert 0 == run(tmp_path, "profile", "users.csv", "orders.csv", *arguments, monkeypatch=monkeypatch).code
    text = (tmp_path / "d.odcs.yaml").read_text(encoding="utf-8")
    assert "        relationships: [{type: foreignKey, to: users.id}]" in text
    options = ("--contract", "d.odcs.yaml", "--table", "orders", "--with", "users=users.csv")
    checked = run(tmp_path, "check", "orders.csv", *options, monkeypatch=monkeypatch)
    assert 0 == checked.code, checked.out + checked.err


def test_a_draft_keeps_how_the_file_was_read(tmp_path, monkeypatch):
    """What --read had to say goes into the contract, so that check reads the same."""
    (tmp_path / "old.csv").write_bytes("name|größe|n\nx|ä|-\n".encode("cp1252"))
    options = ("--read", "encoding=cp1252", "--read", "delimiter=|", "--read", "nullValues=-,?")
    told = run(tmp_path, "profile", "old.csv", *options, "--draft", "d.odcs.yaml", monkeypatch=monkeypatch)
    assert 0 == told.code, told.err
    checked = run(tmp_path, "check", "old.csv", "--contract", "d.odcs.yaml", monkeypatch=monkeypatch)
    assert 0 == checked.code, checked.out + checked.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["gone.csv"], 1, "gone.csv: there is no such file"),
        (["notes.doc"], 1, "nothing tells the format"),
        (["empty.csv"], 1, "there is no complete row"),
        (["two.csv"], 1, "Give `--read delimiter=…`"),
        (["numbers.csv"], 1, "Give `--read header=true` or `--read header=false`"),
        (["latin.csv"], 1, "Give `--read encoding=…`: perhaps cp1252"),
        (["nul.csv"], 1, "give `--read encoding=utf-16-le` or `--read encoding=utf-16-be`"),
        (["broken.parquet"], 1, "the data cannot be read"),
        (["t.csv", "--mask", "emial"], 1, "Did you mean 'email'"),
        (["t.csv", "--read", "sep=;"], 2, "--read takes KEY=VALUE"),
        (["t.csv", "--accept", "id"], 2, "add --draft FILE"),
        (["t.csv", "--draft", "-", "--json"], 2, "name a file for the draft"),
        (["t.csv", "--draft", "there.yaml"], 2, "there.yaml exists"),
        (["t.csv", "--html", "no/such/folder.html"], 2, "cannot be written"),
        (["t.csv", "--table", "x"], 2, "add --contract FILE"),
        (["shop/orders.orders"], 2, "is not in a project"),
    ],
)
def test_what_cannot_be_done_is_told(arguments, code, said, tmp_path, monkeypatch):
    """Each mistake ends with its exit code and one message, and writes nothing."""
    (tmp_path / "t.csv").write_text("id,email\n1,x\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "two.csv").write_text("a;b,c\n1;2,3\n")
    (tmp_path / "numbers.csv").write_text("1,2\n3,4\n")
    (tmp_path / "latin.csv").write_bytes("n\né\n".encode("latin-1"))
    (tmp_path / "nul.csv").write_bytes("n\ne\n".encode("utf-16-le"))
    (tmp_path / "broken.parquet").write_text("PAR1")
    (tmp_path / "notes.doc").write_text("x")
    (tmp_path / "there.yaml").write_text("mine")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    told = run(tmp_path, "profile", *arguments, monkeypatch=monkeypatch)
    assert (code, True) == (told.code, said in " ".join(told.err.split())), told.err
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """Let no file grow beyond so many bytes, as if the disk were full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("size", "said"),
    [(1_000, "no temporary database can be made"), (40_000, "there is not enough room to profile this")],
)
def test_a_full_disk_is_told(size, said, tmp_path, monkeypatch):
    """Without room for the temporary database nothing is written, nothing is left, and the message says what to do."""
    (tmp_path / "work").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "work/t.csv").write_text("id,v\n" + "".join(f"{at},{at * 7919 % 100_003}\n" for at in range(60_000)))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with full_after(size):
        told = run(tmp_path / "work", "profile", "t.csv", "--html", "p.html", monkeypatch=monkeypatch)
    assert (2, "", True) == (told.code, told.out, said in told.err), told.err
    assert "Let TMPDIR name a folder with more room" in told.err
    assert [tmp_path / "work/t.csv"] == list((tmp_path / "work").iterdir())
    assert [] == list((tmp_path / "temporary").iterdir())


def test_no_temporary_folder_is_told(tmp_path, monkeypatch):
    """A folder for temporary files that is not there, or is a file, ends with a message."""
    (tmp_path / "t.csv").write_text("id\n1\n")
    for folder in ("gone", "t.csv"):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / folder))
        told = run(tmp_path, "profile", "t.csv", monkeypatch=monkeypatch)
        assert (2, "", True) == (told.code, told.out, "no temporary folder can be made" in told.err)


@pytest.mark.parametrize("there", [False, True])
def test_a_page_is_written_whole_or_not_at_all(there, tmp_path, monkeypatch):
    """When the disk is full an older page stays as it was; what is no file is not replaced by one."""
    columns = [f"a_long_name_of_column_{at}" for at in range(40)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(columns), ",".join("1" for _ in columns)]) + "\n")
    if there:
        (tmp_path / "p.html").write_text("older")
    os.mkfifo(tmp_path / "pipe")
    before = sorted((path.name, path.is_file() and path.read_text()) for path in tmp_path.iterdir())
    with full_after(20_000):
        told = run(tmp_path, "profile", "t.csv", "--html", "p.html", monkeypatch=monkeypatch)
    assert (2, "", "dataproducts: p.html cannot be written: File too large\n") == (told.code, told.out, told.err)
    told = run(tmp_path, "profile", "t.csv", "--html", "pipe", monkeypatch=monkeypatch)
    assert (2, "", True) == (told.code, told.out, "pipe is no file" in told.err)
    assert before == sorted((path.name, path.is_file() and path.read_text()) for path in tmp_path.iterdir())


class _Page(HTMLParser):
    """Notes what a page would load or run, and the tags that are left open."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [tag] if tag in ("script", "link", "img", "iframe", "object") else []
        self.foreign += [v or "" for k, v in attrs if k in ("href", "src", "onclick") and not (v or "").startswith("#")]
        if tag not in ("meta", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("rect", "line"):
            assert tag == self.open.pop()


def test_the_page_stands_alone(con):
    """A page loads and runs nothing, closes every tag, and shows hostile values as text."""
    con.execute("CREATE TABLE t AS SELECT '<script>alert(1)</script>' AS \"<b>\", range AS n FROM range(40)")
    text = page([profile_relation(con, "t", name="<i>")])
    parser = _Page()
    parser.feed(text)
    assert ([], []) == (parser.foreign, parser.open)
    assert "<script" not in text
    assert [] == re.findall(r"url\(|@import|https?:", text)


def test_json_follows_its_schema(tmp_path, monkeypatch):
    """The whole output of two joined files is what the documented schema says."""
    (tmp_path / "accounts.csv").write_text("id,v\n" + "".join(f"{3 * at},{at % 5}\n" for at in range(30)))
    (tmp_path / "b.json").write_text('[{"account_id": 3, "x": {"y": null}}, {"account_id": 6, "x": null}]')
    told = run(tmp_path, "profile", "accounts.csv", "b.json", "--json", monkeypatch=monkeypatch)
    validator().validate(json.loads(told.out))
    assert [("accounts", "id", "b", "account_id")] == [
        (o["left"]["table"], o["left"]["column"], o["right"]["table"], o["right"]["column"])
        for o in json.loads(told.out)["overlaps"]
    ]


def test_released_tables_and_sources(tmp_path, monkeypatch):
    """A product's table is profiled as released, its source as declared; names that nobody declared are told."""
    make_shop(tmp_path)
    unreleased = run(tmp_path, "profile", "shop/orders.orders", monkeypatch=monkeypatch)
    assert (2, True) == (unreleased.code, "dataproducts" in unreleased.err), unreleased.err
    build(tmp_path, "shop/orders")
    released = run(tmp_path, "profile", "shop/orders.orders", "--json", monkeypatch=monkeypatch)
    assert 0 == released.code, released.err
    (table,) = json.loads(released.out)["tables"]
    assert ("orders", True) == (table["name"], table["rows"] > 0)
    source = run(
        tmp_path, "profile", "shop/orders.orders@till", "shop/orders.orders", "--json", monkeypatch=monkeypatch
    )
    assert 0 == source.code, source.err
    assert ["orders@till", "orders"] == [found["name"] for found in json.loads(source.out)["tables"]]
    unknown = run(tmp_path, "profile", "shop/orders.orders@tiil", monkeypatch=monkeypatch)
    assert (1, True) == (unknown.code, "Did you mean 'till'" in unknown.err)
    misspelt = run(tmp_path, "profile", "shop/orders.oders", monkeypatch=monkeypatch)
    assert (1, True) == (misspelt.code, "Did you mean 'orders'" in misspelt.err)


def shared(name: str) -> Path:
    """A real file, or a reason to skip."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} of ../shared/data is not here")
    return path


def test_marketing_shows_its_oddities():
    """The known oddities of a real customer table are what stands out in it."""
    table = of_file(shared("marketing/marketing_campaign.csv"))
    notes = {column.name: " ".join(column.notes) for column in table.columns}
    assert (("ID",), 182) == (table.keys[0], table.repeated_without_key)
    assert "the key holds 0" in notes["ID"]
    assert "far low: 1893 (1), 1899 (1), 1900 (1)" == notes["Year_Birth"]
    assert "rare: Absurd (2), YOLO (2), Alone (3)" == notes["Marital_Status"]
    assert "far high: 666666 (1)" == notes["Income"]
    assert ("every value is the same: 3", "every value is the same: 11") == (notes["Z_CostContact"], notes["Z_Revenue"])
    assert 24 == table.column("Income").nulls


def test_variants_of_one_file_profile_alike():
    """Delimiter, byte order mark, line ends, quotes and the spelling of dates make no difference to the figures."""
    names = ("comma_quoted_usdate", "semicolon_bom_crlf_isodate", "tab_trailing_spaces")
    figures = []
    for path in (shared(f"marketing/variants/{name}.csv") for name in names):
        table = of_file(path)
        figures.append([(c.name, c.reads_as, c.nulls, c.distinct, c.minimum, c.maximum, c.mean) for c in table.columns])
    assert figures[0] == figures[1] == figures[2]


def test_dirty_beers_differ_from_clean_ones():
    """What was made dirty is what the profile of the dirty file tells, with the counts of the documented errors."""
    notes = {c.name: c.notes for c in of_file(shared("beers/dirty.csv")).columns}
    assert "text, but every value reads as number with a unit" in notes["ounces"]
    assert "may mean missing: N/A (1,005)" in notes["ibu"]
    assert "text, but every value reads as number with signs" in notes["abv"]
    assert 127 == of_file(shared("beers/dirty.csv")).column("state").nulls
    clean = of_file(shared("beers/clean.csv"))
    assert {"ounces": "number", "ibu": "integer", "abv": "number"} == {
        name: clean.column(name).reads_as for name in ("ounces", "ibu", "abv")
    }


def test_decimals_keep_their_digits(con):
    """A bound is the value itself, not its nearest binary fraction."""
    column = of_values(con, "DECIMAL(20,2)", "1234567890123456.78").column("v")
    assert Decimal("1234567890123456.78") == column.minimum
