"""What a rule reads beside the rows that it judges; it must not run queries or resolve names to tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import UsageError
from dataproducts.product import RuleKind, TableRef
from dataproducts.rules.confine import table_names
from dataproducts.sql import quote

if TYPE_CHECKING:
    from dataproducts.product import Rule, Table

_QUERIES = {RuleKind.SQL: ("query",), RuleKind.RECONCILIATION: ("query", "control")}


def query_of(rule: Rule, table: Table, *, key: str = "query") -> str:
    """Return a query of a rule with the standard's placeholders filled in, and without a closing semicolon."""
    query = str(rule.params.get(key, "")).strip().rstrip(";")
    for word, name in (("object", table.name), ("property", rule.columns[0] if rule.columns else "")):
        if name:
            query = query.replace(f"${{{word}}}", quote(name)).replace(f"{{{word}}}", quote(name))
    return query


def queries_of(rule: Rule, table: Table) -> tuple[str, ...]:
    """Return every query of `rule`, as `query_of` gives them; none, if rules of its kind have none."""
    return tuple(query_of(rule, table, key=key) for key in _QUERIES.get(rule.kind, ()))


def rule_reads(rule: Rule, table: Table) -> tuple[TableRef | str, ...]:
    """Return the other tables that `rule` reads: addresses of foreign keys, bare names of queries.

    A query that cannot be read names none: its rule fails when it is judged.
    """
    if rule.kind is RuleKind.FOREIGN_KEY and isinstance(rule.params.get("to"), TableRef):
        return (rule.params["to"],)
    found: dict[str, None] = {}
    for query in queries_of(rule, table):
        try:
            found |= dict.fromkeys(name for name in table_names(query) if name.lower() != table.name.lower())
        except UsageError:
            continue
    return tuple(found)
