"""What is declared, reviewed and probed of a product, as indicators; it must not know what is promised."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.errors import DataProductError
from dataproducts.inputs import transform_inputs
from dataproducts.ledger.rows import published_contracts
from dataproducts.objective import IndicatorKind
from dataproducts.operations.transitions import REVIEW, REVIEWED
from dataproducts.rules.masking import holds_classified
from dataproducts.slo.budget import Tally
from dataproducts.slo.events import Recorded, Span
from dataproducts.slo.freshness import watched
from dataproducts.transforms.lineage import untraced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dataproducts.objective import Indicator
    from dataproducts.operations.transitions import Transition
    from dataproducts.product import Table
    from dataproducts.slo.facts import Facts

ROLES = ("owner", "technicalOwner", "steward")
"""Roles of a team that are to be filled."""

MASK_PROBE = "mask"
"""The kind of probe that tells whether the values of a column, `<table>.<column>`, were masked where they were read."""


def _standing(marks: Iterator[bool] | list[bool]) -> Recorded:
    found = list(marks)
    return Recorded(standing=Tally(sum(found), len(found)))


def _owned(facts: Facts, _indicator: Indicator) -> Recorded:
    roles = {member.role for member in facts.product.members if member.username}
    return _standing([role in roles for role in ROLES])


def _described(facts: Facts, indicator: Indicator) -> Recorded:
    tables = watched(facts.product, indicator)
    texts = [table.description for table in tables]
    texts += [column.description for table in tables for column in table.columns]
    return _standing([bool(text.strip()) for text in texts])


def _classified(facts: Facts, indicator: Indicator) -> Recorded:
    return _standing([bool(c.classification) for table in watched(facts.product, indicator) for c in table.columns])


def _masked(facts: Facts, indicator: Indicator) -> Recorded:
    """By the last probe of each personal column; nothing is counted before the first of them was probed."""
    last = facts.last_probes(MASK_PROBE)
    columns = [
        f"{table.name}.{c.name}" for table in watched(facts.product, indicator) for c in table.columns if _hides(c)
    ]
    return _standing([last.get(name, False) for name in columns] if last.keys() & set(columns) else [])


def _hides(column: object) -> bool:
    return holds_classified((column,))  # type: ignore[arg-type]


def _lineage(facts: Facts, _indicator: Indicator) -> Recorded:
    made = [table for table in facts.product.tables if table.transform is not None]
    return _standing(
        [
            column.name not in unknown
            for table in made
            for unknown in (untraced(table, _schemas(facts, table)),)
            for column in table.columns
        ]
    )


def _schemas(facts: Facts, table: Table) -> dict[str, Mapping[str, str]]:
    """The columns of what a transform reads, as siblings and the published releases of other products have them."""
    found: dict[str, Mapping[str, str]] = {}
    for read in transform_inputs(facts.product, table):
        if read.sibling:
            found[read.name] = {column.name: column.sql_type for column in facts.product.table(read.sibling).columns}
        elif read.port:
            offered = published_contracts(facts.ledger, read.port.contract_id)
            columns = _columns(offered[-1].text, offered[-1].table) if offered else {}
            found |= {read.name: columns} if columns else {}
    return found


@lru_cache(maxsize=256)  # a watch asks every five minutes, and a published contract never changes
def _columns(text: str, name: str) -> Mapping[str, str]:
    try:
        tables, _ = read_tables(parse_yaml(text, name))
    except DataProductError:  # written by another version of the library: its columns are known by name only
        return MappingProxyType({})
    found = {column.name: column.sql_type for table in tables if table.name == name for column in table.columns}
    return MappingProxyType(found)


def _reviewed(what: str) -> Callable[[Facts, Indicator], Recorded]:
    """Return the indicator of reviews of `what`, access or docs; a review that does not say so is of neither."""

    def indicator(facts: Facts, indicator: Indicator) -> Recorded:
        reviews = [step.at for step in facts.steps if step.kind == REVIEW and _is_of(step, what)]
        limit = timedelta(days=float(indicator.params["at_most_days"]))
        begun = max(facts.origin or facts.since, facts.since)
        spans: list[Span] = []
        at = begun
        for review in reviews:
            valid_from, until = max(review, at), min(review + limit, facts.now)
            if until <= at:
                continue
            spans += [Span(at, valid_from, good=False)] if at < valid_from else []
            spans.append(Span(valid_from, until, good=True))
            at = until
        spans += [Span(at, facts.now, good=False)] if at < facts.now else []
        return Recorded(spans=tuple(spans))

    return indicator


def _is_of(step: Transition, what: str) -> bool:
    return what in step.detail.get(REVIEWED, ())


GOVERNANCE: Mapping[IndicatorKind, Callable[[Facts, Indicator], Recorded]] = MappingProxyType(
    {
        IndicatorKind.OWNED: _owned,
        IndicatorKind.DESCRIBED: _described,
        IndicatorKind.CLASSIFIED: _classified,
        IndicatorKind.PERSONAL_DATA_MASKED: _masked,
        IndicatorKind.LINEAGE_COMPLETE: _lineage,
        IndicatorKind.ACCESS_REVIEWED: _reviewed("access"),
        IndicatorKind.DOCS_REVIEWED: _reviewed("docs"),
    }
)
