"""Tasks on the small tables of the tests."""

import os
from typing import Any

import pytest

from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.tabular.data.table import Dataset
from journal_launcher.tabular.models import ModelSettings
from journal_launcher.tabular.task import TableTask


def task_of(
    table: Dataset, model_type: str, metric: str | None = None, seed: int = 0, **more: Any
) -> TableTask:
    """The task as a launch on a CPU makes it, with the metric that suits the table."""
    metric = metric or ("log_loss" if table.schema.task == "classification" else "r2")
    settings = ModelSettings(table.schema, len(table.train), metric, name=model_type, **more)
    return TableTask(table, settings, seed)


def needs(model_type: str) -> pytest.MarkDecorator:
    """Skip where the library of a model type is not installed. CI has them all, or fails."""
    spec = MODEL_TYPES[model_type]
    missing = not spec.installed and os.environ.get("CI") != "true"
    reason = f"{spec.package} is not installed: pip install {spec.requirement}"
    return pytest.mark.skipif(missing, reason=reason)


EACH_MODEL_TYPE = [pytest.param(name, marks=needs(name)) for name in MODEL_TYPES]
