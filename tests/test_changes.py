"""Changes between two states of declarations are graded as the documentation says, whatever anybody changes."""

from __future__ import annotations

import random
import re
import shutil
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproducts.changes.compare import compare
from dataproducts.changes.derive import FED
from dataproducts.changes.flatten import flatten
from dataproducts.changes.grading import row_of, rows, table
from dataproducts.changes.model import Bump, Grade
from dataproducts.changes.orders import ORDERS
from dataproducts.changes.orders import compare as steps_of
from dataproducts.changes.pair import changes
from dataproducts.changes.states import read_state
from dataproducts.changes.steps import LESS, MORE
from dataproducts.changes.versions import bump, least
from dataproducts.changes.widths import holds
from dataproducts.declare.clause_table import table as clause_table
from dataproducts.declare.positions import parse_yaml
from dataproducts.product import Operator

if TYPE_CHECKING:
    from collections.abc import Callable

    from dataproducts.changes.model import Report

PAIRS = Path(__file__).parent / "changes"
BASE = PAIRS / "base"
TODAY = date(2026, 11, 21)
ORDERS_FILE = BASE / "contracts/orders.odcs.yaml"


def edited(folder: Path, edits: list[dict[str, str]]) -> Path:
    """Copy the base to `folder` and make edits, each of text that stands there once."""
    shutil.copytree(BASE, folder)
    for edit in edits:
        file = folder / edit["file"]
        text = file.read_text(encoding="utf-8")
        assert 1 == text.count(edit["from"]), edit
        file.write_text(text.replace(edit["from"], edit["to"]), encoding="utf-8")
    return folder


def change(tmp_path: Path, *edits: tuple[str, str, str]) -> Report:
    """Compare the base with the base after `edits` of (file, from, to)."""
    head = edited(tmp_path / "head", [dict(zip(("file", "from", "to"), edit, strict=True)) for edit in edits])
    return compare(read_state(BASE), read_state(head), as_of=TODAY)


def kinds(report: Report) -> list[str]:
    """Return the kinds of all changes, sorted."""
    return sorted(change.kind for one in report.graded for change in one.changes)


@pytest.mark.parametrize("path", sorted(PAIRS.glob("*.yaml")), ids=lambda path: path.stem)
def test_pair_is_graded_as_written(path: Path, tmp_path: Path) -> None:
    """Each pair has the grade, the kinds of change and the version that it says, and is refused unless nothing is."""
    pair = yaml.safe_load(path.read_text(encoding="utf-8"))
    head = edited(tmp_path / "head", pair["edits"])
    report = compare(read_state(BASE), read_state(head), as_of=TODAY)
    assert sorted(pair["kinds"]) == kinds(report)
    assert pair["grade"] == report.grade
    assert bool(pair["kinds"]) == report.is_refused
    asked = {one.asked for one in report.graded if one.changes}
    assert (asked or {None}) == {pair["asks"]}
    back = compare(read_state(head), read_state(BASE), as_of=TODAY)
    assert bool(pair["kinds"]) == bool(kinds(back)), "what changed one way changed the other way too"


def test_there_are_forty_pairs_of_every_grade() -> None:
    """At least forty pairs, and at least eight of each grade."""
    pairs = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in PAIRS.glob("*.yaml")]
    assert len(pairs) >= 40
    assert all(sum(pair["grade"] == grade for pair in pairs) >= 8 for grade in Grade)


def test_every_clause_of_the_standards_is_graded() -> None:
    """No key of ODCS, ODPS or design.yaml falls through to the last row of the table."""
    made = {f"{path.rpartition('.')[0]}.{key}" for path, keys in FED.items() for key in keys}
    made |= {path.replace("schema[].quality", "schema[].properties[].quality") for path in made}
    wholes = {path for path, row in table().items() if row.order != "item"}
    missed = []
    for clause in clause_table():
        path = re.sub(r"slaProperties\[\w+\]$", "slaProperties[]", clause)
        inside = any(path == whole or path.startswith((f"{whole}.", f"{whole}[")) for whole in wholes)
        if not inside and path not in made and row_of(path) is table()["*"] and not _is_structure(path):
            missed.append(clause)
    assert [] == missed


