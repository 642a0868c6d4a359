"""Where source data lies and how it is read: files, folders and data files of installed packages.

It must not know which product reads a source, or keep what was read: it says which files were consumed, and the
release commits that. Databases and object stores will be further entries of `_PLACES`.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import SourceError, first_line, suggest
from dataproducts.rules.footers import guard
from dataproducts.sources.dialect import Dialect, detect, find_fault, line_of, read_csv_sql, text_of
from dataproducts.sources.readings import column_types, date_formats, expected, typed, typed_or_error, unfit
from dataproducts.sql import file_patterns, quote
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dataproducts.product import Server
    from dataproducts.sources.readings import Misfit

SUFFIXES = {
    "csv": (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz"),
    "parquet": (".parquet", ".pq"),
    "json": (".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz"),
}
"""File name endings of each format, for folders and for files whose format nobody declared."""

_BLOCK_BYTES = 1 << 20
_UTF8 = frozenset({"utf-8", "utf8", "utf-8-sig", "ascii", "us-ascii"})


@dataclass(frozen=True, slots=True)
class ConsumedFile:
    """One file that was read; `path` is relative to the project where it lies in it, `package/file` for packages."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """A source ready to be read: `relation` is SQL usable after FROM in the connection it was opened with."""

    relation: str
    consumed: tuple[ConsumedFile, ...]


def open_source(
    con: duckdb.DuckDBPyConnection, server: Server, *, root: Path, overrides: Mapping[str, Any] | None = None
) -> Source:
    """Find the files of `server` and say how to read them.

    `overrides` are the environment's settings of this server, and win over the contract's. Settings: `path` (a file,
    a folder, or a glob; relative to `root`), `package` (an installed package that `path` lies in), `format` (csv,
    parquet, json), and for CSV `encoding`, `delimiter`, `header`, `nullValues`, `columns` ({name: SQL type}),
    `dateFormat`, `timestampFormat`. What is not declared is detected, or refused where two readings fit.
    JSON and Parquet take `columns` too; text in JSON is a date only where it is ISO 8601.

    Raises: SourceError.
    """
    settings = _merged(server, overrides)
    files = _find(server, settings, root)
    try:
        relation = read_files(con, [path for path, _ in files], settings, where=f"server {server.name!r}")
    except duckdb.Error as error:
        why = unreadable([path for path, _ in files], settings, error)
        raise SourceError(f"server {server.name!r}: {why}") from None  # the engine's error quotes the data
    return Source(relation, tuple(_consumed(path, shown) for path, shown in files))


def list_files(server: Server, *, root: Path, overrides: Mapping[str, Any] | None = None) -> tuple[ConsumedFile, ...]:
    """Return the files that `open_source` would read, with sizes and hashes, without reading them as data.

    Raises: SourceError, if there are none.
    """
    return tuple(_consumed(path, shown) for path, shown in _find(server, _merged(server, overrides), root))


def _find(server: Server, settings: Mapping[str, Any], root: Path) -> list[tuple[Path, str]]:
    kind = str(settings.get("type") or server.type)
    if kind not in _PLACES:
        raise SourceError(f"{server.mark}: server {server.name!r}: there is no source of type {kind!r}. "
                          f"{suggest(kind, sorted(_PLACES)).strip()}")  # fmt: skip
    return _PLACES[kind](server, settings, root)


def _merged(server: Server, overrides: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the settings of `server` with `overrides` laid over."""
    return {**server.settings, **(overrides or {})}


def _local(server: Server, settings: Mapping[str, Any], root: Path) -> list[tuple[Path, str]]:
    if settings.get("package"):
        return _package(server, settings, root)
    declared = str(settings.get("path") or "")
    if not declared:
        raise SourceError(f"{server.mark}: server {server.name!r} has no path. Declare `path`")
    base = root.resolve()
    found = expand(base / declared, _format(settings, declared), where=f"server {server.name!r}", declared=declared)
    return [
        (path, path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()) for path in found
    ]


def _package(server: Server, settings: Mapping[str, Any], _root: Path) -> list[tuple[Path, str]]:
    """Files of an installed package, found without importing it."""
    package, inside = str(settings.get("package") or ""), str(settings.get("path") or "")
    if not package or not inside:
        raise SourceError(f"{server.mark}: server {server.name!r} needs `package` and the `path` inside it")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            f"{server.mark}: server {server.name!r}: package {package!r} is not installed. Install it, or override "
            f"`type: local` and `path` for {server.name!r} in the environment"
        )
    base = Path(next(iter(spec.submodule_search_locations))).resolve()
    where = f"server {server.name!r}"
    found = expand(base / inside, _format(settings, inside), where=where, declared=f"{package}/{inside}")
    outside = [path for path in found if not path.is_relative_to(base)]
    if outside:
        raise SourceError(f"{server.mark}: {where}: {inside!r} lies outside package {package!r}")
    return [(path, f"{package}/{path.relative_to(base).as_posix()}") for path in found]


