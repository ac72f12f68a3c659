"""Choices that JSON changes, in whole launches: the same command goes on after every accident."""

import signal

import optuna
import pytest
from launcher.harness import Workshop, finish
from launcher.test_replayed_trial import replay

from journal_launcher.study.importing import import_study

pytestmark = pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")

CHOICES = """
import enum, zlib

class Kind(enum.StrEnum):
    A = "a"
    B = "b"

CHOICES = {
    "hidden": [(32,), (64, 64)],
    "nested": [((1, 2), ((3,),)), {"layers": (4, 5)}],
    "kind": [*Kind],
    "equal": [1, True, 1.0],
    "none": [None, float("nan"), float("inf")],
}

def draw(trial):
    drawn = {name: trial.suggest_categorical(name, own) for name, own in CHOICES.items()}
    for name, value in drawn.items():
        assert any(value is own for own in CHOICES[name]), (name, value)
        assert type(trial.params[name]) is type(value), name
    return float(zlib.crc32(repr(drawn).encode()))
"""
ACCIDENTS = """
def objective(trial):
    value = draw(trial)
    if not (HERE / "died").exists():
        note("died", trial.number)
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when memory runs out
    note("running", trial.number)
    told("go")
    return value
"""


def test_a_launch_goes_on_after_a_death_an_interruption_and_a_kill(workshop: Workshop) -> None:
    workshop.write(CHOICES + ACCIDENTS)
    for stop, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        process = workshop.start("--n-trials", "12")
        assert workshop.noted("running") == {130: "1", -9: "2"}[code]
        (workshop.folder / "running").unlink()
        process.send_signal(stop)
        assert finish(process).code == code
    workshop.tell("go")
    ended = workshop.run("--n-trials", "12")  # and tpe has seen enough to propose
    assert ended.code == 0, ended.err
    assert workshop.states() == ["FAIL"] * 3 + ["COMPLETE"] * 12
    trials = workshop.trials()
    drawn = [str(trial.params) for trial in trials[:4]]
    assert len({*drawn}) == 1 and type(trials[3].params["hidden"]) is list
    best = workshop.study().best_trial.number
    again = replay(workshop, best)
    assert again.code == 0 and "bit by bit" in again.out, again.out + again.err
    assert "others now" not in again.err


def test_debug_gives_an_objective_its_own_choices_too(workshop: Workshop) -> None:
    workshop.write(CHOICES + "\ndef objective(trial): return draw(trial)\n")
    ended = workshop.run("--debug")
    assert ended.code == 0, ended.err


def test_what_was_queued_in_a_database_is_run(workshop: Workshop) -> None:
    workshop.write(CHOICES + "\ndef objective(trial): return draw(trial)\n")
    url = f"sqlite:///{workshop.folder / 'old.db'}"
    study = optuna.create_study(storage=url, study_name="study")
    own = optuna.distributions.CategoricalDistribution([(32,), (64, 64)])
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.WAITING,
            params={"hidden": (64, 64)},
            distributions={"hidden": own},
        )
    )
    study.enqueue_trial({"hidden": (64, 64), "kind": "b", "equal": 1.0, "none": float("nan")})
    import_study(url, None, str(workshop.paths.folder))
    assert workshop.launch(n_trials=2).exit_code == 0
    first, second = workshop.trials()
    assert first.params["hidden"] == second.params["hidden"] == [64, 64]
    assert second.params["kind"] == "b" and type(second.params["equal"]) is float
