"""How text becomes typed values: types that every value proves, and dates whose order of day and month is certain.

It must not know files or contracts. What two readings fit equally well is an error, never a guess; what no reading
fits stays text.
"""

from __future__ import annotations

import re
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
        return f"CAST(strptime({column}, {literal(reading)}) AS {_kind(reading)})"
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
        f"SELECT DISTINCT {quote(name)} FROM {source} WHERE {quote(name)} IS NOT NULL ORDER BY ALL LIMIT 3"
    ).fetchall()
    examples = ", ".join(repr(value) for (value,) in rows)
    return (
        f"{where}: column {name!r} holds dates that fit both day/month/year and month/day/year: {examples}. "
        f"Declare `dateFormat` ({' or '.join(repr(f) for f in formats)}), or the column as VARCHAR in `columns`"
    )


def _parsed(column: str, date_format: str) -> str:
    """A moment in text, NULL where it does not fit; %Y is four digits, though strptime takes 1/2/12 for the year 12."""
    moment = f"try_strptime({column}, {literal(date_format)})"
    return f"CASE WHEN regexp_matches({column}, '\\d{{4}}') THEN {moment} END" if "%Y" in date_format else moment


def _kind(date_format: str) -> str:
    clocked = any(part in date_format for part in ("%H", "%-H", "%I", "%-I", "%M", "%S"))
    return "TIMESTAMP" if clocked else "DATE"


def dated(column: str, date_format: str) -> str:
    """Return SQL that reads text by `date_format`, NULL where it does not fit: a DATE, or with a clock a TIMESTAMP."""
    return f"CAST({_parsed(column, date_format)} AS {_kind(date_format)})"


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
    if re.fullmatch(r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?", kind):
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


def unfit(
    con: duckdb.DuckDBPyConnection, source: str, readings: Mapping[str, str]
) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Return for each column how many values its reading does not fit, and up to 3 shapes of such values.

    A shape shows 9 for a digit and a for a letter, so that no value of the data is told. Columns without such values
    are left out.
    """
    if not readings:
        return {}
    parts = []
    for name, sql in readings.items():
        wrong = f"{quote(name)} IS NOT NULL AND ({sql}) IS NULL"
        digits = f"regexp_replace({quote(name)}, '\\p{{L}}', 'a', 'g')"
        shape = f"left(regexp_replace({digits}, '\\d', '9', 'g'), 30)"
        parts.append(f"count(*) FILTER (WHERE {wrong}), (list(DISTINCT {shape}) FILTER (WHERE {wrong}))[1:3]")
    row = con.execute(f"SELECT {', '.join(parts)} FROM {source}").fetchone() or ()
    pairs = zip(readings, row[::2], row[1::2], strict=True)
    return {name: (count, tuple(sorted(shapes))) for name, count, shapes in pairs if count}


def date_formats(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the `dateFormat` and `timestampFormat` of a source in the words of strptime."""
    declared = (settings.get("dateFormat"), settings.get("timestampFormat"))
    return tuple(strptime_format(str(value)) for value in declared if value)


_TOKENS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%-m",
    "dd": "%d",
    "d": "%-d",
    "HH": "%H",
    "hh": "%I",
    "mm": "%M",
    "ss": "%S",
    "SSSSSS": "%f",
    "SSS": "%g",
    "a": "%p",
    "XXX": "%z",
}


def strptime_format(declared: str) -> str:
    """Return a date format in the words of strptime; `dd-MM-yyyy`, as ODCS writes formats, becomes `%d-%m-%Y`.

    Text between single quotes stands for itself.
    """
    if "%" in declared:
        return declared
    tokens = "|".join(sorted(_TOKENS, key=len, reverse=True))
    return re.sub(
        f"'([^']*)'|({tokens})", lambda m: m.group(1) if m.group(2) is None else _TOKENS[m.group(2)], declared
    )
