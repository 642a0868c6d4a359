"""Results as JUnit XML, as Jenkins, GitLab and their like read it; it must not know where results come from.

One suite a table, one case a rule. A rule that blocks and fails is a failure, one that could not be judged an error,
one that is declared-only skipped; a warning passes, and says so in its output. Cases have no children but those of
Jenkins' schema, so that what else is known of a rule stands in `system-out`, one `name: value` a line.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from dataproducts.reports.results import JudgedTable, Outcome, Results, rejected_rows, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# What XML 1.0 cannot hold, escaped or not: a sample may.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SHOWN_PARTITIONS = 20


def as_junit(results: Iterable[Results]) -> str:
    """Return `results` as one XML document, UTF-8."""
    root = ET.Element("testsuites", name="dataproducts")
    for one in results:
        for table in one.tables:
            root.append(_suite(one, table))
        if one.reason or not one.tables:
            root.append(_release(one))
    for key in ("tests", "failures", "errors"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(one: Results, table: JudgedTable) -> ET.Element:
    name = f"{one.subject}.{table.name}" if table.alias else table.name
    rules, counts = table.rules, table.counts
    suite = _empty_suite(one, name, len(rules))
    suite.set("failures", str(counts["failed"]))
    suite.set("errors", str(counts["error"]))
    suite.set("skipped", str(counts["skipped"]))
    properties = ET.SubElement(suite, "properties")
    facts = {
        "subject": one.subject,
        "state": one.state,
        "release": one.release,
        "run": one.run,
        "lifecycle": one.warning,
        "rows": table.rows,
        "warnings": counts["warned"],
        "quarantined_rows": table.quarantined_rows or None,
    }
    facts |= {f"quarantined.{name}": count for name, count in table.quarantined.items() if name not in rules}
    for key, value in facts.items():
        if value not in (None, ""):
            ET.SubElement(properties, "property", name=key, value=_text(value))
    for parts in rules.values():
        suite.append(_case(name, parts, table))
    return suite


def _empty_suite(one: Results, name: str, tests: int) -> ET.Element:
    # Jenkins' schema knows no zone in a timestamp: it is UTC.
    at = one.judged_at.strftime("%Y-%m-%dT%H:%M:%S")
    return ET.Element("testsuite", name=_text(name), tests=str(tests), failures="0", errors="0", timestamp=at)


def _case(suite: str, parts: Sequence[Outcome], table: JudgedTable) -> ET.Element:
    told = worst(parts)
    case = ET.Element("testcase", name=_text(told.rule), classname=_text(suite), status=told.state)
    if told.state == "skipped":
        ET.SubElement(case, "skipped").text = _text(told.message)
    elif told.state in {"error", "failed"}:
        tag = "error" if told.state == "error" else "failure"
        ET.SubElement(case, tag, message=_text(told.reason), type=told.kind).text = _text(_findings(parts))
    out = _facts(parts, told, table.quarantined.get(told.rule))
    out += "".join(f"\nquarantined: {_row(row)}" for row in table.quarantined_sample.get(told.rule, ()))
    if told.state == "warned":
        out = f"warning: {_findings(parts)}\n{out}"
    ET.SubElement(case, "system-out").text = _text(out)
    return case


def _findings(parts: Sequence[Outcome]) -> str:
    """What a rule found, by partition, and masked examples of rejected rows."""
    lines = []
    wrong = [part for part in parts if part.state in {"error", "failed", "warned"}]
    for part in wrong[:_SHOWN_PARTITIONS]:
        lines.append(f"{part.partition}: {part.reason}" if part.partition else part.reason)
        lines += [f"  {_row(row)}" for row in part.sample]
    if len(wrong) > _SHOWN_PARTITIONS:
        lines.append(f"and {len(wrong) - _SHOWN_PARTITIONS} more partitions")
    return "\n".join(lines)


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in row.items())


def _facts(parts: Sequence[Outcome], told: Outcome, aside: int | None) -> str:
    facts = {
        "state": told.state,
        "kind": told.kind,
        "dimension": told.dimension,
        "severity": told.severity,
        "criticality": told.criticality,
        "blocking": "yes" if told.blocking else "no",
        "columns": ", ".join(told.columns),
        "observed": None if told.observed is None else f"{told.observed:g}",
        "threshold": told.threshold,
        "failed_rows": rejected_rows(parts),
        "total_rows": sum(part.total_rows for part in parts),
        "quarantined_rows": aside,
        "partitions": len(parts) if told.partition else None,
        "method": told.method,
        "declared_at": told.declared_at,
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items() if value not in (None, ""))


def _release(one: Results) -> ET.Element:
    """A suite with one case: whether the product was released, so that one without any result is not green."""
    suite = _empty_suite(one, one.subject, 1)
    case = ET.SubElement(suite, "testcase", name="release", classname=_text(one.subject), status=one.state)
    if not one.passed:
        suite.set("errors", "1")
        why = one.reason or f"{one.subject} is {one.state}"
        ET.SubElement(case, "error", message=_text(why), type="release").text = _text(why)
    return suite


def _text(value: object) -> str:
    return _ILLEGAL.sub("\ufffd", str(value))
