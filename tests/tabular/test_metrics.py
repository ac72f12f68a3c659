"""The metrics agree with scikit-learn's, and survive what scikit-learn refuses."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sklearn_metrics

from journal_launcher.settings.launch_settings import METRICS
from journal_launcher.tabular import metrics


def _classified(classes: int, rows: int = 300) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(classes)
    target = rng.integers(classes, size=rows).astype(float)
    raw = rng.random((rows, classes)) + np.eye(classes)[target.astype(int)] / 2
    return target, raw / raw.sum(axis=1, keepdims=True)


def test_every_metric_belongs_to_exactly_one_task() -> None:
    regression, classification = metrics.names("regression"), metrics.names("classification")
    assert regression == ("r2", "rmse", "mae")
    assert regression + classification == tuple(METRICS)


def test_a_metric_of_the_other_task_is_refused() -> None:
    with pytest.raises(ValueError, match=r"classification expects one of log_loss.*found 'r2'"):
        metrics.score_function("r2", "classification")


def test_regression_metrics_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(100, 10, size=500)
    found = target + rng.normal(size=500)
    expected = {
        "r2": sklearn_metrics.r2_score(target, found),
        "rmse": sklearn_metrics.root_mean_squared_error(target, found),
        "mae": sklearn_metrics.mean_absolute_error(target, found),
    }
    for name, value in expected.items():
        assert metrics.score_function(name, "regression")(target, found) == pytest.approx(value)


@pytest.mark.parametrize("classes", [2, 4])
def test_classification_metrics_agree_with_scikit_learn(classes: int) -> None:
    target, found = _classified(classes)
    labels = found.argmax(axis=1)
    several = {"multi_class": "ovr", "average": "macro"}
    one_hot = np.eye(classes)[target.astype(int)]
    ranked, hits = (found[:, 1], target) if classes == 2 else (found, one_hot)
    expected = {
        "log_loss": sklearn_metrics.log_loss(target, found),
        "roc_auc": sklearn_metrics.roc_auc_score(target, ranked, **several),
        "accuracy": sklearn_metrics.accuracy_score(target, labels),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(target, labels),
        "f1_macro": sklearn_metrics.f1_score(target, labels, average="macro"),
        "average_precision": sklearn_metrics.average_precision_score(hits, ranked),
    }
    for name, value in expected.items():
        assert metrics.score_function(name, "classification")(target, found) == pytest.approx(
            value
        ), name


def _by_scikit_learn(
    target: NDArray[np.float64], found: NDArray[np.float64], weights: NDArray[np.float64]
) -> dict[str, float]:
    given = {"sample_weight": weights}
    if found.ndim == 1:
        return {
            "r2": sklearn_metrics.r2_score(target, found, **given),
            "rmse": sklearn_metrics.root_mean_squared_error(target, found, **given),
            "mae": sklearn_metrics.mean_absolute_error(target, found, **given),
        }
    classes = found.shape[1]
    labels, one_hot = found.argmax(axis=1), np.eye(classes)[target.astype(int)]
    ranked, hits = (found[:, 1], target) if classes == 2 else (found, one_hot)
    return {
        "log_loss": sklearn_metrics.log_loss(target, found, **given),
        "roc_auc": sklearn_metrics.roc_auc_score(hits, ranked, average="macro", **given),
        "accuracy": sklearn_metrics.accuracy_score(target, labels, **given),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(target, labels, **given),
        "f1_macro": sklearn_metrics.f1_score(target, labels, average="macro", **given),
        "average_precision": sklearn_metrics.average_precision_score(hits, ranked, **given),
    }


def _predicted(classes: int) -> tuple[str, NDArray[np.float64], NDArray[np.float64]]:
    """Task, target and predictions, some of which are the same."""
    if classes:
        target, found = _classified(classes)
        rounded = found.round(1) + 0.05
        return "classification", target, rounded / rounded.sum(axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    target = rng.normal(100, 10, size=300)
    return "regression", target, target + rng.normal(size=300)


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_weights_count_as_in_scikit_learn(classes: int) -> None:
    task, target, found = _predicted(classes)
    weights = np.random.default_rng(1).lognormal(size=len(target))
    expected = _by_scikit_learn(target, found, weights)
    assert metrics.every(task, target, found, weights) == pytest.approx(expected)
    assert set(expected) == set(metrics.names(task))
    plain = metrics.every(task, target, found)
    assert all(plain[name] != pytest.approx(expected[name], rel=1e-4) for name in expected)


@pytest.mark.parametrize("classes", [0, 2, 4])
def test_a_row_of_weight_three_counts_as_three_rows(classes: int) -> None:
    task, target, found = _predicted(classes)
    times = np.random.default_rng(1).integers(1, 4, size=len(target))
    repeated = metrics.every(task, np.repeat(target, times), np.repeat(found, times, axis=0))
    for scale in (1.0, 1 / 3):
        assert metrics.every(task, target, found, scale * times) == pytest.approx(repeated)


def test_a_weighted_score_is_undefined_where_the_plain_one_is() -> None:
    weights = np.random.default_rng(0).random(10)
    constant = np.full(10, 0.1)
    assert np.isnan(metrics.score_function("r2", "regression")(constant, constant * 2, weights))
    certain = np.tile([0.3, 0.7], (10, 1))
    for name in ("roc_auc", "average_precision"):
        score = metrics.score_function(name, "classification")
        assert np.isnan(score(np.ones(10), certain, weights))


@pytest.mark.parametrize("classes", [0, 3])
def test_the_interval_is_of_the_weighted_score(classes: int) -> None:
    """Half of the rows are predicted worse and weigh nearly nothing."""
    task, target, found = _predicted(classes)
    bad = np.arange(len(target)) % 2 == 0
    found = np.where(bad[:, None] if classes else bad, found[::-1], found)
    weights = np.where(bad, 1e-6, 1.0)
    for name in metrics.names(task):
        low, high = metrics.bootstrap_interval(name, target, found, 0, weights)
        assert low < metrics.score_function(name, task)(target, found, weights) < high, name
        plain = metrics.score_function(name, task)(target, found)
        assert not low < plain < high, name


def test_classes_that_the_target_lacks_do_not_count() -> None:
    target, found = _classified(3)
    present = target < 2
    auc = metrics.score_function("roc_auc", "classification")(target[present], found[present])
    by_hand = [
        sklearn_metrics.roc_auc_score(target[present] == label, found[present, label])
        for label in (0, 1)
    ]
    assert auc == pytest.approx(np.mean(by_hand))
    balanced = metrics.score_function("balanced_accuracy", "classification")
    assert 0 < balanced(target[present], found[present]) <= 1


def test_an_undefined_score_is_nan() -> None:
    constant = np.ones(10)
    assert np.isnan(metrics.score_function("r2", "regression")(constant, constant * 2))
    certain = np.tile([0.3, 0.7], (10, 1))
    assert np.isnan(metrics.score_function("roc_auc", "classification")(constant, certain))


def test_a_certain_and_wrong_prediction_costs_a_finite_log_loss() -> None:
    wrong = np.array([[1.0, 0.0]])
    assert 30 < metrics.error_function("classification")(np.array([1.0]), wrong) < 40


def test_the_error_is_rmse_for_regression() -> None:
    assert metrics.error_function("regression")(np.array([0.0, 0.0]), np.array([3.0, 3.0])) == 3.0


def test_the_interval_holds_the_score_and_narrows_with_rows() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for rows in (100, 10_000):
        target = rng.normal(size=rows)
        found = target + rng.normal(size=rows) / 2
        low, high = metrics.bootstrap_interval("rmse", target, found, seed=1)
        assert low < 0.5 * 1.05 and high > 0.5 * 0.95
        assert low < metrics.score_function("rmse", "regression")(target, found) < high
        widths.append(high - low)
    # Ten times the root of the rows: a tenth of the width.
    assert 7 < widths[0] / widths[1] < 14


def test_the_interval_follows_its_seed_alone() -> None:
    target, found = _classified(2)
    first = metrics.bootstrap_interval("log_loss", target, found, seed=3)
    assert first == metrics.bootstrap_interval("log_loss", target, found, seed=3)
    assert first != metrics.bootstrap_interval("log_loss", target, found, seed=4)


@pytest.mark.parametrize("metric", metrics.names("classification"))
def test_resamples_without_a_class_do_not_break_the_interval(metric: str) -> None:
    target = np.array([0.0, 0.0, 0.0, 1.0, 2.0])
    found = np.full((5, 3), 1 / 3) + np.eye(3)[[0, 0, 1, 1, 2]] / 3
    low, high = metrics.bootstrap_interval(metric, target, found / 4 * 3, seed=0)
    assert np.isfinite([low, high]).all() and low <= high


def test_an_interval_of_nothing_defined_is_nan() -> None:
    interval = metrics.bootstrap_interval("r2", np.ones(5), np.zeros(5), seed=0)
    assert np.isnan(interval).all()
