"""Reports on disk: the formats by name, and files that are whole or not there; it must not know what results say."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from dataproducts.errors import StoreError, UnknownNameError, UsageError
from dataproducts.reports.junit import as_junit
from dataproducts.reports.openlineage import as_openlineage
from dataproducts.reports.results import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dataproducts.reports.results import Results


def _json_text(results: Iterable[Results]) -> str:
    return json.dumps(as_json(results), indent=2, ensure_ascii=False, default=str, allow_nan=False) + "\n"


FORMATS: Mapping[str, Callable[[Iterable[Results]], str]] = {
    "json": _json_text,
    "junit": as_junit,
    "openlineage": as_openlineage,
}
"""What turns results into the text of a report, by the name of its format."""


def wanted(given: Iterable[str]) -> tuple[tuple[str, Path], ...]:
    """Return the reports that `FORMAT=FILE` asks for, so that a misspelt one is refused before anything is judged.

    Raises:
        UnknownNameError: there is no such format.
        UsageError: there is no file, it is a folder, or two reports name the same one.
    """
    found: list[tuple[str, Path]] = []
    for text in given:
        name, _, path = text.partition("=")
        if name not in FORMATS:
            raise UnknownNameError("report", name, FORMATS)
        if not path:
            raise UsageError("--report takes FORMAT=FILE, such as --report junit=results.xml")
        file = Path(path).absolute()
        if file.is_dir():
            raise UsageError(f"--report {text}: that is a folder. Name a file in it")
        if file in {other for _, other in found}:
            raise UsageError(f"--report {text}: another report goes to the same file")
        found.append((name, file))
    return tuple(found)


def write_reports(reports: Sequence[tuple[str, Path]], results: Sequence[Results]) -> None:
    """Write each of `reports`; a file that was there is replaced when the new one is whole.

    Raises: StoreError, if a file cannot be written; what was there stays.
    """
    for name, path in reports:
        write_whole(path, FORMATS[name](results))


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path` under another name first, with its folder. Raises: StoreError."""
    target = path.resolve()
    half = target.with_name(f".{target.name}.{uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with half.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            half.replace(target)
        finally:
            half.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: the report cannot be written ({error.strerror or error})") from error
