"""How the networks of some folds are trained together: batches, the step, and its CUDA graph."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights

__all__ = [
    "ADAM",
    "Arriving",
    "Step",
    "TensorRows",
    "Training",
    "ahead",
    "clip",
    "draw_masks",
    "epochs",
    "in_pieces",
    "output",
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
_DECAY = 0.99
"""Of the moving average of the weights, for each step after the first 890."""
_CONSTANT = 0.3
_FLOOR = 0.02
"""Share of the epochs with the full learning rate; what is left of it after the last one."""
_PIECES = 36
"""Views of the weights that a GPU's optimiser takes at once. It gives each at least one of its
blocks, and one to 65,536 weights: a vector in one piece keeps a few of its many processors busy."""
_RATES = 4
"""Columns of the schedule."""
_AT_ONCE = {"cpu": 2**21, "cuda": 2**24}
"""Hidden units of one network for which dropout masks are drawn at once, or inputs gathered: as
many as a CPU's cache likes; on a GPU each drawing costs some forty kernels, whatever its size, and
five folds of it take 0.7 GB for a moment."""
_CHUNK = 8192
"""Rows predicted at once: bounds the memory of a wide network on a long table."""

Item = TypeVar("Item")


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
    """Gradient, clipping, AdamW and average: one step of the networks of some folds.

    What a step writes stays in place from trial to trial, the learning rate and weight decay are
    tensors, and nothing waits for the device. So a GPU can capture the step once (`captured`, the
    one switch) and replay it with a single launch, for all trials of an architecture and batch
    size (and with or without dropout).

    average: the network that predicts: the moving average of the weights, and BatchNorm's
    statistics of the weights themselves.
    """

    def __init__(
        self,
        net: Mlp,
        folds: int,
        batch: int,
        like: TensorRows,
        device: torch.device,
        captured: bool = False,
    ) -> None:
        self.batch = batch
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
        self._pieces = tuple(in_pieces(part, _PIECES if captured else 1) for part in state)
        self._run: Callable[..., None] = self._take
        if captured:
            masks = (net.layers if net.dropout else 0, batch, folds, net.width)
            weights = [] if like.weights is None else [self._flat.new_ones(batch, folds, 1)]
            self._run = _Graph(
                self._take,
                self._flat.new_zeros(batch, folds, like.x.shape[1]),
                torch.zeros(batch, folds, 1, device=device, dtype=like.y.dtype),
                self._flat.new_zeros(masks),
                torch.ones(_RATES, device=device),
                *weights,
            )

    def begin(self, weights: Weights) -> None:
        """Forget everything and go on from `weights`."""
        self.average.copy_(weights)
        self._flat.copy_(weights.flat)
        self._first_moment.zero_()
        self._second_moment.zero_()

    def __call__(
        self, x: Tensor, y: Tensor, masks: Tensor, rates: Tensor, *weights: Tensor
    ) -> None:
        """Take one step. x, y, masks and weights, where the rows have some: see
        `Mlp.backpropagate`. rates: a row of `_schedule`."""
        self._run(x, y, masks, rates, *weights)  # `_take`, or its graph

    def _take(self, x: Tensor, y: Tensor, masks: Tensor, rates: Tensor, *weights: Tensor) -> None:
        # BatchNorm's running statistics lie in `average` and are updated there.
        self._net.backpropagate(
            self._layers, self._gradients, self._norms, self.average.stats, x, y, masks, *weights
        )
        clip(self._gradient)
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


class _Graph:
    """A function of tensors that returns nothing, captured once as a CUDA graph."""

    def __init__(self, function: Callable[..., None], *inputs: Tensor) -> None:
        self._inputs, self._graph = inputs, torch.cuda.CUDAGraph()
        side = _side_stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # the libraries' first calls allocate, which no graph may
            function(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        with torch.cuda.graph(self._graph, _graph_memory(), side, "thread_local"):
            function(*inputs)

    def __call__(self, *inputs: Tensor) -> None:
        for mine, given in zip(self._inputs, inputs, strict=True):
            mine.copy_(given)
        self._graph.replay()


@cache
def _side_stream() -> torch.cuda.Stream:
    """One for all captures: the libraries keep memory for every stream that they have seen."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


@cache
def _graph_memory() -> Any:
    """One pool: graphs run one after the other, and none reads what another has left there."""
    return torch.cuda.graph_pool_handle()


