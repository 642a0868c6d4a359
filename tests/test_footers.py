"""What footers of foreign files tell counts only where nobody can doubt it."""

from __future__ import annotations

from datetime import UTC, date, datetime

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataproducts.check import check_file
from dataproducts.rules.footers import parquet_facts

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: a.t
version: 1.0.0
status: draft
schema:
  - name: t
    properties:
      - {{name: x, logicalType: {kind}, logicalTypeOptions: {{{bound}}}}}
"""


def judged(folder, kind, bound, *columns, names=("1", "2", "3"), more=""):
    """Write one file for each of `columns`, and return how many rows the range rejects, and how that was found."""
    for name, column in zip(names, columns, strict=False):
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": column}), path)
    (folder / "t.odcs.yaml").write_text(CONTRACT.format(kind=kind, bound=bound) + more)
    found = check_file(folder / "*.parquet" if len(columns) > 1 else path, folder / "t.odcs.yaml", now=NOW)
    return {r.rule.name: r.failed_rows for r in found.results if r.rule.name != "schema"}


@pytest.mark.parametrize(
    ("kind", "bound", "first", "second"),
    [
        ("string", "maximum: '50'", pa.array([1, 2]), pa.array(["1", "100", "60"])),
        ("number", "minimum: 3", pa.array([3, 4]), pa.array([2.5, 4.0])),
        ("date", "maximum: '2024-01-31'", pa.array([date(2024, 1, 1)]), pa.array(["2024-01-15", "2024-02-01"])),
    ],
)
def test_files_of_two_types_are_read(tmp_path, kind, bound, first, second):
    """Where files differ in a type, their footers prove nothing: the engine casts what they hold."""
    paths = [tmp_path / f"{at}.parquet" for at in (1, 2)]
    for path, column in zip(paths, (first, second), strict=True):
        pq.write_table(pa.table({"x": column}), path)
    with duckdb.connect() as con:
        assert parquet_facts(con, paths) is None


def test_a_folder_names_no_column(tmp_path):
    """The file's own column counts, and not what a folder above it is called."""
    assert judged(tmp_path, "integer", "maximum: 50", pa.array([1, 2]), names=("x=100/f",)) == {"x.range": 0}


def test_names_that_differ_in_case_tell_nothing(tmp_path):
    """DuckDB renames such columns, so that a footer's name is another column's."""
    table = pa.table([pa.array([1, 2]), pa.array([100, 200]), pa.array([1, 2])], names=["a", "A", "A_1"])
    pq.write_table(table, tmp_path / "f.parquet")
    with duckdb.connect() as con:
        assert parquet_facts(con, [tmp_path / "f.parquet"]) is None


def test_nan_is_lost_from_no_query(tmp_path):
    """Arrow leaves NaN out of its statistics; a query with WHERE finds it all the same."""
    more = """    quality:
      - {name: high, type: sql, query: "SELECT count(*) FROM t WHERE x > 100", mustBe: 1}
"""
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"x": [1.0, float("nan"), 2.0]}), path)
    (tmp_path / "t.odcs.yaml").write_text(CONTRACT.format(kind="number", bound="minimum: 0") + more)
    found = {r.rule.name: r for r in check_file(path, tmp_path / "t.odcs.yaml", now=NOW).results}
    assert (found["high"].passed, found["x.range"].failed_rows) == (True, 1)


def test_nested_columns_keep_facts_of_the_others(tmp_path):
    """Columns inside others do not stand in the way of those that are not."""
    table = pa.table({"s": [{"x": 1, "y": [1]}], "k": [7], "l": [[{"z": 1}]], "m": [3]})
    pq.write_table(table, tmp_path / "f.parquet")
    with duckdb.connect() as con:
        facts = parquet_facts(con, [tmp_path / "f.parquet"])
    assert {name: facts.ends(name) for name in ("k", "m")} == {"k": ("7",), "m": ("3",)}


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("value", ["'nan'", "'-nan'", "'inf'", "'-inf'", "1e30", "NULL"])
@pytest.mark.parametrize(("rows", "values"), [(1, 1), (5000, 7), (5000, 5000), (300_000, 3), (300_000, 300_000)])
def test_fractions_that_duckdb_wrote_are_proved_if_all_are_finite(tmp_path, kind, value, rows, values):
    """DuckDB tells no ends of a row group with NaN or an infinity, however it stores the column; its rows are read."""
    path = tmp_path / "f.parquet"
    with duckdb.connect() as con:
        value_at = f"CASE WHEN i = {rows // 2} THEN {value}::{kind} ELSE i % {values} END"
        con.execute(f"COPY (SELECT ({value_at})::{kind} AS x FROM range({rows}) r(i)) TO '{path}'")
        facts = parquet_facts(con, [path])
        known = facts.ends("x")
        truth = con.execute(
            f"SELECT min(x)::VARCHAR, max(x)::VARCHAR, bool_or(NOT isfinite(x)) FROM '{path}'"
        ).fetchall()[0]
        assert known == (None if truth[2] else tuple(dict.fromkeys(truth[:2])) if truth[0] else ())
    (tmp_path / "t.odcs.yaml").write_text(CONTRACT.format(kind="number", bound=f"minimum: 0, maximum: {values}"))
    found = {r.rule.name: r for r in check_file(path, tmp_path / "t.odcs.yaml", now=NOW).results}
    assert found["x.range"].failed_rows == (0 if value == "NULL" else 1)


def test_fractions_of_other_writers_are_read(tmp_path):
    """Arrow's ends of fractions may leave a NaN out, and prove nothing."""
    pq.write_table(pa.table({"x": [1.0, 2.0]}), tmp_path / "f.parquet")
    with duckdb.connect() as con:
        assert parquet_facts(con, [tmp_path / "f.parquet"]).ends("x") is None
