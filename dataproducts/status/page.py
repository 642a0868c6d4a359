"""Pages of HTML: how a product is doing, which is its handbook as well, and an index; it must not compute a fact.

Nothing is loaded and nothing runs: a page can be mailed, printed and kept. No value of the data is on it; names,
descriptions and reasons of people are text, whatever they hold.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from dataproducts import markup
from dataproducts.markup import table, tag, whole
from dataproducts.status.charts import meter_svg, ring_svg, times_svg
from dataproducts.status.handbook import handbook
from dataproducts.status.record import record
from dataproducts.status.tell import bytes_text, percent, score_text, span_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dataproducts.status.health import Component
    from dataproducts.status.model import Status

STYLE = """
:root { --good: #2c8a57; --warn: #b97a10; --bad: #b8322a; --over: #f3d9d6; }
@media (prefers-color-scheme: dark) { :root { --good: #57b883; --warn: #dba33f; --bad: #e4736a; --over: #4a2825; } }
@media print { :root { --ink: #000; --soft: #444; --line: #bbb; --page: #fff; --card: #fff; --bar: #3b6fb6;
  --rest: #e6e9ee; --note: #fff; } main { max-width: none; padding: 0; } nav { display: none; }
  .card, tr, svg { break-inside: avoid; } h2, h3 { break-after: avoid; } .scroll { overflow: visible; }
  a { color: inherit; } body { font-size: 12px; print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
header { margin-bottom: 14px; } header h1 { overflow-wrap: anywhere; } header p { max-width: 76ch; }
.tags { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; }
.tag.good { border-color: var(--good); color: var(--good); } .tag.degraded { border-color: var(--warn);
  color: var(--warn); } .tag.failing, .tag.retired { border-color: var(--bad); color: var(--bad); }
.tag.strong { font-weight: 700; }
.banner { border-left: 4px solid var(--edge); background: var(--note); border-radius: 4px; padding: 8px 14px;
  margin: 8px 0; overflow-wrap: anywhere; } .banner.failing, .banner.retired { border-color: var(--bad); }
nav { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 14px 0; font-size: 14px; }
.top { display: grid; grid-template-columns: 170px minmax(0, 1fr); gap: 10px 26px; align-items: center; }
@media (max-width: 640px) { .top { grid-template-columns: minmax(0, 1fr); } }
.ring { max-width: 150px; margin: 0 auto; } .track { fill: none; stroke: var(--rest); stroke-width: 9; }
.arc { fill: none; stroke-width: 9; stroke-linecap: round; } svg text.big { font-size: 25px; font-weight: 700; }
svg text.small { font-size: 10.5px; fill: var(--soft); }
.arc.good { stroke: var(--good); } .arc.warn { stroke: var(--warn); } .arc.bad { stroke: var(--bad); }
.arc.none { stroke: none; } rect.good, .fill.good { fill: var(--good); } rect.warn, .fill.warn { fill: var(--warn); }
rect.bad, .fill.bad { fill: var(--bad); } .fill.calm { fill: var(--bar); }
rect.middle { fill: var(--ink); }
svg.meter { width: 90px; height: 8px; display: inline-block; vertical-align: middle; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 10px; margin: 12px 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 9px 13px; }
.tile b { display: block; font-size: 19px; font-weight: 650; line-height: 1.35; overflow-wrap: anywhere; }
.tile span { font-size: 12px; color: var(--soft); } .tile.bad b { color: var(--bad); }
.tile.warn b { color: var(--warn); } .tile.good b { color: var(--good); }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(400px, 100%), 1fr)); gap: 12px;
  margin: 12px 0; } .plots .card { margin: 0; }
h4 { font-size: 13px; color: var(--soft); margin: 0 0 4px; font-weight: 600; }
.grid { stroke: var(--line); } .cut { fill: var(--card); } .dot { fill: var(--bar); } .d1 { fill: var(--null); }
.edge { fill: none; stroke: var(--soft); stroke-width: 1.2; } .box { fill: var(--card); stroke: var(--line); }
.box.own { fill: var(--bar); stroke: none; } svg text.own { fill: var(--card); font-weight: 700; }
td { overflow-wrap: break-word; } .tag { white-space: nowrap; }
td .soft { font-size: 13px; } ul { margin: 4px 0; padding-left: 20px; }
section h3 { margin: 16px 0 6px; } .head h3 { margin: 0; } h4 { margin-top: 10px; }
.plots h4 { margin-top: 0; } footer { margin-top: 40px; font-size: 13px; color: var(--soft); }
"""

_GOOD, _FAIR = 90.0, 70.0


def product_page(status: Status, names: Mapping[str, str] | None = None) -> str:
    """Return the page of one product; `names` are the files of other products' pages, by address."""
    sections = [*_sections(status, names or {})]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    parts = [
        *_head(status, "index.html" if names else ""),
        f"<nav>{links}</nav>",
        *_health(status),
        *(f'<section id="{anchor}"><h2>{title}</h2>{content}</section>' for anchor, title, content in sections),
        _foot(status),
    ]
    return markup.page(f"{status.product.address}: {status.state}", parts, style=STYLE)


def index_page(found: Sequence[Status], names: Mapping[str, str]) -> str:
    """Return a page that lists `found`, each with a link to its own."""
    rows = [_entry(one, names[one.product.address]) for one in found]
    headings = ("product", "health", "state", "data age", "open", "budget left", "release", "owner")
    parts = [
        "<header><h1>Data products</h1></header>",
        *(_clock(found[0]) if found else ()),
        table(headings, rows, right=(3, 4, 5)),
        _foot(found[0]) if found else "",
    ]
    return markup.page("Data products", parts, style=f"{STYLE}.scroll td:first-child {{ min-width: 260px; }}")


def _entry(one: Status, file: str) -> list[str]:
    product, least, owner = one.product, one.least_budget, one.product.owner
    name = f'<a href="{escape(file)}">{escape(product.address)}</a>'
    when = whole(f"{one.releases[0].published_at:%Y-%m-%d}") if one.releases else ""
    return [
        f'{name}<br><span class="soft">{escape(product.purpose)}</span>',
        score_cell(one.health.score),
        tag(str(one.state), f"strong {one.state}") + (tag(str(one.standing.status)) if one.standing.warning else ""),
        escape(span_text(one.age)),
        str(len(one.open_incidents)),
        escape(percent(least.budget_left if least else None)),
        f"#{one.releases[0].release}, {when}" if one.releases else "none",
        _owner(owner.name or owner.username if owner else "nobody"),
    ]


def _owner(name: str) -> str:
    """Return a name that may break where an e-mail address does, and is copied without the breaks."""
    return escape(name).replace("@", "@<wbr>").replace(".", ".<wbr>")


def score_cell(score: float | None) -> str:
    """Return a score with its bar."""
    share = None if score is None else score / 100
    bar = meter_svg(share, f"health {score_text(score)}", grade(score))
    return f'<span class="nw">{bar} {score_text(score)}</span>'


def grade(value: float | None) -> str:
    """Return which colour a value from 0 to 100 has: good from 90, warn from 70, else bad."""
    if value is None:
        return "none"
    return "good" if value >= _GOOD else "warn" if value >= _FAIR else "bad"


def _sections(status: Status, names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for anchor, title, content in (*record(status), *handbook(status, names)):
        if content:
            yield anchor, title, content


def _head(status: Status, index: str) -> Iterator[str]:
    product = status.product
    back = f'<p><a href="{index}">All data products</a></p>' if index else ""
    tier = f"{status.shown_tier} (declared {product.tier})" if status.shown_tier != product.tier else product.tier
    tags = [
        tag(str(status.state), f"strong {status.state}"),
        tag(str(status.standing.status), str(status.standing.status)),
        tag(f"version {product.version}"),
        tag(f"tier {tier}" if tier else ""),
        tag(str(product.layer)),
        *(tag(f"#{name}") for name in product.tags),
    ]
    yield f"<header>{back}<h1>{escape(product.address)}</h1><p>{escape(product.purpose)}</p>"
    yield f'<div class="tags">{"".join(tags)}</div></header>'
    yield from _clock(status)
    if status.standing.warning:
        yield f'<div class="banner retired"><b>{escape(status.standing.warning)}</b></div>'
    if status.standing.drift:
        yield f'<div class="banner">{escape(status.standing.drift)}</div>'
    reasons = [(state, message) for state, message in status.reasons if message != status.standing.warning]
    if reasons:
        items = "".join(f"<li>{escape(message)}</li>" for _, message in reasons)
        yield f'<div class="banner {reasons[0][0]}"><b>Why it is {status.state}</b><ul>{items}</ul></div>'


def _clock(status: Status) -> Iterator[str]:
    if status.clock is not None:
        how = "records are dated by it" if status.is_replay else "the age of data counts by it"
        yield f'<div class="banner"><b>The clock is simulated</b>: {status.clock:%Y-%m-%d %H:%M} UTC; {how}.</div>'


def _health(status: Status) -> Iterator[str]:
    health = status.health
    rows = [_component(one) for one in health.components]
    known = {"score": [(one.at, one.score) for one in status.scores]}
    trend = times_svg(known, say=score_text, label="health over time", low=50, high=100, steps=True)
    text = score_text(health.score)
    yield f'<div class="card"><div class="top">{ring_svg(health.score, text, grade(health.score))}'
    yield f"<div>{table(('health is made of', 'weight', 'value', 'because'), rows, right=(1,))}</div></div></div>"
    if health.missing:
        yield f'<p class="soft">Left out, for it could not be told: {", ".join(health.missing)}.</p>'
    yield _tiles(status)
    plots = [("Health over time", trend), ("Rules judged at each refresh, and how many failed", _quality(status))]
    drawn = "".join(f'<div class="card"><h4>{title}</h4>{svg}</div>' for title, svg in plots if svg)
    yield f'<div class="plots">{drawn}</div>' if drawn else ""


def _component(one: Component) -> list[str]:
    share = None if one.value is None else one.value / 100
    value = f"{meter_svg(share, one.name, grade(one.value))} {score_text(one.value) if share is not None else ''}"
    return [escape(one.name), f"{one.weight:g}", value, f'<span class="soft">{escape(one.why)}</span>']


def _quality(status: Status) -> str:
    lines = {
        "rules judged": [(one.at, float(one.rules)) for one in status.judged],
        "failed": [(one.at, float(one.failed)) for one in status.judged],
    }
    return times_svg(lines, say=lambda value: f"{value:.0f}", label="rules judged and failed", low=0)


def _tiles(status: Status) -> str:
    cost, least, card = status.cost, status.least_budget, status.scorecard
    release = status.releases[0] if status.releases else None
    since = status.days_since_breach
    left = least.budget_left if least else None
    worst = next((str(one.severity) for one in status.open_incidents), "")
    tiles = [
        (
            f"#{release.release}" if release else "none",
            f"release, {release.published_at:%Y-%m-%d %H:%M}" if release else "release",
            "",
        ),
        (span_text(status.age), "age of the oldest table", ""),
        (
            str(len(status.open_incidents)),
            f"open incidents, {status.incidents_within(28)} in 28 d",
            {"error": "bad", "warning": "warn"}.get(worst, ""),
        ),
        (
            percent(left),
            f"least budget left: {least.objective.name}"
            if least and (left or 0) < 1
            else "budget left of every objective",
            "" if left is None else "bad" if left <= 0 else "",
        ),
        (_since(since), "since something was wrong", ""),
        (span_text(cost.last.wall_s) if cost.last else "-", "last refresh", ""),
        (
            f"{sum(one.rows for one in status.tables):,}",
            f"rows, {bytes_text(sum(one.bytes for one in status.tables))}",
            "",
        ),
        *(
            (percent(share), f"{name}{' over 28 d' if name != 'usability' else ': described'}", "")
            for name, share in card.items()
        ),
    ]
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile {kind}"><b>{escape(value)}</b><span>{escape(below)}</span></div>'
            for value, below, kind in tiles
        )
        + "</div>"
    )


def _since(days: float | None) -> str:
    return "no breach known" if days is None else "wrong now" if days == 0 else f"{days:.1f} d"


def _foot(status: Status) -> str:
    return (
        f"<footer>As recorded in environment {escape(status.environment)} by {status.at:%Y-%m-%d %H:%M} UTC. "
        "No value of the data is shown on this page.</footer>"
    )
