"""The command that looks at data before there is a contract: profile; it must not measure or judge anything."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataproducts.cli.show import AS_JSON, console, print_json
from dataproducts.cli.targets import Asked, masks_of, open_kept, open_targets
from dataproducts.errors import SourceError, StoreError, UnknownNameError, UsageError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from dataproducts.cli.targets import Target
    from dataproducts.profile.model import Overlap, TableProfile

_MEMORY = "2GB"
_ROOM = "Let TMPDIR name a folder with more room"


@dataclass(frozen=True, slots=True)
class _Options:
    """The options of `profile`, as click gives them."""

    contract: Path | None
    table: str | None
    readings: tuple[str, ...]
    masked: tuple[str, ...]
    shown: tuple[str, ...]
    history: bool
    limit: int
    html: Path | None
    draft: Path | None
    accept: tuple[str, ...]
    as_json: bool


@click.command(short_help="Look at files, sources and released tables.")
@click.argument("targets", nargs=-1, required=True, metavar="TARGETS...")
@click.option("--contract", type=click.Path(path_type=Path), help="The ODCS contract that says what may be shown.")
@click.option("--table", help="The table of the contract, where it has several.")
@click.option("--read", "readings", multiple=True, metavar="KEY=VALUE", help="How a CSV file is written.")
@click.option("--mask", "masked", multiple=True, metavar="COLUMN", help="Show no value of this column.")
@click.option("--show", "shown", multiple=True, metavar="COLUMN", help="Show values although they look personal.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with plots to this file.")
@click.option("--draft", type=click.Path(path_type=Path, allow_dash=True), help="Write a contract; - prints it.")
@click.option("--accept", multiple=True, metavar="COLUMN", help="Draft this column's proposals as promises.")
@click.option("--history", is_flag=True, help="Show what is kept of each release instead, and read no row.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Of how many releases.")
@AS_JSON
@click.pass_obj
def profile(obj: tuple[Path, str | None], /, targets: tuple[str, ...], **given: Any) -> None:
    """Profile files, released tables (DOMAIN/PRODUCT.TABLE) and sources (DOMAIN/PRODUCT.TABLE@SERVER).

    Types, nulls, distinct values, bounds, patterns, candidate keys; of several targets, how they could be joined.
    Nothing of the data is changed. Columns that look personal show no value.
    With --history, what the ledger keeps of released tables, release by release.
    """
    from dataproducts.profile.files import parse_settings  # noqa: PLC0415 - only here: no other command profiles

    options = _Options(**given)
    _judge_options(options)
    asked = Asked(
        options.contract,
        options.table,
        parse_settings(options.readings),
        frozenset(options.masked),
        frozenset(options.shown),
    )
    if options.history:
        _show_history(obj, targets, asked, options)
    else:
        _show_profiles(obj, targets, asked, options)


def _show_profiles(obj: tuple[Path, str | None], targets: Sequence[str], asked: Asked, options: _Options) -> None:
    from dataproducts.cli.profiles import print_overlaps, print_profile  # noqa: PLC0415 - see profile

    with _session() as con:
        opened = open_targets(con, obj, targets, asked)
        tables = [_profiled(con, target, asked) for target in opened]
        known = {column.name for found in tables for column in found.columns}
        _judge_names(known, [*options.masked, *options.shown, *(name for name in options.accept if name != "*")])
        joined = _joined(con, tables, opened)
    html, draft = options.html, options.draft
    if html is not None:
        from dataproducts.profile.html import page  # noqa: PLC0415 - as above

        _write(html, page(tables, joined), mode="w")
    if draft is not None:
        text = _drafted(tables, opened, joined, asked, options.accept)
        if str(draft) == "-":
            click.echo(text, nl=False)
            return
        _write(draft, text, mode="x")
    if options.as_json:
        print_json({"tables": [t.to_json() for t in tables], "overlaps": [o.to_json() for o in joined], "history": []})
        return
    for found in tables:
        print_profile(found)
    print_overlaps(joined)
    for path in (html, draft):
        if path is not None:
            console().print(f"[green]✓[/] wrote {path}")


def _show_history(obj: tuple[Path, str | None], targets: Sequence[str], asked: Asked, options: _Options) -> None:
    from dataproducts.cli.profiles import print_kept  # noqa: PLC0415 - see profile

    with _session() as con:
        tables = open_kept(con, obj, targets, asked, limit=options.limit)
    _judge_names({name for table in tables for name in table.columns}, [*options.masked, *options.shown])
    if options.html is not None:
        from dataproducts.profile.html import history_page  # noqa: PLC0415 - see profile

        _write(options.html, history_page(tables), mode="w")
    if options.as_json:
        print_json({"tables": [], "overlaps": [], "history": [table.to_json() for table in tables]})
        return
    for table in tables:
        print_kept(table)
    if options.html is not None:
        console().print(f"[green]✓[/] wrote {options.html}")


def _judge_options(options: _Options) -> None:
    draft = options.draft
    if options.history and (draft or options.contract or options.table or options.readings):
        raise UsageError("--history is of released tables: --contract, --table, --read and --draft are for rows")
    if options.accept and draft is None:
        raise UsageError("--accept says what a draft promises: add --draft FILE")
    if str(draft) == "-" and options.as_json:
        raise UsageError("--draft - and --json both print to the terminal: name a file for the draft")
    if draft is not None and str(draft) != "-" and draft.exists():
        raise UsageError(f"{draft} exists, and may have been edited: name another file, or delete it first")


def _judge_names(known: set[str], names: Sequence[str]) -> None:
    """Refuse names of columns that no target has: a misspelt --mask would show what it was to hide."""
    for name in names:
        if name not in known:
            raise UnknownNameError("column", name, known)


@contextmanager
def _session() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database on disk that lives as long as the command, so that memory stays bounded."""
    import duckdb  # noqa: PLC0415 - the other commands open their own

    try:
        temporary = tempfile.TemporaryDirectory()
    except OSError as error:
        raise StoreError(f"no temporary folder can be made: {error}. {_ROOM}") from error
    with temporary as folder:
        try:
            con = duckdb.connect(f"{folder}/profile.duckdb")
        except duckdb.Error as error:  # the disk is full, for instance
            raise StoreError(f"no temporary database can be made: {first_line(error)}. {_ROOM}") from error
        with con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(f"SET memory_limit = '{_MEMORY}'")
            con.execute("SET temp_directory = ?", [f"{folder}/spill"])
            try:
                yield con
            except duckdb.Error as error:
                if folder in str(error) or isinstance(error, duckdb.OutOfMemoryException):
                    raise StoreError(
                        f"there is not enough room to profile this: {first_line(error)}. {_ROOM}"
                    ) from error
                raise SourceError(f"the data cannot be read: {first_line(error)}") from error


