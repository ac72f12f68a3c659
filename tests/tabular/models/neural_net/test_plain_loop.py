"""The network against the loop that anybody would write: modules, autograd and torch.optim."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Features, Fold
from journal_launcher.tabular.models import FoldData
from journal_launcher.tabular.models.neural_net.encoding import encode_folds, predictions
from journal_launcher.tabular.models.neural_net.mlp import Mlp

CPU = torch.device("cpu")
NET = Mlp(inputs=4, outputs=1, layers=2, width=64, slope=0.01, dropout=0.1)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[4] / "benchmarks")  # it has a neighbour
        return importlib.import_module("trainer")


def tables(rows: int, classes: int) -> tuple[FoldData, ...]:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, 4))
    target = np.sin(2 * numbers[:, 0]) + numbers[:, 1] * numbers[:, 2] + rng.normal(size=rows) / 3
    if classes:
        target = np.digitize(target, [-1, 1]).astype(np.float64)
    features = Features(numbers, np.empty((rows, 0), dtype=np.int32))
    place = np.arange(rows) % 5
    cuts = (Fold(np.flatnonzero(place != k), np.flatnonzero(place == k)) for k in range(5))
    return tuple(FoldData(features, target, cut) for cut in cuts)


def check(bench: ModuleType, rows: int, epochs: int, classes: int, net: Mlp = NET) -> None:
    data = tables(rows, classes)
    folds = encode_folds(data, not classes, True, CPU)
    recipe = bench.Recipe(replace(net, outputs=max(1, classes)), 128, epochs)
    task = "classification" if classes else "regression"
    score = metrics.score_function("accuracy" if classes else "r2", task)

    def value(way: bench.Way) -> float:  # type: ignore[name-defined]
        found = way(folds, recipe, CPU)
        return float(
            np.mean(
                [
                    score(fold.valid_target, predictions(part, encoded.scaling))
                    for fold, part, encoded in zip(data, found, folds, strict=True)
                ]
            )
        )

    plain = value(bench.plain_loop(bench.indexed))
    assert plain > 0.6
    assert value(bench.ours(together=True, captured=False)) == pytest.approx(plain, abs=0.01)
    assert value(bench.ours(together=False, captured=False)) == pytest.approx(plain, abs=0.01)


@pytest.mark.parametrize("classes", [0, 3])
def test_a_trial_scores_what_the_plain_loop_scores(bench: ModuleType, classes: int) -> None:
    check(bench, rows=4000, epochs=8, classes=classes)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(
    ("layers", "dropout", "slope"), [(1, 0.0, 0.0), (3, 0.1, 0.01), (2, 0.3, 0.0)]
)
def test_longer_trials_score_what_the_plain_loop_scores(
    bench: ModuleType, classes: int, layers: int, dropout: float, slope: float
) -> None:
    net = replace(NET, layers=layers, dropout=dropout, slope=slope, width=128)
    check(bench, rows=16_000, epochs=20, classes=classes, net=net)
