"""Ridge and logistic regression on real, small tables."""

import json
from pathlib import Path

import numpy as np
import optuna
import pytest

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Features, Fold, Schema
from journal_launcher.tabular.models import FoldData, ModelSettings
from journal_launcher.tabular.models.linear import Linear

ROWS = 300
COLUMNS = (Column("a", "number"), Column("b", "number"), Column("c", "category", ("x", "y", "z")))


def model(classes: int = 0) -> Linear:
    task = "classification" if classes else "regression"
    schema = Schema(COLUMNS, "t", task, tuple(map(str, range(classes))))
    metric = "log_loss" if classes else "r2"
    return Linear(ModelSettings(schema, ROWS, metric))


def table(classes: int = 0, rows: int = ROWS, seed: int = 0) -> tuple[Features, np.ndarray]:
    """A linear relation with gaps in column b and a category that shifts the target."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal([0, 50], [1, 10], size=(rows, 2))
    codes = rng.integers(-1, 3, size=(rows, 1)).astype(np.int32)
    target = 2 * numbers[:, 0] + 0.1 * numbers[:, 1] + codes[:, 0] + 0.1 * rng.normal(size=rows)
    numbers[rng.random(rows) < 0.1, 1] = np.nan
    if classes:
        edges = np.quantile(target, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.digitize(target, edges).astype(np.float64)
    return Features(numbers, codes), target


def folds(features: Features, target: np.ndarray, k: int = 3) -> tuple[FoldData, ...]:
    position = np.arange(len(target)) % k
    return tuple(
        FoldData(
            features, target, Fold(np.flatnonzero(position != i), np.flatnonzero(position == i))
        )
        for i in range(k)
    )


def nothing(step: int, total: int, value: float) -> None:
    pass


def test_regression_finds_a_linear_relation_despite_gaps_and_categories() -> None:
    curve = model().cross_validate(
        {"regularization": 1e-4},
        folds(*table()),
        metrics.score_function("r2", "regression"),
        0,
        nothing,
    )
    assert curve.steps == 1
    assert curve.scores.shape == (3,)
    assert curve.scores.mean() > 0.9


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_gives_probabilities_better_than_chance(classes: int) -> None:
    score = metrics.score_function("log_loss", "classification")
    curve = model(classes).cross_validate(
        model(classes).defaults(), folds(*table(classes)), score, 0, nothing
    )
    assert curve.scores.mean() < 0.5 * np.log(classes)
    features, target = table(classes)
    found = model(classes).fit(model(classes).defaults(), features, target, 1, 0).predict(features)
    assert found.shape == (ROWS, classes)
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_saved_model_predicts_the_same(classes: int, tmp_path: Path) -> None:
    features, target = table(classes)
    fitted = model(classes).fit(model(classes).defaults(), features, target, 1, 0)
    state = json.loads(json.dumps(fitted.save(tmp_path / "model.skops")))
    loaded = model(classes).load(tmp_path / "model.skops", state)
    other, _ = table(classes, seed=1)
    np.testing.assert_array_equal(loaded.predict(other), fitted.predict(other))


def test_the_penalty_shrinks_the_model_to_the_mean() -> None:
    features, target = table()
    found = model().fit({"regularization": 1e6}, features, target, 1, 0).predict(features)
    np.testing.assert_allclose(found, target.mean(), atol=0.05 * target.std())


def test_a_class_without_training_rows_has_probability_zero() -> None:
    features, target = table(3)
    seen = np.flatnonzero(target != 1)
    fitted = model(3).fit(model(3).defaults(), features.take(seen), target[seen], 1, 0)
    found = fitted.predict(features)
    assert found.shape == (ROWS, 3)
    assert (found[:, 1] == 0).all()


def test_training_rows_of_one_class_alone_predict_that_class(tmp_path: Path) -> None:
    features, _ = table(2)
    fitted = model(2).fit(model(2).defaults(), features, np.ones(ROWS), 1, 0)
    np.testing.assert_array_equal(fitted.predict(features), [[0.0, 1.0]] * ROWS)
    state = fitted.save(tmp_path / "model.skops")
    loaded = model(2).load(tmp_path / "model.skops", state)
    np.testing.assert_array_equal(loaded.predict(features), [[0.0, 1.0]] * ROWS)


def test_separable_classes_raise_no_convergence_warning() -> None:
    features, _ = table()
    target = (features.numbers[:, 0] > 0).astype(np.float64)
    # pytest turns every warning into an error.
    model(2).fit({"regularization": 1e-6}, features, target, 1, 0)


def test_suggest_asks_for_what_the_defaults_set() -> None:
    study = optuna.create_study()
    study.enqueue_trial(dict(model().defaults()))
    trial = study.ask()
    assert dict(model().suggest(trial)) == dict(model().defaults())
    assert trial.params == dict(model().defaults())
