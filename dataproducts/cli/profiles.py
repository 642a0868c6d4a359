"""How profiles, and what is kept of releases, are printed on 80 columns; it must not measure or read anything."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from dataproducts.cli.show import console, escape, grid
from dataproducts.profile.html import figure
from dataproducts.profile.model import HIDDEN
from dataproducts.profile.notes import short
from dataproducts.profile.plots import share_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dataproducts.profile.kept import KeptColumn, KeptRelease, KeptTable
    from dataproducts.profile.model import ColumnProfile, Count, Overlap, TableProfile

_JOINS = 12


def print_profile(table: TableProfile) -> None:
    """Print the profile of one table."""
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


def print_overlaps(joined: Sequence[Overlap]) -> None:
    """Print how tables could be joined."""
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
    if column.masked:
        return HIDDEN
    return "" if value is None else figure(value)


def _often(counts: Sequence[Count]) -> str:
    return ", ".join(f"{short(count.value, 14)} {count.rows:,}" for count in counts[:3])


def _outliers(column: ColumnProfile) -> str:
    return f"{column.outliers.below + column.outliers.above:,}" if column.outliers else ""


_KEPT = ("release", "null", "distinct", "smallest", "largest", "mean", "median")
_ALWAYS, _KEPT_NUMBERS = 2, (1, 2, 5, 6)


def print_kept(table: KeptTable) -> None:
    """Print what is kept of one table: its releases first, then each column with a line for every change."""
    out = console()
    out.print(f"[bold]{escape(table.name)}[/]")
    rows = [
        (
            f"#{release.release}",
            release.kind,
            release.published_at[:19].replace("T", " "),
            f"{release.rows:,}",
            "" if release.partitions is None else f"{release.partitions:,}",
            "kept" if release.retained else "removed",
        )
        for release in table.releases
    ]
    out.print(grid(("release", "kind", "published (UTC)", "rows", "partitions", "files"), rows, right=(3, 4)))
    for name in table.columns:
        _print_column(table.releases, name)
    out.print()


def _print_column(releases: Iterable[KeptRelease], name: str) -> None:
    cells = [(release, _cells(release, release.column(name))) for release in releases]
    types = dict.fromkeys(column.type for release, _ in cells if (column := release.column(name)))
    why = next((column.masked for release, _ in reversed(cells) if (column := release.column(name))), "")
    runs = [(list(run), line) for line, run in groupby(cells, key=lambda cell: cell[1])]
    rows = [(_numbers([release.release for release, _ in run]), *line) for run, line in runs]
    out = console()
    out.print()
    hidden = f": values hidden, {why}" if why else ""
    out.print(f"{short(name, 40)} {short(' to '.join(types), 60)}{hidden}", markup=False)
    shown = [at for at in range(len(_KEPT)) if at < _ALWAYS or any(row[at] for row in rows)]
    right = [nth for nth, at in enumerate(shown) if at in _KEPT_NUMBERS]
    out.print(grid([_KEPT[at] for at in shown], [[row[at] for at in shown] for row in rows], right=right))


def _cells(release: KeptRelease, column: KeptColumn | None) -> tuple[str, ...]:
    """The figures of one column in one release, as they are shown: what shows alike is one line."""
    if column is None:
        return ("no such column", *[""] * 5)
    share = "" if not column.nulls else share_text(column.nulls / release.rows)
    return (
        "unknown" if column.nulls is None else share,
        "" if column.distinct is None else f"{column.distinct:,}",
        *(_end(end) for end in (column.minimum, column.maximum)),
        *(_number(number) for number in (column.mean, column.quantiles.get("0.5"))),
    )


def _numbers(releases: list[int]) -> str:
    return f"#{releases[0]}" + (f"-{releases[-1]}" if len(releases) > 1 else "")


def _end(value: Any) -> str:
    return "" if value is None else short(figure(value), 19)


def _number(number: float | None) -> str:
    return "" if number is None else f"{number:.4g}"
