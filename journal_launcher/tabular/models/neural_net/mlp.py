"""The network itself: its layers, their flat weights, its predictions and its gradient.

Networks of one architecture train side by side, one for each fold: tensors have a dimension of
folds, and every operation computes all folds at once. Batches are (rows, folds, …), so that
BatchNorm sees a column for each unit of each fold and keeps the folds' statistics apart.

All weights of a network are one flat vector: clipping, the optimiser and the average are a few
operations each, whatever the number of layers. The gradient is written out instead of left to
autograd, whose bookkeeping costs more than the arithmetic of a small network.
"""

from dataclasses import dataclass
from math import pi, prod
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Mlp", "Weights"]

_EPS = 1e-5
_MOMENTUM = 0.1


@dataclass(frozen=True)
class Weights:
    """What networks have learned: flat weights, and BatchNorm's running mean and variance.

    flat: (folds, weights). stats: (2 * layers, folds, width), a layer's mean before its variance.
    """

    flat: Tensor
    stats: Tensor

    def clone(self) -> "Weights":
        return Weights(self.flat.clone(), self.stats.clone())

    def copy_(self, other: "Weights") -> None:
        self.flat.copy_(other.flat)
        self.stats.copy_(other.stats)

    def fold(self, number: int) -> "Weights":
        """A view of one fold's network, with a dimension of one fold."""
        one = slice(number, number + 1)
        return Weights(self.flat[one], self.stats[:, one])


@dataclass(frozen=True)
class _Layers:
    """Flat weights, or their gradient, and views of them; each (folds, …)."""

    flat: Tensor
    periodic: list[Tensor]
    """Frequencies, matrix and bias of the embeddings, if there are any."""
    hidden: list[tuple[Tensor, Tensor, Tensor]]
    """Matrix, scale and shift of each layer."""
    matrix: Tensor
    bias: Tensor


class _Passed(NamedTuple):
    """What the gradient of a hidden layer needs of its way forward.

    x: its input. linear: (rows, folds, width), before BatchNorm. scale, mean and inverse_std:
    (folds * width,), of BatchNorm, the last two of this batch. normal: (rows, folds * width), after
    BatchNorm and before the ReLU. factor: by which ReLU and dropout have then multiplied it in its
    place; None without dropout.
    """

    x: Tensor
    linear: Tensor
    scale: Tensor
    mean: Tensor
    inverse_std: Tensor
    normal: Tensor
    factor: Tensor | None


