"""One value of a YAML file changed where it stands, everything else kept; it must not know what the values mean.

Comments, order, quotes and line ends stay as they are, because only the characters of the value are replaced. What
came out is parsed again and compared with what was wanted, before the file is replaced as a whole.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import yaml

from dataproducts.declare.positions import parse_yaml
from dataproducts.errors import DeclarationError, Fault, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_/@.-]*")
_BOM = "\ufeff"


def edited(text: str, path: str, *, values: Mapping[str, str], custom: Mapping[str, str | None]) -> str:
    """Return `text`, a YAML mapping, with top-level `values` and values of custom properties set.

    A custom property that is None is taken out. Faults call the file `path`.

    Raises:
        DeclarationError: the text is no YAML, or is written so that this cannot be done without touching more.
    """
    mark, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    wanted: Any = deepcopy(parse_yaml(body, path).data)
    if not isinstance(wanted, dict):
        raise DeclarationError([Fault(path, 1, "the file is no mapping", "Write `key: value` lines.")])
    for key, value in values.items():
        wanted[key] = value
        body = _set_top(body, key, value, path)
    for name, given in custom.items():
        _want(wanted, name, given)
        body = _take_out(body, name, path) if given is None else _set_custom(body, name, given, path)
    if _data(body, path) != wanted:
        names = ", ".join(f"`{name}`" for name in (*values, *custom))
        what = f"{names} cannot be set without changing more of the file (an anchor, perhaps)"
        raise DeclarationError([Fault(path, 1, what, "Change it by hand, then run this again.")])
    return mark + body


def _data(body: str, path: str) -> Any:
    """What `body` says; None if it is no YAML any more."""
    try:
        got = parse_yaml(body, path).data
    except DeclarationError:
        return None
    if isinstance(got, dict) and got.get("customProperties") == []:  # what is left of a list in brackets
        del got["customProperties"]
    return got


def replace_file(path: Path, text: str) -> None:
    """Put `text` in place of the file at `path`, in one step: whoever reads it sees the old or the new one, whole.

    Raises: StoreError, if it cannot be written; the old file stays.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(path.stat().st_mode)
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"{path}: the file cannot be written ({error.strerror or error}). It stays as it was"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Return what the file at `path` holds, line ends as they are. Raises: DeclarationError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DeclarationError([Fault(str(path), 0, f"the file cannot be read: {error}", "Correct it.")]) from error


def _want(data: dict[str, Any], name: str, value: str | None) -> None:
    entries = data.get("customProperties")
    entries = entries if isinstance(entries, list) else []
    same = [entry for entry in entries if isinstance(entry, dict) and entry.get("property") == name]
    if value is None:
        entries = [entry for entry in entries if entry not in same]
    elif same:
        same[0]["value"] = value
    else:
        entries = [*entries, {"property": name, "value": value}]
    if entries:
        data["customProperties"] = entries
    else:
        data.pop("customProperties", None)


def _root(text: str, path: str) -> yaml.MappingNode:
    # The parser in Python, because libyaml's counts bytes where characters are asked for.
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, yaml.MappingNode):
        raise DeclarationError([Fault(path, 1, "the file is no mapping", "Write `key: value` lines.")])
    return root