class Training:
    """The networks of some folds on their training rows, advanced an epoch at a time.

    The learning rate falls over `epochs`, the most that any training takes, so that epoch n is the
    same in cross-validation and in a refit that ends with it.

    seeds: one for each fold; a fold's weights, batches and masks depend on its own alone.
    """

    def __init__(
        self,
        net: Mlp,
        step: Step,
        folds: Sequence[TensorRows],
        *,
        learning_rate: float,
        weight_decay: float,
        batches: int,
        epochs: int,
        seeds: Sequence[int],
    ) -> None:
        # BatchNorm needs two rows to have a variance.
        self._rows = [rows if len(rows.x) > 1 else _twice(rows) for rows in folds]
        self.net = net
        self._step = step
        self._batches = batches
        flat = step.average.flat
        self._random = [torch.Generator(flat.device).manual_seed(seed) for seed in seeds]
        step.begin(net.initial(self._random, flat.dtype))
        # A GPU's optimiser reads the rate as 32 bits, whatever the weights are.
        rates = _schedule(learning_rate, weight_decay, batches * epochs)
        self._rates = rates.to(flat.device, torch.float32)
        self._done = 0  # epochs

    @property
    def fold_steps(self) -> int:
        """Batches that an epoch goes through, each fold's counted."""
        return self._batches * len(self._rows)

    def snapshot(self) -> list[Weights]:
        """A copy of each fold's network that predicts."""
        average = self._step.average.clone()
        return [average.fold(number) for number in range(len(self._rows))]

    def epoch(self) -> None:
        """Go through the rows once, in a new order; those of an unfinished batch rest."""
        net = self.net
        step = self._step
        flat = self._step.average.flat
        orders = [
            torch.randperm(len(rows.x), generator=random, device=flat.device).to(rows.x.device)
            for rows, random in zip(self._rows, self._random, strict=True)
        ]
        rates = self._rates[self._done * self._batches :]
        widest = max(net.layers * net.width, self._rows[0].x.shape[1])
        at_once = max(1, _AT_ONCE[flat.device.type] // (step.batch * widest))
        for first in range(0, self._batches, at_once):
            count = min(at_once, self._batches - first)
            rows = slice(first * step.batch, (first + count) * step.batch)
            x = self._gather([fold.x for fold in self._rows], orders, rows)
            y = self._gather([fold.y for fold in self._rows], orders, rows)
            shape = (count, net.layers, step.batch, net.width)
            drawn = [draw_masks(net.dropout, shape, random) for random in self._random]
            masks = _side_by_side(drawn, 3).to(flat.dtype)
            weights = [fold.weights for fold in self._rows if fold.weights is not None]
            weighed = [self._gather(weights, orders, rows)] if weights else []
            of_batches = (x, y, masks, rates[first : first + count], *weighed)
            for batch in zip(*of_batches, strict=True):
                step(*batch)
        self._done += 1

    def _gather(self, tables: list[Tensor], orders: list[Tensor], rows: slice) -> Tensor:
        """The chosen rows of every fold as (batches, rows of a batch, folds, columns)."""
        device = self._step.average.flat.device
        found = [table[order[rows]] for table, order in zip(tables, orders, strict=True)]
        if found[0].device != device:  # copied while the device is busy with earlier batches
            found = [part.pin_memory().to(device, non_blocking=True) for part in found]
        joined = _side_by_side(found, 1)
        return joined.view(-1, self._step.batch, *joined.shape[1:])


def _twice(rows: TensorRows) -> TensorRows:
    weights = None if rows.weights is None else rows.weights.repeat(2, 1)
    return TensorRows(rows.x.repeat(2, 1), rows.y.repeat(2, 1), weights)


def _side_by_side(folds: list[Tensor], dim: int) -> Tensor:
    """Stack without a copy where there is only one."""
    return folds[0].unsqueeze(dim) if len(folds) == 1 else torch.stack(folds, dim)


def _schedule(rate: float, decay: float, steps: int) -> Tensor:
    """For each step: the learning rate, what weight decay leaves of the weights, how far the
    average moves towards the new weights, and its number from 1 on; (steps, _RATES)."""
    taken = torch.arange(1, steps + 1, dtype=torch.float64)
    rates = rate * ((1 - taken / steps) / (1 - _CONSTANT)).clamp_(_FLOOR, 1.0)
    # Early weights are far off: the average begins short.
    share_of_new = (9.0 / (taken + 10)).clamp_(min=1 - _DECAY)
    return torch.stack([rates, 1 - rates * decay, share_of_new, taken], dim=1)


def draw_masks(dropout: float, shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    """Masks for dropout, (batches, layers, …): 0 drops a unit, the others make up for it.

    From raw bytes, which come many times faster than a random float for each unit. Without
    dropout there are masks for no layer.
    """
    if not dropout:
        return torch.empty(shape[0], 0, *shape[2:], device=random.device)
    dropped = min(255, max(1, round(dropout * 256)))
    units = prod(shape)
    words = torch.empty(-(-units // 8), dtype=torch.int64, device=random.device)
    words.random_(-(2**63), None, generator=random)
    # A signed byte is below `bound` with the probability of dropping. In integers, because a
    # comparison gives booleans, which are slow to turn into numbers.
    bound = dropped - 128
    kept = words.view(torch.int8)[:units].clamp_(bound - 1, bound).sub_(bound - 1)
    return kept.float().mul_(256 / (256 - dropped)).view(shape)


class Arriving:
    """Tensors that are copied to the host while the device goes on."""

    def __init__(self, tensors: list[Tensor]) -> None:
        self._tensors = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        self._copied: torch.cuda.Event | None = None
        if tensors[0].is_cuda:
            self._copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._copied.record()

    def wait(self) -> list[Tensor]:
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensors


def epochs(
    trainings: list[Training], valid: list[Tensor], count: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[list[Weights], Arriving]]:
    """Train epoch by epoch: each fold's weights then, and their output for its validation rows."""
    net = trainings[0].net
    for _ in range(count):
        list(pool.map(Training.epoch, trainings))
        weights = [fold for training in trainings for fold in training.snapshot()]
        found = pool.map(lambda own, rows: output(net, own, rows), weights, valid)
        yield weights, Arriving(list(found))


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, each given away when the next one is under way."""
    last = next(items)
    for item in items:
        yield last
        last = item
    yield last


def output(net: Mlp, weights: Weights, x: Tensor) -> Tensor:
    """(rows, outputs) of one network, on its device."""
    parts = (part.to(weights.flat.device)[:, None] for part in torch.split(x, _CHUNK))
    return torch.cat([net.evaluate(weights, part)[:, 0] for part in parts])
