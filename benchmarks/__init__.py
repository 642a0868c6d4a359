"""Benchmarks that anyone can run again; the library does not know them."""