@dataclass(frozen=True)
class Mlp:
    """Hidden layers of linear (no bias), BatchNorm, leaky ReLU, dropout; then a linear output.

    slope: of the negative side, 0 for a plain ReLU. dropout: share of hidden units dropped.
    numbers: so many of the first inputs become periodic embeddings, each its own: cosines and
    sines of `frequencies` learned multiples of it, a linear layer to `embedding` units and a ReLU
    ("PLR" of arXiv 2203.05556). sigma: spread of the frequencies before training.
    """

    inputs: int
    outputs: int
    layers: int
    width: int
    slope: float
    dropout: float
    numbers: int = 0
    frequencies: int = 0
    embedding: int = 0
    sigma: float = 0.0

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes of one network's weights in its flat vector, in the order of `_Layers`."""
        n, inputs = self.numbers, self.inputs
        shapes: list[tuple[int, ...]] = []
        if n:
            waves = 2 * self.frequencies
            shapes += [(n, self.frequencies), (n, self.embedding, waves), (n, self.embedding)]
            inputs += n * (self.embedding - 1)
        for _ in range(self.layers):
            shapes += [(self.width, inputs), (self.width,), (self.width,)]
            inputs = self.width
        return [*shapes, (self.outputs, inputs), (self.outputs,)]

    def unflatten(self, flat: Tensor) -> _Layers:
        """Views of `flat`, (folds, weights)."""
        parts = torch.split(flat, [prod(shape) for shape in self.shapes], dim=1)
        views = [
            part.view(len(flat), *shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]
        first = 3 if self.numbers else 0
        *hidden, matrix, bias = views[first:]
        grouped = list(zip(hidden[::3], hidden[1::3], hidden[2::3], strict=True))
        return _Layers(flat, views[:first], grouped, matrix, bias)

    def norms(self, folds: int, device: torch.device) -> Tensor:
        """Where BatchNorm's scales and shifts of so many folds lie in their flat weights.

        (layers * 2 * folds * width,), a layer's scales before its shifts.
        """
        size = sum(map(prod, self.shapes))
        places = torch.arange(folds * size, device=device).view(folds, size)
        found = [part for _, *norms in self.unflatten(places).hidden for part in norms]
        return torch.stack(found).flatten()

    def initial(self, random: list[torch.Generator], dtype: torch.dtype) -> Weights:
        """Weights to begin with: a network for each generator, on the generators' device."""
        size = sum(map(prod, self.shapes))
        flat = torch.zeros(len(random), size, dtype=dtype, device=random[0].device)
        for number, generator in enumerate(random):
            layers = self.unflatten(flat[number : number + 1])
            for matrix in (*(layer[0] for layer in layers.hidden), layers.matrix):
                matrix.normal_(0.0, (2.0 / matrix.shape[2]) ** 0.5, generator=generator)
            for _, scale, _ in layers.hidden:
                scale.fill_(1.0)
            if layers.periodic:
                frequencies, *linear = layers.periodic
                frequencies.normal_(0.0, self.sigma, generator=generator)
                bound = (2 * self.frequencies) ** -0.5
                for weights in linear:
                    weights.uniform_(-bound, bound, generator=generator)
        stats = flat.new_tensor([0.0, 1.0] * self.layers)
        return Weights(flat, stats[:, None, None].repeat(1, len(random), self.width))

    def evaluate(self, weights: Weights, x: Tensor) -> Tensor:
        """(rows, folds, outputs) with BatchNorm's running statistics and nothing dropped."""
        layers = self.unflatten(weights.flat)
        if self.numbers:
            x = _embed(x, *layers.periodic)[0]
        for (matrix, scale, shift), mean, variance in zip(
            layers.hidden, weights.stats[::2], weights.stats[1::2], strict=True
        ):
            factor = scale * (variance + _EPS).rsqrt()
            x = _linear(x, matrix * factor[:, :, None]).add_(shift - mean * factor)
            x = functional.leaky_relu_(x, self.slope)
        return _linear(x, layers.matrix).add_(layers.bias)

    def backpropagate(
        self,
        layers: _Layers,
        into: _Layers,
        norms: Tensor,
        stats: Tensor,
        x: Tensor,
        y: Tensor,
        masks: Tensor,
        weights: Tensor | None = None,
    ) -> None:
        """Write the gradient of each fold's mean loss of a batch, squared error or cross-entropy.

        layers: the weights. into: the gradient. norms: as found by `norms`. stats: as in `Weights`,
        updated.
        x: (rows, folds, inputs). y: (rows, folds, 1) values or class positions.
        masks: (layers, rows, folds, width) for dropout, or empty. weights: (rows, folds, 1), by
        which the loss of each row is multiplied before the mean is taken.
        """
        passing = _embed(x, *layers.periodic) if self.numbers else None
        hidden, passed = x if passing is None else passing[0], []
        # BatchNorm wants them in one piece: all layers' in one operation each way.
        pieces = layers.flat.view(-1).index_select(0, norms).view(self.layers, 2, -1)
        for number, (matrix, _, _) in enumerate(layers.hidden):
            mask = masks[number].flatten(1) if len(masks) else None
            own = stats[2 * number : 2 * number + 2]
            hidden, layer = _forward(hidden, matrix, pieces[number], own, mask, self.slope)
            passed.append(layer)
        # From here on `back` is the gradient of what came before; back through a matrix is
        # `_linear` with its transpose.
        back = _loss_gradient(_linear(hidden, layers.matrix).add_(layers.bias), y)
        if weights is not None:
            back.mul_(weights)
        _matrix_gradient(back, hidden, into.matrix)
        torch.sum(back, 0, out=into.bias)
        back = _linear(back, layers.matrix.mT)
        found: list[Tensor] = []
        for number in reversed(range(self.layers)):
            back, *of_norm = _backward(back, passed[number], self.slope)
            found = [*of_norm, *found]
            _matrix_gradient(back, passed[number].x, into.hidden[number][0])
            if number or self.numbers:
                back = _linear(back, layers.hidden[number][0].mT)
        into.flat.view(-1).index_copy_(0, norms, torch.cat(found))
        if passing is not None:
            _embed_backward(back, x, *passing, into.periodic)


def _forward(
    x: Tensor, matrix: Tensor, norm: Tensor, stats: Tensor, mask: Tensor | None, slope: float
) -> tuple[Tensor, _Passed]:
    """What a hidden layer makes of x, and what its gradient needs.

    norm: scales and shifts. stats: running means and variances, updated. mask: (rows,
    folds * width), of dropout.
    """
    linear, (scale, shift), (mean, variance) = _linear(x, matrix), norm, stats
    normal, batch_mean, inverse_std = torch.native_batch_norm(
        linear.flatten(1),
        scale,
        shift,
        mean.view(-1),
        variance.view(-1),
        True,  # training: by the statistics of this batch
        _MOMENTUM,
        _EPS,
    )
    factor = None
    if mask is None:
        hidden = functional.leaky_relu(normal, slope)
    else:  # ReLU and mask in one, which serves both ways
        factor = torch.ops.aten.leaky_relu_backward(mask, normal, slope, False)
        hidden = normal.mul_(factor)
    passed = _Passed(x, linear, scale, batch_mean, inverse_std, normal, factor)
    return hidden.view_as(linear), passed


def _backward(back: Tensor, layer: _Passed, slope: float) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of a hidden layer's `linear`, of its scales and of its shifts."""
    columns = back.flatten(1)
    if layer.factor is None:
        columns = torch.ops.aten.leaky_relu_backward(columns, layer.normal, slope, False)
    else:
        columns.mul_(layer.factor)
    columns, of_scale, of_shift = torch.ops.aten.native_batch_norm_backward(
        columns,
        layer.linear.flatten(1),
        layer.scale,
        None,  # the running mean and variance, which training does not use
        None,
        layer.mean,
        layer.inverse_std,
        True,  # training
        _EPS,
        [True, True, True],  # the gradients of input, scale and shift
    )
    return columns.view_as(layer.linear), of_scale, of_shift


def _linear(x: Tensor, matrix: Tensor) -> Tensor:
    """(rows, folds, inputs) times each fold's (outputs, inputs): (rows, folds, outputs)."""
    if matrix.requires_grad:  # a diagnosis, left to autograd, which does not know `out`
        return torch.bmm(x.transpose(0, 1), matrix.mT).transpose(0, 1)
    out = x.new_empty(len(x), *matrix.shape[:2])
    torch.bmm(x.transpose(0, 1), matrix.mT, out=out.transpose(0, 1))
    return out


def _matrix_gradient(back: Tensor, x: Tensor, into: Tensor) -> None:
    """The gradient of the matrix of `_linear`, whose output has the gradient `back`."""
    torch.bmm(back.permute(1, 2, 0), x.transpose(0, 1), out=into)


def _loss_gradient(output: Tensor, y: Tensor) -> Tensor:
    """Of the mean loss of each fold, for each output."""
    if y.is_floating_point():
        return output.sub_(y).mul_(2.0 / len(output))
    error = output.softmax(dim=2)
    error.scatter_add_(2, y, error.new_full((1, 1, 1), -1.0).expand_as(y))
    return error.div_(len(error))


def _embed(
    x: Tensor, frequencies: Tensor, matrix: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The inputs with their numbers embedded, and the waves and matrices that the gradient needs.

    frequencies: (folds, numbers, frequencies of each). Each number of each fold has a matrix of its
    own, so they are a batch of folds * numbers matrices; waves: (rows, folds * numbers,
    2 * frequencies), the cosines before the sines.
    """
    folds, numbers, _ = frequencies.shape
    waves = _waves(x[:, :, :numbers, None] * (2 * pi * frequencies)).flatten(1, 2)
    matrices = matrix.reshape(folds * numbers, *matrix.shape[2:])
    hidden = _linear(waves, matrices)
    hidden = hidden.reshape(len(x), folds, -1).add_(bias.flatten(1)).relu_()
    return torch.cat([hidden, x[:, :, numbers:]], dim=2), waves, matrices


def _waves(angles: Tensor) -> Tensor:
    """Cosines and sines of the last dimension, one behind the other."""
    if angles.is_cuda and not angles.requires_grad:  # as in `_linear`
        return _in_halves(angles)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)  # a CPU wants memory in one piece


def _in_halves(angles: Tensor) -> Tensor:
    """The same without a copy, in place of a kernel more."""
    count = angles.shape[-1]
    waves = angles.new_empty(*angles.shape[:-1], 2 * count)
    torch.cos(angles, out=waves[..., :count])
    torch.sin(angles, out=waves[..., count:])
    return waves


def _embed_backward(
    back: Tensor,
    x: Tensor,
    embedded: Tensor,
    waves: Tensor,
    matrices: Tensor,
    into: list[Tensor],
) -> None:
    """Write the gradient of `_embed`, whose first result, `embedded`, has the gradient `back`."""
    of_frequencies, of_matrix, of_bias = into
    folds, numbers, count = of_frequencies.shape
    units = numbers * of_bias.shape[2]
    embedded = embedded[:, :, :units]
    back = torch.ops.aten.threshold_backward(back[:, :, :units], embedded, 0)
    # The bias of a unit that no row switches off is a shift, which BatchNorm takes away: what is
    # not zero here is rounding, and Adam would make steps of it.
    shifts = embedded.amin(0) > 0
    torch.sum(back, 0, out=of_bias.flatten(1)).masked_fill_(shifts, 0.0)
    back = back.reshape(len(x), folds * numbers, -1)
    of_matrix.copy_(torch.bmm(back.permute(1, 2, 0), waves.transpose(0, 1)).view_as(of_matrix))
    back = _linear(back, matrices.mT)
    of_cos, of_sin = torch.split(back, count, dim=2)
    cos, sin = torch.split(waves, count, dim=2)
    # The sine has the cosine for its derivative, the cosine minus the sine.
    of_angles = torch.addcmul(of_sin * cos, of_cos, sin, value=-1)
    of_angles = of_angles.view(len(x), *of_frequencies.shape).mul_(x[:, :, :numbers, None])
    torch.sum(of_angles, 0, out=of_frequencies).mul_(2 * pi)
