"""All products of one domain as one set of Dagster definitions; it must not know what a table's asset does."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from dataproducts.compile.assets import product_assets
from dataproducts.compile.audit import audit_job, audit_schedule
from dataproducts.compile.jobs import product_job, product_schedule
from dataproducts.compile.runtime import Observer, Runtime, ignore
from dataproducts.compile.sensor import watch_sensor
from dataproducts.declare.catalogue import read_catalogue
from dataproducts.errors import DeclarationError
from dataproducts.load import load_project
from dataproducts.policy import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from dataproducts.environment import Environment
    from dataproducts.policy import Policy
    from dataproducts.product import DataProduct

# One object for all: Dagster merges definitions that share a resource only if it is the same one.
COMPUTE = DuckDBResource(database=":memory:")


def compile_domain(
    folder: Path,
    *,
    environment: Environment,
    policies: Sequence[Policy] = (),
    custom: Mapping[str, Callable[..., Any]] | None = None,
) -> dg.Definitions:
    """Return the definitions of every product under `folder`, which is `assets/<domain>`.

    Other domains are only looked up for the contracts that this one's ports name: their faults are not this one's.
    Raises: DeclarationError, with every fault of the domain's files and every policy that they violate.
    """
    project = load_project(environment.root, domain=folder.name)
    faults = (*project.faults, *apply(policies, project.products))
    if faults:
        raise DeclarationError(faults)
    return compile_products(project.products, environment=environment, custom=custom, watched_as=folder.name)


def compile_products(
    products: Sequence[DataProduct],
    *,
    environment: Environment,
    custom: Mapping[str, Callable[..., Any]] | None = None,
    observe: Observer = ignore,
    watched_as: str = "",
) -> dg.Definitions:
    """Return definitions for `products`, already loaded and judged by the policies.

    Each product becomes a group: an asset a table, an asset check a rule, the release last, a job and a schedule, and
    the same of its audit. With `watched_as`, the name of the code location, a sensor watches them all.
    Nothing is opened until a run starts. `observe` is called, in the running process, with every outcome.
    """
    runtime = Runtime(environment, dict(custom or {}), observe)
    offers = read_catalogue(environment.root).offers
    with warnings.catch_warnings():
        # Code references and backfill policies are beta in dagster 1.13; the graph snapshot tells when they change.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [asset for product in products for asset in product_assets(product, runtime, offers)]
    jobs = [product_job(product) for product in products]
    schedules = [schedule for product in products for schedule in product_schedule(product, runtime)]
    # A single product is compiled for one run of it, which neither audits nor watches.
    audits = [audit_job(product, runtime) for product in products] if watched_as else []
    if watched_as:
        schedules += [schedule for product in products for schedule in audit_schedule(product, runtime)]
    return dg.Definitions(
        assets=assets,
        jobs=[*jobs, *audits],
        schedules=schedules,
        sensors=[watch_sensor(products, runtime, name=watched_as)] if watched_as else [],
        resources={"duckdb": COMPUTE},
        # A process a step costs 2 s and more each; the steps of a product are short and share nothing but the ledger.
        executor=dg.in_process_executor,
    )
