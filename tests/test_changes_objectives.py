"""Objectives are compared as they are in force, whichever file they come from: none weaker passes for more."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from pathlib import Path

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dataproducts.changes.compare import compare
from dataproducts.changes.model import Grade
from dataproducts.changes.states import read_state
from tests.test_changes import BASE, TODAY, edited, kinds, mutate

GAPS = "{metric: nullValues,"


def promises(
    tmp_path: Path, before: str, after: str, *, contract: str = GAPS, ports: str = ""
) -> list[tuple[str, str, str]]:
    """Return kind, address and place of each change of the product from one slo.yaml to another.

    `contract` replaces how the rule on missing addresses begins, and `ports` the output ports, in the state after.
    """
    states = [edited(tmp_path / f"{name}{len(list(tmp_path.iterdir()))}", []) for name in ("base", "head")]
    for folder, slo in zip(states, (before, after), strict=True):
        (folder / "slo.yaml").write_text(slo, encoding="utf-8")
    file, descriptor = states[1] / "contracts/orders.odcs.yaml", states[1] / "product.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace(GAPS, contract), encoding="utf-8")
    if ports:
        text = descriptor.read_text(encoding="utf-8")
        descriptor.write_text(re.sub(r"outputPorts:\n  - .*\n", ports, text), encoding="utf-8")
    report = compare(read_state(states[0]), read_state(states[1]), as_of=TODAY)
    found = [change for one in report.graded if one.of == "product" for change in one.changes]
    return [(change.kind, change.address, str(change.mark)) for change in found]


def test_an_objective_is_compared_with_the_default_that_it_replaces(tmp_path: Path) -> None:
    """Whichever file it comes from: a share of 0.5 instead of silver's 0.92 is less, 0.99 more, 0.92 the same."""
    own = "objectives:\n  - {{name: orders.latency, indicator: freshness, table: orders, target: {}}}\n"
    target = "objectives[orders.latency].target"
    weak = own.format(0.5)
    assert [("objective_loosened", target, "slo.yaml:2")] == promises(tmp_path, "{}\n", weak)
    assert [("objective_tightened", target, "slo.yaml:2")] == promises(tmp_path, "{}\n", own.format(0.99))
    assert [] == promises(tmp_path, "{}\n", own.format(0.92))
    contract = "contracts/orders.odcs.yaml:67"
    assert [("objective_tightened", target, contract)] == promises(tmp_path, weak, "{}\n")
    assert [("objective_loosened", target, contract)] == promises(tmp_path, own.format(0.99), "{}\n")


def test_a_window_and_a_limit_are_compared_with_those_of_the_default(tmp_path: Path) -> None:
    """Twelve hours are a stricter limit than the contract's 24, and what held over each week held over four."""
    own = "objectives:\n  - {name: orders.latency, indicator: freshness, table: orders, target: 0.92, at_most: 12h"
    limit, window = (f"objectives[orders.latency].{key}" for key in ("at_most", "window"))
    found = promises(tmp_path, "{}\n", f"{own}, window: 4w}}\n")
    assert [("objective_tightened", limit), ("objective_reworded", window)] == [change[:2] for change in found]
    found = promises(tmp_path, "{}\n", f"{own}, window: 7d}}\n")
    assert {("objective_tightened", limit), ("objective_tightened", window)} == {change[:2] for change in found}
    found = promises(tmp_path, "{}\n", f"{own}, window: 56d}}\n")
    assert [("objective_loosened", window), ("objective_tightened", limit)] == [change[:2] for change in found]


def test_a_default_whose_last_rule_is_ignored_is_gone(tmp_path: Path) -> None:
    """Of which rules nobody is told, no default counts; without any, it is gone, and that is told once, at its line."""
    ignore = "incidents:\n  ignore:\n    - {kind: check, table: orders, reason: Nobody is at the till at night.}\n"
    gone = [(f"objectives[orders.{name}]", "slo.yaml:3") for name in ("completeness", "uniqueness", "validity")]
    assert [("objective_removed", *one) for one in gone] == promises(tmp_path, "{}\n", ignore)
    found = promises(tmp_path, ignore, "{}\n")
    assert [("objective_added", address) for address, _ in gone] == sorted(change[:2] for change in found)
    assert [] == promises(tmp_path, ignore, ignore)


