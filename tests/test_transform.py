"""Transforms: what they read, how they run, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dataproducts.errors import DeclarationError, TransformError
from dataproducts.product import Column, Mark, Partitioning, Server, Table, Transform
from dataproducts.transforms.casts import checked, keeps_value
from dataproducts.transforms.dependencies import code_version, dependencies, faults, read_lines
from dataproducts.transforms.stage import select_sql, stage, translated

DAY = (date(2017, 1, 2), date(2017, 1, 3))


def sql(text: str) -> Transform:
    """A SQL transform of this text."""
    return Transform("sql", Path("transforms/t.sql"), textwrap.dedent(text), Mark("transforms/t.sql", 1))


def python(text: str, folder: Path = Path()) -> Transform:
    """A Python transform of this text; it lies in a file only where the trace has to show it."""
    return Transform("python", folder / "t.py", textwrap.dedent(text), Mark("transforms/t.py", 1))


def table(transform: Transform | None, **columns: str) -> Table:
    """A table called `t` with these columns and types."""
    declared = tuple(Column(name, "string", kind) for name, kind in columns.items())
    return Table(
        "t", "retail.shop.t", "1.0.0", declared, (), transform=transform, mark=Mark("contracts/t.odcs.yaml", 3)
    )


@pytest.fixture
def con():
    """An empty database with a few purchases in it."""
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE lines AS SELECT * FROM (VALUES "
            "(1, 7, DATE '2017-01-01', 1.50::DECIMAL(9,2)), (2, 7, DATE '2017-01-02', 2.25::DECIMAL(9,2)), "
            "(3, 8, DATE '2017-01-02', NULL)) AS v(line, household, bought, amount)"
        )
        yield connection


INPUTS = {"purchases": "lines", "extra": "(SELECT 1 AS a)"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT * FROM b JOIN a USING (id)", ("a", "b")),
        ("WITH a AS (SELECT * FROM b) SELECT * FROM a", ("b",)),
        ("WITH b AS (SELECT * FROM b) SELECT * FROM b", ("b",)),
        ("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a), a", ("a",)),
        ("WITH RECURSIVE r AS (SELECT id FROM c UNION ALL SELECT id + 1 FROM r) SELECT * FROM r", ("c",)),
        ("WITH x AS (SELECT * FROM y), y AS (SELECT * FROM x) SELECT * FROM y", ("y",)),
        ("SELECT (SELECT max(v) FROM d WHERE d.k = c.k) FROM c WHERE k IN (SELECT k FROM e)", ("c", "d", "e")),
        ("FROM a SELECT x", ("a",)),
        ("SELECT * FROM range(3), unnest([1]) AS u(x), (VALUES (1)) AS v(a), a;", ("a",)),
        ("SELECT * FROM (PIVOT a ON k IN (1, 2) USING sum(v))", ("a",)),
    ],
)
def test_dependencies_are_tables_in_scope(text, expected):
    """Common table expressions count where they are in scope and nowhere else."""
    assert dependencies(sql(text), "t") == expected


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT a\nFROM x\nWHERE (", 3, "does not parse"),
        ("SELECT 1;\nSELECT 2", 2, "2 statements"),
        ("", 1, "0 statements"),
        ("-- nothing", 1, "0 statements"),
        ("\nCREATE TABLE x AS SELECT 1", 2, "this is CREATE"),
        ("DROP TABLE x", 1, "this is DROP"),
        ("COPY (SELECT 1) TO 'x.csv'", 1, "this is COPY"),
        ("SELECT *\nFROM 'x.csv'", 2, "is a file"),
        ("SELECT *\nFROM read_csv('x')", 2, "read_csv"),
        ("SELECT * FROM a\nWHERE x IN (SELECT file FROM glob('*'))", 2, "glob"),
        ("SELECT * FROM read_parquet('x')", 1, "read_parquet"),
        ("SELECT * FROM\nother.a", 2, "names a schema"),
        ("SELECT *,\n$start FROM a", 2, "no parameter $start"),
        ("SELECT * FROM a WHERE x = ?", 1, "no parameter"),
        ("SELECT\ngetenv('HOME') FROM a", 2, "getenv"),
    ],
)
def test_faults_of_sql(text, line, what):
    """A text that is not one SELECT over declared relations is told with its line, and refused by `dependencies`."""
    (fault,) = faults(sql(text), "t")
    assert (fault.path, fault.line) == ("transforms/t.sql", line)
    assert what in fault.what
    assert fault.fix
    with pytest.raises(DeclarationError):
        dependencies(sql(text), "t")


def test_lines_of_relations():
    """Each relation comes with the line that first names it."""
    assert read_lines(sql("SELECT *\nFROM a\nJOIN b USING (x)\nJOIN a AS c USING (x)"), "t") == {"a": 2, "b": 3}


@pytest.mark.parametrize(
    ("transform", "partitioned", "what"),
    [
        (sql("SELECT 1 FROM a"), True, "partitioned"),
        (sql("SELECT 1 FROM a WHERE d >= $partition_start"), False, "declares no `partition`"),
        (python("def t(a): return a"), True, "partitioned"),
        (python("def t(a, partition_end): return a"), False, "declares no `partition`"),
    ],
)
def test_bounds_must_be_used_exactly_where_a_table_is_partitioned(transform, partitioned, what):
    """A partitioned table without bounds would be whole each day; bounds without a partition are nothing."""
    (fault,) = faults(transform, "t", partitioned=partitioned)
    assert what in fault.what
    assert faults(transform, "t", partitioned=not partitioned) == ()
    assert faults(transform, "t") == ()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("def t(a:\n", 1, "does not parse"),
        ("def tt(a): return a", 1, "Did you mean 'tt'"),
        ("x = 1\ndef t(*inputs): return 1", 2, "names each of its inputs"),
        ("def t(a, b=1): return a", 1, "has a default"),
        ("async def t(a): return a", 1, "async"),
        ("def t(\n  a,\n  b: list): return a", 3, "annotation of parameter 'b'"),
    ],
)
def test_faults_of_python(text, line, what):
    """The signature is judged from the text, so that nothing of it runs."""
    (fault,) = faults(python(text), "t")
    assert fault.line == line
    assert what in fault.what


def test_python_is_read_without_being_run():
    """Inputs are the parameters besides the bounds, though the module would raise."""
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import pandas as pd
            from pyarrow import Table
        raise RuntimeError
        def t(b: pd.DataFrame, a: Table, partition_start, *, c: "pd.DataFrame"): ...
    """
    assert dependencies(python(text), "t") == ("a", "b", "c")


