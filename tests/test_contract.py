"""ODCS contracts as tables, types and rules."""

import pytest

from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.declare.sql_types import column_type, physical_type
from dataproducts.declare.standards import judge
from dataproducts.product import Dimension, OnFailure, Operator, RuleKind, Severity, TableRef
from tests.sample_project import FILES, ORDERS

HEAD = """\
apiVersion: {version}
kind: DataContract
id: x
version: 1.0.0
status: draft
schema:
  - name: t
    properties:
"""


def table_of(columns, *, rest="", version="v3.2.0", strict=True):
    """Return the table of a contract with these columns, and its faults."""
    document = parse_yaml(HEAD.format(version=version) + columns + rest, "t.odcs.yaml")
    standard = judge(document)
    (table,), faults = read_tables(document, strict=strict)
    return table, [*standard, *faults]


def rules_of(columns, **options):
    """Return the rules of such a contract by name; it has no fault."""
    table, faults = table_of(columns, **options)
    assert faults == [], [str(f) for f in faults]
    return {rule.name: rule for rule in table.rules}


def test_sample_contract_has_every_rule_that_it_implies():
    """Types, keys, options, relationships, partition, SLA and quality each become rules with their policy."""
    (table,), faults = read_tables(parse_yaml(FILES[ORDERS + "contracts/orders.odcs.yaml"], "c"))

    assert faults == ()
    assert [(rule.name, rule.kind.value, rule.blocking) for rule in table.rules] == [
        ("schema", "schema", True),
        ("partition_bounds", "partition_bounds", True),
        ("primary_key", "unique", True),
        ("order_id.required", "required", True),
        ("customer_id.required", "required", True),
        ("amount.required", "required", True),
        ("amount.range", "range", True),
        ("amount.nullValues", "null_values", False),
        ("ordered_on.required", "required", True),
        ("customer_id.references.customers", "foreign_key", True),
        ("rowCount", "row_count", True),
        ("turnover_is_plausible", "sql", True),
        ("ordered_on.freshness", "freshness", False),
    ]
    by_name = {rule.name: rule for rule in table.rules}
    assert by_name["ordered_on.freshness"].params == {"max_age_s": 86400}
    assert by_name["ordered_on.freshness"].severity is Severity.WARNING
    assert by_name["customer_id.references.customers"].params["to"] == TableRef("", "customers")
    assert str(by_name["amount.nullValues"].threshold) == "mustBeLessThan 5 percent"
    assert by_name["amount.nullValues"].mark.line == 47
    assert table.primary_key == ("order_id",)
    assert str(table.partitioning.start) == "2024-01-01"
    assert table.valid_thru == "ordered_on"
    assert len(table.contract_hash) == 64


def test_options_become_rules():
    """Length, pattern, known formats, enum and multiples are rules of their column."""
    rules = rules_of(
        "      - name: a\n        logicalType: string\n"
        "        logicalTypeOptions: {minLength: 1, maxLength: 9, pattern: '^x', format: uuid}\n"
        "      - name: b\n        logicalType: integer\n        unique: true\n"
        "        logicalTypeOptions: {multipleOf: 5, exclusiveMinimum: 0}\n"
        "      - {name: c, logicalType: string, enum: [{value: x}, {value: y}]}\n"
    )

    assert rules["a.length"].params == {"minLength": 1, "maxLength": 9}
    assert rules["a.pattern"].params == {"pattern": "^x"}
    assert rules["a.format"].kind is RuleKind.PATTERN
    assert rules["b.multiple_of"].params == {"multipleOf": 5}
    assert rules["b.range"].params == {"exclusiveMinimum": 0}
    assert rules["b.unique"].dimension is Dimension.UNIQUENESS
    assert rules["c.enum"].params == {"values": ("x", "y")}


