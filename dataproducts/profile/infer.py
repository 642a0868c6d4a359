"""What text could be read as: the type that every value proves, and those that most do; it must not know files.

Stricter than a cast: a number with a leading zero or with more than 18 digits is a name, and dates that fit both orders
of day and month are text. What is proved here, `typed` of `sources.readings` reads without loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.profile.model import Fit
from dataproducts.sources.readings import dated
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import duckdb

_FIRST_ROWS = 2048
_MOST = 0.5

# Bounded repeats of \p{L} make patterns that take longer to compile than small tables take to read.
_INTEGER = r"[-+]?(0|[1-9]\d*)"
_NUMBER = r"[-+]?(0|[1-9]\d*|0?\.\d+|(0|[1-9]\d*)\.\d*)([eE][-+]?\d+)?"
_DATE = r"\d{4}-\d{1,2}-\d{1,2}"
_TIME = _DATE + r"[ T]+\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
_SIGNED = r"[-+(]?\s?[$€£¥]?\s?[-+]?([1-9]\d?\d?(,\d{3})+|0|[1-9]\d*)(\.\d+)?\s?[$€£¥%)]?"
_WITH_UNIT = r"[-+]?\d+(\.\d+)?\s*[^\d\s,;:/+-][^\d,;:/]*"
_DATED = r"\d+[-/.]\d+[-/.]\d+( .*)?|\d+[- ][A-Za-z]+[- ]\d+|[A-Za-z]+ \d+, \d+"
_LONGEST = 18  # digits of whole numbers that a BIGINT surely holds; longer ones are names

_SHAPED = (
    ("integer", "BIGINT", _INTEGER),
    ("number", "DOUBLE", _NUMBER),
    ("boolean", "BOOLEAN", "(?i)true|false"),
    ("date", "DATE", _DATE),
    ("timestamp", "TIMESTAMP", _TIME),
    ("timestamp", "TIMESTAMP WITH TIME ZONE", _TIME + r" ?(Z|[-+]\d{2}(:?\d{2})?)"),
)
_LOOSE = (("number with signs", _SIGNED), ("number with a unit", _WITH_UNIT))
"""Readings that no cast knows: they tell what cleaning is needed, and are never a type."""

_CLOCKS = ("", " %H:%M", " %H:%M:%S")
_ORDERED = tuple(
    date + clock
    for mark in "-/."
    for year in "Yy"
    for clock in _CLOCKS
    for date in (f"%d{mark}%m{mark}%{year}", f"%m{mark}%d{mark}%{year}")
)
_FORMATS = ("%Y/%m/%d", *(f"%Y/%m/%d{clock}" for clock in _CLOCKS[1:]), *_ORDERED, "%d %b %Y", "%d-%b-%Y", "%b %d, %Y")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a column of text is read: its logical type, the DuckDB type, the format of dates, and SQL that reads it.

    `fits` holds readings that fit at least half of the values and are not the one that was taken.
    """

    reads_as: str
    sql_type: str
    sql: str
    format: str = ""
    fits: tuple[Fit, ...] = ()


@dataclass(frozen=True, slots=True)
class _Trial:
    reads_as: str
    sql_type: str
    sql: str
    format: str = ""


