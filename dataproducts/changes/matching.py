"""Which product, and which contract, of one state is which of another; it must not look at what they declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.changes.states import plain
from dataproducts.declare.fields import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.changes.states import Files, State
    from dataproducts.declare.positions import Document


def match(base: State, head: State) -> Iterator[tuple[Files | None, Files | None]]:
    """Yield products in pairs, None where one side has none.

    By address first, then by name (a new major in the old one's place), then by id (another name).
    """
    old = {files.address: files for files in base.products}
    new = {files.address: files for files in head.products}
    if len(old) == len(new) == 1 and not (base.is_project or head.is_project):
        yield next(iter(old.values())), next(iter(new.values()))
        return
    both = [address for address in old if address in new]
    pairs: list[tuple[Files | None, Files | None]] = [(old.pop(address), new.pop(address)) for address in both]
    for same in (_same_name, _same_id):
        for address, files in sorted(old.items(), reverse=True):
            match = next((other for other, candidate in new.items() if same(files, candidate)), None)
            if match:
                pairs.append((old.pop(address), new.pop(match)))
    pairs += [(files, None) for files in old.values()] + [(None, files) for files in new.values()]
    yield from sorted(pairs, key=lambda pair: next(files.address for files in pair if files))


def _same_name(old: Files, new: Files) -> bool:
    return old.name == new.name


def _same_id(old: Files, new: Files) -> bool:
    return bool(text(old.data, "id")) and text(old.data, "id") == text(new.data, "id")


def counterpart(new: Files, stem: str, document: Document) -> str:
    """Return the table of the new state whose contract is `document` now: by file, or by id under another name."""
    return stem if stem in new.contracts else new.stem_of(text(plain(document), "id"))


def was_unread(files: Files, document: Document) -> bool:
    """Return whether `files` has a contract of that name which could not be read."""
    name = document.path.rpartition("/")[2]
    return any(path.endswith(f"/{name}") for path in files.unread)
