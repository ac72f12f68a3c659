"""Cross-validation for model types that train their folds one after the other.

No fold stops alone: each trains as far as the others, the staged predictions of its validation rows
make its curve, and the best point of the mean curve is the number of rounds of the whole trial.

The first fold trains 100 rounds, then four times as many, and so on until the second half brings it
nothing, and the others train as far. Anew each time, which not every library can spare us. Of a
study that began before there was this rule (`ModelSettings.rounds` is None) all train to the end.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from journal_launcher.settings.metric_names import METRICS
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import (
    CrossValidated,
    FittedModel,
    FoldData,
    ModelSettings,
    Params,
    Predictions,
    Report,
    RowWeights,
    Score,
)
from journal_launcher.tabular.models.space import Tuned

__all__ = ["FoldByFold", "StagedModel", "from_margins"]

_FIRST = 100
"""Rounds after which the first fold looks back."""
_TIMES = 4
"""How much further it goes on from there."""


class StagedModel(FittedModel, Protocol):
    """A fitted model that can also predict as if it had trained fewer rounds."""

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        """The predictions after `every` rounds, twice as many, and so on."""
        ...

    def predict_at(self, features: Features, steps: int) -> Predictions: ...


def from_margins(margins: NDArray[np.floating], task: str) -> Predictions:
    """What the sums of trees mean: the values themselves, or each class's probability.

    margins: (rows,) for regression, (rows,) log odds of two classes, (rows, classes) of more.
    """
    sums = np.asarray(margins, dtype=np.float64)
    if task == "regression":
        return sums
    if sums.ndim == 2:
        return np.asarray(softmax(sums, axis=1))
    return np.column_stack([expit(-sums), expit(sums)])


class FoldByFold(Tuned):
    """A derived class says how one fold is fitted, and in `space` what is tuned.

    max_steps: the most rounds that a fold trains. every: rounds between two points of the curve.
    """

    extension: str
    unit = "fold"
    max_steps = 1000
    every = 10

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        if settings.rounds is not None:
            self.max_steps = min(self.max_steps, settings.rounds)

    @abstractmethod
    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> StagedModel: ...

    def cross_validate(
        self,
        params: Params,
        folds: Sequence[FoldData],
        score: Score,
        seed: int,
        report: Report,
        fixed: int | None = None,
    ) -> CrossValidated:
        best_of = np.argmax if METRICS[self.settings.metric] == "maximize" else np.argmin
        models = []
        curves = []
        steps = fixed or self.max_steps
        if self.settings.rounds is not None and fixed is None:
            steps = min(_FIRST, steps)
        for number, fold in enumerate(folds, start=1):
            while True:
                model = self.fit(
                    params, fold.train, fold.train_target, steps, seed, fold.train_weights
                )
                of_valid = fold.valid_target, fold.valid_weights
                curve = self._scores(model, fold.valid, *of_valid, score)
                rests = int(best_of(curve)) < len(curve) // 2
                if fixed or steps == self.max_steps or number > 1 or rests:
                    break
                steps = min(_TIMES * steps, self.max_steps)
            models.append(model)
            curves.append(curve)
            mean = np.mean(curves, axis=0)
            best = int(best_of(mean)) if fixed is None else len(mean) - 1
            report(number, len(folds), float(mean[best]))
        found = self._curve(fixed or (best + 1) * self.every, models, folds, score)
        if fixed is None:
            return found
        train = [
            self._scores(model, fold.train, fold.train_target, fold.train_weights, score)
            for model, fold in zip(models, folds, strict=True)
        ]
        return replace(found, history=np.array([mean, np.mean(train, axis=0)]), every=self.every)

    def _scores(
        self,
        model: StagedModel,
        features: Features,
        target: NDArray[np.float64],
        weights: RowWeights,
        score: Score,
    ) -> list[float]:
        """The score after every `every` rounds."""
        staged = model.staged(features, self.every)
        return [score(target, predictions, weights) for predictions in staged]

    def _curve(
        self, steps: int, models: Sequence[StagedModel], folds: Sequence[FoldData], score: Score
    ) -> CrossValidated:
        """Score every fold's validation and training rows after the same number of rounds."""
        task = self.settings.schema.task
        error = metrics.error_function(task)
        rows = []
        validated = []
        for model, fold in zip(models, folds, strict=True):
            valid = fold.valid_target, model.predict_at(fold.valid, steps), fold.valid_weights
            train = fold.train_target, model.predict_at(fold.train, steps), fold.train_weights
            rows.append((score(*valid), score(*train), error(*valid), error(*train)))
            validated.append(valid)
        curve = CrossValidated(steps, *np.array(rows, dtype=np.float64).T)
        return replace(curve, metrics=metrics.means(task, validated))
