"""Reading the ledger's rows as the types of `release.py`; it must not write."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import select

from dataproducts.ledger import schema as s
from dataproducts.release import ColumnFacts, Consumed, FileRef, Refresh, Release, StoredResult, Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import ColumnElement, Connection, Row, Select, Table

_T = TypeVar("_T")
_CHUNK = 500  # of values in one IN: below the parameter limits of both databases


@dataclass(frozen=True, slots=True)
class ReleasedContract:
    """A contract as one release of a product pins it; `text` is the file as it stood."""

    product: str
    release: int
    table: str
    contract_id: str
    version: str
    hash: str
    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt at a table, or at one partition of it, that did not end well.

    `state` is `started`, `refused` (by a rule or a condition of a release), `unread` (a source) or `failed`.
    """

    table: str
    partition: str | None
    state: str
    message: str


def chunks(values: Iterable[_T]) -> Iterator[list[_T]]:
    """Yield `values` in lists that are short enough for one IN."""
    every = list(values)
    for start in range(0, len(every), _CHUNK):
        yield every[start : start + _CHUNK]


def key_of(partition: str | None) -> str:
    """Return what stands for `partition` in keys, where the databases admit no NULL."""
    return partition or ""


def refresh_of(con: Connection, refresh_id: str, product: str) -> Refresh | None:
    """Return the refresh of `product` with that id, if it was opened."""
    where = (s.refresh.c.refresh_id == refresh_id, s.refresh.c.product == product)
    row = con.execute(select(s.refresh).where(*where)).one_or_none()
    if row is None:
        return None
    return Refresh(
        id=row.refresh_id,
        product=row.product,
        base=row.base,
        pins=MappingProxyType(dict(row.pins)),
        run_id=row.run_id,
        started_at=row.started_at,
    )


def versions(con: Connection, *where: ColumnElement[bool], facts: bool = True) -> list[Version]:
    """Return the versions that satisfy `where`, with their files, by table and partition.

    Without `facts`, the files come without what is known of their columns, which takes longest to read.
    """
    found = con.execute(
        select(s.version).where(*where).order_by(s.version.c.table_name, s.version.c.partition_key, s.version.c.id)
    ).all()
    files: dict[str, list[Row[Any]]] = {}
    for ids in chunks(row.id for row in found):
        of_these = s.version_file.c.version_id.in_(ids)
        order = (s.version_file.c.version_id, s.version_file.c.position)
        wanted = [c for c in s.version_file.c if facts or c is not s.version_file.c.columns]
        rows = con.execute(select(*wanted).where(of_these).order_by(*order)).all()
        files.update((key, list(group)) for key, group in groupby(rows, key=lambda row: str(row.version_id)))
    return [_version(row, files.get(row.id, [])) for row in found]


def versions_by_id(con: Connection, ids: Iterable[str], *, facts: bool = True) -> dict[str, Version]:
    """Return those of `ids` that exist, by id; `facts` as in `versions`."""
    found = (v for chunk in chunks(set(ids)) for v in versions(con, s.version.c.id.in_(chunk), facts=facts))
    return {version.id: version for version in found}


def states_by_id(con: Connection, ids: Iterable[str]) -> dict[str, str]:
    """Return the states of those of `ids` that exist."""
    return {
        row.id: row.state
        for chunk in chunks(set(ids))
        for row in con.execute(select(s.version.c.id, s.version.c.state).where(s.version.c.id.in_(chunk)))
    }


def outcomes(con: Connection, keys: Iterable[str]) -> dict[str, tuple[bool, str, str]]:
    """Return, for those of `keys` that were judged, whether it passed last, the product, and what to call it."""
    r, found = s.result.c, {}
    columns = (r.result_key, r.passed, r.product, r.table_name, r.partition_key, r.rule)
    for chunk in chunks(set(keys)):
        for row in con.execute(select(*columns).where(r.result_key.in_(chunk)).order_by(r.id)):
            place = f"{row.table_name}{f' {row.partition_key}' if row.partition_key else ''} {row.rule}"
            found[row.result_key] = (row.passed, row.product, place)
    return found


def results_by_key(con: Connection, keys: Iterable[str]) -> dict[str, StoredResult]:
    """Return, for those of `keys` that were ever judged, the result recorded last."""
    found: dict[str, StoredResult] = {}
    for chunk in chunks(set(keys)):
        query = select(s.result).where(s.result.c.result_key.in_(chunk)).order_by(s.result.c.id)
        found.update((row.result_key, result_of(row)) for row in con.execute(query))
    return found


def head_number(con: Connection, product: str) -> int | None:
    """Return the number of the published release of `product`, if it has one."""
    return con.execute(select(s.head.c.number).where(s.head.c.product == product)).scalar_one_or_none()