def _is_structure(clause: str) -> bool:
    """Whether a key only holds others, or is no declaration of a promise to readers (unit tests)."""
    entry = clause_table().get(clause)
    inside = any(path.startswith((f"{clause}.", f"{clause}[")) for path in table())
    return bool(entry and entry.kind == "structure") or clause.startswith(("tests", "*.")) or inside


def test_nothing_changed_is_no_change() -> None:
    """A state compared with itself has no change: reflexive, over every file of the base."""
    report = compare(read_state(BASE), read_state(BASE), as_of=TODAY)
    assert ((), (), ()) == (report.graded, report.faults, report.warnings)


# --- properties -----------------------------------------------------------------------------------------------------

_THRESHOLDS = st.builds(
    lambda operator, values, unit: {"operator": operator, "values": sorted(values), "unit": unit},
    st.sampled_from(list(Operator)),
    st.lists(st.integers(-5, 5), min_size=2, max_size=2),
    st.sampled_from(["rows", "percent"]),
)
_NUMBERS = st.none() | st.integers(-9, 9) | st.floats(-9, 9)
_ORDERED = {
    "truth": st.booleans(),
    "floor": _NUMBERS,
    "ceiling": _NUMBERS,
    "lower": st.none() | st.tuples(st.integers(-3, 3), st.booleans()),
    "upper": st.none() | st.tuples(st.integers(-3, 3), st.booleans()),
    "allowed": st.none() | st.lists(st.sampled_from("abcd"), unique=True),
    "members": st.lists(st.sampled_from("abcd"), unique=True),
    "key": st.none() | st.lists(st.sampled_from("abc"), unique=True, min_size=1),
    "multiple": st.none() | st.sampled_from([0.1, 0.5, 1, 2, 3, 6]),
    "classification": st.none() | st.sampled_from(["public", "internal", "personal", "confidential", "restricted"]),
    "tier": st.none() | st.sampled_from(["gold", "silver", "bronze"]),
    "enforcement": st.sampled_from(["info", "warning", "error", "error, blocking"]),
    "type": st.sampled_from(
        [(name, name) for name in ("INTEGER", "BIGINT", "UTINYINT", "DECIMAL(9,2)", "DECIMAL(12,2)", "DECIMAL(9,3)")]
        + [(name, name) for name in ("FLOAT", "DOUBLE", "VARCHAR", "VARCHAR(9)", "DATE", "INTEGER[]", "BIGINT[]")]
    ),
    "threshold": st.none() | _THRESHOLDS,
    "begins": st.none() | st.dates().map(str),
    "ends": st.none() | st.dates().map(str),
    "window": st.none() | st.sampled_from(["28d", "4w", "7d", "10d", "1d", "month", "quarter", "soon"]),
    "limit": st.none() | st.sampled_from(["5 %", "6 %", "20 rows", "30 rows"]),
    "duration": st.none() | st.sampled_from(["26h", "90 min", "2 d", 1.5, 2]),
    "sla": st.none()
    | st.builds(
        lambda value, unit: {"property": "latency", "value": value, "unit": unit, "valueExt": None},
        st.integers(1, 50),
        st.sampled_from(["h", "d", "percent"]),
    ),
}


@pytest.mark.parametrize("order", sorted(_ORDERED))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_what_promises_less_one_way_promises_more_the_other(order: str, data: st.DataObject) -> None:
    """Of every order: as many steps lead down one way as lead up the other, and none leads anywhere from itself."""
    before, after = data.draw(_ORDERED[order]), data.draw(_ORDERED[order])
    there = [step.sign for step in steps_of(order, before, after)]
    back = [step.sign for step in steps_of(order, after, before)]
    turned = {MORE: LESS, LESS: MORE}
    assert sorted(turned.get(sign, sign) for sign in there) == sorted(back)
    assert () == steps_of(order, before, before)


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("BIGINT", "INTEGER", True),
        ("INTEGER", "BIGINT", False),
        ("INTEGER", "USMALLINT", True),
        ("UINTEGER", "SMALLINT", False),
        ("DECIMAL(12,3)", "DECIMAL(10,2)", True),
        ("DECIMAL(12,4)", "DECIMAL(10,1)", False),
        ("DOUBLE", "FLOAT", True),
        ("DOUBLE", "INTEGER", False),
        ("VARCHAR", "VARCHAR(10)", True),
        ("VARCHAR(9)", "VARCHAR(10)", False),
        ("VARCHAR", "DATE", False),
        ("TIMESTAMP", "TIMESTAMP_MS", True),
        ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP", False),
        ("BIGINT[]", "INTEGER[]", True),
        ("BIGINT[]", "INTEGER", False),
        ("STRUCT(a INTEGER)", "STRUCT(a INTEGER)", True),
    ],
)
def test_which_type_holds_which(wide: str, narrow: str, *, expected: bool) -> None:
    """Within a family the wider type holds the narrower one; across families neither holds the other."""
    assert expected is holds(wide, narrow)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), root=st.sampled_from(["contract", "product", "slo", "access", "semantic", "design"]))
