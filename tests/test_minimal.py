"""Source-aligned tables: what still counts as a minimal transformation of the source."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataproducts.product import Mark, Server, Table, Transform
from dataproducts.transforms.minimal import check_minimal

CLEANING = """
-- Cleaned, one row of the source for one row of the table.
WITH typed AS (SELECT *, try_strptime(day, '%d/%m/%Y') AS parsed FROM raw)
SELECT
  CAST(Id AS BIGINT) AS id, nullif(trim(Name), '') AS name, coalesce(quantity, 0) AS quantity,
  CAST(replace(amount, ',', '.') AS DECIMAL(18, 2)) AS amount, lower(mail) AS mail,
  concat(street, ' ', town) AS address,
  CASE WHEN gender = 'n/a' THEN NULL ELSE gender END AS gender, CAST(parsed AS DATE) AS day, round(rate, 2) AS rate
FROM typed
WHERE parsed >= $partition_start AND $partition_end > parsed AND id IS NOT NULL
ORDER BY id
"""


def faults(text: str, kind: str = "sql") -> list[tuple[int, str]]:
    """Line and text of each fault of a table that may read the server `raw`."""
    transform = Transform(kind, Path("t.sql"), text, Mark("transforms/t.sql", 1))
    table = Table("t", "x", "1.0.0", (), (), transform=transform, servers=(Server("raw", "local"),))
    return [(fault.line, fault.what) for fault in check_minimal(table)]


def test_renaming_typing_and_cleaning_are_minimal():
    """What changes each row by itself is allowed, step by step as well, and so is a pass-through."""
    assert faults(CLEANING) == []
    assert faults("FROM raw") == []
    assert (
        faults("SELECT x FROM (SELECT a AS x FROM raw) AS s WHERE x BETWEEN $partition_start AND $partition_end") == []
    )
    assert faults("def t(raw): return raw", kind="python") == []
    assert check_minimal(Table("t", "x", "1.0.0", (), ())) == ()


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT a\nFROM raw\nJOIN raw AS r USING (id)", 3, "a join"),
        ("SELECT *\nFROM raw, raw AS r", 2, "a join"),
        ("SELECT DISTINCT a FROM raw", 1, "DISTINCT"),
        ("SELECT a\nFROM raw\nGROUP BY a", 3, "GROUP BY"),
        ("SELECT\n  count(*) AS n FROM raw", 2, "an aggregate"),
        ("SELECT\n  kurtosis(a) AS n FROM raw", 2, "an aggregate"),
        ("SELECT a,\n  lag(a) OVER (ORDER BY b) AS c FROM raw", 2, "a window"),
        ("FROM raw\nQUALIFY row_number() OVER (PARTITION BY a) = 1", 2, "QUALIFY"),
        ("SELECT a FROM raw\nUNION ALL\nSELECT b FROM raw", 1, "a set operation"),
        ("SELECT\n  (SELECT b FROM raw) AS c FROM raw", 2, "a subquery"),
        ("SELECT a FROM raw WHERE a IN (SELECT a FROM raw)", 1, "a subquery"),
        ("SELECT a\nFROM raw\nWHERE amount > 0", 3, "a filter"),
        ("SELECT a\nFROM raw\nWHERE id IS NOT NULL OR d > $partition_start", 3, "a filter"),
        ("SELECT\n  unnest(a) AS a FROM raw", 2, "UNNEST"),
        ("SELECT a FROM raw LIMIT 3", 1, "LIMIT"),
        ("SELECT a FROM raw\nUSING SAMPLE 10%", 2, "a sample"),
        ("SELECT a\nFROM other", 2, "reads 'other'"),
        ("SELECT 1 AS a", 1, "reads nothing"),
    ],
)
def test_more_than_that_is_refused(text, line, what):
    """Each thing that belongs downstream, or to a rule, is named with its line."""
    assert any(at == line and what in told for at, told in faults(text)), faults(text)


def test_python_may_read_its_one_source_only():
    """A Python transform of a source-aligned table has one parameter, the server."""
    assert any("reads other, raw" in told for _, told in faults("def t(raw, other): ...", kind="python"))


def test_faults_of_the_text_are_not_told_twice():
    """SQL that does not parse is for the loader to tell."""
    assert faults("SELECT FROM WHERE") == []
