"""Sections of a page that tell what was recorded: objectives, incidents, changes, cost; it must not know the rest."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

from dataproducts.markup import table, tag, whole
from dataproducts.status.charts import bars_svg, budget_svg, strips_svg, times_svg
from dataproducts.status.model import SPANS
from dataproducts.status.tell import bytes_text, growth_text, percent, span_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.operations.incidents import Incident
    from dataproducts.releases import ReleaseRow
    from dataproducts.slo.evaluate import Attained
    from dataproducts.status.model import Status

_CHARTS, _ROWS, _RELEASES = 6, 20, 12
_REPLAYED = "replayed: "  # of a note
_STATES = {"kept": "good", "burning": "degraded", "spent": "failing", "unmeasured": ""}
_SEVERITIES = {"error": "bad", "warning": "warn", "info": "calm"}
_OUTCOMES = {"released": "calm", "refused": "bad", "failed": "warn"}


def record(status: Status) -> Iterator[tuple[str, str, str]]:
    """Yield anchor, title and HTML of each section; a section without anything to tell is empty."""
    yield "objectives", "Objectives", _objectives(status)
    yield "incidents", "Incidents", _incidents(status)
    yield "changes", "Changes", _changes(status)
    yield "cost", "Cost of refreshes", _cost(status)


def _objectives(status: Status) -> str:
    if not status.attained:
        return '<p class="soft">None is declared or implied by a contract.</p>'
    rows = [_objective(one) for one in sorted(status.attained, key=_urgency)]
    headings = ("objective", "target", *(f"{days} d" for days in SPANS), "budget left", "", "state")
    kept = ", ".join(f"{status.kept(days)[0]} of {status.kept(days)[1]} over {days} d" for days in SPANS)
    told = f'<p class="soft">Targets attained: {kept}. Budgets count over each objective\'s own window.</p>'
    return told + table(headings, rows, right=(1, 2, 3, 4, 5)) + _budgets(status)


def _urgency(one: Attained) -> tuple[float, str]:
    left = one.budget_left
    return (2.0 if left is None else left, one.objective.name)


def _objective(one: Attained) -> list[str]:
    promise, left = one.objective, one.budget_left
    said = [promise.description, f"driver: {promise.driver}" if promise.driver else "", f"over {promise.window}"]
    kind = "bad" if left is not None and left <= 0 else "warn" if one.state == "burning" else "good"
    return [
        f'{escape(promise.name)}<br><span class="soft">{escape(" · ".join(filter(None, said)))}</span>',
        percent(promise.target),
        *(percent(one.over[days].attainment) for days in SPANS),
        percent(left),
        budget_svg(left, f"budget left of {promise.name}: {percent(left)}", kind) if left is not None else "",
        tag(one.state, _STATES[one.state]),
    ]


def _budgets(status: Status) -> str:
    """Charts of the budgets that moved most; one that never moved says nothing."""
    moved = [
        (min(known), budget)
        for budget in status.budgets
        for known in ([left for _, left in budget.history if left is not None],)
        if known and min(known) < max(known)
    ]
    drawn = []
    for _, budget in sorted(moved, key=lambda pair: (pair[0], pair[1].objective))[:_CHARTS]:
        # Below twice what was allowed it does not matter how far.
        line = [(at, None if left is None else max(left, -1.0)) for at, left in budget.history]
        svg = times_svg({"left": line}, say=_share, label=f"budget of {budget.objective}", low=0, high=1, steps=True)
        drawn.append(f'<div class="card"><h4>Budget left of {escape(budget.objective)}</h4>{svg}</div>' if svg else "")
    return f'<div class="plots">{"".join(drawn)}</div>' if any(drawn) else ""


def _share(value: float) -> str:
    return f"{value * 100:.0f} %"


def _incidents(status: Status) -> str:
    if not status.incidents:
        return '<p class="soft">None in the last 90 days.</p>'
    ordered = sorted(status.incidents, key=lambda one: (not one.is_open, -one.opened_at.timestamp()))
    strips = [
        (status.own(one.title), one.failed_at, one.resolved_at or status.at, _SEVERITIES[one.severity])
        for one in sorted(ordered[:_ROWS], key=lambda one: one.failed_at)
    ]
    start = max(status.at - timedelta(days=SPANS[-1]), min(begun for _, begun, _, _ in strips))
    drawn = strips_svg(strips, start, status.at, "incidents over time")
    rows = [_incident(one, status.own(one.title)) for one in ordered[:_ROWS]]
    headings = ("incident", "severity", "state", "opened", "found after", "wrong for", "responsible")
    counts = ", ".join(f"{status.incidents_within(days)} in {days} d" for days in SPANS)
    more = len(ordered) - _ROWS
    left = (
        f'<p class="soft">{more} more are in <span class=mono>dataproducts incidents list</span>.</p>'
        if more > 0
        else ""
    )
    return (
        f'<p class="soft">Opened or reopened: {counts}.</p><div class="card">{drawn}</div>{table(headings, rows)}{left}'
    )


def _incident(one: Incident, title: str) -> list[str]:
    runbook = str(one.detail.get("runbook") or "")
    link = f' <a href="{escape(runbook)}">runbook</a>' if runbook.startswith(("https://", "http://")) else ""
    message = str(one.detail.get("message") or "")
    below = f'<br><span class="soft">{escape(message)}</span>' if message else ""
    return [
        f"{escape(title)}{link}{below}",
        tag(str(one.severity), {"error": "failing", "warning": "degraded"}.get(one.severity, "")),
        escape(one.state),
        whole(f"{one.opened_at:%Y-%m-%d %H:%M}"),
        whole(span_text(one.time_to_detect)),
        whole(span_text(one.time_to_repair) if one.time_to_repair is not None else "until now"),
        escape((one.responsible or "nobody").partition("@")[0]),
    ]


def _changes(status: Status) -> str:
    parts = []
    if status.transitions:
        rows = [
            [
                whole(f"{step.at:%Y-%m-%d %H:%M}"),
                escape(step.kind),
                escape(
                    f"{step.from_status} to {step.to_status}" if step.from_status != step.to_status else step.to_status
                ),
                escape(step.actor),
                escape(step.reason),
            ]
            for step in reversed(status.transitions)
        ]
        parts.append("<h3>Lifecycle</h3>" + table(("when", "step", "status", "by", "reason"), rows))
    if status.releases:
        rows = [_release(one) for one in status.releases[:_RELEASES]]
        headings = ("release", "published", "kind", "rows", "made from", "revision", "note")
        more = (
            f" The last {_RELEASES}; <span class=mono>dataproducts releases list</span> has all."
            if len(status.releases) > _RELEASES
            else ""
        )
        parts.append(f"<h3>Releases</h3><p class=soft>Newest first.{more}</p>" + table(headings, rows, right=(3,)))
    return "".join(parts) or '<p class="soft">No release and no step is recorded.</p>'


def _release(one: ReleaseRow) -> list[str]:
    inputs = ", ".join(f"{name} #{number}" for name, number in sorted(one.inputs.items()))
    return [
        f"#{one.release}{' <b>now</b>' if one.is_head else ''}",
        whole(f"{one.published_at:%Y-%m-%d %H:%M}"),
        escape(one.kind),
        f"{sum(held.rows for held in one.tables.values()):,}",
        escape(inputs),
        f'<span class="mono">{escape(one.git_sha[:10])}</span>' if one.git_sha else "",
        # That the clock is simulated stands on top of the page.
        escape("; ".join(part for part in one.note.split("; ") if not part.startswith(_REPLAYED))),
    ]


def _cost(status: Status) -> str:
    cost = status.cost
    if cost.last is None:
        return '<p class="soft">No refresh was measured in the last 90 days.</p>'
    last = cost.last
    rows = [
        [
            "last refresh",
            span_text(last.wall_s),
            span_text(last.cpu_s),
            f"{last.rows:,}",
            bytes_text(last.bytes),
            last.outcome,
        ],
        [
            f"median of {cost.released} released of {cost.refreshes} in 28 d",
            span_text(cost.wall_s),
            span_text(cost.cpu_s),
            f"{cost.rows:,.0f}" if cost.rows is not None else "-",
            bytes_text(cost.bytes),
            f"{growth_text(cost.growth)} seconds on the 28 d before",
        ],
    ]
    told = table(("", "seconds", "of processors", "rows written", "bytes written", ""), rows, right=(1, 2, 3, 4))
    tables = [
        [
            escape(name),
            span_text(found.get("wall_s")),
            span_text(found.get("cpu_s")),
            f"{found.get('rows', 0):,}",
            bytes_text(found.get("bytes")),
        ]
        for name, found in last.detail.get("tables", {}).items()
    ]
    parts = table(("table, last refresh", "seconds", "of processors", "rows", "bytes"), tables, right=(1, 2, 3, 4))
    names = {kind: outcome for outcome, kind in _OUTCOMES.items()}
    seconds = [(one.at, one.wall_s, _OUTCOMES.get(one.outcome, "calm")) for one in status.costs]
    size = [(one.at, float(one.rows), _OUTCOMES.get(one.outcome, "calm")) for one in status.costs]
    drawn = (
        (
            "Seconds of each refresh",
            bars_svg(seconds, say=lambda v: f"{v:.3g} s", label="seconds of refreshes", names=names),
        ),
        ("Rows written", bars_svg(size, say=_short, label="rows written by refreshes", names=names)),
    )
    plots = "".join(f'<div class="card"><h4>{title}</h4>{svg}</div>' for title, svg in drawn)
    return f'{told}<div class="plots">{plots}</div>{parts}'


def _short(count: float) -> str:
    for unit in ("", " k", " M"):
        if count < 1000:  # noqa: PLR2004 - a thousand
            return f"{count:.3g}{unit}"
        count /= 1000
    return f"{count:.3g} G"
