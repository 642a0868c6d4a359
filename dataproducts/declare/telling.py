"""What jsonschema finds, in words that an author can act on; it must not know which schema was asked."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from dataproducts.errors import Fault, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from dataproducts.declare.positions import Document

Place = tuple[str | int, ...]
_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_SHOWN = 60  # characters of a value that a message repeats


def name_kind(value: Any) -> str:
    """Return what a value is in words: `a list`, `text`, `nothing`."""
    by_type = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    return _KINDS[by_type.get(type(value), "null")]


def tell(document: Document, errors: Iterable[Any], base: Place, root: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield a fault for each of jsonschema's `errors`, without those that only follow from another.

    `base` is the place that was judged; `root` the schema that references point into.
    """
    leaves = [leaf for error in errors for leaf in _leaves(error)]
    places = [tuple(leaf.absolute_path) for leaf in leaves if leaf.validator != "unevaluatedProperties"]
    for leaf in leaves:
        at = tuple(leaf.absolute_path)
        if leaf.validator == "unevaluatedProperties":
            follows = any(place[: len(at)] == at for place in places)
            yield from _tell_unevaluated(document, leaf, base, root, follows=follows)
        else:
            yield from _tell_leaf(document, leaf, (*base, *at))


def _leaves(error: Any) -> Iterator[Any]:
    """Yield the errors that say most: of alternatives, those of the likeliest."""
    if error.validator not in ("anyOf", "oneOf") or not error.context or _is_choice_of_keys(error):
        yield error
        return
    branches: dict[Any, list[Any]] = {}
    for inner in error.context:
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    if all(len(b) == 1 and b[0].validator == "type" and not b[0].relative_path for b in branches.values()):
        yield error
        return
    right_type = [b for b in branches.values() if not any(_is_of_wrong_type(inner, error) for inner in b)]
    for inner in min(right_type or branches.values(), key=len):
        yield from _leaves(inner)


def _is_of_wrong_type(inner: Any, error: Any) -> bool:
    """Whether a branch of `error` was meant for another kind of value altogether."""
    if inner.absolute_path != error.absolute_path:
        return False
    alternatives = inner.validator in ("anyOf", "oneOf") and inner.context
    return inner.validator == "type" or bool(alternatives and all(_is_of_wrong_type(i, error) for i in inner.context))


def _is_choice_of_keys(error: Any) -> bool:
    return all(isinstance(b, dict) and "required" in b and len(b["required"]) == 1 for b in error.validator_value)


def _tell_unevaluated(
    document: Document, error: Any, base: Place, root: Mapping[str, Any], *, follows: bool
) -> Iterator[Fault]:
    place = (*base, *error.absolute_path)
    named = re.findall(r"'((?:[^'\\]|\\.)*)'", error.message)
    extra = [key for key in error.instance if key in named] or list(error.instance)
    known = sorted(_keys_of(error.schema, root))
    for key in extra:
        if key not in known:
            yield document.fault(
                (*place, key), f"{_where(document, place)} knows no key {key!r}", suggest(key, known).strip()
            )
        elif not follows:
            what = f"the key {key!r} does not go with the other keys of {_where(document, place)}"
            yield document.fault((*place, key), what, "Delete it, or correct `type` (or `logicalType`) beside it.")


def _keys_of(schema: Any, root: Mapping[str, Any], seen: frozenset[str] = frozenset()) -> set[str]:
    """Return every key that `schema` speaks of at its own level, in any of its branches."""
    if not isinstance(schema, dict):
        return set()
    keys = set(schema.get("properties", ()))
    reference = schema.get("$ref", "")
    if reference.startswith("#/") and reference not in seen:
        target: Any = root
        for step in reference.removeprefix("#/").split("/"):
            target = target.get(step, {}) if isinstance(target, dict) else {}
        keys |= _keys_of(target, root, seen | {reference})
    for word in ("allOf", "anyOf", "oneOf"):
        for branch in schema.get(word, ()):
            keys |= _keys_of(branch, root, seen)
    for word in ("if", "then", "else"):
        keys |= _keys_of(schema.get(word), root, seen)
    return keys


def _tell_leaf(document: Document, error: Any, place: Place) -> Iterator[Fault]:
    where, value, wanted = _where(document, place), error.instance, error.validator_value
    match error.validator:
        case "additionalProperties" if isinstance(value, dict):
            known = sorted(error.schema.get("properties", ()))
            for key in value.keys() - set(known):
                yield document.fault((*place, key), f"{where} knows no key {key!r}", suggest(key, known).strip())
        case "required" if isinstance(value, dict):
            for key in wanted:
                if key not in value:
                    yield _missing(document, place, key, error)
        case "anyOf" | "oneOf" if isinstance(value, dict) and _is_choice_of_keys(error):
            keys = [branch["required"][0] for branch in wanted]
            given = [key for key in keys if key in value]
            what = f"only one of {', '.join(given)} may stand in {where}" if given else f"{where} needs one more key"
            fix = "Delete all but one." if given else f"Add one of: {', '.join(keys)}."
            yield document.fault((*place, given[-1]) if given else place, what, fix)
        case "anyOf" | "oneOf":
            kinds = [k for branch in error.context for k in _names_of(branch.validator_value)]
            yield _of_kind(document, place, value, kinds)
        case "type":
            yield _of_kind(document, place, value, _names_of(wanted))
        case "enum" | "const":
            options = [str(option) for option in (wanted if error.validator == "enum" else [wanted])]
            fix = suggest(str(value), options, show=len(options)).strip().replace("Known:", "Accepted:")
            yield document.fault(place, f"{where} is {show(value)}, which is not accepted", fix)
        case _:
            yield document.fault(place, *_limits(error, where))


