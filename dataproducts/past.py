"""The earlier versions that rules on drift compare new ones with; it must not compare.

Of a partitioned table these are the versions of earlier partitions, as they stand beside the new ones. Of any other
they are the versions of earlier releases, back from the release that its refresh began with: so what a version is
compared with never changes. A version that several releases hold counts once, and releases that were rolled back count
not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import UnknownNameError
from dataproducts.history import columns_together, rows_of
from dataproducts.product import TableRef
from dataproducts.release import ROLLBACK
from dataproducts.rules.drift import RELEASES
from dataproducts.rules.finding import Past
from dataproducts.rules.measures import COMPARING_KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dataproducts.ledger import Ledger
    from dataproducts.product import Rule, Table
    from dataproducts.release import Release, Version
    from dataproducts.scene import Scene
    from dataproducts.warehouse import Warehouse

_LOOKED_AT = 10
"""How many releases are looked at for each version that is wanted: most may hold the table unchanged."""


def pasts(warehouse: Warehouse, scene: Scene, table: Table, rules: Iterable[Rule]) -> tuple[Past, ...]:
    """Return the new versions of `table`, each with those before it; none, if no rule of `rules` compares any."""
    wanted = [int(rule.params.get("releases", RELEASES)) for rule in rules if rule.kind in COMPARING_KINDS]
    versions = scene.of(TableRef(scene.product.address, table.name)) if wanted else ()
    if not versions:
        return ()
    # Those of the refresh that wrote last: it follows from the versions alone, so that a result's key need not say it.
    newest = max(versions, key=lambda version: version.created_at).refresh_id
    fresh = [version for version in versions if version.refresh_id == newest]
    if table.partitioning:
        return tuple(_past(warehouse, version, _earlier(versions, version)) for version in fresh)
    return tuple(_past(warehouse, version, _released(warehouse.ledger, version, max(wanted))) for version in fresh)


def _past(warehouse: Warehouse, version: Version, former: Iterable[tuple[str, Version]]) -> Past:
    sql = rows_of(warehouse, [version], columns_together([version])).sql
    return Past(version.partition or "", version.profile, tuple((name, old.profile) for name, old in former), sql)


def _earlier(versions: Sequence[Version], version: Version) -> list[tuple[str, Version]]:
    """Versions of the partitions before that of `version`, newest first."""
    before = [old for old in versions if (old.partition or "") < (version.partition or "")]
    return [(old.partition or "", old) for old in sorted(before, key=lambda old: old.partition or "", reverse=True)]


def _released(ledger: Ledger, version: Version, wanted: int) -> list[tuple[str, Version]]:
    """Versions of the table in the releases before that of `version`, newest first, each with its release."""
    refresh = ledger.find_refresh(version.refresh_id, version.product)
    found: dict[str, str] = {}
    for release in _standing(ledger, version.product, refresh.base if refresh else None, wanted * _LOOKED_AT):
        for item in release.items.get(version.table, ()):
            if item != version.id:
                found[item] = f"release {release.number}"  # the first that held it
        if len(found) > wanted:
            break
    known = ledger.versions(found)
    return [(label, known[item]) for item, label in found.items() if item in known][:wanted]


def _standing(ledger: Ledger, product: str, last: int | None, most: int) -> Iterator[Release]:
    """Releases from `last` backwards, at most so many, without those that a rollback undid."""
    number, undone = last or 0, None
    for _ in range(most):
        if number < 1:
            return
        try:
            release = ledger.release(product, number)
        except UnknownNameError:
            return
        number -= 1
        if undone is not None and release.items != undone:
            continue
        undone = release.items if release.kind == ROLLBACK else None
        yield release
