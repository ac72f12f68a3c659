"""A save removes what an earlier one made, nothing else; one that cannot succeed, nothing."""

import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from launcher.harness import Workshop, finish
from launcher.test_save import of, put

from journal_launcher.base.artifacts.sidecar import Best, Sidecar
from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.launcher import model_store
from journal_launcher.study import trial_folders

# --- what is beside a model


THEIRS = ("best_model_notes.txt", "best_model_backup/a", "best_model.onnx", "thesis.tex")


def published(folder: Path) -> StudyPaths:
    """A study with the published model of trial 1, and files of the user's own beside it."""
    paths = StudyPaths(folder, "study")
    paths.directory.mkdir(parents=True)
    put(paths, 1)
    model_store.publish(paths, model_store.stage(paths, of(1)))
    for name in THEIRS:
        (paths.directory / name).parent.mkdir(exist_ok=True)
        (paths.directory / name).write_text("theirs")
    return paths


def save(paths: StudyPaths, trial: int = 2) -> None:
    put(paths, trial)
    model_store.publish(paths, model_store.stage(paths, of(trial)))


def theirs(paths: StudyPaths) -> list[str]:
    return [(paths.directory / name).read_text() for name in THEIRS]


def test_what_the_user_put_beside_a_model_stays(tmp_path: Path) -> None:
    paths = published(tmp_path)
    save(paths)
    assert model_store.published(paths, Best(trial=2)) is not None
    assert theirs(paths) == ["theirs"] * len(THEIRS)
    model_store.leave_out(paths, model_store.read(paths) or Sidecar())
    assert theirs(paths) == ["theirs"] * len(THEIRS)
    names = {path.name for path in paths.directory.glob("best_model*")}
    kept = {Path(name).parts[0] for name in THEIRS if name.startswith("best")}
    assert names == {*kept, "best_model.meta.json"}
    save(paths, 3)
    assert model_store.published(paths, Best(trial=3)) is not None


def test_a_model_that_is_left_out_takes_nothing_of_the_users_along(tmp_path: Path) -> None:
    paths = published(tmp_path)
    (paths.best_model_directory / "notes.txt").write_text("theirs")
    model_store.leave_out(paths, model_store.read(paths) or Sidecar())
    assert [path.name for path in paths.best_model_directory.iterdir()] == ["notes.txt"]


def test_only_marked_folders_are_folders_of_trials(tmp_path: Path) -> None:
    paths = StudyPaths(tmp_path, "study")
    ended = [optuna.create_trial(state=optuna.trial.TrialState.FAIL)] * 12
    for name in ("0", "3", "12", "007", "mine", "12.bak", "٣"):
        (paths.trials / name).mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (paths.trials / "5").symlink_to(tmp_path / "elsewhere")
    for number in (0, 5, 7, 12):
        paths.trial_mark(number).touch()
    trial_folders.remove_unneeded(paths, ended, set())
    left = {"3", "007", "mine", "12", "12.bak", "٣", "5"}  # there was no trial 12, and 3 is theirs
    assert {path.name for path in paths.trials.iterdir() if path.name[0] != "."} == left
    assert (tmp_path / "elsewhere" / "file").exists()
    paths.trials.rename(tmp_path / "moved")
    (tmp_path / "victim" / "0").mkdir(parents=True)
    (tmp_path / "victim" / ".0").touch()
    paths.trials.symlink_to(tmp_path / "victim")
    trial_folders.remove_unneeded(paths, ended, set())
    assert (tmp_path / "victim" / "0").exists()


# --- what stands in the way


def move_and_link(paths: StudyPaths, name: str) -> None:
    here, there = paths.directory / name, paths.folder / f"disk-{name}"
    here.rename(there)
    here.symlink_to(there)


def folder_for_file(paths: StudyPaths) -> None:
    (paths.directory / "best_model.cbm").unlink()
    (paths.directory / "best_model.cbm").mkdir()


def file_for_folder(paths: StudyPaths) -> None:
    shutil.rmtree(paths.best_model_directory)
    paths.best_model_directory.write_text("theirs")


def fifo_for_file(paths: StudyPaths) -> None:
    (paths.directory / "best_model.cbm").unlink()
    os.mkfifo(paths.directory / "best_model.cbm")


def more_in_the_folder(paths: StudyPaths) -> None:
    (paths.best_model_directory / "notes.txt").write_text("theirs")


