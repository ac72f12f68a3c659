"""The network as anybody would write it, for one fold and for autograd."""

import torch
from torch import Tensor
from torch.nn import functional

from journal_launcher.tabular.models.neural_net.mlp import Mlp

__all__ = ["gradient", "one_fold"]


def embedded(x: Tensor, frequencies: Tensor, matrix: Tensor, bias: Tensor) -> Tensor:
    """As the paper writes it, one feature after the other; x: (rows, inputs)."""
    parts = []
    for number, own in enumerate(frequencies):
        waves = 2 * torch.pi * x[:, number : number + 1] * own
        waves = torch.cat([torch.cos(waves), torch.sin(waves)], dim=1)
        parts.append(functional.relu(functional.linear(waves, matrix[number], bias[number])))
    return torch.cat([*parts, x[:, len(frequencies) :]], dim=1)


def one_fold(net: Mlp, flat: Tensor, masks: Tensor, x: Tensor) -> Tensor:
    """The output of a fold alone, in training, written plainly; flat: (weights,)."""
    layers = net.unflatten(flat[None])
    if net.numbers:
        x = embedded(x, *(weights[0] for weights in layers.periodic))
    for number, (matrix, scale, shift) in enumerate(layers.hidden):
        x = functional.batch_norm(x @ matrix[0].T, None, None, scale[0], shift[0], training=True)
        x = functional.leaky_relu(x, net.slope)
        x = x * masks[number] if len(masks) else x
    return x @ layers.matrix[0].T + layers.bias[0]


def gradient(net: Mlp, flat: Tensor, masks: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Of a fold's mean loss, (weights,), by autograd in 64 bits; masks: of this fold.

    Without that of a shift which BatchNorm takes away: the product leaves it at zero.
    """
    x, masks, flat = x.double(), masks.double(), flat.detach().double().requires_grad_()
    output = one_fold(net, flat, masks, x)
    if y.is_floating_point():
        loss = functional.mse_loss(output, y.double())
    else:
        loss = functional.cross_entropy(output, y[:, 0])
    (found,) = torch.autograd.grad(loss, flat)
    if net.numbers:
        periodic = [weights[0] for weights in net.unflatten(flat[None].detach()).periodic]
        units = net.numbers * net.embedding
        always_on = (embedded(x, *periodic)[:, :units] > 0).all(0)
        bias = net.unflatten(found[None]).periodic[2]
        bias.masked_fill_(always_on.view_as(bias), 0.0)
    return found
