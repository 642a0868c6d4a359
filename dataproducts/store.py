"""Write-once Parquet files of the versions of tables; it must not know which of them are published."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import duckdb

from dataproducts.errors import StoreError, UsageError
from dataproducts.release import ColumnFacts, FileRef
from dataproducts.rules.predicates import Family, family
from dataproducts.sql import file_patterns, literal, quote
from dataproducts.trial import columns_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dataproducts.release import Version

    Schema = Sequence[tuple[str, str]]

DATA, QUARANTINE, SERVE, SCRATCH = "data", "quarantine", "serve", "scratch"

_PART = re.compile(r"[A-Za-z0-9_@+-][A-Za-z0-9_.@+-]*")
# Retention keeps ten releases and more, so size counts: snappy reads a little faster and takes 1.6 times the room.
_FORMAT = "FORMAT parquet, COMPRESSION zstd"
_ENDS = ("min", "max")
_WITH_ENDS = {Family.EXACT, Family.FLOAT, Family.TEMPORAL, Family.BOOLEAN}
_PRIVATE = 0o700
_BALLAST, _BALLAST_BYTES = "ballast", 4 * 1024 * 1024
# What DuckDB raises when the disk or the memory, not the SQL, is at fault.
_OUTAGES = (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.FatalException)


def new_id() -> str:
    """Return 32 hexadecimal digits that nobody else has; ids made later sort after those made earlier."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


