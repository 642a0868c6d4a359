"""Variants of a good project with one fault each: every one names the file, the line and the fix, within 2 s."""

import copy
import itertools
import json
import time
from dataclasses import dataclass

import pytest

from dataproducts.declare.positions import parse_yaml
from dataproducts.load import load_project
from tests.sample_project import FILES, ORDERS, VALUE, edited, write_project

PRODUCT, DESIGN = ORDERS + "product.yaml", ORDERS + "design.yaml"
CONTRACT, CUSTOMERS, SQL = (
    ORDERS + part for part in ("contracts/orders.odcs.yaml", "contracts/customers.odcs.yaml", "transforms/orders.sql")
)
VALUE_PRODUCT, VALUE_CONTRACT, VALUE_SQL = (
    VALUE + part for part in ("product.yaml", "contracts/order_value.odcs.yaml", "transforms/order_value.sql")
)
ANCHORS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@dataclass(frozen=True)
class Broken:
    """One change, and the fault that it has to lead to; `line` may be the text that the line holds."""

    file: str
    old: str
    new: str
    line: str | int
    what: str
    fix: str
    told_in: str = ""


VARIANTS = {
    "a key is misspelt": Broken(
        PRODUCT,
        "outputPorts:",
        "outputPort:",
        "outputPort:",
        "knows no key 'outputPort'",
        "Did you mean 'outputPorts'?",
    ),
    "a key of a column is misspelt": Broken(
        CONTRACT,
        "businessName: Amount",
        "buisnessName: Amount",
        "buisnessName",
        "properties` 'amount' knows no key",
        "Did you mean 'businessName'?",
    ),
    "a key of ours is misspelt": Broken(
        PRODUCT,
        "property: audience",
        "property: audiences",
        "audiences",
        "no property of ours",
        "Did you mean 'audience'?",
    ),
    "a text where a truth value belongs": Broken(
        CUSTOMERS, "required: false", "required: sometimes", "sometimes", "is text", "Write true or false."
    ),
    "a number where a text belongs": Broken(
        CUSTOMERS, "version: 1.2.0", "version: 1.2", "version: 1.2", "is a number", "quotes"
    ),
    "an unknown logical type": Broken(
        CUSTOMERS,
        "logicalType: string",
        "logicalType: text",
        "logicalType: text",
        "is not accepted",
        "Accepted: string",
    ),
    "an unknown physical type": Broken(
        CONTRACT, "DECIMAL(18,2)", "DECIMLA(18,2)", "DECIMLA", "unknown type", "Did you mean 'DECIMAL'?"
    ),
    "no owner": Broken(PRODUCT, "role: owner", "role: boss", "members:", "no accountable owner", "role: owner"),
    "no purpose": Broken(
        PRODUCT,
        "  purpose: Orders and customers as the till recorded them.\n",
        "  usage: Sums of orders by day.\n",
        "description:",
        "purpose (`description.purpose`) is missing",
        "Write in a sentence",
    ),
    "a placeholder for a purpose": Broken(
        PRODUCT,
        "purpose: Orders and customers as the till recorded them.",
        "purpose: TODO",
        "purpose: TODO",
        "is a placeholder",
        "Write in a sentence",
    ),
    "no status": Broken(VALUE_PRODUCT, "status: draft\n", "", 1, "status", "status"),
    "a misspelt status": Broken(
        PRODUCT, "status: active", "status: activ", "status: activ", "is not known", "Did you mean 'active'?"
    ),
    "a misspelt layer": Broken(
        PRODUCT,
        "type: sourceAligned",
        "type: sourceAlinged",
        "sourceAlinged",
        "is not known",
        "Did you mean 'sourceAligned'?",
    ),
    "an unknown version of the standard": Broken(
        CONTRACT, "apiVersion: v3.1.0", "apiVersion: v9.0.0", "v9.0.0", "`apiVersion` is", "v3.1.0"
    ),
    "a contract that is no contract": Broken(
        CONTRACT, "kind: DataContract", "kind: DataProduct", "kind:", "`kind` is", "kind: DataContract"
    ),
    "an output port on nothing": Broken(
        PRODUCT,
        "contractId: shop.orders.customers",
        "contractId: shop.orders.customer",
        "shop.orders.customer\n",
        "not of this product",
        "Did you mean 'shop.orders.customers'?",
    ),
    "an input port on nothing": Broken(
        VALUE_PRODUCT,
        "contractId: shop.orders.orders",
        "contractId: shop.orders.order",
        "shop.orders.order}",
        "nobody declares",
        "Did you mean 'shop.orders.orders'?",
    ),
    "an input port on a newer version": Broken(
        VALUE_PRODUCT, "version: 1.1.0", "version: 1.3.0", "name: buyers", "which is offered as 1.2.0", "version: 1.2.0"
    ),
    "a relationship to no table": Broken(
        CONTRACT,
        "to: [customers.customer_id]",
        "to: [custmers.customer_id]",
        "custmers",
        "points to 'custmers'",
        "Did you mean 'customers'?",
    ),
    "a relationship to no column": Broken(
        CONTRACT,
        "to: [customers.customer_id]",
        "to: [customers.customerid]",
        "customerid",
        "does not exist",
        "Did you mean 'customer_id'?",
    ),
    "a relationship from no column": Broken(
        CONTRACT,
        "from: [orders.customer_id]",
        "from: [orders.custmer_id]",
        "custmer_id",
        "is not in table 'orders'",
        "Did you mean 'customer_id'?",
    ),
    "a partition by no column": Broken(
        CONTRACT,
        "{column: ordered_on",
        "{column: orderd_on",
        "orderd_on",
        "no column of 'orders'",
        "Did you mean 'ordered_on'?",
    ),
    "a partition by text": Broken(
        CONTRACT, "{column: ordered_on", "{column: amount", "column: amount", "DECIMAL", "date or timestamp"
    ),
    "an SLA on no column": Broken(
        CONTRACT,
        "element: orders.ordered_on",
        "element: orders.orderd_on",
        "orderd_on",
        "no column of 'orders'",
        "Did you mean 'ordered_on'?",
    ),
    "an unknown metric": Broken(
        CONTRACT, "metric: rowCount", "metric: rowCuont", "rowCuont", "is not accepted", "Did you mean 'rowCount'?"
    ),
    "two operators in one rule": Broken(
        CONTRACT,
        "mustBeLessThan: 5",
        "mustBeLessThan: 5\n            mustBe: 0",
        "mustBeLessThan: 5",
        "only one of",
        "Delete all but one.",
    ),
    "a query on no table": Broken(
        CONTRACT,
        "FROM orders JOIN customers",
        "FROM orders JOIN custmers",
        "name: turnover is plausible",
        "reads 'custmers'",
        "Did you mean 'customers'?",
    ),
    "a query on no column": Broken(
        CONTRACT,
        "SELECT sum(amount) FROM",
        "SELECT sum(amonut) FROM",
        "name: turnover is plausible",
        "amonut",
        "Correct the query.",
    ),
    "a query that writes": Broken(
        CONTRACT,
        "query: SELECT sum(amount) FROM orders JOIN customers USING (customer_id)",
        "query: DROP TABLE orders",
        "name: turnover is plausible",
        "cannot be used",
        "Write one SELECT",
    ),
    "an unknown severity": Broken(
        CONTRACT, "severity: warning", "severity: warnign", "warnign", "is not known", "Did you mean 'warning'?"
    ),
    "a pattern that cannot be used": Broken(
        CUSTOMERS,
        "classification: personal",
        "classification: personal\n        logicalTypeOptions: {pattern: '(unclosed'}",
        "(unclosed",
        "cannot be used",
        "RE2",
    ),
    "a transform that reads something else": Broken(
        SQL, "FROM till_orders", "FROM till_order", "till_order\n", "reads 'till_order'", "Did you mean 'till_orders'?"
    ),
    "a transform that does not parse": Broken(
        VALUE_SQL, "GROUP BY customer_id", "GROUP customer_id BY", "GROUP", "", "SELECT"
    ),
    "a table that nothing makes": Broken(
        VALUE_SQL,
        FILES[VALUE_SQL],
        "",
        6,
        "nothing makes table 'order_value'",
        "Add transforms/order_value.sql",
        told_in=VALUE_CONTRACT,
    ),
    "a consumer-aligned product that reads a source": Broken(
        VALUE_CONTRACT,
        "schema:\n",
        "servers:\n  - {server: x, type: local, path: x.csv, format: csv}\nschema:\n",
        "servers:",
        "reads a source itself",
        "input port",
    ),
    "a cron that is none": Broken(
        PRODUCT, "0 4 * * *", "0 4 * * *  every day", "every day", "is no schedule", "Write five fields"
    ),
    "a weekly cron under a daily promise": Broken(
        PRODUCT, "0 4 * * *", "0 4 * * 1", "0 4 * * 1", "leaves 7 days between two runs", "Run it more often"
    ),
    "a user without a port": Broken(
        PRODUCT, "port: orders,", "port: order,", "port: order,", "no output port", "Did you mean 'orders'?"
    ),
    "no steward": Broken(PRODUCT, "role: steward", "role: friend", "members:", "needs a steward", "role: steward"),
    "no term": Broken(
        CUSTOMERS, "        businessName: E-mail address\n", "", "name: email", "there is no term", "businessName"
    ),
    "a promise that nothing keeps": Broken(
        CONTRACT,
        "unit: h, element: orders.ordered_on}",
        "unit: h, element: orders.ordered_on}\n  - {property: errorRate, value: 0.1, unit: percent}",
        "errorRate",
        "contract.slaProperties[] is declared-only",
        "waive it",
    ),
    "a metric on no column": Broken(
        DESIGN,
        "columns: [orders.amount]",
        "columns: [orders.amuont]",
        "amuont",
        "has no column 'amuont'",
        "Did you mean 'amount'?",
    ),
    "a story without its end": Broken(
        DESIGN, "    so_that: sums agree\n", "", "as: analyst", "lacks the key 'so_that'", "Add `so_that"
    ),
    "a test of no table": Broken(
        ORDERS + "tests/orders.yaml",
        "table: orders",
        "table: order",
        "table: order\n",
        "is not of this product",
        "Did you mean 'orders'?",
    ),
    "a key that stands twice": Broken(
        CONTRACT,
        "version: 1.0.0",
        "version: 1.0.0\nversion: 1.0.1",
        "version: 1.0.1",
        "stands twice, first in line 4",
        "Delete one",
    ),
    "a column that stands twice": Broken(
        CUSTOMERS, "name: email", "name: customer_id", "r:customer_id", "stands twice", "rename"
    ),
    "a tab": Broken(
        CONTRACT, "domain: shop\n", "domain: shop\n\tteam: x\n", "\tteam", "not YAML", "Indent with spaces"
    ),
    "an open bracket": Broken(
        PRODUCT, "value: [analysts]", "value: [analysts", "property: consumers", "not YAML", "Close the bracket"
    ),
    "a tag of Python's": Broken(
        PRODUCT, "value: silver", "value: !!python/name:os.system", "python/name", "tag", "without tags"
    ),
    "anchors that explode": Broken(
        CONTRACT, "apiVersion:", ANCHORS + "apiVersion:", "a4:", "more than 50,000 values", "anchors"
    ),
    "nesting without end": Broken(
        CONTRACT, "domain: shop", "domain: " + "[" * 5000, "[[[[", "nested more than 50 deep", "Flatten"
    ),
    "a huge file": Broken(
        CONTRACT, "domain: shop", "domain: shop\n" + "# filler\n" * 130_000, 0, "1,048,576 are the most", "Split it"
    ),
    "two documents": Broken(
        PRODUCT, "type: sourceAligned", "type: sourceAligned\n---\na: 1", "---", "several documents", "one document"
    ),
    "an empty file": Broken(
        VALUE_CONTRACT, FILES[VALUE_CONTRACT], "# nothing\n", 1, "the file is empty", "Write the declaration."
    ),
}


