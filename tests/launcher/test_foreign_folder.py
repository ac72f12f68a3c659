"""A folder NAME/ that no launch made, one that is a link, and one that goes in mid-run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from launcher.harness import PATIENT, Workshop, finish, wait_until

from journal_launcher.__main__ import main
from journal_launcher.study.lease import holder_of

FILES = (
    *("trials/0/results.csv", "trials/mine/x", "staging/draft.tex", "best_model.cbm"),
    *("best_model/weights", "best_model_old/weights", "best_model.txt", "thesis.tex"),
    *("training_diagnostics.json", "workers/code.py"),
)
COMMANDS = {
    "run": ("run", "--objective", "train.py:objective"),
    "overwrite": ("run", "--objective", "train.py:objective", "--overwrite"),
    "compare": ("run", "--compare-models", "--overwrite"),
    "watch": ("watch",),
}


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that a command says before it exits with 2."""
    with pytest.raises(SystemExit) as caught:
        main(list(arguments))
    said = capsys.readouterr().err
    assert caught.value.code == 2 and said.count("\n") == 1, said
    return said


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_no_launch_made_is_refused_and_stays_as_it_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text("def objective(trial):\n    return trial.suggest_float('x', 0, 1)")
    for name in FILES:
        path = tmp_path / "studies" / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    before = tree(tmp_path)
    common = ("--study-name", "mine", "--studies-dir", "studies", "--gpus", "none")
    said = refused(capsys, *COMMANDS[command], *common, "--n-trials", "1")
    assert "studies/mine: expected the folder of study mine" in said and "--study-name" in said
    assert tree(tmp_path) == before
    assert [path.name for path in (tmp_path / "studies").iterdir()] == ["mine"]


def test_a_comparison_looks_at_the_folders_of_its_types_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or else the others would run, and the type would seem to have failed."""
    theirs = tmp_path / "all_catboost" / "thesis.tex"
    theirs.parent.mkdir()
    theirs.touch()
    folder = ("--study-name", "all", "--studies-dir", str(tmp_path))
    said = refused(capsys, "run", "--compare-models", *folder, "--gpus", "none")
    assert "all_catboost: expected the folder of study" in said and "--study-name" in said
    assert [path.name for path in tmp_path.iterdir()] == ["all_catboost"]


def test_repair_and_a_linked_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mine").symlink_to("elsewhere")
    (tmp_path / "mine.log").touch()
    said = refused(capsys, "repair", "mine", "--studies-dir", str(tmp_path))
    assert "mine: expected a folder, found a symbolic link" in said
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("name", ["study/workers/0.log", "study/best_model.meta.json"])
def test_a_fifo_where_a_file_should_be_hangs_no_launch(workshop: Workshop, name: str) -> None:
    workshop.write("def objective(trial):\n    return 0.0\n")
    path = workshop.paths.folder / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    ended = finish(workshop.start("--n-trials", "1"), 15)
    assert ended.code == 2 and f"{name}: expected a plain file, found a FIFO" in ended.err


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_what_the_user_puts_into_a_studys_own_folder_stays(
    workshop: Workshop, make: Callable[[Path], None]
) -> None:
    """With the journal deleted, too: the same command then begins anew in the same folder."""
    workshop.write(
        """
def objective(trial):
    trial.suggest_float("x", 0, 1)
    return -trial.number

def save_best(study, directory):
    (directory / "model").touch()
"""
    )
    paths = workshop.paths
    assert workshop.launch(n_trials=1).exit_code == 0
    paths.trials.mkdir()
    theirs = [paths.directory / name for name in ("notes", "best_model_notes", "trials/mine")]
    for path in theirs:
        make(path)
    assert workshop.launch(n_trials=2).exit_code == 0
    paths.journal.unlink()
    assert workshop.launch(n_trials=3).exit_code == 0
    assert all(path.exists() for path in theirs)
    assert workshop.launch(n_trials=1, overwrite=True).exit_code == 0
    aside = next(paths.folder.glob("study.20*"))
    assert all((aside / path.relative_to(paths.directory)).exists() for path in theirs)


def test_a_second_launch_cannot_start_after_the_folder_was_removed(workshop: Workshop) -> None:
    workshop.write(PATIENT)
    first = workshop.start("--n-trials", "6", "--workers", "2")
    workshop.noted("running")
    shutil.rmtree(workshop.paths.directory)
    assert holder_of(workshop.paths.lease) is None
    for options in ((), ("--overwrite",)):
        second = workshop.run("--n-trials", "6", *options)
        assert second.code == 4 and "in use by another launch" in second.err, second.err
    assert first.poll() is None
    workshop.tell("go")
    assert finish(first).code == 0
    assert workshop.states() == ["COMPLETE"] * 6
    assert workshop.run("--n-trials", "6").code == 0


def is_removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def test_two_new_launches_without_a_folder_between_them_begin_one_study(workshop: Workshop) -> None:
    """Both prepare when there is no journal yet; only one may begin it."""
    workshop.write('while not (HERE / "prepare").exists(): time.sleep(0.01)\n' + PATIENT)
    launches: list[subprocess.Popen[str]] = []
    for _ in range(2):
        launches.append(workshop.start("--n-trials", "4"))
        wait_until(lambda: holder_of(workshop.paths.lease) is not None)
        wait_until(lambda: is_removed(workshop.paths.directory))  # its worker's log may come late
    workshop.tell("prepare")
    workshop.noted("running")
    wait_until(lambda: any(launch.poll() is not None for launch in launches))
    workshop.tell("go")
    ended = [finish(launch) for launch in launches]
    assert sorted(each.code for each in ended) == [0, 4], ended
    assert workshop.states() == ["COMPLETE"] * 4
