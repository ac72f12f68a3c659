"""A trained network: predicts, tells how its training went, and writes itself to a file."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from journal_launcher.tabular.data.dataset import Features
from journal_launcher.tabular.models import Predictions
from journal_launcher.tabular.models.neural_net.encoding import Scaling, predictions
from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights
from journal_launcher.tabular.models.neural_net.network_check import Layer, inspect_network
from journal_launcher.tabular.models.neural_net.training import output
from journal_launcher.tabular.preprocessing import Encoder

__all__ = ["STATS", "WEIGHTS", "FittedNet"]

WEIGHTS = "weights"
STATS = "batch_norm"
"""Names of the tensors in the file."""


class FittedNet:
    """A trained network with its encoder; predicts on the CPU wherever it was trained."""

    def __init__(
        self, encoder: Encoder, scaling: Scaling | None, net: Mlp, weights: Weights
    ) -> None:
        self._encoder = encoder
        self._scaling = scaling
        self._net = net
        self._weights = Weights(weights.flat.cpu(), weights.stats.cpu())

    def predict(self, features: Features) -> Predictions:
        x = torch.from_numpy(self._encoder.transform(features))
        return predictions(output(self._net, self._weights, x), self._scaling)

    def diagnose(self, features: Features, target: NDArray[np.float64]) -> dict[str, Any]:
        """Gradients, dead units and weights; see `network_check`."""
        x = torch.from_numpy(self._encoder.transform(features))
        y = torch.from_numpy(target).long()
        if self._scaling is not None:
            scaled = (target - self._scaling.mean) / self._scaling.std
            y = torch.from_numpy(scaled).float()[:, None]

        def evaluate(flat: Tensor, x: Tensor) -> Tensor:
            return self._net.evaluate(Weights(flat, self._weights.stats), x[:, None])[:, 0]

        return inspect_network(evaluate, self._layers, self._weights.flat, x, y)

    def _layers(self, flat: Tensor) -> list[Layer]:
        layers = self._net.unflatten(flat)
        hidden = [
            Layer(f"hidden {number}", matrix, shift)
            for number, (matrix, _, shift) in enumerate(layers.hidden, start=1)
        ]
        return [*hidden, Layer("output", layers.matrix)]

    def save(self, path: Path) -> dict[str, Any]:
        weights = self._weights
        save_file({WEIGHTS: weights.flat[0], STATS: weights.stats[:, 0].contiguous()}, path)
        return {
            "encoder": self._encoder.to_json(),
            "scaling": None if self._scaling is None else asdict(self._scaling),
            "net": asdict(self._net),
        }
