"""One refresh: stage, split off, write and judge each table, then publish all or nothing; it must not know Dagster."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import duckdb

from dataproducts.consume import open_inputs, proved
from dataproducts.declare.contract import CONTRACT_END
from dataproducts.declare.positions import read_yaml
from dataproducts.errors import ConflictError, DataProductError, DeclarationError, RefusedError, StoreError
from dataproducts.inputs import siblings_first
from dataproducts.judging import blocking_keys, judge_missing
from dataproducts.lifecycle.states import standing_of
from dataproducts.meter import metered
from dataproducts.operations import costs
from dataproducts.partitions import due
from dataproducts.ports import closed_by, upstream_table
from dataproducts.publish import publish
from dataproducts.release import Draft
from dataproducts.rules.quarantine import exceeded
from dataproducts.scene import compose, mixtures
from dataproducts.serving import render
from dataproducts.slo.actions import refuse_frozen
from dataproducts.store import new_id
from dataproducts.verdict import Verdict
from dataproducts.write import write_versions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import date, datetime

    from dataproducts.product import DataProduct, Table
    from dataproducts.release import Consumed, Refresh, Release, Version
    from dataproducts.scene import Scene
    from dataproducts.verdict import RuleResult
    from dataproducts.warehouse import Warehouse

_RECENT = 20  # releases among which one that was published before is looked for


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What became of one table in a refresh: its candidate versions and what the gate found on them."""

    table: Table
    versions: tuple[Version, ...]
    verdict: Verdict
    total_rows: int  # with the partitions that are carried over

    @property
    def rows(self) -> int:
        """Rows of the versions written now, without the partitions that are carried over."""
        return sum(version.rows for version in self.versions)

    @property
    def quarantined_rows(self) -> int:
        """Rows set aside now; one that several rules reject counts once, unlike in the verdict's counts by rule."""
        return sum(file.rows for version in self.versions for file in version.quarantine_files)

    @property
    def treated(self) -> dict[str, int]:
        """Rows that each policy for missing or outlying values concerned, by its name: `amount.missing`."""
        found = Counter[str]()
        for version in self.versions:
            found.update(version.treated)
        return dict(found)


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """The release, the results that were judged anew for it, and why its serving file is stale, if it is."""

    release: Release
    judged: Mapping[str, tuple[RuleResult, ...]] = field(default_factory=lambda: MappingProxyType({}))
    serving_error: str = ""


class RefusedReleaseError(RefusedError):
    """A release that was refused because rules failed on tables it would carry over or combine."""

    def __init__(self, product: str, judged: Mapping[str, tuple[RuleResult, ...]]) -> None:
        """Keep what was `judged` and name every failed blocking rule."""
        self.judged = judged
        failed = [
            f"{name}.{result.rule.name}: {result.reason}"
            for name, results in judged.items()
            for result in results
            if result.is_blocking
        ]
        super().__init__(f"{product} is not released, because its tables do not hold together: {'; '.join(failed)}")


def begin(warehouse: Warehouse, product: DataProduct, *, refresh_id: str, run_id: str = "") -> Refresh:
    """Open the refresh `refresh_id` of `product`, or return it as it was opened first.

    It pins the product's head and, transitively, the upstream releases it reads: whatever is published meanwhile,
    this refresh does not see. Raises: RefusedError, for a product that is retired or reads one, for an upstream
    without a release, or where the clock of a replay has not moved since the head; ConflictError, for a mixture.
    """
    _refuse_closed(warehouse, product)
    now = warehouse.recorded_at()
    if warehouse.is_replay and warehouse.ledger.find_refresh(refresh_id, product.address) is None:
        _require_later(warehouse, product, now)
    upstream = sorted({upstream_table(warehouse, port).product for port in product.inputs})
    return warehouse.ledger.open_refresh(
        refresh_id, product.address, run_id=run_id or refresh_id, upstream=upstream, now=now
    )


def _refuse_closed(warehouse: Warehouse, product: DataProduct) -> None:
    if closed := closed_by(warehouse, product):
        raise RefusedError(closed)


def _require_later(warehouse: Warehouse, product: DataProduct, now: datetime) -> None:
    """Refuse to date a refresh before its base: what came later in a ledger must have happened later."""
    head = warehouse.ledger.head(product.address)
    if head is not None and now <= head.published_at:
        raise RefusedError(
            f"{product.address}: the clock of this replay stands at {now:%Y-%m-%d %H:%M:%S} UTC, and release "
            f"{head.number} was published at {head.published_at:%Y-%m-%d %H:%M:%S}. Move the clock on, or replay into "
            "a store of its own"
        )


