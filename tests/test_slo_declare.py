"""Objectives as contracts imply them and as `slo.yaml` declares them, and every way of declaring them wrongly."""

import copy
import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproducts import findings
from dataproducts.audit import AUDIT
from dataproducts.declare.clause_table import DECLARED, MONITORED, lookup
from dataproducts.declare.clauses import report
from dataproducts.declare.contract import read_tables
from dataproducts.declare.implied_objectives import SLAS as IMPLYING
from dataproducts.declare.implied_objectives import UNPROBED, imply_objectives
from dataproducts.declare.positions import Document, parse_yaml, read_yaml
from dataproducts.declare.slo import WORDS, read_objectives
from dataproducts.declare.standards import SLO, judge_by, read_schema
from dataproducts.finding import FindingKind
from dataproducts.lifecycle.reviews import SUNSET
from dataproducts.load import load_project
from dataproducts.objective import (
    MEANINGS,
    Category,
    Dropped,
    IndicatorKind,
    Objective,
    Spent,
    Trust,
    Unsubscription,
    Window,
)
from dataproducts.operations.transitions import REVIEW
from dataproducts.product import DataProduct, Layer, OutputPort, Severity, Sla, Status, Tier
from dataproducts.slo.findings import SCHEDULE as OF_SCHEDULE
from dataproducts.watch import OBJECTIVES
from tests.pages import blocks, pages
from tests.sample_project import ORDERS, edited, write_project

ROOT = Path(__file__).parents[1]
FILE, CONTRACT, PRODUCT = ORDERS + "slo.yaml", ORDERS + "contracts/orders.odcs.yaml", ORDERS + "product.yaml"
LATENCY = "slaProperties:\n  - {property: latency, value: 24, unit: h, element: orders.ordered_on}\n"

GOOD = """\
objectives:
  - name: orders.latency
    indicator: freshness
    table: orders
    target: 0.99
    on_spent: freeze
    severity: error
    driver: daily closing
    description: Yesterday's orders are there in the morning.
    runbook: https://wiki.shop.example/late
  - name: orders_plausible
    indicator: accuracy
    table: orders
    rules: [turnover_is_plausible]
    target: 1
    window: month
  - name: amounts
    indicator: validity
    table: orders
    columns: [amount]
    target: 0.995
    window: 4w
  - name: nightly_load
    indicator: refresh_duration
    at_most: 10 min
    target: 0.95
    window: 90d
  - name: growth
    indicator: refresh_growth
    at_most: 1.5
    target: 0.9
    window: quarter
  - name: orders_port
    indicator: port_availability
    port: orders
    target: 0.999
  - name: open_by_nine
    indicator: time_of_availability
    table: orders
    by: "09:00-05:00"
    target: 0.95
  - name: reviewed
    indicator: docs_reviewed
    at_most: 180d
    target: 1
defaults:
  drop:
    - {name: customers.uniqueness, reason: Nothing but an address is kept of a customer.}
incidents:
  ignore:
    - {kind: check, table: orders, name: amount.nullValues, reason: The tills send the amount a day later.}
    - {name: till_orders, reason: Tills are watched by the tills team.}
    - {kind: watchdog, reason: The operators watch the daemon.}
runbooks:
  - {table: orders, rule: primary_key, url: "https://wiki.shop.example/repeats"}
health:
  weights: {quality: 3, architecture: 1.5, governance: 0, incidents: 1}
"""
WAIVER = """\
  - property: waivers
    value: [{{clause: '{}', reason: Nothing probes it yet., expires: 2999-01-01}}]
  - property: tier
"""
DRAFT = edited(PRODUCT, "status: active", "status: draft")


def waived(clause: str) -> dict[str, str]:
    """Return the change of the product's file that waives `clause`."""
    return edited(PRODUCT, "  - property: tier\n", WAIVER.format(clause))


GOOD_FILES = {FILE: GOOD, **waived("slo.objectives[5]")}  # orders_port, which is active and which nothing probes


def orders(root: Path, changes: dict[str, str | None] | None = None) -> tuple[DataProduct, tuple[str, ...]]:
    """Return the sample's product of orders, and every fault of the project."""
    project = load_project(write_project(root, changes))
    return next(product for product in project.products if product.name == "orders"), tuple(map(str, project.faults))


def objective_named(product: DataProduct, name: str) -> Objective:
    """Return the product's objective called `name`."""
    (found,) = [objective for objective in product.objectives if objective.name == name]
    return found


def test_a_plain_contract_has_objectives(tmp_path):
    """Without any slo.yaml there are those of SLAs, of rules by dimension, of refreshes and of governance."""
    product, faults = orders(tmp_path)

    assert faults == ()
    told = {o.name: (str(o.indicator.kind), dict(o.indicator.params), o.target) for o in product.objectives}
    latency = {"table": "orders", "at_most_s": 86400.0, "column": "ordered_on", "measured_on": "valid_thru"}
    assert told == {
        "orders.latency": ("freshness", latency, 0.92),
        "customers.completeness": ("completeness", {"table": "customers"}, 0.92),
        "customers.uniqueness": ("uniqueness", {"table": "customers"}, 0.92),
        "orders.completeness": ("completeness", {"table": "orders"}, 0.92),
        "orders.uniqueness": ("uniqueness", {"table": "orders"}, 0.92),
        "orders.validity": ("validity", {"table": "orders"}, 0.92),
        "refresh_success": ("refresh_success", {}, 0.92),
        "owned": ("owned", {}, 0.95),
        "described": ("described", {}, 0.95),
        "classified": ("classified", {}, 0.95),
        "lineage_complete": ("lineage_complete", {}, 0.95),
        "personal_data_masked": ("personal_data_masked", {}, 0.95),
    }
    assert {o.window for o in product.objectives} == {Window(28)}
    assert {o.on_spent for o in product.objectives} == {Spent.WARN}
    assert product.trust == Trust()


