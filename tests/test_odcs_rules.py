"""What ODCS lets a contract say of values becomes a rule that is judged, or is told to be none: no silent gap."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from dataproducts.check import check_file
from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.declare.settled import settle
from dataproducts.declare.sql_types import storable_type
from dataproducts.declare.standards import judge as judge_standard
from dataproducts.errors import DeclarationError
from dataproducts.load import load_contract
from dataproducts.product import RuleKind
from tests.judged import judge

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2024, 3, 10, 12, 0, tzinfo=UTC)
HEAD = """\
apiVersion: {version}
kind: DataContract
id: shop.t
version: 1.0.0
status: draft
{slas}schema:
  - name: t
    properties:
{properties}
"""


def contract(properties: str, *, slas: str = "", version: str = "v3.2.0") -> Any:
    """Return the document of a contract whose columns (and SLAs) are the lines given."""
    body = textwrap.indent(textwrap.dedent(properties).strip(), " " * 6)
    promised = f"slaProperties:\n{textwrap.indent(textwrap.dedent(slas).strip(), '  ')}\n" if slas else ""
    return parse_yaml(HEAD.format(version=version, slas=promised, properties=body), "t.odcs.yaml")


def table_of(properties: str, **changes: str) -> Any:
    """Return the table of a contract that has no fault by the standard or by us."""
    document = contract(properties, **changes)
    tables, faults = read_tables(document)
    assert (judge_standard(document), faults) == ((), ())
    return tables[0]


def rejected(table: Any, rows: str, *, now: datetime = NOW) -> dict[str, float | None]:
    """Return what each rule that fails observed, on rows as SQL gives them."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        listed = ", ".join(f'"{column.name}" {column.sql_type}' for column in table.columns)
        con.execute(f"CREATE TABLE t ({listed})")
        con.execute(f"INSERT INTO t {rows}")
        results = judge(con, table, "t", lookup=str, now=now)
    assert [(result.rule.name, result.error) for result in results if result.error] == []
    return {result.rule.name: result.observed for result in results if not result.passed}


ITEMS = """
- name: tags
  logicalType: array
  items:
    logicalType: string
    required: true
    enum: [{value: a}, {value: b}, {value: ccc}]
    logicalTypeOptions: {maxLength: 2, pattern: "^[a-z]+$"}
    quality:
      - {metric: missingValues, arguments: {missingValues: ["b"]}, mustBeLessThan: 2}
"""


def test_items_of_a_list_are_judged():
    """A row is rejected where any item is; a list that is NULL or empty has none."""
    rows = "VALUES (['a']), ([]), (NULL), (['a', 'ccc']), (['A']), ([NULL]), (['b']), (['b', 'b'])"
    assert rejected(table_of(ITEMS), rows) == {
        "tags.items.required": 1,
        "tags.items.enum": 1,
        "tags.items.length": 1,
        "tags.items.pattern": 1,
        "tags.items.missingValues": 2,
    }


LINES = """
- name: basket
  logicalType: object
  properties:
    - name: lines
      logicalType: array
      logicalTypeOptions: {minItems: 1}
      items:
        logicalType: object
        properties:
          - {name: "s k u", logicalType: string, required: true}
          - {name: prices, logicalType: array, items: {logicalType: number, logicalTypeOptions: {minimum: 0}}}
"""


def test_items_inside_items_are_judged():
    """Lists of objects with lists in an object: rules hold at every depth, whatever the names."""
    kind = 'STRUCT("lines" STRUCT("s k u" VARCHAR, prices DOUBLE[])[])'
    values = ("[('x', [1.0])]", "[('x', [1.0, -1.0]), (NULL, NULL)]", "[('y', ['nan'::DOUBLE])]", "[]")
    rows = " UNION ALL ".join(f"SELECT row({value})::{kind}" for value in values)
    assert rejected(table_of(LINES), rows) == {
        "basket.lines.length": 1,
        "basket.lines.items.s_k_u.required": 1,
        "basket.lines.items.prices.items.range": 2,
    }


@pytest.mark.parametrize("kind", ["JSON", "VARCHAR"])
def test_items_of_a_list_that_is_kept_as_text_are_judged(kind):
    """A list as JSON holds items as one of the engine's own does; text that is none cannot be judged, and fails."""
    column = f"- {{name: x, logicalType: array, physicalType: {kind}, items: {{logicalType: integer, required: true}}}}"
    rows = "VALUES ('[1, null]'), ('[]'), ('[2]'), (NULL)"
    assert rejected(table_of(column), rows) == {"x.items.required": 1}


