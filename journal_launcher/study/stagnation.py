"""How many finished trials in a row brought nothing better."""

import bisect
import math
from collections.abc import Callable, Sequence

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.study.tally import FINISHED, is_feasible

__all__ = ["Stagnation"]


class Stagnation:
    """Takes in each trial once, when it has finished, in the order in which they finished.

    That order is in the journal, so whoever reads it counts the same. A parent asks several times
    for every trial, so counting all of them would cost the square of their number.

    Args:
        counts: can this COMPLETE trial be the best?
    """

    def __init__(self, directions: Sequence[str], counts: Callable[[FrozenTrial], bool]) -> None:
        self._signs = [1.0 if direction == "minimize" else -1.0 for direction in directions]
        self._counts = counts
        self._settled = 0
        self._ahead: set[int] = set()  # finished after one that has not ended
        self._order: list[tuple[float, int, FrozenTrial]] = []
        self._begin()

    def _begin(self) -> None:
        self._front: list[tuple[float, ...]] = []  # of one objective, the best value alone
        self._length = 0

    def length(self, trials: Sequence[FrozenTrial]) -> int:
        """Finished trials of a study since the best value, or the Pareto front, last changed."""
        for trial in trials[self._settled :]:
            if trial.state in FINISHED and trial.number not in self._ahead:
                self._ahead.add(trial.number)
                self._take(trial)
        while self._settled < len(trials) and trials[self._settled].state.is_finished():
            self._ahead.discard(self._settled)
            self._settled += 1
        return self._length

    def _take(self, trial: FrozenTrial) -> None:
        ended = trial.datetime_complete
        entry = (ended.timestamp() if ended is not None else 0.0, trial.number, trial)
        at = bisect.bisect(self._order, entry[:2], key=lambda known: known[:2])
        self._order.insert(at, entry)
        if at == len(self._order) - 1:
            self._judge(trial)
            return
        self._begin()  # written later than another that ended after it
        for *_, known in self._order:
            self._judge(known)

    def _judge(self, trial: FrozenTrial) -> None:
        self._length += 1
        values = trial.values or ()
        good = trial.state == TrialState.COMPLETE and len(values) == len(self._signs)
        if not (good and all(map(math.isfinite, values)) and is_feasible(trial)):
            return
        found = tuple(sign * value for sign, value in zip(self._signs, values, strict=True))
        if self._counts(trial) and not any(_is_as_good(one, found) for one in self._front):
            self._front = [one for one in self._front if not _is_as_good(found, one)]
            self._front.append(found)
            self._length = 0


def _is_as_good(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(mine <= theirs for mine, theirs in zip(one, other, strict=True))
