"""A file read as a contract declares its columns, whatever the file is called; it must not judge what it reads.

Parquet has types of its own and is handed on as it is. CSV and JSON have none: each column is read as its declared
type, once, into a temporary table, and what does not fit is NULL there and counted. A column comes from the one that
its `physicalName` names, where the file has it, else from the one of its own name; names count letter by letter.
"""

from __future__ import annotations

import codecs
import difflib
import uuid
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import SourceError, UsageError
from dataproducts.rules.footers import guard, parquet_facts
from dataproducts.rules.masking import holds_classified
from dataproducts.sources.files import (
    SUFFIXES,
    expand,
    format_of,
    near_files,
    place_of,
    read_files,
    text_relation,
    unreadable,
)
from dataproducts.sources.readings import date_formats, expected, strptime_format, typed, unfit
from dataproducts.sql import file_patterns, literal, quote
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dataproducts.product import Column, Table
    from dataproducts.rules.facts import Facts
    from dataproducts.sources.readings import Misfit

_CSV_SETTINGS = ("encoding", "delimiter", "header", "nullValues")
_SETTINGS = (*_CSV_SETTINGS, "dateFormat", "timestampFormat")
_TOLD = 3  # columns of which more is told than how many misfits they have
_MASK_BITS = 31  # misfits of so many columns fit into one INTEGER


@dataclass(frozen=True, slots=True)
class Rows:
    """What a file holds: `relation` is SQL usable after FROM, over columns called as the contract calls them.

    `missing` says of each declared column that the file lacks what it has instead, if anything is near; `ignored`
    names columns of the file that stand in the way of renamed ones. `misfits` counts by column the values that are
    not of its type, `misfit_rows` the rows with any; both are 0 for Parquet. `told` says of such values by column
    where one is (in CSV), what they look like (unless it is classified) and what was expected. `facts` is what footers
    tell.
    """

    relation: str
    missing: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    misfits: Mapping[str, int] = field(default_factory=dict)
    misfit_rows: int = 0
    facts: Facts | None = None
    told: Mapping[str, str] = field(default_factory=dict)


def read_rows(con: duckdb.DuckDBPyConnection, path: Path, table: Table) -> Rows:
    """Read the file at `path`, or all files of a folder or a glob, as `table` declares its columns.

    CSV and JSON are written to a temporary table of `con`, so that their text is parsed once however often the rows
    are read; Parquet stays where it is. How CSV is written, and its dates, are told by the contract's servers.

    Raises: SourceError, where there is no such file, or it cannot be read as it is declared.
    """
    settings = _settings(table, path)
    files = _found(path, str(settings.get("format") or ""))
    kind = format_of(files[0].name) or str(settings.get("format") or "")
    if kind not in SUFFIXES:
        known = ", ".join(endings[0] for endings in SUFFIXES.values())
        raise SourceError(f"{path}: nothing tells the format. Give a file that ends in {known}")
    told = {key: settings[key] for key in _CSV_SETTINGS if key in settings} | {"format": kind}
    try:
        if kind == "parquet":
            return _parquet(con, files, table)
        if kind == "csv":
            source, names = text_relation(con, files, told, where=str(path))
        else:
            source, names = _json_text(con, files, table)
        formats = date_formats(settings)
        where = partial(place_of, files, told) if kind == "csv" else None
        return _Typed(con, source, names, table, where).read(formats, as_json=kind == "json")
    except duckdb.Error as error:
        # What the engine says of a line quotes the data: only our own finding, or its first line, is passed on.
        why = unreadable(files, told, error)
        raise SourceError(why if why.startswith(tuple(map(str, files))) else f"{path}: {why}") from None


