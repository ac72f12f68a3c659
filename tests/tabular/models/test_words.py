"""Text columns: their words as numbers, fitted on the rows that a model is fitted on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tabular.tasks import EACH_MODEL_TYPE, publish, task_of

from journal_launcher.base.errors import UsageError
from journal_launcher.tabular.cross_validation import cross_validate
from journal_launcher.tabular.data.dataset import Column, Dataset, Rows, Texts
from journal_launcher.tabular.importance import permutation_importance
from journal_launcher.tabular.models import FoldData, ModelSettings, make_model
from journal_launcher.tabular.models.bag_of_words import Words, width_of
from journal_launcher.tabular.models.with_words import WithWords, words_of
from journal_launcher.tabular.predict import load as load_model

GOOD = ["a fine house by the sea", "fine garden, fine view", "sunny, near the sea"]
BAD = ["a damp cellar near the road", "noisy road, no garden", "damp and dark"]
MakeTable = Callable[..., Dataset]


def texts_of(*columns: list[str]) -> Texts:
    return np.array(columns, dtype=object).T


def with_texts(table: Dataset, seed: int = 0) -> Dataset:
    """The table with a text column that says whether the target is large."""
    rng = np.random.default_rng(seed)
    large = table.target > np.median(table.target)
    said = [str(rng.choice(GOOD if one else BAD)) + f" {n}" for n, one in enumerate(large)]
    schema = replace(table.schema, columns=(*table.schema.columns, Column("note", "text")))
    return replace(table, schema=schema, features=replace(table.features, texts=texts_of(said)))


def scrambled(table: Dataset, rows: Rows) -> Dataset:
    texts = table.features.texts
    assert texts is not None
    texts = texts.copy()
    texts[rows, 0] = [f"sea word{row} sea sea road" for row in rows]
    return replace(table, features=replace(table.features, texts=texts))


class TestWords:
    def test_of_two_texts_are_nearer_the_rarer_those_are_that_both_have(self) -> None:
        words = Words.fit(texts_of(GOOD * 3 + BAD * 3))
        asked = ["fine view", "the fine house", "the dark cellar", "noisy"]
        view, house, cellar, noisy = words.transform(texts_of(asked))
        near, less, far = (float(np.dot(house, other)) for other in (view, cellar, noisy))
        assert near > less > far + 0.01

    def test_are_the_same_in_any_case_and_accent(self) -> None:
        words = Words.fit(texts_of(["schönes haus am see", "haus am see", "schönes haus"]))
        one, other = words.transform(texts_of(["Schönes HAUS", "schones haus!"]))
        np.testing.assert_array_equal(one, other)
        assert one.any()

    def test_that_are_unknown_or_missing_are_zeros(self) -> None:
        words = Words.fit(texts_of(GOOD, BAD))
        found = words.transform(texts_of(["", "zebra"], ["zebra", ""]))
        assert found.shape == (2, 2 * width_of(2)) and not found.any()

    @pytest.mark.parametrize(
        "texts",
        [
            [""],
            ["one row alone"],
            ["", ""],
            ["? !", "- -"],
            ["no word", "twice here"],
            ["the same"] * 9,
        ],
    )
    def test_of_hardly_any_rows_are_fitted_too(self, texts: list[str]) -> None:
        words = Words.fit(texts_of(texts))
        found = words.transform(texts_of(["one row", "word twice"]))
        assert found.shape == (2, width_of(1)) and np.isfinite(found).all()

    def test_say_nothing_along_directions_in_which_no_text_differs(self) -> None:
        texts = [f"a {'fine' if n % 2 else 'damp'} house of number {n}" for n in range(90)]
        words = Words.fit(texts_of(texts))
        for asked in (texts, ["damp house", "number"]):
            found = words.transform(texts_of(asked))
            assert np.flatnonzero(found.any(axis=0)).tolist() == [0, 1]

    def test_come_back_from_their_file(self, tmp_path: Path) -> None:
        words = Words.fit(texts_of(GOOD * 2, BAD * 2))
        words.save(tmp_path / "words.safetensors")
        same = Words.load(tmp_path / "words.safetensors")
        asked = texts_of(GOOD, GOOD)
        np.testing.assert_array_equal(words.transform(asked), same.transform(asked))

    def test_are_as_many_as_memory_is_for(self) -> None:
        rng = np.random.default_rng(0)
        texts = [" ".join(f"w{n}" for n in rng.integers(0, 40_000, 40)) for _ in range(3000)]
        (column,) = Words.fit(texts_of(texts)).columns
        assert len(column.words) == 10_000 and column.directions.dtype == np.float32


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_what_is_fitted_sees_the_texts_of_its_rows_alone(
    make_table: MakeTable, tmp_path: Path, name: str
) -> None:
    table = with_texts(make_table())
    fold = table.folds[0]
    changed = scrambled(table, np.setdiff1d(np.arange(len(table.target)), fold.train))
    found = []
    for one in (table, changed):
        model = task_of(one, name).make_model()
        features, target = one.features.take(fold.train), one.target[fold.train]
        fitted = model.fit(model.defaults(), features, target, 3, 0)
        file = tmp_path / f"best_model.{model.extension}"
        state = fitted.save(file)
        read_back = model.load(file, state).predict(features)
        words = (tmp_path / "best_model.words.safetensors").read_bytes()
        found.append((words, fitted.predict(features).tobytes(), read_back.tobytes()))
    assert found[0] == found[1]


def test_a_fold_has_the_words_of_its_own_training_rows(make_table: MakeTable) -> None:
    table = with_texts(make_table())
    for fold in table.folds:
        changed = scrambled(table, fold.valid)
        rows = [FoldData(one.features, one.target, fold) for one in (table, changed)]
        one, other = (words_of(data) for data in rows)
        np.testing.assert_array_equal(one[fold.train], other[fold.train])
        assert not np.array_equal(one[fold.valid], other[fold.valid])


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_every_model_type_learns_from_texts_and_publishes_what_it_learned(
    make_table: MakeTable, tmp_path: Path, task: str, name: str
) -> None:
    table = with_texts(make_table(task, classes=2))
    study = publish(table, name, tmp_path / "study")
    model = load_model(study)
    rows = {"a": [0.0, 0.0], "b": 0.0, "c": 0.0, "colour": "red"}
    frame = pd.DataFrame(rows | {"note": [GOOD[0], BAD[0]]})
    answers = model.predict(frame) if task == "regression" else model.predict_proba(frame)[:, 1]
    assert answers[0] > answers[1]
    gaps = frame.assign(note=[None, "zebra"])
    both = model.predict(gaps) if task == "regression" else model.predict_proba(gaps)[:, 1]
    assert both[0] == pytest.approx(both[1], rel=1e-5)
    (study / "best_model.words.safetensors").write_bytes(b"changed")
    with pytest.raises(UsageError, match=r"words.safetensors: expected sha256"):
        load_model(study)


@pytest.mark.parametrize("name", ["catboost", "neural_net"])
def test_all_trainings_of_a_model_have_one_file_of_words(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    table = with_texts(make_table())
    study = publish(table, name, tmp_path / "study")
    assert [file.name for file in study.glob("*words*")] == ["best_model.words.safetensors"]
    assert len([*study.glob("best_model*")]) == 1 + 5 + 1, "sidecar, trainings, words"
    looked_up: list[Any] = []
    transform = Words.transform
    monkeypatch.setattr(Words, "transform", lambda *given: looked_up.append(1) or transform(*given))
    model = load_model(study)
    model.predict_table(table.features)
    assert looked_up == [1]


def test_a_model_of_one_training_and_its_words_is_read_as_before(
    make_table: MakeTable, tmp_path: Path
) -> None:
    """As every earlier version published it: the state is that of the model type itself."""
    table = with_texts(make_table())
    model = task_of(table, "catboost").make_model()
    fitted = model.fit(model.defaults(), table.features, table.target, 5, 0)
    file = tmp_path / "best_model.cbm"
    state = fitted.save(file)
    found = model.load_mean(file, state).predict(table.features)
    np.testing.assert_array_equal(found, fitted.predict(table.features))


def test_texts_make_scores_better(make_table: MakeTable) -> None:
    table = make_table()
    scores = []
    for one in (table, with_texts(table)):
        task = task_of(one, "linear")
        model = task.make_model()
        scores.append(cross_validate(task, model, model.defaults(), 0, lambda *_: None).scores)
    assert (scores[1] > scores[0]).all() and scores[1].mean() > scores[0].mean() + 0.1


def test_weights_reach_the_model_type(make_table: MakeTable) -> None:
    table = with_texts(make_table())
    weights = np.random.default_rng(0).random(len(table.target)) + 0.1
    found = []
    for one in (table, replace(table, weights=weights)):
        task = task_of(one, "linear")
        model = task.make_model()
        curve = cross_validate(task, model, model.defaults(), 0, lambda *_: None)
        fitted = model.fit(model.defaults(), one.features, one.target, 1, 0, one.weights)
        found.append((curve.scores.tolist(), fitted.predict(table.features).tolist()))
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]


def test_a_text_column_has_one_importance(make_table: MakeTable) -> None:
    table = with_texts(make_table())
    model = task_of(table, "linear").make_model()
    fitted = model.fit(model.defaults(), table.features, table.target, 1, 0)
    found = permutation_importance(
        fitted, table.features, table.target, table.schema, task_of(table, "linear").score, 0
    )
    assert found.increase is not None
    assert [*found.increase] == ["a", "b", "c", "colour", "note"]
    assert found.increase["note"] < -0.01  # of r2, which falls


def test_words_are_counted_once_for_all_workers(
    make_table: MakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = replace(with_texts(make_table()), directory=tmp_path / ("ab" * 32))
    counted: list[Any] = []
    fit = Words.fit
    monkeypatch.setattr(Words, "fit", lambda texts: counted.append(1) or fit(texts))
    scores = []
    for _ in range(2):
        task = task_of(table, "linear")
        model = task.make_model()
        for _ in range(2):
            curve = cross_validate(task, model, model.defaults(), 0, lambda *_: None)
            scores.append(curve.scores.tolist())
    assert len(counted) == len(table.folds) and all(found == scores[0] for found in scores)
    assert len([*tmp_path.iterdir()]) == 1


def test_without_a_disk_every_worker_counts_for_itself(
    make_table: MakeTable, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    table = replace(with_texts(make_table()), directory=tmp_path / "file" / ("ab" * 32))
    task = task_of(table, "linear")
    model = task.make_model()
    found = cross_validate(task, model, model.defaults(), 0, lambda *_: None)
    assert np.isfinite(found.scores).all()
    assert "every worker counts the words for itself" in caplog.text


def test_a_table_without_texts_has_the_model_type_itself(make_table: MakeTable) -> None:
    settings = ModelSettings(make_table().schema, 9, "r2", name="linear")
    assert not isinstance(make_model(settings), WithWords)
