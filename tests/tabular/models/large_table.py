"""One trial of a large table in a process of its own: what it took, as a line of JSON."""

import json
import resource
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np

from journal_launcher.tabular.baselines import dummy_score
from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Fold, Schema
from journal_launcher.tabular.models import ModelSettings, ModelType, make_model
from journal_launcher.tabular.task import TableTask

SIZES = {"wide": (600, 300, 20), "long": (200_000, 20, 0)}
"""Rows, columns, classes."""


def _settings(name: str, rows: int, columns: int, classes: int) -> ModelSettings:
    inputs = tuple(Column(f"c{number}", "number") for number in range(columns))
    task = "classification" if classes else "regression"
    schema = Schema(inputs, "y", task, tuple(map(str, range(classes))))
    return ModelSettings(schema, rows, "log_loss" if classes else "rmse", name=name)


def model_of(name: str, rows: int, columns: int, classes: int) -> ModelType:
    return make_model(_settings(name, rows, columns, classes))


def _table(rows: int, columns: int, classes: int, folds: int) -> Dataset:
    """Classes lie around centres; a regression bends in two columns."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(rows, columns))
    if classes:
        target = rng.integers(classes, size=rows).astype(np.float64)
        numbers[:, : columns // 2] += rng.normal(size=(classes, columns // 2))[target.astype(int)]
    else:
        target = numbers[:, 0] + np.sin(3 * numbers[:, 1]) + 0.3 * rng.normal(size=rows)
    every, number = np.arange(rows), np.arange(rows) % folds
    cuts = [Fold(every[number != fold], every[number == fold]) for fold in range(folds)]
    schema = _settings("linear", rows, columns, classes).schema
    codes = np.empty((rows, 0), np.int32)
    return Dataset(schema, Features(numbers, codes), target, every, every[:0], cuts)


def _measured(name: str, size: str, folds: int) -> dict[str, Any]:
    settings = _settings(name, *SIZES[size])
    model: Any = make_model(settings)
    rounds = model.affordable
    table = _table(*SIZES[size], folds)
    task = TableTask(table, replace(settings, rounds=rounds), 0)
    trained = task.make_model()
    trainings: list[int] = []

    def count(done: int, of: int) -> None:
        if done == 1:
            trainings.append(of)

    trained.on_round = count
    began = time.process_time()
    curve = trained.cross_validate(trained.defaults(), task.folds, task.score, 0, lambda *_: None)
    return {
        "seconds": round(time.process_time() - began, 1),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1000,
        "limit": rounds,
        "trainings": trainings,
        "steps": curve.steps,
        "score": round(float(curve.scores.mean()), 4),
        "dummy": dummy_score(task),
        "least": 100 * model._seconds(limited=rounds < model.max_steps),
    }


if __name__ == "__main__":
    print(json.dumps(_measured(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
