"""Cross-validation of one set of parameters: K folds of one model type."""

import numpy as np

from journal_launcher.tabular.models import CrossValidated, ModelType, Params, Report
from journal_launcher.tabular.task import TableTask

__all__ = ["cross_validate", "finite_metrics", "mean_errors", "overfit_ratio"]


def cross_validate(
    task: TableTask,
    model: ModelType,
    params: Params,
    seed: int,
    report: Report,
    fixed: int | None = None,
) -> CrossValidated:
    """Train every fold of `task`; with `fixed`, for exactly so many steps.

    model: made by the task, or by the same one with other folds.

    Raises:
        ValueError: a score is not a finite number.
    """
    curve = model.cross_validate(params, task.folds, task.score, seed, report, fixed)
    if not (np.isfinite(curve.scores).all() and np.isfinite(curve.train_scores).all()):
        raise ValueError(
            f"expected a finite {task.metric} in every fold, found {curve.scores.tolist()} "
            f"(training rows: {curve.train_scores.tolist()})"
        )
    return curve


def mean_errors(curve: CrossValidated) -> dict[str, float] | None:
    """Mean error of the validation rows and of the training rows: what the ratio is made of."""
    found = {
        "validation": float(np.mean(curve.errors)),
        "training": float(np.mean(curve.train_errors)),
    }
    return found if np.isfinite(list(found.values())).all() else None


def finite_metrics(curve: CrossValidated) -> dict[str, float | None] | None:
    """Every metric's mean over the folds, None where one is undefined in some fold."""
    found = {name: value if np.isfinite(value) else None for name, value in curve.metrics.items()}
    return found or None


def overfit_ratio(curve: CrossValidated) -> float | None:
    """Mean error of the validation rows ÷ that of the training rows; None if there is no error."""
    train = float(np.mean(curve.train_errors))
    return float(np.mean(curve.errors)) / train if train > 0 else None
