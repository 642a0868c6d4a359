"""Values out of parsed files, whatever shape they are in; it must not know what the keys mean."""

from __future__ import annotations

import difflib
from datetime import date
from typing import TYPE_CHECKING, Any

from dataproducts.declare.standards import CUSTOM, judge_value, read_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.errors import Fault

_NEAR = 0.8  # how alike a stranger's name must be to one of ours to count as misspelt


def text(data: Any, key: str) -> str:
    """Return the text under `key`, stripped; empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value.strip() if isinstance(value, str) else ""


def mapping(data: Any, key: str) -> dict[str, Any]:
    """Return the mapping under `key`; empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def listing(data: Any, key: str) -> list[Any]:
    """Return the list under `key`; empty if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def texts(data: Any, key: str) -> tuple[str, ...]:
    """Return the texts in the list under `key`."""
    return tuple(value for value in listing(data, key) if isinstance(value, str))


def entries(data: Any, key: str, place: Place = ()) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield each mapping in the list under `key`, with its place; `place` is that of `data`."""
    for at, value in enumerate(listing(data, key)):
        if isinstance(value, dict):
            yield value, (*place, key, at)


def flag(data: Any, key: str) -> bool | None:
    """Return the truth value under `key`; None if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, bool) else None


def number(data: Any, key: str) -> float | None:
    """Return the number under `key`; None if there is none."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def day(value: Any) -> date | None:
    """Return a text such as `2024-01-31` as a date; None if it is none."""
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def custom(data: Any) -> dict[str, Any]:
    """Return the `customProperties` of `data` as a mapping; of a repeated name, the first."""
    found: dict[str, Any] = {}
    for entry, _ in entries(data, "customProperties"):
        found.setdefault(text(entry, "property"), entry.get("value"))
    return found


def custom_place(data: Any, name: str, place: Place) -> Place:
    """Return the place of the value of custom property `name`; `place` is that of `data`."""
    for entry, where in entries(data, "customProperties", place):
        if text(entry, "property") == name:
            return (*where, "value")
    return place


def custom_entries(data: Any, name: str) -> Iterator[tuple[dict[str, Any], Place]]:
    """Yield each mapping in the list that is the value of custom property `name`, with its place."""
    place = custom_place(data, name, ())
    for entry, at in entries(custom(data), name):
        yield entry, (*place, at[1])


def judge_custom(document: Document, data: Any, place: Place, level: str) -> Iterator[Fault]:
    """Yield the faults of our custom properties at one place; names of others pass, unless they look like ours.

    `level` is a definition of `custom.schema.json`: product, object, property, quality, sla or server.
    """
    ours = sorted(read_schema(CUSTOM)["$defs"][level]["properties"])
    seen: set[str] = set()
    for entry, where in entries(data, "customProperties", place):
        name = text(entry, "property")
        if name in ours and name in seen:
            yield document.fault(where, f"the custom property {name!r} stands twice", "Delete one of the two.")
        elif name in ours:
            yield from judge_value(document, entry.get("value"), (*where, "value"), f"{level}.{name}")
        elif near := difflib.get_close_matches(name, ours, n=1, cutoff=_NEAR):
            yield document.fault((*where, "property"), f"{name!r} is no property of ours", f"Did you mean {near[0]!r}?")
        seen.add(name)
