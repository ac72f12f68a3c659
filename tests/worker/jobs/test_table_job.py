"""A table as a job: its fresh folds, what is scored on them, and what all workers share."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from tabular.data.tables import columns, csv_of

from journal_launcher.base.artifacts.identity import Identity
from journal_launcher.base.messages import Preparation
from journal_launcher.base.paths import StudiesFolder, StudyPaths
from journal_launcher.settings.launch_settings import LaunchSettings
from journal_launcher.tabular.data.prepared import KEEP_UNUSED
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
    assert found.metrics is not None and set(found.metrics) == {"r2", "rmse", "mae"}
    assert found.metrics["r2"] == pytest.approx(found.score)
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


def test_a_study_goes_on_under_the_rule_of_equal_rows_that_it_began_under(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    few = {name: rng.integers(0, 3, 120) for name in ("a", "b", "y")}

    def prepared(begun: Identity | None = None, **given: Any) -> Preparation:
        settings = LaunchSettings(
            data=csv_of(tmp_path, few), target="y", model_type="linear", k_folds=3, **given
        )
        return TableJob(settings, StudyPaths(tmp_path, "study"), False, 1).prepare(0, begun)

    new = prepared()
    split = dict(new.identity.split or {})
    assert split.pop("equal_rows") == "apart"
    former = prepared(replace(new.identity, split=split))
    assert former.identity.split == split
    assert former.content["folds_sha256"] != new.content["folds_sha256"]
    again = prepared(new.identity)
    assert again.content["directory"] == new.content["directory"]
    # A script's study of the same name is refused later; groups never asked.
    for other in ({"kind": "command"}, {"split": None}, {"split": {"kind": "group"}}):
        assert prepared(Identity.from_json(other)).notes == new.notes


def test_a_study_knows_its_weights_where_it_has_some(tmp_path: Path) -> None:
    table = columns(w=1 + np.arange(60) % 3)

    def prepared(**given: Any) -> Preparation:
        settings = LaunchSettings(
            data=csv_of(tmp_path, table), target="y", model_type="linear", k_folds=3, **given
        )
        return TableJob(settings, StudyPaths(tmp_path, "study"), False, 1).prepare(0)

    weighted, plain = prepared(weight_column="w"), prepared()
    assert weighted.identity.to_json()["weight_column"] == "w"
    assert "weight_column" not in plain.identity.to_json()
    assert "weighted by w" in weighted.notes[0] and "weighted" not in plain.notes[0]


def test_fresh_folds_and_their_baselines_are_scored_by_weight(tmp_path: Path) -> None:
    settings = LaunchSettings(
        data=csv_of(tmp_path, columns(w=np.random.default_rng(0).lognormal(size=60))),
        target="y",
        model_type="linear",
        k_folds=3,
        weight_column="w",
    )
    made = TableJob(settings, StudiesFolder(tmp_path / "studies").study("study"), False, 1)
    made.open(made.prepare(0), 0, lambda *_: None)
    fresh = made._fresh
    weights = fresh.dataset.weights
    assert weights is not None
    expected = []
    for fold in fresh.folds:
        valid = weights[fold.rows.valid]
        mean = np.average(fold.train_target, weights=weights[fold.rows.train])
        spread = np.average(fold.valid_target, weights=valid)
        errors = np.average((fold.valid_target - mean) ** 2, weights=valid)
        expected.append(1 - errors / np.average((fold.valid_target - spread) ** 2, weights=valid))
    baselines = made.baselines()
    assert baselines is not None
    assert baselines.by_name["dummy"].confirmed_fold_scores == pytest.approx(expected)


def test_where_few_values_meet_a_model_learns_their_shares(tmp_path: Path) -> None:
    """Not the opposite, as it would if equal rows with equal targets kept together."""
    rng = np.random.default_rng(0)
    shape, colour = rng.choice(list("abcd"), 300), rng.choice(["red", "white"], 300)
    share = np.where(shape < "c", 0.9, 0.1) + np.where(colour == "red", 0.05, -0.05)
    edible = np.where(rng.random(300) < share, "yes", "no")
    scores = baselines_of(tmp_path, {"shape": shape, "colour": colour, "y": edible})
    known = np.where(edible == "yes", share, 1 - share)
    assert scores["linear"] == pytest.approx(-np.log(known).mean(), abs=0.05)
    assert scores["linear"] < scores["dummy"] - 0.2


def test_copies_change_a_score_by_no_more_than_noise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = dict(zip("abcd", rng.normal(size=(4, 300)), strict=True))
    table["y"] = np.where(table["a"] + rng.normal(size=300) > 0, "yes", "no")
    rows = rng.permutation(np.r_[np.arange(300), np.arange(300)])
    once = baselines_of(tmp_path, table)
    twice = baselines_of(tmp_path, {name: values[rows] for name, values in table.items()})
    assert twice["linear"] == pytest.approx(once["linear"], abs=0.05)


def baselines_of(folder: Path, table: dict[str, Any]) -> dict[str, float]:
    settings = LaunchSettings(data=csv_of(folder, table), target="y", model_type="linear")
    made = TableJob(settings, StudiesFolder(folder / "studies").study("study"), False, 1)
    made.open(made.prepare(0), 0, lambda *_: None)
    found = made.baselines()
    assert found is not None
    return {name: score for name, score, _ in found.scored(fresh=False)}


def test_by_time_there_are_no_fresh_folds(tmp_path: Path) -> None:
    baselines = job(tmp_path, split="time", time_column="x").baselines()
    assert baselines is not None
    assert set(baselines.to_json()["linear"]) == {"score", "fold_scores"}


def test_every_trial_keeps_the_entry_and_none_needs_it(tmp_path: Path) -> None:
    settings = LaunchSettings(data=csv_of(tmp_path, columns()), target="y", model_type="linear")
    job = make_job(settings, StudyPaths(tmp_path, "study"), gpu=False, threads=1)
    job.open(prepared := job.prepare(0), 0, lambda *_: None)
    entry = Path(prepared.content["directory"])
    week_ago = time.time() - KEEP_UNUSED - 60
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


@pytest.fixture
def slow_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if every fold of the small table took minutes."""
    monkeypatch.setattr("journal_launcher.tabular.models.boosting._A_FOLD", 1e-3)


