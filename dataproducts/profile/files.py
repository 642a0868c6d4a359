"""Files as relations to profile: every column of CSV as text, so that nothing is refused; it must not measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.errors import SourceError, UsageError
from dataproducts.sources.files import SUFFIXES, format_of, read_files, text_relation
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

READINGS = ("encoding", "delimiter", "header", "nullValues")
"""What can be told of how a CSV file is written; `nullValues` separates texts that mean null by commas."""


def open_file(con: duckdb.DuckDBPyConnection, path: Path, *, name: str, settings: Mapping[str, Any]) -> str:
    """Return SQL, usable after FROM, for the rows of a CSV, Parquet or JSON file.

    CSV and JSON are read once, into table `name` of the connection: they would be parsed again for every column.

    Raises:
        SourceError: the file is absent, of no known format, or cannot be read.
        duckdb.Error: the engine cannot read it.
    """
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")
    kind = format_of(path.name)
    if kind == "csv":
        source, _ = text_relation(con, [path], settings, where=str(path))
    elif kind:
        source = read_files(con, [path], {}, where=str(path))
    else:
        known = ", ".join(endings[0] for endings in SUFFIXES.values())
        raise SourceError(f"{path}: nothing tells the format. Give a file that ends in {known}")
    if kind == "parquet":
        return source
    con.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM {source}")
    return quote(name)


def table_name(path: Path) -> str:
    """Return the name of the table that a file holds: its own, without the ending."""
    endings = sorted((end for kinds in SUFFIXES.values() for end in kinds), key=len, reverse=True)
    found = next((end for end in endings if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(found)] or path.name


def parse_settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Return `KEY=VALUE` texts as settings of a CSV file. Raises: UsageError."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, found, value = pair.partition("=")
        if not found or key not in READINGS:
            raise UsageError(f"--read takes KEY=VALUE, such as 'delimiter=;', and KEY is one of {', '.join(READINGS)}")
        settings[key] = value.split(",") if key == "nullValues" else value
    return settings
