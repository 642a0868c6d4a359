"""Contracts as pandera schemas and back: the verdicts are the gate's, row by row."""

from __future__ import annotations

import os
import re
import resource
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb
import pandas as pd
import pandera.pandas as pa
import pandera.polars
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandera.errors import SchemaErrors

from dataproducts.errors import UnknownNameError, UsageError
from dataproducts.frames import contract_from_pandera, pandera_schema, pandera_source, read_frame, rejected_rows
from dataproducts.frames.express import express
from dataproducts.gate import Subject, judge
from dataproducts.load import conformance, load_contract
from dataproducts.product import Column, Operator, Rule, RuleKind, Severity, Table, Threshold
from dataproducts.rules.facts import Rows
from dataproducts.rules.predicates import COUNTED_KINDS, DUPLICATE_KINDS, JUDGED, failing_row, repeated_row
from tests.pages import run

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = int(os.environ.get("DATAPRODUCTS_PANDERA_EXAMPLES", "40"))
NOW = datetime(2024, 6, 1, tzinfo=UTC)

# --- Random tables ------------------------------------------------------------------------------------------------

WORDS = [
    "",
    " ",
    "\t",
    "a",
    "A",
    "ab",
    "a\nb",
    "ab\n",
    "n/a",
    "é",
    "e\u0301",
    "ß",
    "👩\u200d👩\u200d👧",
    "\U0001d4b3",
    "x\0y",
    "٣",
    "7",
    "nan",
]
TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=4))
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, 0.1, 0.3, 0.30000000000000004, 1.5, -1.5, 1e300, 5e-324, 2.0**53]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
    st.floats(),
)
STAMPS = st.one_of(
    st.sampled_from([datetime(2024, 1, 1), datetime(2024, 3, 31, 1, 30), datetime(1969, 12, 31, 23, 59, 59, 999999)]),  # noqa: DTZ001 - of no zone
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2100, 1, 1)),  # noqa: DTZ001 - as above
)
UUIDS = [UUID(int=0), UUID(int=2**127), UUID(int=2**128 - 1), UUID("0f0f0f0f-0000-4000-8000-0000000000ff")]


