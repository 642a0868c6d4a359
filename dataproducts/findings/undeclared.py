"""Incidents about what a product does not declare any more: nobody will judge it again, so that nothing ends them.

Whoever looks may have read the files before the one who built from newer ones, and must not take what it does not know
for something that is gone. The ledger tells: files that nobody has built from yet are the newest there are, and with
any others one waits until something was made without what they do not declare.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dataproducts.finding import FindingKind
from dataproducts.findings.look import Look
from dataproducts.ledger import news
from dataproducts.ledger.rows import head_number
from dataproducts.operations.incidents import Incident

if TYPE_CHECKING:
    from dataproducts.finding import Subject
    from dataproducts.product import Table

REASON = "not declared any more"
"""What the timeline says of an incident that ended so."""

_OF_TABLES = {FindingKind.SOURCE, FindingKind.REFUSED, FindingKind.PIPELINE, FindingKind.CHECK}


@dataclass(frozen=True, slots=True)
class Undeclared(Look):
    """Looks at what is open about rules and tables that are not declared."""

    def note(self) -> None:
        """Note as right what is open about them and will not be judged again."""
        tables = {table.name: table for table in self.product.tables}
        for incident in list(self.notes.open.values()):
            if not isinstance(incident, Incident) or not self._is_mine(incident):
                continue
            about = incident.about
            table = tables.get(about.table)
            if table is None:
                is_gone = self.is_newer(tables.values()) or self._is_released_without(incident)
            else:
                is_gone = self._is_rule_gone(about, table)
            if is_gone:
                self.notes.right(about, self.now, {"reason": REASON})

    def _is_mine(self, incident: Incident) -> bool:
        is_mine = incident.product == self.product.address and incident.kind in _OF_TABLES and bool(incident.table)
        # Checks of Dagster's that are no rules are Dagster's to find good.
        return is_mine and not (incident.kind is FindingKind.CHECK and incident.detail.get("origin") == "dagster")

    def _is_rule_gone(self, about: Subject, table: Table) -> bool:
        declared = {rule.name for rule in table.rules}
        if about.kind is not FindingKind.CHECK or about.name in declared:
            return False
        if self.is_newer([table]):
            return True
        rows = news.standing(self.con, about.product, table=about.table)
        mine = max((row for row in rows if row.rule == about.name), key=lambda row: row.id, default=None)
        later = max((row for row in rows if row.rule in declared), key=lambda row: row.id, default=None)
        if mine is None or later is None:
            return mine is None
        return later.id > mine.id and later.refresh_id != mine.refresh_id

    def _is_released_without(self, incident: Incident) -> bool:
        """Whether a release was made since that has not the table that `incident` is about."""
        head = head_number(self.con, self.product.address)
        if head is None or head <= (incident.detail.get("release") or 0):
            return False
        return incident.table not in news.tables_of(self.con, self.product.address, head)
