"""Which refreshes came to nothing, and what releases repaired; it must not judge rules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dataproducts.finding import Finding, FindingKind, Subject
from dataproducts.findings.look import Look, Mark, RunState
from dataproducts.ledger import news
from dataproducts.ledger.rows import head_number
from dataproducts.operations.incidents import Incident
from dataproducts.product import Severity, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dataproducts.ledger import Attempt
    from dataproducts.ledger.news import Begun, Published
    from dataproducts.product import DataProduct
    from dataproducts.release import Refresh

REFRESH, RELEASE, SOURCES = "refresh", "release", "sources"
"""Names of what is wrong with a refresh, a release, or sources that no table names."""

ORIGIN = "refresh"
"""What `detail.origin` says of a finding about a refresh: a release closes it."""

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LISTED = 20  # partitions and tables that a finding names
_KINDS = {
    "unread": FindingKind.SOURCE,
    "refused": FindingKind.REFUSED,
    "failed": FindingKind.PIPELINE,
    "started": FindingKind.PIPELINE,
}


def pipeline_subject(product: str) -> Subject:
    """Return what a run of `product` that crashed, was killed or never started is about: one incident for them all."""
    return Subject(product, FindingKind.PIPELINE, REFRESH)


@dataclass(frozen=True, slots=True)
class Refreshes(Look):
    """Looks at refreshes and releases."""

    def read(self, mark: Mark | None) -> Mark:
        """Note which refreshes came to nothing, and what later releases repaired; return how far was read."""
        address = self.product.address
        since = None
        if mark:  # where there was no refresh yet, every one is new
            since = datetime.fromisoformat(mark.began) - news.OVERLAP if mark.began else _EVER
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
        # A host whose clock is ahead must not hide what others begin until then.
        began = self.past(newest.started_at) if newest else None
        close = [b.refresh.id for b in every if began and b.refresh.started_at >= began - news.OVERLAP]
        number = head_number(self.con, address) or 0
        return Mark(
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
            gone = self._gone({a.table for a in told if a.table})
            for attempt in _one_a_table(a for a in told if a.table not in gone):
                self._wrong(begun, attempt, releases)
            return True
        if begun.failed:
            return True
        state = self._state(begun.refresh, newest)
        if state is RunState.DEAD:
            self._killed(begun, sorted({a.table for a in begun.attempts}), releases)
        return state is not RunState.GOING

    def _gone(self, tables: set[str]) -> set[str]:
        """Those of `tables` that the product has no more; none where newer files may have them."""
        others = tables - {table.name for table in self.product.tables}
        return others if others and self.is_newer(self.product.tables) else set()

    def _state(self, refresh: Refresh, newest: Refresh) -> RunState:
        """What became of the run of `refresh`; where nobody knows, what is most likely."""
        state = self.run_state(refresh)
        if state is not RunState.UNKNOWN:
            return state
        # A product is refreshed by one run at a time: where another one began later, this one has ended.
        is_over = refresh.id != newest.id or refresh.started_at + self.patience <= self.now
        return RunState.DEAD if is_over else RunState.GOING

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
        seen_at = self.past(min(later, default=self.now))
        failed_at = min(self.past(refresh.started_at), seen_at)
        # The same refresh, tried again and failed for another reason, is another sighting.
        detail = {"message": message, "sighting": f"{refresh.id} {message}"[:200], "origin": ORIGIN}
        came = self.came(refresh.id, refresh.run_id)
        severity = _refresh_severity(self.product)
        self.notes.wrong(Finding(subject, title, severity, failed_at, seen_at, detail | came))

    def _repaired(self, release: Published) -> None:
        """Note as right what `release`, whose refresh began after it went wrong, shows to be so."""
        told = {"order": 1, "release": release.number, "refresh_id": release.refresh.id, "reason": "released"}
        for before in list(self.notes.open.values()):
            subject = before.about if isinstance(before, Incident) else before.subject
            mine = subject.product == self.product.address and before.detail.get("origin") == ORIGIN
            wrong = str(before.detail.get("refresh_id", ""))
            if mine and _covers(release, subject.table, wrong, before.failed_at):
                self.notes.right(subject, self.past(release.published_at), told)


def _refresh_severity(product: DataProduct) -> Severity:
    """Return how bad it is that a refresh came to nothing: the last release stays, which a bronze product can bear."""
    return Severity.WARNING if product.tier is Tier.BRONZE else Severity.ERROR


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
