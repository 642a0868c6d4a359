"""Making a judged draft the product's release; it must not know how rules are judged or how the ledger is kept."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from dataproducts.errors import ConflictError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from dataproducts.ledger import Ledger
    from dataproducts.release import Draft, FileRef, Release, Version
    from dataproducts.store import Store


def publish(
    ledger: Ledger,
    store: Store,
    draft: Draft,
    *,
    note: str = "",
    now: datetime | None = None,
    guard: Callable[[], None] = lambda: None,
) -> Release:
    """Make `draft` the published release of its product, or change nothing; `now` dates it, if not the real time.

    The same draft published again gives the same release, so a caller that does not know how an attempt ended may
    repeat it. Files are checked first (the size of all, the hash of those that this refresh wrote); then one
    transaction checks everything else and moves the head. `guard` is asked last, within it, and raises what forbids
    the release from outside of the ledger: whoever holds `Ledger.writing` meanwhile comes before or after.

    Raises:
        RefusedError: a table, a version, or a result that a blocking rule requires is missing, refused or failed.
        ConflictError: another release was published, or a contract or a version changed, since the refresh began.
        StoreError: a file is not the one that was judged, or the ledger cannot be written.
    """
    key = key_of(draft)
    done = ledger.find_release(key)
    if done is not None:
        return done
    try:
        _check_files(store, draft, ledger.check_draft(draft))
        return ledger.commit_release(draft, key=key, note=note, now=now, guard=guard)
    except (StoreError, ConflictError):
        # An error at the commit does not tell whether it took place, and a twin may have been faster: look first.
        done = ledger.find_release(key)
        if done is None:
            raise
        return done


def key_of(draft: Draft) -> str:
    """Return the idempotency key of `draft`: drafts with the same key are one release."""
    parts = {
        "product": draft.refresh.product,
        "refresh": draft.refresh.id,
        "base": draft.refresh.base,
        "kind": draft.kind,
        "items": {table: sorted(ids) for table, ids in draft.items.items()},
        "contracts": dict(draft.contracts),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _check_files(store: Store, draft: Draft, versions: Mapping[str, Version]) -> None:
    for version in versions.values():
        fresh = version.refresh_id == draft.refresh.id
        for ref in (*version.files, *version.quarantine_files):
            _check_file(store, version, ref, thorough=fresh)


def _check_file(store: Store, version: Version, ref: FileRef, *, thorough: bool) -> None:
    where = f"{version.product}.{version.table}: {ref.path}"
    if not store.exists(ref):
        raise StoreError(f"{where} is missing or has another size than when it was written. Build the table again.")
    if thorough and store.sha256(ref) != ref.sha256:
        raise StoreError(f"{where} is not the file that was judged: its hash differs. Build the table again.")
