"""Optuna without tqdm at the start, and with it for whoever shows a progress bar."""

import subprocess
import sys

PROGRAM = """
import sys
from journal_launcher.study.lean_optuna import import_optuna

import_optuna()
import optuna

assert not {name for name in sys.modules if name.split(".")[0] == "tqdm"}

def objective(trial):
    return trial.suggest_float("x", 0, 1)

optuna.logging.disable_default_handler()
study = optuna.create_study()
study.optimize(objective, n_trials=7, show_progress_bar=True)
study.optimize(objective, timeout=0.2, show_progress_bar=True)
from tqdm.auto import tqdm

assert isinstance(tqdm, type) and issubclass(tqdm, sys.modules["tqdm"].tqdm)
"""


def test_a_progress_bar_is_shown_though_tqdm_was_not_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "7/7" in done.stderr and "00:00/00:00" in done.stderr


def test_an_optuna_that_is_there_is_left_alone() -> None:
    program = """
import optuna
from journal_launcher.study.lean_optuna import import_optuna

import_optuna()
from tqdm.auto import tqdm

assert optuna.progress_bar.tqdm is tqdm
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
