"""What a trained network looks like inside: gradients, units that do nothing, weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Layer", "inspect_network"]

_BATCH = 64
"""Rows whose mean loss makes one gradient; norms are averaged over all batches."""


@dataclass(frozen=True)
class Layer:
    """One layer's part of a flat vector. shift: what each hidden unit adds before it is cut off."""

    name: str
    matrix: Tensor
    shift: Tensor | None = None


def inspect_network(
    evaluate: Callable[[Tensor, Tensor], Tensor],
    layers: Callable[[Tensor], list[Layer]],
    weights: Tensor,
    x: Tensor,
    y: Tensor,
) -> dict[str, Any]:
    """Look at a network through its flat `weights` alone.

    evaluate: (weights, x) -> (rows, outputs), left to autograd. layers: views of a vector like
    `weights`. x, y: encoded rows with (rows, 1) values or (rows,) class positions.

    Returns:
        rows; layers: name, gradient_norm, dead_units (share; none for the output) and statistics
        of the weights of each; gradient_spread: largest norm ÷ smallest; dead_units: share of all.
    """
    weights = weights.detach()
    norms = [_gradient_norms(evaluate, layers, weights, *rows) for rows in _batches(x, y)]
    mean_norms = torch.stack(norms).mean(dim=0).tolist()
    idle = [_idle_units(layer.shift) for layer in layers(_influence(evaluate, weights, x))]
    described = [
        {"name": layer.name, "gradient_norm": norm, **_share(units), **_statistics(layer.matrix)}
        for layer, norm, units in zip(layers(weights), mean_norms, idle, strict=True)
    ]
    spread = (max(mean_norms) + _TINY) / (min(mean_norms) + _TINY)
    units = torch.cat([found for found in idle if found is not None])
    return {"rows": len(x), "layers": described, "gradient_spread": spread, **_share(units)}


_TINY = torch.finfo(torch.float32).tiny


def _batches(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(torch.split(x, _BATCH), torch.split(y, _BATCH), strict=True))


def _gradient_norms(
    evaluate: Callable[[Tensor, Tensor], Tensor],
    layers: Callable[[Tensor], list[Layer]],
    weights: Tensor,
    x: Tensor,
    y: Tensor,
) -> Tensor:
    """(layers,) norms of the gradient of one batch's mean loss."""
    leaf = weights.clone().requires_grad_()
    loss_of = functional.mse_loss if y.is_floating_point() else functional.cross_entropy
    (gradient,) = torch.autograd.grad(loss_of(evaluate(leaf, x), y), leaf)
    return torch.stack([layer.matrix.norm() for layer in layers(gradient)])


def _influence(evaluate: Callable[[Tensor, Tensor], Tensor], weights: Tensor, x: Tensor) -> Tensor:
    """What a change of each weight does to a random mixture of all outputs."""
    leaf = weights.clone().requires_grad_()
    output = evaluate(leaf, x)
    mixture = torch.randn(output.shape, generator=torch.Generator().manual_seed(0))
    (influence,) = torch.autograd.grad((output * mixture).sum(), leaf)
    return influence


def _idle_units(influence: Tensor | None) -> Tensor | None:
    """(units,) where a shift changes nothing on any row: a ReLU lets nothing of them through."""
    return None if influence is None else influence.flatten() == 0


def _share(idle: Tensor | None) -> dict[str, float]:
    return {} if idle is None else {"dead_units": float(idle.float().mean())}


def _statistics(matrix: Tensor) -> dict[str, Any]:
    low = matrix.min()
    high = matrix.max()
    found = {"mean": matrix.mean(), "std": matrix.std(), "min": low, "max": high}
    return {"weights": {name: float(value) for name, value in found.items()}}
