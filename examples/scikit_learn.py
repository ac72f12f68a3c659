"""A scikit-learn pipeline, cross-validated fold by fold so that a bad trial ends early.

journal-launcher run --objective examples/scikit_learn.py:objective --direction maximize \
    --pruner median --n-trials 20

Without a GPU one process works; `--workers 4` makes it four, which share the cores.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from skops import io as skops

X, Y = load_wine(return_X_y=True)


def pipeline(params: Mapping[str, Any]) -> Pipeline:
    svc = SVC(C=params["C"], gamma=params["gamma"])
    return make_pipeline(StandardScaler(), PCA(params["components"]), svc)


def objective(trial: optuna.Trial) -> float:
    params = {
        "components": trial.suggest_int("components", 2, 13),
        "C": trial.suggest_float("C", 1e-3, 1e3, log=True),
        "gamma": trial.suggest_float("gamma", 1e-4, 1e1, log=True),
    }
    scores: list[float] = []
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(X, Y)
    for fold, (train, valid) in enumerate(folds):
        scores.append(pipeline(params).fit(X[train], Y[train]).score(X[valid], Y[valid]))
        trial.report(float(np.mean(scores)), fold)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(scores))


def save_best(study: optuna.Study, directory: Path) -> None:
    skops.dump(pipeline(study.best_params).fit(X, Y), directory / "pipeline.skops")
