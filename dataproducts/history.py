"""What the last release settled, so that a day's load need not read the days before; it must not judge.

A rule on the whole table that rejected nothing in the last release rejects nothing among the rows that are kept: keys
that did not repeat do not repeat in fewer rows, and a foreign key still points at a row for as long as its target only
grew.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dataproducts.gate import History
from dataproducts.product import RuleKind, TableRef
from dataproducts.rules.facts import Rows, facts_of
from dataproducts.rules.predicates import DUPLICATE_KINDS, PARTITION
from dataproducts.rules.unique import overlapping
from dataproducts.trial import database

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dataproducts.product import Rule, Table
    from dataproducts.release import Version
    from dataproducts.rules.count import Joined
    from dataproducts.scene import Scene
    from dataproducts.store import Schema
    from dataproducts.warehouse import Warehouse

SETTLED_KINDS = DUPLICATE_KINDS | {RuleKind.FOREIGN_KEY, RuleKind.FUNCTIONAL_DEPENDENCY}
"""Kinds on the whole table that need the new rows, and those of the kept files that may concern them."""

_Reads = dict[TableRef, tuple["Version", ...]]


def rows_of(warehouse: Warehouse, versions: Sequence[Version], schema: Schema, *, believe: bool = True) -> Rows:
    """Return the rows of `versions`; without `believe`, nothing counts as known that is not read."""
    files = [(version, file) for version in versions for file in version.files]
    shapes = {file.path: version.schema for version, file in files}

    def some(places: Sequence[int]) -> str:
        return warehouse.store.relation([files[at][1] for at in places], schema, file_schemas=shapes)

    sql = warehouse.store.version_relation(versions, schema)
    return Rows(sql, facts_of(versions) if believe else None, some)


def joined_rows(warehouse: Warehouse, versions: Sequence[Version], schema: Schema) -> Joined | None:
    """Return what gives the rows of several partitions at once; None where file names do not tell the partition."""
    files = {version.partition: version.files for version in versions if version.partition}
    if any(PurePosixPath(file.path).stem != part for part, found in files.items() for file in found):
        return None
    shapes = {file.path: version.schema for version in versions for file in version.files}

    def joined(parts: Sequence[str]) -> str:
        found = [file for part in parts for file in files[part]]
        return warehouse.store.relation(found, schema, file_schemas=shapes, file_name=PARTITION)

    return joined


def settled(
    warehouse: Warehouse,
    scene: Scene,
    table: Table,
    rules: Sequence[Rule],
    *,
    key: Callable[[Rule, Mapping[TableRef, Sequence[Version]]], str],
) -> History | None:
    """Return what the base of `scene` settled of `rules` for `table`; None, if it settled nothing.

    `key` gives the key of a rule's result by everything that the rule read.
    """
    base, own = scene.base, TableRef(scene.product.address, table.name)
    kept, fresh = scene.carried(table.name), scene.made(table.name)
    if base is None or not kept or base.contracts.get(table.name) != table.contract_hash:
        return None
    keys: dict[str, str] = {}
    for rule in rules:
        before = _read_before(warehouse, scene, own, rule) if rule.kind in SETTLED_KINDS else None
        if before is not None:
            keys[rule.name] = key(rule, before)
    results = warehouse.ledger.results(keys.values())
    clean = {
        name
        for name, digest in keys.items()
        if digest in results and results[digest].detail.get("failed_rows") == 0 and not results[digest].detail["error"]
    }
    if not clean:
        return None
    schema = columns_together(scene.table(table.name))
    return History(rows_of(warehouse, fresh, schema), rows_of(warehouse, kept, schema), frozenset(clean))


def _read_before(warehouse: Warehouse, scene: Scene, own: TableRef, rule: Rule) -> _Reads | None:
    """What `rule` read for the base; None if rows that it pointed at may be gone since."""
    if scene.base is None:
        return None
    composed = warehouse.composition(scene.base)
    reads: _Reads = {own: composed.get(own.table, ())}
    target = rule.params.get("to")
    if rule.kind is RuleKind.FOREIGN_KEY and isinstance(target, TableRef):
        then = composed.get(target.table, ())
        if target.product != own.product:
            number = scene.base.inputs.get(target.product)
            pinned = warehouse.ledger.release(target.product, number) if number else None
            then = warehouse.composition(pinned).get(target.table, ()) if pinned else ()
        now = {version.id for version in scene.of(target)}
        if not all(version.id in now for version in then):
            return None
        reads[target] = then
    return reads


def columns_together(versions: Sequence[Version]) -> Schema:
    """Return every column that a file of `versions` has, with the type that it has there: no more, lest a lack hide."""
    newest_first = sorted(versions, key=lambda version: version.created_at, reverse=True)
    return tuple(dict.fromkeys(pair for schema in dict.fromkeys(v.schema for v in newest_first) for pair in schema))


_WHOLE_KINDS = {RuleKind.SQL, RuleKind.CUSTOM, RuleKind.RECONCILIATION}
_KEY_KINDS = DUPLICATE_KINDS | {RuleKind.FUNCTIONAL_DEPENDENCY}


def history_read(rule: Rule, versions: Sequence[Version]) -> str:
    """Return what `rule` reads of the history for one partition more; empty if it reads none of it.

    For a key, the newest of `versions` shows what the next one will be like: whether its keys lie among older ones.
    """
    if rule.kind in _WHOLE_KINDS:
        return "reads every partition"
    if rule.kind not in _KEY_KINDS or len(versions) < 2:  # noqa: PLR2004 - a newest and an older one
        return ""
    newest, older = facts_of(versions[-1:]), facts_of(versions[:-1])
    if newest is None or older is None:
        return "reads every partition, until all were written by this version of the library"
    columns = rule.params.get("determinant") or rule.columns
    with database().cursor() as con:
        near = overlapping(con, (newest, columns), (older, columns))
    if not near:
        return ""
    return f"reads {len(near)} of {len(older.files)} older partitions, which may hold keys of a new one"
