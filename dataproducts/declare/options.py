"""Conditions that `logicalTypeOptions` imply beyond ranges, lengths and patterns; it must not know how they are judged.

Settled here: items that are NULL are no duplicates of each other; a field of an object that is NULL is as good as
absent, and an object that is NULL breaks nothing; text that is declared as a date, time or timestamp must be written
exactly as its `format` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dataproducts.declare.fields import flag, number, text, texts
from dataproducts.sources.readings import strptime_format, zoned
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataproducts.product import Column

Implied = tuple[str, dict[str, Any], str]
"""The end of a rule's name, its parameters, and the option that implies it; empty for several."""

_TOLERANCE = 1e-3  # of the length of a normalized vector: 32-bit fractions, and what rounded them


def implied_conditions(column: Column, sql: str, options: Mapping[str, Any]) -> Iterator[Implied]:
    """Yield the conditions that the options of `column` imply; `sql` is the column as an expression over its table."""
    if flag(options, "uniqueItems"):
        items = f"CAST({sql} AS JSON[])" if column.sql_type == "JSON" else sql
        there = f"list_filter({items}, lambda _each: _each IS NOT NULL)"
        yield "unique_items", _params(f"len({there}) = len(list_distinct({items}))", "has an item twice"), "uniqueItems"
    if column.logical_type == "object":
        yield from _fields(column, sql, options)
    if flag(options, "normalized"):
        length = f"list_aggregate(list_transform({sql}, lambda _each: _each * _each), 'sum')"
        test = f"abs({length} - 1) <= {_TOLERANCE}"
        yield "normalized", _params(test, "is no vector of length 1"), "normalized"
    if layout := layout_of(column, options):
        read = f"try_strptime({zoned(sql, layout)}, {literal(layout)})"
        # What is read leniently must be written alike: 2024-1-3 is no yyyy-MM-dd. Zones have several spellings, and
        # `d` takes one digit or two.
        loose = "%z" in layout or "%-" in layout
        alike = f"{read} IS NOT NULL" if loose else f"coalesce(strftime({read}, {literal(layout)}) = {sql}, false)"
        params = _params(alike, f"is not written like {text(options, 'format')}", when=f"{sql} IS NOT NULL")
        yield "format", params, "format"


def _params(then: str, said: str, *, when: str = "") -> dict[str, Any]:
    return {**({"when": when} if when else {}), "then": then, "said": said}


def _fields(column: Column, sql: str, options: Mapping[str, Any]) -> Iterator[Implied]:
    """What an object must hold; fields of a STRUCT by name, of JSON by key."""
    is_json = column.sql_type == "JSON"
    names = texts(options, "required")
    if names:
        there = (
            (f"json_extract({sql}, {literal(_pointer(name))}) IS NOT NULL" for name in names)
            if is_json
            else (f"{sql}.{quote(name)} IS NOT NULL" for name in names)
        )
        lacking = f"lacks one of {', '.join(names)}"
        yield "required_fields", _params(" AND ".join(there), lacking, when=f"{sql} IS NOT NULL"), "required"
    low, high = number(options, "minProperties"), number(options, "maxProperties")
    if low is None and high is None:
        return
    known = " + ".join(f"CAST({sql}.{quote(child.name)} IS NOT NULL AS INTEGER)" for child in column.properties)
    size = f"len(json_keys({sql}))" if is_json else f"({known or '0'})"
    tests = [f"{size} {operator} {int(at)}" for operator, at in ((">=", low), ("<=", high)) if at is not None]
    wrong = " or ".join(
        f"{word} {int(at)}" for word, at in (("fewer than", low), ("more than", high)) if at is not None
    )
    yield "fields", _params(" AND ".join(tests), f"has {wrong} fields", when=f"{sql} IS NOT NULL"), ""


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def layout_of(column: Column, options: Mapping[str, Any]) -> str:
    """Return how a date or time that is kept as text is written, as strptime has it; empty for any other column.

    The standard takes the letters from the JDK: `yyyy-MM-dd`. Empty for letters that strptime lacks, too.
    """
    written = text(options, "format")
    if column.logical_type not in ("date", "time", "timestamp") or column.sql_type != "VARCHAR" or not written:
        return ""
    return strptime_format(written, strict=True)