class Store:
    """The folder that holds every file of every version, readable or quarantined.

    Layout: `data/<domain>/<product>/<table>/<batch>/<name>.parquet`, `quarantine/` of the same shape, `serve/` and
    `scratch/`, and a file `ballast`. A file appears under its name only when it is whole and on disk, and is never
    written again.
    """

    def __init__(self, root: Path) -> None:
        """Refer to the store under `root`; nothing is made until something is written."""
        self.root = Path(root).absolute()

    def write(
        self,
        con: duckdb.DuckDBPyConnection,
        parts: Mapping[str, str],
        *,
        product: str,
        table: str,
        batch: str,
        quarantine: bool = False,
    ) -> dict[str, FileRef]:
        """Write one file for each (name, SELECT) of `parts`, which have the same columns; all of them or none.

        Raises:
            StoreError: no room, no memory, or a name is taken. Nothing is left behind.
            duckdb.Error: one of the SELECTs fails. Nothing is left behind.
        """
        relative = _folder(QUARANTINE if quarantine else DATA, product, table, batch)
        folder = self.root / relative
        written: dict[str, FileRef] = {}
        types: dict[str, str] = {}
        try:
            _make_folder(folder, self.root, private=quarantine)
            self.keep_ballast()
            for name, sql in parts.items():
                final = folder / f"{_part(name)}.parquet"
                written[name] = _write(con, sql, final, f"{relative}/{final.name}", types)
            _sync(folder)
        except BaseException as error:
            for ref in written.values():
                (self.root / ref.path).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
            if isinstance(error, (OSError, *_OUTAGES)) and not isinstance(error, StoreError):
                raise StoreError(
                    f"{folder}: writing a version of {product}.{table} failed: {error}. "
                    "Nothing was published; free disk or memory and run the refresh again."
                ) from error
            raise
        return written

    def path(self, ref: FileRef | str) -> Path:
        """Return where `ref` lies. Raises: StoreError, if it would lie outside the store."""
        relative = PurePosixPath(ref if isinstance(ref, str) else ref.path)
        if relative.is_absolute() or ".." in relative.parts:
            raise StoreError(f"{relative}: a file of the store must lie inside it. The ledger was tampered with.")
        return self.root / relative

    def exists(self, ref: FileRef) -> bool:
        """Whether the file is there with the size that it was written with."""
        try:
            return self.path(ref).stat().st_size == ref.bytes
        except FileNotFoundError:
            return False

    def sha256(self, ref: FileRef) -> str:
        """Return the SHA-256 of the file's bytes as they are now. Raises: StoreError, if it cannot be read."""
        try:
            with self.path(ref).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise StoreError(
                f"{ref.path}: a published file cannot be read: {error}. Restore it from a copy."
            ) from error

    def relation(
        self,
        files: Sequence[FileRef],
        schema: Schema,
        *,
        file_schemas: Mapping[str, Schema] | None = None,
        file_name: str = "",
    ) -> str:
        """Return SQL for use after FROM: the rows of `files` with exactly the columns of `schema`, in order, cast.

        `file_schemas` tells, by path, the columns of files that have others than `schema`: a column that such a
        file lacks is NULL in its rows. `file_name` asks for one column more, under that name, with the name of the
        row's file, without its ending. Without files the relation is empty and typed. Folders are never listed.
        """
        known = file_schemas or {}
        groups: dict[tuple[tuple[str, str], ...], list[FileRef]] = {}
        for ref in files:
            groups.setdefault(tuple(known.get(ref.path, schema)), []).append(ref)
        path = quote("_" * (1 + max((len(name) for name, _ in schema), default=0)))
        named = f", parse_filename({path}, TRUE) AS {quote(file_name)}" if file_name else ""
        if not groups:
            empty = f", NULL::VARCHAR AS {quote(file_name)}" if file_name else ""
            return f"(SELECT {_projection(schema, ())}{empty} WHERE FALSE)"
        option = f", filename = {path}" if file_name else ""
        selects = (
            f"SELECT {_projection(schema, found)}{named} FROM read_parquet({file_patterns(map(self.path, refs))}, "
            f"hive_partitioning = FALSE, union_by_name = FALSE{option})"
            for found, refs in groups.items()
        )
        return f"({' UNION ALL '.join(selects)})"

    def version_relation(self, versions: Sequence[Version], schema: Schema | None = None) -> str:
        """Return SQL for use after FROM over the kept rows of `versions`.

        `schema` is that of the latest version unless given; older ones may lack columns of it.
        """
        wanted = _latest(versions) if schema is None else schema
        files = [ref for version in versions for ref in version.files]
        found = {ref.path: version.schema for version in versions for ref in version.files}
        return self.relation(files, wanted, file_schemas=found)

    def serve_path(self, product: str) -> Path:
        """Return where the serving file of `product` lies, or shall lie."""
        domain, name = _address(product)
        return self.root / SERVE / f"{domain}.{name}.duckdb"

    def serve_folder(self) -> Path:
        """Return the folder of serving files, made if need be; only its owner may read it."""
        return self._private_folder(SERVE)

    def scratch(self, run: str) -> Path:
        """Return a folder for what `run` need not keep, made if need be."""
        return self._private_folder(SCRATCH, _part(run))

    def keep_ballast(self) -> None:
        """Set some megabytes aside, if there is room, which `drop_ballast` gives back when the disk is full."""
        path = self.root / _BALLAST
        if path.exists():
            return
        with suppress(OSError):  # the refresh at hand needs the room more
            temporary = path.with_name(f".{_BALLAST}.{secrets.token_hex(6)}.tmp")
            try:
                with temporary.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, _BALLAST_BYTES)
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)

    def drop_ballast(self) -> bool:
        """Give back what `keep_ballast` set aside, and say whether there was anything."""
        try:
            (self.root / _BALLAST).unlink()
        except OSError:
            return False
        return True

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Yield the path and the status of every file under `data/` and `quarantine/`, temporary ones included."""
        for top in (DATA, QUARANTINE):
            for folder, _, names in os.walk(self.root / top):
                for name in names:
                    path = Path(folder, name)
                    with suppress(FileNotFoundError):
                        yield path.relative_to(self.root).as_posix(), path.stat()

    def remove(self, paths: Iterable[str]) -> int:
        """Unlink `paths` and the folders that this empties; return how many bytes that freed."""
        freed, folders = 0, set()
        for relative in paths:
            path = self.path(relative)
            with suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
            folders.add(path.parent)
        for folder in folders:
            with suppress(OSError):  # not empty, or gone already
                folder.rmdir()
        return freed

    def _private_folder(self, *parts: str) -> Path:
        folder = self.root.joinpath(*parts)
        try:
            _make_folder(folder, self.root, private=True)
        except OSError as error:
            raise StoreError(f"{folder}: the folder cannot be made: {error}. Free disk space or allow it.") from error
        return folder


def _write(con: duckdb.DuckDBPyConnection, sql: str, final: Path, relative: str, types: dict[str, str]) -> FileRef:
    """Write one file beside `final`, put it on disk, give it its name, and describe it.

    `types` are those of the columns; empty, they are read from the file and put there.
    """
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(6)}.tmp")
    try:
        rows, columns = _copy(con, sql, temporary, types)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
        try:
            os.link(temporary, final)  # unlike a rename, it fails where the name is taken
        except FileExistsError as error:
            raise StoreError(errno.EEXIST, "a version is written once, and this one is there", str(final)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return FileRef(path=relative, bytes=size, sha256=digest, rows=rows, columns=columns)


def _copy(
    con: duckdb.DuckDBPyConnection, sql: str, target: Path, types: dict[str, str]
) -> tuple[int, dict[str, ColumnFacts]]:
    """Write the rows of `sql`, and return how many there are and what the writer learned of each column."""
    row = con.execute(f"COPY ({sql}) TO {literal(str(target))} ({_FORMAT}, RETURN_STATS)").fetchone()
    if row is None:
        raise StoreError(f"DuckDB did not say how many rows it wrote: {sql[:200]}")
    if not types:
        types.update(columns_of(con, f"read_parquet({file_patterns([target])}, hive_partitioning = FALSE)"))
    told = ((_name(written), facts) for written, facts in row[4].items())
    return int(row[1]), {name: _facts(facts, types[name]) for name, facts in told if name in types}


def _name(written: str) -> str:
    """The name of a column that `COPY` reports as `"name"`; empty for one inside another, `"address"."city"`."""
    inner = written[1:-1]
    return "" if '"' in inner.replace('""', "") else inner.replace('""', '"')


def _facts(told: Mapping[str, str], kind: str) -> ColumnFacts:
    nulls = int(told["null_count"])
    # A NaN is no part of the ends, and yet it lies above every number. Text is nobody's to keep in a ledger.
    if told.get("has_nan", "false") != "false" or family(kind) not in _WITH_ENDS:
        return ColumnFacts(nulls)
    # DuckDB 1.5 does not say what is exact: of numbers, dates and times, all are.
    return ColumnFacts(
        nulls, *(told.get(end) if told.get(f"{end}_is_exact", "true") == "true" else None for end in _ENDS)
    )


def _projection(schema: Schema, found: Schema) -> str:
    present = {name for name, _ in found}
    if not schema:
        raise UsageError("a relation needs at least one column")
    return ", ".join(
        f"CAST({quote(name) if name in present else 'NULL'} AS {kind}) AS {quote(name)}" for name, kind in schema
    )


def _latest(versions: Sequence[Version]) -> Schema:
    if not versions:
        raise UsageError("without any version, the schema of the relation must be given")
    return max(versions, key=lambda version: version.created_at).schema


def _address(product: str) -> tuple[str, str]:
    domain, _, name = product.partition("/")
    return _part(domain), _part(name)


def _folder(top: str, product: str, table: str, batch: str) -> str:
    return "/".join((top, *_address(product), _part(table), _part(batch)))


def _part(name: str) -> str:
    if not _PART.fullmatch(name):
        raise UsageError(f"{name!r} cannot name a file or folder: use letters, digits, '_', '-', '.' and '@'.")
    return name


def _make_folder(folder: Path, root: Path, *, private: bool) -> None:
    """Make `folder` and what lacks above it, each entry put on disk; a private one is its owner's alone."""
    if folder.is_dir():
        return
    if folder != root:
        _make_folder(folder.parent, root, private=private)
    folder.mkdir(parents=folder == root, exist_ok=True, mode=_PRIVATE if private or folder == root else 0o777)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Put the entries of `folder` on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
