"""The benchmark's products as a Dagster code location."""

from pathlib import Path

from dataproducts import Environment
from dataproducts.compile import compile_domain

root = Path(__file__).parents[2]
defs = compile_domain(Path(__file__).parent, environment=Environment("dev", root, root / ".dataproducts"))
