"""An example to put your own training in. Try it, from the folder that it lies in:

journal-launcher run --config study.toml
"""

import json
import random
from pathlib import Path

import optuna


def objective(trial: optuna.Trial) -> float:
    """Train once with the parameters of `trial`; a lower value is better.

    The process that runs this sees one GPU, as device 0, or none.
    """
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    layers = trial.suggest_int("layers", 1, 4)
    noise = random.Random(trial.number)
    loss = 2.0
    for epoch in range(20):
        target = 0.1 * layers + abs(lr - 0.03)  # your training step goes here
        loss += 0.3 * (target - loss) + noise.gauss(0, 0.005)
        trial.report(loss, epoch)
        if trial.should_prune():  # never with --pruner none
            raise optuna.TrialPruned
    return loss


def save_best(study: optuna.Study, directory: Path) -> None:
    """Optional: runs once, after the last trial; what it writes becomes NAME/best_model/."""
    (directory / "params.json").write_text(json.dumps(study.best_params))
