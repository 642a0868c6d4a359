"""What the ledger recorded since the last look, as findings and recoveries; it must not know incidents' lives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dataproducts.finding import Finding, FindingKind, Recovery, Subject
from dataproducts.ledger import news
from dataproducts.ledger.rows import head_number, refresh_of
from dataproducts.operations import bookmark, move_bookmark
from dataproducts.operations import incidents as kept
from dataproducts.product import Severity, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy import Connection

    from dataproducts.ledger import Attempt, Ledger
    from dataproducts.ledger.news import Begun, Judged, Published
    from dataproducts.operations.incidents import Incident
    from dataproducts.product import DataProduct
    from dataproducts.release import Refresh, StoredResult

REFRESH, RELEASE, SOURCES = "refresh", "release", "sources"
"""Names of what is wrong with a refresh, a release, or sources that no table names."""

ORIGIN = "refresh"
"""What `detail.origin` says of a finding about a refresh: a release closes it."""

PATIENCE = timedelta(hours=2)
"""How long a refresh may go on before it counts as killed, where nobody can tell whether its run is alive."""

IsAlive = Callable[["Refresh"], bool | None]
"""Whether the run of a refresh goes on: true, false, or None where that is not known."""

_LISTED = 20  # partitions and tables that a finding names
_KINDS = {
    "unread": FindingKind.SOURCE,
    "refused": FindingKind.REFUSED,
    "failed": FindingKind.PIPELINE,
    "started": FindingKind.PIPELINE,
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the ledger brought to light, in the order in which the ledger has it."""

    findings: tuple[Finding, ...]
    recoveries: tuple[Recovery, ...]


def read_findings(
    ledger: Ledger,
    con: Connection,
    products: Mapping[str, DataProduct],
    *,
    now: datetime,
    is_alive: IsAlive = lambda _refresh: None,
    patience: timedelta = PATIENCE,
) -> Found:
    """Return what the ledger recorded about `products` since the last look, and move the bookmarks of `con`.

    Whoever records what is returned does so in the same transaction of the operations database: either both are
    committed, or the next look finds the same again. A first look at a product tells how things stand, not how they
    came to be so. Raises: StoreError, if either database cannot be read.
    """
    known = kept.open_about(con, products)
    found = _Notes([], [], dict(known))
    with ledger.reading() as there:
        marks = {address: _Mark.of(bookmark(con, _name(address))) for address in products}
        last = news.last_result(there)
        starts = [mark.result for mark in marks.values() if mark is not None]
        rows = news.judged_after(there, min(starts)) if starts and min(starts) < last else []
        for address, product in products.items():
            mark, look = marks[address], _Look(there, product, now, found, is_alive, patience)
            if mark is None:
                look.standing()
            else:
                look.judged([row for row in rows if row.product == address and row.id > mark.result], mark.result)
            look.undeclared()
            after = replace(look.refreshes(mark), result=last)
            if after != mark:
                move_bookmark(con, _name(address), after.text, now=now)
    return Found(tuple(found.findings), tuple(found.recoveries))


def pipeline_subject(product: str) -> Subject:
    """Return what a run of `product` that crashed, was killed or never started is about: one incident for them all."""
    return Subject(product, FindingKind.PIPELINE, REFRESH)


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


def _refresh_severity(product: DataProduct) -> Severity:
    """Return how bad it is that a refresh came to nothing: the last release stays, which a bronze product can bear."""
    return Severity.WARNING if product.tier is Tier.BRONZE else Severity.ERROR


