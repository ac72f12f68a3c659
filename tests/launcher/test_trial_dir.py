"""A folder for each trial of an objective: whose it is, what outlives a kill, what is saved."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from launcher.harness import Workshop, finish, wait_until
from launcher.test_replayed_trial import replay

from journal_launcher.base import events

# Trial 1 is interrupted at step 90 of 100; whoever repeats it says where it goes on.
TRAINING = """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    checkpoint = trial_dir() / "checkpoint.pt"
    begun = int(checkpoint.read_text().split()[0]) if checkpoint.exists() else 0
    note(f"began {trial.number}", f"{begun} {x}")
    if trial.number == 1:
        checkpoint.write_text(f"90 {x}")
        note("running", os.getpid())
        told("go")
    checkpoint.write_text(f"100 {x}")
    return x

def save_best(study, directory):
    (directory / "weights").write_text((trial_dir() / "checkpoint.pt").read_text())
"""


def folders(shop: Workshop) -> list[str]:
    return sorted(p.name for p in shop.paths.trials.glob("[0-9]*"))


def published(shop: Workshop) -> dict[str, str]:
    folder = shop.paths.best_model_directory
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def check_it_went_on(shop: Workshop) -> None:
    """Trial 2 repeated trial 1 from its checkpoint; the best trial's files are all that is left."""
    first, again = shop.trials()[1:3]
    assert first.params == again.params and first.state.name == "FAIL"
    assert shop.noted("began 2") == f"90 {again.params['x']}"
    best = f"100 {shop.study().best_params['x']}"
    assert published(shop) == {"checkpoint.pt": best, "weights": best}
    assert set(shop.sidecar()["files"]) == {"best_model/checkpoint.pt", "best_model/weights"}
    assert not shop.paths.trials.exists()


def test_workers_that_write_the_same_name_do_not_overwrite_each_other(workshop: Workshop) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    assert str(trial_dir()) == os.environ["JL_TRIAL_DIR"]
    (trial_dir() / "checkpoint.pt").write_text(str(x))
    note(f"wrote {trial.number}")
    if trial.number < 2:
        told(f"wrote {1 - trial.number}")
    assert (trial_dir() / "checkpoint.pt").read_text() == str(x)
    return x
"""
    )
    assert workshop.launch(n_trials=6, workers=2).exit_code == 0
    assert workshop.states() == ["COMPLETE"] * 6
    assert published(workshop) == {"checkpoint.pt": str(workshop.study().best_params["x"])}
    assert not workshop.paths.trials.exists()


@pytest.mark.parametrize("how", ["worker", "timeout"])
def test_a_retry_goes_on_from_the_checkpoint(workshop: Workshop, how: str) -> None:
    workshop.write(TRAINING)

    def kill(event: events.Event) -> None:
        if isinstance(event, events.TrialStarted) and event.number == 1 and how == "worker":
            os.kill(int(workshop.noted("running")), signal.SIGKILL)
        if isinstance(event, events.TrialEnded) and event.number == 1:
            assert folders(workshop) == ["0", "1"]
            workshop.tell("go")

    limit = 1.0 if how == "timeout" else None
    assert workshop.launch(kill, n_trials=3, trial_timeout=limit).exit_code == 0
    check_it_went_on(workshop)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_from_the_checkpoint(
    workshop: Workshop, number: signal.Signals
) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3")
    workshop.noted("running")
    process.send_signal(number)
    finish(process)
    wait_until(lambda: not workshop.processes())
    assert folders(workshop) == ["0", "1"]
    workshop.tell("go")
    ended = workshop.run("--n-trials", "3")
    assert ended.code == 0, ended.err
    check_it_went_on(workshop)


def test_a_trial_that_waits_keeps_its_folder_when_the_best_is_saved(workshop: Workshop) -> None:
    workshop.write(TRAINING)
    process = workshop.start("--n-trials", "3")
    workshop.noted("running")
    process.send_signal(signal.SIGINT)
    finish(process)
    assert workshop.run("--n-trials", "1").code == 0
    assert workshop.states() == ["COMPLETE", "FAIL", "WAITING"] and workshop.paths.sidecar.exists()
    assert folders(workshop) == ["1"]
    workshop.tell("go")
    assert workshop.run("--n-trials", "3").code == 0
    check_it_went_on(workshop)


def test_who_never_asks_has_no_folder(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    assert not os.path.exists(os.path.dirname(os.environ["JL_TRIAL_DIR"]))
    return trial.suggest_float("x", 0, 1)
"""
    )
    assert workshop.launch(n_trials=2).exit_code == 0
    assert not workshop.paths.trials.exists() and not workshop.paths.best_model_directory.exists()


def test_a_process_that_knows_only_the_name_makes_the_folder(workshop: Workshop) -> None:
    workshop.write(
        """
def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    script = 'mkdir -p "$JL_TRIAL_DIR" && cat "$JL_TRIAL_DIR/step"; echo 90 > "$JL_TRIAL_DIR/step"'
    found = subprocess.run(["sh", "-c", script], stdout=subprocess.PIPE, text=True).stdout
    note(f"found {trial.number}", found.strip())
    if trial.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return x
"""
    )
    assert workshop.launch(n_trials=3).exit_code == 0
    assert [workshop.noted(f"found {n}") for n in range(4)] == ["", "", "90", ""]
    assert published(workshop) == {"step": "90\n"} and not workshop.paths.trials.exists()


