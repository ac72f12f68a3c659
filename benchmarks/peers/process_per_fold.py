"""n_jobs threads, a device for each from a queue; a process for every fold; SQLite."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import optuna
from objective import N_FOLDS, recorded

ONE_FOLD = Path(__file__).with_name("one_fold.py")
n_trials, n_jobs = map(int, sys.argv[1:])
devices: SimpleQueue[int] = SimpleQueue()
for number in range(n_jobs):
    devices.put(number)


def scores(index: int, device: int) -> Iterator[float]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": str(device)}
    for number in range(N_FOLDS):
        command = [sys.executable, str(ONE_FOLD), str(index), str(number)]
        # A session of its own: see `processes` in launcher.py.
        yield float(subprocess.check_output(command, env=environment, start_new_session=True))


def objective(trial: optuna.Trial) -> float:
    device = devices.get()
    try:
        # Its number, not a queued index: two threads can take the same queued trial from SQLite.
        return recorded(trial.number, scores(trial.number, device))
    finally:
        devices.put(device)


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(storage="sqlite:///study.db", study_name="study")
study.optimize(objective, n_trials=n_trials, n_jobs=n_jobs)
