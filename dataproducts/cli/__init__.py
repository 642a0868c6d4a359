"""The command line; it must not do more than read arguments, call the library and print."""

from dataproducts.cli.main import main, run

__all__ = ["main", "run"]
