"""Contracts as pandera schemas, and frames that fit them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pandera.errors import SchemaErrors, SchemaWarning

from dataproducts.errors import TransformError
from dataproducts.product import Column, Mark, OnFailure, Rule, RuleKind, Severity, Table, Threshold, Transform
from dataproducts.transforms.frames import conform, from_arrow, pandera_schema, rule_counts, validate

COLUMNS = (
    Column("id", "integer", "BIGINT", required=True, primary_key=1),
    Column("name", "string", "VARCHAR", classification="personal"),
    Column("born", "date", "DATE"),
    Column("spent", "number", "DECIMAL(9,2)"),
    Column("rate", "number", "DOUBLE"),
    Column("seen", "timestamp", "TIMESTAMP"),
    Column("member", "boolean", "BOOLEAN"),
)
RULES = (
    Rule("id.required", RuleKind.REQUIRED, ("id",)),
    Rule("id.unique", RuleKind.UNIQUE, ("id",)),
    Rule("name.pattern", RuleKind.PATTERN, ("name",), {"pattern": "^[A-Z]"}),
    Rule("name.length", RuleKind.LENGTH, ("name",), {"maxLength": 5}),
    Rule("born.range", RuleKind.RANGE, ("born",), {"minimum": "1900-01-01"}, on_failure=OnFailure.QUARANTINE),
    Rule("spent.range", RuleKind.RANGE, ("spent",), {"minimum": 0, "exclusiveMaximum": 100}),
    Rule("rate.enum", RuleKind.ENUM, ("rate",), {"values": [0.5, 1]}),
    Rule("spent.multiple_of", RuleKind.MULTIPLE_OF, ("spent",), {"multipleOf": 0.05}),
    Rule("rate.range", RuleKind.RANGE, ("rate",), {"maximum": 0}, Threshold(values=(5,))),
)
TABLE = Table(
    "t",
    "x",
    "1.0.0",
    COLUMNS,
    RULES,
    transform=Transform("python", Path("t.py"), "", Mark("transforms/t.py", 1)),
)
GOOD = {
    "id": [1, 2],
    "name": ["Ann", None],
    "born": [date(1980, 1, 1), None],
    "spent": [Decimal("1.50"), None],
    "rate": [0.5, None],
    "seen": [datetime(2017, 1, 1, 10), None],  # noqa: DTZ001 - the contract's type has no zone
    "member": [True, None],
}


def test_good_rows_fit():
    """A frame with a value and a gap in every column that may have one passes, rules included."""
    made = validate(pd.DataFrame(GOOD), TABLE, rules=True)
    assert [str(dtype) for dtype in made.dtypes] == [
        "Int64",
        "string",
        "object",
        "object",
        "float64",
        "datetime64[us]",
        "boolean",
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"id": [1, None]}, {"id.required": 1}),
        ({"id": [1, 1]}, {"id.unique": 1}),
        ({"name": ["ann", "Ann Example"]}, {"name.length": 1, "name.pattern": 1}),
        ({"born": [date(1880, 1, 1), None]}, {"born.range": 1}),
        ({"spent": [Decimal("-0.05"), Decimal("100.00")]}, {"spent.range": 2}),
        ({"spent": [Decimal("0.03"), Decimal("0.10")]}, {"spent.multiple_of": 1}),
        ({"rate": [0.7, 1]}, {"rate.enum": 1}),
        ({"id": [1.5, 2]}, {"schema": 1}),
        ({"name": [1, 2]}, {"name.length": 1, "name.pattern": 1, "schema": 1}),
        ({"born": ["1980-01-01", None]}, {"born.range": 1, "schema": 1}),
        ({"more": [1, 2]}, {"schema": 1}),
    ],
)
def test_failures_are_counted_by_rule(change, expected):
    """Each rule's failing rows are counted under the name that the contract gives it."""
    with pytest.raises(SchemaErrors) as refused:
        pandera_schema(TABLE).validate(conform(pd.DataFrame(GOOD | change), TABLE), lazy=True)
    assert rule_counts(refused.value, TABLE) == expected


