"""Profiles as one self-contained page: no script, nothing loaded, light and dark; it must not measure anything."""

from __future__ import annotations

import math
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

from dataproducts import markup
from dataproducts.profile.bins import seconds
from dataproducts.profile.column import logical_type
from dataproducts.profile.model import QUANTILES
from dataproducts.profile.notes import short
from dataproducts.profile.plots import counts_svg, edge_text, histogram_svg, lines_svg, share_svg, share_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dataproducts.profile.kept import KeptTable
    from dataproducts.profile.model import ColumnProfile, Overlap, TableProfile

_STYLE = """
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(320px, 480px)); gap: 14px 34px;
  margin-top: 10px; }
.plots h4 { font-size: 13px; color: var(--soft); margin: 0 0 4px; font-weight: 600; }
svg { max-width: 480px; } svg.share { width: 70px; height: 9px; display: inline-block; margin-right: 8px; }
.k0 { color: var(--bar); } .k1 { color: var(--null); }
"""


def page(tables: Sequence[TableProfile], overlaps: Sequence[Overlap] = ()) -> str:
    """Return an HTML page with every table, column by column, and how they could be joined."""
    told = ["<h2>How the tables could be joined</h2>", _overlaps(overlaps)] if overlaps else []
    parts = [part for at, table in enumerate(tables) for part in _table(table, f"t{at}")]
    what = "What the data looked like when it was read. Observations, not promises."
    return _whole("Profile", [table.name for table in tables], what, [*told, *parts])


def history_page(tables: Sequence[KeptTable]) -> str:
    """Return an HTML page with a line for what is kept of each column, release by release."""
    what = "What is kept of each release. A line breaks where a release lacks the column, or its value is not kept."
    parts = [part for table in tables for part in _kept(table)]
    return _whole("History", [table.name for table in tables], what, parts)


def _whole(title: str, tables: Sequence[str], what: str, parts: Sequence[str]) -> str:
    name = f"{title} of {', '.join(tables)}"
    return markup.page(name, [f"<h1>{escape(name)}</h1><p class=soft>{what}</p>", *parts], style=_STYLE)


def _kept(table: KeptTable) -> Iterator[str]:
    numbers = [release.release for release in table.releases]
    yield f"<h2>{escape(table.name)}</h2><p>{len(numbers):,} releases, {len(table.columns):,} columns</p>"
    rows = lines_svg({"rows": [release.rows for release in table.releases]}, numbers, _whole_number, "rows")
    yield f'<div class="card"><div class=plots><div><h4>Rows</h4>{rows}</div></div></div>' if rows else ""
    for name in table.columns:
        found = [release.column(name) for release in table.releases]
        newest = next(column for column in reversed(found) if column)
        tags = [newest.type, f"values hidden: {newest.masked}" if newest.masked else ""]
        plots = "".join(f"<div><h4>{title}</h4>{svg}</div>" for title, svg in _kept_plots(table, name) if svg)
        yield (
            f'<div class="card"><div class="head"><h3>{escape(name)}</h3>'
            f"{''.join(f'<span class=tag>{escape(short(tag, 80))}</span>' for tag in tags if tag)}</div>"
            f"<div class=plots>{plots}</div></div>"
        )


def _kept_plots(table: KeptTable, name: str) -> Iterator[tuple[str, str]]:
    numbers = [release.release for release in table.releases]
    found = [release.column(name) for release in table.releases]
    newest = next(column for column in reversed(found) if column)
    kind = logical_type(newest.type)
    nulls = [
        None if column is None or column.nulls is None else column.nulls / release.rows if release.rows else 0.0
        for release, column in zip(table.releases, found, strict=True)
    ]
    if any(nulls):
        yield "Share of nulls", lines_svg({"nulls": nulls}, numbers, share_text, f"nulls of {name}")
    distinct = [column.distinct if column else None for column in found]
    yield "Distinct", lines_svg({"distinct": distinct}, numbers, _whole_number, f"distinct values of {name}")
    ends = {
        "smallest": [_on_axis(kind, column.minimum) if column else None for column in found],
        "largest": [_on_axis(kind, column.maximum) if column else None for column in found],
    }
    yield _named("Smallest", "largest"), lines_svg(ends, numbers, partial(edge_text, kind), f"ends of {name}")
    middle = {
        "mean": [_on_axis("number", column.mean) if column else None for column in found],
        "median": [_on_axis("number", column.quantiles.get("0.5")) if column else None for column in found],
    }
    yield _named("Mean", "median"), lines_svg(middle, numbers, figure, f"mean and median of {name}")


def _named(*lines: str) -> str:
    return " and ".join(f'<span class="k{nth}">{line}</span>' for nth, line in enumerate(lines))


def _on_axis(kind: str, value: Any) -> float | None:
    """A value as a number that can be drawn; None if it cannot."""
    if value is None or kind not in ("integer", "number", "date", "timestamp"):
        return None
    number = seconds(value) if kind in ("date", "timestamp") else float(value)
    return number if number is not None and math.isfinite(number) else None


def _whole_number(value: float) -> str:
    return f"{value:,.0f}"


def _table(table: TableProfile, anchor: str) -> Iterator[str]:
    yield f'<h2 id="{anchor}">{escape(table.name)}</h2>'
    yield f"<p>{table.rows:,} rows, {len(table.columns):,} columns</p>"
    if table.keys:
        keys = "; ".join(" with ".join(key) for key in table.keys)
        yield f"<p>Candidate keys: <b>{escape(keys)}</b></p>"
    linked = [(f'<a href="#{anchor}c{at}">{escape(c.name)}</a>: {escape(note)}') for at, c in enumerate(table.columns)
              for note in c.notes]  # fmt: skip
    items = "".join(f"<li>{note}</li>" for note in [*map(escape, table.notes), *linked])
    if items:
        yield f'<div class="notes"><b>What stands out</b><ul>{items}</ul></div>'
    yield _overview(table, anchor)
    yield from (_column(table, column, f"{anchor}c{at}") for at, column in enumerate(table.columns))


