"""How text becomes typed values: types that every value proves, and dates whose order of day and month is certain.

It must not know files or contracts. What two readings fit equally well is an error, never a guess; what no reading
fits stays text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataproducts.errors import SourceError
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb


def column_types(
    con: duckdb.DuckDBPyConnection, source: str, names: Sequence[str], *, formats: Sequence[str] = (), where: str
) -> dict[str, str]:
    """Return for each column of text the SQL that reads it as the narrowest type that all of its values prove.

    In order: the declared date `formats`, BIGINT, DOUBLE, BOOLEAN (true, false), DATE, TIMESTAMP, TIMESTAMPTZ (ISO
    8601), DATE and TIMESTAMP with the year last, VARCHAR. Numbers with a leading zero are names, so text. Every row is
    looked at: the first ones only tell which readings are worth proving on all.

    Raises: SourceError, for a column whose values fit both day/month/year and month/day/year.
    """
    first = f"(SELECT * FROM {source} LIMIT {_FIRST_ROWS})"
    readings = _still_fitting(con, first, {name: _readings(quote(name), formats) for name in names})
    for name, fitting in readings.items():
        if fitting.pop(_YEAR_LAST, None):
            fitting |= {date_format: dated(quote(name), date_format) for date_format in _YEAR_LAST_FORMATS}
    readings = _still_fitting(con, source, readings)
    found = {}
    for name, fitting in readings.items():
        doubtful = [label for label in fitting if label in _YEAR_LAST_FORMATS]
        if len(doubtful) > 1 and next(iter(fitting)) not in formats:
            raise SourceError(_ambiguous(con, source, name, doubtful, where=where))
        found[name] = _certain(quote(name), next(iter(fitting), ""))
    return found


_FIRST_ROWS = 2048
_YEAR_LAST = "year last"
_YEAR_LAST_FORMATS = dict.fromkeys(
    date + clock
    for mark in "-/."
    for clock in ("", " %H:%M", " %H:%M:%S")
    for date in (f"%d{mark}%m{mark}%Y", f"%m{mark}%d{mark}%Y")
).keys()
_INTEGER = r"[-+]?(0|[1-9]\d{0,17})"
_NUMBER = r"[-+]?(0|[1-9]\d*|0?\.\d+|(0|[1-9]\d*)\.\d*)([eE][-+]?\d+)?"
_ISO_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_ISO_TIME = _ISO_DATE + r"[ T]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_SHAPED = (
    (_INTEGER, "BIGINT"),
    (_NUMBER, "DOUBLE"),
    ("(?i)true|false", "BOOLEAN"),
    (_ISO_DATE, "DATE"),
    (_ISO_TIME, "TIMESTAMP"),
    (_ISO_TIME + r" ?(Z|[-+]\d{2}(:?\d{2})?)", "TIMESTAMPTZ"),
)


def _readings(column: str, formats: Sequence[str]) -> dict[str, str]:
    """The ways to read a column of text, best first: type or date format -> SQL that is NULL where a value misfits."""
    found = {date_format: dated(column, date_format) for date_format in formats}
    for pattern, kind in _SHAPED:
        fits = f"regexp_full_match({column}, {literal(pattern)})"
        found[kind] = f"CASE WHEN {fits} THEN TRY_CAST({column} AS {kind}) END"
    found["%Y/%m/%d"] = dated(column, "%Y/%m/%d")
    found[_YEAR_LAST] = f"CASE WHEN regexp_full_match({column}, '\\d+[-/.]\\d+[-/.]\\d{{4}}( .*)?') THEN 1 END"
    return found


def _certain(column: str, reading: str) -> str:
    """SQL for a reading that fits every value: should one not fit after all, the file has changed, and it raises."""
    if "%" in reading:
        return f"CAST(strptime({zoned(column, reading)}, {literal(reading)}) AS {_kind(reading)})"
    return f"CAST({column} AS {reading})" if reading else column


def _still_fitting(
    con: duckdb.DuckDBPyConnection, source: str, readings: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Those readings that fit every value of their column; none, where the column holds no value."""
    wanted = [(name, label, sql) for name, fitting in readings.items() for label, sql in fitting.items()]
    tests = [f"bool_and(({sql}) IS NOT NULL) FILTER (WHERE {quote(name)} IS NOT NULL)" for name, _, sql in wanted]
    row = (con.execute(f"SELECT {', '.join(tests)} FROM {source}").fetchone() or ()) if tests else ()
    found: dict[str, dict[str, str]] = {name: {} for name in readings}
    for (name, label, sql), fits in zip(wanted, row, strict=True):
        if fits:
            found[name][label] = sql
    return found


