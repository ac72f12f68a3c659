"""Studies in a journal, for the tests of trials."""

from pathlib import Path
from typing import Any

import optuna

from journal_launcher.study.journal.storage import open_storage
from journal_launcher.worker.trials import WorkerStudy


def in_journal(folder: Path) -> WorkerStudy:
    storage = open_storage(folder / "study.log", create=True)
    storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "study")
    return WorkerStudy("study", storage)


def draw(trial: optuna.Trial) -> dict[str, Any]:
    trial.suggest_float("x", 0, 1)
    trial.suggest_float("y", 1e-4, 1, log=True)
    trial.suggest_categorical("z", ["a", "b", "c"])
    return trial.params
