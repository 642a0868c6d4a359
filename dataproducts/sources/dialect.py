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
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from dataproducts.errors import DataProductError, SourceError
from dataproducts.sql import file_patterns, literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 18
_BLOCK_BYTES = 1 << 20
_BOMS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_TRIALS = ("cp1252", "latin-1")
_Record = tuple[int, list[str]]  # the line that a record begins in, and its fields


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
        raise SourceError(
            f"{path}: there is no complete row, not even a header: the file is empty or cut off. Check what wrote it"
        )
    line, cells = records[0]
    first = tuple(cell.strip() for cell in cells)
    has_header = _has_header(f"{path}:{line}", first) if header is None else header
    names = first if has_header else tuple(f"column{at}" for at in range(len(first)))
    if "\0" in "".join(names):
        raise SourceError(f"{path}:{line}: a name in the header holds a NUL character. Declare `encoding`")
    if "" in names or len({name.lower() for name in names}) < len(names):
        raise SourceError(f"{path}:{line}: {_odd_names(names)}. Correct the header, or declare `header: false`")
    return Dialect(found, chosen, names, has_header)


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked. Raises: SourceError, at any byte that cannot be had: no right, or a damaged pack."""
    try:
        with cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb") as file:
            yield file
    except DataProductError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(f"{path}: it cannot be read to its end: {why}. Fetch it again, or allow it") from error


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
        block, line = start, 1
        try:
            while block:
                if b"\0" in block:
                    line += block[: block.index(b"\0")].count(b"\n")
                    raise SourceError(
                        f"{path}:{line}: a NUL byte is no text. If the file is UTF-16 without a byte order mark, "
                        "declare `encoding: utf-16-le` or `encoding: utf-16-be`; else write it anew"
                    )
                decoder.decode(block)
                line += block.count(b"\n")
                block = file.read(_BLOCK_BYTES)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            wrong = error.object[error.start : error.start + 1]
            line += error.object[: error.start].count(b"\n")
            fits = " or ".join(f"{name} (reads it as {wrong.decode(name, 'replace')!r})" for name in _TRIALS)
            raise SourceError(
                f"{path}:{line}: byte 0x{wrong.hex()} is not UTF-8. Declare `encoding`: perhaps {fits}"
            ) from error
    return "utf-8"


@contextmanager
def text_of(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Give `path` as text, unpacked where it ends in `.gz`, line ends as they are.

    Raises: SourceError, for an unknown encoding, or a file that cannot be read to its end.
    """
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise SourceError(
            f"{path}: there is no encoding {encoding!r}. Name one such as utf-8, cp1252 or latin-1"
        ) from error
    with _open(path) as raw, io.TextIOWrapper(raw, encoding=encoding, newline="") as file:
        yield file


def _records(path: Path, encoding: str, delimiters: Iterable[str]) -> dict[str, list[_Record]]:
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
            records = list(_numbered(io.StringIO(text, newline=""), delimiter))
        except csv.Error:
            records = []
        found[delimiter] = records[:-1] if more else records
    if text.strip() and not any(found.values()):
        raise SourceError(f"{path}: no row ends within {_SAMPLE_BYTES >> 10} KiB: a quote may be left open")
    return found


