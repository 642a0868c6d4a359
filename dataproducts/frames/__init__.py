"""Contracts as pandera schemas and back, with the verdicts of the gate; it must not judge files.

pandas, polars and pandera take seconds to import, so they are imported where they are used.
"""

from dataproducts.frames.draft import contract_from_pandera
from dataproducts.frames.schema import pandera_schema, read_frame, rejected_rows
from dataproducts.frames.source import pandera_source

__all__ = ["contract_from_pandera", "pandera_schema", "pandera_source", "read_frame", "rejected_rows"]
