"""Reports of what `check` and `build` found, and the command `results`; it must not decide what a report looks like."""

from __future__ import annotations

import dataclasses
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.lifecycle import warn_readers
from dataproducts.cli.project import open_project
from dataproducts.cli.show import console
from dataproducts.cli.verdicts import print_aside, print_samples, rule_grid, summary
from dataproducts.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.product import DataProduct
    from dataproducts.reports.results import JudgedTable, Outcome, Results
    from dataproducts.verdict import RuleResult, Verdict
    from dataproducts.warehouse import Warehouse

REPORTS = click.option(
    "--report",
    "reports",
    multiple=True,
    metavar="FORMAT=FILE",
    help="Write what was found: json=FILE, junit=FILE or openlineage=FILE. May be repeated.",
)
DATA_DOCS = click.option(
    "--data-docs",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Render great-expectations' pages of its suites there.",
)


def parse_reports(given: Sequence[str]) -> tuple[tuple[str, Path], ...]:
    """Return the reports that `FORMAT=FILE` asks for. Raises: UnknownNameError, UsageError."""
    if not given:
        return ()
    from dataproducts.reports.write import wanted  # noqa: PLC0415 - most commands write no report

    return wanted(given)


def write(reports: Sequence[tuple[str, Path]], results: Sequence[Results]) -> None:
    """Write each of `reports`, if any. Raises: StoreError."""
    if reports:
        from dataproducts.reports.write import write_reports  # noqa: PLC0415 - as above

        write_reports(reports, results)


@contextmanager
def documented(folder: Path | None) -> Iterator[None]:
    """Render into `folder`, if there is one, what great-expectations says within this context."""
    if folder is None:
        yield
        return
    from dataproducts.rules.custom.great_expectations import keep_validations  # noqa: PLC0415 - asked for by few

    with keep_validations() as kept:
        yield
    if not kept:
        click.echo(f"{folder}: no rule of engine greatExpectations was judged, so there are no Data Docs", err=True)
        return
    from dataproducts.reports.data_docs import write_data_docs  # noqa: PLC0415 - loads great-expectations

    write_data_docs(folder, kept, at=datetime.now(UTC))


def file_results(path: Path, contract: Path, verdict: Verdict) -> tuple[Results, ...]:
    """Return what was found on a file as reports have it; its columns are those that the contract declares."""
    from dataproducts.load import load_contract  # noqa: PLC0415 - only where a report is wanted
    from dataproducts.reports import results as made  # noqa: PLC0415 - as above

    declared = next(one for one in load_contract(contract) if one.name == verdict.table)
    judged = made.JudgedTable(
        verdict.table,
        tuple(map(made.outcome_of, verdict.results)),
        namespace="file",
        dataset=path.absolute().as_posix(),
        columns=made.declared_columns(declared.columns),
        rows=verdict.rows,
        quarantined_rows=verdict.quarantined_rows,
        quarantined=verdict.quarantined,
        quarantined_sample=verdict.quarantined_sample,
    )
    state = "good" if verdict.passed else "refused"
    return (made.Results(str(path), state, datetime.now(UTC), (judged,)),)


def release_results(
    warehouse: Warehouse, product: str, found: Mapping[str, Sequence[RuleResult]]
) -> tuple[Results, ...]:
    """Return what was found now on the current release of `product`, as reports have it."""
    from dataproducts.reports.recorded import recorded  # noqa: PLC0415 - only where a report is wanted
    from dataproducts.reports.results import outcome_of  # noqa: PLC0415 - as above

    known = recorded(warehouse.ledger, warehouse.store, product)
    tables = tuple(
        dataclasses.replace(table, outcomes=tuple(map(outcome_of, found.get(table.name, ())))) for table in known.tables
    )
    refused = any(result.is_blocking for results in found.values() for result in results)
    state = "refused" if refused else "good"
    return (dataclasses.replace(known, state=state, judged_at=datetime.now(UTC), tables=tables),)


