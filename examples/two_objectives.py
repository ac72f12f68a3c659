"""Two objectives: how well a tree predicts, and how few leaves it needs.

journal-launcher run --objective examples/two_objectives.py:objective \
    --direction maximize --direction minimize --n-trials 30
"""

import json
from pathlib import Path

import optuna
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

X, Y = load_breast_cancer(return_X_y=True)


def objective(trial: optuna.Trial) -> tuple[float, int]:
    tree = DecisionTreeClassifier(
        max_depth=trial.suggest_int("max_depth", 1, 10),
        min_samples_leaf=trial.suggest_int("min_samples_leaf", 1, 50, log=True),
        random_state=0,
    )
    accuracy = cross_val_score(tree, X, Y, cv=5).mean()
    return float(accuracy), int(tree.fit(X, Y).get_n_leaves())


def save_best(study: optuna.Study, directory: Path) -> None:
    """Keep every compromise that no other one beats in both."""
    front = [{"values": trial.values, "params": trial.params} for trial in study.best_trials]
    (directory / "pareto_front.json").write_text(json.dumps(front, indent=2))
