"""What is learned from a table: the same for every trial of a study and on every worker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset, Fold
from journal_launcher.tabular.metrics import Score
from journal_launcher.tabular.models import FoldData, ModelSettings, ModelType, make_model

__all__ = ["ScoredTrial", "TableTask", "fold_data"]


@dataclass(frozen=True)
class TableTask:
    """A table, the model type that learns from it, and the seed of everything random.

    settings: what the model type may know: the metric, the flags, the device and the threads.
    """

    dataset: Dataset
    settings: ModelSettings
    seed: int

    @property
    def metric(self) -> str:
        return self.settings.metric

    @cached_property
    def score(self) -> Score:
        return metrics.score_function(self.metric, self.dataset.schema.task)

    @cached_property
    def folds(self) -> tuple[FoldData, ...]:
        return fold_data(self.dataset)

    def make_model(self) -> ModelType:
        """The model type, told of the table and the device; it may keep what its trials share."""
        return make_model(self.settings)

    def with_folds(self, folds: Sequence[Fold]) -> "TableTask":
        """The same with other folds of the same training rows."""
        return replace(self, dataset=replace(self.dataset, folds=folds))


@dataclass(frozen=True)
class ScoredTrial:
    """A trial that may become the model: its parameters, and what cross-validation found.

    value: the mean of `fold_scores`. steps: epochs or rounds, as in `CrossValidated`. errors and
    curves (of its confirmation) are for the diagnostics, metrics (every one) for the sidecar;
    trials of older versions have no errors or metrics.
    """

    number: int
    value: float
    params: Mapping[str, Any]
    fold_scores: Sequence[float]
    train_scores: Sequence[float]
    steps: int
    overfit_ratio: float | None = None
    errors: Mapping[str, float] | None = None
    curves: Mapping[str, Any] | None = None
    metrics: Mapping[str, float | None] | None = None


def fold_data(dataset: Dataset) -> tuple[FoldData, ...]:
    """The rows of every fold: the hold-out is in none of them."""
    return tuple(
        FoldData(dataset.features, dataset.target, fold, dataset.directory, dataset.weights)
        for fold in dataset.folds
    )