def _overview(table: TableProfile, anchor: str) -> str:
    headings = [
        ("column", ""),
        ("type", ""),
        ("null", ""),
        ("distinct", "n"),
        ("once", "n"),
        ("smallest", ""),
        ("largest", ""),
    ]
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in headings)
    rows = []
    for at, c in enumerate(table.columns):
        share = c.share(c.nulls) or 0.0
        about = "≈ " if "distinct" in c.approximate else ""
        rows.append(
            f'<tr><td class="v"><a href="#{anchor}c{at}">{escape(c.name)}</a></td><td>{escape(type_text(c))}</td>'
            f"<td>{share_svg(share, f'{share:.1%} null')}{share_text(share)}</td>"
            f'<td class="n">{about}{_number(c.distinct)}</td><td class="n">{_number(c.unique)}</td>'
            f'<td class="v">{_value(c, c.minimum)}</td><td class="v">{_value(c, c.maximum)}</td></tr>'
        )
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _column(table: TableProfile, column: ColumnProfile, anchor: str) -> str:
    tags = [f'<span class="tag">{escape(type_text(column))}</span>']
    if (column.name,) in table.keys:
        tags.append('<span class="tag key">candidate key</span>')
    if column.masked:
        tags.append(f'<span class="tag lock">values hidden: {escape(column.masked)}</span>')
    if column.approximate:
        tags.append(f'<span class="tag">estimated: {escape(", ".join(column.approximate))}</span>')
    notes = "".join(f"<li>{escape(note)}</li>" for note in column.notes)
    plots = "".join(f"<div><h4>{title}</h4>{svg}</div>" for title, svg in _plots(column) if svg)
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(column))
    return (
        f'<div class="card" id="{anchor}"><div class="head"><h3>{escape(column.name)}</h3>{"".join(tags)}</div>'
        f"{f'<div class=notes><ul>{notes}</ul></div>' if notes else ''}"
        f"<dl>{facts}</dl>{f'<div class=plots>{plots}</div>' if plots else ''}</div>"
    )


def _plots(column: ColumnProfile) -> Iterator[tuple[str, str]]:
    if column.histogram:
        yield "Distribution", histogram_svg(column, column.histogram)
    repeats = column.unique is None or column.distinct != column.unique
    if repeats:
        few = column.top[:8]
        yield "Most frequent values", counts_svg(few, column.rows, f"most frequent values of {column.name}")
    if column.text and column.text.patterns:
        many = column.text.pattern_count
        title = (
            f"Patterns ({len(column.text.patterns)} of {many:,})" if many > len(column.text.patterns) else "Patterns"
        )
        yield title, counts_svg(column.text.patterns, column.rows, f"patterns of {column.name}")


def _facts(column: ColumnProfile) -> Iterable[tuple[str, str]]:
    yield "null", f"{column.nulls:,} · {share_text(column.share(column.nulls) or 0.0)}"
    yield "distinct", f"{_number(column.distinct)} · {share_text(column.share(column.distinct) or 0.0)}"
    if column.unique is not None:
        yield "occur once", f"{column.unique:,} · {share_text(column.share(column.unique) or 0.0)}"
    if column.minimum is not None:
        yield "smallest", _value(column, column.minimum)
        yield "largest", _value(column, column.maximum)
    if column.mean is not None:
        yield "mean", _value(column, column.mean)
        yield "standard deviation", _value(column, column.stddev)
    for share, value in zip(QUANTILES, column.quantiles, strict=False):
        yield ("median" if share == 0.5 else f"{share:.0%} quantile"), _value(column, value)  # noqa: PLR2004
    if column.outliers:
        out = column.outliers
        yield "outliers (1.5 IQR)", f"{out.below:,} low, {out.above:,} high"
    if column.text and column.text.length:
        yield "length", f"{column.text.length.minimum:,} to {column.text.length.maximum:,}"
    if column.text and column.text.blanks:
        yield "blank", f"{column.text.blanks:,}"


def _overlaps(overlaps: Sequence[Overlap]) -> str:
    head = "".join(f'<th class="{kind}">{name}</th>' for name, kind in (
        ("left", ""), ("right", ""), ("rows", ""), ("of left", "n"), ("of right", "n"), ("", "")))  # fmt: skip
    rows = "".join(
        f"<tr><td>{escape('.'.join(o.left))}</td><td>{escape('.'.join(o.right))}</td><td>{o.cardinality}</td>"
        f'<td class="n">{share_text(o.left_share)}</td><td class="n">{share_text(o.right_share)}</td>'
        f'<td class="soft">{escape(o.note)}</td></tr>'
        for o in overlaps
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'


def type_text(column: ColumnProfile) -> str:
    """Return a column's type in one line: how it reads, its format, and how it is stored where that differs."""
    told = f"{column.reads_as} {column.format}".strip()
    if column.type == "VARCHAR" or column.type.startswith(column.reads_as.upper()):
        return told
    return f"{told} ({short(column.type, 40)})"


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _value(column: ColumnProfile, value: Any) -> str:
    if column.masked:
        return '<span class="soft">hidden</span>'
    return "" if value is None else escape(short(figure(value), 60))


def figure(value: Any) -> str:
    """Return a value as a reader wants it: numbers of six significant digits, anything else as it is."""
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