def refresh_table(
    warehouse: Warehouse,
    product: DataProduct,
    table: Table,
    *,
    refresh: Refresh,
    con: duckdb.DuckDBPyConnection,
    partitions: Sequence[date] = (),
) -> TableOutcome:
    """Write `table` (or the given partitions of it) as candidates and judge them; nothing becomes visible.

    The verdict is about the whole table as it would be published: the new versions beside those carried over.
    A verdict that forbids publication is returned, not raised; the ledger then refuses a release of this refresh.
    Raises: TransformError, SourceError, RefusedError (an input without a version), StoreError.
    """
    _check_partitions(warehouse, product, table, partitions)
    ledger = warehouse.ledger
    marks: list[str | None] = [day.isoformat() for day in partitions]
    ledger.mark_started(refresh, table.name, marks or [None])
    with metered(warehouse, refresh, table.name) as spent, _explained(warehouse, refresh, table.name, marks):
        _record_contract(warehouse, product, table)
        scene = compose(warehouse, product, refresh)
        with open_inputs(warehouse, scene, table, con) as (inputs, consumed):
            written = write_versions(warehouse, scene, table, inputs, con=con, partitions=partitions)
        spent.wrote(written)
        files = proved(warehouse, scene, written, consumed)
        outcome = judge_written(warehouse, scene, table, written, con=con, consumed=files)
        spent.outcome = "" if outcome.verdict.passed else costs.REFUSED
        return outcome


@contextmanager
def _explained(
    warehouse: Warehouse, refresh: Refresh, table: str = "", partitions: Sequence[str | None] = ()
) -> Iterator[None]:
    """Keep in the ledger why the block failed: whoever watches it shall tell a failure from a kill."""
    try:
        yield
    except DataProductError as error:
        with suppress(DataProductError):  # the ledger itself may be what failed
            warehouse.ledger.record_failure(refresh, table, partitions or [None], error)
        raise


def note_unbuilt(warehouse: Warehouse, product: DataProduct, error: DataProductError) -> None:
    """Keep in the ledger that a refresh of `product` could not begin, as a refresh that failed for `error`."""
    refresh = warehouse.ledger.open_refresh(
        new_id(), product.address, run_id="", upstream=(), now=warehouse.recorded_at()
    )
    warehouse.ledger.record_failure(refresh, "", [None], error)


def judge_written(
    warehouse: Warehouse,
    scene: Scene,
    table: Table,
    written: tuple[Version, ...],
    *,
    con: duckdb.DuckDBPyConnection,
    consumed: Sequence[Consumed],
) -> TableOutcome:
    """Record `written` as candidates of the scene's refresh, made from the files `consumed`, and judge the table."""
    ledger, refresh = warehouse.ledger, scene.refresh
    ledger.record_candidates(refresh, written, consumed)
    scene = scene.with_candidates(table.name, written)
    fresh = judge_missing(warehouse, con, scene, tables=[table], settled=False)
    quarantined = Counter[str]()
    for version in written:
        quarantined.update(version.quarantined)
    results = fresh.get(table.name, ())
    verdict = Verdict(table.name, sum(version.rows for version in written), results, dict(quarantined))
    for part, message in {r.partition: r.reason for r in reversed(verdict.blocking)}.items():
        ledger.record_refusal(refresh, table.name, part, message)
    return TableOutcome(table, written, verdict, sum(version.rows for version in scene.table(table.name)))


def _check_partitions(warehouse: Warehouse, product: DataProduct, table: Table, partitions: Sequence[date]) -> None:
    """Refuse partitions that the table does not have by now: one that is not over would never be completed."""
    if bool(table.partitioning) != bool(partitions):
        kind = "needs at least one partition" if table.partitioning else "has no partitions"
        raise RefusedError(f"{product.address}.{table.name} {kind}")
    if table.partitioning:
        # With a clock that stands in the past, what is over by it and what is over in fact are both complete; where a
        # history is replayed, what the clock has not reached has not happened.
        now = max(warehouse.now(), warehouse.recorded_at())
        every = due(table.partitioning, now)
        odd = sorted(set(partitions) - set(every))
        if odd:
            span = f"{every[0]} to {every[-1]}" if every else "none"
            raise RefusedError(
                f"{product.address}.{table.name} has no partition {odd[0]}: by {now:%Y-%m-%d %H:%M} UTC those that "
                f"are over are {span}, one a {table.partitioning.unit}"
            )


def _record_contract(warehouse: Warehouse, product: DataProduct, table: Table) -> None:
    warehouse.ledger.record_contract(
        table.contract_hash,
        product.address,
        table.name,
        contract_id=table.contract_id,
        version=table.contract_version,
        text=table.contract_text,
    )


def release(
    warehouse: Warehouse,
    product: DataProduct,
    *,
    refresh: Refresh,
    con: duckdb.DuckDBPyConnection,
    kind: str = "refresh",
    git_sha: str = "",
    fix: str = "",
) -> ReleaseOutcome:
    """Publish the candidates of `refresh` with every other table carried over, all in one step or not at all.

    What the combination needs and nobody judged yet is judged first (a foreign key into a table that moved). `fix`
    says what the release repairs: it is noted, and lets the release pass although a spent budget freezes others.
    Raises: RefusedReleaseError, if that fails; RefusedError, if there is nothing to release, a table was refused,
    a spent budget freezes the product, it was retired meanwhile or reads what was, or a table that would be carried
    over does not fit its contract or what it was made from any more;
    ConflictError, if another release came first or a contract changed since it was judged; StoreError.
    """
    with metered(warehouse, refresh) as spent, _explained(warehouse, refresh):
        outcome = _release(warehouse, product, refresh, con=con, kind=kind, git_sha=git_sha, fix=fix)
        spent.outcome = costs.RELEASED
        return outcome


