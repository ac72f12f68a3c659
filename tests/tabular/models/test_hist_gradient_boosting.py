"""Histogram gradient boosting: rare levels, absent classes, staged rounds, saving safely."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
import skops.io
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from tabular.tasks import task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Schema
from journal_launcher.tabular.models.hist_gradient_boosting import HistGradientBoosting

MakeTable = Callable[..., Dataset]


def _model(table: Dataset, metric: str) -> HistGradientBoosting:
    model = task_of(table, "hist_gradient_boosting", metric).make_model()
    assert isinstance(model, HistGradientBoosting)
    return model


def test_the_defaults_are_a_point_of_the_search_space(make_table: MakeTable) -> None:
    model = _model(make_table(), "r2")
    fixed = optuna.trial.FixedTrial(dict(model.defaults()))
    assert model.suggest(fixed) == model.defaults()


@pytest.mark.parametrize("task, metric", [("regression", "rmse"), ("classification", "roc_auc")])
def test_every_fold_is_scored_after_the_same_number_of_rounds(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, task: str, metric: str
) -> None:
    monkeypatch.setattr(HistGradientBoosting, "max_steps", 30)
    table = make_table(task)
    model, score = _model(table, metric), metrics.score_function(metric, task)
    folds = task_of(table, "hist_gradient_boosting").folds
    curve = model.cross_validate(model.defaults(), folds, score, 7, lambda *_: None)
    assert curve.steps in (10, 20, 30)
    for number, fold in enumerate(folds):
        fitted = model.fit(model.defaults(), fold.train, fold.train_target, curve.steps, 7)
        found, seen = fitted.predict(fold.valid), fitted.predict(fold.train)
        assert curve.scores[number] == pytest.approx(score(fold.valid_target, found))
        assert curve.train_scores[number] == pytest.approx(score(fold.train_target, seen))


def test_a_class_without_training_rows_keeps_its_column(make_table: MakeTable) -> None:
    table = make_table("classification", classes=3)
    some = np.flatnonzero(table.target != 1)
    model = _model(table, "log_loss")
    fitted = model.fit(model.defaults(), table.features.take(some), table.target[some], 10, 0)
    found = fitted.predict(table.features)
    assert found.shape == (240, 3)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found[:, 1] == 0).all()


def test_of_many_levels_the_frequent_ones_are_told_apart() -> None:
    """Level 0 is the most frequent of 400; levels seen once cannot all have a bin."""
    codes = np.concatenate([np.repeat(np.arange(50), 20), np.arange(50, 400)]).astype(np.int32)
    target = np.where(codes == 7, 100.0, 0.0)
    names = tuple(f"{number:03}" for number in range(500))
    schema = Schema((Column("level", "category", names),), "y", "regression")
    features = Features(np.empty((len(codes), 0)), codes[:, None])
    rows = np.arange(len(codes))
    table = Dataset(schema, features, target, rows, rows[:0], [])
    fitted = _model(table, "r2").fit(
        {"learning_rate": 0.5, "min_samples_leaf": 5}, features, target, 30, 0
    )
    asked = np.array([[7], [8], [399], [450], [-1]], dtype=np.int32)  # 450: never seen
    found = fitted.predict(Features(np.empty((5, 0)), asked))
    assert found[0] == pytest.approx(100, abs=2)
    assert found[1:] == pytest.approx(0, abs=2)


@pytest.mark.parametrize("task, metric", [("regression", "r2"), ("classification", "log_loss")])
def test_what_is_read_back_predicts_the_same(
    make_table: MakeTable, tmp_path: Path, task: str, metric: str
) -> None:
    table = make_table(task)
    model = _model(table, metric)
    fitted = model.fit(model.defaults(), table.features, table.target, 30, 1)
    state = json.loads(json.dumps(fitted.save(tmp_path / "model.skops")))
    read_back = model.load(tmp_path / "model.skops", state)
    np.testing.assert_array_equal(read_back.predict(table.features), fitted.predict(table.features))


def _print_everything(rows: object) -> object:
    raise AssertionError("code of the file ran")


def test_a_file_with_other_types_is_refused(make_table: MakeTable, tmp_path: Path) -> None:
    file = tmp_path / "model.skops"
    skops.io.dump(Pipeline([("x", FunctionTransformer(_print_everything))]), file)
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        _model(make_table(), "r2").load(file, {"levels": []})
