"""Unit tests of transforms: given these rows, expect those; it must not know pytest, the store or real data.

A file `tests/*.yaml` of a product holds one case or a list of them. Rows in `given` are typed by the contract of the
sibling table or input port they stand for, and by the server's `columns` for a source (else by their own look); a
column that a row leaves out is NULL, and a relation left out is empty where its columns are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.declare.positions import read_yaml
from dataproducts.declare.standards import judge_by
from dataproducts.errors import DataProductError, DeclarationError, Fault, TransformError, UnknownNameError, suggest
from dataproducts.partitions import after
from dataproducts.product import NOWHERE, Column, DataProduct, Mark, Table
from dataproducts.sql import literal, quote, quote_all
from dataproducts.transforms.casts import MARK, checked
from dataproducts.transforms.dependencies import dependencies
from dataproducts.transforms.stage import stage
from dataproducts.trial import declared_types

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    Row = Mapping[str, Any]

WIDTH = 80
"""Characters of one line of a difference."""

SHOWN_ROWS = 20
_TOLERANCE = 1e-9
"""Relative difference up to which two floats are equal."""


@dataclass(frozen=True, slots=True)
class Case:
    """One test of the transform of `table`; `columns` are those compared, by default all that `expect` names."""

    table: str
    name: str
    given: Mapping[str, tuple[Row, ...]]
    expect: tuple[Row, ...]
    partition: date | None = None
    ordered: bool = False
    columns: tuple[str, ...] = ()
    mark: Mark = NOWHERE


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether a case passed; `diff` says in lines of at most 80 characters what differs, or why nothing was made."""

    case: Case
    passed: bool
    diff: str = ""


def collect(product: DataProduct) -> tuple[Case, ...]:
    """Return the cases of every `tests/*.yaml` of `product`, by file and place.

    Raises: DeclarationError, with every fault of every file.
    """
    shown = product.mark.path.rpartition("/")[0]
    cases: list[Case] = []
    found: list[Fault] = []
    for path in sorted((product.folder / "tests").glob("*.yaml")):
        try:
            cases.extend(read_cases(path, shown=f"{shown}/tests/{path.name}" if shown else f"tests/{path.name}"))
        except DeclarationError as error:
            found.extend(error.faults)
    known = [table.name for table in product.tables]
    found.extend(
        Fault(case.mark.path, case.mark.line, f"there is no table {case.table!r}.{suggest(case.table, known)}")
        for case in cases
        if case.table not in known
    )
    if found:
        raise DeclarationError(found)
    return tuple(cases)


def read_cases(path: Path, *, shown: str | None = None) -> tuple[Case, ...]:
    """Return the cases of one file; marks and faults call it `shown`. Raises: DeclarationError."""
    document = read_yaml(path, shown or str(path))
    found = judge_by(document, "tests.schema.json")
    if found:
        raise DeclarationError(found)
    listed = document.data if isinstance(document.data, list) else [document.data]
    marks = [document.mark(at) if isinstance(document.data, list) else document.mark() for at in range(len(listed))]
    return tuple(_case(entry, mark) for entry, mark in zip(listed, marks, strict=True))


def known_schemas(product: DataProduct, products: Iterable[DataProduct] = ()) -> dict[str, tuple[Column, ...]]:
    """Return the columns of each relation that transforms of `product` read and a contract declares.

    Those are its own tables, and its input ports as far as one of `products` holds the contract.
    """
    schemas = {table.name: table.columns for table in product.tables}
    contracts = {table.contract_id: table.columns for other in products for table in other.tables}
    ports = {port.name: contracts[port.contract_id] for port in product.inputs if port.contract_id in contracts}
    return schemas | ports


def run_case(case: Case, product: DataProduct, *, schemas: Mapping[str, tuple[Column, ...]] | None = None) -> Outcome:
    """Run the transform on the given rows and compare what it makes with what is expected.

    Rows are compared as a multiset unless the case is `ordered`, floats up to a relative 1e-9, everything else
    exactly. A case that cannot run has failed, and its `diff` says why; nothing is raised for it.
    """
    known = known_schemas(product) if schemas is None else schemas
    try:
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            diff = _run(con, case, product.table(case.table), known)
    except KeyError:
        diff = str(UnknownNameError("table", case.table, (table.name for table in product.tables)))
    except (DataProductError, duckdb.Error) as error:
        diff = str(error).replace(MARK, "")
    return Outcome(case, passed=not diff, diff=diff)


