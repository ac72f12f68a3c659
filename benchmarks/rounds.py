"""What it saves and costs that boosting trains as many rounds as its first fold needs.

`python benchmarks/rounds.py [MODEL_TYPE ...]`: the defaults and two random sets of parameters, five
folds, one thread, trained to the last round as in studies of before, and as in new ones.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries load

import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import optuna
from sklearn import datasets
from sklearn.model_selection import KFold

from journal_launcher.settings.metric_names import METRICS
from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Fold, Schema
from journal_launcher.tabular.models import CrossValidated, ModelSettings, Params, make_model
from journal_launcher.tabular.task import TableTask

MODEL_TYPES = ("catboost", "xgboost", "lightgbm", "hist_gradient_boosting")
TABLES = {
    "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
    "wine": lambda: datasets.load_wine(return_X_y=True),
    "noisy": lambda: datasets.make_classification(800, 20, flip_y=0.2, random_state=1),
    "friedman": lambda: datasets.make_friedman1(1500, noise=1.0, random_state=0),
    "hastie": lambda: datasets.make_hastie_10_2(2000, random_state=0),
}


def dataset_of(name: str) -> Dataset:
    numbers, target = TABLES[name]()
    task = "regression" if len(np.unique(target)) > 10 else "classification"
    classes = ()
    if task == "classification":
        labels, target = np.unique(target, return_inverse=True)
        classes = tuple(map(str, labels))
    rows, columns = numbers.shape
    schema = Schema(tuple(Column(f"c{i}", "number") for i in range(columns)), "y", task, classes)
    features = Features(numbers, np.empty((rows, 0), np.int32))
    every = np.arange(rows)
    folds = [Fold(*parts) for parts in KFold(5, shuffle=True, random_state=0).split(every)]
    return Dataset(schema, features, target.astype(np.float64), every, every[:0], folds)


def tasks(name: str, model_type: str) -> Iterator[TableTask]:
    table = dataset_of(name)
    for metric in ("r2",) if table.schema.task == "regression" else ("log_loss", "accuracy"):
        settings = ModelSettings(table.schema, len(table.target), metric, name=model_type)
        yield TableTask(table, settings, 0)


def trained(task: TableTask, params: Params, rounds: int | None) -> tuple[CrossValidated, float]:
    """A trial, and its seconds of CPU."""
    settings = replace(task.settings, rounds=rounds)
    model = make_model(settings)
    began = time.process_time()
    curve = model.cross_validate(params, task.folds, task.score, 1, lambda *_: None)
    return curve, time.process_time() - began


def compare(name: str, model_type: str) -> None:
    ratios, same, lost = [], 0, []
    for task in tasks(name, model_type):
        model = task.make_model()
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
        for params in (model.defaults(), *(model.suggest(study.ask()) for _ in range(2))):
            full, before = trained(task, params, None)
            needed, now = trained(task, params, model.affordable)
            ratios.append(now / before)
            same += needed.steps == full.steps
            sign = 1 if METRICS[task.settings.metric] == "maximize" else -1
            error = full.scores.std() / np.sqrt(len(full.scores))
            lost.append(sign * (full.scores.mean() - needed.scores.mean()) / error)
    print(
        f"{name:10} {model_type:24} {np.mean(ratios):6.0%} of the CPU time, "
        f"the same round in {same} of {len(ratios)}, "
        f"standard errors lost: mean {np.mean(lost):.3f}, most {max(lost):.2f}",
        flush=True,
    )


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for name in TABLES:
        for model_type in sys.argv[1:] or MODEL_TYPES:
            compare(name, model_type)