def whole(bits: int, *, signed: bool = True) -> st.SearchStrategy[int]:
    """Return integers of a width, often its ends."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return st.one_of(st.sampled_from([low, low + 1, 0, 1, 2, 7, high - 1, high]), st.integers(low, high))


def decimals(width: int, places: int) -> st.SearchStrategy[Decimal]:
    """Return decimals that DECIMAL(width, places) holds, often its ends."""
    top = 10**width - 1
    units = st.one_of(st.sampled_from([0, 1, -1, 5, 50, 100, 125, top, -top]), st.integers(-top, top))
    return units.map(lambda n: Decimal(n).scaleb(-places) if width < 28 else Decimal(f"{n}E-{places}"))


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": TEXTS,
    "DOUBLE": FLOATS,
    "FLOAT": st.one_of(st.sampled_from([0.0, -0.0, 0.1, 1.5, float("nan"), float("inf")]), st.floats(width=32)),
    "BIGINT": whole(64),
    "TINYINT": whole(8),
    "UTINYINT": whole(8, signed=False),
    "UBIGINT": whole(64, signed=False),
    "HUGEINT": st.one_of(st.sampled_from([0, 1, 2, 10**38 - 1, -(10**38) + 1]), st.integers(-9, 9)),
    "DECIMAL(9,2)": decimals(9, 2),
    "DECIMAL(18,0)": decimals(18, 0),
    "DECIMAL(38,9)": decimals(38, 9),
    "BOOLEAN": st.booleans(),
    "DATE": st.dates(date(1900, 1, 1), date(2100, 1, 1)) | st.sampled_from([date(2024, 1, 1), date(2024, 2, 29)]),
    "TIME": st.times() | st.sampled_from([time(0), time(12, 30)]),
    "TIMESTAMP": STAMPS,
    "TIMESTAMP WITH TIME ZONE": STAMPS.map(lambda moment: moment.replace(tzinfo=UTC)),
    "UUID": st.sampled_from(UUIDS),
    "INTEGER[]": st.lists(st.integers(0, 3), max_size=3),
}
TYPES = sorted(VALUES)
BOUNDS: dict[str, st.SearchStrategy[Any]] = {
    "VARCHAR": st.sampled_from(["", "a", "é", "\U0001d4b3", "~", 1, True]),
    "DOUBLE": st.sampled_from([0, 0.1, -1.5, 1e300, 2**53, 2, "0.3"]),
    "FLOAT": st.sampled_from([0, 0.1, -1.5, 1e30, 16777217]),
    "BOOLEAN": st.sampled_from([True, False, "true"]),
    "DATE": st.sampled_from(["2024-01-01", "2024-02-29", "1900-01-01", date(2024, 1, 1)]),
    "TIME": st.sampled_from(["12:30:00", "00:00:00"]),
    "TIMESTAMP": st.sampled_from(["2024-01-01", "2024-03-31T01:30:00", datetime(2024, 1, 1)]),  # noqa: DTZ001 - of no zone
    "TIMESTAMP WITH TIME ZONE": st.sampled_from(["2024-01-01T00:00:00Z", "2024-03-31 03:30:00+02", "2024-01-01"]),
    "UUID": st.sampled_from([str(UUIDS[1]).upper(), str(UUIDS[3])]),
}
NUMBERS = st.sampled_from([0, 1, 2, -1, 2.5, 0.005, 1.25, "0.30", 300, -129, 2**63, -(2**64), 10**30, 1e-9, 0.1])
PATTERNS = [
    "",
    "^$",
    "^.$",
    "a",
    "^a",
    "b$",
    "^ab$",
    r"\d",
    r"\s",
    r"^\w+$",
    "a.b",
    "(?s)a.b",
    "(?i)^A",
    r"\p{L}",
    "[^a]",
    "é",
    r"^\S+$",
]
OPERATORS = [*Operator]


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    """Return no row at all, or any operator with a small number of rows or a percentage."""
    if draw(st.booleans()):
        return Threshold()
    operator = draw(st.sampled_from(OPERATORS))
    numbers = st.sampled_from([0, 1, 2, 3, 10, 50, 100, 33.3, 0.5])
    low, high = sorted([draw(numbers), draw(numbers)])
    return Threshold(
        operator, (low, high) if "Between" in operator else (low,), draw(st.sampled_from(["rows", "percent"]))
    )


def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """Return a least or a greatest length, or both."""
    return draw(
        st.sampled_from([{"minLength": 1}, {"maxLength": 1}, {"minLength": 2, "maxLength": 3}, {"maxLength": 0}])
    )


@st.composite
def rules(draw: st.DrawFn, columns: tuple[Column, ...], name: str) -> Rule:  # noqa: C901 - one branch a kind
    """Return a rule of any kind, with constants that fit its column's type or do not."""
    column = draw(st.sampled_from(columns))
    kind = draw(
        st.sampled_from(
            [
                *sorted(COUNTED_KINDS - {RuleKind.PARTITION_BOUNDS}),
                RuleKind.UNIQUE,
                RuleKind.DUPLICATE_VALUES,
                RuleKind.ROW_COUNT,
            ]
        )
    )
    bound = BOUNDS.get(column.sql_type, NUMBERS)
    listed = st.lists(
        st.one_of(bound, st.none(), VALUES[column.sql_type].filter(lambda v: "\0" not in str(v))), max_size=4
    )
    params: dict[str, Any] = {}
    names = (column.name,)
    if kind is RuleKind.RANGE:
        keys = draw(
            st.lists(
                st.sampled_from(["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"]),
                min_size=1,
                max_size=3,
                unique=True,
            )
        )
        params = {key: draw(bound) for key in keys}
        if draw(st.integers(0, 9)) == 0:
            params = {"minimum": draw(bound), "exclusiveMinimum": draw(st.booleans())}
    elif kind is RuleKind.LENGTH:
        params = sizes(draw)
    elif kind is RuleKind.PATTERN:
        params = {"pattern": draw(st.sampled_from(PATTERNS))}
    elif kind is RuleKind.ENUM:
        params = {"values": tuple(draw(listed))}
    elif kind is RuleKind.MULTIPLE_OF:
        params = {"multipleOf": draw(st.sampled_from([1, 2, 0.1, 0.05, 0.25, 3, 7, 1e-3, 0.3, 0, 10**20]))}
    elif kind is RuleKind.MISSING_VALUES:
        params = {"missingValues": draw(listed)}
    elif kind is RuleKind.INVALID_VALUES:
        params = {"validValues": draw(listed)} if draw(st.booleans()) else {"pattern": draw(st.sampled_from(PATTERNS))}
    elif kind in {RuleKind.UNIQUE, RuleKind.DUPLICATE_VALUES}:
        known = [c.name for c in columns]
        names = tuple(draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True)))
    elif kind is RuleKind.ROW_COUNT:
        names = ()
    return Rule(name, kind, names, params, draw(thresholds()))


