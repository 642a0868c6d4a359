"""What the checks of a pandera schema ask, in the words of rules; it must not know how a contract is written.

pandera's built-in checks and the checks that `pandera_schema` makes are understood; everything else is code.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.trial import pattern_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


CODE = "it is code"
"""Why a check that somebody wrote becomes no rule of its own."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One demand: `kind` is range, length, pattern, valid, missing, multiple, null, duplicate, rows or code.

    `said` holds the words of the contract: bounds, lengths, `pattern`, `values`, `step`, `columns`. `name` is empty
    for a demand that the schema does not name; `why` tells of code why no rule can say it.
    """

    kind: str
    said: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""
    warns: bool = False
    threshold: tuple[str, tuple[float, ...], str] | None = None
    why: str = ""


def finding_of(check: Any) -> Finding:
    """Return what a check asks."""
    warns = bool(check.raise_warning)
    if hasattr(check, "rejects") and hasattr(check, "params"):  # a RuleCheck of ours, or of source that we made
        kind, said = _own(check)
        return Finding(kind, said, str(check.name), warns, check.threshold)
    builtin = getattr(check, "registry_name", None)
    # A check of the user's own name keeps it; pandera calls the others as the check itself.
    name = "" if check.name in {builtin, "<lambda>", None} else str(check.name)
    read = _BUILTIN.get(builtin or "")
    if read is None or check.groupby is not None:
        return Finding("code", name=name or str(builtin or ""), warns=warns, why=CODE)
    try:
        kind, said = read(check.statistics)
    except (KeyError, TypeError, ValueError) as error:
        return Finding("code", name=name or str(builtin), warns=warns, why=str(error))
    if kind == "pattern" and (problem := pattern_problem(said["pattern"])):
        return Finding("code", said, name or str(builtin), warns, why=f"RE2 has no such pattern: {problem}")
    if kind == "range" and any(isinstance(v, float) and not math.isfinite(v) for v in said.values()):
        return Finding("code", said, name or str(builtin), warns, why="a contract has no infinite bound")
    return Finding(kind, said, name, warns)


def _own(check: Any) -> tuple[str, dict[str, Any]]:
    params = dict(check.params)
    rejects = getattr(check.rejects, "__name__", "")
    said = params
    match rejects:
        case "outside_range":
            spelt = dict(zip(("minimum", "exclusive_minimum", "maximum", "exclusive_maximum"), BOUNDS, strict=True))
            said = {spelt[key]: value for key, value in params.items()}
        case "outside_length":
            said = {f"{key[:3]}Length": value for key, value in params.items()}
        case "missing":
            said = {"values": [*params["listed"], *([None] if params.get("null") else [])]}
        case "invalid" | "unlisted":
            said = {{"listed": "values"}.get(key, key): value for key, value in params.items()}
        case "is_null" | "repeated":
            said = {"columns": list(check.columns)} if check.columns else {}
    return _KINDS.get(rejects, "rows"), said


_KINDS = {
    "outside_range": "range",
    "outside_length": "length",
    "missing": "missing",
    "invalid": "valid",
    "unlisted": "valid",
    "unmatched": "pattern",
    "no_multiple": "multiple",
    "is_null": "null",
    "repeated": "duplicate",
}


def _in_range(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    low = "minimum" if given.get("include_min", True) else "exclusiveMinimum"
    high = "maximum" if given.get("include_max", True) else "exclusiveMaximum"
    return "range", {low: given["min_value"], high: given["max_value"]}


def _lengths(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    exact = given.get("exact_value")
    low, high = (exact, exact) if exact is not None else (given.get("min_value"), given.get("max_value"))
    return "length", {k: int(v) for k, v in (("minLength", low), ("maxLength", high)) if v is not None}


def _values(given: Any) -> list[Any]:
    """The values of a list without NULL and NaN, which pandera lets pass anyway."""
    return [v for v in given if v is not None and v == v]  # noqa: PLR0124 - NaN differs from itself


def _regex(pattern: Any, before: str = "", after: str = "") -> tuple[str, dict[str, Any]]:
    text = pattern.pattern if isinstance(pattern, re.Pattern) else str(pattern)
    if isinstance(pattern, re.Pattern) and pattern.flags & ~re.UNICODE:
        raise ValueError("the pattern was compiled with flags: write them into it, (?i)")
    return "pattern", {"pattern": f"{before}{text}{after}"}


def _literally(text: Any) -> str:
    """Text as a regular expression that matches it alone; unlike Python's, of RE2's syntax."""
    return re.sub(r"([\\.+*?()|\[\]{}^$])", r"\\\1", str(text))


_BUILTIN: dict[str, Callable[[Mapping[str, Any]], tuple[str, dict[str, Any]]]] = {
    "greater_than_or_equal_to": lambda given: ("range", {"minimum": given["min_value"]}),
    "greater_than": lambda given: ("range", {"exclusiveMinimum": given["min_value"]}),
    "less_than_or_equal_to": lambda given: ("range", {"maximum": given["max_value"]}),
    "less_than": lambda given: ("range", {"exclusiveMaximum": given["max_value"]}),
    "in_range": _in_range,
    "equal_to": lambda given: ("valid", {"values": [given["value"]]}),
    "not_equal_to": lambda given: ("missing", {"values": [given["value"]]}),
    "isin": lambda given: ("valid", {"values": _values(given["allowed_values"])}),
    "notin": lambda given: ("missing", {"values": _values(given["forbidden_values"])}),
    "str_length": _lengths,
    "str_contains": lambda given: _regex(given["pattern"]),
    "str_matches": lambda given: _regex(given["pattern"], "^(?:", ")"),
    "str_startswith": lambda given: _regex(_literally(given["string"]), "^"),
    "str_endswith": lambda given: _regex(_literally(given["string"]), after="$"),
}
