"""The command that looks at data before there is a contract: profile; it must not measure or judge anything."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from dataproducts.cli.declare import AS_JSON
from dataproducts.cli.show import console, grid, print_json
from dataproducts.cli.targets import Asked, masks_of, open_targets
from dataproducts.errors import SourceError, StoreError, UnknownNameError, UsageError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from dataproducts.cli.targets import Target
    from dataproducts.profile.model import ColumnProfile, Count, Overlap, TableProfile

_MEMORY = "2GB"
_JOINS = 12


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
@AS_JSON
@click.pass_obj
def profile(
    obj: tuple[Path, str | None],
    targets: tuple[str, ...],
    *,
    contract: Path | None,
    table: str | None,
    readings: tuple[str, ...],
    masked: tuple[str, ...],
    shown: tuple[str, ...],
    html: Path | None,
    draft: Path | None,
    accept: tuple[str, ...],
    as_json: bool,
) -> None:
    """Profile files, released tables (DOMAIN/PRODUCT.TABLE) and sources (DOMAIN/PRODUCT.TABLE@SERVER).

    Types, nulls, distinct values, bounds, patterns, candidate keys; of several targets, how they could be joined.
    Nothing of the data is changed. Columns that look personal show no value.
    """
    from dataproducts.profile.files import parse_settings  # noqa: PLC0415 - only here: no other command profiles

    _judge_options(draft, accept, as_json=as_json)
    asked = Asked(contract, table, parse_settings(readings), frozenset(masked), frozenset(shown))
    with _session() as con:
        opened = open_targets(con, obj, targets, asked)
        tables = [_profiled(con, target, asked) for target in opened]
        _judge_names(tables, [*masked, *shown, *(name for name in accept if name != "*")])
        joined = _joined(con, tables, opened)
    if html is not None:
        from dataproducts.profile.html import page  # noqa: PLC0415 - as above

        _write(html, page(tables, joined), mode="w")
    if draft is not None:
        text = _drafted(tables, opened, joined, asked, accept)
        if str(draft) == "-":
            click.echo(text, nl=False)
            return
        _write(draft, text, mode="x")
    if as_json:
        print_json({"tables": [found.to_json() for found in tables], "overlaps": [o.to_json() for o in joined]})
        return
    for found in tables:
        _print_table(found)
    _print_overlaps(joined)
    for path in (html, draft):
        if path is not None:
            console().print(f"[green]✓[/] wrote {path}")


def _judge_options(draft: Path | None, accept: Sequence[str], *, as_json: bool) -> None:
    if accept and draft is None:
        raise UsageError("--accept says what a draft promises: add --draft FILE")
    if str(draft) == "-" and as_json:
        raise UsageError("--draft - and --json both print to the terminal: name a file for the draft")
    if draft is not None and str(draft) != "-" and draft.exists():
        raise UsageError(f"{draft} exists, and may have been edited: name another file, or delete it first")


def _judge_names(tables: Sequence[TableProfile], names: Sequence[str]) -> None:
    """Refuse names of columns that no target has: a misspelt --mask would show what it was to hide."""
    known = {column.name for table in tables for column in table.columns}
    for name in names:
        if name not in known:
            raise UnknownNameError("column", name, known)


@contextmanager
def _session() -> Iterator[duckdb.DuckDBPyConnection]:
    """A database on disk that lives as long as the command, so that memory stays bounded."""
    import duckdb  # noqa: PLC0415 - the other commands open their own

    with tempfile.TemporaryDirectory() as folder:
        try:
            con = duckdb.connect(f"{folder}/profile.duckdb")
        except duckdb.Error as error:  # the disk is full, for instance
            raise StoreError(f"{folder}: no temporary database can be made: {first_line(error)}") from error
        with con:
            con.execute("SET TimeZone = 'UTC'")
            con.execute(f"SET memory_limit = '{_MEMORY}'")
            con.execute("SET temp_directory = ?", [f"{folder}/spill"])
            try:
                yield con
            except duckdb.Error as error:
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


def _print_table(table: TableProfile) -> None:
    from dataproducts.profile.notes import short  # noqa: PLC0415 - see profile
    from dataproducts.profile.plots import share_text  # noqa: PLC0415 - see profile

    out = console()
    rows, columns = _counted(table.rows, "row"), _counted(len(table.columns), "column")
    out.print(f"[bold]{escape(table.name)}[/]: {rows}, {columns}")
    cells = [
        (
            short(column.name, 20),
            short(_type(column), 14),
            share_text(column.share(column.nulls) or 0.0) if column.nulls else "",
            _count(column, column.distinct),
            short(_value(column, column.minimum), 14),
            short(_value(column, column.maximum), 14),
        )
        for column in table.columns
    ]
    out.print(grid(("column", "type", "null", "distinct", "smallest", "largest"), cells, right=(2, 3)))
    _print_more(table)
    out.print()


def _print_more(table: TableProfile) -> None:
    """Numbers with their quantiles, text with its patterns, keys, and what stands out."""
    from dataproducts.profile.notes import short  # noqa: PLC0415 - see profile

    out = console()
    numbers = [column for column in table.columns if column.mean is not None]
    if numbers:
        rows = [(short(c.name, 20), *map(_brief, (c.mean, *c.quantiles)), _outliers(c)) for c in numbers]
        out.print()
        out.print(grid(("numbers", "mean", "5%", "25%", "50%", "75%", "95%", "outliers"), rows, right=range(1, 8)))
    texts = [column for column in table.columns if column.text and column.values]
    if texts:
        rows = [(short(c.name, 20), _often(c.top), _often(c.text.patterns if c.text else ())) for c in texts]
        out.print()
        out.print(grid(("text", "most frequent", "patterns"), rows))
    if table.keys or table.notes:
        out.print()
    for key in table.keys:
        out.print(f"candidate key: {' with '.join(key)}", markup=False)
    notes = [*table.notes, *(f"{c.name}: {note}" for c in table.columns for note in c.notes)]
    notes += [f"{c.name}: values hidden, {c.masked}" for c in table.columns if c.masked]
    notes += [f"{c.name}: {', '.join(c.approximate)} estimated" for c in table.columns if c.approximate]
    for note in notes:
        out.print(f"  · {note}", markup=False)


def _print_overlaps(joined: Sequence[Overlap]) -> None:
    from dataproducts.profile.plots import share_text  # noqa: PLC0415 - see profile

    if not joined:
        return
    rows = [
        (
            ".".join(o.left),
            ".".join(o.right),
            o.cardinality,
            share_text(o.left_share),
            share_text(o.right_share),
            o.note,
        )
        for o in joined[:_JOINS]
    ]
    console().print(grid(("left", "right", "rows", "of left", "of right", ""), rows, right=(3, 4), title="joins"))
    if len(joined) > _JOINS:
        console().print(f"  and {len(joined) - _JOINS} more, which --json and --html list")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _brief(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:.0f}" if 1e4 <= abs(number) < 1e8 else f"{number:.4g}"  # noqa: PLR2004 - what fits 8 signs


def _type(column: ColumnProfile) -> str:
    return f"{column.reads_as} {column.format}".strip()


def _count(column: ColumnProfile, count: int | None) -> str:
    told = "" if count is None else f"{count:,}"
    return f"≈{told}" if "distinct" in column.approximate else told


def _value(column: ColumnProfile, value: Any) -> str:
    from dataproducts.profile.html import figure  # noqa: PLC0415 - see profile
    from dataproducts.profile.model import HIDDEN  # noqa: PLC0415 - see profile

    if column.masked:
        return HIDDEN
    return "" if value is None else figure(value)


def _often(counts: Sequence[Count]) -> str:
    from dataproducts.profile.notes import short  # noqa: PLC0415 - see profile

    return ", ".join(f"{short(count.value, 14)} {count.rows:,}" for count in counts[:3])


def _outliers(column: ColumnProfile) -> str:
    return f"{column.outliers.below + column.outliers.above:,}" if column.outliers else ""


COMMANDS = (profile,)