_PLACES = {"local": _local, "custom": _package}

SERVER_TYPES = tuple(_PLACES)
"""Types of servers that can be read."""


def _format(settings: Mapping[str, Any], path: str) -> str:
    """The declared format, else the one that the file's name tells, else ''."""
    declared = str(settings.get("format") or "").lower()
    if declared:
        known = {"tsv": "csv", "ndjson": "json", "jsonl": "json", "delimited": "csv"}.get(declared, declared)
        if known not in SUFFIXES:
            raise SourceError(f"there is no format {declared!r}.{suggest(declared, sorted(SUFFIXES))}")
        return known
    return format_of(path)


def format_of(path: str) -> str:
    """Return the format that the ending of a file's name tells, '' if none."""
    return next((kind for kind, endings in SUFFIXES.items() if path.lower().endswith(endings)), "")


def expand(path: Path, kind: str, *, where: str, declared: str) -> list[Path]:
    """Return the file, the folder's files of the format, or what the glob matches, sorted.

    Hidden files do not count. `declared` is `path` as its author wrote it. Raises: SourceError, if there are none.
    """
    if path.is_file():
        return [path.resolve()]
    if path.is_dir():
        endings = SUFFIXES.get(kind)
        if endings is None:
            raise SourceError(f"{where}: {declared!r} is a folder. Declare `format`: csv, parquet or json")
        found = [child for child in path.iterdir() if child.is_file() and child.name.lower().endswith(endings)]
        what = f"no {kind} file is in the folder"
    else:
        has_magic = glob.has_magic(declared)
        found = [Path(name) for name in glob.glob(str(path), recursive=True)] if has_magic else []  # noqa: PTH207
        what = "no file matches" if has_magic else "there is no file or folder"
    found = sorted(child.resolve() for child in found if child.is_file() and not child.name.startswith((".", "_")))
    if not found:
        raise SourceError(f"{where}: {what} {declared!r} (looked for {path}).{near_files(path)} Put it there, correct "
                          "`path`, or override it in the environment")  # fmt: skip
    return found


def near_files(path: Path) -> str:
    """Return ` Did you mean …? Known: …` of the data files beside `path`, which is not there; '' if there are none."""
    names = [child.name for child in path.parent.iterdir() if format_of(child.name)] if path.parent.is_dir() else []
    return suggest(path.name, sorted(names)) if names else ""


def _consumed(path: Path, shown: str) -> ConsumedFile:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            size += len(block)
    return ConsumedFile(shown, size, digest.hexdigest())


def read_files(
    con: duckdb.DuckDBPyConnection, files: Sequence[Path], settings: Mapping[str, Any], *, where: str
) -> str:
    """Return SQL, usable after FROM, that reads `files` by `settings`, as `open_source` says.

    Raises:
        SourceError: the files do not fit what is declared, or fit two readings.
        duckdb.Error: the engine cannot read them.
    """
    kind = _format(settings, files[0].name)
    names = file_patterns(files)
    if kind == "csv":
        return _read_csv(con, files, settings, where=where)
    if kind == "parquet":
        guard(con, files)
        return _with_columns(con, f"read_parquet({names})", settings, where=where)
    if kind == "json":
        source = f"read_json({names}, dateformat = 'iso', timestampformat = 'iso', sample_size = -1)"
        return _with_columns(con, source, settings, where=where)
    raise SourceError(f"{where}: nothing tells the format of {files[0].name!r}. Declare `format`: csv, parquet or json")


def _with_columns(con: duckdb.DuckDBPyConnection, source: str, settings: Mapping[str, Any], *, where: str) -> str:
    """`source` with declared columns cast; describing it shows now, not later, whether it can be read."""
    types = columns_of(con, source)
    declared = _declared_columns(settings, tuple(types), where=where)
    casts = {name: f"TRY_CAST({quote(name)} AS {kind})" for name, kind in declared.items() if types[name] == "VARCHAR"}
    for misfit in unfit(con, source, casts):
        raise SourceError(f"{where}: {_misfit(misfit, declared[misfit.column], ())}")
    listed = ", ".join(f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in declared.items())
    return f"(SELECT * REPLACE ({listed}) FROM {source})" if listed else source


def _declared_columns(settings: Mapping[str, Any], known: Sequence[str], *, where: str) -> dict[str, str]:
    declared = {str(name): str(kind) for name, kind in (settings.get("columns") or {}).items()}
    for name in declared:
        if name not in known:
            raise SourceError(f"{where}: `columns` names {name!r}, which the data lacks.{suggest(name, known)}")
    return declared