@st.composite
def tables(draw: st.DrawFn) -> tuple[Table, list[tuple[Any, ...]]]:
    """Return a table of up to three columns and eight rules, and up to a dozen rows, many of them alike."""
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    names = ["a", 'b "b"', "c.ç"][: len(types)]
    columns = tuple(
        Column(name, "array" if kind.endswith("]") else "x", kind) for name, kind in zip(names, types, strict=True)
    )
    declared = tuple(draw(rules(columns, f"r{at}")) for at in range(draw(st.integers(1, 8))))
    pools = [draw(st.lists(VALUES[kind], min_size=1, max_size=5)) for kind in types]
    cells = st.tuples(*(st.one_of(st.none(), st.sampled_from(pool)) for pool in pools))
    return Table("t", "x", "1.0.0", columns, declared), draw(st.lists(cells, max_size=12))


# --- Equal verdicts -----------------------------------------------------------------------------------------------


def quoted(name: str) -> str:
    """Return a name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def load(con: duckdb.DuckDBPyConnection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    """Make `numbered`: the rows with their position, in the contract's types."""
    con.execute("SET TimeZone = 'UTC'")
    con.execute(
        f"CREATE TABLE numbered (_row BIGINT, {', '.join(f'{quoted(c.name)} {c.sql_type}' for c in table.columns)})"
    )
    marks = ", ".join(f"CAST(? AS {c.sql_type})" for c in table.columns)
    for at, row in enumerate(rows):
        con.execute(f"INSERT INTO numbered SELECT ?, {marks}", [at, *row])


RELATION = "(SELECT * EXCLUDE (_row) FROM numbered)"


def by_gate(con: duckdb.DuckDBPyConnection, table: Table) -> dict[str, tuple[bool, int | None, set[int]]]:
    """Return by rule that could be judged whether it holds, its rejected rows by number and by position."""
    found = {}
    subject = Subject(rows=Rows(RELATION), now=NOW, lookup=lambda ref: Rows(str(ref)))
    for result in judge(con, table, subject).results:
        rule, rows = result.rule, set()
        if result.error:
            continue
        if rule.kind in COUNTED_KINDS | DUPLICATE_KINDS:
            predicate = failing_row(rule, table) if rule.kind in COUNTED_KINDS else repeated_row(rule, table, RELATION)
            query = f'SELECT _row FROM (SELECT * FROM numbered) AS "{JUDGED}" WHERE {predicate}'
            rows = {row for (row,) in con.execute(query).fetchall()}
        found[rule.name] = (result.passed, result.failed_rows, rows)
    return found


def by_pandera(schema: Any, frame: Any, backend: str = "pandas") -> dict[str, tuple[int, ...]]:
    """Return by rule that fails the rows that pandera tells."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        listed = error.failure_cases if backend == "pandas" else error.failure_cases.to_pandas()
        told = rejected_rows(error)
        cases = {name: set(rows["index"].dropna().astype(int)) for name, rows in listed.groupby("check")}
        both = told.keys() & cases.keys()  # pandera lists faults of structure, and its own checks, by other names
        assert {name: set(told[name]) for name in both} == {name: cases[name] for name in both}
        return told
    return {}


def compare(table: Table, rows: list[tuple[Any, ...]], backend: str) -> None:
    """Hold the gate's verdict on each rule against pandera's."""
    with duckdb.connect() as con:
        load(con, table, rows)
        gate = by_gate(con, table)
        relation = con.sql("SELECT * EXCLUDE (_row) FROM (FROM numbered ORDER BY _row)")
        frame = read_frame(relation) if backend == "pandas" else pl.from_arrow(relation.to_arrow_table())
    told = by_pandera(pandera_schema(table, backend=backend), frame, backend)
    said, _ = express(table)
    assert not told.keys() - {each.rule.name for each in said}
    for each in said:
        rule = each.rule
        if rule.name not in gate:
            continue
        passed, failed, positions = gate[rule.name]
        assert passed == (rule.name not in told), (rule, rows)
        if each.threshold is None and each.rejects == "repeated":
            assert failed == len(told.get(rule.name, ())), (rule, rows)
            assert set(told.get(rule.name, ())) <= positions, (rule, rows)
        elif each.threshold is None:
            assert positions == set(told.get(rule.name, ())), (rule, rows)


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_verdicts_are_equal_row_by_row(backend: str) -> None:
    """Over random tables and rules, the gate and pandera reject the same rows and come to the same verdict."""

    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 1000
    )
    @given(tables())
    def run(drawn: tuple[Table, list[tuple[Any, ...]]]) -> None:
        compare(*drawn, backend)

    run()


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_exported_source_gives_the_same_verdicts(backend: str) -> None:
    """The source that `export` prints makes a schema that rejects what the schema itself rejects."""

    @settings(
        max_examples=EXAMPLES // 4, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 1000
    )
    @given(tables())
    def check(drawn: tuple[Table, list[tuple[Any, ...]]]) -> None:
        table, rows = drawn
        with duckdb.connect() as con:
            load(con, table, rows)
            relation = con.sql("SELECT * EXCLUDE (_row) FROM (FROM numbered ORDER BY _row)")
            frame = read_frame(relation) if backend == "pandas" else pl.from_arrow(relation.to_arrow_table())
        schema = executed(pandera_source(table, backend=backend))
        assert by_pandera(pandera_schema(table, backend=backend), frame, backend) == by_pandera(schema, frame, backend)

    check()


def executed(source: str) -> Any:
    """Return the `schema` of exported source, which imports nothing of this package."""
    assert "dataproducts." not in source.replace("dataproducts'", "")
    made: dict[str, Any] = {}
    exec(compile(source, "exported.py", "exec"), made)  # noqa: S102 - the source is what is tested
    return made["schema"]


# --- Fixed cases --------------------------------------------------------------------------------------------------


def a_table(*declared: Rule, **columns: str) -> Table:
    """Return a table of these columns and rules; a column called `secret` is personal."""
    made = (
        Column(name, "x", kind, classification="personal" if name == "secret" else "") for name, kind in columns.items()
    )
    return Table("t", "x", "1.0.0", tuple(made), declared)


def a_frame(query: str) -> pd.DataFrame:
    """Return what a query gives, as a frame of Arrow columns."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'Asia/Tokyo'")
        return read_frame(con.sql(query))


