"""This project's wiring per environment: the one place that reads environment variables; it must not build products.

- `DATAPRODUCTS_ENV`: `dev` (the default) or `prod`.
- `DATAPRODUCTS_STORE`: folder of data, quarantine and serving files; in `dev` `.dataproducts` of the project.
- `DATAPRODUCTS_LEDGER`: SQLAlchemy URL of the ledger; in `dev` SQLite inside the store. `prod` needs both.
- `DATAPRODUCTS_OPERATIONS`: SQLAlchemy URL of incidents, notices and lifecycle; in `prod` the ledger's unless set.
- `DATAPRODUCTS_MAIL`, `DATAPRODUCTS_ONCALL`, `DATAPRODUCTS_DAGSTER`: how people are told in `prod`; see `directory.py`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from dataproducts.environment import Environment
from dataproducts.errors import UnknownNameError, UsageError
from resources.directory import directory

ROOT = Path(__file__).resolve().parents[1]

CLOCK = datetime(2018, 1, 1, 12, tzinfo=UTC)
"""The morning after the last purchase of the retail data: historic data is fresh on that day, and on no later one."""


def for_environment(name: str | None = None) -> Environment:
    """Return the wiring of environment `name`, by default of the one that `DATAPRODUCTS_ENV` names.

    Raises:
        UnknownNameError: there is no such environment.
        UsageError: `prod` was asked for without a store or a ledger.
    """
    chosen = name or os.environ.get("DATAPRODUCTS_ENV") or "dev"
    build = {"dev": _dev, "prod": _prod}
    if chosen not in build:
        raise UnknownNameError("environment", chosen, build)
    return build[chosen]()


def _dev() -> Environment:
    given = os.environ.get("DATAPRODUCTS_STORE")
    store = Path(given).resolve() if given else ROOT / ".dataproducts"
    return Environment(
        name="dev",
        root=ROOT,
        store=store,
        ledger_url=os.environ.get("DATAPRODUCTS_LEDGER", ""),
        operations_url=os.environ.get("DATAPRODUCTS_OPERATIONS", ""),
        clock=CLOCK,
        directory=directory(store, served=False),
    )


def _prod() -> Environment:
    given = {key: os.environ.get(key, "") for key in ("DATAPRODUCTS_STORE", "DATAPRODUCTS_LEDGER")}
    absent = [key for key, value in given.items() if not value]
    if absent:
        raise UsageError(f"environment 'prod' needs {' and '.join(absent)} to be set")
    store, ledger = given.values()
    return Environment(
        name="prod",
        root=ROOT,
        store=Path(store).resolve(),
        ledger_url=ledger,
        operations_url=os.environ.get("DATAPRODUCTS_OPERATIONS") or ledger,
        directory=directory(Path(store).resolve(), served=True),
    )