def line_of(text: str, mark: str | int) -> int:
    """Return the number of the line that holds `mark`; `r:` looks for the last one."""
    if isinstance(mark, int):
        return mark
    if mark.startswith("r:"):
        return text.count("\n", 0, text.rindex(mark[2:])) + 1
    return text.count("\n", 0, text.index(mark)) + 1


def test_sample_has_no_fault(tmp_path):
    """What the variants break is whole."""
    project = load_project(write_project(tmp_path))

    assert project.faults == ()
    assert [p.address for p in project.products] == ["shop/order_value@v2", "shop/orders"]


def test_there_are_enough_variants():
    """At least thirty ways of breaking a product are tried."""
    assert len(VARIANTS) >= 30


@pytest.mark.parametrize("name", VARIANTS)
def test_broken_variant_is_told_with_file_line_and_fix(tmp_path, name):
    """One fault leads to one message: its file, its very line and what to do, in under 2 s."""
    broken = VARIANTS[name]
    changes = edited(broken.file, broken.old, broken.new)
    if not broken.new and broken.old == FILES[broken.file]:
        changes = {broken.file: None}
    root = write_project(tmp_path, changes)
    began = time.monotonic()
    faults = load_project(root).faults
    took = time.monotonic() - began

    told_in = broken.told_in or broken.file
    text = (root / told_in).read_text(encoding="utf-8")
    assert [(f.path, f.line) for f in faults] == [(told_in, line_of(text, broken.line))], [str(f) for f in faults]
    assert broken.what in faults[0].what
    assert broken.fix in faults[0].fix
    assert "Traceback" not in str(faults[0])
    assert took < 2


def places_of(value, place=()):
    """Yield every place in nested data."""
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places_of(inner, (*place, key))


@pytest.mark.parametrize("name", [VALUE_PRODUCT, VALUE_CONTRACT])
def test_no_value_of_any_kind_makes_loading_raise(tmp_path, name):
    """Whatever stands at whatever place of a file, loading ends with faults or without, never with an exception."""
    strange = itertools.cycle([None, True, -1, 1.5, "", [], {}, [None], {"a": 1}, "2024-13-01", [{}], "a.b.c"])
    whole = parse_yaml(FILES[name], name).data
    root = write_project(tmp_path)
    for place in list(places_of(whole))[1:]:
        data = copy.deepcopy(whole)
        inner = data
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = next(strange)
        (root / name).write_text(json.dumps(data), encoding="utf-8")

        assert all(fault.path and fault.what for fault in load_project(root).faults)
