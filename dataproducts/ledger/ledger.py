"""The ledger: what was built, judged and published, and what each release is made of; it must not touch files."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from dataproducts import database
from dataproducts.database import Opened, as_utc, reading, writing
from dataproducts.errors import ConflictError, RefusedError, SourceError, UnknownNameError
from dataproducts.ledger import commit, expire, refreshes, rows
from dataproducts.ledger import schema as s
from dataproducts.product import version_numbers
from dataproducts.release import Refresh

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from dataproducts.ledger.expire import Retention
    from dataproducts.ledger.rows import Attempt, ReleasedContract
    from dataproducts.release import Consumed, Draft, Release, StoredResult, Version


def migrate(url: str, *, create: bool = True) -> tuple[str, str]:
    """Bring the ledger at `url` to the newest schema; return the revisions before (empty if fresh) and after.

    Raises:
        StoreError: the ledger is newer than this library, unreachable, or absent and `create` is false.
    """
    return database.migrate(url, s.BRANCH, create=create)


class Ledger(Opened):
    """The record of one store's refreshes and releases, in SQLite or PostgreSQL.

    Every method is one transaction. Any of them may raise StoreError (the database cannot be read or written) or
    ConflictError (another process wrote the same first).
    """

    branch = s.BRANCH

    # Refreshes

    def open_refresh(
        self,
        refresh_id: str,
        product: str,
        *,
        run_id: str,
        upstream: Sequence[str] = (),
        allow_mixture: bool = False,
        now: datetime | None = None,
    ) -> Refresh:
        """Return the refresh of `product` under that id, begun now unless it was before.

        Beginning pins the product's head as the base, the heads of the products `upstream`, and what those were made
        from. Whoever comes later with the same id gets what the first one pinned.

        Raises:
            RefusedError: one of `upstream` has no release.
            ConflictError: two releases of one product would be read, and `allow_mixture` is false.
        """
        asked = _refresh(refresh_id, product, run_id, now)
        with writing(self._engine) as con:
            return refreshes.open_refresh(con, asked, upstream, allow_mixture=allow_mixture)

    def open_rollback(
        self, refresh_id: str, product: str, *, to: int, run_id: str, now: datetime | None = None
    ) -> Refresh:
        """Begin a refresh that shall publish release `to` again, with the inputs that it had.

        Raises:
            UnknownNameError: there is no such release.
        """
        asked = _refresh(refresh_id, product, run_id, now)
        with writing(self._engine) as con:
            return refreshes.open_rollback(con, asked, to)

    def find_refresh(self, refresh_id: str, product: str) -> Refresh | None:
        """Return the refresh of `product` under that id, if it was begun."""
        with reading(self._engine) as con:
            return rows.refresh_of(con, refresh_id, product)

    def mark_started(self, refresh: Refresh, table: str, partitions: Sequence[str | None] = (None,)) -> None:
        """Note that an attempt at `partitions` of `table` began: no release until `record_candidates` ends it."""
        with writing(self._engine) as con:
            refreshes.mark_attempts(con, refresh, table, partitions, state="started")

    def record_refusal(self, refresh: Refresh, table: str, partition: str | None, message: str) -> None:
        """Note that the last attempt was refused or failed: no release until a later one gives candidates.

        A refusal of the whole table (`partition` None) ends with the next candidates of any partition of it, because
        the rules of the whole are judged again with them; that of a partition ends with that partition's.
        """
        with writing(self._engine) as con:
            refreshes.mark_attempts(con, refresh, table, (partition,), state="refused", message=message)

    def record_failure(self, refresh: Refresh, table: str, partitions: Sequence[str | None], error: Exception) -> None:
        """Note why the last attempt at `partitions` of `table` failed, where no rule of it says so.

        Without a table it is the release that failed; that does not forbid to try again.
        """
        state = "unread" if isinstance(error, SourceError) else "refused" if _is_refusal(error) else "failed"
        with writing(self._engine) as con:
            refreshes.mark_attempts(con, refresh, table, partitions, state=state, message=str(error))

    def open_attempts(self, refresh: Refresh) -> tuple[Attempt, ...]:
        """Return what forbids a release of `refresh`: attempts that were refused or did not end."""
        t = s.attempt.c
        mine = (t.refresh_id == refresh.id, t.product == refresh.product, t.table_name != "")
        with reading(self._engine) as con:
            found = con.execute(select(s.attempt).where(*mine).order_by(t.table_name, t.partition_key)).all()
        return tuple(rows.Attempt(r.table_name, r.partition_key or None, r.state, r.message) for r in found)

    def record_candidates(
        self, refresh: Refresh, versions: Sequence[Version], consumed: Sequence[Consumed] = ()
    ) -> None:
        """Add `versions` as candidates, in place of older ones of the same refresh, table and partition.

        `consumed` are the files of sources that they were made from: of a table without partitions, in place of
        those noted before. Nothing counts as consumed until it is published.
        """
        with writing(self._engine) as con:
            refreshes.record_candidates(con, refresh, versions, consumed)

    def candidates(self, refresh: Refresh) -> dict[str, dict[str | None, Version]]:
        """Return the live candidates of `refresh`: table -> partition -> version."""
        t = s.version.c
        found: dict[str, dict[str | None, Version]] = {}
        mine = (t.refresh_id == refresh.id, t.product == refresh.product, t.state == "candidate")
        with reading(self._engine) as con:
            for version in rows.versions(con, *mine):
                found.setdefault(version.table, {})[version.partition] = version
        return found

    def consumed_candidates(self, refresh: Refresh) -> tuple[Consumed, ...]:
        """Return the files that the candidates of `refresh` were made from."""
        t = s.consumed_candidate.c
        mine = (t.refresh_id == refresh.id, t.product == refresh.product)
        order = (t.table_name, t.source, t.path)
        with reading(self._engine) as con:
            return rows.consumed_of(con.execute(select(s.consumed_candidate).where(*mine).order_by(*order)).all())

    # Contracts and verdicts

    def record_contract(
        self, contract_hash: str, product: str, table: str, *, contract_id: str, version: str, text: str
    ) -> None:
        """Keep a contract under its hash, so that releases can pin it; one that is there stays as it is."""
        t = s.contract.c
        same = (t.hash == contract_hash, t.product == product, t.table_name == table)
        row = {"hash": contract_hash, "product": product, "table_name": table, "contract_id": contract_id}
        with writing(self._engine) as con:
            if con.execute(select(t.hash).where(*same)).first() is None:
                con.execute(insert(s.contract), {**row, "contract_version": version, "text": text})

    def record_results(self, results: Sequence[StoredResult]) -> None:
        """Keep `results`; those of the same key and refresh are replaced, all others stay as history."""
        with writing(self._engine) as con:
            refreshes.record_results(con, results)

    def passed(self, keys: Iterable[str]) -> dict[str, bool]:
        """Return, for those of `keys` that were ever judged, whether the result recorded last passed."""
        with reading(self._engine) as con:
            return {key: passed for key, (passed, *_) in rows.outcomes(con, keys).items()}

    def results(self, keys: Iterable[str]) -> dict[str, StoredResult]:
        """Return, for those of `keys` that were ever judged, the result recorded last."""
        with reading(self._engine) as con:
            return rows.results_by_key(con, keys)

    def verdict(self, release: Release) -> tuple[StoredResult, ...]:
        """Return the results that the refresh of `release` recorded, by table, partition and rule."""
        t = s.result.c
        mine = (t.product == release.product, t.refresh_id == release.refresh_id)
        order = (t.table_name, t.partition_key, t.rule)
        with reading(self._engine) as con:
            return tuple(map(rows.result_of, con.execute(select(s.result).where(*mine).order_by(*order))))

    def history(self, product: str, table: str, rule: str, *, limit: int = 100) -> tuple[StoredResult, ...]:
        """Return the last `limit` results of one rule, newest first."""
        t = s.result.c
        mine = (t.product == product, t.table_name == table, t.rule == rule)
        with reading(self._engine) as con:
            found = con.execute(select(s.result).where(*mine).order_by(t.id.desc()).limit(limit))
            return tuple(map(rows.result_of, found))

    # Releases

    def products(self) -> tuple[str, ...]:
        """Return the addresses of all products that have a release."""
        with reading(self._engine) as con:
            return tuple(con.execute(select(s.head.c.product).order_by(s.head.c.product)).scalars())

    def head(self, product: str) -> Release | None:
        """Return the published release of `product`, if it has one."""
        t = s.release.c
        at_head = select(s.head.c.number).where(s.head.c.product == product).scalar_subquery()
        with reading(self._engine) as con:
            return next(iter(rows.releases(con, t.product == product, t.number == at_head)), None)

    def release(self, product: str, number: int) -> Release:
        """Return one release of `product`. Raises: UnknownNameError, if there is no such release."""
        t = s.release.c
        with reading(self._engine) as con:
            found = rows.releases(con, t.product == product, t.number == number)
            known = () if found else con.execute(select(t.number).where(t.product == product)).scalars().all()
        if not found:
            raise UnknownNameError(f"release of {product}", str(number), (str(other) for other in known))
        return found[0]

    def releases(self, product: str, *, limit: int | None = 20) -> tuple[Release, ...]:
        """Return the last `limit` releases of `product`, newest first; all of them if `limit` is None."""
        with reading(self._engine) as con:
            return tuple(rows.releases(con, s.release.c.product == product, limit=limit))

    def retained(self, product: str) -> frozenset[int]:
        """Return the numbers of the releases of `product` whose files are all kept."""
        t = s.release.c
        with reading(self._engine) as con:
            return frozenset(con.execute(select(t.number).where(t.product == product, t.retained)).scalars())

    def notes(self, product: str) -> dict[int, str]:
        """Return what was noted at the releases of `product`, such as the reason of a rollback."""
        t = s.release.c
        with reading(self._engine) as con:
            found = con.execute(select(t.number, t.note).where(t.product == product, t.note != ""))
            return {row.number: row.note for row in found}

    def find_release(self, key: str) -> Release | None:
        """Return the release that the draft with this idempotency key became, if it did."""
        with reading(self._engine) as con:
            return commit.find_release(con, key)

    def commit_release(
        self,
        draft: Draft,
        *,
        key: str,
        note: str = "",
        now: datetime | None = None,
        guard: Callable[[], None] = lambda: None,
    ) -> Release:
        """Publish `draft`, whose files were checked, in one transaction; use `publish.publish`, which checks them.

        `guard` is asked within it, and raises what forbids the release from outside of the ledger.

        Raises:
            ConflictError: the head or a contract moved since the refresh began, or a version is gone.
            RefusedError: something is missing, refused, unfinished or not judged.
        """
        with writing(self._engine) as con:
            guard()
            return commit.commit_release(con, draft, key=key, note=note, now=now)

    def check_draft(self, draft: Draft) -> dict[str, Version]:
        """Return the versions of `draft`, by id, if nothing in the ledger forbids its release now.

        Raises:
            ConflictError: as for `commit_release`.
            RefusedError: as for `commit_release`.
        """
        with reading(self._engine) as con:
            return commit.check(con, draft)

    def versions(self, ids: Iterable[str]) -> dict[str, Version]:
        """Return those of `ids` that exist, by id."""
        with reading(self._engine) as con:
            return rows.versions_by_id(con, ids)

    def composition(self, release: Release) -> dict[str, tuple[Version, ...]]:
        """Return the versions that `release` is made of: table -> versions, by partition."""
        found = self.versions(item for ids in release.items.values() for item in ids)
        return {table: tuple(found[item] for item in ids) for table, ids in release.items.items()}

    def contracts(self, release: Release) -> dict[str, ReleasedContract]:
        """Return the contracts that `release` pins, by table."""
        with reading(self._engine) as con:
            return {found.table: found for found in rows.contracts(con, release.product, release.number)}

    def find_contract(self, contract_id: str, *, major: int | None = None) -> ReleasedContract | None:
        """Return the contract with that id as a published release pins it; None if no head does.

        Of several (majors that live side by side), that of `major`, or else the newest.
        """
        with reading(self._engine) as con:
            found = rows.published_contracts(con, contract_id)
        fitting = [entry for entry in found if major in {None, version_numbers(entry.version)[0]}]
        return max(fitting, key=lambda entry: version_numbers(entry.version), default=None)

    def consumed(self, product: str, number: int | None = None) -> tuple[Consumed, ...]:
        """Return all files of sources that a release of `product` rests on; the published one unless told."""
        with reading(self._engine) as con:
            release = rows.head_number(con, product) if number is None else number
            return () if release is None else commit.consumed_by(con, product, release)

    def cursors(self, product: str, number: int | None = None) -> dict[str, str]:
        """Return how far a release of `product` has read each source; the published one unless told."""
        with reading(self._engine) as con:
            release = rows.head_number(con, product) if number is None else number
            return {} if release is None else commit.cursors_of(con, product, release)

    # Retention

    def expire(
        self,
        keep: Retention,
        *,
        now: datetime,
        shown: Iterable[tuple[str, int]] = (),
        dry_run: bool = False,
    ) -> expire.Expired:
        """Mark what `keep` does not hold as expired and return it; with `dry_run`, return it and mark nothing.

        `shown` are releases (product, number) that somebody looks at and that are kept for it.
        """
        with writing(self._engine) as con:
            found = expire.expire(con, keep, as_utc(now), shown)
            if dry_run:
                con.rollback()
            return found

    def mark_removed(self, ids: Sequence[str]) -> None:
        """Note that the files of the expired versions `ids` are gone."""
        with writing(self._engine) as con:
            expire.mark_removed(con, ids)

    def known_paths(self) -> frozenset[str]:
        """Return the paths of all files that some version still holds."""
        with reading(self._engine) as con:
            return frozenset(expire.known_paths(con))

    def began_at(self) -> datetime | None:
        """Return when the first refresh of this ledger began; None if there was none."""
        with reading(self._engine) as con:
            return con.execute(select(func.min(s.refresh.c.started_at))).scalar()

    @contextmanager
    def frozen_paths(self) -> Iterator[frozenset[str]]:
        """Yield the paths that `known_paths` gives; until the block ends, nobody can record another one."""
        with writing(self._engine) as con:
            yield frozenset(expire.known_paths(con))


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, RefusedError | ConflictError)


def _refresh(refresh_id: str, product: str, run_id: str, now: datetime | None) -> Refresh:
    return Refresh(refresh_id, product, None, {}, run_id, now or datetime.now(UTC))
