"""What judging a rule on a whole table starts from and gives; it must not know how any kind is judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import duckdb

    from dataproducts.product import Table
    from dataproducts.rules.facts import Rows

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Past:
    """One new version of a table, and those that came before it, newest first.

    `label` is its partition, empty for a table without partitions. `profile` is what was measured when it was written,
    and `sql` gives its rows, for what was not. `former` holds the label and the profile of each earlier version.
    """

    label: str
    profile: Mapping[str, Any]
    former: tuple[tuple[str, Mapping[str, Any]], ...]
    sql: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule on a whole table of `total` rows is judged on; `names` holds the SQL of what queries may read."""

    con: duckdb.DuckDBPyConnection
    table: Table
    rows: Rows
    now: datetime
    total: int = 0
    names: Mapping[str, str] = field(default_factory=lambda: _NONE)
    pasts: tuple[Past, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What judging gave: `observed` is what was compared with the threshold, in the rule's unit; None if nothing."""

    passed: bool
    observed: float | None
    message: str
    method: str = "scan"