def test_structure_alone():
    """Without rules only names and dtypes count, and the message shows no value."""
    validate(pd.DataFrame(GOOD | {"id": [1, 1], "name": ["ann", "Ann Example"]}), TABLE)
    with pytest.raises(
        TransformError, match=r"transforms/t.py:1: 'id' is float64, declared BIGINT \(Int64\)"
    ) as refused:
        validate(pd.DataFrame(GOOD | {"id": [98765.5, 1]}), TABLE)
    assert "98765" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_rule_that_is_no_error_only_warns():
    """Severity warning becomes pandera's warning."""
    rule = Rule("rate.range", RuleKind.RANGE, ("rate",), {"maximum": 0}, severity=Severity.WARNING)
    table = Table("t", "x", "1.0.0", (Column("rate", "number", "DOUBLE"),), (rule,))
    with pytest.warns(SchemaWarning):
        pandera_schema(table).validate(pd.DataFrame({"rate": [0.5]}))


def test_a_composite_key_is_one_rule():
    """Duplicates of a key of two columns are counted under primary_key."""
    columns = (Column("a", "integer", "BIGINT", primary_key=1), Column("b", "integer", "BIGINT", primary_key=2))
    table = Table("t", "x", "1.0.0", columns, ())
    frame = conform(pd.DataFrame({"a": [1, 1, 1], "b": [1, 1, 2]}), table)
    with pytest.raises(SchemaErrors) as refused:
        pandera_schema(table).validate(frame, lazy=True)
    assert rule_counts(refused.value, table) == {"primary_key": 1}


@pytest.mark.parametrize(
    ("kind", "values", "dtype"),
    [
        ("BIGINT", [1.0, None], "Int64"),
        ("BIGINT", [1.5, None], "float64"),
        ("BIGINT", [None, None], "Int64"),
        ("TINYINT", [300, 1], "int64"),
        ("BIGINT", [float("inf"), 1], "float64"),
        ("BIGINT", [True, False], "bool"),
        ("VARCHAR", pd.Series(["a", None], dtype=object), "string"),
        ("VARCHAR", [1, 2], "int64"),
        ("DOUBLE", [1, 2], "float64"),
        ("DATE", pd.Series(["2017-01-01", None], dtype="datetime64[ns]"), "object"),
        ("DATE", pd.Series(["2017-01-01 10:00", None], dtype="datetime64[us]"), "datetime64[us]"),
        ("TIMESTAMP", pd.Series(["2017-01-01 10:00", None], dtype="datetime64[ns]"), "datetime64[us]"),
        ("TIMESTAMP", pd.Series([pd.Timestamp(1), None], dtype="datetime64[ns]"), "datetime64[ns]"),
        ("BOOLEAN", pd.Series([True, None], dtype=object), "boolean"),
        ("STRUCT(a INTEGER)", pd.Series([{"a": 1}, None], dtype=object), "object"),
    ],
)
def test_conform_changes_dtypes_and_never_values(kind, values, dtype):
    """A column takes the contract's dtype where every value survives, and stays as it is otherwise."""
    before = pd.Series(values)
    table = Table("t", "x", "1.0.0", (Column("x", "string", kind),), ())
    after = conform(pd.DataFrame({"x": before}), table)["x"]
    assert str(after.dtype) == dtype
    kept = [(one, other) for one, other in zip(before, after, strict=True) if not pd.isna(other) and kind != "DATE"]
    assert all(one == other for one, other in kept)
    assert list(before.isna()) == list(after.isna())


def test_arrow_becomes_pandas_without_loss():
    """Integers with a NULL, decimals and dates keep their exact values."""
    rows = {"n": [2**53 + 1, None], "d": [Decimal("1.10"), None], "day": [date(2017, 1, 1), None]}
    frame = from_arrow(pa.table(rows))
    assert str(frame["n"].dtype) == "Int64"
    assert frame["n"][0] == 2**53 + 1
    assert list(frame["d"]) == rows["d"]
    assert list(frame["day"]) == rows["day"]
