"""Results that travel: JSON, JUnit XML and OpenLineage events, of files, builds and releases, and on a terminal."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from jsonschema import Draft202012Validator

from dataproducts.cli.verdicts import fold, print_samples, summary
from dataproducts.errors import StoreError, UnknownNameError, UsageError
from dataproducts.reports.junit import as_junit
from dataproducts.reports.openlineage import events
from dataproducts.reports.results import JudgedTable, Outcome, Results, as_json
from dataproducts.reports.write import wanted, write_reports
from tests.pages import ROOT, run
from tests.shop import edit, make_shop, write_customers

NOW = datetime(2024, 2, 1, 6, tzinfo=UTC)
ORDERS, REVENUE = "shop/orders", "shop/revenue"
CUSTOMERS = "assets/shop/orders/contracts/customers.odcs.yaml"
SECRET = ({"id": 1, "email": "***", "note": "a\x00b\ufffe <&> ö"},)


def outcome(rule, kind="range", **changes):
    """Build an outcome in one line."""
    told = {"dimension": "validity", "severity": "error", "blocking": True, "passed": True, "total_rows": 9}
    told |= {"observed": 0.0, "failed_rows": 0, "threshold": "mustBe 0 rows", "columns": ("id",)}
    return Outcome(rule, kind, **told | changes)


FAILED = {"passed": False, "observed": 2.0, "failed_rows": 2, "message": "2 of 9 rows: id below 0"}
OUTCOMES = (
    outcome("id.required", "required"),
    outcome("id.range", sample=SECRET, **FAILED),
    outcome("loose", blocking=False, severity="warning", **FAILED),
    outcome("told", blocking=False, severity="info", **FAILED),
    outcome("broken", "sql", passed=False, observed=None, failed_rows=None, error="no such column", columns=()),
    outcome("prose", "text", blocking=False, message="declared only", method="declared-only", observed=None),
    outcome("daily", partition="2024-01-01"),
    outcome("daily", partition="2024-01-02", **FAILED),
    outcome("odd", observed=float("nan"), sample=({"x": float("inf")},), passed=False),
)
ASIDE_ROWS = {"id.range": ({"id": 7, "email": "***", "x": float("nan")},)}
TABLE = JudgedTable(
    "orders",
    OUTCOMES,
    namespace="file",
    dataset="data/orders",
    columns=(("id", "BIGINT"),),
    rows=9,
    alias="s/o.orders",
    quarantined_rows=3,
    quarantined={"id.range": 2, "id.outliers": 2},
    quarantined_sample=ASIDE_ROWS,
)
RESULTS = Results("s/o", "refused", NOW, (TABLE,), run="0b5f8e5a-0000-4000-8000-000000000000")


@pytest.fixture
def shop(tmp_path):
    """A project with two products that were never built."""
    return make_shop(tmp_path / "shop")


@pytest.fixture
def command(shop, monkeypatch):
    """What runs a command in the project."""
    return lambda *arguments: run(shop, *arguments, monkeypatch=monkeypatch)


# What Jenkins' schema allows: attributes, and children in this order.
JENKINS = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, ["testsuite"]),
    "testsuite": (
        {
            "name",
            "tests",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        },
        ["properties", "testcase", "system-out", "system-err"],
    ),
    "properties": (set(), ["property"]),
    "property": ({"name", "value"}, []),
    "testcase": (
        {"name", "assertions", "time", "classname", "status"},
        ["skipped", "error", "failure", "system-out", "system-err"],
    ),
    "failure": ({"message", "type"}, []),
    "error": ({"message", "type"}, []),
    "skipped": (set(), []),
    "system-out": (set(), []),
}


def conforms(element):
    """Hold an element, and all in it, against Jenkins' schema."""
    attributes, children = JENKINS[element.tag]
    assert set() == set(element.keys()) - attributes, element.tag
    places = [children.index(child.tag) for child in element]
    assert sorted(places) == places, element.tag
    for child in element:
        conforms(child)


