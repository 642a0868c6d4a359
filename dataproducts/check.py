"""One file judged by one contract, without a project; it must not import an orchestrator or a data frame library.

CSV and JSON carry no types, so each column of the contract is read as its declared type, without guessing: dates and
times by the column's `format` option, else as ISO 8601. A value that does not fit its type fails the `schema` rule,
and counts as NULL for every other rule. Parquet is judged with the types that it has. Partitions do not apply: a
rule on partition bounds holds rows against the first and last partition that the contract names.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import SourceError, UnknownNameError, first_line
from dataproducts.gate import judge
from dataproducts.load import load_contract
from dataproducts.product import Dimension, Rule, RuleKind, TableRef
from dataproducts.sources.files import SUFFIXES, format_of, read_files, text_relation
from dataproducts.sources.readings import strptime_format, typed, unfit
from dataproducts.sql import literal, quote
from dataproducts.trial import columns_of
from dataproducts.verdict import RuleResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from dataproducts.product import Column, Table


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

    `others` gives the files of the tables that foreign keys and SQL rules read, by table name; a rule that needs one
    that is not given fails. `custom` holds the objects that custom rules name.

    Raises:
        DeclarationError: the contract is faulty.
        UnknownNameError: it declares no table called `table`, or several and none was named.
        SourceError: the file is absent, of no known format, or cannot be read.
    """
    judged = _choose(load_contract(contract), table, contract)
    settings = judged.servers[0].settings if judged.servers else {}
    with duckdb.connect(":memory:") as con:
        try:
            relation, misfits = _read(con, path, judged, settings)
            names = {name: _plain(con, file) for name, file in (others or {}).items()}
            row = con.execute(f"SELECT count(*) FROM {relation}").fetchone()
        except duckdb.Error as error:
            raise SourceError(f"{path}: {first_line(error)}") from error

        def lookup(ref: TableRef) -> str:
            if ref.table not in names:
                raise UnknownNameError("file for table", ref.table, names)
            return names[ref.table]

        rules = judged.rules
        if not any(rule.kind is RuleKind.SCHEMA for rule in rules):
            rules = (Rule("schema", RuleKind.SCHEMA, dimension=Dimension.SCHEMA), *rules)
        results = judge(con, judged, relation, lookup=lookup, now=now, rules=rules, names=names, custom=custom)
    total = int(row[0]) if row else 0
    return Verdict(judged.name, total, tuple(_with_misfits(result, judged, misfits) for result in results), {})


def _choose(tables: Sequence[Table], name: str | None, contract: Path) -> Table:
    known = [table.name for table in tables]
    if name is None and len(tables) == 1:
        return tables[0]
    found = next((table for table in tables if table.name == name), None)
    if found is None:
        raise UnknownNameError(f"table in {contract}", name or "(none named)", known)
    return found


_Misfits = dict[str, tuple[int, tuple[str, ...]]]


def _read(
    con: duckdb.DuckDBPyConnection, path: Path, table: Table, settings: Mapping[str, Any]
) -> tuple[str, _Misfits]:
    """SQL over the file with the contract's types, and by column the values that do not fit theirs."""
    kind = format_of(path.name)
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    if kind == "csv":
        told = {key: settings[key] for key in ("encoding", "delimiter", "header", "nullValues") if key in settings}
        source, names = text_relation(con, [path], told, where=str(path))
    elif kind == "json":
        source, names = _json_text(con, path)
    elif kind == "parquet":
        return f"read_parquet({literal(str(path))})", {}
    else:
        known = ", ".join(endings[0] for endings in SUFFIXES.values())
        raise SourceError(f"{path}: nothing tells the format. Give a file that ends in {known}")
    columns = {column.name: column for column in table.columns}
    readings = {name: _reading(columns[name], as_json=kind == "json") for name in names if name in columns}
    shown = ", ".join(f"{readings.get(name, quote(name))} AS {quote(name)}" for name in names)
    return f"(SELECT {shown} FROM {source})", unfit(con, source, readings)


def _reading(column: Column, *, as_json: bool) -> str:
    nested = column.sql_type.endswith(("]", ")")) and column.logical_type in {"object", "array"}
    if as_json and nested:
        return f"TRY_CAST(CAST({quote(column.name)} AS JSON) AS {column.sql_type})"
    declared = column.options.get("format")
    dated = isinstance(declared, str) and ("yy" in declared or "%" in declared)
    formats = (strptime_format(str(declared)),) if dated else ()
    return typed(quote(column.name), column.sql_type, formats)


def _json_text(con: duckdb.DuckDBPyConnection, path: Path) -> tuple[str, tuple[str, ...]]:
    """JSON objects with each member as text, nested ones as JSON text, and null as NULL."""
    source = f"read_json({literal(str(path))}, sample_size = -1, maximum_depth = 1)"
    names = tuple(columns_of(con, source))
    shown = ", ".join(f"{quote(name)} ->> '$' AS {quote(name)}" for name in names)
    return f"(SELECT {shown} FROM {source})", names


def _plain(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Another table's file, with the types that it shows."""
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    return read_files(con, [path], {}, where=str(path))


def _with_misfits(result: RuleResult, table: Table, misfits: _Misfits) -> RuleResult:
    if result.rule.kind is not RuleKind.SCHEMA or not misfits:
        return result
    types = {column.name: column.sql_type for column in table.columns}
    said = "; ".join(f"{count} values of {name} are no {types[name]}" for name, (count, _) in misfits.items())
    message = said if result.passed else f"{result.message}; {said}"
    return replace(result, passed=False, observed=(result.observed or 0) + len(misfits), message=message)
