"""What verdicts say is wrong with tables, or right again; it must not know why a refresh came to nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from dataproducts.finding import Finding, FindingKind, Subject
from dataproducts.findings.look import Look
from dataproducts.ledger import news
from dataproducts.ledger.rows import refresh_of
from dataproducts.product import Severity, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from dataproducts.ledger.news import Judged
    from dataproducts.product import DataProduct
    from dataproducts.release import StoredResult

_LISTED = 20  # partitions that a finding names
_USUAL = {"severity": "error", "criticality": "medium"}


def severity_of(
    product: DataProduct | None, *, severity: str = Severity.ERROR, criticality: str = "medium", blocking: bool = False
) -> Severity:
    """Return how bad it is that a rule failed, or that a refresh did; `docs/incidents.md` has the table."""
    tier = product.tier if product else None
    grade = list(Severity).index(Severity(severity))
    if blocking:
        return Severity.ERROR
    if criticality == "high" and tier is Tier.GOLD:
        grade -= 1
    elif criticality == "low" and tier is not Tier.GOLD:
        grade += 1
    return list(Severity)[min(max(grade, 0), len(Severity) - 1)]


@dataclass(frozen=True, slots=True)
class Rules(Look):
    """Looks at the results of rules."""

    def standing(self) -> None:
        """Note every rule whose newest result is bad, whenever that was."""
        bad = [row for row in news.standing(self.con, self.product.address) if not row.passed]
        bad.sort(key=lambda row: (row.table, row.rule))
        for _, rows in groupby(bad, key=lambda row: (row.table, row.rule)):
            self._failed(list(rows))

    def judged(self, rows: Iterable[Judged], until: int) -> None:
        """Note what the new results `rows` say, refresh by refresh; `until` is the last one that was read before."""
        by_rule: dict[Subject, list[Judged]] = {}
        for row in rows:
            by_rule.setdefault(self._rule(row), []).append(row)
        for subject, results in by_rule.items():
            if subject.fingerprint in self.notes.open or not all(row.passed for row in results):
                self._follow(subject, results, until)

    def _follow(self, subject: Subject, results: Sequence[Judged], until: int) -> None:
        before = news.standing(self.con, subject.product, table=subject.table, rule=subject.name, until=until)
        bad = {row.partition: row for row in before if not row.passed}
        for _, group in groupby(results, key=lambda row: row.refresh_id):
            rows, was_bad = list(group), len(bad)
            for row in rows:
                bad.pop(row.partition, None)
                if not row.passed:
                    bad[row.partition] = row
            # Of several attempts of one refresh, the last one counts.
            if any(bad.get(row.partition) is row for row in rows):
                self._failed(list(bad.values()))
            elif not bad:
                told = {"order": rows[-1].id, "refresh_id": rows[-1].refresh_id, "reason": "found good"}
                self.notes.right(subject, self.past(rows[-1].judged_at), told)
            elif len(bad) < was_bad:
                self._fewer(subject, list(bad.values()))

    def _failed(self, bad: Sequence[Judged]) -> None:
        newest = max(bad, key=lambda row: row.id)
        refresh = refresh_of(self.con, newest.refresh_id, newest.product)
        seen_at = self.past(newest.judged_at)
        began = self.past(refresh.started_at) if refresh else seen_at
        self.notes.wrong(self._of_rule(bad, newest, seen_at, failed_at=min(began, seen_at)))

    def _fewer(self, subject: Subject, bad: Sequence[Judged]) -> None:
        """Bring the partitions of what stays wrong up to date: a sighting that was counted is not counted again."""
        before = self.notes.open.get(subject.fingerprint)
        sightings = before.detail.get("sightings") or [before.detail.get("sighting")] if before else []
        if before is not None and sightings[-1:] != [None]:
            newest = max(bad, key=lambda row: row.id)
            told = self._of_rule(bad, newest, before.seen_at or self.now, failed_at=before.failed_at)
            detail = dict(told.detail) | {"sighting": sightings[-1]}
            self.notes.findings.append(replace(told, severity=before.severity, detail=detail))

    def _of_rule(self, bad: Sequence[Judged], newest: Judged, seen_at: datetime, *, failed_at: datetime) -> Finding:
        whole = news.results(self.con, (row.id for row in bad))
        result = whole[newest.id]
        partitions = sorted(row.partition for row in bad if row.partition)
        reason = str(result.detail.get("error") or result.detail.get("message") or "")
        where = f" in {len(partitions)} partitions" if len(partitions) > 1 else "".join(f" in {p}" for p in partitions)
        detail = {
            "message": reason,
            "partitions": partitions[:_LISTED],
            "partition_count": len(partitions),
            "number": result.detail.get("observed"),
            "threshold": result.detail.get("threshold"),
            "failed_rows": _total(whole.values()),
            "dimension": result.detail.get("dimension"),
            "blocking": result.blocking,
            "published": result.detail.get("published", False),
            "sample": result.detail.get("sample", ()),
            # A ledger that is restored gives out the same ids again.
            "sighting": f"result {newest.id} of {newest.refresh_id}",
            "order": newest.id,
        }
        worst = min((self._severity(one) for one in whole.values()), key=list(Severity).index)
        title = f"{self.product.address}.{newest.table}: rule {newest.rule} failed{where}"
        came = self.came(result.refresh_id, result.run_id)
        return Finding(self._rule(newest), title, worst, failed_at, seen_at, detail | came)

    def _severity(self, result: StoredResult) -> Severity:
        told = {name: str(result.detail.get(name) or usual) for name, usual in _USUAL.items()}
        return severity_of(self.product, **told, blocking=result.blocking)

    def _rule(self, row: Judged) -> Subject:
        return Subject(row.product, FindingKind.CHECK, row.rule, row.table)


def _total(results: Iterable[StoredResult]) -> int | None:
    counted = [result.detail["failed_rows"] for result in results if result.detail.get("failed_rows") is not None]
    return sum(counted) if counted else None