def test_a_frame_tells_null_from_nan() -> None:
    """Rows of DuckDB keep NULL and NaN apart, and times with a zone become UTC whatever the session's zone."""
    frame = a_frame("SELECT * FROM (VALUES (1.5::DOUBLE, now()), ('nan', NULL), (NULL, NULL)) AS made(x, \"at\")")
    assert [False, False, True] == frame["x"].isna().tolist()
    assert ["double[pyarrow]", "timestamp[us, tz=UTC][pyarrow]"] == [str(kind) for kind in frame.dtypes]
    table = a_table(
        Rule("x.range", RuleKind.RANGE, ("x",), {"minimum": 0}),
        Rule("x.required", RuleKind.REQUIRED, ("x",)),
        x="DOUBLE",
        at="TIMESTAMPTZ",
    )
    assert {"x.range": (1,), "x.required": (2,)} == by_pandera(pandera_schema(table), frame)


@pytest.mark.parametrize("backend", ["pandas", "polars"])
def test_classified_values_are_never_shown(backend: str) -> None:
    """Failure cases of a personal column show rows and no value, alone and as part of a key; nor does the message."""
    declared = (
        Rule("secret.pattern", RuleKind.PATTERN, ("secret",), {"pattern": "^$"}),
        Rule("key", RuleKind.UNIQUE, ("secret", "open")),
        Rule("warns", RuleKind.LENGTH, ("secret",), {"maxLength": 1}, severity=Severity.WARNING, blocking=False),
    )
    table = a_table(*declared, secret="VARCHAR", open="BIGINT")  # noqa: S106 - a type
    frame = a_frame("SELECT 'ann@x.org' AS secret, 7::BIGINT AS open FROM range(2)")
    given_frame = frame if backend == "pandas" else pl.from_pandas(frame)
    schema = pandera_schema(table, backend=backend)
    with pytest.warns(Warning, match="warns") as warned, pytest.raises(pandera.errors.SchemaErrors) as refused:
        schema.validate(given_frame, lazy=True)
    assert {"secret.pattern": (0, 1), "key": (1,)} == rejected_rows(refused.value)
    told = str(refused.value) + str(refused.value.failure_cases) + "".join(str(each.message) for each in warned)
    assert "***" in told
    assert "ann" not in told


@pytest.mark.parametrize("index", [[7, 7, 7], pd.MultiIndex.from_tuples([(1, 2), (1, 3), (1, 3)])])
def test_labels_of_the_index_may_repeat(index: Any) -> None:
    """A frame whose labels repeat is judged as any other, and its labels are told."""
    frame = a_frame("SELECT 1::BIGINT AS a, 'x' AS b FROM range(3)")
    frame.index = index
    table = a_table(
        Rule("key", RuleKind.UNIQUE, ("a", "b")),
        Rule("a.range", RuleKind.RANGE, ("a",), {"minimum": 5}),
        a="BIGINT",
        b="VARCHAR",
    )
    with pytest.raises(SchemaErrors) as refused:
        pandera_schema(table).validate(frame, lazy=True)
    cases = refused.value.failure_cases
    assert {"key": 4, "a.range": 3} == cases["check"].value_counts().to_dict()
    assert {index[1], index[2]} == set(rejected_rows(refused.value)["key"])


