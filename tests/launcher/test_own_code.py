"""The user's own objective with all that Optuna's users give to a study, by name."""

import re
from collections import Counter
from typing import Any

import pytest
from launcher.harness import Workshop

from journal_launcher.base import events
from journal_launcher.base.errors import JournalLauncherError, UsageError

STOPPING = events.PhaseChanged("stopping")
TRIVIAL = """
def objective(trial):
    return trial.suggest_float("x", 0, 1)
"""
PARSED = """
import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("data", nargs="*")
arguments = parser.parse_args()

import optuna

def make_sampler(seed):  # in the same file: it is imported once
    return optuna.samplers.RandomSampler(seed=seed)

def objective(trial):
    trial.set_user_attr("arguments", [arguments.epochs, *arguments.data])
    return 0.0
"""


def notes(shop: Workshop) -> list[str]:
    return [note.text for note in shop.of(events.Note) if "CPU" not in note.text]


def named(shop: Workshop, name: str) -> str:
    return shop.reference.replace(":objective", f":{name}")


# --- arguments


def test_what_follows_the_dashes_is_the_objectives_argv(workshop: Workshop) -> None:
    workshop.write(PARSED)
    sampler = named(workshop, "make_sampler")
    arguments = ["--epochs", "3", "--", "--a b", "-v"]
    ended = workshop.run(
        "--n-trials", "2", "--workers", "2", "--sampler", sampler, "--", *arguments
    )
    assert ended.code == 0, ended.err
    attributes = [trial.user_attrs["arguments"] for trial in workshop.trials()]
    assert attributes == [[3, "--a b", "-v"]] * 2


def test_a_module_has_its_arguments_too_and_a_change_is_one_note(workshop: Workshop) -> None:
    (workshop.folder / "pkg").mkdir()
    (workshop.folder / "pkg" / "helper.py").write_text("VALUE = 1.0\n")
    (workshop.folder / "pkg" / "train.py").write_text(
        PARSED.replace("return 0.0", "return helper.VALUE") + "\nfrom pkg import helper\n"
    )
    secret = "hunter2-5e8f0c"
    options: dict[str, Any] = {"objective": "pkg.train:objective"}
    assert workshop.launch(n_trials=1, arguments=["--epochs", "3"], **options).exit_code == 0
    assert workshop.launch(n_trials=2, arguments=["--epochs", "3"], **options).exit_code == 0
    assert notes(workshop) == []
    given = ("--epochs=4", secret)
    assert workshop.launch(n_trials=3, arguments=given, **options).exit_code == 0
    text = "arguments after -- changed since the last launch; trials are kept"
    assert notes(workshop) == [text]
    found = [trial.user_attrs["arguments"] for trial in workshop.trials()]
    assert found == [[3], [3], [4, secret]]
    study = workshop.study().user_attrs
    assert secret not in str(study) and secret not in str(workshop.records()[:3])


def test_words_without_dashes_are_a_mistake(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    ended = workshop.run("--n-trials", "1", "word")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert (
        "unexpected 'word'" in ended.err and "what an objective gets stands behind --" in ended.err
    )


def test_neighbours_are_imported_as_under_python_script(workshop: Workshop) -> None:
    folder = workshop.folder / "sub"
    folder.mkdir()
    (folder / "helper.py").write_text("import second\nVALUE = second.VALUE\n")
    (folder / "second.py").write_text("VALUE = 0.5\n")
    (folder / "train.py").write_text(
        "def objective(trial):\n    import helper\n    return helper.VALUE\n"
    )
    assert workshop.launch(objective="sub/train.py:objective", n_trials=1).exit_code == 0
    assert workshop.trials()[0].value == 0.5


# --- what a trial can do


def test_reports_attributes_constraints_and_what_cannot_be_pickled(workshop: Workshop) -> None:
    workshop.write(
        """
import threading
lock = threading.Lock()  # neither this nor the lambda below can be pickled

def make_objective(scale):
    def run(trial):
        with lock:
            x = trial.suggest_categorical("x", [1.0, 2.0, 3.0])
            trial.report(x, step=0)
            trial.set_user_attr("doubled", 2 * x)
            trial.set_constraint("not one", 1.5 - x)
            return scale(x)
    return run

objective = make_objective(lambda x: 10 * x)
"""
    )
    assert workshop.launch(n_trials=12, sampler="random").exit_code == 0
    trials = workshop.trials()
    assert {trial.params["x"] for trial in trials} == {1.0, 2.0, 3.0}
    for trial in trials:
        assert trial.intermediate_values == {0: trial.params["x"]}
        assert trial.user_attrs["doubled"] == 2 * trial.params["x"]
    assert workshop.sidecar()["params"] == {"x": 2.0}  # 1.0 would be better, but is not feasible


def test_median_pruning_of_an_objective(workshop: Workshop) -> None:
    workshop.write(
        """
import optuna

def objective(trial):
    trial.report(float(trial.number), step=1)
    if trial.should_prune():
        raise optuna.TrialPruned
    return float(trial.number)
"""
    )
    assert workshop.launch(n_trials=8, pruner="median").exit_code == 0
    assert Counter(workshop.states()) == {"COMPLETE": 4, "PRUNED": 4}


# --- own samplers and pruners

SAMPLERS = """
import optuna
from optuna.samplers import GridSampler, RandomSampler, TPESampler

made = []

def per_trial(seed):
    made.append(seed)
    return RandomSampler(seed=seed)

def once():
    made.append(0)
    return RandomSampler(seed=1)

instance = RandomSampler(seed=1)

def grid():
    return GridSampler({"x": [0.0, 0.25, 0.5, 0.75]})

def constrained():
    return TPESampler(constraints_func=lambda trial: (0.5 - trial.params["x"],))

def broken():
    def constraints(trial):
        raise ValueError("no such constraint")
    return TPESampler(constraints_func=constraints)

def no_sampler():
    return 3

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    trial.set_user_attr("made", len(made))
    return x
"""


def test_a_sampler_that_takes_a_seed_is_made_for_every_trial(workshop: Workshop) -> None:
    workshop.write(SAMPLERS)
    drawn = []
    for workers in (1, 2):
        options = {"sampler": named(workshop, "per_trial"), "n_trials": 4, "overwrite": True}
        assert workshop.launch(workers=workers, **options).exit_code == 0
        drawn.append([trial.params["x"] for trial in workshop.trials()])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) == 4  # whichever worker drew them


