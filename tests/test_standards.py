"""Files judged by the JSON Schema of their standard, in words that an author can act on."""

import json
import re
import time
from importlib import resources

import pytest

from dataproducts.declare.positions import parse_yaml
from dataproducts.declare.standards import SCHEMAS, judge
from dataproducts.declare.telling import in_words
from dataproducts.load import conformance, load_contract

CONTRACT = "apiVersion: {version}\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: draft\n"
PRODUCT = "apiVersion: {version}\nkind: DataProduct\nid: x\nstatus: draft\n"


def said(text):
    """Return the faults of a text as `line: what. fix`."""
    return [f"{f.line}: {f.what}. {f.fix}" for f in judge(parse_yaml(text, "f.yaml"))]


@pytest.mark.parametrize(("kind", "version"), [(kind, version) for kind, all_ in SCHEMAS.items() for version in all_])
def test_every_version_accepts_a_small_file(kind, version):
    """Each version of each standard has a schema, and the smallest file conforms to it."""
    head = CONTRACT if kind == "DataContract" else PRODUCT

    assert said(head.format(version=version)) == []


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("roles:\n  - access: read\n", "7: `roles` item 1 lacks the key 'role'. Add `role: …`."),
        (
            "price: {priceAmount: dear}\n",
            '6: `price` > `priceAmount` is text ("dear") instead of a number. Write a number.',
        ),
        ("owner: me\n", "6: the file knows no key 'owner'. Known: apiVersion, authoritativeDefinitions, "),
        (
            "servers:\n  - {server: s, type: local, path: x}\n",
            "7: `servers` 's' lacks the key 'format'. Add `format: …`.",
        ),
        (
            "servers:\n  - {server: s, type: local, path: x, format: csv, database: y}\n",
            "7: the key 'database' does not go with the other keys of `servers` 's'. Delete it, ",
        ),
        (
            "contractCreatedTs: yesterday\n",
            '6: `contractCreatedTs` is "yesterday", which is no date-time. Write it as ISO 8601',
        ),
        (
            (
                "schema:\n  - name: t\n    properties:\n      - name: a\n        logicalType: integer\n"
                "        logicalTypeOptions: {maxLength: 3}\n"
            ),
            "11: `schema` 't' > `properties` 'a' > `logicalTypeOptions` knows no key 'maxLength'. ",
        ),
        (
            "schema:\n  - name: t\n    quality:\n      - {metric: rowCount}\n",
            "9: `schema` 't' > `quality` item 1 needs one more key. Add one of: mustBe, mustNotBe, ",
        ),
    ],
)
def test_faults_are_told_in_words(rest, expected):
    """Each kind of fault names its place, what is wrong and what to do, once."""
    (fault,) = said(CONTRACT.format(version="v3.1.0") + rest)

    assert fault.startswith(expected)


def test_a_column_may_have_a_physical_type_alone():
    """The standard needs no logical type; its schema of v3.2.0 is mended where it would ask for a map then."""
    text = CONTRACT.format(version="v3.2.0") + "schema:\n  - name: t\n    properties: [{name: a, physicalType: INT}]\n"

    assert said(text) == []


def test_a_contract_of_3_0_may_use_what_3_1_added():
    """The standard's own examples of 3.0 do, and the schema of 3.1 accepts their version."""
    quality = "schema:\n  - name: t\n    quality: [{metric: rowCount, mustBe: 1}]\n"

    assert said(CONTRACT.format(version="v3.0.0") + quality) == []
    assert len(said(CONTRACT.format(version="v3.0.0") + quality.replace("metric", "metrik"))) == 1


def test_deep_columns_are_judged_in_linear_time():
    """Columns in columns, as deep as files may nest, are judged each once, and a fault in the innermost is found."""
    columns = "{name: a, logicalType: strin}"
    for _ in range(20):
        columns = f"{{name: a, logicalType: object, properties: [{columns}]}}"
    began = time.monotonic()
    faults = said(CONTRACT.format(version="v3.2.0") + f"schema:\n  - name: t\n    properties: [{columns}]\n")

    assert len(faults) == 1
    assert "Did you mean 'string'?" in faults[0]
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("file", sorted(resources.files("dataproducts").joinpath("schemas").glob("*.json")), ids=str)
def test_every_pattern_is_put_into_words(file):
    """Nobody is asked to read a regular expression: each pattern of a schema has words with an example."""
    for pattern in set(re.findall(r'"pattern": *("(?:[^"\\]|\\.)*")', file.read_text(encoding="utf-8"))):
        assert in_words(json.loads(pattern)).count("`") >= 2


def test_lone_files(tmp_path):
    """A lone file is told apart by its kind and judged by the standard, without the needs of products."""
    contract, product, other = tmp_path / "c.yaml", tmp_path / "p.yaml", tmp_path / "o.yaml"
    contract.write_text(
        CONTRACT.format(version="v3.2.0") + "schema: [{name: t, properties: [{name: a, logicalType: date}]}]"
    )
    product.write_text(PRODUCT.format(version="v1.1.0"))
    other.write_text("kind: Pod\n")

    assert conformance(contract) == conformance(product) == ()
    assert [(f.line, f.what) for f in conformance(other)] == [(1, '`kind` is "Pod"')]
    assert conformance(tmp_path / "absent.yaml")[0].what == "the file cannot be read: No such file or directory"
    assert [(c.name, c.sql_type) for c in load_contract(contract)[0].columns] == [("a", "DATE")]
