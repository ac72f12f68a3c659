"""What counts as healthy, and when a model type is skipped: two tables of the config file."""

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Self

from journal_launcher.base.dataclass import dataclass
from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_or_all

__all__ = ["HealthLimits", "Limits", "SkipLimits"]

Pair = tuple[float, float]
_MOST = 1_000_000  # hours that a date can be away, and more


@dataclass(frozen=True)
class HealthLimits:
    """[health]: where a warning begins and where it is critical. See `docs/health.md`."""

    dead_units: Pair = (0.25, 0.5)
    gradient_spread: Pair = (100.0, 1000.0)
    overfit_ratio: Pair = (1.3, 1.5)
    epochs_used: Pair = (0.3, 0.15)
    unused_features: Pair = (0.4, 0.7)


@dataclass(frozen=True)
class SkipLimits:
    """[skip]: so many critical results in a row skip a model type, and for so long."""

    critical_results: int = 3
    hours: float = 24.0


@dataclass(frozen=True)
class Limits:
    """Both tables."""

    health: HealthLimits = field(default_factory=HealthLimits)
    skip: SkipLimits = field(default_factory=SkipLimits)

    @classmethod
    def of(cls, health: Any = None, skip: Any = None) -> Self:
        """The defaults with what a user's two tables set otherwise.

        Raises:
            UsageError: an unknown key, or a value that cannot be one.
        """
        pairs = _given("health", HealthLimits, health)
        numbers = _given("skip", SkipLimits, skip)
        for name, value in pairs.items():
            pairs[name] = _pair(name, value, getattr(HealthLimits, name))
        for name, value in numbers.items():
            whole = name == "critical_results"
            allowed = (int,) if whole else (int, float)
            if type(value) not in allowed or not 0 < value <= _MOST:
                kind = "whole number" if whole else "number"
                raise UsageError(
                    f"[skip] {name}: expected a positive {kind} up to {_MOST:,}, found {value!r}"
                )
        return cls(HealthLimits(**pairs), SkipLimits(**numbers))


def _given(table: str, limits: type[Any], content: Any) -> dict[str, Any]:
    content = {} if content is None else content
    if not isinstance(content, Mapping):
        raise UsageError(f"[{table}] expected a table, found {content!r}")
    known = [known.name for known in dataclasses.fields(limits)]
    found = {str(key).replace("-", "_"): value for key, value in content.items()}
    for key in found:
        if key not in known:
            raise UsageError(f"[{table}] unknown key {key}{did_you_mean_or_all(key, known)}")
    return found


def _pair(name: str, value: Any, default: Pair) -> Pair:
    numbers = isinstance(value, list | tuple) and all(
        type(item) in (int, float) and abs(item) <= sys.float_info.max for item in value
    )
    if not numbers or len(value) != 2:
        raise UsageError(f"[health] expected {name} = [warning, critical], found {value!r}")
    warning, critical = map(float, value)
    if (warning > critical) != (default[0] > default[1]) and warning != critical:
        raise UsageError(f"[health] {name}: expected the warning no later than critical: {value}")
    return warning, critical
