"""What a parameter may be, as people write it: a value, a list, or {low, high, log, step}."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_or_all

__all__ = ["Asked", "Range", "Scalar", "check_tables", "parse_range"]

Scalar = bool | int | float | str
_KEYS = ("low", "high", "log")
_MOST_STEPS = 2**53  # a float counts no further


@dataclass(frozen=True)
class Range:
    """From `low` to `high`, both included. `log` is None where nothing was said about it."""

    low: int | float
    high: int | float
    log: bool | None = None
    step: int | float | None = None

    @property
    def whole(self) -> bool:
        """Whole numbers alone: both bounds are."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Asked = Range | tuple[Scalar, ...]
"""A range, or choices; one choice is a fixed value."""


def parse_range(where: str, value: Any, *, steps: bool = False) -> Asked:
    """Read `0.1`, `[64, 128]` or `{"low": 1e-4, "high": 1e-2, "log": true}`.

    steps: a range may have a `step`.

    Raises:
        UsageError: begins with `where` and says what was expected and found.
    """
    if isinstance(value, Mapping):
        return _range(where, value, (*_KEYS, "step") if steps else _KEYS)
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
            raise UsageError(
                f"[{table}]: no such model type{did_you_mean_or_all(table, model_types)}"
            )
        if not isinstance(ranges, Mapping):
            raise UsageError(f"[{table}]: expected a table of parameters, found {ranges!r}")
        for name, value in ranges.items():
            parse_range(f"[{table}] {name}", value)


def _range(where: str, table: Mapping[str, Any], keys: tuple[str, ...]) -> Range:
    for key in table:
        if key not in keys:
            raise UsageError(f"{where}: unknown key {key}{did_you_mean_or_all(key, keys)}")
    for key in ("low", "high", "step"):
        if key != "step" or key in table:
            _check_number(where, key, table.get(key))
    asked = Range(**table)
    low = asked.low
    high = asked.high
    log = asked.log
    step = asked.step
    if log is not None and not isinstance(log, bool):
        raise UsageError(f"{where}: expected true or false for log, found {log!r}")
    if low > high:
        raise UsageError(f"{where}: expected low up to high, found low {low} and high {high}")
    if high - low > sys.float_info.max:
        raise UsageError(f"{where}: expected a finite high - low, found low {low} and high {high}")
    if log and low <= 0:
        raise UsageError(f"{where}: expected low above 0 with log = true, found {low}")
    if step is None:
        return asked
    if log:
        raise UsageError(f"{where}: log and step exclude each other")
    if step <= 0:
        raise UsageError(f"{where}: expected a step above 0, found {step}")
    if (high - low) / _MOST_STEPS > step:
        raise UsageError(f"{where}: expected fewer than 2^53 steps from low to high, found {step}")
    if asked.whole and isinstance(step, float):
        raise UsageError(
            f"{where}: both bounds are whole numbers, so step must be one, found {step}; write "
            f"low = {low}.0 for fractions"
        )
    return asked


def _check_number(where: str, key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        found = "none" if value is None else repr(value)
        raise UsageError(f"{where}: expected a number for {key}, found {found}")
    _check_finite(where, value, f" for {key}")


def _check_finite(where: str, value: Scalar, purpose: str = "") -> None:
    if not isinstance(value, str) and not abs(value) <= sys.float_info.max:
        raise UsageError(f"{where}: expected a finite number{purpose}, found {value}")
