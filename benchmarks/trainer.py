"""One trial's folds, trained in several ways: `python benchmarks/trainer.py housing.csv TARGET`.

Every way trains the same network with the same recipe on the same encoded folds, in one process;
they take turns, round after round. Prints a markdown table of medians. `--device cuda` runs on a
GPU, where the step is captured and vmap can be compiled (`--compile`). pytabkit takes part if it is
installed (`pip install '.[bench]'`), with a recipe of its own.
"""

import argparse
import importlib.util
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

# As in a worker; read when the libraries load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from plain import Batches, Recipe, indexed, loaded, plain_module, train_fold
from torch import Tensor, nn

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset
from journal_launcher.tabular.data.prepared import load, prepare
from journal_launcher.tabular.data.source import TableSource
from journal_launcher.tabular.models.neural_net.encoding import (
    EncodedFold,
    encode_folds,
    predictions,
)
from journal_launcher.tabular.models.neural_net.mlp import Mlp
from journal_launcher.tabular.models.neural_net.step import Step
from journal_launcher.tabular.models.neural_net.training import Training, output
from journal_launcher.tabular.task import fold_data

Way = Callable[[list[EncodedFold], Recipe, torch.device], list[Tensor]]


def whole_batches(folds: list[EncodedFold], recipe: Recipe) -> int:
    """Full batches of the smallest fold."""
    return min(len(fold.train.x) for fold in folds) // recipe.batch


def plain_loop(batches: Batches) -> Way:
    """One fold after the other."""

    def train(folds: list[EncodedFold], recipe: Recipe, device: torch.device) -> list[Tensor]:
        return [
            train_fold(fold.train.x, fold.train.y, fold.valid, recipe, device, batches)
            for fold in folds
        ]

    return train


def ours(together: bool, captured: bool) -> Way:
    """The trainer of the product; `captured` steps are kept, as a worker keeps them."""
    kept: dict[tuple[Mlp, range], Step] = {}

    def train(folds: list[EncodedFold], recipe: Recipe, device: torch.device) -> list[Tensor]:
        everything = range(len(folds))
        cohorts = [everything] if together else [range(number, number + 1) for number in everything]
        found = []
        for cohort in cohorts:
            rows = [folds[number].train for number in cohort]
            sizes = (len(rows), recipe.batch, whole_batches(folds, recipe))
            key = (recipe.net, cohort)
            if key not in kept:
                kept[key] = Step(recipe.net, *sizes, rows[0], device, captured)
            training = Training(
                recipe.net,
                kept[key],
                rows,
                learning_rate=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
                epochs=recipe.epochs,
                seeds=list(cohort),
            )
            for _ in range(recipe.epochs):
                training.epoch()
            for number, weights in zip(cohort, training.snapshot(), strict=True):
                found.append(output(recipe.net, weights, folds[number].valid))
        return found

    return train


def vmapped(compiled: bool) -> Way:
    """torch.func.vmap over the folds; BatchNorm predicts with the statistics of all rows."""

    def train(folds: list[EncodedFold], recipe: Recipe, device: torch.device) -> list[Tensor]:
        torch.manual_seed(0)
        modules = [plain_module(recipe.net, statistics=False).to(device) for _ in folds]
        stacked, _ = torch.func.stack_module_state(modules)  # type: ignore[arg-type]
        loss_of = nn.MSELoss() if folds[0].scaling else nn.CrossEntropyLoss()

        def loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
            result: Tensor = loss_of(torch.func.functional_call(modules[0], parameters, (x,)), y)
            return result

        gradients = torch.func.vmap(torch.func.grad(loss), randomness="different")
        gradients = torch.compile(gradients) if compiled else gradients
        optimiser = torch.optim.AdamW(
            stacked.values(), recipe.learning_rate, (0.9, 0.99), weight_decay=recipe.weight_decay
        )
        steps, taken = recipe.epochs * whole_batches(folds, recipe), 0
        for _ in range(recipe.epochs):
            parts = [indexed(fold.train.x, fold.train.y, recipe, device) for fold in folds]
            for _, *batch in zip(range(whole_batches(folds, recipe)), *parts, strict=False):
                taken += 1
                x, y = (torch.stack(part) for part in zip(*batch, strict=True))
                found = gradients(stacked, x, y if folds[0].scaling else y.squeeze(2))
                flat = torch.cat([part.flatten(1) for part in found.values()], dim=1)
                clip = (1.0 / flat.norm(dim=1)).clamp(max=1.0)
                for name, parameter in stacked.items():
                    parameter.grad = found[name] * clip.view(-1, *[1] * (found[name].dim() - 1))
                optimiser.param_groups[0]["lr"] = recipe.rate(taken, steps)
                optimiser.step()
        with torch.no_grad():
            trained = ({name: part[k] for name, part in stacked.items()} for k in range(len(folds)))
            modules[0].eval()
            return [
                torch.func.functional_call(modules[0], own, (fold.valid.to(device),))
                for own, fold in zip(trained, folds, strict=True)
            ]

    return train