IN_THE_WAY: dict[str, Callable[[StudyPaths], None]] = {
    "a linked folder": lambda paths: move_and_link(paths, "best_model"),
    "a linked file": lambda paths: move_and_link(paths, "best_model.cbm"),
    "linked diagnostics": lambda paths: move_and_link(paths, "training_diagnostics.json"),
    "a folder for a file": folder_for_file,
    "a file for a folder": file_for_folder,
    "a FIFO": fifo_for_file,
    "notes in the model's folder": more_in_the_folder,
}


def everything(folder: Path) -> dict[str, Any]:
    """Names and contents below `folder`, but for what is staged."""
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        for path in folder.rglob("*")
        if "staging" not in path.parts
    }


@pytest.mark.parametrize("what", IN_THE_WAY)
def test_a_save_that_cannot_succeed_leaves_all_as_it_was(tmp_path: Path, what: str) -> None:
    paths = published(tmp_path)
    IN_THE_WAY[what](paths)
    before = everything(tmp_path)
    with pytest.raises(JournalLauncherError, match="move that away and type the same command"):
        save(paths)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("error", [errno.EXDEV, errno.EACCES, errno.EBUSY, errno.EPERM])
def test_a_save_that_fails_half_way_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    """Another file system is mounted there, say, or a folder may not be written."""
    steps, real = 0, model_store.move_into_place
    for failing in range(1, 9):
        paths, steps = published(tmp_path / str(failing)), 0
        before = everything(paths.folder)

        def moved(source: Path, target: Path, failing: int = failing) -> None:
            nonlocal steps
            steps += 1
            if steps == failing:
                raise OSError(error, os.strerror(error), str(source))
            real(source, target)

        monkeypatch.setattr(model_store, "move_into_place", moved)
        try:
            save(paths)
        except JournalLauncherError as problem:
            assert os.strerror(error) in str(problem) and "type the same command" in str(problem)
            assert everything(paths.folder) == before
            monkeypatch.setattr(model_store, "move_into_place", real)
            assert model_store.complete(paths, Best(trial=2)) is not None, "what is staged waits"
        assert model_store.published(paths, Best(trial=2)) is not None
    assert steps == 7 and failing == 8  # the last one was not reached any more


