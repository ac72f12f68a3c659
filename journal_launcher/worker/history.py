"""What TPE looks at of a long study: its best trials, an even choice of the others, what runs.

A suggestion costs as much as the trials that it looks at. The best are those that it draws near to,
every one of them; the others say how densely each place was tried, which a part of them says too.
The latest alone would not: they lie around the best, and TPE would be driven away from there.
"""

import math
from bisect import bisect, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import compress
from operator import attrgetter
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.study.journal.storage import StudyStorage
from journal_launcher.study.optuna_private import PartOfStudy, study_id
from journal_launcher.study.tally import FINISHED

__all__ = ["BoundedTPE", "History"]

LIMIT = 4000  # finished trials of which a suggestion looks at every one
_BEST = 25  # what Optuna calls the best, of one objective
_PARETO = 10  # of several it is one in so many
_LATEST = 25  # of the others; the latest ones count in full

_by_number = attrgetter("number")


class BoundedTPE(TPESampler):
    """Optuna's TPE, to which a long study is shown in part; one up to the limit, as it is."""

    def __init__(self, seed: int, history: "History") -> None:
        super().__init__(seed=seed)
        self._history = history

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if not self._history.is_long():
            return super().infer_relative_search_space(study, trial)
        if len(study.directions) > 1:  # drawn one by one, as Optuna does by default
            return {}
        return self._history.common_space()

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        shown = self._history.shown(study, search_space)
        return super().sample_relative(shown, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        shown = self._history.shown(study, (param_name,))
        return super().sample_independent(shown, trial, param_name, param_distribution)


class History:
    """Takes in each trial once, when it has ended; so a look costs what is new.

    What it shows is a function of the journal alone, whenever and however often it looked.

    limit: finished trials up to which all are shown; above 50.
    """

    def __init__(self, study: optuna.Study, storage: StudyStorage, limit: int = LIMIT) -> None:
        self._storage = storage
        self._study = study_id(study)
        self._limit = limit
        self._part = PartOfStudy(study.study_name, storage)
        self._listed = 0  # trials that were there at the last look
        self._open: list[FrozenTrial] = []  # of those, the ones that had not ended
        self._finished = 0
        self._common: dict[str, BaseDistribution] | None = None
        best = _BEST if len(study.directions) == 1 else limit // _PARETO
        self._best = _Best(study.directions, best)
        self._rest = _Rest(limit - best)
        self._rest_with: dict[str, _Rest] = {}  # that have a parameter, by its name

    def is_long(self) -> bool:
        """Are there more than are all shown, as of what was read?"""
        with self._storage.one_at_a_time:
            self._look()
        return self._finished > self._limit

    def common_space(self) -> dict[str, BaseDistribution]:
        """The parameters that every finished trial has, with one and the same range."""
        common = sorted((self._common or {}).items())
        return {name: distribution for name, distribution in common if not distribution.single()}

    def shown(self, study: optuna.Study, names: Collection[str]) -> optuna.Study:
        """`study`, or what to show of it to draw the parameters `names`: to Optuna, that is one.

        Of a parameter that not all trials have, there are as many of those that have it as there
        are of all.
        """
        if not self.is_long():
            return study
        with self._storage.one_at_a_time:
            self._storage.read()
            self._look()
            rare = (name for name in names if name not in (self._common or {}))
            having = (self._rest_with[name] for name in rare if name in self._rest_with)
            groups: list[Iterable[FrozenTrial]] = [self._best, self._rest, *having, self._open]
        chosen = {trial.number: trial for group in groups for trial in group}
        self._part.shown = [chosen[number] for number in sorted(chosen)]
        return self._part

    def _look(self) -> None:
        storage = self._storage
        before = [storage.trial_read(self._study, trial.number) for trial in self._open]
        since = storage.trials_read(self._study, self._listed)
        self._listed += len(since)
        self._open = []
        for trial in (*before, *since):
            if not trial.state.is_finished():
                self._open.append(trial)
            elif trial.state in FINISHED:
                self._take(trial)

    def _take(self, trial: FrozenTrial) -> None:
        self._finished += 1
        ranges = trial.distributions
        if self._common is None:
            self._common = dict(ranges)
        elif self._common != ranges:
            common = self._common.items()
            self._common = {name: range_ for name, range_ in common if ranges.get(name) == range_}
        self._best.take(trial)
        self._rest.take(trial)
        for name in trial.params:
            self._rest_with.setdefault(name, _Rest(self._rest.most)).take(trial)


class _Rest:
    """Of all trials that were taken the latest, and an even choice of the others; `most` in all."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._latest: list[FrozenTrial] = []
        self._chosen: list[tuple[int, FrozenTrial]] = []

    def __iter__(self) -> Iterator[FrozenTrial]:
        return iter([*self._latest, *(trial for _, trial in self._chosen)])

    def take(self, trial: FrozenTrial) -> None:
        insort(self._latest, trial, key=_by_number)
        if len(self._latest) > _LATEST:
            earlier = self._latest.pop(0)
            insort(self._chosen, (_spread(earlier.number), earlier))
            del self._chosen[self.most - _LATEST :]


def _spread(number: int) -> int:
    """An order of all numbers whose first ones are spread evenly over them, however many they are.

    That of the fractional parts of their multiples of the golden ratio; no two are equal.
    """
    return number * 0x9E3779B97F4A7C15 % (1 << 64)


class _Best:
    """The `most` best of all trials that were taken, in Optuna's order of them.

    That is: COMPLETE by their value, then PRUNED by how far they came and with what, then those
    that violate a constraint, by how much. Of several objectives the COMPLETE ones are the Pareto
    front, of a larger one the latest.
    """

    def __init__(self, directions: Sequence[StudyDirection], most: int) -> None:
        self._signs = [-1.0 if each == StudyDirection.MAXIMIZE else 1.0 for each in directions]
        self._most = most
        self._front = _Front(len(self._signs))
        self._ranked: list[tuple[tuple[float, float, float], int, FrozenTrial]] = []

    def __iter__(self) -> Iterator[FrozenTrial]:
        front = self._front.trials[-self._most :]
        ranked = self._ranked[: self._most - len(front)]
        return iter([*front, *(trial for *_, trial in ranked)])

    def take(self, trial: FrozenTrial) -> None:
        rank = self._rank(trial)
        if rank is None:
            return
        if rank[0] == 0 and len(self._signs) > 1:
            self._front.take(trial, np.multiply(self._signs, trial.values))
            return
        insort(self._ranked, (rank, trial.number, trial))  # numbers differ: no trial is compared
        del self._ranked[self._most :]

    def _rank(self, trial: FrozenTrial) -> tuple[float, float, float] | None:
        """Lower is better; None for what no order has a place for."""
        violation = sum(value for value in trial.constraints.values() if value > 0)
        if violation > 0:
            return 2, violation, 0.0
        if trial.state == TrialState.COMPLETE:
            values = trial.values or []
            if len(values) != len(self._signs) or any(map(math.isnan, values)):
                return None
            return 0, self._signs[0] * values[0], 0.0
        if not trial.intermediate_values:
            return 1, 1.0, 0.0
        step, value = max(trial.intermediate_values.items())
        return 1, -step, math.inf if math.isnan(value) else self._signs[0] * value


class _Front:
    """The trials that no other one beats, by their numbers; of equal ones the first."""

    def __init__(self, objectives: int) -> None:
        self.trials: list[FrozenTrial] = []
        self._losses = np.empty((0, objectives))

    def take(self, trial: FrozenTrial, losses: np.ndarray) -> None:
        beaten: np.ndarray = np.all(losses <= self._losses, axis=1)
        beating: np.ndarray = np.all(self._losses <= losses, axis=1)
        same = np.flatnonzero(beaten & beating)
        if same.size:  # then neither beats any other one
            place = int(same[0])
            if trial.number > self.trials[place].number:
                return
        elif beating.any():
            return
        if beaten.any():
            self._losses = self._losses[~beaten]
            self.trials = list(compress(self.trials, ~beaten))
        place = bisect(self.trials, trial.number, key=_by_number)
        self._losses = np.insert(self._losses, place, losses, axis=0)
        self.trials.insert(place, trial)