def test_items_cannot_be_unique_across_rows():
    """A metric that needs the whole table is a fault below `items`, with what to do."""
    items = ITEMS.replace(
        'metric: missingValues, arguments: {missingValues: ["b"]}, mustBeLessThan: 2',
        "metric: duplicateValues, mustBe: 0",
    )
    _, faults = read_tables(contract(items))
    assert [fault.fix for fault in faults] == ["Move it to the column that holds the list, or to the table."]


OPTIONS = [
    ("logicalType: array, items: {logicalType: string}", "uniqueItems: true", "unique_items",
     "(['a', 'b']), (['a', 'a']), ([NULL, NULL]), ([]), (NULL)", 1),
    ("logicalType: array", "uniqueItems: true", "unique_items", "('[1, 2]'), ('[1, 1]'), ('[]'), (NULL)", 1),
    ("logicalType: array", "minItems: 2", "length", "('[1, 2]'), ('[1]'), (NULL)", 1),
    ("logicalType: array, items: {logicalType: integer}", "maxItems: 1", "length", "([1, 2]), ([1]), (NULL)", 1),
    ("logicalType: object", "required: [a/b]", "required_fields",
     "('{\"a/b\": 1}'), ('{}'), ('{\"a\": 1}'), (NULL)", 2),
    ("logicalType: object, properties: [{name: a b, logicalType: string}, {name: c, logicalType: date}]",
     "required: [a b]", "required_fields", "(row('x', NULL)), (row(NULL, NULL)), (NULL)", 1),
    ("logicalType: object", "{minProperties: 1, maxProperties: 2}", "fields",
     "('{}'), ('{\"a\": 1}'), ('{\"a\": 1, \"b\": 2, \"c\": 3}'), (NULL)", 2),
    ("logicalType: object, properties: [{name: a, logicalType: string}, {name: c, logicalType: date}]",
     "minProperties: 1", "fields", "(row('x', NULL)), (row(NULL, NULL)), (NULL)", 1),
    ("logicalType: date, physicalType: VARCHAR", "format: yyyy-MM-dd", "format",
     "('2024-01-31'), ('2024-1-31'), ('2024-02-30'), ('31.01.2024'), (''), (NULL)", 4),
    ("logicalType: timestamp, physicalType: VARCHAR", "format: \"dd.MM.yyyy'T'HH:mm\"", "format",
     "('31.01.2024T09:05'), ('31.01.2024 09:05'), ('31.01.2024T25:00'), (NULL)", 2),
    ("logicalType: time, physicalType: VARCHAR", "format: HH:mm:ss", "format", "('09:00:00'), ('9:00:00'), (NULL)", 1),
    ("logicalType: vector", "{dimensions: 2, normalized: true}", "normalized", "([0.6, 0.8]), ([1, 1]), (NULL)", 1),
    ("logicalType: vector", "dimensions: 2", "length", "([0.6, 0.8]), ([1]), (NULL)", 1),
    ("logicalType: string", "format: ipv6", "format", "('::1'), ('2001:db8::8a2e:370:7334'), ('1::2::3'), ('x')", 2),
    ("logicalType: string", "format: byte", "format", "('YQ=='), ('YQ='), ('')", 1),
    ("logicalType: timestamp", "exclusiveMaximum: '2024-01-31T09:00:00'", "range",
     "('2024-01-31 08:59:59.999999'), ('2024-01-31 09:00'), (NULL)", 1),
    ("logicalType: timestamp", "{timezone: true, minimum: '2024-01-31T09:00:00+01:00'}", "range",
     "('2024-01-31 08:00:00Z'), ('2024-01-31 07:59:00Z'), (NULL)", 1),
    ("logicalType: time", "minimum: '09:00:00'", "range", "('08:59'), ('09:00'), (NULL)", 1),
    ("logicalType: integer", "{format: u8, multipleOf: 2}", "multiple_of", "(2), (3), (NULL)", 1),
    ("logicalType: number", "{format: f32, exclusiveMinimum: 0}", "range", "(0), (0.1), ('nan'), (NULL)", 2),
]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "options", "rule", "rows", "count"), OPTIONS, ids=[f"{c}: {o}" for c, o, *_ in OPTIONS]
)
def test_every_option_of_a_type_is_a_rule(column, options, rule, rows, count):
    """Each key of `logicalTypeOptions` that speaks of values rejects those that break it, and NULL never."""
    given = options if options.startswith("{") else f"{{{options}}}"
    table = table_of(f"- {{name: x y, {column}, logicalTypeOptions: {given}}}")
    assert rejected(table, f"VALUES {rows}") == {f"x_y.{rule}": count}