def _ambiguous(con: duckdb.DuckDBPyConnection, source: str, name: str, formats: Iterable[str], *, where: str) -> str:
    rows = con.execute(
        f"SELECT DISTINCT {_shape(quote(name))} FROM {source} WHERE {quote(name)} IS NOT NULL ORDER BY ALL LIMIT 3"
    ).fetchall()
    examples = ", ".join(repr(value) for (value,) in rows)
    return (
        f"{where}: column {name!r} holds dates that fit both day/month/year and month/day/year: {examples}. "
        f"Declare `dateFormat` ({' or '.join(repr(f) for f in formats)}), or the column as VARCHAR in `columns`"
    )


def _parsed(column: str, date_format: str) -> str:
    """A moment in text, NULL where it does not fit; %Y is four digits, though strptime takes 1/2/12 for the year 12."""
    moment = f"try_strptime({zoned(column, date_format)}, {literal(date_format)})"
    return f"CASE WHEN regexp_matches({column}, '\\d{{4}}') THEN {moment} END" if "%Y" in date_format else moment


def _kind(date_format: str) -> str:
    clocked = any(part in date_format for part in ("%H", "%-H", "%I", "%-I", "%M", "%S"))
    return "TIMESTAMP" if clocked else "DATE"


def dated(column: str, date_format: str) -> str:
    """Return SQL that reads text by `date_format`, NULL where it does not fit: a DATE, or with a clock a TIMESTAMP."""
    return f"CAST({_parsed(column, date_format)} AS {_kind(date_format)})"


_WHOLE = r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?"


def typed(column: str, sql_type: str, formats: Sequence[str] = ()) -> str:
    """Return SQL that reads text as `sql_type`, NULL where a value does not fit without loss.

    Whole numbers must be written as such, decimals may not have more digits after the point than the type, dates and
    times follow `formats`, or ISO 8601 where none is given.
    """
    kind = sql_type.upper()
    if kind.startswith(("DATE", "TIMESTAMP")) and "[" not in kind and formats:
        tried = ", ".join(_parsed(column, date_format) for date_format in formats)
        return f"TRY_CAST(coalesce({tried}) AS {sql_type})"
    attempt = f"TRY_CAST({column} AS {sql_type})"
    if kind.startswith(("DATE", "TIMESTAMP")) and "[" not in kind:
        return f"CASE WHEN regexp_matches({column}, '^\\d{{4}}-') THEN {attempt} END"
    if re.fullmatch(_WHOLE, kind):
        return f"CASE WHEN regexp_full_match({column}, '[-+]?\\d+') THEN {attempt} END"
    scaled = re.fullmatch(r"(DECIMAL|NUMERIC)\(\s*\d+\s*,\s*(\d+)\s*\)", kind)
    if scaled:
        too_fine = f"regexp_matches({column}, '\\.\\d{{{scaled.group(2)}}}\\d*[1-9]')"
        return f"CASE WHEN NOT {too_fine} THEN {attempt} END"
    return attempt