def test_an_objective_tells_where_it_comes_from(tmp_path):
    """Origin, place and driver of a default are those of the clause that it was derived from."""
    change = edited(CONTRACT, "element: orders.ordered_on}", "element: orders.ordered_on, driver: regulatory}")
    product, _ = orders(tmp_path, change)
    latency, validity = objective_named(product, "orders.latency"), objective_named(product, "orders.validity")

    assert (latency.origin, str(latency.mark), latency.driver) == (
        "contract.slaProperties[latency]",
        f"{CONTRACT}:65",
        "regulatory",
    )
    assert (validity.origin, str(validity.mark)) == ("rules of orders", f"{CONTRACT}:15")
    assert objective_named(product, "owned").origin == "product"


def test_drivers_of_rules_are_carried(tmp_path):
    """The regulation that a quality rule names is that of the objective which counts it, each once."""
    rule = "          - {metric: invalidValues, mustBe: 0, arguments: {validValues: [1, 2]}, "
    custom = "customProperties: [{property: driver, value: GDPR Art. 5}]}\n"
    old = "          - metric: nullValues\n"
    other = rule.replace("[1, 2]", "[1, 3]").replace("metric", "name: other, metric")
    change = edited(CONTRACT, old, rule + custom + other + custom + old)
    product, faults = orders(tmp_path, change)

    assert faults == ()
    assert objective_named(product, "orders.validity").driver == "GDPR Art. 5"
    assert objective_named(product, "orders.uniqueness").driver == ""


@pytest.mark.parametrize(
    ("tier", "targets"), [("gold", (0.96, 0.96, 1)), ("silver", (0.92, 0.92, 0.95)), ("bronze", (0.88, 0.88, 0.9))]
)
def test_targets_hang_on_the_tier(tmp_path, tier, targets):
    """The higher the tier, the more its default objectives promise."""
    product, _ = orders(tmp_path, edited(PRODUCT, "value: silver", f"value: {tier}"))

    named = [objective_named(product, name).target for name in ("orders.latency", "refresh_success", "owned")]
    assert tuple(named) == targets


SLAS = {
    "latency, value: 24, unit: h, element: orders.ordered_on": ("orders.latency", "freshness", 86400, 0.92),
    "freshness, value: 2, unit: d, element: orders.ordered_on": ("orders.freshness", "freshness", 172800, 0.92),
    "frequency, value: 1, unit: d": ("frequency", "frequency", 86400, 0.92),
    "timeToDetect, value: 2, unit: h": ("orders.time_to_detect", "time_to_detect", 7200, 0.92),
    "timeToNotify, value: 15, unit: min": ("orders.time_to_notify", "time_to_notify", 900, 0.92),
    "timeToRepair, value: 1, unit: w": ("orders.time_to_repair", "time_to_repair", 604800, 0.92),
    "retention, value: 7, unit: y, element: orders.ordered_on": ("orders.retention", "retention_kept", None, 1),
    "timeOfAvailability, value: '09:00-05:00', element: orders.ordered_on": (
        "orders.time_of_availability", "time_of_availability", None, 0.92,
    ),
}  # fmt: skip


@pytest.mark.parametrize("sla", SLAS)
def test_each_sla_becomes_an_objective(tmp_path, sla):
    """Kind, limit and target of the objective follow from the property, its value and its unit."""
    name, kind, limit, target = SLAS[sla]
    product, faults = orders(tmp_path, edited(CONTRACT, LATENCY, f"slaProperties:\n  - {{property: {sla}}}\n"))
    objective = objective_named(product, name)

    assert faults == ()
    assert (str(objective.indicator.kind), objective.indicator.at_most_s, objective.target) == (kind, limit, target)
    assert objective.indicator.table == ("" if kind == "frequency" else "orders")
    line = next(line for line in report(product) if line.place == "contract.slaProperties[0]" and "orders" in line.path)
    assert line.state != DECLARED


@pytest.mark.parametrize(
    ("sla", "target"),
    [
        ("value: 99.9, unit: percent", 0.999),
        ("value: 99.5", 0.995),
        ("value: 0.995", 0.995),
        ("value: 0.5, unit: '%'", 0.005),
        ("value: 1", 1),
        ("value: 1.0", 1),
        ("value: 1, unit: percent", 0.01),
        ("value: 1.5", 0.015),
    ],
)
def test_an_availability_is_declared_only_until_ports_are_probed(tmp_path, sla, target):
    """Its objective is there for what is probed; until something probes, an active product has to waive the SLA."""
    change = edited(CONTRACT, LATENCY, f"slaProperties:\n  - {{property: availability, {sla}}}\n")
    _, faults = orders(tmp_path / "open", change)
    product, none = orders(tmp_path / "waived", change | waived("contract.slaProperties[]"))
    objective = objective_named(product, "orders.availability")
    line = next(line for line in report(product) if line.place == "contract.slaProperties[0]" and "orders" in line.path)

    assert (str(objective.indicator.kind), dict(objective.indicator.params), objective.target) == (
        "port_availability", {"port": "orders"}, target,
    )  # fmt: skip
    assert (len(faults), none, line.state, line.waived) == (1, (), DECLARED, True)
    assert f"{CONTRACT}:65: the clause contract.slaProperties[] is declared-only (nothing probes ports yet" in faults[0]


