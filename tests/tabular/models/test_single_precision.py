"""Values far from zero that differ little: every model type learns from them as from near ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tabular.tasks import EACH_MODEL_TYPE

from journal_launcher.tabular import metrics
from journal_launcher.tabular.data.dataset import Column, Features, Schema
from journal_launcher.tabular.models import FittedModel, ModelSettings, ModelType, make_model
from journal_launcher.tabular.models.single_precision import less, middles, target_middle

ROWS = 300
FAR = 1.7e9
"""Seconds: a moment of today, where 32-bit floats are 128 apart."""
RNG = np.random.default_rng(0)
MOMENT = RNG.permutation(ROWS) * 2.0 + RNG.random(ROWS)
OTHER = RNG.normal(size=ROWS)
TARGET = np.sin(MOMENT / 100) + OTHER + 0.1 * RNG.normal(size=ROWS)
SEEN, NEW = np.arange(200), np.arange(200, ROWS)


def _model(name: str) -> ModelType:
    columns = (Column("moment", "date"), Column("other", "number"))
    return make_model(ModelSettings(Schema(columns, "y", "regression"), ROWS, "r2", name=name))


def _features(moment: NDArray[np.float64]) -> Features:
    return Features(np.column_stack([moment, OTHER]), np.empty((ROWS, 0), np.int32))


def _fitted(name: str, moment: NDArray[np.float64], target: NDArray[np.float64]) -> FittedModel:
    model = _model(name)
    seen = _features(moment).take(SEEN)
    return model.fit(model.defaults(), seen, target[SEEN], min(model.max_steps, 30), 0)


def _r2(name: str, moment: float, target: float) -> float:
    """Of new rows, where column and target are so far from zero."""
    fitted = _fitted(name, MOMENT + moment, TARGET + target)
    found = fitted.predict(_features(MOMENT + moment).take(NEW))
    return metrics.score_function("r2", "regression")(TARGET[NEW] + target, found)


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_a_shift_changes_no_score(name: str) -> None:
    near = _r2(name, 0, 0)
    assert near > 0.3
    assert _r2(name, FAR, 0) == pytest.approx(near, abs=0.02)
    assert _r2(name, 0, 1e9) == pytest.approx(near, abs=0.02)


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_what_is_read_back_predicts_the_same_and_to_the_digit(name: str, tmp_path: Path) -> None:
    fitted = _fitted(name, MOMENT + FAR, TARGET + 1e9)
    features, model = _features(MOMENT + FAR), _model(name)
    file = tmp_path / f"model.{model.extension}"
    state = json.loads(json.dumps(fitted.save(file)))
    np.testing.assert_array_equal(
        model.load(file, state).predict(features), fitted.predict(features)
    )
    distinct = np.unique(np.round(fitted.predict(features) - 1e9, 3))
    assert len(distinct) > 50  # and not one of 32 bits for all


@pytest.mark.parametrize("name", EACH_MODEL_TYPE)
def test_each_stage_is_of_the_same_units(name: str) -> None:
    fitted: Any = _fitted(name, MOMENT + FAR, TARGET + 1e9)
    if not hasattr(fitted, "staged"):
        pytest.skip("has no stages")
    features = _features(MOMENT + FAR).take(NEW)
    stages = list(fitted.staged(features, 10))
    assert stages[-1] == pytest.approx(fitted.predict(features), abs=1e-4)
    if len(stages) > 1:
        assert stages[0] == pytest.approx(fitted.predict_at(features, 10), abs=1e-4)


@pytest.mark.parametrize(
    "column",
    [
        OTHER,
        OTHER * 1e12,
        300 + OTHER,  # kelvin
        2000.0 + np.arange(ROWS) % 20,  # years
        FAR + 128.0 * np.arange(ROWS),  # 32 bits hold them
        np.full(ROWS, 1e9 + 1),
        np.full(ROWS, np.nan),
        np.where(np.arange(ROWS) % 2, np.nan, OTHER),
    ],
)
def test_columns_that_32_bits_tell_apart_stay_as_they_are(column: NDArray[np.float64]) -> None:
    numbers = np.column_stack([OTHER, column])
    found = middles(numbers)
    assert found == {} and less(numbers, found) is numbers


def test_others_are_less_their_middle_and_gaps_stay() -> None:
    moment = np.where(np.arange(ROWS) == 7, 0.0, MOMENT + FAR)  # one is far from all others
    moment[3] = np.nan
    numbers = np.column_stack([OTHER, moment])
    found = middles(numbers)
    assert list(found) == [1] and found[1] == pytest.approx(FAR + 300, abs=50)
    shifted = less(numbers, found)
    np.testing.assert_array_equal(shifted[:, 0], OTHER)
    assert np.isnan(shifted[3, 1]) and len(np.unique(shifted[:, 1].astype(np.float32))) == ROWS


@pytest.mark.parametrize(
    ("target", "taken", "taken_of_rounded_sums"),
    [
        (OTHER, False, False),
        (2e5 + 1e5 * OTHER, False, False),
        (1e9 + OTHER, True, True),
        (1e6 + np.arange(ROWS) % 5, False, True),  # held, but not what is between them
        (np.full(ROWS, 1e9 + 1), True, True),
        (np.full(ROWS, 5.0), False, False),
    ],
)
def test_a_target_is_less_its_mean_where_it_has_to_be(
    target: NDArray[np.float64], taken: bool, taken_of_rounded_sums: bool
) -> None:
    assert target_middle(target) == (target.mean() if taken else 0)
    rounded = target_middle(target, rounded_sums=True)
    assert rounded == (target.mean() if taken_of_rounded_sums else 0)
