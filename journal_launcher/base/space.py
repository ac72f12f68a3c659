"""The search space of a script: the `[space]` table, checked and as dataclasses."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from journal_launcher.base.errors import UsageError

__all__ = ["Choices", "Dimension", "Range", "Space", "parse_space"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EXPECTED = "expected a table such as {low = 1e-5, high = 0.1, log = true} or a list of choices"
_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole numbers if both bounds are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        return isinstance(self.low, int)

    @property
    def kind(self) -> str:
        """What may not change on resume; bounds and step may."""
        return ("int" if self.whole else "float") + (", log" if self.log else "")


@dataclass(frozen=True)
class Choices:
    values: tuple[str | int | float | bool, ...]

    @property
    def kind(self) -> list[Any]:
        return list(self.values)


Dimension = Range | Choices
Space = dict[str, Dimension]


def parse_space(table: Mapping[str, Any]) -> Space:
    """Check `[space]`: parameter name -> {low, high, log, step} or a list of choices.

    Raises:
        UsageError: names the parameter, what was expected and what was found.
    """
    if not isinstance(table, Mapping) or not table:
        raise UsageError(f"[space]: expected parameters, found {table!r}; {_EXPECTED} for each")
    variables: dict[str, str] = {}
    for name in table:
        if not _NAME.fullmatch(name):
            valid = re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII) or "_"
            raise UsageError(
                f"[space] {name}: expected letters, digits and '_' as a name; try {valid}"
            )
        twin = variables.setdefault(name.upper(), name)
        if twin != name:
            raise UsageError(f"[space] {name} and {twin} would both be JL_{name.upper()}")
        if name.upper() == "DIR":
            raise UsageError(f"[space] {name}: this name belongs to the trial's folder")
    return {name: _dimension(f"[space] {name}", found) for name, found in table.items()}


def _dimension(where: str, found: Any) -> Dimension:
    if isinstance(found, list | tuple):
        return _choices(where, found)
    if isinstance(found, Mapping):
        return _range(where, found)
    raise UsageError(f"{where}: {_EXPECTED}, found {found!r}; [{found!r}] fixes a value")


def _choices(where: str, found: list[Any] | tuple[Any, ...]) -> Choices:
    if not found:
        raise UsageError(f"{where}: expected one choice or more, found none")
    for value in found:
        if not isinstance(value, str | int | float) or "\0" in str(value):
            raise UsageError(
                f"{where}: expected text, numbers, true or false as choices, found {value!r}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{where}: expected finite choices, found {value!r}")
    if len(set(found)) != len(found):
        raise UsageError(f"{where}: expected different choices, found {list(found)!r}")
    return Choices(tuple(found))


def _range(where: str, found: Mapping[str, Any]) -> Range:
    for key in found:
        if key not in _KEYS:
            raise UsageError(f"{where}: expected {', '.join(_KEYS)}, found {key}")
    for key in ("low", "high", "step"):
        if key not in found and key != "step":
            raise UsageError(f"{where}: {key} is missing; {_EXPECTED}")
        value = found.get(key, 1)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not math.isfinite(value):
            raise UsageError(f"{where}: expected a finite number for {key}, found {value!r}")
    low, high, log, step = (found.get(key) for key in _KEYS)
    assert low is not None and high is not None
    if not isinstance(log, bool | None):
        raise UsageError(f"{where}: expected true or false for log, found {log!r}")
    if low > high:
        raise UsageError(f"{where}: expected low <= high, found {low} and {high}")
    if log and low <= 0:
        raise UsageError(f"{where}: log needs low above 0, found {low}")
    if log and step is not None:
        raise UsageError(f"{where}: log and step exclude each other")
    if step is not None and step <= 0:
        raise UsageError(f"{where}: expected a step above 0, found {step}")
    whole = isinstance(low, int) and isinstance(high, int)
    if whole and isinstance(step, float):
        raise UsageError(
            f"{where}: both bounds are whole numbers, so step must be one, found {step}; write "
            f"low = {low}.0 for fractions"
        )
    kind = int if whole else float
    return Range(kind(low), kind(high), bool(log), None if step is None else kind(step))
