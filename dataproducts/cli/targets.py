"""What `profile` is asked to look at, opened: files, released tables, sources; it must not measure or print."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataproducts.cli.lifecycle import warn_readers
from dataproducts.cli.project import open_project
from dataproducts.errors import RefusedError, SourceError, UnknownNameError, UsageError
from dataproducts.sql import quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from dataproducts.cli.project import Project
    from dataproducts.product import Column, DataProduct, Table
    from dataproducts.profile.kept import KeptTable
    from dataproducts.profile.measure import Masks


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of how to read and what to show."""

    contract: Path | None
    table: str | None
    settings: dict[str, Any]
    masked: frozenset[str]
    shown: frozenset[str]


@dataclass(frozen=True, slots=True)
class Target:
    """A relation to profile; `columns` are those of its contract, None without one."""

    name: str
    relation: str
    origin: str
    format: str
    columns: tuple[Column, ...] | None
    whole: bool = True  # whether the contract names every column


def open_targets(
    con: duckdb.DuckDBPyConnection, obj: tuple[Path, str | None], targets: Sequence[str], asked: Asked
) -> list[Target]:
    """Return `targets` as relations of `con`: what is a file is one, DOMAIN/PRODUCT.TABLE[@SERVER] is of the project.

    Raises: SourceError, UnknownNameError, UsageError, RefusedError (nothing was released).
    """
    opened: list[Target] = []
    declared = _contract_tables(asked)
    for target in targets:
        names = frozenset(found.name for found in opened)
        address = _address(target)
        if address is None:
            _judge_path(target)
            opened.append(_file(con, Path(target), names, asked, declared))
            continue
        if asked.contract or asked.settings:
            raise UsageError("--contract and --read are for files: a product's tables have their own contracts")
        opened.append(_in_project(con, obj, address, names))
    return opened


def open_kept(
    con: duckdb.DuckDBPyConnection,
    obj: tuple[Path, str | None],
    targets: Sequence[str],
    asked: Asked,
    *,
    limit: int,
) -> list[KeptTable]:
    """Return what is kept of released tables, in the last `limit` releases of their products; no row is read.

    Raises: UnknownNameError, UsageError (a file or a source has no releases), RefusedError (nothing was released).
    """
    from dataproducts.profile.kept import kept_table  # noqa: PLC0415 - see profile

    tables: list[KeptTable] = []
    project = None
    for target in targets:
        address = _address(target)
        if address is None or address[2]:
            raise UsageError(f"--history is of released tables, DOMAIN/PRODUCT.TABLE, and {target} is none")
        project = project or open_project(obj[0], environment=obj[1])
        product, table = _declared(project, *address[:2])
        masks = masks_of(Target(table.name, "", "", "", table.columns), asked)
        with project.warehouse() as warehouse:
            found = kept_table(
                con, warehouse.ledger, (product.address, table.name), name=target, masks=masks, limit=limit
            )
        if not found.releases:
            raise _unreleased(product, table.name)
        tables.append(found)
    return tables


def _address(target: str) -> tuple[str, str, str] | None:
    """Product, table and server of `DOMAIN/PRODUCT.TABLE[@SERVER]`; None for what is, or is meant as, a file."""
    from dataproducts.sources.files import format_of  # noqa: PLC0415 - see profile

    domain, _, rest = target.partition("/")
    product, _, named = rest.partition(".")
    if Path(target).exists() or not (domain and product and named) or "/" in rest or format_of(target):
        return None
    table, _, server = named.partition("@")
    return f"{domain}/{product}", table, server


def _judge_path(target: str) -> None:
    """Say what to name instead of a folder, or of a product without its table."""
    path = Path(target)
    if path.is_dir():
        raise SourceError(f"{target} is a folder. Name the files in it")
    if not path.exists() and target.count("/") == 1 and not path.suffix and path.name and not path.is_absolute():
        raise SourceError(f"{target}: there is no such file. For a table of a product, name it: {target}.TABLE")
    if not path.exists():
        from dataproducts.sources.files import near_files  # noqa: PLC0415 - see profile

        raise SourceError(f"{target}: there is no such file.{near_files(path)}")


def _contract_tables(asked: Asked) -> tuple[Table, ...]:
    if asked.contract is None:
        if asked.table:
            raise UsageError("--table names a table of a contract: add --contract FILE")
        return ()
    from dataproducts.load import load_contract  # noqa: PLC0415 - reads the schemas: only with a contract

    tables = load_contract(asked.contract)
    if asked.table is None:
        return tables
    found = tuple(table for table in tables if table.name == asked.table)
    if not found:
        raise UnknownNameError(f"table in {asked.contract}", asked.table, (table.name for table in tables))
    return found


