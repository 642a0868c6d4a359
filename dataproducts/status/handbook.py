"""Sections of a page that tell what a product is: purpose, people, contract, access; it must not know what it attained.

Links are kept only where they lead to the web or to a page beside: a declaration can hold anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

from dataproducts.markup import table, tag
from dataproducts.rules.masking import holds_classified
from dataproducts.rules.wording import describe
from dataproducts.status.charts import neighbours_svg

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dataproducts.product import Column, DataProduct, Rule, Table
    from dataproducts.status.model import Neighbour, Status


def handbook(status: Status, names: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield anchor, title and HTML of each section; a section without anything to tell is empty."""
    product = status.product
    yield "purpose", "Purpose and users", _purpose(product) + _users(product)
    yield "metrics", "Metrics", _metrics(product)
    yield "lineage", "What it is made from, and who reads it", _lineage(status, names)
    yield "contract", "Contract", "".join(_table(one, product) for one in product.tables)
    yield "access", "Access and classification", _access(product)
    yield "people", "Who answers for it", _people(status)


def _purpose(product: DataProduct) -> str:
    design, parts = product.design, []
    said = [(name, product.description.get(name)) for name in ("purpose", "usage", "limitations")]
    said.insert(0, ("need", design.get("need")))
    value = product.value_measure
    facts = "".join(f"<h3>{name.capitalize()}</h3><p>{_text(text)}</p>" for name, text in said if text)
    parts.append(f'<div class="card">{facts}</div>' if facts else "")
    if value:
        parts.append(f"<h3>How its value is measured</h3><p>{_text(value)}</p>")
    decisions = [
        [_text(d.get("name")), _text(d.get("decision")), _text(d.get("owner"))] for d in _entries(design, "decisions")
    ]
    parts.append(f"<h3>Decisions</h3>{table(('', 'decision', 'made by'), decisions)}" if decisions else "")
    pains = "".join(f"<li>{_text(one)}</li>" for one in design.get("pain_points", ()))
    parts.append(f"<h3>Pain points</h3><ul>{pains}</ul>" if pains else "")
    return "".join(parts)


def _users(product: DataProduct) -> str:
    parts = []
    stories = [
        [
            f"As a {_text(one.get('as'))}, I want {_text(one.get('want'))}, so that {_text(one.get('so_that'))}.",
            _listed(one.get("outputs")),
            _listed(one.get("metrics")),
        ]
        for one in _entries(product.design, "user_stories")
    ]
    parts.append(f"<h3>User stories</h3>{table(('story', 'outputs', 'metrics'), stories)}" if stories else "")
    consumers = [
        [
            _text(one.get("persona")),
            _text(one.get("team")),
            _text(one.get("needs")),
            _text(one.get("port")),
            _text(one.get("contact")),
        ]
        for one in product.consumers
    ]
    headings = ("consumer", "team", "needs", "port", "contact")
    parts.append(f"<h3>Declared consumers</h3>{table(headings, consumers)}" if consumers else "")
    parts.append(f"<p>Audience: {_listed(product.audience)}</p>" if product.audience else "")
    return "".join(parts)


def _metrics(product: DataProduct) -> str:
    rows = [
        [
            f"{_text(one.get('name'))}{' <b>north star</b>' if one.get('north_star') else ''}",
            f'<span class="mono">{_text(one.get("formula"))}</span>',
            _text(one.get("unit")),
            _text(one.get("window")),
            _text(one.get("limitations")),
        ]
        for one in _entries(product.design, "metrics")
    ]
    return table(("metric", "formula", "unit", "window", "limits"), rows)


def _lineage(status: Status, names: Mapping[str, str]) -> str:
    before, after = status.upstream, status.downstream
    consumers = [
        (
            str(one.get("persona") or one.get("team") or "consumer"),
            f"declared consumer of {one.get('port') or 'it'}",
            "",
        )
        for one in status.product.consumers
    ]
    drawn = neighbours_svg(
        [_box(one, names) for one in before],
        status.product.address,
        [*(_box(one, names) for one in after), *consumers],
        f"neighbours of {status.product.address}",
    )
    told = f"Reads {len(before)}, is read by {len(after)} products and {len(consumers)} declared consumers."
    return f'<p class="soft">{told}</p><div class="card">{drawn}</div>'


