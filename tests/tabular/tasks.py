"""Tasks on the small tables of the tests."""

from typing import Any

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
