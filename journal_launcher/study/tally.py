"""How many trials have finished and which is the best, kept up to date instead of counted anew."""

import math
import re
from collections.abc import Callable, Iterable, Sequence

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.trial_attributes import TrialAttributes
from journal_launcher.base.errors import JournalDamagedError
from journal_launcher.base.events import INTERRUPTED

__all__ = [
    "FINISHED",
    "NO_MODULE",
    "Tally",
    "best_of",
    "by_cause",
    "check_values",
    "failure_kind",
    "has_failed",
    "is_feasible",
    "pareto_front",
    "ranked",
]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
NO_MODULE = "no module "  # so begins the reason of a trial that lacked one; what to type ends it

# Several with nothing but commas and spaces between them are one, also where a text was cut off.
_NUMBER = r"[-+]?(?:0x[0-9a-f]+|(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d*)?|(?:inf|nan)\b)"
_NUMBERS = re.compile(rf"(?<![\w.]){_NUMBER}(?:[\s,]+{_NUMBER})*(?:[\s,]+[-+]?$)?")

Best = Callable[[Sequence[FrozenTrial]], FrozenTrial | None]


class Tally:
    """Takes in each trial once, when it has ended: Optuna never changes it then.

    A parent asks several times for every trial, so counting all of them would cost the square of
    their number.

    Args:
        best: the best of some trials, if there is one.

    Attributes:
        under_way: the trials that have not ended, by their numbers, as they were when last taken.
        counts: how many have finished, how many failed.
        leader: the best one.
    """

    def __init__(self, best: Best) -> None:
        self._best = best
        self.under_way: list[FrozenTrial] = []
        self.counts = (0, 0)
        self.leader: FrozenTrial | None = None

    def take(self, trials: Sequence[FrozenTrial]) -> None:
        """What has become of those under way, then what is new."""
        ended = [trial for trial in trials if trial.state.is_finished()]
        if ended:
            finished, failed = _count(ended)
            self.counts = self.counts[0] + finished, self.counts[1] + failed
            self.leader = self._best(ended if self.leader is None else [self.leader, *ended])
        self.under_way = [trial for trial in trials if not trial.state.is_finished()]


def _count(trials: Sequence[FrozenTrial]) -> tuple[int, int]:
    finished = sum(trial.state in FINISHED for trial in trials)
    return finished, sum(map(has_failed, trials))


def has_failed(trial: FrozenTrial) -> bool:
    """Did it fail by itself, and not because a launch was stopped?"""
    if trial.state != TrialState.FAIL:
        return False
    reason = TrialAttributes.from_json(trial.user_attrs).fail_reason
    return not (reason or "").startswith(INTERRUPTED)


def failure_kind(reason: str | None) -> str:
    """Under what a failure is counted: the reason's first words, up to a colon."""
    return (reason or "unknown").partition(":")[0]


def by_cause(reasons: Iterable[str | None]) -> dict[str, list[int]]:
    """Which of the reasons, by their place, have one cause, the most frequent cause first.

    They have if their first words differ in numbers alone; those are then left out of its name.
    """
    kinds: dict[str, dict[str, None]] = {}
    places: dict[str, list[int]] = {}
    for place, reason in enumerate(reasons):
        kind = failure_kind(reason)
        cause = _NUMBERS.sub("…", kind)
        kinds.setdefault(cause, {})[kind] = None
        places.setdefault(cause, []).append(place)
    ranked = sorted(places, key=lambda cause: -len(places[cause]))
    return {
        next(iter(kinds[cause])) if len(kinds[cause]) == 1 else cause: places[cause]
        for cause in ranked
    }


def is_feasible(trial: FrozenTrial) -> bool:
    """Does it meet all its constraints?"""
    return all(constraint <= 0 for constraint in trial.constraints.values())


def ranked(trials: Sequence[FrozenTrial], directions: Sequence[str]) -> list[FrozenTrial]:
    """COMPLETE trials of one objective, best first: finite, constraints met, earliest of equals."""
    if len(directions) != 1:
        return []
    valued = [
        trial
        for trial in trials
        if len(trial.values or ()) == 1
        and trial.value is not None
        and math.isfinite(trial.value)
        and is_feasible(trial)
    ]
    sign = 1 if directions[0] == "minimize" else -1
    return sorted(valued, key=lambda trial: (sign * (trial.value or 0.0), trial.number))


def best_of(trials: Sequence[FrozenTrial], directions: Sequence[str]) -> FrozenTrial | None:
    """The first of `ranked`, if there is one."""
    return next(iter(ranked(trials, directions)), None)


def pareto_front(study: Study) -> list[FrozenTrial]:
    """The trials of several objectives that no other trial beats in all; finite values only.

    Raises:
        JournalDamagedError: as `check_values`.
    """
    if len(study.directions) == 1:
        return []
    check_values(study)
    return [trial for trial in study.best_trials if all(map(math.isfinite, trial.values))]


def check_values(study: Study) -> None:
    """Look whether every COMPLETE trial has a value for each objective.

    Raises:
        JournalDamagedError: one has not, and Optuna can compare it with none of the others.
    """
    expected = len(study.directions)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        if (found := len(trial.values or ())) != expected:
            raise JournalDamagedError(
                f"study {study.study_name}: expected {expected} value{'s' * (expected > 1)} in "
                f"trial {trial.number}, found {found}: another writer ended it; choose another "
                "--study-name, or move the study aside with --overwrite"
            )
