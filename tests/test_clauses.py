"""No silent gap: every key of every schema has its place in the table of clauses, and the report tells all."""

import re
from datetime import date

import pytest

from dataproducts.declare.clause_table import DECLARED, ENFORCED, MONITORED, lookup, table
from dataproducts.declare.clauses import faults, report, share_enforced
from dataproducts.declare.standards import CUSTOM, DESIGN, SCHEMAS, SLO, TESTS, read_schema
from dataproducts.load import load_project
from tests.sample_project import FILES, ORDERS, edited, write_project

CONTRACT, PRODUCT = ORDERS + "contracts/orders.odcs.yaml", ORDERS + "product.yaml"
NESTED = re.compile(r"(?<=schema\[\])((\.properties\[\]|\.items|\.map\.key|\.map\.value)+)(?=\.)")
LEVELS = {
    "product": ["product"],
    "object": ["contract.schema[]"],
    "property": ["contract.schema[].properties[]"],
    "quality": ["contract.schema[].quality[]", "contract.schema[].properties[].quality[]"],
    "sla": ["contract.slaProperties[]"],
    "server": ["contract.servers[]"],
}
ERRORS = "slaProperties:\n  - {property: errorRate, value: 1, unit: percent}\n"
ROLES = "roles:\n  - {role: reader, access: read}\nslaProperties:\n"


def keys(schema, root, path, seen=()):
    """Yield the path of every key that a schema speaks of; a definition within itself once."""
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if reference and reference not in seen:
        target = root
        for step in reference.removeprefix("#/").split("/"):
            target = target[step]
        yield from keys(target, root, path, (*seen, reference))
    for word in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(word, ()):
            yield from keys(branch, root, path, seen)
    for word in ("if", "then", "else"):
        yield from keys(schema.get(word), root, path, seen)
    yield from keys(schema.get("items"), root, f"{path}[]", seen)
    for key, inner in schema.get("properties", {}).items():
        name = f"{path}.{key}" if path else key
        yield name
        yield from keys(inner, root, name, seen)


def standard_keys():
    """Return every key of the standards' schemas, columns in columns taken for columns."""
    found = set()
    for kind, name in (("DataContract", "contract"), ("DataProduct", "product")):
        for file in set(SCHEMAS[kind].values()):
            schema = read_schema(file)
            found |= {NESTED.sub(".properties[]", key) for key in keys(schema, schema, name)}
    return found


def own_keys():
    """Return every key of our own schemas."""
    found = set(keys(read_schema(DESIGN), read_schema(DESIGN), "design"))
    found |= set(keys(read_schema(SLO), read_schema(SLO), "slo"))
    tests = read_schema(TESTS)
    found |= set(keys(tests["$defs"]["Case"], tests, "tests[]")) | {"tests"}
    for level, places in LEVELS.items():
        for name, schema in read_schema(CUSTOM)["$defs"][level]["properties"].items():
            for place in places:
                path = f"{place}.customProperties[{name}]"
                found |= {path, *keys(schema, schema, path)}
    return found


def test_every_key_of_every_schema_has_its_clause():
    """Whatever the vendored schemas and ours let an author write, the table says what becomes of it."""
    assert [key for key in sorted(standard_keys() | own_keys()) if lookup(key) is None] == []


def test_no_clause_is_left_over():
    """The table speaks of nothing that no schema knows."""
    known = standard_keys() | own_keys()
    wholes = {
        "contract.slaProperties[latency]",
        "contract.slaProperties[freshness]",
        "contract.slaProperties[frequency]",
        "contract.slaProperties[retention]",
        "contract.slaProperties[timeOfAvailability]",
        "contract.slaProperties[endOfSupport]",
        "contract.slaProperties[endOfLife]",
        "contract.slaProperties[generalAvailability]",
        "contract.slaProperties[availability]",
        "contract.slaProperties[timeToDetect]",
        "contract.slaProperties[timeToNotify]",
        "contract.slaProperties[timeToRepair]",
    }
    written = [key for key in table() if not key.startswith("*.") and key not in wholes]

    assert [key for key in written if key not in known and key.removesuffix("[]") not in known] == []
    everywhere = {key.split(".")[-1] for key in known}
    assert [key for key in table() if key.startswith("*.") and key.removeprefix("*.") not in everywhere] == []


def test_every_clause_has_a_state_and_a_reason():
    """Enforced, monitored or declared-only, and by what."""
    assert {clause.state for clause in table().values()} == {ENFORCED, MONITORED, DECLARED}
    assert [key for key, clause in table().items() if not clause.by] == []


