"""What judging one table cost, pass by pass; it must not know what a rule means."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dataproducts.verdict import Pass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(slots=True)
class Timing:
    """A pass under way, which learns what it answers while it runs."""

    method: str
    rules: tuple[str, ...] = ()
    rows: int = 0

    def answered(self, rules: Iterable[str], *, rows: int | None = None) -> None:
        """Note the rules that the pass answers, and the rows that it read, if that was not known before."""
        self.rules = tuple(rules)
        self.rows = self.rows if rows is None else rows


@dataclass(slots=True)
class Passes:
    """The passes made so far, in order."""

    made: list[Pass] = field(default_factory=list)

    @contextmanager
    def timed(self, method: str, *, rows: int = 0) -> Iterator[Timing]:
        """Time the block as one pass over `rows` rows; one that answers nothing leaves no trace."""
        timing, start = Timing(method, rows=rows), time.perf_counter()
        yield timing
        if timing.rules:
            self.made.append(Pass(timing.method, timing.rules, timing.rows, time.perf_counter() - start))
