"""Opening what a transform reads, and saying which source files a table rests on; it must not run transforms."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dataproducts.errors import SourceError
from dataproducts.inputs import transform_inputs
from dataproducts.release import Consumed
from dataproducts.sources.files import list_files, open_source
from dataproducts.transforms.stage import MisfitError
from dataproducts.warehouse import drop_temporary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import duckdb

    from dataproducts.product import Column, Server, Table
    from dataproducts.release import Version
    from dataproducts.scene import Scene
    from dataproducts.warehouse import Warehouse


@contextmanager
def open_inputs(
    warehouse: Warehouse, scene: Scene, table: Table, con: duckdb.DuckDBPyConnection
) -> Iterator[tuple[dict[str, str], tuple[Consumed, ...]]]:
    """Give what the transform reads as SQL by name, and the source files that are read for it.

    Raises: SourceError, at the end, if a file changed in between: nobody knows then what was read of it; or, with the
    line, if a value of a source that is passed through does not fit its column.
    """
    began_s = time.time()
    relations: dict[str, str] = {}
    consumed: list[Consumed] = []
    environment = warehouse.environment
    servers = []
    for read in transform_inputs(scene.product, table):
        if read.server is None:
            relations[read.name] = warehouse.store.version_relation(scene.of(scene.names[read.name]))
            continue
        overrides = environment.sources.get(read.server.name, {})
        source = open_source(con, read.server, root=environment.root, overrides=overrides)
        relations[read.name] = source.relation
        servers.append(read.server)
        consumed += [Consumed(table.name, read.server.name, f.path, f.bytes, f.sha256) for f in source.consumed]
    try:
        yield relations, tuple(consumed)
    except MisfitError as error:
        for server in servers:
            _find_misfit(warehouse, server, error.column, con)
        raise
    finally:
        drop_temporary(con)
        con.execute("RESET disabled_optimizers")  # which a source with doubtful statistics had set
    if any(_is_touched(environment.root / file.path, began_s) for file in consumed):
        _check_sources(warehouse, servers, consumed)


def _find_misfit(warehouse: Warehouse, server: Server, column: Column, con: duckdb.DuckDBPyConnection) -> None:
    """Read a source again with `column` as its contract has it: reading can tell the line, which a cast cannot.

    Returns where reading takes every value. Raises: SourceError.
    """
    overrides = warehouse.environment.sources.get(server.name, {})
    declared = overrides.get("columns", server.settings.get("columns")) or {}
    columns = {**declared, column.physical_name or column.name: column.sql_type}
    open_source(con, server, root=warehouse.environment.root, overrides={**overrides, "columns": columns})


def _is_touched(path: Path, since_s: float) -> bool:
    """Whether a file was written or replaced since then; one that is not there lies in a package, or is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    # File systems count in ticks, so that a file may look a moment older than it is.
    return max(found.st_mtime, found.st_ctime) >= since_s - 1


def _check_sources(warehouse: Warehouse, servers: Iterable[Server], consumed: Iterable[Consumed]) -> None:
    environment = warehouse.environment
    for server in servers:
        overrides = environment.sources.get(server.name, {})
        now = {f.path: f.sha256 for f in list_files(server, root=environment.root, overrides=overrides)}
        moved = [f.path for f in consumed if f.source == server.name and now.get(f.path) != f.sha256]
        if moved:
            raise SourceError(f"{moved[0]} changed while {server.name!r} was read: nothing was kept, run it again")


def proved(warehouse: Warehouse, scene: Scene, written: Sequence[Version], files: Iterable[Consumed]) -> list[Consumed]:
    """Return those of the source `files` that the table rests on as they are now.

    Where partitions are carried over, a file that they were made from and that changed since stays noted as it was:
    only a refresh of all of them has seen the change, and a plan has to go on asking for it.
    """
    table = written[0].table
    made = {version.partition for version in written}
    if all(version.partition in made for version in scene.carried(table)):
        return list(files)
    before = warehouse.ledger.consumed(scene.product.address, scene.refresh.base)
    known = {(file.source, file.path): file.sha256 for file in before if file.table == table}
    return [file for file in files if known.get((file.source, file.path), file.sha256) == file.sha256]
