"""CatBoost: categories, missing values, absent classes, staged rounds, saving."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import optuna
import pytest
from tabular.tasks import task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Dataset, Features
from journal_launcher.tabular.models.catboost import CatBoost

MakeTable = Callable[..., Dataset]
GPU = "GPU-aaaa0000-0000-4000-8000-000000000000"


def _model(table: Dataset, metric: str) -> CatBoost:
    model = task_of(table, "catboost", metric).make_model()
    assert isinstance(model, CatBoost)
    return model


def test_the_defaults_are_a_point_of_the_search_space(make_table: MakeTable) -> None:
    model = _model(make_table(), "r2")
    fixed = optuna.trial.FixedTrial(dict(model.defaults()))
    assert model.suggest(fixed) == model.defaults()


@pytest.mark.parametrize("task, metric", [("regression", "r2"), ("classification", "log_loss")])
def test_every_fold_is_scored_after_the_same_number_of_rounds(
    make_table: MakeTable, monkeypatch: pytest.MonkeyPatch, task: str, metric: str
) -> None:
    monkeypatch.setattr(CatBoost, "max_steps", 40)
    table = make_table(task)
    model, score = _model(table, metric), metrics.score_function(metric, task)
    folds = task_of(table, "catboost").folds
    reports: list[tuple[int, int, float]] = []
    curve = model.cross_validate(
        model.defaults(), folds, score, 7, lambda *report: reports.append(report)
    )
    assert curve.steps in (10, 20, 30, 40)
    assert [report[:2] for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert reports[-1][2] == pytest.approx(curve.scores.mean())
    error = metrics.error_function(task)
    for number, fold in enumerate(folds):
        fitted = model.fit(model.defaults(), fold.train, fold.train_target, curve.steps, 7)
        found, seen = fitted.predict(fold.valid), fitted.predict(fold.train)
        assert curve.scores[number] == pytest.approx(score(fold.valid_target, found))
        assert curve.train_scores[number] == pytest.approx(score(fold.train_target, seen))
        assert curve.errors[number] == pytest.approx(error(fold.valid_target, found))
        assert curve.train_errors[number] == pytest.approx(error(fold.train_target, seen))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_training_rows_keeps_its_column(
    make_table: MakeTable, classes: int
) -> None:
    table = make_table("classification", classes=3)
    some = table.target != (1 if classes == 2 else -1)
    fitted = _model(table, "log_loss").fit(
        {"depth": 3}, table.features.take(np.flatnonzero(some)), table.target[some], 20, 0
    )
    found = fitted.predict(table.features)
    assert found.shape == (240, 3)
    assert found.sum(axis=1) == pytest.approx(1)
    assert np.mean(found.argmax(axis=1)[some] == table.target[some]) > 0.8


def test_the_category_and_its_absence_are_used(make_table: MakeTable) -> None:
    table = make_table()
    codes = table.features.codes[:, 0]
    target = np.where(codes == -1, 50.0, codes)
    fitted = _model(table, "r2").fit(
        {"depth": 3, "learning_rate": 0.5}, table.features, target, 50, 0
    )
    assert fitted.predict(table.features) == pytest.approx(target, abs=1)


@pytest.mark.parametrize("task, metric", [("regression", "r2"), ("classification", "log_loss")])
def test_what_is_read_back_predicts_the_same(
    make_table: MakeTable, tmp_path: Path, task: str, metric: str
) -> None:
    table = make_table(task)
    model = _model(table, metric)
    fitted = model.fit(model.defaults(), table.features, table.target, 30, 1)
    state = fitted.save(tmp_path / "model.cbm")
    unseen = Features(table.features.numbers * 2, np.full_like(table.features.codes, -1))
    read_back = model.load(tmp_path / "model.cbm", state)
    for features in (table.features, unseen):
        np.testing.assert_array_equal(read_back.predict(features), fitted.predict(features))


def test_training_writes_nothing_and_follows_its_seed(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = make_table()
    model = _model(table, "r2")
    first, same, other = (
        model.fit(model.defaults(), table.features, table.target, 20, seed).predict(table.features)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_worker_trains_on_device_0_of_its_own(make_table: MakeTable) -> None:
    table = make_table()
    on_gpu = replace(_model(table, "r2").settings, gpu=True, threads=3)
    fixed = CatBoost(on_gpu).fixed()
    assert (fixed["task_type"], fixed["devices"], fixed["thread_count"]) == ("GPU", "0", 3)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_workers_of_one_gpu_share_its_memory(make_table: MakeTable, workers: int) -> None:
    task = task_of(make_table(), "catboost", gpu=True, workers_per_gpu=workers)
    model = task.make_model()
    assert isinstance(model, CatBoost)
    assert model.fixed()["gpu_ram_part"] == pytest.approx(0.9 / workers)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_each_of_them_takes_as_much_however_many_have_begun(
    make_table: MakeTable,
    machine: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
) -> None:
    """CatBoost takes a part of what is free as a fit begins, and NVML says what that is."""
    held: list[float] = []

    def fit(model: catboost.CatBoost, pool: catboost.Pool) -> None:
        free = 80 - sum(held)
        held.append(model.get_params()["gpu_ram_part"] * free)
        machine([{"uuid": GPU, "used": int(sum(held) * 2**30)}])

    machine([{"uuid": GPU}])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", GPU)
    monkeypatch.setattr(catboost.CatBoost, "fit", fit)
    table = make_table()
    task = task_of(table, "catboost", gpu=True, workers_per_gpu=workers)
    for _ in range(workers):
        model = task.make_model()
        assert isinstance(model, CatBoost)
        model._train(catboost.CatBoost(model.fixed()), catboost.Pool([[1.0]]), 1)
    assert held == pytest.approx([0.9 * 80 / workers] * workers)
    machine([{"uuid": GPU, "used": 79 * 2**30}])
    assert model._part_of_free() == 0.95  # no more than there is
    machine([], failing={"nvmlInit": "Unknown Error"})
    assert model._part_of_free() == pytest.approx(0.9 / workers)


def test_predicting_takes_the_threads_of_its_worker_alone(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself CatBoost takes all cores, as a model does that somebody loads."""
    table = make_table()
    model = CatBoost(replace(_model(table, "r2").settings, threads=3))
    fitted = model.fit({"depth": 3}, table.features, table.target, 20, 0)
    state = fitted.save(tmp_path / "model.cbm")
    taken: list[int] = []
    for name in ("predict", "staged_predict"):
        method = getattr(catboost.CatBoost, name)

        def watched(
            *arguments: Any, method: Any = method, thread_count: int = -1, **more: Any
        ) -> Any:
            taken.append(thread_count)
            return method(*arguments, thread_count=thread_count, **more)

        monkeypatch.setattr(catboost.CatBoost, name, watched)
    list(fitted.staged(table.features, 10))
    fitted.predict(table.features)
    model.load(tmp_path / "model.cbm", state).predict(table.features)
    assert taken == [3, 3, -1]
