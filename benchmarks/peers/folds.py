"""A trial of a whole design: the folds that designs.py has written, a network of fixed size.

BENCH_TABLE names the folder with recipe.json and an .npz for each fold. What differs from trial to
trial is the rates, drawn from its index.
"""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from objective import N_FOLDS
from plain import Recipe, loaded, train_fold
from torch import Tensor

TABLE = Path(os.environ["BENCH_TABLE"])
CPU = torch.device("cpu")
torch.set_num_threads(1)


def recipe(index: int) -> Recipe:
    fixed = json.loads((TABLE / "recipe.json").read_text())
    chance = random.Random(index)
    rates = {
        "learning_rate": 10 ** chance.uniform(-2.5, -1.7),
        "weight_decay": 10 ** chance.uniform(-4, -2),
    }
    return Recipe(net=SimpleNamespace(**fixed.pop("net")), **fixed, **rates)  # type: ignore[arg-type]


@cache
def fold(number: int) -> dict[str, Tensor]:
    """x and y of the training rows, valid_x and valid_y; the targets are standardised."""
    with np.load(TABLE / f"fold_{number}.npz") as file:
        return {name: torch.from_numpy(array) for name, array in file.items()}


def r2(number: int, output: Tensor) -> float:
    target = fold(number)["valid_y"].double()
    error = (output.double() - target).square().sum()
    return float(1 - error / (target - target.mean()).square().sum())


def loader_fold(index: int, number: int) -> float:
    """Train one fold with a DataLoader and the plain loop."""
    rows = fold(number)
    output = train_fold(rows["x"], rows["y"], rows["valid_x"], recipe(index), CPU, loaded)
    return r2(number, output)


def loader(index: int) -> Iterator[float]:
    return (loader_fold(index, number) for number in range(N_FOLDS))


def ours(index: int) -> Iterator[float]:
    """Train with the product's trainer, fold by fold as it does on a CPU at such sizes."""
    import trainer

    from journal_launcher.tabular.models.neural_net.encoding import EncodedFold
    from journal_launcher.tabular.models.neural_net.mlp import Mlp
    from journal_launcher.tabular.models.neural_net.step import TensorRows

    plain = recipe(index)
    net = Mlp(**vars(plain.net))
    encoded = [
        EncodedFold(None, TensorRows(rows["x"], rows["y"]), rows["valid_x"])
        for rows in map(fold, range(N_FOLDS))
    ]
    train = trainer.ours(together=False, captured=False)
    return map(r2, range(N_FOLDS), train(encoded, replace(plain, net=net), CPU))