SLOW = "rows, 2 columns: 1500 rounds of catboost would take minutes a fold"


def prepared(folder: Path, begun: Identity | None = None) -> tuple[Preparation, TableJob]:
    settings = LaunchSettings(data=csv_of(folder, columns()), target="y", model_type="catboost")
    made = TableJob(settings, StudyPaths(folder, "study"), gpu=False, threads=1)
    found = made.prepare(0, begun)
    made.open(found, 0, lambda *_: None)
    return found, made


def test_where_folds_are_quick_nothing_is_limited_or_said(tmp_path: Path) -> None:
    found, made = prepared(tmp_path)
    assert found.identity.flags == {"rounds": 1500} and "rounds" not in " ".join(found.notes)
    assert made._task.settings.rounds == made._objective.model.max_steps == 1500


@pytest.mark.usefixtures("slow_folds")
def test_a_new_study_of_slow_folds_has_a_limit_that_is_part_of_what_it_is(tmp_path: Path) -> None:
    found, made = prepared(tmp_path)
    assert found.identity.flags == {"rounds": 100}
    (note,) = [note for note in found.notes if SLOW in note]
    assert "at most 100, and only as many as its first fold needs" in note
    assert made._task.settings.rounds == made._objective.model.max_steps == 100
    assert made._fresh.settings.rounds == 100


@pytest.mark.usefixtures("slow_folds")
@pytest.mark.parametrize(("flags", "rounds"), [({}, None), ({"rounds": 730}, 730)])
def test_a_study_goes_on_under_the_rule_it_began_with(
    tmp_path: Path, flags: dict[str, Any], rounds: int | None
) -> None:
    identity = replace(prepared(tmp_path)[0].identity, flags=flags)
    found, made = prepared(tmp_path, Identity.from_json(identity.to_json()))
    assert found.identity.to_json() == identity.to_json()
    assert made._task.settings.rounds == rounds
    assert made._objective.model.max_steps == (rounds or 1500)
    (note,) = [note for note in found.notes if SLOW in note]
    assert ("when every fold trained 1500" in note and "--overwrite" in note) == (rounds is None)


def test_where_folds_are_quick_a_study_that_trains_all_rounds_goes_on_so_too(
    tmp_path: Path,
) -> None:
    identity = replace(prepared(tmp_path)[0].identity, flags={})
    found, made = prepared(tmp_path, Identity.from_json(identity.to_json()))
    assert found.identity.to_json() == identity.to_json()
    assert made._task.settings.rounds is None and made._objective.model.max_steps == 1500
    (note,) = [note for note in found.notes if "rounds" in note]
    assert note.startswith("this study began when every fold trained 1500") and SLOW not in note


def test_a_limit_outlives_the_rule_that_set_it(tmp_path: Path) -> None:
    """Another version may find the same folds quick."""
    identity = replace(prepared(tmp_path)[0].identity, flags={"rounds": 730})
    found, made = prepared(tmp_path, Identity.from_json(identity.to_json()))
    assert found.identity.to_json() == identity.to_json() and made._objective.model.max_steps == 730


@pytest.mark.parametrize(
    ("gpu", "gpus", "model_type", "said"),
    [
        (True, "auto", "neural_net", True),
        (True, "auto", "catboost", True),
        (True, "0", "neural_net", False),  # asked for
        (False, "auto", "neural_net", False),
        (True, "auto", "xgboost", False),  # nobody knows
    ],
)
def test_of_a_small_table_it_is_said_that_a_cpu_may_be_faster(
    tmp_path: Path, gpu: bool, gpus: str, model_type: str, said: bool
) -> None:
    settings = LaunchSettings(
        data=csv_of(tmp_path, columns()), target="y", model_type=model_type, k_folds=3, gpus=gpus
    )
    made = TableJob(settings, StudiesFolder(tmp_path / "studies").study("study"), gpu, 1)
    notes = [line for line in made.prepare(0).notes if "--gpus none" in line]
    assert len(notes) == said
    for line in notes:
        rows, _, rest = line.partition(" rows: below some ")
        assert int(rows) < int(rest.split()[0].replace(",", ""))
    assert made._of_small_table(20_000) == []
