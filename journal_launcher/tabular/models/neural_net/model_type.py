"""A multi-layer perceptron in torch; all folds advance together, epoch by epoch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from journal_launcher.settings.metric_names import METRICS
from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import (
    CrossValidated,
    FoldData,
    ModelSettings,
    Params,
    Report,
    RowWeights,
    Score,
    Suggester,
)
from journal_launcher.tabular.models.neural_net.encoding import (
    EncodedFold,
    Scaling,
    encode,
    encode_folds,
    move_to_device,
    predictions,
)
from journal_launcher.tabular.models.neural_net.fitted_net import STATS, WEIGHTS, FittedNet
from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights
from journal_launcher.tabular.models.neural_net.step import Step, TensorRows, shared_inputs
from journal_launcher.tabular.models.neural_net.training import Training, ahead, epochs, output
from journal_launcher.tabular.models.space import Space, Tuned, between, one_of
from journal_launcher.tabular.preprocessing import Encoder

__all__ = ["NeuralNet"]

_PATIENCE = 16
"""Epochs without a better mean score after which a trial ends."""
_ROWS_SEEN = 640_000
_MOST_EPOCHS = 48
_LEAST_EPOCHS = 24
"""Rows that a full training goes through, repeats counted, and the epochs that bound it."""
_FREQUENCIES = 16
_EMBEDDING = 8
"""Of a periodic embedding: frequencies, and units it ends in."""
_EMBEDDED = 100
"""Number columns up to which the default parameters embed them: each one costs time."""
_STEPS = 16
"""Steps kept for the next trial of an architecture: each holds memory of the GPU."""
_SMALL_LAYER = 2**14
"""Units of a batch up to which a CPU is faster with all folds at once than one by one."""
_TF32 = True
"""Multiply matrices on a GPU in TF32; NVIDIA_TF32_OVERRIDE=0 turns it off without an edit."""


@dataclass(frozen=True)
class _Sizes:
    """What suits a number of rows: the choices, the second of which is the default."""

    layers: int
    embedding: str
    dropout: float
    widths: tuple[int, ...]
    batches: tuple[int, ...]


_SMALL = _Sizes(1, "none", 0.3, widths=(32, 64, 128), batches=(32, 64, 128))
_MEDIUM = _Sizes(2, "periodic", 0.1, widths=(64, 128, 256), batches=(128, 256, 512))
_LARGE = _Sizes(2, "periodic", 0.1, widths=(128, 256, 512), batches=(256, 512, 1024))


class NeuralNet(Tuned):
    """The MLP model type; trains on this worker's GPU, if it has one."""

    extension = "safetensors"
    unit = "epoch"

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._settings = settings
        self._device = torch.device("cuda:0" if settings.gpu else "cpu")
        if settings.gpu:
            torch.backends.cuda.matmul.allow_tf32 = _TF32
        self._regression = settings.schema.task == "regression"
        self._sizes = _SMALL if settings.n_rows < 2000 else _MEDIUM
        if settings.n_rows >= 50_000:
            self._sizes = _LARGE
        self._scale = bool(settings.flags.get("normalize_features", True))
        self._slope = 0.01 if settings.flags.get("use_leaky_relu") else 0.0
        self._dropout: float | None = settings.flags.get("dropout")  # None: it is tuned
        # Long tables need fewer rounds. Of the settings alone: a refit has the same epochs.
        epochs = _ROWS_SEEN // max(1, settings.n_rows)
        self._max_steps = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, epochs))
        self._steps: dict[tuple[Mlp, range, int, int, bool], Step] = {}
        self._prepared: tuple[Sequence[FoldData], list[EncodedFold]] | None = None

    @property
    def max_steps(self) -> int:
        return self._max_steps

    def space(self) -> Space:
        sizes = self._sizes
        numbers = len(self._settings.schema.numbers)
        embedding = sizes.embedding if 0 < numbers <= _EMBEDDED else "none"
        space = {
            "layers": between(1, 3, default=sizes.layers, least=1),
            "width": one_of(sizes.widths, default=sizes.widths[1], least=1),
            "batch_size": one_of(sizes.batches, default=sizes.batches[1], least=2),
            "learning_rate": between(2e-3, 3e-2, default=1e-2, log=True, least=1e-6, most=10),
            "weight_decay": between(1e-4, 1e-1, default=1e-2, log=True, least=0, most=10),
            "embedding": one_of(("none", "periodic"), default=embedding),
            "sigma": between(2e-2, 1.0, default=0.2, log=True, least=1e-6, most=100),
        }
        if self._dropout is None:
            space["dropout"] = between(0.0, 0.5, default=sizes.dropout, least=0, most=0.95)
        return space

    def suggest(self, trial: Suggester) -> Params:
        params: dict[str, Any] = {}
        for name, parameter in self.searched.items():
            if name != "sigma" or params["embedding"] == "periodic":
                params[name] = parameter.suggest(trial, name)
        return params

    def defaults(self) -> Params:
        params = dict(super().defaults())
        if params["embedding"] != "periodic":
            del params["sigma"]
        return params

    def precompute(self, folds: Sequence[FoldData]) -> None:
        encode_folds(folds, self._regression, self._scale, torch.device("cpu"))

    def release(self) -> None:
        self._steps.clear()
        shared_inputs.cache_clear()
        self._prepared = None

    def cross_validate(
        self,
        params: Params,
        folds: Sequence[FoldData],
        score: Score,
        seed: int,
        report: Report,
        fixed: int | None = None,
    ) -> CrossValidated:
        prepared = self._prepare(folds)
        seeds = range(seed, seed + len(prepared))
        trainings = self._trainings(params, [fold.train for fold in prepared], seeds)
        sign = 1.0 if METRICS[self._settings.metric] == "maximize" else -1.0
        an_epoch = sum(training.fold_steps for training in trainings)
        steps = self.fold_steps = 0
        best = -np.inf
        fitted: list[Weights] = []
        history: list[tuple[float, float]] = []
        limit = fixed or self._max_steps
        net = trainings[0].net
        with self._pool() as pool:
            trained = epochs(trainings, [fold.valid for fold in prepared], limit, pool)
            trained = ahead(trained) if self._settings.gpu else trained
            for epoch, (weights, outputs) in enumerate(trained, start=1):
                self.fold_steps = epoch * an_epoch
                found = [
                    score(data.valid_target, predictions(part, fold.scaling), data.valid_weights)
                    for data, fold, part in zip(folds, prepared, outputs.wait(), strict=True)
                ]
                value = sign * float(np.mean(found))
                if fixed:
                    train = self._curve(epoch, net, weights, folds, prepared, score).train_scores
                    history.append((sign * value, float(np.mean(train))))
                # The first epoch counts even if its score is not a number: the caller refuses it.
                recovered = np.isnan(best) and not np.isnan(value)
                if value > best or not fitted or recovered or epoch == fixed:
                    steps = epoch
                    best = value
                    fitted = weights
                report(epoch, limit, sign * best)
                if epoch - steps >= _PATIENCE and not fixed:
                    break
        curve = self._curve(steps, net, fitted, folds, prepared, score)
        return replace(curve, history=np.array(history).T) if fixed else curve

    def fit(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seed: int,
        weights: RowWeights = None,
    ) -> FittedNet:
        """Train `steps` epochs; an epoch is ⌊rows ÷ batch⌋ full batches, as in a fold."""
        return self.fit_each(params, features, target, steps, [seed], weights)[0]

    def fit_each(
        self,
        params: Params,
        features: Features,
        target: NDArray[np.float64],
        steps: int,
        seeds: Sequence[int],
        weights: RowWeights = None,
    ) -> list[FittedNet]:
        """Together, as folds are that have the same rows."""
        encoder, rows, scaling = encode(features, target, weights, self._regression, self._scale)
        workers = self._settings.workers_per_gpu
        rows = TensorRows(*move_to_device(rows.tensors, self._device, workers))
        trainings = self._trainings(params, [rows] * len(seeds), seeds)

        with self._pool() as pool:
            for done in range(1, steps + 1):  # epoch by epoch: a stop waits for the end of one
                list(pool.map(Training.epoch, trainings))
                self.on_round(done, steps)
        trained = [weights for training in trainings for weights in training.snapshot()]
        return [FittedNet(encoder, scaling, trainings[0].net, weights) for weights in trained]

    def load(self, path: Path, state: dict[str, Any]) -> FittedNet:
        tensors = load_file(path)
        return FittedNet(
            Encoder.from_json(state["encoder"]),
            Scaling(**state["scaling"]) if state["scaling"] else None,
            Mlp(**state["net"]),
            Weights(tensors[WEIGHTS][None], tensors[STATS][:, None]),
        )

    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(1 if self._settings.gpu else self._settings.threads)

    def _trainings(
        self, params: Params, folds: Sequence[TensorRows], seeds: Sequence[int]
    ) -> list[Training]:
        """New networks for the folds, in their order: one training of all, or one for each.

        All take as many batches an epoch as the smallest fold has, so that the folds' numbers of
        rows, which differ by one or two, do not matter. Folds that differ by more than a batch (of
        a time split) each go through their own rows instead, in a training of their own.
        """
        # OpenMP's threads spin while they wait, which on a busy machine makes operations as small
        # as these ten times slower: one thread for an operation, the others train other folds.
        torch.set_num_threads(1)
        net = self._net(params, folds[0].x.shape[1])
        sizes = [max(2, len(rows.x)) for rows in folds]
        batch = min(params["batch_size"], min(sizes))
        even = max(sizes) - min(sizes) <= batch
        together = even and (self._settings.gpu or batch * net.width <= _SMALL_LAYER)
        cohorts = [range(len(folds))] if together else [range(k, k + 1) for k in range(len(folds))]
        batches = [(min(sizes) if even else sizes[cohort[0]]) // batch for cohort in cohorts]
        return [
            Training(
                net,
                self._step(net, cohort, batch, count, folds[0]),
                [folds[number] for number in cohort],
                learning_rate=params["learning_rate"],
                weight_decay=params["weight_decay"],
                epochs=self._max_steps,
                seeds=[seeds[number] for number in cohort],
            )
            for cohort, count in zip(cohorts, batches, strict=True)
        ]

    def _net(self, params: Params, inputs: int) -> Mlp:
        schema = self._settings.schema
        fixed = self._dropout
        periodic = bool(schema.numbers) and params.get("embedding") == "periodic"
        return Mlp(
            inputs=inputs,
            outputs=max(1, len(schema.classes)),
            layers=params["layers"],
            width=params["width"],
            slope=self._slope,
            dropout=params["dropout"] if fixed is None else fixed,
            numbers=len(schema.numbers) if periodic else 0,
            frequencies=_FREQUENCIES if periodic else 0,
            embedding=_EMBEDDING if periodic else 0,
            sigma=params["sigma"] if periodic else 0.0,
        )

    def _step(self, net: Mlp, cohort: range, batch: int, batches: int, like: TensorRows) -> Step:
        """On a GPU one for all trials of an architecture and batch size: it holds CUDA graphs."""
        sizes = (len(cohort), batch, batches)
        if not self._settings.gpu:
            return Step(net, *sizes, like, self._device, captured=False)
        weighted = like.weights is not None
        alike = replace(net, dropout=float(net.dropout > 0), sigma=0.0)
        key = (alike, cohort, batch, batches, weighted)
        step = self._steps.pop(key, None)
        if step is None:
            if len(self._steps) == _STEPS:
                del self._steps[next(iter(self._steps))]
            step = Step(net, *sizes, like, self._device, captured=True)
        self._steps[key] = step  # the one used last is the last to go
        return step

    def _prepare(self, folds: Sequence[FoldData]) -> list[EncodedFold]:
        """Encode the folds, once for all trials: nothing in it depends on parameters."""
        if self._prepared is None or self._prepared[0] is not folds:
            self._prepared = None  # before the next ones take their memory
            if self._settings.gpu:
                torch.cuda.empty_cache()  # or else it would not count as free
            workers = self._settings.workers_per_gpu
            encoded = encode_folds(folds, self._regression, self._scale, self._device, workers)
            self._prepared = folds, encoded
        return self._prepared[1]

    def _curve(
        self,
        steps: int,
        net: Mlp,
        fitted: list[Weights],
        folds: Sequence[FoldData],
        prepared: list[EncodedFold],
        score: Score,
    ) -> CrossValidated:
        """Score validation and training rows with the weights of the best epoch."""
        task = self._settings.schema.task
        error = metrics.error_function(task)
        found = []
        validated = []
        for weights, fold, rows in zip(fitted, folds, prepared, strict=True):
            valid, train = (
                (target, predictions(output(net, weights, x), rows.scaling), of_rows)
                for target, x, of_rows in (
                    (fold.valid_target, rows.valid, fold.valid_weights),
                    (fold.train_target, rows.train.x, fold.train_weights),
                )
            )
            found.append((score(*valid), score(*train), error(*valid), error(*train)))
            validated.append(valid)
        curve = CrossValidated(steps, *np.array(found, dtype=np.float64).T)
        return replace(curve, metrics=metrics.means(task, validated))
