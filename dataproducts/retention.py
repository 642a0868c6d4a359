"""Giving back the space of what nobody needs any more; it must not decide what is published."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from dataproducts.errors import StoreError
from dataproducts.ledger import Retention
from dataproducts.operations import outbox
from dataproducts.serving import served_release
from dataproducts.store import SCRATCH, SERVE

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from dataproducts.ledger import Expired, Ledger
    from dataproducts.operations import Operations
    from dataproducts.store import Store

_ATTEMPTS = timedelta(hours=24)
_NOTICES = timedelta(days=90)
_CLOCKS = timedelta(hours=1)  # by how much those of the ledger's writers and of the disk may differ


@dataclass(frozen=True, slots=True)
class Collected:
    """What was given back, or would be: releases that lost files, versions, their files, and files of nobody."""

    releases: int
    versions: int
    files: int
    bytes: int
    stray_files: int
    stray_bytes: int


def gc(
    ledger: Ledger,
    store: Store,
    *,
    now: datetime,
    disk_now: datetime | None = None,
    keep_releases: int = 10,
    keep_days: float = 7,
    attempts: timedelta = _ATTEMPTS,
    dry_run: bool = False,
) -> Collected:
    """Unlink the files of versions that no kept release holds, and files older than `attempts` that no version holds.

    Kept are, of each product: the published release, the one its serving file shows, the last `keep_releases`, those
    that were live within `keep_days`, all that kept releases of other products were made from, and all that refreshes
    younger than `attempts` read or wrote: nothing that takes longer can be published. Versions are marked in the
    ledger first, so that none whose file is gone can be published; what an interrupted collection left is done by the
    next. It works on a full disk too. With `dry_run` nothing changes. `now` is what the ledger's moments are compared
    with, `disk_now` what those of files are: another one where the ledger was replayed under a simulated clock.

    Raises:
        StoreError: the ledger cannot be written, or is not the one of this store.
    """
    keep = Retention(releases=max(keep_releases, 1), days=timedelta(days=keep_days), attempts=attempts)
    # What needs no room comes first: on a full disk it makes the room that the rest needs.
    before = (disk_now or now) - attempts
    strays = _collect_strays(ledger, store, before, dry_run=dry_run)
    left = _leftovers(store, before)
    if not dry_run:
        _unlink(left)
    try:
        expired = _collect_expired(ledger, store, keep, now, dry_run=dry_run)
    except StoreError:
        if dry_run or not store.drop_ballast():
            raise
        expired = _collect_expired(ledger, store, keep, now, dry_run=dry_run)
    if not dry_run:
        store.keep_ballast()
    return Collected(
        releases=expired.releases,
        versions=len(expired.versions),
        files=len(expired.files),
        bytes=sum(expired.files.values()),
        stray_files=len(strays) + len(left),
        stray_bytes=sum(strays.values()) + sum(left.values()),
    )


def forget_notices(operations: Operations, *, now: datetime, dry_run: bool = False) -> int:
    """Remove notices that were sent, taken back or given up 90 days ago; return how many. Those of open incidents stay.

    Raises:
        StoreError: the operations database cannot be used.
    """
    # Reading first: where nothing is to be removed, a full disk is no trouble.
    with operations.reading() as con:
        found = outbox.forget(con, before=now - _NOTICES, dry_run=True)
    if not found or dry_run:
        return found
    with operations.writing() as con:
        return outbox.forget(con, before=now - _NOTICES)


def _collect_expired(ledger: Ledger, store: Store, keep: Retention, now: datetime, *, dry_run: bool) -> Expired:
    shown = [(product, number) for product in ledger.products() if (number := _shown(store, product)) is not None]
    expired = ledger.expire(keep, now=now, shown=shown, dry_run=dry_run)
    if not dry_run:
        store.remove(expired.files)
        ledger.mark_removed(expired.versions)
    return expired


def _shown(store: Store, product: str) -> int | None:
    """Return the release whose files the serving file reads: it stays behind if its writer died after publishing."""
    with suppress(StoreError):  # it cannot be read, so nobody reads through it
        return served_release(store, product)
    return None


def _collect_strays(ledger: Ledger, store: Store, before: datetime, *, dry_run: bool) -> dict[str, int]:
    """Unlink files of no version and return them, with their sizes.

    Nobody can record a file meanwhile: one that is recorded later is seen to be missing when it shall be published.
    """
    old = {path: status for path, status in store.files() if status.st_mtime < before.timestamp()}
    if not old:
        return {}
    with ledger.frozen_paths() as known:
        strays = {path: status for path, status in old.items() if path not in known}
        _refuse_aliens(ledger, store, strays)
        if strays and not dry_run:
            store.remove(strays)
    return {path: status.st_size for path, status in strays.items()}


def _refuse_aliens(ledger: Ledger, store: Store, strays: Mapping[str, os.stat_result]) -> None:
    """Refuse to remove files that the ledger's refreshes cannot have left: it may have been lost and made anew."""
    began = ledger.began_at()
    aliens = sorted(
        path for path, status in strays.items() if began is None or status.st_mtime < (began - _CLOCKS).timestamp()
    )
    if aliens:
        raise StoreError(
            f"{store.root}: {len(aliens)} files, such as {aliens[0]}, are older than the ledger, so it is not the one "
            "that they were written with. Nothing was removed: restore the ledger from a copy, or clear the store."
        )


def _leftovers(store: Store, before: datetime) -> dict[Path, int]:
    """Return what dead processes left in `scratch/` and `serve/`, with its sizes."""
    found: dict[Path, int] = {}
    for path in (*(store.root / SCRATCH).glob("*"), *(store.root / SERVE).glob(".*.tmp*"), *store.root.glob(".*.tmp")):
        with suppress(FileNotFoundError):
            newest = max((entry.lstat().st_mtime for entry in (path, *path.rglob("*"))), default=0)
            if newest < before.timestamp():
                found[path] = sum(entry.lstat().st_size for entry in (path, *path.rglob("*")) if entry.is_file())
    return found


def _unlink(paths: dict[Path, int]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