def test_structure_is_the_rule_schema() -> None:
    """A column too many, one too few and one of another type are told under `schema`."""
    table = a_table(a="BIGINT", b="VARCHAR", c="DATE")
    told = by_pandera(pandera_schema(table), a_frame("SELECT 1.5::DOUBLE AS a, 'x' AS b, 1 AS d"))
    assert {"schema": ()} == told
    assert {} == by_pandera(pandera_schema(table), a_frame("SELECT 'x' AS b, 1::BIGINT AS a, DATE '2024-01-01' AS c"))


def test_what_a_check_cannot_say_is_listed() -> None:
    """Rules of other tables, of SQL, prose, clocks and nested columns stand in the metadata, each with the reason."""
    declared = (
        Rule("schema", RuleKind.SCHEMA),
        Rule("k", RuleKind.FOREIGN_KEY, ("a",)),
        Rule("s", RuleKind.SQL, params={"query": "SELECT 1"}),
        Rule("t", RuleKind.TEXT),
        Rule("f", RuleKind.FRESHNESS, ("a",)),
        Rule("n", RuleKind.REQUIRED, ("a.b",)),
        Rule("r", RuleKind.RANGE, ("a",), {"minimum": "x"}),
        Rule("p", RuleKind.PATTERN, ("d",), {"pattern": "1"}),
        Rule("said", RuleKind.REQUIRED, ("a",)),
    )
    schema = pandera_schema(a_table(*declared, a="BIGINT", d="DOUBLE"))
    told = schema.metadata["dataproducts"]["not_expressed"]
    assert ["k", "s", "t", "f", "n", "r", "p"] == [each["rule"] for each in told]
    assert all(each["why"] for each in told)
    assert ["said"] == [check.name for check in schema.columns["a"].checks]


def test_an_unknown_backend_is_refused() -> None:
    """The nearest name is suggested."""
    with pytest.raises(UnknownNameError, match="Did you mean 'polars'"):
        pandera_schema(a_table(a="BIGINT"), backend="polar")
    with pytest.raises(UnknownNameError, match="Did you mean 'pandas'"):
        pandera_source(a_table(a="BIGINT"), backend="panda")


# --- pandera to contract ------------------------------------------------------------------------------------------


class Orders(pa.DataFrameModel):
    """A model with most of what pandera can say."""

    order_id: pd.Int64Dtype = pa.Field(
        ge=1, unique=True, title="Number", description='One: "each"', metadata={"owner": "ann"}
    )
    state: str = pa.Field(isin=["open", "it's"], str_length={"min_value": 1, "max_value": 9}, nullable=True)
    code: str = pa.Field(str_matches="[A-Z]", str_contains="1", str_startswith="A.", str_endswith="$")
    amount: float = pa.Field(in_range={"min_value": 0, "max_value": 10, "include_max": False}, notin=[5.0], ge=-1)
    rate: float = pa.Field(le=1, raise_warning=True, nullable=True)
    kind: pd.CategoricalDtype = pa.Field(dtype_kwargs={"categories": ["x", "y"]})
    at: pd.DatetimeTZDtype = pa.Field(dtype_kwargs={"unit": "us", "tz": "UTC"}, ge=datetime(2020, 1, 1, tzinfo=UTC))
    looked: str = pa.Field(str_matches="a(?=b)", nullable=True)
    anything: object = pa.Field(nullable=True)

    class Config:
        """Keys and structure."""

        name = "orders"
        unique = ["state", "at"]  # noqa: RUF012 - as pandera wants it
        metadata = {"team": "sales", "quarantine": {"x": Decimal("1.5")}}  # noqa: RUF012 - as above

    @pa.check("amount")
    def adds_up(cls, amount):  # noqa: N805 - pandera makes it a class method
        """Hold what no rule says."""
        return amount > 0

    @pa.dataframe_check
    def is_whole(cls, frame):  # noqa: N805 - as above
        """Hold what no rule says of the frame."""
        return frame["amount"] > 0


def drafted(model: Any, folder: Path, **more: Any) -> tuple[str, Table]:
    """Return the text of a contract for a model, which conforms to its standard, and its table."""
    text = contract_from_pandera(model, contract_id="shop.orders", version="1.0.0", **more)
    path = folder / "drafted.odcs.yaml"
    path.write_text(text, encoding="utf-8")
    assert () == conformance(path)
    (table,) = load_contract(path)
    return text, table