def test_quality_policy():
    """Operators, arguments, severity, quarantine, keep, dimension and criticality are read; repeats are numbered."""
    rules = rules_of(
        "      - name: a\n        logicalType: string\n        quality:\n"
        "          - {metric: duplicateValues, mustBe: 0, customProperties: [{property: onFailure, "
        "value: quarantine}, {property: keep, value: none}, {property: criticality, value: high}]}\n"
        "          - {metric: invalidValues, arguments: {validValues: [x]}, mustBeBetween: [0, 2], severity: info}\n"
        "          - {metric: invalidValues, arguments: {pattern: '^x'}, mustBe: 0, customProperties: "
        "[{property: blocking, value: false}, {property: dimension, value: accuracy}]}\n"
        "          - {metric: missingValues, arguments: {missingValues: ['', null]}, mustBe: 0}\n",
        rest="    quality:\n"
        "      - {name: 'Two words!', metric: duplicateValues, arguments: {properties: [a]}, mustBe: 0}\n"
        "      - {type: custom, engine: python, implementation: look}\n"
        "      - {type: text, description: All is well.}\n",
    )

    duplicates = rules["a.duplicateValues"]
    assert (duplicates.on_failure, duplicates.keep, duplicates.criticality) == (OnFailure.QUARANTINE, "none", "high")
    assert (rules["a.invalidValues"].blocking, rules["a.invalidValues"].severity) == (False, Severity.INFO)
    assert rules["a.invalidValues"].threshold.operator is Operator.MUST_BE_BETWEEN
    assert rules["a.invalidValues.2"].blocking is False
    assert rules["a.invalidValues.2"].dimension is Dimension.ACCURACY
    assert rules["a.missingValues"].params == {"missingValues": ["", None]}
    assert rules["Two_words"].columns == ("a",)
    assert rules["custom"].params == {"engine": "python", "implementation": "look"}
    assert rules["text"].blocking is False


def test_old_rule_key_is_the_metric():
    """ODCS 3.0 writes `rule` with its arguments beside it, and may leave out the operator: then 0 rows."""
    rules = rules_of(
        "      - name: a\n        logicalType: string\n        quality:\n"
        "          - {rule: nullValues}\n          - {rule: validValues, validValues: [x, y], mustBe: 0}\n",
        version="v3.0.2",
    )

    assert str(rules["a.nullValues"].threshold) == "mustBe 0 rows"
    assert rules["a.validValues"].params == {"validValues": ["x", "y"]}


def test_references_of_every_spelling():
    """Shorthand, ids, another file and pairs of columns name the same kind of target."""
    rules = rules_of(
        "      - {id: c_a, name: a, logicalType: integer, relationships: [{to: other.k}]}\n"
        "      - name: b\n        logicalType: integer\n"
        "        relationships: [{to: 'other.odcs.yaml#/schema/other/properties/k'}]\n",
        rest="    id: t_id\n    relationships:\n      - {from: [t.a, t.b], to: [pair.x, pair.y]}\n"
        "      - {from: /schema/t_id/properties/c_a, to: /schema/t_id/properties/b}\n",
    )

    keys = {
        name: (r.columns, r.params["to"].table, r.params["to_columns"])
        for name, r in rules.items()
        if r.params.get("to")
    }
    assert keys == {
        "a.references.other": (("a",), "other", ("k",)),
        "b.references.other": (("b",), "other", ("k",)),
        "a_b.references.pair": (("a", "b"), "pair", ("x", "y")),
        "a.references.t": (("a",), "t", ("b",)),
    }


def test_nested_columns():
    """Objects are STRUCT, arrays lists; rules inside a struct name the column by its path."""
    table, faults = table_of(
        "      - name: address\n        logicalType: object\n        properties:\n"
        "          - {name: city, logicalType: string, required: true}\n"
        "          - {name: tags, logicalType: array, items: {logicalType: string}}\n"
        "      - {name: m, logicalType: map, map: {key: {logicalType: string}, value: {logicalType: integer}}}\n"
        "      - {name: v, logicalType: vector, logicalTypeOptions: {dimensions: 3}}\n"
    )

    assert faults == []
    assert [c.sql_type for c in table.columns] == [
        "STRUCT(city VARCHAR, tags VARCHAR[])",
        "MAP(VARCHAR, BIGINT)",
        "FLOAT[]",
    ]
    assert "address.city.required" in {rule.name for rule in table.rules}


@pytest.mark.parametrize(
    ("spelling", "duckdb"),
    [
        ("varchar(10)", "VARCHAR"),
        ("NUMBER(10,2)", "DECIMAL(10,2)"),
        ("timestamp_ntz", "TIMESTAMP"),
        ("TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"),
        ("double precision", "DOUBLE"),
        ("int64", "BIGINT"),
        ("ARRAY<INT>", "INTEGER[]"),
        ("int[]", "INTEGER[]"),
        ("nonsense", None),
        ("x; DROP TABLE y", None),
    ],
)
def test_physical_types(spelling, duckdb):
    """Types of other systems are read as DuckDB's, and what nobody knows is not."""
    assert physical_type(spelling) == duckdb


