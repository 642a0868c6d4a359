"""Whether `design.yaml` fits the product that it explains; it must not know how files are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.declare.fields import entries, listing, text
from dataproducts.declare.prose import complain
from dataproducts.errors import Fault, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dataproducts.declare.positions import Document
    from dataproducts.declare.telling import Place
    from dataproducts.product import DataProduct

_PROSE = {
    "decisions": ("name", "decision", "owner"),
    "stakeholders": ("name", "insight"),
    "user_stories": ("as", "want", "so_that"),
    "metrics": ("name", "formula", "unit", "grain"),
    "notes": ("title", "text"),
}


def check_design(product: DataProduct, document: Document, *, unread: frozenset[str] = frozenset()) -> list[Fault]:
    """Return the faults of a design: placeholders, and outputs, metrics and columns that do not exist.

    `unread` are tables of the product whose contract could not be read: anything may be a column of theirs.
    """
    metrics = _judge_metrics(product, document, unread)
    return [*_judge_prose(document), *_judge_stories(product, document), *metrics]


def _judge_prose(document: Document) -> Iterator[Fault]:
    data = document.data
    if isinstance(data, dict) and isinstance(data.get("need"), str) and (said := complain(data["need"], words=3)):
        yield document.fault(("need",), f"the need {said}", "Write in a sentence which need the product meets.")
    for at, pain in enumerate(listing(data, "pain_points")):
        if isinstance(pain, str) and (said := complain(pain, words=2)):
            yield document.fault(("pain_points", at), f"the pain point {said}", "Write what hurts today.")
    for key, fields in _PROSE.items():
        for entry, place in entries(data, key):
            for name in fields:
                if isinstance(entry.get(name), str) and (said := complain(text(entry, name))):
                    what = f"`{name}` of {key.rstrip('s').replace('_', ' ').replace('storie', 'story')} {said}"
                    yield document.fault((*place, name), what, "Write what readers need to know.")


def _judge_stories(product: DataProduct, document: Document) -> Iterator[Fault]:
    ports = sorted({port.name for port in product.outputs})
    metrics = sorted(text(entry, "name") for entry, _ in entries(document.data, "metrics"))
    for entry, place in entries(document.data, "user_stories"):
        for key, known, kind in (("outputs", ports, "output port"), ("metrics", metrics, "metric of this file")):
            for at, name in enumerate(listing(entry, key)):
                if name not in known:
                    what = f"a user story is answered by {name!r}, which is no {kind}"
                    yield document.fault((*place, key, at), what, suggest(str(name), known).strip())


def _judge_metrics(product: DataProduct, document: Document, unread: frozenset[str]) -> Iterator[Fault]:
    columns = {table.name: [column.name for column in table.columns] for table in product.tables}
    ports = {port.name for port in product.inputs} | unread
    for entry, place in entries(document.data, "metrics"):
        for at, name in enumerate(listing(entry, "columns")):
            table, _, column = str(name).partition(".")
            where: Place = (*place, "columns", at)
            if table in columns and column not in columns[table]:
                what = f"a metric is computed from {name!r}, and {table!r} has no column {column!r}"
                yield document.fault(where, what, suggest(column, columns[table]).strip())
            elif table not in columns and table not in ports:
                what = f"a metric is computed from {name!r}, and {table!r} is no table or input port"
                yield document.fault(where, what, suggest(table, sorted({*columns, *ports})).strip())
