"""The search space of a model type as data, and how a user's config file changes it.

A fixed value is suggested like any other, from a range of one value. Samplers leave such a range
alone, every trial says in the journal what it ran with (so any of them can be refitted, whatever
the file says by then), and a resume notes fixed against tuned like any other change of a range.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.errors import UsageError
from journal_launcher.base.unknown_names import did_you_mean_or_all
from journal_launcher.settings.ranges import Asked, Range, Scalar, parse_range
from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import (
    FittedModel,
    FoldData,
    ModelSettings,
    Params,
    Rounds,
    RowWeights,
    Suggester,
)
from journal_launcher.tabular.models.averaged import Averaged

__all__ = ["Parameter", "Space", "Tuned", "between", "narrowed", "one_of"]


@dataclass(frozen=True)
class Parameter:
    """values: a range, or choices. least, most: what numbers the model can work with at all."""

    values: Asked
    default: Any
    least: float | None
    most: float | None

    def suggest(self, trial: Suggester, name: str) -> Any:
        match self.values:
            case Range(low, high, log) if isinstance(self.default, int):
                return trial.suggest_int(name, int(low), int(high), log=bool(log))
            case Range(low, high, log):
                return trial.suggest_float(name, low, high, log=bool(log))
            case choices:
                return trial.suggest_categorical(name, choices)

    def __str__(self) -> str:
        match self.values:
            case Range(low, high, log):
                return f"{low:g} to {high:g}" + (", log" if log else "")
            case choices:
                return ", ".join(map(str, choices))


Space = Mapping[str, Parameter]


def between(
    low: float,
    high: float,
    *,
    default: float,
    log: bool = False,
    least: float | None = None,
    most: float | None = None,
) -> Parameter:
    """A range, of whole numbers if `default` is one. `log` draws its logarithm evenly."""
    return Parameter(Range(low, high, log), default, least, most)


def one_of(
    choices: tuple[Scalar, ...], *, default: Scalar, least: float | None = None
) -> Parameter:
    """Choices. A user may ask for other numbers from `least` on, but for no other words."""
    return Parameter(choices, default, least, None)


class Tuned(ABC):
    """A model type that says in `space` what is tuned."""

    members = 5

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        self.on_round: Rounds = lambda done, of: None
        self.fold_steps: int | None = None

    @property
    def affordable(self) -> int | None:
        return None

    @abstractmethod
    def space(self) -> Space:
        """The parameters by name, before what the user's config file says."""
        ...

    @abstractmethod
    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> FittedModel: ...

    def fit_mean(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seeds: Sequence[int],
        weights: RowWeights = None,
    ) -> FittedModel:
        fitted = self.fit_each(params, features, target, steps, seeds, weights)
        return Averaged(fitted) if len(fitted) > 1 else fitted[0]

    def fit_each(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seeds: Sequence[int],
        weights: RowWeights = None,
    ) -> Sequence[FittedModel]:
        """A training from each of the seeds, one after the other."""
        tell = self.on_round
        fitted: list[FittedModel] = []

        def tell_of_all(done: int, of: int) -> None:
            tell(len(fitted) * of + done, len(seeds) * of)

        self.on_round = tell_of_all
        for seed in seeds:
            fitted.append(self.fit(params, features, target, steps, seed, weights))
        self.on_round = tell
        return fitted

    @abstractmethod
    def load(self, path: Path, state: dict[str, Any]) -> FittedModel: ...

    def load_mean(self, path: Path, state: Any) -> FittedModel:
        if isinstance(state, list):
            return Averaged.load(self.load, path, state)
        return self.load(path, state)

    @cached_property
    def searched(self) -> Space:
        """The space with the user's ranges.

        Raises:
            UsageError: an unknown parameter, or values that the model cannot work with.
        """
        return narrowed(self.space(), self.settings.ranges, self.settings.name)

    def precompute(self, folds: Sequence[FoldData]) -> None:  # noqa: B027, most have nothing to share
        """Nothing: what the libraries derive from the rows cannot be mapped."""

    def release(self) -> None:  # noqa: B027, most keep nothing
        """Nothing: what the libraries take of a GPU they give back after each training."""

    def suggest(self, trial: Suggester) -> Params:
        return {name: parameter.suggest(trial, name) for name, parameter in self.searched.items()}

    def defaults(self) -> Params:
        return {name: parameter.default for name, parameter in self.searched.items()}


def narrowed(space: Space, ranges: Mapping[str, Any], table: str) -> Space:
    """`space` with the ranges, choices and fixed values of the config file's `table`.

    Raises:
        UsageError: names the table and the key, and says what the parameter's own range is.
    """
    changed = dict(space)
    for name, value in ranges.items():
        where = f"[{table}] {name}"
        if name not in space:
            raise UsageError(f"{where}: no such parameter{did_you_mean_or_all(name, tuple(space))}")
        changed[name] = _narrow(space[name], parse_range(where, value), where)
    return changed


def _narrow(own: Parameter, asked: Asked, where: str) -> Parameter:
    given = (asked.low, asked.high) if isinstance(asked, Range) else asked
    kind = type(own.default)
    for value in given:
        if (isinstance(asked, Range) and kind in (bool, str)) or not _fits(own, value):
            raise UsageError(f"{where}: expected {_expected(own)}, found {value!r}")
    values: tuple[Any, ...] = tuple(kind(value) for value in given)
    if isinstance(own.values, Range) and len(values) == 1:
        asked = Range(values[0], values[0])  # the same kind as tuned, so that a study may change
    if isinstance(asked, Range):
        log = asked.log
        if log is None:
            log = isinstance(own.values, Range) and bool(own.values.log) and asked.low > 0
        low = values[0]
        high = values[-1]
        default = min(max(own.default, low), high)
        return replace(own, values=Range(low, high, log), default=default)
    default = own.default
    if default not in values:
        is_word = kind in (bool, str)
        default = values[0] if is_word else min(values, key=lambda value: abs(value - default))
    return replace(own, values=values, default=default)


def _fits(own: Parameter, value: Scalar) -> bool:
    kind = type(own.default)
    if kind in (bool, str):
        return type(value) is kind and isinstance(own.values, tuple) and value in own.values
    if isinstance(value, bool | str) or (kind is int and not isinstance(value, int)):
        return False
    return (own.least is None or value >= own.least) and (own.most is None or value <= own.most)


def _expected(own: Parameter) -> str:
    if isinstance(own.default, bool | str):
        return f"one or more of {own}"
    kind = "whole numbers" if isinstance(own.default, int) else "numbers"
    least = "" if own.least is None else f" from {own.least:g}"
    most = "" if own.most is None else f" up to {own.most:g}"
    shown = f"its own range: {own}" if isinstance(own.values, Range) else f"such as {own}"
    return f"{kind}{least}{most} ({shown})"