def test_a_model_becomes_a_contract(tmp_path: Path) -> None:
    """Types, titles, keys and built-in checks become columns and rules; what is code or lost is told."""
    text, table = drafted(Orders, tmp_path)
    assert ("orders", "shop.orders", "1.0.0") == (table.name, table.contract_id, table.contract_version)
    types = {column.name: column.sql_type for column in table.columns}
    assert {
        "order_id": "BIGINT",
        "state": "VARCHAR",
        "amount": "DOUBLE",
        "kind": "VARCHAR",
        "at": "TIMESTAMP WITH TIME ZONE",
    }.items() <= types.items()
    found = {rule.name: rule for rule in table.rules}
    assert {"minimum": 1} == found["order_id.range"].params
    assert {"minLength": 1, "maxLength": 9} == found["state.length"].params
    assert ["open", "it's"] == found["state.invalidValues"].params["validValues"]
    assert "state.required" not in found
    patterns = [rule.params.get("pattern") for rule in table.rules if rule.columns == ("code",)]
    assert {"^(?:[A-Z])", "1", r"^A\.", r"\$$"} <= set(patterns)
    assert ({"minimum": -1}, {"missingValues": [5.0]}) == (
        found["amount.range"].params,
        found["amount.missingValues"].params,
    )
    assert RuleKind.SQL is found["amount_range"].kind
    assert Severity.WARNING is found["rate_range"].severity
    assert ("state", "at") == found["duplicateValues"].columns
    custom = found["Orders"]
    assert ("pandera", "Orders") == (custom.params["engine"], custom.params["implementation"])
    assert "adds_up, str_matches, is_whole" in custom.description or {"adds_up", "is_whole", "str_matches"} <= set(
        custom.description.replace(",", "").split()
    )
    assert "# the schema lets other columns pass" in text
    assert "# dtype object does not tell the type" in text
    assert "panderaMetadata" in text
    assert ("Number", 'One: "each"') == (table.columns[0].term, table.columns[0].description)


def test_a_check_without_a_name_becomes_prose(tmp_path: Path) -> None:
    """A lambda is told as a text rule, of a column and of the frame."""
    schema = pa.DataFrameSchema(
        {"a": pa.Column(int, pa.Check(lambda s: s > 0))}, checks=pa.Check(lambda f: f["a"] > 0), name="t"
    )
    _, table = drafted(schema, tmp_path)
    assert 2 == sum(rule.kind is RuleKind.TEXT for rule in table.rules)


def test_what_has_no_counterpart_is_told(tmp_path: Path) -> None:
    """Dtypes that tables lack, an index, columns by pattern, names that are no text: each is told beside its place."""
    columns = {
        "p": pa.Column("period[D]"),
        "c": pa.Column(complex, required=False),
        ("x", "y"): pa.Column(int),
        "^z": pa.Column(int, regex=True),
        "s": pa.Column(
            str, pa.Check.str_matches(re.compile("a", re.IGNORECASE)), unique=True, nullable=True, default="?"
        ),
        "f": pa.Column(float, pa.Check.ge(float("-inf"))),
    }
    schema = pa.DataFrameSchema(columns, index=pa.Index(int), coerce=True, ordered=True)
    text, table = drafted(schema, tmp_path)
    told = [line.strip() for line in text.splitlines() if line.strip().startswith("#")]
    for word in (
        "period[D]",
        "complex",
        "absent",
        "('x', 'y')",
        "'^z'",
        "flags",
        "two NULLs",
        "fills in",
        "infinite",
        "index",
        "coerces",
        "order",
    ):
        assert any(word in line for line in told), word
    assert ["p", "c", "('x', 'y')", "s", "f"] == [column.name for column in table.columns]
    assert "str_matches" in next(rule.description for rule in table.rules if rule.kind is RuleKind.CUSTOM)


def test_a_polars_model_becomes_a_contract(tmp_path: Path) -> None:
    """Types of polars are read as Arrow has them, nested ones too."""
    kinds = {
        "a": pl.Int32,
        "b": pl.Datetime("us", "UTC"),
        "c": pl.List(pl.Int32),
        "d": pl.Decimal(9, 2),
        "e": pl.Enum(["x", "y"]),
        "f": pl.Date,
        "g": pl.String,
        "h": pl.Categorical,
    }
    schema = pandera.polars.DataFrameSchema(
        {name: pandera.polars.Column(kind) for name, kind in kinds.items()}, name="t"
    )
    _, table = drafted(schema, tmp_path)
    expected = [
        "INTEGER",
        "TIMESTAMP WITH TIME ZONE",
        "INTEGER[]",
        "DECIMAL(9,2)",
        "VARCHAR",
        "DATE",
        "VARCHAR",
        "VARCHAR",
    ]
    assert expected == [column.sql_type for column in table.columns]
    assert ["x", "y"] == next(
        rule.params["validValues"] for rule in table.rules if rule.columns == ("e",) and rule.params
    )