def test_code_version_ignores_comments_and_layout():
    """Only what a transform says changes its version."""
    version = code_version(sql("SELECT a, 'x  y' FROM b"))
    assert code_version(sql("-- why\nSELECT a,\n  'x  y' /* how */\nFROM b;\n")) == version
    assert code_version(sql("SELECT a, 'x y' FROM b")) != version
    assert code_version(python("def t(a):\n    return a")) == code_version(python("# x\ndef t( a ):\n\n  return (a)"))
    assert code_version(sql("SELECT FROM '")) != version
    assert code_version(None) == "pass-through"
    assert len(version) == 16


def test_code_version_follows_imports_of_the_project(tmp_path):
    """A module of the project that a Python transform imports is part of its code; an installed one is not."""
    (tmp_path / "assets/retail/shop/transforms").mkdir(parents=True)
    (tmp_path / "money.py").write_text("rate = 1\n", encoding="utf-8")
    text = "import duckdb\nimport money\ndef t(orders):\n    return orders\n"
    transform = python(text, tmp_path / "assets/retail/shop/transforms")
    before = code_version(transform)
    (tmp_path / "money.py").write_text("rate = 1  # for one\n", encoding="utf-8")
    assert before == code_version(transform)
    (tmp_path / "money.py").write_text("rate = 2\n", encoding="utf-8")
    assert before != code_version(transform)
    assert code_version(python("import duckdb\n")) == code_version(python("import duckdb # it", transform.path.parent))


def test_sql_is_staged_in_contract_order_and_type(con):
    """Columns are taken by name, and integers are widened to what the contract says."""
    made = table(sql("SELECT sum(amount) AS spent, household FROM purchases GROUP BY ALL -- note"), household="BIGINT")
    made = table(made.transform, household="BIGINT", spent="DECIMAL(18,2)")
    relation = stage(con, made, INPUTS, staged="made")
    assert con.execute(f"SELECT * FROM {relation} ORDER BY 1").fetchall() == [(7, Decimal("3.75")), (8, None)]
    described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    assert [row[:2] for row in described] == [("household", "BIGINT"), ("spent", "DECIMAL(18,2)")]
    assert con.execute("SELECT table_name FROM information_schema.tables").fetchall() == [("lines",)]


