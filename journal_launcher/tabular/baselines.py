"""What a model has to beat: predicting the average, and a linear model, on the same folds."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.artifacts.scores import Baseline
from journal_launcher.settings.model_types import BASELINE
from journal_launcher.tabular.models import FoldData, ModelSettings, make_model
from journal_launcher.tabular.task import TableTask

__all__ = ["dummy_score", "score_baselines"]


def score_baselines(task: TableTask) -> dict[str, Baseline]:
    """Score "dummy" (the training rows' mean or class shares) and "linear" on every fold.

    A launch never fails because of a baseline: one that did says why it has no score.
    """
    return {
        "dummy": _outcome(lambda: _dummy_scores(task)),
        BASELINE: _outcome(lambda: _linear_scores(task)),
    }


def dummy_score(task: TableTask) -> float | None:
    """What predicting the average scores on the same folds; None where that is undefined."""
    found = float(np.mean(_dummy_scores(task)))
    return found if np.isfinite(found) else None


def _outcome(scores_of: Callable[[], NDArray[np.float64]]) -> Baseline:
    try:
        scores = scores_of()
    except Exception as problem:
        return Baseline(reason=f"{type(problem).__name__}: {problem}")
    if not np.isfinite(scores).all():
        return Baseline(reason=f"not finite in every fold: {scores.tolist()}")
    return Baseline(score=float(np.mean(scores)), fold_scores=scores.tolist())


def _dummy_scores(task: TableTask) -> NDArray[np.float64]:
    classes = len(task.dataset.schema.classes)
    return np.array(
        [
            task.score(fold.valid_target, _dummy(fold, classes), fold.valid_weights)
            for fold in task.folds
        ]
    )


def _dummy(fold: FoldData, classes: int) -> NDArray[np.float64]:
    rows = len(fold.valid_target)
    target, weights = fold.train_target, fold.train_weights
    if not classes:
        return np.full(
            rows, target.mean() if weights is None else np.average(target, weights=weights)
        )
    counts = np.bincount(target.astype(np.intp), weights, minlength=classes)
    return np.tile(counts / counts.sum(), (rows, 1))


def _linear_scores(task: TableTask) -> NDArray[np.float64]:
    schema, n_rows = task.dataset.schema, len(task.dataset.train)
    linear = make_model(ModelSettings(schema, n_rows, task.metric, name=BASELINE))
    curve = linear.cross_validate(
        linear.defaults(), task.folds, task.score, task.seed, lambda *_: None
    )
    return curve.scores
