"""A table as a job: its fresh folds, what is scored on them, and what all workers share."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from tabular.data.tables import columns, csv_of

from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular.data import dataset
from journal_launcher.tabular.models.neural_net import encoding
from journal_launcher.tabular.task import ScoredTrial, TableTask
from journal_launcher.worker.jobs import make_job
from journal_launcher.worker.jobs.table import TableJob


def job(folder: Path, model_type: str = "linear", seed: int = 0, **given: Any) -> TableJob:
    data = csv_of(folder, columns())
    settings = LaunchSettings(data=data, target="y", model_type=model_type, k_folds=3, **given)
    made = TableJob(settings, StudiesFolder(folder / "studies").study("study"), False, 1)
    made.open(made.prepare(seed), seed, lambda *_: None)
    return made


def cuts(made: TableJob) -> list[list[int]]:
    return [fold.valid.tolist() for fold in made._fresh.dataset.folds]


def test_fresh_folds_are_others_of_the_training_rows_and_the_same_for_all(tmp_path: Path) -> None:
    first, other = job(tmp_path), job(tmp_path, "hist_gradient_boosting")
    dataset = first._task.dataset
    assert cuts(first) == cuts(other)
    assert cuts(first) != [fold.valid.tolist() for fold in dataset.folds]
    assert np.array_equal(np.sort(np.concatenate(cuts(first))), dataset.train)
    assert cuts(job(tmp_path, seed=1)) != cuts(first)


def test_a_trial_and_the_baselines_are_scored_on_the_same_fresh_folds(tmp_path: Path) -> None:
    made = job(tmp_path)
    params = dict(made.defaults() or {})
    trial = optuna.create_trial(
        value=0.0,
        params=params,
        distributions={name: optuna.distributions.FloatDistribution(1e-6, 10.0) for name in params},
        user_attrs={"jl_epochs": 1},
    )
    found, baselines = made.confirm(trial), made.baselines()
    assert baselines is not None
    linear, dummy = baselines.by_name["linear"], baselines.by_name["dummy"]
    assert linear.confirmed_fold_scores == found.fold_scores
    assert linear.confirmed_score == pytest.approx(found.score)
    assert dummy.confirmed_score is not None and dummy.confirmed_score < 0.1


@pytest.mark.parametrize("confirm", [3, 0])
def test_the_refit_is_told_the_curves_of_the_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, confirm: int
) -> None:
    told: dict[str, Any] = {}

    def refit(task: TableTask, trial: ScoredTrial, *_: Any, **more: Any) -> dict[str, Any]:
        told.update(vars(trial))
        return {}

    monkeypatch.setattr("journal_launcher.worker.jobs.table.refit", refit)
    scores = {"jl_fold_scores": [1.0], "jl_train_scores": [1.0], "jl_epochs": 1}
    study = optuna.create_study()
    study.add_trial(optuna.create_trial(value=0.0, user_attrs=scores))
    curves = {"every": 1, "validation": [0.5], "train": [0.6]}
    study.set_user_attr(
        "journal_launcher_confirmed_0", {"score": 0.5, "fold_scores": [0.5], "curves": curves}
    )
    job(tmp_path, confirm=confirm).refit(study, study.trials[0], tmp_path)
    assert told["curves"] == (curves if confirm else None)


def test_by_time_there_are_no_fresh_folds(tmp_path: Path) -> None:
    baselines = job(tmp_path, split="time", time_column="x").baselines()
    assert baselines is not None
    assert set(baselines.to_json()["linear"]) == {"score", "fold_scores"}


def test_every_trial_keeps_the_entry_and_none_needs_it(tmp_path: Path) -> None:
    settings = LaunchSettings(data=csv_of(tmp_path, columns()), target="y", model_type="linear")
    job = make_job(settings, StudyPaths(tmp_path, "study"), gpu=False, threads=1)
    job.open(prepared := job.prepare(0), 0, lambda *_: None)
    entry = Path(prepared.content["directory"])
    week_ago = time.time() - dataset.KEEP_UNUSED - 60
    os.utime(entry, (week_ago, week_ago))
    study = optuna.create_study()
    job(study.ask())
    assert time.time() - entry.stat().st_mtime < 3600
    shutil.rmtree(entry)  # by hand: what is mapped stays readable
    assert np.isfinite(job(study.ask()))


def test_the_worker_that_prepares_a_table_encodes_it_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = LaunchSettings(data=csv_of(tmp_path, columns()), target="y", k_folds=3)

    def job() -> TableJob:
        return TableJob(settings, StudyPaths(tmp_path, "study"), gpu=False, threads=1)

    prepared = job().prepare(0)
    monkeypatch.setattr(encoding, "_encoded", _refuse)
    other = job()
    other.open(prepared, 0, lambda *_: None)
    model = other._objective.model
    assert len(model._prepare(other._task.folds)) == 3  # type: ignore[attr-defined]


def _refuse(*_: Any) -> None:
    raise AssertionError("encoded again")