def test_sql_runs_in_copy(con, tmp_path):
    """The SELECT needs nothing but itself, so that it can be copied to a file in one go."""
    made = table(sql("WITH purchases AS (SELECT * FROM purchases) SELECT line FROM purchases;"), line="BIGINT")
    selected = select_sql(con, made, INPUTS)
    con.execute(f"COPY ({selected}) TO '{tmp_path / 'x.parquet'}' (FORMAT parquet)")
    assert con.execute(f"SELECT count(*), sum(line) FROM '{tmp_path / 'x.parquet'}'").fetchall() == [(3, 6)]


def test_materialised_rows_stay_the_same(con):
    """A SELECT with chance in it gives the same rows on every reading of the staged table."""
    relation = stage(
        con, table(sql("SELECT random() AS r FROM purchases"), r="DOUBLE"), INPUTS, staged="m", materialise=True
    )
    query = f"SELECT * FROM {relation}"
    assert relation == '"m"'
    assert con.execute(query).fetchall() == con.execute(query).fetchall()


def test_bounds_are_inlined_where_they_are_used(con):
    """Bounds are half-open dates, and the same words within text or comments stay as they are."""
    text = "SELECT line, '$partition_end' AS x FROM purchases -- $partition_end\nWHERE bought >= $partition_start"
    made = table(sql(text + " AND bought < $partition_end"), line="INTEGER", x="VARCHAR")
    relation = stage(con, made, INPUTS, partition=DAY, staged="made")
    assert con.execute(f"SELECT * FROM {relation} ORDER BY 1").fetchall() == [
        (2, "$partition_end"),
        (3, "$partition_end"),
    ]
    with pytest.raises(TransformError, match=r"transforms/t.sql:2: partition_start is used, but no partition"):
        stage(con, made, INPUTS, staged="made")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SELECT line FROM purchase", r"t.sql:1: relation 'purchase' is not among .* Did you mean 'purchases'"),
        ("SELECT\n  lin\nFROM purchases", r"t.sql:2: Binder Error: .*lin"),
        ("SELECT line AS lime FROM purchases", r"the result lacks 'line'.*Did you mean 'lime'"),
        ("SELECT line, bought FROM purchases", r"the contract does not declare 'bought'"),
        ("SELECT line / 2 AS line FROM purchases", r"'line' is DOUBLE, declared BIGINT. Write the cast"),
        ("SELECT CAST(line AS VARCHAR) AS line FROM purchases", r"'line' is VARCHAR, declared BIGINT"),
    ],
)
def test_sql_that_makes_something_else(con, text, message):
    """A result that is not what the contract says is refused before a row is made, with the line or column."""
    with pytest.raises(TransformError, match=message):
        stage(con, table(sql(text), line="BIGINT"), INPUTS, staged="made")


def test_narrowing_fails_by_name_and_withholds_values(con):
    """A number that does not fit its declared type names its column, and no message shows a value of the data."""
    with pytest.raises(TransformError, match=r"t.sql:1: column 'n': a value would be lost") as refused:
        stage(con, table(sql("SELECT 98765 AS n"), n="SMALLINT"), INPUTS, staged="m", materialise=True)
    assert "98765" not in str(refused.value)
    text = "SELECT CAST('Jane ' || line AS INTEGER) AS n FROM purchases"
    with pytest.raises(TransformError, match=r"withheld") as refused:
        stage(con, table(sql(text), n="INTEGER"), INPUTS, staged="m", materialise=True)
    assert "Jane" not in str(refused.value)
    assert refused.value.__cause__ is None
    text = "SELECT strptime('Jane ' || line, '%Y') AS n FROM purchases"
    with pytest.raises(TransformError) as refused:
        stage(con, table(sql(text), n="TIMESTAMP"), INPUTS, staged="m", materialise=True)
    assert "Jane" not in str(refused.value)


def test_lazy_errors_are_translated(con):
    """An error of a SELECT that runs later becomes that of its transform."""
    made = table(sql("SELECT 98765 AS n"), n="SMALLINT")
    relation = stage(con, made, INPUTS, staged="made")
    with pytest.raises(duckdb.Error) as raised:
        con.execute(f"SELECT * FROM {relation}").fetchall()
    assert str(translated(raised.value, made)).startswith("transforms/t.sql:1: column 'n'")


def source(*columns: Column, partitioning: Partitioning | None = None) -> Table:
    """A table that passes the server `raw` through."""
    mark = Mark("contracts/t.odcs.yaml", 3)
    return Table(
        "t", "x", "1.0.0", columns, (), servers=(Server("raw", "local"),), partitioning=partitioning, mark=mark
    )