def test_logical_types():
    """Integers are 64 bits wide unless they say otherwise, and timestamps without a zone unless they say so."""
    assert column_type({"logicalType": "integer"}) == "BIGINT"
    assert column_type({"logicalType": "integer", "logicalTypeOptions": {"format": "i16"}}) == "SMALLINT"
    assert column_type({"logicalType": "timestamp"}) == "TIMESTAMP"
    assert (
        column_type({"logicalType": "timestamp", "logicalTypeOptions": {"timezone": True}})
        == "TIMESTAMP WITH TIME ZONE"
    )
    assert column_type({"logicalType": "string", "physicalType": "UUID"}) == "UUID"


@pytest.mark.parametrize(
    ("column", "rest", "what"),
    [
        ("{name: a, logicalType: string, quality: [{metric: rowCount, mustBe: 1}]}", "", "not of a column"),
        ("{name: a, logicalType: string, quality: [{metric: nullValues, mustBe: 0, unit: rowz}]}", "", "unit 'rowz'"),
        ("{name: a, logicalType: string, quality: [{metric: nullValues, mustBeBetween: [5, 2]}]}", "", "nothing lies"),
        ("{name: a, logicalType: string, quality: [{metric: invalidValues, mustBe: 0}]}", "", "lacks validValues"),
        ("{name: a, logicalType: string, quality: [{metric: nullValues, mustBe: many}]}", "", "`mustBe` is 'many'"),
        ("{name: a, logicalType: string, primaryKey: true, required: false}", "", "primary key"),
        ("{name: a, logicalType: integer, logicalTypeOptions: {minimum: 9, maximum: 1}}", "", "no value of 'a'"),
        ("{name: a, logicalType: date, logicalTypeOptions: {minimum: soon}}", "", "its minimum 'soon' is none"),
        ("{name: a, logicalType: string}", "    quality: [{metric: nullValues, mustBe: 0}]\n", "which columns"),
        (
            "{name: a, logicalType: string}",
            "slaProperties: [{property: latency, value: 1, unit: h}]\n",
            "on which column",
        ),
        (
            "{name: a, logicalType: date}",
            "slaProperties: [{property: latency, value: 1, unit: parsec, element: t.a}]\n",
            "no length of time",
        ),
        ("{name: a, logicalType: string}", "servers: [{server: s, type: duckdb, database: x}]\n", "cannot be read"),
        (
            "{name: a, logicalType: string}",
            "    quality:\n      - metric: rowCount\n        mustBe: 1\n"  # noqa: ISC004
            "        customProperties: [{property: onFailure, value: quarantine}]\n",
            "no rows that could be quarantined",
        ),
        (
            (
                "{name: a, quality: [{metric: nullValues, mustBe: 0, severity: info, customProperties: "
                "[{property: blocking, value: true}]}], logicalType: string}"
            ),
            "",
            "is to block, but its severity is info",
        ),
    ],
)
def test_faults_beyond_the_standard(column, rest, what):
    """What the standard allows and cannot work is refused."""
    _, faults = table_of(f"      - {column}\n", rest=rest)

    assert [what in fault.what for fault in faults] == [True], [str(f) for f in faults]


def test_lone_contract_is_judged_by_the_standard_alone():
    """Types and servers of other systems pass where no product depends on them."""
    table, faults = table_of(
        "      - {name: a, logicalType: string, physicalType: keyword}\n",
        rest="servers: [{server: s, type: duckdb, database: x}]\n",
        strict=False,
    )

    assert faults == []
    assert table.columns[0].sql_type == "VARCHAR"


def test_gold_makes_keys_critical():
    """In gold products, rules of keys and of required columns are of high criticality."""
    text = HEAD.format(version="v3.2.0") + "      - {name: a, logicalType: string, primaryKey: true}\n"
    (table,), _ = read_tables(parse_yaml(text, "t"), gold=True)

    assert {r.name: r.criticality for r in table.rules} == {
        "schema": "high",
        "primary_key": "high",
        "a.required": "high",
    }
