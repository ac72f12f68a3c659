"""Networks on small tables: what they learn, what an epoch means, what comes back from disk."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from safetensors.torch import load_file
from tabular.models.small_tables import (
    PERIODIC,
    ROWS,
    SMALL,
    Reports,
    Target,
    cross_validate,
    fit,
    folds,
    settings,
    table,
)

from journal_launcher.settings.launch_settings import METRICS
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models.linear import Linear
from journal_launcher.tabular.models.neural_net.model_type import NeuralNet


def test_it_learns_what_a_linear_model_cannot() -> None:
    data = folds(*table())
    score = metrics.score_function("r2", "regression")
    linear = Linear(settings()).cross_validate({"regularization": 1e-3}, data, score, 1, Reports())
    curve = cross_validate(settings(), data)
    assert linear.scores.mean() < 0.5
    assert curve.scores.mean() > 0.85
    assert curve.train_scores.mean() > curve.scores.mean()
    assert curve.errors.mean() > curve.train_errors.mean() > 0


def test_periodic_embeddings_learn_what_oscillates() -> None:
    features, _ = table(rows=600)
    data = folds(features, np.sin(6 * features.numbers[:, 0]))
    plain, periodic = (
        cross_validate(settings(n_rows=600), data, **changes).scores.mean()
        for changes in ({}, PERIODIC)
    )
    assert plain < 0.7 and periodic > 0.9


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("changes", [{}, PERIODIC], ids=["plain", "periodic"])
def test_it_learns_classes(classes: int, changes: dict[str, Any]) -> None:
    curve = cross_validate(settings(classes), folds(*table(classes)), **changes)
    assert curve.scores.mean() < 0.6 * np.log(classes)
    np.testing.assert_array_equal(curve.scores, curve.errors)


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_the_value_is_the_best_mean_and_the_folds_were_scored_there(metric: str) -> None:
    reports = Reports()
    curve = cross_validate(settings(metric=metric), folds(*table()), reports)
    values = [value for _, _, value in reports]
    assert [step for step, _, _ in reports] == list(range(1, len(reports) + 1))
    better = max if METRICS[metric] == "maximize" else min
    assert values[-1] == better(values) == pytest.approx(curve.scores.mean())
    # The best so far is reported: it is reached at the curve's steps and never worsens.
    assert values.index(values[-1]) + 1 == curve.steps
    assert values == sorted(values, reverse=metric == "rmse")
    assert len(reports) - curve.steps < reports[0][1]


def test_no_fold_stops_alone() -> None:
    """The first fold is best after epoch 2, the mean of both after epoch 20: 20 counts."""
    data = folds(*table(rows=40), k=2)
    first = data[0].valid_target
    calls = [0, 0]

    def score(target: Target, predictions: Target, *_: object) -> float:
        fold = 0 if target is first else 1
        calls[fold] += 1
        return -abs(calls[fold] - 2.0) if fold == 0 else -3.0 * abs(calls[fold] - 20.0)

    reports = Reports()
    curve = NeuralNet(settings()).cross_validate(SMALL, data, score, 1, reports)
    assert curve.steps == 20
    assert [value for _, _, value in reports][1::18] == [-27.0, -9.0]
    assert len(reports) == 20 + 16


@pytest.mark.parametrize("bad", [2, 99])
def test_epochs_without_a_score_count_only_if_there_is_no_other(bad: int) -> None:
    calls = itertools.count()

    def score(target: Target, predictions: Target, *_: object) -> float:
        return float("nan") if next(calls) // 2 < bad else 0.5

    data, reports = folds(*table(rows=40), k=2), Reports()
    curve = NeuralNet(settings()).cross_validate(SMALL, data, score, 1, reports)
    assert (curve.steps, len(reports)) == ((3, 3 + 16) if bad == 2 else (1, 1 + 16))


def test_the_refit_trains_exactly_the_steps_that_cross_validation_found() -> None:
    """A fold trained again by `fit`, as many epochs, predicts its validation rows as well."""
    (fold, *_) = folds(*table())
    curve = cross_validate(settings(), (fold,))
    fitted = NeuralNet(settings()).fit(SMALL, fold.train, fold.train_target, curve.steps, 1)
    score = metrics.score_function("r2", "regression")
    assert score(fold.valid_target, fitted.predict(fold.valid)) == curve.scores[0]
    longer = NeuralNet(settings()).fit(SMALL, fold.train, fold.train_target, curve.steps + 1, 1)
    assert score(fold.valid_target, longer.predict(fold.valid)) != curve.scores[0]


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not() -> None:
    torch.manual_seed(0)
    first = fit(settings()).predict(table()[0])
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    np.testing.assert_array_equal(fit(settings()).predict(table()[0]), first)
    assert torch.equal(torch.random.get_rng_state(), state), "the global generator was used"
    other = NeuralNet(settings()).fit(SMALL, *table(), 5, 2).predict(table()[0])
    assert not np.array_equal(other, first)


def test_the_number_of_threads_changes_nothing() -> None:
    data = folds(*table(rows=60))
    one, three = (cross_validate(settings(threads=threads), data) for threads in (1, 3))
    np.testing.assert_array_equal(one.scores, three.scores)
    assert one.steps == three.steps


def test_cross_validation_is_deterministic_and_its_encoded_folds_can_be_used_again() -> None:
    model, score = NeuralNet(settings()), metrics.score_function("r2", "regression")
    data, other = folds(*table(rows=60)), folds(*table(rows=60, seed=5))
    first = model.cross_validate(SMALL, data, score, 1, Reports())
    again = model.cross_validate(SMALL, data, score, 1, Reports())
    np.testing.assert_array_equal(first.scores, again.scores)
    fresh = NeuralNet(settings()).cross_validate(SMALL, other, score, 1, Reports())
    np.testing.assert_array_equal(
        model.cross_validate(SMALL, other, score, 1, Reports()).scores, fresh.scores
    )


@pytest.mark.parametrize("changes", [{}, PERIODIC], ids=["plain", "periodic"])
@pytest.mark.parametrize("classes", [0, 2, 3])
def test_a_saved_network_predicts_the_same_bits(
    classes: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    fitted = fit(settings(classes), classes=classes, **changes)
    state = json.loads(json.dumps(fitted.save(tmp_path / "model.safetensors"), allow_nan=False))
    loaded = NeuralNet(settings(classes)).load(tmp_path / "model.safetensors", state)
    features, _ = table(seed=3)
    found = loaded.predict(features)
    np.testing.assert_array_equal(found, fitted.predict(features))
    assert found.shape == ((ROWS, classes) if classes else (ROWS,))
    if classes:
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_a_network_saved_before_there_were_embeddings_still_loads(tmp_path: Path) -> None:
    fitted = fit(settings())
    state = fitted.save(tmp_path / "model.safetensors")
    old = ("inputs", "outputs", "layers", "width", "slope", "dropout")
    state["net"] = {key: state["net"][key] for key in old}
    weights = load_file(tmp_path / "model.safetensors")
    assert (weights["weights"].dim(), weights["batch_norm"].shape) == (1, (4, 32))
    loaded = NeuralNet(settings()).load(tmp_path / "model.safetensors", state)
    np.testing.assert_array_equal(loaded.predict(table()[0]), fitted.predict(table()[0]))


def test_the_parameters_of_a_trial_before_there_were_embeddings_still_train() -> None:
    old = {key: value for key, value in SMALL.items() if key != "embedding"}
    fitted = NeuralNet(settings()).fit(old, *table(), 5, 1)
    np.testing.assert_array_equal(fitted.predict(table()[0]), fit(settings()).predict(table()[0]))


def test_missing_and_unseen_values_are_predicted() -> None:
    features = Features(np.full((2, 2), np.nan), np.array([[-1], [2]], dtype=np.int32))
    assert np.isfinite(fit(settings()).predict(features)).all()


@pytest.mark.parametrize("rows", [2, 3, 7])
@pytest.mark.parametrize("classes", [0, 2])
def test_tiny_tables_train(rows: int, classes: int) -> None:
    """Two rows in two folds: a batch of one, which BatchNorm cannot take as it is."""
    features, _ = table(rows=rows)
    target = np.arange(rows) % 2.0
    asked = settings(classes, metric="log_loss" if classes else "rmse", n_rows=rows)
    curve = cross_validate(asked, folds(features, target, k=2), batch_size=256)
    assert np.isfinite(curve.scores).all()
    fitted = NeuralNet(asked).fit(SMALL, features, target, curve.steps, 1)
    assert np.isfinite(fitted.predict(features)).all()


def test_a_constant_target_is_predicted_as_such() -> None:
    features, _ = table()
    fitted = NeuralNet(settings()).fit(SMALL, features, np.full(ROWS, 7.0), 5, 1)
    np.testing.assert_allclose(fitted.predict(features), 7.0, atol=0.5)


def test_pruning_ends_the_trial_at_once() -> None:
    seen: list[int] = []

    def report(step: int, total: int, value: float) -> None:
        seen.append(step)
        if step == 3:
            raise optuna.TrialPruned

    score = metrics.score_function("r2", "regression")
    model = NeuralNet(settings())
    assert model.fold_steps is None
    with pytest.raises(optuna.TrialPruned):
        model.cross_validate(SMALL, folds(*table()), score, 1, report)
    assert seen == [1, 2, 3]
    batches = len(folds(*table())[0].rows.train) // SMALL["batch_size"]
    assert model.fold_steps == 3 * batches * len(folds(*table())), "what it did until then counts"


@pytest.mark.parametrize(
    ("changes", "key", "expected"),
    [
        ({}, "slope", 0.0),
        ({"use_leaky_relu": True}, "slope", 0.01),
        ({}, "dropout", 0.1),
        ({"dropout": 0.25}, "dropout", 0.25),
        ({"dropout": 0.0}, "dropout", 0.0),
    ],
)
def test_flags_reach_the_network(
    changes: dict[str, Any], key: str, expected: float, tmp_path: Path
) -> None:
    state = fit(settings(flags=changes), steps=1).save(tmp_path / "model.safetensors")
    assert state["net"][key] == expected


def test_normalize_features_reaches_the_encoder(tmp_path: Path) -> None:
    scaled = fit(settings(), steps=1).save(tmp_path / "a.safetensors")["encoder"]
    raw = fit(settings(flags={"normalize_features": False}), steps=1).save(
        tmp_path / "b.safetensors"
    )
    assert all(scaled["quantiles"])
    assert raw["encoder"]["quantiles"] == [[], []]
    assert raw["encoder"]["fills"] == scaled["fills"]


@pytest.mark.parametrize("rows", [2, 100, 5_000, 1_000_000])
@pytest.mark.parametrize("dropout", [None, 0.2])
def test_suggest_asks_for_what_the_defaults_set(rows: int, dropout: float | None) -> None:
    model = NeuralNet(settings(n_rows=rows, flags={"dropout": dropout}))
    defaults = dict(model.defaults())
    assert ("dropout" in defaults) == (dropout is None)
    study = optuna.create_study()
    study.enqueue_trial(defaults)
    trial = study.ask()
    # pytest turns Optuna's warning about a value outside the range into an error.
    assert dict(model.suggest(trial)) == defaults == trial.params


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_a_fixed_number_of_epochs_gives_what_the_search_found_there(metric: str) -> None:
    asked, data = settings(metric=metric), folds(*table())
    score = metrics.score_function(metric, "regression")
    found = cross_validate(asked, data)
    for steps in (found.steps, 3):
        fixed = NeuralNet(asked).cross_validate(SMALL, data, score, 1, Reports(), steps)
        assert fixed.steps == steps and fixed.history is not None
        assert fixed.history.shape == (2, steps) and fixed.every == 1
        assert fixed.history[:, -1] == pytest.approx(
            [fixed.scores.mean(), fixed.train_scores.mean()]
        )
        assert steps == 3 or fixed.scores == pytest.approx(found.scores)
