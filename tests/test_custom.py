"""Rules of `type: custom`: suites of great-expectations, models of pandera, functions of Python."""

from __future__ import annotations

import subprocess
import sys
import warnings
from datetime import UTC, datetime

import duckdb
import pandera.pandas as pa
import pytest
from pandera.config import config_context

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.product import Column, Rule, RuleKind, Table
from dataproducts.reports.data_docs import write_data_docs
from dataproducts.rules.custom import declared_only, is_foreign, run_custom
from dataproducts.rules.custom.engines import fault_of, known_engine
from dataproducts.rules.custom.found import frame_of, plain
from dataproducts.rules.custom.great_expectations import keep_validations

COLUMNS = (
    Column("id", "integer", "BIGINT"),
    Column("email", "string", "VARCHAR", classification="personal"),
    Column("amount", "number", "DECIMAL(9,2)"),
    Column("day", "date", "DATE"),
    Column("tags", "array", "BIGINT[]"),
    Column("größe in.cm", "number", "DOUBLE"),
)
BIG = 2**53 + 1
NOW = datetime(2024, 2, 1, 6, tzinfo=UTC)


@pytest.fixture
def con():
    """Six rows with NULL, NaN, empty text, a key beyond float's digits, lists, and a column with odd letters."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t (id BIGINT, email VARCHAR, amount DECIMAL(9,2), day DATE, tags BIGINT[], x DOUBLE)")
        con.execute('ALTER TABLE t RENAME x TO "größe in.cm"')
        con.execute(
            f"INSERT INTO t VALUES ({BIG}, 'ana@x', 1.5, '2024-01-01', [1], 'nan'), ({BIG + 1}, '', -2, NULL, [1], 1), "
            "(3, NULL, NULL, '2024-01-03', NULL, NULL), (3, 'secret', 0, '2024-01-04', [], 'inf'), "
            "(NULL, 'ö@x', 9, '2024-01-05', [2, NULL], 0), (6, 'bo@x', 7, '2024-01-06', [3], -1)"
        )
        con.execute("CREATE TABLE empty AS FROM t LIMIT 0")
        yield con


def found(con, engine, implementation, *, columns=(), named=None, relation="t"):
    """What one rule finds."""
    rule = Rule("r", RuleKind.CUSTOM, columns, {"engine": engine, "implementation": implementation})
    return run_custom(con, Table("t", "c", "1.0.0", COLUMNS, (rule,)), rule, relation, named=named or {})


def gx(con, implementation, **options):
    """What a suite finds."""
    return found(con, "greatExpectations", implementation, **options)


def expect(kind, **kwargs):
    """One expectation, as a contract writes it."""
    return {"type": f"expect_{kind}", "kwargs": kwargs}


NOT_NULL = expect("column_values_to_not_be_null", column="email")


@pytest.mark.parametrize(
    ("implementation", "failed"),
    [
        ("type: expect_table_row_count_to_be_between\nkwargs:\n  minValue: 10000 # as the standard shows it\n", 1),
        ('{"expectation_type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 6}}', 0),
        (NOT_NULL, 1),
        ({"type": "ExpectColumnValuesToNotBeNull", "kwargs": {"column": "email"}}, 1),
        (expect("column_values_to_not_be_null", column="email", mostly=0.5), 0),
        ({"name": "s", "expectations": [NOT_NULL, expect("column_values_to_be_between", column="id", min_value=4)]}, 2),
        ([expect("column_values_to_be_unique", column="id")], 2),
        (expect("column_values_to_be_in_set", column="id", value_set=[3, 6, BIG]), 1),
        (expect("column_values_to_be_unique", column="tags"), 2),
        (expect("column_values_to_be_between", column="größe in.cm", max_value=5), 1),
        (expect("column_mean_to_be_between", column="amount", min_value=100), 1),
        (expect("column_distinct_values_to_be_in_set", column="id", value_set=[6]), 1),
        (expect("column_pair_values_a_to_be_greater_than_b", column_A="amount", column_B="größe in.cm"), 3),
        (expect("column_to_exist", column="nowhere"), 1),
    ],
)
def test_a_suite_counts_rows_once_and_other_faults_as_one(con, implementation, failed):
    """Whatever form a suite has; rows that several expectations reject count once, an aggregate counts as one."""
    assert failed == gx(con, implementation).failed


def test_a_rule_of_a_column_need_not_name_it_again(con):
    """The standard's rules of columns have no `column` among their arguments; classified values stay hidden."""
    result = gx(con, {"type": "expect_column_values_to_not_be_null"}, columns=("email",))
    row = {"id": 3, "email": None, "amount": None, "day": "2024-01-03", "tags": None, "größe in.cm": None}
    assert (1, (row,), ("expect_column_values_to_not_be_null(email)",)) == (result.failed, result.sample, result.by)
    assert "secret" not in str(gx(con, expect("column_values_to_match_regex", column="email", regex="@")))