def test_pass_through_renames_types_and_keeps_the_partition():
    """Without a transform, text becomes what the contract says and a partition keeps its own rows."""
    columns = (
        Column("id", "integer", "BIGINT", physical_name="Id"),
        Column("on_day", "date", "DATE", physical_name="Day"),
        Column("paid", "number", "DECIMAL(9,2)"),
    )
    rows = "(VALUES ('1', '2017-01-01', '1.50'), (' 2', '2017-01-02', NULL)) AS v(Id, Day, paid)"
    with duckdb.connect() as con:
        relation = stage(con, source(*columns), {"raw": f"(SELECT * FROM {rows})"}, staged="made")
        everything = con.execute(f"SELECT * FROM {relation}").fetchall()
        cut = source(*columns, partitioning=Partitioning("on_day", "day", date(2017, 1, 1)))
        relation = stage(con, cut, {"raw": f"(SELECT * FROM {rows})"}, partition=DAY, staged="made")
        kept = con.execute(f"SELECT * FROM {relation}").fetchall()
    assert everything == [(1, date(2017, 1, 1), Decimal("1.50")), (2, date(2017, 1, 2), None)]
    assert kept == everything[1:]


def test_pass_through_tells_a_column_that_the_source_lacks():
    """A column that is not in the source is named, with the nearest that is."""
    with duckdb.connect() as con, pytest.raises(TransformError, match=r"contracts/t.odcs.yaml:3.*Did you mean 'idd'"):
        stage(con, source(Column("id", "integer", "BIGINT")), {"raw": "(SELECT 1 AS idd)"}, staged="made")


@pytest.mark.parametrize(
    ("value", "source_type", "target", "expected"),
    [
        ("'1'", "VARCHAR", "BIGINT", 1),
        ("'1.5'", "VARCHAR", "BIGINT", None),
        ("'1.50'", "VARCHAR", "DECIMAL(9,1)", Decimal("1.5")),
        ("'1.55'", "VARCHAR", "DECIMAL(9,1)", None),
        ("'2017-01-01'", "VARCHAR", "DATE", date(2017, 1, 1)),
        ("'2017-01-01 10:00:00'", "VARCHAR", "DATE", None),
        ("'2017-01-01 00:00:00'", "VARCHAR", "DATE", date(2017, 1, 1)),
        ("2.0", "DOUBLE", "BIGINT", 2),
        ("2.5", "DOUBLE", "BIGINT", None),
        ("'nan'", "DOUBLE", "BIGINT", None),
        ("0.3", "DOUBLE", "DECIMAL(9,2)", Decimal("0.30")),
        ("0.305", "DOUBLE", "DECIMAL(9,2)", None),
        ("9007199254740993", "BIGINT", "DOUBLE", None),
        ("300", "INTEGER", "TINYINT", None),
        ("'2017-01-01 10:00:00'", "TIMESTAMP", "DATE", None),
        ("'2017-01-01'", "DATE", "BIGINT", None),
        ("1", "BIGINT", "VARCHAR", None),
        ("'2017-01-01'", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP", None),
    ],
)
def test_a_checked_cast_keeps_the_value_or_raises(value, source_type, target, expected):
    """No cast that the library adds rounds, truncates or shifts a value; None marks one that raises."""
    query = f"SELECT {checked('x', source_type, target)} FROM (SELECT CAST({value} AS {source_type}) AS x)"
    with duckdb.connect() as con:
        if expected is None:
            with pytest.raises(duckdb.InvalidInputException, match="column 'x'"):
                con.execute(query).fetchall()
        else:
            assert con.execute(query).fetchall() == [(expected,)]
        null = query.replace(value, "NULL", 1)
        assert con.execute(null).fetchall() == [(None,)]


def test_casts_that_keep_values_are_implicit():
    """Widening, and narrowing that fails loudly, need no CAST in the SQL; anything lossy does."""
    assert keeps_value("INTEGER", "BIGINT")
    assert keeps_value("HUGEINT", "BIGINT")
    assert keeps_value("DECIMAL(38,2)", "DECIMAL(18,2)")
    assert keeps_value("DATE", "TIMESTAMP")
    assert not keeps_value("DECIMAL(18,3)", "DECIMAL(18,2)")
    assert not keeps_value("BIGINT", "DOUBLE")
    assert not keeps_value("DOUBLE", "BIGINT")
    assert not keeps_value("TIMESTAMP", "DATE")
    assert not keeps_value("VARCHAR", "DATE")


PYTHON = {
    "relation": "def t(purchases):\n    return purchases.filter('line > 1').project('line, amount')",
    "pandas": "import pandas as pd\ndef t(purchases: pd.DataFrame):\n"
    "    return purchases[purchases['line'] > 1][['amount', 'line']]",
    "polars": "import polars as pl\ndef t(purchases: pl.DataFrame):\n"
    "    return purchases.filter(pl.col('line') > 1).select('line', 'amount')",
    "arrow": "import pyarrow as pa\ndef t(purchases: pa.Table):\n"
    "    return purchases.slice(1).select(['line', 'amount'])",
}


@pytest.mark.parametrize("form", sorted(PYTHON))
def test_python_gets_and_returns_any_frame(con, form):
    """The annotation picks the frame, and every frame ends as the contract's columns."""
    made = table(python(PYTHON[form]), line="BIGINT", amount="DECIMAL(18,2)")
    relation = stage(con, made, INPUTS, staged="made")
    rows = con.execute(f"SELECT * FROM {relation} ORDER BY 1").fetchall()
    assert rows == [(2, Decimal("2.25")), (3, None)]
    assert relation == '"made"'
    assert con.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


@pytest.mark.parametrize("form", sorted(PYTHON))
def test_python_after_a_result_that_was_read_in_part(con, form):
    """What was asked of the connection before, and not fetched to its end, is not in the way of a frame."""
    assert con.execute("FROM range(3)").fetchone() == (0,)
    relation = stage(con, table(python(PYTHON[form]), line="BIGINT", amount="DECIMAL(18,2)"), INPUTS, staged="made")
    assert con.execute(f"SELECT count(*) FROM {relation}").fetchall() == [(2,)]


def test_python_gets_the_bounds(con):
    """The bounds of the partition come as dates to the parameters of their names."""
    text = """
        def t(purchases, partition_start):
            return purchases.filter(f"bought = '{partition_start}'").project("line")
    """
    made = table(python(text), line="BIGINT")
    relation = stage(con, made, INPUTS, partition=DAY, staged="made")
    assert con.execute(f"SELECT sum(line) FROM {relation}").fetchall() == [(5,)]
    with pytest.raises(TransformError, match="partition_start is used"):
        stage(con, made, INPUTS, staged="made")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no model')", r"transforms/t.py:4: ValueError: no model"),
        ("return 1", r"the function returned int"),
        ("return pd.DataFrame({'lime': [1]})", r"lacks 'line'.*Did you mean 'lime'"),
        ("return pd.DataFrame({'line': [1.5]})", r"'line' is float64, declared BIGINT"),
        ("return pd.DataFrame({'line': ['x']})", r"'line' is .*, declared BIGINT"),
        ("return purchases.project(\"'x' AS line\")", r"column 'line': a value would be lost"),
        ("return purchases.project('2.5 AS line')", r"column 'line': a value would be lost"),
        ("return purchases.project('nothing')", r"transforms/t.py:4: Binder Error"),
    ],
)
def test_python_that_fails(con, tmp_path, body, message):
    """What the author's code raises, and what it returns that is none of the contract, names the author's line."""
    transform = python(f"import pandas as pd\n\ndef t(purchases):\n    {body}", tmp_path)
    with pytest.raises(TransformError, match=message):
        stage(con, table(transform, line="BIGINT"), INPUTS, staged="made")
    assert con.execute("SELECT count(*) FROM duckdb_views() WHERE NOT internal").fetchall() == [(0,)]


