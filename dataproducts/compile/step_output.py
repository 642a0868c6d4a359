"""What steps print, kept for Dagster and shown at once without processes of its own; it must not know what they do.

For each of the two streams of a run, Dagster 1.13 starts `tail`, which shows what is printed, and a second Python that
watches over `tail`: together they took a twentieth of a small build. A thread does both, and ends with the process.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._utils import ensure_file, touch_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from dagster._serdes import ConfigurableClassData

_EVERY_S = 0.05
_AT_ONCE = 65_536  # bytes


class StepOutput(LocalComputeLogManager):
    """What steps print, for `compute_logs` in `dagster.yaml`: in `base_dir`, or where Dagster's own would be."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return what `config` in `dagster.yaml` may hold."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> StepOutput:
        """Return what `dagster.yaml` asks for."""
        folder = config_value.get("base_dir") or str(Path(os.environ.get("DAGSTER_HOME", ""), "storage"))
        return cls(folder, inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Keep what is printed in the block, and show it where it would have been shown."""
        with ExitStack() as opened:
            for stream, ending in ((sys.stdout, "out"), (sys.stderr, "err")):
                path = self.get_captured_local_path(log_key, ending)
                ensure_file(path)
                opened.enter_context(_shown(Path(path), stream))
                opened.enter_context(redirect_to_file(stream, path))
            yield CapturedLogContext(log_key)
        # Tells who reads it that there is no more to come.
        touch_file(self.get_captured_local_path(log_key, "complete"))


@contextmanager
def _shown(path: Path, stream: Any) -> Iterator[None]:
    """Copy to `stream`, as it is now, what is added to the file at `path` within the block."""
    try:
        shown = os.dup(stream.fileno())
    except (AttributeError, OSError):  # no file of the system's, as in a notebook: nothing is redirected either
        yield
        return
    ended = threading.Event()
    with os.fdopen(shown, "wb") as out, path.open("rb") as kept:
        kept.seek(0, os.SEEK_END)  # a step that is tried again adds to what it printed before
        follower = threading.Thread(target=_follow, args=(kept, out, ended), daemon=True)
        follower.start()
        try:
            yield
        finally:
            ended.set()
            follower.join()


def _follow(kept: BinaryIO, out: BinaryIO, ended: threading.Event) -> None:
    last = False
    with suppress(OSError):  # nobody looks at it any more: it is kept all the same
        while not last:
            last = ended.wait(_EVERY_S)  # what was printed before the end is read after it
            while found := kept.read(_AT_ONCE):
                out.write(found)
                out.flush()