def test_an_option_inside_an_object_is_a_rule_of_its_path():
    """A list inside a STRUCT whose items must differ, by names with blanks."""
    table = table_of(
        """
        - name: a b
          logicalType: object
          properties:
            - {name: c d, logicalType: array, items: {logicalType: string}, logicalTypeOptions: {uniqueItems: true}}
        """
    )
    assert rejected(table, "VALUES (row(['x', 'x'])), (row(['x'])), (NULL)") == {"a_b.c_d.unique_items": 1}


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (
            "logicalType: timestamp, logicalTypeOptions: {minimum: soon}",
            "is a timestamp, and its minimum 'soon' is none",
        ),
        ("logicalType: time, logicalTypeOptions: {maximum: '25:00'}", "is a time, and its maximum"),
        ("logicalType: integer, logicalTypeOptions: {minimum: 2, exclusiveMaximum: 2}", "no value of 'x'"),
        ("logicalType: integer, physicalType: HUGEINT", "Write `physicalType: DECIMAL(38,0)`"),
        ("logicalType: integer, logicalTypeOptions: {format: u128}", "Write `physicalType: DECIMAL(38,0)`"),
        ("logicalType: timestamp, physicalType: TIMESTAMP_S", "Write `physicalType: TIMESTAMP`"),
        ("logicalType: array, physicalType: 'FLOAT[3]'", "Write `physicalType: FLOAT[]`"),
        ("logicalType: object, physicalType: 'STRUCT(a HUGEINT)'", "Write `physicalType: DECIMAL(38,0)`"),
        ("logicalType: string, physicalType: \"ENUM('a', 'b')\"", "Write `physicalType: VARCHAR`"),
    ],
)
def test_what_no_row_could_satisfy_is_refused(column, why):
    """Bounds that are no values, ranges that are empty, types that the store would not give back."""
    _, faults = read_tables(contract(f"- {{name: x, {column}}}"))
    assert why in " ".join(f"{fault.what}. {fault.fix}" for fault in faults)


def test_names_of_fields_are_no_types():
    """A field that is called like a type is none."""
    assert storable_type('STRUCT(bit INTEGER, "HUGEINT" INTEGER, "union(" VARCHAR[])') == ""


@pytest.mark.parametrize(
    ("operator", "observed", "passed"),
    [
        ("mustBe: 2", 2, True),
        ("mustBe: '2'", 2, True),
        ("mustNotBe: 2", 2, False),
        ("mustBeGreaterThan: 2", 2, False),
        ("mustBeGreaterOrEqualTo: 2", 2, True),
        ("mustBeLessThan: 2", 2, False),
        ("mustBeLessOrEqualTo: 2", 2, True),
        ("mustBeBetween: [2, 3]", 2, True),
        ("mustNotBeBetween: [2, 3]", 2, False),
        ("mustNotBeBetween: [2.5, 3]", 2, True),
        ("mustBe: 50, unit: percent", 50, True),
        ("mustBeBetween: [40, 50], unit: percent", 50, True),
    ],
)
def test_operators_and_units_of_every_metric(operator, observed, passed):
    """All eight operators, by rows and by percent; both ends of `mustBeBetween` belong to it."""
    table = table_of(f"- {{name: x, logicalType: integer, quality: [{{metric: nullValues, {operator}}}]}}")
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1), (2), (NULL), (NULL)) AS v(x)")
        (result,) = judge(con, table, "t", lookup=str, now=NOW, rules=table.rules[1:])
    assert (result.observed, result.passed) == (observed, passed)


@pytest.mark.parametrize(
    ("query", "passed"), [("SELECT count(*) = 4 FROM t", True), ("SELECT count(*) > 4 FROM t", False)]
)
def test_a_query_may_give_true_or_false(query, passed):
    """`mustBe: true` is compared with what a query answers: true is 1, false 0; a unit is but a word."""
    rule = f'{{type: sql, query: "{query}", mustBe: true, unit: yesses}}'
    table = table_of(f"- {{name: x, logicalType: integer, quality: [{rule}]}}")
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT * FROM (VALUES (1), (2), (NULL), (NULL)) AS v(x)")
        (result,) = judge(con, table, "t", lookup=str, now=NOW, rules=table.rules[1:])
    assert (result.error, result.passed) == ("", passed)


