"""Train the best parameters once more, score the hold-out and stage the model's file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from journal_launcher.base.errors import JournalLauncherError
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular import metrics
from journal_launcher.tabular.cross_validation import Progress, build_model_type
from journal_launcher.tabular.data.table import Dataset, Rows
from journal_launcher.tabular.diagnostics import write_diagnostics
from journal_launcher.tabular.models import FittedModel, ModelType, Predictions

__all__ = ["SCHEMA_VERSION", "refit"]

SCHEMA_VERSION = 1
_COMPARED_ROWS = 10_000


def refit(
    settings: LaunchSettings,
    dataset: Dataset,
    *,
    metric: str,
    seed: int,
    trial: Mapping[str, Any],
    gpu: bool,
    threads: int,
    staging: Path,
    progress: Progress,
) -> dict[str, Any]:
    """Train `trial` on all training rows and write `best_model.<extension>` into `staging`.

    trial: number, value, params, fold_scores, train_scores, epochs (exactly so many are trained),
    overfit_ratio, and for the diagnostics errors and curves (of its confirmation), where there are
    any. All scores are in the target's units and belong to the model that has not seen the
    hold-out, also with `--refit all`; the diagnostics are those of the published model.

    Returns:
        The sidecar as far as a worker knows it, JSON without NaN.

    Raises:
        JournalLauncherError: the written model does not predict what the trained one does.
    """
    model = build_model_type(settings, dataset, metric, gpu, threads)
    fit_seed = trial_seed(seed, trial["number"], "refit")

    def fit(rows: Rows) -> FittedModel:
        features, target = dataset.features.take(rows), dataset.target[rows]
        return model.fit(trial["params"], features, target, trial["epochs"], fit_seed)

    progress("step", 1, 3, None)
    fitted = fit(dataset.train)
    progress("step", 2, 3, None)
    scores = _scores(dataset, fitted, metric, trial_seed(seed, trial["number"], "bootstrap"))
    published_on_all = settings.refit == "all" and len(dataset.holdout) > 0
    if published_on_all:
        fitted = fit(np.union1d(dataset.train, dataset.holdout))
    progress("step", 3, 3, None)
    file, state = _write(model, fitted, dataset, staging)
    write_diagnostics(
        model, fitted, dataset, metric, seed, trial, settings.model_type, staging / file
    )
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "table",
        **_origin(settings, dataset, metric, trial),
        **scores,
        "refit": "all" if published_on_all else "train",
        "metrics_of": "train-only model" if published_on_all else "published model",
        "seeds": {"study": seed, "refit": fit_seed},
        "model_file": file,
        "model_state": state,
    }


def _origin(
    settings: LaunchSettings, dataset: Dataset, metric: str, trial: Mapping[str, Any]
) -> dict[str, Any]:
    """Where the model comes from: settings that loading needs, the trial, the table's schema."""
    schema = dataset.schema
    return {
        "model_type": settings.model_type,
        "flags": {
            "normalize_features": settings.normalize_features,
            "use_leaky_relu": settings.use_leaky_relu,
            "dropout": settings.dropout,
        },
        "metric": metric,
        "trial": trial["number"],
        "params": dict(trial["params"]),
        "epochs": trial["epochs"],
        "cv_score": trial["value"],
        "fold_scores": trial["fold_scores"],
        "train_fold_scores": trial["train_scores"],
        "overfit_ratio": trial.get("overfit_ratio"),
        "rows": {
            "train": len(dataset.train),
            "holdout": len(dataset.holdout),
            "folds": len(dataset.folds),
        },
        "feature_names": [column.name for column in schema.columns],
        "schema": schema.to_json(),
        "schema_hash": schema.sha256,
    }


def _scores(dataset: Dataset, fitted: FittedModel, metric: str, seed: int) -> dict[str, Any]:
    """Every metric of the task on the training rows and the hold-out, if there is one."""
    task = dataset.schema.task

    def predictions(rows: Rows) -> Predictions:
        return fitted.predict(dataset.features.take(rows))

    def all_metrics(rows: Rows, found: Predictions) -> dict[str, float | None]:
        target = dataset.target[rows]
        return {
            name: _finite(metrics.score(name, task)(target, found)) for name in metrics.names(task)
        }

    train, holdout = dataset.train, dataset.holdout
    train_metrics = all_metrics(train, predictions(train))
    if not len(holdout):
        return {"train_metrics": train_metrics, "holdout_metrics": None, "holdout_interval": None}
    found = predictions(holdout)
    interval = metrics.bootstrap_interval(metric, dataset.target[holdout], found, seed)
    return {
        "train_metrics": train_metrics,
        "holdout_metrics": all_metrics(holdout, found),
        "holdout_interval": [_finite(bound) for bound in interval],
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _write(
    model: ModelType, fitted: FittedModel, dataset: Dataset, staging: Path
) -> tuple[str, dict[str, Any]]:
    """Write the model's file, read it back and compare; return its name and its state."""
    file = StudyPaths(staging.parent, staging.name).best_model_file(model.extension)
    state = fitted.save(file)
    features = dataset.features.take(dataset.train[:_COMPARED_ROWS])
    # Through JSON, as the sidecar will carry it.
    read_back = model.load(file, json.loads(json.dumps(state, allow_nan=False)))
    expected, found = fitted.predict(features), read_back.predict(features)
    if not np.allclose(expected, found, rtol=1e-5, atol=1e-8):
        raise JournalLauncherError(
            f"{file}: expected the written model to predict what the trained one does, found a "
            f"difference of {np.abs(expected - found).max():g}; nothing was published"
        )
    return file.name, state