def _release(
    warehouse: Warehouse,
    product: DataProduct,
    refresh: Refresh,
    *,
    con: duckdb.DuckDBPyConnection,
    kind: str,
    git_sha: str,
    fix: str,
) -> ReleaseOutcome:
    scene = compose(warehouse, product, refresh)
    done = _published(warehouse, scene)
    if done is not None:
        return ReleaseOutcome(done, serving_error=serve(warehouse, product))
    _check_contracts(product)
    if scene.gaps:
        raise RefusedError("; ".join(scene.gaps.values()))
    mixed = mixtures(warehouse, scene)
    if mixed:
        raise RefusedError("; ".join(mixed))
    excess = [text for t in product.tables for v in scene.made(t.name) for text in exceeded(t, v).values()]
    if excess:
        raise RefusedError(f"{product.address} is not released: {'; '.join(excess)}")
    judged = judge_missing(warehouse, con, scene, tables=product.tables)
    if any(result.is_blocking for results in judged.values() for result in results):
        raise RefusedReleaseError(product.address, judged)
    items = {table.name: tuple(v.id for v in scene.table(table.name)) for table in product.tables}
    for table in product.tables:
        if scene.base is None or scene.base.contracts.get(table.name) != table.contract_hash:
            _record_contract(warehouse, product, table)
    draft = Draft(
        refresh=refresh,
        items=items,
        required=blocking_keys(scene, product.tables, warehouse.custom),
        contracts={table.name: table.contract_hash for table in product.tables},
        kind=kind,
        consumed=warehouse.ledger.consumed_candidates(refresh),
        git_sha=git_sha,
    )
    refuse_frozen(warehouse, product, scene, fix=fix)
    note = "; ".join(part for part in (f"fix: {fix}" if fix else "", warehouse.clock_note()) if part)
    published = publish(
        warehouse.ledger,
        warehouse.store,
        draft,
        note=note,
        now=warehouse.recorded_at(),
        guard=lambda: _refuse_closed(warehouse, product),  # it may have been retired since the refresh began
    )
    return ReleaseOutcome(published, judged, serve(warehouse, product))


def _published(warehouse: Warehouse, scene: Scene) -> Release | None:
    """Return what this very refresh published before: a step that died after the commit is run again."""
    if any(scene.made(table.name) for table in scene.product.tables):
        return None
    recent = warehouse.ledger.releases(scene.product.address, limit=_RECENT)
    return next((found for found in recent if found.refresh_id == scene.refresh.id), None)


def serve(warehouse: Warehouse, product: DataProduct) -> str:
    """Render the serving file of `product` and return why that failed, or an empty string.

    The release is committed by then and readers of the ledger have it; the file is repaired by the next release
    or by `dataproducts verify --repair`, so a failure here must not turn the release into an error.
    """
    try:
        render(
            warehouse.ledger,
            warehouse.store,
            product.address,
            product.published,
            standing=lambda: standing_of(warehouse.environment, product),
        )
    except (StoreError, OSError, duckdb.Error) as error:
        return str(error)
    return ""


def refresh_product(
    warehouse: Warehouse,
    product: DataProduct,
    *,
    refresh_id: str = "",
    partitions: Mapping[str, Sequence[date]] | None = None,
    on_table: Callable[[TableOutcome], None] = lambda _outcome: None,
    fix: str = "",
) -> ReleaseOutcome:
    """Refresh and release `product` in this process, siblings first, without an orchestrator.

    `partitions` lists what to refresh of each partitioned table; one that is absent is carried over. `fix` as for
    `release`.
    Raises: as `refresh_table` and `release`; RefusedError, at the first table whose verdict forbids publication.
    """
    refresh = begin(warehouse, product, refresh_id=refresh_id or new_id())
    chosen = partitions or {}
    with warehouse.connect() as con:
        for table in siblings_first(product):
            days = chosen.get(table.name, ())
            if table.partitioning and not days:
                continue
            outcome = refresh_table(warehouse, product, table, refresh=refresh, con=con, partitions=days)
            on_table(outcome)
            if not outcome.verdict.passed:
                failed = "; ".join(f"{r.rule.name}: {r.reason}" for r in outcome.verdict.blocking)
                raise RefusedError(f"{product.address}.{table.name} is refused: {failed}")
        return release(warehouse, product, refresh=refresh, con=con, fix=fix)


def _check_contracts(product: DataProduct) -> None:
    """Refuse to publish under a contract that is no longer the one in the folder."""
    for table in product.tables:
        path = product.folder / "contracts" / f"{table.name}{CONTRACT_END}"
        try:
            digest = read_yaml(path, str(path)).digest
        except DeclarationError as error:
            raise ConflictError(
                f"the contract changed while the refresh ran, so nothing was published: {error}"
            ) from error
        if digest != table.contract_hash:
            raise ConflictError(
                f"{path}: the contract changed while the refresh ran; nothing was published, run it again"
            )
