"""How much each parameter says about which trials are good."""

import copy
import json
import math
import warnings
from collections.abc import Container, Iterable
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.study.study import StudyHandle

__all__ = ["importances"]


def importances(study: StudyHandle, objective: int = 0) -> dict[str, float]:
    """What each parameter says about which trials are among the best tenth, biggest first.

    By one objective's finite values; shares that sum to 1. Empty below two such trials.
    Source: PED-ANOVA, Optuna's default, which takes conditional parameters too and a second for
    thousands of trials.
    """
    from optuna.importance import get_param_importances  # imports scikit-learn

    sign = 1 if study.directions[objective] == "minimize" else -1

    def value(trial: FrozenTrial) -> float:
        values = trial.values or ()
        return sign * values[objective] if objective < len(values) else math.nan

    trials = [t for t in study.trials(TrialState.COMPLETE) if math.isfinite(value(t))]
    if len(trials) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it minimises: we have turned the sign
        return dict(get_param_importances(_Readable(study, trials), target=value))


class _Readable(Study):
    """A study of some trials, whose choices are words: Optuna's importance cannot hash lists."""

    def __init__(self, study: StudyHandle, trials: Iterable[FrozenTrial]) -> None:
        super().__init__(study.name, study.storage)
        self._in_words: dict[str, CategoricalDistribution] = {}
        self._readable = [self._worded(trial) for trial in trials]

    def get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return [trial for trial in self._readable if states is None or trial.state in states]

    def _worded(self, trial: FrozenTrial) -> FrozenTrial:
        lists = {name for name, d in trial.distributions.items() if _has_lists(d)}
        if not lists:
            return trial
        trial = copy.copy(trial)
        trial.params = {
            name: json.dumps(value) if name in lists else value
            for name, value in trial.params.items()
        }
        trial.distributions = {
            name: self._words(distribution) if name in lists else distribution
            for name, distribution in trial.distributions.items()
        }
        return trial

    def _words(self, distribution: Any) -> CategoricalDistribution:
        words = tuple(map(json.dumps, distribution.choices))
        return self._in_words.setdefault(repr(words), CategoricalDistribution(words))


def _has_lists(distribution: BaseDistribution) -> bool:
    return isinstance(distribution, CategoricalDistribution) and any(
        isinstance(choice, list | dict) for choice in distribution.choices
    )