def _profiled(con: duckdb.DuckDBPyConnection, target: Target, asked: Asked) -> TableProfile:
    from dataproducts.profile.measure import profile_relation  # noqa: PLC0415 - see profile

    return profile_relation(con, target.relation, name=target.name, masks=masks_of(target, asked))


def _joined(
    con: duckdb.DuckDBPyConnection, tables: Sequence[TableProfile], opened: Sequence[Target]
) -> tuple[Overlap, ...]:
    if len(tables) < 2:  # noqa: PLR2004 - one table overlaps with none
        return ()
    from dataproducts.profile.overlap import overlaps  # noqa: PLC0415 - see profile

    return overlaps(con, list(zip(tables, (target.relation for target in opened), strict=True)))


def _drafted(
    tables: Sequence[TableProfile],
    opened: Sequence[Target],
    joined: Sequence[Overlap],
    asked: Asked,
    accept: Sequence[str],
) -> str:
    from dataproducts.profile.draft import Drafted, draft_contract  # noqa: PLC0415 - see profile

    drafted = [
        Drafted(table, target.origin, target.format, asked.settings if target.format == "csv" else {})
        for table, target in zip(tables, opened, strict=True)
    ]
    return draft_contract(drafted, joined, accept)


def _write(path: Path, text: str, *, mode: str) -> None:
    """Write a whole file or none: what is there under the name is replaced only by a finished page."""
    if path.exists() and not path.is_file():  # a device or a pipe would be replaced by a file
        raise UsageError(f"{path} is no file, and cannot be replaced by one")
    temporary = path.parent / f".{path.name}.tmp"
    try:
        temporary.write_text(text, encoding="utf-8")
        if mode == "x":
            path.hardlink_to(temporary)
            temporary.unlink()
        else:
            temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


COMMANDS = (profile,)