# Promises of service

DAY = "- {name: d, logicalType: date}\n- {name: z, logicalType: timestamp, logicalTypeOptions: {timezone: true}}"


@pytest.mark.parametrize(
    ("sla", "rows", "now", "fails"),
    [
        ("property: retention, value: 1, unit: y, element: t.d", "('2023-03-11', NULL)", NOW, {}),
        ("property: retention, value: 1, unit: y, element: t.d", "('2023-03-10', NULL)", NOW, {"d.retention": 2}),
        ("property: retention, value: 1, unit: d, element: t.z", "(NULL, '2024-03-09 11:59:00Z')", NOW,
         {"z.retention": 1}),
        ("property: retention, value: 1, unit: d, element: t.z", "(NULL, '2024-03-09 12:00:00Z')", NOW, {}),
        ("property: timeOfAvailability, value: '12:00', element: t.d", "('2024-03-09', NULL)", NOW, {}),
        ("property: timeOfAvailability, value: '12:00', element: t.d", "('2024-03-08', NULL)", NOW,
         {"d.available_by": 1}),
        ("property: timeOfAvailability, value: '12:01', element: t.d", "('2024-03-08', NULL)", NOW, {}),
        ("property: timeOfAvailability, value: '03:00-08:00', element: t.d", "('2024-03-09', NULL)", NOW, {}),
        ("property: timeOfAvailability, value: '05:00-08:00', element: t.d", "('2024-03-08', NULL)", NOW, {}),
        ("property: timeOfAvailability, value: '04:00-08:00', element: t.z", "(NULL, '2024-03-10 07:59:00Z')", NOW, {}),
        ("property: timeOfAvailability, value: '04:00-08:00', element: t.z", "(NULL, '2024-03-09 07:59:00Z')", NOW,
         {"z.available_by": 1}),
        ("property: timeOfAvailability, value: '12:00', element: t.d", "(NULL, NULL)", NOW, {"d.available_by": None}),
        ("property: endOfSupport, value: '2024-03-10T12:00:01Z'", "(NULL, NULL)", NOW, {}),
        ("property: endOfSupport, value: '2024-03-10T13:00:00+01:00'", "(NULL, NULL)", NOW, {"end_of_support": 0}),
        ("property: endOfLife, value: '2024-03-10'", "(NULL, NULL)", NOW, {"end_of_life": -43200}),
        ("property: generalAvailability, value: '2024-03-01'", "(NULL, NULL)", NOW, {}),
    ],
)  # fmt: skip
def test_promises_of_service_are_measured(sla, rows, now, fails):
    """Retention, the time of day, the ends of support and life: each against the clock, and each only warns."""
    table = table_of(DAY, slas=f"- {{{sla}}}")
    extra = ", ('2024-03-01', '2024-03-01 00:00:00Z')" if "retention" in sla and "unit: y" in sla else ""
    rows = rows.replace("('2023-03-10', NULL)", "('2023-03-10', NULL), ('2001-01-01', NULL)")
    assert rejected(table, f"VALUES {rows}{extra}", now=now) == fails
    assert {rule.blocking for rule in table.rules if rule.kind in (RuleKind.RETENTION, RuleKind.DEADLINE)} <= {False}


def test_a_promise_blocks_where_it_says_so():
    """`blocking` in the custom properties of an SLA, which ODCS has since 3.2; 3.1 does not let it stand there."""
    sla = (
        "- {property: endOfLife, value: '2024-03-10', customProperties: [{property: blocking, value: true}, "
        "{property: criticality, value: high}]}"
    )
    rule = next(rule for rule in table_of(DAY, slas=sla).rules if rule.kind is RuleKind.DEADLINE)
    assert (rule.blocking, str(rule.severity), rule.criticality) == (True, "error", "high")
    assert [
        "customProperties" in fault.what for fault in judge_standard(contract(DAY, slas=sla, version="v3.1.0"))
    ] == [True]
    assert read_tables(contract(DAY, slas=sla, version="v3.0.2"))[1] == ()


