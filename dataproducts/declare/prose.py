"""Whether a text that somebody is to read says anything; it must not know where the text stands."""

from __future__ import annotations

import re

_MARKERS = re.compile(
    r"\b(TODO|TBD|TBA|TBC|FIXME|XXX+)\b|(?i:\blorem ipsum\b|^to be (done|defined|determined|decided|written|added)\b|"
    r"\byour (text|description) here\b|\binsert .{0,20} here\b|^fill (this )?in\b|^change ?me\b)",
)
_ALONE = re.compile(
    r"(todo|tbd|tba|tbc|fixme|xxx+|n/?a|none|null|unknown|placeholder|(foo|bar|baz|asdf|qwerty)( |$)+)+\W*",
    re.IGNORECASE,
)
_EMPTY_WORDS = {
    "a", "an", "the", "description", "descriptions", "purpose", "text", "test", "value", "column", "field", "table",
    "product", "data", "example", "name", "some", "this", "is", "of", "here", "term", "string", "need",
}  # fmt: skip
_SHOWN = 40  # characters of a text that a message repeats


def complain(text: str, *, words: int = 1) -> str:
    """Return what is wrong with a text as the end of a sentence (`is missing`); empty if it says something.

    `words` is the least number of words. Placeholders (TODO, TBD, lorem ipsum, xxx, `...`) say nothing, and neither
    do texts made of words like `description` and `the` alone.
    """
    said = re.findall(r"\w+", text)
    if not text.strip():
        return "is missing"
    if not said or _MARKERS.search(text) or _ALONE.fullmatch(text.strip()):
        return f"is a placeholder ({text.strip()[:_SHOWN]!r})"
    if all(word.lower() in _EMPTY_WORDS for word in said) or len(set(text.strip())) == 1:
        return f"says nothing ({text.strip()[:_SHOWN]!r})"
    if len(said) < words:
        return f"has {len(said)} words, and {words} are the least"
    return ""
