"""The steps of the networks of some folds, a few at once: from their batches to new weights.

A GPU takes those few as one CUDA graph.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor

from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights

__all__ = [
    "ADAM",
    "RATES",
    "Step",
    "TensorRows",
    "clip",
    "clip_at_once",
    "in_pieces",
    "shared_inputs",
]

ADAM: Mapping[str, Any] = {
    "beta1": 0.9,
    "beta2": 0.99,
    "weight_decay": 0.0,
    "eps": 1e-8,
    "amsgrad": False,
    "maximize": False,
}
"""What is fixed of the fused optimiser, also where the parts of a step are measured alone."""
RATES = 4
"""Numbers that a step is told: see `Step._take`."""
_PIECES = 36
"""Views of the weights that a GPU's optimiser takes at once. It gives each at least one of its
blocks, and one to 65,536 weights: a vector in one piece keeps a few of its many processors busy."""
_UNITS_AT_ONCE = 2**21
"""Hidden units of one network whose batches a CPU draws at once: as many as its cache likes."""
_STEPS_AT_ONCE = 16
_INPUTS = 2**27
"""Most steps in a CUDA graph, and bytes for their inputs. Drawing batches costs some twenty
kernels, however many they are; but each kernel of a graph holds some of the GPU's memory too."""


@dataclass(frozen=True)
class TensorRows:
    """Encoded rows: on the device that trains, or on the host if they do not fit there.

    x: (rows, inputs) floats. y: (rows, 1) values or int64 class positions. weights: (rows, 1), or
    None where all weigh alike.
    """

    x: Tensor
    y: Tensor
    weights: Tensor | None = None

    @property
    def tensors(self) -> list[Tensor]:
        return [self.x, self.y] if self.weights is None else [self.x, self.y, self.weights]


