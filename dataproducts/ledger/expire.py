"""Deciding which versions nobody needs any more; it must not touch their files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from sqlalchemy import exists, null, or_, select, update

from dataproducts.ledger import schema as s
from dataproducts.ledger.rows import chunks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept: the last `releases`, what was live within `days`, and attempts younger than `attempts`."""

    releases: int = 10
    days: timedelta = timedelta(days=7)
    attempts: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Expired:
    """What nobody needs: `releases` counts those that lose files now, `files` maps paths to bytes.

    `versions` are the ids of every version whose files are still to be unlinked, those of an earlier, interrupted
    collection included.
    """

    releases: int
    versions: tuple[str, ...]
    files: Mapping[str, int]


def expire(con: Connection, keep: Retention, now: datetime, shown: Iterable[tuple[str, int]] = ()) -> Expired:
    """Mark what `keep` does not hold, and is not among the releases `shown`, as expired; return all that is."""
    kept = _kept_releases(con, keep, now, shown)
    every = con.execute(select(s.release.c.product, s.release.c.number).where(s.release.c.retained))
    gone = sorted({(row.product, row.number) for row in every} - kept)
    for product, numbers in groupby(gone, key=lambda release: release[0]):
        for chunk in chunks(number for _, number in numbers):
            mine = (s.release.c.product == product, s.release.c.number.in_(chunk))
            con.execute(update(s.release).where(*mine).values(retained=False))
    _expire_versions(con, now - keep.attempts)
    ids, files = _expired(con)
    return Expired(releases=len(gone), versions=ids, files=files)


def _expired(con: Connection) -> tuple[tuple[str, ...], dict[str, int]]:
    """Return the ids of expired versions, and path and size of the files that no other version holds."""
    ids = tuple(con.execute(select(s.version.c.id).where(s.version.c.state == "expired")).scalars())
    other = s.version_file.alias()
    needed = exists().where(
        other.c.path == s.version_file.c.path,
        other.c.version_id == s.version.c.id,
        s.version.c.state.not_in(("expired", "removed")),
    )
    files: dict[str, int] = {}
    for chunk in chunks(ids):
        t = s.version_file.c
        rows = con.execute(select(t.path, t.bytes).where(t.version_id.in_(chunk), ~needed))
        files.update((row.path, row.bytes) for row in rows)
    return ids, files


def mark_removed(con: Connection, ids: Sequence[str]) -> None:
    """Note that the files of the expired versions `ids` are gone, and forget the values that were known of them.

    Counts stay, and so does what rules on drift had measured: they may look further back than files are kept.
    """
    for chunk in chunks(ids):
        of_these = (s.version.c.id.in_(chunk), s.version.c.state == "expired")
        gone = con.execute(select(s.version.c.id, s.version.c.profile).where(*of_these)).all()
        for version_id, profile in gone:
            if profile and "kept" in profile:
                counts = {name: figures for name, figures in profile.items() if name != "kept"}
                con.execute(update(s.version).where(s.version.c.id == version_id).values(profile=counts))
        files = s.version_file.c.version_id.in_([version_id for version_id, _ in gone])
        con.execute(update(s.version_file).where(files).values(columns=null()))
        con.execute(update(s.version).where(*of_these).values(state="removed"))


def known_paths(con: Connection) -> set[str]:
    """Return the paths of all files that a version still holds."""
    query = (
        select(s.version_file.c.path)
        .join(s.version, s.version.c.id == s.version_file.c.version_id)
        .where(s.version.c.state != "removed")
    )
    return set(con.execute(query).scalars())


def _kept_releases(
    con: Connection, keep: Retention, now: datetime, shown: Iterable[tuple[str, int]]
) -> set[tuple[str, int]]:
    """Return heads, recent releases, what those were made from, and what refreshes under way read."""
    t = s.release.c
    rows = con.execute(
        select(t.product, t.number, t.published_at).where(t.retained).order_by(t.product, t.number.desc())
    ).all()
    kept = {(row.product, row.number) for row in con.execute(select(s.head))}
    kept |= {(row.product, row.number) for row in rows} & set(shown)
    for product, group in groupby(rows, key=lambda row: str(row.product)):
        replaced_at = now  # when its successor took its place
        for position, row in enumerate(group):
            if position < keep.releases or replaced_at >= now - keep.days:
                kept.add((product, row.number))
            replaced_at = row.published_at
    young = s.refresh.c.started_at >= now - keep.attempts
    for row in con.execute(select(s.refresh).where(young)):
        kept.update(row.pins.items())
        if row.base is not None:
            kept.add((row.product, row.base))
    return _with_inputs(con, kept)


def _with_inputs(con: Connection, kept: set[tuple[str, int]]) -> set[tuple[str, int]]:
    t = s.release_input.c
    inputs: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for row in con.execute(select(s.release_input).order_by(t.product)):
        inputs.setdefault((row.product, row.number), []).append((row.upstream, row.upstream_number))
    every, open_releases = set(kept), list(kept)
    while open_releases:
        further = [release for release in inputs.get(open_releases.pop(), ()) if release not in every]
        every.update(further)
        open_releases.extend(further)
    return every


def _expire_versions(con: Connection, attempts_since: datetime) -> None:
    t, item = s.version.c, s.release_item.c
    held = exists().where(
        item.version_id == t.id,
        s.release.c.product == item.product,
        s.release.c.number == item.number,
        s.release.c.retained,
    )
    abandoned = t.state.in_(("candidate", "superseded")) & (t.created_at < attempts_since)
    gone = update(s.version).where(or_(abandoned, (t.state == "released") & ~held)).values(state="expired")
    con.execute(gone)