def _case(entry: Mapping[str, Any], mark: Mark) -> Case:
    return Case(
        table=entry["table"],
        name=entry["name"],
        given={name: tuple(rows) for name, rows in entry["given"].items()},
        expect=tuple(entry["expect"]),
        partition=date.fromisoformat(entry["partition"]) if "partition" in entry else None,
        ordered=entry.get("ordered", False),
        columns=tuple(entry.get("columns", ())),
        mark=mark,
    )


def _run(con: duckdb.DuckDBPyConnection, case: Case, table: Table, schemas: Mapping[str, tuple[Column, ...]]) -> str:
    """Run `case` in an empty database; return the difference, empty if there is none."""
    needed = _needed(table)
    for name in case.given:
        if name not in needed:
            raise TransformError(f"given {name!r} is not read by {table.name!r}.{suggest(name, needed)}")
    con.execute('CREATE SCHEMA "given"')
    inputs = {name: f'"given".{quote(name)}' for name in needed}
    for name, relation in inputs.items():
        rows = case.given.get(name, ())
        types = _types(con, table, name, rows, schemas)
        _create(con, relation, rows, types, f"given {name!r}")
    made = stage(con, table, inputs, partition=_bounds(case, table), staged="made", materialise=True)
    compared = _compared(case, table)
    declared = declared_types(con, table.columns)
    _create(con, '"given"."expected rows"', case.expect, {n: declared[n] for n in compared}, "expect")
    expected = _fetch(con, '"given"."expected rows"', compared, declared)
    return _difference(case, table, compared, expected, _fetch(con, made, compared, declared))


def _needed(table: Table) -> tuple[str, ...]:
    if table.transform is None:
        return tuple(server.name for server in table.servers)
    return dependencies(table.transform, table.name)


def _bounds(case: Case, table: Table) -> tuple[date, date] | None:
    if case.partition is None:
        return None
    if table.partitioning is None:
        raise TransformError(f"the case names a partition, but table {table.name!r} declares none.")
    if table.partitioning.unit == "week" and case.partition.weekday():
        raise TransformError(f"partition {case.partition} is no Monday, and the weeks of {table.name!r} start on one.")
    try:
        return case.partition, after(table.partitioning, case.partition)
    except OverflowError as error:
        raise TransformError(f"partition {case.partition} would end after the last day that there is.") from error


def _compared(case: Case, table: Table) -> tuple[str, ...]:
    """The columns compared, in the order of the contract."""
    known = tuple(column.name for column in table.columns)
    named = case.columns or {name for row in case.expect for name in row} or known
    for name in (*named, *(name for row in case.expect for name in row)):
        if name not in known:
            raise TransformError(f"expect names {name!r}, no column of {table.name!r}.{suggest(name, known)}")
    return tuple(name for name in known if name in named)


# --- Rows as tables ----------------------------------------------------------------------------------------------


def _types(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    name: str,
    rows: Sequence[Row],
    schemas: Mapping[str, tuple[Column, ...]],
) -> dict[str, str]:
    """The type of each column of a given relation: declared, or told by the values where nobody declares it."""
    looks = {column: _look(row.get(column) for row in rows) for column in _names(rows)}
    servers = {server.name: server for server in table.servers}
    if name in servers:
        columns = servers[name].settings.get("columns") or {}
        return looks | {str(column): str(kind) for column, kind in columns.items()} or _unknown(name)
    if name not in schemas:
        return looks or _unknown(name)
    declared = declared_types(con, schemas[name])
    for column in looks:
        if column not in declared:
            known = suggest(column, tuple(declared))
            raise TransformError(f"given {name!r} has a column {column!r} that its contract does not.{known}")
    return declared


def _unknown(name: str) -> dict[str, str]:
    raise TransformError(f"the columns of {name!r} are unknown: give it a row under `given`.")


