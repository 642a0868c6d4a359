"""Rules of an organisation that bind every product; it must not know which ones a project has.

A policy looks at one product and yields what it objects to. The builders here are the usual ones; a project lists
those that it wants in its `checks/`, beside policies of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from dataproducts.errors import Fault
from dataproducts.product import DataProduct, Dimension, RuleKind, Severity, Status, Tier
from dataproducts.rules.masking import CLASSIFIED

if TYPE_CHECKING:
    from dataproducts.objective import IndicatorKind
    from dataproducts.product import Column, Table

Policy = Callable[[DataProduct], Iterable[Fault]]

SNAKE_CASE = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"
PERSONAL = (
    r"(^|_)(e_?mail|phone|mobile|birth|dob|first_name|last_name|full_name|surname|given_name|family_name|address|"
    r"street|zip|zip_?code|postal_?code|postcode|ssn|passport|iban|credit_card|ip_address|gender|salary)(_|$)"
)


def apply(policies: Iterable[Policy], products: Iterable[DataProduct]) -> tuple[Fault, ...]:
    """Return what any of `policies` objects to in any of `products`, sorted by file and line."""
    listed = tuple(policies)
    return tuple(sorted({fault for product in products for policy in listed for fault in policy(product)}))


def naming(pattern: str = SNAKE_CASE) -> Policy:
    """Return the policy that names of domains, products, tables and columns match `pattern` as a whole."""
    expression = re.compile(pattern)
    fix = f"Rename it so that it matches {pattern}"

    def judge(product: DataProduct) -> Iterator[Fault]:
        for kind, name in (("domain", product.domain), ("product", product.name)):
            if not expression.fullmatch(name):
                yield Fault(
                    product.mark.path, product.mark.line, f"the {kind} name {name!r} breaks the naming rule", fix
                )
        for table in product.tables:
            if not expression.fullmatch(table.name):
                what = f"the table name {table.name!r} breaks the naming rule"
                yield Fault(table.mark.path, table.mark.line, what, fix)
            for column in table.columns:
                if not expression.fullmatch(column.name):
                    what = f"the column name {column.name!r} breaks the naming rule"
                    yield Fault(column.mark.path, column.mark.line, what, fix)

    return judge


def owner_required(*, roles: Iterable[str] = ("owner",), domain: str = "") -> Policy:
    """Return the policy that every product has a member of each of `roles`, with an address of `domain` if given."""
    wanted = tuple(roles)

    def judge(product: DataProduct) -> Iterator[Fault]:
        for role in wanted:
            members = [member for member in product.members if member.role == role]
            if not members:
                fix = f"Add a member with `role: {role}` under `team`."
                yield Fault(product.mark.path, product.mark.line, f"the product has no {role}", fix)
            for member in members:
                if domain and not member.username.endswith(f"@{domain}"):
                    what = f"{member.username!r}, the product's {role}, is not of {domain}"
                    yield Fault(product.mark.path, product.mark.line, what, f"Name a person of {domain}.")

    return judge


def classification_required(
    pattern: str = PERSONAL, *, classes: Iterable[str] = CLASSIFIED, everywhere: bool = False
) -> Policy:
    """Return the policy that columns which look personal by their name are classified as one of `classes`.

    `everywhere` asks that every other column has some classification too.
    """
    expression, accepted = re.compile(pattern, re.IGNORECASE), tuple(classes)

    def judge(product: DataProduct) -> Iterator[Fault]:
        for table in product.tables:
            for column in _all_columns(table.columns):
                if expression.search(column.name) and column.classification not in accepted:
                    what = f"column {table.name}.{column.name} looks personal and is not classified so"
                    fix = f"Add `classification:` with one of {', '.join(accepted)}."
                    yield Fault(column.mark.path, column.mark.line, what, fix)
                elif everywhere and not column.classification:
                    what = f"column {table.name}.{column.name} has no classification"
                    yield Fault(column.mark.path, column.mark.line, what, "Add `classification`.")

    return judge


def minimum_rules(
    counts: Mapping[Tier, int], *, dimensions: Mapping[Tier, Iterable[Dimension]] | None = None
) -> Policy:
    """Return the policy that each table of a tier has so many rules of severity error, and these dimensions.

    The rule `schema`, which every table has, does not count.
    """
    asked = {tier: tuple(wanted) for tier, wanted in (dimensions or {}).items()}

    def judge(product: DataProduct) -> Iterator[Fault]:
        if product.tier is None:
            return
        for table in product.tables:
            rules = [r for r in table.rules if r.kind not in (RuleKind.SCHEMA, RuleKind.TEXT)]
            errors = [rule for rule in rules if rule.severity is Severity.ERROR]
            least = counts.get(product.tier, 0)
            if len(errors) < least:
                what = f"table {table.name!r} has {len(errors)} rules, and tier {product.tier} asks for {least}"
                yield Fault(table.mark.path, table.mark.line, what, "Add `required`, keys, options or `quality`.")
            missing = [d for d in asked.get(product.tier, ()) if d not in {rule.dimension for rule in rules}]
            if missing:
                what = f"table {table.name!r} has no rule on {', '.join(missing)}, which tier {product.tier} asks for"
                yield Fault(table.mark.path, table.mark.line, what, f"Add a rule of dimension {missing[0]}.")

    return judge


def minimum_slas(properties: Mapping[Tier, Iterable[str]], *, statuses: Iterable[Status] = (Status.ACTIVE,)) -> Policy:
    """Return the policy that each published table of a tier has SLAs of these names, in products of `statuses`."""
    asked = {tier: tuple(names) for tier, names in properties.items()}
    bound = frozenset(statuses)

    def judge(product: DataProduct) -> Iterator[Fault]:
        if product.tier is None or product.status not in bound:
            return
        for table in product.tables:
            missing = _missing_slas(table, asked.get(product.tier, ()))
            if table.name in product.published and missing:
                what = (
                    f"table {table.name!r} promises no {' and no '.join(missing)}, which tier {product.tier} asks for"
                )
                fix = f"Add `{{property: {missing[0]}, value: …, unit: …}}` under `slaProperties`."
                yield Fault(table.mark.path, table.mark.line, what, fix)

    return judge


def _missing_slas(table: Table, names: Iterable[str]) -> list[str]:
    declared = {sla.name for sla in table.slas}
    return [name for name in names if name not in declared]


def minimum_objectives(
    kinds: Mapping[Tier, Mapping[str, Iterable[IndicatorKind]]], *, statuses: Iterable[Status] = (Status.ACTIVE,)
) -> Policy:
    """Return the policy that products of a tier, and of `statuses`, have objectives of these kinds.

    `kinds` says by tier what is asked for in words (`freshness`, `quality`), and which indicators each may have.
    Objectives count wherever they come from: contracts imply most, unless `slo.yaml` drops them.
    """
    asked = {tier: {word: frozenset(some) for word, some in wanted.items()} for tier, wanted in kinds.items()}
    bound = frozenset(statuses)

    def judge(product: DataProduct) -> Iterator[Fault]:
        if product.tier is None or product.status not in bound:
            return
        measured = {objective.indicator.kind for objective in product.objectives}
        for word, some in asked.get(product.tier, {}).items():
            if not measured & some:
                what = f"the product has no objective on {word}, which tier {product.tier} asks for"
                fix = f"Add one to slo.yaml, or do not drop it; indicators: {', '.join(sorted(some))}."
                yield Fault(product.mark.path, product.mark.line, what, fix)

    return judge


def _all_columns(columns: Iterable[Column]) -> Iterator[Column]:
    for column in columns:
        yield column
        yield from _all_columns(column.properties)
        if column.items:
            yield from _all_columns((column.items,))