class Step:
    """Gradient, clipping, AdamW and average: steps of the networks of some folds, a few at once.

    What a step reads and writes stays in place from trial to trial, the learning rate and weight
    decay are tensors, and nothing waits for the device. So a GPU can capture a few steps once
    (`captured`, the one switch) and replay them with a single launch, for all trials of an
    architecture, batch size and number of batches (and with or without dropout).

    batches: of an epoch. at_once: so many steps are taken at once, and fewer at its end.
    average: the network that predicts: the moving average of the weights, and BatchNorm's
    statistics of the weights themselves.
    """

    def __init__(
        self,
        net: Mlp,
        folds: int,
        batch: int,
        batches: int,
        like: TensorRows,
        device: torch.device,
        captured: bool = False,
    ) -> None:
        self.batch = batch
        self.batches = batches
        self._net = net
        # Only its memory counts: `begin` fills it.
        self.average = net.initial([torch.Generator(device) for _ in range(folds)], like.x.dtype)
        self._flat = self.average.flat.clone()
        self._gradient, self._first_moment, self._second_moment = torch.zeros(
            3, *self._flat.shape
        ).to(self._flat)
        self._layers, self._gradients = net.unflatten(self._flat), net.unflatten(self._gradient)
        self._norms = net.norms(folds, device)
        state = (self._flat, self._gradient, self._first_moment, self._second_moment)
        self._clip = clip_at_once if self._flat.is_cuda else clip
        self._pieces = tuple(in_pieces(part, _PIECES if captured else 1) for part in state)
        parts = _parts(net, folds, batch, like)
        if captured:
            graphs = -(-batches // max(1, min(_STEPS_AT_ONCE, _INPUTS // _size(parts))))
            self.at_once = -(-batches // graphs)  # of about one size
        else:
            widest = max(net.layers * net.width, like.x.shape[1])
            self.at_once = min(batches, max(1, _UNITS_AT_ONCE // (batch * widest)))
        size = self.at_once * _size(parts)
        shared = captured and size <= _INPUTS
        memory = shared_inputs(device) if shared else _memory(size, device)
        self._inputs = list(_laid_out(parts, self.at_once, memory))
        self._graphs: dict[int, Callable[[], None]] = {}
        if captured:
            for count in {self.at_once, (batches - 1) % self.at_once + 1}:
                for part in self.inputs(count):
                    part.fill_(1 if part.is_floating_point() else 0)  # a capture takes steps too
                self._graphs[count] = _Graph(self._take_each, *self.inputs(count))

    def begin(self, weights: Weights) -> None:
        """Forget everything and go on from `weights`."""
        self.average.copy_(weights)
        self._flat.copy_(weights.flat)
        self._first_moment.zero_()
        self._second_moment.zero_()

    def inputs(self, count: int) -> list[Tensor]:
        """Where the batches of the next `count` steps belong, in one tensor of each kind.

        x, y, masks, rates, and weights where the rows have some; each (count, …). See `_take`, and
        of all but the rates `Mlp.backpropagate`.
        """
        return [part[:count] for part in self._inputs]

    def __call__(self, count: int) -> None:
        """Take a step with each of the first `count` batches in `inputs`."""
        if self._graphs:
            self._graphs[count]()
        else:
            self._take_each(*self.inputs(count))

    def _take_each(self, *batches: Tensor) -> None:
        for batch in zip(*batches, strict=True):
            self._take(*batch)

    def _take(self, x: Tensor, y: Tensor, masks: Tensor, rates: Tensor, *weights: Tensor) -> None:
        """rates: the learning rate, what weight decay leaves of the weights, how far the average
        moves towards the new weights, and the number of the step, from 1 on."""
        # BatchNorm's running statistics lie in `average` and are updated there.
        self._net.backpropagate(
            self._layers, self._gradients, self._norms, self.average.stats, x, y, masks, *weights
        )
        self._clip(self._gradient)
        rate, left_by_decay, share_of_new, taken = rates.unbind()
        self._flat.mul_(left_by_decay)  # AdamW's decay: below it is a number, which a graph freezes
        # Without torch.optim, which imports the compiler: that takes every worker seconds.
        flat, gradient, first_moment, second_moment = self._pieces
        torch._fused_adamw_(
            flat,
            gradient,
            first_moment,
            second_moment,
            [],
            [taken] * len(flat),
            lr=rate,
            **ADAM,
        )
        self.average.flat.lerp_(self._flat, share_of_new.to(self._flat.dtype))


def in_pieces(tensor: Tensor, most: int) -> list[Tensor]:
    """At most so many views of its memory, of whole registers: what is calculated stays the same
    bit by bit."""
    return list(torch.split(tensor.view(-1), -(-tensor.numel() // (64 * most)) * 64))


def clip(gradient: Tensor) -> None:
    """Shorten each fold's gradient, (folds, weights), to a norm of 1 where it is longer."""
    norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    gradient.mul_(norms.add_(1e-6).reciprocal_().clamp_(max=1.0))


def clip_at_once(gradient: Tensor) -> None:
    """The same by three kernels instead of five, with other last digits."""
    gradient.renorm_(2, 0, 1.0)


_Part = tuple[tuple[int, ...], torch.dtype]


def _parts(net: Mlp, folds: int, batch: int, like: TensorRows) -> list[_Part]:
    """The inputs of a step: shapes and types."""
    floats, masked = like.x.dtype, net.layers if net.dropout else 0
    column = (batch, folds, 1)
    return [
        ((batch, folds, like.x.shape[1]), floats),
        (column, like.y.dtype),
        ((masked, batch, folds, net.width), floats),
        ((RATES,), torch.float32),  # as a GPU's optimiser reads them, whatever the weights are
        *([(column, floats)] if like.weights is not None else []),
    ]


def _size(parts: Sequence[_Part]) -> int:
    """Bytes that they take, each of them whole lines of a cache."""
    return sum(-(-prod(shape) * dtype.itemsize // 256) * 256 for shape, dtype in parts)


def _laid_out(parts: Sequence[_Part], count: int, memory: Tensor) -> Iterator[Tensor]:
    """So many of each part in one piece of `memory`."""
    at = 0
    for shape, dtype in parts:
        whole = memory[at : at + count * prod(shape) * dtype.itemsize]
        yield whole.view(dtype).view(count, *shape)
        at += count * _size([(shape, dtype)])


@cache
def shared_inputs(device: torch.device) -> Tensor:
    """Bytes for the inputs of all graphs, which run one after the other; `cache_clear` frees
    them with the last step that lies there."""
    return _memory(_INPUTS, device)


def _memory(size: int, device: torch.device) -> Tensor:
    return torch.empty(size, dtype=torch.uint8, device=device)


class _Graph:
    """A function that returns nothing, captured once as a CUDA graph: each call does the same
    again with what its inputs hold then."""

    def __init__(self, function: Callable[..., None], *inputs: Tensor) -> None:
        self._graph = torch.cuda.CUDAGraph()
        side = _side_stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # the libraries' first calls allocate, which no graph may
            function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self._graph, _graph_memory(), side, "thread_local"):
            function(*inputs)

    def __call__(self) -> None:
        self._graph.replay()


@cache
def _side_stream() -> torch.cuda.Stream:
    """One for all captures: the libraries keep memory for every stream that they have seen."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


@cache
def _graph_memory() -> Any:
    """One pool: graphs run one after the other, and none reads what another has left there."""
    return torch.cuda.graph_pool_handle()