def test_a_suite_may_stand_in_checks(con):
    """A name is a function of the project that gives expectations, or a suite of GX's own."""
    import_gx()
    import great_expectations

    made = great_expectations.expectations.ExpectColumnValuesToNotBeNull(column="email")
    suites = {
        "plain": lambda: [NOT_NULL],
        "own": lambda: great_expectations.ExpectationSuite(name="own", expectations=[made]),
    }
    assert [1, 1] == [gx(con, name, named=suites).failed for name in suites]
    with pytest.raises(UnknownNameError, match="Did you mean 'plain'"):
        gx(con, "plian", named=suites)


def import_gx():
    """Import great-expectations as the library does."""
    from dataproducts.rules.custom.great_expectations import import_gx as imported

    return imported()


@pytest.mark.parametrize(
    ("implementation", "why"),
    [
        (expect("column_values_to_not_be_nul", column="email"), "expect_column_values_to_not_be_null"),
        (expect("column_values_to_not_be_null", collumn="email"), "Did you mean 'column'"),
        (expect("column_values_to_not_be_null", column="emial"), "Did you mean 'email'"),
        (expect("column_values_to_not_be_null"), "malformed"),
        (expect("column_values_to_be_between", column="email", min_value=3), "TypeError on these rows"),
        ({"expectations": []}, "no expectation"),
        ({"kwargs": {}}, "no `type`"),
        ({"type": "expect_x", "kwargs": 3}, "no mapping"),
        ("a: [", "no YAML"),
        (None, "no `type`"),
    ],
)
def test_a_suite_that_cannot_be_judged_is_an_error(con, implementation, why):
    """Nothing passes that GX could not judge, and no message shows a value."""
    with pytest.raises((UsageError, UnknownNameError), match=why) as caught:
        gx(con, implementation)
    assert "secret" not in str(caught.value)


def test_no_rows_pass_expectations_on_rows(con):
    """An empty table breaks no expectation on values; an aggregate of nothing is no value."""
    suite = [NOT_NULL, expect("column_values_to_be_between", column="id", min_value=0)]
    assert 0 == gx(con, suite, relation="empty").failed
    assert 1 == gx(con, expect("column_mean_to_be_between", column="id", min_value=0), relation="empty").failed


