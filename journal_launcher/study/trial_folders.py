"""Which trials have which folders in `NAME/trials/`, and which of those nobody needs any more.

A trial that is queued again goes on in the folder of the first one that it repeats: nothing is
moved, so no kill can lose it, and what it wrote may hold its own path.
"""

from collections.abc import Sequence, Set

from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.paths import StudyPaths
from journal_launcher.study.attributes import repeated

__all__ = ["folder_number", "remove_unneeded"]


def folder_number(trials: Sequence[FrozenTrial], number: int) -> int:
    """The number of the first trial that this one repeats, its own if it repeats none."""
    earlier = repeated(trials[number].system_attrs)
    while earlier is not None and earlier < number and trials[earlier].state == TrialState.FAIL:
        number = earlier
        earlier = repeated(trials[number].system_attrs)
    return number


def remove_unneeded(paths: StudyPaths, trials: Sequence[FrozenTrial], kept: Set[int]) -> None:
    """Remove all folders but those of trials that are queued or run, and of `kept` ones.

    A folder of a number that no trial has is of a study before this one: the trial that will have
    the number clears it.
    """
    folders = [number for number in paths.trial_folders() if number < len(trials)]
    if not folders:
        return
    needed = {
        folder_number(trials, trial.number)
        for trial in trials
        if trial.number in kept or not trial.state.is_finished()
    }
    for number in folders:
        if number not in needed:
            paths.remove_trial_folder(number)
