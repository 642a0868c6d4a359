"""What a branch of the schema is, and the types that its columns share; it must not know any table."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy import DateTime, TypeDecorator

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Dialect, MetaData


@dataclass(frozen=True, slots=True)
class Branch:
    """Tables that are migrated together, apart from those of other branches that may lie in the same database.

    `name` is what messages call it. `revisions` are all there were, oldest first: the last is what this version of the
    library works with. `scripts` is the folder of Alembic's environment. `lock` is the number of the advisory lock
    that PostgreSQL's writers take in turn. `absent` is what to do where there is none yet.
    """

    name: str
    metadata: MetaData
    revisions: tuple[str, ...]
    scripts: Path
    lock: int
    absent: str

    @property
    def version_table(self) -> str:
        """The table that holds the revision."""
        return f"{self.name.split()[0]}_revision"

    @property
    def newest(self) -> str:
        """The revision that this version of the library works with."""
        return self.revisions[-1]


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, kept in UTC on every database; one without a zone is taken as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the database stores for `value`."""
        return None if value is None else as_utc(value)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return what the caller gets for the stored `value`."""
        return None if value is None else as_utc(value)


def as_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; one without a zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
