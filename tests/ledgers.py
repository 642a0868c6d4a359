"""Ledgers frozen at each revision of their schema: `python -m tests.ledgers` freezes one of the newest revision.

A frozen ledger is written once, with the library that worked with its revision, and never again: later versions must
still be able to bring it up to date.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic.command import upgrade
from alembic.config import Config

from dataproducts.database import Branch, connect, reading, writing
from dataproducts.ledger import Ledger, schema
from dataproducts.publish import publish
from dataproducts.release import Consumed
from dataproducts.releases import rollback
from tests.releasing import ORDERS, shop, sqlite

FROZEN = Path(__file__).parent / "golden/ledger"


def populate(folder: Path) -> None:
    """Make a ledger that has something in every table: two products, a rollback, a refusal, partitions, cursors."""
    with shop(folder) as place:
        ledger, source = place.ledger, Consumed("orders", "till", "orders.csv", 12, "c" * 64)
        refresh = place.refresh(refresh_id="first")
        made = place.version(refresh)
        parts = [place.version(refresh, "days", partition=day) for day in ("2026-01-01", "2026-01-02")]
        ledger.record_candidates(refresh, [made, *parts], [source])
        keys = place.judge(refresh, "k1", "k2")
        draft = place.draft(refresh, made, *parts, required=keys, consumed=(source,), cursors={"api": "42"})
        publish(ledger, place.store, draft)
        place.release(product="shop/report", upstream=(ORDERS,))
        refresh = place.refresh(refresh_id="second")
        again = place.version(refresh, n=7)
        ledger.record_candidates(refresh, [again])
        publish(ledger, place.store, place.draft(refresh, again, *parts, git_sha="abc"))
        rollback(ledger, place.store, ORDERS, 1, run_id="operator", reason="wrong prices")
        refused = place.refresh(refresh_id="refused")
        ledger.mark_started(refused, "days", ["2026-01-03"])
        ledger.record_candidates(refused, [place.version(refused)], [source])
        place.judge(refused, "k3", passed=False)
        ledger.record_refusal(refused, "orders", None, "orders.rule: 1 row")


def contents(url: str) -> dict[str, object]:
    """Return what a ledger tells its callers, as JSON values."""
    with Ledger.open(url) as ledger:
        products = ledger.products()
        every = {name: ledger.releases(name, limit=None) for name in products}
        told = {
            "releases": {name: [_plain(_fields(release)) for release in found] for name, found in every.items()},
            "versions": {
                f"{name} {release.number}": {
                    table: [_plain(_fields(version)) for version in versions]
                    for table, versions in ledger.composition(release).items()
                }
                for name, found in every.items()
                for release in found
            },
            "contracts": {
                f"{name} {release.number}": {t: _plain(_fields(c)) for t, c in ledger.contracts(release).items()}
                for name, found in every.items()
                for release in found
            },
            "history": [_plain(_fields(entry)) for entry in ledger.history(ORDERS, "orders", "orders.rule")],
            "consumed": [_plain(_fields(entry)) for entry in ledger.consumed(ORDERS)],
            "cursors": ledger.cursors(ORDERS),
            "notes": {str(number): note for number, note in ledger.notes(ORDERS).items()},
            "retained": sorted(ledger.retained(ORDERS)),
            "paths": sorted(ledger.known_paths()),
        }
        refused = ledger.find_refresh("refused", ORDERS)
        assert refused is not None
        told["attempts"] = [_plain(_fields(attempt)) for attempt in ledger.open_attempts(refused)]
        told["candidates"] = sorted(ledger.candidates(refused))
        return told


def thaw(revision: str, url: str) -> None:
    """Put the ledger that was frozen at `revision` at `url`, which must be empty, on either database."""
    script = (FROZEN / f"{revision}.sql").read_text(encoding="utf-8")
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as con:
            con.executescript(script)
        return
    with tempfile.TemporaryDirectory() as folder:
        there = connect(sqlite(Path(folder)), schema.BRANCH)
        thaw(revision, sqlite(Path(folder)))
        here = connect(url, schema.BRANCH)
        with reading(there) as old, writing(here) as new:
            migrate_to(new, revision)
            frozen = sa.MetaData()
            frozen.reflect(new)
            for table in frozen.sorted_tables:
                rows = [dict(row._mapping) for row in old.execute(sa.select(table))]
                if rows and table.name != schema.BRANCH.version_table:
                    new.execute(sa.insert(table), rows)
            _advance(new, frozen)
        here.dispose()


def migrate_to(con: sa.Connection, revision: str, branch: Branch = schema.BRANCH) -> None:
    """Bring the schema on `con` to `revision` of its branch by the migrations alone."""
    config = Config()
    config.set_main_option("script_location", str(branch.scripts))
    config.attributes["connection"] = con
    upgrade(config, revision)


def schema_of(con: sqlite3.Connection) -> set[str]:
    """Return the statements that made the tables and indexes of a SQLite database."""
    return {row[0] for row in con.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}


def rows_of(url: str) -> dict[str, list[dict[str, object]]]:
    """Return every row of every table, in order of their text."""
    engine, found = connect(url, schema.BRANCH), sa.MetaData()
    with reading(engine) as con:
        found.reflect(con)
        rows = {t.name: [dict(row._mapping) for row in con.execute(sa.select(t))] for t in found.sorted_tables}
    engine.dispose()
    return {name: sorted(kept, key=str) for name, kept in rows.items()}


def freeze(folder: Path) -> Path:
    """Freeze a ledger of the newest revision; one that is frozen stays as it is."""
    revision = schema.BRANCH.revisions[-1]
    path = FROZEN / f"{revision}.sql"
    if not path.exists():
        populate(folder)
        with closing(sqlite3.connect(folder / "store/ledger.sqlite")) as con:
            script = "\n".join(con.iterdump()) + "\n"
        FROZEN.mkdir(parents=True, exist_ok=True)
        path.write_text(script, encoding="utf-8")
        told = json.dumps(contents(sqlite(folder)), indent=1, sort_keys=True)
        path.with_suffix(".json").write_text(f"{told}\n", encoding="utf-8")
    return path


def missing(frozen: object, now: object, path: str = "") -> list[str]:
    """Return where `now` does not hold what `frozen` does; fields that were added since are no loss."""
    if isinstance(frozen, dict) and isinstance(now, dict):
        return [line for key, value in frozen.items() for line in missing(value, now.get(key), f"{path}.{key}")]
    if isinstance(frozen, list) and isinstance(now, list) and len(frozen) == len(now):
        pairs = enumerate(zip(frozen, now, strict=True))
        return [line for n, (old, new) in pairs for line in missing(old, new, f"{path}[{n}]")]
    return [] if frozen == now else [f"{path}: {frozen!r} became {now!r}"]


def _advance(con: sa.Connection, frozen: sa.MetaData) -> None:
    """Let the sequences of PostgreSQL go on after the rows that were put in with their numbers."""
    for table in frozen.sorted_tables:
        for column in table.primary_key:
            if column.server_default is not None:
                con.execute(
                    sa.text(
                        f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "
                        f"(SELECT max({column.name}) FROM {table.name}))"
                    )
                )


def _fields(value: object) -> dict[str, object]:
    """Return the fields of a dataclass by name; mappings that cannot be copied stay what they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]


def _plain(value: dict[str, object]) -> dict[str, object]:
    """Return a value as JSON gives it back."""
    return json.loads(json.dumps(value, default=_text))


def _text(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return _fields(value) if is_dataclass(value) else dict(value)  # type: ignore[call-overload]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        print(freeze(Path(name)))
