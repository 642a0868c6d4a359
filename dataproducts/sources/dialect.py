"""How a CSV file is written: encoding, delimiter, header; detected with proof, or refused.

It must not know contracts or servers. What fits two dialects equally well is an error that says what to declare, never
a guess. Blanks around a value do not count, and an empty field is NULL, quoted or not.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from dataproducts.errors import SourceError
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 20
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_TRIALS = ("cp1252", "latin-1")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one CSV file is written; `header` holds the column names, `has_header` whether the first row does."""

    encoding: str
    delimiter: str
    header: tuple[str, ...]
    has_header: bool = True


def detect(
    path: Path, *, encoding: str | None = None, delimiter: str | None = None, header: bool | None = None
) -> Dialect:
    """Return how the CSV file at `path` is written; what is given is taken as declared.

    Raises: SourceError, where the file fits no reading, or two equally well.
    """
    found = encoding if encoding and not _is_utf8(encoding) else _encoding(path)
    records_by_delimiter = _records(path, found, (delimiter,) if delimiter else _DELIMITERS)
    chosen = delimiter or _delimiter(path, records_by_delimiter)
    records = records_by_delimiter[chosen]
    if not records:
        raise SourceError(f"{path}: there is no complete row, not even a header. Check what wrote it")
    first = tuple(cell.strip() for cell in records[0])
    has_header = _has_header(path, first) if header is None else header
    names = first if has_header else tuple(f"column{at}" for at in range(len(first)))
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise SourceError(f"{path}: names in the header are empty or repeat. Correct them, or declare `header: false`")
    return Dialect(found, chosen, names, has_header)


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def _is_utf8(encoding: str) -> bool:
    """Whether `encoding` is UTF-8 under any of its names: then a BOM is looked for, and each byte proved."""
    try:
        return codecs.lookup(encoding).name in {"utf-8", "utf-8-sig"}
    except LookupError:
        return False


def _encoding(path: Path) -> str:
    """UTF-8, with or without BOM, proved on every byte; UTF-16 by its BOM."""
    with _open(path) as file:
        start = file.read(4)
        for bom, name in _BOMS:
            if start.startswith(bom):
                return name
        decoder = codecs.getincrementaldecoder("utf-8")()
        block = start
        try:
            while block:
                decoder.decode(block)
                block = file.read(_BLOCK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 1]
            fits = " or ".join(f"{name} (reads it as {wrong.decode(name, 'replace')!r})" for name in _TRIALS)
            raise SourceError(
                f"{path}: byte 0x{wrong.hex()} is not UTF-8. Declare `encoding`: perhaps {fits}"
            ) from error
    return "utf-8"


def text_of(path: Path, encoding: str) -> io.TextIOWrapper:
    """Open `path` as text, unpacked where it ends in `.gz`, line ends as they are."""
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise SourceError(f"{path}: there is no encoding {encoding!r}") from error
    return io.TextIOWrapper(_open(path), encoding=encoding, newline="")


def _records(path: Path, encoding: str, delimiters: Iterable[str]) -> dict[str, list[list[str]]]:
    """The first records of the file by delimiter, blank lines left out; the last, perhaps cut off, too."""
    with text_of(path, encoding) as file:
        try:
            text = file.read(_SAMPLE_BYTES)
            more = bool(file.read(1))
        except UnicodeError as error:
            raise SourceError(f"{path}: the file is not {encoding}, as declared") from error
    found = {}
    for delimiter in delimiters:
        try:
            records = [r for r in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if r]
        except csv.Error:
            records = []
        found[delimiter] = records[:-1] if more else records
    if text and not any(found.values()):
        raise SourceError(f"{path}: no row ends within {_SAMPLE_BYTES >> 10} KiB: a quote may be left open")
    return found


def _delimiter(path: Path, records: Mapping[str, list[list[str]]]) -> str:
    """The one delimiter under which every record has as many fields as the header, and more than one."""
    widths = {
        delimiter: len(rows[0])
        for delimiter, rows in records.items()
        if rows and len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows)
    }
    if widths:
        widest = max(widths.values())
        best = [delimiter for delimiter, width in widths.items() if width == widest]
        if len(best) > 1:
            listed = " and ".join(repr(delimiter) for delimiter in best)
            raise SourceError(f"{path}: {listed} both give {widest} fields in every row. Declare `delimiter`")
        return best[0]
    split = {delimiter: rows for delimiter, rows in records.items() if rows and len(rows[0]) > 1}
    if not split:
        return ","  # one column
    delimiter, rows = max(split.items(), key=lambda item: len(item[1][0]))
    at, row = next((at, row) for at, row in enumerate(rows, 1) if len(row) != len(rows[0]))
    raise SourceError(
        f"{path}: with {delimiter!r}, row {at} has {len(row)} fields and the first {len(rows[0])}. "
        "Declare `delimiter`, or quote the values that hold it"
    )


def _has_header(path: Path, first: Sequence[str]) -> bool:
    """Whether the first row can only be names: none empty, repeated, a number or a date."""
    odd = [cell for cell in first if not cell or re.fullmatch(r"[-+]?[\d.,/:\s-]*\d[\d.,/:\s-]*", cell)]
    if not odd and len({cell.lower() for cell in first}) == len(first):
        return True
    raise SourceError(
        f"{path}: the first row may be a header or data ({len(odd)} of its {len(first)} cells are empty or numbers, or "
        "names repeat). Declare `header: true` or `header: false`"
    )


def read_csv_sql(paths: Sequence[str], dialect: Dialect, null_values: Sequence[str]) -> str:
    """Return SQL, usable after FROM, that reads UTF-8 files of one dialect as text, blanks cut off, empty as NULL."""
    columns = "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.header) + "}"
    source = (
        f"read_csv({literal(list(paths))}, auto_detect = false, header = {literal(dialect.has_header)}, "
        f"delim = {literal(dialect.delimiter)}, quote = '\"', escape = '\"', columns = {columns}, nullstr = '', "
        "strict_mode = true)"
    )
    nulls = ", ".join(literal(value) for value in ("", *null_values))
    cleaned = ", ".join(
        f"CASE WHEN trim({quote(name)}, {_BLANKS}) NOT IN ({nulls}) THEN trim({quote(name)}, {_BLANKS}) END "
        f"AS {quote(name)}"
        for name in dialect.header
    )
    return f"(SELECT {cleaned} FROM {source})"


_BLANKS = "' ' || chr(9) || chr(13) || chr(160)"
