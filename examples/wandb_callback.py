"""Every trial as a run of Weights & Biases, offline: nothing is sent, and no account is needed.

journal-launcher run --objective examples/plain_function.py:objective \
    --callback examples/wandb_callback.py:log

then `wandb sync wandb/offline-run-*` (`pip install wandb`), if it shall be sent; WANDB_MODE=online
sends it at once. WANDB_DIR names another folder.
"""

import os

import optuna
import wandb

os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")


def log(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Called in the worker that ran the trial."""
    with wandb.init(
        project=study.study_name,
        name=f"trial {trial.number}",
        config=trial.params,
        tags=[trial.state.name],
        reinit="finish_previous",
    ) as run:
        for step, value in sorted(trial.intermediate_values.items()):
            run.log({"reported": value}, step=step)
        for place, value in enumerate(trial.values or ()):
            run.summary["value" if len(trial.values) == 1 else f"value_{place}"] = value
