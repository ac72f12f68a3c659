"""Trials' folders of workers that do not see the studies folder: what they get, what came back.

Here is the best trial's folder at any time, and what interrupted ones have left; a trial that runs
has its own on its node. So a lost node costs no more than what its trial had kept there.
"""

import shutil

from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.plain_files import read_object
from journal_launcher.launcher.engine import WorkerProcess
from journal_launcher.study.study import StudyHandle
from journal_launcher.study.trial_folders import folder_number, remove_unneeded

__all__ = ["FoldersElsewhere"]


class FoldersElsewhere:
    """What is given to such workers; nothing to those that see the studies folder."""

    def __init__(self, study: StudyHandle, paths: StudyPaths) -> None:
        self._study = study
        self._paths = paths
        for place in paths.arriving_folders():  # of a launch that was killed
            shutil.rmtree(place, ignore_errors=True)

    def give_queued(self, process: WorkerProcess, queued: int) -> None:
        """Before a queued trial is granted: what an earlier run of it left."""
        number = folder_number(self._study.trials(), queued)
        if number in self._paths.trial_folders():
            process.give(number, self._paths.trial_folder(number))

    def give_best(self, process: WorkerProcess, best: Best) -> None:
        """Before the refit: the best trial's folder, or those of the front; or what was published
        of them."""
        published = Sidecar.from_json(read_object(self._paths.sidecar)).best.numbers
        ours = set(self._paths.trial_folders())
        for trial in sorted(best.numbers):
            number = folder_number(self._study.trials(), trial)
            folder = self._paths.trial_folder(number)
            if number not in ours and trial in published:
                inside = str(trial) if best.pareto_front is not None else ""
                folder = self._paths.best_model_directory / inside
            if folder.is_dir():
                process.give(number, folder)

    def remove_losers(self, process: WorkerProcess) -> None:
        """As a worker does that sees the studies folder: keep the best, and what is not over."""
        if process.shares_folder or not any(True for _ in self._paths.trial_folders()):
            return
        # Before the best is asked for: who ends as the best in between still runs by this look.
        trials = self._study.trials()
        several = len(self._study.directions) > 1
        best = self._study.pareto_front() if several else filter(None, [self._study.best()])
        remove_unneeded(self._paths, trials, {trial.number for trial in best})

    def said_of_lost(self, process: WorkerProcess, trial: int, host: str) -> str | None:
        """What is said of a trial whose worker ended before its folder could come back."""
        if process.left_folders:
            return None
        number = folder_number(self._study.trials(), trial)
        kept = number in self._paths.trial_folders()
        return (
            f"trial {trial}: what it may have kept in its folder on {host} could not be brought "
            f"back; it begins {'from what an earlier run of it left' if kept else 'anew'} if it is "
            "run again"
        )
