"""Rules and what they found in plain words; it must not know SQL or show a value of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.product import RuleKind

if TYPE_CHECKING:
    from dataproducts.product import Rule

_BOUNDS = (
    ("minimum", "below"),
    ("exclusiveMinimum", "not above"),
    ("maximum", "above"),
    ("exclusiveMaximum", "not below"),
    ("minLength", "shorter than"),
    ("maxLength", "longer than"),
)
_DURATIONS = ((86400, "days"), (3600, "hours"), (60, "minutes"))
_SHOWN = 6


def describe(rule: Rule) -> str:
    """Return what is wrong with a row that `rule` rejects: `amount below 0 or above 10`."""
    names = ", ".join(rule.columns)
    match rule.kind:
        case RuleKind.RANGE | RuleKind.LENGTH:
            said = (f"{word} {rule.params[key]}" for key, word in _BOUNDS if rule.params.get(key) is not None)
            wrong = " or ".join(said)
        case RuleKind.PATTERN:
            wrong = f"does not match {rule.params.get('pattern')}"
        case RuleKind.ENUM:
            wrong = f"is none of {_listed(rule.params.get('values'))}"
        case RuleKind.MISSING_VALUES:
            wrong = f"is one of {_listed(rule.params.get('missingValues'))}"
        case RuleKind.INVALID_VALUES:
            wrong = _invalid(rule)
        case RuleKind.MULTIPLE_OF:
            wrong = f"is no multiple of {rule.params.get('multipleOf')}"
        case RuleKind.CONDITION:
            return _condition(rule)
        case RuleKind.FUNCTIONAL_DEPENDENCY:
            dependent = ", ".join(map(str, rule.params.get("dependent") or ()))
            return f"{', '.join(map(str, rule.params.get('determinant') or ()))} has several {dependent}"
        case RuleKind.FOREIGN_KEY:
            table = str(rule.params.get("to")).removeprefix(".")
            wrong = f"not in {table} ({', '.join(rule.params.get('to_columns') or ())})"
        case _:
            wrong = _FIXED.get(rule.kind, "rejected")
    return f"{names} {wrong}".strip()


_FIXED = {
    RuleKind.REQUIRED: "is NULL",
    RuleKind.NULL_VALUES: "is NULL",
    RuleKind.UNIQUE: "repeats",
    RuleKind.DUPLICATE_VALUES: "repeats",
    RuleKind.PARTITION_BOUNDS: "outside its partition",
    RuleKind.CUSTOM: "rejected",
    RuleKind.RETENTION: "is older than it may be kept",
}


def _condition(rule: Rule) -> str:
    names = ", ".join(rule.columns)
    if rule.params.get("said"):
        return f"{names} {rule.params['said']}"
    when = rule.params.get("when")
    verb = "breaks" if len(rule.columns) == 1 else "break"
    return f"{names} {verb} {rule.params.get('then')}" + (f" where {when}" if when else "")


def _invalid(rule: Rule) -> str:
    parts = []
    if rule.params.get("validValues") is not None:
        parts.append(f"is none of {_listed(rule.params['validValues'])}")
    if rule.params.get("pattern") is not None:
        parts.append(f"does not match {rule.params['pattern']}")
    return " or ".join(parts)


def _listed(values: object) -> str:
    items = [repr(value) for value in values] if isinstance(values, list | tuple) else [repr(values)]
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def rows_found(rule: Rule, failed: int, total: int) -> str:
    """Return `3 of 100 rows: amount below 0 (mustBe 0 rows)`."""
    return f"{failed} of {total} rows: {describe(rule)} ({rule.threshold})"


def duration(seconds: float) -> str:
    """Return seconds in the largest unit of which there is at least one: `1.5 days`."""
    for size, unit in _DURATIONS:
        if abs(seconds) >= size:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds)} seconds"


def _short(number: float) -> str:
    """Three digits that count, all digits before the point: 1.5, 26, 1,190."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"  # noqa: PLR2004 - digits, not a bound
