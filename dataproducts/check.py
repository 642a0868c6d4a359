"""One file judged by one contract, without a project; it must not import an orchestrator or a data frame library.

A value that does not fit its declared type fails the `schema` rule, and counts as NULL for every other rule. A rule on
a column that the file lacks is not judged, and fails; one in another case is another column. Rows that a rule sends to
quarantine are set aside before the rest is judged, as a build would, and written nowhere. Partitions do not apply: a
rule on partition bounds holds rows against the first and last partition that the contract names.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import SourceError, UnknownNameError, UsageError, first_line
from dataproducts.gate import Subject, judge
from dataproducts.load import load_contract
from dataproducts.product import Dimension, OnFailure, Rule, RuleKind, TableRef
from dataproducts.read import Rows, read_plain, read_rows
from dataproducts.release import FileRef, Version
from dataproducts.rules.facts import Facts
from dataproducts.rules.facts import Rows as Known
from dataproducts.rules.quarantine import RULES_COLUMN, limited, split
from dataproducts.rules.scan import sample
from dataproducts.rules.treatments import treat
from dataproducts.sql import literal, quote
from dataproducts.trial import ask
from dataproducts.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from dataproducts.product import Table
    from dataproducts.rules.quarantine import Lookup


def check_file(
    path: Path,
    contract: Path,
    *,
    table: str | None = None,
    now: datetime,
    others: Mapping[str, Path] | None = None,
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> Verdict:
    """Judge the CSV, Parquet or JSON file at `path` by `contract`, the table called `table` if it declares several.

    `path` may be a folder or a glob, whose files are judged as one table. `others` gives the files of the tables that
    foreign keys and SQL rules read, by table name, read as the contract declares them if it does; a rule that needs
    one that is not given fails. `custom` holds the objects that custom rules name. The verdict's `rows` are those
    judged, its `quarantined` those set aside, by rule.

    Raises:
        DeclarationError: the contract is faulty.
        UnknownNameError: it declares no table called `table`, or several and none was named.
        UsageError: its servers disagree on how the file is written.
        SourceError: the file is absent, of no known format, or cannot be read.
    """
    with _scratch_connection() as con:
        with ask(con):
            tables = load_contract(contract)
        judged = _choose(tables, table, contract)
        rows = read_rows(con, path, judged)
        names = {name: _read_other(con, name, file, tables) for name, file in (others or {}).items()}

        def lookup(ref: TableRef) -> str:
            if ref.table not in names:
                raise UsageError(f"this reads {ref.table}: give its file with --with {ref.table}=FILE")
            return names[ref.table]

        rules = judged.rules
        if not any(rule.kind is RuleKind.SCHEMA for rule in rules):
            rules = (Rule("schema", RuleKind.SCHEMA, dimension=Dimension.SCHEMA), *rules)
        lacking = {rule.name: column for rule in rules if (column := _lacking(rule, judged, rows))}
        open_rules = tuple(rule for rule in rules if rule.name not in lacking)
        # What the file lacks would be in the order by which the first of equal rows is kept.
        there = tuple(column for column in judged.columns if column.name not in rows.missing)
        policies = tuple(one for one in judged.treatments if one.column not in rows.missing)
        try:
            present = replace(judged, rules=open_rules, columns=there, treatments=policies)
            settled = _settle(con, present, rows.relation, lookup)
        except duckdb.Error as error:
            raise SourceError(f"{path}: {first_line(error)}") from error
        relation, total = settled.relation, settled.total
        subject = Subject(
            rows=Known(relation, rows.facts if relation == rows.relation and rows.facts else Facts(total)),
            now=now,
            lookup=lambda ref: Known(lookup(ref)),
            names=names,
            custom={} if custom is None else custom,
        )
        judgement = judge(con, judged, subject, rules=open_rules)
    results = limited(judged, [settled.as_version(judged)], judgement.results)
    found = {result.rule.name: _with_findings(result, judged, rows) for result in results}
    found |= {rule.name: _unjudged(rule, lacking[rule.name], total) for rule in rules if rule.name in lacking}
    ordered = tuple(found[rule.name] for rule in rules)
    return Verdict(judged.name, total, ordered, settled.counts, judgement.passes, settled.aside, settled.sample)


@contextmanager
def _scratch_connection() -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection whose times are UTC, and which writes what does not fit into memory to a folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="dataproducts-", ignore_cleanup_errors=True) as folder:
        # The engine's own choice would be `.tmp` in the current folder, where nothing is to be written.
        spilled = str(Path(folder) / "spilled")
        # A footer of a hundred row groups takes longer to read than most statements take: it is read once.
        settings = {"TimeZone": "UTC", "temp_directory": spilled, "parquet_metadata_cache": True}
        with duckdb.connect(":memory:") as con:
            for name, value in settings.items():
                con.execute(f"SET {name} = ?", [value])
            yield con


def _choose(tables: Sequence[Table], name: str | None, contract: Path) -> Table:
    known = [table.name for table in tables]
    if name is None and len(tables) == 1:
        return tables[0]
    found = next((table for table in tables if table.name == name), None)
    if found is None and name is None:
        raise UsageError(f"{contract} has {len(known)} tables. Name one with --table: {', '.join(known)}")
    if found is None:
        raise UnknownNameError(f"table in {contract}", name or "", known)
    return found


def _read_other(con: duckdb.DuckDBPyConnection, name: str, path: Path, tables: Sequence[Table]) -> str:
    """Another table's file: as the contract declares that table, if it does, else with the types that it shows."""
    declared = next((table for table in tables if table.name == name), None)
    return read_rows(con, path, declared).relation if declared else read_plain(con, path)