@pytest.mark.parametrize("indicator", ["port_availability", "port_latency, at_most: 1 s", "personal_data_masked"])
def test_an_objective_that_nothing_probes_is_declared_only(tmp_path, indicator):
    """What slo.yaml promises of ports and masks is kept by nobody either, and its waiver says until when."""
    text = f"objectives:\n  - {{name: probed, target: 0.9, indicator: {indicator}}}\n"
    _, faults = orders(tmp_path / "open", {FILE: text})
    product, none = orders(tmp_path / "waived", {FILE: text, **waived("slo.objectives[0]")})
    (line,) = [line for line in report(product) if line.place == "slo.objectives[0]"]

    assert (len(faults), none, line.state, line.waived) == (1, (), DECLARED, True)
    assert f"{FILE}:2: the clause slo.objectives[] is declared-only (nothing probes" in faults[0]


def test_the_report_and_the_objectives_agree_on_what_nothing_probes():
    """SLAs that only a probe could measure are declared-only in the table of clauses, and no others with objectives."""
    states = {name: clause.state for name in IMPLYING if (clause := lookup(f"contract.slaProperties[{name}]"))}

    assert set(states) == set(IMPLYING)
    assert {name for name, state in states.items() if state == DECLARED} == {
        name for name, kind in IMPLYING.items() if kind in UNPROBED
    }


@pytest.mark.parametrize(
    "sla",
    [
        "throughput, value: 100",
        "errorRate, value: 1, unit: percent",
        "timeToDetect, value: 2",
        "timeToDetect, value: soon, unit: h",
        "timeToRepair, value: 0, unit: h",
        "timeToNotify, value: -1, unit: h",
        "timeToDetect, value: .nan, unit: h",
        "timeToDetect, value: .inf, unit: h",
        f"timeToDetect, value: {10**400}, unit: h",
        "availability, value: high",
        "availability, value: 0",
        "availability, value: 101, unit: percent",
        "availability, value: .nan",
    ],
)
def test_what_nothing_measures_stays_declared_only(tmp_path, sla):
    """An SLA of an unknown kind, or with a value that is no limit, becomes no objective, and is told."""
    change = edited(CONTRACT, LATENCY, f"slaProperties:\n  - {{property: {sla}}}\n")
    product, faults = orders(tmp_path, change)

    assert [o.name for o in product.objectives if o.origin.startswith("contract")] == []
    assert len(faults) == 1
    assert f"{CONTRACT}:65: the clause contract.slaProperties[] is declared-only" in faults[0]


ON_COLUMN = ", element: orders.ordered_on"


@pytest.mark.parametrize(
    ("sla", "told"),
    [
        ("frequency, value: 1, unit: lightyears", "frequency is 1 lightyears"),
        ("frequency, value: often", "frequency is often"),
        ("frequency, value: 1", "frequency is 1"),
        ("frequency, value: 0, unit: d", "frequency is 0 d"),
        ("frequency, value: -1, unit: d", "frequency is -1 d"),
        ("frequency, value: .inf, unit: d", "frequency is inf d"),
        (f"latency, value: 0, unit: h{ON_COLUMN}", "latency is 0 h"),
        (f"freshness, value: -26, unit: h{ON_COLUMN}", "freshness is -26 h"),
        (f"retention, value: 0, unit: y{ON_COLUMN}", "retention is 0 y"),
    ],
)
def test_a_length_of_time_that_is_none_is_a_fault(tmp_path, sla, told):
    """It counts neither as enforced nor as a promise: it implies no objective, and is refused in its line."""
    change = edited(CONTRACT, LATENCY, f"slaProperties:\n  - {{property: {sla}}}\n")
    product, faults = orders(tmp_path, change)
    line = next(line for line in report(product) if line.place == "contract.slaProperties[0]" and "orders" in line.path)

    assert [o.name for o in product.objectives if o.origin.startswith("contract")] == []
    assert [fault.partition(": ")[2].partition(", which")[0] for fault in faults] == [told]
    assert f"{CONTRACT}:65: {told}, which is no length of time. Write a number above 0 and a unit: " in faults[0]
    assert line.state == DECLARED


def test_the_strictest_frequency_is_that_of_the_product(tmp_path):
    """Tables are released together, so that one objective holds for all of them."""
    customers = ORDERS + "contracts/customers.odcs.yaml"
    slow, fast = (f"slaProperties:\n  - {{property: frequency, value: {days}, unit: d}}\n" for days in (7, 1))
    text = write_project(tmp_path / "plain").joinpath(customers).read_text(encoding="utf-8")
    changes = {**edited(CONTRACT, LATENCY, slow), customers: text + fast}
    product, faults = orders(tmp_path / "changed", changes)
    (frequency,) = [o for o in product.objectives if o.indicator.kind is IndicatorKind.FREQUENCY]

    assert faults == ()
    assert (frequency.name, frequency.indicator.at_most_s, frequency.mark.path) == ("frequency", 86400, customers)


def test_an_active_product_has_its_own_words_for_slas_that_stand_twice(tmp_path):
    """Two latencies of one table are two objectives, under different names."""
    twice = LATENCY + "  - {property: latency, value: 3, unit: d, element: orders.ordered_on}\n"
    objectives = imply_objectives(orders(tmp_path, edited(CONTRACT, LATENCY, twice))[0])

    named = {o.name: o.indicator.at_most_s for o in objectives if o.indicator.kind is IndicatorKind.FRESHNESS}
    assert named == {"orders.latency": 86400, "orders.latency_2": 259200}


