"""Time to the score of a plain loop: `python benchmarks/time_to_score.py sklearn:diabetes`.

For every seed, 40 trials of stock Optuna's TPE with the plain PyTorch loops of `trainer.py` (all
epochs, no pruning, in memory), and as many of the product's trainer, sampler, default pruner and
journal: the same folds, search space (without periodic embeddings, which the loops lack) and limit
of epochs, one process and thread, the ways taking turns. The loop's winner is scored again on four
fresh partitions, and so is each trial of ours that is the best so far, off the clock. Time to
score is when ours first has at least what the loop has at its end. Nothing starts warm: no default
parameters are queued. Ours goes on for 160 trials; a time is 0 times sooner if the score is not
reached in them.
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# As in a worker; read when the libraries load.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import optuna
import torch
from pruning import Case, Study, Table, side_by_side
from torch import Tensor
from trainer import Recipe, indexed, loaded, plain_loop

from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular import metrics
from journal_launcher.tabular.models import FoldData
from journal_launcher.tabular.models.neural_net.encoding import encode_folds, predictions

WAYS = {"DataLoader loop": plain_loop(loaded), "index batches": plain_loop(indexed)}
OURS = "journal_launcher"
LONGER = 4  # times as many trials, each many times as fast
Point = tuple[float, float, float]
"""(wall seconds, CPU seconds, score on the fresh folds, larger is better)"""


class Clock:
    """Seconds of the wall and of this process's CPU while it is running."""

    def __init__(self) -> None:
        self._spent, self._began = np.zeros(2), np.zeros(2)

    def __enter__(self) -> None:
        self._began = self._now()

    def __exit__(self, *error: object) -> None:
        self._spent += self._now() - self._began

    def _now(self) -> np.ndarray:
        return np.array([time.perf_counter(), time.process_time()])

    def point(self, score: float) -> Point:
        return *map(float, self._spent), score


class PlainLoop:
    """Cross-validation as anybody would write it, on the product's encoded folds."""

    def __init__(self, table: Table, way: str) -> None:
        self.model = table.objective("none").model
        self._way, self._regression = WAYS[way], table.dataset.schema.task == "regression"
        self._score = metrics.score_function(table.prepared["metric"], table.dataset.schema.task)
        self.folds = table.folds
        self._encoded: dict[int, Any] = {}

    def score(self, params: dict[str, Any], folds: tuple[FoldData, ...], seed: int) -> float:
        cpu = torch.device("cpu")
        if id(folds) not in self._encoded:
            self._encoded[id(folds)] = encode_folds(folds, self._regression, True, cpu)
        encoded = self._encoded[id(folds)]
        recipe = Recipe(
            self.model._net(params, encoded[0].train.x.shape[1]),
            min(params["batch_size"], min(len(fold.train.x) for fold in encoded)),
            self.model.max_steps,
            params["learning_rate"],
            params["weight_decay"],
            seed,
        )
        found: list[Tensor] = self._way(encoded, recipe, cpu)
        return float(
            np.mean(
                [
                    self._score(fold.valid_target, predictions(part, rows.scaling))
                    for part, fold, rows in zip(found, folds, encoded, strict=True)
                ]
            )
        )


def plain(table: Table, way: str, n_trials: int) -> Point:
    loop, clock = PlainLoop(table, way), Clock()
    study = optuna.create_study(
        direction=table.prepared["direction"],
        sampler=optuna.samplers.TPESampler(seed=table.seed),
    )
    with clock:
        for number in range(n_trials):
            trial = study.ask()
            study.tell(trial, loop.score(loop.model.suggest(trial), loop.folds, number))
    # With other first weights than in the study, as ours: those that suited it would help again.
    fresh = [loop.score(study.best_params, task.folds, n_trials) for task in table.unused]
    return clock.point(table.sign * float(np.mean(fresh)))


def ours(table: Table, n_trials: int, folder: Path) -> Iterator[Point]:
    study, clock = Study(table, LaunchSettings().pruner, folder, defaults=False), Clock()
    for number in range(n_trials):
        with clock:
            study.run_trial(number)
        best = study.record.best()
        if best is not None and best.number == number:
            found = [study.score(best, task)["score"] for task in table.unused]
            fresh = float(np.mean(found))
            yield clock.point(table.sign * fresh)


def run_seed(case: Case, n_trials: int) -> dict[str, list[Point]]:
    names = [*WAYS, OURS]
    turn = case[2] % len(names)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        table = Table(case, Path(folder), embedding="none")
        table.unused += [table.partition(f"never used {number}") for number in (2, 3)]
        for name in names[turn:] + names[:turn]:
            if name == OURS:
                found[name] = list(ours(table, LONGER * n_trials, Path(folder)))
            else:
                found[name] = [plain(table, name, n_trials)]
            print(json.dumps([*case, name, found[name]]), file=sys.stderr, flush=True)
    return found


def reached(points: list[Point], score: float, clock: int) -> float:
    """When the score was reached first; infinity: not within these trials."""
    return next((point[clock] for point in points if point[2] >= score), math.inf)


def print_table(seeds: list[dict[str, list[Point]]]) -> None:
    print("| against | times sooner, by CPU | by wall clock | not reached | scores at the end |")
    print("|---|---:|---:|---:|---:|")
    for name in WAYS:
        cpu, wall = (
            [one[name][-1][k] / reached(one[OURS], one[name][-1][2], k) for one in seeds]
            for k in (1, 0)
        )
        scores = (f"{np.mean([one[who][-1][2] for one in seeds]):.4f}" for who in (name, OURS))
        print(
            f"| {name} | {np.median(cpu):.1f} ({min(cpu):.1f} to {max(cpu):.1f}) "
            f"| {np.median(wall):.1f} ({min(wall):.1f} to {max(wall):.1f}) "
            f"| {cpu.count(0.0)} of {len(seeds)} | {', '.join(scores)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", default="sklearn:diabetes")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--n-trials", type=int, default=40)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    cases = [(options.data, "neural_net", seed) for seed in range(options.seeds)]
    found = [one for _, one in side_by_side(options.processes, run_seed, cases, options.n_trials)]
    pruner = LaunchSettings().pruner
    print(
        f"{options.data}, {options.n_trials} trials, pruner {pruner}, load {os.getloadavg()[0]:.1f}"
    )
    print_table(found)


if __name__ == "__main__":
    main()
