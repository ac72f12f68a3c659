"""Every trial as a run in TensorBoard: a scalar, what it reported, and the HParams table.

journal-launcher run --objective examples/plain_function.py:objective \
    --callback examples/tensorboard_callback.py:log

then `tensorboard --logdir runs` (`pip install tensorboard`). TENSORBOARD_DIR names another folder.
"""

import os

import optuna
from torch.utils.tensorboard import SummaryWriter

_KINDS = (bool, int, float, str)


def log(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
    """Called in the worker that ran the trial: each trial has a folder of its own."""
    names = ["value"] if len(study.directions) == 1 else map("value_{}".format, range(99))
    values = dict(zip(names, trial.values or (), strict=False))
    params = {
        name: value if isinstance(value, _KINDS) else str(value)
        for name, value in trial.params.items()
    }
    folder = os.environ.get("TENSORBOARD_DIR", "runs")
    with SummaryWriter(f"{folder}/{study.study_name}/trial_{trial.number}") as writer:
        for step, value in trial.intermediate_values.items():
            writer.add_scalar("reported", value, step)
        writer.add_hparams(params, values, run_name=".")
