"""Names and values as SQL."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataproducts.sql import literal, qualified, quote, quote_all


@pytest.mark.parametrize("name", ["plain", 'qu"ote', "with space", "select", "Größe", "a.b", "x;y--", "'"])
def test_a_quoted_name_is_that_name(name):
    """Any name can be a column's, whatever characters it holds."""
    with duckdb.connect() as con:
        assert con.execute(f"SELECT 1 AS {quote(name)}").description[0][0] == name


def test_lists_and_qualified_names_are_quoted_one_by_one():
    """Each part is quoted on its own."""
    assert quote_all(["a", 'b"']) == '"a", "b"""'
    assert qualified("l", "a") == '"l"."a"'


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**63),
        1.5,
        -0.0,
        math.inf,
        -math.inf,
        Decimal("1.10"),
        Decimal("-0.001"),
        "it's",
        "",
        b"\x00\xff",
        date(2024, 2, 29),
        datetime(2024, 1, 1, 12, 30, 0, 5),  # noqa: DTZ001 - without a zone, as TIMESTAMP is
        time(23, 59, 59),
        timedelta(days=-1, microseconds=3),
        [1, None],
        {"a": "x'y", "b'": 1},
    ],
    ids=repr,
)
def test_a_literal_comes_back_as_the_value(value):
    """What is written as SQL is read back as it was."""
    with duckdb.connect() as con:
        assert con.execute(f"SELECT {literal(value)}").fetchone() == (value,)


def test_nan_and_times_with_a_zone_keep_what_they_are():
    """NaN stays NaN, and a moment with a zone stays the same moment."""
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC)
    with duckdb.connect() as con:
        row = con.execute(f"SELECT isnan({literal(math.nan)}), epoch({literal(moment)})").fetchone()
    assert row == (True, moment.timestamp())


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_comes_back(text):
    """No text can break out of its literal."""
    with duckdb.connect() as con:
        assert con.execute(f"SELECT {literal(text)}").fetchone() == (text,)


@pytest.mark.parametrize("value", ["a\0b", object(), {1, 2}])
def test_what_has_no_literal_is_refused(value):
    """A value that SQL text cannot carry is an error, not a guess."""
    with pytest.raises(TypeError):
        literal(value)