def orders_of(root, changes=None):
    """Return the product of the sample, and the faults of the project."""
    project = load_project(write_project(root, changes))
    return next(p for p in project.products if p.name == "orders"), project.faults


def test_report_tells_every_clause_with_its_line(tmp_path):
    """Each key of each file is listed once, where it stands, with what becomes of it."""
    product, _ = orders_of(tmp_path)
    lines = report(product)
    by_place = {(line.path, line.place): line for line in lines}

    assert len(by_place) == len(lines)
    required = by_place[CONTRACT, "contract.schema[0].properties[0].required"]
    assert (required.state, required.line, required.clause) == (ENFORCED, 29, "contract.schema[].properties[].required")
    assert by_place[CONTRACT, "contract.schema[0].properties[2].quality[0]"].state == MONITORED
    assert by_place[CONTRACT, "contract.slaProperties[0]"].state == MONITORED
    assert by_place[PRODUCT, "product.customProperties[tier]"].line == 29
    assert by_place[PRODUCT, "product.description.purpose"].informative
    assert {line.path for line in lines} == {
        name for name in FILES if name.startswith(ORDERS) and name.endswith("yaml")
    }
    assert not [line for line in lines if line.is_open]


def test_share_counts_promises_alone(tmp_path):
    """Two of the sample's promises are monitored only, and text counts for nothing."""
    product, _ = orders_of(tmp_path)
    counted = [line for line in report(product) if not line.informative]
    missing = [line.clause for line in counted if line.state != ENFORCED]

    assert missing == [
        "contract.schema[].customProperties[validThru]",
        "contract.schema[].properties[].quality[]",
        "contract.slaProperties[]",
    ]
    assert share_enforced(counted) == (len(counted) - 3) / len(counted)
    assert share_enforced([]) == 1.0


@pytest.mark.parametrize(
    ("old", "new", "clause", "line"),
    [
        ("slaProperties:\n", ERRORS, "contract.slaProperties[]", 65),
        ("slaProperties:\n", ROLES, "contract.roles", 64),
        (
            "    quality:\n      - metric: rowCount",
            "    quality:\n      - {type: text, description: All is well.}\n      - metric: rowCount",
            "contract.schema[].quality[]",
            58,
        ),
        (
            "logicalTypeOptions: {minimum: 0, maximum: 10000}",
            "encryptedName: amount_x",
            "contract.schema[].properties[].encryptedName",
            44,
        ),
    ],
)
def test_active_products_keep_what_they_promise(tmp_path, old, new, clause, line):
    """A promise that nothing keeps is a fault of an active product, at its line; a draft may make it."""
    changes = edited(CONTRACT, old, new)
    _, said = orders_of(tmp_path / "a", changes)
    draft = edited(PRODUCT, "status: active", "status: draft")

    assert [(f.path, f.line, clause in f.what) for f in said] == [(CONTRACT, line, True)], [str(f) for f in said]
    assert orders_of(tmp_path / "b", changes | draft)[1] == ()


@pytest.mark.parametrize("name", ["contract.roles", "contract.slaProperties[]", "contract.slaProperties[0]"])
def test_waivers(tmp_path, name):
    """A waiver by clause or by place holds until the end of its last day."""
    change = ROLES if name == "contract.roles" else ERRORS
    waivers = (
        "  - property: waivers\n    value:\n"
        f"      - {{clause: '{name}', reason: Nobody has asked for it yet., expires: 2024-06-30}}\n  - property: tier\n"
    )
    changes = edited(CONTRACT, "slaProperties:\n", change) | edited(PRODUCT, "  - property: tier\n", waivers)
    product, _ = orders_of(tmp_path, changes)

    assert faults(product, as_of=date(2024, 6, 30)) == ()
    assert [line.waived for line in report(product, as_of=date(2024, 6, 30)) if line.place == name] in ([True], [])
    (late,) = faults(product, as_of=date(2024, 7, 1))
    assert "its waiver expired on 2024-06-30" in late.what


def test_idle_waivers_are_refused(tmp_path):
    """A waiver that covers nothing is misspelt or no longer needed, and one of everything covers nothing."""
    for name in ("contract.role", "contract", "contract.schema[].properties[].required"):
        waiver = (
            f"  - property: waivers\n    value: [{{clause: '{name}', reason: Because., expires: 2999-01-01}}]\n"
            "  - property: tier\n"
        )
        _, said = orders_of(tmp_path / name, edited(PRODUCT, "  - property: tier\n", waiver))
        assert [(f.path, f.line, "covers no declared-only clause" in f.what) for f in said] == [(PRODUCT, 30, True)]