def read_plain(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Return SQL, usable after FROM, over a file of another table, with the types that it shows.

    Raises: SourceError.
    """
    files = _found(path, "")
    try:
        return read_files(con, files, {"format": format_of(files[0].name)}, where=str(path))
    except duckdb.Error as error:
        why = unreadable(files, {}, error)
        raise SourceError(why if why.startswith(tuple(map(str, files))) else f"{path}: {why}") from None


def _found(path: Path, declared: str) -> list[Path]:
    """The file itself; of a folder the files of its one format, or the declared one; what a glob matches."""
    if path.is_file():
        return [path]
    if "*" not in path.name and not path.is_dir():
        raise SourceError(f"{path}: there is no such file.{near_files(path)}")
    inside = {format_of(child.name) for child in path.iterdir()} - {""} if path.is_dir() else set()
    kind = inside.pop() if len(inside) == 1 else declared
    return expand(path, kind, where=str(path), declared=str(path))


def _settings(table: Table, path: Path) -> Mapping[str, Any]:
    """How the contract says that the file is written: by the server that names it, else by all that agree.

    Raises: UsageError, where servers disagree and none of them names the file.
    """
    named = [s for s in table.servers if fnmatchcase(path.name, str(s.settings.get("path") or "").rpartition("/")[2])]
    servers = named or list(table.servers)
    told = [{key: s.settings[key] for key in _SETTINGS if s.settings.get(key) is not None} for s in servers]
    if any(one != told[0] for one in told):
        listed = ", ".join(s.name for s in servers)
        raise UsageError(
            f"{path}: servers {listed} of the contract say different things of how a file is written, and none has a "
            f"`path` that ends in {path.name!r}. Give the one that is meant this `path`"
        )
    return servers[0].settings if servers else {}


def _parquet(con: duckdb.DuckDBPyConnection, files: Sequence[Path], table: Table) -> Rows:
    """The files as they are: a projection only where a column has another name in them."""
    # The file's own columns count, whatever the folders above it are called.
    source = f"read_parquet({file_patterns(files)}, hive_partitioning = FALSE)"
    origins, ignored, missing = _origins(table.columns, tuple(columns_of(con, source)))
    if any(name != origin for name, origin in origins.items()):
        listed = ", ".join(f"{quote(origin)} AS {quote(name)}" for name, origin in origins.items())
        source = f"(SELECT {listed} FROM {source})"
    facts = parquet_facts(con, files)
    guard(con, files, always=facts is None)
    return Rows(source, missing, ignored, facts=facts.renamed(origins) if facts else None)


def _origins(columns: Sequence[Column], names: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...], dict[str, str]]:
    """By name in the contract (or in the file alone) the file's column; what is in the way; what is missing."""
    origins: dict[str, str] = {}
    missing: dict[str, str] = {}
    for column in columns:
        origin = column.physical_name if column.physical_name in names else column.name
        if origin in names:
            origins[column.name] = origin
        else:
            missing[column.name] = ""
    taken, spoken = set(origins.values()), {name.lower() for name in origins}
    extra = [name for name in names if name not in taken]
    ignored = tuple(name for name in extra if name.lower() in spoken)
    origins |= {name: name for name in extra if name not in ignored}
    physical = {column.name: column.physical_name for column in columns}
    return origins, ignored, {name: _near(name, physical[name], extra) for name in missing}


def _near(name: str, physical: str, extra: Sequence[str]) -> str:
    """The column of the file that is meant, perhaps: the same in another case, or one spelt nearly so."""
    wanted = {word.lower() for word in (name, physical) if word}
    same = next((other for other in extra if other.lower() in wanted), "")
    return same or next(iter(difflib.get_close_matches(physical or name, extra, n=1, cutoff=0.7)), "")


@dataclass(slots=True)
class _Typed:
    """Text, read as typed rows into a temporary table, with a bit for each value that is not of its type."""

    con: duckdb.DuckDBPyConnection
    source: str
    names: Sequence[str]
    table: Table
    where: Callable[[Misfit], str] | None = None

    def read(self, formats: Sequence[str], *, as_json: bool) -> Rows:
        origins, ignored, missing = _origins(self.table.columns, self.names)
        declared = {column.name: column for column in self.table.columns}
        readings = {
            name: _reading(declared[name], quote(origin), formats, as_json=as_json)
            for name, origin in origins.items()
            if name in declared
        }
        doubtful = [name for name in readings if declared[name].sql_type != "VARCHAR"]
        groups = [doubtful[at : at + _MASK_BITS] for at in range(0, len(doubtful), _MASK_BITS)]
        masks = [f"_misfits {uuid.uuid4().hex}" for _ in groups]
        listed = [f"{readings.get(name, quote(origin))} AS {quote(name)}" for name, origin in origins.items()]
        for mask, group in zip(masks, groups, strict=True):
            bits = " + ".join(
                f"CASE WHEN {quote(origins[name])} IS NOT NULL AND ({readings[name]}) IS NULL THEN {1 << at} ELSE 0 END"
                for at, name in enumerate(group)
            )
            listed.append(f"CAST({bits} AS INTEGER) AS {quote(mask)}")
        made = quote(f"rows {uuid.uuid4().hex}")
        self.con.execute(f"CREATE TEMP TABLE {made} AS SELECT {', '.join(listed)} FROM {self.source}")
        misfits, rows = self._count(made, dict(zip(masks, groups, strict=True)))
        for mask in masks:
            self.con.execute(f"ALTER TABLE {made} DROP COLUMN {quote(mask)}")
        names = {origins[name]: name for name in list(misfits)[:_TOLD]}
        found = unfit(self.con, self.source, {origin: readings[name] for origin, name in names.items()})
        told = {names[one.column]: self._told(declared[names[one.column]], one, formats) for one in found}
        return Rows(made, missing, ignored, misfits, rows, told=told)

    def _told(self, column: Column, misfit: Misfit, formats: Sequence[str]) -> str:
        place = self.where(misfit) if self.where else ""
        shapes = "" if holds_classified((column,)) else f"found {', '.join(map(repr, misfit.shapes))}, "
        wanted = expected(column.sql_type, _formats(column, formats))
        return f"{f'{place}: ' if place else ''}{shapes}expected {wanted}"

    def _count(self, made: str, groups: Mapping[str, Sequence[str]]) -> tuple[dict[str, int], int]:
        """Misfits by column, and the rows that have any."""
        if not groups:
            return {}, 0
        tests = [
            f"count(*) FILTER (WHERE {quote(mask)} & {1 << at} <> 0)"
            for mask, group in groups.items()
            for at in range(len(group))
        ]
        anywhere = " OR ".join(f"{quote(mask)} <> 0" for mask in groups)
        row = self.con.execute(f"SELECT count(*) FILTER (WHERE {anywhere}), {', '.join(tests)} FROM {made}").fetchone()
        rows, *counts = row or (0,)
        names = [name for group in groups.values() for name in group]
        return {name: count for name, count in zip(names, counts, strict=True) if count}, rows


def _reading(column: Column, sql: str, formats: Sequence[str], *, as_json: bool) -> str:
    """SQL that reads text as the column's type: dates by its own `format`, else by the server's, else as ISO 8601."""
    nested = column.sql_type.endswith(("]", ")")) and column.logical_type in {"object", "array"}
    if as_json and nested:
        document = f"TRY_CAST({sql} AS JSON)"
        kind = literal("OBJECT" if column.logical_type == "object" else "ARRAY")
        return f"CASE WHEN json_type({document}) = {kind} THEN TRY_CAST({document} AS {column.sql_type}) END"
    return typed(sql, column.sql_type, _formats(column, formats))


def _formats(column: Column, formats: Sequence[str]) -> Sequence[str]:
    """The column's own `format`, if it is one of dates, else the server's."""
    declared = column.options.get("format")
    return (
        (strptime_format(declared),) if isinstance(declared, str) and ("yy" in declared or "%" in declared) else formats
    )


def _json_text(con: duckdb.DuckDBPyConnection, files: Sequence[Path], table: Table) -> tuple[str, tuple[str, ...]]:
    """JSON objects with each member as text, nested ones as JSON text, and null as NULL.

    Files without any object say nothing of columns: they are rows of the declared ones, and there are none.
    """
    source = f"read_json({file_patterns(files)}, sample_size = -1, maximum_depth = 1)"
    types = columns_of(con, source)
    if list(types) == ["json"]:  # a member of that name, or the engine's word for what is no object
        objects = f"read_json_objects({file_patterns(files)})"
        row = con.execute(f"SELECT count(*), count(*) FILTER (json_exists(json, '$.json')) FROM {objects}").fetchone()
        if row == (0, 0):
            return _nothing(files, table)
        if not row or not row[1]:
            why = "starts with a byte order mark" if _has_bom(files[0]) else "is no list of JSON objects with members"
            raise SourceError(f"{files[0]}: the file {why}. Write UTF-8 without a mark, one object for each row")
    shown = ", ".join(f"{quote(name)} ->> '$' AS {quote(name)}" for name in types)
    return f"(SELECT {shown} FROM {source})", tuple(types)


def _has_bom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(3) == codecs.BOM_UTF8


def _nothing(files: Sequence[Path], table: Table) -> tuple[str, tuple[str, ...]]:
    names = tuple(column.name for column in table.columns)
    for path in files:
        if path.name.lower().endswith((".json", ".json.gz")) and not path.stat().st_size:
            raise SourceError(f"{path}: the file is empty, which is no JSON. Write `[]` for no rows")
    return f"(SELECT {', '.join(f'NULL::VARCHAR AS {quote(name)}' for name in names)} WHERE {literal(False)})", names  # noqa: FBT003
