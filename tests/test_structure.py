"""The promises about structure: what the wheel holds, which way imports run, what loads when, what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import dataproducts
from tests.shop import make_shop

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "dataproducts"
MODULES = {
    ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in LIBRARY.rglob("*.py")
}

# From the ground up: a module or package may import from its own floor, if the test for cycles allows it, and below.
FLOORS = [
    ["errors"],
    ["sql", "database", "markup"],
    ["product", "objective", "verdict", "release", "finding", "partitions", "revision", "trial"],
    ["directory"],
    ["environment", "standing"],
    ["rules", "sources"],
    ["declare", "transforms", "gate", "store", "ledger", "operations", "frames", "read", "profile"],
    ["load", "policy", "inputs", "warehouse", "serving", "publish"],
    ["impact", "meter"],
    ["incidents", "findings", "trackers", "causes"],
    ["alerts"],
    ["changes", "check", "lifecycle", "metrics", "ports", "releases", "retention", "quarantine", "reports"],
    ["scene", "pytest_plugin"],
    ["history", "past"],
    ["consume", "write", "judging", "plan"],
    ["slo"],
    ["status"],
    ["refresh", "recheck", "replay", "audit", "restored"],
    ["watch"],
    ["compile"],
    ["cli"],
]


def imports(path: Path, *, everywhere: bool = False) -> set[str]:
    """Return the modules that the file imports when it is imported (or anywhere in it)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test) and not everywhere:
                continue
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not everywhere:
                continue
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module:
                found.add(child.module)
                found.update(f"{child.module}.{alias.name}" for alias in child.names)
            visit(child)

    visit(tree)
    return found


def test_wheel_holds_the_library_alone(tmp_path: Path) -> None:
    """The built wheel installs exactly one top-level name, with its schemas, migrations and type marker."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {"dataproducts"} == {top for top in tops if not top.endswith(".dist-info")}
    assert "dataproducts/py.typed" in names
    assert any(name.startswith("dataproducts/schemas/") and name.endswith(".json") for name in names)
    for branch in ("ledger", "operations"):
        assert f"dataproducts/{branch}/migrations/versions/r0001_first.py" in names


def test_installed_wheel_runs_a_product_elsewhere(tmp_path: Path) -> None:
    """A product builds with the installed wheel, from a folder that has nothing of this repository on its path."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    project = make_shop(tmp_path / "project")
    (project / "resources").mkdir()
    (project / "resources/__init__.py").write_text(
        "from datetime import UTC, datetime\nfrom pathlib import Path\nfrom dataproducts import Environment\n"
        "def for_environment(name=None):\n"
        "    root = Path(__file__).parents[1]\n"
        "    return Environment('t', root, root / '.dataproducts', clock=datetime(2024, 1, 11, 6, tzinfo=UTC))\n",
        encoding="utf-8",
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import dataproducts; "
        "assert dataproducts.__file__.startswith(sys.argv[1]), dataproducts.__file__; "
        "from dataproducts.cli import main; main(['build'])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", code, str(site)],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DAGSTER_HOME": str(tmp_path / "dagster")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert "released as shop/revenue #1" in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_library_never_names_the_project(name: str) -> None:
    """No module of the library imports the project's assets, checks or resources."""
    tops = {found.split(".")[0] for found in imports(MODULES[name], everywhere=True)}
    assert not tops & {"assets", "checks", "resources", "tests", "benchmarks"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_compile_imports_dagster(name: str) -> None:
    """Dagster is known to one subpackage, wherever in a file the import stands."""
    tops = {found.split(".")[0] for found in imports(MODULES[name], everywhere=True)}
    inside = name == "dataproducts.compile" or name.startswith("dataproducts.compile.")
    assert inside or not {top for top in tops if top.startswith("dagster")}


def test_no_import_cycle() -> None:
    """Following module-level imports never leads back to where one started."""
    edges = {
        name: {found for found in imports(path) if found in MODULES and found != name} for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        for found in sorted(edges[name]):
            # Importing a name from a package runs the package's __init__, which is the package itself.
            if not path or found != name.rpartition(".")[0]:
                visit(found, (*path, name))
        done.add(name)

    for name in sorted(MODULES):
        visit(name, ())


def test_floors_only_look_down() -> None:
    """Every module stands on a floor, and knows nothing of what is built on it."""
    height = {name: at for at, floor in enumerate(FLOORS) for name in floor}
    parts = {name: name.split(".")[1] for name in MODULES if name != "dataproducts"}
    assert set(height) == set(parts.values())
    for name, part in parts.items():
        known = {parts[found] for found in imports(MODULES[name], everywhere=True) if found in parts}
        assert {found for found in known if height[found] > height[part]} == set(), name


@pytest.mark.parametrize(
    "module",
    [
        "dataproducts",
        "dataproducts.cli",
        "dataproducts.load",
        "dataproducts.gate",
        "dataproducts.check",
        "dataproducts.sources.files",
    ],
)
def test_light_import(module: str) -> None:
    """What serves a file command loads no orchestrator and no data-frame library."""
    heavy = "{'dagster', 'pandas', 'pandera', 'great_expectations', 'polars', 'pyarrow'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == done.stdout.strip()


def test_public_surface() -> None:
    """The names that a user imports from the package, spelled by hand."""
    assert {"DataProduct", "DataProductError", "Environment"} == set(dataproducts.__all__)
    assert all(hasattr(dataproducts, name) for name in dataproducts.__all__)
