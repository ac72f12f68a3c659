"""Weights of rows go into the training and the scores of every model type."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tabular.tasks import EACH_MODEL_TYPE, STEPS, needs, publish, task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.baselines import score_baselines
from journal_launcher.tabular.cross_validation import cross_validate
from journal_launcher.tabular.data.dataset import Dataset, Features
from journal_launcher.tabular.models import CrossValidated
from journal_launcher.tabular.predict import load

MakeTable = Callable[..., Dataset]
NEURAL_NET = pytest.param("neural_net", marks=needs("neural_net"))


def weighted(table: Dataset, seed: int = 0, factor: float = 1.0) -> Dataset:
    draw = np.random.default_rng(seed).lognormal(size=len(table.target))
    return replace(table, weights=factor * draw)


def torn(table: Dataset) -> Dataset:
    """Two halves with opposite targets, the first one almost without weight."""
    half = np.arange(len(table.target)) % 2 == 0
    top = table.target.max()
    target = np.where(half, top - table.target, table.target)
    return replace(table, target=target, weights=np.where(half, 1e-3, 1.0))


def scored(table: Dataset, model_type: str, fixed: int | None = None) -> CrossValidated:
    task = task_of(table, model_type)
    model = task.make_model()
    params = model.defaults()
    if "learning_rate" in params:
        params["learning_rate"] = max(params["learning_rate"], 0.3)  # few rounds to the best one
    return cross_validate(task, model, params, 1, lambda *_: None, fixed)


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
class TestEveryModelType:
    def test_learns_what_the_heavy_rows_say(
        self, make_table: MakeTable, model_type: str, kind: str
    ) -> None:
        """In cross-validation and in a fit of all rows; without weights it cannot."""
        table = torn(make_table(kind, rows=600, classes=2))
        unweighted = replace(table, weights=None)
        found = scored(table, model_type, STEPS)
        dummy = score_baselines(task_of(table, model_type))["dummy"].score
        assert dummy is not None
        better = 1 if kind == "regression" else -1
        assert better * found.scores.mean() > better * dummy + 0.1
        plain = scored(unweighted, model_type, STEPS)
        assert better * found.scores.mean() > better * plain.scores.mean() + 0.1
        task = task_of(table, model_type)
        model = task.make_model()
        assert table.weights is not None
        given = model.defaults(), table.features, table.target, STEPS, 0
        heavy = table.weights == 1
        error = metrics.error_function(kind)
        ours, theirs = (
            error(table.target[heavy], fitted.predict(table.features.take(np.flatnonzero(heavy))))
            for fitted in (
                model.fit(*given, table.weights / table.weights.mean()),
                model.fit(*given),
            )
        )
        assert ours < theirs - 0.05

    def test_weights_of_one_are_no_weights(
        self, make_table: MakeTable, model_type: str, kind: str
    ) -> None:
        table = make_table(kind)
        ones = replace(table, weights=np.full(len(table.target), 3.0))
        plain, found = scored(table, model_type, STEPS), scored(ones, model_type, STEPS)
        np.testing.assert_allclose(found.scores, plain.scores, rtol=1e-3)
        np.testing.assert_allclose(found.train_errors, plain.train_errors, rtol=1e-3)

    def test_only_their_ratios_matter(
        self, make_table: MakeTable, model_type: str, kind: str
    ) -> None:
        """A power of two, so that nothing is rounded; what else is, is rounded away on reading."""
        table = make_table(kind)
        one, other = (
            scored(weighted(table, factor=factor), model_type, STEPS) for factor in (1.0, 2.0**20)
        )
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.train_errors, other.train_errors)

    def test_the_curve_that_chooses_the_steps_is_weighted(
        self, make_table: MakeTable, model_type: str, kind: str
    ) -> None:
        table = weighted(make_table(kind))
        found = scored(table, model_type)
        again = scored(table, model_type, found.steps)
        np.testing.assert_allclose(again.scores, found.scores, rtol=1e-6)
        assert again.history is not None
        assert again.history[0, -1] == pytest.approx(again.scores.mean())
        assert again.history[1, -1] == pytest.approx(again.train_scores.mean())
        metric = "r2" if kind == "regression" else "log_loss"
        assert set(found.metrics) == set(metrics.names(kind))
        assert found.metrics[metric] == pytest.approx(found.scores.mean())


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("model_type", EACH_MODEL_TYPE)
def test_what_is_published_is_trained_and_scored_by_weight(
    make_table: MakeTable, tmp_path: Path, model_type: str, kind: str
) -> None:
    table = weighted(make_table(kind))
    model = load(publish(table, model_type, tmp_path / "study"))
    assert table.weights is not None
    for key, rows in (("train_metrics", table.train), ("holdout_metrics", table.holdout)):
        found = model._model.predict(table.features.take(rows))
        expected = metrics.every(kind, table.target[rows], found, table.weights[rows])
        assert model.sidecar[key] == pytest.approx(expected, rel=1e-4)
        plain = metrics.every(kind, table.target[rows], found)
        assert model.sidecar[key] != pytest.approx(plain, rel=1e-3)
    low, high = model.sidecar["holdout_interval"]
    assert low <= model.sidecar["holdout_metrics"][model.sidecar["metric"]] <= high


def test_the_linear_model_counts_a_row_of_weight_two_as_two_rows(make_table: MakeTable) -> None:
    """But for the scaling of the columns, which goes by rows: without a penalty it cancels out."""
    table = make_table()
    model = task_of(table, "linear").make_model()
    times = 1 + np.arange(len(table.target)) % 3
    every = np.arange(len(table.target))
    params = {"regularization": 1e-12}
    numbers = table.features.numbers
    numbers[np.isnan(numbers)] = 0.0  # gaps are filled with a median, of rows
    by_weight = model.fit(params, table.features, table.target, 1, 0, times / times.mean())
    repeated = np.repeat(every, times)
    by_rows = model.fit(params, table.features.take(repeated), table.target[repeated], 1, 0)
    np.testing.assert_allclose(
        by_weight.predict(table.features), by_rows.predict(table.features), rtol=1e-6
    )


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("model_type", [one for one in EACH_MODEL_TYPE if one != NEURAL_NET])
def test_where_rows_are_alike_it_predicts_their_weighted_average(
    make_table: MakeTable, model_type: str, kind: str
) -> None:
    """A neural_net comes near in many epochs only."""
    table = make_table(kind, classes=2)
    alike = Features(np.full_like(table.features.numbers, 2.0), np.zeros_like(table.features.codes))
    weights = np.where(table.target > np.median(table.target), 3.0, 1.0)
    weights = np.where(table.target > 0, weights, 0.5)
    model = task_of(replace(table, features=alike), model_type).make_model()
    given = model.defaults(), alike, table.target, model.max_steps
    found = model.fit(*given, 0, weights / weights.mean()).predict(alike)[0]
    expected = np.average(table.target, weights=weights)
    assert (found if kind == "regression" else found[1]) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_the_dummy_predicts_the_weighted_average(make_table: MakeTable, kind: str) -> None:
    table = weighted(make_table(kind, classes=2))
    assert table.weights is not None
    metric = "rmse" if kind == "regression" else "log_loss"
    expected = []
    for fold in table.folds:
        mean = np.average(table.target[fold.train], weights=table.weights[fold.train])
        target, weights = table.target[fold.valid], table.weights[fold.valid]
        if kind == "regression":
            expected.append(np.sqrt(np.average((target - mean) ** 2, weights=weights)))
        else:
            losses = -np.log(np.where(target == 1, mean, 1 - mean))
            expected.append(np.average(losses, weights=weights))
    found = score_baselines(task_of(table, "linear", metric))["dummy"]
    assert found.fold_scores == pytest.approx(expected)
