"""Tables of some hundred rows and networks for them, for the tests of the network."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Features, Fold, Schema
from journal_launcher.tabular.models import CrossValidated, FoldData, ModelSettings
from journal_launcher.tabular.models.neural_net.fitted_net import FittedNet
from journal_launcher.tabular.models.neural_net.model_type import NeuralNet

ROWS = 200
COLUMNS = (Column("a", "number"), Column("b", "number"), Column("c", "category", ("x", "y", "z")))
SMALL = {
    "layers": 2,
    "width": 32,
    "learning_rate": 5e-3,
    "weight_decay": 1e-3,
    "batch_size": 32,
    "dropout": 0.1,
    "embedding": "none",
}
PERIODIC = {"embedding": "periodic", "sigma": 0.2}
Target = NDArray[np.float64]


def settings(classes: int = 0, **changes: Any) -> ModelSettings:
    task = "classification" if classes else "regression"
    schema = Schema(COLUMNS, "t", task, tuple(map(str, range(classes))))
    metric = "log_loss" if classes else "r2"
    return replace(
        ModelSettings(schema, ROWS, metric),
        **changes,
    )


def table(classes: int = 0, rows: int = ROWS, seed: int = 0) -> tuple[Features, Target]:
    """A target with no linear part, gaps in column b and a category that matters."""
    rng = np.random.default_rng(seed)
    numbers = rng.uniform(-2, 2, size=(rows, 2)) * [1, 100]
    codes = rng.integers(-1, 3, size=(rows, 1)).astype(np.int32)
    target = 1000 * (numbers[:, 0] ** 2 + np.abs(numbers[:, 1] / 100) + (codes[:, 0] == 1))
    numbers[rng.random(rows) < 0.05, 1] = np.nan
    if classes:
        edges = np.quantile(target, np.linspace(0, 1, classes + 1)[1:-1])
        target = np.digitize(target, edges).astype(np.float64)
    return Features(numbers, codes), target


def folds(features: Features, target: Target, k: int = 3) -> tuple[FoldData, ...]:
    position = np.arange(len(target)) % k
    return tuple(
        FoldData(
            features, target, Fold(np.flatnonzero(position != i), np.flatnonzero(position == i))
        )
        for i in range(k)
    )


class Reports(list[tuple[int, int, float]]):
    def __call__(self, step: int, total: int, value: float) -> None:
        self.append((step, total, value))


def cross_validate(
    asked: ModelSettings,
    data: tuple[FoldData, ...],
    reports: Reports | None = None,
    **changes: Any,
) -> CrossValidated:
    score = metrics.score_function(asked.metric, asked.schema.task)
    report = Reports() if reports is None else reports
    return NeuralNet(asked).cross_validate({**SMALL, **changes}, data, score, 1, report)


def fit(asked: ModelSettings, steps: int = 5, classes: int = 0, **changes: Any) -> FittedNet:
    return NeuralNet(asked).fit({**SMALL, **changes}, *table(classes), steps, 1)
