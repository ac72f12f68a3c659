"""How the final model's training went: measured once, at the refit, and judged elsewhere.

The same file for every model type; sections that a type has no use for are absent. Of a mean of
several trainings the first is looked at: it stands for the others, and takes a fifth of the time.
Numbers that are not finite become null and are named in `non_finite`.
"""

import hashlib
import math
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from journal_launcher.base.artifacts.diagnostics import (
    Diagnostics,
    HeldOut,
    Network,
    Scores,
    Training,
)
from journal_launcher.base.files import write_json
from journal_launcher.base.paths import StudyPaths
from journal_launcher.base.seeds import trial_seed
from journal_launcher.settings.metric_names import METRICS
from journal_launcher.tabular import metrics
from journal_launcher.tabular.baselines import dummy_score
from journal_launcher.tabular.importance import permutation_importance
from journal_launcher.tabular.models import FittedModel, ModelType, Predictions
from journal_launcher.tabular.task import ScoredTrial, TableTask

__all__ = ["write_diagnostics"]

Values = NDArray[Any]

SCHEMA_VERSION = 1
_ROWS = 500
"""Training rows that are looked at: enough for a share, and seconds for any model."""
_DRAWN = 1000
"""Rows of the hold-out whose predictions are kept: as many as a chart has room for, 20 kB."""
_BINS = 10


def write_diagnostics(
    task: TableTask,
    trial: ScoredTrial,
    model: ModelType,
    fitted: FittedModel,
    model_file: Path,
    predicted: Predictions | None = None,
) -> None:
    """Write `training_diagnostics.json` beside the staged `model_file`.

    predicted: of the hold-out, by a model that has not seen it; None where there is none.
    A model is never lost over its diagnostics: if they fail, the file says why.
    """
    try:
        found = _diagnose(task, trial, model, fitted)
        if predicted is not None:
            found = replace(found, holdout=_held_out(task, trial, predicted))
    except Exception as error:
        traceback.print_exc()  # into this worker's log file
        found = Diagnostics(failed=f"{type(error).__name__}: {error}")
    with open(model_file, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    staging = model_file.parent
    found = replace(
        found,
        schema_version=SCHEMA_VERSION,
        study=staging.parent.name,
        trial=trial.number,
        model_type=task.settings.name,
        model_sha256=sha256,
    )
    non_finite: list[str] = []
    content = _finite(found.to_json(), "", non_finite)
    path = StudyPaths(staging.parent, staging.name).diagnostics
    write_json(path, replace(Diagnostics.from_json(content), non_finite=non_finite).to_json())


def _diagnose(
    task: TableTask, trial: ScoredTrial, model: ModelType, fitted: FittedModel
) -> Diagnostics:
    dataset = task.dataset
    draw = trial_seed(task.seed, trial.number, "diagnostics")
    rows = np.random.default_rng(draw).permutation(dataset.train)[:_ROWS]
    features, target = dataset.features.take(rows), dataset.target[rows]
    error = metrics.error_function(dataset.schema.task)
    fitted = getattr(fitted, "first", fitted)
    inspect = getattr(fitted, "diagnose", None)
    return Diagnostics(
        task=dataset.schema.task,
        scores=Scores(
            metric=task.metric,
            direction=METRICS[task.metric],
            cv=trial.value,
            train=float(np.mean(trial.train_scores)),
            dummy=dummy_score(task),
        ),
        training=Training(
            unit="epoch" if model.unit == "epoch" else "round",
            steps=trial.steps,
            limit=model.max_steps,
            errors=trial.errors,
            overfit_ratio=trial.overfit_ratio,
        ),
        curves=trial.curves or None,
        network=Network(**inspect(features, target)) if inspect else None,
        importance=permutation_importance(
            fitted,
            features,
            target,
            dataset.schema,
            error,
            draw,
            dataset.weights_of(rows),
        ),
    )


def _held_out(task: TableTask, trial: ScoredTrial, predicted: Predictions) -> HeldOut:
    """predicted: (rows,), or (rows, classes) probabilities."""
    dataset = task.dataset
    kept = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
    target, predicted = dataset.target[dataset.holdout][kept], predicted[kept]
    classes = dataset.schema.classes
    if not classes:
        draw = trial_seed(task.seed, trial.number, "drawn rows")
        rows = np.random.default_rng(draw).permutation(len(target))[:_DRAWN]
        both = (_short(target[rows]), _short(predicted[rows]))
        return HeldOut(rows=len(target), actual=both[0], predicted=both[1])
    binary = len(classes) == 2
    shown = np.ones(len(target), int) if binary else predicted.argmax(axis=1)
    sure = predicted[np.arange(len(target)), shown]
    weights = dataset.weights_of(dataset.holdout[kept])
    bins = _calibration(sure, target == shown, np.ones(len(target)) if weights is None else weights)
    return HeldOut(rows=len(target), calibration=bins, of=str(classes[1]) if binary else None)


def _calibration(sure: Values, so: Values, weights: Values) -> list[list[float]]:
    """(mean probability, share that was so, rows) in bins of equal width that have rows."""
    places = np.clip((sure * _BINS).astype(int), 0, _BINS - 1)
    found = []
    for place in np.unique(places):
        inside = places == place
        if weights[inside].sum() > 0:
            means = (float(np.average(of[inside], weights=weights[inside])) for of in (sure, so))
            found.append([*_short(means), int(inside.sum())])
    return found


def _short(values: Iterable[float]) -> list[float]:
    """Six digits, more than can be seen."""
    return [float(f"{value:.6g}") for value in values]


def _finite(value: Any, path: str, non_finite: list[str]) -> Any:
    """The same with null for every number that JSON has no word for."""
    if isinstance(value, Mapping):
        under = f"{path}." if path else ""
        return {key: _finite(item, f"{under}{key}", non_finite) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, f"{path}[{n}]", non_finite) for n, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        non_finite.append(path)
        return None
    return value
