"""How facts are printed: as JSON, or as tables that fit 80 columns if names do; it must not compute them.

Nobody else imports rich: it takes a twentieth of a small check, and JSON needs none of it.
"""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dataproducts.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the facts as JSON.")
_WORD = 48  # beyond which a word of a sentence may be broken, as no name is
MARKS = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "warned": ("!", "yellow"),
    "error": ("?", "red"),
    "skipped": ("·", "dim"),
    "told": ("·", "dim"),
}


def console(*, err: bool = False) -> Console:
    """Return the terminal, without colours or boxes where the output is not one."""
    from rich.console import Console  # noqa: PLC0415 - as the module says

    return Console(stderr=err, highlight=False, soft_wrap=False)


def text(value: str = "", style: str = "") -> Text:
    """Return `value` as it stands: a `[` in it is no style."""
    from rich.text import Text  # noqa: PLC0415 - as the module says

    return Text(value, style=style)


def escape(value: str) -> str:
    """Return `value` for use inside a line with styles, of which it holds none."""
    from rich.markup import escape as escaped  # noqa: PLC0415 - as the module says

    return escaped(value)


def print_json(value: Any) -> None:
    """Print `value` as indented JSON; dates and paths become text, as do NaN and infinity, which JSON lacks."""
    click.echo(json.dumps(_finite(value), indent=2, default=str, ensure_ascii=False, allow_nan=False))


@contextmanager
def outcome_stands(is_bad: Callable[[], bool]) -> Iterator[None]:
    """Tell what cannot be written without changing a bad outcome, which is printed already and keeps its exit code.

    Raises: StoreError, where the outcome is good, or is not known yet.
    """
    try:
        yield
    except StoreError as error:
        if not is_bad():
            raise
        click.echo(f"dataproducts: {error}", err=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def bare_grid(title: str = "", *, plain: bool = False) -> Grid:
    """Return a table without lines and columns; a `plain` one hides the headings that it gets."""
    from rich.table import Table as Grid  # noqa: PLC0415 - as the module says

    return Grid(
        title=title or None,
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
        show_header=not plain,
    )


def grid(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    right: Sequence[int] = (),
    title: str = "",
    plain: bool = False,
    whole: Sequence[int] = (),
) -> Grid:
    """Return a table without lines; `right` are the columns with numbers; a `plain` one hides its headings.

    Cells of the columns `whole` are not broken, nor words of the others: a table that does not fit the terminal is
    wider, so that names can be copied. Print it with `crop=False`.
    """
    from rich.text import Text  # noqa: PLC0415 - as the module says

    table = bare_grid(title, plain=plain)
    table.collapse_padding = bool(whole)
    lines = [[cell if isinstance(cell, Text) else text(str(cell)) for cell in row] for row in rows]
    for index, heading in enumerate(headings):
        kept = index in whole
        cells = [heading, *(line[index].plain for line in lines)] if whole else []
        least = max((len(part) for cell in cells for part in ([cell] if kept else cell.split())), default=0)
        table.add_column(
            heading,
            justify="right" if index in right else "left",
            overflow="fold",
            no_wrap=kept,
            min_width=(least if kept else min(least, _WORD)) or None,
        )
    for line in lines:
        table.add_row(*line)
    return table


def print_indented(out: Console, value: str) -> None:
    """Print `value` as it stands, wrapped between words, each line set in by two."""
    from rich.padding import Padding  # noqa: PLC0415 - as the module says

    out.print(Padding(text(value), (0, 0, 0, 2), expand=False))


def row_line(row: Mapping[str, Any]) -> str:
    """Return a row of JSON values in one line, as SQL spells them: `order_id=NULL, paid=true, name='Ana'`."""
    return ", ".join(f"{name}={_spelt(value)}" for name, value in row.items())


def _spelt(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case str():
            text = value.replace("'", "''")
            # Nothing may break or colour the line.
            return "'" + "".join(char if char.isprintable() else "\ufffd" for char in text) + "'"
        case list():
            return f"[{', '.join(map(_spelt, value))}]"
        case dict():
            return "{" + ", ".join(f"{_spelt(str(name))}: {_spelt(item)}" for name, item in value.items()) + "}"
        case _:
            return str(value)


def mark(state: str) -> Text:
    """Return the sign for `passed`, `failed`, `warned`, `error` (not judged), `skipped` or `told`."""
    sign, style = MARKS[state]
    return text(sign, style)
