"""Which trials of a study fit another search space, and what they are there."""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.settings.ranges import Asked, Range
from journal_launcher.study.attributes import queued_params
from journal_launcher.study.optuna_private import FIXED_PARAMS

__all__ = ["fitted", "misfit"]

Space = Mapping[str, Asked]


def misfit(trial: FrozenTrial, space: Space, *, whole: bool) -> str | None:
    """Why the trial does not fit, such as "opt is sgd"; None if it does.

    whole: the space has every parameter; else the trial's others may be anything, and a number
    stays of its kind, whole or not, whatever the bounds look like.
    """
    params = trial.params or queued_params(trial.system_attrs)
    for name, value in params.items():
        if name not in space:
            if whole:
                return f"the new space has no {name}"
        elif isinstance(asked := _asked(trial, name, space, whole), Range):
            if not _within(value, asked):
                return f"{name} is not in {_shown(asked)}"
        elif _choice(value, asked) is None:
            return f"{name} is {value}"
    lacking = space.keys() - params.keys()
    if whole and lacking and trial.state not in (TrialState.WAITING, TrialState.FAIL):
        return f"it has no {min(lacking)}"
    return None


def fitted(trial: FrozenTrial, space: Space, *, whole: bool) -> FrozenTrial:
    """A copy of a trial that fits, with the parameters and ranges of the space.

    whole: as for `misfit`.
    """
    made = copy.deepcopy(trial)
    ranges = dict(made.distributions)
    values = dict(made.params)
    for name, value in values.items():
        if name in space:
            asked = _asked(trial, name, space, whole)
            ranges[name] = _distribution(asked, ranges[name])
            values[name] = _as_asked(value, asked)
    made.distributions = ranges
    made.params = values
    queued = queued_params(made.system_attrs)
    if queued:
        known = {k: _as_asked(v, space[k]) if k in space else v for k, v in queued.items()}
        made.system_attrs = {**made.system_attrs, FIXED_PARAMS: known}
    return made


def _asked(trial: FrozenTrial, name: str, space: Space, whole: bool) -> Asked:
    before = trial.distributions.get(name)
    return space[name] if whole or before is None else _of_its_kind(space[name], before)


def _shown(asked: Range) -> str:
    kind = "whole numbers " if asked.whole else ""
    steps = f" in steps of {asked.step:g}" if asked.step else ""
    return f"{kind}{asked.low:g} to {asked.high:g}{steps}"


def _within(value: Any, asked: Range) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    if not asked.low <= value <= asked.high or (asked.whole and value != int(value)):
        return False
    steps = (value - asked.low) / asked.step if asked.step else 0.0
    return abs(steps - round(steps)) < 1e-8


def _choice(value: Any, choices: tuple[Any, ...]) -> tuple[Any] | None:
    """The one of the choices that it is; True is not 1."""
    same = (c for c in choices if c == value and isinstance(c, bool) == isinstance(value, bool))
    return next(((choice,) for choice in same), None)


def _as_asked(value: Any, asked: Asked) -> Any:
    if isinstance(asked, Range):
        return int(value) if asked.whole else float(value)
    found = _choice(value, asked)
    return value if found is None else found[0]


def _of_its_kind(asked: Asked, before: BaseDistribution) -> Asked:
    """A range or a fixed value as a parameter has it that was a number before."""
    if isinstance(before, CategoricalDistribution):
        return asked
    if not isinstance(asked, Range):
        value = asked[0]
        if len(asked) > 1 or isinstance(value, bool | str):
            return asked
        asked = Range(value, value)
    if isinstance(before, IntDistribution):
        return asked
    return replace(asked, low=float(asked.low), high=float(asked.high))


def _distribution(asked: Asked, before: BaseDistribution) -> BaseDistribution:
    """As a trial would ask for it; `log` where nothing is said of it is as before."""
    if not isinstance(asked, Range):
        return CategoricalDistribution(asked)
    known = getattr(before, "log", False) and asked.low > 0 and not asked.step
    log = bool(known if asked.log is None else asked.log)
    if asked.whole:
        return IntDistribution(int(asked.low), int(asked.high), log=log, step=int(asked.step or 1))
    return FloatDistribution(asked.low, asked.high, log=log, step=asked.step)
