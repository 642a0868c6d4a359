"""Figures over time, shares and neighbours as inline SVG that needs no script; it must not know what they mean."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from html import escape
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _TOP, _FLOOR = 480, 150, 60, 12, 122
_ROW = 20
_BOX, _GAP, _LINE = 34, 10, 620
_TICKS = 4
_CUT = 4.0  # times the median, where a bar is cut off that is twice as high
_MANY = 60  # bars, beyond which they need no gap between them

Point = tuple[datetime, "float | None"]


def ring_svg(value: float | None, text: str, kind: str) -> str:
    """Return a ring that is full at 100, with the value in the middle; empty inside where there is none."""
    around = 2 * math.pi * 42
    drawn = around * (value or 0) / 100
    return (
        f'<svg class="ring" viewBox="0 0 100 100" role="img" aria-label="{escape(text)} of 100">'
        f'<circle class="track" cx="50" cy="50" r="42"/><circle class="arc {kind}" cx="50" cy="50" r="42" '
        f'stroke-dasharray="{drawn:.2f} {around:.2f}" transform="rotate(-90 50 50)"/>'
        f'<text x="50" y="55" text-anchor="middle" class="big">{escape(text)}</text>'
        '<text x="50" y="72" text-anchor="middle" class="small">of 100</text></svg>'
    )


def meter_svg(share: float | None, label: str, kind: str) -> str:
    """Return one bar of a share from 0 to 1."""
    if share is None:
        return '<span class="soft">not measured</span>'
    return _meter(f'<rect class="{kind}" width="{100 * min(share, 1):.1f}" height="8" rx="2"/>', label)


def budget_svg(share: float, label: str, kind: str) -> str:
    """Return one bar of what is left of a budget: right of the middle, or left of it as far as it is overspent.

    Beyond the whole budget, left or overspent, it grows no more.
    """
    length = 50 * min(abs(share), 1)
    start = 50 if share >= 0 else 50 - length
    bar = f'<rect class="{kind}" x="{start:.1f}" width="{length:.1f}" height="8"/>'
    return _meter(f'{bar}<rect class="middle" x="49.3" width="1.4" height="8"/>', label)


def _meter(bar: str, label: str) -> str:
    return (
        f'<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'<rect class="rest" width="100" height="8" rx="2"/>{bar}</svg>'
    )


def times_svg(
    lines: Mapping[str, Sequence[Point]],
    *,
    say: Callable[[float], str],
    label: str,
    low: float | None = None,
    high: float | None = None,
    steps: bool = False,
) -> str:
    """Return a line for each name over time, broken where it has no value; empty if fewer than two moments tell.

    `low` and `high` are the least that the scale holds; `say` spells a value. With `steps` it stays until the next.
    """
    points = [point for line in lines.values() for point in line]
    values = [value for _, value in points if value is not None]
    moments = [at for at, _ in points]
    if len({at for at, value in points if value is not None}) < 2:  # noqa: PLR2004 - one point is no line
        return ""
    least = min(values) if low is None else min(low, *values)
    most = max(values) if high is None else max(high, *values)
    if most == least:
        least, most = least - (abs(least) or 1) / 10, most + (abs(most) or 1) / 10
    start, end = min(moments), max(moments)

    def x(at: datetime) -> float:
        return _LEFT + (_WIDTH - _LEFT - 6) * ((at - start) / (end - start))

    def y(value: float) -> float:
        return _FLOOR - (_FLOOR - _TOP) * (value - least) / (most - least)

    drawn = "".join(_line(nth, name, line, x, y, say, steps=steps) for nth, (name, line) in enumerate(lines.items()))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f"{_grid(least, most, y, say)}{drawn}{_dates(start, end)}</svg>"
    )


def _line(
    nth: int,
    name: str,
    line: Sequence[Point],
    x: Callable[[datetime], float],
    y: Callable[[float], float],
    say: Callable[[float], str],
    *,
    steps: bool,
) -> str:
    path, before = "", None
    for nth_point, (at, value) in enumerate(line):
        after = line[nth_point + 1][1] if nth_point + 1 < len(line) else None
        if value is not None and value == before == after:
            continue  # in the middle of a level stretch, of which its ends tell everything
        if value is not None:
            if before is None:
                path += f"M{x(at):.1f},{y(value):.1f}h0"
            else:
                path += (f"H{x(at):.1f}" if steps else "") + f"L{x(at):.1f},{y(value):.1f}"
        before = value
    told = [(at, value) for at, value in line if value is not None]
    last = f"{told[-1][0]:%Y-%m-%d %H:%M}: {say(told[-1][1])}" if told else ""
    dot = f'<circle class="dot d{nth}" cx="{x(told[-1][0]):.1f}" cy="{y(told[-1][1]):.1f}" r="3.5"/>' if told else ""
    return f'<path class="line l{nth}" d="{path}"><title>{escape(name)}, last {escape(last)}</title></path>{dot}'


def bars_svg(
    bars: Sequence[tuple[datetime, float, str]], *, say: Callable[[float], str], label: str, names: Mapping[str, str]
) -> str:
    """Return a bar for each (moment, value, kind), side by side in their order; `names` says what a kind means."""
    if not bars:
        return ""
    values = [value for _, value, _ in bars]
    usual, most = median(values), max(values) or 1
    # One bar that towers above all others would leave nothing to see of them: it is cut off and says how high it is.
    most = min(most, _CUT * usual) if usual and most > 2 * _CUT * usual else most
    step = (_WIDTH - _LEFT - 6) / max(len(bars), 8)
    gap = 1.5 if len(bars) <= _MANY else 0.3
    drawn = []
    for nth, (at, value, kind) in enumerate(bars):
        height = max((_FLOOR - _TOP) * min(value / most, 1), 1.5)
        drawn.append(
            f'<rect class="fill {kind}" x="{_LEFT + nth * step:.1f}" y="{_FLOOR - height:.1f}" '
            f'width="{max(step - gap, 0.8):.1f}" height="{height:.1f}">'
            f"<title>{at:%Y-%m-%d %H:%M}, {escape(names.get(kind, kind))}: {escape(say(value))}</title></rect>"
        )
        if value > most:
            x = _LEFT + nth * step
            drawn.append(f'<rect class="cut" x="{x - 1:.1f}" y="{_TOP + 8}" width="{step + 1:.1f}" height="3"/>')
            drawn.append(f'<text x="{x + step + 2:.1f}" y="{_TOP + 12}" class="small">{escape(say(value))}</text>')
    scale = _grid(0, most, lambda value: _FLOOR - (_FLOOR - _TOP) * value / most, say)
    ends = (
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}" class="small">{bars[0][0]:%Y-%m-%d}</text>'
        f'<text x="{_LEFT + len(bars) * step:.1f}" y="{_HEIGHT - 8}" text-anchor="end" class="small">'
        f"{bars[-1][0]:%Y-%m-%d}</text>"
        if len(bars) >= _MANY / 5
        else f'<text x="{_LEFT}" y="{_HEIGHT - 8}" class="small">{bars[0][0]:%Y-%m-%d} to {bars[-1][0]:%Y-%m-%d}</text>'
    )
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
    return f"{head}{scale}{''.join(drawn)}{ends}</svg>"


def strips_svg(
    strips: Sequence[tuple[str, datetime, datetime, str]], start: datetime, end: datetime, label: str
) -> str:
    """Return a strip for each (name, from, until, kind) on one time line from `start` to `end`."""
    if not strips or end <= start:
        return ""
    height = _ROW * len(strips) + 26
    width, left = 960, 340

    def x(at: datetime) -> float:
        return left + (width - left - 6) * min(max((at - start) / (end - start), 0), 1)

    rows = []
    for nth, (name, begun, until, kind) in enumerate(strips):
        y = nth * _ROW
        long = name if len(name) <= 52 else f"{name[:51]}…"  # noqa: PLR2004 - what fits
        rows.append(
            f'<text x="0" y="{y + 14}" class="small">{escape(long)}</text><rect class="rest" x="{left}" y="{y + 8}" '
            f'width="{width - left - 6}" height="4" rx="2"/><rect class="fill {kind}" x="{x(begun):.1f}" y="{y + 5}" '
            f'width="{max(x(until) - x(begun), 5):.1f}" height="10" rx="2"><title>{escape(name)}: '
            f"{begun:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M}</title></rect>"
        )
    foot = (
        f'<text x="{left}" y="{height - 6}" class="small">{start:%Y-%m-%d}</text>'
        f'<text x="{width - 6}" y="{height - 6}" text-anchor="end" class="small">{end:%Y-%m-%d}</text>'
    )
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{"".join(rows)}{foot}</svg>'


def neighbours_svg(
    before: Sequence[tuple[str, str, str]], name: str, after: Sequence[tuple[str, str, str]], label: str
) -> str:
    """Return boxes from left to right: what is read, the product, who reads it; each is (name, below it, link)."""
    rows = max(len(before), len(after), 1)
    height = rows * (_BOX + _GAP) + _GAP
    width, box = 960, 260
    middle = height / 2
    parts = list(_boxes(before, 0, height, box))
    parts += _boxes(after, width - box, height, box)
    for side, edge, ends in ((before, box, (width - box) / 2), (after, (width + box) / 2, width - box)):
        for y in _places(len(side), height):
            here, there = (y, middle) if side is before else (middle, y)
            bend = (edge + ends) / 2
            parts.append(
                f'<path class="edge" d="M{edge},{here:.1f}C{bend},{here:.1f} {bend},{there:.1f} {ends},{there:.1f}"/>'
            )
    parts.append(
        f'<rect class="box own" x="{(width - box) / 2}" y="{middle - _BOX / 2:.1f}" width="{box}" '
        f'height="{_BOX}" rx="6"/>'
        f'<text x="{width / 2}" y="{middle + 5:.1f}" text-anchor="middle" class="own">{escape(_fit(name))}</text>'
    )
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def _boxes(side: Iterable[tuple[str, str, str]], x: float, height: float, box: float) -> Iterator[str]:
    entries = list(side)
    for (name, below, link), y in zip(entries, _places(len(entries), height), strict=True):
        drawn = (
            f'<rect class="box" x="{x}" y="{y - _BOX / 2:.1f}" width="{box}" height="{_BOX}" rx="6"/>'
            f'<text x="{x + 10}" y="{y - 2:.1f}">{escape(_fit(name))}</text>'
            f'<text x="{x + 10}" y="{y + 12:.1f}" class="small">{escape(_fit(below, 44))}</text>'
        )
        yield f'<a href="{escape(link)}">{drawn}</a>' if link else drawn


def _places(count: int, height: float) -> list[float]:
    step = _BOX + _GAP
    first = (height - (count - 1) * step) / 2
    return [first + nth * step for nth in range(count)]


def _fit(text: str, most: int = 34) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _grid(least: float, most: float, y: Callable[[float], float], say: Callable[[float], str]) -> str:
    ticks = [least + (most - least) * nth / (_TICKS - 1) for nth in range(_TICKS)]
    return "".join(
        f'<line class="grid" x1="{_LEFT}" y1="{y(tick):.1f}" x2="{_WIDTH - 6}" y2="{y(tick):.1f}"/>'
        f'<text x="{_LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end" class="small">{escape(say(tick))}</text>'
        for tick in ticks
    )


def _dates(start: datetime, end: datetime) -> str:
    said = "%Y-%m-%d" if end - start > timedelta(days=2) else "%m-%d %H:%M"
    return (
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}" class="small">{start.strftime(said)}</text>'
        f'<text x="{_WIDTH - 6}" y="{_HEIGHT - 8}" text-anchor="end" class="small">{end.strftime(said)}</text>'
    )