def build_results(warehouse: Warehouse, product: DataProduct, facts: Mapping[str, Any]) -> Results:
    """Return what became of `product` in a build, from the facts that the build reports of it.

    Of a released product, and of one that is up to date, these are the results that its release rests on; of a
    refused one, what was judged before it was refused.
    """
    from dataproducts.reports.recorded import recorded  # noqa: PLC0415 - only where a report is wanted
    from dataproducts.reports.results import Results  # noqa: PLC0415 - as above

    state = str(facts["state"])
    if state in {"released", "up to date"}:
        found = recorded(warehouse.ledger, warehouse.store, product.address, number=facts["release"], state=state)
        return dataclasses.replace(found, warning=_warning(warehouse, product))
    tables = tuple(_judged(warehouse, product, name, found) for name, found in facts["tables"].items())
    reason = str(facts.get("reason", ""))
    run, warning = str(facts["run"]), _warning(warehouse, product)
    return Results(product.address, state, datetime.now(UTC), tables, run=run, reason=reason, warning=warning)


def _warning(warehouse: Warehouse, product: DataProduct) -> str:
    from dataproducts.lifecycle.states import standing_of  # noqa: PLC0415 - as above

    return standing_of(warehouse.environment, product).warning


def _judged(warehouse: Warehouse, product: DataProduct, name: str, found: Mapping[str, Any]) -> JudgedTable:
    from dataproducts.reports.recorded import dataset_of  # noqa: PLC0415 - as above
    from dataproducts.reports.results import JudgedTable, declared_columns  # noqa: PLC0415 - as above

    table = product.table(name)
    rules = {rule.name: rule for rule in table.rules}
    return JudgedTable(
        name,
        tuple(_outcome(one, rules[one["rule"]].columns) for one in found["rules"]),
        namespace="file",
        dataset=dataset_of(warehouse.store, product.address, name),
        columns=declared_columns(table.columns),
        rows=found["rows"],
        alias=f"{product.address}.{name}",
        quarantined_rows=found["quarantined_rows"],
        quarantined=found["quarantined"],
    )


def _outcome(found: Mapping[str, Any], columns: tuple[str, ...]) -> Outcome:
    """An outcome from what every `--json` output spells of it."""
    from dataproducts.reports.results import Outcome  # noqa: PLC0415 - as above

    names = {field.name for field in dataclasses.fields(Outcome)}
    told = {name: value for name, value in found.items() if name in names}
    return Outcome(**told | {"columns": columns, "sample": tuple(found["sample"])})


@click.command("results", short_help="Show what the rules found for a release.")
@click.argument("product")
@click.option("--release", "number", type=click.IntRange(min=1), help="The release. Default: the current one.")
@click.option("--format", "name", metavar="FORMAT", help="Print it as json, junit or openlineage instead of a table.")
@click.option("--json", "as_json", is_flag=True, help="Short for --format json.")
@click.pass_obj
def show_results(
    obj: tuple[Path, str | None], product: str, number: int | None, name: str | None, *, as_json: bool
) -> None:
    """Show what the rules of a product found for a release, as the ledger keeps it; nothing is judged anew."""
    from dataproducts.reports.recorded import recorded  # noqa: PLC0415 - loads the ledger
    from dataproducts.reports.write import FORMATS  # noqa: PLC0415 - as above

    name = "json" if as_json else name
    if name is not None and name not in FORMATS:
        raise UnknownNameError("format of results", name, FORMATS)
    project = open_project(obj[0], environment=obj[1])
    warehouse = project.warehouse()
    found = recorded(warehouse.ledger, warehouse.store, product, number=number)
    found = dataclasses.replace(found, warning=warn_readers(project, product))
    if name is not None:
        click.echo(FORMATS[name]([found]), nl=False)
        sys.exit(0)
    out = console()
    out.print(f"[bold]{product}[/] #{found.release}, {found.judged_at:%Y-%m-%d %H:%M:%S} UTC, run {found.run[:8]}")
    for table in found.tables:
        out.print(rule_grid(table.name, table.outcomes))
        out.print(summary(table.outcomes))
        print_samples(table.outcomes)
        print_aside(table.quarantined, table.quarantined_sample, said="quarantined")


COMMANDS: Sequence[click.Command] = (show_results,)
