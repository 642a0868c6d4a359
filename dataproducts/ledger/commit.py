"""The one transaction that makes a draft a release; it must not look at files, which were checked before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, update

from dataproducts.errors import ConflictError, RefusedError, few
from dataproducts.ledger import schema as s
from dataproducts.ledger.refreshes import consumed_row
from dataproducts.ledger.rows import (
    chunks,
    consumed_of,
    head_number,
    key_of,
    outcomes,
    refresh_of,
    releases,
    states_by_id,
    versions_by_id,
)
from dataproducts.release import ROLLBACK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from dataproducts.release import Consumed, Draft, Release, Version


def find_release(con: Connection, key: str) -> Release | None:
    """Return the release that the draft with the idempotency key `key` became, if it did."""
    return next(iter(releases(con, s.release.c.draft_key == key)), None)


def commit_release(con: Connection, draft: Draft, *, key: str, note: str = "", now: datetime | None = None) -> Release:
    """Publish `draft` within the open write transaction; the same draft again gives the same release.

    `now` is what it is dated with; the real time unless told.

    Raises:
        ConflictError: the head or a contract moved since the refresh began, or a version is gone.
        RefusedError: something is missing, refused, unfinished or not judged.
    """
    done = find_release(con, key)
    if done is not None:
        return done
    versions = check(con, draft)
    number = (draft.refresh.base or 0) + 1
    row = {"number": number, "draft_key": key, "note": note, "published_at": now or datetime.now(UTC)}
    _insert_release(con, draft, row)
    _insert_items(con, draft, number, versions)
    _insert_sources(con, draft, number)
    _move_head(con, draft, number)
    fresh = [version.id for version in versions.values() if version.refresh_id == draft.refresh.id]
    for chunk in chunks(fresh):
        con.execute(update(s.version).where(s.version.c.id.in_(chunk)).values(state="released"))
    (release,) = releases(con, s.release.c.product == draft.refresh.product, s.release.c.number == number)
    return release


def check(con: Connection, draft: Draft) -> dict[str, Version]:
    """Return the versions of `draft`, by id, if nothing forbids its release.

    Raises:
        ConflictError: as for `commit_release`.
        RefusedError: as for `commit_release`.
    """
    product = draft.refresh.product
    if refresh_of(con, draft.refresh.id, product) != draft.refresh:
        raise RefusedError(f"{product}: refresh {draft.refresh.id} is not in the ledger as it is given. Open it first.")
    head = head_number(con, product)
    if head != draft.refresh.base:
        raise ConflictError(
            f"{product}: release {head} was published while refresh {draft.refresh.id} worked from "
            f"{draft.refresh.base or 'nothing'}. Nothing was published; run it again."
        )
    versions = versions_by_id(con, (item for ids in draft.items.values() for item in ids), facts=False)
    _check_items(draft, versions)
    _check_states(con, draft, versions)
    _check_contracts(con, draft, versions)
    _check_attempts(con, draft)
    _check_results(con, draft)
    return versions


def _check_items(draft: Draft, versions: Mapping[str, Version]) -> None:
    """Refuse unless each table has one version, or one a partition, and all of them its own."""
    product = draft.refresh.product
    if set(draft.items) != set(draft.contracts) or not draft.items:
        odd = set(draft.items) ^ set(draft.contracts)
        raise RefusedError(f"{product}: a release needs each table with its contract; these lack one: {few(odd)}.")
    for table, ids in draft.items.items():
        lost = [item for item in ids if item not in versions]
        if lost or not ids:
            raise RefusedError(f"{product}.{table}: no such version: {few(lost) or 'none given'}. Build the table.")
        found = [versions[item] for item in ids]
        alien = [v.id for v in found if (v.product, v.table) != (product, table)]
        if alien:
            raise RefusedError(f"{product}.{table}: versions of another table: {few(alien)}.")
        keys = [key_of(version.partition) for version in found]
        if len(set(keys)) < len(keys) or ("" in keys and len(keys) > 1):
            twice = {key or "the whole table" for key in keys if keys.count(key) > 1 or not key}
            raise RefusedError(f"{product}.{table}: more than one version for {few(twice)}.")


def _check_states(con: Connection, draft: Draft, versions: Mapping[str, Version]) -> None:
    """Refuse unless each version is a live candidate of this refresh or published before."""
    product, rollback = draft.refresh.product, draft.kind == ROLLBACK
    states = states_by_id(con, versions)
    t = s.release_item.c
    base = select(t.version_id).where(t.product == product, t.number == draft.refresh.base)
    carried = set(con.execute(base).scalars())
    gone = [item for item, state in states.items() if state in {"expired", "removed", "superseded"}]
    if gone:
        raise ConflictError(f"{product}: versions were superseded or expired meanwhile: {few(gone)}. Run it again.")
    fresh = {i for i, v in versions.items() if states[i] == "candidate" and v.refresh_id == draft.refresh.id}
    alien = [i for i in versions if i not in fresh and i not in carried and not (rollback and states[i] == "released")]
    if alien:
        raise RefusedError(
            f"{product}: neither candidates of refresh {draft.refresh.id} nor part of release {draft.refresh.base}: "
            f"{few(alien)}. Only what this refresh judged, or a release before it, can be published."
        )
    if not fresh and not rollback:
        raise RefusedError(
            f"{product}: refresh {draft.refresh.id} has no candidate, so there is nothing new to publish. "
            "Build at least one table in the same run as the release."
        )


def _check_contracts(con: Connection, draft: Draft, versions: Mapping[str, Version]) -> None:
    """Refuse unless every pinned contract is stored and is the one that the candidates were judged by."""
    product, t = draft.refresh.product, s.contract.c
    rows = con.execute(select(t.table_name, t.hash).where(t.product == product))
    stored = {(row.table_name, row.hash) for row in rows}
    lost = [table for table, contract_hash in draft.contracts.items() if (table, contract_hash) not in stored]
    if lost:
        raise RefusedError(f"{product}: the ledger does not hold the contracts of {few(lost)}. Record them first.")
    moved = {
        version.table
        for version in versions.values()
        if version.refresh_id == draft.refresh.id and version.contract_hash != draft.contracts[version.table]
    }
    if moved:
        raise ConflictError(f"{product}: the contract changed after {few(moved)} was built. Run the refresh again.")


def _check_attempts(con: Connection, draft: Draft) -> None:
    t = s.attempt.c
    # What is noted of no table is why an earlier try to release failed: this one is a try of its own.
    mine = (t.refresh_id == draft.refresh.id, t.product == draft.refresh.product, t.table_name != "")
    rows = con.execute(select(s.attempt).where(*mine).order_by(t.table_name, t.partition_key)).all()
    if rows:
        named = (
            f"{row.table_name}{f' {row.partition_key}' if row.partition_key else ''} was "
            f"{'refused' if row.state == 'refused' else 'begun and not finished'}"
            f"{f' ({row.message})' if row.message else ''}"
            for row in rows
        )
        raise RefusedError(f"{draft.refresh.product}: {few(named)}. The last release stays; repair and run again.")


def _check_results(con: Connection, draft: Draft) -> None:
    """Refuse unless every required result is there and passed: a rule without a result counts as failed."""
    product = draft.refresh.product
    found = outcomes(con, draft.required)
    failed = [f"{place} failed" for passed, owner, place in found.values() if not passed or owner != product]
    missing = len(draft.required - found.keys())
    if failed or missing:
        without = f"{missing} blocking rules have no result" if missing else ""
        said = "; ".join(text for text in (few(failed), without) if text)
        raise RefusedError(f"{product}: not every blocking rule passed: {said}. The last release stays live.")


def _insert_release(con: Connection, draft: Draft, row: Mapping[str, Any]) -> None:
    refresh = draft.refresh
    con.execute(
        insert(s.release),
        {
            **row,
            "product": refresh.product,
            "kind": draft.kind,
            "base": refresh.base,
            "refresh_id": refresh.id,
            "run_id": refresh.run_id,
            "git_sha": draft.git_sha,
            "retained": True,
        },
    )


def _insert_items(con: Connection, draft: Draft, number: int, versions: Mapping[str, Version]) -> None:
    identity = {"product": draft.refresh.product, "number": number}
    items = [
        {**identity, "table_name": v.table, "partition_key": key_of(v.partition), "version_id": v.id}
        for v in versions.values()
    ]
    contracts = [{**identity, "table_name": table, "hash": value} for table, value in draft.contracts.items()]
    inputs = [{**identity, "upstream": name, "upstream_number": pin} for name, pin in draft.refresh.pins.items()]
    for table, rows in ((s.release_item, items), (s.release_contract, contracts), (s.release_input, inputs)):
        if rows:
            con.execute(insert(table), rows)


def _insert_sources(con: Connection, draft: Draft, number: int) -> None:
    """Commit which files were consumed and how far each source was read, carrying over what did not change."""
    product, base = draft.refresh.product, draft.refresh.base
    identity: dict[str, Any] = {"product": product, "number": number}
    entries = {(entry.table, entry.source, entry.path): entry for entry in _carried_files(con, draft)}
    entries |= {(entry.table, entry.source, entry.path): entry for entry in draft.consumed}
    cursors = {} if draft.kind == ROLLBACK or base is None else cursors_of(con, product, base)
    cursors |= draft.cursors
    files = [identity | consumed_row(entry) for entry in entries.values()]
    marks = [{**identity, "source": source, "value": value} for source, value in cursors.items()]
    for table, rows in ((s.consumed, files), (s.cursor, marks)):
        if rows:
            con.execute(insert(table), rows)


def _carried_files(con: Connection, draft: Draft) -> Iterable[Consumed]:
    """Return the base's consumed files of those tables that were not made anew as a whole."""
    product, base = draft.refresh.product, draft.refresh.base
    if draft.kind == ROLLBACK or base is None:
        return ()
    t = s.release_item.c
    rows = con.execute(
        select(t.table_name, t.partition_key, t.version_id).where(t.product == product, t.number == base)
    )
    kept = {table: frozenset(ids) for table, ids in draft.items.items()}
    carried = {
        row.table_name
        for row in rows
        if row.table_name in kept and (row.partition_key or row.version_id in kept[row.table_name])
    }
    return [entry for entry in consumed_by(con, product, base) if entry.table in carried]


def consumed_by(con: Connection, product: str, number: int) -> tuple[Consumed, ...]:
    """Return the files of sources that release `number` of `product` was made from."""
    t = s.consumed.c
    order = (t.table_name, t.source, t.path)
    query = select(s.consumed).where(t.product == product, t.number == number).order_by(*order)
    return consumed_of(con.execute(query).all())


def cursors_of(con: Connection, product: str, number: int) -> dict[str, str]:
    """Return how far release `number` of `product` has read each source that keeps a cursor."""
    t = s.cursor.c
    rows = con.execute(select(t.source, t.value).where(t.product == product, t.number == number))
    return {row.source: row.value for row in rows}


def _move_head(con: Connection, draft: Draft, number: int) -> None:
    product, base = draft.refresh.product, draft.refresh.base
    if base is None:
        con.execute(insert(s.head), {"product": product, "number": number})
        return
    move = update(s.head).where(s.head.c.product == product, s.head.c.number == base).values(number=number)
    if con.execute(move).rowcount != 1:
        raise ConflictError(f"{product}: another refresh published after release {base}. Run it again.")
