"""The network itself: its layers, their flat weights, and how they are trained.

All weights of a network are one flat vector: clipping, the optimiser and the average are a few
operations each, whatever the number of layers. The gradient is written out instead of left to
autograd, whose bookkeeping costs more than the arithmetic of a small network.
"""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["Mlp", "Rows", "Training", "Weights"]

_EPS = 1e-5
_MOMENTUM = 0.1
_CLIP = 1.0
_DECAY = 0.99
"""Of the moving average of the weights, for each step."""
_CONSTANT, _FLOOR = 0.3, 0.02
"""Share of the epochs with the full learning rate; what is left of it after the last one."""


@dataclass(frozen=True)
class Rows:
    """Encoded rows on one device.

    x: (rows, inputs) float32. y: (rows, 1) float32 values or (rows,) int64 class positions.
    """

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Weights:
    """What a network has learned: flat weights, and BatchNorm's running mean and variance.

    stats: (2 * layers, width), the mean of a layer before its variance.
    """

    flat: Tensor
    stats: Tensor

    def clone(self) -> "Weights":
        return Weights(self.flat.clone(), self.stats.clone())


@dataclass(frozen=True)
class Mlp:
    """Hidden layers of linear (no bias), BatchNorm, leaky ReLU, dropout; then a linear output.

    slope: of the negative side, 0 for a plain ReLU. dropout: share of hidden units dropped.
    """

    inputs: int
    outputs: int
    layers: int
    width: int
    slope: float
    dropout: float

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shapes in the flat vector: each layer's matrix, scale and shift; output matrix, bias."""
        shapes: list[tuple[int, ...]] = []
        inputs = self.inputs
        for _ in range(self.layers):
            shapes += [(self.width, inputs), (self.width,), (self.width,)]
            inputs = self.width
        return [*shapes, (self.outputs, inputs), (self.outputs,)]

    def unflatten(self, flat: Tensor) -> list[Tensor]:
        """Views of `flat`, in the order of `shapes`."""
        parts = torch.split(flat, [prod(shape) for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def initial(self, generator: torch.Generator) -> Weights:
        """Weights to begin with, on the generator's device."""
        device = generator.device
        flat = torch.zeros(sum(map(prod, self.shapes)), device=device)
        *hidden, out, _ = self.unflatten(flat)
        for matrix in (*hidden[::3], out):
            matrix.normal_(0.0, (2.0 / matrix.shape[1]) ** 0.5, generator=generator)
        for scale in hidden[1::3]:
            scale.fill_(1.0)
        stats = torch.tensor([0.0, 1.0] * self.layers, device=device)
        return Weights(flat, stats[:, None].repeat(1, self.width))

    def evaluate(self, weights: Weights, x: Tensor) -> Tensor:
        """(rows, outputs) with BatchNorm's running statistics and nothing dropped."""
        *hidden, out, bias = self.unflatten(weights.flat)
        for layer in range(self.layers):
            matrix, scale, shift = hidden[3 * layer : 3 * layer + 3]
            mean, variance = weights.stats[2 * layer : 2 * layer + 2]
            factor = scale * (variance + _EPS).rsqrt()
            x = torch.addmm(shift - mean * factor, x, (matrix * factor[:, None]).T)
            x = functional.leaky_relu_(x, self.slope)
        return torch.addmm(bias, x, out.T)


class Training:
    """One network on its training rows, advanced an epoch at a time.

    The learning rate falls over `epochs`, the most that any training takes, so that epoch n is the
    same in cross-validation and in a refit that ends with it.

    average: the moving average of the weights, which is the network that predicts.
    """

    def __init__(
        self,
        net: Mlp,
        rows: Rows,
        *,
        learning_rate: float,
        weight_decay: float,
        batch: int,
        batches: int,
        epochs: int,
        seed: int,
    ) -> None:
        if len(rows.x) == 1:
            # BatchNorm needs two rows to have a variance.
            rows = Rows(rows.x.repeat(2, 1), torch.cat([rows.y, rows.y]))
        self.net = net
        self._rows, self._batch, self._batches = rows, batch, batches
        self._rate, self._total = learning_rate, batches * epochs
        self._random = torch.Generator(rows.x.device).manual_seed(seed)
        self.average = net.initial(self._random)
        self._flat = self.average.flat.clone()
        self._gradient = torch.zeros_like(self._flat)
        self._weights, self._gradients = net.unflatten(self._flat), net.unflatten(self._gradient)
        self._adam = AdamW(self._flat, self._gradient, weight_decay)
        self._steps = 0

    def epoch(self) -> None:
        """Go through the rows once, in a new order; those of an unfinished batch rest."""
        x, y = self._rows.x, self._rows.y
        order = torch.randperm(len(x), generator=self._random, device=x.device)
        order = order[: self._batches * self._batch]
        # Gathered once: cheaper than an index operation in every step.
        x, y = x[order], y[order]
        for start in range(0, len(order), self._batch):
            self._step(x[start : start + self._batch], y[start : start + self._batch])

    def _step(self, x: Tensor, y: Tensor) -> None:
        self._steps += 1
        self.backpropagate(x, y)
        left = (1 - self._steps / self._total) / (1 - _CONSTANT)
        self._adam.step(self._rate * min(1.0, max(_FLOOR, left)))
        # Early weights are far off: the average begins short.
        self.average.flat.lerp_(self._flat, max(1 - _DECAY, 9.0 / (self._steps + 10)))

    def backpropagate(self, x: Tensor, y: Tensor) -> Tensor:
        """The flat gradient of the mean loss of one batch: squared error or cross-entropy."""
        masks = self.draw_masks()
        trace = []
        *hidden, out, bias = self._weights
        for layer in range(self.net.layers):
            matrix, scale, shift = hidden[3 * layer : 3 * layer + 3]
            mean, variance = self.average.stats[2 * layer : 2 * layer + 2]
            linear = x @ matrix.T
            normal, *saved = torch.native_batch_norm(
                linear, scale, shift, mean, variance, True, _MOMENTUM, _EPS
            )
            trace.append((x, linear, normal, saved))
            x = functional.leaky_relu(normal, self.net.slope)
            if masks is not None:
                x.mul_(masks[layer])
        error = _loss_gradient(torch.addmm(bias, x, out.T), y)
        *gradients, out_gradient, bias_gradient = self._gradients
        torch.mm(error.T, x, out=out_gradient)
        torch.sum(error, 0, out=bias_gradient)
        back = error @ out
        for layer in reversed(range(self.net.layers)):
            matrix, scale, _ = hidden[3 * layer : 3 * layer + 3]
            x, linear, normal, saved = trace[layer]
            if masks is not None:
                back.mul_(masks[layer])
            back = torch.ops.aten.leaky_relu_backward(back, normal, self.net.slope, False)
            back, *found = torch.ops.aten.native_batch_norm_backward(
                back, linear, scale, None, None, *saved, True, _EPS, [True, True, True]
            )
            gradients[3 * layer + 1].copy_(found[0])
            gradients[3 * layer + 2].copy_(found[1])
            torch.mm(back.T, x, out=gradients[3 * layer])
            if layer:
                back = back @ matrix
        return self._gradient

    def draw_masks(self) -> Tensor | None:
        """(layers, batch, width) for dropout: 0 drops a unit, the others make up for it.

        From raw bytes, which come many times faster than a random float for each unit.
        """
        dropped = min(255, round(self.net.dropout * 256))
        if not dropped:
            return None
        units = self.net.layers * self._batch * self.net.width
        words = torch.empty(-(-units // 8), dtype=torch.int64, device=self._random.device)
        words.random_(-(2**63), None, generator=self._random)
        # A signed byte is below `bound` with the probability of dropping. In integers, because a
        # comparison gives booleans, which are slow to turn into numbers.
        bound = dropped - 128
        kept = words.view(torch.int8)[:units].clamp_(bound - 1, bound).sub_(bound - 1)
        masks = kept.float().mul_(256 / (256 - dropped))
        return masks.view(self.net.layers, self._batch, self.net.width)


def _loss_gradient(output: Tensor, target: Tensor) -> Tensor:
    """Of the mean loss, for each output."""
    if target.is_floating_point():
        return (output - target).mul_(2.0 / len(output))
    error = output.softmax(dim=1)
    error[torch.arange(len(error), device=error.device), target] -= 1.0
    return error.div_(len(error))


class AdamW:
    """AdamW with a clipped gradient, on flat vectors and in place.

    By hand: torch.optim imports the compiler on first use, which takes every worker seconds.
    """

    def __init__(self, flat: Tensor, gradient: Tensor, decay: float) -> None:
        self._flat, self._gradient, self._decay = flat, gradient, decay
        self._mean, self._square = torch.zeros_like(flat), torch.zeros_like(flat)
        self._steps = 0

    def step(self, rate: float) -> None:
        """Move the weights against the gradient, which is clipped in place."""
        self._steps += 1
        gradient, first, second = self._gradient, 0.9, 0.99
        norm = gradient.dot(gradient).sqrt_()
        gradient.mul_((_CLIP / (norm + 1e-6)).clamp_(max=1.0))
        self._mean.lerp_(gradient, 1 - first)
        self._square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = self._square.div(1 - second**self._steps).sqrt_().add_(1e-8)
        self._flat.mul_(1 - rate * self._decay)
        self._flat.addcdiv_(self._mean, root, value=-rate / (1 - first**self._steps))
