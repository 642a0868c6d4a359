"""What was set aside: which rows, by which rules, in which release; it must not put anything back."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import UnknownNameError, UsageError, first_line
from dataproducts.rules.masking import MASK, holds_classified, mask
from dataproducts.rules.predicates import Family, family
from dataproducts.rules.quarantine import ASIDE_COLUMNS, REFRESH_COLUMN, ROW_COLUMN, RULES_COLUMN
from dataproducts.sql import file_patterns, literal, quote
from dataproducts.store import QUARANTINE
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.product import Table
    from dataproducts.release import Release, Version
    from dataproducts.warehouse import Warehouse

FORMATS = {
    ".csv": "FORMAT csv, HEADER",
    ".parquet": "FORMAT parquet, COMPRESSION zstd",
    ".json": "FORMAT json, ARRAY true",
    ".jsonl": "FORMAT json",
}
"""How a file is written, by how its name ends."""

_ATTEMPTS = 20  # folders of a table among which attempts since the last release are looked for
_NUMBER = "file_row_number"


@dataclass(frozen=True, slots=True)
class Aside:
    """The rows that one version set aside; `release` is the one that published it first, None if none did."""

    table: Table
    version: Version
    release: int | None

    @property
    def rows(self) -> int:
        """How many rows lie in quarantine; one that several rules reject counts once."""
        return sum(file.rows for file in self.version.quarantine_files)

    @property
    def staged(self) -> int:
        """How many rows were staged: those published and those set aside."""
        return self.version.rows + self.rows


def list_aside(
    warehouse: Warehouse, product: str, tables: Sequence[Table], *, release: int | None = None
) -> tuple[Aside, ...]:
    """Return what the versions of `tables` set aside, by table and partition: those of the head, or of `release`.

    Without `release`, attempts that were refused since the head was published come after, for as long as their files
    are kept. Raises: UnknownNameError, if `product` has no such release.
    """
    ledger = warehouse.ledger
    head = ledger.head(product) if release is None else ledger.release(product, release)
    numbers = {found.refresh_id: found.number for found in ledger.releases(product, limit=None)}
    held = warehouse.composition(head) if head else {}
    found: list[Aside] = []
    for table in tables:
        own = (version for version in held.get(table.name, ()) if version.quarantine_files)
        found += [Aside(table, version, numbers.get(version.refresh_id)) for version in own]
        if release is None:
            found += [Aside(table, version, None) for version in _refused(warehouse, product, table, head, numbers)]
    return tuple(found)


def _refused(
    warehouse: Warehouse, product: str, table: Table, head: Release | None, numbers: Mapping[str, int]
) -> Iterator[Version]:
    """Versions that were written after `head` and never published; the files tell their refreshes, the ledger them."""
    domain, _, name = product.partition("/")
    folder = warehouse.store.root / QUARANTINE / domain / name / table.name
    batches = sorted(folder.iterdir(), reverse=True)[:_ATTEMPTS] if folder.is_dir() else []
    files = [file for batch in batches for file in sorted(batch.glob("*.parquet"))[:1]]
    with duckdb.connect(":memory:") as con:
        ids = dict.fromkeys(found for file in files if (found := _refresh_of(con, file)))
    for refresh_id in ids:
        refresh = warehouse.ledger.find_refresh(refresh_id, product)
        if refresh is None or refresh_id in numbers or (head and refresh.started_at < head.published_at):
            continue
        made = warehouse.ledger.candidates(refresh).get(table.name, {})
        by_partition = (made[part] for part in sorted(made, key=lambda part: part or ""))
        yield from (version for version in by_partition if _is_kept(warehouse, version))


def _refresh_of(con: duckdb.DuckDBPyConnection, file: Path) -> str:
    try:
        query = f"SELECT {quote(REFRESH_COLUMN)} FROM read_parquet({file_patterns([file])}) LIMIT 1"
        rows = con.execute(query).fetchall()
    except duckdb.Error:  # of an earlier version of the library, or gone meanwhile
        return ""
    return str(rows[0][0]) if rows else ""


def _is_kept(warehouse: Warehouse, version: Version) -> bool:
    return bool(version.quarantine_files) and all(map(warehouse.store.exists, version.quarantine_files))


def aside_rows(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, table: Table, version: Version, types: Mapping[str, str]
) -> str:
    """Return SQL usable after FROM: the rows that `version` set aside, and which each of them is.

    Shape: the columns of `types` (those of today's contract; NULL where the file has none), those that quarantine
    adds, and `_row`. Raises: StoreError, if a path leads outside the store.
    """
    selects = []
    for at, file in enumerate(version.quarantine_files):
        path = warehouse.store.path(file)
        numbered = not any(column.name == _NUMBER for column in table.columns)
        read = f"read_parquet({file_patterns([path])}, hive_partitioning = false"
        known = columns_of(con, f"{read})")
        number = quote(_NUMBER) if numbered else "row_number() OVER () - 1"
        row = f"{literal(f'{version.id}-{at}-')} || {number} AS {quote(ROW_COLUMN)}"
        wanted = {**types, **dict(ASIDE_COLUMNS)}
        shown = (
            f"CAST({quote(name) if name in known else 'NULL'} AS {kind}) AS {quote(name)}"
            for name, kind in wanted.items()
        )
        selects.append(f"SELECT {', '.join(shown)}, {row} FROM {read}{', file_row_number = true' if numbered else ''})")
    return f"({' UNION ALL '.join(selects)})"


def sample_aside(
    warehouse: Warehouse, con: duckdb.DuckDBPyConnection, aside: Aside, *, limit: int
) -> tuple[Mapping[str, Any], ...]:
    """Return the first `limit` rows of `aside` as JSON values, classified columns masked, with the rules' names."""
    types = {name: kind for name, kind in aside.version.schema}  # noqa: C416 - a plain dict of the pairs
    rows = aside_rows(warehouse, con, aside.table, aside.version, types)
    shown = ", ".join(f"{literal(name)}: {quote(name)}" for name in types)
    query = f"SELECT {quote(RULES_COLUMN)}, to_json({{{shown}}})::VARCHAR FROM {rows} LIMIT {limit}"
    try:
        found = con.execute(query).fetchall()
    except duckdb.Error:  # a value that has no JSON form; the count stands without it
        return ()
    return tuple(
        {RULES_COLUMN: rules, **mask(json.loads(text, parse_constant=str), aside.table)} for rules, text in found
    )


def export(
    warehouse: Warehouse,
    con: duckdb.DuckDBPyConnection,
    found: Sequence[Aside],
    target: Path,
    *,
    unmasked: bool = False,
) -> int:
    """Write the rows of `found`, all of one table, to `target` and return how many there are.

    The file appears when it is whole, for its owner alone. Values of classified columns are `***`, as text, unless
    `unmasked`; so is all of a column that holds a classified one.

    Raises:
        UsageError: the file is there, or no file can be written at that place or in that format.
    """
    how = FORMATS.get(target.suffix.lower())
    if how is None:
        raise UsageError(f"{target}: nothing tells the format. Give a file that ends in {', '.join(FORMATS)}")
    if target.exists():
        raise UsageError(f"{target} exists, and may hold corrections. Name another file, or delete it")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder. Make it first")
    table = found[0].table
    types = {column.name: column.sql_type for column in table.columns}
    selects = [f"SELECT * FROM {aside_rows(warehouse, con, table, one.version, types)}" for one in found]
    masked = [] if unmasked else [column.name for column in table.columns if holds_classified((column,))]
    hidden = ", ".join(f"CASE WHEN {quote(n)} IS NOT NULL THEN {literal(MASK)} END AS {quote(n)}" for n in masked)
    rows = f"SELECT * {f'REPLACE ({hidden}) ' if hidden else ''}FROM ({' UNION ALL '.join(selects)})"
    if "json" in how:
        rows = _exact_numbers(rows, {name: kind for name, kind in types.items() if name not in masked})
    try:
        return _write(con, rows, target, how)
    except (OSError, duckdb.Error) as error:
        raise UsageError(f"{target}: the file cannot be written: {first_line(error)}") from error


def _exact_numbers(rows: str, types: Mapping[str, str]) -> str:
    """The same rows for JSON: as text are decimals, which the engine would round to doubles, and NaN and infinity."""
    exact = []
    for name, kind in types.items():
        if family(kind) is Family.FLOAT:
            value = f"CASE WHEN isfinite({quote(name)}) THEN to_json({quote(name)}) "
            exact.append(f"{value}ELSE to_json({quote(name)}::VARCHAR) END AS {quote(name)}")
        elif kind.upper().startswith("DECIMAL"):
            exact.append(f"{quote(name)}::VARCHAR AS {quote(name)}")
    return f"SELECT * REPLACE ({', '.join(exact)}) FROM ({rows})" if exact else rows


def _write(con: duckdb.DuckDBPyConnection, rows: str, target: Path, how: str) -> int:
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        made = folder / "rows"
        count = con.execute(f"COPY ({rows}) TO {literal(str(made))} ({how})").fetchall()[0][0]
        made.chmod(0o600)
        os.link(made, target)  # unlike a rename, it leaves a file alone that came meanwhile
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return int(count)


def find_table(target: str, tables: Mapping[str, Sequence[Table]]) -> tuple[str, tuple[Table, ...]]:
    """Return the product and the tables that `target` names: an address, or one with `.table` after it.

    Raises: UnknownNameError, with what is nearest.
    """
    for product, own in tables.items():
        if target == product:
            return product, tuple(own)
        for table in own:
            if target == f"{product}.{table.name}":
                return product, (table,)
    known = [*tables, *(f"{product}.{table.name}" for product, own in tables.items() for table in own)]
    raise UnknownNameError("product or table", target, known)
