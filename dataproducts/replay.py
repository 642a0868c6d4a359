"""Putting quarantined rows back through the gate, as a refresh like any other; it must not change what a rule says.

The rows of the published release are judged with those that were set aside, by the contract of today. What passes is
published with them in a new release; what does not stays in quarantine. No row comes in that was not set aside.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import RefusedError, UsageError, few
from dataproducts.inputs import siblings_first, transform_inputs
from dataproducts.meter import metered
from dataproducts.operations import costs
from dataproducts.product import TableRef
from dataproducts.quarantine import aside_rows
from dataproducts.refresh import ReleaseOutcome, begin, judge_written, refresh_table, release
from dataproducts.rules.masking import MASK, holds_classified
from dataproducts.rules.predicates import bucket
from dataproducts.rules.quarantine import ASIDE_COLUMNS, ROW_COLUMN
from dataproducts.scene import compose, overlapping, width
from dataproducts.sql import literal, quote
from dataproducts.store import new_id
from dataproducts.trial import columns_of, declared_types
from dataproducts.write import rewrite_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from dataproducts.product import DataProduct, Table
    from dataproducts.refresh import TableOutcome
    from dataproducts.release import Version
    from dataproducts.scene import Scene
    from dataproducts.warehouse import Warehouse

REPLAY = "replay"
"""The `kind` of a release that puts quarantined rows back."""

_BACK, _GIVEN, _PART = "replayed", "given", "_part"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to, in rows: how many lay in quarantine, went back, and stay there, by rule.

    `released` is None where no row could go back: then nothing was changed.
    """

    table: str
    rows: int
    put_back: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    released: ReleaseOutcome | None = None


def replay(
    warehouse: Warehouse, product: DataProduct, table: Table, *, rows: Path | None = None, run_id: str = ""
) -> Replayed:
    """Judge what the published release of `table` set aside once more, and release it with the rows that pass now.

    `rows` is a file as `quarantine.export` wrote it, with corrections: each of its rows stands in the place of the one
    it was; those that it lacks are judged as they are; a masked value counts as not corrected. Tables of the product
    that are made from this one are made anew.

    Raises:
        UsageError: the file cannot be read, or holds rows that were not set aside.
        RefusedError: there is nothing in quarantine, or what passes cannot be released.
        ConflictError: another release came first.
    """
    refresh = begin(warehouse, product, refresh_id=new_id(), run_id=run_id)
    scene = compose(warehouse, product, refresh)
    if table.name in scene.gaps:
        raise RefusedError(scene.gaps[table.name])
    versions = scene.table(table.name)
    aside = [version for version in versions if version.quarantine_files]
    if not aside:
        raise RefusedError(f"{product.address}.{table.name} has no row in quarantine in release {refresh.base}")
    with warehouse.connect() as con:
        types = declared_types(con, table.columns)
        _load(warehouse, con, table, aside, types)
        if rows is not None:
            _correct(con, table, rows, types)
        touched = _deal_out(con, table, versions)
        written = _rewrite(warehouse, con, scene, table, touched)
        before = sum(file.rows for version in aside for file in version.quarantine_files)
        put_back = sum(new.rows - old.rows for old, new in written)
        changed = [(old, new) for old, new in written if rows is not None or new.rows != old.rows]
        _discard(warehouse, [new for old, new in written if (old, new) not in changed])
        left: dict[str, int] = {}
        for name, count in (pair for _, new in written for pair in new.quarantined.items()):
            left[name] = left.get(name, 0) + count
        if put_back <= 0:
            _discard(warehouse, [new for _, new in changed])
            return Replayed(table.name, before, 0, left)
        made = tuple(new for _, new in changed)
        outcome = _release(warehouse, con, scene, table, made)
        return Replayed(table.name, before, put_back, left, outcome)


def _load(
    warehouse: Warehouse,
    con: duckdb.DuckDBPyConnection,
    table: Table,
    aside: Sequence[Version],
    types: Mapping[str, str],
) -> None:
    """Bring what was set aside into one temporary table, each row with what it is and the partition it belongs to."""
    columns = ", ".join(map(quote, types))
    selects = (
        f"SELECT {columns}, {quote(ROW_COLUMN)}, {literal(version.partition)}::VARCHAR AS {quote(_PART)} "
        f"FROM {aside_rows(warehouse, con, table, version, types)}"
        for version in aside
    )
    con.execute(f"CREATE TEMP TABLE {_BACK} AS {' UNION ALL '.join(selects)}")