def test_folders_go_as_soon_as_their_trials_cannot_win(workshop: Workshop) -> None:
    workshop.write(
        """
import optuna
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "file").touch()
    if trial.number in (1, 2):
        raise ValueError("mine") if trial.number == 1 else optuna.TrialPruned
    note(str(trial.number), sorted(p.name for p in trial_dir().parent.glob("[0-9]*")))
    return {0: 5.0, 3: 1.0, 4: 2.0, 5: float("nan"), 6: 3.0}[trial.number]
"""
    )
    assert workshop.launch(n_trials=5).exit_code == 0
    seen = {n: workshop.noted(str(n)) for n in (0, 3, 4, 5, 6)}
    best = {0: [], 3: ["0"], 4: ["3"], 5: ["3"], 6: ["3"]}
    assert seen == {n: str([*kept, str(n)]) for n, kept in best.items()}
    assert published(workshop) == {"file": ""}


def test_a_retry_that_is_the_last_takes_its_folder_along(workshop: Workshop) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "file").touch()
    if trial.number:
        os.kill(os.getpid(), signal.SIGKILL)
    return 0.0
"""
    )
    assert workshop.launch(n_trials=2, max_retries=1, max_failures=1).exit_code == 1
    assert workshop.states() == ["COMPLETE", "FAIL", "FAIL"]
    assert folders(workshop) == ["0"] and published(workshop) == {}, "nothing is saved"


def test_several_objectives_publish_the_folders_of_the_front(workshop: Workshop) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "point").write_text(str(trial.number))
    x = trial.suggest_float("x", 0, 1)
    return (x, 1 - x) if trial.number % 2 else (7.0, 7.0)

def save_best(study, directory):
    for trial in study.best_trials:
        point = directory / str(trial.number) / "point"
        published = len(study.trials) > 4 and trial.number < 4
        assert point.read_text() == ("smaller " if published else "") + str(trial.number)
        point.write_text("smaller " + str(trial.number))
    if not (HERE / "died").exists():
        note("died")
        os._exit(1)
    (directory / "card").write_text(str(len(study.best_trials)))
"""
    )
    direction = ["minimize", "minimize"]
    for n_trials, front in [(4, {"1", "3"}), (6, {"1", "3", "5"})]:
        assert workshop.launch(n_trials=n_trials, direction=direction).exit_code == 0
        points = {f"{number}/point": f"smaller {number}" for number in front}
        assert published(workshop) == {"card": str(len(front)), **points}


def test_what_save_best_writes_changes_no_file_of_the_trial(workshop: Workshop) -> None:
    workshop.write(
        """
from journal_launcher import trial_dir

def objective(trial):
    (trial_dir() / "checkpoint.pt").write_text("the trial's")
    (trial_dir() / "log").write_text("steps")
    (trial_dir() / "card").mkdir()
    (trial_dir() / "card" / "inside").touch()
    return 0.0

def save_best(study, directory):
    assert (trial_dir() / "checkpoint.pt").read_text() == "the trial's"
    (directory / "checkpoint.pt").write_text("smaller")
    (directory / "card").write_text("a file")
    if not (HERE / "died").exists():
        note("died")
        os._exit(1)
"""
    )
    assert workshop.launch(n_trials=1).exit_code == 0
    assert published(workshop) == {"checkpoint.pt": "smaller", "card": "a file", "log": "steps"}
    left_out = "left out of best_model, where save_best wrote one: "
    assert left_out in workshop.paths.worker_log(0).read_text()


def test_a_published_checkpoint_is_found_when_the_save_is_repeated(workshop: Workshop) -> None:
    workshop.write(TRAINING.replace("trial.number == 1", "False"))
    assert workshop.launch(n_trials=1).exit_code == 0
    (workshop.paths.best_model_directory / "weights").unlink()
    assert workshop.launch(n_trials=1).exit_code == 0
    best = f"100 {workshop.study().best_params['x']}"
    assert published(workshop) == {"checkpoint.pt": best, "weights": best}


def test_a_replayed_trial_and_one_to_debug_leave_the_best_ones_folder_alone(
    workshop: Workshop,
) -> None:
    workshop.write(TRAINING.replace("trial.number == 1", "False"))
    assert workshop.launch(n_trials=1).exit_code == 0
    before = published(workshop)
    (workshop.folder / "began 0").unlink()
    ended = workshop.run("--debug")
    assert ended.code == 0, ended.err
    assert workshop.noted("began 0").startswith("0 ")
    (workshop.folder / "began 0").unlink()
    ended = replay(workshop, 0)
    assert ended.code == 0 and "the same, bit by bit" in ended.out, ended.err
    assert workshop.noted("began 0").startswith("0 ")
    assert published(workshop) == before and not workshop.paths.trials.exists()


def test_outside_a_trial_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from journal_launcher import trial_dir

    monkeypatch.delenv("JL_TRIAL_DIR", raising=False)
    with pytest.raises(Exception, match="found no JL_TRIAL_DIR in the environment; to try the"):
        trial_dir()
    monkeypatch.setenv("JL_TRIAL_DIR", str(tmp_path))
    found: Any = trial_dir()
    assert found == tmp_path and not (tmp_path.parent / f".{tmp_path.name}").exists()