OUTSIDE = (
    "/etc/hostname",
    "../victim",
    "best_model/../../victim",
    "best_model.meta.json",
    "victim",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_files_that_no_save_makes_are_not_touched(tmp_path: Path, name: str) -> None:
    """Neither by a manifest, nor by a sidecar, whoever wrote it."""
    paths = published(tmp_path)
    for victim in (tmp_path / "victim", paths.directory / "victim"):
        victim.write_text("theirs")
    old = (model_store.read(paths) or Sidecar()).to_json()
    put(paths, 2)
    staged = model_store.stage(paths, of(2)).to_json()
    staged["files"] |= {name: model_store._sha256(paths.directory / name)}
    model_store.write_json(paths.staging / "manifest.json", staged)
    assert model_store.complete(paths, Best(trial=2)) is None
    assert model_store.published(paths, Best(trial=1)) is not None
    foreign = {**old, "files": {**old["files"], name: "0" * 64}, "study": "study"}
    foreign |= dict.fromkeys(("identity_sha256", "params", "refit"))
    with pytest.raises(JournalLauncherError, match="no save makes"):
        model_store.republish(paths, StudyPaths(tmp_path, "other"), Sidecar.from_json(foreign))
    model_store.write_json(paths.sidecar, foreign)
    assert model_store.published(paths, Best()) is None
    model_store.leave_out(paths, Sidecar.from_json(foreign))
    assert [path.read_text() for path in tmp_path.rglob("victim")] == ["theirs"] * 2


def test_a_launch_says_what_stands_in_the_way_and_completes_the_save_later(
    workshop: Workshop,
) -> None:
    """The model's folder was moved to another disk and linked back."""
    workshop.write(
        """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    return -trial.number

def save_best(study, directory):
    with open(HERE / "saves", "a") as saves:
        saves.write("x")
    (directory / "model").write_text(str(study.best_trial.number))
"""
    )
    paths, disk = workshop.paths, workshop.folder / "disk"
    assert workshop.launch(n_trials=1).exit_code == 0
    paths.best_model_directory.rename(disk)
    paths.best_model_directory.symlink_to(disk)
    assert workshop.launch(n_trials=1).exit_code == 0, "nothing to save"
    old = workshop.sidecar()
    result = workshop.launch(n_trials=2)
    assert result.exit_code == 1 and "found a symbolic link" in str(result.message)
    assert workshop.sidecar() == old and (disk / "model").read_text() == "0"
    paths.best_model_directory.unlink()
    assert workshop.launch(n_trials=2).exit_code == 0
    assert (paths.best_model_directory / "model").read_text() == "1"
    assert (workshop.folder / "saves").read_text() == "xx", "the second was not repeated"


@pytest.mark.parametrize("sidecar", ["gone", "torn"])
def test_without_a_sidecar_only_what_the_new_model_has_too_is_replaced(
    tmp_path: Path, sidecar: str
) -> None:
    paths = published(tmp_path)
    paths.sidecar.unlink() if sidecar == "gone" else paths.sidecar.write_text("{")
    save(paths, 1)
    assert model_store.published(paths, Best(trial=1)) is not None
    paths.sidecar.unlink() if sidecar == "gone" else paths.sidecar.write_text("{")
    (paths.best_model_directory / "notes.md").write_text("theirs")
    with pytest.raises(JournalLauncherError, match=r"notes\.md: expected the old best model"):
        save(paths, 1)
    assert (paths.best_model_directory / "notes.md").read_text() == "theirs"


def test_a_sidecar_of_a_later_version_is_not_replaced(tmp_path: Path) -> None:
    paths = published(tmp_path)
    content = paths.sidecar.read_text().replace('"schema_version": 1', '"schema_version": 2')
    paths.sidecar.write_text(content)
    with pytest.raises(JournalLauncherError, match="schema_version 2 is not one this version"):
        save(paths)
    assert paths.sidecar.read_text() == content


def test_a_link_further_down_leads_no_removal_and_no_copy_elsewhere(tmp_path: Path) -> None:
    paths = published(tmp_path)
    victim = tmp_path / "victim"
    (victim / "only").mkdir(parents=True)
    (victim / "only" / "deep.txt").write_text("theirs")
    (paths.best_model_directory / "sub").symlink_to(victim)
    name = "best_model/sub/only/deep.txt"
    digest = model_store._sha256(victim / "only" / "deep.txt")
    sidecar = replace(model_store.read(paths) or Sidecar(), files={name: digest})
    model_store.leave_out(paths, sidecar)
    assert (victim / "only" / "deep.txt").read_text() == "theirs"
    with pytest.raises(JournalLauncherError, match="a link on its way"):
        model_store.republish(paths, StudyPaths(tmp_path, "other"), sidecar)


def test_what_a_save_did_not_stage_stays_in_a_folder_of_that_name(tmp_path: Path) -> None:
    paths = published(tmp_path)
    paths.staging.mkdir()
    (paths.staging / "best_model.mine").write_text("theirs")
    model_store.drop_staging(paths)
    assert (paths.staging / "best_model.mine").read_text() == "theirs"


@pytest.mark.parametrize("how", ["link", "folder"])
def test_what_takes_the_folders_place_in_mid_run_is_not_touched(
    workshop: Workshop, how: str
) -> None:
    theirs = workshop.folder / "theirs"
    for name in ("trials/1/f", "staging/best_model.pt", "best_model/p", "best_model.meta.json"):
        (theirs / name).parent.mkdir(parents=True, exist_ok=True)
        (theirs / name).write_text("theirs")
    before = sorted((path, path.stat().st_mtime_ns) for path in theirs.rglob("*"))
    workshop.write(
        """
def objective(trial):
    note("running")
    told("go on")
    return trial.suggest_float("x", 0, 1)

def save_best(study, directory):
    (directory / "p").write_text("ours")
"""
    )
    process = workshop.start("--n-trials", "2")
    workshop.noted("running")
    here = workshop.paths.directory
    here.rename(here.with_name("moved"))
    here.symlink_to(theirs) if how == "link" else theirs.rename(here)
    workshop.tell("go on")
    ended = finish(process)
    assert ended.code == 3 and "another folder or a link took its place" in ended.err
    if how == "folder":
        here.rename(theirs)
    assert sorted((path, path.stat().st_mtime_ns) for path in theirs.rglob("*")) == before