def _file(
    con: duckdb.DuckDBPyConnection, path: Path, names: frozenset[str], asked: Asked, declared: Sequence[Table]
) -> Target:
    from dataproducts.profile.files import READINGS, open_file, table_name  # noqa: PLC0415 - see profile
    from dataproducts.sources.files import format_of  # noqa: PLC0415 - see profile

    plain = table_name(path)
    name = next(text for text in (plain, *(f"{plain}.{at}" for at in range(2, 1000))) if text not in names)
    table = declared[0] if len(declared) == 1 else next((t for t in declared if t.name == plain), None)
    if declared and table is None:
        raise UnknownNameError(f"table in {asked.contract}", plain, (t.name for t in declared))
    told = table.servers[0].settings if table and table.servers else {}
    settings = {key: told[key] for key in READINGS if key in told} | asked.settings
    try:
        relation = open_file(con, path, name=name, settings=settings)
    except SourceError as error:
        raise SourceError(_as_options(str(error))) from error
    return Target(name, relation, path.name, format_of(path.name), table.columns if table else None)


def _as_options(said: str) -> str:
    """What is said of a file, its settings named as this command takes them: `header: true` as `--read header=true`."""
    said = re.sub(r"`(encoding|delimiter|header)(?:: ([\w-]+))?`", lambda m: f"`--read {m[1]}={m[2] or '…'}`", said)
    return said.replace("Declare `--read", "Give `--read").replace("declare `--read", "give `--read")


def _in_project(
    con: duckdb.DuckDBPyConnection, obj: tuple[Path, str | None], address: tuple[str, str, str], names: frozenset[str]
) -> Target:
    product_name, table_name, server = address
    project = open_project(obj[0], environment=obj[1])
    product, table = _declared(project, product_name, table_name)
    name = f"{table_name}@{server}" if server else table_name
    if name in names:
        name = f"{product_name}.{name}"
    if server:
        return _source(con, project, table, server, name)
    relation = _released(project, product, table_name)
    return Target(name, relation, f"{product_name}.{table_name}", "parquet", table.columns)


def _declared(project: Project, product_name: str, table_name: str) -> tuple[DataProduct, Table]:
    product = project.product(product_name)
    known = [table.name for table in product.tables]
    if table_name not in known:
        raise UnknownNameError(f"table of {product_name}", table_name, known)
    return product, product.table(table_name)


def _released(project: Project, product: DataProduct, table: str) -> str:
    """SQL for the rows of the head's versions of a table. Raises: RefusedError, if nobody may read them any more."""
    warn_readers(project, product.address, reads=True)
    with project.warehouse() as warehouse:
        head = warehouse.ledger.head(product.address)
        versions = warehouse.composition(head).get(table, ()) if head else ()
        if not versions:
            raise _unreleased(product, table)
        return warehouse.store.version_relation(versions)


def _unreleased(product: DataProduct, table: str) -> RefusedError:
    return RefusedError(f"{product.address} has not released {table} yet: run `dataproducts build {product.address}`")


def _source(con: duckdb.DuckDBPyConnection, project: Project, table: Table, server: str, name: str) -> Target:
    """A source as the contract declares it, with the environment's settings."""
    from dataproducts.sources.files import open_source  # noqa: PLC0415 - see profile

    environment = project.environment
    found = next((one for one in table.servers if one.name == server), None)
    if found is None:
        raise UnknownNameError(f"server of table {table.name!r}", server, (one.name for one in table.servers))
    source = open_source(con, found, root=environment.root, overrides=environment.sources.get(server, {}))
    con.execute(f"CREATE TABLE {quote(name)} AS SELECT * FROM {source.relation}")
    return Target(name, quote(name), f"{name} of {found.mark}", "parquet", table.columns, whole=False)


def masks_of(target: Target, asked: Asked) -> Masks:
    """Return what may be shown of a target. Raises: UsageError, for a classified column that was to be shown."""
    from dataproducts.profile.measure import Masks  # noqa: PLC0415 - see profile
    from dataproducts.rules.masking import holds_classified  # noqa: PLC0415 - see profile

    hidden: dict[str, str] = {}
    shown, known = set(asked.shown), set()
    for column in target.columns or ():
        names = {column.name, column.physical_name} - {""}
        known |= names
        if holds_classified((column,)):
            hidden |= dict.fromkeys(names, f"classified {column.classification}".strip())
        elif column.classification:
            shown |= names
    for name in asked.shown & hidden.keys():
        raise UsageError(f"column {name!r} is {hidden[name]} by its contract, and cannot be shown")
    hidden |= dict.fromkeys(asked.masked, "asked for")
    named = frozenset(known) | asked.shown
    return Masks(hidden, frozenset(shown), named if target.columns is not None and target.whole else None)