def _lacking(rule: Rule, table: Table, rows: Rows) -> str:
    """The first column of `rule` that the file lacks; '' if it has all. `address.city` lies in `address`."""
    columns = [column.name for column in table.columns]
    for path in rule.columns:
        over = max((name for name in columns if path == name or path.startswith(f"{name}.")), key=len, default="")
        if over in rows.missing:
            return over
    return ""


@dataclass(frozen=True, slots=True)
class _Settled:
    """The rows that are judged: how many, and how many were set aside, in all and by rule, with examples."""

    relation: str
    total: int
    aside: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    sample: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)

    def as_version(self, table: Table) -> Version:
        """The version that a build would write of the file, as far as limits of quarantine look at it."""
        rejected = (FileRef("", 0, "", self.aside),) if self.aside else ()
        written = ("", "", table.name, None, (), self.total, (), "", "", "", "", datetime.min.replace(tzinfo=UTC))
        return Version(*written, quarantine_files=rejected, quarantined=self.counts)


def _settle(con: duckdb.DuckDBPyConnection, table: Table, relation: str, lookup: Lookup) -> _Settled:
    """Treat the rows and set some aside, as a build does before it judges; without such rules they stay as they are."""
    total = _count(con, relation)
    if not table.treatments and not any(rule.on_failure is OnFailure.QUARANTINE for rule in table.rules):
        return _Settled(relation, total)
    treated = treat(con, table, relation)
    staged = quote(_STAGED) if treated.sql else relation
    if treated.sql:
        con.execute(f"CREATE TEMP TABLE {staged} AS {treated.sql}")
    dealt = split(con, table, staged, lookup=lookup, bounds=treated.rules)
    counts = {name: count for name, count in dealt.counts.items() if count}
    if not counts:
        return _Settled(staged, total)
    con.execute(f"CREATE TEMP TABLE {quote(_KEPT)} AS {dealt.kept_sql}")
    kept = _count(con, quote(_KEPT))
    con.execute(f"CREATE TEMP TABLE {quote(_ASIDE)} AS {dealt.quarantined_sql}")
    return _Settled(quote(_KEPT), kept, total - kept, counts, _sample(con, table, counts))


_STAGED, _KEPT, _ASIDE = "treated rows", "kept rows", "rows aside"


def _sample(
    con: duckdb.DuckDBPyConnection, table: Table, names: Iterable[str]
) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Up to 5 of the rows that were set aside by the name of what does it: a rule, or a policy of a column."""
    rules = {rule.name: rule for rule in table.rules}
    rules |= {one.name: Rule(one.name, RuleKind.RANGE, (one.column,)) for one in table.treatments}
    found = {}
    for name in names:
        theirs = f"list_contains({quote(RULES_COLUMN)}, {literal(name)})"
        found[name] = sample(con, table, rules[name], {None: (quote(_ASIDE), theirs)})[None]
    return found


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
    return int(row[0]) if row else 0


def _unjudged(rule: Rule, column: str, total: int) -> RuleResult:
    said = f"not judged: column {column} is missing"
    return RuleResult(rule, passed=False, total_rows=total, message=said, error=said)


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _with_findings(result: RuleResult, table: Table, rows: Rows) -> RuleResult:
    """The result of the `schema` rule with what reading the file has shown; every other result as it is."""
    if result.rule.kind is not RuleKind.SCHEMA:
        return result
    types = {column.name: column.sql_type for column in table.columns}
    found = [
        f"{_values(count)} of {name} {_are(count)} no {types[name]}"
        + (f" ({rows.told[name]})" if name in rows.told else "")
        for name, count in rows.misfits.items()
    ]
    found += [f"column {name} is not in the contract" for name in rows.ignored]
    hints = [
        f"is {near} meant for {name}? Rename it, or declare `physicalName: {near}`"
        for name, near in rows.missing.items()
        if near
    ]
    if not found and not hints:
        return result
    said = "; ".join([*([] if result.passed else [result.message]), *found, *hints])
    observed = (result.observed or 0) + len(found)
    failed = rows.misfit_rows or result.failed_rows
    return replace(result, passed=False, observed=observed, message=said, failed_rows=failed)