def test_whatever_stands_in_a_file_is_graded(seed: int, root: str) -> None:
    """Random mutations of any file give changes and no traceback; none where the mutant is the original."""
    name = "contracts/orders.odcs.yaml" if root == "contract" else f"{root}.yaml"
    text = (BASE / name).read_text(encoding="utf-8")
    chance = random.Random(seed)
    data = yaml.safe_load(text)
    for _ in range(chance.randint(1, 4)):
        mutate(data, chance)
    mutant = parse_yaml(yaml.safe_dump(data, allow_unicode=True), name)
    before, after = flatten(parse_yaml(text, name), root), flatten(mutant, root)
    for found in (changes(before, after), changes(after, before)):
        assert all(isinstance(change.before + change.after + change.why, str) for change in found)
        assert all("@shop.example" not in change.before + change.after for change in found if change.column == "email")
    assert () == changes(after, after)


def mutate(data: Any, chance: random.Random) -> None:
    """Put something else in one place of `data`, take it away, repeat it or turn its neighbours round."""
    spot = data
    while isinstance(spot, dict | list) and spot and chance.random() < 0.8:
        inner = chance.choice([*(spot.values() if isinstance(spot, dict) else spot)])
        if not isinstance(inner, dict | list) or not inner:
            break
        spot = inner
    if not spot:
        return
    at = chance.choice(list(spot) if isinstance(spot, dict) else range(len(spot)))
    strange = [None, True, -1, 1e308, "", "ö\u2028", [], {}, [1, None], {"a": [{}]}, "2024-02-30", 10**30, float("nan")]
    match chance.randint(0, 3):
        case 0:
            del spot[at]
        case 1 if isinstance(spot, list):
            spot.append(spot[at])
        case 2 if isinstance(spot, list):
            spot.reverse()
        case _:
            spot[at] = chance.choice(strange)


# --- what is shown --------------------------------------------------------------------------------------------------


def test_values_of_classified_columns_are_never_shown(tmp_path: Path) -> None:
    """Examples, allowed values and lengths of a personal column show as ***, even if only one side is classified."""
    report = change(
        tmp_path,
        ("contracts/orders.odcs.yaml", "examples: [ana@shop.example]", "examples: [eve@shop.example]"),
        ("contracts/orders.odcs.yaml", "[ana@shop.example, bo@shop.example]", "[ana@shop.example]"),
        ("contracts/orders.odcs.yaml", "classification: personal", "classification: public"),
    )
    said = repr(report)
    assert "@shop.example" not in said
    assert {"***"} == {
        c.before for one in report.graded for c in one.changes if c.kind in ("examples_changed", "enum_narrowed")
    }
    assert ["classification_lowered", "enum_narrowed", "examples_changed"] == kinds(report)


def test_a_change_says_where_it_is_now(tmp_path: Path) -> None:
    """A change points at its new line; what is gone from an entry at the entry, an entry at its old line."""
    report = change(
        tmp_path,
        ("contracts/orders.odcs.yaml", "apiVersion: v3.2.0\n", "# one line more\napiVersion: v3.2.0\n"),
        ("contracts/orders.odcs.yaml", "        unique: true\n", ""),
        ("contracts/orders.odcs.yaml", "value: 24, unit: h", "value: 48, unit: h"),
        ("contracts/orders.odcs.yaml", "roles:\n  - {role: planner, access: read}\n", ""),
    )
    head = (tmp_path / "head/contracts/orders.odcs.yaml").read_text(encoding="utf-8").splitlines()
    found = {c.kind: c.mark.line for one in report.graded for c in one.changes}
    assert "name: order_id" in head[found["unique_removed"] - 1]
    assert "value: 48" in head[found["sla_loosened"] - 1]
    assert "role: planner" in ORDERS_FILE.read_text(encoding="utf-8").splitlines()[found["role_removed"] - 1]


