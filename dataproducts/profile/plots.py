"""Figures of a column as inline SVG, readable without scripts, in light and dark; it must not know tables or pages."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import TYPE_CHECKING

from dataproducts.profile.notes import short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dataproducts.profile.model import ColumnProfile, Count, Histogram

_WIDTH, _HEIGHT, _FLOOR = 460, 130, 108
_ROW = 22


def histogram_svg(column: ColumnProfile, histogram: Histogram) -> str:
    """Return bars for the bins, with the values beyond the edges counted at the sides."""
    most = max((*histogram.rows, 1))
    step = _WIDTH / len(histogram.rows)
    bars = []
    for at, rows in enumerate(histogram.rows):
        height = max(1.5, (_FLOOR - 14) * rows / most) if rows else 0
        low, high = (edge_text(column.reads_as, edge) for edge in histogram.edges[at : at + 2])
        bars.append(
            f'<rect class="bar" x="{at * step + 0.5:.1f}" y="{_FLOOR - height:.1f}" width="{step - 1:.1f}" '
            f'height="{height:.1f}"><title>{escape(low)} to {escape(high)}: {rows:,} rows</title></rect>'
        )
    first, last = edge_text(column.reads_as, histogram.edges[0]), edge_text(column.reads_as, histogram.edges[-1])
    beyond = [
        f"{histogram.below:,} below" if histogram.below else "",
        f"{histogram.above:,} above" if histogram.above else "",
    ]
    sides = [f"{text} ({more})" if more else text for text, more in zip((first, last), beyond, strict=True)]
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="histogram of {escape(column.name)}">'
        f'<line class="axis" x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}"/>{"".join(bars)}'
        f'<text x="0" y="10">{most:,} rows in the fullest bin</text>'
        f'<text x="0" y="{_HEIGHT - 6}">{escape(sides[0])}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">{escape(sides[1])}</text></svg>'
    )


def counts_svg(counts: Sequence[Count], rows: int, label: str) -> str:
    """Return a bar for each value or pattern: how many of all `rows` have it."""
    most = max((count.rows for count in counts), default=1)
    height = _ROW * len(counts)
    bars = []
    for at, count in enumerate(counts):
        width = max(1.5, 120 * count.rows / most)
        y, share = at * _ROW, count.rows / rows if rows else 0
        text = escape(short(count.value, 28)) or "(empty)"
        bars.append(
            f'<text x="0" y="{y + 15}" class="mono">{text}<title>{escape(short(count.value, 200))}</title></text>'
            f'<rect class="bar" x="214" y="{y + 4}" width="{width:.1f}" height="{_ROW - 8}"/>'
            f'<text x="{_WIDTH}" y="{y + 15}" text-anchor="end">{count.rows:,} · {share_text(share)}</text>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{"".join(bars)}</svg>'
        if counts
        else ""
    )


def lines_svg(
    lines: Mapping[str, Sequence[float | None]], releases: Sequence[int], say: Callable[[float], str], label: str
) -> str:
    """Return a line for each name over the releases, broken where it has no number; empty if there is none to draw.

    `say` spells a number as a reader wants it.
    """
    ys = [y for line in lines.values() for y in line if y is not None]
    if len(releases) < 2 or not ys:  # noqa: PLR2004 - one point is no line
        return ""
    low, high = min(ys), max(ys)
    parts = []
    for nth, (name, line) in enumerate(lines.items()):
        path, told, before = "", [], None
        for at, y in enumerate(line):
            if y is not None:
                x = 4 + (_WIDTH - 8) * at / (len(releases) - 1)
                # In halves, because the difference of two finite numbers need not be finite.
                height = (y / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
                path += f"{'M' if before is None else 'L'}{x:.1f},{_FLOOR - 6 - (_FLOOR - 28) * height:.1f}h0"
                told.append(f"#{releases[at]}: {say(y)}")
            before = y
        parts.append(f'<path class="line l{nth}" d="{path}"><title>{escape(name)}: {escape(", ".join(told))}</title>')
        parts.append("</path>")
    ends = f"{say(low)} to {say(high)}" if high > low else say(low)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line class="axis" x1="0" y1="{_FLOOR}" x2="{_WIDTH}" y2="{_FLOOR}"/>{"".join(parts)}'
        f'<text x="0" y="10">{escape(ends)}</text><text x="0" y="{_HEIGHT - 6}">#{releases[0]}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">#{releases[-1]}</text></svg>'
    )


def share_svg(share: float, label: str) -> str:
    """Return one bar of a share between 0 and 1."""
    width = 60 * share if share in (0, 1) else min(58.5, max(1.5, 60 * share))
    return (
        f'<svg class="share" viewBox="0 0 60 8" role="img" aria-label="{escape(label)}"><rect class="rest" width="60" '
        f'height="8"/><rect class="null" width="{width:.1f}" height="8"/></svg>'
    )


def share_text(share: float) -> str:
    """Return a share as percent that is 0 or 100 only where nothing or everything is meant."""
    if 0 < share < 0.001:  # noqa: PLR2004 - would round to 0
        return "<0.1%"
    if 0.999 < share < 1:  # noqa: PLR2004 - would round to 100
        return ">99.9%"
    return f"{share:.0%}" if share in (0, 1) else f"{share:.1%}"


def edge_text(reads_as: str, edge: float) -> str:
    """Return an edge of a bin as a column of that logical type spells it."""
    if reads_as in ("date", "timestamp"):
        moment = datetime.fromtimestamp(edge, tz=UTC)
        return moment.strftime("%Y-%m-%d" if reads_as == "date" else "%Y-%m-%d %H:%M")
    return f"{edge:,.0f}" if reads_as == "integer" else f"{edge:,.4g}"
