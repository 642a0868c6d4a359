"""Data products that can be trusted: declared in open-standard files, gated by their rules, released atomically."""

from dataproducts.environment import Environment
from dataproducts.errors import DataProductError
from dataproducts.product import DataProduct

__all__ = ["DataProduct", "DataProductError", "Environment"]
