"""What a rule reads beside the rows that it judges; it must not run queries or resolve names to tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataproducts.errors import UsageError
from dataproducts.product import RuleKind, TableRef
from dataproducts.rules.confine import table_names
from dataproducts.sql import quote

if TYPE_CHECKING:
    from dataproducts.product import Rule, Table


def query_of(rule: Rule, table: Table) -> str:
    """Return the query of a SQL rule with the standard's placeholders filled in, and without a closing semicolon."""
    query = str(rule.params.get("query", "")).strip().rstrip(";")
    for word, name in (("object", table.name), ("property", rule.columns[0] if rule.columns else "")):
        if name:
            query = query.replace(f"${{{word}}}", quote(name)).replace(f"{{{word}}}", quote(name))
    return query


def rule_reads(rule: Rule, table: Table) -> tuple[TableRef | str, ...]:
    """Return the other tables that `rule` reads: addresses of foreign keys, bare names of SQL rules.

    A query that cannot be read names none: its rule fails when it is judged.
    """
    if rule.kind is RuleKind.FOREIGN_KEY and isinstance(rule.params.get("to"), TableRef):
        return (rule.params["to"],)
    if rule.kind is RuleKind.SQL:
        try:
            return tuple(name for name in table_names(query_of(rule, table)) if name.lower() != table.name.lower())
        except UsageError:
            return ()
    return ()
