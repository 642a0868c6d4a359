"""YAML text as plain data that remembers the line of every key; it must not know what the keys mean.

The file is read as a stream of events, so nothing here recurses over what an author nests. Differences from
`yaml.safe_load`, all for the sake of JSON Schema and of plain reading: dates and times stay text (`2024-01-31` is
`"2024-01-31"`), `12:30` is text rather than the base-60 number of YAML 1.1, and a key is always the text that the
author wrote (`on:` is `"on"`, `1:` is `"1"`).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from dataproducts.errors import DeclarationError, Fault
from dataproducts.product import Mark

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 50_000

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where PyYAML was built with it: ten times faster
_TAG = "tag:yaml.org,2002:"
_SCALAR_TAGS = {_TAG + kind for kind in ("str", "int", "float", "bool", "null", "timestamp")}
_UNPRINTABLE = re.compile("[^\x09\x0a\x0d\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESOLVER: Any = Resolver()
_CONSTRUCTOR = SafeConstructor()
_ADVICE = (
    ("tab character", "Indent with spaces instead of tabs."),
    ("cannot start any token", "Put the value in quotes, and indent with spaces instead of tabs."),
    ("mapping values are not allowed", "Indent the line like its neighbours, or put a text that holds ': ' in quotes."),
    ("unexpected end of stream", "Close the quotation mark."),
    ("did not find expected ',' or", "Close the bracket or brace."),
    ("could not find expected ':'", "Write `key: value`, with a space after the colon."),
    ("did not find expected key", "Indent the keys of one mapping alike, and put a text with quotes in quotes."),
    ("did not find expected '-'", "Indent the items of one list alike."),
)


@dataclass(slots=True)
class Node:
    """A value and the line that it begins on; `keys` holds the line of each key of a mapping."""

    value: Any
    line: int
    children: dict[Any, Node] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    size: int = 1
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML file: its `data`, its `text`, and where everything stands in it.

    A place inside is a tuple of keys and list positions, such as `("schema", 0, "name")`.
    """

    path: str
    text: str
    root: Node

    @property
    def data(self) -> Any:
        """The plain data: mappings, lists, text, numbers, truth values and None."""
        return self.root.value

    @property
    def digest(self) -> str:
        """SHA-256 of the data as canonical JSON: comments, layout and the order of keys do not count."""
        canonical = json.dumps(self.data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def line(self, *place: str | int) -> int:
        """Return the line of the key or list item at `place`, or of the nearest thing around it that exists."""
        node, line = self.root, self.root.line
        for step in place:
            child = node.children.get(step)
            if child is None:
                return line
            line = node.keys.get(str(step), child.line)
            node = child
        return line

    def mark(self, *place: str | int) -> Mark:
        """Return the mark of `place`."""
        return Mark(self.path, self.line(*place))

    def fault(self, place: Sequence[str | int], what: str, fix: str = "") -> Fault:
        """Return a fault at `place`."""
        return Fault(self.path, self.line(*place), what, fix, tuple(place))


def read_yaml(file: Path, path: str) -> Document:
    """Return what `file` holds; faults and marks call it `path`.

    Raises:
        DeclarationError: the file is absent, over 1 MiB, or no YAML that can be accepted.
    """
    try:
        size = file.stat().st_size
        if size > MAX_BYTES:
            what = f"the file has {size:,} bytes, and {MAX_BYTES:,} are the most that is read"
            raise DeclarationError([Fault(path, 0, what, "Split it, or move data out of it.")])
        raw = file.read_bytes()
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}"
        raise DeclarationError([Fault(path, 0, what, "Create it, or correct its name.")]) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DeclarationError(
            [Fault(path, line, "the file is not UTF-8", "Save it in the encoding UTF-8.")]
        ) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: str) -> Document:
    """Return the one document that `text` holds; faults and marks call it `path`.

    Refused, with the line: more than 1 MiB, 50 levels or 50 000 values (anchors count as often as they are used),
    duplicate keys, tags of any language, several documents, and whatever is no YAML.

    Raises:
        DeclarationError: the text is refused.
    """
    if len(text) > MAX_BYTES:
        raise DeclarationError([Fault(path, 0, f"the text has more than {MAX_BYTES:,} characters", "Split it.")])
    if strange := _UNPRINTABLE.search(text):
        line = text.count("\n", 0, strange.start()) + 1
        what = f"the character U+{ord(strange.group()):04X} may not stand in YAML"
        raise DeclarationError([Fault(path, line, what, "Delete it, or write it as an escape in double quotes.")])
    builder = _Builder(path)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        raise DeclarationError([_syntax_fault(error, path)]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DeclarationError([Fault(path, 1, f"the file is not YAML: {error}", "Correct its syntax.")]) from error
    return Document(path, text, builder.finish())


def _syntax_fault(error: Any, path: str) -> Fault:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "syntax error")
    fix = next((advice for sign, advice in _ADVICE if sign in problem), "Correct the syntax of this line.")
    line = 1 if mark is None else mark.line + 1
    return Fault(path, line, f"the file is not YAML: {problem}", fix)


