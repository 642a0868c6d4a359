"""What the ledger keeps of the results that a release rests on; it must not judge anything anew.

A release rests on more than its own refresh judged: tables that it carries over keep the results that they were
published with. The newest result of a rule counts, back to where the contract of its table was another.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from dataproducts.declare.contract import read_tables
from dataproducts.declare.positions import parse_yaml
from dataproducts.errors import DeclarationError, UnknownNameError
from dataproducts.release import ROLLBACK
from dataproducts.reports.results import JudgedTable, Outcome, Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dataproducts.ledger import Ledger, ReleasedContract
    from dataproducts.product import Rule
    from dataproducts.release import Release, StoredResult, Version
    from dataproducts.store import Store


def recorded(
    ledger: Ledger, store: Store, product: str, *, number: int | None = None, state: str = "released"
) -> Results:
    """Return the results that release `number` of `product` rests on; of the head if none is named.

    Raises: UnknownNameError, if there is no such release.
    """
    release = ledger.head(product) if number is None else ledger.release(product, number)
    if release is None:
        raise UnknownNameError("product with a release", product, ledger.products())
    composition, contracts = ledger.composition(release), ledger.contracts(release)
    found = _results(ledger, release)
    tables = tuple(
        _table(
            store, product, name, versions=composition[name], stored=found.get(name, ()), contract=contracts.get(name)
        )
        for name in sorted(composition)
    )
    return Results(product, state, release.published_at, tables, release=release.number, run=release.run_id)


def _results(ledger: Ledger, release: Release) -> dict[str, list[StoredResult]]:
    """The results that hold for `release`, by table."""
    open_tables = set(release.items)
    parts = {name: {v.partition for v in versions} for name, versions in ledger.composition(release).items()}
    found: dict[str, dict[tuple[str, str | None], StoredResult]] = {}
    for earlier in _line(ledger, release):
        open_tables = {name for name in open_tables if earlier.contracts.get(name) == release.contracts.get(name)}
        if not open_tables:
            break
        for result in ledger.verdict(earlier):
            holds = result.partition is None or result.partition in parts.get(result.table, ())
            if result.table in open_tables and holds:
                found.setdefault(result.table, {}).setdefault((result.rule, result.partition), result)
    return {name: list(results.values()) for name, results in found.items()}


def _line(ledger: Ledger, release: Release) -> Iterator[Release]:
    """Yield `release` and those that it rests on, newest first; a rollback rests on what it went back to."""
    known = {other.number: other for other in ledger.releases(release.product, limit=None)}
    at: Release | None = release
    while at is not None:
        yield at
        if at.kind == ROLLBACK:
            same = (n for n, other in known.items() if n < at.number and other.items == at.items)
            at = known.get(max(same, default=0))
        else:
            at = known.get(at.base or 0)


def _table(
    store: Store,
    product: str,
    name: str,
    *,
    versions: Sequence[Version],
    stored: Sequence[StoredResult],
    contract: ReleasedContract | None,
) -> JudgedTable:
    rules = _rules(contract, name)
    ranks = {rule: at for at, rule in enumerate(rules)}
    aside = Counter[str]()
    for version in versions:
        aside.update(version.quarantined)
    ordered = sorted(stored, key=lambda one: (ranks.get(one.rule, len(ranks)), one.rule, one.partition or ""))
    return JudgedTable(
        name,
        tuple(_outcome(one, rules.get(one.rule)) for one in ordered),
        namespace="file",
        dataset=dataset_of(store, product, name),
        columns=versions[-1].schema if versions else (),
        rows=sum(version.rows for version in versions),
        alias=f"{product}.{name}",
        quarantined_rows=sum(file.rows for version in versions for file in version.quarantine_files),
        quarantined={rule: count for rule, count in sorted(aside.items()) if count},
    )


def dataset_of(store: Store, product: str, table: str) -> str:
    """Return the name of a table of `product` among files: the folder of the store that holds its versions."""
    return (store.root / "data" / product / table).as_posix()


def _rules(contract: ReleasedContract | None, table: str) -> dict[str, Rule]:
    """The rules of the pinned contract by name, for what results do not say: columns, description, line."""
    if contract is None:
        return {}
    try:
        tables, _ = read_tables(parse_yaml(contract.text, f"contracts/{table}.odcs.yaml"), strict=False)
    except DeclarationError:
        return {}
    return {rule.name: rule for declared in tables if declared.name == table for rule in declared.rules}


def _outcome(one: StoredResult, rule: Rule | None) -> Outcome:
    detail = one.detail
    return Outcome(
        rule=one.rule,
        kind=str(detail.get("kind", "")),
        dimension=str(detail.get("dimension", "")),
        severity=str(detail.get("severity", "")),
        blocking=one.blocking,
        passed=one.passed,
        total_rows=int(detail.get("total_rows") or 0),
        partition=one.partition,
        observed=detail.get("observed"),
        failed_rows=detail.get("failed_rows"),
        threshold=str(detail.get("threshold", "")),
        message=str(detail.get("message", "")),
        error=str(detail.get("error", "")),
        method=str(detail.get("method", "")),
        criticality=str(detail.get("criticality", "")),
        sample=tuple(detail.get("sample", ())),
        columns=rule.columns if rule else (),
        description=rule.description if rule else "",
        declared_at=str(rule.mark) if rule else "",
        judged_at=one.judged_at,
    )