def _name(address: str) -> str:
    return f"findings {address}"


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far the ledger was read about one product.

    `began` is when the newest refresh seen began; `seen` are those that began about then, `open` those that may still
    come to a release or to nothing.
    """

    result: int
    release: int = 0
    began: str = ""
    seen: tuple[str, ...] = ()
    open: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> _Mark | None:
        if not text:
            return None
        data = json.loads(text)
        return cls(data["result"], data["release"], data["began"], tuple(data["seen"]), tuple(data["open"]))

    @property
    def text(self) -> str:
        names = ("result", "release", "began", "seen", "open")
        return json.dumps({name: getattr(self, name) for name in names})


@dataclass(frozen=True, slots=True)
class _Notes:
    """What was found so far, and what is open by it: an incident, or a finding of this very look."""

    findings: list[Finding]
    recoveries: list[Recovery]
    open: dict[str, Incident | Finding]
    righted: dict[str, datetime] = field(default_factory=dict)

    # The ledger's order counts, not the clocks of several hosts: what came later is dated no earlier.

    def wrong(self, finding: Finding) -> None:
        key = finding.subject.fingerprint
        before = self.open.get(key)
        if before is not None and finding.detail.get("sighting") in before.detail.get("sightings", ()):
            return  # a refresh that was told of, and may still be tried again
        told = replace(finding, seen_at=max(finding.seen_at, self.righted.get(key, finding.seen_at)))
        self.findings.append(told)
        self.open[key] = told

    def right(self, subject: Subject, at: datetime, detail: Mapping[str, Any]) -> None:
        """Note that `subject` is right again; nothing is noted of what is not open."""
        key = subject.fingerprint
        before = self.open.pop(key, None)
        if before is not None:
            self.righted[key] = max(at, before.seen_at or at)
            self.recoveries.append(Recovery(subject, self.righted[key], detail))


@dataclass(frozen=True, slots=True)
class _Look:
    """What looking at one product needs."""

    con: Connection
    product: DataProduct
    now: datetime
    notes: _Notes
    is_alive: IsAlive
    patience: timedelta

    # Rules

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
                self.notes.right(subject, self._past(rows[-1].judged_at), told)
            elif len(bad) < was_bad:
                self._fewer(subject, list(bad.values()))

    def _failed(self, bad: Sequence[Judged]) -> None:
        newest = max(bad, key=lambda row: row.id)
        refresh = refresh_of(self.con, newest.refresh_id, newest.product)
        seen_at = self._past(newest.judged_at)
        began = self._past(refresh.started_at) if refresh else seen_at
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
            "sighting": f"result {newest.id}",
            "order": newest.id,
        }
        worst = min((self._severity(one) for one in whole.values()), key=list(Severity).index)
        title = f"{self.product.address}.{newest.table}: rule {newest.rule} failed{where}"
        came = self._came(result.refresh_id, result.run_id)
        return Finding(self._rule(newest), title, worst, failed_at, seen_at, detail | came)

    def _severity(self, result: StoredResult) -> Severity:
        told = {name: str(result.detail.get(name) or usual) for name, usual in _USUAL.items()}
        return severity_of(self.product, **told, blocking=result.blocking)

    def undeclared(self) -> None:
        """Note that a rule is good which is not declared any more: nobody will judge it again."""
        declared = {(table.name, rule.name) for table in self.product.tables for rule in table.rules}
        for incident in list(self.notes.open.values()):
            subject = incident.about if isinstance(incident, kept.Incident) else incident.subject
            of_rule = subject.kind is FindingKind.CHECK and subject.product == self.product.address
            # Checks of Dagster's that are no rules are Dagster's to find good.
            of_rule = of_rule and incident.detail.get("origin") != "dagster"
            if of_rule and isinstance(incident, kept.Incident) and (subject.table, subject.name) not in declared:
                self.notes.right(subject, self.now, {"reason": "not declared any more"})

    # Refreshes and releases

    def refreshes(self, mark: _Mark | None) -> _Mark:
        """Note which refreshes came to nothing, and what later releases repaired; return how far was read."""
        address = self.product.address
        since = datetime.fromisoformat(mark.began) - news.OVERLAP if mark and mark.began else None
        seen, still = (frozenset(mark.seen), frozenset(mark.open)) if mark else (frozenset(), frozenset())
        every = news.begun_since(self.con, address, since, still)
        releases = news.published_after(self.con, address, mark.release) if mark else []
        waiting = []
        for begun in every:
            is_new = begun.refresh.id not in seen or begun.refresh.id in still
            if not begun.is_released and is_new and not self._came_to_nothing(begun, releases, every[-1].refresh):
                waiting.append(begun.refresh.id)
        for release in releases:
            self._repaired(release)
        newest = every[-1].refresh if every else None
        # The newest one may be tried again under its id, and fail for another reason.
        again = [b.refresh.id for b in every if not b.is_released and b.refresh is newest]
        began = newest.started_at if newest else None
        close = [b.refresh.id for b in every if began and b.refresh.started_at >= began - news.OVERLAP]
        number = head_number(self.con, address) or 0
        return _Mark(
            result=0,
            release=number,
            began=began.isoformat() if began else mark.began if mark else "",
            seen=tuple(close),
            open=tuple(dict.fromkeys([*waiting, *again])),
        )

    def _came_to_nothing(self, begun: Begun, releases: Sequence[Published], newest: Refresh) -> bool:
        """Note why `begun` was not released, as far as rules do not tell; false while it may go on."""
        told = [a for a in begun.attempts if a.table and a.state != "started" and a.table not in begun.failed]
        release = [a for a in begun.attempts if not a.table]
        if not told and not begun.failed:
            told = release
        if told:
            for attempt in _one_a_table(told):
                self._wrong(begun, attempt, releases)
            return True
        if begun.failed:
            return True
        if not self._is_over(begun.refresh, newest):
            return False
        tables = [a.table for a in begun.attempts]
        self._killed(begun, sorted(set(tables)), releases)
        return True

    def _is_over(self, refresh: Refresh, newest: Refresh) -> bool:
        alive = self.is_alive(refresh)
        if alive is not None:
            return not alive
        # A product is refreshed by one run at a time: where another one began later, this one has ended.
        return refresh.id != newest.id or refresh.started_at + self.patience <= self.now

    def _wrong(self, begun: Begun, attempt: Attempt, releases: Sequence[Published]) -> None:
        address, table = self.product.address, attempt.table
        kind = _KINDS[attempt.state]
        what = f"{address}.{table}" if table else address
        match kind:
            case FindingKind.SOURCE:
                servers = [server.name for t in self.product.tables if t.name == table for server in t.servers]
                subject = Subject(address, kind, ", ".join(servers) or SOURCES, table)
                title = f"{what}: source {subject.name} cannot be read" if servers else f"{what}: cannot be refreshed"
            case FindingKind.REFUSED:
                subject = Subject(address, kind, REFRESH if table else RELEASE, table)
                title = f"{what}: {'refused' if table else 'not released'}"
            case _:
                subject = Subject(address, kind, REFRESH, table)
                title = f"{what}: failed while it was {'made' if table else 'released'}"
        self._of_refresh(begun, subject, title, message=attempt.message, releases=releases)

    def _killed(self, begun: Begun, tables: Sequence[str], releases: Sequence[Published]) -> None:
        how = f"was killed while it made {', '.join(tables[:_LISTED])}" if tables else "made none, and left no reason"
        title = f"{self.product.address}: a refresh ended without a release"
        message = f"The refresh that began at {begun.refresh.started_at:%Y-%m-%d %H:%M} UTC {how}."
        subject = pipeline_subject(self.product.address)
        self._of_refresh(begun, subject, title, message=message, releases=releases)

    def _of_refresh(
        self, begun: Begun, subject: Subject, title: str, *, message: str, releases: Sequence[Published]
    ) -> None:
        refresh = begun.refresh
        later = [r.published_at for r in releases if _covers(r, subject.table, refresh.id, refresh.started_at)]
        seen_at = self._past(min(later, default=self.now))
        failed_at = min(self._past(refresh.started_at), seen_at)
        # The same refresh, tried again and failed for another reason, is another sighting.
        detail = {"message": message, "sighting": f"{refresh.id} {message}"[:200], "origin": ORIGIN}
        came = self._came(refresh.id, refresh.run_id)
        severity = _refresh_severity(self.product)
        self.notes.wrong(Finding(subject, title, severity, failed_at, seen_at, detail | came))

    def _repaired(self, release: Published) -> None:
        """Note as right what `release`, whose refresh began after it went wrong, shows to be so."""
        told = {"order": 1, "release": release.number, "refresh_id": release.refresh.id, "reason": "released"}
        for before in list(self.notes.open.values()):
            subject = before.about if isinstance(before, kept.Incident) else before.subject
            mine = subject.product == self.product.address and before.detail.get("origin") == ORIGIN
            wrong = str(before.detail.get("refresh_id", ""))
            if mine and _covers(release, subject.table, wrong, before.failed_at):
                self.notes.right(subject, self._past(release.published_at), told)

    def _came(self, refresh_id: str, run_id: str) -> dict[str, Any]:
        """Return which refresh a finding is of, and what readers have meanwhile."""
        head = head_number(self.con, self.product.address)
        return {"refresh_id": refresh_id, "run_id": run_id, "release": head}

    def _rule(self, row: Judged) -> Subject:
        return Subject(row.product, FindingKind.CHECK, row.rule, row.table)

    def _past(self, moment: datetime) -> datetime:
        """Return `moment`, or now where records are ahead of the clock."""
        return min(moment, self.now)


_USUAL = {"severity": "error", "criticality": "medium"}


def _covers(release: Published, table: str, refresh_id: str, began: datetime) -> bool:
    """Return whether `release` shows that what went wrong in the refresh that `began` then is right."""
    is_later = release.refresh.id == refresh_id or release.refresh.started_at >= began
    return is_later and (not table or table in release.tables)


def _one_a_table(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Return one attempt for each table and way to fail, with the partitions that it speaks of in its message."""
    found: dict[tuple[str, str], list[Attempt]] = {}
    for attempt in attempts:
        found.setdefault((attempt.table, attempt.state), []).append(attempt)
    return [replace(several[0], message=_with_partitions(several)) for several in found.values()]


def _with_partitions(attempts: Sequence[Attempt]) -> str:
    named = [attempt.partition for attempt in attempts if attempt.partition]
    more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    return f"{attempts[0].message} ({', '.join(named[:_LISTED])}{more})" if named else attempts[0].message


def _total(results: Iterable[StoredResult]) -> int | None:
    counted = [result.detail["failed_rows"] for result in results if result.detail.get("failed_rows") is not None]
    return sum(counted) if counted else None