@pytest.mark.parametrize("name", ["once", "instance"])
def test_a_sampler_without_a_seed_is_made_once_and_no_two_workers_draw_alike(
    workshop: Workshop, name: str
) -> None:
    workshop.write(SAMPLERS)
    result = workshop.launch(sampler=named(workshop, name), n_trials=6, workers=2)
    assert result.exit_code == 0
    trials = workshop.trials()
    assert {trial.user_attrs["made"] for trial in trials} == {int(name == "once")}
    assert len({trial.params["x"] for trial in trials}) == 6


def test_a_class_of_optuna_is_a_sampler_and_one_a_pruner(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    own = {"sampler": "optuna.samplers:NSGAIISampler", "pruner": "optuna.pruners:MedianPruner"}
    assert workshop.launch(n_trials=3, **own).exit_code == 0


def test_a_grid_is_covered_by_all_workers_and_ends_the_launch(workshop: Workshop) -> None:
    workshop.write(SAMPLERS)
    result = workshop.launch(sampler=named(workshop, "grid"), n_trials=50, workers=2)
    assert (result.exit_code, result.exit_reason) == (0, "stopped")
    points = {trial.params["x"] for trial in workshop.trials() if trial.value is not None}
    assert points == {0.0, 0.25, 0.5, 0.75}
    # Optuna may give a point that is still running to a second worker, so a total proves nothing.
    # Once the parent knows, only a trial that was granted before begins.
    known = next(n for n, (_, event) in enumerate(workshop.seen) if event == STOPPING)
    later = [event for _, event in workshop.seen[known:] if isinstance(event, events.TrialStarted)]
    assert len(later) <= 1
    # The same command trains nothing; another budget asks the sampler again.
    states = workshop.states()
    again = workshop.launch(sampler=named(workshop, "grid"), n_trials=50, workers=2)
    assert (again.exit_code, again.exit_reason) == (0, "stopped")
    assert workshop.states() == states
    assert workshop.launch(sampler=named(workshop, "grid"), n_trials=51).exit_code == 0
    assert len(workshop.states()) == len(states) + 1


def test_constraints_of_an_own_sampler_decide_which_is_best(workshop: Workshop) -> None:
    workshop.write(SAMPLERS)
    sampler = named(workshop, "constrained")
    with_a_warning = workshop.run("--sampler", sampler, "--n-trials", "8")
    assert with_a_warning.code == 0, with_a_warning.err
    best = min(t.params["x"] for t in workshop.trials() if t.params["x"] >= 0.5)
    assert workshop.sidecar()["params"] == {"x": best}


def test_an_own_sampler_that_raises_is_shown(workshop: Workshop) -> None:
    workshop.write(SAMPLERS)
    result = workshop.launch(sampler=named(workshop, "broken"), n_trials=3)
    assert result.exit_code == 1 and "no such constraint" in str(result.message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler": "gone.py:make"}, "--sampler: no such file: "),
        ({"sampler": "{file}:grit"}, "has no 'grit'; did you mean 'grid'?"),
        ({"sampler": "{file}:no_sampler"}, "expected a BaseSampler or a function that makes one, "),
        ({"pruner": "{file}:instance"}, "--pruner: expected a BasePruner or a function that makes"),
        ({"pruner": "nowhere.here:pruner"}, "--pruner: no module named 'nowhere' in "),
        ({"callback": "{file}:made"}, "--callback: expected a function (study, trial), "),
    ],
)
def test_a_reference_that_leads_nowhere_starts_nothing(
    workshop: Workshop, options: dict[str, str], message: str
) -> None:
    workshop.write(SAMPLERS)
    file = workshop.reference.rpartition(":")[0]
    with pytest.raises(UsageError, match=re.escape(message)):
        workshop.launch(**{name: text.format(file=file) for name, text in options.items()})
    assert not workshop.paths.folder.exists()


def test_a_sampler_whose_import_fails_is_an_exception(workshop: Workshop) -> None:
    workshop.write(TRIVIAL)
    (workshop.folder / "bad.py").write_text("import a_module_that_is_not_there\n")
    with pytest.raises(JournalLauncherError, match="a_module_that_is_not_there") as caught:
        workshop.launch(sampler="bad.py:make")
    assert caught.value.exit_code == 2