def read_text(con: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> dict[str, Reading]:
    """Return how each text column of `relation` is read.

    Shape: three statements whatever the number of columns; the first rows tell which readings are tried on all.
    """
    first = f"(SELECT * FROM {relation} LIMIT {_FIRST_ROWS})"
    plain = _worth(con, first, {name: (*_plain(quote(name)), _gate(quote(name))) for name in names})
    dates = {name: tuple(_dates(quote(name))) for name, kept in plain.items() if any(not t.reads_as for t in kept)}
    ordered = _worth(con, first, dates)
    worth = {name: (*(t for t in plain[name] if t.reads_as), *ordered.get(name, ())) for name in names}
    counted = _count(con, relation, worth)
    return {name: _choose(name, worth[name], *counted[name]) for name in names}


def _plain(column: str) -> Iterator[_Trial]:
    """Ways to read a column that a pattern tells, best first; the SQL is NULL for a value that does not fit."""
    for reads_as, kind, pattern in _SHAPED:
        fits = f"regexp_full_match({column}, {literal(pattern)})"
        if reads_as in ("integer", "number"):
            fits += f" AND length({column}) <= {_LONGEST}"
        yield _Trial(reads_as, kind, f"CASE WHEN {fits} THEN TRY_CAST({column} AS {kind}) END")
    for label, pattern in _LOOSE:
        yield _Trial(label, "", f"CASE WHEN regexp_full_match({column}, {literal(pattern)}) THEN 1 END")


def _gate(column: str) -> _Trial:
    """Whether it is worth trying some dozens of date formats: a trial without a name."""
    return _Trial("", "", f"CASE WHEN regexp_full_match({column}, {literal(_DATED)}) THEN 1 END")


def _dates(column: str) -> Iterator[_Trial]:
    for date_format in _FORMATS:
        reads_as, kind = ("timestamp", "TIMESTAMP") if "%H" in date_format else ("date", "DATE")
        yield _Trial(reads_as, kind, dated(column, date_format), date_format)


def _worth(
    con: duckdb.DuckDBPyConnection, relation: str, trials: Mapping[str, Sequence[_Trial]]
) -> dict[str, tuple[_Trial, ...]]:
    """Those trials that fit at least half of the values."""
    return {
        name: tuple(t for t, rows in zip(trials[name], fitting, strict=True) if rows >= values * _MOST)
        for name, (values, fitting) in _count(con, relation, trials).items()
    }


_Counted = dict[str, tuple[int, tuple[int, ...]]]


def _count(con: duckdb.DuckDBPyConnection, relation: str, trials: Mapping[str, Sequence[_Trial]]) -> _Counted:
    """Values of each column, and how many of them each trial fits."""
    if not trials:
        return {}
    wanted = [f"count({sql})" for name, tried in trials.items() for sql in (quote(name), *(t.sql for t in tried))]
    row = iter(con.execute(f"SELECT {', '.join(wanted)} FROM {relation}").fetchone() or ())
    return {name: (next(row), tuple(next(row) for _ in tried)) for name, tried in trials.items()}


def _choose(name: str, trials: Sequence[_Trial], values: int, fitting: Sequence[int]) -> Reading:
    found = list(zip(trials, fitting, strict=True))
    full = [trial for trial, rows in found if values and rows == values and trial.sql_type]
    taken = full[0] if full else None
    if taken is not None and taken.format in _ORDERED and len(full) > 1:
        taken = None  # two orders of day and month fit: nobody can tell which
    shown = tuple(Fit(t.reads_as, t.format, rows) for t, rows in found if rows and rows >= values * _MOST)
    if taken is None:
        return Reading("string", "VARCHAR", quote(name), fits=_telling(shown))
    return Reading(taken.reads_as, taken.sql_type, taken.sql, taken.format)


def _telling(fits: Sequence[Fit]) -> tuple[Fit, ...]:
    """The readings that say something: the most telling ones first, those that repeat a narrower one left out."""
    kept: dict[int, Fit] = {}
    for fit in fits:
        if fit.rows not in kept or fit.format:
            kept[fit.rows if not fit.format else -len(kept) - 1] = fit
    return tuple(sorted(kept.values(), key=lambda fit: -fit.rows)[:4])


def value_sql(name: str, stored: str, sql_type: str, date_format: str = "") -> str:
    """Return SQL for the value of a column that was profiled as `sql_type`, NULL where it does not fit."""
    if stored == sql_type:
        return quote(name)
    return dated(quote(name), date_format) if date_format else f"TRY_CAST({quote(name)} AS {sql_type})"
