"""Looking at releases, comparing them, going back to one, proving their files; it must not judge rules."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.errors import RefusedError, StoreError, UnknownNameError, UsageError
from dataproducts.publish import publish
from dataproducts.release import ROLLBACK, Draft
from dataproducts.serving import served_release, served_step
from dataproducts.sql import quote
from dataproducts.store import new_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import duckdb

    from dataproducts.ledger import Ledger
    from dataproducts.release import FileRef, Release, Version
    from dataproducts.standing import Standing
    from dataproducts.store import Store

_EMPTY: Mapping[str, Any] = MappingProxyType({})
_GRACE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class TableRow:
    """A table within a release; `version` is the version's id, or one made of those of all `partitions`."""

    version: str
    rows: int
    partitions: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release as it is listed; `retained` tells whether its files are still kept."""

    release: int
    product: str
    kind: str
    run: str
    published_at: datetime
    base: int | None
    tables: Mapping[str, TableRow]
    inputs: Mapping[str, int]
    git_sha: str
    note: str
    retained: bool
    is_head: bool

    def as_json(self) -> dict[str, Any]:
        """Return the row as JSON values."""
        return {
            "release": self.release,
            "product": self.product,
            "kind": self.kind,
            "run": self.run,
            "published_at": self.published_at.isoformat(),
            "base": self.base,
            "tables": {name: asdict(row) for name, row in self.tables.items()},
            "inputs": dict(self.inputs),
            "git_sha": self.git_sha,
            "note": self.note,
            "retained": self.retained,
            "is_head": self.is_head,
        }


@dataclass(frozen=True, slots=True)
class RowChanges:
    """How many rows came, went, or stayed under their key with other values."""

    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True)
class TableDiff:
    """What differs in one table between two releases.

    `added`, `removed` and `carried` list versions by partition (`` for a table without partitions). `columns` holds
    one line for each column that came, went or changed its type. A side that lacks the table has no contract.
    """

    table: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    carried: int
    rows_before: int
    rows_after: int
    columns: tuple[str, ...] = ()
    contract_before: str = ""
    contract_after: str = ""
    row_changes: RowChanges | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as the ledger says; `message` names the place.

    `kind` is missing, size, sha256 (a published file), state (a version), head, serve (the serving file) or stray
    (a file that no version holds).
    """

    kind: str
    product: str
    message: str
    table: str = ""
    path: str = ""
    releases: tuple[int, ...] = field(default=())


def list_releases(ledger: Ledger, product: str, *, limit: int | None = 20) -> tuple[ReleaseRow, ...]:
    """Return the last `limit` releases of `product`, newest first. Raises: UnknownNameError, if it has none."""
    found = ledger.releases(product, limit=limit)
    if not found:
        raise UnknownNameError("product with a release", product, ledger.products())
    versions = ledger.versions(i for release in found for ids in release.items.values() for i in ids)
    retained, notes = ledger.retained(product), ledger.notes(product)
    return tuple(
        ReleaseRow(
            release=release.number,
            product=product,
            kind=release.kind,
            run=release.run_id,
            published_at=release.published_at,
            base=release.base,
            tables={table: _table_row([versions[i] for i in ids]) for table, ids in release.items.items()},
            inputs=release.inputs,
            git_sha=release.git_sha,
            note=notes.get(release.number, ""),
            retained=release.number in retained,
            is_head=position == 0,
        )
        for position, release in enumerate(found)
    )


def diff(
    ledger: Ledger,
    product: str,
    before: int,
    after: int,
    *,
    con: duckdb.DuckDBPyConnection | None = None,
    store: Store | None = None,
    keys: Mapping[str, Sequence[str]] = _EMPTY,
) -> tuple[TableDiff, ...]:
    """Return how the tables of release `after` differ from those of `before`, one entry a table.

    With `con` and `store`, rows of the tables in `keys` (their key columns) are compared too: those of changed
    versions alone, since the others are the same files.

    Raises:
        UnknownNameError: there is no such release.
    """
    old, new = ledger.release(product, before), ledger.release(product, after)
    was, now = ledger.composition(old), ledger.composition(new)
    found = []
    for table in sorted(was.keys() | now.keys()):
        left, right = was.get(table, ()), now.get(table, ())
        gone = _without(left, right)
        come = _without(right, left)
        counts = None
        if con is not None and store is not None and table in keys:
            counts = _row_changes(con, store, gone, come, keys[table])
        found.append(
            TableDiff(
                table=table,
                added=tuple(version.partition or "" for version in come),
                removed=tuple(version.partition or "" for version in gone),
                carried=len(right) - len(come),
                rows_before=sum(version.rows for version in left),
                rows_after=sum(version.rows for version in right),
                columns=_columns(left, right),
                contract_before=old.contracts.get(table, ""),
                contract_after=new.contracts.get(table, ""),
                row_changes=counts,
            )
        )
    return tuple(found)