# --- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ("1.2.3", "1.2.3", Bump.NONE),
        ("1.2.3", "1.2.4", Bump.PATCH),
        ("1.2.3", "1.3.0", Bump.MINOR),
        ("1.2.3", "v2.0.0", Bump.MAJOR),
        ("1.2.3", "1.1.9", Bump.BACK),
        ("2.0.0-rc1", "2.0.0", Bump.PATCH),
        ("1.9", "1.10", Bump.MINOR),
        ("", "1.0.0", Bump.MAJOR),
        ("latest", "latest", Bump.NONE),
    ],
)
def test_how_far_a_version_moved(before: str, after: str, moved: Bump) -> None:
    """The highest number that moved counts, as numbers and not as text."""
    assert moved is bump(before, after)


def test_below_one_each_number_stands_for_the_one_before() -> None:
    """What breaks 0.3.1 asks for 0.4.0, what breaks 1.3.1 for 2.0.0."""
    assert ("0.4.0", "0.3.2", "0.3.2") == tuple(least("0.3.1", grade) for grade in Grade)
    assert ("2.0.0", "1.4.0", "1.3.2") == tuple(least("1.3.1", grade) for grade in Grade)


def test_too_small_a_step_is_a_fault_with_its_line(tmp_path: Path) -> None:
    """A breaking change under a minor version is refused for contract and product, each at its version's line."""
    report = change(
        tmp_path,
        ("contracts/orders.odcs.yaml", "        unique: true\n", ""),
        ("contracts/orders.odcs.yaml", "version: 1.4.0", "version: 1.5.0"),
        ("product.yaml", "version: 1.4.0\nstatus", "version: 1.5.0\nstatus"),
    )
    assert [("contracts/orders.odcs.yaml", 5), ("product.yaml", 6)] == [(f.path, f.line) for f in report.faults]
    assert all("went from 1.4.0 to 1.5.0" in fault.what and "2.0.0" in fault.fix for fault in report.faults)


def test_far_enough_a_step_is_accepted(tmp_path: Path) -> None:
    """An additive change under a minor version of contract and product is not refused; a major one will do as well."""
    report = change(
        tmp_path,
        ("contracts/orders.odcs.yaml", "required: false", "required: true"),
        ("contracts/orders.odcs.yaml", "version: 1.4.0", "version: 1.5.0"),
        ("product.yaml", "version: 1.4.0\nstatus", "version: 1.5.0\nstatus"),
    )
    assert (Grade.ADDITIVE, ()) == (report.grade, report.faults)


def test_a_version_that_goes_back_is_a_fault(tmp_path: Path) -> None:
    """Even if nothing else changed."""
    report = change(tmp_path, ("contracts/orders.odcs.yaml", "version: 1.4.0", "version: 1.3.9"))
    assert ["the version of contract shop.orders.orders went back from 1.4.0 to 1.3.9"] == [
        f.what for f in report.faults
    ]


def test_a_draft_that_nobody_reads_may_break(tmp_path: Path) -> None:
    """A draft's breaking change is graded and warned of, and not refused."""
    base = edited(tmp_path / "base", [{"file": "product.yaml", "from": "status: active", "to": "status: draft"}])
    head = tmp_path / "head"
    shutil.copytree(base, head)
    file = head / "contracts/orders.odcs.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("        unique: true\n", ""), encoding="utf-8")
    report = compare(read_state(base), read_state(head), as_of=TODAY)
    assert (Grade.BREAKING, False) == (report.grade, report.is_refused)
    assert all("draft" in warning.fix for warning in report.warnings)


# --- majors side by side --------------------------------------------------------------------------------------------


