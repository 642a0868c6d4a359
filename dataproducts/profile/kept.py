"""What the ledger keeps of a table, release by release; it must not read rows or print.

Rows, NULLs, least and greatest values are what the writers of the files told; of a version of a table without
partitions, `rules.measures` has added figures that files do not tell. What a release holds of a partitioned table is
put together from its versions: counts add up, ends are those of all, and of other figures there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dataproducts.profile.column import logical_type
from dataproducts.profile.model import ColumnProfile, plain
from dataproducts.profile.personal import identified_ends, looks_personal
from dataproducts.rules.facts import Facts, facts_of
from dataproducts.rules.measures import figures_of
from dataproducts.rules.predicates import Family, family
from dataproducts.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb

    from dataproducts.ledger import Ledger
    from dataproducts.profile.measure import Masks
    from dataproducts.release import Version

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KeptColumn:
    """One column of one release; None means that it is not kept, or that there is no such value.

    `minimum` and `maximum` are numbers, and text of all else. `masked` says why no value is here.
    """

    name: str
    type: str
    nulls: int | None
    minimum: Any = None
    maximum: Any = None
    distinct: int | None = None
    mean: float | None = None
    stddev: float | None = None
    quantiles: Mapping[str, float] = field(default_factory=lambda: _EMPTY)  # share as text -> value
    masked: str = ""


@dataclass(frozen=True, slots=True)
class KeptRelease:
    """One table in one release; `partitions` is None for a table without, `retained` tells whether files are kept."""

    release: int
    kind: str
    published_at: str
    rows: int
    partitions: int | None
    retained: bool
    columns: tuple[KeptColumn, ...]

    def column(self, name: str) -> KeptColumn | None:
        """Return the column called `name`; None if the release has none."""
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True, slots=True)
class KeptTable:
    """One table in its releases, oldest first."""

    name: str
    releases: tuple[KeptRelease, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of all releases, those of the newest first."""
        return tuple(dict.fromkeys(column.name for release in reversed(self.releases) for column in release.columns))

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, as `docs/json/profile.schema.json` describes a history."""
        told: dict[str, Any] = plain(self)
        return told


def kept_table(
    con: duckdb.DuckDBPyConnection, ledger: Ledger, ref: tuple[str, str], *, name: str, masks: Masks, limit: int
) -> KeptTable:
    """Return what is kept of a table (product, table) in the last `limit` releases of its product that hold it.

    `con` serves to compare values, and should count time in UTC.
    """
    product, table = ref
    found = [release for release in reversed(ledger.releases(product, limit=limit)) if table in release.items]
    versions = ledger.versions(item for release in found for item in release.items[table])
    retained = ledger.retained(product)
    known: dict[tuple[str, ...], tuple[KeptColumn, ...]] = {}
    releases = []
    for release in found:
        ids = release.items[table]
        held = [versions[item] for item in ids]
        if ids not in known:
            known[ids] = _columns(con, held, masks)
        releases.append(
            KeptRelease(
                release=release.number,
                kind=release.kind,
                published_at=release.published_at.isoformat(),
                rows=sum(version.rows for version in held),
                partitions=len(held) if any(version.partition for version in held) else None,
                retained=release.number in retained,
                columns=known[ids],
            )
        )
    return KeptTable(name, tuple(releases))


def _columns(con: duckdb.DuckDBPyConnection, versions: Sequence[Version], masks: Masks) -> tuple[KeptColumn, ...]:
    newest_first = sorted(versions, key=lambda version: version.created_at, reverse=True)
    types: dict[str, str] = {}
    for version in newest_first:
        types = {**dict(version.schema), **types}
    facts = facts_of(versions) or Facts(0)
    ends = _ends(con, facts)
    rows = sum(version.rows for version in versions)
    columns = []
    for name, kind in types.items():
        nulls = facts.nulls(name)
        nulls = _counted_nulls(versions, name) if nulls is None else nulls
        proved = identified_ends(facts.ends(name) or ())
        seen = ColumnProfile(name, kind, logical_type(kind), kind, rows, nulls or 0, personal=proved)
        why = masks.why(replace(seen, personal=looks_personal(seen)))
        least, greatest = (None, None) if why else ends.get(name, (None, None))
        figures = figures_of(versions[0].profile, name) if len(versions) == 1 else {}
        columns.append(
            KeptColumn(
                name,
                kind,
                nulls,
                least,
                greatest,
                figures.get("distinct"),
                masked=why,
                **{} if why else {each: figures[each] for each in ("mean", "stddev", "quantiles") if each in figures},
            )
        )
    return tuple(columns)


def _ends(con: duckdb.DuckDBPyConnection, facts: Facts) -> dict[str, tuple[Any, Any]]:
    """The least and the greatest value of every column of which all files tell them."""
    wanted: dict[str, str] = {}
    for name, kind in facts.types.items():
        if found := facts.ends(name):
            listed = f"CAST({literal(list(found))} AS {kind}[])"
            is_number = family(kind) in (Family.EXACT, Family.FLOAT)
            both = (f"list_{what}({listed})" for what in ("min", "max"))
            wanted[name] = ", ".join(each if is_number else f"CAST({each} AS VARCHAR)" for each in both)
    if not wanted:
        return {}
    ((*row,),) = con.execute(f"SELECT {', '.join(wanted.values())}").fetchall()
    return dict(zip(wanted, zip(row[::2], row[1::2], strict=True), strict=True))


def _counted_nulls(versions: Sequence[Version], name: str) -> int | None:
    """NULLs as the profiles of the versions count them, where facts of files are not, or no longer, kept."""
    found: list[int | None] = [
        version.profile.get("columns", {}).get(name, {}).get("nulls") if name in dict(version.schema) else version.rows
        for version in versions
    ]
    return None if None in found else sum(count for count in found if count is not None)
