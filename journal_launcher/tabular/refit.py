"""Train the best parameters once more, score the hold-out and stage the model's file."""

import json
import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.seeds import trial_seed
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset, Rows
from journal_launcher.tabular.diagnostics import write_diagnostics
from journal_launcher.tabular.models import (
    FittedModel,
    ModelType,
    Params,
    Predictions,
    mean_one,
)
from journal_launcher.tabular.task import ScoredTrial, TableTask

__all__ = ["SCHEMA_VERSION", "refit", "rehearse"]

_logger = logging.getLogger("journal_launcher.tabular")

SCHEMA_VERSION = 1
_COMPARED_ROWS = 10_000
_REHEARSED_ROWS = 500


def refit(
    task: TableTask,
    trial: ScoredTrial,
    staging: Path,
    *,
    on_all_rows: bool,
    progress: Callable[..., None],
) -> dict[str, Any]:
    """Train `trial` on all training rows and write `best_model.<extension>` into `staging`.

    trial: exactly its `steps` are trained, from as many seeds as its model type has members; the
    model is their mean. on_all_rows: publish a model of the hold-out's rows too.
    All scores are in the target's units and belong to the model that has not seen the hold-out,
    also then; the diagnostics are those of the published model. progress(step, total, None, (rounds
    done, of how many)).

    Returns:
        The sidecar as far as a worker knows it, JSON without NaN.

    Raises:
        JournalLauncherError: the written model does not predict what the trained one does.
    """
    dataset, model = task.dataset, task.make_model()
    what = ("refit", *(f"refit {member}" for member in range(2, model.members + 1)))
    seeds = [trial_seed(task.seed, trial.number, purpose) for purpose in what]

    def fit(step: int, rows: Rows) -> FittedModel:
        progress(step, 3, None)
        model.on_round = lambda *rounds: progress(step - 1, 3, None, rounds)
        return _fit(model, trial.params, dataset, rows, trial.steps, seeds)

    published_on_all = on_all_rows and len(dataset.holdout) > 0
    if len(seeds) > 1:
        _tell(model, trial, len(seeds), twice=published_on_all)
    fitted = fit(1, dataset.train)
    progress(2, 3, None)
    held_out = None
    if len(dataset.holdout):
        held_out = fitted.predict(dataset.features.take(dataset.holdout))
    scores = _scores(task, fitted, held_out, trial_seed(task.seed, trial.number, "bootstrap"))
    if published_on_all:
        fitted = fit(3, np.union1d(dataset.train, dataset.holdout))
    progress(3, 3, None)
    file, state = _write(model, fitted, dataset, staging)
    write_diagnostics(task, trial, model, fitted, staging / file, held_out)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "table",
        **_origin(task, trial),
        **scores,
        "refit": "all" if published_on_all else "train",
        "metrics_of": "train-only model" if published_on_all else "published model",
        "seeds": {"study": task.seed, "refit": seeds[0]},
        "members": len(seeds),
        "model_file": file,
        "model_state": state,
    }


def _tell(model: ModelType, trial: ScoredTrial, trainings: int, *, twice: bool) -> None:
    """Say what is ahead, which may take longer than any trial."""
    often = "twice, without and with the hold-out, " if twice else ""
    unit = ("epoch" if model.unit == "epoch" else "round") + "s" * (trial.steps > 1)
    text = "the refit: %s%d trainings of %d %s each; their mean is what is published"
    _logger.info(text, often, trainings, trial.steps, unit)


def rehearse(task: TableTask) -> None:
    """Train one step of the default parameters on a few rows, and read the model back.

    Raises:
        Exception: whatever a whole refit would raise at the end of a study.
    """
    dataset, model = task.dataset, task.make_model()
    rows = np.random.default_rng(task.seed).permutation(dataset.train)[:_REHEARSED_ROWS]
    if dataset.schema.classes:
        _, first = np.unique(dataset.target[dataset.train], return_index=True)
        rows = np.union1d(rows, dataset.train[first])  # a row of each class
    fitted = _fit(model, model.defaults(), dataset, rows, 1, [task.seed])
    with tempfile.TemporaryDirectory(prefix="journal_launcher-") as folder:
        _write(model, fitted, dataset, Path(folder))


def _fit(
    model: ModelType,
    params: Params,
    dataset: Dataset,
    rows: Rows,
    steps: int,
    seeds: Sequence[int],
) -> FittedModel:
    weights = dataset.weights_of(rows)
    return model.fit_mean(
        params,
        dataset.features.take(rows),
        dataset.target[rows],
        steps,
        seeds,
        None if weights is None else mean_one(weights),
    )


def _origin(task: TableTask, trial: ScoredTrial) -> dict[str, Any]:
    """Where the model comes from: settings that loading needs, the trial, the table's schema."""
    settings, dataset, schema = task.settings, task.dataset, task.dataset.schema
    return {
        "model_type": settings.name,
        "flags": dict(settings.flags),
        "metric": task.metric,
        "trial": trial.number,
        "params": dict(trial.params),
        "epochs": trial.steps,
        "value": trial.value,
        "fold_scores": trial.fold_scores,
        "train_fold_scores": trial.train_scores,
        "overfit_ratio": trial.overfit_ratio,
        **({"cv_metrics": trial.metrics} if trial.metrics else {}),
        "rows": {
            "train": len(dataset.train),
            "holdout": len(dataset.holdout),
            "folds": len(dataset.folds),
        },
        "feature_names": [column.name for column in schema.columns],
        "schema": schema.to_json(),
        "schema_hash": schema.sha256,
    }


def _scores(
    task: TableTask, fitted: FittedModel, held_out: Predictions | None, seed: int
) -> dict[str, Any]:
    """Every metric of the task on the training rows and on the hold-out, if there is one.

    held_out: what is predicted there.
    """
    dataset, kind = task.dataset, task.dataset.schema.task

    def all_metrics(rows: Rows, found: Predictions) -> dict[str, float | None]:
        scores = metrics.every(kind, dataset.target[rows], found, dataset.weights_of(rows))
        return {name: _finite(score) for name, score in scores.items()}

    train, holdout = dataset.train, dataset.holdout
    train_metrics = all_metrics(train, fitted.predict(dataset.features.take(train)))
    if held_out is None:
        return {"train_metrics": train_metrics, "holdout_metrics": None, "holdout_interval": None}
    of_rows = dataset.target[holdout], held_out, seed, dataset.weights_of(holdout)
    interval = metrics.bootstrap_interval(task.metric, *of_rows)
    return {
        "train_metrics": train_metrics,
        "holdout_metrics": all_metrics(holdout, held_out),
        "holdout_interval": [_finite(bound) for bound in interval],
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _write(
    model: ModelType, fitted: FittedModel, dataset: Dataset, staging: Path
) -> tuple[str, Any]:
    """Write the model's file, read it back and compare; return its name and its state."""
    file = StudyPaths(staging.parent, staging.name).best_model_file(model.extension)
    state = fitted.save(file)
    features = dataset.features.take(dataset.train[:_COMPARED_ROWS])
    # Through JSON, as the sidecar will carry it.
    read_back = model.load_mean(file, json.loads(json.dumps(state, allow_nan=False)))
    expected, found = fitted.predict(features), read_back.predict(features)
    if not np.allclose(expected, found, rtol=1e-5, atol=1e-8):
        raise JournalLauncherError(
            f"{file}: expected the written model to predict what the trained one does, found a "
            f"difference of {np.abs(expected - found).max():g}; nothing was published"
        )
    return file.name, state