def project(root: Path, name: str = "orders", *, version: str = "1.4.0", sunset: str = "") -> Path:
    """Put the base product into the project at `root`, in the folder `name`, as `version`."""
    folder = root / "assets/shop" / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(BASE, folder)
    file = folder / "product.yaml"
    text = file.read_text(encoding="utf-8").replace("version: 1.4.0\nstatus", f"version: {version}\nstatus")
    file.write_text(text.replace("2030-06-30", sunset or "2030-06-30"), encoding="utf-8")
    for contract in (folder / "contracts").iterdir():
        text = contract.read_text(encoding="utf-8").replace("version: 1.4.0", f"version: {version}")
        contract.write_text(text.replace("id: shop.orders", f"id: shop.{name}"), encoding="utf-8")
    text = file.read_text(encoding="utf-8").replace("shop.orders.orders", f"shop.{name}.orders")
    file.write_text(text.replace("version: 1.4.0, desc", f"version: {version}, desc"), encoding="utf-8")
    return root


def compared(base: Path, head: Path, *, as_of: date = TODAY) -> Report:
    """Compare two projects."""
    return compare(read_state(base), read_state(head), as_of=as_of)


def test_a_new_major_may_run_beside_the_old_one(tmp_path: Path) -> None:
    """A folder orders_v2 beside orders is one product more: nobody is cut off, nothing is refused or warned of."""
    base, head = project(tmp_path / "base"), project(tmp_path / "head")
    project(head, "orders_v2", version="2.0.0")
    report = compared(base, head)
    assert (["product_added"], Grade.ADDITIVE, (), ()) == (kinds(report), report.grade, report.faults, report.warnings)
    assert ["shop/orders@v2"] == [one.name for one in report.graded]


def test_a_new_major_in_the_place_of_the_old_one_is_warned_of(tmp_path: Path) -> None:
    """The old version is gone before the sunset that its readers were told: no refusal, but a warning."""
    report = compared(project(tmp_path / "base"), project(tmp_path / "head", version="2.0.0"))
    assert ["major_replaced", "port_added", "port_removed"] == kinds(report)
    assert () == report.faults
    (warning,) = report.warnings
    assert ("assets/shop/orders/product.yaml", 6) == (warning.path, warning.line)
    assert "gone before its end: readers were told 2030-06-30" in warning.what


def test_the_older_of_two_majors_that_goes_too_early_is_warned_of(tmp_path: Path) -> None:
    """Where the new major is there already, deleting the old one before its sunset is told and not refused."""
    base, head = project(tmp_path / "base"), tmp_path / "head"
    for root in (base, head):
        project(root, "orders_v2", version="2.0.0")
    report = compared(base, head)
    assert (["product_removed"], ()) == (kinds(report), report.faults)
    assert ["shop/orders is gone before its end: readers were told 2030-06-30"] == [w.what for w in report.warnings]


def test_a_product_may_be_retired_after_its_sunset_and_not_before(tmp_path: Path) -> None:
    """The status `retired` breaks what was promised until the sunset, and nothing after it."""
    base, head = project(tmp_path / "base", sunset="2026-06-30"), project(tmp_path / "head", sunset="2026-06-30")
    file = head / "assets/shop/orders/product.yaml"
    text = file.read_text(encoding="utf-8").replace("status: active", "status: retired")
    file.write_text(text.replace("version: 1.4.0\nstatus", "version: 1.4.1\nstatus"), encoding="utf-8")
    after, before = compared(base, head), compared(base, head, as_of=date(2026, 6, 30))
    assert (["retired"], False) == (kinds(after), after.is_refused)
    assert (["status_lowered"], True) == (kinds(before), before.is_refused)


def test_a_table_under_another_name_is_the_same_contract(tmp_path: Path) -> None:
    """A contract's file that was renamed is recognised by its id, and what else changed in it is told too."""
    head = edited(tmp_path / "head", [])
    text = ORDERS_FILE.read_text(encoding="utf-8").replace("- name: orders", "- name: sales")
    (head / "contracts/sales.odcs.yaml").write_text(text.replace("        unique: true\n", ""), encoding="utf-8")
    (head / "contracts/orders.odcs.yaml").unlink()
    (head / "transforms/orders.sql").rename(head / "transforms/sales.sql")
    assert ["table_renamed", "unique_removed"] == kinds(compare(read_state(BASE), read_state(head), as_of=TODAY))