def test_awkward_names_survive(tmp_path: Path) -> None:
    """Names with quotes, dots, blanks, colons and other scripts come back as they were."""
    names = ['a "b"', "c.d", "e f", "g: h", "# i", "ß", "yes", "1"]
    schema = pa.DataFrameSchema({name: pa.Column(int, pa.Check.ge(0)) for name in names}, name="t: #")
    _, table = drafted(schema, tmp_path)
    assert ("t: #", names) == (table.name, [column.name for column in table.columns])
    made = executed(pandera_source(table))
    assert names == list(made.columns)


def test_a_contract_comes_back_from_its_schema(tmp_path: Path) -> None:
    """Contract to source to contract keeps every rule that checks can say, by name, kind, columns and threshold."""
    path = tmp_path / "c.odcs.yaml"
    path.write_text(CONTRACT, encoding="utf-8")
    (table,) = load_contract(path)
    for backend in ("pandas", "polars"):
        _, back = drafted(executed(pandera_source(table, backend=backend)), tmp_path)
        assert facts(table) == facts(back)
        assert [(c.name, c.sql_type, c.classification) for c in table.columns] == [
            (c.name, c.sql_type, c.classification) for c in back.columns
        ]


def facts(table: Table) -> set[tuple[Any, ...]]:
    """Return what a table's rules ask, in a form that compares."""
    return {
        (r.name, r.kind, r.columns, str(sorted(r.params.items())), str(r.threshold), r.severity) for r in table.rules
    }


CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: shop.orders
version: 1.0.0
status: draft
schema:
  - name: orders
    description: All "orders"
    quality:
      - {name: not_empty, metric: rowCount, mustBeGreaterThan: 0}
      - {metric: duplicateValues, arguments: {properties: [mail, day]}, mustBeLessOrEqualTo: 5, unit: percent}
    properties:
      - {name: id, logicalType: integer, primaryKey: true}
      - name: mail
        logicalType: string
        classification: personal
        logicalTypeOptions: {maxLength: 40, pattern: '^[^A-Z]*$'}
        quality:
          - {metric: nullValues, mustBeBetween: [0, 5], severity: warning}
          - {metric: missingValues, arguments: {missingValues: [n/a, "", null]}, mustBe: 0}
      - {name: day, logicalType: date, required: true, logicalTypeOptions: {minimum: "2020-01-01"}}
      - name: amount
        logicalType: number
        physicalType: DECIMAL(12,2)
        logicalTypeOptions: {minimum: 0, multipleOf: 0.05}
      - {name: rate, logicalType: number, unique: true}
      - {name: tags, logicalType: array, items: {name: t, logicalType: string}, logicalTypeOptions: {maxItems: 3}}
"""


BUILTINS: dict[str, list[Any]] = {
    "BIGINT": [
        pa.Check.ge(1),
        pa.Check.gt(1),
        pa.Check.le(2),
        pa.Check.lt(2),
        pa.Check.eq(1),
        pa.Check.ne(1),
        pa.Check.isin([1, 2]),
        pa.Check.notin([2]),
    ],
    "DOUBLE": [
        pa.Check.in_range(0, 1.5, include_min=False),
        pa.Check.ge(0.1),
        pa.Check.isin([0.1, 1.5]),
        pa.Check.notin([0.0]),
    ],
    "VARCHAR": [
        pa.Check.str_length(1, 2),
        pa.Check.str_length(exact_value=1),
        pa.Check.str_contains("b$"),
        pa.Check.str_startswith("a"),
        pa.Check.str_endswith("b"),
        pa.Check.isin(["a", ""]),
    ],
    "TIMESTAMP": [pa.Check.ge(datetime(2024, 1, 1)), pa.Check.lt(datetime(2024, 1, 1))],  # noqa: DTZ001 - of no zone
    "DATE": [pa.Check.gt(date(2024, 1, 1)), pa.Check.isin([date(2024, 1, 1)])],
    "DECIMAL(9,2)": [pa.Check.le(Decimal("0.50")), pa.Check.gt(Decimal(1))],
}


def test_pandera_s_own_checks_and_their_contract_reject_the_same_rows(tmp_path: Path) -> None:
    """A built-in check of pandera, and the rule that it becomes, come to one verdict over rows without NaN and -0.0."""

    @settings(
        max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES < 1000
    )
    @given(st.data())
    def check(data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(sorted(BUILTINS)))
        one = data.draw(st.sampled_from(BUILTINS[kind]))
        # NaN is NULL to pandera, and -0.0 is not in its list of 0.0.
        real = VALUES[kind].filter(lambda value: str(value) not in {"nan", "-0.0"})
        rows = [(value,) for value in data.draw(st.lists(st.none() | real, max_size=8))]
        dtype = pd.ArrowDtype(arrow_type(kind))
        schema = pa.DataFrameSchema({"x": pa.Column(dtype, one, nullable=True)}, strict=True, name="t")
        _, table = drafted(schema, tmp_path)
        with duckdb.connect() as con:
            load(con, table, rows)
            gate = by_gate(con, table)
            frame = read_frame(con.sql("SELECT x FROM numbered ORDER BY _row"))
        told = by_pandera(schema, frame)
        judged = {name: found for name, found in gate.items() if name != "schema"}
        assert gate["schema"][0], gate
        ((passed, failed, _),) = judged.values()
        assert (passed, failed or 0) == (not told, sum(map(len, told.values())) if told else 0), (one, rows)

    check()


def arrow_type(kind: str) -> Any:
    """Return the Arrow type of a column of DuckDB's."""
    with duckdb.connect() as con:
        return con.sql(f"SELECT CAST(NULL AS {kind}) AS x").to_arrow_table().schema.field("x").type