def test_a_default_that_was_dropped_or_ignored_is_told_once(tmp_path: Path) -> None:
    """Dropping a default is told as that; replacing or restoring it as what becomes of the objective."""
    drop = "defaults:\n  drop:\n    - {name: orders.latency, reason: Nobody asks how old they are.}\n"
    own = "objectives:\n  - {name: orders.latency, indicator: freshness, table: orders, target: 0.99}\n"
    assert ["default_dropped"] == [kind for kind, *_ in promises(tmp_path, "{}\n", drop)]
    assert ["default_restored"] == [kind for kind, *_ in promises(tmp_path, drop, "{}\n")]
    assert ["objective_removed"] == [kind for kind, *_ in promises(tmp_path, own, drop)]
    assert ["objective_added"] == [kind for kind, *_ in promises(tmp_path, drop, own)]


def test_a_rule_of_another_dimension_leaves_its_objective(tmp_path: Path) -> None:
    """Fewer rules count where it was, under whatever name it goes now, and more where it went."""
    line = "contracts/orders.odcs.yaml:39"
    lost = ("objective_loosened", "objectives[orders.completeness].counts", line)
    for name in ("", "name: few gaps, "):
        away = GAPS.replace("{", f"{{{name}dimension: accuracy, ")
        assert [lost] == promises(tmp_path, "{}\n", "{}\n", contract=away), name
    won = ("objective_tightened", "objectives[orders.validity].counts", line)
    found = promises(tmp_path, "{}\n", "{}\n", contract=GAPS.replace("{", "{dimension: validity, "))
    assert [lost, won] == found


def test_an_objective_of_fewer_rules_than_the_default_promises_less(tmp_path: Path) -> None:
    """An objective of the default's name that names one rule of several counts fewer."""
    own = "objectives:\n  - {{name: orders.completeness, indicator: completeness, table: orders, target: 1{}}}\n"
    found = promises(tmp_path, "{}\n", own.format(", rules: [order_id.required]"))
    assert {
        ("objective_loosened", "objectives[orders.completeness].counts", "slo.yaml:2"),
        ("objective_tightened", "objectives[orders.completeness].target", "slo.yaml:2"),
    } == set(found)
    assert ["objective_tightened"] == [kind for kind, *_ in promises(tmp_path, "{}\n", own.format(""))]


def test_what_the_contract_says_of_a_promise_is_not_told_again_of_its_objective(tmp_path: Path) -> None:
    """A rule that is gone, and a table that nobody is offered any more, are told where they are declared."""
    for contract in ("{name: few gaps, metric: nullValues,", "{type: text, description: none, metric: nullValues,"):
        assert [] == promises(tmp_path, "{}\n", "{}\n", contract=contract)
    found = promises(tmp_path, "{}\n", "{}\n", ports="outputPorts: []\n")
    assert ["port_removed"] == [kind for kind, *_ in found]


def test_objectives_of_a_table_that_nobody_reads_are_neutral(tmp_path: Path) -> None:
    """A weaker objective on a table without an output port is seen by nobody."""
    base = edited(tmp_path / "base", [])
    sla = "slaProperties:\n  - {property: timeToRepair, value: 4, unit: h}\n"
    file = base / "contracts/states.odcs.yaml"
    file.write_text(file.read_text(encoding="utf-8") + sla, encoding="utf-8")
    head = tmp_path / "head"
    shutil.copytree(base, head)
    own = "  - {name: states.time_to_repair, indicator: time_to_repair, table: states, target: 0.5}\n"
    (head / "slo.yaml").write_text((base / "slo.yaml").read_text(encoding="utf-8") + own, encoding="utf-8")
    report = compare(read_state(base), read_state(head), as_of=TODAY)
    assert (["objective_loosened"], Grade.NEUTRAL) == (kinds(report), report.grade)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_stands_in_the_files_of_a_product_is_compared(seed: int) -> None:
    """Random mutations of contract, product.yaml and slo.yaml compare without a traceback, and not with themselves."""
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = edited(Path(name) / "head", [])
        for path in ("product.yaml", "slo.yaml", "contracts/orders.odcs.yaml"):
            data = yaml.safe_load((folder / path).read_text(encoding="utf-8"))
            for _ in range(chance.randint(0, 3)):
                mutate(data, chance)
            (folder / path).write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
        base, head = read_state(BASE), read_state(folder)
        there, back = compare(base, head, as_of=TODAY), compare(head, base, as_of=TODAY)
        assert bool(kinds(there)) is bool(kinds(back)), "what changed one way changed the other way too"
        assert () == compare(head, head, as_of=TODAY).graded