def test_a_good_file_is_read_whole(tmp_path):
    """Every key arrives in the model, a default of the same name is replaced, and one that is dropped is gone."""
    product, faults = orders(tmp_path, GOOD_FILES)

    assert faults == ()
    latency = objective_named(product, "orders.latency")
    assert latency == Objective(
        name="orders.latency",
        indicator=latency.indicator,
        target=0.99,
        window=Window(28),
        category=Category.QUALITY,
        on_spent=Spent.FREEZE,
        severity=Severity.ERROR,
        driver="daily closing",
        description="Yesterday's orders are there in the morning.",
        origin="slo.yaml",
        runbook="https://wiki.shop.example/late",
        mark=latency.mark,
    )
    assert str(latency.mark) == f"{FILE}:2"
    params = {o.name: dict(o.indicator.params) for o in product.objectives if o.origin == "slo.yaml"}
    assert params == {
        # The limit and the column stand in the contract: they are not said twice.
        "orders.latency": {
            "table": "orders", "column": "ordered_on", "measured_on": "valid_thru", "at_most_s": 86400.0,
        },
        "orders_plausible": {"table": "orders", "rules": ("turnover_is_plausible",)},
        "amounts": {"table": "orders", "columns": ("amount",)},
        "nightly_load": {"at_most_s": 600.0},
        "growth": {"at_most_ratio": 1.5},
        "orders_port": {"port": "orders"},
        "open_by_nine": {"table": "orders", "column": "ordered_on", "by": "09:00-05:00"},
        "reviewed": {"at_most_days": 180.0},
    }  # fmt: skip
    names = [o.name for o in product.objectives]
    assert len(names) == len(set(names))
    assert "customers.uniqueness" not in names
    windows = [o.window for o in product.objectives if o.origin == "slo.yaml"]
    assert windows == [
        Window(28), Window(0, "month"), Window(28), Window(90), Window(0, "quarter"), Window(), Window(), Window(),
    ]  # fmt: skip


def test_incidents_runbooks_and_weights_are_read(tmp_path):
    """What opens no incident, what to do and how the score is made stand in the product's trust."""
    trust = orders(tmp_path, {FILE: GOOD})[0].trust

    assert trust is not None
    check, source, watchdog = trust.unsubscribed
    assert (check.kind, check.table, check.name) == ("check", "orders", "amount.nullValues")
    assert check.covers(kind="check", name="amount.nullValues", table="orders")
    assert not check.covers(kind="check", name="amount.nullValues", table="customers")
    assert not check.covers(kind="missing", name="amount.nullValues", table="orders")
    assert source.covers(kind="source", name="till_orders", table="orders")
    assert watchdog.covers(kind="watchdog", name="anything")
    assert isinstance(trust.dropped[0], Dropped)
    assert trust.dropped[0].name == "customers.uniqueness"
    assert trust.runbook("primary_key", "orders") == "https://wiki.shop.example/repeats"
    assert trust.runbook("primary_key", "customers") == ""
    assert dict(trust.health) == {"quality": 3, "architecture": 1.5, "governance": 0, "incidents": 1}


def test_an_unsubscription_names_what_it_leaves_out():
    """Without a kind it holds for all kinds, without a name for all names."""
    of_table = Unsubscription("why", kind="check", table="orders")

    assert of_table.covers(kind="check", name="any", table="orders")
    assert not of_table.covers(kind="check", name="any", table="other")


def test_what_nobody_is_told_of_is_not_promised_by_default(tmp_path):
    """A default objective leaves out the rules whose failures open no incident, and is gone if that is all of them."""
    ignored = "incidents: {{ignore: [{{kind: check, table: orders, name: {}, reason: The tills know it.}}]}}\n"
    some, every = ignored.format("amount.nullValues"), ignored.format("primary_key")
    less, faults = orders(tmp_path / "some", {FILE: some})
    none, more = orders(tmp_path / "none", {FILE: every})

    assert faults + more == ()
    assert "amount.nullValues" not in objective_named(less, "orders.completeness").indicator.rules
    assert len(objective_named(less, "orders.completeness").indicator.rules) == 4
    assert "orders.uniqueness" not in {objective.name for objective in none.objectives}


@pytest.mark.parametrize("key", ["objectives: []", "defaults: {}", "incidents: {ignore: []}", "runbooks: []", "{}"])
def test_a_file_may_say_little(tmp_path, key):
    """An empty list changes nothing."""
    plain, (changed, faults) = orders(tmp_path / "a")[0], orders(tmp_path / "b", {FILE: key + "\n"})

    assert faults == ()
    assert [o.name for o in changed.objectives] == [o.name for o in plain.objectives]


@dataclass(frozen=True)
class Broken:
    """One change of the good file, and the fault that it has to lead to; `line` is the text that the line holds."""

    old: str
    new: str
    line: str
    what: str
    fix: str


