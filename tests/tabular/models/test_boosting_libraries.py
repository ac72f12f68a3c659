"""The boosting libraries: categories, missing values, absent classes, staged rounds, saving."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tabular.tasks import needs, task_of

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Dataset, Features, Schema

MakeTable = Callable[..., Dataset]


@dataclass(frozen=True)
class Library:
    """fine: parameters with which leaves of few rows are split off."""

    name: str
    fine: dict[str, int]

    def model(self, table: Dataset, metric: str | None = None, **more: Any) -> Any:
        return task_of(table, self.name, metric, **more).make_model()

    def fitted(self, table: Dataset, steps: int = 20, seed: int = 0, **params: Any) -> Any:
        model = self.model(table)
        return model.fit({**model.defaults(), **params}, table.features, table.target, steps, seed)


LIBRARIES = (
    Library("xgboost", {"min_child_weight": 1}),
    Library("lightgbm", {"min_data_in_leaf": 3}),
)


@pytest.fixture(params=[pytest.param(one, id=one.name, marks=needs(one.name)) for one in LIBRARIES])
def library(request: pytest.FixtureRequest) -> Library:
    found: Library = request.param
    return found


TASKS = [("regression", 0), ("classification", 2), ("classification", 3)]


@pytest.mark.parametrize("task, classes", TASKS)
def test_every_fold_is_scored_after_the_same_number_of_rounds(
    library: Library,
    make_table: MakeTable,
    task: str,
    classes: int,
) -> None:
    table = make_table(task, classes=classes)
    metric = "r2" if task == "regression" else "log_loss"
    model = library.model(table, metric, rounds=40)
    score = metrics.score_function(metric, task)
    folds = task_of(table, library.name).folds
    curve = model.cross_validate(model.defaults(), folds, score, 7, lambda *_: None)
    assert curve.steps in (10, 20, 30, 40)
    for number, fold in enumerate(folds):
        fitted = model.fit(model.defaults(), fold.train, fold.train_target, curve.steps, 7)
        found, seen = fitted.predict(fold.valid), fitted.predict(fold.train)
        assert curve.scores[number] == pytest.approx(score(fold.valid_target, found))
        assert curve.train_scores[number] == pytest.approx(score(fold.train_target, seen))


@pytest.mark.parametrize("task, classes", TASKS)
def test_each_stage_is_what_a_training_of_so_many_rounds_predicts(
    library: Library, make_table: MakeTable, task: str, classes: int
) -> None:
    table = make_table(task, classes=classes)
    fitted = library.fitted(table, 35)
    stages = list(fitted.staged(table.features, 10))
    assert len(stages) == 3
    for steps, stage in zip((10, 20, 30), stages, strict=True):
        again = library.fitted(table, steps).predict(table.features)
        np.testing.assert_allclose(stage, again, rtol=1e-6)
        np.testing.assert_array_equal(fitted.predict_at(table.features, steps), again)
    assert np.abs(stages[2] - stages[0]).max() > 0.01
    assert np.abs(fitted.predict(table.features) - stages[2]).max() > 0.0001


@pytest.mark.parametrize("absent", [0, 1, (0, 2)])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_without_training_rows_keeps_its_column(
    library: Library, make_table: MakeTable, classes: int, absent: int | tuple[int, ...]
) -> None:
    table = make_table("classification", classes=classes)
    some = np.flatnonzero(~np.isin(table.target, absent))
    fitted = library.model(table).fit({}, table.features.take(some), table.target[some], 20, 0)
    found = fitted.predict(table.features)
    assert found.shape == (240, classes) and np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(1)
    assert np.mean(found.argmax(axis=1)[some] == table.target[some]) > 0.8
    assert len(list(fitted.staged(table.features, 10))) == 2


def _levels(target: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    """400 rows of one category; its code 3 is in the table's labels, but not in these rows."""
    codes = (np.arange(400) % 4).astype(np.int32)[:, None]
    codes[codes == 3] = -1
    schema = Schema((Column("k", "category", ("p", "q", "r", "s")),), "y", "regression")
    rows = np.arange(400)
    features = Features(np.empty((400, 0)), codes)
    return Dataset(schema, features, target(codes[:, 0]), rows, rows[:0], [])


def test_the_category_and_its_absence_are_used(library: Library) -> None:
    """No order of the codes explains the target: a split of numbers would need several."""
    table = _levels(lambda codes: np.array([5.0, -5.0, 5.0, 50.0])[codes])
    fitted = library.fitted(table, 60, learning_rate=0.3, **library.fine)
    assert fitted.predict(table.features) == pytest.approx(table.target, abs=0.5)


def test_a_category_that_training_did_not_see_is_as_good_as_missing(library: Library) -> None:
    table = _levels(lambda codes: np.array([5.0, -5.0, 5.0, 50.0])[codes])
    fitted = library.fitted(table, 60, learning_rate=0.3, **library.fine)
    asked = np.array([[3], [-1], [99]], dtype=np.int32)
    unseen, missing, beyond = fitted.predict(Features(np.empty((3, 0)), asked))
    assert unseen == missing == beyond == pytest.approx(50, abs=0.5)


def test_a_missing_number_says_something_itself(library: Library) -> None:
    """It is not the average in disguise: that is among the numbers here."""
    numbers = (np.arange(300) % 3 - 1.0)[:, None]
    numbers[100:200] = np.nan
    target = np.where(np.isnan(numbers[:, 0]), 7.0, 0.0)
    schema = Schema((Column("a", "number"),), "y", "regression")
    rows = np.arange(300)
    features = Features(numbers, np.empty((300, 0), dtype=np.int32))
    fitted = library.fitted(Dataset(schema, features, target, rows, rows[:0], []), 60)
    assert fitted.predict(features) == pytest.approx(target, abs=0.5)


def test_numbers_of_any_size_are_taken(library: Library, make_table: MakeTable) -> None:
    table = make_table()
    table.features.numbers[0] = [1e100, -1e100, 1e39]
    assert np.isfinite(library.fitted(table).predict(table.features)).all()


@pytest.mark.parametrize("task, classes", TASKS)
def test_what_is_read_back_predicts_the_same(
    library: Library, make_table: MakeTable, tmp_path: Path, task: str, classes: int
) -> None:
    table = make_table(task, classes=classes)
    model, fitted = library.model(table), library.fitted(table, 30)
    file = tmp_path / f"model.{model.extension}"
    state = json.loads(json.dumps(fitted.save(file)))
    read_back = model.load(file, state)
    unseen = Features(table.features.numbers * 2, np.full_like(table.features.codes, -1))
    for features in (table.features, unseen):
        np.testing.assert_array_equal(read_back.predict(features), fitted.predict(features))


def test_training_writes_nothing_and_follows_its_seed(
    library: Library,
    make_table: MakeTable,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    table = make_table()
    first, same, other = (
        library.fitted(table, 20, seed).predict(table.features) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr() == ("", "")


def test_where_nothing_is_left_to_split_the_curve_has_all_its_points(library: Library) -> None:
    table = _levels(lambda codes: np.full(len(codes), 7.0))
    fitted = library.fitted(table, 30)
    stages = list(fitted.staged(table.features, 10))
    assert [stage[0] for stage in stages] == pytest.approx([7.0, 7.0, 7.0])