def _rewrite(
    warehouse: Warehouse,
    con: duckdb.DuckDBPyConnection,
    scene: Scene,
    table: Table,
    touched: Sequence[Version],
) -> list[tuple[Version, Version]]:
    """Return each version with the one that is written in its place; refuse if a row came or went on the way."""
    schema = tuple(declared_types(con, table.columns).items())
    columns = ", ".join(quote(name) for name, _ in schema)
    pairs = []
    for version in touched:
        stay = warehouse.store.relation(
            version.files, schema, file_schemas=dict.fromkeys((file.path for file in version.files), version.schema)
        )
        test = f"{quote(_PART)} IS NOT DISTINCT FROM {literal(version.partition)}"
        back = f"(SELECT {columns} FROM {_BACK} WHERE {test})"
        pairs.append((version, rewrite_version(warehouse, scene, version, (stay, back), con=con)))
    held, made = (sum(map(_all_rows, side)) for side in zip(*pairs, strict=True))
    if held != made:
        _discard(warehouse, [new for _, new in pairs])
        raise RefusedError(f"{table.name}: {held} rows became {made} on the way. Nothing was kept")
    return pairs


def _all_rows(version: Version) -> int:
    return version.rows + sum(file.rows for file in version.quarantine_files)


def _discard(warehouse: Warehouse, versions: Sequence[Version]) -> None:
    """Remove files that nobody recorded."""
    warehouse.store.remove([file.path for v in versions for file in (*v.files, *v.quarantine_files)])


def _deal_out(con: duckdb.DuckDBPyConnection, table: Table, versions: Sequence[Version]) -> list[Version]:
    """Give each row to the partition that its time says, if there is one, and return the versions that get any."""
    if table.partitioning:
        column = table.column(table.partitioning.column)
        day = f"CAST({bucket(table.partitioning, quote(column.name), column.sql_type)} AS VARCHAR)"
        known = literal([version.partition for version in versions])
        con.execute(f"UPDATE {_BACK} SET {quote(_PART)} = {day} WHERE list_contains({known}, {day})")
    parts = {row[0] for row in con.execute(f"SELECT DISTINCT {quote(_PART)} FROM {_BACK}").fetchall()}
    return [version for version in versions if version.partition in parts or version.quarantine_files]


def _release(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, scene: Scene, table: Table, made: tuple[Version, ...]
) -> ReleaseOutcome:
    product, refresh, ledger = scene.product, scene.refresh, warehouse.ledger
    ledger.mark_started(refresh, table.name, [version.partition for version in made])
    ledger.record_contract(
        table.contract_hash,
        product.address,
        table.name,
        contract_id=table.contract_id,
        version=table.contract_version,
        text=table.contract_text,
    )
    consumed = [file for file in ledger.consumed(product.address, refresh.base) if file.table == table.name]
    with metered(warehouse, refresh, table.name) as spent:
        spent.wrote(made)
        judged = judge_written(warehouse, scene, table, made, con=con, consumed=consumed)
        spent.outcome = "" if judged.verdict.passed else costs.REFUSED
    _require(product, judged)
    moved = {table.name: {version.partition for version in made}}
    for other in siblings_first(product):
        reads = {r.sibling for r in transform_inputs(product, other) if r.sibling} & moved.keys()
        if other.name in moved or not reads:
            continue
        days = _outdated(scene, other, [(moved[name], scene.table(name)) for name in reads if name])
        if other.partitioning and not days:
            continue
        _require(product, refresh_table(warehouse, product, other, refresh=refresh, con=con, partitions=days))
        moved[other.name] = {day.isoformat() for day in days} or {None}
    return release(warehouse, product, refresh=refresh, con=con, kind=REPLAY)


def _outdated(
    scene: Scene, table: Table, moved: Sequence[tuple[set[str | None], Sequence[Version]]]
) -> tuple[date, ...]:
    """The partitions of `table` that were made from what moved: of each table it reads, partitions and all versions."""
    own = [version.partition for version in scene.versions.get(TableRef(scene.product.address, table.name), ())]
    found: set[str | None] = set()
    for parts, versions in moved:
        found |= overlapping(table.partitioning, own, parts, width([version.partition for version in versions]))
    return tuple(sorted(date.fromisoformat(part) for part in found if part))


def _require(product: DataProduct, outcome: TableOutcome) -> None:
    if not outcome.verdict.passed:
        failed = "; ".join(f"{r.rule.name}: {r.reason}" for r in outcome.verdict.blocking)
        raise RefusedError(f"{product.address}.{outcome.table.name} is refused: {failed}. The last release stays")


# --- Corrections -------------------------------------------------------------------------------------------------


