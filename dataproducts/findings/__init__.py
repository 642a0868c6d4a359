"""What the ledger recorded since the last look, as findings and recoveries; it must not know incidents' lives."""

from __future__ import annotations

from dataproducts.findings.look import PATIENCE, RunState, StateOfRun
from dataproducts.findings.read import Found, read_findings
from dataproducts.findings.refreshes import ORIGIN, REFRESH, RELEASE, SOURCES, pipeline_subject
from dataproducts.findings.rules import severity_of
from dataproducts.findings.undeclared import REASON

__all__ = [
    "ORIGIN",
    "PATIENCE",
    "REASON",
    "REFRESH",
    "RELEASE",
    "SOURCES",
    "Found",
    "RunState",
    "StateOfRun",
    "pipeline_subject",
    "read_findings",
    "severity_of",
]
