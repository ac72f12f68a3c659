"""The objective of a table: one trial is K folds of one model type."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna

from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.study.journal.storage import suggesting
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.table import Dataset, Schema
from journal_launcher.tabular.models import (
    Curve,
    FoldData,
    ModelSettings,
    ModelType,
    Params,
    model_type,
)

__all__ = ["Progress", "TableObjective", "build_model_type", "check_ranges", "fold_data"]

Progress = Callable[[str, int, int, float | None], None]
"""progress(unit, step, total, value)"""

REPORTS = 8
"""Parts of the epochs after which a trial reports; folds are so few that each is one.

The steps follow from the table and the model type alone: those of a study are always the same."""


def build_model_type(
    settings: LaunchSettings, dataset: Dataset, metric: str, gpu: bool, threads: int
) -> ModelType:
    """The model type that the settings name, told of the table and the device."""
    return _build(settings, dataset.schema, len(dataset.train), metric, gpu, threads)


def check_ranges(settings: LaunchSettings) -> None:
    """Refuse ranges that the model type cannot search, before its table is read.

    Raises:
        UsageError: names the table of the config file, the key, and what the parameter can be.
    """
    _build(settings, Schema((), "", "regression", ()), 0, "r2", False, 1).defaults()


def _build(
    settings: LaunchSettings, schema: Schema, n_rows: int, metric: str, gpu: bool, threads: int
) -> ModelType:
    return model_type(settings.model_type)(
        ModelSettings(
            schema=schema,
            n_rows=n_rows,
            metric=metric,
            normalize_features=settings.normalize_features,
            use_leaky_relu=settings.use_leaky_relu,
            dropout=settings.dropout,
            gpu=gpu,
            threads=threads,
            workers_per_gpu=settings.workers_per_gpu,
            name=settings.model_type,
            ranges=(settings.spaces or {}).get(settings.model_type, {}),
        )
    )


def fold_data(dataset: Dataset) -> tuple[FoldData, ...]:
    """The rows of every fold: the hold-out is in none of them."""
    return tuple(
        FoldData(dataset.features, dataset.target, fold, dataset.directory)
        for fold in dataset.folds
    )


class TableObjective:
    """Callable trial -> mean score of the folds; made once per worker.

    model: the model type. attributes: user attributes for the trial that ended last; the caller
    writes them (in one journal append), so this class never does.
    """

    def __init__(
        self,
        settings: LaunchSettings,
        dataset: Dataset,
        metric: str,
        seed: int,
        gpu: bool,
        threads: int,
        progress: Progress,
    ) -> None:
        self.model = build_model_type(settings, dataset, metric, gpu, threads)
        self.attributes: dict[str, Any] = {}
        self._folds = fold_data(dataset)
        self._score = metrics.score(metric, dataset.schema.task)
        self._metric = metric
        self._seed = seed
        self._prunes = settings.pruner != "none"
        self._progress = progress

    def defaults(self) -> dict[str, Any]:
        """Parameters of trial 0."""
        return dict(self.model.defaults())

    def __call__(self, trial: optuna.Trial) -> float:
        """Train every fold with the parameters that `trial` suggests.

        Raises:
            optuna.TrialPruned: the pruner gave the trial up.
            ValueError: the score is not a finite number.
        """
        self.attributes = {}
        with suggesting(trial):
            params = self.model.suggest(trial)

        def report(step: int, total: int, value: float) -> None:
            self._progress(self.model.unit, step, total, value if np.isfinite(value) else None)
            # A report is a journal append with an fsync: only where somebody reads it, not for each
            # short epoch, and not at the end, where pruning would save nothing and lose the score.
            due = step < total and step % max(1, total // REPORTS) == 0
            if self._prunes and due and np.isfinite(value):
                trial.report(value, step)
                if trial.should_prune():
                    raise optuna.TrialPruned(f"pruned at {self.model.unit} {step} of {total}")

        seed = trial_seed(self._seed, trial.number)
        curve = self.model.cross_validate(params, self._folds, self._score, seed, report)
        self._check_finite(curve)
        self.attributes = _attributes(curve)
        return float(np.mean(curve.scores))

    def confirm(
        self, number: int, params: Params, epochs: int, folds: Sequence[FoldData]
    ) -> dict[str, Any]:
        """Score a trial's parameters on other folds, at the trial's own number of steps.

        Returns:
            score, fold_scores, train_scores, overfit_ratio; curves: `every` how many steps the
            mean score of the "validation" and the "train" rows was taken, up to the last step.

        Raises:
            ValueError: a score is not a finite number.
        """

        def report(step: int, total: int, value: float) -> None:
            self._progress(self.model.unit, step, total, value if np.isfinite(value) else None)

        seed = trial_seed(self._seed, number, "confirm")
        curve = self.model.cross_validate(params, folds, self._score, seed, report, epochs)
        self._check_finite(curve)
        assert curve.way is not None
        validation, train = ([_short(value) for value in way] for way in curve.way)
        return {
            "score": float(np.mean(curve.scores)),
            "fold_scores": curve.scores.tolist(),
            "train_scores": curve.train_scores.tolist(),
            "overfit_ratio": overfit_ratio(curve),
            "curves": {"every": curve.every, "validation": validation, "train": train},
        }

    def _check_finite(self, curve: Curve) -> None:
        if not (np.isfinite(curve.scores).all() and np.isfinite(curve.train_scores).all()):
            raise ValueError(
                f"expected a finite {self._metric} in every fold, found {curve.scores.tolist()} "
                f"(training rows: {curve.train_scores.tolist()})"
            )


def _short(value: float) -> float | None:
    """Six digits are enough for a curve; JSON has no NaN."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _attributes(curve: Curve) -> dict[str, Any]:
    return {
        "jl_fold_scores": curve.scores.tolist(),
        "jl_train_scores": curve.train_scores.tolist(),
        "jl_epochs": int(curve.steps),
        "jl_overfit_ratio": overfit_ratio(curve),
        "jl_errors": _errors(curve),
    }


def _errors(curve: Curve) -> dict[str, float] | None:
    """Mean error of the validation rows and of the training rows: what the ratio is made of."""
    found = {
        "validation": float(np.mean(curve.errors)),
        "training": float(np.mean(curve.train_errors)),
    }
    return found if np.isfinite(list(found.values())).all() else None


def overfit_ratio(curve: Curve) -> float | None:
    """Mean error of the validation rows ÷ that of the training rows; None if there is no error."""
    train = float(np.mean(curve.train_errors))
    return float(np.mean(curve.errors)) / train if train > 0 else None
