"""The objective that every peer runs: BENCH_WORK says which, the trial's index says which trial.

train: three folds of the built-in network on scikit-learn's diabetes data with fixed parameters;
sleep: nothing but time, lengths spread over 10x; trivial: nothing at all; loader, ours: the folds
of designs.py, trained with a DataLoader and the plain loop, or by the product's trainer.
"""

import os
import random
import statistics
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import optuna

WORK = os.environ.get("BENCH_WORK")  # launcher.py asks for the lengths alone, without it
N_FOLDS = 5  # of designs.py


def sleep_seconds(index: int) -> float:
    """From a tenth of BENCH_LONGEST up to it, evenly on a logarithmic scale."""
    return float(os.environ["BENCH_LONGEST"]) * 10 ** (random.Random(index).random() - 1)


class Training:
    """Our own cross-validation of fixed parameters, with the data prepared once per process."""

    def __init__(self) -> None:
        from journal_launcher.tabular.data.prepared import load, prepare
        from journal_launcher.tabular.data.source import TableSource
        from journal_launcher.tabular.models import ModelSettings
        from journal_launcher.tabular.task import TableTask
        from journal_launcher.worker.jobs.table import TableObjective

        prepared = prepare(
            TableSource("sklearn:diabetes", 0), Path(os.environ["BENCH_DIR"]) / "cache"
        )
        table = load(Path(prepared["directory"]))
        settings = ModelSettings(
            table.schema, len(table.train), prepared["metric"], name="neural_net"
        )
        self.objective = TableObjective(TableTask(table, settings, 0), True, lambda *_: None)

    def __call__(self, index: int) -> float:
        chance = random.Random(index)
        params: dict[str, Any] = {
            **self.objective.defaults(),
            "learning_rate": 10 ** chance.uniform(-3, -2),
            "weight_decay": 10 ** chance.uniform(-5, -2),
        }
        return self.objective(optuna.trial.FixedTrial(params, number=index))


def recorded(index: int, scores: Iterable[float]) -> float:
    """The trial's value, also left where designs.py compares it with that of the other ways."""
    value = statistics.fmean(scores)
    Path(os.environ["BENCH_DIR"], f"{index}.score").write_text(repr(value))
    return value


_training: Training | None = None


def run(index: int) -> float:
    global _training
    if WORK == "sleep":
        time.sleep(sleep_seconds(index))
        return float(index)
    if WORK == "trivial":
        return float(index)
    if WORK in ("loader", "ours"):
        import folds

        return recorded(index, getattr(folds, WORK)(index))
    if _training is None:
        import torch

        torch.set_num_threads(1)
        _training = Training()
    return _training(index)


def objective(trial: optuna.Trial) -> float:
    return run(trial.suggest_int("index", 0, 10**6))
