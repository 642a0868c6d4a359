"""Each tool's project, rendered from the same SQL and the same checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.end_to_end.peers.dbt import Dbt
from benchmarks.end_to_end.peers.ours import Build, Job
from benchmarks.end_to_end.peers.plain_dagster import PlainDagster
from benchmarks.end_to_end.peers.script import Script
from benchmarks.end_to_end.peers.sqlmesh import SqlMesh

if TYPE_CHECKING:
    from benchmarks.end_to_end.tool import Tool

TOOLS: tuple[Tool, ...] = (
    Script("script", "one hand-written DuckDB script", "none"),
    Script("floor", "the same in one transaction: the floor", "one"),
    Dbt(),
    SqlMesh(),
    PlainDagster("dagster", "plain Dagster, IO manager, pandera, in-process", "in_process"),
    PlainDagster("dagster-multiprocess", "the same with the default multiprocess executor", "multiprocess"),
    Build(),
    Job(),
)
"""Everybody, in the order of the tables."""
