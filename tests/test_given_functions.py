"""`launch(objective=function)`: of modules, of `__main__`, of a prompt, closures."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import ROOT, Workshop, wait_until

from journal_launcher.api import launch
from journal_launcher.base import events
from journal_launcher.base.errors import UsageError
from journal_launcher.base.paths import StudiesFolder
from journal_launcher.study.reading import open_study


def module_function(trial: Any) -> float:
    return float(trial.suggest_float("x", 0, 1))


def python(*arguments: str, folder: Path, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        **more,
    )


def test_a_closure_runs_on_several_workers_and_saves(workshop: Workshop) -> None:
    offset, folder = 0.25, str(workshop.folder)

    def score(x: float) -> float:
        return x + offset

    def objective(trial: Any) -> float:
        trial.set_user_attr("pid", os.getpid())
        return score(trial.suggest_float("x", 0, 1))

    def save_best(study: Any, directory: Path) -> None:
        (directory / "best.txt").write_text(f"{study.best_value - offset} {folder}")

    with pytest.raises(UsageError, match="expected a function, found 'text'"):
        workshop.launch(objective=objective, save_best="text")
    result = workshop.launch(objective=objective, save_best=save_best, n_trials=6, workers=2)
    assert result.exit_code == 0 and result.best_trial is not None
    trials = workshop.trials()
    assert len({trial.user_attrs["pid"] for trial in trials}) == 2
    assert all(trial.value == trial.params["x"] + 0.25 for trial in trials)
    assert result.model_path is not None
    found = (result.model_path / "best.txt").read_text()
    assert found == f"{result.best_trial['value'] - 0.25} {folder}"
    assert not [path for path in workshop.folder.rglob("*") if path.suffix in (".pkl", ".pickle")]


def test_a_function_of_a_module_goes_by_name(workshop: Workshop) -> None:
    result = workshop.launch(objective=module_function, n_trials=1)
    assert result.exit_code == 0
    identity = workshop.study().user_attrs["journal_launcher"]
    assert identity["objective"] == "test_given_functions:module_function"
    given = {"gpus": "none", "studies_dir": str(workshop.paths.folder), "n_trials": 1}
    by_its_name = launch(objective=module_function, **given)  # type: ignore[arg-type]
    assert by_its_name.study_name == "test_given_functions_module_function"


def test_changed_code_is_named_on_resume(workshop: Workshop) -> None:
    def made(n: int) -> Any:
        return lambda trial: trial.suggest_float("x", 0, 1) * n

    def notes() -> list[str]:
        return [e.text for _, e in workshop.seen if isinstance(e, events.Note)]

    workshop.launch(objective=made(1), n_trials=1)
    workshop.launch(objective=made(1), n_trials=2)
    assert not any("changed" in note for note in notes())
    workshop.launch(objective=made(2), n_trials=3)
    assert "objective code changed since the last launch; trials are kept" in notes()
    assert len(workshop.trials()) == 3


def test_a_file_and_a_given_function_are_not_compared(workshop: Workshop) -> None:
    """The one is known by its file, the other by its code: neither has changed."""
    workshop.write("def objective(trial):\n    return trial.suggest_float('x', 0, 1)\n")
    assert workshop.launch(n_trials=1).exit_code == 0
    noted = workshop.study().user_attrs["journal_launcher_noted"]
    assert "objective source" in noted and "objective code" not in noted
    workshop.launch(objective=lambda trial: 1.0, n_trials=1, study_name="given")
    given = StudiesFolder.at(str(workshop.paths.folder)).study("given")
    noted = open_study(given).attribute("journal_launcher_noted")
    assert "objective code" in noted and "objective source" not in noted


SCRIPT = """
    import optuna
    from journal_launcher import launch

    FACTOR = 2

    def objective(trial):
        return FACTOR * trial.suggest_float("x", 0, 1)

    result = launch(objective=objective, n_trials=2, gpus="none", workers=2)
    assert result.exit_code == 0, result
"""


def test_a_script_needs_no_guard_and_prints_nothing(workshop: Workshop) -> None:
    """Its study is the one that the command line would begin; every line stays unprinted."""
    (workshop.folder / "train.py").write_text(textwrap.dedent(SCRIPT))
    ended = python("train.py", folder=workshop.folder)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (workshop.folder / "optuna_studies" / "train_objective.log").exists()
    guarded = textwrap.dedent(SCRIPT).replace("result =", 'if __name__ == "__main__":\n  result =')
    guarded = guarded.replace("assert", "  assert")
    (workshop.folder / "train.py").write_text(guarded)
    run = ["-P", "-m", "journal_launcher", "run", "--gpus", "none", "--n-trials", "3"]
    ended = python(*run, "--objective", "train.py:objective", folder=workshop.folder)
    assert ended.returncode == 0 and "resumed, 2 of 3 finished" in ended.stderr


def test_a_prompt_needs_a_name_for_the_study(workshop: Workshop) -> None:
    code = textwrap.dedent(SCRIPT).replace("assert", "\nassert")
    ended = python("-i", "-q", folder=workshop.folder, input=code)
    assert 'UsageError: launch(objective=…): expected study_name="…" too' in ended.stderr
    assert not (workshop.folder / "optuna_studies").exists()
    named = code.replace("n_trials=2", 'n_trials=2, study_name="mine", progress=True')
    ended = python("-c", named, folder=workshop.folder)
    assert ended.returncode == 0, ended.stderr
    assert "mine: new study, 2 trials" in ended.stderr and ended.stdout == ""
    replay = ["-P", "-m", "journal_launcher", "replay", "mine", "0"]
    ended = python(*replay, folder=workshop.folder)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == (
        "error: study mine: its objective was given by Python and is in no file; only a launch "
        "with that function can run its trials"
    )


PATIENT = """
    import os, time
    from journal_launcher import launch

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        if trial.number and not os.path.exists("go"):
            open("running", "w").close()
            while not os.path.exists("go"):
                time.sleep(0.01)
        return x

    result = launch(objective=objective, study_name="study", studies_dir="studies", n_trials=4,
                    gpus="none", workers=2)
"""


def test_a_killed_launch_goes_on_by_the_same_call(workshop: Workshop) -> None:
    (workshop.folder / "patient.py").write_text(textwrap.dedent(PATIENT))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen([sys.executable, "patient.py"], cwd=workshop.folder, env=environment)
    wait_until((workshop.folder / "running").exists)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    wait_until(lambda: not workshop.processes())
    workshop.tell("go")
    ended = python("patient.py", folder=workshop.folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert workshop.states().count("COMPLETE") == 4


def test_a_worker_that_dies_is_given_the_function_again(workshop: Workshop) -> None:
    folder = workshop.folder

    def objective(trial: Any) -> float:
        x = float(trial.suggest_float("x", 0, 1))
        if not (folder / "died").exists():
            (folder / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x

    assert workshop.launch(objective=objective, n_trials=2).exit_code == 0
    assert sorted(workshop.states()) == ["COMPLETE", "COMPLETE", "FAIL"]


def test_what_fails_shows_its_own_lines(workshop: Workshop) -> None:
    def objective(trial: Any) -> float:
        raise ArithmeticError("too hard")

    result = workshop.launch(objective=objective, n_trials=2)
    assert result.exit_code == 1 and "ArithmeticError" in str(result.message)
    log = (workshop.paths.worker_log(0)).read_text()
    assert 'raise ArithmeticError("too hard")' in log
