"""The folder that a trial runs with."""

import os
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial

from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.trial_dir import trial_dir
from journal_launcher.study.attributes import COPY_OF
from journal_launcher.worker import trial_folders
from journal_launcher.worker.jobs.base import TrialFailedError

FAIL = optuna.trial.TrialState.FAIL


def study_of(*earlier: int | None) -> optuna.Study:
    """Failed trials, each a copy of the one that is named; the last one is queued."""
    study = optuna.create_study()
    for number, of in enumerate(earlier):
        system = {} if of is None else {COPY_OF: of}
        last = number == len(earlier) - 1
        state = optuna.trial.TrialState.WAITING if last else FAIL
        study.add_trial(optuna.create_trial(state=state, system_attrs=system))
    return study


def written(paths: StudyPaths, trial: optuna.Trial) -> list[str]:
    """What the trial finds in its folder, before it adds a file of its own."""
    with trial_folders.given(paths, trial):
        found = sorted(path.name for path in trial_dir().iterdir())
        (trial_dir() / f"of {trial.number}").touch()
    return found


def test_a_trial_begins_in_an_empty_folder(tmp_path: Path) -> None:
    """Of a study whose journal alone was removed, the folders are still there."""
    paths = StudyPaths(tmp_path, "study")
    for _ in range(2):
        assert written(paths, optuna.create_study().ask()) == []
    assert "JL_TRIAL_DIR" not in os.environ


def test_who_repeats_a_trial_that_repeats_one_goes_on_in_the_first_ones_folder(
    tmp_path: Path,
) -> None:
    paths = StudyPaths(tmp_path, "study")
    study = study_of(None, None)
    assert written(paths, study.ask()) == []  # trial 1, which then dies
    study.tell(1, state=FAIL)
    for number, of in ((2, 1), (3, 2)):
        study.add_trial(
            optuna.create_trial(state=optuna.trial.TrialState.WAITING, system_attrs={COPY_OF: of})
        )
        assert written(paths, study.ask()) == [f"of {n}" for n in range(1, number)]
        study.tell(number, state=FAIL)
    assert [path.name for path in paths.trials.glob("[0-9]*")] == ["1"]


@pytest.mark.parametrize("odd", ["x", True, -1, 7, 1, 2])
def test_an_odd_attribute_leads_to_no_other_trials_folder(tmp_path: Path, odd: object) -> None:
    """Trial 0 has finished; 1 is the trial itself, and 2 and 7 are no earlier ones."""
    study = optuna.create_study()
    study.tell(study.ask(), 1.0)
    waiting = optuna.trial.TrialState.WAITING
    study.add_trial(optuna.create_trial(state=waiting, system_attrs={COPY_OF: odd}))
    with trial_folders.given(StudyPaths(tmp_path, "study"), study.ask()):
        assert trial_dir().name == "1"


def test_a_copy_of_a_trial_that_finished_has_a_folder_of_its_own(tmp_path: Path) -> None:
    study = optuna.create_study()
    study.tell(study.ask(), 1.0)
    waiting = optuna.trial.TrialState.WAITING
    study.add_trial(optuna.create_trial(state=waiting, system_attrs={COPY_OF: 0}))
    with trial_folders.given(StudyPaths(tmp_path, "study"), study.ask()):
        assert trial_dir().name == "1"


def test_a_folder_that_its_trial_made_by_name_counts_as_the_trials(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "study")
    trial = optuna.create_study().ask()
    with pytest.raises(ValueError), trial_folders.given(paths, trial):
        Path(os.environ["JL_TRIAL_DIR"]).mkdir(parents=True)
        raise ValueError
    assert list(paths.trial_folders()) == [0]


def test_a_trial_that_puts_a_link_in_its_folders_place_publishes_nothing_of_others(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths, theirs = StudyPaths(tmp_path, "study"), tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "gold").write_text("mine")
    study = optuna.create_study()
    trial = study.ask()
    with trial_folders.given(paths, trial):
        trial_dir().rmdir()
        paths.trial_folder(0).symlink_to(theirs)
    study.tell(trial, 1.0)
    trial_folders.stage(paths, study, tmp_path / "staged")
    assert not list((tmp_path / "staged").rglob("gold"))
    assert "a link took the folder's place" in capfd.readouterr().out
    paths.remove_trial_folder(0)
    assert paths.trial_folder(0).is_symlink() and (theirs / "gold").stat().st_nlink == 1


@pytest.mark.parametrize("what", ["a folder", "a link", "trials is a link"])
def test_what_no_trial_made_is_neither_cleared_nor_written_to(tmp_path: Path, what: str) -> None:
    paths, theirs = StudyPaths(tmp_path, "study"), tmp_path / "theirs"
    (theirs / "0").mkdir(parents=True)
    (theirs / "0" / "weights").write_text("mine")
    (theirs / ".0").touch()
    paths.directory.mkdir()
    if what == "trials is a link":
        paths.trials.symlink_to(theirs)
    else:
        paths.trials.mkdir()
        if what == "a link":
            paths.trial_folder(0).symlink_to(theirs / "0")
        else:
            (theirs / "0").rename(paths.trial_folder(0))
    trial = optuna.create_study().ask()
    with (
        pytest.raises(TrialFailedError, match="move it away and type the same command again"),
        trial_folders.given(paths, trial),
    ):
        trial_dir()
    assert (paths.trial_folder(0) / "weights").read_text() == "mine"


def test_a_trial_that_ends_as_the_best_between_two_looks_keeps_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker's, while this one looks for folders that nobody needs."""
    paths = StudyPaths(tmp_path, "study")
    study = optuna.create_study()
    for trial in (study.ask(), study.ask()):
        written(paths, trial)
    study.tell(0, 2.0)
    look = study.get_trials

    def look_and_end(*args: Any, **options: Any) -> list[FrozenTrial]:
        found = look(*args, **options)
        monkeypatch.undo()
        study.tell(1, 1.0)
        return found

    monkeypatch.setattr(study, "get_trials", look_and_end)
    trial_folders.remove_losers(paths, study)
    assert 1 in paths.trial_folders()
    trial_folders.remove_losers(paths, study)
    assert list(paths.trial_folders()) == [1]
