"""The objective of the chaos run: quick, records of all sizes, a value anybody can check."""

import json
import os
import random
import time
from pathlib import Path

import optuna


def value_of(x: float, y: float) -> float:
    return (x - 1.0) ** 2 + (y + 2.0) ** 2


def acknowledge(trial_number: int, key: str, size: int) -> None:
    """Note in a file of this process, fsynced, that the journal has accepted a record."""
    path = Path(os.environ["CHAOS_ACKS"]) / f"{os.getpid()}.jsonl"
    with open(path, "a") as file:
        file.write(json.dumps([trial_number, key, size]) + "\n")
        file.flush()
        os.fsync(file.fileno())


def objective(trial: optuna.Trial) -> float:
    chance = random.Random()
    x = trial.suggest_float("x", -10, 10)
    y = trial.suggest_float("y", -10, 10)
    for step in range(3):
        trial.report(value_of(x, y) + 3 - step, step)
        size = int(10 ** chance.uniform(2, 5.3))
        trial.set_user_attr(f"blob{step}", "x" * size)
        acknowledge(trial.number, f"blob{step}", size)
        time.sleep(chance.uniform(0.0, 0.05))
    return value_of(x, y)


def save_best(study: optuna.Study, directory: Path) -> None:
    best = study.best_trial
    content = {"number": best.number, "params": best.params, "value": value_of(**best.params)}
    (directory / "best.json").write_text(json.dumps(content))
    (directory / "weights.bin").write_bytes(os.urandom(300_000))