def test_gx_writes_nothing_and_says_nothing(con, tmp_path, monkeypatch, capfd):
    """No project folder, no progress bar, no warning."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gx(con, [NOT_NULL])
    assert ([], ("", "")) == (list(tmp_path.iterdir()), tuple(capfd.readouterr()))


def test_without_the_extra_the_rule_is_not_judged(con, monkeypatch):
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    with pytest.raises(UsageError, match=r"pip install 'dataproducts\[gx\]'"):
        gx(con, [NOT_NULL])


def test_no_engine_is_imported_before_it_judges():
    """Importing the rules loads no data-frame library; a rule of Python loads none either."""
    code = (
        "import sys, duckdb; from dataproducts.rules.custom import run_custom; "
        "from dataproducts.product import Rule, RuleKind, Table; "
        "rule = Rule('r', RuleKind.CUSTOM, (), {'engine': 'python', 'implementation': 'f'}); "
        "run_custom(duckdb.connect(), Table('t', 'c', '1', (), ()), rule, '(SELECT 1)', named={'f': lambda _: 0}); "
        "print(sorted({'pandas', 'pandera', 'great_expectations'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


@pytest.mark.parametrize("classified", [True, False])
def test_data_docs_hide_what_is_classified(con, tmp_path, classified):
    """GX's own pages show unexpected values; where the table holds classified ones, they show counts alone."""
    columns = COLUMNS if classified else tuple(Column(c.name, c.logical_type, c.sql_type) for c in COLUMNS)
    suite = [
        expect("column_values_to_match_regex", column="email", regex="@"),
        expect("column_distinct_values_to_be_in_set", column="email", value_set=["x"]),
        expect("column_most_common_value_to_be_in_set", column="email", value_set=["x"]),
        expect("table_row_count_to_be_between", max_value=3),
    ]
    rule = Rule("as known", RuleKind.CUSTOM, (), {"engine": "gx", "implementation": suite})
    (tmp_path / "mine.txt").write_text("stays", encoding="utf-8")
    with keep_validations() as kept:
        run_custom(con, Table("t", "c", "1.0.0", columns, (rule,)), rule, "t", named={})
    index = write_data_docs(tmp_path, kept, at=NOW)
    pages = {path: path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")}
    assert index in pages
    assert 3 == len(pages)
    assert classified != any("secret" in text for text in pages.values())
    assert "stays" == (tmp_path / "mine.txt").read_text(encoding="utf-8")


def pandera(con, schema, **options):
    """What a pandera schema finds."""
    return found(con, "pandera", "model", named={"model": schema}, **options)


def test_pandera_counts_rows_once(con):
    """A row that several checks reject counts once, a fault of the whole table as one each."""
    checks = [pa.Check.gt(3), pa.Check(lambda ids: ids > 3, n_failure_cases=1)]
    schema = pa.DataFrameSchema({"id": pa.Column("Int64", checks, nullable=True), "nowhere": pa.Column(int)})
    result = pandera(con, schema)
    assert (2 + 1, "***") == (result.failed, result.sample[1]["email"])
    assert ("column_in_dataframe", "id: greater_than", "id: <lambda>") == result.by


def test_pandera_counts_more_than_a_check_reports(con):
    """`n_failure_cases` cuts what pandera reports, not what fails."""
    cut = pa.Check(lambda ids: ids > BIG, n_failure_cases=1)
    assert 4 == pandera(con, pa.DataFrameSchema({"id": pa.Column("Int64", cut, nullable=True)})).failed


def test_pandera_may_coerce_filter_or_drop(con):
    """What a model repairs passes; rows that it drops are rejected all the same."""
    drops = pa.DataFrameSchema({"id": pa.Column("Int64", pa.Check.gt(3), nullable=True)}, drop_invalid_rows=True)
    assert 2 == pandera(con, drops).failed
    coerced = pa.DataFrameSchema({"id": pa.Column(str, nullable=True)}, coerce=True)
    assert 0 == pandera(con, coerced).failed
    strict = pa.DataFrameSchema({"id": pa.Column("Int64", nullable=True)}, strict=True)
    assert len(COLUMNS) - 1 == pandera(con, strict).failed
    filtered = pa.DataFrameSchema({"id": pa.Column("Int64", nullable=True)}, strict="filter")
    assert 0 == pandera(con, filtered).failed


def test_pandera_takes_no_rows_and_no_text(con):
    """An empty table has the types of a full one, and so has a column of NULLs."""
    schema = pa.DataFrameSchema({"id": pa.Column("int64"), "email": pa.Column(str), "day": pa.Column("datetime64[us]")})
    assert 0 == pandera(con, schema, relation="empty").failed
    nulls = pa.DataFrameSchema({"email": pa.Column(str, nullable=True)})
    assert 0 == pandera(con, nulls, relation="(SELECT NULL::VARCHAR AS email)").failed


def test_pandera_that_is_turned_off_judges_nothing(con):
    """An environment that disables validation would pass everything: the rule is not judged."""
    with config_context(validation_enabled=False), pytest.raises(UsageError, match="told not to validate"):
        pandera(con, pa.DataFrameSchema({"nowhere": pa.Column(int)}))


class OwnError(Exception):
    """An error of a project, of no kind that the library knows."""


def test_whatever_an_object_raises_fails_its_rule_alone(con):
    """Any exception becomes one the gate tells, without its message, which may quote data."""

    class Model:
        def validate(self, frame, *, lazy):
            raise OwnError("secret")

    def fails(rows):
        raise OwnError("secret")

    def leaves(rows):
        sys.exit(0)  # which would end the command, and well

    def has_no_room(rows):
        raise MemoryError

    line = Model.validate.__code__.co_firstlineno + 1
    at = rf" at tests/test_custom\.py:{line}$"
    assert line + 3 == fails.__code__.co_firstlineno + 1
    told = [("pandera", Model(), f"OwnError{at}"), ("python", fails, rf"OwnError at tests/test_custom\.py:{line + 3}$")]
    told += [("pandera", 3, "AttributeError$"), ("python", lambda: 0, "TypeError$")]
    told += [("python", leaves, "SystemExit at tests"), ("python", has_no_room, "MemoryError at tests")]
    for engine, named, why in told:
        with pytest.raises(UsageError, match=f"raised {why}") as caught:
            found(con, engine, "x", named={"x": named})
        assert "secret" not in str(caught.value)
    assert 0 == pandera(con, pa.DataFrameSchema({"tags": pa.Column(object, nullable=True)})).failed


def test_an_error_of_the_engine_is_told_with_its_place(con):
    """DuckDB's message about names helps; one about values is told without them."""
    for sql, why in (("nope > 1", 'Referenced column "nope" not found'), ("CAST(email AS INTEGER) > 1", "not shown")):
        with pytest.raises(UsageError, match=rf"raised \w+Exception at tests/test_custom\.py:\d+: .*{why}") as caught:
            found(con, "python", "f", named={"f": lambda rows, sql=sql: len(rows.filter(sql).fetchall())})
        assert "secret" not in str(caught.value)


def test_a_check_of_pandera_that_raises_is_no_fault_of_the_data(con):
    """It judged nothing, and a threshold that lets five in a hundred rows go must not let it go."""

    def fails(values):
        raise OwnError("secret")

    line = fails.__code__.co_firstlineno + 1
    for schema in (
        pa.DataFrameSchema({"id": pa.Column("Int64", pa.Check(fails), nullable=True)}),
        pa.DataFrameSchema(checks=[pa.Check(fails, raise_warning=True)]),
    ):
        with pytest.raises(UsageError, match=rf"fails raised an exception at tests/test_custom\.py:{line}$") as caught:
            pandera(con, schema)
        assert "secret" not in str(caught.value)


def test_what_validation_writes_is_in_no_example(con):
    """An object that changes the frame it is given neither shows what is classified nor loses rows of the examples."""

    class Careless:
        def validate(self, frame, *, lazy):
            frame["id"] = frame["email"]
            frame["more"] = frame["email"]
            kept = frame.drop(index=[3])
            del frame["day"]
            frame.index = frame.index[::-1]
            return kept

    class Silent:
        def validate(self, frame, *, lazy):
            frame.dropna()

    result = pandera(con, Careless())
    assert (1, 3, "***") == (result.failed, result.sample[0]["id"], result.sample[0]["email"])
    assert "more" not in result.sample[0]
    with pytest.raises(UsageError, match="validating returned NoneType, not a frame"):
        pandera(con, Silent())


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("DELETE FROM t", None),
        ("DROP TABLE t", None),
        ("CREATE TABLE other AS FROM t", None),
        ("CREATE OR REPLACE VIEW empty AS FROM t", "raised TransactionException"),
        ("SET TimeZone = 'Asia/Tokyo'", "changed the setting TimeZone"),
        ("COMMIT", "ended the transaction"),
    ],
)
def test_a_function_changes_nothing_for_other_rules(con, statement, why):
    """Whatever it does to tables and settings through its relation is undone, and some of it is no way to judge."""

    def state():
        tables = con.execute("SELECT table_name, estimated_size FROM duckdb_tables() ORDER BY 1").fetchall()
        settings = con.execute("SELECT name, value FROM duckdb_settings()").fetchall()
        return tables, settings, con.execute("SELECT count(*) FROM t").fetchall()

    def does(rows):
        rows.query("the rows", statement)
        return 2

    con.execute("SET TimeZone = 'UTC'")
    before = state()
    if why:
        with pytest.raises(UsageError, match=why):
            found(con, "python", "f", named={"f": does})
    else:
        assert 2 == found(con, "python", "f", named={"f": does}).failed
    assert before == state()
    assert 6 == found(con, "python", "f", named={"f": lambda rows: len(rows.fetchall())}).failed


