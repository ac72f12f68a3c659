"""The objective of a table: what it returns, reports, refuses and leaves to the caller."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from tabular.tasks import EACH_MODEL_TYPE, task_of

from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.model_types import BASELINE
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.models import CrossValidated
from journal_launcher.tabular.models.catboost import CatBoost
from journal_launcher.worker.jobs.table import TableObjective

MakeTable = Callable[..., Dataset]
Steps = list[tuple[str, int, int, float | None]]


@pytest.fixture(autouse=True)
def few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CatBoost, "max_steps", 20)


def _objective(table: Dataset, steps: Steps, prunes: bool = True) -> TableObjective:
    """steps: what it says of its folds; of the rounds within them `test_rounds…` knows."""
    task = task_of(table, "catboost", "r2", seed=5)

    def progress(unit: str, step: int, total: Any, value: Any, within: Any = None) -> None:
        if within is None:
            steps.append((unit, step, total, value))

    return TableObjective(task, prunes, progress)


def test_the_value_is_the_mean_of_the_folds(make_table: MakeTable) -> None:
    steps: Steps = []
    objective = _objective(make_table(), steps)
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(objective.defaults())
    study.optimize(objective, n_trials=1)
    trial = study.trials[0]
    attributes = objective.attributes
    assert trial.params == objective.defaults()
    assert trial.value == pytest.approx(np.mean(attributes["jl_fold_scores"]))
    assert set(attributes) == {
        "jl_fold_scores",
        "jl_train_scores",
        "jl_steps",
        "jl_overfit_ratio",
        "jl_errors",
        "jl_metrics",
    }
    metrics = attributes["jl_metrics"]
    assert metrics["r2"] == pytest.approx(trial.value)
    assert metrics["rmse"] == pytest.approx(attributes["jl_errors"]["validation"])
    assert 0 < metrics["mae"] < metrics["rmse"] and len(metrics) == 3
    assert len(attributes["jl_fold_scores"]) == len(attributes["jl_train_scores"]) == 3
    assert attributes["jl_steps"] in (10, 20)
    errors = attributes["jl_errors"]
    assert attributes["jl_overfit_ratio"] == errors["validation"] / errors["training"] > 1
    json.dumps(attributes, allow_nan=False)
    # The caller writes the attributes in one append.
    assert trial.user_attrs == {} and list(trial.intermediate_values) == [1, 2]
    assert [step[:3] for step in steps] == [("fold", 1, 3), ("fold", 2, 3), ("fold", 3, 3)]


def test_the_same_trial_number_gives_the_same_value(make_table: MakeTable) -> None:
    values = []
    for _ in range(2):
        objective = _objective(make_table(), [])
        values.append(objective(optuna.trial.FixedTrial(objective.defaults(), number=3)))
    assert values[0] == values[1]


def test_the_seed_is_the_trials_own(make_table: MakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []

    def seen(
        self: CatBoost, params: Any, folds: Any, score: Any, seed: int, *_: Any
    ) -> CrossValidated:
        seeds.append(seed)
        return CrossValidated(1, *np.ones((4, 3)))

    monkeypatch.setattr(CatBoost, "cross_validate", seen)
    objective = _objective(make_table(), [])
    for number in (0, 1):
        objective(optuna.trial.FixedTrial(objective.defaults(), number=number))
    assert seeds == [trial_seed(5, 0), trial_seed(5, 1)]


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


@pytest.mark.parametrize("times", [1, 2])
def test_where_the_gpus_memory_does_not_suffice_a_trial_is_tried_once_more_with_all_of_it(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    done: list[str] = []
    train = CatBoost.cross_validate

    def filling(self: CatBoost, params: Any, folds: Any, score: Any, seed: int, *more: Any) -> Any:
        done.append("train")
        report, *fixed = more
        if done.count("train") <= times:
            report(1, 3, 0.5)
            raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return train(self, params, folds, score, seed, report, *fixed)

    monkeypatch.setattr(CatBoost, "cross_validate", filling)
    monkeypatch.setattr(CatBoost, "release", lambda self: done.append("release"))
    objective = _objective(make_table(), [])
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(objective.defaults())
    study.optimize(objective, n_trials=1, catch=OutOfMemoryError)
    assert done == ["train", "release", "train"]
    assert study.trials[0].state.name == ("COMPLETE" if times == 1 else "FAIL")
    if times == 1:  # on fresh folds likewise
        done.clear()
        steps = objective.attributes["jl_steps"]
        objective.confirm(0, objective.defaults(), steps, objective.task)
        assert done == ["train", "release", "train"]


def test_another_error_is_no_reason_to_train_again(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def failing(*_: Any) -> None:
        done.append(1)
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(CatBoost, "cross_validate", failing)
    objective = _objective(make_table(), [])
    with pytest.raises(RuntimeError, match="device-side"):
        objective(optuna.trial.FixedTrial(objective.defaults(), number=0))
    assert done == [1]


def test_a_pruner_ends_a_trial_between_folds(make_table: MakeTable) -> None:
    steps: Steps = []
    objective = _objective(make_table(), steps)
    pruner = optuna.pruners.ThresholdPruner(lower=2.0)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    study.optimize(objective, n_trials=1)
    trial = study.trials[0]
    assert trial.state.name == "PRUNED"
    assert list(trial.intermediate_values) == [1]
    assert len(steps) == 1
    assert objective.attributes == {}


@pytest.mark.parametrize(
    ("total", "expected"),
    [
        (5, [1, 2, 3, 4]),
        (20, [2, 4, 6, 8, 10, 12, 14, 16, 18]),
        (96, [12, 24, 36, 48, 60, 72, 84]),
    ],
)
def test_reports_are_few_and_none_at_the_end(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, total: int, expected: list[int]
) -> None:
    def reporting(
        self: CatBoost, params: Any, folds: Any, score: Any, seed: int, report: Any, *_: Any
    ) -> CrossValidated:
        for step in range(1, total + 1):
            report(step, total, float(step))
        return CrossValidated(1, *np.ones((4, 3)))

    monkeypatch.setattr(CatBoost, "cross_validate", reporting)
    for prunes, reported in ((True, expected), (False, [])):
        steps: Steps = []
        study = optuna.create_study(direction="maximize")
        study.optimize(_objective(make_table(), steps, prunes), n_trials=1)
        assert study.trials[0].intermediate_values == {step: float(step) for step in reported}
        assert len(steps) == total


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_what_a_trial_reports_is_the_same_on_every_device(make_table: MakeTable, name: str) -> None:
    """A study that began on a CPU may go on with GPUs: its pruner compares equal steps."""
    table = make_table()
    found = [
        task_of(table, name, gpu=gpu, threads=threads).make_model()
        for gpu, threads in ((False, 1), (False, 8), (True, 1))
    ]
    assert len({(model.unit, model.max_steps) for model in found}) == 1


def test_a_score_that_is_not_finite_fails_the_trial(make_table: MakeTable) -> None:
    table = make_table()
    table.target[table.folds[1].valid] = 4.0  # a constant: R² is undefined there
    steps: Steps = []
    objective = _objective(table, steps)
    with pytest.raises(ValueError, match=r"expected a finite r2 in every fold, found \[.*nan"):
        objective(optuna.trial.FixedTrial(objective.defaults()))
    assert objective.attributes == {}
    assert [step[3] is None for step in steps] == [False, True, True]


def test_a_confirmation_trains_the_trials_own_rounds_on_other_folds(make_table: MakeTable) -> None:
    table, steps = make_table(), []
    objective = _objective(table, steps)
    fresh = objective.task.with_folds(make_table(seed=1).folds)
    params = objective.defaults()
    found = objective.confirm(4, params, 10, fresh)
    by_hand = []
    for fold in fresh.folds:
        seed = trial_seed(5, 4, "confirm")
        model = objective.model.fit(params, fold.train, fold.train_target, 10, seed)
        score = metrics.score_function("r2", "regression")
        by_hand.append(score(fold.valid_target, model.predict(fold.valid)))
    assert found.fold_scores == by_hand
    assert found.score == np.mean(by_hand)
    assert found.curves is not None and found.overfit_ratio is not None
    assert found.curves["every"] == 10 and len(found.curves["train"]) == 1
    assert found.curves["validation"] == pytest.approx([found.score], rel=1e-5)
    assert found.overfit_ratio > 1
    assert [step[:3] for step in steps] == [("fold", 1, 3), ("fold", 2, 3), ("fold", 3, 3)]
    json.dumps(found.to_json(), allow_nan=False)
    assert objective.attributes == {}


def test_a_confirmation_that_is_not_finite_is_refused(make_table: MakeTable) -> None:
    table = make_table()
    table.target[table.folds[1].valid] = 4.0
    objective = _objective(table, [])
    with pytest.raises(ValueError, match="expected a finite r2 in every fold"):
        objective.confirm(0, objective.defaults(), 10, objective.task)


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_rounds_within_a_fold_are_told_but_never_to_the_pruner(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Of every type that trains many rounds and its folds one after the other."""
    model = type(task_of(make_table(), name).make_model())
    if model.unit == "epoch" or name == BASELINE:
        pytest.skip("has no rounds within a fold")
    monkeypatch.setattr(model, "max_steps", 20)
    said: list[Any] = []
    objective = TableObjective(task_of(make_table(), name), True, lambda *step: said.append(step))
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(objective.defaults())
    study.optimize(objective, n_trials=1)
    within = [step for step in said if len(step) == 5]
    assert [(*step[:3], step[4]) for step in within] == [
        ("fold", fold, 3, (done, 20)) for fold in range(3) for done in range(1, 21)
    ]
    assert [step[3] is None for step in within] == [True] * 20 + [False] * 40
    assert list(study.trials[0].intermediate_values) == [1, 2]
    said.clear()
    objective.confirm(0, objective.defaults(), 10, objective.task)
    assert [step[4] for step in said if len(step) == 5] == [(n, 10) for n in range(1, 11)] * 3


class _Stopped(BaseException):
    """As SIGTERM is: raised wherever Python code runs next."""


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_a_stop_ends_the_fold_under_way(make_table: MakeTable, name: str) -> None:
    objective = TableObjective(task_of(make_table(), name), False, lambda *_: None)
    done = 0

    def stop(*_: int) -> None:
        nonlocal done
        done += 1
        raise _Stopped

    objective.model.on_round = stop
    if objective.model.unit == "epoch" or name == BASELINE:
        pytest.skip("has no rounds within a fold")
    with pytest.raises(_Stopped):
        objective(optuna.trial.FixedTrial(objective.defaults()))
    assert done == 1