def _pair(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next(((name, value) for name, value in node.value if name.value == key), None)


def _set_top(text: str, key: str, value: str, path: str) -> str:
    root = _root(text, path)
    found = _pair(root, key)
    if found is not None:
        return _swap(text, found[1], value)
    if _is_flow(root):
        return _insert(text, root.end_mark.index - 1, f"{', ' if root.value else ''}{key}: {_spelt(value)}")
    return _append(text, root, f"{key}: {_spelt(value)}")


def _set_custom(text: str, name: str, value: str, path: str) -> str:
    root = _root(text, path)
    found = _pair(root, "customProperties")
    if found is None or not isinstance(found[1], yaml.SequenceNode):
        if _is_flow(root):
            entry = f"customProperties: [{{property: {name}, value: {_spelt(value)}}}]"
            return _insert(text, root.end_mark.index - 1, f", {entry}")
        return _append(text, root, "customProperties:", f"  - property: {name}", f"    value: {_spelt(value)}")
    entries = found[1]
    for entry in entries.value:
        named = _pair(entry, "property") if isinstance(entry, yaml.MappingNode) else None
        if named and named[1].value == name:
            held = _pair(entry, "value")
            return _swap(text, held[1], value) if held else _insert(text, named[1].end_mark.index, _more(entry, value))
    return _add_entry(text, entries, name, value)


def _more(entry: yaml.MappingNode, value: str) -> str:
    spelt = f"value: {_spelt(value)}"
    return f", {spelt}" if _is_flow(entry) else f"\n{' ' * entry.start_mark.column}{spelt}"


def _add_entry(text: str, entries: yaml.SequenceNode, name: str, value: str) -> str:
    flow = f"{{property: {name}, value: {_spelt(value)}}}"
    if _is_flow(entries):
        return _insert(text, entries.end_mark.index - 1, f"{', ' if entries.value else ''}{flow}")
    last = entries.value[-1]
    pad = " " * entries.start_mark.column
    lines = [f"{pad}- {flow}"] if _is_flow(last) else [f"{pad}- property: {name}", f"{pad}  value: {_spelt(value)}"]
    return _append(text, last, *lines)


def _take_out(text: str, name: str, path: str) -> str:
    found = _pair(_root(text, path), "customProperties")
    entries = found[1].value if found and isinstance(found[1], yaml.SequenceNode) else []
    for at, entry in enumerate(entries):
        named = _pair(entry, "property") if isinstance(entry, yaml.MappingNode) else None
        if found is None or named is None or named[1].value != name:
            continue
        if _is_flow(found[1]):
            start, end = entry.start_mark.index, entry.end_mark.index
            if at + 1 < len(entries):
                end = entries[at + 1].start_mark.index
            elif at:
                start = entries[at - 1].end_mark.index
            return text[:start] + text[end:]
        if len(entries) == 1:
            start, end = _lines_of(text, found[0].start_mark.index, entry)
        else:
            start, end = _lines_of(text, text.rfind("\n", 0, entry.start_mark.index) + 1, entry)
        return text[:start] + text[end:]
    return text


def _is_flow(node: Any) -> bool:
    """Whether a mapping or list stands in braces or brackets."""
    return bool(getattr(node, "flow_style", False))


def _lines_of(text: str, start: int, node: yaml.Node) -> tuple[int, int]:
    """From `start`, which begins a line, to the end of the last line that `node` writes on."""
    end = _line_end(text, node)
    return start, len(text) if end < 0 else end


def _content_end(node: yaml.Node) -> int:
    """Where the characters of `node` end; a block's own mark lies behind the comments that follow it."""
    last: Any = node
    while isinstance(last, (yaml.MappingNode, yaml.SequenceNode)) and not last.flow_style and last.value:
        inner = last.value[-1]
        last = inner[1] if isinstance(inner, tuple) else inner
    index: int = last.end_mark.index
    return index


def _append(text: str, after: yaml.Node, *lines: str) -> str:
    """Write `lines` below the last line of `after`, with the line ends of the file."""
    newline = "\r\n" if "\r\n" in text else "\n"
    at = _line_end(text, after)
    if at < 0:
        return text + "".join(f"{newline}{line}" for line in lines) + newline
    return _insert(text, at, "".join(f"{line}{newline}" for line in lines))


def _line_end(text: str, node: yaml.Node) -> int:
    """Where the line begins that follows the last one of `node`; -1 if none does."""
    end = _content_end(node)
    if text[end - 1 : end] == "\n":  # a text in lines ends with its last line
        return end
    return text.find("\n", end) + 1 or -1


def _insert(text: str, at: int, more: str) -> str:
    return text[:at] + more + text[at:]


def _swap(text: str, node: yaml.Node, value: str) -> str:
    """Replace the scalar `node` by `value`, in quotes as it was before."""
    style = getattr(node, "style", None)
    spelt = f"'{value}'" if style == "'" and _PLAIN.fullmatch(value) else _spelt(value)
    return text[: node.start_mark.index] + spelt + text[node.end_mark.index :]


def _spelt(value: str) -> str:
    """Text as a YAML scalar: plain where that is safe, else in the quotes of JSON, which YAML reads alike."""
    return value if _PLAIN.fullmatch(value) and value not in _WORDS else json.dumps(value, ensure_ascii=False)


_WORDS = {
    "true",
    "false",
    "yes",
    "no",
    "on",
    "off",
    "null",
    "True",
    "False",
    "Yes",
    "No",
    "On",
    "Off",
    "Null",
    "y",
    "n",
}
