"""Nothing that is fitted sees validation or hold-out rows.

Scramble those rows' features and targets: what is fitted on the training rows, at the same number
of rounds or epochs and the same seed, stays equal to the last bit.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular.tasks import EACH_MODEL_TYPE, task_of

from journal_launcher.tabular.data.dataset import Dataset, Features, Fold, Rows
from journal_launcher.tabular.models import FoldData, ModelType
from journal_launcher.tabular.refit import refit
from journal_launcher.tabular.task import ScoredTrial

MakeTable = Callable[..., Dataset]

STEPS = 10

pytestmark = pytest.mark.parametrize("name", EACH_MODEL_TYPE)


def _scrambled(table: Dataset, rows: Rows) -> Dataset:
    rng = np.random.default_rng(99)
    numbers, codes, target = (
        array.copy() for array in (table.features.numbers, table.features.codes, table.target)
    )
    numbers[rows] = rng.normal(1e3, 1e5, size=numbers[rows].shape)
    codes[rows] = rng.integers(-1, 3, size=codes[rows].shape)
    is_class = table.schema.task == "classification"
    target[rows] = rng.integers(3, size=len(rows)) if is_class else rng.normal(-1e4, 1e3, len(rows))
    return replace(table, features=Features(numbers, codes), target=target)


def _model(name: str, table: Dataset) -> ModelType:
    return task_of(table, name).make_model()


def _fitted_state(name: str, table: Dataset, rows: Rows, directory: Path) -> tuple[Any, ...]:
    """The weights' file, the rest of the state, and predictions of rows that nothing changed."""
    model = _model(name, table)
    features, target = table.features.take(rows), table.target[rows]
    fitted = model.fit(model.defaults(), features, target, STEPS, 3)
    file = directory / f"model.{model.extension}"
    state = json.dumps(fitted.save(file))
    read_back = model.load(file, json.loads(state))
    return state, fitted.predict(features).tobytes(), read_back.predict(features).tobytes()


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_fold_is_fitted_on_its_training_rows_alone(
    make_table: MakeTable, tmp_path: Path, name: str, task: str
) -> None:
    table = make_table(task)
    for fold in table.folds[:2]:
        others = np.setdiff1d(np.arange(len(table.target)), fold.train)
        changed = _scrambled(table, others)
        assert not np.array_equal(changed.target, table.target)
        before = _fitted_state(name, table, fold.train, tmp_path)
        assert before == _fitted_state(name, changed, fold.train, tmp_path)


def test_cross_validation_fits_on_training_rows_alone(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A score that is always 0 makes the first point of the curve the best one, whatever the rows.

    The error of the training rows there says what was fitted.
    """
    table = make_table()
    scrambled = _scrambled(table, np.arange(len(table.target)))
    both = Features(
        np.concatenate([table.features.numbers, scrambled.features.numbers]),
        np.concatenate([table.features.codes, scrambled.features.codes]),
    )
    targets = np.concatenate([table.target, scrambled.target])
    folds = [FoldData(both, targets, fold) for fold in table.folds]
    shift = len(table.target)
    with_scrambled = [
        replace(fold, rows=Fold(fold.rows.train, fold.rows.valid + shift)) for fold in folds
    ]
    model = _model(name, table)
    if hasattr(model, "every"):
        monkeypatch.setattr(type(model), "max_steps", model.every)
    first, second = (
        model.cross_validate(model.defaults(), data, lambda *_: 0.0, 3, lambda *_: None)
        for data in (folds, with_scrambled)
    )
    assert first.steps == second.steps
    np.testing.assert_array_equal(first.train_errors, second.train_errors)
    assert (first.errors < second.errors).all()


def test_the_published_model_is_fitted_without_the_holdout(
    make_table: MakeTable, tmp_path: Path, name: str
) -> None:
    table = make_table()
    outcomes = []
    for number, one in enumerate((table, _scrambled(table, table.holdout))):
        staging = tmp_path / str(number)
        staging.mkdir()
        model = _model(name, one)
        sidecar = refit(
            task_of(one, name),
            ScoredTrial(0, 0.0, model.defaults(), fold_scores=[], train_scores=[], steps=STEPS),
            staging,
            on_all_rows=False,
            progress=lambda *_: None,
        )
        published = model.load_mean(staging / sidecar["model_file"], sidecar["model_state"])
        rows = one.features.take(one.train)
        outcomes.append((sidecar, published.predict(rows).tobytes()))
    (first, weights), (second, same_weights) = outcomes
    assert weights == same_weights
    for key in ("model_state", "train_metrics", "schema_hash"):
        assert first[key] == second[key]
    assert first["holdout_metrics"] != second["holdout_metrics"]