def _read_csv(con: duckdb.DuckDBPyConnection, files: Sequence[Path], settings: Mapping[str, Any], *, where: str) -> str:
    """CSV with declared columns as declared, the others as detected."""
    text, names = text_relation(con, files, settings, where=where)
    declared = _declared_columns(settings, names, where=where)
    formats = date_formats(settings)
    readings = {name: typed(quote(name), kind, formats) for name, kind in declared.items()}
    for misfit in unfit(con, text, readings):
        place = place_of(files, settings, misfit)
        raise SourceError(f"{where}: {_misfit(misfit, declared[misfit.column], formats, place=place)}")
    readings = {name: typed_or_error(quote(name), kind, formats) for name, kind in declared.items()}
    open_names = [name for name in names if name not in declared]
    readings |= column_types(con, text, open_names, formats=formats, where=where)
    return f"(SELECT {', '.join(f'{readings[name]} AS {quote(name)}' for name in names)} FROM {text})"


def _misfit(misfit: Misfit, kind: str, formats: Sequence[str], *, place: str = "") -> str:
    """What is wrong, where, what is expected, and what to do; no value is shown, for it may be somebody's name."""
    what, verb, at = (
        ("1 value", "is", "at") if misfit.count == 1 else (f"{misfit.count} values", "are", "for instance at")
    )
    dated = kind.upper().startswith(("DATE", "TIMESTAMP")) and not formats
    return (
        f"{what} of column {misfit.column!r} {verb} no {kind}{f', {at} {place}' if place else ''}. Found: "
        f"{', '.join(map(repr, misfit.shapes))} (9 is any digit, a any letter). Expected: {expected(kind, formats)}. "
        f"{'Declare `dateFormat`, mend' if dated else 'Mend'} the file, or declare the column as VARCHAR in `columns` "
        "and clean it in the transform"
    )


def place_of(files: Sequence[Path], settings: Mapping[str, Any], misfit: Misfit) -> str:
    """Return `path:line` of one of the values in CSV files; '' if it is in none, for one may have changed."""
    for path in files:
        if line := line_of(path, _dialect(path, settings), misfit.column, misfit.value):
            return f"{path}:{line}"
    return ""


def text_relation(
    con: duckdb.DuckDBPyConnection, files: Sequence[Path], settings: Mapping[str, Any], *, where: str
) -> tuple[str, tuple[str, ...]]:
    """Return SQL that reads CSV files as text, blanks cut off and empty fields NULL, and the names of their columns.

    Files may differ in encoding, delimiter and the order of columns, not in the columns that they have.

    Raises: SourceError.
    """
    groups: dict[Dialect, list[Path]] = {}
    for path in files:
        groups.setdefault(_dialect(path, settings), []).append(path)
    header = next(iter(groups)).header
    for dialect, members in groups.items():
        odd = sorted(set(dialect.header) ^ set(header))
        if odd:
            raise SourceError(f"{where}: {files[0].name} and {members[0].name} differ in columns {', '.join(odd)}")
    nulls = [str(value) for value in settings.get("nullValues") or ()]
    parts = [_as_text(con, members, dialect, nulls) for dialect, members in groups.items()]
    if len(parts) == 1:
        return parts[0], header
    return "(" + " UNION ALL BY NAME ".join(f"SELECT * FROM {part}" for part in parts) + ")", header


def _dialect(path: Path, settings: Mapping[str, Any]) -> Dialect:
    delimiter, header = settings.get("delimiter"), settings.get("header")
    return detect(
        path,
        encoding=str(settings["encoding"]) if settings.get("encoding") else None,
        delimiter=str(delimiter).replace("\\t", "\t") if delimiter else None,
        header=None if header is None else str(header).lower() in {"true", "yes", "1"},
    )


def _as_text(con: duckdb.DuckDBPyConnection, files: Sequence[Path], dialect: Dialect, nulls: Sequence[str]) -> str:
    if dialect.encoding.lower() in _UTF8:
        return read_csv_sql(files, dialect, nulls)
    # DuckDB reads other encodings only with an extension that it would have to download: rewrite them, keep the rows
    # in a temporary table of this connection.
    with tempfile.TemporaryDirectory() as scratch:
        rewritten = [_rewrite(path, dialect.encoding, Path(scratch) / f"{at}.csv") for at, path in enumerate(files)]
        name = quote(f"source {uuid.uuid4().hex}")
        con.execute(f"CREATE TEMP TABLE {name} AS SELECT * FROM {read_csv_sql(rewritten, dialect, nulls)}")
    return name


def unreadable(files: Sequence[Path], settings: Mapping[str, Any], error: duckdb.Error) -> str:
    """Return why the engine could not read `files`: of CSV the line that is not as the others, else what it says."""
    if _format(settings, files[0].name) == "csv":
        for path in files:
            if said := find_fault(path, _dialect(path, settings)):
                return said
    return first_line(error)


def _rewrite(path: Path, encoding: str, target: Path) -> Path:
    with text_of(path, encoding) as source, target.open("w", encoding="utf-8", newline="") as written:
        try:
            shutil.copyfileobj(source, written)
        except UnicodeError as error:
            raise SourceError(f"{path}: the file is not {encoding}, as declared") from error
    return target
