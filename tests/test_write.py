"""Versions of partitions: the same rows, whether the transform is called for each or once for all."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dataproducts.refresh import begin, refresh_table
from dataproducts.rules.quarantine import RULES_COLUMN
from dataproducts.store import new_id
from dataproducts.warehouse import Warehouse
from tests.shop import build, edit, environment, make_shop, product

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from dataproducts.product import DataProduct
    from dataproducts.refresh import TableOutcome

ASIDE = "customProperties: [{property: onFailure, value: quarantine}]"
ROWS = st.lists(
    st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 3), st.sampled_from(["-1", "", "0", "2.5"])),
    max_size=12,
)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a shop that quarantines orders with bad amounts, repeated keys and unknown customers."""
    root = make_shop(tmp_path_factory.mktemp("shop"))
    path = root / "assets/shop/orders/contracts/orders.odcs.yaml"
    edit(path, "unique: true, primaryKey: true}", f"unique: true, primaryKey: true, {ASIDE}}}")
    edit(path, "        relationships:", f"        {ASIDE}\n        relationships:")
    edit(path, "{minimum: 0}", f"{{minimum: 0}}\n        {ASIDE}")
    types = "{order_id: BIGINT, customer_id: BIGINT, ordered_on: DATE, amount: DOUBLE}"
    edit(path, "format: csv}", f"format: csv, customProperties: [{{property: columns, value: {types}}}]}}")
    build(root, "shop/orders")
    return root


def written(root: Path, found: DataProduct, batch: str) -> tuple[TableOutcome, list[Any]]:
    """Refresh the first three days; return the outcome, and each day's rows kept and quarantined."""
    table = found.table("orders")
    assert table.partitioning is not None
    table = replace(table, partitioning=replace(table.partitioning, batch=batch))
    days = [date(2024, 1, day) for day in (1, 2, 3)]
    with Warehouse.open(environment(root)) as warehouse, warehouse.connect() as con:
        refresh = begin(warehouse, found, refresh_id=new_id())
        outcome = refresh_table(warehouse, found, table, refresh=refresh, con=con, partitions=days)
        store = warehouse.store
        return outcome, [
            (
                version.partition,
                rows(con, store.version_relation([version])),
                rows(con, store.relation(version.quarantine_files, (*version.schema, (RULES_COLUMN, "VARCHAR[]")))),
                dict(version.quarantined),
            )
            for version in outcome.versions
        ]


def rows(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Return the rows of `relation` as text, sorted."""
    return sorted(map(str, con.execute(f"SELECT * FROM {relation}").fetchall()))


@given(made=ROWS)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_call_for_all_days_equals_one_a_day(shop: Path, made: list[tuple[int, int, int, str]]) -> None:
    """Rows kept, rows quarantined and their counts agree day by day, and so do the verdicts; no row is lost."""
    lines = [f"{order},{customer},2024-01-{day:02},{amount}" for order, customer, day, amount in made]
    text = "\n".join(["order_id,customer_id,ordered_on,amount", *lines])
    (shop / "data/orders.csv").write_text(text + "\n", encoding="utf-8")
    found = product(shop, "shop/orders")
    each, each_rows = written(shop, found, "each")
    ranged, range_rows = written(shop, found, "range")
    assert each_rows == range_rows
    assert len(made) == sum(len(kept) + len(aside) for _, kept, aside, _ in range_rows)
    assert ranged.quarantined_rows == sum(len(aside) for _, _, aside, _ in range_rows)
    verdicts = [{(r.rule.name, r.partition, r.passed) for r in outcome.verdict.results} for outcome in (each, ranged)]
    assert verdicts[0] == verdicts[1]
