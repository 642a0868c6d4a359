"""Retail as a Dagster code location: its only wiring; what the products are stands in their folders."""

from __future__ import annotations

from pathlib import Path

import checks
import resources
from dataproducts.compile import compile_domain

defs = compile_domain(
    Path(__file__).parent, environment=resources.for_environment(), policies=checks.POLICIES, custom=checks.CUSTOM
)
