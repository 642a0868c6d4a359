"""Revisions of the operations database, one a module."""
