"""Where the tests of a GPU run: on one, or of a small size on the CPU, so that they do not rot."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from journal_launcher.tabular.models.neural_net.mlp import Mlp
from journal_launcher.tabular.models.neural_net.step import Step, TensorRows
from journal_launcher.tabular.models.neural_net.training import Training

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """A device. On a CPU what captures a step is the recorder of the other tests."""

    device: torch.device

    @property
    def cpu(self) -> bool:
        return self.device.type == "cpu"

    @property
    def gpus(self) -> str:
        """What `--gpus` is told."""
        return "none" if self.cpu else "auto"

    def sync(self) -> None:
        if not self.cpu:
            torch.cuda.synchronize()

    def generators(self, count: int) -> list[torch.Generator]:
        return [torch.Generator(self.device).manual_seed(seed) for seed in range(count)]

    def rows(
        self, net: Mlp, count: int, seed: int, dtype: torch.dtype = torch.float32
    ) -> TensorRows:
        """A fold's rows; as many classes as the network has outputs."""
        random = torch.Generator().manual_seed(seed)
        x = torch.randn(count, net.inputs, generator=random, dtype=torch.float64)
        y = x[:, :1].sin() + x[:, 1:2] * x[:, 2:3]
        if net.outputs > 1:
            y = torch.bucketize(y, torch.linspace(-1, 1, net.outputs - 1, dtype=torch.float64))
            return TensorRows(x.to(self.device, dtype), y.to(self.device))
        return TensorRows(x.to(self.device, dtype), y.to(self.device, dtype))

    def step(self, net: Mlp, folds: Sequence[TensorRows], batch: int, captured: bool) -> Step:
        batches = min(len(rows.x) for rows in folds) // batch
        return Step(net, len(folds), batch, batches, folds[0], self.device, captured)

    def training(
        self, net: Mlp, step: Step, folds: Sequence[TensorRows], epochs: int = 4
    ) -> Training:
        return Training(
            net,
            step,
            folds,
            learning_rate=0.01,
            weight_decay=0.01,
            epochs=epochs,
            seeds=list(range(len(folds))),
        )

    def masks(self, net: Mlp, batch: int, folds: int) -> Tensor:
        if not net.dropout:
            return torch.zeros(0, batch, folds, net.width, device=self.device)
        shape = (net.layers, batch, folds, net.width)
        random = torch.Generator(self.device).manual_seed(7)
        kept = torch.rand(shape, generator=random, device=self.device) >= net.dropout
        return kept.float() / (1 - net.dropout)