VARIANTS = {
    "a key is misspelt": Broken("health:", "helth:", "helth:", "knows no key 'helth'", "Did you mean 'health'?"),
    "a key of an objective is misspelt": Broken(
        "on_spent: freeze", "on_spend: freeze", "on_spend", "knows no key 'on_spend'", "Did you mean 'on_spent'?"
    ),
    "the name is missing": Broken(
        "  - name: growth\n    indicator", "  - indicator", "- indicator: refresh_growth", "lacks the key 'name'",
        "Add `name",
    ),
    "the name holds a blank": Broken("name: growth", "name: our growth", "our growth", '"our growth"',
        "Write letters, digits and _, in parts that are joined by a point: `orders.latency`",
    ),
    "the indicator is misspelt": Broken(
        "indicator: freshness", "indicator: freshnes", "freshnes", "not accepted", "Did you mean 'freshness'?"
    ),
    "the target is missing": Broken(
        "    port: orders\n    target: 0.999\n", "    port: orders\n", "name: orders_port", "lacks the key 'target'",
        "Add `target",
    ),
    "the target is in percent": Broken("0.995", "99.5", "target: 99.5", "is 99.5", "Write a number up to 1."),
    "the target is zero": Broken("0.995", "0", "target: 0\n", "is 0", "Write a number above 0."),
    "the target is text": Broken("0.995", "'0.995'", "'0.995'", "instead of a number", "Write a number"),
    "the target is no number": Broken("0.995", ".nan", ".nan", "target of 'amounts' is no share", "0.99"),
    "the window is no length": Broken("window: 4w", "window: 4 moons", "4 moons", '"4 moons"',
        "Write `28d`, `4 weeks`, `month` or `quarter`"),
    "the window is zero": Broken("window: 4w", "window: 0d", "window: 0d", '"0d"',
        "Write `28d`, `4 weeks`, `month` or `quarter`"),
    "the window is endless": Broken("window: 4w", "window: 99999w", "99999w", '"99999w"',
        "Write `28d`, `4 weeks`, `month` or `quarter`"),
    "what is spent is unknown": Broken("freeze", "stop", "on_spent: stop", "not accepted", "Accepted: warn, freeze"),
    "the severity is unknown": Broken(
        "severity: error", "severity: fatal", "severity: fatal", "not accepted", "Accepted: error"
    ),
    "two objectives share a name": Broken(
        "name: growth", "name: amounts", "r:name: amounts", "two objectives are called 'amounts', the first in line 17",
        "Rename one",
    ),
    "the table is misspelt": Broken(
        "    table: orders\n    target: 0.99\n", "    table: order\n    target: 0.99\n", "table: order\n",
        "table 'order' is not of this product", "Did you mean 'orders'?",
    ),
    "the rule is misspelt": Broken(
        "[turnover_is_plausible]", "[turnover_is_plausibel]", "plausibel", "is no rule",
        "Did you mean 'turnover_is_plausible'?",
    ),
    "the rule is of another dimension": Broken(
        "[turnover_is_plausible]", "[primary_key]", "[primary_key]",
        "'primary_key' is of dimension uniqueness, and accuracy is measured", "Name another",
    ),
    "a rule stands twice": Broken(
        "[turnover_is_plausible]", "[turnover_is_plausible, turnover_is_plausible]", "rules:", "same item twice",
        "Delete the repeated item.",
    ),
    "the column is misspelt": Broken(
        "columns: [amount]", "columns: [amonut]", "amonut", "column 'amonut' is in no table", "Did you mean 'amount'?"
    ),
    "no rule is left": Broken(
        "columns: [amount]", "columns: [order_id]", "indicator: validity",
        "table 'orders' has no rule of dimension validity", "Add one to the contract.",
    ),
    "no rule is of the dimension": Broken(
        "indicator: validity\n    table: orders\n    columns: [amount]", "indicator: consistency\n    table: customers",
        "indicator: consistency", "table 'customers' has no rule of dimension consistency", "Add one to the contract.",
    ),
    "retention is not promised": Broken(
        "indicator: validity\n    table: orders\n    columns: [amount]", "indicator: retention_kept\n    table: orders",
        "indicator: retention_kept", "has no rule on retention", "Add one to the contract.",
    ),
    "a key says nothing to the indicator": Broken(
        "indicator: port_availability", "indicator: port_availability\n    rules: [primary_key]",
        "rules: [primary_key]",
        "`rules` says nothing to the indicator port_availability", "Delete it. port_availability takes port.",
    ),
    "an indicator takes no keys": Broken(
        "indicator: port_availability\n    port: orders", "indicator: owned\n    port: orders", "port: orders",
        "`port` says nothing to the indicator owned", "Delete it.",
    ),
    "the port is unknown": Broken(
        "port: orders", "port: order", "port: order\n", "'order' is no output port", "Did you mean 'orders'?"
    ),
    "a limit is missing": Broken(
        "    at_most: 10 min\n", "", "name: nightly_load", "does not say what refresh_duration may be at most",
        "Add `at_most: 26h`.",
    ),
    "a limit has no unit": Broken("10 min", "600", "at_most: 600", "`at_most` is 600", "length of time, such as 26h"),
    "a limit is of an unknown unit": Broken("10 min", "10 parsecs", "parsecs", "'10 parsecs'", "length of time"),
    "a limit is zero": Broken("10 min", "0 min", "0 min", "'0 min'", "length of time"),
    "a ratio is a length of time": Broken(
        "at_most: 1.5", "at_most: 1h", "at_most: 1h", "'1h'", "ratio above 0, such as 1.5"
    ),
    "a ratio is negative": Broken("at_most: 1.5", "at_most: -1", "at_most: -1", "`at_most` is -1", "ratio above 0"),
    "a limit is true": Broken("at_most: 1.5", "at_most: true", "at_most: true", "instead of text or a number", "Put"),
    "more is allowed than promised": Broken(
        "indicator: freshness", "indicator: freshness\n    at_most: 3d", "at_most: 3d",
        "allows 259200 seconds, and the contract promises 86400", "Write less",
    ),
    "the column is no time": Broken(
        "indicator: freshness", "indicator: freshness\n    column: amount", "column: amount",
        "measured on 'amount', which is DECIMAL(18,2)", "Name a date or timestamp column.",
    ),
    "the column is not there": Broken(
        "indicator: freshness", "indicator: freshness\n    column: ordered", "column: ordered",
        "column 'ordered' is not in table 'orders'", "Did you mean 'ordered_on'?",
    ),
    "there is no table to be fresh": Broken(
        "    table: orders\n    by:", "    by:", "name: open_by_nine",
        "does not say of which table its time_of_availability is measured", "Add `table:` with one of",
    ),
    "there is no column to be fresh": Broken(
        "    table: orders\n    by:", "    table: customers\n    by:", "name: open_by_nine",
        "does not say on which column of 'customers'", "Add `column:`",
    ),
    "the time of day is none": Broken("09:00-05:00", "nine", '"nine"', "which is no time of day", "Write it like"),
    "the time of day is missing": Broken(
        '    by: "09:00-05:00"\n', "", "name: open_by_nine", "does not say by which time of day", "Add `by:"
    ),
    "the driver is a placeholder": Broken(
        "driver: daily closing", "driver: TODO", "driver: TODO",
        "`driver` of objective 'orders.latency' is a placeholder", "Write it",
    ),
    "the runbook is no link": Broken(
        "runbook: https://wiki.shop.example/late", "runbook: ask Ada", "ask Ada", '"ask Ada"', "Write a whole address: `https://wiki.example/late-orders`"
    ),
    "a default is replaced by something else": Broken(
        "name: growth", "name: orders.validity", "name: orders.validity",
        "replaces the default of that name, which measures validity of orders", "Measure the same, or rename it.",
    ),
    "what is dropped is misspelt": Broken(
        "name: customers.uniqueness", "name: customers.uniquenes", "uniquenes,", "no default objective is called so",
        "Did you mean 'customers.uniqueness'?",
    ),
    "what is dropped is declared": Broken(
        "name: customers.uniqueness", "name: orders.latency", "r:orders.latency", "is dropped, and declared above",
        "Delete one of the two",
    ),
    "nobody says why a default is dropped": Broken(
        ", reason: Nothing but an address is kept of a customer.", "", "customers.uniqueness", "lacks the key 'reason'",
        "Add `reason",
    ),
    "the reason is a placeholder": Broken(
        "Nothing but an address is kept of a customer.", "tbd", "tbd", "reason is a placeholder", "Write why"
    ),
    "defaults are switched off at once": Broken(
        "defaults:\n  drop:\n    - {name: customers.uniqueness, reason: Nothing but an address is kept of a customer.}",
        "defaults: false", "defaults: false", "instead of a mapping", "Write a mapping.",
    ),
    "a finding of an unknown kind is ignored": Broken(
        "kind: watchdog", "kind: watchdogs", "watchdogs", "not accepted", "Did you mean 'watchdog'?"
    ),
    "a rule that is not there is ignored": Broken(
        "amount.nullValues", "amount.nullvalue", "nullvalue", "is no subject of check of orders",
        "Did you mean 'amount.nullValues'?",
    ),
    "something unknown is ignored": Broken(
        "name: till_orders", "name: til_orders", "til_orders", "is no rule, objective or source of the product", "Did",
    ),
    "everything is ignored": Broken(
        "{kind: watchdog, reason", "{reason", "The operators", "needs one more key", "Add one of: kind, name."
    ),
    "nobody says why it is ignored": Broken(
        "name: till_orders, reason: Tills are watched by the tills team.", "name: till_orders", "name: till_orders",
        "lacks the key 'reason'", "Add `reason",
    ),
    "the table of what is ignored is unknown": Broken(
        "kind: check, table: orders", "kind: check, table: ordrs", "ordrs", "table 'ordrs' is not of this product",
        "Did you mean 'orders'?",
    ),
    "a runbook is for no rule": Broken(
        "rule: primary_key", "rule: primary_keys", "primary_keys", "no rule of 'orders'", "Did you mean 'primary_key'?"
    ),
    "a rule has two runbooks": Broken(
        "runbooks:\n", 'runbooks:\n  - {table: orders, rule: primary_key, url: "https://x.example"}\n', "repeats",
        "has two runbooks", "Delete one of the two.",
    ),
    "a component of the score is unknown": Broken(
        "quality: 3", "qualty: 3", "qualty", "knows no key 'qualty'", "Did you mean 'quality'?"
    ),
    "a weight is negative": Broken("quality: 3", "quality: -3", "quality: -3", "is -3", "Write a number from 0."),
    "no weight is left": Broken(
        "{quality: 3, architecture: 1.5, governance: 0, incidents: 1}", "{quality: 0}", "{quality: 0}",
        "every weight of the health score is 0", "Give one of them a weight",
    ),
    "a weight is no number": Broken("quality: 3", "quality: .nan", ".nan", "no number from 0", "smaller"),
    "the file is a list": Broken(GOOD, "- objectives\n", "- objectives", "instead of a mapping", "Write a mapping."),
    "the file is no YAML": Broken("defaults:\n", "defaults\n", "  drop:", "the file is not YAML", "Write `key: value`"),
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_broken_variant_is_told_with_line_and_fix(tmp_path, name):
    """One fault leads to one message: its file, its very line and what to do."""
    broken = VARIANTS[name]
    assert broken.old in GOOD
    text = GOOD.replace(broken.old, broken.new, 1)
    faults = load_project(write_project(tmp_path, {FILE: text, **DRAFT})).faults

    start = text.rindex(broken.line[2:]) if broken.line.startswith("r:") else text.index(broken.line)
    line = text.count("\n", 0, start) + 1
    assert [(f.path, f.line) for f in faults] == [(FILE, line)], [str(f) for f in faults]
    assert broken.what in faults[0].what
    assert broken.fix in faults[0].fix


def test_there_are_enough_variants():
    """At least fifty ways of declaring objectives wrongly are tried."""
    assert len(VARIANTS) >= 50


def test_faults_that_share_a_line_are_told_at_once(tmp_path):
    """A link that is none hides neither the table nor the rule that nobody knows, though all stand in one line."""
    text = (
        "runbooks:\n  - {table: order, rule: order_id.required, url: foo}\n  - {table: orders, rule: idd, url: foo}\n"
    )
    _, faults = orders(tmp_path, {FILE: text})

    assert [fault.split(". ")[0] for fault in faults] == [
        f'{FILE}:2: `runbooks` item 1 > `url` is "foo"',
        f"{FILE}:2: table 'order' is not of this product",
        f'{FILE}:3: `runbooks` item 2 > `url` is "foo"',
        f"{FILE}:3: there is a runbook for 'idd', which is no rule of 'orders'",
    ]


def test_every_fault_of_a_file_is_told_at_once(tmp_path):
    """Faults of the format and faults against the contract stand together, each on its line."""
    text = (
        GOOD.replace("[turnover_is_plausible]", "[turnover]").replace("port: orders", "port: none").replace("3,", "-3,")
    )
    _, faults = orders(tmp_path, {FILE: text, **DRAFT})

    assert [fault.split(": ")[0] for fault in faults] == [f"{FILE}:14", f"{FILE}:35", f"{FILE}:57"]


def test_a_contract_that_cannot_be_read_is_the_only_fault(tmp_path):
    """What is said of a table whose contract is broken is let be until it can be read."""
    broken = edited(CONTRACT, "schema:\n", "schema\n")
    _, faults = orders(tmp_path, GOOD_FILES | broken)

    assert {fault.split(":")[0] for fault in faults} == {CONTRACT}, faults


def test_no_clause_of_the_file_is_silent(tmp_path):
    """Each key of slo.yaml is listed with what becomes of it, and each objective that is measured is monitored."""
    product, _ = orders(tmp_path, GOOD_FILES)
    lines = [line for line in report(product) if line.path == FILE]

    assert [line for line in lines if line.by == "nothing reads it"] == []
    assert [line for line in lines if line.is_open] == []
    promises = [line for line in lines if not line.informative]
    assert [(line.clause, line.state, line.line) for line in promises] == [
        ("slo.objectives[]", DECLARED if line == 33 else MONITORED, line) for line in (2, 11, 17, 23, 28, 33, 37, 42)
    ]
    assert {"slo.defaults.drop[].reason", "slo.incidents.ignore[].kind", "slo.runbooks[].url"} <= {
        line.clause for line in lines
    }


def test_a_dropped_objective_leaves_its_sla_to_nobody(tmp_path):
    """An SLA that only its objective measured is declared-only again, and an active product must waive it."""
    sla = edited(CONTRACT, LATENCY, LATENCY + "  - {property: timeToRepair, value: 1, unit: d}\n")
    drop = "defaults:\n  drop:\n    - {name: orders.time_to_repair, reason: Nobody repairs anything here.}\n"
    kept, none = orders(tmp_path / "a", sla)
    dropped, faults = orders(tmp_path / "b", {**sla, FILE: drop})

    def state(product: DataProduct) -> str:
        return next(str(x.state) for x in report(product) if x.path == CONTRACT and x.place.endswith("Properties[1]"))

    assert none == ()
    assert state(kept) == MONITORED
    assert state(dropped) == DECLARED
    assert len(faults) == 1
    assert f"{CONTRACT}:66: the clause contract.slaProperties[] is declared-only" in faults[0]


def test_the_schema_knows_the_words_of_the_model():
    """What an editor offers is what the model has."""
    schema = read_schema(SLO)["properties"]
    objective = schema["objectives"]["items"]["properties"]

    assert set(objective["indicator"]["enum"]) == set(IndicatorKind) == set(MEANINGS)
    assert set(objective["on_spent"]["enum"]) == set(Spent)
    assert set(objective["severity"]["enum"]) == set(Severity)
    assert set(schema["incidents"]["properties"]["ignore"]["items"]["properties"]["kind"]["enum"]) == set(FindingKind)


def test_what_findings_are_called_can_be_ignored():
    """The words that slo.yaml accepts beside declared names are those under which findings are recorded."""
    assert {OF_SCHEDULE} == WORDS["missing"]
    assert {findings.RELEASE} == WORDS["stale"]
    assert {findings.SOURCES} == WORDS["source"]
    assert {findings.REFRESH, findings.RELEASE} == WORDS["refused"]
    assert {findings.REFRESH, AUDIT} == WORDS["pipeline"]
    assert {OBJECTIVES} == WORDS["watchdog"]
    assert {REVIEW, SUNSET} == WORDS["review"]
    assert set(WORDS) <= set(FindingKind)


@pytest.mark.parametrize(
    "entry",
    [
        "{kind: missing, name: schedule, reason: Loads are started by hand.}",
        "{kind: pipeline, name: refresh, reason: Runs are started by hand.}",
        "{kind: source, table: orders, name: till_orders, reason: The tills team knows.}",
        "{kind: stale, name: orders.latency, reason: Nobody reads it on Sundays.}",
        "{kind: burn_rate, name: refresh_success, reason: The budget tells enough.}",
        "{kind: access, name: whatever, reason: Access is not served yet.}",
        "{kind: review, name: sunset, reason: Its end is known to all.}",
    ],
)
def test_findings_of_each_kind_can_be_ignored(tmp_path, entry):
    """What a finding of a kind may be about is accepted as its name."""
    product, faults = orders(tmp_path, {FILE: f"incidents:\n  ignore:\n    - {entry}\n"})

    assert faults == ()
    assert product.trust is not None
    assert len(product.trust.unsubscribed) == 1


def test_every_meaning_is_whole():
    """Each indicator says what an event is and which are good, and needs nothing that it does not take."""
    for kind, meaning in MEANINGS.items():
        assert meaning.event, kind
        assert meaning.good, kind
        assert set(meaning.needed) <= set(meaning.params), kind


@pytest.mark.parametrize(
    ("window", "now", "start", "end"),
    [
        (Window(28), (2024, 3, 1, 12), (2024, 2, 2, 12), (2024, 3, 1, 12)),
        (Window(0, "month"), (2024, 2, 29, 23), (2024, 2, 1), (2024, 3, 1)),
        (Window(0, "month"), (2024, 12, 31), (2024, 12, 1), (2025, 1, 1)),
        (Window(0, "quarter"), (2024, 3, 31), (2024, 1, 1), (2024, 4, 1)),
        (Window(0, "quarter"), (2024, 11, 30), (2024, 10, 1), (2025, 1, 1)),
    ],
)
def test_windows_begin_and_end(window, now, start, end):
    """A rolling window ends now; a calendar one is the month or the quarter of UTC that now lies in."""
    moments = [datetime(*moment, tzinfo=UTC) for moment in (now, start, end)]

    assert [window.start(moments[0]), window.end(moments[0])] == moments[1:]


def plain_product(tables, tier=None):
    """Return a product that publishes `tables`."""
    ports = tuple(OutputPort(table.name, "1.0.0", table.contract_id) for table in tables)
    return DataProduct(
        "d", "p", "1.0.0", Layer.AGGREGATE, Status.DRAFT, Path(), tuple(tables), tier=tier, outputs=ports
    )


def contracts() -> dict[str, Document]:
    """Return every contract that this repository holds: of products, of tests and of pages."""
    files = [*(ROOT / "tests").rglob("*.odcs.yaml"), *(ROOT / "assets").rglob("*.odcs.yaml")]
    found = {str(file.relative_to(ROOT)): read_yaml(file, file.name) for file in files}
    for page in pages():
        for block in blocks(page):
            if block.file.endswith(".odcs.yaml"):
                found[f"{page.name}:{block.line}"] = parse_yaml(block.text, block.file)
    return found


CONTRACTS = contracts()


@pytest.mark.parametrize("name", CONTRACTS)
def test_any_contract_has_objectives(name):
    """Each contract of the repository implies objectives under different names, with all that their indicators need."""
    tables, _ = read_tables(CONTRACTS[name], strict=False)
    objectives = imply_objectives(plain_product(tables, Tier.GOLD))

    assert_sound(objectives)
    assert {"refresh_success", "owned", "described"} <= {o.name for o in objectives}
    assert len(CONTRACTS) > 20


def assert_sound(objectives):
    """Assert what holds for all objectives."""
    assert len({o.name for o in objectives}) == len(objectives)
    for objective in objectives:
        meaning = MEANINGS[objective.indicator.kind]
        assert set(meaning.needed) <= set(objective.indicator.params) <= set(meaning.params), objective
        assert 0 < objective.target <= 1
        limit = objective.indicator.at_most_s
        assert limit is None or 0 < limit < math.inf


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(10**400), st.just("09:00")
)
NAMES = st.sampled_from(
    ["latency", "freshness", "frequency", "availability", "retention", "timeOfAvailability", "timeToDetect", "x"]
)