def releases(con: Connection, *where: ColumnElement[bool], limit: int | None = None) -> list[Release]:
    """Return the releases of one product that satisfy `where`, newest first."""
    rows = con.execute(select(s.release).where(*where).order_by(s.release.c.number.desc()).limit(limit)).all()
    if not rows:
        return []
    product, numbers = rows[0].product, [row.number for row in rows]
    items = _items(con, product, numbers)
    contracts = _pairs(con, s.release_contract, product, numbers, ("table_name", "hash"))
    inputs = _pairs(con, s.release_input, product, numbers, ("upstream", "upstream_number"))
    return [
        Release(
            product=row.product,
            number=row.number,
            kind=row.kind,
            base=row.base,
            refresh_id=row.refresh_id,
            run_id=row.run_id,
            published_at=row.published_at,
            items=items.get(row.number, {}),
            contracts=contracts.get(row.number, {}),
            inputs=inputs.get(row.number, {}),
            git_sha=row.git_sha,
        )
        for row in rows
    ]


def contracts(con: Connection, product: str, number: int) -> list[ReleasedContract]:
    """Return the contracts that one release pins, by table."""
    pin = s.release_contract.c
    query = _pinned().where(pin.product == product, pin.number == number)
    return [_contract(row) for row in con.execute(query)]


def published_contracts(con: Connection, contract_id: str) -> list[ReleasedContract]:
    """Return the contracts with that id that published releases pin, at most one a product."""
    pin = s.release_contract.c
    at_head = (s.head.c.product == pin.product) & (s.head.c.number == pin.number)
    query = _pinned().join(s.head, at_head).where(s.contract.c.contract_id == contract_id)
    return [_contract(row) for row in con.execute(query)]


def consumed_of(rows: Iterable[Row[Any]]) -> tuple[Consumed, ...]:
    """Return rows of `consumed` or `consumed_candidate` as values."""
    return tuple(Consumed(row.table_name, row.source, row.path, row.bytes, row.sha256) for row in rows)


def result_of(row: Row[Any]) -> StoredResult:
    """Return a row of `result` as a value."""
    return StoredResult(
        key=row.result_key,
        product=row.product,
        table=row.table_name,
        partition=row.partition_key,
        rule=row.rule,
        passed=row.passed,
        blocking=row.blocking,
        refresh_id=row.refresh_id,
        run_id=row.run_id,
        judged_at=row.judged_at,
        detail=MappingProxyType(dict(row.detail)),
    )


def _version(row: Row[Any], files: Sequence[Row[Any]]) -> Version:
    refs = [(file.quarantine, _file(file)) for file in files]
    return Version(
        id=row.id,
        product=row.product,
        table=row.table_name,
        partition=row.partition_key or None,
        files=tuple(ref for quarantine, ref in refs if not quarantine),
        rows=row.row_count,
        schema=tuple((name, kind) for name, kind in row.columns),
        contract_hash=row.contract_hash,
        code_version=row.code_version,
        refresh_id=row.refresh_id,
        run_id=row.run_id,
        created_at=row.created_at,
        valid_thru=row.valid_thru,
        quarantine_files=tuple(ref for quarantine, ref in refs if quarantine),
        quarantined=MappingProxyType(dict(row.quarantined)),
        treated=MappingProxyType(dict(row.treated or {})),
        profile=MappingProxyType(dict(row.profile or {})),
    )


def _file(row: Row[Any]) -> FileRef:
    columns = {name: ColumnFacts(*facts) for name, facts in (getattr(row, "columns", None) or {}).items()}
    return FileRef(row.path, row.bytes, row.sha256, row.row_count, MappingProxyType(columns))


def _pinned() -> Select[Any]:
    c, pin = s.contract.c, s.release_contract.c
    same = (c.hash == pin.hash) & (c.product == pin.product) & (c.table_name == pin.table_name)
    return select(pin.number, s.contract).join_from(s.release_contract, s.contract, same).order_by(c.table_name)


def _contract(row: Row[Any]) -> ReleasedContract:
    return ReleasedContract(
        product=row.product,
        release=row.number,
        table=row.table_name,
        contract_id=row.contract_id,
        version=row.contract_version,
        hash=row.hash,
        text=row.text,
    )


def _items(con: Connection, product: str, numbers: Sequence[int]) -> dict[int, Mapping[str, tuple[str, ...]]]:
    t = s.release_item.c
    found: dict[int, dict[str, tuple[str, ...]]] = {}
    for chunk in chunks(numbers):
        rows = con.execute(
            select(t.number, t.table_name, t.version_id)
            .where(t.product == product, t.number.in_(chunk))
            .order_by(t.number, t.table_name, t.partition_key)
        )
        for (number, table), group in groupby(rows, key=lambda row: (row.number, row.table_name)):
            found.setdefault(number, {})[table] = tuple(row.version_id for row in group)
    return {number: MappingProxyType(items) for number, items in found.items()}


def _pairs(
    con: Connection, table: Table, product: str, numbers: Sequence[int], columns: tuple[str, str]
) -> dict[int, Mapping[str, Any]]:
    name, value = (table.c[column] for column in columns)
    found: dict[int, dict[str, Any]] = {}
    for chunk in chunks(numbers):
        where = (table.c.product == product, table.c.number.in_(chunk))
        for row in con.execute(select(table.c.number, name, value).where(*where).order_by(name)):
            found.setdefault(row[0], {})[row[1]] = row[2]
    return {number: MappingProxyType(pairs) for number, pairs in found.items()}
