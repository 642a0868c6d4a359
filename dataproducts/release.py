"""Values that the store and the ledger exchange: files, versions, refreshes, releases; it must not know SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

ROLLBACK = "rollback"
"""The `kind` of a release that holds what an old one held."""

AUDIT = "audit"
"""What the ids begin with under which the results of audits are recorded, in the place of a refresh's."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """What is known of one column of a file without reading its rows.

    `minimum` and `maximum` are text that casts to the column's type; None where they are not exact, or hide a NaN.
    """

    nulls: int
    minimum: str | None = None
    maximum: str | None = None


@dataclass(frozen=True, slots=True)
class FileRef:
    """One write-once Parquet file; `path` is relative to the store, with forward slashes.

    `columns` holds what the writer of the file said of its columns while it wrote them; those inside others have no
    entry, and a file of an earlier version of the library has none at all.
    """

    path: str
    bytes: int
    sha256: str
    rows: int
    columns: Mapping[str, ColumnFacts] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True, slots=True)
class Version:
    """One table (or one partition of it) as one refresh wrote it; never changed afterwards.

    `partition` is the ISO date of the partition's first day, None for a table without partitions. `schema` lists
    (column, DuckDB type) in order. `valid_thru` says until when the rows are complete, where the contract tells.
    """

    id: str
    product: str
    table: str
    partition: str | None
    files: tuple[FileRef, ...]
    rows: int
    schema: tuple[tuple[str, str], ...]
    contract_hash: str
    code_version: str
    refresh_id: str
    run_id: str
    created_at: datetime
    valid_thru: datetime | None = None
    quarantine_files: tuple[FileRef, ...] = ()
    quarantined: Mapping[str, int] = field(default_factory=lambda: _EMPTY)  # rule name -> rows
    treated: Mapping[str, int] = field(default_factory=lambda: _EMPTY)  # policy of a column -> rows it concerned
    profile: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)  # what later versions are compared with


@dataclass(frozen=True, slots=True)
class Consumed:
    """One input file of a source that a refresh read; committed with the release, never before."""

    table: str
    source: str
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Refresh:
    """One attempt to make a new release: what it started from.

    `base` is the product's head when it began (None before the first release); `pins` are the upstream releases
    that it reads, transitively.
    """

    id: str
    product: str
    base: int | None
    pins: Mapping[str, int]
    run_id: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class StoredResult:
    """One rule's outcome as the ledger keeps it, under the key of everything it read."""

    key: str
    product: str
    table: str
    partition: str | None
    rule: str
    passed: bool
    blocking: bool
    refresh_id: str
    run_id: str
    judged_at: datetime
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)  # JSON: observed, failed_rows, threshold, sample


@dataclass(frozen=True, slots=True)
class Draft:
    """A release that asks to be published.

    `items` maps every table of the product to the versions it shall have (one, or one a partition). `required`
    are the keys of the results that must be there and passed. `contracts` maps tables to contract hashes.
    """

    refresh: Refresh
    items: Mapping[str, tuple[str, ...]]
    required: frozenset[str]
    contracts: Mapping[str, str]
    kind: str = "refresh"  # refresh, backfill or rollback
    consumed: tuple[Consumed, ...] = ()
    cursors: Mapping[str, str] = field(default_factory=lambda: _EMPTY)  # source -> opaque cursor
    git_sha: str = ""


@dataclass(frozen=True, slots=True)
class Release:
    """One published state of a product; `items` maps each table to its version ids, `inputs` are upstream pins."""

    product: str
    number: int
    kind: str
    base: int | None
    refresh_id: str
    run_id: str
    published_at: datetime
    items: Mapping[str, tuple[str, ...]]
    contracts: Mapping[str, str]
    inputs: Mapping[str, int]
    git_sha: str = ""