def test_definitions_inside_a_table_are_entries_of_their_own(tmp_path: Path) -> None:
    """A measure more within a table of semantic.yaml is additive, another expression of one is breaking."""
    inside = "tables:\n  - name: orders\n    measures:\n      - {name: revenue, expression: sum(amount)}\n"
    states = []
    for name, text in (
        ("base", inside),
        ("more", f"{inside}      - {{name: orders, expression: count(*)}}\n"),
        ("other", inside.replace("sum", "max")),
    ):
        (edited(tmp_path / name, []) / "semantic.yaml").write_text(text, encoding="utf-8")
        states.append(read_state(tmp_path / name))
    found = [kinds(compare(states[0], state, as_of=TODAY)) for state in states[1:]]
    assert [["definition_added"], ["definition_changed"]] == found


def test_what_a_server_or_a_rule_holds_is_not_repeated(tmp_path: Path) -> None:
    """A password in `servers`, a name in a query or in an argument, is in no text of a change."""
    base = edited(tmp_path / "base", [])
    file = base / "contracts/orders.odcs.yaml"
    servers = (
        "servers:\n  - {server: till, type: local, path: 'postgres://till:geheim@host/db', format: csv}\nschema:\n"
    )
    text = file.read_text(encoding="utf-8").replace("schema:\n", servers, 1)
    file.write_text(text.replace("state = 'paid'", "email = 'ana@shop.example'"), encoding="utf-8")
    said = repr(compare(read_state(base), read_state(BASE), as_of=TODAY).graded)
    assert "source_changed" in said
    assert not {"geheim", "ana@shop.example"} & set(re.findall(r"geheim|ana@shop\.example", said))


def test_after_its_sunset_a_product_may_go(tmp_path: Path) -> None:
    """On the day after the sunset nothing is broken; on the sunset itself the product is still promised."""
    base, head = project(tmp_path / "base", sunset="2026-11-20"), tmp_path / "head"
    (head / "assets").mkdir(parents=True)
    after = compared(base, head)
    assert (["product_retired"], Grade.NEUTRAL, ()) == (kinds(after), after.grade, after.faults)
    on_the_day = compared(base, head, as_of=date(2026, 11, 20))
    assert (["product_removed"], True) == (kinds(on_the_day), on_the_day.is_refused)


def test_a_port_may_go_after_its_contracts_end_of_life(tmp_path: Path) -> None:
    """The contract's own end counts where it comes first: port and contract retire, and nothing breaks."""
    base = edited(tmp_path / "base", [])
    file = base / "contracts/orders.odcs.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(
        text.replace('endOfSupport, value: "2030-01-31"', 'endOfLife, value: "2026-01-31"'), encoding="utf-8"
    )
    head = tmp_path / "head"
    shutil.copytree(base, head)
    (head / "contracts/orders.odcs.yaml").unlink()
    descriptor = (head / "product.yaml").read_text(encoding="utf-8")
    ports = re.sub(r"outputPorts:\n  - .*\n", "outputPorts: []\n", descriptor)
    (head / "product.yaml").write_text(ports.replace("version: 1.4.0", "version: 1.4.1"), encoding="utf-8")
    report = compare(read_state(base), read_state(head), as_of=TODAY)
    assert (["contract_retired", "port_retired"], ()) == (kinds(report), report.faults)


def test_a_second_major_of_one_port_is_offered_beside_the_first(tmp_path: Path) -> None:
    """Within one product, a new contract under a port of the same name and the next major is additive."""
    head = edited(tmp_path / "head", [])
    contract = ORDERS_FILE.read_text(encoding="utf-8").replace("shop.orders.orders", "shop.orders.orders_v2")
    contract = contract.replace("- name: orders", "- name: orders_v2").replace("version: 1.4.0", "version: 2.0.0")
    (head / "contracts/orders_v2.odcs.yaml").write_text(
        contract.replace("unique: true", "unique: false"), encoding="utf-8"
    )
    file = head / "product.yaml"
    port = "  - {name: orders, version: 2.0.0, type: table, contractId: shop.orders.orders_v2}\nsupport:"
    text = file.read_text(encoding="utf-8").replace("support:", port).replace("1.4.0\nstatus", "1.5.0\nstatus")
    file.write_text(text, encoding="utf-8")
    report = compare(read_state(BASE), read_state(head), as_of=TODAY)
    assert (["contract_added", "port_added"], (), ()) == (kinds(report), report.faults, report.warnings)