def typed_or_error(column: str, sql_type: str, formats: Sequence[str] = ()) -> str:
    """Return SQL that reads text as `typed`, and raises on a value that does not fit."""
    said = literal(f"column {column}: a value is no {sql_type}")
    return f"coalesce({typed(column, sql_type, formats)}, CASE WHEN {column} IS NOT NULL THEN error({said}) END)"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Values of one column that are not of its type: how many, up to 3 shapes of them, and one that is not to be told.

    A shape shows 9 for a digit and a for a letter.
    """

    column: str
    count: int
    shapes: tuple[str, ...]
    value: str


def unfit(con: duckdb.DuckDBPyConnection, source: str, readings: Mapping[str, str]) -> tuple[Misfit, ...]:
    """Return the columns that hold values which their reading does not fit."""
    if not readings:
        return ()
    tests = {name: f"{quote(name)} IS NOT NULL AND ({sql}) IS NULL" for name, sql in readings.items()}
    parts = []
    for name, wrong in tests.items():
        shapes = f"list_sort(list(DISTINCT {_shape(quote(name))}) FILTER (WHERE {wrong}))[1:3]"
        parts += [f"count(*) FILTER (WHERE {wrong})", shapes]
    row = con.execute(f"SELECT {', '.join(parts)} FROM {source}").fetchone() or ()
    found = []
    for name, count, shapes in zip(readings, row[::2], row[1::2], strict=True):
        if count:
            # The engine keeps the order of a file, so this is an early one, and is soon found there.
            first = con.execute(f"SELECT {quote(name)} FROM {source} WHERE {tests[name]} LIMIT 1").fetchall()
            found.append(Misfit(name, count, tuple(shapes), first[0][0] if first else ""))
    return tuple(found)


def _shape(column: str) -> str:
    letters = f"regexp_replace({column}, '\\p{{L}}', 'a', 'g')"
    return f"left(regexp_replace({letters}, '\\d', '9', 'g'), 30)"


def expected(sql_type: str, formats: Sequence[str] = ()) -> str:
    """Return how a value of a type is written: in words, with an example."""
    kind = sql_type.upper()
    if kind.startswith(("DATE", "TIMESTAMP")):
        iso = "2024-01-31 in ISO 8601" if kind == "DATE" else "2024-01-31 14:30:00 in ISO 8601"
        return f"a date like {' or '.join(formats)}" if formats else f"a date such as {iso}"
    if re.fullmatch(_WHOLE, kind):
        return "a whole number such as 42"
    if kind.startswith(("DECIMAL", "NUMERIC", "DOUBLE", "FLOAT", "REAL")):
        return f"a number such as 12.5 that fits {sql_type}"
    return "true or false" if kind == "BOOLEAN" else f"text that DuckDB casts to {sql_type}"


def date_formats(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the `dateFormat` and `timestampFormat` of a source in the words of strptime.

    Raises: SourceError, for letters that mean nothing here: `DD/MM/YYYY`.
    """
    found = []
    for key in ("dateFormat", "timestampFormat"):
        if declared := str(settings.get(key) or ""):
            found.append(strptime_format(declared, strict=True))
            if not found[-1]:
                raise SourceError(
                    f"`{key}` {declared!r} has letters that mean nothing here. Write it like dd/MM/yyyy HH:mm:ss, "
                    "with other letters between single quotes, or like %d/%m/%Y %H:%M:%S"
                )
    return tuple(found)


_TOKENS = {
    "yyyy": "%Y", "uuuu": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m", "M": "%-m", "dd": "%d", "d": "%-d",
    "DDD": "%j", "EEEE": "%A", "EEE": "%a", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "a": "%p", "mm": "%M",
    "ss": "%S", "SSSSSS": "%f", "SSS": "%g", "XXX": "%z", "xxx": "%z", "XX": "%z", "xx": "%z", "Z": "%z",
    "T": "T",
}  # fmt: skip
_WORD = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']")


def strptime_format(declared: str, *, strict: bool = False) -> str:
    """Return a date format in the words of strptime; `dd-MM-yyyy`, as ODCS writes formats, becomes `%d-%m-%Y`.

    Text between single quotes stands for itself. So do letters that strptime lacks, unless `strict`: then it is ''.
    """
    if "%" in declared:
        return declared
    parts = []
    for match in _WORD.finditer(declared):
        if match[1] is not None:
            parts.append(match[1].replace("''", "'") or "'")
        elif strict and match[2] and match[0] not in _TOKENS:
            return ""
        else:
            parts.append(_TOKENS.get(match[0], match[0]))
    return "".join(parts)


def zoned(column: str, date_format: str) -> str:
    """Return SQL for text that is read by `date_format`: strptime's %z does not know the Z that ISO 8601 writes."""
    return f"regexp_replace({column}, 'Z$', '+00')" if "%z" in date_format else column
