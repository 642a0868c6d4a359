"""Data products as Dagster definitions: the only part of the library that imports dagster; it must not gate itself."""

from dataproducts.compile.component import DataProductComponent
from dataproducts.compile.domain import compile_domain, compile_products

__all__ = ["DataProductComponent", "compile_domain", "compile_products"]
