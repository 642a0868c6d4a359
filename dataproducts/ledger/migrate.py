"""Bringing a ledger's schema to this version of the library; it must not know what the tables hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dataproducts.errors import StoreError
from dataproducts.ledger.connect import connect, name_of, reading, revision, writing
from dataproducts.ledger.schema import REVISIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def migrate(url: str, *, create: bool = True) -> tuple[str, str]:
    """Bring the ledger at `url` to the newest schema; return the revisions before (empty if fresh) and after.

    All or nothing: a migration that fails leaves the ledger as it was.

    Raises:
        StoreError: the ledger is newer than this library, unreachable, or absent and `create` is false.
    """
    engine = connect(url, create=create)
    try:
        with writing(engine) as con:
            before = revision(con)
            _refuse_newer(engine, before)
            if before != REVISIONS[-1]:
                _upgrade(con)
            return before, REVISIONS[-1]
    finally:
        engine.dispose()


def make_ready(engine: Engine, *, create: bool) -> None:
    """Make the schema of a fresh ledger; let one of this version pass.

    Raises:
        StoreError: the ledger is older or newer than this library, or fresh and `create` is false.
    """
    with reading(engine) as con:
        found = revision(con)
    if not found and create:
        with writing(engine) as con:
            found = revision(con)  # another process may have been faster
            if not found:
                _upgrade(con)
                found = REVISIONS[-1]
    _refuse_newer(engine, found)
    if not found:
        raise StoreError(f"{name_of(engine)}: there is no ledger. Build a product first.")
    if found != REVISIONS[-1]:
        raise StoreError(
            f"{name_of(engine)}: the ledger has schema {found}, this version needs {REVISIONS[-1]}. "
            "Stop running refreshes, then run `dataproducts migrate`."
        )


def _refuse_newer(engine: Engine, found: str) -> None:
    if found and found not in REVISIONS:
        raise StoreError(
            f"{name_of(engine)}: the ledger has schema {found}, which a newer dataproducts made; this version knows "
            f"{REVISIONS[-1]}. Install the newer version: going back would lose what it recorded."
        )


def _upgrade(con: Connection) -> None:
    # Alembic is loaded for this alone: opening a ledger that is up to date must stay light.
    from alembic.command import upgrade  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # Alembic's options take % for an interpolation.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = con
    upgrade(config, "head")