def _box(one: Neighbour, names: Mapping[str, str]) -> tuple[str, str, str]:
    below = ", ".join(one.through)
    return one.name, below if one.is_product else f"source, {below}", names.get(one.name, "")


def _table(one: Table, product: DataProduct) -> str:
    offered = "offered" if one.name in product.published else "internal"
    tags = [tag(f"contract {one.contract_version}"), tag(offered), tag(one.status)]
    if one.partitioning:
        tags.append(tag(f"one partition a {one.partitioning.unit}"))
    columns = [_column(column) for column in one.columns]
    slas = [
        [escape(s.name), escape(f"{s.value} {s.unit}".strip()), escape(s.element), escape(s.driver)] for s in one.slas
    ]
    rules = [_rule(rule) for rule in one.rules]
    parts = [
        f'<div class="head"><h3>{escape(one.name)}</h3>{"".join(tags)}</div>',
        f"<p>{_text(one.description)}</p>",
        table(("column", "type", "", "classification", "description"), columns),
        f"<h4>Promises</h4>{table(('SLA', 'value', 'of', 'driver'), slas)}" if slas else "",
        f"<h4>Rules</h4>{table(('rule', 'dimension', 'severity', 'refuses', 'allowed'), rules)}" if rules else "",
    ]
    return f'<div class="card">{"".join(parts)}</div>'


def _column(column: Column) -> list[str]:
    marks = [
        "key" if column.primary_key else "",
        "required" if column.required else "",
        "unique" if column.unique and not column.primary_key else "",
        "critical" if column.critical else "",
    ]
    hidden = holds_classified((column,))
    return [
        escape(column.name),
        f'<span class="mono">{escape(column.sql_type or column.logical_type)}</span>',
        escape(", ".join(filter(None, marks))),
        tag(column.classification or ("classified inside" if hidden else ""), "lock" if hidden else ""),
        _text(column.description),
    ]


def _rule(rule: Rule) -> list[str]:
    said = rule.description or describe(rule).removesuffix("rejected")
    return [
        f'{escape(rule.name)}<br><span class="soft">{escape(said)}</span>',
        escape(str(rule.dimension)),
        escape(str(rule.severity)),
        "the release" if rule.blocking else "the row" if rule.on_failure == "quarantine" else "nothing",
        escape(str(rule.threshold)),
    ]


def _access(product: DataProduct) -> str:
    classes: dict[str, list[str]] = {}
    for one in product.tables:
        for column in one.columns:
            classes.setdefault(column.classification or "not classified", []).append(f"{one.name}.{column.name}")
    hidden = {c.classification for one in product.tables for c in one.columns if holds_classified((c,))}
    rows = [
        [
            tag(name, "lock" if name in hidden else ""),
            str(len(found)),
            "masked wherever findings, samples and reports are shown" if name in hidden else "shown",
            escape(", ".join(found[:12]) + (f" and {len(found) - 12} more" if len(found) > 12 else "")),  # noqa: PLR2004
        ]
        for name, found in sorted(classes.items())
    ]
    ports = [[escape(p.name), escape(p.version), _text(p.description), escape(p.contract_id)] for p in product.outputs]
    offered = f"<h3>Output ports</h3>{table(('port', 'version', 'what it offers', 'contract'), ports)}" if ports else ""
    return table(("classification", "columns", "values are", "which"), rows, right=(1,)) + offered


def _people(status: Status) -> str:
    product = status.product
    rows = [[escape(one.role), escape(one.name), escape(one.username)] for one in product.members]
    review = status.reviewed
    told = (
        f"Reviewed last on {review.at:%Y-%m-%d} by {escape(review.actor)}."
        if review
        else "No review of it is recorded."
    )
    when = (
        f" Refreshed at {escape(product.schedule.cron)} ({escape(product.schedule.timezone)})."
        if product.schedule
        else ""
    )
    team = f"Team: {escape(product.team)}. " if product.team else ""
    return f"<p>{team}{told}{when}</p>{table(('role', 'name', 'address'), rows)}"


def _entries(design: Mapping[str, Any], key: str) -> Sequence[Mapping[str, Any]]:
    return [one for one in design.get(key, ()) if isinstance(one, Mapping)]


def _listed(values: Any) -> str:
    found: Iterable[Any] = values if isinstance(values, (list, tuple)) else ()
    return escape(", ".join(map(str, found)))


def _text(value: Any) -> str:
    return escape(str(value)) if value is not None else ""