def _missing(document: Document, place: Place, key: str, error: Any) -> Fault:
    strangers = [k for k in error.instance if k not in error.schema.get("properties", {key: 0})]
    guess = re.search("Did you mean (.*?)[?]", suggest(key, strangers))
    hint = f" Is {guess[1]} meant to be it?" if guess else ""
    return document.fault(place, f"{_where(document, place)} lacks the key {key!r}", f"Add `{key}: …`.{hint}")


def _names_of(wanted: Any) -> list[str]:
    return [wanted] if isinstance(wanted, str) else list(wanted)


def _of_kind(document: Document, place: Place, value: Any, kinds: Sequence[str]) -> Fault:
    names = " or ".join(dict.fromkeys(_KINDS.get(kind, kind) for kind in kinds))
    what = f"{_where(document, place)} is {name_kind(value)} ({show(value)}) instead of {names}"
    quote = "string" in kinds and isinstance(value, (int, float, bool))
    return document.fault(place, what, "Put the value in quotes." if quote else f"Write {names}.")


def _limits(error: Any, where: str) -> tuple[str, str]:
    """Return what is wrong with a value of the right kind, and the fix."""
    value, wanted = error.instance, error.validator_value
    shown = f"{where} is {show(value)}"
    message = error.message if len(error.message) < 200 else error.message[:200] + "…"  # noqa: PLR2004
    if error.validator == "pattern":
        return shown, in_words(wanted)
    by_word = {
        "format": (f"{shown}, which is no {wanted}", "Write it as ISO 8601 has it, such as 2024-01-31."),
        "minItems": (f"{where} has too few items", f"Give at least {wanted}."),
        "maxItems": (f"{where} has too many items", f"Give at most {wanted}."),
        "uniqueItems": (f"{where} holds the same item twice", "Delete the repeated item."),
        "minimum": (shown, f"Write a number from {wanted}."),
        "maximum": (shown, f"Write a number up to {wanted}."),
        "exclusiveMinimum": (shown, f"Write a number above {wanted}."),
        "not": (f"{where} holds a key that may not stand there", f"Delete what {json.dumps(wanted)} names."),
    }
    return by_word.get(error.validator, (f"{where}: {message}", "Correct the value."))


_PATTERNS = {
    "^[A-Za-z0-9_]+(": "Write letters, digits and _, in parts that are joined by a point: `orders.latency`.",
    "^[A-Za-z0-9_-]+$": "Write letters, digits, _ and -: `order_id`.",
    "^([1-9][0-9]{0,3}": "Write `28d`, `4 weeks`, `month` or `quarter`.",
    "^https?://": "Write a whole address: `https://wiki.example/late-orders`.",
    "^\\d+(": "Write a share or a number of rows: `5 %` or `20 rows`.",
    "^[^.]+": "Write `table.column`: `orders.amount`.",
    "^[A-Za-z_]": "Write `table.column`: `orders.amount`.",
    "^(?:(?:https?": "Write `table.column`: `orders.amount`.",
    "^sftp://": "Write an address that begins so: `sftp://till.example/orders`.",
}
"""What the patterns of the standards and of our files ask for, in words, by how each pattern begins."""


def in_words(pattern: str) -> str:
    """Return what to write where a text does not match `pattern`, one of our schemas or the standards'."""
    return next(words for begin, words in _PATTERNS.items() if pattern.startswith(begin))


def _where(document: Document, place: Place) -> str:
    """Return `place` as a reader would say it: `schema 'orders' > properties 'amount' > required`."""
    if not place:
        return "the file"
    words: list[str] = []
    value: Any = document.data
    for step in place:
        value = _step(value, step)
        if isinstance(step, str):
            words.append(f"`{step}`")
        elif words:
            words[-1] = f"{words[-1]} {_call(value, step)}"
        else:
            words.append(f"item {step + 1}")
    return " > ".join(words)


def _step(value: Any, step: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) and step < len(value) else None


def _call(value: Any, step: int) -> str:
    if isinstance(value, dict):
        for key in ("name", "property", "server", "username", "channel", "role"):
            if isinstance(value.get(key), str):
                return repr(value[key][:_SHOWN])
    return f"item {step + 1}"


def show(value: Any) -> str:
    """Return `value` as JSON, cut to what a message can hold."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
