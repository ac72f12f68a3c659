"""Tasks on the small tables of the tests."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.tabular.cross_validation import cross_validate
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.models import ModelSettings, make_model
from journal_launcher.tabular.refit import refit
from journal_launcher.tabular.task import ScoredTrial, TableTask

STEPS = 10
"""Epochs or rounds of `publish`: one point of a curve."""


def task_of(
    table: Dataset, model_type: str, metric: str | None = None, seed: int = 0, **more: Any
) -> TableTask:
    """The task as a launch on a CPU makes it, with the metric that suits the table."""
    metric = metric or ("log_loss" if table.schema.task == "classification" else "r2")
    settings = ModelSettings(table.schema, len(table.train), metric, name=model_type, **more)
    if settings.rounds is None:
        settings = replace(settings, rounds=make_model(settings).affordable)
    return TableTask(table, settings, seed)


def needs(model_type: str) -> pytest.MarkDecorator:
    """Skip where the library of a model type is not installed. CI has them all, or fails."""
    spec = MODEL_TYPES[model_type]
    missing = not spec.installed and os.environ.get("CI") != "true"
    reason = f"{spec.package} is not installed: pip install {spec.requirement}"
    return pytest.mark.skipif(missing, reason=reason)


EACH_MODEL_TYPE = [pytest.param(name, marks=needs(name)) for name in MODEL_TYPES]


def publish(table: Dataset, model_type: str, folder: Path, **flags: Any) -> Path:
    """What a study of one trial leaves: cross-validation, refit, sidecar."""
    task = task_of(table, model_type, **flags)
    model = task.make_model()
    params = model.defaults()
    curve = cross_validate(task, model, params, 0, lambda *_: None, STEPS)
    train, valid = curve.train_scores.tolist(), curve.scores.tolist()
    trial = ScoredTrial(0, float(np.mean(valid)), params, valid, train, steps=STEPS)
    folder.mkdir()
    sidecar = refit(task, trial, folder, on_all_rows=False, progress=lambda *_: None)
    diagnostics = json.loads((folder / "training_diagnostics.json").read_text())
    assert diagnostics.get("failed") is None
    files = {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.glob("best_model.*")
    }
    (folder / "best_model.meta.json").write_text(json.dumps({**sidecar, "files": files}))
    return folder