def test_what_an_object_prints_is_no_output(con, capsys):
    """Facts of a command stand on standard output alone; what somebody prints goes beside them."""

    def chats(rows):
        print("so many", len(rows.df()))
        rows.limit(1).show()
        return True

    assert 0 == found(con, "python", "f", named={"f": chats}).failed
    said = capsys.readouterr()
    assert ("", True) == (said.out, said.err.startswith("so many 6\n"))


def test_a_name_that_no_project_gives_says_what_to_do(con):
    """Outside a project nothing is named; inside, the nearest name helps."""
    for engine in ("python", "pandera", "greatExpectations"):
        with pytest.raises(UsageError, match="Name it in `CUSTOM` of checks/, and run the command inside that project"):
            found(con, engine, "known")
        with pytest.raises(UnknownNameError, match="Did you mean 'known'"):
            found(con, engine, "knwon", named={"known": lambda rows: 0})


def test_a_function_says_rows_or_a_truth_value(con):
    """Numbers of numpy count as numbers; anything else is no answer."""
    import numpy as np

    said = [0, 3, True, False, np.int64(2), np.True_]
    assert [0, 3, 0, 1, 2, 0] == [found(con, "python", "f", named={"f": lambda _, v=v: v}).failed for v in said]
    for wrong in (None, -1, 2.0, "3", [1]):
        with pytest.raises(UsageError, match=r"at tests/test_custom\.py:\d+ returned .* not a number of rows"):
            found(con, "python", "f", named={"f": lambda _, v=wrong: v})


