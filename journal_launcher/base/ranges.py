"""What a parameter may be, as people write it: a value, a list of them, or {low, high, log}."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from journal_launcher.base.errors import UsageError
from journal_launcher.base.options import nearest_or_all

__all__ = ["Asked", "Range", "Scalar", "check_tables", "parse_range"]

Scalar = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included. `log` is None where nothing was said about it."""

    low: int | float
    high: int | float
    log: bool | None = None


Asked = Range | tuple[Scalar, ...]
"""A range, or choices; one choice is a fixed value."""


def parse_range(where: str, value: Any) -> Asked:
    """Read `0.1`, `[64, 128]` or `{"low": 1e-4, "high": 1e-2, "log": true}`.

    Raises:
        UsageError: begins with `where` and says what was expected and found.
    """
    if isinstance(value, dict):
        return _range(where, value)
    choices = tuple(value) if isinstance(value, list | tuple) else (value,)
    for choice in choices:
        if not isinstance(choice, Scalar):
            raise UsageError(
                f"{where}: expected a value, a list of values or {{low = …, high = …}}, found "
                f"{choice!r}"
            )
        _check_finite(where, choice)
    if not choices:
        raise UsageError(f"{where}: expected at least one choice, found an empty list")
    if len(set(choices)) < len(choices):
        raise UsageError(f"{where}: expected each choice once, found {list(choices)!r}")
    return choices


def check_tables(tables: Any, model_types: Sequence[str]) -> None:
    """Refuse what no model type could search; which parameters each has, only a worker knows.

    Raises:
        UsageError: names the table and the key.
    """
    if not isinstance(tables, Mapping):
        raise UsageError(f"spaces: expected a table for each model type, found {tables!r}")
    for table, ranges in tables.items():
        if table not in model_types:
            raise UsageError(f"[{table}]: no such model type{nearest_or_all(table, model_types)}")
        if not isinstance(ranges, Mapping):
            raise UsageError(f"[{table}]: expected a table of parameters, found {ranges!r}")
        for name, value in ranges.items():
            parse_range(f"[{table}] {name}", value)


def _range(where: str, table: dict[str, Any]) -> Range:
    for key in table:
        if key not in ("low", "high", "log"):
            raise UsageError(
                f"{where}: unknown key {key}{nearest_or_all(key, ('low', 'high', 'log'))}"
            )
    bounds = []
    for key in ("low", "high"):
        bound = table.get(key)
        if isinstance(bound, bool) or not isinstance(bound, int | float):
            found = "none" if bound is None else repr(bound)
            raise UsageError(f"{where}: expected a number for {key}, found {found}")
        bounds.append(bound)
        _check_finite(where, bound)
    low, high = bounds
    log = table.get("log")
    if log is not None and not isinstance(log, bool):
        raise UsageError(f"{where}: expected true or false for log, found {log!r}")
    if low > high:
        raise UsageError(f"{where}: expected low up to high, found low {low} and high {high}")
    if log and low <= 0:
        raise UsageError(f"{where}: expected low above 0 with log = true, found {low}")
    return Range(low, high, log)


def _check_finite(where: str, value: Scalar) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where}: expected a finite number, found {value}")