@pytest.mark.parametrize(
    ("sla", "why"),
    [
        ("property: retention, value: long, element: t.d", "no length of time"),
        ("property: retention, value: 1, unit: y, element: t.x", "no column of 't'"),
        ("property: timeOfAvailability, value: 9, element: t.d", "no time of day"),
        ("property: timeOfAvailability, value: nine, element: t.d", "no time of day"),
        ("property: endOfLife, value: never", "no date"),
    ],
)
def test_a_promise_that_cannot_be_measured_is_a_fault(sla, why):
    """What is no length of time, no time of day or no date is told at its line."""
    _, faults = read_tables(contract(DAY, slas=f"- {{{sla}}}"))
    assert [(fault.line, why in fault.what) for fault in faults] == [(7, True)]


# Nothing is lost


def test_a_rule_that_cannot_be_read_is_no_rule_less(tmp_path: Path) -> None:
    """Even a contract that stands alone is refused where one of its rules would silently be missing."""
    (tmp_path / "t.csv").write_text("x\n1\n", encoding="utf-8")
    path = tmp_path / "t.odcs.yaml"
    rule = "{rule: nulCheck, mustBe: 0}"
    text = HEAD.format(
        version="v3.0.2", slas="", properties=f"      - {{name: x, logicalType: integer, quality: [{rule}]}}"
    )
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DeclarationError, match="nulCheck"):
        check_file(tmp_path / "t.csv", path, now=NOW)
    path.write_text(text.replace("nulCheck", "nullCheck"), encoding="utf-8")
    assert load_contract(path)[0].rules[-1].kind is RuleKind.NULL_VALUES


CLAUSES = """
- name: m
  logicalType: map
  map: {key: {logicalType: string, required: true}, value: {logicalType: integer, logicalTypeOptions: {minimum: 0}}}
- name: l
  logicalType: array
  items: {logicalType: object, required: true, logicalTypeOptions: {minProperties: 1}}
- {name: d, logicalType: date, logicalTypeOptions: {format: yyyy-MM-dd}}
- {name: v, logicalType: date, physicalType: VARCHAR, logicalTypeOptions: {format: yyyy-MM-dd}}
- {name: w, logicalType: date, physicalType: VARCHAR, logicalTypeOptions: {format: ww}}
- {name: z, logicalType: timestamp, logicalTypeOptions: {timezone: true, defaultTimezone: Etc/UTC}}
"""
COLUMN = "contract.schema[].properties[]"


@pytest.mark.parametrize(
    ("clause", "place", "state"),
    [
        (f"{COLUMN}.required", (0, "map", "key", "required"), "declared-only"),
        (f"{COLUMN}.logicalTypeOptions.minimum", (0, "map", "value", "logicalTypeOptions", "minimum"), "declared-only"),
        (f"{COLUMN}.required", (1, "items", "required"), None),
        (f"{COLUMN}.logicalTypeOptions.minProperties", (1, "items", "logicalTypeOptions", "minProperties"),
         "declared-only"),
        (f"{COLUMN}.logicalTypeOptions.format", (2, "logicalTypeOptions", "format"), "declared-only"),
        (f"{COLUMN}.logicalTypeOptions.format", (3, "logicalTypeOptions", "format"), "enforced"),
        (f"{COLUMN}.logicalTypeOptions.format", (4, "logicalTypeOptions", "format"), None),
        (f"{COLUMN}.logicalTypeOptions.defaultTimezone", (5, "logicalTypeOptions", "defaultTimezone"), "enforced"),
        ("contract.slaProperties[]", 0, "monitored"),
        ("contract.slaProperties[]", 1, "declared-only"),
        ("contract.slaProperties[]", 2, "monitored"),
        ("contract.slaProperties[]", 3, "declared-only"),
        ("contract.slaProperties[]", 4, "declared-only"),
    ],
)  # fmt: skip
def test_the_report_says_what_no_rule_keeps(clause, place, state):
    """A clause is enforced or monitored only where a rule came of it; None leaves it to the table of clauses."""
    slas = """
        - {property: retention, value: 1, unit: y, element: t.d}
        - {property: retention, value: 1, unit: y}
        - {property: endOfLife, value: "2030-01-01"}
        - {property: generalAvailability, value: "2020-01-01"}
        - {property: availability, value: 99}
    """
    document = contract(CLAUSES, slas=slas)
    tables, faults = read_tables(document)
    assert faults == ()
    where = ("slaProperties", place) if isinstance(place, int) else ("schema", 0, "properties", *place)
    found = settle(clause, document, where, tables[0])
    assert (found and found.state) == state
