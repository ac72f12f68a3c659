"""As many rounds as the first fold needs, and fewer where a fold would take minutes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from tabular.tasks import needs, task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Fold, Schema
from journal_launcher.tabular.models import (
    FoldData,
    ModelSettings,
    Params,
    Predictions,
    make_model,
)
from journal_launcher.tabular.models.catboost import CatBoost
from journal_launcher.tabular.models.fold_by_fold import FoldByFold
from journal_launcher.tabular.models.space import Space, between

MakeTable = Callable[..., Dataset]
BOOSTING = ("catboost", "xgboost", "lightgbm", "hist_gradient_boosting")
_NO_CODES = np.empty((36, 0), np.int32)
EACH = pytest.mark.parametrize("name", [pytest.param(name, marks=needs(name)) for name in BOOSTING])


def _settings(name: str, rows: int, columns: int, classes: int = 0, **more: Any) -> ModelSettings:
    inputs = tuple(Column(f"c{number}", "number") for number in range(columns))
    task = "classification" if classes else "regression"
    schema = Schema(inputs, "y", task, tuple(map(str, range(classes))))
    return ModelSettings(schema, rows, "log_loss" if classes else "r2", name=name, **more)


@EACH
@pytest.mark.parametrize(
    ("rows", "columns", "classes"),
    [(442, 10, 0), (178, 13, 3), (569, 30, 2), (20_640, 8, 0), (60_000, 20, 2), (1000, 100, 2)],
)
def test_ordinary_tables_have_all_rounds(name: str, rows: int, columns: int, classes: int) -> None:
    model = make_model(_settings(name, rows, columns, classes))
    assert model.affordable == model.max_steps


@EACH
def test_the_limit_falls_with_rows_columns_and_classes_alone(name: str) -> None:
    def limit(rows: int, columns: int, classes: int, **more: Any) -> int:
        found = make_model(_settings(name, rows, columns, classes, **more)).affordable
        assert found is not None
        return found

    sizes = [(10_000, 50, 5), (100_000, 50, 5), (100_000, 200, 5), (100_000, 200, 20)]
    found = [limit(*size) for size in sizes]
    assert found == sorted(found, reverse=True) and found[-1] == 100 < found[0]
    assert limit(*sizes[1]) == limit(*sizes[1], threads=8, gpu=True, workers_per_gpu=2)
    assert all(rounds % 10 == 0 for rounds in found)


def test_catboost_tries_fewer_borders_of_few_rows_only_in_a_limited_study() -> None:
    def borders(rows: int, rounds: int | None) -> Any:
        return CatBoost(_settings("catboost", rows, 300, rounds=rounds)).fixed()["border_count"]

    assert borders(600, None) == borders(600, 1500) == borders(50_000, 500) == 254
    assert borders(600, 500) == 32 and borders(3200, 500) == 100


class Curved(FoldByFold):
    """Its best round is each fold's own: `best` of the first, of the others `others`."""

    every = 10
    asked: ClassVar[list[int]] = []

    def space(self) -> Space:
        return {"best": between(1, 2000, default=50), "others": between(1, 2000, default=50)}

    def load(self, path: Path, state: dict[str, Any]) -> Any: ...

    def fit(
        self,
        params: Params,
        features: Features,
        target: Any,
        steps: int,
        seed: int,
        weights: Any = None,
    ) -> Any:
        self.asked.append(steps)
        first = features.numbers[0, 0] > 0
        return _FittedCurve(params["best" if first else "others"], steps)


@dataclass(frozen=True)
class _FittedCurve:
    best: float
    steps: int

    def predict_at(self, features: Features, steps: int) -> Predictions:
        return features.numbers[:, 0] + abs(np.log(steps / self.best))

    def staged(self, features: Features, every: int) -> Iterator[Predictions]:
        yield from (self.predict_at(features, n) for n in range(every, self.steps + 1, every))


@pytest.mark.parametrize(
    ("best", "others", "asked", "steps"),
    [
        (10, 10, [100] * 3, 10),
        (50, 50, [100] * 3, 50),
        (60, 60, [100, 400, 400, 400], 60),
        (150, 80, [100, 400, 400, 400], 80),
        (2000, 50, [100, 400, 600, 600, 600], 50),
        (50, 2000, [100] * 3, 100),  # the others go no further than the first
    ],
)
def test_the_first_fold_decides_how_far_all_train(
    best: int, others: int, asked: list[int], steps: int
) -> None:
    rows = np.arange(12.0)
    features = Features(np.array([rows + 1, -rows - 1, -rows - 1]).reshape(-1, 1), _NO_CODES)
    target, thirds = features.numbers[:, 0], np.arange(36).reshape(3, 12)
    folds = [FoldData(features, target, Fold(part[:8], part[8:])) for part in thirds]
    limited = _settings("catboost", 24, 1, rounds=600)
    score, reports = metrics.score_function("rmse", "regression"), []
    model = Curved(replace(limited, metric="rmse"))
    Curved.asked.clear()
    curve = model.cross_validate(
        {"best": best, "others": others},
        folds,
        score,
        0,
        lambda *report: reports.append(report[:2]),
    )
    assert (Curved.asked, curve.steps) == (asked, steps)
    assert reports == [(1, 3), (2, 3), (3, 3)]
    Curved.asked.clear()
    model.cross_validate({"best": 5, "others": 5}, folds, score, 0, lambda *_: None, 300)
    assert Curved.asked == [300] * 3  # a confirmation trains what it is told
    Curved.asked.clear()
    before = Curved(replace(limited, metric="rmse", rounds=None))  # there was this rule
    before.cross_validate({"best": 5, "others": 5}, folds, score, 0, lambda *_: None)
    assert Curved.asked == [1000] * 3


@EACH
def test_a_trial_a_replay_and_a_refit_are_the_same(make_table: MakeTable, name: str) -> None:
    task = task_of(make_table(), name, rounds=30)
    found = []
    for _ in range(2):
        model = task.make_model()
        assert model.max_steps == 30
        curve = model.cross_validate(model.defaults(), task.folds, task.score, 7, lambda *_: None)
        found.append((curve.steps, curve.scores.tolist()))
    assert found[0] == found[1]
    fold = task.folds[0]
    fitted = model.fit(model.defaults(), fold.train, fold.train_target, curve.steps, 7)
    score = task.score(fold.valid_target, fitted.predict(fold.valid))
    assert score == pytest.approx(curve.scores[0])