class _Builder:
    """Turns events into nodes, with an explicit stack and a budget."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.root: Node | None = None
        self.values = 0
        self.documents = 0
        self.anchors: dict[str, Node] = {}
        self.open_anchors: dict[int, str] = {}
        self.stack: list[Node] = []
        self.pending: list[tuple[str, int] | None] = []  # the key that waits for its value, one a level
        self.merges: list[list[Node]] = []

    def refuse(self, line: int, what: str, fix: str) -> DeclarationError:
        return DeclarationError([Fault(self.path, line, what, fix)])

    def finish(self) -> Node:
        if self.root is None:
            raise self.refuse(1, "the file is empty", "Write the declaration.")
        return self.root

    def take(self, event: Any) -> None:
        """Take the next event of the stream."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    mark: Any = event.start_mark
                    line = mark.line + 1
                    raise self.refuse(line, "the file holds several documents", "Keep one document a file.")
            case yaml.ScalarEvent():
                self.take_scalar(event)
            case yaml.AliasEvent():
                self.take_alias(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self.open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.close()

    def take_scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if self.expects_key():
            self.take_key(event.value, line, merge=event.value == "<<" and event.implicit[0])
            return
        node = Node(self.scalar(event, line), line)
        if event.anchor:
            self.anchors[event.anchor] = node
        self.place(node, line)

    def scalar(self, event: Any, line: int) -> Any:
        if event.tag and event.tag != "!" and event.tag not in _SCALAR_TAGS:
            raise self.refuse(line, f"the tag {event.tag!r} is not accepted", "Write plain YAML, without tags.")
        text: str = event.value
        tag = event.tag if event.tag and event.tag != "!" else None
        tag = tag or _RESOLVER.resolve(yaml.ScalarNode, text, event.implicit)
        sexagesimal = ":" in text and tag in (_TAG + "int", _TAG + "float")
        if sexagesimal or tag not in _SCALAR_TAGS or tag in (_TAG + "str", _TAG + "timestamp"):
            return text
        kind = tag.removeprefix(_TAG)
        try:
            return getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")(yaml.ScalarNode(tag, text))
        except (ValueError, KeyError) as error:
            fix = "Correct the value, or put it in quotes if it is text."
            raise self.refuse(line, f"{text[:40]!r} cannot be read as {kind}", fix) from error

    def take_alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if self.expects_key():
            raise self.refuse(line, "an alias stands for a key", "Write the key out.")
        node = self.anchors.get(event.anchor)
        if node is None:
            why = "stands inside its own anchor" if event.anchor in self.open_anchors.values() else "has no anchor"
            raise self.refuse(line, f"the alias *{event.anchor} {why}", "Write the value out.")
        if len(self.stack) + node.depth > MAX_DEPTH:
            raise self.too_deep(line)
        self.place(node, line)

    def open(self, event: Any) -> None:
        line = event.start_mark.line + 1
        if self.expects_key():
            raise self.refuse(line, "a list or mapping stands for a key", "Make the key a text.")
        if event.tag and event.tag not in ("!", _TAG + "map", _TAG + "seq"):
            raise self.refuse(line, f"the tag {event.tag!r} is not accepted", "Write plain YAML, without tags.")
        if len(self.stack) >= MAX_DEPTH:
            raise self.too_deep(line)
        node = Node({} if isinstance(event, yaml.MappingStartEvent) else [], line)
        if event.anchor:
            self.open_anchors[len(self.stack)] = event.anchor
        self.stack.append(node)
        self.pending.append(None)
        self.merges.append([])

    def close(self) -> None:
        node = self.stack.pop()
        self.pending.pop()
        for merged in self.merges.pop():
            for key, child in merged.children.items():
                if key not in node.children:
                    self.put(node, key, child, merged.keys.get(key, child.line))
        if anchor := self.open_anchors.pop(len(self.stack), None):
            self.anchors[anchor] = node
        self.place(node, node.line, spend=1)

    def expects_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.pending[-1] is None

    def take_key(self, key: str, line: int, *, merge: bool) -> None:
        if len(key) > 1000:  # noqa: PLR2004  as long as a key may be for messages to stay readable
            raise self.refuse(line, "a key is longer than 1000 characters", "Shorten it.")
        parent = self.stack[-1]
        if not merge and key in parent.keys:
            what = f"the key {key!r} stands twice, first in line {parent.keys[key]}"
            raise self.refuse(line, what, "Delete one of the two.")
        if not merge:
            parent.keys[key] = line
        self.pending[-1] = ("<<" if merge else key, -line if merge else line)

    def place(self, node: Node, line: int, *, spend: int = 0) -> None:
        """Put a finished node where it belongs; an alias costs all that it stands for."""
        self.values += spend or node.size
        if self.values > MAX_VALUES:
            what = f"the file stands for more than {MAX_VALUES:,} values"
            raise self.refuse(line, what, "Split it, and do not nest anchors in anchors.")
        if not self.stack:
            self.root = node
            return
        parent = self.stack[-1]
        if isinstance(parent.value, list):
            self.put(parent, len(parent.value), node, line)
            return
        key, key_line = self.pending[-1] or ("", line)
        self.pending[-1] = None
        if key_line < 0:
            self.merge(node, line)
        else:
            self.put(parent, key, node, key_line)

    def merge(self, node: Node, line: int) -> None:
        sources = list(node.children.values()) if isinstance(node.value, list) else [node]
        if any(not isinstance(source.value, dict) for source in sources):
            raise self.refuse(line, "`<<` merges something that is no mapping", "Merge an anchored mapping.")
        self.merges[-1].extend(sources)

    def put(self, parent: Node, key: str | int, child: Node, line: int) -> None:
        parent.children[key] = child
        parent.size += child.size
        parent.depth = max(parent.depth, child.depth + 1)
        if isinstance(key, str):
            parent.value[key] = child.value
            parent.keys[key] = line
        else:
            parent.value.append(child.value)

    def too_deep(self, line: int) -> DeclarationError:
        return self.refuse(line, f"values are nested more than {MAX_DEPTH} deep", "Flatten the declaration.")