def _numbered(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> Iterator[_Record]:
    """The records that are not blank, each with the line that it begins in.

    Raises: csv.Error.
    """
    reader = csv.reader(lines, delimiter=delimiter, strict=strict)
    begins = 1
    for record in reader:
        if record:
            yield begins, record
        begins = reader.line_num + 1


def find_fault(path: Path, dialect: Dialect) -> str:
    """Return where and why the CSV file at `path` is not written as `dialect` says: `path:line: why. fix`; else ''.

    Lines are counted as an editor does, a value of several lines as so many.
    """
    width, line = len(dialect.header), 0
    try:
        with text_of(path, dialect.encoding) as file:
            for line, record in _numbered(file, dialect.delimiter, strict=True):
                if len(record) != width:
                    return f"{path}:{line}: the row has {_fields(len(record))} instead of {width}. {_QUOTE_IT}"
    except csv.Error:
        return f"{path}: after line {line}, a quote is left open or stands inside a value. Double the quotes in values"
    except (SourceError, UnicodeError):
        return ""
    if _has_both_line_ends(path):
        return f"{path}: some lines end in CR LF and others in LF. Write the file with one of the two"
    return ""


def line_of(path: Path, dialect: Dialect, column: str, value: str) -> int:
    """Return the line of the first record at `path` that holds `value`, blanks cut off, in `column`; 0 if none does."""
    at = dialect.header.index(column)
    try:
        with text_of(path, dialect.encoding) as file:
            for number, (line, record) in enumerate(_numbered(file, dialect.delimiter)):
                is_row = number > 0 or not dialect.has_header
                if is_row and len(record) > at and record[at].strip(_CUT) == value:
                    return line
    except (csv.Error, SourceError, UnicodeError):
        return 0
    return 0


_QUOTE_IT = "Declare `delimiter`, or quote the values that hold it"


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"


def _has_both_line_ends(path: Path) -> bool:
    with _open(path) as file:
        ends = {line.endswith(b"\r\n") for line in file if line.endswith(b"\n")}
    return len(ends) > 1


def _delimiter(path: Path, records: Mapping[str, list[_Record]]) -> str:
    """The one delimiter under which every record has as many fields as the header, and more than one."""
    widths = {
        delimiter: len(rows[0][1])
        for delimiter, rows in records.items()
        if rows and len(rows[0][1]) > 1 and all(len(row) == len(rows[0][1]) for _, row in rows)
    }
    if widths:
        widest = max(widths.values())
        best = [delimiter for delimiter, width in widths.items() if width == widest]
        if len(best) > 1:
            listed = " and ".join(repr(delimiter) for delimiter in best)
            raise SourceError(f"{path}: {listed} both give {widest} fields in every row. Declare `delimiter`")
        return best[0]
    split = {delimiter: rows for delimiter, rows in records.items() if rows and len(rows[0][1]) > 1}
    if not split:
        return ","  # one column
    delimiter, rows = max(split.items(), key=lambda item: len(item[1][0][1]))
    width = len(rows[0][1])
    line, row = next((line, row) for line, row in rows if len(row) != width)
    raise SourceError(
        f"{path}:{line}: with {delimiter!r}, the row has {_fields(len(row))} and the first {width}. {_QUOTE_IT}"
    )


def _odd_names(names: Sequence[str]) -> str:
    """What is wrong with the names of a header: some are empty, or repeat whatever their case."""
    folded = [name.lower() for name in names]
    repeated = dict.fromkeys(name for name in names if name and folded.count(name.lower()) > 1)
    empty = folded.count("")
    said = [f"{empty} of its {len(names)} names are empty"] if empty else []
    said += [f"the names {', '.join(map(repr, repeated))} repeat (case does not count)"] if repeated else []
    return " and ".join(said)


def _has_header(where: str, first: Sequence[str]) -> bool:
    """Whether the first row can only be names: none empty, repeated, a number or a date."""
    odd = [cell for cell in first if not cell or re.fullmatch(r"[-+]?[\d.,/:\s-]*\d[\d.,/:\s-]*", cell)]
    if not odd and len({cell.lower() for cell in first}) == len(first):
        return True
    why = f"{len(odd)} of its {len(first)} cells are empty or numbers" if odd else _odd_names(first)
    raise SourceError(
        f"{where}: the first row may be a header or data: {why}. Declare `header: true` or `header: false`"
    )


def read_csv_sql(paths: Sequence[Path], dialect: Dialect, null_values: Sequence[str]) -> str:
    """Return SQL, usable after FROM, that reads UTF-8 files of one dialect as text, blanks cut off, empty as NULL."""
    columns = "{" + ", ".join(f"{literal(name)}: 'VARCHAR'" for name in dialect.header) + "}"
    source = (
        f"read_csv({file_patterns(paths)}, auto_detect = false, header = {literal(dialect.has_header)}, "
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


_CUT = " \t\r\xa0"
_BLANKS = "' ' || chr(9) || chr(13) || chr(160)"  # the same in SQL