def _names(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _look(values: Iterable[Any]) -> str:
    """The type that values of YAML have by their look; dates are text there, as they are in most sources."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int}:
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _create(
    con: duckdb.DuckDBPyConnection, relation: str, rows: Sequence[Row], types: Mapping[str, str], what: str
) -> None:
    """Make a table of `rows` in the order given; a value that its column's type cannot hold is an error."""
    listed = ", ".join(f"{quote(name)} {kind}" for name, kind in types.items())
    con.execute(f"CREATE TABLE {relation} ({listed})")
    for number, row in enumerate(rows, start=1):
        values = ", ".join(_value(name, row.get(name), kind) for name, kind in types.items())
        try:
            con.execute(f"INSERT INTO {relation} SELECT {values}")
        except duckdb.Error as error:
            told = str(error).split("\n", maxsplit=1)[0].rpartition(MARK)[2]
            raise TransformError(f"{what}, row {number}: {told}") from error


def _value(name: str, value: Any, kind: str) -> str:
    """One value of YAML as SQL of its column's type; numbers go through text, which `checked` parses strictly."""
    if value is None or isinstance(value, list | dict):
        return f"CAST({literal(value)} AS {kind})"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return checked(name, "VARCHAR", kind, expression=literal(text))


def _fetch(
    con: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[str], types: Mapping[str, str]
) -> list[tuple[Any, ...]]:
    """The rows of `relation`; points in time with a zone come as text, for DuckDB needs another package for them."""
    if not columns:
        return con.execute(f"SELECT 1 FROM {relation}").fetchall()
    listed = ", ".join(
        f"CAST({quote(name)} AS VARCHAR)" if "ZONE" in types[name] else quote_all([name]) for name in columns
    )
    return con.execute(f"SELECT {listed} FROM {relation}").fetchall()


# --- Differences -------------------------------------------------------------------------------------------------


def _difference(
    case: Case, table: Table, columns: Sequence[str], expected: list[tuple[Any, ...]], made: list[tuple[Any, ...]]
) -> str:
    if case.ordered:
        same = len(expected) == len(made) and all(map(_is_equal, expected, made))
        missing, extra = ([], []) if same else (expected, made)
    else:
        missing, extra = _unmatched(expected, made)
    if not missing and not extra:
        return ""
    order = ", in this order" if case.ordered else ""
    lines = [f"{len(expected)} rows expected{order}, {len(made)} made (- expected, + made)"]
    key = [columns.index(name) for name in table.primary_key if name in columns]
    if key and not case.ordered:
        lines.extend(_by_key(columns, key, missing, extra))
    else:
        lines.extend(f"- {_shown(columns, row)}" for row in missing)
        lines.extend(f"+ {_shown(columns, row)}" for row in extra)
    if len(lines) > SHOWN_ROWS + 1:
        lines[SHOWN_ROWS + 1 :] = [f"... and {len(lines) - SHOWN_ROWS - 1} more lines"]
    return "\n".join(_fit(line) for line in lines)


def _unmatched(expected: list[Any], made: list[Any]) -> tuple[list[Any], list[Any]]:
    """The rows of each side that have no equal on the other, each used once."""
    extra = list(made)
    missing = []
    for row in expected:
        at = next((index for index, other in enumerate(extra) if _is_equal(row, other)), None)
        if at is None:
            missing.append(row)
        else:
            del extra[at]
    return missing, extra


def _by_key(columns: Sequence[str], key: list[int], missing: list[Any], extra: list[Any]) -> Iterator[str]:
    """Lines for rows that share their key, with the columns that differ, then for the rest."""
    left = list(extra)
    for row in missing:
        twin = next((other for other in left if all(_is_equal(row[at], other[at]) for at in key)), None)
        if twin is None:
            yield f"- {_shown(columns, row)}"
            continue
        left.remove(twin)
        differing = [at for at in range(len(columns)) if at in key or not _is_equal(row[at], twin[at])]
        yield f"- {_shown([columns[at] for at in differing], [row[at] for at in differing])}"
        yield f"+ {_shown([columns[at] for at in differing], [twin[at] for at in differing])}"
    for row in left:
        yield f"+ {_shown(columns, row)}"


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or math.isclose(one, other, rel_tol=_TOLERANCE)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_is_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_equal(one[name], other[name]) for name in one)
    return bool(one == other)


def _shown(columns: Sequence[str], row: Sequence[Any]) -> str:
    return "  ".join(f"{name}={'NULL' if value is None else value}" for name, value in zip(columns, row, strict=False))


def _fit(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
