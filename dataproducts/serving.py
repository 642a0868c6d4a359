"""The serving file of a product: views of its releases in DuckDB; it must not hold data, nor be what commits."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb

from dataproducts.errors import StoreError, UnknownNameError
from dataproducts.sql import literal, quote

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from dataproducts.ledger import Ledger
    from dataproducts.release import Release, Version
    from dataproducts.standing import Standing
    from dataproducts.store import Store

    Columns = Sequence[tuple[str, str]]

# The oldest format, so that BI tools with an older DuckDB can read the file too.
_FORMAT = "v1.0.0"
_RELEASE = (
    ("release", "INTEGER"),
    ("kind", "VARCHAR"),
    ("base", "INTEGER"),
    ("published_at", "TIMESTAMPTZ"),
    ("run", "VARCHAR"),
    ("refresh", "VARCHAR"),
    ("git_sha", "VARCHAR"),
    ("note", "VARCHAR"),
    ("is_head", "BOOLEAN"),
)
_ITEM = (
    ("release", "INTEGER"),
    ("table_name", "VARCHAR"),
    ("partition", "DATE"),
    ("version", "VARCHAR"),
    ("rows", "BIGINT"),
    ("valid_thru", "TIMESTAMPTZ"),
    ("created_at", "TIMESTAMPTZ"),
)
_RESULT = (
    ("table_name", "VARCHAR"),
    ("partition", "DATE"),
    ("rule", "VARCHAR"),
    ("passed", "BOOLEAN"),
    ("blocking", "BOOLEAN"),
    ("observed", "DOUBLE"),
    ("failed_rows", "BIGINT"),
    ("judged_at", "TIMESTAMPTZ"),
)
_CONTRACT = (("table_name", "VARCHAR"), ("contract", "VARCHAR"), ("version", "VARCHAR"), ("hash", "VARCHAR"))
_INPUT = (("product", "VARCHAR"), ("release", "INTEGER"))
_LIFECYCLE = (
    ("product", "VARCHAR"),
    ("status", "VARCHAR"),
    ("since", "TIMESTAMPTZ"),
    ("reason", "VARCHAR"),
    ("successor", "VARCHAR"),
    ("sunset", "DATE"),
    ("warning", "VARCHAR"),
)


def render(
    ledger: Ledger,
    store: Store,
    product: str,
    published: Collection[str],
    *,
    history: int = 10,
    standing: Callable[[], Standing | None] = lambda: None,
) -> Path:
    """Write the serving file of `product` for its published release, in place of the one before; return its path.

    Schemas: `published.<table>` is the head, `history.<table>_r<N>` the last `history` releases that are kept, `meta`
    tells about them. Only the tables in `published` are there, and nothing of the quarantine. Readers that have the
    old file open keep reading it. It may be called at any time, to repair the file as well.

    `standing` tells how the product stands, once nobody else renders: its warning is in `meta.lifecycle` and the
    comment of each view. Of one that was retired, `published` has the same views, which answer any query with an error
    that names the successor, and `history` has none; `meta` stays, as its tombstone.

    Raises:
        UnknownNameError: the product has no release.
        StoreError: a file of the release is missing, or the disk is full; the old file stays.
    """
    folder, path = store.serve_folder(), store.serve_path(product)
    temporary = folder / f".{path.name}.{secrets.token_hex(6)}.tmp"
    # One at a time; head and standing are read inside: a slow process must not bring back an older release, nor open
    # the port of a product that was retired while it waited.
    with _locked(folder / f".{path.name}.lock"):
        stands = standing()
        releases = _releases(ledger, product, history)
        versions = ledger.versions(i for release in releases for ids in release.items.values() for i in ids)
        if stands and stands.is_closed:
            views = _closed(releases[0], versions, published, stands.warning)
        else:
            views = _tables(store, releases, versions, published)
        views |= _meta(ledger, releases, versions, published)
        views["meta", "lifecycle"] = _values(_LIFECYCLE, _told(stands) if stands else [])
        try:
            _write(temporary, views, comment=stands.warning if stands else "")
            temporary.chmod(0o600)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
        except (duckdb.Error, OSError) as error:
            raise StoreError(f"{path}: the serving file cannot be written: {error}. The one before stays.") from error
        finally:
            temporary.unlink(missing_ok=True)
            temporary.with_name(f"{temporary.name}.wal").unlink(missing_ok=True)
    return path


def served_release(store: Store, product: str) -> int | None:
    """Return the number of the release that the serving file of `product` shows; None if the file is not there.

    Raises:
        StoreError: the file cannot be read.
    """
    row = _shown(store, product, "SELECT release FROM served.meta.release WHERE is_head")
    return None if row is None else int(row[0])


def served_step(store: Store, product: str) -> tuple[str, datetime | None] | None:
    """Return the lifecycle status that the serving file of `product` shows, with the moment of its step.

    A status that a file alone speaks of has no such moment. None if nothing is shown.

    Raises:
        StoreError: the file cannot be read.
    """
    row = _shown(store, product, "SELECT status, epoch_us(since) FROM served.meta.lifecycle")
    if row is None:
        return None
    return str(row[0]), None if row[1] is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=row[1])


def _shown(store: Store, product: str, sql: str) -> tuple[Any, ...] | None:
    """The first row of a query of the serving file; None if there is no such row, or file."""
    path = store.serve_path(product)
    if not path.exists():
        return None
    try:
        with duckdb.connect() as con:
            con.execute(f"ATTACH {literal(str(path))} AS served (READ_ONLY)")
            row: tuple[Any, ...] | None = con.execute(sql).fetchone()
    except duckdb.Error as error:
        raise StoreError(f"{path}: the serving file cannot be read: {error}. Render it again.") from error
    return row


def _releases(ledger: Ledger, product: str, history: int) -> tuple[Release, ...]:
    """Return the head and the releases before it that are kept, newest first."""
    head = ledger.head(product)
    if head is None:
        raise UnknownNameError("product with a release", product, ledger.products())
    kept = ledger.retained(product)
    return tuple(r for r in ledger.releases(product, limit=max(history, 1)) if r.number in kept)


def _tables(
    store: Store, releases: Sequence[Release], versions: Mapping[str, Version], published: Collection[str]
) -> dict[tuple[str, str], str]:
    views: dict[tuple[str, str], str] = {}
    for release in releases:
        for table in sorted(set(published) & release.items.keys()):
            held = [versions[i] for i in release.items[table]]
            # A lost file of an old release costs readers that release, and not the current one as well.
            if release is not releases[0] and not all(store.exists(file) for v in held for file in v.files):
                continue
            relation = store.version_relation(held)
            views["history", f"{table}_r{release.number}"] = f"FROM {relation}"
            if release is releases[0]:
                views["published", table] = f"FROM {relation}"
    return views


def _closed(
    head: Release, versions: Mapping[str, Version], published: Collection[str], warning: str
) -> dict[tuple[str, str], str]:
    """Views with the columns that there were, of which every row, count and filter raises `warning`."""
    views: dict[tuple[str, str], str] = {}
    raised = f"error({literal(warning)})"
    for table in sorted(set(published) & head.items.keys()):
        newest = max((versions[i] for i in head.items[table]), key=lambda version: version.created_at)
        columns = ", ".join(f"CAST({raised} AS {kind}) AS {quote(name)}" for name, kind in newest.schema)
        views["published", table] = f"SELECT {columns} FROM (SELECT 1) AS closed WHERE {raised} IS NULL"
    return views


def _told(standing: Standing) -> list[tuple[Any, ...]]:
    s = standing
    return [(s.product, s.status.value, s.since, s.reason or None, s.successor or None, s.sunset, s.warning or None)]


def _meta(
    ledger: Ledger, releases: Sequence[Release], versions: Mapping[str, Version], published: Collection[str]
) -> dict[tuple[str, str], str]:
    head = releases[0]
    notes = ledger.notes(head.product)
    about = [
        (r.number, r.kind, r.base, r.published_at, r.run_id, r.refresh_id, r.git_sha, notes.get(r.number), r is head)
        for r in releases
    ]
    items = [
        (r.number, table, v.partition, v.id, v.rows, v.valid_thru, v.created_at)
        for r in releases
        for table in sorted(set(published) & r.items.keys())
        for v in (versions[i] for i in r.items[table])
    ]
    # No samples: rows that failed a rule are the owner's to see.
    results = [
        (
            r.table,
            r.partition,
            r.rule,
            r.passed,
            r.blocking,
            *map(r.detail.get, ("observed", "failed_rows")),
            r.judged_at,
        )
        for r in ledger.verdict(head)
    ]
    contracts = [(c.table, c.contract_id, c.version, c.hash) for c in ledger.contracts(head).values()]
    return {
        ("meta", "release"): _values(_RELEASE, about),
        ("meta", "item"): _values(_ITEM, items),
        ("meta", "result"): _values(_RESULT, results),
        ("meta", "contract"): _values(_CONTRACT, contracts),
        ("meta", "input"): _values(_INPUT, list(head.inputs.items())),
    }


def _values(columns: Columns, rows: Sequence[Sequence[Any]]) -> str:
    """Return a SELECT that gives `rows` as they are, typed; none if there are none."""
    casts = ", ".join(f"CAST({quote(name)} AS {kind}) AS {quote(name)}" for name, kind in columns)
    names = [name for name, _ in columns]
    # One literal, which nobody parses before a reader asks: thousands of them would take seconds.
    listed = json.dumps([dict(zip(names, map(_json_text, row), strict=True)) for row in rows])
    shape = json.dumps([dict.fromkeys(names, "VARCHAR")])
    fields = f"unnest(from_json({literal(listed)}, {literal(shape)}), recursive := TRUE)"
    return f"SELECT {casts} FROM (SELECT {fields}) AS listed"


def _json_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


def _write(path: Path, views: Mapping[tuple[str, str], str], *, comment: str) -> None:
    with duckdb.connect() as con:
        con.execute(f"ATTACH {literal(str(path))} AS serving (STORAGE_VERSION {literal(_FORMAT)})")
        con.execute("BEGIN")
        for schema in ("published", "history", "meta"):
            con.execute(f"CREATE SCHEMA serving.{schema}")
        for (schema, name), sql in views.items():
            con.execute(f"CREATE VIEW serving.{schema}.{quote(name)} AS {sql}")
            if comment and schema != "meta":
                con.execute(f"COMMENT ON VIEW serving.{schema}.{quote(name)} IS {literal(comment)}")
        con.execute("COMMIT")
        # DETACH swallows a checkpoint that fails on a full disk and leaves half a file behind: ask for it by name.
        con.execute("CHECKPOINT serving")
        con.execute("DETACH serving")
        _prove(con, path, len(views))


def _prove(con: duckdb.DuckDBPyConnection, path: Path, views: int) -> None:
    """Open the file as a reader will, before it takes the place of a good one."""
    if path.with_name(f"{path.name}.wal").exists():
        raise OSError(f"{path} is not whole: some of it is in its log")
    con.execute(f"ATTACH {literal(str(path))} AS served (READ_ONLY)")
    row = con.execute(
        "SELECT count(*) FROM duckdb_views() WHERE database_name = 'served' AND NOT internal AND sql IS NOT NULL"
    ).fetchone()
    if row is None or row[0] != views:
        raise OSError(f"{path} is not whole: it has {row[0] if row else 0} views of {views}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the file lock at `path`; it ends with the process, however that ends."""
    try:
        file = path.open("w")
    except OSError as error:
        raise StoreError(f"{path}: no lock can be made: {error}. The serving file before stays.") from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
