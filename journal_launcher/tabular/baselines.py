"""What a model has to beat: predicting the average, and a linear model, on the same folds."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.settings.model_types import BASELINE
from journal_launcher.tabular import metrics
from journal_launcher.tabular.cross_validation import build_model_type, fold_data
from journal_launcher.tabular.data.table import Dataset
from journal_launcher.tabular.models import FoldData, Score

__all__ = ["dummy_score", "score_baselines"]


def score_baselines(dataset: Dataset, metric: str, seed: int) -> dict[str, dict[str, Any]]:
    """Score "dummy" (the training rows' mean or class shares) and "linear" on every fold.

    Each becomes {"score": mean, "fold_scores": [...]}, or {"score": None, "reason": text} if it
    failed: a launch never fails because of a baseline.
    """
    folds = fold_data(dataset)
    score = metrics.score(metric, dataset.schema.task)
    return {
        "dummy": _outcome(lambda: _dummy_scores(dataset, folds, score)),
        BASELINE: _outcome(lambda: _linear_scores(dataset, folds, score, metric, seed)),
    }


def dummy_score(dataset: Dataset, metric: str) -> float | None:
    """What predicting the average scores on the same folds; None where that is undefined."""
    score = metrics.score(metric, dataset.schema.task)
    found = float(np.mean(_dummy_scores(dataset, fold_data(dataset), score)))
    return found if np.isfinite(found) else None


def _outcome(scores_of: Callable[[], NDArray[np.float64]]) -> dict[str, Any]:
    try:
        scores = scores_of()
    except Exception as problem:
        return {"score": None, "reason": f"{type(problem).__name__}: {problem}"}
    if not np.isfinite(scores).all():
        return {"score": None, "reason": f"not finite in every fold: {scores.tolist()}"}
    return {"score": float(np.mean(scores)), "fold_scores": scores.tolist()}


def _dummy_scores(dataset: Dataset, folds: Sequence[FoldData], score: Score) -> NDArray[np.float64]:
    return np.array([score(fold.valid_target, _dummy(dataset, fold)) for fold in folds])


def _dummy(dataset: Dataset, fold: FoldData) -> NDArray[np.float64]:
    rows, classes = len(fold.valid_target), len(dataset.schema.classes)
    if not classes:
        return np.full(rows, fold.train_target.mean())
    counts = np.bincount(fold.train_target.astype(np.intp), minlength=classes)
    return np.tile(counts / counts.sum(), (rows, 1))


def _linear_scores(
    dataset: Dataset, folds: Sequence[FoldData], score: Score, metric: str, seed: int
) -> NDArray[np.float64]:
    settings = LaunchSettings(model_type=BASELINE)
    linear = build_model_type(settings, dataset, metric, gpu=False, threads=1)
    curve = linear.cross_validate(linear.defaults(), folds, score, seed, lambda *_: None)
    return curve.scores