def test_a_result_that_nobody_fetched_to_its_end_is_no_hindrance(con):
    """DuckDB 2.0 refuses a relation beside one, and the gate may have left it."""
    con.execute("SELECT * FROM t").fetchone()
    assert 0 == found(con, "python", "f", named={"f": lambda rows: len(rows.columns) == len(COLUMNS)}).failed
    con.execute("SELECT 1")
    assert 1 == gx(con, NOT_NULL).failed


def test_frames_keep_every_digit(con):
    """Integers with NULLs stay integers; the order of rows and of columns stays; names may be odd."""
    frame = frame_of(con.sql("SELECT * FROM t"))
    assert [BIG, BIG + 1, 3, 3, None, 6] == [plain(value) for value in frame["id"]]
    assert [column.name for column in COLUMNS] == list(frame.columns)
    odd = frame_of(con.sql('SELECT 1 AS "_is_null0", NULL::INTEGER AS "a""b", 2::UBIGINT AS "select"'))
    assert [{"_is_null0": 1, 'a"b': None, "select": 2}] == [
        {name: plain(value) for name, value in row.items()} for row in odd.to_dict("records")
    ]


@pytest.mark.parametrize(
    ("written", "engine"),
    [
        ("greatExpectations", "greatExpectations"),
        ("great-expectations", "greatExpectations"),
        ("great_expectations", "greatExpectations"),
        ("Great Expectations", "greatExpectations"),
        ("gx", "greatExpectations"),
        ("Pandera", "pandera"),
        ("montecarlo", "monteCarlo"),
        ("soda", "soda"),
        ("pandrea", "pandrea"),
    ],
)
def test_engines_are_known_however_they_are_spelt(written, engine):
    """The standard itself has two spellings of one engine."""
    assert engine == known_engine(written)


def test_what_is_wrong_with_a_declaration_is_known_without_judging():
    """A misspelt engine is suggested; engines of others are let be; a suite must have the form of one."""
    assert "Did you mean 'pandera'" in fault_of({"engine": "pandrea", "implementation": "x"})[2]
    assert "engine" == fault_of({"implementation": "x"})[0]
    assert None is fault_of({"engine": "soda", "implementation": {"type": "x"}})
    assert None is fault_of({"engine": "great-expectations", "implementation": NOT_NULL})
    assert "no `type`" in fault_of({"engine": "great-expectations", "implementation": [{}]})[1]
    assert "text" in fault_of({"engine": "python", "implementation": {"a": 1}})[1]
    assert "implementation" == fault_of({"engine": "pandera"})[0]


def test_an_engine_of_others_is_not_run(con):
    """It is never a pass: the rule says that nobody judges it here."""
    rule = Rule("r", RuleKind.CUSTOM, (), {"engine": "SODA", "implementation": "x"})
    assert (True, "declared only: engine soda is not run here") == (is_foreign(rule), declared_only(rule))
    with pytest.raises(UsageError, match="engine soda is not run here"):
        found(con, "SODA", "x")
