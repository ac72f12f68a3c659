"""The folders of scripts: one for each running trial and for the best so far, no others."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import AGAIN
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.plain_files import found_at, read_object
from journal_launcher.study.tally import best_of, pareto_front
from journal_launcher.worker.jobs.base import ScriptFailedError

__all__ = ["create", "remove_losers", "stage"]


def create(paths: StudyPaths, number: int) -> Path:
    """An empty folder for one trial.

    Raises:
        ScriptFailedError: a link is in the way, or a folder that no trial made.
    """
    folder = paths.trial_folder(number)
    mark = paths.trial_mark(number)
    if mark.exists() and not paths.trials.is_symlink() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    if paths.trials.is_symlink() or found_at(folder) is not None:
        at = paths.trials if paths.trials.is_symlink() else folder
        raise ScriptFailedError(f"{at}: expected no {found_at(at)} there; move it away and {AGAIN}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark.touch(mode=0o600)
    folder.mkdir()
    return folder


def remove_losers(paths: StudyPaths, study: optuna.Study) -> None:
    """Remove the folders of trials that have ended and cannot become the best any more."""
    trials = study.get_trials(deepcopy=False)
    kept = {trial.number for trial in winners(study)}
    for number in list(paths.trial_folders()):
        if number < len(trials) and trials[number].state.is_finished() and number not in kept:
            paths.remove_trial_folder(number)


def winners(study: optuna.Study) -> list[FrozenTrial]:
    """The best trial so far; the Pareto front of several objectives; none before the first."""
    if len(study.directions) > 1:
        return pareto_front(study)
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = best_of(completed, [direction.name.lower() for direction in study.directions])
    return [] if best is None else [best]


def stage(paths: StudyPaths, study: optuna.Study, staging: Path) -> None:
    """Link the files of the best trial into the staged `best_model`.

    Several objectives have a folder each for the trials of the Pareto front. What an earlier launch
    published is taken from there; a trial that never had a folder (an imported one) leaves none.
    """
    several = len(study.directions) > 1
    for trial in winners(study):
        inside = str(trial.number) if several else ""
        source = paths.trial_folder(trial.number)
        if not source.exists() and trial.number in _published(paths):
            source = paths.best_model_directory / inside
        if source.exists():
            _link(source, staging / paths.best_model_directory.name / inside)


def _published(paths: StudyPaths) -> set[int]:
    """The trials whose files are in the published folder."""
    return Sidecar.from_json(read_object(paths.sidecar)).best.numbers


def _link(source: Path, target: Path) -> None:
    """Give every file of `source` a second name below `target`; nothing is copied or moved, so a
    kill at any moment loses nothing."""
    for file, name in _files(source):
        there = target / name
        there.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, there)
        except OSError:  # a file system without links
            shutil.copy2(file, there)


def _files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(file, its name in the folder). A link to a file in the folder counts as a file; what leads
    elsewhere, and what is no file, is named and left out."""
    root = folder.resolve()
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            file = path.resolve()
            if file.is_file() and file.is_relative_to(root):
                yield file, path.relative_to(folder)
            else:
                print(f"left out of best_model: {path}", flush=True)
