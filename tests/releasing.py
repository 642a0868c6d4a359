"""Building and publishing small products directly on store and ledger, for the tests of both."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import duckdb

from dataproducts.ledger import Ledger
from dataproducts.publish import publish
from dataproducts.release import Consumed, Draft, Refresh, Release, StoredResult, Version
from dataproducts.store import Store, new_id

if TYPE_CHECKING:
    from pathlib import Path

ORDERS = "shop/orders"
SCHEMA = (("id", "INTEGER"), ("amount", "DOUBLE"))
ROWS = "SELECT i::INTEGER AS id, i * 1.5::DOUBLE AS amount FROM range({n}) r(i)"


@dataclass(frozen=True)
class Shop:
    """A store with its ledger, and the few steps that tests take on them."""

    store: Store
    ledger: Ledger
    con: duckdb.DuckDBPyConnection

    def __enter__(self) -> Self:
        """Return the shop."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what it holds open."""
        self.ledger.close()
        self.con.close()

    def refresh(self, product: str = ORDERS, upstream: tuple[str, ...] = (), refresh_id: str = "") -> Refresh:
        """Begin a refresh."""
        return self.ledger.open_refresh(refresh_id or new_id(), product, run_id="run", upstream=upstream)

    def version(
        self,
        refresh: Refresh,
        table: str = "orders",
        n: int = 3,
        *,
        partition: str | None = None,
        sql: str = "",
        schema: tuple[tuple[str, str], ...] = SCHEMA,
        contract: str = "first",
        created_at: datetime | None = None,
    ) -> Version:
        """Write `n` rows, or those of `sql`, as a version that is recorded nowhere yet."""
        name, batch = partition or "all", new_id()
        text = sql or ROWS.format(n=n)
        ref = self.store.write(self.con, {name: text}, product=refresh.product, table=table, batch=batch)[name]
        return Version(
            id=new_id(),
            product=refresh.product,
            table=table,
            partition=partition,
            files=(ref,),
            rows=ref.rows,
            schema=schema,
            contract_hash=self.contract(refresh.product, table, contract),
            code_version="1",
            refresh_id=refresh.id,
            run_id=refresh.run_id,
            created_at=created_at or datetime.now(UTC),
        )

    def contract(self, product: str, table: str, text: str = "first", version: str = "1.0.0") -> str:
        """Record a contract and return its hash."""
        digest = hashlib.sha256(f"{product} {table} {text}".encode()).hexdigest()
        contract_id = f"{product.partition('@')[0].replace('/', '.')}.{table}"
        self.ledger.record_contract(digest, product, table, contract_id=contract_id, version=version, text=text)
        return digest

    def judge(self, refresh: Refresh, *keys: str, passed: bool = True, rule: str = "orders.rule") -> frozenset[str]:
        """Record one result for each of `keys`."""
        at = datetime.now(UTC)
        self.ledger.record_results([result(refresh, key, passed=passed, rule=rule, at=at) for key in keys])
        return frozenset(keys)

    def draft(self, refresh: Refresh, *versions: Version, **options: object) -> Draft:
        """Return a draft of `versions`, by table."""
        items: dict[str, tuple[str, ...]] = {}
        for version in versions:
            items[version.table] = (*items.get(version.table, ()), version.id)
        contracts = {version.table: version.contract_hash for version in versions}
        return Draft(refresh, items, **{"required": frozenset(), "contracts": contracts} | options)

    def release(
        self, n: int = 3, product: str = ORDERS, upstream: tuple[str, ...] = (), consumed: tuple[Consumed, ...] = ()
    ) -> Release:
        """Build and publish one table of `n` rows."""
        refresh = self.refresh(product, upstream)
        version = self.version(refresh, product.split("/")[1].partition("@")[0], n)
        self.ledger.record_candidates(refresh, [version], consumed)
        return publish(self.ledger, self.store, self.draft(refresh, version, consumed=consumed))

    def count(self, relation: str) -> int:
        """Count the rows of a relation."""
        return self.con.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]


def shop(folder: Path, url: str = "") -> Shop:
    """Return an empty shop in `folder`, with a ledger in SQLite or at `url`."""
    return Shop(Store(folder / "store"), Ledger.open(url or sqlite(folder)), duckdb.connect())


def sqlite(folder: Path) -> str:
    """Return the URL of a ledger in `folder`."""
    return f"sqlite:///{folder / 'store' / 'ledger.sqlite'}"


def result(refresh: Refresh, key: str, *, passed: bool, at: datetime, rule: str = "orders.rule") -> StoredResult:
    """Return a result of a blocking rule on `orders`."""
    return StoredResult(
        key=key,
        product=refresh.product,
        table="orders",
        partition=None,
        rule=rule,
        passed=passed,
        blocking=True,
        refresh_id=refresh.id,
        run_id=refresh.run_id,
        judged_at=at,
        detail={"observed": 1.0, "failed_rows": 0 if passed else 1},
    )
