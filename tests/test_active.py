"""What a product needs before it may be active, and texts that say nothing."""

import pytest

from dataproducts.load import load_project
from tests.sample_project import FILES, ORDERS, edited, write_project

PRODUCT, DESIGN, CUSTOMERS = ORDERS + "product.yaml", ORDERS + "design.yaml", ORDERS + "contracts/customers.odcs.yaml"


def without(name):
    """Return the sample's product without one custom property."""
    head, _, rest = FILES[PRODUCT].partition(f"  - property: {name}\n")
    return {PRODUCT: head + rest[rest.find("  - property:") if "  - property:" in rest else len(rest) :]}


@pytest.mark.parametrize("name", ["tier", "audience", "consumers", "valueMeasure"])
def test_each_property_is_needed(tmp_path, name):
    """An active product without tier, audience, consumers or value measure is refused; a draft is not."""
    changes = without(name)
    draft = {PRODUCT: changes[PRODUCT].replace("status: active", "status: draft")}

    assert [f.what for f in load_project(write_project(tmp_path / "a", changes)).faults] == [
        f"an active product needs `{name}`"
    ]
    assert load_project(write_project(tmp_path / "b", draft)).faults == ()


@pytest.mark.parametrize(
    ("file", "old", "new", "what"),
    [
        (PRODUCT, "role: technicalOwner", "role: helper", "needs a technical owner"),
        (PRODUCT, "role: steward", "role: helper", "needs a steward"),
        (PRODUCT, "Share of reports that use this product instead of till exports.", "TBD", "value measure is a place"),
        (PRODUCT, "needs: Sums of orders.", "needs: '...'", "`needs` of a consumer is a placeholder"),
        (
            PRODUCT,
            "description: One row for each order.",
            "description: description",
            "output port 'orders' says nothing",
        ),
        (CUSTOMERS, "description: Number of the customer.", "description: xxx", "the description is a placeholder"),
        (CUSTOMERS, "        required: false\n", "", "there is no nullability"),
        (CUSTOMERS, "        examples: [7]\n", "", "there is no example"),
        (CUSTOMERS, "        businessName: Customer\n", "", "there is no term"),
        (DESIGN, "need: Know what was ordered without asking the tills.", "need: lorem ipsum dolor", "need is a place"),
        (DESIGN, "insight: What sells at which price", "insight: TODO", "`insight` of stakeholder is a placeholder"),
        (DESIGN, "outputs: [orders]", "outputs: [order]", "answered by 'order'"),
        (DESIGN, "metrics: [turnover]", "metrics: [turnove]", "answered by 'turnove'"),
    ],
)
def test_each_gap_is_told(tmp_path, file, old, new, what):
    """Every missing role, description, term, nullability or example, and every placeholder, is one fault."""
    faults = load_project(write_project(tmp_path, edited(file, old, new))).faults

    assert [what in fault.what for fault in faults] == [True], [str(f) for f in faults]
    assert faults[0].path == file