def junit(text):
    """Parse a JUnit document, and return its cases by suite and name, with counts proved."""
    root = ET.fromstring(text.encode())  # noqa: S314 - made here
    conforms(root)
    cases = {}
    for suite in root:
        found = suite.findall("testcase")
        cases |= {(suite.get("name"), case.get("name")): case for case in found}
        counted = [len(found), *(len(suite.findall(f"testcase/{tag}")) for tag in ("failure", "error", "skipped"))]
        assert counted == [int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped")]
    for key in ("tests", "failures", "errors"):
        assert int(root.get(key)) == sum(int(suite.get(key)) for suite in root)
    return cases


def test_junit_tells_failure_from_error_from_warning_from_skipped():
    """One case a rule, partitions added up; the text holds what was found and masked examples, in XML that parses."""
    cases = junit(as_junit([RESULTS]))
    states = {name: case.get("status") for (_, name), case in cases.items()}
    assert states == {
        "id.required": "passed",
        "id.range": "failed",
        "loose": "warned",
        "told": "warned",
        "broken": "error",
        "prose": "skipped",
        "daily": "failed",
        "odd": "failed",
    }
    suite = "s/o.orders"
    assert "id=1, email=***, note=a\ufffdb\ufffd <&> ö" in cases[suite, "id.range"].findtext("failure")
    assert "2024-01-02: 2 of 9 rows: id below 0" == cases[suite, "daily"].findtext("failure")
    assert cases[suite, "loose"].findtext("system-out").startswith("warning: 2 of 9 rows: id below 0\n")
    facts = dict(line.split(": ", 1) for line in cases[suite, "daily"].findtext("system-out").splitlines())
    wanted_facts = {"dimension": "validity", "severity": "error", "failed_rows": "2", "total_rows": "18"}
    assert wanted_facts == {name: facts[name] for name in wanted_facts}


def test_junit_tells_what_was_set_aside():
    """The rows of a rule stand in its case; those in all, and of a policy that is no rule, in the suite."""
    text = as_junit([RESULTS])
    out = junit(text)["s/o.orders", "id.range"].findtext("system-out")
    assert "quarantined_rows: 2\n" in out
    assert "quarantined: id=7, email=***, x=nan\n" in f"{out}\n"
    assert "quarantined" not in junit(text)["s/o.orders", "loose"].findtext("system-out")
    told = {one.get("name"): one.get("value") for one in ET.fromstring(text.encode()).iter("property")}  # noqa: S314
    assert ("3", "2") == (told["quarantined_rows"], told["quarantined.id.outliers"])
    assert "quarantined.id.range" not in told


def test_what_was_never_judged_is_not_green():
    """A product that could not be built has no results: its suite holds an error that says why."""
    text = as_junit([Results("s/o", "refused", NOW, reason="crm.csv: there is no such file")])
    (case,) = junit(text).values()
    assert "crm.csv: there is no such file" == case.find("error").get("message")


def test_json_is_what_its_schema_says():
    """Numbers that JSON lacks become text; every field is described."""
    value = json.loads(json.dumps(as_json([RESULTS]), allow_nan=False))
    schema = json.loads((ROOT / "docs/json/results.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator(schema).validate(value)
    (table,) = value["results"][0]["tables"]
    assert {"passed": 1, "failed": 3, "warned": 2, "error": 1, "skipped": 1} == table["counts"]
    described = schema["properties"]["results"]["items"]["properties"]["tables"]["items"]["properties"]
    assert described.keys() == table.keys()
    assert described["rules"]["items"]["properties"].keys() == table["rules"][0].keys()
    assert (3, {"id.range": 2, "id.outliers": 2}) == (table["quarantined_rows"], table["quarantined"])
    assert {"id.range": [{"id": 7, "email": "***", "x": "nan"}]} == table["quarantined_sample"]


def test_openlineage_events_follow_the_specification():
    """A run starts and ends under one id; the table's assertions, metrics and schema are facets of its input."""
    start, end = events(RESULTS)
    assert ("START", "FAIL") == (start["eventType"], end["eventType"])
    assert start["run"]["runId"] == end["run"]["runId"] == str(UUID(end["run"]["runId"]))
    assert start["job"] == end["job"]
    assert ("dataproducts", "s/o.gate") == (end["job"]["namespace"], end["job"]["name"])
    assert end["eventTime"] == "2024-02-01T06:00:00Z"
    (dataset,) = end["inputs"]
    assert ("file", "data/orders") == (dataset["namespace"], dataset["name"])
    assert [{"name": "id", "type": "BIGINT"}] == dataset["facets"]["schema"]["fields"]
    assert ["s/o.orders"] == [one["name"] for one in dataset["facets"]["symlinks"]["identifiers"]]
    metrics = dataset["inputFacets"]["dataQualityMetrics"]
    assert (9, {"id": {"nullCount": 0}}) == (metrics["rowCount"], metrics["columnMetrics"])
    told = {one["name"]: one for one in dataset["inputFacets"]["dataQualityAssertions"]["assertions"]}
    assert "prose" not in told  # nobody asserts what nobody judges
    assert (2, 0) == tuple(told[name]["params"]["quarantinedRows"] for name in ("id.range", "loose"))
    assert ("not_null", True, "error", "id") == tuple(
        told["id.required"][key] for key in ("assertion", "success", "severity", "column")
    )
    assert [False, "warn", "info", "error"] == [
        told["daily"]["success"],
        *(told[name]["severity"] for name in ("loose", "told", "broken")),
    ]
    assert "***" not in json.dumps(end)  # examples of rows do not travel
    json.dumps(end, allow_nan=False)
    assert "COMPLETE" == list(events(Results("s/o", "released", NOW, (TABLE,))))[1]["eventType"]


def test_openlineage_classes_take_the_events():
    """The project's own Python client has a place for every field, and names the same schemas."""
    client = pytest.importorskip("openlineage.client.generated.base")
    from openlineage.client.generated import (
        data_quality_assertions_dataset,
        data_quality_metrics_input_dataset,
        error_message_run,
        job_type_job,
        processing_engine_run,
        schema_dataset,
        symlinks_dataset,
    )

    def same(facet, kind, **nested):
        given = {name: value for name, value in facet.items() if not name.startswith("_")}
        given |= {name: [inner(**one) for one in given[name]] for name, inner in nested.items()}
        assert kind(**given)._schemaURL == facet["_schemaURL"]

    _, end = events(RESULTS)
    client.RunEvent(**{name: end[name] for name in ("eventTime", "run", "job", "producer")})
    assert client.RunEvent._get_schema() == end["schemaURL"]
    (dataset,) = end["inputs"]
    assertions = data_quality_assertions_dataset
    same(
        dataset["inputFacets"]["dataQualityAssertions"],
        assertions.DataQualityAssertionsDatasetFacet,
        assertions=assertions.Assertion,
    )
    metrics = data_quality_metrics_input_dataset
    same(dataset["inputFacets"]["dataQualityMetrics"], metrics.DataQualityMetricsInputDatasetFacet)
    for column in dataset["inputFacets"]["dataQualityMetrics"]["columnMetrics"].values():
        metrics.ColumnMetrics(**column)
    schema = schema_dataset
    same(dataset["facets"]["schema"], schema.SchemaDatasetFacet, fields=schema.SchemaDatasetFacetFields)
    links = symlinks_dataset
    same(dataset["facets"]["symlinks"], links.SymlinksDatasetFacet, identifiers=links.Identifier)
    same(end["run"]["facets"]["processing_engine"], processing_engine_run.ProcessingEngineRunFacet)
    same(end["run"]["facets"]["errorMessage"], error_message_run.ErrorMessageRunFacet)
    same(end["job"]["facets"]["jobType"], job_type_job.JobTypeJobFacet)


def test_a_report_is_whole_or_not_there(tmp_path):
    """What was there is replaced at once; a report that cannot be written leaves it as it was."""
    path = tmp_path / "new/folder/results.xml"
    write_reports([("junit", path)], [RESULTS])
    before = path.read_text(encoding="utf-8")
    junit(before)
    write_reports([("junit", path)], [])
    assert before != path.read_text(encoding="utf-8")
    blocked = tmp_path / "file"
    blocked.write_text("x", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        write_reports([("json", blocked / "results.json")], [RESULTS])
    with pytest.raises(AttributeError):
        write_reports([("openlineage", blocked)], [Results("s/o", "released", object())])
    assert "x" == blocked.read_text(encoding="utf-8")
    assert ["results.xml"] == [file.name for file in path.parent.iterdir()]


def test_a_report_that_cannot_be_made_is_refused_first(tmp_path):
    """A misspelt format is suggested; a folder, no file, and the same file twice are refused."""
    with pytest.raises(UnknownNameError, match="Did you mean 'junit'"):
        wanted(["juint=x.xml"])
    for bad in (["junit"], ["junit="], [f"junit={tmp_path}"], [f"json={tmp_path / 'a'}", f"junit={tmp_path / 'a'}"]):
        with pytest.raises(UsageError, match="--report"):
            wanted(bad)
    (name, path), *_ = wanted([f"json={tmp_path}/a=b.json"])
    assert ("json", "a=b.json") == (name, path.name)


def test_check_reports_what_it_found_on_a_file(tmp_path, monkeypatch):
    """Three reports of one check agree, and none shows a classified value."""
    (tmp_path / "c.csv").write_text("id,email\n1,a@x.org\n1,hidden\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text(
        "{apiVersion: v3.1.0, kind: DataContract, id: c, version: 1.0.0, status: draft, schema: [{name: c, properties: "
        "[{name: id, logicalType: integer, primaryKey: true}, {name: email, logicalType: string, "
        "classification: personal, logicalTypeOptions: {pattern: '@'}}]}]}",
        encoding="utf-8",
    )
    reports = [f"--report={name}={name}.out" for name in ("json", "junit", "openlineage")]
    ran = run(tmp_path, "check", "c.csv", "--contract", "c.yaml", *reports, monkeypatch=monkeypatch)
    assert 1 == ran.code
    texts = {name: (tmp_path / f"{name}.out").read_text(encoding="utf-8") for name in ("json", "junit", "openlineage")}
    assert not any("hidden" in text for text in texts.values())
    (one,) = json.loads(texts["json"])["results"]
    wrong = {rule["rule"] for table in one["tables"] for rule in table["rules"] if not rule["passed"]}
    assert {"primary_key", "email.pattern"} == wrong
    assert wrong == {name for (_, name), case in junit(texts["junit"]).items() if case.find("failure") is not None}
    dataset = json.loads(texts["openlineage"].splitlines()[1])["inputs"][0]
    assert (str(tmp_path / "c.csv"), 2) == (dataset["name"], dataset["inputFacets"]["dataQualityMetrics"]["rowCount"])
    ran = run(tmp_path, "check", "c.csv", "--contract", "c.yaml", "--report", "xml=x", monkeypatch=monkeypatch)
    assert (1, "dataproducts: there is no report 'xml'. Known: json, junit, openlineage.\n") == (ran.code, ran.err)


def rules_of(text, product):
    """The rules of one product in a JSON report, by table and partition."""
    (one,) = (one for one in json.loads(text)["results"] if one["subject"] == product)
    found = {(t["table"], r["rule"], r["partition"]): r for t in one["tables"] for r in t["rules"]}
    assert len(found) == sum(len(table["rules"]) for table in one["tables"])
    return one, found


def test_build_and_results_tell_what_a_release_rests_on(command, shop):
    """After a build, after nothing to do and after one day's load, every rule of every table has one result."""
    assert 0 == command("build", "--report", "json=r.json", "--report", "junit=r.xml").code
    first, rules = rules_of((shop / "r.json").read_text(encoding="utf-8"), ORDERS)
    assert ("released", 1) == (first["state"], first["release"])
    assert {True} == {rule["passed"] for rule in rules.values()}
    junit((shop / "r.xml").read_text(encoding="utf-8"))
    assert 0 == command("build", "--report", "json=r.json").code
    again, same = rules_of((shop / "r.json").read_text(encoding="utf-8"), ORDERS)
    assert ("up to date", rules) == (again["state"], same)
    assert 0 == command("build", ORDERS, "--partition", "2024-01-05").code
    said = command("results", ORDERS, "--json")
    second, third = rules_of(said.out, ORDERS)
    assert (0, 2, rules.keys()) == (said.code, second["release"], third.keys())
    old = command("results", ORDERS, "--release", "1", "--format", "json")
    assert {key: rule["judged_at"] for key, rule in rules.items()} == {
        key: rule["judged_at"] for key, rule in rules_of(old.out, ORDERS)[1].items()
    }
    assert 0 == command("rollback", ORDERS, "--to", "1").code
    back = rules_of(command("results", ORDERS, "--json").out, ORDERS)
    assert (3, rules) == (back[0]["release"], back[1])


def test_what_was_set_aside_is_told_wherever_results_are(command, shop):
    """Of a build, refused or not, of a release and of a check of it: how many rows, and by which rules."""
    write_customers(shop, "1,a@x.org\n2,nonsense\n3,no\n4,d@x.org\n")

    def told(text):
        found = {table["table"]: table for one in json.loads(text)["results"] for table in one["tables"]}
        return found["customers"]["quarantined_rows"], found["customers"]["quarantined"]

    expected = (2, {"email.pattern": 2})
    assert 1 == command("build", ORDERS, "--report", "json=r.json").code  # orders of customers that are not there
    assert expected == told((shop / "r.json").read_text(encoding="utf-8"))
    edit(
        shop / "assets/shop/orders/contracts/orders.odcs.yaml",
        "        relationships: [{to: customers.customer_id}]\n",
        "",
    )
    assert 0 == command("build", ORDERS, "--report", "json=r.json").code
    assert expected == told((shop / "r.json").read_text(encoding="utf-8"))
    assert expected == told(command("results", ORDERS, "--json").out)
    assert "  email.pattern: 2 rows quarantined\n" in command("results", ORDERS).out
    assert 0 == command("check", ORDERS, "--report", "json=r.json", "--report", "junit=r.xml").code
    assert expected == told((shop / "r.json").read_text(encoding="utf-8"))
    case = junit((shop / "r.xml").read_text(encoding="utf-8"))[f"{ORDERS}.customers", "email.pattern"]
    assert "quarantined_rows: 2" in case.findtext("system-out").splitlines()


def test_a_refused_build_is_reported(command, shop):
    """What refused the product, and what was not built because of it, are failures and errors in the report."""
    edit(shop / CUSTOMERS, "onFailure, value: quarantine", "onFailure, value: refuse")
    write_customers(shop, "1,a@x.org\n2,nonsense\n")
    assert 1 == command("build", "--report", "junit=r.xml", "--report", "openlineage=r.ndjson").code
    cases = junit((shop / "r.xml").read_text(encoding="utf-8"))
    failed = {key for key, case in cases.items() if case.find("failure") is not None}
    assert (f"{ORDERS}.customers", "email.pattern") in failed
    assert {(ORDERS, "release"), (REVENUE, "release")} <= {k for k, c in cases.items() if c.find("error") is not None}
    kinds = [json.loads(line)["eventType"] for line in (shop / "r.ndjson").read_text(encoding="utf-8").splitlines()]
    assert ["START", "FAIL"] * 2 == kinds


def test_results_of_what_was_never_released(command):
    """Unknown products, releases and formats are told by name."""
    assert 0 == command("build").code
    for arguments, why in (
        (["shop/ordres"], "Did you mean 'shop/orders'"),
        ([ORDERS, "--release", "7"], "there is no release '7' of shop/orders"),
        ([ORDERS, "--format", "junti"], "Did you mean 'junit'"),
    ):
        ran = command("results", *arguments)
        assert (1, True) == (ran.code, why in ran.err), ran.err
    ran = command("results", ORDERS)
    assert (0, True) == (ran.code, "rules: " in ran.out)
    junit(command("results", ORDERS, "--format", "junit").out)


def test_names_break_where_words_end():
    """Long names fold after `_` and `.`, those without either where they must."""
    assert "a_very_long_\nname.that_\nfolds" == fold("a_very_long_name.that_folds", 12)
    assert "abcdef\nghij" == fold("abcdefghij", 6)
    assert ("", "_", "x.") == (fold("", 5), fold("_", 5), fold("x.", 5))


def test_a_summary_counts_rules_not_partitions():
    """One line tells what became of how many rules."""
    assert "8 rules: 1 passed, 1 declared only, 2 warned, 3 failed, 1 not judged" == summary(OUTCOMES).plain
    assert ("0 rules", "1 rule: 1 passed") == (summary([]).plain, summary(OUTCOMES[:1]).plain)


def test_samples_that_look_alike_are_shown_once(capsys):
    """Masked rows repeat: one line tells how many there are."""
    rows = ({"email": "***"},) * 3 + ({"email": None},)
    print_samples([outcome("r", sample=rows, **FAILED)])
    assert ["  r: rejected rows, for instance", "    email='***' (3 alike)", "    email=NULL"] == (
        capsys.readouterr().out.splitlines()
    )