def rollback(
    ledger: Ledger,
    store: Store,
    product: str,
    to: int,
    *,
    run_id: str,
    reason: str = "",
    now: datetime | None = None,
) -> Release:
    """Publish the versions of release `to` again, as a new release that points at the old files.

    `now` dates it; the real time unless told.

    Cursors and consumed files go back with them, so that the next refresh reads again what came after.

    Raises:
        UnknownNameError: there is no such release.
        RefusedError: its files are no longer kept.
        UsageError: it is the published one already.
        ConflictError: another release was published meanwhile.
    """
    target, head = ledger.release(product, to), ledger.head(product)
    if head is not None and head.number == to:
        raise UsageError(f"{product}: release {to} is the published one already.")
    kept = ledger.retained(product)
    if to not in kept:
        raise RefusedError(
            f"{product}: the files of release {to} are no longer kept. Kept are: {', '.join(map(str, sorted(kept)))}."
        )
    refresh = ledger.open_rollback(f"rollback-{new_id()}", product, to=to, run_id=run_id, now=now)
    draft = Draft(
        refresh=refresh,
        items=target.items,
        required=frozenset(),  # each rule passed when these very versions were published
        contracts=target.contracts,
        kind=ROLLBACK,
        consumed=ledger.consumed(product, to),
        cursors=ledger.cursors(product, to),
        git_sha=target.git_sha,
    )
    return publish(ledger, store, draft, note=reason or f"back to release {to}", now=now)


def verify(
    ledger: Ledger,
    store: Store,
    product: str | None = None,
    *,
    standing: Callable[[str], Standing | None] = lambda _product: None,
) -> tuple[Finding, ...]:
    """Return everything that is not as the ledger says; every kept file is read and hashed.

    `standing` tells how a product stands in its lifecycle, which its serving file has to show; None if nobody knows.

    Raises:
        UnknownNameError: `product` has no release.
    """
    known = ledger.products()
    if product is not None and product not in known:
        raise UnknownNameError("product with a release", product, known)
    found: list[Finding] = []
    for name in known if product is None else (product,):
        before = _head_number(ledger, name)
        releases = ledger.releases(name, limit=None)
        found += _verify_line(name, releases, before, _head_number(ledger, name))
        found += _verify_files(ledger, store, name, releases)
        found += _verify_serving(ledger, store, name)
        found += _verify_standing(store, name, standing)
    if product is None:
        found += _strays(ledger, store)
    return tuple(found)


def _head_number(ledger: Ledger, product: str) -> int:
    head = ledger.head(product)
    return head.number if head else 0


def _table_row(versions: Sequence[Version]) -> TableRow:
    rows = sum(version.rows for version in versions)
    if len(versions) == 1 and versions[0].partition is None:
        return TableRow(versions[0].id, rows)
    together = hashlib.sha256("\n".join(version.id for version in versions).encode()).hexdigest()[:32]
    return TableRow(together, rows, len(versions))


def _without(versions: Sequence[Version], others: Sequence[Version]) -> tuple[Version, ...]:
    known = {other.id for other in others}
    return tuple(version for version in versions if version.id not in known)


def _columns(left: Sequence[Version], right: Sequence[Version]) -> tuple[str, ...]:
    was, now = ({name: kind for version in side for name, kind in version.schema} for side in (left, right))
    if not was or not now:
        return ()
    lines = [f"{name} {kind} added" for name, kind in now.items() if name not in was]
    lines += [f"{name} {kind} removed" for name, kind in was.items() if name not in now]
    lines += [f"{name} {was[name]} became {kind}" for name, kind in now.items() if was.get(name, kind) != kind]
    return tuple(lines)


def _row_changes(
    con: duckdb.DuckDBPyConnection,
    store: Store,
    gone: Sequence[Version],
    come: Sequence[Version],
    keys: Sequence[str],
) -> RowChanges:
    """Count rows by key over the versions that differ, in one pass over each side."""
    if not gone or not come:
        return RowChanges(sum(v.rows for v in come), sum(v.rows for v in gone), 0)
    left, right = store.version_relation(gone), store.version_relation(come)
    was, now = ({name for version in side for name, _ in version.schema} for side in (gone, come))
    values = [quote(name) for name in sorted((was & now) - set(keys))]
    differs = " OR ".join(f"l.{name} IS DISTINCT FROM r.{name}" for name in values) or "FALSE"
    same_key = " AND ".join(f"l.{quote(key)} IS NOT DISTINCT FROM r.{quote(key)}" for key in keys)
    row = con.execute(
        "SELECT count(*) FILTER (l._here IS NULL), count(*) FILTER (r._here IS NULL), "
        f"count(*) FILTER (l._here AND r._here AND ({differs})) "
        f"FROM (SELECT *, TRUE AS _here FROM {left}) AS l "
        f"FULL JOIN (SELECT *, TRUE AS _here FROM {right}) AS r ON {same_key}"
    ).fetchone()
    added, removed, changed = row or (0, 0, 0)
    return RowChanges(added, removed, changed)


