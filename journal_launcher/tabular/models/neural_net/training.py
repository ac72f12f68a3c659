"""How the networks of some folds are trained together, epoch by epoch: orders, batches, masks."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from journal_launcher.tabular.models.neural_net.mlp import Mlp, Weights
from journal_launcher.tabular.models.neural_net.step import Step, TensorRows

__all__ = ["Arriving", "Training", "ahead", "draw_masks", "epochs", "output"]

_DECAY = 0.99
"""Of the moving average of the weights, for each step after the first 890."""
_CONSTANT = 0.3
_FLOOR = 0.02
"""Share of the epochs with the full learning rate; what is left of it after the last one."""
_CHUNK = 8192
"""Rows predicted at once: bounds the memory of a wide network on a long table."""

Item = TypeVar("Item")


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
        epochs: int,
        seeds: Sequence[int],
    ) -> None:
        # BatchNorm needs two rows to have a variance.
        self._rows = [rows if len(rows.x) > 1 else _twice(rows) for rows in folds]
        self.net = net
        self._step = step
        flat = step.average.flat
        self._random = [torch.Generator(flat.device).manual_seed(seed) for seed in seeds]
        step.begin(net.initial(self._random, flat.dtype))
        rates = _schedule(learning_rate, weight_decay, step.batches * epochs)
        self._rates = rates.to(flat.device, torch.float32)
        self._done = 0  # epochs

    @property
    def fold_steps(self) -> int:
        """Batches that an epoch goes through, each fold's counted."""
        return self._step.batches * len(self._rows)

    def snapshot(self) -> list[Weights]:
        """A copy of each fold's network that predicts."""
        average = self._step.average.clone()
        return [average.fold(number) for number in range(len(self._rows))]

    def epoch(self) -> None:
        """Go through the rows once, in a new order; those of an unfinished batch rest."""
        step = self._step
        device = step.average.flat.device
        orders = [
            torch.randperm(len(rows.x), generator=random, device=device).to(rows.x.device)
            for rows, random in zip(self._rows, self._random, strict=True)
        ]
        rates = self._rates[self._done * step.batches :]
        for first in range(0, step.batches, step.at_once):
            count = min(step.at_once, step.batches - first)
            rows = slice(first * step.batch, (first + count) * step.batch)
            x, y, masks, of_rates, *weights = step.inputs(count)
            _gather([fold.x for fold in self._rows], orders, rows, x)
            _gather([fold.y for fold in self._rows], orders, rows, y)
            for into in weights:
                _gather([fold.weights for fold in self._rows], orders, rows, into)
            draw_masks(self.net.dropout, self._random, masks)
            of_rates.copy_(rates[first : first + count])
            step(count)
        self._done += 1


def _gather(
    tables: Sequence[Tensor | None], orders: list[Tensor], rows: slice, into: Tensor
) -> None:
    """Put the chosen rows of every fold into (batches, rows of a batch, folds, columns)."""
    for table, order, own in zip(tables, orders, into.flatten(0, 1).unbind(1), strict=True):
        assert table is not None
        if table.device == own.device:
            torch.index_select(table, 0, order[rows], out=own)
        else:  # copied while the device is busy with earlier batches
            own.copy_(table[order[rows]].pin_memory().to(own.device, non_blocking=True))


def _twice(rows: TensorRows) -> TensorRows:
    weights = None if rows.weights is None else rows.weights.repeat(2, 1)
    return TensorRows(rows.x.repeat(2, 1), rows.y.repeat(2, 1), weights)


def _schedule(rate: float, decay: float, steps: int) -> Tensor:
    """What each step is told, (steps, RATES)."""
    taken = torch.arange(1, steps + 1, dtype=torch.float64)
    rates = rate * ((1 - taken / steps) / (1 - _CONSTANT)).clamp_(_FLOOR, 1.0)
    # Early weights are far off: the average begins short.
    share_of_new = (9.0 / (taken + 10)).clamp_(min=1 - _DECAY)
    return torch.stack([rates, 1 - rates * decay, share_of_new, taken], dim=1)


def draw_masks(dropout: float, random: Sequence[torch.Generator], into: Tensor) -> None:
    """Draw masks for dropout, (batches, layers, rows, folds, width): 0 drops a unit, the others
    make up for it. random: of each fold.

    From raw bytes, which come many times faster than a random float for each unit. Without
    dropout there are masks for no layer.
    """
    if not dropout:
        return
    dropped = min(255, max(1, round(dropout * 256)))
    own = into.movedim(3, 0)
    units = own[0].numel()
    words = torch.empty(len(own), -(-units // 8), dtype=torch.int64, device=into.device)
    for of_fold, generator in zip(words, random, strict=True):
        of_fold.random_(-(2**63), None, generator=generator)
    # A signed byte is below `bound` with the probability of dropping. In integers, because a
    # comparison gives booleans, which are slow to turn into numbers.
    bound = dropped - 128
    kept = words.view(torch.int8)[:, :units].clamp_(bound - 1, bound).sub_(bound - 1)
    torch.mul(kept.view(own.shape), 256 / (256 - dropped), out=own)


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