@settings(max_examples=200, deadline=None)
@given(
    slas=st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["", "h", "percent", "%", "mo", "?"]), st.text(max_size=9))),
    contract=st.sampled_from(sorted(CONTRACTS)),
    tier=st.sampled_from([None, *Tier]),
)
def test_defaults_never_raise(slas, contract, tier):
    """Whatever an SLA says, and wherever it points, sound objectives or none follow from it."""
    tables, _ = read_tables(CONTRACTS[contract], strict=False)
    extra = tuple(Sla(name, value, unit, element) for name, value, unit, element in slas)
    changed = tuple(replace(table, slas=(*table.slas, *extra), name=table.name or "?") for table in tables)

    assert_sound(imply_objectives(plain_product(changed, tier)))


ANYTHING = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner))
GOOD_DATA = parse_yaml(GOOD, "slo.yaml")


def places(value, place=()):
    """Yield every place in nested data."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*place, key))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(sorted(places(GOOD_DATA.data), key=str)), value=ANYTHING)
def test_no_value_anywhere_in_the_file_raises(whole_product, place, value):
    """Any value in the place of any other is a fault of the format, of the contract, or good; never an exception."""
    root = copy.deepcopy(GOOD_DATA.root)
    if place:
        outer = root.value
        for step in place[:-1]:
            outer = outer[step]
        outer[place[-1]] = value
    else:
        root.value = value
    document = Document("slo.yaml", GOOD, root)
    told, found = judge_by(document, SLO), read_objectives(whole_product, document)

    assert isinstance(found.faults, tuple)
    assert_sound(found.objectives)
    if not told and not found.faults and place[-1:] == ("target",):
        assert 0 < value <= 1


@pytest.fixture(scope="module")
def whole_product(tmp_path_factory):
    """The sample's product of orders."""
    return orders(tmp_path_factory.mktemp("sample"))[0]
