"""Rules of an organisation, applied to products."""

import pytest

from dataproducts.load import load_project
from dataproducts.objective import IndicatorKind
from dataproducts.policy import (
    apply,
    classification_required,
    minimum_objectives,
    minimum_rules,
    minimum_slas,
    naming,
    owner_required,
)
from dataproducts.product import Dimension, Tier
from tests.sample_project import ORDERS, edited, write_project

CUSTOMERS = ORDERS + "contracts/customers.odcs.yaml"


def objections(root, policy, changes=None):
    """Return what a policy says of the sample, as `file:line: what`."""
    products = load_project(write_project(root, changes)).products
    return [f"{f.path.split('/')[-1]}:{f.line}: {f.what}" for f in apply([policy], products)]


@pytest.mark.parametrize(
    "policy",
    [
        naming(),
        owner_required(),
        classification_required(),
        minimum_rules({Tier.SILVER: 2}, dimensions={Tier.SILVER: [Dimension.UNIQUENESS]}),
        minimum_slas({Tier.GOLD: ["latency"]}),
        minimum_objectives({Tier.SILVER: {"freshness": [IndicatorKind.FRESHNESS]}}),
    ],
)
def test_sample_keeps_the_usual_policies(tmp_path, policy):
    """None of the ready-made policies objects to the sample."""
    assert objections(tmp_path, policy) == []


def test_naming(tmp_path):
    """A name that does not match as a whole is told where it stands."""
    changes = edited(CUSTOMERS, "name: email", "name: eMail")

    assert objections(tmp_path, naming(), changes) == [
        "customers.odcs.yaml:20: the column name 'eMail' breaks the naming rule"
    ]


def test_owner(tmp_path):
    """Roles and the organisation's addresses can be asked for."""
    said = objections(tmp_path, owner_required(roles=["steward"], domain="shop.test"))

    assert said == [
        "product.yaml:4: the product has no steward",
        "product.yaml:4: 'cyd@shop.example', the product's steward, is not of shop.test",
    ]


def test_personal_columns_are_classified(tmp_path):
    """A column that looks personal needs a classification that masks it; others only if everything does."""
    changes = edited(CUSTOMERS, "classification: personal", "classification: public")

    assert objections(tmp_path / "a", classification_required(), changes) == [
        "customers.odcs.yaml:20: column customers.email looks personal and is not classified so"
    ]
    assert len(objections(tmp_path / "b", classification_required(everywhere=True))) == 8


def test_minimum_of_rules_and_slas(tmp_path):
    """A tier asks for so many rules, of these dimensions, and for these SLAs."""
    rules = minimum_rules({Tier.SILVER: 5}, dimensions={Tier.SILVER: [Dimension.VOLUME]})

    assert objections(tmp_path / "a", rules) == [
        "customers.odcs.yaml:10: table 'customers' has 2 rules, and tier silver asks for 5",
        "customers.odcs.yaml:10: table 'customers' has no rule on volume, which tier silver asks for",
    ]
    assert objections(tmp_path / "b", minimum_slas({Tier.SILVER: ["latency"]})) == [
        "customers.odcs.yaml:10: table 'customers' promises no latency, which tier silver asks for"
    ]


def test_a_tier_may_ask_for_objectives(tmp_path):
    """An active product lacks an objective that its tier asks for once nothing implies it, or the file drops it."""
    success, growth = IndicatorKind.REFRESH_SUCCESS, IndicatorKind.REFRESH_GROWTH
    policy = minimum_objectives({Tier.SILVER: {"refreshes": [success], "cost": [growth]}})
    own = "objectives:\n  - {name: cost, indicator: refresh_growth, at_most: 2, target: 0.9}\n"
    drop = "defaults:\n  drop:\n    - {name: refresh_success, reason: Nobody waits for it.}\n"
    cost = "product.yaml:4: the product has no objective on cost, which tier silver asks for"

    assert objections(tmp_path / "a", policy) == [cost]
    assert objections(tmp_path / "b", policy, {ORDERS + "slo.yaml": own}) == []
    assert objections(tmp_path / "c", policy, {ORDERS + "slo.yaml": drop + own}) == [cost.replace("cost", "refreshes")]
    assert objections(tmp_path / "d", policy, edited(ORDERS + "product.yaml", "status: active", "status: draft")) == []
