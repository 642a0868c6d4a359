"""Which code of the project an object runs, and the meaning of a text of Python; it must not run any of it."""

from __future__ import annotations

import ast
import hashlib
import sys
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARY = __name__.partition(".")[0]
_CHECKS = "checks"  # the project's module whose `CUSTOM` names its objects, in each process that builds
_BUILT = {".py", ".pyc", ".pyo", ".pyi"}


def plain_python(text: str, home: Path | None = None) -> str:
    """Return `text` without comments and layout, and so each module below `home` that it imports, or that those do.

    Raises: SyntaxError, ValueError, if `text` cannot be parsed; a module that cannot counts as it stands.
    """
    tree = ast.parse(text)
    files: dict[Path, str] = {}
    if home:
        for path in _reached(tuple(_imports(tree)), (), home):
            _follow(path, home, files)
    return "\n".join([ast.unparse(tree), *(f"{path.name}\n{found}" for path, found in sorted(files.items()))])


def code_of(name: str, made: Any) -> str:
    """Return 16 hexadecimal digits that change with the meaning of what `made`, which the project calls `name`, runs.

    Counted are the module that defines it, every module of the project that one imports, in functions too, and the
    files beside them that are no Python. Of anything but a plain function or class, whose definition says all,
    `checks` counts as well, which puts it together. Files are read as they lie on disk: nothing is imported. What is
    installed does not count, nor does a module that is imported by a name made at run time.
    """
    starts = [str(getattr(made, "__module__", ""))]
    is_plain = isinstance(made, FunctionType | type) and not getattr(made, "__closure__", None)
    if not is_plain and getattr(sys.modules.get(_CHECKS), "CUSTOM", {}).get(name) is made:
        starts.append(_CHECKS)
    files: dict[Path, str] = {}
    folders: set[Path] = set()
    for start in starts:
        found = _loaded(start)
        if found is None:
            continue
        home = found.parents[start.count(".") + (found.stem == "__init__")]
        _follow(found, home, files)
        if not _INSTALLED & set(home.parts):
            folders |= {home / path.relative_to(home).parts[0] for path in files if home in path.parents[1:]}
    texts = [f"{path.name}\n{text}" for path, text in sorted(files.items())]
    texts += [_hash(path, *_stamp(path)) for folder in sorted(folders) for path in _data_files(folder)]
    if not files and isinstance(made, FunctionType):  # typed into a session: there is no file
        texts.append(repr((made.__code__.co_code, made.__code__.co_consts, made.__code__.co_names)))
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _loaded(module: str) -> Path | None:
    """The file of a loaded module; None for one of the library, of Python's own, or without a file."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    if not file or not file.endswith(".py") or top == _LIBRARY or top in sys.stdlib_module_names:
        return None
    path = Path(file).resolve()
    return path if path.is_file() else None


def _follow(path: Path, home: Path, files: dict[Path, str]) -> None:
    """Gather `path` and, unless it is installed, the modules below `home` that it imports, and those they import."""
    if path in files:
        return
    files[path], imports = _read(path, *_stamp(path))
    if not _INSTALLED & set(home.parts):
        for other in _reached(imports, path.relative_to(home).parts[:-1], home):
            _follow(other, home, files)


def _reached(imports: Iterable[_Imported], package: tuple[str, ...], home: Path) -> Iterator[Path]:
    """The modules below `home` that a module in `package` names in its `imports`."""
    for level, base, name in imports:
        parts = (*package[: len(package) - level + 1], *base) if level else base
        found = _module(home, (*parts, name)) if name else None
        # `import a.b` runs and binds `a` too; `from a import b` needs `a` only where `b` is no module.
        named = [found] if found else [_module(home, some) for some in accumulate((part,) for part in parts)]
        yield from filter(None, named[-1:] if name else named)


def _module(home: Path, parts: tuple[str, ...]) -> Path | None:
    if not parts or parts[0] == _LIBRARY:
        return None
    bare = home.joinpath(*parts)
    return next((path for path in (bare.with_name(f"{bare.name}.py"), bare / "__init__.py") if path.is_file()), None)


def _stamp(path: Path) -> tuple[int, int]:
    known = path.stat()
    return known.st_mtime_ns, known.st_size


_Imported = tuple[int, tuple[str, ...], str]  # dots, the module, and the name that is taken from it, if any


@lru_cache(maxsize=512)
def _read(path: Path, _time: int, _size: int) -> tuple[str, tuple[_Imported, ...]]:
    """The text of a module without comments, and what it imports."""
    text = path.read_bytes()
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return repr(text), ()
    return ast.unparse(tree), tuple(_imports(tree))


def _imports(tree: ast.Module) -> Iterator[_Imported]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, tuple(alias.name.split(".")), "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = tuple(node.module.split(".")) if node.module else ()
            yield from ((node.level, base, alias.name) for alias in node.names)


def _data_files(folder: Path) -> Iterator[Path]:
    """What lies in a package beside its modules: suites, lists, queries; hidden files are no part of it."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and path.suffix not in _BUILT and not any(part.startswith((".", "__")) for part in inside):
            yield path


@lru_cache(maxsize=512)
def _hash(path: Path, _time: int, _size: int) -> str:
    return f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}"
