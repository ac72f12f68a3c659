"""A multi-layer perceptron in torch; all folds advance together, epoch by epoch."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from journal_launcher.base.settings import METRICS
from journal_launcher.worker import metrics
from journal_launcher.worker.models import (
    Curve,
    FoldData,
    ModelSettings,
    Params,
    Predictions,
    Report,
    Score,
)
from journal_launcher.worker.models.mlp import Mlp, Rows, Training, Weights
from journal_launcher.worker.models.network_check import Layer, inspect_network
from journal_launcher.worker.models.space import Space, Tuned, between, one_of
from journal_launcher.worker.preprocessing import Encoder
from journal_launcher.worker.table import Features

__all__ = ["FittedNet", "NeuralNet"]

_PATIENCE = 16
"""Epochs without a better mean score after which a trial ends."""
_ROWS_SEEN, _MOST_EPOCHS, _LEAST_EPOCHS = 640_000, 96, 24
"""Rows that a full training goes through, repeats counted, and the epochs that bound it."""
_CHUNK = 8192
"""Rows predicted at once: bounds the memory of a wide network on a long table."""
_WEIGHTS, _STATS = "weights", "batch_norm"


@dataclass(frozen=True)
class _Sizes:
    """What suits a number of rows: the choices, the second of which is the default."""

    layers: int
    dropout: float
    widths: tuple[int, ...]
    batches: tuple[int, ...]


_SMALL = _Sizes(layers=1, dropout=0.3, widths=(32, 64, 128), batches=(32, 64, 128))
_MEDIUM = _Sizes(layers=3, dropout=0.1, widths=(64, 128, 256), batches=(128, 256, 512))
_LARGE = _Sizes(layers=3, dropout=0.1, widths=(128, 256, 512), batches=(256, 512, 1024))


class NeuralNet(Tuned):
    """The MLP model type; trains on this worker's GPU, if it has one."""

    extension = "safetensors"
    unit = "epoch"

    def __init__(self, settings: ModelSettings) -> None:
        super().__init__(settings)
        self._settings = settings
        self._device = torch.device("cuda:0" if settings.gpu else "cpu")
        self._sizes = _SMALL if settings.n_rows < 2000 else _MEDIUM
        if settings.n_rows >= 50_000:
            self._sizes = _LARGE
        # Long tables need fewer rounds. Of the settings alone: a refit has the same epochs.
        epochs = _ROWS_SEEN // max(1, settings.n_rows)
        self._epochs = min(_MOST_EPOCHS, max(_LEAST_EPOCHS, epochs))
        self._prepared: tuple[Sequence[FoldData], list[_Prepared]] | None = None

    @property
    def limit(self) -> int:
        return self._epochs

    def space(self) -> Space:
        sizes = self._sizes
        space = {
            "layers": between(1, 3, default=sizes.layers, least=1),
            "width": one_of(sizes.widths, default=sizes.widths[1], least=1),
            "batch_size": one_of(sizes.batches, default=sizes.batches[1], least=2),
            "learning_rate": between(2e-3, 3e-2, default=1e-2, log=True, least=1e-6, most=10),
            "weight_decay": between(1e-4, 1e-1, default=1e-2, log=True, least=0, most=10),
        }
        if self._settings.dropout is None:
            space["dropout"] = between(0.0, 0.5, default=sizes.dropout, least=0, most=0.95)
        return space

    def cross_validate(
        self,
        params: Params,
        folds: Sequence[FoldData],
        score: Score,
        seed: int,
        report: Report,
        fixed: int | None = None,
    ) -> Curve:
        prepared = self._prepare(folds)
        smallest = min(len(fold.train.x) for fold in prepared)
        trainings = [
            self._training(params, fold.train, smallest, seed + number)
            for number, fold in enumerate(prepared)
        ]
        sign = 1.0 if METRICS[self._settings.metric] == "maximize" else -1.0
        steps, best = 0, -np.inf
        fitted: list[tuple[Mlp, Weights]] = []
        way: list[tuple[float, float]] = []
        epochs = fixed or self._epochs
        with ThreadPoolExecutor(1 if self._settings.gpu else self._settings.threads) as pool:
            for epoch in range(1, epochs + 1):
                list(pool.map(Training.epoch, trainings))
                found = [
                    score(fold.valid_target, rows.predict(net.net, net.average, rows.valid))
                    for fold, rows, net in zip(folds, prepared, trainings, strict=True)
                ]
                value = sign * float(np.mean(found))
                if fixed:
                    way.append((sign * value, _train_score(folds, prepared, trainings, score)))
                # The first epoch counts even if its score is not a number: the caller refuses it.
                if value > best or not fitted or epoch == fixed:
                    steps, best = epoch, value
                    fitted = [(training.net, training.average.clone()) for training in trainings]
                report(epoch, epochs, sign * best)
                if epoch - steps >= _PATIENCE and not fixed:
                    break
        curve = self._curve(steps, fitted, folds, prepared, score)
        return replace(curve, way=np.array(way).T) if fixed else curve

    def fit(
        self, params: Params, features: Features, target: NDArray[np.float64], steps: int, seed: int
    ) -> "FittedNet":
        """Train `steps` epochs; an epoch is ⌊rows ÷ batch⌋ full batches, as in a fold."""
        encoder, rows, scaling = self._encode(features, target)
        training = self._training(params, rows, len(rows.x), seed)
        for _ in range(steps):
            training.epoch()
        return FittedNet(encoder, scaling, training.net, training.average)

    def load(self, path: Path, state: dict[str, Any]) -> "FittedNet":
        tensors = load_file(path)
        return FittedNet(
            Encoder.from_json(state["encoder"]),
            Scaling(**state["scaling"]) if state["scaling"] else None,
            Mlp(**state["net"]),
            Weights(tensors[_WEIGHTS], tensors[_STATS]),
        )

    def _training(self, params: Params, rows: Rows, smallest: int, seed: int) -> Training:
        """A new network for `rows`; folds of any size take as many batches as the smallest."""
        # OpenMP's threads spin while they wait, which on a busy machine makes operations as small
        # as these ten times slower: one thread for an operation, the others train other folds.
        torch.set_num_threads(1)
        schema, fixed = self._settings.schema, self._settings.dropout
        net = Mlp(
            inputs=rows.x.shape[1],
            outputs=max(1, len(schema.classes)),
            layers=params["layers"],
            width=params["width"],
            slope=0.01 if self._settings.use_leaky_relu else 0.0,
            dropout=params["dropout"] if fixed is None else fixed,
        )
        smallest = max(2, smallest)
        batch = min(params["batch_size"], smallest)
        return Training(
            net,
            rows,
            learning_rate=params["learning_rate"],
            weight_decay=params["weight_decay"],
            batch=batch,
            batches=smallest // batch,
            epochs=self._epochs,
            seed=seed,
        )

    def _encode(
        self, features: Features, target: NDArray[np.float64]
    ) -> tuple[Encoder, Rows, "Scaling | None"]:
        encoder = Encoder.fit(features, self._settings.normalize_features)
        if self._settings.schema.task == "regression":
            scaling = Scaling(float(target.mean()), float(target.std()) or 1.0)
            y = torch.from_numpy((target - scaling.mean) / scaling.std).float()[:, None]
        else:
            scaling, y = None, torch.from_numpy(target).long()
        x = torch.from_numpy(encoder.transform(features))
        return encoder, Rows(x.to(self._device), y.to(self._device)), scaling

    def _prepare(self, folds: Sequence[FoldData]) -> "list[_Prepared]":
        """Encode the folds, once for all trials: nothing in it depends on parameters."""
        if self._prepared is None or self._prepared[0] is not folds:
            prepared = []
            for fold in folds:
                encoder, train, scaling = self._encode(fold.train, fold.train_target)
                valid = torch.from_numpy(encoder.transform(fold.valid)).to(self._device)
                prepared.append(_Prepared(scaling, train, valid))
            self._prepared = folds, prepared
        return self._prepared[1]

    def _curve(
        self,
        steps: int,
        fitted: list[tuple[Mlp, Weights]],
        folds: Sequence[FoldData],
        prepared: "list[_Prepared]",
        score: Score,
    ) -> Curve:
        """Score validation and training rows with the weights of the best epoch."""
        error = metrics.error(self._settings.schema.task)
        found = []
        for (net, weights), fold, rows in zip(fitted, folds, prepared, strict=True):
            valid = fold.valid_target, rows.predict(net, weights, rows.valid)
            train = fold.train_target, rows.predict(net, weights, rows.train.x)
            found.append((score(*valid), score(*train), error(*valid), error(*train)))
        return Curve(steps, *np.array(found, dtype=np.float64).T)


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of the training rows' target (a regression's)."""

    mean: float
    std: float


@dataclass(frozen=True)
class _Prepared:
    """One fold, encoded and on the device."""

    scaling: Scaling | None
    train: Rows
    valid: Tensor

    def predict(self, net: Mlp, weights: Weights, x: Tensor) -> Predictions:
        return _predict(net, weights, x, self.scaling)


def _train_score(
    folds: Sequence[FoldData],
    prepared: list[_Prepared],
    trainings: list[Training],
    score: Score,
) -> float:
    """The mean score of the folds' training rows now."""
    return float(
        np.mean(
            [
                score(fold.train_target, rows.predict(net.net, net.average, rows.train.x))
                for fold, rows, net in zip(folds, prepared, trainings, strict=True)
            ]
        )
    )


