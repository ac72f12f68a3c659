"""Which folds train together, and that it decides nothing but the time it takes."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from tabular.models.neural_net.recorded import Recorded
from tabular.models.small_tables import (
    PERIODIC,
    SMALL,
    Reports,
    cross_validate,
    folds,
    settings,
    table,
)

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Features, Fold
from journal_launcher.tabular.models import FoldData
from journal_launcher.tabular.models.neural_net import model_type as neural_net
from journal_launcher.tabular.models.neural_net.model_type import NeuralNet
from journal_launcher.tabular.models.neural_net.step import TensorRows
from journal_launcher.tabular.models.neural_net.training import Training


def sizes_trained(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """A list that gets the numbers of rows of every training, and its batches an epoch."""
    begun: list[list[int]] = []
    begin = Training.__init__

    def watched(self: Training, net: Any, step: Any, folds: Any, **rest: Any) -> None:
        begun.append([*(len(rows.x) for rows in folds), step.batches])
        begin(self, net, step, folds, **rest)

    monkeypatch.setattr(Training, "__init__", watched)
    return begun


def test_folds_of_about_one_size_train_together_with_the_batches_of_the_smallest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = sizes_trained(monkeypatch)
    cross_validate(settings(), folds(*table(rows=191)))
    assert begun == [[127, 127, 128, 3]]


def test_layers_that_keep_a_cpu_busy_train_fold_by_fold_with_the_same_batches_and_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = folds(*table(rows=191))
    together = cross_validate(settings(), data)
    monkeypatch.setattr(neural_net, "_SMALL_LAYER", 0)
    begun = sizes_trained(monkeypatch)
    alone = cross_validate(settings(threads=2), data)
    assert begun == [[127, 3], [127, 3], [128, 3]]
    np.testing.assert_allclose(alone.scores, together.scores, atol=1e-3)
    assert alone.steps == together.steps


def test_folds_of_a_time_split_train_one_by_one_each_with_its_own_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features, target = table(rows=200)
    cuts = [(np.arange(rows), np.arange(rows, rows + 50)) for rows in (50, 100, 150)]
    data = tuple(FoldData(features, target, Fold(*cut)) for cut in cuts)
    begun = sizes_trained(monkeypatch)
    cross_validate(settings(), data)
    assert begun == [[50, 1], [100, 3], [150, 4]]


def test_on_a_gpu_one_recorded_step_serves_all_trials_of_an_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The way of a GPU, on a CPU: all folds together, a recorded step, one epoch ahead."""
    monkeypatch.setattr("journal_launcher.tabular.models.neural_net.step._Graph", Recorded)
    monkeypatch.setattr(neural_net, "_TF32", torch.backends.cuda.matmul.allow_tf32)
    monkeypatch.setattr(neural_net, "_SMALL_LAYER", 0)
    data, score = folds(*table(rows=100)), metrics.score_function("r2", "regression")
    model = NeuralNet(settings(gpu=True))
    model._device = torch.device("cpu")
    for changes in ({}, {"learning_rate": 0.02, "dropout": 0.3, "weight_decay": 0.1}):
        found = model.cross_validate({**SMALL, **changes}, data, score, 1, Reports())
        plain = NeuralNet(settings()).cross_validate(
            {**SMALL, **changes}, data, score, 1, Reports()
        )
        np.testing.assert_allclose(found.scores, plain.scores, atol=1e-3)
        assert found.steps == plain.steps
    assert len(model._steps) == 1
    model.cross_validate({**SMALL, **PERIODIC}, data, score, 1, Reports())
    assert len(model._steps) == 2


def test_on_a_gpu_the_steps_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds memory of the GPU, and ranges may have hundreds of widths."""
    monkeypatch.setattr(neural_net, "Step", lambda net, *rest, **more: net)
    model = NeuralNet(settings(gpu=True))
    rows, most = TensorRows(torch.zeros(9, 4), torch.zeros(9, 1)), neural_net._STEPS
    nets = [model._net({**SMALL, "width": 8 + extra}, 4) for extra in range(most + 5)]
    for net in nets:
        assert model._step(net, range(3), 32, 1, rows).width == net.width
        model._step(nets[0], range(3), 32, 1, rows)
    kept = [step.width for step in model._steps.values()]
    assert kept == [net.width for net in [*nets[-most + 1 :], nets[0]]]


def test_what_is_kept_for_the_next_trial_can_be_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows too: where others have filled the GPU they may have to stay on the host."""
    monkeypatch.setattr("journal_launcher.tabular.models.neural_net.step._Graph", Recorded)
    monkeypatch.setattr(neural_net, "_TF32", torch.backends.cuda.matmul.allow_tf32)
    data, score = folds(*table(rows=100)), metrics.score_function("r2", "regression")
    model = NeuralNet(settings(gpu=True))
    model._device = torch.device("cpu")
    first = model.cross_validate(SMALL, data, score, 1, Reports())
    (step,) = map(weakref.ref, model._steps.values())
    model.release()
    gc.collect()
    assert step() is None and model._prepared is None
    again = model.cross_validate(SMALL, data, score, 1, Reports())
    np.testing.assert_array_equal(again.scores, first.scores)


def test_folds_may_differ_in_their_rare_categories() -> None:
    features, target = table(rows=90)
    codes = np.zeros_like(features.codes)
    codes[::3][:6] = 1  # in all but the first fold frequent enough for a column
    curve = cross_validate(settings(), folds(Features(features.numbers, codes), target))
    assert np.isfinite(curve.scores).all()
