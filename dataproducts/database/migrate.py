"""Bringing the schema of a branch to this version of the library; it must not know what the tables hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.database.connect import branch_of, connect, name_of, reading, revision, writing
from dataproducts.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from dataproducts.database.branch import Branch


def migrate(url: str, branch: Branch, *, create: bool = True) -> tuple[str, str]:
    """Bring `branch` at `url` to its newest schema; return the revisions before (empty if fresh) and after.

    All or nothing: a migration that fails leaves everything as it was.

    Raises:
        StoreError: what is there is newer than this library, unreachable, or absent and `create` is false.
    """
    engine = connect(url, branch, create=create)
    try:
        with writing(engine) as con:
            before = revision(con, branch)
            _refuse_newer(engine, before)
            if before != branch.newest:
                _upgrade(con, branch)
            return before, branch.newest
    finally:
        engine.dispose()


def make_ready(engine: Engine, *, create: bool) -> None:
    """Make the schema where there is none; let one of this version pass.

    Raises:
        StoreError: what is there is older or newer than this library, or nothing is and `create` is false.
    """
    branch = branch_of(engine)
    with reading(engine) as con:
        found = revision(con, branch)
    if not found and create:
        with writing(engine) as con:
            found = revision(con, branch)  # another process may have been faster
            if not found:
                _upgrade(con, branch)
                found = branch.newest
    _refuse_newer(engine, found)
    if not found:
        raise StoreError(f"{name_of(engine)}: there is no {branch.name}. {branch.absent}")
    if found != branch.newest:
        raise StoreError(
            f"{name_of(engine)}: the {branch.name} has schema {found}, this version needs {branch.newest}. "
            "Stop running refreshes, then run `dataproducts migrate`."
        )


def _refuse_newer(engine: Engine, found: str) -> None:
    branch = branch_of(engine)
    if found and found not in branch.revisions:
        raise StoreError(
            f"{name_of(engine)}: the {branch.name} has schema {found}, which a newer dataproducts made; this version "
            f"knows {branch.newest}. Install the newer version: going back would lose what it recorded."
        )


def _upgrade(con: Connection, branch: Branch) -> None:
    # Alembic is loaded for this alone: opening a database that is up to date must stay light.
    from alembic.command import upgrade  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    # Alembic's options take % for an interpolation.
    config.set_main_option("script_location", str(branch.scripts).replace("%", "%%"))
    config.attributes["connection"] = con
    upgrade(config, "head")
