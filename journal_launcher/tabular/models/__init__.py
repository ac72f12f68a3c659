"""What a model type must offer.

A new one is one file here and one entry in `settings/model_types.py`. The class in that file
implements `ModelType`; everything else (folds, scores, refit, sidecar, predict) works by itself. A
type that trains its folds one after the other derives from `fold_by_fold.FoldByFold` and writes
only what is tuned and how one fold is fitted; any other derives from `space.Tuned`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from journal_launcher.settings.model_types import MODEL_TYPES
from journal_launcher.tabular.data.dataset import Features, Fold, Schema
from journal_launcher.tabular.metrics import Score

if TYPE_CHECKING:
    from journal_launcher.tabular.models.space import Space

__all__ = [
    "CrossValidated",
    "FittedModel",
    "FoldData",
    "ModelSettings",
    "ModelType",
    "Params",
    "Predictions",
    "Report",
    "Rounds",
    "RowWeights",
    "Score",
    "Suggester",
    "make_model",
    "mean_one",
    "model_type",
]

Params = Mapping[str, Any]
Predictions = NDArray[np.float64]
"""(rows,) for regression, (rows, classes) probabilities for classification."""
RowWeights = NDArray[np.float64] | None
"""(rows,) positive; None weighs all rows alike."""


@dataclass(frozen=True)
class ModelSettings:
    """What a model type may know beside parameters: the task, the flags and the device.

    `flags` are settings that some types have for themselves, by name; what is not among them is as
    by default. `gpu` is True when this process is pinned to a GPU (device 0 of this process), which
    it shares with the others of `workers_per_gpu`. `name` is the model type's own, and `ranges` the
    table of that name in the user's config file. `rounds` is the most that a fold of the study
    trains; None of types without rounds, and of studies that began when every fold trained all.
    """

    schema: Schema
    n_rows: int
    metric: str
    _: KW_ONLY
    flags: Mapping[str, Any] = field(default_factory=dict)
    gpu: bool = False
    threads: int = 1
    workers_per_gpu: int = 1
    name: str = "model"
    ranges: Mapping[str, Any] = field(default_factory=dict)
    rounds: int | None = None


@dataclass(frozen=True)
class FoldData:
    """One fold's training and validation rows, raw: fit every transformation on `train` alone.

    `features` and `target` are the whole mapped table, `rows` the fold's positions in it. Each use
    of `train` or `valid` gathers a new copy of those rows' features: keep it no longer than needed.
    directory: where all workers may share what is derived from the rows, if there is such a place.
    weights: of the whole table's rows; a fold's training rows have a mean of 1.
    """

    features: Features
    target: NDArray[np.float64]
    rows: Fold
    directory: Path | None = None
    weights: RowWeights = None

    @property
    def train(self) -> Features:
        return self.features.take(self.rows.train)

    @property
    def valid(self) -> Features:
        return self.features.take(self.rows.valid)

    @cached_property
    def train_target(self) -> NDArray[np.float64]:
        return self.target[self.rows.train]

    @cached_property
    def valid_target(self) -> NDArray[np.float64]:
        return self.target[self.rows.valid]

    @cached_property
    def train_weights(self) -> RowWeights:
        return None if self.weights is None else mean_one(self.weights[self.rows.train])

    @cached_property
    def valid_weights(self) -> RowWeights:
        return None if self.weights is None else self.weights[self.rows.valid]


@dataclass(frozen=True)
class CrossValidated:
    """What cross-validation found for one set of parameters.

    steps: epochs or boosting rounds at the best point of the mean validation curve; the refit
    trains exactly that many. scores, train_scores: (folds,) the metric there. errors, train_errors:
    (folds,) RMSE or log loss there, `metrics.error_function(task)`; they make the overfit ratio.
    metrics: every metric of the task on the validation rows there, each the mean over the folds.
    history: only where the steps were fixed: (2, points) the mean score of the validation and of
    the training rows after every `every` steps.
    """

    steps: int
    scores: NDArray[np.float64]
    train_scores: NDArray[np.float64]
    errors: NDArray[np.float64]
    train_errors: NDArray[np.float64]
    history: NDArray[np.float64] | None = None
    every: int = 1
    metrics: Mapping[str, float] = field(default_factory=dict)


Report = Callable[[int, int, float], None]
"""report(step, total, value of the mean curve so far); raises to stop."""
Rounds = Callable[[int, int], None]
"""rounds(done, of how many) of the training under way."""


class Suggester(Protocol):
    """What parameters are asked of: an Optuna trial, or whatever else draws or repeats them."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