def test_python_rows_are_left_to_the_gate(con):
    """A whole float is an integer with a gap, and a missing value passes: rules on rows are the gate's."""
    text = "import pandas as pd\ndef t(purchases):\n    return pd.DataFrame({'line': [1.0, None]})"
    relation = stage(con, table(python(text), line="BIGINT"), INPUTS, staged="made")
    assert con.execute(f"SELECT * FROM {relation}").fetchall() == [(1,), (None,)]


def test_large_integers_survive_pandas(con):
    """A column of integers with a NULL reaches pandas without passing through floats."""
    con.execute("CREATE TABLE big AS SELECT * FROM (VALUES (9007199254740993), (NULL)) AS v(n)")
    text = "import pandas as pd\ndef t(big: pd.DataFrame):\n    return big"
    relation = stage(con, table(python(text), n="BIGINT"), {"big": "big"}, staged="made")
    assert con.execute(f"SELECT * FROM {relation}").fetchall() == [(9007199254740993,), (None,)]


def test_sql_transforms_need_no_frames():
    """Running SQL imports neither pandas, pandera, pyarrow nor dagster."""
    code = (
        "import sys\n"
        "from dataproducts.transforms import frames, lineage, minimal, stage, unit_tests\n"
        "import dataproducts.pytest_plugin\n"
        "print(sorted({'pandas', 'pandera', 'pyarrow', 'polars', 'dagster'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
