"""What a refresh leaves in the ledger before anything is published; it must not know how releases are made."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select, update

from dataproducts.database import as_utc
from dataproducts.errors import ConflictError, RefusedError, UnknownNameError, UsageError
from dataproducts.ledger import schema as s
from dataproducts.ledger.rows import chunks, head_number, key_of, refresh_of
from dataproducts.release import Refresh

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection

    from dataproducts.release import Consumed, StoredResult, Version


# What is replaced goes last: SQLite would give its ids again, and who reads by growing ids would miss what is new.
_REPLACED = "#replaced"


def open_refresh(con: Connection, refresh: Refresh, upstream: Sequence[str], *, allow_mixture: bool) -> Refresh:
    """Pin what `refresh` starts from, unless that was done before; return it as stored."""
    stored = refresh_of(con, refresh.id, refresh.product)
    if stored is not None:
        return stored
    pins = _pins(con, refresh.product, upstream, allow_mixture=allow_mixture)
    return _insert(con, refresh, head_number(con, refresh.product), pins)


def open_rollback(con: Connection, refresh: Refresh, to: int) -> Refresh:
    """Start a refresh whose release shall point at what release `to` was made of."""
    where = (s.release.c.product == refresh.product, s.release.c.number == to)
    if con.execute(select(s.release.c.number).where(*where)).first() is None:
        known = con.execute(select(s.release.c.number).where(s.release.c.product == refresh.product)).scalars()
        raise UnknownNameError(f"release of {refresh.product}", str(to), (str(number) for number in known))
    return _insert(con, refresh, head_number(con, refresh.product), _inputs(con, refresh.product, to))


def mark_attempts(
    con: Connection, refresh: Refresh, table: str, partitions: Sequence[str | None], *, state: str, message: str = ""
) -> None:
    """Note how the last attempt at `partitions` of `table` stands; anything noted forbids a release."""
    _clear_attempts(con, refresh, table, [key_of(partition) for partition in partitions])
    identity = {"refresh_id": refresh.id, "product": refresh.product, "table_name": table}
    rows = [
        {**identity, "partition_key": key, "state": state, "message": message}
        for key in dict.fromkeys(key_of(partition) for partition in partitions)
    ]
    if rows:
        con.execute(insert(s.attempt), rows)


def record_candidates(
    con: Connection, refresh: Refresh, versions: Sequence[Version], consumed: Sequence[Consumed]
) -> None:
    """Add `versions`, in place of older candidates of the same refresh, table and partition."""
    strangers = [v.id for v in versions if (v.refresh_id, v.product) != (refresh.id, refresh.product)]
    if strangers:
        raise UsageError(f"versions {strangers} do not belong to refresh {refresh.id} of {refresh.product}.")
    tables: dict[str, list[str]] = {}
    for version in versions:
        tables.setdefault(version.table, []).append(key_of(version.partition))
    for table, keys in tables.items():
        _supersede(con, refresh, table, keys)
        _clear_attempts(con, refresh, table, ["", *keys])
    if versions:
        con.execute(insert(s.version), [_version_row(version) for version in versions])
    files = [row for version in versions for row in _file_rows(version)]
    if files:
        con.execute(insert(s.version_file), files)
    whole = [table for table, keys in tables.items() if "" in keys]
    _record_consumed(con, refresh, consumed, whole)


def record_results(con: Connection, results: Sequence[StoredResult]) -> None:
    """Add `results`; those of the same key and refresh are replaced."""
    last = {(result.key, result.refresh_id): result for result in results}
    by_refresh: dict[str, list[str]] = {}
    for key, refresh_id in last:
        by_refresh.setdefault(refresh_id, []).append(key)
    t, replaced = s.result.c, 0
    for refresh_id, keys in by_refresh.items():
        for chunk in chunks(keys):
            old = update(s.result).where(t.refresh_id == refresh_id, t.result_key.in_(chunk))
            replaced += con.execute(old.values(result_key=t.result_key + _REPLACED)).rowcount
    if last:
        con.execute(insert(s.result), [_result_row(result) for result in last.values()])
    for keys in by_refresh.values() if replaced else ():
        for chunk in chunks(f"{key}{_REPLACED}" for key in keys):
            con.execute(delete(s.result).where(t.result_key.in_(chunk)))


def _insert(con: Connection, refresh: Refresh, base: int | None, pins: Mapping[str, int]) -> Refresh:
    stored = Refresh(
        id=refresh.id,
        product=refresh.product,
        base=base,
        pins=pins,
        run_id=refresh.run_id,
        started_at=as_utc(refresh.started_at),
    )
    con.execute(
        insert(s.refresh),
        {
            "refresh_id": stored.id,
            "product": stored.product,
            "base": stored.base,
            "pins": dict(stored.pins),
            "run_id": stored.run_id,
            "started_at": stored.started_at,
        },
    )
    return stored


def _pins(con: Connection, product: str, upstream: Sequence[str], *, allow_mixture: bool) -> dict[str, int]:
    """Return the heads of `upstream` and the releases that those were made from."""
    claims: dict[str, dict[int, str]] = {}
    heads: dict[str, int] = {}
    for name in sorted(set(upstream)):
        number = head_number(con, name)
        if number is None:
            raise RefusedError(f"{product} reads {name}, which has no release yet. Build {name} first.")
        heads[name] = number
        claims.setdefault(name, {}).setdefault(number, "its published release")
        for further, used in _inputs(con, name, number).items():
            claims.setdefault(further, {}).setdefault(used, f"what {name} release {number} was made from")
    mixed = {name: numbers for name, numbers in claims.items() if len(numbers) > 1}
    if mixed and not allow_mixture:
        raise ConflictError("\n".join(_mixture(product, name, found) for name, found in mixed.items()))
    # What a product reads itself wins over what its inputs were made from.
    return {name: max(numbers) for name, numbers in claims.items()} | heads


def _mixture(product: str, name: str, found: Mapping[int, str]) -> str:
    which = " and ".join(f"release {number} ({why})" for number, why in sorted(found.items()))
    return f"{product} would read a mixture of {name}: {which}. Refresh the products in between first."


def _inputs(con: Connection, product: str, number: int) -> dict[str, int]:
    t = s.release_input.c
    rows = con.execute(select(t.upstream, t.upstream_number).where(t.product == product, t.number == number))
    return {row.upstream: row.upstream_number for row in rows}


def _supersede(con: Connection, refresh: Refresh, table: str, keys: Sequence[str]) -> None:
    t = s.version.c
    for chunk in chunks(keys):
        con.execute(
            update(s.version)
            .where(t.refresh_id == refresh.id, t.product == refresh.product, t.state == "candidate")
            .where(t.table_name == table, t.partition_key.in_(chunk))
            .values(state="superseded")
        )


def _clear_attempts(con: Connection, refresh: Refresh, table: str, keys: Sequence[str]) -> None:
    t = s.attempt.c
    for chunk in chunks(keys):
        con.execute(
            delete(s.attempt)
            .where(t.refresh_id == refresh.id, t.product == refresh.product)
            .where(t.table_name == table, t.partition_key.in_(chunk))
        )


def _record_consumed(con: Connection, refresh: Refresh, consumed: Sequence[Consumed], whole: Sequence[str]) -> None:
    """Note what candidates were made from; for tables made as a `whole`, in place of what was noted before."""
    t = s.consumed_candidate.c
    mine = (t.refresh_id == refresh.id, t.product == refresh.product)
    for table in whole:
        con.execute(delete(s.consumed_candidate).where(*mine, t.table_name == table))
    last = {(entry.table, entry.source, entry.path): entry for entry in consumed}
    for entry in last.values():
        same = (t.table_name == entry.table, t.source == entry.source, t.path == entry.path)
        con.execute(delete(s.consumed_candidate).where(*mine, *same))
    if last:
        identity = {"refresh_id": refresh.id, "product": refresh.product}
        con.execute(insert(s.consumed_candidate), [identity | consumed_row(entry) for entry in last.values()])


def consumed_row(entry: Consumed) -> dict[str, Any]:
    """Return the columns of `entry` as both tables of consumed files have them."""
    row = asdict(entry)
    return {"table_name": row.pop("table"), **row}


def _version_row(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "product": version.product,
        "table_name": version.table,
        "partition_key": key_of(version.partition),
        "state": "candidate",
        "row_count": version.rows,
        "columns": [list(column) for column in version.schema],
        "contract_hash": version.contract_hash,
        "code_version": version.code_version,
        "refresh_id": version.refresh_id,
        "run_id": version.run_id,
        "created_at": version.created_at,
        "valid_thru": version.valid_thru,
        "quarantined": dict(version.quarantined),
        "treated": dict(version.treated),
        "profile": dict(version.profile),
    }


def _file_rows(version: Version) -> list[dict[str, Any]]:
    files = [(False, ref) for ref in version.files] + [(True, ref) for ref in version.quarantine_files]
    return [
        {
            "version_id": version.id,
            "position": position,
            "quarantine": quarantine,
            "path": ref.path,
            "bytes": ref.bytes,
            "sha256": ref.sha256,
            "row_count": ref.rows,
            "columns": {name: [facts.nulls, facts.minimum, facts.maximum] for name, facts in ref.columns.items()},
        }
        for position, (quarantine, ref) in enumerate(files)
    ]


def _result_row(result: StoredResult) -> dict[str, Any]:
    return {
        "result_key": result.key,
        "product": result.product,
        "table_name": result.table,
        "partition_key": result.partition,
        "rule": result.rule,
        "passed": result.passed,
        "blocking": result.blocking,
        "refresh_id": result.refresh_id,
        "run_id": result.run_id,
        "judged_at": result.judged_at,
        "detail": dict(result.detail),
    }