class FittedModel(Protocol):
    """A trained model with the transformations fitted on its training rows.

    One that has an inside to look at also has `diagnose(features, target) -> dict`: JSON, though
    numbers need not be finite, for the section "network" of the diagnostics. One that is the mean
    of several has the `first` of them.
    """

    def predict(self, features: Features) -> Predictions: ...

    def save(self, path: Path) -> Any:
        """Write the weights to `path` and return everything else as JSON for the sidecar.

        The returned object, a dictionary, goes back into `ModelType.load` (of a mean, a list, into
        `load_mean`); no pickle anywhere.
        """
        ...


class ModelType(Protocol):
    """One kind of model. `unit` is what `report` counts: "epoch" or "fold". members: how many
    trainings, each from its own seed, a published model is the mean of.

    max_steps: the most epochs or rounds that a training takes. fold_steps: batches that the last
    cross-validation went through, each fold's counted, also where a report ended it; None of a type
    whose rounds cost unlike times. on_round: told after every round of a `fit`, and of a fold by
    those that train these one after the other; set by whoever wants to hear it, and may raise.
    """

    extension: str
    unit: str
    members: int
    on_round: Rounds

    @property
    def fold_steps(self) -> int | None: ...

    @property
    def max_steps(self) -> int: ...

    @property
    def affordable(self) -> int | None:
        """The most rounds that a new study trains a fold; None of a type without rounds."""
        ...

    def __init__(self, settings: ModelSettings) -> None: ...

    def space(self) -> "Space":
        """What is tuned, and from which ranges, before what the user's config file says."""
        ...

    def suggest(self, trial: Suggester) -> Params:
        """Ask `trial` for every parameter of the search space."""
        ...

    def defaults(self) -> Params:
        """Good parameters to begin with: what trial 0 runs; the keys that `suggest` asks for."""
        ...

    def precompute(self, folds: Sequence[FoldData]) -> None:
        """Write what every worker would derive from the folds in the same way to their directory.

        Called by one worker, before the others use the folds.
        """
        ...

    def release(self) -> None:
        """Drop what is only kept so that the next training begins sooner, a GPU's memory above all.

        Called where that memory did not suffice, before the training is tried once more.
        """
        ...

    def cross_validate(
        self,
        params: Params,
        folds: Sequence[FoldData],
        score: Score,
        seed: int,
        report: Report,
        fixed: int | None = None,
    ) -> CrossValidated:
        """Train all folds and find the best step of the mean validation curve.

        With `fixed`, train exactly so many steps and score there: nothing is chosen.
        """
        ...

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> FittedModel:
        """Train exactly `steps` epochs or rounds on all rows given; weights have a mean of 1."""
        ...

    def fit_mean(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seeds: Sequence[int],
        weights: RowWeights = None,
    ) -> FittedModel:
        """As `fit`, the mean of a training from each seed; `on_round` hears of all their rounds."""
        ...

    def load(self, path: Path, state: dict[str, Any]) -> FittedModel:
        """Read back what `FittedModel.save` wrote."""
        ...

    def load_mean(self, path: Path, state: Any) -> FittedModel:
        """Read back what `fit_mean` made, or, as earlier versions published it, `fit`."""
        ...


def mean_one(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """So scaled, what is counted in rows (a penalty, the least weight of a leaf) stays what it is
    of rows that weigh alike."""
    scaled: NDArray[np.float64] = weights / weights.mean()
    return scaled


def model_type(name: str) -> type[ModelType]:
    """The class that the type's entry names; imports its library.

    Raises:
        KeyError: no such model type.
    """
    module, _, attribute = MODEL_TYPES[name].class_path.partition(":")
    loaded: type[ModelType] = getattr(import_module(module), attribute)
    return loaded


def make_model(settings: ModelSettings) -> ModelType:
    """The model type of that name, told the settings."""
    if settings.schema.texts:
        from journal_launcher.tabular.models.with_words import WithWords

        return WithWords(settings)
    return model_type(settings.name)(settings)