# --- ends that nobody was told of -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "kind"),
    [("2020-01-01", "end_moved_earlier"), ("2026-11-21", "end_moved_earlier"), ("2026-11-22", "end_announced")],
)
def test_an_end_is_announced_before_it_comes(tmp_path: Path, end: str, kind: str) -> None:
    """A first sunset, or end of life, on the day of the comparison or before it breaks: nobody was told in time."""
    base = edited(
        tmp_path / "base",
        [{"file": "product.yaml", "from": '  - {property: sunsetDate, value: "2030-06-30"}\n', "to": ""}],
    )
    head = tmp_path / "head"
    for name, before, after in (
        ("product.yaml", "customProperties:\n", f"customProperties:\n  - {{property: sunsetDate, value: '{end}'}}\n"),
        ("contracts/orders.odcs.yaml", "roles:\n", f"  - {{property: endOfLife, value: '{end}T08:00:00Z'}}\nroles:\n"),
        ("contracts/states.odcs.yaml", "schema:\n", f"slaProperties: [{{property: el, value: '{end}'}}]\nschema:\n"),
    ):
        shutil.copytree(base, head, dirs_exist_ok=True)
        text = (base / name).read_text(encoding="utf-8")
        (head / name).write_text(text.replace(before, after, 1), encoding="utf-8")
        report = compare(read_state(base), read_state(head), as_of=TODAY)
        if name.endswith("states.odcs.yaml"):  # nobody reads it
            assert Grade.NEUTRAL == report.grade
        else:
            assert [kind] == kinds(report), name


def test_a_product_whose_descriptor_is_deleted_is_gone(tmp_path: Path) -> None:
    """Contracts without a product.yaml offer no port: the product is removed, whatever stays in its folder."""
    base, head = project(tmp_path / "base"), project(tmp_path / "head")
    (head / "assets/shop/orders/product.yaml").unlink()
    report = compared(base, head)
    assert (["product_removed"], True) == (kinds(report), report.is_refused)
    alone = compare(
        read_state(base / "assets/shop/orders"), read_state(head / "assets/shop/orders"), as_of=date(2026, 1, 1)
    )
    assert (["product_removed"], True) == (kinds(alone), alone.is_refused)


# --- files without a format of their own ----------------------------------------------------------------------------


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9), root=st.sampled_from(["access", "semantic"]))
def test_whatever_changes_in_access_and_semantic_is_told_as_something_to_look_at(seed: int, root: str) -> None:
    """A change of either file is breaking, additive or one of meaning, unless it is one of the words that are known."""
    text = (BASE / f"{root}.yaml").read_text(encoding="utf-8")
    chance = random.Random(seed)
    data = yaml.safe_load(text)
    key = chance.choice(["tags", "id", "kind", "version", "purpose", "context", "allow", "where", "customProperties"])
    value = chance.choice([[], {}, ["a"], "x", 0, False, [{"property": "a", "value": 1}], ["a", {"name": "b"}]])
    inside = chance.choice([data, *(entry for inner in data.values() for entry in inner)])
    inside[key] = value
    name = f"{root}.yaml"
    before, after = flatten(parse_yaml(text, name), root), flatten(parse_yaml(yaml.safe_dump(data), name), root)
    for found in (changes(before, after), changes(after, before)):
        assert found
        assert any(one.grade is not Grade.NEUTRAL or one.changes_meaning for one in found)


def test_grants_in_another_form_are_told(tmp_path: Path) -> None:
    """A grant that is a bare name among others, another order of masks, or an emptied list is no silent change."""
    for number, (before, after) in enumerate(
        (
            ("grants:\n", "grants:\n  - intern\n"),
            ("masks:\n", "masks:\n  - {classification: restricted, mask: keep}\n"),
            ("masks:\n  - {classification: personal, mask: hash}\n", "masks: []\n"),
        )
    ):
        head = edited(tmp_path / str(number), [{"file": "access.yaml", "from": before, "to": after}])
        assert Grade.BREAKING is compare(read_state(BASE), read_state(head), as_of=TODAY).grade, after


