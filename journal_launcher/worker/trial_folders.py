"""The folder that a trial runs with, and what becomes of the best one's."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from journal_launcher.base.artifacts.sidecar import Sidecar
from journal_launcher.base.errors import AGAIN
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.plain_files import found_at, read_object
from journal_launcher.base.trial_dir import TRIAL_DIR
from journal_launcher.study.attributes import is_imported, repeated
from journal_launcher.study.optuna_private import system_attributes
from journal_launcher.study.tally import best_of, pareto_front
from journal_launcher.study.trial_folders import folder_number, remove_unneeded
from journal_launcher.worker.jobs.base import TrialFailedError

__all__ = ["given", "given_to_save_best", "lacking", "remove_losers", "stage", "winners"]


@contextmanager
def given(paths: StudyPaths, trial: optuna.Trial) -> Iterator[None]:
    """Let a trial, and what it starts, find its own folder; it is made on first use.

    It is empty, unless the trial repeats one that was interrupted or whose worker died.

    Raises:
        TrialFailedError: a link is in the way, or what no trial made.
    """
    number = trial.number
    if repeated(system_attributes(trial)) is not None:
        number = folder_number(trial.study.get_trials(deepcopy=False), number)
    folder = _free(paths, number, again=number != trial.number)
    with _named(folder):
        try:
            yield
        finally:
            if os.path.isdir(folder):  # made by who knew only its name
                paths.trial_mark(number).touch(mode=0o600)


def _free(paths: StudyPaths, number: int, *, again: bool) -> Path:
    """The place of a trial's folder; a folder is there only if the trial is run `again`."""
    folder = paths.trial_folder(number)
    around = found_at(paths.trials)
    if around is None:
        return folder
    at = folder if around == "a folder" else paths.trials
    found = found_at(at)
    if at == folder and found == "a folder":
        if again:
            return folder
        if paths.trial_mark(number).exists():  # of a study whose journal was removed
            shutil.rmtree(folder, ignore_errors=True)
            found = found_at(at)
    if found is not None:
        raise TrialFailedError(f"{at}: expected no {found} there; move it away and {AGAIN}")
    return folder


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    os.environ[TRIAL_DIR] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(TRIAL_DIR, None)


@contextmanager
def given_to_save_best(paths: StudyPaths, study: optuna.Study) -> Iterator[None]:
    """The same for the best trial's folder, while `save_best` runs.

    Of several objectives there is none to name: `save_best` has the front's in its own.
    """
    best = winners(study)
    if len(study.directions) > 1 or not best:
        yield
        return
    with _named(_source(paths, study, best[0].number)):
        yield


def lacking(paths: StudyPaths, study: optuna.Study) -> str | None:
    """What to say of an imported best trial: its files are where it was run; None of any other."""
    several = len(study.directions) > 1
    for trial in winners(study):
        folder = _source(paths, study, trial.number, str(trial.number) if several else "")
        empty = not folder.is_dir() or not any(folder.iterdir())
        if empty and is_imported(study.user_attrs, trial.number):
            return (
                f"trial {trial.number} was imported, and the files of its trial_dir() did not come "
                f"with it: copy them to {folder}, or let save_best do without"
            )
    return None


def remove_losers(paths: StudyPaths, study: optuna.Study) -> None:
    """Remove the folders of trials that have ended and cannot become the best any more."""
    if any(True for _ in paths.trial_folders()):
        # Before the best is asked for: who ends as the best in between still runs by this look.
        trials = study.get_trials(deepcopy=False)
        remove_unneeded(paths, trials, {trial.number for trial in winners(study)})


def winners(study: optuna.Study) -> list[FrozenTrial]:
    """The best trial so far; the Pareto front of several objectives; none before the first."""
    if len(study.directions) > 1:
        return pareto_front(study)
    completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = best_of(completed, [direction.name.lower() for direction in study.directions])
    return [] if best is None else [best]


def to_bring_first(
    paths: StudyPaths, study: optuna.Study, number: int, values: Sequence[float] | None
) -> int | None:
    """The number of the folder that a trial of these values has, if it may be a winner."""
    folder = folder_number(study.get_trials(deepcopy=False), number)
    if folder not in paths.trial_folders():
        return None
    signs = [-1.0 if each.name == "MAXIMIZE" else 1.0 for each in study.directions]
    ours = [sign * value for sign, value in zip(signs, values or (), strict=True)]
    for other in winners(study):
        theirs = [sign * value for sign, value in zip(signs, other.values, strict=True)]
        if theirs != ours and all(a <= b for a, b in zip(theirs, ours, strict=True)):
            return None
    return folder


def stage(paths: StudyPaths, study: optuna.Study, staging: Path, *, copied: bool = False) -> None:
    """Link the files of the best trial into the staged `best_model`.

    copied: instead of linked, for whoever may change them there while the trials' own are needed.
    Several objectives have a folder each for the trials of the Pareto front. What an earlier launch
    published is taken from there; a trial that never had a folder (an imported one) leaves none.
    """
    several = len(study.directions) > 1
    for trial in winners(study):
        inside = str(trial.number) if several else ""
        source = _source(paths, study, trial.number, inside)
        if source.exists():
            _link(source, staging / paths.best_model_directory.name / inside, copied=copied)


def _source(paths: StudyPaths, study: optuna.Study, number: int, inside: str = "") -> Path:
    """Where a best trial's files are: its folder, else where an earlier launch published them."""
    folder = paths.trial_folder(folder_number(study.get_trials(deepcopy=False), number))
    if not folder.exists() and number in _published(paths):
        return paths.best_model_directory / inside
    return folder


def _published(paths: StudyPaths) -> set[int]:
    """The trials whose files are in the published folder."""
    return Sidecar.from_json(read_object(paths.sidecar)).best.numbers


def _link(source: Path, target: Path, *, copied: bool) -> None:
    """Give every file of `source` a second name below `target`; nothing is moved, so a kill at any
    moment loses nothing. What `save_best` wrote under the same name stays."""
    for file, name in _files(source):
        there = target / name
        try:
            there.parent.mkdir(parents=True, exist_ok=True)
            _give(file, there, copied=copied)
        except (FileExistsError, NotADirectoryError):
            print(f"left out of best_model, where save_best wrote one: {file}", flush=True)


def _give(file: Path, there: Path, *, copied: bool) -> None:
    if os.path.lexists(there):
        raise FileExistsError
    if not copied:
        with suppress(OSError):  # a file system without links
            os.link(file, there)
            return
    shutil.copy2(file, there)


def _files(folder: Path) -> Iterator[tuple[Path, Path]]:
    """(file, its name in the folder). A link to a file in the folder counts as a file; what leads
    elsewhere, and what is no file, is named and left out."""
    if folder.is_symlink():
        print(f"left out of best_model, a link took the folder's place: {folder}", flush=True)
        return
    root = folder.resolve()
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            file = path.resolve()
            if file.is_file() and file.is_relative_to(root):
                yield file, path.relative_to(folder)
            else:
                print(f"left out of best_model: {path}", flush=True)