class FittedNet:
    """A trained network with its encoder; predicts on the CPU wherever it was trained."""

    def __init__(
        self, encoder: Encoder, scaling: Scaling | None, net: Mlp, weights: Weights
    ) -> None:
        self._encoder, self._scaling, self._net = encoder, scaling, net
        self._weights = Weights(weights.flat.cpu(), weights.stats.cpu())

    def predict(self, features: Features) -> Predictions:
        x = torch.from_numpy(self._encoder.transform(features))
        return _predict(self._net, self._weights, x, self._scaling)

    def diagnose(self, features: Features, target: NDArray[np.float64]) -> dict[str, Any]:
        """Gradients, dead units and weights; see `network_check`."""
        x = torch.from_numpy(self._encoder.transform(features))
        y = torch.from_numpy(target).long()
        if self._scaling is not None:
            scaled = (target - self._scaling.mean) / self._scaling.std
            y = torch.from_numpy(scaled).float()[:, None]

        def evaluate(flat: Tensor, x: Tensor) -> Tensor:
            return self._net.evaluate(Weights(flat, self._weights.stats), x)

        return inspect_network(evaluate, self._layers, self._weights.flat, x, y)

    def _layers(self, flat: Tensor) -> list[Layer]:
        *hidden, out, _ = self._net.unflatten(flat)
        pairs = zip(hidden[::3], hidden[2::3], strict=True)
        layers = [Layer(f"hidden {n}", *pair) for n, pair in enumerate(pairs, start=1)]
        return [*layers, Layer("output", out)]

    def save(self, path: Path) -> dict[str, Any]:
        save_file({_WEIGHTS: self._weights.flat, _STATS: self._weights.stats}, path)
        return {
            "encoder": self._encoder.to_json(),
            "scaling": None if self._scaling is None else asdict(self._scaling),
            "net": asdict(self._net),
        }


def _predict(net: Mlp, weights: Weights, x: Tensor, scaling: Scaling | None) -> Predictions:
    """Values in the target's units, (rows,), or without scaling probabilities (rows, classes)."""
    output = (
        torch.cat([net.evaluate(weights, part) for part in torch.split(x, _CHUNK)]).cpu().double()
    )
    if scaling is None:
        found = output.softmax(dim=1)
    else:
        found = output.squeeze(1) * scaling.std + scaling.mean
    return np.asarray(found.numpy(), dtype=np.float64)
