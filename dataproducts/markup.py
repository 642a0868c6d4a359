"""The frame of a page of HTML that stands alone, without scripts, in light and dark; it must not know what it says."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5c6675; --line: #dfe3e9; --page: #f5f6f8; --card: #fff;
  --bar: #3b6fb6; --null: #c2572b; --rest: #e6e9ee; --note: #fff6e0; --edge: #e0b34d; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #98a2b1; --line: #323a46; --page: #14181e;
  --card: #1c222a; --bar: #6b9fe6; --null: #e8855a; --rest: #2a323d; --note: #2d2716; --edge: #8a6d2a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 20px; margin: 36px 0 10px; }
h3 { font-size: 16px; margin: 0; overflow-wrap: anywhere; } p { margin: 4px 0; } .soft { color: var(--soft); }
a { color: var(--bar); text-decoration: none; } a:hover { text-decoration: underline; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: left; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { color: var(--soft); font-weight: 600; font-size: 13px; } tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; white-space: nowrap; } td.v { max-width: 170px; overflow-wrap: anywhere; }
.notes { background: var(--note); border-left: 4px solid var(--edge); border-radius: 4px; padding: 8px 14px;
  margin: 10px 0; }
.notes ul { margin: 2px 0; padding-left: 18px; } .notes li { overflow-wrap: anywhere; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 18px;
  margin: 12px 0; }
.nw { white-space: nowrap; } .head { display: flex; flex-wrap: wrap; gap: 4px 12px; align-items: baseline; }
.tag { font-size: 12px; border: 1px solid var(--line); border-radius: 10px; padding: 1px 9px; color: var(--soft); }
.tag.lock { border-color: var(--null); color: var(--null); } .tag.key { border-color: var(--bar); color: var(--bar); }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(120px, 1fr)); gap: 6px 16px; margin: 10px 0 0; }
dt { color: var(--soft); font-size: 12px; } dd { margin: 0; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; display: block; } svg text { font-size: 12px; fill: var(--ink); }
.mono { font-family: ui-monospace, monospace; } .bar { fill: var(--bar); } .null { fill: var(--null); }
.rest { fill: var(--rest); } .axis { stroke: var(--soft); }
.line { fill: none; stroke: var(--bar); stroke-width: 2; stroke-linecap: round; } .l1 { stroke: var(--null); }
"""
"""What pages of the library look like; each kind of page may add to it."""


def page(title: str, parts: Iterable[str], *, style: str = "") -> str:
    """Return a whole page of `parts`, which are HTML already; the title is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body><main>"
        f"{''.join(parts)}</main></body></html>\n"
    )


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Return a table of cells that are HTML already; `right` are the columns with numbers.

    A column without anything in it is left out; without rows there is no table.
    """
    lines = list(rows)
    shown = [at for at in range(len(headings)) if any(row[at] for row in lines)]
    kinds = {at: ' class="n"' if at in right else "" for at in shown}
    head = "".join(f"<th{kinds[at]}>{headings[at]}</th>" for at in shown)
    body = "".join(f"<tr>{''.join(f'<td{kinds[at]}>{row[at]}</td>' for at in shown)}</tr>" for row in lines)
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>' if lines else ""


def whole(text: str) -> str:
    """Return text that is not broken into lines."""
    return f'<span class="nw">{escape(text)}</span>'


def tag(text: str, kind: str = "") -> str:
    """Return a small label; nothing for an empty one."""
    return f'<span class="tag {kind}">{escape(text)}</span>' if text else ""
