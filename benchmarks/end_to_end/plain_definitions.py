"""Definitions as a user of plain Dagster writes them; it stands in the project's folder and imports nothing of ours.

Rules of one frame are a pandera schema, used as the asset's type: Dagster judges it before the IO manager writes.
Rules of two tables are blocking asset checks, for a type sees one frame only.
"""

# What such a project looks like: its assets carry no docstrings and no types but those that Dagster reads.
# ruff: noqa: ANN001, ANN003, ANN201, ANN202, D103
# mypy: ignore-errors
import json
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pandera.pandas as pa
from dagster_duckdb_pandas import DuckDBPandasIOManager

FACTS = json.loads((Path(__file__).parent / "facts.json").read_text(encoding="utf-8"))


def _schema(table):
    checks = [check for check in FACTS["checks"] if check["table"] == table]
    required = {check["columns"][0] for check in checks if check["kind"] == "not_null"}
    of_column, of_frame, unique = {name: [] for name in required}, [], None
    for check in checks:
        args = check["args"]
        if check["kind"] == "between":
            of_column.setdefault(check["columns"][0], []).append(pa.Check.in_range(args["low"], args["high"]))
        elif check["kind"] == "one_of":
            of_column.setdefault(check["columns"][0], []).append(pa.Check.isin(args["values"]))
        elif check["kind"] == "unique":
            unique = check["columns"]
        elif check["kind"] == "row_count":
            of_frame.append(pa.Check(lambda frame, least=args["least"]: len(frame) >= least))
    columns = {name: pa.Column(checks=found, nullable=name not in required) for name, found in of_column.items()}
    return pa.DataFrameSchema(columns, checks=of_frame, unique=unique)


def _type(table):
    schema = _schema(table)

    def judge(_context, frame):
        try:
            schema.validate(frame, lazy=True)
        except pa.errors.SchemaErrors as errors:
            return dg.TypeCheck(success=False, description=str(errors.failure_cases.head()))
        return True

    return dg.DagsterType(judge, name=f"{table}_frame", typing_type=pd.DataFrame)


def _query(table, **frames):
    with duckdb.connect() as con:
        for name, path in FACTS["inputs"].items():
            con.execute(f"CREATE VIEW {name} AS FROM read_parquet('{path}')")
        for name, frame in frames.items():
            con.register(name, frame)
        return con.execute(FACTS["tables"][table]).df()


@dg.asset(dagster_type=_type("purchase_fact"))
def purchase_fact():
    return _query("purchase_fact")


@dg.asset(dagster_type=_type("household_value"))
def household_value(purchase_fact: pd.DataFrame):
    return _query("household_value", purchase_fact=purchase_fact)


@dg.asset(dagster_type=_type("category_pairs"))
def category_pairs(purchase_fact: pd.DataFrame):
    return _query("category_pairs", purchase_fact=purchase_fact)


def _held(found, there, column, key):
    orphans = ~found[column].dropna().isin(there[key])
    return dg.AssetCheckResult(passed=not orphans.any(), metadata={"orphans": int(orphans.sum())})


@dg.asset_check(asset=purchase_fact, blocking=True)
def products_are_known(purchase_fact: pd.DataFrame):
    with duckdb.connect() as con:
        products = con.execute(f"SELECT product_id FROM read_parquet('{FACTS['inputs']['products']}')").df()
    return _held(purchase_fact, products, "product_id", "product_id")


@dg.asset_check(asset=household_value, additional_ins={"fact": dg.AssetIn("purchase_fact")}, blocking=True)
def households_bought(household_value: pd.DataFrame, fact: pd.DataFrame):
    return _held(household_value, fact, "household_id", "household_id")


@dg.asset_check(asset=category_pairs, additional_ins={"fact": dg.AssetIn("purchase_fact")}, blocking=True)
def categories_are_bought(category_pairs: pd.DataFrame, fact: pd.DataFrame):
    return _held(category_pairs, fact, "category_a", "product_category")


defs = dg.Definitions(
    assets=[purchase_fact, household_value, category_pairs],
    asset_checks=[products_are_known, households_bought, categories_are_bought],
    jobs=[dg.define_asset_job("shop")],
    resources={"io_manager": DuckDBPandasIOManager(database=FACTS["database"])},
)