def _correct(con: duckdb.DuckDBPyConnection, table: Table, file: Path, types: Mapping[str, str]) -> None:
    """Put the rows of `file` in the place of those they were, in the table of what was set aside."""
    try:
        read, is_json = _reader(con, file, [*types, ROW_COLUMN])
        con.execute(f"CREATE TEMP TABLE {_GIVEN} AS SELECT * FROM {read}")
    except (duckdb.Error, OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(
            f"{file}: the rows cannot be read: {type(error).__name__}. Write it as it was exported"
        ) from error
    _judge_columns(con, file, types)
    _judge_rows(con, file)
    given = columns_of(con, _GIVEN)
    values = {name: _value(name, given[name], kind, as_json=is_json) for name, kind in types.items()}
    masked = {column.name for column in table.columns if holds_classified((column,))}
    hidden = {n: f"CAST(g.{quote(n)} AS VARCHAR) = {literal(MASK)}" if n in masked else "FALSE" for n in types}
    unfit = ", ".join(
        f"count(*) FILTER (WHERE g.{quote(n)} IS NOT NULL AND NOT ({hidden[n]}) AND {values[n]} IS NULL)" for n in types
    )
    counts = con.execute(f"SELECT {unfit} FROM {_GIVEN} AS g").fetchall()[0]
    wrong = [
        f"{count} values of {name} are no {types[name]}" for name, count in zip(types, counts, strict=True) if count
    ]
    if wrong:
        raise UsageError(f"{file}: {'; '.join(wrong)}. Nothing was put back")
    shown = ", ".join(f"{quote(n)} = CASE WHEN {hidden[n]} THEN b.{quote(n)} ELSE {values[n]} END" for n in types)
    same = f"b.{quote(ROW_COLUMN)} = CAST(g.{quote(ROW_COLUMN)} AS VARCHAR)"
    con.execute(f"UPDATE {_BACK} AS b SET {shown} FROM {_GIVEN} AS g WHERE {same}")


def _value(name: str, given: str, kind: str, *, as_json: bool) -> str:
    value = f"g.{quote(name)}"
    nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    if as_json and nested and given == "VARCHAR":
        value = f"CAST({value} AS JSON)"
    return f"TRY_CAST({value} AS {kind})"


def _reader(con: duckdb.DuckDBPyConnection, file: Path, names: Sequence[str]) -> tuple[str, bool]:
    """SQL over the file, text as text where it carries no types, and whether it is JSON."""
    path, ending = literal(str(file)), file.suffix.lower()
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    if ending == ".parquet":
        return f"read_parquet({path}, hive_partitioning = false)", False
    if ending in {".json", ".jsonl"}:
        columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
        found = columns_of(con, f"read_json({path}, sample_size = -1, maximum_depth = 1)")
        if set(names) - found.keys():
            return f"read_json({path}, maximum_depth = 1)", True
        return f"read_json({path}, columns = {{{columns}}})", True
    if ending != ".csv":
        raise UsageError(f"{file}: nothing tells the format. Give a file as it was exported")
    with file.open(encoding="utf-8-sig", newline="") as lines:
        header = next(csv.reader(lines), [])
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in header)
    how = "header = true, delim = ',', quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false"
    if not header or len(set(header)) < len(header):
        raise UsageError(f"{file}: its first line does not name the columns, each once. Write it as it was exported")
    return f"read_csv({path}, auto_detect = false, {how}, columns = {{{columns}}})", False


def _judge_columns(con: duckdb.DuckDBPyConnection, file: Path, types: Mapping[str, str]) -> None:
    found = columns_of(con, _GIVEN)
    lacking = [name for name in (*types, ROW_COLUMN) if name not in found]
    if lacking:
        raise UsageError(f"{file}: it lacks the columns {few(lacking)}. Keep every column that was exported")
    strange = found.keys() - {*types, ROW_COLUMN, *(name for name, _ in ASIDE_COLUMNS)}
    if strange:
        raise UsageError(f"{file}: the table has no columns {few(strange)}. Delete them")


def _judge_rows(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    row = f"CAST({quote(ROW_COLUMN)} AS VARCHAR)"
    known = f"SELECT {quote(ROW_COLUMN)} FROM {_BACK}"
    query = f"SELECT count(*), count(DISTINCT {row}), count(*) FILTER (WHERE {row} IN ({known})) FROM {_GIVEN}"
    rows, distinct, matching = con.execute(query).fetchall()[0]
    if matching < rows:
        raise UsageError(
            f"{file}: {rows - matching} of {rows} rows are not in quarantine now: their {ROW_COLUMN} is of another "
            "release, or of nobody. Export again, and correct those rows; new rows come from the source"
        )
    if distinct < rows:
        raise UsageError(f"{file}: {rows - distinct} rows have the {ROW_COLUMN} of another. Keep each row once")
