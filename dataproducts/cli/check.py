"""The command that judges a file or a release by a contract; it must not open a ledger or load dagster for a file."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.lifecycle import warn_readers
from dataproducts.cli.project import NamedObjects, open_project
from dataproducts.cli.reports import (
    DATA_DOCS,
    REPORTS,
    documented,
    file_results,
    parse_reports,
    release_results,
    write,
)
from dataproducts.cli.show import AS_JSON, console, outcome_stands, print_json
from dataproducts.cli.verdicts import pass_grid, print_aside, print_samples, rule_grid, summary
from dataproducts.errors import UsageError, suggest
from dataproducts.product import TableRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dataproducts.reports.results import Results
    from dataproducts.verdict import RuleResult, Verdict


@click.command(short_help="Judge a file, or a release, by a contract.")
@click.argument("target")
@click.option("--contract", type=click.Path(path_type=Path), help="The ODCS contract, where TARGET is a file.")
@click.option("--table", help="The table of the contract, where it has several.")
@click.option("--with", "others", multiple=True, metavar="TABLE=FILE", help="Another table's file, for its rules.")
@click.option("--now", type=click.DateTime(), help="The time that freshness counts from, in UTC. Default: now.")
@click.option("--explain", is_flag=True, help="Show the passes that were made: proof, rules, rows read, seconds.")
@REPORTS
@DATA_DOCS
@AS_JSON
@click.pass_obj
def check(
    obj: tuple[Path, str | None],
    target: str,
    contract: Path | None,
    table: str | None,
    others: tuple[str, ...],
    now: datetime | None,
    reports: tuple[str, ...],
    data_docs: Path | None,
    *,
    explain: bool,
    as_json: bool,
) -> None:
    """Judge a file by a contract, or a product's current release (DOMAIN/PRODUCT) by the contract of today.

    A file needs no project: CSV, Parquet or JSON, any contract. Nothing is written.
    """
    wanted = parse_reports(reports)
    show = _print_verdicts_json if as_json else _print_verdicts
    verdicts: Mapping[str, Verdict] = {}
    with outcome_stands(lambda: not _passed(verdicts)):
        with documented(data_docs):
            if contract is not None:
                verdicts, results = _judge_file(obj[0], Path(target), contract, table=table, now=now, given=others)
            elif now or table or others:
                raise UsageError(
                    "--now, --table and --with are for files: a release is judged whole, by the project's clock"
                )
            else:
                verdicts, results = _judge_release(obj, target)
            show(verdicts, explain=explain)
        if wanted:
            write(wanted, results())
    sys.exit(0 if _passed(verdicts) else 1)


_Judged = tuple["Mapping[str, Verdict]", "Callable[[], Sequence[Results]]"]  # and what a report of it would say


def _judge_file(
    start: Path, path: Path, contract: Path, *, table: str | None, now: datetime | None, given: Sequence[str]
) -> _Judged:
    from dataproducts.check import check_file  # noqa: PLC0415 - nothing of a project is needed

    others = _files(given)
    _require_readers(others, contract, table)
    at = now.replace(tzinfo=UTC) if now else datetime.now(UTC)
    verdict = check_file(path, contract, table=table, now=at, others=others, custom=NamedObjects(start))
    results = partial(file_results, path, contract, verdict)
    return {verdict.table: verdict}, results


def _judge_release(obj: tuple[Path, str | None], target: str) -> _Judged:
    from dataproducts.sources.files import format_of  # noqa: PLC0415 - reads files: not for validate

    if Path(target).is_file() or format_of(target):
        raise UsageError(f"{target} is a file: say which contract judges it with --contract FILE")
    from dataproducts.recheck import recheck  # noqa: PLC0415 - opens the ledger: not for files

    project = open_project(obj[0], environment=obj[1])
    warehouse, product = project.warehouse(), project.product(target)
    warn_readers(project, target, reads=True)
    verdicts = recheck(warehouse, product)
    found = {name: verdict.results for name, verdict in verdicts.items()}
    return verdicts, partial(release_results, warehouse, product.address, found)


def _passed(verdicts: Mapping[str, Verdict]) -> bool:
    return all(verdict.passed for verdict in verdicts.values())


def _print_verdicts_json(verdicts: Mapping[str, Verdict], *, explain: bool) -> None:
    facts: dict[str, Any] = {
        "passed": _passed(verdicts),
        "tables": {name: [result_json(result) for result in v.results] for name, v in verdicts.items()},
        "quarantined": {name: dict(verdict.quarantined) for name, verdict in verdicts.items()},
        "quarantined_sample": {
            name: {rule: list(rows) for rule, rows in verdict.quarantined_sample.items()}
            for name, verdict in verdicts.items()
        },
    }
    if explain:
        facts["passes"] = {
            name: [
                {"method": one.method, "rules": one.rules, "rows": one.rows, "seconds": round(one.seconds, 6)}
                for one in verdict.passes
            ]
            for name, verdict in verdicts.items()
        }
    print_json(facts)


def _print_verdicts(verdicts: Mapping[str, Verdict], *, explain: bool) -> None:
    out = console()
    for name, verdict in verdicts.items():
        out.print(rule_grid(name, verdict.results))
        print_samples(verdict.results)
        out.print(summary(verdict.results))
        said = "would be quarantined, the others were judged"
        print_aside(verdict.quarantined, verdict.quarantined_sample, said=said)
        if explain:
            out.print(pass_grid(name, verdict.passes))
    out.print("[green]good[/]" if _passed(verdicts) else "[red]refused[/]")


def _files(given: Sequence[str]) -> dict[str, Path]:
    """`TABLE=FILE` as a mapping. Raises: UsageError, for anything else."""
    pairs = [text.partition("=") for text in given]
    if any(not name or not path for name, _, path in pairs):
        raise UsageError("--with takes TABLE=FILE, such as --with customers=customers.csv")
    files = {name: Path(path) for name, _, path in pairs}
    if len(files) < len(pairs):
        raise UsageError("--with names a table twice: give one file, folder or glob for each")
    return files


def _require_readers(others: Mapping[str, Path], contract: Path, table: str | None) -> None:
    """Refuse a file for a table that no rule reads, for the one that does would be judged without it.

    A query that cannot be read may read any table: the verdict tells what is wrong with it.

    Raises: UsageError, with the nearest name; DeclarationError, if the contract is faulty.
    """
    if not others:
        return
    from dataproducts.load import load_contract  # noqa: PLC0415 - as check_file
    from dataproducts.rules.confine import table_names  # noqa: PLC0415 - as above
    from dataproducts.rules.reads import queries_of  # noqa: PLC0415 - as above

    read: set[str] = set()
    for judged in (one for one in load_contract(contract) if table in (None, one.name)):
        for rule in judged.rules:
            if isinstance(to := rule.params.get("to"), TableRef):
                read.add(to.table)
            try:
                queried = {name for query in queries_of(rule, judged) for name in table_names(query)}
            except UsageError:
                return
            read |= {name for name in queried if name.lower() != judged.name.lower()}
    known = {name.lower() for name in read}
    for name in others:
        if name.lower() not in known:
            hint = suggest(name, sorted(read)) if read else " They read no other table: leave --with out."
            raise UsageError(f"--with {name}: no rule of {contract} reads a table of that name.{hint}")


def result_json(result: RuleResult) -> dict[str, Any]:
    """Return one rule's outcome as every `--json` output spells it."""
    rule = result.rule
    return {
        "rule": rule.name,
        "kind": str(rule.kind),
        "dimension": str(rule.dimension),
        "severity": str(rule.severity),
        "criticality": rule.criticality,
        "blocking": rule.blocking,
        "passed": result.passed,
        "partition": result.partition,
        "observed": result.observed,
        "failed_rows": result.failed_rows,
        "total_rows": result.total_rows,
        "threshold": str(rule.threshold),
        "message": result.message,
        "error": result.error,
        "method": result.method,
        "sample": [dict(row) for row in result.sample],
        "declared_at": str(rule.mark),
    }


COMMANDS = (check,)
