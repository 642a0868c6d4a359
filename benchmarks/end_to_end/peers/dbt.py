"""dbt-duckdb: models, generic tests, `dbt build`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.end_to_end.checks import TABLES, Check, of_table
from benchmarks.end_to_end.measure import Command
from benchmarks.end_to_end.tool import INPUTS, Shown, files, renamed, select
from dataproducts.sql import literal

if TYPE_CHECKING:
    from pathlib import Path

_GENERIC = {
    "in_range": "{% test in_range(model, column_name, low, high) %}\n"
    "SELECT * FROM {{ model }} WHERE {{ column_name }} NOT BETWEEN {{ low }} AND {{ high }}\n{% endtest %}\n",
    "unique_together": "{% test unique_together(model, columns) %}\n"
    "SELECT {{ columns | join(', ') }} FROM {{ model }}\n"
    "WHERE {{ columns | join(' IS NOT NULL AND ') }} IS NOT NULL\n"
    "GROUP BY {{ columns | join(', ') }} HAVING count(*) > 1\n{% endtest %}\n",
    "enough_rows": "{% test enough_rows(model, least) %}\n"
    "SELECT * FROM (SELECT count(*) AS rows_found FROM {{ model }}) AS counted\n"
    "WHERE rows_found < {{ least }}\n{% endtest %}\n",
}


@dataclass(frozen=True, slots=True)
class Dbt:
    """`dbt build`: each model, then its tests, then what is downstream."""

    name: str = "dbt"
    title: str = "dbt-duckdb, `dbt build`"
    peer: str = "dbt"

    def prepare(self, work: Path) -> None:
        """Write project, profile, models with their tests, and the generic tests that dbt lacks."""
        project = {
            "name": "shop",
            "version": "1.0.0",
            "profile": "shop",
            "models": {"shop": {"+materialized": "table"}},
            "flags": {"send_anonymous_usage_stats": False},
        }
        target = {"type": "duckdb", "path": str(work / "warehouse.duckdb"), "threads": 2}
        _dump(work / "dbt_project.yml", project)
        _dump(work / "profiles.yml", {"shop": {"target": "dev", "outputs": {"dev": target}}})
        for name, text in _GENERIC.items():
            _write(work / "tests" / "generic" / f"{name}.sql", text)
        for name in INPUTS:
            sql = f"SELECT * FROM read_parquet({literal(files(work, name))})"
            _write(work / "models" / f"{name}.sql", "{{ config(materialized='view') }}\n" + sql)
        for table in TABLES:
            _write(work / "models" / f"{table}.sql", renamed(select(table), lambda name: f"{{{{ ref('{name}') }}}}"))
        _dump(work / "models" / "schema.yml", {"version": 2, "models": [_model(table) for table in TABLES]})

    def first(self, work: Path, python: Path) -> Command:
        """Build everything."""
        argv = [str(python.parent / "dbt"), "build", "--project-dir", ".", "--profiles-dir", "."]
        return Command(argv, work, {"DO_NOT_TRACK": "1"})

    def next(self, work: Path, python: Path, day: int) -> Command:
        """Build everything again, with what dbt remembers of its parsing."""
        del day
        return self.first(work, python)

    def shown(self, work: Path) -> Shown:
        """The database that it writes."""
        return Shown(work / "warehouse.duckdb", "main")


def _model(table: str) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {}
    tests: list[Any] = []
    for check in of_table(table):
        if len(check.columns) == 1:
            columns.setdefault(check.column, []).append(_test(check))
        else:
            tests.append(_test(check))
    listed = [{"name": name, "data_tests": found} for name, found in columns.items()]
    return {"name": table, "data_tests": tests, "columns": listed}


def _test(check: Check) -> Any:  # noqa: PLR0911 - one return for each kind of check
    match check.kind:
        case "not_null":
            return "not_null"
        case "unique" if len(check.columns) == 1:
            return "unique"
        case "unique":
            return {"unique_together": {"arguments": {"columns": list(check.columns)}}}
        case "between":
            return {"in_range": {"arguments": dict(check.args)}}
        case "one_of":
            return {"accepted_values": {"arguments": {"values": list(check.args["values"])}}}
        case "references":
            there = {"to": f"ref('{check.args['table']}')", "field": check.args["column"]}
            return {"relationships": {"arguments": there}}
    return {"enough_rows": {"arguments": {"least": check.args["least"]}}}


def _dump(path: Path, data: Any) -> None:
    _write(path, yaml.safe_dump(data, sort_keys=False))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
