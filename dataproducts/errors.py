"""Every error that `dataproducts` raises, as one tree; it must not know anything else of the package.

DataProductError
├── DeclarationError (ValueError)     files that do not say what they must; carries every `Fault` found
├── UnknownNameError (LookupError)    a product, table, release or source that nobody declared
├── SourceError (ValueError)          a source that cannot be read as it was declared
├── TransformError (RuntimeError)     a transform that failed or made something else than its contract says
├── RefusedError (RuntimeError)       a refresh that may not be published: a rule failed or was not judged
├── ConflictError (RuntimeError)      another refresh published first, or what was judged has changed since
├── StoreError (OSError)              files or ledger that are damaged, unreachable or of another version
└── UsageError (ValueError)           a command or call that cannot be carried out as it was given
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


_OF_WHAT = re.compile(r" (?=(?:of|in|with) )")  # begins what a thing belongs to: `server| of table 'orders'`


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong in one place of one file.

    `line` counts from 1; 0 means that the fault is the file itself (absent, too large).
    `fix` is an imperative sentence: what the author does next. `place` are the keys that lead there from the top of
    the file, where they are known.
    """

    path: str
    line: int
    what: str
    fix: str = ""
    place: tuple[str | int, ...] = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        """Render as `path:line: what. fix`."""
        place = f"{self.path}:{self.line}" if self.line else self.path
        what = self.what.rstrip(".")
        return f"{place}: {what}. {self.fix}".rstrip()

    def speaks_of(self, other: Fault) -> bool:
        """Return whether both are about one line, and one thing in it or a part of it."""
        shared = min(len(self.place), len(other.place))
        is_one_line = (self.path, self.line) == (other.path, other.line)
        return is_one_line and self.place[:shared] == other.place[:shared]


class DataProductError(Exception):
    """Base of every error of this package; catch it to catch them all."""


class DeclarationError(DataProductError, ValueError):
    """Files that do not declare what they must.

    `faults` holds all faults of all files, sorted by path and line.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Keep `faults`, sorted and without repeats, and list them in the message."""
        self.faults: tuple[Fault, ...] = tuple(sorted(set(faults)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


class UnknownNameError(DataProductError, LookupError):
    """A name that nobody declared; the message suggests the nearest one that somebody did."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        """Say which `kind` of thing was asked for, under which `name`, and what is `known`.

        A `kind` may say of what, in what or with what: the name is put before that.
        """
        self.kind, self.name, self.known = kind, name, tuple(sorted(known))
        thing, *rest = _OF_WHAT.split(kind, maxsplit=1)
        super().__init__(f"there is no {' '.join([thing, repr(name), *rest])}.{suggest(name, self.known)}")


class SourceError(DataProductError, ValueError):
    """A source that cannot be read as declared: absent, malformed or ambiguous."""


class TransformError(DataProductError, RuntimeError):
    """A transform that raised, or whose result lacks what its contract promises."""


class RefusedError(DataProductError, RuntimeError):
    """A refresh that may not be published; the last good release stays live."""


class ConflictError(DataProductError, RuntimeError):
    """What the refresh was judged against has moved; nothing was published, run it again."""


class StoreError(DataProductError, OSError):
    """The store or the ledger is damaged, unreachable or of another version."""


class UsageError(DataProductError, ValueError):
    """A command or a call that cannot be carried out as it was given."""


def suggest(name: str, known: Sequence[str], *, show: int = 8) -> str:
    """Return ` Did you mean …? Known: …` for a misspelt `name`, or what is known if nothing is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    listed = ", ".join(known[:show]) + (f" and {len(known) - show} more" if len(known) > show else "")
    guess = f" Did you mean {near[0]!r}?" if near else ""
    return f"{guess} Known: {listed}." if known else f"{guess} None are declared."


def few(names: Iterable[str], *, show: int = 5) -> str:
    """Return the first of `names`, sorted, and how many more there are."""
    every = sorted(names)
    more = f" and {len(every) - show} more" if len(every) > show else ""
    return ", ".join(every[:show]) + more


def first_line(error: Exception) -> str:
    """Return what `error` says, without the lines in which an engine repeats its SQL or the data."""
    return str(error).split("\n", maxsplit=1)[0]
