"""The training loop that anybody would write: modules, autograd and torch.optim, one fold a call.

Imports torch alone, so that a process for every fold pays for nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

if TYPE_CHECKING:
    from journal_launcher.tabular.models.neural_net.mlp import Mlp

__all__ = ["Recipe", "indexed", "loaded", "plain_module", "train_fold"]

AVERAGED = 0.99  # of the moving average of the weights, for each step


@dataclass(frozen=True)
class Recipe:
    net: Mlp
    batch: int
    epochs: int
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    seed: int = 0

    def rate(self, step: int, steps: int) -> float:
        return self.learning_rate * min(1.0, max(0.02, (1 - step / steps) / 0.7))


Batches = Callable[[Tensor, Tensor, Recipe, torch.device], Iterable[list[Tensor]]]


def plain_module(net: Mlp, statistics: bool = True) -> nn.Sequential:
    """What anybody would write, with the same first weights."""
    layers: list[nn.Module] = []
    inputs = net.inputs
    for _ in range(net.layers):
        linear = nn.Linear(inputs, net.width, bias=False)
        layers += [linear, nn.BatchNorm1d(net.width, track_running_stats=statistics)]
        layers += [nn.LeakyReLU(net.slope), nn.Dropout(net.dropout)]
        inputs = net.width
    layers.append(nn.Linear(inputs, net.outputs))
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, 0.0, (2.0 / layer.in_features) ** 0.5)
    nn.init.zeros_(layers[-1].bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)


def loaded(x: Tensor, y: Tensor, recipe: Recipe, device: torch.device) -> Iterable[list[Tensor]]:
    """Batches from a DataLoader over the host's memory."""
    table = TensorDataset(x.cpu(), y.cpu())
    for batch in DataLoader(table, recipe.batch, shuffle=True, drop_last=True):
        yield [part.to(device) for part in batch]


def indexed(x: Tensor, y: Tensor, recipe: Recipe, device: torch.device) -> Iterable[list[Tensor]]:
    """Batches by index from rows that lie on the device."""
    order = torch.randperm(len(x), device=device)
    for rows in order.split(recipe.batch):
        if len(rows) == recipe.batch:
            yield [x[rows], y[rows]]


def train_fold(
    x: Tensor, y: Tensor, valid: Tensor, recipe: Recipe, device: torch.device, batches: Batches
) -> Tensor:
    """Train on x (rows, inputs) and y (rows, 1); the output for the rows `valid`."""
    torch.manual_seed(recipe.seed)
    module = plain_module(recipe.net).to(device)
    optimiser = torch.optim.AdamW(
        module.parameters(), recipe.learning_rate, (0.9, 0.99), weight_decay=recipe.weight_decay
    )
    average = [parameter.detach().clone() for parameter in module.parameters()]
    regression = y.is_floating_point()
    loss_of = nn.MSELoss() if regression else nn.CrossEntropyLoss()
    steps, taken = recipe.epochs * (len(x) // recipe.batch), 0
    for _ in range(recipe.epochs):
        for rows, target in batches(x, y, recipe, device):
            taken += 1
            loss = loss_of(module(rows), target if regression else target.squeeze(1))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimiser.param_groups[0]["lr"] = recipe.rate(taken, steps)
            optimiser.step()
            current = [parameter.detach() for parameter in module.parameters()]
            torch._foreach_lerp_(average, current, max(1 - AVERAGED, 9 / (taken + 10)))
    with torch.no_grad():
        for parameter, averaged in zip(module.parameters(), average, strict=True):
            parameter.copy_(averaged)
        found: Tensor = module.eval()(valid.to(device))
    return found
