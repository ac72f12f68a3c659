"""The metrics of a table, the error behind the overfit ratio, and bootstrap intervals.

Each can weigh the rows, as scikit-learn's `sample_weight` does: a row of weight 2 counts as two.

Plain numpy: every staged round and every resample is scored, thousands of times a trial, which
scikit-learn's input checks would make many times slower. The tests compare the two.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from journal_launcher.settings.metric_names import CLASSIFICATION_METRICS, REGRESSION_METRICS

__all__ = [
    "Score",
    "bootstrap_interval",
    "error_function",
    "every",
    "means",
    "names",
    "score_function",
]

Array = NDArray[np.float64]
PerRow = NDArray[Any]
"""(rows,) or (rows, k): what a metric needs to know of each row."""
Weights = Array | None
"""(rows,) positive; None weighs all rows alike."""


class Score(Protocol):
    """metric(target, predictions, weights of the rows)"""

    def __call__(self, target: Array, predictions: Array, weights: Weights = None, /) -> float: ...


_SCORED_ROWS = 100_000_000
"""Rows that one bootstrap may score over all resamples: a second or two for a metric of cost 1."""


@dataclass(frozen=True)
class _Metric:
    """A score in two parts, so that a resample repeats only the second one.

    rows: (target, predictions) -> (..., rows), what one row contributes. finish: any selection of
    rows of that, and their weights -> the score. cost: the time of `finish`, compared with an
    average.
    """

    rows: Callable[[Array, Array], PerRow]
    finish: Callable[[PerRow, Weights], float]
    cost: int = 1

    def __call__(self, target: Array, predictions: Array, weights: Weights = None, /) -> float:
        return self.finish(self.rows(target, predictions), weights)


def names(task: str) -> tuple[str, ...]:
    """The metrics that can score a task."""
    classification = task == "classification"
    return tuple(CLASSIFICATION_METRICS if classification else REGRESSION_METRICS)


def score_function(metric: str, task: str) -> Score:
    """The function metric(target, predictions, weights=None) -> float.

    target: (rows,) values, or class positions 0, 1, …; predictions: (rows,) values, or
    (rows, classes) probabilities; weights: (rows,) of which only the ratios matter. It returns NaN
    where the metric is undefined: R² of a constant target, roc_auc of a single class.

    Raises:
        ValueError: the metric does not fit the task.
    """
    if metric not in names(task):
        raise ValueError(f"{task} expects one of {', '.join(names(task))}, found {metric!r}")
    return _METRICS[metric]


def error_function(task: str) -> Score:
    """What the overfit ratio compares: RMSE, or log loss for classification."""
    return _METRICS["log_loss" if task == "classification" else "rmse"]


def every(
    task: str, target: Array, predictions: Array, weights: Weights = None
) -> dict[str, float]:
    """All metrics of a task by name; NaN where one is undefined."""
    return {name: _METRICS[name](target, predictions, weights) for name in names(task)}


def means(task: str, folds: Iterable[tuple[Array, Array, Weights]]) -> dict[str, float]:
    """The mean over the folds of every metric: of each fold target, predictions and weights."""
    found = [every(task, *fold) for fold in folds]
    return {name: float(np.mean([scores[name] for scores in found])) for name in names(task)}


def bootstrap_interval(
    metric: str, target: Array, predictions: Array, seed: int, weights: Weights = None
) -> tuple[float, float]:
    """The 95 % percentile interval of a metric over resampled rows; NaN where it is undefined.

    A row keeps its weight in each resample.

    1,000 resamples, fewer of very many rows. A resample for which the metric is undefined, because
    it lacks a class, does not count.
    """
    chosen = _METRICS[metric]
    rows, size = chosen.rows(target, predictions), len(target)
    resamples = int(np.clip(_SCORED_ROWS / size / chosen.cost, 100, 1000))
    rng = np.random.default_rng(seed)
    draws = (rng.integers(size, size=size, dtype=np.int32) for _ in range(resamples))
    values = np.array(
        [
            chosen.finish(
                rows.take(drawn, axis=-1), None if weights is None else weights.take(drawn)
            )
            for drawn in draws
        ]
    )
    defined = values[np.isfinite(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high)


def _mean(rows: PerRow, weights: Weights = None) -> float:
    return float(np.mean(rows) if weights is None else np.average(rows, weights=weights))


def _root_mean(rows: PerRow, weights: Weights) -> float:
    return float(np.sqrt(_mean(rows, weights)))


def _squares(target: Array, predictions: Array) -> PerRow:
    return np.square(target - predictions)


def _squares_and_target(target: Array, predictions: Array) -> PerRow:
    return np.stack([np.square(target - predictions), target])


def _r2(rows: PerRow, weights: Weights) -> float:
    errors, target = rows
    if weights is None:
        variance = float(np.var(target))
    else:
        variance = _mean(np.square(target - _mean(target, weights)), weights)
        variance = variance if (target != target[0]).any() else 0.0  # and not the rounding
    return 1.0 - _mean(errors, weights) / variance if variance > 0 else float("nan")


def _surprise(target: Array, predictions: Array) -> PerRow:
    of_target = predictions[np.arange(len(target)), target.astype(np.intp)]
    # As scikit-learn does: a certain and wrong prediction costs much, not infinity.
    surprise: PerRow = -np.log(np.clip(of_target, np.finfo(np.float64).eps, 1.0))
    return surprise


def _hits(target: Array, predictions: Array) -> PerRow:
    hits: PerRow = predictions.argmax(axis=1) == target
    return hits


def _labels(target: Array, predictions: Array) -> PerRow:
    """True and predicted class."""
    return np.stack([target.astype(np.intp), predictions.argmax(axis=1)])


def _confusion(labels: PerRow, weights: Weights) -> Array:
    """(true classes, predicted classes) rows, or what they weigh."""
    classes = int(labels.max()) + 1
    cells = labels[0] * classes + labels[1]
    counts = np.bincount(cells, weights, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.float64)


def _balanced_accuracy(labels: PerRow, weights: Weights) -> float:
    confusion = _confusion(labels, weights)
    rows = confusion.sum(axis=1)
    return _mean(confusion.diagonal()[rows > 0] / rows[rows > 0])


def _f1_macro(labels: PerRow, weights: Weights) -> float:
    confusion = _confusion(labels, weights)
    found = confusion.sum(axis=0) + confusion.sum(axis=1)
    return _mean(2 * confusion.diagonal()[found > 0] / found[found > 0])


def _target_and_ranks(target: Array, predictions: Array) -> PerRow:
    """The class, then for every class the rank of its probability, equal ones sharing a rank."""
    ranks = [np.unique(column, return_inverse=True)[1] for column in predictions.T]
    return np.stack([target, *ranks]).astype(np.int32)


def _one_against_rest(
    of_counts: Callable[[PerRow, PerRow], float],
) -> Callable[[PerRow, Weights], float]:
    """Score class 1 of two; of more, average over the classes that the rows have and lack.

    of_counts: (rows of the class, the other rows), both counted, or weighed, from the highest rank
    to the lowest.
    """

    def finish(rows: PerRow, weights: Weights) -> float:
        target, ranks = rows[0], rows[1:]
        values = []
        for label in [1] if len(ranks) == 2 else range(len(ranks)):
            ours, size = target == label, int(ranks[label].max()) + 1
            hits, misses = (
                np.bincount(
                    ranks[label][chosen],
                    None if weights is None else weights[chosen],
                    minlength=size,
                )
                for chosen in (ours, ~ours)
            )
            if hits.any() and misses.any():
                values.append(of_counts(hits[::-1], misses[::-1]))
        return float(np.mean(values)) if values else float("nan")

    return finish


def _roc_auc(hits: PerRow, misses: PerRow) -> float:
    """The share of pairs of a hit and a miss that are in the right order, ties a half."""
    misses_below = misses.sum() - np.cumsum(misses) + misses / 2
    return float(np.sum(hits * misses_below) / (hits.sum() * misses.sum()))


def _average_precision(hits: PerRow, misses: PerRow) -> float:
    """The mean, over the hits, of the share of hits among the rows ranked as high or higher."""
    precision = np.cumsum(hits) / np.maximum(np.cumsum(hits + misses), _TINY)
    return float(np.sum(hits * precision) / hits.sum())


_TINY = np.finfo(np.float64).tiny  # for ranks above those of a resample

_METRICS = {
    "r2": _Metric(_squares_and_target, _r2),
    "rmse": _Metric(_squares, _root_mean),
    "mae": _Metric(lambda target, predictions: np.abs(target - predictions), _mean),
    "log_loss": _Metric(_surprise, _mean),
    "roc_auc": _Metric(_target_and_ranks, _one_against_rest(_roc_auc), cost=5),
    "accuracy": _Metric(_hits, _mean),
    "balanced_accuracy": _Metric(_labels, _balanced_accuracy, cost=2),
    "f1_macro": _Metric(_labels, _f1_macro, cost=2),
    "average_precision": _Metric(_target_and_ranks, _one_against_rest(_average_precision), cost=5),
}
