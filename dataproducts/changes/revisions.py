"""A revision of the project's git repository as a folder; it must not know what the files mean.

Files are taken from git's objects as they are: `git archive` would leave out and change what `.gitattributes` says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dataproducts.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SUFFIXES = {".yaml", ".yml", ".sql", ".py"}
_TIMEOUT_S = 120
_OF_HOOKS = {
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_WORK_TREE",
    "GIT_PREFIX",
}  # a hook's own: they may be another repository's
_PLAIN_FILE = "100"  # how the modes of files begin; links and submodules begin otherwise


@contextmanager
def checked_out(root: Path, revision: str) -> Iterator[Path]:
    """Yield a temporary folder with the declarations and code of the project at `root`, as they are in `revision`.

    The project may be a subfolder of its repository; the index and the working tree are not touched.
    Raises: UsageError, if there is no git, no repository, or no such revision in it.
    """
    commit = _resolve(root, revision)
    prefix = os.fsdecode(_git(root, "rev-parse", "--show-prefix")).rstrip("\n")
    with tempfile.TemporaryDirectory(prefix="dataproducts-changes-") as name:
        folder = Path(name)
        _write(root, commit, prefix, folder)
        yield folder


def describe(root: Path, revision: str) -> str:
    """Return a revision as people call it, with the first digits of its commit."""
    commit = _resolve(root, revision)[:10]
    return commit if commit.startswith(revision) else f"{revision} ({commit})"


def _resolve(root: Path, revision: str) -> str:
    if revision.startswith("-"):
        raise UsageError(f"{revision!r} is no revision: name a branch, a tag or a commit")
    try:
        _git(root, "rev-parse", "--git-dir")
    except UsageError as error:  # no repository, or one that git does not trust: git says which
        raise UsageError(f"{root} has no revisions ({error}). Compare two folders with --folders") from error
    try:
        commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    except UsageError as error:
        fix = "Fetch it first; in CI, check out the whole history (fetch-depth: 0 or GIT_DEPTH: 0)"
        raise UsageError(f"the repository of {root} has no revision {revision!r}. {fix}") from error
    return commit.decode().strip()


def _write(root: Path, commit: str, prefix: str, folder: Path) -> None:
    listed = _git(root, "ls-tree", "-r", "-z", "--full-tree", commit, "--", *([prefix] if prefix else []))
    wanted: list[tuple[str, PurePosixPath]] = []
    for line in filter(None, listed.split(b"\0")):
        facts, _, raw = line.partition(b"\t")
        mode, _, digest = facts.decode().split()
        path = PurePosixPath(os.fsdecode(raw).removeprefix(prefix))
        if mode.startswith(_PLAIN_FILE) and path.suffix in _SUFFIXES and ".." not in path.parts:
            wanted.append((digest, path))
    if not wanted:
        return
    asked = "".join(f"{digest}\n" for digest, _ in wanted).encode()
    answer = _git(root, "cat-file", "--batch", given=asked)
    at = 0
    for _, path in wanted:
        end = answer.index(b"\n", at)
        head = answer[at:end].split()
        if len(head) != 3:  # noqa: PLR2004 - `<object> missing`: a partial clone
            raise UsageError(f"git has not the content of {path} in {commit[:10]}: fetch the whole history")
        size = int(head[2])
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(answer[end + 1 : end + 1 + size])
        at = end + size + 2


def _git(root: Path, *arguments: str, given: bytes = b"") -> bytes:
    git = shutil.which("git")
    if git is None:
        raise UsageError("git is not installed")
    command: Sequence[str] = [git, "-C", str(root), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    try:
        done = subprocess.run(  # noqa: S603 - git, with arguments that are checked above
            command, input=given, capture_output=True, check=False, timeout=_TIMEOUT_S, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"git {arguments[0]} failed: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UsageError(f"git {arguments[0]} failed: {said[-1] if said else done.returncode}")
    return done.stdout