def _verify_line(product: str, releases: Sequence[Release], before: int, after: int) -> Iterator[Finding]:
    """Find gaps: releases are numbered from 1, each based on the one before, and the last is the head.

    `before` and `after` are the heads when the releases were read: others may publish meanwhile.
    """
    if not before <= releases[0].number <= after:
        message = f"{product}: the head is {after or 'nothing'}, the last release {releases[0].number}"
        yield Finding("head", product, message)
    for expected, release in enumerate(reversed(releases), start=1):
        if release.number != expected or (release.base or 0) != expected - 1:
            message = f"{product}: release {release.number} is based on {release.base}, out of line"
            yield Finding("head", product, message)
            return


def _verify_files(ledger: Ledger, store: Store, product: str, releases: Sequence[Release]) -> list[Finding]:
    kept = ledger.retained(product)
    holders: dict[str, list[int]] = {}
    for release in releases:
        for item in (i for ids in release.items.values() for i in ids if release.number in kept):
            holders.setdefault(item, []).append(release.number)
    versions = ledger.versions(holders)
    findings: list[Finding] = []
    for lost in holders.keys() - versions.keys():
        message = f"{product}: version {lost} is not in the ledger"
        findings.append(Finding("state", product, message, releases=tuple(holders[lost])))
    for version in versions.values():
        for ref in (*version.files, *version.quarantine_files):
            kind, fault = _file_fault(store, ref)
            if kind:
                numbers = tuple(holders[version.id])
                place = f"{ref.path} of release {', '.join(map(str, sorted(numbers)))}"
                findings.append(Finding(kind, product, f"{place}: {fault}", version.table, ref.path, numbers))
    if findings:
        # What a collection of garbage took away meanwhile is no fault.
        still = ledger.retained(product)
        findings = [finding for finding in findings if still.intersection(finding.releases)]
    return findings


def _file_fault(store: Store, ref: FileRef) -> tuple[str, str]:
    """Return what is wrong with a file, as kind and message; both empty if nothing is."""
    try:
        size = store.path(ref).stat().st_size
        if size != ref.bytes:
            return "size", f"{size} bytes instead of {ref.bytes}"
        if store.sha256(ref) != ref.sha256:
            return "sha256", "the content is not what was judged: restore the file, or roll back"
    except FileNotFoundError:
        return "missing", "the file is not there: restore it, or roll back"
    except StoreError as error:
        return "missing", str(error)
    return "", ""


def _verify_serving(ledger: Ledger, store: Store, product: str) -> Iterator[Finding]:
    before = _head_number(ledger, product)
    try:
        served = served_release(store, product)
    except StoreError as error:
        yield Finding("serve", product, str(error))
        return
    after = _head_number(ledger, product)
    if served is None or not before <= served <= after:
        shown = "no release" if served is None else f"release {served}"
        yield Finding(
            "serve", product, f"{product}: the serving file shows {shown}, published is {after}: render it again"
        )


def _verify_standing(store: Store, product: str, standing: Callable[[str], Standing | None]) -> Iterator[Finding]:
    """Find a port that shows another step of the lifecycle than the last: that of a retired product would be open."""
    before = standing(product)
    try:
        shown = served_step(store, product)
    except StoreError:
        return  # told already: nobody can read it
    after = standing(product)
    if shown and before and after and shown not in {(str(one.status), one.since) for one in (before, after)}:
        message = (
            f"{product}: the serving file shows it as {shown[0]}, and its lifecycle status is {after.status}: "
            "render it again"
        )
        yield Finding("serve", product, message)


def _strays(ledger: Ledger, store: Store) -> Iterator[Finding]:
    """Find files that no version holds and that no refresh can still be about to record."""
    before = datetime.now(UTC) - _GRACE
    old = [path for path, status in store.files() if status.st_mtime < before.timestamp()]
    known = ledger.known_paths()
    for path in sorted(set(old) - known):
        product = "/".join(path.split("/")[1:3])
        yield Finding("stray", product, f"{path}: no version holds this file: gc removes it", path=path)