# --- files that cannot be read --------------------------------------------------------------------------------------


def test_what_cannot_be_read_is_told_and_not_taken_for_removed(tmp_path: Path) -> None:
    """A file that is no YAML now is a fault; one that was none then is a warning; neither counts as come or gone."""
    head = edited(tmp_path / "head", [])
    (head / "contracts/orders.odcs.yaml").write_text("a: [", encoding="utf-8")
    now = compare(read_state(BASE), read_state(head), as_of=TODAY)
    assert ([], ["contracts/orders.odcs.yaml"]) == (kinds(now), [fault.path for fault in now.faults])
    then = compare(read_state(head), read_state(BASE), as_of=TODAY)
    assert ([], ["contracts/orders.odcs.yaml"]) == (kinds(then), [warning.path for warning in then.warnings])
    assert () == then.faults


def test_files_that_hold_anything_but_a_mapping(tmp_path: Path) -> None:
    """A list, a number or nothing at all where a declaration should be is compared without a traceback."""
    for content in ("- a\n", "7\n", "", "null\n"):
        head = edited(tmp_path / f"head{len(list(tmp_path.iterdir()))}", [])
        for name in ("product.yaml", "slo.yaml", "contracts/states.odcs.yaml"):
            (head / name).write_text(content, encoding="utf-8")
        assert compare(read_state(BASE), read_state(head), as_of=TODAY)
        assert compare(read_state(head), read_state(BASE), as_of=TODAY)


def test_the_grading_table_names_each_path_once() -> None:
    """No second row of a path, which nobody would ever reach, and no order without a row."""
    paths = [path for row in rows() for path in row.paths]
    assert len(paths) == len(set(paths))
    assert set(ORDERS) == {row.order for row in rows()}


# --- the page -------------------------------------------------------------------------------------------------------

_SECTIONS = {
    "file": "Files",
    "contract": "Contracts",
    "product": "product.yaml",
    "slo": "slo.yaml",
    "access": "access.yaml",
    "semantic": "semantic.yaml",
    "design": "design.yaml",
    "*": "Everywhere",
}


def _grading_page() -> str:
    """Return the grading table as the page has it, by file."""
    found: dict[str, list[str]] = {title: [] for title in _SECTIONS.values()}
    for row in rows():
        root = row.paths[0].partition(".")[0]
        for step in row.steps.values():
            grade = f"{step.grade}{'*' if step.changes_meaning else ''}"
            found[_SECTIONS[root]].append(f"| `{row.written}` | `{step.kind}` | {grade} | {step.why} |")
    heading = "| clause | change | grade | why |\n|---|---|---|---|\n"
    return "\n\n".join(f"### {title}\n\n{heading}" + "\n".join(lines) for title, lines in found.items())


def _made_page() -> str:
    """Return the clauses that are made of several keys as the page has them."""
    lines = [f"| `{path}` | {', '.join(f'`{key}`' for key in keys)} |" for path, keys in FED.items()]
    return "| clause | made of |\n|---|---|\n" + "\n".join(lines)


@pytest.mark.parametrize(("name", "page"), [("grading table", _grading_page), ("made clauses", _made_page)])
def test_page_has_the_tables_of_the_code(name: str, page: Callable[[], str], pytestconfig: pytest.Config) -> None:
    """What docs/changes.md says of grades is what the code does, to the letter; `--golden` writes it anew."""
    file = Path(__file__).parents[1] / "docs/changes.md"
    text = file.read_text(encoding="utf-8")
    between = re.compile(rf"(<!-- {name}: .*? -->\n)(.*?)(<!-- end of the {name} -->)", re.DOTALL)
    wanted = f"\n{page()}\n\n"
    if pytestconfig.getoption("--golden"):
        file.write_text(between.sub(lambda found: f"{found[1]}{wanted}{found[3]}", text), encoding="utf-8")
        return
    found = between.search(text)
    assert found is not None
    assert wanted == found[2]