# --- Commands -----------------------------------------------------------------------------------------------------


def test_commands_there_and_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`export pandera` prints a schema, `import pandera` drafts a contract of it; a file is never overwritten."""
    (tmp_path / "c.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    assert 0 == run(tmp_path, "export", "pandera", "c.odcs.yaml", "--output", "made.py", monkeypatch=monkeypatch).code
    ran = run(
        tmp_path,
        "import",
        "pandera",
        "made.py:schema",
        "--id",
        "x",
        "--version",
        "2.0.0",
        "--table",
        "t",
        monkeypatch=monkeypatch,
    )
    assert (0, "") == (ran.code, ran.err)
    (tmp_path / "back.odcs.yaml").write_text(ran.out, encoding="utf-8")
    (table,) = load_contract(tmp_path / "back.odcs.yaml")
    assert ("t", "x", "2.0.0") == (table.name, table.contract_id, table.contract_version)
    again = run(tmp_path, "export", "pandera", "c.odcs.yaml", "--output", "made.py", monkeypatch=monkeypatch)
    assert (2, True) == (again.code, "is not overwritten" in again.err)


def test_an_export_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the folder is not there, the disk is full, or the contract has no such schema: nothing is left."""
    (tmp_path / "c.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    there = sorted(tmp_path.iterdir())
    command = ("export", "pandera", "c.odcs.yaml", "--output")
    ran = run(tmp_path, *command, "no/such/made.py", monkeypatch=monkeypatch)
    assert (2, "", True) == (ran.code, ran.out, "made.py cannot be written" in ran.err)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # as if the disk were full after 100 bytes
    try:
        ran = run(tmp_path, *command, "made.py", monkeypatch=monkeypatch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (2, "", True) == (ran.code, ran.out, "made.py cannot be written" in ran.err)
    assert there == sorted(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (1, ["export", "pandera", "nowhere.yaml"], "nowhere.yaml"),
        (1, ["export", "pandera", "c.odcs.yaml", "--table", "order"], "Did you mean 'orders'?"),
        (2, ["export", "pandera", "c.odcs.yaml", "--backend", "dask"], "dask"),
        (2, ["import", "pandera", "nothing"], "package.module:Name"),
        (1, ["import", "pandera", "nowhere.py:A"], "there is no such file"),
        (1, ["import", "pandera", "no.such.module:A"], "cannot be imported"),
        (1, ["import", "pandera", "broken.py:A"], "broken.py:1"),
        (1, ["import", "pandera", "plain.py:Orderz"], "Did you mean 'orders'?"),
        (2, ["import", "pandera", "plain.py:orders"], "no pandera DataFrameModel"),
    ],
)
def test_an_error_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, arguments: list[str], said: str
) -> None:
    """What cannot be done ends with its code and says why, without output or traceback."""
    (tmp_path / "c.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    (tmp_path / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "plain.py").write_text("orders = 1\n", encoding="utf-8")
    ran = run(tmp_path, *arguments, monkeypatch=monkeypatch)
    assert (code, "") == (ran.code, ran.out)
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_what_is_no_model_is_refused() -> None:
    """Neither an object of another kind nor a schema without columns becomes a contract."""
    for wrong in (1, pa.DataFrameSchema({}), object()):
        with pytest.raises(UsageError, match="no pandera DataFrameModel"):
            contract_from_pandera(wrong, contract_id="x")
