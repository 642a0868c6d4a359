"""The whole asset graph of this project as a golden file: keys, owners, tags, checks, schedules, dependencies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import checks
import resources
from dataproducts.compile import compile_domain

ROOT = Path(__file__).parents[1]
GOLDEN = Path(__file__).parent / "golden"


def snapshot(domain: str) -> dict[str, Any]:
    """Return what Dagster knows of a domain, without what changes from machine to machine."""
    defs = compile_domain(
        ROOT / "assets" / domain,
        environment=resources.for_environment("dev"),
        policies=checks.POLICIES,
        custom=checks.CUSTOM,
    )
    graph = defs.resolve_asset_graph()
    assets = {}
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        schema = node.metadata.get("dagster/column_schema")
        assets[key.to_user_string()] = {
            "group": node.group_name,
            "owners": list(node.owners),
            "tags": dict(sorted(node.tags.items())),
            "kinds": sorted(node.kinds),
            "deps": sorted(parent.to_user_string() for parent in node.parent_keys),
            "partitions": type(node.partitions_def).__name__ if node.partitions_def else None,
            "columns": [f"{column.name} {column.type}" for column in schema.columns] if schema else None,
            "checks": sorted(
                f"{check.name}{' (blocking)' if graph.get(check).blocking else ''}" for check in node.check_keys
            ),
            "external": not node.is_materializable,
        }
    repository = defs.get_repository_def()
    return {
        "assets": assets,
        "jobs": sorted(name for name in repository.job_names if not name.startswith("__")),
        "schedules": {
            s.name: [s.cron_schedule, s.execution_timezone, s.default_status.value]
            for s in sorted(repository.schedule_defs, key=lambda s: s.name)
        },
        "sensors": {s.name: [s.minimum_interval_seconds, s.default_status.value] for s in repository.sensor_defs},
    }


@pytest.mark.parametrize("domain", ["marketing", "retail"])
def test_the_graph_is_what_it_was(domain: str, request: pytest.FixtureRequest) -> None:
    """Any change of the graph shows as a change of the golden file; `--golden` writes it anew."""
    path = GOLDEN / f"graph_{domain}.json"
    found = snapshot(domain)
    if request.config.getoption("--golden"):
        path.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(found))


@pytest.mark.parametrize("domain", ["marketing", "retail"])
def test_nothing_is_unowned(domain: str) -> None:
    """Each asset, sources too, has an owner, a lifecycle, a tier, a layer and a domain."""
    for key, asset in snapshot(domain)["assets"].items():
        assert asset["owners"], key
        assert {"domain", "layer", "lifecycle", "tier"} <= set(asset["tags"]), key


@pytest.mark.parametrize("domain", ["marketing", "retail"])
def test_the_definitions_file_of_the_domain_loads(domain: str) -> None:
    """What `workspace.yaml` points at gives definitions that Dagster accepts as a whole."""
    import runpy

    defs = runpy.run_path(str(ROOT / "assets" / domain / "definitions.py"))["defs"]
    assert isinstance(defs, dg.Definitions)
    dg.Definitions.validate_loadable(defs)
