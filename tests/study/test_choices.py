"""Choices that change their type in JSON: the objective gets its own back on every way to it."""

import enum
import json
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import optuna
import pytest
from optuna.samplers import GridSampler, PartialFixedSampler, RandomSampler
from optuna.trial import TrialState
from test_study import DEAD, IDENTITY, begin, stock

from journal_launcher.study.choices import JournalTrial
from journal_launcher.study.journal.storage import open_storage
from journal_launcher.study.study import StudyHandle

pytestmark = [
    pytest.mark.filterwarnings("ignore:Choices for a categorical distribution"),
    pytest.mark.filterwarnings("ignore:h contains a value"),
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]


class Kind(enum.StrEnum):
    A = "a"
    B = "b"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Layer(NamedTuple):
    width: int
    rate: float


CHOICES: dict[str, list[Any]] = {
    "tuples": [(32,), (64, 64)],
    "nested": [((1, 2), (3,)), ((1, 2), (4,)), ()],
    "named": [Layer(32, 0.5), Layer(64, 0.1)],
    "in a dictionary": [{"layers": (1, 2), 3: "x"}, {"layers": (1,)}],
    "lists": [[32], [64, 64]],
    "equal for Python": [1, True, 1.0, 0, False],
    "no numbers": [None, float("nan"), float("inf"), -float("inf"), "nan"],
    "enumerations": [*Kind, *Size],
    "numpy": [np.float64(0.1), np.str_("a"), 0.3],
    "plain": ["a", "b", 3, 0.1],
}
EACH = [
    pytest.param(choices, at, id=f"{name} {at}")
    for name, choices in CHOICES.items()
    for at in range(len(choices))
]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "study.log"
    StudyHandle.create(open_storage(path, create=True), "study", IDENTITY)
    return path


def opened(journal: Path, sampler: Any = None) -> tuple[StudyHandle, optuna.Study]:
    """As another process opens it: what it knows is what the journal says."""
    storage = open_storage(journal)
    study = optuna.study.Study("study", storage, sampler or RandomSampler(seed=1))
    return StudyHandle(storage, "study"), study


def as_json(value: Any) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(("choices", "at"), EACH)
def test_a_trial_that_is_queued_again_gets_the_same_choice(
    journal: Path, choices: list[Any], at: int
) -> None:
    record, study = opened(journal, PartialFixedSampler({"a": choices[at]}, RandomSampler()))
    begin(record, DEAD)
    assert JournalTrial(study, 0).suggest_categorical("a", choices) is choices[at]
    for number in range(2):  # a retry of a retry as well
        record, study = opened(journal)
        assert record.fail_and_queue(record.trial(number), "died", retry=number == 0)
        record, study = opened(journal)
        assert record.storage.start_queued_trial(number + 1, {"jl_owner": DEAD.to_json()})
        again = JournalTrial(study, number + 1)
        for _ in range(2):
            assert again.suggest_categorical("a", choices) is choices[at]
        assert type(again.params["a"]) is type(choices[at])
        for trial in stock(journal).trials:
            assert as_json(trial.params["a"]) == as_json(choices[at])


@pytest.mark.parametrize(("choices", "at"), EACH)
def test_a_fixed_parameter_is_the_choice_of_the_same_json(
    journal: Path, choices: list[Any], at: int
) -> None:
    stock(journal).enqueue_trial({"a": choices[at]})
    _, study = opened(journal)
    trial = JournalTrial(study, 0)
    assert trial.suggest_categorical("a", choices) is choices[at]
    assert type(trial.params["a"]) is type(choices[at])
    trial = pickle.loads(pickle.dumps(trial))  # as it reaches a process that the objective starts
    assert as_json(trial.suggest_categorical("a", choices)) == as_json(choices[at])
    assert as_json(stock(journal).trials[0].params["a"]) == as_json(choices[at])


@pytest.mark.parametrize("name", ["tpe", "gp", "qmc", "grid"])
def test_samplers_that_learn_from_earlier_trials_go_on(journal: Path, name: str) -> None:
    choices = CHOICES["tuples"]
    samplers: dict[str, Any] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=1, n_startup_trials=3),
        "gp": lambda: optuna.samplers.GPSampler(seed=1, n_startup_trials=3),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=1),
        "grid": lambda: GridSampler({"h": choices, "x": [0.25, 0.5, 0.75, 1.0]}),
    }
    for number in range(6):
        _, study = opened(journal, samplers[name]())
        study.sampler.reseed_rng()
        trial = JournalTrial(study, study._storage.create_new_trial(study._study_id))
        assert any(trial.suggest_categorical("h", choices) is choice for choice in choices)
        if number > 3:  # not in the space that the sampler infers
            later = choices if name == "grid" else CHOICES["nested"]
            assert trial.suggest_categorical("h" if name == "grid" else "later", later) in later
        study.tell(trial, trial.suggest_float("x", 0, 1))
    assert all(isinstance(trial.params["h"], list) for trial in stock(journal).trials)


@pytest.mark.parametrize(
    "others",
    [[(32,), (64, 65)], [(64, 64), (32,)], [(32,)], [(32,), (64, 64), (1,)], ["(32,)", "[64]"]],
)
def test_other_choices_are_still_another_search_space(journal: Path, others: list[Any]) -> None:
    record, study = opened(journal, PartialFixedSampler({"h": (32,)}, RandomSampler()))
    begin(record, DEAD)
    JournalTrial(study, 0).suggest_categorical("h", CHOICES["tuples"])
    assert record.fail_and_queue(record.trial(0), "died", retry=True)
    for number in (1, record.storage.create_new_trial(0)):
        record.storage.set_trial_state_values(number, TrialState.RUNNING)
        trial = JournalTrial(opened(journal)[1], number)
        with pytest.raises(ValueError, match="dynamic value space") as caught:
            trial.suggest_categorical("h", others)
        assert caught.traceback[-1].name == "check_distribution_compatibility"


def test_what_json_cannot_express_is_refused_in_optunas_words(journal: Path) -> None:
    _, study = opened(journal)
    for choices in ([np.float32(0.5)], [object()], [{(1, 2): 3}]):
        trial = JournalTrial(study, study._storage.create_new_trial(0))
        with pytest.raises(TypeError, match=r"JSON serializable|keys must be"):
            trial.suggest_categorical("a", choices)
    in_memory = optuna.create_study()
    (only,) = [np.float32(0.5)]
    trial = JournalTrial(in_memory, in_memory.ask()._trial_id)
    assert trial.suggest_categorical("a", [only]) is only