def contenders(device: torch.device, compiled: bool) -> dict[str, Way]:
    gpu = device.type == "cuda"
    ways = {
        "DataLoader loop": plain_loop(loaded),
        "index batches": plain_loop(indexed),
        "vmap" + " + torch.compile" * compiled: vmapped(compiled),
        "ours, fold by fold": ours(together=False, captured=gpu),
        "ours, all folds together": ours(together=True, captured=gpu),
    }
    if gpu:
        ways["ours, all folds together, no graph"] = ours(together=True, captured=False)
    return ways


def read(options: argparse.Namespace, device: torch.device) -> tuple[Dataset, list[EncodedFold]]:
    """A table's five folds, encoded as the product does it."""
    source = TableSource(options.data, 0, target=options.target)
    with tempfile.TemporaryDirectory() as folder:
        dataset = load(Path(prepare(source, Path(folder))["directory"]))
        regression = dataset.schema.task == "regression"
        return dataset, encode_folds(fold_data(dataset), regression, scale=True, device=device)


def make_recipe(options: argparse.Namespace, dataset: Dataset, inputs: int) -> Recipe:
    net = Mlp(
        inputs=inputs,
        outputs=max(1, len(dataset.schema.classes)),
        layers=options.layers,
        width=options.width,
        slope=0.01,
        dropout=options.dropout,
    )
    return Recipe(net, options.batch, options.epochs)


def make_ways(
    options: argparse.Namespace, dataset: Dataset, recipe: Recipe, device: torch.device
) -> dict[str, tuple[Way, Recipe]]:
    numbers = len(dataset.schema.numbers)
    periodic = replace(recipe.net, numbers=numbers, frequencies=16, embedding=8, sigma=0.2)
    ways = {name: (way, recipe) for name, way in contenders(device, options.compile).items()}
    ways["ours, all folds together, periodic embeddings"] = (
        ours(together=True, captured=device.type == "cuda"),
        replace(recipe, net=periodic),
    )
    if importlib.util.find_spec("pytabkit") is not None:
        from peers.pytabkit_folds import Folds

        ways["nearest thing: pytabkit RealMLP, n_cv=5, its own recipe"] = (Folds(dataset), recipe)
    return ways


def add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--epochs", type=int, default=10)


@dataclass(frozen=True)
class Measured:
    """What the ways took: median seconds and mean score of each, and what failed of which one."""

    size: str
    steps: int
    metric: str
    seconds: dict[str, float]
    scores: dict[str, float]
    failed: dict[str, str]


def measure(options: argparse.Namespace) -> Measured:
    """Let the ways take turns; one that fails is left out of the later rounds."""
    torch.set_num_threads(1)
    device = torch.device(options.device)
    dataset, folds = read(options, device)
    recipe = make_recipe(options, dataset, folds[0].train.x.shape[1])
    ways = make_ways(options, dataset, recipe, device)
    metric = "r2" if dataset.schema.task == "regression" else "log_loss"
    score = metrics.score_function(metric, dataset.schema.task)
    targets = [dataset.target[fold.valid] for fold in dataset.folds]
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, float] = {}
    failed: dict[str, str] = {}
    for number in range(options.rounds + 1):  # the first warms up: imports, graphs, caches
        for name, (way, own) in ways.items():
            if name in failed:
                continue
            print(f"round {number}: {name}", file=sys.stderr)
            began = time.perf_counter()
            try:
                found = [part.cpu() for part in way(folds, own, device)]
            except Exception as error:  # a compiler that is not there, say
                failed[name] = f"{type(error).__name__}: {error}".partition("\n")[0]
                print(f"{name} failed: {failed[name]}", file=sys.stderr)
                continue
            seconds[name].append(time.perf_counter() - began)
            scores[name] = statistics.mean(
                score(target, predictions(part, fold.scaling))
                for target, part, fold in zip(targets, found, folds, strict=True)
            )
    return Measured(
        size=f"{recipe.net.layers} x {recipe.net.width}, batch {recipe.batch}",
        steps=whole_batches(folds, recipe) * recipe.epochs * len(folds),
        metric=metric,
        seconds={name: statistics.median(s[1:]) for name, s in seconds.items() if len(s) > 1},
        scores=scores,
        failed=failed,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("target", nargs="?")
    parser.add_argument("--device", default="cpu")
    add_recipe(parser)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    load = os.getloadavg()[0]
    print(f"{options.device}, load {load:.1f}, {found.size}, {found.steps:,} fold-steps\n")
    print(f"| way | s a trial | fold-steps/s | against the DataLoader loop | {found.metric} |")
    print("|---|---:|---:|---:|---:|")
    for name, median in found.seconds.items():
        times = found.seconds["DataLoader loop"] / median
        rate = f"{found.steps / median:,.0f}"
        print(f"| {name} | {median:.2f} | {rate} | {times:.2f} | {found.scores[name]:.4f} |")
    for name, why in found.failed.items():
        print(f"\n{name} failed: {why}")


if __name__ == "__main__":
    main()
