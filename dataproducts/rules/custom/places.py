"""Where the project's own code stands in what went wrong, as `path:line`; it must not tell what the error says."""

from __future__ import annotations

import inspect
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

_LIBRARY = Path(__file__).parents[2]
_STANDARD = Path(sysconfig.get_path("stdlib"))
_INSTALLED = {"site-packages", "dist-packages"}
_TRACED = re.compile(r'^\s*File "(.+)", line (\d+), in ', re.MULTILINE)


def raised_at(error: BaseException) -> str:
    """Return the innermost line of the project's that `error` came through; empty if it came through none."""
    walked = traceback.walk_tb(error.__traceback__)
    return _innermost([(frame.f_code.co_filename, line) for frame, line in walked])


def traced_at(text: str) -> str:
    """Return the same of a traceback that was kept as text."""
    return _innermost([(file, int(line)) for file, line in _TRACED.findall(text)])


def defined_at(made: Any) -> str:
    """Return where a function of the project's begins; empty for anything else."""
    code = getattr(inspect.unwrap(made), "__code__", None) if callable(made) else None
    return _innermost([(code.co_filename, code.co_firstlineno)]) if code else ""


def _innermost(lines: list[tuple[str, int]]) -> str:
    own = [(file, line) for file, line in lines if _is_own(file)]
    return f"{_shown(own[-1][0])}:{own[-1][1]}" if own else ""


def _is_own(file: str) -> bool:
    path = Path(file)
    above = {*path.parents}
    return not (file.startswith("<") or _INSTALLED & set(path.parts) or {_LIBRARY, _STANDARD} & above)


def _shown(file: str) -> str:
    """The path from where the project's modules are imported, so that no machine's folders stand in a ledger."""
    names = (
        name for name, module in list(sys.modules.items()) if getattr(module, "__dict__", {}).get("__file__") == file
    )
    path = Path(file)
    depth = next(names, path.stem).count(".") + 1 + (path.name == "__init__.py")
    return Path(*path.parts[-depth:]).as_posix()
