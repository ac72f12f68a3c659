"""The small tables of the library's tests."""

from tabular.conftest import make_table

__all__ = ["make_table"]
