"""The operations database: incidents, notices, lifecycle, SLO history; it must not know declarations or Dagster."""

from __future__ import annotations

from dataproducts.operations.operations import Operations, bookmark, migrate, move_bookmark

__all__ = ["Operations", "bookmark", "migrate", "move_bookmark"]
